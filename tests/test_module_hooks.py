"""Hooks of modules, forward and backward, as torch calls them."""
from __future__ import annotations

import copy
import gc
import weakref

import pytest

import tinygrad_edu as te
from tinygrad_edu import nn

from .test_module import data, linear, model
from .transcripts import compare, here, play, recorded, scenario


def logger(log, tag, result=None):
    """A hook that notes its arguments."""
    def hook(*args):
        log.append((tag, *[type(a).__name__ if hasattr(a, "children") else str(a) for a in args]))
        return result
    return hook


@scenario
def forward_hooks(torch, tell):
    layer, x, log = linear(torch, 2, 3).requires_grad_(False), data(torch), []
    handles = [layer.register_forward_pre_hook(logger(log, "before")),
               layer.register_forward_hook(logger(log, "after")),
               layer.register_forward_hook(logger(log, "first after"), with_kwargs=True, prepend=True),
               layer.register_forward_pre_hook(logger(log, "before with kwargs"), with_kwargs=True)]
    tell("order", lambda: (layer(x), log))
    tell("keyword", lambda: (log.clear(), layer(input=x), log))
    for handle in handles:
        handle.remove()
    tell("removed", lambda: (log.clear(), layer(x), log, len(layer._forward_hooks),
                             len(layer._forward_hooks_with_kwargs)))
    with layer.register_forward_pre_hook(lambda module, args: args[0] * 0):
        tell("other argument", lambda: layer(x))
    with layer.register_forward_hook(lambda module, args, output: output * 0 + 7):
        tell("other output", lambda: layer(x))
    with layer.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True):
        tell("wrong pair", lambda: layer(x))
    with layer.register_forward_pre_hook(lambda module, args, kwargs: ((x * 2,), {}), with_kwargs=True):
        tell("other pair", lambda: layer(x))
    with layer.register_forward_hook(lambda module, args, output: 3):
        tell("a number", lambda: layer(x))
    with layer.register_forward_hook(logger(log, "always"), always_call=True):
        log.clear()
        try:
            layer(torch.zeros(2, 5))
        except RuntimeError:
            pass
        tell("after an error", lambda: log)

    def failing(*args):
        raise ValueError("again")

    def fail(x):
        raise KeyError("forward")
    layer.forward = fail
    with layer.register_forward_hook(failing, always_call=True):
        tell("two errors", lambda: layer(x))


@scenario
def backward_hooks(torch, tell):
    nn, x, log = torch.nn, data(torch), []

    def run(layer, *others, wants=True):
        log.clear()
        start = x.clone().requires_grad_(wants)
        out = layer(start, *others)
        (out if isinstance(out, torch.Tensor) else out[0]).sum().backward()
        return start.grad, log
    layer = linear(torch, 2, 3)
    layer.register_full_backward_hook(logger(log, "after"))
    layer.register_full_backward_pre_hook(logger(log, "before"))
    tell("node", lambda: layer(x).grad_fn.name())
    tell("order", lambda: (run(layer), layer.weight.grad))
    tell("no input wants it", lambda: run(layer, wants=False))
    layer = linear(torch, 2, 3)
    with layer.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0] * 0 + 5,)):
        tell("other grad_input", lambda: run(layer)[0])
    with layer.register_full_backward_pre_hook(lambda module, outputs: (outputs[0] * 2,)):
        tell("other grad_output", lambda: (layer.zero_grad(), run(layer)[0], layer.weight.grad))
    with layer.register_full_backward_hook(lambda module, inputs, outputs: inputs * 2):
        tell("too many inputs", lambda: run(layer))
    with layer.register_full_backward_pre_hook(lambda module, outputs: outputs * 2):
        tell("too many outputs", lambda: run(layer))
    with layer.register_full_backward_hook(lambda module, inputs, outputs: (x,)):
        tell("grad for nothing", lambda: run(layer, wants=False))
    with layer.register_full_backward_hook(lambda *args: None):
        tell("old after full", lambda: layer.register_backward_hook(lambda *args: None))

    class Two(nn.Module):
        def forward(self, a, b):
            return a * b, a + b, 3
    two = Two()
    two.register_full_backward_hook(logger(log, "two"))
    tell("several", lambda: (run(two, x), two(x, x)[2]))
    with torch.no_grad():
        tell("no_grad", lambda: two(x, x))

    class InDict(nn.Module):
        def forward(self, a):
            return {"a": a * 2}
    dictionary = InDict()
    dictionary.register_full_backward_hook(logger(log, "dict"))
    tell("output in a dict", lambda: dictionary(x.clone().requires_grad_())["a"].sum().backward())


@scenario
def hooks_of_all_modules(torch, tell):
    from importlib import import_module
    module = import_module(f"{torch.__name__}.nn.modules.module")
    net, log = model(torch), []
    handles = [module.register_module_forward_hook(lambda m, args, output: log.append(type(m).__name__)),
               module.register_module_forward_pre_hook(lambda m, args: log.append("before " + type(m).__name__)),
               module.register_module_full_backward_hook(lambda m, inputs,
                                                         outputs: log.append("grad " + type(m).__name__))]
    net(data(torch).requires_grad_()).sum().backward()
    for handle in handles:
        handle.remove()
    net(data(torch))
    tell("log", lambda: log)


@pytest.mark.parametrize("name", here(__name__))
def test_as_torch(name):
    compare(name, play(name, te), recorded()[name])


@pytest.mark.parametrize("name", here(__name__))
def test_torch_still_says_so(name, real_torch):
    compare(name, play(name, real_torch), recorded()[name])


# ---- ours
def test_handles_do_not_keep_modules_alive():
    layer = nn.Linear(2, 2)
    handle, seen = layer.register_forward_hook(lambda *args: None), weakref.ref(layer)
    del layer
    gc.collect()
    assert seen() is None
    handle.remove()                                # removes nothing, and says nothing


def test_handles_can_be_pickled_and_copied():
    layer = nn.Linear(2, 2)
    layer.handle = layer.register_forward_hook(pytest.fail)
    twin = copy.deepcopy(layer)
    twin.handle.remove()
    assert not twin._forward_hooks and layer._forward_hooks


def test_a_graph_with_backward_hooks_is_freed_by_counts_alone():
    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda module, inputs, outputs: None)
    gc.collect()
    gc.disable()
    try:
        out = layer(te.ones(1, 2).requires_grad_())
        seen = weakref.ref(out.grad_fn)
        del out
        assert seen() is None
    finally:
        gc.enable()


def test_a_module_that_hooks_nothing_takes_the_short_way(monkeypatch):
    import tinygrad_edu.nn.module as home
    monkeypatch.setattr(home, "call_with_hooks", pytest.fail)
    assert nn.Identity()(3) == 3
