"""The whole table of types: what comes out of two operands of any dtypes, dimensioned, 0-d, or Python numbers.

Like measure.py it drives torch and tinygrad_edu alike; record.py keeps torch's answers.
"""
from __future__ import annotations

import itertools
import operator
import warnings

from tests.goldens.measure import REFUSALS

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
NUMBERS = {"True": True, "2": 2, "1.5": 1.5}
OPERATIONS = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod, "pow": operator.pow, "and": operator.and_, "eq": operator.eq, "lt": operator.lt,
    "iadd": operator.iadd, "isub": operator.isub, "imul": operator.imul, "itruediv": operator.itruediv,
    "ipow": operator.ipow,
}


def operands(torch, dtypes):
    """{name: makes the operand anew}: each dtype as a vector and 0-d, and the numbers."""
    found = {}
    for name in dtypes:
        dtype = getattr(torch, name)
        found[f"{name}[2]"] = lambda dtype=dtype: torch.ones(2, dtype=dtype)
        found[f"{name}[]"] = lambda dtype=dtype: torch.ones((), dtype=dtype)
    for name, number in NUMBERS.items():
        found[name] = lambda number=number: number
    return found


def outcome(operation, *makers):
    """The dtype of the result, or the first line of torch's refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = operation(*[make() for make in makers])
    except REFUSALS as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return str(getattr(result, "dtype", result)).removeprefix("torch.")


def table(torch, dtypes=DTYPES):
    """{"operation left right": dtype or refusal} for all pairs in which at least one is a tensor."""
    made, found = operands(torch, dtypes), {}
    for left, right in itertools.product(made, made):
        if left in NUMBERS and right in NUMBERS:
            continue
        found[f"result_type {left} {right}"] = outcome(torch.result_type, made[left], made[right])
        for name, operation in OPERATIONS.items():
            if name == "ipow" and left.startswith("bool") and right.startswith("bool"):
                continue                           # torch complains of the shape before it looks at the dtype
            if not (name.startswith("i") and left in NUMBERS):
                found[f"{name} {left} {right}"] = outcome(operation, made[left], made[right])
    for left, right in itertools.product(dtypes, dtypes):
        for rule in (torch.can_cast, torch.promote_types):
            found[f"{rule.__name__} {left} {right}"] = outcome(lambda rule=rule, a=left, b=right:
                                                               rule(getattr(torch, a), getattr(torch, b)))
    return found


def pack(found):
    """The table as (keys are known, so) a list of outcomes and one index per entry."""
    outcomes = sorted(set(found.values()))
    places = {o: i for i, o in enumerate(outcomes)}
    return {"keys": list(found), "outcomes": outcomes, "entries": [places[o] for o in found.values()]}


def unpack(packed):
    return dict(zip(packed["keys"], [packed["outcomes"][i] for i in packed["entries"]]))
