"""Questions: comparisons, tests of single numbers, logic, and the bits of integers.

The answers are bools (or bits), so nothing in this file has a derivative.
"""
from __future__ import annotations

import math

import numpy as np

from ..core import dtypes
from ..core.dtypes import BOOL, FLOATING
from ..core.export import export
from ..core.op import Elementwise
from ..core.tensor import Tensor
from .arithmetic import unless
from .bridges import from_numpy


# ---- comparisons
class Comparison(Elementwise):
    """Two numbers in, a bool out."""
    result  = "bool"
    numbers = "second"


@export("eq", inplace=True)
@export("__eq__")
class Eq(Comparison):
    """input == other"""
    cpu  = np.equal
    cuda = lambda x, y: x == y


@export("ne", "not_equal", inplace=True)
@export("__ne__")
class Ne(Comparison):
    """input != other"""
    cpu  = np.not_equal
    cuda = lambda x, y: x != y


def with_arrays(compare):
    """`x == array`: the one operation with arrays that numpy leaves to us, and Python would answer by identity."""
    def compare_arrays(self, other):
        return compare(self, from_numpy(other) if isinstance(other, np.ndarray) else other)
    return compare_arrays


Tensor.__eq__, Tensor.__ne__ = with_arrays(Tensor.__eq__), with_arrays(Tensor.__ne__)


@export("lt", "less", inplace=True)
@export("__lt__")
class Lt(Comparison):
    """input < other"""
    cpu  = np.less
    cuda = lambda x, y: x < y


@export("le", "less_equal", inplace=True)
@export("__le__")
class Le(Comparison):
    """input <= other"""
    cpu  = np.less_equal
    cuda = lambda x, y: x <= y


@export("gt", "greater", inplace=True)
@export("__gt__")
class Gt(Comparison):
    """input > other"""
    cpu  = np.greater
    cuda = lambda x, y: x > y


@export("ge", "greater_equal", inplace=True)
@export("__ge__")
class Ge(Comparison):
    """input >= other"""
    cpu  = np.greater_equal
    cuda = lambda x, y: x >= y


# ---- of one number
@export("isnan")
class Isnan(Elementwise):
    """Whether it is not a number."""
    result = "bool"
    cpu    = np.isnan
    cuda   = lambda x: x != x


@export("isinf")
class Isinf(Elementwise):
    """Whether it is infinite."""
    result = "bool"
    cpu    = np.isinf
    cuda   = lambda x: x == math.inf or x == -math.inf


@export("isfinite")
class Isfinite(Elementwise):
    """Whether it is neither infinite nor nan."""
    result = "bool"
    cpu    = np.isfinite
    cuda   = lambda x: x - x == 0


@export("isposinf")
class Isposinf(Elementwise):
    """Whether it is inf."""
    result = "bool"
    cpu    = lambda x: np.equal(x, np.inf)
    cuda   = lambda x: x == math.inf


@export("isneginf")
class Isneginf(Elementwise):
    """Whether it is -inf."""
    result = "bool"
    cpu    = lambda x: np.equal(x, -np.inf)
    cuda   = lambda x: x == -math.inf


@export("isreal")
class Isreal(Elementwise):
    """Whether its imaginary part is 0: always, as there are no complex numbers here."""
    result = "bool"
    cpu    = lambda x: np.ones(x.shape, bool)
    cuda   = lambda x: True


# ---- whole tensors
class Isclose(Elementwise):
    """|input - other| <= atol + rtol * |other|, or both are equal."""
    result  = "bool"
    numbers = "none"

    def cpu(x, y, *, rtol, atol, equal_nan):
        if x.dtype.kind != "f":
            x, y = x.astype(np.float64), y.astype(np.float64)
        close = (x == y) | np.isfinite(y) & (np.abs(x - y) <= atol + np.abs(rtol * y))
        return close | np.isnan(x) & np.isnan(y) if equal_nan else close

    def cuda(x, y, *, rtol, atol, equal_nan):
        if x == y:
            return True
        if x != x or y != y:
            return equal_nan and x != x and y != y
        return abs(y) != math.inf and abs(x - y) <= atol + abs(rtol * y)


@export("isclose")
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Where |input - other| <= atol + rtol * |other|; both of one dtype."""
    if isinstance(other, Tensor) and isinstance(input, Tensor) and input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype.legacy_name} did not match {other.dtype.legacy_name}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not value >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value:g}")
    return Isclose.call(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@export("allclose", out=False)
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether `isclose` holds everywhere, as a Python bool."""
    if not isinstance(other, Tensor):
        raise TypeError(f"allclose(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@export("equal", out=False)
def equal(input, other):
    """Whether both have one shape and equal elements, as a Python bool."""
    if not isinstance(other, Tensor):
        raise TypeError(f"equal(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    return input.shape == other.shape and bool(Eq.call(input, other).all())


@export("is_same_size", out=False)
def is_same_size(input, other):
    """Whether both have one shape."""
    return input.shape == other.shape


# ---- logic: what is not 0 is true
@export("logical_and", inplace=True)
class LogicalAnd(Elementwise):
    """Whether both are not 0."""
    result  = "bool"
    numbers = "none"
    cpu     = np.logical_and
    cuda    = lambda x, y: x != 0 and y != 0


@export("logical_or", inplace=True)
class LogicalOr(Elementwise):
    """Whether one of them is not 0."""
    result  = "bool"
    numbers = "none"
    cpu     = np.logical_or
    cuda    = lambda x, y: x != 0 or y != 0


@export("logical_xor", inplace=True)
class LogicalXor(Elementwise):
    """Whether exactly one of them is not 0."""
    result  = "bool"
    numbers = "none"
    cpu     = np.logical_xor
    cuda    = lambda x, y: (x != 0) != (y != 0)


@export("logical_not", inplace=True)
class LogicalNot(Elementwise):
    """Whether it is 0."""
    result = "bool"
    cpu    = np.logical_not
    cuda   = lambda x: x == 0


# ---- bits of integers; of bools they are logic
@export("bitwise_and", "__and__", inplace=True)
class BitwiseAnd(Elementwise):
    """The bits that both have."""
    numbers = "overloads"
    check   = unless("bitwise_and_cpu", FLOATING)
    cpu     = np.bitwise_and
    cuda    = lambda x, y: x & y


@export("bitwise_or", "__or__", inplace=True)
class BitwiseOr(Elementwise):
    """The bits that one of them has."""
    numbers = "overloads"
    check   = unless("bitwise_or_cpu", FLOATING)
    cpu     = np.bitwise_or
    cuda    = lambda x, y: x | y


@export("bitwise_xor", "__xor__", inplace=True)
class BitwiseXor(Elementwise):
    """The bits that exactly one of them has."""
    numbers = "overloads"
    check   = unless("bitwise_xor_cpu", FLOATING)
    cpu     = np.bitwise_xor
    cuda    = lambda x, y: x ^ y


class BitwiseNot(Elementwise):
    """The bits that it has not, of integers."""
    check = unless("bitwise_not_cpu", FLOATING)
    cpu   = np.invert
    cuda  = lambda x: ~x


@export("bitwise_not", inplace=True)
def bitwise_not(input):
    """The bits that it has not; of bools the opposite."""
    if not isinstance(input, Tensor):
        raise TypeError(f"bitwise_not(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return (LogicalNot if input.dtype is dtypes.bool_ else BitwiseNot).call(input)


@export("__invert__")
def _invert(input):
    """~input"""
    if input.is_floating_point():
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return bitwise_not(input)


@export("bitwise_left_shift", "__lshift__", inplace=True)
class BitwiseLeftShift(Elementwise):
    """input * 2 ** other; bits that are pushed out are lost."""
    numbers = "overloads"
    check   = unless("lshift_cpu", BOOL, FLOATING)
    cpu     = np.left_shift
    cuda    = lambda x, y: x << y if 0 <= y < 64 else 0


@export("bitwise_right_shift", "__rshift__", inplace=True)
class BitwiseRightShift(Elementwise):
    """input // 2 ** other"""
    numbers = "overloads"
    check   = unless("rshift_cpu", BOOL, FLOATING)
    cpu     = np.right_shift
    cuda    = lambda x, y: x >> (y if 0 <= y < 64 else 63)
