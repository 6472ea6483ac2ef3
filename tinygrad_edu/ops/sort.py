"""Sorting, and what is picked from a sorted row: top k, medians, modes, quantiles.

nan is the largest of all numbers. Sorting is stable always, so that equal elements keep their order.
"""
from __future__ import annotations

import numpy as np

from ..core.export import export
from ..core.op import Op
from ..core.tensor import Tensor
from . import return_types
from .extreme import Selection, chosen_of_all, refuse_empty, select, send_back, share
from .reduce import in_float32, one_dim, spread, wants_tensor
from .views import no_names


def order(x, dim, descending=False):
    """Program: the indices that sort x along `dim`."""
    wide = in_float32(x)
    if not descending:
        return np.argsort(wide, axis=dim, kind="stable")
    backwards = np.argsort(np.flip(wide, dim), axis=dim, kind="stable")      # turned twice, equal ones keep their order
    return np.flip(x.shape[dim] - 1 - backwards, dim)


def laid_out_as(x, found):
    """Program: the array with the order of x's dimensions in memory."""
    out = np.empty_like(x, dtype=found.dtype)
    out[...] = found
    return out


class Permuting(Op):
    """Values in another order along `dim`, and their places. Only the places are kept for backward."""
    n_outputs = 2
    keeps = (1,)
    names = "keep"
    grad_x = lambda g, shape, out, dim: send_back(g, shape, out[1], dim, True)


class Sort(Permuting):
    """Values in order, and where they were."""
    cuda = "sort.sort"

    def cpu(x, *, dim, descending):
        if not x.ndim:
            return x.copy(), np.zeros((), np.int64)
        indices = order(x, dim, descending)
        return laid_out_as(x, np.take_along_axis(x, indices, dim)), laid_out_as(x, indices)


class Argsort(Op):
    """The indices that sort."""
    names = "keep"
    cuda  = "sort.argsort"

    def cpu(x, *, dim, descending):
        return laid_out_as(x, order(x, dim, descending)) if x.ndim else np.zeros((), np.int64)


class Topk(Permuting):
    """The k largest, or smallest, and where they are."""
    cuda = "sort.topk"

    def cpu(x, *, dim, k, largest):
        if not x.ndim:
            return x.copy().reshape((1,) * k)[(0,) * k], np.zeros((), np.int64)
        indices = order(x, dim, largest).take(range(k), dim)
        return np.take_along_axis(x, indices, dim), indices


def flag(function, name, value):
    if not isinstance(value, bool):
        raise TypeError(f"{function}() received an invalid combination of arguments - got "
                        f"({name}={type(value).__name__}, ), but expected one of:\n"
                        " * (int dim = -1, bool descending = False)\n"
                        " * (*, bool stable, int dim = -1, bool descending = False)")
    return value


@export("sort")
def sort(input, dim=-1, descending=False, *, stable=False):
    """(values, indices) in ascending or descending order along `dim`; equal elements keep their order."""
    dim = one_dim(input, dim, "sort")
    return return_types.sort(*Sort.call(input, dim=dim, descending=flag("sort", "descending", descending)))


@export("argsort")
def argsort(input, dim=-1, descending=False, *, stable=False):
    """The indices that sort `input` along `dim`."""
    dim = one_dim(input, dim, "argsort")
    return Argsort.call(input, dim=dim, descending=flag("argsort", "descending", descending))


@export("msort")
def msort(input):
    """Sorted along the first dimension."""
    return sort(input, 0)[0]


@export("topk")
def topk(input, k, dim=-1, largest=True, sorted=True):
    """(values, indices) of the k largest (or smallest) along `dim`, in order."""
    dim = one_dim(input, dim, "topk")
    k = whole_number("topk", k)
    if not 0 <= k <= (input.shape[dim] if input.ndim else 1):
        raise RuntimeError("selected index k out of range")
    if input.dtype.name == "bool":
        raise RuntimeError("topk does not support bool dtypes on CPU")
    return return_types.topk(*Topk.call(input, dim=dim, k=k, largest=largest))


def whole_number(function, k):
    if isinstance(k, Tensor):
        return int(k)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"{function}(): argument 'k' (position 1) must be int, not {type(k).__name__}")
    return int(k)


# ---- the k-th of a sorted row
def kth(x, dims, keepdim, place):
    """Program: of each row along dims[0] the element whose place among the sorted is place(row length, nans)."""
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    dim, = dims
    nans = np.count_nonzero(x != x, axis=dim, keepdims=True)
    indices = np.take_along_axis(order(x, dim), place(x.shape[dim], nans), dim)
    return select(x, indices, dim, keepdim)


def middle(size, nans):
    """The lower of two middle elements; the first nan if there is one."""
    return np.where(nans > 0, size - nans, (size - 1) // 2)


def middle_number(size, nans):
    """The lower of two middle elements among those that are not nan; the first nan if there is nothing else."""
    return np.maximum(size - nans - 1, 0) // 2


def flat_kth(x, place):
    return kth(x.reshape(-1), (0,), False, place)[0] if x.size else np.full((), np.nan, x.dtype)


class MedianAll(Op):
    """The median of everything."""
    node_name = "MedianBackward0"
    names  = "none"
    cpu    = lambda x: flat_kth(x, middle)
    cuda   = "sort.median_all"
    grad_x = lambda g, x, out: share(g, chosen_of_all(x, out), None)


class NanmedianAll(Op):
    """The median of everything that is not nan."""
    node_name = "NanmedianBackward0"
    names  = "none"
    cpu    = lambda x: flat_kth(x, middle_number)
    cuda   = "sort.nanmedian_all"
    grad_x = lambda g, x, out: share(g, chosen_of_all(x, out), None)


class Median(Selection):
    """The median along the one dimension in `dims`, and where it is."""
    node_name = "MedianBackward1"
    cpu  = lambda x, *, dims, keepdim: kth(x, dims, keepdim, middle)
    cuda = "sort.median"


class Nanmedian(Selection):
    """The median of those that are not nan along the one dimension in `dims`, and where it is."""
    node_name = "NanmedianBackward1"
    cpu  = lambda x, *, dims, keepdim: kth(x, dims, keepdim, middle_number)
    cuda = "sort.nanmedian"


class Kthvalue(Selection):
    """The k-th smallest along the one dimension in `dims`, and where it is."""
    cuda = "sort.kthvalue"
    cpu  = lambda x, *, dims, keepdim, k: kth(x, dims, keepdim, lambda size, nans: np.full_like(nans, k - 1))


class Mode(Selection):
    """The most frequent along the one dimension in `dims` (the smallest of several), and where it is last."""
    cpu  = lambda x, *, dims, keepdim: most_frequent(x, dims[0], keepdim)
    cuda = "sort.mode"


def most_frequent(x, dim, keepdim):
    """Program: the longest run of equal elements in each sorted row."""
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    indices = np.moveaxis(order(x, dim), dim, -1)
    row = np.take_along_axis(np.moveaxis(x, dim, -1), indices, -1)
    places = np.arange(row.shape[-1])
    begins = np.concatenate([np.ones_like(row[..., :1], bool), row[..., 1:] != row[..., :-1]], -1)
    length = places - np.maximum.accumulate(np.where(begins, places, 0), axis=-1)      # so far
    best = np.take_along_axis(indices, np.argmax(length, -1, keepdims=True), -1)
    return select(x, np.moveaxis(best, -1, dim), dim, keepdim)


def refuse_bool(program, x):
    if x.dtype.name == "bool":
        raise NotImplementedError(f'"{program}" not implemented for \'Bool\'')


def _median(function, whole, along, result, input, dim, keepdim):
    if dim is None:
        if not isinstance(input, Tensor):
            raise wants_tensor(function, input)
        refuse_bool("median_cpu", input)
        return whole.call(input)
    dims = (one_dim(input, dim, function),)
    refuse_bool("median_out", input)
    refuse_empty("median():", input, dims, None)
    return result(*along.call(input, dims=dims, keepdim=keepdim))


@export("median")
def median(input, dim=None, keepdim=False):
    """The median of all, or (values, indices) along `dim`: of two in the middle the smaller; nan if there is one."""
    return _median("median", MedianAll, Median, return_types.median, input, dim, keepdim)


@export("nanmedian")
def nanmedian(input, dim=None, keepdim=False):
    """The median of the elements that are not nan: of all, or (values, indices) along `dim`."""
    return _median("nanmedian", NanmedianAll, Nanmedian, return_types.nanmedian, input, dim, keepdim)


@export("kthvalue")
def kthvalue(input, k, dim=-1, keepdim=False):
    """(values, indices) of the k-th smallest (from 1) along `dim`."""
    dims = (one_dim(input, dim, "kthvalue"),)
    refuse_bool("kthvalue_cpu", input)
    refuse_empty("kthvalue():", input, dims, None)
    k = whole_number("kthvalue", k)
    if not 1 <= k <= (input.shape[dims[0]] if input.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dims[0]}")
    return return_types.kthvalue(*Kthvalue.call(input, dims=dims, keepdim=keepdim, k=k))


@export("mode")
def mode(input, dim=-1, keepdim=False):
    """(values, indices) of the most frequent element along `dim`: the smallest of several, the last of its places."""
    dims = (one_dim(input, dim, "mode"),)
    refuse_empty("mode():", input, dims, None)
    return return_types.mode(*Mode.call(input, dims=dims, keepdim=keepdim))


# ---- quantiles
INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(function, input, q, dim, keepdim, interpolation, skip_nan):
    """Between which two of the sorted elements a quantile lies, and how far from the lower."""
    place = 0 if dim is None else one_dim(input, dim, function)
    no_names(input, function)
    _check_quantile(function, input, q, interpolation)
    several = isinstance(q, Tensor) and q.ndim == 1
    levels = (q if isinstance(q, Tensor) else input.new_tensor(q)).reshape(-1)
    rows = input.reshape(-1) if dim is None or not input.ndim else input.movedim(place, -1)
    rows = sort(rows)[0]                                                    # (..., size)
    nans = (rows != rows).sum(-1, keepdim=True)
    size = rows.shape[-1]
    last = (size - nans - 1).clamp(min=0) if skip_nan else nans * 0 + size - 1
    rank = last * levels                                                    # (..., levels)
    if not skip_nan:
        rank = rank.masked_fill(nans > 0, size - 1)                         # where the nan is
    if interpolation == "nearest":
        rank = rank.round()
    below = (rank.ceil() if interpolation == "higher" else rank.floor()).long()
    out = rows.gather(-1, below)
    if interpolation in ("linear", "midpoint"):
        share_above = rank - below if interpolation == "linear" else (rank != below) * 0.5
        out = out + share_above * (rows.gather(-1, rank.ceil().long()) - out)
    out = out.movedim(-1, 0)                                                # (levels, ...)
    if keepdim:
        lost = range(input.ndim) if dim is None else (place,) if input.ndim else ()
        out = spread(out, [d + 1 for d in lost], False)
    return out if several else out.squeeze(0)


def _check_quantile(function, input, q, interpolation):
    if not input.numel():
        raise RuntimeError(f"{function}() input tensor must be non-empty")
    if input.dtype.name not in ("float32", "float64"):
        raise RuntimeError(f"{function}() input tensor must be either float or double dtype")
    if isinstance(q, Tensor):
        if q.ndim > 1:
            raise RuntimeError(f"{function}() q must be a scalar or 1D tensor")
        if q.dtype is not input.dtype:
            raise RuntimeError(f"{function}() q tensor must be same dtype as the input tensor")
        if not bool(((q >= 0) & (q <= 1)).all()):
            raise RuntimeError(f"{function}() q values must be in the range [0, 1]")
    elif not 0 <= q <= 1:
        raise RuntimeError(f"{function}() q must be in the range [0, 1] but got {q:g}")
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(f"{function}() interpolation must be one of linear, lower, higher, midpoint or nearest, but "
                           f"got {interpolation}")


@export("quantile")
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The q-th quantiles (0 to 1, a number or a tensor of them) of all elements or along `dim`; nan if there is one."""
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@export("nanquantile")
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The q-th quantiles of the elements that are not nan."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)
