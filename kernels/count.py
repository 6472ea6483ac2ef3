"""Counting and looking up: bincount, histc, searchsorted.

It knows no sorting but compact.py's, and no tensor.

    for i in range(n):                              for i in range(n):
        counts[x[i]] += 1                               where[i] = the first j with row[j] >= x[i]

The loop on the left is a scatter in which everything meets: with atomic additions a popular bin makes a queue. The
loop on the right is a binary search, which every thread makes on its own. In order of ideas:

    search    half of the row is left after each look: log2(row) reads a value
    counted   once the numbers are ordered (compact.py), a bin's count is the distance between the places where the bin
              and the next one would have to be inserted: two searches a bin, and no thread waits for another
    edges     histc is a search among the edges of its bins. They are the smallest numbers of x's own type that belong
              to the bins by the rule in double precision, made once on the host: the GPU only compares
    weighted  what falls into a bin is added up in order: scatter.py's sum
"""
from __future__ import annotations

import functools

import numpy as np

from .array import empty, from_numpy, full
from .compact import INT64, order, per_element
from .elementwise import cast, contiguous
from .lift import computing_type
from .provider import cuda, int64, jit
from .scatter import put_at


# ---- the specification
def spec(x, bins):
    return np.bincount(x, minlength=bins)


def spec_search(row, values, right):
    return np.searchsorted(row, values, "right" if right else "left")


# ---- the kernels
@cuda.jit(device=True)
def first_not_below(row, low, high, value):
    """The first place in row[low:high] whose number is not below the value. nan is above everything, as in sorting."""
    while low < high:
        middle = (low + high) // 2
        found = row[middle]
        if found < value or value != value and found == found:
            low = middle + 1
        else:
            high = middle
    return low


@cuda.jit(device=True)
def first_above(row, low, high, value):
    """The first place in row[low:high] whose number is above the value."""
    while low < high:
        middle = (low + high) // 2
        found = row[middle]
        if value < found or found != found and value == value:
            high = middle
        else:
            low = middle + 1
    return low


@functools.lru_cache(None)
def search_kernel(right):
    find = first_above if right else first_not_below

    def search(rows, values, o, n, size, each, stride):
        """Where values[i] belongs in its row; each: how many values a row has; stride: how far apart the rows begin."""
        i = cuda.grid(1)
        if i < n:
            start = int64(i // each) * stride
            o[i] = find(rows, start, start + size, values[i]) - start
    return jit(search)


@cuda.jit
def bin_of(x, edges, o, n, bins, low, high):
    """Which bin x[i] falls into; the one behind the last if it isn't in [low, high]."""
    i = cuda.grid(1)
    if i < n:
        place = int64(bins)
        if low <= x[i] and x[i] <= high:
            place = first_above(edges, int64(0), int64(bins - 1), x[i])
        o[i] = place


@cuda.jit
def count_ordered(keys, counts, n, bins):
    b = cuda.grid(1)
    if b < bins:
        start = first_not_below(keys, int64(0), int64(n), b)
        counts[b] = first_not_below(keys, start, int64(n), b + 1) - start


# ---- what the library calls
def row(x, dtype):
    """x in one piece, of that type, without its dimensions."""
    x = contiguous(x) if x.dtype == dtype else cast(x, dtype)
    return x.view((x.size,))


def bincount(x, *, bins):
    """How often each of the numbers 0, 1 ... bins - 1 occurs; there are no others in x."""
    counts = full(x.machine, (bins,), 0, INT64)
    if x.size and bins:
        keys, _ = order(row(x, INT64))
        per_element(count_ordered, x.machine, bins, keys, counts, x.size, bins)
    return counts


def weighted_bincount(x, weights, *, bins):
    """The sum of the weights of each of these numbers."""
    return put_at(full(x.machine, (bins,), 0, weights.dtype), row(x, INT64), row(weights, weights.dtype), "sum")


def searchsorted(boundaries, values, *, right):
    """Where each value would have to be inserted into its row of boundaries (or into the only one)."""
    dtype = np.result_type(*[computing_type(a.dtype).numpy for a in (boundaries, values)])
    out = empty(values.machine, values.shape, INT64)
    size = boundaries.shape[-1]
    each, stride = (out.size, 0) if boundaries.ndim == 1 else (values.shape[-1], size)
    if out.size:
        per_element(search_kernel(bool(right)), out.machine, out.size, row(boundaries, dtype), row(values, dtype), out,
                    out.size, size, each, stride)
    return out


def histc(x, *, bins, low, high):
    """How many elements lie in each of `bins` equal parts of [low, high]; the last includes its end."""
    dtype = computing_type(x.dtype).numpy
    places = empty(x.machine, (x.size,), INT64)
    if x.size:
        edges = from_numpy(x.machine, edges_of(dtype, bins, low, high))
        low, high = dtype.type(low), dtype.type(high)
        per_element(bin_of, x.machine, x.size, row(x, dtype), edges, places, x.size, bins, low, high)
    counts = bincount(places, bins=bins + 1)
    return cast(counts.view((bins,)), x.dtype)


def edges_of(dtype, bins, low, high):
    """The smallest numbers of a type that belong to bins 1, 2 ...: by halving, in the order of their bits."""
    whole = np.dtype(f"int{dtype.itemsize * 8}")

    def key(number):
        bits = int(dtype.type(number).view(whole))
        return bits if bits >= 0 else bits ^ np.iinfo(whole).max

    def number(keys):
        return np.where(keys >= 0, keys, keys ^ np.iinfo(whole).max).astype(whole).view(dtype)
    wanted = np.arange(1, bins)
    below, above = np.full(bins - 1, key(low) - 1), np.full(bins - 1, key(high) + 1)    # not in it; in it, or behind
    for _ in range(dtype.itemsize * 8 + 1):
        middle = (below >> 1) + (above >> 1) + (below & above & 1)
        places = (number(middle).astype(np.float64) - low) / (high - low) * bins
        reached = (places >= wanted) & (middle > below)
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    return number(above)


# ---- the lesson
def cases():
    from .check import ptr
    for name in ("float32", "float64", "int64"):
        for right in (False, True):
            yield (f"search {name}, {'right' if right else 'left'}", search_kernel(right),
                   (ptr(name), ptr(name), ptr("int64"), 1000, 10, 5, 10))
    yield "count_ordered", count_ordered, (ptr("int64"), ptr("int64"), 1000, 10)
    for name in ("float32", "float64"):
        T = np.dtype(name).type
        yield f"bin_of {name}", bin_of, (ptr(name), ptr(name), ptr("int64"), 1000, 10, T(0), T(1))


def main():
    from .lesson import report
    from .memory import default
    machine, rng = default(), np.random.default_rng(0)
    for n in (1, 33, 500):
        x, w = rng.integers(0, 7, n), rng.random(n)
        on_x, on_w = from_numpy(machine, x), from_numpy(machine, w)
        assert np.array_equal(bincount(on_x, bins=9).numpy(), spec(x, 9)), n
        assert np.array_equal(weighted_bincount(on_x, on_w, bins=9).numpy(), np.bincount(x, w, 9)), n
        table, values = np.sort(rng.random(n).round(1)), np.append(rng.random(20).round(1), np.nan)
        for right in (False, True):
            got = searchsorted(from_numpy(machine, table), from_numpy(machine, values), right=right).numpy()
            assert np.array_equal(got, spec_search(table, values, right)), (n, right)
        for low, high in ((0, 1), (0.1, 0.7), (-1, 1)):
            narrow = np.concatenate([w, np.arange(11) / 10 * (high - low) + low]).astype(np.float32)
            inside = narrow[(narrow >= low) & (narrow <= high)].astype(np.float64)
            want = np.bincount(np.minimum(((inside - low) / (high - low) * 10).astype(int), 9), minlength=10)
            got = histc(from_numpy(machine, narrow), bins=10, low=low, high=high).numpy()
            assert np.array_equal(got, want), (n, low, high, got, want)
        print(f"n = {n}: counts, sums, places and histograms agree with numpy on {machine.name}")
    n = 1000 if machine.simulated else 1 << 22
    x = from_numpy(machine, rng.random(n, np.float32))
    report(f"searchsorted: {n} values in a row of 100", machine,
           lambda: searchsorted(from_numpy(machine, np.linspace(0, 1, 100, dtype=np.float32)), x, right=False), 12 * n)
    report(f"histc: {n} values, 100 bins", machine, lambda: histc(x, bins=100, low=0, high=1), 4 * n)


if __name__ == "__main__":
    main()
