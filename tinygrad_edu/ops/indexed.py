"""Whole slices, or single elements, read and written at a vector of indices: index_select, index_add, take, put ..."""
from __future__ import annotations

import numpy as np

from ..core import dtypes
from ..core.export import export
from ..core.names import unify
from ..core.op import Op, number_as
from ..core.tensor import Tensor
from .gather import check_index, overwrite, scattered, tensor_argument
from .index import copied
from .views import dim_of, without

# ---- whole slices
def vector(index):
    return index.reshape(1) if not index.ndim else index


def at(dim, index):
    return (slice(None),) * dim + (index,)


class IndexSelect(Op):
    """The slices of x along dim at the indices."""
    names = "keep"

    def cpu(x, index, *, dim):
        return np.ascontiguousarray(np.take(x, index, axis=dim)) if x.ndim else x.copy()
    cuda = "index.index_select"
    grad_x = lambda g, index, shape, dim: g.new_zeros(shape).index_add(dim, index, g)


@export("index_select")
def index_select(input, dim, index):
    """The slices of `input` along `dim` at the indices of a vector."""
    tensor_argument(index, "index_select", "index", 3)
    dim = dim_of(input, dim)
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if not input.ndim and index.numel() != 1:
        raise IndexError("index_select(): Index to scalar can have only 1 value, got 0 value(s)" if not index.numel()
                         else
                         f"index_select(): Index to scalar can have only 1 value, got {index.numel()} value(s)")
    if input.ndim and not input.shape[dim] and index.numel():
        raise RuntimeError("index_select(): self indexing axis dim should be positive")
    check_index(index, dim, input.shape[dim] if input.ndim else 1, 0, IndexError, "index out of range in self")
    return IndexSelect.call(input, vector(index), dim=dim)


class IndexAdd(Op):
    """x with the slices of src added at the indices."""
    names = lambda x, index, src: unify(x, src)

    def cpu(x, index, src, *, dim, alpha):
        return scattered(x, wide(index, src, dim), (src if alpha == 1 else src * src.dtype.type(alpha)).reshape(-1),
                         dim, np.add.at)
    cuda = "scatter.index_add"
    grad_x = lambda g: g
    grad_src = lambda g, index, shape, dim, alpha: (g.index_select(dim, index) * alpha).reshape(shape)


def wide(index, src, dim):
    """A vector of indices as indices of every element of src."""
    if not src.ndim:
        return index.reshape(())
    return np.broadcast_to(index.reshape([-1 if d == dim else 1 for d in range(src.ndim)]), src.shape)


@export("index_add", inplace=True)
def index_add(input, dim, index, source, *, alpha=1):
    """`input` with alpha times the slices of `source` added at a vector of indices, twice where one occurs twice."""
    dim = dim_of(input, dim)
    if index.ndim > 1:
        raise IndexError(f"index_add_(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
                         f"{index.dtype.legacy_name} and size: {list(index.shape)}")
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"index_add_(): Expected dtype int32/int64 for index but got: {index.dtype.legacy_name}")
    if source.dtype is not input.dtype:
        raise RuntimeError(f"index_add_(): self ({input.dtype.legacy_name}) and source ({source.dtype.legacy_name}) "
                           "must have the same scalar type")
    length = source.shape[dim] if source.ndim else 1
    if index.numel() != length:
        raise RuntimeError(f"index_add_(): Number of indices ({index.numel()}) should be equal to source.size(dim): "
                           f"({length}), for dim: {dim}")
    if input.ndim and source.ndim and without(input.shape, dim) != without(source.shape, dim):
        raise RuntimeError("source tensor shape must match self tensor shape, excluding the specified dimension. Got "
                           f"self.shape = {list(input.shape)} source.shape = {list(source.shape)}")
    check_index(index, dim, input.shape[dim] if input.ndim else 1)
    return IndexAdd.call(input, vector(index), source, dim=dim, alpha=number_as(alpha, input.dtype))


class IndexCopy(Op):
    """x with the slices of src written at the indices."""
    names = lambda x, index, src: unify(x, src)

    def cpu(x, index, src, *, dim):
        return scattered(x, wide(index, src, dim), src.reshape(-1), dim, overwrite)
    cuda = "scatter.index_copy"
    grad_x = lambda g, index, dim: g.index_fill(dim, index, 0)
    grad_src = lambda g, index, shape, dim: g.index_select(dim, index).reshape(shape)


@export("index_copy", inplace=True)
def index_copy(input, dim, index, source):
    """`input` with the slices of `source` written at the indices of a vector."""
    dim = dim_of(input, dim)
    if index.ndim > 1:
        raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})")
    if not source.ndim and index.numel() != 1:
        raise IndexError(f"index_copy_(): When source is scalar, index should have one element (got {index.numel()})")
    if source.ndim != input.ndim and source.ndim and input.ndim:
        raise IndexError("index_copy_(): When source and destination are not scalars, their dimensionality must match. "
                         f"Source dimensionality ({source.ndim}), destination dimensionality ({input.ndim})")
    if index.dtype is not dtypes.int64:
        raise RuntimeError(f"index_copy_(): Expected a long tensor for index, but got {index.dtype.legacy_name}")
    if source.dtype is not input.dtype:
        raise RuntimeError("index_copy_(): self and source expected to have the same dtype, but got (self) "
                           f"{input.dtype.legacy_name} and (source) {source.dtype.legacy_name}")
    mine, other = without(input.shape, dim), without(source.shape, dim)
    if mine != other:
        raise RuntimeError("index_copy_(): Source/destination tensor must have same slice shapes. Destination slice "
                           f"shape: {' '.join(map(str, mine))} at dimension {dim} and source slice shape: "
                           f"{' '.join(map(str, other))} at dimension 0.")
    if source.ndim and index.numel() != source.shape[dim]:
        raise IndexError(f"index_copy_(): Number of indices ({index.numel()}) should be equal to source.size(dim) "
                         f"({source.shape[dim]})")
    check_index(index, dim, input.shape[dim] if input.ndim else 1, 0, IndexError,
                "index_copy_(): index {} is out of bounds for dimension {} with size {}")
    return IndexCopy.call(input, vector(index), source, dim=dim)


class IndexFill(Op):
    """x with one number written into the slices at the indices."""
    names = "keep"

    def cpu(x, index, *, dim, value):
        out = copied(x)
        (out if out.ndim else out.reshape(1))[at(dim, index)] = value
        return out
    cuda = "scatter.index_fill"
    grad_x = lambda g, index, dim: g.index_fill(dim, index, 0)


class IndexFillTensor(Op):
    """IndexFill with a 0-d tensor, which gets a gradient too."""
    node_name = "IndexFillBackward1"
    names = "keep"

    def cpu(x, index, value, *, dim):
        return IndexFill.cpu(x, index, dim=dim, value=value)
    cuda = "scatter.index_fill_tensor"
    grad_x = lambda g, index, dim: g.index_fill(dim, index, 0)
    grad_value = lambda g, index, dim: g.index_select(dim, index.unique()).sum()


@export("index_fill", inplace=True)
def index_fill(input, dim, index, value):
    """`input` with `value` (a number or a 0-d tensor) written into the slices along `dim` at a vector of indices."""
    dim = dim_of(input, dim)
    if index.dtype is not dtypes.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise IndexError("index_fill_(): Index has to be a vector/scalar")
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} "
                           "dimension(s).")
    size = input.shape[dim] if input.ndim else 1
    check_index(index, dim, size, -size, IndexError)
    if isinstance(value, Tensor):
        return IndexFillTensor.call(input, vector(index), value.to(device=input.device, dtype=input.dtype), dim=dim)
    return IndexFill.call(input, vector(index), dim=dim, value=number_as(value, input.dtype))


# ---- single elements, counted through the whole tensor
class Take(Op):
    """Elements of x by their place in the flattened x."""
    def cpu(x, index):
        return np.ascontiguousarray(x).reshape(-1)[index]
    cuda = "index.take"
    grad_x = lambda g, index, shape: g.new_zeros(shape).put(index, g, accumulate=True)


@export("take")
def take(input, index):
    """Elements by their place in the flattened `input`, in the shape of `index`."""
    _check_places("take", input, index)
    if not input.numel() and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    return Take.call(input, index)


class Put(Op):
    """x with elements written (or added) by their place in the flattened x."""
    saves = ("index",)

    def cpu(x, index, source, *, accumulate):
        out = np.array(x, order="C")
        (np.add.at if accumulate else overwrite)(out.reshape(-1), index.reshape(-1), source.reshape(-1))
        return out
    cuda = "scatter.put"

    def backward(ctx, g):
        index = ctx.saved[1]
        to_x = g if ctx.params["accumulate"] else g.put(index, g.new_zeros(index.shape))
        return to_x, None, g.take(index).reshape(ctx.specs[2].shape)


@export("put", inplace=True)
def put(input, index, source, accumulate=False):
    """`input` with `source` written (or added) at places of the flattened `input`."""
    if source.dtype is not input.dtype:
        raise RuntimeError("put_(): self and source expected to have the same dtype, but got self.dtype = "
                           f"{input.dtype.legacy_name} and source.dtype = {source.dtype.legacy_name}")
    if source.numel() != index.numel():
        raise IndexError("put_(): Expected source and index to have the same number of elements, but got "
                         f"source.numel() = {source.numel()}, index.numel() = {index.numel()}")
    if index.numel() and not input.numel():
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    _check_places("put_", input, index)
    return Put.call(input, index, source, accumulate=accumulate)


def _check_places(function, x, index):
    if index.dtype is not dtypes.int64:
        raise RuntimeError(f"{function}(): Expected a long tensor for index, but got {index.dtype.legacy_name}")
    if x.numel():
        check_index(index, 0, x.numel(), -x.numel(), IndexError, "out of range: tried to access index {} on a tensor "
                                                                 "of {2} elements."
                    .replace("{2}", str(x.numel())))
