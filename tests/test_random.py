"""Random numbers: torch's, from the same seeds, on the CPU."""
from __future__ import annotations

import pickle
import threading
import warnings

import numpy as np
import pytest

import tinygrad_edu as te
from tests.goldens import random_numbers
from tinygrad_edu.core.generator import MT19937, STATE
from tinygrad_edu.random import fork_rng


@pytest.fixture(scope="module")
def recorded():
    return random_numbers.read()


@pytest.mark.parametrize("line", random_numbers.LINES)
def test_recorded_numbers(line, recorded):
    dtype, shape, numbers = random_numbers.answer(te, line)
    right = recorded[line]
    assert [dtype, shape] == right[:2]
    if dtype == "torch.float64":
        np.testing.assert_allclose(numbers, right[2], rtol=4e-16, atol=2e-15)
    else:
        assert numbers == right[2]


def is_intel():
    try:
        with open("/proc/cpuinfo") as file:
            return "GenuineIntel" in file.read()
    except OSError:
        return False


def test_the_recording_is_torchs(recorded, real_torch):
    for line in random_numbers.LINES:
        if not (is_intel() and ("bernoulli" in line
                                or "dropout" in line or "exponential" in line or "multinomial" in line)):
            dtype, shape, numbers = random_numbers.answer(real_torch, line)
            assert [dtype, shape] == recorded[line][:2], line
            if isinstance(numbers, list):
                np.testing.assert_allclose(numbers, recorded[line][2], rtol=1e-6,
                                           err_msg=line)    # other CPUs round otherwise


def test_a_million_normals_bit_for_bit(real_torch):
    """Also around the sizes where torch redraws its last sixteen."""
    for count in (15, 16, 17, 1_000_003):
        te.manual_seed(count), real_torch.manual_seed(count)
        mine, right = te.randn(count).numpy(), real_torch.randn(count).numpy()
        ulps = np.abs(mine.astype(np.float64) - right) / np.spacing(np.abs(right))
        assert ulps.max() <= 2


def test_states_are_torchs(real_torch):
    """What torch saved goes on here, and the other way round; the spare normal number included."""
    real_torch.manual_seed(11), real_torch.randn(3)
    te.set_rng_state(te.from_numpy(real_torch.get_rng_state().numpy()))
    assert te.initial_seed() == 11
    np.testing.assert_array_equal(te.randn(5).numpy(), real_torch.randn(5).numpy())
    for draw in (lambda m: m.rand(3), lambda m: m.rand(624 - 3), lambda m: m.randn(20), lambda m: m.randperm(0)):
        te.manual_seed(5), real_torch.manual_seed(5)
        draw(te), draw(real_torch)
        assert te.get_rng_state().tolist() == real_torch.get_rng_state().tolist()
    real_torch.set_rng_state(real_torch.from_numpy(te.get_rng_state().numpy()))
    np.testing.assert_array_equal(te.rand(700).numpy(), real_torch.rand(700).numpy())


# ---- seeds, generators, states
def test_first_numbers_of_the_book():
    te.manual_seed(0)
    assert repr(te.rand(3)) == "tensor([0.4963, 0.7682, 0.0885])"


def test_seeds():
    assert te.manual_seed(-1).initial_seed() == 2 ** 64 - 1
    assert te.manual_seed(2 ** 40 + 3) is te.default_generator and te.initial_seed() == 2 ** 40 + 3
    for seed in (2 ** 64, -2 ** 63 - 1):
        with pytest.raises(ValueError, match="Overflow when unpacking long long"):
            te.manual_seed(seed)
    assert te.seed() == te.initial_seed() != te.seed()
    assert te.Generator().initial_seed() == 67280421310721
    with pytest.raises(RuntimeError, match="manual_seed expected a long, but got float"):
        te.Generator().manual_seed(1.5)


def test_a_generator_of_ones_own():
    first, second = te.Generator().manual_seed(3), te.Generator(device="cpu").manual_seed(3)
    assert first.device == te.device("cpu")
    te.manual_seed(3)
    wanted = te.rand(4)
    assert te.rand(4, generator=first).equal(wanted) and te.rand(4, generator=second).equal(wanted)
    state = first.get_state()
    assert state.shape == (5056,) and state.dtype is te.uint8
    after = te.randn(3, generator=first)
    assert te.randn(3, generator=second.set_state(state)).equal(after)
    assert te.randn(2, generator=first.clone_state()).equal(te.randn(2, generator=pickle.loads(pickle.dumps(first))))
    with pytest.raises(TypeError, match="argument 'generator'"):
        te.rand(2, generator=3)


def test_states_that_are_none():
    generator = te.Generator()
    for state, error, text in ((te.zeros(5056), TypeError, "RNG state must be a torch.ByteTensor"),
                               ([1], TypeError, "expected a torch.ByteTensor"),
                               (te.zeros(3, dtype=te.uint8), RuntimeError,
                                "Expected a CPUGeneratorImplState of size 5056"),
                               (te.zeros(STATE.itemsize, dtype=te.uint8), RuntimeError, "Invalid mt19937 state")):
        with pytest.raises(error, match=text):
            generator.set_state(state)


def test_fork_leaves_no_trace():
    te.manual_seed(1)
    with fork_rng():
        te.manual_seed(2)
        te.rand(10)
    inside = te.rand(3)
    te.manual_seed(1)
    assert te.rand(3).equal(inside)


def test_threads_share_a_generator_without_losing_numbers():
    generator, taken = MT19937(0), []

    def take():
        for _ in range(50):
            taken.append(generator.uniform(20))
    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    right = MT19937(0).uniform(50 * 20 * 4).reshape(-1, 20)
    assert sorted(map(bytes, taken)) == sorted(map(bytes, right))


# ---- constructors
def test_constructors_say_what_torch_says():
    x = te.rand((2, 3), names=["N", "C"], requires_grad=True)
    assert x.names == ("N", "C") and x.is_leaf and x.requires_grad
    assert te.randint(3, size=(2,)).dtype is te.int64
    assert te.randint(low=1, high=2, size=(2, 2)).tolist() == [[1, 1], [1, 1]]
    assert te.rand_like(te.ones(2, 3).t()).stride() == (1, 3) and te.rand(2, out=te.empty(2)).shape == (2,)


REFUSALS = [
    ("te.rand(-1)", RuntimeError, "Trying to create tensor with negative dimension -1: [-1]"),
    ("te.rand(2.5)", TypeError, "rand(): argument 'size' (position 1) must be tuple of ints, not float"),
    ("te.rand()", TypeError, "rand() received an invalid combination of arguments - got (), but expected one of:"),
    ("te.rand(2, dtype=te.int64)", NotImplementedError, "\"check_uniform_bounds\" not implemented for 'Long'"),
    ("te.randn(2, dtype=te.int64)", NotImplementedError, "\"normal_kernel_cpu\" not implemented for 'Long'"),
    ("te.randint(5, 3, (2,))", RuntimeError, "random_ expects 'from' to be less than 'to', but got from=5 >= to=3"),
    ("te.randint(0, 300, (2,), dtype=te.uint8)", RuntimeError, "to - 1 is out of bounds for unsigned char"),
    ("te.randint(-1, 3, (2,), dtype=te.uint8)", RuntimeError, "from is out of bounds for unsigned char"),
    ("te.randint(10, 2)", TypeError, "randint(): argument 'size' (position 2) must be tuple of ints, not int"),
    ("te.randint(0, 2 ** 63, (2,))", ValueError, "Overflow when unpacking long long"),
    ("te.randperm(-1)", RuntimeError, "Trying to create tensor with negative dimension -1: [-1]"),
    ("te.randperm(3000, dtype=te.float16)", RuntimeError, "n cannot be greater than 2049 for Half type."),
    ("te.randperm(2, dtype=te.bool)", NotImplementedError, "\"randperm\" not implemented for 'Bool'"),
    ("te.normal(0., -1., (2,))", RuntimeError, "normal expects std >= 0.0, but found std -1"),
    ("te.normal(te.zeros(2), te.tensor([-1., 1]))", RuntimeError, "normal expects all elements of std >= 0.0"),
    ("te.normal(te.zeros(2), te.ones(3))", RuntimeError,
     "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0"),
    ("te.bernoulli(te.tensor([1.5]))", RuntimeError, "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  "
                                                     "(Could this error message be "
     "improved?  If so, please report an enhancement request to PyTorch.)"),
    ("te.bernoulli(te.tensor([1, 0]))", NotImplementedError, "\"bernoulli_tensor_cpu_p_\" not implemented for 'Long'"),
    ("te.ones(2).bernoulli_(-0.1)", RuntimeError, "bernoulli_ expects p to be in [0, 1], but got p=-0.1"),
    ("te.ones(2).uniform_(2, 1)", RuntimeError, "uniform_ expects to return a [from, to) range, but found from=2 > "
                                                "to=1"),
    ("te.ones(2).uniform_(0, 1e39)", RuntimeError, "to is out of bounds for float"),
    ("te.ones(2).uniform_(-3e38, 3e38)", RuntimeError, "uniform_ expects to-from <= "
                                                       "std::numeric_limits<Float>::max(), but found to=3e+38 and "
     "from=-3e+38 which result in to-from to exceed the limit"),
    ("te.ones(2).exponential_(0)", RuntimeError, "exponential_ expects lambda > 0.0, but found lambda=0"),
    ("te.ones(1).expand(3).uniform_()", RuntimeError, "unsupported operation: more than one element of the written-to "
                                                      "tensor refers to a single "
     "memory location. Please clone() the tensor before performing the operation."),
    ("te.rand(2, requires_grad=True).uniform_()", RuntimeError,
     "a leaf Variable that requires grad is being used in an in-place operation."),
    ("te.multinomial(te.tensor([.5, .5]), 3)", RuntimeError,
     "cannot sample n_sample > prob_dist.size(-1) samples without replacement"),
    ("te.multinomial(te.tensor([.5, -.5]), 1)", RuntimeError,
     "probability tensor contains either `inf`, `nan` or element < 0"),
    ("te.multinomial(te.tensor([.5, -.5]), 2, True)", RuntimeError,
     "invalid multinomial distribution (encountering probability entry < 0)"),
    ("te.multinomial(te.tensor([0., 0.]), 1)", RuntimeError,
     "invalid multinomial distribution (sum of probabilities <= 0)"),
    ("te.multinomial(te.tensor(.5), 1)", RuntimeError, "prob_dist must be 1 or 2 dim"),
    ("te.multinomial(te.tensor([1, 2]), 1)", RuntimeError,
     "multinomial only supports floating-point dtypes for input, got: Long"),
    ("te.dropout(te.ones(2), 1.5, True)", RuntimeError, "dropout probability has to be between 0 and 1, but got 1.5"),
    ("te.nn.functional.dropout(te.ones(2), -0.5)", ValueError,
     "dropout probability has to be between 0 and 1, but got -0.5"),
    ("te.nn.functional.dropout(te.ones(2, dtype=te.int64), 0.5)", RuntimeError,
     "result type Float can't be cast to the desired output type Long"),
]


@pytest.mark.parametrize("expression, error, text", REFUSALS)
def test_refusals(expression, error, text):
    with pytest.raises(error) as caught:
        eval(expression, {"te": te})
    assert str(caught.value).partition("\n")[0] == text


def test_a_refusal_draws_nothing():
    te.manual_seed(1)
    before = te.get_rng_state()
    leaf = te.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError):
        leaf.normal_()
    assert leaf.tolist() == [1, 1, 1] and te.get_rng_state().equal(before)


# ---- on the tape
def test_random_numbers_send_zeros_back():
    x = te.rand(4, requires_grad=True)
    assert repr(te.bernoulli(x)).endswith("grad_fn=<BernoulliBackward0>)")
    (te.bernoulli(x) + te.normal(x, 1.0)).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 0]
    filled = (x * 2).normal_()
    assert type(filled.grad_fn).__name__ == "NormalBackward0"
    filled.sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 0]


def test_dropout_is_a_product():
    te.manual_seed(2)
    x = te.ones(1000, requires_grad=True)
    out = te.nn.functional.dropout(x, 0.25)
    out.sum().backward()
    assert type(out.grad_fn).__name__ == "MulBackward0" and x.grad.equal(out.detach())
    assert set(out.tolist()) == {0.0, te.tensor(4 / 3).item()} and 700 < (out != 0).sum().item() < 800
    assert te.nn.functional.dropout(x, 0.5, training=False) is x and te.nn.functional.dropout(x, 0.0) is x
    y = te.ones(4)
    assert te.nn.functional.dropout(y, 1.0, inplace=True) is y and y.tolist() == [0, 0, 0, 0]


def test_channels_are_dropped_whole():
    te.manual_seed(2)
    out = te.nn.functional.dropout2d(te.ones(8, 5, 3, 3), 0.5)
    assert all(len(set(channel.flatten().tolist())) == 1 for image in out for channel in image)
    with pytest.raises(RuntimeError, match="dropout1d: Expected 2D or 3D input"):
        te.nn.functional.dropout1d(te.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert te.nn.functional.dropout1d(te.ones(2, 3)).shape == (2, 3)
        with pytest.raises(UserWarning, match="dropout2d: Received a 3D input"):
            te.nn.functional.dropout2d(te.ones(2, 3, 4))
