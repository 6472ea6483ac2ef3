"""What all tests share: the devices, torch as an oracle where it is installed, and a watch over global state."""
from __future__ import annotations

import os

import pytest

pytest.register_assert_rewrite("tests.strong")     # its asserts explain themselves like those of a test file

DEVICES = ["cpu", "cuda"]                          # every device that samples run on


@pytest.fixture(params=DEVICES)
def device(request):
    """The name of a device. Without a GPU, cuda is the simulator; its Python back end needs no compiling."""
    import tinygrad_edu as te
    if request.param == "cpu" or te.cuda.is_available():
        yield request.param
        return
    with te.cuda.simulator(os.environ.get("TINYGRAD_EDU_SIM", "python")):
        yield request.param


@pytest.fixture
def cuda(request):
    """A CUDA device. On the simulator in Python, which needs no compiling, save for slow tests."""
    import tinygrad_edu as te
    if te.cuda.is_available():
        yield
        return
    slow = request.node.get_closest_marker("slow")
    with te.cuda.simulator(os.environ.get("TINYGRAD_EDU_SIM", "auto" if slow else "python")):
        yield


@pytest.fixture(params=["python", "check", "compiled"])
def machine(request):
    """The simulator, in one of its modes after the other."""
    import tinygrad_edu as te
    if request.param == "compiled":
        pytest.importorskip("numba", reason="it compiles")
    with te.cuda.simulator(request.param) as simulator:
        yield simulator


@pytest.fixture
def no_cuda(monkeypatch):
    """A machine without a GPU, and nobody asked for the simulator."""
    from tinygrad_edu import backends
    monkeypatch.delitem(backends._backends, "cuda", raising=False)
    monkeypatch.setattr(backends, "find_cuda", lambda: None)


@pytest.fixture
def no_detours(monkeypatch):
    """An op without a kernel of its own is an error."""
    from tinygrad_edu.core import op

    def refuse(cls, backend, arrays, params):
        raise AssertionError(f"{cls.__name__} has no kernel and took the detour through numpy")
    monkeypatch.setattr(op, "detour", refuse)


@pytest.fixture(scope="session")
def real_torch():
    """torch itself, on one thread; a test that asks for it is skipped where it is not installed."""
    torch = pytest.importorskip("torch", reason="torch is an optional oracle")
    torch.set_num_threads(1)
    return torch


@pytest.fixture(autouse=True)
def clean_state():
    """No test leaves a switch thrown behind."""
    import tinygrad_edu as te
    from tinygrad_edu.core import tape
    from tinygrad_edu.core.mode import mode
    yield
    found = mode.grad, mode.inference, te.get_default_dtype(), list(tape.anomaly)
    mode.grad, mode.inference = True, False
    te.set_default_dtype(te.float32)
    tape.anomaly[:] = []
    assert found == (True, False, te.float32,
                     []), "the test left grad mode, inference mode, default dtype or anomaly mode changed"
