"""A real GPU as a machine: its memory, copies, and launches at two or three microseconds of Python.

It knows no kernel, and of numba only what lower.py makes: memory and launches go through cuda.bindings and cuda.core,
because numba's own launch costs 25 microseconds and its arrays ask the driver for memory each time.

    everything runs on one stream, in order    so memory given back can be handed out again at once, without waiting
    a pool of blocks by size                   the driver is asked for memory only when the list of a size is empty
    a launch is a look-up                      kinds of arguments -> compiled kernel; it gets addresses and numbers

Launches don't wait for the GPU: an error of a kernel shows at a later call. CUDA_LAUNCH_BLOCKING=1 waits after each and
so names the kernel. PYTORCH_NO_CUDA_MEMORY_CACHING=1 (torch's name) does without the pool, so that a tool which watches
for reads out of bounds knows each array's.
"""
from __future__ import annotations

import collections
import ctypes
import functools
import os

import numpy as np

from . import lower
from .array import Array, Dimensional, from_numpy
from .memory import Machine, OutOfMemoryError
from .simulator import checks

LIBRARY = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
SMALLEST = 512                                      # bytes of the smallest block
TABLES = 256                                        # pointer tables that are kept on the GPU

ASYNCHRONOUS = """
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
"""


class CudaError(RuntimeError):
    """The driver refused, or a kernel went wrong on the GPU. After the latter the process has to be started again."""


# ---- is there one?
@functools.cache
def is_present():
    """Whether a GPU and its driver are there. Only the driver is asked (0.2 ms without one): numba isn't imported."""
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


@functools.cache
def machine():
    """The machine of GPU 0 (CUDA_VISIBLE_DEVICES chooses which one that is): one a process."""
    absent = lower.missing()
    if absent:
        raise ImportError(f"there is a GPU, but {', '.join(absent)} can't be imported: {lower.EXTRA} "
                          "(cuda12 for drivers before 580)")
    return Gpu()


# ---- memory
class Buffer:
    """A block of GPU memory: `ptr` (an address) and `nbytes`. It goes back to the pool when Python forgets it."""
    __slots__ = ("machine", "dtype", "ptr", "nbytes", "size")

    def __init__(self, machine, nbytes, dtype):
        self.machine, self.dtype, self.nbytes = machine, dtype, nbytes
        self.size = size_class(nbytes) if machine.pools else max(nbytes, 1)
        try:
            self.ptr = machine.free[self.size].pop()
        except (KeyError, IndexError):
            self.ptr = machine.more(self.size)
        machine.allocated += self.size
        if machine.allocated > machine.peak:
            machine.peak = machine.allocated

    def __len__(self):
        return self.nbytes // self.dtype.itemsize

    def __del__(self):
        if hasattr(self, "ptr"):                    # not where memory was refused
            machine = self.machine
            machine.allocated -= self.size
            if machine.pools:
                machine.free.setdefault(self.size, []).append(self.ptr)
            else:
                machine.give_back(self.size, self.ptr)


def size_class(nbytes):
    """The size of the block for so many bytes: eight between powers of two, so that at most an eighth is wasted."""
    step = max(SMALLEST, 1 << max(0, (nbytes - 1).bit_length() - 4))
    return max(step, -(-nbytes // step) * step)


def in_words(nbytes):
    """1.50 GiB"""
    power = min(3, max(0, nbytes.bit_length() - 1) // 10)
    return f"{nbytes / 1024 ** power:.2f} {('bytes', 'KiB', 'MiB', 'GiB')[power]}"


def explained(error, kernel, grid, block, shared, made):
    """The exception for a launch that was refused: in the simulator's words if it was for its sizes."""
    wrong = checks.refusal(grid, block, shared + static_bytes(made))
    if wrong:
        return checks.refused(kernel.__name__, grid, block, wrong)
    return CudaError(f"CUDA error: the launch {kernel.__name__}[{grid}, {block}] with {shared} bytes of dynamic shared "
                     f"memory was refused: {error}")


def static_bytes(made):
    """Shared memory that a loaded kernel takes, whatever its launch says."""
    try:
        found = made.attributes.shared_size_bytes
        return found() if callable(found) else found            # a method before cuda.core 1.0
    except Exception:                               # after an error of a kernel the GPU answers nothing
        return 0


def in_dimensions(array, values):
    """An array as numba's own kernels get it: two owners (none), sizes, address, shape, strides. All join `values`."""
    step = array.dtype.itemsize
    values += [0, 0, array.size, step, array.buffer.ptr + array.offset * step, *array.shape]
    values += [stride * step for stride in array.strides]
    return lower.InDimensions(array.dtype, array.ndim, "C" if array.is_contiguous() else "A")


# ---- the machine
class Gpu(Machine):
    """GPU 0 with one stream, the driver's default one."""
    simulated = False

    def __init__(self):
        from cuda.bindings import driver
        from cuda.core import Device, LaunchConfig, launch
        self.driver, self.start = driver, launch
        self.device = Device(0)
        self.device.set_current()
        self.stream = self.device.default_stream
        self.name = self.device.name
        cc = self.device.compute_capability
        self.cc = (cc.major, cc.minor, "a") if cc.major >= 9 else (cc.major, cc.minor)      # as numba does
        self.configuration = functools.lru_cache(4096)(
            lambda grid, block, shared: LaunchConfig(grid=grid, block=block, shmem_size=shared))
        self.blocking = os.environ.get("CUDA_LAUNCH_BLOCKING") == "1"
        self.pools = os.environ.get("PYTORCH_NO_CUDA_MEMORY_CACHING") != "1"
        self.free, self.allocated, self.reserved, self.peak = {}, 0, 0, 0
        self.launches, self.last, self.tables = 0, None, {}
        self.recent = collections.deque(maxlen=16)  # tables that a launch may be about to use: not to be given back yet

    def ask(self, function, *args):
        """Call the driver: what it gives, or its error."""
        error, *answer = function(*args)
        if error == self.driver.CUresult.CUDA_ERROR_INVALID_CONTEXT:
            self.device.set_current()               # a thread that is new to the GPU
            error, *answer = function(*args)
        if error:
            self.fail(error)
        return answer[0] if len(answer) == 1 else answer

    def fail(self, error):
        if error == self.driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise OutOfMemoryError("CUDA out of memory.")
        words = self.driver.cuGetErrorString(error)[1].decode()
        last = f"The last kernel launched was {self.last.__name__}.\n" if self.last else ""
        raise CudaError(f"CUDA error: {words}{ASYNCHRONOUS}{last}"
                        "After an error of a kernel the GPU answers nothing more: start the process again.")

    # ---- memory
    def empty(self, count, dtype):
        return Buffer(self, count * dtype.itemsize, dtype)

    def more(self, size):
        """A block from the driver; when it has none, after everything unused was given back to it."""
        try:
            ptr = self.ask(self.driver.cuMemAlloc, size)
        except OutOfMemoryError:
            self.empty_cache()
            try:
                ptr = self.ask(self.driver.cuMemAlloc, size)
            except OutOfMemoryError:
                raise OutOfMemoryError(self.shortage(size)) from None
        self.reserved += size
        return int(ptr)

    def shortage(self, size):
        unused, total = self.ask(self.driver.cuMemGetInfo)
        return (f"CUDA out of memory. Tried to allocate {in_words(size)}. GPU 0 has a total capacity of "
                f"{in_words(total)} of which {in_words(unused)} is free. {in_words(self.allocated)} is in use by "
                "arrays; all that was unused has been given back.\n"
                "Smaller batches need less, and so does no_grad() where no gradients are wanted.")

    def empty_cache(self):
        """Give the blocks that nobody uses back to the driver."""
        self.tables.clear()
        self.synchronize()
        for size, blocks in self.free.items():
            while blocks:
                self.give_back(size, blocks.pop())

    def give_back(self, size, ptr):
        self.ask(self.driver.cuMemFree, ptr)
        self.reserved -= size

    def memory_allocated(self):
        return self.allocated

    def memory_reserved(self):
        """Bytes taken from the driver: in use or in the pool."""
        return self.reserved

    # ---- copies: both wait until they are done, and come after every kernel launched before
    def upload(self, host):
        buffer = Buffer(self, host.nbytes, host.dtype)
        if host.nbytes:
            self.ask(self.driver.cuMemcpyHtoD, buffer.ptr, host.ctypes.data, host.nbytes)
        return buffer

    def download(self, buffer, dtype, offset, count):
        host = np.empty(count, dtype)
        if host.nbytes:
            self.ask(self.driver.cuMemcpyDtoH, host.ctypes.data, buffer.ptr + offset * dtype.itemsize, host.nbytes)
        return host

    def synchronize(self):
        self.ask(self.driver.cuStreamSynchronize, self.stream.handle)

    # ---- launches
    def launch(self, kernel, grid, block, shared, args, work=1):
        """Arrays become addresses; numpy's scalars, integers and floats go as they are."""
        values, kinds, wide = [], [self], False
        for a in args:
            kind = a.__class__
            if kind is Array:
                kind = a.dtype
                values.append(a.buffer.ptr + a.offset * kind.itemsize)
            elif kind is int:
                values.append(a)
                wide = wide or not -0x80000000 <= a <= 0x7fffffff
            elif kind is tuple or kind is list:
                kind, needs = self.flatten(tuple(a), values)
                wide = wide or needs
            elif kind is Dimensional:
                kind = in_dimensions(a.array, values)
            elif kind is np.ndarray:
                return self.launch_on_copies(kernel, grid, block, shared, args)
            else:
                values.append(a)
            kinds.append(kind)
        key = (*kinds, wide)
        made = kernel.made.get(key)
        if made is None:
            made = kernel.made[key] = self.make(kernel, kinds[1:], wide)
        self.launches += 1
        self.last = kernel
        try:
            self.start(self.stream, self.configuration(grid, block, shared), made, *values)
        except Exception as error:                  # cuda.core's, of whichever kind
            self.start_again(error, kernel, grid, block, shared, made, values)
        if self.blocking:
            self.synchronize()

    def start_again(self, error, kernel, grid, block, shared, made, values):
        """A thread that is new to the GPU gets another try; everyone else gets the error."""
        try:
            if "INVALID_CONTEXT" not in str(error):
                raise error
            self.device.set_current()
            self.start(self.stream, self.configuration(grid, block, shared), made, *values)
        except Exception as error:
            raise explained(error, kernel, grid, block, shared, made) from error

    def flatten(self, given, values):
        """A tuple's kind, and whether an integer in it needs 64 bits. Its numbers, or a table, join `values`."""
        if given and given[0].__class__ is Array:
            dtype = given[0].dtype
            values.append(self.table(tuple([a.buffer.ptr + a.offset * dtype.itemsize for a in given])))
            return lower.Table(dtype), False
        values += given
        return (tuple([n.__class__ for n in given]),
                any([not -0x80000000 <= n <= 0x7fffffff for n in given if n.__class__ is int]))

    def table(self, addresses):
        """The address of an array of addresses. What stays the same from step to step is sent once."""
        found = self.tables.get(addresses)
        if found is None:
            if len(self.tables) >= TABLES:
                self.tables.pop(next(iter(self.tables)), None)          # the oldest
            found = self.tables[addresses] = self.upload(np.array(addresses, np.uint64))
        self.recent.append(found)
        return found.ptr

    def make(self, kernel, kinds, wide):
        """The kernel for arguments of these kinds, compiled and loaded."""
        made = lower.compile(kernel, kinds, self.cc, wide)
        return made.code.get_kernel(made.name)

    def launch_on_copies(self, kernel, grid, block, shared, args):
        """With numpy arrays, for lessons: copied there and back."""
        there = {id(a): Dimensional(from_numpy(self, a)) for a in args if a.__class__ is np.ndarray}
        self.launch(kernel, grid, block, shared, [there.get(id(a), a) for a in args])
        for a in args:
            if id(a) in there and a.flags.writeable:
                there[id(a)].copy_to_host(a)

    def properties(self):
        """What torch.cuda.get_device_properties tells."""
        about = self.device.properties
        return {"name": self.name, "major": self.cc[0], "minor": self.cc[1],
                "total_memory": self.ask(self.driver.cuMemGetInfo)[1],
                "multi_processor_count": about.multiprocessor_count, "warp_size": about.warp_size,
                "max_threads_per_multi_processor": about.max_threads_per_multiprocessor,
                "shared_memory_per_block": about.max_shared_memory_per_block,
                "regs_per_multiprocessor": about.max_registers_per_multiprocessor, "L2_cache_size": about.l2_cache_size}
