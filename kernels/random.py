"""Random numbers on a GPU: Philox 4x32-10, which makes four 32-bit words of a key and a counter, and remembers nothing.

    word[i] = scramble(counter of i, seed)

A generator with a state gives its numbers one after the other; ten thousand threads would queue for it. Philox has no
state: a thread computes the words of any place at once, and a seed with an offset says all there is to know about a
stream. So a GPU and the simulator give the same words, and dropout needs no memory for what it dropped: backward draws
the same numbers again. In order of ideas:

    philox     ten rounds of multiplying 32 x 32 bits, keeping both halves          20 multiplications for four words
    fill       a thread a call, whose four words become four numbers                writes 1 per number, reads nothing
    dropout    drawn where they are used: no mask is ever written                   reads 1, writes 1

Which thread draws which number is cuRAND's and torch's way on an H100: with the same seed uniforms and integers are
torch's digits there, and normals are to rounding. It knows no tensor, and does not know where seeds come from.
"""
from __future__ import annotations

import functools
import math

import numpy as np

from . import elementwise, sort
from .array import ceil_div, empty
from .elementwise import contiguous
from .lift import computing_type
from .provider import cuda, float32, float64, int64, jit, type_of, uint64

THREADS = 256                                       # of a block, in the counting of threads
BLOCKS = 1056                                       # as many as an H100 runs at once: 132 processors, 8 blocks each
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
STEPS = 0x9E3779B9, 0xBB67AE85                      # the golden ratio and sqrt(3) - 1, as 32-bit fractions


# ---- the specification
def spec(counters, seed):
    """Philox in numpy: counters (n, 4) of 32 bits and a 64-bit seed make words (n, 4)."""
    x0, x1, x2, x3 = np.asarray(counters, np.uint64).reshape(-1, 4).T
    low, half = np.uint64(0xffffffff), np.uint64(32)
    for r in range(10):
        k0, k1 = [np.uint64((key + r * step) % 2 ** 32) for key, step in zip((seed % 2 ** 32, seed >> 32), STEPS)]
        p, q = np.uint64(MULTIPLIERS[0]) * x0, np.uint64(MULTIPLIERS[1]) * x2
        x0, x1, x2, x3 = (q >> half) ^ x1 ^ k0, q & low, (p >> half) ^ x3 ^ k1, p & low
    return np.stack([x0, x1, x2, x3], 1)


def spec_words(count, key, per_call=4):
    """The words of `count` numbers, (count, 4 // per_call), as `fill` hands them out."""
    seed, offset = key
    i, stride = np.arange(count, dtype=np.uint64), width(count)
    thread, turn = i % np.uint64(stride), i // np.uint64(stride)
    at = np.uint64(offset // 4) + turn // np.uint64(per_call)
    counters = np.stack([at & np.uint64(0xffffffff), at >> np.uint64(32), thread, np.zeros_like(i)], 1)
    return spec(counters, seed).reshape(count, per_call, -1)[np.arange(count), turn % np.uint64(per_call)]


def spec_uniform(count, key):
    """float32 numbers in [0, 1)."""
    u = spec_words(count, key)[:, 0].astype(np.float32) * np.float32(2 ** -32) + np.float32(2 ** -33)
    return np.where(u == 1, np.float32(0), u)


# ---- the counter
def width(count):
    """How many threads draw `count` numbers: thread t draws the numbers t, t + width, t + 2 * width ..."""
    return min(BLOCKS, ceil_div(max(count, 1), THREADS)) * THREADS


def used(count, per_call):
    """By how much drawing `count` numbers, so many a call, moves the offset: four for each call of a thread."""
    return ceil_div(max(count, 1), width(count) * per_call) * 4


M0, M1 = map(np.uint64, MULTIPLIERS)
W0, W1 = map(np.uint64, STEPS)
LOW, HALF = np.uint64(0xffffffff), np.uint64(32)    # 32-bit words in 64-bit variables: products keep both halves
NOTHING = np.uint64(0)


@cuda.jit(device=True)
def philox(x0, x1, x2, x3, k0, k1):
    """Four words from a counter of four words and a key of two, all in uint64."""
    for _ in range(10):
        p = M0 * x0
        q = M1 * x2
        x0 = (q >> HALF) ^ x1 ^ k0
        x1 = q & LOW
        x2 = (p >> HALF) ^ x3 ^ k1
        x3 = p & LOW
        k0 = (k0 + W0) & LOW
        k1 = (k1 + W1) & LOW
    return x0, x1, x2, x3


# ---- the kernels
def fill4(numbers):
    """Four numbers a call: numbers(x0, x1, x2, x3, s) makes them of the words."""
    def fill(o, n, stride, counter, k0, k1, s):
        t = cuda.grid(1)
        if t < stride:
            i = t
            at = counter
            while i < n:
                x0, x1, x2, x3 = philox(at & LOW, at >> HALF, uint64(t), NOTHING, k0, k1)
                a, b, c, d = numbers(x0, x1, x2, x3, s)
                o[i] = a
                if i + stride < n:
                    o[i + stride] = b
                if i + 2 * stride < n:
                    o[i + 2 * stride] = c
                if i + 3 * stride < n:
                    o[i + 3 * stride] = d
                i += 4 * stride
                at = at + uint64(1)
    return fill


def fill2(numbers):
    """Two numbers a call, of 64 bits each."""
    def fill(o, n, stride, counter, k0, k1, s):
        t = cuda.grid(1)
        if t < stride:
            i = t
            at = counter
            while i < n:
                x0, x1, x2, x3 = philox(at & LOW, at >> HALF, uint64(t), NOTHING, k0, k1)
                a, b = numbers(x0, x1, x2, x3, s)
                o[i] = a
                if i + stride < n:
                    o[i + stride] = b
                i += 2 * stride
                at = at + uint64(1)
    return fill


def dropout_kernel(C, unit):
    """Four neighbours a call; the numbers are used and forgotten."""
    ZERO = C(0)

    def dropout(a, o, n, stride, counter, k0, k1, s):
        t = cuda.grid(1)
        keep = s[0]
        scale = s[1]
        i = t * 4
        at = counter
        while i < n:
            x0, x1, x2, x3 = philox(at & LOW, at >> HALF, uint64(t), NOTHING, k0, k1)
            o[i] = C(a[i]) * scale if unit(x0) < keep else ZERO
            if i + 1 < n:
                o[i + 1] = C(a[i + 1]) * scale if unit(x1) < keep else ZERO
            if i + 2 < n:
                o[i + 2] = C(a[i + 2]) * scale if unit(x2) < keep else ZERO
            if i + 3 < n:
                o[i + 3] = C(a[i + 3]) * scale if unit(x3) < keep else ZERO
            i += 4 * stride
            at = at + uint64(1)
    return dropout


# ---- what words become. C: the computing type
@functools.lru_cache(None)
def unit32(C):
    """(0, 1] of a 32-bit word; the half step keeps 0 out, which has no logarithm."""
    SCALE, HALF_STEP = C(2.0 ** -32), C(2.0 ** -33)

    @cuda.jit(device=True)
    def unit(x):
        return C(x) * SCALE + HALF_STEP
    return unit


@functools.lru_cache(None)
def unit53():
    """(0, 1] of two 32-bit words, in float64."""
    SCALE, HALF_STEP, SHIFT = np.float64(2.0 ** -53), np.float64(2.0 ** -54), np.uint64(21)

    @cuda.jit(device=True)
    def unit(x, y):
        return float64(x ^ (y << SHIFT)) * SCALE + HALF_STEP
    return unit


def each(C, value):
    """`numbers` that make one number of each uniform one: value(u, s)."""
    if C is float64:
        unit = unit53()

        @cuda.jit(device=True)
        def numbers(x0, x1, x2, x3, s):
            return value(unit(x0, x1), s), value(unit(x2, x3), s)
        return fill2(numbers)
    unit = unit32(C)

    @cuda.jit(device=True)
    def numbers(x0, x1, x2, x3, s):
        return value(unit(x0), s), value(unit(x1), s), value(unit(x2), s), value(unit(x3), s)
    return fill4(numbers)


@functools.lru_cache(None)
def uniform_kernel(C):
    ZERO, ONE = C(0), C(1)

    @cuda.jit(device=True)
    def between(u, s):
        low = s[0]
        v = (u if u < ONE else ZERO) * s[1] + low
        return v if v < s[2] else low               # what rounds to the end is none of [low, high)
    return jit(each(C, between))


@functools.lru_cache(None)
def bernoulli_kernel(C, T):
    @cuda.jit(device=True)
    def happens(u, s):
        return T(1) if u < s[0] else T(0)
    return jit(each(C, happens))


@functools.lru_cache(None)
def exponential_kernel(C):
    HALF_STEP = C(np.finfo(C.numpy).eps / 2)
    LAST = C(1) - HALF_STEP

    @cuda.jit(device=True)
    def waiting(u, s):
        return s[0] * (math.log(u) if u < LAST else -HALF_STEP)         # never 0
    return jit(each(C, waiting))


@functools.lru_cache(None)
def normal_kernel(C):
    """Box and Muller: a random direction and a distance whose square is exponential make two normal coordinates."""
    MINUS_TWO = C(-2)
    if C is float64:
        unit, TURN = unit53(), np.float64(2 * math.pi)

        @cuda.jit(device=True)
        def doubles(x0, x1, x2, x3, s):
            radius = math.sqrt(MINUS_TWO * math.log(unit(x0, x1)))
            angle = TURN * unit(x2, x3)
            return math.sin(angle) * radius * s[1] + s[0], math.cos(angle) * radius * s[1] + s[0]
        return jit(fill2(doubles))
    unit, SCALE, HALF_STEP = unit32(C), C(2 * math.pi / 2 ** 32), C(math.pi / 2 ** 32)

    @cuda.jit(device=True)
    def singles(x0, x1, x2, x3, s):
        near = math.sqrt(MINUS_TWO * math.log(unit(x0)))
        far = math.sqrt(MINUS_TWO * math.log(unit(x2)))
        v = C(x1) * SCALE + HALF_STEP
        w = C(x3) * SCALE + HALF_STEP
        return (math.sin(v) * near * s[1] + s[0], math.cos(v) * near * s[1] + s[0],
                math.sin(w) * far * s[1] + s[0], math.cos(w) * far * s[1] + s[0])
    return jit(fill4(singles))


@functools.lru_cache(None)
def integers_kernel(T, wide):
    """Remainders of words of 32 or 64 bits. s: how many integers there are (0: all of 64 bits), and the least."""
    S = computing_type(T.numpy) if T.numpy.kind not in "iub" else T

    @cuda.jit(device=True)
    def whole(x, s):
        r = x % s[0] if s[0] > NOTHING else x
        return S(int64(r) + s[1])
    if wide:
        @cuda.jit(device=True)
        def numbers(x0, x1, x2, x3, s):
            return whole((x0 << HALF) | x1, s), whole((x2 << HALF) | x3, s)
        return jit(fill2(numbers))

    @cuda.jit(device=True)
    def words(x0, x1, x2, x3, s):
        return whole(x0, s), whole(x1, s), whole(x2, s), whole(x3, s)
    return jit(fill4(words))


@functools.lru_cache(None)
def dropping_kernel(C):
    return jit(dropout_kernel(C, unit32(C)))


# ---- what the library calls
class Stream:
    """The random numbers of one machine, as flat Arrays of the dtype asked for.

    They are drawn with a counter: an object whose take(steps) gives (seed, offset) and moves on.
    """

    def __init__(self, machine, counter):
        self.machine, self.counter = machine, counter

    def draw(self, kernel, count, dtype, s, per_call):
        o = empty(self.machine, (count,), dtype)
        if count:
            launch(kernel, [o], count, self.counter.take(used(count, per_call)), s, min(count, width(count)))
        return o

    def uniform_between(self, count, low, high, dtype):
        """In [low, high)."""
        C, dtype = computing_type(np.dtype(dtype)), np.dtype(dtype)
        end = dtype.type(high)
        if dtype.itemsize == 2:                     # from the middle between neighbours on, numbers round to the end
            edge = (C(end) + C(np.nextafter(end, dtype.type(-np.inf)))) / C(2)
        else:
            edge = C(end)
        return self.draw(uniform_kernel(C), count, dtype, (C(low), C(high) - C(low), edge), per_call(C))

    def normal(self, count, mean, std, dtype, one_by_one=False):
        C = computing_type(np.dtype(dtype))
        return self.draw(normal_kernel(C), count, dtype, (C(mean), C(std)), per_call(C))

    def exponential(self, count, rate, dtype):
        """Waiting times of that rate."""
        C = computing_type(np.dtype(dtype))
        return self.draw(exponential_kernel(C), count, dtype, (C(-1) / C(rate),), per_call(C))

    def bernoulli(self, count, p, dtype):
        """1 with probability p, else 0."""
        dtype = np.dtype(dtype)
        C = float64 if dtype == np.float64 else float32
        T = computing_type(dtype) if dtype.kind not in "iub" else type_of(dtype)
        return self.draw(bernoulli_kernel(C, T), count, dtype, (C(p),), per_call(C))

    def integers(self, count, low, span, wide=None, dtype=np.int64):
        """Integers from low to low + span - 1; each of 64 bits (`wide`) if the span is 2**28 or more."""
        wide = span >= 2 ** 28 if wide is None else wide
        s = np.uint64(0 if span >= 2 ** 64 else span), np.int64(low)
        return self.draw(integers_kernel(type_of(dtype), wide), count, dtype, s, 2 if wide else 4)

    def key(self, count):
        """What draws the numbers for one `dropout` of so many elements, as often as it is used."""
        return self.counter.take(used(count, 4))

    def permutation(self, count):
        """0 ... count - 1 in random order: the order of as many 64-bit numbers."""
        return sort.argsort(self.integers(count, 0, 2 ** 64), dim=0, descending=False)


def per_call(C):
    return 2 if C is float64 else 4


def launch(kernel, arrays, count, key, s, threads):
    seed, offset = key
    block = elementwise.block(threads)
    kernel[ceil_div(threads, block), block](*arrays, count, width(count), np.uint64(offset // 4),
                                            np.uint64(seed & 0xffffffff), np.uint64(seed >> 32), s)


def bernoulli(p, *, stream):
    """1 with the probability that p says, else 0."""
    uniform = stream.uniform_between(p.size, 0, 1, np.float64 if p.dtype == np.float64 else np.float32)
    return elementwise.run(below, "below", [uniform.view(p.shape), p], {}, p.shape, p.dtype, uniform.dtype)


def normal(mean, std, *, stream, dtype):
    """Normal numbers, of which each (or all) has a mean and a standard deviation of its own."""
    arrays = [a for a in (mean, std) if a.__class__ is elementwise.Array]
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    standard = stream.normal(math.prod(shape), 0, 1, dtype.numpy).view(shape)
    return elementwise.run(scaled, "scaled", [standard, mean, std], {}, shape, dtype.numpy, dtype.numpy)


below = lambda u, p: 1.0 if u < p else 0.0
scaled = lambda z, mean, std: z * std + mean


def dropout(x, *, p, key):
    """Zero with probability p, else x / (1 - p). The same key drops the same elements."""
    x, o, C = contiguous(x), empty(x.machine, x.shape, x.dtype), computing_type(x.dtype)
    if x.size:
        threads = min(ceil_div(x.size, 4), width(x.size))
        launch(dropping_kernel(C), [x, o], x.size, key, (C(1 - p), C(1 / (1 - p))), threads)
    return o


def cases():
    """(name, kernel, arguments) for the checker of compiled code."""
    from .check import ptr
    key = 5, 256, np.uint64(1), np.uint64(2), np.uint64(3)
    for C in (float32, float64):
        for name, made, count in (("uniform", uniform_kernel, 3), ("normal", normal_kernel, 2),
                                  ("exponential", exponential_kernel, 1)):
            yield f"random.{name}", made(C), (ptr(C.name), *key, (C(1),) * count)
        yield "random.dropout", dropping_kernel(C), (ptr(C.name), ptr(C.name), *key, (C(1), C(1)))
        yield "random.bernoulli", bernoulli_kernel(C, C), (ptr(C.name), *key, (C(1),))
    for wide in (False, True):
        yield "random.integers", integers_kernel(int64, wide), (ptr("int64"), *key, (np.uint64(9), np.int64(1)))


def main():
    """Words against the specification, moments against mathematics."""
    from . import lesson, memory
    machine = memory.default()

    class Counter:
        offset = 0

        def take(self, steps):
            self.offset += steps
            return 1234567890123, self.offset - steps
    stream = Stream(machine, Counter())
    for count in (1, 255, 3000):
        key = 1234567890123, stream.counter.offset
        lesson.check(f"uniform {count}", stream.uniform_between(count, 0, 1, np.float32), spec_uniform(count, key), 0)
    z = stream.normal(3000, 0, 1, np.float32).numpy()
    lesson.check("normal: mean, variance", np.array([z.mean(), z.var()]), np.array([0.0, 1.0]), 0.1)
    x = elementwise.cast(stream.uniform_between(3000, 1, 2, np.float32), np.float32)
    once, again = (dropout(x, p=0.25, key=(3, 8)).numpy() for _ in range(2))
    lesson.check("dropout, twice", again, once, 0)
    lesson.check("dropout: kept", np.array([(once != 0).mean()]), np.array([0.75]), 0.05)


if __name__ == "__main__":
    main()
