"""Views of a part of the elements, and several views at once.

No number moves, so no backend is involved. The way back of a part is zeros with the gradient written where the view
looked (`embed`).
"""
from __future__ import annotations

import numpy as np

from ..core import dtypes, layout, tape
from ..core.export import export, functions
from ..core.leaf import unreachable
from ..core.mode import mode, no_grad
from ..core.op import Op
from ..core.record import record
from ..core.tape import next_number
from ..core.tensor import Tensor, copy_of, filled, from_host, new, receiver
from .views import View, dim_of, give_names, no_names, without


# ---- the way back of views that leave elements out: zeros, with the gradient written where the view looked
class Embed(Op):
    """Zeros of `shape` with g added where `look(zeros)` looks."""
    inputs, parameters = ("g",), ("shape", "look")
    grad_g = lambda g, look: look(g)


def embed(g, shape, look):
    out = filled(shape, 0, g.dtype, g._spec.backend)
    with no_grad():
        window = look(out)
    if layout.overlaps(window._spec.shape, window._spec.strides):
        _add_overlapping(out, window, g)
    else:
        out._spec.backend.copy(window._array, g._array)
    if mode.grad and g.requires_grad:
        record(Embed, (g,), {"shape": shape, "look": look}, out)
    return out


def _places(shape, strides, offset, count):
    """Which of a storage's first `count` elements a view sees, in the view's order."""
    places = np.arange(count)
    step = places.itemsize
    return np.ndarray(shape, places.dtype, places, offset * step, [s * step for s in strides]).reshape(-1)


def _add_overlapping(out, window, g):
    """An element that is seen several times collects all its gradients."""
    places = _places(window.shape, window._spec.strides, window._offset, out.numel())
    with no_grad():
        out.put_(from_host(places, dtypes.int64, out._spec.backend), g, accumulate=True)


# ---- a part of the elements
class Select(View):
    grad_x = lambda g, shape, dim, index: embed(g, shape, lambda z: z.select(dim, index))


@export("select")
def select(input, dim, index):
    """The slice at `index` along `dim`, without that dimension."""
    spec = input._spec
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim, index = dim_of(input, dim), int(index)
    size = spec.shape[dim]
    if not -size <= index < size:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(spec.shape)} at dimension "
                         f"{dim}")
    index %= size
    return Select.of(input, without(spec.shape, dim), without(spec.strides, dim),
                     input._offset + index * spec.strides[dim],
                     None if spec.names is None else without(spec.names, dim), dim=dim, index=index)


class Slice(View):
    grad_x = lambda g, shape, dim, start, end, step: embed(g, shape, lambda z: slice_(z, dim, start, end, step))


def slice_(input, dim=0, start=None, end=None, step=1):
    """Every `step`-th slice from `start` to `end` along `dim`."""
    spec = input._spec
    dim, step = dim_of(input, dim), int(step)
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start, end, _ = slice(start, end).indices(spec.shape[dim])
    count = max(0, -(-(end - start) // step))
    return Slice.of(input, spec.shape[:dim] + (count,) + spec.shape[dim + 1:],
                    spec.strides[:dim] + (spec.strides[dim] * step,) + spec.strides[dim + 1:],
                    input._offset + start * spec.strides[dim], spec.names,
                    dim=dim, start=start, end=end, step=step)


@export("narrow")
def narrow(input, dim, start, length):
    """`length` slices from `start` on along `dim`."""
    if not input.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    dim, start = dim_of(input, dim), int(start)
    size = input.shape[dim]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
    start = start + size if start < 0 else start
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return slice_(input, dim, start, start + length)


class NarrowCopy(Op):
    """Slices, copied."""
    inputs, parameters = ("x",), ("dim", "start", "length")
    grad_x = lambda g, shape, dim, start, length: embed(g, shape, lambda z: z.narrow(dim, start, length))


@export("narrow_copy")
def narrow_copy(input, dim, start, length):
    """`narrow`, copied."""
    with no_grad():
        window = narrow(input, dim, start, length)
        out = give_names(copy_of(window), window._spec.names)
    if mode.grad:
        record(NarrowCopy, (input,), {"dim": dim_of(input, dim), "start": start, "length": length}, out)
    return out


class Diagonal(View):
    grad_x = lambda g, shape, offset, dim1, dim2: embed(g, shape, lambda z: z.diagonal(offset, dim1, dim2))


@export("diagonal")
def diagonal(input, offset=0, dim1=0, dim2=1):
    """The elements [i, i + offset] along two dimensions, as a new last dimension."""
    spec = input._spec
    given = dim1, dim2
    dim1, dim2 = dim_of(input, dim1), dim_of(input, dim2)
    if dim1 == dim2:
        raise RuntimeError("diagonal dimensions cannot be identical {}, {}".format(*given))
    rows, columns = spec.shape[dim1], spec.shape[dim2]
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = input._offset + (0 if not count else offset * spec.strides[dim2] if offset >= 0
                             else -offset * spec.strides[dim1])
    rest = [d for d in range(input.ndim) if d not in (dim1, dim2)]
    return Diagonal.of(input, tuple([spec.shape[d] for d in rest]) + (count,),
                       tuple([spec.strides[d] for d in rest]) + (spec.strides[dim1] + spec.strides[dim2],), start,
                       None if spec.names is None else tuple([spec.names[d] for d in rest]) + (None,),
                       offset=offset, dim1=dim1, dim2=dim2)


class Unfold(View):
    grad_x = lambda g, shape, dimension, size, step: embed(g, shape, lambda z: z.unfold(dimension, size, step))


@export(".unfold")
def unfold(input, dimension, size, step):
    """Windows of `size` along a dimension, `step` apart, as a new last dimension."""
    spec = input._spec
    no_names(input, "unfold")
    dim = layout.normalize_dim(dimension, input.ndim)
    length, stride = (spec.shape[dim], spec.strides[dim]) if input.ndim else (1, 1)
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > length:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    count = (length - size) // step + 1
    if not input.ndim:
        return Unfold.of(input, (size,), (1,), dimension=0, size=size, step=step)
    return Unfold.of(input, spec.shape[:dim] + (count,) + spec.shape[dim + 1:] + (size,),
                     spec.strides[:dim] + (stride * step,) + spec.strides[dim + 1:] + (stride,), dimension=dim,
                     size=size, step=step)


class AsStrided(View):
    grad_x = lambda g, shape, geometry, own: as_strided_backward(g, shape, geometry, own)


def as_strided_backward(g, shape, geometry, own):
    """`own` is the input's (strides, offset): the view's integers count in its storage."""
    size, stride, offset = geometry
    strides, start = own
    extent = max(layout.extent(shape, strides), layout.extent(size, stride, offset - start))
    flat = embed(g, (extent,), lambda z: z.as_strided(size, stride, offset - start))
    if layout.overlaps(shape, strides):            # elements of the input that share a place share its gradient
        seen = np.bincount(_places(shape, strides, 0, extent), minlength=extent).clip(1)
        flat = flat / from_host(seen, flat.dtype, flat._spec.backend)
    return flat.as_strided(shape, strides, 0)


@export("as_strided")
def as_strided(input, size, stride, storage_offset=None):
    """Any view of the input's storage: shape, strides and offset as given."""
    no_names(input, "as_strided")
    size, stride = tuple(size), tuple(stride)
    offset = input._offset if storage_offset is None else storage_offset
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(n < 0 for n in size):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}")
    if any(s < 0 for s in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    have, need = input._storage.buffer, layout.extent(size, stride, offset)
    if need > len(have):
        unit = input.dtype.itemsize
        raise RuntimeError(f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and "
                           f"itemsize {unit} requiring a storage size of {need * unit} are out of bounds for storage "
                           f"of size {len(have) * unit}")
    return AsStrided.of(input, size, stride, offset, geometry=(size, stride, offset),
                        own=(input._spec.strides, input._offset))


# ---- several views at once
def _several(kind, x, make, join):
    """Views that came from one call: one node with as many outputs; none may be written in place.

    `make()` gives the views, `join(gradients)` is the way back.
    """
    with no_grad():
        outs = tuple(make())
    for out in outs:
        out._view_of = "multi" if mode.grad else "inference" if mode.inference else "no_grad"
    edge = receiver(x) if mode.grad and x.is_floating_point() else None
    if edge is not None or mode.grad and unreachable(x) and x.is_floating_point():
        node = new(kind)
        node.edges, node.number, node.count = (edge,), next_number(), len(outs)
        node.join, node.spec, node.output_specs = join, x._spec, [o._spec for o in outs]
        for nr, out in enumerate(outs):
            out._edge = tape.Output(node, nr)
    return outs


class _SeveralNode(tape.Node):
    __slots__ = ("count", "join", "spec", "output_specs")
    n_outputs = property(lambda self: max(self.count, 2))  # a list of gradients, also for one output

    def backward(self, *grads):
        return self.join([_zeros(spec) if g is None else g for g, spec in zip(grads, self.output_specs)]),


def _zeros(spec):
    return filled(spec.shape, 0, spec.dtype, spec.backend)


class UnbindBackward0(_SeveralNode):
    __slots__ = ()


class SplitBackward0(_SeveralNode):
    __slots__ = ()


class SplitWithSizesBackward0(_SeveralNode):
    __slots__ = ()


@export("unbind", out=False)
def unbind(input, dim=0):
    """The slices along `dim`, as a tuple of views."""
    if not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = dim_of(input, dim)
    return _several(UnbindBackward0, input, lambda: [select(input, dim, i) for i in range(input.shape[dim])],
                    lambda grads: functions["stack"](grads, dim))


@export("split", out=False)
def split(tensor, split_size_or_sections, dim=0):
    """Views of `split_size` slices each (the last may be smaller), or of the sizes in a list."""
    if not tensor.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    given, dim = dim, dim_of(tensor, dim)
    size = tensor.shape[dim]
    if isinstance(split_size_or_sections, (list, tuple)):
        sizes, kind = [int(n) for n in split_size_or_sections], SplitWithSizesBackward0
        if any(n < 0 for n in sizes):
            raise RuntimeError("split_with_sizes expects split_sizes have only non-negative entries, but got "
                               f"split_sizes={sizes}")
        if sum(sizes) != size:
            raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's size at "
                               f"dimension {given}), but got split_sizes={sizes}")
    elif isinstance(split_size_or_sections, float):
        raise TypeError("split_with_sizes(): argument 'split_sizes' (position 2) must be tuple of ints, not float")
    else:
        each, kind = int(split_size_or_sections), SplitBackward0
        if each < 0:
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={each}")
        if each == 0 and size != 0:
            raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}")
        sizes = [min(each, size - start) for start in range(0, size, each)] if size else [0]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return _several(kind, tensor, lambda: [slice_(tensor, dim, s, s + n) for s, n in zip(starts, sizes)],
                    lambda grads: functions["cat"](grads, dim))


@export(".split_with_sizes")
def split_with_sizes(input, split_sizes, dim=0):
    return split(input, list(split_sizes), dim)


@export("chunk", out=False)
def chunk(input, chunks, dim=0):
    """At most `chunks` views of equal size (the last may be smaller)."""
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    dim = dim_of(input, dim)
    size = input.shape[dim]
    return split(input, -(-size // chunks) if size else [0] * chunks, dim)


@export("tensor_split", out=False)
def tensor_split(input, indices_or_sections, dim=0):
    """Views cut at the given indices, or into that many nearly equal parts."""
    if not input.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    dim = dim_of(input, dim)
    size = input.shape[dim]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        n = indices_or_sections
        if n <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {n}")
        sizes = [size // n + (i < size % n) for i in range(n)]
        cuts = [sum(sizes[:i]) for i in range(1, n)]
    else:
        cuts = [int(i) for i in indices_or_sections]
    return tuple([slice_(input, dim, start, end) for start, end in zip([0, *cuts], [*cuts, size])])


def _split_along(name, least, dim_for):
    def splitter(input, indices_or_sections):
        if input.ndim < least:
            raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor with "
                               f"{input.ndim} dimensions!")
        dim, parts = dim_for(input), indices_or_sections
        if isinstance(parts, int) and (parts <= 0 or input.shape[dim] % parts):
            raise RuntimeError(f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
                               f"{input.shape[dim]} is not divisible by the split_size {parts}!")
        return tensor_split(input, parts, dim)
    splitter.__name__ = name
    splitter.__doc__ = f"`tensor_split` into equal parts, or at indices, along the dimension that {name[0]}stack joins."
    export(name, out=False)(splitter)


_split_along("hsplit", 1, lambda x: 0 if x.ndim == 1 else 1)
_split_along("vsplit", 2, lambda x: 0)
_split_along("dsplit", 3, lambda x: 2)
