"""Small tools for Python's syntax trees.

They know the shape of code and nothing of GPUs: which names a statement reads and writes, what may be read before it is
written, and how to make new statements that keep the line of an old one.
"""
from __future__ import annotations

import ast


def at(nodes, line):
    """The nodes (new ones) with the position of a line of the kernel: tracebacks and debuggers then show that line."""
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, (ast.expr, ast.stmt, ast.arg, ast.keyword)):
                inner.lineno = inner.end_lineno = line
                inner.col_offset = inner.end_col_offset = 0
    return nodes


def code(text, line=1):
    """Statements from text, all on one line of the kernel."""
    return at(ast.parse(text).body, line)


def expr(text, line=1):
    """An expression from text."""
    return code(text, line)[0].value


def assign(target, value, line):
    """`target = value`: a name or the text of an element, and an expression."""
    target = expr(target, line)
    for node in (target,):
        node.ctx = ast.Store()
    return at_statement(ast.Assign([target], value), line)


def at_statement(statement, line):
    """Give a new statement a position without touching the expressions within that have one."""
    statement.lineno = statement.end_lineno = line
    statement.col_offset = statement.end_col_offset = 0
    return ast.fix_missing_locations(statement)


def many(x):
    return x if isinstance(x, list) else [x]


def names(x, context):
    return {n.id for root in many(x) for n in ast.walk(root) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def stores(x):
    """The names that these statements assign to."""
    return names(x, ast.Store)


def loads(x):
    """The names that these statements read; `x += 1` reads x."""
    added = {n.target.id for root in many(x) for n in ast.walk(root)
             if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}
    return names(x, ast.Load) | added


def has(x, *kinds):
    return any(isinstance(n, kinds) for root in many(x) for n in ast.walk(root))


def called(node):
    """The name that a call calls, or ""."""
    return getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""


def is_meet(statement):
    """Is this the statement `_meet("syncthreads")`, where threads wait for each other?"""
    return isinstance(statement, ast.Expr) and called(statement.value) == "_meet"


def has_meet(x):
    return any(is_meet(n) for root in many(x) for n in ast.walk(root))


def own_jumps(statements):
    """The breaks and continues that leave these statements."""
    for s in statements:
        if isinstance(s, (ast.Break, ast.Continue)):
            yield s
        elif isinstance(s, ast.If):
            yield from own_jumps(s.body + s.orelse)


def exposed(statements, sure=frozenset()):
    """(names read before they are surely assigned, names surely assigned at the end; None if the end is never reached)

    >>> exposed(ast.parse("x = a\\nif x:\\n y = 1\\nz = y").body) == ({"a", "y"}, {"x", "z"})
    True
    """
    need, sure = set(), set(sure)
    for s in statements:
        if isinstance(s, ast.If):
            (need1, sure1), (need2, sure2) = exposed(s.body, sure), exposed(s.orelse, sure)
            need |= (loads(s.test) - sure) | need1 | need2
            if sure1 is None and sure2 is None:
                return need, None
            sure = sure2 if sure1 is None else sure1 if sure2 is None else sure1 & sure2
        elif isinstance(s, (ast.For, ast.While)):
            head, given = (s.iter, stores(s.target)) if isinstance(s, ast.For) else (s.test, set())
            need |= (loads(head) - sure) | exposed(s.body, sure | given)[0] | exposed(s.orelse, sure)[0]
        elif isinstance(s, (ast.Return, ast.Break, ast.Continue)):
            return need, None
        else:
            need |= loads(s) - sure
            sure |= stores(s)
    return need, sure
