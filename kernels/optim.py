"""Optimizers: SGD and Adam, all parameters of a model in one launch.

    for k in range(number of parameters):
        for i in range(size of parameter k):
            change p[k][i], and what is remembered about it, by the rule of one number

They know no model and no learning-rate schedule: tables of arrays come in, and the numbers of the rule. In order of
ideas, with the cost of Adam for a parameter of n float32:

    op by op    each operation of the rule is a launch          12 launches, about 30 n numbers moved
    fused       the whole rule on one number, by one thread     1 launch, 7 n: reads p g m v, writes p m v
    together    a table of pointers instead of a pointer        1 launch for all parameters

A model of 100 parameters waits for 1,200 launches in the first version and for one in the last; half of them are
biases, which cost a launch each for next to no work. What each block does stands in a list of entries (parameter,
piece), so that a parameter of ten million numbers gets many blocks and a bias one, and no block is idle. The list
depends on sizes only: it is sent to the GPU once.
"""
from __future__ import annotations

import functools
import math

import numpy as np

from .array import Array, ceil_div, from_numpy
from .provider import cuda, float32, float64

THREADS, PIECE = 256, 2048                          # of a block: threads, and numbers that they change
TABLES = (1, 4, 16)                                 # lengths of tables on the simulator: each compiles anew


# ---- the specification: the rules on numpy arrays, in place
def spec_sgd(p, g, b, *, lr, momentum=0, gain=1, decay=0, nesterov=False, maximize=False):
    """b, the running sum of gradients, is None where momentum is 0; gain is how much of a new gradient enters it."""
    g = (-g if maximize else g) + decay * p
    if b is not None:
        b[:] = momentum * b + gain * g
        g = g + momentum * b if nesterov else b
    p -= lr * g


def spec_adam(p, g, m, v, top, *, step_size, beta1, beta2, root2, eps, decay=0, shrink=1, maximize=False):
    """m and v are running means of g and g ** 2; top, the largest v so far, is None unless that is wanted (amsgrad).

    step_size is lr / (1 - beta1 ** step), and root2 is sqrt(1 - beta2 ** step): the means started at 0, and this
    corrects for it. shrink is 1 - lr * weight_decay in AdamW.
    """
    p *= shrink
    g = (-g if maximize else g) + decay * p
    m[:] = beta1 * m + (1 - beta1) * g
    v[:] = beta2 * v + (1 - beta2) * g * g
    if top is not None:
        np.maximum(top, v, out=top)
    p -= step_size * (m / (np.sqrt(v if top is None else top) / root2 + eps))


# ---- fused: one parameter a launch. The numbers of a rule come in the arrays' type: nothing is computed in another
@cuda.jit
def sgd_of_one(p, g, n, lr, decay, sign):
    i = cuda.grid(1)
    if i < n:
        x = p[i]
        p[i] = x - lr * (sign * g[i] + decay * x)


@cuda.jit
def adam_of_one(p, g, m, v, n, step_size, beta1, rest1, beta2, rest2, root2, eps):
    i = cuda.grid(1)
    if i < n:
        d = g[i]
        mean = beta1 * m[i] + rest1 * d
        square = beta2 * v[i] + rest2 * d * d
        m[i] = mean
        v[i] = square
        p[i] = p[i] - step_size * (mean / (math.sqrt(square) / root2 + eps))


# ---- together: P = p[k] is the pointer of parameter k, and work[2 * b], work[2 * b + 1] are what block b is to do
@cuda.jit
def sgd_of_all(p, g, work, sizes, piece, lr, decay, sign):
    k = work[2 * cuda.blockIdx.x]
    start = work[2 * cuda.blockIdx.x + 1] * piece
    P = p[k]
    G = g[k]
    for i in range(start + cuda.threadIdx.x, min(start + piece, sizes[k]), cuda.blockDim.x):
        x = P[i]
        P[i] = x - lr * (sign * G[i] + decay * x)


@cuda.jit
def momentum_of_all(p, g, b, work, sizes, piece, lr, momentum, gain, nesterov, decay, sign):
    k = work[2 * cuda.blockIdx.x]
    start = work[2 * cuda.blockIdx.x + 1] * piece
    P = p[k]
    G = g[k]
    B = b[k]
    for i in range(start + cuda.threadIdx.x, min(start + piece, sizes[k]), cuda.blockDim.x):
        x = P[i]
        d = sign * G[i] + decay * x
        total = momentum * B[i] + gain * d
        B[i] = total
        if nesterov:                                # where the sum will have led after one more step
            total = d + momentum * total
        P[i] = x - lr * total


@cuda.jit
def adam_of_all(p, g, m, v, tops, work, sizes, piece, step_size, beta1, rest1, beta2, rest2, root2, eps, decay, shrink,
                sign, amsgrad):
    k = work[2 * cuda.blockIdx.x]
    start = work[2 * cuda.blockIdx.x + 1] * piece
    P = p[k]
    G = g[k]
    M = m[k]
    V = v[k]
    Top = tops[k]
    for i in range(start + cuda.threadIdx.x, min(start + piece, sizes[k]), cuda.blockDim.x):
        x = P[i] * shrink
        d = sign * G[i] + decay * x
        mean = beta1 * M[i] + rest1 * d
        square = beta2 * V[i] + rest2 * d * d
        M[i] = mean
        V[i] = square
        if amsgrad:
            largest = Top[i]
            if not square <= largest:               # nan counts as larger
                largest = square
            Top[i] = largest
            square = largest
        P[i] = x - step_size * (mean / (math.sqrt(square) / root2 + eps))


# ---- what each block is to do
@functools.lru_cache(256)
def work_list(machine, sizes, piece):
    """(parameter, piece) of every block, the sizes, and the number of blocks: on the machine, sent once."""
    pairs = [(k, at) for k, size in enumerate(sizes) for at in range(ceil_div(size, piece))]
    small = np.int32 if max(sizes) < 2 ** 31 else np.int64
    work = np.array(pairs, small).reshape(-1)
    return from_numpy(machine, work), from_numpy(machine, np.array(sizes, small)), len(pairs)


def together(kernel, tables, numbers):
    """Launch over all parameters. On the simulator tables are cut to a few lengths, as each length compiles anew."""
    count = len(tables[0])
    if not tables[0][0].machine.simulated:
        return launch(kernel, tables, numbers, count)
    most = TABLES[-1]
    for first in range(0, count, most):
        part = [table[first:first + most] for table in tables]
        length = next(n for n in TABLES if n >= len(part[0]))
        launch(kernel, part, numbers, length)


def launch(kernel, tables, numbers, length):
    """One launch; tables are filled up to `length` with pointers that no block follows."""
    arrays = tables[0]
    machine, sizes = arrays[0].machine, tuple([a.size for a in arrays])
    threads, piece = shape_of_block(machine, max(sizes))
    work, sizes, blocks = work_list(machine, sizes, piece)
    if blocks:
        tables = [tuple(table) + (table[0],) * (length - len(table)) for table in tables]
        kernel[blocks, threads](*tables, work, sizes, piece, *numbers)


def shape_of_block(machine, largest):
    """(threads, numbers) of a block. Simulated threads take turns: one number each."""
    if machine.simulated:
        threads = 64 if largest > 32 else 32
        return threads, threads
    return THREADS, PIECE


# ---- what the library calls
def sgd(params, grads, sums=None, *, lr, momentum=0, gain=1, decay=0, nesterov=False, maximize=False):
    """Change params by their grads, in place; with `sums`, by running sums of gradients (see spec_sgd).

    All are sequences of Arrays of one floating type; those of one parameter lie in the same order in memory, without
    gaps.
    """
    number = params[0].dtype.type
    tables = [list(map(flat, arrays)) for arrays in (params, grads, sums) if arrays is not None]
    sign = -1 if maximize else 1
    if sums is None:
        together(sgd_of_all, tables, tuple(map(number, (lr, decay, sign))))
    else:
        lr, momentum, gain, decay, sign = map(number, (lr, momentum, gain, decay, sign))
        together(momentum_of_all, tables, (lr, momentum, gain, bool(nesterov), decay, sign))


def adam(params, grads, means, squares, tops=None, *, step_size, beta1, beta2, root2, eps, decay=0, shrink=1,
         maximize=False):
    """Change params by their grads, in place, and the running means with them (see spec_adam); arrays as for sgd."""
    numbers = step_size, beta1, 1 - beta1, beta2, 1 - beta2, root2, eps, decay, shrink, -1 if maximize else 1
    tables = [list(map(flat, arrays)) for arrays in (params, grads, means, squares, tops or squares)]
    together(adam_of_all, tables, (*map(params[0].dtype.type, numbers), tops is not None))


def flat(a):
    """The numbers of an array without gaps, in their order in memory."""
    return a if a.ndim == 1 and a.strides[0] == 1 else Array(a.buffer, (a.size,), (1,), a.offset, a.dtype)


# ---- for the checker of machine code
def cases():
    """(name, kernel, arguments) of every kernel here."""
    from .check import ptr, table
    for T in (float32, float64):
        p, many, x, work = ptr(T.name), table(T.name), T.numpy.type(1), ptr("int32")
        yield f"sgd of one {T}", sgd_of_one, (p, p, 1, x, x, x)
        yield f"adam of one {T}", adam_of_one, (p, p, p, p, 1, *[x] * 7)
        yield f"sgd of all {T}", sgd_of_all, (many, many, work, work, 1, x, x, x)
        yield f"momentum of all {T}", momentum_of_all, (many, many, many, work, work, 1, x, x, x, True, x, x)
        yield f"adam of all {T}", adam_of_all, (*[many] * 5, work, work, 1, *[x] * 10, True)


# ---- run me: python -m tinygrad_edu.kernels.optim
def drawn(machine, sizes, dtype, seed):
    """Per parameter p, g, and three arrays that are not negative; on the machine and as numpy arrays."""
    random = np.random.default_rng(seed)
    host = [[random.standard_normal(n).astype(dtype) for n in sizes] for _ in range(5)]
    for arrays in host[2:]:
        arrays[:] = map(np.abs, arrays)
    return [[from_numpy(machine, a) for a in arrays] for arrays in host], host


def differences(mine, right):
    """The largest relative difference between arrays of numbers of either kind."""
    return max([np.max(np.abs(a.numpy() - b) / (1 + np.abs(b)), initial=0) for a, b in zip(mine, right, strict=True)])


def check(machine, sizes=(1, 33, 0, 7, 2500), dtype=np.float32):
    """(name, largest difference from the specification) of every version."""
    number = np.dtype(dtype).type
    rule = {"step_size": 0.05, "beta1": 0.9, "beta2": 0.99, "root2": 0.3, "eps": 1e-8}
    for options in ({}, {"decay": 0.1, "maximize": True}):
        arrays, host = drawn(machine, sizes, dtype, 0)
        sgd(*arrays[:2], lr=0.1, **options)
        for p, g in zip(*host[:2]):
            spec_sgd(p, g, None, lr=0.1, **options)
        yield f"sgd {options}", differences(arrays[0], host[0])
        for more in ({"gain": 0.8}, {"nesterov": True}):
            arrays, host = drawn(machine, sizes, dtype, 1)
            sgd(*arrays[:3], lr=0.1, momentum=0.9, **options, **more)
            for p, g, b in zip(*host[:3]):
                spec_sgd(p, g, b, lr=0.1, momentum=0.9, **options, **more)
            yield f"momentum {options | more}", differences(arrays[0] + arrays[2], host[0] + host[2])
        for tops in (False, True):
            arrays, host = drawn(machine, sizes, dtype, 2)
            adam(*arrays[:4 + tops], shrink=0.99, **rule, **options)
            for p, g, m, v, top in zip(*host):
                spec_adam(p, g, m, v, top if tops else None, shrink=0.99, **rule, **options)
            yield f"adam {options}{', amsgrad' * tops}", differences(sum(arrays, []), sum(host, []))
    arrays, host = drawn(machine, sizes, dtype, 3)
    for k, n in enumerate(sizes):
        if n:
            p, g, m, v, _ = [a[k] for a in arrays]
            sgd_of_one[ceil_div(n, 128), 128](p, g, n, number(0.1), number(0), number(1))
            numbers = map(number, (0.05, 0.9, 1 - 0.9, 0.99, 1 - 0.99, 0.3, 1e-8))
            adam_of_one[ceil_div(n, 128), 128](p, g, m, v, n, *numbers)
            p, g, m, v, _ = [a[k] for a in host]
            spec_sgd(p, g, None, lr=0.1)
            spec_adam(p, g, m, v, None, **rule)
    yield "one by one", differences(sum(arrays[:4], []), sum(host[:4], []))


def measure(machine):
    """Adam on the parameters of a small GPT: microseconds on a GPU, launches and blocks in the simulator."""
    sizes = [65 * 384, 256 * 384, *[384, 384, 3 * 384 * 384, 3 * 384, 384 * 384, 384, 4 * 384 * 384] * 6]
    if machine.simulated:
        sizes = [n // 64 for n in sizes]
    arrays, _ = drawn(machine, sizes, np.float32, 4)
    rule = {"step_size": 1e-3, "beta1": 0.9, "beta2": 0.99, "root2": 0.3, "eps": 1e-8}
    before = machine.launches
    adam(*arrays[:4], **rule)
    print(f"{len(sizes)} parameters, {sum(sizes):,} numbers: {machine.launches - before} launches")
    if machine.simulated:
        return
    machine.synchronize()
    import time
    start = time.perf_counter()
    for _ in range(100):
        adam(*arrays[:4], **rule)
    machine.synchronize()
    seconds = (time.perf_counter() - start) / 100
    print(f"{1e6 * seconds:.0f} us a step, {28 * sum(sizes) / seconds / 1e9:.0f} GB/s")


def main():
    from .memory import default
    machine = default()
    for dtype, most in ((np.float32, 1e-6), (np.float64, 1e-14)):
        for name, difference in check(machine, dtype=dtype):
            assert difference <= most, f"{name} of {np.dtype(dtype)} is off by {difference}"
            print(f"{np.dtype(dtype)} {name:<60} differs by {difference:.1e}")
    measure(machine)


if __name__ == "__main__":
    main()
