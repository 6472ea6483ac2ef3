"""Elementwise ops on CUDA: every op's kernel against its CPU program on values that hurt, in both back ends.

And the ways through memory: 16 bytes at a time, strided, broadcast, with 64-bit indices.
"""
import itertools
import warnings

import numpy as np
import pytest

import tinygrad_edu as te
from tests import test_backend as reference
from tinygrad_edu.backends import CPU
from tinygrad_edu.core import dtypes
from tinygrad_edu.kernels import array, elementwise, memory
from tinygrad_edu.kernels.provider import jit

MODES = ["python", pytest.param("compiled", marks=pytest.mark.slow)]
TOLERANCE = {"float64": 1e-13, "float32": 2e-6}
LOOSE = {("Digamma", "float32"): 2e-5}             # near a zero of the function its terms cancel
# Where a float32 result differs for a reason: 2.0 ** y overflows before x makes the product small.
OVERFLOW = {"Ldexp"}


def columns(op, dtype):
    if dtype.is_floating_point:
        return [reference.FLOATS if len(op.inputs) < 3 else reference.FEWER] * len(op.inputs)
    info = dtypes.iinfo(dtype)
    # the least integer has no opposite, and products of large ones wrap around: there C and numpy differ
    most = min(info.max, 2 ** 31) if op.__name__ in ("Lcm", "Isclose") else info.max
    return [[v for v in reference.INTEGERS if -most <= v <= most]] * len(op.inputs)


def on_both(op, params, dtype, backend):
    """(rows of operands, the CPU's results, the kernel's)."""
    numbers, out = columns(op, dtype), dtypes.bool_ if op.result == "bool" else dtype
    try:
        return compute(op, params, dtype, backend, numbers, out)
    except (RuntimeError, ZeroDivisionError, ValueError) as error:
        if dtype.is_floating_point or "KernelError" in type(error).__name__:
            raise
        return compute(op, params, dtype, backend, [*numbers[:-1], [1, 2, 3, 30]], out)      # what the CPU refuses


def compute(op, params, dtype, backend, numbers, out):
    rows = list(itertools.product(*numbers))
    shape = (len(rows),)
    with np.errstate(all="ignore"):
        arrays = [np.array([row[i] for row in rows]).astype(dtype.numpy) for i in range(len(numbers))]
    right = CPU.elementwise(op, arrays, params, shape, out)
    there = [backend.as_array(backend.from_numpy(a, dtype), shape, (1,), 0, dtype) for a in arrays]
    return rows, right, backend.to_numpy(backend.elementwise(op, there, params, shape, out))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32"])
@pytest.mark.parametrize("op", reference.ELEMENTWISE, ids=lambda op: op.__name__)
def test_kernel_and_cpu_agree(op, dtype, mode):
    dtype = getattr(dtypes, dtype)
    only_floats = op.result == "float" or op.__name__ == "DivTrunc"         # integers have DivTruncInteger
    if not reference.accepts(op, dtype) or only_floats and not dtype.is_floating_point:
        pytest.skip(f"not for {dtype.name}")
    tolerance = LOOSE.get((op.__name__, dtype.name), TOLERANCE.get(dtype.name, 0))
    with te.cuda.simulator(mode):
        backend = te.backends.get_backend("cuda")
        for params in reference.parameters().get(op) or [{}]:
            rows, right, mine = on_both(op, params, dtype, backend)
            assert mine.dtype == right.dtype
            with np.errstate(all="ignore"):
                far = abs(mine.astype(float) - right) > tolerance * abs(right.astype(float)) \
                    if right.dtype.kind == "f" else mine != right
            unlike = (np.isnan(mine) != np.isnan(right)) | (np.isinf(right) & (mine != right)) \
                if right.dtype.kind == "f" else np.zeros(len(rows), bool)
            bad = [f"{op.__name__}{row}: cpu {r!r}, kernel {m!r}" for row, r, m, wrong
                   in zip(rows, right.tolist(), mine.tolist(), far | unlike)
                   if wrong and row not in reference.EXCEPT.get(op.__name__, ())
                   and not (op.__name__ in OVERFLOW and dtype.itemsize == 4)]
            assert not bad, f"{params}: {len(bad)} of {len(rows)} differ:\n" + "\n".join(bad[:12])


# ---- ways through memory
@pytest.fixture(params=MODES)
def machine(request):
    with memory.simulator().using(request.param) as machine:
        yield machine


def numbers(*shape):
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape) * 0.5 - 3


def add(machine, *hosts, out=None):
    arrays = [h if isinstance(h, array.Array) else array.from_numpy(machine, h) for h in hosts]
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    return elementwise.run(total[len(hosts)], "total", arrays, {}, shape, np.float32, out=out)


total = {1: lambda a: a + 1, 2: lambda a, b: a + b, 3: lambda a, b, c: a + b + c}


@pytest.mark.parametrize("operands", [1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 31, 32, 33, 127, 260])
def test_four_at_a_time(machine, operands, n):
    """The kernels of 16-byte accesses, which the simulator doesn't choose by itself, and their last few elements."""
    hosts = [numbers(n) + k for k in range(operands)]
    arrays = [array.from_numpy(machine, h) for h in hosts]
    out = array.full(machine, (n + 4,), 7, np.float32)
    f4 = np.dtype("f4")
    scalar = elementwise.lift(total[operands], "total", ["array"] * operands, [f4] * operands, f4, f4)
    kernel = jit(elementwise.VECTOR[operands](scalar))
    if n:
        kernel[array.ceil_div(n, 128), 32](*arrays, out, n, ())
    assert (out.numpy()[:n] == sum(hosts) + (operands == 1)).all() and (out.numpy()[n:] == 7).all()


@pytest.mark.parametrize("shapes", [[(3, 4)], [(3, 4), (4,)], [(3, 1), (1, 4)], [(2, 3, 4), (3, 1), (4,)], [(), (5,)],
                                    [(2, 1, 3, 1, 2), (5, 1, 4, 1)], [(0, 3), (3,)]], ids=str)
def test_broadcasting(machine, shapes):
    hosts = [numbers(*s) for s in shapes]
    assert (add(machine, *hosts).numpy() == np.asarray(sum(hosts) + (len(hosts) == 1), np.float32)).all()


def test_views_are_walked_where_they_lie(machine):
    base = numbers(6, 8)
    there = array.from_numpy(machine, base)
    view = array.Array(there.buffer, (3, 4), (16, 2), 1, there.dtype)           # base[::2, 1::2]
    assert (add(machine, view, view.permute((0, 1))).numpy() == 2 * base[::2, 1::2]).all()
    assert (add(machine, view.permute((1, 0))).numpy() == base[::2, 1::2].T + 1).all()
    out = array.from_numpy(machine, np.zeros((6, 8), np.float32))
    add(machine, view, out=array.Array(out.buffer, (3, 4), (16, 2), 1, out.dtype))
    want = np.zeros((6, 8), np.float32)
    want[::2, 1::2] = base[::2, 1::2] + 1
    assert (out.numpy() == want).all()


def test_indices_of_64_bits(machine, monkeypatch):
    """Arrays of more than 2 ** 32 elements take another index type; here a stride says that there are that many."""
    monkeypatch.setattr(elementwise, "span", lambda shape, strides: 2 ** 33)
    base = numbers(5, 4)
    assert (add(machine, array.from_numpy(machine, base).permute((1, 0))).numpy() == base.T + 1).all()


TYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]


@pytest.mark.parametrize("source", TYPES)
@pytest.mark.parametrize("target", TYPES)
def test_casts_are_those_of_numpy(source, target):
    """So are the wrapping of integers, truncation and what is true; what C leaves open is left out."""
    host = np.array([0, 1, -1, 2.75, -2.75, 100, 127, 0.25], np.float64).astype(source)
    if target == "uint8" and host.dtype.kind == "f":
        host = abs(host)
    with memory.simulator().using("python") as machine, np.errstate(all="ignore"):
        mine = elementwise.cast(array.from_numpy(machine, host), np.dtype(target)).numpy()
        assert mine.dtype == target and (mine == host.astype(target)).all()


def test_fill(machine):
    base = array.from_numpy(machine, np.zeros((4, 6), np.float32))
    elementwise.fill(array.Array(base.buffer, (4, 2), (6, 3), 1, base.dtype), 2.5)
    assert base.numpy().tolist() == [[0, 2.5, 0, 0, 2.5, 0]] * 4


def test_a_program_of_numpy_on_the_whole_array_is_the_specification():
    want = elementwise.spec(total[2], [numbers(3, 4), numbers(4)], (3, 4), np.float32)
    with memory.simulator().using("python") as machine, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (add(machine, numbers(3, 4), numbers(4)).numpy() == want).all()
