"""Storages as users see them: `x.untyped_storage()`, bytes, and `x.storage()`, numbers in a row.

Both are handles on core.storage.Storage: what is written through them is seen by every tensor over that memory, and
counted as a write.
"""
from __future__ import annotations

import copy
import warnings

import numpy as np

from . import backends
from .core import dtypes
from .core.data import from_data
from .core.mode import no_grad
from .core.storage import Storage
from .core.tensor import Tensor, from_host, from_storage, host_of

DEPRECATED = ("TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only "
              "storage class. This should only matter to you if you are using storages directly.  To access "
              "UntypedStorage directly, use tensor.untyped_storage() instead of tensor.storage()")
_warned = []


def _warn_once():
    if not _warned:
        _warned.append(True)
        warnings.warn(DEPRECATED, UserWarning, stacklevel=3)


class _Handle:
    """What both kinds of storage can do. `_numbers` is the memory as a flat tensor: bytes, or numbers of a dtype."""
    is_sparse = False

    @property
    def device(self):
        return self._storage.backend.device

    is_cuda = property(lambda self: self.device.type == "cuda")
    _cdata = property(lambda self: id(self._storage))

    def nbytes(self):
        return self._storage.count() * self._storage.dtype.itemsize

    def size(self):
        return self.nbytes() // self.element_size()

    def __len__(self):
        return self.size()

    def data_ptr(self):
        """The address of the memory."""
        return from_storage(self._storage, (1,), (1,)).data_ptr() if self.size() else 0

    def tolist(self):
        return self._numbers().tolist()

    def __iter__(self):
        return iter(self.tolist())

    def __setitem__(self, index, value):
        if not isinstance(index, (int, slice)):
            raise RuntimeError(f"can't index a {type(self)} with {type(index)}")
        if is_storage(value):
            raise RuntimeError(f"cannot set item with value type {type(value)}")
        numbers = self._numbers()
        with no_grad():
            numbers[index] = value
        self._wrote(numbers)

    def _check(self, index):
        count = self.size()
        if isinstance(index, int) and not -count <= index < count:
            raise IndexError(f"index {index} out of range for storage of size {count}")

    def fill_(self, value):
        """Every element becomes `value`."""
        self[:] = value
        return self

    def copy_(self, source, non_blocking=None):
        """Take over the bytes of another storage of the same length."""
        if source.nbytes() != self.nbytes():
            raise RuntimeError(f"size does not match, self was {self.nbytes()} bytes but src was {source.nbytes()} "
                               f"bytes")
        bytes_ = UntypedStorage(self._storage)
        numbers = bytes_._numbers()
        with no_grad():
            numbers.copy_(UntypedStorage(source._storage)._numbers())
        bytes_._wrote(numbers)
        return self

    def __deepcopy__(self, memo):
        return self._like(copy.deepcopy(self._storage, memo))

    def clone(self):
        """The same numbers in memory of their own."""
        backend, dtype = self._storage.backend, self._storage.dtype
        return self._like(Storage(backend.from_numpy(host_of(self._storage), dtype), backend, dtype))

    __copy__ = clone

    def cpu(self):
        """The storage in the host's memory: itself if it is there."""
        return self.to("cpu")

    def cuda(self, device=None, non_blocking=False):
        """The storage on a GPU: itself if it is there."""
        return self.to("cuda" if device is None else device)

    def to(self, device, non_blocking=False):
        """The storage on a device: itself if it is there, else a copy."""
        storage, backend = self._storage, backends.get_backend(device)
        if storage.backend is backend:
            return self
        return self._like(from_host(host_of(storage), storage.dtype, backend)._storage)

    def is_shared(self):
        return False                               # memory is shared by forking; there is no other kind

    def share_memory_(self):
        return self

    def is_pinned(self, device=None):
        return False

    def __eq__(self, other):
        return (type(other) is type(self) and other._storage is self._storage
                and other.element_size() == self.element_size())

    def __hash__(self):
        return hash(id(self._storage))

    def __repr__(self):
        return " " + "\n ".join(map(str, self.tolist())) + "\n" + self._describe()


class UntypedStorage(_Handle):
    """Memory in bytes: `UntypedStorage(16)`, `UntypedStorage([1, 2, 3])`, or that of a tensor."""

    def __init__(self, source=0, *, device=None):
        if isinstance(source, (int, np.integer)):
            backend = backends.get_backend(device)
            source = Storage(backend.empty(int(source), dtypes.uint8), backend, dtypes.uint8)
        elif not isinstance(source, Storage):
            source = from_data([n % 256 for n in source], dtypes.uint8, device)._storage
        self._storage = source

    def element_size(self):
        return 1

    def _numbers(self):
        """The bytes as a tensor over the same memory (over a copy on other devices)."""
        memory = host_of(self._storage).view(np.uint8)
        return from_storage(Storage(memory, backends.CPU, dtypes.uint8), memory.shape, (1,))

    def _wrote(self, numbers):
        storage = self._storage
        if not storage.backend.native:
            made = from_host(numbers._host().view(storage.dtype.numpy), storage.dtype, storage.backend)
            storage.backend.copy(from_storage(storage, made.shape, (1,))._array, made._array)
        storage.version += 1

    def __getitem__(self, index):
        if isinstance(index, slice):               # the same memory, as in torch
            if index.step not in (None, 1):
                raise RuntimeError(f"Trying to slice with a step of {index.step}, but only a step of 1 is supported")
            return UntypedStorage(Storage(self._numbers()._array[index], backends.CPU, dtypes.uint8))
        if not isinstance(index, int):
            raise TypeError(f"can't index a torch.UntypedStorage with {type(index).__name__}")
        self._check(index)
        return self._numbers()[index].item()

    def _like(self, storage):
        return UntypedStorage(storage)

    def untyped(self):
        return self

    def resize_(self, size):
        """Another number of bytes; the new ones are uninitialised. Tensors made before keep the old memory."""
        storage = self._storage
        old = host_of(storage).view(np.uint8)[:size]
        made = np.zeros(size, np.uint8)
        made[:len(old)] = old
        storage.buffer = storage.backend.from_numpy(made.view(storage.dtype.numpy), storage.dtype)
        storage.version += 1
        return self

    def _describe(self):
        return f"[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]"


class TypedStorage(_Handle):
    """Memory as numbers of one dtype. Deprecated in torch, which says so once."""

    def __init__(self, *args, wrap_storage=None, dtype=None, device=None, _internal=False):
        if not _internal:
            _warn_once()
        self.dtype = dtype or dtypes.get_default_dtype()
        if wrap_storage is not None:
            self._storage = wrap_storage._storage
        elif args and not isinstance(args[0], (int, np.integer)):
            self._storage = from_data(args[0], self.dtype, device)._storage
        else:
            backend = backends.get_backend(device)
            self._storage = Storage(backend.empty(int(args[0]) if args else 0, self.dtype), backend, self.dtype)

    def element_size(self):
        return self.dtype.itemsize

    _element_size, _size = element_size, _Handle.size

    @property
    def _untyped_storage(self):
        return UntypedStorage(self._storage)

    def untyped(self):
        """The same memory in bytes."""
        return self._untyped_storage

    def _numbers(self):
        storage = self._storage
        if storage.dtype is not self.dtype:        # read with other eyes
            storage = Storage(host_of(storage).view(self.dtype.numpy), backends.CPU, self.dtype)
        return from_storage(storage, (self.size(),), (1,))

    def _wrote(self, numbers):
        if self._storage.dtype is not self.dtype:
            self._storage.version += 1

    def __getitem__(self, index):
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        if not isinstance(index, int):
            raise RuntimeError(f"can't index a {type(self)} with {type(index)}")
        self._check(index)
        return self._numbers()[index].item()

    def _like(self, storage):
        return TypedStorage(wrap_storage=UntypedStorage(storage), dtype=self.dtype, _internal=True)

    def type(self):
        """torch's old name: 'torch.FloatStorage'."""
        return f"torch.{self.dtype.legacy_name}Storage"

    def pickle_storage_type(self):
        return f"{self.dtype.legacy_name}Storage"

    def _describe(self):
        return f"[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"


def is_storage(obj):
    """Whether an object is a storage."""
    return isinstance(obj, _Handle)


# ---- on tensors
def _untyped_storage(self):
    """The memory behind this tensor, in bytes."""
    return UntypedStorage(self._storage)


def _typed_storage(self):
    return TypedStorage(wrap_storage=UntypedStorage(self._storage), dtype=self.dtype, _internal=True)


def _storage(self):
    """The memory behind this tensor, as numbers of its dtype."""
    _warn_once()
    return _typed_storage(self)


def _pin_memory(self, device=None):
    """The tensor itself: transfers here don't wait for anything, so no memory needs to be pinned for them."""
    if not self.is_cpu:
        raise RuntimeError(f"cannot pin '{self.type()}' only dense CPU tensors can be pinned")
    return self


Tensor.untyped_storage, Tensor._typed_storage, Tensor.storage = _untyped_storage, _typed_storage, _storage
Tensor.is_shared = lambda self: False
Tensor.share_memory_ = lambda self: self           # nothing to do: workers inherit memory by forking
Tensor.is_pinned = lambda self, device=None: False
Tensor.pin_memory = _pin_memory
