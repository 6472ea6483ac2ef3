"""The simulator where mistakes hide: arrays from outside, functions given to functions, messages, skipped operands."""
import functools
import types

import numpy as np
import pytest

from tests.simulated import launch
from tests.test_simulator_checks import f4, fails, ones, run, three
from tinygrad_edu.kernels.provider import cuda, float32, int64
from tinygrad_edu.kernels.simulator import KernelError, Unsupported, checks, program

assert launch                                       # a fixture


def compiled(kernel, grid, block, *args):
    pytest.importorskip("numba", reason="it compiles")
    program(kernel).compiled(args)(three(grid), three(block), 0, list(args))


# ---- parts of arrays
def row(a, o, k):
    r = a[cuda.threadIdx.x + k]
    o[0] = r[0]


def slices(a, o, start, stop):
    o[0] = a[start:stop][0]


def test_rows_and_slices():
    run(row, 1, 1, ones(2, 2), ones(1), 1)
    run(slices, 1, 1, ones(4), ones(1), 1, 4)
    fails(row, 1, 1, ones(2, 2), ones(1), -1, at="r = a", says=r"a\[-1\] is negative")
    fails(row, 1, 1, ones(2, 2), ones(1), 2, at="r = a", says=r"a\[2\], but axis 0 has size 2")
    fails(slices, 1, 1, ones(4), ones(1), -2, 4, says="is negative")
    fails(slices, 1, 1, ones(4), ones(1), 0, 5, says="has size 4")


def never_true(o):
    t = cuda.threadIdx.x
    if False:
        k = t
        cuda.syncthreads()
        o[t] = k
    o[t] += 1


def never_reached(o):
    t = cuda.threadIdx.x
    while True:
        o[t] += 1
        return
        for k in range(t, 4):
            o[t] += k
            cuda.syncwarp()
            o[t] += k


def test_what_is_never_done(launch):
    for kernel in (never_true, never_reached):
        for machine in (launch, compiled):
            o = np.zeros(2)
            machine(kernel, 1, 2, o)
            assert o.tolist() == [1, 1]


# ---- arrays from outside
def table_kernel(table):
    def kernel(o, k):
        o[0] = table[k] + table[k]
        for x in table:
            o[1] += x + x
        o[2] = len(table) + table.size
    return kernel


def test_arrays_from_outside(launch):
    """One translation serves all; the kind of the array is each closure's own."""
    for dtype, value in (("f4", 0.1), ("u1", 200), ("i1", 100), ("i4", 2 ** 31 - 1), ("f2", 0.1), (">i4", 7)):
        table, o = np.array([value, value], dtype), np.zeros(3)
        launch(table_kernel(table), 1, 1, o, 1)
        one = table[:1].astype(f4)[0] if dtype[0] == "f" else int(table[0])
        assert o.tolist() == [one + one, 2 * (one + one), 4], dtype


def test_arrays_from_outside_compiled():
    o = np.zeros(3)
    compiled(table_kernel(np.array([1, 2], ">i4")), 1, 1, o, 1)
    assert o[0] == 4


def test_arrays_from_outside_are_checked():
    table = np.ones(2)

    def writes(o):
        table[0] = o[0]
    fails(table_kernel(table), 1, 1, np.zeros(3), -1, at="o[0] =", says=r"table\[-1\] is negative")
    fails(table_kernel(table), 1, 1, np.zeros(3), 2, at="o[0] =", says=r"table\[2\], but axis 0 has size 2")
    for check in (False, True):
        with pytest.raises(Unsupported, match="edges.py:.*table, an array from outside, is constant"):
            run(writes, 1, 1, np.zeros(1), check=check)


# ---- elements
def bytes_of(a, o):
    for x in a:
        o[0] += x + x


def first_of_rows(a, o):
    for r in a:
        o[0] += r[0] + r[1]


def put(n, a, b):
    a[0] = b[0] = n + 250
    return n


def several_targets(n, a, b):
    put(n, a, b)


def test_loops_over_elements_and_several_targets(launch):
    for kernel, shape in ((bytes_of, 2), (first_of_rows, (1, 2))):
        o = np.zeros(1, int)
        launch(kernel, 1, 1, np.array([200, 250], np.uint8).reshape(shape), o)
        assert o[0] == (900 if kernel is bytes_of else 450)
    a, b = np.zeros(1, np.uint8), np.zeros(1, np.int8)
    launch(several_targets, 1, 1, 50, a, b)
    assert a[0] == b[0] == 44


def indexed_by_a_bool(a):
    a[cuda.threadIdx.x > 0] = 1


def test_a_bool_is_no_index():
    for check in (False, True):
        with pytest.raises(Unsupported, match="indexed with a bool"):
            run(indexed_by_a_bool, 1, 2, ones(2), check=check)


def nine(o):
    o[0] = 9


def test_what_is_read_only_is_not_written():
    o = np.zeros(2)
    compiled(nine, 1, 1, o)
    o.flags.writeable = False
    with pytest.raises(ValueError, match="nine writes into o, and that array is read-only"):
        compiled(nine, 1, 1, o)
    fails(nine, 1, 1, o, says="read-only")


# ---- functions
def relu(x):
    return max(x, float32(0))


def doubled(f):
    @functools.wraps(f)
    def g(x):
        return f(x) * float32(2)
    return g


def applied(f):
    def kernel(a, o):
        o[0] = f(a[0])
    return kernel


def twice(g, x):
    return g(x) + g(x)


def square(x):
    return x * x


def higher(f):
    def kernel(a, o):
        o[0] = twice(f, a[0])
    return kernel


library = types.ModuleType("library")
library.square, library.relu = square, cuda.jit(device=True)(relu)


def from_a_module(a, o):
    o[0] = library.square(a[0]) + library.relu(a[0])


def test_what_functools_wraps_copies(launch):
    o = np.zeros(1, f4)
    for kernel, want in ((applied(relu), 3), (applied(doubled(relu)), 6), (functools.wraps(relu)(applied(square)), 9)):
        launch(kernel, 1, 1, np.full(1, 3, f4), o)
        assert o[0] == want
    launch(nine, 1, 1, o)
    other = functools.wraps(nine)(applied(square))
    launch(other, 1, 1, np.full(1, 2, f4), o)
    assert o[0] == 4


def test_functions_given_to_functions_and_from_modules(launch):
    a, o = np.array([200], np.uint8), np.zeros(1, int)
    for f, want in ((square, 80000), (lambda x: x + 100, 600), (square, 80000)):
        launch(higher(f), 1, 1, a, o)
        assert o[0] == want
    launch(from_a_module, 1, 1, a, o)
    assert o[0] == 40200


def ratio_of(f):
    def ratio(a, o):
        o[0] = f(a[0]) / f(a[1])
    return ratio


def test_closures_whose_functions_give_other_numbers_do_not_share_code(launch):
    for f, want in ((lambda x: x, 0.5), (lambda x: int(x), np.inf), (lambda x: x * 2.0, 0.5)):
        o = np.zeros(1)
        launch(ratio_of(f), 1, 1, np.array([1, 2], f4) * f4(0.5) if want == 0.5 else np.array([1, 0.5], f4), o)
        assert o[0] == want


# ---- messages
def reads(a, i):
    return a[i + 1]


def reads_in_a_function(a, o):
    t = cuda.threadIdx.x
    o[t] = reads(a, t)


def misspelt(o):
    o[0] = lenght                                   # noqa: F821


def too_many(a):
    a[0, 0] = 1


def from_a_tuple(a, o):
    numbers = (1.0, 2.0, 3.0)
    o[0] = numbers[a[cuda.blockIdx.x]]


def test_messages():
    for check in (False, True):
        with pytest.raises(KernelError) as caught:
            run(reads_in_a_function, 1, 2, ones(2), ones(2), check=check)
        line = reads.__code__.co_firstlineno + 1
        assert str(caught.value).startswith(f"{__file__}:{line}: reads_in_a_function, in reads: thread (1, 0, 0) of")
        fails(misspelt, 1, 1, ones(1), check=check, at="o[0] =", says="name 'lenght' is not defined; neither")
        with pytest.raises(KernelError, match=r"1 dimensions|too many indices[^;]*$"):
            run(too_many, 1, 1, ones(1), check=check)
    with pytest.raises(KernelError, match=r"edges.py:\d+: from_a_tuple: block \(1, 0, 0\): an index out of range"):
        compiled(from_a_tuple, 2, 1, np.array([0, 3]), np.zeros(1))


def test_the_largest_grid():
    assert "2147483647 blocks in x" in checks.refusal((2 ** 31, 1, 1), (1, 1, 1), 0)
    assert checks.refusal((2 ** 31 - 1, 1, 1), (1, 1, 1), 0) is None


# ---- shared memory starts with something useless, an atomic maximum of a nan
def unwritten_float(o):
    s = cuda.shared.array(2, float32)
    o[0] = s[1]


def unwritten_whole(o):
    s = cuda.shared.array(2, int64)
    o[0] = s[1]


def test_shared_memory_is_never_zero_by_chance():
    for kernel, is_useless in ((unwritten_float, np.isnan), (unwritten_whole, bool)):
        o = np.zeros(2)
        run(kernel, 1, 1, o, check=False)
        assert is_useless(o[0])
        compiled(kernel, 1, 1, o)
        assert is_useless(o[0])


def extremes(o):
    cuda.atomic.max(o, 0, float32(2))
    cuda.atomic.min(o, 1, float32(2))


def test_atomics_and_nan(launch):
    o = np.full(2, np.nan, f4)
    launch(extremes, 1, 1, o)
    assert o.tolist() == [2, 2]
    o[:] = np.nan
    compiled(extremes, 1, 1, o)
    assert o.tolist() == [2, 2]


# ---- operands that may be skipped
def counted(c, x):
    c[0] += 1
    y = x
    while y > 10:
        y -= 10
    return y


def rest(a, i):
    y = a[i]
    while y > 10:
        y -= 10
    return y


def guarded(a, o):
    """Only the operand before says that the one behind may be computed."""
    for i in range(4):
        if i < a.size and rest(a, i) > 2:
            o[0] += 1
        if 0 <= a.size - 1 - i < rest(a, min(i, a.size - 1)) + 10 and not (i >= a.size or rest(a, i) > 2):
            o[1] += 1
        if -1 < i - a.size < rest(a, i - a.size) + 10:
            o[2] += 1


def test_operands_that_may_not_be_computed(launch):
    a, o = np.array([1.0, 13, 15]), np.zeros(3)
    launch(guarded, 1, 1, a, o)
    assert o.tolist() == [2, 1, 1]
    pytest.importorskip("numba", reason="it compiles")
    o[:] = 0
    program(guarded).compiled((a, o), boundscheck=True)((1, 1, 1), (1, 1, 1), 0, [a, o])
    assert o.tolist() == [2, 1, 1]


def skips(c, o, n):
    o[0] = n > 5 and counted(c, n) > 100
    o[0] += 0 < n < counted(c, n)
    if n > 2 or counted(c, n) > 100:
        o[0] += 10


def test_operands_that_are_skipped_are_not_computed(launch):
    for machine in (launch, compiled):
        for n, calls, want in ((0, 1, 0), (4, 1, 10), (12, 2, 10)):
            c, o = np.zeros(1, int), np.zeros(1)
            machine(skips, 1, 1, c, o, n)
            assert (c[0], o[0]) == (calls, want)
