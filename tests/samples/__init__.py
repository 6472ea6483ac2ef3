"""The table of samples: for each torch function the lines that the strong helper runs on every device.

    sample("mul", "torch.mul(x, y)", x=normal(3, 4), y=normal(4))

An expression is evaluated with `torch` bound to tinygrad_edu or to torch itself, and each input to a tensor; its value is
a tensor or a tuple of tensors. Inputs are drawn from a generator seeded by the sample's own text, so that recordings stay valid
whatever is added beside them.
"""
from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

SAMPLES = []


@dataclass(frozen=True)
class Input:
    """How to draw one input: `draw(generator, shape)` gives float64 numbers, ints or bools."""
    draw: object
    shape: tuple
    grad: bool = True                              # whether gradients are checked for it (floats only)


@dataclass(frozen=True)
class Sample:
    op: str                                        # torch's name of the function
    expression: str
    inputs: dict = field(default_factory=dict)
    dtypes: tuple = ("float64", "float32")         # the forward is compared in each of these (for the float inputs)
    second: bool = True                            # whether gradgradcheck makes sense
    exact: bool = False                            # bit for bit equal to torch, instead of to rounding
    why: str = ""                                  # the reason for anything unusual above

    def arrays(self):
        """Each input as a numpy array: float64, int64 or bool."""
        return {name: np.asarray(i.draw(np.random.default_rng(zlib.crc32(f"{self.op}|{self.expression}|{name}".encode())), i.shape))
                for name, i in self.inputs.items()}


def sample(op, expression, *, dtypes=("float64", "float32"), second=True, exact=False, why="", **inputs):
    SAMPLES.append(Sample(op, expression, inputs, tuple(dtypes), second, exact, why))


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
    return Input(lambda rng, shape: (rng.permutation(int(np.prod(shape))) * 0.1 - 0.05 * np.prod(shape)).reshape(shape), shape, grad)


def integers(*shape, low=-5, high=6):
    """Integers from low (included) to high (excluded), as int64."""
    return Input(lambda rng, shape: rng.integers(low, high, shape), shape, False)


def booleans(*shape):
    return Input(lambda rng, shape: rng.random(shape) < 0.5, shape, False)
