"""Reading the machine code of every kernel, on any computer: what a GPU would run slowly, without saying so.

    stack      an array that should live in registers was put into memory, since its index isn't known to the compiler
    spills     more variables than registers: some travel to memory and back
    doubles    double precision in a kernel that was given none: a literal that turned float32 into float64; half
               to a 64th of the speed

Every file of kernels offers `cases()`, which gives (name, kernel, example arguments) for what is to be compiled:

    def cases():
        from .check import ptr, table
        yield "axpy", axpy, (ptr("float32"), ptr("float32"), np.float32(1), 1000)

A fourth item may be {"doubles": "why they are wanted"}. What no GPU ever runs says so in the file that holds it:

    SIMULATED_ONLY = {"strips": "why"}

A kernel that is named by neither is a fault. This file knows no kernel, and a GPU is neither needed nor touched:
the code comes from lower.py, as on a GPU. `python -m tinygrad_edu.kernels check` prints the table.
"""
from __future__ import annotations

import ast
import concurrent.futures
import functools
import importlib
import inspect
import os
import pkgutil
import re
import textwrap
import time
import warnings
from dataclasses import dataclass, field

import numpy as np

from . import lower, provider
from .gpu import Buffer, Gpu

ARCHITECTURES = ("75", "80", "90a", "120")
SLOW_PATH = ("for huge arguments (float32: beyond 105615) sin, cos and tan have a path of their own, with one product "
             "in double precision; that of float64 uses 40 bytes of stack. It is compiled into the kernel and taken by "
             "such arguments only, never in making normal random numbers")
IN_DOUBLE = "its arrays are float64"


# ---- what a case says
def ptr(dtype):
    """The argument that stands for an array of this type."""
    return np.dtype("bool" if dtype == "boolean" else dtype)


def table(dtype):
    """The argument that stands for a tuple of arrays."""
    return lower.Table(ptr(dtype))


def kinds_of(args):
    """The kinds of example arguments, and whether an integer needs 64 bits."""
    numbers = [n for a in args for n in (a if isinstance(a, (tuple, list)) else [a]) if n.__class__ is int]
    return tuple(map(kind_of, args)), any([not -2 ** 31 <= n < 2 ** 31 for n in numbers])


def kind_of(a):
    if isinstance(a, (np.dtype, lower.Table, lower.InDimensions, type)):
        return a
    return tuple(map(kind_of, a)) if isinstance(a, (tuple, list)) else a.__class__


# ---- one kernel
@dataclass
class Report:
    """What the compiler made of one kernel for one architecture."""
    name: str
    cc: tuple
    registers: int = 0                             # of a thread; a multiprocessor has 65536
    shared: int = 0                                # bytes of static shared memory of a block
    stack: int = 0                                 # bytes of local memory of a thread, without the slow path's
    spills: int = 0                                # bytes moved there for want of registers
    doubles: list = field(default_factory=list)    # instructions in double precision, without the slow path's
    slow_path: bool = False                        # whether sin or cos brought theirs
    wanted: str = ""                               # why doubles are no fault here

    @property
    def faults(self):
        found = [f"{self.stack} bytes of stack"] * (self.stack > 0)
        found += [f"{self.spills} bytes spilled"] * (self.spills > 0)
        if self.doubles and not self.wanted:
            found.append(f"{len(self.doubles)} instructions in double precision, the first: {self.doubles[0]}")
        return found


def inspect_kernel(kernel, args, cc="80", name=None, doubles=""):
    """The Report on a kernel, compiled for example arguments (as `cases` has them) and an architecture."""
    return inspect_kinds(kernel, *kinds_of(args), cc, name, doubles)


def inspect_kinds(kernel, kinds, wide, cc="80", name=None, doubles=""):
    """The same for kinds of arguments, as lower.signature has them."""
    cc = lower.architecture(cc) if isinstance(cc, (str, int)) else cc
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")             # of compilers about themselves
        made = lower.compile(kernel, kinds, cc, wide)
        found = Report(name or kernel.__name__, cc, largest(r"Used (\d+) registers", made.log),
                       largest(r"(\d+) bytes smem", made.log), total(r"(\d+) bytes stack frame", made.log),
                       total(r"(\d+) bytes spill stores", made.log))
        found.doubles, slow = doubles_in(made.ptx)
        aside = stack_aside(made.ptx)
        found.stack, found.slow_path = max(0, found.stack - aside), slow or aside > 0
    found.wanted = doubles or IN_DOUBLE * ("float64" in pointed_at(kinds))
    return found


def largest(pattern, log):
    return max(map(int, re.findall(pattern, log)), default=0)


def total(pattern, log):
    return sum(map(int, re.findall(pattern, log)))


DOUBLE = re.compile(r"^\s*(?:@\S+\s+)?((?!\.reg)[\w.]*\.f64[\w.]*\s.*);", re.M)
# cvt.rn.f64.s64 A, n;   mul.f64 B, A, pi/2 * 2**-64;   cvt.rn.f32.f64 f, B;
REDUCTION = re.compile(r"mul\.f64\s+(\S+), (\S+), 0d3BF921FB54442D19")


def doubles_in(ptx):
    """(instructions in double precision, whether there were more: the slow path's of sin and cos)"""
    found = [" ".join(line.split()) for line in DOUBLE.findall(ptx)]
    known = set()
    for to, given in [match.groups() for line in found for match in REDUCTION.finditer(line)]:
        steps = (f"cvt.rn.f64.s64 {given}, %", f"mul.f64 {to}, {given}, 0d3BF9", f", {to}")
        around = [line for line in found if line.startswith(steps[:2])
                  or line.startswith("cvt.rn.f32.f64 ") and line.endswith(steps[2])]
        if len(around) == 3:                        # anything else with these registers is not that path
            known.update(around)
    return [line for line in found if line not in known], bool(known)


LOCAL = re.compile(r"__internal_trig_reduction_slowpathd\((?:(?!\.func|\.entry).)*?__local_depot\d+\[(\d+)\]", re.S)


def stack_aside(ptx):
    """Bytes of stack of the slow path of sin and cos in float64, a function of its own."""
    return sum(map(int, LOCAL.findall(ptx)))


# ---- all kernels
@functools.cache
def modules():
    """The files of this folder."""
    folder = importlib.import_module(__package__).__path__
    return [importlib.import_module(f"{__package__}.{m.name}") for m in pkgutil.iter_modules(folder)
            if not m.ispkg and m.name != "__main__"]


def files():
    """The names of those that hold kernels: that offer `cases`."""
    return [m.__name__ for m in modules() if hasattr(m, "cases")]


def kernels_in(source):
    """The names of the functions that a file's text makes kernels of: by `@cuda.jit`, or by `jit(name)`."""
    def makes(call):
        device = isinstance(call, ast.Call) and any(k.arg == "device" for k in call.keywords)
        called = call.func if isinstance(call, ast.Call) else call
        return not device and getattr(called, "id", getattr(called, "attr", None)) == "jit"
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and any(map(makes, node.decorator_list)):
            found.add(node.name)
        elif isinstance(node, ast.Call) and makes(node) and node.args and isinstance(node.args[0], ast.Name):
            found.add(node.args[0].id)
    return found


def simulated_only():
    """{"file: kernel": why no GPU runs it}"""
    return {f"{m.__name__.rpartition('.')[2]}: {name}": why
            for m in modules() for name, why in getattr(m, "SIMULATED_ONLY", {}).items()}


def unlisted():
    """What is wrong with the lists: kernels that are in neither, and what is said to be simulated only but isn't."""
    wrong = []
    for module in modules():
        there, exempt = kernels_in(inspect.getsource(module)), set(getattr(module, "SIMULATED_ONLY", {}))
        cases = {kernel.__name__ for _, kernel, *_ in cases_of(module.__name__)} if hasattr(module, "cases") else set()
        file = module.__name__.rpartition(".")[2]
        wrong += [f"{file}: {name} is in no case, and not in SIMULATED_ONLY" for name in sorted(there - cases - exempt)]
        wrong += [f"{file}: {name} is in SIMULATED_ONLY and is " + ("in a case, too" if name in cases else "no kernel")
                  for name in sorted(exempt & cases | exempt - there)]
    return wrong


@functools.cache
def cases_of(file):
    """A file's cases, each with its options; those of one name are told apart by their arrays' types."""
    cases = [(*case, {})[:4] for case in importlib.import_module(file).cases()]
    names = [name for name, *_ in cases]
    return [(name if names.count(name) == 1 else f"{name} {' '.join(pointed_at(args))}", kernel, args, options)
            for name, kernel, args, options in cases]


def pointed_at(args):
    """The names of the types behind pointers, tables and arrays, each once."""
    found = [a if isinstance(a, np.dtype) else a.dtype for a in args
             if isinstance(a, (np.dtype, lower.Table, lower.InDimensions))]
    return list(dict.fromkeys([dtype.name for dtype in found]))


def chosen(names):
    """(file, number) of the cases whose name, or whose file's, contains one of these words; all, if there are none."""
    return [(file, i) for file in files() for i, case in enumerate(cases_of(file))
            if not names or any(word in f"{file.rpartition('.')[2]} {case[0]}" for word in names)]


def inspect_case(file, number, architectures):
    """The Reports on one case; run in a process of its own, where kernels can't be sent but files be imported."""
    name, kernel, args, options = cases_of(file)[number]
    name = f"{file.rpartition('.')[2]}: {name}"
    try:
        return [inspect_kernel(kernel, args, cc, name, **options) for cc in architectures], None
    except Exception as error:                      # of whichever part of the compiler
        return [], f"{name} doesn't compile: {type(error).__name__}: {error}"


def unknown(architectures):
    """Those of the architectures that this toolkit can't compile for."""
    from numba.cuda.cudadrv import nvrtc
    known = [tuple(cc[:2]) for cc in nvrtc.get_supported_ccs()]
    return [cc for cc in architectures if lower.architecture(cc)[:2] not in known]


def no_compiler():
    """Why nothing can be compiled here, or None."""
    absent = lower.missing()
    if absent:
        return f"{', '.join(absent)} can't be imported"
    try:
        inspect_kernel(provider.Kernel(lambda: None), (), "80")
    except Exception as error:                      # numba-cuda is there, NVIDIA's compiler and linker aren't
        return f"{type(error).__name__}: {error}"
    return None


def main(names=(), architectures=ARCHITECTURES, jobs=None):
    """Print the table; the exit status: 0 clean, 1 a fault, 2 if nothing could be compiled."""
    problem = no_compiler()
    if problem:
        print(f"kernels are compiled by numba-cuda: {problem}. {lower.EXTRA}")
        return 2
    start, skipped = time.perf_counter(), unknown(architectures)
    architectures = [cc for cc in architectures if cc not in skipped]
    todo = chosen(names)
    if not todo or not architectures:
        print("nothing to check: " + (f"no kernel's name contains {' or '.join(names)}" if not todo else
                                      f"this toolkit compiles for none of {', '.join(skipped)}"))
        return 1
    print(f"{'':<44}{'registers':>28}{'shared':>10}\n{'kernel':<44}"
          + "".join(f"{'sm_' + cc:>7}" for cc in architectures) + f"{'bytes':>{38 - 7 * len(architectures)}}")
    reports, faults = [], unlisted()
    for found, broken in in_parallel(todo, architectures, jobs):
        reports += found
        faults += [broken] if broken else [f"{r.name}, {lower.sm(r.cc)}: {fault}" for r in found for fault in r.faults]
        if found:
            print(row(found), flush=True)
    print_reasons(reports)
    for fault in faults:
        print("FAULT", fault)
    if skipped:
        print(f"not compiled for sm_{', sm_'.join(skipped)}: this toolkit doesn't know it")
    clean = len([r for r in reports if not r.faults])
    print(f"{clean} of {len(todo) * len(architectures)} clean: {len(todo)} kernels for "
          f"sm_{', sm_'.join(architectures)}, in {time.perf_counter() - start:.0f} s")
    return 1 if faults or clean < len(todo) * len(architectures) else 0


def in_parallel(todo, architectures, jobs):
    """The answers of `inspect_case`, in order."""
    jobs = min(jobs or os.cpu_count() or 1, len(todo))
    if jobs == 1:
        yield from (inspect_case(*case, architectures) for case in todo)
        return
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(inspect_case, *zip(*todo), [architectures] * len(todo))


def row(found):
    notes = ["slow path of sin and cos"] * any(r.slow_path for r in found) \
        + [f"doubles: {found[0].wanted}"] * any(r.doubles and r.wanted not in ("", IN_DOUBLE) for r in found) \
        + ["FAULT"] * any(r.faults for r in found)
    return (f"{found[0].name:<44}" + "".join(f"{r.registers:>7}" for r in found)
            + f"{max(r.shared for r in found):>{38 - 7 * len(found)}}  {', '.join(notes)}").rstrip()


def print_reasons(reports):
    slow = sorted({r.name for r in reports if r.slow_path})
    if slow:
        print("\n" + textwrap.fill(f"slow path of sin and cos ({len(slow)} kernels): {SLOW_PATH}.", 110))
    reasons = simulated_only()
    for why in dict.fromkeys(reasons.values()):
        names = [name for name in reasons if reasons[name] == why]
        print("\n" + textwrap.fill(f"for the simulator only, not compiled here ({', '.join(names)}): {why}.", 110))
    print()


# ---- recording: which kernels a program launches
class Recorder(Gpu):
    """A GPU that has no memory, computes nothing, and notes what it is asked to launch: `seen`, (kernel, kinds, wide).

    What reaches it went through everything that a launch on a GPU goes through.
    """
    name = "recorder"

    def __init__(self):
        self.free, self.allocated, self.reserved, self.peak = {}, 0, 0, 0
        self.launches, self.last, self.tables, self.blocking, self.seen = 0, None, {}, False, []
        self.pools = True
        self.stream, self.cc = None, (8, 0)
        self.start, self.configuration = lambda *args: None, lambda *args: None

    def more(self, size):
        return 256                                  # every block lies at the same address, divisible by 16

    def upload(self, host):
        return Buffer(self, host.nbytes, host.dtype)

    def download(self, buffer, dtype, offset, count):
        return np.zeros(count, dtype)

    def synchronize(self):
        pass

    def make(self, kernel, kinds, wide):
        self.seen.append((kernel, tuple(kinds), wide))
        return kernel
