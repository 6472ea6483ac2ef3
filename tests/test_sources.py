"""Functions and their sources: what is edited, reloaded, or run cell by cell runs its own source, or is refused."""
import importlib.util
import linecache
import math
import os
import textwrap
import types

import numpy as np
import pytest

from tinygrad_edu.kernels.lift import lift
from tinygrad_edu.kernels.provider import cuda
from tinygrad_edu.kernels.simulator import KernelError, Unsupported, program
from tinygrad_edu.kernels.simulator.load import definition


def imported(path, text, stamp):
    """A module from a file with this text; `stamp` makes the times of two versions differ."""
    path.write_text("from tinygrad_edu.kernels.provider import cuda\n" + textwrap.dedent(text))
    os.utime(path, (stamp, stamp))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def first(function):
    o = np.zeros(1, int)
    program(function).python()((1, 1, 1), (1, 1, 1), 0, [o])
    return o[0]


KERNEL = """
    @cuda.jit(device=True)
    def value():
        return {} + cuda.threadIdx.x

    def k(o):
        o[0] = value()

    twice = lambda x: x * {}
    """


def test_a_function_runs_its_own_source_or_none(tmp_path):
    path = tmp_path / "a_kernel.py"
    one = imported(path, KERNEL.format(1, 1), 1)
    assert first(one.k) == 1
    two = imported(path, KERNEL.format(2, 2), 2)    # an edit and a reload
    assert first(two.k) == 2 and first(one.k) == 1
    three = imported(path, KERNEL.format(3, 3), 3)
    path.write_text(path.read_text().replace("3", "44"))            # an edit after the import
    os.utime(path, (4, 4))
    for call in (lambda: first(three.k), lambda: program(three.value.py_func)):
        with pytest.raises(Unsupported, match="a_kernel.py:3: no definition of value as it was made starts here; has"):
            call()
    x = np.dtype("f4")
    with pytest.raises(TypeError, match="no definition of <lambda> as it was made"):
        lift(three.twice, "twice", ("array",), (x,), x, x)
    path.write_text("def broken(:")
    os.utime(path, (5, 5))
    with pytest.raises(Unsupported, match="no definition of k as it was made"):
        first(three.k)


def cell(text):
    """A function k of a notebook's cell; all cells have one name here, as they do where a kernel is started again."""
    linecache.cache["<cell>"] = len(text), None, text.splitlines(True), "<cell>"
    names = {"cuda": cuda}
    exec(compile(text, "<cell>", "exec"), names)
    return names["k"]


def test_two_cells_with_one_name():
    one = cell("def k(o):\n    o[0] = 1\n")
    two = cell("def k(o):\n    o[0] = 2\n")
    assert first(two) == 2
    with pytest.raises(Unsupported, match="<cell>:1: no definition of k as it was made"):
        first(one)


PAGE = """\
from tinygrad_edu.kernels.provider import cuda

def k(o):
    if cuda.grid(1) == 0:
        o[0] = 1
    o[0] += 1
"""


def test_a_file_may_be_run_cell_by_cell(tmp_path):
    """Then `cuda.grid` is compiled to other bytes than in the whole file."""
    path, names = tmp_path / "page.py", {"cuda": cuda}
    path.write_text(PAGE)
    exec(compile("\n\n" + PAGE.split("\n", 2)[2], str(path), "exec"), names)
    k, again = names["k"], types.FunctionType(names["k"].__code__, names)
    assert first(k) == 2
    for old, new in (("    o[0] += 1", "        o[0] += 1"), ("+= 1", "+= 1.0"), ("== 0", "!= 0"), ("if", "while")):
        path.write_text(PAGE.replace(old, new))
        os.utime(path, (len(old), len(old)))
        with pytest.raises(Unsupported, match="no definition of k as it was made"):
            definition(again)


def test_equal_kernels_of_two_files_keep_their_places(tmp_path):
    text = "def k(o):\n    o[5] = 1\n"
    for name in ("one.py", "two.py"):
        with pytest.raises(KernelError, match=f"{name}:3: k"):
            first(imported(tmp_path / name, text, 1).k)


def with_assert(o):
    assert o.size > 0
    o[0] = math.floor(3.5)


def test_functions_with_assertions_have_sources():
    assert first(with_assert) == 3                  # whatever has rewritten them
