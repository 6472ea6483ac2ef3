"""Where arrays live: what a machine must offer, which there are, and the memory of the simulated one.

It knows no kernel. A machine is the real GPU (gpu.py) or the simulator; both can be used in one process, and a buffer
knows its machine.
"""
from __future__ import annotations

import os

import numpy as np


class OutOfMemoryError(RuntimeError):
    """The machine's memory is full: a GPU's even after everything unused was given back."""


class Machine:
    """What kernels run on.

    A buffer has `machine`, `dtype`, `nbytes`, `ptr` (an address) and a length; it may be read as any other type.
    """
    name = "nothing"
    simulated = False

    def empty(self, count, dtype):
        """A buffer for that many elements, not set. OutOfMemoryError where there is no room."""
        raise NotImplementedError

    def upload(self, host):
        """A buffer with the elements of a contiguous 1-D numpy array."""
        raise NotImplementedError

    def download(self, buffer, dtype, offset, count):
        """Those elements of a buffer as a 1-D numpy array, which may be the memory itself: copy it before you write."""
        raise NotImplementedError

    def launch(self, kernel, grid, block, shared, args, work=1):
        """Run a kernel; arrays among the arguments are `Array`s or numpy arrays. KernelError for sizes no GPU takes.

        work   how many simple threads each of these threads is worth: a simulator counts what it should compile
        """
        raise NotImplementedError

    def synchronize(self):
        """Wait until everything launched is done."""

    def empty_cache(self):
        """Give unused memory back."""

    def memory_allocated(self):
        """Bytes in use. `peak` is the most there have been."""
        raise NotImplementedError

    def memory_reserved(self):
        """Bytes held from the driver, in use or kept for reuse."""
        return self.memory_allocated()

    def properties(self):
        """What torch.cuda.get_device_properties tells: name, major, minor, total_memory ..."""
        raise NotImplementedError


class HostBuffer:
    """The simulator's memory: a flat numpy array, which can be read as any type."""
    __slots__ = ("machine", "nbytes", "host", "dtype", "views")

    def __init__(self, machine, host):
        self.machine, self.host, self.dtype, self.views = machine, host, host.dtype, None
        self.nbytes = host.nbytes
        machine.allocated += self.nbytes
        if machine.allocated > machine.peak:
            machine.peak = machine.allocated

    def __len__(self):
        return self.host.size

    @property
    def ptr(self):
        """The address, in this computer's memory."""
        return self.host.ctypes.data

    def typed(self, dtype):
        """The memory as an array of dtype."""
        if dtype is self.dtype or dtype == self.dtype:
            return self.host
        if self.views is None:
            self.views = {}
        if dtype not in self.views:
            usable = self.nbytes // dtype.itemsize * dtype.itemsize
            self.views[dtype] = self.host.view(np.uint8)[:usable].view(dtype)
        return self.views[dtype]

    def __del__(self):
        self.machine.allocated -= self.nbytes


_chosen = {}


def simulator():
    """The simulated machine: one a process."""
    if "simulator" not in _chosen:
        from .launch import Simulator
        _chosen["simulator"] = Simulator()
    return _chosen["simulator"]


def gpu():
    """The real GPU, or None where there is none."""
    if "gpu" not in _chosen:
        from . import gpu
        _chosen["gpu"] = gpu.machine() if gpu.is_present() else None
    return _chosen["gpu"]


def wants_simulator():
    """Whether the environment asks for the simulator: TINYGRAD_EDU_CUDA=simulator."""
    wish = os.environ.get("TINYGRAD_EDU_CUDA", "")
    if wish not in ("", "simulator", "gpu"):
        raise ValueError(f"TINYGRAD_EDU_CUDA is {wish!r}; it may be simulator or gpu")
    return wish == "simulator"


def default():
    """The machine on which kernels run when nothing says which: the GPU if there is one, else the simulator."""
    return simulator() if wants_simulator() else gpu() or simulator()
