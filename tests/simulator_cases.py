"""What numbers do in a kernel, case by case: both back ends of the simulator must give exactly this.

Each case is an expression of x and y, elements of arrays of the given dtypes, and what an array of the last dtype then
holds. The rules are numba's on a GPU: integers are 64 bits wide in between, float32 with an integer gives float64,
nothing raises.
"""
from __future__ import annotations

import importlib.util

import numpy as np

inf, nan = np.inf, np.nan
f4 = np.float32
TENTH = float(f4(0.1))                              # 0.1 as float32 has it


def f32(x):
    return float(f4(x))


def wrap(x):
    return (x + 2 ** 63) % 2 ** 64 - 2 ** 63


def xorshift(x):
    """Marsaglia's random numbers, with signed shifts."""
    for _ in range(5):
        x ^= wrap(x << 13)
        x ^= x >> 7
        x ^= wrap(x << 17)
    return x


# x dtype, y dtype, result dtype, then (x, y, expression, expected)
CASES = {
    ("f4", "f4", "f8"): [
        # float32 with float32 stays float32; a literal is a float64, an integer makes one
        (0.1, 0.2, "x + y", float(f4(0.1) + f4(0.2))),
        (0.1, 3, "x * y", float(f4(0.1) * f4(3))),
        (0.1, 0, "x * 3", TENTH * 3),
        (0.1, 0, "x * 3.0", TENTH * 3),
        (0.1, 0, "1 - x", 1 - TENTH),
        (0.1, 0, "x / 3", TENTH / 3),
        (0.1, 0, "x / float32(3)", float(f4(0.1) / f4(3))),
        (0.1, 0, "x + True", float(f4(0.1) + f4(1))),
        (0.1, 0, "float(x)", TENTH),
        (0.1, 0, "float64(x) * float64(x)", TENTH * TENTH),
        (0.1, 0.3, "max(x, y) * y", float(f4(0.3) * f4(0.3))),
        (0.1, 0, "x if x > 0 else 0.0", TENTH),
        (0.1, 0, "x * x if x > 5 else x * 2.5", TENTH * 2.5),
        (0.1, 0, "-x", -TENTH),
        (0.1, 0, "abs(-x)", TENTH),
        (16777216, 0, "x + float32(1)", 16777216.0),
        (16777216, 0, "x + 1", 16777217.0),
        (3e38, 10, "x * y", inf),
        (1e-30, 1e-30, "x * y", 0.0),
        # division by zero, and what has no value
        (1, 0, "x / y", inf),
        (-1, 0, "x / y", -inf),
        (0, 0, "x / y", nan),
        (1, -0.0, "x / y", -inf),
        (7, 0, "x // y", inf),
        (7, 0, "x % y", nan),
        (-7.5, 2, "x // y", -4.0),
        (-7.5, 2, "x % y", 0.5),
        (inf, inf, "x - y", nan),
        # Python's functions
        (nan, 1, "max(x, y)", 1.0),
        (1, nan, "max(x, y)", 1.0),
        (nan, 1, "min(x, y)", 1.0),
        (1, nan, "min(x, y)", 1.0),
        (nan, nan, "max(x, y)", nan),
        (2, 3, "max(x, 0)", 2.0),
        (2, 3, "min(x, y, 1)", 1.0),
        (2, 0.5, "x ** 2", 4.0),
        (2, -1, "x ** y", 0.5),
        (-8, 0.5, "x ** y", nan),
        (0, -1, "x ** y", inf),
        # math: IEEE results instead of exceptions, float32 for float32
        (1000, 0, "math.exp(x)", inf),
        (0, 0, "math.log(x)", -inf),
        (-1, 0, "math.log(x)", nan),
        (-1, 0, "math.sqrt(x)", nan),
        (2, 0, "math.sqrt(x)", f32(np.sqrt(2))),
        (2, 0, "math.acos(x)", nan),
        (inf, 0, "math.sin(x)", nan),
        (0, -1, "math.pow(x, y)", inf),
        (-1, 0, "math.log1p(x)", -inf),
        (1000, 0, "math.expm1(x)", inf),
        (1, 0, "math.atanh(x)", inf),
        (0, 0, "x ** -1", inf),
        (0, -1, "x ** int(y)", inf),
        (-0.0, 0, "math.gamma(x)", -inf),
        (2, 0, "math.fabs(-x)", 2.0),
        (-0.0, 0, "math.copysign(float32(1), x)", -1.0),
        (1000, 0, "math.cosh(x)", inf),
        (nan, 0, "math.tanh(x)", nan),
    ],
    ("f4", "f4", "i8"): [
        (2.7, 0, "int(x)", 2),
        (-2.7, 0, "int(x)", -2),
        (2.5, 0, "round(x)", 2),
        (3.5, 0, "round(x)", 4),
        (-2.5, 0, "math.floor(x)", -3),
        (-2.5, 0, "math.ceil(x)", -2),
        (nan, 0, "x == x", 0),
        (nan, 0, "x != x", 1),
        (nan, 1, "x < y", 0),
        (0.1, 0, "x == 0.1", 0),
        (0.1, 0, "x == float32(0.1)", 1),
        (nan, 0, "math.isnan(x)", 1),
        (inf, 0, "math.isfinite(x)", 0),
        (0, 0, "not x", 1),
        (2.7, 0, "uint32(x)", 2),
        (2.7, 0, "int32(x) / 2 * 2", 2),
        # what is too large becomes the nearest integer of 16 bits at least (PTX's cvt.rzi saturates)
        (3e9, 0, "int32(x)", 2**31 - 1),
        (-3e9, 0, "int32(x)", -(2**31)),
        (-7, 0, "uint32(x)", 0),
        (inf, 0, "uint32(x)", 2**32 - 1),
        (40000, 0, "int8(x)", -1),
        (70000, 0, "uint8(x)", 255),
        (-5, 0, "uint8(x)", 0),
        (9.21e18, 0, "int(x)", int(f4(9.21e18))),
        (1e30, 0, "int(x)", 2**63 - 1),
        (-1e30, 0, "round(x)", -(2**63)),
        (inf, 0, "math.floor(x)", 2**63 - 1),
        (nan, 0, "int32(x)", 0),
        (nan, 0, "int(x)", -(2**63)),
    ],
    ("f4", "f4", "u1"): [(300, 0, "int32(x)", 44), (5.9, 0, "x", 5)],
    ("f4", "f4", "b1"): [(0, 0, "x", False), (0.5, 0, "x", True), (nan, 0, "x", True), (2, 3, "x > y", False)],
    ("f8", "f8", "f4"): [(0.1, 0, "x", TENTH), (1e300, 0, "x", inf), (0.1, 0.2, "x + y", f32(0.1 + 0.2))],
    ("f8", "f8", "f8"): [
        (1e308, 10, "x * y", inf),
        (1, 0, "x / y", inf),
        (0.1, 0.2, "x + y", 0.1 + 0.2),
        (800, 0, "math.exp(x)", inf),
        (0.1, 0, "float32(x)", TENTH),
        (0.1, 0, "x * 2", 0.2),
    ],
    ("f4", "i4", "f8"): [
        (0.1, 3, "x * y", TENTH * 3),
        (0.1, 3, "x / y", TENTH / 3),
        (1, 0, "x / y", inf),
        (0, 0, "x / y", nan),
        (0.1, 3, "max(x, y)", 3.0),
        (0.1, 3, "x if y > 5 else y", 3.0),
        (0.1, 3, "x * float32(y)", float(f4(0.1) * f4(3))),
        (0.1, 16777217, "x + y", TENTH + 16777217),
        (1.1, 3, "x ** y", None),
    ],
    ("f4", "i4", "i8"): [(16777216, 16777217, "x == y", 0), (1.5, 1, "x > y", 1)],
    ("i4", "i4", "i8"): [
        # 64 bits in between
        (2**31 - 1, 2**31 - 1, "x + y", 2**32 - 2),
        (2**31 - 1, 2, "x * y", 2**32 - 2),
        (-7, 2, "x // y", -4),
        (-7, 2, "x % y", 1),
        (7, -2, "x // y", -4),
        (7, -2, "x % y", -1),
        (7, 0, "x // y", 0),
        (7, 0, "x % y", 0),
        (2, 10, "x ** y", 1024),
        (2, -1, "x ** y", 0),
        (-3, 3, "x ** y", -27),
        (1, 33, "x << y", 2**33),
        (-5, 1, "x >> y", -3),
        (6, 3, "x & y", 2),
        (6, 3, "x | y", 7),
        (6, 3, "x ^ y", 5),
        (6, 0, "~x", -7),
        (2**31 - 1, 1, "int32(x + y)", -(2**31)),
        (-1, 0, "uint32(x)", 2**32 - 1),
        (300, 0, "int8(x)", 44),
        (300, 0, "uint8(x)", 44),
        (-5, 0, "abs(x)", 5),
        (1, 2, "True + True", 2),
        (3, 5, "max(x, y)", 5),
        (3, 5, "min(x, y, 1)", 1),
        (3, 5, "(x > 1) + (y > 1)", 2),
        (3, 5, "x < y and y < 9", 1),
        (7, 2, "divmod(x, y)[0] * 10 + divmod(x, y)[1]", 31),
        (3, 0, "x and 2", 2),
        # operands without a result in C or numba
        (0, -1, "x ** y", -(2**63)),
        (-1, -3, "x ** y", -1),
        (-5, 70, "x >> y", -1),
        (-5, 0, "x >> 70", -1),
        (5, 64, "x << y", 0),
        (-(2**31), 0, "-x", -(2**31)),
        (-(2**31), 0, "abs(x)", -(2**31)),
        # bits are counted in the operand's width: int32 here, int64 after arithmetic
        (-1, 0, "cuda.popc(x)", 32),
        (-1, 0, "cuda.popc(x + 0)", 64),
        (0, 0, "cuda.clz(x)", 32),
        (0, 0, "cuda.clz(x + 1)", 63),
        (0, 0, "cuda.clz(cuda.threadIdx.x)", 32),
        (0, 0, "cuda.clz(cuda.threadIdx.x + 1)", 63),
        (-(2**31), 0, "cuda.ffs(x)", 32),
        (1, 0, "cuda.brev(x)", 2**31),
    ],
    ("i4", "i4", "f8"): [
        (1, 2, "x / y", 0.5),
        (1, 0, "x / y", inf),
        (0, 0, "x / y", nan),
        (-1, 0, "x / y", -inf),
        (2, 0, "math.sqrt(x)", float(np.sqrt(2.0))),
        (2, 3, "float32(x) / float32(y)", float(f4(2) / f4(3))),
        (3, 0, "float(x) / 7", 3 / 7),
        (16777217, 0, "float32(x)", 16777216.0),
    ],
    ("i4", "i4", "i4"): [
        (2**31 - 1, 1, "x + y", -(2**31)),
        (-(2**31), 1, "x - y", 2**31 - 1),
        (65536, 65536, "x * y", 0),
    ],
    ("i4", "i4", "i1"): [(200, 0, "x", -56), (-129, 0, "x", 127)],
    ("i4", "i4", "u1"): [(-1, 0, "x", 255), (256, 0, "x", 0)],
    ("i4", "i4", "b1"): [(2, 0, "x", True), (0, 0, "x", False)],
    ("i8", "i8", "i8"): [
        (2**62, 4, "x * y", 0),
        (2**63 - 1, 1, "x + y", -(2**63)),
        (3, 0, "x * 1103515245 * 1103515245 + 12345", None),
        (1 << 40, 0, "cuda.clz(x)", 23),
        (1 << 40, 0, "cuda.ffs(x)", 41),
        (-1, 0, "cuda.popc(x)", 64),
        (2**62, 4, "(x * y + 6) // 2", 3),
        (2**62, 4, "(x * y + 6) >> 1", 3),
        (2**62, 2, "x * y < 0", 1),
        (2**62, 2, "float64(x * y) < 0", 1),
        (2**62, 2, "max(x * y, 0)", 0),
    ],
    ("u4", "u4", "u8"): [
        # with each other unsigned ones are 64 bits wide; with a literal they are signed
        (2**32 - 1, 2**32 - 1, "x * y", (2**32 - 1) ** 2),
        (2**32 - 1, 1, "x + y", 2**32),
        (1, 2, "x - y", 2**64 - 1),
        (2**32 - 1, 1, "x << y", 2**33 - 2),
        (5, 0, "x >> 1", 2),
        (7, 0, "x // y", 0),
        (7, 2, "x % y", 1),
        (6, 3, "x ^ y", 5),
        (2**32 - 1, 1, "uint32(x + y)", 0),
        (2**32 - 1, 3, "uint64(x) * uint64(y)", (2**32 - 1) * 3),
        (2**32 - 1, 0, "uint32(x * x) >> uint32(1)", 0),
        (3, 0, "max(x, y)", 3),
    ],
    ("u4", "u4", "i8"): [
        (1, 0, "x - 2", -1),
        (7, 0, "x // -2", -4),
        (1, 2, "x > y", 0),
        (3, 0, "int32(x) - 4", -1),
        (2**32 - 1, 0, "int32(x)", -1),
    ],
    ("u4", "u4", "f8"): [(3, 2, "x / y", 1.5), (2**32 - 1, 0, "float64(x)", 2.0**32 - 1), (1, 0, "x * 0.5", 0.5)],
    ("u8", "u8", "u8"): [
        (2**64 - 1, 1, "x + y", 0),
        (2**64 - 1, 2**64 - 1, "x * y", 1),
        (2**63, 1, "x >> y", 2**62),
        (2**64 - 1, 255, "x & y", 255),
        (2**64 - 1, 10, "x % y", 5),
        (2**64 - 1, 0, "x >> 32", 2**32 - 1),
    ],
    ("u8", "u8", "i8"): [
        (2**63, 0, "x // 2", -(2**62)),
        (2**63, 0, "x % 3", 1),
        (2**64 - 1, 0, "cuda.popc(x)", 64),
        (1, 0, "cuda.clz(x)", 63),
        (2**63, 0, "cuda.brev(x)", 1),
    ],
    ("u1", "u1", "i8"): [
        (200, 100, "x + y", 300),
        (200, 100, "x * y", 20000),
        (3, 5, "x - 5", -2),
        (1, 0, "~x", 254),
        (1, 0, "-x", 255),
        (8, 0, "cuda.clz(x)", 4),
    ],
    ("i2", "f4", "f8"): [(3, 0.1, "x * y", float(f4(3) * f4(0.1)))],
    ("b1", "b1", "i8"): [
        (True, True, "x + y", 2),
        (True, False, "x and y", 0),
        (True, True, "x & y", 1),
        (True, False, "not x", 0),
        (True, True, "x ^ y", 0),
        (True, False, "x * 5", 5),
        (True, False, "-x", -1),
    ],
    ("f2", "f2", "f8"): [
        (0.1, 0.2, "x + y", float(f4(np.float16(0.1)) + f4(np.float16(0.2)))),
        (60000, 2, "x * y", 120000.0),
        (0.1, 0, "float16(float32(x) * float32(3))", float(np.float16(f4(np.float16(0.1)) * f4(3)))),
    ],
    ("f4", "f4", "f2"): [(0.1, 0, "x", float(np.float16(f4(0.1)))), (70000, 0, "x", inf), (1.0004882812, 0, "x", 1.0)],
}
HAND_MADE = {                                       # results that are no matter of one line
    "x ** y": lambda x, y: float(f4(f4(1.1) ** 3)),
    "x * 1103515245 * 1103515245 + 12345": lambda x, y: (3 * 1103515245 ** 2 + 12345 + 2 ** 63) % 2 ** 64 - 2 ** 63}

# A variable with two assignments has one type where both may arrive.
STATEMENTS = [
    ("f4", "f8", ["s = 0", "for k in range(3):", "    s += x"], "s", 0.1, TENTH + TENTH + TENTH),
    ("f4", "f8", ["s = 0.0", "for k in range(3):", "    s += x"], "s", 0.1, TENTH + TENTH + TENTH),
    ("f4", "f8", ["s = float32(0)", "for k in range(3):", "    s += x"], "s", 0.1, float(f4(0.1) + f4(0.1) + f4(0.1))),
    ("f4", "f8", ["s = x", "if x > 5:", "    s = 2.5", "s = s * s"], "s", 0.1, TENTH * TENTH),
    ("f4", "f8", ["s = x", "if x > 5:", "    s = float32(2)", "s = s * s"], "s", 0.1, float(f4(0.1) * f4(0.1))),
    ("f4", "f8", ["s = 1", "if x > 5:", "    s = x", "s = s / 3"], "s", 0.1, 1 / 3),
    ("f4", "f8", ["m = -math.inf", "for k in range(2):", "    m = max(m, x)", "m *= m"], "m", 0.1, TENTH * TENTH),
    ("i8", "i8", ["h = 1", "for k in range(20):", "    h = h * 31 + x"], "h % 1000003", 12345, None),
    ("i4", "i8", ["h = 1", "for k in range(70):", "    h *= 3"], "h", 1, (pow(3, 70) + 2**63) % 2**64 - 2**63),
    ("i4", "i8", ["y = x + 0", "for k in range(70):", "    y = y + y"], "y", 1, 0),
    ("i4", "i8", ["y = x + 0", "for k in range(70):", "    z = y + y", "    y = z + z - y"], "y", 1, wrap(3**70)),
    ("i8", "i8", ["for k in range(5):", "    x ^= x << 13", "    x ^= x >> 7", "    x ^= x << 17"], "x",
     88172645463325252,
     xorshift(88172645463325252)),
    ("i4", "i8", ["a = x", "b = 7", "a, b = b, a"], "a * 10 + b", 3, 73),
    (
        "i4",
        "i8",
        [
            "s = 0",
            "for k in range(10):",
            "    if k == 7:",
            "        break",
            "    if k % 2:",
            "        continue",
            "    s += k",
        ],
        "s",
        1,
        12,
    ),
    ("i4", "i8", ["s = 0", "k = 5", "while k:", "    k -= 1", "    s += k * x"], "s", 2, 20),
]


def hash_of(x):
    h = 1
    for _ in range(20):
        h = (h * 31 + x + 2 ** 63) % 2 ** 64 - 2 ** 63
    return h % 1000003


HEAD = ("import math\nfrom tinygrad_edu.kernels.provider import (boolean, cuda, float16, float32, float64, int8, "
        "int32, uint8,\n                                           uint32, uint64)\n\n\n")


def load(path, text):
    path.write_text(HEAD + text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.kernel


def expressions(folder):
    """(name, kernel's function, arrays x, y, o, the expected o, the expressions) for each group of cases."""
    for (dx, dy, do), cases in CASES.items():
        lines = [f"    x, y = xs[{k}], ys[{k}]\n    o[{k}] = {case[2]}\n" for k, case in enumerate(cases)]
        name = f"cases_{dx}_{dy}_{do}"
        kernel = load(folder / f"{name}.py", "def kernel(xs, ys, o):\n" + "".join(lines))
        with np.errstate(all="ignore"):
            x, y = [np.array([case[k] for case in cases], d) for k, d in ((0, dx), (1, dy))]
            want = np.array([HAND_MADE[case[2]](*case[:2]) if case[3] is None else case[3] for case in cases], do)
        yield name, kernel, [x, y, np.zeros(len(cases), do)], want, [case[2] for case in cases]


def statements(folder):
    """The same for STATEMENTS; one kernel each."""
    for k, (dx, do, lines, result, x, want) in enumerate(STATEMENTS):
        text = (
            "def kernel(xs, o):\n    x = xs[0]\n"
            + "".join([f"    {line}\n" for line in lines])
            + f"    o[0] = {result}\n"
        )
        kernel = load(folder / f"statements_{k}.py", text)
        yield f"statements_{k}", kernel, [np.array([x], dx), np.zeros(1, do)], \
            np.array([hash_of(x) if want is None else want], do), [text]


def check(kernel, args, want, what, run):
    """run(grid, block, shared_bytes, args) must give the expected elements, to the last bit."""
    run((1, 1, 1), (1, 1, 1), 0, args)
    got = args[-1]
    wrong = [f"{text}: {g!r}, not {w!r}" for text, g, w in zip(what, got, want)
             if not (g == w or (g != g and w != w))]
    assert not wrong, "\n".join(wrong)
