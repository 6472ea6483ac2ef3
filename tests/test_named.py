"""Names of dimensions: the rules, an operation of every kind for each, every error's first line, and gradients.

torch 2.13 no longer has named tensors: what is expected here is what its documentation up to 2.12 says.
"""
import re

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu import nn
from tinygrad_edu.nn import functional as F


def x():
    """(2, 3, 4) with the names N, C, H; positive, and no two numbers are equal."""
    return (torch.arange(24.0).sin() + 2).reshape(2, 3, 4).rename("N", "C", "H")


def matrix(*names):
    return torch.ones(3, 3, names=names)


def first_line(expression, kind=RuntimeError, **env):
    with pytest.raises(kind) as caught:
        eval(expression, {"torch": torch, "F": F, "x": x(), "matrix": matrix, **env})
    return str(caught.value).splitlines()[0]


INDEX = "torch.zeros(2, 1, 4, dtype=torch.int64)"
KEEP = """
-x | x.exp() | x.sqrt() | F.relu(x) | F.gelu(x) | x.sigmoid() | x ** 2 | x * 2 | 1 - x | x.double()
x.to(torch.float64) | x.clone() | x.detach() | x.contiguous() | x.clamp(0, 1) | x.float() | x.bool()
torch.zeros_like(x) | torch.rand_like(x) | x.cumsum('C') | x.cumprod('C') | x.logcumsumexp('C') | x.cummax('C')[0]
x.cummax('C')[1] | x.softmax('C') | x.log_softmax('C') | F.softmax(x, 'C') | F.dropout(x) | x.masked_fill(x > 0, 0)
x.index_fill('C', torch.tensor([0]), 1.0) | x.narrow('C', 0, 2) | torch.narrow_copy(x, 'C', 0, 2)
x.split(2, 'C')[0] | x.split([1, 2], 'C')[1] | x.chunk(2, 'C')[1] | x.tensor_split(2, 'C')[0] | x[0:1] | x[..., 0:2]
x[...] | x[..., :] | x[0:2, ...] | x[:] | x[:, :, 1:] | x[::2] | F.max_pool1d(x, 2) | F.max_pool2d(x, 2)
nn.MaxPool2d(2)(x) | nn.MaxPool1d(2)(x) | F.adaptive_max_pool2d(x, 2) | F.adaptive_max_pool1d(x, 2)
F.max_pool2d(x, 2, return_indices=True)[1] | torch.bernoulli(x / 4) | torch.normal(x, 1.0) | x.sort('C')[0]
x.sort('C').indices | x.argsort('C') | x.topk(2, 'C')[0] | x.topk(2, 'C').indices
x.index_select('C', torch.tensor([1])) | x.index_add('C', torch.tensor([0]), x[:, :1]) | x.sum('C', keepdim=True)
x.index_copy('C', torch.tensor([0]), x[:, :1]) | x.gather('C', INDEX) | x.scatter('C', INDEX, 1.0)
x.scatter('C', INDEX, x) | x.scatter_add('C', INDEX, x) | x.scatter_reduce('C', INDEX, x, 'amax') | x.squeeze('C')
x.max('C', keepdim=True)[0]
"""
REMOVE = """
x.sum('C') | x.mean('C') | x.prod('C') | x.var('C') | x.std('C') | torch.var_mean(x, 'C')[0]
torch.var_mean(x, 'C')[1] | x.median('C')[0] | x.mode('C')[1] | x.kthvalue(1, 'C')[0] | x.max('C')[0]
x.max('C').indices | x.min('C')[0] | x.amax('C') | x.logsumexp('C') | x.argmax('C') | x.select('C', 0) | x[:, 0]
x.unbind('C')[1] | x[:, :1].squeeze('C') | x.norm(dim='C') | x.nansum('C') | x.count_nonzero('C') | x.sum(1)
x.sum(['C']) | x.aminmax(dim='C')[0]
"""


def lines(text):
    """The expressions of a table, one per cell."""
    return [cell.strip().replace("INDEX", INDEX) for line in text.strip().splitlines() for cell in line.split(" | ")]


def names_of(expression, **env):
    return eval(expression, {"torch": torch, "nn": nn, "F": F, "x": x(), **env}).names


# ---- the table, row by row
@pytest.mark.parametrize("expression", lines(KEEP))
def test_keeps(expression):
    assert names_of(expression) == ("N", "C", "H")


@pytest.mark.parametrize("expression", lines(REMOVE))
def test_removes(expression):
    assert names_of(expression) == ("N", "H")


def test_removes_several_or_all():
    assert x().sum(["N", "C"]).names == ("H",) == x().mean(("N", 1)).names
    assert x().sum().names == () == x()[0, 0, 0].names == x().max().names
    assert not x().sum().has_names()


@pytest.mark.parametrize("expression", [
    "x + y", "x * y", "y - x", "x / y", "x > y", "x == y", "torch.maximum(x, y)", "torch.atan2(x, y)", "x ** y",
    "torch.where(x > 0, x, y)", "torch.where(y > 0, y, x)", "torch.lerp(x, y, 0.5)", "torch.addcmul(x, y, y)",
    "torch.cat([x, x.rename(None, 'C', None)], dim='C')", "torch.cat([x.rename(None), x], 1)"])
def test_unifies(expression):
    assert names_of(expression, y=torch.ones(3, 1, names=("C", None))) == ("N", "C", "H")


def test_stack_puts_an_unnamed_dimension_between():
    assert torch.stack([x(), x().rename(None)], 1).names == ("N", None, "C", "H")
    assert torch.stack([x(), x()], -1).names == ("N", "C", "H", None)


def test_masked_select_checks_names_and_aligns_the_mask():
    whole = x()
    assert whole.masked_select(whole > 0).names == (None,)
    mask = torch.tensor([True, False, True], names=["C"])
    np.testing.assert_array_equal(whole.masked_select(mask).numpy(), whole.numpy()[:, [True, False, True]].reshape(-1))
    assert first_line("x.masked_select(torch.ones(4, names=['Q']) > 0)").startswith("Error when attempting")


def test_permutes():
    m = matrix("N", "C")
    assert m.t().names == m.T.names == m.mT.names == m.transpose(0, 1).names == ("C", "N")
    assert m.transpose("N", "C").names == m.swapaxes("C", "N").names == ("C", "N")
    assert x().permute(2, 0, 1).names == ("H", "N", "C") == x().permute("H", "N", "C").names
    assert x().movedim("H", 0).names == ("H", "N", "C")


def test_expands():
    assert x().expand(5, 2, 3, 4).names == (None, "N", "C", "H")
    assert (x() + torch.ones(5, 2, 3, 4)).names == (None, "N", "C", "H")
    assert x()[None].names == (None, "N", "C", "H") and x()[:, None, 0].names == ("N", None, "H")
    assert x()[..., None].names == ("N", "C", "H", None)


def test_contracts():
    a, b = torch.ones(2, 3, names=("N", "C")), torch.ones(3, 4, names=("K", "D"))
    assert torch.mm(a, b).names == (a @ b).names == torch.matmul(a, b).names == ("N", "D")
    assert torch.mv(a, torch.ones(3, names=("Z",))).names == ("N",)
    assert torch.dot(torch.ones(3, names=("A",)), torch.ones(3, names=("B",))).names == ()
    batches = torch.ones(5, 2, 3, names=("B", "N", "C")), torch.ones(5, 3, 4, names=(None, "K", "D"))
    assert torch.bmm(*batches).names == torch.matmul(*batches).names == ("B", "N", "D")
    assert torch.addmm(torch.ones(4, names=("D",)), a, b.rename(None)).names == ("N", "D")
    assert torch.addmv(torch.ones(2, names=("N",)), a.rename(None), torch.ones(3)).names == ("N",)
    assert torch.baddbmm(torch.ones(5, 2, 4), *batches).names == ("B", "N", "D")
    assert torch.outer(a[:, 0], b[0]).names == ("N", "D")
    assert F.linear(a, torch.ones(4, 3), torch.ones(4)).names == F.linear(a, torch.ones(4, 3)).names == ("N", None)


def test_factories():
    for make in (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn):
        assert make(2, 3, names=("N", None)).names == make((2, 3), names=["N", None]).names == ("N", None)
    assert torch.full((2,), 1.0, names=["N"]).names == ("N",) == torch.tensor([1, 2], names=["N"]).names
    assert torch.ones_like(x()).names == x().names


@pytest.mark.parametrize("write", [
    "a.add_(b)", "a.mul_(b)", "a.__iadd__(b)", "a.copy_(b)", "torch.add(b, 1, out=a)", "torch.mul(b, b, out=a)",
    "torch.sum(torch.stack([b, b]), 0, out=a)", "a.__setitem__(..., b)", "a.masked_fill_(b > 0, 1)"])
def test_in_place_names_are_equal_or_taken(write):
    b = matrix("N", "C")
    for mine in (("N", "C"), (None, None)):
        a = matrix(*mine)
        eval(write, {"torch": torch, "a": a, "b": b})
        assert a.names == ("N", "C")
    a = matrix("N", None)
    assert first_line(write, a=a, b=b) == (
        "Name mismatch: specified out tensor with names ['N', None] are not the same as the computed output names "
        "['N', 'C']. Please rename the out tensor's dims with `Tensor.rename`.")
    assert a.names == ("N", None) and torch.equal(a.rename(None), torch.ones(3, 3))


def test_out_with_names_wants_them_from_the_result():
    assert "names ['N', 'C'] are not the same as the computed output names [None, None]" in first_line(
        "torch.exp(torch.ones(3, 3), out=matrix('N', 'C'))")


def test_setitem():
    a = matrix("N", "C")
    a[0] = torch.full((3,), 2.0, names=("C",))
    a[:, 1] = torch.full((3,), 3.0)
    a[...] = a[None]                               # leading dimensions of size one don't count
    assert a.names == ("N", "C") and a.tolist() == [[2, 3, 2], [1, 3, 1], [1, 3, 1]]
    with pytest.raises(RuntimeError, match="dim 'C' and dim 'D' are at the same position"):
        a[0] = torch.ones(3, names=("D",))
    a[0, 0] = 7
    assert a.names == ("N", "C") and a[0, 0].item() == 7


def test_none():
    assert x().any().names == x().all().names == () and x().numel() == 24
    assert x().any("C").names == (None, None) and not x().all("C").has_names()
    assert x().fill_(1).names == x().zero_().names == ("N", "C", "H")
    assert matrix("N", "C")[0, 0].item() == 1


REFUSED = [
    ("x.unsqueeze(0)", "unsqueeze"), ("x.reshape(-1)", "reshape"), ("x.view(-1)", "view"), ("x.roll(1)", "roll"),
    ("x.roll(1, 'C')", "roll"), ("x.flip('C')", "flip"), ("x.tril()", "tril"), ("x.repeat(1, 1, 1)", "repeat"),
    ("x.repeat_interleave(2)", "repeat_interleave"), ("x.repeat_interleave(2, 'C')", "repeat_interleave"),
    ("F.cross_entropy(matrix('N', 'C'), torch.tensor([0, 1, 2]))", "cross_entropy"),
    ("F.nll_loss(matrix('N', 'C'), torch.tensor([0, 1, 2]))", "nll_loss"), ("F.mse_loss(x, x)", "mse_loss"),
    ("torch.nn.CrossEntropyLoss()(matrix('N', 'C'), torch.tensor([0, 1, 2]))", "cross_entropy"),
    ("x[x > 0]", "index"), ("x[[0, 1]]", "index"), ("x.__setitem__(x > 0, 1.0)", "index_put"),
    ("x.diag_embed()", "diag_embed"), ("matrix('N', 'C').diag()", "diag"), ("x.quantile(0.5)", "quantile"),
    ("F.avg_pool2d(x, 2)", "avg_pool2d"), ("F.conv1d(x, torch.ones(1, 3, 1))", "conv1d"), ("x.nonzero()", "nonzero"),
    ("F.layer_norm(x, (4,))", "layer_norm"), ("F.pad(x, (1, 1))", "pad"), ("x.take(torch.tensor([0]))", "take"),
    ("x.unique()", "unique"), ("x.tril_()", "tril_"), ("x.put_(torch.tensor([0]), torch.tensor([1.0]))", "put_"),
    ("torch.einsum('nch->n', x)", "einsum"), ("x.unfold(1, 1, 1)", "unfold"),
    ("x.unflatten('C', (3, 1))", "unflatten"), ("torch.vstack([x[0, 0]])", "vstack")]


@pytest.mark.parametrize("expression, op", REFUSED, ids=[line[0] for line in REFUSED])
def test_an_operation_without_a_rule_refuses_under_the_name_that_was_called(expression, op):
    assert first_line(expression) == (
        f"aten::{op} is not yet supported with named tensors. Please drop names via `tensor = tensor.rename(None)`, "
        "call the op with an unnamed tensor, and set names on the result of the operation.")


def test_the_repair_of_that_error_works():
    tensor = x()
    assert tensor.rename(None).roll(1).rename(*tensor.names).names == tensor.names


# ---- wherever `dim` takes an int it takes a name
def test_size_and_stride():
    assert x().size("C") == 3 and x().stride("C") == 4 and x().stride("N") == 12


def test_flatten_and_unflatten():
    image = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5).rename("N", "C", "H", "W")
    flat = image.flatten(["C", "H", "W"], "features")
    assert flat.names == ("N", "features") and flat.shape == (2, 60)
    assert image.flatten("H", "W", "pixels").names == ("N", "C", "pixels")
    assert image.flatten(["C"], "channels").names == ("N", "channels", "H", "W")
    back = flat.unflatten("features", (("C", 3), ("H", 4), ("W", 5)))
    assert back.names == image.names and torch.equal(back.rename(None), image.rename(None))
    assert flat.unflatten("features", [("C", 3), ("P", 20)]).names == ("N", "C", "P")


# ---- names themselves
def test_repr_shows_names_only_if_there_is_one():
    assert repr(torch.ones(2, names=("N",))) == "tensor([1., 1.], names=('N',))"
    assert repr(torch.ones(1, 2, names=(None, "C"))) == "tensor([[1., 1.]], names=(None, 'C'))"
    for unnamed in (matrix("N", "C").diagonal(), matrix("N", "C").sum(0).rename(None), torch.ones(2, names=(None,)),
                    matrix("N", "C").flatten(), torch.ones(3, 2, names=(None, "C"))[:, 0]):
        assert not unnamed.has_names() and "names" not in repr(unnamed) and unnamed.names == (None,)


def test_rename_refine_align():
    t = torch.ones(2, 3, names=("N", "C"))
    assert t.rename("A", "B").names == ("A", "B") and t.rename(None).names == (None, None)
    assert t.rename(N="batch").names == ("batch", "C") and t.rename("A", ...).names == ("A", "C") == t.rename(
        "A", "...").names
    t.rename_("A", "B")
    assert t.names == ("A", "B") and t.rename_(None).has_names() is False
    assert torch.ones(1, 2, 3).refine_names("N", ..., "C").names == ("N", None, "C")
    t.names = ["N", "C"]
    assert t.align_to("C", "H", "N").names == ("C", "H", "N") and t.align_to("C", "H", "N").shape == (3, 1, 2)
    assert t.align_to(..., "N").names == ("C", "N")
    channels = torch.ones(3, names=("C",)).align_as(x())
    assert channels.names == ("N", "C", "H") and channels.shape == (1, 3, 1)
    assert [a.names for a in torch.align_tensors(t, x())] == [("N", "C", "H")] * 2


# ---- first lines of errors
ERRORS = [
    ("matrix('N', 'C') + torch.ones(3, names=('N',))",
     "Error when attempting to broadcast dims ['N', 'C'] and dims ['N']: dim 'C' and dim 'N' are at the same position "
     "from the right but do not match."),
    ("torch.ones(3, names=('N',)) + matrix('N', None)",
     "Misaligned dims when attempting to broadcast dims ['N'] and dims ['N', None]: dim 'N' appears in a different "
     "position from the right across both lists."),
    ("torch.randn(3, 5, 5, names=('channels', 'rows', 'columns')) * torch.ones(3, names=['channels'])",
     "Error when attempting to broadcast dims ['channels', 'rows', 'columns'] and dims ['channels']: dim 'columns' and "
     "dim 'channels' are at the same position from the right but do not match."),
    ("x.masked_fill(torch.ones(5, names=['C']) > 0, 0)",
     "Error when attempting to broadcast dims ['N', 'C', 'H'] and dims ['C']: dim 'H' and dim 'C' are at the same "
     "position from the right but do not match."),
    ("matrix('N', 'C').sum('X')", "Name 'X' not found in Tensor['N', 'C']."),
    ("matrix('N', 'C').softmax('X')", "Name 'X' not found in Tensor['N', 'C']."),
    ("torch.mm(matrix('N', 'C'), matrix('C', 'N'))",
     "Matrix multiplying Tensor['N', 'C'] with Tensor['C', 'N'] would produce output tensor with duplicate names "
     "['N', 'N']. Please rename the input tensors with `Tensor.rename` to prevent this."),
    ("torch.ones(5, 2, 3, names=('B', 'N', 'C')) @ torch.ones(3, 5, names=(None, 'B'))",
     "Misaligned dims when batch matrix multiplying Tensor['B', 'N', 'C'] and Tensor[None, 'B']: there is overlap "
     "between the feature dims of the second tensor ([None, 'B']) and the batch dims of the first tensor (['B']). "
     "Please ensure batch dims are not present in the feature dims."),
    ("matrix('N', None).add_(matrix('N', 'C'))",
     "Name mismatch: specified out tensor with names ['N', None] are not the same as the computed output names "
     "['N', 'C']. Please rename the out tensor's dims with `Tensor.rename`."),
    ("torch.zeros(3, 3, names=['N'])",
     "Number of names (1) and number of dimensions in tensor (2) do not match. Attempted to create a tensor with names "
     "['N']"),
    ("torch.zeros(1, 2, 3, names=['N', 'C', 'N'])",
     "Cannot construct a tensor with duplicate names. Got names: ['N', 'C', 'N']."),
    ("torch.zeros(1, names=['1'])",
     "Invalid name: a valid identifier contains only digits, alphabetical characters, and/or underscore and starts "
     "with a non-digit. got: '1'."),
    ("x.rename('A', 'B', 'C', N='D')",
     "rename: This function takes either positional args or keyword args, but not both. Use tensor.rename(*names) to "
     "rename dims by position and tensor.rename(**rename_map) to rename by name."),
    ("torch.ones(1, names=['D']).refine_names('N')",
     "refine_names: cannot coerce Tensor['D'] to Tensor['N'] because 'D' is different from 'N' at index 0"),
    ("torch.ones(1, names=['D']).refine_names(None)",
     "refine_names: cannot coerce Tensor['D'] to Tensor[None] because 'D' is more specific than None at index 0"),
    ("torch.ones(1, names=['D']).refine_names('D', 'N')",
     "refine_names: cannot coerce Tensor['D'] to Tensor['D', 'N'] because they have a different number of dims (1 and "
     "2 respectively)."),
    ("torch.ones(1, 2, 3, 4, names=('C', 'N', 'H', 'W')).flatten(['C', 'H'], 'F')",
     "flatten(tensor, dims, out_dim): dims ['C', 'H'] must be consecutive in Tensor['C', 'N', 'H', 'W']"),
    ("x.flatten(['C', 'N'], 'F')",
     "flatten(tensor, dims, out_dim): dims ['C', 'N'] must be consecutive in Tensor['N', 'C', 'H']"),
    ("x.flatten([], 'F')", "flatten(tensor, dims, out_dim): dims cannot be empty")]


@pytest.mark.parametrize("expression, line", ERRORS, ids=[line[0] for line in ERRORS])
def test_errors(expression, line):
    assert first_line(expression) == line


def test_a_name_is_no_none():
    from tinygrad_edu.core import names
    with pytest.raises(RuntimeError, match=re.escape("Please look up dimensions by name, got: name = None.")):
        names.dim_index(("N",), None)


def test_wrong_types():
    for expression in ("torch.zeros(1, 2, names='NC')", "torch.tensor([[1]], names='NC')"):
        assert first_line(expression, TypeError) == "names must be a tuple or list of names, not str"
    for function in ("sum", "mean", "max", "any", "var"):
        assert first_line(f"x.{function}('N', 'C')", TypeError) == (
            f"{function}() received an invalid combination of arguments - got (str, str), but expected one of:")


def test_the_repair_of_a_broadcast_works():
    image, weights = torch.ones(3, 5, 5, names=("channels", "rows", "columns")), torch.ones(3, names=["channels"])
    with pytest.raises(RuntimeError, match=re.escape("with `b.align_as(a)`")):
        image * weights
    assert (image * weights.align_as(image)).names == image.names
    with pytest.raises(RuntimeError, match=re.escape("with `a.align_as(b)`")):
        weights * image
    with pytest.raises(RuntimeError) as caught:
        image * torch.ones(5, names=["other"])
    assert "align_as" not in str(caught.value)


# ---- gradients
DIFFERENTIABLE = [
    "x.exp()", "x * x", "x.sum('C')", "x.max('C')[0]", "x.cumsum('C')", "x.cumprod('C')", "x.softmax('C')",
    "x.sort('C')[0]", "x.topk(2, 'C')[0]", "x.index_select('C', torch.tensor([0, 0]))", "x[:, 1:]", "x[..., None]",
    "F.max_pool1d(x, 2)", "F.max_pool2d(x, 2)", "F.adaptive_max_pool2d(x, 2)", "torch.stack([x, x * 2], 1)",
    "torch.cat([x, x], 'C')", "x.masked_select(x > 2)", "x.flatten(['C', 'H'], 'F')", "x.align_to('H', 'B', 'N', 'C')",
    "x.unflatten('H', (('A', 2), ('B', 2)))", "x @ torch.ones(4, 2, names=('H', 'K'))", "x.var('C')", "x.std('C')",
    "torch.var_mean(x, 'C')[1]", "torch.std_mean(x, 'C')[0]", "x.aminmax(dim='C')[0]", "x.median('C')[0]",
    "x.gather('C', INDEX)", "x.scatter('C', INDEX, 1.0)", "x.scatter_add('C', INDEX, x[:, :1])", "x.logsumexp('C')",
    "x.scatter_reduce('C', INDEX, x, 'amax')", "x.index_add('C', torch.tensor([0]), x[:, :1])", "x.unbind('C')[1]",
    "torch.narrow_copy(x, 'C', 0, 2)", "F.linear(x, torch.ones(2, 4), torch.ones(2))", "x.clone().mul_(x)"]
UNNAMED = {"'N'": "0", "'C'": "1", "'H'": "2", ".flatten(['C', 'H'], 'F')": ".flatten(1, 2)",
           ".align_to('H', 'B', 'N', 'C')": ".permute(2, 0, 1).unsqueeze(1)", "('H', 'K')": "None",
           "(('A', 2), ('B', 2))": "(2, 2)"}


@pytest.mark.parametrize("expression", DIFFERENTIABLE)
def test_gradients_are_those_of_the_unnamed_tensor_and_unnamed(expression):
    expression, plain = expression.replace("INDEX", INDEX), expression.replace("INDEX", INDEX)
    for old in sorted(UNNAMED, key=len, reverse=True):
        plain = plain.replace(old, UNNAMED[old])
    found = []
    for leaf, line in ((x(), expression), (x().rename(None), plain)):
        leaf = leaf.detach().requires_grad_()
        out = eval(line, {"torch": torch, "F": F, "x": leaf})
        weights = torch.arange(out.numel() * 1.0).cos().reshape(out.shape)
        (out.rename(None) * weights).sum().backward()
        assert not leaf.grad.has_names()
        found.append((out.grad_fn.name(), out.detach().rename(None), leaf.grad))
    (mine, value, grad), (other, plain_value, plain_grad) = found
    assert mine == other and torch.equal(value, plain_value) and torch.equal(grad, plain_grad)


def test_nodes_of_named_products_are_those_of_products():
    a = torch.ones(2, 3, names=("N", "C")).requires_grad_()
    w, b = torch.ones(3, 4, names=(None, "D")), torch.ones(4)
    for node, out in (("MmBackward0", torch.mm(a, w)), ("MmBackward0", a @ w), ("AddmmBackward0", torch.addmm(b, a, w)),
                      ("MvBackward0", torch.mv(a, torch.ones(3))), ("ViewBackward0", a.flatten(["N", "C"], "F")),
                      ("AddmmBackward0", F.linear(a, torch.ones(4, 3), b)),
                      ("ViewBackward0", a.unflatten("C", (("A", 3), ("B", 1)))),
                      ("MulBackward0", torch.outer(a[0], w[0])), ("PermuteBackward0", a.align_to("C", "N"))):
        assert out.grad_fn.name() == node
        assert "Alias" not in str([edge[0] for edge in out.grad_fn.next_functions if edge[0] is not None])


def test_second_derivatives():
    a = x().double().detach().requires_grad_()
    grad, = torch.autograd.grad((a ** 3).sum("C").sum(), a, create_graph=True)
    assert not grad.has_names()
    grad.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), 6 * a.detach().numpy())


def test_writes_through_named_views_reach_their_base():
    a = x().detach().requires_grad_()
    b = a * 1
    b.flatten(["C", "H"], "F").mul_(2)
    b.sum().backward()
    assert b.names == ("N", "C", "H") and torch.equal(a.grad, torch.full((2, 3, 4), 2.0))
    with torch.no_grad():
        view = (b * 1).flatten(["C", "H"], "F")
    with pytest.raises(RuntimeError, match="A view was created in no_grad mode"):
        view.mul_(a.flatten(["C", "H"], "F"))


def test_a_saved_named_input_that_was_written_is_noticed():
    a, w = torch.ones(2, 3, names=("N", "C")) * 1, torch.ones(3, 4).requires_grad_()
    out = a @ w
    a.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_layers_and_optimizers():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.0), nn.Linear(4, 1))
    scale = torch.ones(3, names=("C",)).requires_grad_()
    inputs = torch.randn(8, 3, names=("N", "C"))
    for optimizer in (torch.optim.SGD([*model.parameters(), scale], 0.01, momentum=0.9),
                      torch.optim.Adam([*model.parameters(), scale], 0.01)):
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            out = model(inputs * scale)
            assert out.names == ("N", None)
            loss = (out.rename(None) - 1).square().mean()
            loss.backward()
            assert not scale.grad.has_names() and model[0].weight.grad.names == (None, None)
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] and scale.names == ("C",)


def test_save_refuses_names(tmp_path):
    with pytest.raises(RuntimeError, match="NYI: Named tensors don't support serialization"):
        torch.save(x(), tmp_path / "x.pt")
