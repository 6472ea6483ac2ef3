"""Writes, gradients and views where the layout in memory is not the plain one, or changes under a tensor.

Values are torch 2.13's.
"""
from __future__ import annotations

import threading

import pytest

import tinygrad_edu as torch
from tinygrad_edu.autograd import Function, gradcheck, gradgradcheck


def leaf(*shape):
    return torch.arange(1.0, 1 + torch.ones(shape).numel(), dtype=torch.float64).reshape(shape).requires_grad_()


# ---- bases of views
def test_a_write_through_a_view_that_has_no_strides_in_a_contiguous_base():
    """Every third element of memory, as a row of it: no constant step leads there in the base's own order."""
    z, w = torch.ones(3, 4, requires_grad=True), torch.arange(12.0, requires_grad=True)
    base = z.t().clone()
    assert base.stride() == (1, 4)
    base.t().view(-1)[2:5].mul_(w[2:5])
    (base * torch.arange(12.0).reshape(4, 3)).sum().backward()
    assert z.grad.tolist() == [[0, 3, 12, 27], [4, 4, 7, 10], [2, 5, 8, 11]]
    assert w.grad.tolist() == [0, 0, 6, 9, 1] + [0] * 7


def test_second_derivatives_through_such_a_write():
    def f(z, w):
        base = z.t().clone()
        base.t().view(-1)[2:5].mul_(w)
        return base * base
    assert gradcheck(f, (leaf(3, 4), leaf(3))) and gradgradcheck(f, (leaf(3, 4), leaf(3)))


def test_a_base_whose_elements_share_memory():
    base, w = torch.ones(3, 1).expand(3, 4).detach(), torch.ones(3, requires_grad=True)
    base[:, 0].mul_(w)
    with pytest.raises(RuntimeError, match="^unsupported operation: more than one element of the written-to tensor"):
        base.sum().backward()


def test_as_strided_of_elements_that_share_memory():
    x = torch.ones(3, requires_grad=True)
    x.expand(4, 3).as_strided((3,), (1,), 0).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_a_gradient_is_not_added_to_elements_that_share_memory():
    x = torch.ones(3, requires_grad=True)
    x.grad = torch.zeros(1).expand(3)
    with pytest.raises(RuntimeError, match="^unsupported operation: more than one element of the written-to tensor"):
        (x * torch.tensor([1.0, 2.0, 3.0])).sum().backward()


# ---- tensors that come to look at other memory
def test_a_view_that_was_resized_still_follows_its_base():
    base, w = torch.zeros(4), torch.ones(4, requires_grad=True)
    view = base[:2].resize_(2, 1)
    base.add_(w)
    (view * 2).sum().backward()
    assert w.grad.tolist() == [2, 2, 0, 0]


def test_resized_beyond_its_memory_it_is_a_view_no_more():
    base = torch.arange(4.0)
    head, tail = base[:2], base[2:]
    tail.resize_(3)
    assert tail._base is None and tail[:2].tolist() == [2, 3]
    tail.zero_()
    base.resize_(8)
    base.fill_(7)
    head.add_(1)
    assert base[0] == 7 and head.tolist() == [1, 2] and head[0] == 1


@pytest.mark.parametrize("change", ["b.resize_(2)", "b.set_(torch.ones(3))", "torch.cat([torch.ones(3)], out=b)"])
def test_other_memory_counts_as_a_write(change):
    a, b = torch.ones(3, requires_grad=True), torch.ones(3)
    y = a * b
    exec(change, {"torch": torch, "b": b})
    with pytest.raises(RuntimeError, match="is at version 1; expected version 0 instead"):
        y.sum().backward()


def test_resize_to_the_same_shape_is_no_write():
    x = torch.ones(3)
    assert x.resize_(3)._version == 0 and x.resize_(2)._version == 1


def test_set_():
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="^a leaf Variable that requires grad is being used in an in-place"):
        x.set_(torch.zeros(2))
    with pytest.raises(RuntimeError, match="^derivative for set_ is not implemented"):
        (x * 2).set_(torch.zeros(2))
    y, source = torch.zeros(3), torch.ones(3)
    y.set_(source)
    source.add_(1)
    assert y.tolist() == [2, 2, 2] and x.tolist() == [1, 1, 1]


def test_a_view_with_data_of_its_own():
    base, w = torch.zeros(4), torch.ones(2, requires_grad=True)
    view = base[:2]
    view.data = torch.ones(2)
    view.mul_(w)
    view.sum().backward()
    assert w.grad.tolist() == [1, 1] and base.tolist() == [0] * 4 and not base.requires_grad
    x = w * 1
    with pytest.raises(RuntimeError, match="^data set to a tensor that requires gradients must be floating point"):
        x.data = torch.tensor([1, 2])
    assert x.data.is_set_to(x)


# ---- ops without a derivative, in place
def test_what_a_comparison_overwrites_gets_zeros():
    a = torch.ones(3, requires_grad=True)
    x = a * 2
    x.retain_grad()
    x.eq_(torch.ones(3))
    assert x.requires_grad and type(x.grad_fn).__name__ == "EqBackward1"
    x.sum().backward()
    assert a.grad.tolist() == [0, 0, 0] and x.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize("change", ["x.unsqueeze_(0)", "x.t_()", "x.unsqueeze_(2).squeeze_()"])
def test_another_shape_without_recording_keeps_the_gradient_right(change):
    a = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x, factors = a.cumsum(0), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    with torch.no_grad():
        exec(change, {"x": x})
        exec(change, {"x": factors})
    (x * factors).sum().backward()
    assert a.grad.tolist() == [[4, 6], [3, 4]]


# ---- results without dimensions
@pytest.mark.parametrize("code", ["x.flip(0)", "x.gather(0, torch.zeros((), dtype=torch.int64))", "x.logsumexp(0)"])
def test_results_without_dimensions_can_be_written(code):
    assert eval(code, {"torch": torch, "x": torch.tensor(0.5)}).mul_(2).item() == 1


@pytest.mark.parametrize("index, src", [([1], 5.0), (1, [5.0]), (1, [5.0, 6.0])])
def test_scatter_where_one_has_no_dimension(index, src):
    assert torch.ones(3).scatter(0, torch.tensor(index), torch.tensor(src)).tolist() == [1, 5, 1]
    assert torch.ones(3).scatter(0, torch.tensor([], dtype=torch.int64), torch.tensor(5.0)).tolist() == [1, 1, 1]


def test_a_mask_is_filled_with_a_number_of_any_type():
    x, number = torch.tensor([1.0, 2.0]), torch.tensor(7.5, dtype=torch.float64, requires_grad=True)
    x[x > 1] = number
    x.sum().backward()
    assert x.tolist() == [1, 7.5] and number.grad.item() == 1 and number.grad.dtype is torch.float64
    with pytest.raises(RuntimeError, match="^Index put requires the source and destination dtypes match"):
        x[[0]] = number


# ---- numbers that nothing can hold
@pytest.mark.parametrize("number, sentence", [(2 ** 64, "int too big to convert"),
                                              (10 ** 400, "int too big to convert"),
                                              (-2 ** 63 - 1, "can't convert negative int to unsigned")])
def test_integers_beyond_64_bits(number, sentence):
    for x in (torch.ones(2), torch.ones(2, dtype=torch.int64), torch.ones(2)[::2]):
        for operation in (lambda: x + number, lambda: number * x, lambda: x > number):    # noqa: B023
            with pytest.raises(OverflowError, match=f"^{sentence}"):
                operation()
    assert (torch.ones(1) + (2 ** 64 - 1)).item() == 2.0 ** 64 and (torch.ones(1) - 2 ** 63).item() == -2.0 ** 63


# ---- Functions that modify what they are given
class Scale(Function):
    """x *= w, in place."""
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(w)
        ctx.mark_dirty(x)
        return x.mul_(w)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], g


def test_a_function_may_modify_a_view():
    w, base = torch.tensor([3.0, 5.0], requires_grad=True), torch.ones(4)
    view = base[:2]
    neighbour = base[1:3]
    assert Scale.apply(view, w) is view and view.requires_grad and type(base.grad_fn).__name__ == "CopySlices"
    (base.sum() + (neighbour * neighbour).sum()).backward()
    assert w.grad.tolist() == [1, 11]


def test_retained_gradients_go_with_a_modified_tensor():
    a, w = torch.ones(2, requires_grad=True), torch.tensor([2.0, 2.0])
    b = a * 1
    b.retain_grad()
    Scale.apply(b, w)
    (b * b).sum().backward()
    assert b.grad.tolist() == [4, 4] and a.grad.tolist() == [8, 8]


def test_views_that_a_function_may_not_modify():
    a, w = torch.ones(4, requires_grad=True), torch.ones(2)
    with pytest.raises(RuntimeError, match="^a view of a leaf Variable that requires grad is being used in an in-plac"):
        Scale.apply(a[:2], w)
    with pytest.raises(RuntimeError, match="^Output 0 of Split is a view and is being modified inplace."):
        Scale.apply((a * 1).split(2)[0], w)
    base = a * 1
    with torch.no_grad():
        hidden = base[:2]
    with pytest.raises(RuntimeError, match="^a leaf Variable that requires grad has been used in an in-place"):
        Scale.apply(hidden, w)

    class Both(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2), x * 3
    with pytest.raises(RuntimeError, match="^If your Function modifies inplace an input that is a view of another"):
        Both.apply((a * 1)[:2])


# ---- threads
def test_threads_that_ask_for_a_storage_get_the_same_one():
    for _ in range(200):
        x, found, start = torch.ones(8) * 1, [], threading.Barrier(4)

        def ask():
            start.wait()                           # noqa: B023
            found.append(x._storage)               # noqa: B023
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(storage is found[0] for storage in found)
