"""The kernels of matrix products, convolutions, pooling and resampling against their specifications, on the simulator.

Every version runs, those for a GPU too. The numbers of the ops that use them are held against torch's in test_ops.py.
"""
from __future__ import annotations

import importlib

import numpy as np
import pytest

from tinygrad_edu.kernels import array, matmul, matrices, memory, strips
from tinygrad_edu.kernels.conv import Windows

LIMITS = {np.float32: 1e-4, np.float64: 1e-11, np.float16: 5e-3, np.int8: 0}


@pytest.fixture(params=["python", "check"])
def machine(request):
    with memory.simulator().using(request.param) as simulator:
        yield simulator


def drawn(machine, dtype, *shape):
    return array.from_numpy(machine, (np.random.default_rng(sum(shape)).standard_normal(shape) * 4).astype(dtype))


def agrees(product):
    """The library's result for a Product, whose operands must not have been turned yet, against numpy."""
    a, b, d = product.a.numpy(), product.b.numpy(), None if product.d is product.c else product.d.numpy()
    wanted = matmul.spec(a, b, d, *product.factors)
    found = matmul.run(product).numpy()
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    largest = max(np.abs(wanted.astype(np.float64)).max(initial=0), 1)
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64),
                               atol=LIMITS[wanted.dtype.type] * largest)


@pytest.mark.parametrize("dtype, layout", [(np.float32, {"turn_a": True, "splits": 2}), (np.float32, {"turn_b": True}),
                                           (np.int8, {"batch": (2,)})])
def test_every_version_of_matmul(machine, dtype, layout):
    for name, error in matmul.check(machine, dtype, (5, 9, 19), **layout):
        assert error <= LIMITS[dtype], f"{name} is off by {error}"


@pytest.mark.parametrize("file", ["conv", "pool", "upsample"])
def test_every_version_of(machine, file):
    module = importlib.import_module(f"tinygrad_edu.kernels.{file}")
    for name, error in module.check(machine, np.float32):
        assert error <= LIMITS[np.float32], f"{name} is off by {error}"


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("m, k, n", [(1, 7, 5), (5, 7, 1), (11, 1, 13), (0, 3, 2), (3, 0, 4), (9, 10, 70)])
def test_sizes_and_layouts(dtype, m, k, n):
    machine = memory.simulator()
    a, b = drawn(machine, dtype, m, k), drawn(machine, dtype, k, n)
    turned = drawn(machine, dtype, k, m).permute((1, 0)), drawn(machine, dtype, n, k).permute((1, 0))
    with machine.using("python"):
        agrees(matrices.Product(a, b))
        agrees(matrices.Product(*turned))
        agrees(matrices.Product(a, turned[1], drawn(machine, dtype, n), 2, 3))
        agrees(matrices.Product(a, b, None, 3))


@pytest.mark.parametrize("first, second", [((2, 3, 4, 5), (5, 6)), ((2, 1, 4, 5), (1, 3, 5, 6)),
                                           ((2, 1, 2, 4, 5), (1, 3, 1, 5, 6)), ((0, 4, 5), (0, 5, 6))])
def test_batches_are_broadcast(first, second):
    machine = memory.simulator()
    with machine.using("python"):
        found = matmul.matmul(drawn(machine, np.float32, *first), drawn(machine, np.float32, *second)).numpy()
    wanted = drawn(machine, np.float32, *first).numpy() @ drawn(machine, np.float32, *second).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_with_beta_0_not_even_a_nan_counts():
    machine = memory.simulator()
    a, b = drawn(machine, np.float32, 3, 4), drawn(machine, np.float32, 4, 2)
    nan = array.from_numpy(machine, np.full((3, 2), np.nan, np.float32))
    with machine.using("python"):
        assert np.isfinite(matmul.addmm(nan, a, b, beta=0, alpha=2).numpy()).all()
        assert np.isnan(matmul.addmm(nan, a, b, beta=1, alpha=2).numpy()).all()


@pytest.mark.parametrize("a, b", [((8, 9), (9, 40)), ((40, 9), (9, 8))])
def test_where_no_operand_lies_right_the_smaller_one_is_copied(monkeypatch, a, b):
    """What costs time only for large products is tried on small ones."""
    machine = memory.simulator()
    monkeypatch.setattr(strips, "MUCH", 0)
    first = drawn(machine, np.float32, *a)
    second = drawn(machine, np.float32, *b[::-1]).permute((1, 0))
    before = machine.launches
    with machine.using("python"):
        agrees(matrices.Product(first, second))
    assert machine.launches - before == 2


def test_a_batch_larger_than_a_grid_is_cut(monkeypatch):
    machine = memory.simulator()
    monkeypatch.setattr(type(machine), "simulated", False)      # as on a GPU
    monkeypatch.setattr(matmul, "LARGEST", 2)
    with machine.using("python"):
        agrees(matrices.Product(drawn(machine, np.float32, 3, 4, 5), drawn(machine, np.float32, 3, 5, 2)))


@pytest.mark.parametrize("m, k, n", [(3, 900, 2), (40, 600, 36), (1, 2000, 1), (70, 20, 66)])
def test_what_a_gpu_would_choose(monkeypatch, m, k, n):
    machine = memory.simulator()
    monkeypatch.setattr(type(machine), "simulated", False)
    with machine.using("python"):
        agrees(matrices.Product(drawn(machine, np.float32, m, k), drawn(machine, np.float32, k, n)))


def test_the_way_back_of_windows_is_right_under_all_checks():
    machine = memory.simulator()
    windows = Windows((4, 5), (2, 3), (1, 2), (1, 1), (1, 1))
    ones = array.full(machine, (1, windows.volume, windows.count), 1, np.float32)
    with machine.using("check"):
        seen = windows.gathered(ones, None, 1, (4, 5)).numpy()
        columns = windows.columns(array.full(machine, (1, 1, 4, 5), 1, np.float32)).numpy()
    assert seen.sum() == columns.sum() == np.count_nonzero(columns)
