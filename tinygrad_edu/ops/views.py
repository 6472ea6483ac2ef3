"""Views: another shape and other strides over the same storage. No data moves, so no backend is involved.

Each view is a block: how the gradient comes back (`grad_x`, with the names of what it needs), and the public function
that works out the integers. Nothing is saved: a graph of views can be walked twice.
"""
from __future__ import annotations

import warnings

from ..core import dtypes, layout, names, tape
from ..core.export import export
from ..core.op import Op, parameters_of, refused_names
from ..core.saved import OpNode
from ..core.data import sizes_of
from ..core.leaf import unreachable
from ..core.mode import mode
from ..core.tape import next_number
from ..core.storage import Retyped
from ..core.tensor import Tensor, from_storage, new, receiver, strided_spec, view_of


class View(Op):
    """A view: `grad_x(g, ...)` may ask for parameters, and for `shape`, the shape of the input."""
    names = "keep"

    def __init_subclass__(cls):
        cls.grad_x = staticmethod(cls.grad_x)
        cls.inputs, cls.parameters = ("x",), ()
        cls.formulas = {"x": cls.grad_x}
        cls.wanted = {"x": parameters_of(cls.grad_x)[0][1:]}
        cls.differentiable = True
        cls.node = type(f"{cls.__name__}Backward0", (ViewNode,), {"__slots__": (), "op": cls})

    @classmethod
    def of(cls, x, shape, strides, offset=None, dim_names=None, /, **params):
        """The view of x with these integers, on the tape. `offset` counts from the storage's first element."""
        out = view_of(x, shape, strides, x._offset if offset is None else offset, dim_names)
        if mode.grad:
            edge = receiver(x) if x._spec.dtype.category == dtypes.FLOATING else None
            if edge is not None or unreachable(x) and x.is_floating_point():
                node = new(cls.node)
                node.edges, node.number = (edge,), next_number()
                node.params, node.specs = params, (x._spec,)
                node.out = None
                if tape.anomaly:
                    node.trace = tape.forward_trace()
                out._edge = node
            out._view_of = x._view_of
        else:
            out._view_of = "inference" if mode.inference else "no_grad"
        return out


class ViewNode(OpNode):
    __slots__ = ()
    fresh = False

    def backward(self, g):
        if g is None:
            return None,
        op, spec = self.op, self.specs[0]
        args = [spec.shape if want == "shape" else self.params[want] for want in op.wanted["x"]]
        return op.formulas["x"](g, *args),

    def release(self):
        pass


def dim_of(x, dim):
    """A dimension by number or by name."""
    return names.dim_of(x._spec.names, dim, x.ndim)


def without(t, dim):
    return t[:dim] + t[dim + 1:]


# ---- names of dimensions
def no_names(x, op):
    if x._spec.names is not None:
        raise refused_names(op)


def bare(x):
    """x without names of dimensions, at x's own place on the tape: the tape sees no view."""
    if x._spec.names is None:
        return x
    out = view_of(x, x._spec.shape, x._spec.strides, x._offset)
    out._edge, out._view_of = receiver(x), x._view_of
    return out


def give_names(x, dim_names):
    """Names for a tensor that nobody else has seen yet."""
    if dim_names is not None:
        spec = x._spec
        x._spec = strided_spec(spec.dtype, spec.shape, spec.strides, spec.backend, tuple(dim_names))
    return x


# ---- the same elements in another shape
class Unsafe(View):
    grad_x = lambda g, shape: g.reshape(shape)


Unsafe.node.__name__ = "UnsafeViewBackward0"


class Reshape(View):
    """The same elements in the same order."""
    grad_x = lambda g, shape: g.reshape(shape)


class ReshapeAlias(View):
    """Reshape of a tensor whose strides are not those of its shape, where that is a view all the same."""
    grad_x = lambda g, shape: g.reshape(shape)


Reshape.node.__name__ = "ViewBackward0"


@export(".view")
def view(input, *shape, dtype=None):
    """The same elements in another shape, without copying; -1 stands for what is left.

    Raises RuntimeError where only a copy could have that shape: use `reshape`. With a dtype instead of a shape:
    the same bytes as another type.
    """
    if len(shape) == 1 and isinstance(shape[0], dtypes.dtype):
        dtype = shape[0]
    if dtype is not None:
        return _view_dtype(input, dtype)
    if not shape or shape[0] is None:
        raise TypeError(f"view() received an invalid combination of arguments - got ({'NoneType' if shape else ''}), "
                        "but expected one of:\n * (torch.dtype dtype)\n * (tuple of ints size)")
    spec = input._spec
    no_names(input, "view")
    shape = layout.infer_size(sizes_of(shape, "view", "size"), input.numel())
    strides = layout.view_strides(spec.shape, spec.strides, shape)
    if strides is None:
        raise RuntimeError("view size is not compatible with input tensor's size and stride (at least one dimension "
                           "spans across two contiguous subspaces). Use .reshape(...) instead.")
    return Reshape.of(input, shape, strides)


def _view_dtype(x, dtype):
    """The same bytes as another type: the last dimension grows or shrinks where the sizes of the types differ."""
    spec, own = x._spec, x.itemsize
    shape, strides, offset = spec.shape, spec.strides, x._offset
    told = f"to view {spec.dtype.legacy_name} as {dtype.legacy_name} (different element sizes)"
    if dtype.itemsize != own:
        if not shape:
            raise RuntimeError(f"self.dim() cannot be 0 {told}")
        if strides[-1] != 1:
            raise RuntimeError(f"self.stride(-1) must be 1 {told}, but got {strides[-1]}")
    if dtype.itemsize < own:
        ratio = own // dtype.itemsize
        shape, offset = shape[:-1] + (shape[-1] * ratio,), offset * ratio
        strides = tuple([s * ratio for s in strides[:-1]]) + (1,)
    elif dtype.itemsize > own:
        ratio = dtype.itemsize // own
        for what, number in (("size(-1)", shape[-1]), ("storage_offset()", offset),
                             *[(f"stride({d})", s) for d, s in enumerate(strides[:-1])]):
            if number % ratio:
                raise RuntimeError(f"self.{what} must be divisible by {ratio} {told}, but got {number}")
        shape, offset = shape[:-1] + (shape[-1] // ratio,), offset // ratio
        strides = tuple([s // ratio for s in strides[:-1]]) + (1,)
    return from_storage(Retyped(x._storage, dtype), shape, strides, offset, dtype)


@export("reshape")
def reshape(input, *shape):
    """The same elements in another shape: a view where possible, else a copy."""
    spec = input._spec
    no_names(input, "reshape")
    if len(shape) == 1 and not isinstance(shape[0], (tuple, list)) and isinstance(shape[0], Tensor) and shape[0].ndim:
        shape = (tuple(shape[0].tolist()),)
    shape = layout.infer_size(sizes_of(shape, "reshape", "shape"), input.numel())
    strides = layout.view_strides(spec.shape, spec.strides, shape)
    if strides is None:
        input = input.contiguous()
        made = Unsafe.of(input, shape, layout.contiguous_strides(shape))
        made._base = made._view_of = None          # nobody else can see the copy
        return made
    return (Reshape if spec.contiguous else ReshapeAlias).of(input, shape, strides)


@export(".view_as")
def view_as(input, other):
    return view(input, other.shape)


@export(".reshape_as")
def reshape_as(input, other):
    return reshape(input, other.shape)


@export("ravel")
def ravel(input):
    """All elements in one dimension: a view of a contiguous tensor, else of a contiguous copy."""
    return view(input.contiguous(), -1)


@export("flatten")
def flatten(input, start_dim=0, end_dim=-1, out_dim=None):
    """Dimensions start_dim..end_dim as one. By name: `flatten(['C', 'H'], 'features')`."""
    if isinstance(start_dim, (list, tuple)):
        out_dim = end_dim if out_dim is None else out_dim
        start_dim, end_dim = _ends(input, start_dim)
    dim_names = input._spec.names
    start, end = dim_of(input, start_dim), dim_of(input, end_dim)
    if not input.ndim:
        return reshape(input, 1)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    shape = input.shape
    if dim_names is not None or out_dim is not None:
        result = names.validate((*input.names[:start], out_dim, *input.names[end + 1:]), len(shape) - end + start)
        if start == end:
            return alias(input, result)
        return give_names(flatten(bare(input), start, end), result)
    if start == end:
        return input
    return reshape(input, shape[:start] + (layout.numel(shape[start:end + 1]),) + shape[end + 1:])


def _ends(x, dims):
    """The first and the last of dimensions that are to become one."""
    if not dims:
        raise RuntimeError("flatten(tensor, dims, out_dim): dims cannot be empty")
    places = [dim_of(x, d) for d in dims]
    if places != list(range(places[0], places[0] + len(places))):
        raise RuntimeError(f"flatten(tensor, dims, out_dim): dims {list(dims)} must be consecutive in "
                           f"Tensor{names.show(x.names)}\n  `align_to` brings dimensions into another order")
    return places[0], places[-1]


@export("unflatten")
def unflatten(input, dim, sizes):
    """One dimension as several. By name: `unflatten('features', (('C', 3), ('H', 4)))`."""
    place = dim_of(input, dim)
    shape = input.shape
    sizes = sizes.items() if hasattr(sizes, "items") else sizes
    sizes = tuple(sizes)
    if sizes and isinstance(sizes[0], (tuple, list)):
        new_names, sizes = tuple(n for n, _ in sizes), tuple(s for _, s in sizes)
        old = input.names
        result = names.validate(old[:place] + new_names + old[place + 1:], len(old) + len(sizes) - 1)
        return give_names(unflatten(bare(input), place, sizes), result)
    no_names(input, "unflatten")
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    if not shape or sum(size == -1 for size in sizes) > 1:
        raise RuntimeError("unflatten got an unexpected error:\n" + ("a 0-d tensor has no dimension to "
                                                                     "unflatten" if not shape else
                                                                     "only one dimension can be inferred"))
    try:
        sizes = layout.infer_size(sizes, shape[place])
    except RuntimeError:
        raise RuntimeError(f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {place} "
                           f"({shape[place]}) in the input tensor") from None
    return view(input, shape[:place] + sizes + shape[place + 1:])


# ---- dimensions in another order
class Permute(View):
    grad_x = lambda g, dims: g.permute(sorted(range(len(dims)), key=dims.__getitem__))


@export("permute")
def permute(input, *dims):
    """Dimensions in the order `dims`."""
    if not dims or dims[0] is None:
        sizes_of(dims, "permute", "dims")          # torch's refusal
    dims = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    if len(dims) != input.ndim:
        raise RuntimeError("permute(sparse_coo): number of dimensions in the tensor input does not match the length of "
                           f"the desired ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to "
                           f"len(dims) = {len(dims)}")
    dims = tuple(dim_of(input, d) for d in dims)
    if len(set(dims)) != len(dims):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return _permuted(Permute, input, dims, dims=dims)


def _permuted(kind, x, order, **params):
    spec = x._spec
    return kind.of(x, tuple([spec.shape[d] for d in order]), tuple([spec.strides[d] for d in order]), None,
                   None if spec.names is None else tuple([spec.names[d] for d in order]), **params)


class Transpose(View):
    grad_x = lambda g, dim0, dim1: g.transpose(dim0, dim1)


@export("transpose", "swapaxes", "swapdims")
def transpose(input, dim0, dim1):
    """Two dimensions exchanged."""
    dim0, dim1 = dim_of(input, dim0), dim_of(input, dim1)
    order = list(range(input.ndim))
    if order:
        order[dim0], order[dim1] = dim1, dim0
    return _permuted(Transpose, input, order, dim0=dim0, dim1=dim1)


class T(View):
    grad_x = lambda g: g.t()


@export("t")
def t(input):
    """The transpose of a matrix; a tensor of fewer dimensions as it is."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return _permuted(T, input, tuple(range(input.ndim))[::-1])


@export("movedim", "moveaxis")
def movedim(input, source, destination):
    """Dimensions moved to other places, the others in their order."""
    source = (source,) if isinstance(source, (int, str)) else tuple(source)
    destination = (destination,) if isinstance(destination, (int, str)) else tuple(destination)
    if len(source) != len(destination):
        raise RuntimeError(f"movedim: Invalid source or destination dims: source ({list(source)} dims) should contain "
                           f"the same number of dims as destination ({list(destination)} dims)")
    given = {"source": source, "destination": destination}
    source, destination = [dim_of(input, d) for d in source], [dim_of(input, d) for d in destination]
    for which, dims in (("source", source), ("destination", destination)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{which}` ({list(given[which])})")
    if not input.ndim:
        return alias(input)
    rest = iter(d for d in range(input.ndim) if d not in source)
    return permute(input, [source[destination.index(d)] if d in destination else next(rest)
                           for d in range(input.ndim)])


def _T(x):
    if x.ndim not in (0, 2):
        warnings.warn("The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and "
                      "it will throw an error in a future release. Consider `x.mT` to transpose batches of matrices or "
                      "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a "
                      "tensor.", UserWarning, stacklevel=2)
    return permute(x, tuple(range(x.ndim))[::-1]) if x.ndim != 2 else permute(x, 1, 0)


def _matrices(x, what):
    if x.ndim == 1:
        raise RuntimeError(f"tensor.{what} is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return transpose(x, -2, -1) if x.ndim else x


def _H(x):
    if x.ndim not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {x.ndim}-D tensor."
                           + (" For batches of matrices, consider using tensor.mH" if x.ndim > 2 else ""))
    return transpose(x, 0, 1) if x.ndim else x


@export("adjoint")
def adjoint(input):
    """The last two dimensions exchanged (complex numbers would be conjugated)."""
    return _matrices(input, "adjoint()")


Tensor.T = property(_T)
Tensor.mT = property(lambda x: _matrices(x, "mT"))
Tensor.mH = property(lambda x: _matrices(x, "mH"))
Tensor.H = property(_H)


@export(".is_set_to")
def is_set_to(input, tensor):
    """Whether both look at the same memory in the same way."""
    return (input._storage.buffer is tensor._storage.buffer and input._offset == tensor._offset
            and input.shape == tensor.shape and input.stride() == tensor.stride())


# ---- dimensions of size one
class Unsqueeze(View):
    grad_x = lambda g, dim: g.squeeze(dim)


@export("unsqueeze")
def unsqueeze(input, dim):
    """A new dimension of size one at `dim`."""
    no_names(input, "unsqueeze")
    return new_dim(input, layout.normalize_dim(dim, input.ndim + 1))


def new_dim(input, dim):
    """`unsqueeze`, the new dimension unnamed."""
    spec = input._spec
    stride = spec.shape[dim] * spec.strides[dim] if dim < input.ndim else 1
    return Unsqueeze.of(input, spec.shape[:dim] + (1,) + spec.shape[dim:],
                        spec.strides[:dim] + (stride,) + spec.strides[dim:], None,
                        spec.names and spec.names[:dim] + (None,) + spec.names[dim:], dim=dim)


class Squeeze(View):
    grad_x = lambda g, shape: g.reshape(shape)


class SqueezeDim(Squeeze):
    grad_x = lambda g, shape: g.reshape(shape)


class SqueezeDims(Squeeze):
    grad_x = lambda g, shape: g.reshape(shape)


SqueezeDim.node.__name__, SqueezeDims.node.__name__ = "SqueezeBackward1", "SqueezeBackward2"


@export("squeeze")
def squeeze(input, dim=None):
    """Without the dimensions of size one (or only those in `dim`)."""
    kind = Squeeze if dim is None else SqueezeDims if isinstance(dim, (tuple, list)) else SqueezeDim
    dims = range(input.ndim) if dim is None else [dim_of(input, d) for d in (dim if kind is SqueezeDims else (dim,))]
    for i, d in enumerate(dims):
        if d in dims[:i]:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return _permuted(kind, input, [d for d, size in enumerate(input.shape) if not (d in dims and size == 1)])


# ---- the same view again
class Alias(View):
    """The same tensor again."""
    grad_x = lambda g: g


def alias(x, dim_names=None):
    return Alias.of(x, x._spec.shape, x._spec.strides, None, dim_names)
