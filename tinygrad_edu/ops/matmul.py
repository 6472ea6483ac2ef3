"""Matrix products: of matrices, of batches of matrices, and of vectors.

The numbers come from a backend's one verb `matmul`, which multiplies matrices or batches of equally many; all other
combinations of ranks are brought to that by views, as torch does, so that gradients and devices come with them.
"""
from __future__ import annotations

import numpy as np

from ..core import dtypes, errors, layout, names, tape
from ..core.export import export
from ..core.mode import mode, no_grad
from ..core.op import Op, common_backend
from ..core.record import record
from ..core.tape import next_number
from ..core.tensor import Tensor, from_array, from_storage, new, wrap
from .views import Unsafe, View, bare, give_names

NO_PARAMS = {}
C_NAMES = {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
           "int64": "long int",
           "int32": "int", "int16": "short int", "int8": "signed char", "uint8": "unsigned char", "bool": "bool"}


def c_name(x):
    """A tensor's dtype as some of torch's errors say it."""
    return C_NAMES[x.dtype.name]


def old_name(x):
    """A tensor's dtype as most of torch's errors say it."""
    return x.dtype.legacy_name


# ---- the products themselves
class Product(Op):
    """A product of two tensors of one dtype whose shapes fit: the public functions below have checked."""

    @classmethod
    def call(cls, a, b):
        spec = a._spec
        backend = spec.backend
        if backend.native:
            out = from_array(backend.matmul(a._array, b._array), backend, spec.dtype)
        else:
            out = of_matrices(backend, a, b)
        if mode.grad:
            record(cls, (a, b), NO_PARAMS, out, backend.native and spec.dtype.itemsize > 2)
        return out


def of_matrices(backend, a, b):
    """A backend multiplies matrices: a vector goes there as a row or as a column."""
    with no_grad():
        rows = a if a.ndim > 1 else a.unsqueeze(0)
        columns = b if b.ndim > 1 else b.unsqueeze(1)
    out = from_array(backend.matmul(rows._array, columns._array), backend)
    shape = a.shape[:-1] + (b.shape[-1:] if b.ndim > 1 else ())
    return out if out.shape == shape else from_storage(out._storage, shape, layout.contiguous_strides(shape))


class Mm(Product):
    """(n, m) @ (m, p) -> (n, p)"""
    cpu        = lambda input, mat2: np.matmul(input, mat2)
    cuda       = "matmul.matmul"
    grad_input = lambda g, mat2: g @ mat2.T
    grad_mat2  = lambda g, input: input.T @ g


class Bmm(Product):
    """(b, n, m) @ (b, m, p) -> (b, n, p)"""
    cpu        = lambda input, mat2: np.matmul(input, mat2)
    cuda       = "matmul.matmul"
    grad_input = lambda g, mat2: g @ mat2.mT
    grad_mat2  = lambda g, input: input.mT @ g


class Mv(Product):
    """(n, m) @ (m) -> (n)"""
    cpu        = lambda input, vec: np.matmul(input, vec)
    cuda       = "matmul.matmul"
    grad_input = lambda g, vec: g.reshape(-1, 1) * vec
    grad_vec   = lambda g, input: input.T @ g


class Dot(Product):
    """(n) @ (n) -> a number"""
    cpu         = lambda input, tensor: np.matmul(input, tensor)
    cuda        = "matmul.matmul"
    grad_input  = lambda g, tensor: g * tensor
    grad_tensor = lambda g, input: g * input


class Vdot(Product):
    """dot under the name that conjugates complex numbers: ours are real."""
    cpu        = lambda input, other: np.matmul(input, other)
    cuda       = "matmul.matmul"
    grad_input = lambda g, other: g * other
    grad_other = lambda g, input: g * input


def check_tensors(function, **arguments):
    """torch's TypeError for an argument that is no tensor."""
    for place, (name, x) in enumerate(arguments.items()):
        if not isinstance(x, Tensor):
            raise TypeError(f"{function}(): argument '{name}' (position {place + 1}) must be Tensor, not "
                            f"{type(x).__name__}")


def cannot_multiply(a, b):
    return f"mat1 and mat2 shapes cannot be multiplied ({a[0]}x{a[1]} and {b[0]}x{b[1]})"


def refuse_integers(x, kernel):
    if not x.is_floating_point():
        raise NotImplementedError(f'"{kernel}" not implemented for \'{old_name(x)}\'')


def refuse_bool(x, kernel):
    if x._spec.dtype is dtypes.bool_:
        raise NotImplementedError(f'"{kernel}" not implemented for \'Bool\'')


def without_names(rule, function, *tensors):
    """`function` of the tensors without their names, the result with the names that `rule` makes of theirs."""
    found = rule(*[x.names for x in tensors])
    return give_names(function(*[bare(x) for x in tensors]), found)


def named(*tensors):
    return any(x._spec.names is not None for x in tensors)


@export("mm")
def mm(input, mat2):
    """The product of two matrices, (n, m) and (m, p)."""
    check_tensors("mm", input=input, mat2=mat2)
    if named(input, mat2):
        return without_names(names.mm, mm, input, mat2)
    return _mm(input, mat2, input.shape, mat2.shape)


def _mm(a, b, *drawn):
    """mm; `drawn` are the shapes that an error shows, where a and b were folded."""
    x, y = a._spec, b._spec
    if len(x.shape) != 2:
        raise RuntimeError("self must be a matrix")
    if len(y.shape) != 2:
        raise RuntimeError("mat2 must be a matrix")
    if x.shape[1] != y.shape[0]:
        raise errors.matmul(*drawn, cannot_multiply(x.shape, y.shape))
    if x.dtype is not y.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {c_name(a)} != {c_name(b)}")
    refuse_bool(a, "addmm_impl_cpu_")
    if x.backend is not y.backend:
        common_backend((a, b))
    return Mm.call(a, b)


@export("bmm")
def bmm(input, mat2):
    """The products of two batches of matrices, (b, n, m) and (b, m, p)."""
    check_tensors("bmm", input=input, mat2=mat2)
    if named(input, mat2):
        return without_names(names.matmul, bmm, input, mat2)
    return _bmm(input, mat2, input.shape, mat2.shape)


def _bmm(a, b, *drawn):
    check_batches(a, b, drawn)
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected scalar type {old_name(a)} but found {old_name(b)}")
    refuse_bool(a, "bmm")
    common_backend((a, b))
    return Bmm.call(a, b)


def check_batches(a, b, drawn):
    for number, x in enumerate((a, b)):
        if x.ndim != 3:
            raise RuntimeError(f"batch{number + 1} must be a 3D tensor")
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        text = (f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, {a.shape[2]}] but got: "
                f"[{b.shape[0]}, {b.shape[1]}].")
        raise errors.matmul(*drawn, text)


@export("mv")
def mv(input, vec):
    """The product of a matrix (n, m) and a vector (m)."""
    check_tensors("mv", input=input, vec=vec)
    if named(input, vec):
        return without_names(names.mm, mv, input, vec)
    if not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return _mv(input, vec, input.shape, vec.shape)


def _mv(a, b, *drawn):
    x, y = a._spec, b._spec
    if x.dtype is not y.dtype:
        raise RuntimeError(f"addmv input tensors must have the same dtype, but got {old_name(b)}, {old_name(a)}, and "
                           f"{old_name(b)}")
    check_mv(a, b, x.shape[:1], drawn)
    refuse_bool(a, "addmv_impl_cpu")
    common_backend((a, b))
    return Mv.call(a, b)


def check_mv(a, b, added, drawn):
    """The shapes of matrix, vector and of what is added to their product."""
    if a.ndim != 2 or b.ndim != 1 or len(added) > 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {len(added)}, {a.ndim}, {b.ndim}")
    if a.shape[1] != b.shape[0] or added and added[0] not in (1, a.shape[0]):
        rows = added[0] if added else 1
        text = f"size mismatch, got input ({rows}), mat ({a.shape[0]}x{a.shape[1]}), vec ({b.shape[0]})"
        raise errors.matmul(*drawn, text) if a.shape[1] != b.shape[0] else RuntimeError(text)


def _dot(kind, a, b):
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"dot : expected both vectors to have same dtype, but found {old_name(a)} and {old_name(b)}")
    n, m = a.shape[0], b.shape[0]
    if n != m:
        raise errors.matmul(a.shape, b.shape, f"inconsistent tensor size, expected tensor [{n}] and src [{m}] to have "
                                              f"the same number of elements, but got {n} and {m} elements respectively")
    refuse_bool(a, "dot")
    common_backend((a, b))
    return kind.call(a, b)


@export("dot")
def dot(input, tensor):
    """The sum of the products of two vectors of one length."""
    check_tensors("dot", input=input, tensor=tensor)
    if named(input, tensor):
        return without_names(names.matmul, dot, input, tensor)
    return _dot(Dot, input, tensor)


@export("vdot")
def vdot(input, other):
    """`dot`: real numbers are their own conjugates."""
    check_tensors("vdot", input=input, other=other)
    return _dot(Vdot, input, other)


# ---- the same memory in another shape, where nobody else holds it: no view in torch's sense
class SqueezeInPlace(View):
    grad_x = lambda g, shape: g.reshape(shape)


SqueezeInPlace.node.__name__ = "SqueezeBackward4"


def reshaped(kind, x, shape):
    """A fresh, contiguous result in another shape, itself fresh: an in-place operation on it meets no base."""
    shape = tuple(shape)
    spec = x._spec
    if spec.backend.native:
        out = wrap(x._array.reshape(shape), layout.spec(spec.dtype, shape, spec.backend))
    else:
        out = from_storage(x._storage, shape, layout.contiguous_strides(shape))
    if mode.grad and x._edge is not None:
        node = new(kind.node)
        node.edges, node.number, node.params, node.specs, node.out = (x._edge,), next_number(), NO_PARAMS, (spec,), None
        if tape.anomaly:
            node.trace = tape.forward_trace()
        out._edge = node
    return out


# ---- every combination of ranks
@export("matmul")
def matmul(input, other):
    """The matrix product: vectors, matrices, or batches of matrices whose batch dimensions are broadcast."""
    check_tensors("matmul", input=input, other=other)
    if named(input, other):
        return without_names(names.matmul, matmul, input, other)
    n, m = len(input._spec.shape), len(other._spec.shape)
    if n == 2 and m == 2:
        return _mm(input, other, input.shape, other.shape)
    if not n or not m:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {n}D and {m}D")
    if m == 1 and n == 1:
        return _dot(Dot, input, other)
    if m == 1 and n == 2:
        return _mv(input, other, input.shape, other.shape)
    if n == 1 and m == 2:
        out = _mm(input.unsqueeze(0), other, input.shape, other.shape)
        return reshaped(SqueezeInPlace, out, out.shape[1:])
    if folds(input, other):
        return folded(input, other)
    return batched(input, other)


@export("__matmul__", out=False)
def _operator(input, other):
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        return NotImplemented
    return matmul(input, other)


def folds(a, b):
    """Whether a batch and one matrix are multiplied as two matrices: that spares copies of the matrix in backward."""
    first_larger = a.ndim >= b.ndim
    large, small = (a, b) if first_larger else (b, a)
    if large.ndim < 3 or small.ndim > 2:
        return False
    if small.requires_grad:
        return True
    if a.ndim == 2:
        return False
    if not large.numel():
        return True
    shape, strides = large.shape, large.stride()
    if not first_larger:
        shape, strides = shape[:-2] + (shape[-1], shape[-2]), strides[:-2] + (strides[-1], strides[-2])
    return all(strides[i] == strides[i + 1] * shape[i + 1] for i in range(large.ndim - 2))


def folded(a, b):
    """The rows of all batches as one matrix."""
    drawn = a.shape, b.shape
    turned = b.ndim > a.ndim
    large, small = (b.mT, a.t() if a.ndim == 2 else a) if turned else (a, b)
    lead = large.shape[:-1]
    rows = large.reshape(layout.numel(lead), large.shape[-1])
    if small.ndim == 1:
        return reshaped(Unsafe, _mv(rows, small, *drawn), lead)
    out = reshaped(Unsafe, _mm(rows, small, *drawn), lead + small.shape[1:])
    return out.mT.contiguous() if turned else out


def batched(a, b):
    """Batch dimensions broadcast and flattened into one, for bmm."""
    if a.ndim == 3 and b.ndim == 3 and a.shape[0] != b.shape[0]:
        if a.shape[0] == 1 and a.requires_grad:    # folding spares the copies of what is repeated
            return matmul(a.squeeze(0), b)
        if b.shape[0] == 1 and b.requires_grad:
            return matmul(a, b.squeeze(0))
    drawn = a.shape, b.shape
    rows = a.shape[-2:] if a.ndim > 1 else (1,) + a.shape
    columns = b.shape[-2:]
    if errors.fits(a.shape[:-2], b.shape[:-2]) is None:
        raise errors.batched(*drawn)
    lead = layout.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = layout.numel(lead)
    first = a.expand(*lead, *rows).reshape(count, *rows)
    second = b.expand(*lead, *columns).reshape(count, *columns)
    shape = tuple(lead) + tuple(a.shape[-2:-1]) + tuple(b.shape[-1:] if b.ndim > 1 else ())
    if b.ndim > 1:
        return reshaped(Unsafe, _bmm(first, second, *drawn), shape)
    return reshaped(Unsafe, _bmm(first, second.unsqueeze(2), *drawn).squeeze(-1), shape)
