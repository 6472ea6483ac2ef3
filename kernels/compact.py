"""Which elements? Running counts, the places where a mask is true, and the order of a row of whole numbers.

It knows neither why somebody asks nor what the elements are: a mask is a row of bools.

    for i in range(n):                      for i in range(n):
        starts[i] = count                       if mask[i]:
        count += mask[i]                            places[starts[i]] = i

The first loop looks hopeless for a GPU: every step needs the one before. In order of ideas (Hillis and Steele, 1986;
Blelloch, "Prefix sums and their applications", 1990):

    scan      a block of threads adds up its row in log2(width) steps: each adds what stands 1, 2, 4 ... to its left
    running   blocks scan their parts, their sums are scanned in the same way, and each block adds what came before it
    compact   every true element knows where it goes: the second loop has no order any more        reads 2, writes 1

Counts come to the host where an array's size depends on them: one copy of 8 bytes, which waits for the GPU.
"""
from __future__ import annotations

import numpy as np

from .array import Array, ceil_div, empty, from_numpy
from .elementwise import cast
from .provider import cuda, int64

WIDTH = 256          # threads of a block
STEPS = 4            # times the work of an addition: what a thread does that walks, for the simulator's tiers
FEW = 4096           # numbers that the host orders
INT64 = np.dtype(np.int64)


# ---- the specification
def spec_running(x):
    return np.concatenate([[0], np.cumsum(x)])


def spec_order(keys):
    order = np.argsort(keys, kind="stable")
    return keys[order], order


# ---- the kernels
@cuda.jit
def count_blocks(mask, counts, n):
    """How many of each block's elements are true."""
    i = cuda.grid(1)
    count = cuda.syncthreads_count(1 if i < n and mask[i] else 0)
    if cuda.threadIdx.x == 0:
        counts[cuda.blockIdx.x] = count


@cuda.jit
def scan(x, starts, sums, n):
    """In each block: starts[i] = the sum of what stands to the left of x[i]; and the block's whole sum."""
    row = cuda.shared.array(WIDTH, int64)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    mine = int64(0)
    if i < n:
        mine = int64(x[i])
    row[t] = mine
    cuda.syncthreads()
    reach = 1                                       # row[t] is the sum of the `reach` elements that end at t
    while reach < cuda.blockDim.x:
        left = int64(0)
        if t >= reach:
            left = row[t - reach]
        cuda.syncthreads()                          # all have read before anyone writes
        row[t] += left
        cuda.syncthreads()
        reach *= 2
    if i < n:
        starts[i] = row[t] - mine
    if i == n - 1:
        starts[n] = row[t]
    if t == cuda.blockDim.x - 1:
        sums[cuda.blockIdx.x] = row[t]


@cuda.jit
def add_before(starts, before, n):
    """Each block adds what the blocks before it came to."""
    i = cuda.grid(1)
    if i < n:
        starts[i] += before[cuda.blockIdx.x]
    if i == n - 1:
        starts[n] += before[cuda.blockIdx.x]


@cuda.jit
def compact(mask, starts, places, n):
    """places[starts[i]] = i where the mask is true: no two threads write to one place."""
    i = cuda.grid(1)
    if i < n and mask[i]:
        places[starts[i]] = i


@cuda.jit
def iota(o, n):
    i = cuda.grid(1)
    if i < n:
        o[i] = i


@cuda.jit
def unravel(places, o, n, shape):
    """Places in an array of `shape`, row by row, as indices: o[d * n + i] along dimension d."""
    i = cuda.grid(1)
    if i < n:
        rest = places[i]
        for d in range(len(shape) - 1, -1, -1):
            q = rest // shape[d]
            o[d * n + i] = rest - q * shape[d]
            rest = q


# ---- what the library calls
def width(machine, n):
    """Threads of a block: on the simulator no more than there is work for."""
    return min(n, WIDTH) if machine.simulated else WIDTH


def per_element(kernel, machine, n, *args):
    """Launch a kernel with a thread for each of n elements (none for none)."""
    if n:
        threads = width(machine, n)
        machine.launch(kernel, (ceil_div(n, threads), 1, 1), (threads, 1, 1), 0, args, work=STEPS)


def running(x):
    """starts[i] = x[0] + ... + x[i - 1], for a contiguous row of bools or whole numbers; starts[n]: of all."""
    machine, n = x.machine, x.size
    starts = empty(machine, (n + 1,), INT64)
    if not n:
        per_element(iota, machine, 1, starts, 1)
        return starts
    threads = width(machine, n)
    blocks = ceil_div(n, threads)
    sums = empty(machine, (blocks,), INT64)
    scan[blocks, threads](x, starts, sums, n)
    if blocks > 1:
        add_before[blocks, threads](starts, running(sums), n)
    return starts


def last(starts):
    """The last number of a row, on the host."""
    return int(starts.view((), (), starts.offset + starts.size - 1).numpy())


def count_true(mask):
    """How many elements are true."""
    mask = flat(mask)
    n = mask.size
    if not n:
        return 0
    threads = width(mask.machine, n)
    counts = empty(mask.machine, (ceil_div(n, threads),), np.int32)
    count_blocks[counts.size, threads](mask, counts, n)
    return int(counts.numpy().sum())


def flat(mask):
    """A row of bools in one piece."""
    row = mask if mask.is_contiguous() and mask.dtype.kind == "b" else cast(mask, np.bool_)
    return row.view((row.size,))


def true_places(mask):
    """Where the mask (of any shape, or numbers that are not zero) is true, counted row by row, ascending."""
    mask = flat(mask)
    starts = running(mask)
    places = empty(mask.machine, (last(starts),), INT64)
    if places.size:
        per_element(compact, mask.machine, mask.size, mask, starts, places, mask.size)
    return places


def nonzero(x):
    """The indices of the elements that are not zero, one row each; the columns lie one behind the other."""
    places = true_places(x)
    n = places.size
    columns = empty(x.machine, (x.ndim, n), INT64)
    if x.ndim:
        per_element(unravel, x.machine, n, places, columns, n, tuple(map(np.int64, x.shape)))
    return columns.permute((1, 0))


def numbered(machine, n):
    """0, 1 ... n - 1"""
    out = empty(machine, (n,), INT64)
    per_element(iota, machine, n, out, n)
    return out


def order(keys):
    """(a contiguous row of whole numbers in ascending order, where each of them stood); equal ones keep their order.

    The simulator's memory is the host's, and few numbers are sooner there than a GPU has sorted them.
    """
    if keys.machine.simulated or keys.size < FEW:
        host = keys.numpy()
        found = np.argsort(host, kind="stable")
        return from_numpy(keys.machine, host[found]), from_numpy(keys.machine, found.astype(INT64))
    from .sort import sort
    return sort(keys, dim=0, descending=False)


BITS = {1: np.dtype(np.uint8), 2: np.dtype(np.uint16), 4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}


def as_bits(x):
    """The same memory as whole numbers of the same width: what only moves elements needs to know no more of them."""
    return Array(x.buffer, x.shape, x.strides, x.offset, BITS[x.dtype.itemsize])


# ---- the lesson
def cases():
    from .check import ptr
    yield "count_blocks", count_blocks, (ptr("boolean"), ptr("int32"), 1000)
    for name in ("boolean", "int64"):
        yield f"scan {name}", scan, (ptr(name), ptr("int64"), ptr("int64"), 1000)
    yield "add_before", add_before, (ptr("int64"), ptr("int64"), 1000)
    yield "compact", compact, (ptr("boolean"), ptr("int64"), ptr("int64"), 1000)
    yield "iota", iota, (ptr("int64"), 1000)
    yield "unravel", unravel, (ptr("int64"), ptr("int64"), 1000, (np.int64(3), np.int64(5)))


def main():
    from .lesson import report
    from .memory import default
    machine, rng = default(), np.random.default_rng(0)
    for n in (1, 2, 31, 256, 257, 1000):
        mask, keys = rng.random(n) < 0.3, rng.integers(0, 50, n)
        on = [from_numpy(machine, a) for a in (mask, keys)]
        assert np.array_equal(running(on[0]).numpy(), spec_running(mask)), n
        assert np.array_equal(running(on[1]).numpy(), spec_running(keys)), n
        assert np.array_equal(true_places(on[0]).numpy(), np.flatnonzero(mask)) and count_true(on[0]) == mask.sum(), n
        assert all(map(np.array_equal, [a.numpy() for a in order(on[1])], spec_order(keys))), n
        print(f"n = {n:5}: running, compact and order agree with numpy on {machine.name}")
    n = 1000 if machine.simulated else 1 << 24
    mask = from_numpy(machine, rng.random(n) < 0.3)
    report(f"running: {n} bools", machine, lambda: running(mask), 9 * n)
    report(f"true_places: {n} bools", machine, lambda: true_places(mask), 20 * n)


if __name__ == "__main__":
    main()
