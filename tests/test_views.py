"""Views: shapes, strides, offsets and names of nodes are torch's; memory is shared; joins and their refusals."""
from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import tinygrad_edu as torch

# shape of x, expression, then what torch 2.13 says: shape, strides, offset, is_contiguous, node
LAYOUTS = [
    ([], 'x.unsqueeze(0)', (1,), (1,), 0, True, 'UnsqueezeBackward0'),
    ([], 'x.expand(2)', (2,), (0,), 0, False, 'ExpandBackward0'),
    ([], 'x.expand(1, 1)', (1, 1), (0, 0), 0, True, 'ExpandBackward0'),
    ([], 'x.flatten()', (1,), (1,), 0, True, 'ViewBackward0'),
    ([], 'x.view(1, 1, 1)', (1, 1, 1), (1, 1, 1), 0, True, 'ViewBackward0'),
    ([], 'x.unfold(0, 1, 1)', (1,), (1,), 0, True, 'UnfoldBackward0'),
    ([], 'x.T', (), (), 0, True, 'PermuteBackward0'),
    ([3], 'x.unsqueeze(0)', (1, 3), (3, 1), 0, True, 'UnsqueezeBackward0'),
    ([3], 'x.unsqueeze(1)', (3, 1), (1, 1), 0, True, 'UnsqueezeBackward0'),
    ([3], 'x.expand(2, 3)', (2, 3), (0, 1), 0, False, 'ExpandBackward0'),
    ([3], 'x.expand(1, 3)', (1, 3), (3, 1), 0, True, 'ExpandBackward0'),
    ([3], 'x.t()', (3,), (1,), 0, True, 'TBackward0'),
    ([3], 'x[::2]', (2,), (2,), 0, False, 'SliceBackward0'),
    ([3], 'x[3:]', (0,), (1,), 3, True, 'SliceBackward0'),
    ([3], 'x[1:1]', (0,), (1,), 1, True, 'SliceBackward0'),
    ([3], 'x.unfold(0, 2, 1)', (2, 2), (1, 1), 0, False, 'UnfoldBackward0'),
    ([3], 'x.as_strided((2, 2), (1, 1))', (2, 2), (1, 1), 0, False, 'AsStridedBackward0'),
    ([3], 'x.unbind()[2]', (), (), 2, True, 'UnbindBackward0'),
    ([2, 3], 'x.t()', (3, 2), (1, 3), 0, False, 'TBackward0'),
    ([2, 3], 'x.t().view(3, 2)', (3, 2), (1, 3), 0, False, 'ViewBackward0'),
    ([2, 3], 'x.t().reshape(6)', (6,), (1,), 0, True, 'UnsafeViewBackward0'),
    ([2, 3], 'x.t().flatten()', (6,), (1,), 0, True, 'UnsafeViewBackward0'),
    ([2, 3], 'x.t().contiguous()', (3, 2), (2, 1), 0, True, 'CloneBackward0'),
    ([2, 3], 'x.t().clone()', (3, 2), (1, 3), 0, False, 'CloneBackward0'),
    ([2, 3], 'x[1]', (3,), (1,), 3, True, 'SelectBackward0'),
    ([2, 3], 'x[-1]', (3,), (1,), 3, True, 'SelectBackward0'),
    ([2, 3], 'x[:, 1]', (2,), (3,), 1, False, 'SelectBackward0'),
    ([2, 3], 'x[:, 1:]', (2, 2), (3, 1), 1, False, 'SliceBackward0'),
    ([2, 3], 'x[:, 1:].flatten()', (4,), (1,), 0, True, 'UnsafeViewBackward0'),
    ([2, 3], 'x[:, 1:][1]', (2,), (1,), 4, True, 'SelectBackward0'),
    ([2, 3], 'x[None]', (1, 2, 3), (6, 3, 1), 0, True, 'UnsqueezeBackward0'),
    ([2, 3], 'x[..., None]', (2, 3, 1), (3, 1, 1), 0, True, 'UnsqueezeBackward0'),
    ([2, 3], 'x[...]', (2, 3), (3, 1), 0, True, 'AliasBackward0'),
    ([2, 3], 'x[:]', (2, 3), (3, 1), 0, True, 'SliceBackward0'),
    ([2, 3], 'x[:, :]', (2, 3), (3, 1), 0, True, 'AliasBackward0'),
    ([2, 3], 'x[0:2]', (2, 3), (3, 1), 0, True, 'SliceBackward0'),
    ([2, 3], 'x.diagonal()', (2,), (4,), 0, False, 'DiagonalBackward0'),
    ([2, 3], 'x.diagonal(1)', (2,), (4,), 1, False, 'DiagonalBackward0'),
    ([2, 3], 'x.diagonal(-1)', (1,), (4,), 3, True, 'DiagonalBackward0'),
    ([2, 3], 'x.diagonal(5)', (0,), (4,), 0, True, 'DiagonalBackward0'),
    ([2, 3], 'x.unfold(1, 2, 1)', (2, 2, 2), (3, 1, 1), 0, False, 'UnfoldBackward0'),
    ([2, 3], 'x.split(2, 1)[1]', (2, 1), (3, 1), 2, False, 'SplitBackward0'),
    ([2, 3], 'x.split([1, 1], 0)[1]', (1, 3), (3, 1), 3, True, 'SplitWithSizesBackward0'),
    ([2, 3], 'x.chunk(2, 1)[0]', (2, 2), (3, 1), 0, False, 'SplitBackward0'),
    ([2, 3], 'x.tensor_split(2, 1)[1]', (2, 1), (3, 1), 2, False, 'SliceBackward0'),
    ([2, 3], 'x.hsplit([1])[1]', (2, 2), (3, 1), 1, False, 'SliceBackward0'),
    ([2, 3], 'x.vsplit(2)[1]', (1, 3), (3, 1), 3, True, 'SliceBackward0'),
    ([2, 3], 'x.unbind(1)[2]', (2,), (3,), 2, False, 'UnbindBackward0'),
    ([2, 3], 'x.narrow(1, 1, 2)', (2, 2), (3, 1), 1, False, 'SliceBackward0'),
    ([2, 3], 'x.select(1, 2)', (2,), (3,), 2, False, 'SelectBackward0'),
    ([2, 3], 'x.detach()', (2, 3), (3, 1), 0, True, None),
    ([2, 3], 'x.view_as(x)', (2, 3), (3, 1), 0, True, 'ViewBackward0'),
    ([2, 3], 'x.ravel()', (6,), (1,), 0, True, 'ViewBackward0'),
    ([2, 3], 'x.permute(1, 0)', (3, 2), (1, 3), 0, False, 'PermuteBackward0'),
    ([2, 3], 'x.swapaxes(0, 1)', (3, 2), (1, 3), 0, False, 'TransposeBackward0'),
    ([2, 3], 'x.movedim(0, 1)', (3, 2), (1, 3), 0, False, 'PermuteBackward0'),
    ([2, 3], 'x.mT', (3, 2), (1, 3), 0, False, 'TransposeBackward0'),
    ([2, 3], 'x.H', (3, 2), (1, 3), 0, False, 'TransposeBackward0'),
    ([2, 3], 'x.adjoint()', (3, 2), (1, 3), 0, False, 'TransposeBackward0'),
    ([2, 3], 'x.view(-1)', (6,), (1,), 0, True, 'ViewBackward0'),
    ([2, 3], 'x.view(3, 2)', (3, 2), (2, 1), 0, True, 'ViewBackward0'),
    ([2, 3], 'x.view(1, 6, 1)', (1, 6, 1), (6, 1, 1), 0, True, 'ViewBackward0'),
    ([2, 3], 'x.unflatten(1, (3, 1))', (2, 3, 1), (3, 1, 1), 0, True, 'ViewBackward0'),
    ([2, 3], 'x.flatten(0, 0)', (2, 3), (3, 1), 0, True, None),
    ([2, 3], 'x.squeeze()', (2, 3), (3, 1), 0, True, 'SqueezeBackward0'),
    ([1, 3, 1], 'x.squeeze()', (3,), (1,), 0, True, 'SqueezeBackward0'),
    ([1, 3, 1], 'x.squeeze(0)', (3, 1), (1, 1), 0, True, 'SqueezeBackward1'),
    ([1, 3, 1], 'x.squeeze((0, 2))', (3,), (1,), 0, True, 'SqueezeBackward2'),
    ([1, 3, 1], 'x.squeeze(1)', (1, 3, 1), (3, 1, 1), 0, True, 'SqueezeBackward1'),
    ([1, 3, 1], 'x.expand(2, 3, 4)', (2, 3, 4), (0, 1, 0), 0, False, 'ExpandBackward0'),
    ([1, 3, 1], 'x.expand(-1, -1, 2)', (1, 3, 2), (3, 1, 0), 0, False, 'ExpandBackward0'),
    ([1, 3, 1], 'x.expand(2, 1, 3, 1)', (2, 1, 3, 1), (0, 3, 1, 1), 0, False, 'ExpandBackward0'),
    ([1, 3, 1], 'x.transpose(0, 2)', (1, 3, 1), (1, 1, 3), 0, True, 'TransposeBackward0'),
    ([1, 3, 1], 'x.flatten()', (3,), (1,), 0, True, 'ViewBackward0'),
    ([1, 3, 1], 'x.view(3)', (3,), (1,), 0, True, 'ViewBackward0'),
    ([1, 3, 1], 'x.expand(2, 3, 1).reshape(6)', (6,), (1,), 0, True, 'UnsafeViewBackward0'),
    ([1, 3, 1], 'x.expand(2, 3, 1).clone()', (2, 3, 1), (3, 1, 1), 0, True, 'CloneBackward0'),
    ([2, 1, 3], 'x.permute(2, 0, 1)', (3, 2, 1), (1, 3, 3), 0, False, 'PermuteBackward0'),
    ([2, 1, 3], 'x.movedim((0, 1), (2, 0))', (1, 3, 2), (3, 1, 3), 0, False, 'PermuteBackward0'),
    ([2, 1, 3], 'x.transpose(0, 1)', (1, 2, 3), (3, 3, 1), 0, True, 'TransposeBackward0'),
    ([2, 1, 3], 'x.transpose(0, 2).view(3, 2)', (3, 2), (1, 3), 0, False, 'ViewBackward0'),
    ([2, 1, 3], 'x.transpose(0, 2).clone()', (3, 1, 2), (1, 3, 3), 0, False, 'CloneBackward0'),
    ([2, 1, 3], 'x.dsplit(3)[2]', (2, 1, 1), (3, 3, 1), 2, False, 'SliceBackward0'),
    ([2, 1, 3], 'x.diagonal(0, 0, 2)', (1, 2), (3, 4), 0, False, 'DiagonalBackward0'),
    ([2, 1, 3], 'x.diagonal(1, 2, 0)', (1, 1), (3, 4), 3, True, 'DiagonalBackward0'),
    ([2, 1, 3], 'x.mT', (2, 3, 1), (3, 1, 3), 0, True, 'TransposeBackward0'),
    ([2, 0, 3], 'x.unsqueeze(1)', (2, 1, 0, 3), (3, 0, 3, 1), 0, True, 'UnsqueezeBackward0'),
    ([2, 0, 3], 'x.transpose(0, 2)', (3, 0, 2), (1, 3, 3), 0, True, 'TransposeBackward0'),
    ([2, 0, 3], 'x.view(0)', (0,), (1,), 0, True, 'ViewBackward0'),
    ([2, 0, 3], 'x.view(3, 0)', (3, 0), (1, 1), 0, True, 'ViewBackward0'),
    ([2, 0, 3], 'x.reshape(0, 7)', (0, 7), (7, 1), 0, True, 'ViewBackward0'),
    ([2, 0, 3], 'x.select(0, 1)', (0, 3), (3, 1), 3, True, 'SelectBackward0'),
    ([2, 0, 3], 'x[:, :, 1]', (2, 0), (3, 3), 1, True, 'SelectBackward0'),
    ([2, 0, 3], 'x.expand(2, 2, 0, 3)', (2, 2, 0, 3), (0, 3, 3, 1), 0, True, 'ExpandBackward0'),
    ([2, 0, 3], 'x.flatten(1)', (2, 0), (1, 1), 0, True, 'ViewBackward0'),
    ([2, 0, 3], 'x.clone()', (2, 0, 3), (3, 3, 1), 0, True, 'CloneBackward0'),
    ([2, 0, 3], 'x.split(1)[1]', (1, 0, 3), (3, 3, 1), 3, True, 'SplitBackward0'),
    ([0], 'x.expand(3, 0)', (3, 0), (0, 1), 0, True, 'ExpandBackward0'),
    ([0], 'x.unsqueeze(0)', (1, 0), (0, 1), 0, True, 'UnsqueezeBackward0'),
    ([0], 'x.unfold(0, 0, 1)', (1, 0), (1, 1), 0, True, 'UnfoldBackward0'),
    ([0], 'x.view(0, 2)', (0, 2), (2, 1), 0, True, 'ViewBackward0'),
    ([4, 6], 'x.view(torch.int32)', (4, 6), (6, 1), 0, True, None),
    ([4, 6], 'x.view(torch.float64)', (4, 3), (3, 1), 0, True, None),
    ([4, 6], 'x[1:, 2:].view(torch.float64)', (3, 2), (3, 1), 4, False, None),
    ([4, 6], 'x[1].view(torch.int16)', (12,), (1,), 12, True, None),
    ([4, 6], 'x.as_strided((2, 3), (6, 2), 1)', (2, 3), (6, 2), 1, False, 'AsStridedBackward0'),
    ([4, 6], 'x[1:3, ::2].as_strided((2, 2), (1, 2))', (2, 2), (1, 2), 6, False, 'AsStridedBackward0'),
    ([4, 6], 'x[1:3, ::2].t().flatten()', (6,), (1,), 0, True, 'UnsafeViewBackward0'),
    ([4, 6], 'x.view(2, 2, 3, 2).permute(0, 2, 1, 3).reshape(2, 3, 4)', (2, 3, 4), (12, 4, 1), 0, True,
     'UnsafeViewBackward0'),
    ([4, 6], 'x.view(2, 2, 3, 2).permute(0, 2, 1, 3).flatten(2)', (2, 3, 4), (12, 4, 1), 0, True,
     'UnsafeViewBackward0'),
    ([4, 6], 'x.view(2, 2, 6).flatten(0, 1)', (4, 6), (6, 1), 0, True, 'ViewBackward0'),
    ([4, 6], 'x[:, ::3].view(4, 2, 1)', (4, 2, 1), (6, 3, 3), 0, False, 'ViewBackward0'),
    ([4, 6], 'x[::2].view(2, 3, 2)', (2, 3, 2), (12, 2, 1), 0, False, 'ViewBackward0'),
]


def leaf(lib, shape):
    return lib.arange(float(np.prod(shape))).reshape(shape).clone().requires_grad_()


def layout_of(x):
    return (tuple(x.shape), tuple(x.stride()), x.storage_offset(), x.is_contiguous(),
            None if x.grad_fn is None else x.grad_fn.name())


@pytest.mark.parametrize(("shape", "expression", "size", "strides", "offset", "contiguous", "node"), LAYOUTS)
def test_layouts(shape, expression, size, strides, offset, contiguous, node):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")            # x.T of other than two dimensions
        found = eval(expression, {"torch": torch, "x": leaf(torch, shape)})
    assert layout_of(found) == (size, strides, offset, contiguous, node)


# ---- memory
def test_views_share_memory_and_copies_do_not():
    x = torch.arange(6.0).reshape(2, 3)
    shares = [x.t(), x[0], x[:, 1], x.view(3, 2), x.unsqueeze(0), x.expand(2, 2, 3), x.diagonal(), x.split(1)[0],
              x.detach(), x.data,
              x.reshape(6), x.flatten(), x.ravel(), x.unfold(1, 2, 1), x.as_strided((2,), (3,)), x.view(torch.int32),
              x.squeeze(), x.mT,
              x.contiguous(), x.to(torch.float32), x.numpy(), torch.from_numpy(x.numpy())]
    copies = [x.clone(), x.t().reshape(6), x.t().contiguous(), x[[0]], x[x > -1], x.repeat(1, 1), x.double(),
              torch.cat([x]),
              x.narrow_copy(0, 0, 1), x.index_select(0, torch.tensor([0, 1])), torch.diag(x), x.flip(0),
              x.roll(0, 0), x + 0]
    x.fill_(9)
    assert all(float(np.asarray(s).reshape(-1)[0]) != 0 for s in shares if s.dtype is not torch.int32)
    assert all(c.reshape(-1)[0].item() != 9 or c.numel() == 0 for c in copies)


def test_data_ptr():
    x = torch.arange(6.0).reshape(2, 3)
    assert x[1].data_ptr() == x.data_ptr() + 3 * x.element_size()
    assert x[:, 2:].data_ptr() - x.data_ptr() == 8 and x.t().data_ptr() == x.data_ptr()
    assert x[2:].data_ptr() == 0 and x.clone().data_ptr() != x.data_ptr()
    assert x[1].is_set_to(x[1]) and not x[1].is_set_to(x[0])


def test_the_base_of_a_view_is_no_view():
    x = torch.arange(6.0)
    base = x.view(2, 3)
    assert base._base is x and base[0][1:]._base is x and base.detach()._base is None and x._base is None
    assert x.expand(2, 6).reshape(12)._base is None


def test_bytes_of_another_type():
    x = torch.tensor([1.0, -2.0])
    assert x.view(torch.int32).tolist() == [1065353216, -1073741824]
    assert x.view(torch.uint8).tolist() == [0, 0, 128, 63, 0, 0, 0, 192]
    assert x.view(torch.uint8).view(torch.float32).tolist() == [1, -2]
    x.view(torch.int32)[0] = 0
    assert x.tolist() == [0, -2] and x._version == 1


def test_names_move_along():
    x = torch.zeros(2, 3, 4, names=("N", "C", "L"))
    assert x.transpose("N", "L").names == ("L", "C", "N") and x.permute(2, 0, 1).names == ("L", "N", "C")
    assert x.select("C", 0).names == ("N", "L") and x[0].names == ("C", "L") and x[:, 1:].names == ("N", "C", "L")
    assert x.unbind("N")[0].names == ("C", "L") and x.split(2, "C")[0].names == ("N", "C", "L")
    assert x.sum("C", keepdim=True).squeeze("C").names == ("N", "L")
    assert torch.zeros(3, names=("C",)).expand(2, 3).names == (None, "C")
    assert torch.cat([x, x], dim="N").names == ("N", "C", "L") and torch.cat([x, x], dim="N").shape == (4, 3, 4)
    for refused in (lambda: x.unsqueeze(0), lambda: x.view(24), lambda: x.flip(0)):
        with pytest.raises(RuntimeError, match="is not yet supported with named tensors"):
            refused()


# ---- joins
def test_types_of_joins():
    """torch's promotion; a 1-d tensor without elements is skipped, but its type counts."""
    i, f, d = torch.tensor([1]), torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64)
    assert torch.cat([i, f]).dtype is torch.float32 and torch.stack([f, d]).dtype is torch.float64
    assert torch.cat([i, torch.tensor([], dtype=torch.float64)]).dtype is torch.float64
    assert torch.cat([i.bool(), i.to(torch.uint8), i.to(torch.int8)]).dtype is torch.int16
    assert torch.cat([torch.zeros(2, 3), torch.tensor([])]).shape == (2, 3)
    assert torch.cat([torch.zeros(0, 3), torch.zeros(2, 3)]).shape == (2, 3)


def test_out_of_a_join():
    out = torch.empty(0)
    assert torch.cat([torch.ones(2), torch.zeros(1)], out=out) is out and out.tolist() == [1, 1, 0]
    assert torch.stack([torch.ones(2)] * 2, out=out).shape == (2, 2)


# ---- refusals: torch 2.13's first lines
JOIN_ERRORS = [
    ('torch.cat([])', ValueError, 'torch.cat(): expected a non-empty list of Tensors'),
    ('torch.cat(x)', TypeError, "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"),
    ('torch.cat(3)', TypeError, "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not int"),
    ('torch.cat([x,3])', TypeError, 'expected Tensor as element 1 in argument 0, but got int'),
    ('torch.cat([torch.tensor(1.)])', RuntimeError, 'zero-dimensional tensor (at position 0) cannot be concatenated'),
    ('torch.cat([x,x],5)', IndexError, 'Dimension out of range (expected to be in range of [-3, 2], but got 5)'),
    ('torch.cat([x,y])', RuntimeError, 'Tensors must have same number of dimensions: got 3 and 2'),
    ('torch.cat([x,x[:,:2]])', RuntimeError,
     'Sizes of tensors must match except in dimension 0. Expected size 3 but got size 2 for tensor number 1 '
     'in the list.'),
    ('torch.cat([x,torch.zeros(0,3)])', RuntimeError, 'Tensors must have same number of dimensions: got 3 and 2'),
    ('torch.stack([a,i])', RuntimeError,
     'stack expects each tensor to be equal size, but got [3] at entry 0 and [2] at entry 1'),
    ('torch.stack([])', RuntimeError, 'stack expects a non-empty TensorList'),
    ('torch.stack([a,y])', RuntimeError,
     'stack expects each tensor to be equal size, but got [3] at entry 0 and [2, 3] at entry 1'),
    ('torch.stack([a,b])', RuntimeError,
     'stack expects each tensor to be equal size, but got [3] at entry 0 and [4] at entry 1'),
    ('torch.stack([a,a],2)', IndexError, 'Dimension out of range (expected to be in range of [-2, 1], but got 2)'),
    ('torch.stack([a,a],-3)', IndexError, 'Dimension out of range (expected to be in range of [-2, 1], but got -3)'),
    ('torch.stack(3)', TypeError, "stack(): argument 'tensors' (position 1) must be tuple of Tensors, not int"),
    ('torch.vstack([a,b])', RuntimeError,
     'Sizes of tensors must match except in dimension 0. Expected size 3 but got size 4 for tensor number 1 '
     'in the list.'),
    ('torch.hstack([])', RuntimeError, 'hstack expects a non-empty TensorList'),
    ('torch.vstack([])', RuntimeError, 'vstack expects a non-empty TensorList'),
    ('torch.column_stack([])', RuntimeError, 'column_stack expects a non-empty TensorList'),
    ("torch.meshgrid([a,b],indexing='zz')", RuntimeError,
     'torch.meshgrid: indexing must be one of "xy" or "ij", but received: zz'),
    ("torch.meshgrid(a,i,indexing='ij')", RuntimeError, 'meshgrid expects all tensors to have the same dtype'),
    ('torch.cartesian_prod(y)', RuntimeError, 'Expect a 1D vector, but got shape [2, 3]'),
    ('x.repeat(2)', RuntimeError,
     'Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor'),
    ('x.repeat(-1,1,1)', RuntimeError, 'Trying to create tensor with negative dimension -2: [-2, 3, 4]'),
    ('x.repeat_interleave(torch.tensor([1,2,3]),dim=0)', RuntimeError,
     'repeats must have the same size as input along dim, but got repeats.size(0) = 3 and input.size(0) = 2'),
    ('x.repeat_interleave(torch.tensor([-1,2]),dim=0)', RuntimeError, 'repeats can not be negative'),
    ('x.repeat_interleave(torch.tensor([1.,2]),dim=0)', NotImplementedError,
     '"repeat_interleave_cpu" not implemented for \'Float\''),
    ('x.repeat_interleave(-1,dim=0)', RuntimeError, 'Repeats must be non-negative'),
    ('torch.roll(x,(1,2),0)', RuntimeError, 'shifts and dimensions must align. shifts: 2, dims:1'),
    ('torch.roll(x,(1,2))', RuntimeError, 'shifts and dimensions must align. shifts: 2, dims:0'),
    ('torch.roll(x,1,5)', IndexError, 'Dimension out of range (expected to be in range of [-3, 2], but got 5)'),
    ('torch.flip(x,(0,0))', RuntimeError, 'dim 0 appears multiple times in the list of dims'),
    ('torch.flip(x,(5,))', IndexError, 'Dimension out of range (expected to be in range of [-3, 2], but got 5)'),
    ('a.fliplr()', RuntimeError, 'Input must be >= 2-d.'),
    ('torch.tensor(1.).flipud()', RuntimeError, 'Input must be >= 1-d.'),
    ('torch.rot90(x,1,(0,0))', RuntimeError, 'expected rotation dims to be different, but got dim0 = 0 and dim1 = 0'),
    ('torch.rot90(x,1,(0,1,2))', RuntimeError, 'expected total rotation dims == 2, but got dims = 3'),
    ('torch.rot90(a)', RuntimeError, 'expected total dims >= 2, but got total dims = 1'),
    ('torch.tril(a)', RuntimeError, 'tril: input tensor must have at least 2 dimensions'),
    ('torch.tril_indices(-1,4)', RuntimeError, 'row must be non-negative, got-1'),
    ('torch.tril_indices(3,3,dtype=torch.float32)', NotImplementedError,
     '"tril_indices" not implemented for \'Float\''),
    ('torch.diag(x)', RuntimeError, 'diag(): Supports 1D or 2D tensors. Got 3D'),
    ('torch.diag(torch.tensor(1.))', RuntimeError, 'diag(): Supports 1D or 2D tensors. Got 0D'),
    ('torch.diag_embed(x,0,0,0)', RuntimeError, 'diagonal dimensions cannot be identical 0, 0'),
    ('x.movedim((0,0),(0,1))', RuntimeError, 'movedim: repeated dim in `source` ([0, 0])'),
    ('x.movedim((0,1),(1,1))', RuntimeError, 'movedim: repeated dim in `destination` ([1, 1])'),
    ('x.H', RuntimeError,
     'tensor.H is only supported on matrices (2-D tensors). Got 3-D tensor. For batches of matrices, '
     'consider using tensor.mH'),
    ('a.H', RuntimeError, 'tensor.H is only supported on matrices (2-D tensors). Got 1-D tensor.'),
    ('a.adjoint()', RuntimeError,
     'tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.'),
    ('a.mT', RuntimeError, 'tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.'),
    ('y.view(torch.float64)', RuntimeError,
     'self.size(-1) must be divisible by 2 to view Float as Double (different element sizes), but got 3'),
    ('y[:,:2].view(torch.float64)', RuntimeError,
     'self.stride(0) must be divisible by 2 to view Float as Double (different element sizes), but got 3'),
    ('y[:,1:].view(torch.float64)', RuntimeError,
     'self.storage_offset() must be divisible by 2 to view Float as Double (different element sizes), but '
     'got 1'),
    ('y.t().view(torch.int16)', RuntimeError,
     'self.stride(-1) must be 1 to view Float as Short (different element sizes), but got 3'),
    ('torch.tensor(1.).view(torch.int16)', RuntimeError,
     'self.dim() cannot be 0 to view Float as Short (different element sizes)'),
    ('x.split([4,-1])', RuntimeError,
     'split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=[4, -1]'),
    ('x.split(2.)', TypeError,
     "split_with_sizes(): argument 'split_sizes' (position 2) must be tuple of ints, not float"),
    ('x.tensor_split(0)', RuntimeError, 'number of sections must be larger than 0, got 0'),
    ('x.permute(0)', RuntimeError,
     'permute(sparse_coo): number of dimensions in the tensor input does not match the length of the '
     'desired ordering of dimensions i.e. input.dim() = 3 is not equal to len(dims) = 1'),
    ('x.squeeze((0,0))', RuntimeError, 'dim 0 appears multiple times in the list of dims'),
    ('x.as_strided((-2,),(1,))', RuntimeError, 'Storage size calculation overflowed with sizes=[-2] and strides=[1]'),
    ('x.as_strided((2,),(-1,))', RuntimeError,
     'as_strided: Negative strides are not supported at the moment, got strides: [-1]'),
    ('x.as_strided((200,),(1,))', RuntimeError,
     'setStorage: sizes [200], strides [1], storage offset 0, and itemsize 4 requiring a storage size of '
     '800 are out of bounds for storage of size 96'),
    ('torch.broadcast_shapes((2,),(3,))', RuntimeError,
     'Attempting to broadcast a dimension of length 3 at -1! Mismatching argument at index 1 had (3,); but '
     'expected shape should be broadcastable to [2]'),
    ('torch.broadcast_tensors(b,torch.zeros(5))', RuntimeError,
     'The size of tensor a (4) must match the size of tensor b (5) at non-singleton dimension 0'),
    ('x.flatten(1,0)', RuntimeError, 'flatten() has invalid args: start_dim cannot come after end_dim'),
    ('x.unflatten(0,(-1,-1))', RuntimeError, 'unflatten got an unexpected error:'),
    ('x.unflatten(0,(3,3))', RuntimeError,
     "unflatten: Provided sizes [3, 3] don't multiply up to the size of dim 0 (2) in the input tensor"),
    ('x.unflatten(0,())', RuntimeError, 'unflatten: sizes must be non-empty'),
]


@pytest.mark.parametrize(("code", "kind", "sentence"), JOIN_ERRORS, ids=[code for code, _, _ in JOIN_ERRORS])
def test_refusals(code, kind, sentence):
    env = {"torch": torch, "x": leaf(torch, (2, 3, 4)), "y": torch.arange(6.0).reshape(2, 3), "i": torch.tensor([0, 1]),
           "a": torch.arange(3.0).requires_grad_(), "b": torch.arange(4.0)}
    with pytest.raises(kind) as caught:
        eval(code, env)
    assert str(caught.value).split("\n")[0] == sentence


# ---- random chains of views, live
def step(pick, shape):
    """Text of one view of a tensor of that shape, now and then a wrong one."""
    n = len(shape)
    dim, size = (lambda: pick(range(-n - 1, n + 1))), (lambda: pick(range(-1, 4)))
    sizes = lambda low, high: [pick([-1, 0, 1, 2, 3]) for _ in range(pick(range(low, high + 1)))]     # noqa: E731
    return pick([
        lambda: f".select({dim()}, {size()})", lambda: f".narrow({dim()}, {size()}, {size()})",
        lambda: f".unsqueeze({dim()})",
        lambda: ".squeeze()", lambda: f".squeeze({dim()})", lambda: f".squeeze(({dim()}, {dim()}))",
        lambda: f".transpose({dim()}, {dim()})",
        lambda: ".t()", lambda: ".mT", lambda: ".T", lambda: f".flatten({dim()}, {dim()})", lambda: ".reshape(-1)",
        lambda: f".expand(2, *{list(shape)})", lambda: f".expand(*{sizes(n, n + 1) or [2]})",
        lambda: f".unfold({dim()}, {size()}, {size()})",
        lambda: f".diagonal({size()}, {dim()}, {dim()})", lambda: f".split({size()}, {dim()})[-1]",
        lambda: f".chunk({size()}, {dim()})[0]",
        lambda: f".unbind({dim()})[-1]", lambda: f".tensor_split({size()}, {dim()})[-1]",
        lambda: f".tensor_split([{size()}, {size()}], {dim()})[1]", lambda: f".movedim({dim()}, {dim()})",
        lambda: f".view({sizes(0, 3)})", lambda: f".reshape({sizes(0, 3)})",
        lambda: f".unflatten({dim()}, {sizes(1, 2)})",
        lambda: f".as_strided([2, {abs(size())}], [{abs(size())}, 1], {abs(size())})", lambda: f"[{size()}:{size()}]",
        lambda: f"[..., {size()}::2]", lambda: f"[{size()}]", lambda: "[None]", lambda: f"[:, {size()}]",
        lambda: ".view_as(x)",
        lambda: ".ravel()", lambda: ".contiguous()", lambda: ".clone()", lambda: ".detach()", lambda: ".hsplit(2)[0]",
        lambda: f".broadcast_to([2] + {list(shape)})"])()


def outcome(lib, shape, chain):
    env = {"torch": lib, "x": leaf(lib, shape)}
    try:
        for part in chain:
            env["x"] = eval("x" + part, env)
    except Exception as error:
        return type(error).__name__, str(error).split("\n")[0]
    return (*layout_of(env["x"]), env["x"].tolist())


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is an optional oracle")
@given(st.data())
@settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_random_chains_do_what_torch_does(data):
    import torch as right

    def pick(options):
        return data.draw(st.sampled_from(list(options)))
    shape = [pick([0, 1, 1, 2, 3]) for _ in range(pick(range(4)))]
    chain, found = [], (shape,)
    for _ in range(pick([1, 2, 3])):
        chain.append(step(pick, found[0]))
        found = outcome(right, shape, chain)
        assert outcome(torch, shape, chain) == found, (shape, chain)
        if isinstance(found[0], str):
            break
