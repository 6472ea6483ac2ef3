"""Autograd as its users see it: torch's answers to small programs, then memory, threads, depth and bad luck."""
from __future__ import annotations

import functools
import gc
import sys
import threading
import warnings
import weakref

import pytest

import tinygrad_edu as te
from tests import programs
from tests.goldens import record
from tests.strong import RECORD


recorded = functools.cache(record.read_programs)


@pytest.mark.parametrize("name", [*programs.named("autograd"), *programs.named("modes")])
def test_program(name):
    """What torch said, said by us."""
    assert name in recorded(), f"{name} was not recorded: {RECORD}"
    assert programs.outcome(programs.PROGRAMS[name], te) == recorded()[name]


def test_recorded_programs_are_torchs(real_torch):
    if not real_torch.__version__.startswith("2.13"):
        pytest.skip("the recordings are torch 2.13's")
    found = programs.outcomes(real_torch)
    assert sorted(found) == sorted(recorded()), RECORD
    for name in found:
        assert found[name] == recorded()[name], f"{name}: {RECORD}"


def test_no_program_fails_in_torch():
    assert {name: said[-1] for name, said in recorded().items() if said and said[-1].startswith("failed:")} == {}


def leaf(*numbers, dtype=te.float64):
    return te.tensor(list(numbers), dtype=dtype, requires_grad=True)


# ---- memory
@pytest.fixture
def no_gc():
    """Whatever is freed now is freed by reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def graph(x, w):
    """A bit of everything that saves something; every intermediate, by weak reference."""
    kept = []

    def note(t):
        kept.append(weakref.ref(t))
        kept.append(weakref.ref(t.grad_fn))
        return t
    a = note(note(x * w).tanh())
    b = note((a + x).exp())
    c = note(b.view(2, 1))
    d = note(c.t() @ c)
    e = note(te.stack([a, b]).sum(0).sigmoid())
    e.register_hook(lambda g: g * 1)
    b.retain_grad()
    f = note(e.softmax(0))
    g = note(f.max() + d.sum() + a.sort()[0].sum() + x[0] + b.clone().mul_(2).sum() + a.relu().mean() + b.var())
    return g, kept


@pytest.mark.parametrize("how", ["dropped", "after backward", "retained", "create_graph"])
def test_graphs_are_freed_by_reference_counts(no_gc, how):
    x, w = leaf(1.0, 2.0), leaf(0.5, -0.5)
    loss, kept = graph(x, w)
    if how == "after backward":
        loss.backward()
    if how == "retained":
        loss.backward(retain_graph=True)
    if how == "create_graph":
        grads = te.autograd.grad(loss, (x, w), create_graph=True)
        te.autograd.grad(grads[0].sum(), (x, w))
        del grads
    del loss
    assert [r for r in kept if r() is not None] == []


def test_in_place_graphs_are_freed(no_gc):
    x = leaf(1.0, 2.0)
    y = x * 1
    y[0] = 5.0
    y.mul_(2)
    view = y[1:]
    view.add_(1)
    z = view.exp_()
    kept = [weakref.ref(y), weakref.ref(view), weakref.ref(y.grad_fn)]
    z.sum().backward()
    del y, z, view
    assert all(r() is None for r in kept)


def test_backward_frees_what_was_saved():
    x = leaf(1.0, 2.0)
    big = x * 3
    freed = weakref.ref(big)
    loss = (big * big).sum()
    del big
    assert freed() is not None
    loss.backward()
    assert freed() is None and loss.grad_fn is not None


# ---- depth
def test_a_chain_of_100_000_ops():
    x = leaf(1.0)
    y = x
    for i in range(100_000):
        y = y + 1.0 if i % 2 else y * 1.0
    y.backward()
    assert x.grad.item() == 1.0


@pytest.mark.parametrize("op", [lambda y: y * 1.0001, lambda y: y.tanh(), lambda y: y + y, lambda y: y.view(1),
                                lambda y: y.add_(1)],
                         ids=["number", "unary", "binary", "view", "in place"])
def test_long_chains_can_be_dropped(op):
    """Freeing a chain must not recurse through it: neither unwalked nor walked, retained or not."""
    for walked in (False, True):
        y = leaf(1e-3) * 1
        for _ in range(30_000):
            y = op(y)
        if walked:
            y.sum().backward(retain_graph=True)
        del y


def test_grad_of_a_deep_graph():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y * 1.0
    assert te.autograd.grad(y, x)[0].item() == 1.0
    y = leaf(1.0)
    z = y
    for _ in range(3_000):
        z = z * y
    g, = te.autograd.grad(z, y, create_graph=True)
    assert g.item() == 3001.0
    assert te.autograd.grad(g, y)[0].item() == 3001.0 * 3000


def test_a_wide_graph_is_walked_once():
    """A walk along paths instead of nodes would take 2^60 steps."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.item() == 1.0


# ---- threads
def in_threads(count, work):
    errors = []

    def run(i):
        try:
            work(i)
        except BaseException as error:             # shown in the main thread
            errors.append(error)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def test_grad_mode_is_each_threads_own():
    with te.no_grad():
        in_threads(2, lambda i: None if te.is_grad_enabled() else pytest.fail("a new thread starts with grad mode on"))

    def off(i):
        te.set_grad_enabled(False)
    in_threads(1, off)
    assert te.is_grad_enabled()


def test_threads_train_side_by_side():
    results = {}

    def train(i):
        w = leaf(float(i), 1.0)
        for _ in range(50):
            loss = ((w * w).sum() - i).tanh()
            w.grad = None
            loss.backward()
            with te.no_grad():
                w -= 0.01 * w.grad
        results[i] = w.tolist()
    in_threads(4, train)
    alone = dict(results)
    results.clear()
    for i in range(4):
        train(i)
    assert alone == results


def test_threads_share_a_leaf():
    w = leaf(1.0, 2.0)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        in_threads(4, lambda i: [(w * 2).sum().backward() for _ in range(200)])
    finally:
        sys.setswitchinterval(before)
    assert w.grad.tolist() == [1600.0, 1600.0]


def test_threads_share_a_graph():
    w = leaf(1.0, 2.0)
    y = (w * w).exp().sum()
    in_threads(4, lambda i: [y.backward(retain_graph=True) for _ in range(20)])
    expected, = te.autograd.grad((w * w).exp().sum() * 80, w)
    assert w.grad.tolist() == pytest.approx(expected.tolist())


# ---- errors on the way
def test_an_error_in_a_hook_leaves_no_trace():
    x, y = leaf(1.0), leaf(2.0)
    z = x * 2
    z.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (z + y * 3).sum().backward()
    assert te.is_grad_enabled() and x.grad is None and y.grad is None


def test_an_error_in_create_graph_restores_grad_mode():
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: 1 / 0)
    z = y.sum()
    with te.no_grad():
        with pytest.raises(ZeroDivisionError):
            z.backward(create_graph=True)
        assert not te.is_grad_enabled()


def test_hooks_run_with_recording_off():
    seen = []
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: seen.append((te.is_grad_enabled(), g.requires_grad)))
    y.sum().backward(retain_graph=True)
    y.sum().backward(create_graph=True)
    assert seen == [(False, False), (True, False)]


def test_hooks_may_differentiate():
    x, w = leaf(2.0), leaf(3.0)
    found = []

    def hook(g):
        with te.enable_grad():
            found.append(te.autograd.grad((w * w).sum(), w)[0].item())
    y = x * 2
    y.register_hook(hook)
    y.sum().backward()
    assert found == [6.0] and x.grad.tolist() == [2.0] and w.grad is None


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("change, error, told", [
    (lambda g: g, TypeError, "expected tuple, but hook returned 'Tensor'"),
    (lambda g: (g, g, g), RuntimeError, "hook 'replace' has returned an incorrect number of values (got 3, but "),
    (lambda g: (1.0,), TypeError, "expected Variable, but hook returned 'float'"),
    (lambda g: (g.sum(),), RuntimeError, "hook 'replace' has changed the size of value"),
    (lambda g: (g.float(),), RuntimeError, "hook 'replace' has changed the type of value (was torch.DoubleTensor ")])
def test_what_a_hook_of_a_node_returns_is_checked(before, change, error, told):
    x = leaf(1.0, 2.0)
    y = x.exp()

    def replace(grads, *outputs):
        return change(grads[0])
    (y.grad_fn.register_prehook if before else y.grad_fn.register_hook)(replace)
    with pytest.raises(error) as caught:
        y.sum().backward()
    assert str(caught.value).startswith(told) and x.grad is None


# ---- anomaly mode
def test_anomaly_mode_shows_the_forward_call():
    x = leaf(-1.0)
    with te.autograd.set_detect_anomaly(True):
        y = x.sqrt()                               # here
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan"):
                y.sum().backward()
    text = str(caught[0].message)
    assert text.startswith("Error detected in SqrtBackward0. Traceback of forward call that caused the error:")
    assert "y = x.sqrt()                               # here" in text


def test_detect_anomaly_warns():
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled. This mode will increase the runtime"):
        with te.autograd.detect_anomaly():
            pass


# ---- what nodes say
def test_accumulate_grad_nodes_are_shown():
    x = leaf(1.0)
    node, place = (x * 2).grad_fn.next_functions[0]
    assert node.name() == "torch::autograd::AccumulateGrad" and place == 0 and node.variable is x
    assert node == (x * 3).grad_fn.next_functions[0][0] and len({node, (x * 3).grad_fn.next_functions[0][0]}) == 1


def test_the_warning_of_grad_on_a_non_leaf():
    y = leaf(1.0) * 2
    with pytest.warns(UserWarning, match="The .grad attribute of a Tensor that is not a leaf Tensor is being accessed"):
        assert y.grad is None
