"""Tensors out of Python numbers, nested sequences and arrays: torch's inference of shape and dtype.

Everything that comes in is copied. Views of foreign memory are made in ops.create.
"""
from __future__ import annotations

import math
from itertools import chain
from operator import index

import numpy as np

from .. import backends
from . import dtypes, errors
from .tensor import Tensor, from_host

LIMITS = {d: (np.iinfo(d.numpy).min, np.iinfo(d.numpy).max) for d in dtypes.DTYPES.values()
          if d.category == dtypes.INTEGER}
C_NAMES = {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t",
           "float32": "float", "float64": "double"}


def from_data(data, dtype=None, device=None, names=None):
    """A copy of Python numbers, nested sequences, a numpy array or a tensor, as `tensor(data)` makes it."""
    backend = backends.get_backend(device)
    if isinstance(data, Tensor):
        host, found = data._host(), data.dtype
    elif isinstance(data, (np.ndarray, np.generic)):
        host = np.asarray(data)
        found = from_array_dtype(host)
    else:
        host, found = from_sequence(data, dtype)
    return from_host(host, dtype or found, backend, names)


def from_array_dtype(array):
    """Our dtype for a numpy array; torch's errors for arrays that it does not take."""
    if array.dtype.kind == "c":
        raise TypeError("complex numbers are not supported")
    found = dtypes.from_numpy(array.dtype)
    if not array.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order. Conversion between "
                         "byte orders is currently not supported.")
    if any(s < 0 for s in array.strides):
        raise ValueError("At least one stride in the given numpy array is negative, and tensors with negative strides "
                         "are not currently supported. (You can probably work around this by making a copy of your "
                         "array  with array.copy().) ")
    return found


# ---- one number
def fits(value, dtype):
    """A Python number for a dtype; torch's error where it lies outside (negative numbers wrap around in uint8)."""
    if isinstance(value, int) and not -2 ** 63 <= value < 2 ** 64:
        raise OverflowError("int too big to convert")
    if dtype is dtypes.bool_:
        return bool(value)
    if dtype.category == dtypes.FLOATING:
        outside = dtype.itemsize > 2 and math.isfinite(value) and abs(value) > dtypes.finfo(dtype).max
    else:
        outside = is_outside(value, value, dtype)
    if outside:
        raise RuntimeError(f"value cannot be converted to type {C_NAMES[dtype.name]} without overflow")
    return value if dtype.category == dtypes.FLOATING else int(value) % 256 if dtype is dtypes.uint8 else int(value)


def is_outside(low, high, dtype):
    """Whether numbers between low and high (or nan) overflow an integer type."""
    least, most = LIMITS[dtype]
    return not ((-most if dtype is dtypes.uint8 else least) <= low and high <= most)


# ---- nested sequences
def from_sequence(data, dtype):
    """Numbers and nested sequences -> (numpy array, dtype), with torch's inference and errors."""
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    shape = shape_of(data)
    flat = flatten(data, shape)
    types = set(map(type, flat))
    if dtype is None:
        dtype = infer(flat, types)
    return numbers(flat, types, dtype).reshape(shape), dtype


def is_sequence(x):
    return (isinstance(x, (list, tuple)) or hasattr(x, "__len__") and hasattr(x, "__getitem__")
            and not isinstance(x, (Tensor, np.generic, dict)) and not (isinstance(x, np.ndarray) and not x.ndim))


def shape_of(data):
    """The shape that the first elements suggest."""
    shape = []
    while is_sequence(data):
        if isinstance(data, (str, bytes)):
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        shape.append(len(data))
        if not len(data):
            break
        data = data[0]
    return tuple(shape)


def flatten(data, shape):
    """The numbers in order, level by level; torch's errors where lengths or depths differ."""
    flat = [data]
    for depth, size in enumerate(shape):
        for kind in set(map(type, flat)) - {list, tuple}:
            odd = next(x for x in flat if type(x) is kind)
            if isinstance(odd, str):
                raise TypeError("new(): invalid data type 'str'")
            if not is_sequence(odd):
                raise TypeError("not a sequence")
        lengths = list(map(len, flat))
        if lengths.count(size) != len(lengths):
            odd = next(n for n in lengths if n != size)
            raise ValueError(f"expected sequence of length {size} at dim {depth} (got {odd})")
        flat = list(chain.from_iterable(flat))
    return flat


def infer(flat, types):
    """The dtype of a list of numbers: the promoted type of all of them."""
    if not flat:
        return dtypes.get_default_dtype()
    found = None
    for kind in types:
        if kind in (bool, int, float) or issubclass(kind, (bool, int, float)) and not issubclass(kind, np.generic):
            mine = {dtypes.of_number(kind())}
        else:
            mine = {_dtype_of(x) for x in flat if type(x) is kind}
        for dtype in mine:
            found = dtype if found is None else dtypes.promote_types(found, dtype)
    return found


def _dtype_of(x):
    if isinstance(x, Tensor):
        return x.dtype
    if isinstance(x, (np.generic, np.ndarray)) and x.dtype.kind != "c":
        return dtypes.from_numpy(x.dtype)
    if isinstance(x, (complex, np.generic)):
        raise TypeError("complex numbers are not supported")
    if isinstance(x, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(x).__name__}'")
    if is_sequence(x):                             # nested deeper than its neighbours: its numbers still have a type
        return infer(list(x), set(map(type, x)))
    raise RuntimeError(f"Could not infer dtype of {type(x).__name__}")


def numbers(flat, types, dtype):
    """A list of numbers as a flat numpy array that `dtype` can take."""
    if not types <= {bool, int, float}:
        flat = [plain(x, dtype) for x in flat]
    if dtype is dtypes.bool_:
        return np.array(list(map(bool, flat)), np.bool_)
    if dtype.category == dtypes.FLOATING:
        return np.array(flat, np.float64)
    if float in map(type, flat):
        for value in flat:
            if is_outside(value, value, dtype):
                raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")
        flat = list(map(int, flat))
    try:
        host = np.array(flat, np.int64)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    if host.size and is_outside(int(host.min()), int(host.max()), dtype):
        raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")
    return host


def plain(x, dtype):
    """One number as Python's own; torch's TypeError for what is none."""
    if isinstance(x, (bool, int, float)) and not isinstance(x, np.generic):
        return x
    if isinstance(x, (Tensor, np.ndarray, np.generic)):
        if isinstance(x, Tensor) and x.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return x.item()
    if dtype.category == dtypes.FLOATING and hasattr(x, "__float__"):
        return float(x)
    if hasattr(x, "__index__"):
        return int(x)
    name = type(x).__name__
    raise TypeError(f"must be real number, not {name}" if dtype.category == dtypes.FLOATING else
                    f"'{name}' object cannot be interpreted as an integer")


def sizes_of(args, name, argument):
    """Sizes or dims given one by one, or as one sequence; Tensors count as their number."""
    one_by_one = not (len(args) == 1 and isinstance(args[0], (tuple, list)))
    if not args:
        raise errors.missing(name, [argument])
    given = args if one_by_one else args[0]
    try:
        return tuple([index(a) for a in given])
    except TypeError:
        place, kind = next(((i, type(a).__name__) for i, a in enumerate(given) if not hasattr(a, "__index__")),
                           (None, ""))
        if place is None:                          # an __index__ of the caller's own failed
            raise
        if one_by_one and not place:
            raise TypeError(f"{name}(): argument '{argument}' (position 1) must be tuple of ints, not {kind}") from None
        raise TypeError(f"{name}(): argument '{argument}' failed to unpack the object at pos {place + 1} with error "
                        f'"type must be tuple of ints,but got {kind}"') from None
