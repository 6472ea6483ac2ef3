"""From a kernel to a GPU's machine code: numba.cuda translates it, NVIDIA's linker optimises it.

    words        the kernel's function with the provider's words replaced by numba.cuda's
    signature    a type for every argument: CPointer(float32), int32 ...
    LTO-IR       what numba.cuda makes of both for one architecture, say sm_90a
    cubin        what nvJitLink makes of that: inlined, optimised, registers assigned

It knows no device. The steps are the same with a GPU and without one, so check.py inspects the very code that gpu.py
launches. numba is imported when the first kernel is compiled.
"""
from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import re
import threading
import weakref
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from .provider import DeviceFunction, Intrinsic, Provider, Type, Word, rebind

EXTRA = 'pip install "tinygrad_edu[cuda13]"'        # cuda12 for drivers before 580
NEEDS = {"numba_cuda": "numba-cuda", "cuda.core": "cuda-core", "cuda.bindings.nvjitlink": "cuda-bindings"}
_lock = threading.RLock()                           # numba's compiler is one for all threads, and so is `answering_for`


def missing():
    """Which of the packages that compile for a GPU can't be found; [] where all are there."""
    def found(module):
        try:
            return importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:                 # not even its parent
            return False
    return [package for module, package in NEEDS.items() if not found(module)]


# ---- architectures
ARCHITECTURE = re.compile(r"(?:sm_)?(\d{2,3})([af]?)")


def is_architecture(text):
    return ARCHITECTURE.fullmatch(text) is not None


def architecture(text):
    """An architecture as numba names it: architecture("90a") is (9, 0, "a"), architecture("120") is (12, 0)."""
    digits, suffix = ARCHITECTURE.fullmatch(str(text)).groups()
    return (int(digits[:-1]), int(digits[-1]), *[suffix][:bool(suffix)])


def sm(cc):
    """The linker's name of an architecture: sm((9, 0, "a")) is "sm_90a"."""
    return "sm_" + "".join(map(str, cc))


# ---- words
def meaning(value):
    """What a global or closure variable of a kernel means to numba.cuda."""
    if isinstance(value, (Type, Word, Provider, DeviceFunction, Intrinsic)):
        if value not in _meanings:
            _meanings[value] = find(value)
        return _meanings[value]
    return tuple(map(meaning, value)) if value.__class__ is tuple else value


_meanings = weakref.WeakKeyDictionary()


def find(value):
    from numba import cuda
    if isinstance(value, Type):
        return numba_type(value.numpy)
    if isinstance(value, Provider):
        return cuda
    if isinstance(value, Word):
        return functools.reduce(getattr, value.path.split(".")[1:], cuda)
    if isinstance(value, Intrinsic):
        return value.gpu()
    return cuda.jit(rebind(value.py_func, meaning), device=True, **value.options)


# ---- types
def numba_type(dtype):
    """numba's type of a numpy dtype: boolean, float32 ..."""
    from numba.cuda import types
    dtype = np.dtype(dtype)
    return types.boolean if dtype.kind == "b" else getattr(types, dtype.name)


def in_memory(dtype):
    """The type behind a pointer: bools are bytes in memory, and numba can't store them through a pointer as bools."""
    return numba_type("uint8" if np.dtype(dtype).kind == "b" else dtype)


class Table(NamedTuple):
    """The kind of a tuple of arrays: P = p[k]; P[i] is element i of array k."""
    dtype: np.dtype


class InDimensions(NamedTuple):
    """The kind of an array in lessons: a[i, j], a.shape. Its layout is numba's: C where contiguous, else A."""
    dtype: np.dtype
    ndim: int
    layout: str


def signature(kinds, wide=False):
    """numba's signature of a kernel for arguments of these kinds (one each):

    np.dtype       a pointer to numbers of that type
    Table          a pointer to such pointers
    InDimensions   an array with a shape and strides, as numba knows them
    np.float32     a number of that type, as all of numpy's scalar types
    int            int32, or int64 if wide: when one integer of a launch needs it
    bool, float    boolean, float64
    (kind, ...)    a tuple of numbers, handed over one by one
    """
    from numba.cuda import types

    def typed(kind):
        if isinstance(kind, np.dtype):
            return types.CPointer(in_memory(kind))
        if kind.__class__ is Table:
            return types.CPointer(types.CPointer(in_memory(kind.dtype)))
        if kind.__class__ is InDimensions:
            return types.Array(numba_type(kind.dtype), kind.ndim, kind.layout)
        if kind.__class__ is tuple:
            parts = tuple(map(typed, kind))
            return types.UniTuple(parts[0], len(parts)) if parts and len(set(parts)) == 1 else types.Tuple(parts)
        if kind in NUMBERS:
            return types.int64 if kind is int and wide else NUMBERS[kind](types)
        if not issubclass(kind, np.generic):
            raise TypeError(f"a kernel takes arrays, numbers and tuples of them, not {kind.__name__}")
        return numba_type(kind)
    return types.void(*map(typed, kinds))


NUMBERS = {int: lambda types: types.int32, bool: lambda types: types.boolean, float: lambda types: types.float64}


# ---- compiling
class Binary:
    """A kernel for one architecture: `code`, a cuda.core ObjectCode that has it as `name`, and what the linker said."""

    def __init__(self, code, name, log, ltoir, options):
        self.code, self.name, self.log, self.ltoir, self.options = code, name, log, ltoir, options

    @functools.cached_property
    def ptx(self):
        """The optimised program as text, with everything inlined that the machine code has inlined."""
        return link(self.ltoir, dict(self.options, ptx=True, ptxas_options=None))[0].code.decode()


def compile(kernel, kinds, cc, wide=False):
    """A kernel, compiled for arguments of these kinds and one architecture, as (9, 0, "a")."""
    from numba import cuda
    options = dict(kernel.options)
    linking = {"arch": sm(cc), "link_time_optimization": True, "ptxas_options": "-v",
               "max_register_count": options.pop("max_registers", None)}
    if options.get("fastmath"):                     # the linker decides once more
        linking |= {"ftz": True, "prec_div": False, "prec_sqrt": False}
    with _lock, answering_for(cc):
        ltoir, _ = cuda.compile_all(rebind(kernel.py_func, meaning), signature(kinds, wide), device=False, abi="numba",
                                    cc=cc, output="ltoir", **options)
    code, log = link(ltoir, linking)
    return Binary(code, re.search(r"Compiling entry function '(\S+)'", log).group(1), log, ltoir, linking)


def link(ltoir, options):
    """-> (cubin or PTX, what the linker said)"""
    from cuda.core import Linker, LinkerOptions, ObjectCode
    parts = [ObjectCode.from_ltoir(part) if isinstance(part, bytes) else part for part in ltoir]
    linker = Linker(*parts, options=LinkerOptions(**{k: v for k, v in options.items() if v is not None}))
    return linker.link("ptx" if options.get("ptx") else "cubin"), linker.get_info_log()


@contextlib.contextmanager
def answering_for(cc):
    """While numba compiles device functions it asks which GPU there is: the answer is the one that we compile for."""
    dispatcher = importlib.import_module("numba.cuda.dispatcher")
    before = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=cc[:2])
    try:
        yield
    finally:
        dispatcher.get_current_device = before
