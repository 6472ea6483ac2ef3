"""How ops reach the public: one decorator makes functions, methods, operators and in-place twins.

It knows names only; what an op computes is none of its business.
"""
from __future__ import annotations

import numpy as np

from .fast import short_path
from .tensor import Tensor

registry = {}                                      # public name -> Op class, or function of ops that need thought
functions = {}                                     # public name -> what `tinygrad_edu.<name>` is
inplace_twins = {}                                 # name -> (op or function, callable): ops.inplace makes `name_` of it
REFLECTED = {"__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__", "__and__", "__or__", "__xor__",
             "__lshift__", "__rshift__", "__matmul__"}


def export(*public, inplace=False, out=True):
    """Attach an op, or a function around ops, to Tensor and to the registry of torch's functions.

    `name` is a method and a function, `__name__` an operator (its reflected twin is attached too where Python has
    one), `.name` a method only, `name()` a function only. `inplace=True` asks for the twin `name_`.
    """
    def attach(target):
        function = target
        if isinstance(target, type):
            target.public = next((n.strip("._()") for n in public), target.__name__.lower())
            function = short_path(target)
        for name in public:
            if name.startswith("__"):
                setattr(Tensor, name, function)
                reflected = "__r" + name[2:]
                if name in REFLECTED:
                    setattr(Tensor, reflected, _reflect(target, function))
            elif name.endswith("()"):
                registry[name[:-2]] = target
                functions[name[:-2]] = function
            else:
                setattr(Tensor, name.lstrip("."), function)
                if not name.startswith("."):
                    registry[name] = target
                    functions[name] = function
        if inplace:
            for name in public:
                if not name.endswith("()"):
                    inplace_twins[name.lstrip(".")] = (target, function)
        return target
    return attach


def _reflect(target, function):
    general = target.call if isinstance(target, type) else function

    def reflected(self, other):
        if not isinstance(other, (Tensor, bool, int, float, np.generic)):
            return NotImplemented
        return general(other.item() if isinstance(other, np.generic) else other, self)
    return reflected
