"""Parameter and Buffer: tensors that a Module recognises when they are assigned to it.

Nothing in this file knows what a module is. Operations on a Parameter give plain tensors.
"""
from __future__ import annotations

from collections import OrderedDict

from ..core import dtypes
from ..core.tensor import Tensor, empty, new


def _share(cls, data):
    """A tensor of another class over the memory of `data`, off the tape; both count the same writes."""
    twin = data.detach()
    out = new(cls)
    out._array, out._spec, out._storage_, out._offset = twin._array, twin._spec, twin._storage_, twin._offset
    return out


class Parameter(Tensor):
    """A tensor to be trained: assigned to a Module, it appears in `parameters()`.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    """

    _printed_as = "tensor"

    def __new__(cls, data=None, requires_grad=True):
        out = _share(cls, empty((0,), dtypes.get_default_dtype()) if data is None else data)
        if requires_grad and not out.is_floating_point():
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        out.requires_grad = requires_grad
        return out

    def __init__(self, data=None, requires_grad=True):
        pass                                       # all is done in __new__

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol):
        return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict()), self._extras() or None


def _rebuild_parameter(data, requires_grad, backward_hooks):
    """What a pickled Parameter is rebuilt with: torch's signature, so that files can be exchanged."""
    return Parameter(data, requires_grad)


class Buffer(Tensor):
    """A tensor that belongs to a module's state without being trained; `persistent` ones are saved with it."""

    _printed_as = "tensor"

    def __new__(cls, data=None, *, persistent=True):
        data = empty((0,), dtypes.get_default_dtype()) if data is None else data
        out = _share(cls, data)
        out.requires_grad = data.requires_grad
        out.persistent = persistent
        return out

    def __init__(self, data=None, *, persistent=True):
        pass                                       # all is done in __new__


def zero_gradient(parameter, set_to_none):
    """Forget a gradient, or cut it off its graph and fill it with zeros."""
    grad = parameter._grad
    if grad is None:
        return
    if set_to_none:
        parameter._grad = None
        return
    if grad.grad_fn is not None:
        grad.detach_()
    else:
        grad.requires_grad_(False)
    grad.zero_()
