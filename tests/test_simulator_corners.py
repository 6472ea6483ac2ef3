"""Corners of the simulator's front end: loops left in odd ways, orders of evaluation, names, refusals."""
import numpy as np
import pytest

from tests.simulated import launch, rand
from tinygrad_edu.kernels.provider import cuda, float32, int64
from tinygrad_edu.kernels.simulator import KernelError, Unsupported, program

FULL = 0xFFFFFFFF
assert launch                                       # a fixture


# ---- loops
def leaves_by_return(o, n):
    t = cuda.threadIdx.x
    i = 0
    while True:                                     # the same for all threads, and nothing but a return ends it
        cuda.syncthreads()
        i += 1
        o[t] += 1
        if i > n + t % 2:
            return


def half_leaves_by_return(o, n):
    t = cuda.threadIdx.x
    if t < 32:
        while True:
            cuda.syncwarp()
            o[t] += 1
            if n > 0:
                return
    o[t] = 7


def test_a_loop_ends_when_all_have_returned(launch):
    o = np.zeros(4, int)
    launch(leaves_by_return, 1, 4, o, 2)
    assert o.tolist() == [3, 4, 3, 4]
    o = np.zeros(64, int)
    launch(half_leaves_by_return, 1, 64, o, 1)
    assert o.tolist() == [1] * 32 + [7] * 32


def returns_after_a_shuffle(o, a):
    t = cuda.threadIdx.x
    if a[t] > 0:
        x = cuda.shfl_xor_sync(3, t * 10, 1)        # lane 1 still reads what lane 0, which returns, has published
        if x >= 0:
            return
    o[t] = -1


def breaks_after_a_shuffle(o):
    t = cuda.threadIdx.x
    for k in range(3):
        x = cuda.shfl_xor_sync(FULL, t * 10 + k, 1)
        o[t] += x
        if x >= 0:
            break


def test_who_leaves_has_been_read(launch):
    o = np.zeros(4, int)
    launch(returns_after_a_shuffle, 1, 4, o, np.array([1, 1, 0, 0]))
    assert o.tolist() == [0, 0, -1, -1]
    o = np.zeros(32, int)
    launch(breaks_after_a_shuffle, 1, 32, o)
    assert o.tolist() == [10 * (t ^ 1) for t in range(32)]


def one_variable_for_two_loops(o):
    warp = cuda.threadIdx.x // 32
    for k in range(3):
        for k in range(5):
            if k == warp:
                break
            cuda.syncwarp()
        o[cuda.threadIdx.x] += k


def limits_of_both_signs(o, d):
    warp = cuda.threadIdx.x // 32
    for i in range(warp, 4, -d):
        o[cuda.threadIdx.x] += i
        cuda.syncwarp()
    for i in range(warp, -4, -2):
        o[cuda.threadIdx.x] += 100 * i
        cuda.syncwarp()


def test_loop_variables(launch):
    o = np.zeros(96, int)
    launch(one_variable_for_two_loops, 1, 96, o)
    assert o.tolist() == [3 * (t // 32) for t in range(96)]
    for d in (-1, 1):
        o = np.zeros(64, int)
        launch(limits_of_both_signs, 1, 64, o, d)
        assert o.tolist() == [sum(range(w, 4, -d)) + 100 * sum(range(w, -4, -2)) for w in (0,) * 32 + (1,) * 32]


# ---- arrays
def second_name(o, n):
    m = cuda.local.array(2, int64)
    q = cuda.local.array(2, int64)
    t = cuda.threadIdx.x
    m[0] = t
    q[0] = -t
    cuda.syncwarp()
    row = m if n > 0 else q
    cuda.syncwarp()
    o[t] = row[0]


def test_a_local_array_under_a_second_name(launch):
    for n in (1, 0):
        o = np.zeros(3, int)
        launch(second_name, 1, 3, o, n)
        assert o.tolist() == [0, 1 if n else -1, 2 if n else -2]


def test_a_local_array_under_a_second_name_compiled():
    o = np.zeros(3, int)
    program(second_name).compiled([o, 1])((1, 1, 1), (3, 1, 1), 0, [o, 1])
    assert o.tolist() == [0, 1, 2]


@cuda.jit(device=True)
def block_sum(x):
    part = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    part[t] = x
    cuda.syncthreads()
    total = float32(0)
    for k in range(cuda.blockDim.x):
        total += part[k]
    return total


def sums_without_a_barrier(a, o):
    t = cuda.threadIdx.x
    x = block_sum(a[t])
    o[t] = block_sum(a[t] * x)


def sums_with_a_barrier(a, o):
    t = cuda.threadIdx.x
    x = block_sum(a[t])
    cuda.syncthreads()
    o[t] = block_sum(a[t] * x)


def test_a_device_functions_shared_array_is_one(launch):
    a, o = np.arange(4, dtype=np.float32), rand(4)
    launch(sums_with_a_barrier, 1, 4, a, o)
    assert o.tolist() == [36] * 4
    assert list(program(sums_with_a_barrier).shared.values()) == [((64,), np.float32)]
    for reverse in (False, True):
        with pytest.raises(KernelError, match=r"race: reads part__\d\["):
            program(sums_without_a_barrier).python(check=True, reverse=reverse)((1, 1, 1), (4, 1, 1), 0, [a, o])


# ---- the order of evaluation
@cuda.jit(device=True)
def bump(s, t):
    cuda.syncthreads()
    s[t] += 100
    cuda.syncthreads()
    return 1


def reads_first(o, n):
    s = cuda.shared.array(4, int64)
    t = cuda.threadIdx.x
    s[t] = t
    o[0, t] = s[t] + bump(s, t)
    s[t] += bump(s, t)
    o[1, t] = s[t]
    o[2, t] = max(s[t], 5) * 2 - (bump(s, t) + s[t])
    s[t] = t
    o[3, s[t]] = bump(s, t) + s[t]
    x, y = s[t], bump(s, t)
    o[4, t] = x * 1000 + y


def reads_before_the_shuffle(o):
    s = cuda.shared.array(32, int64)
    t = cuda.threadIdx.x
    s[t] = t
    cuda.syncwarp()
    x = s[t] + cuda.shfl_sync(FULL, t, s[t] ^ 1)
    s[(t + 1) % 32] = 40
    cuda.syncwarp()
    o[t] = x


def test_memory_is_read_before_a_called_function_writes_it(launch):
    o = np.zeros((5, 204), int)
    launch(reads_first, 1, 2, o, 0)
    assert o[0, :2].tolist() == [1, 2] and o[1, :2].tolist() == [101, 102]
    assert o[2, :2].tolist() == [2 * (101 + t) - (1 + 201 + t) for t in range(2)]
    assert o[3, 100:102].tolist() == [101, 102] and o[4, :2].tolist() == [100001, 101001]
    o = np.zeros(32, int)
    launch(reads_before_the_shuffle, 1, 32, o)
    assert o.tolist() == [t + (t ^ 1) for t in range(32)]


@cuda.jit(device=True)
def neighbour(a):
    return a[cuda.threadIdx.x + 1]


def only_where_there_is_one(a, o):
    t = cuda.threadIdx.x
    n = a.size - 1
    x = neighbour(a) if t < n else 0
    y = t < n and neighbour(a) < 3
    z = t >= n or a[t] > 0 and neighbour(a) < 3
    o[t] = x + 10 * y + 100 * z


def test_device_functions_that_do_not_meet_may_be_skipped(launch):
    o = np.zeros(4, int)
    launch(only_where_there_is_one, 1, 4, np.arange(4), o)
    assert o.tolist() == [11, 112, 3, 100]


def chained(a, b, c):
    a[0] = b[1] = x = c[0] + 250
    c[0] = x


def test_several_targets(launch):
    a, b, c = np.zeros(1, np.uint8), np.zeros(2, np.int8), np.full(1, 50)
    launch(chained, 1, 1, a, b, c)
    assert (a[0], b[1], c[0]) == (44, 44, 300)


# ---- names
@cuda.jit(device=True)
def with_a_local(x):
    y = x + cuda.threadIdx.x
    if y > 100:
        return y
    return y + 1


mask9 = 3                                           # (a global that looks like one of the simulator's own)


def names_of_the_simulators(x_all, o):
    t = cuda.threadIdx.x
    x = x_all[t] * 2
    result0 = result1 = result2 = result3 = 1
    y__0 = y__1 = y__2 = y__3 = 1
    bool = 5
    _fill__0 = live = 1
    cuda.syncthreads()
    z = with_a_local(with_a_local(t)) + mask9
    if x > 2:
        cuda.syncwarp(2)
        z += bool
    o[t] = x + x_all[t] + 100 * (result0 + result1 + result2 + result3 + y__0 + y__1 + y__2 + y__3 + live) + 1000 * z


def test_names(launch):
    x, o = np.array([1, 2]), np.zeros(2, int)
    launch(names_of_the_simulators, 1, 2, x, o)
    assert o.tolist() == [3 + 900 + 5000, 6 + 900 + (1 + 1 + 1 + 1 + 1 + 3 + 5) * 1000]


# ---- refusals
@cuda.jit(device=True)
def calls_itself(n):
    cuda.syncthreads()
    x = 1
    if n > 0:
        x = calls_itself(n - 1)
    return x


@cuda.jit(device=True)
def two(x, y=1):
    return x + y + cuda.threadIdx.x


def recurses(o):
    o[0] = calls_itself(3)


def unknown_keyword(o):
    o[0] = two(1, z=5)


def doubled_keyword(o):
    o[0] = two(1, x=5)


def too_many(o):
    o[0] = two(1, 2, 3)


def matches(a, n):
    match n:
        case 1:
            cuda.syncthreads()
    a[0] = 1


def breaks_in_an_else(a, o):
    t = cuda.threadIdx.x
    for k in range(4):
        cuda.syncwarp()
        for j in range(2):
            if a[t, j] == k:
                break
        else:
            break
        o[t] += 1


def else_of_a_while(o):
    n = 0
    while two(n) < 5:
        n += 1
    else:
        o[0] = n


def three_compared(a):
    a[0] = 0 < a[0] < two(1)


def array_and_number(o):
    s = cuda.shared.array(4, float32)
    t = cuda.threadIdx.x
    s[t] = t
    s = s[t]
    o[t] = s


@pytest.mark.parametrize("function,line,match", [
    (recurses, None, "calls_itself calls itself.*write a loop"),
    (unknown_keyword, 1, "two has no argument z; it takes x, y"),
    (doubled_keyword, 1, "two is given the argument x twice"),
    (too_many, 1, r"two takes 2 arguments \(x, y\), not 3"),
    (matches, 1, "`match` in a kernel; write if and elif"),
    (breaks_in_an_else, 4, "break or continue in the else of a loop.*use a variable"),
    (else_of_a_while, 2, "else of a while"),
    (three_compared, 1, "a comparison of three; write a < b and b < c"),
    (array_and_number, 4, "s is the name of an array, and is assigned something else"),
])
def test_refusals(function, line, match):
    line = calls_itself.py_func.__code__.co_firstlineno + 5 if line is None else function.__code__.co_firstlineno + line
    with pytest.raises(Unsupported, match=f"{__file__}:{line}: .*{match}"):
        program(function)
