"""Samples of arithmetic, powers and functions of one number."""
from . import Input, integers, normal, positive, sample, unit

WHOLE = {"dtypes": ("int64", "int32", "uint8", "bool"), "why": "only of integers"}
COARSE = {"rtol": 1000, "why": "torch's trigamma is right to nine digits only"}


def above(low, *shape):
    """Numbers between low + 0.1 and low + 2.1."""
    return Input(lambda rng, shape: rng.random(shape) * 2 + 0.1 + low, shape)


# ---- arithmetic
sample("add", "torch.add(x, y)", x=normal(3, 4), y=normal(4))
sample("add", "torch.add(x, y, alpha=2)", x=normal(3, 1), y=normal(3, 4))
sample("add", "x + 2", x=normal(3, 4))
sample("add", "2.5 + x", x=normal(3, 4))
sample("add", "x + y", x=normal(3, 4), y=integers(4))
sample("sub", "torch.sub(x, y)", x=normal(3, 4), y=normal(3, 1))
sample("sub", "torch.sub(x, y, alpha=3)", x=normal(3, 4), y=normal(4))
sample("sub", "1 - x", x=normal(3, 4))
sample("subtract", "torch.subtract(x, y, alpha=2)", x=normal(3, 4), y=normal(4))
sample("rsub", "torch.rsub(x, y)", x=normal(3, 4), y=normal(4))
sample("rsub", "torch.rsub(x, 1, alpha=2)", x=normal(3, 4))
sample("mul", "torch.mul(x, y)", x=normal(3, 4), y=normal(4))
sample("mul", "x * y", x=normal(2, 1, 4), y=normal(3, 1))
sample("mul", "3 * x", x=normal(3, 4))
sample("multiply", "torch.multiply(x, 3)", x=normal(3, 4))
sample("mul", "x * 2.5", x=integers(3, 4))
sample("div", "torch.div(x, y)", x=normal(3, 4), y=positive(4))
sample("div", "x / 3", x=normal(3, 4))
sample("divide", "torch.divide(x, y)", x=normal(3, 4), y=positive(4))
sample("div", "2 / x", x=positive(3, 4))
sample("div", "x / y", x=integers(3, 4), y=integers(4, low=1, high=5))
sample("div", "torch.div(x, y, rounding_mode='floor')", x=normal(3, 4), y=positive(4))
sample("div", "torch.div(x, y, rounding_mode='trunc')", x=normal(3, 4), y=positive(4))
sample("div", "torch.div(x, y, rounding_mode='trunc')", x=integers(2, 4), y=integers(4, low=1, high=5))
sample("true_divide", "torch.true_divide(x, y)", x=normal(3, 4), y=positive(4))
sample("floor_divide", "torch.floor_divide(x, y)", x=integers(3, 4), y=integers(4, low=1, high=5))
sample("floor_divide", "x // 3", x=integers(3, 4))
sample("floor_divide", "7 // x", x=integers(3, 4, low=1))
sample("remainder", "torch.remainder(x, y)", x=normal(3, 4), y=positive(4))
sample("remainder", "x % 3", x=normal(3, 4))
sample("remainder", "x % y", x=integers(3, 4), y=integers(4, low=1, high=5))
sample("fmod", "torch.fmod(x, y)", x=normal(3, 4), y=positive(4))
sample("fmod", "torch.fmod(x, -3)", x=integers(3, 4))
sample("neg", "torch.neg(x)", x=normal(3, 4))
sample("neg", "-x", x=integers(3, 4))
sample("negative", "torch.negative(x)", x=normal(3, 4))
sample("positive", "torch.positive(x)", x=normal(3, 4))
sample("lerp", "torch.lerp(x, y, 0.3)", x=normal(3, 4), y=normal(4))
sample("lerp", "torch.lerp(x, y, 0.8)", x=normal(3, 4), y=normal(4))
sample("lerp", "torch.lerp(x, y, z)", x=normal(3, 4), y=normal(4), z=unit(3, 1))
sample("addcmul", "torch.addcmul(x, y, z, value=3)", x=normal(3, 4), y=normal(4), z=normal(3, 1))
sample("addcmul", "torch.addcmul(x, y, z)", x=integers(3, 4), y=integers(4), z=integers(3, 1))
sample("addcdiv", "torch.addcdiv(x, y, z, value=2)", x=normal(3, 4), y=normal(4), z=positive(3, 1))
sample("gcd", "torch.gcd(x, y)", x=integers(3, 4, low=-20, high=20), y=integers(4), **WHOLE)
sample("lcm", "torch.lcm(x, y)", x=integers(3, 4), y=integers(4), **WHOLE)

# ---- powers
sample("pow", "torch.pow(x, y)", x=positive(3, 4), y=normal(4))
sample("pow", "torch.pow(x, 2)", x=normal(3, 4))
sample("pow", "torch.pow(x, 3)", x=normal(3, 4))
sample("pow", "x ** 2.5", x=positive(3, 4))
sample("pow", "x ** -1", x=positive(3, 4))
sample("pow", "x ** -2", x=positive(3, 4))
sample("pow", "x ** 0.5", x=positive(3, 4))
sample("pow", "x ** -0.5", x=positive(3, 4))
sample("pow", "x ** 1", x=normal(3, 4))
sample("pow", "x ** 0", x=normal(3, 4))
sample("pow", "torch.pow(2, x)", x=normal(3, 4))
sample("pow", "x ** y", x=integers(3, 4), y=integers(4, low=0, high=5))
sample("pow", "x ** 3", x=integers(3, 4))
sample("square", "torch.square(x)", x=normal(3, 4))
sample("float_power", "torch.float_power(x, 3)", x=normal(3, 4))
sample("float_power", "torch.float_power(x, y)", x=positive(3, 4), y=normal(4))
sample("ldexp", "torch.ldexp(x, y)", x=normal(3, 4), y=normal(4))

# ---- sizes and signs
sample("abs", "torch.abs(x)", x=normal(3, 4))
sample("abs", "abs(x)", x=integers(3, 4))
sample("absolute", "torch.absolute(x)", x=normal(3, 4))
sample("sign", "torch.sign(x)", x=normal(3, 4))
sample("sgn", "torch.sgn(x) + x", x=normal(3, 4))
sample("signbit", "torch.signbit(x)", x=normal(3, 4))
sample("copysign", "torch.copysign(x, y)", x=normal(3, 4), y=normal(4))
sample("copysign", "torch.copysign(x, -1)", x=normal(3, 4))

# ---- roots, exponentials, logarithms
sample("reciprocal", "torch.reciprocal(x)", x=positive(3, 4))
sample("sqrt", "torch.sqrt(x)", x=positive(3, 4))
sample("rsqrt", "torch.rsqrt(x)", x=positive(3, 4))
sample("hypot", "torch.hypot(x, y)", x=normal(3, 4), y=normal(4))
sample("exp", "torch.exp(x)", x=normal(3, 4))
sample("exp2", "torch.exp2(x)", x=normal(3, 4))
sample("expm1", "torch.expm1(x)", x=normal(3, 4))
sample("log", "torch.log(x)", x=positive(3, 4))
sample("log2", "torch.log2(x)", x=positive(3, 4))
sample("log10", "torch.log10(x)", x=positive(3, 4))
sample("log1p", "torch.log1p(x)", x=positive(3, 4))
sample("logaddexp", "torch.logaddexp(x, y)", x=normal(3, 4), y=normal(4))
sample("logaddexp2", "torch.logaddexp2(x, y)", x=normal(3, 4), y=normal(4))

# ---- angles
for name in ("sin", "cos", "tan", "atan", "arctan", "sinh", "cosh", "tanh", "asinh", "arcsinh"):
    sample(name, f"torch.{name}(x)", x=normal(3, 4))
for name in ("asin", "arcsin", "acos", "arccos", "atanh", "arctanh"):
    sample(name, f"torch.{name}(x)", x=unit(3, 4))
for name in ("acosh", "arccosh"):
    sample(name, f"torch.{name}(x)", x=above(1, 3, 4))
for name in ("atan2", "arctan2"):
    sample(name, f"torch.{name}(x, y)", x=normal(3, 4), y=normal(4))
for name in ("deg2rad", "rad2deg"):
    sample(name, f"torch.{name}(x)", x=normal(3, 4))

# ---- rounding
for name in ("floor", "ceil", "round", "trunc", "fix", "frac"):
    sample(name, f"torch.{name}(x)", x=normal(3, 4))
for name in ("floor", "ceil", "round", "trunc"):
    sample(name, f"torch.{name}(x)", x=integers(4, 3))
sample("round", "torch.round(x, decimals=1)", x=normal(3, 4))
sample("round", "torch.round(x * 100, decimals=-1)", x=normal(3, 4))

# ---- special functions
for name in ("erf", "erfc"):
    sample(name, f"torch.{name}(x)", x=normal(3, 4))
sample("erfinv", "torch.erfinv(x)", x=unit(3, 4))
sample("lgamma", "torch.lgamma(x)", x=positive(3, 4))
sample("digamma", "torch.digamma(x)", x=positive(3, 4), **COARSE)
sample("polygamma", "torch.polygamma(1, x)", x=positive(3, 4), **COARSE)
sample("polygamma", "torch.polygamma(2, x)", x=positive(3, 4))
sample("sinc", "torch.sinc(x)", x=normal(3, 4))
sample("logit", "torch.logit(x)", x=unit(3, 4))
sample("logit", "torch.logit(x, 0.2)", x=unit(3, 4))
sample("xlogy", "torch.xlogy(x, y)", x=normal(3, 4), y=positive(4))
sample("xlogy", "torch.xlogy(x, 2)", x=normal(3, 4))
sample("xlogy", "torch.xlogy(2.5, x)", x=positive(3, 4))
