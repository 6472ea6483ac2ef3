"""Lengths and distances: the norms of vectors and matrices, and what is made of them.

One primitive, the vector norm. It knows nothing of singular values: norms that need them are refused.
"""
from __future__ import annotations

import math

import numpy as np

from ..core import layout
from ..core.export import export
from ..core.op import Op
from .reduce import add_up, dims_of, in_float32, one_dim, spread, wants_tensor


class VectorNorm(Op):
    """sum(|x|**p) ** (1/p) along `dims`; p = inf, -inf: the largest, smallest |x|; p = 0: how many are not zero."""
    node_name = "LinalgVectorNormBackward0"
    names = "drop"

    def cpu(x, *, p, dims, keepdim):
        wide = in_float32(x)
        if p == 2:
            out = np.sqrt(add_up(wide * wide, dims, keepdim))
        elif p == 1:
            out = add_up(np.abs(wide), dims, keepdim)
        elif p == 0:
            out = np.add.reduce(wide != 0, axis=dims, keepdims=keepdim)
        elif p == math.inf:
            out = np.maximum.reduce(np.abs(wide), axis=dims, keepdims=keepdim, initial=0)
        elif p == -math.inf:
            out = np.minimum.reduce(np.abs(wide), axis=dims, keepdims=keepdim)
        else:
            out = add_up(np.abs(wide) ** p, dims, keepdim) ** (1 / p)
        return np.asarray(out).astype(x.dtype, order="C", copy=False)

    cuda = "norm.vector_norm"

    def grad_x(g, x, out, p, dims, keepdim):
        return norm_backward(spread(g, dims, keepdim), spread(out, dims, keepdim), x, p, dims)


def norm_backward(g, out, x, p, dims):
    """Zero where the norm is: there it has no derivative, and zero is the smallest of its subgradients."""
    if p == 0:
        return (g * 0).expand(x.shape)
    if p == 1:
        return x.sign() * g
    if p == 2:
        return x * (g / out).masked_fill(out == 0, 0)
    if p in (math.inf, -math.inf):
        chosen = x.abs() == out
        return x.sign() * (chosen * (g / chosen.sum(dims, keepdim=True)))
    if p < 1:
        return x.sign() * x.abs().pow(p - 1).masked_fill(x == 0, 0) * (g * out.pow(1 - p))
    if p < 2:
        return x.sign() * x.abs().pow(p - 1) * (g * out.pow(1 - p)).masked_fill(out == 0, 0)
    return x * x.abs().pow(p - 2) * (g / out.pow(p - 1)).masked_fill(out == 0, 0)


def shown(p):
    return str(int(p)) if p == p and abs(p) != math.inf and p == int(p) else str(p)


@export("linalg.vector_norm")
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """The norm of all elements as one vector, or along `dim`. `dtype`: cast first. A norm of nothing may not exist."""
    if dim == ():
        dim = None
    dims = dims_of(x, dim, "linalg.vector_norm")
    if not x.is_floating_point():
        raise RuntimeError("linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
                           f"{x.dtype.legacy_name}")
    if dtype is not None:
        x = x.to(_wider(x.dtype, dtype))
    if (ord < 0 or ord == math.inf) and not x.numel():
        told = f"linalg.vector_norm cannot compute the {shown(ord)} norm on "
        if dim is None:
            raise RuntimeError(f"{told}an empty tensor because the operation does not have an identity")
        for d in dims:
            if not x.shape[d]:
                raise RuntimeError(f"{told}the dimension {d}because this dimension is empty and the operation does "
                                   "not have an identity")
    return VectorNorm.call(x, p=float(ord), dims=dims, keepdim=keepdim)


def _wider(mine, dtype):
    if not dtype.is_floating_point:
        raise RuntimeError("linalg.vector_norm: dtype should be floating point or complex, but got "
                           f"{dtype.legacy_name}")
    if dtype.itemsize < mine.itemsize:
        raise RuntimeError(f"linalg.vector_norm: the dtype of the input ({mine.legacy_name}) should be convertible "
                           f"without narrowing to the specified dtype ({dtype.legacy_name})")
    return dtype


@export("linalg.matrix_norm")
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """The norm of matrices: 'fro', or ord = 1, -1 (sums of columns), inf, -inf (sums of rows)."""
    if A.ndim < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    rows, columns = (one_dim(A, d, "linalg.matrix_norm") for d in dim)
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim, dtype=dtype)
    if ord in ("nuc", 2, -2):
        raise NotImplementedError(f"linalg.matrix_norm: ord={ord!r} needs singular values, which are not supported\n"
                                  "  'fro', 1, -1, inf and -inf are; for vectors give one dim")
    if not A.is_floating_point():
        raise RuntimeError("linalg.matrix_norm: Expected a floating point or complex tensor as input. Got "
                           f"{A.dtype.legacy_name}")
    summed, chosen = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = vector_norm(A, 1, summed, keepdim, dtype=dtype)
    chosen -= not keepdim and chosen > summed      # one dimension fewer stands before it
    if ord > 0 and not sums.shape[chosen]:         # of no sums the largest is 0
        return vector_norm(sums.detach(), 1, chosen, keepdim)
    return sums.amax(chosen, keepdim) if ord > 0 else sums.amin(chosen, keepdim)


@export("linalg.norm")
def linalg_norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """A vector norm along one `dim`, a matrix norm along two (both may be implied by A); without `ord` the 2-norm."""
    if ord is not None and dim is None and A.ndim not in (1, 2):
        raise RuntimeError("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                           f"{A.ndim}D.")
    two = isinstance(dim, (tuple, list)) and len(dim) == 2 or dim is None and A.ndim == 2
    if isinstance(ord, str) or ord is not None and two:
        if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
            raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@export("norm")
def norm(input, p="fro", dim=None, keepdim=False, dtype=None):
    """The p-norm of all elements, or along `dim` (an int, a name, or several); 'fro' is the 2-norm."""
    dims_of(input, dim, "norm")
    if p == "fro" or p is None:
        p = 2
    if isinstance(p, str):
        return matrix_norm(input, p, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(input, p, dim, keepdim, dtype=dtype)


@export("dist")
def dist(input, other, p=2):
    """The p-norm of input - other."""
    return vector_norm(input - other, p)


@export("cdist()")
def cdist(x1, x2, p=2.0, compute_mode=None):
    """The p-norm distances of each row of x1 from each row of x2: (..., n, size), (..., m, size) -> (..., n, m)."""
    for x, name in ((x1, "X1"), (x2, "X2")):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    return vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


@export("pairwise_distance()", "nn.functional.pairwise_distance")
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of x1 - x2 + eps along the last dimension."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


@export("nn.functional.normalize")
def normalize(input, p=2.0, dim=1, eps=1e-12):
    """input / max(its p-norm along `dim`, eps)"""
    return input / norm(input, p, dim, True).clamp_min(eps)


@export("cosine_similarity()", "nn.functional.cosine_similarity")
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """The cosine of the angle between x1 and x2 along `dim`; norms smaller than `eps` count as eps."""
    for x in (x1, x2):
        if not hasattr(x, "_spec"):
            raise wants_tensor("cosine_similarity", x)
    shape = layout.broadcast_shapes(x1.shape, x2.shape)
    if not (x1.is_floating_point() or x2.is_floating_point()):
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {x1.dtype.legacy_name}")
    x1, x2 = x1.expand(shape), x2.expand(shape)
    return (unit(x1, dim, eps) * unit(x2, dim, eps)).sum(dim)


def unit(x, dim, eps):
    return x / vector_norm(x, 2, dim, True).clamp_min(eps)
