"""Scans: each element becomes what all elements up to it come to, along one dimension.

They keep the shape. Floating-point sums and products are carried in float64 and rounded once per element, as torch's.
"""
from __future__ import annotations

import numpy as np

from ..core import dtypes
from ..core.export import export, functions
from ..core.op import Op
from . import return_types
from .reduce import one_dim


def carried(ufunc, x, dim):
    """Program: ufunc.accumulate along `dim`, in float64 for floating types."""
    floating = x.dtype.kind not in "iub"
    wide = np.atleast_1d(x.astype(np.float64) if floating and x.dtype.itemsize == 2 else x)
    out = ufunc.accumulate(wide, axis=dim, dtype=np.float64 if floating else x.dtype)
    return out.astype(x.dtype, order="C", copy=False).reshape(x.shape)


def from_the_end(scan, x, dim):
    return scan(x.flip(dim), dim).flip(dim)


class Cumsum(Op):
    """Running sums."""
    names  = "keep"
    cpu    = lambda x, *, dim: carried(np.add, x, dim)
    cuda   = "scan.cumsum"
    grad_x = lambda g, dim: from_the_end(Cumsum.along, g, dim)

    @staticmethod
    def along(x, dim):
        return Cumsum.call(x, dim=dim)


class Cumprod(Op):
    """Running products."""
    names  = "keep"
    cpu    = lambda x, *, dim: carried(np.multiply, x, dim)
    cuda   = "scan.cumprod"
    grad_x = lambda g, x, out, dim: cumprod_backward(g, x, out, dim)


def cumprod_backward(g, x, out, dim):
    """Dividing by x is the short way; where an element is zero, products are taken anew with each element left out."""
    if not x.ndim:
        return g
    if not bool((x == 0).any()):
        return from_the_end(Cumsum.along, g * out, dim) / x
    x, g = x.movedim(dim, -1), g.movedim(dim, -1)
    size = x.shape[-1]
    own = functions["eye"](size, dtype=dtypes.bool_, device=x.device)
    others = x.unsqueeze(-2).expand(*x.shape[:-1], size, size).masked_fill(own, 1)      # (..., left out, factor)
    later = own.to(x.dtype).cumsum(-1)                                                  # 1 from the one left out on
    return (others.cumprod(-1) * later * g.unsqueeze(-2)).sum(-1).movedim(-1, dim)


def summed(function, op, input, dim, dtype):
    """The public door of cumsum and cumprod: integers add up in int64."""
    dim = one_dim(input, dim, function)
    dtype = dtype or (input.dtype if input.is_floating_point() else dtypes.int64)
    if dtype is dtypes.bool_:
        raise NotImplementedError(f'"{function}_out_cpu" not implemented for \'Bool\'')
    return op.call(input.to(dtype), dim=dim)


@export("cumsum", inplace=True)
def cumsum(input, dim, *, dtype=None):
    """The sum of all elements up to each one, along `dim`."""
    return summed("cumsum", Cumsum, input, dim, dtype)


@export("cumprod", inplace=True)
def cumprod(input, dim, *, dtype=None):
    """The product of all elements up to each one, along `dim`."""
    return summed("cumprod", Cumprod, input, dim, dtype)


# ---- running maxima
def extremes(ufunc, x, dim):
    """Program: running extremes and the place of the last element that is one; nan wins, and stays."""
    x1 = np.atleast_1d(x)
    values = ufunc.accumulate(x1, axis=dim)
    places = np.arange(x1.shape[dim]).reshape([-1 if d == dim else 1 for d in range(x1.ndim)])
    indices = np.maximum.accumulate(np.where((x1 == values) | (x1 != x1), places, 0), axis=dim)
    return np.asarray(values, order="C").reshape(x.shape), np.asarray(indices, order="C").reshape(x.shape)


class RunningExtreme(Op):
    n_outputs = 2
    keeps = (1,)
    names = "keep"
    grad_x = lambda g, x, out, dim: g.new_zeros(x.shape).scatter_add(dim, out[1], g) if x.ndim else g


class Cummax(RunningExtreme):
    """Running maxima and their places."""
    cpu  = lambda x, *, dim: extremes(np.maximum, x, dim)
    cuda = "scan.cummax"


class Cummin(RunningExtreme):
    """Running minima and their places."""
    cpu  = lambda x, *, dim: extremes(np.minimum, x, dim)
    cuda = "scan.cummin"


@export("cummax")
def cummax(input, dim):
    """(values, indices): the largest element up to each one along `dim`, and where it last was."""
    return return_types.cummax(*Cummax.call(input, dim=one_dim(input, dim, "cummax")))


@export("cummin")
def cummin(input, dim):
    """(values, indices): the smallest element up to each one along `dim`, and where it last was."""
    return return_types.cummin(*Cummin.call(input, dim=one_dim(input, dim, "cummin")))


class Logcumsumexp(Op):
    """Running log-sum-exp."""
    names  = "keep"
    cpu    = lambda x, *, dim: carried(np.logaddexp, x, dim)
    cuda   = "scan.logcumsumexp"
    grad_x = lambda g, x, out, dim: logcumsumexp_backward(g, x, out, dim)


def logcumsumexp_backward(g, x, out, dim):
    """The sum over j >= k of g_j exp(x_k - out_j); the positive and the negative g_j each summed as logarithms."""
    lowest = dtypes.finfo(g.dtype).min             # not -inf: that minus itself is nan in the second derivative
    log = g.abs().log()

    def part(others):
        return (from_the_end(logcumsumexp, log.masked_fill(others, lowest) - out, dim) + x).exp()
    return part(g <= 0) - part(g >= 0)


@export("logcumsumexp")
def logcumsumexp(input, dim):
    """The logarithm of the sum of exponentials of all elements up to each one, along `dim`."""
    dim = one_dim(input, dim, "logcumsumexp")
    if not input.is_floating_point():
        raise NotImplementedError(f'"logcumsumexp_out_cpu" not implemented for \'{input.dtype.legacy_name}\'')
    return Logcumsumexp.call(input, dim=dim)


# ---- neighbours
@export("diff")
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """Each element minus the one before it along `dim`, n times over."""
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = one_dim(input, dim, "diff")
    parts = [x for x in (prepend, input, append) if x is not None]
    out = functions["cat"](parts, dim) if len(parts) > 1 else input
    for _ in range(min(n, out.shape[dim])):
        size = out.shape[dim] - 1
        after, before = out.narrow(dim, 1, size), out.narrow(dim, 0, size)
        out = after.logical_xor(before) if out.dtype is dtypes.bool_ else after - before
    return out


def _panels(function, y, x, dx, dim):
    """Twice the areas between neighbours under a broken line."""
    dim = one_dim(y, dim, function)
    if y.dtype is dtypes.bool_ or x is not None and x.dtype is dtypes.bool_:
        which = "`y`" if x is None else "`x` or `y`"
        raise RuntimeError(f"{function}: received a bool input for {which}, but bool is not supported")
    size = max(y.shape[dim] - 1, 0)
    heights = y.narrow(dim, min(1, y.shape[dim]), size) + y.narrow(dim, 0, size)
    if x is None:
        return heights * dx, dim
    widths = diff(x, dim=dim if x.ndim == y.ndim else -1)
    if x.ndim == 1:
        widths = widths.reshape([-1 if d == dim else 1 for d in range(y.ndim)])
    return heights * widths, dim


@export("trapezoid()", "trapz()")
def trapezoid(y, x=None, *, dx=1, dim=-1):
    """The area under the points (x, y), or under y with equal steps dx, by the trapezoidal rule along `dim`."""
    areas, dim = _panels("trapezoid", y, x, dx, dim)
    if not y.shape[dim]:
        return y.detach().sum(dim, dtype=y.dtype)
    return areas.sum(dim) / 2


@export("cumulative_trapezoid()")
def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    """The areas under the points up to each one, from the second on."""
    areas, dim = _panels("cumulative_trapezoid", y, x, dx, dim)
    return areas.cumsum(dim) / 2
