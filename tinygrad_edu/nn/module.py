"""Module: a piece of a model, which knows its parameters, its buffers and its parts.

Nothing in this file knows what a layer computes. Hooks are run in hooks.py, state dicts made and loaded in state.py.
Source: https://pytorch.org/docs/stable/generated/torch.nn.Module.html
"""
from __future__ import annotations

from collections import OrderedDict

from ..core import dtypes
from ..core.leaf import kind_of
from ..core.mode import no_grad
from ..core.tensor import Tensor
from ..ops.convert import parse_to
from . import hooks
from .hooks import RemovableHandle, call_with_hooks
from .parameter import Buffer, Parameter, zero_gradient
from .state import StateDict


HOOKS = ("_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs",
         "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
         "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks")


def typename(x):
    """torch's name for a value's type: 'torch.FloatTensor', 'int', 'torch.nn.modules.linear.Linear'."""
    if isinstance(x, Tensor):
        return kind_of(x)
    cls = type(x)
    if cls.__module__ in ("builtins", "__builtin__", None):
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}".replace("tinygrad_edu", "torch", 1)


def _checked_name(kind, name):
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {typename(name)}")


def _caster(name):
    """The method that casts a module to a floating dtype."""
    def cast(self):
        dtype = getattr(dtypes, name)
        return self._apply(lambda t: t.to(dtype=dtype) if t.is_floating_point() else t)
    cast.__doc__ = f"Floating parameters and buffers as {name}."
    return cast


class Module(StateDict):
    """Base of all models and layers. Subclasses call `super().__init__()`, assign their parts, and define `forward`."""

    _version = 1                                   # of the layout of its state dict
    call_super_init = False

    def __init__(self, *args, **kwargs):
        if not self.call_super_init:
            if kwargs:
                raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                                f"'{next(iter(kwargs))}'")
            if args:
                raise TypeError(f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} "
                                "were given")
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _non_persistent_buffers_set=set(), _is_full_backward_hook=None,
            **{name: OrderedDict() for name in HOOKS}, _modules={})
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # ---- calling
    def forward(self, *input):
        """What the module computes: every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args, **kwargs):
        own = self.__dict__
        if not (self._backward_hooks or own["_backward_pre_hooks"] or own["_forward_hooks"] or own["_forward_pre_hooks"]
                or hooks.global_forward or hooks.global_forward_pre
                or hooks.global_backward or hooks.global_backward_pre):
            return self.forward(*args, **kwargs)
        return call_with_hooks(self, args, kwargs)

    # ---- registration
    def register_parameter(self, name, param):
        """Add a Parameter (or None, for one that the module could have) under a name."""
        own = self.__dict__
        if "_parameters" not in own:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_new("parameter", name, own["_parameters"])
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{typename(param)}' object to parameter '{name}' (torch.nn.Parameter or "
                            "None required)")
        if param is not None and param.grad_fn:
            raise ValueError(f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                             f"explicitly. To express '{name}' as a function of another Tensor, compute the value in "
                             "the forward() method.")
        own["_parameters"][name] = param

    def register_buffer(self, name, tensor, persistent=True):
        """Add a tensor that is not trained; it is part of the state dict if `persistent`."""
        own = self.__dict__
        if "_buffers" not in own:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_new("buffer", name, own["_buffers"])
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or None "
                            "required)")
        own["_buffers"][name] = tensor
        (own["_non_persistent_buffers_set"].discard if persistent else own["_non_persistent_buffers_set"].add)(name)

    def add_module(self, name, module):
        """Add a part (or None) under a name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        self._check_new("module", name, self._modules, f", got: {name}")
        self._modules[name] = module

    def register_module(self, name, module):
        """Alias of add_module."""
        self.add_module(name, module)

    def _check_new(self, kind, name, held, told=""):
        _checked_name(kind, name)
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."{told}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if name not in held and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def __getattr__(self, name):
        own = self.__dict__
        for kind in ("_parameters", "_modules", "_buffers"):
            held = own.get(kind)
            if held is not None and name in held:
                return held[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name, value):
        own = self.__dict__
        parameters = own.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, own, own["_buffers"], own["_modules"])
            self.register_parameter(name, value)
        elif parameters is None:
            if isinstance(value, Module):
                raise AttributeError("cannot assign module before Module.__init__() call")
            if isinstance(value, Buffer):
                raise AttributeError("cannot assign buffer before Module.__init__() call")
            object.__setattr__(self, name, value)
        elif name in parameters:
            if value is not None:
                raise TypeError(f"cannot assign '{typename(value)}' as parameter '{name}' (torch.nn.Parameter or None "
                                "expected)")
            parameters[name] = None
        elif isinstance(value, Module):
            self._forget(name, own, parameters, own["_buffers"])
            own["_modules"][name] = value
        elif name in own["_modules"]:
            if value is not None:
                raise TypeError(f"cannot assign '{typename(value)}' as child module '{name}' (torch.nn.Module or None "
                                "expected)")
            own["_modules"][name] = None
        elif isinstance(value, Buffer) or name in own["_buffers"]:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(f"cannot assign '{typename(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor "
                                "or None expected)")
            kept = name not in own["_non_persistent_buffers_set"]
            self.register_buffer(name, value, value.persistent if isinstance(value, Buffer) else kept)
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name, *held):
        """The name is about to mean something else."""
        for d in held:
            d.pop(name, None)
        self.__dict__["_non_persistent_buffers_set"].discard(name)

    def __delattr__(self, name):
        for held in (self._parameters, self._buffers, self._modules):
            if name in held:
                del held[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self):
        keys = [*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers]
        return sorted(key for key in keys if not key[0].isdigit())

    # ---- looking up by path
    def get_submodule(self, target):
        """The part with the given path, such as "layers.0.attention"; "" is the module itself."""
        module = self
        for item in target.split(".") if target else ():
            if not hasattr(module, item):
                raise AttributeError(f"{module._get_name()} has no attribute `{item}`")
            module = getattr(module, item)
            if not isinstance(module, Module):
                raise AttributeError(f"`{item}` is not an nn.Module")
        return module

    def set_submodule(self, target, module, strict=False):
        """Replace the part with the given path; with `strict=False` it may also be new."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, last = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, last):
            raise AttributeError(f"{parent._get_name()} has no attribute `{last}`")
        if hasattr(parent, last) and not isinstance(getattr(parent, last), Module):
            raise AttributeError(f"`{last}` is not an nn.Module")
        setattr(parent, last, module)

    def get_parameter(self, target):
        """The parameter with the given path."""
        module, name = self._owner(target)
        found = getattr(module, name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target):
        """The buffer with the given path."""
        module, name = self._owner(target)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return module._buffers[name]

    def _owner(self, target):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        return module, name

    # ---- walking
    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """(path, module) for the module itself and all parts of its parts."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self):
        """The module itself and all parts of its parts."""
        for _, module in self.named_modules():
            yield module

    def named_children(self):
        """(name, module) for the parts."""
        memo = set()
        for name, module in self._modules.items():
            if module is not None and module not in memo:
                memo.add(module)
                yield name, module

    def children(self):
        """The parts."""
        for _, module in self.named_children():
            yield module

    def _named_members(self, members_of, prefix="", recurse=True, remove_duplicate=True):
        memo = set()
        walk = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in walk:
            for name, member in members_of(module):
                if member is None or id(member) in memo:
                    continue
                if remove_duplicate:
                    memo.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """(path, parameter), each parameter once."""
        yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        """All parameters, to be given to an optimizer."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """(path, buffer), each buffer once."""
        yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """All buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    # ---- changing all of it
    def apply(self, fn):
        """`fn(module)` for every part, then for the module itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn, recurse=True):
        """Parameters, their gradients and buffers become `fn` of themselves; parameters stay the same objects."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            for held in (parameter, parameter._grad):
                if held is not None:
                    with no_grad():
                        made = fn(held)
                    if made is not held:
                        held.data = made
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args, **kwargs):
        """Move parameters and buffers to a device, and floating ones to a dtype."""
        device, dtype, _ = parse_to(args, kwargs)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError("nn.Module.to only accepts floating point or complex dtypes, but got desired "
                            f"dtype={dtype}")
        return self._apply(lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None))

    def cpu(self):
        """Move everything to the host's memory."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device=None):
        """Move everything to a GPU."""
        return self._apply(lambda t: t.cuda(device))

    def type(self, dst_type):
        """Everything as one dtype."""
        return self._apply(lambda t: t.type(dst_type))

    float, double, half, bfloat16 = map(_caster, ("float32", "float64", "float16", "bfloat16"))

    def train(self, mode=True):
        """Dropout drops and batch normalisation learns its statistics, or not; in all parts."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """The opposite of `train()`."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Say whether the parameters are to be trained."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Forget the gradients, or fill them with zeros."""
        for parameter in self.parameters():
            zero_gradient(parameter, set_to_none)

    def share_memory(self):
        """Nothing: worker processes get copies."""
        return self

    # ---- hooks
    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """`hook(module, args)` before forward may return other arguments; `with_kwargs` adds an argument `kwargs`."""
        flags = (self._forward_pre_hooks_with_kwargs,) if with_kwargs else ()
        return RemovableHandle(self._forward_pre_hooks, hook, *flags, prepend=prepend)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """`hook(module, args, output)` after forward may return another output; `always_call`: even after an error."""
        flags = [d for d, yes in ((self._forward_hooks_with_kwargs, with_kwargs),
                                  (self._forward_hooks_always_called, always_call)) if yes]
        return RemovableHandle(self._forward_hooks, hook, *flags, prepend=prepend)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """`hook(module, grad_output)` before the module's backward; it may return another grad_output."""
        return RemovableHandle(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """`hook(module, grad_input, grad_output)` after the module's backward; it may return another grad_input."""
        return self._register_backward(hook, True, prepend)

    def register_backward_hook(self, hook):
        """Deprecated: `hook(module, grad_input, grad_output)` on the last node that forward made."""
        return self._register_backward(hook, False, False)

    def _register_backward(self, hook, full, prepend):
        if self._is_full_backward_hook is (not full):
            raise RuntimeError("Cannot use both regular backward hooks and full backward hooks on a single Module. "
                               "Please use only one of them.")
        self._is_full_backward_hook = full
        return RemovableHandle(self._backward_hooks, hook, prepend=prepend)

    # ---- printing
    def _get_name(self):
        return type(self).__name__

    def extra_repr(self):
        """What stands between the parentheses of its repr, before its parts."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        parts = [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        return assemble(self._get_name(), extra.split("\n") if extra else [], parts)


def indent(text):
    """All lines but the first moved to the right."""
    return text.replace("\n", "\n  ")


def assemble(name, extra, parts):
    if len(extra) == 1 and not parts:
        return f"{name}({extra[0]})"
    lines = extra + parts
    return f"{name}(" + ("\n  " + "\n  ".join(lines) + "\n" if lines else "") + ")"
