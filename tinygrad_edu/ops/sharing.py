"""Memory shared with other libraries, without a copy: numpy's; on the CPU or a GPU by DLPack; __cuda_array_interface__.

It knows the protocols as tensors speak them; what they say of memory on a GPU, the backend knows. A tensor that
requires a gradient isn't shared: what others write can't be on the tape.
"""
from __future__ import annotations

import ctypes

import numpy as np

from .. import backends
from ..core import layout
from ..core.data import from_array_dtype
from ..core.export import export
from ..core.storage import Storage
from ..core.tensor import Tensor, from_storage

CPU, GPU = 1, 2                                    # DLPack's numbers


def over(ndarray):
    """A tensor over the memory of a numpy array."""
    dtype, step = from_array_dtype(ndarray), ndarray.itemsize
    if any(s % step for s in ndarray.strides):
        raise ValueError("given numpy array strides not a multiple of the element byte size. Copy the numpy array to "
                         "reallocate the memory.")
    strides = tuple(s // step for s in ndarray.strides)
    if ndarray.flags.c_contiguous:
        buffer = ndarray.reshape(-1)
        strides = layout.contiguous_strides(ndarray.shape)
    else:
        extent = layout.extent(ndarray.shape, strides)
        buffer = np.lib.stride_tricks.as_strided(ndarray, (extent,), (step,), writeable=ndarray.flags.writeable)
    return from_storage(Storage(buffer, backends.CPU, dtype), ndarray.shape, strides, 0, dtype)


# ---- DLPack
INVALID = ("from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you "
           "might have already constructed a tensor from it once.")


@export("from_dlpack()", out=False)
def from_dlpack(ext_tensor):
    """A tensor over memory that another library offers by the DLPack protocol, on the CPU or the GPU."""
    if isinstance(ext_tensor, Tensor) and not ext_tensor._spec.backend.native:
        return alias(ext_tensor)
    if type(ext_tensor).__name__ == "PyCapsule":   # what `utils.dlpack.to_dlpack` gives
        capsule = ext_tensor
        ext_tensor = Offer(lambda: capsule, device_of(capsule))
    if not hasattr(ext_tensor, "__dlpack__"):
        raise RuntimeError(INVALID)
    device = ext_tensor.__dlpack_device__()
    if device[0] == GPU:
        return elsewhere(ext_tensor, "dlpack")
    found = np.from_dlpack(Offer(ext_tensor.__dlpack__, device))
    if not found.flags.writeable:
        # numpy marks what it imports read-only; the memory is the other library's, and torch shares it writable
        pointer = found.__array_interface__["data"][0]
        holder = type("_Memory", (), {"__array_interface__": {**found.__array_interface__, "data": (pointer, False)},
                                      "keep": found})()
        found = np.asarray(holder)
    return over(found)


class Offer:
    """Memory as DLPack offers it; what numpy asks for and the other library doesn't know yet is left out."""

    def __init__(self, give, device):
        self.give, self.device = give, device

    def __dlpack__(self, **asked):
        try:
            return self.give(**asked)
        except TypeError:
            return self.give()

    def __dlpack_device__(self):
        return self.device


def device_of(capsule):
    """(kind, index) of the device that a capsule's memory is on: behind the address, at the beginning of a DLTensor."""
    for name, begin in ((b"dltensor", 0), (b"dltensor_versioned", 32)):
        if ctypes.pythonapi.PyCapsule_IsValid(ctypes.py_object(capsule), name):
            pointer = ctypes.pythonapi.PyCapsule_GetPointer
            pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
            return tuple((ctypes.c_int32 * 2).from_address(pointer(capsule, name) + begin + 8))
    raise RuntimeError(INVALID)


def alias(x):
    """Another tensor over x's memory."""
    refuse_gradient(x)
    spec = x._spec
    return from_storage(x._storage, spec.shape, spec.strides, x._offset, spec.dtype)


def refuse_gradient(x):
    if x.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")


def _dlpack(x, *, stream=-1, max_version=None, dl_device=None, copy=None):
    refuse_gradient(x)
    to_dlpack = getattr(x._spec.backend, "to_dlpack", None)
    if to_dlpack is None:                          # the CPU's; numpy() refuses on other devices
        return x.numpy().__dlpack__(**({} if max_version is None else {"max_version": max_version}))
    x._storage                                     # noqa: B018  (others may write: the memory is shared from now on)
    return to_dlpack(x._array, stream)


def _dlpack_device(x):
    found = getattr(x._spec.backend, "dlpack_device", None)
    return found() if found else (CPU, 0)


Tensor.__dlpack__, Tensor.__dlpack_device__ = _dlpack, _dlpack_device


# ---- __cuda_array_interface__
def _interface(x):
    if not x.is_cuda:                              # AttributeError: hasattr says no
        raise AttributeError(f"Can't get __cuda_array_interface__ on non-CUDA tensor type: {x.type()} If CUDA data is "
                             "required use tensor.cuda() to copy tensor to device memory.")
    if x.requires_grad:
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad. If gradients aren't "
                           "required, use var.detach() to get Variable that doesn't require grad.")
    x._storage                                     # noqa: B018  (others may write: the memory is shared from now on)
    return x._spec.backend.interface(x._array)


Tensor.__cuda_array_interface__ = property(_interface)


def on_gpu(data):
    """Whether this is another library's array on a GPU."""
    return not isinstance(data, Tensor) and hasattr(data, "__cuda_array_interface__")


def from_interface(data):
    """A tensor over the memory of an object with `__cuda_array_interface__`."""
    return elsewhere(data, "interface")


def elsewhere(other, protocol):
    """A tensor over the memory of another library's array on the GPU."""
    backend = backends.get_backend("cuda")
    buffer, shape, strides, offset, dtype = backend.shared(other, protocol)
    return from_storage(Storage(buffer, backend, dtype), layout.Size(shape), strides, offset, dtype)
