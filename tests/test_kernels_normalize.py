"""Normalization and losses on CUDA: the GPU's variants of the kernels, the checks, and the CPU's answers."""
from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as te
from tinygrad_edu.kernels import array, float32, loss, normalize
from tinygrad_edu.nn import functional as F


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


# ---- the kernels as a GPU runs them
@pytest.mark.parametrize("threads", [1, 64])
def test_any_number_of_threads_shares_a_group(machine, threads):
    rows, n = 3, 71
    hosts = [numbers(*shape).astype(np.float32) for shape in ((rows, n), (n,), (n, 1), (rows, n, 1))]
    x, weight, bias, g = [array.from_numpy(machine, host.reshape(-1)) for host in hosts]
    out, mean, rstd = (array.empty(machine, (size,), np.float32) for size in (rows * n, rows, rows))
    normalize.normalize_kernel(float32, threads, True, True, False)[rows, threads](
        x, weight, bias, out, mean, rstd, n, rows, n, n, 1, float32(1e-5))
    wide = [host.astype(np.float64).reshape(shape) for host, shape in zip(hosts, ((rows, n), n, n, (rows, n)))]
    np.testing.assert_allclose(out.numpy().reshape(rows, n), normalize.spec(*wide[:3], 1e-5), rtol=1e-5, atol=1e-5)
    normalize.backward_kernel(float32, threads, True, False)[rows, threads](
        g, x, weight, out, mean, rstd, n, rows, n, n, 1)
    right = normalize.spec_backward(wide[3], wide[0], wide[1], 1e-5)[0]
    np.testing.assert_allclose(out.numpy().reshape(rows, n), right, rtol=1e-4, atol=1e-5)


def test_groups_without_rows_take_part(machine):
    """The last block has threads to spare, which a sum over a warp needs."""
    rows, n, each = 3, 40, 2
    host = numbers(rows, n).astype(np.float32)
    x = array.from_numpy(machine, host)
    out, mean, rstd = (array.empty(machine, (size,), np.float32) for size in (rows * n, rows, rows))
    normalize.normalize_kernel(float32, 32, False, False, False)[2, (32, each)](
        x, x, x, out, mean, rstd, n, rows, n, n, 1, float32(0))
    np.testing.assert_allclose(mean.numpy(), host.mean(1), rtol=1e-5, atol=1e-6)


# ---- the CPU's answers
NORMS = {
    "layer": ((3, 5, 4), lambda x, w, b: F.layer_norm(x, (5, 4), w.view(5, 4), b.view(5, 4)), 20),
    "layer without weights": ((7, 3), lambda x, w, b: F.layer_norm(x, (3,)), 1),
    "group": ((2, 6, 3, 2), lambda x, w, b: F.group_norm(x, 3, w, b), 6),
    "batch": ((4, 3, 2, 5), lambda x, w, b: F.batch_norm(x, None, None, w, b, True), 3),
    "batch of rows": ((9, 4), lambda x, w, b: F.batch_norm(x, None, None, w, None, True), 4),
    "batch, by running statistics": ((4, 3, 5), lambda x, w, b: F.batch_norm(
        x, w.detach() * 0 + 0.3, w.detach() * 0 + 2, w, b), 3),
}


@pytest.mark.parametrize("dtype, tolerance", [(te.float64, 1e-12), (te.float32, 1e-5), (te.float16, 1e-2)])
@pytest.mark.parametrize("name", NORMS)
def test_norms_agree_with_the_cpu(machine, name, dtype, tolerance):
    shape, norm, weights = NORMS[name]
    found = []
    for device in ("cpu", "cuda"):
        leaves = [te.tensor(numbers(*s), dtype=dtype, device=device).requires_grad_()
                  for s in (shape, (weights,), (weights, 1))]
        out = norm(leaves[0], leaves[1], leaves[2].view(-1))
        out.backward(te.tensor(numbers(*shape), dtype=dtype, device=device))
        found.append([out, *[x.grad for x in leaves]])
    for mine, right in zip(found[1], found[0]):
        assert (mine is None) == (right is None)
        if mine is not None:
            assert mine.dtype is right.dtype and mine.shape == right.shape
            np.testing.assert_allclose(mine.detach().cpu().numpy().astype(float), right.detach().numpy().astype(float),
                                       tolerance, tolerance * 4)


def test_a_large_mean_costs_no_digits(machine):
    x = te.tensor(numbers(2, 50) + 1e4, dtype=te.float32)
    right = F.layer_norm(x.double(), (50,))
    np.testing.assert_allclose(F.layer_norm(x.cuda(), (50,)).cpu().numpy(), right.numpy(), atol=2e-3)


def test_running_statistics_move_on_the_device(machine):
    norms = [te.nn.BatchNorm1d(3), te.nn.BatchNorm1d(3).cuda()]
    x = te.tensor(numbers(8, 3), dtype=te.float32)
    norms[0](x), norms[1](x.cuda())
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(getattr(norms[1], name).cpu().numpy(), getattr(norms[0], name).numpy(), rtol=1e-5)


# ---- losses
def test_nll_kernels(machine):
    hosts = numbers(37, 5), np.random.default_rng(0).integers(0, 5, 37), np.abs(numbers(5))
    x, target, weight = [array.from_numpy(machine, host) for host in hosts]
    mean = loss.nll(x, target, weight, reduction="mean", ignore_index=-100)
    np.testing.assert_allclose(mean.numpy(), loss.spec_nll(*hosts), 1e-12)


def test_a_target_that_is_no_class(machine):
    x = te.tensor(numbers(4, 3), device="cuda").requires_grad_()
    for bad in (3, -1):
        with pytest.raises(IndexError, match=f"Target {bad} is out of bounds."):
            F.cross_entropy(x, te.tensor([0, 1, bad, 2], device="cuda"))
    with_ignored = te.tensor([0, -100, 2, 2], device="cuda")
    F.cross_entropy(x, with_ignored).backward()
    assert x.grad[1].tolist() == [0, 0, 0] and x.grad[0].tolist() != [0, 0, 0]
    assert F.cross_entropy(x, te.full((4,), -100, device="cuda")).isnan().item()


def test_extreme_losses(machine):
    x = te.tensor([0.0, 1.0, 0.5, -200.0, 200.0, float("nan")], dtype=te.float32)
    t = te.tensor([1.0, 0.0, 0.5, 1.0, 0.0, 1.0], dtype=te.float32)
    for f in (F.binary_cross_entropy_with_logits, F.smooth_l1_loss, F.huber_loss, F.mse_loss):
        np.testing.assert_allclose(f(x.cuda(), t.cuda(), reduction="none").cpu(), f(x, t, reduction="none"), rtol=1e-6)
    found = F.binary_cross_entropy(x[:3].cuda(), t[:3].cuda())
    np.testing.assert_allclose(found.cpu(), F.binary_cross_entropy(x[:3], t[:3]), rtol=1e-6)
