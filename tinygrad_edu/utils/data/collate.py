"""Samples into batches: tensors are stacked, numbers become tensors, containers are batched inside.

It knows types of samples; where they come from is none of its business.
"""
from __future__ import annotations

import collections.abc
import copy

import numpy as np

from ...core import dtypes
from ...core.export import functions
from ...core.tensor import Tensor

REFUSED = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
TEXT_OR_OBJECTS = "SaUO"                           # numpy's letters for types that no tensor has


def default_convert(data):
    """`data` with every numpy array inside it turned into a tensor: what a DataLoader without batches does."""
    kind = type(data)
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)) and not isinstance(data, (np.str_, np.bytes_)):
        is_text = isinstance(data, np.ndarray) and data.dtype.char in TEXT_OR_OBJECTS
        return data if is_text else functions["as_tensor"](data)
    if isinstance(data, collections.abc.Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return kind(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(item) for item in data])
    return data


def default_collate(batch):
    """A list of samples as one sample with a dimension more in front: what a DataLoader does with a batch.

    Tensors and arrays of equal shapes are stacked, floats become float64 and ints int64 tensors, strings stay a list;
    tuples, lists, dicts and namedtuples are batched entry by entry.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch, *, collate_fn_map=None):
    """`default_collate` with a table of types of one's own: {type: function(batch, *, collate_fn_map)}."""
    first = batch[0]
    kind = type(first)
    known = collate_fn_map or {}
    for match in ([kind] if kind in known else [t for t in known if isinstance(first, t)]):
        return known[match](batch, collate_fn_map=collate_fn_map)
    if isinstance(first, collections.abc.Mapping):
        made = {key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map) for key in first}
        return _like_mapping(first, made)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)))
    if isinstance(first, collections.abc.Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size\n  their lengths: "
                               + ", ".join(str(len(sample)) for sample in batch))
        made = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)]
        return made if isinstance(first, tuple) else _like_sequence(first, made)
    raise TypeError(REFUSED.format(kind))


def _like_mapping(old, items):
    """A mapping of old's type with these items, or a dict where that type can't be made."""
    try:
        if isinstance(old, collections.abc.MutableMapping):
            new = copy.copy(old)                   # it may have attributes of its own
            new.update(items)
            return new
        return type(old)(items)
    except TypeError:
        return items


def _like_sequence(old, items):
    """A sequence of old's type with these items, or a list where that type can't be made (range)."""
    try:
        if isinstance(old, collections.abc.MutableSequence):
            new = copy.copy(old)
            for i, item in enumerate(items):
                new[i] = item
            return new
        return type(old)(items)
    except TypeError:
        return items


def collate_tensor_fn(batch, *, collate_fn_map=None):
    return functions["stack"](batch, 0)


def collate_numpy_array_fn(batch, *, collate_fn_map=None):
    if batch[0].dtype.char in TEXT_OR_OBJECTS:
        raise TypeError(REFUSED.format(batch[0].dtype))
    return collate([functions["as_tensor"](array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch, *, collate_fn_map=None):
    return functions["as_tensor"](batch)


def collate_float_fn(batch, *, collate_fn_map=None):
    return functions["tensor"](batch, dtype=dtypes.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    return functions["tensor"](batch)


def collate_str_fn(batch, *, collate_fn_map=None):
    return batch


default_collate_fn_map = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
