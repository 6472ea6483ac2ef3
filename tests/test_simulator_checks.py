"""Each check of the simulator finds its fault, says where, and says what to change; right kernels pass."""
import inspect
import re

import numpy as np
import pytest

from tinygrad_edu.kernels.provider import cuda, float32, int32
from tinygrad_edu.kernels.simulator import KernelError, program

FULL = 0xFFFFFFFF
f4 = np.float32


def ones(*shape):
    return np.ones(shape, f4)


def three(size):
    size = size if isinstance(size, tuple) else (size,)
    return size + (1,) * (3 - len(size))


def run(function, grid, block, *args, shared=0, check=True, reverse=False):
    program(function).python(check=check, reverse=reverse)(three(grid), three(block), shared, args)


def line_of(function, text):
    """The number of the function's first line that has this text."""
    lines, first = inspect.getsourcelines(function)
    return first + next(k for k, line in enumerate(lines) if text in line)


def fails(function, grid, block, *args, at=None, says, **options):
    with pytest.raises(KernelError) as caught:
        run(function, grid, block, *args, **options)
    message = str(caught.value)
    if at is not None:
        file = inspect.getsourcefile(function)
        assert message.startswith(f"{file}:{line_of(function, at)}: {function.__name__}: "), message
    assert re.search(says, message), message


# ---- indices
def unguarded(a):
    i = cuda.grid(1)
    a[i] = 1


def negative(a, o):
    i = cuda.grid(1)
    o[i] = a[i - 1]


def second_axis(a):
    x, y = cuda.grid(2)
    a[x, y + 1] = 1


def past_shared(o):
    s = cuda.shared.array(4, float32)
    t = cuda.threadIdx.x
    s[t] = 1
    o[t] = s[t]


def past_local(o):
    mine = cuda.local.array(4, float32)
    for k in range(5):
        mine[k] = k
    o[cuda.grid(1)] = mine[0]


def too_few_indices(a):
    a[0, 0, 0] = 1


def float_index(a):
    a[a[0] * 1.5] = 1


def past_atomic(a):
    cuda.atomic.add(a, cuda.grid(1), 1)


def test_indices():
    fails(unguarded, 2, 8, ones(10), at="a[i] = 1",
          says=r"thread \(2, 0, 0\) of block \(1, 0, 0\): index out of bounds: a\[10\], but axis 0 has size 10; "
               "guard it: if i < a.size")
    fails(negative, 1, 8, ones(8), ones(8), at="o[i] =",
          says=r"thread \(0, 0, 0\) .*: a\[-1\] is negative; Python would count from")
    fails(second_axis, 1, (1, 3), ones(3, 3), at="a[x, y + 1]",
          says=r"thread \(0, 2, 0\) .*a\[0, 3\], but axis 1 has size 3; .*a.shape\[1\]")
    fails(past_shared, 1, 8, ones(8), at="s[t] = 1", says=r"thread \(4, 0, 0\).* s\[4\], but axis 0 has size 4")
    fails(past_local, 1, 2, ones(2), at="mine[k] = k", says=r"mine\[4\]")
    fails(too_few_indices, 1, 1, ones(3, 3), says="a has 2 dimensions and is indexed with 3")
    fails(float_index, 1, 1, ones(3), says=r"a is indexed with a float, 1.5; convert it: int\(1.5\)")
    fails(past_atomic, 1, 4, ones(3), at="cuda.atomic", says=r"index out of bounds: a\[3\]")


def test_without_checks_numpys_error_still_says_where():
    fails(unguarded, 2, 8, ones(10), check=False, at="a[i] = 1",
          says=r"thread \(2, 0, 0\) of block \(1, 0, 0\): index 10 is out of bounds")


# ---- barriers
def in_a_branch(a):
    t = cuda.threadIdx.x
    if t < 5:
        cuda.syncthreads()
    a[t] = 1


def in_a_loop(a):
    t = cuda.threadIdx.x
    for _ in range(t // 4):
        cuda.syncthreads()
    a[t] = 1


def after_return_of_others(a, n):
    t = cuda.threadIdx.x
    if t >= n:
        return
    if t != 2:
        cuda.syncthreads()
    a[t] = 1


@cuda.jit(device=True)
def wait():
    cuda.syncthreads()


def in_a_function(a):
    if cuda.threadIdx.x > 1:
        wait()
    a[cuda.threadIdx.x] = 1


def counting_in_a_branch(a):
    t = cuda.threadIdx.x
    if t < 3:
        a[t] = cuda.syncthreads_count(1)


@pytest.mark.parametrize("check", [False, True])
def test_barriers_that_some_do_not_reach(check):
    says = (r"block \(0, 0, 0\): thread \(4, 0, 0\) waits at a barrier that thread \(7, 0, 0\) does not reach: "
            ".*hang. Move the barrier")
    fails(in_a_branch, 2, 8, ones(8), check=check, at="cuda.syncthreads()", says=says)
    fails(in_a_branch, 1, (8, 1, 2), ones(8), check=check, says=r"thread \(4, 0, 1\) waits .* thread \(7, 0, 1\)")
    fails(in_a_loop, 1, 8, ones(8), check=check, at="cuda.syncthreads()", says="hang")
    run(in_a_loop, 1, 4, ones(4), check=check)
    fails(after_return_of_others, 1, 8, ones(8), 5, check=check, at="cuda.syncthreads()",
          says=r"thread \(4, 0, 0\) waits .*\(2, 0, 0\)")
    fails(in_a_function, 1, 4, ones(4), check=check,
          says=r"thread \(3, 0, 0\) waits at a barrier that thread \(1, 0, 0\)")
    fails(counting_in_a_branch, 1, 4, ones(4), check=check, at="syncthreads_count", says=r"thread \(2, 0, 0\) waits")


def returned_early(a, n):
    t = cuda.threadIdx.x
    if t >= n:
        return
    cuda.syncthreads()
    a[t] = 1


def test_a_barrier_after_some_returned():
    """A barrier waits for threads that have not exited: a guard that returns is no fault (since Volta)."""
    for check in (False, True):
        a = np.zeros(8)
        run(returned_early, 1, 8, a, 5, check=check)
        assert a.tolist() == [1] * 5 + [0] * 3


# ---- shuffles
def across_the_branch(a):
    t = cuda.threadIdx.x
    if t < 16:
        a[t] = cuda.shfl_xor_sync(0xFFFF, a[t], 16)


def past_the_block(a):
    t = cuda.threadIdx.x
    a[t] = cuda.shfl_down_sync(FULL, a[t], 8)


def full_mask_in_a_branch(a):
    t = cuda.threadIdx.x
    if t < 16:
        a[t] = cuda.shfl_xor_sync(FULL, a[t], 1)


def mask_without_the_caller(a):
    t = cuda.threadIdx.x
    a[t] = cuda.any_sync(0xFF, a[t] > 0)


def test_shuffles():
    fails(across_the_branch, 1, 32, ones(32), at="a[t] =",
          says=r"thread \(15, 0, 0\) reads by a shuffle from thread \(31, 0, 0\), which takes no part in it")
    fails(across_the_branch, 1, 32, ones(32), check=False, at="a[t] =", says="takes no part")
    fails(past_the_block, 1, 20, ones(20), says=r"takes no part")
    fails(full_mask_in_a_branch, 1, 32, ones(32), at="a[t] =",
          says=r"thread \(0, 0, 0\) .*shfl_xor_sync: the mask 0xffffffff names lane 16, thread \(16, 0, 0\), which "
               "does not come here")
    fails(mask_without_the_caller, 1, 32, ones(32), at="a[t] =",
          says=r"any_sync: lane 8 calls it, but is not in the mask 0x000000ff")
    run(full_mask_in_a_branch, 1, 16, ones(16))     # lanes that don't exist may be named


# ---- races
def reused_too_early(a, o):
    s = cuda.shared.array(8, float32)
    t = cuda.threadIdx.x
    x = float32(0)
    for k in range(3):
        s[t] = a[t] + k
        cuda.syncthreads()
        x += s[7 - t]
    o[t] = x


def neighbour(a, o):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = a[t]
    o[t] = s[t - 1] if t else a[0]


def same_place(o):
    o[0] = cuda.threadIdx.x


def plain_sum(a, o):
    o[0] += a[cuda.grid(1)]


def atomic_and_plain(o):
    if cuda.threadIdx.x == 0:
        o[0] = 5
    cuda.atomic.add(o, 0, 1)


def plain_after_atomic(o, p):
    cuda.atomic.add(o, 0, 1)
    p[cuda.threadIdx.x] = o[0]


def atomic_then_plain(o):
    cuda.atomic.add(o, 0, 1)
    cuda.syncwarp()
    if cuda.threadIdx.x == 0:
        cuda.atomic.add(o, 0, 1)
    if cuda.threadIdx.x == 3:
        o[0] = 5


def between_blocks(o, p):
    o[cuda.grid(1)] = 1
    cuda.syncthreads()
    p[cuda.grid(1)] = o[(cuda.grid(1) + 4) % 8]


def shifted(a, b):
    i = cuda.grid(1)
    if i + 1 < a.size:
        b[i] = a[i + 1]


def warp_only(a, o):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = a[t]
    cuda.syncwarp()
    o[t] = s[(t + 32) % 64]


def one_warp_shuffles(a, o):
    s = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    s[t] = a[t]
    if t < 32:                                      # in the first warp all have met; in the second nobody has
        a[t] = cuda.shfl_xor_sync(FULL, a[t], 1)
    o[t] = s[t ^ 1]


def test_races():
    fails(reused_too_early, 1, 8, ones(8), ones(8), at="s[t] = ", says=(
        r"thread \(0, 0, 0\) of block \(0, 0, 0\): race: writes s\[0\], which thread \(7, 0, 0\) has read; put cuda"))
    fails(neighbour, 1, 64, ones(64), ones(64), at="o[t] = ",
          says=r"race: reads s\[0\], which thread \(0, 0, 0\) has written; put cuda")
    fails(neighbour, 1, 64, ones(64), ones(64), reverse=True, at="o[t] = ",
          says=r"thread \(63, 0, 0\) .* s\[62\], shared memory that nobody")
    fails(same_place, 1, 2, ones(1), at="o[0] = ", says=r"race: writes o\[0\], which thread \(0, 0, 0\) has written")
    run(same_place, 2, 1, ones(1))                  # (both write the same number)
    fails(plain_sum, 1, 4, ones(4), ones(1), at="o[0] += ",
          says=r"race: reads o\[0\], which thread \(0, 0, 0\) has written")
    fails(plain_sum, 4, 1, ones(4), ones(1),
          says=r"thread \(0, 0, 0\) of block \(0, 0, 0\) has written; blocks never wait.* cuda.atomic")
    fails(between_blocks, 2, 4, ones(8), ones(8), at="o[cuda",
          says=r"race: writes o\[4\], which thread \(0, 0, 0\) of block \(0, 0, 0\) has read")
    fails(warp_only, 1, 64, ones(64), ones(64), at="o[t] = ", says=r"s\[32\]|put cuda.syncthreads\(\)")
    fails(one_warp_shuffles, 1, 64, ones(64), ones(64), at="o[t] = ", says=r"thread \(32, 0, 0\) .*s\[33\]")


def test_atomics_and_plain_accesses():
    fails(atomic_and_plain, 1, 4, ones(1), at="cuda.atomic",
          says=r"race: changes by an atomic o\[0\], which thread \(0, 0, 0\) has written")
    fails(plain_after_atomic, 1, 4, ones(1), ones(4), at="cuda.atomic", says=(
        r"race: changes by an atomic o\[0\], which thread \(0, 0, 0\) has read; use cuda.atomic for both"))
    fails(atomic_then_plain, 1, 4, ones(1), at="o[0] = 5",
          says=r"race: writes o\[0\], which thread \(\d, 0, 0\) changes by an atomic")


def test_overlapping_arguments_are_one_memory():
    buffer = ones(9)
    run(shifted, 1, 8, buffer.copy(), buffer)
    fails(shifted, 1, 8, buffer, buffer, says=r"race: writes b\[1\], which thread \(0, 0, 0\) has read")
    run(shifted, 1, 8, buffer[:8], buffer[1:])      # each thread writes what it has read itself
    fails(shifted, 1, 8, buffer[::2], buffer[:5], says="race")
    fails(shifted, 1, 4, buffer.reshape(3, 3)[0], buffer[:4], says="race")


# ---- what was never set
def half_written(a, o):
    s = cuda.shared.array(8, float32)
    t = cuda.threadIdx.x
    if t:
        s[t] = a[t]
    cuda.syncthreads()
    o[t] = s[7 - t]


def local_unwritten(o):
    mine = cuda.local.array(4, float32)
    t = cuda.threadIdx.x
    if t == 0:
        mine[2] = 1
    o[t] = mine[2]


def local_unwritten_later(o):
    mine = cuda.local.array(4, float32)
    t = cuda.threadIdx.x
    if t == 0:
        mine[2] = 1
    cuda.syncthreads()
    o[t] = mine[2]


def counter_unwritten(o):
    s = cuda.shared.array(1, int32)
    cuda.atomic.add(s, 0, 1)


def unassigned(o):
    t = cuda.threadIdx.x
    if t == 0:
        x = float32(1)
    o[t] = x                                        # noqa: F821


def unassigned_later(o):
    t = cuda.threadIdx.x
    if t == 0:
        x = float32(1)
    cuda.syncthreads()
    o[t] = x + 1                                    # noqa: F821


def unassigned_for_all(o, n):
    if n > 3:
        x = n
    o[cuda.threadIdx.x] = x


def test_what_was_never_set():
    fails(half_written, 1, 8, ones(8), ones(8), at="o[t] = ",
          says=r"thread \(7, 0, 0\) .*reads s\[0\], shared memory that nobody has written")
    fails(half_written, 2, 8, ones(8), ones(8), at="o[t] = ", says=r"block \(0, 0, 0\)")
    fails(local_unwritten, 1, 2, ones(2), at="o[t] = ",
          says=r"thread \(1, 0, 0\) .*reads mine\[2\], local memory that nobody has written")
    fails(local_unwritten_later, 1, 2, ones(2), at="o[t] = ", says=r"thread \(1, 0, 0\) .*reads mine\[2\], local")
    fails(counter_unwritten, 1, 2, ones(2), at="cuda.atomic", says=r"reads s\[0\], shared memory")
    for kernel in (unassigned, unassigned_later):
        fails(kernel, 1, 2, ones(2), at="o[t] = ",
              says=r"thread \(1, 0, 0\) .*the variable x is read before it is assigned; assign it")
    for check in (False, True):
        fails(unassigned_for_all, 1, 2, ones(2), 1, check=check, at="o[cuda",
              says="x.*read before it is assigned|read before .*'x'")
        run(unassigned_for_all, 1, 2, ones(2), 5, check=check)


# ---- launches that a GPU refuses
def nothing(a):
    return


def much_shared(a):
    s = cuda.shared.array((130, 100), float32)
    s[0, 0] = 1


def some_shared(a):
    s = cuda.shared.array(0, float32)
    s[0] = 1


def test_the_compiled_back_end_refuses_the_same_launches():
    pytest.importorskip("numba", reason="it compiles")
    launch = program(nothing).compiled([ones(1)])
    launch((1, 1, 1), (1024, 1, 1), 0, [ones(1)])
    for grid, block, says in (((1, 1, 1), (1025, 1, 1), "1024"), ((1, 0, 1), (1, 1, 1), "empty"),
                              ((1, 1, 1), (1, 1, 65), "deep")):
        with pytest.raises(KernelError, match=says):
            launch(grid, block, 0, [ones(1)])
    with pytest.raises(KernelError, match="49152 bytes of shared memory"):
        launch((1, 1, 1), (1, 1, 1), 49153, [ones(1)])


@pytest.mark.parametrize("check", [False, True])
def test_launches(check):
    def refuses(kernel, grid, block, says, **options):
        fails(kernel, grid, block, ones(1), says=says, check=check, **options)
    refuses(nothing, 1, 1025, r"nothing\[\(1, 1, 1\), \(1025, 1, 1\)\]: a block has at most 1024 threads, not 1025")
    refuses(nothing, 1, (32, 8, 5), "1280")
    refuses(nothing, 1, (1, 1, 65), r"at most 64 threads deep \(z\), not 65")
    refuses(nothing, (1, 65536), 1, "65535 in y and z")
    refuses(nothing, (1, 1, 65536), 1, "65535 in y and z")
    refuses(nothing, 0, 32, "refuses an empty launch")
    refuses(nothing, (1, 0), 32, "refuses an empty launch")
    refuses(nothing, 1, 0, "refuses an empty launch")
    refuses(much_shared, 1, 1, "49152 bytes of shared memory, and this needs 52000")
    refuses(some_shared, 1, 1, "49152 bytes of shared memory, and this needs 49156; use smaller tiles", shared=49156)
    run(some_shared, 1, 1, ones(1), shared=49152, check=check)
    with pytest.raises(TypeError, match=r"nothing takes 1 arguments \(a\), not 2"):
        run(nothing, 1, 1, ones(1), ones(1), check=check)
