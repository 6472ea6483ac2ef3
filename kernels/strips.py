"""Matrix products for the simulator: a thread computes strips of c, and shares nothing.

    for k in range(K):
        for w in range(64):
            c[i, j + w] += a[i, k] * b[k, j + w]

It knows no layers and no GPU. Threads cost nothing here, and a CPU has no warps: it has vector units, which take eight
or sixteen neighbours in one step of the inner loop above, and a cache, which needs no telling what to keep. In order of
ideas, with the reads of b for each product:

    strip      one row of 64 elements                                             1
    strips     four rows: an element of b, once in a register, serves all of them 1 / 4
    turn       a copy of a matrix, transposed: only where neither b's rows nor a's columns lie in one piece

These kernels are right on a GPU too, and slow: 4 rows of 64 numbers don't fit a thread's registers.
"""
from __future__ import annotations

import functools

from .array import ceil_div, empty
from .matrices import batch_at, make_finish
from .provider import cuda, jit

ROWS, WIDE = 4, 64
BLOCK = 64
SIMULATED_ONLY = dict.fromkeys(("strip", "strips", "turn"), (
    "a strip is as wide as the matrix, which no compiler knows: on a GPU its sums would lie on the stack. GPUs get the "
    "products of matmul.py"))
MUCH = 1 << 16                                      # products from which it pays to compile, and to bring data in order


@functools.lru_cache(None)
def make_strip(T, A, mode):
    """One row a thread: for products with fewer rows than four."""
    finish, zero = make_finish(A, mode), A.numpy.type(0)

    def strip(a, b, c, d, sizes, sa, sb, sc, sd, alpha, beta):
        M, N, K, batches, _, inner, _, _ = sizes
        across = (N + WIDE - 1) // WIDE
        total = cuda.local.array(WIDE, A)
        t = cuda.grid(1)
        if t < batches * M * across:
            batch, i, j = t // (M * across), t // across % M, t % across * WIDE
            width = min(WIDE, N - j)
            for w in range(width):
                total[w] = zero
            p = batch_at(batch, inner, sa) + i * sa[2]
            q = batch_at(batch, inner, sb) + j * sb[3]
            for k in range(K):
                x = A(a[p + k * sa[3]])
                for w in range(width):
                    total[w] += x * A(b[q + w * sb[3]])
                q += sb[2]
            p = batch_at(batch, inner, sc) + i * sc[2] + j * sc[3]
            e = batch_at(batch, inner, sd) + i * sd[2] + j * sd[3]
            for w in range(width):
                c[p + w * sc[3]] = T(finish(total[w], d, e + w * sd[3], alpha, beta))
    return jit(strip)


@functools.lru_cache(None)
def make_strips(T, A, mode, unit):
    """`unit`: the stride of b's columns is 1. Then the inner loop is one that a vector unit takes."""
    finish, zero = make_finish(A, mode), A.numpy.type(0)

    def strips(a, b, c, d, sizes, sa, sb, sc, sd, alpha, beta):
        M, N, K, batches, _, inner, _, _ = sizes
        across, down = (N + WIDE - 1) // WIDE, (M + ROWS - 1) // ROWS
        total = cuda.local.array((ROWS, WIDE), A)
        t = cuda.grid(1)
        if t < batches * down * across:
            batch, i, j = t // (down * across), t // across % down * ROWS, t % across * WIDE
            width, step = min(WIDE, N - j), sb[3]
            for r in range(ROWS):
                for w in range(width):
                    total[r, w] = zero
            p0 = batch_at(batch, inner, sa) + i * sa[2]
            p1 = p0 + (sa[2] if i + 1 < M else 0)   # rows that don't exist are the last one again
            p2 = p1 + (sa[2] if i + 2 < M else 0)
            p3 = p2 + (sa[2] if i + 3 < M else 0)
            q = batch_at(batch, inner, sb) + j * step
            for k in range(K):
                x0, x1, x2, x3 = A(a[p0 + k * sa[3]]), A(a[p1 + k * sa[3]]), A(a[p2 + k * sa[3]]), A(a[p3 + k * sa[3]])
                for w in range(width):
                    y = A(b[q + w]) if unit else A(b[q + w * step])
                    total[0, w] += x0 * y
                    total[1, w] += x1 * y
                    total[2, w] += x2 * y
                    total[3, w] += x3 * y
                q += sb[2]
            p, e = batch_at(batch, inner, sc) + j * sc[3], batch_at(batch, inner, sd) + j * sd[3]
            for r in range(i, min(i + ROWS, M)):
                for w in range(width):
                    value = finish(total[r - i, w], d, e + r * sd[2] + w * sd[3], alpha, beta)
                    c[p + r * sc[2] + w * sc[3]] = T(value)
    return jit(strips)


@functools.lru_cache(None)
def make_turn(T):
    def turn(a, c, batches, inner, lines, places, s):
        """c = a, place after place of a line; s: strides of the batch, of lines, of places. A thread copies a line."""
        t = cuda.grid(1)
        if t < batches * lines:
            p = batch_at(t // lines, inner, s) + t % lines * s[2]
            for i in range(places):
                c[t * places + i] = a[p + i * s[3]]
    return jit(turn)


# ---- what the library calls
def run(product):
    """Compute a Product."""
    p = product
    if p.M * p.N * p.K * p.batches < MUCH:
        if p.M > p.N:                               # fewer threads with longer strips
            p.turn()
    else:
        arrange(p)
    unit, across = p.sb[3] == 1, ceil_div(p.N, WIDE)
    if p.M < ROWS:
        kernel, threads = make_strip(p.T, p.A, p.mode), p.batches * p.M * across
    else:
        kernel, threads = make_strips(p.T, p.A, p.mode, unit), p.batches * ceil_div(p.M, ROWS) * across
    launch(p.c.machine, kernel, threads, p.arguments(), min(p.M, ROWS) * min(p.N, WIDE) * p.K)


def arrange(p):
    """Let columns of b be neighbours in memory: by computing the transpose, or with a copy of the smaller matrix."""
    if p.sb[3] == 1 or p.N == 1:
        return
    if p.sa[2] != 1 and min(p.M, p.N) >= 2 * ROWS:
        if p.M >= p.N:
            p.b, (*batch, line, place) = turned(p, p.b, p.K, p.N, p.sb)
            p.sb = *batch, line, place
            return
        p.a, (*batch, line, place) = turned(p, p.a, p.K, p.M, (*p.sa[:2], p.sa[3], p.sa[2]))
        p.sa = *batch, place, line
    if p.sa[2] == 1:
        p.turn()


def turned(p, matrix, lines, places, s):
    """A copy whose places are neighbours, and its strides. A matrix that the whole batch shares is copied once."""
    batches, inner = (p.batches, p.inner) if s[0] or s[1] else (1, 1)
    size = lines * places
    out = empty(matrix.machine, (batches * size,), matrix.dtype)
    launch(matrix.machine, make_turn(p.T), batches * lines, [matrix, out, batches, inner, lines, places, s], places)
    return out, ((inner * size, size) if batches > 1 else (0, 0)) + (places, 1)


def launch(machine, kernel, threads, arguments, products):
    block = min(threads, BLOCK)
    machine.launch(kernel, (ceil_div(threads, block), 1, 1), (block, 1, 1), 0, arguments, 1 + products // 64)
