"""What users are told: torch's first line, then the shapes drawn and the repairs, each of which is tried here.

The sentences were recorded from torch 2.13; where it is installed they are asked for anew.
"""
from __future__ import annotations

import warnings

import pytest

import tinygrad_edu as te

REFUSED = (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError)


def names_of(torch):
    return {"torch": torch, "F": torch.nn.functional, "o": torch.ones, "x": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
            "y": torch.ones(2, 3), "i": torch.tensor([0]), "e": torch.tensor([]), "functional": torch.autograd.functional}


def told(torch, program):
    """(the exception's type, the first line of its text)"""
    with warnings.catch_warnings(), pytest.raises(REFUSED) as caught:
        warnings.simplefilter("ignore")
        exec(program, names_of(torch))
    return caught.type.__name__, str(caught.value).split("\n")[0]


DEVICES = ("Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, "
           "mps, meta, hpu, mtia, privateuseone device type at start of device string: ")
ONE = ("ValueError", "only one element tensors can be converted to Python scalars")
TO = "to() received an invalid combination of arguments - got ({}), but expected one of:"
SENTENCES = {
    # arguments that were left out, or that nobody knows
    "torch.ones(2, foo=1)": ("TypeError", "ones() got an unexpected keyword argument 'foo'"),
    "torch.zeros_like(x, foo=1)": ("TypeError", "zeros_like() got an unexpected keyword argument 'foo'"),
    "x.new_zeros(2, foo=1)": ("TypeError", "new_zeros() got an unexpected keyword argument 'foo'"),
    "torch.exp(x, foo=1)": ("TypeError", "exp() got an unexpected keyword argument 'foo'"),
    "torch.mul(x, y, foo=1)": ("TypeError", "mul() got an unexpected keyword argument 'foo'"),
    "torch.exp()": ("TypeError", 'exp() missing 1 required positional arguments: "input"'),
    "torch.mul(x)": ("TypeError", 'mul() missing 1 required positional arguments: "other"'),
    "torch.mul()": ("TypeError", 'mul() missing 2 required positional argument: "input", "other"'),
    "x.mul()": ("TypeError", 'mul() missing 1 required positional arguments: "other"'),
    "x.mul_()": ("TypeError", 'mul_() missing 1 required positional arguments: "other"'),
    "x.transpose(0)": ("TypeError", 'transpose() missing 1 required positional arguments: "dim1"'),
    "x.softmax()": ("TypeError", 'softmax() missing 1 required positional arguments: "dim"'),
    "torch.matmul(x)": ("TypeError", 'matmul() missing 1 required positional arguments: "other"'),
    "torch.cat()": ("TypeError", 'cat() missing 1 required positional arguments: "tensors"'),
    "x.view()": ("TypeError", "view() received an invalid combination of arguments - got (), but expected one of:"),
    "x.reshape()": ("TypeError", 'reshape() missing 1 required positional arguments: "shape"'),
    "x.expand()": ("TypeError", 'expand() missing 1 required positional arguments: "size"'),
    "x.repeat()": ("TypeError", 'repeat() missing 1 required positional arguments: "repeats"'),
    "x.permute()": ("TypeError", 'permute() missing 1 required positional arguments: "dims"'),
    "torch.broadcast_to(x, 2, 3)": ("TypeError", "broadcast_to() takes 2 positional arguments but 3 were given"),
    # arguments of the wrong kind: a method counts from its first argument, a function from its tensor
    "x.add('x')": ("TypeError", "add(): argument 'other' (position 1) must be Tensor, not str"),
    "x.add_('x')": ("TypeError", "add_(): argument 'other' (position 1) must be Tensor, not str"),
    "torch.add(x, 'x')": ("TypeError", "add(): argument 'other' (position 2) must be Tensor, not str"),
    "x.atan2('x')": ("TypeError", "atan2(): argument 'other' (position 1) must be Tensor, not str"),
    "x.matmul(None)": ("TypeError", "matmul(): argument 'other' (position 1) must be Tensor, not NoneType"),
    "x.gather(0, None)": ("TypeError", "gather(): argument 'index' (position 2) must be Tensor, not NoneType"),
    "torch.gather(x, 0, None)": ("TypeError", "gather(): argument 'index' (position 3) must be Tensor, not NoneType"),
    "x.add(y, alpha='x')": ("TypeError", "add(): argument 'alpha' must be Number, not str"),
    "x.sub(y, alpha='x')": ("TypeError", "sub(): argument 'alpha' must be Number, not str"),
    "x.pow('x')": ("TypeError", "pow() received an invalid combination of arguments - got (str), but expected one of:"),
    "torch.diag(None)": ("TypeError", "diag(): argument 'input' (position 1) must be Tensor, not NoneType"),
    "torch.flatten(None)": ("TypeError", "flatten(): argument 'input' (position 1) must be Tensor, not NoneType"),
    "x.lerp(None, 1)": ("TypeError", "lerp() received an invalid combination of arguments - got (NoneType, int), but "
                        "expected one of:"),
    "x.type_as(None)": ("TypeError", "type_as(): argument 'other' (position 1) must be Tensor, not NoneType"),
    "x.reshape(None)": ("TypeError", "reshape(): argument 'shape' (position 1) must be tuple of ints, not NoneType"),
    "x.expand(None)": ("TypeError", "expand(): argument 'size' (position 1) must be tuple of ints, not NoneType"),
    "x.to(dtype='float32')": ("TypeError", TO.format("dtype=str, ")),
    "x.to(foo=1)": ("TypeError", TO.format("foo=int, ")),
    "x.as_subclass(int)": ("TypeError", "Creating a Tensor subclass from a class that does not inherit from Tensor is not "
                           "possible. Make sure your class inherits from Tensor."),
    # one number out of several
    "int(x)": ONE, "float(x)": ONE, "complex(x)": ONE, "int(e)": ONE, "float(e)": ONE,
    "x.item()": ("RuntimeError", "a Tensor with 6 elements cannot be converted to Scalar"),
    "del x[0]": ("TypeError", "Tensor does not support deleting items"),
    "x.imag": ("RuntimeError", "imag is not implemented for tensors with non-complex dtypes."),
    # devices
    "torch.device('gpu')": ("RuntimeError", DEVICES + "gpu"),
    "o(2, device='gpu')": ("RuntimeError", DEVICES + "gpu"),
    "x.to('float32')": ("RuntimeError", "Invalid device string: 'float32'"),
    "torch.device('')": ("RuntimeError", "Device string must not be empty"),
    "x.to('mps')": ("RuntimeError", "PyTorch is not linked with support for mps devices"),
    # switches
    "torch.set_num_threads('a')": ("RuntimeError", "set_num_threads expects an int, but got str"),
    "torch.set_num_threads(0)": ("RuntimeError", "set_num_threads expects a positive integer"),
    "torch.layout()": ("TypeError", "cannot create 'torch.layout' instances"),
    "o(2, requires_grad=True).apply_(abs)": ("RuntimeError", "Can't call apply_() on Variable that requires grad. Use "
                                             "var.detach().apply_() instead."),
    # autograd.functional
    "functional.jacobian(lambda x: x, 3)": (
        "TypeError", "The inputs given to jacobian must be either a Tensor or a tuple of Tensors but the given inputs has "
        "type <class 'int'>."),
    "functional.hessian(lambda x: x, x)": (
        "RuntimeError", "The Tensor returned by the function given to hessian should contain a single element"),
    "functional.vjp(lambda x: x, x)": (
        "RuntimeError", "The vector v can only be None if the user-provided function returns a single Tensor with a single "
        "element."),
    "functional.jvp(lambda x: x, x, i)": (
        "RuntimeError", "v has invalid size: should be torch.Size([2, 3]) but got torch.Size([1])."),
    "functional.jacobian(lambda a, b: a, (x, y), strict=True)": (
        "RuntimeError", "Output 0 of the user-provided function is independent of input 1. This is not allowed in strict "
        "mode."),
}


@pytest.mark.parametrize("program", SENTENCES)
def test_first_line(program):
    kind, sentence = told(te, program)
    expected, words = SENTENCES[program]
    assert sentence == words
    assert kind == expected or kind == "NotImplementedError" and expected == "RuntimeError"


@pytest.mark.parametrize("program", SENTENCES)
def test_recordings_are_torchs(real_torch, program):
    assert told(real_torch, program) == SENTENCES[program]


# ---- the drawing and the repairs: program -> what follows the first line
DRAWN = {
    "o(2, 3) + o(2)": """\
    a: (2, 3)
    b:    (2,)
           ^
  with `a.T` the result is (3, 2)
  with `b.unsqueeze(1)` the result is (2, 3)""",
    "o(2, 3) + o(4)": """\
    a: (2, 3)
    b:    (4,)
           ^""",                                   # no repair: (4, 2, 3) is nothing that anybody means
    "o(3) + o(4)": """\
    a: (3,)
    b: (4,)
        ^
  with `b.unsqueeze(1)` the result is (4, 3)
  with `a.unsqueeze(1)` the result is (3, 4)""",
    "o(5, 10) @ o(5, 10)": """\
    a: ( 5, 10)
    b:     ( 5, 10)
             ^
  with `b.T` the result is (5, 5)
  with `a.T` the result is (10, 10)""",
    "o(3) @ o(4, 3)": """\
    a: (3,)
    b: (4, 3)
        ^
  with `b.T` the result is (4,)
  with `b @ a` the result is (4,)""",
    "torch.mv(o(2, 3), o(2))": """\
    a: (2, 3)
    b:    (2,)
           ^
  with `a.T` the result is (3,)
  with `b @ a` the result is (3,)""",
    "torch.dot(o(2), o(3))": """\
    a: (2,)
    b: (3,)
        ^""",
    "torch.bmm(o(2, 3, 4), o(2, 3, 4))": """\
    a: (2, 3, 4)
    b:    (2, 3, 4)
              ^
  with `b.mT` the result is (2, 3, 3)
  with `a.mT` the result is (2, 4, 4)""",
    "torch.bmm(o(2, 3, 4), o(3, 4, 5))": """\
    a: (2, 3, 4)
    b: (3, 4, 5)
        ^""",
    "o(5, 3, 4) @ o(2, 4, 3)": """\
    a: (5, 3, 4)
    b: (2, 4, 3)
        ^""",
    "torch.nn.Linear(4, 2)(o(4, 3))": """\
    input:  (4, 3)
    weight: (2, 4)
                ^
  the last dimension of the input must be in_features=4
  with `input.T` the result is (3, 2)""",
    "torch.nn.Linear(8, 2)(o(5, 4, 2))": """\
    input:  (5, 4, 2)
    weight:    (2, 8)
                   ^
  the last dimension of the input must be in_features=8
  with `input.flatten(1)` the result is (5, 2)""",
    "torch.cat([o(2, 3), o(2, 4)])": """\
    tensors[0]: (2, 3)
    tensors[1]: (2, 4)
                    ^
  with `dim=1` the result is (2, 7)""",
    "torch.cat([o(2, 3), o(3)])": """\
    tensors[0]: (2, 3)
    tensors[1]: (3,)
  with `tensors[1].unsqueeze(0)` the result is (3, 3)""",
    "torch.cat([o(0), o(2, 3), o(2, 4)])": """\
    tensors[1]: (2, 3)
    tensors[2]: (2, 4)
                    ^
  with `dim=1` the result is (2, 7)""",
    "torch.stack([o(2, 3), o(2, 4)])": """\
    tensors[0]: (2, 3)
    tensors[1]: (2, 4)
                    ^
  with `torch.cat(tensors, 1)` the result is (2, 7)""",
    "o(12).view(4, 2)": """\
    it asks for 4 * 2 = 8 elements, and there are 12
  with `(-1, 2)` the result is (6, 2)
  with `(4, -1)` the result is (4, 3)""",
    "o(6).reshape(4, -1)": """\
    6 elements can't be divided by 4""",
    "o(3).expand(3, 4)": """\
    x:         (3,)
    target: (3, 4)
                ^
  with `x.unsqueeze(1).expand(3, 4)` the result is (3, 4)""",
    "torch.einsum('ij,jk->ik', o(2, 3), o(4, 5))": """\
    operand 0: (2, 3)
    operand 1:    (4, 5)
                   ^""",
    "F.conv2d(o(1, 8, 8, 3), o(4, 3, 3, 3))": """\
    input:  (1, 8, 8, 3)
    weight: (4, 3, 3, 3)
                ^
  the input must have 3 channels: weight's 3
  with `input.movedim(-1, 1)` the channels are 3""",
    "F.cross_entropy(o(4, 3), i.repeat(3))": """\
    input:  (4, 3)
    target: (3,)
             ^
  with `input.T` each of the 3 targets has its row""",
    "o(2, requires_grad=True).add_(1)": """\
  `with torch.no_grad(): ...` around the write leaves it out of the tape, as an optimizer does; or make a new tensor: \
`y = x + 1`""",
}


def whole(torch, program):
    with pytest.raises(REFUSED) as caught:
        exec(program, names_of(torch))
    return str(caught.value)


@pytest.mark.parametrize("program", DRAWN)
def test_what_follows(program):
    assert whole(te, program).partition("\n")[2] == DRAWN[program]


@pytest.mark.parametrize("program", DRAWN)
def test_what_follows_is_under_torchs_line(real_torch, program):
    assert whole(te, program).split("\n")[0] == whole(real_torch, program).split("\n")[0]


SHAPES = [(), (2,), (3,), (2, 3), (3, 2), (3, 3), (4, 2), (2, 3, 4), (4, 3, 2), (3, 4), (2, 4, 3)]


@pytest.mark.parametrize("sign", "+@")
def test_every_repair_gives_what_is_promised(sign):
    """All pairs of shapes: what is offered is computed."""
    for first in SHAPES:
        for second in SHAPES:
            a, b = te.ones(*first) if first else te.tensor(1.0), te.ones(*second) if second else te.tensor(1.0)
            try:
                eval(f"a {sign} b")
            except RuntimeError as error:
                for line in str(error).split("\n")[1:]:
                    if not line.startswith("  with `"):
                        continue
                    repair, _, result = line[8:].partition("` the result is ")
                    name = repair[0]
                    program = repair if sign in repair else f"{repair} {sign} b" if name == "a" else f"a {sign} {repair}"
                    assert tuple(eval(program).shape) == eval(result), (first, second, line)
                    limit = 2 if len(first) == len(second) == 1 else max(len(first), len(second))
                    assert sign == "@" or len(eval(result)) <= limit


def test_a_device_without_a_backend_says_so():
    assert str(te.device("mps")) == "mps" and repr(te.device("meta")) == "device(type='meta')"
    with pytest.raises(NotImplementedError, match="tinygrad_edu has no backend for meta. Use device='cpu'."):
        te.ones(2, device="meta")
