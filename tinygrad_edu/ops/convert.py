"""Copies: another dtype, another device, other strides, or simply memory of one's own.

Each is one node on the tape whose gradient travels back the same way. How numbers are cast and moved is a backend's
business.
"""
from __future__ import annotations

from .. import backends
from ..core import dtypes, layout
from ..core.export import export
from ..core.op import Op
from ..core.record import record
from ..core.mode import mode
from ..core.op import common_dtype
from ..core.leaf import kind_of
from ..core.tensor import Tensor, copy_of, from_host, from_storage, strided_spec, wrap


class Clone(Op):
    """The same numbers in memory of their own."""
    cpu = lambda x: x.copy(order="K")
    cuda = lambda x: x
    grad_x = lambda g: g


class ToCopy(Op):
    """The same numbers as another dtype, or on another device."""
    cpu = lambda x: x.copy()
    cuda = lambda x: x
    parameters = ("dtype", "device")               # of the input: where its gradient goes back to
    grad_x = lambda g, dtype, device: g.to(dtype=dtype, device=device)


ToCopy.node.__name__ = "ToCopyBackward0"


def _recorded(op, x, out, **params):
    names = x._spec.names
    if names is not None:
        out._spec = strided_spec(out.dtype, out.shape, out._spec.strides, out._spec.backend, names)
    if mode.grad:
        record(op, (x,), params, out)
    return out


@export("clone")
def clone(input, *, memory_format=None):
    """A copy with memory of its own; gradients flow through it."""
    return _recorded(Clone, input, copy_of(input))


@export(".contiguous")
def contiguous(input, memory_format=None):
    """The tensor itself if its strides are those of its shape, else a copy whose are."""
    spec = input._spec
    if spec.contiguous:
        return input
    backend = spec.backend
    strides = layout.contiguous_strides(spec.shape)
    array = backend.as_array(backend.empty(input.numel(), spec.dtype), spec.shape, strides, 0, spec.dtype)
    backend.copy(array, input._array)
    return _recorded(Clone, input, wrap(array, layout.spec(spec.dtype, spec.shape, backend)))


def convert(x, dtype, backend, copy=False):
    """x as `dtype` on `backend`; x itself where nothing is to be done."""
    spec = x._spec
    if dtype is spec.dtype and backend is spec.backend:
        return clone(x) if copy else x
    if backend is spec.backend:
        array = backend.cast(x._array, dtype)
        shape, strides, _ = backend.layout_of(array)
        out = wrap(array, layout.spec(dtype, shape, backend) if layout.is_contiguous(shape, strides)
                   else strided_spec(dtype, shape, strides, backend))
    else:
        out = moved(x._host(), spec, dtype, backend)
    if dtype.category != dtypes.FLOATING or spec.dtype.category != dtypes.FLOATING:
        if spec.names is not None:
            out._spec = strided_spec(dtype, out.shape, out._spec.strides, backend, spec.names)
        return out
    return _recorded(ToCopy, x, out, dtype=spec.dtype, device=spec.backend.device)


def moved(host, spec, dtype, backend):
    """A copy on another backend, which keeps the order of the dimensions in memory."""
    if spec.contiguous or layout.is_contiguous(spec.shape, spec.strides):
        return from_host(host, dtype, backend)
    strides = layout.dense_strides(spec.shape, spec.strides)
    outermost = sorted(range(len(strides)), key=lambda d: -strides[d])
    made = from_host(host.transpose(outermost), dtype, backend)
    return from_storage(made._storage, spec.shape, strides)


@export(".to")
def to(input, *args, **kwargs):
    """`to(dtype)`, `to(device)`, `to(device, dtype)` or `to(other)`; the tensor itself where nothing changes."""
    device, dtype, copy = parse_to(args, kwargs)
    backend = input._spec.backend if device is None else backends.get_backend(device)
    return convert(input, dtype or input._spec.dtype, backend, copy)


def parse_to(args, kwargs):
    """torch's overloads of `to` -> (device or None, dtype or None, copy)."""
    device, dtype, copy = kwargs.pop("device", None), kwargs.pop("dtype", None), kwargs.pop("copy", False)
    other = kwargs.pop("other", None)
    for key in ("non_blocking", "memory_format"):
        kwargs.pop(key, None)
    if kwargs or not isinstance(dtype, (dtypes.dtype, type(None))):
        word, value = next(iter(kwargs.items())) if kwargs else ("dtype", dtype)
        raise invalid_to(f"{word}={type(value).__name__}, ")
    for arg in args:
        if isinstance(arg, Tensor):
            other = arg
        elif isinstance(arg, dtypes.dtype):
            dtype = arg
        elif isinstance(arg, (str, backends.device)) or isinstance(arg, int) and not isinstance(arg, bool):
            device = arg
        elif arg is not None and not isinstance(arg, bool):
            raise invalid_to(type(arg).__name__)
    if other is not None:
        device, dtype = other.device, other.dtype
    return device, dtype, copy


def invalid_to(got):
    return TypeError(f"to() received an invalid combination of arguments - got ({got}), but expected one of:\n"
                     " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, bool copy = "
                     "False, *, torch.memory_format memory_format = None)\n"
                     " * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, torch.memory_format "
                     "memory_format = None)\n"
                     " * (Tensor tensor, bool non_blocking = False, bool copy = False, *, torch.memory_format "
                     "memory_format = None)")


@export(".cpu")
def cpu(input, memory_format=None):
    """The tensor in the host's memory: itself if it is there."""
    return convert(input, input.dtype, backends.CPU)


@export(".cuda")
def cuda(input, device=None, non_blocking=False, memory_format=None):
    """The tensor on a GPU."""
    return convert(input, input.dtype, backends.get_backend("cuda" if device is None else device))


def _caster(name, dtype):
    def cast(input, memory_format=None):
        return convert(input, dtype() if callable(dtype) else dtype, input._spec.backend)
    cast.__name__, cast.__doc__ = name, f"The tensor as torch.{name}."
    export(f".{name}")(cast)


for _name, _dtype in (("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16),
                      ("long", dtypes.int64),
                      ("int", dtypes.int32), ("short", dtypes.int16), ("char", dtypes.int8), ("byte", dtypes.uint8),
                      ("bool", dtypes.bool_), ("bfloat16", dtypes.bfloat16)):
    _caster(_name, _dtype)


@export(".type")
def type_(input, dtype=None):
    """torch's old name of the tensor's type, or the tensor as another dtype."""
    if dtype is None:
        return kind_of(input)
    if isinstance(dtype, str):
        wanted = dtype.removeprefix("torch.").removesuffix("Tensor")
        dtype = next((d for d in dtypes.DTYPES.values() if d.legacy_name == wanted), None)
        if dtype is None:
            raise ValueError(f"invalid type: '{wanted}'")
    return convert(input, getattr(dtype, "dtype", dtype), input._spec.backend)


@export(".type_as")
def type_as(input, other):
    return convert(input, other.dtype, other._spec.backend)


@export("result_type()", out=False)
def result_type(tensor1, tensor2):
    """The dtype in which an operation on two operands (tensors or numbers) is computed."""
    operands = (tensor1, tensor2)
    return common_dtype(operands)
