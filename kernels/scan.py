"""Scans: each element becomes what all elements up to it come to. Running sums, products, log-sum-exps, extremes.

    total = x[0]
    for j in range(n):
        total = combine(total, x[j]);  out[j] = total

Every step needs the one before it, and yet it can be shared, because combining is associative: pieces are scanned by
themselves, and each then takes in what the pieces before it come to. In order of ideas:

    serial    a thread per row                                        n steps; fine for many rows, and for columns
    pieces    a block per piece of a row. In a warp, after the round  n / threads rounds of 2 * 5 shuffles
              with distance d each lane holds the total of 2 * d
              elements: 5 rounds for 32; the warps' totals are
              scanned by the first warp in the same way
    carry     a long row is cut into pieces, whose totals are scanned 3 launches, all of them with threads enough
              and handed on

The elements of a scan are numbers, or places: a running maximum carries the place of the largest element so far, and
`combine` compares what lies there. It knows neither names of dimensions nor gradients.
"""
from __future__ import annotations

import functools
import math

import numpy as np

from . import elementwise
from .array import ceil_div, empty, full
from .elementwise import contiguous
from .lift import computing_type
from .provider import cuda, float32, float64, int64, type_of

FULL = 0xffffffff
THREADS = 256
PIECE = 2048                                        # elements of a row that one block scans


# ---- the specification
def spec(combine, x):
    """Scan the last dimension of a numpy array."""
    out = x.copy()
    for j in range(1, x.shape[-1]):
        out[..., j] = combine(out[..., j - 1], x[..., j])
    return out


# ---- what is scanned: element(x, at, j), and combine(x, first, step, a, b) of the row that begins at `first`
@functools.lru_cache(None)
def numbers(C, combine):
    """Numbers: combine(a, b) is a device function."""
    @cuda.jit(device=True)
    def element(x, at, j):
        return C(x[at])

    @cuda.jit(device=True)
    def combined(x, first, step, a, b):
        return combine(a, b)
    return element, combined, C


@functools.lru_cache(None)
def places(C, wins):
    """Places: of two, the later one if what lies there wins over what lies at the earlier one."""
    @cuda.jit(device=True)
    def element(x, at, j):
        return int64(j)

    @cuda.jit(device=True)
    def combined(x, first, step, a, b):
        return b if wins(C(x[first + b * step]), C(x[first + a * step])) else a
    return element, combined, int64


@cuda.jit(device=True)
def add(a, b):
    return a + b


@cuda.jit(device=True)
def multiply(a, b):
    return a * b


@functools.lru_cache(None)
def log_add_exp(C):
    ONE = C(1)

    @cuda.jit(device=True)
    def combine(a, b):
        """log(exp(a) + exp(b)), of which the larger one is taken out; two infinities have no difference."""
        high = a if a > b or a != a else b
        low = b if a > b or a != a else a
        apart = low - high
        return high + math.log(ONE + math.exp(apart)) if apart == apart else high
    return combine


@cuda.jit(device=True)
def not_smaller(new, old):
    return new != new or new >= old                 # nan wins, and then only nan does


@cuda.jit(device=True)
def not_larger(new, old):
    return new != new or new <= old


# ---- the kernels. Element j of row (i, k) lies at (i * n + j) * inner + k
@functools.lru_cache(None)
def serial_kernel(element, combine):
    @cuda.jit
    def serial(x, o, n, inner, rows):
        t = cuda.grid(1)
        if t < rows:
            first = t // inner * n * inner + t % inner
            total = element(x, first, 0)
            o[first] = total
            for j in range(1, n):
                at = first + j * inner
                total = combine(x, first, inner, total, element(x, at, j))
                o[at] = total
    return serial


@functools.lru_cache(None)
def pieces_kernel(element, combine, S, threads):
    """Rows whose elements are neighbours. Block (row, piece) scans a piece, and writes its total."""
    warps = threads // 32

    @cuda.jit
    def pieces(x, o, totals, n, pieces):
        carried = cuda.shared.array(warps, S)
        t = cuda.threadIdx.x
        lane = t % 32
        warp = t // 32
        first = cuda.blockIdx.x // pieces * n
        piece = cuda.blockIdx.x % pieces
        begin = piece * PIECE
        end = min(begin + PIECE, n)
        carry = element(x, first + begin, begin)
        for base in range(begin, end, threads):
            j = base + t
            k = min(j, end - 1)                     # threads beyond the end repeat the last element, and write nothing
            total = element(x, first + k, k)
            for e in range(5):
                d = 1 << e
                before = cuda.shfl_up_sync(FULL, total, d)
                if lane >= d:
                    total = combine(x, first, 1, before, total)
            if lane == 31:
                carried[warp] = total
            cuda.syncthreads()
            if warp == 0:                           # scan the warps' totals
                w = carried[min(lane, warps - 1)]
                for e in range(5):
                    d = 1 << e
                    before = cuda.shfl_up_sync(FULL, w, d)
                    if lane >= d:
                        w = combine(x, first, 1, before, w)
                if lane < warps:
                    carried[lane] = w
            cuda.syncthreads()
            if warp > 0:
                total = combine(x, first, 1, carried[warp - 1], total)
            if base > begin:
                total = combine(x, first, 1, carry, total)
            if j < end:
                o[first + j] = total
            carry = carried[warps - 1] if base == begin else combine(x, first, 1, carry, carried[warps - 1])
            cuda.syncthreads()                      # `carried` may be written again
        if t == 0:
            totals[cuda.blockIdx.x] = o[first + end - 1]
    return pieces


@functools.lru_cache(None)
def carry_kernel(combine, S):
    """A piece takes in the total of all pieces before it."""
    @cuda.jit
    def carry(x, o, totals, n, pieces, total):
        i = cuda.grid(1)
        if i < total:
            j = i % n
            piece = j // PIECE
            if piece > 0:
                row = i // n
                o[i] = combine(x, row * n, 1, S(totals[row * pieces + piece - 1]), S(o[i]))
    return carry


@functools.lru_cache(None)
def totals_kernel(combine, S):
    """A thread per row scans the totals of its pieces."""
    @cuda.jit
    def scan_totals(x, totals, n, pieces, rows):
        r = cuda.grid(1)
        if r < rows:
            total = S(totals[r * pieces])
            for p in range(1, pieces):
                total = combine(x, r * n, 1, total, S(totals[r * pieces + p]))
                totals[r * pieces + p] = total
    return scan_totals


@functools.lru_cache(None)
def look_up_kernel():
    @cuda.jit
    def look_up(x, at, o, n, inner, total):
        """o[i] = the element of i's row at place at[i]."""
        i = cuda.grid(1)
        if i < total:
            o[i] = x[i // (n * inner) * n * inner + at[i] * inner + i % inner]
    return look_up


# ---- what the library calls
def scan(x, dim, parts, dtype):
    """Scan a contiguous array along `dim`, with parts = (element, combine, type carried)."""
    element, combine, S = parts
    out, machine, n = empty(x.machine, x.shape, dtype), x.machine, x.shape[dim]
    inner = math.prod(x.shape[dim + 1:])
    rows = x.size // n if n else 0
    if not rows:
        return out
    if machine.simulated or inner > 1 or n <= 64 or rows >= 16384:
        launch(machine, serial_kernel(element, combine), rows, n, x, out, n, inner, rows)
        return out
    pieces = ceil_div(n, PIECE)
    totals = empty(machine, (rows * pieces,), S.numpy)
    pieces_kernel(element, combine, S, THREADS)[rows * pieces, THREADS](x, out, totals, n, pieces)
    if pieces > 1:
        launch(machine, totals_kernel(combine, S), rows, pieces, x, totals, n, pieces, rows)
        launch(machine, carry_kernel(combine, S), x.size, 1, x, out, totals, n, pieces, x.size)
    return out


def launch(machine, kernel, count, work, *args):
    block = elementwise.block(count)
    machine.launch(kernel, (ceil_div(count, block), 1, 1), (block, 1, 1), 0, args, work=work)


def along(x, dim, combine):
    """A scan of numbers; `combine` of their type."""
    if not x.ndim:
        return elementwise.cast(x, x.dtype)
    return scan(contiguous(x), dim % x.ndim, numbers(computing_type(x.dtype), combine), x.dtype)


def cumsum(x, *, dim):
    return along(x, dim, add)


def cumprod(x, *, dim):
    return along(x, dim, multiply)


def logcumsumexp(x, *, dim):
    return along(x, dim, log_add_exp(computing_type(x.dtype)))


def extreme(x, dim, wins):
    """(running extremes, the places where they were last)"""
    if not x.ndim:
        return elementwise.cast(x, x.dtype), full(x.machine, (), 0, np.int64)
    x, dim = contiguous(x), dim % x.ndim
    T = type_of(np.uint8 if x.dtype.kind == "b" else x.dtype)
    seen = elementwise.Array(x.buffer, x.shape, x.strides, x.offset, T.numpy)
    at = scan(seen, dim, places(computing_type(T.numpy), wins), np.dtype(np.int64))
    values = empty(x.machine, x.shape, x.dtype)
    if x.size:
        inner = math.prod(x.shape[dim + 1:])
        launch(x.machine, look_up_kernel(), x.size, 1, x, at, values, x.shape[dim], inner, x.size)
    return values, at


def cummax(x, *, dim):
    return extreme(x, dim, not_smaller)


def cummin(x, *, dim):
    return extreme(x, dim, not_larger)


def cases():
    """(name, kernel, arguments) for the checker of compiled code."""
    from .check import ptr
    for C in (float32, float64, int64):
        p = ptr(C.name)
        ways = [("add", numbers(C, add)), ("places", places(C, not_smaller))]
        if C is not int64:
            ways.append(("log_add_exp", numbers(C, log_add_exp(C))))
        for name, (element, combine, S) in ways:
            o = ptr(S.name)
            yield f"scan.serial {name}", serial_kernel(element, combine), (p, o, 9, 1, 9)
            yield f"scan.pieces {name}", pieces_kernel(element, combine, S, THREADS), (p, o, o, 9999, 5)
            yield f"scan.totals {name}", totals_kernel(combine, S), (p, o, 9999, 5, 1)
            yield f"scan.carry {name}", carry_kernel(combine, S), (p, o, o, 9999, 5, 9999)
        yield "scan.look_up", look_up_kernel(), (p, ptr("int64"), p, 9, 1, 9)


def main():
    """Every version against the specification."""
    from . import lesson, memory
    from .array import from_numpy
    machine, rng = memory.default(), np.random.default_rng(0)
    for n in (1, 33, 300, PIECE + 5):
        host = rng.standard_normal((2, n)).astype(np.float32)
        x = from_numpy(machine, host)
        ways = [("sum", add, np.add), ("log-sum-exp", log_add_exp(float32), np.logaddexp)]
        for name, combine, oracle in ways:
            right = spec(oracle, host.astype(np.float64))
            element, combined, S = numbers(float32, combine)
            out, pieces = empty(machine, x.shape, x.dtype), ceil_div(n, PIECE)
            launch(machine, serial_kernel(element, combined), 2, n, x, out, n, 1, 2)
            lesson.check(f"serial {name} {n}", out, right, 1e-5)
            out = empty(machine, x.shape, x.dtype)
            totals, threads = empty(machine, (2 * pieces,), x.dtype), 64
            pieces_kernel(element, combined, S, threads)[2 * pieces, threads](x, out, totals, n, pieces)
            if pieces > 1:
                launch(machine, totals_kernel(combined, S), 2, pieces, x, totals, n, pieces, 2)
                launch(machine, carry_kernel(combined, S), x.size, 1, x, out, totals, n, pieces, x.size)
            lesson.check(f"pieces {name} {n}", out, right, 1e-5)


if __name__ == "__main__":
    main()
