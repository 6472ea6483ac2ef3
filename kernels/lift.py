"""Lifting: the scalar function of an operation, made ready to be called by a GPU thread.

    lambda x, *, negative_slope: x if x > 0 else x * negative_slope        as its author writes it

    def leaky_relu_element(x, s):                                          what a float32 kernel calls
        negative_slope = s[0]
        return x if x > c0 else x * negative_slope                         where c0 is float32(0)

In numba a literal that meets a float32 makes a float64, and a GPU computes with those at half to a 64th of the speed.
So constants get the type in which the operation computes, here and once, and authors write plain mathematics. Operands
that are numbers rather than arrays, and parameters, come in one tuple, `s`. It knows no operation and no device.
"""
from __future__ import annotations

import ast
import builtins
import copy
import functools
import linecache
import math
import textwrap
import zlib

import numpy as np

from .provider import Intrinsic, float32, float64, int64, jit, type_of
from .source import definition

FOLDABLE = {name: getattr(math, name) for name in ("log", "sqrt", "exp", "pi", "inf", "nan", "e", "tau")}


def arguments(node):
    return tuple([a.arg for a in node.args.args + node.args.kwonlyargs])


# ---- typing the literals
NUMBER, WHOLE, LITERAL, OTHER = "the computing type", "an integer or a bool", "a literal", "something else"


class Typed(ast.NodeTransformer):
    """Rewrites one function for one computing type. `kinds` says of every variable what it holds.

    A literal takes the type of what it meets; an integer variable that meets a number is converted.
    """

    def __init__(self, function, kinds, compute):
        self.function, self.kinds, self.compute, self.names = function, dict(kinds), compute, {}
        closure = [cell.cell_contents for cell in function.__closure__ or ()]
        enclosed = dict(zip(function.__code__.co_freevars, closure))
        self.environment = {**vars(builtins), **function.__globals__, **enclosed}

    # ---- what an expression is
    def kind(self, node):
        match node:
            case ast.Constant(value=bool() | None | str()):
                return OTHER
            case ast.Constant():
                return LITERAL
            case ast.Name(id=name):
                if name in self.kinds:
                    return self.kinds[name]
                value = self.environment.get(name)
                return LITERAL if isinstance(value, (int, float)) and not isinstance(value, bool) else OTHER
            case ast.Attribute(value=ast.Name(id="math")):
                return LITERAL
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                return WHOLE
            case ast.UnaryOp(operand=operand):
                return self.kind(operand)
            case ast.BinOp(left=left, right=right):
                kinds = {self.kind(left), self.kind(right)}
                if kinds == {LITERAL}:
                    return LITERAL
                whole = kinds <= {WHOLE, LITERAL} and not isinstance(node.op, ast.Div)
                return WHOLE if whole and not self.floats(left, right) else NUMBER
            case ast.IfExp(body=body, orelse=orelse):
                kinds = {self.kind(body), self.kind(orelse)}
                return NUMBER if NUMBER in kinds or self.floats(body, orelse) else OTHER if kinds == {OTHER} else WHOLE
            case ast.Call(func=ast.Attribute(value=ast.Name(id="math")), args=args):
                return LITERAL if {self.kind(a) for a in args} == {LITERAL} else NUMBER
            case ast.Call(func=ast.Name(id="abs" | "min" | "max"), args=args):
                kinds = {self.kind(a) for a in args}
                return NUMBER if NUMBER in kinds else WHOLE if WHOLE in kinds else LITERAL
            case ast.Call(func=ast.Name(id="int" | "len" | "range")):
                return WHOLE
        return NUMBER

    def floats(self, *nodes):
        return any(isinstance(n, ast.Constant) and isinstance(n.value, float) for n in nodes)

    def value(self, node):
        """What an expression of literals comes to."""
        names = {n.id: self.environment[n.id] for n in ast.walk(node) if isinstance(n, ast.Name)}
        program = compile(ast.fix_missing_locations(ast.Expression(node)), "<literals>", "eval")
        return eval(program, dict(names, math=math))

    # ---- what becomes of it
    def number(self, node):
        """The expression as a number of the computing type."""
        kind = self.kind(node)
        if kind == LITERAL:
            return self.constant(self.value(node))
        if isinstance(node, ast.IfExp):
            return ast.IfExp(self.visit(node.test), self.number(node.body), self.number(node.orelse))
        node = self.visit(node)
        return ast.Call(ast.Name("T", ast.Load()), [node], []) if kind == WHOLE else node

    def constant(self, value):
        """A name for a literal: converted once, not by every thread."""
        value = self.compute(value)
        key = repr(value)                           # tells 0.0 from -0.0
        name, _ = self.names.setdefault(key, (f"c{len(self.names)}", value))
        return ast.Name(name, ast.Load())

    def meet(self, nodes):
        """Operands of one operator: all of the computing type if one of them is, else as they are."""
        kinds = [self.kind(n) for n in nodes]
        if NUMBER in kinds or self.floats(*nodes):
            return [n if k == OTHER else self.number(n) for n, k in zip(nodes, kinds)]
        return [self.visit(n) for n in nodes]

    def visit_BinOp(self, node):
        if self.kind(node) == LITERAL:
            return self.constant(self.value(node))
        if isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant) and isinstance(node.right.value, int):
            return ast.BinOp(self.number(node.left), node.op, node.right)       # x ** 2 is a product, not a power
        if isinstance(node.op, ast.Div):
            return ast.BinOp(self.number(node.left), node.op, self.number(node.right))
        left, right = self.meet([node.left, node.right])
        if isinstance(node.left, ast.Compare) and isinstance(node.right, ast.Compare):
            left, right = (ast.Call(ast.Name("int", ast.Load()), [side], []) for side in (left, right))     # 0 or 1
        return ast.BinOp(left, node.op, right)

    def visit_Compare(self, node):
        left, *rest = self.meet([node.left, *node.comparators])
        return ast.Compare(left, node.ops, rest)

    def visit_IfExp(self, node):
        body, orelse = self.meet([node.body, node.orelse])
        return ast.IfExp(self.visit(node.test), body, orelse)

    def visit_UnaryOp(self, node):
        return self.constant(self.value(node)) if self.kind(node) == LITERAL and self.floats(node.operand) else \
            ast.UnaryOp(node.op, self.visit(node.operand))

    def visit_Attribute(self, node):
        return self.constant(self.value(node)) if self.kind(node) == LITERAL else node

    def visit_Constant(self, node):
        return self.constant(node.value) if isinstance(node.value, float) else node

    def visit_Call(self, node):
        if self.kind(node) == LITERAL:
            return self.constant(self.value(node))
        match node.func:
            case ast.Attribute(value=ast.Name(id="math"), attr="floor" | "ceil" | "trunc" as name):
                return ast.Call(ast.Name(name, ast.Load()), [self.number(a) for a in node.args], [])
            case ast.Attribute(value=ast.Name(id="math")):
                return ast.Call(node.func, [self.number(a) for a in node.args], node.keywords)
            case ast.Name(id="abs" | "min" | "max"):
                return ast.Call(node.func, self.meet(node.args), node.keywords)
        return ast.Call(node.func, [self.visit(a) for a in node.args], node.keywords)

    def visit_Assign(self, node):
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):          # a, b = x, y
            values = [self.assigned(t, v) for t, v in zip(target.elts, value.elts)]
            return ast.Assign(node.targets, ast.Tuple(values, ast.Load()))
        return ast.Assign(node.targets, self.assigned(target, value))

    def assigned(self, target, value):
        return self.number(value) if self.kinds.get(getattr(target, "id", None)) == NUMBER else self.visit(value)

    def visit_AugAssign(self, node):
        left = ast.Name(node.target.id, ast.Load())
        return self.visit_Assign(ast.Assign([node.target], ast.BinOp(left, node.op, node.value)))

    def visit_For(self, node):
        return ast.For(node.target, node.iter, [self.visit(s) for s in node.body], [])

    def visit_Return(self, node):
        return ast.Return(self.number(node.value) if self.kind(node.value) == LITERAL and self.returns_numbers else
                          self.visit(node.value))

    def learn(self, statements):
        """What each variable holds: a number if any assignment makes it one."""
        for node in ast.walk(ast.Module(statements, [])):
            match node:
                case ast.For(target=ast.Name(id=name)):
                    self.kinds[name] = WHOLE
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self.note(name, value)
                case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                    self.note(name, ast.BinOp(ast.Name(name, ast.Load()), op, value))
                case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                    for target, value in zip(names, values):
                        self.note(target.id, value)

    def note(self, name, value):
        kind = self.kind(value)
        if kind == LITERAL:
            kind = NUMBER if isinstance(self.value(value), float) else WHOLE
        if self.kinds.get(name) != NUMBER:
            self.kinds[name] = kind

    def rewrite(self, body):
        """The statements of the function's body with every literal typed."""
        size = -1
        while size != (size := len(self.kinds) + list(self.kinds.values()).count(NUMBER)):
            self.learn(body)
        returned = [n.value for n in ast.walk(ast.Module(body, [])) if isinstance(n, ast.Return)]
        self.returns_numbers = any(self.kind(v) == NUMBER for v in returned) or self.floats(*returned)
        return [self.visit(s) for s in body]


class Whole(ast.NodeTransformer):
    """Rewrites one function for integers, which are whole already; a 0.0 among them would make floats of them."""

    def visit_Constant(self, node):
        whole = isinstance(node.value, float) and node.value.is_integer()
        return ast.Constant(int(node.value)) if whole else node

    def visit_Call(self, node):
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(value=ast.Name(id="math"), attr="floor" | "ceil" | "trunc"):
                return node.args[0]
        return node

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Pow):            # numba's power of two integers is a float
            return ast.Call(ast.Name("whole_power", ast.Load()), [node.left, node.right], [])
        if isinstance(node.left, ast.Compare) and isinstance(node.right, ast.Compare):
            sides = node.left, node.right
            node.left, node.right = (ast.Call(ast.Name("int", ast.Load()), [side], []) for side in sides)
        return node


@jit(device=True)
def whole_power(base, exponent):
    """base ** exponent by squaring, wrapping around as C does; 1 / base ** -exponent without its fraction."""
    base = int64(base)
    exponent = int64(exponent)
    if exponent < 0:
        return base if base == 1 or base == -1 and exponent % 2 else int64(base == -1)
    result = int64(1)
    while exponent > 0:
        if exponent % 2:
            result = int64(result * base)
        base = int64(base * base)
        exponent = int64(exponent // 2)
    return result


class Truth(ast.NodeTransformer):
    """Makes what a function returns a bool."""

    def visit_Return(self, node):
        if isinstance(node.value, ast.Compare | ast.BoolOp) or isinstance(node.value, ast.Constant):
            return node
        return ast.Return(ast.Compare(node.value, [ast.NotEq()], [ast.Constant(0)]))


# ---- functions of whole numbers that stay in their type: math.floor makes an integer, which ends at 2 ** 63
def rounding(name, double, single):
    def libdevice(function):
        def find():
            from numba.cuda import libdevice
            return getattr(libdevice, function)
        return find
    program = getattr(np, name)

    def python(x):
        return program(x)
    return {float64: Intrinsic(name, python, libdevice(double)), float32: Intrinsic(name, python, libdevice(single))}


ROUNDING = {name: rounding(name, name, f"{name}f") for name in ("floor", "ceil", "trunc")}


def computing_type(dtype):
    """The type in which numbers of a dtype are computed: halves are computed in float32 and rounded once."""
    return float32 if dtype.itemsize == 2 and dtype.kind not in "iu" else type_of(dtype)


def lift(function, name, places, dtypes, computing, out):
    """The scalar function as a device function of elements and a tuple of numbers.

    function   of positional operands and keyword-only parameters
    places     per argument: "array"; a Python type (a number that comes in the tuple); or ("is", value), set once and
               for all
    dtypes     the dtypes of the operands that are arrays, in order
    computing  the dtype of the operands that are converted to numbers of one type (the others are conditions), and
               `out`, the dtype of the result
    """
    return _lift(function, name, tuple(places), tuple(dtypes), np.dtype(computing), np.dtype(out))


@functools.lru_cache(None)
def _lift(function, name, places, dtypes, computing, out):
    node = definition(function)[0]
    compute = computing_type(computing)
    floating = compute in (float32, float64)
    names, lines, kinds, given, count = [], [], {}, iter(dtypes), 0
    environment = {}
    for argument, place in zip(arguments(node), places, strict=True):
        if place == "array":
            dtype = next(given)
            names.append(argument)
            kinds[argument] = NUMBER if dtype.kind not in "b" or computing.kind == "b" else WHOLE
            if floating and dtype != compute.numpy and kinds[argument] == NUMBER:
                lines.append(f"{argument} = T({argument})")
            elif dtype.kind == "b":                 # a GPU keeps bools in bytes
                lines.append(f"{argument} = {argument} != 0")
        elif isinstance(place, tuple):
            environment[f"given_{argument}"] = place[1]
            lines.append(f"{argument} = given_{argument}")
            kinds[argument] = OTHER
        else:
            lines.append(f"{argument} = s[{count}]")
            kinds[argument] = WHOLE if place in (bool, int) and floating else NUMBER
            count += 1
    body = node.body if isinstance(node, ast.FunctionDef) else [ast.Return(node.body)]
    body = [copy.deepcopy(s) for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    typed = Typed(function, kinds, compute)
    body = typed.rewrite(body) if floating else [Whole().visit(s) for s in body]
    if out.kind == "b":
        body = [Truth().visit(s) for s in body]
    text = "\n".join([*lines, *[ast.unparse(ast.fix_missing_locations(s)) for s in body]])
    if compute in (float32, float64):
        environment |= {f: forms[compute] for f, forms in ROUNDING.items()}
    else:
        environment["whole_power"] = whole_power
    source = f"def {name}_element({', '.join([*names, 's'])}):\n{textwrap.indent(text, '    ')}\n"
    return define(f"{name}_element", source,
                  {**typed.environment, **environment, **dict(typed.names.values()), "T": compute})


def define(name, source, environment):
    """A device function from text; tracebacks, debuggers and `inspect.getsource` find the text."""
    filename = f"<lifted {name} {zlib.crc32(source.encode()):08x}>"
    linecache.cache[filename] = len(source), None, source.splitlines(True), filename
    namespace = dict(environment)
    exec(compile(source, filename, "exec"), namespace)
    return jit(namespace[name], device=True)
