"""Step 4, cut: the kernel becomes regions without meeting points, each a loop over the threads of the block.

It knows nothing of numbers or back ends. A variable that some region reads before it surely assigns it, and another
region writes, is kept for each thread in an array. Branches and loops around meeting points that vary between threads
run with a mask: one bool a thread that says whether it takes part.

    s[t] = a[i]                 for _thread, threadIdx_x, threadIdx_y, threadIdx_z in _threads: ...; s[t] = a[i]
    cuda.syncthreads()     ->   'syncthreads'
    o[i] = s[7 - t]             for _thread, threadIdx_x, threadIdx_y, threadIdx_z in _threads: ...; o[i] = s[7 - t]

`'syncthreads'`, a statement that is only a text, marks where threads meet: for readers, and for the checks. `_threads`
is (number, x, y, z) of each thread; unit.Loops writes the loops over them out, for a compiler.
"""
from __future__ import annotations

import ast
import copy

from .trees import (assign, at, at_statement, code, exposed, expr, has, has_meet, is_meet, loads, many, own_jumps,
                    stores)
from .words import AXES, THREAD


class Region(ast.Pass):
    """A run of statements without meeting points."""

    def __init__(self, statements, masks, in_loop):
        super().__init__(lineno=statements[0].lineno, col_offset=0)
        self.statements, self.masks, self.in_loop = statements, masks, in_loop


class Cut(ast.NodeTransformer):
    """`tree`: the statements of the block; `kept`: variables with one value a thread; `masks`: their names."""

    def __init__(self, body, analysis, flat):
        self.analysis, self.flat, self.meets = analysis, flat, has_meet(body)
        self.pending, self.regions, self.loops = [], [], []
        self.masks, self.active = [], []            # all there are; those that hold here, the innermost last
        if self.meets and has(body, ast.Return):
            self.active.append(self.mask(flat.new("live", "")))
        self.live = self.active[0] if self.active else None
        self.everyone = None                        # a mask that is always true, if one is needed
        tree = self.block(body)
        self.kept = self.find_kept()
        self.tree = [x for s in tree for x in many(self.visit(s))]

    def find_kept(self):
        kept = set(self.flat.exchange)
        for region in self.regions:
            others = [r for r in self.regions if r is not region or r.in_loop]
            kept |= exposed(region.statements)[0] & set().union(*[stores(r.statements) for r in others])
        again = self.analysis.again
        return {v for v in kept if v in self.flat.exchange or v in self.analysis.varying and v not in again}

    # ---- masks
    def mask(self, name):
        self.masks.append(name)
        return name

    def everybody(self):
        if self.everyone is None:
            self.everyone = self.mask(self.flat.new("everyone"))
        return self.everyone

    def taking_part(self):
        return self.active[-1] if self.active else self.everybody()

    # ---- statements -> regions, and what stands between them
    def block(self, statements):
        out = []
        for s in statements:
            if is_meet(s):
                self.meet(s, out)
            elif isinstance(s, (ast.If, ast.For, ast.While)) and s.outside:
                self.flush(out, s)
                self.compound(s, out)
            elif isinstance(s, (ast.Break, ast.Continue)):
                self.jump(s, out)
                break                               # what follows is never reached
            elif isinstance(s, ast.Assign) and self.analysis.again.get(getattr(s.targets[0], "id", None)) is s:
                pass                                # computed in the regions that need it
            elif isinstance(s, (ast.Assign, ast.AugAssign)) and stores(s) and not stores(s) & self.analysis.varying:
                if stores(s) & loads(self.pending):  # the same for all: once a block, before the region being collected
                    self.flush(out)
                self.read_published(s)
                out.append(s)
            elif isinstance(s, ast.Assign) and hasattr(s.value, "meet"):
                self.read_published(s)
                self.pending.append(s)
            else:
                if has(s, ast.Return):
                    self.before_leaving(out)
                self.pending.append(s)
        self.flush(out)
        return out or code("pass")

    def meet(self, s, out):
        word, line = s.value.args[0].value, s.lineno
        self.flush(out)
        out += code(repr(word), line)
        out[-1].mask = self.active[-1] if self.active else None
        if self.active and self.active != [self.live] and word.startswith("syncthreads"):
            present = self.live or self.everybody()
            out += code(f"if _diverged({self.active[-1]}, {present}, _err, {line}): return", line)

    def jump(self, s, out):
        loop, turn = self.loops[-1]
        if loop is None:                            # all threads jump
            self.flush(out)
            out.append(s)
            return
        self.before_leaving(out)
        first = self.active.index(turn if isinstance(s, ast.Continue) else loop)
        for m in self.active[first:]:
            self.pending += code(f"{m}[{THREAD}] = False", s.lineno)

    def before_leaving(self, out):
        """A thread must not leave a mask in the loop in which others still read what it published."""
        if self.active and any(hasattr(getattr(s, "value", None), "meet") for s in self.pending):
            self.flush(out)

    def read_published(self, s):
        if hasattr(s.value, "meet"):
            s.value.args[1] = expr(self.taking_part(), s.lineno)

    def flush(self, out, before=None):
        if isinstance(before, ast.If) and self.analysis.varies(before.test):
            return                                  # its test joins the region that is being collected
        if self.pending:
            region = Region(self.pending, list(self.active), bool(self.loops))
            self.pending = []
            self.regions.append(region)
            out.append(region)

    def inside(self, statements, *masks):
        outer, self.active = self.active, self.active + [m for m in masks if m]
        body = self.block(statements)
        self.active = outer
        return body

    def compound(self, s, out):
        if isinstance(s, ast.If) and not self.analysis.varies(s.test):
            s.body = self.block(s.body)
            s.orelse = self.block(s.orelse) if s.orelse else []
            out.append(s)
        elif isinstance(s, ast.If):
            self.masked_branch(s, out)
        elif not s.uneven and (isinstance(s, ast.For) or not self.analysis.varies(s.test)):
            first = self.loop_variable(s)           # a loop that all threads walk through together
            self.loops.append((None, None))
            left = code(f"if not _any_true({self.active[-1]}): break", s.lineno) if has(s, ast.Return) else []
            s.body = left + self.block(first + s.body)      # (it ends, too, when all have returned)
            self.loops.pop()
            out.append(s)
        else:
            self.masked_loop(s, out)

    def masked_branch(self, s, out):
        line = s.lineno
        then = self.mask(self.flat.new("mask"))
        other = self.mask(self.flat.new("mask")) if s.orelse else None
        out += code("\n".join(f"_fill({m}, False)" for m in (then, other) if m), line)
        test = expr("not not 0", line)
        test.operand.operand = s.test
        self.pending.append(assign(f"{then}[{THREAD}]", test, line))
        if other:
            self.pending += code(f"{other}[{THREAD}] = not {then}[{THREAD}]", line)
        self.flush(out)
        out.append(at_statement(ast.If(expr(f"_any_true({then})", line), self.inside(s.body, then), []), line))
        if other:
            out.append(at_statement(ast.If(expr(f"_any_true({other})", line), self.inside(s.orelse, other), []), line))

    def loop_variable(self, s):
        """A loop variable that varies elsewhere gets its value from a new one."""
        if not isinstance(s, ast.For) or not stores(s.target) & self.analysis.varying:
            return []
        new = self.flat.new("turn")
        first = [at_statement(ast.Assign([s.target], expr(new, s.lineno)), s.lineno)]
        s.target = at([ast.Name(new, ast.Store())], s.lineno)[0]
        return first

    def masked_loop(self, s, out):
        """Threads leave one by one; the loop ends when none is left."""
        line = s.lineno
        loop = self.mask(self.flat.new("mask"))
        turn = self.mask(self.flat.new("mask")) if any(isinstance(j, ast.Continue) for j in own_jumps(s.body)) else None
        out += code(f"_assign({loop}, {self.taking_part()})", line)
        self.loops.append((loop, turn))
        first, body = self.loop_variable(s), []
        if isinstance(s, ast.While) and not (isinstance(s.test, ast.Constant) and s.test.value is True):
            over = ast.copy_location(ast.UnaryOp(ast.Not(), s.test), s.test)
            leave = at_statement(ast.If(over, code(f"{loop}[{THREAD}] = False", line), []), line)
            leave.outside = False
            body = self.inside([leave], loop)
        body += code(f"if not _any_true({loop}): break", line)
        if turn:
            body += code(f"_assign({turn}, {loop})", line)
        s.body = body + self.inside(first + s.body, loop, turn)
        self.loops.pop()
        if isinstance(s, ast.While):
            s.test = expr("True", line)
        out.append(s)

    # ---- regions -> loops
    def visit_Region(self, region):
        line, statements = region.lineno, region.statements
        need, sure = exposed(statements)
        written = stores(statements)
        unsure = written if sure is None else written - sure
        again, todo = set(), [v for v in loads(statements) | (self.kept & unsure) if v in self.analysis.again]
        while todo:
            v = todo.pop()
            if v not in again:
                again.add(v)
                todo += [w for w in loads(self.analysis.again[v].value) if w in self.analysis.again]
        repeated, kept = [copy.deepcopy(s) for v, s in self.analysis.again.items() if v in again], self.flat.kept
        arrays = sorted(v for v in self.flat.local if v in loads(repeated + statements)) if self.meets else []
        before = code("\n".join(f"{v} = {kept(v)}[{THREAD}]" for v in arrays), line) + repeated
        before += code("\n".join(f"{v} = {kept(v)}[{THREAD}]" for v in sorted(self.kept & (need | unsure))), line)
        last = statements[-1].lineno
        after = code("\n".join(f"{kept(v)}[{THREAD}] = {v}" for v in sorted(self.kept & written)), last)
        if any(isinstance(n, (ast.For, ast.While)) and has(n, ast.Return) for s in statements for n in ast.walk(s)):
            before = code("_returned = False", line) + before
        skip = code(f"if not {region.masks[-1]}[{THREAD}]: continue", line) if region.masks else []
        loop = code(f"for {THREAD}, {', '.join(AXES)} in _threads: pass", line)[0]
        loop.is_threads = True
        loop.unset = sorted((need & written) - self.kept)       # read before written here, and by nobody else
        loop.body = skip + before + self.returns(statements, region.masks, 0) + after
        return loop

    def returns(self, statements, masks, depth):
        """In a thread loop `return` is `continue`; out of inner loops it leaves step by step."""
        out = []
        for s in statements:
            if isinstance(s, ast.Return):
                out += code(
                    "\n".join([f"{m}[{THREAD}] = False" for m in masks] + ["_returned = True"] * (depth > 0)), s.lineno
                )
                out += at([ast.Break() if depth else ast.Continue()], s.lineno)
                continue
            loop, found = isinstance(s, (ast.For, ast.While)), has(s, ast.Return)
            if loop or isinstance(s, ast.If):
                s.body = self.returns(s.body, masks, depth + loop)
                s.orelse = self.returns(s.orelse, masks, depth) if s.orelse else []
            out.append(s)
            if loop and found:
                leave = at([ast.Break() if depth else ast.Continue()], s.lineno)
                out.append(at_statement(ast.If(expr("_returned", s.lineno), leave, []), s.lineno))
        return out
