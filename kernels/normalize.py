"""Normalization: each number minus the mean of its group, over the group's standard deviation; times weight, plus bias.

    for group in range(groups):
        mean = sum(x[group]) / n
        rstd = 1 / sqrt(sum((x[group] - mean) ** 2) / n + eps)
        out[group] = (x[group] - mean) * rstd * weight + bias

The norms differ in what a group is, and all of their groups are columns of one view, x as (outer, groups, inner):

    layer norm (batch, size)           (1, batch, size)                         a group is a row
    group norm (batch, C, positions)   (1, batch * G, C / G * positions)
    batch norm (batch, C, positions)   (batch, C, positions)                   a group is a channel of all samples

So there is one kernel each way. A block takes a group and walks it three times: in the first pass it comes from memory,
in the others out of the cache where the group fits there; the variance of centred numbers costs no digits. `threads` is
how many share a group; with one the kernel is the loop nest above, which is what the simulator runs.

    normalize    reads 1 (+ 2 from cache), writes 1       instead of 9 reads and 5 writes, an operation after the other
    backward     reads 2 (+ 2 from cache), writes 1

It knows no tensor and no running statistics.
"""
from __future__ import annotations

import functools
import math

import numpy as np

from . import reduce
from .array import ceil_div, empty, full
from .elementwise import contiguous
from .lift import computing_type
from .provider import cuda, float32, float64
from .reduce import add, block_reduce
from .rows import power_of_two

BLOCK = 256


# ---- the specification
def spec(x, weight, bias, eps):
    """Layer norm of the last dimension of a numpy array."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + eps) * weight + bias


def spec_backward(g, x, weight, eps):
    """The gradients of x, weight and bias."""
    centred = x - x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + eps)
    normal, scaled = centred * rstd, g * weight
    along = (scaled * normal).mean(-1, keepdims=True)
    return rstd * (scaled - scaled.mean(-1, keepdims=True) - normal * along), (g * normal).sum(0), g.sum(0)


# ---- the kernels. Element k of a group lies at (k // inner * groups + group) * inner + k % inner; element `at` has the
# ---- weight number at // run % weights
@functools.lru_cache(None)
def normalize_kernel(C, threads, weighted, biased, fixed):
    """With `fixed` the statistics are given, otherwise they are found and written."""
    total = block_reduce(add, C, threads)
    ONE, ZERO = C(1), C(0)

    @cuda.jit
    def normalize(x, weight, bias, o, mean, rstd, n, groups, inner, weights, run, eps):
        t = cuda.threadIdx.x
        group = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        here = n if group < groups else 0           # threads without a group still take part in the sums
        m = ZERO
        r = ONE
        if fixed:
            if group < groups:
                m = C(mean[group])
                r = C(rstd[group])
        else:
            for k in range(t, here, threads):
                m += C(x[(k // inner * groups + group) * inner + k % inner])
            m = total(m) / C(n)
            q = ZERO
            for k in range(t, here, threads):
                d = C(x[(k // inner * groups + group) * inner + k % inner]) - m
                q += d * d
            r = ONE / math.sqrt(total(q) / C(n) + eps)
            if t == 0 and group < groups:
                mean[group] = m
                rstd[group] = r
        for k in range(t, here, threads):
            at = (k // inner * groups + group) * inner + k % inner
            y = (C(x[at]) - m) * r
            if weighted:
                y *= C(weight[at // run % weights])
            if biased:
                y += C(bias[at // run % weights])
            o[at] = y
    return normalize


@functools.lru_cache(None)
def backward_kernel(C, threads, weighted, fixed):
    """The gradient of the input. What g moves a group's mean and deviation by is taken off, unless they are fixed."""
    total = block_reduce(add, C, threads)
    ZERO = C(0)

    @cuda.jit
    def backward(g, x, weight, o, mean, rstd, n, groups, inner, weights, run):
        t = cuda.threadIdx.x
        group = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
        here = n if group < groups else 0
        m = ZERO
        r = ZERO
        if group < groups:
            m = C(mean[group])
            r = C(rstd[group])
        moved = ZERO
        along = ZERO
        if not fixed:
            for k in range(t, here, threads):
                at = (k // inner * groups + group) * inner + k % inner
                d = C(g[at])
                if weighted:
                    d *= C(weight[at // run % weights])
                moved += d
                along += d * (C(x[at]) - m) * r
            moved = total(moved) / C(n)
            along = total(along) / C(n)
        for k in range(t, here, threads):
            at = (k // inner * groups + group) * inner + k % inner
            d = C(g[at])
            if weighted:
                d *= C(weight[at // run % weights])
            if not fixed:
                d -= moved + (C(x[at]) - m) * r * along
            o[at] = d * r
    return backward


@functools.lru_cache(None)
def terms_kernel(C):
    """What each element adds to the gradient of its weight; they are summed by reduce.py."""
    @cuda.jit
    def terms(g, x, o, mean, rstd, groups, inner, total):
        i = cuda.grid(1)
        if i < total:
            group = i // inner % groups
            o[i] = C(g[i]) * (C(x[i]) - C(mean[group])) * C(rstd[group])
    return terms


# ---- views
def as_groups(split, dims):
    """(elements of a group, groups, inner) of an array of shape `split`, normalized over `dims`."""
    first = len(split) - len(dims)
    if tuple(dims) == tuple(range(first, len(split))):                  # the last ones
        n = math.prod(split[first:])
        return n, math.prod(split[:first]), n
    assert 1 not in dims, f"groups over {dims} of {split}"
    inner = math.prod(split[2:])
    return split[0] * inner, split[1], inner


def as_weights(shape, affine):
    """(weights, run): `run` neighbours share a weight, and behind the last weight comes the first."""
    if tuple(affine) == tuple(shape[len(shape) - len(affine):]):
        return math.prod(affine), 1
    return affine[0], math.prod(shape[len(shape) - len(affine) + 1:])


def blocks_for(machine, n, groups):
    """(threads of a group, groups of a block)"""
    if machine.simulated:                           # meetings cost time there, and nobody waits for memory
        return 1, min(32, groups)
    threads = min(BLOCK, max(32, power_of_two(ceil_div(n, 4))))
    return threads, 1 if threads > 32 else BLOCK // 32


def launch(machine, make, n, groups, *args):
    threads, each = blocks_for(machine, n, groups)
    machine.launch(make(threads), (ceil_div(groups, each), 1, 1), (threads, each, 1), 0, args,
                   work=ceil_div(n, threads))


# ---- what the library calls
def normalize(input, weight, bias, *, dims, eps, split, affine, fixed=None):
    """(normalized over `dims` of the input seen as `split`, mean, 1 / standard deviation).

    affine   the shape in which weight and bias meet the input; each may be None
    fixed    the statistics, if they are given
    """
    C, machine, x = computing_type(input.dtype), input.machine, contiguous(input)
    n, groups, inner = as_groups(split, dims)
    kept = tuple([1 if d in dims else size for d, size in enumerate(split)])
    if fixed is not None:
        mean, rstd = map(contiguous, fixed)
    else:
        mean, rstd = (empty(machine, kept, C.numpy) if x.size else full(machine, kept, np.nan, C.numpy)
                      for _ in range(2))
    out = empty(machine, input.shape, input.dtype)
    if x.size:
        weight, bias = (None if w is None else contiguous(w) for w in (weight, bias))
        def make(threads):
            return normalize_kernel(C, threads, weight is not None, bias is not None, fixed is not None)
        launch(machine, make, n, groups, x, x if weight is None else weight, x if bias is None else bias, out, mean,
               rstd, n, groups, inner, *as_weights(input.shape, affine), C(eps))
    return out, mean, rstd


def gradients(g, input, weight, wants, *, dims, eps, split, affine, mean, rstd, fixed):
    """The gradients of input, weight and bias, or None for those that are not wanted."""
    C, machine, g, x = computing_type(input.dtype), input.machine, contiguous(g), contiguous(input)
    n, groups, inner = as_groups(split, dims)
    weights, run = as_weights(input.shape, affine)
    g_input = g_weight = g_bias = None
    if wants[0]:
        g_input = empty(machine, input.shape, input.dtype)
        if x.size:
            scale = x if weight is None else contiguous(weight)
            def make(threads):
                return backward_kernel(C, threads, weight is not None, fixed is not None)
            launch(machine, make, n, groups, g, x, scale, g_input, mean, rstd, n, groups, inner, weights, run)
    if wants[1]:
        terms = empty(machine, input.shape, C.numpy)
        if x.size:
            block = min(BLOCK, ceil_div(x.size, 32) * 32)
            terms_kernel(C)[ceil_div(x.size, block), block](g, x, terms, mean, rstd, groups, inner, x.size)
        g_weight = per_weight(terms, weights, run)
    if wants[2]:
        g_bias = per_weight(g, weights, run)
    return g_input, g_weight, g_bias


def per_weight(terms, weights, run):
    """The sums of the elements that share a weight: one a weight, in a row."""
    apart = terms.view((terms.size // (weights * run) if terms.size else 0, weights, run))
    return reduce.run(plus, 0, name="sum", array=apart, dims=(0, 2), keepdim=False, dtype=terms.dtype)


plus = lambda a, b: a + b


def cases():
    """(name, kernel, arguments) for the checker of compiled code."""
    from .check import ptr
    for C in (float32, float64):
        p = ptr(C.name)
        for threads in (1, BLOCK):
            for given in (False, True):
                yield (f"normalize.normalize {threads}", normalize_kernel(C, threads, True, True, given),
                       (p, p, p, p, p, p, 99, 9, 99, 99, 1, C(1)))
                yield (f"normalize.backward {threads}", backward_kernel(C, threads, True, given),
                       (p, p, p, p, p, p, 99, 9, 99, 99, 1))
        yield "normalize.terms", terms_kernel(C), (p, p, p, p, p, 9, 99, 891)


def main():
    """One thread a group, a warp and a block against the specification."""
    from . import lesson, memory
    from .array import from_numpy
    machine, rng = memory.default(), np.random.default_rng(0)
    for rows, n in ((3, 1), (5, 37), (2, 300)):
        hosts = [rng.standard_normal(shape).astype(np.float32) for shape in ((rows, n), (n,), (n,), (rows, n))]
        x, weight, bias, g = [from_numpy(machine, host) for host in hosts]
        right = spec(*[host.astype(np.float64) for host in hosts[:3]], 1e-5)
        for threads in (1, 32, BLOCK):
            out, mean, rstd = (empty(machine, shape, np.float32) for shape in ((rows, n), (rows,), (rows,)))
            normalize_kernel(float32, threads, True, True, False)[rows, threads](
                x, weight, bias, out, mean, rstd, n, rows, n, n, 1, float32(1e-5))
            lesson.check(f"normalize ({rows}, {n}), {threads} threads", out, right, 1e-5)
        found = gradients(g, x, weight, (True, True, True), dims=(1,), eps=1e-5, split=(rows, n), affine=(n,),
                          mean=mean, rstd=rstd, fixed=None)
        right = spec_backward(*[hosts[i].astype(np.float64) for i in (3, 0, 1)], 1e-5)
        lesson.check(f"gradients ({rows}, {n})", found, right, 2e-5)


if __name__ == "__main__":
    main()
