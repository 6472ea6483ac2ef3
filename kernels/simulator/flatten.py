"""Step 2, flatten: everything at which threads meet becomes a statement of its own.

It knows which words make threads meet, not what the loops will look like. Barriers stand alone as `_meet(...)`. A
shuffle or vote becomes three statements: publish a value, meet, read. Device functions that use cuda are written into
the kernel.

    y = x + cuda.shfl_xor_sync(m, x * 2, 1)    ->    x0 = x * 2
                                                     _meet("shfl_xor_sync")
                                                     s1 = _shfl_xor_sync(x0_all, _ACTIVE, _thread, _err, line, m, 1)
                                                     y = x + s1
"""
from __future__ import annotations

import ast
import builtins
import copy
import itertools
import math

import numpy as np

from .load import Load, Unsupported, is_pure, names_of, python_function, uses_cuda
from .trees import assign, at, at_statement, called, code, expr, has, has_meet, loads, stores
from .words import COLLECTIVE, MEET, RESULTS, SHUFFLES, THREAD, VOTES

ALLOCATIONS = ("cuda_shared_array", "cuda_local_array")


def dtype_of(value):
    """The numpy dtype of whatever names a type in a kernel: ours, numpy's or numba's."""
    name = getattr(value, "numpy", None)
    if name is None:
        name = getattr(value, "name", value) if type(value).__module__.startswith("numba") else value
    return np.dtype("bool" if name == "boolean" else name)


class Flatten(ast.NodeTransformer):
    def __init__(self, namespace, load):
        self.namespace, self.load, self.count = namespace, load, itertools.count()
        self.shared, self.local = {}, {}            # name -> (shape, dtype)
        self.exchange = set()                       # variables that other threads read
        self.same = set()                           # variables that collective calls made the same for all threads
        self.inlining = []                          # the device functions that are being written out
        self.same_array = {}                        # (device function, its name for a shared array) -> our name for it

    def fail(self, node, why):
        raise Unsupported(f"{self.load.file}:{node.lineno}: in {self.load.function.__name__}: {why}")

    def is_free(self, name):
        space = self.namespace
        return not {name, self.kept(name)} & space.reserved and name not in space.values

    def kept(self, name):
        """The array with one element a thread that keeps a variable."""
        return name + self.namespace.kept

    def new(self, prefix, number=None):
        """A name that nothing else has: the prefix with a number."""
        for k in itertools.chain([] if number is None else [number], self.count):
            name = f"{prefix}{k}"
            if self.is_free(name):
                self.namespace.reserved.add(name)
                return name

    def suffix(self, function):
        """What makes the names of a device function's variables new."""
        for k in self.count:
            names = {f"{v}__{k}" for v in names_of(function)}
            if all(map(self.is_free, names)):
                self.namespace.reserved |= names
                return f"__{k}"

    # ---- statements
    def block(self, statements):
        out = []
        for s in statements:
            self.statement(s, out)
        return out

    def statement(self, s, out):
        if isinstance(s, ast.AnnAssign):
            if s.value is None:
                return
            s = ast.copy_location(ast.Assign([s.target], s.value), s)
        if isinstance(s, ast.While):
            return self.loop(s, out)
        if isinstance(s, ast.Assign):
            if self.is_parallel(s):                 # a, b = b1, b2
                for target, value in zip(s.targets[0].elts, s.value.elts):
                    self.statement(ast.copy_location(ast.Assign([target], value), s), out)
                return
            if self.is_shape(s):                    # m, n = a.shape
                for k, target in enumerate(s.targets[0].elts):
                    size = ast.Subscript(copy.deepcopy(s.value), expr(str(k), s.lineno), ast.Load())
                    out.append(ast.copy_location(ast.Assign([target], ast.copy_location(size, s.value)), s))
                return
            if len(s.targets) > 1:                  # a = b = value
                targets = list(s.targets)
                if not isinstance(targets[0], ast.Name):
                    targets.insert(0, at([ast.Name(self.new("value"), ast.Store())], s.lineno)[0])
                for k, target in enumerate(targets):
                    value = expr(targets[0].id, s.lineno) if k else s.value
                    self.statement(ast.copy_location(ast.Assign([target], value), s), out)
                return
            if called(s.value) in ALLOCATIONS:
                return self.allocate(s)
        if isinstance(s, (ast.If, ast.For)):
            head = "test" if isinstance(s, ast.If) else "iter"
            setattr(s, head, self.hoist(getattr(s, head), out))
            s.body, s.orelse = self.block(s.body), self.block(s.orelse)
            s.body = s.body or code("pass", s.lineno)
        else:
            s = self.hoist(s, out)
        if s and not (isinstance(s, ast.Expr) and isinstance(s.value, (ast.Constant, ast.Name))):
            out.append(s)

    def is_parallel(self, s):
        target, value = s.targets[0], s.value
        return (len(s.targets) == 1 and isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                and len(target.elts) == len(value.elts) and not stores(s) & loads(value)
                and not any(isinstance(t, ast.Subscript) for t in target.elts))

    def is_shape(self, s):
        target, value = s.targets[0], s.value
        if len(s.targets) > 1 or not isinstance(target, ast.Tuple) or not isinstance(value, ast.Attribute):
            return False
        return (value.attr == "shape" and isinstance(value.value, ast.Name) and value.value.id not in stores(target)
                and all(isinstance(t, ast.Name) for t in target.elts))

    def loop(self, s, out):
        """A while whose condition meets is tested inside: `while True: ...; if not test: break`."""
        before = []
        test = self.hoist(s.test, before)
        if before and s.orelse:
            self.fail(s, "else of a while whose condition calls a device function that uses cuda; use a variable that "
                         "says how the loop ended")
        if before:
            leave = at_statement(ast.If(ast.copy_location(ast.UnaryOp(ast.Not(), test), s.test),
                                        code("break", s.lineno), []), s.lineno)
            s.body, s.test = before + [leave] + self.block(s.body), expr("True", s.lineno)
        else:
            s.test, s.body = test, self.block(s.body) or code("pass", s.lineno)
        s.orelse = self.block(s.orelse)
        out.append(s)

    def check_arrays(self, body, params):
        """A name that stands for an array of the block's or the thread's stands for nothing else."""
        for name in {*self.shared, *self.local} & (stores(body) | set(params)):
            where = [s for s in body if name in stores(s)]
            where = where[0] if where else self.load.tree
            self.fail(where, f"{name} is the name of an array, and is assigned something else, too; use two names")

    def allocate(self, s):
        table, word = (self.shared, "shared") if called(s.value) == "cuda_shared_array" else (self.local, "local")
        given = dict(zip(("shape", "dtype"), s.value.args)) | {k.arg: k.value for k in s.value.keywords}
        if not isinstance(s.targets[0], ast.Name) or "shape" not in given or "dtype" not in given:
            self.fail(s, f"write name = cuda.{word}.array(shape, dtype)")
        name = s.targets[0].id
        try:
            shape, dtype = (eval(compile(ast.Expression(given[key]), "shape", "eval"), dict(self.namespace.values))
                            for key in ("shape", "dtype"))
        except NameError as e:
            self.fail(s, f"the shape and dtype of cuda.{word}.array must be constants, known before the launch ({e}). "
                         "For a size that varies use dynamic shared memory: cuda.shared.array(0, dtype), and its "
                         "bytes as the fourth number of the launch")
        shape = tuple([int(n) for n in shape]) if isinstance(shape, (tuple, list)) else (int(shape),)
        if table.setdefault(name, (shape, dtype_of(dtype))) != (shape, dtype_of(dtype)):
            self.fail(s, f"two different arrays are called {name}; give the second another name")

    # ---- expressions
    def hoist(self, node, out):
        """What the expression is after `out` has been done."""
        self.out = out
        return self.visit(node)

    def generic_visit(self, node):
        """The operands, in the order in which they are computed. What memory held before something else happened is
        put aside: in s[t] + f(s, t), f may change s."""
        out, done = self.out, []
        for home, key in operands(node):
            before = len(out)
            home[key] = self.visit(home[key])
            if len(out) > before:
                out[before:before] = self.put_aside(done)
                done = []
            if not isinstance(getattr(home[key], "ctx", None), ast.Store):
                done.append((home, key))
        return node

    def put_aside(self, places):
        """Statements that compute these operands now; a variable stands in their places."""
        out = []
        for home, key in places:
            node = home[key]
            if isinstance(node, (ast.Slice, ast.Tuple)):
                out += self.put_aside(list(operands(node)))
            elif self.may_change(node):
                name = self.new("before")
                out.append(assign(name, node, node.lineno))
                home[key] = expr(name, node.lineno)
        return out

    def may_change(self, e):
        """Could its value be another one, once other statements have been done?"""
        reads = any(isinstance(n, ast.Subscript) and getattr(n.value, "attr", "") != "shape" for n in ast.walk(e))
        return reads or not all(self.only_computes(n.func) for n in ast.walk(e) if isinstance(n, ast.Call))

    def only_computes(self, function):
        name = getattr(function, "id", "")
        if isinstance(function, ast.Attribute):
            return self.namespace.values.get(getattr(function.value, "id", "")) is math
        return is_pure(self.namespace.values.get(name, getattr(builtins, name, None)))

    def visit_AugAssign(self, node):
        """s[i] += value is s[i] = s[i] + value: s[i] is read first."""
        if not isinstance(node.target, ast.Subscript):
            return self.generic_visit(node)
        out = self.out
        node.target = self.generic_visit(node.target)
        before = len(out)
        node.value = self.visit(node.value)
        if len(out) == before:
            return node
        aside, old = self.put_aside(list(operands(node.target))), self.new("before")
        element = copy.deepcopy(node.target)
        element.ctx = ast.Load()
        out[before:before] = [*aside, assign(old, element, node.lineno)]
        value = ast.copy_location(ast.BinOp(expr(old, node.lineno), node.op, node.value), node)
        return ast.copy_location(ast.Assign([node.target], value), node)

    # ---- operands that some threads skip: nothing may meet in them, and what they call is called under a condition
    def late(self, node, late):
        """(`late` hoisted, the statements before it)"""
        outer, self.out = self.out, []
        late, before = self.visit(late), self.out
        self.out = outer
        if has_meet(before):
            self.fail(node, "a shuffle, vote or barrier inside a conditional expression (if else, and, or, a < b < c), "
                            "which some threads may skip; compute it in a statement of its own first")
        return late, before

    def visit_IfExp(self, node):
        node.test = self.visit(node.test)
        (node.body, then), (node.orelse, other) = self.late(node, node.body), self.late(node, node.orelse)
        if not then and not other:
            return node
        result, line = self.new("value"), node.lineno
        then.append(assign(result, node.body, line))
        other.append(assign(result, node.orelse, line))
        self.out.append(at_statement(ast.If(node.test, then, other), line))
        return expr(result, line)

    def visit_BoolOp(self, node):
        """a and f(b), where f is written out: value = a; if value: ...; value = result"""
        first, *others = node.values
        first, others = self.visit(first), [self.late(node, v) for v in others]
        node.values = [first, *[value for value, _ in others]]
        if not any(before for _, before in others):
            return node
        result, line = self.new("value"), node.lineno
        self.out.append(assign(result, first, line))
        inside = self.out
        for value, before in others:
            test = result if isinstance(node.op, ast.And) else f"not {result}"
            inside.append(at_statement(ast.If(expr(test, line), [*before, assign(result, value, line)], []), line))
            inside = inside[-1].body
        return expr(result, line)

    def visit_Compare(self, node):
        """In a < b < c a thread may skip c."""
        first, late = node.comparators[0], node.comparators[1:]
        if not late:
            return self.generic_visit(node)
        for k, value in enumerate(late):
            late[k], before = self.late(node, value)
            if before:
                self.fail(node, "a call of a device function that uses cuda, in a comparison of three; write a < b and "
                                "b < c")
        node.comparators = [first]
        node = self.generic_visit(node)
        node.comparators += late
        return node

    def is_inlined(self, name):
        value = self.namespace.values.get(name)
        return python_function(value) is not None and uses_cuda(value)

    def visit_Call(self, node):
        out = self.out
        node = self.generic_visit(node)
        name, line = called(node), node.lineno
        if self.is_inlined(name):
            return self.inline(node, name, out)
        if not name.startswith("cuda_"):
            return node
        if name in ALLOCATIONS:
            self.fail(node, "write name = cuda.shared.array(shape, dtype) as a statement of its own")
        word = name.removeprefix("cuda_")
        if word not in MEET:
            node.func.id = "_" + word
            return node
        if word == "syncwarp" and node.args and not is_full(node.args[0]):
            node.args.append(expr("True", line))
            return self.publish(node, "masked_syncwarp", out, line)
        if word in ("syncthreads", "syncwarp"):
            out += code(f"_meet({word!r})", line)
            return expr("None", line)
        return self.publish(node, word, out, line)

    def publish(self, node, word, out, line):
        """A value goes out, threads meet, each reads what it wants."""
        need = 0 if word == "activemask" else 1 if word in COLLECTIVE else 2 if word in VOTES else 3
        if len(node.args) != need:
            self.fail(
                node, f"cuda.{word} takes {need} arguments" + ": mask, value" * (need > 1) + ", lane" * (need > 2)
            )
        value = node.args[0] if word in COLLECTIVE else node.args[1] if need else expr("True", line)
        out += self.put_aside([(node.args, k) for k in range(need) if node.args[k] is not value])
        x, result = self.new("x"), self.new("s")
        self.exchange.add(x)
        out.append(assign(x, value, line))
        out += code(f"_meet({word!r})\n{result} = _{word}({self.kept(x)}, _ACTIVE)", line)
        call = out[-1].value
        call.meet = word
        call.serial = expr(x if word in SHUFFLES else f"not not {x}" if word not in RESULTS
                           else f"_{RESULTS[word]}(1)", line)
        if word in COLLECTIVE:
            self.same.add(result)
        else:
            mask = node.args[0] if need else expr("4294967295", line)
            call.args += [
                *at([ast.Name(THREAD, ast.Load()), ast.Name("_err", ast.Load()), ast.Constant(line)], line),
                mask,
            ]
            call.args += node.args[2:]
        return expr(result, line)

    # ---- device functions that use cuda
    def inline(self, node, name, out):
        """The function's statements in place of the call; its returns become assignments to a result."""
        function = python_function(self.namespace.values[name])
        if function in self.inlining:
            self.fail(node, f"{function.__name__} calls itself; a device function that uses cuda can't: write a loop")
        load = Load(function, self.namespace, self.suffix(function), self.namespace.paths[name])
        self.share(load, function)
        changed, result, before = stores(load.body), self.new("result"), []
        for param, value in load.arguments(node, self.fail).items():
            new = param + load.suffix
            if isinstance(value, (ast.Name, ast.Constant)) and new not in changed:
                Rename(new, value).visit_all(load.body)
            else:
                before.append(assign(new, value, node.lineno))
        body = before + self.tail(load.body, result, load)
        returns = result in stores(body)
        outer, self.load = self.load, load
        self.inlining.append(function)
        for s in body:
            self.statement(s, out)
        self.inlining.pop()
        self.load, self.out = outer, out
        return expr(result if returns else "None", node.lineno)

    def share(self, load, function):
        """A device function has one shared array of a name, however often it's called."""
        nodes, ours = [n for s in load.body for n in ast.walk(s)], {}
        for n in nodes:
            if isinstance(n, (ast.Assign, ast.AnnAssign)) and called(n.value) == "cuda_shared_array":
                for name in stores(n):
                    ours[name] = self.same_array.setdefault((function, name.removesuffix(load.suffix)), name)
        for n in nodes:
            if isinstance(n, ast.Name):
                n.id = ours.get(n.id, n.id)

    def tail(self, statements, result, load):
        """Returns become assignments; they may only be the end, or the end of a branch."""
        for i, s in enumerate(statements):
            if isinstance(s, ast.Return):
                return statements[:i] + ([assign(result, s.value, s.lineno)] if s.value else [])
            if isinstance(s, ast.If) and has(s, ast.Return):
                rest = statements[i + 1:]
                s.body, s.orelse = (self.tail(branch + copy.deepcopy(rest), result, load) or code("pass", s.lineno)
                                    for branch in (s.body, s.orelse))
                return statements[:i + 1]
            if has(s, ast.Return):
                load.fail(s, "return inside a loop of a device function that uses cuda; leave the loop with break, and "
                             "return after it")
        return statements


def operands(node):
    """[(list or dict, key)] of the expressions in a node, in the order in which they are computed."""
    fields = ("value", "targets") if isinstance(node, ast.Assign) else node._fields
    for field in fields:
        value = getattr(node, field)
        if isinstance(value, list):
            for k, part in enumerate(value):
                yield (vars(part), "value") if isinstance(part, ast.keyword) else (value, k)
        elif isinstance(value, ast.expr):
            yield vars(node), field


def is_full(mask):
    """Is it a literal that names all lanes?"""
    return isinstance(mask, ast.Constant) and mask.value == 0xFFFFFFFF


class Rename(ast.NodeTransformer):
    """Write an argument in the place of a parameter."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def visit_Name(self, node):
        return ast.copy_location(copy.deepcopy(self.value), node) if node.id == self.name else node

    def visit_all(self, statements):
        statements[:] = [self.visit(s) for s in statements]
