"""The largest and the smallest, and where they are: argmax, argmin, max and min along a dimension.

    for row in range(rows):
        for r in range(size):
            if beats(a[row, r], r, value, place):
                value, place = a[row, r], r

A reduction of pairs, an element and its place (reduce.py reduces numbers). nan beats everything, and of equal elements
the first one wins: so whichever pairs meet first, the result is the same. In order of ideas:

    serial     a thread per row, the loop as it stands
    pairs      any number of threads per row; pairs travel through two shuffles and two arrays in shared memory
    in parts   for few long rows: a second launch has the winners of the parts compete, each with the place it came from
"""
from __future__ import annotations

import functools
import math

import numpy as np

from .array import ceil_div, empty
from .lift import computing_type
from .provider import cuda, int32, int64, jit
from .reduce import WARP, run, within
from .rows import BLOCK, reduced_shape, rows_of

NOWHERE = 2 ** 62    # the place of a thread that has seen no element: everything beats it


# ---- the specification
def spec(a, largest):
    """(values, places) of the rows of a 2-D numpy array."""
    places = (np.argmax if largest else np.argmin)(a, axis=1)
    return np.take_along_axis(a, places[:, None], 1)[:, 0], places


# ---- the kernels
@cuda.jit(device=True)
def above(v, at, value, place):
    """Whether (v, at) beats (value, place) where the largest is looked for."""
    if v == value or (v != v and value != value):
        return at < place
    return v > value or v != v


@cuda.jit(device=True)
def below(v, at, value, place):
    """Whether (v, at) beats (value, place) where the smallest is looked for."""
    if v == value or (v != v and value != value):
        return at < place
    return v < value or v != v


@cuda.jit(device=True)
def alone(value, place):
    return value, place


@functools.lru_cache(None)
def block_best(beats, T, threads):
    """A device function of a value and its place: the best pair of so many neighbouring threads, for each of them."""
    if threads == 1:
        return alone
    half, warps = min(threads, 32) // 2, threads // 32

    def best_of_warp(value, place):
        step = half
        while step > 0:
            v = cuda.shfl_xor_sync(WARP, value, step)
            at = cuda.shfl_xor_sync(WARP, place, step)
            if beats(v, at, value, place):
                value = v
                place = at
            step //= 2
        return value, place
    of_warp = jit(best_of_warp, device=True)
    if threads <= 32:
        return of_warp

    def best_of_block(value, place):
        values = cuda.shared.array(warps, T)
        places = cuda.shared.array(warps, int64)
        value, place = of_warp(value, place)
        if cuda.threadIdx.x % 32 == 0:
            values[cuda.threadIdx.x // 32] = value
            places[cuda.threadIdx.x // 32] = place
        cuda.syncthreads()
        value = values[0]
        place = places[0]
        for w in range(1, warps):
            if beats(values[w], places[w], value, place):
                value = values[w]
                place = places[w]
        return value, place
    return jit(best_of_block, device=True)


@functools.lru_cache(None)
def serial(beats, worst, T):
    def best_serial(a, values, places, rows, size):
        row = cuda.grid(1)
        if row < rows:
            value = worst
            place = int64(NOWHERE)
            for r in range(size):
                v = T(a[row * size + r])
                if beats(v, r, value, place):
                    value = v
                    place = int64(r)
            values[row] = value
            places[row] = place
    return jit(best_serial)


@functools.lru_cache(None)
def pairs(beats, worst, T, threads, again):
    """again: whether the elements are winners, which have come from places that are given."""
    best_of = block_best(beats, T, threads)

    def best_of_rows(a, given, values, places, rows, inner, outer_step, inner_step, size, step, part):
        row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        start = row // inner * outer_step + row % inner * inner_step
        r = cuda.blockIdx.y * part
        end = min(r + part, size) if row < rows else 0       # threads without a row still take part in the shuffles
        r += cuda.threadIdx.x
        value = worst
        place = int64(NOWHERE)
        while r < end:
            v = T(a[start + r * step])
            at = given[start + r * step] if again else int64(r)
            if beats(v, at, value, place):
                value = v
                place = at
            r += threads
        value, place = best_of(value, place)
        if cuda.threadIdx.x == 0 and row < rows:
            values[row * cuda.gridDim.y + cuda.blockIdx.y] = value
            places[row * cuda.gridDim.y + cuda.blockIdx.y] = place
    return jit(best_of_rows)


def comparison(largest, dtype):
    """(the device function that compares, what every element beats or equals, the type in which they are compared)"""
    T = computing_type(dtype)
    T = T if T.numpy.itemsize >= 4 else int32       # what shuffles can hand over
    return above if largest else below, T(within(-math.inf if largest else math.inf, T.numpy)), T


# ---- what the library calls
def find(array, largest, dims, keepdim):
    """(values, places) of the largest or smallest elements along the dimensions, in which there is one at least."""
    dims = dims if array.ndim else ()               # along its only "dimension" a number is the largest
    shape = reduced_shape(array.shape, dims, keepdim)
    values, places = empty(array.machine, shape, array.dtype), empty(array.machine, shape, np.int64)
    if values.size:
        find_in_rows(*comparison(largest, array.dtype), rows_of(array, dims), None, values, places)
    return values, places


def find_in_rows(beats, worst, T, given, came_from, values, places):
    threads, each = given.threads()
    parts, part = given.parts(threads, each)
    best = values, places
    if parts > 1:
        best = [empty(values.machine, (given.count, parts), dtype) for dtype in (T.numpy, np.int64)]
    made = pairs(beats, worst, T, threads, came_from is not None)
    given.launch(made, (given.array, came_from or best[1], *best, *given.walk, part), threads, each, parts)
    if parts > 1:
        find_in_rows(beats, worst, T, rows_of(best[0], (1,)), best[1], values, places)


def argmax(x, *, dims, keepdim):
    return find(x, True, dims, keepdim)[1]


def argmin(x, *, dims, keepdim):
    return find(x, False, dims, keepdim)[1]


def max_along(x, *, dims, keepdim):
    return find(x, True, dims, keepdim)


def min_along(x, *, dims, keepdim):
    return find(x, False, dims, keepdim)


def aminmax(x, *, dims, keepdim):
    """The smallest and the largest: two reductions."""
    given = {"array": x, "dims": dims, "keepdim": keepdim, "dtype": x.dtype}
    return run(smaller_of, math.inf, name="smallest", **given), run(larger_of, -math.inf, name="largest", **given)


smaller_of = lambda a, b: a if a < b or a != a else b
larger_of = lambda a, b: a if a > b or a != a else b


# ---- the lesson
def cases():
    """(name, kernel, arguments) for the checker of compiled code."""
    from .check import ptr
    for dtype in ("float16", "float32", "float64", "uint8", "int64", "bool"):
        beats, worst, T = comparison(True, np.dtype(dtype))
        for threads in (1, 8, BLOCK) if dtype == "float32" else (BLOCK,):
            for again in (False, True):
                arrays = ptr(T.name if again else dtype), ptr("int64"), ptr(dtype), ptr("int64")
                yield (f"pairs{' again' * again}, {threads} threads, {dtype}", pairs(beats, worst, T, threads, again),
                       (*arrays, 1000, 100, 6400, 64, 64, 1, 1024))
        yield f"serial, {dtype}", serial(beats, worst, T), (ptr(dtype), ptr(dtype), ptr("int64"), 1000, 64)


def versions(a, largest):
    """(name of a version, its results) for the rows of a contiguous 2-D array."""
    parts, (rows, size), given = comparison(largest, a.dtype), a.shape, rows_of(a, (1,))
    outs = lambda: (empty(a.machine, (rows,), a.dtype), empty(a.machine, (rows,), np.int64))
    out = outs()
    serial(*parts)[ceil_div(rows, 32), 32](a, *out, rows, size)
    yield "serial", out
    for threads in (1, 4, 32, 128):
        out, each = outs(), max(1, 64 // threads)
        made = pairs(*parts, threads, False)
        made[ceil_div(rows, each), (threads, each)](a, out[1], *out, *given.walk, size)
        yield f"pairs, {threads} threads", out
    yield "what the library calls", find(a, largest, (1,), False)


def main():
    from .array import from_numpy
    from .lesson import check, report
    from .memory import default
    machine, draw = default(), np.random.default_rng(0)
    for dtype in (np.float32, np.float16, np.int64):
        for shape in ((3, 1), (5, 37), (2, 1100)):
            host = draw.integers(-9, 9, shape).astype(dtype)             # with many equal ones
            if host.dtype.kind == "f":
                host[0, -1] = host[-1, shape[1] // 2] = np.nan
            for largest in (True, False):
                want = spec(host.astype(np.float32), largest)
                for version, got in versions(from_numpy(machine, host), largest):
                    check(f"{'largest' if largest else 'smallest'} {host.dtype} of {shape}: {version}", got, want, 0)
    n = 100 if machine.simulated else 10000
    a = from_numpy(machine, draw.standard_normal((n, n)).astype(np.float32))
    for dims in ((1,), (0,), (0, 1)):
        program = functools.partial(argmax, a, dims=dims, keepdim=False)
        report(f"argmax of {n} x {n} over {dims}", machine, program, 4 * n * n)


if __name__ == "__main__":
    main()
