"""Indexing: x[...] to read, x[...] = value to write, with everything that torch allows between the brackets.

A key is taken apart here: ints, slices, None and Ellipsis become views; masks and tensors of indices become one
Index (reading) or one IndexPut (writing) over those views. No index is looked at by a backend before it is checked.
"""
from __future__ import annotations

import operator
import warnings

import numpy as np

from ..core import dtypes, errors
from ..core.data import fits, from_data
from ..core.export import export
from ..core.op import Op, number_as
from ..core.tensor import Tensor, filled
from .expand import expand
from .slices import select, slice_
from .views import alias, bare, give_names, new_dim, reshape

INDEX_NAMES = tuple([f"index{i}" for i in range(64)])
INDEX_TYPES = ("int64", "int32", "bool", "uint8")


def key_of(indices, places):
    """numpy's key: an index tensor where `places` says so, everything between them."""
    rest = iter(indices)
    return tuple([next(rest) if given else slice(None) for given in places])


# ---- the two ops
class Index(Op):
    """The elements at tensors of indices; a mask stands for the indices of its true elements."""
    inputs = ("x", *INDEX_NAMES)
    saves = INDEX_NAMES

    def cpu(x, *indices, places):
        return np.ascontiguousarray(x[key_of(indices, places)])
    cuda = "index.index"

    def backward(ctx, g):
        spec = ctx.specs[0]
        zeros = filled(spec.shape, 0, spec.dtype, spec.backend)
        return _put(zeros, ctx.saved[1:], ctx.params["places"], g, accumulate=True),


class IndexPut(Op):
    """x with values written (or added) at tensors of indices."""
    inputs = ("x", "values", *INDEX_NAMES)
    saves = INDEX_NAMES

    def cpu(x, values, *indices, places, accumulate):
        out = copied(x)
        key = key_of(indices, places)
        if accumulate:
            add_at(out, key, values)
        else:
            out[key] = values
        return out
    cuda = "scatter.index_put"

    def backward(ctx, g):
        indices, places = ctx.saved[2:], ctx.params["places"]
        to_x = to_values = None
        if ctx.edges[0] is not None:
            zero = filled((), 0, g.dtype, g._spec.backend)
            to_x = g if ctx.params["accumulate"] else _put(g, indices, places, zero)
        if ctx.edges[1] is not None:
            to_values = Index.call(g, *indices, places=places)
        return to_x, to_values


def copied(x):
    """A copy in the same order of memory, unless x has elements that share a place."""
    return x.copy(order="C" if 0 in x.strides else "K")


def add_at(array, key, values):
    """array[key] += values, where an index that occurs several times adds several times."""
    if all(isinstance(k, slice) or k.dtype == bool for k in key):
        array[key] += values                       # a mask names no element twice
        return
    places = np.arange(array.size).reshape(array.shape)[key]
    values = np.broadcast_to(values, places.shape).reshape(-1)
    if array.flags.c_contiguous:
        np.add.at(array.reshape(-1), places.reshape(-1), values)
    else:
        flat = array.reshape(-1)
        np.add.at(flat, places.reshape(-1), values)
        array[...] = flat.reshape(array.shape)


def _put(x, indices, places, values, accumulate=False):
    return IndexPut.call(x, values, *indices, places=places, accumulate=accumulate)


# ---- a key, taken apart
def look(x, key, writing=False):
    """(view of x, tensors of indices, places): what remains once ints, slices, None and Ellipsis are done."""
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        if not x.ndim and not key:
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in "
                             "C++ to convert a 0-dim tensor to a number")
        return _select(x, 0, key, 0), (), ()
    if isinstance(key, slice) and not x.ndim:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    parts = [_part(k) for k in (key if isinstance(key, tuple) else _as_tuple(key))]
    taken = sum(map(_consumes, parts))
    if taken > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    left, dim, whole, indices = x.ndim - taken, 0, x, {}
    for place, part in enumerate(parts):
        if part is Ellipsis:
            dim, left = dim + left, 0
        elif part is None:
            x, dim = new_dim(x, dim), dim + 1
        elif isinstance(part, slice):
            whole_dim = part.step in (None, 1) and not part.start and (part.stop is None or part.stop >= x.shape[dim])
            if not whole_dim or isinstance(key, slice) and not writing:
                x = slice_(x, dim, part.start, part.stop, 1 if part.step is None else part.step)
            dim += 1
        elif isinstance(part, int):
            x = _select(x, dim, part, place)
        else:
            if not part.ndim:                      # a 0-d mask: a new dimension of size one or zero
                x, part = new_dim(x, dim), reshape(part, 1)
            indices[dim] = part
            dim += _consumes(part)
    if not indices:
        return (x if x is not whole or writing else alias(x, x._spec.names)), (), ()
    places, at = [], 0
    while at <= max(indices):
        places.append(at in indices)
        at += _consumes(indices[at]) if at in indices else 1
    return x, tuple([indices[d] for d in sorted(indices)]), tuple(places)


def _as_tuple(key):
    """torch's (and numpy's old) rule: a list that holds sequences, slices, None or Ellipsis is a tuple of indices."""
    if not isinstance(key, (list, range)) or len(key) >= 32:
        return (key,)
    if any(k is None or k is Ellipsis or isinstance(k, (slice, list, tuple, range, Tensor, np.ndarray)) for k in key):
        warnings.warn("Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in "
                      "pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as "
                      "tensor index, x[torch.tensor(seq)], which will result either in an error or a different "
                      "result", UserWarning, stacklevel=5)
        return tuple(key)
    return (key,)


def _part(k):
    """One part of a key as an int, a slice, None, Ellipsis, or a tensor of int64 or bool."""
    if k is None or k is Ellipsis:
        return k
    if isinstance(k, slice):
        if k.step is not None and not isinstance(k.step, Tensor) and k.step == 0:
            raise ValueError("slice step cannot be zero")
        try:
            return slice(*[None if v is None else operator.index(v) for v in (k.start, k.stop, k.step)])
        except TypeError:
            raise TypeError("slice indices must be integers or None or have an __index__ method") from None
    if isinstance(k, bool):
        return from_data(k)
    if isinstance(k, (int, np.integer)):
        return int(k)
    if isinstance(k, (list, tuple, range, str)):
        found = from_data(list(k) if isinstance(k, range) else k)
        k = found if found.dtype is dtypes.bool_ else found.to(dtypes.int64)
    elif isinstance(k, np.ndarray):
        k = from_data(k)
    if not isinstance(k, Tensor):
        raise IndexError("only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
                         "indices (got "
                         f"{type(k).__module__ + '.' if isinstance(k, np.generic) else ''}{type(k).__name__})")
    if not k.ndim and k.dtype.name.startswith("int"):
        return int(k.item())
    return checked_index(k)


def checked_index(k):
    """A tensor of indices, as int64 or bool; torch's IndexError for other types."""
    if k.dtype.name not in INDEX_TYPES:
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    if k.dtype is dtypes.uint8:
        warnings.warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
                      "instead.", UserWarning, stacklevel=5)
        return k.to(dtypes.bool_)
    return k


def _consumes(k):
    """How many dimensions of the tensor a part of a key stands for."""
    if isinstance(k, Tensor):
        return k.ndim if k.dtype is dtypes.bool_ else 1
    return int(k is not None and k is not Ellipsis)


def _select(x, dim, index, place):
    size = x.shape[dim] if x.ndim else 0
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {place} with size {size}")
    return select(x, dim, index)


# ---- tensors of indices
def prepare(x, indices, places, values=None):
    """(indices on x's device, shape of x[indices]), checked against x's shape before anything is computed.

    `values`: what is to be written there; torch complains of their shape before it looks at an index.
    """
    backend, ready, shapes, integers, dim = x._spec.backend, [], [], [], 0
    rest = iter(indices)
    for given in places:
        if not given:
            dim += 1
            continue
        k = next(rest)
        if k._spec.backend is not backend:
            if not k.is_cpu:
                raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor "
                                   f"({x.device})")
            k = k.to(x.device)
        if k.dtype is dtypes.bool_:
            check_mask(k, x, dim)
            shapes += [(count_true(k),)] * k.ndim
        else:
            integers.append((len(ready), len(shapes), x.shape[dim]))
            shapes.append(tuple(k.shape))
        ready.append(k)
        dim += _consumes(k)
    try:
        common = np.broadcast_shapes(*shapes)
    except ValueError:
        raise IndexError("shape mismatch: indexing tensors could not be broadcast together with shapes "
                         + ", ".join([str(list(s)) for s in shapes])) from None
    shape = result_shape(x, ready, places, common)
    if values is not None:
        check_fits(values, shape)
    for place, number, size in integers:
        k = ready[place]
        if 0 not in shape:
            check_bounds(k, number, size)
        else:                                      # torch looks at no index where nothing is read
            ready[place] = expand(k, common) if 0 in common else k * 0
    return tuple(ready), shape


def check_mask(mask, x, dim):
    if mask.shape != x.shape[dim:dim + mask.ndim]:
        wrong = next(j for j in range(mask.ndim) if mask.shape[j:j + 1] != x.shape[dim + j:dim + j + 1])
        raise IndexError(f"The shape of the mask {list(mask.shape)} at index {wrong} does not match the shape of the "
                         f"indexed tensor {list(x.shape)} at index {dim + wrong}")


def check_fits(values, shape):
    if errors.fits(tuple(values.shape), shape) != shape:
        raise RuntimeError(f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to "
                           f"indexing result of shape {list(shape)}")


def first_outside(index, low, size):
    """The first index that does not lie in [low, size), or None. A GPU looks for itself, and tells whether."""
    backend = index._spec.backend
    if hasattr(backend, "program"):
        return backend.program("index.first_outside")(index._array, low, size)
    host = index._host()
    if not host.size or low <= int(host.min()) and int(host.max()) < size:
        return None
    host = host.reshape(-1)
    return int(host[(host < low) | (host >= size)][0])


def check_bounds(index, dim, size):
    if not size and index.numel():
        raise IndexError("index is out of bounds for dimension with size 0")
    wrong = first_outside(index, -size, size)
    if wrong is not None:
        raise IndexError(f"index {wrong} is out of bounds for dimension {dim} with size {size}")


def count_true(mask):
    """How many elements of a mask are true, as a number."""
    backend = mask._spec.backend
    if hasattr(backend, "program"):
        return backend.program("compact.count_true")(mask._array)
    return int(np.count_nonzero(mask._host()))


def _getitem(x, key):
    """x[key]: a view where only ints, slices, None and Ellipsis stand in the key, else a copy."""
    view, indices, places = look(x, key)
    if not indices:
        return view
    indices, _ = prepare(view, indices, places)
    return Index.call(view, *indices, places=places)


def _setitem(x, key, value):
    """x[key] = value: written into x's memory, on the tape too; value may be a number or a tensor that broadcasts."""
    if not isinstance(value, Tensor):
        if not isinstance(value, (bool, int, float)):
            kind = type(value)
            raise TypeError("can't assign a "
                            f"{kind.__module__ + '.' if kind.__module__ == 'numpy' else ''}{kind.__name__} to a torch."
                            f"{x.dtype.legacy_name}Tensor")
        value = filled((), number_as(fits(value, x.dtype), x.dtype), x.dtype, x._spec.backend)
    if key is False:
        return
    view, indices, places = look(x, key, writing=True)
    single = not value.ndim
    ones = next((d for d, size in enumerate(value.shape) if size != 1), value.ndim)
    if ones:                                       # as torch: leading dimensions of size one don't count
        value = give_names(reshape(bare(value), value.shape[ones:]), value.names[ones:])
    if indices:
        view._index_put_(indices, places, value)
    elif single:
        view.fill_(value)
    else:
        view.copy_(value if value.shape == view.shape else expand(value, view.shape))


Tensor.__getitem__ = _getitem
Tensor.__setitem__ = _setitem


@export("._index_put", inplace=True)
def _index_put(x, indices, places, values, accumulate=False):
    indices, _ = prepare(x, indices, places, values)
    if not values.ndim and not accumulate and len(indices) == 1 and indices[0].dtype is dtypes.bool_:
        values = values.to(x.dtype)                # torch fills a mask with one number of any type
    if values.dtype is not x.dtype:
        raise RuntimeError(f"Index put requires the source and destination dtypes match, got {x.dtype.legacy_name} for "
                           f"the destination and {values.dtype.legacy_name} for the source.")
    if values._spec.backend is not x._spec.backend and not values.ndim:
        values = values.to(x.device)
    return _put(x, indices, places, values, accumulate)


def result_shape(x, indices, places, common):
    """The shape of x[indices]: the indices' common shape where they stood, or in front if a slice lies between them."""
    consumed, dim, rest = [], 0, iter(indices)
    for given in places:
        count = _consumes(next(rest)) if given else 1
        consumed += range(dim, dim + count) if given else ()
        dim += count
    adjacent = bool(consumed) and consumed[-1] - consumed[0] + 1 == len(consumed)
    before = consumed[0] if adjacent else 0
    kept = [size for d, size in enumerate(x.shape) if d not in consumed]
    return (*kept[:before], *common, *kept[before:])


@export("index_put", inplace=True)
def index_put(input, indices, values, accumulate=False):
    """`input` with `values` written (`accumulate=True`: added) at a tuple of tensors of indices, one per dimension."""
    if not isinstance(indices, (tuple, list)):
        raise TypeError("index_put(): argument 'indices' (position 2) must be tuple of Tensors, not "
                        f"{type(indices).__name__}")
    for place, k in enumerate(indices):
        if not isinstance(k, Tensor):
            raise TypeError(f"expected Tensor as element {place} in argument 0, but got {type(k).__name__}")
    if not isinstance(values, Tensor):
        raise TypeError(f"index_put(): argument 'values' (position 3) must be Tensor, not {type(values).__name__}")
    indices = [checked_index(k) for k in indices]
    if sum(map(_consumes, indices)) > input.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input.ndim} (got {sum(map(_consumes, indices))})")
    return _index_put(input, indices, (True,) * len(indices), values, accumulate)
