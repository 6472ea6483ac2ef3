"""Help for programs around the library, under torch's names: data and dlpack.

It knows nothing itself. What it has is loaded when it is first asked for.
"""
from __future__ import annotations

import importlib


def __getattr__(name):
    if name in ("data", "dlpack"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
