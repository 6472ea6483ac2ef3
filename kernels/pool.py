"""Pooling: the largest element or the mean of every window.

    for i in range(places):
        for k in range(start(i), stop(i), step):
            y[i] = max(y[i], x[k])

It knows no layers and no gradients. One, two and three dimensions are all computed as three, the missing ones of size
1, and all dimensions before them as one, planes. A thread computes `run` neighbouring results: one on a GPU, so that
neighbouring threads write neighbours; a line on the simulator. Each result reads its window once and is written once.

    largest   windows one step apart (`dilation`), or as equal as possible (`adaptive`); also where the largest was
    mean      of windows
    spread    the way back of `mean`: an element gathers from every window that it lies in. So nobody adds to what
              others add to, and the bits are the same every time
"""
from __future__ import annotations

import functools
import math

import numpy as np

from .array import empty, from_numpy
from .conv import launch
from .elementwise import contiguous
from .matrices import adding_type
from .provider import cuda, int64, jit, type_of


# ---- the specification
def spec(x, kernel, stride, padding, dilation, places):
    """(largest, where) of planes (N, D, H, W), in plain Python."""
    values, indices = np.empty((len(x), *places), x.dtype), np.empty((len(x), *places), np.int64)
    for plane, *at in np.ndindex(*values.shape):
        best = None
        for inside in np.ndindex(*kernel):
            k = tuple([i * s - p + j * d for i, s, p, j, d in zip(at, stride, padding, inside, dilation)])
            if all([0 <= n < size for n, size in zip(k, x.shape[1:])]) and (best is None or x[(plane, *k)] > best):
                best, values[(plane, *at)] = x[(plane, *k)], x[(plane, *k)]
                indices[(plane, *at)] = np.ravel_multi_index(k, x.shape[1:])
    return values, indices


# ---- in the kernels
@cuda.jit(device=True)
def begin(i, stride, padding, dilation):
    """The first element inside the input that window i looks at."""
    start = i * stride - padding
    return start if start >= 0 else start + (dilation - 1 - start) // dilation * dilation


@cuda.jit(device=True)
def end(i, stride, padding, reach, size):
    """Behind the last one."""
    return min(i * stride - padding + reach, size)


@cuda.jit(device=True)
def part_begin(i, places, size):
    """Where the i-th of `places` parts of `size` elements begins."""
    return i * size // places


@cuda.jit(device=True)
def part_end(i, places, size):
    return ((i + 1) * size + places - 1) // places


# ---- the kernels
@functools.lru_cache(None)
def make_largest(T, A, adaptive):
    lowest = A.numpy.type(-np.inf) if np.dtype(A.numpy).kind == "f" else np.iinfo(A.numpy).min

    def largest(x, values, indices, n, run, space, places, kernel, stride, padding, dilation):
        t = cuda.grid(1)
        if t < n:
            pieces = (places[2] + run - 1) // run
            r, first = t // pieces, t % pieces * run
            line = r * places[2]
            r, j = r // places[1], r % places[1]
            plane, i = r // places[0], r % places[0]
            if adaptive:
                z0, z1 = part_begin(i, places[0], space[0]), part_end(i, places[0], space[0])
                u0, u1 = part_begin(j, places[1], space[1]), part_end(j, places[1], space[1])
            else:
                z0 = begin(i, stride[0], padding[0], dilation[0])
                z1 = end(i, stride[0], padding[0], kernel[0], space[0])
                u0 = begin(j, stride[1], padding[1], dilation[1])
                u1 = end(j, stride[1], padding[1], kernel[1], space[1])
            p = plane * space[0] * space[1] * space[2]
            for k in range(first, min(first + run, places[2])):
                if adaptive:
                    v0, v1 = part_begin(k, places[2], space[2]), part_end(k, places[2], space[2])
                else:
                    v0 = begin(k, stride[2], padding[2], dilation[2])
                    v1 = end(k, stride[2], padding[2], kernel[2], space[2])
                best = lowest
                where = (z0 * space[1] + u0) * space[2] + v0
                for z in range(z0, z1, dilation[0]):
                    for u in range(u0, u1, dilation[1]):
                        at = (z * space[1] + u) * space[2]
                        for v in range(v0, v1, dilation[2]):
                            value = A(x[p + at + v])
                            if value > best or value != value:      # a nan counts as the largest, the last of them
                                best = value
                                where = at + v
                values[line + k] = T(best)
                indices[line + k] = where
    return jit(largest)


@functools.lru_cache(None)
def make_mean(T, A):
    whole, zero = A is int64, A.numpy.type(0)

    def mean(x, y, n, run, space, places, kernel, stride, padding, divisor, include):
        t = cuda.grid(1)
        if t < n:
            pieces = (places[2] + run - 1) // run
            r, first = t // pieces, t % pieces * run
            line = r * places[2]
            r, j = r // places[1], r % places[1]
            plane, i = r // places[0], r % places[0]
            z0, z1 = begin(i, stride[0], padding[0], 1), end(i, stride[0], padding[0], kernel[0], space[0])
            u0, u1 = begin(j, stride[1], padding[1], 1), end(j, stride[1], padding[1], kernel[1], space[1])
            p = plane * space[0] * space[1] * space[2]
            for k in range(first, min(first + run, places[2])):
                v0, v1 = begin(k, stride[2], padding[2], 1), end(k, stride[2], padding[2], kernel[2], space[2])
                total = zero
                for z in range(z0, z1):
                    for u in range(u0, u1):
                        for v in range(v0, v1):
                            total += A(x[p + (z * space[1] + u) * space[2] + v])
                count = counted(i, j, k, space, kernel, stride, padding, divisor, include)
                if whole:                           # as C divides
                    y[line + k] = T(-(-total // count) if total < 0 else total // count)
                else:
                    y[line + k] = T(total / A(count))
    return jit(mean)


@cuda.jit(device=True)
def counted(i, j, k, space, kernel, stride, padding, divisor, include):
    """By how much a window's sum is divided: `divisor`, or how many elements it has, with or without the padding."""
    if divisor != 0:
        return divisor
    if include:
        return ((end(i, stride[0], padding[0], kernel[0], space[0] + padding[0]) - (i * stride[0] - padding[0]))
                * (end(j, stride[1], padding[1], kernel[1], space[1] + padding[1]) - (j * stride[1] - padding[1]))
                * (end(k, stride[2], padding[2], kernel[2], space[2] + padding[2]) - (k * stride[2] - padding[2])))
    return ((end(i, stride[0], padding[0], kernel[0], space[0]) - begin(i, stride[0], padding[0], 1))
            * (end(j, stride[1], padding[1], kernel[1], space[1]) - begin(j, stride[1], padding[1], 1))
            * (end(k, stride[2], padding[2], kernel[2], space[2]) - begin(k, stride[2], padding[2], 1)))


@functools.lru_cache(None)
def make_spread(T, A):
    zero = A.numpy.type(0)

    def spread(g, x, n, run, space, places, kernel, stride, padding, divisor, include):
        t = cuda.grid(1)
        if t < n:
            pieces = (space[2] + run - 1) // run
            r, first = t // pieces, t % pieces * run
            line = r * space[2]
            r, u = r // space[1], r % space[1]
            plane, z = r // space[0], r % space[0]
            i0, i1 = over(z, kernel[0], stride[0], padding[0]), min((z + padding[0]) // stride[0] + 1, places[0])
            j0, j1 = over(u, kernel[1], stride[1], padding[1]), min((u + padding[1]) // stride[1] + 1, places[1])
            p = plane * places[0] * places[1] * places[2]
            for v in range(first, min(first + run, space[2])):
                k0, k1 = over(v, kernel[2], stride[2], padding[2]), min((v + padding[2]) // stride[2] + 1, places[2])
                total = zero
                for i in range(i0, i1):
                    for j in range(j0, j1):
                        for k in range(k0, k1):
                            count = counted(i, j, k, space, kernel, stride, padding, divisor, include)
                            total += A(g[p + (i * places[1] + j) * places[2] + k]) / A(count)
                x[line + v] = T(total)
    return jit(spread)


@cuda.jit(device=True)
def over(z, kernel, stride, padding):
    """The first window that element z lies in."""
    return max((z + padding - kernel + stride) // stride, 0)


# ---- what the library calls
def three(sizes, missing=1):
    return (missing,) * (3 - len(sizes)) + tuple(map(int, sizes))


def lines(out, places):
    """(threads, results of each): one on a GPU, a line of them on the simulator."""
    run = max(places[-1], 1) if out.machine.simulated else 1
    return out.size // run, run


def max_pool(input, *, kernel, stride, padding, dilation, places):
    """(the largest element of every window, its place in the flattened space)"""
    reach = tuple([d * (k - 1) + 1 for k, d in zip(kernel, dilation)])
    return pooled(input, False, places, three(reach), three(stride), three(padding, 0), three(dilation))


def adaptive_max_pool(input, *, places):
    """The same with as many windows as asked for."""
    return pooled(input, True, places, *[(1, 1, 1)] * 4)


def pooled(input, adaptive, places, *windows):
    spaces, x = len(places), contiguous(input)
    shape = input.shape[:-spaces] + tuple(places)
    values, indices = empty(x.machine, shape, x.dtype), empty(x.machine, shape, np.int64)
    n, run = lines(values, places)
    space = three(input.shape[-spaces:])
    steps = run * max(math.prod(windows[0]), math.prod(space) // max(math.prod(places), 1))
    launch(make_largest(type_of(x.dtype), adding_type(x.dtype), adaptive), n, steps,
           x, values, indices, n, run, space, three(places), *windows)
    return values, indices


def avg_pool(input, *, kernel, stride, padding, places, divisor, count_include_pad):
    """The mean of every window."""
    spaces, x = len(kernel), contiguous(input)
    out = empty(x.machine, input.shape[:-spaces] + tuple(places), x.dtype)
    n, run = lines(out, places)
    launch(make_mean(type_of(x.dtype), adding_type(x.dtype)), n, run * math.prod(kernel), x, out, n, run,
           three(input.shape[-spaces:]), three(places), three(kernel), three(stride), three(padding, 0), divisor or 0,
           bool(count_include_pad))
    return out


def avg_pool_backward(g, *, size, kernel, stride, padding, places, divisor, count_include_pad):
    """Every element of g spread over its window."""
    spaces, g = len(kernel), contiguous(g)
    out = empty(g.machine, tuple(size), g.dtype)
    n, run = lines(out, size)
    launch(make_spread(type_of(g.dtype), adding_type(g.dtype)), n, run * math.prod(kernel), g, out, n, run,
           three(size[-spaces:]), three(places), three(kernel), three(stride), three(padding, 0), divisor or 0,
           bool(count_include_pad))
    return out


# ---- checking and counting
def check(machine, dtype):
    """(what, its largest error) for odd sizes."""
    x = np.random.default_rng(0).standard_normal((3, 5, 7, 9)).astype(dtype)
    on = from_numpy(machine, x)
    for kernel, stride, padding, dilation in (((2, 3, 2), (1, 2, 2), (1, 1, 0), (1, 1, 1)), ((2, 2, 3), (2, 1, 1),
                                                                                         (0, 1, 1), (2, 1, 2))):
        places = tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1
                        for n, k, s, p, d in zip(x.shape[1:], kernel, stride, padding, dilation)])
        values, indices = spec(x, kernel, stride, padding, dilation, places)
        found = max_pool(on, kernel=kernel, stride=stride, padding=padding, dilation=dilation, places=places)
        yield f"largest {kernel}", np.abs(found[0].numpy() - values).max()
        yield f"where {kernel}", np.abs(found[1].numpy() - indices).max()
        if dilation == (1, 1, 1):
            for include in (False, True):
                given = {"kernel": kernel, "stride": stride, "padding": padding, "places": places, "divisor": None,
                         "count_include_pad": include}
                ones = avg_pool(from_numpy(machine, np.ones_like(x)), **given).numpy()
                if include:                         # less at the edge, one inside
                    ones = ones[:, 1:-1, 1:-1]
                yield f"mean of ones, padding counted: {include}", np.abs(ones - 1).max()
                y, g = avg_pool(on, **given).numpy().astype(np.float64), values
                back = avg_pool_backward(from_numpy(machine, g), size=x.shape, **given).numpy().astype(np.float64)
                yield "mean and spread are transposes", np.abs((y * g).sum() - (x * back).sum())
    found = adaptive_max_pool(on, places=(5, 7, 9))
    yield "adaptive, as many as there are", np.abs(found[0].numpy() - x).max()


def main():
    from .lesson import check_all
    check_all(check, {"float32": 1e-4, "float64": 1e-11})


def cases():
    from .check import ptr
    sizes = (1, 1, 1)
    for name in ("float32", "float64", "float16", "int64", "uint8"):
        p = ptr(name)
        T, A = type_of(p), adding_type(p)
        for adaptive in (False, True):
            yield f"largest {name} adaptive={adaptive}", make_largest(T, A, adaptive), (
                p, p, ptr("int64"), 1, 1, *[sizes] * 6)
        yield f"mean {name}", make_mean(T, A), (p, p, 1, 1, *[sizes] * 5, 1, True)
        if A is not int64:
            yield f"spread {name}", make_spread(T, A), (p, p, 1, 1, *[sizes] * 5, 1, True)


if __name__ == "__main__":
    main()
