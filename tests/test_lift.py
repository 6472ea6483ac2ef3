"""Lifting: scalar functions as authors write them become device functions that stay in their operands' precision."""
import inspect
import math

import numpy as np
import pytest

import tinygrad_edu as te  # noqa: F401  (kernels are imported under its name)
from tinygrad_edu.kernels import lift as lifting
from tinygrad_edu.kernels.provider import DeviceFunction, float32

F4, F8, I4, I8, BOOL, F2 = map(np.dtype, ("f4", "f8", "i4", "i8", "?", "f2"))


def lift(function, places=("array",), dtypes=(F4,), computing=F4, out=None):
    return lifting.lift(function, "op", places, dtypes, computing, computing if out is None else out)


def body(function, *args, **kwargs):
    """The lifted function's statements, its constants by value."""
    lifted = lift(function, *args, **kwargs)
    text = inspect.getsource(lifted.py_func).split("\n", 1)[1]
    constants = {n: v for n, v in lifted.py_func.__globals__.items() if isinstance(v, np.generic)}
    for name, value in constants.items():
        text = text.replace(name, f"<{value!r}>")
    return " ".join(text.split())


slope = lambda x, *, negative_slope: x if x > 0 else x * negative_slope
pair = (lambda a, b: a + b, 0, lambda total, count: total / count)
twice, thrice = (lambda x: x * 2), (lambda x: x * 3)


def test_literals_take_the_computing_type():
    assert body(slope, ("array", float)) == \
        "negative_slope = s[0] return x if x > <np.float32(0.0)> else x * negative_slope"
    assert "np.float64(0.0)" in body(slope, ("array", float), (F8,), F8)


def test_constant_expressions_are_computed_once_in_double():
    assert body(lambda x: x * (math.pi / 180)) == f"return x * <{np.float32(math.pi / 180)!r}>"
    assert body(lambda x: x + math.log(2.0)) == f"return x + <{np.float32(math.log(2))!r}>"
    assert body(lambda x: x == -math.inf, out=BOOL) == "return x == <np.float32(-inf)>"


def test_whole_exponents_stay_whole():
    assert body(lambda x: x ** 2 + 1) == "return x ** 2 + <np.float32(1.0)>"
    assert body(lambda x: 2 ** x) == "return <np.float32(2.0)> ** x"


def test_loops_count_in_integers_and_meet_numbers_converted():
    def series(x, *, n):
        total, size = 0.0, n + 1
        for k in range(3):
            total = total + x / (k + size)
        return total
    text = body(series, ("array", int))
    assert "total, size = (<np.float32(0.0)>, n + 1)" in text and "range(3)" in text
    assert "total + x / T(k + size)" in text
    series = lift(series, ("array", int))
    assert series(np.float32(2), (1,)) == np.float32(2) * np.float32(1 / 2 + 1 / 3 + 1 / 4)


def test_integers_are_left_as_they_stand():
    assert body(lambda x, y: x // y + 1, ("array", "array"), (I4, I4), I4) == "return x // y + 1"
    assert body(lambda x: math.floor(x), dtypes=(I8,), computing=I8) == "return x"


def test_halves_compute_in_float32():
    assert body(lambda x: x * 0.1, dtypes=(F2,), computing=F2) == f"x = T(x) return x * <{np.float32(0.1)!r}>"
    assert lifting.computing_type(F2) is float32


def test_rounding_stays_in_its_type():
    assert lift(lambda x: math.floor(x))(np.float32(1e30), ()) == np.float32(1e30)
    assert lift(lambda x: x - math.trunc(x))(np.float32(-2.5), ()) == -0.5


def test_truth_is_a_bool():
    assert body(lambda x, y: x + y, ("array", "array"), (BOOL, BOOL), BOOL) == \
        "x = x != 0 y = y != 0 return x + y != 0"
    assert body(lambda x: (x > 0) - (x < 0), dtypes=(I8,), computing=I8) == "return int(x > 0) - int(x < 0)"


def test_conditions_keep_their_type():
    choose = lambda condition, x, y: x if condition else y
    assert body(choose, ("array", "array", float), (BOOL, F4), F4) == \
        "condition = condition != 0 y = s[0] return x if condition else y"


def test_fixed_parameters_are_constants():
    f = lift(lambda x, *, eps: x if eps is None else x + eps, ("array", ("is", None)))
    assert f(np.float32(3), ()) == 3


def test_lambdas_on_one_line_are_told_apart():
    assert lift(twice)(np.float32(3), ()) == 6 and lift(thrice)(np.float32(3), ()) == 9
    total = lift(pair[0], ("array", "array"), (F4, F4))
    assert total(np.float32(3), np.float32(4), ()) == 7
    assert lift(pair[2], ("array", int))(np.float32(3), (2,)) == 1.5


def test_one_function_for_two_types():
    """The syntax tree of a function is shared: lifting it once must not change what it says the next time."""
    f = lambda x: x == math.inf or x == -math.inf
    for dtype in (F8, F4, F8):
        assert lift(f, dtypes=(dtype,), computing=dtype, out=BOOL)(dtype.type(-np.inf), ())


def test_lifted_functions_are_device_functions_with_a_source():
    f = lift(slope, ("array", float))
    assert isinstance(f, DeviceFunction) and f is lift(slope, ("array", float))
    assert inspect.getsource(f.py_func).startswith("def op_element(x, s):")


def test_a_function_without_source_is_refused():
    made = eval("lambda x: x + 1")
    with pytest.raises(TypeError, match="source of <lambda> can't be read"):
        lift(made)
