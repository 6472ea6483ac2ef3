"""Questions about tensors and dtypes, and torch's old tensor types (`FloatTensor` ...).

Nothing here computes; the rules of promotion are in core.dtypes.
"""
from __future__ import annotations

import warnings

from ..core import dtypes
from ..core.export import export, functions
from ..core.tensor import Tensor
from .bridges import legacy
from .views import Alias


def _tensor(name, input):
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return input


def is_tensor(obj):
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input):
    return _tensor("is_floating_point", input).is_floating_point()


def is_complex(input):
    return _tensor("is_complex", input).is_complex()


def is_nonzero(input):
    """Whether the one element of a tensor is not zero."""
    return _tensor("is_nonzero", input).is_nonzero()


def is_inference(input):
    """Whether a tensor was made in inference mode."""
    return _tensor("is_inference", input).is_inference()


def numel(input):
    """How many elements a tensor has."""
    return _tensor("numel", input).numel()


@export(".as_subclass")
def as_subclass(input, cls):
    """A tensor over the same memory, on the tape, of a class that inherits from Tensor."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError("Creating a Tensor subclass from a class that does not inherit from Tensor is not possible. "
                        "Make sure your class inherits from Tensor.")
    out = Alias.of(input, input._spec.shape, input._spec.strides, None, input._spec.names)
    out.__class__ = cls
    return out


# ---- FloatTensor and its like
class _TensorType(type):
    """The type of FloatTensor ...: called, it makes a tensor; `isinstance` asks for dtype and device."""

    def __call__(cls, *args, device=None):
        return legacy(Tensor, args, cls.dtype, device)

    def __instancecheck__(cls, x):
        return isinstance(x, Tensor) and x.dtype is cls.dtype and x.is_cpu


def _tensor_type(dtype):
    name = f"{dtype.legacy_name}Tensor"
    return _TensorType(name, (), {"dtype": dtype, "__module__": "torch", "__doc__": f"CPU tensors of dtype {dtype}."})


TENSOR_TYPES = {f"{dtype.legacy_name}Tensor": _tensor_type(dtype) for dtype in list(dtypes.DTYPES.values())}


def set_default_tensor_type(t):
    """The old way to say `set_default_dtype`."""
    warnings.warn("torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use "
                  "torch.set_default_dtype() and torch.set_default_device() as "
                  "alternatives.", UserWarning, stacklevel=2)
    if isinstance(t, str):
        t = TENSOR_TYPES.get(t.removeprefix("torch."), t)
    if not isinstance(t, _TensorType):
        raise TypeError("invalid type object")
    dtypes.set_default_dtype(t.dtype)


functions.update(TENSOR_TYPES)
functions.update({f.__name__: f for f in (is_tensor, is_floating_point, is_complex, is_nonzero, is_inference, numel,
                                          set_default_tensor_type)})
