"""Element types, and torch's rule for the type of a result.

Nothing in this file knows what a tensor is: a rule sees dtypes and "how strongly" each of them speaks.
Source: https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
"""
from __future__ import annotations

import numpy as np

BOOL, INTEGER, FLOATING = range(3)                  # torch's categories: a higher one always wins


class dtype:
    """An element type, printed as torch prints it. There is one object per type: compare with `is`."""
    __slots__ = ("name", "numpy", "itemsize", "category", "is_signed", "legacy_name", "_rank")

    def __init__(self, name, numpy, category, legacy_name, rank):
        self.name, self.numpy, self.category = name, np.dtype(numpy), category
        self.itemsize, self.legacy_name, self._rank = self.numpy.itemsize, legacy_name, rank
        self.is_signed = name not in ("bool", "uint8")

    is_floating_point = property(lambda self: self.category == FLOATING)
    is_complex = property(lambda self: False)

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return _by_name, (self.name,)

    def to_complex(self):
        raise RuntimeError(f"complex numbers are not supported, so {self!r} has no complex twin")


#                 name       numpy      category  torch's old name  rank: order within a category
bool_   = dtype("bool",    np.bool_,   BOOL,     "Bool",   0)
uint8   = dtype("uint8",   np.uint8,   INTEGER,  "Byte",   0)
int8    = dtype("int8",    np.int8,    INTEGER,  "Char",   1)
int16   = dtype("int16",   np.int16,   INTEGER,  "Short",  2)
int32   = dtype("int32",   np.int32,   INTEGER,  "Int",    3)
int64   = dtype("int64",   np.int64,   INTEGER,  "Long",   4)
float16 = dtype("float16", np.float16, FLOATING, "Half",   1)
float32 = dtype("float32", np.float32, FLOATING, "Float",  2)
float64 = dtype("float64", np.float64, FLOATING, "Double", 3)
DTYPES = {d.name: d for d in (bool_, uint8, int8, int16, int32, int64, float16, float32, float64)}
_from_numpy = {d.numpy: d for d in DTYPES.values()}


def _by_name(name):
    return bfloat16() if name == "bfloat16" else DTYPES[name]


def bfloat16():
    """torch.bfloat16, on the numpy type that ml_dtypes provides; made when first asked for."""
    found = DTYPES.get("bfloat16")
    if found is None:
        try:
            import ml_dtypes
        except ImportError:
            raise ImportError('bfloat16 needs the ml_dtypes package: pip install "tinygrad_edu[io]"') from None
        found = DTYPES["bfloat16"] = dtype("bfloat16", ml_dtypes.bfloat16, FLOATING, "BFloat16", 0)
        _from_numpy[found.numpy] = found
    return found


def from_numpy(numpy_dtype):
    """Our dtype for a numpy one; torch's TypeError for those that have none."""
    found = _from_numpy.get(numpy_dtype)
    if found is None:
        numpy_dtype = np.dtype(numpy_dtype)
        found = _from_numpy.get(numpy_dtype.newbyteorder("="))
        if found is None and numpy_dtype.name == "bfloat16":
            found = bfloat16()
        if found is None:
            raise TypeError(
                f"can't convert np.ndarray of type {numpy_dtype.type.__module__}.{numpy_dtype.type.__name__}. The only "
                f"supported types are: {', '.join(d.name for d in reversed(DTYPES.values()))}.")
    return found


_default = float32


def get_default_dtype():
    """The type of `tensor([1.0])`: float32 unless `set_default_dtype` said otherwise."""
    return _default


def set_default_dtype(d):
    global _default
    if not isinstance(d, dtype):
        raise TypeError("invalid dtype object: only floating-point types are supported as the default type")
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default = d


def promote_types(type1, type2):
    """The smallest type that torch finds for both, whatever their values."""
    if type1 is type2:
        return type1
    low, high = (type1, type2) if (type1.category, type1._rank) < (type2.category, type2._rank) else (type2, type1)
    if low.category != high.category:
        return high
    if low is uint8 and high is int8:
        return int16                                # the smallest that holds both -1 and 255
    if {low.name, high.name} == {"float16", "bfloat16"}:
        return float32                              # neither holds the other
    return high


def can_cast(from_, to):
    """Whether torch allows `from_` to be written into `to`: never to a lower category."""
    if from_.is_signed and to is uint8 and from_.category == INTEGER:
        return True
    return from_.category <= to.category


def of_number(value):
    """The type a Python number asks for."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, complex):
        raise TypeError("complex numbers are not supported")
    return _default


def result_type(dimensioned, zero_dim, numbers):
    """torch's result_type: dtypes of tensors with dimensions, of 0-d tensors, and of Python numbers.

    A weaker group speaks only when its category is higher than that of all stronger ones.
    """
    result = None
    for group in (dimensioned, zero_dim, numbers):
        mine = None
        for d in group:
            mine = d if mine is None else promote_types(mine, d)
        if result is None:
            result = mine
        elif mine is not None and mine.category > result.category:
            result = mine
    return result


def _checked(name, type):
    if not isinstance(type, dtype):
        raise TypeError(f"{name}(): argument 'type' (position 1) must be torch.dtype, not {type.__class__.__name__}")
    return type


class finfo:
    """Limits of a floating-point type, as torch.finfo."""
    def __init__(self, type=None):
        type = _checked("finfo", _default if type is None else type)
        if not type.is_floating_point:
            raise TypeError("torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                            "'torch.finfo'")
        if type.name == "bfloat16":
            import ml_dtypes
            info = ml_dtypes.finfo(type.numpy)
        else:
            info = np.finfo(type.numpy)
        self.dtype, self.bits = type.name, info.bits
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 10.0 ** -info.precision

    def __repr__(self):
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
                f"smallest_normal={self.tiny:g}, tiny={self.tiny:g}, dtype={self.dtype})")


class iinfo:
    """Limits of an integer type, as torch.iinfo."""
    def __init__(self, type):
        if _checked("iinfo", type) is bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if type.category != INTEGER:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        info = np.iinfo(type.numpy)
        self.dtype, self.bits, self.min, self.max = type.name, info.bits, int(info.min), int(info.max)

    def __repr__(self):
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
