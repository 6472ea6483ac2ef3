"""The CUDA backend: kernels/ behind the four verbs, on a real GPU or on the simulator.

It translates: this library's dtypes to numpy's, ops to kernels. It knows no formula and no kernel's inside; kernels
know nothing of ops.
"""
from __future__ import annotations

import functools
import importlib

import numpy as np

from ..core import dtypes
from . import device, register_backend
from .switches import Library

KERNELS = __package__.removesuffix("backends") + "kernels"


@functools.cache
def kernels(file):
    """A file of kernels/, imported when first used."""
    return importlib.import_module(f"{KERNELS}.{file}")


class CudaBackend:
    """One machine of kernels/memory.py as a device."""
    native = False
    untyped = True                                  # a buffer may be read as any type
    count = 1                                       # devices of this type

    def __init__(self, machine):
        self.device, self.machine = device("cuda", 0), machine
        self.Array = kernels("array").Array

    @property
    def name(self):
        return self.machine.name

    # ---- memory
    def empty(self, count, dtype):
        return self.machine.empty(count, dtype.numpy)

    def from_numpy(self, array, dtype):
        with np.errstate(all="ignore"):
            host = np.ascontiguousarray(array, dtype.numpy)
        return self.machine.upload(host.reshape(-1))

    def to_numpy(self, array):
        return array.numpy()

    def as_array(self, buffer, shape, strides, offset, dtype):
        return self.Array(buffer, tuple(shape), tuple(strides), offset, dtype.numpy)

    def buffer_of(self, array):
        return array.buffer

    def layout_of(self, array):
        return array.shape, array.strides, dtypes.from_numpy(array.dtype)

    def copy(self, target, source):
        kernels("elementwise").copy(target, source)

    def fill(self, target, value):
        kernels("elementwise").fill(target, value)

    def cast(self, array, dtype):
        return kernels("elementwise").cast(array, dtype.numpy)

    def synchronize(self):
        self.machine.synchronize()

    # ---- memory shared with other libraries on the same GPU
    def interface(self, array):
        """What a tensor with this array answers as its `__cuda_array_interface__`."""
        return kernels("exchange").interface_of(array)

    def dlpack_device(self):
        return kernels("exchange").dlpack_device(self.machine)

    def to_dlpack(self, array, stream):
        return kernels("exchange").to_dlpack(array, stream)

    def shared(self, other, protocol):
        """(buffer, shape, strides, offset, dtype) of another library's array, which "interface" or "dlpack" tells."""
        array = getattr(kernels("exchange"), f"from_{protocol}")(self.machine, other)
        return array.buffer, array.shape, array.strides, array.offset, dtypes.from_numpy(array.dtype)

    # ---- the four verbs
    def elementwise(self, op, arrays, params, shape, dtype):
        computing = next((a.dtype for a in arrays[len(op.apart):] if a.__class__ is self.Array), None)
        return kernels("elementwise").run(op.cuda, op.__name__.lower(), arrays, params, shape, dtype.numpy, computing)

    def reduce(self, op, array, dims, keepdim, dtype, params):
        return kernels("reduce").run(*op.cuda, name=op.__name__.lower(), array=array, dims=dims, keepdim=keepdim,
                                     dtype=dtype.numpy)

    def matmul(self, a, b):
        return kernels("matmul").matmul(a, b)

    def program(self, name):
        """The kernel program that an op names: "softmax.log_softmax" is a function of kernels/softmax.py."""
        file, _, function = name.rpartition(".")
        return getattr(kernels(file), function)

    def run(self, op, arrays, params):
        if isinstance(op.cuda, str):
            return self.program(op.cuda)(*arrays, **params)
        array = next(a for a in arrays if a.__class__ is self.Array)
        return kernels("elementwise").run(op.cuda, op.__name__.lower(), arrays, params, array.shape, array.dtype)


def out_of_memory():
    """The exception for it: torch.cuda.OutOfMemoryError."""
    return kernels("memory").OutOfMemoryError


def simulated():
    """The backend of the simulator, made when first asked for."""
    return made(kernels("memory").simulator())


def find():
    """What `device="cuda"` means at first: the simulator if the environment asks for it, else a GPU, or None."""
    memory = kernels("memory")
    machine = memory.simulator() if memory.wants_simulator() else memory.gpu()
    return made(machine) if machine else None


@functools.cache
def made(machine):
    return CudaBackend(machine)


def use(backend):
    """From now on `device="cuda"` means this backend; tensors on another one stay there."""
    backend.device = "cuda"                         # the name under which it is found ...
    register_backend(backend)
    backend.device = device("cuda", 0)              # ... and the device that its tensors are on
    return backend


# ---- torch.backends.cuda: switches that programs set
matmul = Library(allow_tf32=False, allow_fp16_reduced_precision_reduction=False)


def is_built():
    """Whether this library can compute on CUDA at all; `cuda.is_available()` tells whether it can here."""
    return True
