"""Optimizers on CUDA: the kernels' rules against the CPU's, one launch for all parameters, state that moves."""
from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tinygrad_edu as torch
from tests.test_cuda import saved
from tinygrad_edu import nn, optim

pytestmark = pytest.mark.usefixtures("cuda")


def trajectory(device, kind, dtype=torch.float32, steps=6, **options):
    """Parameters of several shapes and orders in memory, and what is remembered about them, after some steps."""
    wave = [math.sin(i * i + 1.0) for i in range(12)]
    params = [torch.tensor(wave[:6], dtype=dtype).reshape(2, 3), torch.tensor(wave[:4], dtype=dtype),
              torch.tensor(wave, dtype=dtype).reshape(3, 4).t(), torch.tensor(2.0, dtype=dtype),
              torch.zeros(0, 2, dtype=dtype)]
    params = [nn.Parameter(p.to(device)) for p in params]
    params.append(torch.tensor(wave, dtype=dtype, device=device)[::2].requires_grad_())        # with gaps
    opt = getattr(optim, kind)(params, **options)
    for step in range(steps):
        for place, p in enumerate(params):
            count = p.numel()
            p.grad = torch.tensor([math.cos(1.3 * i * step + place) for i in range(count)], dtype=dtype,
                                  device=device).reshape(p.shape)
        if step == 2:
            params[1].grad = None                  # from here on it is one step behind
        opt.step()
    kept = [v for p in params for v in opt.state[p].values() if v is not None]
    return [v.detach().cpu().numpy() for v in params + kept], opt, params


RULES = [("SGD", {"lr": 0.1, "momentum": m, "dampening": d, "weight_decay": w, "nesterov": n, "maximize": x})
         for m, d, w, n, x in itertools.product((0, 0.9), (0, 0.3), (0, 0.1), *[(False, True)] * 2)
         if not n or m and not d]
RULES += [(kind, {"lr": 0.05, "betas": (0.4, 0.9), "weight_decay": w, "amsgrad": a, "maximize": x})
          for kind, w, a, x in itertools.product(("Adam", "AdamW"), (0, 0.1), *[(False, True)] * 2)]


def test_every_rule_gives_what_it_gives_on_the_cpu(no_detours):
    for kind, options in RULES:
        here, _, _ = trajectory("cpu", kind, **options)
        there, opt, params = trajectory("cuda", kind, **options)
        for mine, right in zip(there, here, strict=True):
            np.testing.assert_allclose(mine, right, 1e-5, 2e-6, err_msg=f"{kind} {options}")
        kept = [(k, v) for p in params for k, v in opt.state[p].items() if v is not None]
        assert all(v.is_cuda for k, v in kept if k != "step")


@pytest.mark.parametrize("kind, options", [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("AdamW", {})])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_types(kind, options, dtype, no_detours):
    """Double precision by the kernels; halves, whose every operation is rounded, by tensor operations."""
    tolerance = 1e-12 if dtype is torch.float64 else 4e-3
    here, there = (trajectory(device, kind, dtype, lr=0.05, **options)[0] for device in ("cpu", "cuda"))
    for mine, right in zip(there, here, strict=True):
        np.testing.assert_allclose(mine.astype(float), right.astype(float), tolerance, tolerance)


@pytest.mark.parametrize("kind, options", [("SGD", {}), ("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {})])
def test_one_launch_changes_all_parameters(kind, options, no_detours):
    params = [nn.Parameter(torch.ones(n, n + 1, device="cuda")) for n in range(1, 11)]
    opt = getattr(optim, kind)(params, lr=0.1, **options)
    for p in params:
        p.grad = torch.ones_like(p)
    opt.step()                                     # makes the state
    machine, versions = torch.backends.get_backend("cuda").machine, [p._version for p in params]
    before = machine.launches
    opt.step()
    assert machine.launches == before + 1
    assert [p._version for p in params] == [v + 1 for v in versions]


def test_a_step_counts_as_a_write():
    p = nn.Parameter(torch.ones(2, device="cuda"))
    out = p * p
    p.grad = torch.ones_like(p)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        out.backward(torch.ones_like(out))


def test_a_parameter_whose_elements_share_memory_is_refused():
    p = torch.zeros(1, device="cuda").expand(3).requires_grad_()
    p.grad = torch.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="^unsupported operation: more than one element of the written-to tensor"):
        optim.SGD([p], lr=1.0).step()


@pytest.mark.parametrize("options", [{"foreach": True}, {"fused": True}, {"capturable": True},
                                     {"lr": torch.tensor(0.05)}])
def test_how_torch_would_compute_it_may_be_said(options):
    plain, _, _ = trajectory("cuda", "Adam", **{"lr": 0.05, **{k: v for k, v in options.items() if k == "lr"}})
    said, _, _ = trajectory("cuda", "Adam", **{"lr": 0.05, **options})
    for mine, right in zip(said, plain, strict=True):
        np.testing.assert_array_equal(mine, right)


@pytest.mark.parametrize("kind, options", [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True})])
def test_state_moves(kind, options):
    """A run that goes on from the CPU's file, on CUDA, gives what the CPU's gives."""
    _, opt, params = trajectory("cpu", kind, lr=0.05, **options)
    there = [nn.Parameter(p.detach().cuda()) for p in params]
    other = getattr(optim, kind)(there, lr=0.05, **options)
    other.load_state_dict(torch.load(saved(opt.state_dict())))
    assert all(v.is_cuda for p in there for k, v in other.state[p].items() if k != "step")
    for several, mine in ((params, opt), (there, other)):
        for p in several:
            p.grad = torch.ones_like(p)
        mine.step()
    for p, q in zip(params, there):
        np.testing.assert_allclose(q.detach().cpu().numpy(), p.detach().numpy(), 1e-5, 1e-6)
    back = getattr(optim, kind)(params, lr=0.05, **options)
    back.load_state_dict(torch.load(saved(other.state_dict()), map_location="cuda"))
    assert all(v.is_cpu for p in params for v in back.state[p].values())


def test_sgd_on_the_loop_of_the_tutorial():
    def losses(device):
        t_u = torch.tensor([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4], device=device) * 0.1
        t_c = torch.tensor([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0], device=device)
        params = torch.tensor([1.0, 0.0], requires_grad=True, device=device)
        opt, found = optim.Adam([params], lr=0.1), []
        for _ in range(20):
            w, b = params
            loss = ((w * t_u + b - t_c) ** 2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            found.append(loss.item())
        return found
    assert losses("cuda") == pytest.approx(losses("cpu"), rel=1e-5)
