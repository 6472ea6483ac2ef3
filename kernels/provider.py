"""The one door through which kernels see CUDA: `from .provider import cuda, float32, load4`.

A kernel is one object, lowered per launch: to a GPU's machine code by numba.cuda, which checks do without a GPU, too,
or to the simulator, in plain Python or compiled for the CPU. Nothing is decided at import or at definition, and this
file knows none of those machines. It knows words: what a kernel's source may say. Each machine gives the words its own
meaning (`rebind`).
"""
from __future__ import annotations

import builtins
import dis
import functools
import types

import numpy as np


# ---- words: they mean something in a kernel's source only
class Word:
    """A name such as cuda.threadIdx.x, cuda.syncthreads or cuda.shared.array."""

    def __init__(self, path, doc=None, members=()):
        self.path, self.__doc__ = path, doc
        for member in members:
            setattr(self, member, Word(f"{path}.{member}"))

    def __call__(self, *args, **kwargs):
        raise RuntimeError(f"{self.path} only means something inside a kernel: decorate the function with @cuda.jit "
                           "(or @cuda.jit(device=True)) and launch it as kernel[blocks, threads](...)")

    def __repr__(self):
        return f"<{self.path}>"

    __index__ = __int__ = __float__ = __bool__ = __add__ = __radd__ = __mul__ = __rmul__ = __lt__ = __gt__ = __call__


class Type:
    """A number type in a kernel: `float32(0)` converts, `cuda.shared.array(32, float32)` makes an array of it."""

    def __init__(self, name, numpy=None):
        self.name, self.numpy = name, np.dtype(numpy or name)

    def __call__(self, value):
        """Convert a number as C does: integers wrap around."""
        with np.errstate(all="ignore"):
            return np.asarray(value).astype(self.numpy)[()]

    def __repr__(self):
        return self.name

    def __reduce__(self):
        return self.name                            # pickled by name: there is one object a type


int8, int16, int32, int64 = map(Type, ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = map(Type, ("uint8", "uint16", "uint32", "uint64"))
float16, float32, float64 = map(Type, ("float16", "float32", "float64"))
boolean = Type("boolean", "bool")
TYPES = {t.numpy: t for t in (int8, int16, int32, int64, uint8, uint16, uint32, uint64,
                              float16, float32, float64, boolean)}


def type_of(dtype):
    """The Type of a numpy dtype: type_of(np.float32) is float32."""
    dtype = np.dtype(dtype)
    if dtype not in TYPES:
        if dtype.name != "bfloat16":
            known = ", ".join(t.name for t in TYPES.values())
            raise TypeError(f"kernels compute with {known} and bfloat16, not {dtype}")
        TYPES[dtype] = Type("bfloat16", dtype)      # only a numpy that ml_dtypes has taught knows it
    return TYPES[dtype]


class Intrinsic:
    """What a kernel can call although it has no body in Python alone: a 16-byte load, a function of libdevice.

    python     a function that does the same with numpy scalars and arrays (the simulator; it is also the specification)
    compiled   None: numba compiles `python` for the CPU. Or a function that numba can compile
    gpu        () -> what numba.cuda shall call in its place; asked when a GPU program is made: numba is imported then
    """

    def __init__(self, name, python, gpu, compiled=None):
        self.name, self.python, self.gpu, self.compiled = name, python, gpu, compiled or python
        self.__doc__ = python.__doc__

    def __call__(self, *args):
        return self.python(*args)

    def __repr__(self):
        return f"<intrinsic {self.name}>"


class DeviceFunction:
    """A function that kernels call. In plain Python it is one, too."""

    def __init__(self, py_func, **options):
        self.py_func, self.options = py_func, options
        self.__name__, self.__doc__ = py_func.__name__, py_func.__doc__

    def __call__(self, *args):
        return self.py_func(*args)

    def __repr__(self):
        return f"<device function {self.__name__}>"


class Kernel:
    """A kernel: `kernel[blocks, threads](arrays and numbers)`.

    boundscheck   whether the simulator's compiled form looks at every index, as its form in Python does: by default for
                  all kernels but this library's own, which are tested

    It keeps the Python function and its options (`launch_bounds=`, `max_registers=`: for GPUs). What the machines make
    of it they keep in `made`, under a key of their own.
    """

    def __init__(self, py_func, boundscheck=None, **options):
        self.py_func, self.options, self.made = py_func, options, {}
        self.boundscheck = not is_ours(py_func) if boundscheck is None else boundscheck
        self.__name__, self.__doc__, self.__module__ = py_func.__name__, py_func.__doc__, py_func.__module__

    def __getitem__(self, configuration):
        """`kernel[grid, block]` or `kernel[grid, block, stream, shared_bytes]`; there is only one stream."""
        if not isinstance(configuration, tuple) or not 2 <= len(configuration) <= 4:
            name = self.__name__
            raise ValueError(f"launch {name} as {name}[blocks, threads](...), or with a stream and the bytes of "
                             f"dynamic shared memory: {name}[blocks, threads, 0, bytes](...)")
        grid, block, _, shared = (*configuration, 0, 0)[:4]
        grid, block = three(grid), three(block)
        return lambda *args: launcher()(self, grid, block, shared, args)

    def __call__(self, *args):
        raise ValueError(f"a kernel needs to know how many threads: {self.__name__}[blocks, threads](...)")

    @property
    def source(self):
        """The loops that the simulator makes of this kernel."""
        from .simulator import program
        return program(self.py_func).source

    def __repr__(self):
        return f"<kernel {self.__name__}>"


def three(size):
    """Blocks or threads as three numbers."""
    if size.__class__ is int:
        return size, 1, 1
    sizes = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    if any([not hasattr(n, "__index__") for n in sizes]):
        raise TypeError(f"blocks and threads are whole numbers, not {size}: for n elements take (n + threads - 1) // "
                        "threads blocks")
    sizes = tuple([int(n) for n in sizes])
    if not 1 <= len(sizes) <= 3:
        raise ValueError(f"a grid or a block has one, two or three dimensions, not {size}")
    return sizes + (1,) * (3 - len(sizes))


@functools.cache
def launcher():
    """The function launch.launch; its file imports this one, so it can only be looked up at the first launch."""
    from .launch import launch
    return launch


def jit(function=None, *, device=False, **options):
    """Make a kernel of a function, or with device=True a function that kernels call."""
    if function is None:
        return lambda f: jit(f, device=device, **options)
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"cuda.jit takes a Python function, not {function!r}. Signatures are not needed: a kernel is "
                        "compiled for the arguments of each launch")
    if device:
        return DeviceFunction(function, **options)
    if not is_ours(function):                       # ours are tested, and imports should cost nothing
        refuse_early(function)
    return Kernel(function, **options)


def is_ours(function):
    return (function.__module__ or "").startswith(f"{__package__}.")


def refuse_early(function):
    """Translate a kernel for the simulator where it is defined, so that what can't be translated is said there.

    Not where a GPU will run it, nor where the kernel uses something that is defined further down.
    """
    from . import gpu
    from .simulator import program
    used = [i.argval for i in dis.get_instructions(function) if i.opname == "LOAD_GLOBAL"]
    defined = all([name in function.__globals__ or hasattr(builtins, name) for name in used])
    if defined and not gpu.is_present():
        program(function)


MEMBERS = {
    "threadIdx": "xyz", "blockIdx": "xyz", "blockDim": "xyz", "gridDim": "xyz", "shared": ["array"], "local": ["array"],
    "const": ["array_like"], "atomic": ["add", "sub", "max", "min", "exch", "cas", "and_", "or_", "xor", "inc", "dec",
                                        "compare_and_swap"]}
NAMES = ("grid", "gridsize", "laneid", "warpsize",
         "syncthreads", "syncthreads_count", "syncthreads_and", "syncthreads_or", "syncwarp",
         "shfl_sync", "shfl_up_sync", "shfl_down_sync", "shfl_xor_sync",
         "any_sync", "all_sync", "ballot_sync", "activemask", "threadfence", "threadfence_block", "threadfence_system",
         "popc", "ffs", "clz", "brev", "fma", "selp")


class Provider:
    """numba.cuda's names."""

    def __init__(self):
        self.__name__ = "cuda"
        for name, members in MEMBERS.items():
            setattr(self, name, Word(f"cuda.{name}", members=members))
        for name in NAMES:
            setattr(self, name, Word(f"cuda.{name}"))
        self.jit = jit

    def __getattr__(self, name):
        if name in ("to_device", "device_array", "synchronize", "is_available"):
            from . import launch
            return getattr(launch, name)
        words = ", ".join([*MEMBERS, *NAMES])
        raise AttributeError(f"cuda.{name} is not among the words that kernels may use here: {words}")

    def __repr__(self):
        return "<cuda, as kernels see it>"


cuda = Provider()


# ---- meaning
def rebind(function, meaning):
    """A copy of a function in which every global and closure variable is `meaning(value)`; nested code included."""
    codes, names = [function.__code__], set()
    for code in codes:                              # the list grows while it is read: code within code
        names.update(code.co_names)
        codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    home = function.__globals__
    names = {name: meaning(home[name]) for name in names if name in home}
    names.setdefault("__builtins__", home.get("__builtins__"))
    names["__name__"] = function.__module__
    cells = tuple([types.CellType(meaning(cell.cell_contents)) for cell in function.__closure__ or ()])
    copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
    return copy
