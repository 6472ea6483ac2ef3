"""Variable, as tensors that want gradients were called until torch 0.4: programs of that time still run.

Nothing else here knows of it.
"""
from __future__ import annotations

import warnings

from ..core.tensor import Tensor, from_host
from ..core import dtypes


class _Kind(type):
    def __call__(cls, data=None, requires_grad=False, volatile=None):
        if volatile is not None:
            warnings.warn("volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                          UserWarning, stacklevel=2)
        if data is None:
            data = from_host([], dtypes.get_default_dtype())
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)

    def __instancecheck__(cls, x):
        return isinstance(x, Tensor)

    def __subclasscheck__(cls, kind):
        return issubclass(kind, Tensor)


class Variable(metaclass=_Kind):
    """`Variable(t, requires_grad=True)`: a tensor over t's memory, off t's tape. Every tensor is one."""
