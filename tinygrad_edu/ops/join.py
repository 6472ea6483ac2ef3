"""Tensors put side by side: cat, stack and their like, and grids.

They are made of windows into fresh memory and the backend's copy, so they know of no numpy and work on every backend.
"""
from __future__ import annotations

import itertools
import warnings

from ..core import dtypes, errors, layout
from ..core.export import export
from ..core.mode import mode
from ..core.op import Op, common_backend
from ..core.record import record
from ..core.tensor import Tensor, filled, strided_spec, wrap
from .expand import expand
from .views import dim_of, reshape, unsqueeze, view, without


def tensors_of(tensors, function):
    """The list of tensors that a user gave; torch's TypeErrors for anything else."""
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"{function}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
                        f"{type(tensors).__name__}")
    for place, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {place} in argument 0, but got {type(x).__name__}")
    return tensors


def assemble(op, tensors, shape, windows, gaps=False, **params):
    """Fresh memory of `shape`; tensor i is copied to where windows[i] = (shape, strides, offset) looks. On the tape.

    `gaps`: the windows leave places out, which become zero.
    """
    backend = common_backend(tensors)
    dtype = tensors[0].dtype
    for x in tensors:
        dtype = dtypes.promote_types(dtype, x.dtype)
    names = op.name_result(tensors, params)
    buffer, strides = backend.empty(layout.numel(shape), dtype), layout.contiguous_strides(shape)
    array = backend.as_array(buffer, shape, strides, 0, dtype)
    if gaps:
        backend.fill(array, 0)
    for x, (size, stride, offset) in zip(tensors, windows):
        if x.numel():
            source = x._array if x._spec.backend is backend else backend.as_array(
                backend.from_numpy(x._host(), x.dtype), x.shape, layout.contiguous_strides(x.shape), 0, x.dtype)
            backend.copy(backend.as_array(buffer, size, stride, offset, dtype), source)
    out = wrap(array, layout.spec(dtype, shape, backend) if names is None
               else strided_spec(dtype, shape, strides, backend, names))
    if mode.grad and dtype.category == dtypes.FLOATING:
        record(op, tensors, params, out)
    return out


# ---- one after another
class Cat(Op):
    """Tensors one after another along `dim`."""
    names = "unify"
    inputs, parameters = (), ("dim",)

    def backward(ctx, g):
        dim, start, grads = ctx.params["dim"], 0, []
        for spec, edge in zip(ctx.specs, ctx.edges):
            if spec.shape == (0,):                 # the legacy empty tensor, which took no place
                grads.append(filled((0,), 0, spec.dtype, spec.backend))
                continue
            size = spec.shape[dim]
            grads.append(None if edge is None else g.narrow(dim, start, size))
            start += size
        return tuple(grads)


@export("cat()", "concat()", "concatenate()")
def cat(tensors, dim=0):
    """Tensors one after another along `dim`; their other dimensions must agree. An empty 1-d tensor is skipped."""
    tensors = tensors_of(tensors, "cat")
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for place, x in enumerate(tensors):
        if not x.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {place}) cannot be concatenated")
    first = next((x for x in tensors if x.shape != (0,)), tensors[0])
    given, dim, size = dim, dim_of(first, dim), 0
    for place, x in enumerate(tensors):
        if x.shape == (0,):
            continue
        if x.ndim != first.ndim:
            raise errors.ranks([t.shape for t in tensors], given if given in (dim, dim - first.ndim) else dim, place,
                               f"Tensors must have same number of dimensions: got {first.ndim} and {x.ndim}")
        for d, (mine, other) in enumerate(zip(first.shape, x.shape)):
            if d != dim and mine != other:
                raise errors.cat([t.shape for t in tensors], dim, place, d, "Sizes of tensors must match except in "
                                 f"dimension {dim}. Expected size {mine} but got size {other} for tensor number "
                                 f"{place} in the list.")
        size += x.shape[dim]
    shape = first.shape[:dim] + (size,) + first.shape[dim + 1:]
    strides, windows, start = layout.contiguous_strides(shape), [], 0
    for x in tensors:
        windows.append((x.shape, strides, start * strides[dim]))
        start += x.shape[dim] if x.shape != (0,) else 0
    return assemble(Cat, tensors, shape, windows, dim=dim)


class Stack(Op):
    """Tensors of one shape along a new dimension."""
    names = "unify"
    inputs, parameters = (), ("dim",)

    @classmethod
    def name_result(cls, tensors, params):
        found, dim = super().name_result(tensors, params), params["dim"]
        return found and found[:dim] + (None,) + found[dim:]

    def backward(ctx, g):
        return tuple([None if edge is None else g.select(ctx.params["dim"], i) for i, edge in enumerate(ctx.edges)])


@export("stack()")
def stack(tensors, dim=0):
    """Tensors of one shape along a new dimension `dim`."""
    tensors = tensors_of(tensors, "stack")
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tensors[0].shape
    dim = layout.normalize_dim(dim, len(shape) + 1)
    for place, x in enumerate(tensors):
        if x.shape != shape:
            raise errors.stack([t.shape for t in tensors], place, "stack expects each tensor to be equal size, but got "
                               f"{list(shape)} at entry 0 and {list(x.shape)} at entry {place}")
    wide = shape[:dim] + (len(tensors),) + shape[dim:]
    strides = layout.contiguous_strides(wide)
    return assemble(Stack, tensors, wide, [(shape, without(strides, dim), i * strides[dim])
                                           for i in range(len(tensors))], dim=dim)


# ---- at least so many dimensions
def _atleast(name, convert):
    def atleast(*tensors):
        if len(tensors) == 1:
            return convert(tensors[0]) if isinstance(tensors[0], Tensor) else tuple([convert(x) for x in tensors[0]])
        return tuple([convert(x) for x in tensors])
    atleast.__name__ = name
    atleast.__doc__ = f"Each tensor with at least {name[-2]} dimension(s): those that are missing have size one."
    export(f"{name}()", out=False)(atleast)
    return atleast


def _with_3(x):
    if x.ndim == 1:
        return unsqueeze(unsqueeze(x, 0), -1)
    return reshape(x, 1, 1, 1) if not x.ndim else unsqueeze(x, -1) if x.ndim == 2 else x


atleast_1d = _atleast("atleast_1d", lambda x: reshape(x, 1) if not x.ndim else x)
atleast_2d = _atleast("atleast_2d", lambda x: reshape(x, 1, 1) if not x.ndim else unsqueeze(x, 0) if x.ndim == 1 else x)
atleast_3d = _atleast("atleast_3d", _with_3)


def _at_least(tensors, function, convert):
    tensors = tensors_of(tensors, function)
    if not tensors:
        raise RuntimeError(f"{function} expects a non-empty TensorList")
    return [convert(x) for x in tensors]


@export("hstack()")
def hstack(tensors):
    """Tensors side by side: along the first dimension where there is one only, else along the second."""
    tensors = _at_least(tensors, "hstack", atleast_1d)
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


@export("vstack()", "row_stack()")
def vstack(tensors):
    """Tensors one below another: vectors are rows."""
    return cat(_at_least(tensors, "vstack", atleast_2d), 0)


@export("dstack()")
def dstack(tensors):
    """Tensors one behind another, along the third dimension."""
    return cat(_at_least(tensors, "dstack", atleast_3d), 2)


@export("column_stack()")
def column_stack(tensors):
    """Tensors side by side: vectors are columns."""
    return cat(_at_least(tensors, "column_stack", lambda x: reshape(x, x.numel(), 1) if x.ndim <= 1 else x), 1)


class BlockDiag(Op):
    """Matrices along the diagonal of a large one."""
    inputs, parameters = (), ()

    def backward(ctx, g):
        row = column = 0
        grads = []
        for spec in ctx.specs:
            rows, columns = ((1, 1) + spec.shape)[-2:]
            grads.append(g.narrow(0, row, rows).narrow(1, column, columns).reshape(spec.shape))
            row, column = row + rows, column + columns
        return tuple(grads)


@export("block_diag()", out=False)
def block_diag(*tensors):
    """Matrices (vectors are rows) along the diagonal of a large one that is zero elsewhere."""
    for place, x in enumerate(tensors):
        if x.ndim > 2:
            raise RuntimeError(f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {place} has "
                               f"{x.ndim} dimensions")
    sizes = [((1, 1) + tuple(x.shape))[-2:] for x in tensors]
    shape = sum(rows for rows, _ in sizes), sum(columns for _, columns in sizes)
    strides, windows, row, column = layout.contiguous_strides(shape), [], 0, 0
    for rows, columns in sizes:
        windows.append(((rows, columns), strides, row * strides[0] + column))
        row, column = row + rows, column + columns
    return assemble(BlockDiag, tensors, shape, windows, gaps=True)


# ---- grids
@export("meshgrid()", out=False)
def meshgrid(*tensors, indexing=None):
    """The coordinates of a grid: vector i varies along dimension i (with indexing='xy' the first two are exchanged)."""
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    if indexing is None:
        warnings.warn("torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
                      "argument.", UserWarning, stacklevel=2)
    for x in tensors:
        if x.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {x.detach()}")
        if x.dtype is not tensors[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
        if x.device != tensors[0].device:
            raise RuntimeError("meshgrid expects all tensors to have the same device")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    shape = tuple([x.numel() for x in tensors])
    grids = [expand(view(x, (1,) * d + (-1,) + (1,) * (len(shape) - d - 1)), shape) for d, x in enumerate(tensors)]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


@export("cartesian_prod()", out=False)
def cartesian_prod(*tensors):
    """Every combination of one element of each vector, as rows."""
    for x in tensors:
        if x.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(grid, -1) for grid in meshgrid(*tensors, indexing="ij")], 1)


@export("combinations()", out=False)
def combinations(input, r=2, with_replacement=False):
    """Every choice of r elements of a vector, as rows."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty(0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input.numel()), r))
    columns = [input.index_select(0, input.new_tensor([row[i] for row in rows], dtype=dtypes.int64)) for i in range(r)]
    return stack(columns, 1)
