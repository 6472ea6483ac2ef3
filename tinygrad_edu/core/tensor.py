"""Tensor: a view of a storage, plus its place on the tape.

No mathematics lives here: operations are attached by `tinygrad_edu.ops` with `@export`.
What few tensors need (a Storage, hooks, a base) is a class attribute until it is first set.
"""
from __future__ import annotations

import threading
import warnings

import numpy as np

from .. import backends
from ..backends import CPU
from . import dtypes, errors, layout, tape
from .storage import Storage
from .tape import Handle, Output, mode

new = object.__new__
_accumulating = threading.RLock()                  # threads may share a leaf


class Tensor:
    """A multi-dimensional array of one dtype on one device. Make one with `tensor(data)`."""

    _storage_ = None                               # the Storage, once somebody asks for it (`_storage`)
    _offset = 0
    _base = None                                   # of a view: the tensor that it is a view of, never itself a view
    _edge = None                                   # where a gradient for this tensor must be sent
    _edge_version = 0                              # of a view: the storage's version when `_edge` was made
    _view_of = None                                # of a view: a sentence part that tells how it was made, if in-place is refused
    _requires_grad = False                         # of a leaf
    _grad = None
    _hooks = None                                  # of a leaf: {id: hook}
    _post_hooks = None
    _retains = False
    _inference = False

    __array_priority__ = 1000                      # numpy scalars on the left leave the operation to us

    def __new__(cls, *data, dtype=None, device=None, requires_grad=False):
        """The old constructor: `Tensor(2, 3)` has that shape (uninitialised), `Tensor([1, 2])` those values."""
        if len(data) == 1 and not isinstance(data[0], int):
            made = from_data(data[0], dtype or dtypes.get_default_dtype(), device)
        else:
            made = empty(data if data else (0,), dtype or dtypes.get_default_dtype(), backends.get_backend(device))
        if cls is not Tensor:
            made.__class__ = cls
        made._requires_grad = requires_grad
        return made

    # ---- what it is
    shape = property(lambda self: self._spec.shape)
    dtype = property(lambda self: self._spec.dtype)
    device = property(lambda self: self._spec.backend.device)
    ndim = property(lambda self: len(self._spec.shape))
    itemsize = property(lambda self: self._spec.dtype.itemsize)
    nbytes = property(lambda self: self._spec.dtype.itemsize * layout.numel(self._spec.shape))
    is_cuda = property(lambda self: self._spec.backend.device.type == "cuda")
    is_cpu = property(lambda self: self._spec.backend.device.type == "cpu")
    is_sparse = is_quantized = is_meta = is_mkldnn = property(lambda self: False)
    _version = property(lambda self: 0 if self._storage_ is None else self._storage_.version)

    def dim(self):
        return len(self._spec.shape)

    ndimension = dim

    def numel(self):
        """How many elements it has."""
        return layout.numel(self._spec.shape)

    nelement = numel

    def element_size(self):
        return self._spec.dtype.itemsize

    def storage_offset(self):
        return self._offset

    def is_contiguous(self, memory_format=None):
        return self._spec.contiguous

    def is_floating_point(self):
        return self._spec.dtype.category == dtypes.FLOATING

    def is_complex(self):
        return False

    def is_signed(self):
        return self._spec.dtype.is_signed

    def is_inference(self):
        return self._inference

    def get_device(self):
        index = self.device.index
        return -1 if self.is_cpu else index or 0

    def data_ptr(self):
        """The address of the first element (0 for an empty tensor)."""
        if not self.numel():
            return 0
        if self._spec.backend.native:
            return self._array.__array_interface__["data"][0]
        return id(self._storage.buffer) + self._offset * self.itemsize

    @property
    def _storage(self):
        found = self._storage_
        if found is None:
            backend = self._spec.backend
            found = self._storage_ = Storage(backend.buffer_of(self._array), backend, self._spec.dtype)
            node = self._edge                      # a node that saved this output watches its version from now on
            if node is not None and getattr(node, "out", None) is not None and node.out[0] is self._array:
                node.out_storage = found
        return found

    # ---- reading
    def numpy(self, *, force=False):
        """A numpy array over the same memory (a copy from other devices, with `force=True`)."""
        if force:
            return self.detach().cpu()._array
        if not self._spec.backend.native:
            raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to "
                            "host memory first.")
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        self._storage                              # noqa: B018  (numpy may write: the memory is shared from now on)
        return self._array

    def __array__(self, dtype=None, copy=None):
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def _host(self):
        """The numbers as a numpy array, wherever they are, whatever the tape says."""
        return self._spec.backend.to_numpy(self._array)

    def item(self):
        """The one number of a tensor with one element, as a Python number."""
        if layout.numel(self._spec.shape) != 1:
            raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")
        value = self._host().reshape(()).item()
        return float(value) if self._spec.dtype.category == dtypes.FLOATING else value

    def tolist(self):
        """Nested lists of Python numbers (a number for a 0-d tensor)."""
        found = self._host()
        return (found.astype(np.float32) if self._spec.dtype.name == "bfloat16" else found).tolist()

    def _scalar(self, kind):
        if self.requires_grad and mode.grad:
            warnings.warn("Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                          "Consider using tensor.detach() first.", UserWarning, stacklevel=3)
        return kind(self.item())

    def __float__(self):
        return self._scalar(float)

    def __int__(self):
        return self._scalar(int)

    def __complex__(self):
        return complex(self.item())

    def __index__(self):
        if self._spec.dtype.category == dtypes.FLOATING or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __bool__(self):
        count = self.numel()
        if count == 1:
            return bool(self.item())
        raise RuntimeError("Boolean value of Tensor with " + ("no values" if not count else "more than one value") + " is ambiguous")

    def is_nonzero(self):
        if self.numel() != 1:
            raise RuntimeError("Boolean value of Tensor with " + ("no values" if not self.numel() else "more than one value") + " is ambiguous")
        return bool(self.item())

    def __len__(self):
        if not self._spec.shape:
            raise TypeError("len() of a 0-d tensor")
        return self._spec.shape[0]

    def __iter__(self):
        if not self._spec.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __hash__(self):
        return id(self)

    def __repr__(self, *, tensor_contents=None):
        from . import printing
        return printing.tensor_repr(self)

    def __format__(self, how):
        from . import printing
        return printing.tensor_format(self, how)

    # ---- its place on the tape
    @property
    def requires_grad(self):
        return self._requires_grad or edge_of(self) is not None

    @requires_grad.setter
    def requires_grad(self, flag):
        flag = bool(flag)
        if self._edge is not None:
            if flag:
                return
            raise RuntimeError("you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
                               "subgraph that doesn't require differentiation use var_no_grad = var.detach().")
        if flag and not self.is_floating_point():
            raise RuntimeError("only Tensors of floating point dtype can require gradients" if False else
                               "Only Tensors of floating point and complex dtype can require gradients")
        if flag and self._inference and not mode.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        self._requires_grad = flag

    def requires_grad_(self, requires_grad=True):
        """Say whether operations on this leaf shall be recorded."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self):
        return edge_of(self) is None

    @property
    def grad_fn(self):
        edge = edge_of(self)
        return edge.node if edge.__class__ is Output else edge

    output_nr = property(lambda self: self._edge.nr if self._edge.__class__ is Output else 0)
    retains_grad = property(lambda self: self._retains)

    @property
    def grad(self):
        """The gradient that `backward` accumulated here, or None."""
        if self._grad is None and not self._retains and edge_of(self) is not None:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated "
                "during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use "
                ".retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf "
                "Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more information.", UserWarning, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value.dtype is not self.dtype:
                raise RuntimeError(f"attempting to assign a gradient with dtype '{kind_of(value)}' to a tensor with dtype '{kind_of(self)}'. "
                                   "Please ensure that the gradient and the tensor have the same dtype")
            if value.device != self.device:
                raise RuntimeError(f"attempting to assign a gradient with device type '{value.device.type}' to a tensor with device type "
                                   f"'{self.device.type}'. Please ensure that the gradient and the tensor are on the same device")
            if value.shape != self.shape:
                raise RuntimeError(f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of size "
                                   f"'{list(self.shape)}'. Please ensure that the gradient and the tensor are the same size")
        self._grad = value

    @grad.deleter
    def grad(self):
        self._grad = None

    @property
    def data(self):
        """The same memory, off the tape; writes through it are not noticed by the tape."""
        twin = self.detach()
        twin._storage_ = Storage(self._storage.buffer, self._spec.backend, self._spec.dtype)    # a version of its own
        return twin

    @data.setter
    def data(self, value):
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self._requires_grad and not value.is_floating_point():
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        self._array, self._spec, self._offset = value._array, value._spec, value._offset
        version = self._version
        self._storage_ = Storage(value._storage.buffer, value._spec.backend, value._spec.dtype)
        self._storage_.version = version

    def detach(self):
        """The same memory, off the tape; writes through it count as writes to this tensor."""
        out = new(Tensor)
        out._array, out._spec, out._storage_, out._offset = self._array, self._spec, self._storage, self._offset
        if self._inference:
            out._inference = True
        return out

    def detach_(self):
        """Take this tensor off the tape, in place."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
                               "training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence "
                               "detach_() cannot be called on these gradients. To fix this error, please refer to the "
                               "Optimizer.zero_grad() function in torch/optim/optimizer.py as a solution.")
        self._edge, self._requires_grad = None, False
        return self

    def retain_grad(self):
        """Keep the gradient of this non-leaf in `.grad`."""
        edge = edge_of(self)
        if edge is None:
            if not self._requires_grad:
                raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
            return
        if self._retains:
            return
        self._retains = True
        import weakref
        owner = weakref.ref(self)

        def keep(grad):
            tensor = owner()
            if tensor is not None:
                tensor._grad = grad if mode.grad else copy_of(grad)
        node, nr = (edge.node, edge.nr) if edge.__class__ is Output else (edge, 0)
        node.watch().retain[nr] = keep

    def register_hook(self, hook):
        """`hook(grad)` is called with this tensor's gradient and may return another. Returns a handle."""
        edge = edge_of(self)
        if edge is None:
            if not self._requires_grad:
                raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
            if self._hooks is None:
                self._hooks = {}
            return Handle(self._hooks, hook)
        node, nr = (edge.node, edge.nr) if edge.__class__ is Output else (edge, 0)
        return Handle(node.watch().tensor.setdefault(nr, {}), hook)

    def register_post_accumulate_grad_hook(self, hook):
        """`hook(tensor)` is called after a gradient was added to this leaf's `.grad`. Returns a handle."""
        if not self._requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if edge_of(self) is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if self._post_hooks is None:
            self._post_hooks = {}
        return Handle(self._post_hooks, hook)

    # ---- what the tape asks of a leaf
    def hooked(self, grad):
        return tape.run_tensor_hooks(self._hooks, grad) if self._hooks else grad

    def accumulate(self, grad, fresh):
        """Add to `.grad`; the first time it becomes `.grad`, copied unless nobody else can hold its memory."""
        if self._hooks:
            grad, fresh = tape.run_tensor_hooks(self._hooks, grad), False
        with _accumulating:
            held = self._grad
            if held is None:
                if mode.grad:
                    self._grad = grad.clone()
                elif fresh and grad._spec is self._spec and grad._storage_ is None and grad._array.base is None:
                    self._grad = grad
                else:
                    self._grad = copy_of(grad, like=self)
            elif mode.grad:
                self._grad = held + grad
            else:
                add_into(held, grad)
        if self._post_hooks:
            for hook in list(self._post_hooks.values()):
                hook(self)

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        """Compute gradients of this tensor with respect to the leaves, and add them to their `.grad`.

        gradient: of this tensor's shape; needed unless it has one element.
        """
        from ..autograd import backward
        backward(self, gradient, retain_graph, create_graph, inputs=inputs)


def kind_of(x):
    """torch's old name for a tensor's type: 'torch.FloatTensor'."""
    place = "" if x.is_cpu else f"{x.device.type}."
    return f"torch.{place}{x.dtype.legacy_name}Tensor"


# ---- making tensors out of memory
def wrap(array, spec):
    """A tensor over the fresh array of a backend, which is what `spec` says."""
    out = new(Tensor)
    out._array, out._spec = array, spec
    if mode.inference:
        out._inference = True
    return out


def from_array(array, backend=CPU, dtype=None, names=None):
    """A tensor over the fresh array that a backend's verb returned."""
    if backend.native:
        found = dtype or dtypes._from_numpy.get(array.dtype) or dtypes.from_numpy(array.dtype)
        if array.flags.c_contiguous and names is None:
            return wrap(array, layout.spec(found, array.shape, backend))
        shape, strides = backend.layout_of(array)
        if not layout.is_dense(shape, strides):    # a result made by slicing: its memory is not its own shape
            array = np.ascontiguousarray(array)
            shape, strides = array.shape, layout.contiguous_strides(array.shape)
    else:
        found = dtype
        shape, strides = backend.layout_of(array)
        if names is None and layout.is_contiguous(shape, strides):
            return wrap(array, layout.spec(found, shape, backend))
    return wrap(array, strided_spec(found, shape, strides, backend, names))


def from_storage(storage, shape, strides, offset=0, dtype=None, names=None):
    """A tensor that looks at `storage` in the given way. The caller has checked that it stays inside."""
    dtype = dtype or storage.dtype
    backend = storage.backend
    out = new(Tensor)
    out._array = backend.as_array(storage.buffer, shape, strides, offset, dtype)
    contiguous = names is None and offset == 0 and layout.is_contiguous(shape, strides)
    out._spec = layout.spec(dtype, shape, backend) if contiguous else strided_spec(dtype, shape, strides, backend, names)
    out._storage_, out._offset = storage, offset
    if mode.inference:
        out._inference = True
    return out


_strided = {}


def strided_spec(dtype, shape, strides, backend, names=None):
    """The shared spec of views and other tensors that never take the short path."""
    key = (dtype, shape, strides, backend, names)
    found = _strided.get(key)
    if found is None:
        if len(_strided) > 10_000:
            _strided.clear()
        found = _strided[key] = layout.Spec(dtype, layout.Size(shape), tuple(strides), backend, names)
    return found


def view_of(x, shape, strides, offset, names=None):
    """A view of x: same storage, other integers. The caller puts it on the tape."""
    spec = x._spec
    out = new(Tensor)
    storage = out._storage_ = x._storage
    shape, strides = tuple(shape), tuple(strides)
    out._array = spec.backend.as_array(storage.buffer, shape, strides, offset, spec.dtype)
    out._spec = strided_spec(spec.dtype, shape, strides, spec.backend, names)
    out._offset = offset
    out._base = x if x._base is None else x._base
    out._edge_version = storage.version
    if x._inference:
        out._inference = True
    return out


def empty(shape, dtype, backend=CPU, names=None):
    """Uninitialised memory of that shape."""
    shape = tuple(shape)
    strides = layout.contiguous_strides(shape)
    array = backend.as_array(backend.empty(layout.numel(shape), dtype), shape, strides, 0, dtype)
    return wrap(array, layout.spec(dtype, shape, backend) if names is None
                else strided_spec(dtype, shape, strides, backend, names))


def filled(shape, value, dtype, backend=CPU, names=None):
    """A tensor of that shape with one value everywhere."""
    out = empty(shape, dtype, backend, names)
    backend.fill(out._array, value)
    return out


def from_host(array, dtype, backend=CPU, names=None):
    """A copy of a numpy array on a backend."""
    array = np.asarray(array)
    shape = array.shape
    strides = layout.contiguous_strides(shape)
    found = backend.as_array(backend.from_numpy(array, dtype), shape, strides, 0, dtype)
    return wrap(found, layout.spec(dtype, shape, backend) if names is None
                else strided_spec(dtype, shape, strides, backend, names))


def copy_of(x, like=None):
    """x's numbers in memory of their own, off the tape, with the strides of `like` where those are dense."""
    spec = x._spec
    backend = spec.backend
    target = (like or x)._spec
    if target.contiguous or not layout.is_dense(target.shape, target.strides):
        strides = layout.contiguous_strides(spec.shape)
    else:
        strides = target.strides
    array = backend.as_array(backend.empty(layout.numel(spec.shape), spec.dtype), spec.shape, strides, 0, spec.dtype)
    backend.copy(array, x._array)
    return wrap(array, layout.spec(spec.dtype, spec.shape, backend) if layout.is_contiguous(spec.shape, strides)
                else strided_spec(spec.dtype, spec.shape, strides, backend))


def add_into(held, grad):
    """held += grad, off the tape."""
    if held._spec.backend.native:
        np.add(held._array, grad._array, out=held._array, casting="unsafe")
        held._storage.version += 1
    else:
        with tape.no_grad():
            held += grad


def bump(x):
    """Say that x's memory was written."""
    x._storage.version += 1


# ---- edges
refresh = None                                     # set by ops.inplace: brings a view's `_edge` up to date


def edge_of(x):
    """Where a gradient for x must be sent: a node, an Output of one, or None.

    A view whose storage was written through someone else takes a fresh look at its base first.
    """
    if x._base is not None and x._edge_version != x._storage_.version:
        refresh(x)
    return x._edge


def receiver(x):
    """edge_of(x), or x itself where it is a leaf that wants its gradient, or None."""
    edge = x._edge if x._base is None else edge_of(x)
    return x if edge is None and x._requires_grad else edge


# ---- data from outside
def from_data(data, dtype=None, device=None, names=None):
    """A copy of Python numbers, nested sequences, a numpy array or a tensor, as `tensor(data)` makes it."""
    backend = backends.get_backend(device)
    if isinstance(data, Tensor):
        host, found = data._host(), data.dtype
    elif isinstance(data, (np.ndarray, np.generic)):
        host = np.asarray(data)
        found = dtypes.from_numpy(host.dtype)
    else:
        host, found = from_sequence(data, dtype)
    if dtype is None:
        dtype = found
    return from_host(host, dtype, backend, names)


def from_sequence(data, dtype):
    """Numbers and nested sequences -> (numpy array, dtype), with torch's inference and errors."""
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if not isinstance(data, (bool, int, float)):
        data, shape = _plain(data)
    else:
        shape = ()
    kinds = set()
    flat = []
    _flatten(data, shape, 0, flat, kinds)
    if dtype is None:
        dtype = dtypes.get_default_dtype() if not flat else None
        for kind in kinds:
            dtype = kind if dtype is None else dtypes.promote_types(dtype, kind)
    if dtype.category == dtypes.FLOATING:
        host = np.array(flat, np.float64)
    elif dtype is dtypes.bool_:
        host = np.array([bool(v) for v in flat], np.bool_)
    else:
        try:
            host = np.array([int(v) for v in flat], np.int64)
        except OverflowError:
            raise RuntimeError("Overflow when unpacking long long") from None
    return host.reshape(shape), dtype


def _plain(data):
    """`data` with tensors and arrays inside turned into lists, and the shape its first elements suggest."""
    if isinstance(data, (Tensor, np.ndarray)):
        return data, tuple(data.shape)
    shape, level = [], data
    while not isinstance(level, (bool, int, float, np.generic)):
        if isinstance(level, (Tensor, np.ndarray)):
            shape += list(level.shape)
            break
        if isinstance(level, (str, bytes)) or not hasattr(level, "__len__") or not hasattr(level, "__getitem__") or isinstance(level, dict):
            if hasattr(level, "__array__"):
                level = np.asarray(level)
                continue
            raise (TypeError(f"new(): invalid data type '{type(level).__name__}'") if isinstance(level, str) else
                   RuntimeError(f"Could not infer dtype of {type(level).__name__}"))
        shape.append(len(level))
        if not len(level):
            break
        level = level[0]
    return data, tuple(shape)


def _flatten(data, shape, depth, flat, kinds):
    if depth == len(shape):
        if isinstance(data, Tensor):
            kinds.add(data.dtype)
            data = data.item()
        elif isinstance(data, (np.generic, np.ndarray)):
            kinds.add(dtypes.from_numpy(data.dtype))
            data = data.item()
        elif isinstance(data, (bool, int, float)):
            kinds.add(dtypes.of_number(data))
        elif isinstance(data, complex):
            raise TypeError("complex numbers are not supported")
        elif hasattr(data, "__len__") and not isinstance(data, str):
            raise TypeError(f"only length-1 arrays can be converted to Python scalars: expected a number at dim {depth}, "
                            f"got {type(data).__name__}")
        else:
            raise TypeError(f"must be real number, not {type(data).__name__}")
        flat.append(data)
        return
    if isinstance(data, (Tensor, np.ndarray)):
        host = data._host() if isinstance(data, Tensor) else data
        kinds.add(data.dtype if isinstance(data, Tensor) else dtypes.from_numpy(data.dtype))
        if tuple(host.shape) != shape[depth:]:
            raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(host) if host.ndim else 0})")
        flat.extend(host.astype(np.float64).reshape(-1).tolist() if host.dtype.kind not in "iub" else host.reshape(-1).tolist())
        return
    if not hasattr(data, "__len__"):
        raise TypeError(f"object of type '{type(data).__name__}' has no len()" if not isinstance(data, (bool, int, float)) else
                        "expected a sequence, got a number: the nested sequences differ in depth")
    if len(data) != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
    for item in data:
        _flatten(item, shape, depth + 1, flat, kinds)


__all__ = ["Tensor", "errors"]
