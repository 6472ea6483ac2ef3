"""What all matrix-product kernels share: how the matrices lie in memory, and the last step for an element.

It knows no kernel and none of the ways to compute a product. All kernels take the same arguments:

    a, b, c, d      addresses; c is written, d is added (c again where nothing is)
    sizes           M, N, K, batches, first, inner, splits, depth: so many matrices of the batch, from the first on; a
                    batch has two dimensions, inner is the size of the second; depth is how much of K one split adds up
    sa, sb, sc, sd  strides: of the batch's two dimensions, of rows, of columns; sc has one more, of splits
    alpha, beta     factors: alpha * (a @ b) + beta * d
"""
from __future__ import annotations

import copy
import functools
import math

import numpy as np

from .array import collapse, empty
from .elementwise import contiguous
from .lift import computing_type
from .provider import cuda, int64, jit, type_of


# ---- in the kernels
@cuda.jit(device=True)
def batch_at(batch, inner, s):
    """Where in memory a matrix of a batch begins."""
    return batch // inner * s[0] + batch % inner * s[1]


@functools.lru_cache(None)
def make_finish(A, mode):
    """The last step for an element: what is added, and the factors."""
    def plain(c, d, at, alpha, beta):
        return c

    def scaled(c, d, at, alpha, beta):
        return alpha * c

    def affine(c, d, at, alpha, beta):
        return alpha * c + beta * A(d[at])
    return jit({"plain": plain, "scaled": scaled, "affine": affine}[mode], device=True)


def adding_type(dtype):
    """The type in which products add up: float32 for halves, int64 for integers (the low bits are right in any)."""
    return int64 if np.dtype(dtype).kind in "iub" else computing_type(np.dtype(dtype))


# ---- one product
class Product:
    """c, still empty, for alpha * (a @ b) + beta * d; what the kernels must know, and (T, A, mode) their factories."""
    __slots__ = ("a", "b", "c", "d", "M", "N", "K", "batches", "inner", "sa", "sb", "sc", "sd", "T", "A", "mode",
                 "factors", "first")

    def __init__(self, a, b, d=None, alpha=1, beta=1):
        lead = a.shape[:-2]
        if lead != b.shape[:-2]:
            lead = np.broadcast_shapes(lead, b.shape[:-2])
        self.M, self.K, self.N = *a.shape[-2:], b.shape[-1]
        self.c = empty(a.machine, (*lead, self.M, self.N), a.dtype)
        if lead and (a.shape[:-2] != lead or b.shape[:-2] != lead):
            a, b = a.broadcast_to(lead + a.shape[-2:]), b.broadcast_to(lead + b.shape[-2:])
        self.T, self.A = type_of(a.dtype), adding_type(a.dtype)
        if d is None or beta == 0:                  # then not even a nan in d counts
            self.d, self.mode = self.c, "plain" if alpha == 1 else "scaled"
        else:
            self.d, self.mode = d.broadcast_to(self.c.shape), "affine"
        self.first = 0
        number = int if self.A is int64 else self.A.numpy.type
        self.factors = number(alpha), number(beta)
        self.walk(lead, a, b)

    def walk(self, lead, a, b):
        """Bring the batch to two dimensions."""
        operands = a, b, self.c, self.d
        if lead:
            shape, *batch = collapse(lead, *[x.strides[:-2] for x in operands])
            if len(shape) > 2:                      # repeated in a way that takes more: lay out what is repeated
                full = [contiguous(x) for x in operands[:2]]
                self.d = self.d if self.d is self.c else contiguous(self.d)
                return self.walk(lead, *full)
            self.inner, self.batches = shape[-1], math.prod(shape)
            batch = batch if len(shape) == 2 else [(0, *s) for s in batch]
        else:
            self.inner = self.batches = 1
            batch = [(0, 0)] * 4
        self.a, self.b = a, b
        self.sa, self.sb, self.sc, self.sd = [first + x.strides[-2:] for first, x in zip(batch, operands)]

    def turn(self):
        """From here on compute the transpose, b.T @ a.T, into the same memory."""
        def turned(s):
            return *s[:2], s[3], s[2]
        self.a, self.b, self.M, self.N = self.b, self.a, self.N, self.M
        self.sa, self.sb, self.sc, self.sd = map(turned, (self.sb, self.sa, self.sc, self.sd))

    def part(self, first, count):
        """The same for some matrices of the batch."""
        other = copy.copy(self)
        other.first, other.batches = first, count
        return other

    def arguments(self, c=None, splits=1, depth=None):
        """A kernel's. With splits, c is an array for the parts, one c after the other."""
        depth = self.K if depth is None else depth
        sizes = self.M, self.N, self.K, self.batches, self.first, self.inner, splits, depth
        c = c or self.c
        d, sc = c if self.d is self.c else self.d, (*self.sc, self.c.size)
        return [self.a, self.b, c, d, sizes, self.sa, self.sb, sc, self.sd, *self.factors]

