"""The simulator's compiled back end against numpy and against the back end in Python."""
from __future__ import annotations

import math
import os
from math import fmod

import numpy as np
import pytest

from tests import simulator_cases
from tests.random_kernels import Case
from tinygrad_edu.kernels.provider import Intrinsic, cuda, float32, int32
from tinygrad_edu.kernels.simulator import KernelError, Unsupported, compiled, program
from tinygrad_edu.kernels.simulator.unit import Unit, axes_of
from tinygrad_edu.kernels.vector import load4, store4

pytest.importorskip("numba", reason="the compiled back end is numba's")
FULL, f4 = 0xffffffff, np.float32
HERE = r"test_simulator_compiled.py:\d+: "
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    """Nothing comes from earlier runs."""
    before = os.environ.get("TINYGRAD_EDU_CACHE")
    os.environ["TINYGRAD_EDU_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ["TINYGRAD_EDU_CACHE"]
    if before is not None:
        os.environ["TINYGRAD_EDU_CACHE"] = before


def three(size):
    return (*size, 1, 1)[:3] if isinstance(size, tuple) else (size, 1, 1)


def run(kernel, grid, block, *args, shared=0, **options):
    program(kernel).compiled(args, **options)(three(grid), three(block), shared, list(args))


def in_python(kernel, grid, block, *args, shared=0):
    program(kernel).python()(three(grid), three(block), shared, list(args))


def random(*shape):
    return rng.standard_normal(shape).astype(f4)


# ---- kernels
def add(a, b, o):
    i = cuda.grid(1)
    if i < o.size:
        o[i] = a[i] + b[i]


def tiled(a, b, out):
    sa = cuda.shared.array((8, 8), float32)
    sb = cuda.shared.array((8, 8), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    col, row = cuda.grid(2)
    total = float32(0)
    for k0 in range(0, a.shape[1], 8):
        sa[ty, tx] = a[row, k0 + tx] if row < a.shape[0] and k0 + tx < a.shape[1] else float32(0)
        sb[ty, tx] = b[k0 + ty, col] if k0 + ty < b.shape[0] and col < b.shape[1] else float32(0)
        cuda.syncthreads()
        for k in range(8):
            total += sa[ty, k] * sb[k, tx]
        cuda.syncthreads()
    if row < out.shape[0] and col < out.shape[1]:
        out[row, col] = total


@cuda.jit(device=True)
def warp_sum(x):
    for d in (16, 8, 4, 2, 1):
        x += cuda.shfl_down_sync(FULL, x, d)
    return x


def block_sum(a, o):
    part = cuda.shared.array(0, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    x = warp_sum(a[i] if i < a.size else float32(0))
    if t % 32 == 0:
        part[t // 32] = x
    cuda.syncthreads()
    if t < 32:
        x = warp_sum(part[t] if t < cuda.blockDim.x // 32 else float32(0))
        if t == 0:
            cuda.atomic.add(o, 0, x)


def votes(a, o):
    t = cuda.threadIdx.x
    o[t, 0] = cuda.ballot_sync(FULL, a[t] > 0) & 0xff
    o[t, 1] = cuda.any_sync(FULL, a[t] > 2)
    o[t, 2] = cuda.syncthreads_count(a[t] > 0)
    if t >= 40:
        return
    cuda.syncthreads()
    if t < 32:
        o[t, 3] = cuda.shfl_xor_sync(FULL, t, 3)


def everything_kept(a, table, o):
    """A tuple, an array and a local array have to wait for the barrier."""
    t = cuda.threadIdx.x
    mine = cuda.local.array(3, float32)
    four = load4(a, 0)
    p = table[t % len(table)]
    for k in range(3):
        mine[k] = t * k
    cuda.syncthreads()
    o[t] = four[1] + four[3] + p[0] + mine[1] + mine[2]


def test_threads_and_blocks():
    for n in (1, 31, 1000):
        a, b, o = random(n), random(n), random(n)
        run(add, -(-n // 64), 64, a, b, o)
        assert (o == a + b).all()
    a, b, o = random(100)[::2], random(50)[::-1], np.zeros(50)
    run(add, 2, 32, a, b, o)
    assert (o == (a + b).astype(float)).all()
    empty = random(0)
    run(add, 1, 32, empty, empty, empty)


def test_barriers_and_views():
    a, b, o = random(19, 13), random(21, 13).T, np.zeros((19, 21), f4)
    run(tiled, (3, 3), (8, 8), a, b, o)
    np.testing.assert_allclose(o, a @ b, rtol=1e-4, atol=1e-5)


def test_shuffles_and_dynamic_shared_memory():
    a, o = random(300), np.zeros(1, f4)
    run(block_sum, 3, 128, a, o, shared=16)
    np.testing.assert_allclose(o[0], a.sum(), rtol=1e-4)


def test_votes_and_early_return():
    a, o, want = random(64), np.zeros((64, 4)), np.zeros((64, 4))
    run(votes, 1, 64, a, o)
    in_python(votes, 1, 64, a, want)
    assert (o == want).all() and o[:, 2].min() == (a > 0).sum() and o[1, 3] == 2


def test_what_waits_may_be_anything():
    a, o = random(8), np.zeros(6, f4)
    run(everything_kept, 1, 6, a, (a, a[5:]), o)
    t = np.arange(6)
    np.testing.assert_allclose(o, a[1] + a[3] + np.where(t % 2, a[5], a[0]) + 3 * t, rtol=1e-5)


def axes(o):
    x, y, z = cuda.grid(3)
    o[z, y, x] = cuda.threadIdx.x + 10 * cuda.threadIdx.y + 100 * cuda.blockIdx.z


def one_axis(o):
    o[cuda.threadIdx.x] += 1


def test_three_dimensions():
    o = np.zeros((4, 6, 2), np.int32)
    run(axes, (1, 2, 4), (2, 3, 1), o)
    z, y, x = np.indices(o.shape)
    assert (o == x + 10 * (y % 3) + 100 * z).all()
    o = np.zeros(4, np.int32)
    run(one_axis, 1, 4, o)
    run(one_axis, 2, (4, 3, 2), o)                  # more dimensions than the kernel asks for
    assert (o == 13).all() and axes_of(program(one_axis)) == 1 and axes_of(program(axes)) == 3


def last_writer(o):
    o[0] = cuda.threadIdx.x


def test_threads_in_reverse():
    o = np.zeros(1)
    run(last_writer, 1, 8, o)
    assert o[0] == 7
    run(last_writer, 1, 8, o, reverse=True)
    assert o[0] == 0


# ---- arguments
def numbers(o, pair, shape, n, x, flag, table):
    i = cuda.grid(1)
    o[i] = pair[0] + pair[1] + shape[i % 3] + n
    if flag:
        o[i] += x
    p = table[i]
    p[0] = len(table) + p.size


def test_kinds_of_arguments():
    tables, o = [np.zeros(k + 1, f4) for k in range(4)], np.zeros(4)
    args = (np.int8(-3), 0.25), (10, 20, 30), np.uint64(2 ** 40), f4(0.1), np.bool_(True), tuple(tables)
    run(numbers, 1, 4, o, *args)
    assert (o == np.array([10, 20, 30, 10]) + 2.0 ** 40 - 2.75 + float(f4(0.1))).all()
    assert [t[0] for t in tables] == [5, 6, 7, 8]
    run(numbers, 1, 4, o, *args[:4], False, tuple(tables))
    assert o[0] == 2.0 ** 40 + 7.25
    with pytest.raises(TypeError, match="7 arguments"):
        program(numbers).compiled((o,))
    for wrong, what in (("text", "str"), (np.array(["a"]), "<U1"), (o.astype(">f8"), ">f8"), ((o, None), "NoneType")):
        with pytest.raises(TypeError, match=HERE + f"last_writer: argument o is .*{what}"):
            program(last_writer).compiled((wrong,))


def test_kinds_name_what_code_depends_on():
    a = random(3, 4)
    assert compiled.kinds((a, 1)) == compiled.kinds((random(5, 2), 7))
    for other in (a.T, a[0], a.astype(float), 1, 1.0, (1,)):
        assert compiled.kinds((a,)) != compiled.kinds((other,))
    assert compiled.described(compiled.kinds((a, a.T, 1, f4(1), (2, 0.5), (a, a)))) == (
        "(float32[2C] float32[2A] int float32 (int float) (float32[2C] float32[2C])table)")


# ---- numbers
def arithmetic(a, i, o):
    o[0] = a[0] / a[1]
    o[1] = math.log(a[1])
    o[2] = math.sqrt(-a[0])
    o[3] = i[0] // i[1]
    o[4] = i[0] % i[1]
    o[5] = max(a[2], a[0])
    o[6] = max(a[0], a[2])
    o[7] = min(a[2], a[0], a[1])
    o[8] = int32(i[0] * 1000000000)
    o[9] = i[0] / i[1]
    o[10] = math.fmod(-a[0] * 7, 3) + fmod(a[0] * 7, a[0] * 2)


def test_a_gpus_numbers():
    a, i, o = np.array([1, 0, math.nan], f4), np.array([7, 0], np.int32), np.zeros(11)
    run(arithmetic, 1, 1, a, i, o)
    wrapped = (7 * 10 ** 9 + 2 ** 31) % 2 ** 32 - 2 ** 31
    np.testing.assert_array_equal(o, [math.inf, -math.inf, math.nan, 0, 0, 1, 1, 0, wrapped, math.inf, 0])


@pytest.mark.parametrize("cases", [simulator_cases.expressions, simulator_cases.statements])
def test_the_table_of_numbers(tmp_path, cases):
    found = []
    for name, kernel, args, want, what in cases(tmp_path):
        try:
            simulator_cases.check(kernel, args, want, what, program(kernel).compiled(args))
        except Exception as error:
            found.append(f"{name}: {error}")
    assert not found, "\n".join(found)


# ---- functions and constants
def scale(x, k=2):
    return x * k


def first_negative(a, n):
    for i in range(n):
        if a[i] < 0:
            return i
    return -1


def root(n):
    x = 1.0
    while x * x < n:
        if x > 1000:
            return x
        x += 1
    return x


def recursive(n):
    return 1 if n < 2 else n * recursive(n - 1)


TABLE = np.array([5, 6, 7], f4)
twice = Intrinsic("twice", python=lambda x: 0 / 0, compiled=lambda x: x + x, gpu=None)


def factory(f, rate):
    def kernel(a, o):
        i = cuda.grid(1)
        if i + 4 <= o.size:
            a0, a1, a2, a3 = load4(a, i)
            store4(o, i, f(a0, k=3), f(a1 + a2), rate * TABLE[1], twice(a3))
            last = f(first_negative(a, a.size)) if a0 > 100 else root(24)
            o[3] += last + (root(4) if a0 > 100 else 0)
    return kernel


def test_functions_and_constants_are_written_into_the_text():
    kernel = factory(scale, f4(0.1))
    a, o = np.arange(4, dtype=f4), np.zeros(4, f4)
    unit = Unit(program(kernel), 1)
    assert unit.functions == ["root"], "all others are written into the kernel"
    assert "rate = _np.float32('0.1')" in unit.text and "load4" not in unit.text and "scale" not in unit.text
    run(kernel, 1, 1, a, o)
    np.testing.assert_allclose(o, [0, 6, 0.6, 11], rtol=1e-6)
    a[0] = 101
    a[2] = -1
    run(kernel, 1, 1, a, o)
    np.testing.assert_allclose(o, [303, 0, 0.6, 12], rtol=1e-6)


def test_the_text_is_the_same_in_another_closure():
    texts = {Unit(program(factory(scale, f4(rate))), 1).text for rate in (0.1, 0.2, 0.1)}
    assert len(texts) == 2


def test_what_a_text_cannot_hold():
    big = np.zeros(1 << 17, f4)

    def kernel(o):
        o[0] = big[0]
    with pytest.raises(Unsupported, match=HERE + "kernel refers to big, a value of type ndarray, 524288 bytes"):
        program(kernel).compiled((TABLE,))


def simple(f, rate):
    def kernel(a):
        a[0] = f(a[0]) * rate
    return kernel


def ordered(a, o):
    o[0] = cuda.atomic.add(a, 0, 1) * 10 + first_negative(a, a.size)
    o[1] = first_negative(a, 2) * 100 + cuda.atomic.exch(a, 1, -1) + a[1]
    o[2] = load4(a, 0)[1] + cuda.atomic.add(a, 1, -5) * load4(a, 0)[1]
    if not first_negative(a, 4) and cuda.atomic.add(a, 2, 7) < 0:
        o[3] = 1


def test_calls_stay_in_order():
    got, want = [np.array([-1, 5, 6, 7.0]), np.zeros(4)], [np.array([-1, 5, 6, 7.0]), np.zeros(4)]
    run(ordered, 1, 1, *got)
    in_python(ordered, 1, 1, *want)
    assert [list(x) for x in got] == [list(x) for x in want] == [[0, -6, 6, 7], [-11, -96, 5, 0]]


def test_recursion_is_refused():
    with pytest.raises(Unsupported, match=HERE + "in recursive: it calls itself"):
        program(simple(recursive, 1.0)).compiled((TABLE,))


def no_number(a):
    a[0] = "text"


def test_numbas_refusal_names_the_kernel():
    with pytest.raises(Unsupported, match=HERE + "no_number: numba can't compile it"):
        program(no_number).compiled((TABLE,))


# ---- mistakes
def past_the_end(a, o, table):
    i = cuda.grid(1)
    o[i] = -1
    o[i] = a[i + 1]


def diverges(a):
    t = cuda.threadIdx.x
    if t < 5:
        cuda.syncthreads()
    a[t] = cuda.blockIdx.y


def absent(a):
    t = cuda.threadIdx.x
    if t < 5:
        a[t] = cuda.shfl_down_sync(31, a[t], 1)


def test_checked_bounds_name_the_index_and_lose_nothing():
    memory = np.arange(20.0)
    a, o = memory[:8], memory[10:18]
    run(past_the_end, 1, 7, a.copy(), o.copy(), (a,), boundscheck=True)
    with pytest.raises(KernelError, match=HERE + r"past_the_end: thread \(7, 0, 0\) .*a\[8\]"):
        run(past_the_end, 1, 8, a, o, (a,), boundscheck=True)
    assert (memory == np.arange(20.0)).all()


def test_copies_overlap_as_their_originals_do():
    memory = np.arange(20.0)
    args = [memory[:8], memory[2:10:2], (memory[12:][::-1], 3), np.zeros((0, 2)), memory[:6].reshape(2, 3).T]
    a, b, (c, number), empty, d = compiled.copied(args)
    for was, now in zip([args[0], args[1], args[2][0], args[4]], [a, b, c, d]):
        assert (was == now).all() and not np.shares_memory(was, now) and was.strides == now.strides
    b[0] = -1
    assert a[2] == -1 and d[2, 0] == -1 and memory[2] == 2 and number == 3 and empty.shape == (0, 2)


def test_barriers_and_shuffles_that_some_threads_miss():
    with pytest.raises(KernelError, match=HERE + r"diverges: block \(0, 0, 0\): thread \(4, 0, 0\) waits .* \(7, 0"):
        run(diverges, (1, 2), 8, np.zeros(8))
    with pytest.raises(KernelError, match=HERE + r"absent: block .*: thread \(4, 0, 0\) reads .* thread \(5, 0, 0\)"):
        run(absent, 1, 8, np.zeros(8))


# ---- random kernels, to the last bit
def compare(seed, folder):
    case = Case(seed, folder)
    case.compare(program(case.function).compiled(case.arguments(), reverse=seed % 2 == 1))


def test_a_random_kernel(tmp_path):
    compare(36, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_random_kernels(seed, tmp_path):
    compare(seed, tmp_path)
