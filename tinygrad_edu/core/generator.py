"""torch's CPU random numbers: the Mersenne Twister, and what torch makes of its 32-bit words. And CUDA's counter.

It hands out flat numpy arrays; it knows neither tensors nor where the numbers go. Uniforms, integers and permutations
are torch's bit for bit. So are normals in float32, which torch computes with polynomials and fused multiply-adds of its
own: they are followed here step by step. In float64 the last bit is the C library's.
"""
from __future__ import annotations

import math
import os
import threading
from array import array

import numpy as np

from ..backends.cpu import quiet

DEFAULT_SEED = 67280421310721
WORDS = 624                                        # of the twister's state
# torch's layout of a saved state: 5056 bytes
STATE = np.dtype([("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"), ("words", "<u8", WORDS),
                  ("x", "<f8"), ("normal", "<f8"), ("rho", "<f8"), ("has_normal", "<i4"), ("pad", "<i4"),
                  ("float_normal", "<f4"), ("has_float_normal", "<i4")])
f4, f8 = np.float32, np.float64


def entropy():
    """A seed nobody can foresee."""
    return int.from_bytes(os.urandom(8), "little")


class MT19937:
    """One stream of random numbers. Threads may share it: each call takes its numbers in one piece.

    `dtype`, a numpy dtype, says what the numbers are for; where torch draws the same for all, they come as drawn.
    """
    STATE = STATE

    def __init__(self, seed):
        self.lock = threading.RLock()
        self.seed(seed)

    def seed(self, seed):
        with self.lock:
            self.initial_seed = seed               # 64 bits, of which the twister takes the lower half
            self._twister = None                   # numpy.random is imported when the first number is drawn
            self._normal = None                    # the second of a pair of normals waits here
            self._fresh = True

    @property
    def twister(self):
        if self._twister is None:
            self._twister = np.random.RandomState(self.initial_seed & 0xffffffff)
        return self._twister

    # ---- its state, as torch writes it
    def state(self):
        """The state as bytes, which torch can read too."""
        with self.lock:
            found = self.twister.get_state(legacy=False)["state"]
            out, position = np.zeros((), STATE), found["pos"]
            out["seed"], out["seeded"], out["words"] = self.initial_seed, 1, found["key"]
            out["next"] = 0 if self._fresh else position
            out["left"] = WORDS + 1 - position     # torch counts down to the next 624 words
            if self._normal is not None:
                out["normal"], out["has_normal"] = self._normal, 1
            return np.frombuffer(out.tobytes(), np.uint8).copy()

    def set_state(self, data):
        """Go on from a saved state (`STATE.itemsize` bytes)."""
        found = np.frombuffer(data, STATE)[0]
        left, following = int(found["left"]), int(found["next"])
        if found["seeded"] != 1 or not 0 < left <= WORDS or following > WORDS:
            raise RuntimeError("Invalid mt19937 state")
        with self.lock:
            self.seed(int(found["seed"]))
            self.twister.set_state(("MT19937", found["words"].astype(np.uint32), WORDS + 1 - left))
            self._normal = float(found["normal"]) if found["has_normal"] else None
            self._fresh = following == 0

    # ---- integers
    def words(self, count):
        """That many 32-bit words."""
        with self.lock:
            if not count:
                return np.empty(0, np.uint32)      # numpy's twister would move
            self._fresh = False
            if count < 1000:                       # the same words, sooner
                return np.frombuffer(self.twister.bytes(4 * count), "<u4")
            return self.twister.randint(0, 2 ** 32, count, dtype=np.uint32)

    def double_words(self, count):
        """That many 64-bit words: each of two, the higher first."""
        pairs = self.words(2 * count).astype(np.uint64)
        return (pairs[::2] << np.uint64(32)) | pairs[1::2]

    def integers(self, count, low, span, wide=None, dtype=None):
        """Integers from low to low + span - 1, as int64; each from 64 bits (`wide`) if the span is 2**28 or more."""
        if span >= 2 ** 64:
            return self.double_words(count).view(np.int64)
        wide = span >= 2 ** 28 if wide is None else wide
        drawn = self.double_words(count) if wide else self.words(count).astype(np.uint64)
        return (drawn % np.uint64(span)).view(np.int64) + np.int64(low)

    def permutation(self, count):
        """0 ... count - 1 in random order: each place is exchanged with one at or behind it."""
        order = array("q", range(count))
        wide = count >= (2 ** 32 - 1) // 20        # where the remainder of 32 bits would be lopsided
        if count > 1:
            drawn = (self.double_words if wide else self.words)(count - 1)
            ahead = (drawn % np.arange(count, 1, -1).astype(drawn.dtype)).astype(np.int64)
            for here, there in enumerate((ahead + np.arange(count - 1)).tolist()):
                order[here], order[there] = order[there], order[here]
        return np.frombuffer(order, np.int64) if count else np.empty(0, np.int64)

    # ---- floats
    def uniform(self, count, kind=f4):
        """In [0, 1): 24 random bits for float32, 53 for float64."""
        if kind is f8:
            return (self.double_words(count) & np.uint64(2 ** 53 - 1)).astype(f8) * 2.0 ** -53
        return (self.words(count) & np.uint32(2 ** 24 - 1)).astype(f4) * f4(2.0 ** -24)

    def uniform_between(self, count, low, high, dtype):
        """In [low, high), scaled by one fused multiply-add as torch's build does."""
        kind = kind_of(dtype)
        drawn = self.uniform(count, kind)
        if low != 0 or high != 1:
            drawn = fused(drawn, kind(high) - kind(low), kind(low))
        drawn = drawn.astype(dtype, copy=False)
        if dtype.itemsize == 2 or low != 0 or high != 1:
            drawn[drawn == np.array(high, dtype)] = low        # rounded up to the end that does not belong
        return drawn

    def normal(self, count, mean, std, dtype, one_by_one=False):
        """Normal numbers; fewer than 16 (or for scattered places: `one_by_one`) are made in pairs of float64."""
        kind, narrow = kind_of(dtype), dtype.itemsize == 2     # for 16 bits torch does not draw what it soon draws anew
        with self.lock:
            if count < 16 or one_by_one:
                drawn = self._pairs(count)
                return drawn if mean == 0 and std == 1 else fused(drawn, f8(std), f8(mean))
            box_muller, tail = box_muller32 if kind is f4 else box_muller64, count % 16
            drawn = np.empty(count, kind)
            drawn[:count - tail] = self.uniform(count - tail, kind)
            with quiet():
                box_muller(drawn[:count - tail])
                if tail:                           # blocks have 16: the last one overlaps the one before it
                    if not narrow:
                        self.uniform(tail, kind)
                    drawn[-16:] = self.uniform(16, kind)
                    box_muller(drawn[-16:])
        return drawn if mean == 0 and std == 1 else fused(drawn, kind(std), kind(mean))

    def _pairs(self, count):
        """Pairs of normal numbers, the second of which may have to wait for the next call."""
        waiting = [] if self._normal is None or not count else [self._normal]
        u = self.uniform((count - len(waiting) + 1) // 2 * 2, f8)
        radius, angle = np.sqrt(-2 * np.log1p(-u[1::2])), 2 * np.pi * u[::2]
        made = np.concatenate([waiting, np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()])
        if count:
            self._normal = float(made[-1]) if len(made) > count else None
        return made[:count]

    def bernoulli(self, count, p, dtype=None):
        """True with probability p, as a float64 uniform below p would say."""
        return (self.double_words(count) & np.uint64(2 ** 53 - 1)) < np.uint64(math.ceil(p * 2 ** 53))

    def exponential(self, count, rate=1.0, dtype=None):
        """Waiting times of that rate, as float64."""
        with quiet():
            return np.float64(-1.0) / rate * np.log1p(-self.uniform(count, f8))


def kind_of(dtype):
    """The numpy type in which numbers for `dtype` are made."""
    return f8 if dtype == f8 else f4


# ---- CUDA's
class Philox:
    """CUDA's stream of random numbers: a seed and a counter. The numbers are made of both by the device's kernels."""
    STATE = np.dtype([("seed", "<u8"), ("offset", "<u8")])     # torch's layout of a saved state: 16 bytes

    def __init__(self, seed):
        self.lock = threading.RLock()
        self.seed(seed)

    def seed(self, seed):
        with self.lock:
            self.initial_seed, self.offset = seed, 0

    def take(self, steps):
        """The seed and the offset for numbers that use so many steps of the counter: nobody else gets these."""
        with self.lock:
            offset, self.offset = self.offset, self.offset + steps
            return self.initial_seed, offset

    def state(self):
        """The state as bytes, which torch can read too."""
        with self.lock:
            return np.array((self.initial_seed, self.offset), self.STATE).reshape(1).view(np.uint8)

    def set_state(self, data):
        """Go on from a saved state (`STATE.itemsize` bytes)."""
        seed, offset = np.frombuffer(data, self.STATE)[0].tolist()
        if offset % 4:
            raise RuntimeError("offset must be a multiple of 4")
        with self.lock:
            self.initial_seed, self.offset = seed, offset


# ---- arithmetic as torch's
def fused(a, b, c):
    """a * b + c rounded once, in the type of `a`."""
    if a.dtype == f4:                              # exact in float64, but for the last bit of the sum
        return (a.astype(f8) * f8(b) + f8(c)).astype(f4)
    product = a * b
    (a1, a2), (b1, b2) = halves(a), halves(b)
    missing = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2        # Dekker: what the product lost
    total = product + c
    back = total - product
    lost = (product - (total - back)) + (c - back)                      # Knuth: what the sum lost
    return np.where(np.isfinite(lost + missing), total + (lost + missing), total)


def halves(x):
    """x = upper + lower, each of 26 bits, so that their products are exact."""
    scaled = x * 134217729.0
    upper = scaled - (scaled - x)
    return upper, x - upper


def box_muller64(numbers):
    """In place, in blocks of 16: eight uniforms for radii, eight for angles."""
    blocks = numbers.reshape(-1, 2, 8)
    radius, angle = np.sqrt(-2 * np.log(1 - blocks[:, 0])), 2 * np.pi * blocks[:, 1]
    blocks[:, 0], blocks[:, 1] = radius * np.cos(angle), radius * np.sin(angle)


def box_muller32(numbers):
    """The same in float32, with torch's logarithm, sine and cosine; a piece at a time, to stay in the cache."""
    for start in range(0, len(numbers), 1 << 15):
        blocks = numbers[start:start + (1 << 15)].reshape(-1, 2, 8)
        radius = np.sqrt(f4(-2) * log32(f4(1) - blocks[:, 0]))
        sine, cosine = sincos32(f4(2 * np.pi) * blocks[:, 1])
        blocks[:, 0], blocks[:, 1] = radius * cosine, radius * sine


# Cephes' polynomials in the order in which AVX code evaluates them; each step is one fused multiply-add.
LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
       2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
EIGHTH_TURN = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)    # -pi/4 in three exact pieces


def polynomial(x, coefficients):
    """Horner's scheme; float64 holds each product of two float32 numbers exactly."""
    wide = x.astype(f8)
    y = f8(f4(coefficients[0]))
    for c in coefficients[1:]:
        y = (y * wide + f8(f4(c))).astype(f4)
    return y


def log32(x):
    """log(x) for 0 < x <= 1."""
    fraction, exponent = np.frexp(x)               # x = fraction * 2**exponent, fraction in [0.5, 1)
    small = fraction < f4(0.707106781186547524)
    x = np.where(small, fraction + (fraction - f4(1)), fraction - f4(1))
    exponent = (exponent - small).astype(f4)
    square = x * x
    y = fused(polynomial(x, LOG) * x, square, exponent * f4(-2.12194440e-4))
    return x + (y - square * f4(0.5)) + exponent * f4(0.693359375)


def sincos32(x):
    """sin(x) and cos(x) for 0 <= x < 8: the nearest even multiple of pi/4 is taken off first."""
    octant = ((x * f4(1.27323954473516)).astype(np.int32) + 1) & ~1
    turns = octant.astype(f4)
    for piece in EIGHTH_TURN:
        x = x + turns * f4(piece)
    square = x * x
    cosine = fused(polynomial(square, COS) * square, square, square * f4(-0.5)) + f4(1)
    sine = fused(polynomial(square, SIN) * square, x, x)
    swap = (octant & 2) != 0
    sine, cosine = np.where(swap, cosine, sine), np.where(swap, sine, cosine)
    return np.where(octant & 4, -sine, sine), np.where((octant + 2) & 4, -cosine, cosine)
