"""Normalization: each number minus a mean, over a standard deviation, both taken over some dimensions.

layer_norm, batch_norm and group_norm differ in the dimensions and in the shape of their weights; nothing else.
"""
from __future__ import annotations

import numpy as np

from ..backends.summing import add_rows
from ..core import dtypes, layout
from ..core.export import export
from ..core.mode import mode, no_grad
from ..core.op import Op, common_backend, has_kernel
from ..core.record import fresh_tensor, record, sum_to_array
from ..core.tensor import from_array
from .matmul import check_tensors, refuse_integers
from .views import no_names


def statistics(x, dims, eps):
    """(mean, 1 / standard deviation) over dims: in two passes, so that a large mean costs no digits."""
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    return mean, ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()


class Normalized(Op):
    """(input - mean) * rstd * weight + bias, with the statistics over `dims` of the input seen as `split`.

    `affine` is the shape in which weight and bias meet the input. With `fixed` the statistics are given, and constant.
    """
    saves = ("input", "weight")
    cuda = "normalize.normalize"

    def cpu(input, weight, bias, *, dims, eps, split, affine, fixed):
        x = input.reshape(split)
        count = layout.numel([split[d] for d in dims])
        mean = add_rows(x, dims) / count if fixed is None else fixed[0]
        out = x - mean
        if fixed is None:
            rstd = 1 / np.sqrt(add_rows(out * out, dims) / count + eps)
        else:
            rstd = fixed[1]
        out *= rstd
        out = out.reshape(input.shape)
        if weight is not None:
            out *= weight.reshape(affine)
        if bias is not None:
            out += bias.reshape(affine)
        return out, mean, rstd

    @classmethod
    def call(cls, input, weight, bias, *, dims, eps, split, affine, fixed=None):
        backend = common_backend((input, weight, bias))
        if backend.native and input._spec.fast or not backend.native and has_kernel(cls, backend):
            arrays = [x if x is None else x._array for x in (input, weight, bias)]
            known = {"dims": dims, "eps": eps, "split": split, "affine": affine,
                     "fixed": fixed and tuple(x._array for x in fixed)}
            out, mean, rstd = [from_array(a, backend) for a in backend.run(cls, arrays, known)]
        else:
            with no_grad():
                out, mean, rstd = cls.composed(input, weight, bias, dims, eps, split, affine, fixed)
        if mode.grad:
            params = {"dims": dims, "eps": eps, "split": split, "affine": affine, "mean": mean, "rstd": rstd,
                      "fixed": fixed}
            record(cls, (input, weight, bias), params, out)
        return out

    @staticmethod
    def composed(input, weight, bias, dims, eps, split, affine, fixed):
        """The same out of other ops: on backends without a program, in float16, and of inputs with strides."""
        x = (input.to(dtypes.float32) if input.dtype.itemsize == 2 else input).reshape(split)
        mean, rstd = fixed or statistics(x, dims, eps)
        out = ((x - mean) * rstd).reshape(input.shape)
        if weight is not None:
            out = out * weight.reshape(affine)
        if bias is not None:
            out = out + bias.reshape(affine)
        return out.to(input.dtype), mean, rstd

    @staticmethod
    def gradients(g, input, weight, wants, *, dims, eps, split, affine, mean, rstd, fixed):
        """Program of backward, where it isn't recorded: the gradients that `wants` asks for."""
        normal = input.reshape(split) - mean
        normal *= rstd
        g_input = g_weight = g_bias = None
        if wants[0]:
            count = layout.numel([split[d] for d in dims])
            g_input = (g if weight is None else g * weight.reshape(affine)).reshape(split)
            if fixed is None:
                along = add_rows(g_input * normal, dims) / count
                g_input = g_input - add_rows(g_input, dims) / count
                g_input -= normal * along
            g_input = (g_input * rstd).reshape(input.shape)
        if wants[1]:
            normal = normal.reshape(input.shape)
            normal *= g
            g_weight = sum_to_array(normal, affine).reshape(weight.shape)
        if wants[2]:
            g_bias = sum_to_array(g, affine).reshape(-1 if weight is None else weight.shape)
        return g_input, g_weight, g_bias

    @classmethod
    def backward(cls, ctx, g):
        input, weight, _ = ctx.saved
        known, backend = ctx.params, g._spec.backend
        if not mode.grad and not backend.native and has_kernel(cls, backend):
            arrays = [x if x is None else x._array for x in (g, input, weight)]
            known = {k: v._array if k in ("mean", "rstd") else v for k, v in known.items()}
            made = backend.program("normalize.gradients")(*arrays, ctx.needs_input_grad, **known)
            return tuple([x if x is None else from_array(x.view(tuple(spec.shape)), backend)
                          for x, spec in zip(made, ctx.specs)])
        if not mode.grad and all(x is None or x._spec.backend.native and x._spec.dtype.itemsize > 2
                                 for x in (g, input, weight)):
            arrays = [x if x is None else x._array for x in (g, input, weight)]
            known = {k: v._array if k in ("mean", "rstd") else v for k, v in known.items()}
            made = cls.gradients(*arrays, ctx.needs_input_grad, **known)
            return tuple([x if x is None else fresh_tensor(x, spec) for x, spec in zip(made, ctx.specs)])
        split, dims, affine = known["split"], known["dims"], known["affine"]
        for_input, for_weight, for_bias = ctx.needs_input_grad
        wide = g.dtype if g.dtype.itemsize > 2 else dtypes.float32
        g, x = g.to(wide), input.to(wide).reshape(split)
        mean, rstd = known["mean"], known["rstd"]
        if mode.grad and not known["fixed"]:       # they depend on the input: a derivative of this one must see how
            mean, rstd = statistics(x, dims, known["eps"])
        normal = (x - mean) * rstd
        g_input = g_weight = g_bias = None
        if for_input:
            scaled = (g if weight is None else g * weight.reshape(affine)).reshape(split)
            if known["fixed"]:
                g_input = scaled * rstd
            else:
                along = (scaled * normal).mean(dims, keepdim=True)
                g_input = rstd * (scaled - scaled.mean(dims, keepdim=True) - normal * along)
            g_input = g_input.reshape(input.shape)
        if for_weight:
            g_weight = (g * normal.reshape(input.shape)).sum_to_size(affine).reshape(weight.shape)
        if for_bias:
            g_bias = g.sum_to_size(affine).reshape(ctx.specs[2].shape)
        return g_input, g_weight, g_bias


class NativeLayerNorm(Normalized):
    cpu = Normalized.cpu


class NativeGroupNorm(Normalized):
    cpu = Normalized.cpu


class NativeBatchNorm(Normalized):
    cpu = Normalized.cpu


def check_normalized_shape(input, normalized_shape, star):
    if not normalized_shape:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
                           "element, but got normalized_shape = []")
    if tuple(input.shape[max(input.ndim - len(normalized_shape), 0):]) != normalized_shape:
        wanted = ", ".join(map(str, normalized_shape))
        raise RuntimeError(f"Given normalized_shape={list(normalized_shape)}, expected input with shape "
                           f"[*{star}{wanted}], but got input of size{list(input.shape)}")


@export("layer_norm()", "nn.functional.layer_norm", out=False)
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalized over the last dimensions, those of `normalized_shape`, then times weight plus bias of that shape."""
    check_tensors("layer_norm", input=input)
    no_names(input, "layer_norm")
    if isinstance(normalized_shape, int):
        raise TypeError("layer_norm(): argument 'normalized_shape' (position 2) must be tuple of ints, not int")
    shape = tuple(normalized_shape)
    for name, x in (("weight", weight), ("bias", bias)):
        if x is not None and tuple(x.shape) != shape:
            raise RuntimeError(f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                               f"{list(x.shape)} and normalized_shape = {list(shape)}")
    check_normalized_shape(input, shape, ", ")
    refuse_integers(input, "LayerNormKernelImpl")
    for x in (weight, bias):
        if x is not None and x.dtype is not input.dtype and not (input.dtype.itemsize == 2
                                                                 and x.dtype is dtypes.float32):
            raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float"
                               if input.dtype is dtypes.float32 else
                               f"expected scalar type {input.dtype.legacy_name} but found {x.dtype.legacy_name}")
    return NativeLayerNorm.call(input, weight, bias, dims=tuple(range(input.ndim - len(shape), input.ndim)), eps=eps,
                                split=tuple(input.shape), affine=shape)


@export("nn.functional.group_norm", out=False)
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalized over each of `num_groups` groups of channels, then times weight plus bias per channel."""
    check_tensors("group_norm", input=input)
    no_names(input, "group_norm")
    shape = input.shape
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    if shape[0] * shape[1] // num_groups * layout.numel(shape[2:]) == shape[0] == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(shape)}")
    if shape[1] % num_groups:
        raise RuntimeError("Expected number of channels in input to be divisible by num_groups, but got input of shape "
                           f"{list(shape)} and num_groups={num_groups}")
    for name, x in (("weight", weight), ("bias", bias)):
        if x is not None and tuple(x.shape) != (shape[1],):
            raise RuntimeError(f"Expected {name} to be a vector of size equal to the number of channels in input, but "
                               f"got {name} of shape {list(x.shape)} and input of shape {list(shape)}")
    refuse_integers(input, "GroupNormKernelImpl")
    split = (shape[0], num_groups, shape[1] // num_groups * layout.numel(shape[2:]))
    return NativeGroupNorm.call(input, weight, bias, dims=(2,), eps=eps, split=split,
                                affine=(shape[1],) + (1,) * (input.ndim - 2))


@export("nn.functional.batch_norm", out=False)
def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Normalized over everything but dimension 1, then times weight plus bias per channel.

    In training by the batch's own statistics, which also move `running_mean` and `running_var` (if given) by
    `momentum`; otherwise by these.
    """
    check_tensors("batch_norm", input=input)
    no_names(input, "batch_norm")
    shape = input.shape
    if training and layout.numel(shape[:1] + shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {shape}")
    channels = input.size(1)
    for name, x in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if x is None:
            if name.startswith("running") and not training:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
        elif x.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {x.numel()}")
    refuse_integers(input, "batch_norm")
    for x in (running_mean, running_var, weight, bias):
        if x is not None and x.dtype is not input.dtype and not (input.dtype.itemsize == 2
                                                                 and x.dtype is dtypes.float32):
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype." if input.dtype.itemsize == 4
                               else
                               f"expected scalar type {input.dtype.legacy_name} but found {x.dtype.legacy_name}")
    dims, affine = (0,) + tuple(range(2, input.ndim)), (channels,) + (1,) * (input.ndim - 2)
    fixed = None
    with no_grad():
        if not training:
            fixed = running_mean.reshape(affine).clone(), (running_var.reshape(affine) + eps).rsqrt()
        elif running_mean is not None or running_var is not None:
            move_statistics(input, running_mean, running_var, dims, momentum)
    return NativeBatchNorm.call(input, weight, bias, dims=dims, eps=eps, split=tuple(shape), affine=affine, fixed=fixed)


def move_statistics(input, running_mean, running_var, dims, momentum):
    """running = (1 - momentum) * running + momentum * that of the batch; of the variance the unbiased estimate."""
    wide = input.detach().to(dtypes.float32) if input.dtype.itemsize == 2 else input.detach()
    count = layout.numel([input.shape[d] for d in dims])
    mean = wide.mean(dims, keepdim=True)
    if running_mean is not None:
        running_mean.mul_(1 - momentum).add_(mean.reshape(-1).to(running_mean.dtype), alpha=momentum)
    if running_var is not None:
        centred = wide - mean
        variance = (centred * centred).sum(dims) / (count - 1)
        running_var.mul_(1 - momentum).add_(variance.to(running_var.dtype), alpha=momentum)


@export("rms_norm()", "nn.functional.rms_norm", out=False)
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """The input over the root of the mean of its squares over the last dimensions, then times weight."""
    check_tensors("rms_norm", input=input)
    no_names(input, "rms_norm")
    shape = tuple(normalized_shape)
    if weight is not None and tuple(weight.shape) != shape:
        raise RuntimeError("Expected weight to be of same shape as normalized_shape, but got weight of shape "
                           f"{list(weight.shape)} and normalized_shape = {list(shape)}")
    if input.ndim < len(shape):
        raise ValueError(f"Input tensor must have at least {len(shape)} dimensions, but got {input.ndim}")
    check_normalized_shape(input, shape, "")
    refuse_integers(input, "rms_norm")
    dims = tuple(range(input.ndim - len(shape), input.ndim))
    x = input.to(dtypes.float32) if input.dtype.itemsize == 2 else input
    eps = dtypes.finfo(x.dtype).eps if eps is None else eps
    out = x * ((x ** 2).mean(dims, keepdim=True) + eps).rsqrt()
    return (out if weight is None else out * weight).to(input.dtype)
