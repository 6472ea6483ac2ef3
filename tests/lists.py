"""A backend of pure Python lists: what `device="lists"` means once it is registered.

It runs each op's `cuda` line as the ordinary scalar function that it is, one element after the other. It knows no op,
calls no op's `cpu`, and uses numpy only to take numbers in and to give them out.
"""
from __future__ import annotations

import itertools
import struct

import numpy as np

from tests.ieee import ieee
from tinygrad_edu.backends import register_backend
from tinygrad_edu.core import dtypes
from tinygrad_edu.core.layout import broadcast_shapes, broadcast_strides, contiguous_strides, numel


class Array:
    """A place in a list: where it begins, and how to walk."""

    def __init__(self, buffer, shape, strides, offset, dtype):
        self.buffer, self.offset, self.dtype = buffer, offset, dtype
        self.shape, self.strides = tuple(shape), tuple(strides)

    def places(self, shape=None):
        """The place of every element, as if the array had that shape."""
        strides = self.strides if shape is None else broadcast_strides(self.shape, self.strides, shape)
        for index in itertools.product(*map(range, self.shape if shape is None else shape)):
            yield self.offset + sum(i * s for i, s in zip(index, strides))

    def values(self, shape=None):
        return [self.buffer[p] for p in self.places(shape)]


def stored(value, dtype):
    """A Python number as `dtype` keeps it: rounded, or wrapped around as in C."""
    if dtype is dtypes.bool_:
        return bool(value)
    if dtype.category == dtypes.FLOATING:
        try:
            return struct.unpack(dtype.numpy.char, struct.pack(dtype.numpy.char, value))[0]
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    bits, value = 8 * dtype.itemsize, int(value) if value - value == 0 else -2 ** 63
    value &= 2 ** bits - 1
    return value - 2 ** bits if dtype.is_signed and value >> bits - 1 else value


def fresh(values, shape, dtype):
    return Array([stored(v, dtype) for v in values], shape, contiguous_strides(shape), 0, dtype)


class ListBackend:
    device = "lists"
    native = False

    # ---- memory
    def empty(self, count, dtype):
        return [stored(0, dtype)] * count

    def from_numpy(self, array, dtype):
        return [stored(v, dtype) for v in np.asarray(array).reshape(-1).tolist()]

    def to_numpy(self, array):
        return np.array(array.values(), array.dtype.numpy).reshape(array.shape)

    def as_array(self, buffer, shape, strides, offset, dtype):
        return Array(buffer, shape, strides, offset, dtype)

    def buffer_of(self, array):
        return array.buffer

    def layout_of(self, array):
        return array.shape, array.strides, array.dtype

    def copy(self, target, source):
        for place, value in zip(target.places(), source.values(target.shape)):
            target.buffer[place] = stored(value, target.dtype)

    def fill(self, target, value):
        for place in target.places():
            target.buffer[place] = stored(value, target.dtype)

    def cast(self, array, dtype):
        return fresh(array.values(), array.shape, dtype)

    def synchronize(self):
        pass

    # ---- the four verbs
    def elementwise(self, op, arrays, params, shape, dtype):
        function = ieee(op.cuda)
        columns = [a.values(shape) if isinstance(a, Array) else [a.item() if hasattr(a, "item") else a] * numel(shape)
                   for a in arrays]
        return fresh([function(*numbers, **params) for numbers in zip(*columns)], shape, dtype)

    def reduce(self, op, array, dims, keepdim, dtype, params):
        combine, identity, *finish = map(ieee, op.cuda)
        shape = tuple(1 if d in dims else n for d, n in enumerate(array.shape))
        out = Array([identity] * numel(shape), shape, contiguous_strides(shape), 0, dtype)
        for place, value in zip(out.places(array.shape), array.values()):
            out.buffer[place] = combine(out.buffer[place], value)
        count = numel([array.shape[d] for d in dims])
        values = [finish[0](v, count) for v in out.buffer] if finish else out.buffer
        return fresh(values, shape if keepdim else tuple(n for d, n in enumerate(array.shape) if d not in dims), dtype)

    def matmul(self, a, b):
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        n, k, m = a.shape[-2], a.shape[-1], b.shape[-1]
        x, y = a.values((*batch, n, k)), b.values((*batch, k, m))
        return fresh([sum(x[(z * n + i) * k + t] * y[(z * k + t) * m + j] for t in range(k))
                      for z in range(numel(batch)) for i in range(n) for j in range(m)], (*batch, n, m), a.dtype)

    def run(self, op, arrays, params):
        """Ops with a program of their own come here only if they have a `cuda` line: it is one of an element, too."""
        array = next(a for a in arrays if isinstance(a, Array))
        return self.elementwise(op, arrays, params, array.shape, array.dtype)


LISTS = register_backend(ListBackend())
