"""The table of samples: for each torch function the lines that the strong helper runs on every device.

    sample("mul", "torch.mul(x, y)", x=normal(3, 4), y=normal(4))

An expression is evaluated with `torch` bound to tinygrad_edu or to torch itself, and each input to a tensor; its value
is a tensor, a tuple of tensors or something Python can compare. Inputs are drawn from a generator seeded by the
sample's own text, so that recordings stay valid whatever is added beside them, and then rounded to float16: one
recorded answer serves every dtype. After adding lines: `python -m tests.goldens.record` (needs torch).
"""
from __future__ import annotations

import importlib
import pkgutil
import zlib
from dataclasses import dataclass, field

import numpy as np

SAMPLES = []
FLOATS = ("float64", "float32", "float16")
EVERY = (*FLOATS, "int64", "int32", "uint8", "bool")


@dataclass(frozen=True)
class Input:
    """How to draw one input: `draw(generator, shape)` gives float64 numbers, ints or bools."""
    draw: object
    shape: tuple
    grad: bool = True                              # whether gradients are checked for it (floats only)


@dataclass(frozen=True, eq=False)
class Sample:
    op: str                                        # torch's name of the function
    expression: str
    inputs: dict = field(default_factory=dict)
    dtypes: tuple = EVERY                          # in each of these the result is torch's, or refused as torch does
    second: bool = True                            # whether gradgradcheck makes sense
    exact: bool = False                            # bit for bit equal to torch, instead of to rounding
    node: bool = True                              # whether grad_fn has torch's name
    rtol: float = 1.0                              # times the usual tolerances
    edges: bool = True                             # whether empty and 0-d inputs behave as torch's
    layouts: bool = True                           # whether non-contiguous inputs give the same
    host: bool = False                             # whether it looks at the CPU's memory: cuda refuses, as in torch
    cuda: bool = True                              # whether it is run on cuda
    why: str = ""                                  # the reason for anything unusual above

    @property
    def key(self):
        return f"{self.expression}  # {self.op}: " + ", ".join(f"{name}{list(i.shape)}" for name,
                                                               i in self.inputs.items())

    def arrays(self):
        """Each input as a numpy array: float64, int64 or bool."""
        found = {}
        for name, i in self.inputs.items():
            array = np.asarray(i.draw(np.random.default_rng(zlib.crc32(f"{self.op}|{self.expression}|{name}".encode())),
                                      i.shape))
            found[name] = array.astype(np.float16).astype(np.float64) if array.dtype.kind == "f" else array
        return found


def sample(op, expression, *, dtypes=EVERY, second=True, exact=False, node=True, rtol=1.0, edges=True, layouts=True,
           host=False, cuda=True, why="", **inputs):
    """Add a line to the table."""
    usual = tuple(dtypes) == EVERY and second and node and rtol == 1.0 and edges and layouts and not host and cuda
    SAMPLES.append(Sample(op, expression, inputs, tuple(dtypes), second, exact, node, rtol, edges, layouts, host, cuda,
                          why or ("" if usual else "unexplained")))


def load():
    """The table, with the lines of every file of this folder in it."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return SAMPLES


# ---- how inputs are drawn
def normal(*shape, grad=True):
    """Around zero, none closer to zero than 0.05: most kinks are there."""
    def draw(rng, shape):
        x = rng.standard_normal(shape)
        return np.where(np.abs(x) < 0.05, 0.05 + np.abs(x), x)
    return Input(draw, shape, grad)


def positive(*shape, grad=True):
    """Between 0.5 and 2.5."""
    return Input(lambda rng, shape: rng.random(shape) * 2 + 0.5, shape, grad)


def unit(*shape, grad=True):
    """Between 0.05 and 0.95, for probabilities and for functions defined on (-1, 1)."""
    return Input(lambda rng, shape: rng.random(shape) * 0.9 + 0.05, shape, grad)


def distinct(*shape, grad=True):
    """No two numbers closer than 0.1: for sorting, maxima and medians."""
    return Input(lambda rng, shape: (rng.permutation(int(np.prod(shape))) * 0.1 - 0.05 * np.prod(shape)).reshape(shape),
                 shape, grad)


def integers(*shape, low=-5, high=6):
    """Integers from low (included) to high (excluded), as int64."""
    return Input(lambda rng, shape: rng.integers(low, high, shape), shape, False)


def booleans(*shape):
    return Input(lambda rng, shape: rng.random(shape) < 0.5, shape, False)
