"""What a reader of "Deep Learning with PyTorch" types in chapters 3, 5 and 6, with `import tinygrad_edu as torch`."""
import io
import random
import re
from collections import OrderedDict

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu import nn, optim

T_C = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]
T_U = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]


# ---- chapter 3: it starts with a tensor
def test_from_lists_to_tensors():
    a = torch.ones(3)
    assert repr(a) == "tensor([1., 1., 1.])" and repr(a[1]) == "tensor(1.)" and float(a[1]) == 1.0
    a[2] = 2.0
    assert repr(a) == "tensor([1., 1., 2.])"
    points = torch.zeros(6)
    for i, number in enumerate([4.0, 1.0, 5.0, 3.0, 2.0, 1.0]):
        points[i] = number
    assert points.tolist() == [4.0, 1.0, 5.0, 3.0, 2.0, 1.0]
    points = torch.tensor([[4.0, 1.0], [5.0, 3.0], [2.0, 1.0]])
    assert repr(points) == "tensor([[4., 1.],\n        [5., 3.],\n        [2., 1.]])"
    assert repr(points.shape) == "torch.Size([3, 2])"
    assert repr(points[0, 1]) == "tensor(1.)" and repr(points[0]) == "tensor([4., 1.])"
    assert repr(torch.zeros(3, 2)) == "tensor([[0., 0.],\n        [0., 0.],\n        [0., 0.]])"


def test_indexing():
    points = torch.tensor([[4.0, 1.0], [5.0, 3.0], [2.0, 1.0]])
    assert points[1:].tolist() == points[1:, :].tolist() == [[5.0, 3.0], [2.0, 1.0]]
    assert points[1:, 0].tolist() == [5.0, 2.0]
    assert points[None].shape == (1, 3, 2)


def test_named_tensors():
    img_t, batch_t = torch.randn(3, 5, 5), torch.randn(2, 3, 5, 5)
    weights = torch.tensor([0.2126, 0.7152, 0.0722])
    assert img_t.mean(-3).shape == (5, 5) and batch_t.mean(-3).shape == (2, 5, 5)
    unsqueezed_weights = weights.unsqueeze(-1).unsqueeze_(-1)
    img_weights, batch_weights = img_t * unsqueezed_weights, batch_t * unsqueezed_weights
    assert batch_weights.shape == (2, 3, 5, 5) and unsqueezed_weights.shape == (3, 1, 1)
    fancy = torch.einsum("...chw,c->...hw", img_t, weights)
    assert torch.allclose(fancy, img_weights.sum(-3), atol=1e-6)
    assert torch.einsum("...chw,c->...hw", batch_t, weights).shape == (2, 5, 5)

    weights_named = torch.tensor([0.2126, 0.7152, 0.0722], names=["channels"])
    assert repr(weights_named) == "tensor([0.2126, 0.7152, 0.0722], names=('channels',))"
    img_named = img_t.refine_names(..., "channels", "rows", "columns")
    batch_named = batch_t.refine_names(..., "channels", "rows", "columns")
    assert img_named.names == ("channels", "rows", "columns")
    assert batch_named.names == (None, "channels", "rows", "columns")
    weights_aligned = weights_named.align_as(img_named)
    assert weights_aligned.shape == (3, 1, 1) and weights_aligned.names == ("channels", "rows", "columns")
    gray_named = (img_named * weights_aligned).sum("channels")
    assert gray_named.shape == (5, 5) and gray_named.names == ("rows", "columns")
    with pytest.raises(RuntimeError, match=re.escape(
            "Error when attempting to broadcast dims ['channels', 'rows', 'columns'] and dims ['channels']: dim "
            "'columns' and dim 'channels' are at the same position from the right but do not match.")):
        (img_named[..., :3] * weights_named).sum("channels")
    gray_plain = gray_named.rename(None)
    assert gray_plain.shape == (5, 5) and gray_plain.names == (None, None)


def test_element_types():
    double_points = torch.ones(10, 2, dtype=torch.double)
    short_points = torch.tensor([[1, 2], [3, 4]], dtype=torch.short)
    assert repr(short_points.dtype) == "torch.int16"
    assert torch.zeros(10, 2).double().dtype is torch.zeros(10, 2).to(torch.double).dtype is double_points.dtype
    assert torch.ones(10, 2).short().dtype is torch.ones(10, 2).to(dtype=torch.short).dtype is torch.int16
    points_64 = torch.rand(5, dtype=torch.double)
    points_short = points_64.to(torch.short)
    assert repr(points_64 * points_short) == "tensor([0., 0., 0., 0., 0.], dtype=torch.float64)"


def test_the_tensor_api():
    a = torch.ones(3, 2)
    assert torch.transpose(a, 0, 1).shape == a.transpose(0, 1).shape == (2, 3)


def test_storage_views_and_strides():
    points = torch.tensor([[4.0, 1.0], [5.0, 3.0], [2.0, 1.0]])
    points_storage = points.storage()
    assert points_storage[0] == 4.0 and points.storage()[1] == 1.0 and len(points_storage) == 6
    points_storage[0] = 2.0
    assert points[0, 0] == 2.0
    a = torch.ones(3, 2)
    a.zero_()
    assert repr(a) == "tensor([[0., 0.],\n        [0., 0.],\n        [0., 0.]])"
    second_point = points[1]
    assert second_point.storage_offset() == 2 and repr(second_point.size()) == "torch.Size([2])"
    assert points.stride() == (2, 1) and second_point.stride() == (1,)
    second_point[0] = 10.0
    assert points[1, 0] == 10.0
    second_point = points[1].clone()
    second_point[0] = 5.0
    assert points[1, 0] == 10.0
    points_t = points.t()
    assert points.storage().data_ptr() == points_t.storage().data_ptr() and points_t.stride() == (1, 2)
    some_t = torch.ones(3, 4, 5)
    transpose_t = some_t.transpose(0, 2)
    assert transpose_t.shape == (5, 4, 3) and some_t.stride() == (20, 5, 1) and transpose_t.stride() == (1, 5, 20)
    assert points.is_contiguous() and not points_t.is_contiguous()
    points_t_cont = points_t.contiguous()
    assert points_t_cont.stride() == (3, 1) and points_t_cont.storage().tolist() == [2.0, 10.0, 2.0, 1.0, 3.0, 1.0]


def test_numpy_files_and_hdf5(tmp_path):
    points = torch.ones(3, 4)
    points_np = points.numpy()
    assert (points_np == np.ones((3, 4), np.float32)).all()
    assert torch.from_numpy(points_np).data_ptr() == points.data_ptr()
    path = tmp_path / "ourpoints.t"
    torch.save(points, path)
    with open(path, "wb") as f:
        torch.save(points, f)
    with open(path, "rb") as f:
        assert torch.equal(torch.load(f), points)
    assert torch.equal(torch.load(str(path)), points)
    buffer = io.BytesIO()
    torch.save({"points": points}, buffer)
    buffer.seek(0)
    assert torch.equal(torch.load(buffer)["points"], points)
    h5py = pytest.importorskip("h5py", reason="h5py is in the io extra")
    with h5py.File(tmp_path / "ourpoints.hdf5", "w") as f:
        f.create_dataset("coords", data=points.numpy())
    with h5py.File(tmp_path / "ourpoints.hdf5", "r") as f:
        last_points = torch.from_numpy(f["coords"][-2:])
    assert repr(last_points) == "tensor([[1., 1., 1., 1.],\n        [1., 1., 1., 1.]])"


# ---- chapter 5: the mechanics of learning
def model(t_u, w, b):
    return w * t_u + b


def loss_fn(t_p, t_c):
    squared_diffs = (t_p - t_c) ** 2
    return squared_diffs.mean()


def test_broadcasting():
    x, y, z, a = torch.ones(()), torch.ones(3, 1), torch.ones(1, 3), torch.ones(2, 1, 1)
    assert (x * y).shape == (3, 1) and (y * z).shape == (3, 3) and (y * z * a).shape == (2, 3, 3)


def test_gradient_by_differences_and_by_autograd():
    t_c, t_u = torch.tensor(T_C), torch.tensor(T_U)
    w, b, delta = torch.ones(()), torch.zeros(()), 0.1
    assert repr(loss_fn(model(t_u, w, b), t_c)) == "tensor(1763.8848)"
    rate_w = (loss_fn(model(t_u, w + delta, b), t_c) - loss_fn(model(t_u, w - delta, b), t_c)) / (2.0 * delta)
    assert rate_w.item() == pytest.approx(4517.297, rel=1e-3)          # float32 differences
    params = torch.tensor([1.0, 0.0], requires_grad=True)
    assert params.grad is None
    loss_fn(model(t_u, *params), t_c).backward()
    assert repr(params.grad) == "tensor([4517.2969,   82.6000])"
    if params.grad is not None:
        params.grad.zero_()
    assert params.grad.tolist() == [0.0, 0.0]


def test_too_large_a_step_blows_up():
    t_c, t_u = torch.tensor(T_C), torch.tensor(T_U)
    params = torch.tensor([1.0, 0.0], requires_grad=True)
    for _ in range(100):
        params.grad = None
        loss = loss_fn(model(t_u, *params), t_c)
        loss.backward()
        with torch.no_grad():
            params -= 1e-2 * params.grad
    assert repr(params.detach()) == "tensor([nan, nan])"


@pytest.mark.parametrize("make, epochs, expected", [
    (lambda p: optim.SGD([p], lr=1e-2), 5000, [5.3671, -17.3012]),
    (lambda p: optim.Adam([p], lr=1e-1), 2000, [5.3676, -17.3048])])
def test_optimizers(make, epochs, expected):
    t_c, t_un = torch.tensor(T_C), 0.1 * torch.tensor(T_U)
    params = torch.tensor([1.0, 0.0], requires_grad=True)
    optimizer = make(params)
    for _ in range(epochs):
        loss = loss_fn(model(t_un, *params), t_c)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert params.tolist() == pytest.approx(expected, abs=2e-4)


def test_training_and_validation():
    t_c, t_u = torch.tensor(T_C), torch.tensor(T_U)
    n_samples = t_u.shape[0]
    n_val = int(0.2 * n_samples)
    shuffled_indices = torch.randperm(n_samples)
    train_indices, val_indices = shuffled_indices[:-n_val], shuffled_indices[-n_val:]
    assert sorted(train_indices.tolist() + val_indices.tolist()) == list(range(11))
    params = torch.tensor([1.0, 0.0], requires_grad=True)

    def calc_forward(t_u, t_c, is_train):
        with torch.set_grad_enabled(is_train):
            return loss_fn(model(0.1 * t_u, *params), t_c)
    assert calc_forward(t_u[train_indices], t_c[train_indices], True).requires_grad
    assert calc_forward(t_u[val_indices], t_c[val_indices], False).requires_grad is False
    with torch.no_grad():
        assert loss_fn(model(t_u[val_indices], *params), t_c[val_indices]).requires_grad is False


# ---- chapter 6: using a neural network to fit the data
def training_loop(n_epochs, optimizer, model, loss_fn, t_u_train, t_u_val, t_c_train, t_c_val):
    for _ in range(n_epochs):
        loss_train = loss_fn(model(t_u_train), t_c_train)
        with torch.no_grad():
            loss_val = loss_fn(model(t_u_val), t_c_val)
            assert loss_val.requires_grad is False
        optimizer.zero_grad()
        loss_train.backward()
        optimizer.step()
    return loss_train.item(), loss_val.item()


def test_linear_and_sequential():
    torch.manual_seed(0)
    random.seed(0)
    t_c, t_u = torch.tensor(T_C).unsqueeze(1), torch.tensor(T_U).unsqueeze(1)
    assert repr(t_u.shape) == "torch.Size([11, 1])"
    train, val = [0, 1, 2, 3, 5, 7, 8, 9, 10], [4, 6]
    data = 0.1 * t_u[train], 0.1 * t_u[val], t_c[train], t_c[val]
    linear_model = nn.Linear(1, 1)
    assert linear_model(torch.ones(10, 1)).shape == (10, 1) and len(list(linear_model.parameters())) == 2
    loss, _ = training_loop(3000, optim.SGD(linear_model.parameters(), lr=1e-2), linear_model, nn.MSELoss(), *data)
    assert loss < 3.5

    seq_model = nn.Sequential(nn.Linear(1, 13), nn.Tanh(), nn.Linear(13, 1))
    assert repr(seq_model) == ("Sequential(\n  (0): Linear(in_features=1, out_features=13, bias=True)\n  (1): Tanh()\n"
                               "  (2): Linear(in_features=13, out_features=1, bias=True)\n)")
    assert [tuple(p.shape) for p in seq_model.parameters()] == [(13, 1), (13,), (1, 13), (1,)]
    seq_model = nn.Sequential(OrderedDict([("hidden_linear", nn.Linear(1, 8)), ("hidden_activation", nn.Tanh()),
                                           ("output_linear", nn.Linear(8, 1))]))
    assert [name for name, _ in seq_model.named_parameters()] == ["hidden_linear.weight", "hidden_linear.bias",
                                                                  "output_linear.weight", "output_linear.bias"]
    assert repr(seq_model.output_linear.bias).startswith("Parameter containing:\ntensor([")
    first, _ = training_loop(1, optim.SGD(seq_model.parameters(), lr=1e-3), seq_model, nn.MSELoss(), *data)
    last, _ = training_loop(2000, optim.SGD(seq_model.parameters(), lr=1e-3), seq_model, nn.MSELoss(), *data)
    assert last < 0.1 * first
    assert seq_model.hidden_linear.weight.grad.shape == (8, 1)


# ---- and beyond: the examples
def test_character_gpt_learns(monkeypatch, capsys):
    from examples import char_gpt
    assert char_gpt.main(steps=60) < 2.4               # 3.5 to begin with
    assert len(capsys.readouterr().out.splitlines()[-1]) > 0


def test_small_cnn_learns(capsys):
    from examples import small_cnn
    assert small_cnn.main(epochs=2) > 0.8
