"""What numbers do on a GPU, written as Python functions: the rules that Python's own operators don't follow.

It knows numbers, no kernel. The rules are numba's: integers are 64 bits wide, a float32 and an integer make a float64,
integers wrap around, floats that become integers stay within those, nothing raises. A number in a running kernel is one
of

    bool, int         a signed integer of up to 64 bits          Unsigned    an unsigned one
    np.float32        also what float16 and bfloat16 are while computing; they are rounded when stored
    np.float64

These functions take any of them. kinds.py finds out where Python's operator does the same, and leaves it alone there.

    add(np.float32(1), 2)  ->  np.float64(3)         floordiv(7, 0)   ->  0
    truediv(1, 0)          ->  inf                   as_int32(3e9)    ->  2147483647
"""
from __future__ import annotations

import math
import operator

import numpy as np

from ..provider import Type

f4, f8 = np.float32, np.float64
M64 = (1 << 64) - 1
LIMIT = 1 << 63


def wrap(x):
    """An int64: what is left of an integer in 64 bits."""
    return x if -LIMIT <= x < LIMIT else ((x + LIMIT) & M64) - LIMIT


class Unsigned(int):
    """An unsigned number. With another it makes a 64-bit unsigned one, with a signed one an int64."""
    __slots__ = ()
    bits = 64

    def __neg__(self):
        return self.__class__(-int(self) & (1 << self.bits) - 1)

    def __invert__(self):
        return self.__class__(~int(self) & (1 << self.bits) - 1)


def narrow(bits):
    """Unsigned numbers of fewer bits: `-x`, `~x` and the counts of bits depend on that."""
    return type(f"Unsigned{bits}", (Unsigned,), {"__slots__": (), "bits": bits})


Unsigned8, Unsigned16, Unsigned32 = map(narrow, (8, 16, 32))
UNSIGNED = {u.bits // 8: u for u in (Unsigned8, Unsigned16, Unsigned32, Unsigned)}      # by bytes
PLAIN = {int, f4, f8, bool, *UNSIGNED.values()}     # what numbers are while computing


def int_floordiv(a, b):
    return a // b if b else 0


def int_mod(a, b):
    return a % b if b else 0


def int_pow(a, b):
    if b < 0 and a == 0:
        return -LIMIT                               # 1 / 0, as an integer
    if b < 0:
        return 1 if a == 1 else (1 if b % 2 == 0 else -1) if a == -1 else 0
    return pow(a, b, 1 << 64) if a >= 0 else int_mul_wrapped(a, b)


def int_mul_wrapped(a, b):
    size = pow(-a, b, 1 << 64)
    return wrap(-size if b % 2 else size)


def int_lshift(a, b):
    return a << b if 0 <= b < 64 else 0


def int_rshift(a, b):
    return a >> b if 0 <= b < 64 else -1 if a < 0 else 0


INTEGER = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "floordiv": int_floordiv, "mod": int_mod,
           "pow": int_pow, "and": operator.and_, "or": operator.or_, "xor": operator.xor, "lshift": int_lshift,
           "rshift": int_rshift}


def unsigned_operators():
    """Unsigned's operators: the integer's, then cut to 64 bits."""
    def make(name, function):
        only_left = name in ("lshift", "rshift")    # a shift is as signed as what is shifted

        def forward(self, other):
            if not isinstance(other, int):
                return NotImplemented
            if only_left or isinstance(other, Unsigned):
                return Unsigned(function(int(self), int(other)) & M64)
            return wrap(function(wrap(int(self)), int(other)))

        def backward(self, other):
            return wrap(function(int(other), wrap(int(self)))) if isinstance(other, int) else NotImplemented
        setattr(Unsigned, f"__{name}__", forward)
        setattr(Unsigned, f"__r{name}__", backward)
    for name, function in INTEGER.items():
        make(name, function)


unsigned_operators()


# ---- operators on any numbers
def value(x):
    """A number as it is while computing: what numpy's integers, Python's floats and halves become."""
    kind = x.__class__
    if kind in PLAIN:
        return x
    if kind is float:
        return f8(x)
    if kind is tuple:
        return tuple([value(v) for v in x])
    dtype = getattr(x, "dtype", None)
    if dtype is None or not isinstance(x, np.generic):
        return x
    if dtype.kind == "u":
        return UNSIGNED[dtype.itemsize](x)
    if dtype.kind in "ib":
        return x.item()
    return x if dtype.kind == "f" and dtype.itemsize >= 4 else f4(x)


def fit(a, b):
    """Two numbers as the operands of one operation: an integer that meets a float becomes a float."""
    a, b = value(a), value(b)
    af, bf = isinstance(a, np.floating), isinstance(b, np.floating)
    if af and not bf:
        return a, (f4 if isinstance(b, bool) else f8)(b)
    if bf and not af:
        return (f4 if isinstance(a, bool) else f8)(a), b
    return a, b


def make_operator(name, on_floats):
    on_integers = INTEGER[name]

    def function(a, b):
        a, b = fit(a, b)
        if isinstance(a, np.floating):
            return on_floats(a, b)
        if isinstance(a, Unsigned) or isinstance(b, Unsigned):
            return getattr(operator, name)(a, b)
        return wrap(on_integers(int(a), int(b)))
    function.__name__ = name
    return function


add, sub, mul, floordiv, mod = [
    make_operator(name, getattr(operator, name)) for name in ("add", "sub", "mul", "floordiv", "mod")
]


def no_floats(name):
    def refuse(a, b):
        raise TypeError(f"{name} of floats: a GPU does it with integers only")
    return refuse


lshift, rshift = [make_operator(name, no_floats(name)) for name in ("lshift", "rshift")]


def bitwise(function):
    def both(a, b):
        a, b = value(a), value(b)
        if isinstance(a, np.floating) or isinstance(b, np.floating):
            no_floats(function.__name__)(a, b)
        return function(a, b)                       # of two bools a bool
    both.__name__ = function.__name__
    return both


and_, or_, xor = map(bitwise, (operator.and_, operator.or_, operator.xor))


def truediv(a, b):
    a, b = fit(a, b)
    return a / b if isinstance(a, np.floating) else f8(a) / f8(b)


def power(a, b):
    a, b = value(a), value(b)
    if isinstance(a, np.floating) or isinstance(b, np.floating):
        try:
            result = math.pow(a, b)                 # numpy's (-inf) ** 0.5 is nan
        except (ValueError, OverflowError):
            result = np.power(f8(a), f8(b))
        narrow = isinstance(a, f4) and not isinstance(b, f8) or isinstance(b, f4) and isinstance(a, bool)
        return f4(result) if narrow else f8(result)
    if isinstance(a, Unsigned) or isinstance(b, Unsigned):
        return a ** b
    return wrap(int_pow(int(a), int(b)))


def neg(a, bits=64):
    """-a; the smallest integer of a width stays what it is."""
    a = value(a)
    if not isinstance(a, int) or isinstance(a, Unsigned):
        return -a
    return wrap(-a) if bits == 64 or a != -1 << bits - 1 else int(a)


def pos(a):
    a = value(a)
    return int(a) if isinstance(a, bool) else a


def invert(a):
    a = value(a)
    return not a if isinstance(a, bool) else ~a


def comparison(name):
    function = getattr(operator, name)

    def compare(a, b):
        return bool(function(*fit(a, b)))
    compare.__name__ = name
    return compare


lt, le, gt, ge, eq, ne = map(comparison, ("lt", "le", "gt", "ge", "eq", "ne"))


# ---- Python's functions
def common(a, b):
    """Two numbers as one type: what a GPU does before it takes the larger one."""
    a, b = fit(a, b)
    if a.__class__ is not b.__class__ and isinstance(a, np.floating):
        return f8(a), f8(b)
    return a, b


def pick(better):
    def function(*args):
        args = args[0] if len(args) == 1 else args
        best = args[0]
        for x in args[1:]:
            a, b = common(best, x)
            best = a if b != b else b if a != a or better(b, a) else a      # a nan gives way, as in fmax
        return value(best)
    return function


maximum, minimum = pick(operator.gt), pick(operator.lt)


def as_bool(x=False):
    return bool(x)


def as_float(x=0):
    """Python's float: a float32 stays one."""
    x = value(x)
    return x if isinstance(x, np.floating) else f8(x)


def truncated(x):
    """The integer part of a float, as an int64."""
    return int(x) if -LIMIT <= x < LIMIT else saturated(x, 64, True)


def saturated(x, bits, signed):
    """The integer of this width that is nearest to a float which is too large, or no number: PTX's cvt.rzi."""
    low, end = (-1 << bits - 1, 1 << bits - 1) if signed else (0, 1 << bits)
    if x != x:
        return 0 if bits < 64 and isinstance(x, f4) else low if signed else end >> 1
    return low if x < 0 else end - 1


def as_int(x=0):
    x = value(x)
    return truncated(x) if isinstance(x, np.floating) else int(x) if not isinstance(x, Unsigned) else wrap(int(x))


def rounded(x, digits=None):
    x = value(x)
    if not isinstance(x, np.floating):
        return x
    return truncated(np.rint(x)) if digits is None else x.__class__(np.round(x, digits))


def absolute(x, bits=64):
    x = value(x)
    return x if isinstance(x, Unsigned) else neg(x, bits) if x < 0 else pos(abs(x))


def divided(a, b):
    return floordiv(a, b), mod(a, b)


BUILTINS = {max: maximum, min: minimum, bool: as_bool, float: as_float, int: as_int, round: rounded, abs: absolute,
            pow: power, divmod: divided}


# ---- casts
def cast_to(dtype):
    """The function that converts any number to a dtype as C does, and gives it as it is while computing."""
    dtype = np.dtype(dtype)
    if dtype not in CASTS:
        CASTS[dtype] = make_cast(dtype)
    return CASTS[dtype]


def make_cast(dtype):
    if dtype.kind == "b":
        return as_bool
    if dtype.kind == "u" or dtype.kind == "i":
        return integer_cast(dtype)
    if dtype == f4 or dtype == f8:
        return dtype.type
    if dtype == np.float16:
        return lambda x=0: f4(np.float16(x))
    return lambda x=0: f4(dtype.type(x))            # bfloat16


def integer_cast(dtype):
    bits, signed = 8 * dtype.itemsize, dtype.kind == "i"
    unsigned = UNSIGNED[dtype.itemsize]
    mask, half = (1 << bits) - 1, 1 << (bits - 1)
    wide = max(bits, 16)                            # floats are converted to 16 bits at least; the last 8 are an int8
    low, end = (-1 << wide - 1, 1 << wide - 1) if signed else (0, 1 << wide)

    def integer(x):
        if not isinstance(x, (float, np.floating)):
            return int(x)
        return int(x) if low <= x < end else saturated(x, wide, signed)

    if signed:
        return lambda x=0: ((integer(x) + half) & mask) - half
    return lambda x=0: unsigned(integer(x) & mask)


CASTS = {}


def stored(dtype):
    """What an array of a dtype is given for a number: the function of it, or None if numpy converts as C does."""
    dtype = np.dtype(dtype)
    return None if dtype.kind in "fb" or dtype.kind == "V" else cast_to(dtype)


def loaded(dtype):
    """The function that makes a number of an array's element, or None if it is one."""
    dtype = np.dtype(dtype)
    if dtype.kind == "u":
        return UNSIGNED[dtype.itemsize]
    if dtype.kind in "ib":
        return dtype.type.item
    return None if dtype == f4 or dtype == f8 else f4


# ---- math: IEEE results instead of exceptions, float32 for float32
NUMPY = {"acos": "arccos", "asin": "arcsin", "atan": "arctan", "acosh": "arccosh", "asinh": "arcsinh",
         "atanh": "arctanh", "pow": "power"}
TO_INTEGER = {"floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}
TO_BOOL = ("isnan", "isinf", "isfinite")


def without_exceptions(name):
    """math's function, or where it raises numpy's."""
    function, other = getattr(math, name), getattr(np, NUMPY.get(name, name), None)

    def calculated(*args):
        try:
            result = function(*args)
        except (ValueError, OverflowError):
            if other is not None:
                result = other(*[f8(a) for a in args])
            elif name == "gamma" and args[0] == 0:
                result = math.copysign(math.inf, args[0])
            else:
                result = math.inf if name == "lgamma" or name == "gamma" and args[0] > -1 else math.nan
        if isinstance(result, tuple):
            return tuple([f8(r) if isinstance(r, float) else r for r in result])
        for a in args:
            if a.__class__ is not f4:
                return f8(result)
        return f4(result)
    calculated.__name__ = name
    return calculated


def to_integer(function):
    return lambda x: truncated(function(f8(x))) if isinstance(x, (float, np.floating)) else value(x)


MATH = {name: without_exceptions(name) for name, f in vars(math).items() if callable(f) and not name.startswith("_")}
MATH |= {name: to_integer(f) for name, f in TO_INTEGER.items()}
MATH |= {name: (lambda f: lambda x: bool(f(x)))(getattr(np, name)) for name in TO_BOOL}
MATH["fabs"] = lambda x: abs(as_float(x))


class Math:
    """Stands for the module `math`."""
    pi, e, tau, inf, nan = [f8(getattr(math, name)) for name in ("pi", "e", "tau", "inf", "nan")]


for _name, _function in MATH.items():
    setattr(Math, _name, staticmethod(_function))


# ---- memory of a dtype that only the running kernel knows
def load(array, index):
    """array[index] of an array, a tuple, or whatever can be indexed."""
    return value(array[index])


def store(array, index, x):
    if isinstance(array, np.ndarray):
        cast = stored(array.dtype)
        x = x if cast is None else cast(x)
    array[index] = x


def replacement(x):
    """What stands for a module, type or function of Python in a kernel; None for others."""
    if x is math:
        return Math
    if isinstance(x, Type):
        return cast_to(x.numpy)
    if isinstance(x, type) and issubclass(x, np.generic):
        return cast_to(x)
    if getattr(x, "__module__", "") == "math" and x.__name__ in MATH:
        return MATH[x.__name__]
    try:
        known = BUILTINS.get(x)
    except TypeError:
        return None
    if known is None and type(x).__module__.startswith("numba.core.types"):
        return cast_to("bool" if x.name == "boolean" else x.name)
    return known


OPERATORS = {
    "Add": add, "Sub": sub, "Mult": mul, "Div": truediv, "FloorDiv": floordiv, "Mod": mod, "Pow": power,
    "LShift": lshift, "RShift": rshift, "BitAnd": and_, "BitOr": or_, "BitXor": xor,
    "USub": neg, "UAdd": pos, "Invert": invert, "Lt": lt, "LtE": le, "Gt": gt, "GtE": ge, "Eq": eq, "NotEq": ne}
