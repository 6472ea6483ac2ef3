"""A kernel after the front end: what both back ends are made from.

It knows the steps (load, flatten, analyse, cut) and their order, not what a back end does. Kernels come from factories:
a hundred closures over one `def` share one translation, and only the values that their names stand for are bound anew.
"""
from __future__ import annotations

import ast
import copy
import re

from .analyse import Analysis
from .cut import Cut
from .flatten import Flatten
from .load import Load, Namespace, Unsupported, ending, fingerprint, names_of
from .trees import code, has_meet, is_meet, stores
from .words import BLOCK, HELPERS, RESERVED

FIRST = ["_err", *BLOCK]                            # the first parameters of a block function
OWN = {"_err", "_returned", "_threads", "_watcher", "_ACTIVE", *["_" + name for name in HELPERS], *RESERVED}
_translations = {}                                  # (file, code, fingerprint) -> Program


class Program:
    """The fields, for a kernel `def k(a, n)`:

    name, file, line    k, its file, the line of its def (of its first decorator)
    function            the Python function, whose values `namespace` holds
    params, inputs      ["a", "n"]; the same for generated code, where a parameter that is assigned to is called n_in
    namespace           {name in generated code: value}: globals, closure variables, scalar functions, modules
    meets               do threads meet at all?
    block               ast.FunctionDef: all threads of one block. Its parameters: FIRST, then `arrays`, then `inputs`
    arrays              the names of those in order: shared arrays, local arrays, kept variables, masks
    shared              {name: (shape, dtype)}; shape (0,): dynamic. One array a block
    local               {name: (shape, dtype)}; if `meets` called name_all in `arrays`, with the threads as first
                        dimension; else name: one for the thread that is running
    kept                variables kept for each thread: x is the array x_all in `arrays`, x_all[thread]
    masks               arrays of bool, one a thread, True at the start of a block (the block refills `live` itself)
    serial              the statements of one thread that meets nobody: for finding the types of variables. In it the
                        shuffle's result is what was published; shared and local arrays are used but not made
    Loops over threads are `for _thread, threadIdx_x, threadIdx_y, threadIdx_z in _threads` with is_threads = True;
    unit.Loops writes them out as loops of numbers. Generated code calls `_name` for each name in words.HELPERS,
    reads the err array (8 integers, words.DIVERGED ...), and every expression of the kernel has a `site`: a number, the
    same in `block` and `serial`.
    """

    def __init__(self, function):
        self.function, self.name = function, function.__name__
        if self.name == "<lambda>":
            raise Unsupported(f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}: a kernel is a "
                              "def, not a lambda")
        space = Namespace(OWN, ending(names_of(function)))
        load = Load(function, space)
        self.file, self.line, self.params = load.file, load.line, load.params
        flat = Flatten(space, load)
        body = flat.block(load.body)
        flat.check_arrays(body, load.params)
        changed = [p for p in self.params if p in stores(body)]
        renamed = {p: flat.new(p + "_in") for p in changed}
        self.inputs = [renamed.get(p, p) for p in self.params]
        body = [s for p in changed for s in code(f"{p} = {renamed[p]}", self.line)] + body
        self.meets = has_meet(body)
        analysis = Analysis(body, flat, self.inputs)
        number(body)
        self.serial = [s for s in [Serial().visit(copy.deepcopy(s)) for s in body] if s is not None]
        cut = Cut(body, analysis, flat)
        self.namespace, self.paths = space.values, space
        self.shared, self.local = flat.shared, flat.local
        self.kept, self.masks, self.live = sorted(cut.kept), cut.masks, cut.live
        self.arrays = [
            *self.shared,
            *[flat.kept(v) if self.meets else v for v in self.local],
            *map(flat.kept, self.kept),
            *self.masks,
        ]
        self.block = self.block_function(cut.tree)
        self.made = {}                              # what back ends remember: shared by all closures

    def block_function(self, tree):
        function = code(f"def {self.name}({', '.join([*FIRST, *self.arrays, *self.inputs])}): pass", self.line)[0]
        function.body = (code(f"_fill({self.live}, True)", self.line) if self.live else []) + tree
        return ast.fix_missing_locations(function)

    def rebound(self, function):
        """The same translation for another closure."""
        new = copy.copy(self)
        new.function, new.namespace = function, self.paths.rebound(function)
        return new

    @property
    def source(self):
        """The loops over the threads of one block, to be read."""
        def shapes(table):
            return ", ".join(f"{v} {dtype.name}{list(shape)}" for v, (shape, dtype) in table.items())
        about = [f"# {self.name}: one block, all its threads. Runs for every blockIdx of the grid."]
        about += [f"# shared by the block: {shapes(self.shared)}"] * bool(self.shared)
        about += [f"# an array for each thread: {shapes(self.local)}"] * bool(self.local)
        kept = ", ".join(f"{v} in {v}{self.paths.kept}" for v in self.kept)
        about += [f"# kept for each thread: {kept}"] * bool(kept)
        about += [f"# who takes part: {', '.join(self.masks)}"] * bool(self.masks)
        text = ast.unparse(self.block).replace(f"def {self.name}({', '.join(FIRST)}, ", f"def {self.name}(")
        text = re.sub(r"^( *)'(\w+)'$", r"\1# ---- all threads meet: \2", text, flags=re.M)
        return "\n".join(about) + "\n" + text

    def python(self, check=False, reverse=False):
        """run(grid, block, shared_bytes, args) in plain Python: starts at once, needs numpy alone."""
        from .python import make
        return make(self, check, reverse)

    def compiled(self, args, boundscheck=False, reverse=False):
        """run(grid, block, shared_bytes, args), compiled by numba for arguments of these kinds."""
        from .compiled import make
        return make(self, args, boundscheck, reverse)


def number(body):
    """Give every expression a number that stays with its copies."""
    count = 0
    for s in body:
        for node in ast.walk(s):
            if isinstance(node, (ast.expr, ast.stmt)):
                node.site = count
                count += 1


class Serial(ast.NodeTransformer):
    """The kernel as one thread that meets nobody."""

    def visit_Expr(self, s):
        return ast.copy_location(ast.Pass(), s) if is_meet(s) else self.generic_visit(s)

    def visit_Call(self, node):
        if not hasattr(node, "serial"):
            return self.generic_visit(node)
        node.serial.site = node.site
        return ast.copy_location(node.serial, node)


def remembered(function, name):
    """A dict that stays with a function, and with no other: functools.wraps copies what a function has."""
    owner, found = function.__dict__.get(name, (None, None))
    if owner is not function:
        function.__dict__[name] = function, (found := {})
    return found


def program(function):
    """The Program of a kernel, translated once for all closures of one `def`."""
    known = function.__dict__.get("_program")
    if known is None or known.function is not function:     # (functools.wraps copies what a function remembers)
        key = function.__code__.co_filename, function.__code__, fingerprint(function)
        if key in _translations:
            known = _translations[key].rebound(function)
        else:
            known = _translations[key] = Program(function)
        function._program = known
    return known
