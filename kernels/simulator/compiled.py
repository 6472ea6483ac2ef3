"""The compiled back end: a kernel's machine code for one kind of arguments, from the disk or made anew, and its launch.

It knows where to ask (unit.py for the text, cache.py for earlier processes' work, native.py for new machine code) and
how to call the result. numba is imported only when something has to be compiled: a process whose kernels are all on the
disk needs nothing but LLVM's linker, and is ready in a tenth of a second.

    text + kinds of arguments + versions + CPU  ->  key  ->  machine code  ->  run(grid, block, shared_bytes, args)

A launch costs a microsecond or a few: the arguments are packed into words (native.py says which) for one call.
"""
from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import importlib.util
import json
import os
import platform
import struct
import sys
from pathlib import Path

import numpy as np

from . import cache
from .checks import KernelError, check_launch, raise_err
from .program import remembered
from .unit import Unit, axes_of

OWN = ("arithmetic.py", "types.py", "native.py", "compiled.py")       # what the machine code depends on, besides
ENTRY_FAILED = -100                                 # what the entry returns if err says what is wrong


# ---- kinds of arguments
def kinds(args):
    """What the code made for these arguments depends on: launches with equal kinds can share it."""
    return tuple([(a.dtype, a.ndim, a.flags.c_contiguous) if isinstance(a, np.ndarray) else
                  kinds(a) if isinstance(a, tuple) else type(a) for a in args])


def described(kind):
    """A kind as text, the same in every process."""
    if isinstance(kind, type):
        return kind.__name__
    if is_array(kind):
        return f"{kind[0].name}[{kind[1]}{'C' if kind[2] else 'A'}]"
    return f"({' '.join(map(described, kind))})" + "table" * is_table(kind)


def is_array(kind):
    return isinstance(kind, tuple) and len(kind) == 3 and isinstance(kind[0], np.dtype)


def is_table(kind):
    """A tuple of arrays of one kind: passed as an array of their addresses."""
    return isinstance(kind, tuple) and not is_array(kind) and len(set(kind)) == 1 and is_array(kind[0])


def letter(dtype):
    """What sort of number a dtype is: b, i, u or f."""
    return "f" if dtype.name == "bfloat16" else dtype.kind


def checked(kind, name, where):
    """Refuse what numba's machine code could not be given."""
    if is_array(kind):
        if letter(kind[0]) not in "biuf" or not kind[0].isnative:
            raise TypeError(f"{where}: argument {name} is an array of {kind[0]}; kernels compute with numbers")
    elif isinstance(kind, tuple):
        for part in kind:
            checked(part, name, where)
    elif not (kind in (int, float, bool) or issubclass(kind, np.generic) and letter(np.dtype(kind)) in "biuf"):
        raise TypeError(f"{where}: argument {name} is a {kind.__name__}; kernels take arrays, numbers, tuples of them")


# ---- from a program to its launch
def make(program, args, boundscheck=False, reverse=False):
    """run(grid, block, shared_bytes, args) for arguments of these kinds; ImportError without numba."""
    if len(args) != len(program.params):
        names = ", ".join(program.params)
        raise TypeError(f"{program.name} takes {len(program.params)} arguments ({names}), not {len(args)}")
    what = kinds(args)
    known = remembered(program.function, "_compiled")
    run = known.get((what, boundscheck, reverse))
    if run is None:
        for kind, name in zip(what, program.params):
            checked(kind, name, f"{program.file}:{program.line}: {program.name}")
        run = launcher(program, what, boundscheck, reverse, axes_of(program))
        run = known[what, boundscheck, reverse] = explaining(program, run, reverse) if boundscheck else run
    return run


class Machine:
    """Machine code in memory, ready to be called, and the bytes of scratch memory it wants."""

    def __init__(self, code, shared, each):
        import llvmlite.binding as llvm
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple().create_target_machine(jit=True)
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)      # the code lives as long as this
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self.engine.finalize_object()
        # PYFUNCTYPE keeps Python's lock: two kernels never run at once, as on one stream.
        self.entry = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_char_p)(self.engine.get_function_address("kernel"))
        self.shared, self.each = shared, each


_machines = {}                                      # key -> Machine: kernels with one text share one


def machine(unit, what, boundscheck):
    """The Machine of a unit: from this process, from the disk, or compiled now."""
    versions, program = surroundings(), unit.program
    key = cache.key(unit.text, scratch_text(program), " ".join(map(described, what)), str(boundscheck), versions)
    found = _machines.get(key)
    if found is None:
        found = stored(cache.load(key))
        if found is None:
            from .native import compile_unit
            code, functions, shared, each = compile_unit(unit, what, boundscheck)
            about = json.dumps({"functions": functions, "shared": shared, "each": each}).encode()
            cache.save(key, len(about).to_bytes(4, "little") + about + code)
            found = Machine(code, shared, each)
        _machines[key] = found
    return found


def stored(data):
    """The Machine in an entry of the cache, or None if this process lacks a C function that the code calls."""
    if data is None:
        return None
    size = int.from_bytes(data[:4], "little")
    about, code = json.loads(data[4:4 + size]), data[4 + size:]
    import llvmlite.binding as llvm
    if not all(map(llvm.address_of_symbol, about["functions"])):        # LLVM's linker would end the process
        from numba.core.registry import cpu_target
        assert cpu_target.target_context            # numba lends its own once it's there
        if not all(map(llvm.address_of_symbol, about["functions"])):
            return None
    return Machine(code, about["shared"], about["each"])


def scratch_text(program):
    """What the text doesn't say: the shapes and types of shared and local arrays."""
    tables = [*program.shared.items(), *program.local.items()]
    return " ".join([f"{name}:{dtype.name}{shape}" for name, (shape, dtype) in tables])


@functools.cache
def surroundings():
    """Versions, CPU and options that the machine code depends on, as text; ImportError without numba."""
    try:
        if not importlib.util.find_spec("numba") or not importlib.util.find_spec("llvmlite"):
            raise ImportError
        import llvmlite.binding as llvm
        versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite")]
    except (ImportError, ValueError):
        raise ImportError("the compiled simulator needs numba: pip install numba") from None
    features = llvm.get_host_cpu_features().flatten()
    options = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("NUMBA_")]
    here = Path(__file__)
    own = [cache.key(source(here.with_name(name))) for name in OWN]
    cpu = [platform.machine(), llvm.get_host_cpu_name(), features]
    return " ".join([sys.version, np.__version__, *versions, *cpu, *options, *own])


def source(path):
    try:
        return path.read_text()
    except OSError:                                 # a program without its sources: its version has to do
        return path.name


# ---- launches
def launcher(program, what, boundscheck, reverse, axes):
    """A function that packs the arguments into words and calls the code; made for these kinds, to be short."""
    unit = Unit(program, axes, reverse)
    made = machine(unit, what, boundscheck)

    def general(*launch):
        """For a block with more dimensions than the kernel has use for."""
        if "run" not in general.__dict__:
            general.run = launcher(program, what, boundscheck, reverse, 3)
        general.run(*launch)
    formats, values, before = [], [], []
    for number, kind in enumerate(what):
        packing(kind, f"a{number}", formats, values, before)
    allowed = set()

    def check(*launch):
        """A GPU would refuse some launches; those it takes are remembered."""
        check_launch(program, *launch)
        allowed.add(launch)
    lines = ["def run(grid, block, shared_bytes, args):",
             " if (grid, block, shared_bytes) not in allowed: check(grid, block, shared_bytes)",
             " x, y, z = block",
             f" if {('y > 1 or z > 1', 'z > 1', 'False')[axes - 1]}: return general(grid, block, shared_bytes, args)",
             f" {''.join([f'a{n}, ' for n in range(len(what))])}= args" if what else " pass",
             *[f" if not a{n}.flags.writeable: read_only({p!r})" for n, p in enumerate(program.params)
               if program.inputs[n] in unit.written and is_array(what[n])],
             *[f" {line}" for line in before],
             f" scratch = empty({made.shared} + {made.each} * x * y * z + shared_bytes, uint8)",
             f" status = entry(pack(*grid, *block, shared_bytes, id(scratch), {', '.join(values)}))",
             " if status: failed(status, scratch, block)"]
    names = {"empty": np.empty, "uint8": np.uint8, "entry": made.entry, "machine": made, "addresses": addresses,
             "pack": struct.Struct("=8q" + "".join(formats)).pack, "failed": functools.partial(failed, program),
             "general": general, "allowed": allowed, "check": check, "read_only": functools.partial(read_only, program)}
    exec("\n".join(lines), names)
    return names["run"]


def read_only(program, name):
    raise ValueError(f"{program.file}:{program.line}: {program.name} writes into {name}, and that array is read-only")


def packing(kind, name, formats, values, before):
    """How an argument called `name` is packed: formats for struct, expressions, and lines that come first."""
    if is_array(kind):
        formats.append("q")
        values.append(f"id({name})")
    elif is_table(kind):
        before.append(f"{name} = addresses({name})")
        formats.append("q")
        values.append(f"id({name})")
    elif isinstance(kind, tuple):
        for k, part in enumerate(kind):
            packing(part, f"{name}[{k}]", formats, values, before)
    else:
        formats.append({"b": "?7x", "f": "d", "u": "Q", "i": "q"}[letter(np.dtype(kind))])
        values.append(name)


def addresses(arrays):
    return np.array([id(a) for a in arrays], np.int64)


class IndexFault(KernelError, IndexError):
    """An index out of range, by numba's own check."""


def failed(program, status, scratch, block):
    """Say what the code has found."""
    err = scratch[:64].view(np.int64).tolist()
    if status == ENTRY_FAILED:
        raise_err(program, err, tuple(err[1:4]), block)
    raise IndexFault(f"{program.file}:{program.line}: {program.name}: block {tuple(err[1:4])}: an index out of range, "
                     "or range() with step 0; the simulator's mode \"check\" tells the line and the thread")


def explaining(program, run, reverse):
    """A launch with a check of every index. After an error the data are as before, and a second run, in Python, on a
    copy of them, finds out which thread used which index."""
    def checking(grid, block, shared_bytes, args):
        before = copied(args)
        try:
            run(grid, block, shared_bytes, args)
        except IndexFault as error:
            for now, was in zip(arrays_of(args), arrays_of(before)):
                if now.flags.writeable:
                    now[...] = was
            program.python(check=True, reverse=reverse)(grid, block, shared_bytes, before)
            raise error from None                   # Python didn't see it
    return checking


def arrays_of(args):
    """The arrays among the arguments, those in tuples too."""
    found = []
    for a in args:
        found += arrays_of(a) if isinstance(a, tuple) else [a] * isinstance(a, np.ndarray)
    return found


def copied(args):
    """The arguments with arrays of their own; those that overlap still do."""
    moved = {}
    for group in overlapping(arrays_of(args)):
        bounds = [np.lib.array_utils.byte_bounds(a) for a in group]
        low, high = min(b[0] for b in bounds), max(b[1] for b in bounds)
        memory = np.empty(high - low, np.uint8)
        for a in group:
            start = a.__array_interface__["data"][0] - low
            moved[id(a)] = np.ndarray(a.shape, a.dtype, memory, start, a.strides)
            moved[id(a)][...] = a

    def replace(a):
        return moved[id(a)] if isinstance(a, np.ndarray) else tuple(map(replace, a)) if isinstance(a, tuple) else a
    return [replace(a) for a in args]


def overlapping(arrays):
    """The arrays in groups that share memory."""
    groups, end = [], None
    for a in sorted(arrays, key=lambda a: np.lib.array_utils.byte_bounds(a)[0]):
        low, high = np.lib.array_utils.byte_bounds(a)
        if groups and low < end:
            groups[-1].append(a)
            end = max(end, high)
        else:
            groups.append([a])
            end = high
    return groups
