"""Adding up in the order in which torch adds up on a CPU, so that sums of floats have the same digits.

It knows numpy arrays only. The order is that of ATen's cascade sum with vectors of 32 bytes: lanes side by side, four
vectors in turn, sixteen rows of them to a partial sum. Rows of more than 1,024 numbers are left to numpy: its order
rounds no worse, and its speed counts for more there than the last digit.
Source: https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/SumKernel.cpp
"""
from __future__ import annotations

import functools
import math

import numpy as np

IN_TURN, RUN, WIDTH, LONG = 4, 16, 32, 1024        # vectors in turn; rows to a partial sum; bytes of a vector; numbers
plus, running = np.add.reduce, np.add.accumulate
SHORT = [np.array([*range(8, n), *range(8)]) for n in range(16)]     # float32: what is left over, then the lanes


def total(x):
    """The sum of all elements, as a number or an array without dimensions."""
    return add_up(x, tuple(range(x.ndim)))


def add_up(x, dims, keepdim=False):
    """The sum of an array along `dims` (sorted), as np.add.reduce(x, axis=dims, keepdims=keepdim)."""
    kept = x.ndim - len(dims)
    if x.dtype.kind != "f" or x.dtype.itemsize == 2 or not x.size:
        return plus(x, axis=dims, keepdims=keepdim)
    if x.ndim == 1 and 8 <= x.size < 16 and x.itemsize == 4 and dims and not keepdim:
        return running(x.take(SHORT[x.size]))[-1]
    if dims and dims[0] == kept and x.flags.c_contiguous:            # what is added lies in one piece
        rows = x.reshape(x.shape[:kept] + (-1,))
        if rows.shape[-1] <= LONG:
            out = in_order(rows, rows.shape[-1])
            return out.reshape(x.shape[:kept] + (1,) * len(dims)) if keepdim else out
    elif dims and dims[-1] != x.ndim - 1 and x.dtype == np.float32 and x.size > 1024:
        return plus(x, axis=dims, keepdims=keepdim, dtype=np.float64)    # numpy adds one by one across memory
    return plus(x, axis=dims, keepdims=keepdim)


def add_rows(x, dims):
    """np.add.reduce(x, axis=dims, keepdims=True) in whatever order is quick: short rows as a product with ones."""
    kept = x.ndim - len(dims)
    if dims and dims[0] == kept and x.flags.c_contiguous and x.size > LONG and x.dtype.char in "fd":
        length = math.prod(x.shape[kept:])
        if length <= LONG:
            return (x.reshape(-1, length) @ ones(length, x.dtype)).reshape(x.shape[:kept] + (1,) * len(dims))
    return plus(x, axis=dims, keepdims=True)


ones = functools.cache(np.ones)


def in_order(x, n):
    """The sum along the last dimension, of size n <= LONG, of an array whose rows lie in one piece."""
    lanes = WIDTH // x.itemsize if n >= WIDTH // x.itemsize else 1
    end = n - n % lanes                            # of the vectors
    full = end - end % (IN_TURN * lanes)           # of the vectors that come four in a row
    if full:
        sums = cascade(x[..., :full].reshape(x.shape[:-1] + (full // (IN_TURN * lanes), IN_TURN * lanes)))
        parts = sums.reshape(x.shape[:-1] + (IN_TURN, lanes))
        for start in range(full, end, lanes):      # up to three vectors more
            parts[..., 0, :] += x[..., start:start + lanes]
    else:
        parts = x[..., :end].reshape(x.shape[:-1] + (end // lanes, lanes))
    if lanes == 1:                                 # fewer numbers than lanes
        return running(parts[..., 0], axis=-1)[..., -1]
    sums = plus(parts, axis=-2)                    # across memory numpy adds one by one
    last = np.concatenate([x[..., end:], sums], axis=-1) if end < n else sums
    return running(last, axis=-1)[..., -1]


def cascade(rows):
    """The sum of rows (..., count, size): sixteen at a time, then of their sums."""
    count, size = rows.shape[-2:]
    if count < RUN:
        return plus(rows, axis=-2)
    whole = count - count % RUN
    runs = plus(rows[..., :whole, :].reshape(rows.shape[:-2] + (whole // RUN, RUN, size)), axis=-2)
    return plus(rows[..., whole:, :], axis=-2) + plus(runs, axis=-2)
