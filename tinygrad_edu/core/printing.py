"""How a tensor prints: character for character as torch does, because learners compare what they see with books.

It reads numbers as a numpy array and writes text; where they came from is none of its business.
"""
from __future__ import annotations

import contextlib
import math
from types import SimpleNamespace

import numpy as np

from ..backends.cpu import quiet
from . import dtypes
from .export import functions
from .tensor import Tensor


options = SimpleNamespace(precision=4, threshold=1000, edgeitems=3, linewidth=80, sci_mode=None)
PROFILES = {"default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
            "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
            "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80}}


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """Digits after the point, elements from which on a summary is printed, its edges, the width of a line.

    `profile` is "default", "short" or "full"; `sci_mode` forces or forbids scientific notation (None: as needed).
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen = {**PROFILES.get(profile, {}), **{name: value for name, value in given.items() if value is not None}}
    for name, value in chosen.items():
        setattr(options, name, value)
    options.sci_mode = sci_mode                    # torch forgets it with every call


def get_printoptions():
    """The options as a dictionary, which `set_printoptions(**that)` takes back."""
    return dict(vars(options))


@contextlib.contextmanager
def printoptions(**kwargs):
    """`with printoptions(precision=2):` other options for a while."""
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        set_printoptions(**before)


class _Formatter:
    """One notation and one width for all numbers of a tensor, chosen by those that will be seen."""

    def __init__(self, values, floating):
        self.floating, self.int_mode, self.sci_mode, self.width = floating, True, False, 1
        if not floating:
            self.width = max(map(len, map(str, values.ravel().tolist())), default=1)
            return
        values = values.astype(np.float64).ravel()
        values = values[np.isfinite(values) & (values != 0)]
        if not values.size:
            return
        with quiet():
            low, high = np.abs(values).min(), np.abs(values).max()
            self.sci_mode = (bool(high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4)
                             if options.sci_mode is None else options.sci_mode)
        self.int_mode = bool((values == np.ceil(values)).all())
        spec = f".{options.precision}e" if self.sci_mode else ".0f" if self.int_mode else f".{options.precision}f"
        longest = max(len(format(v, spec)) for v in values.tolist())
        self.width = longest + (self.int_mode and not self.sci_mode)          # the point behind a whole number

    def __call__(self, value):
        if not self.floating:
            text = str(value)
        elif self.sci_mode:
            text = f"{value:{self.width}.{options.precision}e}"
        elif self.int_mode:
            text = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            text = f"{value:.{options.precision}f}"
        return text.rjust(self.width)


def _edges(array):
    """The corners of an array: those elements that a summary shows."""
    n = options.edgeitems
    if array.ndim == 1 and len(array) > 2 * n:
        return np.concatenate([array[:n], array[-n:]])
    if array.ndim < 2:
        return array
    if not n:
        return array[:0]
    rows = [*array[:n], *array[len(array) - n:]] if len(array) > 2 * n else array
    return np.stack([_edges(row) for row in rows])


def _plain(array):
    """Python numbers; numpy leaves those of bfloat16 as they are."""
    return (array.astype(np.float64) if array.dtype.kind not in "iubf" else array).tolist()


def _vector(array, indent, summarize, form):
    n = options.edgeitems
    if summarize and not n:
        items = ["..."]
    elif summarize and len(array) > 2 * n:
        items = [*map(form, _plain(array[:n])), " ...", *map(form, _plain(array[-n:]))]
    else:
        items = list(map(form, _plain(array)))
    per_line = max(1, math.floor((options.linewidth - indent) / (form.width + 2)))
    lines = [", ".join(items[i:i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(array, indent, summarize, form):
    if array.ndim == 0:
        return form(_plain(array))
    if array.ndim == 1:
        return _vector(array, indent, summarize, form)
    n, show = options.edgeitems, lambda rows: [_nested(row, indent + 1, summarize, form) for row in rows]
    if summarize and len(array) > 2 * n:
        rows = [*show(array[:n]), "...", *show(array[len(array) - n:])]
    else:
        rows = show(array)
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def contents(x, indent):
    """The numbers of a tensor between their brackets."""
    array = x._host()
    if not array.size:
        return "[]"
    summarize = array.size > options.threshold
    form = _Formatter(_edges(array) if summarize else array, x.is_floating_point())
    return _nested(array, indent, summarize, form)


def suffixes(x):
    """What is said behind the numbers: only what is not as usual."""
    device, dtype, empty = x.device, x.dtype, not x.numel()
    if device.type != "cpu":
        yield f"device='{device}'"
    if (empty and x.ndim != 1) or (not empty and not options.edgeitems):
        yield f"size={tuple(x.shape)}"
    usual = (dtypes.get_default_dtype(),) if empty else (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_)
    if dtype not in usual:
        yield f"dtype={dtype}"
    try:
        node = x.grad_fn
        if node is not None:
            yield f"grad_fn=<{type(node).__name__}>"
        elif x.requires_grad:
            yield "requires_grad=True"
    except RuntimeError:                           # a view that the tape has refused
        yield "grad_fn=<Invalid>"
    if x.has_names():
        yield f"names={x.names}"


def text_of(x):
    """tensor([1., 2.], grad_fn=<AddBackward0>)"""
    kind = type(x)
    prefix = vars(kind).get("_printed_as", kind.__name__) + "("
    text = prefix + contents(x, len(prefix))
    used = len(text) - text.rfind("\n") + 1        # torch's count, which is off by two
    for suffix in suffixes(x):
        if used + len(suffix) + 2 > options.linewidth:
            text += ",\n" + " " * len(prefix) + suffix
            used = len(prefix) + len(suffix)
        else:
            text += ", " + suffix
            used += len(suffix) + 2
    return text + ")"


def _format(x, spec):
    """format(x, ".3f"): of the one number in a 0-d tensor; other tensors take no format."""
    if not x.ndim and type(x) is Tensor:
        return format(x.item(), spec)
    return object.__format__(x, spec)


Tensor._printed_as = "tensor"
Tensor.__repr__ = text_of
Tensor.__format__ = _format
functions.update(set_printoptions=set_printoptions, get_printoptions=get_printoptions)
