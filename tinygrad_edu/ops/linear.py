"""Matrix products with something added: addmm and its relatives, and linear, which every layer of a network calls.

The products themselves, and the names of their dimensions, are matmul's.
"""
from __future__ import annotations

import numpy as np

from ..core import dtypes, errors, layout, names
from ..core.export import export
from ..core.mode import mode, no_grad
from ..core.op import Op, common_backend, has_kernel
from ..core.record import record
from ..core.tensor import from_array, wrap
from .matmul import (NO_PARAMS, Bmm, Mm, Mv, c_name, cannot_multiply, check_batches, check_mv, check_tensors, matmul,
                     named,
                     old_name, refuse_bool, without_names)
from .views import no_names


# ---- beta * input + alpha * product
class Affine(Op):
    """beta * input + alpha * product: one kernel, or put together from the ops it consists of and recorded as one."""

    @classmethod
    def call(cls, input, first, second, *, beta, alpha):
        dtype, backend, params = input._spec.dtype, input._spec.backend, {"beta": beta, "alpha": alpha}
        alike = all([x._spec.dtype is dtype for x in (first, second)])
        if not backend.native and alike and dtype is not dtypes.bool_ and has_kernel(cls, backend):
            out = from_array(backend.run(cls, [x._array for x in (input, first, second)], params), backend)
        else:
            out = cls.composed(input, first, second, dtype, **params)
        if mode.grad:
            plain = backend.native and alike and not is_half(dtype)
            record(cls, (input, first, second), params, out, plain)
        return out

    @classmethod
    def composed(cls, input, first, second, dtype, beta, alpha):
        with no_grad():
            terms = [x.to(dtypes.float32) if is_half(dtype) else x for x in (input, first, second)]
            out = times(cls.product(*terms[1:]), alpha)
            if beta:                               # with beta = 0 not even the nan of `input` counts
                out = out + times(terms[0], beta)
            return out.to(dtype) if is_half(dtype) else out


def is_half(dtype):
    return dtype.is_floating_point and dtype.itemsize == 2


def times(x, number):
    """x * number, the number cut to an integer for integers (to a truth for bools), as torch's products do."""
    return x if number == 1 else x * (number if x.is_floating_point() else bool(number) if x.dtype is dtypes.bool_
                                      else int(number))


class Addmm(Affine):
    """beta * input + alpha * (mat1 @ mat2)"""
    cpu        = lambda input, mat1, mat2, *, beta, alpha: beta * input + alpha * np.matmul(mat1, mat2)
    cuda       = "matmul.addmm"
    product    = staticmethod(Mm.call)
    grad_input = lambda g, beta: g * beta
    grad_mat1  = lambda g, mat2, alpha: g @ mat2.T * alpha
    grad_mat2  = lambda g, mat1, alpha: mat1.T @ g * alpha


class Addmv(Affine):
    """beta * input + alpha * (mat @ vec)"""
    cpu        = lambda input, mat, vec, *, beta, alpha: beta * input + alpha * np.matmul(mat, vec)
    cuda       = "affine.addmv"
    product    = staticmethod(Mv.call)
    grad_input = lambda g, beta: g * beta
    grad_mat   = lambda g, vec, alpha: g.reshape(-1, 1) * vec * alpha
    grad_vec   = lambda g, mat, alpha: mat.T @ g * alpha


class Baddbmm(Affine):
    """beta * input + alpha * (batch1 @ batch2)"""
    cpu         = lambda input, batch1, batch2, *, beta, alpha: beta * input + alpha * np.matmul(batch1, batch2)
    cuda        = "matmul.addmm"
    product     = staticmethod(Bmm.call)
    grad_input  = lambda g, beta: g * beta
    grad_batch1 = lambda g, batch2, alpha: g @ batch2.mT * alpha
    grad_batch2 = lambda g, batch1, alpha: batch1.mT @ g * alpha


class Addbmm(Affine):
    """beta * input + alpha * the sum over the batch of batch1 @ batch2"""
    cpu         = lambda input, batch1, batch2, *, beta, alpha: beta * input + alpha * np.matmul(batch1, batch2).sum(0)
    cuda        = "affine.addbmm"
    product     = staticmethod(lambda batch1, batch2: Bmm.call(batch1, batch2).sum(0).to(batch1.dtype))
    grad_input  = lambda g, beta: g * beta
    grad_batch1 = lambda g, batch2, alpha: g @ batch2.mT * alpha
    grad_batch2 = lambda g, batch1, alpha: batch1.mT @ g * alpha


class Addr(Affine):
    """beta * input + alpha * the outer product of vec1 and vec2"""
    cpu        = lambda input, vec1, vec2, *, beta, alpha: beta * input + alpha * np.multiply.outer(vec1, vec2)
    cuda       = "affine.addr"
    product    = staticmethod(lambda vec1, vec2: vec1.unsqueeze(1) * vec2)
    grad_input = lambda g, beta: g * beta
    grad_vec1  = lambda g, vec2, alpha: g @ vec2 * alpha
    grad_vec2  = lambda g, vec1, alpha: g.T @ vec1 * alpha


def check_expands(input, shape):
    """torch's error where what is added can't be expanded to the product."""
    if tuple(input.shape) != tuple(shape):
        with no_grad():
            input.expand(shape)


def check_addmm(input, mat1, mat2, drawn):
    for name, x in (("mat1", mat1), ("mat2", mat2)):
        if x.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix, got {x.ndim}-D tensor")
    if mat1.shape[1] != mat2.shape[0]:
        raise errors.matmul(*drawn, cannot_multiply(mat1.shape, mat2.shape))
    check_expands(input, (mat1.shape[0], mat2.shape[1]))
    check_added(input, mat1, mat2)


def check_added(input, first, second):
    for name, x in (("self", input), ("mat1", first)):
        if x.dtype is not second.dtype:
            raise RuntimeError(f"{name} and mat2 must have the same dtype, but got {old_name(x)} and "
                               f"{old_name(second)}")
    refuse_bool(second, "addmm_impl_cpu_")
    common_backend((input, first, second))


def added_names(rule):
    """Names of a product, unified with those of what is added."""
    return lambda added, first, second: names.tidy(names.unify(rule(first, second) or (), added))


@export("addmm", inplace=True)
def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """beta * input + alpha * (mat1 @ mat2); input is broadcast to the product's shape."""
    check_tensors("addmm", input=input, mat1=mat1, mat2=mat2)
    if named(input, mat1, mat2):
        return without_names(added_names(names.mm), lambda *given: addmm(*given, beta=beta, alpha=alpha),
                             input, mat1, mat2)
    check_addmm(input, mat1, mat2, (mat1.shape, mat2.shape))
    return Addmm.call(input, mat1, mat2, beta=beta, alpha=alpha)


@export("addmv", inplace=True)
def addmv(input, mat, vec, *, beta=1, alpha=1):
    """beta * input + alpha * (mat @ vec)"""
    check_tensors("addmv", input=input, mat=mat, vec=vec)
    if named(input, mat, vec):
        return without_names(added_names(names.mm), lambda *given: addmv(*given, beta=beta, alpha=alpha),
                             input, mat, vec)
    if not input.dtype is mat.dtype is vec.dtype:
        raise RuntimeError(f"addmv input tensors must have the same dtype, but got {old_name(input)}, {old_name(mat)}, "
                           f"and {old_name(vec)}")
    check_mv(mat, vec, input.shape, (mat.shape, vec.shape))
    refuse_bool(mat, "addmv_impl_cpu")
    common_backend((input, mat, vec))
    return Addmv.call(input, mat, vec, beta=beta, alpha=alpha)


def check_dimensions(*tensors):
    if not all(x.ndim for x in tensors):
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")


@export("baddbmm", inplace=True)
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta * input + alpha * (batch1 @ batch2), for every matrix of the batch."""
    check_tensors("baddbmm", input=input, batch1=batch1, batch2=batch2)
    if named(input, batch1, batch2):
        return without_names(added_names(names.matmul), lambda *given: baddbmm(*given, beta=beta, alpha=alpha),
                             input, batch1, batch2)
    check_dimensions(batch1, batch2)
    if batch1.ndim == 3 and batch2.ndim == 3:
        check_batches(batch1, batch2, (batch1.shape, batch2.shape))
    check_expands(input, batch1.shape[:2] + batch2.shape[2:])
    check_batches(batch1, batch2, (batch1.shape, batch2.shape))
    if input.dtype is not batch1.dtype:
        raise RuntimeError(f"Input dtypes must be the same, got: input {c_name(input)}, batch1: {c_name(batch1)}, "
                           f"batch2: {c_name(batch2)}")
    if batch1.dtype is not batch2.dtype:
        raise RuntimeError(f"expected scalar type {old_name(batch1)} but found {old_name(batch2)}")
    refuse_bool(batch1, "baddbmm")
    common_backend((input, batch1, batch2))
    return Baddbmm.call(input, batch1, batch2, beta=beta, alpha=alpha)


@export("addbmm", inplace=True)
def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta * input + alpha * the sum of all batch1[i] @ batch2[i]"""
    check_tensors("addbmm", input=input, batch1=batch1, batch2=batch2)
    if named(input, batch1, batch2):
        return without_names(lambda a, b, c: names.tidy(names.unify(names.matmul(b, c)[1:], a)),
                             lambda *given: addbmm(*given, beta=beta, alpha=alpha), input, batch1, batch2)
    check_dimensions(batch1, batch2)
    check_expands(input, batch1.shape[1:2] + batch2.shape[2:])
    for number, x in enumerate((batch1, batch2)):
        if x.ndim != 3:
            raise RuntimeError(f"batch{number + 1} must be a 3D tensor")
    a, b = batch1.shape, batch2.shape
    if a[0] != b[0]:
        raise RuntimeError(f"batch1 and batch2 must have same number of batches, got {a[0]} and {b[0]}")
    if a[2] != b[1]:
        raise errors.matmul(a, b, f"Incompatible matrix sizes for bmm ({a[1]}x{a[2]} and {b[1]}x{b[2]})")
    check_added(input, batch1, batch2)
    return Addbmm.call(input, batch1, batch2, beta=beta, alpha=alpha)


@export("addr", inplace=True)
def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """beta * input + alpha * the outer product of two vectors"""
    check_tensors("addr", input=input, vec1=vec1, vec2=vec2)
    for name, x in (("vec1", vec1), ("vec2", vec2)):
        if x.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {x.ndim}-D")
    no_names(input, "addr")
    check_expands(input, vec1.shape + vec2.shape)
    for name, number in (("beta", beta), ("alpha", alpha)):
        if isinstance(number, float) and not any(x.is_floating_point() for x in (input, vec1, vec2)):
            raise RuntimeError(f"For integral input tensors, argument {name} must not be a floating point number.")
    return Addr.call(input, vec1, vec2, beta=beta, alpha=alpha)


# ---- input @ weight.T + bias, as one op
class Linear(Op):
    """input @ weight.T + bias for a matrix `input`. torch computes it as addmm, and shows it so."""
    node_name   = "AddmmBackward0"
    cpu         = lambda bias, input, weight: np.matmul(input, weight.T) + bias
    cuda        = "affine.linear"
    grad_bias   = lambda g: g
    grad_input  = lambda g, weight: g @ weight
    grad_weight = lambda g, input: g.T @ input

    @classmethod
    def call(cls, bias, input, weight):
        spec = input._spec
        backend, dtype = spec.backend, spec.dtype
        plain = backend.native and dtype.itemsize > 2
        if plain:
            array = rows_of(backend, input._array, weight._array, bias._array)
            out = wrap(array, layout.spec(dtype, array.shape, backend))
        elif has_kernel(cls, backend):
            out = from_array(backend.run(cls, [bias._array, input._array, weight._array], NO_PARAMS), backend)
        else:
            with no_grad():
                out = Addmm.call(bias, input, weight.t(), beta=1, alpha=1)
        if mode.grad:
            record(cls, (bias, input, weight), NO_PARAMS, out, plain)
        return out


def rows_of(backend, x, w, b):
    """x @ w.T + b. Of few rows and many features BLAS makes the transpose faster, up to one third."""
    if len(x) < len(w) and x.shape[1] >= 256:
        return np.add(backend.matmul(w, x.T).T, b, out=np.empty((len(x), len(w)), x.dtype))
    out = backend.matmul(x, w.T)
    out += b
    return out


@export("nn.functional.linear", out=False)
def linear(input, weight, bias=None):
    """input @ weight.T + bias: input (*, in_features), weight (out_features, in_features), bias (out_features)."""
    if bias is not None:
        try:
            x, w, b = input._spec, weight._spec, bias._spec
        except AttributeError:
            check_tensors("linear", input=input, weight=weight, bias=bias)
            raise
        if (len(x.shape) == 2 and len(w.shape) == 2 and x.shape[1] == w.shape[1] and b.shape == w.shape[:1]
                and x.dtype is w.dtype is b.dtype and x.backend is w.backend is b.backend
                and x.names is w.names is b.names is None and x.dtype is not dtypes.bool_):
            return Linear.call(bias, input, weight)
    return _linear(input, weight, bias)


def _linear(input, weight, bias):
    """What is not a plain matrix of rows: other ranks, names, no bias, and everything that torch refuses."""
    check_tensors("linear", input=input, weight=weight)
    if not input.ndim or not weight.ndim:
        raise RuntimeError(f"both arguments to linear need to be at least 1D, but they are {input.ndim}D and "
                           f"{weight.ndim}D")
    if bias is None:
        check_features(input, weight)
        return matmul(input, weight.t())
    if named(input, weight, bias):
        return without_names(lambda b, x, w: names.tidy(names.unify(names.mm(x, w[::-1]) or (), b)),
                             lambda b, x, w: linear(x, w, b), bias, input, weight)
    if weight.ndim == 1 and input.ndim != 2 or input.ndim > 2 and not input._spec.contiguous:
        check_features(input, weight)
        return matmul(input, weight.t()) + bias
    weight.t()                                     # torch's refusal of more than two dimensions
    rows = input if input.ndim == 2 else input.reshape(layout.numel(input.shape[:-1]), input.shape[-1])
    check_features(rows, weight, input.shape)
    check_addmm(bias, rows, weight.t(), (input.shape, weight.shape))
    if bias.ndim != 1 or bias.shape[0] != weight.shape[0]:
        out = Addmm.call(bias, rows, weight.t(), beta=1, alpha=1)
    else:
        out = Linear.call(bias, rows, weight)
    return out if input.ndim == 2 else out.view(*input.shape[:-1], weight.shape[0])


def check_features(x, weight, drawn=None):
    """The error of a layer that gets the wrong number of features, in the words of layers."""
    given, (out_features, wanted) = x.shape[-1], weight.shape if weight.ndim == 2 else (1, x.shape[-1])
    if given != wanted:
        text = cannot_multiply((layout.numel(x.shape[:-1]), given), (wanted, out_features))
        raise errors.linear(drawn or x.shape, weight.shape, text)
