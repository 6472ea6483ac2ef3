"""Writing into a tensor that may already be on the tape. The only file that knows how.

A write through a view is, to the tape, a new value of the view's base: base' = base with `new` written where the
view looks. Other views of the base take a fresh look at it (`refresh`) before they are used again. So an in-place
operation either gives a correct gradient or raises torch's error; never a silently wrong gradient.
"""
from __future__ import annotations

from ..core import dtypes, errors, layout, leaf, tape
from ..core.export import export, inplace_twins
from ..core.op import number_as
from ..core.mode import mode
from ..core.tape import Node, next_number
from ..core.tensor import Tensor, copy_of, edge_of, empty, filled, from_storage, new, receiver
from .convert import convert
from .named import rename
from .slices import AsStrided


class CopySlices(Node):
    """base with `new` written through a view: what was there before gets no gradient from that place."""
    __slots__ = ("base_spec", "geometry", "new_spec")

    def backward(self, g):
        g = g.contiguous()
        g_new = self.window(g).clone() if self.edges[1] is not None else None
        g_base = None
        if self.edges[0] is not None:
            g_base = g.clone()
            self.window(g_base).zero_()
        return g_base, g_new

    def window(self, z):
        """Where the view looks, on any tensor of the base's shape that is contiguous."""
        size, stride, offset = self.geometry
        return z.as_strided(size, stride, z.storage_offset() + offset)


class CopyBackwards(Node):
    """All of a tensor overwritten: the old value gets zeros, the new one everything."""
    __slots__ = ("specs",)

    def backward(self, g):
        old, source = self.specs
        return (filled(old.shape, 0, old.dtype, old.backend) if self.edges[0] is not None else None,
                g if self.edges[1] is not None else None)


def check_writable(x, recording):
    """torch's refusals, before anything was changed."""
    if x._inference and not mode.inference:
        raise RuntimeError("Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal "
                           "tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details.")
    if layout.overlaps(x._spec.shape, x._spec.strides):
        raise RuntimeError("unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please "
                           "clone() the tensor before performing the operation.")
    if not mode.grad:
        return
    base = x if x._base is None else x._base
    if x._base is not None and (recording or x.requires_grad or base.requires_grad):
        if x._view_of is not None and (recording or edge_of_quietly(x) is not None):
            raise refuse_view(x, "is being modified inplace", indirect=False)
        if base._requires_grad and base._edge is None:
            raise RuntimeError(errors.VIEW_OF_LEAF)
    if x._requires_grad and x._edge is None:
        raise RuntimeError(errors.LEAF)


def edge_of_quietly(x):
    return x._edge


def refuse_view(x, what, indirect):
    made, *rest = x._view_of.split()
    if made == "multi":
        kind, nr = rest
        return RuntimeError(f"Output {nr} of {kind} is a view and {what}. This view is the output of a function that returns multiple views. "
                            "Such functions do not allow the output views to be modified inplace. You should replace the inplace operation by "
                            "an out-of-place one.")
    where = "in no_grad mode" if made == "no_grad" else "inside inference mode"
    name = "A view was created" if not indirect else "A view was created"
    return RuntimeError(f"{name} {where} and {what} with grad mode enabled. Given that this use case is ambiguous and error-prone, it is "
                        "forbidden. You can clarify your code by moving both the view and the inplace either both inside the no_grad block (if "
                        "you don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked).")


def refresh(x):
    """Bring a view's place on the tape up to date after its storage was written through someone else."""
    base, version = x._base, x._storage_.version
    if base._edge is None and not base._requires_grad:
        if x._edge is None or not mode.grad:
            x._edge_version = version
            return
    if receiver(base) is None:
        x._edge_version = version
        return
    if x._edge is None and x._view_of is None and not base.requires_grad:
        x._edge_version = version
        return
    if x._view_of is not None:
        if x._view_of == "no_grad" or x._view_of == "inference":
            if x._edge is None:
                x._edge_version = version
                return
        raise refuse_view(x, "its base or another view of its base has been modified inplace", indirect=True)
    node = new(AsStrided.node)
    node.edges, node.number = (receiver(base),), next_number()
    spec = x._spec
    node.params = {"geometry": (spec.shape, spec.strides, x._offset), "own": (base._spec.strides, base._offset)}
    node.specs, node.out = (base._spec,), None
    x._edge, x._edge_version = node, version


leaf.refresh = refresh


def put_on_tape(x, old_edge, source_edge, source):
    """x's memory now holds `source`; say so on the tape. `source_edge` may be None: a constant was written."""
    base = x._base
    if base is None:
        if source_edge is not None and source is not None and source_edge is not source:
            x._edge = source_edge
        else:
            node = new(CopyBackwards)
            node.edges, node.number = (old_edge, source_edge), next_number()
            node.specs = (x._spec, x._spec)
            x._edge = node
        x._requires_grad = False
        return
    node = new(CopySlices)
    node.edges, node.number = (receiver(base), source_edge), next_number()
    node.base_spec, node.new_spec = base._spec, x._spec
    node.geometry = _in_contiguous(x, base)
    if tape.anomaly:
        node.trace = tape.forward_trace()
    base._edge, base._requires_grad = node, False
    base._edge_version = x._storage_.version
    x._edge_version = -1
    refresh(x)


def _in_contiguous(x, base):
    """The view's (shape, strides, offset) in a contiguous tensor of the base's shape."""
    spec, own = x._spec, base._spec
    offset = x._offset - base._offset
    if own.contiguous:
        return spec.shape, spec.strides, offset
    target = layout.contiguous_strides(own.shape)
    order = sorted((d for d in range(len(own.shape)) if own.shape[d] != 1), key=lambda d: -own.strides[d])
    place, rest = 0, offset
    for d in order:
        index, rest = divmod(rest, own.strides[d])
        place += index * target[d]
    strides = []
    for stride in spec.strides:
        total, rest = 0, stride
        for d in order:
            index, rest = divmod(rest, own.strides[d])
            total += index * target[d]
        strides.append(total)
    return spec.shape, tuple(strides), place


def write(x, source, recording_edge="ask"):
    """x's elements become those of `source` (same shape, any dtype), on the tape too."""
    source_edge = receiver(source) if recording_edge == "ask" else recording_edge
    old_edge = receiver(x)
    recording = mode.grad and x._spec.dtype.category == dtypes.FLOATING and (old_edge is not None or source_edge is not None)
    x._spec.backend.copy(x._array, source._array)
    storage = x._storage
    storage.version += 1
    if recording:
        put_on_tape(x, old_edge, source_edge, source)
    elif x._base is not None and old_edge is not None:
        x._edge_version = storage.version
    return recording


@export(".copy_")
def copy_(input, src, non_blocking=False):
    """Overwrite this tensor with `src` (broadcast, cast, from any device)."""
    if not isinstance(src, Tensor):
        if isinstance(src, (bool, int, float)):
            src = filled((), src, input.dtype, input._spec.backend)
        else:
            raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    recording = mode.grad and (src.requires_grad or input.requires_grad)
    check_writable(input, recording)
    shape = layout.broadcast_shapes(input.shape, src.shape)
    if shape != input.shape:
        raise RuntimeError(f"The expanded size of the tensor ({input.shape[-1] if input.ndim else 1}) must match the existing size "
                           f"({src.shape[-1]}) at non-singleton dimension {src.ndim - 1}.  Target sizes: {list(input.shape)}.  "
                           f"Tensor sizes: {list(src.shape)}") if src.ndim <= input.ndim else RuntimeError(
                               f"output with shape {list(input.shape)} doesn't match the broadcast shape {list(shape)}")
    if src._storage is input._storage:
        src = src.clone()
    src = convert(src, input.dtype, input._spec.backend)
    if src.shape != input.shape:
        src = src.expand(input.shape)
    old_edge, source_edge = receiver(input), receiver(src)
    input._spec.backend.copy(input._array, src._array)
    input._storage.version += 1
    if mode.grad and input._spec.dtype.category == dtypes.FLOATING and (old_edge is not None or source_edge is not None):
        if input._base is None:
            node = new(CopyBackwards)
            node.edges, node.number, node.specs = (old_edge, source_edge), next_number(), (input._spec, src._spec)
            input._edge, input._requires_grad = node, False
        else:
            put_on_tape(input, old_edge, source_edge, src)
    return input


def fill_(input, value):
    """Every element becomes `value` (a number or a 0-d tensor)."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
        return copy_(input, value)
    check_writable(input, mode.grad and input.requires_grad)
    old_edge = receiver(input)
    input._spec.backend.fill(input._array, number_as(value, input.dtype))
    input._storage.version += 1
    if mode.grad and old_edge is not None:
        put_on_tape(input, old_edge, None, None)
    return input


export(".fill_")(fill_)


@export(".zero_")
def zero_(input):
    """Every element becomes 0."""
    return fill_(input, 0)


def snapshot(x):
    """x's values now, in memory of their own, at x's place on the tape: what an in-place op's formula may need later."""
    out = copy_of(x)
    if x._spec.names is not None:
        out._spec = x._spec
    out._edge = receiver(x)
    if out._edge is x:                             # a leaf; in grad mode that was refused before
        out._edge = None
    return out


def in_place(function, name):
    """The twin `name_` of an op or a function: the same value, written into the first argument."""
    def method(self, *args, **kwargs):
        others = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        recording = mode.grad and (self.requires_grad or any(a.requires_grad for a in others))
        check_writable(self, recording)
        old = snapshot(self) if recording else self
        result = function(old, *args, **kwargs)
        if result is NotImplemented:
            raise TypeError(f"{name}(): argument 'other' (position 1) must be Tensor, not {type(args[0]).__name__}")
        check_result(self, result, name)
        if not recording:
            self._spec.backend.copy(self._array, result._array)
            self._storage.version += 1
            if self._base is not None and self._edge is not None:
                edge_of(self)
            return self
        if result is old:
            return self
        node = result._edge
        if result.dtype is not self.dtype:
            result = convert(result, self.dtype, self._spec.backend)
        old_edge = receiver(self)
        self._spec.backend.copy(self._array, result._array)
        storage = self._storage
        storage.version += 1
        if self._spec.dtype.category == dtypes.FLOATING and (old_edge is not None or result.requires_grad):
            put_on_tape(self, old_edge, receiver(result), result)
        if node is not None and getattr(node, "out", None) is not None and node.out.__class__ is tuple:
            node.out = self._array, self._spec     # the saved output is this memory from now on
            node.out_storage, node.out_version = storage, storage.version
        return self
    method.__name__ = name
    method.__doc__ = f"In-place version of `{name[:-1]}`."
    return method


def check_result(x, result, name):
    """Before anything is changed: the result must fit into x."""
    if not dtypes.can_cast(result.dtype, x.dtype):
        raise RuntimeError(f"result type {result.dtype.legacy_name} can't be cast to the desired output type {x.dtype.legacy_name}")
    if result.shape != x.shape:
        raise RuntimeError(f"output with shape {list(x.shape)} doesn't match the broadcast shape {list(result.shape)}")
    if result._spec.names != x._spec.names:
        from ..core import names
        names.check_inplace(x._spec.names, result._spec.names)


def write_out(out, made, name):
    """`out=`: the result written into a given tensor, resized where it is empty."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if mode.grad and (out.requires_grad or made.requires_grad):
        raise RuntimeError("functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.")
    if not dtypes.can_cast(made.dtype, out.dtype):
        raise RuntimeError(f"result type {made.dtype.legacy_name} can't be cast to the desired output type {out.dtype.legacy_name}")
    if out.device != made.device:
        raise errors.devices(str(made.device), str(out.device))
    if out.shape != made.shape:
        if out.numel():
            import warnings
            warnings.warn(f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does not match the "
                          f"required output shape {list(made.shape)}. This behavior is deprecated, and in a future PyTorch release outputs will "
                          "not be resized unless they have zero elements. You can explicitly reuse an out tensor t by resizing it, inplace, to "
                          "zero elements with t.resize_(0).", UserWarning, stacklevel=3)
        fresh = empty(made.shape, out.dtype, out._spec.backend)
        out._array, out._spec, out._storage_, out._offset = fresh._array, fresh._spec, fresh._storage, 0
    out._spec.backend.copy(out._array, made._array)
    out._storage.version += 1
    return out


Tensor._write_out = staticmethod(write_out)


@export(".set_")
def set_(input, source):
    """Look at another tensor's memory from now on."""
    input.data = source
    return input


@export(".resize_")
def resize_(input, *sizes, memory_format=None):
    """Another shape over the same storage, which grows where needed (its new elements are uninitialised)."""
    from .create import sizes_of
    if input.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = sizes_of(sizes)
    storage, need = input._storage, layout.numel(shape) + input._offset
    if need > len(storage.buffer):
        backend = input._spec.backend
        grown = empty((need,), input.dtype, backend)
        have = len(storage.buffer)
        backend.copy(backend.as_array(grown._storage.buffer, (have,), (1,), 0, input.dtype),
                     backend.as_array(storage.buffer, (have,), (1,), 0, input.dtype))
        storage.buffer = grown._storage.buffer
    fresh = from_storage(storage, shape, layout.contiguous_strides(shape), input._offset, input.dtype)
    input._array, input._spec = fresh._array, fresh._spec
    return input


def _geometry_twin(name, view):
    """unsqueeze_, t_ and their like: the same tensor looks at its storage another way."""
    def method(self, *args, **kwargs):
        if self._requires_grad and self._edge is None and mode.grad:
            raise RuntimeError(errors.LEAF)
        if self._base is not None and mode.grad and self.requires_grad:
            made = view(self, *args, **kwargs)
            self._edge = made._edge
            self._array, self._spec, self._offset = made._array, made._spec, made._offset
            return self
        made = view(self, *args, **kwargs)
        edge = made._edge
        self._array, self._offset = made._array, made._offset
        contiguous = made._spec.contiguous and made._spec.names is None
        self._spec = layout.spec(made.dtype, made.shape, made._spec.backend) if contiguous and self._base is None else made._spec
        if edge is not None:
            self._edge = edge
        return self
    method.__name__, method.__doc__ = name, f"In-place version of `{name[:-1]}`."
    export(f".{name}")(method)


def attach_twins():
    """Make `name_` for every op and function that was exported with inplace=True, and `__iadd__` and its like."""
    from . import views
    for name in ("unsqueeze", "squeeze", "t", "transpose", "swapaxes", "swapdims"):
        _geometry_twin(name + "_", getattr(views, name) if hasattr(views, name) else views.transpose)
    for name, function in inplace_twins.items():
        if name.startswith("__"):
            method = in_place(function, "__i" + name[2:])
            setattr(Tensor, "__i" + name[2:], method)
        else:
            setattr(Tensor, name + "_", in_place(function, name + "_"))


@export(".rename_")
def rename_(input, *args, **kwargs):
    """Other names of dimensions, in place."""
    made = rename(input, *args, **kwargs)
    input._spec = made._spec
    return input

