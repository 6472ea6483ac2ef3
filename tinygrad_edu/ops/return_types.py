"""The named tuples that operations with several results return, printed as torch prints them.

    torch.return_types.max(
    values=tensor([3., 4.]),
    indices=tensor([1, 0]))

It knows names of fields, and nothing of tensors.
"""
from __future__ import annotations

from collections import namedtuple


def _show(self):
    return f"torch.return_types.{type(self).__name__}(\n" + ",\n".join(
        f"{name}={value!r}" for name, value in zip(self._fields, self)) + ")"


def _named(name, *fields):
    """A named tuple; as torch's, it can also be made from one sequence."""
    base = namedtuple(name, fields, module=__name__)

    def make(cls, *values):
        return tuple.__new__(cls, values if len(values) == len(fields) else values[0])
    return type(name, (base,), {"__slots__": (), "__new__": make, "__repr__": _show, "__module__": __name__})


max, min, median, nanmedian, kthvalue, mode = (
    _named(_name, "values", "indices") for _name in ("max", "min", "median", "nanmedian", "kthvalue", "mode"))
cummax, cummin, sort, topk = (_named(_name, "values", "indices") for _name in ("cummax", "cummin", "sort", "topk"))
aminmax = _named("aminmax", "min", "max")
