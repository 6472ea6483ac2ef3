"""Samples of comparisons, logic and bits, of choices between numbers, and of activations."""
from . import booleans, distinct, integers, normal, positive, sample, unit

WHOLE = {"dtypes": ("int64", "int32", "uint8", "bool"), "why": "only of integers"}
SINGLE = {"rtol": 10000, "why": "torch rounds this op's constant to float32, also in float64"}

# ---- comparisons
for name in ("eq", "ne", "not_equal", "lt", "less", "le", "less_equal", "gt", "greater", "ge", "greater_equal"):
    sample(name, f"torch.{name}(x, y)", x=integers(3, 4), y=integers(4))
sample("eq", "x == 2", x=integers(3, 4))
sample("lt", "x < 0.5", x=integers(3, 4))
sample("gt", "1 > x", x=normal(3, 4))
for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf"):
    sample(name, f"torch.{name}(x / (x - y))", x=integers(3, 4), y=integers(4))
sample("isreal", "torch.isreal(x)", x=normal(3, 4))
sample("isclose", "torch.isclose(x, x + y)", x=normal(3, 4), y=normal(4))
sample("isclose", "torch.isclose(x, y, rtol=0.2, atol=1)", x=integers(3, 4), y=integers(4))
sample("allclose", "torch.tensor(torch.allclose(x, x + y))", x=normal(3, 4), y=normal(4))
sample("equal", "torch.tensor(torch.equal(x, x))", x=normal(3, 4))
sample("is_same_size", "torch.tensor(torch.is_same_size(x, y))", x=normal(3, 4), y=normal(4, 3))

# ---- logic and bits
for name in ("and", "or", "xor"):
    sample(f"logical_{name}", f"torch.logical_{name}(x, y)", x=integers(3, 4, low=0, high=2),
           y=integers(4, low=0, high=2))
    sample(f"bitwise_{name}", f"torch.bitwise_{name}(x, y)", x=integers(3, 4), y=integers(4), **WHOLE)
    sample(f"bitwise_{name}", f"torch.bitwise_{name}(x, y)", x=booleans(2, 4), y=booleans(4), **WHOLE)
sample("bitwise_and", "6 & x", x=integers(3, 4), **WHOLE)
sample("logical_not", "torch.logical_not(x)", x=integers(3, 4, low=0, high=2))
sample("bitwise_not", "torch.bitwise_not(x)", x=integers(3, 4), **WHOLE)
sample("bitwise_not", "~x", x=booleans(3, 4), **WHOLE)
sample("bitwise_left_shift", "torch.bitwise_left_shift(x, y)", x=integers(3, 4), y=integers(4, low=0, high=5), **WHOLE)
sample("bitwise_left_shift", "x << 2", x=integers(3, 4), **WHOLE)
sample("bitwise_right_shift", "torch.bitwise_right_shift(x, y)", x=integers(3, 4, low=-50, high=50),
       y=integers(4, low=0, high=5), **WHOLE)
sample("bitwise_right_shift", "x >> 1", x=integers(3, 4), **WHOLE)

# ---- choices
sample("where", "torch.where(c, x, y)", c=booleans(3, 4), x=normal(3, 4), y=normal(4))
sample("where", "torch.where(c, x, 0.5)", c=booleans(3, 4), x=normal(4))
sample("where", "torch.where(c, 1, 0)", c=booleans(3, 4), dtypes=("bool",), why="a condition")
sample("where", "x.where(x > 0, -x)", x=normal(3, 4))
for name in ("maximum", "minimum", "fmax", "fmin"):
    sample(name, f"torch.{name}(x, y)", x=normal(3, 4), y=normal(4))
sample("maximum", "torch.maximum(x, y)", x=integers(2, 4), y=integers(4))
sample("clamp", "torch.clamp(x, -0.53, 0.31)", x=distinct(3, 4))
sample("clamp", "torch.clamp(x, min=-0.12)", x=distinct(3, 4))
sample("clamp", "torch.clamp(x, max=0.12)", x=distinct(3, 4))
sample("clamp", "torch.clamp(x, y, z)", x=normal(3, 4), y=normal(4), z=normal(3, 1))
sample("clamp", "torch.clamp(x, min=y)", x=normal(3, 4), y=normal(4))
sample("clamp", "torch.clamp(x, max=y)", x=normal(3, 4), y=normal(4))
sample("clamp", "x.clamp(-2, 2)", x=integers(3, 4))
sample("clip", "torch.clip(x, -0.53, 0.31)", x=distinct(3, 4))
sample("clamp_min", "torch.clamp_min(x, 0.02)", x=distinct(3, 4))
sample("clamp_min", "torch.clamp_min(x, y)", x=normal(3, 4), y=normal(4))
sample("clamp_max", "torch.clamp_max(x, 0.02)", x=distinct(3, 4))
sample("clamp_max", "torch.clamp_max(x, y)", x=normal(3, 4), y=normal(4))
sample("nan_to_num", "torch.nan_to_num(x)", x=normal(3, 4))
sample("nan_to_num", "torch.nan_to_num(x / y, 1.0, 2.0, 3.0)", x=integers(3, 4), y=integers(4, low=-1, high=2))
sample("heaviside", "torch.heaviside(x, y)", x=integers(3, 4), y=integers(4))

# ---- activations
sample("relu", "torch.relu(x)", x=normal(3, 4))
sample("sigmoid", "torch.sigmoid(x)", x=normal(3, 4))
for name in ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "sigmoid",
             "tanh", "logsigmoid", "hardtanh", "hardswish", "tanhshrink", "softsign", "hardshrink", "softshrink"):
    sample(f"nn.functional.{name}", f"torch.nn.functional.{name}(x)", x=normal(3, 4))
for name in ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardtanh", "hardswish"):
    sample(f"nn.functional.{name}", f"torch.nn.functional.{name}(x * 2, inplace=True)", x=normal(3, 4), node=False,
           why="torch has a second node for some activations in place")
sample("nn.functional.hardsigmoid", "torch.nn.functional.hardsigmoid(x)", x=normal(3, 4), **SINGLE)
sample("selu", "torch.selu(x)", x=normal(3, 4))
sample("celu", "torch.celu(x, 0.75)", x=normal(3, 4), **SINGLE)
sample("threshold", "torch.threshold(x, 0.02, 1.5)", x=distinct(3, 4))
sample("hardshrink", "torch.hardshrink(x, 0.22)", x=distinct(3, 4))
sample("prelu", "torch.prelu(x, w)", x=normal(3, 4), w=unit(1))
sample("nn.functional.prelu", "torch.nn.functional.prelu(x, w)", x=normal(2, 3, 4), w=unit(3))
sample("nn.functional.leaky_relu", "torch.nn.functional.leaky_relu(x, 0.3)", x=normal(3, 4))
sample("nn.functional.elu", "torch.nn.functional.elu(x, 0.6)", x=normal(3, 4))
sample("nn.functional.gelu", "torch.nn.functional.gelu(x, approximate='tanh')", x=normal(3, 4))
sample("nn.functional.softplus", "torch.nn.functional.softplus(x, 2, 1)", x=normal(3, 4))
sample("nn.functional.hardtanh", "torch.nn.functional.hardtanh(x, -0.52, 0.31)", x=distinct(3, 4))
sample("nn.functional.threshold", "torch.nn.functional.threshold(x, 0.02, 1.5)", x=distinct(3, 4))
sample("nn.functional.softshrink", "torch.nn.functional.softshrink(x, 0.22)", x=distinct(3, 4))
sample("nn.functional.relu6", "torch.nn.functional.relu6(x * 4)", x=positive(3, 4))
sample("nn.functional.hardswish", "torch.nn.functional.hardswish(x * 2)", x=normal(3, 4))
