"""Numbers in compiled kernels, where a GPU's differ from numba's on a CPU: 16-bit floats, max, shifts, powers, bits.

It knows numbers, no array and no kernel; meaning.py has the same for the back end in Python. Importing it imports
numba. MEANINGS says under which names a generated text finds these functions.

    x >> 70    ->    _rshift(x, 70)       -1 or 0: no bit is left. LLVM gives no meaning to it
    x ** n     ->    _pow(x, n)           0 ** -1 gives inf, and of integers the smallest: numba's raises
"""
from __future__ import annotations

import math
import operator

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload, register_jitable

from .words import BITS

i16, i32, i64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)


# ---- 16-bit floats, by integer arithmetic: not every CPU has instructions for them
def widen(builder, storage, bits):
    """The float32 with the value of 16-bit float `bits`: exact."""
    f32, bits = ir.FloatType(), builder.zext(bits, i32)
    if storage == "bfloat16":
        return builder.bitcast(builder.shl(bits, i32(16)), f32)
    sign = builder.shl(builder.and_(bits, i32(0x8000)), i32(16))
    rest = builder.shl(builder.and_(bits, i32(0x7FFF)), i32(13))
    scaled = builder.bitcast(builder.fmul(builder.bitcast(rest, f32), f32(2.0 ** 112)), i32)   # another bias
    special = builder.icmp_unsigned(">=", rest, i32(0x7C00 << 13))                             # inf and nan
    magnitude = builder.select(special, builder.or_(rest, i32(0x7F800000)), scaled)
    return builder.bitcast(builder.or_(magnitude, sign), f32)


def narrow(context, builder, storage, value_type, value):
    """The 16-bit float nearest to a number; ties go to the even one."""
    if storage == "float16":
        single = float_by_odd(context, builder, value_type, value)
    else:                                           # rounded twice, as ml_dtypes does it
        single = context.cast(builder, value, value_type, types.float32)
    single = builder.bitcast(single, i32)
    sign, rest = builder.and_(single, i32(-1 << 31)), builder.and_(single, i32(0x7FFFFFFF))
    is_nan = builder.icmp_unsigned(">", rest, i32(0x7F800000))
    kept = 16 if storage == "bfloat16" else 13      # bits to be cut off
    if storage == "float16":
        rest = rebias(builder, rest)
    last = builder.and_(builder.lshr(rest, i32(kept)), i32(1))
    rounded = builder.lshr(builder.add(rest, builder.add(last, i32((1 << kept - 1) - 1))), i32(kept))
    infinite = 0x7F80 if storage == "bfloat16" else 0x7C00
    rounded = builder.select(builder.icmp_unsigned(">", rounded, i32(infinite)), i32(infinite), rounded)
    rounded = builder.select(is_nan, i32(infinite | 1 << 22 - kept), rounded)
    return builder.trunc(builder.or_(rounded, builder.lshr(sign, i32(16))), i16)


def float_by_odd(context, builder, value_type, value):
    """A float32 near a number: what doesn't fit is cut off, but the last bit says so, to the rounding that follows."""
    if value_type in (types.float32, types.boolean):
        return context.cast(builder, value, value_type, types.float32)
    bits = builder.bitcast(context.cast(builder, value, value_type, types.float64), i64)
    cut = builder.icmp_unsigned("!=", builder.and_(bits, i64((1 << 29) - 1)), i64(0))
    odd = builder.or_(builder.and_(bits, i64(-1 << 29)), builder.shl(builder.zext(cut, i64), i64(29)))
    return builder.fptrunc(builder.bitcast(odd, ir.DoubleType()), ir.FloatType())


def rebias(builder, magnitude):
    """The bits of |x| with float16's exponent and float32's mantissa; below float16's normal numbers in its step."""
    f32 = ir.FloatType()
    small = builder.icmp_unsigned("<", magnitude, i32(113 << 23))                              # below 2**-14
    # In units of the step, 2**-24, and 13 binary places that are cut off later: a whole number.
    steps = builder.fmul(builder.bitcast(magnitude, f32), f32(2.0 ** 37))
    low = builder.fptoui(builder.select(small, steps, f32(0)), i32)
    inexact = builder.fcmp_unordered("!=", builder.uitofp(low, f32), builder.select(small, steps, f32(0)))
    low = builder.or_(low, builder.zext(inexact, i32))
    large = builder.icmp_unsigned(">=", magnitude, i32(143 << 23))                             # 2**16 and more: inf
    high = builder.select(large, i32(0x7C00 << 13), builder.sub(magnitude, i32(112 << 23)))
    return builder.select(small, low, high)


def rounds(storage):
    """The kernel's float16(x) or bfloat16(x): the float32 nearest to x that those can hold."""
    @intrinsic
    def rounded(typingctx, value):
        def codegen(context, builder, sig, args):
            return widen(builder, storage, narrow(context, builder, storage, sig.args[0], args[0]))
        if isinstance(value, (types.Number, types.Boolean)):
            return types.float32(types.unliteral(value)), codegen
    return rounded


def picks(better):
    """max and min of two numbers as a GPU computes them: a nan gives way."""
    @intrinsic
    def pick(typingctx, a, b):
        kind = typingctx.unify_types(types.unliteral(a), types.unliteral(b))
        if not isinstance(kind, (types.Float, types.Integer, types.Boolean)):
            return None

        def codegen(context, builder, sig, args):
            x, y = args
            if isinstance(kind, types.Float):
                first_gives_way = builder.fcmp_unordered("!=", x, x)
                return builder.select(builder.or_(builder.fcmp_ordered(better, y, x), first_gives_way), y, x)
            compare = builder.icmp_signed if getattr(kind, "signed", False) else builder.icmp_unsigned
            return builder.select(compare(better, y, x), y, x)
        return kind(kind, kind), codegen
    return pick


@intrinsic
def fmod(typingctx, a, b):
    """math.fmod, which numba has for GPUs only."""
    kind = typingctx.unify_types(types.unliteral(a), types.unliteral(b))
    kind = types.float32 if kind == types.float32 else types.float64
    return kind(kind, kind), lambda context, builder, sig, args: builder.frem(*args)


def counts(name):
    """popc, clz, ffs or brev, in the width of the operand; types as on a GPU."""
    @intrinsic
    def count(typingctx, x):
        x = types.unliteral(x)
        if not isinstance(x, (types.Integer, types.Boolean)):
            return None
        operand = types.int8 if isinstance(x, types.Boolean) else x
        if name == "brev":
            operand = types.uint64 if x == types.uint64 else types.uint32
        result = operand if name in ("popc", "clz", "brev") else types.uint32

        def codegen(context, builder, sig, args):
            value = context.cast(builder, args[0], sig.args[0], operand)
            if name == "brev":
                return builder.bitreverse(value)
            if name == "popc":
                return builder.ctpop(value)
            if name == "clz":
                return builder.ctlz(value, ir.IntType(1)(0))
            first = builder.add(builder.cttz(value, ir.IntType(1)(0)), value.type(1))
            is_zero = builder.icmp_unsigned("==", value, value.type(0))
            return context.cast(builder, builder.select(is_zero, value.type(0), first), operand, types.uint32)
        return result(x), codegen
    return count


def shifts(left):
    """x << n and x >> n, where n may be 64 and more: all bits are gone then."""
    @intrinsic
    def shift(typingctx, x, n):
        x, n = types.unliteral(x), types.unliteral(n)
        if not all(isinstance(kind, (types.Integer, types.Boolean)) for kind in (x, n)):
            return None
        result = types.int64 if isinstance(x, types.Boolean) or x.signed else types.uint64

        def codegen(context, builder, sig, args):
            value = context.cast(builder, args[0], sig.args[0], result)
            amount = context.cast(builder, args[1], sig.args[1], types.int64)
            far = builder.icmp_unsigned(">", amount, i64(63))
            if not left and result == types.int64:
                return builder.ashr(value, builder.select(far, i64(63), amount))
            shifted = (builder.shl if left else builder.lshr)(value, builder.select(far, i64(0), amount))
            return builder.select(far, i64(0), shifted)
        return result(x, n), codegen
    return shift


@intrinsic
def float_pow(typingctx, a, b):
    """pow of two float64, as libm has it."""
    kind = types.float64
    if {a, b} <= {kind}:
        return kind(kind, kind), lambda context, builder, sig, args: builder.call(
            builder.module.declare_intrinsic("llvm.pow", [ir.DoubleType()]), args)


def integer_pow(a, b):
    if b < 0:
        if a == 0:
            return -9223372036854775807 - 1         # 1 / 0, as an integer
        return 1 if a == 1 else (1 if b % 2 == 0 else -1) if a == -1 else 0
    result = a - a + 1
    while b:
        if b & 1:
            result *= a
        a *= a
        b >>= 1
    return result


def power(a, b):
    """a ** b. numba's own raises exceptions where the power is an integer."""
    return operator.pow(a, b)


def math_power(a, b):
    return math.pow(a, b)


def is_whole(kind):
    return isinstance(kind, (types.Integer, types.Boolean))


@overload(power)
def power_of(a, b):
    if is_whole(a) and is_whole(b):
        unsigned = all([isinstance(kind, types.Integer) and not kind.signed for kind in (a, b)])
        number = np.uint64 if unsigned else np.int64
        whole = register_jitable(integer_pow)
        return lambda a, b: whole(number(a), number(b))
    if is_whole(b) and a == types.float32:
        return lambda a, b: np.float32(float_pow(np.float64(a), np.float64(b)))
    if is_whole(b):
        return lambda a, b: float_pow(np.float64(a), np.float64(b))
    return lambda a, b: a ** b


@overload(math_power)
def math_power_of(a, b):
    if a == types.float32 and b == types.float32:
        return lambda a, b: math.pow(a, b)
    return lambda a, b: float_pow(np.float64(a), np.float64(b))


# Names that a unit's text may use (unit.py).
MEANINGS = {"_float16": rounds("float16"), "_bfloat16": rounds("bfloat16"), "_fmod": fmod, "_max": picks(">"),
            "_min": picks("<"), "_int32": np.int32, "_uint32": np.uint32, "_lshift": shifts(True),
            "_rshift": shifts(False), "_pow": power, "_math_pow": math_power,
            **{f"_{name}": counts(name) for name in BITS}}
