"""The in-place twins of ops (`mul_`, `+=`), `out=`, and what changes a tensor's look at its memory (`t_`, `resize_`).

Each computes its value as the op does and leaves the writing, the tape and the refusals to inplace.py.
"""
from __future__ import annotations

import functools
import warnings

import numpy as np

from ..core import errors, layout
from ..core.export import export, functions, inplace_twins, name_at_home
from ..core.mode import mode, set_grad_enabled
from ..core.storage import Storage
from ..core.tape import Node
from ..core.tensor import Tensor, copy_of, filled, from_storage, receiver, strided_spec
from . import views
from .create import sizes_of
from .inplace import (check_cast, check_result, check_writable, move_edge, names_after, overwrite, put_on_tape,
                      refuse_overlap, take_names)
from .named import rename

# ---- in-place twins
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
        take_names(out, x._spec.names)
    out._edge = receiver(x)
    return out


def in_place(function, name):
    """The twin `name_` of an op or a function: the same value, written into the first argument."""
    operator = name.startswith("__")

    def method(self, *args, **kwargs):
        if not isinstance(self, Tensor):           # torch.relu_(1)
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(self).__name__}")
        others = list(tensors_in((*args, *kwargs.values())))
        recording = check_writable(self, others)
        for other in others:
            refuse_overlap(self, other, name in NO_SHARING)
        old = snapshot(self) if recording else self
        try:
            result = function(old, *args, **kwargs)
        except TypeError as error:
            text = str(errors.in_torchs_words(error, function, (old, *args), True) or error)
            if operator or not text.startswith(f"{name[:-1]}("):
                raise
            raise TypeError(name + text[len(name) - 1:]) from None
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
            put_on_tape(self, edge, result._spec, zeros_node(name, others) if edge is None else None)
        return self
    method.__name__, method.__qualname__, method.__module__ = name, f"Tensor.{name}", Tensor.__module__
    method.__code__ = method.__code__.replace(co_name=name)        # for tracebacks, and for refusals of names
    method.__doc__ = f"In-place version of `{name.strip('_') if operator else name[:-1]}`."
    return method


def zeros_node(name, others):
    """torch's name of the node of an op without derivative (`eq_`): what it overwrote gets zeros."""
    return f"{name.strip('_').title().replace('_', '')}Backward{int(bool(others))}"


def adopt_output(x, result, edge):
    """A node that saved the result as its output looks at x's memory from now on, so that later writes are noticed."""
    out = getattr(edge, "out", None)
    if isinstance(edge, Node) and out.__class__ is tuple and out[0] is result._array and result.dtype is x.dtype:
        edge.out, edge.out_storage, edge.out_version = (x._array, x._spec), x._storage, x._storage.version


def attach_twin(name):
    """Make `name_` (or `__iname__`) for something that was exported with inplace=True."""
    twin = f"__i{name[2:]}" if name.startswith("__") else name + "_"
    setattr(Tensor, twin, in_place(inplace_twins[name], twin))


for _name in inplace_twins:
    attach_twin(_name)
Tensor._attach_twin = staticmethod(attach_twin)      # from now on export calls it


# ---- the twins that torch has as functions
FUNCTIONS = """abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil celu clamp
clamp_max clamp_min clip cos cosh deg2rad erf erfc exp exp2 expm1 fill fix floor frac gcd index_put lcm ldexp log log10
log1p log2 logit nan_to_num neg negative rad2deg reciprocal relu round rsqrt selu sigmoid sin sinc sinh sqrt square tan
tanh threshold trunc xlogy zero""".split()
ACTIVATIONS = ("celu", "elu", "hardtanh", "leaky_relu", "relu", "selu", "threshold")


def attach_functions():
    """torch.relu_ and its like, and those of nn.functional."""
    for name in ACTIVATIONS:
        home = f"nn.functional.{name}"
        functions[home + "_"] = in_place(functions[home], name + "_")
        name_at_home(functions[home + "_"], home + "_")
    for name in FUNCTIONS:
        found = getattr(Tensor, name + "_", None) or functions.get(f"nn.functional.{name}_")
        if found is not None:
            functions[name + "_"] = found


# ---- out=
def write_out(out, made, name, args=()):
    """`out=`: the result written into a given tensor, which is resized where its shape differs."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if mode.grad and (out.requires_grad or made.requires_grad):
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic differentiation, but "
                           "one of the arguments requires grad.")
    check_writable(out)
    for x in tensors_in(args):
        refuse_overlap(out, x)
    check_cast(made.dtype, out.dtype)
    named = names_after(out, made._spec.names)
    if out.device != made.device:
        raise errors.devices(str(made.device), str(out.device))
    if out.shape != made.shape:
        if out.numel():
            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does not "
                f"match the required output shape {list(made.shape)}. This behavior is deprecated, and in a future "
                "PyTorch release outputs will not be resized unless they have zero elements. You can explicitly reuse "
                "an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
                UserWarning, stacklevel=3)
        reshaped(out, tuple(made.shape))
    overwrite(out, made._array)
    if named is not None and out._spec.names is None:
        take_names(out, named)
    return out


Tensor._write_out = staticmethod(write_out)
Tensor._in_place = staticmethod(in_place)            # for functions with `inplace=`, which stand to the left


# ---- the same tensor, looking at memory another way
@export(".set_")
def set_(input, source):
    """Look at another tensor's memory from now on."""
    if check_writable(input, (source,), overlapping=True):
        raise RuntimeError("derivative for set_ is not implemented")
    input.data = source
    input._storage.version += 1
    return input


@export(".resize_")
def resize_(input, *sizes, memory_format=None):
    """Another shape over the same storage, which grows where needed (its new elements are uninitialised).

    Tensors that shared the storage before it grew keep looking at the old memory.
    """
    if input.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = sizes_of(sizes)
    if shape != input.shape:
        reshaped(input, shape)
        input._storage.version += 1
    return input


def reshaped(input, shape):
    """`resize_`, not counted as a write."""
    storage, backend, dtype = input._storage, input._spec.backend, input.dtype
    need, have = layout.numel(shape) + input._offset, storage.count()
    if need > have:
        grown = Storage(backend.empty(need, dtype), backend, dtype)
        backend.copy(backend.as_array(grown.buffer, (have,), (1,), 0, dtype),
                     backend.as_array(storage.buffer, (have,), (1,), 0, dtype))
        grown.version = storage.version
        input._storage_, input._base, storage = grown, None, grown
    fresh = from_storage(storage, shape, layout.contiguous_strides(shape), input._offset, dtype)
    input._array = fresh._array                    # a view never takes the short path: its edge may be old
    input._spec = fresh._spec if input._base is None else strided_spec(dtype, fresh.shape, fresh.stride(), backend)


TWIN_NODES = {"SqueezeBackward0": "SqueezeBackward3", "SqueezeBackward1": "SqueezeBackward4", "SqueezeBackward2":
              "SqueezeBackward5", "TBackward0": "TBackward1", "TransposeBackward0": "TransposeBackward1",
              "UnsqueezeBackward0": "UnsqueezeBackward1"}


def _geometry_twin(name, view):
    """unsqueeze_, t_ and their like: the same tensor looks at its storage another way."""
    def method(self, *args, **kwargs):
        check_writable(self, (), overlapping=True)
        followed = self._edge is not None          # under no_grad, too: gradients that come back have the new shape
        with set_grad_enabled(followed or mode.grad):
            made = view(self, *args, **kwargs)
        edge = made._edge
        plain = self._base is None and made._spec.contiguous and made._spec.names is None
        self._array, self._offset = made._array, made._offset
        self._spec = layout.spec(made.dtype, made.shape, made._spec.backend) if plain else made._spec
        self._storage.version += 1
        if edge is not None:
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


@export(".resize_as_")
def resize_as_(input, the_template, *, memory_format=None):
    """The shape of another tensor, over the same storage: see `resize_`."""
    return resize_(input, the_template.shape)


# ---- a Python function of every element
def _elements(name, input, function, *others):
    """The numbers that `function` makes of every element, written into `input`."""
    if input.requires_grad:
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    columns = [x.reshape(-1).tolist() for x in (input, *others)]
    made = filled(input.shape, 0, input.dtype)
    made._array[...] = np.reshape([function(*row) for row in zip(*columns)], input.shape)
    return input.copy_(made)


@export(".apply_")
def apply_(input, callable):
    """Every element through a Python function, in place; it is not on the tape."""
    return _elements("apply_", input, callable)


@export(".map_")
def map_(input, other, callable):
    """callable(element, other's element) for every element, in place; `other` is expanded to the shape."""
    return _elements("map_", input, callable, other.expand(input.shape))


attach_functions()


@export(".rename_")
def rename_(input, *args, **kwargs):
    """Other names of dimensions, in place."""
    take_names(input, rename(input, *args, **kwargs)._spec.names)
    return input
