"""Pooling: the maximum or the mean of every window of the last dimensions, and windows taken apart and put together.

Where a maximum came from is an integer tensor, which decides where its gradient goes.
"""
from __future__ import annotations

import numpy as np

from ..core import layout
from ..core.export import export
from ..core.op import Op
from .conv import each
from .matmul import check_tensors, refuse_bool, refuse_integers
from .pad import Weighted
from .views import bare, give_names, no_names


# ---- maxima
def scattered(g, indices, size, spaces):
    """Zeros of `size` with every element of g added where `indices` say, in the flattened last dimensions."""
    zeros = g.new_zeros((*size[:-spaces], layout.numel(size[-spaces:])))
    return zeros.scatter_add(-1, indices.flatten(-spaces), g.flatten(-spaces)).reshape(size)


class MaxPool(Op):
    """(the largest element of every window, its place in the flattened space); a nan counts as the largest."""
    n_outputs = 2
    names = "keep"
    saves = ("input", "out")
    cuda = "pool.max_pool"

    def cpu(input, *, kernel, stride, padding, dilation, places):
        spaces = len(kernel)
        low = -np.inf if input.dtype.kind not in "iu" else np.iinfo(input.dtype).min
        room = [(p, max(0, (m - 1) * s + d * (k - 1) + 1 - n - p))
                for p, m, s, d, k, n in zip(padding, places, stride, dilation, kernel, input.shape[-spaces:])]
        x = np.pad(input, [(0, 0)] * (input.ndim - spaces) + room, constant_values=low)
        strange = x.dtype.kind == "f" and np.isnan(x.max())
        base, pitch = np.zeros((), np.int64), layout.contiguous_strides(input.shape[-spaces:])
        first = np.zeros((), np.int32)             # the number of each window's first element inside the input
        for w, p, m, s, d, k in zip(pitch, padding, places, stride, dilation, kernel):
            start = np.arange(m) * s - p
            base = base[..., None] + start * w     # the place of each window's first element, inside or not
            first = first[..., None] * k - np.minimum(start, 0) // d
        steps = []                                 # how far the others are from it
        values = best = None
        for number, at in enumerate(np.ndindex(*kernel)):
            start = [i * d for i, d in zip(at, dilation)]
            steps.append(sum([i * w for i, w in zip(start, pitch)]))
            part = x[(..., *[slice(i, i + s * (m - 1) + 1, s) for i, s, m in zip(start, stride, places)])]
            if values is None:
                values, best = np.array(part, order="C"), np.broadcast_to(first, part.shape).astype(np.int32)
                continue
            better = part > values
            if strange:                            # of several nan torch takes the last
                better |= np.isnan(part)
            np.maximum(best, better * np.int32(number), out=best)
            np.maximum(values, part, out=values)
        return values, np.array(steps)[best] + base

    @staticmethod
    def backward(ctx, g, _):
        _, indices = ctx.unpack_out()
        return scattered(g, indices, ctx.specs[0].shape, len(ctx.params["kernel"]))


class MaxPool2DWithIndices(MaxPool):
    cpu, cuda = MaxPool.cpu, MaxPool.cuda


class MaxPool3DWithIndices(MaxPool):
    cpu, cuda = MaxPool.cpu, MaxPool.cuda


class AdaptiveMaxPool(Op):
    """MaxPool with as many windows as asked for, as equal as possible."""
    n_outputs = 2
    names = "keep"
    saves = ("input", "out")
    cuda = "pool.adaptive_max_pool"

    def cpu(input, *, places):
        spaces = len(places)
        space = input.shape[-spaces:]
        values = np.empty(input.shape[:-spaces] + places, input.dtype)
        indices = np.empty(values.shape, np.int64)
        for at in np.ndindex(*places):
            cut = [slice(*bounds(n, m, i)) for n, m, i in zip(space, places, at)]
            part = input[(..., *cut)]
            flat = part.reshape(*part.shape[:-spaces], -1)
            best = flat.argmax(-1)
            values[(..., *at)] = np.take_along_axis(flat, best[..., None], -1)[..., 0]
            inside = np.unravel_index(best, part.shape[-spaces:])
            indices[(..., *at)] = np.ravel_multi_index([i + c.start for i, c in zip(inside, cut)], space)
        return values, indices

    @staticmethod
    def backward(ctx, g, _):
        _, indices = ctx.unpack_out()
        return scattered(g, indices, ctx.specs[0].shape, len(ctx.params["places"]))


class AdaptiveMaxPool2D(AdaptiveMaxPool):
    cpu, cuda = AdaptiveMaxPool.cpu, AdaptiveMaxPool.cuda


def bounds(size, places, i):
    """Where the i-th of `places` parts of `size` elements begins and ends."""
    return i * size // places, -(-(i + 1) * size // places)


# ---- means
class AvgPool2D(Op):
    """The mean of every window; what is outside the input counts as zeros, or not at all."""
    cuda = "pool.avg_pool"

    def cpu(input, *, kernel, stride, padding, places, divisor, count_include_pad):
        means = window_sums(input, kernel, stride, padding, places) / divisors(
            input.shape[-len(kernel):], kernel, stride, padding, places, divisor, count_include_pad)
        return (np.trunc(means) if input.dtype.kind == "i" else means).astype(input.dtype)     # integers: as C divides

    grad_input = lambda g, shape, kernel, stride, padding, places, divisor, count_include_pad: AvgPoolBackward.call(
        g, size=shape, kernel=kernel, stride=stride, padding=padding, places=places, divisor=divisor,
        count_include_pad=count_include_pad)


class AvgPoolBackward(Op):
    """Every element of g spread over its window: the transpose of AvgPool2D."""
    cuda = "pool.avg_pool_backward"

    def cpu(g, *, size, kernel, stride, padding, places, divisor, count_include_pad):
        spaces = len(kernel)
        share = g / divisors(size[-spaces:], kernel, stride, padding, places, divisor, count_include_pad)
        room = [max(n + 2 * p, (m - 1) * s + k) for n, p, m, s, k in zip(size[-spaces:], padding, places, stride,
                                                                         kernel)]
        out = np.zeros((*size[:-spaces], *room), g.dtype)
        for at in np.ndindex(*kernel):
            out[(..., *[slice(i, i + s * (m - 1) + 1, s) for i, s, m in zip(at, stride, places)])] += share
        return np.ascontiguousarray(out[(..., *[slice(p, p + n) for p, n in zip(padding, size[-spaces:])])])

    grad_g = lambda g, kernel, stride, padding, places, divisor, count_include_pad: AvgPool2D.call(
        g, kernel=kernel, stride=stride, padding=padding, places=places, divisor=divisor,
        count_include_pad=count_include_pad)


class AvgPool3D(AvgPool2D):
    cpu, cuda, grad_input = AvgPool2D.cpu, AvgPool2D.cuda, AvgPool2D.grad_input


def window_sums(x, kernel, stride, padding, places):
    spaces = len(kernel)
    room = [(p, max(0, (m - 1) * s + k - n - p)) for p, m, s, k, n in zip(padding, places, stride, kernel,
                                                                          x.shape[-spaces:])]
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    padded = np.pad(wide, [(0, 0)] * (x.ndim - spaces) + room)
    out = np.zeros(x.shape[:-spaces] + tuple(places), wide.dtype)
    for at in np.ndindex(*kernel):
        out += padded[(..., *[slice(i, i + s * (m - 1) + 1, s) for i, s, m in zip(at, stride, places)])]
    return out


def divisors(space, kernel, stride, padding, places, divisor, count_include_pad):
    """By how much the sum of each window is divided."""
    if divisor is not None:
        return divisor
    out = np.ones(())
    for n, k, s, p, m in zip(space, kernel, stride, padding, places):
        start = np.arange(m) * s - p
        end = np.minimum(start + k, n + p)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, n)
        out = out[..., None] * (end - start)
    return out


# ---- what torch checks, in its order and words
def two(value, name, function, spaces):
    found = (value,) * spaces if isinstance(value, int) else tuple(value)
    if len(found) == 1:
        found *= spaces
    if len(found) != spaces:
        words = {2: "two", 3: "three"}[spaces]
        raise RuntimeError(f"{function}: {name} must either be a single int, or a tuple of {words} ints")
    return found


def check_pool(input, spaces, kernel, stride, padding, dilation=None):
    if any(s == 0 for s in stride):
        raise RuntimeError("stride should not be zero")
    if any(k <= 0 for k in kernel):
        raise RuntimeError("kernel size should be greater than zero, but got "
                           + " ".join(f"k{axis}: {k}" for axis, k in zip("DHW"[-spaces:], kernel)))
    if dilation and any(d <= 0 for d in dilation):
        raise RuntimeError("dilation should be greater than zero, but got "
                           + " ".join(f"dilation{axis}: {d}" for axis, d in zip("DHW"[-spaces:], dilation)))
    for p, k, d in zip(padding, kernel, dilation or (1,) * spaces):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > (d * (k - 1) + 1) // 2:
            raise RuntimeError(f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} "
                               f"and dilation={d}")
    if input.ndim not in (spaces + 1, spaces + 2):
        raise RuntimeError(f"non-empty {spaces + 1}D or {spaces + 2}D (batch mode) tensor expected for input")
    if not all(input.shape[-spaces - 1:]):
        raise RuntimeError(f"Expected {spaces + 1}D or {spaces + 2}D (batch mode) tensor with optional 0 dim batch "
                           f"size for input, but got:{list(input.shape)}")
    if dilation and any(p > k // 2 for p, k in zip(padding, kernel)):
        told = "padW = {3}, padH = {2}, kW = {1}, kH = {0}" if spaces == 2 else \
               "kT: {0} kW: {2} kH: {1} padT: {3} padW: {5} padH: {4}"
        raise RuntimeError("pad should be smaller than or equal to half of kernel size, but got "
                           + told.format(*kernel, *padding))


def places_of(space, kernel, stride, padding, dilation, ceil_mode):
    """How many windows there are; with ceil_mode also those that begin inside and end outside."""
    out = []
    for n, k, s, p, d in zip(space, kernel, stride, padding, dilation):
        free = n + 2 * p - d * (k - 1) - 1
        count = (-(-free // s) if ceil_mode else free // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        out.append(count)
    return tuple(out)


def check_places(input, places):
    if any(m < 1 for m in places):
        spaces = len(places)
        before = "x".join(map(str, input.shape[-spaces - 1:]))
        after = "x".join(map(str, (input.shape[-spaces - 1], *[max(m, 0) for m in places])))
        raise RuntimeError(f"Given input size: ({before}). Calculated output size: ({after}). Output size is too small")


def max_pooled(op, spaces, function, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    check_tensors(function, input=input)
    kernel = two(kernel_size, "kernel_size", function, spaces)
    stride = kernel if stride is None or stride == () or stride == [] else two(stride, "stride", function, spaces)
    padding, dilation = two(padding, "padding", function, spaces), two(dilation, "dilation", function, spaces)
    check_pool(input, spaces, kernel, stride, padding, dilation)
    places = places_of(input.shape[-spaces:], kernel, stride, padding, dilation, ceil_mode)
    check_places(input, places)
    refuse_bool(input, function)
    values, indices = op.call(input, kernel=kernel, stride=stride, padding=padding, dilation=dilation, places=places)
    return (values, indices) if return_indices else values


@export("nn.functional.max_pool2d", out=False)
def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of every window of (N, C, H, W) or (C, H, W); `stride` is the kernel's size unless given."""
    return max_pooled(MaxPool2DWithIndices, 2, "max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode,
                      return_indices)


@export("nn.functional.max_pool3d", out=False)
def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of every window of (N, C, D, H, W) or (C, D, H, W)."""
    return max_pooled(MaxPool3DWithIndices, 3, "max_pool3d", input, kernel_size, stride, padding, dilation, ceil_mode,
                      return_indices)


@export("nn.functional.max_pool1d", out=False)
def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of every window of (N, C, L) or (C, L)."""
    check_tensors("max_pool1d", input=input)
    if input.ndim not in (2, 3):
        raise RuntimeError("max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
                           f"input, but got:{list(input.shape)}")
    kernel, = each(kernel_size, 1, "kernel_size")
    step, = (kernel,) if stride is None or stride == () else each(stride, 1, "stride")
    (room,), (apart,) = each(padding, 1, "padding"), each(dilation, 1, "dilation")
    check_pool1d(input, kernel, step, room, apart, ceil_mode)
    if not return_indices:
        refuse_integers(input, "max_pool1d_impl")
    flat = bare(input).unsqueeze(-2)
    found = max_pool2d(flat, (1, kernel), (1, step), (0, room), (1, apart), ceil_mode, True)
    values, indices = (give_names(x.squeeze(-2), input._spec.names) for x in found)
    return (values, indices) if return_indices else values


def check_pool1d(input, kernel, step, room, apart, ceil_mode):
    if kernel <= 0:
        raise RuntimeError(f"max_pool1d() kernel_size must be greater than zero, but got {kernel}")
    if step <= 0:
        raise RuntimeError(f"max_pool1d() stride must be greater than zero, but got {step}")
    if room < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {room}")
    if room > kernel // 2:
        raise RuntimeError(f"max_pool1d() padding should be at most half of kernel size, but got padding={room} and "
                           f"kernel_size={kernel}")
    if apart <= 0:
        raise RuntimeError(f"max_pool1d() dilation must be greater than zero, but got {apart}")
    count, = places_of(input.shape[-1:], (kernel,), (step,), (room,), (apart,), ceil_mode)
    if count <= 0:
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {count}")


def avg_pooled(op, spaces, function, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor):
    check_tensors(function, input=input)
    no_names(input, function)
    kernel = two(kernel_size, "kernel_size", function, spaces)
    stride = kernel if stride is None or stride == () or stride == [] else two(stride, "stride", function, spaces)
    padding = two(padding, "padding", function, spaces)
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    if input.ndim < spaces + 1:
        layout.normalize_dim(-spaces - 1, input.ndim)
    check_pool(input, spaces, kernel, stride, padding)
    places = places_of(input.shape[-spaces:], kernel, stride, padding, (1,) * spaces, ceil_mode)
    check_places(input, places)
    if not input.is_floating_point() and input.dtype.name != "int64":
        raise NotImplementedError(f'"{function}" not implemented for \'{input.dtype.legacy_name}\'')
    return op.call(input, kernel=kernel, stride=stride, padding=padding, places=places, divisor=divisor,
                   count_include_pad=count_include_pad)


@export("nn.functional.avg_pool2d", out=False)
def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
               divisor_override=None):
    """The mean of every window of (N, C, H, W) or (C, H, W)."""
    return avg_pooled(AvgPool2D, 2, "avg_pool2d", input, kernel_size, stride, padding, ceil_mode, count_include_pad,
                      divisor_override)


@export("nn.functional.avg_pool3d", out=False)
def avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
               divisor_override=None):
    """The mean of every window of (N, C, D, H, W) or (C, D, H, W)."""
    return avg_pooled(AvgPool3D, 3, "avg_pool3d", input, kernel_size, stride, padding, ceil_mode, count_include_pad,
                      divisor_override)


def check_1d(input, function):
    check_tensors(function, input=input)
    if input.ndim not in (2, 3):
        raise RuntimeError(f"Expected 2 to 3 dimensions, but got {input.ndim}-dimensional tensor for argument #1 "
                           f"'self' (while checking arguments for {function})")


@export("avg_pool1d()", "nn.functional.avg_pool1d", out=False)
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of every window of (N, C, L) or (C, L)."""
    check_1d(input, "avg_pool1d")
    kernel, = each(kernel_size, 1, "kernel_size")
    step, = (kernel,) if stride is None or stride == () else each(stride, 1, "stride")
    room, = each(padding, 1, "padding")
    return avg_pool2d(input.unsqueeze(-2), (1, kernel), (1, step), (0, room), ceil_mode, count_include_pad).squeeze(-2)


# ---- as many windows as asked for
class AdaptiveAvgPool2D(Weighted):
    cpu, cuda, grad_input = Weighted.cpu, Weighted.cuda, Weighted.grad_input


def mean_map(size, places):
    """The matrix of the means of `places` parts of `size` elements."""
    out = np.zeros((places, size))
    for i in range(places):
        begin, end = bounds(size, places, i)
        out[i, begin:end] = 1 / (end - begin)
    return out


def adaptive_places(input, output_size, spaces, function):
    wanted = (output_size,) * spaces if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if input.ndim <= len(wanted):
        raise ValueError(f"Input dimension should be at least {len(wanted) + 1}")
    wanted = tuple(n if m is None else m for n, m in zip(input.shape[-len(wanted):], wanted))
    if len(wanted) != spaces:
        raise RuntimeError(f"{function}: output_size must be {spaces}")
    if any(m < 0 for m in wanted):
        raise RuntimeError(f"{function}: elements of output_size must be greater than or equal to 0 but received "
                           f"{{{', '.join(map(str, wanted))}}}")
    return wanted


@export("nn.functional.adaptive_avg_pool2d", out=False)
def adaptive_avg_pool2d(input, output_size):
    """Means of (N, C, H, W) or (C, H, W) so that the result has output_size = (H', W'); None keeps a size."""
    check_tensors("adaptive_avg_pool2d", input=input)
    no_names(input, "adaptive_avg_pool2d")
    places = adaptive_places(input, output_size, 2, "adaptive_avg_pool2d")
    if places == (1, 1):
        return input.mean((-1, -2), keepdim=True)
    return adaptive_means(input, places)


def adaptive_means(input, places):
    check_filled(input, "adaptive_avg_pool2d", 2)
    refuse_integers(input, "adaptive_avg_pool2d")
    return AdaptiveAvgPool2D.call(input, maps=tuple(mean_map(n, m) for n, m in zip(input.shape[-2:], places)))


def check_filled(input, function, spaces):
    """Only the batch may be empty."""
    for dim in range(input.ndim - spaces, input.ndim):
        if not input.shape[dim]:
            raise RuntimeError(f"{function}(): Expected input to have non-zero size for non-batch dimensions, but "
                               f"input has sizes {list(input.shape)} with dimension {dim} being empty")


@export("adaptive_avg_pool1d()", "nn.functional.adaptive_avg_pool1d", out=False)
def adaptive_avg_pool1d(input, output_size):
    """Means of (N, C, L) or (C, L) so that the result has output_size elements."""
    check_1d(input, "adaptive_avg_pool1d")
    size, = each(output_size, 1, "output_size")
    return adaptive_means(input.unsqueeze(-2), (1, size)).squeeze(-2)


@export("nn.functional.adaptive_max_pool2d", out=False)
def adaptive_max_pool2d(input, output_size, return_indices=False):
    """Maxima of (N, C, H, W) or (C, H, W) so that the result has output_size = (H', W'); None keeps a size."""
    check_tensors("adaptive_max_pool2d", input=input)
    places = adaptive_places(input, output_size, 2, "adaptive_max_pool2d")
    check_filled(input, "adaptive_max_pool2d", 3 if input.ndim == 4 else 2)
    refuse_integers(input, "adaptive_max_pool2d")
    values, indices = AdaptiveMaxPool2D.call(input, places=places)
    return (values, indices) if return_indices else values


@export("nn.functional.adaptive_max_pool1d", out=False)
def adaptive_max_pool1d(input, output_size, return_indices=False):
    """Maxima of (N, C, L) or (C, L) so that the result has output_size elements."""
    check_1d(input, "adaptive_max_pool1d")
    found = adaptive_max_pool2d(bare(input).unsqueeze(-2), (1, *each(output_size, 1, "output_size")), True)
    values, indices = (give_names(x.squeeze(-2), input._spec.names) for x in found)
    return (values, indices) if return_indices else values
