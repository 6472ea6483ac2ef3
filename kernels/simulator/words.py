"""What the words of CUDA do in a block of loops: shuffles, votes, atomics, bit counts.

Plain Python functions, which both back ends use: as they are, or compiled by numba. They know arrays with one element a
thread and nothing of kernels. In each, `values[t]` is what thread t published, `active[t]` says whether it takes part,
and `t` is the thread that reads; a warp is 32 neighbours.

    cuda.shfl_down_sync(mask, x, 1)   ->   x0 = x; <all meet>; _shfl_down_sync(x0_all, active, t, _err, line, mask, 1)
"""
from __future__ import annotations

DIVERGED, ABSENT = 1, 2                             # what _err[0] may say; then block (3), line, thread, another one
HELPERS = {}                                        # name in kernels (cuda. left out, dots as underscores) -> function


def helper(function):
    HELPERS[function.__name__] = function
    return function


# ---- shuffles
@helper
def lane(values, active, t, source, err, line):
    if source >= len(active) or not active[source]:
        err[0] = 2
        err[4] = line
        err[5] = t
        err[6] = source
        return values[t]
    return values[source]


@helper
def shfl_sync(values, active, t, err, line, mask, source):
    return lane(values, active, t, t - t % 32 + int(source) % 32, err, line)


@helper
def shfl_up_sync(values, active, t, err, line, mask, delta):
    return values[t] if t % 32 < delta else lane(values, active, t, t - int(delta), err, line)


@helper
def shfl_down_sync(values, active, t, err, line, mask, delta):
    return values[t] if t % 32 + delta > 31 else lane(values, active, t, t + int(delta), err, line)


@helper
def shfl_xor_sync(values, active, t, err, line, mask, lanes):
    other = (t % 32) ^ int(lanes)
    return values[t] if other > 31 else lane(values, active, t, t - t % 32 + other, err, line)


# ---- votes
@helper
def ballot_sync(values, active, t, err, line, mask):
    first = t - t % 32
    bits = 0
    for k in range(first, min(first + 32, len(active))):
        if active[k] and values[k]:
            bits |= 1 << (k - first)
    return bits - ((bits >> 31) << 32)              # as an int32


@helper
def any_sync(values, active, t, err, line, mask):
    return ballot_sync(values, active, t, err, line, mask) != 0


@helper
def all_sync(values, active, t, err, line, mask):
    return ballot_sync(values, active, t, err, line, mask) == ballot_sync(active, active, t, err, line, mask)


@helper
def activemask(values, active, t, err, line, mask):
    return ballot_sync(active, active, t, err, line, mask) & 0xFFFFFFFF     # (a uint32, other than a ballot)


@helper
def masked_syncwarp(values, active, t, err, line, mask):
    return True


@helper
def syncthreads_count(values, active):
    count = 0
    for t in range(len(active)):
        if active[t] and values[t]:
            count += 1
    return count


@helper
def syncthreads_or(values, active):
    return 1 if syncthreads_count(values, active) > 0 else 0


@helper
def syncthreads_and(values, active):
    return 1 if syncthreads_count(values, active) == syncthreads_count(active, active) else 0


# ---- masks: one bool a thread
@helper
def any_true(mask):
    for x in mask:
        if x:
            return True
    return False


@helper
def fill(mask, value):
    for t in range(len(mask)):
        mask[t] = value


@helper
def assign(mask, other):
    for t in range(len(mask)):
        mask[t] = other[t]


@helper
def diverged(active, live, err, line):
    """Has some thread reached this barrier that another one, which has not returned, does not reach?"""
    here = missing = -1
    for t in range(len(active)):
        if active[t]:
            here = t
        elif live[t]:
            missing = t
    if here < 0 or missing < 0:
        return False
    err[0] = 1
    err[4] = line
    err[5] = here
    err[6] = missing
    return True


# ---- atomics: threads run one after the other, so a plain read and write is one
@helper
def atomic_add(a, i, v):
    old = a[i]
    a[i] = old + v
    return old


@helper
def atomic_sub(a, i, v):
    old = a[i]
    a[i] = old - v
    return old


@helper
def atomic_max(a, i, v):
    old = a[i]
    if v > old or old != old:                       # a nan gives way, as in PTX's atom.max
        a[i] = v
    return old


@helper
def atomic_min(a, i, v):
    old = a[i]
    if v < old or old != old:
        a[i] = v
    return old


@helper
def atomic_exch(a, i, v):
    old = a[i]
    a[i] = v
    return old


@helper
def atomic_and_(a, i, v):
    old = a[i]
    a[i] = old & v
    return old


@helper
def atomic_or_(a, i, v):
    old = a[i]
    a[i] = old | v
    return old


@helper
def atomic_xor(a, i, v):
    old = a[i]
    a[i] = old ^ v
    return old


@helper
def atomic_inc(a, i, v):
    old = a[i]
    a[i] = 0 if old >= v else old + 1
    return old


@helper
def atomic_dec(a, i, v):
    old = a[i]
    a[i] = v if old == 0 or old > v else old - 1
    return old


@helper
def atomic_cas(a, i, expected, v):
    old = a[i]
    if old == expected:
        a[i] = v
    return old


@helper
def atomic_compare_and_swap(a, expected, v):
    return atomic_cas(a, 0, expected, v)


# ---- numbers. Bits are counted in the width of x (brev: 32, or 64 for a uint64); see arithmetic.py
@helper
def popc(x, bits=64):
    return (int(x) & (1 << bits) - 1).bit_count()


@helper
def ffs(x, bits=64):
    x = int(x)
    return (x & -x).bit_length()


@helper
def clz(x, bits=64):
    return bits - (int(x) & (1 << bits) - 1).bit_length()


@helper
def brev(x, bits=32):
    return int(f"{int(x) & (1 << bits) - 1:0{bits}b}"[::-1], 2)


@helper
def fma(a, b, c):
    return a * b + c


@helper
def selp(condition, a, b):
    return a if condition else b


BITS = {"popc", "ffs", "clz", "brev"}
RESULTS = {"ballot_sync": "int32", "activemask": "uint32", "syncthreads_count": "int32", "syncthreads_or": "int32",
           "syncthreads_and": "int32"}              # types of what votes give; of others a bool
SHUFFLES = {"shfl_sync", "shfl_up_sync", "shfl_down_sync", "shfl_xor_sync"}
VOTES = {"ballot_sync", "any_sync", "all_sync", "activemask", "masked_syncwarp"}     # (the last: syncwarp(mask))
COLLECTIVE = {"syncthreads_count", "syncthreads_or", "syncthreads_and"}
MEET = SHUFFLES | VOTES | COLLECTIVE | {"syncthreads", "syncwarp"}

# ---- the names that stand for indices in generated code
THREAD = "_thread"                                  # the number of a thread in its block
AXES = ["threadIdx_x", "threadIdx_y", "threadIdx_z"]
BLOCK = [f"{name}_{axis}" for name in ("blockIdx", "gridDim", "blockDim") for axis in "xyz"]
INDEX = {
    f"{name}.{axis}": f"{name}_{axis}" for name in ("threadIdx", "blockIdx", "blockDim", "gridDim") for axis in "xyz"
}
INDEX |= {"laneid": f"{THREAD} % 32", "warpsize": "32"}
GRID = [f"(blockIdx_{axis} * blockDim_{axis} + threadIdx_{axis})" for axis in "xyz"]
GRIDSIZE = [f"(gridDim_{axis} * blockDim_{axis})" for axis in "xyz"]
RESERVED = {THREAD, *AXES, *BLOCK}
