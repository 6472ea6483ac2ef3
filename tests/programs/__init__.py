"""Small programs, run with torch and with tinygrad_edu: both must say the same.

Each is a function of the module (`torch`, whichever it is) that yields what it finds: tensors, numbers, refusals.
`python -m tests.goldens.record` keeps what torch yields.
"""
from __future__ import annotations

import importlib
import pkgutil
import warnings

PROGRAMS = {}


def program(function):
    """Enter a generator function of `torch` into the table, under its file's name and its own."""
    PROGRAMS[f"{function.__module__.rpartition('.')[2]}: {function.__name__}"] = function
    return function


def load():
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return PROGRAMS


def named(file):
    """The names of the programs of one file."""
    return [name for name in load() if name.startswith(f"{file}: ")]


def refused(function):
    """The type and the first line of the error that a call raises."""
    try:
        found = function()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return f"accepted: {show(found)}"


def show(value):
    """A value as text that is the same for both modules."""
    if hasattr(value, "grad_fn") and hasattr(value, "tolist"):
        return f"{value.tolist()}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(show(v) for v in value) + ")"
    return str(value)


def outcome(function, torch):
    """Everything a program yields, as a list of texts; its error, if it fails, as the last."""
    found = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for value in function(torch):
                found.append(show(value))
    except Exception as error:
        found.append(f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return found


def outcomes(torch):
    return {name: outcome(function, torch) for name, function in load().items()}
