"""Rows of a table, and the gradient of the table: nn.Embedding.

It knows no model. Reading is index.py's gather and the way back scatter.py's ordered sum, so this file shows what they
come to for rows, and what padding and frequencies add.

    for i in range(tokens):                         for i in range(tokens):
        for j in range(size):                           for j in range(size):
            out[i, j] = table[k[i], j]                      grad[k[i], j] += g[i, j]

The way forward reads 1 and writes 1 an element, whole rows at a time. The way back is where libraries lose their
determinism: a frequent token's row collects hundreds of gradients, and atomic additions come in any order. Here the
tokens are ordered first (compact.py), and one thread per row and column adds its gradients in the order of the text:
the same digits in every run.

    lookup     a thread per element: forward
    backward   ordered: each gradient is read once, each touched row written once; rows nobody named stay zero
    hidden     lookup in which a row reads as zeros, or is divided by how often it was named: the way back of `backward`
"""
from __future__ import annotations

import functools

import numpy as np

from .array import empty, from_numpy, full
from .compact import INT64, per_element
from .count import bincount
from .elementwise import cast, contiguous, fill
from .elementwise import run as elementwise
from .index import first_outside, index_select
from .lift import computing_type
from .provider import cuda, float32, jit
from .scatter import point, put_at


# ---- the specification
def spec(table, k):
    return table[k]


def spec_backward(g, k, rows):
    out = np.zeros((rows, g.shape[-1]), g.dtype)
    np.add.at(out, k.reshape(-1), g.reshape(-1, g.shape[-1]))
    return out


# ---- the kernels: those of index.py and scatter.py, and one more
@functools.lru_cache(None)
def hidden_kernel(T, divided):
    def hidden(table, k, counts, o, n, size, hide):
        i = cuda.grid(1)
        if i < n:
            row = k[i // size]
            value = T(0)
            if row != hide:
                value = T(table[row * size + i % size])
                if divided:
                    value = T(value / T(counts[row]))
            o[i] = value
    return jit(hidden)


# ---- what the library calls
def embedding(weight, indices, *, padding_idx, scale_grad_by_freq, hide=False):
    """weight[indices]; with `hide` the rows of padding_idx read as zeros, and each row is divided by its frequency."""
    rows, size = weight.shape
    if first_outside(indices, 0, rows) is not None:
        raise IndexError("index out of range in self")
    if not hide:
        out = index_select(weight, contiguous(indices).view((indices.size,)), dim=0)
        return out.view((*indices.shape, size))
    weight, indices = contiguous(weight), contiguous(indices)
    out = empty(weight.machine, (*indices.shape, size), weight.dtype)
    if out.size:
        kernel = hidden_kernel(computing_type(weight.dtype), bool(scale_grad_by_freq))
        counts = frequencies(indices, rows) if scale_grad_by_freq else indices
        per_element(kernel, weight.machine, out.size, weight, indices, counts, out, out.size, size, padding_idx)
    return out


def frequencies(indices, rows):
    """How often each row is named."""
    return bincount(contiguous(indices).view((indices.size,)), bins=rows)


def embedding_dense_backward(g, indices, *, rows, padding_idx, scale_grad_by_freq):
    """A table of zeros with the rows of g added where the indices say; the row of padding_idx stays zero."""
    n, size = indices.size, g.shape[-1]
    out = full(g.machine, (rows, size), 0, g.dtype)
    if not n * size:
        return out
    places = empty(g.machine, (n,), INT64)
    point(places, contiguous(indices).view((n,)), (0,), rows, size)
    put_at(out, places, contiguous(g).view((n, size)), "sum", True, (size,), (1,))
    if scale_grad_by_freq:
        counts = cast(frequencies(indices, rows), g.dtype).view((rows, 1))
        out = elementwise(average, "average", [out, counts], {}, out.shape, out.dtype)
    if padding_idx >= 0:
        fill(out.view((size,), offset=padding_idx * size), 0)
    return out


average = lambda total, count: total / max(count, 1)


# ---- the lesson
def cases():
    from .check import ptr
    for name in ("float32", "float16", "float64"):
        for divided in (False, True):
            yield (f"hidden {name}" + ", divided" * divided, hidden_kernel(computing_type(np.dtype(name)), divided),
                   (ptr(name), ptr("int64"), ptr("int64"), ptr(name), 1000, 10, 3))
    yield ("hidden, int32", hidden_kernel(float32, False),
           (ptr("float32"), ptr("int32"), ptr("int32"), ptr("float32"), 1000, 10, 3))


def main():
    from .lesson import report
    from .memory import default
    machine, rng = default(), np.random.default_rng(0)
    for rows, size, shape in ((1, 1, (1,)), (11, 5, (3, 7)), (65, 33, (40,))):
        table, k = rng.random((rows, size)), rng.integers(0, rows, shape)
        g = rng.random((*shape, size))
        on_table, on_k, on_g = (from_numpy(machine, a) for a in (table, k, g))
        plain = {"padding_idx": -1, "scale_grad_by_freq": False}
        want = spec(table, k)
        assert np.array_equal(embedding(on_table, on_k, **plain).numpy(), want), shape
        back = embedding_dense_backward(on_g, on_k, rows=rows, **plain).numpy()
        assert np.array_equal(back, spec_backward(g, k, rows)), shape
        want[k == 0] = 0
        want /= np.bincount(k.reshape(-1), minlength=rows)[k][..., None]
        hidden = embedding(on_table, on_k, padding_idx=0, scale_grad_by_freq=True, hide=True).numpy()
        assert np.allclose(hidden, want, 1e-15), shape
        print(f"{k.size} rows of {size} from {rows}: forward and backward agree with numpy on {machine.name}")
    rows, size, n = (65, 32, 64) if machine.simulated else (50_000, 512, 16_384)
    table, k = from_numpy(machine, rng.random((rows, size), np.float32)), from_numpy(machine, rng.integers(0, rows, n))
    g = embedding(table, k, **plain)
    what = f"{n} rows of {size} from {rows}"
    report(f"embedding: {what}", machine, lambda: embedding(table, k, **plain), 8 * n * size)
    report(f"its gradient: {what}", machine, lambda: embedding_dense_backward(g, k, rows=rows, **plain),
           4 * (n + rows) * size)


if __name__ == "__main__":
    main()
