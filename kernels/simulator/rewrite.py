"""Code in which Python's operators do what a GPU's do, given the kinds of all expressions.

It knows where Python's own operator is right, and leaves it; elsewhere it converts an operand or calls meaning.py.

    x * n          x a float32, n an int     ->   x * _float64(n)
    n // m                                   ->   _floordiv(n, m)          no exception for m = 0
    a[i] = n + 1   a an array of int32       ->   a[i] = _as_int32(n + 1)
    b[i]           b the same                ->   b.item(i)                a Python int
    0.5                                      ->   _c0                      an np.float64: a Python float would be "weak"
"""
from __future__ import annotations

import ast
import copy

import numpy as np

from . import meaning
from .kinds import FLOATS, INTEGERS, SINGLE, Constant, Kinds, Memory, cast_dtype, index_count, is_number
from .load import python_function
from .overflow import FULL, bits
from .trees import at_statement, called, code, expr, has
from .words import BITS

WIDTH = {"b": 8, "t": 8, "s": 16, "n": 32, "i": 64}
SIGNED = set("tsni")
PLAIN = (ast.Add, ast.Sub, ast.Mult)
TYPES = {"f": np.float32, "d": np.float64}


class Rewrite(ast.NodeTransformer):
    """names: {new name: value} that the code needs; calls: {new name: (name, function's kinds)}: functions to be
    specialised. checked: arrays are watch.Watched, which convert by themselves."""

    def __init__(self, kinds: Kinds, functions, checked):
        self.kinds, self.functions, self.checked = kinds, functions, checked
        self.names, self.calls, self.known, self.count = {}, {}, {}, 0
        self.wanted = {}
        for kind, arriving in kinds.uses.values():
            for assignment in arriving:
                self.wanted.setdefault(assignment, set()).add(kind)

    def bind(self, value, name=None):
        """The name under which the code finds a value."""
        key = (type(value), repr(value)) if name is None else (name, id(value))
        if key not in self.known:
            name = name or f"_c{len(self.known)}"
            while name in self.taken:
                name += "_"
            self.taken.add(name)
            self.known[key], self.names[name] = name, value
        return self.known[key]

    def of(self, node):
        return self.kinds.of.get(getattr(node, "site", None))

    def call(self, function, *args):
        """A call of one of meaning's functions."""
        line = getattr(args[0], "lineno", 1)
        name = self.bind(function, "_" + function.__name__.strip("_<>"))
        return at_statement(ast.Call(expr(name, line), list(args), []), line)

    def constant(self, value, node):
        return ast.copy_location(expr(self.bind(value), node.lineno), node)

    # ---- conversions
    def converted(self, node, have, want):
        """The expression as a number of kind `want`."""
        if have == want or not is_number(want) or {have, want} <= SIGNED:
            return node
        number = literal(node)
        if want in FLOATS:
            if number is not None:
                return self.constant(TYPES[want](number), node)
            name = self.bind(TYPES[want], f"_{TYPES[want].__name__}")
            return ast.copy_location(ast.Call(expr(name, node.lineno), [node], []), node)
        return self.call(meaning.as_int, node) if want in SIGNED else node

    def visited(self, node):
        """Visit an expression; where it may have left 64 bits, wrap it."""
        long = self.of(node) in SIGNED and bits(node, self.of) > FULL
        node = self.visit(node)
        return self.call(meaning.wrap, node) if long else node

    def as_visited(self, node, want=None):
        """The same; literals are converted before they become constants."""
        have, number = self.of(node), literal(node)
        if number is not None and want in FLOATS:
            return self.constant(TYPES[want](number), node)
        node = self.visited(node)
        return node if want is None else self.converted(node, have, want)

    def target_kind(self, site, have):
        """What a variable's assignment should give: what all its uses want, if they agree."""
        wanted = self.wanted.get(site, ())
        want = next(iter(wanted)) if len(wanted) == 1 else have
        return want if is_number(want) and (is_number(have) or have is None) else have

    # ---- leaves
    def visit_Constant(self, node):
        return self.constant(np.float64(node.value), node) if type(node.value) is float else node

    def visit_Name(self, node):
        use = self.kinds.uses.get(getattr(node, "site", None))
        if use is not None and isinstance(node.ctx, ast.Load):
            kind, arriving = use
            assigned = {self.as_assigned(a) for a in arriving}
            other = assigned - {kind}
            if is_number(kind) and other and not assigned <= SIGNED:
                return self.converted(node, None, kind)
        return node

    def as_assigned(self, assignment):
        have = self.kinds.assigned.get(assignment)
        return self.target_kind(assignment, have) if isinstance(assignment, int) and assignment in self.direct else have

    def run(self, function):
        """The function's own tree, rewritten."""
        body = function.body
        self.taken = {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name)}
        self.taken |= {*self.kinds.names, *[a.arg for a in function.args.args]}
        self.find_direct(body)
        return ast.fix_missing_locations(self.visit(function))

    def find_direct(self, body):
        """The assignments that can convert: `name = ...` and `name += ...`."""
        self.direct = set()
        for node in [n for s in body for n in ast.walk(s)]:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AugAssign)
                else ()
            )
            if len(targets) == 1 and isinstance(targets[0], ast.Name) and hasattr(targets[0], "site"):
                self.direct.add(targets[0].site)

    # ---- operators
    def visit_BinOp(self, node):
        return self.binary(node, node.left, node.op, node.right)

    def binary(self, node, left, op, right):
        a, b = self.of(left), self.of(right)
        if a in FLOATS and b in FLOATS:
            left, right = self.visit(left), self.visit(right)
            if isinstance(op, ast.Pow):
                return self.call(meaning.power, left, right)
        elif not isinstance(op, ast.Pow) and (a in FLOATS and b in INTEGERS or b in FLOATS and a in INTEGERS):
            want = "f" if {a, b} <= SINGLE else "d"
            left = self.as_visited(left, want if a in INTEGERS else None)
            right = self.as_visited(right, want if b in INTEGERS else None)
        elif a in SIGNED and b in SIGNED and self.is_plain(left, op, right) or a in INTEGERS and b in INTEGERS \
                and "u" in (a, b) and "b" not in (a, b) and not isinstance(op, ast.Div):
            short = isinstance(op, (ast.FloorDiv, ast.Mod, ast.RShift))
            left, right = [self.visited(side) if short else self.visit(side) for side in (left, right)]
        elif a == b == "b" and isinstance(op, (ast.BitAnd, ast.BitOr, ast.BitXor)):
            left, right = self.visit(left), self.visit(right)
        else:
            return self.call(meaning.OPERATORS[type(op).__name__], self.visited(left), self.visited(right))
        return ast.copy_location(ast.BinOp(left, op, right), node)

    def is_plain(self, left, op, right):
        """Does Python's operator do it for these signed integers?"""
        number = literal(right)
        if isinstance(op, (ast.FloorDiv, ast.Mod)):
            return number is not None and number != 0 or getattr(right, "id", "").startswith(("blockDim_", "gridDim_"))
        if isinstance(op, ast.RShift):
            return number is not None and 0 <= number < 64
        return not isinstance(op, (ast.Div, ast.Pow, ast.LShift))

    def visit_UnaryOp(self, node):
        if type(literal(node)) is float:
            return self.constant(np.float64(literal(node)), node)
        kind, negative = self.of(node.operand), isinstance(node.op, ast.USub)
        if negative and kind in SIGNED and not isinstance(node.operand, ast.Constant):
            return self.call(meaning.neg, self.visited(node.operand), ast.Constant(WIDTH[kind]))
        node.operand = self.visited(node.operand)
        if isinstance(node.op, ast.Not) or kind in FLOATS or kind in SIGNED or kind == "u":
            return node
        return self.call(meaning.OPERATORS[type(node.op).__name__], node.operand)

    def visit_Compare(self, node):
        parts = [node.left, *node.comparators]
        kinds = [self.of(p) for p in parts]
        if any(isinstance(op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)) for op in node.ops):
            return self.generic_visit(node)
        if all(is_number(k) for k in kinds):
            mixed = set(kinds) & FLOATS and set(kinds) & INTEGERS
            parts = [self.as_visited(p, "d" if mixed and k in INTEGERS else None) for p, k in zip(parts, kinds)]
        else:
            parts = [self.visited(p) for p in parts]
            if len(parts) == 2 and not any(isinstance(k, tuple) for k in kinds):
                return self.call(meaning.OPERATORS[type(node.ops[0]).__name__], *parts)
        node.left, *node.comparators = parts
        return node

    def visit_IfExp(self, node):
        want = self.of(node)
        node.test = self.visit(node.test)
        node.body, node.orelse = self.as_visited(node.body, want), self.as_visited(node.orelse, want)
        return node

    # ---- memory
    def visit_Subscript(self, node):
        if not isinstance(node.ctx, ast.Load):
            return self.generic_visit(node)
        kind, element = self.of(node.value), self.of(node)
        node.value, node.slice = self.visit(node.value), self.visit(node.slice)
        if has(node.slice, ast.Slice) or isinstance(kind, tuple) or not hasattr(node, "site"):
            return node
        if not isinstance(kind, Memory) or element is None:
            return self.call(meaning.load, node.value, node.slice)
        load = meaning.loaded(kind.dtype)
        if self.checked or load is None or not is_number(element):
            return node
        if kind.dtype.kind in "biu":
            index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            if len(index) == 1 < kind.ndim:
                index = [ast.Starred(index[0], ast.Load())]
            item = ast.Attribute(node.value, "item", ast.Load())
            node = at_statement(ast.copy_location(ast.Call(item, index, []), node), node.lineno)
            return node if kind.dtype.kind in "bi" else self.call(load, node)
        return self.call(load, node)

    def for_storing(self, target, value, have):
        """The value as an array element takes it."""
        kind = self.of(target.value)
        if self.checked or not isinstance(kind, Memory):
            return value
        cast, number = meaning.stored(kind.dtype), literal(value)
        if cast is None or have == "b" or isinstance(number, int) and 0 <= number < 128:
            return value
        name = self.bind(cast, f"_as_{kind.dtype.name}")
        return ast.copy_location(ast.Call(expr(name, value.lineno), [value], []), value)

    def store(self, target, value, have, statement):
        """`target[index] = value` as a statement."""
        kind = self.of(target.value)
        count = isinstance(kind, Memory) and index_count(target.slice, self.of(target.slice))
        value = self.for_storing(target, value, have)
        if not isinstance(kind, Memory) or count is None and not has(target.slice, ast.Slice):
            call = self.call(meaning.store, self.visit(target.value), self.visit(target.slice), value)
            return ast.copy_location(ast.Expr(call), statement)
        return ast.copy_location(ast.Assign([self.visit(target)], value), statement)

    # ---- statements
    def visit_Assign(self, node):
        target = node.targets[0]
        if len(node.targets) > 1:
            return self.several(node)
        if not hasattr(target, "site"):
            return self.generic_visit(node)
        if isinstance(target, ast.Subscript):
            have = self.of(node.value)
            return self.store(target, self.as_visited(node.value), have, node)
        if isinstance(target, ast.Tuple) and has(target, ast.Subscript):
            return self.scattered(node, target)
        if isinstance(target, ast.Name):
            have = self.of(node.value)
            want = self.target_kind(target.site, have)
            node.value = self.as_visited(node.value, want)
            return node
        return self.generic_visit(node)

    def several(self, node):
        """a = b[i] = value: by way of a variable."""
        name = self.fresh()
        first = code(f"{name} = 0", node.lineno)
        first[0].value = self.as_visited(node.value)
        for target in node.targets:
            value = expr(name, node.lineno)
            value.site = node.value.site
            parts = self.visit_Assign(ast.copy_location(ast.Assign([target], value), node))
            first += parts if isinstance(parts, list) else [parts]
        return first

    def visit_For(self, node):
        """The elements of an array are numbers as they are while computing."""
        kind = self.of(node.iter)
        node = self.generic_visit(node)
        convert = meaning.loaded(kind.dtype) if isinstance(kind, Memory) and kind.ndim == 1 else None
        if convert is not None and not self.checked:
            node.iter = self.call(map, expr(self.bind(convert, f"_number_{kind.dtype.name}"), node.lineno), node.iter)
        return node

    def scattered(self, node, target):
        """a[i], a[j] = ...: by way of variables."""
        names = [self.fresh() for _ in target.elts]
        value, parts = self.visit(node.value), self.of(node.value)
        parts = parts if isinstance(parts, tuple) and len(parts) == len(names) else [None] * len(names)
        first = code(f"{', '.join(names)} = 0", node.lineno)
        first[0].value = value
        for name, t, kind in zip(names, target.elts, parts):
            value = expr(name, node.lineno)
            if isinstance(t, ast.Subscript):
                first.append(self.store(t, value, kind, node))
            else:
                first.append(ast.copy_location(ast.Assign([t], value), node))
        return first

    def fresh(self):
        self.count += 1
        return f"_v{self.count}"

    def visit_AugAssign(self, node):
        target = node.target
        if not hasattr(target, "site") or isinstance(target, ast.Name) and target.site not in self.kinds.uses:
            return self.generic_visit(node)         # (what is never reached has no kinds)
        result = self.of(node)
        if isinstance(target, ast.Name):
            old = ast.copy_location(ast.Name(target.id, ast.Load()), node)
            old.site = target.site
            self.kinds.of[target.site] = self.kinds.uses[target.site][0]
            sum_of = ast.copy_location(ast.BinOp(old, node.op, node.value), node)
            sum_of.site = node.site
            value = self.as_visited(sum_of, self.target_kind(target.site, result))
            return ast.copy_location(ast.Assign([target], value), node)
        return self.update(node, target, result)

    def update(self, node, target, result):
        """a[i] += x"""
        before = []
        if not self.is_simple(target.slice):
            name = self.fresh()
            before = code(f"{name} = 0", node.lineno)
            before[0].value = self.visit(target.slice)
            kind = self.of(target.slice)
            target.slice = expr(name, node.lineno)
            if isinstance(kind, tuple) or is_number(kind):
                target.slice.site = ("index", target.site)
                self.kinds.of[target.slice.site] = kind
        old = copy.deepcopy(target)
        old.ctx = ast.Load()
        value = self.binary(node, old, node.op, node.value)
        return before + [self.store(target, value, result, node)]

    def is_simple(self, index):
        return all(isinstance(n, (ast.Name, ast.Constant, ast.Tuple, ast.expr_context)) for n in ast.walk(index))

    def visit_Return(self, node):
        if node.value is not None:
            node.value = self.as_visited(node.value, self.kinds.result)
        return node

    # ---- calls
    def visit_Call(self, node):
        function, kinds = self.of(node.func), [self.of(a) for a in node.args]
        name = called(node)
        if name.startswith("_") and name[1:] in BITS and len(kinds) == 1 and kinds[0] in WIDTH:
            node.args = [self.visited(node.args[0]), ast.Constant(WIDTH[kinds[0]])]
            return node
        if not isinstance(function, Constant):
            return self.with_arguments(node)
        function = function.value
        cast = cast_dtype(function)
        if cast is not None and len(node.args) == 1:
            return self.cast(node, cast, kinds[0])
        if function is abs and kinds and kinds[0] in SIGNED:
            return self.call(meaning.absolute, self.visited(node.args[0]), ast.Constant(WIDTH[kinds[0]]))
        if function in (max, min, int) and kinds and set(kinds) <= SIGNED:
            return self.with_arguments(node)
        if function is float and kinds and kinds[0] in FLOATS:
            return self.visit(node.args[0])
        other = meaning.replacement(function)
        if other is not None:
            node.args = [self.visited(a) for a in node.args]
            node.func = expr(self.bind(other, f"_{function.__name__}"), node.lineno)
            return node
        if python_function(function) is not None:
            known = self.functions.get(name) is function       # or a parameter, or a module's
            return self.python_call(node, name if known else function, kinds)
        return self.with_arguments(node)

    def with_arguments(self, node):
        node.func = self.visit(node.func)
        node.args, node.keywords = [self.visited(a) for a in node.args], [self.visit(k) for k in node.keywords]
        return node

    def cast(self, node, dtype, have):
        number = literal(node.args[0])
        function = meaning.cast_to(dtype)
        if number is not None:
            return self.constant(function(number), node)
        value = self.visited(node.args[0])
        if have in FLOATS and TYPES[have] == dtype:
            return value
        node.func = expr(self.bind(function, f"_as_{dtype.name}"), node.lineno)
        node.args = [value]
        return node

    def python_call(self, node, function, kinds):
        """A function of the user's, or its name: made for these kinds, under a name of its own."""
        kinds = None if node.keywords else tuple(kinds)
        new = next((new for new, known in self.calls.items() if known == (function, kinds)), None)
        if new is None:
            new = f"{getattr(function, '__name__', 'function') if not isinstance(function, str) else function}" \
                  f"_{len(self.calls)}".replace("<lambda>", "function")
            while new in self.taken:
                new += "_"
            self.taken.add(new)
            self.calls[new] = function, kinds
        node = self.with_arguments(node)
        node.func = expr(new, node.lineno)
        return node

    def visit_Attribute(self, node):
        kind = self.of(node)
        if isinstance(kind, Constant) or self.of(node.value) is None:
            other = meaning.replacement(kind.value) if isinstance(kind, Constant) else None
            return node if other is None else expr(self.bind(other, f"_{node.attr}"), node.lineno)
        home = self.of(node.value)
        if isinstance(home, Constant) and is_number(kind):
            value = getattr(home.value, node.attr)
            return self.constant(meaning.value(value), node)
        return self.generic_visit(node)


def literal(node):
    """The number that an expression is, or None."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = literal(node.operand)
        return None if inner is None else -inner
    return None
