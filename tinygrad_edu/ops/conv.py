"""Convolutions of one, two and three dimensions, their transposes, and the windows they look at.

Three programs, each the derivative of the others: input and weight make the output (`Convolution`), output and weight
the input (`TransposedConvolution`), input and output the weight (`ConvolutionWeight`). The windows under the kernel are
a strided view of the input (im2col); what follows is a matrix product.
"""
from __future__ import annotations

import warnings

import numpy as np

from ..core import errors, layout
from ..core.export import export, functions
from ..core.op import Op, common_backend
from .matmul import c_name, check_tensors, refuse_integers
from .views import no_names


# ---- on arrays: x (N, C, *space), w (O, C / groups, *kernel), y (N, O, *places)
def windows(x, kernel, stride, padding, dilation):
    """Every window under the kernel, a view of the padded input: (N, C, *kernel, *places)."""
    if any(padding):
        x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    steps = x.strides[2:]
    places = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation)]
    return np.lib.stride_tricks.as_strided(
        x, x.shape[:2] + tuple(kernel) + tuple(places),
        x.strides[:2] + tuple(step * d for step, d in zip(steps, dilation)) + tuple(step * s for step,
                                                                                    s in zip(steps, stride)),
                                                                                    writeable=False)


def product(a, b):
    """a @ b; float16 is multiplied and added up in float32."""
    if a.dtype.itemsize == 2 and a.dtype.kind not in "iu":
        return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
    return np.matmul(a, b)


def plus_bias(y, b):
    return y if b is None else y + b.reshape(-1, *[1] * (y.ndim - 2)).astype(y.dtype, copy=False)


class Convolution(Op):
    """y[n, o, i] = sum over c, k of x[n, c, i * stride - padding + k * dilation] * w[o, c, k], plus the bias."""
    cuda = "conv.convolution"

    def cpu(input, weight, bias, *, stride, padding, dilation, groups, places=None):
        seen = windows(input, weight.shape[2:], stride, padding, dilation)
        if places is not None:                     # fewer than there is room for
            seen = seen[(..., *[slice(m) for m in places])]
        places, each = seen.shape[weight.ndim:], layout.numel(weight.shape[1:])
        # (N, groups, C / groups * kernel, places)
        columns = seen.reshape(len(input), groups, each, layout.numel(places))
        rows = weight.reshape(groups, weight.shape[0] // groups, each)
        return plus_bias(product(rows, columns).reshape(len(input), weight.shape[0], *places), bias)

    grad_input  = lambda g, weight, shape, stride, padding, dilation, groups: TransposedConvolution.call(
        g, weight, None, space=shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups)
    grad_weight = lambda g, input, shape, stride, padding, dilation, groups: ConvolutionWeight.call(
        input, g, kernel=shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups)
    grad_bias   = lambda g: over_channels(g)


class TransposedConvolution(Op):
    """x[n, c, i * stride - padding + k * dilation] += y[n, o, i] * w[o, c, k]: where Convolution reads, this adds."""
    cuda = "conv.transposed_convolution"

    def cpu(input, weight, bias, *, space, stride, padding, dilation, groups):
        count, kernel, places = len(input), weight.shape[2:], input.shape[2:]
        y = input.reshape(count, groups, weight.shape[0] // groups, layout.numel(places))
        rows = weight.reshape(groups, weight.shape[0] // groups, layout.numel(weight.shape[1:]))
        columns = product(rows.swapaxes(1, 2), y).reshape(count, groups * weight.shape[1], *kernel, *places)
        padded = [max(n + 2 * p, d * (k - 1) + s * (m - 1) + 1)
                  for n, p, k, d, s, m in zip(space, padding, kernel, dilation, stride, places)]
        out = np.zeros((count, groups * weight.shape[1], *padded), input.dtype)
        for at in np.ndindex(*kernel):
            where = tuple(slice(k * d, k * d + s * (m - 1) + 1, s) for k, d, s, m in zip(at, dilation, stride, places))
            out[(..., *where)] += columns[(slice(None), slice(None), *at)]
        out = out[(..., *[slice(p, p + n) for p, n in zip(padding, space)])]
        return plus_bias(np.ascontiguousarray(out), bias)

    grad_input  = lambda g, weight, shape, stride, padding, dilation, groups: Convolution.call(
        g, weight, None, stride=stride, padding=padding, dilation=dilation, groups=groups, places=shape[2:])
    grad_weight = lambda g, input, shape, stride, padding, dilation, groups: ConvolutionWeight.call(
        g, input, kernel=shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups)
    grad_bias   = lambda g: over_channels(g)


class ConvolutionWeight(Op):
    """w[o, c, k] = sum over n, i of x[n, c, i * stride - padding + k * dilation] * y[n, o, i]"""
    cuda = "conv.convolution_weight"

    def cpu(input, output, *, kernel, stride, padding, dilation, groups):
        places = output.shape[2:]
        seen = windows(input, kernel, stride, padding, dilation)
        # an output may leave places at the end unused
        seen = seen[(..., *[slice(m) for m in places])]
        order = (1, *range(2, 2 + len(kernel)), 0, *range(2 + len(kernel), seen.ndim))
        channels, count = input.shape[1] // groups, len(input) * layout.numel(places)
        columns = seen.transpose(order).reshape(groups, channels * layout.numel(kernel), count)
        rows = output.swapaxes(0, 1).reshape(groups, output.shape[1] // groups, count)
        return product(rows, columns.swapaxes(1, 2)).reshape(output.shape[1], channels, *kernel)

    grad_input  = lambda g, output, shape, stride, padding, dilation, groups: TransposedConvolution.call(
        output, g, None, space=shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups)
    grad_output = lambda g, input, shape, stride, padding, dilation, groups: Convolution.call(
        input, g, None, stride=stride, padding=padding, dilation=dilation, groups=groups, places=shape[2:])


for _op in (Convolution, TransposedConvolution):
    _op.node.__name__ = "ConvolutionBackward0"


def over_channels(g):
    return g.sum([d for d in range(g.ndim) if d != 1])


# ---- what torch checks, in its order and words
def each(value, count, name):
    """One integer per dimension, from one integer, a sequence of one, or a sequence of all."""
    found = (value,) * count if isinstance(value, int) else tuple(value)
    if len(found) == 1:
        found *= count
    if len(found) != count:
        raise RuntimeError(f"expected {name} to be a single integer value or a list of {count} values to match the "
                           f"convolution dimensions, but got {name}={list(found)}")
    return found


def check_convolution(input, weight, bias, stride, padding, dilation, groups, transposed, output_padding=(0,)):
    x, w = list(input.shape), list(weight.shape)
    if any(p < 0 for p in padding):
        raise RuntimeError("negative padding is not supported")
    if any(p < 0 for p in output_padding):
        raise RuntimeError("negative output_padding is not supported")
    if any(s <= 0 for s in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(d <= 0 for d in dilation):
        raise RuntimeError("non-positive dilation is not supported")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if w[0] < groups:
        raise RuntimeError(f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got "
                           f"weight of size {w} instead")
    if w[0] % groups:
        raise RuntimeError(f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but "
                           f"got weight of size [{w}] instead")
    if transposed:
        if x[1] != w[0]:
            raise RuntimeError(f"Given transposed=1, weight of size {w}, expected input{x} to have {w[0]} channels, "
                               f"but got {x[1]} channels instead")
        if bias is not None and list(bias.shape) != [w[1] * groups]:
            raise RuntimeError(f"Given transposed=1, weight of size {w}, expected bias to be 1-dimensional with "
                               f"{w[1] * groups} elements, but got bias of size {list(bias.shape)} instead")
        return
    if x[1] != w[1] * groups:
        raise errors.channels(x, w, groups, f"Given groups={groups}, weight of size {w}, expected input{x} to have "
                              f"{w[1] * groups} channels, but got {x[1]} channels instead")
    if bias is not None and list(bias.shape) != [w[0]]:
        raise RuntimeError(f"Given weight of size {w}, expected bias to be 1-dimensional with {w[0]} elements, but got "
                           f"bias of size {list(bias.shape)} instead")
    padded = [n + 2 * p for n, p in zip(x[2:], padding)]
    reach = [d * (k - 1) + 1 for k, d in zip(w[2:], dilation)]
    if any(n < r for n, r in zip(padded, reach)):
        raise RuntimeError(f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel size: "
                           f"({' x '.join(map(str, reach))}). Kernel size can't be greater than actual input size")


def check_dtypes(input, weight, bias, transposed):
    if bias is not None and bias.dtype is not input.dtype:
        if transposed:
            if weight.dtype is input.dtype:
                raise RuntimeError(f"Input type (torch.{input.dtype.legacy_name}Tensor) and bias type "
                                   f"(torch.{bias.dtype.legacy_name}Tensor) should be the same or input should be a "
                                   "MKLDNN tensor and bias is a dense tensor")
        else:
            raise RuntimeError(f"Input type ({c_name(input)}) and bias type ({c_name(bias)}) should be the same")
    if weight.dtype is not input.dtype:
        raise RuntimeError(f"expected scalar type {input.dtype.legacy_name} but found {weight.dtype.legacy_name}")
    if input.dtype.name == "bool" or transposed and input.dtype.name in ("int32", "uint8", "int8", "int16"):
        kernel = "slow_conv_transpose2d_out_cpu" if transposed else "slow_conv2d_cpu"
        raise NotImplementedError(f'"{kernel}" not implemented for \'{input.dtype.legacy_name}\'')


def with_batch(count, name, input, weight, bias):
    """(the input with a batch dimension, whether it had none)"""
    check_tensors(name, input=input, weight=weight)
    for x in (input, weight):
        no_names(x, name)
    if input.ndim not in (count + 1, count + 2):
        raise RuntimeError(f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {name}, but got "
                           f"input of size: {list(input.shape)}")
    common_backend((input, weight, bias))
    return (input.unsqueeze(0), True) if input.ndim == count + 1 else (input, False)


def convolve(count, input, weight, bias, stride, padding, dilation, groups):
    input, single = with_batch(count, f"conv{count}d", input, weight, bias)
    spaces = weight.ndim - 2
    stride = each((stride,) * count if isinstance(stride, int) else stride, spaces, "stride")
    dilation = each((dilation,) * count if isinstance(dilation, int) else dilation, spaces, "dilation")
    if isinstance(padding, str):
        input, padding = padded_same(input, weight, stride, padding, dilation)
    padding = each((padding,) * count if isinstance(padding, int) else padding, spaces, "padding")
    check_convolution(input, weight, bias, stride, padding, dilation, groups, False)
    check_dtypes(input, weight, bias, False)
    out = Convolution.call(input, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return out.squeeze(0) if single else out


def padded_same(input, weight, stride, padding, dilation):
    """padding='same' makes the output as large as the input; where it needs one more at the end, input is padded."""
    if padding == "valid":
        return input, (0,) * len(stride)
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation)]
    if any(t % 2 for t in totals):
        warnings.warn("Using padding='same' with even kernel lengths and odd dilation may require a zero-padded copy "
                      "of the input be created",
                      UserWarning, stacklevel=4)
        input = functions["nn.functional.pad"](input, [n for t in reversed(totals) for n in (0, t % 2)])
    return input, tuple(t // 2 for t in totals)


@export("conv1d()", "nn.functional.conv1d", out=False)
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """input (N, C, L) or (C, L) with weight (O, C / groups, K): (N, O, L') or (O, L')."""
    return convolve(1, input, weight, bias, stride, padding, dilation, groups)


@export("conv2d()", "nn.functional.conv2d", out=False)
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """input (N, C, H, W) or (C, H, W) with weight (O, C / groups, KH, KW); padding may be 'same' or 'valid'."""
    return convolve(2, input, weight, bias, stride, padding, dilation, groups)


@export("conv3d()", "nn.functional.conv3d", out=False)
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """input (N, C, D, H, W) or (C, D, H, W) with weight (O, C / groups, KD, KH, KW)."""
    return convolve(3, input, weight, bias, stride, padding, dilation, groups)


def convolve_transposed(count, input, weight, bias, stride, padding, output_padding, groups, dilation):
    input, single = with_batch(count, f"conv_transpose{count}d", input, weight, bias)
    stride, padding = each(stride, count, "stride"), each(padding, count, "padding")
    dilation, extra = each(dilation, count, "dilation"), each(output_padding, count, "output_padding")
    check_convolution(input, weight, bias, stride, padding, dilation, groups, True, extra)
    check_dtypes(input, weight, bias, True)
    check_output_padding(extra, stride, dilation)
    space = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1
             for n, s, p, d, k, e in zip(input.shape[2:], stride, padding, dilation, weight.shape[2:], extra)]
    if any(n < 1 for n in space):
        raise RuntimeError(f"Given input size per channel: ({' x '.join(map(str, input.shape[2:]))}). Calculated "
                           f"output size per channel: ({' x '.join(map(str, space))}). Output size is too small")
    out = TransposedConvolution.call(input, weight, bias, space=tuple(space), stride=stride, padding=padding,
                                     dilation=dilation, groups=groups)
    return out.squeeze(0) if single else out


def check_output_padding(extra, stride, dilation):
    if any(e >= s and e >= d for e, s, d in zip(extra, stride, dilation)):
        axes = ("depth", "height", "width")[-max(len(extra), 2):]
        def told(word, values):
            values = values if len(values) > 1 else (0 if word == "output_padding" else 1, *values)
            return " ".join(f"{word}_{axis}: {v}" for axis, v in zip(axes, values))
        raise RuntimeError("output padding must be smaller than either stride or dilation, but got "
                           f"{told('output_padding', extra)} {told('stride', stride)} {told('dilation', dilation)}")


@export("conv_transpose1d()", "nn.functional.conv_transpose1d", out=False)
def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of conv1d: input (N, C, L), weight (C, O / groups, K)."""
    return convolve_transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@export("conv_transpose2d()", "nn.functional.conv_transpose2d", out=False)
def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of conv2d: input (N, C, H, W), weight (C, O / groups, KH, KW)."""
    return convolve_transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@export("conv_transpose3d()", "nn.functional.conv_transpose3d", out=False)
def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of conv3d: input (N, C, D, H, W), weight (C, O / groups, KD, KH, KW)."""
    return convolve_transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


# ---- the windows themselves
class Im2Col(Op):
    """Every window as a column: (N, C, H, W) -> (N, C * kernel, places)."""
    cuda = "conv.im2col"

    def cpu(input, *, kernel, stride, padding, dilation):
        seen = windows(input, kernel, stride, padding, dilation)
        columns = seen.shape[1] * layout.numel(kernel), layout.numel(seen.shape[2 + len(kernel):])
        return np.ascontiguousarray(seen.reshape(len(input), *columns))

    grad_input = lambda g, shape, kernel, stride, padding, dilation: Col2Im.call(
        g, space=shape[2:], kernel=kernel, stride=stride, padding=padding, dilation=dilation)


class Col2Im(Op):
    """Every column added where its window looks: the transpose of Im2Col."""
    cuda = "conv.col2im"

    def cpu(input, *, space, kernel, stride, padding, dilation):
        places = places_in(space, kernel, stride, padding, dilation)
        columns = input.reshape(len(input), input.shape[1] // layout.numel(kernel), *kernel, *places)
        out = np.zeros((*columns.shape[:2], *[n + 2 * p for n, p in zip(space, padding)]), input.dtype)
        for at in np.ndindex(*kernel):
            where = tuple(slice(k * d, k * d + s * (m - 1) + 1, s) for k, d, s, m in zip(at, dilation, stride, places))
            out[(..., *where)] += columns[(slice(None), slice(None), *at)]
        return np.ascontiguousarray(out[(..., *[slice(p, p + n) for p, n in zip(padding, space)])])

    grad_input = lambda g, kernel, stride, padding, dilation: Im2Col.call(
        g, kernel=kernel, stride=stride, padding=padding, dilation=dilation)


def places_in(space, kernel, stride, padding, dilation):
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, k, s, d in zip(space, padding, kernel, stride,
                                                                                 dilation))


def window_parameters(kernel_size, dilation, padding, stride):
    names = ("kernel_size", "dilation", "padding", "stride")
    return [each(v, 2, n) for n, v in zip(names, (kernel_size, dilation, padding, stride))]


@export("nn.functional.unfold", out=False)
def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of (N, C, H, W) as columns (N, C * kernel, places)."""
    check_tensors("im2col", input=input)
    kernel, dilation, padding, stride = window_parameters(kernel_size, dilation, padding, stride)
    if input.ndim not in (3, 4):
        input.size(2)
        raise RuntimeError("Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
                           f"dimensions for input, but got: {list(input.shape)}")
    places = places_in(input.shape[-2:], kernel, stride, padding, dilation)
    if min(places) < 1:
        told = ", ".join(f"{n}=({a}, {b})" for n, (a, b) in (("kernel_size", kernel), ("dilation", dilation),
                                                             ("padding", padding)))
        raise RuntimeError(f"Given input with spatial size ({input.shape[-2]}, {input.shape[-1]}), {told}, calculated "
                           f"shape of the array of sliding blocks as ({places[0]}, {places[1]}), but its components "
                           "must be at least one.")
    refuse_integers(input, "im2col_out_cpu")
    x = input.unsqueeze(0) if input.ndim == 3 else input
    out = Im2Col.call(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    return out.squeeze(0) if input.ndim == 3 else out


@export("nn.functional.fold", out=False)
def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Columns (N, C * kernel, places) added up where their windows lie in (N, C, *output_size)."""
    check_tensors("col2im", input=input)
    kernel, dilation, padding, stride = window_parameters(kernel_size, dilation, padding, stride)
    space = each(output_size, 2, "output_size")
    if input.ndim not in (2, 3):
        raise RuntimeError("Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero "
                           f"dimensions for input, but got: {list(input.shape)}")
    rows, count = input.shape[-2:]
    if rows % layout.numel(kernel):
        raise RuntimeError("Expected size of input's dimension 1 to be divisible by the product of kernel_size, but "
                           f"got input.size(1)={rows} and kernel_size=({kernel[0]}, {kernel[1]}).")
    high, wide = places_in(space, kernel, stride, padding, dilation)
    if high * wide != count:
        told = ", ".join(f"{n}=({a}, {b})" for n, (a, b) in (("output_size", space), ("kernel_size", kernel),
                                                             ("dilation", dilation),
                                                             ("padding", padding), ("stride", stride)))
        raise RuntimeError(f"Given {told}, expected size of input's dimension 2 to match the calculated number of "
                           f"sliding blocks {high} * {wide} = {high * wide}, but got input.size(2)={count}.")
    refuse_integers(input, "col2im_out_cpu")
    x = input.unsqueeze(0) if input.ndim == 2 else input
    out = Col2Im.call(x, space=space, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    return out.squeeze(0) if input.ndim == 2 else out
