"""Losses of class indices, nll_loss and cross_entropy; and losses of rankings and distances.

Which numbers a loss picks is decided by integers on the host; the derivative only moves numbers around.
"""
from __future__ import annotations

import numpy as np

from ..core import errors, layout
from ..core.export import export, functions
from ..core.op import Op
from .loss import reduced, reduction_of
from .matmul import check_tensors
from .views import no_names


# ---- minus the log-probability of the right class
def picks(classes, target, weight, ignore_index):
    """(the class to look at, how much it counts; None: all count once) for each target.

    torch's error for a target that is no class.
    """
    if not target.size:
        return target.astype(np.int64), None if weight is None else weight[:0].reshape(target.shape)
    if weight is None and not 0 <= ignore_index < classes and target.astype(np.uint64).max() < classes:
        return target, None                        # nothing to think of; negative ones would be huge
    low, high = target.min(), target.max()
    kept = None
    if low <= ignore_index <= high:
        kept = target != ignore_index
        target = np.where(kept, target, 0)
        low, high = target.min(), target.max()
    if low < 0 or high >= classes:
        raise IndexError(f"Target {target[(target < 0) | (target >= classes)].flat[0]} is out of bounds.")
    if weight is None:
        return target, kept
    return target, weight[target] if kept is None else weight[target] * kept


def places(target):
    """The index of input[n, target[n, ...], ...] for every target."""
    grid = [np.arange(size).reshape(-1, *[1] * (target.ndim - 1 - d)) for d, size in enumerate(target.shape)]
    return grid[0], target, *grid[1:]


class NllLoss(Op):
    """-weight[target] * input[..., target, ...] for each target, then the reduction; classes are dimension 1."""
    cuda = "loss.nll"

    def cpu(input, target, weight, *, reduction, ignore_index):
        if input.ndim == 1:
            out = NllLoss.cpu(input[None], target.reshape(1), weight, reduction=reduction, ignore_index=ignore_index)
            return out.reshape(target.shape) if reduction == "none" else out
        target, scale = picks(input.shape[1], target, weight, ignore_index)
        values = -input[places(target)]
        if scale is not None:
            values = np.where(scale != 0, values * scale, 0).astype(input.dtype, copy=False)
        if reduction == "none":
            return values
        wide = np.float32 if input.dtype.itemsize == 2 else input.dtype
        total = values.sum(dtype=wide)
        if reduction == "mean":
            total = total / (values.size if scale is None else scale.sum(dtype=wide))
        return np.asarray(total, input.dtype)

    grad_input = lambda g, input, target, weight, reduction, ignore_index: NllLossBackward.call(
        g, target, weight, size=input.shape, reduction=reduction, ignore_index=ignore_index)


class NllLossBackward(Op):
    """Zeros of `size` with -g * weight[target] where the target looks: the transpose of NllLoss."""
    cuda = "loss.nll_backward"

    def cpu(g, target, weight, *, size, reduction, ignore_index):
        if len(size) == 1:
            return NllLossBackward.cpu(g.reshape(-1), target.reshape(1), weight, size=(1, *size), reduction=reduction,
                                       ignore_index=ignore_index)[0]
        ignored = target == ignore_index if ignore_index >= 0 or target.size and target.min() < 0 else None
        target, scale = picks(size[1], target, weight, ignore_index)
        out = np.zeros(size, g.dtype)
        if reduction == "mean":
            count = target.size if scale is None else scale.sum(dtype=g.dtype)
            scale = np.ones((), g.dtype) / count if scale is None else scale / count
        each = -g if scale is None else (-g * scale).astype(g.dtype, copy=False)
        # not nan, even where nothing counts
        out[places(target)] = each if ignored is None else np.where(ignored, 0, each)
        return out

    grad_g = lambda g, target, weight, reduction, ignore_index: NllLoss.call(
        g, target, weight, reduction=reduction, ignore_index=ignore_index)


class NllLoss2D(NllLoss):
    """The same with positions behind the classes: an image has a class per pixel."""
    cpu = NllLoss.cpu
    grad_input = NllLoss.grad_input


@export("nn.functional.nll_loss", out=False)
def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Minus the log-probability of the target class: input (N, C, ...) or (C), target (N, ...) or ()."""
    check_tensors("nll_loss_nd", input=input, target=target)
    return _nll_loss(input, target, weight, ignore_index, reduction_of(reduction, size_average, reduce))


def _nll_loss(input, target, weight, ignore_index, reduction):
    for x in (input, target):
        no_names(x, "nll_loss")
    ndim = input.ndim
    if not ndim:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if ndim != 1 and target.ndim and input.shape[0] != target.shape[0]:
        raise errors.batches(input.shape, target.shape, f"Expected input batch_size ({input.shape[0]}) to match target "
                             f"batch_size ({target.shape[0]}).")
    check_classes(input, target, weight)
    params = {"reduction": reduction, "ignore_index": ignore_index}
    if ndim <= 2:
        return NllLoss.call(input, target, weight, **params)
    if ndim == 4:
        return NllLoss2D.call(input, target, weight, **params)
    pixels = layout.numel(input.shape[2:])
    flat = NllLoss2D.call(input.reshape(*input.shape[:2], 1, pixels), target.reshape(target.shape[0], 1, pixels),
                          weight, **params)
    return flat.view(target.shape) if reduction == "none" else flat


def check_classes(input, target, weight):
    """Shapes and dtypes of what meets in nll_loss, in torch's order and words."""
    ndim = input.ndim
    if ndim <= 2:
        if target.ndim > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    elif ndim == 4:
        if target.ndim != 3:
            raise RuntimeError("only batches of spatial targets supported (3D tensors) but got targets of dimension: "
                               f"{target.ndim}")
        if target.shape != input.shape[:1] + input.shape[2:]:
            raise RuntimeError(f"size mismatch (got input: {list(input.shape)} , target: {list(target.shape)}")
    elif target.shape != input.shape[:1] + input.shape[2:]:
        raise RuntimeError(f"Expected target size {list(input.shape[:1] + input.shape[2:])}, got {list(target.shape)}")
    classes = input.shape[0 if ndim == 1 else 1]
    if weight is not None and (weight.ndim != 1 or weight.shape[0] != classes):
        raise RuntimeError("weight tensor should be defined either for all or no classes" if ndim > 2 else
                           f"weight tensor should be defined either for all {classes} classes or no classes but got "
                           f"weight tensor of shape: {list(weight.shape)}")
    if target.dtype.name not in ("int64", "uint8"):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {target.dtype.legacy_name}")
    if not input.is_floating_point():
        raise NotImplementedError(f'"nll_loss_out_frame" not implemented for \'{input.dtype.legacy_name}\'')
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(f"expected scalar type {input.dtype.legacy_name} but found {weight.dtype.legacy_name}")


# ---- the same of scores that are not normalised
@export("nn.functional.cross_entropy", out=False)
def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean",
                  label_smoothing=0.0):
    """Minus the log of softmax(input) at the target class; target may also hold a probability for every class.

    input is (N, C, ...) or (C), target (N, ...) or () of class indices, or of input's shape.
    """
    check_tensors("cross_entropy_loss", input=input, target=target)
    reduction = reduction_of(reduction, size_average, reduce)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    dim = 0 if input.ndim == 1 else 1
    if input.shape == target.shape:
        return soft_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing, dim)
    if label_smoothing > 0:
        return smoothed_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing, dim)
    return _nll_loss(log_softmax(input, dim), target, weight, ignore_index, reduction)


def log_softmax(input, dim):
    return functions["log_softmax"](input, dim)


def class_shape(weight, ndim, dim):
    return weight.view([-1 if d == dim else 1 for d in range(ndim)])


def soft_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing, dim):
    """Targets are probabilities."""
    if not target.is_floating_point():
        raise RuntimeError("Expected floating point type for target with class probabilities, got "
                           f"{target.dtype.legacy_name}")
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    classes = input.shape[dim]
    if weight is not None and (weight.ndim != 1 or weight.shape[0] != classes):
        raise RuntimeError(f"cross_entropy: weight tensor should be defined either for all {classes} classes or no "
                           f"classes but got weight tensor of shape: {list(weight.shape)}")
    scores = log_softmax(input, dim)
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / max(classes, 1)
    values = scores * target if weight is None else scores * target * class_shape(weight, input.ndim, dim)
    if reduction == "none":
        return -values.sum(dim)
    return -values.sum() / (input.numel() / max(classes, 1)) if reduction == "mean" else -values.sum()


def smoothed_cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing, dim):
    """A part of the target's probability is spread over all classes."""
    scores = log_softmax(input, dim)
    hard = _nll_loss(scores, target, weight, ignore_index, reduction)
    ignored = target == ignore_index
    soft = -(scores if weight is None else scores * class_shape(weight, input.ndim, dim)).sum(dim)
    soft = soft.masked_fill(ignored, 0.0)
    if reduction == "mean":
        kept = ignored.logical_not()
        counted = kept.sum() if weight is None else weight.gather(0, target.masked_select(kept)).sum()
        soft = soft.sum() / counted
    elif reduction == "sum":
        soft = soft.sum()
    return hard * (1 - label_smoothing) + soft * (label_smoothing / input.shape[dim])


# ---- rankings and distances, put together from other ops
def where(condition, x, y):
    return functions["where"](condition, x, y)


@export("nn.functional.margin_ranking_loss", out=False)
def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """max(0, -target * (input1 - input2) + margin): target 1 wants input1 to be larger, -1 smaller."""
    reduction = reduction_of(reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError("margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
                           f"{input1.shape}, input2: {input2.shape}, target: {target.shape} ")
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@export("nn.functional.hinge_embedding_loss", out=False)
def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """The input where the target is 1, max(0, margin - input) where it is -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    far = where(target != 1, (margin - input).clamp_min(0), 0.0)
    return reduced(far + where(target != -1, input, 0.0), reduction)


@export("nn.functional.cosine_embedding_loss", out=False)
def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    if not target.ndim and not input1.ndim == input2.ndim == 1:
        raise RuntimeError("0D target tensor expects 1D input tensors, but found inputs with sizes "
                           f"{list(input1.shape)} and {list(input2.shape)}.")
    product, first, second = ((a * b).sum(-1) for a, b in ((input1, input2), (input1, input1), (input2, input2)))
    cosine = product / ((first + 1e-12) * (second + 1e-12)).sqrt()
    near = where(target == 1, 1 - cosine, 0.0)
    return reduced(near + where(target == -1, (cosine - margin).clamp_min(0), 0.0), reduction)


@export("nn.functional.poisson_nll_loss", out=False)
def poisson_nll_loss(input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None,
                     reduction="mean"):
    """Minus the log-likelihood of counts `target` whose expectation is `input` (or exp(input))."""
    reduction = reduction_of(reduction, size_average, reduce)
    values = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * np.pi * target).log()
        values = values + stirling.masked_fill(target <= 1, 0)
    return reduced(values, reduction)


@export("nn.functional.triplet_margin_loss", out=False)
def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None,
                        reduce=None,
                        reduction="mean"):
    """max(0, distance to the positive - distance to the negative + margin)."""
    reduction = reduction_of(reduction, size_average, reduce)
    distance = functions["nn.functional.pairwise_distance"]
    far = distance(anchor, negative, p, eps)
    if swap:
        other = distance(positive, negative, p, eps)
        far = where(other < far, other, far)
    return reduced((margin + distance(anchor, positive, p, eps) - far).clamp_min(0), reduction)


@export("nn.functional.gaussian_nll_loss", out=False)
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Minus the log-likelihood of `target` under normal distributions of mean `input`, variance `var` (eps or more)."""
    reduction = reduction_of(reduction)
    if bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    var = where(var < eps, var.detach() * 0 + eps, var)
    values = 0.5 * (var.log() + (input - target) ** 2 / var)
    return reduced(values + 0.5 * float(np.log(2 * np.pi)) if full else values, reduction)
