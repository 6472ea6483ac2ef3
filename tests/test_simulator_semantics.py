"""The simulator in Python does what a GPU does: a table of numbers, random kernels against threads run one by one."""
import warnings

import numpy as np
import pytest

from tests import simulator_cases
from tests.random_kernels import Case
from tinygrad_edu.kernels.simulator import program


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("cases", [simulator_cases.expressions, simulator_cases.statements])
def test_numbers(tmp_path, cases, check):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _, kernel, args, want, what in cases(tmp_path):
            simulator_cases.check(kernel, args, want, what, program(kernel).python(check=check))


def test_the_table_notices_a_wrong_number(tmp_path):
    _, kernel, args, want, what = next(simulator_cases.expressions(tmp_path))
    want[3] += 1e-9
    with pytest.raises(AssertionError, match=r"^x \* 3.0: [^\n]*$"):
        simulator_cases.check(kernel, args, want, what, program(kernel).python())


def modes(function):
    p = program(function)
    return [p.python(), p.python(reverse=True), p.python(check=True), p.python(check=True, reverse=True)]


@pytest.mark.parametrize("seed", range(16))
def test_random_kernels(tmp_path, seed):
    case = Case(seed, tmp_path)
    case.compare(modes(case.function)[seed % 4])


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 1100, 100))
def test_many_random_kernels(tmp_path, first):
    for seed in range(first, first + 100):
        case = Case(seed, tmp_path)
        for run in modes(case.function):
            case.compare(run)


def test_the_reference_notices_a_wrong_kernel(tmp_path):
    case = Case(3, tmp_path)
    run = program(case.function).python()

    def wrong(grid, block, shared, args):
        run(grid, block, shared, args)
        args[2][-1, 0] += 1
    with pytest.raises(AssertionError):
        case.compare(wrong)


def test_floats_meet_integers_through_functions(tmp_path):
    """What a called function gives decides the kind of what is made of it; both closures share one translation."""
    kernel = simulator_cases.load(tmp_path / "kinds.py", "\n".join([
        "def make(f):", "    def apply(xs, o):", "        o[0] = f(xs[0]) * 3", "    return apply", "",
        "kernel = [make(lambda x: x), make(lambda x: x * 2.0), make(lambda x: int(x)), make(lambda x: x)]"]))
    x = np.float32(0.7)
    for function, want in zip(kernel, (float(x) * 3, float(x) * 2 * 3, 0, float(x) * 3)):
        o = np.zeros(1)
        program(function).python()((1, 1, 1), (1, 1, 1), 0, [np.array([x]), o])
        assert o[0] == want
