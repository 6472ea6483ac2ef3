"""The simulator in Python: every construct that kernels may use, in both thread orders and under all checks."""
import numpy as np
import pytest

from tests.simulated import f4, launch, rand, rng
from tinygrad_edu.kernels.provider import cuda, float32, int32, int64, uint32

FULL, TILE = 0xFFFFFFFF, 16
assert launch                                       # a fixture


# ---- grids, blocks and memory
def vector_add(a, b, o):
    i = cuda.grid(1)
    if i >= o.size:
        return
    o[i] = a[i] + b[i]


def stride_loop(a, o):
    for i in range(cuda.grid(1), o.size, cuda.gridsize(1)):
        o[i] = 2 * a[i] + 1


def coordinates(o):
    x, y, z = cuda.grid(3)
    nx, ny, nz = cuda.gridsize(3)
    if x < o.shape[2] and y < o.shape[1] and z < o.shape[0]:
        o[z, y, x] = (z * ny + y) * nx + x


def block_indices(o):
    b = (cuda.blockIdx.z * cuda.gridDim.y + cuda.blockIdx.y) * cuda.gridDim.x + cuda.blockIdx.x
    t = (cuda.threadIdx.z * cuda.blockDim.y + cuda.threadIdx.y) * cuda.blockDim.x + cuda.threadIdx.x
    o[b, t] = 1000 * b + t


def test_grids_and_blocks(launch):
    for n in (1, 31, 1000):
        a, b, o = rand(n), rand(n), rand(n)
        launch(vector_add, -(-n // 64), 64, a, b, o)
        assert (o == a + b).all()
        launch(stride_loop, 2, 32, a, o)
        np.testing.assert_array_equal(o, (2 * a.astype("f8") + 1).astype("f4"))
    o = np.zeros((3, 4, 5), int)
    launch(coordinates, (2, 2, 3), (3, 2, 1), o)
    np.testing.assert_array_equal(o, np.arange(72).reshape(3, 4, 6)[:, :, :5])
    o = np.zeros((12, 24), int)
    launch(block_indices, (2, 3, 2), (4, 2, 3), o)
    np.testing.assert_array_equal(o, 1000 * np.arange(12)[:, None] + np.arange(24))


def tiled(a, b, out):
    sa = cuda.shared.array((TILE, TILE), float32)
    sb = cuda.shared.array((TILE, TILE), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    col, row = cuda.grid(2)
    total = float32(0)
    for k0 in range(0, a.shape[1], TILE):
        sa[ty, tx] = a[row, k0 + tx] if row < a.shape[0] and k0 + tx < a.shape[1] else float32(0)
        sb[ty, tx] = b[k0 + ty, col] if k0 + ty < b.shape[0] and col < b.shape[1] else float32(0)
        cuda.syncthreads()
        for k in range(TILE):
            total += sa[ty, k] * sb[k, tx]
        cuda.syncthreads()
    if row < out.shape[0] and col < out.shape[1]:
        out[row, col] = total


@pytest.mark.parametrize("m,k,n", [(17, 18, 16), (1, 20, 3)])
def test_tiled_matmul(launch, m, k, n):
    a, b, o = rand(m, k), rand(k, n), rand(m, n)
    launch(tiled, (-(-n // 16), -(-m // 16)), (16, 16), a, b, o)
    np.testing.assert_allclose(o, a @ b, rtol=1e-4, atol=1e-5)
    o = rand(n, m)                                  # strided views
    launch(tiled, (-(-m // 16), -(-n // 16)), (16, 16), b.T, a.T, o)
    np.testing.assert_allclose(o, b.T @ a.T, rtol=1e-4, atol=1e-5)


def scan(a, o):
    s = cuda.shared.array(0, float32)               # dynamic: its bytes come with the launch
    t = cuda.threadIdx.x
    s[t] = a[t] if t < a.size else float32(0)
    d = 1
    while d < cuda.blockDim.x:
        cuda.syncthreads()
        x = s[t - d] if t >= d else float32(0)
        cuda.syncthreads()
        s[t] += x
        d *= 2
    if t < a.size:
        o[t] = s[t]


def two_dynamic(o):
    a = cuda.shared.array(0, int32)                 # both start at the same address, as on a GPU
    b = cuda.shared.array(0, uint32)
    t = cuda.threadIdx.x
    a[t] = -1 - t
    cuda.syncthreads()
    o[t] = b[(t + 1) % 4]


def private(a, o):
    mine = cuda.local.array((2, 3), int64)
    i = cuda.grid(1)
    for r in range(2):
        for c in range(3):
            mine[r, c] = a[i] * (r + 1) + c
    cuda.syncthreads()
    mine[1, 2] += 100
    o[i] = mine[0, 0] + mine[1, 2]


def test_shared_and_local_memory(launch):
    a, o = rand(50), rand(50)
    launch(scan, 1, 64, a, o, shared=64 * 4)
    np.testing.assert_allclose(o, a.cumsum(), rtol=1e-4, atol=1e-5)
    o = np.zeros(4, np.int64)
    launch(two_dynamic, 1, 4, o, shared=16)
    assert o.tolist() == [2 ** 32 - 2, 2 ** 32 - 3, 2 ** 32 - 4, 2 ** 32 - 1]
    a, o = np.arange(16), np.zeros(16, int)
    launch(private, 2, 8, a, o)
    np.testing.assert_array_equal(o, a + 2 * a + 102)


# ---- barriers
def tree_sum(a, o):
    part = cuda.shared.array(64, float32)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    part[t] = a[i] if i < a.size else float32(0)
    cuda.syncthreads()
    step = 32
    while step > 0:
        if t < step:
            part[t] += part[t + step]
        cuda.syncthreads()
        step //= 2
    if t == 0:
        o[cuda.blockIdx.x] = part[0]


def relax(a, steps):
    """The end of the loop is decided in shared memory; some threads have returned; break and continue."""
    s = cuda.shared.array(32, float32)
    stop = cuda.shared.array(1, int32)
    t = cuda.threadIdx.x
    if t >= a.size:
        return
    s[t] = a[t]
    n = 0
    while True:
        cuda.syncthreads()
        left = s[max(t - 1, 0)]
        right = s[min(t + 1, a.size - 1)]
        cuda.syncthreads()
        if t == 0:
            stop[0] = 1
        n += 1
        cuda.syncthreads()
        new = max(s[t], max(left, right))
        changed = new != s[t]
        s[t] = new
        if changed:
            stop[0] = 0
        cuda.syncthreads()
        if stop[0]:
            break
        if n % 2:
            continue
        cuda.syncthreads()
    a[t] = s[t]
    steps[t] = n


def counted(a, o):
    t = cuda.threadIdx.x
    o[t, 0] = cuda.syncthreads_count(a[t] > 0)
    o[t, 1] = cuda.syncthreads_and(a[t] > 0)
    o[t, 2] = cuda.syncthreads_or(a[t] > 0)


def own_loops(a, o):
    """One warp a row: the number of turns differs between warps; only shuffles inside."""
    lane = cuda.threadIdx.x % 32
    for row in range(cuda.grid(1) // 32, a.shape[0], cuda.gridsize(1) // 32):
        x = float32(0)
        for j in range(lane, a.shape[1], 32):
            x += a[row, j]
        d = 16
        while d:
            x += cuda.shfl_xor_sync(FULL, x, d)
            d >>= 1
        if lane == 0:
            o[row] = x


def branches(a, o, n):
    s = cuda.shared.array(64, int64)
    t = cuda.threadIdx.x
    x = 0
    if n > 2:                                       # the same for all threads: a barrier may stand inside
        s[t] = a[t]
        cuda.syncthreads()
        x = s[63 - t]
    else:
        for k in range(n):
            s[t] = a[t] + k
            cuda.syncthreads()
            x += s[(t + 1) % 64]
            cuda.syncthreads()
    o[t] = x


def test_barriers(launch):
    a, o = rand(150), rand(3)
    launch(tree_sum, 3, 64, a, o)
    np.testing.assert_allclose(o, np.append(a, np.zeros(42)).reshape(3, 64).sum(1), rtol=1e-4, atol=1e-5)
    a, steps = rand(20), np.zeros(20, np.int32)
    top = a.max()
    launch(relax, 1, 32, a, steps)
    assert (a == top).all() and len(set(steps)) == 1
    a, o = np.arange(-3, 61), np.zeros((64, 3), int)
    launch(counted, 1, 64, a, o)
    assert (o == [60, 0, 1]).all()
    a = rand(5, 70)
    for threads in (64, 96):
        o = rand(5)
        launch(own_loops, 1, threads, a, o)
        np.testing.assert_allclose(o, a.sum(1), rtol=1e-4, atol=1e-5)
    a = np.arange(64)
    for n, want in ((3, a[::-1]), (2, 2 * np.roll(a, -1) + 1), (0, 0 * a)):
        o = np.zeros(64, int)
        launch(branches, 1, 64, a, o, n)
        np.testing.assert_array_equal(o, want)


# ---- warps
def shuffles(a, o):
    t = cuda.threadIdx.x
    x = a[t]
    o[t, 0] = cuda.shfl_sync(FULL, x, 3)
    o[t, 1] = cuda.shfl_up_sync(FULL, x, 2)
    o[t, 2] = cuda.shfl_down_sync(FULL, x, 5)
    o[t, 3] = cuda.shfl_xor_sync(FULL, x, 9)
    o[t, 4] = cuda.shfl_sync(FULL, x, (t * 7) % 32)


def votes(a, o):
    t = cuda.threadIdx.x
    o[t, 0] = cuda.ballot_sync(FULL, a[t] > 0)
    o[t, 1] = cuda.any_sync(FULL, a[t] > 30)
    o[t, 2] = cuda.all_sync(FULL, a[t] < 40)
    o[t, 3] = cuda.laneid
    o[t, 4] = cuda.popc(cuda.activemask())


def small_warp(a, o):
    t = cuda.threadIdx.x
    x = a[t]
    for d in (1, 2, 4):
        x += cuda.shfl_xor_sync(FULL, x, d)
    cuda.syncwarp()
    o[t] = x


def test_warps(launch):
    a, o = rand(64), np.zeros((64, 5), f4)
    launch(shuffles, 1, 64, a, o)
    for first in (0, 32):
        w, r, lane = a[first:first + 32], o[first:first + 32], np.arange(32)
        np.testing.assert_array_equal(r[:, 0], np.full(32, w[3]))
        np.testing.assert_array_equal(r[:, 1], np.append(w[:2], w[:-2]))
        np.testing.assert_array_equal(r[:, 2], np.append(w[5:], w[-5:]))
        np.testing.assert_array_equal(r[:, 3], w[lane ^ 9])
        np.testing.assert_array_equal(r[:, 4], w[lane * 7 % 32])
    a, o = np.arange(48), np.zeros((48, 5), int)
    launch(votes, 1, 48, a, o)
    assert o[:, 0].tolist() == [-2] * 32 + [2 ** 16 - 1] * 16
    assert o[:, 1].tolist() == [1] * 48 and o[:, 2].tolist() == [1] * 32 + [0] * 16
    assert o[:, 3].tolist() == [*range(32), *range(16)] and o[:, 4].tolist() == [32] * 32 + [16] * 16
    a, o = np.arange(8), np.zeros(8, int)
    launch(small_warp, 2, 8, a, o)                  # a block of 8 threads is a warp with 8 lanes
    assert o.tolist() == [28] * 8


def narrow(a, o):
    t = cuda.threadIdx.x
    if t < 16:                                      # sixteen lanes, and a mask that names them
        x = a[t] + cuda.shfl_xor_sync(0xFFFF, a[t], 8)
        o[t] = x


def test_a_shuffle_among_half_a_warp(launch):
    a, o = np.arange(32), np.zeros(32, int)
    launch(narrow, 1, 32, a, o)
    assert o.tolist() == [a[t] + a[t ^ 8] for t in range(16)] + [0] * 16


# ---- atomics
def atomics(a, o, f):
    t = cuda.threadIdx.x
    cuda.atomic.add(o, 0, a[t])
    cuda.atomic.sub(o, 1, a[t])
    cuda.atomic.max(o, 2, a[t])
    cuda.atomic.min(o, 3, a[t])
    cuda.atomic.and_(o, 4, a[t])
    cuda.atomic.or_(o, 5, a[t])
    cuda.atomic.xor(o, 6, a[t])
    cuda.atomic.inc(o, 7, 5)
    cuda.atomic.dec(o, 8, 5)
    cuda.atomic.exch(o, 9, 4)
    cuda.atomic.cas(o, 10, 0, 77)
    cuda.atomic.add(f, (t % 2, 1), 0.5)


def histogram(a, bins):
    h = cuda.shared.array(10, int32)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    if t < 10:
        h[t] = 0
    cuda.syncthreads()
    if i < a.size:
        cuda.atomic.add(h, a[i], 1)
    cuda.syncthreads()
    if t < 10:
        cuda.atomic.add(bins, t, h[t])


def tickets(o):
    o[cuda.grid(1) + 1] = 0
    mine = cuda.atomic.add(o, 0, 1)
    o[cuda.grid(1) + 1] = mine


def test_atomics(launch):
    a = np.array([3, 9, 4, 6], np.int32)
    for dtype in (np.int32, np.int64, np.uint32):
        o, f = np.array([0, 100, 5, 5, 15, 0, 0, 4, 1, 0, 0], dtype), np.zeros((2, 2), f4)
        launch(atomics, 1, 4, a, o, f)
        assert o.tolist() == [22, 78, 9, 3, 0, 15, 3 ^ 9 ^ 4 ^ 6, 2, 3, 4, 77]
        assert f.tolist() == [[0, 1], [0, 1]]
    a, bins = rng.integers(0, 10, 333), np.zeros(10, np.int32)
    launch(histogram, 6, 64, a, bins)
    np.testing.assert_array_equal(bins, np.bincount(a, minlength=10))
    o = np.zeros(9, np.int32)
    launch(tickets, 2, 4, o)
    assert sorted(o[1:]) == [*range(8)] and o[0] == 8
