"""The error function, the gamma function and their relatives, to the precision of float64.

numpy has none of them. They are computed in float64 and rounded once, so that float32 results are right to the last bit
or nearly so, in relative error too.
"""
from __future__ import annotations

import functools
import math

import numpy as np

from ..core.export import export
from ..core.op import Elementwise
from ..core.tensor import Tensor

SQRT_PI = math.sqrt(math.pi)


BLOCK = 16000                                      # numbers whose intermediate results stay in the cache


def in_blocks(function, short=None):
    """The program that computes blocks of numbers with `function` in float64, whatever they are, and rounds once.

    `short` may do for float32: it gets float32, and computes to its precision.
    """
    def program(x):
        x = np.asarray(x)
        wide = np.float64 if short is None or x.dtype == np.float64 else np.float32
        compute = function if wide is np.float64 else short
        out = np.empty(x.shape, x.dtype)
        flat, flat_out = x.reshape(-1), out.reshape(-1)
        for start in range(0, x.size, BLOCK):
            flat_out[start:start + BLOCK] = compute(flat[start:start + BLOCK].astype(wide, copy=False))
        return out
    return program


def where_only(condition, function, x, otherwise):
    """function(x) where the condition holds, computed there only."""
    out = np.array(np.broadcast_to(otherwise, x.shape), np.float64)
    out[condition] = function(x[condition])
    return out


def polynomial(coefficients, x):
    """Horner's scheme; the highest power first."""
    total = x * coefficients[0]
    total += coefficients[1]
    for c in coefficients[2:]:
        total *= x
        total += c
    return total


# ---- the error function: rational approximations of W. J. Cody, "Rational Chebyshev approximations for the error
# function", Math. Comp. 23 (1969) 631-637, with the coefficients of his program CALERF (netlib.org/specfun/erf).
SMALL_P = (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
           3.20937758913846947e3)
SMALL_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
MIDDLE_P = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
            2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
            1.23033935479799725e3)
MIDDLE_Q = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
            3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3)
LARGE_P = (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
           1.60837851487422766e-2, 6.58749161529837803e-4)
LARGE_Q = (1.0, 2.56852019228982242e0, 1.87295284992346047e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
           2.33520497626869185e-3)


def erf_small(x):
    """erf for |x| <= 0.46875."""
    square = x * x
    return x * polynomial(SMALL_P, square) / polynomial(SMALL_Q, square)


def erfc_middle(y):
    """erfc for 0.46875 < y <= 4."""
    return gauss(y) * polynomial(MIDDLE_P, y) / polynomial(MIDDLE_Q, y)


def erfc_large(y):
    """erfc for y > 4."""
    inverse = 1 / (y * y)
    tail = inverse * polynomial(LARGE_P, inverse) / polynomial(LARGE_Q, inverse)
    return gauss(y) * (1 / SQRT_PI - tail) / y


def gauss(y):
    """exp(-y * y) for y > 0; the square is split, because its rounding error would be multiplied by itself."""
    high = np.trunc(y * 16) / 16
    return np.exp(-high * high) * np.exp(-(y - high) * (y + high))


def erfc_positive(y):
    """erfc for y > 0.46875."""
    y = np.minimum(y, 30)                          # erfc(30) is 0 in float64; inf would meet inf
    return where_only(y > 4, erfc_large, y, where_only(y <= 4, erfc_middle, y, np.nan))


# For float32 one formula does for all x. The coefficients are minimax fits (to 4e-8 and 1e-8, in relative error).
SHORT_ERF = (4.070942298207211e-05, -0.0003810117812297127, 0.0012517787412612783, 0.00020567050191334934,
             -0.01932168269472492, 0.1028143986578075, 0.6366164985777665, 1.128379206973937)
SHORT_P = (0.03548834740187011, 0.24186041176602296, 0.7578978120043971, 1.2632372799089875, 1.00000001)
SHORT_Q = (0.06290109727463572, 0.42870252520920776, 1.374488321366286, 2.4565341619596412, 2.3916174097643474, 1.0)
SIGN = np.uint32(1 << 31)


def erf_short(x):
    """erf, to the precision of float32: 1 - exp(-y) with y = -log(erfc(|x|)), which is nearly a line."""
    y = np.abs(x)
    y *= polynomial(SHORT_ERF, y)
    np.negative(np.expm1(np.negative(y, out=y), out=y), out=y)
    bits = y.view(np.uint32)
    bits |= x.view(np.uint32) & SIGN               # the sign of x; np.copysign takes longer than all that
    return y


def erfc_beyond(size, exponent):
    """erfc(size) for size >= 0, to the precision of float32; -size * size is given (and overwritten) in float64."""
    np.exp(exponent, out=exponent)
    size = np.clip(size, 0, 30)                    # erfc(30) is 0; inf would meet inf
    out = polynomial(SHORT_P, size)
    out /= polynomial(SHORT_Q, size)
    out *= exponent.astype(np.float32)
    return out


def erfc_short(x):
    """erfc, to the precision of float32."""
    square = np.square(x, dtype=np.float64)
    far = erfc_beyond(np.abs(x), np.negative(square, out=square))
    np.subtract((x < 0) * np.float32(2), far, out=far)
    return np.abs(far, out=far)                    # far, and 2 - far where x is negative


def normal_below(x):
    """P(a standard normal number < x), to the precision of float32."""
    square, size = np.square(x, dtype=np.float64), np.abs(x)
    square *= -0.5
    size *= math.sqrt(0.5)
    far = erfc_beyond(size, square)
    far *= 0.5
    np.subtract((x >= 0).astype(np.float32), far, out=far)
    return np.abs(far, out=far)                    # far, and 1 - far where x is positive


def erf(x):
    size = np.abs(x)
    far = where_only(size > 0.46875, erfc_positive, size, np.nan)
    return where_only(size <= 0.46875, erf_small, x, np.copysign(1 - far, x))


def erfc(x):
    size = np.abs(x)
    far = where_only(size > 0.46875, erfc_positive, size, np.nan)
    return where_only(size <= 0.46875, lambda x: 1 - erf_small(x), x, np.where(x < 0, 2 - far, far))


@export("erf", inplace=True)
class Erf(Elementwise):
    """The error function: how much of a normal distribution of variance 1/2 lies in [-input, input]."""
    result = "float"
    cpu    = in_blocks(erf, erf_short)
    cuda   = lambda x: math.erf(x)
    grad_x = lambda g, x: g * ((-(x * x)).exp() * (2 / SQRT_PI))


@export("erfc", inplace=True)
class Erfc(Elementwise):
    """1 - erf(input), also where it is tiny."""
    result = "float"
    cpu    = in_blocks(erfc, erfc_short)
    cuda   = lambda x: math.erfc(x)
    grad_x = lambda g, x: g * ((-(x * x)).exp() * (-2 / SQRT_PI))


# ---- its inverse: a rational start to three digits, then two steps of Halley's method, each of which triples them
CENTRAL_P = (-0.140543331, 0.914624893, -1.645349621, 0.886226899)
CENTRAL_Q = (0.012229801, -0.329097515, 1.442710462, -2.118377725, 1.0)
TAIL_P = (1.641345311, 3.429567803, -1.624906493, -1.970840454)
TAIL_Q = (1.637067800, 3.543889200, 1.0)


def erfinv(y):
    size = np.abs(y)
    square = y * y
    central = size * polynomial(CENTRAL_P, square) / polynomial(CENTRAL_Q, square)
    z = np.sqrt(-np.log((1 - size) / 2))
    x = np.where(size <= 0.7, central, polynomial(TAIL_P, z) / polynomial(TAIL_Q, z))
    for _ in range(2):                             # in the tail by erfc: there 1 - y is exact and erf(x) - y is not
        miss = np.where(size <= 0.5, erf(x) - size, (1 - size) - erfc(x))
        step = miss * (SQRT_PI / 2) * np.exp(x * x)
        x = x - step / (1 + x * step)
    return np.copysign(np.where(size == 1, np.inf, x), y)


@export("erfinv", inplace=True)
class Erfinv(Elementwise):
    """The number whose error function is input."""
    result = "float"
    cpu    = in_blocks(erfinv)
    grad_x = lambda g, x: g * (x.erfinv().square().exp() * (SQRT_PI / 2))

    def cuda(x):
        y = abs(x)
        if y >= 1:
            return math.copysign(math.inf, x) if y == 1 else math.nan
        if y <= 0.7:
            z = y * y
            out = y * (((-0.140543331 * z + 0.914624893) * z - 1.645349621) * z + 0.886226899)
            out = out / ((((0.012229801 * z - 0.329097515) * z + 1.442710462) * z - 2.118377725) * z + 1.0)
        else:
            z = math.sqrt(-math.log((1 - y) / 2))
            out = ((1.641345311 * z + 3.429567803) * z - 1.624906493) * z - 1.970840454
            out = out / ((1.637067800 * z + 3.543889200) * z + 1.0)
        for _ in range(2):
            miss = math.erf(out) - y if y <= 0.5 else (1 - y) - math.erfc(out)
            step = miss * 0.886226925452758 * math.exp(out * out)
            out = out - step / (1 + out * step)
        return math.copysign(out, x)


# ---- gamma. Formulas of Abramowitz and Stegun, "Handbook of Mathematical Functions", by number.
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
LGAMMA_TAIL = tuple(BERNOULLI[j] / ((2 * j + 2) * (2 * j + 1)) for j in range(7, -1, -1))
DIGAMMA_TAIL = tuple(BERNOULLI[j] / (2 * j + 2) for j in range(7, -1, -1))
EULER = 0.5772156649015329


def zeta(s, q):
    """Hurwitz' zeta function: the sum of (q + k) ** -s for k = 0, 1, 2 ...; s > 1, q > 0 (Euler-Maclaurin: 23.1.30)."""
    total = 0.0
    for k in range(12):
        total = total + (q + k) ** -s
    n = q + 12
    total = total + n ** (1 - s) / (s - 1) + 0.5 * n ** -s
    factor = s * n ** (-s - 1)
    for j, b in enumerate(BERNOULLI):              # b / (2j + 2)! * s (s + 1) ... (s + 2j) * n ** (-s - 2j - 1)
        total = total + b * factor / math.factorial(2 * j + 2)
        factor = factor * (s + 2 * j + 1) * (s + 2 * j + 2) / (n * n)
    return total


@functools.cache
def gamma_series():
    """Coefficients of lgamma(2 + z) around its zero, the highest power first (6.1.33)."""
    return (*((-1) ** k * zeta(k, 2.0) / k for k in range(54, 1, -1)), 1 - EULER, 0.0)


def lgamma_above(x):
    """lgamma for x >= 8: Stirling's series (6.1.40)."""
    series = polynomial(LGAMMA_TAIL, 1 / (x * x)) / x
    return (x - 0.5) * (np.log(x) - 1) + (0.5 * math.log(2 * math.pi) - 0.5) + series


def lgamma_below(x):
    """lgamma for 0 < x < 8: walk to [1.5, 2.5) by the recurrence, then the series around 2."""
    product, y = np.ones_like(x), x
    for _ in range(6):
        product, y = np.where(y >= 2.5, product * (y - 1), product), np.where(y >= 2.5, y - 1, y)
    out = np.log(product)
    low, lowest = y < 1.5, y < 0.5
    out = np.where(low, out - np.where(lowest, np.log1p(y) + np.log(y), np.log1p(y - 1)), out)
    return out + polynomial(gamma_series(), np.where(lowest, y, np.where(low, y - 1, y - 2)))


def sin_pi(x):
    """sin(pi x), exactly 0 at whole numbers."""
    rest = x - 2 * np.rint(x / 2)                                     # [-1, 1], exact
    rest = np.where(np.abs(rest) > 0.5, np.copysign(1, rest) - rest, rest)
    return np.sin(np.pi * rest)


def lgamma(x):
    size = np.abs(x)
    above = where_only(size >= 8, lgamma_above, size, size)
    out = where_only((size > 0) & (size < 8), lgamma_below, size, above)
    reflected = np.log(np.pi / np.abs(x * sin_pi(x))) - out
    out = np.where((x < 0) & np.isfinite(x), np.where(x == np.floor(x), np.inf, reflected), out)
    return np.where((x == 0) | np.isinf(x), np.inf, out)


@export("lgamma", inplace=True)
class Lgamma(Elementwise):
    """The logarithm of |gamma(input)|."""
    result = "float"
    cpu    = in_blocks(lgamma)
    cuda   = lambda x: math.lgamma(x)
    grad_x = lambda g, x: g * x.digamma()


def digamma(x):
    negative = x < 0
    y = np.where(negative, 1 - x, x)
    out = np.zeros_like(y)
    for _ in range(10):                            # psi(y) = psi(y + 1) - 1 / y (6.3.5)
        out, y = np.where(y < 10, out - 1 / y, out), np.where(y < 10, y + 1, y)
    inverse = 1 / (y * y)
    out = out + np.log(y) - 0.5 / y - inverse * polynomial(DIGAMMA_TAIL, inverse)
    rest = x - np.rint(x)
    out = np.where(negative, out - np.pi / np.tan(np.pi * rest), out)
    out = np.where(negative & (rest == 0), np.nan, out)               # a pole: from one side inf, from the other -inf
    return np.where(x == 0, np.copysign(np.inf, -x), np.where(x == np.inf, np.inf, out))


@export("digamma", inplace=True)
class Digamma(Elementwise):
    """The derivative of lgamma."""
    result = "float"
    cpu    = in_blocks(digamma)
    grad_x = lambda g, x: g * polygamma(1, x)

    def cuda(x):
        if x == 0:
            return math.copysign(math.inf, -x)
        out, y = 0.0, x
        if x < 0:
            if x == math.floor(x):
                return math.nan
            rest = x - math.floor(x + 0.5)
            out, y = -math.pi / math.tan(math.pi * rest), 1 - x
        while y < 10:
            out, y = out - 1 / y, y + 1
        z = 1 / (y * y)
        tail = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * (691 / 32760 - z / 12))))))
        return out + math.log(y) - 0.5 / y - tail


class Polygamma(Elementwise):
    """The n-th derivative of digamma: (-1) ** (n + 1) n! zeta(n + 1, x), for x > 0 (6.4.10)."""
    result = "float"
    grad_x = lambda g, x, n: g * polygamma(n + 1, x)

    def cpu(x, *, n):
        def compute(x):
            size = math.factorial(n) * zeta(n + 1, np.where(x > 0, x, 1 - x if n == 1 else np.nan))
            if n == 1:                             # reflection (6.4.7)
                size = np.where(x > 0, size, np.square(np.pi / sin_pi(x)) - size)
            return np.where(x == 0, np.inf, size if n % 2 else -size)
        return in_blocks(compute)(x)

    def cuda(x, *, n):
        q = x if x > 0 or n != 1 else 1 - x
        if x == 0:
            return math.inf
        if not q > 0:
            return math.nan
        s, total, size = n + 1, 0.0, 1.0
        for k in range(24):
            total = total + 1 / (q + k) ** s
        y = q + 24
        total = total + 1 / (y ** (s - 1) * (s - 1)) + 0.5 / y ** s
        tail = s / y ** (s + 1) / 12
        total = total + tail
        tail = -tail * (s + 1) * (s + 2) / (y * y) / 60
        total = total + tail
        tail = -tail * (s + 3) * (s + 4) / (y * y) / 42
        total = total + tail - tail * (s + 5) * (s + 6) / (y * y) / 40
        for k in range(n):
            size = size * (k + 1)
        out = size * total if n % 2 else -size * total
        if n == 1 and x < 0:
            sine = math.sin(math.pi * (x - math.floor(x + 0.5)))
            return (math.pi / sine) * (math.pi / sine) - out
        return out


@export("polygamma()")
def polygamma(n, input):
    """The n-th derivative of digamma (for n > 1 at input > 0)."""
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return Polygamma.call(input, n=n) if n else Digamma.call(input)


@export(".polygamma")
def _polygamma(input, n):
    """The n-th derivative of digamma."""
    return polygamma(n, input)


# ---- more that needs care
def sin_of(x):
    """The sine of float32 numbers by way of float64, which is the nearest float32 but for one number in millions."""
    return np.sin(x.astype(np.float64)).astype(x.dtype)


@export("sinc", inplace=True)
class Sinc(Elementwise):
    """sin(pi x) / (pi x), and 1 at 0."""
    result = "float"
    cpu    = lambda x: np.where(x == 0, 1, sin_of(np.pi * x) / (np.pi * x))
    grad_x = lambda g, x: (g * ((x * math.pi).cos() - x.sinc()) / x).where(x != 0, 0)

    def cuda(x):
        return math.sin(math.pi * x) / (math.pi * x) if x != 0 else 1.0


class Logit(Elementwise):
    """log(x / (1 - x)), of x moved into [eps, 1 - eps]."""
    result = "float"

    def cpu(x, *, eps):
        if eps is not None:
            x = np.clip(x, eps, 1 - eps)
        return np.where(np.abs(x - 0.5) < 0.25, np.log1p((2 * x - 1) / (1 - x)), np.log(x / (1 - x)))

    def cuda(x, *, eps):
        if eps is not None:
            x = eps if x < eps else 1 - eps if x > 1 - eps else x
        return math.log1p((2 * x - 1) / (1 - x)) if abs(x - 0.5) < 0.25 else math.log(x / (1 - x))

    def grad_x(g, x, eps):
        inside = (x >= (eps or 0)) & (x <= 1 - (eps or 0)) | x.isnan()
        return (g / (x * (1 - x))).where(inside, 0 if eps is not None else math.nan)


@export("logit", inplace=True)
def logit(input, eps=None):
    """The inverse of sigmoid; with eps, of input moved into [eps, 1 - eps]."""
    if eps is not None and not isinstance(eps, (int, float)):
        raise TypeError(f"logit(): argument 'eps' (position 2) must be float, not {type(eps).__name__}")
    return Logit.call(input, eps=eps)


@export("xlogy", inplace=True)
class Xlogy(Elementwise):
    """input * log(other), and 0 where input is 0 (unless other is nan)."""
    numbers   = "overloads"
    node_name = ("XlogyBackward0", "XlogyBackward1", "XlogyBackward2")
    result    = "float"
    cuda      = lambda x, y: 0.0 if x == 0 and y == y else x * math.log(y)
    grad_x    = lambda g, x, y: logarithm(g, x, y)
    grad_y    = lambda g, x, y: g * (x / y)

    def cpu(x, y):
        product = x * np.log(y)
        return np.where(np.equal(x, 0) & ~np.isnan(y), np.zeros_like(product), product)


def logarithm(g, x, y):
    """g * log(y), and 0 where x is 0 and y is not positive."""
    if not isinstance(y, Tensor):
        y = x.new_full((), y)
    return (g * y.log()).where((x != 0) | (y > 0) | y.isnan(), 0)


