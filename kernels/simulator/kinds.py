"""What kind of number each expression gives, for arguments of known kinds: numba's type rules in little.

It knows rules, not how code is changed by them (rewrite.py). A kind is

    "b" bool   "t" "s" "n" "i" a signed integer of 8, 16, 32, 64 bits   "u" an unsigned one   "f" float32 or half
    "d" float64
    Memory     an array; a tuple of kinds; Constant, a known value: a function, a module, a type
    None       not known: then the functions of meaning.py look at the numbers when the kernel runs

A variable may have several assignments. Where two of them arrive at one use, numba gives both one type:

    s = 0                        s: "i" here
    for k in range(n):
        s += x[k]                "i" or "d" arrive here: "d"; so the 0 is 0.0, and all is added up in float64
"""
from __future__ import annotations

import ast
import builtins
import types
from dataclasses import dataclass

import numpy as np

from ..provider import Type
from .flatten import dtype_of
from .load import Unsupported, python_function
from .trees import called
from .words import AXES, BITS, BLOCK, RESULTS, THREAD

FLOATS, INTEGERS, NUMBERS = set("fd"), set("btsniu"), set("btsniufd")
SIGNED, SINGLE = "btsni", set("fbts")                # by width; what makes a float32 of a float32 and itself


@dataclass(frozen=True)
class Memory:
    """An array."""
    dtype: np.dtype
    ndim: int

    @property
    def element(self):
        return kind_of_dtype(self.dtype)


class Constant:
    """A value that is known before the kernel runs."""
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Constant) and self.value is other.value

    def __hash__(self):
        return id(self.value)


def kind_of_dtype(dtype):
    if dtype.kind == "b":
        return "b"
    if dtype.kind == "i":
        return {1: "t", 2: "s", 4: "n", 8: "i"}[dtype.itemsize]
    if dtype.kind == "u":
        return "u"
    if dtype.kind not in "fV":
        raise TypeError(f"kernels compute with whole numbers, floats and bools, not {dtype}")
    return "d" if dtype.kind == "f" and dtype.itemsize == 8 else "f" if dtype.itemsize <= 4 else None


def kind_of(x):
    """The kind of an argument or a constant."""
    if isinstance(x, np.ndarray):
        return Memory(x.dtype, x.ndim)
    if isinstance(x, bool):
        return "b"
    if isinstance(x, int):
        return "i"
    if isinstance(x, np.generic):
        return kind_of_dtype(x.dtype)
    if isinstance(x, float):
        return "d"
    if isinstance(x, tuple):
        return tuple([kind_of(v) for v in x])
    return Constant(x)


def join(a, b):
    """The kind of a variable that is sometimes of kind a, sometimes of b."""
    if a == b:
        return a
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple([join(x, y) for x, y in zip(a, b)])
    if not (isinstance(a, str) and isinstance(b, str)):
        return None
    both = {a, b}
    if both & FLOATS:
        return "f" if both <= SINGLE else "d"
    return "u" if both == set("bu") else "i" if "u" in both else max(both, key=SIGNED.index)


def join_all(kinds):
    kinds = list(kinds)
    result = kinds[0] if kinds else None
    for k in kinds[1:]:
        result = join(result, k)
    return result


def arithmetic(op, a, b):
    """The kind of `a op b`."""
    if a not in NUMBERS or b not in NUMBERS:
        return None
    both = {a, b}
    if isinstance(op, (ast.LShift, ast.RShift)):
        return "u" if a == "u" else "i"
    if isinstance(op, (ast.BitAnd, ast.BitOr, ast.BitXor)) and both == {"b"}:
        return "b"
    if both & FLOATS:
        if isinstance(op, ast.Pow) and "d" not in both:
            return "f" if a == "f" or a in SINGLE else "d"
        return "f" if both <= SINGLE else "d"
    if isinstance(op, ast.Div):
        return "d"
    return "u" if both == {"u"} else "i"


def is_number(kind):
    return isinstance(kind, str)


class Kinds:
    """The kinds in one function: `of[site]` of each expression, `uses[site]` = (kind, assignments) of each use of a
    variable, `assigned[site]` of each assignment, `result` of the function."""

    def __init__(self, body, variables, names, call, file):
        """variables: {parameter or array: kind}; names: the namespace; call(name, value, kinds): the kind of a call"""
        self.names, self.call_kind, self.file = names, call, file
        self.of, self.uses, self.assigned, self.result = {}, {}, {}, []
        self.start = {name: frozenset([name]) for name in variables}
        self.assigned.update(variables)
        self.loops, before = [], None
        while before != (now := dict(self.assigned)):
            before, self.result = now, []
            self.statements(body, dict(self.start))
        self.result = join_all(self.result)

    # ---- statements: the environment says which assignments of a variable may arrive; None: nothing does
    def statements(self, body, env):
        for s in body:
            if env is None:
                break
            env = self.statement(s, env)
        return env

    def statement(self, s, env):
        if isinstance(s, ast.Assign):
            kind = self.kind(s.value, env)
            for target in s.targets:
                self.assign(target, kind, env)
        elif isinstance(s, ast.AnnAssign) and s.value:
            self.assign(s.target, self.kind(s.value, env), env)
        elif isinstance(s, ast.AugAssign):
            kind = arithmetic(s.op, self.augmented(s.target, env), self.kind(s.value, env))
            self.of[s.site] = kind
            self.assign(s.target, kind, env)
        elif isinstance(s, ast.If):
            self.kind(s.test, env)
            return merge(self.statements(s.body, dict(env)), self.statements(s.orelse, dict(env)))
        elif isinstance(s, (ast.For, ast.While)):
            return self.loop(s, env)
        elif isinstance(s, (ast.Break, ast.Continue)):
            self.loops[-1][isinstance(s, ast.Continue)].append(env)
            return None
        elif isinstance(s, ast.Return):
            self.result.append(self.kind(s.value, env) if s.value else Constant(None))
            return None
        elif isinstance(s, (ast.Expr, ast.Assert)):
            self.kind(s.value if isinstance(s, ast.Expr) else s.test, env)
        return env

    def loop(self, s, env):
        if isinstance(s, ast.For):
            step = self.iterated(self.kind(s.iter, env))
        before = None
        while before != env:
            before = env
            inner = dict(env)
            if isinstance(s, ast.For):
                self.assign(s.target, step, inner)
            else:
                self.kind(s.test, inner)
            self.loops.append(([], []))
            end = self.statements(s.body, inner)
            breaks, continues = self.loops.pop()
            for other in continues:
                end = merge(end, other)
            env = merge(env, end)
        after = self.statements(s.orelse, dict(env))
        for other in breaks:
            after = merge(after, other)
        return after

    def iterated(self, kind):
        if isinstance(kind, Memory):
            return kind.element if kind.ndim == 1 else Memory(kind.dtype, kind.ndim - 1)
        return join_all(kind) if isinstance(kind, tuple) and kind else "i" if kind == "range" else None

    def assign(self, target, kind, env):
        if isinstance(target, ast.Name):
            self.assigned[target.site] = (
                join(self.assigned[target.site], kind) if target.site in self.assigned else kind
            )
            env[target.id] = frozenset([target.site])
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = kind if isinstance(kind, tuple) and len(kind) == len(target.elts) else [None] * len(target.elts)
            for t, k in zip(target.elts, parts):
                self.assign(t, k, env)
        elif isinstance(target, ast.Subscript):
            kind = self.kind(target.value, env)
            self.kind(target.slice, env)
            self.of[target.site] = self.element(target)
            name = getattr(target.value, "id", "")
            if isinstance(kind, Memory) and name in self.names and name not in env and name not in self.start:
                self.fail(target, f"{name}, an array from outside, is constant in a kernel; pass it as an argument")

    def augmented(self, target, env):
        if isinstance(target, ast.Name):
            return self.variable(target, env)
        self.assign(target, None, env)
        return self.of[target.site]

    # ---- expressions
    def kind(self, e, env):
        method = getattr(self, f"kind_{type(e).__name__}", None)
        kind = method(e, env) if method else self.others(e, env)
        if hasattr(e, "site"):
            self.of[e.site] = kind
        return kind

    def others(self, e, env):
        for child in ast.iter_child_nodes(e):
            if isinstance(child, ast.expr):
                self.kind(child, env)

    def kind_Constant(self, e, env):
        return kind_of(e.value)

    def kind_Name(self, e, env):
        if e.id in env or e.id in self.start:
            return self.variable(e, env)
        if e.id == THREAD or e.id in AXES or e.id in BLOCK:
            return "n"
        if e.id in self.names:
            return kind_of(self.names[e.id])
        return Constant(getattr(builtins, e.id)) if hasattr(builtins, e.id) else None

    def variable(self, e, env):
        arriving = env.get(e.id, frozenset())
        kind = join_all([self.assigned[d] for d in sorted(arriving, key=str)])
        if hasattr(e, "site"):
            self.uses[e.site] = kind, arriving
        return kind

    def kind_Tuple(self, e, env):
        return tuple([self.kind(x, env) for x in e.elts])

    def kind_BinOp(self, e, env):
        return arithmetic(e.op, self.kind(e.left, env), self.kind(e.right, env))

    def kind_UnaryOp(self, e, env):
        kind = self.kind(e.operand, env)
        if isinstance(e.op, ast.Not):
            return "b"
        if isinstance(e.op, ast.Invert):
            return kind if kind in INTEGERS else None
        return ("i" if kind == "b" else kind) if is_number(kind) else None

    def kind_Compare(self, e, env):
        self.others(e, env)
        return "b"

    def kind_BoolOp(self, e, env):
        kinds = [self.kind(v, env) for v in e.values]
        return "b" if set(kinds) == {"b"} else None if len(set(kinds)) > 1 else kinds[0]

    def kind_IfExp(self, e, env):
        self.kind(e.test, env)
        return join(self.kind(e.body, env), self.kind(e.orelse, env))

    def kind_Attribute(self, e, env):
        kind = self.kind(e.value, env)
        if isinstance(kind, Memory):
            return {"shape": ("i",) * kind.ndim, "size": "i", "ndim": "i"}.get(e.attr)
        if isinstance(kind, Constant) and isinstance(kind.value, types.ModuleType):
            return kind_of(getattr(kind.value, e.attr, None))
        return None

    def kind_Subscript(self, e, env):
        self.kind(e.value, env)
        self.kind(e.slice, env)
        return self.element(e)

    def fail(self, node, why):
        raise Unsupported(f"{self.file}:{node.lineno}: {why}")

    def element(self, e):
        """The kind of array[index] or tuple[index]."""
        kind, index = self.of.get(getattr(e.value, "site", None)), e.slice
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if isinstance(kind, Memory) and "b" in [self.of.get(getattr(part, "site", None)) for part in parts]:
            self.fail(e, "an array is indexed with a bool: convert it, int(...), or write `if`")
        if isinstance(kind, Memory):
            count = index_count(index, self.of.get(getattr(index, "site", None)))
            return None if count is None or count > kind.ndim else kind.element if count == kind.ndim else \
                Memory(kind.dtype, kind.ndim - count)
        if not isinstance(kind, tuple) or not kind or isinstance(index, ast.Slice):
            return None
        if isinstance(index, ast.Constant) and isinstance(index.value, int) and index.value < len(kind):
            return kind[index.value]
        return join_all(kind)

    # ---- calls
    def kind_Call(self, e, env):
        kinds = [self.kind(a, env) for a in e.args]
        for k in e.keywords:
            self.kind(k.value, env)
        name = called(e)
        if name.startswith("_") and name not in self.names:
            return self.word(name[1:], kinds)
        function = self.kind(e.func, env)
        if not isinstance(function, Constant):
            return None
        return self.known_call(name, function.value, kinds, bool(e.keywords))

    def word(self, name, kinds):
        """The kind of a word of CUDA."""
        if name.startswith("atomic"):
            return kinds[0].element if kinds and isinstance(kinds[0], Memory) else None
        if name in BITS:
            return "u" if name in ("ffs", "brev") or not kinds else "t" if kinds[0] == "b" else kinds[0]
        if name in RESULTS.values():
            return kind_of_dtype(np.dtype(name))
        if name == "fma":
            return arithmetic(ast.Add(), arithmetic(ast.Mult(), *kinds[:2]), kinds[2]) if len(kinds) == 3 else None
        return join(*kinds[1:]) if name == "selp" and len(kinds) == 3 else None

    def known_call(self, name, function, kinds, keywords):
        if function is range:
            return "range"
        cast = cast_dtype(function)
        if cast is not None:
            return kind_of_dtype(cast)
        first = kinds[0] if kinds else None
        if function in (max, min):
            return join_all(first if len(kinds) == 1 and isinstance(first, tuple) else kinds)
        if function is abs:
            return "i" if first == "b" else first if is_number(first) else None
        if function in (int, len):
            return "i"
        if function is bool:
            return "b"
        if function is float:
            return first if first in FLOATS else "d"
        if function is round:
            return first if len(kinds) > 1 else "i" if is_number(first) else None
        if function is pow:
            return arithmetic(ast.Pow(), *kinds[:2])
        if function is divmod:
            return (arithmetic(ast.FloorDiv(), *kinds), arithmetic(ast.Mod(), *kinds))
        if getattr(function, "__module__", "") == "math":
            return math_kind(function, kinds)
        if python_function(function) is not None and not keywords:
            return self.call_kind(name, function, tuple(kinds))
        return None


def merge(a, b):
    """What may arrive where two ways meet."""
    if a is None or b is None:
        return b if a is None else a
    return {name: a.get(name, frozenset()) | b.get(name, frozenset()) for name in {**a, **b}}


def index_count(index, kind):
    """How many dimensions an index names, if that can be seen; None also for slices, which keep one."""
    if isinstance(index, ast.Tuple):
        return None if any(isinstance(x, ast.Slice) for x in index.elts) else len(index.elts)
    if isinstance(index, ast.Slice):
        return None
    return 1 if is_number(kind) else len(kind) if isinstance(kind, tuple) else None


def cast_dtype(function):
    """The dtype that a type called as a function converts to, or None."""
    if isinstance(function, Type) or isinstance(function, type) and issubclass(function, np.generic) \
            or type(function).__module__.startswith("numba.core.types"):
        try:
            return dtype_of(function)
        except TypeError:
            return None
    return None


def math_kind(function, kinds):
    name = function.__name__
    if name in ("isnan", "isinf", "isfinite"):
        return "b"
    if name in ("floor", "ceil", "trunc"):
        return "i"
    if name in ("frexp", "modf") or not kinds or not all(is_number(k) for k in kinds):
        return None
    if name in ("gcd", "comb", "factorial", "perm", "isqrt", "lcm"):
        return "i"
    return "f" if all(k == "f" for k in kinds) else "d"
