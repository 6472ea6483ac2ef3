"""Step 3, analyse: which variables are the same for all threads of a block, and which are cheap to compute again.

It knows statements, not yet regions. What is built from parameters, block indices and constants, under conditions of
the same kind, is the same for all threads: it stays one variable, and loops and branches over it stay ordinary ones
around the thread loops. Everything else varies. A branch that varies and contains a meeting point will need a mask.

    n = a.shape[0]                  the same
    i = cuda.threadIdx.x + n        varies; cheap and pure: computed again in every region rather than kept
    x = a[i]                        varies; kept for each thread, if a later region reads it
    for k in range(n): sync         an ordinary loop around thread loops
    for k in range(i): sync         a loop with a mask
"""
from __future__ import annotations

import ast
import builtins
import math

from .load import Unsupported, is_pure
from .trees import at_statement, called, code, expr, has, has_meet, loads, own_jumps, stores
from .words import AXES, BLOCK, COLLECTIVE, THREAD


class Analysis:
    """What is known of a flattened kernel: `varying`, `again` (cheap variables), and on each loop and branch `outside`
    (it stays outside the thread loops) and on loops `uneven` (some threads leave before others)."""

    def __init__(self, body, flat, inputs):
        self.body, self.flat, self.values, self.inputs = body, flat, flat.namespace.values, inputs
        while True:
            self.mark(body, None)
            self.find_varying()
            if not self.turn_to_while(body):
                break
        self.again = self.find_again() if has_meet(body) else {}

    def fail(self, node, why):
        raise Unsupported(f"{self.flat.load.file}:{node.lineno}: in {self.flat.load.function.__name__}: {why}")

    # ---- the same for all threads, or not
    def find_varying(self):
        """A fixed point: what varies makes more vary."""
        self.varying, before, loops = set(self.flat.exchange), None, [
            n for s in self.body for n in ast.walk(s) if isinstance(n, (ast.For, ast.While))]
        while before != (now := (len(self.varying), sum(loop.uneven for loop in loops))):
            before = now
            self.spread(self.body, False, False, None, False)

    def mark(self, statements, loop):
        for s in statements:
            if isinstance(s, (ast.For, ast.While)):
                s.outside, s.uneven = has_meet(s), getattr(s, "uneven", False)
                self.mark(s.body, s)
                self.mark(s.orelse, loop)
                if s.outside and s.orelse:
                    self.fail(
                        s, "else of a loop around a barrier or shuffle; use a variable that says how the loop ended"
                    )
                if loop and loop.outside and any(own_jumps(s.orelse)):
                    self.fail(s, "break or continue in the else of a loop, out of a loop around a barrier or shuffle; "
                                 "use a variable that says how the inner loop ended")
            elif isinstance(s, ast.If):
                s.outside = has_meet(s) or bool(loop and loop.outside and any(own_jumps([s])))
                self.mark(s.body, loop)
                self.mark(s.orelse, loop)

    def spread(self, statements, apart, threaded, loop, apart_in_loop):
        """apart: under a condition that varies; threaded: in a thread loop; apart_in_loop: apart, seen from `loop`."""
        for s in statements:
            if isinstance(s, ast.If):
                varies = self.varies(s.test)
                for branch in (s.body, s.orelse):
                    self.spread(branch, apart or varies, threaded or not s.outside, loop, apart_in_loop or varies)
            elif isinstance(s, (ast.For, ast.While)):
                varies = self.varies(s.iter if isinstance(s, ast.For) else s.test)
                if isinstance(s, ast.For) and (threaded or not s.outside or varies
                                               or (apart or s.uneven) and not self.only_within(stores(s.target))):
                    self.varying |= stores(s.target)
                self.spread(s.body, apart or varies or s.uneven, threaded or not s.outside, s, False)
                self.spread(s.orelse, apart or varies or s.uneven, threaded or not s.outside, loop, apart_in_loop)
            elif isinstance(s, (ast.Break, ast.Continue)):
                loop.uneven = loop.uneven or apart_in_loop
            elif isinstance(s, (ast.Assign, ast.AugAssign)):
                if apart or threaded or self.varies(s.value) or has(s, ast.Tuple):
                    self.varying |= stores(s) - self.flat.same

    def only_within(self, variables):
        """Are they used only inside for loops that assign them?"""
        nodes = [n for s in self.body for n in ast.walk(s)]
        loops, inside = [n for n in nodes if isinstance(n, ast.For) and variables <= stores(n.target)], set()
        for loop in loops:
            if any(inner in loops for s in loop.body for inner in ast.walk(s)):
                return False                        # what it's after the inner loop depends on how that ended
            inside |= {id(n) for part in [loop.target, *loop.body] for n in ast.walk(part)}
        return all(id(n) in inside for n in nodes if isinstance(n, ast.Name) and n.id in variables)

    def varies(self, e):
        if isinstance(e, ast.Name):
            return e.id in self.varying or e.id == THREAD or e.id in AXES or e.id in self.flat.local
        if isinstance(e, ast.Subscript) and not is_shape(e.value):
            return True
        if isinstance(e, ast.Call):
            if getattr(e, "meet", "") in COLLECTIVE:
                return False
            return not (self.is_pure_call(e) or self.is_math(e.func)) or any(map(self.varies, e.args))
        return any(self.varies(child) for child in ast.iter_child_nodes(e) if isinstance(child, ast.expr))

    def is_math(self, function):
        return isinstance(function, ast.Attribute) and self.values.get(getattr(function.value, "id", "")) is math

    def is_pure_call(self, call):
        name = called(call)
        value = self.values.get(name, getattr(builtins, name, None)) if name else None
        return is_pure(value)

    # ---- loops whose limits vary
    def turn_to_while(self, statements):
        """`for i in range(...)` around a meeting point, with limits that vary, becomes a while."""
        for k, s in enumerate(statements):
            if isinstance(s, ast.For) and s.outside and self.varies(s.iter):
                statements[k:k + 1] = self.while_of(s)
                return True
            if any(self.turn_to_while(part) for part in (getattr(s, "body", []), getattr(s, "orelse", []))):
                return True
        return False

    def while_of(self, s):
        if called(s.iter) != "range":
            self.fail(s, "a for loop around a barrier or shuffle must go over range(), or over something that is the "
                         "same for all threads")
        start = [expr("0")] if len(s.iter.args) == 1 else []
        start, stop, step = [*start, *s.iter.args, expr("1")][:3]
        i, end, by, line = self.flat.new("turn"), self.flat.new("stop"), self.flat.new("step"), s.lineno
        compare = f"{by} > 0 and {i} < {end} or {by} < 0 and {i} > {end}"
        if isinstance(step, ast.Constant):
            compare = f"{i} < {end}"
        elif isinstance(step, ast.UnaryOp) and isinstance(step.op, ast.USub) and isinstance(step.operand, ast.Constant):
            compare = f"{i} > {end}"
        new = code(
            f"{i} = 0\n{end} = 0\n{by} = 1\nwhile True:\n if not ({compare}): break\n pass\n {i} += {by}", line
        )
        for statement, value in zip(new, (start, stop, step)):
            statement.value = value
        set_variable = at_statement(ast.Assign([s.target], expr(i, line)), line)
        new[-1].body[1:2] = [set_variable]
        new[-1].body += s.body
        return new

    # ---- cheap variables
    def find_again(self):
        """{name: its one assignment}: pure arithmetic of indices, computed again in each region that needs it."""
        written = [
            n.id for s in self.body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        ]
        plain = [s for s in self.body if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name)]
        once = {s.targets[0].id: s for s in plain if written.count(s.targets[0].id) == 1}
        fixed = {*self.inputs, *self.flat.local, THREAD, *AXES, *BLOCK, *self.values, *vars(builtins)}
        fixed |= {name for name in once if name not in self.varying}
        again = {}
        for name, s in once.items():
            if name in self.varying - self.flat.exchange and loads(s.value) <= fixed and self.is_pure(s.value):
                again[name] = s
                fixed.add(name)
        return again

    def is_pure(self, e):
        calls = [n for n in ast.walk(e) if isinstance(n, ast.Call)]
        elements = [n for n in ast.walk(e) if isinstance(n, ast.Subscript)]
        return all(map(self.is_pure_call, calls)) and all(is_shape(n.value) for n in elements)


def is_shape(e):
    return isinstance(e, ast.Attribute) and e.attr == "shape"
