"""Variances and standard deviations: how far elements lie from their mean.

Two passes, mean first: subtracting squares of large numbers would leave nothing of the digits.
"""
from __future__ import annotations

import warnings

import numpy as np

from ..core.export import export
from ..core.op import Op
from .reduce import add_up, count, dims_of, in_float32, spread


def moments(x, dims, keepdim, correction):
    """Program: (variance, mean) along `dims`, in x's computing precision."""
    wide, size = in_float32(x), count(x.shape, dims)
    mean = np.asarray(np.true_divide(add_up(wide, dims, True), size), wide.dtype)
    apart = wide - mean
    apart *= apart
    degrees = size - correction
    variance = np.true_divide(add_up(apart, dims, keepdim), degrees if degrees > 0 else 0)
    variance = np.asarray(variance, wide.dtype, order="C")
    return variance, mean.reshape(variance.shape)


def var_backward(g, x, dims, keepdim, correction):
    degrees = count(x.shape, dims) - correction
    apart = x - x.mean(dims, keepdim=True) if dims else x - x
    return spread(g, dims, keepdim) * (2 / degrees if degrees else np.inf) * apart


def std_backward(g, out, x, dims, keepdim, correction):
    return var_backward((g / (out * 2)).masked_fill(out == 0, 0), x, dims, keepdim, correction)


class Var(Op):
    """The variance along `dims`."""
    names  = "drop"
    cpu    = lambda x, *, dims, keepdim, correction: moments(x, dims, keepdim, correction)[0].astype(x.dtype)
    cuda   = "variance.var"
    grad_x = lambda g, x, dims, keepdim, correction: var_backward(g, x, dims, keepdim, correction)


class Std(Op):
    """The standard deviation along `dims`."""
    names  = "drop"
    cpu    = lambda x, *, dims, keepdim, correction: np.sqrt(moments(x, dims, keepdim, correction)[0]).astype(x.dtype)
    cuda   = "variance.std"
    grad_x = lambda g, x, out, dims, keepdim, correction: std_backward(g, out, x, dims, keepdim, correction)


class VarMean(Op):
    """The variance and the mean along `dims`."""
    names, n_outputs, saves = "drop", 2, ("x",)

    def cpu(x, *, dims, keepdim, correction):
        variance, mean = moments(x, dims, keepdim, correction)
        return variance.astype(x.dtype), mean.astype(x.dtype)

    cuda = "variance.var_mean"

    def backward(ctx, g_var, g_mean):
        x, dims, keepdim = ctx.saved[0], ctx.params["dims"], ctx.params["keepdim"]
        along = None if g_var is None else var_backward(g_var, x, **ctx.params)
        return add(along, mean_backward(g_mean, x, dims, keepdim))


class StdMean(Op):
    """The standard deviation and the mean along `dims`."""
    names, n_outputs, saves, keeps = "drop", 2, ("x", "out"), (0,)

    def cpu(x, *, dims, keepdim, correction):
        variance, mean = moments(x, dims, keepdim, correction)
        return np.sqrt(variance).astype(x.dtype), mean.astype(x.dtype)

    cuda = "variance.std_mean"

    def backward(ctx, g_std, g_mean):
        x, dims, keepdim = ctx.saved[0], ctx.params["dims"], ctx.params["keepdim"]
        along = None if g_std is None else std_backward(g_std, ctx.unpack_out()[0], x, **ctx.params)
        return add(along, mean_backward(g_mean, x, dims, keepdim))


def mean_backward(g, x, dims, keepdim):
    return None if g is None else spread(g / count(x.shape, dims), dims, keepdim).expand(x.shape)


def add(a, b):
    return b if a is None else a if b is None else a + b


def parsed(function, input, dim, unbiased, keepdim, correction):
    """torch's overloads (dim, unbiased, keepdim), (unbiased), (dim, correction) -> the parameters of the primitive."""
    if isinstance(dim, bool):                      # var(False)
        dim, unbiased = None, dim
    if unbiased is not None and (correction is not ... or not isinstance(unbiased, bool)):
        given = f"{type(dim).__name__}, {type(unbiased).__name__}"
        given += "" if correction is ... else f", correction={type(correction).__name__}"
        raise TypeError(f"{function}() received an invalid combination of arguments - got ({given}), but expected one "
                        "of:\n"
                        " * (tuple of ints dim, bool unbiased = True, bool keepdim = False)\n"
                        " * (tuple of ints dim, *, Number correction = 1, bool keepdim = False)\n"
                        " * (bool unbiased = True)")
    if unbiased is not None:
        correction = int(unbiased)
    correction = 1 if correction is ... or correction is None else correction
    dims = dims_of(input, dim, function)
    if not input.is_floating_point():
        which = "std and var" if function in ("std", "var") else function
        raise RuntimeError(f"{which} only support floating point and complex dtypes")
    if count(input.shape, dims) - correction <= 0 and (input.numel() or 0 in [input.shape[d] for d in dims]):
        warnings.warn(f"{function}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction"
                      " factor (input numel divided by output numel).", UserWarning, stacklevel=4)
    return {"dims": dims, "keepdim": keepdim, "correction": correction}


@export("var")
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=...):
    """The variance of all elements or along `dim`: squares of distances from the mean, over count - correction (1)."""
    return Var.call(input, **parsed("var", input, dim, unbiased, keepdim, correction))


@export("std")
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=...):
    """The standard deviation of all elements or along `dim`: the root of `var`. Its gradient is 0 where it is 0."""
    return Std.call(input, **parsed("std", input, dim, unbiased, keepdim, correction))


@export("var_mean()")
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=...):
    """(variance, mean), as `var` and `mean` would give them."""
    return VarMean.call(input, **parsed("var_mean", input, dim, unbiased, keepdim, correction))


@export("std_mean()")
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=...):
    """(standard deviation, mean), as `std` and `mean` would give them."""
    return StdMean.call(input, **parsed("std_mean", input, dim, unbiased, keepdim, correction))
