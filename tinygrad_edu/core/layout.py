"""Shapes and strides: the integer arithmetic behind every view.

Nothing in this file knows what a tensor, a backend or a number is. Strides count elements, as torch's do.
"""
from __future__ import annotations

from . import dtypes, errors


class Size(tuple):
    """A shape: a tuple that prints as torch.Size([...])."""
    __slots__ = ()

    def __repr__(self):
        return f"torch.Size([{', '.join(map(repr, self))}])"

    def numel(self):
        return numel(self)

    def __getitem__(self, index):
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other):
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other):
        return Size(tuple(other) + tuple(self))

    def __mul__(self, times):
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self):
        return Size, (tuple(self),)


class Spec:
    """What a tensor is, apart from its numbers: dtype, shape, strides, backend, names of dimensions.

    Contiguous, unnamed specs are shared, so that "same type, same shape, same device" is one `is`.
    `fast` says that such a tensor may take an op's short path: nothing about it needs thought.
    """
    __slots__ = ("dtype", "shape", "strides", "backend", "names", "contiguous", "fast")

    def __init__(self, dtype, shape, strides, backend, names=None, contiguous=None, fast=False):
        self.dtype, self.shape, self.strides, self.backend, self.names = dtype, shape, strides, backend, names
        self.contiguous = is_contiguous(shape, strides) if contiguous is None else contiguous
        self.fast = fast


_shared = {}


def spec(dtype, shape, backend):
    """The shared spec of a fresh, contiguous, unnamed tensor."""
    key = (dtype, shape, backend)
    found = _shared.get(key)
    if found is None:
        if len(_shared) > 10_000:                   # programs that meet ever new shapes must not grow for ever
            _shared.clear()
        fast = backend.native and dtype in (dtypes.float32, dtypes.float64)
        found = _shared[key] = Spec(dtype, Size(shape), contiguous_strides(shape), backend, None, True, fast)
    return found


def numel(shape):
    count = 1
    for size in shape:
        count *= size
    return count


def contiguous_strides(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def is_contiguous(shape, strides):
    if 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def is_dense(shape, strides):
    """Whether every element has its own place, and the places leave no holes (a permutation of contiguous)."""
    if 0 in shape:
        return True
    expected = 1
    for stride, size in sorted([(stride, size) for size, stride in zip(shape, strides) if size != 1]):
        if stride != expected:
            return False
        expected *= size
    return True


def dense_strides(shape, strides):
    """Strides without holes for a copy that keeps the order of dimensions in memory.

    Source: infer_dense_strides in torch's ATen/ExpandUtils.cpp; its insertion sort leaves ambiguous pairs as they are.
    """
    order = list(range(len(shape)))[::-1]          # from the innermost outwards
    for i in range(1, len(order)):
        place = i
        for j in range(i - 1, -1, -1):
            a, b = order[j], order[place]
            if strides[a] == 0 or strides[b] == 0:
                continue
            if (strides[a], shape[a]) > (strides[b], shape[b]):
                order[j], order[place], place = b, a, j
            elif strides[a] < strides[b]:
                break
    out, step = [0] * len(shape), 1
    for d in order:
        out[d] = step
        step *= max(shape[d], 1)
    return tuple(out)


def overlaps(shape, strides):
    """Whether two elements may share one place (an expanded tensor, overlapping windows)."""
    if 0 in shape:
        return False
    reach = 0
    for stride, size in sorted([(stride, size) for size, stride in zip(shape, strides) if size != 1]):
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def extent(shape, strides, offset=0):
    """How many elements a storage must have for this view."""
    last = offset
    for size, stride in zip(shape, strides):
        if size == 0:
            return 0
        last += (size - 1) * stride
    return last + 1


def broadcast_shapes(a, b, pair=True):
    """The shape on which two operands agree; torch's error, with the shapes drawn if they are all, where they don't."""
    if a == b or not b or a[-len(b):] == b:
        return a
    out = []
    for back in range(1, max(len(a), len(b)) + 1):
        m = a[-back] if back <= len(a) else 1
        n = b[-back] if back <= len(b) else 1
        if m != n and m != 1 and n != 1:
            raise errors.broadcast(a, b, max(len(a), len(b)) - back, m, n, pair)
        out.append(n if m == 1 else m)
    return tuple(reversed(out))


def broadcast_strides(shape, strides, target):
    """Strides that walk `shape` as if it were `target`: a repeated dimension has stride 0."""
    lead = len(target) - len(shape)
    return (0,) * lead + tuple(0 if size == 1 and wide != 1 else stride
                               for size, stride, wide in zip(shape, strides, target[lead:]))


def normalize_dim(dim, ndim):
    """A dimension counted from the left, for one that may count from the right."""
    low, high = (-ndim, ndim - 1) if ndim else (-1, 0)
    if not low <= dim <= high:
        raise IndexError(f"Dimension out of range (expected to be in range of [{low}, {high}], but got {dim})")
    return dim % ndim if ndim else 0


def normalize_dims(dim, ndim):
    """Sorted dimensions for an int, a sequence of ints, or None (all of them)."""
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, int):
        return (normalize_dim(dim, ndim),) if ndim else (normalize_dim(dim, ndim),)[:0]
    dims = [normalize_dim(d, ndim) for d in dim]
    for i, d in enumerate(dims):
        if d in dims[:i]:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return tuple(sorted(dims)) if ndim else ()


class layout:
    """How a tensor's elements are found in memory: here always by strides, so there is one, `strided`."""

    def __new__(cls):
        raise TypeError("cannot create 'torch.layout' instances")

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return self.name


class memory_format(layout):
    """In what order a new tensor's dimensions lie in memory."""

    def __new__(cls):
        raise TypeError("cannot create 'torch.memory_format' instances")


strided, contiguous_format, preserve_format = (object.__new__(kind) for kind in (layout, memory_format, memory_format))
strided.name, contiguous_format.name, preserve_format.name = "strided", "contiguous_format", "preserve_format"


def infer_size(shape, count):
    """`shape` with its one -1 filled in, for `count` elements; torch's error where they don't fit."""
    shape = tuple(shape)
    known, unknown = 1, None
    for i, size in enumerate(shape):
        if size == -1:
            if unknown is not None:
                raise RuntimeError("only one dimension can be inferred")
            unknown = i
        elif size < 0:
            raise RuntimeError(f"invalid shape dimension {size} at index {i} of shape {list(shape)}")
        else:
            known *= size
    if unknown is not None:
        if known == 0 and count == 0:
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                               "unspecified dimension size -1 can be any value and is ambiguous")
        if known == 0 or count % known:
            raise errors.sizes(shape, count)
        return shape[:unknown] + (count // known,) + shape[unknown + 1:]
    if known != count:
        raise errors.sizes(shape, count)
    return shape


def view_strides(shape, strides, new):
    """Strides under which the same elements have the shape `new`, or None if only a copy can.

    Walks from the last dimension: a run of old dimensions that lie in one piece can be cut anew.
    """
    if strides == contiguous_strides(shape):
        return contiguous_strides(new)
    if not numel(shape):
        return tuple(strides) if tuple(shape) == tuple(new) else contiguous_strides(new)
    out = [0] * len(new)
    view_dim = len(new) - 1
    base, piece, viewed = (strides[-1] if strides else 1), 1, 1
    for dim in range(len(shape) - 1, -1, -1):
        piece *= shape[dim]
        if dim == 0 or (shape[dim - 1] != 1 and strides[dim - 1] != piece * base):
            while view_dim >= 0 and (viewed < piece or new[view_dim] == 1):
                out[view_dim] = viewed * base
                viewed *= new[view_dim]
                view_dim -= 1
            if viewed != piece:
                return None
            if dim > 0:
                base, piece, viewed = strides[dim - 1], 1, 1
    return tuple(out) if view_dim == -1 else None
