"""The kernels that make one number of many: reductions, extremes, variances, norms, softmax.

Each program of kernels/ against numpy, with the threads that the simulator gets and with those that a GPU gets, under
all checks, threads first to last and last to first. The ops that use them are tested like all others, in test_ops.
"""
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_edu.kernels import array, elementwise, extreme, launch, lesson, norm, reduce, rows, softmax, variance
from tinygrad_edu.kernels.provider import cuda, float32, int32, jit

LESSONS = [reduce, extreme, variance, norm, softmax]
EDGES = np.array([[1, -np.inf, 2, 0], [-np.inf] * 4, [3, np.nan, np.inf, -1], [np.inf, 1, -np.inf, 0],
                  [-1e38, 1e38, 0, 1], [0.0, -0.0, 0.0, -0.0]])
DIMS = [(), (0,), (1,), (3,), (1, 2), (0, 2), (1, 3), (0, 2, 3), (0, 1, 2, 3)]


class Machine(launch.Simulator):
    """The simulator; with `gpu` programs choose for it as for a GPU: many threads a row, 16-byte loads, parts."""

    def __init__(self, mode, gpu=False):
        super().__init__()
        self.mode, self.simulated = mode, not gpu

    def make(self, kernel, args):
        if self.mode == "reverse":
            return launch.Made(self.program(kernel).python(check=True, reverse=True), False)
        return super().make(kernel, args)


MACHINES = [("check", False), ("reverse", True), pytest.param(("compiled", False), marks=pytest.mark.slow),
            pytest.param(("compiled", True), marks=pytest.mark.slow)]


@pytest.fixture(params=MACHINES, ids=lambda p: f"{p[0]}{'-as-gpu' * p[1]}")
def machine(request):
    return Machine(*request.param)


def draw(*shape, dtype=np.float32, seed=0):
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return (numbers * (1 if np.dtype(dtype).kind == "f" else 5)).astype(dtype)


def put(machine, host):
    return array.from_numpy(machine, host)


def add_up(a, dims, keepdim=False, **more):
    return reduce.run(reduce.plus, 0, array=a, dims=dims, keepdim=keepdim, **{"name": "sum", "dtype": a.dtype, **more})


plus = lambda a, b: a + b
mean = lambda total, count: total / count
times = lambda a, b: a * b
larger = lambda a, b: a if a > b or a != a else b
smaller = lambda a, b: a if a < b or a != a else b
either = lambda a, b: a != 0 or b != 0
both = lambda a, b: a != 0 and b != 0


def close(got, want, tolerance=2e-6):
    got = got.numpy()
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got.astype(np.float64), want, rtol=tolerance, atol=tolerance)


# ---- reductions: dimensions, layouts, types
@pytest.mark.parametrize("dims", DIMS, ids=str)
def test_any_dimensions(machine, dims):
    host = draw(3, 5, 2, 4)
    close(add_up(put(machine, host), dims), host.astype(float).sum(dims), 1e-5)
    assert add_up(put(machine, host), dims, True).shape == host.sum(dims, keepdims=True).shape


LAYOUTS = {
    "turned":    (lambda a: a.permute((2, 0, 1)),                 lambda h: h.transpose(2, 0, 1)),
    "every 2nd": (lambda a: a.view((6, 5, 4), (40, 8, 2)),        lambda h: h[:, :, ::2]),
    "shifted":   (lambda a: a.view((6, 5, 7), a.strides, 1),      lambda h: h[:, :, 1:]),
    "repeated":  (lambda a: a.view((6, 3, 5, 8), (40, 0, 8, 1)),  lambda h: np.repeat(h[:, None], 3, 1)),

}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (0, 2), (0, 1, 2)], ids=str)
def test_any_strides(machine, layout, dims):
    view, of_host = LAYOUTS[layout]
    host = draw(6, 5, 8)
    close(add_up(view(put(machine, host)), dims), of_host(host).astype(float).sum(dims), 1e-5)


def test_too_many_strides_are_copied(machine):
    host = draw(5, 4, 5, 4, 5)
    a = put(machine, host).view((4, 3, 4, 3, 4), (400, 100, 20, 5, 1))   # no two dimensions are neighbours
    want = host[:4, :3, :4, :3, :4].astype(float)
    for dims in ((1, 3), (0, 2, 4), (0, 1, 2), (2,), (0,)):
        close(add_up(a, dims), want.sum(dims), 1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"])
@pytest.mark.parametrize("dims", [(0,), (1,), (0, 1)], ids=str)
def test_extremes_and_truth_of_every_type(machine, dtype, dims):
    host = draw(4, 70, dtype=dtype)
    a = put(machine, host)
    given = {"array": a, "dims": dims, "keepdim": False}
    close(reduce.run(larger, -np.inf, name="max", dtype=dtype, **given), host.max(dims), 0)
    close(reduce.run(smaller, np.inf, name="min", dtype=dtype, **given), host.min(dims), 0)
    for out in (bool, np.uint8):
        close(reduce.run(either, False, name="any", dtype=out, **given), (host != 0).any(dims), 0)
        close(reduce.run(both, True, name="all", dtype=out, **given), (host != 0).all(dims), 0)


def test_limits_of_integers_are_identities(machine):
    for dtype in ("int8", "int32", "int64", "uint8"):
        info = np.iinfo(dtype)
        low, high = (put(machine, np.full((2, 9), limit, dtype)) for limit in (info.min, info.max))
        given = {"dims": (1,), "keepdim": False, "dtype": dtype}
        assert (reduce.run(larger, -np.inf, name="max", array=low, **given).numpy() == info.min).all()
        assert (reduce.run(smaller, np.inf, name="min", array=high, **given).numpy() == info.max).all()


def test_nothing_and_numbers(machine):
    empty = put(machine, np.zeros((3, 0, 2), np.float32))
    assert add_up(empty, (1,)).numpy().tolist() == [[0, 0]] * 3
    assert add_up(empty, (0, 2)).shape == (0,)
    assert add_up(empty, (0, 1, 2)).numpy() == 0
    assert np.isnan(add_up(empty, (1,), finish=mean, name="mean").numpy()).all()
    assert reduce.run(times, 1, name="prod", array=empty, dims=(1,), keepdim=False, dtype=np.float32).numpy().min() == 1
    assert reduce.run(both, True, name="all", array=empty, dims=(1,), keepdim=False, dtype=bool).numpy().all()
    assert add_up(put(machine, np.float32(3)), (), finish=mean, name="mean").numpy() == 3


def test_halves_add_up_in_float32(machine):
    host = np.full((2, 3000), 1.001, np.float16)
    close(add_up(put(machine, host), (1,)), np.float16(host.astype(np.float64).sum(1)), 0)
    assert add_up(put(machine, np.full((3, 1), 6e4, np.float16)), (0, 1)).numpy() == np.inf     # no half can hold that


def test_large_sums_keep_their_digits():
    host = draw(1, 300_000) + 1000                  # compiled: in Python that takes long
    for gpu in (False, True):
        got = add_up(put(Machine("compiled", gpu), host), (0, 1)).numpy()
        assert abs(got / host.astype(np.float64).sum() - 1) < 2e-7


def test_the_same_bits_whatever_the_order_of_threads():
    host = draw(3, 1100)
    for gpu in (False, True):
        a, b, c = [add_up(put(Machine(mode, gpu), host), (1,)).numpy() for mode in ("python", "reverse", "compiled")]
        assert a.tobytes() == b.tobytes() == c.tobytes()


def test_a_gpu_gets_enough_blocks():
    """(rows, size) -> threads, and blocks of them: all elements are covered, and few rows are split."""
    gpu = Machine("python", True)
    for count, size in ((1, 10 ** 7), (3, 10 ** 6), (10 ** 6, 3), (1000, 1000), (64, 10), (7, 1)):
        for along in (True, False):
            buffer = array.Array(put(gpu, np.zeros(1)).buffer, (), (), 0, np.dtype(np.float32))
            steps = (size, 1) if along else (1, count)
            given = rows.Rows(buffer, count, count, 0, *[steps[0], size, steps[1]])
            threads, each = given.threads()
            parts, part = given.parts(threads, each)
            assert 32 <= threads * each <= rows.BLOCK and threads & (threads - 1) == 0 and (each == 1 or threads <= 32)
            assert (parts - 1) * part < size <= parts * part and part % 4 == 0
            assert parts * -(-count // each) >= min(rows.FILL, count * size // (64 * rows.BLOCK)) // 2
            assert parts <= 65535


def test_sixteen_bytes_at_a_time_only_where_they_are_aligned():
    gpu = Machine("check", True)
    base = put(gpu, draw(8, 16))
    for view, fits in ((base, True), (base.view((8, 12), (16, 1), 4), True), (base.view((8, 12), (16, 1), 1), False),
                       (base.view((8, 15), (15, 1)), False), (base.permute((1, 0)), False)):
        assert reduce.can_be_fours(rows.rows_of(view, (1,))) == fits
        close(add_up(view, (1,)), view.numpy().astype(float).sum(1), 1e-5)
    assert not reduce.can_be_fours(rows.rows_of(put(gpu, draw(4, 8, dtype=np.float64)), (1,)))


# ---- a block's total
@pytest.mark.parametrize("threads", [1, 2, 16, 32, 64, 1024])
@pytest.mark.parametrize("T", [float32, int32], ids=repr)
def test_every_thread_gets_the_total_of_its_group(threads, T):
    total = reduce.block_reduce(reduce.add, T, threads)

    def kernel(a, o):
        i = cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        first = total(a[i])
        o[i] = first + total(first)                 # called twice: the shared memory is used again
    groups = max(1, 64 // threads)
    host = np.arange(threads * groups, dtype=T.numpy)
    for mode in ("check", "reverse"):
        machine = Machine(mode)
        out = array.empty(machine, host.shape, host.dtype)
        jit(kernel)[1, (threads, groups)](put(machine, host), out)
        want = host.reshape(groups, threads).sum(1, keepdims=True) * (threads + 1)
        assert (out.numpy().reshape(groups, threads) == want).all()


# ---- extremes and their places
@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("dims", [(0,), (1,), (2,)], ids=str)
def test_places(machine, dtype, dims):
    host = draw(3, 9, 4, dtype=dtype).round()       # many equal ones: the first counts
    for largest, place in ((True, np.argmax), (False, np.argmin)):
        values, places = extreme.find(put(machine, host), largest, dims, False)
        want = place(host, dims[0])
        assert (places.numpy() == want).all() and places.dtype == np.int64
        assert (values.numpy() == (host.max if largest else host.min)(dims[0])).all()


def test_places_in_all_and_in_long_rows(machine):
    host = draw(2, 5000).round(1)
    a = put(machine, host)
    assert extreme.argmax(a, dims=(0, 1), keepdim=False).numpy() == host.argmax()
    assert extreme.argmin(a, dims=(0, 1), keepdim=True).numpy().tolist() == [[host.argmin()]]
    assert extreme.argmax(a.permute((1, 0)), dims=(0, 1), keepdim=False).numpy() == host.T.argmax()
    assert (extreme.argmax(a, dims=(1,), keepdim=False).numpy() == host.argmax(1)).all()


def test_nan_is_the_largest_and_the_smallest(machine):
    for host in (EDGES.astype(np.float32), np.tile(EDGES, (1, 30)).astype(np.float32)):
        a = put(machine, host)
        assert (extreme.argmax(a, dims=(1,), keepdim=False).numpy() == host.argmax(1)).all()
        assert (extreme.argmin(a, dims=(1,), keepdim=False).numpy() == host.argmin(1)).all()
        low, high = extreme.aminmax(a, dims=(1,), keepdim=False)
        np.testing.assert_array_equal(low.numpy(), host.min(1))
        np.testing.assert_array_equal(high.numpy(), host.max(1))


# ---- variances, norms
@pytest.mark.parametrize("dims", [(0,), (1,), (0, 2), (0, 1, 2)], ids=str)
def test_variances(machine, dims):
    host = draw(3, 7, 5)
    out, means = variance.var_mean(put(machine, host), dims=dims, keepdim=True, correction=1)
    close(out, host.astype(float).var(dims, ddof=1, keepdims=True), 1e-5)
    close(means, host.astype(float).mean(dims, keepdims=True), 1e-6)
    close(variance.std(put(machine, host), dims=dims, keepdim=False, correction=0), host.astype(float).std(dims), 1e-5)


def test_variances_of_large_numbers_and_of_nothing(machine):
    host = draw(2, 5000) + 10_000                   # of which squares would leave nothing
    rule = {"dims": (1,), "keepdim": False, "correction": 1}
    close(variance.var(put(machine, host), **rule), host.astype(float).var(1, ddof=1), 1e-4)
    same = put(machine, np.full((2, 37), 0.1, np.float32))
    assert 0 <= variance.std(same, **rule).numpy().max() < 1e-7
    for size in (0, 1):
        assert np.isnan(variance.var(put(machine, np.ones((2, size), np.float32)), **rule).numpy()).all()
    out, means = variance.var_mean(put(machine, np.array([[1, np.inf, 2]], np.float32)), **rule)
    assert np.isnan(out.numpy()).all() and means.numpy() == np.inf


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, 3, -2, np.inf, -np.inf])
def test_norms(machine, p):
    host = draw(3, 41)
    got = norm.vector_norm(put(machine, host), p=float(p), dims=(1,), keepdim=False)
    close(got, norm.spec(host.astype(float), p, (1,)), 3e-6)


def test_nansum(machine):
    host = np.tile(EDGES, (1, 5)).astype(np.float32)[[0, 2, 3, 5]]
    with np.errstate(all="ignore"):
        want = np.nansum(host, 1)
    np.testing.assert_array_equal(reduce.nansum(put(machine, host), dims=(1,), keepdim=False).numpy(), want)


# ---- softmax
@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_softmax_and_what_goes_back(machine, dim, dtype):
    host, g = draw(3, 37, 4, dtype=dtype), draw(3, 37, 4, dtype=dtype, seed=1)
    wide, g_wide, tolerance = host.astype(float), g.astype(float), 2e-3 if dtype == "float16" else 3e-6
    along = lambda x: x.sum(dim, keepdims=True)
    log = wide - wide.max(dim, keepdims=True)
    log -= np.log(along(np.exp(log)))
    a = put(machine, host)
    close(softmax.softmax(a, dim=dim), np.exp(log), tolerance)
    close(softmax.log_softmax(a, dim=dim), log, tolerance)
    y, log_y = np.exp(log).astype(dtype), log.astype(dtype)
    close(softmax.softmax_backward(put(machine, g), put(machine, y), dim=dim),
          y.astype(float) * (g_wide - along(g_wide * y.astype(float))), tolerance)
    close(softmax.log_softmax_backward(put(machine, g), put(machine, log_y), dim=dim),
          g_wide - np.exp(log_y.astype(float)) * along(g_wide), tolerance)


@pytest.mark.parametrize("wide", [1, 25])
def test_softmax_of_infinities(machine, wide):
    host = np.tile(EDGES, (1, wide)).astype(np.float32)
    a, far = put(machine, host), put(machine, host.T.copy())
    with np.errstate(all="ignore"):
        shifted = host.astype(float) - host.max(1, keepdims=True)
        log = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        top = np.where(np.isfinite(host.max(1, keepdims=True)), host.max(1, keepdims=True), 0).astype(float)
        total = (np.log(np.exp(host - top).sum(1, keepdims=True)) + top)[:, 0]
    close(softmax.softmax(a, dim=1), np.exp(log))
    close(softmax.log_softmax(a, dim=1), log)
    close(softmax.softmax(far, dim=0), np.exp(log).T)
    close(softmax.logsumexp(a, dims=(1,), keepdim=False), total)


def test_softmax_of_views_of_nothing_and_of_a_number(machine):
    host = draw(6, 5)
    turned = put(machine, host).permute((1, 0))
    close(softmax.softmax(turned, dim=0), softmax.spec(host.astype(float)).T)
    assert softmax.softmax(put(machine, np.zeros((0, 3), np.float32)), dim=1).shape == (0, 3)
    assert softmax.softmax(put(machine, np.zeros((3, 0), np.float32)), dim=1).shape == (3, 0)
    assert softmax.softmax(put(machine, np.float32(5)), dim=0).numpy() == 1
    assert softmax.log_softmax(put(machine, np.float32(5)), dim=0).numpy() == 0
    close(softmax.logsumexp(put(machine, np.zeros((2, 0), np.float32)), dims=(1,), keepdim=False), [-np.inf] * 2)


# ---- the lessons
@pytest.mark.parametrize("module", LESSONS, ids=lambda m: m.__name__.rpartition(".")[2])
def test_lessons_check_their_kernels(module, monkeypatch, capsys):
    from tinygrad_edu.kernels import memory
    for mode in ("check", "reverse"):
        machine = Machine(mode)
        monkeypatch.setattr(memory, "default", lambda machine=machine: machine)
        module.main()
    told = capsys.readouterr().out
    assert "differs by" in told and "launch" in told


def test_a_lesson_finds_a_wrong_result():
    right = np.array([1, 2, np.inf])
    lesson.check("right", right, right, 0)
    for wrong in ([1, 2.1, np.inf], [1, 2, 3], [1, np.nan, np.inf], [1, 2, -np.inf]):
        with pytest.raises(AssertionError, match="wrong is off by"):
            lesson.check("wrong", np.array(wrong), right, 1e-3)
    with pytest.raises(AssertionError, match="shape"):
        lesson.check("wrong", right[:2], right, 1)
    big = np.array([2 ** 60, 5])
    with pytest.raises(AssertionError, match="off by 1.0e"):
        lesson.check("wrong", big + [1, 0], big, 0)


def test_counting_launches():
    machine = Machine("python")
    a = put(machine, np.zeros((40, 7), np.float32))
    with lesson.counted(machine) as launches:
        elementwise.fill(a, 1)
        add_up(a, (1,))
    assert launches == [((2, 1, 1), (256, 1, 1)), ((2, 1, 1), (1, 32, 1))]


def test_neither_numba_nor_the_engine_is_imported():
    code = ("import sys, tinygrad_edu.kernels.reduce, tinygrad_edu.kernels.extreme, tinygrad_edu.kernels.variance, "
            "tinygrad_edu.kernels.norm, tinygrad_edu.kernels.softmax; assert 'numba' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)
