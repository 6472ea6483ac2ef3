"""The largest and the smallest: max, min, amax, amin, aminmax, argmax, argmin. nan is both, if there is one.

Where several elements are the largest, a reduction to a value alone splits its gradient among them; a reduction that
also says where sends it there.
"""
from __future__ import annotations

import math

import numpy as np

from ..core.export import export
from ..core.op import Op, Reduction
from ..core.tensor import Tensor
from . import return_types
from .reduce import dims_of, in_float32, one_dim, spread, wants_tensor


def refuse_empty(function, x, dims, sentence):
    """torch's errors where there is nothing to choose from: `sentence` if that is so because of all dimensions."""
    if x.numel():
        return
    if sentence is not None:
        raise sentence
    for d in dims:
        if x.ndim and not x.shape[d]:
            raise IndexError(f"{function} Expected reduction dim {d} to have non-zero size.")


def unspecified(function, kind=RuntimeError):
    more = "" if kind is IndexError else " Specify the reduction dim with the 'dim' argument."
    return kind(f"{function}(): Expected reduction dim to be specified for input.numel() == 0.{more}")


# ---- values alone: ties share the gradient
def share(g, chosen, dims):
    """The gradient of each result, split evenly among the elements that were chosen for it."""
    return g * chosen / chosen.sum(dims, keepdim=True)


def chosen_of_all(x, out):
    """Which elements are the one result: for nan those that are nan."""
    return x == out if bool(out == out) else x != x


class Amax(Reduction):
    """The largest along `dims`."""
    cpu    = lambda x, *, dims, keepdim: np.maximum.reduce(x, axis=dims, keepdims=keepdim)
    cuda   = (lambda a, b: a if a > b or a != a else b, -math.inf)
    grad_x = lambda g, x, out, dims, keepdim: share(spread(g, dims, keepdim), x == spread(out, dims, keepdim), dims)


class Amin(Reduction):
    """The smallest along `dims`."""
    cpu    = lambda x, *, dims, keepdim: np.minimum.reduce(x, axis=dims, keepdims=keepdim)
    cuda   = (lambda a, b: a if a < b or a != a else b, math.inf)
    grad_x = lambda g, x, out, dims, keepdim: share(spread(g, dims, keepdim), x == spread(out, dims, keepdim), dims)


class Max(Reduction):
    """The largest of all."""
    node_name = "MaxBackward1"
    cpu    = lambda x, *, dims, keepdim: np.maximum.reduce(x, axis=dims, keepdims=keepdim)
    cuda   = (lambda a, b: a if a > b or a != a else b, -math.inf)
    grad_x = lambda g, x, out: share(g, chosen_of_all(x, out), None)


class Min(Reduction):
    """The smallest of all."""
    node_name = "MinBackward1"
    cpu    = lambda x, *, dims, keepdim: np.minimum.reduce(x, axis=dims, keepdims=keepdim)
    cuda   = (lambda a, b: a if a < b or a != a else b, math.inf)
    grad_x = lambda g, x, out: share(g, chosen_of_all(x, out), None)


class Aminmax(Op):
    """The smallest and the largest along `dims`."""
    n_outputs = 2
    names = "drop"
    saves = ("x", "out")

    def cpu(x, *, dims, keepdim):
        ends = np.minimum.reduce(x, axis=dims, keepdims=keepdim), np.maximum.reduce(x, axis=dims, keepdims=keepdim)
        return tuple([np.asarray(end, order="C") for end in ends])

    cuda = "extreme.aminmax"

    def backward(ctx, *gs):
        x, dims, keepdim = ctx.saved[0], ctx.params["dims"], ctx.params["keepdim"]
        total = None
        for g, out in zip(gs, ctx.unpack_out()):
            if g is not None:
                part = share(spread(g, dims, keepdim), x == spread(out, dims, keepdim), dims)
                total = part if total is None else total + part
        return total


@export("amax")
def amax(input, dim=(), keepdim=False):
    """The largest element, of all or along `dim` (an int, a name, or several). Equal ones share the gradient."""
    return _value(Amax, "amax", input, dim, keepdim)


@export("amin")
def amin(input, dim=(), keepdim=False):
    """The smallest element, of all or along `dim` (an int, a name, or several). Equal ones share the gradient."""
    return _value(Amin, "amin", input, dim, keepdim)


def _value(op, function, input, dim, keepdim):
    dims = dims_of(input, dim, function)
    refuse_empty(f"{function}():", input, dims, unspecified(function) if dim is None or dim == () else None)
    return op.call(input, dims=dims, keepdim=keepdim)


@export("aminmax")
def aminmax(input, *, dim=None, keepdim=False):
    """The smallest and the largest element, of all or along one `dim`, as a named tuple (min, max)."""
    dims = dims_of(input, None if dim is None else (one_dim(input, dim, "aminmax"),), "aminmax")
    empty = RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
    refuse_empty("aminmax:", input, dims, empty if dim is None else None)
    return return_types.aminmax(*Aminmax.call(input, dims=dims, keepdim=keepdim))


# ---- where
class Argmax(Op):
    """The place of the first of the largest along `dims` (one dimension, or all)."""
    names = "drop"
    cpu   = lambda x, *, dims, keepdim: place_of(np.argmax, x, dims, keepdim)
    cuda  = "extreme.argmax"


class Argmin(Op):
    """The place of the first of the smallest along `dims` (one dimension, or all)."""
    names = "drop"
    cpu   = lambda x, *, dims, keepdim: place_of(np.argmin, x, dims, keepdim)
    cuda  = "extreme.argmin"


def place_of(program, x, dims, keepdim):
    wide = in_float32(x)
    if len(dims) == x.ndim:
        found = program(wide)
        return np.asarray(found).reshape((1,) * x.ndim if keepdim else ())
    return np.asarray(program(wide, axis=dims[0], keepdims=keepdim), order="C")


@export("argmax")
def argmax(input, dim=None, keepdim=False):
    """Where the largest element is: in the flattened tensor, or along `dim`. The first of equal ones."""
    return _where(Argmax, "argmax", input, dim, keepdim)


@export("argmin")
def argmin(input, dim=None, keepdim=False):
    """Where the smallest element is: in the flattened tensor, or along `dim`. The first of equal ones."""
    return _where(Argmin, "argmin", input, dim, keepdim)


def _where(op, function, input, dim, keepdim):
    dims = dims_of(input, None if dim is None else (one_dim(input, dim, function),), function)
    if input.dtype.name == "bool":
        raise RuntimeError(f"{function}(): does not support bool input")
    refuse_empty(f"{function}():", input, dims, unspecified(function, IndexError) if dim is None else None)
    return op.call(input, dims=dims, keepdim=keepdim)


# ---- values and where
def send_back(g, shape, indices, dim, keepdim):
    """The gradient of a selection along `dim`: each part goes to the place that its value came from."""
    if not shape:
        return g
    if not keepdim:
        g, indices = g.unsqueeze(dim), indices.unsqueeze(dim)
    return g.new_zeros(shape).scatter(dim, indices, g)


def select(x, indices, dim, keepdim):
    """Program: x's elements at `indices` (which have size one along `dim`), and those indices."""
    values = np.take_along_axis(x, indices, dim)
    if not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return np.asarray(values, order="C"), np.asarray(indices, order="C")


class Selection(Op):
    """Values picked along one dimension, and their places. Only the places are kept for backward."""
    n_outputs = 2
    keeps = (1,)
    names = "drop"
    grad_x = lambda g, shape, out, dims, keepdim: send_back(g, shape, out[1], dims[0], keepdim)


def first_along(program, x, dims, keepdim):
    if not x.ndim:
        return x.copy(), np.zeros((), np.int64)
    return select(x, program(in_float32(x), axis=dims[0], keepdims=True), dims[0], keepdim)


class MaxAlong(Selection):
    """The largest along the one dimension in `dims`, and where it is."""
    node_name = "MaxBackward0"
    cpu  = lambda x, *, dims, keepdim: first_along(np.argmax, x, dims, keepdim)
    cuda = "extreme.max_along"


class MinAlong(Selection):
    """The smallest along the one dimension in `dims`, and where it is."""
    node_name = "MinBackward0"
    cpu  = lambda x, *, dims, keepdim: first_along(np.argmin, x, dims, keepdim)
    cuda = "extreme.min_along"


@export("max")
def max(input, dim=None, keepdim=False, *, other=None):
    """`max(x)`: the largest element. `max(x, dim)`: (values, indices) along `dim`. `max(x, other)`: as `maximum`.

    Equal largest elements share the gradient of `max(x)`; that of `max(x, dim)` goes to the one at `indices`.
    """
    return _three(Max, MaxAlong, return_types.max, "maximum", input, dim, keepdim, other)


@export("min")
def min(input, dim=None, keepdim=False, *, other=None):
    """`min(x)`: the smallest element. `min(x, dim)`: (values, indices) along `dim`. `min(x, other)`: as `minimum`.

    Equal smallest elements share the gradient of `min(x)`; that of `min(x, dim)` goes to the one at `indices`.
    """
    return _three(Min, MinAlong, return_types.min, "minimum", input, dim, keepdim, other)


def _three(whole, along, result, binary, input, dim, keepdim, other):
    function = result.__name__
    if not isinstance(input, Tensor):
        raise wants_tensor(function, input)
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return getattr(input, binary)(other)
    if dim is None:
        dims = dims_of(input, None, function)
        refuse_empty(function, input, dims, unspecified(function))
        return whole.call(input, dims=dims)
    dims = (one_dim(input, dim, function),)
    refuse_empty(f"{function}():", input, dims, None)
    return result(*along.call(input, dims=dims, keepdim=keepdim))
