"""What users are told: torch's first line, then the shapes drawn and the repairs, each of which is tried here.

The sentences were recorded from torch 2.13; where it is installed they are asked for anew.
"""
from __future__ import annotations

import pickle
import warnings

import pytest

import tinygrad_edu as te
from tinygrad_edu.autograd.variable import Variable

REFUSED = (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError)


def names_of(torch):
    return {"torch": torch, "F": torch.nn.functional, "functional": torch.autograd.functional, "o": torch.ones,
            "x": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), "y": torch.ones(2, 3), "i": torch.tensor([0]),
            "e": torch.tensor([])}


def told(torch, program):
    """(the exception's type, the first line of its text)"""
    with warnings.catch_warnings(), pytest.raises(REFUSED) as caught:
        warnings.simplefilter("ignore")
        exec(program, names_of(torch))
    return caught.type.__name__, str(caught.value).split("\n")[0]


DEVICES = ("Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, "
           "vulkan, mps, meta, hpu, mtia, privateuseone device type at start of device string: ")
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
    "torch.matmul()": ("TypeError", 'matmul() missing 2 required positional argument: "input", "other"'),
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
    "x.round(decimals=1.5)": ("TypeError", "round(): argument 'decimals' must be int, not float"),
    "torch.sigmoid_(1)": ("TypeError", "sigmoid_(): argument 'input' (position 1) must be Tensor, not int"),
    "torch.topk(x, 1, out=x)": ("TypeError", "topk(): argument 'out' must be tuple of Tensors, not Tensor"),
    "torch.max(x, 0, out=(x,))": ("TypeError", "expected tuple of 2 elements but got 1"),
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
    "x.as_subclass(int)": ("TypeError", "Creating a Tensor subclass from a class that does not inherit from Tensor is "
                           "not possible. Make sure your class inherits from Tensor."),
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
        "TypeError", "The inputs given to jacobian must be either a Tensor or a tuple of Tensors but the given inputs "
        "has type <class 'int'>."),
    "functional.hessian(lambda x: x, x)": (
        "RuntimeError", "The Tensor returned by the function given to hessian should contain a single element"),
    "functional.vjp(lambda x: x, x)": (
        "RuntimeError", "The vector v can only be None if the user-provided function returns a single Tensor with a "
        "single element."),
    "functional.jvp(lambda x: x, x, i)": (
        "RuntimeError", "v has invalid size: should be torch.Size([2, 3]) but got torch.Size([1])."),
    "functional.jacobian(lambda a, b: a, (x, y), strict=True)": (
        "RuntimeError", "Output 0 of the user-provided function is independent of input 1. This is not allowed in "
        "strict mode."),
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
            given = {"a": te.ones(first), "b": te.ones(second)}
            try:
                eval(f"a {sign} b", given)
            except RuntimeError as error:
                for line in str(error).split("\n")[1:]:
                    if not line.startswith("  with `"):
                        continue
                    repair, _, result = line[8:].partition("` the result is ")
                    name = repair[0]
                    other = f"{repair} {sign} b" if name == "a" else f"a {sign} {repair}"
                    program = repair if sign in repair else other
                    assert tuple(eval(program, given).shape) == eval(result), (first, second, line)
                    limit = 2 if len(first) == len(second) == 1 else max(len(first), len(second))
                    assert sign == "@" or len(eval(result)) <= limit


def test_repairs_for_a_tensor_that_is_expanded_or_joined_from_behind():
    with pytest.raises(RuntimeError, match=r"with `x.unsqueeze\(1\).expand\(-1, 4\)` the result is \(6, 4\)$"):
        te.ones(6).expand(-1, 4)
    with pytest.raises(RuntimeError) as caught:
        te.ones(6).expand(-1, 6, 4)                # no repair: a new dimension has no size to keep
    assert "with `" not in str(caught.value)
    with pytest.raises(RuntimeError, match=r"with `tensors\[0\].unsqueeze\(1\)` the result is \(3, 2\)$"):
        te.cat([te.ones(3), te.ones(3, 1)], -1)
    assert te.cat([te.ones(3).unsqueeze(1), te.ones(3, 1)], -1).shape == (3, 2)


def test_an_index_of_the_callers_own_that_fails():
    class Broken:
        def __index__(self):
            raise TypeError("mine")

    for program in (te.ones(2).view, te.ones(2).reshape, te.ones(2).expand):
        with pytest.raises(TypeError, match="^mine$"):
            program(Broken())
    with pytest.raises(TypeError, match="^only integer tensors of a single element can be converted to an index$"):
        te.ones(2).view(te.tensor(2.0))


def test_a_device_without_a_backend_says_so():
    assert str(te.device("mps")) == "mps" and repr(te.device("meta")) == "device(type='meta')"
    with pytest.raises(NotImplementedError, match="tinygrad_edu has no backend for meta. Use device='cpu'."):
        te.ones(2, device="meta")


# ---- names that ordinary programs call
def test_kept_switches():
    before = te.get_num_threads()
    te.set_num_threads(3)
    assert te.get_num_threads() == 3
    te.set_num_threads(before)
    assert te.are_deterministic_algorithms_enabled() is False
    te.use_deterministic_algorithms(True)
    assert te.are_deterministic_algorithms_enabled() is True
    te.use_deterministic_algorithms(False)
    te.backends.cudnn.deterministic = True
    assert te.backends.cudnn.deterministic and not te.backends.cudnn.benchmark and te.backends.cudnn.enabled
    te.backends.cudnn.deterministic = False
    assert not te.backends.mps.is_available() and not te.backends.cudnn.is_available()


def test_layout_and_formats():
    x = te.ones(2, 3)
    assert x.layout is te.strided and repr(te.strided) == "torch.strided" and isinstance(te.strided, te.layout)
    assert repr(te.preserve_format) == "torch.preserve_format" and isinstance(te.preserve_format, te.memory_format)
    assert te.empty_like(x.t(), memory_format=te.contiguous_format).stride() == (2, 1)
    assert te.empty_like(x.t(), memory_format=te.preserve_format).stride() == (1, 3)
    assert pickle.loads(pickle.dumps(te.strided)) is te.strided
    assert repr(te.set_grad_enabled(True)) == "torch.autograd.grad_mode.set_grad_enabled(mode=True)"


def test_broadcast_to_and_real():
    x = te.tensor([1.0, 2.0])
    for y in (x.broadcast_to(3, 2), x.broadcast_to((3, 2)), x.broadcast_to(size=(3, 2)), te.broadcast_to(x, (3, 2))):
        assert y.tolist() == [[1.0, 2.0]] * 3
    assert x.real is x


def test_subclass_is_on_the_tape():
    class Mine(te.Tensor):
        pass
    x = te.tensor([1.0, 2.0], requires_grad=True)
    y = x.as_subclass(Mine)
    assert type(y) is Mine and type(y.grad_fn).__name__ == "AliasBackward0" and y.data_ptr() == x.data_ptr()
    (y * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_elements_through_python():
    x = te.tensor([[1, 2], [3, 4]]).t()
    version = x._version
    assert x.apply_(lambda v: v * 10).tolist() == [[10, 30], [20, 40]] and x._version == version + 1
    assert x.map_(te.tensor([1, 2]), lambda a, b: a + b).tolist() == [[11, 32], [21, 42]]
    assert x.clone().resize_as_(te.ones(3)).shape == (3,)


@pytest.mark.parametrize("name", ["relu_", "elu_", "celu_", "selu_", "leaky_relu_", "hardtanh_", "threshold_"])
def test_activations_in_place(name):
    more = (0.5, 2.0) if name == "threshold_" else ()
    x = te.tensor([-2.0, 0.3, 3.0])
    expected = getattr(te.nn.functional, name[:-1])(x, *more).tolist()
    assert getattr(te.nn.functional, name)(x, *more) is x and x.tolist() == expected


def test_functions_in_place(real_torch):
    for name in [n for n in dir(te) if n.endswith("_") and not n.startswith("_")]:
        assert hasattr(real_torch, name), name
    x = te.tensor([1.0, 4.0])
    assert te.sqrt_(x) is x and x.tolist() == [1.0, 2.0] and te.relu_(te.tensor([-1.0])).tolist() == [0.0]


def test_dlpack_under_its_old_name():
    x = te.tensor([1.0, 2.0])
    for y in (te.utils.dlpack.from_dlpack(x), te.utils.dlpack.from_dlpack(te.utils.dlpack.to_dlpack(x))):
        y[0] += 1
    assert x.tolist() == [3.0, 2.0]


def test_variable():
    x = te.tensor([1.0, 2.0])
    v = Variable(x, requires_grad=True)
    assert v.requires_grad and not x.requires_grad and v.data_ptr() == x.data_ptr() and type(v) is te.Tensor
    assert isinstance(x, Variable) and not isinstance(3, Variable)
    with pytest.raises(TypeError, match="Variable data has to be a tensor, but got list"):
        Variable([1.0])


def test_sinc_has_torchs_digits(real_torch):
    numbers = te.linspace(-30, 30, 1001, dtype=te.float64)
    theirs = real_torch.sinc(real_torch.tensor(numbers.tolist(), dtype=real_torch.float64))
    assert te.sinc(numbers).tolist() == theirs.tolist()
    single = numbers.float()
    theirs = real_torch.sinc(real_torch.tensor(single.tolist())).numpy()
    assert abs(te.sinc(single).numpy().view("i4") - theirs.view("i4")).max() <= 2


# ---- autograd.functional
def cube(x):
    return (x ** 3).sum()


FUNCTIONAL = {
    "functional.jacobian(lambda x: x * x, o(2) * 3)": [[6.0, 0.0], [0.0, 6.0]],
    "functional.jacobian(lambda a, b: a * b.sum(), (o(2), o(2)))[1]": [[1.0, 1.0], [1.0, 1.0]],
    "functional.jacobian(lambda a, b: (a * b, b.sum()), (o(2), o(2)))[1][0]": [0.0, 0.0],
    "functional.hessian(cube, o(2) * 2)": [[12.0, 0.0], [0.0, 12.0]],
    "functional.hessian(lambda a, b: (a ** 3 * b).sum(), (o(1) * 2, o(1)))[0][1]": [[12.0]],
    "functional.hessian(lambda x: x.sum(), o(2))": [[0.0, 0.0], [0.0, 0.0]],
    "functional.vjp(lambda x: x * x, o(2) * 3, o(2) * 2)[1]": [12.0, 12.0],
    "functional.jvp(lambda x: x * x, o(2) * 3, o(2) * 2)[1]": [12.0, 12.0],
    "functional.jvp(lambda a, b: (a * b, a.exp() * 0), (o(2), o(2)), (o(2), o(2)))[1][0]": [2.0, 2.0],
    "functional.vhp(cube, o(2) * 2, o(2))[1]": [12.0, 12.0],
    "functional.hvp(cube, o(2) * 2, o(2))[0]": 16.0,
}


@pytest.mark.parametrize("program", FUNCTIONAL)
def test_functional(program):
    assert eval(program, {**names_of(te), "cube": cube}).tolist() == FUNCTIONAL[program]


@pytest.mark.parametrize("program", FUNCTIONAL)
def test_functional_is_torchs(real_torch, program):
    assert eval(program, {**names_of(real_torch), "cube": cube}).tolist() == FUNCTIONAL[program]


def test_functional_can_be_differentiated_again():
    x = te.tensor([1.0, 2.0], requires_grad=True)
    te.autograd.functional.jacobian(lambda x: x ** 3, x, create_graph=True).sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]
    assert not te.autograd.functional.jacobian(lambda x: x ** 3, x).requires_grad


def test_editors_offer_no_internals():
    for module in (te.nn, te.optim):
        assert "annotations" not in dir(module)
