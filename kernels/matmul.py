"""Matrix products: from a thread per element to tiles in registers.

    for i in range(M):
        for j in range(N):
            for k in range(K):
                c[i, j] += a[i, k] * b[k, j]

It knows neither layers nor gradients. A matrix is an address and two strides, so a transposed one costs nothing;
batches have two more (matrices.py). In order of ideas, with what a product reads from global memory:

    naive      a thread computes one element                                           2 numbers
    tiled      a block shares 16 x 16 tiles in shared memory; 16 threads use each      2 / 16
    registers  tiles of 64 or 128, a thread computes 4 x 4 or 8 x 8 elements of them   2 / 64 or 2 / 128; of shared
                                                                                       memory 2 / 4 or 2 / 8, not 2
    dots       a block computes one element, its threads sum: for vectors              2, nothing can be used twice

The simulator has its own versions: strips.py. A GPU multiplies and adds 30 to 70 trillion times a second and reads a
trillion numbers: without reuse it waits. Where there are fewer tiles than a GPU can hold, K is cut into splits, and a
second kernel adds up the parts, in order: the same bits every time. Halves add up in float32. beta * d + alpha * c is
computed while c is in registers.
"""
from __future__ import annotations

import functools

import numpy as np

from . import strips
from .array import ceil_div, empty, from_numpy
from .matrices import Product, adding_type, batch_at, make_finish
from .provider import cuda, float32, jit, type_of
from .vector import load, load4, store, store4

TILE = 16                                           # of `tiled`
DOT = 128                                           # threads that sum for one element in `dots`


# ---- the specification
def spec(a, b, d=None, alpha=1, beta=1):
    """What every version computes, in numpy."""
    wide = np.float32 if a.dtype.itemsize == 2 and a.dtype.kind == "f" else a.dtype
    out = np.matmul(a.astype(wide), b.astype(wide))
    if d is None or beta == 0:
        return (out if alpha == 1 else alpha * out).astype(a.dtype)
    return (alpha * out + beta * d.astype(wide)).astype(a.dtype)


@functools.lru_cache(None)
def make_fetch(A):
    zero = A.numpy.type(0)

    def fetch(p, at, row, rows, row_step, column, columns, column_step):
        """An element of a matrix, 0 outside it."""
        return A(p[at + row * row_step + column * column_step]) if row < rows and column < columns else zero
    return jit(fetch, device=True)


# ---- the kernels. T is the type of the elements, A the type in which they add up
@functools.lru_cache(None)
def make_naive(T, A, mode):
    finish, zero = make_finish(A, mode), A.numpy.type(0)

    def naive(a, b, c, d, sizes, sa, sb, sc, sd, alpha, beta):
        M, N, K, _, first, inner, splits, depth = sizes
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        j = cuda.blockIdx.y
        split, batch = cuda.blockIdx.z % splits, first + cuda.blockIdx.z // splits
        if i < M:
            p = batch_at(batch, inner, sa) + i * sa[2]
            q = batch_at(batch, inner, sb) + j * sb[3]
            total = zero
            for k in range(split * depth, min(split * depth + depth, K)):
                total += A(a[p + k * sa[3]]) * A(b[q + k * sb[2]])
            e = batch_at(batch, inner, sd) + i * sd[2] + j * sd[3]
            c[split * sc[4] + batch_at(batch, inner, sc) + i * sc[2] + j * sc[3]] = T(finish(total, d, e, alpha, beta))
    return jit(naive)


@functools.lru_cache(None)
def make_tiled(T, A, mode, a_down, b_down):
    """a_down, b_down: the columns lie in memory from top to bottom. Neighbouring threads should read neighbours."""
    finish, fetch, zero = make_finish(A, mode), make_fetch(A), A.numpy.type(0)

    def tiled(a, b, c, d, sizes, sa, sb, sc, sd, alpha, beta):
        M, N, K, _, first, inner, splits, depth = sizes
        tile_a = cuda.shared.array((TILE, TILE), A)
        tile_b = cuda.shared.array((TILE, TILE), A)
        x, y = cuda.threadIdx.x, cuda.threadIdx.y
        i0, j0 = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TILE
        split, batch = cuda.blockIdx.z % splits, first + cuda.blockIdx.z // splits
        p, q = batch_at(batch, inner, sa), batch_at(batch, inner, sb)
        last = min(split * depth + depth, K)
        total = zero
        for k0 in range(split * depth, last, TILE):
            if a_down:
                tile_a[x, y] = fetch(a, p, i0 + x, M, sa[2], k0 + y, last, sa[3])
            else:
                tile_a[y, x] = fetch(a, p, i0 + y, M, sa[2], k0 + x, last, sa[3])
            if b_down:
                tile_b[x, y] = fetch(b, q, k0 + x, last, sb[2], j0 + y, N, sb[3])
            else:
                tile_b[y, x] = fetch(b, q, k0 + y, last, sb[2], j0 + x, N, sb[3])
            cuda.syncthreads()                      # both tiles are there
            for k in range(TILE):
                total += tile_a[y, k] * tile_b[k, x]
            cuda.syncthreads()                      # nobody reads them any more
        i, j = i0 + y, j0 + x
        if i < M and j < N:
            e = batch_at(batch, inner, sd) + i * sd[2] + j * sd[3]
            c[split * sc[4] + batch_at(batch, inner, sc) + i * sc[2] + j * sc[3]] = T(finish(total, d, e, alpha, beta))
    return jit(tiled)


@functools.lru_cache(None)
def make_fetch4(T, A, vector):
    zero = A.numpy.type(0)

    def fetch4(p, at, line, lines, line_step, place, places, step):
        """Four neighbours of a line of a matrix, zeros outside it; in one 16-byte load if `vector`."""
        if line >= lines:
            return zero, zero, zero, zero
        q = at + line * line_step + place * step
        if vector and place + 4 <= places:
            return load4(p, q)
        return (A(p[q]) if place < places else zero, A(p[q + step]) if place + 1 < places else zero,
                A(p[q + 2 * step]) if place + 2 < places else zero, A(p[q + 3 * step]) if place + 3 < places else zero)
    return jit(fetch4, device=True)


@functools.lru_cache(None)
def make_registers(T, A, mode, a_down, b_down, vector, halves):
    """256 threads compute a tile of 64 x 64 (halves = 1) or 128 x 128 (halves = 2) elements of c.

    A thread has four rows and four columns, and with two halves also those 64 further on: so the 16-byte reads of
    neighbouring threads are neighbours, too. While it multiplies two tiles, the next two are on their way.
    """
    SIDE, DEEP = 64 * halves, 16 // halves
    LINE = SIDE + 4                                 # padded: columns that are stored side by side lie in other banks
    TILES = 2 * DEEP * LINE
    EACH, ACROSS, DOWN = 4 * halves, SIDE // 4, DEEP // 4
    finish, fetch4, zero = make_finish(A, mode), make_fetch4(T, A, vector), A.numpy.type(0)
    read4, write4 = (load4, store4) if A is float32 else (jit(load, device=True), jit(store, device=True))

    def outer(total, x, y, tile_a, p, tile_b, q):
        """total[i, j] += x[i] * y[j] for one k"""
        for h in range(halves):
            x[4 * h], x[4 * h + 1], x[4 * h + 2], x[4 * h + 3] = read4(tile_a, p + 64 * h)
            y[4 * h], y[4 * h + 1], y[4 * h + 2], y[4 * h + 3] = read4(tile_b, q + 64 * h)
        for i in range(EACH):
            for j in range(EACH):
                total[i, j] += x[i] * y[j]
    outer = jit(outer, device=True)

    def registers(a, b, c, d, sizes, sa, sb, sc, sd, alpha, beta):
        M, N, K, _, first, inner, splits, depth = sizes
        tile_a = cuda.shared.array(TILES, A)        # two tiles, one behind the other; in each, k rows of m elements
        tile_b = cuda.shared.array(TILES, A)
        total = cuda.local.array((EACH, EACH), A)   # in registers: every index is known once the loops are unrolled
        x = cuda.local.array(EACH, A)
        y = cuda.local.array(EACH, A)
        t = cuda.threadIdx.x
        i0, j0 = cuda.blockIdx.x * SIDE, cuda.blockIdx.y * SIDE
        split, batch = cuda.blockIdx.z % splits, first + cuda.blockIdx.z // splits
        at_a, at_b = batch_at(batch, inner, sa), batch_at(batch, inner, sb)
        tx, ty = t % 16 * 4, t // 16 * 4            # the first column and row of this thread
        side, deep = t // DOWN, t % DOWN * 4        # what it fetches where k runs along memory ...
        deep_t, side_t = t // ACROSS, t % ACROSS * 4            # ... and where m runs along memory
        for i in range(EACH):
            for j in range(EACH):
                total[i, j] = zero
        start = split * depth
        last = min(start + depth, K)
        steps = (last - start + DEEP - 1) // DEEP
        for step in range(-1, steps):               # step -1 only fills the first tiles
            k0 = start + (step + 1) * DEEP
            more = step + 1 < steps
            if more:                                # these loads arrive while the products below are computed
                if a_down:
                    a0, a1, a2, a3 = fetch4(a, at_a, k0 + deep_t, last, sa[3], i0 + side_t, M, sa[2])
                else:
                    a0, a1, a2, a3 = fetch4(a, at_a, i0 + side, M, sa[2], k0 + deep, last, sa[3])
                if b_down:
                    b0, b1, b2, b3 = fetch4(b, at_b, j0 + side, N, sb[3], k0 + deep, last, sb[2])
                else:
                    b0, b1, b2, b3 = fetch4(b, at_b, k0 + deep_t, last, sb[2], j0 + side_t, N, sb[3])
            if step >= 0:
                now = step % 2 * (DEEP * LINE)
                for k in range(0, DEEP, 2):
                    p = now + k * LINE
                    outer(total, x, y, tile_a, p + ty, tile_b, p + tx)
                    outer(total, x, y, tile_a, p + LINE + ty, tile_b, p + LINE + tx)
            if more:
                then = (step + 1) % 2 * (DEEP * LINE)
                p, q = then + deep_t * LINE + side_t, then + deep * LINE + side
                if a_down:
                    write4(tile_a, p, a0, a1, a2, a3)
                else:
                    tile_a[q], tile_a[q + LINE], tile_a[q + 2 * LINE], tile_a[q + 3 * LINE] = a0, a1, a2, a3
                if b_down:
                    tile_b[q], tile_b[q + LINE], tile_b[q + 2 * LINE], tile_b[q + 3 * LINE] = b0, b1, b2, b3
                else:
                    write4(tile_b, p, b0, b1, b2, b3)
            cuda.syncthreads()
        at_c, at_d = split * sc[4] + batch_at(batch, inner, sc), batch_at(batch, inner, sd)
        for i in range(EACH):
            row = i0 + i // 4 * 64 + ty + i % 4
            for j in range(EACH):
                column = j0 + j // 4 * 64 + tx + j % 4
                if row < M and column < N:
                    e = at_d + row * sd[2] + column * sd[3]
                    c[at_c + row * sc[2] + column * sc[3]] = T(finish(total[i, j], d, e, alpha, beta))
    return jit(registers)


@functools.lru_cache(None)
def make_dots(T, A, mode):
    finish, zero = make_finish(A, mode), A.numpy.type(0)

    def dots(a, b, c, d, sizes, sa, sb, sc, sd, alpha, beta):
        M, N, K, _, first, inner, splits, depth = sizes
        sums = cuda.shared.array(DOT, A)
        i, j, t = cuda.blockIdx.x, cuda.blockIdx.y, cuda.threadIdx.x
        split, batch = cuda.blockIdx.z % splits, first + cuda.blockIdx.z // splits
        p = batch_at(batch, inner, sa) + i * sa[2]
        q = batch_at(batch, inner, sb) + j * sb[3]
        total = zero
        for k in range(split * depth + t, min(split * depth + depth, K), DOT):
            total += A(a[p + k * sa[3]]) * A(b[q + k * sb[2]])
        sums[t] = total
        cuda.syncthreads()
        half = DOT // 2
        while half > 0:                             # a tree: 64 add, then 32 ...
            if t < half:
                sums[t] += sums[t + half]
            cuda.syncthreads()
            half //= 2
        if t == 0:
            e = batch_at(batch, inner, sd) + i * sd[2] + j * sd[3]
            p = split * sc[4] + batch_at(batch, inner, sc) + i * sc[2] + j * sc[3]
            c[p] = T(finish(sums[0], d, e, alpha, beta))
    return jit(dots)


@functools.lru_cache(None)
def make_parts(T, A, mode):
    finish = make_finish(A, mode)

    def add_parts(parts, c, d, sizes, sc, sd, alpha, beta):
        """c = the sum of the splits' parts, in order."""
        M, N, _, batches, _, inner, splits, _ = sizes
        t = cuda.grid(1)
        if t < batches * M * N:
            batch, i, j = t // (M * N), t // N % M, t % N
            p = batch_at(batch, inner, sc) + i * sc[2] + j * sc[3]
            total = parts[p]
            for split in range(1, splits):
                total += parts[p + split * sc[4]]
            e = batch_at(batch, inner, sd) + i * sd[2] + j * sd[3]
            c[p] = T(finish(total, d, e, alpha, beta))
    return jit(add_parts)


# ---- what the library calls
BLOCKS = 264                                        # enough to fill a large GPU, two on each of its processors
LARGEST = 65535                                     # blocks along y and z


def matmul(a, b):
    """a @ b: (*, n, m) and (*, m, p), the batches broadcast."""
    return run(Product(a, b))


def addmm(input, first, second, *, beta, alpha):
    """beta * input + alpha * (first @ second)"""
    return run(Product(first, second, input, alpha, beta))


def run(product):
    """Compute a Product by the version that suits its size and its machine."""
    p, machine = product, product.c.machine
    if not p.c.size:
        return p.c
    if machine.simulated:
        strips.run(p)
        return p.c
    kernel, block, tile = choose(p)
    if ceil_div(p.N, tile[1]) > LARGEST and p.N > p.M:
        p.turn()                                    # many columns are many rows: they go along x
        kernel, block, tile = choose(p)
    splits, depth = split(p, tile)
    for part in pieces(p, LARGEST // splits):
        launch(part, kernel, block, tile, splits, depth)
    return p.c


def choose(p):
    """(the factory of the version, its block, the tile of c that a block computes)"""
    a_down, b_down = p.sa[2] == 1 and p.sa[3] != 1, p.sb[2] == 1 and p.sb[3] != 1
    if min(p.M, p.N) <= 2 and p.K >= 4 * DOT and not (a_down or p.sb[3] == 1 < p.N):
        return make_dots, DOT, (1, 1)
    if min(p.M, p.N) <= 2 * TILE:
        return functools.partial(make_tiled, a_down=a_down, b_down=b_down), (TILE, TILE), (TILE, TILE)
    large = p.A is float32 and ceil_div(p.M, 128) * ceil_div(p.N, 128) * p.batches >= BLOCKS // 2
    side = 128 if large else 64
    return functools.partial(make_registers, a_down=a_down, b_down=b_down, vector=vectors(p, a_down, b_down),
                             halves=side // 64), 256, (side, side)


def vectors(p, a_down, b_down):
    """Whether four neighbours can be loaded at once: they are neighbours, and their addresses divide by 16."""
    def fits(x, s, down):
        line, place = (s[3], s[2]) if down else (s[2], s[3])
        return place == 1 and not any([n % 4 for n in (x.offset, line, s[0], s[1])])
    return p.a.dtype == np.float32 and fits(p.a, p.sa, a_down) and fits(p.b, p.sb, b_down)


def split(p, tile):
    """(into how many parts K is cut, how much of K each adds up)"""
    blocks = ceil_div(p.M, tile[0]) * ceil_div(p.N, tile[1]) * p.batches
    splits = max(1, min(BLOCKS // blocks, p.K // 256, 64))
    depth = ceil_div(ceil_div(p.K, splits), 16) * 16
    return (ceil_div(p.K, depth), depth) if splits > 1 else (1, p.K)


def pieces(p, most):
    """The product itself, or where a grid has no room for the batch one product after the other for parts of it."""
    if p.batches <= most:
        return [p]
    return [p.part(first, min(most, p.batches - first)) for first in range(0, p.batches, most)]


def launch(p, factory, block, tile, splits, depth):
    machine, block = p.c.machine, (block, 1, 1) if isinstance(block, int) else (*block, 1)
    grid = ceil_div(p.M, tile[0]), ceil_div(p.N, tile[1]), p.batches * splits
    if splits == 1:
        machine.launch(factory(p.T, p.A, p.mode), grid, block, 0, p.arguments())
        return
    parts = empty(machine, (splits, *p.c.shape), p.A.numpy)
    machine.launch(factory(p.A, p.A, "plain"), grid, block, 0, p.arguments(parts, splits, depth))
    _, _, _, d, sizes, _, _, sc, sd, alpha, beta = p.arguments(None, splits, depth)
    n = p.M * p.N * p.batches
    machine.launch(make_parts(p.T, p.A, p.mode), (ceil_div(n, 256), 1, 1), (256, 1, 1), 0,
                   [parts, p.c, d, sizes, sc, sd, alpha, beta])


# ---- checking and timing
def versions(p):
    """(name, factory, block, tile) of every version for a GPU, for one product."""
    a_down, b_down = p.sa[2] == 1 and p.sa[3] != 1, p.sb[2] == 1 and p.sb[3] != 1
    down = {"a_down": a_down, "b_down": b_down}
    yield "naive", make_naive, 64, (64, 1)
    yield "tiled", functools.partial(make_tiled, **down), (TILE, TILE), (TILE, TILE)
    for halves in (1, 2) if p.A is float32 else (1,):
        side, vector = 64 * halves, vectors(p, a_down, b_down)
        factory = functools.partial(make_registers, **down, vector=vector, halves=halves)
        yield f"registers, {side} x {side}", factory, 256, (side, side)
    yield "dots", make_dots, DOT, (1, 1)


def check(machine, dtype, sizes, turn_a=False, turn_b=False, batch=(), splits=1):
    """(name of a version, its largest relative error) for random matrices of these sizes."""
    draw, (M, N, K) = np.random.default_rng(0), sizes

    def matrix(rows, columns, turn):
        host = draw.standard_normal((*batch, *((columns, rows) if turn else (rows, columns)))) * 4
        made = from_numpy(machine, host.astype(dtype))
        order = range(len(batch)), (made.ndim - 1, made.ndim - 2) if turn else (made.ndim - 2, made.ndim - 1)
        return made.permute((*order[0], *order[1]))
    a, b, d = matrix(M, K, turn_a), matrix(K, N, turn_b), matrix(1, N, False)
    wanted = spec(a.numpy(), b.numpy(), d.numpy(), 2, 3).astype(np.float64)

    def error(c):
        return np.abs(c.numpy() - wanted).max() / np.abs(wanted).max()
    for name, factory, block, tile in versions(Product(a, b)):
        p = Product(a, b, d, 2, 3)
        launch(p, factory, block, tile, splits, ceil_div(ceil_div(K, splits), 16) * 16)
        yield name, error(p.c)
    yield "what the library chooses", error(addmm(d, a, b, alpha=2, beta=3))


def main():
    from .memory import default
    machine = default()
    for dtype, most in ((np.float32, 1e-6), (np.float64, 1e-14), (np.float16, 2e-3), (np.int8, 0)):
        for layout in ({}, {"turn_a": True}, {"turn_b": True}, {"batch": (2,)}, {"splits": 2}):
            for name, error in check(machine, dtype, (17, 13, 35) if machine.simulated else (131, 67, 99), **layout):
                assert error <= most, f"{name} of {np.dtype(dtype)}, {layout}, is off by {error}"
                print(f"{np.dtype(dtype)!s:8} {layout!s:20} {name:25} differs by {error:.0e}")
    measure(machine)


def measure(machine):
    """Billions of products a second of every version on a GPU; how many threads and launches in the simulator."""
    n = 64 if machine.simulated else 4096
    a, b = [from_numpy(machine, np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)) for _ in range(2)]
    for name, factory, block, tile in versions(Product(a, b)):
        blocks = ceil_div(n, tile[0]) * ceil_div(n, tile[1])
        told = f"{n} x {n} x {n}: {name:25} {blocks:,} blocks of {block} threads"
        if not machine.simulated:
            took = seconds(machine, launch, Product(a, b), factory, block, tile, 1, n)
            told += f", {n ** 3 / took / 1e9:.0f} billion products a second"
        print(told)


def seconds(machine, program, *args, times=10):
    import time
    program(*args)
    machine.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        program(*args)
    machine.synchronize()
    return (time.perf_counter() - start) / times


def cases():
    from .check import ptr
    for name in ("float32", "float64", "float16", "int64", "uint8"):
        p = ptr(name)
        T, A = type_of(p), adding_type(p)
        number = 1 if A.numpy.kind == "i" else A.numpy.type(1)
        rest = (1,) * 8, (1,) * 4, (1,) * 4, (1,) * 5, (1,) * 4, number, number
        for mode in ("plain", "scaled", "affine"):
            yield f"naive {name} {mode}", make_naive(T, A, mode), (p, p, p, p, *rest)
            yield f"dots {name} {mode}", make_dots(T, A, mode), (p, p, p, p, *rest)
            yield f"add_parts {name} {mode}", make_parts(T, A, mode), (
                ptr(A.name), p, p, rest[0], rest[3], rest[4], number, number)
        for down in (False, True):
            yield f"tiled {name} down={down}", make_tiled(T, A, "affine", down, down), (p, p, p, p, *rest)
            for halves in (1, 2) if A is float32 else (1,):
                for vector in (False, True) if T is float32 else (False,):
                    yield f"registers {name} down={down} halves={halves} vector={vector}", make_registers(
                        T, A, "affine", down, down, vector, halves), (p, p, p, p, *rest)


if __name__ == "__main__":
    main()
