"""Optimizers and learning-rate schedulers: torch's trajectories, state dicts, reprs and refusals."""
from __future__ import annotations

import copy
import itertools
import math
import pickle
import threading

import numpy as np
import pytest

import tinygrad_edu as te
from tinygrad_edu import nn, optim
from tinygrad_edu.optim import lr_scheduler, optimizer

from .transcripts import compare, here, numbers, play, recorded, scenario


def ones(torch, *shape, dtype=None):
    return torch.nn.Parameter(torch.ones(*shape, dtype=dtype))


def train(opt, params, steps=1):
    """Steps with gradients that depend on the step and the parameter."""
    for step in range(steps):
        for place, p in enumerate(params):
            p.grad = p.detach() * 0 + (place + step + 0.5)
        opt.step()


def trajectory(torch, kind, **options):
    """A matrix and a vector after 1, 5 and 20 steps with wild gradients, and what is remembered about them."""
    params = [torch.nn.Parameter(torch.tensor([math.sin(i * i + 1.0) for i in range(count)]).reshape(shape))
              for count, shape in ((6, (2, 3)), (4, (4,)))]
    opt, found = getattr(torch.optim, kind)(params, **options), []
    for step in range(1, 21):
        for place, p in enumerate(params):
            count = p.numel()
            p.grad = torch.tensor([math.cos(1.3 * i * step + place) for i in range(count)]).reshape(p.shape)
        opt.step()
        if step in (1, 5, 20):
            found += numbers(*params)
    return found + numbers(*[v for p in params for v in opt.state[p].values()]) if opt.state else found


@scenario
def sgd(torch, tell):
    for momentum, dampening, decay, nesterov, maximize in itertools.product((0, 0.9), (0, 0.3), (0, 0.1),
                                                                            *[(False, True)] * 2):
        options = {"lr": 0.1, "momentum": momentum, "dampening": dampening, "weight_decay": decay, "nesterov": nesterov,
                   "maximize": maximize}
        if momentum or not dampening:
            tell(str(options), lambda options: trajectory(torch, "SGD", **options), options)


@scenario
def adam(torch, tell):
    kinds = (("Adam", False), ("Adam", True), ("AdamW", None))
    for (kind, decoupled), betas, decay, amsgrad, maximize in itertools.product(
            kinds, ((0.9, 0.999), (0.4, 0.8)), (0, 0.1), *[(False, True)] * 2):
        options = {"lr": 0.05, "betas": betas, "weight_decay": decay, "amsgrad": amsgrad, "maximize": maximize}
        if decoupled is not None:
            options["decoupled_weight_decay"] = decoupled
        tell(f"{kind} {options}", lambda kind, options: trajectory(torch, kind, **options), kind, options)
    tell("eps", lambda: trajectory(torch, "Adam", eps=0.1))


@scenario
def other_arguments(torch, tell):
    for kind, options in itertools.product(("SGD", "Adam", "AdamW"),
                                           ({"fused": True}, {"foreach": True}, {"fused": False})):
        tell(f"{kind} {options}", lambda kind, options: trajectory(torch, kind, **options), kind, options)
    for kind in ("SGD", "Adam", "AdamW"):
        tell(f"{kind} lr tensor", lambda kind: trajectory(torch, kind, lr=torch.tensor(0.1)), kind)
    tell("betas", lambda: trajectory(torch, "Adam", betas=(torch.tensor(0.9), torch.tensor(0.99))))
    tell("capturable", lambda: trajectory(torch, "Adam", capturable=True))


@scenario
def dtypes_and_layouts(torch, tell):
    double = ones(torch, 2, dtype=torch.float64)
    opt = torch.optim.Adam([double], lr=0.1)
    train(opt, [double], 3)
    tell("double", lambda: (double, {k: v.dtype for k, v in opt.state[double].items()}))
    half = ones(torch, 3, dtype=torch.float16)
    opt = torch.optim.Adam([half], lr=0.1, amsgrad=True, weight_decay=0.1, maximize=True, eps=1e-3)
    train(opt, [half], 3)
    tell("half", lambda: (half, {k: v.dtype for k, v in opt.state[half].items()}))
    turned = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).t())
    opt = torch.optim.Adam([turned], lr=0.1)
    turned.grad = torch.arange(6.0).reshape(3, 2)
    opt.step()
    tell("transposed", lambda: (turned, turned.stride(), opt.state[turned]["exp_avg"].stride()))


@scenario
def refusals(torch, tell):
    p, q, optim = ones(torch, 2), ones(torch, 3), torch.optim
    names = {"optim": optim, "torch": torch, "p": p, "q": q}
    for expression in (
            "SGD([])", "SGD(torch.zeros(2))", "SGD([p * 2])", "SGD([3])", "SGD({'a': p})", "SGD({p})",
            "SGD([{'params': {p}}])",
            "SGD([{'params': [p]}, {'params': [p]}])", "SGD([p, p])", "SGD([p], lr=-1)", "SGD([p], momentum=-1)",
            "SGD([p], weight_decay=-1)", "SGD([p], nesterov=True)", "SGD([p], nesterov=True, momentum=0.9, "
                                                                    "dampening=0.1)",
            "SGD([p], lr=torch.tensor([0.1, 0.2]))", "SGD([p], fused=True, foreach=True)", "Adam([p], lr=-1.0)",
            "Adam([p], betas=(1, 0.0))", "Adam([p], betas=(0.0, 1.0))", "Adam([p], betas=(0, 0.0))",
            "Adam([p], eps=-1.0)",
            "Adam([p], weight_decay=-1.0)", "Adam([p], lr=torch.tensor([0.1, 0.2]))",
            "Adam([p], lr=torch.tensor(0.1), foreach=True)", "Adam([p], fused=True, foreach=True)",
            "Adam([p], fused=True, differentiable=True)", "SGD([('a', p), q])",
            "SGD([{'params': [('a', p)]}, {'params': [q]}])", "SGD([p]).add_param_group(3)",
            "SGD([p]).add_param_group({'params': p})", "Optimizer([p], {}).step()"):
        tell(expression, eval, f"optim.{expression}", names)


@scenario
def reprs_and_groups(torch, tell):
    p, q, optim = ones(torch, 2), ones(torch, 3), torch.optim
    tell("groups", lambda: optim.SGD([{"params": [p]}, {"params": q, "lr": 0.5, "momentum": 0.9}], lr=0.1))
    tell("Adam", lambda: optim.Adam([{"params": [p], "betas": (0.8, 0.9)}]))
    tell("AdamW", lambda: (optim.AdamW([p]), optim.AdamW([p]).defaults))
    tell("SGD", lambda: (optim.SGD(x for x in [p]), optim.SGD([p]).defaults))
    tell("Optimizer", lambda: optim.Optimizer([p], {}))
    tell("names", lambda: optim.SGD([("a", p), ("b", q)]).state_dict())
    opt = optim.SGD([p], lr=0.1, momentum=0.9)
    train(opt, [p], 2)
    tell("add_param_group", lambda: (opt.add_param_group({"params": q, "lr": 0.3}), train(opt, [p, q]), opt, p, q))


@scenario
def state_dicts(torch, tell):
    p, q = ones(torch, 2), ones(torch, 3)
    opt = torch.optim.Adam([{"params": [p]}, {"params": [q], "lr": 0.1}], amsgrad=True)
    train(opt, [p, q], 3)
    tell("state", lambda: opt.state_dict())
    saved = copy.deepcopy(opt.state_dict())
    p2, q2 = torch.nn.Parameter(p.detach().clone()), torch.nn.Parameter(q.detach().clone())
    other = torch.optim.Adam([{"params": [p2]}, {"params": [q2]}])
    tell("loaded", lambda: (other.load_state_dict(saved), other, other.state_dict()["state"]))
    train(opt, [p, q], 2), train(other, [p2, q2], 2)
    tell("goes on", lambda: (p, q, p2, q2, other.state[p2]["step"]))
    plain = torch.optim.Adam([p])
    tell("other groups", lambda: other.load_state_dict(plain.state_dict()))
    tell("other sizes", lambda: torch.optim.Adam([p, q]).load_state_dict(plain.state_dict()))
    decoupled = torch.optim.AdamW([p])
    tell("AdamW stays AdamW", lambda: (decoupled.load_state_dict(plain.state_dict()), decoupled))
    double = ones(torch, 2, dtype=torch.float64)
    wide = torch.optim.Adam([double])
    wide.load_state_dict({"state": {0: saved["state"][0]}, "param_groups": plain.state_dict()["param_groups"]})
    tell("cast", lambda: {k: v.dtype for k, v in wide.state[double].items()})
    sgd = torch.optim.SGD([p], lr=0.1)
    tell("nothing to do", lambda: (setattr(p, "grad", None), sgd.step(), sgd.state_dict()))
    train(sgd, [p])
    tell("no momentum, no state", lambda: sgd.state_dict())
    sgd = torch.optim.SGD([p], lr=0.1, momentum=0.9)
    train(sgd, [p], 2)
    twin = copy.deepcopy(sgd)
    tell("deepcopy", lambda: (twin.state_dict(), twin.param_groups[0]["params"][0] is not p,
                              twin.param_groups[0]["params"][0] in twin.state))
    again = pickle.loads(pickle.dumps(sgd))
    tell("pickle", lambda: (again, again.state_dict(), list(again.state)[0] is again.param_groups[0]["params"][0]))


@scenario
def stepping(torch, tell):
    p = ones(torch, 2)
    opt = torch.optim.SGD([p], lr=0.1)
    tell("closure", lambda: opt.step(lambda: 5))
    with torch.no_grad():
        tell("closure records", lambda: opt.step(closure=torch.is_grad_enabled))
    p.grad = torch.ones(2)
    tell("zero_grad", lambda: (opt.zero_grad(set_to_none=False), p.grad, opt.zero_grad(), p.grad))
    p.grad = torch.ones(2)
    out, version = (p * p).sum(), p._version
    tell("counts as a write", lambda: (opt.step(), p._version - version))
    tell("so the graph is stale", lambda: out.backward())

    class Mine(torch.optim.Optimizer):
        def __init__(self, params, lr=0.5):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for x in group["params"]:
                    x.add_(x.grad, alpha=-group["lr"])
                    self.state[x]["n"] = self.state[x].get("n", 0) + 1
    x, log = ones(torch, 2), []
    mine = Mine([x])
    mine.register_step_post_hook(lambda *args: log.append(len(args)))
    tell("a rule of one's own", lambda: (train(mine, [x], 2), x, mine, mine.state_dict(), log))


@scenario
def hooks(torch, tell):
    p, log = ones(torch, 2), []
    opt = torch.optim.Adam([p])
    handles = [opt.register_step_pre_hook(lambda o, args, kwargs: log.append(("before", args[0] is o, kwargs))),
               opt.register_step_post_hook(lambda o, args, kwargs: log.append(("after", len(args)))),
               opt.register_state_dict_pre_hook(lambda o: log.append("before state_dict")),
               opt.register_state_dict_post_hook(lambda o, found: {**found, "more": 1}),
               opt.register_load_state_dict_pre_hook(lambda o, given: log.append(sorted(given))),
               opt.register_load_state_dict_post_hook(lambda o: log.append("loaded"))]
    train(opt, [p])
    tell("order", lambda: (list(opt.state_dict()), opt.load_state_dict(opt.state_dict()), log))
    for handle in handles:
        handle.remove()
    log.clear()
    tell("removed", lambda: (train(opt, [p]), log))
    with opt.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7), {})):
        tell("other arguments", lambda: opt.step())
    with opt.register_state_dict_post_hook(lambda o, found: log.append(1)), \
            opt.register_state_dict_post_hook(lambda o, found: log.append(2), prepend=True):
        tell("prepend", lambda: (opt.state_dict()["param_groups"], log))


SCHEDULERS = [
    "StepLR(opt, 3)", "StepLR(opt, 4, gamma=0.5)", "MultiStepLR(opt, [2, 2, 7])", "ExponentialLR(opt, 0.9)",
    "LinearLR(opt)",
    "LinearLR(opt, 0.5, 0.1, 7)", "CosineAnnealingLR(opt, 10)", "CosineAnnealingLR(opt, 4, eta_min=0.01)",
    "LambdaLR(opt, lambda e: 0.95 ** e)", "LambdaLR(opt, [lambda e: 1 / (e + 1), lambda e: e])",
]
PLATEAUS = [
    "ReduceLROnPlateau(opt)", "ReduceLROnPlateau(opt, patience=1)", "ReduceLROnPlateau(opt, 'max', patience=0, "
                                                                    "cooldown=2)",
    "ReduceLROnPlateau(opt, patience=2, threshold=0.2, threshold_mode='abs', min_lr=[0.01, 0.2])",
    "ReduceLROnPlateau(opt, 'max', patience=1, threshold_mode='abs')",
]


@scenario(rtol=1e-15, atol=0)
def schedulers(torch, tell):
    home = torch.optim.lr_scheduler

    def rates(expression, *metrics):
        opt = torch.optim.SGD([{"params": [ones(torch, 1)]}, {"params": [ones(torch, 1)], "lr": 0.7}], lr=0.1)
        scheduler = eval(f"home.{expression}", {"home": home, "opt": opt})
        found = list(scheduler.get_last_lr())
        for step in range(25):
            opt.step()
            scheduler.step(*[metric(step) for metric in metrics])
            found += scheduler.get_last_lr()
        return found
    for expression in SCHEDULERS:
        tell(expression, rates, expression)
    for expression in PLATEAUS:
        tell(expression, rates, expression, lambda step: math.sin(step * step))
    opt = torch.optim.SGD([ones(torch, 1)], lr=torch.tensor(0.1))
    scheduler = home.ExponentialLR(opt, 0.5)
    tell("lr tensor, too early", lambda: (scheduler.step(), scheduler.get_last_lr(), opt))
    state = scheduler.state_dict()
    tell("state", lambda: (state["gamma"], state["last_epoch"], state["base_lrs"], state["_last_lr"]))
    fresh = torch.optim.SGD([ones(torch, 1)], lr=0.1)
    for expression in ("StepLR(3, 1)", "LambdaLR(opt, [])", "LinearLR(opt, 0.0)", "LinearLR(opt, end_factor=2.0)",
                       "ReduceLROnPlateau(opt, factor=1.0)", "ReduceLROnPlateau(opt, 'middle')", "ExponentialLR(opt, "
                                                                                                 "0.9, last_epoch=3)",
                       "ReduceLROnPlateau(opt, threshold_mode='x')", "ReduceLROnPlateau(opt, min_lr=[1.0, 2.0])"):
        tell(expression, eval, f"home.{expression}", {"home": home, "opt": fresh})


@pytest.mark.parametrize("name", here(__name__))
def test_as_torch(name):
    compare(name, play(name, te), recorded()[name])


@pytest.mark.parametrize("name", here(__name__))
def test_torch_still_says_so(name, real_torch):
    compare(name, play(name, real_torch), recorded()[name])


# ---- ours
T_C = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]
T_U = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]


@pytest.mark.parametrize("kind, lr, losses, end", [
    ("SGD", 1e-2, {100: 22.148710, 200: 16.608067, 1000: 3.828538}, [4.8021, -14.1031]),
    ("Adam", 1e-1, {100: 18.730587, 200: 8.292550, 300: 4.275753, 500: 2.962302, 1000: 2.927647}, [5.3676, -17.3044])])
def test_the_numbers_of_the_tutorial(kind, lr, losses, end):
    t_c, t_un = te.tensor(T_C), 0.1 * te.tensor(T_U)
    params = te.tensor([1.0, 0.0], requires_grad=True)
    opt = getattr(optim, kind)([params], lr=lr)
    for epoch in range(1, 1001):
        w, b = params
        loss = ((w * t_un + b - t_c) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        if epoch in losses:
            assert loss.item() == pytest.approx(losses[epoch], rel=2e-6)
    assert [round(x, 4) for x in params.tolist()] == end


@pytest.mark.parametrize("kind, options", [("SGD", {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
                                           ("AdamW", {"amsgrad": True, "maximize": True})])
def test_blocks_change_nothing(kind, options, monkeypatch):
    start = np.random.default_rng(0).standard_normal((7, 11)).astype(np.float32)

    def run():
        p = nn.Parameter(te.tensor(start))
        opt = getattr(optim, kind)([p], lr=0.1, **options)
        train(opt, [p], 3)
        return p.tolist()
    whole = run()
    monkeypatch.setattr(optimizer, "BLOCK", 10)
    assert run() == whole


@pytest.mark.parametrize("kind, end", [("SGD", 0.512), ("Adam", 0.7016), ("AdamW", 0.6989)])
def test_a_parameter_without_dimensions(kind, end):
    p = nn.Parameter(te.tensor(1.0))
    opt = getattr(optim, kind)([p], lr=0.1)
    for _ in range(3):
        opt.zero_grad()
        (p * p).backward()
        opt.step()
    assert p.shape == () and round(p.item(), 4) == end


def test_a_parameter_whose_elements_share_memory_is_refused():
    p = te.zeros(1).expand(3).requires_grad_()
    p.grad = te.ones(3)
    with pytest.raises(RuntimeError, match="^unsupported operation: more than one element of the written-to tensor"):
        optim.SGD([p], lr=1.0).step()
    assert p.tolist() == [0.0, 0.0, 0.0]


def test_a_gradient_in_another_order_of_memory(monkeypatch):
    monkeypatch.setattr(optimizer, "BLOCK", 4)
    p = nn.Parameter(te.zeros(3, 4))
    p.grad = te.arange(12.0).reshape(4, 3).t()
    optim.SGD([p], lr=1.0).step()
    assert p.tolist() == (-te.arange(12.0).reshape(4, 3).t()).tolist()


def test_steps_need_no_memory_as_large_as_a_parameter():
    import tracemalloc
    p = nn.Parameter(te.zeros(1000, 1000))
    p.grad = te.ones(1000, 1000)
    opt = optim.Adam([p])
    opt.step()
    tracemalloc.start()
    opt.step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < p.nbytes / 2                     # a block or two


def test_both_spellings_of_a_rule_agree(monkeypatch):
    """On numpy arrays and as tensor operations, which other backends run."""
    options = {"SGD": [{"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True},
                       {"momentum": 0.9, "nesterov": True}, {}],
               "Adam": [{"amsgrad": True, "weight_decay": 0.1, "maximize": True}, {"betas": (0.4, 0.9)}],
               "AdamW": [{}]}
    for kind, several in options.items():
        for given in several:
            fast = trajectory(te, kind, lr=0.1, **given)
            rule = getattr(optim, kind)

            def slowly(self, param, grad, state, group, room):
                with te.no_grad():
                    self.on_tensors(param, -grad if group["maximize"] else grad, state, group)
            with monkeypatch.context() as patch:
                patch.setattr(rule, "on_arrays", slowly)
                np.testing.assert_allclose(trajectory(te, kind, lr=0.1, **given), fast, rtol=1e-5, atol=1e-6)


def test_threads_train_side_by_side():
    def run(results, seed):
        p = nn.Parameter(te.full((50,), float(seed)))
        opt = optim.Adam([p], lr=0.1)
        for _ in range(200):
            opt.zero_grad()
            ((p - seed - 1) ** 2).sum().backward()
            opt.step()
        results[seed] = p.tolist()
    alone, together = {}, {}
    for seed in range(4):
        run(alone, seed)
    threads = [threading.Thread(target=run, args=(together, seed)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_differentiable_steps_are_refused_clearly():
    with pytest.raises(NotImplementedError, match="steps are never recorded"):
        optim.SGD([nn.Parameter(te.ones(1))], differentiable=True)


def test_hooks_of_all_optimizers():
    log, p = [], nn.Parameter(te.ones(1))
    with optim.register_optimizer_step_pre_hook(lambda o, args, kwargs: log.append("before")), \
            optim.register_optimizer_step_post_hook(lambda o, args, kwargs: log.append("after")):
        train(optim.SGD([p]), [p])
    train(optim.SGD([p]), [p])
    assert log == ["before", "after"]


def test_a_scheduler_goes_on_from_its_state():
    def made():
        opt = optim.SGD([nn.Parameter(te.ones(1))], lr=0.1)
        return opt, lr_scheduler.CosineAnnealingLR(opt, 10)
    opt, scheduler = made()
    for _ in range(4):
        opt.step()
        scheduler.step()
    other, twin = made()
    twin.load_state_dict(scheduler.state_dict())
    other.load_state_dict(opt.state_dict())
    for o, s in ((opt, scheduler), (other, twin)):
        o.step()
        s.step()
    assert scheduler.get_last_lr() == twin.get_last_lr()
