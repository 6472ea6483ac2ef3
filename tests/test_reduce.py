"""Reductions, scans and softmax where samples don't look: refusals, nan and inf, names of dimensions, what is saved."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_edu as te
import tinygrad_edu.nn.functional as F

inf, nan = float("inf"), float("nan")


def leaf(*numbers):
    return te.tensor(numbers, requires_grad=True)


def gradient(function, *numbers):
    x = leaf(*numbers)
    function(x).sum().backward()
    return x.grad.tolist()


# ---- refusals: torch's first lines
@pytest.mark.parametrize("call, error, sentence", [
    (lambda: te.ones(3).sum(1), IndexError, "Dimension out of range (expected to be in range of [-1, 0], but got 1)"),
    (lambda: te.ones(3).mean((0, -1)), RuntimeError, "dim 0 appears multiple times in the list of dims"),
    (lambda: te.ones(3).sum(0.5), TypeError,
     "sum() received an invalid combination of arguments - got (float), but expected one of:"),
    (lambda: te.ones(3).argmax(0.5), TypeError, "argmax(): argument 'dim' (position 1) must be int, not float"),
    (lambda: te.mean(3), TypeError, "mean(): argument 'input' (position 1) must be Tensor, not int"),
    (lambda: te.cumsum([1], 0), TypeError, "cumsum(): argument 'input' (position 1) must be Tensor, not list"),
    (lambda: te.arange(3).mean(), RuntimeError,
     "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: Long"),
    (lambda: te.ones(3).mean(dtype=te.int32), RuntimeError,
     "mean(): could not infer output dtype. Optional dtype must be either a floating point or complex dtype. Got: Int"),
    (lambda: te.arange(3).var(), RuntimeError, "std and var only support floating point and complex dtypes"),
    (lambda: te.var_mean(te.arange(3)), RuntimeError, "var_mean only support floating point and complex dtypes"),
    (lambda: te.ones(3).var(0, 2), TypeError,
     "var() received an invalid combination of arguments - got (int, int), but expected one of:"),
    (lambda: te.tensor([]).max(), RuntimeError, "max(): Expected reduction dim to be specified for input.numel() == 0. "
     "Specify the reduction dim with the 'dim' argument."),
    (lambda: te.zeros(0, 3).max(0), IndexError, "max(): Expected reduction dim 0 to have non-zero size."),
    (lambda: te.zeros(0, 3).argmin(), IndexError,
     "argmin(): Expected reduction dim to be specified for input.numel() == 0."),
    (lambda: te.zeros(0, 3).aminmax(), RuntimeError,
     "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."),
    (lambda: te.tensor([True]).argmax(), RuntimeError, "argmax(): does not support bool input"),
    (lambda: te.tensor([1, 2]).norm(), RuntimeError,
     "linalg.vector_norm: Expected a floating point or complex tensor as input. Got Long"),
    (lambda: te.zeros(0).norm(inf), RuntimeError, "linalg.vector_norm cannot compute the inf norm on an "
     "empty tensor because the operation does not have an identity"),
    (lambda: te.ones(3).cumsum(0, dtype=te.bool), NotImplementedError,
     "\"cumsum_out_cpu\" not implemented for 'Bool'"),
    (lambda: te.tensor(3).diff(), RuntimeError, "diff expects input to be at least one-dimensional"),
    (lambda: te.arange(3).softmax(0), NotImplementedError,
     "\"softmax_lastdim_kernel_impl\" not implemented for 'Long'"),
    (lambda: te.ones(2, 2).long().log_softmax(0), NotImplementedError,
     "\"log_softmax_kernel_impl\" not implemented for 'Long'"),
])
def test_refusals(call, error, sentence):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value).split("\n")[0] == sentence


def test_warnings():
    with pytest.warns(UserWarning, match=r"std\(\): degrees of freedom is <= 0. Correction should be"):
        assert np.isnan(te.ones(1).std().item())
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax has been deprecated") as seen:
        F.softmax(te.ones(2, 2))
    assert seen[0].filename == __file__


# ---- what torch's digits are
def test_named_results_print_as_torchs():
    found = te.tensor([[1.0, 3], [4, 2]]).max(1)
    assert repr(found) == "torch.return_types.max(\nvalues=tensor([3., 4.]),\nindices=tensor([1, 0]))"
    assert found.values is found[0] and found.indices is found[1]
    values, indices = found
    assert isinstance(found, tuple) and (values.tolist(), indices.tolist()) == ([3, 4], [1, 0])
    assert repr(te.aminmax(te.tensor([1, 2]))) == "torch.return_types.aminmax(\nmin=tensor(1),\nmax=tensor(2))"


def test_three_meanings_of_max():
    x = te.tensor([1.0, 5, 3])
    assert x.max().item() == 5
    assert x.max(0).indices.item() == 1
    assert x.max(te.tensor([4.0, 4, 4])).tolist() == te.max(x, other=te.tensor([4.0, 4, 4])).tolist() == [4, 5, 4]


def test_numpys_words():
    x = te.arange(6.0).reshape(2, 3)
    assert x.sum(axis=0).tolist() == te.sum(x, axis=0).tolist() == [3, 5, 7]
    assert x.mean(axis=1, keepdims=True).shape == (2, 1)


def test_nan_and_inf():
    x = te.tensor([1.0, nan, 2, nan])
    assert np.isnan(x.max().item()) and x.max(0).indices.item() == x.argmin().item() == 1
    assert x.nansum().item() == 3 and x.nanmean().item() == 1.5
    assert x.cummax(0).indices.tolist() == [0, 1, 1, 3]
    assert te.tensor([[-inf, -inf], [inf, 1.0], [-inf, 1.0]]).logsumexp(1).tolist() == [-inf, inf, 1]
    assert te.tensor([-inf, 1.0]).softmax(0).tolist() == [0, 1]
    assert np.isnan(te.tensor([-inf, -inf]).softmax(0).tolist()).all()
    assert te.tensor([inf, -inf, 1]).logcumsumexp(0).tolist() == [inf, inf, inf]


def test_empty():
    x = te.tensor([])
    assert x.sum().item() == 0 and x.prod().item() == 1 and np.isnan(x.mean().item())
    assert te.zeros(2, 0).all(1).tolist() == [True, True] and te.zeros(2, 0).any(1).tolist() == [False, False]
    assert te.zeros(0, 2).logsumexp(0).tolist() == [-inf, -inf]
    assert te.zeros(0, 3).max(1).values.shape == (0,)
    x = te.zeros(0, requires_grad=True)
    x.mean().backward()
    assert x.grad.shape == (0,)


def test_types_of_results():
    assert te.tensor([100, 100], dtype=te.int8).sum().item() == 200
    assert te.tensor([100, 100], dtype=te.int8).sum(dtype=te.int8).item() == -56
    assert te.ones(3, dtype=te.bool).cumsum(0).dtype is te.int64
    assert te.ones(3, dtype=te.uint8).any().dtype is te.uint8 and te.ones(3).any().dtype is te.bool
    assert te.full((3,), 60000.0, dtype=te.float16).mean().item() == 60000       # the sum does not fit into float16


def test_results_are_contiguous():
    x = te.zeros(2, 3, 4).permute(2, 1, 0)
    for found in (x.sum(1), x.amax(1), x.var(1), x.max(1)[0], x.cumsum(1), x.softmax(1), x.logsumexp(1), x.norm(dim=1)):
        assert found.is_contiguous()
    assert x.sort(1)[0].stride() == (1, 4, 12)     # torch keeps the order of dimensions here


def test_long_sums_keep_their_digits():
    """A million float32 across memory: one after the other, three digits would be lost."""
    x = te.full((1_000_000, 2), 0.1)
    assert x.sum(0).tolist() == pytest.approx([100000, 100000], rel=1e-6)
    assert x.mean(0).tolist() == pytest.approx([0.1, 0.1], rel=1e-6)
    assert (x[:, 0] + 1000).var().item() == 0      # two passes: the difference of squares would not be 0


# ---- gradients where they are not obvious
def test_equal_ones_share_the_gradient():
    assert gradient(lambda x: x.max(), 1.0, 3, 3) == gradient(lambda x: x.amax(), 1.0, 3, 3) == [0, 0.5, 0.5]
    assert gradient(lambda x: x.max(0).values, 1.0, 3, 3) == [0, 1, 0]
    assert gradient(lambda x: x.max(), nan, 3, nan) == [0.5, 0, 0.5]
    assert gradient(lambda x: x.median(), 1.0, 2, 2, 5) == [0, 0.5, 0.5, 0]


def test_products_with_zeros():
    assert gradient(lambda x: x.prod(), 2.0, 0, 3) == [0, 6, 0]
    assert gradient(lambda x: x.prod(), 0.0, 0, 3) == [0, 0, 0]
    assert gradient(lambda x: x.cumprod(0), 1.0, 0, 3, 0, 2) == [1, 4, 0, 0, 0]
    assert gradient(lambda x: x.prod(0), 2.0, 0, 3) == [0, 6, 0]


def test_kinks():
    assert gradient(lambda x: x.std(), 1.0, 1) == [0, 0]
    assert gradient(lambda x: x.norm(), 0.0, 0) == [0, 0]
    assert gradient(lambda x: x.norm(1), -2.0, 0, 2) == [-1, 0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(gradient(lambda x: x.var(), 1.0)).all()


def test_gradients_of_several_outputs():
    """Each output alone, and both."""
    x = leaf(1.0, 2, 6)
    for choose, right in ((lambda v, m: v, [-2, -1, 3]), (lambda v, m: m, [1 / 3] * 3),
                          (lambda v, m: v + m, [-5 / 3, -2 / 3, 10 / 3])):
        x.grad = None
        choose(*te.var_mean(x)).backward()
        np.testing.assert_allclose(x.grad.tolist(), right, rtol=1e-6)
    low, high = te.aminmax(x)
    x.grad = None
    (low * 2 + high).backward()
    assert x.grad.tolist() == [2, 0, 1]


def test_the_gradient_of_a_sum_is_the_leafs_own():
    x = te.ones(3, requires_grad=True)
    x.sum().backward()
    x.grad += 1
    x.sum().backward()
    assert x.grad.tolist() == [3, 3, 3] and x.tolist() == [1, 1, 1]
    g, = te.autograd.grad(x.sum(), x)
    g.add_(1)
    assert g.tolist() == [2, 2, 2]


# ---- what is saved
def test_values_of_a_selection_may_be_written():
    """As in torch only the indices are saved."""
    x = leaf(1.0, 3, 2)
    for call in (lambda x: x.max(0), lambda x: x.sort(), lambda x: x.topk(2), lambda x: x.cummax(0)):
        values, indices = call(x * 1)
        values.mul_(2)
        values.sum().backward()
        with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
            values, indices = call(x * 1)
            indices.add_(1)
            values.sum().backward()


def test_saved_inputs_and_results_are_watched():
    for call in (lambda x: x.prod(), lambda x: x.std(0), lambda x: x.logsumexp(0), lambda x: x.norm(),
                 lambda x: x.amax(0)):
        x = leaf(1.0, 3, 2)
        y = x * 1
        out = call(y)
        y.add_(1)
        with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
            out.backward()
    x = leaf(1.0, 3, 2)
    y = x * 1
    out = y.softmax(0)
    y.add_(1)                                      # softmax saves its result only
    out.sum().backward()
    out = (x * 1).softmax(0)
    out.add_(1)
    with pytest.raises(RuntimeError, match=r"output 0 of Softmax, is at version 1; expected version 0"):
        out.sum().backward()


def test_sums_and_means_save_nothing():
    x = leaf(1.0, 3, 2)
    out = x.sum() + x.mean()
    out.backward(retain_graph=True)
    x.sum().backward()
    loss = x.sum()
    loss.backward()
    loss.backward()                                # nothing was saved, so nothing was freed


# ---- names of dimensions
def test_names():
    x = te.tensor([[1.0, 5, 3], [4, 2, 6]], names=("N", "C"))
    assert x.sum("C").names == ("N",) and x.mean(("N", "C")).names == ()
    assert x.max("N").values.names == x.std("N").names == x.median("N").indices.names == ("C",)
    assert x.sum("C", keepdim=True).names == x.softmax("C").names == x.cumsum("N").names == ("N", "C")
    assert x.any("C").names == (None,)
    with pytest.raises(RuntimeError, match=r"Name 'X' not found in Tensor\['N', 'C'\]."):
        x.sum("X")
    with pytest.raises(RuntimeError, match="aten::quantile is not yet supported with named tensors"):
        x.quantile(0.5)


@pytest.mark.parametrize("call", [
    lambda x: x.prod("C"), lambda x: x.std("C"), lambda x: x.max("C").values, lambda x: x.logsumexp("C"),
    lambda x: x.norm(dim="C"), lambda x: x.cumprod("C"), lambda x: x.cummax("C").values, lambda x: x.softmax("C"),
    lambda x: te.std_mean(x, "C")[0], lambda x: x.aminmax(dim="C").max, lambda x: x.logcumsumexp("C"),
])
def test_gradients_of_named_tensors_are_unnamed(call):
    x = te.tensor([[1.0, 5, 3], [4, 2, 6]], names=("N", "C"), requires_grad=True)
    y = te.tensor([[1.0, 5, 3], [4, 2, 6]], requires_grad=True)
    call(x).rename(None).square().sum().backward()
    call(y.rename("N", "C")).rename(None).square().sum().backward()
    assert x.grad.names == (None, None) and x.grad.tolist() == y.grad.tolist()
