"""Sorting rows, and what is picked from a sorted row: the largest k, medians, the most frequent.

    out[r] = sorted(x[r], key=value)        and where each element was

nan is larger than every number, and equal elements keep their order, so that there is one answer for every method. An
element knows its place in the result without moving anything: the number of elements that come before it. With that no
thread waits for another one, and none writes where another one does. In order of ideas:

    rank       counts them all                                              n reads per element: for short rows
    network    bitonic, in shared memory: compare, exchange, meet           log(n) ** 2 / 2 meetings of one block
    merge      of sorted runs: the own place, and a binary search in the    log(n) passes of log(n) reads each
               neighbouring run

Rows begin as sorted tiles (by `rank` on the simulator, whose threads are dear to bring together, else by `network`),
which are merged until one is left. It knows neither dimensions' names nor gradients; rows may lie anywhere.
"""
from __future__ import annotations

import functools

import numpy as np

from . import elementwise
from .array import ceil_div, empty, full
from .elementwise import contiguous
from .lift import computing_type
from .provider import cuda, float32, int32, int64, type_of, uint8

TILE = 512                                          # elements that a block sorts in shared memory
THREADS = TILE // 2                                 # each compares two
RANKED = 32                                         # elements that are sorted by counting


# ---- the specification
def spec(x, descending=False):
    """(values, places) of the last dimension of a numpy array."""
    if not descending:
        places = np.argsort(x, axis=-1, kind="stable")
    else:                                           # turned twice, equal ones keep their order
        places = x.shape[-1] - 1 - np.flip(np.argsort(np.flip(x, -1), axis=-1, kind="stable"), -1)
    return np.take_along_axis(x, places, -1), places


# ---- the order
@functools.lru_cache(None)
def order(descending):
    """before(a, b): whether a stands before b, wherever they were."""
    if descending:
        @cuda.jit(device=True)
        def before(a, b):
            return a > b or (a != a and b == b)
    else:
        @cuda.jit(device=True)
        def before(a, b):
            return a < b or (a == a and b != b)
    return before


# ---- the kernels. C: the type in which elements are compared; n: the length of a row
@functools.lru_cache(None)
def rank_kernel(C, descending, tile):
    """Each element counts those of its tile that come before it. tile 0: the tile is the row."""
    before = order(descending)

    @cuda.jit
    def rank(x, values, places, n, total):
        i = cuda.grid(1)
        if i < total:
            j = i % n                               # the place in the row, which begins at i - j
            first = 0
            end = n
            if tile > 0:
                first = j - j % tile
                end = min(first + tile, n)
            row = i - j
            mine = C(x[i])
            count = 0
            for k in range(first, end):
                other = C(x[row + k])
                if before(other, mine) or (k < j and not before(mine, other)):
                    count += 1
            values[row + first + count] = x[i]
            places[row + first + count] = j
    return rank


@functools.lru_cache(None)
def network_kernel(C, T, descending):
    """A block sorts a tile of a row: pairs (element, place) are compared and exchanged in a fixed pattern.

    Sequences that rise and then fall are halved again and again. Places decide between equals; elements that aren't
    there have places behind all others.
    """
    before = order(descending)

    @cuda.jit
    def network(x, values, places, n, tiles):
        v = cuda.shared.array(TILE, C)
        p = cuda.shared.array(TILE, int32)
        t = cuda.threadIdx.x
        row = cuda.blockIdx.x // tiles * n
        first = cuda.blockIdx.x % tiles * TILE
        for e in range(2):
            j = first + t + e * THREADS
            p[t + e * THREADS] = j
            v[t + e * THREADS] = C(x[row + min(j, n - 1)])
        size = 2
        while size <= TILE:                         # sorted runs of this size, up and down in turn
            step = size // 2
            while step > 0:
                cuda.syncthreads()
                a = 2 * t - t % step                # this thread's pair
                b = a + step
                up = a // size % 2 == 0
                absent = p[a] >= n or p[b] >= n
                behind = before(v[b], v[a]) or (p[b] < p[a] and not before(v[a], v[b]))
                if absent:
                    behind = p[b] < p[a]
                if behind == up:
                    w = v[a]
                    v[a] = v[b]
                    v[b] = w
                    q = p[a]
                    p[a] = p[b]
                    p[b] = q
                step //= 2
            size *= 2
        cuda.syncthreads()
        for e in range(2):
            k = t + e * THREADS
            if p[k] < n:
                values[row + first + k] = T(v[k])
                places[row + first + k] = p[k]
    return network


@functools.lru_cache(None)
def merge_kernel(C, descending):
    """Two neighbouring sorted runs become one: each element adds to its place in its own run that in the other one."""
    before = order(descending)

    @cuda.jit
    def merge(x, places, values, moved, n, run, total):
        i = cuda.grid(1)
        if i < total:
            j = i % n
            row = i - j
            first = j - j % run                     # of the own run
            left = first // run % 2 == 0
            low = first + run if left else first - run
            high = min(low + run, n)
            low = min(low, n)
            pair = min(first, low)                  # where the two begin
            base = low
            mine = C(x[i])
            while low < high:                       # how many of the other run come before me?
                middle = (low + high) // 2
                other = C(x[row + middle])
                if before(other, mine) or (not left and not before(mine, other)):
                    low = middle + 1
                else:
                    high = middle
            at = row + pair + (j - first) + (low - base)
            values[at] = x[i]
            moved[at] = places[i]
    return merge


@functools.lru_cache(None)
def nth_kernel(C):
    """A thread a row takes the element at `k`, or if the row has nans: the first of them, or one among the others.

    rule   0: the k-th; 1: the lower middle, or a nan if there is one; 2: the lower middle of those that are not nan
    """
    @cuda.jit
    def nth(x, places, value, place, n, rows, rule, k):
        r = cuda.grid(1)
        if r < rows:
            at = k
            if rule > 0:
                low = 0                             # the first nan, of which none stands before a number
                high = n
                while low < high:
                    middle = (low + high) // 2
                    v = C(x[r * n + middle])
                    if v == v:
                        low = middle + 1
                    else:
                        high = middle
                at = (n - 1) // 2
                if rule == 1 and low < n:
                    at = low
                if rule == 2:
                    at = max(low - 1, 0) // 2
            value[r] = x[r * n + at]
            place[r] = places[r * n + at]
    return nth


@functools.lru_cache(None)
def runs_kernel(C):
    """How long the run of equal elements is that ends here, counted from 0, as a number that falls with the place.

    The largest of a row names its most frequent element, and of several the first; nan equals nothing.
    """
    before = order(False)

    @cuda.jit
    def runs(x, score, n, total):
        i = cuda.grid(1)
        if i < total:
            j = i % n
            row = i - j
            mine = C(x[i])
            low = 0
            high = j
            while low < high:                       # the first that doesn't stand before this one
                middle = (low + high) // 2
                if before(C(x[row + middle]), mine):
                    low = middle + 1
                else:
                    high = middle
            length = j - low if mine == mine else 0
            score[i] = int64(length) * int64(n) + int64(n - 1 - j)
    return runs


@functools.lru_cache(None)
def best_kernel(threads):
    """A block a row: the element with the highest score."""
    @cuda.jit
    def best(score, x, places, value, place, n):
        top = cuda.shared.array(threads, int64)
        t = cuda.threadIdx.x
        r = cuda.blockIdx.x
        high = int64(-1)
        for j in range(t, n, threads):
            high = max(high, score[r * n + j])
        top[t] = high
        half = threads // 2
        while half > 0:
            cuda.syncthreads()
            if t < half:
                top[t] = max(top[t], top[t + half])
            half //= 2
        if t == 0:
            at = r * n + n - 1 - int(top[0] % n)
            value[r] = x[at]
            place[r] = places[at]
    return best


# ---- rows
def comparing(dtype):
    """The type in which elements are compared: bools as bytes."""
    return uint8 if dtype.kind == "b" else computing_type(dtype)


def as_rows(x, dim):
    """(an array whose rows lie one behind the other and are x's along `dim`, the shape of the rows)"""
    dim %= x.ndim
    moved = x.permute((*[d for d in range(x.ndim) if d != dim], dim))
    rows = contiguous(moved)
    if rows.dtype.kind == "b":
        rows = elementwise.Array(rows.buffer, rows.shape, rows.strides, rows.offset, np.dtype(np.uint8))
    return rows, moved.shape[:-1]


def as_before(rows, dim, dtype=None):
    """The array with its last dimension put back to `dim`, contiguous; of another type of the same size if `dtype`."""
    if dtype is not None:
        rows = elementwise.Array(rows.buffer, rows.shape, rows.strides, rows.offset, dtype)
    dim %= rows.ndim
    order = list(range(rows.ndim - 1))
    order.insert(dim, rows.ndim - 1)
    return contiguous(rows.permute(order))


def sorted_rows(x, descending):
    """(values, places) of contiguous rows."""
    n, total, machine = x.shape[-1], x.size, x.machine
    values, places = empty(machine, x.shape, x.dtype), empty(machine, x.shape, np.int64)
    if not total:
        return values, places
    C, T = comparing(x.dtype), type_of(x.dtype)
    if n <= RANKED or machine.simulated:
        run, tile = (n, 0) if n <= RANKED else (RANKED, RANKED)
        launch(machine, rank_kernel(C, descending, tile), total, run, x, values, places, n, total)
    else:
        run, tiles = TILE, ceil_div(n, TILE)
        network_kernel(C, T, descending)[total // n * tiles, THREADS](x, values, places, n, tiles)
    if run < n:
        others = empty(machine, x.shape, x.dtype), empty(machine, x.shape, np.int64)
    while run < n:
        launch(machine, merge_kernel(C, descending), total, run.bit_length(), values, places, *others, n, run, total)
        (values, places), others = others, (values, places)
        run *= 2
    return values, places


def launch(machine, kernel, count, work, *args):
    """A thread for each of `count`, which takes so many steps."""
    block = elementwise.block(count)
    machine.launch(kernel, (ceil_div(count, block), 1, 1), (block, 1, 1), 0, args, work=work)


# ---- what the library calls
def sort(x, *, dim, descending):
    """Values in order along `dim`, and where they were."""
    if not x.ndim:
        return alone(x)
    values, places = sorted_rows(as_rows(x, dim)[0], descending)
    return as_before(values, dim, x.dtype), as_before(places, dim)


def argsort(x, *, dim, descending):
    """The places of the elements in order."""
    return sort(x, dim=dim, descending=descending)[1]


def topk(x, *, dim, k, largest):
    """The k largest, or smallest, in order, and where they are."""
    if not x.ndim:
        return alone(x) if k else (empty(x.machine, (), x.dtype), full(x.machine, (), 0, np.int64))
    values, places = sorted_rows(as_rows(x, dim)[0], largest)
    first = (*values.shape[:-1], k)
    return (as_before(values.view(first, values.strides), dim, x.dtype),
            as_before(places.view(first, places.strides), dim))


def alone(x):
    """Of an array without dimensions: a copy, and place 0."""
    return elementwise.cast(x, x.dtype), full(x.machine, (), 0, np.int64)


def picked(x, dims, keepdim, pick):
    """(value, place) of each row along dims[0]: pick(values, places, value, place) writes them, of sorted rows."""
    if not x.ndim:
        return alone(x)
    dim = dims[0] % x.ndim
    rows, shape = as_rows(x, dim)
    value, place = empty(x.machine, shape, rows.dtype), empty(x.machine, shape, np.int64)
    if value.size:
        pick(*sorted_rows(rows, False), value, place)
    kept = (*shape[:dim], 1, *shape[dim:]) if keepdim else shape
    return elementwise.Array(value.buffer, kept, value.view(kept).strides, 0, x.dtype), place.view(kept)


def nth(x, dims, keepdim, rule, k=0):
    def pick(values, places, value, place):
        n, rows, kernel = values.shape[-1], value.size, nth_kernel(comparing(x.dtype))
        launch(x.machine, kernel, rows, n.bit_length(), values, places, value, place, n, rows, rule, k)
    return picked(x, dims, keepdim, pick)


def kthvalue(x, *, dims, keepdim, k):
    return nth(x, dims, keepdim, 0, k - 1)


def median(x, *, dims, keepdim):
    return nth(x, dims, keepdim, 1)


def nanmedian(x, *, dims, keepdim):
    return nth(x, dims, keepdim, 2)


def mode(x, *, dims, keepdim):
    """The most frequent of each row, the smallest of several, and its last place."""
    def pick(values, places, value, place):
        n, score = values.shape[-1], empty(x.machine, values.shape, np.int64)
        launch(x.machine, runs_kernel(comparing(x.dtype)), values.size, n.bit_length(), values, score, n, values.size)
        threads = 1 if x.machine.simulated else 128
        x.machine.launch(best_kernel(threads), (value.size, 1, 1), (threads, 1, 1), 0,
                         (score, values, places, value, place, n), work=ceil_div(n, threads))
    return picked(x, dims, keepdim, pick)


def of_all(x, rule):
    """A median of everything; nan of nothing."""
    if not x.size:
        return full(x.machine, (), np.nan, x.dtype)
    flat = contiguous(x)
    return nth(flat.view((x.size,)), (0,), False, rule)[0]


def median_all(x):
    return of_all(x, 1)


def nanmedian_all(x):
    return of_all(x, 2)


def cases():
    """(name, kernel, arguments) for the checker of compiled code."""
    from .check import ptr
    for C in (float32, type_of(np.float64), int64):
        p, q = ptr(C.name), ptr("int64")
        yield "sort.rank", rank_kernel(C, False, 0), (p, p, q, 9, 90)
        yield "sort.network", network_kernel(C, C, True), (p, p, q, 900, 2)
        yield "sort.merge", merge_kernel(C, False), (p, q, p, q, 900, 512, 900)
        yield "sort.nth", nth_kernel(C), (p, q, p, q, 9, 10, 1, 0)
        yield "sort.runs", runs_kernel(C), (p, q, 9, 90)
        yield "sort.best", best_kernel(128), (q, p, q, p, q, 9)


def main():
    """Every way of sorting against the specification."""
    from . import lesson, memory
    from .array import from_numpy
    machine, rng = memory.default(), np.random.default_rng(0)
    for n in (1, 31, 33, 700):
        host = np.round(rng.standard_normal((3, n)), 1).astype(np.float32)
        host[1, n // 2] = np.nan
        for descending in (False, True):
            right, x = spec(host, descending), from_numpy(machine, host)
            values, places = sort(x, dim=-1, descending=descending)
            lesson.check(f"sort {n}", (values, places.numpy().astype(float)), (right[0], right[1].astype(float)), 0)
            if n <= TILE:
                values, places = empty(machine, x.shape, x.dtype), empty(machine, x.shape, np.int64)
                network_kernel(float32, float32, descending)[3, THREADS](x, values, places, n, 1)
                lesson.check(f"network {n}", places.numpy().astype(float), right[1].astype(float), 0)


if __name__ == "__main__":
    main()
