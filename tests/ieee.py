"""Run the scalar function of a GPU thread as ordinary Python, with the GPU's arithmetic: 1/0 is inf, not an exception.

A float that follows IEEE 754 under every operator, a `math` that does so too, and a way to give both to a function
that was written with neither in mind.
"""
from __future__ import annotations

import functools
import math
import types

NAN, INF = math.nan, math.inf


class Float(float):
    """A float whose operators never raise."""
    __slots__ = ()


def quotient(x, y):
    if y:
        return x / y
    return NAN if x == 0 or x != x else math.copysign(INF, x) * math.copysign(1, y)


def remainder(x, y):
    """Python's (and torch's) remainder: the sign of the divisor."""
    if not y or math.isinf(x) or x != x or y != y:
        return NAN
    if math.isinf(y):
        return x if x == 0 or (x > 0) == (y > 0) else y
    return x % y


def power(x, y):
    try:
        return math.pow(x, y)
    except OverflowError:
        return -INF if x < 0 and y % 2 == 1 else INF
    except ValueError:
        if x == 0:                                 # a negative power of zero
            return math.copysign(INF, x) if y % 2 == 1 else INF
        return NAN


RULES = {"truediv": quotient, "mod": remainder, "pow": power, "floordiv": lambda x, y: x // y if y else quotient(x, y)}


def _operator(name):
    rule = RULES.get(name) or getattr(float, f"__{name}__")

    def method(x, y):
        return Float(rule(float(x), float(y))) if isinstance(y, (int, float)) else NotImplemented

    def reflected(x, y):
        return Float(rule(float(y), float(x))) if isinstance(y, (int, float)) else NotImplemented
    setattr(Float, f"__{name}__", method)
    setattr(Float, f"__r{name}__", reflected)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    _operator(_name)
Float.__neg__ = lambda x: Float(-float(x))
Float.__abs__ = lambda x: Float(abs(float(x)))

# What C's library returns where Python's raises.
POLES = {"log": (0, -INF), "log2": (0, -INF), "log10": (0, -INF), "log1p": (-1, -INF)}


def guarded(name):
    """math.<name> with C's results."""
    function = getattr(math, name)

    def call(*args):
        try:
            found = function(*[float(a) if isinstance(a, float) else a for a in args])
        except OverflowError:
            if name in ("floor", "ceil", "trunc"):
                return args[0]
            return Float(math.copysign(INF, args[0]) if name in ("sinh", "gamma") else INF)
        except ValueError:
            x = args[0]
            if name in ("floor", "ceil", "trunc"):
                return x
            if name in POLES and x == POLES[name][0]:
                return Float(POLES[name][1])
            if name == "atanh" and abs(x) == 1:
                return Float(math.copysign(INF, x))
            if name in ("lgamma", "gamma") and x <= 0:
                return Float(INF)
            return Float(NAN)
        return Float(found) if isinstance(found, float) or name in ("floor", "ceil",
                                                                    "trunc") and isinstance(args[0], float) else found
    return call


MATH = types.SimpleNamespace(**{n: v if not callable(v) else guarded(n) for n,
                                v in vars(math).items() if not n.startswith("_")})
MATH.pow = lambda x, y: Float(power(float(x), float(y)))


@functools.cache
def ieee(function):
    """The same function with this arithmetic; the functions that it calls too."""
    if not isinstance(function, types.FunctionType):
        return function
    code, known = function.__code__, dict(function.__globals__)
    known["math"] = MATH
    for name in code.co_names:
        if isinstance(known.get(name), types.FunctionType) and known[name] is not function:
            known[name] = ieee(known[name])
    for name in code.co_names:
        if known.get(name) in vars(math).values() and callable(known.get(name)):
            known[name] = getattr(MATH, name)
    made = types.FunctionType(code, known, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__

    def call(*args, **params):
        return made(*[Float(a) if type(a) is float else a for a in args], **params)
    return call
