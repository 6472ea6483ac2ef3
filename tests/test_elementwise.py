"""Elementwise operations where sample lines do not look: refusals, foreign operands, edges, precision in the tails."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_edu as te

F = te.nn.functional
NAN, INF = math.nan, math.inf


def floats(*values):
    return te.tensor(values, dtype=te.float64)


def gradient(function, *values):
    """The gradient of the sum of function(x), for each x."""
    x = floats(*values).requires_grad_()
    function(x).sum().backward()
    return x.grad.tolist()


# ---- refusals, in torch's words
REFUSALS = [
    (lambda: -te.tensor([True]), RuntimeError,
     "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the "
     "`~` or `logical_not()` operator instead."),
    (lambda: +te.tensor([True]), RuntimeError, "The `+` operator, on a bool tensor is not supported."),
    (lambda: te.tensor([True]) - te.tensor([True]), RuntimeError,
     "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
     "operator instead."),
    (lambda: 1 - te.tensor([True]), RuntimeError,
     "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use "
     "the `~` or `logical_not()` operator instead."),
    (lambda: ~te.tensor([1.0]), TypeError,
     "~ (operator.invert) is only implemented on integer and Boolean-type tensors"),
    (lambda: te.tensor([1.0]) & 1, NotImplementedError, "\"bitwise_and_cpu\" not implemented for 'Float'"),
    (lambda: te.tensor([True]).abs(), NotImplementedError, "\"abs_cpu\" not implemented for 'Bool'"),
    (lambda: te.frac(te.tensor([1])), NotImplementedError, "\"frac_cpu\" not implemented for 'Long'"),
    (lambda: te.tensor([1, 2]) // te.tensor([1, 0]), RuntimeError, "ZeroDivisionError"),
    (lambda: te.tensor([1, 2]) % 0, RuntimeError, "ZeroDivisionError"),
    (lambda: te.div(te.tensor([1, 2]), 0, rounding_mode="trunc"), RuntimeError, "ZeroDivisionError"),
    (lambda: te.div(te.ones(1), 2, rounding_mode="up"), RuntimeError,
     "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'"),
    (lambda: te.tensor([2]) ** -1, RuntimeError, "Integers to negative integer powers are not allowed."),
    (lambda: te.add(te.tensor([1]), 1, alpha=2.5), RuntimeError,
     "For integral input tensors, argument alpha must not be a floating point number."),
    (lambda: te.add(te.ones(1), 1, alpha=True), RuntimeError, "Boolean alpha only supported for Boolean results."),
    (lambda: te.mul(te.ones(1), "a"), TypeError, "mul(): argument 'other' (position 2) must be Tensor, not str"),
    (lambda: te.eq(te.ones(1), None), TypeError,
     "eq() received an invalid combination of arguments - got (Tensor, NoneType), but expected one of:"),
    (lambda: te.maximum(te.ones(1), 1), TypeError, "maximum(): argument 'other' (position 2) must be Tensor, not int"),
    (lambda: te.exp(2.0), TypeError, "exp(): argument 'input' (position 1) must be Tensor, not float"),
    (lambda: te.clamp(te.ones(1)), RuntimeError, "torch.clamp: At least one of 'min' or 'max' must not be None"),
    (lambda: te.clamp(te.tensor([1], dtype=te.uint8), -1, 300), RuntimeError,
     "value cannot be converted to type uint8_t without overflow"),
    (lambda: te.where(te.ones(1), 1, 2), RuntimeError,
     "where expected condition to be a boolean tensor, but got a tensor with dtype Float"),
    (lambda: te.isclose(te.ones(1), floats(1)), RuntimeError, "Float did not match Double"),
    (lambda: te.lerp(te.ones(1), floats(1), 0.5), RuntimeError, "expected dtype float for `end` but got dtype double"),
    (lambda: te.heaviside(te.ones(1), te.tensor([1])), RuntimeError,
     "heaviside is not yet implemented for tensors with different dtypes."),
    (lambda: F.celu(te.ones(1), 0), RuntimeError, "ZeroDivisionError: alpha cannot be 0 for CELU"),
    (lambda: F.gelu(te.ones(1), approximate="bad"), RuntimeError, "approximate argument must be either none or tanh."),
    (lambda: F.hardtanh(te.ones(1), 1, -1), ValueError, "min_val cannot be greater than max_val"),
    (lambda: F.softshrink(te.ones(1), -1), RuntimeError,
     "lambda must be in range [0, 3.40282e+38] for input dtype Float, but found -1"),
    (lambda: F.prelu(te.ones(2, 3), te.ones(2)), RuntimeError,
     "Mismatch of parameter numbers and input channel size. Found parameter numbers = 2 and channel size = 3."),
    (lambda: (te.ones(1).requires_grad_() // 2).sum().backward(), RuntimeError,
     "derivative for aten::floor_divide is not implemented"),
    (lambda: te.ones(1) + None, TypeError, "unsupported operand type(s) for +: 'Tensor' and 'NoneType'"),
    (lambda: te.ones(1) < "a", TypeError, "'<' not supported between instances of 'Tensor' and 'str'"),
]


@pytest.mark.parametrize("number", range(len(REFUSALS)))
def test_refusals(number):
    program, kind, sentence = REFUSALS[number]
    with pytest.raises(kind) as caught:
        program()
    assert str(caught.value).split("\n")[0] == sentence


# ---- operands of other kinds
def test_equality_with_anything_else_is_false():
    x = te.ones(2)
    assert (x == None) is False and (x != None) is True and (x == "a") is False  # noqa: E711


@pytest.mark.parametrize("two", [2, 2.0, np.float32(2), np.float64(2), np.int64(2)], ids=lambda v: type(v).__name__)
def test_numbers_on_both_sides(two):
    x = te.tensor([1.0, 4.0])
    for mine, right in ((x + two, [3, 6]), (two + x, [3, 6]), (x - two, [-1, 2]), (two - x, [1, -2]), (two * x, [2, 8]),
                        (x / two, [0.5, 2]), (two / x, [2, 0.5]), (x ** two, [1, 16]), (two ** x, [2, 16]),
                        (two // x, [2, 0]), (two % x, [0, 2])):
        assert mine.tolist() == right and mine.dtype is te.float32


def test_names_of_nodes_tell_which_operand_is_a_number():
    x, y = te.ones(2).requires_grad_(), te.ones(2)
    results = x ** 2, x ** y, 2 ** x, 2 - x, 2 / x, x % 2, x % y, x.clamp(0, 1), x.clamp(y, y)
    found = [type(z.grad_fn).__name__ for z in results]
    assert found == ["PowBackward0", "PowBackward1", "PowBackward2", "RsubBackward1", "MulBackward0",
                     "RemainderBackward0", "RemainderBackward1", "ClampBackward1", "ClampBackward0"]


def test_names_of_dimensions_are_unified():
    x = te.ones(2, 3, names=("N", "C"))
    assert te.where(x > 0, x, 0).names == ("N", "C") and (x ** 2).names == ("N", "C") and F.gelu(x).names == ("N", "C")
    assert te.maximum(x, te.ones(3, names=("C",))).names == ("N", "C")
    with pytest.raises(RuntimeError):
        x + te.ones(2, 3, names=("N", "D"))


# ---- integers
def test_integers_wrap_and_round_as_in_c():
    x = te.tensor([7, -7, 5, -5])
    assert (x // 3).tolist() == [2, -3, 1, -2] and (x % 3).tolist() == [1, 2, 2, 1]
    assert (x % -3).tolist() == [-2, -1, -1, -2]
    assert te.fmod(x, -3).tolist() == [1, -1, 2, -2] and te.div(x, 2, rounding_mode="trunc").tolist() == [3, -3, 2, -2]
    u = te.tensor([250, 3], dtype=te.uint8)
    assert (-u).tolist() == [6, 253] and (u * 2).tolist() == [244, 6] and (u + 300).tolist() == [38, 47]
    assert (x << 70).tolist() == [0] * 4 and (x >> 70).tolist() == [0, -1, 0, -1]
    assert (te.tensor([1, 2, -1, 0]) ** te.tensor([-1, -2, -3, 3])).tolist() == [1, 0, -1, 0]


def test_remainder_keeps_the_sign_of_zero():
    assert math.copysign(1, (floats(-0.0) % -3).item()) == -1 and (floats(1) % -INF).item() == -INF


# ---- kinks, and other places where a derivative is a decision
@pytest.mark.parametrize("function, values, right", [
    (te.abs, (0.0, -2.0), [0, -1]), (te.relu, (0.0, -1.0, 2.0), [0, 0, 1]), (te.sign, (0.0, 3.0), [0, 0]),
    (lambda x: x ** 0, (0.0, NAN), [0, 0]), (lambda x: 0 ** x, (0.0, 2.0), [0, 0]),
    (lambda x: x ** 1, (0.0, NAN), [1, 1]),
    (lambda x: x.clamp(0, 1), (0.0, 1.0, 2.0, -1.0), [1, 1, 0, 0]), (F.hardtanh, (-1.0, 1.0, 0.5), [0, 0, 1]),
    (lambda x: te.maximum(x, floats(0, 0, 0)), (0.0, 1.0, -1.0), [0.5, 1, 0]), (F.leaky_relu, (0.0, 1.0), [0.01, 1]),
    (lambda x: te.fmax(x, floats(0, NAN)), (0.0, 1.0), [1, 1]), (lambda x: te.atan2(x, x * 0), (0.0,), [0]),
    (lambda x: te.xlogy(x, floats(0)), (0.0,), [0]), (te.nan_to_num, (NAN, INF, 1.0), [0, 0, 1]),
    (F.hardswish, (3.0, -3.0), [1, 0]),
])
def test_subgradients(function, values, right):
    assert gradient(function, *values) == right


def test_relu_stops_infinite_and_undefined_gradients():
    for size in (3, 5000):                         # the short way and the one for large tensors
        x = te.full((size,), -1.0).requires_grad_()
        te.relu(x).backward(te.full((size,), INF))
        assert not x.grad.any()


def test_where_on_large_tensors_is_the_same():
    rng = np.random.default_rng(0)
    x, y = (te.from_numpy(rng.standard_normal(5000)) for _ in range(2))
    x[7], y[8] = NAN, -0.0
    for a, b in ((x, y), (x, 0), (1.5, y), (x[:1], y)):
        mine = te.where(x > 0, a, b).numpy()
        right = np.where(x.numpy() > 0, *(v.numpy() if isinstance(v, te.Tensor) else v for v in (a, b)))
        np.testing.assert_array_equal(mine, right)
        assert (np.signbit(mine) == np.signbit(right)).all()


# ---- relative precision where results are tiny, from mpmath with 60 digits
@pytest.mark.parametrize("function, x, right", [
    (te.erfc, 5.0, 1.5374597944280349e-12), (te.erfc, 8.0, 1.1224297172982928e-29), (te.erfc, -1.0, 1.8427007929497148),
    (te.erf, 1e-20, 1.1283791670955126e-20), (te.erf, 0.5, 0.52049987781304654), (te.erf, 3.0, 0.99997790950300141),
    (te.erfinv, 0.5, 0.47693627620446987), (te.lgamma, 100.0, 359.1342053695754),
    (te.digamma, 0.25, -4.2274535333762654),
    (te.sigmoid, -40.0, 4.2483542552915889e-18), (F.softplus, -40.0, 4.2483542552915889e-18),
    (F.logsigmoid, 40.0, -4.2483542552915889e-18), (F.silu, -40.0, -1.6993417021166356e-16),
    (F.gelu, -10.0, -7.6198530241604696e-23), (te.expm1, 1e-20, 1e-20), (te.log1p, 1e-20, 1e-20),
])
def test_tails(function, x, right):
    assert function(floats(x)).item() == pytest.approx(right, rel=1e-14, abs=0)
    single = te.tensor([x], dtype=te.float32)
    assert function(single).item() == pytest.approx(function(single.double()).item(), rel=3e-7, abs=0)


def test_near_zeros_and_poles():
    assert te.lgamma(floats(1 + 1e-8)).item() == pytest.approx(-5.772156531688512e-09, rel=1e-14, abs=0)
    assert te.erfinv(floats(1 - 2.0 ** -50)).item() == pytest.approx(5.686128441310391, rel=1e-14)
    assert te.lgamma(floats(0, -1, INF, -INF)).tolist() == [INF] * 4
    assert te.digamma(floats(0, -0.0)).tolist() == [-INF, INF] and math.isnan(te.digamma(floats(-1)).item())
    assert te.erfinv(floats(1, -1)).tolist() == [INF, -INF] and math.isnan(te.erfinv(floats(2)).item())


# ---- gradient of gelu in its tail, where torch loses digits
def test_gelu_gradient_in_the_tail():
    assert gradient(F.gelu, -20.0)[0] == pytest.approx(-1.1014360483e-86, rel=1e-9)


# ---- in place
def test_activations_in_place_write_into_their_input():
    for function in (F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.silu, F.mish, F.hardtanh, F.hardsigmoid,
                     F.hardswish):
        x = floats(-2, 0.5, 7)
        right = function(x)
        assert function(x, inplace=True) is x and x.tolist() == right.tolist(), function


def test_comparisons_in_place_keep_the_dtype():
    assert te.tensor([1.0, 2.0]).eq_(1).tolist() == [1.0, 0.0] and te.tensor([3, 1]).lt_(2).tolist() == [0, 1]


def test_whole_tensor_questions_are_python_bools():
    x = te.tensor([1.0, NAN])
    assert te.equal(x, x) is False and te.allclose(x, x) is False and te.allclose(x, x, equal_nan=True) is True
    assert te.equal(te.ones(2), te.ones(3)) is False and te.equal(te.ones(0), te.ones(0)) is True


def test_of_three_operands_none_is_called_a():
    with pytest.raises(RuntimeError) as caught:
        te.where(te.ones(2, 3) > 0, te.ones(3, 2), te.ones(1))
    assert str(caught.value).splitlines() == ["The size of tensor a (3) must match the size of tensor b (2) at "
                                              "non-singleton dimension 1"]
