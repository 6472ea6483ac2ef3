"""Writing at indices: scatter, index_put, index_add, put, masked_scatter ... also where an index occurs twice.

It reads indices with index.py's walks and knows no gradient, although most of its work is gradients of reads.

    for i in range(n):                              out[index[i]] += values[i]
        for j in range(columns):
            out[index[i], j] += values[i, j]

A thread per value would do, were it not that two threads may want the same place: then one addition is lost, or of two
values the one wins that came last, by chance. In order of ideas:

    racing       a thread per value: right where no index occurs twice              reads 2, writes 1; a race otherwise
    searching    a thread per place, which reads all indices and takes those        places * n reads: only for very few
                 that point to it, in order
    ordered      the indices are ordered first, stably (compact.py). Equal ones     sorting the indices; then each value
                 stand side by side, as they came: the thread of the first takes    is read once
                 them all, one after another; the others do nothing

(Atomic additions are a fourth way: fast, but float additions in another order give another sum, and a second run other
digits.) `ordered` is what the library calls: sums are made in the order in which the values stand, the last of several
written values wins, as on the CPU, and the same program gives the same bits every time. If all values go to one place
one thread adds them all: slow, but right. Places that a mask chose are in order and distinct already.
"""
from __future__ import annotations

import functools

import numpy as np

from .array import ceil_div, empty, from_numpy, full
from .compact import BITS, INT64, as_bits, numbered, order, per_element, true_places
from .elementwise import cast, contiguous
from .elementwise import run as elementwise
from .index import at_least_1d, look, point, walker, walks, without
from .lift import computing_type
from .provider import cuda, float32, int64, jit, uint32


# ---- the specification
def spec(out, index, values):
    """out[index] += values, one after another."""
    out = out.copy()
    np.add.at(out, index, values)
    return out


# ---- what two values at one place become
def add(a, b):
    return a + b


def multiply(a, b):
    return a * b


def largest(a, b):
    return a if a > b or a != a else b              # nan stays nan, whichever of the two it is


def smallest(a, b):
    return a if a < b or a != a else b


COMBINE = {"sum": add, "mean": add, "prod": multiply, "amax": largest, "amin": smallest}
OF_BOOLS = {"sum": "amax", "prod": "amin"}          # of zeros and ones


# ---- the kernels
@cuda.jit
def add_racing(o, v, k, n, columns):
    i = cuda.grid(1)
    if i < n * columns:
        row = i // columns
        o[k[row] * columns + i - row * columns] += v[i]


@cuda.jit
def add_searching(o, v, k, n, columns, rows):
    i = cuda.grid(1)
    if i < rows * columns:
        row = i // columns
        total = o[i]
        for j in range(n):
            if k[j] == row:
                total += v[j * columns + i - row * columns]
        o[i] = total


@functools.lru_cache(None)
def write_kernel(index):
    """The last of the values of equal places is written.

    keys, order           the places in ascending order, and the number of the value that goes there
    n, each               how many of them, and how many elements the slice has that is written at one place
    slices, of_o, of_v    the slice's shape, and its walks in o and in v
    counts, steps         the shape of the indices, and its walk in v
    """
    walk = walker(index)

    def write(o, v, keys, order, n, each, slices, of_o, of_v, counts, steps):
        i = cuda.grid(1)
        if i < n * each:
            s = index(index(i) // index(each))
            if s + 1 == n or keys[s + 1] != keys[s]:
                e = index(index(i) - index(s * index(each)))
                o[keys[s] + walk(e, slices, of_o)] = v[walk(e, slices, of_v) + walk(order[s], counts, steps)]
    return jit(write)


@functools.lru_cache(None)
def combine_kernel(T, reduce, include_self, index):
    """All values of equal places are combined, in order, with what stands there (or, unless include_self, without)."""
    walk, f, mean, whole = walker(index), jit(COMBINE[reduce], device=True), reduce == "mean", T.numpy.kind in "iu"

    def combine(o, v, keys, order, n, each, slices, of_o, of_v, counts, steps):
        i = cuda.grid(1)
        if i < n * each:
            s = index(index(i) // index(each))
            if s == 0 or keys[s - 1] != keys[s]:    # the first of its kind
                e = index(index(i) - index(s * index(each)))
                at_o = keys[s] + walk(e, slices, of_o)
                at_v = walk(e, slices, of_v)
                j = int64(s)
                count = 1
                if include_self:
                    total = T(o[at_o])
                else:
                    total = T(v[at_v + walk(order[s], counts, steps)])
                    j += 1
                while j < n and keys[j] == keys[s]:
                    total = T(f(total, T(v[at_v + walk(order[j], counts, steps)])))
                    j += 1
                    count += 1
                if mean and whole:
                    total = T(int64(total) // count)
                elif mean:
                    total = T(total / T(count))
                o[at_o] = total
    return jit(combine)


# ---- how all of them are launched
def copied(x):
    """A contiguous copy."""
    return cast(x, x.dtype)


def put_at(out, places, values, reduce=None, include_self=True, kept=(), strides=(), distinct=False):
    """Write `values` into the contiguous `out`, or combine them with what is there (`reduce`, see COMBINE).

    places     an array of int64: where in out, counted in elements
    kept       the shape of the slice that begins there, with its strides in out
    values     an array of the shape (*places.shape, *kept)
    distinct   whether the places are ascending, and none occurs twice
    """
    n, each = places.size, 1
    for size in kept:
        each *= size
    if not n * each:
        return out
    keys = places.view((n,))
    keys, which = (keys, numbered(out.machine, n)) if distinct else order(keys)
    _, slices, of_o, of_v = walks(kept, strides, values.strides[places.ndim:])
    _, counts, steps = walks(places.shape, values.strides[:places.ndim])
    index = uint32 if n * each < 2 ** 32 else int64
    slices, counts = (tuple(map(index.numpy.type, shape)) for shape in (slices, counts))
    to = out
    if reduce is None or out.dtype.kind == "b":
        to, values = as_bits(out), as_bits(values)
        reduce = OF_BOOLS.get(reduce, reduce)
    if reduce is None:
        kernel = write_kernel(index)
    else:
        kernel = combine_kernel(computing_type(to.dtype), reduce, include_self, index)
    per_element(kernel, out.machine, n * each, to, values, keys, which, n, each, slices, of_o, of_v, counts, steps)
    return out


def number(x, value):
    """One value as an array without dimensions, of x's type."""
    return full(x.machine, (), value, x.dtype)


# ---- along one dimension, an index for every value
def at_each(x, index, src, dim, reduce=None, include_self=True):
    """x, copied, with src[i][j] at [index[i][j]][j], for dim = 0. src may be larger than index."""
    out = copied(x)
    if index.size:
        to, index = at_least_1d(out), at_least_1d(index)
        places = empty(x.machine, index.shape, INT64)
        point(places, index, without(to.strides, dim), to.shape[dim], to.strides[dim])
        values = src.view(index.shape, src.strides) if src.ndim else src.broadcast_to(index.shape)
        put_at(out, places, values, reduce, include_self)
    return out


def scatter(x, index, src, *, dim):
    return at_each(x, index, src, dim)


def scatter_value(x, index, *, dim, value):
    return at_each(x, index, number(x, value), dim)


def scatter_add(x, index, src, *, dim):
    return at_each(x, index, src, dim, "sum")


def scatter_reduce(x, index, src, *, dim, reduce, include_self=True):
    return at_each(x, index, src, dim, reduce, include_self)


# ---- along one dimension, an index for every slice
def at_slices(x, index, src, dim, reduce=None):
    """x, copied, with the slices src[i] at x[index[i]], for dim = 0. A src without dimensions goes everywhere."""
    out = copied(x)
    to = at_least_1d(out)
    places = empty(x.machine, index.shape, INT64)
    point(places, index, (0,), to.shape[dim], to.strides[dim])
    kept = to.shape[:dim] + to.shape[dim + 1:]
    if src.ndim:
        values = src.permute((dim, *[d for d in range(src.ndim) if d != dim]))
    else:
        values = src.broadcast_to(index.shape + kept)
    return put_at(out, places, values, reduce, True, kept, to.strides[:dim] + to.strides[dim + 1:])


times = lambda x, factor: x * factor


def index_add(x, index, src, *, dim, alpha):
    if alpha != 1:
        src = elementwise(times, "times", [src, alpha], {}, src.shape, src.dtype)
    return at_slices(x, index, src, dim, "sum")


def index_copy(x, index, src, *, dim):
    return at_slices(x, index, src, dim)


def index_fill(x, index, *, dim, value):
    return at_slices(x, index, number(x, value), dim)


def index_fill_tensor(x, index, value, *, dim):
    return at_slices(x, index, value, dim)


# ---- through the whole array
def put(x, index, source, *, accumulate):
    """x, copied, with source written (or added) at places of the flattened x."""
    out = copied(x)
    places = empty(x.machine, (index.size,), INT64)
    point(places, contiguous(index).view((index.size,)), (0,), x.size, 1)
    return put_at(out, places, contiguous(source).view((index.size,)), "sum" if accumulate else None)


def masked_scatter(x, mask, source):
    """x, copied, with the first elements of source, one after another, where the mask (of x's shape) is true."""
    places = true_places(mask)
    return put_at(copied(x), places, contiguous(source).view(places.shape), distinct=True)


def index_put(x, values, *indices, places, accumulate):
    """x, copied, with values (of the shape of x[key], or one that broadcasts to it) written or added at the key."""
    out, key = look(copied(x), indices, places)
    before, common = len(key.before), len(key.common)
    values = values.broadcast_to(key.shape)
    values = values.permute((*range(before, before + common), *range(before), *range(before + common, values.ndim)))
    return put_at(out, key.places(), values, "sum" if accumulate else None, True, (*key.before, *key.behind),
                  key.before_strides + key.behind_strides, key.distinct)


# ---- the lesson
def cases():
    from .check import ptr
    narrow, wide = (np.uint32(3), np.uint32(5)), (np.int64(5), np.int64(1))
    for name in ("float32", "int64"):
        yield f"add_racing {name}", add_racing, (ptr(name), ptr(name), ptr("int64"), 1000, 8)
        yield f"add_searching {name}", add_searching, (ptr(name), ptr(name), ptr("int64"), 1000, 8, 100)
    rest = ptr("int64"), ptr("int64"), 1000, 8, narrow, wide, wide, narrow, wide
    for bits in BITS.values():
        yield f"write {bits.name}", write_kernel(uint32), (ptr(bits.name), ptr(bits.name), *rest)
    for reduce in COMBINE:
        for name in ("float32", "float16", "float64", "int64", "uint8"):
            T = computing_type(np.dtype(name))
            yield f"combine {reduce} {name}", combine_kernel(T, reduce, True, uint32), (ptr(name), ptr(name), *rest)
    yield ("combine, without what was there", combine_kernel(float32, "sum", False, uint32),
           (ptr("float32"), ptr("float32"), *rest))


def main():
    from .lesson import report
    from .memory import default
    machine, rng = default(), np.random.default_rng(0)
    for rows, columns, n in ((1, 1, 1), (5, 3, 17), (31, 1, 40), (9, 13, 100)):
        x, values, k = rng.random((rows, columns)), rng.random((n, columns)), rng.integers(0, rows, n)
        want, on = spec(x, k, values), [from_numpy(machine, a) for a in (x, values, k)]
        searching = from_numpy(machine, x)
        add_searching[ceil_div(x.size, 64), 64](searching, on[1], on[2], n, columns, rows)
        for got in (searching, at_slices(on[0], on[2], on[1], 0, "sum")):
            assert np.array_equal(got.numpy(), want), (rows, columns, n)        # in the same order: the same bits
        alone = rng.permutation(rows)[:n]
        racing, few = from_numpy(machine, x), values[:len(alone)]
        args = racing, from_numpy(machine, few), from_numpy(machine, alone), len(alone), columns
        add_racing[ceil_div(few.size, 64), 64](*args)
        assert np.array_equal(racing.numpy(), spec(x, alone, few)), (rows, columns, n)
        x[k] = values
        assert np.array_equal(at_slices(*on[::2], on[1], 0).numpy(), x), (rows, columns, n)
        print(f"{n} rows of {columns} to {rows} places: all versions agree with numpy, bit for bit, on {machine.name}")
    rows, columns, n = (9, 13, 100) if machine.simulated else (10_000, 64, 100_000)
    x, values = (rng.random((size, columns), np.float32) for size in (rows, n))
    on = [from_numpy(machine, a) for a in (x, values, rng.integers(0, rows, n))]
    for name, reduce in (("index_add", "sum"), ("index_copy", None)):
        report(f"{name}: {n} rows of {columns} to {rows} places", machine,
               lambda reduce=reduce: at_slices(on[0], on[2], on[1], 0, reduce), values.nbytes + 2 * x.nbytes)


if __name__ == "__main__":
    main()
