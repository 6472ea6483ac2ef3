"""The softmax family: numbers along one dimension made into a distribution, or its logarithms.

The largest is taken out first, so that nothing overflows. Backward is a primitive of its own, one pass instead of four.
"""
from __future__ import annotations

import warnings

import numpy as np

from ..backends.summing import add_rows
from ..core import dtypes
from ..core.export import export
from ..core.op import Op
from .reduce import in_float32, one_dim


def shifted(x, dim):
    """Program: x minus its largest along `dim`, as an array that may be overwritten."""
    wide = in_float32(x)
    return np.asarray(wide - largest(wide, dim) if x.ndim else wide - wide)


def largest(x, dim):
    """Program: the largest along `dim`. In short rows numpy finds the place of the largest sooner than the largest."""
    length = x.shape[dim]
    if dim == x.ndim - 1 and length <= 64 and x.size > 2048:
        rows = x.reshape(-1, length)
        return rows[np.arange(len(rows)), rows.argmax(1)].reshape(x.shape[:-1] + (1,))
    return np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)


def total(x, dim):
    return add_rows(x, (dim,)) if x.ndim else x


class Softmax(Op):
    """exp(x) / sum(exp(x)) along `dim`."""
    names = "keep"

    def cpu(x, *, dim):
        e = shifted(x, dim)
        np.exp(e, out=e)
        e /= total(e, dim)
        return e.astype(x.dtype, order="C", copy=False)

    cuda   = "softmax.softmax"
    grad_x = lambda g, out, dim: SoftmaxBackwardData.call(g, out, dim=dim)


class SoftmaxBackwardData(Op):
    """(grad - sum(grad * y)) * y, for y = softmax(x): what softmax's gradient is made of."""
    def cpu(grad, y, *, dim):
        wide = in_float32(y)
        part = np.asarray(in_float32(grad) * wide)
        part -= wide * total(part, dim)
        return part.astype(grad.dtype, copy=False)

    cuda      = "softmax.softmax_backward"
    grad_grad = lambda g, y, dim: SoftmaxBackwardData.call(g, y, dim=dim)
    grad_y    = lambda g, grad, y, dim: g * (grad - along(grad * y, dim)) - grad * along(g * y, dim)


class LogSoftmax(Op):
    """x - log(sum(exp(x))) along `dim`."""
    names = "keep"

    def cpu(x, *, dim):
        s = shifted(x, dim)
        s -= np.log(total(np.exp(s), dim))
        return s.astype(x.dtype, order="C", copy=False)

    cuda   = "softmax.log_softmax"
    grad_x = lambda g, out, dim: LogSoftmaxBackwardData.call(g, out, dim=dim)


class LogSoftmaxBackwardData(Op):
    """grad - exp(y) * sum(grad), for y = log_softmax(x): what log_softmax's gradient is made of."""
    def cpu(grad, y, *, dim):
        wide = in_float32(grad)
        part = np.asarray(np.exp(in_float32(y)))
        part *= total(wide, dim)
        return np.subtract(wide, part, out=part).astype(grad.dtype, copy=False)

    cuda      = "softmax.log_softmax_backward"
    grad_grad = lambda g, y, dim: g - along(g * y.exp(), dim)
    grad_y    = lambda g, grad, y, dim: -g * y.exp() * along(grad, dim)


def along(x, dim):
    return x.sum(dim, keepdim=True)


def distribution(op, function, input, dim, dtype):
    """The public door: `dtype` casts first; integers are refused."""
    dim = one_dim(input, dim, function)
    if dtype is not None and dtype is not input.dtype:
        input = input.to(dtype)
    if input.dtype.category != dtypes.FLOATING:
        last = "lastdim_" if dim == max(input.ndim - 1, 0) else ""
        raise NotImplementedError(f'"{function}_{last}kernel_impl" not implemented for '
                                  f"'{input.dtype.legacy_name}'")
    return op.call(input, dim=dim)


@export("softmax")
def softmax(input, dim, dtype=None):
    """exp(input) / sum(exp(input)) along `dim`: positive numbers that add up to one. `dtype`: cast first."""
    return distribution(Softmax, "softmax", input, dim, dtype)


@export("log_softmax")
def log_softmax(input, dim, dtype=None):
    """The logarithm of softmax along `dim`, exact where softmax itself would be 0. `dtype`: cast first."""
    return distribution(LogSoftmax, "log_softmax", input, dim, dtype)


def implicit(function, input, dim, stacklevel):
    """torch's old guess where nn.functional is called without `dim`, with its warning."""
    if dim is not None:
        return dim
    warnings.warn(f"Implicit dimension choice for {function} has been deprecated. Change the call to include dim=X as "
                  "an argument.", UserWarning, stacklevel=stacklevel + 1)
    return 0 if input.ndim in (0, 1, 3) else 1


@export("nn.functional.softmax", out=False)
def functional_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """softmax; a missing `dim` is guessed, with a warning."""
    return softmax(input, implicit("softmax", input, dim, _stacklevel), dtype)


@export("nn.functional.log_softmax", out=False)
def functional_log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """log_softmax; a missing `dim` is guessed, with a warning."""
    return log_softmax(input, implicit("log_softmax", input, dim, _stacklevel), dtype)


@export("nn.functional.softmin", out=False)
def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """softmax of -input: the smallest number gets the largest part."""
    return softmax(-input, implicit("softmin", input, dim, _stacklevel), dtype)
