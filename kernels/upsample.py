"""Padding, and images in another size: along each dimension, elements are copied or mixed.

    out[i, j] = x[rows[i], columns[j]]               copies: reflected, repeated or nearest elements
    x[r, c] = sum of g[i, j] where rows[i] = r and columns[j] = c           the way back
    out[i, j] = sum of vertical[i, r] * horizontal[j, c] * x[r, c]          means and linear interpolation

It knows no modes: which elements are copied or mixed is said by an index or by a matrix for each dimension.

    copies    one thread a result (a line of them on the simulator): reads the indices, which all planes share, and x
    collect   the way back without atomics: an element looks up who copied it, in a list sorted by where the copies came
              from, and sums them in order: the same bits every time
    weighted  no kernel of its own: a linear map along one dimension is a matrix product for each of the lines
"""
from __future__ import annotations

import functools
import math

import numpy as np

from . import elementwise
from .array import empty, from_numpy, full
from .conv import launch
from .elementwise import contiguous
from .matmul import matmul
from .matrices import adding_type
from .pool import lines, three
from .provider import cuda, jit, type_of


# ---- the specification
def spec(x, indices):
    """What copies computes, in numpy."""
    for dim, index in enumerate(reversed(indices), 1):
        x = np.take(x, index, axis=-dim)
    return x


def spec_collect(g, sizes, indices):
    out = np.zeros((*g.shape[:-len(sizes)], *sizes), g.dtype)
    np.add.at(out, (..., *np.ix_(*indices)), g)
    return out


# ---- the kernels, for planes of three dimensions
@functools.lru_cache(None)
def make_copies(T):
    def copies(x, o, n, run, space, places, first_index, second_index, third_index):
        t = cuda.grid(1)
        if t < n:
            pieces = (places[2] + run - 1) // run
            r, first = t // pieces, t % pieces * run
            line = r * places[2]
            r, j = r // places[1], r % places[1]
            plane, i = r // places[0], r % places[0]
            p = ((plane * space[0] + first_index[i]) * space[1] + second_index[j]) * space[2]
            for k in range(first, min(first + run, places[2])):
                o[line + k] = x[p + third_index[k]]
    return jit(copies)


@functools.lru_cache(None)
def make_collect(T, A):
    zero = A.numpy.type(0)

    def collect(g, x, n, run, space, places, order0, start0, order1, start1, order2, start2):
        """order: the places, sorted by the element that they copy; start: where in it those of each element begin."""
        t = cuda.grid(1)
        if t < n:
            pieces = (space[2] + run - 1) // run
            r, first = t // pieces, t % pieces * run
            line = r * space[2]
            r, u = r // space[1], r % space[1]
            plane, z = r // space[0], r % space[0]
            for v in range(first, min(first + run, space[2])):
                total = zero
                for i in range(start0[z], start0[z + 1]):
                    for j in range(start1[u], start1[u + 1]):
                        p = ((plane * places[0] + order0[i]) * places[1] + order1[j]) * places[2]
                        for k in range(start2[v], start2[v + 1]):
                            total += A(g[p + order2[k]])
                x[line + v] = T(total)
    return jit(collect)


# ---- what the library calls
def copies(input, *, indices):
    """Along each of the last dimensions the elements that `indices` (host arrays) name, once, often or never."""
    spaces, x = len(indices), contiguous(input)
    places = tuple([len(index) for index in indices])
    out = empty(x.machine, input.shape[:-spaces] + places, x.dtype)
    n, run = lines(out, places)
    given = [np.zeros(1, np.int32)] * (3 - spaces) + [np.asarray(index, np.int32) for index in indices]
    launch(make_copies(type_of(x.dtype)), n, run, x, out, n, run, three(input.shape[-spaces:]), three(places),
           *[from_numpy(x.machine, index) for index in given])
    return out


def added_copies(g, *, sizes, indices):
    """Every copy added to its original: the transpose of `copies`."""
    spaces, g = len(sizes), contiguous(g)
    out = empty(g.machine, g.shape[:-spaces] + tuple(sizes), g.dtype)
    n, run = lines(out, sizes)
    tables = []
    for size, index in zip(three(sizes), [np.zeros(1, np.int64)] * (3 - spaces) + list(indices)):
        order = np.argsort(index, kind="stable")
        start = np.searchsorted(np.asarray(index)[order], np.arange(size + 1))
        tables += [from_numpy(g.machine, a.astype(np.int32)) for a in (order, start)]
    launch(make_collect(type_of(g.dtype), adding_type(g.dtype)), n, run * max(g.size // max(out.size, 1), 1),
           g, out, n, run, three(sizes), three(g.shape[-spaces:]), *tables)
    return out


def weighted(input, *, maps):
    """Along each of the last dimensions the sums that the rows of a matrix (on the host) say."""
    half = input.dtype.itemsize == 2
    out = elementwise.cast(input, np.float32) if half else contiguous(input)
    for dim, matrix in enumerate(reversed(maps), 1):
        shape, at = out.shape, out.ndim - dim
        matrix = from_numpy(out.machine, np.asarray(matrix).astype(out.dtype))
        inner, outer = math.prod(shape[at + 1:]), math.prod(shape[:at])
        if inner == 1:                              # the rows are the lines
            out = matmul(out.view((outer, shape[at])), matrix.permute((1, 0)))
        else:
            out = matmul(matrix.view((1, *matrix.shape)), out.view((outer, shape[at], inner)))
        out = out.view((*shape[:at], matrix.shape[0], *shape[at + 1:]))
    return elementwise.cast(out, input.dtype) if half else out


def constant_pad(input, *, pairs, value):
    """`value` around the input; a negative padding cuts off instead."""
    shape = tuple([n + before + after for n, (before, after) in zip(input.shape, pairs)])
    if input.dtype.kind in "iub":
        value = np.asarray(int(value)).astype(input.dtype)[()]
    out = full(input.machine, shape, value, input.dtype)
    kept = tuple([n + min(before, 0) + min(after, 0) for n, (before, after) in zip(input.shape, pairs)])
    if min(kept, default=1) > 0:
        to = sum([max(before, 0) * s for (before, _), s in zip(pairs, out.strides)])
        source = sum([max(-before, 0) * s for (before, _), s in zip(pairs, input.strides)])
        elementwise.copy(out.view(kept, out.strides, out.offset + to),
                         input.view(kept, input.strides, input.offset + source))
    return out


# ---- checking and counting
def check(machine, dtype):
    """(what, its largest error) for odd sizes."""
    draw = np.random.default_rng(0)
    for sizes, places in (((5,), (9,)), ((3, 7), (5, 4)), ((3, 2, 5), (2, 3, 11))):
        indices = [draw.integers(0, n, m) for n, m in zip(sizes, places)]
        x, g = draw.standard_normal((2, 3, *sizes)).astype(dtype), draw.standard_normal((2, 3, *places)).astype(dtype)
        found = copies(from_numpy(machine, x), indices=indices).numpy()
        yield f"copies {places} of {sizes}", np.abs(found - spec(x, indices)).max()
        found = added_copies(from_numpy(machine, g), sizes=sizes, indices=indices).numpy()
        yield f"collect {places} in {sizes}", np.abs(found - spec_collect(g, sizes, indices)).max()
        maps = [draw.standard_normal((m, n)) for n, m in zip(sizes, places)]
        wanted = x
        for dim, matrix in enumerate(maps, x.ndim - len(maps)):
            wanted = np.moveaxis(np.tensordot(wanted, matrix, (dim, 1)), -1, dim)
        found = weighted(from_numpy(machine, x), maps=maps).numpy()
        yield f"weighted {places} of {sizes}", np.abs(found - wanted).max()


def main():
    from .lesson import check_all
    check_all(check, {"float32": 1e-5, "float64": 1e-13})


def cases():
    from .check import ptr
    three_ints, i = (1, 1, 1), ptr("int32")
    for name in ("float32", "float64", "float16", "int64", "uint8", "boolean"):
        p, T = ptr(name), type_of(ptr(name))
        yield f"copies {name}", make_copies(T), (p, p, 1, 1, three_ints, three_ints, i, i, i)
        if name != "boolean":
            A = adding_type(ptr(name))
            yield f"collect {name}", make_collect(T, A), (p, p, 1, 1, three_ints, three_ints, i, i, i, i, i, i)


if __name__ == "__main__":
    main()
