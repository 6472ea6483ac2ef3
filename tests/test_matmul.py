"""Matrix products: what torch refuses and in which words, names of dimensions, nodes, and paths chosen for speed."""
from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu.core.export import functions

linear = functions["nn.functional.linear"]


def first_line(error):
    return str(error.value).splitlines()[0]


def ones(*shape, dtype=torch.float32, grad=False):
    return torch.ones(shape, dtype=dtype).requires_grad_(grad)


@pytest.mark.parametrize("name, left, right, sentence", [
    ("mm", (2, 3), (2, 3), "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"),
    ("mm", (3,), (2, 3), "self must be a matrix"),
    ("mm", (2, 3), (3,), "mat2 must be a matrix"),
    ("bmm", (2, 3), (2, 3, 4), "batch1 must be a 3D tensor"),
    ("bmm", (2, 2, 3), (3, 3, 4), "Expected size for first two dimensions of batch2 tensor to be: [2, 3] but got: [3, "
                                  "3]."),
    ("mv", (2, 3), (2,), "size mismatch, got input (2), mat (2x3), vec (2)"),
    ("mv", (3,), (3,), "vector + matrix @ vector expected, got 1, 1, 1"),
    ("dot", (3,), (4,), "inconsistent tensor size, expected tensor [3] and src [4] to have the same number of "
                        "elements, but got 3 and 4 elements respectively"),
    ("dot", (3,), (2, 3), "1D tensors expected, but got 1D and 2D tensors"),
    ("matmul", (3,), (2, 4), "mat1 and mat2 shapes cannot be multiplied (1x3 and 2x4)"),
    ("matmul", (4, 2, 3), (2, 4), "mat1 and mat2 shapes cannot be multiplied (8x3 and 2x4)"),
    ("matmul", (4, 2, 3), (2, 3, 5), "The size of tensor a (4) must match the size of tensor b (2) at non-singleton "
                                     "dimension 0"),
    ("matmul", (), (3,), "both arguments to matmul need to be at least 1D, but they are 0D and 1D"),
    ("outer", (2, 3), (3,), "outer: Expected 1-D argument self, but got 2-D"),
    ("inner", (3,), (3, 5),
     "inner() the last dimension must match on both input tensors but got shapes [3] and [3, 5]"),
])
def test_shapes_that_do_not_fit(name, left, right, sentence):
    with pytest.raises(RuntimeError) as error:
        getattr(torch, name)(ones(*left), ones(*right))
    assert first_line(error) == sentence


def test_the_drawing_offers_repairs_that_work():
    a, b = ones(2, 3), ones(2, 3)
    with pytest.raises(RuntimeError) as error:
        a @ b
    assert "with `b.T` the result is (2, 2)" in str(error.value) and (a @ b.T).shape == (2, 2)
    assert "with `a.T` the result is (3, 3)" in str(error.value) and (a.T @ b).shape == (3, 3)


@pytest.mark.parametrize("name, sentence", [
    ("mm", "expected m1 and m2 to have the same dtype, but got: float != double"),
    ("bmm", "expected scalar type Float but found Double"),
    ("mv", "addmv input tensors must have the same dtype, but got Double, Float, and Double"),
    ("dot", "dot : expected both vectors to have same dtype, but found Float and Double"),
    ("inner", "both inputs should have same dtype"),
])
def test_dtypes_that_differ(name, sentence):
    shapes = {"mm": ((2, 3), (3, 4)), "bmm": ((1, 2, 3), (1, 3, 4)), "mv": ((2, 3), (3,))}.get(name, ((3,), (3,)))
    with pytest.raises(RuntimeError) as error:
        getattr(torch, name)(ones(*shapes[0]), ones(*shapes[1], dtype=torch.float64))
    assert first_line(error) == sentence


def test_what_is_no_tensor():
    with pytest.raises(TypeError, match=r"mm\(\): argument 'mat2' \(position 2\) must be Tensor, not float"):
        torch.mm(ones(2, 3), 3.0)
    with pytest.raises(TypeError, match="unsupported operand type"):
        ones(2, 3) @ 3
    with pytest.raises(TypeError, match="unsupported operand type"):
        3 @ ones(2, 3)


def test_addmm_refuses_like_torch():
    for shapes, sentence in ((((3,), (2, 3), (3, 4)), "The expanded size of the tensor (4) must match the existing "
                                                      "size (3) at non-singleton dimension 1.  Target sizes: [2, 4].  "
                                                      "Tensor sizes: [3]"),
                             (((2, 4), (3,), (2, 4)), "mat1 must be a matrix, got 1-D tensor")):
        with pytest.raises(RuntimeError) as error:
            torch.addmm(*[ones(*shape) for shape in shapes])
        assert first_line(error) == sentence
    with pytest.raises(RuntimeError, match="self and mat2 must have the same dtype, but got Double and Float"):
        torch.addmm(ones(2, 4, dtype=torch.float64), ones(2, 3), ones(3, 4))
    assert torch.addmm(torch.full((2, 4), float("nan")), ones(2, 3), ones(3, 4), beta=0).tolist() == [[3.0] * 4] * 2


def test_linear_explains_its_features():
    with pytest.raises(RuntimeError) as error:
        linear(ones(3, 5), ones(2, 4), ones(2))
    assert first_line(error) == "mat1 and mat2 shapes cannot be multiplied (3x5 and 4x2)"
    with pytest.raises(RuntimeError) as error:
        linear(ones(3, 5), ones(2, 4))
    assert "in_features=4" in str(error.value)


@pytest.mark.parametrize("make, node", [
    (lambda: ones(2, 3, grad=True) @ ones(3, 4), "MmBackward0"),
    (lambda: ones(2, 3, grad=True) @ ones(3), "MvBackward0"),
    (lambda: ones(3, grad=True) @ ones(3), "DotBackward0"),
    (lambda: ones(3, grad=True) @ ones(3, 2), "SqueezeBackward4"),
    (lambda: ones(2, 2, 3, grad=True) @ ones(3, 2), "UnsafeViewBackward0"),
    (lambda: ones(2, 3, grad=True) @ ones(2, 3, 2), "CloneBackward0"),
    (lambda: linear(ones(2, 3), ones(4, 3, grad=True), ones(4)), "AddmmBackward0"),
    (lambda: linear(ones(2, 3), ones(4, 3, grad=True)), "MmBackward0"),
    (lambda: linear(ones(5, 2, 3), ones(4, 3, grad=True), ones(4)), "ViewBackward0"),
])
def test_nodes(make, node):
    assert make().grad_fn.name() == node


def test_a_batched_product_is_no_view():
    """In torch's sense: writing into it needs no base."""
    x = ones(2, 2, 3, grad=True)
    y = x @ ones(3, 2)
    assert y._base is None
    y += 1
    assert y.grad_fn.name() == "AddBackward0"


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8])
def test_integers_wrap_around(dtype):
    a = torch.full((2, 300), 100, dtype=dtype)
    expected = (a._array.astype(np.int64) @ a._array.astype(np.int64).T).astype(dtype.numpy)
    assert (a @ a.T).tolist() == expected.tolist()


def test_float16_adds_up_in_float32():
    a = torch.full((1, 4096), 1.0, dtype=torch.float16)
    assert (a @ a.T).item() == 4096.0


def test_wide_layers_take_the_transposed_product():
    """A path of its own for few rows of many features: same numbers, contiguous."""
    rng = np.random.default_rng(0)
    x, w, b = (torch.from_numpy(rng.standard_normal(shape)).requires_grad_() for shape in ((3, 256), (7, 256), (7,)))
    out = linear(x, w, b)
    np.testing.assert_allclose(out.detach().numpy(), x.detach().numpy() @ w.detach().numpy().T + b.detach().numpy(),
                               1e-13)
    assert out.is_contiguous()
    assert torch.autograd.gradcheck(linear, (x, w, b))


def test_names_of_dimensions():
    a, b = torch.ones(2, 3, names=("N", "C")), torch.ones(3, 4, names=(None, "D"))
    assert (a @ b).names == ("N", "D") == torch.mm(a, b).names
    assert torch.mv(a, torch.ones(3)).names == ("N",)
    assert torch.dot(torch.ones(3, names=("C",)), torch.ones(3, names=("C",))).names == ()
    assert (torch.ones(5, 2, 3, names=("B", "N", "C")) @ torch.ones(3, 4, names=("C", "D"))).names == ("B", "N", "D")
    assert linear(a, torch.ones(4, 3), torch.ones(4)).names == ("N", None)
    assert torch.addmm(torch.ones(4, names=("D",)), a, torch.ones(3, 4)).names == ("N", "D")
    with pytest.raises(RuntimeError, match=r"Matrix multiplying Tensor\['N', 'C'\] with Tensor\['C', 'N'\] would "
                                           "produce output"):
        a @ a.T
    with pytest.raises(RuntimeError, match="Misaligned dims when batch matrix multiplying"):
        torch.ones(5, 2, 3, names=("B", "N", "C")) @ torch.ones(3, 5, names=(None, "B"))
    x = torch.ones(2, 3, names=("N", "C")).requires_grad_()
    (x @ torch.ones(3, 4)).sum().backward()
    assert x.grad.tolist() == [[4.0] * 3] * 2


@pytest.mark.parametrize("equation, shapes, sentence", [
    ("ij,jk->iz", ((2, 3), (3, 4)), "output subscript z does not appear in the equation for any input operand"),
    ("ij,jk->iik", ((2, 3), (3, 4)), "output subscript i appears more than once in the output"),
    ("ijk,jk", ((2, 3), (3, 4)), "the number of subscripts in the equation (3) does not match the number of dimensions "
                                 "(2) for operand 0 and no ellipsis was given"),
    ("ij,ik", ((2, 3), (3, 4)), "subscript i has size 3 for operand 1 which does not broadcast with previously seen "
                                "size 2"),
    ("ii", ((2, 3),), "subscript i is repeated for operand 0 but the sizes don't match, 3 != 2"),
    ("ij,jk", ((2, 3),), "fewer operands were provided than specified in the equation"),
    ("ij", ((2, 3), (2, 3)), "more operands were provided than specified in the equation"),
    ("i1", ((2, 3),), "invalid subscript given at index 1 in the equation string, subscripts must be in [a-zA-Z]"),
    ("..ij", ((2, 3),), "found '.' for operand 0 that is not part of any ellipsis"),
    ("i...,i...", ((2, 3), (2, 4)), "dimension 1 covered by ellipsis in operand 1has size 4 which does not broadcast "
                                    "with previously seen ellipsis with size 3 for the respective dimension"),
])
def test_einsum_refuses_like_torch(equation, shapes, sentence):
    with pytest.raises(RuntimeError) as error:
        torch.einsum(equation, *[ones(*shape) for shape in shapes])
    assert first_line(error) == "einsum(): " + sentence


def test_multi_dot_takes_the_cheapest_order():
    from tinygrad_edu.ops.einsum import cheapest
    assert cheapest([10, 1000, 2, 500])[0, 2] == 1 and cheapest([2, 500, 1000, 1])[0, 2] == 0


def test_cross_without_dim_warns_and_takes_the_first_of_three():
    with pytest.warns(UserWarning, match="Using torch.cross without specifying the dim arg is deprecated"):
        assert torch.cross(torch.eye(3)[0:1], torch.eye(3)[1:2]).tolist() == [[0.0, 0.0, 1.0]]
