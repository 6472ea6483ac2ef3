"""Arrays shared with other libraries on one GPU, without a copy: __cuda_array_interface__ and DLPack, out and in.

It knows neither tensors nor dtype rules. All our work is on the driver's default stream, which is torch's and cupy's
too: whoever works on that stream needs to wait for nothing.
"""
from __future__ import annotations

import numpy as np

from .array import Array, row_major

DEFAULT_STREAM = 1                                  # its number in both protocols
GPU = 2                                             # kDLCUDA


class Foreign:
    """Memory of another library's array, which it keeps alive."""
    __slots__ = ("machine", "dtype", "ptr", "nbytes", "owner")

    def __init__(self, machine, dtype, ptr, owner):
        self.machine, self.dtype, self.ptr, self.nbytes, self.owner = machine, dtype, ptr, 0, owner

    def __len__(self):
        return self.nbytes // self.dtype.itemsize


class Flat:
    """An Array as numba shall see it: the numbers from its first one on, in one dimension."""

    def __init__(self, array):
        step = array.dtype.itemsize
        count = array.buffer.nbytes // step - array.offset
        self.__cuda_array_interface__ = interface_of(array.view((count,)))
        self.array = array


def extent(array):
    """How many elements lie between an array's first and last one, these included."""
    return sum([(size - 1) * stride for size, stride in zip(array.shape, array.strides)]) + 1 if array.size else 0


SIMULATED = ("the array is on the simulator, whose memory is this computer's own: no GPU could read it. Share a copy "
             "on the CPU")


def address(array):
    """Where element [0, 0, ...] lies on the GPU; 0 for an array of no elements, as the protocols want it."""
    return array.buffer.ptr + array.offset * array.dtype.itemsize if array.size else 0


# ---- __cuda_array_interface__
def interface_of(array):
    """What an object with this array answers as its `__cuda_array_interface__`; AttributeError: it has none."""
    if array.machine.simulated:
        raise AttributeError(SIMULATED)
    step = array.dtype.itemsize
    return {"shape": tuple(array.shape), "typestr": array.dtype.str, "data": (address(array), False), "version": 3,
            "strides": None if array.is_contiguous() else tuple([stride * step for stride in array.strides]),
            "stream": DEFAULT_STREAM}


def from_interface(machine, other):
    """An Array over the memory of an object with `__cuda_array_interface__`, which it keeps alive."""
    refuse_simulator(machine)
    about = other.__cuda_array_interface__
    dtype = np.dtype(about["typestr"])
    ptr, read_only = about["data"]
    if read_only:
        raise ValueError("the array is read-only, and nothing here can promise not to write to it: copy it first")
    if about.get("mask") is not None:
        raise ValueError("masked arrays can't be shared")
    wait_for(machine, about.get("stream"))
    strides = about.get("strides")
    return over(machine, ptr, tuple(about["shape"]), strides and steps(strides, dtype), dtype, other)


def steps(strides, dtype):
    """Strides in elements, of strides in bytes."""
    if any([stride % dtype.itemsize for stride in strides]):
        raise ValueError("the array's strides are no multiples of its elements' size: copy it first")
    return tuple([stride // dtype.itemsize for stride in strides])


def refuse_simulator(machine):
    if machine.simulated:
        raise BufferError("the array is in a GPU's memory, and cuda is the simulator here, which can't read that: copy "
                          "the array to the CPU first")


def wait_for(machine, stream):
    """Wait for what another library does on a stream of its own."""
    if stream not in (None, DEFAULT_STREAM):
        machine.ask(machine.driver.cuStreamSynchronize, stream)


def over(machine, ptr, shape, strides, dtype, owner):
    """An Array over foreign memory; strides None means row by row."""
    if strides and any([stride < 0 for stride in strides]):
        raise ValueError("the array runs backwards (a negative stride): copy it first")
    inside = ptr % 16                               # kernels that read 16 bytes at a time look at the offset alone
    if inside % dtype.itemsize:
        raise ValueError("the array's address is no multiple of its elements' size: copy it first")
    memory = Foreign(machine, dtype, ptr - inside, owner)
    array = Array(memory, shape, row_major(shape) if strides is None else strides, inside // dtype.itemsize, dtype)
    memory.nbytes = inside + extent(array) * dtype.itemsize
    return array


# ---- DLPack
def dlpack_device(machine):
    """What an object with an array on this machine answers as its `__dlpack_device__()`."""
    if machine.simulated:
        raise BufferError(SIMULATED)
    return GPU, 0


def to_dlpack(array, stream=None):
    """What an object with this array answers as its `__dlpack__(stream=...)`: a capsule, to be taken once.

    The work on the memory is done, or is on the default stream; a consumer with a stream of its own finds it done.
    """
    dlpack_device(array.machine)                    # it has one
    from cuda.core import Buffer
    from cuda.core.utils import StridedMemoryView
    if stream not in (None, -1, 0, DEFAULT_STREAM):
        array.machine.synchronize()
    if not array.size:
        raise BufferError("an array of no elements has no memory to share")
    memory = Buffer.from_handle(address(array), extent(array) * array.dtype.itemsize, owner=array.buffer)
    view = StridedMemoryView.from_buffer(memory, tuple(array.shape), tuple(array.strides), dtype=array.dtype)
    return view.__dlpack__()


def from_dlpack(machine, other):
    """An Array over the memory of an object with `__dlpack__`, which it keeps alive."""
    refuse_simulator(machine)
    from cuda.core.utils import StridedMemoryView
    kind, index = other.__dlpack_device__()
    if (kind, index) != dlpack_device(machine):
        raise BufferError(f"the array is on device {index} of kind {kind} (DLPack's numbers), not on GPU 0")
    view = StridedMemoryView(other, stream_ptr=DEFAULT_STREAM)
    if view.readonly:
        raise ValueError("the array is read-only, and nothing here can promise not to write to it: copy it first")
    return over(machine, view.ptr, tuple(view.shape), view.strides and tuple(view.strides), np.dtype(view.dtype), view)
