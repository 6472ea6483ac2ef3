"""torch.linalg: the functions that are registered under that name.

It computes nothing itself.
"""
from .core.export import functions as _functions

globals().update({_name.removeprefix("linalg."): _f for _name, _f in _functions.items() if _name.startswith("linalg.")})
