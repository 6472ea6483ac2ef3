"""The layers, nn.init and nn.utils: torch's numbers for a seed, its outputs, gradients, reprs and refusals."""
from __future__ import annotations

import math

import pytest

import tinygrad_edu as te
from tinygrad_edu import nn

from .transcripts import compare, here, numbers, play, recorded, scenario

# An expression that makes a layer, and the shapes of what it is called with; "i" stands for integers.
LAYERS = [
    ("Identity(3, a=2)", (2, 3)),
    ("Linear(3, 4)", (2, 3)), ("Linear(3, 4, bias=False)", (5, 2, 3)), ("Linear(3, 1, dtype=torch.float64)", None),
    ("Bilinear(2, 3, 4)", (5, 2), (5, 3)), ("Bilinear(2, 3, 4, bias=False)", (5, 2), (5, 3)),
    ("Flatten()", (2, 3, 4)), ("Flatten(0, 1)", (2, 3, 4)), ("Unflatten(1, (2, 3))", (2, 6)),
    ("ReLU()", (3, 4)), ("ReLU(inplace=True)", None), ("ReLU6()", (3, 4)), ("ReLU6(inplace=True)", None),
    ("LeakyReLU()", (3, 4)), ("LeakyReLU(0.3)", (3, 4)), ("LeakyReLU(0.3, True)", None), ("ELU()", (3, 4)),
    ("ELU(alpha=0.5)", (3, 4)), ("ELU(0.5, inplace=True)", None), ("SELU()", (3, 4)), ("SELU(inplace=True)", None),
    ("CELU()", (3, 4)), ("CELU(0.5)", (3, 4)), ("GELU()", (3, 4)), ("GELU(approximate='tanh')", (3, 4)),
    ("SiLU()", (3, 4)), ("SiLU(inplace=True)", None), ("Mish()", (3, 4)), ("Softplus()", (3, 4)),
    ("Softplus(beta=2.0, threshold=1.0)", (3, 4)), ("Sigmoid()", (3, 4)), ("LogSigmoid()", (3, 4)), ("Tanh()", (3, 4)),
    ("Hardtanh()", (3, 4)), ("Hardtanh(-0.5, 2.0, inplace=True)", None), ("Hardsigmoid()", (3, 4)),
    ("Hardsigmoid(inplace=True)", None), ("Hardswish()", (3, 4)), ("Softmax(dim=1)", (3, 4)), ("Softmax()", None),
    ("LogSoftmax(dim=0)", (3, 4)), ("Softmin(dim=1)", (3, 4)), ("Softmax2d()", (2, 3, 2, 2)), ("Softsign()", (3, 4)),
    ("Tanhshrink()", (3, 4)), ("Threshold(0.1, 20)", (3, 4)), ("Threshold(0.1, 20, inplace=True)", None),
    ("PReLU()", (3, 4)), ("PReLU(4, init=0.1)", (3, 4)), ("GLU()", (3, 4)), ("GLU(dim=0)", (4, 3)),
    ("Hardshrink()", (3, 4)), ("Softshrink(0.2)", (3, 4)),
    ("Conv1d(2, 3, 3)", (2, 2, 7)), ("Conv1d(2, 4, 3, stride=2, padding=1, dilation=2, groups=2, bias=False)",
                                     (2, 2, 9)),
    ("Conv1d(2, 3, 3, padding='same', padding_mode='replicate')", (2, 2, 7)),
    ("Conv2d(2, 3, 3)", (2, 2, 5, 6)), ("Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))",
                                        (1, 2, 6, 7)),
    ("Conv2d(4, 4, 3, padding=1, groups=4)", (1, 4, 4, 5)), ("Conv2d(1, 2, 3, padding='same')", (1, 1, 4, 5)),
    ("Conv2d(1, 2, 2, padding='valid', padding_mode='zeros')", (1, 1, 4, 5)),
    ("Conv2d(2, 3, 3, padding=(1, 2), padding_mode='circular')", (1, 2, 4, 5)),
    ("Conv2d(2, 3, 3, padding=1, padding_mode='reflect')", (1, 2, 4, 5)),
    ("ConvTranspose2d(2, 3, 3)", (1, 2, 3, 4)),
    ("ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False, dilation=2)", (1, 2, 3, 4)),
    ("MaxPool1d(2)", (1, 2, 7)), ("MaxPool2d(2)", (1, 2, 5, 6)),
    ("MaxPool2d((3, 2), stride=1, padding=1)", (1, 2, 5, 6)),
    ("MaxPool2d(2, ceil_mode=True)", (1, 1, 5, 5)), ("AvgPool1d(3, stride=2, padding=1)", (1, 2, 7)),
    ("AvgPool2d(2)", (1, 2, 4, 6)), ("AvgPool2d((2, 3), stride=1, padding=1, count_include_pad=False)", (1, 1, 4, 6)),
    ("AdaptiveAvgPool1d(3)", (1, 2, 7)), ("AdaptiveAvgPool2d((2, 3))", (1, 2, 5, 7)),
    ("AdaptiveAvgPool2d(1)", (2, 3, 4, 4)),
    ("Dropout(0.25)", (4, 5)), ("Dropout()", None), ("Dropout(0.5, inplace=True)", None),
    ("Dropout2d(0.5)", (3, 4, 2, 2)),
    ("LayerNorm(4)", (3, 4)), ("LayerNorm((3, 4), eps=1e-3)", (2, 3, 4)), ("LayerNorm(4, bias=False)", (3, 4)),
    ("LayerNorm([4], elementwise_affine=False)", (3, 4)), ("RMSNorm(4)", (3, 4)),
    ("RMSNorm((3, 4), eps=1e-2)", (2, 3, 4)),
    ("GroupNorm(2, 4)", (3, 4, 5)), ("GroupNorm(1, 4, affine=False)", (3, 4)),
    ("BatchNorm1d(4)", (5, 4)), ("BatchNorm1d(2, momentum=None, affine=False)", (3, 2, 4)),
    ("BatchNorm1d(2, track_running_stats=False)", (3, 2)), ("BatchNorm2d(2, eps=1e-2, momentum=0.5)", (3, 2, 2, 3)),
    ("Embedding(5, 3)", "i"), ("Embedding(5, 3, padding_idx=1)", "i"), ("Embedding(5, 3, padding_idx=-1)", "i"),
    ("Embedding(5, 3, max_norm=1.0)", "i"), ("Embedding(5, 3, max_norm=1.5, norm_type=1.0, scale_grad_by_freq=True)",
                                             "i"),
    ("CosineSimilarity()", (3, 4), (3, 4)), ("CosineSimilarity(dim=0, eps=1e-3)", (3, 4), (3, 4)),
    ("PairwiseDistance()", (3, 4), (3, 4)), ("PairwiseDistance(p=1.0, keepdim=True)", (3, 4), (3, 4)),
    ("MSELoss()", (3, 4), (3, 4)), ("MSELoss(reduction='sum')", (3, 4), (3, 4)), ("L1Loss()", (3, 4), (3, 4)),
    ("L1Loss(reduction='none')", (3, 4), (3, 4)), ("SmoothL1Loss()", (3, 4), (3, 4)),
    ("SmoothL1Loss(beta=0.5)", (3, 4), (3, 4)),
    ("HuberLoss(delta=0.5)", (3, 4), (3, 4)), ("BCEWithLogitsLoss()", (3, 4), (3, 4)),
    ("BCEWithLogitsLoss(pos_weight=torch.arange(4) + 1.0, weight=torch.ones(4) / 2)", (3, 4), (3, 4)),
    ("Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))", (2, 3)),
]


def drawn(torch, shape, start):
    """Numbers between -2 and 2 that follow no pattern, or integers below 5."""
    if shape == "i":
        return torch.tensor([[0, 4, 1], [1, 1, 3]])
    count = math.prod(shape)
    return torch.tensor([2 * math.sin(3.7 * (i + start) ** 1.1) for i in range(count)]).reshape(shape)


@scenario
def layers(torch, tell):
    for expression, *shapes in LAYERS:
        torch.manual_seed(0)
        layer = eval(f"nn.{expression}", {"nn": torch.nn, "torch": torch})
        tell(expression, lambda layer: (layer, [(k, tuple(v.shape)) for k, v in layer.state_dict().items()]), layer)
        if shapes[0] is not None:
            tell(f"{expression}: results", results, torch, layer, shapes)


def results(torch, layer, shapes):
    """Output, gradients of inputs and parameters, and buffers, after a call; and what the layer gives in eval mode."""
    inputs = [drawn(torch, shape, place) for place, shape in enumerate(shapes)]
    for x in inputs:
        if x.is_floating_point():
            x.requires_grad_()
    out = layer(*inputs)
    (out * drawn(torch, tuple(out.shape), 7)).sum().backward()
    found = [out, *[x.grad for x in inputs if x.grad is not None], *[p.grad for p in layer.parameters()],
             *layer.buffers()]
    with torch.no_grad():
        return numbers(*found, layer.eval()(*inputs))


@scenario(rtol=2.4e-7, atol=1e-8)                   # two units in the last place
def first_values(torch, tell):
    for expression, *_ in LAYERS:
        torch.manual_seed(0)
        layer = eval(f"nn.{expression}", {"nn": torch.nn, "torch": torch})
        if list(layer.parameters()):
            tell(expression, numbers, *layer.parameters())


@scenario
def losses(torch, tell):
    nn, logits = torch.nn, drawn(torch, (4, 3), 0)
    weight, classes = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0, 2, 1, 2])
    shares, unit = logits.softmax(1), logits.sigmoid()
    cases = [
        ("CrossEntropyLoss()", logits, classes), ("CrossEntropyLoss(weight, label_smoothing=0.1)", logits, classes),
        ("CrossEntropyLoss(ignore_index=2, reduction='sum')", logits, classes), ("CrossEntropyLoss()", logits, shares),
        ("CrossEntropyLoss(reduction='none')", drawn(torch, (2, 3, 4), 1), torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])),
        ("NLLLoss()", logits, classes), ("NLLLoss(weight, ignore_index=0)", logits, classes),
        ("BCELoss()", unit, shares), ("BCELoss(weight, reduction='none')", unit, shares),
        ("KLDivLoss(reduction='batchmean')", logits, shares),
        ("KLDivLoss(reduction='sum', log_target=True)", logits, logits * 0.5),
    ]
    for number, (expression, given, target) in enumerate(cases):
        loss, x = eval(f"nn.{expression}", {"nn": nn, "weight": weight}), given.clone().requires_grad_()
        tell(f"{number} {expression}", lambda loss: (loss, list(loss.state_dict())), loss)
        out = loss(x, target)
        out.sum().backward()
        tell(f"{number} {expression}: results", numbers, out, x.grad)
    for keywords in ({"size_average": False}, {"reduce": False}, {"size_average": True, "reduce": True}):
        tell(str(keywords), lambda keywords: nn.MSELoss(**keywords).reduction, keywords)


@scenario
def refusals(torch, tell):
    nn, x = torch.nn, torch.zeros(1)
    for expression in (
            "Unflatten(1, 3)", "Unflatten(1, (2.0, 3))", "Dropout(2)", "Dropout(-0.5)", "HuberLoss(delta='a')",
            "GroupNorm(2, 3)", "Conv2d(3, 4, 3, groups=2)", "Conv2d(4, 3, 3, groups=2)", "Conv2d(3, 4, 3, groups=0)",
            "Conv2d(3, 4, 3, padding='same', stride=2)", "ConvTranspose2d(1, 1, 1, padding_mode='reflect')(x)",
            "Hardtanh(1, 0)", "Embedding(3, 4, padding_idx=3)", "Embedding(3, 4, padding_idx=-4)",
            "Embedding.from_pretrained(x)", "Embedding(2, 2, _weight=x)", "BatchNorm1d(3)(x)", "BatchNorm2d(3)(x)",
            "Softmax2d()(x)", "Bilinear(0, 2, 3)", "Linear(3, 2)(x)", "Linear()", "Conv2d(1, 1)"):
        tell(expression, eval, f"nn.{expression}", {"nn": nn, "x": x})


@scenario
def embeddings(torch, tell):
    table = torch.arange(6.0).reshape(3, 2)
    frozen = torch.nn.Embedding.from_pretrained(table)
    tell("from_pretrained", lambda: (frozen, frozen.weight, frozen(torch.tensor([2, 0])).tolist()))
    tell("shares memory", lambda: frozen.weight.data_ptr() == table.data_ptr())
    tell("trained", lambda: torch.nn.Embedding.from_pretrained(table, freeze=False, padding_idx=0, max_norm=2.0))


@scenario
def old_batch_norm_files(torch, tell):
    norm = torch.nn.BatchNorm1d(2)
    old = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    tell("without counter", lambda: norm.load_state_dict(old))
    state = norm.state_dict()
    del state["num_batches_tracked"]
    tell("new file without counter", lambda: norm.load_state_dict(state))


INITS = [
    "uniform_(x)", "uniform_(x, -2, 3)", "normal_(x)", "normal_(x, 1, 0.5)", "constant_(x, 0.3)", "ones_(x)",
    "zeros_(x)", "eye_(x)",
    "xavier_uniform_(x)", "xavier_uniform_(x, gain=2.0)", "xavier_normal_(x)", "xavier_normal_(c)",
    "kaiming_uniform_(x)", "kaiming_uniform_(c, a=1, mode='fan_out')", "kaiming_uniform_(x, nonlinearity='relu')",
    "kaiming_normal_(x)", "kaiming_normal_(c, mode='fan_out', nonlinearity='tanh')",
    "trunc_normal_(b)", "trunc_normal_(b, std=0.02)", "trunc_normal_(b, 0.5, 1.0, 0.0, 0.6)", "trunc_normal_(b, 0, "
                                                                                              "1.0, 2.0, 3.0)",
    "trunc_normal_(x, 9.0, 1.0, -2.0, 2.0)",
    "dirac_(c)",
    "dirac_(c, groups=2)", "sparse_(x, 0.4)",
    "uniform(x)", "eye(b)", "eye_(b)", "dirac_(x)", "dirac_(c, groups=3)", "xavier_uniform_(b)", "kaiming_uniform_(x, "
                                                                                                 "mode='fan')",
    "kaiming_uniform_(x, nonlinearity='wave')", "kaiming_normal_(e)", "orthogonal_(b)", "sparse_(b, 0.5)",
]


@scenario(rtol=2.4e-7, atol=1e-7)
def init(torch, tell):
    for expression in INITS:
        torch.manual_seed(1)
        tensors = {"x": torch.empty(4, 5), "c": torch.empty(4, 3, 3, 3), "b": torch.empty(100), "e": torch.empty(0, 2)}
        tell(expression, lambda *args: numbers(eval(*args)), f"nn.init.{expression}", {"nn": torch.nn, **tensors})
    for args in (("linear",), ("conv2d",), ("sigmoid",), ("tanh",), ("relu",), ("leaky_relu",), ("leaky_relu", 0.2),
                 ("leaky_relu", True), ("selu",), ("wave",)):
        tell(f"gain {args}", torch.nn.init.calculate_gain, *args)
    generator = torch.Generator().manual_seed(5)
    tell("generator", lambda: numbers(torch.nn.init.normal_(torch.empty(20), generator=generator),
                                      torch.nn.init.kaiming_uniform_(torch.empty(2, 3), generator=generator)))
    weight = torch.nn.Parameter(torch.empty(2, 2))
    tell("off the tape", lambda: (torch.nn.init.ones_(weight) is weight, weight.grad_fn, weight))


@scenario
def orthogonal(torch, tell):
    torch.manual_seed(1)
    for shape, gain in (((4, 5), 1), ((5, 4), 2), ((4, 3, 3, 3), 1)):
        tell(f"{shape}, gain {gain}", lambda *args: numbers(torch.nn.init.orthogonal_(*args)), torch.empty(shape), gain)


@scenario
def utils(torch, tell):
    tools = torch.nn.utils

    def graded():
        made = [torch.nn.Parameter(drawn(torch, shape, 3)) for shape in ((2, 3), (4,), (1,))]
        for p in made[:2]:
            p.grad = p.detach() * 2
        return made

    def clipped(params, *args):
        return numbers(tools.clip_grad_norm_(params, *args), params[0].grad, params[1].grad)
    for order in (2.0, 1.0, float("inf"), 3, 0, float("-inf")):
        tell(f"clip_grad_norm_ {order}", clipped, graded(), 1.5, order)
    half = torch.nn.Parameter(torch.zeros(2, dtype=torch.float16))
    half.grad = torch.tensor([300.0, 400.0], dtype=torch.float16)
    tell("clip_grad_norm_ half", lambda: (tools.clip_grad_norm_(half, 1.0), half.grad))
    ps = graded()
    tell("clip_grad_norm_ large", lambda: numbers(tools.clip_grad_norm_(ps, 100.0), ps[0].grad))
    tell("clip_grad_norm_ one", lambda: numbers(tools.clip_grad_norm_(ps[0], 0.5), ps[0].grad, ps[1].grad))
    tell("clip_grad_norm_ none", lambda: tools.clip_grad_norm_([], 1.0))
    ps[0].grad.fill_(float("nan"))
    tell("nonfinite", lambda: tools.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True))
    ps = graded()
    tell("clip_grad_value_", lambda: (tools.clip_grad_value_(ps, 0.5), numbers(ps[0].grad, ps[1].grad))[1])
    tell("parameters_to_vector", lambda: numbers(tools.parameters_to_vector(ps)))
    tell("vector_to_parameters", lambda: (tools.vector_to_parameters(torch.arange(11.0), ps), ps))
    tell("of a list", lambda: tools.vector_to_parameters([1.0], ps))


@pytest.mark.parametrize("name", here(__name__))
def test_as_torch(name):
    compare(name, play(name, te), recorded()[name])


@pytest.mark.parametrize("name", here(__name__))
def test_torch_still_says_so(name, real_torch):
    compare(name, play(name, real_torch), recorded()[name])


# ---- ours
def test_what_the_tutorial_prints():
    assert repr(nn.Linear(1, 8)) == "Linear(in_features=1, out_features=8, bias=True)"
    te.manual_seed(0)
    assert repr(nn.Linear(3, 1).weight) == ("Parameter containing:\ntensor([[-0.0043,  0.3097, -0.4752]], "
                                            "requires_grad=True)")


def test_functional_knows_what_ops_registered_and_nothing_else():
    assert nn.functional.relu(te.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    with pytest.raises(AttributeError, match="has no attribute 'no_such_function'"):
        nn.functional.no_such_function  # noqa: B018


def test_a_network_learns():
    te.manual_seed(0)
    x = te.linspace(-1, 1, 20).unsqueeze(1)
    y = x * x
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer, loss = te.optim.Adam(model.parameters(), lr=0.02), nn.MSELoss()
    first = loss(model(x), y).item()
    for _ in range(300):
        optimizer.zero_grad()
        out = loss(model(x), y)
        out.backward()
        optimizer.step()
    assert out.item() < first / 100
