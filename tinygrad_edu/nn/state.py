"""State dicts: a module's parameters and buffers by path, collected and loaded, with torch's report of misfits.

It reads `_parameters`, `_buffers` and `_modules`; it does not know how they got there.
"""
from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping

from ..core.mode import no_grad
from ..core.tensor import Tensor
from .hooks import RemovableHandle
from .parameter import Parameter

EXTRA = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    __slots__ = ()

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys!r}, unexpected_keys={self.unexpected_keys!r})"

    __str__ = __repr__


class StateDict:
    """The part of Module that saves and loads."""

    # ---- collecting
    def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
        """All parameters and persistent buffers by path, sharing their memory; off the tape unless `keep_vars`."""
        if args:
            destination, prefix, keep_vars = (*args, *(destination, prefix, keep_vars)[len(args):])
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, metadata)
            if result is not None:
                if getattr(hook, "_from_public_api", False):
                    raise RuntimeError("state_dict post-hook must return None")
                destination = result
        return destination

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        """This module's own part of the state dict. Subclasses may add to it."""
        for name, tensor in (*self._parameters.items(), *self._persistent_buffers()):
            if tensor is not None:
                destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not StateDict.get_extra_state:
            destination[prefix + EXTRA] = self.get_extra_state()

    def _persistent_buffers(self):
        return [(name, buffer) for name, buffer in self._buffers.items()
                if name not in self._non_persistent_buffers_set]

    def get_extra_state(self):
        """Override it, and set_extra_state, to keep more than tensors in the state dict."""
        raise _never_called("get_extra_state")

    def set_extra_state(self, state):
        """Override it, and get_extra_state, to keep more than tensors in the state dict."""
        raise _never_called("set_extra_state")

    # ---- loading
    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copy a state dict's tensors into the parameters and buffers, or put them in their place (`assign`).

        With `strict` missing and unexpected keys raise; returns both. Shapes must agree always.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing, unexpected, errors = [], [], []
        metadata = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(state_dict)
        if metadata is not None:
            state_dict._metadata = metadata
        _load(self, state_dict, "", metadata or {}, assign, (missing, unexpected, errors))
        if strict:
            for keys, what in ((unexpected, "Unexpected"), (missing, "Missing")):
                if keys:
                    errors.insert(0, f"{what} key(s) in state_dict: " + ", ".join(f'"{key}"' for key in keys) + ". ")
        if errors:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors))
        return _IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
                              error_msgs):
        """This module's own share of loading. Subclasses may translate old layouts before calling it."""
        for hook, with_module in self._load_state_dict_pre_hooks.values():
            hook(*((self,) if with_module else ()), state_dict, prefix, local_metadata, strict, missing_keys,
                 unexpected_keys, error_msgs)
        own = {name: t for name, t in (*self._parameters.items(), *self._persistent_buffers()) if t is not None}
        for name, tensor in own.items():
            if prefix + name in state_dict:
                error = self._load_one(name, tensor, prefix + name, state_dict[prefix + name],
                                       local_metadata.get("assign_to_params_buffers", False))
                if error:
                    error_msgs.append(error)
            elif strict:
                missing_keys.append(prefix + name)
        extra = prefix + EXTRA
        if type(self).set_extra_state is not StateDict.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra:
                    first, dot, _ = key[len(prefix):].partition(".")
                    if first not in (self._modules if dot else own):
                        unexpected_keys.append(key)

    def _load_one(self, name, tensor, key, given, assign):
        """Returns what went wrong, or None."""
        if not isinstance(given, Tensor):
            return (f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from '
                    'checkpoint but '
                    f"received {type(given)}")
        if tensor.ndim == 0 and given.shape == (1,):   # files of old torch versions
            given = given[0]
        if given.shape != tensor.shape:
            return (f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, the shape in "
                    f"current model is {tensor.shape}.")
        try:
            with no_grad():
                if not assign:
                    tensor.copy_(given)
                    return None
                if isinstance(tensor, Parameter):
                    if isinstance(given, Parameter):
                        given.requires_grad_(tensor.requires_grad)
                    else:
                        given = Parameter(given, tensor.requires_grad)
                setattr(self, name, given)
        except Exception as error:
            return (f'While copying the parameter named "{key}", whose dimensions in the model are {tensor.size()} and '
                    'whose dimensions '
                    f"in the checkpoint are {given.size()}, an exception occurred : {error.args}.")

    # ---- hooks
    def register_state_dict_pre_hook(self, hook):
        """`hook(module, prefix, keep_vars)` before the state dict is made."""
        return RemovableHandle(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook):
        """`hook(module, state_dict, prefix, local_metadata)` after the state dict was made may change it in place."""
        hook._from_public_api = True
        return RemovableHandle(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook):
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError("Cannot register the same function as the state dict post hook that was previously "
                               "registered via register_state_dict_post_hook")
        return RemovableHandle(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook):
        """`hook(module, state_dict, prefix, metadata, strict, missing, unexpected, error_msgs)` before loading."""
        return RemovableHandle(self._load_state_dict_pre_hooks, (hook, True))

    def _register_load_state_dict_pre_hook(self, hook, with_module=False):
        return RemovableHandle(self._load_state_dict_pre_hooks, (hook, with_module))

    def register_load_state_dict_post_hook(self, hook):
        """`hook(module, incompatible_keys)` after loading; it may change the lists of keys in place."""
        return RemovableHandle(self._load_state_dict_post_hooks, hook)


def _load(module, state_dict, prefix, metadata, assign, found):
    local = metadata.get(prefix[:-1], {})
    if assign:
        local = {**local, "assign_to_params_buffers": True}
    module._load_from_state_dict(state_dict, prefix, local, True, *found)
    for name, child in module._modules.items():
        if child is not None:
            below = f"{prefix}{name}."
            _load(child, {k: v for k, v in state_dict.items() if k.startswith(below)}, below, metadata, assign, found)
    keys = _IncompatibleKeys(*found[:2])
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, keys) is not None:
            raise AssertionError("Hooks registered with ``register_load_state_dict_post_hook`` are not expected to "
                                 "return new values, if incompatible_keys need to be modified, it should be done "
                                 "inplace.")


def _never_called(name):
    return RuntimeError(f"Reached a code path in Module.{name}() that should never be called. Please file an issue at "
                        "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to report this bug.")
