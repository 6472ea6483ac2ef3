"""Tensors out of Python numbers, nested sequences and arrays: torch's inference of shape and dtype.

Everything that comes in is copied. Views of foreign memory are made in ops.create.
"""
from __future__ import annotations

import numpy as np

from .. import backends
from . import dtypes
from .tensor import Tensor, from_host


def from_data(data, dtype=None, device=None, names=None):
    """A copy of Python numbers, nested sequences, a numpy array or a tensor, as `tensor(data)` makes it."""
    backend = backends.get_backend(device)
    if isinstance(data, Tensor):
        host, found = data._host(), data.dtype
    elif isinstance(data, (np.ndarray, np.generic)):
        host = np.asarray(data)
        found = dtypes.from_numpy(host.dtype)
    else:
        host, found = from_sequence(data, dtype)
    if dtype is None:
        dtype = found
    return from_host(host, dtype, backend, names)


def from_sequence(data, dtype):
    """Numbers and nested sequences -> (numpy array, dtype), with torch's inference and errors."""
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if not isinstance(data, (bool, int, float)):
        data, shape = _plain(data)
    else:
        shape = ()
    kinds = set()
    flat = []
    _flatten(data, shape, 0, flat, kinds)
    if dtype is None:
        dtype = dtypes.get_default_dtype() if not flat else None
        for kind in kinds:
            dtype = kind if dtype is None else dtypes.promote_types(dtype, kind)
    if dtype.category == dtypes.FLOATING:
        host = np.array(flat, np.float64)
    elif dtype is dtypes.bool_:
        host = np.array([bool(v) for v in flat], np.bool_)
    else:
        try:
            host = np.array([int(v) for v in flat], np.int64)
        except OverflowError:
            raise RuntimeError("Overflow when unpacking long long") from None
    return host.reshape(shape), dtype


def _plain(data):
    """`data` with tensors and arrays inside turned into lists, and the shape its first elements suggest."""
    if isinstance(data, (Tensor, np.ndarray)):
        return data, tuple(data.shape)
    shape, level = [], data
    while not isinstance(level, (bool, int, float, np.generic)):
        if isinstance(level, (Tensor, np.ndarray)):
            shape += list(level.shape)
            break
        if isinstance(level, (str, bytes)) or not hasattr(level, "__len__") or not hasattr(level, "__getitem__") or isinstance(level, dict):
            if hasattr(level, "__array__"):
                level = np.asarray(level)
                continue
            raise (TypeError(f"new(): invalid data type '{type(level).__name__}'") if isinstance(level, str) else
                   RuntimeError(f"Could not infer dtype of {type(level).__name__}"))
        shape.append(len(level))
        if not len(level):
            break
        level = level[0]
    return data, tuple(shape)


def _flatten(data, shape, depth, flat, kinds):
    if depth == len(shape):
        if isinstance(data, Tensor):
            kinds.add(data.dtype)
            data = data.item()
        elif isinstance(data, (np.generic, np.ndarray)):
            kinds.add(dtypes.from_numpy(data.dtype))
            data = data.item()
        elif isinstance(data, (bool, int, float)):
            kinds.add(dtypes.of_number(data))
        elif isinstance(data, complex):
            raise TypeError("complex numbers are not supported")
        elif hasattr(data, "__len__") and not isinstance(data, str):
            raise TypeError("only length-1 arrays can be converted to Python scalars: expected a number at dim "
                            f"{depth}, "
                            f"got {type(data).__name__}")
        else:
            raise TypeError(f"must be real number, not {type(data).__name__}")
        flat.append(data)
        return
    if isinstance(data, (Tensor, np.ndarray)):
        host = data._host() if isinstance(data, Tensor) else data
        kinds.add(data.dtype if isinstance(data, Tensor) else dtypes.from_numpy(data.dtype))
        if tuple(host.shape) != shape[depth:]:
            raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got "
                             f"{len(host) if host.ndim else 0})")
        flat.extend(host.astype(np.float64).reshape(-1).tolist() if host.dtype.kind not in "iub" else host.reshape(-1).tolist())
        return
    if not hasattr(data, "__len__"):
        raise TypeError(f"object of type '{type(data).__name__}' has no len()" if not isinstance(data, (bool, int, float)) else
                        "expected a sequence, got a number: the nested sequences differ in depth")
    if len(data) != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
    for item in data:
        _flatten(item, shape, depth + 1, flat, kinds)
