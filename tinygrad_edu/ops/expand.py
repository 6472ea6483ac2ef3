"""Dimensions of size one repeated without copying, and the way back: a sum over what was repeated."""
from __future__ import annotations

from ..core import errors, layout
from ..core.data import sizes_of
from ..core.export import export
from ..core.tensor import Tensor
from .views import View


class Expand(View):
    grad_x = lambda g, shape: g.sum_to_size(shape)


@export(".expand")
def expand(input, *sizes, implicit=False):
    """Dimensions of size one repeated without copying; -1 keeps a size."""
    sizes = sizes_of(sizes, "expand", "size")
    spec = input._spec
    lead = len(sizes) - input.ndim
    if lead < 0:
        raise RuntimeError(f"expand({input.type()}{{{list(spec.shape)}}}, size={list(sizes)}): the number of sizes "
                           f"provided ({len(sizes)}) must be greater or equal to the number of dimensions in the "
                           f"tensor ({input.ndim})")
    shape = list(sizes)
    for d, size in reversed(list(enumerate(sizes))):
        mine = spec.shape[d - lead] if d >= lead else None
        if size == -1:
            if mine is None:
                raise RuntimeError("The expanded size of the tensor (-1) isn't allowed in a leading, non-existing "
                                   f"dimension {d}")
            shape[d] = mine
        elif mine is not None and mine != size and mine != 1:
            raise errors.expand(spec.shape, sizes, d, f"The expanded size of the tensor ({size}) must match the "
                                f"existing size ({mine}) at non-singleton dimension {d}.  Target sizes: {list(sizes)}. "
                                f" Tensor sizes: {list(spec.shape)}")
    strides = _expanded_strides(spec, shape)
    return Expand.of(input, shape, strides, None, None if spec.names is None else (None,) * lead + spec.names)


def _expanded_strides(spec, shape):
    """0 for what is repeated; a new dimension of size one has the stride that unsqueeze would give it, as torch's."""
    if not spec.shape:
        return (0,) * len(shape)
    strides = []
    for back in range(1, len(shape) + 1):
        own = back <= len(spec.shape)
        size, stride = (spec.shape[-back], spec.strides[-back]) if own else (1, shape[1 - back] * strides[-1])
        strides.append(stride if size == shape[-back] else 0)
    return tuple(reversed(strides))


@export(".expand_as")
def expand_as(input, other):
    return expand(input, other.shape)


@export("broadcast_to()")
def broadcast_to(input, size):
    """`expand` of a tensor, to sizes in a sequence."""
    return expand(input, sizes_of((size,), "broadcast_to", "size"))


@export(".broadcast_to")
def _broadcast_to(input, *sizes, size=None):
    """`expand`: sizes one by one, or as one sequence."""
    return expand(input, sizes_of(sizes if size is None else (size,), "broadcast_to", "size"))


@export("broadcast_tensors()")
def broadcast_tensors(*tensors):
    """All tensors expanded to their common shape."""
    tensors = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    shape = ()
    for x in tensors:
        shape = layout.broadcast_shapes(shape, x.shape)
    return tuple(expand(x, shape) if x.shape != shape else x for x in tensors)


@export("broadcast_shapes()")
def broadcast_shapes(*shapes):
    """The shape that all of `shapes` broadcast to."""
    result = []
    for number, shape in enumerate(shapes):
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        result = [1] * (len(shape) - len(result)) + result
        for back, size in enumerate(reversed(shape), 1):
            if result[-back] == 1:
                result[-back] = size
            elif size not in (1, result[-back]):
                raise RuntimeError(f"Attempting to broadcast a dimension of length {size} at {-back}! Mismatching "
                                   f"argument at index {number} had {shape}; but expected shape should be "
                                   f"broadcastable to {result}")
    return layout.Size(result)


@export(".sum_to_size")
def sum_to_size(input, *size):
    """Undo a broadcast: the sum over every dimension that `size` doesn't have, or has as one."""
    size = sizes_of(size, "sum_to_size", "size")
    if not size:
        return input.sum()
    lead = input.ndim - len(size)
    if lead < 0 or any(s != 1 and s != mine for s, mine in zip(size, input.shape[lead:])):
        raise RuntimeError(f"size {{{list(size)}}} is not expandable to size {{{list(input.shape)}}}.")
    dims = tuple(range(lead)) + tuple(d + lead for d, s in enumerate(size) if s == 1 and input.shape[d + lead] != 1)
    if not dims:
        return input
    out = input.sum(dims, keepdim=True)
    return out.reshape(size) if lead else out
