"""Arithmetic of two tensors, or of a tensor and a number, element by element.

Each block: what numpy computes, what one GPU thread computes, and the derivatives. Promotion, broadcasting and names
of dimensions happen elsewhere.
"""
from __future__ import annotations

import math

import numpy as np

from ..core import dtypes
from ..core.dtypes import BOOL, FLOATING, INTEGER
from ..core.export import export
from ..core.fast import plain_number, short_path
from ..core.op import Elementwise, common_dtype
from ..core.tensor import Tensor, filled


# ---- what several blocks need
def unless(kernel, *categories):
    """A `check` that refuses dtypes of these categories in torch's words."""
    def check(dtype):
        if dtype.category in categories:
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtype.legacy_name}'")
    return staticmethod(check)


def zeros(g):
    """The gradient of a step: exactly zero, also where g is infinite or nan."""
    return filled(g.shape, 0, g.dtype, g._spec.backend)


def no_derivative(name):
    """A formula for what has no derivative in torch either."""
    def formula(g):
        raise RuntimeError(f"derivative for aten::{name} is not implemented")
    return formula


def known(*values):
    """Whether an operator can deal with these operands; if not, it leaves them to Python."""
    return all(isinstance(v, (Tensor, bool, int, float)) for v in values)


def nonzero_divisor(x, y):
    """Integers have no infinity to give back."""
    if getattr(x, "dtype", y.dtype if hasattr(y, "dtype") else None).kind in "iu" and not np.all(y):
        raise RuntimeError("ZeroDivisionError")


BOTH_BOOL = ("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead.")
ONE_BOOL = ("Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
            "`logical_not()` operator instead.")


def no_bools(*operands):
    """torch's refusals of a subtraction, which depend on both operands."""
    kinds = [v.dtype.category if isinstance(v, Tensor) else dtypes.of_number(v).category for v in operands]
    if kinds == [BOOL, BOOL]:
        raise RuntimeError(BOTH_BOOL)
    if any(isinstance(v, Tensor) and k == BOOL for v, k in zip(operands, kinds)):
        raise RuntimeError(ONE_BOOL)


# ---- sums, products, quotients
@export("__add__")
class Add(Elementwise):
    """input + other"""
    cpu    = np.add
    cuda   = lambda x, y: x + y
    grad_x = lambda g: g
    grad_y = lambda g: g


class Sub(Elementwise):
    """input - other"""
    cpu    = np.subtract
    cuda   = lambda x, y: x - y
    grad_x = lambda g: g
    grad_y = lambda g: -g

    @classmethod
    def call(cls, *inputs):
        if all(map(known, inputs)):
            no_bools(*inputs)
        return super().call(*inputs)


class Rsub(Sub):
    """other - input"""
    numbers   = "second"
    node_name = ("RsubBackward0", "RsubBackward1", "RsubBackward1")
    cpu       = lambda x, y: np.subtract(y, x)
    cuda      = lambda x, y: y - x
    grad_x    = lambda g: -g
    grad_y    = lambda g: g


export("__sub__")(Sub)
export("__rsub__")(Rsub)


@export("mul", "multiply", "__mul__", inplace=True)
class Mul(Elementwise):
    """input * other"""
    cpu    = np.multiply
    cuda   = lambda x, y: x * y
    grad_x = lambda g, y: g * y
    grad_y = lambda g, x: g * x


@export("true_divide", "__truediv__", inplace=True)
class Div(Elementwise):
    """input / other"""
    result = "float"
    cpu    = np.true_divide
    cuda   = lambda x, y: x / y
    grad_x = lambda g, y: g / y
    grad_y = lambda g, y, x: -g * ((x / y) / y)


Div.public = "div"
plus, minus, minus_from, divide = map(short_path, (Add, Sub, Rsub, Div))


@export("__rtruediv__")
def _divided_from(input, other):
    """other / input, in the two steps in which torch computes it."""
    other = plain_number(other)
    return input.reciprocal() * other if known(other) else NotImplemented


def scaled(input, other, alpha):
    """alpha * other, for an addition to input."""
    if alpha is True or alpha is False or alpha != 1 or isinstance(alpha, float):
        dtype = common_dtype((input, other))
        if isinstance(alpha, bool) and dtype.category != BOOL:
            raise RuntimeError("Boolean alpha only supported for Boolean results.")
        if isinstance(alpha, float) and dtype.category != FLOATING:
            raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
        return other * (bool(alpha) if dtype.category == BOOL else alpha)
    return other


@export("add", inplace=True)
def add(input, other, *, alpha=1):
    """input + alpha * other"""
    return plus(input, other if alpha is None else scaled(input, other, alpha))


@export("sub", "subtract", inplace=True)
def sub(input, other, *, alpha=1):
    """input - alpha * other"""
    return minus(input, scaled(input, other, alpha))


@export("rsub()")
def rsub(input, other, *, alpha=1):
    """other - alpha * input"""
    return minus_from(scaled(other, input, alpha), other)


@export("neg", "negative", "__neg__", inplace=True)
class Neg(Elementwise):
    """-input"""
    cpu    = np.negative
    cuda   = lambda x: -x
    grad_x = lambda g: -g

    @staticmethod
    def check(dtype):
        if dtype is dtypes.bool_:
            raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the "
                               "`~` or `logical_not()` operator instead.")


@export("positive", "__pos__")
def positive(input):
    """+input: the tensor itself."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


# ---- quotients that are rounded, and what they leave
class DivFloor(Elementwise):
    """The quotient, rounded down."""
    public    = "div"
    node_name = "DivBackward2"
    check     = unless("div_floor_cpu", BOOL)
    cuda      = lambda x, y: x // y
    grad_x    = lambda g: zeros(g)
    grad_y    = lambda g: zeros(g)

    def cpu(x, y):
        nonzero_divisor(x, y)
        return np.floor_divide(x, y)


class DivTrunc(Elementwise):
    """The quotient, rounded towards zero."""
    public    = "div"
    node_name = "DivBackward2"
    check     = unless("div_trunc_cpu", BOOL)
    grad_x    = lambda g: zeros(g)
    grad_y    = lambda g: zeros(g)

    def cpu(x, y):
        nonzero_divisor(x, y)
        if np.result_type(x, y).kind == "f":
            return np.trunc(np.true_divide(x, y))
        return np.floor_divide(x, y) + ((np.remainder(x, y) != 0) & (np.less(x, 0) != np.less(y, 0)))

    def cuda(x, y):
        quotient = x / y if x % 1 != 0 or y % 1 != 0 or x != x or y != y else x // y     # exact for integers
        return quotient if quotient % 1 == 0 and quotient * y == x else math.trunc(x / y)


class FloorDivide(Elementwise):
    """input // other: rounded down. Has no derivative."""
    public    = "floor_divide"
    numbers   = "overloads"
    node_name = "NotImplemented"
    check     = DivFloor.check
    cpu       = DivFloor.cpu
    cuda      = DivFloor.cuda
    grad_x    = no_derivative("floor_divide")
    grad_y    = no_derivative("floor_divide")


export("floor_divide", "__floordiv__", inplace=True)(FloorDivide)
