"""Scans and sorting on CUDA: every version of the kernels, in every mode, against the specifications and the CPU."""
from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as te
from tinygrad_edu.kernels import array, float32, float64, scan, sort


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


# ---- scans
@pytest.fixture(scope="module")
def short_pieces():
    kernels = scan.pieces_kernel, scan.carry_kernel
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "PIECE", 64)
        [made.cache_clear() for made in kernels]
        yield
    [made.cache_clear() for made in kernels]


@pytest.mark.parametrize("n", [65, 150])
@pytest.mark.parametrize("name", ["add", "log_add_exp", "places"])
def test_pieces_of_a_block_and_carries(machine, short_pieces, name, n):
    """The GPU's version, with several pieces a row."""
    host = np.round(numbers(3, n), 1)
    host[1, n // 2] = np.nan
    x = array.from_numpy(machine, host)
    wanted = {"add": np.cumsum, "log_add_exp": lambda a, axis: np.logaddexp.accumulate(a, axis=axis),
              "places": lambda a, axis: np.maximum.accumulate(a, axis=axis)}[name](host, 1)
    parts = {"add": lambda: scan.numbers(float64, scan.add), "places": lambda: scan.places(float64, scan.not_smaller),
             "log_add_exp": lambda: scan.numbers(float64, scan.log_add_exp(float64))}[name]()
    found = by_pieces(machine, x, parts, n)
    if name == "places":
        found = np.take_along_axis(host, found, 1)
    np.testing.assert_allclose(found, wanted, 1e-12, 1e-12)


def by_pieces(machine, x, parts, n):
    element, combine, S = parts
    pieces = array.ceil_div(n, scan.PIECE)
    out, totals = array.empty(machine, x.shape, S.numpy), array.empty(machine, (3 * pieces,), S.numpy)
    scan.pieces_kernel(element, combine, S, 64)[3 * pieces, 64](x, out, totals, n, pieces)
    scan.launch(machine, scan.totals_kernel(combine, S), 3, pieces, x, totals, n, pieces, 3)
    scan.launch(machine, scan.carry_kernel(combine, S), x.size, 1, x, out, totals, n, pieces, x.size)
    return out.numpy()


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_scans_along_any_dimension(machine, dim):
    host = np.round(numbers(4, 5, 3), 1)
    x, right = te.tensor(host, device="cuda"), te.tensor(host)
    for f in (te.cumsum, te.cumprod, te.logcumsumexp):
        np.testing.assert_allclose(f(x, dim).cpu().numpy(), f(right, dim).numpy(), 1e-12, 1e-12)
    for f in (te.cummax, te.cummin):
        assert all(mine.cpu().equal(want) for mine, want in zip(f(x, dim), f(right, dim)))
    assert te.cumsum(x.to(te.int32), dim).cpu().equal(te.cumsum(right.to(te.int32), dim))


def test_extremes_of_a_scan(machine):
    inf, nan = float("inf"), float("nan")
    host = te.tensor([-inf, -inf, 1.0, inf, -inf, inf, 2.0, nan, 3.0])
    for size in (2, 5, 9):
        x = host[:size]
        for f in (te.logcumsumexp, te.cumsum):
            np.testing.assert_allclose(f(x.cuda(), 0).cpu().numpy(), f(x, 0).numpy(), rtol=1e-6)
        assert te.cummax(x.cuda(), 0)[1].cpu().equal(te.cummax(x, 0)[1])


# ---- sorting
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("n", [1, 2, 33, 130])
def test_sorting_in_runs(machine, n, descending):
    host = np.round(numbers(3, n), 1).astype(np.float32)       # equal ones keep their order
    host[1, n // 2] = np.nan
    values, places = sort.sort(array.from_numpy(machine, host), dim=-1, descending=descending)
    right = sort.spec(host, descending)
    np.testing.assert_array_equal(values.numpy(), right[0])
    np.testing.assert_array_equal(places.numpy(), right[1])


@pytest.mark.parametrize("n", [1, 20, 32])
def test_network(machine, monkeypatch, n):
    """What sorts tiles on a GPU, with a small tile."""
    monkeypatch.setattr(sort, "TILE", 16), monkeypatch.setattr(sort, "THREADS", 8)
    sort.network_kernel.cache_clear()
    host = np.round(numbers(2, n), 1).astype(np.float32)
    host[0, 0] = np.nan
    x, tiles = array.from_numpy(machine, host), array.ceil_div(n, 16)
    values, places = array.empty(machine, x.shape, x.dtype), array.empty(machine, x.shape, np.int64)
    sort.network_kernel(float32, float32, True)[2 * tiles, 8](x, values, places, n, tiles)
    for first in range(0, n, 16):
        right = sort.spec(host[:, first:first + 16], True)
        np.testing.assert_array_equal(values.numpy()[:, first:first + 16], right[0])
        np.testing.assert_array_equal(places.numpy()[:, first:first + 16] - first, right[1])
    sort.network_kernel.cache_clear()


@pytest.mark.parametrize("dtype", [te.float64, te.float16, te.int32, te.uint8])
def test_what_is_picked_agrees_with_the_cpu(machine, dtype):
    right = te.tensor(np.round(numbers(5, 40, 2) * 3)).to(dtype)
    if dtype.is_floating_point:
        right[2, 7], right[3] = float("nan"), float("nan")
    x = right.cuda()
    for f in (lambda x: x.median(1), lambda x: x.mode(1), lambda x: x.kthvalue(3, 1, keepdim=True),
              lambda x: x.topk(3, 1), lambda x: (x.median(),), lambda x: x.nanmedian(0), lambda x: (x.nanmedian(),),
              lambda x: x.sort(0), lambda x: (x.argsort(1, descending=True),), lambda x: x.topk(0, 1),
              lambda x: x.topk(2, 0, largest=False)):
        for mine, want in zip(f(x), f(right)):
            assert mine.dtype is want.dtype
            np.testing.assert_array_equal(mine.cpu().numpy(), want.numpy())


def test_a_row_of_many_elements(machine):
    """The block's reduction that finds the most frequent element, with as many threads as on a GPU."""
    scores = np.random.default_rng(0).permutation(300).astype(np.int64).reshape(2, 150)
    x = array.from_numpy(machine, numbers(2, 150))
    places = array.from_numpy(machine, np.arange(300))
    value, place = array.empty(machine, (2,), np.float64), array.empty(machine, (2,), np.int64)
    packed = array.from_numpy(machine, scores * 150 + 149 - np.arange(150))
    sort.best_kernel(64)[2, 64](packed, x, places, value, place, 150)
    np.testing.assert_array_equal(place.numpy(), scores.argmax(1) + [0, 150])
