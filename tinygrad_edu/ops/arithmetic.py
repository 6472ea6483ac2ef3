"""Arithmetic and comparison, element by element.

Each block: what numpy computes, what one GPU thread computes, and the derivative.
"""
from __future__ import annotations

import math

import numpy as np

from ..core import dtypes
from ..core.export import export
from ..core.op import Elementwise
from ..core.tensor import Tensor


@export("__add__", "_add()")
class Add(Elementwise):
    """input + other"""
    cpu    = np.add
    cuda   = lambda x, y: x + y
    grad_x = lambda g: g
    grad_y = lambda g: g


@export("__sub__", "_sub()")
class Sub(Elementwise):
    """input - other"""
    cpu    = np.subtract
    cuda   = lambda x, y: x - y
    grad_x = lambda g: g
    grad_y = lambda g: -g

    @staticmethod
    def check(dtype):
        if dtype is dtypes.bool_:
            raise RuntimeError("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator "
                               "instead.")


@export("mul", "multiply", "__mul__", inplace=True)
class Mul(Elementwise):
    """input * other"""
    cpu    = np.multiply
    cuda   = lambda x, y: x * y
    grad_x = lambda g, y: g * y
    grad_y = lambda g, x: g * x


@export("__truediv__", "_div()")
class Div(Elementwise):
    """input / other"""
    result = "float"
    cpu    = np.true_divide
    cuda   = lambda x, y: x / y
    grad_x = lambda g, y: g / y
    grad_y = lambda g, y, x: -g * ((x / y) / y)


@export("neg", "negative", "__neg__", inplace=True)
class Neg(Elementwise):
    """-input"""
    cpu    = np.negative
    cuda   = lambda x: -x
    grad_x = lambda g: -g

    @staticmethod
    def check(dtype):
        if dtype is dtypes.bool_:
            raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
                               "`logical_not()` operator instead.")


def scaled(other, alpha):
    return other if alpha == 1 else other * alpha


@export("add", inplace=True)
def add(input, other, *, alpha=1):
    """input + alpha * other"""
    return input + scaled(other, alpha)


@export("sub", "subtract", inplace=True)
def sub(input, other, *, alpha=1):
    """input - alpha * other"""
    return input - scaled(other, alpha)


@export("tanh", inplace=True)
class Tanh(Elementwise):
    """The hyperbolic tangent."""
    result = "float"
    cpu    = np.tanh
    cuda   = lambda x: math.tanh(x)
    grad_x = lambda g, out: g * (1 - out * out)


@export("eq", "__eq__", inplace=True)
class Eq(Elementwise):
    """input == other, as bools"""
    result = "bool"
    cpu    = np.equal
    cuda   = lambda x, y: x == y


__all__ = ["Tensor"]
