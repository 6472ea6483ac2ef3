"""Races that hide: lanes that have met or not, and accesses behind the last one."""
import numpy as np

from tests.simulated import launch
from tests.test_simulator_checks import fails, ones, run
from tinygrad_edu.kernels.provider import cuda, float32

assert launch                                       # a fixture


# ---- races: only the lanes that a mask names have met
def half_a_warp_shuffles(a, o):
    s = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    s[t] = a[t]
    if t < 16:
        x = cuda.shfl_xor_sync(0xFFFF, a[t], 1)
        o[t] = s[31 - t] + x


def half_a_warp_waits(a, o, mask):
    s = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    s[t] = a[t]
    if t < 16:
        cuda.syncwarp(mask)
        o[t] = s[15 - t]


def half_a_warp_waits_for_all(a, o):
    t = cuda.threadIdx.x
    if t < 16:
        cuda.syncwarp()
    o[t] = a[t]


def two_groups(a, o, apart):
    s = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    s[t] = a[t]
    cuda.syncwarp(0xFFFF if t < 16 else 0xFFFF0000)
    o[t] = s[t ^ apart]


def by_way_of_others(a, o):
    s = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    s[t] = a[t]
    if t < 20:
        cuda.syncwarp(0xFFFFF)
    if t >= 16:
        cuda.syncwarp(0xFFFF0000)
    if t > 20:
        o[t] = s[31 - t]                            # lanes 16 to 19 have met both


def test_who_met_whom_in_a_warp():
    fails(half_a_warp_shuffles, 1, 32, ones(32), ones(32), at="o[t] =", says=r"race: reads s\[31\]")
    run(half_a_warp_waits, 1, 32, ones(32), ones(32), 0xFFFF)
    fails(half_a_warp_waits, 1, 32, ones(32), ones(32), 0xFF, reverse=True, at="cuda.syncwarp",
          says=r"cuda.syncwarp: lane 15 calls it, but is not in the mask 0x000000ff")
    fails(half_a_warp_waits, 1, 32, ones(32), ones(32), 0x1FFFF, at="cuda.syncwarp", says="names lane 16")
    fails(half_a_warp_waits_for_all, 1, 32, ones(32), ones(32), says="cuda.syncwarp: the mask 0xffffffff names lane 16")
    run(half_a_warp_waits_for_all, 1, 16, ones(32), ones(32))
    run(two_groups, 1, 32, ones(32), ones(32), 1)
    fails(two_groups, 1, 32, ones(32), ones(32), 16, at="o[t] =", says="race: reads s")
    run(by_way_of_others, 1, 32, ones(32), ones(32))
    run(by_way_of_others, 1, 32, ones(32), ones(32), reverse=True)


def those_who_are_here(a, o):
    t = cuda.threadIdx.x
    if t % 3 == 0:
        here = cuda.activemask()
        o[t] = cuda.shfl_sync(here, a[t], 3) + cuda.popc(here)


def test_activemask_in_a_branch(launch):
    a, o = np.arange(32.0), np.zeros(32)
    launch(those_who_are_here, 1, 32, a, o)
    assert o.tolist() == [0 if t % 3 else 14 for t in range(32)]


# ---- races: whoever is hidden behind the last access
def two_writers(o, p):
    t = cuda.threadIdx.x
    if t == 0 or t == 32:
        o[0] = 5
    cuda.syncwarp()
    if t == 33:
        p[0] = o[0]


def counted_by_blocks(c, o):
    cuda.atomic.add(c, 0, 1)
    cuda.syncthreads()
    if cuda.blockIdx.x == cuda.gridDim.x - 1:
        o[cuda.threadIdx.x] = c[0]


def counted_by_warps(c, o):
    t = cuda.threadIdx.x
    if t >= 32:
        cuda.atomic.add(c, 0, 1)
    cuda.syncwarp()
    if t < 2:
        cuda.atomic.add(c, 0, 1)
    cuda.syncwarp()
    if t == 3:
        o[0] = c[0]


def read_by_another_block(o, p):
    """Block 0 reads; block 1 reads, too, waits, and writes."""
    t = cuda.threadIdx.x
    p[cuda.grid(1)] = o[0]
    cuda.syncthreads()
    p[cuda.grid(1)] = o[0] + 1
    cuda.syncthreads()
    if cuda.blockIdx.x == 1 and t == 0:
        o[0] = 3


def test_races_behind_the_last_access():
    for reverse in (False, True):
        fails(two_writers, 1, 64, ones(1), ones(1), at="p[0] =", says=r"reads o\[0\], which thread \(0, 0, 0\) has wr",
              reverse=reverse)
        fails(counted_by_blocks, 3, 2, ones(1), ones(2), at="o[cuda", says=r"of block \(1, 0, 0\) changes by an atomic",
              reverse=reverse)
        fails(counted_by_warps, 1, 64, ones(1), ones(2), at="o[0] =", says="put cuda.syncthreads", reverse=reverse)
        fails(read_by_another_block, 2, 2, ones(1), ones(4), at="o[0] = 3", says=r"of block \(0, 0, 0\) has read",
              reverse=reverse)
