"""Ops that read or write where a mask of booleans is true, and the places of what is not zero."""
from __future__ import annotations

import numpy as np

from ..core import dtypes, layout
from ..core.export import export
from ..core.mode import mode
from ..core.names import unify
from ..core.op import Elementwise, Op, common_backend, number_as
from ..core.record import record
from ..core.tensor import Tensor, from_array
from .expand import expand
from .gather import tensor_argument
from .index import copied, count_true
from .join import cat
from .named import align_to
from .views import reshape


# ---- one value
class MaskedFill(Elementwise):
    """x, and one number where the mask is true. The type of the result is x's, whatever the number is."""
    cpu    = lambda x, mask, value: np.where(mask, value, x)
    cuda   = lambda x, mask, value: value if mask else x
    grad_x = lambda g, mask: g.masked_fill(mask, 0)

    @classmethod
    def call(cls, x, mask, value):
        backend = common_backend((x, mask))
        names = cls.name_result((x, mask), {})
        shape = layout.broadcast_shapes(mask.shape, x.shape)
        number = value.item() if isinstance(value, Tensor) else value
        arrays = [x._array, mask._array, number_as(number, x.dtype)]
        out = from_array(backend.elementwise(cls, arrays, {}, shape, x.dtype), backend, x.dtype, names)
        if mode.grad and x.dtype.category == dtypes.FLOATING:
            record(cls, (x, mask, value), {}, out)
        return out


class MaskedFillTensor(MaskedFill):
    """MaskedFill with a 0-d tensor, which gets a gradient too."""
    node_name  = "MaskedFillBackward1"
    cpu        = lambda x, mask, value: np.where(mask, value, x)
    cuda       = lambda x, mask, value: value if mask else x
    grad_x     = lambda g, mask: g.masked_fill(mask, 0)
    grad_value = lambda g, mask: g.masked_fill(~mask, 0).sum()


@export("masked_fill", inplace=True)
def masked_fill(input, mask, value):
    """`input` with `value` (a number or a 0-d tensor) where `mask` is true; both broadcast."""
    tensor_argument(mask, "masked_fill", "mask", 2)
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError("masked_fill_ only supports boolean masks, but got mask with dtype "
                           f"{C_NAMES[mask.dtype.name]}")
    if not isinstance(value, Tensor):
        return MaskedFill.call(input, mask, value)
    if value.ndim:
        raise RuntimeError("masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                           f"{value.ndim} dimension(s).")
    return MaskedFillTensor.call(input, mask, value)


C_NAMES = {"float64": "double", "float32": "float", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
           "int64": "long int",
           "int32": "int", "int16": "short int", "int8": "signed char", "uint8": "unsigned char"}


# ---- the elements where a mask is true
class MaskedSelect(Op):
    """The elements of x where the mask (of x's shape) is true, in order."""
    names  = "none"
    cpu    = lambda x, mask: x[mask]
    cuda   = "index.masked_select"
    grad_x = lambda g, mask, shape: g.new_zeros(shape).masked_scatter(mask, g)


@export("masked_select")
def masked_select(input, mask):
    """A vector of the elements where `mask` is true; both broadcast."""
    tensor_argument(mask, "masked_select", "mask", 2)
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    if mask._spec.names is not None and set(mask.names) <= set(input.names):
        mask = align_to(mask, *input.names)
    if mask._spec.names is not None or input._spec.names is not None:
        unify(input.names, mask.names, repair=True)                  # the result is a vector without a name
    shape = layout.broadcast_shapes(mask.shape, input.shape)
    return MaskedSelect.call(_wide(input, shape), _wide(mask, shape))


def _wide(x, shape):
    return x if x.shape == shape else expand(x, shape)


class MaskedScatter(Op):
    """x with the first elements of `source`, one after another, where the mask (of x's shape) is true."""
    saves = ("mask",)

    def cpu(x, mask, source):
        out = copied(x)
        out[mask] = source.reshape(-1)[:np.count_nonzero(mask)]
        return out
    cuda = "scatter.masked_scatter"

    def backward(ctx, g):
        mask = ctx.saved[1]
        shape = ctx.specs[2].shape
        if ctx.edges[2] is None:
            return g.masked_fill(mask, 0), None, None
        taken = g.masked_select(mask)
        unused = g.new_zeros(layout.numel(shape) - taken.numel())
        return g.masked_fill(mask, 0), None, cat([taken, unused]).reshape(shape)


@export("masked_scatter", inplace=True)
def masked_scatter(input, mask, source):
    """`input` with the elements of `source`, in order, where `mask` is true; `mask` and `input` broadcast."""
    tensor_argument(mask, "masked_scatter", "mask", 2)
    if source.dtype is not input.dtype:
        raise RuntimeError("masked_scatter: expected self and source to have same dtypes but got"
                           f"{input.dtype.legacy_name} and {source.dtype.legacy_name}")
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError("masked_scatter_ only supports boolean masks, but got mask with dtype "
                           f"{mask.dtype.legacy_name}")
    shape = layout.broadcast_shapes(mask.shape, input.shape)
    input, mask = _wide(input, shape), _wide(mask, shape)
    if count_true(mask) > source.numel():
        raise RuntimeError("Number of elements of source < number of ones in mask")
    return MaskedScatter.call(input, mask, source)


# ---- places
class Nonzero(Op):
    """The places of the elements that are not zero, one row each; torch lays the columns out one after another."""
    def cpu(x):
        if not x.ndim:
            return np.empty((int(bool(x)), 0), np.int64)
        return np.stack(np.nonzero(x)).T
    cuda = "compact.nonzero"


@export("nonzero")
def nonzero(input, *, as_tuple=False):
    """The places of the elements that are not zero, as rows of indices, or (`as_tuple`) as a vector per dimension."""
    if as_tuple:
        return nonzero(input if input.ndim else reshape(input, 1)).unbind(1)
    return Nonzero.call(input)


@export("argwhere()", ".argwhere", out=False)
def argwhere(input):
    """`nonzero(input)`."""
    return nonzero(input)
