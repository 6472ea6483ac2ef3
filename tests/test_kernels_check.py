"""What the compiler makes of kernels, read without a GPU: every op's `cuda` line, every kernel, and planted faults.

Knows no formula: ops come from their registry, parameters from the samples, kernels from their files.
"""
import math
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_edu  # noqa: F401  (kernels are imported under its name)
from tests.test_backend import ELEMENTWISE, accepts, parameters
from tinygrad_edu.core import dtypes
from tinygrad_edu.kernels import array, check, elementwise, lower
from tinygrad_edu.kernels.provider import Kernel, cuda, float32, float64

absent = lower.missing()
needs_compiler = pytest.mark.skipif(bool(absent), reason=f"{', '.join(absent)} not installed: {lower.EXTRA}")
ptr = check.ptr


# ---- planted faults: a checker that can't fail checks nothing
@cuda.jit
def clean(a, o, n):
    i = cuda.grid(1)
    if i < n:
        o[i] = math.tanh(a[i]) * float32(0.1)


@cuda.jit
def with_a_double(a, o, n):
    i = cuda.grid(1)
    if i < n:
        o[i] = a[i] * 0.1


def sixty_four_at_once(a, o, n):
    i = cuda.grid(1)
    if i < n:
        x = cuda.local.array(64, float32)
        for k in range(64):
            x[k] = a[i + k * n]
        cuda.syncthreads()                          # all 64 must be there at once
        for k in range(64):
            o[i + k * n] = x[k] * x[63 - k]


@cuda.jit
def with_a_stack_array(a, o, n):
    i = cuda.grid(1)
    x = cuda.local.array(16, float32)
    for k in range(16):
        x[(n * k) & 15] = a[k]                      # which element, no compiler can know
    if i < n:
        o[i] = x[i & 15]


@cuda.jit
def with_the_slow_path(a, o, n):
    i = cuda.grid(1)
    if i < n:
        o[i] = math.sin(a[i])


@cuda.jit
def with_the_slow_path_and_a_double(a, o, n):
    i = cuda.grid(1)
    if i < n:
        o[i] = math.sin(a[i]) * 0.1


@cuda.jit
def with_the_slow_path_and_a_stack_array(a, o, n):
    i = cuda.grid(1)
    x = cuda.local.array(16, float64)
    for k in range(16):
        x[(n * k) & 15] = a[k]
    if i < n:
        o[i] = math.sin(x[i & 15])


FLOATS = (ptr("float32"), ptr("float32"), 1000)


@needs_compiler
@pytest.mark.parametrize("cc", check.ARCHITECTURES)
def test_a_clean_kernel_has_no_faults(cc):
    found = check.inspect_kernel(clean, FLOATS, cc)
    assert not found.faults and found.registers > 4 and not found.doubles and not found.slow_path
    assert lower.sm(found.cc) == f"sm_{cc}"


@needs_compiler
@pytest.mark.parametrize("cc", check.ARCHITECTURES)
def test_planted_double_is_found(cc):
    found = check.inspect_kernel(with_a_double, FLOATS, cc)
    assert any("mul" in line for line in found.doubles) and any("double precision" in fault for fault in found.faults)
    assert not check.inspect_kernel(with_a_double, FLOATS, cc, doubles="wanted here").faults
    assert not check.inspect_kernel(with_a_double, (ptr("float64"), ptr("float64"), 1000), cc).faults


@needs_compiler
@pytest.mark.parametrize("cc", check.ARCHITECTURES)
def test_planted_spill_is_found(cc):
    assert not check.inspect_kernel(cuda.jit(sixty_four_at_once), FLOATS, cc).spills
    found = check.inspect_kernel(cuda.jit(sixty_four_at_once, max_registers=32), FLOATS, cc)
    assert found.spills > 0 and found.registers <= 32 and any("spilled" in fault for fault in found.faults)


@needs_compiler
@pytest.mark.parametrize("cc", check.ARCHITECTURES)
def test_planted_stack_array_is_found(cc):
    found = check.inspect_kernel(with_a_stack_array, FLOATS, cc)
    assert found.stack >= 64 and any("stack" in fault for fault in found.faults)


@needs_compiler
@pytest.mark.parametrize("cc", check.ARCHITECTURES)
def test_the_slow_path_of_sin_is_known_and_hides_nothing(cc):
    found = check.inspect_kernel(with_the_slow_path, FLOATS, cc)
    assert found.slow_path and not found.faults
    found = check.inspect_kernel(with_the_slow_path_and_a_double, FLOATS, cc)
    assert found.slow_path and found.doubles and found.faults
    doubles = (ptr("float64"), ptr("float64"), 1000)
    found = check.inspect_kernel(with_the_slow_path, doubles, cc)
    assert found.slow_path and not found.faults
    found = check.inspect_kernel(with_the_slow_path_and_a_stack_array, doubles, cc)
    assert found.slow_path and found.stack >= 128 and found.faults


# ---- signatures
@needs_compiler
def test_kinds_of_arguments_become_numbas_types():
    kinds, wide = check.kinds_of((ptr("float32"), check.table("float16"), ptr("boolean"), np.float32(1), 5, True, 2.0,
                                  (np.uint32(1), np.uint32(2)), (1, np.float64(3)), ()))
    assert not wide and check.kinds_of((2 ** 31, 1))[1] and check.kinds_of(((1, -2 ** 31 - 1),))[1]
    from numba.cuda import types
    assert lower.signature(kinds).args == (
        types.CPointer(types.float32), types.CPointer(types.CPointer(types.float16)), types.CPointer(types.uint8),
        types.float32, types.int32, types.boolean, types.float64, types.UniTuple(types.uint32, 2),
        types.Tuple((types.int32, types.float64)), types.Tuple(()))
    assert "int64" in str(lower.signature((int,), wide=True))
    with pytest.raises(TypeError, match="a kernel takes arrays, numbers and tuples of them, not NoneType"):
        lower.signature((type(None),))


def test_architectures():
    assert lower.architecture("90a") == (9, 0, "a") and lower.architecture(120) == (12, 0)
    assert [lower.sm(lower.architecture(cc)) for cc in check.ARCHITECTURES] == ["sm_75", "sm_80", "sm_90a", "sm_120"]


# ---- every kernel
def test_kernels_are_found_in_a_file():
    source = """
@cuda.jit
def decorated(a): pass
@cuda.jit(max_registers=32)
def with_options(a): pass
@cuda.jit(device=True)
def called(a): return a
def make(T):
    def made(a): pass
    def helper(a): return a
    helper = jit(helper, device=True)
    return jit(made)
"""
    assert check.kernels_in(source) == {"decorated", "with_options", "made"}


def test_a_kernel_that_nobody_lists_is_found(monkeypatch):
    from tinygrad_edu.kernels import norm, scan, strips
    monkeypatch.setattr(strips, "SIMULATED_ONLY", {"strip": "so", "turn": "so"})
    monkeypatch.setattr(scan, "SIMULATED_ONLY", {"serial": "so"}, raising=False)
    monkeypatch.setattr(norm, "SIMULATED_ONLY", {"nothing": "so"}, raising=False)
    assert check.unlisted() == ["norm: nothing is in SIMULATED_ONLY and is no kernel",
                                "scan: serial is in SIMULATED_ONLY and is in a case, too",
                                "strips: strips is in no case, and not in SIMULATED_ONLY"]


def test_every_file_of_kernels_offers_its_cases():
    assert not check.unlisted() and len(check.files()) > 10
    assert all(len(why) > 30 for why in check.simulated_only().values())
    for file in check.files():
        cases = check.cases_of(file)
        assert cases and all(isinstance(kernel, Kernel) for _, kernel, _, _ in cases), file


@needs_compiler
@pytest.mark.slow
def test_every_kernel_is_clean(capsys):
    status = check.main()
    printed = capsys.readouterr().out
    assert status == 0, printed
    total = 4 * sum(len(check.cases_of(file)) for file in check.files())
    assert f"{total} of {total} clean" in printed


@needs_compiler
def test_the_command_fails_on_a_fault(monkeypatch, capsys):
    monkeypatch.setattr(check, "cases_of", lambda file: [("planted", with_a_double, FLOATS, {})])
    monkeypatch.setattr(check, "files", lambda: ["planted.kernels"])
    assert check.main(architectures=("80", "90a"), jobs=1) == 1
    printed = capsys.readouterr().out
    assert "FAULT kernels: planted, sm_90a: " in printed and "0 of 2 clean" in printed


def test_the_command_without_a_compiler_names_the_extra():
    code = ("import sys; sys.modules['numba_cuda'] = None\n"
            "from tinygrad_edu.kernels import __main__; sys.exit(__main__.main(['check']))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and 'pip install "tinygrad_edu[cuda13]"' in done.stdout


# ---- every op's `cuda` line
WITH_LINE = [op for op in ELEMENTWISE if op.cuda is not None]
FLOATING = (dtypes.float16, dtypes.float32, dtypes.float64)


def launched_by(op, dtype, n=64):
    """The kernels that the op launches for that dtype, with each set of parameters that samples give it."""
    machine = check.Recorder()
    out = np.dtype(bool) if op.result == "bool" else dtype.numpy
    for params in parameters().get(op) or [{}]:
        kinds = [np.dtype(bool) if name in op.apart else dtype.numpy for name in op.inputs]
        operands = [array.empty(machine, (n,), kind) for kind in kinds]
        elementwise.run(op.cuda, op.__name__.lower(), operands, params, (n,), out, dtype.numpy)
    return machine.seen


def faults_of(ops, dtype):
    faults = []
    for op in ops:
        seen = launched_by(op, dtype)
        assert seen, f"{op.__name__} launched nothing"
        for kernel, kinds, wide in seen:
            found = check.inspect_kinds(kernel, kinds, wide, "80", op.__name__)
            faults += [f"{op.__name__} {kinds}: {fault}" for fault in found.faults]
    return "\n".join(faults)


@needs_compiler
@pytest.mark.parametrize("dtype", [d if d is dtypes.float32 else pytest.param(d, marks=pytest.mark.slow)
                                   for d in FLOATING], ids=str)
def test_every_cuda_line_stays_in_its_precision(dtype):
    """Compiled for a GPU: no double precision unless the arrays are float64, nothing on the stack, nothing spilled."""
    ops = [op for op in WITH_LINE if accepts(op, dtype)]
    assert len(ops) > 100 and not faults_of(ops, dtype)


@needs_compiler
def test_cuda_lines_of_whole_numbers_stay_whole():
    """Ops that take no floating dtype: with these and those of the test above, every op that has a line is checked."""
    rest = [op for op in WITH_LINE if not any(accepts(op, dtype) for dtype in FLOATING)]
    assert rest and not faults_of(rest, dtypes.int64)
