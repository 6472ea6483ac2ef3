"""Tensors out of nothing: constants and ranges.

Nothing here is on the tape. Tensors out of other people's data are made in ops.bridges, random ones in ops.random.
"""
from __future__ import annotations

import math

import numpy as np

from .. import backends
from ..core import dtypes, layout as strides_of, names as dim_names
from ..core.data import fits
from ..core.export import export
from ..core.generator import fused
from ..core.storage import Storage
from ..core.tensor import Tensor, empty as uninitialised, from_host, from_storage


# ---- arguments that all constructors share
def sizes_of(args, name="empty", size=None):
    """Sizes given one by one, as one sequence, or as `size=`; torch's errors for what is neither."""
    if size is not None:
        args = (size,)
    if not args:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    if len(args) > 1 and isinstance(args[0], (tuple, list)):
        raise TypeError(f"{name}() takes 1 positional argument but {len(args)} were given")
    one_by_one = not (len(args) == 1 and isinstance(args[0], (tuple, list)))
    shape = []
    for place, n in enumerate(args if one_by_one else args[0]):
        if isinstance(n, Tensor) and n.dtype.category != dtypes.FLOATING:
            n = n.item()
        if not isinstance(n, (int, np.integer)) or one_by_one and place == 0 and n.__class__ is bool:
            if one_by_one and place == 0:
                raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not {type(n).__name__}")
            raise TypeError(f"{name}(): argument 'size' failed to unpack the object at pos {place + 1} with error "
                            f'"type must be tuple of ints,but got {type(n).__name__}"')
        shape.append(int(n))
    if any(n < 0 for n in shape):
        if name in ("zeros", "ones"):
            raise RuntimeError(f"{name}: Dimension size must be non-negative.")
        negative = next(n for n in shape if n < 0)
        raise RuntimeError(f"Trying to create tensor with negative dimension {negative}: {shape}")
    return tuple(shape)


PYTHON_TYPES = {int: dtypes.int64, float: dtypes.float64, bool: dtypes.bool_}


def dtype_of(name, dtype, otherwise=None):
    """A constructor's `dtype=`: one of ours, or one of Python's types."""
    if dtype is None:
        return otherwise or dtypes.get_default_dtype()
    if not isinstance(dtype, dtypes.dtype):
        found = PYTHON_TYPES.get(dtype) if isinstance(dtype, type) else None
        if found is None:
            raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
        return found
    return dtype


def checked_names(names, shape):
    return None if names is None else dim_names.validate(names, len(shape))


def finish(out, requires_grad):
    """A constructor's `requires_grad=`."""
    if requires_grad:
        if not out.is_floating_point():
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        out.requires_grad = True
    return out


def invalid(name, args, *signatures, **keywords):
    """torch's TypeError for arguments that fit none of a function's signatures."""
    got = [type(a).__name__ for a in args]
    got += [f"{key}={'torch.dtype' if type(v) is dtypes.dtype else type(v).__name__}" for key, v in keywords.items()]
    return TypeError(f"{name}() received an invalid combination of arguments - got ({', '.join(got)}), but expected "
                     "one of:\n" + "\n".join(f" * ({signature})" for signature in signatures))


def number(x, name, argument, place):
    """A Python number, from one or from a tensor or numpy scalar."""
    if isinstance(x, (np.generic, Tensor)) and (isinstance(x, np.generic) or not x.ndim):
        x = x.item()
    if isinstance(x, complex):
        raise TypeError("complex numbers are not supported")
    if not isinstance(x, (bool, int, float)):
        raise TypeError(f"{name}(): argument '{argument}' (position {place}) must be Number, not {type(x).__name__}")
    if isinstance(x, int) and not -2 ** 63 <= x < 2 ** 64:
        raise OverflowError("int too big to convert")
    return x


# ---- constants
CONSTANTS = {"zeros": 0, "ones": 1, "empty": None}


def backend_for(device):
    """The backend of a new tensor: of the device asked for, else of the default one."""
    return backends.get_backend(backends.creating(device))


def constant(name, shape, value, dtype, device, requires_grad=False, names=None):
    made = uninitialised(shape, dtype_of(name, dtype), backend_for(device), checked_names(names, shape))
    return finish(filled(made, value), requires_grad)


def filled(made, value):
    """`made` with `value` everywhere (None: as the memory was)."""
    if value is not None:
        made._spec.backend.fill(made._array, fits(value, made.dtype))
    return made


def like(x, value, dtype=None, device=None, requires_grad=False, memory_format=None):
    """A tensor of x's shape and names, and with its order of dimensions in memory."""
    spec = x._spec
    backend = spec.backend if device is None else backends.get_backend(device)
    dtype = dtype_of("empty_like", dtype, spec.dtype)
    strides = dense_strides(spec.shape, spec.strides)
    if memory_format is strides_of.contiguous_format or strides == strides_of.contiguous_strides(spec.shape):
        made = uninitialised(spec.shape, dtype, backend, spec.names)
    else:
        buffer = backend.empty(x.numel(), dtype)
        made = from_storage(Storage(buffer, backend, dtype), spec.shape, strides, 0, dtype, spec.names)
    return finish(filled(made, value), requires_grad)


def dense_strides(shape, strides):
    """Strides without holes that keep the order of dimensions in memory; those of the shape where that is ambiguous."""
    if strides_of.is_dense(shape, strides):
        return tuple(strides)
    if 0 in strides:
        return strides_of.contiguous_strides(shape)
    out, step = [0] * len(shape), 1
    for d in sorted(reversed(range(len(shape))), key=lambda d: strides[d]):
        out[d] = step
        step *= shape[d]
    return tuple(out)


def need_tensor(name, input):
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")


def _family(name, value):
    """zeros, zeros_like and x.new_zeros; so for ones and empty."""
    says = "Uninitialised memory" if value is None else name.capitalize()

    def make(*args, size=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None,
             memory_format=None):
        return constant(name, sizes_of(args, name, size), value, dtype, device, requires_grad, names)

    def make_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None,
                  pin_memory=False):
        need_tensor(f"{name}_like", input)
        return like(input, value, dtype, device, requires_grad, memory_format)

    def make_new(input, *args, size=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
        shape = sizes_of(args, f"new_{name}", size)
        return constant(f"new_{name}", shape, value, dtype or input.dtype, input.device if device is None else device,
                        requires_grad)

    for spelling, function, more in ((f"{name}()", make, "of a shape"),
                                     (f"{name}_like()", make_like, "shaped like `input`"),
                                     (f".new_{name}", make_new, "of a shape, with this tensor's dtype and device")):
        function.__name__ = function.__qualname__ = spelling.strip(".()")
        function.__doc__ = f"{says} {more}."
        export(spelling)(function)


for _name, _value in CONSTANTS.items():
    _family(_name, _value)


@export("full()")
def full(size, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False, names=None):
    """One value everywhere; its type decides the dtype."""
    if isinstance(fill_value, Tensor) and not fill_value.ndim:
        dtype = dtype or fill_value.dtype
    fill_value = number(fill_value, "full", "fill_value", 2)
    shape = sizes_of((size,), "full")
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}")
    return constant("full", shape, fill_value, dtype or dtypes.of_number(fill_value), device, requires_grad, names)


@export("full_like()")
def full_like(input, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None,
              pin_memory=False):
    """One value everywhere, shaped like `input` and of its dtype."""
    need_tensor("full_like", input)
    return like(input, number(fill_value, "full_like", "fill_value", 2), dtype, device, requires_grad, memory_format)


@export(".new_full")
def new_full(input, size, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """One value everywhere, with this tensor's dtype and device."""
    return full(size, fill_value, dtype=dtype or input.dtype, device=input.device if device is None else device,
                requires_grad=requires_grad)


@export("eye()")
def eye(n, m=None, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Ones on the diagonal of an n x m matrix."""
    m = n if m is None else m
    for letter, size in (("n", n), ("m", m)):
        if not isinstance(size, (int, np.integer)):
            raise TypeError(f"eye(): argument '{letter}' (position {'nm'.index(letter) + 1}) must be int, not "
                            f"{type(size).__name__}")
        if size < 0:
            raise RuntimeError(f"{letter} must be greater or equal to 0, got {size}")
    return finish(from_host(np.eye(n, m), dtype_of("eye", dtype), backend_for(device)), requires_grad)


# ---- ranges
def _range(host, dtype, device, requires_grad):
    return finish(from_host(host, dtype, backend_for(device)), requires_grad)


def _no_bool(dtype, kernel):
    if dtype is dtypes.bool_:
        raise NotImplementedError(f'"{kernel}" not implemented for \'Bool\'')


@export("arange()")
def arange(*bounds, start=0, end=None, step=1, dtype=None, layout=None, device=None, requires_grad=False,
           pin_memory=False):
    """start, start + step, ... below `end`. `arange(end)` starts at 0."""
    if not bounds and end is None or len(bounds) > 3:
        raise invalid("arange", bounds, "Number end", "Number start, Number end",
                      "Number start, Number end, Number step")
    if len(bounds) == 1 and end is None:
        end = bounds[0]
    elif bounds:
        start, end, step = (*bounds, *(end, step)[len(bounds) - 1:])
    start, end, step = (number(v, "arange", word, 1) for v, word in ((start, "start"), (end, "end"), (step, "step")))
    if dtype is None and not any(isinstance(v, float) for v in (start, end, step)):
        dtype = dtypes.int64
    dtype = dtype_of("arange", dtype)
    _no_bool(dtype, "arange_cpu")
    if dtype is dtypes.int64:
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start:g} -> {end:g}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = -((start - end) // step) if dtype is dtypes.int64 else math.ceil((end - start) / step)
    if dtype.category != dtypes.FLOATING:
        host = np.arange(count, dtype=np.int64) * np.int64(int(step)) + np.int64(int(start))
    else:
        host = _in_lanes(start, step, count, dtype)
    return _range(host, dtype, device, requires_grad)


def _in_lanes(start, step, count, dtype):
    """start + step * i, bit for bit as torch's code for AVX2: the first number of each group of lanes is rounded.

    The others are so many steps from there.
    """
    kind = np.float32 if dtype.itemsize == 2 else np.float64
    i, lanes = np.arange(count), 32 // dtype.itemsize
    first = np.where(i < count // (2 * lanes) * 2 * lanes, i // lanes * lanes, i)
    base = fused(first.astype(kind), kind(step), kind(start)).astype(dtype.numpy).astype(kind)
    return fused((i - first).astype(kind), kind(step), base)


@export("linspace()")
def linspace(start, end, steps=None, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """`steps` numbers from `start` to `end`, both included."""
    dtype = dtype_of("linspace", dtype)
    host = _linspace("linspace", start, end, steps, dtype)
    _no_bool(dtype, "linspace_cpu")
    return _range(host, dtype, device, requires_grad)


def _linspace(name, start, end, steps, dtype):
    """As torch: in the type itself, from both ends, so that the halves mirror each other."""
    for word, value in (("start", start), ("end", end)):
        if isinstance(value, Tensor) and value.ndim:
            raise RuntimeError(f"{name} only supports 0-dimension{'al' if name == 'linspace' else ''} start and end "
                               f"tensors, but got {word} with {value.ndim} dimension(s).")
    start, end = number(start, name, "start", 1), number(end, name, "end", 2)
    if not isinstance(steps, (int, np.integer)):
        raise invalid(name, (start, end) if steps is None else (start, end, steps),
                      "Number start, Number end, int steps")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    kind = dtype.numpy.type if dtype.category == dtypes.FLOATING else np.float64
    i = np.arange(steps)
    if steps < 2:
        return np.full(steps, start, kind)
    if dtype.category != dtypes.FLOATING:
        start, end = int(start), int(end)
    start, end, ahead = kind(start), kind(end), i < steps // 2
    step = kind((end - start) / kind(steps - 1))
    if np.dtype(kind).itemsize > 2:                # one fused multiply-add each
        return np.where(ahead, fused(i.astype(kind), step, start), fused((steps - i - 1).astype(kind), -step, end))
    reach = (np.float32(step) * np.where(ahead, i, steps - i - 1).astype(np.float32)).astype(kind)
    return np.where(ahead, start + reach, end - reach)


@export("logspace()")
def logspace(start, end, steps=None, base=10.0, *, dtype=None, layout=None, device=None, requires_grad=False,
             pin_memory=False):
    """`base` to the powers `linspace(start, end, steps)`."""
    dtype = dtype_of("logspace", dtype)
    with np.errstate(all="ignore"):
        host = np.power(float(base), _linspace("logspace", start, end, steps, dtypes.float64))
    return _range(host, dtype, device, requires_grad)
