"""Variances: how far the elements of a row lie from their mean.

    for row in range(rows):
        mean = sum(a[row]) / size
        variance[row] = sum((a[row] - mean) ** 2) / (size - correction)

The mean comes first, in a pass of its own: sum(x ** 2) - sum(x) ** 2 / size would subtract two large numbers from each
other and leave nothing of the digits. In order of ideas:

    serial      a thread per row, the two loops as they stand                                       reads 2
    moments     any number of threads per row; the second pass finds the row in the cache (reads 1 to 2), and what it
                shows of the rounding of the mean, the sum of all distances, which should be 0, is taken back
    in parts    for few long rows: each part has a mean and a sum of squares of its own, and a second launch puts these
                together. A part of n elements, whose mean is d away from the mean of all, adds n * d * d
"""
from __future__ import annotations

import functools
import math

import numpy as np

from .array import ceil_div, empty
from .lift import computing_type
from .provider import cuda, float32, float64, jit
from .reduce import add, block_reduce
from .rows import BLOCK, reduced_shape, rows_of


# ---- the specification
def spec(a, correction=1):
    """(variances, means) of the rows of a 2-D numpy array."""
    return a.var(axis=1, ddof=correction), a.mean(axis=1)


# ---- the kernels
@cuda.jit(device=True)
def variance_of(squares, degrees):
    return squares / degrees


@cuda.jit(device=True)
def deviation_of(squares, degrees):
    return math.sqrt(squares / degrees)


@cuda.jit(device=True)
def just_squares(squares, degrees):
    return squares


@functools.lru_cache(None)
def serial(T, finish):
    def moments_serial(a, out, means, rows, size, degrees):
        row = cuda.grid(1)
        if row < rows:
            total = T(0)
            for r in range(size):
                total += T(a[row * size + r])
            mean = total / T(size)
            squares = T(0)
            for r in range(size):
                apart = T(a[row * size + r]) - mean
                squares += apart * apart
            out[row] = finish(squares, degrees)
            means[row] = mean
    return jit(moments_serial)


@functools.lru_cache(None)
def moments(T, threads, finish):
    total_of = block_reduce(add, T, threads)

    def moments_of_rows(a, out, means, rows, inner, outer_step, inner_step, size, step, part, degrees):
        row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        start = row // inner * outer_step + row % inner * inner_step
        begin = cuda.blockIdx.y * part
        end = min(begin + part, size)
        count = T(end - begin)
        end = end if row < rows else begin          # threads without a row still take part in the shuffles
        total = T(0)
        for r in range(begin + cuda.threadIdx.x, end, threads):
            total += T(a[start + r * step])
        mean = total_of(total) / count
        squares = T(0)
        drift = T(0)
        for r in range(begin + cuda.threadIdx.x, end, threads):
            apart = T(a[start + r * step]) - mean
            squares += apart * apart
            drift += apart
        squares = total_of(squares)
        drift = total_of(drift) / count
        if drift - drift == T(0):                   # so it is finite
            mean += drift
            squares -= count * drift * drift
            if squares < T(0):
                squares = T(0)
        if cuda.threadIdx.x == 0 and row < rows:
            out[row * cuda.gridDim.y + cuda.blockIdx.y] = finish(squares, degrees)
            means[row * cuda.gridDim.y + cuda.blockIdx.y] = mean
    return jit(moments_of_rows)


@functools.lru_cache(None)
def merge(T, finish):
    def merge_parts(squares, means, out, out_means, rows, parts, part, size, degrees):
        row = cuda.grid(1)
        if row < rows:
            total = T(0)
            for k in range(parts):
                total += T(min(part, size - k * part)) * means[row * parts + k]
            mean = total / T(size)
            total = T(0)
            for k in range(parts):
                apart = means[row * parts + k] - mean
                total += squares[row * parts + k] + T(min(part, size - k * part)) * apart * apart
            out[row] = finish(total, degrees)
            out_means[row] = mean
    return jit(merge_parts)


# ---- what the library calls
def var_mean(x, *, dims, keepdim, correction, finish=variance_of):
    """(variances, means) along the dimensions."""
    shape = reduced_shape(x.shape, dims, keepdim)
    out, means = empty(x.machine, shape, x.dtype), empty(x.machine, shape, x.dtype)
    if not out.size:
        return out, means
    given, T = rows_of(x, dims), computing_type(x.dtype)
    degrees = T(max(given.size - correction, 0))
    threads, each = given.threads()
    parts, part = given.parts(threads, each)
    if parts == 1:
        given.launch(moments(T, threads, finish), (given.array, out, means, *given.walk, part, degrees), threads, each)
        return out, means
    squares, centres = (empty(x.machine, (given.count, parts), T.numpy) for _ in range(2))
    args = given.array, squares, centres, *given.walk, part, degrees
    given.launch(moments(T, threads, just_squares), args, threads, each, parts)
    x.machine.launch(merge(T, finish), (ceil_div(given.count, 32), 1, 1), (min(given.count, 32), 1, 1), 0,
                     (squares, centres, out, means, given.count, parts, part, given.size, degrees), work=parts)
    return out, means


def std_mean(x, **params):
    return var_mean(x, **params, finish=deviation_of)


def var(x, **params):
    return var_mean(x, **params)[0]


def std(x, **params):
    return var_mean(x, **params, finish=deviation_of)[0]


# ---- the lesson
def cases():
    """(name, kernel, arguments) for the checker of compiled code."""
    from .check import ptr
    for dtype, T, sizes in (("float16", float32, (BLOCK,)), ("float32", float32, (1, 8, BLOCK)),
                            ("float64", float64, (BLOCK,))):
        pointers, one = (ptr(dtype),) * 3, T(1)
        for threads in sizes:
            for finish in (variance_of, deviation_of):
                yield (f"moments, {threads} threads, {finish.__name__} {dtype}", moments(T, threads, finish),
                       (*pointers, 1000, 100, 6400, 64, 64, 1, 1024, one))
        yield f"serial {dtype}", serial(T, variance_of), (*pointers, 1000, 64, one)
        yield f"merge {dtype}", merge(T, variance_of), (ptr(T.name), ptr(T.name), *pointers[:2], 100, 9, 64, 555, one)


def versions(a):
    """(name of a version, its variances and means) of the rows of a contiguous 2-D array of float32."""
    (rows, size), given = a.shape, rows_of(a, (1,))

    def result(made, grid, block, *args):
        out = empty(a.machine, (rows,), a.dtype), empty(a.machine, (rows,), a.dtype)
        made[grid, block](a, *out, *args, np.float32(max(size - 1, 0)))
        return out
    yield "serial", result(serial(float32, variance_of), ceil_div(rows, 32), 32, rows, size)
    for threads in (1, 8, 32, 128):
        each = max(1, 64 // threads)
        yield f"moments, {threads} threads", result(moments(float32, threads, variance_of), ceil_div(rows, each),
                                                    (threads, each), *given.walk, size)
    yield "what the library calls", var_mean(a, dims=(1,), keepdim=False, correction=1)


def main():
    from .array import from_numpy
    from .lesson import check, report
    from .memory import default
    machine, draw = default(), np.random.default_rng(0)
    for shape in ((3, 2), (5, 37), (2, 2100)):
        host = (1000 + draw.standard_normal(shape)).astype(np.float32)   # of which squares would leave nothing
        for version, got in versions(from_numpy(machine, host)):
            check(f"variances of {shape}: {version}", got, spec(host.astype(np.float64)), 1e-5)
    n = 100 if machine.simulated else 10000
    a = from_numpy(machine, draw.standard_normal((n, n)).astype(np.float32))
    for dims in ((1,), (0,), (0, 1)):
        program = functools.partial(var, a, dims=dims, keepdim=False, correction=1)
        report(f"variances of {n} x {n} over {dims}", machine, program, 4 * n * n)


if __name__ == "__main__":
    main()
