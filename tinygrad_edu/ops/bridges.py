"""Tensors out of what others hold: Python's numbers and sequences, numpy, buffers, arrays on a GPU; old constructors.

`tensor` copies; the others look at the same memory where they can. Nothing here is on the tape. How memory is shared is
sharing.py's affair.
"""
from __future__ import annotations

import warnings

import numpy as np

from .. import backends
from ..core import dtypes, layout
from ..core.data import from_data
from ..core.export import export
from ..core.mode import mode
from ..core.tensor import Tensor, empty, from_host
from .create import checked_names, constant, dtype_of, finish, invalid, number, sizes_of
from .sharing import from_interface, on_gpu, over

# ---- copies
COPY = ("To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
        "sourceTensor.detach().clone().requires_grad_(True), rather than {}(sourceTensor).")


def _copied(name, data, dtype, device, names=None):
    if isinstance(data, Tensor):
        warnings.warn(COPY.format(name), UserWarning, stacklevel=3)
        device = data.device if device is None else device
    if on_gpu(data):
        made = from_interface(data).clone()
        made = made.to(device=made.device if device is None else device, dtype=dtype_of("tensor", dtype, made.dtype))
    else:
        made = from_data(data, dtype and dtype_of("tensor", dtype), backends.creating(device))
    if names is not None:
        made = from_host(made._host(), made.dtype, made._spec.backend, checked_names(names, made.shape))
    return made


@export("tensor()", out=False)
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """A copy of numbers, nested sequences, a numpy array or a tensor, as a leaf.

    Floats become the default dtype, ints int64, bools bool; arrays keep theirs.
    """
    return finish(_copied("torch.tensor", data, dtype, device, names), requires_grad)


@export(".new_tensor")
def new_tensor(input, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """A copy of `data` with this tensor's dtype and device."""
    device = input.device if device is None else device
    return finish(_copied("tensor.new_tensor", data, dtype or input.dtype, device), requires_grad)


@export("scalar_tensor()", out=False)
def scalar_tensor(s, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A 0-d tensor of a number."""
    return constant("scalar_tensor", (), number(s, "scalar_tensor", "s", 1), dtype, device, requires_grad)


def legacy(cls, args, dtype, device=None):
    """The old constructors: `Tensor(2, 3)` has that shape (uninitialised), `Tensor([1, 2])` those values."""
    if len(args) == 1 and not isinstance(args[0], (int, np.integer, layout.Size)) or args and isinstance(args[0], bool):
        data = args[0]
        if isinstance(data, Tensor):
            if dtype is not None and data.dtype is not dtype:
                raise TypeError(f"expected a tensor of {dtype}, got one of {data.dtype}: convert it with .to({dtype})")
            made = data.detach()
        elif isinstance(data, (bool, float)):
            raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
        else:
            made = from_data(data, dtype or dtypes.get_default_dtype(), device)
    else:
        shape = sizes_of(args, "new") if args else (0,)
        made = empty(shape, dtype or dtypes.get_default_dtype(), backends.get_backend(device))
    if cls is not Tensor:
        made.__class__ = cls
    return made


def _constructor(cls, *args, device=None, **unknown):
    if unknown:
        raise invalid("new", args, "*, torch.device device = None", "tuple of ints size", "object data", **unknown)
    return legacy(cls, args, None, device)


Tensor.__new__ = staticmethod(_constructor)
Tensor.new = lambda self, *args, device=None: legacy(Tensor, args, self.dtype, device or self.device)


# ---- the same memory
READ_ONLY = ("The given {} is not writable, and PyTorch does not support non-writable tensors. This means {}. You may "
             "want to copy the {} to protect its data or make it writable before converting it to a tensor. This type "
             "of warning will be suppressed for the rest of this program.")
_warned = set()


def _warn_read_only(kind, consequence, what):
    if kind not in _warned:                        # once per program, as torch
        _warned.add(kind)
        warnings.warn(READ_ONLY.format(kind, consequence, what), UserWarning, stacklevel=4)


@export("from_numpy()", out=False)
def from_numpy(ndarray):
    """A tensor over the memory of a numpy array: what is written to one is seen by the other."""
    if not isinstance(ndarray, np.ndarray):
        kind = type(ndarray)
        raise TypeError(f"expected np.ndarray (got {'numpy.' * issubclass(kind, np.generic)}{kind.__name__})")
    if not ndarray.flags.writeable:                # the tensor is not either: numpy refuses to write
        _warn_read_only("NumPy array", "writing to this tensor will result in undefined behavior", "array")
    return over(ndarray)


@export("as_tensor()", out=False)
def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, without a copy where possible: a tensor, a numpy array, an array on the GPU."""
    if isinstance(data, np.ndarray):
        data, device = from_numpy(data), backends.creating(device)
    elif on_gpu(data):
        data = from_interface(data)
    elif not isinstance(data, Tensor):
        return tensor(data, dtype=dtype, device=device)
    return data.to(device=data.device if device is None else device, dtype=dtype_of("as_tensor", dtype, data.dtype))


@export("asarray()", out=False)
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """`as_tensor` with a say on copying; takes buffers (bytes, bytearray, memoryview) too."""
    if isinstance(obj, (bytes, bytearray, memoryview)):
        made = frombuffer(obj, dtype=dtype_of("asarray", dtype))
    elif isinstance(obj, (Tensor, np.ndarray)) or on_gpu(obj):
        made = as_tensor(obj, dtype=dtype, device=device)
    elif copy is False:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    else:
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    shares = made is obj or not isinstance(obj, Tensor) and dtype in (None, made.dtype)
    if copy and shares:
        made = made.clone()
    if copy is False and not shares:
        raise ValueError("can't alias tensor with dtype or device of its own: a conversion needs a copy")
    if isinstance(obj, Tensor) and not copy:       # torch: never the same object with another requires_grad
        made = made.detach() if made.requires_grad and not requires_grad else made
        made = made.detach() if requires_grad and not made.requires_grad and made is obj else made
    return finish(made, requires_grad)


@export("frombuffer()", out=False)
def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A tensor over the memory of an object with Python's buffer protocol."""
    try:
        memory = memoryview(buffer)
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    dtype, length, step = dtype_of("frombuffer", dtype), memory.nbytes, dtype.itemsize
    if memory.readonly:
        _warn_read_only("buffer", "you can write to the underlying (supposedly non-writable) buffer using the tensor",
                        "buffer")
    if not length or not count:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} "
                         f"bytes) minus 1")
    if count > 0 and offset + count * step > length:
        raise ValueError(f"requested buffer length ({count} * {step} bytes) after offset ({offset} bytes) must not be "
                         f"greater than actual buffer length ({length} bytes)")
    if count < 0 and (length - offset) % step:
        raise ValueError(f"buffer length ({length} bytes) after offset ({offset} bytes) must be a multiple of element "
                         f"size ({step})")
    return finish(over(np.frombuffer(memory, dtype.numpy, max(count, -1), offset)), requires_grad)


def _kernel_array(x):
    """What a kernel of the user's own is given for a tensor: its memory, to read and to write."""
    if mode.grad and x.requires_grad:
        raise RuntimeError("Can't hand a Tensor that requires grad to a kernel. Use tensor.detach(), or call the "
                           "kernel in the forward of an autograd.Function.")
    x._storage                                     # noqa: B018  (the kernel may write: the memory is shared from now on)
    return x._array


Tensor.__kernel_array__ = _kernel_array
