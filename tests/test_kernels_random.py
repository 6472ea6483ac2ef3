"""Random numbers on CUDA: Philox's known answers, torch's digits, distributions, generators; and dropout."""
from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as te
from tinygrad_edu.kernels import memory, random


@pytest.fixture(autouse=True)
def simulated():
    with te.cuda.simulator("python"):
        yield


class Counter:
    """What a stream draws with, beginning at an offset."""

    def __init__(self, seed, offset=0):
        self.seed, self.offset = seed, offset

    def take(self, steps):
        self.offset += steps
        return self.seed, self.offset - steps


def stream(seed=0, offset=0):
    return random.Stream(memory.simulator(), Counter(seed, offset))


# ---- the words
KNOWN = [  # Random123's known answers for philox4x32-10: counter, key, words
    ([0] * 4, 0, ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]),
    ([0xffffffff] * 4, 2 ** 64 - 1, ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]),
    ([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 0x299f31d0a4093822,
     ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"]),
]


@pytest.mark.parametrize("counter, seed, words", KNOWN)
def test_known_answers(counter, seed, words):
    assert [f"{w:08x}" for w in random.spec([counter], seed)[0]] == words
    key = np.uint64(seed & 0xffffffff), np.uint64(seed >> 32)
    assert [f"{int(w):08x}" for w in random.philox(*map(np.uint64, counter), *key)] == words


@pytest.mark.parametrize("mode", ["python", "check", "compiled"])
@pytest.mark.parametrize("count", [1, 31, 257, 700])
def test_kernels_draw_what_the_specification_says(mode, count):
    if mode == "compiled":
        pytest.importorskip("numba", reason="it compiles")
    seed, offset = 2 ** 63 + 12345, 4 * (2 ** 32 - 1)          # the counter's carry, and both halves of the key
    with te.cuda.simulator(mode):
        drawn = stream(seed, offset).uniform_between(count, 0, 1, np.float32).numpy()
    np.testing.assert_array_equal(drawn, random.spec_uniform(count, (seed, offset)))


def test_a_call_gives_four_numbers_where_threads_are_few(monkeypatch):
    monkeypatch.setattr(random, "BLOCKS", 1)
    drawn = stream(7).uniform_between(1500, 0, 1, np.float32).numpy()
    np.testing.assert_array_equal(drawn, random.spec_uniform(1500, (7, 0)))
    first = random.spec([[0, 0, t, 0] for t in range(256)], 7)
    np.testing.assert_array_equal(random.spec_words(1024, (7, 0))[:, 0], first.T.ravel())
    taken = stream(7)
    taken.integers(1025, 0, 10)
    assert taken.counter.offset == 8 == random.used(1025, 4)


def test_torchs_digits():
    """What torch prints on a GPU after `manual_seed(0)`."""
    te.manual_seed(0)
    np.testing.assert_allclose(te.rand(5, device="cuda").tolist(), [0.3990, 0.5167, 0.0249, 0.9401, 0.9459], atol=5e-5)
    te.manual_seed(0)
    np.testing.assert_allclose(te.randn(6, device="cuda").tolist(),
                               [-0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797], atol=6e-5)


# ---- distributions
N = 2000


def moments(x, mean, variance):
    """Within five standard errors."""
    x = x.cpu().numpy().astype(np.float64)
    assert abs(x.mean() - mean) < 5 * np.sqrt(variance / x.size), (x.mean(), mean)
    kurtosis = ((x - x.mean()) ** 4).mean() / x.var() ** 2
    assert abs(x.var() / variance - 1) < 5 * np.sqrt((kurtosis - 1) / x.size) + 1e-3, (x.var(), variance)


@pytest.mark.parametrize("dtype", [te.float32, te.float64, te.float16])
def test_distributions(dtype):
    te.manual_seed(1)
    empty = te.empty(N, dtype=dtype, device="cuda")
    moments(te.rand(N, dtype=dtype, device="cuda"), 1 / 2, 1 / 12)
    moments(empty.clone().uniform_(-3, 5), 1, 64 / 12)
    moments(te.randn(N, dtype=dtype, device="cuda"), 0, 1)
    moments(empty.clone().normal_(2, 3), 2, 9)
    moments(empty.clone().exponential_(2), 1 / 2, 1 / 4)
    moments(empty.clone().bernoulli_(0.3), 0.3, 0.21)
    moments(te.bernoulli(te.full_like(empty, 0.75)), 0.75, 0.1875)
    moments(te.normal(te.full_like(empty, 2), te.full_like(empty, 0.5)), 2, 0.25)


def test_ranges():
    """The end of a range is never drawn, also where rounding to 16 bits would come to it."""
    te.manual_seed(2)
    for dtype in (te.float16, te.float32, te.float64):
        x = te.empty(N, dtype=dtype, device="cuda").uniform_(1, 1.01).cpu()
        assert float(x.min()) >= 1 and bool((x < te.tensor(1.01, dtype=dtype)).all())
        assert float(te.empty(N, dtype=dtype, device="cuda").exponential_().min()) > 0 or dtype is te.float16


def test_integers():
    te.manual_seed(3)
    for dtype in (te.int64, te.int32, te.uint8, te.float32, te.float16):
        x = te.randint(2, 7, (N,), dtype=dtype, device="cuda")
        assert x.dtype is dtype
        assert np.bincount(x.cpu().numpy().astype(int), minlength=7)[2:] == pytest.approx(np.full(5, N / 5), rel=0.25)
    assert set(te.empty(50, dtype=te.bool, device="cuda").random_().tolist()) == {True, False}
    wide = te.randint(-2 ** 40, 2 ** 40, (N,), device="cuda")
    moments(wide / 2.0 ** 40, 0, 1 / 3)
    assert (te.empty(N, dtype=te.int64, device="cuda").random_(-2 ** 63, None) < 0).float().mean().item() == \
        pytest.approx(0.5, abs=0.05)


def test_permutations_and_samples():
    te.manual_seed(4)
    first, second = te.randperm(100, device="cuda"), te.randperm(100, device="cuda")
    assert sorted(first.tolist()) == list(range(100)) != first.tolist() != second.tolist()
    assert te.randperm(5, device="cuda", dtype=te.int32).dtype is te.int32
    p = te.tensor([1.0, 0.0, 3.0], device="cuda")
    assert sorted(te.multinomial(p, 2).tolist()) == [0, 2]
    drawn = te.multinomial(p.expand(2, 3), 2000, replacement=True)
    assert drawn.shape == (2, 2000) and drawn.device.type == "cuda"
    assert np.bincount(drawn.flatten().cpu().numpy(), minlength=3) / 4000 == pytest.approx([0.25, 0, 0.75], abs=0.04)
    with pytest.raises(RuntimeError, match="probability tensor contains either"):
        te.multinomial(-p, 1)


def test_memory_order_and_places():
    """Numbers are written in the order of memory, and a 0-d tensor gets one."""
    te.manual_seed(5)
    flat = te.rand(12, device="cuda")
    te.manual_seed(5)
    turned = te.empty(3, 4, device="cuda").t().uniform_()
    assert turned.t().flatten().equal(flat)
    assert 0 <= te.empty((), device="cuda").uniform_().item() < 1 and te.rand(0, device="cuda").shape == (0,)


# ---- generators
def test_seeds():
    te.manual_seed(11)
    first = te.rand(3, device="cuda")
    assert not te.rand(3, device="cuda").equal(first)
    assert te.cuda.initial_seed() == 11
    te.cuda.manual_seed(11)
    assert te.rand(3, device="cuda").equal(first)
    te.manual_seed(11)                             # seeds both, and drawing on one doesn't move the other
    on_cpu = te.rand(3)
    te.manual_seed(11)
    te.rand(7, device="cuda")
    assert te.rand(3).equal(on_cpu)


def test_states():
    te.cuda.manual_seed(12)
    te.randn(5, device="cuda")
    state = te.cuda.get_rng_state()
    assert state.dtype is te.uint8 and state.is_cpu and state.shape == (16,)
    assert np.frombuffer(bytes(state.tolist()), "<u8").tolist() == [12, 4]
    after = te.randn(5, device="cuda")
    te.cuda.set_rng_state(state)
    assert te.randn(5, device="cuda").equal(after)
    with te.random.fork_rng():
        te.rand(5, device="cuda")
        te.cuda.set_rng_state(state)
    te.cuda.set_rng_state_all([state])
    assert te.cuda.get_rng_state_all()[0].equal(state)
    with pytest.raises(RuntimeError, match="RNG state is wrong size"):
        te.cuda.set_rng_state(te.zeros(5056, dtype=te.uint8))


def test_a_generator_of_ones_own():
    one = te.Generator(device="cuda").manual_seed(3)
    te.manual_seed(3)
    assert one.device == te.device("cuda", 0)
    assert te.rand(4, device="cuda", generator=one).equal(te.rand(4, device="cuda"))
    other = one.clone_state()
    assert te.randperm(9, device="cuda", generator=one).equal(te.randperm(9, device="cuda", generator=other))
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator but found 'cuda'"):
        te.rand(2, generator=one)
    with pytest.raises(RuntimeError, match="Expected a 'cuda' device type for generator but found 'cpu'"):
        te.rand(2, device="cuda", generator=te.Generator())


# ---- dropout
def test_dropout_is_one_launch_each_way():
    te.manual_seed(6)
    x = te.ones(2000, device="cuda", requires_grad=True)
    machine = memory.simulator()
    before = machine.launches
    y = te.nn.functional.dropout(x, 0.25)
    assert machine.launches == before + 1
    kept = (y != 0).cpu()
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.05)
    np.testing.assert_allclose(y.detach().cpu().numpy()[kept.numpy()], 4 / 3, rtol=1e-6)
    y.backward(te.full_like(y, 2))
    np.testing.assert_allclose(x.grad.cpu().numpy(), 2 * y.detach().cpu().numpy(), rtol=1e-6)
    assert not te.nn.functional.dropout(x, 0.25).equal(y)


def test_dropout_has_derivatives():
    x = te.randn(4, 5, dtype=te.float64, device="cuda", requires_grad=True)

    def drop(x):
        te.manual_seed(7)
        return te.dropout(x, 0.3, True)
    assert te.autograd.gradcheck(drop, [x]) and te.autograd.gradgradcheck(drop, [x])
