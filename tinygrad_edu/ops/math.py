"""Functions of one number (and a few of two): roots, exponentials, logarithms, angles, rounding.

Each block: what numpy computes, what one GPU thread computes, and the derivative.
"""
from __future__ import annotations

import math

import numpy as np

from ..core.dtypes import BOOL, INTEGER
from ..core.export import export
from ..core.op import Elementwise
from .arithmetic import unless, zeros

LN2, LN10 = math.log(2), math.log(10)


# ---- sizes and signs
@export("abs", "absolute", "__abs__", inplace=True)
class Abs(Elementwise):
    """|input|; the derivative at 0 is 0."""
    check  = unless("abs_cpu", BOOL)
    cpu    = np.abs
    cuda   = lambda x: abs(x)
    grad_x = lambda g, x: g * x.sgn()


@export("sign", inplace=True)
class Sign(Elementwise):
    """-1, 0 or 1 (0 for nan)."""
    cpu    = lambda x: x if x.dtype == bool else np.greater(x, 0).astype(x.dtype) - np.less(x, 0).astype(x.dtype)
    cuda   = lambda x: (x > 0) - (x < 0)
    grad_x = lambda g: zeros(g)


@export("sgn", inplace=True)
class Sgn(Sign):
    """-1, 0 or 1: the sign, which for real numbers is `sign`."""
    cpu    = Sign.cpu


@export("signbit")
class Signbit(Elementwise):
    """Whether the sign is a minus, also that of -0."""
    result = "bool"
    cpu    = lambda x: np.signbit(x) if x.dtype.kind == "f" else np.less(x, 0)
    cuda   = lambda x: math.copysign(1.0, x) < 0


@export("copysign", inplace=True)
class Copysign(Elementwise):
    """The size of input, with the sign of other."""
    numbers   = "second"
    result    = "float"
    node_name = ("CopysignBackward0", "CopysignBackward0", "CopysignBackward1")
    cpu       = lambda x, y: np.copysign(x, y)
    cuda      = lambda x, y: math.copysign(x, y)
    grad_x    = lambda g, x, out: g * (x.sgn() * out.sgn())
    grad_y    = lambda g: zeros(g)


# ---- roots and reciprocals
@export("reciprocal", inplace=True)
class Reciprocal(Elementwise):
    """1 / input"""
    result = "float"
    cpu    = np.reciprocal
    cuda   = lambda x: 1 / x
    grad_x = lambda g, out: -g * (out * out)


@export("sqrt", inplace=True)
class Sqrt(Elementwise):
    """The square root."""
    result = "float"
    cpu    = np.sqrt
    cuda   = lambda x: math.sqrt(x)
    grad_x = lambda g, out: g / (2 * out)


@export("rsqrt", inplace=True)
class Rsqrt(Elementwise):
    """1 / sqrt(input)"""
    result = "float"
    cpu    = lambda x: 1 / np.sqrt(x)
    cuda   = lambda x: 1 / math.sqrt(x)
    grad_x = lambda g, out: -0.5 * g * (out * out * out)


@export("hypot", inplace=True)
class Hypot(Elementwise):
    """sqrt(input ** 2 + other ** 2), without overflow on the way."""
    numbers = "none"
    check   = unless("hypot_cpu", BOOL, INTEGER)
    cpu     = np.hypot
    cuda    = lambda x, y: math.hypot(x, y)
    grad_x  = lambda g, x, out: g * (x / out)
    grad_y  = lambda g, y, out: g * (y / out)


# ---- exponentials and logarithms
@export("exp", inplace=True)
class Exp(Elementwise):
    """e ** input"""
    result = "float"
    cpu    = np.exp
    cuda   = lambda x: math.exp(x)
    grad_x = lambda g, out: g * out


@export("exp2", inplace=True)
class Exp2(Elementwise):
    """2 ** input"""
    result = "float"
    cpu    = np.exp2
    cuda   = lambda x: 2.0 ** x
    grad_x = lambda g, out: g * out * LN2


@export("expm1", inplace=True)
class Expm1(Elementwise):
    """e ** input - 1, also for tiny inputs."""
    result = "float"
    cpu    = np.expm1
    cuda   = lambda x: math.expm1(x)
    grad_x = lambda g, out: g * (out + 1)


@export("log", inplace=True)
class Log(Elementwise):
    """The natural logarithm."""
    result = "float"
    cpu    = np.log
    cuda   = lambda x: math.log(x)
    grad_x = lambda g, x: g / x


@export("log2", inplace=True)
class Log2(Elementwise):
    """The logarithm to base 2."""
    result = "float"
    cpu    = np.log2
    cuda   = lambda x: math.log2(x)
    grad_x = lambda g, x: g / (x * LN2)


@export("log10", inplace=True)
class Log10(Elementwise):
    """The logarithm to base 10."""
    result = "float"
    cpu    = np.log10
    cuda   = lambda x: math.log10(x)
    grad_x = lambda g, x: g / (x * LN10)


@export("log1p", inplace=True)
class Log1p(Elementwise):
    """log(1 + input), also for tiny inputs."""
    node_name = "Log1PBackward0"
    result    = "float"
    cpu       = np.log1p
    cuda      = lambda x: math.log1p(x)
    grad_x    = lambda g, x: g / (x + 1)


@export("logaddexp")
class Logaddexp(Elementwise):
    """log(exp(input) + exp(other))"""
    numbers = "none"
    check   = unless("logaddexp_cpu", BOOL, INTEGER)
    cpu     = np.logaddexp
    grad_x  = lambda g, x, y: g / (1 + (y - x).exp())
    grad_y  = lambda g, x, y: g / (1 + (x - y).exp())

    def cuda(x, y):
        if x == y:                                 # also where both are infinite
            return x + math.log(2.0)
        return (x if x > y or x != x else y) + math.log1p(math.exp(-abs(x - y)))


@export("logaddexp2")
class Logaddexp2(Elementwise):
    """log2(2 ** input + 2 ** other)"""
    numbers = "none"
    check   = unless("logaddexp2_cpu", BOOL, INTEGER)
    cpu     = np.logaddexp2
    grad_x  = lambda g, x, y: g / (1 + (y - x).exp2())
    grad_y  = lambda g, x, y: g / (1 + (x - y).exp2())

    def cuda(x, y):
        if x == y:
            return x + 1.0
        return (x if x > y or x != x else y) + math.log1p(2.0 ** -abs(x - y)) / math.log(2.0)


# ---- angles
@export("sin", inplace=True)
class Sin(Elementwise):
    """The sine of an angle in radians."""
    result = "float"
    cpu    = np.sin
    cuda   = lambda x: math.sin(x)
    grad_x = lambda g, x: g * x.cos()


@export("cos", inplace=True)
class Cos(Elementwise):
    """The cosine of an angle in radians."""
    result = "float"
    cpu    = np.cos
    cuda   = lambda x: math.cos(x)
    grad_x = lambda g, x: -g * x.sin()


@export("tan", inplace=True)
class Tan(Elementwise):
    """The tangent of an angle in radians."""
    result = "float"
    cpu    = np.tan
    cuda   = lambda x: math.tan(x)
    grad_x = lambda g, out: g * (1 + out * out)


@export("asin", "arcsin", inplace=True)
class Asin(Elementwise):
    """The angle in [-pi/2, pi/2] with this sine."""
    result = "float"
    cpu    = np.arcsin
    cuda   = lambda x: math.asin(x)
    grad_x = lambda g, x: g * ((1 - x) * (1 + x)).rsqrt()


@export("acos", "arccos", inplace=True)
class Acos(Elementwise):
    """The angle in [0, pi] with this cosine."""
    result = "float"
    cpu    = np.arccos
    cuda   = lambda x: math.acos(x)
    grad_x = lambda g, x: -g * ((1 - x) * (1 + x)).rsqrt()


@export("atan", "arctan", inplace=True)
class Atan(Elementwise):
    """The angle in [-pi/2, pi/2] with this tangent."""
    result = "float"
    cpu    = np.arctan
    cuda   = lambda x: math.atan(x)
    grad_x = lambda g, x: g / (x * x + 1)


@export("atan2", "arctan2", inplace=True)
class Atan2(Elementwise):
    """The angle of the point (other, input), in [-pi, pi]; flat at the origin."""
    numbers = "none"
    result  = "float"
    cpu     = np.arctan2
    cuda    = lambda x, y: math.atan2(x, y)
    grad_x  = lambda g, x, y: g * (y * inverse_square(x, y))
    grad_y  = lambda g, x, y: g * (-x * inverse_square(x, y))


def inverse_square(x, y):
    """1 / (x ** 2 + y ** 2), and 0 at the origin."""
    square = x * x + y * y
    return square.reciprocal().where(square != 0, 0)


@export("sinh", inplace=True)
class Sinh(Elementwise):
    """The hyperbolic sine."""
    result = "float"
    cpu    = np.sinh
    cuda   = lambda x: math.sinh(x)
    grad_x = lambda g, x: g * x.cosh()


@export("cosh", inplace=True)
class Cosh(Elementwise):
    """The hyperbolic cosine."""
    result = "float"
    cpu    = np.cosh
    cuda   = lambda x: math.cosh(x)
    grad_x = lambda g, x: g * x.sinh()


@export("tanh", "nn.functional.tanh", inplace=True)
class Tanh(Elementwise):
    """The hyperbolic tangent."""
    result = "float"
    cpu    = np.tanh
    cuda   = lambda x: math.tanh(x)
    grad_x = lambda g, out: g * (1 - out * out)


@export("asinh", "arcsinh", inplace=True)
class Asinh(Elementwise):
    """The number with this hyperbolic sine."""
    result = "float"
    cpu    = np.arcsinh
    cuda   = lambda x: math.asinh(x)
    grad_x = lambda g, x: g * (x * x + 1).rsqrt()


@export("acosh", "arccosh", inplace=True)
class Acosh(Elementwise):
    """The number >= 0 with this hyperbolic cosine."""
    result = "float"
    cpu    = np.arccosh
    cuda   = lambda x: math.acosh(x)
    grad_x = lambda g, x: g * ((x - 1) * (x + 1)).rsqrt()


@export("atanh", "arctanh", inplace=True)
class Atanh(Elementwise):
    """The number with this hyperbolic tangent."""
    result = "float"
    cpu    = np.arctanh
    cuda   = lambda x: math.atanh(x)
    grad_x = lambda g, x: g / ((1 - x) * (1 + x))


@export("deg2rad", inplace=True)
class Deg2rad(Elementwise):
    """Radians of an angle in degrees."""
    node_name = "Deg2RadBackward0"
    result    = "float"
    cpu       = lambda x: x * (math.pi / 180)
    cuda      = lambda x: x * (math.pi / 180)
    grad_x    = lambda g: g * (math.pi / 180)


@export("rad2deg", inplace=True)
class Rad2deg(Elementwise):
    """Degrees of an angle in radians."""
    node_name = "Rad2DegBackward0"
    result    = "float"
    cpu       = lambda x: x * (180 / math.pi)
    cuda      = lambda x: x * (180 / math.pi)
    grad_x    = lambda g: g * (180 / math.pi)


# ---- rounding: steps, so the derivative is 0
@export("floor", inplace=True)
class Floor(Elementwise):
    """The next whole number below."""
    check  = unless("floor_vml_cpu", BOOL)
    cpu    = np.floor
    cuda   = lambda x: math.floor(x)
    grad_x = lambda g: zeros(g)


@export("ceil", inplace=True)
class Ceil(Elementwise):
    """The next whole number above."""
    check  = unless("ceil_vml_cpu", BOOL)
    cpu    = np.ceil
    cuda   = lambda x: math.ceil(x)
    grad_x = lambda g: zeros(g)


@export("trunc", "fix", inplace=True)
class Trunc(Elementwise):
    """The next whole number towards zero."""
    check  = unless("trunc_vml_cpu", BOOL)
    cpu    = np.trunc
    cuda   = lambda x: math.trunc(x)
    grad_x = lambda g: zeros(g)


@export("frac", inplace=True)
class Frac(Elementwise):
    """What `trunc` takes away."""
    check  = unless("frac_cpu", BOOL, INTEGER)
    cpu    = lambda x: x - np.trunc(x)
    cuda   = lambda x: x - math.trunc(x)
    grad_x = lambda g: g


class Round(Elementwise):
    """The nearest whole number; halves go to the even one."""
    check  = unless("round_vml_cpu", BOOL, INTEGER)
    cpu    = np.rint
    grad_x = lambda g: zeros(g)

    def cuda(x):
        low = math.floor(x)
        over = x - low
        near = low if over < 0.5 or over == 0.5 and low % 2 == 0 else low + 1
        return math.copysign(near, x)


class RoundDecimals(Elementwise):
    """The nearest multiple of 10 ** -decimals; halves go to the even one."""
    public    = "round"
    node_name = "RoundBackward1"
    check     = unless("round_cpu", BOOL, INTEGER)
    grad_x    = lambda g: zeros(g)

    def cpu(x, *, decimals):
        ten = x.dtype.type(10.0 ** abs(decimals))
        return np.rint(x * ten) / ten if decimals > 0 else np.rint(x / ten) * ten

    def cuda(x, *, decimals):
        ten = 10.0 ** abs(decimals)
        scaled = x * ten if decimals > 0 else x / ten
        low = math.floor(scaled)
        over = scaled - low
        near = math.copysign(low if over < 0.5 or over == 0.5 and low % 2 == 0 else low + 1, x)
        return near / ten if decimals > 0 else near * ten


@export("round", inplace=True)
def round(input, *, decimals=0):
    """The nearest whole number, or multiple of 10 ** -decimals; halves go to the even one."""
    if not isinstance(decimals, int):
        raise TypeError(f"round(): argument 'decimals' must be int, not {type(decimals).__name__}")
    if decimals:
        return RoundDecimals.call(input, decimals=decimals)
    return input.clone() if input.dtype.category == INTEGER else Round.call(input)


