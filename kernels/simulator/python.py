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
from .program import number
from .rewrite import Rewrite
from .trees import called, code, expr
from .watch import Watcher
from .words import HELPERS, RESERVED, SHUFFLES, VOTES


# ---- functions that kernels call
def specialise(value, kinds, checked):
    """(a function of the user's, made for arguments of these kinds; the kind of its result)"""
    function = python_function(value)
    if function is None or is_foreign(function):
        return value, None
    known = function.__dict__.setdefault("_specialised", {})
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
    found = Kinds(load.body, dict(zip(load.params, given)), space.values, callee(space.values, checked))
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
    names = {n: meaning.value(v) if isinstance(v, (np.generic, float, tuple)) else v for n, v in values.items()}
    names |= WORDS | rewrite.names
    names |= {new: specialise(values[n], kinds, checked)[0] for new, (n, kinds) in rewrite.calls.items()}
    exec(compiled, names)
    return names[name]


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


def on_integer(function, bits=64):
    return lambda x: function(int(x) & ((1 << bits) - 1))


def fma(a, b, c):
    return meaning.add(meaning.mul(a, b), c)


WORDS = {"_" + name: function for name, function in HELPERS.items()}
WORDS |= {"_" + name: atomic(change) for name, change in changes().items()}
WORDS |= {"_atomic_compare_and_swap": lambda a, expected, v: WORDS["_atomic_cas"](a, 0, expected, v), "_fma": fma,
          "_popc": on_integer(int.bit_count), "_ffs": on_integer(HELPERS["ffs"])}


# ---- kernels
class Unit:
    """The code of a block function for one kind of arguments, and what it takes the kernel's functions to give."""

    def __init__(self, program, kinds, checked):
        variables = dict(zip(program.inputs, kinds))
        for table in (program.shared, program.local):
            variables |= {name: Memory(dtype, max(len(shape), 1)) for name, (shape, dtype) in table.items()}
        self.expected = {}
        self.checked = checked
        found = Kinds(program.serial, variables, program.namespace, self.expect)
        tree = copy.deepcopy(program.block)
        tree.args.args[:0] = [ast.arg("_threads"), ast.arg("_watcher")]
        if checked:
            tree = Checked().visit(tree)
        self.rewrite = Rewrite(found, program.namespace, checked)
        self.compiled = compile_tree(self.rewrite.run(tree), program.file)

    def expect(self, name, value, kinds):
        result = specialise(value, kinds, self.checked)[1]
        self.expected[name, kinds] = result
        return result

    def fits(self, program):
        """Do this closure's functions give what the code was made for?"""
        return all(specialise(program.namespace[name], kinds, self.checked)[1] == result
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
