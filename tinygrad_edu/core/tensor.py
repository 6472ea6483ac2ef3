"""Tensor: a view of a storage, plus its place on the tape.

No mathematics lives here: operations are attached by `tinygrad_edu.ops` with `@export`.
What few tensors need (a Storage, hooks, a base) is a class attribute until it is first set.
"""
from __future__ import annotations

import copy
import copyreg
import warnings

import numpy as np

from ..backends import CPU, get_backend
from . import dtypes, errors, layout, names as dim_names
from .leaf import OnTape, edge_of, receiver
from .mode import mode, no_grad
from .storage import Retyped, Storage

__all__ = ["Tensor", "edge_of", "receiver", "new", "wrap", "from_array", "from_storage", "strided_spec", "view_of",
           "empty", "filled", "from_host", "host_of", "copy_of", "bump"]

new = object.__new__


class Tensor(OnTape):
    """A multi-dimensional array of one dtype on one device. Make one with `tensor(data)`."""

    _storage_ = None                               # the Storage, once somebody asks for it (`_storage`)
    _offset = 0

    __array_priority__ = 1000                      # numpy scalars on the left leave the operation to us

    # ---- what it is
    shape = property(lambda self: self._spec.shape)
    dtype = property(lambda self: self._spec.dtype)
    device = property(lambda self: self._spec.backend.device)
    ndim = property(lambda self: len(self._spec.shape))
    itemsize = property(lambda self: self._spec.dtype.itemsize)
    nbytes = property(lambda self: self._spec.dtype.itemsize * layout.numel(self._spec.shape))
    is_cuda = property(lambda self: self._spec.backend.device.type == "cuda")
    is_cpu = property(lambda self: self._spec.backend.device.type == "cpu")
    layout = property(lambda self: layout.strided)
    real = property(lambda self: self)
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

    def size(self, dim=None):
        """The shape, or the length of one dimension (by number or name)."""
        shape = self._spec.shape
        return shape if dim is None else shape[dim_names.dim_of(self._spec.names, dim, len(shape))]

    def stride(self, dim=None):
        """How many elements of the storage lie between neighbours, per dimension or of one."""
        strides = self._spec.strides
        return strides if dim is None else strides[dim_names.dim_of(self._spec.names, dim, len(strides))]

    @property
    def names(self):
        """The name of each dimension, or None."""
        return dim_names.get(self._spec.names, len(self._spec.shape))

    def has_names(self):
        return self._spec.names is not None

    def storage_offset(self):
        return self._offset

    def is_contiguous(self, memory_format=None):
        return self._spec.contiguous

    def is_floating_point(self):
        return self._spec.dtype.category == dtypes.FLOATING

    def is_complex(self):
        return False

    @property
    def imag(self):
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")

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
        buffer = self._storage.buffer
        return getattr(buffer, "ptr", id(buffer)) + self._offset * self.itemsize

    @property
    def _storage(self):
        found = self._storage_
        if found is None:
            backend = self._spec.backend
            made = Storage(backend.buffer_of(self._array), backend, self._spec.dtype)
            found = vars(self).setdefault("_storage_", made)       # at one blow: two threads may ask at once
            node = self._edge
            held = getattr(node, "out", None)
            if held.__class__ is tuple and held[0] is self._array:
                node.out_storage = found           # a node that saved this output watches its version from now on
        return found

    # ---- reading
    def numpy(self, *, force=False):
        """A numpy array over the same memory (a copy from other devices, with `force=True`)."""
        if force:
            return self.detach().cpu()._array
        if not self._spec.backend.native:
            raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the "
                            "tensor to host memory first.")
        if mode.grad and self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        self._storage                              # noqa: B018  (numpy may write: the memory is shared from now on)
        return self._array

    def __array__(self, dtype=None, copy=None):
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_wrap__(self, array, context=None, return_scalar=False):
        """What a numpy function makes of a tensor is a tensor: over that memory, and bools as uint8, as in torch."""
        array = np.asarray(array, np.uint8 if array.dtype == bool else None)
        return from_array(array)

    def __contains__(self, element):
        if not isinstance(element, (Tensor, bool, int, float, np.generic)):
            raise RuntimeError("Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                               f"{type(element)}.")
        return bool((self == element).any())

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
        if layout.numel(self._spec.shape) != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return kind(self.item())

    def __float__(self):
        return self._scalar(float)

    def __int__(self):
        return self._scalar(int)

    def __complex__(self):
        return self._scalar(complex)

    def __index__(self):
        if self._spec.dtype.category == dtypes.FLOATING or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __bool__(self):
        count = self.numel()
        if count != 1:
            what = "no values" if not count else "more than one value"
            raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous")
        return bool(self.item())

    is_nonzero = __bool__

    def __len__(self):
        if not self._spec.shape:
            raise TypeError("len() of a 0-d tensor")
        return self._spec.shape[0]

    def __iter__(self):
        if not self._spec.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __delitem__(self, index):
        raise TypeError("Tensor does not support deleting items")

    def __hash__(self):
        return id(self)

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
        if self.requires_grad and not value.is_floating_point():
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        version = self._version
        self._edge, self._base = edge_of(self), None       # other memory: a view of what it was no longer
        self._array, self._spec, self._offset = value._array, value._spec, value._offset
        self._storage_ = Storage(value._storage.buffer, value._spec.backend, value._spec.dtype)
        self._storage_.version = version

    def detach(self):
        """The same memory, off the tape; writes through it count as writes to this tensor."""
        out = new(Tensor)
        out._array, out._spec, out._storage_, out._offset = self._array, self._spec, self._storage, self._offset
        if self._inference:
            out._inference = True
        return out

    def _copied(self, like=None):
        return copy_of(self, like)

    def _add_into(self, grad):
        """self += grad, off the tape: only for gradients."""
        if not self._spec.contiguous and layout.overlaps(self._spec.shape, self._spec.strides):
            raise RuntimeError(errors.OVERLAPPING)
        if self._spec.backend.native:
            np.add(self._array, grad._array, out=self._array, casting="unsafe")
            bump(self)
        else:
            with no_grad():
                self += grad

    def _add_unseen(self, grad):
        """self += grad of the same kind, where nobody has seen self yet: nobody's saved version can be out of date."""
        if self._spec.backend.native:
            np.add(self._array, grad._array, self._array)
        else:
            self._add_into(grad)

    def _is_alone(self):
        """Whether surely nobody else looks at this memory."""
        return self._storage_ is None and self._spec.backend.native and self._array.base is None

    def detach_(self):
        """Take this tensor off the tape, in place."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead. If you are using "
                               "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as "
                               "True, gradients are views of DDP buckets, and hence detach_() cannot be called on "
                               "these gradients. To fix this error, please refer to the Optimizer.zero_grad() function "
                               "in torch/optim/optimizer.py as the solution.")
        self._edge, self._requires_grad = None, False
        return self

    # ---- copies and pickles: views go on sharing one storage, the tape stays behind
    def __reduce_ex__(self, protocol):
        spec = self._spec
        return _rebuilt, (self._storage, spec.dtype, tuple(spec.shape), spec.strides, self._offset, spec.names,
                          self.requires_grad, type(self)), self._extras() or None

    def _extras(self):
        """What users have hung on this tensor."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                               "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
                               "because of a torch.nn.utils.weight_norm usage, see "
                               "https://github.com/pytorch/pytorch/pull/103001\n"
                               "  x.detach().clone() makes a leaf of its own")
        spec = self._spec
        out = memo[id(self)] = _rebuilt(copy.deepcopy(self._storage, memo), spec.dtype, spec.shape, spec.strides,
                                        self._offset, spec.names, self._requires_grad, type(self))
        out._grad = copy.deepcopy(self._grad, memo)
        vars(out).update(copy.deepcopy(self._extras(), memo))
        return out


def _rebuilt(storage, dtype, shape, strides, offset, names, requires_grad, kind=Tensor):
    """A tensor out of what `Tensor.__reduce_ex__` told."""
    out = from_storage(storage, shape, strides, offset, dtype, names)
    if kind is not Tensor:
        out.__class__ = kind
    out.requires_grad = requires_grad
    return out


def _rebuilt_storage(host, dtype, device):
    backend = get_backend(device)
    return Storage(host if backend.native else backend.from_numpy(host, dtype), backend, dtype)


def host_of(storage):
    """The whole of a storage as a flat numpy array (the memory itself, where it is the CPU's)."""
    backend = storage.backend
    return backend.to_numpy(backend.as_array(storage.buffer, (storage.count(),), (1,), 0, storage.dtype))


copyreg.pickle(Storage, lambda self: (_rebuilt_storage, (host_of(self), self.dtype, str(self.backend.device))))
copyreg.pickle(Retyped, lambda self: (Retyped, (self.origin, self.dtype)))


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
    if isinstance(array, np.generic):              # numpy makes scalars of arrays without dimensions
        array = np.asarray(array)
    if backend.native and names is None and array.flags.c_contiguous:
        found = dtype or dtypes._from_numpy.get(array.dtype) or dtypes.from_numpy(array.dtype)
        return wrap(array, layout.spec(found, array.shape, backend))
    shape, strides, found = backend.layout_of(array)
    if backend.native and not layout.is_dense(shape, strides):    # made by slicing: its memory is not its own shape
        array = np.ascontiguousarray(array)
        strides = layout.contiguous_strides(shape)
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
    out._spec = (layout.spec(dtype, shape, backend) if contiguous
                 else strided_spec(dtype, shape, strides, backend, names))
    out._storage_, out._offset = storage, offset
    if mode.inference:
        out._inference = True
    return out


_strided = {}


def strided_spec(dtype, shape, strides, backend, names=None):
    """The shared spec of views and other tensors that never take the short path."""
    if names is not None:
        names = dim_names.tidy(names)
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
    target = (x if like is None else like)._spec
    plain = target.fast or target.strides == layout.contiguous_strides(target.shape)
    strides = target.strides
    if not plain and not layout.is_dense(target.shape, strides):
        strides = layout.dense_strides(target.shape, strides)
        plain = strides == layout.contiguous_strides(spec.shape)
    array = backend.as_array(backend.empty(layout.numel(spec.shape), spec.dtype), spec.shape, strides, 0, spec.dtype)
    backend.copy(array, x._array)
    return wrap(array, layout.spec(spec.dtype, spec.shape, backend) if plain
                else strided_spec(spec.dtype, spec.shape, strides, backend))


def bump(x):
    """Say that x's memory was written."""
    x._storage.version += 1
