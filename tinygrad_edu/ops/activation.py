"""Activations: what a neuron does with its sum.

Programs are written so that small results are right in relative error too: 1 + tanh(x) and log(1 + exp(x)), written
down as they are read, lose every digit far from 0.
"""
from __future__ import annotations

import math

import numpy as np

from ..core.dtypes import BOOL, INTEGER
from ..core import dtypes
from ..core.export import export
from ..core.fast import short_path
from ..core.op import Elementwise
from ..core.tensor import Tensor
from .arithmetic import select, unless
from .choose import where
from .special import erfc, in_blocks, normal_below


def apply(op, input, inplace=False, **params):
    """The op's result, written into its input where that is asked for."""
    return Tensor._in_place(op.call, f"{op.public}_")(input, **params) if inplace else op.call(input, **params)


# ---- made of pieces of straight lines
class ReluGrad(Elementwise):
    """g where y, the result, is positive (or nan): the derivative of relu."""
    cpu    = lambda g, y: select(y <= 0, 0, g)
    cuda   = lambda g, y: 0.0 if y <= 0 else g
    grad_g = lambda gg, y: relu_gradient(gg, y)


relu_gradient = short_path(ReluGrad)


@export("relu", inplace=True)
class Relu(Elementwise):
    """max(input, 0); the derivative at 0 is 0."""
    cpu    = lambda x: np.maximum(0, x)            # in this order: of -0. it makes -0., as torch does
    cuda   = lambda x: 0 if x < 0 else x
    grad_x = lambda g, out: relu_gradient(g, out)

    @staticmethod
    def check(dtype):
        if dtype is dtypes.bool_:
            raise RuntimeError("Boolean inputs not supported for relu")


fast_relu = short_path(Relu)


@export("nn.functional.relu")
def relu(input, inplace=False):
    """max(input, 0)"""
    return input.relu_() if inplace else fast_relu(input)


class LeakyRelu(Elementwise):
    """input where it is positive, negative_slope * input elsewhere."""
    public = "leaky_relu"
    check  = unless("leaky_relu_cpu", BOOL, INTEGER)
    cuda   = lambda x, *, negative_slope: x if x > 0 else x * negative_slope
    grad_x = lambda g, x, negative_slope: where(x > 0, g, g * negative_slope)

    def cpu(x, *, negative_slope):
        scaled = x * negative_slope
        if not negative_slope > 0:
            return select(x > 0, x, scaled)
        return np.maximum(x, scaled) if negative_slope <= 1 else np.minimum(x, scaled)


@export("nn.functional.leaky_relu")
def leaky_relu(input, negative_slope=0.01, inplace=False):
    """input where it is positive, negative_slope * input elsewhere."""
    return apply(LeakyRelu, input, inplace, negative_slope=negative_slope)


class PreluKernel(Elementwise):
    """input where it is positive, weight * input elsewhere."""
    public      = "prelu"
    check       = unless("prelu_cpu", BOOL, INTEGER)
    cpu         = lambda x, weight: select(x > 0, x, x * weight)
    cuda        = lambda x, weight: x if x > 0 else x * weight
    grad_x      = lambda g, x, weight: where(x > 0, g, g * weight)
    grad_weight = lambda g, x: where(x > 0, 0, g * x)


@export("prelu", "nn.functional.prelu")
def prelu(input, weight):
    """input where it is positive, weight * input elsewhere: one weight, or one per channel (dimension 1)."""
    if weight.dtype is not input.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {input.dtype.legacy_name} and "
                           f"{weight.dtype.legacy_name}")
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if weight.numel() != 1:
        if not input.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if weight.numel() != channels:
            raise RuntimeError("Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                               f"{weight.numel()} and channel size = {channels}.")
        weight = weight.reshape([channels if d == 1 else 1 for d in range(input.ndim)])
    else:
        weight = weight.reshape([1] * input.ndim)
    return PreluKernel.call(input, weight)


class Threshold(Elementwise):
    """input above the threshold, value elsewhere."""
    public = "threshold"
    check  = unless("threshold_cpu", BOOL)
    cpu    = lambda x, *, threshold, value: np.where(x <= threshold, np.asarray(value).astype(x.dtype), x)
    cuda   = lambda x, *, threshold, value: value if x <= threshold else x
    grad_x = lambda g, x, threshold: where(x <= threshold, 0, g)


@export("threshold()", "nn.functional.threshold")
def threshold(input, threshold, value, inplace=False):
    """input where it is above the threshold, value elsewhere."""
    return apply(Threshold, input, inplace, threshold=threshold, value=value)


class Hardtanh(Elementwise):
    """input, moved into [min_val, max_val]; flat at the bounds."""
    public = "hardtanh"
    cpu    = lambda x, *, min_val, max_val: np.minimum(max_val, np.maximum(min_val, x))
    cuda   = lambda x, *, min_val, max_val: min_val if x < min_val else max_val if x > max_val else x
    grad_x = lambda g, x, min_val, max_val: where((x <= min_val) | (x >= max_val), 0, g)


@export("nn.functional.hardtanh")
def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """input, moved into [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype is dtypes.bool_:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if not input.is_floating_point():
        min_val, max_val = int(min_val), int(max_val)
        if input.dtype is dtypes.uint8 and (min_val < 0 or max_val < 0):
            raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    return apply(Hardtanh, input, inplace, min_val=min_val, max_val=max_val)


@export("nn.functional.relu6")
def relu6(input, inplace=False):
    """input, moved into [0, 6]."""
    return hardtanh(input, 0, 6, inplace)


def ramp(x):
    """relu6(x + 3) / 6: 0 below -3, 1 above 3."""
    out = np.asarray(x + 3)
    out.clip(0, 6, out=out)
    out /= 6
    return out


class Hardsigmoid(Elementwise):
    """A sigmoid of three straight lines: relu6(x + 3) / 6."""
    public = "hardsigmoid"
    check  = unless("hardsigmoid_cpu", BOOL, INTEGER)
    cpu    = lambda x: ramp(x)
    cuda   = lambda x: 0.0 if x < -3 else 1.0 if x > 3 else (x + 3) / 6
    grad_x = lambda g, x: where((x > -3) & (x < 3), g / 6, 0)


@export("nn.functional.hardsigmoid")
def hardsigmoid(input, inplace=False):
    """A sigmoid of three straight lines: 0 below -3, 1 above 3."""
    return apply(Hardsigmoid, input, inplace)


class Hardswish(Elementwise):
    """x * relu6(x + 3) / 6"""
    public = "hardswish"
    check  = unless("hardswish_cpu", BOOL, INTEGER)
    cpu    = lambda x: x * ramp(x)
    cuda   = lambda x: x * (0.0 if x < -3 else 1.0 if x > 3 else (x + 3) / 6)
    grad_x = lambda g, x: where(x <= -3, 0, where(x < 3, g * (x / 3 + 0.5), g))


@export("nn.functional.hardswish")
def hardswish(input, inplace=False):
    """input * hardsigmoid(input)"""
    return apply(Hardswish, input, inplace)


class Hardshrink(Elementwise):
    """input, but 0 in [-lambd, lambd]."""
    public = "hardshrink"
    check  = unless("hardshrink_cpu", BOOL, INTEGER)
    cpu    = lambda x, *, lambd: select(np.abs(x) <= lambd, 0, x)
    cuda   = lambda x, *, lambd: 0.0 if abs(x) <= lambd else x
    grad_x = lambda g, x, lambd: where(x.abs() <= lambd, 0, g)


@export("hardshrink", "nn.functional.hardshrink")
def hardshrink(input, lambd=0.5):
    """input, but 0 in [-lambd, lambd]."""
    return Hardshrink.call(input, lambd=lambd)


class Softshrink(Elementwise):
    """input moved towards 0 by lambd."""
    public = "softshrink"
    check  = unless("softshrink_check", BOOL, INTEGER)
    cpu    = lambda x, *, lambd: select(np.abs(x) <= lambd, 0, x - np.copysign(x.dtype.type(lambd), x))
    cuda   = lambda x, *, lambd: 0.0 if abs(x) <= lambd else x - math.copysign(lambd, x)
    grad_x = lambda g, x, lambd: where(x.abs() <= lambd, 0, g)


@export("nn.functional.softshrink")
def softshrink(input, lambd=0.5):
    """input moved towards 0 by lambd."""
    Softshrink.check(input.dtype)
    if not 0 <= lambd <= dtypes.finfo(input.dtype).max:
        raise RuntimeError(f"lambda must be in range [0, {dtypes.finfo(input.dtype).max:g}] for input dtype "
                           f"{input.dtype.legacy_name}, but found {lambd:g}")
    return Softshrink.call(input, lambd=lambd)


# ---- made of exponentials
def logistic(x):
    """1 / (1 + exp(-x)), without overflow."""
    if x.size > 256 and x.min() > -88:             # none to be afraid of: half the steps
        out = np.negative(x)
        np.exp(out, out=out)
        out += 1
        return np.divide(1, out, out=out)
    e = np.exp(-np.abs(x))
    return np.maximum(e, x >= 0) / (1 + e)


@export("sigmoid", "nn.functional.sigmoid", inplace=True)
class Sigmoid(Elementwise):
    """1 / (1 + exp(-input))"""
    result = "float"
    cpu    = lambda x: logistic(x)
    cuda   = lambda x: 1 / (1 + math.exp(-x)) if x > -700 else math.exp(x)
    grad_x = lambda g, out: g * ((1 - out) * out)


class LogSigmoid(Elementwise):
    """log(sigmoid(input))"""
    public = "logsigmoid"
    check  = unless("log_sigmoid_cpu", BOOL, INTEGER)
    cpu    = lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    cuda   = lambda x: (x if x < 0 else 0.0) - math.log1p(math.exp(-abs(x)))
    grad_x = lambda g, x: g * (-x).sigmoid()


@export("nn.functional.logsigmoid")
def logsigmoid(input):
    """log(sigmoid(input))"""
    return LogSigmoid.call(input)


class Softplus(Elementwise):
    """log(1 + exp(beta * input)) / beta, and input itself where beta * input is above the threshold."""
    public = "softplus"
    check  = unless("softplus_cpu", BOOL, INTEGER)
    grad_x = lambda g, x, beta, threshold: where(x * beta > threshold, g, g * (x * beta).sigmoid())

    def cpu(x, *, beta, threshold):
        z = x * beta
        return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / np.asarray(beta, x.dtype))

    def cuda(x, *, beta, threshold):
        z = x * beta
        return x if z > threshold else ((0.0 if z < 0 else z) + math.log1p(math.exp(-abs(z)))) / beta


@export("nn.functional.softplus")
def softplus(input, beta=1, threshold=20):
    """log(1 + exp(beta * input)) / beta: a smooth relu."""
    return Softplus.call(input, beta=beta, threshold=threshold)


class Elu(Elementwise):
    """scale * input where it is positive, scale * alpha * (exp(input_scale * input) - 1) elsewhere."""
    public = "elu"
    check  = unless("elu_cpu", BOOL, INTEGER)

    def cpu(x, *, alpha, scale, input_scale):
        return np.maximum(x, 0) * scale + np.expm1(np.minimum(x, 0) * input_scale) * (alpha * scale)

    def cuda(x, *, alpha, scale, input_scale):
        return x * scale if x > 0 else math.expm1(x * input_scale) * (alpha * scale)

    def grad_x(g, x, alpha, scale, input_scale):
        return where(x <= 0, g * ((x * input_scale).exp() * (input_scale * alpha * scale)), g * scale)


class Celu(Elu):
    """max(0, input) + min(0, alpha * (exp(input / alpha) - 1))"""
    public = "celu"
    cpu    = Elu.cpu


@export("nn.functional.elu")
def elu(input, alpha=1.0, inplace=False):
    """input where it is positive, alpha * (exp(input) - 1) elsewhere."""
    return apply(Elu, input, inplace, alpha=alpha, scale=1, input_scale=1)


@export("selu()", "nn.functional.selu")
def selu(input, inplace=False):
    """elu with the scales that keep mean 0 and variance 1 (Klambauer et al., arXiv:1706.02515)."""
    return apply(Elu, input, inplace, alpha=1.6732632423543772, scale=1.0507009873554805, input_scale=1)


@export("celu()", "nn.functional.celu")
def celu(input, alpha=1.0, inplace=False):
    """elu with a continuous derivative for every alpha."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return apply(Celu, input, inplace, alpha=alpha, scale=1, input_scale=1 / alpha)


class Silu(Elementwise):
    """input * sigmoid(input)"""
    public = "silu"
    check  = unless("silu_cpu", BOOL, INTEGER)
    cpu    = lambda x: x * logistic(x)
    cuda   = lambda x: x / (1 + math.exp(-x)) if x > -700 else x * math.exp(x)

    def grad_x(g, x):
        s = x.sigmoid()
        return g * (s * (1 + x * (1 - s)))


@export("nn.functional.silu")
def silu(input, inplace=False):
    """input * sigmoid(input), also known as swish."""
    return apply(Silu, input, inplace)


class Mish(Elementwise):
    """input * tanh(softplus(input))"""
    public = "mish"
    check  = unless("mish_cpu", BOOL, INTEGER)

    def cpu(x):                                    # tanh(log(1 + u)) is u (u + 2) / (u (u + 2) + 2)
        e = np.exp(-np.abs(x))
        positive = (1 + 2 * e) / (1 + 2 * e + 2 * e * e)
        return x * select(x >= 0, positive, e * (e + 2) / (e * (e + 2) + 2))

    def cuda(x):
        e = math.exp(-abs(x))
        return x * ((1 + 2 * e) / (1 + 2 * e + 2 * e * e) if x >= 0 else e * (e + 2) / (e * (e + 2) + 2))

    def grad_x(g, x):
        t = Softplus.call(x, beta=1, threshold=20).tanh()
        return g * (t + x * x.sigmoid() * (1 - t * t))


@export("nn.functional.mish")
def mish(input, inplace=False):
    """input * tanh(softplus(input))"""
    return apply(Mish, input, inplace)


# ---- gelu, exact and by tanh (Hendrycks and Gimpel, arXiv:1606.08415)
class Gelu(Elementwise):
    """input * P(a standard normal number < input)"""
    public = "gelu"
    check  = unless("GeluKernelImpl", BOOL, INTEGER)
    cpu    = in_blocks(lambda x: 0.5 * x * erfc(x * -math.sqrt(0.5)), short=lambda x: x * normal_below(x))
    cuda   = lambda x: 0.5 * x * math.erfc(x * -0.7071067811865476)

    def grad_x(g, x):
        density = (x * x * -0.5).exp() * (1 / math.sqrt(2 * math.pi))
        return g * (0.5 * (x * -math.sqrt(0.5)).erfc() + x * density)


SLOPE, CUBIC = 2 * math.sqrt(2 / math.pi), 0.044715


def gelu_by_tanh(x):
    """x / (1 + exp(-SLOPE * (x + CUBIC * x ** 3)))"""
    out = CUBIC * x
    out *= x
    out *= x
    out += x
    out *= -SLOPE
    np.exp(out, out=out)
    out += 1
    return np.divide(x, out, out=out)


class GeluTanh(Elementwise):
    """input * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x ** 3))) / 2, where (1 + tanh(z)) / 2 is sigmoid(2 z)."""
    public    = "gelu"
    node_name = "GeluBackward0"
    check     = Gelu.check
    cpu       = in_blocks(lambda x: gelu_by_tanh(x))
    cuda      = lambda x: x / (1 + math.exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)))

    def grad_x(g, x):
        s = ((x + CUBIC * (x * x * x)) * SLOPE).sigmoid()
        return g * (s + x * (s * (1 - s)) * (SLOPE * (1 + 3 * CUBIC * (x * x))))


@export("nn.functional.gelu")
def gelu(input, *, approximate="none"):
    """input * P(a standard normal number < input), or its approximation by tanh."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return (Gelu if approximate == "none" else GeluTanh).call(input)


# ---- made of others
@export("nn.functional.tanhshrink")
def tanhshrink(input):
    """input - tanh(input)"""
    return input - input.tanh()


@export("nn.functional.softsign")
def softsign(input):
    """input / (1 + |input|)"""
    return input / (input.abs() + 1)
