"""Tensors out of nothing: constants, ranges, copies of Python data, and bridges to numpy.

Nothing here is on the tape.
"""
from __future__ import annotations

import math

import numpy as np

from .. import backends
from ..core import dtypes, layout, names as dim_names
from ..core.export import export
from ..core.storage import Storage
from ..core.data import from_data
from ..core.tensor import Tensor, empty as _empty, filled, from_host, from_storage


def sizes_of(size):
    """Sizes given one by one, or as one sequence; torch's errors for what is neither."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    shape = []
    for place, n in enumerate(size):
        if isinstance(n, Tensor):
            n = n.item()
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"size must be a tuple of ints, but found element of type {type(n).__name__} at pos {place}")
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(map(int, size))}")
        shape.append(int(n))
    return tuple(shape)


def finish(out, requires_grad):
    if requires_grad:
        out.requires_grad = True
    return out


def checked_names(names, shape):
    return None if names is None else dim_names.validate(names, len(shape))


def _constant(shape, value, dtype, device, requires_grad, names):
    dtype = dtype or dtypes.get_default_dtype()
    made = filled(shape, value, dtype, backends.get_backend(device), checked_names(names, shape))
    return finish(made, requires_grad)


@export("zeros()")
def zeros(*size, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """Zeros of a shape."""
    return _constant(sizes_of(size), 0, dtype, device, requires_grad, names)


@export("ones()")
def ones(*size, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """Ones of a shape."""
    return _constant(sizes_of(size), 1, dtype, device, requires_grad, names)


@export("empty()")
def empty(*size, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None, memory_format=None):
    """Uninitialised memory of a shape."""
    shape = sizes_of(size)
    made = _empty(shape, dtype or dtypes.get_default_dtype(), backends.get_backend(device), checked_names(names, shape))
    return finish(made, requires_grad)


@export("full()")
def full(size, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, names=None, pin_memory=False):
    """One value everywhere; its type decides the dtype."""
    if isinstance(fill_value, Tensor):
        dtype, fill_value = dtype or fill_value.dtype, fill_value.item()
    shape = sizes_of((size,) if isinstance(size, int) else tuple(size))
    return _constant(shape, fill_value, dtype or dtypes.of_number(fill_value), device, requires_grad, names)


def _like(x, value, dtype, device, requires_grad):
    dtype = dtype or x.dtype
    backend = x._spec.backend if device is None else backends.get_backend(device)
    spec = x._spec
    if spec.contiguous or not layout.is_dense(spec.shape, spec.strides):
        made = _empty(spec.shape, dtype, backend, spec.names)
    else:                                          # torch keeps the order of dimensions in memory
        made = from_storage(Storage(backend.empty(x.numel(), dtype), backend, dtype), spec.shape, spec.strides, 0, dtype, spec.names)
    if value is not None:
        backend.fill(made._array, value)
    return finish(made, requires_grad)


@export("zeros_like()")
def zeros_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False):
    return _like(input, 0, dtype, device, requires_grad)


@export("ones_like()")
def ones_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False):
    return _like(input, 1, dtype, device, requires_grad)


@export("empty_like()")
def empty_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False):
    return _like(input, None, dtype, device, requires_grad)


@export("full_like()")
def full_like(input, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False):
    return _like(input, fill_value, dtype, device, requires_grad)


def _new(name, value):
    def new(input, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
        backend = input._spec.backend if device is None else backends.get_backend(device)
        shape, dtype = sizes_of(size), dtype or input.dtype
        return finish(_empty(shape, dtype, backend) if value is None else filled(shape, value, dtype, backend), requires_grad)
    new.__name__ = name
    export(f".{name}")(new)


for _name, _value in (("new_zeros", 0), ("new_ones", 1), ("new_empty", None)):
    _new(_name, _value)


@export(".new_full")
def new_full(input, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    return full(size, fill_value, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad)


@export(".new_tensor")
def new_tensor(input, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    return tensor(data, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad)


# ---- ranges
def _number(x):
    return x.item() if isinstance(x, (Tensor, np.generic)) else x


@export("arange()")
def arange(start=0, end=None, step=1, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """start, start + step, ... below `end`. `arange(end)` starts at 0."""
    if end is None:
        start, end = 0, start
    start, end, step = _number(start), _number(end), _number(step)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        dtype = dtypes.get_default_dtype() if any(isinstance(v, float) for v in (start, end, step)) else dtypes.int64
    count = math.ceil((end - start) / step)
    kind = np.float64 if dtype.is_floating_point else np.int64
    host = np.arange(count).astype(kind) * kind(step) + kind(start)
    made = from_host(host, dtype, backends.get_backend(device))
    return finish(made, requires_grad)


@export("linspace()")
def linspace(start, end, steps, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """`steps` numbers from `start` to `end`, both included."""
    start, end, steps = _number(start), _number(end), int(steps)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    dtype = dtype or dtypes.get_default_dtype()
    # as torch: in the type itself, from both ends, so that the halves mirror each other
    kind = dtype.numpy.type if dtype.itemsize > 2 and dtype.is_floating_point else np.float32 if dtype.is_floating_point else np.float64
    i = np.arange(steps)
    step = kind(end - start) / kind(steps - 1) if steps > 1 else kind(0)
    host = np.where(i < steps // 2, kind(start) + step * i.astype(kind), kind(end) - step * (steps - i - 1).astype(kind)) if steps > 1 else np.full(steps, start, kind)
    made = from_host(host, dtype, backends.get_backend(device))
    return finish(made, requires_grad)


@export("logspace()")
def logspace(start, end, steps, base=10.0, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """`base` to the powers `linspace(start, end, steps)`."""
    dtype = dtype or dtypes.get_default_dtype()
    host = np.power(float(base), np.linspace(_number(start), _number(end), int(steps)))
    made = from_host(host, dtype, backends.get_backend(device))
    return finish(made, requires_grad)


@export("eye()")
def eye(n, m=None, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Ones on the diagonal of an n x m matrix."""
    if n < 0:
        raise RuntimeError(f"n must be greater or equal to 0, got {n}")
    made = from_host(np.eye(n, n if m is None else m), dtype or dtypes.get_default_dtype(), backends.get_backend(device))
    return finish(made, requires_grad)


# ---- data from outside
def _constructor(cls, *data, dtype=None, device=None, requires_grad=False):
    """The old constructor: `Tensor(2, 3)` has that shape (uninitialised), `Tensor([1, 2])` those values."""
    if len(data) == 1 and not isinstance(data[0], int):
        made = from_data(data[0], dtype or dtypes.get_default_dtype(), device)
    else:
        made = _empty(data if data else (0,), dtype or dtypes.get_default_dtype(), backends.get_backend(device))
    if cls is not Tensor:
        made.__class__ = cls
    made._requires_grad = requires_grad
    return made


Tensor.__new__ = staticmethod(_constructor)


@export("tensor()")
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """A copy of numbers, nested sequences, a numpy array or a tensor, as a leaf.

    Floats become the default dtype, ints int64, bools bool; arrays keep theirs.
    """
    if isinstance(data, Tensor):
        import warnings
        warnings.warn("To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
                      "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).", UserWarning, stacklevel=2)
        device = data.device if device is None else device
    made = from_data(data, dtype, device)
    if names is not None:
        made = from_host(made._host(), made.dtype, made._spec.backend, dim_names.validate(names, made.ndim))
    return finish(made, requires_grad)


@export("scalar_tensor()")
def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    return tensor(s, dtype=dtype or dtypes.get_default_dtype(), device=device, requires_grad=requires_grad)


@export("from_numpy()")
def from_numpy(ndarray):
    """A tensor over the memory of a numpy array: what is written to one is seen by the other."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    dtype = dtypes.from_numpy(ndarray.dtype)
    if not ndarray.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order. Conversion between byte orders is "
                         "currently not supported.")
    if any(s < 0 for s in ndarray.strides):
        raise ValueError("At least one stride in the given numpy array is negative, and tensors with negative strides are not currently "
                         "supported. (You can probably work around this by making a copy of your array  with array.copy().) ")
    if not ndarray.flags.writeable:
        import warnings
        warnings.warn("The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing to this "
                      "tensor will result in undefined behavior. You may want to copy the array to protect its data or make it writable "
                      "before converting it to a tensor. This type of warning will be suppressed for the rest of this program.",
                      UserWarning, stacklevel=2)
        ndarray = ndarray.copy()                   # torch would write into protected memory
    step = ndarray.itemsize
    if any(s % step for s in ndarray.strides):
        raise ValueError("given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory.")
    strides = tuple(s // step for s in ndarray.strides)
    if ndarray.flags.c_contiguous:
        buffer = ndarray.reshape(-1)
        strides = layout.contiguous_strides(ndarray.shape)
    else:
        buffer = np.lib.stride_tricks.as_strided(ndarray, (layout.extent(ndarray.shape, strides),), (step,))
    out = from_storage(Storage(buffer, backends.CPU, dtype), ndarray.shape, strides, 0, dtype)
    return out


@export("as_tensor()")
def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, without a copy where possible (a tensor, or a numpy array on the CPU)."""
    if isinstance(data, np.ndarray):
        data = from_numpy(data)
    elif not isinstance(data, Tensor):
        return tensor(data, dtype=dtype, device=device)
    return data.to(device=device or data.device, dtype=dtype or data.dtype)


@export("asarray()")
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """`as_tensor`, with a say on copying."""
    out = as_tensor(obj, dtype=dtype, device=device)
    if copy and (out is obj or isinstance(obj, np.ndarray)):
        out = out.clone()
    return finish(out.detach() if isinstance(obj, Tensor) and not requires_grad and out is not obj else out, requires_grad)


@export("from_dlpack()")
def from_dlpack(ext_tensor):
    """A tensor over memory that another library offers by the DLPack protocol."""
    class _Host:                                   # numpy asks for these two only
        def __init__(self, other):
            self.other = other

        def __dlpack__(self, **kwargs):
            try:
                return self.other.__dlpack__(**kwargs)
            except TypeError:
                return self.other.__dlpack__()

        def __dlpack_device__(self):
            return self.other.__dlpack_device__()
    found = np.from_dlpack(_Host(ext_tensor))
    if not found.flags.writeable:
        # numpy marks what it imports read-only; the memory is the other library's, and torch shares it writable
        pointer = found.__array_interface__["data"][0]
        holder = type("_Memory", (), {"__array_interface__": {**found.__array_interface__, "data": (pointer, False)}, "keep": found})()
        found = np.asarray(holder)
    return from_numpy(found)


def _dlpack(x, *, stream=None, max_version=None, dl_device=None, copy=None):
    if x.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return x.numpy().__dlpack__(**({} if max_version is None else {"max_version": max_version}))


Tensor.__dlpack__ = _dlpack
Tensor.__dlpack_device__ = lambda x: (1, 0)


