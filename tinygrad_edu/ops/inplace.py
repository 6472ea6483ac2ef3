"""Writing into a tensor that may already be on the tape. The only file that knows how.

A write through a view is, to the tape, a new value of the view's base: base' = base with `new` written where the
view looks. Other views of the base take a fresh look at it (`refresh`) before they are used again. So an in-place
operation either gives a correct gradient or raises torch's error; never a silently wrong gradient.
"""
from __future__ import annotations

import functools

from ..core import dtypes, errors, layout, leaf, names, tape
from ..core.data import fits
from ..core.export import export
from ..core.mode import mode
from ..core.op import number_as
from ..core.record import fit
from ..core.saved import short_name
from ..core.tape import Node, Output, next_number, output_of
from ..core.tensor import Tensor, copy_of, edge_of, filled, from_host, new, receiver, strided_spec
from .slices import AsStrided


# ---- refusals, before anything was changed
def check_writable(x, others=(), overlapping=False):
    """Raise where torch refuses to write into x; whether this write goes on the tape.

    `others` are the tensors that are read; `overlapping` allows several elements of x in one place.
    """
    if x._inference and not mode.inference:
        raise RuntimeError("Inplace update to inference tensor outside InferenceMode is not allowed.You can make a "
                           "clone to get a normal tensor before doing inplace update.See "
                           "https://github.com/pytorch/rfcs/pull/17 for more details.")
    recording = mode.grad and (x.requires_grad or any([y.requires_grad for y in others]))
    if recording:
        if x._base is not None:
            check_view(x)
        if x.requires_grad and x.is_leaf:
            raise RuntimeError(errors.LEAF)
        for y in others:
            edge_of(y)                             # a view that can't take a fresh look at its base says so now
    if not overlapping and layout.overlaps(x._spec.shape, x._spec.strides):
        raise RuntimeError(errors.OVERLAPPING)
    return recording


def check_view(x):
    """Raise where torch refuses a recorded write into the view x."""
    if x._view_of is not None:
        raise refuse_view(x, "is being")
    if x.requires_grad and x._base.is_leaf:
        raise RuntimeError(errors.VIEW_OF_LEAF)


Tensor._check_view = check_view                    # for Functions that modify an input


def refuse_view(x, changed):
    """torch's error for a view that was made where the tape could not follow it."""
    edge, made = x._edge, x._view_of
    node = edge.node if edge.__class__ is Output else edge
    output = node and f"Output {x.output_nr} of {short_name(node)} is a view"
    if node and made in ("multi", "function"):
        text = f"{output} and {changed} modified inplace."
    else:
        text = (f"{output} of a view which was" if node else "A view was") + (
            f" created in inference mode and {changed} modified inplace in normal mode." if made == "inference" else
            f" created in no_grad mode and {changed} modified inplace with grad mode enabled.")
    return RuntimeError(f"{text} {ADVICE[made]}")


AMBIGUOUS = ("Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by "
             "moving both the view and the inplace either both inside the {} block (if you don't want the inplace to "
             "be tracked) or both outside (if you want the inplace to be tracked).")
ADVICE = {
    "multi": "This view is the output of a function that returns multiple views. Such functions do not allow the "
             "output views to be modified inplace. You should replace the inplace operation by an out-of-place one.",
    "function": "This view was created inside a custom Function (or because an input was returned as-is) and the "
                "autograd logic to handle view+inplace would override the custom backward associated with the custom "
                "Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by cloning the "
                "output of the custom Function.",
    "no_grad": AMBIGUOUS.format("no_grad"), "inference": AMBIGUOUS.format("inference_mode"),
}


def refuse_overlap(x, other, whole=False):
    """torch's error where `other`, read while x is written, shares a part of its memory (`whole`: any of it)."""
    if other is x and not whole or other is not x and (x._storage_ is None or other._storage_ is not x._storage_):
        return
    if not (x.numel() and other.numel() and is_dense(x) and is_dense(other)):
        return                                     # too hard to tell, torch says; our results never depend on it
    mine, others = (x._offset, x._offset + x.numel()), (other._offset, other._offset + other.numel())
    same = mine == others and x._spec.strides == other._spec.strides
    if mine[0] < others[1] and others[0] < mine[1] and (whole or not same):
        raise RuntimeError("unsupported operation: some elements of the input tensor and the written-to tensor refer "
                           "to a single memory location. Please clone() the tensor before performing the operation.")


def is_dense(x):
    return layout.is_dense(x._spec.shape, x._spec.strides)


def check_result(x, result):
    """Whether the result fits into x."""
    if result.shape != x.shape:
        raise RuntimeError(f"output with shape {list(x.shape)} doesn't match the broadcast shape {list(result.shape)}")
    check_cast(result.dtype, x.dtype)
    if result._spec.names != x._spec.names:
        take_names(x, names_after(x, result._spec.names))


def check_cast(dtype, wanted):
    if not dtypes.can_cast(dtype, wanted):
        raise RuntimeError(f"result type {dtype.legacy_name} can't be cast to the desired output type "
                           f"{wanted.legacy_name}")


def names_after(x, result):
    """The names that x has after a result with these names (or None) was written into it; torch's refusal."""
    names.check_inplace(x._spec.names, result)
    return names.tidy(result)


def take_names(x, found):
    x._spec = strided_spec(x.dtype, x.shape, x._spec.strides, x._spec.backend, found)


# ---- nodes
class CopySlices(Node):
    """base with `new` written through a view: what was there before gets no gradient from that place."""
    __slots__ = ("base", "geometry", "source")

    def name(self):
        return "torch::autograd::CopySlices"

    def backward(self, g):
        z = self.laid_out(g)
        window = z.as_strided(*self.geometry)
        g_new = fit(window.clone(), self.source) if self.edges[1] is not None else None
        if self.edges[0] is None:
            return None, g_new
        window.zero_()
        return z, g_new

    def laid_out(self, g):
        """A copy of g in the base's own layout, where the view's integers count."""
        shape, strides = self.base.shape, self.base.strides
        if self.base.contiguous:
            return g.contiguous().clone()
        z = filled((layout.extent(shape, strides),), 0, g.dtype, g._spec.backend).as_strided(shape, strides)
        return z.copy_(g)


class Overwritten(Node):
    """All of a tensor overwritten: the old value gets zeros, the new one everything (edges: old, new)."""
    __slots__ = ("spec", "source")

    def name(self):
        return f"{'torch::autograd::' if type(self).__name__ == 'CopyBackwards' else ''}{type(self).__name__}"

    def backward(self, g):
        spec = self.spec
        return (filled(spec.shape, 0, spec.dtype, spec.backend) if self.edges[0] is not None else None,
                fit(g, self.source) if self.edges[1] is not None else None)


@functools.cache
def overwritten(name):
    """The node class under torch's name: CopyBackwards, FillBackward2, ZeroBackward0 ..."""
    return type(name, (Overwritten,), {"__slots__": ()})


def make(kind, edges):
    node = new(kind)
    node.edges, node.number = edges, next_number()
    if tape.anomaly:
        node.trace = tape.forward_trace()
    return node


# ---- the tape after a write
def put_on_tape(x, edge, source=None, name=None):
    """x's memory holds a new value, whose gradient goes to `edge` (None: nowhere), where a tensor of spec `source` was.

    `name`: of the node, where that is no op's own.
    """
    base = x._base
    if base is not None:
        node = make(CopySlices, (receiver(base), edge))
        node.base, node.source = base._spec, source
        node.geometry = x._spec.shape, x._spec.strides, x._offset - base._offset
        move_edge(base, node)
        x._edge_version = -1
        refresh(x)
    elif name is None:
        move_edge(x, edge)
    else:
        node = make(overwritten(name), (receiver(x), edge))
        node.spec, node.source = x._spec, source
        move_edge(x, node)


def move_edge(x, edge):
    """x's gradient is sent elsewhere from now on; `retain_grad` goes with the tensor, hooks stay with the old value."""
    old = x._edge
    x._edge, x._requires_grad = edge, False
    if x._retains and old is not None:
        node, nr = output_of(old)
        keep = node.watch().retain.pop(nr, None)
        if keep is not None:
            node, nr = output_of(edge)
            node.watch().retain[nr] = keep


def refresh(x):
    """Bring a view's place on the tape up to date after its storage was written."""
    base = x._base
    if x._edge is None and not base.requires_grad:
        return
    if x._view_of is not None:
        raise refuse_view(x, "its base or another view of its base has been")
    node, spec = make(AsStrided.node, (receiver(base),)), x._spec
    node.params = {"geometry": (spec.shape, spec.strides, x._offset), "own": (base._spec.strides, base._offset)}
    node.specs, node.out = (base._spec,), None
    x._edge, x._edge_version = node, x._storage_.version


leaf.refresh = refresh
Tensor._put_on_tape = put_on_tape


def overwrite(x, array):
    """The write itself: cast and broadcast by the backend, counted by the storage."""
    x._spec.backend.copy(x._array, array)
    x._storage.version += 1


# ---- overwriting all of it
@export(".copy_")
def copy_(input, src, non_blocking=False):
    """Overwrite this tensor with `src` (broadcast, cast, from any device)."""
    if isinstance(src, (bool, int, float)):
        src = filled((), src, input.dtype, input._spec.backend)
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    recording = check_writable(input, (src,))
    named = input._spec.names
    if named != src._spec.names:
        named = names_after(input, names.unify(input.names, src.names))
    shape = layout.broadcast_shapes(tuple(input.shape), tuple(src.shape))
    if shape != input.shape:
        raise RuntimeError(f"output with shape {list(input.shape)} doesn't match the broadcast shape {list(shape)}")
    refuse_overlap(input, src)
    if named is not None and input._spec.names is None:
        take_names(input, named)
    edge = receiver(src) if recording else None    # before the write: src may be a view of the same memory
    overwrite(input, source_array(input, src))
    if recording and input.is_floating_point():
        put_on_tape(input, edge, src._spec, "CopyBackwards")
    return input


def source_array(x, source):
    """The numbers of `source` on x's backend, in memory that writing to x doesn't change."""
    backend = x._spec.backend
    if source._spec.backend is not backend:
        return from_host(source._host(), x.dtype, backend)._array
    return copy_of(source)._array if source._storage_ is not None and source._storage_ is x._storage_ else source._array


@export(".fill_")
def fill_(input, value):
    """Every element becomes `value` (a number or a 0-d tensor)."""
    if isinstance(value, Tensor):
        return _fill_with_tensor(input, value)
    if not isinstance(value, (bool, int, float)):
        raise TypeError(f"fill_() received an invalid combination of arguments - got ({type(value).__name__}), but "
                        "expected one of:\n * (Tensor value)\n * (Number value)")
    return refill(input, fits(value, input.dtype), "FillBackward2")


def _fill_with_tensor(x, value):
    if value.ndim:
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    recording = check_writable(x, (value,))
    edge = receiver(value) if recording else None
    overwrite(x, source_array(x, value))
    if recording and x.is_floating_point():
        put_on_tape(x, edge, value._spec, "FillBackward3")
    return x


@export(".zero_")
def zero_(input):
    """Every element becomes 0."""
    return refill(input, 0, "ZeroBackward0")


def refill(x, value, name, overlapping=True):
    """x's elements become a number, or those of an array: constants, which send no gradient anywhere."""
    recording = check_writable(x, (), overlapping)
    if isinstance(value, (bool, int, float)) or x._spec.backend.native and not getattr(value, "ndim", 1):
        x._spec.backend.fill(x._array, number_as(value, x.dtype))
        x._storage.version += 1
    else:
        overwrite(x, value)
    if recording:
        put_on_tape(x, None, name=name)
    return x
