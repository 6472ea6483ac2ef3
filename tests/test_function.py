"""autograd.Function: the whole contract of ctx, as torch keeps it; and what it must not leave behind."""
from __future__ import annotations

import functools
import gc
import weakref

import pytest

import tinygrad_edu as te
from tests import programs
from tests.goldens import record
from tests.strong import RECORD
from tinygrad_edu.autograd import Function, gradcheck, gradgradcheck

recorded = functools.cache(record.read_programs)


@pytest.mark.parametrize("name", programs.named("function"))
def test_program(name):
    """What torch said, said by us."""
    assert name in recorded(), f"{name} was not recorded: {RECORD}"
    assert programs.outcome(programs.PROGRAMS[name], te) == recorded()[name]


class Exp(Function):
    """Saves its output."""
    @staticmethod
    def forward(ctx, x):
        out = x.exp()
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


class Mul(Function):
    """Saves its inputs, by setup_context."""
    @staticmethod
    def forward(x, y):
        return x * y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return (g * y).sum_to_size(x.shape), (g * x).sum_to_size(y.shape)


def leaf(*numbers):
    return te.tensor(list(numbers), dtype=te.float64, requires_grad=True)


def test_gradients_are_right_to_any_order():
    assert gradcheck(Exp.apply, leaf(0.5, 1.0)) and gradgradcheck(Exp.apply, leaf(0.5, 1.0))
    assert gradcheck(Mul.apply, (leaf(0.5, 1.0), leaf(2.0))) and gradgradcheck(Mul.apply, (leaf(0.5, 1.0), leaf(2.0)))
    mixed = (lambda x: Mul.apply(Exp.apply(x).tanh(), x.view(2, 1)).sum(0))
    assert gradcheck(mixed, leaf(0.5, 1.0)) and gradgradcheck(mixed, leaf(0.5, 1.0))


@pytest.mark.parametrize("walked", [False, True])
def test_it_is_freed_by_reference_counts(walked):
    gc.collect()
    gc.disable()
    try:
        y = Mul.apply(Exp.apply(leaf(1.0)), leaf(2.0))
        kept = [weakref.ref(y), weakref.ref(y.grad_fn), weakref.ref(y.grad_fn.next_functions[0][0])]
        if walked:
            y.backward()
        del y
        assert [r() for r in kept] == [None] * 3
    finally:
        gc.enable()


def test_backward_frees_what_was_saved():
    y = Exp.apply(leaf(1.0))
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.grad_fn.saved_tensors  # noqa: B018
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_long_chains_of_functions_can_be_dropped():
    y = leaf(0.0)
    x = y
    for _ in range(20_000):
        y = Mul.apply(y, te.ones(1, dtype=te.float64))
    y.backward()
    assert x.grad.tolist() == [1.0]
    del y


def test_subclasses_inherit():
    class Scaled(Exp):
        @staticmethod
        def backward(ctx, g):
            return 2 * Exp.backward(ctx, g)
    x = leaf(0.0)
    Scaled.apply(x).backward()
    assert x.grad.item() == 2.0 and type(Scaled.apply(x).grad_fn).__name__ == "ScaledBackward"
    assert Exp.apply(x).grad_fn.name() == "ExpBackward"


def test_a_function_in_a_module_trains():
    model = te.nn.Linear(2, 1)
    before = model.weight.detach().clone()
    optimizer = te.optim.SGD(model.parameters(), lr=0.1)
    loss = Exp.apply(model(te.ones(3, 2))).mean()
    loss.backward()
    optimizer.step()
    assert not te.equal(before, model.weight)


def test_named_dimensions_stay_outside():
    """What comes in with names is seen with them; gradients have none."""
    x = te.ones(2, 3, names=("a", "b")).requires_grad_()
    Exp.apply(x).sum().backward()
    assert x.grad.shape == (2, 3)
