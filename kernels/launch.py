"""Launching kernels: which machine, and on the simulator which of its two back ends.

It knows nothing of what kernels compute. On the simulator launches are tiered: the first and small ones run in Python,
which starts at once; hot ones are compiled in their place. Counts of launches and threads decide, never a clock: two
runs of a program give the same bits.
"""
from __future__ import annotations

import contextlib
import math
import os

import numpy as np

from . import array, memory
from .array import Array, Dimensional
from .memory import HostBuffer, Machine, OutOfMemoryError
from .provider import TYPES

MODES = ("auto", "python", "compiled", "check")
BIG = 2048           # threads in one launch: more, and it's compiled at once (which costs as much as 30,000 in Python)
HOT = 16384          # threads of all launches of one kernel until it's compiled
LAUNCH = 64          # what a launch costs in Python besides its threads, in threads
NUMBERS = {int, float, bool, *[t.numpy.type for t in TYPES.values()]}           # arguments that have no machine


def launch(kernel, grid, block, shared, args):
    """Run a kernel on the machine of its first array; numpy arrays go to the default machine and come back.

    Objects that offer `__kernel_array__()`, as tensors do, take part with their dimensions.
    """
    machine = None
    for a in args:                                  # the engine's launches: Arrays of one machine, and numbers
        kinds = a.__class__
        if kinds is Array:
            if machine is not None and a.buffer.machine is not machine:
                break
            machine = a.buffer.machine
        elif kinds not in NUMBERS and not (kinds is tuple and (not a or a[0].__class__ in NUMBERS)):
            break
    else:
        if machine is not None:
            return machine.launch(kernel, grid, block, shared, args)
    args = [with_dimensions(a.__kernel_array__()) if hasattr(a, "__kernel_array__") else a for a in args]
    return (machine_of(args) or memory.default()).launch(kernel, grid, block, shared, args)


def with_dimensions(a):
    return Dimensional(a) if a.__class__ is Array else a


def machine_of(args):
    """The one machine of all arrays among the arguments; None where there are only numpy's."""
    found = None
    for a in args:
        if isinstance(a, (tuple, list)):
            machine = machine_of(a)
        else:
            a = getattr(a, "array", a)
            machine = a.buffer.machine if a.__class__ is Array else None
        if machine is not None and found is not None and machine is not found:
            raise ValueError(f"the arrays of one launch are on two machines, the {found.name} and the {machine.name}")
        found = found or machine
    return found


class Made:
    """What the simulator has made of a kernel for one kind of arguments, and how much that has run."""
    __slots__ = ("run", "threads", "compiled")

    def __init__(self, run, compiled):
        self.run, self.threads, self.compiled = run, 0, compiled


class Simulator(Machine):
    """A GPU made of numpy arrays and loops."""
    name = "tinygrad_edu simulator"
    simulated = True

    def __init__(self):
        self.allocated, self.peak, self.launches, self.mode = 0, 0, 0, "auto"
        self.set_mode(os.environ.get("TINYGRAD_EDU_SIM", "auto"))

    def set_mode(self, mode):
        if mode not in MODES:
            raise ValueError(f"the simulator's mode is one of {', '.join(MODES)}, not {mode!r}")
        self.mode = mode

    @contextlib.contextmanager
    def using(self, mode):
        """`with simulator.using("check"):` launches run in that mode."""
        before = self.mode
        self.set_mode(mode)
        try:
            yield self
        finally:
            self.mode = before

    # ---- memory
    def empty(self, count, dtype):
        try:
            return HostBuffer(self, np.empty(count, dtype))
        except MemoryError as error:
            raise OutOfMemoryError(f"CUDA out of memory. The simulator's memory is this computer's: {error}") from None

    def upload(self, host):
        buffer = self.empty(host.size, host.dtype)
        buffer.host[:] = host
        return buffer

    def download(self, buffer, dtype, offset, count):
        return buffer.typed(dtype)[offset:offset + count]

    def memory_allocated(self):
        return self.allocated

    def properties(self):
        """Those of the smallest GPU that our kernels are made for; the memory is the host's."""
        return {"name": self.name, "major": 7, "minor": 5, "total_memory": host_memory(), "multi_processor_count": 1,
                "warp_size": 32, "max_threads_per_multi_processor": 1024, "is_integrated": 1, "is_multi_gpu_board": 0}

    # ---- launches
    def launch(self, kernel, grid, block, shared, args, work=1):
        values, key = [], [self.mode]
        for a in args:                              # straight, not short: every launch comes through here
            kinds = a.__class__
            if kinds is Array:
                buffer, kinds = a.buffer, a.dtype
                a = (buffer.host if kinds is buffer.dtype else buffer.typed(kinds))[a.offset:]
            elif kinds is tuple and a and a[0].__class__ in NUMBERS:
                kinds = tuple([x.__class__ for x in a])
            elif kinds not in NUMBERS:
                a = argument(a)
                kinds = kind(a)
            values.append(a)
            key.append(kinds)
        args, key = values, tuple(key)
        made = kernel.made.get(key)
        if made is None:
            made = kernel.made[key] = self.make(kernel, args)
        self.launches += 1
        if not made.compiled and self.mode == "auto":
            threads = math.prod(grid) * math.prod(block) * work
            made.threads += max(threads, LAUNCH)
            if threads > BIG or made.threads > HOT:
                made.run, made.compiled = self.compile(kernel, args), True
        made.run(grid, block, shared, args)

    def make(self, kernel, args):
        if self.mode == "compiled":
            return Made(self.compile(kernel, args), True)
        return Made(self.program(kernel).python(check=self.mode == "check"), False)

    def program(self, kernel):
        from .simulator import program
        return program(kernel.py_func)

    def compile(self, kernel, args):
        """The compiled form; that in Python without numba, for kernels that print, and in "auto" where numba can't."""
        from .simulator import Unsupported
        if "print" in kernel.py_func.__code__.co_names:
            return self.program(kernel).python()
        try:
            return self.program(kernel).compiled(args, boundscheck=kernel.boundscheck)
        except ImportError:
            return self.program(kernel).python()
        except Unsupported:
            if self.mode != "auto":
                raise
            return self.program(kernel).python()


def host_memory():
    """Bytes of memory of this computer, 0 where the system doesn't say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def pointer(a):
    """The flat numpy array that stands for an address in the simulator."""
    return a.buffer.typed(a.dtype)[a.offset:]


def argument(a):
    if a.__class__ is Array:
        return pointer(a)
    if a.__class__ is Dimensional:
        array, step = a.array, a.dtype.itemsize
        return np.ndarray(a.shape, a.dtype, pointer(array) if a.size else b"", 0, [s * step for s in array.strides])
    if isinstance(a, (tuple, list)):
        return tuple([argument(x) for x in a])
    if isinstance(a, (np.ndarray, np.generic, bool, int, float)):
        return a
    raise TypeError(f"a kernel takes arrays, numbers and tuples of them, not {type(a).__name__}")


def kind(a):
    """What the code made for an argument depends on."""
    kinds = a.__class__
    if kinds is np.ndarray:
        return a.dtype if a.ndim == 1 and a.strides[0] == a.itemsize else (a.dtype, a.ndim, a.flags.c_contiguous)
    return tuple([kind(x) for x in a]) if kinds is tuple else kinds


# ---- numba's names for learners' programs
def to_device(host, stream=0):
    """A copy of a numpy array on the default machine."""
    return Dimensional(array.from_numpy(memory.default(), host))


def device_array(shape, dtype=np.float64):
    """A new array on the default machine, its elements not set."""
    return Dimensional(array.empty(memory.default(), (shape,) if isinstance(shape, int) else tuple(shape), dtype))


def synchronize():
    """Wait until everything launched is done."""
    memory.default().synchronize()


def is_available():
    """Whether kernels run on a real GPU."""
    return memory.gpu() is not None
