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
from ..core.op import Elementwise, common_dtype, refused_operand
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


BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def select(condition, x, y):
    """np.where, but without its branch, which processors guess wrong on numbers of random sign."""
    dtype = np.result_type(x, y)
    if dtype.kind != "f" or condition.size < 4096:
        return np.where(condition, x, y)
    x, y = (np.asarray(v, dtype).view(BITS[dtype.itemsize]) for v in (x, y))
    return (y ^ ((x ^ y) & -condition.view(np.int8))).view(dtype)


def nonzero_divisor(x, y):
    """Integers have no infinity to give back."""
    if np.result_type(x, y).kind in "iu" and not np.all(y):
        raise RuntimeError("ZeroDivisionError")


BOTH_BOOL = ("Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
             "operator instead.")
ONE_BOOL = ("{}, the `-` operator, {} a bool tensor is not supported. If you are trying to invert a mask, use the `~` "
            "or `logical_not()` operator instead.")


def no_bools(*operands):
    """torch's refusals of a subtraction, which depend on both operands."""
    if not known(*operands):
        return
    kinds = [v.dtype.category if isinstance(v, Tensor) else dtypes.of_number(v).category for v in operands]
    if kinds == [BOOL, BOOL]:
        raise RuntimeError(BOTH_BOOL)
    if BOOL in kinds:                              # of a tensor or a number
        raise RuntimeError(ONE_BOOL.format("Subtraction", "with"))


C_NAMES = {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t"}


def holds(dtype, number):
    """torch's refusal of a number that the integer type does not hold; an unsigned type takes a negative's bits."""
    info = dtypes.iinfo(dtype)
    if not min(info.min, -info.max) <= number <= info.max:
        raise RuntimeError(f"value cannot be converted to type {C_NAMES[dtype.name]} without overflow")


# ---- sums, products, quotients
@export("__add__", inplace=True)
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


export("__sub__", inplace=True)(Sub)
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
    return input.reciprocal() * other if known(other) or isinstance(other, np.ndarray) else NotImplemented


def scaled(input, other, alpha, function="add"):
    """alpha * other in the type of the sum, for an addition to input."""
    if type(alpha) is int and alpha == 1:
        return other
    if not known(plain_number(alpha)) or isinstance(alpha, Tensor) and alpha.ndim:
        raise TypeError(f"{function}(): argument 'alpha' must be Number, not {type(alpha).__name__}")
    if not known(input, other):
        return other
    dtype = common_dtype((input, other))
    if isinstance(alpha, bool) and dtype.category != BOOL:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and dtype.category != FLOATING:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if isinstance(other, Tensor):
        other = other.to(dtype)
    return other * (bool(alpha) if dtype.category == BOOL else alpha)


@export("add", inplace=True)
def add(input, other, *, alpha=1):
    """input + alpha * other"""
    return plus(input, scaled(input, other, alpha))


@export("sub", "subtract", inplace=True)
def sub(input, other, *, alpha=1):
    """input - alpha * other"""
    no_bools(input, other)
    return minus(input, scaled(input, other, alpha, "sub"))


@export("rsub()")
def rsub(input, other, *, alpha=1):
    """other - alpha * input"""
    if not isinstance(input, Tensor):
        raise refused_operand(Rsub, (input, other), 0)
    no_bools(input, other)
    return minus_from(scaled(other, input, alpha, "rsub"), other)


@export("neg", "negative", "__neg__", inplace=True)
class Neg(Elementwise):
    """-input"""
    cpu    = np.negative
    cuda   = lambda x: -x
    grad_x = lambda g: -g

    @staticmethod
    def check(dtype):
        if dtype is dtypes.bool_:
            raise RuntimeError(ONE_BOOL.format("Negation", "on"))


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
    """The quotient of floating-point numbers, rounded towards zero."""
    public    = "div"
    node_name = "DivBackward2"
    cpu       = lambda x, y: np.trunc(np.true_divide(x, y))
    cuda      = lambda x, y: math.trunc(x / y)
    grad_x    = lambda g: zeros(g)
    grad_y    = lambda g: zeros(g)


class DivTruncInteger(Elementwise):
    """The quotient of integers, rounded towards zero."""
    public = "div"
    check  = unless("div_trunc_cpu", BOOL)
    cuda   = lambda x, y: x // y + (x % y != 0 and (x < 0) != (y < 0))

    def cpu(x, y):
        nonzero_divisor(x, y)
        return np.floor_divide(x, y) + ((np.remainder(x, y) != 0) & (np.less(x, 0) != np.less(y, 0)))


@export("floor_divide", "__floordiv__", inplace=True)
class FloorDivide(Elementwise):
    """input // other: rounded down. It has no derivative."""
    numbers   = "overloads"
    node_name = "NotImplemented"
    check     = DivFloor.check
    cpu       = DivFloor.cpu
    cuda      = DivFloor.cuda
    grad_x    = no_derivative("floor_divide")
    grad_y    = no_derivative("floor_divide")


@export("div", "divide", inplace=True)
def div(input, other, *, rounding_mode=None):
    """input / other; rounded towards zero ("trunc") or down ("floor"), which keeps integers integers."""
    if rounding_mode is None:
        return divide(input, other)
    if rounding_mode == "floor":
        return DivFloor.call(input, plain_number(other))
    if rounding_mode == "trunc":
        floating = common_dtype((input, other)).category == FLOATING
        return (DivTrunc if floating else DivTruncInteger).call(input, plain_number(other))
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")


@export("remainder", "__mod__", inplace=True)
class Remainder(Elementwise):
    """What floor division leaves: it has the sign of `other`."""
    numbers   = "overloads"
    node_name = ("RemainderBackward1", "RemainderBackward1", "RemainderBackward0")
    check     = unless("remainder_cpu", BOOL)
    cuda      = lambda x, y: x % y
    grad_x    = lambda g: g
    grad_y    = lambda g, x, y: -g * DivFloor.call(x, y)

    def cpu(x, y):
        nonzero_divisor(x, y)
        if np.result_type(x, y).kind != "f":
            return np.remainder(x, y)
        left = np.fmod(x, y)                       # np.remainder makes -0. of 0. % -3.
        return np.where((left != 0) & ((left < 0) != np.less(y, 0)), left + y, left)


@export("fmod", inplace=True)
class Fmod(Elementwise):
    """What division rounded towards zero leaves: it has the sign of `input`."""
    numbers   = "second"
    node_name = ("FmodBackward1", "FmodBackward1", "FmodBackward0")
    check     = unless("fmod_cpu", BOOL)
    grad_x    = lambda g: g
    grad_y    = lambda g, x, y: -g * div(x, y, rounding_mode="trunc")

    def cpu(x, y):
        nonzero_divisor(x, y)
        return np.fmod(x, y)

    def cuda(x, y):
        left = abs(x) % abs(y)
        return -left if x < 0 else left


# ---- three operands
CPP_NAMES = {"float64": "double", "float32": "float", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
             "int64": "long int", "int32": "int", "int16": "short int", "int8": "signed char", "uint8": "unsigned char",
             "bool": "bool"}


class Lerp(Elementwise):
    """input + weight * (end - input)"""
    public    = "lerp"
    node_name = "LerpBackward1"
    check     = unless("lerp_kernel_scalar", BOOL, INTEGER)
    cuda      = lambda x, end, weight: x + weight * (end - x) if abs(weight) < 0.5 else end - (end - x) * (1 - weight)
    grad_x    = lambda g, weight: g * (1 - weight)
    grad_end  = lambda g, weight: g * weight
    grad_weight = lambda g, end, x: g * (end - x)

    def cpu(x, end, weight):                       # whichever end is nearer is met exactly
        return np.where(np.abs(weight) < 0.5, x + weight * (end - x), end - (end - x) * (1 - weight))


class LerpNumber(Lerp):
    """The same, with a number as the weight."""
    node_name   = "LerpBackward0"
    cpu         = Lerp.cpu
    grad_weight = None


@export("lerp", inplace=True)
def lerp(input, end, weight):
    """On the way from input (weight 0) to end (weight 1); all of one dtype."""
    if not isinstance(end, Tensor) or not known(weight):
        kinds = ", ".join("Tensor" if isinstance(v, Tensor) else type(v).__name__ for v in (input, end, weight))
        raise TypeError(f"lerp() received an invalid combination of arguments - got ({kinds}), but expected one of:\n"
                        " * (Tensor input, Tensor end, Tensor weight, *, Tensor out = None)\n"
                        " * (Tensor input, Tensor end, Number weight, *, Tensor out = None)")
    for name, value in (("end", end), ("weight", weight)):
        if isinstance(value, Tensor) and value.dtype is not input.dtype:
            raise RuntimeError(f"expected dtype {CPP_NAMES[input.dtype.name]} for `{name}` but got dtype "
                               f"{CPP_NAMES[value.dtype.name]}")
    Lerp.check(input.dtype)
    return (Lerp if isinstance(weight, Tensor) else LerpNumber).call(input, end, weight)


class Addcmul(Elementwise):
    """input + value * tensor1 * tensor2"""
    numbers      = "none"
    check        = unless("addcmul_cpu_out", BOOL)
    cpu          = lambda x, tensor1, tensor2, *, value: x + value * tensor1 * tensor2
    cuda         = lambda x, tensor1, tensor2, *, value: x + value * tensor1 * tensor2
    grad_x       = lambda g: g
    grad_tensor1 = lambda g, tensor2, value: g * (tensor2 * value)
    grad_tensor2 = lambda g, tensor1, value: g * (tensor1 * value)


@export("addcmul", inplace=True)
def addcmul(input, tensor1, tensor2, *, value=1):
    """input + value * tensor1 * tensor2"""
    if isinstance(value, float) and common_dtype((input, tensor1, tensor2)).category != FLOATING:
        value = int(value)
    return Addcmul.call(input, tensor1, tensor2, value=value)


INTEGER_ADDCDIV = (
    "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true "
    "division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * "
    "torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for "
    "float inputs. The future addcdiv behavior is just the latter implementation: (input + value * tensor1 / tensor2), "
    "for all dtypes.")


class Addcdiv(Elementwise):
    """input + value * tensor1 / tensor2"""
    numbers      = "none"
    cpu          = lambda x, tensor1, tensor2, *, value: x + value * tensor1 / tensor2
    cuda         = lambda x, tensor1, tensor2, *, value: x + value * tensor1 / tensor2
    grad_x       = lambda g: g
    grad_tensor1 = lambda g, tensor2, value: g * (value / tensor2)
    grad_tensor2 = lambda g, tensor1, tensor2, value: -g * (value * tensor1 / (tensor2 * tensor2))

    @staticmethod
    def check(dtype):
        if dtype.category != FLOATING:
            raise RuntimeError(INTEGER_ADDCDIV)


@export("addcdiv", inplace=True)
def addcdiv(input, tensor1, tensor2, *, value=1):
    """input + value * tensor1 / tensor2; not for integers."""
    if all(isinstance(t, Tensor) for t in (tensor1, tensor2)):
        Addcdiv.check(common_dtype((tensor1, tensor2)))
    return Addcdiv.call(input, tensor1, tensor2, value=value)


# ---- of whole numbers
@export("gcd", inplace=True)
class Gcd(Elementwise):
    """The greatest common divisor."""
    numbers = "none"
    check   = unless("gcd_cpu", BOOL, FLOATING)
    cpu     = np.gcd

    def cuda(x, y):
        x, y = abs(x), abs(y)
        while y:
            x, y = y, x % y
        return x


@export("lcm", inplace=True)
class Lcm(Elementwise):
    """The least common multiple."""
    numbers = "none"
    check   = unless("lcm_cpu", BOOL, FLOATING)
    cpu     = np.lcm

    def cuda(x, y):
        a, b = abs(x), abs(y)
        while b:
            a, b = b, a % b
        return abs(x // a * y) if a else 0
