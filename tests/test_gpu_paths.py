"""What only a GPU is given, on the simulator: its block sizes, its 16-byte loads, its versions of a kernel.

The library chooses fewer threads on the simulator, where a thread costs time. Here the machine says that it is none, so
that it is given what a GPU would be; every launch is held against a GPU's limits.
"""
import math

import numpy as np
import pytest

import tinygrad_edu as te
from tests import samples, strong

F = te.nn.functional


@pytest.fixture
def gpu_paths(monkeypatch):
    """The simulator in Python, taken for a GPU."""
    with te.cuda.simulator("python") as machine:
        launch = machine.launch

        def within_limits(kernel, grid, block, shared, args, *work, **more):
            assert 1 <= math.prod(block) <= 1024 and block[2] <= 64, (kernel, block)
            assert min(grid) >= 1 and grid[0] < 2 ** 31 and max(grid[1:]) < 2 ** 16, (kernel, grid)
            return launch(kernel, grid, block, shared, args, *work, **more)
        monkeypatch.setattr(machine, "simulated", False, raising=False)
        monkeypatch.setattr(machine, "launch", within_limits, raising=False)
        yield machine


def numbers(*shape):
    return te.randn(*shape, generator=te.Generator().manual_seed(0))


# (what it computes, the inputs' shapes): sizes beyond where versions change, and not multiples of anything
CALLS = {
    "fill": (lambda x: te.full((1500,), 3.0, device=x.device) + x[:1], [(2,)]),
    "add, 16 bytes at a time": (lambda x, y: x + y, [(1501,), (1501,)]),
    "add, not at a 16-byte address": (lambda x, y: x[1:] + y[1:], [(1501,), (1501,)]),
    "where": (lambda x, y: te.where(x > 0, x, y), [(1030,), (1030,)]),
    "broadcast": (lambda x, y: x * y, [(33, 35), (35,)]),
    "to uint8 and back": (lambda x: (x * 50).to(te.uint8).float(), [(1025,)]),
    "gradient of a slice": (lambda x: x[..., ::2], [(33, 33)]),
    "sum of a row": (lambda x: x.sum(1), [(3, 300)]),
    "sum of short rows": (lambda x: x.sum(1), [(50, 7)]),
    "sum of columns": (lambda x: x.sum(0), [(130, 37)]),
    "sum of all": (lambda x: x.sum(), [(3001,)]),
    "mean of the middle": (lambda x: x.mean(1), [(5, 70, 3)]),
    "max of rows": (lambda x: x.amax(1), [(3, 300)]),
    "max with places": (lambda x: x.max(1).values, [(3, 300)]),
    "argmax": (lambda x: x.argmax(1), [(5, 130)]),
    "variance": (lambda x: x.var(1), [(3, 300)]),
    "norm": (lambda x: x.norm(), [(1000,)]),
    "logsumexp": (lambda x: x.logsumexp(1), [(3, 300)]),
    "softmax": (lambda x: x.softmax(1), [(3, 300)]),
    "log_softmax over dim 0": (lambda x: x.log_softmax(0), [(130, 5)]),
    "cross entropy": (lambda x: F.cross_entropy(x, te.arange(9, device=x.device)), [(9, 77)]),
    "layer norm": (lambda x, w, b: F.layer_norm(x, (200,), w, b), [(5, 200), (200,), (200,)]),
    "batch norm": (lambda x: F.batch_norm(x, None, None, training=True), [(6, 3, 9, 5)]),
    "group norm": (lambda x: F.group_norm(x, 2), [(3, 4, 35)]),
    "cumsum": (lambda x: x.cumsum(0), [(700,)]),
    "cumsum of columns": (lambda x: x.cumsum(0), [(90, 3)]),
    "sort": (lambda x: x.sort(0).values, [(1100,)]),
    "topk": (lambda x: x.topk(3).values, [(4, 130)]),
    "median": (lambda x: x.median(1).values, [(3, 65)]),
    "matmul, tiled": (lambda x, y: x @ y, [(20, 33), (33, 9)]),
    "matmul, in registers": (lambda x, y: x @ y, [(66, 9), (9, 67)]),
    "matmul, transposed": (lambda x, y: x.t() @ y.t(), [(11, 66), (67, 11)]),
    "matmul, batches": (lambda x, y: x @ y, [(3, 17, 5), (3, 5, 18)]),
    "dot": (lambda x, y: x @ y, [(2500,), (2500,)]),
    "linear": (lambda x, w, b: F.linear(x, w, b), [(3, 600), (5, 600), (5,)]),
    "conv2d": (lambda x, w: F.conv2d(x, w, padding=1), [(2, 3, 9, 7), (5, 3, 3, 3)]),
    "max pool": (lambda x: F.max_pool2d(x, 2), [(2, 3, 9, 8)]),
    "average pool": (lambda x: F.avg_pool2d(x, 3, 2, 1), [(2, 3, 9, 8)]),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), [(1, 2, 7, 6)]),
    "gather": (lambda x: x.gather(1, (te.arange(60, device=x.device) % 7).view(5, 12)), [(5, 7)]),
    "index": (lambda x: x[te.arange(90, device=x.device) % 5], [(5, 33)]),
    "index_add": (lambda x, y: x.index_add(0, te.arange(90, device=x.device) % 5, y), [(5, 11), (90, 11)]),
    "embedding": (lambda w: F.embedding(te.arange(300, device=w.device) % 7, w), [(7, 40)]),
    "masked select": (lambda x: x[x > 0.3], [(5000,)]),
    "nonzero": (lambda x: (x > 1).nonzero(), [(70, 71)]),
    "unique": (lambda x: (x * 3).round().unique(), [(1000,)]),
    "cat": (lambda x, y: te.cat([x, y], 1), [(33, 40), (33, 17)]),
    "flip": (lambda x: x.flip(0, 1), [(33, 40)]),
    "tril": (lambda x: x.tril(), [(40, 33)]),
    "pad": (lambda x: F.pad(x, (3, 40)), [(33, 3)]),
}


def computed(call, hosts, device):
    """The result and the gradients of the inputs, on the host."""
    xs = [h.to(device).requires_grad_() for h in hosts]
    out = call(*xs)
    if out.requires_grad:
        weights = (te.arange(out.numel()) % 7 - 3.0).view(out.shape).to(device)
        (out * weights).sum().backward()
    return [out.detach().cpu(), *[x.grad.cpu() for x in xs if x.grad is not None]]


@pytest.mark.parametrize("name", CALLS)
def test_what_a_gpu_is_given(name, gpu_paths):
    call, shapes = CALLS[name]
    hosts = [numbers(*s) for s in shapes]
    for mine, right in zip(computed(call, hosts, "cuda"), computed(call, hosts, "cpu"), strict=True):
        assert mine.shape == right.shape and mine.dtype is right.dtype
        np.testing.assert_allclose(mine.numpy(), right.numpy(), 2e-4, 2e-4)


def test_more_columns_than_a_grid_has_room_for(gpu_paths):
    """65,535 blocks are the most along y: the one row of a language model's head has more columns than that."""
    seen, launch = [], gpu_paths.launch
    gpu_paths.launch = lambda kernel, grid, *rest, **more: seen.append(grid) or launch(kernel, (1, 1, 1), *rest, **more)
    te.zeros(1, 512).cuda() @ te.zeros(1, 512).cuda().expand(70000, 512).t()
    assert max(grid[0] for grid in seen) >= 70000 and all(max(grid[1:]) < 2 ** 16 for grid in seen)


ON_CUDA = [s for s in samples.load() if s.cuda and not s.host]


@pytest.mark.slow
@pytest.mark.parametrize("sample", ON_CUDA, ids=lambda s: s.key.replace("torch.", "").replace("  # ", " -- "))
def test_samples(sample, gpu_paths):
    strong.quietly(strong.check_against_torch, sample, "cuda")
