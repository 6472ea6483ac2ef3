"""The same elements again, or elsewhere: repeated, rolled, flipped.

What a copy between windows can do works on every backend; what needs negative strides has a program of its own.
"""
from __future__ import annotations

import itertools

import numpy as np

from ..core import dtypes
from ..core.export import export
from ..core.mode import mode, no_grad
from ..core.op import Op
from ..core.record import record
from ..core.tensor import Tensor, empty, from_host
from .expand import expand
from ..core.data import sizes_of
from .views import dim_of, flatten, no_names, reshape, unsqueeze


def _windows(x):
    """(window(shape, strides, offset) into x's memory)"""
    storage, spec = x._storage, x._spec
    return lambda shape, strides, offset: spec.backend.as_array(storage.buffer, shape, strides, x._offset + offset,
                                                                spec.dtype)


# ---- repeated
class Repeat(Op):
    """x side by side with itself, repeats[d] times along dimension d."""
    inputs, parameters = ("x",), ("repeats",)
    grad_x = lambda g, repeats, shape: repeat_backward(g, repeats, shape)


def repeat_backward(g, repeats, shape):
    shape = (1,) * (len(repeats) - len(shape)) + tuple(shape)
    split = [n for pair in zip(repeats, shape) for n in pair]
    return g.reshape(split).sum(tuple(range(0, len(split), 2))) if split else g


@export(".repeat")
def repeat(input, *repeats):
    """The tensor repeated that many times along each dimension; more repeats than dimensions make new ones in front."""
    repeats = sizes_of(repeats, "repeat", "repeats")
    no_names(input, "repeat")
    lead = len(repeats) - input.ndim
    if lead < 0:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = (1,) * lead + tuple(input.shape)
    target = [n * r for n, r in zip(shape, repeats)]
    if any(n < 0 for n in target):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(target)}: {target}")
    out = empty(target, input.dtype, input._spec.backend)
    if out.numel():
        strides = out._spec.strides
        wide = [n for pair in zip(repeats, shape) for n in pair]                        # (r0, n0, r1, n1, ...)
        steps = [s for n, stride in zip(shape, strides) for s in (n * stride, stride)]
        source = _windows(input)([n for m in shape for n in (1, m)],
                                 [0, 0] * lead + [s for stride in input._spec.strides for s in (0, stride)], 0)
        input._spec.backend.copy(_windows(out)(wide, steps, 0), source)
    if mode.grad:
        record(Repeat, (input,), {"repeats": repeats}, out)
    return out


@export("tile")
def tile(input, *dims):
    """`repeat`, with ones added in front where `dims` are fewer than the tensor's."""
    dims = sizes_of(dims, "tile", "dims")
    return repeat(input, (1,) * (input.ndim - len(dims)) + dims)


@export("repeat_interleave", out=False)
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each element (or slice along `dim`) repeated in place; without `dim`, of the flattened tensor.

    `repeats` is a number or a vector of numbers. `repeat_interleave(repeats)` alone gives the index of each repetition.
    """
    if repeats is None:
        return _repeated_indices(input)
    if dim is None:
        input, dim = reshape(input, -1) if input.ndim != 1 else input, 0
    dim = dim_of(input, dim)
    if isinstance(repeats, Tensor):
        if repeats.numel() == 1 and repeats.ndim <= 1:
            repeats = expand(reshape(repeats, 1), input.shape[dim])
        if repeats.ndim != 1:
            raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
        if repeats.shape[0] != input.shape[dim]:
            raise RuntimeError("repeats must have the same size as input along dim, but got repeats.size(0) = "
                               f"{repeats.shape[0]} and input.size({dim}) = {input.shape[dim]}")
        return input.index_select(dim, _repeated_indices(repeats))
    if repeats < 0:
        raise RuntimeError("Repeats must be non-negative")
    wide = unsqueeze(input, dim + 1)
    return flatten(expand(wide, wide.shape[:dim + 1] + (repeats,) + wide.shape[dim + 2:]).clone().contiguous(), dim,
                   dim + 1)


def _repeated_indices(repeats):
    if repeats.dtype not in (dtypes.int64, dtypes.int32):
        raise NotImplementedError(f"\"repeat_interleave_cpu\" not implemented for '{repeats.dtype.legacy_name}'")
    if repeats.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    counts = repeats._host()
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    return from_host(np.repeat(np.arange(len(counts)), counts), repeats.dtype, repeats._spec.backend)


# ---- rolled
class Roll(Op):
    """x with what leaves at one end coming in at the other."""
    inputs, parameters = ("x",), ("shifts", "dims")
    grad_x = lambda g, shifts, dims: g.roll([-s for s in shifts], dims)


@export("roll", out=False)
def roll(input, shifts, dims=None):
    """Elements shifted along dimensions (without dims: of all in a row); what leaves at the end comes in again."""
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = () if dims is None else (dims,) if isinstance(dims, (int, str)) else tuple(dims)
    if not shifts:
        raise RuntimeError("`shifts` required")
    if len(shifts) != len(dims) and (dims or len(shifts) > 1):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    no_names(input, "roll")
    dims = tuple([dim_of(input, d) for d in dims])
    out = empty(input.shape, input.dtype, input._spec.backend)
    if input.numel():
        with no_grad():
            _copy_rolled(*((input, out, dims) if dims else (reshape(input, -1), reshape(out, -1), (0,))), shifts)
    if mode.grad:
        record(Roll, (input,), {"shifts": shifts, "dims": dims}, out)
    return out


def _copy_rolled(x, out, dims, shifts):
    """Along each dimension two pieces change places: (where a piece begins in x, and in out, and its length)."""
    total = [sum([s for s, dim in zip(shifts, dims) if dim == d]) % n for d, n in enumerate(x.shape)]
    pieces = [[(0, s, n - s), (n - s, 0, s)] if s else [(0, 0, n)] for s, n in zip(total, x.shape)]
    source, target = _windows(x), _windows(out)
    for choice in itertools.product(*pieces):
        shape = [length for _, _, length in choice]
        start = sum([a * stride for (a, _, _), stride in zip(choice, x._spec.strides)])
        end = sum([b * stride for (_, b, _), stride in zip(choice, out._spec.strides)])
        x._spec.backend.copy(target(shape, out._spec.strides, end), source(shape, x._spec.strides, start))


# ---- flipped
class Flip(Op):
    """x read backwards along some dimensions."""
    cpu    = lambda x, *, dims: np.flip(x, dims).copy(order="K")
    cuda   = "arrange.flip"
    grad_x = lambda g, dims: g.flip(dims)


@export("flip", out=False)
def flip(input, *dims):
    """The elements in reverse order along each of `dims`."""
    if not dims or dims[0] is None:
        sizes_of(dims, "flip", "dims")             # torch's refusal
    dims = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    dims = tuple([dim_of(input, d) for d in dims])
    for i, d in enumerate(dims):
        if d in dims[:i]:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return Flip.call(input, dims=dims if input.ndim else ())


@export("fliplr", out=False)
def fliplr(input):
    """Each row in reverse order."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@export("flipud", out=False)
def flipud(input):
    """The rows in reverse order."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


class Rot90(Op):
    """x turned by k quarters in the plane of two dimensions."""
    def cpu(x, *, k, dims):
        if k == 2:
            return np.flip(x, dims).copy(order="K")
        if not k:
            return x.copy()
        return np.flip(x, dims[k == 1]).copy(order="K").swapaxes(*dims)
    cuda = "arrange.rot90"
    grad_x = lambda g, k, dims: g.rot90(-k, dims)


@export("rot90", out=False)
def rot90(input, k=1, dims=(0, 1)):
    """The plane of two dimensions turned by k quarters, from the first towards the second."""
    dims = tuple(dims)
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input.ndim:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    for place, d in enumerate(dims):
        if not -input.ndim <= d < input.ndim:
            raise RuntimeError(f"Rotation dim{place} out of range, dim{place} = {d}")
    return Rot90.call(input, k=k % 4, dims=tuple([d % input.ndim for d in dims]))
