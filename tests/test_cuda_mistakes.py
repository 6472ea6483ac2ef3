"""What users get wrong on cuda, and what they should read then: devices, gradients, launches, kernels in any mode."""
import warnings

import numpy as np
import pytest

import tinygrad_edu as te
from tinygrad_edu.kernels import cuda as words
from tinygrad_edu.kernels import memory
from tinygrad_edu.kernels.simulator import KernelError

pytestmark = pytest.mark.usefixtures("cuda")


@words.jit
def unguarded(a, b, out):
    i = words.grid(1)
    out[i] = a[i] + b[i]


@words.jit
def telling(out):
    i = words.grid(1)
    if i == 0:
        print("hello from", i)
    out[i] = i


@pytest.fixture
def auto():
    if not memory.default().simulated:
        pytest.skip("a GPU checks no bounds")
    with te.cuda.simulator("auto") as machine:
        yield machine


@pytest.mark.parametrize("n", [10, 10000])
def test_a_missing_guard_is_found_in_the_default_mode(auto, n):
    """Large launches are compiled at once; a learner's kernel is still stopped before it writes into other memory."""
    pytest.importorskip("numba", reason="it compiles")
    a, b, out = np.ones(n, "f4"), np.ones(n, "f4"), np.zeros(n, "f4")
    with pytest.raises(KernelError, match=rf"unguarded: thread .* out of bounds.* axis 0 .* size {n}"):
        unguarded[n // 256 + 1, 256](a, b, out)
    assert unguarded.boundscheck and not words.jit(boundscheck=False)(unguarded.py_func).boundscheck


def test_a_kernel_may_print(auto, capsys):
    out = np.zeros(4096, "f4")
    telling[16, 256](out)
    assert capsys.readouterr().out == "hello from 0\n" and (out == np.arange(4096)).all()


def test_small_launches_get_hot_too(auto):
    pytest.importorskip("numba", reason="it compiles")
    x, kernel = te.ones(3, device="cuda"), words.jit(unguarded.py_func)
    for _ in range(300):
        kernel[1, 3](x, x, x)
    made, = kernel.made.values()
    assert made.compiled


def test_sizes_of_a_launch_are_whole_numbers():
    with pytest.raises(TypeError, match=r"whole numbers, not 10.5: for n elements take \(n \+ thr"):
        unguarded[10.5, 32]
    with pytest.raises(TypeError, match="whole numbers"):
        unguarded[(1, 2.0), 32]


def test_a_gradient_has_to_be_where_the_output_is():
    y = te.ones(2, device="cuda", requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="^invalid gradient at index 0 - expected device cuda:0 but got cpu"):
        y.backward(te.ones(2))


def test_devices_have_no_negative_index():
    with pytest.raises(RuntimeError, match="^Device index must not be negative"):
        te.device("cuda", -1)
    with pytest.raises(RuntimeError, match="^CUDA error: invalid device ordinal"):
        te.ones(2, device="cuda:7")


def test_pinned_memory_is_no_reason_to_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(te.utils.data.DataLoader([1, 2, 3], batch_size=2, pin_memory=True))


def test_events_time():
    start, end = te.cuda.Event(enable_timing=True), te.cuda.Event(enable_timing=True)
    with pytest.raises(ValueError, match="must be recorded"):
        start.elapsed_time(end)
    start.record()
    end.record()
    end.synchronize()
    assert 0 <= start.elapsed_time(end) < 10_000
    with pytest.raises(ValueError, match="enable_timing=True"):
        start.elapsed_time(te.cuda.Event())


def test_switches_of_torch_backends_cuda():
    te.backends.cuda.matmul.allow_tf32 = True
    te.backends.cuda.matmul.allow_tf32 = False
    assert te.backends.cuda.is_built()


@words.jit
def corner(x):
    i, j = words.grid(2)
    x[i, j] = 1


@words.jit
def tally(o):
    o[0] += 1


def test_advice_that_can_be_followed():
    """The guard names the dimension's index; a statement that all threads run needs an atomic, not a meeting point."""
    with te.cuda.simulator("check"):
        with pytest.raises(KernelError, match=r"x\[0, 5\], but axis 1 has size 5; guard it: if j < x.shape\[1\]"):
            corner[1, (1, 8)](np.zeros((4, 5)))
        with pytest.raises(KernelError, match="race: reads o.0., .* cuda.atomic or a single thread if it is one"):
            tally[1, 4](np.zeros(1))
