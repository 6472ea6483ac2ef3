"""nn.Module, nn.Parameter and the containers as torch has them: registration, walking, state dicts, printing."""
from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest

import tinygrad_edu as te
from tinygrad_edu import nn

from .transcripts import compare, here, play, recorded, scenario


def linear(torch, inputs, outputs, bias=True):
    """A Linear with fixed numbers."""
    layer = torch.nn.Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(inputs * outputs).reshape(outputs, inputs) * 0.1 - 0.2)
        if bias:
            layer.bias.copy_(torch.arange(outputs) * 0.1)
    return layer


def model(torch):
    """A model with everything that a model can have."""
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.act, self.fc2 = linear(torch, 2, 3), nn.ReLU(), linear(torch, 3, 1)
            self.register_buffer("kept", torch.ones(2))
            self.register_buffer("lost", torch.zeros(1), persistent=False)
            self.register_buffer("none", None)
            self.list = nn.ModuleList([linear(torch, 2, 2), linear(torch, 2, 2), nn.Tanh()])
            self.dict = nn.ModuleDict({"a": nn.Sigmoid(), "seq": nn.Sequential(nn.ReLU(inplace=True), nn.Flatten())})
            self.plist = nn.ParameterList([nn.Parameter(torch.zeros(2, 3)), torch.ones(1), 5])
            self.pdict = nn.ParameterDict({"z": nn.Parameter(torch.zeros(2)), "a": torch.zeros(3)})
            self.shared = self.fc1

        def forward(self, x, scale=1.0):
            return self.fc2(self.act(self.fc1(x))) * scale

        def extra_repr(self):
            return "one\ntwo"
    return Net()


def data(torch):
    return torch.tensor([[1.0, 2.0], [3.0, -1.0]])


# ---- scenarios: every answer is torch's
@scenario
def walking(torch, tell):
    net, x, seen = model(torch), data(torch), []
    tell("repr", lambda: repr(net))
    tell("call", lambda: net(x).tolist())
    tell("call with keyword", lambda: net(x, scale=2.0).tolist())
    tell("named_parameters", lambda: [name for name, _ in net.named_parameters()])
    tell("with duplicates", lambda: [name for name, _ in net.named_parameters("p", remove_duplicate=False)])
    tell("own parameters", lambda: [name for name, _ in net.named_parameters(recurse=False)])
    tell("named_modules", lambda: [name for name, _ in net.named_modules()])
    tell("modules with duplicates", lambda: [n for n, _ in net.named_modules(remove_duplicate=False, prefix="q")])
    tell("named_children", lambda: [name for name, _ in net.named_children()])
    tell("counts", lambda: [len(list(f())) for f in (net.parameters, net.buffers, net.children, net.modules)])
    tell("named_buffers", lambda: [name for name, _ in net.named_buffers()])
    tell("dir", lambda: [name for name in dir(net) if name in ("fc1", "act", "kept", "none", "forward", "training",
                                                               "0")])
    tell("eval", lambda: (net.eval().training, net.list[0].training, net.train().dict["seq"].training))
    tell("apply", lambda: (net.apply(lambda m: seen.append(type(m).__name__)) is net, seen))
    tell("requires_grad_", lambda: [next(net.requires_grad_(f).parameters()).requires_grad for f in (False, True)])


@scenario
def state_dicts(torch, tell):
    net = model(torch)
    tell("state_dict", lambda: [(k, tuple(v.shape), v.requires_grad) for k, v in net.state_dict().items()])
    tell("metadata", lambda: net.state_dict()._metadata)
    tell("prefix", lambda: list(net.state_dict(prefix="x.")))
    tell("keep_vars", lambda: [(k, v.requires_grad) for k, v in net.state_dict(keep_vars=True).items()])
    tell("all keys", lambda: repr(net.load_state_dict(net.state_dict())))
    wrong = net.state_dict()
    del wrong["fc2.bias"]
    wrong.update({"new": torch.zeros(1), "fc1.weight": torch.zeros(9, 9), "list.0.bias": 3, "nope.x.y": torch.zeros(1)})
    tell("report", lambda: net.load_state_dict(wrong))
    tell("report, not strict", lambda: net.load_state_dict(wrong, strict=False))
    for key in ("fc1.weight", "list.0.bias"):
        del wrong[key]
    tell("not strict", lambda: net.load_state_dict(wrong, strict=False))
    given = torch.zeros(3, 2)
    tell("assign", lambda: (net.fc1.load_state_dict({"weight": given, "bias": torch.ones(3)}, assign=True),
                            net.fc1.weight.data_ptr() == given.data_ptr(), net.fc1.weight))
    tell("not a dict", lambda: net.load_state_dict([]))
    tell("0-d from old files", lambda: _scalar(torch).load_state_dict({"s": torch.ones(1)}))
    layer, log = linear(torch, 2, 2), []
    layer.register_state_dict_pre_hook(lambda module, prefix, keep_vars: log.append(("before", prefix, keep_vars)))
    layer.register_state_dict_post_hook(lambda module, found, prefix, metadata: found.update(extra=torch.zeros(1)))
    layer.register_load_state_dict_pre_hook(lambda module, given, *rest: given.pop("extra") and None)
    layer.register_load_state_dict_post_hook(lambda module, keys: log.append(("after", keys)))
    tell("hooks", lambda: (list(layer.state_dict()), layer.load_state_dict(layer.state_dict()), log))
    layer = linear(torch, 2, 2)
    layer.register_state_dict_post_hook(lambda module, found, prefix, metadata: found)
    tell("post hook returns", lambda: layer.state_dict())
    layer = linear(torch, 2, 2)
    layer.register_load_state_dict_post_hook(lambda module, keys: 3)
    tell("load hook returns", lambda: layer.load_state_dict(layer.state_dict()))


def _scalar(torch):
    module = torch.nn.Module()
    module.s = torch.nn.Parameter(torch.tensor(0.0))
    return module


@scenario
def extra_state(torch, tell):
    class Counting(torch.nn.Module):
        def get_extra_state(self):
            return {"k": 1}

        def set_extra_state(self, state):
            self.state = state
    counting = Counting()
    tell("saved", lambda: counting.state_dict())
    tell("loaded", lambda: (counting.load_state_dict({"_extra_state": 5}), counting.state))
    tell("missing", lambda: counting.load_state_dict({}))
    tell("unexpected", lambda: torch.nn.ReLU().load_state_dict({"_extra_state": 3}))
    tell("never called", lambda: torch.nn.ReLU().get_extra_state())


@scenario
def by_path(torch, tell):
    net = model(torch)
    tell("found", lambda: (net.get_submodule("dict.seq.0"), net.get_submodule("") is net,
                           net.get_buffer("kept").tolist(), net.get_parameter("fc1.weight") is net.fc1.weight))
    for path in ("x", "fc1.y", "fc1.weight.q", "plist.0", "kept", "act.inplace"):
        for look_up in (net.get_submodule, net.get_parameter, net.get_buffer):
            tell(f"{look_up.__name__} {path}", look_up, path)
    tanh = torch.nn.Tanh()
    tell("set_submodule", lambda: (net.set_submodule("dict.seq.0", tanh), net.dict))
    tell("no target", lambda: net.set_submodule("", tanh))
    tell("no module", lambda: net.set_submodule("act", 3))
    tell("strict", lambda: net.set_submodule("new", tanh, strict=True))
    tell("not a module there", lambda: net.set_submodule("kept", tanh))


@scenario
def refusals(torch, tell):
    nn, layer = torch.nn, linear(torch, 2, 3)
    tell("tensor as parameter", lambda: setattr(layer, "weight", torch.zeros(2)))
    tell("int as parameter", lambda: setattr(layer, "weight", 3))
    tell("register tensor", lambda: layer.register_parameter("a", torch.zeros(2)))
    tell("register int", lambda: layer.register_parameter("a", 3))
    for name in ("a.b", "", 3, "forward", "in_features"):
        for register in (layer.register_parameter, layer.register_buffer, layer.register_module):
            tell(f"{register.__name__} {name!r}", register, name, None)
    tell("buffer of an int", lambda: layer.register_buffer("b", 3))
    tell("buffer weight", lambda: layer.register_buffer("weight", None))
    tell("module of an int", lambda: layer.add_module("q", 3))
    tell("module weight", lambda: layer.add_module("weight", nn.ReLU()))
    tell("to int64", lambda: layer.to(torch.int64))
    tell("type int32", lambda: layer.type(torch.int32))
    tell("argument", lambda: nn.Module(3))
    tell("keyword", lambda: nn.Module(a=3))
    tell("train", lambda: layer.train(1))
    tell("no attribute", lambda: layer.nothing)
    tell("no forward", lambda: nn.Module()(1))
    tell("non-leaf", lambda: layer.register_parameter("p", nn.Parameter(torch.zeros(1)) * 2))
    tell("Parameter of a list", lambda: nn.Parameter([1.0]))
    tell("Parameter of ints", lambda: nn.Parameter(torch.tensor([1])))

    class Early(nn.Module):
        def __init__(self, value):
            self.x = value
    tell("parameter before init", lambda: Early(nn.Parameter(torch.zeros(1))))
    tell("module before init", lambda: Early(nn.ReLU()))
    tell("number before init", lambda: Early(3).x)
    tell("call without init", lambda: Early(3)(1))
    tell("buffer without init", lambda: Early(3).register_buffer("a", None))
    tell("register without init", lambda: Early(3).register_parameter("a", None))


@scenario
def attributes_change_meaning(torch, tell):
    nn, module = torch.nn, torch.nn.Module()
    one = torch.ones(1)
    module.x = 3
    module.x = nn.Parameter(one)
    tell("number, parameter", lambda: ("x" in vars(module), list(module._parameters)))
    tell("parameter, None", lambda: (setattr(module, "x", None), module.x, list(module._parameters)))
    tell("parameter, module", lambda: setattr(module, "x", nn.ReLU()))
    module.y = nn.ReLU()
    tell("module, number", lambda: setattr(module, "y", 3))
    tell("module, None", lambda: (setattr(module, "y", None), module))
    module.y = nn.Parameter(one)
    tell("module, parameter", lambda: (list(module._modules), list(module._parameters)))
    module.register_buffer("z", torch.zeros(1))
    tell("buffer, number", lambda: setattr(module, "z", 3))
    tell("buffer, tensor", lambda: (setattr(module, "z", one), module.z, list(module._buffers)))
    module.w = nn.Buffer(one, persistent=False)
    tell("Buffer", lambda: (list(module._buffers), list(module.state_dict()), module.w))
    tell("del", lambda: (delattr(module, "z"), hasattr(module, "z")))
    tell("del nothing", lambda: delattr(module, "nothing"))


@scenario
def sequential(torch, tell):
    nn = torch.nn
    s = nn.Sequential(OrderedDict([("a", nn.ReLU()), ("b", nn.Tanh()), ("c", nn.Sigmoid())]))
    tell("repr", lambda: s)
    tell("index", lambda: (s[0], s[-1], s[1:]))
    tell("out of range", lambda: s[3])
    tell("append", lambda: s.append(nn.ReLU()))
    tell("set", lambda: (s.__setitem__(1, nn.Mish()), s))
    tell("del", lambda: (s.__delitem__(0), s))
    tell("insert", lambda: s.insert(1, nn.SELU()))
    tell("pop", lambda: (s.pop(0), len(s), s))
    tell("add", lambda: s + nn.Sequential(nn.GELU()))
    tell("add 3", lambda: s + 3)
    tell("times 2", lambda: s * 2)
    tell("times 0", lambda: s * 0)
    tell("times a", lambda: s * "a")
    tell("insert far", lambda: s.insert(9, nn.ReLU()))
    tell("insert 3", lambda: s.insert(0, 3))
    tell("extend", lambda: s.extend([nn.ReLU(), nn.ReLU()]))
    tell("del slice", lambda: (s.__delitem__(slice(0, 2)), s))
    tell("pop slice", lambda: s.pop(slice(1, 3)))
    s += nn.Sequential(nn.ELU())
    tell("iadd", lambda: s)
    s *= 2
    tell("imul", lambda: s)
    tell("of 3", lambda: nn.Sequential(3))


@scenario
def lists_and_dicts(torch, tell):
    nn = torch.nn
    modules = nn.ModuleList([nn.ReLU()])
    tell("grow", lambda: (modules.append(nn.ReLU()), modules.extend([nn.Tanh()]), modules.insert(0, nn.GELU()),
                          modules))
    tell("index", lambda: (modules[1:], modules[-1], len(modules), list(modules)))
    tell("out of range", lambda: modules[7])
    tell("pop", lambda: (modules.pop(1), modules))
    tell("add", lambda: modules + [nn.ReLU()])
    tell("set, del", lambda: (modules.__setitem__(0, nn.CELU()), str(modules), modules.__delitem__(slice(0, 1)),
                              modules))
    tell("empty", lambda: nn.ModuleList())
    tell("call", lambda: modules(1))
    tell("of 3", lambda: nn.ModuleList(3))
    tell("nested runs", lambda: nn.ModuleList([nn.Sequential(nn.ReLU(), nn.Tanh()) for _ in range(3)] + [nn.ReLU()]))
    named = nn.ModuleDict([("b", nn.ReLU()), ("a", nn.Tanh())])
    tell("dict", lambda: (named, list(named), "a" in named, len(named), list(named.keys()), list(named.values())))
    tell("dict update", lambda: (named.update({"c": nn.ELU()}), named.pop("b"), named))
    tell("dict nothing", lambda: named["q"])
    tell("dict clear", lambda: (named.clear(), named))
    for wrong in (3, [3], [(1, 2, 3)], {"a": 3}):
        tell(f"dict of {wrong}", nn.ModuleDict, wrong)
    tell("dict key 3", lambda: nn.ModuleDict({3: nn.ReLU()}))


@scenario
def parameter_lists_and_dicts(torch, tell):
    nn = torch.nn
    values = nn.ParameterList([nn.Parameter(torch.zeros(2, 3)), torch.ones(1), 5])
    tell("list", lambda: (values, values[1], values[0:2], len(values), list(values)[2]))
    tell("list append", lambda: (values.append(torch.zeros(1)), values.extend([1]), values))
    tell("list out of range", lambda: values[9])
    tell("list of 3", lambda: nn.ParameterList(3))
    tell("list call", lambda: values(2))
    named = nn.ParameterDict({"b": torch.zeros(1), "a": nn.Parameter(torch.ones(2))})
    tell("dict", lambda: (named, list(named), list(reversed(named)), named.get("q", 3), "a" in named))
    tell("dict change", lambda: (named.popitem(), named.setdefault("k", torch.zeros(2, 2)),
                                 named | {"x": torch.zeros(1)}))
    tell("dict fromkeys", lambda: named.fromkeys(["p", "q"], 3))
    tell("dict copy", lambda: (named.copy(), named.clear(), named))
    tell("dict sorted", lambda: nn.ParameterDict({"b": 1, "a": 2}))
    tell("dict of 3", lambda: nn.ParameterDict(3))
    tell("dict of [3]", lambda: nn.ParameterDict([3]))
    tell("dict key 3", lambda: nn.ParameterDict({3: 1}))


@scenario
def conversions(torch, tell):
    net = model(torch)
    weight = net.fc1.weight
    net(data(torch)).sum().backward()
    grad = weight.grad
    tell("double", lambda: (net.double() is net, net.fc1.weight is weight, weight.dtype, weight.grad.dtype,
                            weight.grad is grad, net.kept.dtype))
    tell("half", lambda: net.half().fc2.bias.dtype)
    tell("to", lambda: (net.to(torch.float32).kept.dtype, net.to("cpu", torch.float64).kept.dtype,
                        net.to(dtype=torch.float32).kept.dtype, net.to(torch.ones(1).double()).kept.dtype))
    tell("type", lambda: net.type(torch.float64).fc1.bias.dtype)
    tell("float", lambda: (net.float().fc1.weight.dtype, net.cpu().fc1.weight is weight))
    tell("zero_grad", lambda: (net.zero_grad(set_to_none=False), weight.grad, net.zero_grad(), weight.grad))
    twin = copy.deepcopy(net)
    tell("deepcopy", lambda: (twin.fc1.weight is not weight, twin.shared is twin.fc1, type(twin.fc1.weight).__name__,
                              twin.fc1.weight, twin(data(torch)).tolist()))


@scenario
def parameters(torch, tell):
    p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    tell("what it is", lambda: (p, isinstance(p, torch.Tensor), p.is_leaf,
                                [type(t).__name__ for t in (p + 1, p.detach())]))
    tell("deepcopy", lambda: (copy.deepcopy(p) is not p, type(copy.deepcopy(p)).__name__, copy.deepcopy(p)))
    tell("not trained", lambda: torch.nn.Parameter(torch.tensor([1]), False))
    tell("empty", lambda: torch.nn.Parameter())
    shared = torch.zeros(3)
    twin = torch.nn.Parameter(shared)
    shared.add_(1)
    tell("shares memory", lambda: (twin, twin._version))
    tell("in place", lambda: twin.add_(1))
    tell("of a non-leaf", lambda: torch.nn.Parameter(p * 2).grad_fn)


@pytest.mark.parametrize("name", here(__name__))
def test_as_torch(name):
    compare(name, play(name, te), recorded()[name])


@pytest.mark.parametrize("name", here(__name__))
def test_torch_still_says_so(name, real_torch):
    compare(name, play(name, real_torch), recorded()[name])


# ---- ours
def test_pickle_keeps_what_hangs_on_a_parameter():
    p = te.nn.Parameter(te.ones(2), requires_grad=False)
    p.tag = "kept"
    twin = pickle.loads(pickle.dumps(p))
    assert type(twin) is te.nn.Parameter and twin.tag == "kept" and not twin.requires_grad


def test_pickle_keeps_shared_parts_and_settings():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.25)).eval()
    net.append(net[0])
    twin = pickle.loads(pickle.dumps(net))
    assert twin[3] is twin[0] and not twin[2].training and twin[2].p == 0.25
    for (name, a), (other, b) in zip(net.state_dict().items(), twin.state_dict().items(), strict=True):
        assert name == other and bool((a == b).all())
    assert isinstance(twin[0].weight, nn.Parameter) and twin[0].weight.requires_grad


def test_converting_to_the_same_dtype_keeps_saved_versions():
    weight = nn.Parameter(te.ones(2))
    module = nn.Module()
    module.weight = weight
    out = (weight * weight).sum()
    module.to("cpu").float()
    with te.no_grad():
        weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()
