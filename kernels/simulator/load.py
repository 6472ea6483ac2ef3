"""Step 1, load: a function becomes a syntax tree in which every name is plain and unique.

It knows where sources are found and which words of CUDA exist, not what they do. `cuda.threadIdx.x` becomes
threadIdx_x, `cuda.grid(1)` its formula, `cuda.syncthreads()` a call of `cuda_syncthreads`; globals and closure
variables get names that no other function uses, so that functions can be written into each other later (flatten.py).

    i = cuda.grid(1)       ->   i = blockIdx_x * blockDim_x + threadIdx_x
    if i < n: f(a, i)      ->   if i < n: f__1(a, i)           where the namespace has f__1, found again by its path
"""
from __future__ import annotations

import ast
import copy
import itertools
import types

import numpy as np

from .. import source
from ..provider import Intrinsic, Type
from . import words
from .trees import expr, stores


KEPT = "_all"                                       # x_all[t] is the x of thread t


class Unsupported(TypeError):
    """The kernel cannot be translated: file, line, and what to write instead."""


# ---- sources
def definition(function):
    """(the syntax tree of a function or lambda, its file). The tree is the caller's to change."""
    try:
        tree, file = source.definition(function)
    except source.SourceError as error:
        raise Unsupported(str(error)) from None
    return copy.deepcopy(tree), file


# ---- values that kernels refer to
def is_cuda(value):
    return getattr(value, "__name__", "") in ("cuda", "numba.cuda") and hasattr(value, "threadIdx")


def python_function(value):
    """The plain function inside whatever a decorator made of it (a device function, an intrinsic, numba's), or None."""
    if isinstance(value, types.FunctionType):
        return value
    if isinstance(value, type) or isinstance(value, types.ModuleType):
        return None
    inner = value.python if isinstance(value, Intrinsic) else getattr(value, "py_func", None)
    return inner if isinstance(inner, types.FunctionType) else None


def environment(function):
    """Everything a function can refer to: its globals and what its closure holds."""
    cells = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            cells[name] = cell.cell_contents
        except ValueError:                          # not assigned yet
            pass
    return {**function.__globals__, **cells}


def referred(function):
    """{name: value} of the globals and closure variables that a function's code may use."""
    codes, found, home = [function.__code__], {}, function.__globals__
    for each in codes:                              # the list grows while it is read: code within code
        found.update([(name, home[name]) for name in each.co_names if name in home])
        codes += [c for c in each.co_consts if isinstance(c, types.CodeType)]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            pass
    return found


def is_foreign(value):
    """Does this come from numpy, numba or the standard library? Such functions are called, never looked into."""
    home = (getattr(value, "__module__", None) or "").split(".")[0]
    return home in ("numpy", "numba", "numba_cuda", "math", "builtins")


def uses_cuda(value, seen=None):
    """Does this device function, or one that it calls, use indices, barriers, shared memory? Then it's inlined."""
    function = python_function(value)
    seen = set() if seen is None else seen
    if function is None or function in seen or is_foreign(function):
        return False
    seen.add(function)
    values = referred(function).values()
    return any(is_cuda(v) for v in values) or any(uses_cuda(v, seen) for v in values)


def fingerprint(function, seen=()):
    """What a translation depends on besides the function's code: two closures with the same share one.

    Functions that are only called do not count, nor do floats and arrays: the next closure's are bound in their place.
    """
    def role(value):
        if isinstance(value, tuple):
            return tuple([role(v) for v in value])
        inner = python_function(value)
        if inner is not None:
            if inner in seen or not uses_cuda(value):
                return "function"
            return inner.__code__, fingerprint(inner, (*seen, inner))
        if is_cuda(value):
            return "cuda"
        if isinstance(value, (float, np.floating)) or value.__class__.__hash__ is None:
            return type(value)
        return type(value), value                   # whole numbers, types, modules: what they are may make a shape
    return tuple([(name, role(value)) for name, value in referred(function).items()])


PURE = (range, len, min, max, abs, int, float, bool)


def is_pure(value):
    """Does calling this only compute? Casts do, and some of Python's own functions."""
    return (any(value is f for f in PURE) or isinstance(value, Type)
            or isinstance(value, type) and issubclass(value, np.generic)
            or type(value).__module__.startswith("numba.core.types"))


class Namespace:
    """The values that a translated kernel refers to, each with the path on which another closure's is found."""

    def __init__(self, reserved, kept=KEPT):
        self.reserved = set(reserved)               # names that mean something else
        self.kept = kept                            # so do names that end like this: see ending()
        self.values, self.paths, self.origins = {}, {}, {}

    def bind(self, name, value, path, origin):
        """The unique name of a value. Names with one origin share it."""
        if origin in self.origins:
            return self.origins[origin]
        for new in itertools.chain([name], (f"{name}__{k}" for k in itertools.count(1))):
            if new not in self.reserved and new not in self.values and not new.endswith(self.kept):
                self.values[new], self.paths[new], self.origins[origin] = value, path, new
                return new

    def rebound(self, function):
        """The values that another closure of the same kernel has in these places."""
        return {new: follow(function, path) for new, path in self.paths.items()}


def names_of(function):
    """The variables of a function's own."""
    return {*function.__code__.co_varnames, *function.__code__.co_cellvars}


def ending(names):
    """What makes the name of a kept variable's array: x_all, or with more underscores where a kernel has such names."""
    kept = KEPT
    while any(name.endswith(kept) for name in names):
        kept += "_"
    return kept


def follow(function, path):
    value = function
    for step in path:
        inner = python_function(value)
        value = inner.__defaults__[step] if isinstance(step, int) else \
            dict(zip(inner.__code__.co_freevars, inner.__closure__ or ())).get(step, inner.__globals__.get(step))
        if isinstance(value, types.CellType):
            value = value.cell_contents
    return value


STATEMENTS = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.If, ast.For, ast.While, ast.Break, ast.Continue,
              ast.Return, ast.Pass, ast.Assert)


def refusal(what):
    return lambda self, node: self.fail(node, what)


class Load(ast.NodeTransformer):
    """One function: `body` is its statements with plain names, `params` its parameters."""

    def __init__(self, function, namespace, suffix="", path=()):
        self.function, self.namespace, self.suffix, self.path_here = function, namespace, suffix, path
        self.tree, self.file = definition(function)
        self.line = function.__code__.co_firstlineno
        arguments = self.tree.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
            self.fail(self.tree, "a kernel takes plain parameters: no *args, no **kwargs, none after a *")
        self.params = [a.arg for a in arguments.posonlyargs + arguments.args]
        if isinstance(self.tree, ast.Lambda):
            body = [ast.copy_location(ast.Return(self.tree.body), self.tree.body)]
        else:
            body = [s for s in self.tree.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
        self.local = set(self.params) | stores(body)
        self.values = environment(function)
        if not suffix:
            for name in self.local & namespace.reserved:
                self.fail(self.tree, f"the name {name} is the simulator's own; call the variable something else")
            namespace.reserved |= self.local
        self.body = [self.visit(s) for s in body]

    def fail(self, node, why):
        raise Unsupported(f"{self.file}:{node.lineno}: in {self.function.__name__}: {why}")

    def visit(self, node):
        kind = type(node).__name__
        if isinstance(node, ast.stmt) and not isinstance(node, STATEMENTS) and not hasattr(self, f"visit_{kind}"):
            self.fail(node, f"a kernel has no {kind}; write it with if, for, while and assignments")
        return super().visit(node)

    def arguments(self, node, fail):
        """{parameter: the expression that a call of this function gives it}; `fail(node, why)` refuses the call."""
        given, name, params = dict(zip(self.params, node.args)), self.function.__name__, ", ".join(self.params)
        if len(node.args) > len(self.params):
            fail(node, f"{name} takes {len(self.params)} arguments ({params}), not {len(node.args)}")
        for k in node.keywords:
            if k.arg not in self.params:
                fail(node, f"{name} has no argument {k.arg}; it takes {params}")
            if k.arg in given:
                fail(node, f"{name} is given the argument {k.arg} twice")
            given[k.arg] = k.value
        defaults = self.function.__defaults__ or ()
        for late, p in enumerate(self.params, len(defaults) - len(self.params)):
            if p not in given and late < 0:
                fail(node, f"{name} needs an argument {p}")
            if p not in given:
                given[p] = expr(self.bind_default(p, late, defaults[late]), node.lineno)
        return {p: given[p] for p in self.params}

    def cuda_path(self, node):
        """"threadIdx.x" of `cuda.threadIdx.x`, or None for anything else."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id not in self.local and is_cuda(self.values.get(node.id)):
            return ".".join(reversed(parts))
        return None

    def visit_Attribute(self, node):
        path = self.cuda_path(node)
        if path is None:
            return self.generic_visit(node)
        if path in words.INDEX:
            return expr(words.INDEX[path], node.lineno)
        return self.fail(node, f"cuda.{path} is not a value that the simulator knows; indices are cuda.threadIdx.x, "
                               "cuda.blockIdx.x, cuda.blockDim.x, cuda.gridDim.x (and .y, .z), cuda.laneid")

    def visit_Call(self, node):
        path = self.cuda_path(node.func)
        if path is None:
            return self.generic_visit(node)
        node.args = [self.visit(a) for a in node.args]
        node.keywords = [self.visit(k) for k in node.keywords]
        if path in ("grid", "gridsize"):
            return self.grid(node, path)
        if path == "const.array_like":
            return node.args[0]
        if path.startswith("threadfence"):          # threads run one after the other: all writes are seen already
            return ast.copy_location(ast.Constant(None), node)
        name = path.replace(".", "_")
        if name not in words.HELPERS and name not in words.MEET and path not in ("shared.array", "local.array"):
            self.fail(node, f"the simulator has no cuda.{path}(); it has {', '.join(sorted(words.MEET))}, "
                            "shared.array, local.array, atomic.*, popc, ffs, clz, brev, fma, selp. Write it with "
                            "these, or give it a Python form (provider.Intrinsic)")
        node.func = ast.copy_location(ast.Name("cuda_" + name, ast.Load()), node)
        return node

    def grid(self, node, path):
        count = node.args[0].value if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) else None
        if count not in (1, 2, 3):
            self.fail(node, f"cuda.{path} takes the number of dimensions as a literal: cuda.{path}(1), (2) or (3)")
        formulas = (words.GRID if path == "grid" else words.GRIDSIZE)[:count]
        return expr(formulas[0] if count == 1 else f"({', '.join(formulas)})", node.lineno)

    def visit_Name(self, node):
        if node.id in self.local:
            node.id += self.suffix
        elif node.id in self.values:
            node.id = self.bind(node.id)
        return node

    def bind(self, name):
        cell = name in self.function.__code__.co_freevars
        origin = (self.path_here, name) if cell else (id(self.function.__globals__), name)
        return self.namespace.bind(name, self.values[name], (*self.path_here, name), origin)

    def bind_default(self, param, position, value):
        return self.namespace.bind(f"{param}_default", value, (*self.path_here, position), (self.path_here, position))

    visit_FunctionDef = refusal("a function defined inside a kernel; define it outside, with @cuda.jit(device=True)")
    visit_Lambda = refusal("a lambda inside a kernel; define a function outside, with @cuda.jit(device=True)")
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = refusal(
        "a comprehension (ListComp) makes a list, which a GPU has no memory for; write a loop")
    visit_List = visit_Dict = visit_Set = refusal("a GPU has no lists, sets or dicts; use a tuple, or cuda.local.array")
    visit_NamedExpr = refusal("`:=` in a kernel; assign in a statement of its own")
    visit_Yield = visit_YieldFrom = visit_Await = refusal("a kernel cannot wait this way; remove the yield")
    visit_Try = visit_Raise = refusal("a GPU has no exceptions; test for the case and return")
    visit_Match = refusal("`match` in a kernel; write if and elif")
    visit_With = refusal("`with` in a kernel; write the calls out")
    visit_Global = visit_Nonlocal = refusal("a kernel cannot assign to variables outside; write to an array")
    visit_Import = visit_ImportFrom = refusal("an import inside a kernel; import at the top of the file")
    visit_Delete = refusal("`del` in a kernel; remove it")
    visit_ClassDef = refusal("a class inside a kernel")
    visit_Starred = refusal("`*` unpacking in a kernel; write the elements out")
    visit_JoinedStr = refusal("text in a kernel; a GPU has none")

