"""Softmax and its logarithm: the numbers of a row made into a distribution.

    for row in range(rows):
        top = max(a[row])                           # taken out, so that nothing overflows
        total = sum(exp(a[row] - top))
        out[row] = exp(a[row] - top) / total        # the logarithm: a[row] - top - log(total)

A row is whatever lies along one dimension. Memory is the limit again, and the three loops want to read a row once each.
In order of ideas:

    serial     a thread per row, three loops                                                  reads 3, writes 1
    passes     any number of threads per row, which agree on the largest and the total        the same, by neighbours
    online     largest and total in one pass: when a larger one shows up, the total so far is scaled down to it, by
               exp(old - new). Threads do the same to each other's totals in the end          reads 2, writes 1

The second read of a row that has been read just before comes from the cache, up to some 10,000 elements a row.
"""
from __future__ import annotations

import functools
import math

import numpy as np

from .array import ceil_div, empty
from .elementwise import contiguous
from .lift import computing_type
from .provider import cuda, float32, float64, jit
from .reduce import add, block_reduce, larger
from .rows import BLOCK, reduced_shape, rows_of


# ---- the specification
def spec(a, log=False):
    """What every version computes of each row of a 2-D numpy array."""
    a = a - a.max(axis=1, keepdims=True)
    return a - np.log(np.exp(a).sum(axis=1, keepdims=True)) if log else np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)


# ---- the kernels
@cuda.jit(device=True)
def part(x, top, total):
    return math.exp(x - top) / total


@cuda.jit(device=True)
def log_part(x, top, total):
    return x - top - math.log(total)


@functools.lru_cache(None)
def serial(T, result):
    least = T(-math.inf)

    def softmax_serial(a, out, rows, size):
        row = cuda.grid(1)
        if row < rows:
            top = least
            for r in range(size):
                top = larger(T(a[row * size + r]), top)
            total = T(0)
            for r in range(size):
                total += math.exp(T(a[row * size + r]) - top)
            for r in range(size):
                out[row * size + r] = result(T(a[row * size + r]), top, total)
    return jit(softmax_serial)


@functools.lru_cache(None)
def passes(T, threads, result):
    largest_of, total_of, least = block_reduce(larger, T, threads), block_reduce(add, T, threads), T(-math.inf)

    def softmax_passes(a, out, rows, inner, outer_step, inner_step, size, step):
        row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        start = row // inner * outer_step + row % inner * inner_step
        end = size if row < rows else 0             # threads without a row still take part in the shuffles
        top = least
        for r in range(cuda.threadIdx.x, end, threads):
            top = larger(T(a[start + r * step]), top)
        top = largest_of(top)
        total = T(0)
        for r in range(cuda.threadIdx.x, end, threads):
            total += math.exp(T(a[start + r * step]) - top)
        total = total_of(total)
        for r in range(cuda.threadIdx.x, end, threads):
            out[start + r * step] = result(T(a[start + r * step]), top, total)
    return jit(softmax_passes)


@functools.lru_cache(None)
def online(T, threads, result):
    largest_of, total_of = block_reduce(larger, T, threads), block_reduce(add, T, threads)
    least = T(np.finfo(T.numpy).min)                # finite: of -inf alone the total is 0, the result nan

    def softmax_online(a, out, rows, inner, outer_step, inner_step, size, step):
        row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        start = row // inner * outer_step + row % inner * inner_step
        end = size if row < rows else 0
        top = least
        total = T(0)
        for r in range(cuda.threadIdx.x, end, threads):
            x = T(a[start + r * step])
            if x > top:
                total = total * math.exp(top - x) + math.exp(x - x)      # 1, and nan for inf
                top = x
            else:
                total += math.exp(x - top)
        largest = largest_of(top)
        total = total_of(total * math.exp(top - largest))
        for r in range(cuda.threadIdx.x, end, threads):
            out[start + r * step] = result(T(a[start + r * step]), largest, total)
    return jit(softmax_online)


@functools.lru_cache(None)
def backward(T, threads, log):
    """The gradient of x, from g, that of y: g * y - y * sum(g * y), or for the logarithm g - exp(y) * sum(g)."""
    total_of = block_reduce(add, T, threads)

    def softmax_backward(g, y, out, rows, inner, outer_step, inner_step, size, step):
        row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        start = row // inner * outer_step + row % inner * inner_step
        end = size if row < rows else 0
        total = T(0)
        for r in range(cuda.threadIdx.x, end, threads):
            total += T(g[start + r * step]) if log else T(g[start + r * step]) * T(y[start + r * step])
        total = total_of(total)
        for r in range(cuda.threadIdx.x, end, threads):
            by, of = T(g[start + r * step]), T(y[start + r * step])
            out[start + r * step] = by - math.exp(of) * total if log else by * of - of * total
    return jit(softmax_backward)


@functools.lru_cache(None)
def log_total(T, threads):
    largest_of, total_of, least = block_reduce(larger, T, threads), block_reduce(add, T, threads), T(-math.inf)

    def logsumexp_of_rows(a, out, rows, inner, outer_step, inner_step, size, step):
        row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        start = row // inner * outer_step + row % inner * inner_step
        end = size if row < rows else 0
        top = least
        for r in range(cuda.threadIdx.x, end, threads):
            top = larger(T(a[start + r * step]), top)
        top = largest_of(top)
        if top - top != T(0):                       # inf, -inf, nan: taking it out would leave nan
            top = T(0)
        total = T(0)
        for r in range(cuda.threadIdx.x, end, threads):
            total += math.exp(T(a[start + r * step]) - top)
        total = total_of(total)
        if cuda.threadIdx.x == 0 and row < rows:
            out[row] = math.log(total) + top
    return jit(logsumexp_of_rows)


# ---- what the library calls
def softmax(x, *, dim):
    return along(online, x, dim, part)


def log_softmax(x, *, dim):
    return along(online, x, dim, log_part)


def softmax_backward(grad, y, *, dim):
    return along(backward, grad, dim, False, contiguous(y))


def log_softmax_backward(grad, y, *, dim):
    return along(backward, grad, dim, True, contiguous(y))


def along(factory, x, dim, option, *more):
    """Run a kernel that makes rows of rows, in the layout of a new array."""
    x = contiguous(x)
    out = empty(x.machine, x.shape, x.dtype)
    if out.size:
        given = rows_of(x, (dim,) if x.ndim else ())
        threads, each = given.threads()
        made = factory(computing_type(x.dtype), threads, option)
        given.launch(made, (x, *more, out, *given.walk), threads, each)
    return out


def logsumexp(x, *, dims, keepdim):
    out = empty(x.machine, reduced_shape(x.shape, dims, keepdim), x.dtype)
    if out.size:
        given = rows_of(x, dims)
        threads, each = given.threads()
        given.launch(log_total(computing_type(x.dtype), threads), (given.array, out, *given.walk), threads, each)
    return out


# ---- the lesson
def cases():
    """(name, kernel, arguments) for the checker of compiled code."""
    from .check import ptr
    walk = 1000, 100, 6400, 64, 64, 1
    for dtype, T, threads in (("float32", float32, 1), ("float32", float32, 8), ("float32", float32, BLOCK),
                              ("float16", float32, BLOCK), ("float64", float64, BLOCK)):
        told, two, three = f"{threads} threads, {dtype}", (ptr(dtype),) * 2, (ptr(dtype),) * 3
        for factory in (passes, online):
            for result in (part, log_part):
                yield f"{factory.__name__} {result.__name__}, {told}", factory(T, threads, result), two + walk
        for log in (False, True):
            yield f"{'log_' * log}softmax backward, {told}", backward(T, threads, log), three + walk
        yield f"logsumexp, {told}", log_total(T, threads), two + walk
    yield "serial", serial(float32, part), (ptr("float32"), ptr("float32"), 1000, 64)


def versions(a, log):
    """(name of a version, its result) for the rows of a contiguous 2-D array of float32."""
    (rows, size), given, result = a.shape, rows_of(a, (1,)), log_part if log else part
    out = empty(a.machine, a.shape, a.dtype)
    serial(float32, result)[ceil_div(rows, 32), 32](a, out, rows, size)
    yield "serial", out
    for factory in (passes, online):
        for threads in (1, 8, 32, 128):
            out, each = empty(a.machine, a.shape, a.dtype), max(1, 64 // threads)
            factory(float32, threads, result)[ceil_div(rows, each), (threads, each)](a, out, *given.walk)
            yield f"{factory.__name__}, {threads} threads", out
    yield "what the library calls", (log_softmax if log else softmax)(a, dim=1)


def main():
    from .array import from_numpy
    from .lesson import check, report
    from .memory import default
    machine, draw = default(), np.random.default_rng(0)
    for shape in ((3, 1), (5, 37), (2, 300)):
        host = (100 * draw.standard_normal(shape)).astype(np.float32)
        for log in (False, True):
            for version, got in versions(from_numpy(machine, host), log):
                check(f"{'log_' * log}softmax of {shape}: {version}", got, spec(host.astype(np.float64), log), 1e-6)
    n = 64 if machine.simulated else 8192
    a = from_numpy(machine, draw.standard_normal((n, n)).astype(np.float32))
    for dim in (1, 0):
        report(f"softmax of {n} x {n} along {dim}", machine, functools.partial(softmax, a, dim=dim), 8 * n * n)
        report("its backward", machine, functools.partial(softmax_backward, a, a, dim=dim), 12 * n * n)


if __name__ == "__main__":
    main()
