"""Convolutions: the windows under the kernel laid out as columns, and a matrix product.

    for o, i in outputs, places:
        for c, k in channels, kernel:
            y[o, i] += w[o, c, k] * x[c, i * stride - padding + k * dilation]

It knows no layers and no gradients, though the three programs are each other's. One, two and three dimensions are all
computed as three, the missing ones of size 1. In order of ideas:

    naive     a thread computes one output from the loops above            2 reads a product, no matrix needed
    columns   every window is copied into a column of a matrix; what is    a product reads 2 / 64 or 2 / 128 numbers,
              left is w @ columns, which matmul.py does well               but the matrix is as large as all windows
    gather    the way back: an element of x sums what lies in the columns  an element belongs to few windows
              over it. So nobody adds to what others add to: no atomics, the same bits every time

A thread copies or sums `run` elements of a line, one after the other: one on a GPU, so that neighbouring threads read
neighbours, a whole line on the simulator, where threads cost more than steps.
"""
from __future__ import annotations

import functools
import math

import numpy as np

from .array import ceil_div, empty, from_numpy
from .elementwise import contiguous
from .matmul import run as multiply
from .matrices import Product, adding_type
from .provider import cuda, jit, type_of

LONGEST = 64                                        # elements that a thread sums side by side
SIMULATED_ONLY = {"gather_lines": "which of its 64 sums a step adds to, no compiler knows: on a GPU they'd lie on the "
                                  "stack. GPUs get `gather`"}


# ---- the specification
def spec(x, w, b, stride, padding, dilation, groups):
    """What the versions compute, in numpy, for three dimensions."""
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    places = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, dilation)]
    y = np.zeros((len(x), len(w), *places), x.dtype)
    many, each = len(w) // groups, w.shape[1]
    for at in np.ndindex(*w.shape[2:]):
        seen = x[(..., *[slice(k * d, k * d + s * (m - 1) + 1, s) for k, d, s, m in zip(at, dilation, stride, places)])]
        for g in range(groups):
            part = w[(slice(g * many, g * many + many), slice(None), *at)]
            y[:, g * many:g * many + many] += np.einsum("oc,ncdhw->nodhw", part, seen[:, g * each:g * each + each])
    return y if b is None else y + b[:, None, None, None]


# ---- the kernels. Strides are given for all five dimensions, so x may be any view
@functools.lru_cache(None)
def make_naive(T, A, biased):
    zero = A.numpy.type(0)

    def naive(x, w, b, y, n, channels, outputs, groups, space, places, kernel, stride, padding, dilation, sx):
        t = cuda.grid(1)
        if t < n:
            r, k = t // places[2], t % places[2]
            r, j = r // places[1], r % places[1]
            r, i = r // places[0], r % places[0]
            r, o = r // outputs, r % outputs
            each = channels // groups
            first = o // (outputs // groups) * each
            total = A(b[o]) if biased else zero
            at = o * each * kernel[0] * kernel[1] * kernel[2]
            for c in range(first, first + each):
                for kd in range(kernel[0]):
                    z = i * stride[0] - padding[0] + kd * dilation[0]
                    for kh in range(kernel[1]):
                        u = j * stride[1] - padding[1] + kh * dilation[1]
                        for kw in range(kernel[2]):
                            v = k * stride[2] - padding[2] + kw * dilation[2]
                            if 0 <= z and z < space[0] and 0 <= u and u < space[1] and 0 <= v and v < space[2]:
                                p = r * sx[0] + c * sx[1] + z * sx[2] + u * sx[3] + v * sx[4]
                                total += A(x[p]) * A(w[at])
                            at += 1
            y[t] = T(total)
    return jit(naive)


@functools.lru_cache(None)
def make_columns(T, A):
    zero = A.numpy.type(0)

    def columns(x, o, n, run, channels, space, places, kernel, stride, padding, dilation, sx, so):
        """o[image, row, place]: a row is a channel and a place in the kernel; so: o's strides."""
        t = cuda.grid(1)
        if t < n:
            pieces = (places[2] + run - 1) // run
            r, first = t // pieces, t % pieces * run
            r, j = r // places[1], r % places[1]
            r, i = r // places[0], r % places[0]
            row = r % (channels * kernel[0] * kernel[1] * kernel[2])
            image = r // (channels * kernel[0] * kernel[1] * kernel[2])
            c, kw = row // kernel[2], row % kernel[2]
            c, kh = c // kernel[1], c % kernel[1]
            c, kd = c // kernel[0], c % kernel[0]
            z = i * stride[0] - padding[0] + kd * dilation[0]
            u = j * stride[1] - padding[1] + kh * dilation[1]
            inside = 0 <= z and z < space[0] and 0 <= u and u < space[1]
            p = image * sx[0] + c * sx[1] + z * sx[2] + u * sx[3]
            q = image * so[0] + row * so[1] + (i * places[1] + j) * places[2] * so[2]
            for k in range(first, min(first + run, places[2])):
                v = k * stride[2] - padding[2] + kw * dilation[2]
                if inside and 0 <= v and v < space[2]:
                    o[q + k * so[2]] = x[p + v * sx[4]]
                else:
                    o[q + k * so[2]] = T(zero)
    return jit(columns)


@functools.lru_cache(None)
def make_gather(T, A, biased):
    zero = A.numpy.type(0)

    def gather(columns, b, o, n, channels, space, places, kernel, stride, padding, dilation):
        """An element of x sums its copies in the columns of all windows that see it."""
        t = cuda.grid(1)
        if t < n:
            r, v = t // space[2], t % space[2]
            r, u = r // space[1], r % space[1]
            r, z = r // space[0], r % space[0]
            at = r * kernel[0] * kernel[1] * kernel[2]
            total = A(b[r % channels]) if biased else zero
            for kd in range(kernel[0]):
                i = z + padding[0] - kd * dilation[0]
                for kh in range(kernel[1]):
                    j = u + padding[1] - kh * dilation[1]
                    for kw in range(kernel[2]):
                        k = v + padding[2] - kw * dilation[2]
                        if i >= 0 and j >= 0 and k >= 0:
                            d, h, w = i // stride[0], j // stride[1], k // stride[2]
                            if i == d * stride[0] and j == h * stride[1] and k == w * stride[2] and (
                                    d < places[0] and h < places[1] and w < places[2]):
                                total += A(columns[((at * places[0] + d) * places[1] + h) * places[2] + w])
                        at += 1
            o[t] = T(total)
    return jit(gather)


@functools.lru_cache(None)
def make_gather_lines(T, A, biased):
    zero = A.numpy.type(0)

    def gather_lines(columns, b, o, n, channels, space, places, kernel, stride, padding, dilation):
        """The same for up to 64 elements of a line: the inner loop walks a column, and divides nothing."""
        sums = cuda.local.array(LONGEST, A)
        t = cuda.grid(1)
        if t < n:
            pieces = (space[2] + LONGEST - 1) // LONGEST
            r, first = t // pieces, t % pieces * LONGEST
            last = min(first + LONGEST, space[2])
            line = r * space[2]
            r, u = r // space[1], r % space[1]
            r, z = r // space[0], r % space[0]
            for v in range(last - first):
                sums[v] = A(b[r % channels]) if biased else zero
            for kd in range(kernel[0]):
                i = z + padding[0] - kd * dilation[0]
                for kh in range(kernel[1]):
                    j = u + padding[1] - kh * dilation[1]
                    if i >= 0 and j >= 0 and i % stride[0] == 0 and j % stride[1] == 0 and (
                            i < places[0] * stride[0] and j < places[1] * stride[1]):
                        for kw in range(kernel[2]):
                            v = kw * dilation[2] - padding[2] - first       # where the window at place 0 looks
                            step = stride[2]
                            low = max((step - 1 - v) // step, 0)
                            high = min((last - first - 1 - v) // step + 1, places[2])
                            row = ((r * kernel[0] + kd) * kernel[1] + kh) * kernel[2] + kw
                            p = ((row * places[0] + i // stride[0]) * places[1] + j // stride[1]) * places[2]
                            for w in range(low, high):
                                sums[v + w * step] += A(columns[p + w])
            for v in range(last - first):
                o[line + first + v] = T(sums[v])
    return jit(gather_lines)


# ---- what the library calls
class Windows:
    """kernel, stride, padding, dilation, and the sizes of what they look at and of what comes out: three of each."""

    def __init__(self, space, kernel, stride, padding, dilation, places=None):
        def three(sizes, missing):
            return (missing,) * (3 - len(sizes)) + tuple(map(int, sizes))
        self.space, self.kernel = three(space, 1), three(kernel, 1)
        self.stride, self.padding, self.dilation = three(stride, 1), three(padding, 0), three(dilation, 1)
        if places is None:
            places = [(n + 2 * p - d * (k - 1) - 1) // s + 1
                      for n, k, s, p, d in zip(space, kernel, stride, padding, dilation)]
        self.shape, self.places = tuple(places), three(places, 1)
        self.count, self.volume = math.prod(self.places), math.prod(self.kernel)

    @property
    def arguments(self):
        return self.space, self.places, self.kernel, self.stride, self.padding, self.dilation

    def columns(self, x, rows_last=False):
        """The windows of x (N, C, *space): (N, C * volume, places), or with its rows last."""
        count, channels = x.shape[:2]
        rows = channels * self.volume
        out = empty(x.machine, (count, self.count, rows) if rows_last else (count, rows, self.count), x.dtype)
        sx = *x.strides[:2], *(0,) * (5 - x.ndim), *x.strides[2:]
        so = (rows * self.count, 1, rows) if rows_last else (rows * self.count, self.count, 1)
        run = self.places[2] if x.machine.simulated else 1
        n = count * rows * self.places[0] * self.places[1] * ceil_div(self.places[2], run) if out.size else 0
        made = make_columns(type_of(x.dtype), adding_type(x.dtype))
        launch(made, n, run, x, out, n, run, channels, *self.arguments, sx, so)
        return out

    def gathered(self, columns, bias, channels, space):
        """The way back: (N, C * volume, places), contiguous, added up in (N, C, *space), plus the bias."""
        out = empty(columns.machine, (len_of(columns), channels, *space), columns.dtype)
        T, A, simulated = type_of(columns.dtype), adding_type(columns.dtype), columns.machine.simulated
        made = (make_gather_lines if simulated else make_gather)(T, A, bias is not None)
        n = out.size // self.space[2] * ceil_div(self.space[2], LONGEST) if simulated and out.size else out.size
        launch(made, n, self.volume * min(self.space[2], LONGEST) if simulated else 1,
               columns, contiguous(bias) if bias is not None else columns, out, n, channels, *self.arguments)
        return out


def len_of(x):
    return x.shape[0]


def launch(kernel, n, steps, *args):
    """One launch of n threads, each of which takes so many steps."""
    if n:
        block = min(256, ceil_div(n, 32) * 32)
        args[0].machine.launch(kernel, (ceil_div(n, block), 1, 1), (block, 1, 1), 0, args, 1 + steps // 16)


def convolution(input, weight, bias, *, stride, padding, dilation, groups, places=None):
    """(N, C, *space) and (O, C / groups, *kernel) -> (N, O, *places)"""
    windows = Windows(input.shape[2:], weight.shape[2:], stride, padding, dilation, places)
    count, many = len_of(input), weight.shape[0] // groups
    each = weight.shape[1] * windows.volume
    columns = windows.columns(input).view((count, groups, each, windows.count))
    rows = contiguous(weight).view((1, groups, many, each))
    added = None if bias is None else contiguous(bias).view((1, groups, many, 1))
    return multiply(Product(rows, columns, added)).view((count, weight.shape[0], *windows.shape))


def transposed_convolution(input, weight, bias, *, space, stride, padding, dilation, groups):
    """(N, O, *places) and (O, C / groups, *kernel) -> (N, C, *space)"""
    windows = Windows(space, weight.shape[2:], stride, padding, dilation, input.shape[2:])
    count, many = len_of(input), weight.shape[0] // groups
    each = weight.shape[1] * windows.volume
    rows = contiguous(weight).view((1, groups, many, each)).permute((0, 1, 3, 2))
    columns = multiply(Product(rows, contiguous(input).view((count, groups, many, windows.count))))
    channels = groups * weight.shape[1]
    return windows.gathered(columns.view((count, groups * each, windows.count)), bias, channels, space)


def convolution_weight(input, output, *, kernel, stride, padding, dilation, groups):
    """(N, C, *space) and (N, O, *places) -> (O, C / groups, *kernel): summed over all images and places at once"""
    windows = Windows(input.shape[2:], kernel, stride, padding, dilation, output.shape[2:])
    count, outputs = output.shape[:2]
    each, total = input.shape[1] // groups * windows.volume, count * windows.count
    rows = contiguous(output.permute((1, 0, *range(2, output.ndim)))).view((groups, outputs // groups, total))
    columns = windows.columns(input, rows_last=True)        # (N * places, groups * each)
    columns = columns.view((groups, total, each), (each, groups * each, 1))
    return multiply(Product(rows, columns)).view((outputs, input.shape[1] // groups, *kernel))


def im2col(input, *, kernel, stride, padding, dilation):
    """(N, C, *space) -> (N, C * volume, places)"""
    return Windows(input.shape[2:], kernel, stride, padding, dilation).columns(input)


def col2im(input, *, space, kernel, stride, padding, dilation):
    """(N, C * volume, places) -> (N, C, *space), each column added where its window looks"""
    windows = Windows(space, kernel, stride, padding, dilation)
    return windows.gathered(contiguous(input), None, input.shape[1] // windows.volume, space)


# ---- checking and counting
def direct(x, w, b, windows, groups):
    """`convolution` by the naive kernel."""
    out = empty(x.machine, (len_of(x), w.shape[0], *windows.shape), x.dtype)
    kernel = make_naive(type_of(x.dtype), adding_type(x.dtype), b is not None)
    sx = *x.strides[:2], *(0,) * (5 - x.ndim), *x.strides[2:]
    launch(kernel, out.size, w.size // w.shape[0], x, contiguous(w), x if b is None else contiguous(b), out,
           out.size, x.shape[1], w.shape[0], groups, *windows.arguments, sx)
    return out


def way_back(columns, windows, channels, space, lines):
    """`Windows.gathered` by the kernel for a GPU or by the one for lines."""
    out = empty(columns.machine, (len_of(columns), channels, *space), columns.dtype)
    made = (make_gather_lines if lines else make_gather)(type_of(columns.dtype), adding_type(columns.dtype), False)
    n = out.size // space[2] * ceil_div(space[2], LONGEST) if lines else out.size
    launch(made, n, windows.volume, columns, columns, out, n, channels, *windows.arguments)
    return out


def check(machine, dtype):
    """(what, its largest error) for odd sizes."""
    draw = np.random.default_rng(0)
    plain, special = ((1, 1, 1), (0, 0, 0), (1, 1, 1)), ((2, 1, 3), (1, 2, 0), (1, 2, 2))
    for groups, (stride, padding, dilation) in ((1, plain), (2, special)):
        x, w, b = [draw.standard_normal(s).astype(dtype) for s in ((2, 4, 5, 7, 9), (6, 4 // groups, 2, 3, 2), (6,))]
        given = {"stride": stride, "padding": padding, "dilation": dilation}
        wanted = spec(x, w, b, stride, padding, dilation, groups)
        on = [from_numpy(machine, a) for a in (x, w, b)]
        windows = Windows(x.shape[2:], w.shape[2:], **given)
        yield f"naive, groups {groups}", np.abs(direct(*on, windows, groups).numpy() - wanted).max()
        yield f"columns, groups {groups}", np.abs(convolution(*on, groups=groups, **given).numpy() - wanted).max()
        columns = draw.standard_normal((2, 4 * windows.volume, windows.count)).astype(dtype)
        backs = [way_back(from_numpy(machine, columns), windows, 4, x.shape[2:], lines) for lines in (False, True)]
        # the transpose of `columns`: <columns(x), c> is <x, back(c)>
        product = (windows.columns(on[0]).numpy().astype(np.float64) * columns).sum()
        for name, back in zip(("gather", "gather_lines"), backs):
            yield f"{name}, groups {groups}", np.abs((x.astype(np.float64) * back.numpy()).sum() - product)


def main():
    from .lesson import check_all
    check_all(check, {"float32": 1e-4, "float64": 1e-11})


def cases():
    from .check import ptr
    three = (1, 1, 1)
    for name in ("float32", "float64", "float16", "int64"):
        p = ptr(name)
        T, A = type_of(p), adding_type(p)
        yield f"columns {name}", make_columns(T, A), (p, p, 1, 1, 1, *[three] * 6, (1,) * 5, three)
        for biased in (False, True):
            yield f"naive {name} biased={biased}", make_naive(T, A, biased), (
                p, p, p, p, 1, 1, 1, 1, *[three] * 6, (1,) * 5)
            yield f"gather {name} biased={biased}", make_gather(T, A, biased), (p, p, p, 1, 1, *[three] * 6)


if __name__ == "__main__":
    main()
