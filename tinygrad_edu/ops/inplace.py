"""Writing into a tensor that may already be on the tape. The only file that knows how.

A write through a view is, to the tape, a new value of the view's base: base' = base with `new` written where the
view looks. Other views of the base take a fresh look at it (`refresh`) before they are used again. So an in-place
operation either gives a correct gradient or raises torch's error; never a silently wrong gradient.
"""
from __future__ import annotations

import functools
import warnings

from ..core import dtypes, errors, layout, leaf, names, tape
from ..core.data import fits
from ..core.export import export, inplace_twins
from ..core.mode import mode
from ..core.op import number_as
from ..core.record import fit
from ..core.saved import short_name
from ..core.tape import Node, Output, next_number
from ..core.tensor import Tensor, copy_of, edge_of, filled, from_host, from_storage, new, receiver, strided_spec
from . import views
from .create import sizes_of
from .named import rename
from .slices import AsStrided


# ---- refusals, before anything was changed
def check_writable(x, others=(), overlapping=False):
    """Raise where torch refuses to write into x; whether this write goes on the tape.

    `others` are the tensors that are read; `overlapping` allows several elements of x in one place.
    """
    if x._inference and not mode.inference:
        raise RuntimeError("Inplace update to inference tensor outside InferenceMode is not allowed.You can make a "
                           "clone to get a normal "
                           "tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more "
                           "details.")
    recording = mode.grad and (x.requires_grad or any([y.requires_grad for y in others]))
    if recording:
        if x._base is not None:
            if x._view_of is not None:
                raise refuse_view(x, "is being")
            if x.requires_grad and x._base.is_leaf:
                raise RuntimeError(errors.VIEW_OF_LEAF)
        if x.requires_grad and x.is_leaf:
            raise RuntimeError(errors.LEAF)
        for y in others:
            edge_of(y)                             # a view that can't take a fresh look at its base says so now
    if not overlapping and layout.overlaps(x._spec.shape, x._spec.strides):
        raise RuntimeError("unsupported operation: more than one element of the written-to tensor refers to a single "
                           "memory location. Please "
                           "clone() the tensor before performing the operation.")
    return recording


def refuse_view(x, changed):
    """torch's error for a view that was made where the tape could not follow it."""
    edge, made = x._edge, x._view_of
    node = edge.node if edge.__class__ is Output else edge
    output = node and f"Output {x.output_nr} of {short_name(node)} is a view"
    if made == "function":
        return RuntimeError(f"{output} and {changed} modified inplace. This view was created inside a custom Function (or because an input was "
                            "returned as-is) and the autograd logic to handle view+inplace would override the custom backward associated "
                            "with the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by "
                            "cloning the output of the custom Function.")
    if made == "multi" and node:
        text = f"{output} and {changed} modified inplace."
    else:
        where = "in normal mode" if made == "inference" else "with grad mode enabled"
        text = (f"{output} of a view which was" if node else "A view was") + (
            f" created in {'inference' if made == 'inference' else 'no_grad'} mode and {changed} modified inplace "
            f"{where}.")
    if made == "multi":
        return RuntimeError(f"{text} This view is the output of a function that returns multiple views. Such functions "
                            "do not allow the "
                            "output views to be modified inplace. You should replace the inplace operation by an "
                            "out-of-place one.")
    return RuntimeError(f"{text} Given that this use case is ambiguous and error-prone, it is forbidden. You can "
                        "clarify your code by "
                        "moving both the view and the inplace either both inside the "
                        f"{made}{'_mode' if made == 'inference' else ''} block "
                        "(if you don't want the inplace to be tracked) or both outside (if you want the inplace to be "
                        "tracked).")


def refuse_overlap(x, other, whole=False):
    """torch's error where `other`, which is read while x is written, shares a part of x's memory (or `whole`: any of it)."""
    if other is x and not whole or other is not x and (x._storage_ is None or other._storage_ is not x._storage_):
        return
    if not (x.numel() and other.numel() and is_dense(x) and is_dense(other)):
        return                                     # too hard to tell, torch says; our results never depend on it
    mine, others = (x._offset, x._offset + x.numel()), (other._offset, other._offset + other.numel())
    same = mine == others and x._spec.strides == other._spec.strides
    if mine[0] < others[1] and others[0] < mine[1] and (whole or not same):
        raise RuntimeError("unsupported operation: some elements of the input tensor and the written-to tensor refer "
                           "to a single memory "
                           "location. Please clone() the tensor before performing the operation.")


def is_dense(x):
    return layout.is_dense(x._spec.shape, x._spec.strides)


def check_result(x, result):
    """Whether the result fits into x."""
    if result.shape != x.shape:
        raise RuntimeError(f"output with shape {list(x.shape)} doesn't match the broadcast shape {list(result.shape)}")
    check_cast(result.dtype, x.dtype)
    if result._spec.names != x._spec.names:
        names.check_inplace(x._spec.names, result._spec.names)
        take_names(x, result)


def check_cast(dtype, wanted):
    if not dtypes.can_cast(dtype, wanted):
        raise RuntimeError(f"result type {dtype.legacy_name} can't be cast to the desired output type "
                           f"{wanted.legacy_name}")


def take_names(x, named):
    x._spec = strided_spec(x.dtype, x.shape, x._spec.strides, x._spec.backend, named._spec.names)


# ---- nodes
class CopySlices(Node):
    """base with `new` written through a view: what was there before gets no gradient from that place."""
    __slots__ = ("geometry", "source")

    def name(self):
        return "torch::autograd::CopySlices"

    def backward(self, g):
        g = g.contiguous()
        g_base = g_new = None
        if self.edges[1] is not None:
            g_new = fit(self.window(g).clone(), self.source)
        if self.edges[0] is not None:
            g_base = g.clone()
            self.window(g_base).zero_()
        return g_base, g_new

    def window(self, z):
        """Where the view looks, on a contiguous tensor of the base's shape."""
        size, stride, offset = self.geometry
        return z.as_strided(size, stride, z.storage_offset() + offset)


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
        node.geometry, node.source = in_contiguous(x, base), source
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
        node, nr = (old.node, old.nr) if old.__class__ is Output else (old, 0)
        keep = node.watch().retain.pop(nr, None)
        if keep is not None:
            edge.watch().retain[0] = keep


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


def in_contiguous(x, base):
    """The view's (shape, strides, offset) in a contiguous tensor of the base's shape."""
    spec, own = x._spec, base._spec
    offset = x._offset - base._offset
    if own.contiguous:
        return spec.shape, spec.strides, offset
    target = layout.contiguous_strides(own.shape)
    order = sorted([d for d, size in enumerate(own.shape) if size != 1], key=lambda d: -own.strides[d])

    def translated(steps):
        total = 0
        for d in order:
            index, steps = divmod(steps, own.strides[d])
            total += index * target[d]
        return total
    return spec.shape, tuple([translated(stride) for stride in spec.strides]), translated(offset)


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
    shape = layout.broadcast_shapes(tuple(input.shape), tuple(src.shape))
    if shape != input.shape:
        raise RuntimeError(f"output with shape {list(input.shape)} doesn't match the broadcast shape {list(shape)}")
    refuse_overlap(input, src)
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
                        "expected one of:\n"
                        " * (Tensor value)\n * (Number value)")
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
    """x's elements become a number, or those of an array: constants, which send no gradient anywhere. Also for random numbers."""
    recording = check_writable(x, (), overlapping)
    if isinstance(value, (bool, int, float)) or not getattr(value, "ndim", 1):
        x._spec.backend.fill(x._array, number_as(value, x.dtype))
        x._storage.version += 1
    else:
        overwrite(x, value)
    if recording:
        put_on_tape(x, None, name=name)
    return x


# ---- in-place twins of ops
NO_SHARING = {"index_put_", "_index_put_", "index_add_", "index_copy_", "scatter_", "scatter_add_",
              "scatter_reduce_", "put_", "index_fill_"}


def tensors_in(args):
    """Tensors among arguments, also inside tuples of them."""
    for a in args:
        if isinstance(a, Tensor):
            yield a
        elif isinstance(a, (tuple, list)):
            yield from tensors_in(a)


def snapshot(x):
    """x's value now, in memory of its own, at x's place on the tape: what an in-place op's formula may need later."""
    out = copy_of(x)
    if x._spec.names is not None:
        take_names(out, x)
    out._edge = receiver(x)
    return out


def in_place(function, name):
    """The twin `name_` of an op or a function: the same value, written into the first argument."""
    operator = name.startswith("__")

    def method(self, *args, **kwargs):
        others = list(tensors_in((*args, *kwargs.values())))
        recording = check_writable(self, others)
        for other in others:
            refuse_overlap(self, other, name in NO_SHARING)
        old = snapshot(self) if recording else self
        result = function(old, *args, **kwargs)
        if result is NotImplemented:
            if operator:
                return result
            raise TypeError(f"{name}(): argument 'other' (position 1) must be Tensor, not {type(args[0]).__name__}")
        check_result(self, result)
        if result is old:
            return self
        overwrite(self, result._array)
        if recording and self.is_floating_point():
            edge = receiver(result)
            adopt_output(self, result, edge)
            put_on_tape(self, edge, result._spec)
        return self
    method.__name__ = name
    method.__doc__ = f"In-place version of `{name.strip('_') if operator else name[:-1]}`."
    return method


def adopt_output(x, result, edge):
    """A node that saved the result as its output looks at x's memory from now on, so that later writes are noticed."""
    out = getattr(edge, "out", None)
    if isinstance(edge, Node) and out.__class__ is tuple and out[0] is result._array and result.dtype is x.dtype:
        edge.out, edge.out_storage, edge.out_version = (x._array, x._spec), x._storage, x._storage.version


def attach_twins():
    """Make `name_` for every op and function that was exported with inplace=True, and `__iadd__` and its like."""
    for name, function in inplace_twins.items():
        twin = f"__i{name[2:]}" if name.startswith("__") else name + "_"
        setattr(Tensor, twin, in_place(function, twin))


# ---- out=
def write_out(out, made, name, args=()):
    """`out=`: the result written into a given tensor, which is resized where its shape differs."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if mode.grad and (out.requires_grad or made.requires_grad):
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic differentiation, but "
                           "one of the arguments "
                           "requires grad.")
    check_writable(out)
    for x in tensors_in(args):
        refuse_overlap(out, x)
    check_cast(made.dtype, out.dtype)
    if out.device != made.device:
        raise errors.devices(str(made.device), str(out.device))
    if out.shape != made.shape:
        if out.numel():
            warnings.warn(f"An output with one or more elements was resized since it had shape {list(out.shape)}, "
                          "which does not match the "
                          f"required output shape {list(made.shape)}. This behavior is deprecated, and in a future "
                          "PyTorch release outputs will "
                          "not be resized unless they have zero elements. You can explicitly reuse an out tensor t by "
                          "resizing it, inplace, to "
                          "zero elements with t.resize_(0).", UserWarning, stacklevel=3)
        resize_(out, made.shape)
    overwrite(out, made._array)
    return out


Tensor._write_out = staticmethod(write_out)
Tensor._in_place = staticmethod(in_place)            # for functions with `inplace=`, which stand to the left


# ---- the same tensor, looking at memory another way
@export(".set_")
def set_(input, source):
    """Look at another tensor's memory from now on."""
    input.data = source
    return input


@export(".resize_")
def resize_(input, *sizes, memory_format=None):
    """Another shape over the same storage, which grows where needed (its new elements are uninitialised).

    Tensors that shared the storage before it grew keep looking at the old memory.
    """
    if input.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = sizes_of(sizes)
    storage, backend, dtype = input._storage, input._spec.backend, input.dtype
    need, have = layout.numel(shape) + input._offset, len(storage.buffer)
    if need > have:
        grown = backend.empty(need, dtype)
        backend.copy(backend.as_array(grown, (have,), (1,), 0, dtype),
                     backend.as_array(storage.buffer, (have,), (1,), 0, dtype))
        storage.buffer = grown
    fresh = from_storage(storage, shape, layout.contiguous_strides(shape), input._offset, dtype)
    input._array, input._spec = fresh._array, fresh._spec
    return input


TWIN_NODES = {"UnsqueezeBackward0": "UnsqueezeBackward1", "SqueezeBackward0": "SqueezeBackward3",
              "SqueezeBackward1": "SqueezeBackward4",
              "SqueezeBackward2": "SqueezeBackward5", "TBackward0": "TBackward1",
              "TransposeBackward0": "TransposeBackward1"}


def _geometry_twin(name, view):
    """unsqueeze_, t_ and their like: the same tensor looks at its storage another way."""
    def method(self, *args, **kwargs):
        recording = check_writable(self, (), overlapping=True)
        made = view(self, *args, **kwargs)
        edge = made._edge
        plain = self._base is None and made._spec.contiguous and made._spec.names is None
        self._array, self._offset = made._array, made._offset
        self._spec = layout.spec(made.dtype, made.shape, made._spec.backend) if plain else made._spec
        self._storage.version += 1
        if recording:
            edge.__class__ = twin_node(type(edge))
            move_edge(self, edge)
            self._edge_version = self._storage.version
        return self
    method.__name__, method.__doc__ = name, f"In-place version of `{name[:-1]}`."
    export(f".{name}")(method)


@functools.cache
def twin_node(kind):
    """The node class of a view under the name that torch gives it in place."""
    return type(TWIN_NODES[kind.__name__], (kind,), {"__slots__": ()})


for _name in ("unsqueeze", "squeeze", "t", "transpose", "swapaxes", "swapdims"):
    _geometry_twin(_name + "_", getattr(views, _name, views.transpose))


@export(".rename_")
def rename_(input, *args, **kwargs):
    """Other names of dimensions, in place."""
    take_names(input, rename(input, *args, **kwargs))
    return input
