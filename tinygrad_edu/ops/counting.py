"""Counting and looking up: unique elements, histograms, places in a sorted row. Nothing here has a derivative."""
from __future__ import annotations

import numpy as np

from ..core import dtypes, layout
from ..core.export import export
from ..core.op import Op
from ..core.tensor import Tensor
from .reduce import one_dim, wants_tensor


# ---- unique elements
class Unique(Op):
    """Sorted without repetition: (elements, place of each input among them, how often each occurs)."""
    n_outputs = 3
    cpu = lambda x, *, dim: unique_of(x, dim)
    cuda = "unique.unique"


class UniqueConsecutive(Op):
    """Without immediate repetition: (elements, place of each input among them, how often each is repeated)."""
    n_outputs = 3
    cpu = lambda x, *, dim: runs_of(x, dim)
    cuda = "unique.unique_consecutive"


def unique_of(x, dim):
    found, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, axis=dim, equal_nan=False)
    return found, inverse.reshape(x.shape if dim is None else -1).astype(np.int64), counts.astype(np.int64)


def runs_of(x, dim):
    """Program: a run begins where something differs from its neighbour (nan differs from itself)."""
    shape = x.shape if dim is None else x.shape[dim:dim + 1]
    rows = x.reshape(-1, 1) if dim is None else np.moveaxis(x, dim, 0)
    rows = rows.reshape(len(rows), -1) if x.size else np.zeros((len(rows), 0))
    begins = np.ones(len(rows), bool)
    begins[1:] = (rows[1:] != rows[:-1]).any(1)
    inverse = (np.cumsum(begins) - 1).reshape(shape)
    counts = np.diff(np.append(np.flatnonzero(begins), len(rows)))
    found = x.reshape(-1)[begins] if dim is None else np.compress(begins, x, axis=dim)
    return found, inverse.astype(np.int64), counts.astype(np.int64)


def _distinct(op, function, input, return_inverse, return_counts, dim):
    if not isinstance(input, Tensor):
        raise wants_tensor(function, input)
    if dim is not None:
        if not input.ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        dim = one_dim(input, dim, function)
        if not input.numel() and any(n == 0 for d, n in enumerate(input.shape) if d != dim):
            raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
    found = op.call(input, dim=dim)
    asked = [x for x, wanted in zip(found, (True, return_inverse, return_counts)) if wanted]
    return tuple(asked) if len(asked) > 1 else asked[0]


@export("unique", out=False)
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements (or slices along `dim`), ascending; if asked, where each went, and how many there were."""
    return _distinct(Unique, "unique", input, return_inverse, return_counts, dim)


@export("unique_consecutive", out=False)
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The first element (or slice along `dim`) of each run of equal ones; if asked, where each went, and how many."""
    return _distinct(UniqueConsecutive, "unique_consecutive", input, return_inverse, return_counts, dim)


# ---- histograms
class Bincount(Op):
    """How often each number below `bins` occurs; there is none above."""
    cpu = lambda x, *, bins: np.bincount(x, minlength=bins).astype(np.int64)
    cuda = "count.bincount"


class WeightedBincount(Op):
    """The sum of the weights of each number below `bins`."""
    cpu = lambda x, weights, *, bins: np.bincount(x, weights, bins).astype(weights.dtype)
    cuda = "count.weighted_bincount"


@export("bincount", out=False)
def bincount(input, weights=None, minlength=0):
    """How often each number from 0 on occurs among non-negative integers; with `weights`, what those add up to."""
    if not isinstance(input, Tensor):
        raise wants_tensor("bincount", input)
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    whole = not input.is_floating_point() and input.dtype is not dtypes.bool_
    if input.ndim != 1 or whole and input.numel() and input.min().item() < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if not whole:
        raise NotImplementedError(f'"bincount_cpu" not implemented for \'{input.dtype.legacy_name}\'')
    bins = max(minlength, int(input.max().item()) + 1) if input.numel() else minlength
    if weights is None or not input.numel():
        return Bincount.call(input, bins=bins)
    if weights.dtype is not dtypes.float32:
        weights = weights.to(dtypes.float64)
    return WeightedBincount.call(input, weights, bins=bins)


class Histc(Op):
    """How many elements lie in each of `bins` equal parts of [low, high]; the last includes its end."""
    def cpu(x, *, bins, low, high):
        wide = x[(x >= low) & (x <= high)].astype(np.float64)
        places = np.minimum(((wide - low) / (high - low) * bins).astype(np.int64), bins - 1)
        return np.bincount(places, minlength=bins).astype(x.dtype)
    cuda = "count.histc"


@export("histc")
def histc(input, bins=100, min=0, max=0):
    """How many elements lie in each of `bins` equal parts of [min, max], of the whole range if both are equal."""
    if not isinstance(input, Tensor):
        raise wants_tensor("histc", input)
    if not input.is_floating_point():
        raise NotImplementedError(f'"histogram_cpu" not implemented for \'{input.dtype.legacy_name}\'')
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    low, high = float(min), float(max)
    if low == high and input.numel():
        low, high = input.min().item(), input.max().item()
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise RuntimeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    if low == high:
        low, high = low - 1, high + 1
    return Histc.call(input, bins=bins, low=low, high=high)


# ---- places in a sorted row
class Searchsorted(Op):
    """Where each value would have to be inserted into its row of boundaries."""
    def cpu(boundaries, values, *, right):
        side = "right" if right else "left"
        if boundaries.ndim == 1:
            return np.asarray(np.searchsorted(boundaries, values, side)).astype(np.int64)
        found = np.zeros(values.shape, np.int64)
        for row in np.ndindex(values.shape[:-1]):
            found[row] = np.searchsorted(boundaries[row], values[row], side)
        return found
    cuda = "count.searchsorted"


@export("searchsorted()")
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Where each value of `input` belongs in the sorted rows: before equal elements, or after them if `right`."""
    told = "torch.searchsorted(): "
    if side not in (None, "left", "right"):
        raise RuntimeError(f"{told}side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(f"{told}side and right can't be set to opposites, got side of left while right was True")
    if not isinstance(sorted_sequence, Tensor):
        raise TypeError("searchsorted(): argument 'sorted_sequence' (position 1) must be Tensor, not "
                        f"{type(sorted_sequence).__name__}")
    shape = sorted_sequence.shape
    if not shape:
        raise RuntimeError(f"{told}boundaries tensor should have positive dimension, but got 0 dimension")
    if sorter is not None:
        sorted_sequence = _sorted_by(sorter, sorted_sequence, told)
    values = input if isinstance(input, Tensor) else sorted_sequence.new_tensor(input, dtype=dtypes.of_number(input))
    if len(shape) > 1 and not values.ndim:
        raise RuntimeError(f"{told}input value can be a scalar only when boundaries tensor dimension is 1, but we got "
                           f"boundaries tensor dim({len(shape)}) and input value's dim(0) numel(1)")
    if len(shape) > 1 and (values.ndim != len(shape) or values.shape[:-1] != shape[:-1]):
        raise RuntimeError(f"{told}boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
                           f"tensor and input value tensor must match, but we got boundaries tensor {list(shape)} and "
                           f"input value tensor {list(values.shape)}")
    if sorted_sequence.dtype is dtypes.bool_:
        raise NotImplementedError('"searchsorted_out_cpu" not implemented for \'Bool\'')
    found = Searchsorted.call(sorted_sequence, values, right=right or side == "right")
    return found.int() if out_int32 else found


def _sorted_by(sorter, boundaries, told):
    shape = boundaries.shape
    if sorter.shape != shape:
        raise RuntimeError(f"{told}boundary and sorter must have the same size, but got boundary tensor {list(shape)}"
                           f"and got sorter tensor {list(sorter.shape)}")
    if sorter.dtype is not dtypes.int64:
        raise RuntimeError(f"{told}sorter must be a tensor of long dtype but got dtype {sorter.dtype.legacy_name}")
    if layout.numel(shape) and not 0 <= sorter.min().item() <= sorter.max().item() < shape[-1]:
        raise RuntimeError(f"{told}sorter index out of range")
    return boundaries.gather(-1, sorter)


@export("bucketize()")
def bucketize(input, boundaries, *, out_int32=False, right=False):
    """In which of the buckets between `boundaries` (a sorted row) each value lies."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
