"""Elements, or whole rows, without repetition: unique and unique_consecutive.

It knows no way to sort: sort.py does, and compact.py how to count what is in order.

    for s in range(n):
        if s == 0 or x[s] != x[s - 1]:              in an ordered row: a run begins here
            found.append(x[s])

In order of ideas:

    runs     every thread looks at its left neighbour; the running count of the beginnings tells everyone the number of
             its run, and the places where they stand tell the lengths                           reads 2, writes 3
    unique   sort, then runs
    rows     are sorted by their last column, then, stably, by the one before it ..., as a pile of cards is: a sort a
             column, of numbers instead of rows
"""
from __future__ import annotations

import numpy as np

from .array import empty, from_numpy
from .compact import INT64, compact, last, numbered, per_element, running
from .elementwise import contiguous
from .index import index_select, take
from .provider import cuda, int64
from .sort import sort


# ---- the specification
def spec(x):
    return np.unique(x, return_inverse=True, return_counts=True, equal_nan=False)


# ---- the kernels. x: a matrix of n rows of `each` elements
@cuda.jit
def begins(x, which, flags, n, each):
    """Whether the row differs from the one to its left; nan differs from itself."""
    s = cuda.grid(1)
    if s < n:
        differs = s == 0
        for j in range(each):
            if not differs and x[which[s] * each + j] != x[which[s - 1] * each + j]:
                differs = True
        flags[s] = differs


@cuda.jit
def runs(which, starts, heads, inverse, counts, n, m):
    """Where each row went; and how long each run is, which the thread of its number says."""
    s = cuda.grid(1)
    if s < n:
        inverse[which[s]] = starts[s + 1] - 1
    if s < m:
        end = int64(n)
        if s + 1 < m:
            end = heads[s + 1]
        counts[s] = end - heads[s]


# ---- what the library calls
def unique(x, *, dim):
    """(elements or slices along dim, ascending; the number of each of x's among them; how often each occurs)"""
    rows, back = as_rows(x, dim)
    return results(x, rows, ordered(rows), dim, back)


def unique_consecutive(x, *, dim):
    """(the first of each run of equal elements or slices; the number of the run of each of x's; how long it is)"""
    rows, back = as_rows(x, dim)
    return results(x, rows, numbered(x.machine, rows.shape[0]), dim, back)


def as_rows(x, dim):
    """(a contiguous matrix whose rows are compared, how its dimensions go back)"""
    if dim is None:
        return contiguous(x).view((x.size, 1)), None
    order = (dim, *[d for d in range(x.ndim) if d != dim])
    moved = x.permute(order)
    n, each = moved.shape[0], 1
    for size in moved.shape[1:]:
        each *= size
    return contiguous(moved).view((n, each)), tuple([order.index(d) for d in range(x.ndim)])


def ordered(rows):
    """The numbers of the rows in ascending order."""
    n, each = rows.shape
    which = numbered(rows.machine, n)
    for column in range(each - 1, -1, -1):
        keys = rows.view((n,), (each,), rows.offset + column)
        which = take(which, sort(take(keys, which), dim=0, descending=False)[1])
    return which


def results(x, rows, which, dim, back):
    machine, (n, each) = x.machine, rows.shape
    flags = empty(machine, (n,), np.bool_)
    per_element(begins, machine, n, rows, which, flags, n, each)
    starts = running(flags)
    m = last(starts)
    heads, counts, inverse = (empty(machine, (size,), INT64) for size in (m, m, n))
    per_element(compact, machine, n, flags, starts, heads, n)
    per_element(runs, machine, n, which, starts, heads, inverse, counts, n, m)
    found = index_select(rows, take(which, heads), dim=0)
    if dim is None:
        return found.view((m,)), inverse.view(x.shape), counts
    sizes = m, *x.shape[:dim], *x.shape[dim + 1:]
    return contiguous(found.view(sizes).permute(back)), inverse, counts


# ---- the lesson
def cases():
    from .check import ptr
    for name in ("float16", "float32", "float64", "int64", "uint8", "boolean"):
        yield f"begins {name}", begins, (ptr(name), ptr("int64"), ptr("boolean"), 1000, 3)
    yield "runs", runs, (*[ptr("int64")] * 5, 1000, 100)


def main():
    from .lesson import report
    from .memory import default
    machine, rng = default(), np.random.default_rng(0)
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, np.nan, 1e-40, -1e-40])
    for n in (1, 40, 300):
        for dtype in (np.float32, np.float64, np.int64, np.uint8, np.int8, np.bool_):
            x = (rng.integers(-9, 9, n) if dtype != np.bool_ else rng.random(n) < 0.5).astype(dtype)
            x = np.append(x, special.astype(dtype)) if x.dtype.kind == "f" else x
            for got, want in zip(unique(from_numpy(machine, x), dim=None), spec(x)):
                np.testing.assert_array_equal(got.numpy(), want, err_msg=f"{n} {dtype}")
        x = rng.integers(-2, 2, (n, 3))
        for got, want in zip(unique(from_numpy(machine, x), dim=0),
                             np.unique(x, return_inverse=True, return_counts=True, axis=0)):
            assert np.array_equal(got.numpy(), want.reshape(got.shape)), n
        found, inverse, counts = unique_consecutive(from_numpy(machine, x), dim=0)
        assert np.array_equal(found.numpy()[inverse.numpy()], x) and counts.numpy().sum() == n, n
        print(f"n = {n}: elements and rows, their numbers and counts agree with numpy on {machine.name}")
    n = 300 if machine.simulated else 1 << 20
    x = from_numpy(machine, rng.integers(0, 1000, n))
    report(f"unique: {n} whole numbers", machine, lambda: unique(x, dim=None), 8 * n)


if __name__ == "__main__":
    main()
