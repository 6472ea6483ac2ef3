"""Reductions: many become one along some dimensions.

Each primitive knows sorted dimensions only; the public functions below it understand torch's `dim`. Largest and
smallest elements are in extreme.py, variances in variance.py.
"""
from __future__ import annotations

import numpy as np

from ..backends.cpu import QUIET, enter, leave
from ..backends.summing import add_up, total
from ..core import dtypes, layout, names, tape
from ..core.export import export, functions
from ..core.mode import mode
from ..core.op import Op, Reduction
from ..core.saved import OpNode
from ..core.tape import next_number
from ..core.tensor import Tensor, new, wrap

LARGE = 1 << 15                                    # elements from which on a repeated number is a view, not memory
OVERLOADED = {"sum", "mean", "prod", "max", "min", "any", "all", "var", "std", "var_mean", "std_mean", "sort",
              "argsort"}                           # whose TypeErrors torch words differently


# ---- torch's `dim`
def dims_of(x, dim, function):
    """Sorted dimensions for an int, a name, a sequence of either, or None (all)."""
    try:
        ndim = len(x._spec.shape)
    except AttributeError:
        raise wants_tensor(function, x) from None
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, (tuple, list)):
        return layout.normalize_dims([one_dim(x, d, function) for d in dim] if dim else None, ndim)
    return layout.normalize_dims(one_dim(x, dim, function), ndim)


def one_dim(x, dim, function):
    """A dimension counted from the left, for a number or a name; torch's TypeError for anything else."""
    if dim.__class__ is not int and not isinstance(dim, (str, np.integer)):
        raise wrong_dim(function, type(dim).__name__)
    try:
        spec = x._spec
    except AttributeError:
        raise wants_tensor(function, x) from None
    return names.dim_of(spec.names, dim, len(spec.shape))


def wrong_dim(function, kind):
    if function not in OVERLOADED:
        return TypeError(f"{function}(): argument 'dim' (position 1) must be int, not {kind}")
    return TypeError(f"{function}() received an invalid combination of arguments - got ({kind}), but expected one of:\n"
                     " * dim as an int, a name, or a sequence of either")


def wants_tensor(function, x):
    return TypeError(f"{function}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")


def restore(g, shape, dims, keepdim):
    """A reduction's gradient, brought back to the shape of its input: a view, or a copy where that is little memory."""
    spec = g._spec
    if mode.grad or not spec.fast or layout.numel(shape) > LARGE:
        return spread(g, dims, keepdim).expand(shape)
    array = np.empty(shape, spec.dtype.numpy)
    array[...] = g._array if keepdim else g._array.reshape([1 if d in dims else n for d, n in enumerate(shape)])
    return wrap(array, layout.spec(spec.dtype, shape, spec.backend))


def spread(g, dims, keepdim):
    """A reduction's result with its lost dimensions as ones, which broadcasts against the input."""
    if not keepdim:
        for d in dims:
            g = g.unsqueeze(d)
    return g


def count(shape, dims):
    """How many elements each result is made of."""
    return layout.numel([shape[d] for d in dims])


# ---- sums
def in_float32(x):
    """Half precision computes in float32, everything else in its own type."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind not in "iu" else x


class Sum(Reduction):
    """The sum along `dims`."""
    node_name = "SumBackward1"
    result = "sum"
    cpu    = lambda x, *, dims, keepdim: add_up(x, dims, keepdim)
    cuda   = (lambda a, b: a + b, 0)
    grad_x = lambda g, shape, dims, keepdim: restore(g, shape, dims, keepdim)


class SumAll(Reduction):
    """The sum of everything."""
    node_name = "SumBackward0"
    result = "sum"
    cpu    = lambda x, *, dims, keepdim: add_up(x, dims, keepdim)
    cuda   = (lambda a, b: a + b, 0)
    grad_x = lambda g, shape: g.expand(shape)


class Mean(Reduction):
    """The mean along `dims`."""
    node_name = "MeanBackward1"
    cpu    = lambda x, *, dims, keepdim: np.true_divide(add_up(x, dims, keepdim), count(x.shape, dims))
    cuda   = (lambda a, b: a + b, 0, lambda total, count: total / count)
    grad_x = lambda g, shape, dims, keepdim: restore(g / count(shape, dims), shape, dims, keepdim)


class MeanAll(Reduction):
    """The mean of everything."""
    node_name = "MeanBackward0"
    cpu    = lambda x, *, dims, keepdim: np.true_divide(add_up(x, dims, keepdim), x.size)
    cuda   = (lambda a, b: a + b, 0, lambda total, count: total / count)
    grad_x = lambda g, shape: (g / layout.numel(shape)).expand(shape)


class WholeNode(OpNode):
    """The node of a sum or mean of everything on the short path: one number, repeated. It saves nothing."""
    __slots__ = ("spec",)
    params, values, versions = {}, (None,), (0,)
    out = out_storage = None
    specs = property(lambda self: (self.spec,))

    def release(self):
        pass


def whole(op, divide):
    """The short path of a sum (or, with `divide`, a mean) of everything: loops that train end in one of these."""
    def backward(self, g):
        spec = self.spec
        size = layout.numel(spec.shape)
        if mode.grad or size > LARGE or g._spec.dtype is not spec.dtype:
            return op.formulas["x"](g, spec.shape),
        array = np.empty(spec.shape, spec.dtype.numpy)
        if size:
            array.fill(g._array.item() / size if divide else g._array.item())
        out = new(Tensor)
        out._array, out._spec = array, spec
        return out,

    node_class = type(op.node.__name__, (WholeNode,), {"__slots__": (), "op": op, "backward": backward})

    def call(input, spec):
        token = enter(QUIET)
        result = total(input._array)
        if divide:
            result = result / input._array.size
        leave(token)
        out = new(Tensor)
        out._array, out._spec = np.asarray(result), layout.spec(spec.dtype, (), spec.backend)
        if mode.grad:
            edge = input._edge
            if edge is None and input._requires_grad:
                edge = input
            if edge is not None:
                node = new(node_class)
                node.edges, node.number, node.spec = (edge,), next_number(), spec
                if tape.anomaly:
                    node.trace = tape.forward_trace()
                out._edge = node
        elif mode.inference:
            out._inference = True
        return out
    return call


short_sum, short_mean = whole(SumAll, False), whole(MeanAll, True)


@export("sum")
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum of all elements, or along `dim` (an int, a name, or several). Integers and bools add up in int64."""
    if dim is None and dtype is None and not keepdim and isinstance(input, Tensor) and input._spec.fast:
        return short_sum(input, input._spec)
    return (SumAll if dim is None else Sum).call(input, dims=dims_of(input, dim, "sum"), keepdim=keepdim, dtype=dtype)


@export("mean")
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean of all elements, or along `dim`. Floating-point only."""
    if dim is None and dtype is None and not keepdim and isinstance(input, Tensor) and input._spec.fast:
        return short_mean(input, input._spec)
    dims = dims_of(input, dim, "mean")
    found = dtype or input.dtype
    if not found.is_floating_point:
        what = "Input" if dtype is None else "Optional"
        raise RuntimeError(f"mean(): could not infer output dtype. {what} dtype must be either a floating point or "
                           f"complex dtype. Got: {found.legacy_name}")
    return (MeanAll if dim is None else Mean).call(input, dims=dims, keepdim=keepdim, dtype=dtype)


class Nansum(Op):
    """The sum along `dims`, nan counting as 0."""
    names = "drop"

    def cpu(x, *, dims, keepdim):
        wide = in_float32(x)
        return np.asarray(add_up(np.where(np.isnan(wide), 0, wide), dims, keepdim)).astype(x.dtype, order="C")

    cuda   = "reduce.nansum"
    grad_x = lambda g, x, dims, keepdim: restore(g, x.shape, dims, keepdim) * (x == x)


@export("nansum")
def nansum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum of all elements, or along `dim`, as if nan were 0."""
    dims = dims_of(input, dim, "nansum")
    if not input.is_floating_point():
        return sum(input, dim, keepdim, dtype=dtype)
    return Nansum.call(input if dtype is None else input.to(dtype), dims=dims, keepdim=keepdim)


@export("nanmean")
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean of the elements that are not nan."""
    dims_of(input, dim, "nanmean")
    if not input.is_floating_point():
        raise RuntimeError("nanmean(): expected input to have floating point or complex dtype but got "
                           f"{input.dtype.legacy_name}")
    if dtype is not None and not dtype.is_floating_point:
        raise RuntimeError("nanmean(): could not infer output dtype. Optional dtype must be either a floating point or "
                           f"complex dtype. Got: {dtype.legacy_name}")
    return nansum(input, dim, keepdim, dtype=dtype) / (input == input).sum(dim, keepdim)


@export("count_nonzero")
def count_nonzero(input, dim=None):
    """How many elements differ from zero, in all or along `dim`."""
    dims = dims_of(input, dim, "count_nonzero")
    return Sum.call(input != 0, dims=dims)


# ---- products
def product_of_others(x, dim):
    """For each element the product of all others along `dim`: what lies to its left, times what lies to its right."""
    size = x.shape[dim]
    one = x.new_ones(()).expand(x.narrow(dim, 0, 1).shape)
    left = functions["cat"]([one, x.narrow(dim, 0, size - 1)], dim).cumprod(dim)
    right = functions["cat"]([one, x.flip(dim).narrow(dim, 0, size - 1)], dim).cumprod(dim).flip(dim)
    return left * right


def prod_backward(g, out, x, dim=None):
    """Dividing by x is the short way; where an element is zero, the others are multiplied instead."""
    if dim is None:                                # one number is its own product
        return g
    if not x.shape[dim]:
        return g.expand(x.shape)
    if bool((x == 0).any()):
        return g * product_of_others(x, dim)
    return g * (out / x)


class Prod(Reduction):
    """The product along the one dimension in `dims`."""
    node_name = "ProdBackward1"
    result = "sum"
    cpu    = lambda x, *, dims, keepdim: np.multiply.reduce(x, axis=dims, keepdims=keepdim)
    cuda   = (lambda a, b: a * b, 1)
    grad_x = lambda g, x, out, dims, keepdim: prod_backward(*[spread(t, dims, keepdim) for t in (g, out)], x, *dims)


class ProdAll(Reduction):
    """The product of everything."""
    node_name = "ProdBackward0"
    result = "sum"
    cpu    = lambda x, *, dims, keepdim: np.multiply.reduce(x, axis=dims, keepdims=keepdim)
    cuda   = (lambda a, b: a * b, 1)
    grad_x = lambda g, x, out: prod_backward(g, out, x.reshape(-1), 0).reshape(x.shape)


@export("prod")
def prod(input, dim=None, keepdim=False, *, dtype=None):
    """The product of all elements, or along one `dim`. Integers and bools multiply in int64."""
    if dim is None:
        return ProdAll.call(input, dims=dims_of(input, None, "prod"), dtype=dtype)
    return Prod.call(input, dims=dims_of(input, (one_dim(input, dim, "prod"),), "prod"), keepdim=keepdim, dtype=dtype)


# ---- truth
class Any(Reduction):
    """Whether one element along `dims` differs from zero."""
    result = "bool"
    names  = "none"
    cpu    = lambda x, *, dims, keepdim: np.logical_or.reduce(x != 0, axis=dims, keepdims=keepdim)
    cuda   = (lambda a, b: a != 0 or b != 0, False)


class All(Reduction):
    """Whether no element along `dims` is zero."""
    result = "bool"
    names  = "none"
    cpu    = lambda x, *, dims, keepdim: np.logical_and.reduce(x != 0, axis=dims, keepdims=keepdim)
    cuda   = (lambda a, b: a != 0 and b != 0, True)


@export("any")
def any(input, dim=None, keepdim=False):
    """Whether any element is true (not zero): of all, or along `dim`. The result is bool (uint8 for uint8)."""
    return Any.call(input, dims=dims_of(input, dim, "any") if dim not in ((), []) else (), keepdim=keepdim)


@export("all")
def all(input, dim=None, keepdim=False):
    """Whether all elements are true (not zero): of all, or along `dim`. The result is bool (uint8 for uint8)."""
    return All.call(input, dims=dims_of(input, dim, "all") if dim not in ((), []) else (), keepdim=keepdim)


# ---- the logarithm of a sum of exponentials
class Logsumexp(Op):
    """log(sum(exp(x))), with the largest element taken out so that nothing overflows."""
    names = "drop"

    def cpu(x, *, dims, keepdim):
        wide = in_float32(x)
        top = np.maximum.reduce(wide, axis=dims, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0)
        out = np.log(np.asarray(add_up(np.exp(wide - top), dims, True))) + top
        out = out if keepdim else out.reshape([n for d, n in enumerate(x.shape) if d not in dims])
        return out.astype(x.dtype, order="C")

    cuda   = "softmax.logsumexp"
    grad_x = lambda g, x, out, dims, keepdim: spread(g, dims, keepdim) * (x - spread(out, dims, keepdim)).exp()


@export("logsumexp")
def logsumexp(input, dim, keepdim=False):
    """log(sum(exp(input))) along `dim`, safe from overflow. -inf where all elements are."""
    dims = dims_of(input, dim, "logsumexp")
    if not input.is_floating_point():
        input = input.to(dtypes.get_default_dtype())
    return Logsumexp.call(input, dims=dims, keepdim=keepdim)
