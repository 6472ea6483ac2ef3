"""torch.nn.functional: the functions behind the modules.

They are ops, written in `tinygrad_edu.ops` and registered there as "nn.functional.<name>". Nothing is computed here.
"""
from __future__ import annotations

from ..core.export import functions

_PREFIX = "nn.functional."

globals().update({name.removeprefix(_PREFIX): function for name,
                  function in functions.items() if name.startswith(_PREFIX)})


def __getattr__(name):
    """A function that an op registered after this module was imported."""
    found = functions.get(_PREFIX + name)
    if found is None:
        raise AttributeError(f"module 'torch.nn.functional' has no attribute '{name}'")
    return found
