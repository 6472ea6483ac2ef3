"""The back end in Python: the generated loops, run as they are. It starts at once and needs numpy alone.

It knows how a launch is done: memory for a block, loops over blocks, and what to say when something goes wrong. For
each kind of arguments the code is rewritten once (rewrite.py), and shared by all closures of one kernel whose functions
give the same kinds of numbers. The code keeps the kernel's own lines, so debuggers and tracebacks show them.

    run = program.python()
    run((4, 1, 1), (64, 1, 1), 0, [a, b, np.float32(2)])
"""
from __future__ import annotations

import ast
import copy
import functools

import numpy as np

from . import meaning
from .checks import check_launch, failure, raise_err
from .kinds import Kinds, Memory, kind_of
from .load import Load, Namespace, Unsupported, is_foreign, python_function
from .program import number, remembered
from .rewrite import Rewrite
from .trees import called, code, expr
from .watch import Watcher
from .watched import Constants
from .words import BITS, HELPERS, RESERVED, SHUFFLES, VOTES


# ---- functions that kernels call
def specialise(value, kinds, checked):
    """(a function of the user's, made for arguments of these kinds; the kind of its result)"""
    function = python_function(value)
    if function is None or is_foreign(function):
        return value, None
    known = remembered(function, "_specialised")
    key = kinds, checked
    if key not in known:
        known[key] = late(known, key, function), None       # what a recursive call finds
        try:
            known[key] = translate(function, kinds, checked)
        except Unsupported:
            del known[key]
            if value is function or not hasattr(value, "python"):
                raise
            known[key] = dynamic(value.python), None        # an intrinsic's Python form may be any Python
    return known[key]


def late(known, key, function):
    def call(*args):
        return known[key][0](*args)
    return call


def dynamic(function):
    def call(*args):
        return meaning.value(function(*args))
    return call


def translate(function, kinds, checked):
    space = Namespace(RESERVED)
    load = Load(function, space)
    number(load.body)
    defaults = tuple([meaning.value(v) for v in function.__defaults__ or ()])
    given = kinds or (None,) * len(load.params)
    if len(given) < len(load.params):
        missing = len(load.params) - len(given)
        given += tuple([kind_of(v) for v in defaults[len(defaults) - missing:]])
    if len(given) != len(load.params):
        load.fail(load.tree, f"called with {len(given)} arguments, it takes {', '.join(load.params)}")
    found = Kinds(load.body, dict(zip(load.params, given)), space.values, callee(space.values, checked), load.file)
    name = "scalar" if function.__name__ == "<lambda>" else function.__name__
    tree = code(f"def {name}({', '.join(load.params)}): pass", load.line)[0]
    tree.body = load.body
    rewrite = Rewrite(found, space.values, checked)
    made = execute(compile_tree(rewrite.run(tree), load.file), name, rewrite, space.values, checked)
    made.__defaults__ = defaults or None
    return made, found.result


def callee(values, checked):
    """What Kinds asks for the result of a call."""
    return lambda name, value, kinds: specialise(value, kinds, checked)[1]


def compile_tree(tree, file):
    return compile(ast.fix_missing_locations(ast.Module([tree], [])), file, "exec")


def execute(compiled, name, rewrite, values, checked):
    """The function of that name, with the values that its code needs."""
    names = {n: constant(v, n, checked) for n, v in values.items()}
    names |= WORDS | rewrite.names
    names |= {new: specialise(values.get(f, f) if isinstance(f, str) else f, kinds, checked)[0]
              for new, (f, kinds) in rewrite.calls.items()}
    exec(compiled, names)
    return names[name]


def constant(value, name, checked):
    """What stands in the code for a global or closure variable."""
    if isinstance(value, np.ndarray):
        return Constants(value, name) if checked else value
    if isinstance(value, tuple):
        return tuple([constant(v, name, checked) for v in value])
    return meaning.value(value) if isinstance(value, (np.generic, float)) else value


# ---- words whose meaning in Python is not that of words.py: Python's integers have no size
def atomic(change):
    """old = a[i]; a[i] = change(old, v): in numbers of the array's own type."""
    def run(a, i, *values):
        values = [meaning.cast_to(a.dtype)(v) for v in values]
        if not isinstance(a, np.ndarray):
            return a.atomic(i, change, values)
        old = meaning.load(a, i)
        meaning.store(a, i, change(old, *values))
        return old
    return run


def changes():
    """{atomic: the new value of the old one and the operands}: words.py's functions, each let loose on a list."""
    def of(function):
        def change(old, *values):
            cell = [old]
            function(cell, 0, *values)
            return cell[0]
        return change

    return {
        name: of(f) for name, f in HELPERS.items() if name.startswith("atomic") and name != "atomic_compare_and_swap"
    }


def of_bits(name):
    """popc and its like: of an unsigned number the number itself knows its width."""
    def count(x, bits=64):
        x = meaning.value(x)
        bits = x.bits if isinstance(x, meaning.Unsigned) else bits
        if name == "brev":
            bits = 64 if x.__class__ is meaning.Unsigned else 32
        result = HELPERS[name](x, bits)
        if name in ("popc", "clz"):
            return x.__class__(result) if isinstance(x, meaning.Unsigned) else result
        return meaning.UNSIGNED[max(bits, 32) // 8 if name == "brev" else 4](result)
    return count


def fma(a, b, c):
    return meaning.add(meaning.mul(a, b), c)


WORDS = {"_" + name: function for name, function in HELPERS.items()}
WORDS |= {"_" + name: atomic(change) for name, change in changes().items()}
WORDS |= {"_atomic_compare_and_swap": lambda a, expected, v: WORDS["_atomic_cas"](a, 0, expected, v), "_fma": fma,
          "_activemask": lambda *args: meaning.Unsigned32(HELPERS["activemask"](*args))}
WORDS |= {"_" + name: of_bits(name) for name in BITS}


# ---- kernels
class Unit:
    """The code of a block function for one kind of arguments, and what it takes the kernel's functions to give."""

    def __init__(self, program, kinds, checked):
        variables = dict(zip(program.inputs, kinds))
        for table in (program.shared, program.local):
            variables |= {name: Memory(dtype, max(len(shape), 1)) for name, (shape, dtype) in table.items()}
        self.program, self.expected, self.checked = program, {}, checked
        self.arrays = {name: kind_of(v) for name, v in program.namespace.items() if isinstance(v, np.ndarray)}
        found = Kinds(program.serial, variables, program.namespace, self.expect, program.file)
        tree = copy.deepcopy(program.block)
        tree.args.args[:0] = [ast.arg("_threads"), ast.arg("_watcher")]
        if checked:
            tree = Checked().visit(tree)
        nodes = list(ast.walk(tree))
        called = [n.func for n in nodes if isinstance(n, ast.Call)]
        self.passed = {n.id for n in nodes if isinstance(n, ast.Name) and n not in called
                       and python_function(program.namespace.get(n.id)) is not None}    # functions given to functions
        self.rewrite = Rewrite(found, program.namespace, checked)
        self.compiled = compile_tree(self.rewrite.run(tree), program.file)

    def expect(self, name, value, kinds):
        result = specialise(value, kinds, self.checked)[1]
        if name in self.program.namespace:          # others come from modules, or as arguments of functions
            self.expected[name, kinds] = result
        return result

    def fits(self, program):
        """Are this closure's arrays of the kinds that the code was made for, and do its functions give such?"""
        values = program.namespace
        return all(kind_of(values[name]) == kind for name, kind in self.arrays.items()) \
            and all(values[name] is self.program.namespace[name] for name in self.passed) \
            and all(specialise(values[name], kinds, self.checked)[1] == result
                    for (name, kinds), result in self.expected.items())

    def block(self, program):
        return execute(self.compiled, program.name, self.rewrite, program.namespace, self.checked)


class Checked(ast.NodeTransformer):
    """The block with calls that tell the watcher where threads meet, and variables that start unset."""

    def visit_Expr(self, s):
        if isinstance(s.value, ast.Constant) and isinstance(s.value.value, str):
            return code(f"_watcher.meet({s.value.value!r}, {getattr(s, 'mask', None)})", s.lineno)
        return self.generic_visit(s)

    def visit_Call(self, node):
        node = self.generic_visit(node)
        word = called(node)[1:]
        if word in SHUFFLES or word in VOTES:
            node.func = expr("_watcher.lanes", node.lineno)
            node.args.insert(0, ast.Constant(word))
        return node

    def visit_For(self, s):
        s = self.generic_visit(s)
        if getattr(s, "unset", None):
            s.body = code("\n".join(f"{v} = _watcher.unset({v!r})" for v in s.unset), s.lineno) + s.body
        return s


def unit_for(program, kinds, checked):
    units = program.made.setdefault(("python", kinds, checked), [])
    for unit in units:
        if unit.fits(program):
            return unit
    units.append(Unit(program, kinds, checked))
    return units[-1]


def make(program, check=False, reverse=False):
    """run(grid, block, shared_bytes, args)"""
    blocks = {}

    def run(grid, block, shared_bytes, args):
        check_launch(program, grid, block, shared_bytes)
        if len(args) != len(program.params):
            raise TypeError(
                f"{program.name} takes {len(program.params)} arguments ({', '.join(program.params)}), not {len(args)}"
            )
        kinds = tuple([kind_of(a) for a in args])
        function = blocks.get(kinds)
        if function is None:
            function = blocks[kinds] = unit_for(program, kinds, check).block(program)
        values = [a if isinstance(a, np.ndarray) else meaning.value(a) for a in args]
        Launch(
            program, function, grid, block, shared_bytes, values, Watcher(program, block) if check else None, reverse
        ).run()
    return run


@functools.lru_cache(64)
def threads_of(block, reverse):
    """(number, x, y, z) of each thread of a block, in the order in which they run."""
    width, height, depth = block
    found = [((z * height + y) * width + x, x, y, z) for z in range(depth) for y in range(height) for x in range(width)]
    return found[::-1] if reverse else found


class Launch:
    """One launch: the memory of a block, made once, and the blocks one after the other."""

    def __init__(self, program, function, grid, block, shared_bytes, args, watcher, reverse):
        self.program, self.function, self.grid, self.block, self.watcher = program, function, grid, block, watcher
        self.threads, self.err = threads_of(block, reverse), [0] * 8
        self.count = len(self.threads)
        self.shared = self.shared_arrays(shared_bytes)
        self.local = [self.local_array(shape, dtype) for shape, dtype in program.local.values()]
        self.kept = [[None] * self.count for _ in program.kept]
        self.masks = [[True] * self.count for _ in program.masks]
        self.args = args
        if watcher:
            watcher.watch(self)

    def shared_arrays(self, shared_bytes):
        dynamic = np.empty(shared_bytes, np.uint8)
        return [
            dynamic[: shared_bytes // dtype.itemsize * dtype.itemsize].view(dtype)
            if shape == (0,)
            else np.empty(shape, dtype)
            for shape, dtype in self.program.shared.values()
        ]

    def local_array(self, shape, dtype):
        return [np.empty(shape, dtype) for _ in range(self.count)] if self.program.meets else np.empty(shape, dtype)

    def run(self):
        width, height, depth = self.grid
        arrays = [*self.shared, *self.local, *self.kept, *self.masks, *self.args]
        with np.errstate(all="ignore"):
            for z in range(depth):
                for y in range(height):
                    for x in range(width):
                        self.run_block((x, y, z), arrays)

    def run_block(self, index, arrays):
        for a in self.shared:
            poison(a)
        if self.watcher:
            self.watcher.start(index)
        try:
            self.function(self.threads, self.watcher, self.err, *index, *self.grid, *self.block, *arrays)
        except Exception as error:
            raise failure(self.program, self.function.__code__, error) from error
        if self.err[0]:
            raise_err(self.program, self.err, index, self.block)


def poison(array):
    """Shared memory starts with whatever is there: something useless, so that a kernel that relies on it shows."""
    array.fill(
        np.nan if array.dtype.kind == "f" or array.dtype.kind == "V" else True if array.dtype.kind == "b" else 85
    )
