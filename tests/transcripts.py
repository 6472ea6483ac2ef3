"""Scenarios whose every value, error and warning is compared with what torch said when it was asked the same.

A scenario is `def scenario(torch, tell)`, registered with `@scenario`; `torch` is tinygrad_edu or torch itself, and
`tell("what", function, *args)` notes what the call returns or raises, and what it warns of. Torch's answers are kept in
goldens/transcripts.json; `python -m tests.transcripts` asks it anew. Numbers (a list of floats, or a tensor given to
`numbers`) are compared within the scenario's tolerances, everything else as printed, letter for letter.
"""
from __future__ import annotations

import functools
import importlib
import json
import re
import warnings
from pathlib import Path

import numpy as np

SCENARIOS = {}
FILE = Path(__file__).parent / "goldens" / "transcripts.json"
FILES = ("tests.test_module", "tests.test_module_hooks", "tests.test_nn", "tests.test_optim")


def scenario(function=None, *, rtol=1e-5, atol=2e-6):
    """Register a scenario, and how far its numbers may be from torch's."""
    if function is None:
        return functools.partial(scenario, rtol=rtol, atol=atol)
    function.tolerances = {"rtol": rtol, "atol": atol}
    SCENARIOS[f"{function.__module__.rpartition('.')[2]}.{function.__name__}"] = function
    return function


def here(module):
    """The names of the scenarios of a test file."""
    start = module.rpartition(".")[2] + "."
    return [name for name in SCENARIOS if name.startswith(start)]


def numbers(*tensors):
    """All elements of some tensors, to be compared as numbers."""
    return [float(x) for t in tensors for x in np.asarray(t.detach().tolist(), np.float64).ravel()]


def text(value):
    """As printed, without addresses, places in torch's sources, and the name of the package."""
    found = re.sub(r" \(Triggered internally at .*?\)", "", str(value).replace("tinygrad_edu", "torch"))
    return re.sub(r"0x[0-9a-f]+", "0x", found)


def play(name, torch):
    """{what: [value or error, warnings]} of a scenario."""
    told = {}

    def tell(what, function, *args):
        assert what not in told, f"{name} tells {what!r} twice"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                value = function(*args)
            except Exception as error:             # what it says is the point
                value = f"{type(error).__name__}: {error}"
        if not (isinstance(value, list) and value and all(type(v) is float for v in value)):
            value = text(value)
        told[what] = [value, [f"{w.category.__name__}: {text(w.message)}" for w in caught]]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        SCENARIOS[name](torch, tell)
    return told


def recorded():
    return json.loads(FILE.read_text())


def compare(name, told, expected):
    assert list(told) == list(expected), f"{name} has changed: python -m tests.transcripts"
    for what, (value, warned) in told.items():
        wanted, wanted_warnings = expected[what]
        if isinstance(wanted, list):
            assert isinstance(value, list), f"{name}: {what}: {value}"
            np.testing.assert_allclose(value, wanted, **SCENARIOS[name].tolerances, err_msg=f"{name}: {what}")
        else:
            if re.match(r"\w+(Error|Exception): ", wanted) and value.startswith(wanted + "\n"):
                value = wanted                     # below torch's sentence, ours may follow
            assert value == wanted, f"{name}: {what}"
        assert warned == wanted_warnings, f"{name}: {what}"


def main():
    import torch
    torch.set_num_threads(1)
    for file in FILES:
        importlib.import_module(file)
    FILE.write_text(json.dumps({name: play(name, torch) for name in SCENARIOS}, indent=0, ensure_ascii=False) + "\n")
    print(f"{sum(map(len, recorded().values()))} answers of {len(SCENARIOS)} scenarios in {FILE}")


if __name__ == "__main__":
    from tests.transcripts import main as the_one_that_tests_import
    the_one_that_tests_import()
