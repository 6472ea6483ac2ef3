"""One text for one kernel: the block function, all that it calls and every constant, so that the text says everything.

It knows Python, neither numba nor the cache. The text is what the disk cache looks up, and what is compiled. Functions
that a kernel calls (its device functions, the shuffles and atomics of words.py) are written into it where that changes
nothing: numba takes 30 ms for every function that it compiles by itself.

    o[i] = scaled(a[i], 0.5)           ->     x__1 = a[i]                    where  def scaled(x, k): return x * k
                                              o[i] = x__1 * 0.5
    rate, a closure's np.float32(0.1)  ->     rate = _np.float32(0.1)        at the top
"""
from __future__ import annotations

import ast
import builtins
import copy
import functools
import itertools
import math
import operator
import types

import numpy as np

from ..provider import Intrinsic, Type
from .flatten import Rename, dtype_of
from .load import Load, Namespace, Unsupported, definition, is_foreign, python_function, referred
from .trees import assign, at, called, code, expr, has, is_meet, loads, stores
from .words import AXES, BITS, BLOCK, HELPERS, RESULTS, THREAD

LONGEST = 64 << 10                                  # bytes of constant arrays: a GPU has no more constant memory
DEPTH = 8                                           # of functions within functions; deeper ones stay calls
HALVES = ("float16", "bfloat16")                    # numba can't compute with them: arithmetic.py
OPERATORS = {ast.LShift: "_lshift", ast.RShift: "_rshift", ast.Pow: "_pow"}
MODULES = {"_np": np, "_math": math, "_operator": operator}


class Unit:
    """tree: an ast.Module of constants, functions and the block function; text: the same, unparsed.

    functions: the names of those that could not be written into their callers; each stands before those that call it
    axes: for blocks with this number of dimensions; the sizes of the others are 1. Fewer loops are compiled faster
    """

    def __init__(self, program, axes=3, reverse=False):
        self.program, self.file = program, program.file
        self.space = Namespace(program.paths.reserved)
        self.space.values, self.space.paths = dict(program.namespace), dict(program.paths.paths)
        self.space.origins = dict(program.paths.origins)
        everyone = next((m for m in program.masks if m.startswith("everyone")), None)
        self.writer = Writer(self.space, self.file, everyone)
        block = copy.deepcopy(program.block)
        self.narrow = Narrow() if "_clz" in loads(block.body) else ast.NodeVisitor()
        self.narrow.visit(block)
        block = Loops(axes, reverse).visit(block)
        block.body = self.writer.block(block.body)
        parts = [*self.writer.functions.values(), block]
        self.tree = ast.fix_missing_locations(ast.Module(code(self.constants(parts), program.line) + parts, []))
        self.text = ast.unparse(self.tree)
        self.functions = list(self.writer.functions)
        self.written = written(block)               # the names of arrays that it stores to

    def serial(self):
        """The kernel as one thread that meets nobody, for finding the types of variables: a tree like `tree`, and the
        parameters of its one function."""
        p = self.program
        params = [THREAD, *AXES, *BLOCK, *p.shared, *p.local, *p.inputs]
        function = code(f"def serial({', '.join(params)}): pass", p.line)[0]
        function.body = [copy.deepcopy(s) for s in p.serial if not is_meet(s)]
        self.narrow.visit(function)
        function.body = self.writer.block(function.body) or code("pass", p.line)
        parts = [f for name, f in self.writer.functions.items() if name not in self.functions] + [function]
        return ast.fix_missing_locations(ast.Module(code(self.constants(parts), p.line) + parts, [])), params

    def constants(self, functions):
        """Assignments for every name that the functions find outside."""
        lines = [f"import {module.__name__} as {name}" for name, module in MODULES.items()]
        for name in sorted(set().union(*[free(f) for f in functions])):
            if name in self.space.values and name not in self.writer.functions:
                lines.append(f"{name} = {self.literal(name, self.space.values[name])}")
        return "\n".join(lines)

    def literal(self, name, value):
        """The text of a constant."""
        if isinstance(value, Type):
            return f"_{value.name}" if value.name in HALVES else f"_np.{value.numpy.name}"
        if value is math.fmod:
            return "_fmod"
        if value is None or isinstance(value, (bool, int)) and type(value) in (bool, int):
            return repr(value)
        if type(value) is float:
            return repr(value) if math.isfinite(value) else f"_np.float64('{value}')"
        if isinstance(value, (np.generic, np.ndarray)) and value.dtype.name in HALVES:
            value = value.astype(np.float32)        # what they are while computing
        if isinstance(value, np.generic) and value.dtype.kind in "biuf":
            return f"_np.{value.dtype.name}({repr(str(value)) if value.dtype.kind == 'f' else value})"
        if isinstance(value, tuple):
            return f"({''.join([self.literal(name, v) + ', ' for v in value])})"
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.nbytes <= LONGEST:
            value = value.astype(value.dtype.newbyteorder("="))
            data = f"_np.frombuffer(bytes.fromhex({value.tobytes().hex()!r}), {value.dtype.name!r})"
            return f"{data}.reshape({value.shape})"
        for module_name, module in MODULES.items():
            if value is module:
                return module_name
            if getattr(module, getattr(value, "__name__", ""), None) is value:
                return f"{module_name}.{value.__name__}"
        if getattr(builtins, getattr(value, "__name__", ""), None) is value:
            return value.__name__
        if not isinstance(value, np.ndarray) and type(value).__module__.startswith("numba"):
            return f"_np.{dtype_of(value).name}"    # numba's name for a type
        p, what = self.program, type(value).__name__ + (f", {value.nbytes} bytes" if hasattr(value, "nbytes") else "")
        raise Unsupported(f"{p.file}:{p.line}: {p.name} refers to {name}, a value of type {what}; kernels can refer to "
                          "numbers, tuples, arrays of 64 KB, functions, math and numpy. Pass it as an argument")


def axes_of(program):
    """The number of dimensions that a kernel's blocks have, by the indices it asks for."""
    asked = loads(program.block)
    return next((n for n in (3, 2) if AXES[n - 1] in asked), 1)


class Loops(ast.NodeTransformer):
    """`for _thread, threadIdx_x ... in _threads` as loops of numbers, one for each dimension that blocks have."""

    def __init__(self, axes, reverse):
        sizes = [f"blockDim_{axis}" for axis in "xyz"[:axes]]
        x, y, z = AXES
        number = [x, f"{y} * blockDim_x + {x}", f"({z} * blockDim_y + {y}) * blockDim_x + {x}"]
        ranges = [f"range({n} - 1, -1, -1)" if reverse else f"range({n})" for n in sizes]
        loops = [f"{' ' * k}for {AXES[axes - 1 - k]} in {r}:" for k, r in enumerate(reversed(ranges))]
        self.axes, self.text = axes, "\n".join(loops) + f"\n{' ' * axes}{THREAD} = {number[axes - 1]}"

    def visit_For(self, node):
        if not getattr(node, "is_threads", False):
            return self.generic_visit(node)
        loops = innermost = code(self.text, node.lineno)[0]
        for _ in range(self.axes - 1):
            innermost = innermost.body[0]
        innermost.body += node.body
        return loops


def written(function):
    """The names that are stored to by index; helpers that stay functions are not looked into."""
    places = [n for s in function.body for n in ast.walk(s) if isinstance(n, ast.Subscript)]
    return {n.value.id for n in places if isinstance(n.ctx, ast.Store) and isinstance(n.value, ast.Name)}


class Narrow(ast.NodeTransformer):
    """Indices as the int32 that they are on a GPU, for clz, which depends on that: elsewhere int64 is as good."""

    def narrow(self, e):
        return replaced_call(e, "_int32", [e]) if getattr(e, "id", "") in (*AXES, *BLOCK) else e

    def visit_Assign(self, node):
        node = self.generic_visit(node)
        node.value = self.narrow(node.value)
        return node

    def visit_Call(self, node):
        node = self.generic_visit(node)
        node.args = [self.narrow(a) for a in node.args] if called(node) == "_clz" else node.args
        return node


def free(function):
    """The names that a function reads and doesn't set."""
    return loads(function.body) - stores(function.body) - {a.arg for a in function.args.args}


class Writer(ast.NodeTransformer):
    """Statements -> the same statements, with the functions that they call written into them."""

    def __init__(self, space, file, everyone):
        self.space, self.file, self.everyone, self.count = space, file, everyone, itertools.count()
        self.functions, self.keeping = {}, []       # those that stay functions; those of them not ready yet
        self.stack, self.pure = [], {}              # those that are being written into others; known to be pure, or not
        self.out, self.whole = None, None           # see expression()

    # ---- statements
    def block(self, statements):
        out = []
        for s in statements:
            self.statement(s, out)
        return out

    def statement(self, s, out):
        if isinstance(s, ast.Assign) and isinstance(s.value, ast.IfExp) and isinstance(s.targets[0], ast.Name) \
                and self.calls(s.value):            # x = f(y) if c else z
            then, other = [ast.copy_location(ast.Assign(copy.deepcopy(s.targets), v), s)
                           for v in (s.value.body, s.value.orelse)]
            s = ast.copy_location(ast.If(s.value.test, [then], [other]), s)
        if isinstance(s, (ast.If, ast.For, ast.While)):
            head = "iter" if isinstance(s, ast.For) else "test"
            test = getattr(s, head)
            alone = test.operand if isinstance(test, ast.UnaryOp) else test
            setattr(s, head, self.expression(test, None if isinstance(s, ast.While) else out, alone))
            s.body, s.orelse = self.block(s.body), self.block(s.orelse)
            s.body = s.body or code("pass", s.lineno)
        else:
            s = self.expression(s, out, getattr(s, "value", None))
        if not (isinstance(s, ast.Expr) and isinstance(s.value, (ast.Name, ast.Constant))):
            out.append(s)

    def calls(self, node):
        return any(isinstance(n, ast.Call) and self.function(called(n)) for n in ast.walk(node))

    def writes(self, node):
        """Is this the call of a function that writes into arrays?"""
        function = self.function(called(node)) if isinstance(node, ast.Call) else None
        return function is not None and not self.is_pure(function)

    # ---- expressions
    def expression(self, node, out, alone):
        """`out`: where statements go that must be done before. `alone`: the call that is the whole of a statement."""
        if out is not None and any([self.writes(n) for n in ast.walk(node) if n is not alone]):
            out = None                              # another call changes memory: the order must stay
        saved, self.out, self.whole = (self.out, self.whole), out, alone
        node = self.visit(node)
        self.out, self.whole = saved
        return node

    def visit_IfExp(self, node):
        node.test = self.visit(node.test)
        node.body, node.orelse = [self.expression(n, None, None) for n in (node.body, node.orelse)]
        return node

    def visit_BoolOp(self, node):
        node.values = [self.visit(node.values[0]), *[self.expression(n, None, None) for n in node.values[1:]]]
        return node

    def visit_Compare(self, node):
        node.left, node.comparators[0] = self.visit(node.left), self.visit(node.comparators[0])
        node.comparators[1:] = [self.expression(n, None, None) for n in node.comparators[1:]]
        return node

    def visit_Subscript(self, node):
        """The mask that is always true needs no memory."""
        node = self.generic_visit(node)
        everyone = isinstance(node.ctx, ast.Load) and getattr(node.value, "id", "") == self.everyone
        return expr("True", node.lineno) if everyone else node

    def visit_Attribute(self, node):
        """A value in another module is a constant."""
        node = self.generic_visit(node)
        home = self.space.values.get(getattr(node.value, "id", ""))
        if home is math and node.attr == "fmod":
            return expr("_fmod", node.lineno)
        foreign = isinstance(home, types.ModuleType) and home not in MODULES.values()
        if foreign and hasattr(home, node.attr):
            path = (*self.space.paths[node.value.id], node.attr)
            return expr(self.space.bind(node.attr, getattr(home, node.attr), path, (id(home), node.attr)), node.lineno)
        return node

    def visit_BinOp(self, node):
        """Shifts and powers whose right side is no small literal: LLVM and numba leave some cases open."""
        node = self.generic_visit(node)
        word = OPERATORS.get(type(node.op))
        n = node.right.value if isinstance(node.right, ast.Constant) else -1
        if word is None or type(n) is not int or 0 <= n < 64:
            return node
        return replaced_call(node, word, [node.left, node.right])

    def visit_AugAssign(self, node):
        if type(node.op) not in OPERATORS or not isinstance(node.target, ast.Name):
            return self.generic_visit(node)
        old = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        value = self.visit(ast.copy_location(ast.BinOp(old, node.op, node.value), node))
        return ast.copy_location(ast.Assign([node.target], value), node)

    def visit_Call(self, node):
        name = called(node)
        narrow = name.startswith("_") and RESULTS.get(name[1:])
        result = self.call(node)
        return replaced_call(node, "_" + narrow, [result]) if narrow else result

    def call(self, node):
        out, whole = self.out, self.whole is node
        node = self.generic_visit(node)
        name = called(node)
        if name[1:] in BITS and name[0] == "_" and name not in self.space.values:
            return node                             # arithmetic.py has them
        if name == "pow" and len(node.args) == 2 and self.space.values.get("pow", pow) is pow:
            return replaced_call(node, "_pow", node.args)
        if self.is_math_pow(node.func):
            return replaced_call(node, "_math_pow", node.args)
        function = self.function(name)
        if self.is_max_or_min(name) and len(node.args) > 1:
            return functools.reduce(lambda a, b: replaced_call(node, "_" + name, [a, b]), node.args)
        if function is None:
            return node
        if function not in self.stack and len(self.stack) < DEPTH:
            load = self.load(name, function)
            given = self.arguments(node, load, function)
            self.stack.append(function)
            try:
                if self.is_pure(function) and self.fits(load, given):
                    for p, v in given.items():
                        Rename(p + load.suffix, v).visit_all(load.body)
                    return self.visit(at([load.body[0].value], node.lineno)[0])
                if out is not None and (whole or self.is_pure(function)):
                    return self.written(node, load, given, out)
            except Unwritable:
                pass
            finally:
                self.stack.pop()
        self.keep(name, function)
        load = self.load(name, function)
        return replaced_call(node, name, list(self.arguments(node, load, function).values()))

    def is_math_pow(self, function):
        home = self.space.values.get(getattr(getattr(function, "value", None), "id", ""))
        return home is math and function.attr == "pow" or self.space.values.get(getattr(function, "id", "")) is math.pow

    def is_max_or_min(self, name):
        """Python's own: a GPU's treat nan in another way."""
        own = getattr(builtins, name) if name in ("max", "min") else None
        return own is not None and self.space.values.get(name, own) is own

    # ---- functions
    def function(self, name):
        """The Python function that a name stands for, if its source is to be compiled."""
        if name[1:] in HELPERS and name[0] == "_" and name not in self.space.values:
            self.space.values[name], self.space.paths[name] = HELPERS[name[1:]], (name,)
        return source_of(self.space.values.get(name)) if name else None

    def load(self, name, function):
        """The function's source with names of its own."""
        return Load(function, self.space, f"__{next(self.count)}", self.space.paths[name])

    def is_pure(self, function):
        """Does it, with all it calls, only compute?"""
        if function not in self.pure:
            self.pure[function] = True              # (for recursion)
            tree = definition(function)[0]
            writes = any(isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store) for n in ast.walk(tree))
            inner = [source_of(v) for v in referred(function).values()]
            self.pure[function] = not writes and all(self.is_pure(f) for f in inner if f)
        return self.pure[function]

    def arguments(self, node, load, function):
        """{parameter: what is given for it}, in order."""
        given = dict(zip(load.params, node.args)) | {k.arg: k.value for k in node.keywords}
        if len(node.args) > len(load.params) or set(given) - set(load.params):
            count = len(node.args) + len(node.keywords)
            load.fail(load.tree, f"called with {count} arguments, it takes {', '.join(load.params)}")
        defaults = function.__defaults__ or ()
        for position, p in enumerate(load.params):
            late = position - len(load.params) + len(defaults)
            if p not in given and late < 0:
                load.fail(load.tree, f"called without an argument {p}")
            if p not in given:
                given[p] = expr(load.bind_default(p, late, defaults[late]), node.lineno)
        return {p: given[p] for p in load.params}

    def fits(self, load, given):
        """Is it one expression, in which no argument would be computed twice?"""
        if len(load.body) != 1 or not isinstance(load.body[0], ast.Return) or load.body[0].value is None:
            return False
        names = [n.id for n in ast.walk(load.body[0]) if isinstance(n, ast.Name)]
        return all(is_simple(v) or names.count(p + load.suffix) == 1 and not has(v, ast.Call) for p, v in given.items())

    def written(self, node, load, given, out):
        """The function's statements go before the statement; what it returns stands in the place of the call."""
        changed, before = stores(load.body), []
        for p, v in given.items():
            if is_simple(v) and p + load.suffix not in changed:
                Rename(p + load.suffix, v).visit_all(load.body)
            else:
                before.append(assign(p + load.suffix, v, node.lineno))
        result = f"result{load.suffix}"
        body = before + self.tail(load.body, result, load.suffix)
        if load.file != self.file:
            at(body, node.lineno)
        returns = result in stores(body)
        for s in body:
            self.statement(s, out)
        return expr(result if returns else "None", node.lineno)

    def tail(self, statements, result, suffix):
        """Returns become assignments to the result. Loops are left by break; what follows depends on how."""
        for i, s in enumerate(statements):
            rest = statements[i + 1:]
            if isinstance(s, ast.Return):
                return statements[:i] + ([assign(result, s.value, s.lineno)] if s.value else [])
            if isinstance(s, ast.If) and has(s, ast.Return):
                s.body, s.orelse = (self.tail(branch + copy.deepcopy(rest), result, suffix) or code("pass", s.lineno)
                                    for branch in (s.body, s.orelse))
                return statements[:i + 1]
            if has(s, ast.Return):
                left = f"left{next(self.count)}{suffix}"
                self.leave(s, result, left)
                after = code(f"if not {left}: pass", s.lineno)
                after[0].body = self.tail(rest, result, suffix) or after[0].body
                return statements[:i] + code(f"{left} = False", s.lineno) + [s] + after
        return statements

    def leave(self, loop, result, left):
        """return x, in a loop -> result = x; left = True; break"""
        if loop.orelse:
            raise Unwritable

        def leaving(statements):
            out = []
            for s in statements:
                if isinstance(s, ast.Return):
                    out += [assign(result, s.value, s.lineno)] if s.value else []
                    out += code(f"{left} = True", s.lineno) + at([ast.Break()], s.lineno)
                elif isinstance(s, (ast.For, ast.While)) and has(s, ast.Return):
                    self.leave(s, result, left)
                    out += [s, *at([ast.If(expr(left), [ast.Break()], [])], s.lineno)]
                else:
                    if isinstance(s, ast.If):
                        s.body, s.orelse = leaving(s.body), leaving(s.orelse)
                    out.append(s)
            return out
        loop.body = leaving(loop.body)

    def keep(self, name, function):
        """The function as one of the unit's own."""
        if name in self.functions:
            return
        load = self.load(name, function)
        if function in self.keeping:
            load.fail(load.tree, "it calls itself; kernels can't be compiled with that: write a loop")
        self.keeping.append(function)
        made = code(f"def {name}({', '.join([p + load.suffix for p in load.params])}): pass", load.line)[0]
        outer, self.stack = self.stack, [function]
        made.body = self.block(load.body) or made.body
        self.stack = outer
        self.keeping.pop()
        self.functions[name] = made


def source_of(value):
    """The Python function behind a value that a kernel may call, if its source is to be compiled."""
    found = python_function(value.compiled if isinstance(value, Intrinsic) else value)
    return None if found is None or is_foreign(found) else found


def replaced_call(node, name, args):
    return ast.copy_location(ast.Call(ast.copy_location(ast.Name(name, ast.Load()), node), args, []), node)


def is_simple(e):
    return isinstance(e, (ast.Name, ast.Constant)) or isinstance(e, ast.UnaryOp) and isinstance(e.operand, ast.Constant)


class Unwritable(Exception):
    """This call stays a call."""
