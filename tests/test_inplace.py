"""Writing in place: what torch 2.13 does in 168 short programs (recorded); gradients, versions and memory.

Each program is statements about x (a leaf), n = x * 1, c (no gradient), a (a leaf of shape (4,)) and i (ints);
`no:` and `inf:` mark statements under no_grad and inference_mode. Recorded is what each expression shows: the node of
a tensor's grad_fn, whether it requires a gradient, or the refusal at which the program ends.
`python -m tests.test_inplace` records.
"""
from __future__ import annotations

import ast
import json
import re
import warnings
from pathlib import Path

import pytest

import tinygrad_edu as torch

RECORDED = Path(__file__).parent / "goldens" / "inplace.json"
PROGRAMS = """
no: v=x[0]; no: v.requires_grad; no: v.grad_fn; v.requires_grad; v.is_leaf; v._base is x
no: v=n[0]; no: v.grad_fn; v.requires_grad; v.is_leaf; w=v[0]; w.grad_fn; w._base is n
no: v=n.unbind(); no: v[0].requires_grad; v[0].mul_(2)
no: v=n.unbind()[0]; n.mul_(2); v
no: v=n[0]; w=v[0]; n.mul_(2); w
n.mul_(2)
n.add_(1)
n.exp_()
n.copy_(a)
n.fill_(1)
n.zero_()
c.copy_(a)
c.copy_(a); c.grad_fn.next_functions
n[:]=1; n
n[:]=a; n
n[...]=1; n
n[0]=1; n
n[0].mul_(2); n
v=n[0]; n.mul_(2); v; v.grad_fn.next_functions
v=n[0]; n.mul_(2); w=v[0]; w; v
v=n.view(6,4); n.mul_(2); v
v=n.view(6,4); v.mul_(2); v
v=n.transpose(0,1); n.mul_(2); v
v=n.transpose(0,1); v.mul_(2); v
v=n.permute(2,0,1); v.mul_(2); v
v=n[None]; v.mul_(2); v
v=n.squeeze(); v.mul_(2); v
v=n.unsqueeze(0); v.mul_(2); v
v=n.t() if n.ndim==2 else n[0].t(); v.mul_(2); v
v=n.diagonal(); v.mul_(2); v
v=n.expand(2,3,4); v.mul_(2); v
v=n.expand(5,2,3,4); v.mul_(2)
v=n[:,1:]; v.mul_(2); v
v=n[:,1:][0]; v.mul_(2); v
v=n.as_strided((2,2),(4,1)); v.mul_(2); v
v=n.unfold(0,1,1); v.mul_(2); v
v=n.detach(); v.mul_(2); v; n; n._version
v=n.view_as(n); v.mul_(2); v
v=n.reshape(6,4); v.mul_(2); v
v=n.flatten(); v.mul_(2); v
v=n.unflatten(0,(1,2)); v.mul_(2); v
v=n.movedim(0,1); v.mul_(2); v
v=n.swapaxes(0,1); v.mul_(2); v
v=n.narrow(0,0,1); v.mul_(2); v
v=n.select(0,0); v.mul_(2); v
v=n.mT; v.mul_(2); v
v=n.unbind(); v[0].mul_(2)
v=n.split(1); v[0].mul_(2)
v=n.chunk(2); v[0].mul_(2)
v=n.tensor_split(2); v[0].mul_(2); v[0]
v=n.split([1,1]); v[0].mul_(2)
v=n.unbind(); n.mul_(2); v[0]; v[0].grad_fn
v=n.unbind(); w=v[0][0]; w.mul_(2)
v=n.unbind(); w=v[0][0]; n.mul_(2); w
v=x.unbind(); v[0].mul_(2)
v=c.unbind(); v[0].mul_(2); c
v=c.unbind(); v[0].mul_(a); c
v=c.split(1); v[0].mul_(a)
v=c[0]; v.mul_(a); v; c; c.requires_grad
v=c[0]; c.mul_(a); v; v.requires_grad
v=x[0]; v.mul_(2)
x.mul_(2)
x[0]=1
x.detach()[0]=1
x.detach().mul_(2); x._version
x.data.mul_(2); x._version
n.data.mul_(2); n._version
y=n.exp(); n.detach().mul_(2); y.sum().backward(); x.grad is None
y=n.exp(); y.detach().mul_(2); y.sum().backward()
y=n.exp(); y.data.mul_(2); y.sum().backward(); x.grad is None
y=n*n; n.detach().mul_(2); y.sum().backward()
no: v=n[0]; v.mul_(2)
no: v=n[0]; n.mul_(2); v
no: v=c[0]; v.mul_(2); v
no: v=c[0]; v.mul_(a); v
no: v=x[0]; v.mul_(2)
no: v=x[0]; no: v.mul_(2); v.requires_grad; x._version
no: n.mul_(2); n; n._version
no: n[0].mul_(2); n; n._version
v=n[0]; no: v.mul_(2); v; n
v=n[0]; no: v.mul_(2); w=v*1; v; w.grad_fn.next_functions
inf: q=torch.ones(3); inf: v=c[0]; v.is_inference(); q.mul_(2)
inf: q=torch.ones(3); inf: v=c[0]; v.mul_(2)
inf: q=torch.ones(3); inf: v=c[0]; v.mul_(a)
inf: v=n[0]; v.mul_(a)
inf: v=n[0]; inf: v.mul_(2); n; n._version; v
inf: v=n[0]; n.mul_(2); v
inf: q=torch.ones(3); q[0]; q[0]=1
inf: q=torch.ones(3); w=q*a[:3]; w
i.add_(1.5)
i.add_(torch.tensor(1.5))
i.div_(2)
i.mul_(c)
c.add_(torch.ones(5,2,3,4))
c.add_(torch.ones(5))
c.add_(torch.ones(1,1,2,3,4))
c.mul_(c)
m=torch.ones(3,3); m.add_(m.t()); m
m=torch.arange(9.).reshape(3,3); m.add_(m.t()); m
m=torch.ones(3,3)*a[:3]; m.add_(m.t()); m
m=torch.ones(6); m[1:].add_(m[:-1])
m=torch.ones(6); m[1:].copy_(m[:-1]); m
m=torch.ones(6); m[1:]=m[:-1]; m
m=torch.ones(6); m[:3].add_(m[3:]); m
m=torch.ones(6); m[:3].add_(m[:3]); m
m=torch.ones(3,1).expand(3,3); m.add_(1)
m=torch.ones(3,1).expand(3,3); m.copy_(torch.ones(3,3))
m=torch.ones(3,1).expand(3,3); m.fill_(1)
m=torch.ones(3,1).expand(3,3); m.zero_()
m=torch.ones(3,1).expand(3,3); m[0]=1
m=torch.ones(3,1).expand(3,3); m[0,0]=1
m=torch.ones(3,1).expand(3,3); m.exp_()
m=torch.ones(3,1).expand(3,3); m.uniform_()
m=torch.ones(3,1).expand(3,3); m.normal_()
m=torch.ones(3,1).expand(3,3); m.scatter_(0,torch.zeros(1,1).long(),1.)
m=torch.ones(3,1).expand(3,3); m.index_add_(0,i,torch.ones(2,3))
m=torch.ones(3,1).expand(3,3); m.index_copy_(0,i,torch.ones(2,3))
m=torch.ones(3,1).expand(3,3); m.clamp_(0)
n.transpose_(0,1); n; n.shape
n.unsqueeze_(0); n; n.shape
n.squeeze_(); n
x.unsqueeze_(0)
x.transpose_(0,1)
c.unsqueeze_(0); c.shape
c.transpose_(0,1); c.shape; c.stride(); c._version
v=n[0]; v.t_(); v; v.shape; n
v=n[0]; v.unsqueeze_(0); v.mul_(2); v; n
v=n[0]; n.transpose_(0,1); v; v.shape
v=n[0]; n.transpose_(0,1); v.mul_(2); v; n
n.swapaxes_(0,1); n
n.resize_(3)
c.resize_(3); c
c.resize_(50); c.shape
c[0].resize_(3)
v=c[0]; v.resize_(20); v.shape; c.shape
c.set_(a.detach()); c.shape
x.requires_grad_(False); x.mul_(2)
n.detach_(); n
v=n[0]; v.detach_()
v=n[0]; n.detach_(); v
v=c[0]; v.requires_grad_(); v.mul_(2)
v=c[0]; v.requires_grad_(); c.mul_(2); v
v=c[0].requires_grad_(); w=v[0]; w.mul_(2)
n+=1; n
n+=torch.ones(5,2,3,4)
n.uniform_(); n
n.normal_(); n
x.uniform_()
v=n[0]; v.uniform_(); v; n
v=n[0]; v.fill_(a[0]); v; n
v=n[0]; v.zero_(); v; n
v=n[0]; v.copy_(a); v; n
n.masked_fill_(n>3,0); n
n[0].masked_fill_(n[0]>3,0); n
n.fill_(a[1]); n
n.fill_(a)
n.clamp_(0); n
n.requires_grad_(False)
torch.add(c,1,out=n)
torch.add(c,a,out=torch.empty(0))
torch.add(c,1,out=c); c
m=torch.ones(6); torch.add(m[:-1],1,out=m[1:])
m=torch.ones(6); torch.exp(m[:-1],out=m[1:])
torch.add(c,1,out=torch.empty(0,dtype=torch.long))
torch.add(c,1,out=torch.empty(0,dtype=torch.double)).dtype
m=torch.empty(3,8).t(); torch.add(torch.ones(8,3),1,out=m).stride()
m=torch.ones(3,1).expand(3,3); torch.add(torch.ones(3,3),1,out=m)
m=torch.ones(3,3); torch.mm(m,m,out=m); m
""".strip().split("\n")


def names(lib):
    x = lib.arange(24.0).reshape(2, 3, 4).clone().requires_grad_()
    return {"torch": lib, "x": x, "n": x * 1, "i": lib.tensor([0, 1]), "a": lib.arange(4.0).requires_grad_(),
            "c": lib.arange(24.0).reshape(2, 3, 4).clone()}


def show(lib, value):
    """What a program's expression shows."""
    if isinstance(value, lib.Tensor):
        return type(value.grad_fn).__name__ if value.grad_fn is not None else str(value.requires_grad)
    return re.sub(" object at 0x[0-9a-f]+", "", str(value))


def transcript(lib, program):
    """What each expression of a program shows, and how it ends if it is refused."""
    env, shown = names(lib), []
    for statement in program.split("; "):
        prefix, _, rest = statement.partition(": ")
        modes = {"no": lib.no_grad, "inf": lib.inference_mode}
        mode, code = (modes[prefix], rest) if prefix in modes else (lib.enable_grad, statement)
        try:
            with mode():
                if isinstance(ast.parse(code).body[0], ast.Expr):
                    shown.append(show(lib, eval(code, env)))
                else:
                    exec(code, env)
        except Exception as error:
            return [*shown, f"{type(error).__name__}: {error}".split("\n")[0]]
    return shown


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_like_torch(program):
    assert transcript(torch, program) == json.loads(RECORDED.read_text())[program]


@pytest.mark.filterwarnings("ignore")
def test_recordings_are_torchs():
    right = pytest.importorskip("torch", reason="torch is an optional oracle")
    if not right.__version__.startswith("2.13"):
        pytest.skip("the recordings are torch 2.13's")
    assert {program: transcript(right, program) for program in PROGRAMS} == json.loads(RECORDED.read_text())


# ---- where ours is stricter than torch, or says it in other words
@pytest.mark.parametrize("code", ["m[torch.tensor([0])] = torch.tensor(1.0)", "m.masked_fill_(m > 0, 1.0)", "m.tril_()",
                                  "m.index_fill_(0, torch.tensor([0]), 1.0)", "torch.ones(5).unfold(0, 2, 1).add_(1)"])
def test_several_elements_in_one_place(code):
    """torch writes here (sometimes with a warning), and what it writes depends on the order of its loops."""
    with pytest.raises(RuntimeError, match="^unsupported operation: more than one element of the written-to tensor"):
        exec(code, {"torch": torch, "m": torch.ones(3, 1).expand(3, 3)})


# ---- gradients
def test_a_write_through_a_view_of_a_view():
    a = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    b = torch.tensor([10.0, 20.0], requires_grad=True)
    x = a * 2
    column, row = x.t()[1], x[0]                   # both look at x[0, 1]
    column.mul_(b)
    assert x.tolist() == [[2, 40, 6], [8, 200, 12]] and row.tolist() == [2, 40, 6]
    (x.sum() + 100 * row.sum()).backward()
    assert a.grad.tolist() == [[202, 2020, 202], [2, 40, 2]]
    assert b.grad.tolist() == [404, 10]


def test_what_is_overwritten_gets_no_gradient():
    a, b = torch.ones(2, 3, requires_grad=True), torch.ones(3, requires_grad=True)
    x = a * 2
    x[0] = b * 3
    x[1, 1:] = 0
    x.sum().backward()
    assert a.grad.tolist() == [[0, 0, 0], [2, 0, 0]] and b.grad.tolist() == [3, 3, 3]


def test_a_write_into_a_base_that_is_not_contiguous():
    a, b = torch.ones(3, 2, requires_grad=True), torch.ones(3, requires_grad=True)
    x = a.t().clone()
    assert x.stride() == (1, 2) and x._base is None
    x[1] = b * 5
    x[0, 1:].mul_(b[:2] * 7)
    (x * torch.tensor([[1.0, 2, 3], [4, 5, 6]])).sum().backward()
    assert x.tolist() == [[1, 7, 7], [5, 5, 5]]
    assert a.grad.tolist() == [[1, 0], [14, 0], [21, 0]] and b.grad.tolist() == [34, 46, 30]


def test_second_derivatives_through_writes():
    def f(a, b):
        x = a.sin()
        x[0].mul_(b)
        x[:, 1] = b[1] ** 2
        x.t()[2].copy_((a * b)[:, 0])
        return x.tanh_()
    a = torch.tensor([[0.3, 0.8, -0.4], [1.2, -0.7, 0.1]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([0.5, -1.1, 0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(f, (a, b)) and torch.autograd.gradgradcheck(f, (a, b))


def test_an_op_that_reads_its_target_twice():
    a = torch.tensor([2.0, 3.0], requires_grad=True)
    x = a * 1
    x.mul_(x.detach().clone())
    x.sum().backward()
    assert x.tolist() == [4, 9] and a.grad.tolist() == [2, 3]
    y = a * 1
    y.add_(y)
    y.sum().backward()
    assert a.grad.tolist() == [4, 5]
    z = a * 1
    z.mul_(z)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_retain_grad_goes_with_the_tensor_and_hooks_stay():
    seen, x = [], torch.ones(2, requires_grad=True) * 1
    x.retain_grad()
    x.register_hook(lambda g: seen.append(g.tolist()))
    x.mul_(2)
    x.sum().backward()
    assert x.grad.tolist() == [1, 1] and seen == [[2, 2]]


def test_a_leaf_that_became_something_else():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    x.detach_()
    y.sum().backward()
    assert x.grad is None
    z = torch.ones(2, requires_grad=True)
    y = z * 2
    z.detach_()
    z += torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="^leaf variable has been moved into the graph interior"):
        y.sum().backward()


# ---- versions and memory
def test_versions():
    x = torch.zeros(4)
    view, detached, data = x[1:], x.detach(), x.data
    view.add_(1)
    x[0] = 1
    assert x._version == view._version == detached._version == 2 and data._version == 0
    detached.zero_()
    assert x._version == 3 and x.tolist() == [0, 0, 0, 0]
    data.fill_(5)
    assert x._version == 3 and x.tolist() == [5, 5, 5, 5]
    x.view(torch.int32).zero_()
    assert x._version == 4 and x.tolist() == [0, 0, 0, 0]
    x.unsqueeze_(0)
    assert x._version == 5 and x.shape == (1, 4)


def test_a_refused_write_changes_nothing():
    x, i = torch.arange(3.0), torch.arange(3)
    for code in ("x += torch.ones(2, 3)", "x.mul_(torch.ones(4))", "i += 1.5", "i /= 2", "x.copy_(torch.ones(4))",
                 "x[:2] = torch.ones(3)",
                 "x[[0, 1]] = torch.ones(3)", "x.scatter_(0, torch.tensor([5]), 1.0)", "x.index_add_(0, "
                                                                                       "torch.tensor([9]), "
                                                                                       "torch.ones(1))",
                 "x[1:].copy_(x[:-1])", "x[1:] += x[:-1]"):
        with pytest.raises((RuntimeError, IndexError)):
            exec(code, {"torch": torch, "x": x, "i": i})
        assert x.tolist() == [0, 1, 2] and i.tolist() == [0, 1, 2] and x._version == i._version == 0


def test_out_is_written_and_resized():
    x, out = torch.arange(3.0), torch.empty(0)
    same = torch.add(x, 1, out=out)
    assert same is out and out.tolist() == [1, 2, 3]
    with pytest.warns(UserWarning, match="^An output with one or more elements was resized"):
        torch.add(x[:2], 1, out=out)
    assert out.tolist() == [1, 2]
    window = torch.zeros(2, 3).t()
    torch.add(torch.ones(3, 2), 1, out=window)
    assert window.stride() == (1, 3) and window.tolist() == [[2, 2]] * 3
    torch.mul(x, x, out=x)
    assert x.tolist() == [0, 1, 4]


def test_resize_():
    x = torch.arange(4.0)
    half = x[2:]
    assert half.resize_(1).tolist() == [2]
    x.resize_(2, 3)
    assert x.shape == (2, 3) and x.reshape(-1)[:4].tolist() == [0, 1, 2, 3]


def test_operators():
    x = y = torch.ones(2)
    x += 1
    x *= torch.tensor([2.0, 3.0])
    x -= 1
    x /= 2
    x **= 2
    assert y is x and x.tolist() == [2.25, 6.25]
    with pytest.raises(TypeError):
        x += "a"
    flags = torch.tensor([True, False])
    flags &= torch.tensor([True, True])
    flags |= torch.tensor([False, True])
    assert flags.tolist() == [True, True]


if __name__ == "__main__":
    import torch as right
    warnings.simplefilter("ignore")
    RECORDED.write_text(json.dumps({program: transcript(right, program) for program in PROGRAMS}, indent=0) + "\n")
