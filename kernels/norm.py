"""Norms of vectors: sum(|x| ** p) ** (1 / p), and what becomes of it where p is 0 or infinite.

No kernel stands here. Every norm is a reduction: a function of each element, a combination, a function of the total.
"""
from __future__ import annotations

import math

import numpy as np

from .reduce import run

plus = lambda a, b: a + b
larger = lambda a, b: a if a > b or a != a else b
smaller = lambda a, b: a if a < b or a != a else b
square, root = lambda x: x * x, lambda total: math.sqrt(total)
size = lambda x: abs(x)
is_there = lambda x: (x != 0) * 1.0
power, root_of = lambda x, p: abs(x) ** p, lambda total, p: total ** (1 / p)

# p: (read, combine, identity, finish)
SPECIAL = {
    0:         (is_there, plus,    0,        None),
    1:         (size,     plus,    0,        None),
    2:         (square,   plus,    0,        root),
    math.inf:  (size,     larger,  0,        None),
    -math.inf: (size,     smaller, math.inf, None),
}


# ---- the specification
def spec(x, p, dims):
    """The norms of the elements along some dimensions of a numpy array."""
    x = np.abs(x)
    if math.isinf(p):
        return (np.max if p > 0 else np.min)(x, axis=dims)
    return np.sum(x != 0, axis=dims) if p == 0 else np.sum(x ** p, axis=dims) ** (1 / p)


# ---- what the library calls
def vector_norm(x, *, p, dims, keepdim):
    read, combine, identity, finish = SPECIAL.get(p, (power, plus, 0, root_of))
    return run(combine, identity, finish, read=read, numbers=(p,), name="norm", array=x, dims=dims, keepdim=keepdim,
               dtype=x.dtype)


# ---- the lesson
def main():
    from .array import from_numpy
    from .lesson import check, report
    from .memory import default
    machine, draw = default(), np.random.default_rng(0)
    for shape, dims in (((37,), (0,)), ((5, 11, 3), (0, 2)), ((4, 1300), (1,))):
        host = draw.standard_normal(shape).astype(np.float32)
        for p in (*SPECIAL, 0.5, 3, -1.5):
            got = vector_norm(from_numpy(machine, host), p=float(p), dims=dims, keepdim=False)
            check(f"norm of {shape} over {dims}, p = {p}", got, spec(host.astype(np.float64), p, dims), 3e-6)
    n = 100 if machine.simulated else 10000
    a = from_numpy(machine, draw.standard_normal((n, n)).astype(np.float32))
    report(f"2-norm of {n} x {n}", machine, lambda: vector_norm(a, p=2.0, dims=(0, 1), keepdim=False), 4 * n * n)


if __name__ == "__main__":
    main()
