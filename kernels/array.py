"""What a kernel must know of an array: a buffer, and how to walk it.

It knows no kernel and no device. Strides and offsets count elements, not bytes.
"""
from __future__ import annotations

import functools
import math

import numpy as np


class Array:
    """A view of a buffer: element [i, j] lies at offset + i * strides[0] + j * strides[1]."""
    __slots__ = ("buffer", "shape", "strides", "offset", "dtype", "_contiguous")

    def __init__(self, buffer, shape, strides, offset, dtype, contiguous=None):
        self.buffer, self.shape, self.strides, self.offset, self.dtype = buffer, shape, strides, offset, dtype
        self._contiguous = contiguous               # None: not known yet

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def machine(self):
        return self.buffer.machine

    def is_contiguous(self):
        """Whether the elements lie one behind the other, the last index fastest."""
        if self._contiguous is None:
            self._contiguous = self._lies_in_order()
        return self._contiguous

    def _lies_in_order(self):
        step = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides)):
            if size != 1 and stride != step:
                return 0 in self.shape
            step *= size
        return True

    def view(self, shape, strides=None, offset=None):
        """Another way to walk the same buffer; row by row unless strides are given."""
        return Array(self.buffer, tuple(shape), row_major(tuple(shape)) if strides is None else tuple(strides),
                     self.offset if offset is None else offset, self.dtype)

    def permute(self, dims):
        return self.view(tuple([self.shape[d] for d in dims]), tuple([self.strides[d] for d in dims]))

    def broadcast_to(self, shape):
        """Repeat dimensions of size 1 (and missing ones) by stride 0."""
        lead = len(shape) - len(self.shape)
        strides = [0 if have != want else stride for have, want, stride in zip(self.shape, shape[lead:], self.strides)]
        return self.view(shape, (0,) * lead + tuple(strides))

    def numpy(self):
        """A copy in the host's memory."""
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)
        last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
        host = self.machine.download(self.buffer, self.dtype, self.offset, last + 1)
        step = self.dtype.itemsize
        return np.ndarray(self.shape, self.dtype, host, 0, [stride * step for stride in self.strides]).copy()

    def __repr__(self):
        return f"<{self.dtype} array of shape {self.shape}, strides {self.strides}, on {self.machine.name}>"


class Dimensional:
    """An Array as a learner's kernel sees it: with its dimensions, `a[i, j]` and `a.shape`, not as an address."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.size = array, array.shape, array.dtype, array.size

    @property
    def __cuda_array_interface__(self):
        from .exchange import interface_of
        return interface_of(self.array)

    def copy_to_host(self, out=None):
        """A numpy array with the numbers; numba's name."""
        host = self.array.numpy()
        if out is None:
            return host
        out[...] = host
        return out

    def copy_to_device(self, host):
        """Take a numpy array's numbers; numba's name."""
        from .elementwise import copy
        copy(self.array, from_numpy(self.array.machine, np.ascontiguousarray(host, self.dtype)))

    def __repr__(self):
        return repr(self.array)


@functools.lru_cache(1024)
def row_major(shape):
    """The strides of a contiguous array."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def empty(machine, shape, dtype):
    """A new contiguous array, its elements not set."""
    dtype = np.dtype(dtype)
    shape = tuple(shape)
    return Array(machine.empty(math.prod(shape), dtype), shape, row_major(shape), 0, dtype, True)


def full(machine, shape, value, dtype):
    """A new contiguous array of one value."""
    from .elementwise import fill
    out = empty(machine, shape, dtype)
    fill(out, value)
    return out


def from_numpy(machine, host):
    """A copy of a numpy array on the machine."""
    host = np.asarray(host)
    buffer = machine.upload(np.ascontiguousarray(host).reshape(-1))
    return Array(buffer, host.shape, row_major(host.shape), 0, host.dtype)


def collapse(shape, *strides):
    """The fewest dimensions that describe the same walks: (shape, strides of the first, of the second ...).

    Dimensions of size 1 go; neighbours that every operand walks as one become one. Nearly all calls end with one
    dimension, whose stride is 1, or 0 where an operand is repeated.

    >>> collapse((2, 3, 4), (12, 4, 1), (0, 0, 1))
    ((6, 4), (4, 1), (0, 1))
    """
    sizes, walks = [], []
    for size, *steps in zip(shape, *strides):
        if size == 1:
            continue
        if sizes and all([outer == size * inner for outer, inner in zip(walks[-1], steps)]):
            sizes[-1] *= size
            walks[-1] = steps
        else:
            sizes.append(size)
            walks.append(steps)
    if not sizes:
        return (1,), *[(0,)] * len(strides)
    return tuple(sizes), *[tuple(walk) for walk in zip(*walks)]


def ceil_div(a, b):
    return -(-a // b)
