"""Reductions: many become one. Sums, products, extremes, truth.

    for row in range(rows):
        total = identity
        for r in range(size):
            total = combine(total, read(a[row, r]))
        out[row] = finish(total)

`read`, `combine` and `finish` are any functions of numbers; these kernels know neither which they are nor what the
numbers mean. Each element is read once and one number a row is written, so memory is the limit: what counts is that
neighbouring threads read neighbouring elements, and that enough threads read at all. In order of ideas:

    serial     a thread per row, the loop as it stands: neighbouring threads read what lies a row apart
    tree       a block per row: each thread adds up a part of it, then one half of the block adds what the other half
               has, in shared memory, log2(256) = 8 times with a barrier each
    rows       any number of threads per row. Those of a warp hand their totals to each other through registers
               (shuffles), without memory or barriers, and warps meet once in shared memory. Four totals per thread,
               since additions to one total would wait for each other
    fours      the same, reading 16 bytes at a time
    in parts   few long rows don't keep a GPU busy: blocks reduce parts of a row, a second launch reduces their results

With one thread per row, `rows` is the kernel that reduces columns, too: neighbouring threads own neighbouring columns.
Everything is combined in a fixed order: the same numbers give the same bits.
"""
from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from .array import ceil_div, empty
from .elementwise import number_of, same, truth
from .lift import computing_type, lift
from .provider import DeviceFunction, Type, boolean, cuda, int32, jit
from .rows import BLOCK, Rows, pairs_of, reduced_shape, rows_of, together
from .vector import load4

WARP = 0xffffffff    # all 32 threads of a warp take part in a shuffle
TREE = 256           # threads of a block of the kernel `tree`: a power of two


# ---- the specification
def spec(combine, identity, a, read=lambda x: x, finish=lambda total: total):
    """What every version computes of each row of a 2-D numpy array."""
    return np.array([finish(functools.reduce(combine, map(read, row), identity)) for row in a])


# ---- from many threads to one: what other files build on
@cuda.jit(device=True)
def add(a, b):
    return a + b


@cuda.jit(device=True)
def larger(a, b):
    """The larger of two, nan if one is."""
    return a if a > b or a != a else b


@functools.lru_cache(None)
def block_reduce(combine, T, threads):
    """A device function of a value, which gives each of so many threads the total of all their values.

    combine   a device function of two values of type T, such as `add` and `larger`
    threads   a power of two: up to 32, then a block may hold several such groups; or all threads of the block. They are
              neighbours along x, and all of them have to call it

    Outside of the kernel `total = block_reduce(add, float32, 128)`, inside of it `t = total(t)`.
    """
    if threads == 1:
        return alone
    within = warp_reduce(combine, T, min(threads, 32))
    return within if threads <= 32 else across_warps(combine, within, T, threads // 32)


@cuda.jit(device=True)
def alone(value):
    return value


def warp_reduce(combine, T, threads):
    half = threads // 2
    carried = T if T.numpy.itemsize >= 4 else int32     # shuffles hand over registers, which have 32 bits or 64

    def total(value):
        step = half
        while step > 0:                             # 16, 8, 4, 2, 1: after each round twice as many are in every total
            value = T(combine(value, T(cuda.shfl_xor_sync(WARP, carried(value), step))))
            step //= 2
        return value
    return jit(total, device=True)


def across_warps(combine, within, T, warps):
    def total(value):
        parts = cuda.shared.array(warps, T)
        value = within(value)
        cuda.syncthreads()                          # the parts of an earlier call have been read
        if cuda.threadIdx.x % 32 == 0:
            parts[cuda.threadIdx.x // 32] = value
        cuda.syncthreads()
        value = parts[0]
        for w in range(1, warps):                   # everybody adds them up: 8 reads that all threads share
            value = T(combine(value, parts[w]))
        return value
    return jit(total, device=True)


# ---- the kernels
def serial(combine, read, finish, identity, T):
    def reduce_serial(a, out, rows, size, s):
        row = cuda.grid(1)
        if row < rows:
            total = identity
            for r in range(size):
                total = T(combine(total, read(a[row * size + r], s)))
            out[row] = finish(total, s)
    return reduce_serial


def tree(combine, read, finish, identity, T):
    def reduce_tree(a, out, rows, size, s):
        totals = cuda.shared.array(TREE, T)
        t = cuda.threadIdx.x
        total = identity
        for r in range(t, size, TREE):              # neighbours read neighbours
            total = T(combine(total, read(a[cuda.blockIdx.x * size + r], s)))
        totals[t] = total
        cuda.syncthreads()
        half = TREE // 2
        while half > 0:
            if t < half:
                totals[t] = combine(totals[t], totals[t + half])
            cuda.syncthreads()                      # the second half is read before anything overwrites it
            half //= 2
        if t == 0:
            out[cuda.blockIdx.x] = finish(totals[0], s)
    return reduce_tree


def rows(combine, read, finish, identity, T, threads):
    total_of = block_reduce(combine, T, threads)

    def reduce_rows(a, out, rows, inner, outer_step, inner_step, size, step, part, s):
        """Row (i, j) starts at i * outer_step + j * inner_step, and its elements are `step` apart."""
        row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        start = row // inner * outer_step + row % inner * inner_step
        r = cuda.blockIdx.y * part
        end = min(r + part, size) if row < rows else 0       # threads without a row still take part in the shuffles
        r += cuda.threadIdx.x
        t0 = t1 = t2 = t3 = identity
        while r + 3 * threads < end:                # four loads are under way at a time
            t0 = T(combine(t0, read(a[start + r * step], s)))
            t1 = T(combine(t1, read(a[start + (r + threads) * step], s)))
            t2 = T(combine(t2, read(a[start + (r + 2 * threads) * step], s)))
            t3 = T(combine(t3, read(a[start + (r + 3 * threads) * step], s)))
            r += 4 * threads
        while r < end:
            t0 = T(combine(t0, read(a[start + r * step], s)))
            r += threads
        total = total_of(T(combine(T(combine(t0, t1)), T(combine(t2, t3)))))
        if cuda.threadIdx.x == 0 and row < rows:
            out[row * cuda.gridDim.y + cuda.blockIdx.y] = finish(total, s)
    return reduce_rows


def fours(combine, read, finish, identity, T, threads):
    total_of = block_reduce(combine, T, threads)

    def reduce_fours(a, out, rows, inner, outer_step, inner_step, size, step, part, s):
        """As `rows` where step is 1; the rows and their parts start at multiples of 4."""
        row = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        start = row // inner * outer_step + row % inner * inner_step
        r = cuda.blockIdx.y * part
        end = min(r + part, size) if row < rows else 0
        r += 4 * cuda.threadIdx.x
        t0 = t1 = t2 = t3 = identity
        while r + 4 <= end:
            x0, x1, x2, x3 = load4(a, start + r)
            t0 = T(combine(t0, read(x0, s)))
            t1 = T(combine(t1, read(x1, s)))
            t2 = T(combine(t2, read(x2, s)))
            t3 = T(combine(t3, read(x3, s)))
            r += 4 * threads
        while r < end:                              # up to three are left, for one of the threads
            t0 = T(combine(t0, read(a[start + r], s)))
            r += 1
        total = total_of(T(combine(T(combine(t0, t1)), T(combine(t2, t3)))))
        if cuda.threadIdx.x == 0 and row < rows:
            out[row * cuda.gridDim.y + cuda.blockIdx.y] = finish(total, s)
    return reduce_fours


@functools.lru_cache(None)
def kernel(template, *parts):
    return jit(template(*parts))


# ---- what to compute: functions of numbers, made device functions
class Work(NamedTuple):
    """The parts of a reduction. `keep` reads and finishes where partial results are combined: it changes nothing."""
    combine: DeviceFunction
    read: DeviceFunction
    finish: DeviceFunction
    keep: DeviceFunction
    identity: np.generic
    T: Type


@functools.lru_cache(None)
def work_of(combine, identity, read, finish, name, source, target, kinds):
    """Lift the functions for elements of dtype `source`, results of dtype `target` and numbers of these kinds."""
    T = boolean if identity.__class__ is bool else computing_type(source)
    counts = T.numpy

    def lifted(function, part, dtype, out):
        places = ["array", *kinds[:function.__code__.co_argcount - 1]]
        return lift(function, f"{name}_{part}", places, [dtype], dtype, out)
    read = truth if T is boolean and read is same else read
    pair = lift(combine, f"{name}_combine", ["array", "array"], [counts, counts], counts, counts)
    return Work(without_numbers(pair), lifted(read, "read", source, counts), lifted(finish, "finish", counts, target),
                lifted(same, "keep", counts, counts), T(within(identity, counts)), T)


def without_numbers(function):
    """A lifted function of two values takes a tuple of numbers as well; a combination needs none."""
    def combine(a, b):
        return function(a, b, ())
    return jit(combine, device=True)


def within(identity, dtype):
    """Minus infinity is the smallest integer where there are only integers."""
    if dtype.kind == "b":
        return identity > 0
    if dtype.kind in "iu" and math.isinf(identity):
        return np.iinfo(dtype).max if identity > 0 else np.iinfo(dtype).min
    return identity


# ---- what the library calls
def run(combine, identity, finish=None, *, read=same, numbers=None, name, array, dims, keepdim, dtype):
    """Reduce the dimensions `dims` of an array, in a new contiguous array.

    read      of an element, before it is combined; finish: of a total. Both may ask for some of `numbers` as well,
              which are (how many elements make a result,) if nothing else is given
    identity  what combining with changes nothing. Infinities are the limits of integer types; a bool asks for truth
    """
    dtype = np.dtype(dtype)
    numbers = (math.prod([array.shape[d] for d in dims]),) if numbers is None else numbers
    work = work_of(combine, identity, read, finish or same, name, array.dtype, dtype, tuple(map(type, numbers)))
    numbers = tuple(map(number_of(array.dtype), numbers))
    out = empty(array.machine, reduced_shape(array.shape, dims, keepdim), dtype)
    if out.size:
        reduce_dims(work, array, dims, out, numbers)
    return out


def reduce_dims(work, array, dims, out, numbers):
    """In one launch if the dimensions can be walked as one, in two if they can as two, else after a copy."""
    kept = pairs_of(array, [d for d in range(array.ndim) if d not in dims])
    dims = sorted(dims, key=lambda d: -array.strides[d])                # in any order, as long as neighbours are found
    groups = pairs_of(array, dims)
    if 0 in [array.shape[d] for d in dims]:
        rows = Rows(array, out.size, 1, 0, 0, 0, 0)
    elif len(groups) == 2 and len(together(*kept, groups[0])) <= 2:      # the inner one first: the results lie in rows
        between = empty(array.machine, (out.size, groups[0][0]), work.T.numpy)
        reduce_rows(work, work.read, work.keep, Rows.of(array, together(*kept, groups[0]), groups[1]), between, numbers)
        reduce_rows(work, work.keep, work.finish, rows_of(between, (1,)), out, numbers)
        return
    else:
        rows = rows_of(array, dims)
    reduce_rows(work, work.read, work.finish, rows, out, numbers)


def reduce_rows(work, read, finish, given, out, numbers):
    """out[row] = the reduction of that row"""
    threads, each = given.threads()
    parts, part = given.parts(threads, each)
    target = out if parts == 1 else empty(out.machine, (given.count, parts), work.T.numpy)
    made = kernel(fours if can_be_fours(given) else rows, work.combine, read, finish if parts == 1 else work.keep,
                  work.identity, work.T, threads)
    given.launch(made, (given.array, target, *given.walk, part, numbers), threads, each, parts)
    if parts > 1:
        reduce_rows(work, work.keep, finish, rows_of(target, (1,)), out, numbers)


def can_be_fours(given):
    """Whether rows can be read 16 bytes at a time: from addresses that divide by 16. The simulator doesn't mind."""
    if given.array.machine.simulated or given.step != 1:
        return given.step == 1
    return given.array.dtype == np.float32 and not any(
        [n % 4 for n in (given.array.offset, given.outer_step, given.inner_step)])


def nansum(x, *, dims, keepdim):
    return run(plus, 0, read=nan_as_zero, name="nansum", array=x, dims=dims, keepdim=keepdim, dtype=x.dtype)


plus = lambda a, b: a + b
nan_as_zero = lambda x: x if x == x else 0


# ---- the lesson
def works():
    """name -> (combine, identity, finish) of a few reductions."""
    sums, tops = (lambda a, b: a + b, 0), (lambda a, b: a if a > b or a != a else b, -math.inf)
    return {"sum": (*sums, None), "mean": (*sums, lambda total, count: total / count), "largest": (*tops, None),
            "any": (lambda a, b: a != 0 or b != 0, False, None)}


def cases():
    """(name, kernel, arguments) for the checker of compiled code."""
    from .check import ptr
    types = {"sum": ("float16", "float32", "float64", "int64"), "mean": ("float32",), "any": ("bool", "float32"),
             "largest": ("float32", "uint8")}
    for name, (combine, identity, finish) in works().items():
        for dtype in map(np.dtype, types[name]):
            work = work_of(combine, identity, same, finish or same, name, dtype, dtype, (int,))
            parts = work.combine, work.read, work.finish, work.identity, work.T
            pointers, walk, rest = (ptr(dtype.name),) * 2, (1000, 100, 6400, 64, 64, 1, 1024, (64,)), (100, 64, (64,))
            for threads in (1, 8, BLOCK) if dtype == np.float32 else (BLOCK,):
                yield f"rows of {threads} threads, {name} of {dtype}", kernel(rows, *parts, threads), pointers + walk
            if dtype == np.float32:
                yield f"fours, {name} of {dtype}", kernel(fours, *parts, BLOCK), pointers + walk
                for template in (serial, tree):
                    yield f"{template.__name__}, {name} of {dtype}", kernel(template, *parts), pointers + rest


def versions(combine, identity, finish, name, a):
    """(name of a version, its result) of a reduction of the rows of a contiguous 2-D array of float32."""
    work = work_of(combine, identity, same, finish or same, name, a.dtype, a.dtype, (int,))
    parts = work.combine, work.read, work.finish, work.identity, work.T
    (count, size), given = a.shape, rows_of(a, (1,))

    def result(made, grid, block, *args):
        out = empty(a.machine, (count,), a.dtype)
        made[grid, block](a, out, *args, (size,))
        return out
    yield "serial", result(kernel(serial, *parts), ceil_div(count, 32), 32, count, size)
    yield "tree", result(kernel(tree, *parts), count, TREE, count, size)
    for threads in (1, 8, 32, 256):
        each = max(1, 64 // threads)
        for template in (rows, fours)[:1 + (size % 4 == 0)]:
            yield f"{template.__name__} of {threads} threads", result(
                kernel(template, *parts, threads), ceil_div(count, each), (threads, each), *given.walk, size)
    yield "what the library calls", run(combine, identity, finish, name=name, array=a, dims=(1,), keepdim=False,
                                        dtype=a.dtype)


def main():
    from .array import from_numpy
    from .lesson import check, report
    from .memory import default
    machine, draw = default(), np.random.default_rng(0)
    for name, (combine, identity, finish) in works().items():
        for shape in ((3, 1), (5, 37), (2, 1028)):
            host = draw.standard_normal(shape).astype(np.float32)
            last = functools.partial(finish, count=shape[1]) if finish else same
            want = spec(combine, identity, host.astype(np.float64), finish=last)
            for version, got in versions(combine, identity, finish, name, from_numpy(machine, host)):
                check(f"{name} of {shape}: {version}", got, want, 1e-6)
    n = 100 if machine.simulated else 10000
    a = empty(machine, (n, n), np.float32)
    add_up = functools.partial(run, *works()["sum"], name="sum", array=a, keepdim=False, dtype=a.dtype)
    for dims in ((1,), (0,), (0, 1)):
        report(f"sum of {n} x {n} over {dims}", machine, functools.partial(add_up, dims=dims), 4 * n * n)


if __name__ == "__main__":
    main()
