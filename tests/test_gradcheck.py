"""gradcheck and gradgradcheck: they accept what is right, catch what is wrong, and say why."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_edu as te
from tinygrad_edu.autograd import Function, gradcheck, gradgradcheck
from tinygrad_edu.autograd.gradcheck import GradcheckError


def leaf(*shape, seed=0, dtype=te.float64):
    return te.tensor(np.random.default_rng(seed).uniform(0.5, 1.5, shape), dtype=dtype).requires_grad_()


def wrong(forward, backward):
    """A function with the given forward and backward of one or more inputs."""
    class Wrong(Function):
        @staticmethod
        def forward(ctx, *xs):
            ctx.save_for_backward(*xs)
            return forward(*xs)

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved_tensors)
    return Wrong.apply


def complaint(function, *inputs, **options):
    with pytest.raises(GradcheckError) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradcheck(function, inputs, **options)
    return str(caught.value)


def cause_of(function, *inputs, **options):
    text = complaint(function, *inputs, **options)
    assert "\nlikely cause: " in text, text
    return text.split("\nlikely cause: ")[1]


# ---- what is right
def test_right_functions_pass(device):
    x, y = leaf(2, 3), leaf(3, seed=1)
    assert gradcheck(lambda x, y: (x * y).tanh(), (x, y)) and gradgradcheck(lambda x, y: (x * y).tanh(), (x, y))
    assert gradcheck(lambda x: x, x)               # an output that is the input
    assert gradcheck(lambda x: (x * 2, x.sum(0), x.long()), x)     # several, one of integers
    assert gradcheck(lambda x: x * x, leaf()) and gradcheck(lambda x: x * x, leaf(0, 3))
    assert gradgradcheck(lambda x: x * x, leaf(0, 3)) and gradgradcheck(lambda x: x * x * x, leaf())


def test_inputs_come_back_unchanged():
    base = leaf(3, 4).detach()
    for x in (base.t(), base.select(1, 2), base.narrow(1, 1, 2)):
        x = x.detach().requires_grad_()
        before, version = base.tolist(), x._version
        assert gradcheck(lambda x: x * x, x)
        assert base.tolist() == before and x._version == version and x.grad is None


def test_constants_and_numbers_may_be_among_the_inputs():
    assert gradcheck(lambda x, n, y: x * n + y, (leaf(2), 3, te.ones(2, dtype=te.float64)))


def test_grad_outputs_can_be_given():
    g = te.ones(2, 3, dtype=te.float64).requires_grad_()
    assert gradgradcheck(lambda x: x.tanh(), leaf(2, 3), g)
    assert gradgradcheck(lambda x: x.tanh(), leaf(2, 3), gen_non_contig_grad_outputs=True)


# ---- torch's sentences
def test_mismatch_reads_as_torchs():
    half = wrong(lambda x: x * x, lambda g, x: g * x)
    x = te.tensor([1.0, 2.0], dtype=te.float64).requires_grad_()
    text = complaint(half, x)
    assert text.startswith("Jacobian mismatch for output 0 with respect to input 0,\n"
                           "numerical:tensor([[2.0000, 0.0000],\n"
                           "        [0.0000, 4.0000]], dtype=torch.float64)\n"
                           "analytical:tensor([[1., 0.],\n"
                           "        [0., 2.]], dtype=torch.float64)\n")
    assert "input 0 [2], element [1]; output 0 [2], element [1]" in text
    assert "analytic 2 " in text and "numeric  4 " in text


def test_refusals():
    with pytest.raises(ValueError, match="gradcheck expects at least one input tensor to require gradient, but none "
                                         "of the them have requires_grad=True.".replace("the them", "them")):
        gradcheck(lambda x: x, te.ones(2))
    with pytest.warns(UserWarning,
                      match="Input #0 requires gradient and is not a double precision floating point or complex"):
        gradcheck(lambda x: x, te.ones(2).requires_grad_(), atol=1)
    with pytest.raises(RuntimeError,
                       match="The 0th input has a dimension with stride 0. gradcheck only supports inputs that are"):
        gradcheck(lambda x: x, te.ones(1, dtype=te.float64).expand(3).detach().requires_grad_())
    with pytest.raises(ValueError, match="check_forward_ad=True needs forward mode"):
        gradcheck(lambda x: x, leaf(2), check_forward_ad=True)
    with pytest.raises(AssertionError,
                       match="Expected at least one of check_forward_ad or check_backward_ad to be True"):
        gradcheck(lambda x: x, leaf(2), check_backward_ad=False)


def test_raise_exception_false():
    assert gradcheck(wrong(lambda x: x * x, lambda g, x: g * x), leaf(2), raise_exception=False) is False


@pytest.mark.parametrize("function", [lambda m, x: x.detach() * x, lambda m, x: (x * 2, x.detach() * x)],
                         ids=["one", "second"])
def test_like_torch_live(real_torch, function):
    """The same first lines as torch's, for torch's own functions."""
    texts = []
    for module in (te, real_torch):
        x = module.tensor([[0.5, 1.25], [2.0, 3.0]], dtype=module.float64).requires_grad_()
        with pytest.raises(RuntimeError) as caught:
            module.autograd.gradcheck(lambda x, module=module: function(module, x), (x,))
        texts.append(str(caught.value))
    assert texts[0].startswith(texts[1].rstrip("\n"))


# ---- the causes it finds
def test_constant_factors_and_signs():
    x = leaf(2, 3)
    assert "the sign is wrong" in cause_of(wrong(lambda x: x * x, lambda g, x: -2 * g * x), x)
    assert "half the numeric one" in cause_of(lambda x: x * x.detach(), x)
    assert "1.01 times the numeric one" in cause_of(wrong(lambda x: x * x, lambda g, x: 2.02 * g * x), x)
    assert "3 is the size of dimension 1 of the input: a mean where a sum" in cause_of(
        wrong(lambda x: x.sum(), lambda g, x: g.expand(2, 3) / 3), x)


def test_transposed():
    a = leaf(3, 3, seed=5).detach()

    def product(m, x):
        return (m * x).sum(1)
    assert "the Jacobian is transposed" in cause_of(wrong(lambda x: product(a, x), lambda g, x: product(a, g)), leaf(3))
    square = leaf(2, 2)
    assert "transposed: dimensions 0 and 1" in cause_of(wrong(lambda x: x * x, lambda g, x: (2 * g * x).t()), square)
    assert "reshaped where it should have been transposed" in cause_of(
        wrong(lambda x: x.t().contiguous() * 1, lambda g, x: g.reshape(2, 3)), leaf(2, 3))


def test_broadcast_dimension_not_summed():
    x, y = leaf(2, 3), leaf(3, seed=1)
    text = cause_of(wrong(lambda x, y: x * y, lambda g, x, y: (g * y, (g * x).select(0, 0))), x, y)
    assert "a broadcast dimension was not summed: the input is repeated along dimension 0 of the output" in text
    text = cause_of(wrong(lambda x, y: x * y, lambda g, x, y: (g * y, (g * x).sum(0) / 2)), x, y)
    assert "half" in text


def test_missing_accumulation():
    x = leaf(3)

    def pick(x):                                   # x[0], x[0], x[2]
        return te.tensor(x.detach().numpy()[[0, 0, 2]])

    def assign(g, x):
        out = np.zeros(3)
        out[[0, 0, 2]] = g.numpy()
        return te.tensor(out)
    assert "missing accumulation" in cause_of(wrong(pick, assign), x)
    mask = te.tensor([1.0, 0.0, 1.0], dtype=te.float64)
    text = cause_of(wrong(lambda x: x * x, lambda g, x: 2 * g * x * mask), x)
    assert "missing contributions: elements [1] of the input get no gradient" in text


def test_cut_graphs():
    x = leaf(3)
    assert "does not hang on this input" in cause_of(lambda x, y: x.detach() * y, x, leaf(3, seed=1))
    assert "no gradient arrives" in cause_of(wrong(lambda x: x * x, lambda g, x: g * 0), x)
    assert "zero" in complaint(lambda x: x.detach() * 2, x)
    assert "does not depend on this input" in cause_of(wrong(lambda x, y: x * 2, lambda g, x, y: (2 * g, 2 * g)), x,
                                                       leaf(3, seed=1))


def test_float32():
    text = cause_of(lambda x: x * x, leaf(2, 2, dtype=te.float32))
    assert "the input is torch.float32: 1e-06 is below its rounding" in text


def test_random_and_stateful_functions():
    calls = []

    def unsteady(x):
        calls.append(1)
        return x * float(len(calls))
    assert "different results for the same input" in cause_of(unsteady, leaf(2))
    count = []

    def backward(g, x):
        count.append(1)
        return 2 * g * x * (1 if len(count) < 3 else 1.5)
    assert complaint(wrong(lambda x: x * x, backward),
                     leaf(2)).startswith("Backward is not reentrant, i.e., running backward with same input")


def test_kinks():
    x = te.tensor([1.0, 0.0], dtype=te.float64).requires_grad_()
    absolute = wrong(lambda x: te.tensor(np.abs(x.detach().numpy())), lambda g,
                     x: g * te.tensor(np.where(x.detach().numpy() >= 0, 1.0, -1.0)))
    assert "a kink: around this element the slope is -1 on one side and 1 on the other" in cause_of(absolute, x)


def test_backward_must_be_linear_in_g():
    assert complaint(wrong(lambda x: x * 2, lambda g, x: g + 1), leaf(2),
                     atol=10).startswith("backward not multiplied by grad_output")


def test_undefined_output_gradients():
    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            return 2 * g + 3 * h if g is not None and h is not None else 2 * g if h is None else 4 * h
    assert complaint(Two.apply, leaf(2)).startswith("Jacobian mismatch for output 1 with respect to input 0,")


def test_second_derivative_is_checked():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            x, = ctx.saved_tensors
            return 2 * g * x.detach()
    assert gradcheck(Square.apply, leaf(2))
    with pytest.raises(GradcheckError):
        gradgradcheck(Square.apply, leaf(2))
