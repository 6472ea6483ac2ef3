"""Losses: a number for each element, or for each row of log-probabilities, then their sum or mean.

    total = 0
    for i in range(n):
        total += distance(input[i], target[i])
    loss = total / n

The distances are functions of numbers, compiled into elementwise.py's kernels; reduce.py adds up what they write, in a
fixed order. A loss of class indices looks up one number in each row:

    pick        a thread a target reads input[row, target]          reads 2, writes 1, whatever the number of classes
    unpick      its gradient: a thread an element asks whether       writes 1, and nobody writes where another one does;
                the target is its own class                          no zeros have to be written first

A target that is no class is found before anything is computed. It knows no gradients' formulas but that one.
"""
from __future__ import annotations

import functools
import math

import numpy as np

from . import elementwise, reduce
from .array import Array, ceil_div, empty
from .elementwise import contiguous
from .lift import computing_type
from .provider import cuda, float32, float64


# ---- the specification
def spec_nll(input, target, weight):
    """The mean of -input[i, target[i]], weighted by class, in numpy."""
    scale = weight[target]
    return (-input[np.arange(len(target)), target] * scale).sum() / scale.sum()


# ---- distances, as one thread computes them
squared = lambda x, t: (x - t) * (x - t)


def smooth_l1_distance(x, t, *, beta):
    far = abs(x - t)
    near = beta if far > beta else far              # nan stays
    return near * (far - 0.5 * near) / beta


def huber_distance(x, t, *, delta):
    far = abs(x - t)
    near = delta if far > delta else far
    return near * (far - 0.5 * near)


def cross_entropy_of_two(x, t):
    absent = math.log1p(-x)
    present = math.log(x)
    return (t - 1) * (-100 if absent < -100 else absent) - t * (-100 if present < -100 else present)


def with_logits(x, t):
    low = x if x < 0 else x * 0                     # log(sigmoid(x)) without overflow
    return (1 - t) * x - (low - math.log1p(math.exp(-abs(x))))


def with_weighted_logits(x, t, positive):
    low = x if x < 0 else x * 0
    return (1 - t) * x - ((positive - 1) * t + 1) * (low - math.log1p(math.exp(-abs(x))))


product = lambda a, b: a * b
plus = lambda a, b: a + b
average = lambda total, count: total / count
quotient = lambda a, b: a / b


# ---- the kernels. Input is (N, classes, inner), target (N, inner)
@functools.lru_cache(None)
def pick_kernel(C, weighted):
    """A thread a target: its loss, and how much it counts."""
    ZERO, ONE = C(0), C(1)

    @cuda.jit
    def pick(input, target, weight, o, scale, classes, inner, ignored, total):
        i = cuda.grid(1)
        if i < total:
            k = int(target[i])
            counts = ZERO
            loss = ZERO
            if k != ignored:
                counts = C(weight[k]) if weighted else ONE
                if counts != ZERO:                  # what does not count may be infinite
                    loss = -C(input[(i // inner * classes + k) * inner + i % inner]) * counts
            o[i] = loss
            scale[i] = counts
    return pick


@functools.lru_cache(None)
def count_kernel(C, weighted):
    """How much each target counts: what `pick` writes beside the losses."""
    ZERO, ONE = C(0), C(1)

    @cuda.jit
    def count(target, weight, scale, ignored, total):
        i = cuda.grid(1)
        if i < total:
            k = int(target[i])
            counts = ZERO
            if k != ignored:
                counts = C(weight[k]) if weighted else ONE
            scale[i] = counts
    return count


@functools.lru_cache(None)
def unpick_kernel(C, weighted, each, mean):
    """A thread an element of the gradient. each: every target has a g of its own; mean: divided by counted[0]."""
    ZERO, ONE = C(0), C(1)

    @cuda.jit
    def unpick(g, target, weight, counted, o, classes, inner, ignored, total):
        i = cuda.grid(1)
        if i < total:
            row = i // (classes * inner) * inner + i % inner
            k = int(target[row])
            found = ZERO
            if k != ignored and k == i // inner % classes:
                counts = C(weight[k]) if weighted else ONE
                if mean:
                    counts = counts / C(counted[0])
                found = -C(g[row if each else 0]) * counts
            o[i] = found
    return unpick


# ---- what the library calls: losses of elements
def distances(function, name, operands, params, reduction, weight=None):
    """The function of every element of the arrays, which are of one dtype; the sum, the mean, or each."""
    arrays = [*operands, *[w for w in (weight,) if w is not None]]
    dtype, shape = arrays[0].dtype, np.broadcast_shapes(*[a.shape for a in arrays])
    C = computing_type(dtype).numpy
    kind = dtype if reduction == "none" else C      # of what is to be added up nothing is rounded away
    values = elementwise.run(function, name, operands, params, np.broadcast_shapes(*[a.shape for a in operands]),
                             kind if weight is None else C)
    if weight is not None:
        values = elementwise.run(product, "product", [values, weight], {}, shape, kind, C)
    return values if reduction == "none" else added(values, reduction == "mean", dtype)


def added(values, mean, dtype):
    """The sum or the mean of everything."""
    return reduce.run(plus, 0, average if mean else None, name="loss", array=values, dims=tuple(range(values.ndim)),
                      keepdim=False, dtype=dtype)


def mse(input, target, *, reduction, factor=None):
    return distances(squared, "mse", [input, target], {}, reduction)


def smooth_l1(input, target, *, reduction, beta, factor=None):
    return distances(smooth_l1_distance, "smooth_l1", [input, target], {"beta": beta}, reduction)


def huber(input, target, *, reduction, delta, factor=None):
    return distances(huber_distance, "huber", [input, target], {"delta": delta}, reduction)


def binary_cross_entropy(input, target, weight, *, reduction, factor=None):
    return distances(cross_entropy_of_two, "binary_cross_entropy", [input, target], {}, reduction, weight)


def binary_cross_entropy_with_logits(input, target, weight, pos_weight, *, reduction, factor=None):
    if pos_weight is None:
        return distances(with_logits, "with_logits", [input, target], {}, reduction, weight)
    return distances(with_weighted_logits, "with_weighted_logits", [input, target, pos_weight], {}, reduction, weight)


# ---- losses of classes
def as_classes(shape):
    """(classes, inner) of an input (C), (N, C) or (N, C, positions ...)."""
    return (shape[0], 1) if len(shape) == 1 else (shape[1], math.prod(shape[2:]))


def check_targets(target, classes, ignored):
    """An IndexError that names the first target that is no class. On a GPU one number comes back to the host."""
    if not target.size:
        return
    if not target.machine.simulated:
        wrong = elementwise.run(wrong_class, "wrong_class", [target], {"classes": classes, "ignored": ignored},
                                target.shape, np.dtype(np.int64), np.dtype(np.int64))
        if not added(wrong, False, wrong.dtype).numpy():
            return
    host = target.numpy().astype(np.int64)
    bad = host[((host < 0) | (host >= classes)) & (host != ignored)]
    if bad.size:
        raise IndexError(f"Target {bad.flat[0]} is out of bounds.")


wrong_class = lambda t, *, classes, ignored: 1 if (t < 0 or t >= classes) and t != ignored else 0


def picked(input, target, weight, ignored):
    """(the loss of each target, how much each counts), in the computing type."""
    C, (classes, inner) = computing_type(input.dtype), as_classes(input.shape)
    check_targets(target, classes, ignored)
    values, scale = (empty(target.machine, target.shape, C.numpy) for _ in range(2))
    if values.size:
        launch(pick_kernel(C, weight is not None), values.size, input, target, input if weight is None else weight,
               values, scale, classes, inner, ignored, values.size)
    return values, scale


def launch(kernel, count, *args):
    block = elementwise.block(count)
    args = [contiguous(a) if a.__class__ is Array else a for a in args]
    kernel[ceil_div(count, block), block](*args)


def nll(input, target, weight, *, reduction, ignore_index):
    """-weight[target] * input[..., target, ...], then the reduction: a mean is over what counts."""
    values, scale = picked(input, target, weight, ignore_index)
    if reduction == "none":
        return elementwise.cast(values, input.dtype)
    total = added(values, False, values.dtype)
    if reduction == "mean":
        return elementwise.run(quotient, "quotient", [total, added(scale, False, scale.dtype)], {}, (), input.dtype)
    return elementwise.cast(total, input.dtype)


def nll_backward(g, target, weight, *, size, reduction, ignore_index):
    """Zeros of `size`, with -g * weight[target] where the target looks; of a mean, divided by what counts."""
    C, machine, (classes, inner) = computing_type(g.dtype), g.machine, as_classes(size)
    check_targets(target, classes, ignore_index)
    out = empty(machine, size, g.dtype)
    if not out.size:
        return out
    counted = g
    if reduction == "mean":
        scale, weights = empty(machine, target.shape, C.numpy), g if weight is None else weight
        launch(count_kernel(C, weight is not None), target.size, target, weights, scale, ignore_index, target.size)
        counted = added(scale, False, C.numpy)
    made = unpick_kernel(C, weight is not None, reduction == "none", reduction == "mean")
    launch(made, out.size, g, target, g if weight is None else weight, counted, out, classes, inner, ignore_index,
           out.size)
    return out


def cases():
    """(name, kernel, arguments) for the checker of compiled code."""
    from .check import ptr
    for C in (float32, float64):
        p, q = ptr(C.name), ptr("int64")
        for weighted in (False, True):
            yield "loss.pick", pick_kernel(C, weighted), (p, q, p, p, p, 9, 1, -100, 99)
            yield "loss.count", count_kernel(C, weighted), (q, p, p, -100, 99)
            yield "loss.unpick", unpick_kernel(C, weighted, False, True), (p, q, p, p, p, 9, 1, -100, 891)


def main():
    """Against the specification."""
    from . import lesson, memory
    from .array import from_numpy
    machine, rng = memory.default(), np.random.default_rng(0)
    for n, classes in ((1, 1), (37, 5)):
        hosts = rng.standard_normal((n, classes)), rng.integers(0, classes, n), rng.random(classes)
        x, target, weight = [from_numpy(machine, host) for host in hosts]
        mean = nll(x, target, weight, reduction="mean", ignore_index=-100)
        lesson.check(f"nll ({n}, {classes})", mean, spec_nll(*hosts), 1e-12)
        other = from_numpy(machine, hosts[0] + 1)
        lesson.check(f"mse ({n}, {classes})", mse(x, other, reduction="sum"), np.array(float(n * classes)), 1e-12)


if __name__ == "__main__":
    main()
