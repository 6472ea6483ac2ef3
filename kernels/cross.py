"""The vector product of vectors with three elements: one thread a vector.

    c[0], c[1], c[2] = a[1] b[2] - a[2] b[1],  a[2] b[0] - a[0] b[2],  a[0] b[1] - a[1] b[0]

It knows nothing of what the other dimensions mean: an array is blocks of three lines of `inner` elements. A thread
reads 6 numbers and writes 3, all of them next to those of the neighbouring thread.
"""
from __future__ import annotations

import functools
import math

import numpy as np

from .array import ceil_div, empty
from .elementwise import contiguous
from .matrices import adding_type
from .provider import cuda, jit, type_of


# ---- the specification
def spec(a, b, dim):
    """What the kernel computes, in numpy."""
    a, b = (np.moveaxis(x, dim, 0) for x in np.broadcast_arrays(a, b))
    parts = [a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.moveaxis(np.stack(parts), 0, dim)


# ---- the kernel
@functools.lru_cache(None)
def make_cross(T, A):
    def cross(a, b, c, n, inner):
        t = cuda.grid(1)
        if t < n:
            p = t // inner * 3 * inner + t % inner
            q, r = p + inner, p + 2 * inner
            a0, a1, a2 = A(a[p]), A(a[q]), A(a[r])
            b0, b1, b2 = A(b[p]), A(b[q]), A(b[r])
            c[p] = T(a1 * b2 - a2 * b1)
            c[q] = T(a2 * b0 - a0 * b2)
            c[r] = T(a0 * b1 - a1 * b0)
    return jit(cross)


# ---- what the library calls
def cross(input, other, *, dim):
    """The vector product along dimension `dim`, counted from the end; the others are broadcast."""
    shape = np.broadcast_shapes(input.shape, other.shape)
    a, b = contiguous(input.broadcast_to(shape)), contiguous(other.broadcast_to(shape))
    out = empty(a.machine, shape, a.dtype)
    n = out.size // 3
    if n:
        block, kernel = min(256, ceil_div(n, 32) * 32), make_cross(type_of(a.dtype), adding_type(a.dtype))
        inner = math.prod(shape[dim % len(shape) + 1:])
        out.machine.launch(kernel, (ceil_div(n, block), 1, 1), (block, 1, 1), 0, [a, b, out, n, inner])
    return out


# ---- checking
def cases():
    from .check import ptr
    for name in ("float32", "float64", "float16", "int64", "uint8"):
        p = ptr(name)
        yield f"cross {name}", make_cross(type_of(p), adding_type(p)), (p, p, p, 1, 1)


def main():
    from .array import from_numpy
    from .memory import default
    draw = np.random.default_rng(0)
    for dtype in (np.float32, np.int16):
        a, b = (draw.standard_normal(size) * 9 for size in ((5, 3, 7), (1, 3, 7)))
        a, b = a.astype(dtype), b.astype(dtype)
        found = cross(from_numpy(default(), a), from_numpy(default(), b), dim=-2).numpy()
        wanted = spec(a, b, 1)
        error = np.abs(found - wanted).max() / np.abs(wanted).max()
        assert error <= 1e-6, f"cross of {np.dtype(dtype)} is off by {error}"
        print(f"{np.dtype(dtype)!s:8} cross differs by {error:.0e}")


if __name__ == "__main__":
    main()
