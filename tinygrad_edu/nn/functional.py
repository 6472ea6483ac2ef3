"""torch.nn.functional: the functions behind the modules.

They are ops, written in `tinygrad_edu.ops` and registered there as "nn.functional.<name>". Here stands only what is
put together from others.
"""
from __future__ import annotations

from ..core.export import functions

_PREFIX = "nn.functional."

globals().update({name.removeprefix(_PREFIX): f for name, f in functions.items() if name.startswith(_PREFIX)})


def glu(input, dim=-1):
    """The first half of `input` along `dim`, times the sigmoid of the second."""
    if not input.ndim:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    size = input.size(dim)
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim % input.ndim} is size {size}")
    first, second = input.chunk(2, dim)
    return first * second.sigmoid()


def __getattr__(name):
    """A function that an op registered after this module was imported."""
    found = functions.get(_PREFIX + name)
    if found is None:
        raise AttributeError(f"module 'torch.nn.functional' has no attribute '{name}'")
    return found
