"""Optimizer: the parameters to be trained, in groups with options of their own, and what is remembered about each.

Nothing in this file knows a rule by which a parameter changes. On numpy arrays rules write in place, block by block,
with scratch memory that belongs to the optimizer: no temporaries, and a block stays in the processor's cache. On a
backend that knows the rule's kernel, one launch changes all parameters of a group.
Source: https://pytorch.org/docs/stable/optim.html
"""
from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from itertools import chain

import numpy as np

from ..backends.cpu import QUIET, enter, leave
from ..core import dtypes, errors, layout
from ..core.leaf import kind_of
from ..core.mode import enable_grad, no_grad
from ..core.tensor import Tensor, bump, copy_of, filled
from ..nn.hooks import RemovableHandle
from ..nn.module import typename
from ..nn.parameter import zero_gradient

BLOCK = 1 << 16                                    # elements: smaller blocks cost calls, larger ones leave the cache


class _Required:
    def __repr__(self):
        return "<required parameter>"


required = _Required()

_global_pre_hooks, _global_post_hooks = OrderedDict(), OrderedDict()


def register_optimizer_step_pre_hook(hook):
    """`hook(optimizer, args, kwargs)` before each step of any optimizer."""
    return RemovableHandle(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook):
    """`hook(optimizer, args, kwargs)` after each step of any optimizer."""
    return RemovableHandle(_global_post_hooks, hook)


def _with_hooks(step):
    """A class's `step`, surrounded by the hooks, where there are any."""
    @functools.wraps(step)
    def hooked(*args, **kwargs):                   # hooks see, and may replace, all arguments: self is the first
        self = args[0]
        self._opt_called = True                    # learning-rate schedulers ask
        if not (self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or _global_pre_hooks
                or _global_post_hooks):
            return step(*args, **kwargs)
        for hook in (*_global_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()):
            replaced = hook(self, args, kwargs)
            if replaced is not None:
                if not isinstance(replaced, tuple) or len(replaced) != 2:
                    raise RuntimeError(f"{step} must return None or a tuple of (new_args, new_kwargs), but got "
                                       f"{replaced}.")
                args, kwargs = replaced
        out = step(*args, **kwargs)
        for hook in (*self._optimizer_step_post_hooks.values(), *_global_post_hooks.values()):
            hook(self, args, kwargs)
        return out
    return hooked


class Optimizer:
    """Base of all optimizers. Subclasses define `step`.

    params     tensors, (name, tensor) pairs, or dicts with "params" and options for these
    defaults   options of groups that don't say otherwise
    """
    _HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks", "_optimizer_state_dict_pre_hooks",
              "_optimizer_state_dict_post_hooks", "_optimizer_load_state_dict_pre_hooks",
              "_optimizer_load_state_dict_post_hooks")

    program = None                                 # the kernel that a backend may know for this rule

    def __init_subclass__(cls):
        if "step" in cls.__dict__:
            cls.step = _with_hooks(cls.step)

    def __init__(self, params, defaults):
        self._start()
        self.defaults = defaults
        if isinstance(params, Tensor):
            raise TypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                            f"{kind_of(params)}")
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def _start(self):
        """What is neither pickled nor loaded: hooks, and scratch memory per spec of a parameter."""
        for name in self._HOOKS:
            self.__dict__.setdefault(name, OrderedDict())
        self._scratch = {}

    def __getstate__(self):
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._start()
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)

    def __repr__(self):
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines += [""] * (number > 0) + [f"Parameter Group {number}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"

    def add_param_group(self, param_group):
        """Train more tensors, with options of their own."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError("optimizer parameters need to be organized in ordered collections, but the ordering of "
                            "tensors in sets will change between runs. Please use a list instead.")
        params = [params] if isinstance(params, Tensor) else list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names:
            if len(names) != len(params):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group["param_names"] = names
        params = param_group["params"] = [p[1] if isinstance(p, tuple) else p for p in params]
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {typename(param)}")
            if not (param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        if len(params) != len(set(params)):
            import warnings
            warnings.warn("optimizer contains a parameter group with duplicate parameters; in future, this will cause "
                          "an error; see github.com/pytorch/pytorch/issues/40967 for more "
                          "information", UserWarning, stacklevel=3)
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                which = "with names" if "param_names" in param_group else "without names"
                raise ValueError("all optimizer param groups should be with/without names. cannot add param group "
                                 f"{which} to the optimizer")
        if not {p for group in self.param_groups for p in group["params"]}.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none=True):
        """Forget the gradients, or fill them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param._grad = None
                else:
                    zero_gradient(param, False)

    # ---- stepping
    def step(self, closure=None):
        """Change every parameter that has a gradient. `closure` evaluates the model anew and returns the loss."""
        raise NotImplementedError

    def _step(self, closure):
        """The step of an optimizer whose rule treats each parameter by itself.

        init_state(param, group) -> what is remembered about the parameter, or None
        on_arrays(param, grad, state, group, room): the rule on the tensors' numpy arrays, in place, with scratch `room`
        for_kernel(param, state, group) -> (tensors, numbers): what `program`, a kernel's, takes for this parameter
        on_tensors(param, grad, state, group): the same rule as tensor operations, for any other backend and for float16
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        states = self.state
        token = enter(QUIET)
        try:
            for group in self.param_groups:
                together = {}                      # (backend, dtype, numbers) -> what is changed in one launch
                for param in group["params"]:
                    grad = param._grad
                    if grad is None:
                        continue
                    state = states.get(param)
                    if not state:
                        state = self.init_state(param, group)
                        if state is not None:
                            states[param] = state
                    spec = param._spec
                    if spec.backend.native and spec.dtype.itemsize >= 4:
                        self.on_arrays(param, grad, state, group, self._room(spec))
                        storage = param._storage_ or param._storage
                        storage.version += 1
                    elif self._has_kernel(spec, state):
                        tensors, numbers = self.for_kernel(param, state, group)
                        same = together.setdefault((spec.backend, spec.dtype, *numbers.items()), [])
                        same.append((param, in_order_of(param, grad), *tensors))
                    else:
                        with no_grad():
                            self.on_tensors(param, grad.neg() if group["maximize"] else grad, state, group)
                for (backend, _, *numbers), several in together.items():
                    self._launch(backend, several, group["maximize"], dict(numbers))
        finally:
            leave(token)
        return loss

    def _has_kernel(self, spec, state):
        """Whether the parameter's backend knows the rule's kernel, and all lies as that walks it: from end to end."""
        if self.program is None or spec.dtype.itemsize < 4 or not hasattr(spec.backend, "program"):
            return False
        if layout.overlaps(spec.shape, spec.strides):
            raise RuntimeError(errors.OVERLAPPING)
        kept = [x._spec for name, x in (state or {}).items() if isinstance(x, Tensor) and name != "step"]
        return layout.is_dense(spec.shape, spec.strides) and all(
            [k is spec or (k.backend, k.dtype, k.strides) == (spec.backend, spec.dtype, spec.strides) for k in kept])

    def _launch(self, backend, several, maximize, numbers):
        """Change several parameters of one dtype, for which the rule has the same numbers, by one launch."""
        tables = [[x._array for x in tensors] for tensors in zip(*several)]
        backend.program(self.program)(*tables, maximize=maximize, **numbers)
        for param, *_ in several:
            bump(param)

    def _room(self, spec):
        """Two scratch arrays for a parameter of that spec: as large as it is, or one block."""
        found = self._scratch.get(spec)
        if found is None:
            if layout.overlaps(spec.shape, spec.strides):
                raise RuntimeError(errors.OVERLAPPING)
            size, kind = spec.shape.numel(), spec.dtype.numpy
            shape = spec.shape if size <= BLOCK or not spec.contiguous else (BLOCK,)
            found = self._scratch[spec] = np.empty(shape, kind), np.empty(shape, kind)
        return found

    # ---- state
    def state_dict(self):
        """{"state": {number: ...}, "param_groups": [...]}: parameters are numbers, in the order of the groups."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers, groups = {}, []
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(param, len(numbers))
            groups.append({**{k: v for k, v in group.items() if k != "params"},
                           "params": [numbers[p] for p in group["params"]]})
        state = {numbers[key] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        made = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, made)
            made = made if replaced is None else replaced
        return made

    def load_state_dict(self, state_dict):
        """Go on where the optimizer that gave `state_dict` stopped. Parameters are matched by their order."""
        from copy import deepcopy
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            state_dict = state_dict if replaced is None else replaced
        saved = deepcopy(state_dict["param_groups"])
        if len(self.param_groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(own["params"]) != len(new["params"]) for own, new in zip(self.param_groups, saved)):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's "
                             "group")
        params = dict(zip(chain.from_iterable(g["params"] for g in saved),
                          chain.from_iterable(g["params"] for g in self.param_groups)))
        state = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = _fitting(params[key], value)
            else:
                state[key] = value
        for own, new in zip(self.param_groups, saved):
            new["params"] = own["params"]
            if "param_names" in own:
                new.setdefault("param_names", own["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # ---- hooks
    def register_step_pre_hook(self, hook):
        """`hook(optimizer, args, kwargs)` before each step; it may return other (args, kwargs)."""
        return RemovableHandle(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook):
        """`hook(optimizer, args, kwargs)` after each step."""
        return RemovableHandle(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook, prepend=False):
        """`hook(optimizer)` before state_dict."""
        return RemovableHandle(self._optimizer_state_dict_pre_hooks, hook, prepend=prepend)

    def register_state_dict_post_hook(self, hook, prepend=False):
        """`hook(optimizer, state_dict)` after state_dict; it may return another."""
        return RemovableHandle(self._optimizer_state_dict_post_hooks, hook, prepend=prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend=False):
        """`hook(optimizer, state_dict)` before load_state_dict; it may return another."""
        return RemovableHandle(self._optimizer_load_state_dict_pre_hooks, hook, prepend=prepend)

    def register_load_state_dict_post_hook(self, hook, prepend=False):
        """`hook(optimizer)` after load_state_dict."""
        return RemovableHandle(self._optimizer_load_state_dict_post_hooks, hook, prepend=prepend)


def _fitting(param, value, key=None):
    """Loaded state, on the parameter's device and, where it is a float, of the parameter's dtype."""
    if isinstance(value, Tensor):
        if key == "step":
            return value.cpu()                     # a counter on the host is read without waiting for the device
        return value.to(device=param.device, dtype=param.dtype if param.is_floating_point() else None)
    if isinstance(value, dict):
        return {k: _fitting(param, v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(_fitting(param, v) for v in value)
    return value


# ---- for the rules
def number(value):
    """An option as a Python number: learning rates may be tensors of one element."""
    return value.item() if isinstance(value, Tensor) else value


def check_one_element(name, value):
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"Tensor {name} must be 1-element")


def check_variants(foreach, fused, differentiable):
    """foreach and fused only choose how torch computes; ours is one pass in any case."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if differentiable:
        raise NotImplementedError("differentiable=True is not supported: steps are never recorded. Write the update as "
                                  "tensor operations (new = param - lr * grad) to differentiate through it.")


def step_count():
    """The tensor that counts a parameter's steps."""
    return filled((), 0, dtypes.float64 if dtypes.get_default_dtype() is dtypes.float64 else dtypes.float32)


def zeros_like(param):
    """Zeros with the parameter's shape, order in memory, dtype and backend."""
    out = copy_of(param)
    out._spec.backend.fill(out._array, 0)
    return out


def in_order_of(param, grad):
    """The gradient itself if its elements lie in the parameter's order in memory, else a copy in which they do."""
    return grad if grad._spec.strides == param._spec.strides else copy_of(grad, param)


def next_step(state):
    """Count one step; the new count, as a Python number."""
    step = state["step"]
    array = step._array
    if array.__class__ is np.ndarray:
        array += 1
        if step._storage_ is not None:
            step._storage_.version += 1
        return array.item()
    step.add_(1)
    return step.item()


def pieces(arrays, scratch):
    """The arrays themselves with scratch of their shape, or block by block where scratch is one block."""
    first = arrays[0]
    if scratch[0].shape == first.shape:
        yield *arrays, *scratch
        return
    if not all(a is None or a.flags.c_contiguous for a in arrays):
        yield *arrays, np.empty_like(first), np.empty_like(first)
        return
    flat = [a if a is None else a.reshape(-1) for a in arrays]
    for start in range(0, first.size, BLOCK):
        cut = [a if a is None else a[start:start + BLOCK] for a in flat]
        count = len(cut[0])
        yield *cut, scratch[0][:count], scratch[1][:count]


__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook", "required"]
