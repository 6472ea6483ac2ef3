"""Random programs of views, in-place writes and ops: values, gradients and refusals are torch's, step by step.

Where torch is not installed the same programs (without `detach` and `no_grad`, which cut gradients on purpose) are
checked by finite differences.
"""
from __future__ import annotations

import functools
import importlib.util
import itertools
import re
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import tinygrad_edu

SHAPES = {"a": (2, 3), "b": (3,), "c": (2, 3), "d": (2, 3)}
LEAVES = ("a", "b", "c")                           # d needs no gradient
VALUES = {name: np.random.default_rng(number).random(shape) + 0.5 for number,
          (name, shape) in enumerate(SHAPES.items())}


# ---- making programs: statements as text, with the shapes of all names followed along
class Writer:
    """Writes one program; `pick(options)` chooses."""

    def __init__(self, pick, cuts):
        self.pick, self.cuts = pick, cuts
        self.shapes = {**SHAPES, "x": (2, 3), "y": (2, 3)}
        self.roots = {name: name for name in self.shapes}      # whose memory a name looks at
        self.lines = ["x = a * 1.5", "y = d.clone()"]
        self.names = (f"t{i}" for i in itertools.count())

    def write(self, length):
        for _ in range(length):
            statement = self.pick([self.view, self.view, self.inplace, self.inplace, self.inplace, self.op,
                                   self.assign, self.cut])()
            if statement is not None:
                self.lines.append(statement)
        return self.lines

    def any(self, fits=lambda shape: True):
        options = [name for name, shape in self.shapes.items() if fits(shape)]
        return self.pick(options) if options else None

    def new(self, expression, shape, root=None):
        name = next(self.names)
        self.shapes[name], self.roots[name] = shape, self.roots.get(root, name)
        return f"{name} = {expression}"

    def operand(self, shape, target=None):
        """A name whose shape broadcasts to `shape`; what is written to `target` does not overlap it.

        (torch refuses some overlaps, and gives numbers that depend on the order of its loops for others.)
        """
        options = [name for name, s in self.shapes.items() if len(s) <= len(shape)
                   and all(n in (1, m) for n, m in zip(s[::-1], shape[::-1]))
                   and (target is None or self.roots[name] != self.roots[target])]
        return self.pick(options) if options else None

    def view(self):
        x = self.any()
        shape = self.shapes[x]
        made = [("{}.view(-1)", (int(np.prod(shape)),)), ("{}.unsqueeze(0)", (1, *shape)), ("{}[...]", shape),
                ("{}.view_as({})", shape),
                ("{}.squeeze()", tuple(n for n in shape if n != 1)), ("{}.flatten()", (int(np.prod(shape)),))]
        if shape:
            first, rest = shape[0], shape[1:]
            made += [("{}[-1]", rest), ("{}[1:]", (max(first - 1, 0), *rest)), ("{}[:1]", (min(first, 1), *rest)),
                     ("{}[::2]", ((first + 1) // 2, *rest)),
                     ("{}.unbind(0)[0]", rest), ("{}.split(1)[-1]", (1, *rest)),
                     ("{}.expand(2, *{}.shape)", (2, *shape)),
                     ("{}.narrow(0, 0, 1)", (1, *rest)), ("{}.select(0, 0)", rest)]
            if not first:
                return None
        if len(shape) == 2:
            made += [("{}.t()", shape[::-1]), ("{}[:, 0]", shape[:1]), ("{}.diagonal()", (min(shape),)),
                     ("{}[:, 1:]", (shape[0], max(shape[1] - 1, 0)))]
        if len(shape) >= 2:
            swapped = (shape[1], shape[0], *shape[2:])
            made += [("{}.transpose(0, 1)", swapped), ("{}.movedim(0, 1)", swapped),
                     ("{}.mT", (*shape[:-2], shape[-1], shape[-2]))]
        expression, result = self.pick(made)
        return self.new(expression.format(x, x), result, x)

    def inplace(self):
        x = self.any()
        y = self.operand(self.shapes[x], x) or x
        return self.pick([f"{x}.mul_({y})", f"{x}.add_({y})", f"{x}.add_({y}, alpha=0.5)", f"{x}.mul_(0.5)",
                          f"{x} += 1.0", f"{x} *= {y}", f"{x}.sin_()",
                          f"{x}.tanh_()", f"{x}.copy_({y})", f"{x}.fill_(0.75)", f"{x}.zero_()", f"{x}.sub_({y})",
                          f"{x}.mul_({x})",
                          f"{x}.masked_fill_({x} > 1.0, 0.25)", f"{x}.unsqueeze_(0).squeeze_(0)", f"{x}.sigmoid_()"])

    def op(self):
        x = self.any()
        shape = self.shapes[x]
        y = self.operand(shape)
        return self.new(*self.pick([(f"{x} * {y}", shape), (f"{x} + {y}", shape), (f"{x}.sin()", shape),
                                    (f"{x}.tanh()", shape), (f"{x} * 0.5", shape),
                                    (f"{x}.clone()", shape), (f"{x} * {x}", shape), (f"{x}.contiguous()", shape),
                                    (f"{x}.sum()", ())]))

    def assign(self):
        x = self.any(lambda shape: len(shape) and shape[0])
        shape = self.shapes[x]
        y = self.operand(shape[1:], x)
        options = [f"{x}[0] = 0.5", f"{x}[:1] = 1.5", f"{x}[...] = 0.5", f"{x}[{x} > 1.0] = 0.5",
                   f"{x}[torch.tensor([0])] = torch.tensor(2.0).double()"]
        if y is not None:
            options += [f"{x}[-1] = {y}", f"{x}[:] = {y}", f"{x}[[0]] = {y}"]
        return self.pick(options)

    def cut(self):
        if not self.cuts:
            return None
        x = self.any()
        kind = self.pick(["detach", "view", "inplace", "op", "assign", "detach_", "leaf"])
        if kind == "detach":
            return self.new(f"{x}.detach()", self.shapes[x], x)
        if kind == "detach_":
            return f"{x}.detach_()"
        if kind == "leaf":
            return f"{x}.requires_grad_()"
        statement = getattr(self, kind)()
        if statement is None or "unsqueeze_" in statement:     # ours records a new shape always: see test_layouts
            return None
        return f"with torch.no_grad(): {statement}"


@st.composite
def programs(draw, cuts=True):
    writer = Writer(lambda options: draw(st.sampled_from(options)), cuts)
    return tuple(writer.write(draw(st.integers(2, 9))))


# ---- running them
def start(torch, grad=True):
    """The names that a program begins with."""
    names = {"torch": torch}
    for name, value in VALUES.items():
        names[name] = torch.tensor(value.tolist(), dtype=torch.float64)
        if grad and name in LEAVES:
            names[name].requires_grad_()
    return names


def attempt(action):
    """(what it gave, None), or (None, how it was refused: the type of the error and its first line)."""
    try:
        return action(), None
    except Exception as error:
        return None, (type(error).__name__, str(error).split("\n")[0])


def describe(torch, tensor):
    """All that can be seen of a tensor; strides only of views (those of dimensions of size one: see test_views)."""
    def look():
        with torch.no_grad():
            values = tensor.detach().tolist()
        node, strides = tensor.grad_fn, None
        if tensor._base is not None and tensor._base.is_contiguous():
            strides = [stride for stride, size in zip(tensor.stride(), tensor.shape) if size != 1]
        return (values, tuple(tensor.shape), strides, tensor.storage_offset(), tensor._version, tensor.requires_grad,
                node and type(node).__name__)
    return attempt(look)


def run(torch, lines):
    """A protocol of everything that happened, and the gradients at the end."""
    names, protocol = start(torch), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for line in lines:
            _, refused = attempt(functools.partial(exec, line, names))
            protocol.append((line, refused, {k: describe(torch, v) for k,
                                             v in sorted(names.items()) if isinstance(v, torch.Tensor)}))
        _, refused = attempt(lambda: total(torch, names).backward())
        grads = {k: None if names[k].grad is None else names[k].grad.tolist() for k in LEAVES}
        protocol.append(("backward", refused, grads if refused is None else {}))
    return protocol


def total(torch, names):
    """One number that depends on every tensor there is, on each in its own way."""
    tensors = [v for k, v in sorted(names.items()) if isinstance(v, torch.Tensor)]
    return sum(((v * (number + 0.5)).sum() for number, v in enumerate(tensors)),
               names["a"].sum() + names["b"].sum() + names["c"].sum())


def same(mine, other):
    """Equal, numbers to rounding."""
    if isinstance(mine, float) and isinstance(other, float):
        return mine == other or abs(mine - other) <= 1e-9 * max(1, abs(mine),
                                                                abs(other)) or mine != mine and other != other
    if isinstance(mine, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(mine) == len(other) and all(map(same, mine, other))
    if isinstance(mine, dict):
        return mine.keys() == other.keys() and all(same(mine[k], other[k]) for k in mine)
    return mine == other


OVERLAP = "unsupported operation: more than one element of the written-to tensor refers to a single memory location."
DETACHED = "Trying to use a saved tensor that has been detached in-place"


STRIDES = "view size is not compatible"


def differs_on_purpose(mine, other):
    """Whether refusals may differ, for a reason that is known:

    torch writes into an expanded tensor in some ops, and warns that it should not; it refuses a saved tensor that went
    through `detach_`, of which ours still has a first derivative; results of operands with different orders of
    dimensions in memory may have other strides, so that a view of them is possible in one and not in the other.
    """
    if mine is None or other is None:
        return mine != other and (mine or other)[1].startswith((OVERLAP, STRIDES, DETACHED))
    return other[1].startswith((OVERLAP, DETACHED))


def sentence(refused):
    """A refusal without which of several changed tensors it names first."""
    return refused and (refused[0], re.sub(r"operation: \[.*", "", refused[1]))


def compare(torch, lines):
    def report(what, mine, other):
        return "\n  ".join([what, f"ours:  {mine}", f"torch: {other}", "in", *lines])
    for (line, refused, mine), (_, expected, other) in zip(run(tinygrad_edu, lines), run(torch, lines)):
        if differs_on_purpose(refused, expected):
            return
        assert sentence(refused) == sentence(expected), report(line, refused, expected)
        for name in other:
            assert same(mine[name], other[name]), report(f"after {line}: {name}", mine[name], other[name])


quick = settings(max_examples=120, deadline=None, derandomize=True, database=None,
                 suppress_health_check=list(HealthCheck))
long = settings(quick, max_examples=5000, derandomize=False)
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is an optional oracle")


@needs_torch
@given(programs())
@quick
def test_programs_do_what_torch_does(lines):
    import torch
    compare(torch, lines)


@needs_torch
@pytest.mark.slow
@given(programs())
@long
def test_many_programs_do_what_torch_does(lines):
    import torch
    compare(torch, lines)


# ---- without torch
def check_by_differences(lines):
    """The gradient, against differences of the same program run without a tape (minus what the tape refused)."""
    protocol = run(tinygrad_edu, lines)
    _, refused, grads = protocol[-1]
    if refused is not None:
        assert refused[0] == "RuntimeError", refused
        return
    kept = [line for line, refusal, _ in protocol[:-1] if refusal is None]

    def loss(name, index, step):
        names = start(tinygrad_edu, grad=False)
        names[name].numpy()[index] += step
        for line in kept:
            exec(line, names)
        return total(tinygrad_edu, names).item()
    for name in LEAVES:
        for index in np.ndindex(SHAPES[name]):
            numeric = (loss(name, index, 1e-6) - loss(name, index, -1e-6)) / 2e-6
            analytic = np.array(grads[name])[index]
            assert abs(numeric - analytic) <= 1e-5 * max(1, abs(numeric)), (name, index, numeric, analytic, lines)


@given(programs(cuts=False))
@settings(quick, max_examples=60)
def test_programs_have_the_gradient_that_differences_give(lines):
    check_by_differences(lines)
