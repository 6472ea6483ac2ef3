"""Matrix products with something added, under the names that they have in linear algebra.

    beta * input + alpha * product

No kernel stands here: each of these is a way to look at its operands as matrices, and matmul.py computes both terms in
one kernel, which adds the second while the first is still in registers: nothing is written and read once more for it.
"""
from __future__ import annotations

from .elementwise import contiguous
from .matmul import addmm, run
from .matrices import Product


def linear(bias, input, weight):
    """input @ weight.T + bias"""
    return run(Product(input, weight.permute((1, 0)), bias))


def addmv(input, mat, vec, *, beta, alpha):
    """beta * input + alpha * (mat @ vec)"""
    out = addmm(column(input.broadcast_to(mat.shape[:1])), mat, column(vec), beta=beta, alpha=alpha)
    return out.view(out.shape[:1])


def addr(input, vec1, vec2, *, beta, alpha):
    """beta * input + alpha * the outer product: a matrix product with K = 1"""
    return addmm(input, column(vec1), vec2.view((1, *vec2.shape), (0, *vec2.strides)), beta=beta, alpha=alpha)


def addbmm(input, batch1, batch2, *, beta, alpha):
    """beta * input + alpha * the sum of all batch1[i] @ batch2[i]: K is each batch's m, batch after batch."""
    count, n, m = batch1.shape
    rows = contiguous(batch1.permute((1, 0, 2))).view((n, count * m))
    columns = contiguous(batch2).view((count * m, batch2.shape[2]))
    return addmm(input, rows, columns, beta=beta, alpha=alpha)


def column(vector):
    return vector.view((*vector.shape, 1), (*vector.strides, 0))
