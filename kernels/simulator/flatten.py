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
import copy
import itertools

import numpy as np

from .load import Load, Unsupported, python_function, uses_cuda
from .trees import assign, at, at_statement, called, code, expr, has, loads, stores
from .words import COLLECTIVE, MEET, SHUFFLES, THREAD, VOTES

ALLOCATIONS = ("cuda_shared_array", "cuda_local_array")
KEPT = "_all"                                       # x_all[t] is the x of thread t


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
        self.atomics = set()                        # arrays that atomics change

    def fail(self, node, why):
        raise Unsupported(f"{self.load.file}:{node.lineno}: in {self.load.function.__name__}: {why}")

    def new(self, prefix):
        while True:
            name = f"{prefix}{next(self.count)}"
            if name not in self.namespace.reserved and name + KEPT not in self.namespace.reserved:
                self.namespace.reserved.add(name)
                return name

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
            if len(s.targets) > 1 and isinstance(s.targets[0], ast.Name):
                first, *others = s.targets          # a = b = value
                self.statement(ast.copy_location(ast.Assign([first], s.value), s), out)
                for target in others:
                    self.statement(ast.copy_location(ast.Assign([target], expr(first.id, s.lineno)), s), out)
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
        if before:
            leave = at_statement(ast.If(ast.copy_location(ast.UnaryOp(ast.Not(), test), s.test),
                                        code("break", s.lineno), []), s.lineno)
            s.body, s.test = before + [leave] + self.block(s.body), expr("True", s.lineno)
        else:
            s.test, s.body = test, self.block(s.body) or code("pass", s.lineno)
        s.orelse = self.block(s.orelse)
        out.append(s)

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

    def visit(self, node):
        if isinstance(node, (ast.IfExp, ast.BoolOp)):       # may skip operands: nothing that meets may be inside
            late = [node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values[1:]
            for call in [n for x in late for n in ast.walk(x) if isinstance(n, ast.Call)]:
                if self.meets(call):
                    self.fail(node, "a shuffle, vote or barrier inside a conditional expression, which some threads "
                                    "may skip; compute it in a statement of its own first")
        return super().visit(node)

    def meets(self, call):
        name = called(call)
        return name.startswith("cuda_") and name.removeprefix("cuda_") in MEET or self.is_inlined(name)

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
        if word.startswith("atomic"):
            self.atomics.add(ast.unparse(node.args[0]))
        if word not in MEET:
            node.func.id = "_" + word
            return node
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
        x, result = self.new("x"), self.new("s")
        self.exchange.add(x)
        value = node.args[0] if word in COLLECTIVE else node.args[1] if need else expr("True", line)
        out.append(assign(x, value, line))
        out += code(f"_meet({word!r})\n{result} = _{word}({x}{KEPT}, _ACTIVE)", line)
        call = out[-1].value
        call.meet = word
        call.serial = expr(x if word in SHUFFLES else f"bool({x})" if word in ("any_sync", "all_sync") else "1", line)
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
        k = next(self.count)
        load = Load(function, self.namespace, f"__{k}", self.namespace.paths[name])
        changed, result, before = stores(load.body), f"result{k}", []
        if len(node.args) > len(load.params):
            self.fail(node, f"{function.__name__} takes {len(load.params)} arguments, not {len(node.args)}")
        given = dict(zip(load.params, node.args)) | {k.arg: k.value for k in node.keywords}
        late = len(load.params) - len(function.__defaults__ or ())
        for position, param in enumerate(load.params):
            if param in given:
                value = given[param]
            elif position >= late:
                default = function.__defaults__[position - late]
                value = expr(load.bind_default(param, position - late, default), node.lineno)
            else:
                self.fail(node, f"{function.__name__} needs an argument {param}")
            new = param + load.suffix
            if isinstance(value, (ast.Name, ast.Constant)) and new not in changed:
                Rename(new, value).visit_all(load.body)
            else:
                before.append(assign(new, value, node.lineno))
        body = before + self.tail(load.body, result, load)
        returns = result in stores(body)
        outer, self.load = self.load, load
        for s in body:
            self.statement(s, out)
        self.load, self.out = outer, out
        return expr(result if returns else "None", node.lineno)

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


class Rename(ast.NodeTransformer):
    """Write an argument in the place of a parameter."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def visit_Name(self, node):
        return ast.copy_location(copy.deepcopy(self.value), node) if node.id == self.name else node

    def visit_all(self, statements):
        statements[:] = [self.visit(s) for s in statements]
