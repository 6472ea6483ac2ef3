"""Powers: x to the y, for every combination of tensors and numbers.

A number as exponent, a number as base and two tensors are three ops, as in torch: each saves something else.
"""
from __future__ import annotations

import math

import numpy as np

from ..core import dtypes
from ..core.dtypes import BOOL, FLOATING
from ..core.export import export
from ..core.fast import plain_number, short_path
from ..core.op import Elementwise, common_dtype, refused_operand
from ..core.tensor import Tensor
from .arithmetic import holds, known, unless, zeros


def integer_power(x, y):
    """Whole numbers: a negative exponent leaves only 1 and -1 alive."""
    up = np.power(x, np.maximum(y, 0))
    down = np.where(np.equal(x, 1), 1, np.where(np.equal(x, -1), np.where(np.bitwise_and(y, 1), -1, 1), 0))
    return np.where(np.less(y, 0), down, up)


def power(x, y):
    return np.power(x, y) if np.result_type(x, y).kind == "f" else integer_power(x, y)


class Pow(Elementwise):
    """input ** exponent, of two tensors. The derivatives are 0 where x ** 0 is constant, and where 0 ** y is."""
    numbers   = "overloads"
    node_name = "PowBackward1"
    check     = unless("pow", BOOL)
    cpu       = lambda x, y: power(x, y)
    cuda      = lambda x, y: x ** y
    grad_x    = lambda g, x, y: (g * (y * x ** (y - 1))).where(y != 0, 0)
    grad_y    = lambda g, x, y, out: (g * (out * x.log())).where((x != 0) | ~(y >= 0), 0)


# what np.power takes ten times as long for
SHORTCUTS = {2: lambda x: x * x, 3: lambda x: x * x * x, 0.5: np.sqrt,
             -2: lambda x: 1 / (x * x), -1: lambda x: 1 / x, -0.5: lambda x: 1 / np.sqrt(x)}


class PowNumber(Elementwise):
    """input ** number"""
    public    = "pow"
    node_name = "PowBackward0"
    check     = unless("pow", BOOL)
    cuda      = lambda x, y: x ** y
    grad_x    = lambda g, x, y: g * (y * x ** (y - 1)) if y != 2 else g * (2 * x)

    def cpu(x, y):
        shortcut = None if isinstance(y, np.ndarray) else SHORTCUTS.get(y)
        return np.power(x, y) if shortcut is None else shortcut(x)


class PowZero(Elementwise):
    """input ** 0: one everywhere, even of nan, and flat."""
    public    = "pow"
    node_name = "PowBackward0"
    check     = unless("pow", BOOL)
    cpu       = lambda x, y: np.ones_like(x)
    cuda      = lambda x, y: x ** 0
    grad_x    = lambda g: zeros(g)


class PowBase(Elementwise):
    """number ** exponent"""
    public    = "pow"
    node_name = "PowBackward2"
    check     = unless("pow", BOOL)
    cpu       = lambda x, y: power(x, y)
    cuda      = lambda x, y: x ** y

    def grad_y(g, x, y, out):
        if x == 0:
            return (g * -math.inf * out).where(~(y >= 0), 0)
        return g * (out * (math.log(x) if x > 0 else math.nan))


pow_number = short_path(PowNumber)
pow_tensors = short_path(Pow)


def raised(input, exponent):
    """input ** exponent, or NotImplemented."""
    input, exponent = plain_number(input), plain_number(exponent)
    if isinstance(exponent, Tensor):
        if isinstance(input, Tensor):
            return pow_tensors(input, exponent)
        return PowBase.call(input, exponent) if known(input) else NotImplemented
    if not isinstance(exponent, (bool, int, float)) or not isinstance(input, Tensor):
        return NotImplemented
    spec = input._spec
    if spec.dtype.category == FLOATING:
        return pow_number(input, exponent) if exponent else PowZero.call(input, exponent)
    if isinstance(exponent, bool) and spec.dtype is dtypes.bool_:
        return input if exponent else input.new_ones(input.shape)
    dtype = common_dtype((input, exponent))
    if dtype.category != FLOATING:
        if exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        holds(dtype, exponent)
    return PowNumber.call(input, exponent)


export("__pow__", inplace=True)(raised)


@export("pow", inplace=True)
def pow(input, exponent):
    """input ** exponent: of two tensors, or of a tensor and a number on either side."""
    made = raised(input, exponent)
    if made is NotImplemented:
        raise refused_operand(Pow, (input, exponent), 1)
    return made


@export("square", inplace=True)
def square(input):
    """input ** 2"""
    return pow(input, 2)


@export("float_power")
def float_power(input, exponent):
    """input ** exponent, always computed in float64."""
    if not known(input, exponent):
        raise refused_operand(Pow, (input, exponent), 1, "float_power")
    input, exponent = (v.to(dtypes.float64) if isinstance(v, Tensor) else v for v in (input, exponent))
    return pow(input, exponent)


@export(".float_power_")
def float_power_(input, exponent):
    """In-place version of `float_power`: only of float64."""
    if input.dtype is not dtypes.float64:
        raise RuntimeError(f"the base given to float_power_ has dtype {input.dtype.legacy_name} but the operation's "
                           "result requires dtype Double")
    return input.pow_(exponent)


@export("ldexp", inplace=True)
class Ldexp(Elementwise):
    """input * 2 ** other"""
    numbers = "none"
    result  = "float"
    cpu     = lambda x, y: (x * np.exp2(y.astype(np.float64))).astype(x.dtype)     # 2 ** y alone may overflow
    cuda    = lambda x, y: x * 2.0 ** y
    grad_x  = lambda g, y: g * y.exp2()
    grad_y  = lambda g, out: g * (out * math.log(2))
