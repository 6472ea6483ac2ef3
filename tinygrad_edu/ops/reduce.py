"""Reductions: many become one along some dimensions."""
from __future__ import annotations

import numpy as np

from ..core import layout
from ..core.export import export
from ..core.op import Reduction
from .views import dim_of


def dims_of(x, dim):
    """Sorted dimensions for an int, a name, a sequence of either, or None (all)."""
    if dim is None or isinstance(dim, (tuple, list)) and not dim:
        return tuple(range(x.ndim))
    if isinstance(dim, (tuple, list)):
        return layout.normalize_dims([dim_of(x, d) for d in dim], x.ndim)
    return layout.normalize_dims(dim_of(x, dim), x.ndim)


def restore(g, shape, dims, keepdim):
    """A reduction's gradient, brought back to the shape of its input."""
    if not keepdim:
        for d in dims:
            g = g.unsqueeze(d)
    return g.expand(shape)


def result_kind(x, dtype, name):
    """The dtype in which a mean is computed: floating, or torch's error."""
    found = dtype or x.dtype
    if not found.is_floating_point:
        what = "Input" if dtype is None else "Optional"
        raise RuntimeError(f"{name}(): could not infer output dtype. {what} dtype must be either a floating point or complex dtype. "
                           f"Got: {found.legacy_name}")
    return dtype


class Sum(Reduction):
    """The sum along `dims`."""
    result = "sum"
    cpu    = lambda x, *, dims, keepdim: np.add.reduce(x, axis=dims, keepdims=keepdim)
    cuda   = (lambda a, b: a + b, 0)
    grad_x = lambda g, shape, dims, keepdim: restore(g, shape, dims, keepdim)


@export("sum")
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum of all elements, or along `dim` (an int, a name, or several). Integers and bools add up in int64."""
    return Sum.call(input, dims=dims_of(input, dim), keepdim=keepdim, dtype=dtype)


class Mean(Reduction):
    """The mean along `dims`."""
    cpu    = lambda x, *, dims, keepdim: np.true_divide(np.add.reduce(x, axis=dims, keepdims=keepdim), count(x.shape, dims), dtype=x.dtype)
    cuda   = (lambda a, b: a + b, 0, lambda total, count: total / count)
    grad_x = lambda g, shape, dims, keepdim: restore(g / count(shape, dims), shape, dims, keepdim)


@export("mean")
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean of all elements, or along `dim`. Floating-point only."""
    return Mean.call(input, dims=dims_of(input, dim), keepdim=keepdim, dtype=result_kind(input, dtype, "mean"))


def count(shape, dims):
    """How many elements each result is made of."""
    return layout.numel([shape[d] for d in dims])
