"""Reading at indices: gather, x[i, :, j], index_select, take, masked_select.

It knows no key with slices and no tensor: views are made before, and indices are arrays of whole numbers or masks.

    for i in range(rows):                           out = x[index]: the loop nest of all of them, with dimensions
        for j in range(columns):                    of x before and behind the indexed one, or without any
            out[i, j] = x[index[i], j]

Each element of the result is one thread, which walks two arrays: the index array, to learn which row is wanted, and x,
to fetch the element. In order of ideas:

    rows      the loop nest above: the index in row i, then the element                     reads 2, writes 1
    gather    any number of dimensions: two walks over the result's shape, one with the strides of x (0 where the index
              decides), one with those of the index (0 where it does not matter)            the same, plus divisions
    place     several index arrays, x[i, j]: first their places in x are added up, i * stride + j * stride, in an array
              as large as they are; then it is one index array, of places                   8 bytes more an index
    mask      the places where it is true (compact.py), then as before

Neighbouring threads read neighbouring elements as long as whole rows are wanted; single elements cost 32 bytes each.
Nothing is computed with the elements, so they travel as bits: one compiled kernel for all types of a width.
"""
from __future__ import annotations

import functools

import numpy as np

from .array import ceil_div, collapse, empty
from .compact import INT64, as_bits, per_element, true_places, width
from .elementwise import cast, contiguous
from .provider import cuda, int64, jit, uint32

CHECKERS = 256       # blocks that look for an index out of range


# ---- the specification
def spec(x, index, dim=0):
    return np.take(x, index, axis=dim)


# ---- the kernels
@cuda.jit
def rows(x, k, o, n, columns):
    i = cuda.grid(1)
    if i < n:
        row = i // columns
        o[i] = x[k[row] * columns + i - row * columns]


@functools.lru_cache(None)
def walker(index):
    def walk(i, shape, strides):
        """Where element i of an array of that shape lies, counted from its first one."""
        rest = index(i)                             # index() keeps the divisions 32 bits wide where that is enough
        at = int64(0)
        for d in range(len(shape) - 1, 0, -1):
            q = index(rest // shape[d])
            at += int64(index(rest - index(q * shape[d]))) * strides[d]
            rest = q
        return at + int64(rest) * strides[0]
    return jit(walk, device=True)


@functools.lru_cache(None)
def gather_kernel(index):
    walk = walker(index)

    def gather(x, k, o, n, shape, of_x, of_k, size, step):
        """size, step: how many places the index chooses from, and how far apart they lie in x."""
        i = cuda.grid(1)
        if i < n:
            j = int64(k[walk(i, shape, of_k)])
            if j < 0:
                j += size                           # -1 is the last one
            o[i] = x[walk(i, shape, of_x) + j * step]
    return jit(gather)


@functools.lru_cache(None)
def place_kernel(index):
    walk = walker(index)

    def place(k, o, n, shape, of_k, of_o, size, step, more):
        """Where in an array the index points. `more`: to be added to what other indices said before."""
        i = cuda.grid(1)
        if i < n:
            j = int64(k[walk(i, shape, of_k)])
            if j < 0:
                j += size
            at = j * step + walk(i, shape, of_o)
            if more:
                at += o[i]
            o[i] = at
    return jit(place)


@cuda.jit
def outside(k, found, n, low, high):
    """Whether a block met an index that is not in [low, high)."""
    bad = 0
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        if k[i] < low or k[i] >= high:
            bad = 1
    bad = cuda.syncthreads_or(bad)
    if cuda.threadIdx.x == 0:
        found[cuda.blockIdx.x] = bad


# ---- how all of them are launched
def walks(shape, *strides):
    """(type of the indices, shape, strides ...) for a kernel that walks several arrays in step."""
    shape, *strides = collapse(shape, *strides)
    n = 1
    for size in shape:
        n *= size
    index = uint32 if n < 2 ** 32 else int64
    return index, tuple(map(index.numpy.type, shape)), *[tuple(map(np.int64, walk)) for walk in strides]


def fetch(x, k, shape, of_x, of_k, size, step):
    """The new array of `shape` that gather_kernel makes."""
    out = empty(x.machine, shape, x.dtype)
    if out.size:
        index, *walk = walks(shape, of_x, of_k)
        per_element(gather_kernel(index), x.machine, out.size, as_bits(x), k, as_bits(out), out.size, *walk, size, step)
    return out


def at_least_1d(x):
    return x if x.ndim else x.view((1,))


def without(steps, dim, replacement=0):
    """Strides with another one along `dim`."""
    return steps[:dim] + (replacement,) + steps[dim + 1:]


# ---- what the library calls
def first_outside(index, low, high):
    """The first index that is not in [low, high), as a number; None if all are.

    The simulator's memory is the host's: numpy looks at it at once. On a GPU each block leaves a word.
    """
    n = index.size
    if not n:
        return None
    if index.machine.simulated:
        host = index.numpy()
        bad = low > int(host.min()) or int(host.max()) >= high
    else:
        index = contiguous(index)
        bad = any_outside(index, n, low, high)
    if not bad:
        return None
    host = index.numpy().reshape(-1)
    return int(host[(host < low) | (host >= high)][0])


def any_outside(index, n, low, high):
    threads = width(index.machine, n)
    found = empty(index.machine, (min(ceil_div(n, threads), CHECKERS),), np.int32)
    outside[found.size, threads](index, found, n, low, high)
    return bool(found.numpy().any())


def gather(x, index, *, dim):
    """out[i][j] = x[index[i][j]][j], for dim = 0."""
    out, x, index = index.shape, at_least_1d(x), at_least_1d(index)
    if not index.size:
        return empty(x.machine, out, x.dtype)
    found = fetch(x, index, index.shape, without(x.strides, dim), index.strides, x.shape[dim], x.strides[dim])
    return found.view(out)


def index_select(x, index, *, dim):
    """The slices of x along dim at the indices of a vector."""
    if not x.ndim:
        return cast(x, x.dtype) if index.size == 1 else empty(x.machine, (), x.dtype)
    shape = x.shape[:dim] + index.shape + x.shape[dim + 1:]
    of_k = (0,) * dim + index.strides + (0,) * (x.ndim - dim - 1)
    return fetch(x, index, shape, without(x.strides, dim), of_k, x.shape[dim], x.strides[dim])


def take(x, index):
    """Elements by their place in the flattened x."""
    return fetch(contiguous(x), index, index.shape, (0,) * index.ndim, index.strides, x.size, 1)


def masked_select(x, mask):
    """The elements of x where the mask of the same shape is true, as a vector."""
    return take(x, true_places(mask))


def index(x, *indices, places):
    """x[key], where `places` says at which dimensions of x an index array or a mask stands, and the rest are whole."""
    x, key = look(x, indices, places)
    k, size, step = key.one() if len(key.parts) == 1 else (key.places(), 0, 1)
    before, behind = len(key.before), len(key.behind)
    of_x = key.before_strides + (0,) * k.ndim + key.behind_strides
    return fetch(x, k, key.shape, of_x, (0,) * before + k.strides + (0,) * behind, size, step)


# ---- several indices at once
def look(x, indices, places):
    """(x, Key): the key, taken apart. x is copied where a mask of several dimensions needs it in one piece."""
    if any([k.ndim > 1 for k in indices if k.dtype.kind == "b"]):
        x = contiguous(x)
    return x, Key(x, indices, places)


class Key:
    """Where index arrays point: x.shape = before + (what they choose from) + behind, result = before + common + behind.

    If a whole dimension lies between two index arrays, the common dimensions come first (numpy's rule).
    """

    def __init__(self, x, indices, places):
        self.parts, taken, dim, rest = [], [], 0, iter(indices)
        for given in places:
            k = next(rest) if given else None
            span = 1 if k is None or k.dtype.kind != "b" else k.ndim
            if k is not None:                       # a mask chooses among all the elements of its dimensions
                size = 1
                for n in x.shape[dim:dim + span]:
                    size *= n
                self.parts.append((true_places(k) if k.dtype.kind == "b" else k, size, x.strides[dim + span - 1]))
                taken += range(dim, dim + span)
            dim += span
        self.machine = x.machine
        self.distinct = len(indices) == 1 and indices[0].dtype.kind == "b"      # no element twice, and ascending
        self.common = np.broadcast_shapes(*[k.shape for k, _, _ in self.parts])
        first = taken[0] if taken[-1] - taken[0] + 1 == len(taken) else 0
        kept = [d for d in range(x.ndim) if d not in taken]
        self.before, self.behind = ([x.shape[d] for d in dims] for dims in (kept[:first], kept[first:]))
        self.before_strides, self.behind_strides = (tuple([x.strides[d] for d in dims])
                                                    for dims in (kept[:first], kept[first:]))
        self.shape = (*self.before, *self.common, *self.behind)

    def one(self):
        (k, size, step), = self.parts
        return k, size, step

    def places(self):
        """An array of `common`'s shape: how far from the beginning of x the slice lies that the indices choose."""
        out = empty(self.machine, self.common, INT64)
        for number, (k, size, step) in enumerate(self.parts):
            point(out, k.broadcast_to(self.common), (0,) * out.ndim, size, step, number > 0)
        return out


def point(out, k, strides, size, step, more=False):
    """out = (out if more else 0) + k * step + a walk with those strides."""
    if out.size:
        index, *walk = walks(out.shape, k.strides, strides)
        per_element(place_kernel(index), out.machine, out.size, k, out, out.size, *walk, size, step, int(more))


# ---- the lesson
def cases():
    from .check import ptr
    narrow, wide = (np.uint32(3), np.uint32(5)), (np.int64(5), np.int64(1))
    yield "rows", rows, (ptr("float32"), ptr("int64"), ptr("float32"), 1000, 10)
    for bits in ("uint8", "uint16", "uint32", "uint64"):
        yield (f"gather {bits}", gather_kernel(uint32),
               (ptr(bits), ptr("int64"), ptr(bits), 1000, narrow, wide, wide, 9, 5))
    yield ("gather beyond 2**32", gather_kernel(int64),
           (ptr("uint32"), ptr("int32"), ptr("uint32"), 2 ** 33, wide, wide, wide, 9, 5))
    yield "place", place_kernel(uint32), (ptr("int64"), ptr("int64"), 1000, narrow, wide, wide, 9, 5, 1)
    yield "outside", outside, (ptr("int64"), ptr("int32"), 1000, -9, 9)


def main():
    from .array import from_numpy
    from .lesson import report
    from .memory import default
    machine, rng = default(), np.random.default_rng(0)
    for shape, count in (((1, 1), 1), ((7, 5), 3), ((33, 17), 40)):
        x, k = rng.random(shape, np.float32), rng.integers(-shape[0], shape[0], count)
        on_x, on_k = from_numpy(machine, x), from_numpy(machine, k)
        want = spec(x, k)
        by_rows = empty(machine, want.shape, np.float32)
        rows[ceil_div(want.size, 64), 64](on_x, from_numpy(machine, k % shape[0]), by_rows, want.size, shape[1])
        by_columns = index_select(on_x.permute((1, 0)), on_k, dim=1).numpy().T
        for got in (by_rows.numpy(), index_select(on_x, on_k, dim=0).numpy(), by_columns,
                    index(on_x, on_k, places=(True,)).numpy()):
            assert np.array_equal(got, want), shape
        both = index(on_x, on_k, from_numpy(machine, k % shape[1]), places=(True, True)).numpy()
        assert np.array_equal(both, x[k, k % shape[1]]), shape
        assert np.array_equal(masked_select(on_x, from_numpy(machine, x > 0.5)).numpy(), x[x > 0.5]), shape
        assert not any_outside(on_k, count, -shape[0], shape[0]) and any_outside(on_k, count, 0, int(k.max()))
        print(f"{shape}, {count} indices: all versions agree with numpy on {machine.name}")
    n, columns = (40, 17) if machine.simulated else (1 << 16, 256)
    on_x = from_numpy(machine, rng.random((n, columns), np.float32))
    on_k, on_j = (from_numpy(machine, rng.integers(0, size, n)) for size in (n, columns))
    mask = from_numpy(machine, rng.random((n, columns)) < 0.5)
    report(f"index_select: {n} rows of {columns}", machine, lambda: index_select(on_x, on_k, dim=0), 8 * n * columns)
    report(f"x[i, j]: {n} elements", machine, lambda: index(on_x, on_k, on_j, places=(True, True)), 20 * n)
    report(f"masked_select: {n * columns} elements", machine, lambda: masked_select(on_x, mask), 15 * n * columns)


if __name__ == "__main__":
    main()
