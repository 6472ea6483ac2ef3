"""Losses between an input and a target of the same shape, each one node: of distances and of probabilities.

Their numbers are put together from elementwise ops and reductions; losses of class indices are in class_loss.py.
"""
from __future__ import annotations

import functools
import warnings

import numpy as np

from ..backends.summing import total
from ..core import dtypes, layout
from ..core.export import export, functions
from ..core.mode import mode, no_grad
from ..core.op import Op, common_backend, common_dtype, has_kernel
from ..core.record import record
from ..core.tensor import from_array, wrap
from .matmul import check_tensors
from .expand import broadcast_tensors
from .views import no_names

REDUCTIONS = ("none", "mean", "sum")


def reduction_of(reduction, size_average=None, reduce=None):
    """The reduction asked for, be it in torch's old words; its error for one that isn't."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
                      UserWarning,
                      stacklevel=3)
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(values, reduction):
    return values.mean() if reduction == "mean" else values.sum() if reduction == "sum" else values


def warn_of_sizes(input, target):
    if target.shape != input.shape:
        warnings.warn(f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This "
                      "will likely lead to incorrect results due to broadcasting. Please ensure they have the same "
                      "size.", UserWarning,
                      stacklevel=3)


class Loss(Op):
    """`value(input, target, ...)` for every element, then the reduction.

    On the CPU these are several ops, where a device has kernels they are one program. Formulas multiply by `factor`,
    1 / count for a mean.
    """
    kernel = None                                  # torch's word for what refuses integers
    result = None                                  # which input's dtype the result has; None: the common one

    @classmethod
    def call(cls, *inputs, reduction, **params):
        if cls.kernel:
            found = dtypes.promote_types(inputs[0].dtype, inputs[1].dtype)
            if not found.is_floating_point:
                raise NotImplementedError(f'"{cls.kernel}" not implemented for \'{found.legacy_name}\'')
        if has_kernel(cls, common_backend(inputs)):
            out, count = cls.by_kernel(inputs, reduction, params)
        else:
            with no_grad():
                values = cls.value(*inputs, **params)
                out, count = reduced(values, reduction), values.numel()
        if mode.grad:
            count = count if reduction == "mean" else 1
            factor = 1 / count if count else 0.0
            record(cls, inputs, {"reduction": reduction, "factor": factor, **params}, out)
        return out

    @classmethod
    def by_kernel(cls, inputs, reduction, params):
        """(the result, how many elements there are)"""
        given = [x for x in inputs if x is not None]
        backend, common = common_backend(given), common_dtype(given)
        arrays = [x if x is None else x.to(common)._array for x in inputs]
        out = from_array(backend.program(cls.cuda)(*arrays, reduction=reduction, **params), backend)
        count = layout.numel(functools.reduce(layout.broadcast_shapes, [tuple(x.shape) for x in given]))
        return out if cls.result is None else out.to(inputs[cls.result].dtype), count


# ---- distances
class MseLoss(Loss):
    """The squared difference."""
    kernel = "mse_cpu"
    cuda = "loss.mse"

    def cpu(input, target, *, reduction, factor):
        difference = input - target
        squares = np.asarray(difference * difference)
        if reduction == "none":
            return squares
        return np.asarray(total(squares) / (squares.size if reduction == "mean" else 1))

    value       = staticmethod(lambda input, target: (input - target) * (input - target))
    grad_input  = lambda g, input, target, factor: (input - target) * (g * (2 * factor))
    grad_target = lambda g, input, target, factor: (target - input) * (g * (2 * factor))


@export("nn.functional.mse_loss", out=False)
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean (or sum, or each) of the squared differences, weighted if `weight` is given."""
    if (size_average is None and reduce is None and weight is None and reduction in REDUCTIONS
            and getattr(target, "_spec", None) is getattr(input, "_spec", 0)):
        spec = input._spec
        if spec.fast:                              # the short path: every step of many a training loop passes here
            count = layout.numel(spec.shape) if reduction == "mean" else 1
            params = {"reduction": reduction, "factor": 1 / count if count else 0.0}
            array = spec.backend.run(MseLoss, (input._array, target._array), params)
            out = wrap(array, layout.spec(spec.dtype, array.shape, spec.backend))
            if mode.grad:
                record(MseLoss, (input, target), params, out, True)
            return out
    target.size(), input.size()                    # noqa: B018  (torch's AttributeError for a number)
    check_plain(input, target, "mse_loss")
    warn_of_sizes(input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    input, target = broadcast_tensors(input, target)
    if weight is not None:
        return weighted((input - target) ** 2, input, weight, reduction)
    return MseLoss.call(input, target, reduction=reduction)


def check_plain(input, target, name):
    for x in (input, target):
        no_names(x, name)


def weighted(values, input, weight, reduction):
    """The weighted mean divides by the sum of the weights."""
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    total = (values * weight).sum() if reduction != "none" else values * weight
    return total / weight.sum() if reduction == "mean" else total


@export("nn.functional.l1_loss", out=False)
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean (or sum, or each) of the absolute differences, weighted if `weight` is given."""
    target.size(), input.size()                    # noqa: B018
    check_plain(input, target, "l1_loss")
    warn_of_sizes(input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    input, target = broadcast_tensors(input, target)
    if weight is not None:
        return weighted((input - target).abs(), input, weight, reduction)
    return reduced((input - target).abs(), reduction)


def bent(distance, at):
    """Half the square of a distance up to `at`, a straight line from there on."""
    near = distance.clamp(max=at)
    return near * (distance - 0.5 * near)


class SmoothL1Loss(Loss):
    """Quadratic up to a difference of beta, linear beyond."""
    kernel = "smooth_l1_cpu"
    cuda        = "loss.smooth_l1"
    cpu         = lambda input, target, *, reduction, factor, beta: None       # computed by `value`
    value       = staticmethod(lambda input, target, beta: bent((input - target).abs(), beta) / beta)
    grad_input  = lambda g, input, target, factor, beta: ((input - target) / beta).clamp(-1, 1) * (g * factor)
    grad_target = lambda g, input, target, factor, beta: ((target - input) / beta).clamp(-1, 1) * (g * factor)


class HuberLoss(Loss):
    """Quadratic up to a difference of delta, linear beyond."""
    kernel, result = "huber_cpu", 0
    cuda        = "loss.huber"
    cpu         = lambda input, target, *, reduction, factor, delta: None      # computed by `value`
    value       = staticmethod(lambda input, target, delta: bent((input - target).abs(), delta).to(input.dtype))
    grad_input  = lambda g, input, target, factor, delta: (input - target).clamp(-delta, delta) * (g * factor)
    grad_target = lambda g, input, target, factor, delta: (target - input).clamp(-delta, delta) * (g * factor)


@export("nn.functional.smooth_l1_loss", out=False)
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """Half the squared difference over beta where it is smaller than beta, else the difference minus beta / 2."""
    target.size(), input.size()                    # noqa: B018
    check_plain(input, target, "smooth_l1_loss")
    warn_of_sizes(input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    input, target = broadcast_tensors(input, target)
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return SmoothL1Loss.call(input, target, reduction=reduction, beta=beta)


@export("nn.functional.huber_loss", out=False)
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Half the squared difference where it is smaller than delta, else delta * (difference - delta / 2)."""
    target.size(), input.size()                    # noqa: B018
    check_plain(input, target, "huber_loss")
    warn_of_sizes(input, target)
    reduction = reduction_of(reduction)
    input, target = broadcast_tensors(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if weight is None:
        return HuberLoss.call(input, target, reduction=reduction, delta=delta)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    return reduced(HuberLoss.call(input, target, reduction="none", delta=delta) * weight, reduction)


# ---- probabilities
SMALL = float(np.float32(1e-12))                   # torch's constant is a float32


class BinaryCrossEntropy(Loss):
    """-(target * log(input) + (1 - target) * log(1 - input)), each logarithm at least -100."""
    kernel = "binary_cross_entropy"
    cuda = "loss.binary_cross_entropy"
    cpu  = lambda input, target, weight, *, reduction, factor: None             # computed by `value`

    @staticmethod
    def value(input, target, weight):
        values = (target - 1) * (-input).log1p().clamp(min=-100) - target * input.log().clamp(min=-100)
        return values if weight is None else values * weight

    def grad_input(g, input, target, weight, factor):
        slope = (input - target) / ((1 - input) * input).clamp(min=SMALL) * (g * factor)
        return slope if weight is None else slope * weight

    def grad_target(g, input, target, weight, factor):
        slope = ((-input).log1p() - input.log()) * (g * factor)
        return slope if weight is None else slope * weight


@export("nn.functional.binary_cross_entropy", out=False)
def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The cross entropy between probabilities `input` and `target`, both between 0 and 1."""
    check_tensors("binary_cross_entropy", input=input, target=target)
    check_plain(input, target, "binary_cross_entropy")
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is "
                         "deprecated. Please ensure they have the same size.")
    if target.dtype is not input.dtype:
        raise RuntimeError(f"Found dtype {target.dtype.legacy_name} but expected {input.dtype.legacy_name}")
    if not input.is_floating_point():
        raise NotImplementedError(f'"binary_cross_entropy" not implemented for \'{input.dtype.legacy_name}\'')
    if weight is not None:
        check_weight(weight, input)
    for name, x in (("input", input), ("target", target)):
        found = x._host()
        if not bool(np.all((found >= 0) & (found <= 1))):
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    return BinaryCrossEntropy.call(input, target, weight, reduction=reduction)


def check_weight(weight, input):
    """torch's error for a weight that can't be broadcast to the input."""
    for back, (size, wanted) in enumerate(zip(reversed(weight.shape), reversed(input.shape)), 1):
        if size not in (1, wanted):
            raise RuntimeError(f"Attempting to broadcast a dimension of length {size} at -{back}! Mismatching argument "
                               f"at index 1 had {weight.shape}; but expected shape should be broadcastable to "
                               f"{list(input.shape)}")


class BinaryCrossEntropyWithLogits(Loss):
    """binary_cross_entropy of sigmoid(input), without ever leaving the logarithms."""
    cuda = "loss.binary_cross_entropy_with_logits"
    cpu  = lambda input, target, weight, pos_weight, *, reduction, factor: None         # computed by `value`

    @staticmethod
    def value(input, target, weight, pos_weight):
        likely = log_sigmoid(input)
        scale = likely if pos_weight is None else ((pos_weight - 1) * target + 1) * likely
        values = (1 - target) * input - scale
        return values if weight is None else values * weight

    def grad_input(g, input, target, weight, pos_weight, factor):
        if pos_weight is None:
            slope = (input.sigmoid() - target) * (g * factor)
        else:
            positive = pos_weight * target
            slope = ((positive + 1 - target) * input.sigmoid() - positive) * (g * factor)
        return slope if weight is None else slope * weight

    def grad_target(g, input, weight, pos_weight, factor):
        slope = -input if pos_weight is None else -input - (pos_weight - 1) * log_sigmoid(input)
        slope = slope * (g * factor)
        return slope if weight is None else slope * weight


def log_sigmoid(x):
    return functions["nn.functional.logsigmoid"](x)


@export("nn.functional.binary_cross_entropy_with_logits", out=False)
def binary_cross_entropy_with_logits(input, target, weight=None, size_average=None, reduce=None, reduction="mean",
                                     pos_weight=None):
    """The cross entropy between the probabilities sigmoid(input) and `target`; `pos_weight` weighs positive targets."""
    check_tensors("binary_cross_entropy_with_logits", input=input, target=target)
    check_plain(input, target, "binary_cross_entropy_with_logits")
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    if not input.is_floating_point():
        raise NotImplementedError(f'"log_sigmoid_cpu" not implemented for \'{input.dtype.legacy_name}\'')
    if not target.is_floating_point():
        raise RuntimeError(f"result type {input.dtype.legacy_name} can't be cast to the desired output type "
                           f"{target.dtype.legacy_name}")
    if pos_weight is not None:
        layout.broadcast_shapes(pos_weight.shape, input.shape)
    if weight is not None:
        layout.broadcast_shapes(input.shape, weight.shape)
    return BinaryCrossEntropyWithLogits.call(input, target, weight, pos_weight, reduction=reduction)


@export("nn.functional.kl_div", out=False)
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """The divergence of Kullback and Leibler from log-probabilities `input` to probabilities (or logs) `target`."""
    if size_average is not None or reduce is not None:
        reduction = reduction_of(reduction, size_average, reduce)
    if reduction == "mean":
        warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the support "
                      "size.'batchmean' divides only by the batch size, and aligns with the KL div math "
                      "definition.'mean' will be changed to behave the same as 'batchmean' in the next major "
                      "release.", UserWarning, stacklevel=2)
    if not input.is_floating_point() or not target.is_floating_point():
        raise RuntimeError("kl_div: Integral inputs not supported.")
    kind = "sum" if reduction == "batchmean" else reduction_of(reduction)
    values = target.exp() * (target - input) if log_target else functions["xlogy"](target, target) - target * input
    total = reduced(values, kind)
    return total / input.size(0) if reduction == "batchmean" and input.ndim else total
