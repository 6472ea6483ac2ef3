"""Where a function's source stands: its syntax tree, and the certainty that it's the function's own.

Kernels and scalar functions are translated from their source, and the source may have changed since the function was
made: a file is edited, a notebook's cell is run again. So the text found is compiled, and counts only if code equal to
the function's comes out. It knows nothing of kernels, and translates nothing.
"""
from __future__ import annotations

import __future__

import ast
import bisect
import dis
import inspect
import linecache
import types

FUTURE = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names} - {inspect.CO_NESTED})
SILENT = ("PUSH_NULL", "PRECALL", "CACHE", "NOP", "RESUME")
AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT              # which notebooks' cells may do
_files = {}                                         # file name -> its Text


class SourceError(TypeError):
    """The source of a function is not to be found, or isn't that of this function any more."""


class Text:
    """A file's text as syntax trees and as code: {first line: functions and lambdas that start there}."""

    def __init__(self, file, text, flags):
        self.key, self.trees, self.codes = (text, flags), {}, {}
        tree = compile(text, file, "exec", flags | AWAIT | ast.PyCF_ONLY_AST, dont_inherit=True)
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.Lambda)):
                first = min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", ())]])
                self.trees.setdefault(first, []).append(node)
        todo = [compile(tree, file, "exec", flags | AWAIT, dont_inherit=True)]
        for code in todo:                           # the list grows while it is read: code within code
            self.codes.setdefault(code.co_firstlineno, []).append(code)
            todo += [c for c in code.co_consts if isinstance(c, types.CodeType)]


def definition(function):
    """(the syntax tree of a function or lambda, its file). Others see the same tree: copy it before changing it."""
    code = function.__code__
    file, line = code.co_filename, code.co_firstlineno
    linecache.checkcache(file)
    text, flags = "".join(linecache.getlines(file, function.__globals__)), code.co_flags & FUTURE
    if not text:
        raise SourceError(f"{file}:{line}: the source of {function.__name__} can't be read; it's translated from its "
                          "source, so it must stand in a file or a notebook's cell")
    known = _files.get(file)
    if known is None or known.key != (text, flags):
        try:
            known = _files[file] = Text(file, text, flags)
        except SyntaxError:
            raise changed(function) from None
    found = [node for node in known.trees.get(line, ()) if getattr(node, "name", "<lambda>") == code.co_name]
    if len(found) > 1:                              # several lambdas on a line
        found = sorted([node for node in found if contains(node.body, code)], key=width)
    # (test runners rewrite assert statements, and what they make is in no file)
    if not found or not any(same(c, code) for c in known.codes.get(line, ())) and not has_assert(found[0]):
        raise changed(function)
    return found[0], file


def same(a, b):
    """Do they do the same? Where an editor or a notebook runs a file cell by cell, equal sources needn't give equal
    bytes: how f of m.f() is looked up depends on whether m is imported in the same cell."""
    return a == b or a.co_name == b.co_name and normal(a) == normal(b)


def normal(code):
    """What code does, without the instructions that differ."""
    kept = [i for i in dis.get_instructions(code) if i.opname not in SILENT]
    offsets, steps = [i.offset for i in kept], []
    for i in kept:
        if i.opcode in dis.hasjrel or i.opcode in dis.hasjabs:
            value = bisect.bisect_left(offsets, i.argval)
        else:
            value = normal(i.argval) if isinstance(i.argval, types.CodeType) else repr(i.argval)
        steps.append(("LOAD_ATTR" if i.opname == "LOAD_METHOD" else i.opname, value))
    return code.co_varnames, code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, steps


def changed(function):
    code = function.__code__
    return SourceError(f"{code.co_filename}:{code.co_firstlineno}: no definition of {function.__name__} as it was made "
                       "starts here; has the file changed since it was imported? Import it again")


def has_assert(node):
    return any(isinstance(n, ast.Assert) for n in ast.walk(node))


def contains(node, code):
    """Do all instructions come from within this expression?"""
    start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
    places = [
        i.positions for i in dis.get_instructions(code) if i.opname not in ("RESUME", "COPY_FREE_VARS", "MAKE_CELL")
    ]
    return all(start <= (p.lineno, p.col_offset) and (p.end_lineno, p.end_col_offset) <= end
               for p in places if p is not None and p.end_col_offset)       # (some stand nowhere)


def width(node):
    return node.body.end_lineno - node.body.lineno, node.body.end_col_offset - node.body.col_offset
