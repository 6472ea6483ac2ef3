"""Ask torch for its random numbers, and keep them in random_numbers.json: `python -m tests.goldens.random_numbers`.

Each line is evaluated after `manual_seed(7)`. Few numbers are kept as they are, many as a checksum of
their bytes (some of them in float64).
Record on a CPU that is not Intel's: there torch draws `bernoulli_(p)` and dropout from a generator of Intel's library.
"""
from __future__ import annotations

import json
import zlib
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")
SIZES = (0, 1, 2, 15, 16, 17, 31, 33, 1000)
FLOATS = ("float32", "float64", "float16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "bool")
LINES = [
    *(f"{draw}({n}, dtype=torch.{dtype})" for draw in ("torch.rand", "torch.randn") for n in SIZES for dtype in FLOATS),
    *(f"torch.empty({n}, dtype=torch.{dtype}).{fill}" for n in (5, 20, 100) for dtype in FLOATS
      for fill in ("uniform_(-2, 3.5)", "normal_(2.5, 0.3)", "exponential_(1.5)", "random_(3, 100)", "random_()")),
    *(f"torch.empty(20, dtype=torch.{dtype}).{fill}" for dtype in INTEGERS
      for fill in ("random_()", "random_(1)", "bernoulli_(0.3)")),
    *(f"torch.randint(-3, {high}, (9,))" for high in (4, 2 ** 28 - 4, 2 ** 28 - 3, 2 ** 32, 2 ** 62)),
    "torch.randint(10, (3, 4), dtype=torch.float32)", "torch.randint_like(torch.ones(2, 3), 5)",
    *(f"torch.randperm({n})" for n in (0, 1, 2, 10, 1000)), "torch.randperm(12, dtype=torch.float32)",
    "torch.rand(3, 4)", "torch.rand(5, 7).t()", "torch.empty(7, 5).t().uniform_()", "torch.empty(7, 5).t().normal_()",
    "torch.empty(4, 10)[:, ::2].normal_()", "torch.empty(3, 4, 5).permute(2, 0, 1).random_(0, 100)",
    "torch.empty(7, 5).t().bernoulli_(0.4)", "torch.rand_like(torch.ones(4, 5).t())",
    "torch.randn_like(torch.ones(4, 5).t())",
    "torch.normal(2.0, 3.0, (20,))", "torch.normal(torch.arange(20.), 0.5)", "torch.normal(1.0, torch.arange(20.))",
    "torch.normal(torch.zeros(3, 1), torch.ones(4))", "torch.bernoulli(torch.linspace(0, 1, 20))",
    "torch.bernoulli(torch.ones(20), 0.3)",
    "torch.bernoulli(torch.linspace(0, 1, 20, dtype=torch.float64))", "torch.empty(9).bernoulli_(torch.tensor(0.5))",
    "torch.multinomial(torch.arange(1., 9.), 5)", "torch.multinomial(torch.arange(1., 9.), 20, replacement=True)",
    "torch.multinomial(torch.arange(12.).reshape(3, 4) + 1, 2)", "torch.multinomial(torch.ones(5), 1)",
    "torch.nn.functional.dropout(torch.ones(30), 0.3)", "torch.nn.functional.dropout(torch.ones(5, 6).t(), 0.6)",
    "torch.nn.functional.dropout2d(torch.ones(4, 5, 2, 2), 0.4)",
    "torch.dropout(torch.ones(20, dtype=torch.float64), 0.25, True)",
    "torch.cat([torch.randn(3), torch.rand(2), torch.randn(5), torch.randn(20), torch.randn(2)])",
]
CHECKSUM_FROM = 40


def answer(torch, line):
    """[dtype, shape, numbers or checksum] of what a line gives."""
    torch.manual_seed(7)
    found = eval(line, {"torch": torch})
    numbers = found.numpy().ravel()
    exact = numbers.dtype != "float64"             # the last bit of a float64 logarithm is the C library's
    if len(numbers) >= CHECKSUM_FROM:
        return [str(found.dtype), list(found.shape), zlib.crc32(numbers.tobytes()) if exact else numbers[::37].tolist()]
    return [str(found.dtype), list(found.shape), numbers.tolist()]


def read():
    return json.loads(FILE.read_text())


if __name__ == "__main__":
    import torch
    kept = [f"{json.dumps(line)}: {json.dumps(answer(torch, line))}" for line in LINES]
    FILE.write_text("{\n" + ",\n".join(kept) + "\n}\n")
