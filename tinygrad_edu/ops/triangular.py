"""Triangles and diagonals of matrices."""
from __future__ import annotations

import numpy as np

from .. import backends
from ..core import dtypes
from ..core.export import export
from ..core.mode import mode, no_grad
from ..core.op import Op
from ..core.record import record
from ..core.tensor import empty, filled, from_host
from .slices import diagonal, embed
from .views import no_names, reshape


# ---- triangles
class Tril(Op):
    """Each matrix with zeros above a diagonal."""
    cpu    = lambda x, *, diagonal: np.tril(x, diagonal)
    cuda   = "arrange.tril"
    grad_x = lambda g, diagonal: g.tril(diagonal)


class Triu(Op):
    """Each matrix with zeros below a diagonal."""
    cpu    = lambda x, *, diagonal: np.triu(x, diagonal)
    cuda   = "arrange.triu"
    grad_x = lambda g, diagonal: g.triu(diagonal)


def _matrix(x, function):
    if x.ndim < 2:
        raise RuntimeError(f"{function}: input tensor must have at least 2 dimensions")
    return x


@export("tril", inplace=True)
def tril(input, diagonal=0):
    """The lower triangle of each matrix, up to `diagonal` above the main one; zeros elsewhere."""
    return Tril.call(_matrix(input, "tril"), diagonal=int(diagonal))


@export("triu", inplace=True)
def triu(input, diagonal=0):
    """The upper triangle of each matrix, from `diagonal` above the main one on; zeros elsewhere."""
    return Triu.call(_matrix(input, "triu"), diagonal=int(diagonal))


def _indices(find, row, col, offset, dtype, device, function):
    for name, count in (("row", row), ("col", col)):
        if count < 0:
            raise RuntimeError(f"{name} must be non-negative, got{count}")
    if dtype not in (dtypes.int64, dtypes.int32, dtypes.int16, dtypes.int8, dtypes.uint8):
        raise NotImplementedError(f'"{function}" not implemented for \'{dtype.legacy_name}\'')
    return from_host(np.stack(find(row, offset, col)), dtype,
                     backends.get_backend(backends.creating(device)))


@export("tril_indices()", out=False)
def tril_indices(row, col, offset=0, *, dtype=dtypes.int64, device=None, layout=None, pin_memory=False):
    """The places of the lower triangle of a row x col matrix, as two rows of indices."""
    return _indices(np.tril_indices, row, col, offset, dtype, device, "tril_indices")


@export("triu_indices()", out=False)
def triu_indices(row, col, offset=0, *, dtype=dtypes.int64, device=None, layout=None, pin_memory=False):
    """The places of the upper triangle of a row x col matrix, as two rows of indices."""
    return _indices(np.triu_indices, row, col, offset, dtype, device, "triu_indices")


# ---- diagonals
class DiagEmbed(Op):
    """Vectors on the diagonals of matrices of zeros."""
    inputs, parameters = ("x",), ("offset", "dim1", "dim2")
    grad_x = lambda g, offset, dim1, dim2: g.diagonal(offset, dim1, dim2)


@export("diag_embed")
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """The last dimension as the diagonal, `offset` above the main one, of square matrices along dim1 and dim2."""
    ndim = input.ndim + 1
    no_names(input, "diag_embed")
    dim1, dim2 = [_wrapped(d, ndim) for d in (dim1, dim2)]
    if dim1 == dim2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = input.shape[-1] + abs(offset)
    rest = iter(input.shape[:-1])
    out = filled([size if d in (dim1, dim2) else next(rest) for d in range(ndim)], 0, input.dtype, input._spec.backend)
    with no_grad():
        window = diagonal(out, offset, dim1, dim2)
    input._spec.backend.copy(window._array, input._array)
    if mode.grad:
        record(DiagEmbed, (input,), {"offset": offset, "dim1": dim1, "dim2": dim2}, out)
    return out


def _wrapped(dim, ndim):
    if not -ndim <= dim < ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})")
    return dim % ndim


class DiagonalCopy(Op):
    """A diagonal, copied."""
    node_name = "DiagonalBackward0_copy"
    inputs, parameters = ("x",), ("offset",)
    grad_x = lambda g, shape, offset: embed(g, shape, lambda z: z.diagonal(offset))


@export("diag")
def diag(input, diagonal=0):
    """A vector as the diagonal of a square matrix, or the diagonal of a matrix, copied."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    no_names(input, "diag")
    with no_grad():
        window = input.diagonal(diagonal)
    out = empty(window.shape, input.dtype, input._spec.backend)
    input._spec.backend.copy(out._array, window._array)
    if mode.grad:
        record(DiagonalCopy, (input,), {"offset": diagonal}, out)
    return out


@export("diagflat")
def diagflat(input, offset=0):
    """All elements, flattened, as the diagonal of a square matrix."""
    return diag_embed(reshape(input, -1), offset)
