"""A second backend, registered from outside: pure Python lists (tests/lists.py), held against the CPU.

Every elementwise op's `cuda` line runs here as an ordinary function on values that hurt, and a model trains on it.
"""
from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import math
import warnings

import numpy as np
import pytest

import tinygrad_edu as te
from tests import lists, samples, strong
from tests.goldens import measure
from tinygrad_edu import backends
from tinygrad_edu.backends import CPU
from tinygrad_edu.core import dtypes
from tinygrad_edu.core import op as op_module
from tinygrad_edu.core.op import Elementwise, Op, Reduction

NAN, INF = math.nan, math.inf
FLOATS = [0.0, -0.0, INF, -INF, NAN, 1e-30, -1e-30, 1e30, -1e30, 17.0, -17.0, 50.0, -50.0, 0.5, -0.5, 1.0, -1.0, 2.0,
          3.0, -3.0, 1.5, 710.0, -745.0]
FEWER = [0.0, -0.0, INF, -INF, NAN, 1e-30, 1e30, 17.0, -50.0, 0.5, -1.0, 2.0]
INTEGERS = [0, 1, -1, 2, 3, -7, 63, 2 ** 31, -2 ** 63, 2 ** 63 - 1]
# op: relative error allowed, and why it is more than a few units in the last place
LOOSE = {}
# op: inputs on which GPU arithmetic and torch's CPU differ on purpose
EXCEPT = {}


def subclasses(cls):
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def of_this_library(cls):
    return cls.__module__.startswith("tinygrad_edu.ops.") and (cls.cpu is not None or cls.cuda is not None)


ELEMENTWISE = sorted({c for c in subclasses(Elementwise) if of_this_library(c)},
                     key=lambda c: (c.__module__, c.__name__))


@functools.cache
def parameters():
    """{op: the parameters with which sample lines call it}."""
    found = {}
    before = lists.ListBackend.elementwise

    def spy(self, op, arrays, params, shape, dtype):
        entry = found.setdefault(op, [])
        if params not in entry:
            entry.append(params)
        return before(self, op, arrays, params, shape, dtype)
    lists.ListBackend.elementwise = spy
    try:
        for sample in samples.load():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                measure.answer(te, sample, "float64", measure.cases(sample).get("float64", {}), "lists")
    finally:
        lists.ListBackend.elementwise = before
    return found


def accepts(op, dtype):
    try:
        op.check(dtype)
    except (RuntimeError, NotImplementedError, TypeError):
        return False
    return True


def on_both(op, columns, params, dtype):
    """(CPU's results, the lists' results) for all combinations of the columns' numbers."""
    rows = list(itertools.product(*columns))
    shape = (len(rows),)
    arrays = [np.array([row[i] for row in rows], dtype.numpy) for i in range(len(columns))]
    out = dtypes.bool_ if op.result == "bool" else dtype
    right = CPU.elementwise(op, arrays, params, shape, out)
    mine = lists.LISTS.elementwise(op, [lists.fresh(a.tolist(), shape, dtype) for a in arrays], params, shape, out)
    return rows, right, lists.LISTS.to_numpy(mine)


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.__name__)
def test_cuda_line_and_cpu_agree_on_extreme_floats(op):
    if not accepts(op, dtypes.float64):
        pytest.skip("not for floats")
    assert op.cuda is not None
    for params in parameters().get(op) or ([{}] if not op.parameters
                                           else pytest.fail("no sample calls it: its parameters are unknown")):
        rows, right, mine = on_both(op, [FLOATS if len(op.inputs) < 3 else FEWER] * len(op.inputs), params,
                                    dtypes.float64)
        with np.errstate(all="ignore"):
            relative = np.abs(mine - right) / np.abs(right) if right.dtype.kind == "f" else mine != right
        bad = [f"{op.__name__}{row}: cpu {r!r}, cuda {m!r}" for row, r, m,
               error in zip(rows, right.tolist(), mine.tolist(), relative)
               if not (m == r or m != m and r != r or error < LOOSE.get(op.__name__, 1e-14))
               and row not in EXCEPT.get(op.__name__, ())]
        assert not bad, f"{params}: {len(bad)} of {len(rows)} differ:\n" + "\n".join(bad[:12])


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.__name__)
def test_cuda_line_and_cpu_agree_on_integers(op):
    if op.result == "float" or not accepts(op, dtypes.int64):
        pytest.skip("computes in floating point only")
    for params in parameters().get(op, [{}]):
        columns = [INTEGERS] * len(op.inputs)
        try:
            rows, right, mine = on_both(op, columns, params, dtypes.int64)
        except (RuntimeError, ZeroDivisionError,
                ValueError):      # refused by the CPU: a zero divisor, a negative exponent or shift
            columns[-1] = [1, 2, 3, 63]
            rows, right, mine = on_both(op, columns, params, dtypes.int64)
        bad = [f"{op.__name__}{row}: cpu {r!r}, cuda {m!r}" for row, r, m in zip(rows, right.tolist(), mine.tolist())
               if m != r and row not in EXCEPT.get(op.__name__, ())]
        assert not bad, f"{params}: {len(bad)} of {len(rows)} differ:\n" + "\n".join(bad[:12])


# ---- all samples
CPU_ONLY = ("from_numpy", "from_dlpack", "frombuffer")      # bridges to other libraries' memory


@pytest.mark.parametrize("sample", samples.load(), ids=lambda s: s.key.replace("torch.", "").replace("  # ", " -- "))
def test_samples(sample):
    """The same results and gradients as torch's, with memory in lists."""
    if sample.op in CPU_ONLY or "float64" not in sample.dtypes or not sample.inputs:
        pytest.skip("nothing on another device")
    try:
        strong.quietly(strong.check_case, sample, "float64", measure.cases(sample)["float64"], "lists")
    except AssertionError as error:
        if "torch.tensor(" in sample.expression and "Expected all tensors to be on the same device" in str(error):
            pytest.skip("its expression makes a tensor on the CPU, which torch would not mix either")
        raise


# ---- a model
T_C = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]
T_U = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]


def by_hand(device, dtype):
    """The tutorial's linear model; its losses and its last gradient."""
    t_c, t_u = (te.tensor(t, dtype=dtype, device=device) for t in (T_C, T_U))
    params = te.tensor([1.0, 0.0], dtype=dtype, device=device, requires_grad=True)
    losses = []
    for _ in range(8):
        params.grad = None
        loss = ((params[0] * t_u * 0.1 + params[1] - t_c) ** 2).mean()
        loss.backward()
        losses.append(loss.item())
        with te.no_grad():
            params -= 1e-2 * params.grad
    return losses + params.grad.tolist()


def sequential(device, dtype):
    """The tutorial's network, by nn and optim; its losses and all gradients."""
    te.manual_seed(0)
    model = te.nn.Sequential(te.nn.Linear(1, 8), te.nn.Tanh(), te.nn.Linear(8, 1)).to(dtype).to(device)
    t_c, t_u = (te.tensor(t, dtype=dtype, device=device).unsqueeze(1) for t in (T_C, T_U))
    optimizer, loss_fn = te.optim.SGD(model.parameters(), lr=1e-3), te.nn.MSELoss()
    losses = []
    for _ in range(6):
        loss = loss_fn(model(t_u * 0.1), t_c)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses + [g for p in model.parameters() for g in p.grad.flatten().tolist()]


@pytest.mark.parametrize("train", [by_hand, sequential])
@pytest.mark.parametrize("dtype, tolerance", [(te.float64, 1e-12), (te.float32, 2e-5)], ids=["float64", "float32"])
def test_it_trains(train, dtype, tolerance):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(train("lists", dtype), train("cpu", dtype), tolerance, tolerance)


# ---- devices
def test_tensors_know_where_they_are():
    x = te.ones(2, device="lists")
    assert x.device == te.device("lists") and not x.is_cpu and repr(x) == "tensor([1., 1.], device='lists')"
    assert x.cpu().tolist() == [1.0, 1.0] and te.zeros_like(x).device == x.device
    with pytest.raises(TypeError, match="can't convert lists device type tensor to numpy. Use Tensor.cpu\\(\\) to "
                                        "copy the tensor to host"):
        x.numpy()


def test_mixed_devices_are_refused():
    x, y = te.ones(2, device="lists"), te.ones(2)
    for a, b in ((x, y), (y, x)):
        with pytest.raises(RuntimeError,
                           match="Expected all tensors to be on the same device, but found at least two devices"):
            a + b
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            a.reshape(1, 2) @ b.reshape(2, 1)


def test_a_0d_cpu_tensor_takes_part_as_a_number():
    x, n = te.ones(2, device="lists", requires_grad=True), te.tensor(3.0, requires_grad=True)
    y = x * n
    assert y.device == x.device
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0] and x.grad.device == x.device
    assert n.grad.item() == 2.0 and n.grad.device == n.device
    assert (x + te.tensor(1.5, dtype=te.float64)).dtype is te.float32
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        te.ones(2) * te.tensor(1.0, device="lists")        # the other way round it is refused, as in torch


def test_unknown_devices(no_cuda):
    with pytest.raises(RuntimeError, match="Expected one of cpu, cuda.* device type at start of device string: abacus"):
        te.ones(2, device="abacus")
    with pytest.raises(RuntimeError, match="Invalid device string: 'cuda:x'"):
        te.device("cuda:x")
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        te.ones(2, device="cuda")
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        te.ones(2).to("cuda:0")
    assert not te.cuda.is_available() and te.cuda.device_count() == 0


def test_backends_come_and_go():
    class Other(lists.ListBackend):
        device = "other"
    backends.register_backend(Other())
    x = te.ones(2, device="other")
    backends.unregister_backend("other")
    assert (x + 1).tolist() == [2.0, 2.0]          # its tensors go on working
    with pytest.raises(RuntimeError, match="Expected one of"):
        te.ones(2, device="other")
    with pytest.raises(ValueError, match="the CPU backend can't be removed"):
        backends.unregister_backend("cpu")


# ---- detours
DETOURS = []                                       # ops without a kernel: it grows only with an op of the same commit


def kernelless():
    return sorted({c.__name__ for c in subclasses(Op) if of_this_library(c) and c.cuda is None})


def test_ops_without_a_kernel_are_known():
    assert kernelless() == DETOURS
    for cls in (*subclasses(Elementwise), *subclasses(Reduction)):
        assert not of_this_library(cls) or cls.cuda is not None, f"{cls.__name__}'s family has a kernel"


def programs():
    """{op: the program of kernels/ that it names}."""
    return {c: c.cuda for c in subclasses(Op) if of_this_library(c) and isinstance(c.cuda, str)}


@pytest.mark.parametrize("op", programs(), ids=lambda op: op.__name__)
def test_the_kernel_program_that_an_op_names(op):
    """It is there, and takes what the CPU's program takes."""
    file, _, function = op.cuda.rpartition(".")
    program = getattr(importlib.import_module(f"tinygrad_edu.kernels.{file}"), function)
    found = inspect.signature(program).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in found):
        return
    given = {p.name for p in found if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    assert set(op.parameters) <= given, f"{op.cuda} doesn't take {set(op.parameters) - given}"


def test_a_detour_is_announced_once():
    op_module.announced.clear()
    x = te.tensor([[3.0, 1.0, 2.0]], device="lists")
    with pytest.warns(UserWarning, match="sort has no lists kernel yet and computes on the CPU"):
        values, places = x.sort()
    assert values.tolist() == [[1.0, 2.0, 3.0]] and values.device == places.device == x.device
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x.sort()
