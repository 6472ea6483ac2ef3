"""The same elements in another order, and triangles of matrices: flip, rot90, tril, triu.

It knows no index arrays: where an element goes follows from where it is.

    for i in range(n):
        out[i] = x[n - 1 - i]

Reading backwards is a walk with a negative stride that begins at the other end, so one kernel does every flip, of any
dimensions at once: it is elementwise.py's strided copy with a place to start from. Reads 1, writes 1; along the last
dimension a warp still reads whole 128-byte lines, only backwards. A turn by a quarter is a flip whose dimensions change
places, which costs nothing. A triangle asks each element for its row and its column; elements outside aren't even read.
"""
from __future__ import annotations

import functools

import numpy as np

from .array import empty, from_numpy
from .compact import BITS, as_bits, per_element
from .elementwise import contiguous
from .index import walker, walks
from .provider import cuda, int64, jit, uint32


# ---- the specification
def spec_flip(x, dims):
    return np.flip(x, dims)


def spec_tril(x, diagonal):
    return np.tril(x, diagonal)


# ---- the kernels
@cuda.jit
def reverse(x, o, n):
    """A row backwards: the idea alone."""
    i = cuda.grid(1)
    if i < n:
        o[i] = x[n - 1 - i]


@functools.lru_cache(None)
def flip_kernel(index):
    walk = walker(index)

    def flip(x, o, n, start, shape, steps):
        i = cuda.grid(1)
        if i < n:
            o[i] = x[start + walk(i, shape, steps)]
    return jit(flip)


@functools.lru_cache(None)
def triangle_kernel(index, lower):
    def triangle(x, o, n, rows, columns, diagonal):
        i = cuda.grid(1)
        if i < n:
            above = index(index(i) // index(columns))
            column = int64(index(index(i) - index(above * index(columns))))
            row = int64(index(above - index(index(above // index(rows)) * index(rows))))
            keep = column - row <= diagonal if lower else column - row >= diagonal
            if keep:
                o[i] = x[i]
            else:
                o[i] = 0
    return jit(triangle)


# ---- what the library calls
def flip(x, *, dims):
    """x read backwards along some dimensions."""
    out = empty(x.machine, x.shape, x.dtype)
    if out.size:
        start = sum([(x.shape[d] - 1) * x.strides[d] for d in dims])
        steps = tuple([-step if d in dims else step for d, step in enumerate(x.strides)])
        index, shape, steps = walks(x.shape, steps)
        per_element(flip_kernel(index), x.machine, out.size, as_bits(x), as_bits(out), out.size, start, shape, steps)
    return out


def rot90(x, *, k, dims):
    """x turned by k quarters in the plane of two dimensions."""
    if k == 2:
        return flip(x, dims=dims)
    order = list(range(x.ndim))
    a, b = dims
    order[a], order[b] = (b, a) if k else (a, b)
    return flip(x, dims=(dims[k == 1],) if k else ()).permute(tuple(order))


def tril(x, *, diagonal):
    """Each matrix with zeros above a diagonal."""
    return triangle(x, diagonal, True)


def triu(x, *, diagonal):
    """Each matrix with zeros below a diagonal."""
    return triangle(x, diagonal, False)


def triangle(x, diagonal, lower):
    x = contiguous(x)
    out = empty(x.machine, x.shape, x.dtype)
    n, (rows, columns) = out.size, x.shape[-2:]
    if n:
        kernel = triangle_kernel(uint32 if n < 2 ** 32 else int64, lower)
        per_element(kernel, x.machine, n, as_bits(x), as_bits(out), n, rows, columns, diagonal)
    return out


# ---- the lesson
def cases():
    from .check import ptr
    yield "reverse", reverse, (ptr("float32"), ptr("float32"), 1000)
    for bits in BITS.values():
        both = ptr(bits.name), ptr(bits.name)
        yield (f"flip {bits.name}", flip_kernel(uint32),
               (*both, 1000, 999, (np.uint32(100), np.uint32(10)), (np.int64(-10), np.int64(1))))
        for lower in (True, False):
            yield f"{'tril' if lower else 'triu'} {bits.name}", triangle_kernel(uint32, lower), (*both, 1000, 10, 20, 0)


def main():
    from .lesson import report
    from .memory import default
    machine, rng = default(), np.random.default_rng(0)
    for shape in ((1, 1), (5, 3), (2, 17, 31)):
        x = rng.random(shape)
        on = from_numpy(machine, x)
        backwards = empty(machine, (x.size,), x.dtype)
        per_element(reverse, machine, x.size, on, backwards, x.size)
        assert np.array_equal(backwards.numpy(), spec_flip(x.reshape(-1), 0)), shape
        for dims in ((0,), (1,), (0, 1)):
            assert np.array_equal(flip(on, dims=dims).numpy(), spec_flip(x, dims)), (shape, dims)
        for k in range(4):
            assert np.array_equal(rot90(on, k=k, dims=(0, 1)).numpy(), np.rot90(x, k, (0, 1))), (shape, k)
        for diagonal in (-2, 0, 1):
            assert np.array_equal(tril(on, diagonal=diagonal).numpy(), spec_tril(x, diagonal)), (shape, diagonal)
            assert np.array_equal(triu(on, diagonal=diagonal).numpy(), np.triu(x, diagonal)), (shape, diagonal)
        print(f"{shape}: flip, rot90, tril and triu agree with numpy on {machine.name}")
    n = 30 if machine.simulated else 4096
    x = from_numpy(machine, rng.random((n, n), np.float32))
    report(f"flip: {n} x {n}", machine, lambda: flip(x, dims=(0, 1)), 8 * n * n)
    report(f"tril: {n} x {n}", machine, lambda: tril(x, diagonal=0), 6 * n * n)


if __name__ == "__main__":
    main()
