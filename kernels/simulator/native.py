"""Machine code: a generated Python function and its parameters' types become an object file, by numba and LLVM.

It knows no CUDA: the function it is given runs one block of threads, and it makes the loops over blocks around it.
Importing it imports numba. What it returns needs numba no more, only LLVM's linker (compiled.py): the cache keeps that.

The machine code has one entry, `int kernel(int64 *words)`. The words are

    0..2 gridDim   3..5 blockDim   6 bytes of dynamic shared memory   7 scratch memory   8... the kernel's arguments

An array's word is the address of numpy's array object, in which the entry finds data, shape and strides by itself:
passing one costs nothing. Scratch memory holds err, the shared and local arrays and what threads keep while they
wait. When a block fails (err[0] is set, or an exception raised), err[1:4] tell which one it was, and no other runs. The
entry returns 0, ENTRY_FAILED if err is set, or numba's code for an exception.
"""
from __future__ import annotations

import gc
import math
import re

import numba
import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, codegen, compiler, errors, registry, types
from numba.core.compiler_lock import global_compiler_lock

from .arithmetic import MEANINGS, i32, i64
from .compiled import ENTRY_FAILED
from .load import Unsupported
from .types import (Memory, Slots, Table, argument_type, array_struct, element_pointer, memory_type, numpy_array,
                    variable_types)
from .words import BLOCK

ENTRY = "kernel"
GRID_WORD, BLOCK_WORD, DYNAMIC, SCRATCH, ARGUMENTS = 0, 3, 6, 7, 8        # words
ERR = 64                                            # bytes of err, at the start of the scratch memory
ALIGNED = 16
i8 = ir.IntType(8)
LIBM = ("sin", "cos", "tan", "exp", "exp2", "log", "log2", "log10", "pow", "sinh", "cosh", "tanh", "asin", "acos",
        "atan")


def compile_unit(unit, kinds, boundscheck=False):
    """A unit for arguments of these kinds: (machine code, C functions that it calls, bytes of scratch memory for a
    launch, bytes more for each thread)."""
    p, collecting = unit.program, gc.isenabled()
    gc.disable()                                    # numba makes a million objects: looking for garbage takes a tenth
    try:
        target = ready()
        names = {"__name__": p.function.__module__, **MEANINGS}
        exec(compile(unit.tree, unit.file, "exec"), names)
        for name in unit.functions:
            jit = numba.njit(error_model="numpy", boundscheck=boundscheck, forceinline=True, _nrt=False,
                             no_cpython_wrapper=True, no_cfunc_wrapper=True)
            names[name] = jit(names[name])
        arguments = [argument_type(k) for k in kinds]
        kept = kept_types(unit, names, arguments) if p.kept else {}
        return object_code(target, names[p.name], parameters(p, arguments, kept), boundscheck)
    except errors.NumbaError as error:
        raise Unsupported(f"{p.file}:{p.line}: {p.name}: numba can't compile it: {plain(error)}") from None
    finally:
        if collecting:
            gc.enable()


def plain(error):
    """numba's message without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()


def parameters(p, arguments, kept):
    """What each parameter of the block function is, in order."""
    word, listed = ARGUMENTS, [("err",), *[("block", k) for k in range(3)]]
    listed += [("word", GRID_WORD + k) for k in range(3)] + [("word", BLOCK_WORD + k) for k in range(3)]
    assert len(listed) == 1 + len(BLOCK)
    for shape, dtype in p.shared.values():
        listed.append(Scratch(memory_type(dtype, len(shape)), shape, byte=0xFF, dynamic=shape == (0,)))
    for shape, dtype in p.local.values():
        listed.append(Scratch(memory_type(dtype, len(shape) + p.meets), shape, each=p.meets))
    listed += [Scratch(Slots(kept[v]), each=True) for v in p.kept]
    listed += [Scratch(Memory(types.boolean, 1), each=True, byte=1, once=True) for _ in p.masks]
    for kind in arguments:
        listed.append(("argument", word, kind))
        word += words_of(kind)
    return listed


def kept_types(unit, names, arguments):
    """{variable: its type} of those that are kept for each thread: what numba infers for the kernel as one thread."""
    p = unit.program
    tree, params = unit.serial()
    arrays = [memory_type(dtype, len(shape)) for shape, dtype in [*p.shared.values(), *p.local.values()]]
    numbers = [types.int64] * (len(params) - len(arrays) - len(arguments))
    names = dict(names)
    before = {name: names[name] for name in unit.functions}
    exec(compile(tree, unit.file, "exec"), names)
    names |= before
    found = variable_types(names["serial"], [*numbers, *arrays, *arguments], flags())
    for v in p.kept:
        found.setdefault(v, types.int64)            # only assigned in code that numba drops: it's never reached
        if not isinstance(found[v], (types.Number, types.Boolean, types.BaseTuple, Memory)):
            raise Unsupported(f"{p.file}:{p.line}: {p.name}: {v} is needed after a barrier or shuffle, but its type is "
                              f"{found[v]}: keep a number, a tuple of numbers or an array")
    return {v: found[v] for v in p.kept}


class Scratch:
    """A parameter that is memory of the launch: an array or Slots, once or (each) for every thread.

    byte       what it is filled with before every block; None: nothing
    once       ... before the first block only
    dynamic    it is the dynamic shared memory, whose size a launch says
    """

    def __init__(self, kind, shape=(), each=False, byte=None, once=False, dynamic=False):
        self.kind, self.shape, self.each, self.dynamic = kind, tuple(shape), each, dynamic
        self.byte, self.once = byte, once
        self.start = None                           # in bytes from the start of its half of the scratch memory

    def item_size(self, context):
        if isinstance(self.kind, Slots):
            return context.get_abi_sizeof(context.get_data_type(self.kind.value))
        return context.get_abi_sizeof(element_pointer(context, self.kind).pointee)


def flags(boundscheck=False):
    """How numba compiles kernels: x / 0 gives inf, and nothing counts references or is called from Python."""
    options = compiler.Flags()
    options.error_model, options.boundscheck, options.enable_ssa, options.nrt = "numpy", boundscheck, True, False
    options.no_compile = options.no_cpython_wrapper = options.no_cfunc_wrapper = options.forceinline = True
    return options


def ready():
    """numba's target for CPUs, with what types.py added to it."""
    target = registry.cpu_target
    target.typing_context.refresh()
    target.target_context.refresh()
    return target


@global_compiler_lock
def object_code(target, function, parameters, boundscheck=False):
    """(machine code, C functions, bytes of scratch memory, bytes more for each thread) of a function

    parameters   for each parameter of the function ("word", number), ("argument", number of its first word, type),
                 ("block", axis), ("err",) or a Scratch
    """
    context = target.target_context
    shared, each = arrange(context, parameters)
    kinds = [kind_of(p) for p in parameters]
    library = Library(context.codegen(), ENTRY)
    library.enable_object_caching()
    made = compiler.compile_extra(target.typing_context, context, function, kinds, types.void, flags(boundscheck), {},
                                  library)
    module = library.create_ir_module(ENTRY)
    Entry(context, module, parameters, shared, each).write(context.declare_function(module, made.fndesc), kinds)
    library.add_ir_module(module)
    whole = saturating(library.linked())
    for f in whole.functions:
        if not f.is_declaration and f.name != ENTRY:
            f.linkage = "internal"                  # written into its callers, or dropped
    machine = context.codegen()._tm
    options = llvm.create_pipeline_tuning_options(speed_level=2)        # as fast as level 3 here, and made sooner
    options.loop_vectorization = True
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(whole, passes)
    numbas = "numba.dynamic.globals", ".numba.unresolved"           # addresses in this process; most go unused
    left = [v.name for v in whole.global_variables if v.name.startswith(numbas)]
    if left and any([str(whole).count(name) > 1 for name in left]):
        raise Unsupported(f"{function.__name__} refers to something in this process's memory")
    return bytes(machine.emit_object(whole)), c_functions(whole), shared, each


FLOAT_TO_INTEGER = re.compile(r"(%\S+) = fpto([su])i (float|double) (\S+?) to i(8|16|32|64)\b")


def saturating(module):
    """The module with a GPU's way to make floats integers, where LLVM's says nothing for numbers that are too large."""
    text = str(module)
    if not FLOAT_TO_INTEGER.search(text):
        return module
    needed = set()

    def replace(match):
        name, sign, kind, value, bits = match.groups()
        wide, short = max(int(bits), 16), "f32" if kind == "float" else "f64"       # PTX has no 8 bits: the last of 16
        intrinsic = f"@llvm.fpto{sign}i.sat.i{wide}.{short}"
        needed.add(f"declare i{wide} {intrinsic}({kind})")
        new = f"%sat.{len(needed)}.{match.start()}"
        lines = [f"{new} = call i{wide} {intrinsic}({kind} {value})"]
        if wide == 64 or kind == "double":          # there nan is the smallest integer; else 0, as LLVM has it
            lines += [f"{new}.nan = fcmp uno {kind} {value}, 0.0",
                      f"{new}.all = select i1 {new}.nan, i{wide} {-1 << wide - 1}, i{wide} {new}"]
            new += ".all"
        lines.append(f"{name} = trunc i{wide} {new} to i8" if wide != int(bits) else f"{name} = add i{wide} {new}, 0")
        return "\n  ".join(lines)
    text = FLOAT_TO_INTEGER.sub(replace, text) + "\n" + "\n".join(sorted(needed))
    return llvm.parse_assembly(text)


class Library(codegen.JITCodeLibrary):
    """numba's collection of code that belongs together, not optimised before it's complete."""

    def add_llvm_module(self, module):
        self._final_module.link_in(module)

    def linked(self):
        """All of it, with the functions it calls that are compiled by themselves."""
        for used in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(used._get_module_for_linking(), preserve=True)
        return self._final_module


def arrange(context, parameters):
    """Give every Scratch its place: first what exists once, then what each thread has. The sizes of both in bytes."""
    shared, each = ERR, 0
    for p in parameters:
        if isinstance(p, Scratch) and not p.dynamic:
            size = -(-p.item_size(context) * math.prod(p.shape) // ALIGNED) * ALIGNED
            if p.each:
                p.start, each = each, each + size
            else:
                p.start, shared = shared, shared + size
    return shared, each


def kind_of(parameter):
    """numba's type of a parameter."""
    if isinstance(parameter, Scratch):
        return parameter.kind
    if parameter[0] == "err":
        return Memory(types.int64, 1)
    return parameter[2] if parameter[0] == "argument" else types.int64


def c_functions(module):
    """The names of what the code will call: functions that were declared, and libm's that LLVM calls in their place."""
    found = set()
    for f in module.functions:
        if f.is_declaration and not f.name.startswith("llvm."):
            found.add(f.name)
        elif f.is_declaration and f.name.split(".")[1] in LIBM and f.name.endswith(("f32", "f64")):
            found.add(f.name.split(".")[1] + "f" * f.name.endswith(".f32"))
    return sorted(found)


def words_of(kind):
    """How many words an argument of this type takes."""
    return sum([words_of(k) for k in kind]) if isinstance(kind, types.BaseTuple) else 1


class Entry:
    """Writes the entry: read the words, then call the function for each block."""

    def __init__(self, context, module, parameters, shared, each):
        self.context, self.parameters, self.shared, self.each = context, parameters, shared, each
        self.function = ir.Function(module, ir.FunctionType(ir.IntType(32), [i64.as_pointer()]), ENTRY)
        self.builder = ir.IRBuilder(self.function.append_basic_block("words"))

    def word(self, number):
        return self.builder.load(self.builder.gep(self.function.args[0], [i32(number)]))

    def write(self, callee, kinds):
        """The whole entry, around the function that runs a block."""
        b = self.builder
        self.threads = i64(1)
        for k in range(3):
            self.threads = b.mul(self.threads, self.word(BLOCK_WORD + k))
        scratch = numpy_array(self.context, b, Memory(types.uint8, 1), self.word(SCRATCH))
        self.memory = b.extract_value(scratch, 4)
        err = b.bitcast(self.memory, i64.as_pointer())
        b.store(i64(0), err)
        values = [self.value(p) for p in self.parameters]
        self.clear(once=True)
        gx, gy, gz = [self.word(GRID_WORD + k) for k in range(3)]
        with cgutils.for_range(b, gz) as z, cgutils.for_range(b, gy) as y, cgutils.for_range(b, gx) as x:
            block = x.index, y.index, z.index
            self.clear(once=False)
            here = [block[p[1]] if isinstance(p, tuple) and p[0] == "block" else v
                    for p, v in zip(self.parameters, values)]
            status, _ = self.context.call_conv.call_function(b, callee, types.void, kinds, here)
            found = b.icmp_signed("!=", b.load(err), i64(0))
            with cgutils.if_unlikely(b, b.or_(status.is_error, found)):
                for k in range(3):
                    b.store(block[k], b.gep(err, [i32(1 + k)]))
                b.ret(b.select(status.is_error, status.code, i32(ENTRY_FAILED)))
        b.ret(i32(0))

    def clear(self, once):
        """Fill what has to be filled before a block, or before the first one."""
        for p in self.parameters:
            if isinstance(p, Scratch) and p.byte is not None and p.once == once:
                cgutils.memset(self.builder, self.address(p, i8), self.bytes(p), p.byte)

    def bytes(self, p):
        if p.dynamic:
            return self.word(DYNAMIC)
        size = i64(p.item_size(self.context) * math.prod(p.shape))
        return self.builder.mul(self.threads, size) if p.each else size

    def address(self, p, element):
        b = self.builder
        if p.dynamic:                               # at the very end
            start = b.add(i64(self.shared), b.mul(self.threads, i64(self.each)))
        elif p.each:
            start = b.add(i64(self.shared), b.mul(self.threads, i64(p.start)))
        else:
            start = i64(p.start)
        return b.bitcast(b.gep(self.memory, [start]), element.as_pointer())

    def value(self, p):
        """What is passed for a parameter."""
        if isinstance(p, Scratch):
            return self.scratch(p)
        if p[0] == "err":
            err = self.builder.bitcast(self.memory, i64.as_pointer())
            return self.array(Memory(types.int64, 1), err, [i64(ERR // 8)])
        if p[0] == "word":
            return self.word(p[1])
        return self.argument(p[2], p[1]) if p[0] == "argument" else None

    def scratch(self, p):
        if isinstance(p.kind, Slots):
            return self.address(p, self.context.get_data_type(p.kind.value))
        pointer = self.address(p, element_pointer(self.context, p.kind).pointee)
        shape = [i64(n) for n in p.shape]
        if p.dynamic:
            shape = [self.builder.udiv(self.word(DYNAMIC), i64(p.item_size(self.context)))]
        return self.array(p.kind, pointer, [self.threads] * p.each + shape)

    def array(self, kind, pointer, shape):
        """A Memory in C order."""
        size, strides = self.context.get_abi_sizeof(pointer.type.pointee), []
        step = i64(size)
        for n in reversed(shape):
            strides.insert(0, step)
            step = self.builder.mul(step, n)
        return array_struct(self.context, self.builder, kind, pointer, shape, strides)

    def argument(self, kind, number):
        """An argument from its words."""
        b, context = self.builder, self.context
        if isinstance(kind, types.BaseTuple):
            members = []
            for k in kind:
                members.append(self.argument(k, number))
                number += words_of(k)
            return context.make_tuple(b, kind, members)
        word = self.word(number)
        if isinstance(kind, Memory):
            return numpy_array(context, b, kind, word)
        if isinstance(kind, Table):                 # its word: an array of the addresses of arrays
            arrays = numpy_array(context, b, Memory(types.int64, 1), word)
            table = cgutils.create_struct_proxy(kind)(context, b)
            table.data, table.count = b.extract_value(arrays, 4), b.extract_value(b.extract_value(arrays, 5), 0)
            return table._getvalue()
        if isinstance(kind, types.Float):
            return context.cast(b, b.bitcast(word, ir.DoubleType()), types.float64, kind)
        if isinstance(kind, types.Boolean):
            return b.icmp_unsigned("!=", word, i64(0))
        return context.cast(b, word, types.int64, kind)

