"""Choosing between numbers: where, maximum and minimum, clamp and their relatives.

Gradients go to what was chosen; where two numbers tie, as torch sends them.
"""
from __future__ import annotations

import math
import warnings

import numpy as np

from ..core import dtypes
from ..core.dtypes import BOOL, FLOATING, INTEGER
from ..core.export import export
from ..core.fast import plain_number
from ..core.op import Elementwise, common_dtype
from ..core.tensor import Tensor
from .arithmetic import holds, known, no_derivative, select, unless


def combination(name, values, overloads, **given):
    """torch's TypeError for arguments that no overload takes."""
    def kind(v):
        return "Tensor" if isinstance(v, Tensor) else type(v).__name__
    kinds = ", ".join([kind(v) for v in values] + [f"{k}={kind(v)}" for k, v in sorted(given.items())])
    return TypeError(f"{name}() received an invalid combination of arguments - got ({kinds}), but expected one of:\n"
                     + "\n".join(f" * ({o})" for o in overloads))


# ---- where
class Where(Elementwise):
    """x where the condition holds, y elsewhere."""
    apart  = ("condition",)
    cpu    = lambda condition, x, y: select(condition, x, y)
    cuda   = lambda condition, x, y: x if condition else y
    grad_x = lambda g, condition: Where.call(condition, g, 0)
    grad_y = lambda g, condition: Where.call(condition, 0, g)


MISSING = object()


@export("where()")
def where(condition, input=MISSING, other=MISSING):
    """input where the condition holds, other elsewhere; with the condition alone, the indices where it holds."""
    if input is MISSING and other is MISSING:
        return condition.nonzero(as_tuple=True)
    values = [condition, *(plain_number(v) for v in (input, other) if v is not MISSING)]
    if len(values) < 3 or not isinstance(condition, Tensor) or not known(*values[1:]):
        raise combination("where", values, (
            "Tensor condition", "Tensor condition, Tensor input, Tensor other, *, Tensor out = None",
            "Tensor condition, Number self, Tensor other", "Tensor condition, Tensor input, Number other",
            "Tensor condition, Number self, Number other"))
    if condition.dtype is dtypes.uint8:
        warnings.warn("where received a uint8 condition tensor. This behavior is deprecated and will be removed in a "
                      "future version of PyTorch. Use a boolean condition instead.", UserWarning, stacklevel=2)
        condition = condition.bool()
    elif condition.dtype is not dtypes.bool_:
        raise RuntimeError("where expected condition to be a boolean tensor, but got a tensor with dtype "
                           f"{condition.dtype.legacy_name}")
    return Where.call(*values) if condition is values[0] else Where.call(condition, *values[1:])


@export(".where")
def _where(input, condition, other):
    """input where the condition holds, other elsewhere."""
    return where(condition, input, other)


# ---- the larger, the smaller
def shared(g, tie, lost):
    """g for the winner, half of it in a tie, nothing for the loser (nan wins and loses against nobody)."""
    return (g / 2).where(tie, g.where(~lost, 0))


@export("maximum")
class Maximum(Elementwise):
    """The larger one; nan if one of them is nan."""
    numbers = "none"
    cpu     = np.maximum
    cuda    = lambda x, y: x if x > y or x != x else y
    grad_x  = lambda g, x, y: shared(g, x == y, x < y)
    grad_y  = lambda g, x, y: shared(g, x == y, y < x)


@export("minimum")
class Minimum(Elementwise):
    """The smaller one; nan if one of them is nan."""
    numbers = "none"
    cpu     = np.minimum
    cuda    = lambda x, y: x if x < y or x != x else y
    grad_x  = lambda g, x, y: shared(g, x == y, x > y)
    grad_y  = lambda g, x, y: shared(g, x == y, y > x)


@export("fmax")
class Fmax(Elementwise):
    """The larger one; nan only if both are nan."""
    numbers = "none"
    cpu     = np.fmax
    cuda    = lambda x, y: x if x >= y or y != y else y
    grad_x  = lambda g, x, y: g.where((x >= y) | y.isnan(), 0)
    grad_y  = lambda g, x, y: g.where(~((x >= y) | y.isnan()), 0)


@export("fmin")
class Fmin(Elementwise):
    """The smaller one; nan only if both are nan."""
    numbers = "none"
    cpu     = np.fmin
    cuda    = lambda x, y: x if x <= y or y != y else y
    grad_x  = lambda g, x, y: g.where((x <= y) | y.isnan(), 0)
    grad_y  = lambda g, x, y: g.where(~((x <= y) | y.isnan()), 0)


# ---- between two bounds
class Clamp(Elementwise):
    """input, moved into [min, max]; max where the bounds are crossed. At a bound the gradient goes to the input."""
    node_name = ("ClampBackward0", "ClampBackward0", "ClampBackward1")
    cpu       = lambda x, min, max: np.minimum(max, np.maximum(min, x))
    grad_x    = lambda g, x, min, max: g.where((x >= min) & (x <= max), 0)
    grad_min  = lambda g, x, min, max: g.where((x < min) & (min < max), 0)
    grad_max  = lambda g, x, min, max: g.where((x > max) | (max < min), 0)

    def cuda(x, min, max):
        low = x if x > min or x != x else min
        return low if low < max or low != low else max


class ClampMin(Elementwise):
    """input, or min where that is larger."""
    node_name = ("ClampMinBackward1", "ClampMinBackward1", "ClampMinBackward0")
    cpu       = lambda x, min: np.maximum(min, x)
    cuda      = lambda x, min: x if x > min or x != x else min
    grad_x    = lambda g, x, min: g.where(x >= min, 0)
    grad_min  = lambda g, x, min: g.where(x < min, 0)


class ClampMax(Elementwise):
    """input, or max where that is smaller."""
    node_name = ("ClampMaxBackward1", "ClampMaxBackward1", "ClampMaxBackward0")
    cpu       = lambda x, max: np.minimum(max, x)
    cuda      = lambda x, max: x if x < max or x != x else max
    grad_x    = lambda g, x, max: g.where(x <= max, 0)
    grad_max  = lambda g, x, max: g.where(x > max, 0)


class ClampMinOnly(ClampMin):
    """`clamp` without max: the same, under another name on the tape."""
    node_name = Clamp.node_name
    cpu       = ClampMin.cpu


class ClampMaxOnly(ClampMax):
    """`clamp` without min."""
    node_name = Clamp.node_name
    cpu       = ClampMax.cpu


OVERLOADS = ("Tensor input, Tensor min = None, Tensor max = None, *, Tensor out = None",
             "Tensor input, Number min = None, Number max = None, *, Tensor out = None")


def fitting(kernel, input, *bounds):
    """torch's refusals: bools between numbers, and bounds that the integer type does not hold."""
    dtype, numbers = common_dtype((input, *bounds)), [bound for bound in bounds if not isinstance(bound, Tensor)]
    if dtype.category == BOOL and (numbers or len(bounds) == 2):
        kernel = kernel.replace("_cpu", "_scalar_cpu") if numbers else kernel
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")
    if dtype.category == INTEGER:
        for number in numbers:
            holds(dtype, number)


@export("clamp", "clip", inplace=True)
def clamp(input, min=None, max=None):
    """input, moved into [min, max]: two numbers, or two tensors, or one bound and None."""
    min, max = plain_number(min), plain_number(max)
    given = [bound for bound in (min, max) if bound is not None]
    if not given:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    tensors = [isinstance(bound, Tensor) for bound in given]
    if not known(*given) or any(tensors) and not all(tensors):
        named = {name: bound for name, bound in (("min", min), ("max", max)) if bound is not None}
        raise combination("clamp", (input,), OVERLOADS, **named)
    fitting("clamp_cpu", input, *given)
    if max is None:
        return ClampMinOnly.call(input, min)
    if min is None:
        return ClampMaxOnly.call(input, max)
    return Clamp.call(input, min, max)


@export("clamp_min", inplace=True)
def clamp_min(input, min):
    """input, or min where that is larger."""
    min = plain_number(min)
    if not known(min):
        raise combination("clamp_min", (input, min), ("Tensor input, Tensor min, *, Tensor out = None",
                                                      "Tensor input, Number min, *, Tensor out = None"))
    fitting("clamp_min_cpu", input, min)
    return ClampMin.call(input, min)


@export("clamp_max", inplace=True)
def clamp_max(input, max):
    """input, or max where that is smaller."""
    max = plain_number(max)
    if not known(max):
        raise combination("clamp_max", (input, max), ("Tensor input, Tensor max, *, Tensor out = None",
                                                      "Tensor input, Number max, *, Tensor out = None"))
    fitting("clamp_max_cpu", input, max)
    return ClampMax.call(input, max)


# ---- replacing
class NanToNum(Elementwise):
    """Numbers in the place of nan, inf and -inf."""
    check  = unless("nan_to_num", BOOL, INTEGER)
    grad_x = lambda g, x: g.where(x.isfinite(), 0)

    def cpu(x, *, nan, posinf, neginf):
        return np.where(np.isnan(x), nan, np.where(np.isposinf(x), posinf, np.where(np.isneginf(x), neginf, x)))

    def cuda(x, *, nan, posinf, neginf):
        return nan if x != x else posinf if x == math.inf else neginf if x == -math.inf else x


@export("nan_to_num", inplace=True)
def nan_to_num(input, nan=0.0, posinf=None, neginf=None):
    """nan replaced by a number, inf and -inf by others (by default the largest and smallest of the dtype)."""
    if input.dtype.category != FLOATING:
        return input.clone()
    info = dtypes.finfo(input.dtype)
    return NanToNum.call(input, nan=0.0 if nan is None else nan, posinf=info.max if posinf is None else posinf,
                         neginf=info.min if neginf is None else neginf)


class Heaviside(Elementwise):
    """0 below 0, 1 above, and values where input is 0. It has no derivative."""
    numbers     = "none"
    node_name   = "NotImplemented"
    cpu         = lambda x, values: np.where(np.equal(x, 0), values, np.greater(x, 0))
    cuda        = lambda x, values: values if x == 0 else 1 if x > 0 else 0
    grad_x      = no_derivative("heaviside")
    grad_values = no_derivative("heaviside")


@export("heaviside", inplace=True)
def heaviside(input, values):
    """0 below 0, 1 above, and values where input is 0; both of one dtype."""
    if isinstance(values, Tensor) and isinstance(input, Tensor) and values.dtype is not input.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return Heaviside.call(input, values)
