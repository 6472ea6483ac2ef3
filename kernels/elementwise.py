"""Elementwise kernels: one thread per element, or per four.

    for i in range(n):
        out[i] = f(a[i], b[i])

The scalar function f is any function of numbers; it is compiled into the kernel like any other device function. These
kernels know neither which function it is nor what the numbers mean. In order of ideas:

    flat      the arrays lie one behind the other: element i is p[i]          reads 1 per operand, writes 1
    vector    the same, 16 bytes at a time: a quarter of the instructions     the same, in a quarter of the requests
    strided   views: i becomes an index per dimension, each with its stride   the same, and a division per dimension

Memory is the limit: a GPU that moves 3 TB/s adds 250 billion float32 a second, with any of them that keeps the memory
busy. Dimensions are collapsed first, so that nearly all calls are flat, and adding a bias is two-dimensional.
"""
from __future__ import annotations

import functools

import numpy as np

from .array import Array, ceil_div, collapse, empty
from .lift import lift
from .provider import cuda, int64, jit, uint32
from .vector import load4, store4

THREADS = 256


# ---- the specification
def spec(function, arrays, shape, dtype):
    """What every version computes, in numpy."""
    return np.vectorize(function, otypes=[dtype])(*[np.broadcast_to(a, shape) for a in arrays])


# ---- the kernels, by number of operands. s: the operands and parameters that are numbers
def flat0(f):
    def fill(o, n, s):
        i = cuda.grid(1)
        if i < n:
            o[i] = f(s)
    return fill


def flat1(f):
    def flat(a, o, n, s):
        i = cuda.grid(1)
        if i < n:                                   # the last block has threads to spare
            o[i] = f(a[i], s)
    return flat


def flat2(f):
    def flat(a, b, o, n, s):
        i = cuda.grid(1)
        if i < n:
            o[i] = f(a[i], b[i], s)
    return flat


def flat3(f):
    def flat(a, b, c, o, n, s):
        i = cuda.grid(1)
        if i < n:
            o[i] = f(a[i], b[i], c[i], s)
    return flat


def vector1(f):
    def vector(a, o, n, s):
        i = cuda.grid(1) * 4
        if i + 4 <= n:
            a0, a1, a2, a3 = load4(a, i)
            store4(o, i, f(a0, s), f(a1, s), f(a2, s), f(a3, s))
        else:
            for j in range(i, n):
                o[j] = f(a[j], s)
    return vector


def vector2(f):
    def vector(a, b, o, n, s):
        i = cuda.grid(1) * 4
        if i + 4 <= n:
            a0, a1, a2, a3 = load4(a, i)
            b0, b1, b2, b3 = load4(b, i)
            store4(o, i, f(a0, b0, s), f(a1, b1, s), f(a2, b2, s), f(a3, b3, s))
        else:
            for j in range(i, n):
                o[j] = f(a[j], b[j], s)
    return vector


def vector3(f):
    def vector(a, b, c, o, n, s):
        i = cuda.grid(1) * 4
        if i + 4 <= n:
            a0, a1, a2, a3 = load4(a, i)
            b0, b1, b2, b3 = load4(b, i)
            c0, c1, c2, c3 = load4(c, i)
            store4(o, i, f(a0, b0, c0, s), f(a1, b1, c1, s), f(a2, b2, c2, s), f(a3, b3, c3, s))
        else:
            for j in range(i, n):
                o[j] = f(a[j], b[j], c[j], s)
    return vector


def strided0(f, index):
    def fill(o, n, shape, so, s):
        i = cuda.grid(1)
        if i < n:
            r = index(i)
            r_o = index(0)
            for d in range(len(shape) - 1, -1, -1):
                q = index(r // shape[d])
                r_o = index(r_o + index(r - index(q * shape[d])) * so[d])
                r = q
            o[r_o] = f(s)
    return fill


def strided1(f, index):
    def strided(a, o, n, shape, sa, so, s):
        i = cuda.grid(1)
        if i < n:
            r = index(i)                            # what is left of i; index() keeps the divisions 32 bits wide
            at_a = index(0)
            at_o = index(0)
            for d in range(len(shape) - 1, -1, -1):
                q = index(r // shape[d])
                k = index(r - q * shape[d])         # the index along dimension d
                at_a = index(at_a + k * sa[d])
                at_o = index(at_o + k * so[d])
                r = q
            o[at_o] = f(a[at_a], s)
    return strided


def strided2(f, index):
    def strided(a, b, o, n, shape, sa, sb, so, s):
        i = cuda.grid(1)
        if i < n:
            r = index(i)
            at_a = index(0)
            at_b = index(0)
            at_o = index(0)
            for d in range(len(shape) - 1, -1, -1):
                q = index(r // shape[d])
                k = index(r - q * shape[d])
                at_a = index(at_a + k * sa[d])
                at_b = index(at_b + k * sb[d])
                at_o = index(at_o + k * so[d])
                r = q
            o[at_o] = f(a[at_a], b[at_b], s)
    return strided


def strided3(f, index):
    def strided(a, b, c, o, n, shape, sa, sb, sc, so, s):
        i = cuda.grid(1)
        if i < n:
            r = index(i)
            at_a = index(0)
            at_b = index(0)
            at_c = index(0)
            at_o = index(0)
            for d in range(len(shape) - 1, -1, -1):
                q = index(r // shape[d])
                k = index(r - q * shape[d])
                at_a = index(at_a + k * sa[d])
                at_b = index(at_b + k * sb[d])
                at_c = index(at_c + k * sc[d])
                at_o = index(at_o + k * so[d])
                r = q
            o[at_o] = f(a[at_a], b[at_b], c[at_c], s)
    return strided


FLAT, VECTOR, STRIDED = (flat0, flat1, flat2, flat3), (None, vector1, vector2, vector3), \
    (strided0, strided1, strided2, strided3)


@functools.lru_cache(None)
def kernel(template, *parts):
    return jit(template(*parts))


# ---- what the library calls
def run(function, name, operands, params, shape, dtype, computing=None, out=None):
    """out[i] = function(*operands, **params) for every element, in a new contiguous array unless `out` is given.

    operands   Arrays (broadcast to shape) and numbers, in the order of the function's positional arguments
    computing  the dtype of the operands that are numbers or share one type (default: that of the last array)
    """
    given = *operands, *params.values()
    arrays = [a for a in operands if a.__class__ is Array]
    numbers = [v for v in given if v.__class__ is not Array]
    key = function, dtype, computing, *[a.dtype if a.__class__ is Array else number_kind(a) for a in given]
    plan = plans.get(key)
    if plan is None:
        plan = plans[key] = make_plan(function, name, operands, params, np.dtype(dtype), computing)
    scalar, as_number = plan
    if numbers:
        numbers = [as_number(v) for v in numbers if v.__class__ not in FIXED]
    if out is None:
        out = empty(arrays[0].buffer.machine, shape, dtype)
    launch(scalar, arrays, out, tuple(numbers))
    return out


plans = {}                                          # what a call needs that depends on types alone
FIXED = (bool, type(None), str)


def make_plan(function, name, operands, params, dtype, computing):
    arrays = [a for a in operands if a.__class__ is Array]
    computing = np.dtype(computing or (arrays[-1].dtype if arrays else dtype))
    places = ["array" if a.__class__ is Array else number_kind(a) for a in (*operands, *params.values())]
    return lift(function, name, places, [a.dtype for a in arrays], computing, dtype), number_of(computing)


def number_kind(value):
    """What the code depends on: of numbers their type, of truth values and None which they are."""
    if value.__class__ in FIXED:
        return "is", value
    return int if isinstance(value, (int, np.integer)) else float


@functools.lru_cache(None)
def number_of(computing):
    """How a number is handed to a kernel: floats in the computing type, whole numbers as they are."""
    if computing.kind in "iub":
        return int
    real = np.float64 if computing.itemsize == 8 else np.float32

    def number(v):
        if not isinstance(v, (float, np.floating)):
            return int(v)
        if -1e38 < v < 1e38:
            return real(v)
        with np.errstate(all="ignore"):             # too large for a float32: inf, without a warning
            return real(v)
    return number


def launch(scalar, arrays, out, numbers):
    """The cheapest kernel that can walk these arrays."""
    n, machine = out.size, out.buffer.machine
    if not n:
        return
    if out.is_contiguous() and all([a.shape == out.shape and a.is_contiguous() for a in arrays]):
        wide = bool(arrays) and n >= 1024 and not machine.simulated and four_by_four(arrays, out)
        made, work = kernel((VECTOR if wide else FLAT)[len(arrays)], scalar), ceil_div(n, 4) if wide else n
        args = *arrays, out, n, numbers
    else:
        walks = [a.strides if a.shape == out.shape else a.broadcast_to(out.shape).strides for a in arrays]
        shape, *walks = collapse(out.shape, *walks, out.strides)
        index = uint32 if max([span(shape, w) for w in walks]) < 2 ** 32 and n < 2 ** 32 else int64
        made, work = kernel(STRIDED[len(arrays)], scalar, index), n
        args = *arrays, out, n, *[tuple(map(index.numpy.type, w)) for w in (shape, *walks)], numbers
    threads = block(work)
    machine.launch(made, (ceil_div(work, threads), 1, 1), (threads, 1, 1), 0, args)


def block(n):
    """Threads of a block: no more warps than there is work for."""
    return THREADS if n >= THREADS else ceil_div(n, 32) * 32


def span(shape, strides):
    return sum([(size - 1) * stride for size, stride in zip(shape, strides)]) + 1


def four_by_four(arrays, out):
    """Whether all can be read and written 16 bytes at a time: 4-byte elements from addresses that divide by 16."""
    return all([a.dtype.itemsize == 4 and a.dtype.kind == "f" and a.offset % 4 == 0 for a in (*arrays, out)])


# ---- copy, fill, cast: elementwise functions themselves
def copy(target, source):
    """Write source into target, broadcast and converted."""
    run(identity(source.dtype, target.dtype), "copy", [source], {}, target.shape, target.dtype, source.dtype, target)


def cast(source, dtype):
    """A contiguous array of another type."""
    dtype = np.dtype(dtype)
    return run(identity(source.dtype, dtype), "cast", [source], {}, source.shape, dtype, source.dtype)


def contiguous(source):
    """The array itself if its elements lie one behind the other, else a copy that does."""
    return source if source.is_contiguous() else cast(source, source.dtype)


def fill(target, value):
    """Write one value everywhere."""
    launch(fill_value, [], target, (target.dtype.type(value) if target.dtype.itemsize > 2 else np.float32(value),))


def identity(source, target):
    if target.kind == "u" and source.kind not in "iub":       # a GPU makes 0 of a negative float, where C wraps around
        return whole
    return truth if target.kind == "b" else same


same = lambda x: x
truth = lambda x: x != 0
whole = lambda x: int(x)


@cuda.jit(device=True)
def fill_value(s):
    return s[0]


# ---- for the checker of compiled code, and as a lesson
def examples():
    """Scalar functions with operands of one, two and three arrays, and one with a number."""
    f4 = np.dtype("f4")

    def example(name, function, dtypes, *numbers):
        places = ["array"] * len(dtypes) + [float] * len(numbers)
        return name, lift(function, name, places, dtypes, f4, f4), dtypes, numbers
    yield example("negative", lambda x: -x, (f4,))
    yield example("scaled", lambda x, y: x * y, (f4,), np.float32(2))
    yield example("add", lambda x, y: x + y, (f4, f4))
    yield example("where", lambda c, x, y: x if c else y, (np.dtype("bool"), f4, f4))
    yield example("lerp", lambda x, y, w: x + w * (y - x), (f4, f4, f4))


def cases():
    """(name, kernel, arguments) for the checker of compiled code; what ops bring is checked with their `cuda` lines."""
    out, n = np.dtype("f4"), 1000
    for name, scalar, arrays, numbers in [*examples(), ("fill", fill_value, (), (np.float32(1),))]:
        yield f"{name}, flat", kernel(FLAT[len(arrays)], scalar), (*arrays, out, n, numbers)
        if arrays and all([a == out for a in arrays]):
            yield f"{name}, 16 bytes at a time", kernel(VECTOR[len(arrays)], scalar), (*arrays, out, n, numbers)
        for index, rank in ((uint32, 1), (uint32, 2), (uint32, 4), (int64, 3)):
            walk = (index.numpy.type(8),) * rank
            yield (f"{name}, strided in {rank} dimensions, {index.name}", kernel(STRIDED[len(arrays)], scalar, index),
                   (*arrays, out, n, *[walk] * (len(arrays) + 2), numbers))


def main():
    from .array import from_numpy
    from .lesson import check, report
    from .memory import default
    machine, rng = default(), np.random.default_rng(0)
    functions = {1: lambda x: -x, 2: lambda x, y: x + y, 3: lambda x, y, w: x + w * (y - x)}
    for shape in ((1,), (31,), (33, 7), (2, 3, 129)):
        hosts = [rng.random(shape, np.float32) for _ in range(3)]
        for count, function in functions.items():
            arrays = [from_numpy(machine, h) for h in hosts[:count]]
            want = spec(function, hosts[:count], shape, np.float32)
            n, out = want.size, empty(machine, shape, np.float32)
            scalar = lift(function, "example", ["array"] * count, [np.dtype("f4")] * count, "f4", "f4")
            for name, template, work in (("flat", FLAT, n), ("vector", VECTOR, ceil_div(n, 4))):
                kernel(template[count], scalar)[ceil_div(work, 32), 32](*arrays, out, n, ())
                check(f"{name}, {count} operands", out.numpy(), want, 1e-7)
            reversed_dims = tuple(range(len(shape)))[::-1]
            turned = [a.permute(reversed_dims) for a in arrays]
            check(f"strided, {count} operands",
                  run(function, "example", turned, {}, shape[::-1], np.float32).numpy(), want.T, 1e-7)
    size = 1 << (12 if machine.simulated else 26)
    a, b = (from_numpy(machine, rng.random(size, np.float32)) for _ in range(2))
    report("add", machine, lambda: run(functions[2], "add", [a, b], {}, (size,), np.float32), 12 * size)


if __name__ == "__main__":
    main()
