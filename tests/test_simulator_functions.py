"""The simulator in Python: functions that kernels call, numbers, what is refused, what the loops look like."""
import inspect
import linecache
import math
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tests.simulated import f4, launch, rand
from tests.test_simulator import FULL, scan, tree_sum
from tinygrad_edu.kernels.provider import Intrinsic, cuda, float16, float32, float64
from tinygrad_edu.kernels.simulator import Unsupported, program

assert launch                                       # a fixture


# ---- functions
@cuda.jit(device=True)
def warp_reduce(x, op, first=16):
    d = first
    while d:
        x = op(x, cuda.shfl_down_sync(FULL, x, d))
        d >>= 1
    return x


@cuda.jit(device=True)
def block_reduce(x, op, zero, part):
    t = cuda.threadIdx.x
    x = warp_reduce(x, op)
    if t % 32 == 0:
        part[t // 32] = x
    cuda.syncthreads()
    x = zero
    if t < 32:
        x = warp_reduce(part[t] if t < cuda.blockDim.x // 32 else zero, op)
    return x


@cuda.jit(device=True)
def plus(x, y):
    return x + y


def larger(x, y):
    if x > y:
        return x
    return y


@cuda.jit(device=True)
def clamp(x, low, high=1.0):
    for limit in (low, high):
        if (x < limit) == (limit == low):
            return limit
    return x


def make_reduce(op, zero):
    @cuda.jit
    def reduce(a, o):
        part = cuda.shared.array(32, float32)
        i = cuda.grid(1)
        x = block_reduce(a[i] if i < a.size else float32(zero), op, zero=float32(zero), part=part)
        if cuda.threadIdx.x == 0:
            o[cuda.blockIdx.x] = x
    return reduce


def call_clamp(a, o):
    i = cuda.grid(1)
    o[i] = clamp(a[i], high=2, low=float32(-0.5)) + clamp(a[i], 0.0)


def test_functions(launch):
    a = rand(150)
    padded = np.append(a, np.full(42, -np.inf)).reshape(3, 64)
    for op, zero, want in ((plus, 0, np.where(padded == -np.inf, 0, padded).sum(1)), (larger, -math.inf, padded.max(1)),
                           (lambda x, y: max(x, y), -math.inf, padded.max(1))):
        o = rand(3)
        launch(make_reduce(op, zero), 3, 64, a, o)
        np.testing.assert_allclose(o, want, rtol=1e-4, atol=1e-5)
    a, o = np.linspace(-3, 3, 16).astype(f4), rand(16)
    launch(call_clamp, 1, 16, a, o)
    np.testing.assert_allclose(o, np.clip(a, -0.5, 2) + np.clip(a, 0, 1), rtol=1e-6)


def test_two_lambdas_on_a_line_are_told_apart(launch):
    def make(f):
        def apply(a, o):
            i = cuda.grid(1)
            o[i] = f(a[i])
        return apply
    a = np.arange(4)
    for f, want in zip(
        [lambda x: x + 1, lambda x: x * x, lambda x: x - 3], ([1, 2, 3, 4], [0, 1, 4, 9], [-3, -2, -1, 0])
    ):
        o = np.zeros(4, int)
        launch(make(f), 1, 4, a, o)
        assert o.tolist() == want


def test_one_translation_serves_all_closures_of_a_factory():
    def make(f, k):
        def apply(a, o):
            i = cuda.grid(1)
            o[i] = f(a[i]) + k
        return apply
    kernels = [make(lambda x: x * 2, 0.5), make(lambda x: x * 3, 1.5), make(lambda x: float64(x), 2.5)]
    first, second, third = map(program, kernels)
    assert first.block is second.block is third.block and program(kernels[0]) is first
    for p, want in ((first, 4.5), (second, 7.5), (third, 4.5), (first, 4.5)):
        o = np.zeros(1)
        p.python()((1, 1, 1), (1, 1, 1), 0, [np.full(1, 2, f4), o])
        assert o[0] == want
    assert program(make(plus, 1)).block is not program(make(plus, 2)).block, "a whole number may be a shape"


def pair(p, i):
    return p[i], p[i + 1]


def put(p, i, x, y):
    p[i] = x
    p[i + 1] = y


load2, store2 = Intrinsic("load2", pair, None), Intrinsic("store2", put, None)


def swap_pairs(a, o):
    i = cuda.grid(1) * 2
    x, y = load2(a, i)
    store2(o, i, y, x)


def test_intrinsics_and_tuples(launch):
    a, o = rand(8), rand(8)
    launch(swap_pairs, 1, 4, a, o)
    np.testing.assert_array_equal(o, a.reshape(4, 2)[:, ::-1].ravel())

    def tuples(tables, sizes, factors, o):
        k = cuda.blockIdx.x
        p = tables[k]
        i = cuda.threadIdx.x
        if i < sizes[k]:
            o[k, i] = p[i] * factors[k] + factors[-1]
    a, b, o = rand(3), rand(5), np.zeros((2, 5), f4)
    launch(tuples, 2, 8, (a, b), (3, 5), (f4(2), 3, f4(0.5)), o)
    np.testing.assert_allclose(o[0, :3], a * 2 + 0.5, rtol=1e-6)
    np.testing.assert_allclose(o[1], b * 3 + 0.5, rtol=1e-6)


# ---- numbers
def every_dtype(a, o, k):
    i = cuda.grid(1)
    o[i] = a[i] + k


def test_dtypes(launch):
    for dtype in "i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split():
        a, o = np.arange(5).astype(dtype), np.zeros(5, dtype)
        launch(every_dtype, 1, 5, a, o, 3)
        assert o.tolist() == [3, 4, 5, 6, 7], dtype
    o = np.zeros(5, bool)
    launch(every_dtype, 1, 5, np.arange(-3, 2), o, 1)
    assert o.tolist() == [True, True, False, True, True]


def test_bfloat16(launch):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 is ml_dtypes' type")
    a, o = np.array([0.1, 1000], ml_dtypes.bfloat16), np.zeros(2, ml_dtypes.bfloat16)
    launch(every_dtype, 1, 2, a, o, f4(1))
    np.testing.assert_array_equal(o, (a.astype(f4) + 1).astype(ml_dtypes.bfloat16))


def halves(a, o):
    s = cuda.shared.array(4, float16)
    t = cuda.threadIdx.x
    s[t] = float32(a[t]) * float32(3)
    cuda.syncthreads()
    o[t] = float16(s[3 - t])


def test_halves_are_rounded_when_stored(launch):
    a, o = np.array([0.1, 1, 3, 40000], np.float16), np.zeros(4, np.float16)
    launch(halves, 1, 4, a, o)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(o, (a.astype(f4) * 3).astype(np.float16)[::-1])


def bits(a, o):
    i = cuda.grid(1)
    o[i, 0], o[i, 1] = cuda.popc(a[i]), cuda.ffs(a[i])
    o[i, 2], o[i, 3] = cuda.clz(a[i]), cuda.brev(a[i])
    o[i, 4] = cuda.selp(a[i] > 2, 10, 20)
    o[i, 5] = cuda.fma(a[i], 2, 1)


def test_bit_words(launch):
    a, o = np.array([0, 1, 6], np.int32), np.zeros((3, 6), np.int64)
    launch(bits, 1, 3, a, o)
    assert o.tolist() == [[0, 0, 32, 0, 20, 1], [1, 1, 31, 2 ** 31, 20, 3], [2, 2, 29, 0x60000000, 10, 13]]


def test_complex_numbers_are_refused():
    with pytest.raises(TypeError, match="not complex64"):
        program(every_dtype).python()(
            (1, 1, 1), (1, 1, 1), 0, [np.zeros(1, np.complex64), np.zeros(1, np.complex64), 1]
        )


def annotated(x):
    y: float = 0
    for _ in range(3):
        y += x
    return y


def sizes(a, o):
    rows, columns = a.shape
    s = cuda.shared.array(1, float64)
    t = cuda.threadIdx.x
    total = 0.0
    for i in range(rows):                           # the same for all threads, so a barrier may stand inside
        for j in range(columns):
            if t == 0:
                s[0] = annotated(a[i, j])
            cuda.syncthreads()
            total += s[0]
            cuda.syncthreads()
    o[t] = total


def test_sizes_are_the_same_for_all_threads(launch):
    a, o = rand(3, 2), np.zeros(4)
    launch(sizes, 1, 4, a, o)
    np.testing.assert_allclose(o, 3 * a.astype("f8").sum(), rtol=1e-12)
    assert not program(sizes).masks


def unusual(a, o, n):
    t = cuda.threadIdx.x
    x: int = n
    p = q = x
    if 0 <= t < 3 and not t == 1:
        pass
    for k in range(10):
        if k == 4:
            break
        p += k
    else:
        p = -1
    n += 1                                          # a parameter that is assigned to
    cuda.syncthreads()
    while q > 0:
        q -= 3
    o[t] = p + q * 100 + n * 10000 + (a[t] if t != 1 else 0)


def test_statements(launch):
    a, o = np.arange(4), np.zeros(4, int)
    launch(unusual, 1, 4, a, o, 5)
    assert o.tolist() == [11 - 100 + 60000 + (t if t != 1 else 0) for t in range(4)]


# ---- what can't be translated is refused when it is defined
def refused(text, match):
    body = textwrap.indent(textwrap.dedent(text), "    ")
    source = f"from tinygrad_edu.kernels.provider import cuda, float32\nFULL = 0xffffffff\ndef k(a, n):\n{body}\n"
    name = f"<refused {abs(hash(text))}>"
    linecache.cache[name] = len(source), None, source.splitlines(True), name
    names = {}
    exec(compile(source, name, "exec"), names)
    with pytest.raises(Unsupported, match=match):
        program(names["k"])


@pytest.mark.parametrize("text,match", [
    ("for x in [i for i in range(3)]:\n    a[x] = 1", r">:4: in k: a comprehension .* write a loop"),
    ("b = [1, 2]", "no lists.*use a tuple"),
    ("def f(x):\n    return x", "function defined inside a kernel.*define it outside"),
    ("f = lambda x: x", "lambda inside a kernel"),
    ("try:\n    a[0] = 1\nexcept IndexError:\n    pass", "no exceptions"),
    ("with a:\n    pass", "`with`"),
    ("x = a[0] if n else cuda.shfl_sync(FULL, a[0], 1)", r">:4: .*conditional expression.*statement of its own"),
    ("s = cuda.shared.array(n, float32)", "must be constants.*dynamic shared memory"),
    ("a[0] = cuda.match_any_sync(FULL, n)", "no cuda.match_any_sync"),
    ("a[0] = cuda.threadIdx.w", "cuda.threadIdx.w is not a value"),
    ("x, y = cuda.grid(n)", "as a literal"),
    ("for x in a:\n    cuda.syncthreads()\nelse:\n    a[0] = 1", "else of a loop around a barrier"),
    ("for x in (cuda.threadIdx.x, 1):\n    cuda.syncthreads()", "must go over range"),
    ("global g\ng = 1", "write to an array"),
    ("_thread = 1", "the simulator's own"),
])
def test_refusals(text, match):
    refused(text, match)


def test_a_kernel_whose_source_is_nowhere_is_refused():
    names = {}
    exec("def k(a):\n    a[0] = 1", names)
    with pytest.raises(Unsupported, match="must stand in a file or a notebook's cell"):
        program(names["k"])
    with pytest.raises(Unsupported, match="def, not a lambda"):
        program(lambda a: a)


# ---- what it looks like
def test_the_loops_can_be_read():
    assert program(scan).source == textwrap.dedent("""\
        # scan: one block, all its threads. Runs for every blockIdx of the grid.
        # shared by the block: s float32[0]
        # kept for each thread: x in x_all
        def scan(s, x_all, a, o):
            d = 1
            for _thread, threadIdx_x, threadIdx_y, threadIdx_z in _threads:
                t = threadIdx_x
                s[t] = a[t] if t < a.size else float32(0)
            while d < blockDim_x:
                # ---- all threads meet: syncthreads
                for _thread, threadIdx_x, threadIdx_y, threadIdx_z in _threads:
                    t = threadIdx_x
                    x = s[t - d] if t >= d else float32(0)
                    x_all[_thread] = x
                # ---- all threads meet: syncthreads
                d *= 2
                for _thread, threadIdx_x, threadIdx_y, threadIdx_z in _threads:
                    t = threadIdx_x
                    x = x_all[_thread]
                    s[t] += x
            for _thread, threadIdx_x, threadIdx_y, threadIdx_z in _threads:
                t = threadIdx_x
                if t < a.size:
                    o[t] = s[t]""")


def test_a_debugger_stops_at_the_kernels_own_lines():
    seen = set()

    def trace(frame, event, _):
        if frame.f_code.co_filename == inspect.getsourcefile(tree_sum) and frame.f_code.co_name == "tree_sum":
            seen.add(frame.f_lineno)
        return trace
    run = program(tree_sum).python()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run((1, 1, 1), (64, 1, 1), 0, [rand(64), rand(1)])
    finally:
        sys.settrace(before)
    lines, first = inspect.getsourcelines(tree_sum)
    code = [
        first + k for k, line in enumerate(lines) if line.strip().startswith(("part[", "step //=", "o[", "if t < step"))
    ]
    assert set(code) <= seen


def test_numpy_alone_is_enough(tmp_path):
    (tmp_path / "a_kernel.py").write_text(textwrap.dedent("""\
        import sys
        sys.modules["numba"] = sys.modules["llvmlite"] = None
        import numpy as np
        from tinygrad_edu.kernels.provider import cuda, float32
        from tinygrad_edu.kernels.simulator import program

        def k(a, o):
            s = cuda.shared.array(8, float32)
            t = cuda.threadIdx.x
            s[t] = a[t]
            cuda.syncthreads()
            o[t] = s[7 - t]

        for check in (False, True):
            o = np.zeros(8, np.float32)
            program(k).python(check=check)((1, 1, 1), (8, 1, 1), 0, [np.arange(8, dtype=np.float32), o])
            print(o.tolist())
        """))
    done = subprocess.run([sys.executable, tmp_path / "a_kernel.py"], capture_output=True, text=True)
    assert done.stdout == "[7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]\n" * 2, done.stderr
