"""Gather and scatter: elements picked and placed along one dimension by a tensor of indices.

Every index is checked before a backend sees it. On the CPU all of them work on positions in contiguous memory.
"""
from __future__ import annotations

import numpy as np

from ..core import dtypes, layout
from ..core.export import export
from ..core.op import Op, number_as
from ..core.tensor import Tensor, filled
from .index import first_outside
from .views import dim_of, reshape


# ---- checks that all share
def tensor_argument(x, function, name, position):
    if not isinstance(x, Tensor):
        raise TypeError(f"{function}(): argument '{name}' (position {position}) must be Tensor, not {type(x).__name__}")


def check_index(index, dim, size, low=0, error=RuntimeError, sentence="index {} is out of bounds for dimension {} with "
                                                                      "size {}"):
    """Raise unless every index lies in [low, size)."""
    wrong = first_outside(index, low, size)
    if wrong is not None:
        raise error(sentence.format(wrong, dim, size))


def positions(shape, index, dim):
    """Where in contiguous memory of `shape` the elements [.., index, ..] lie, for each element of `index`."""
    strides = layout.contiguous_strides(shape)
    total = index.astype(np.int64) * (strides[dim] if shape else 1)
    for d, stride in enumerate(strides):
        if d != dim:
            total += (np.arange(index.shape[d]) * stride).reshape([-1 if i == d else 1 for i in range(index.ndim)])
    return total


def cut(src, index):
    """The part of src that has index's shape."""
    if src.ndim != index.ndim:                     # one of them has no dimension, the other one
        return src.reshape(-1)[:index.size]
    return src[tuple([slice(0, n) for n in index.shape])]


def scattered(x, index, values, dim, write):
    """A contiguous copy of x after `write(flat, positions, values)`."""
    out = np.array(x, order="C")
    write(out.reshape(-1), positions(x.shape, index, dim).reshape(-1), values)
    return out


def overwrite(flat, places, values):
    flat[places] = values


# ---- gather
class Gather(Op):
    """out[i][j] = x[index[i][j]][j], for dim = 0."""
    names = "unify"

    def cpu(x, index, *, dim):
        return np.ascontiguousarray(x).reshape(-1)[positions(x.shape, index,
                                                             dim)] if index.size else np.empty(index.shape, x.dtype)
    cuda = "index.gather"
    grad_x = lambda g, index, shape, dim: g.new_zeros(shape).scatter_add(dim, index, g)


@export("gather")
def gather(input, dim, index, *, sparse_grad=False):
    """Elements of `input` along `dim` at `index`, in index's shape: out[i][j] = input[index[i][j]][j] for dim = 0."""
    tensor_argument(index, "gather", "index", 3)
    dim = dim_of(input, dim)
    index = indices_for("gather", input, dim, index, "input")
    if index.numel():
        for d in range(input.ndim):
            if d != dim and index.shape[d] > input.shape[d]:
                raise RuntimeError(f"Size does not match at dimension {d} expected index {list(index.shape)} to be no "
                                   f"larger than self {list(input.shape)} apart from dimension {dim}")
        check_index(index, dim, input.shape[dim] if input.ndim else 1)
    return Gather.call(input, index, dim=dim)


def indices_for(function, x, dim, index, whose):
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{function}(): Expected dtype int32/int64 for index")
    if index.numel() and max(index.ndim, 1) != max(x.ndim, 1):
        raise RuntimeError(f"Index tensor must have the same number of dimensions as {whose} tensor")
    return index


@export("take_along_dim")
def take_along_dim(input, indices, dim=None):
    """`gather` with indices that broadcast; without `dim`, of the flattened input."""
    if indices.dtype is not dtypes.int64:
        raise RuntimeError("torch.take_along_dim(): dtype of indices should be Long but got "
                           f"{indices.dtype.legacy_name}")
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    if input.ndim != indices.ndim:
        raise RuntimeError("torch.take_along_dim(): input and indices should have the same number of dimensions, but "
                           f"got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices")
    dim = dim_of(input, dim)
    n, m = input.shape[dim], indices.shape[dim]
    common = layout.broadcast_shapes(input.shape[:dim] + (m,) + input.shape[dim + 1:], indices.shape)
    return gather(input.expand(common[:dim] + (n,) + common[dim + 1:]), dim, indices.expand(common))


# ---- scatter
class Scatter(Op):
    """x with out[index[i][j]][j] = src[i][j], for dim = 0."""
    names = "unify"

    def cpu(x, index, src, *, dim):
        return scattered(x, index, cut(src, index).reshape(-1), dim, overwrite)
    cuda = "scatter.scatter"
    grad_x = lambda g, index, dim: g.scatter(dim, index, 0)
    grad_src = lambda g, index, dim: g.gather(dim, index)


class ScatterValue(Op):
    """x with one number written at the indices."""
    node_name = "ScatterBackward1"
    names = "unify"

    def cpu(x, index, *, dim, value):
        return scattered(x, index, value, dim, overwrite)
    cuda = "scatter.scatter_value"
    grad_x = lambda g, index, dim: g.scatter(dim, index, 0)


class ScatterAdd(Op):
    """x with out[index[i][j]][j] += src[i][j], for dim = 0."""
    names = "unify"

    def cpu(x, index, src, *, dim):
        return scattered(x, index, cut(src, index).reshape(-1), dim, np.add.at)
    cuda = "scatter.scatter_add"
    grad_x = lambda g: g
    grad_src = lambda g, index, dim: g.gather(dim, index)


def scatter_arguments(function, x, dim, index, src):
    """Dimension and index, checked against x and src."""
    tensor_argument(index, function, "index", 3)
    dim = dim_of(x, dim)
    indices_for("scatter", x, dim, index, "self")
    if isinstance(src, Tensor):
        if src.dtype is not x.dtype:
            raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
        if index.numel() and max(src.ndim, 1) != max(index.ndim, 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    if index.numel():
        own = any(index.shape[d] > x.shape[d] for d in range(min(x.ndim, index.ndim)) if d != dim)
        if own or isinstance(src, Tensor) and any(n > m for n, m in zip(index.shape,
                                                                                 src.shape or (1,))):
            tail = f" and to be no larger size than src {list(src.shape)}" if isinstance(src, Tensor) else ""
            raise RuntimeError(f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart "
                               f"from dimension {dim}{tail}")
        check_index(index, dim, x.shape[dim] if x.ndim else 1)
    return dim


@export("scatter", inplace=True)
def scatter(input, dim, index, src=None, *, value=None, reduce=None):
    """`input` with out[index[i][j]][j] = src[i][j] (for dim = 0), where src is a tensor or one number.

    Where an index occurs twice one of the values wins; reduce='add' or 'multiply' combines them, without a gradient.
    """
    src = value if src is None else src
    dim = scatter_arguments("scatter", input, dim, index, src)
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        full = src if isinstance(src, Tensor) else filled(index.shape, number_as(src, input.dtype), input.dtype,
                                                          input._spec.backend)
        return ScatterCombined.call(input, index, full, dim=dim, reduce="sum" if reduce == "add" else "prod")
    if isinstance(src, Tensor):
        return Scatter.call(input, index, src, dim=dim)
    return ScatterValue.call(input, index, dim=dim, value=number_as(src, input.dtype))


@export("scatter_add", inplace=True)
def scatter_add(input, dim, index, src):
    """`input` with out[index[i][j]][j] += src[i][j] (for dim = 0): an index that occurs twice adds twice."""
    tensor_argument(src, "scatter_add", "src", 4)
    dim = scatter_arguments("scatter_add", input, dim, index, src)
    return ScatterAdd.call(input, index, src, dim=dim)


class ScatterReduce(Op):
    """x with the src of equal index combined: summed, multiplied, averaged, the largest or smallest."""
    saves = ("x", "index", "src", "out")
    names = "unify"

    def cpu(x, index, src, *, dim, reduce, include_self):
        def write(flat, places, values):
            if not include_self:
                flat[places] = identity(reduce, x.dtype)
            combine = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}.get(reduce, np.add)
            combine.at(flat, places, values)
            if reduce == "mean":
                counts = np.full(flat.shape, int(include_self), np.int64)
                np.add.at(counts, places, 1)
                counts = np.maximum(counts, 1)
                flat[...] = flat // counts if flat.dtype.kind in "iub" else flat / counts
        return scattered(x, index, cut(src, index).reshape(-1), dim, write)
    cuda = "scatter.scatter_reduce"

    def backward(ctx, g):
        (x, index, src), dim = ctx.saved, ctx.params["dim"]
        to_x, to_src = BACKWARD[ctx.params["reduce"]](g, x, index, src, dim, ctx.params["include_self"],
                                                      ctx.unpack_out())
        if not ctx.params["include_self"]:
            to_x = to_x.scatter(dim, index, 0)
        return to_x, None, to_src


def identity(reduce, dtype):
    """What changes nothing when it is combined with others."""
    if reduce in ("amax", "amin"):
        if dtype.kind == "b":
            return reduce == "amin"
        if dtype.kind in "iu":
            return np.iinfo(dtype).min if reduce == "amax" else np.iinfo(dtype).max
        return -np.inf if reduce == "amax" else np.inf
    return 1 if reduce == "prod" else 0


class ScatterCombined(Op):
    """scatter with reduce=: torch has no derivative for it, and says so when one is asked for."""
    node_name = "NotImplemented"
    names = "unify"
    cpu = lambda x, index, src, *, dim, reduce: ScatterReduce.cpu(x, index, src, dim=dim, reduce=reduce,
                                                                  include_self=True)
    cuda = "scatter.scatter_reduce"

    def backward(ctx, g):
        raise RuntimeError("derivative for aten::scatter is not implemented")


# ---- the gradients of scatter_reduce: (to x, to src)
def _sum_backward(g, x, index, src, dim, include_self, out):
    return g, g.gather(dim, index)


def _mean_backward(g, x, index, src, dim, include_self, out):
    counts = filled(x.shape, int(include_self), g.dtype, g._spec.backend)
    counts = counts.scatter_add(dim, index, filled(src.shape, 1, g.dtype, g._spec.backend)).clamp(min=1)
    share = g / counts
    return share, share.gather(dim, index)


def _extreme_backward(g, x, index, src, dim, include_self, out):
    """Ties share the gradient equally."""
    x_wins, src_wins = (x == out).to(g.dtype), (src == out.gather(dim, index)).to(g.dtype)
    ties = x_wins.scatter_add(dim, index, src_wins)
    share = g / ties
    return x_wins * share, src_wins * share.gather(dim, index)


def _prod_backward(g, x, index, src, dim, include_self, out):
    """Divided by itself where that is possible; where exactly one factor is zero, by the product of the others."""
    x_safe = x.masked_fill(x == 0, 1)
    to_x = g * scatter_reduce(x_safe, dim, index, src, "prod", include_self=include_self) / x_safe
    zero = src == 0
    zeros = x.detach().mul(0).scatter_add(dim, index, zero.to(x.dtype)).gather(dim, index)
    alone = zero & (zeros == 1)
    others = scatter_reduce(x, dim, index, src.masked_fill(alone, 1), "prod", include_self=include_self)
    to_src = (g * out).gather(dim, index) / src.masked_fill(zero, 1)
    return to_x, (g * others).gather(dim, index).where(alone, to_src)


BACKWARD = {"sum": _sum_backward, "mean": _mean_backward, "amax": _extreme_backward, "amin": _extreme_backward,
            "prod": _prod_backward}


@export("scatter_reduce", inplace=True)
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """`input` with the elements of src of equal index combined: reduce is 'sum', 'prod', 'mean', 'amax' or 'amin'.

    `include_self=False` leaves out what stood in `input` at these places.
    """
    if reduce not in BACKWARD:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    tensor_argument(src, "scatter_reduce", "src", 4)
    dim = scatter_arguments("scatter_reduce", input, dim, index, src)
    if reduce == "mean" and input.dtype is dtypes.bool_:
        raise NotImplementedError("\"scatter_gather_tensor_cpu_reduce_mean\" not implemented for 'Bool'")
    return ScatterReduce.call(input, index, src, dim=dim, reduce=reduce, include_self=include_self)
