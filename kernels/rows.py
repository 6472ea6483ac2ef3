"""Rows: what a kernel is told of an array that it walks row by row, and how many threads take a row.

It knows no kernel. A row is whatever is reduced, or normalised, together: elements along one dimension or several, one
behind the other in memory or far apart.
"""
from __future__ import annotations

import math
from typing import NamedTuple

from .array import ceil_div, collapse
from .elementwise import contiguous

BLOCK = 256          # threads of a block where there is work for them
FILL = 1024          # blocks that keep a large GPU busy
PART = 1024          # elements that the simulator's one thread adds up: beyond, float32 would lose digits


class Rows(NamedTuple):
    """`count` rows of `size` elements, `step` apart. Row i * inner + j starts at i * outer_step + j * inner_step."""
    array: object
    count: int
    inner: int
    outer_step: int
    inner_step: int
    size: int
    step: int

    @classmethod
    def of(cls, array, kept, reduced):
        """Rows from pairs of size and stride: at most two that tell rows apart, and one of elements."""
        (_, outer_step), (inner, inner_step) = [(1, 0), *kept][-2:]
        return cls(array, math.prod([n for n, _ in kept]), inner, outer_step, inner_step, *reduced)

    @property
    def walk(self):
        """What a kernel has to know."""
        return self[1:]

    def threads(self):
        """(threads per row, rows per block). Neighbouring threads read neighbours, in one row or in several."""
        if self.array.machine.simulated:            # meetings cost time there, and nobody waits for memory
            return 1, min(32, self.count)
        along = self.step <= self.inner_step or self.inner < 32
        threads = min(BLOCK, power_of_two(ceil_div(self.size, 4))) if along else 1
        return threads, BLOCK // threads if threads <= 32 else 1        # several warps have a block for themselves

    def parts(self, threads, each):
        """(parts of a row, their size), so that there are enough blocks, whose threads have some work each."""
        if self.array.machine.simulated:
            return max(1, ceil_div(self.size, PART)), PART
        least = 16 * threads if threads > 1 else 64
        parts = min(ceil_div(FILL, ceil_div(self.count, each)), max(1, self.size // least))
        part = max(1, ceil_div(ceil_div(self.size, parts), 4 * threads)) * 4 * threads
        return max(1, ceil_div(self.size, part)), part

    def launch(self, kernel, args, threads, each, parts=1):
        self.array.machine.launch(kernel, (ceil_div(self.count, each), parts, 1), (threads, each, 1), 0, args,
                                  work=ceil_div(self.size, parts * threads * 4))


def power_of_two(n):
    """The smallest power of two that is not below n."""
    return 1 << max(0, n - 1).bit_length()


def rows_of(array, dims):
    """The rows along these dimensions (in their order), by strides if that can be said with three, else of a copy."""
    kept = [d for d in range(array.ndim) if d not in dims]
    rows, elements = pairs_of(array, kept), pairs_of(array, dims)
    if len(rows) > 2 or len(elements) > 1:
        array = contiguous(array.permute((*kept, *dims)))
        size = math.prod(array.shape[len(kept):])
        rows, elements = [(math.prod(array.shape[:len(kept)]), size)], [(size, 1)]
    return Rows.of(array, rows, elements[0])


def pairs_of(array, dims):
    """The sizes and strides of some dimensions, as few pairs as possible."""
    return list(zip(*collapse([array.shape[d] for d in dims], [array.strides[d] for d in dims])))


def together(*pairs):
    """Pairs of size and stride, collapsed."""
    return list(zip(*collapse(*zip(*pairs))))


def reduced_shape(shape, dims, keepdim):
    return tuple([1 if d in dims else n for d, n in enumerate(shape) if keepdim or d not in dims])
