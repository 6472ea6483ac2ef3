"""Tensors, modules, optimizers and files on CUDA: what torch does there, on a GPU or, without one, on the simulator."""
from __future__ import annotations

import copy
import gc
import io
import math
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu import nn, optim
from tinygrad_edu.nn import functional as F
from tinygrad_edu.utils.data import DataLoader, TensorDataset


@pytest.fixture
def x(cuda):
    return torch.tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda")


pytestmark = pytest.mark.usefixtures("cuda")
CUDA = torch.device("cuda", 0)
MIXED = "^Expected all tensors to be on the same device, but found at least two devices"
TO_NUMPY = ("^can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu\\(\\) to copy the tensor to host memory "
            "first.$")


# ---- there and back
@pytest.mark.parametrize("move", [
    lambda x: x.cuda(), lambda x: x.cuda(0), lambda x: x.cuda(torch.device("cuda:0"), non_blocking=True),
    lambda x: x.to("cuda"), lambda x: x.to("cuda:0"), lambda x: x.to(device="cuda", non_blocking=True),
    lambda x: x.to(0), lambda x: x.to(torch.zeros(1, device="cuda")), lambda x: x.pin_memory().cuda(non_blocking=True)])
def test_moving(move):
    host = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    there = move(host)
    assert there.device == CUDA and there.is_cuda and not there.is_cpu and there.get_device() == 0
    assert host.device == torch.device("cpu") and host.get_device() == -1
    assert there.cuda() is there and there.to("cuda") is there and there.to("cuda:0", torch.float32) is there
    assert there.to("cuda", copy=True) is not there
    back = there.cpu()
    assert back.is_cpu and back.tolist() == there.tolist() == host.tolist() and back.cpu() is back


def test_moving_converts_and_keeps_the_order_in_memory():
    host = torch.arange(24).reshape(2, 3, 4)
    assert host.to("cuda", torch.float64).dtype is torch.float64
    turned = host.permute(2, 0, 1).cuda()
    assert turned.stride() == (1, 12, 4) and turned.tolist() == host.permute(2, 0, 1).tolist()
    assert turned.cpu().stride() == (1, 12, 4)
    assert host[:, ::2].cuda().stride() == (8, 4, 1) and host[0].expand(2, 3, 4).cuda().is_contiguous()
    assert torch.ones(0, 3).cuda().shape == (0, 3) and torch.tensor(2).cuda().shape == ()


def test_devices_that_do_not_exist():
    with pytest.raises(RuntimeError, match="^CUDA error: invalid device ordinal"):
        torch.ones(1).to("cuda:1")
    with pytest.raises(RuntimeError, match="^CUDA error: invalid device ordinal"):
        torch.ones(1, device="cuda:7")


@pytest.mark.parametrize("expression", [
    "zeros(2)", "ones(2)", "empty(2)", "full((2,), 3.0)", "arange(3)", "linspace(0, 1, 3)", "logspace(0, 1, 3)",
    "eye(2)", "rand(2)", "randn(2)", "randint(3, (2,))", "randperm(3)", "normal(0.0, 1.0, (2,))", "tensor([1, 2])",
    "as_tensor([1, 2])", "as_tensor(np.ones(2))", "asarray([1, 2])", "scalar_tensor(2.0)", "tril_indices(2, 2)",
    "zeros_like(host)", "ones_like(host)", "full_like(host, 2)", "empty_like(host)", "rand_like(host)",
    "randn_like(host)", "ones(2, names=('a',))", "ones(2, requires_grad=True)", "ones(2, pin_memory=False)"])
def test_creation(expression):
    call = f"torch.{expression[:-1]}, device='cuda')"
    names = {"torch": torch, "np": np, "host": torch.ones(2)}
    made, plain = eval(call, names), eval(f"torch.{expression}", names)
    assert made.device == CUDA and made.shape == plain.shape and made.dtype is plain.dtype
    assert made.names == plain.names and made.requires_grad == plain.requires_grad


def test_creation_from_a_tensor(x):
    made = [x.new_zeros(2), x.new_ones(2), x.new_full((2,), 2), x.new_empty(2), x.new_tensor([1, 2]),
            torch.zeros_like(x), torch.ones_like(x), torch.full_like(x, 2), torch.empty_like(x), torch.rand_like(x),
            torch.randn_like(x)]
    assert all(m.device == CUDA and m.dtype is torch.float32 for m in made)
    assert torch.zeros_like(x, device="cpu").is_cpu


def test_the_default_device():
    assert torch.get_default_device() == torch.device("cpu")
    with torch.device("cuda"):
        made = [torch.ones(2), torch.zeros(2), torch.tensor([1]), torch.arange(3), torch.eye(2), torch.rand(2),
                torch.randperm(3),
                nn.Linear(2, 2).weight, torch.as_tensor(np.ones(2)), torch.full((2,), 1.0)]
        assert all(m.device == CUDA for m in made) and torch.get_default_device() == CUDA
        assert torch.ones(2, device="cpu").is_cpu and torch.from_numpy(np.ones(2)).is_cpu
        with torch.device("cpu"):
            assert torch.ones(2).is_cpu
        host = torch.ones(3, device="cpu")
        assert host[[0, 1]].is_cpu and torch.zeros_like(host).is_cpu and torch.as_tensor(host).is_cpu
        loader = DataLoader(TensorDataset(torch.arange(4.0)), batch_size=2, shuffle=True)
        assert sorted(n for batch, in loader for n in batch.tolist()) == [0, 1, 2, 3]
    assert torch.ones(2).is_cpu
    torch.set_default_device("cuda")
    try:
        assert torch.ones(2).device == CUDA and torch.get_default_device() == CUDA
    finally:
        torch.set_default_device(None)
    assert torch.ones(2).is_cpu
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        torch.set_default_device("cuda:3")
    assert torch.ones(2).is_cpu


# ---- reading
def test_numpy_is_refused(x):
    for convert in (lambda: x.numpy(), lambda: np.array(x), lambda: np.asarray(x), lambda: np.add(x, 1)):
        with pytest.raises(TypeError, match=TO_NUMPY):
            convert()
    assert x.numpy(force=True).tolist() == x.cpu().numpy().tolist() == [[1, 2], [3, 4]]


def test_reading(x):
    assert x.tolist() == [[1, 2], [3, 4]] and x[1, 0].item() == 3.0 and float(x[0, 1]) == 2.0 and int(x[1, 1]) == 4
    assert bool(x[0, 0]) and len(x) == 2 and [row.tolist() for row in x] == [[1, 2], [3, 4]]
    assert [10, 20, 30][torch.tensor(1, device="cuda")] == 20 and f"{x[0, 0]:.2f}" == "1.00"
    assert x.data_ptr() != 0 and x.type() == "torch.cuda.FloatTensor"


def test_printing(x):
    assert repr(x) == str(x) == "tensor([[1., 2.],\n        [3., 4.]], device='cuda:0')"
    assert repr(torch.tensor(3, device="cuda")) == "tensor(3, device='cuda:0')"
    assert repr(torch.tensor([], device="cuda")) == "tensor([], device='cuda:0')"
    assert repr(torch.ones(1, device="cuda", requires_grad=True)) == "tensor([1.], device='cuda:0', requires_grad=True)"
    assert (repr(nn.Parameter(torch.ones(1, device="cuda")))
            == "Parameter containing:\ntensor([1.], device='cuda:0', requires_grad=True)")
    halves = torch.ones(1, device="cuda", dtype=torch.float16)
    assert repr(halves) == "tensor([1.], device='cuda:0', dtype=torch.float16)"
    assert repr(torch.zeros(2000, device="cuda")) == "tensor([0., 0., 0.,  ..., 0., 0., 0.], device='cuda:0')"


# ---- other libraries
def test_memory_is_shared_by_dlpack(x):
    for y in (torch.from_dlpack(x.t()), torch.utils.dlpack.from_dlpack(x.t())):
        y[0, 1] += 10
        assert y.stride() == (1, 2) and y.data_ptr() == x.data_ptr() and y.device == CUDA
    assert x.tolist() == [[1, 2], [23, 4]]
    with pytest.raises(BufferError, match="Can't export tensors that require gradient, use tensor.detach\\(\\)"):
        torch.from_dlpack(x.clone().requires_grad_())


def test_the_simulators_memory_is_no_gpus():
    with torch.cuda.simulator("python"):
        x = torch.ones(2, device="cuda")
        assert not hasattr(x, "__cuda_array_interface__")
        with pytest.raises(AttributeError, match="^the array is on the simulator, whose memory is this computer's own"):
            x.__cuda_array_interface__              # noqa: B018
        for give in (x.__dlpack__, x.__dlpack_device__, lambda: np.from_dlpack(x)):
            with pytest.raises(BufferError, match="^the array is on the simulator, whose memory is this computer's"):
                give()
        elsewhere = SimpleNamespace(__cuda_array_interface__={"shape": (2,), "typestr": "<f4", "data": (64, False)},
                                    __dlpack__=None, __dlpack_device__=lambda: (2, 0))
        for take in (torch.as_tensor, torch.tensor, torch.asarray, torch.from_dlpack):
            with pytest.raises(BufferError, match="^the array is in a GPU's memory, and cuda is the simulator here"):
                take(elsewhere)


def test_interfaces_of_gpus(x):
    with pytest.raises(RuntimeError, match="^Can't get __cuda_array_interface__ on Variable that requires grad. If"):
        x.requires_grad_().__cuda_array_interface__  # noqa: B018
    host = torch.ones(2)
    assert not hasattr(host, "__cuda_array_interface__") and host.__dlpack_device__() == (1, 0)
    with pytest.raises(AttributeError, match="^Can't get __cuda_array_interface__ on non-CUDA tensor type: "
                                             "torch.FloatTensor If CUDA data is required use tensor.cuda\\(\\) to"):
        host.__cuda_array_interface__               # noqa: B018


def test_out_of_memory():
    assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError and issubclass(torch.OutOfMemoryError, RuntimeError)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="^CUDA out of memory."):
        torch.empty(1 << 50, device="cuda")


# ---- devices that meet
def test_a_number_of_the_cpu_may_join(x):
    two = torch.tensor(2.0)
    for made, right in ((x + two, [[3, 4], [5, 6]]), (two * x, [[2, 4], [6, 8]]), (two ** x, [[2, 4], [8, 16]]),
                        (torch.where(x > two, two, x), [[1, 2], [2, 2]]), (torch.addcmul(x, x, two), [[3, 6], [9, 12]]),
                        (x.clone().add_(two), [[3, 4], [5, 6]]), (x.clone().fill_(two), [[2, 2], [2, 2]])):
        assert made.device == CUDA and made.tolist() == right
    assert (two + torch.tensor(1.0, device="cuda")).device == CUDA
    written = x.clone()
    written[0, 1] = two
    written[1] = torch.tensor([7.0, 8.0])
    assert written.tolist() == [[1, 2], [7, 8]]


@pytest.mark.parametrize("expression", [
    "x + host", "host + x", "x.add_(host)", "host.mul_(x)", "torch.where(x > 2, host, x)", "torch.cat([x, host])",
    "torch.stack([host, x])", "x @ host", "host @ x", "nn.Linear(2, 2)(x)", "F.mse_loss(x, host)",
    "torch.equal(x, host)", "F.cross_entropy(x, torch.tensor([0, 1]))",
    "nn.Embedding(3, 2)(torch.tensor([0], device='cuda'))",
    "host[0] + torch.tensor(1.0, device='cuda')", "torch.add(x, x, out=host)", "torch.maximum(x, host)"])
def test_other_mixtures_are_refused(x, expression):
    with pytest.raises(RuntimeError, match=MIXED):
        eval(expression, {"torch": torch, "nn": nn, "F": F, "x": x, "host": torch.ones(2, 2)})


def test_indices_may_be_on_the_cpu(x):
    assert x[torch.tensor([1])].tolist() == [[3, 4]] and x[torch.tensor([True, False])].tolist() == [[1, 2]]
    assert x[torch.tensor([1], device="cuda")].device == CUDA
    with pytest.raises(RuntimeError, match="^indices should be either on cpu or on the same device as the indexed"):
        torch.ones(3)[torch.tensor([0], device="cuda")]


def test_copies_across_devices(x):
    host = torch.zeros(2, 2)
    assert host.copy_(x).tolist() == [[1, 2], [3, 4]] and host.is_cpu
    assert torch.zeros(2, 2, dtype=torch.int32).copy_(x).tolist() == [[1, 2], [3, 4]]
    assert x.copy_(torch.tensor([5.0, 6.0]), non_blocking=True).tolist() == [[5, 6], [5, 6]] and x.device == CUDA
    assert x.t()[0].copy_(torch.zeros(2)).tolist() == [0, 0] and x.tolist() == [[0, 6], [0, 6]]


# ---- memory
def test_views_share_memory(x):
    x.t()[0].add_(10)
    x[:, 1] *= 2
    x.view(-1)[3:] = 0
    assert x.tolist() == [[11, 4], [13, 0]] and x._version == 4
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        x.t().view(-1)


def test_the_same_bytes_as_another_type(x):
    numbers = x.view(torch.int32)
    assert numbers.tolist()[0][0] == 0x3f800000 and x.view(torch.int16).shape == (2, 4)
    assert x[1:].view(torch.uint8).view(torch.float32).tolist() == [[3, 4]]
    numbers[1, 0] = 0
    assert x.tolist() == [[1, 2], [0, 4]] and x._version == 1
    (a, b), (c, d) = copy.deepcopy((x, numbers)), pickle.loads(pickle.dumps((x, numbers)))
    b[0, 0] = d[0, 0] = 0
    assert a.tolist() == c.tolist() == [[0, 2], [0, 4]] and x[0, 0].item() == 1 and d.device == CUDA


def test_pinned_memory_is_accepted(x):
    host = torch.ones(2)
    assert host.pin_memory().tolist() == [1, 1] and not host.is_pinned() and not x.is_pinned()
    with pytest.raises(RuntimeError, match="^cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned"):
        x.pin_memory()
    loader = DataLoader(TensorDataset(torch.arange(4.0)), batch_size=2, pin_memory=True)
    assert [batch.to("cuda", non_blocking=True).tolist() for batch, in loader] == [[0, 1], [2, 3]]


def test_memory_is_given_back():
    gc.collect()
    before = torch.cuda.memory_allocated()
    big = torch.zeros(1000, device="cuda")
    assert torch.cuda.memory_allocated() >= before + 4000
    torch.cuda.reset_peak_memory_stats()
    with torch.no_grad():
        for _ in range(10):
            big = big * 2                          # the old one goes when the new one is there
    assert before + 8000 <= torch.cuda.max_memory_allocated() < before + 20000
    view = big[:1]
    del big
    assert torch.cuda.memory_allocated() >= before + 4000      # a view keeps it
    del view
    assert torch.cuda.memory_allocated() == before
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    assert torch.cuda.memory_reserved() >= torch.cuda.memory_allocated()


def test_a_graph_gives_its_memory_back():
    def step():
        w = torch.ones(100, device="cuda", requires_grad=True)
        (w * w).sin().backward(torch.ones(100, device="cuda"))
        return w.grad.tolist()[0]
    step()
    gc.collect()
    gc.disable()
    try:
        before = torch.cuda.memory_allocated()
        assert step() == pytest.approx(2 * math.cos(1))
        assert torch.cuda.memory_allocated() == before         # without waiting for the collector
    finally:
        gc.enable()


def test_what_can_be_asked():
    assert torch.cuda.is_available() and torch.cuda.device_count() == 1 and torch.cuda.current_device() == 0
    assert torch.cuda.get_device_name() == torch.cuda.get_device_properties("cuda").name
    assert torch.cuda.get_device_capability(0) >= (7, 5)
    with torch.cuda.device(0):
        assert torch.ones(1, device="cuda").device == CUDA


# ---- copies, pickles and files
def test_copies_stay_on_the_device(x):
    leaf = x.clone().requires_grad_()
    leaf.grad = torch.ones_like(leaf)
    for twin in (copy.copy(leaf), copy.deepcopy(leaf), pickle.loads(pickle.dumps(leaf))):
        assert twin.device == CUDA and twin.requires_grad and twin.tolist() == leaf.tolist()
    assert copy.deepcopy(leaf).grad.device == CUDA and copy.deepcopy(leaf).data_ptr() != leaf.data_ptr()
    a, b = copy.deepcopy((x, x[1]))
    b.zero_()
    assert a.tolist() == [[1, 2], [0, 0]] and x.tolist() == [[1, 2], [3, 4]]


def saved(what):
    file = io.BytesIO()
    torch.save(what, file)
    return io.BytesIO(file.getvalue())


@pytest.mark.parametrize("where, device", [
    (None, "cuda:0"), ("cpu", "cpu"), (torch.device("cpu"), "cpu"), ("cuda", "cuda:0"), ({"cuda:0": "cpu"}, "cpu"),
    ({"cuda:1": "cpu"}, "cuda:0"), (lambda storage, location: storage, "cpu"),
    (lambda storage, location: storage.cuda(0) if location == "cuda:0" else None, "cuda:0"),
    (lambda storage, location: None, "cuda:0")])
def test_loading(x, where, device):
    found = torch.load(saved({"x": x, "view": x.t()[1], "n": 3}), map_location=where)
    assert str(found["x"].device) == device and found["x"].tolist() == x.tolist()
    assert found["view"].tolist() == [2, 4] and found["view"].storage_offset() == 1
    found["view"].zero_()
    assert found["x"].tolist() == [[1, 0], [3, 0]]             # still one memory


def test_loading_onto_cuda():
    host = torch.arange(3.0)
    assert torch.load(saved(host), map_location="cuda:0").device == CUDA
    with pytest.raises(RuntimeError, match="^Attempting to deserialize object on CUDA device 1 but torch"):
        torch.load(saved(host), map_location="cuda:1")


def test_one_memory_as_two_types_is_not_saved(x):
    with pytest.raises(RuntimeError, match="^Cannot save multiple tensors or storages that view the same data"):
        saved((x, x.view(torch.int32)))


def test_without_a_device_the_file_says_what_to_do(x, monkeypatch):
    file = saved(x)
    monkeypatch.setattr(torch.backends, "find_cuda", lambda: None)
    with pytest.raises(RuntimeError, match="^Attempting to deserialize object on a CUDA device but torch"):
        torch.load(file)


# ---- modules
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


@pytest.mark.parametrize("move", [lambda m: m.cuda(), lambda m: m.to("cuda"), lambda m: m.to(device="cuda:0"),
                                  lambda m: m.cuda(0), lambda m: m.to(torch.zeros(1, device="cuda"))])
def test_modules_move(move):
    net = model()
    weight, right = net[0].weight, {k: v.tolist() for k, v in net.state_dict().items()}
    weight.grad = torch.ones(4, 3)
    assert move(net) is net and net[0].weight is weight and weight.is_leaf
    assert {str(v.device) for v in net.state_dict().values()} == {"cuda:0"} and weight.grad.device == CUDA
    assert {k: v.tolist() for k, v in net.state_dict().items()} == right
    net.cpu()
    assert {str(v.device) for v in net.state_dict().values()} == {"cpu"} and weight.grad.is_cpu


def test_modules_made_and_filled_there():
    there, here = nn.Linear(3, 2, device="cuda"), nn.Linear(3, 2)
    assert there.weight.device == there.bias.device == CUDA
    there.load_state_dict(here.state_dict())
    assert there.weight.device == CUDA and there.weight.tolist() == here.weight.tolist()
    here.load_state_dict(there.state_dict())
    assert here.weight.is_cpu
    twin = copy.deepcopy(there)
    assert twin.weight.device == CUDA and twin.weight.data_ptr() != there.weight.data_ptr()
    restored = torch.load(saved(there.state_dict()), map_location="cpu")
    assert restored["weight"].is_cpu and restored["weight"].tolist() == here.weight.tolist()


# ---- gradients
def test_gradients_cross_devices():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    there = w.cuda()
    (there * torch.tensor([3.0, 4.0], device="cuda")).backward(torch.ones(2, device="cuda"))
    assert w.grad.is_cpu and w.grad.tolist() == [3, 4] and there.grad_fn is not None
    n = torch.tensor(2.0, requires_grad=True)
    (torch.tensor([3.0, 4.0], device="cuda") * n).sum().backward()
    assert n.grad.is_cpu and n.grad.item() == 7


def test_gradients_hooks_and_views(x):
    seen, leaf = [], x.clone().requires_grad_()
    leaf.register_hook(lambda g: seen.append(g.device) or g * 2)
    y = leaf * 3
    y.retain_grad()
    y[0].mul_(torch.tensor([5.0, 6.0], device="cuda"))         # in place, through a view
    y.t()[1] = 0.5
    y.backward(torch.ones_like(y))
    assert leaf.grad.tolist() == [[30, 0], [6, 0]] and seen == [CUDA]
    assert y.grad.device == CUDA and leaf.grad.device == CUDA
    with pytest.raises(RuntimeError, match="^attempting to assign a gradient with device type 'cpu' to a tensor with"):
        leaf.grad = torch.ones(2, 2)


def test_second_gradients(x):
    leaf = x.clone().requires_grad_()
    first, = torch.autograd.grad((leaf ** 3).sum(), leaf, create_graph=True)
    second, = torch.autograd.grad(first.sum(), leaf)
    assert second.tolist() == [[6, 12], [18, 24]] and second.device == CUDA


def test_a_changed_tensor_is_noticed(x):
    leaf = x.clone().requires_grad_()
    y = leaf.exp()
    y.add_(1)
    changed = "has been modified by an inplace operation: \\[torch.cuda.FloatTensor \\[2, 2\\]\\]"
    with pytest.raises(RuntimeError, match=changed):
        y.backward(torch.ones_like(y))


def test_a_function_of_ones_own(x):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a * a

        @staticmethod
        def backward(ctx, g):
            a, = ctx.saved_tensors
            return g * a * 2
    leaf = x.clone().requires_grad_()
    Double.apply(leaf).backward(torch.ones_like(leaf))
    assert leaf.grad.tolist() == [[2, 4], [6, 8]] and leaf.grad.device == CUDA


def test_names(x):
    named = x.refine_names("row", "column")
    assert repr(named) == "tensor([[1., 2.],\n        [3., 4.]], device='cuda:0', names=('row', 'column'))"
    assert named.sum("row").tolist() == [4, 6] and named.align_to("column", "row").tolist() == [[1, 3], [2, 4]]
    assert named.cpu().names == named.cpu().cuda().names == ("row", "column")


# ---- warnings
def test_nothing_of_this_warns(x, no_detours):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        leaf = x.clone().requires_grad_()
        (leaf * 2 + 1).tanh().backward(torch.ones_like(x))
        optim.Adam([leaf], lr=0.1).step()
