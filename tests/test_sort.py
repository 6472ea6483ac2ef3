"""Sorting, medians, quantiles, counting and looking up: refusals, nan, equal elements, named results."""
from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as te

nan = float("nan")


def lists(found):
    return [x.tolist() for x in found]


@pytest.mark.parametrize("call, error, sentence", [
    (lambda: te.ones(3).sort(1), IndexError, "Dimension out of range (expected to be in range of [-1, 0], but got 1)"),
    (lambda: te.ones(3).topk(4), RuntimeError, "selected index k out of range"),
    (lambda: te.ones(3).topk(1.5), TypeError, "topk(): argument 'k' (position 1) must be int, not float"),
    (lambda: te.tensor([True]).topk(1), RuntimeError, "topk does not support bool dtypes on CPU"),
    (lambda: te.tensor([True]).median(), NotImplementedError, "\"median_cpu\" not implemented for 'Bool'"),
    (lambda: te.tensor([True]).median(0), NotImplementedError, "\"median_out\" not implemented for 'Bool'"),
    (lambda: te.zeros(0, 3).median(0), IndexError, "median(): Expected reduction dim 0 to have non-zero size."),
    (lambda: te.ones(3).kthvalue(4), RuntimeError, "kthvalue(): selected number k out of range for dimension 0"),
    (lambda: te.ones(3).quantile(1.3), RuntimeError, "quantile() q must be in the range [0, 1] but got 1.3"),
    (lambda: te.ones(3).quantile(te.tensor([0.3, 1.5])), RuntimeError,
     "quantile() q values must be in the range [0, 1]"),
    (lambda: te.arange(3).quantile(0.3), RuntimeError, "quantile() input tensor must be either float or double dtype"),
    (lambda: te.zeros(0).quantile(0.3), RuntimeError, "quantile() input tensor must be non-empty"),
    (lambda: te.ones(3).quantile(0.3, interpolation="cubic"), RuntimeError, "quantile() interpolation must be one of "
     "linear, lower, higher, midpoint or nearest, but got cubic"),
    (lambda: te.zeros(0, 3).unique(dim=1), RuntimeError,
     "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"),
    (lambda: te.tensor([-3, 1]).bincount(), RuntimeError, "bincount only supports 1-d non-negative integral inputs."),
    (lambda: te.tensor([3.0]).bincount(), NotImplementedError, "\"bincount_cpu\" not implemented for 'Float'"),
    (lambda: te.tensor([1.0]).histc(4, 3, 1), RuntimeError, "torch.histc: max must be larger than min"),
    (lambda: te.tensor([1.0, float("inf")]).histc(4), RuntimeError, "torch.histc: range of [1, inf] is not finite"),
    (lambda: te.searchsorted(te.ones(3), te.ones(2), side="left", right=True), RuntimeError, "torch.searchsorted(): "
     "side and right can't be set to opposites, got side of left while right was True"),
    (lambda: te.searchsorted(te.ones(2, 3), 3), RuntimeError, "torch.searchsorted(): input value can be a scalar only "
     "when boundaries tensor dimension is 1, but we got boundaries tensor dim(2) and input value's dim(0) numel(1)"),
    (lambda: te.bucketize(3, te.ones(1, 3)), RuntimeError, "boundaries tensor must be 1 dimension, but got dim(2)"),
])
def test_refusals(call, error, sentence):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value).split("\n")[0] == sentence


def test_nan_is_the_largest():
    x = te.tensor([3.0, nan, 1, nan, 2])
    assert x.argsort().tolist() == [2, 4, 0, 1, 3]
    assert x.argsort(descending=True).tolist() == [1, 3, 0, 4, 2]
    assert x.topk(3).indices.tolist() == [1, 3, 0] and x.topk(2, largest=False).values.tolist() == [1, 2]
    assert np.isnan(x.median().item()) and x.median(0).indices.item() == 1
    assert x.nanmedian().item() == 2 and x.nanquantile(0.25).item() == 1.5 and np.isnan(x.quantile(0.25).item())
    assert lists(te.tensor([nan, nan]).nanmedian(0))[1] == 0


def test_equal_elements_keep_their_order():
    x = te.tensor([2, 1] * 20)
    ascending, descending = x.sort(stable=True).indices, x.sort(descending=True, stable=True).indices
    assert ascending.tolist() == [*range(1, 40, 2), *range(0, 40, 2)]
    assert descending.tolist() == [*range(0, 40, 2), *range(1, 40, 2)]


def test_named_results_print_as_torchs():
    found = te.tensor([3.0, 1]).sort()
    assert repr(found) == "torch.return_types.sort(\nvalues=tensor([1., 3.]),\nindices=tensor([1, 0]))"
    assert repr(te.tensor([3, 1]).mode()) == "torch.return_types.mode(\nvalues=tensor(1),\nindices=tensor(1))"
    assert te.tensor([3.0, 1], requires_grad=True).topk(1).values.grad_fn.name() == "TopkBackward0"


def test_of_two_in_the_middle_the_smaller():
    x = te.tensor([[3.0, 1, 2, 4]])
    assert lists(x.median(1)) == [[2], [2]] and x.median(1, keepdim=True).values.shape == (1, 1)
    assert lists(te.tensor([3, 1, 3, 2, 2]).mode()) == [2, 4]
    assert lists(x.kthvalue(4)) == [[4], [3]]


def test_numbers_without_dimensions():
    x = te.tensor(3.0, requires_grad=True)
    for call in (lambda x: x.sort(), lambda x: x.topk(1), lambda x: x.median(0), lambda x: x.mode(), lambda x: x.max(0),
                 lambda x: x.kthvalue(1), lambda x: x.cummin(0)):
        x.grad = None
        values, indices = call(x)
        assert (values.shape, values.item(), indices.item()) == ((), 3, 0)
        values.backward()
        assert x.grad.item() == 1


def test_quantiles():
    x = te.tensor([[3.0, 1, 2, 4], [8, 6, 7, 5]])
    assert x.quantile(te.tensor([0.0, 0.5, 1.0]), dim=1).tolist() == [[1, 5], [2.5, 6.5], [4, 8]]
    assert x.quantile(0.5, dim=0, keepdim=True).shape == x.quantile(0.5, 0).unsqueeze(0).shape == (1, 4)
    assert x.quantile(0.5, keepdim=True).tolist() == [[4.5]]
    found = [x[0].quantile(0.3, interpolation=how).item() for how in ("lower", "higher", "midpoint", "nearest")]
    assert found == [1, 2, 1.5, 2]


def test_unique():
    x = te.tensor([[3, 1], [2, 1], [3, 1]])
    assert lists(x.unique(return_inverse=True, return_counts=True)) == [[1, 2, 3], [[2, 0], [1, 0], [2, 0]], [3, 1, 2]]
    assert lists(x.unique(dim=0, return_inverse=True)) == [[[2, 1], [3, 1]], [1, 0, 1]]
    assert x.unique(dim=1).tolist() == [[1, 3], [1, 2], [1, 3]]
    assert te.tensor([nan, nan]).unique().numel() == 2
    assert lists(te.tensor([3, 3, 2, 3]).unique_consecutive(return_counts=True)) == [[3, 2, 3], [2, 1, 1]]


def test_counting():
    assert te.tensor([3, 1, 1]).bincount(minlength=5).tolist() == [0, 2, 0, 1, 0]
    assert te.tensor([3, 1, 1]).bincount(te.tensor([1.0, 2, 3])).tolist() == [0, 5, 0, 1]
    assert te.tensor([1.0, 2, 1]).histc(4).tolist() == [2, 0, 0, 1]
    assert te.tensor([1.0, 1, 1]).histc(4).tolist() == [0, 0, 3, 0]
    assert te.tensor([-5.0, 0, 0.5, 1, nan]).histc(2, 0, 1).tolist() == [1, 2]


def test_looking_up():
    rows = te.tensor([1.0, 3, 5])
    assert te.searchsorted(rows, te.tensor([3.0, 4, nan])).tolist() == [1, 2, 3]
    assert te.searchsorted(rows, 3.0, side="right").item() == te.bucketize(3, rows, right=True).item() == 2
    assert te.searchsorted(te.tensor([[1, 3, 5], [2, 3, 4]]), te.tensor([[3], [4]])).tolist() == [[1], [2]]
    assert te.bucketize(te.tensor([1, 6]), te.tensor([1, 3]), out_int32=True).dtype is te.int32
