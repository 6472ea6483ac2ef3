"""May an integer expression leave 64 bits? Python's integers have no end; a GPU's wrap around there.

It knows bounds of numbers, not how they are kept: rewrite.py puts a `wrap` where an expression that may leave 64 bits
is looked at (assigned, compared, divided, made a float). In between, sums and products that are too long do no harm:
their last 64 bits are right.

    threadIdx_x + blockIdx_x * blockDim_x    at most 63 bits, as indices have 31           no wrap
    x = x * 31 + y                           x and y have up to 63 bits: 69 bits           x = _wrap(x * 31 + y)
"""
from __future__ import annotations

import ast

from .kinds import Memory
from .words import AXES, BLOCK, THREAD

FULL = 63                                           # bits of a number without its sign
OF_KIND = {"b": 1, "t": 7, "s": 15, "n": 31, "i": FULL}
SMALL = 31                                          # a step that takes 2**32 turns to leave 64 bits is let pass


def bits(node, kind_of):
    """A bound for the bits of a signed integer expression, without its sign; kind_of(node): the kind of a part."""
    kind = kind_of(node)
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return int(node.value).bit_length()
    if isinstance(node, ast.Name) and (node.id == THREAD or node.id in AXES or node.id in BLOCK):
        return 31
    if isinstance(node, ast.IfExp):
        return max(bits(node.body, kind_of), bits(node.orelse, kind_of))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd, ast.Invert)):
        return bits(node.operand, kind_of)          # (-x of the smallest int64: meaning.neg's affair)
    if isinstance(node, ast.BinOp) and kind in OF_KIND:
        return of_operation(node, kind_of)
    if isinstance(node, ast.Subscript) and isinstance(kind_of(node.value), tuple) or isinstance(node, ast.Attribute):
        return 47 if is_size(node, kind_of) else OF_KIND.get(kind, FULL)
    return OF_KIND.get(kind, FULL)


def of_operation(node, kind_of):
    if any(kind_of(side) not in OF_KIND for side in (node.left, node.right)):
        return FULL                                 # meaning.py's functions, or Unsigned's, which wrap
    left, right = bits(node.left, kind_of), bits(node.right, kind_of)
    if isinstance(node.op, (ast.Add, ast.Sub)):
        small = [side for side in (node.left, node.right) if isinstance(side, ast.Constant)]
        if small and min(left, right) < SMALL and max(left, right) == FULL:
            return FULL
        return max(left, right) + 1
    if isinstance(node.op, ast.Mult):
        return left + right
    if isinstance(node.op, (ast.BitAnd, ast.BitOr, ast.BitXor)):
        return max(left, right)
    return FULL


def is_size(node, kind_of):
    """a.size, a.shape[0]: memory has no more than 47 bits of addresses."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            return isinstance(kind_of(node.value), Memory)
        if not isinstance(node, ast.Subscript):
            return False
        node = node.value
    return False
