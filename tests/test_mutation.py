"""The test of the tests: every derivative formula, made 1% wrong, must be caught by a gradient check of some sample.

Which samples reach a formula is found by running them once with every formula under watch. A formula that is zero
everywhere stays zero when multiplied: it stands in a list, and is made wrong by adding.
"""
from __future__ import annotations

import functools
import warnings

import pytest

import tinygrad_edu as te
from tests import samples, strong
from tinygrad_edu.core.op import Op
from tinygrad_edu.core.tensor import Tensor

# "Op.input": the derivative is zero wherever it exists
ZERO = {"Bernoulli.p", "Ceil.x", "Copysign.y", "DivFloor.x", "DivFloor.y", "DivTrunc.x", "DivTrunc.y", "Floor.x",
        "PowZero.x", "Round.x",
        "RoundDecimals.x", "Sgn.x", "Sign.x", "Trunc.x"}
# "Op.input": why no sample can catch it
UNREACHED = {
    "NativeDropout.x": "only devices with kernels have it: see test_kernels_random.py",
    **dict.fromkeys(("Normal.mean", "NormalOfStd.std", "NormalOfBoth.mean", "NormalOfBoth.std"),
                    "torch says zero, though under one seed the numbers do move with their mean"),
    "ToCopy.x": "finite differences are too coarse between dtypes; test_a_wrong_cast_is_caught has exact ones",
    "ScatterCombined.?": "raises: torch has no derivative either",
    "FloorDivide.x": "raises: torch has no derivative either",
    "FloorDivide.y": "raises: torch has no derivative either",
    "Heaviside.x": "raises: torch has no derivative either",
    "Heaviside.values": "raises: torch has no derivative either",
}


def families(cls=Op):
    """Every op class there is."""
    for sub in cls.__subclasses__():
        if sub.__dict__.get("formulas") or sub.__dict__.get("backward"):
            yield sub
        yield from families(sub)


def of_this_library(op):
    return op.__module__.startswith("tinygrad_edu.")


OPS = sorted({op for op in families() if of_this_library(op)}, key=lambda op: (op.__module__, op.__name__))


def title(op, name):
    return f"{op.__name__}.{name}"


def long_spelling(op):
    return op.__dict__.get("backward") is not None


class Patched:
    """While this lasts, an op's derivatives go through `change(op, name, result)`."""

    def __init__(self, ops, change):
        self.ops, self.change = ops, change

    def __enter__(self):
        self.before = {}
        for op in self.ops:
            if long_spelling(op):
                self.before[op] = op.__dict__["backward"]
                op.backward = self.around_backward(op, op.backward)
            else:
                self.before[op] = dict(op.formulas)
                for name, formula in self.before[op].items():
                    op.formulas[name] = self.around_formula(op, name, formula)

    def __exit__(self, *error):
        for op, kept in self.before.items():
            if long_spelling(op):
                op.backward = kept
            else:
                op.formulas.update(kept)

    def around_formula(self, op, name, formula):
        return lambda *args: self.change(op, name, formula(*args))

    def around_backward(self, op, backward):
        def changed(ctx, *grads):
            results = backward(ctx, *grads)
            results = results if isinstance(results, tuple) else (results,)
            names = op.inputs if len(op.inputs) == len(results) else map(str, range(len(results)))
            return tuple(None if r is None else self.change(op, name, r) for name, r in zip(names, results))
        return changed


@functools.cache
def reached():
    """{(op, name): samples by which its formula is used, cheapest first, as (order of the derivative, sample)}."""
    found = {}
    for sample in samples.load():
        seen = set()

        def note(op, name, result, seen=seen):
            seen.add((op, name))
            return result

        with Patched(OPS, note):
            first = run(sample, seen, second=False)
            later = run(sample, seen, second=True) - first if sample.second else set()
        for order, pairs in ((1, first), (2, later)):
            for pair in pairs:
                found.setdefault(pair, []).append((order, sample))
    for pair in found:
        found[pair].sort(key=lambda entry: (entry[0], sum(i.draw is not None and max(1, size(i.shape))
                                                          for i in entry[1].inputs.values())))
    return found


def size(shape):
    return functools.reduce(lambda a, b: a * b, shape, 1)


def run(sample, seen, second):
    """Differentiate a sample once or twice; the formulas that were used."""
    seen.clear()
    try:
        tensors, wanted, function = strong.floating(sample, "cpu")
        inputs = [tensors[n] for n in wanted]
        outputs = function(*inputs) if inputs else ()
        if not outputs:
            return set()
        given = [te.ones_like(o).requires_grad_(second) for o in outputs]
        grads = [g for g in te.autograd.grad(outputs, inputs, given, create_graph=second, allow_unused=True)
                 if g is not None]
        if second and any(g.requires_grad for g in grads):
            grads = [g for g in grads if g.requires_grad]
            te.autograd.grad(grads, [*inputs, *given], [te.ones_like(g) for g in grads], allow_unused=True)
    except (RuntimeError, TypeError, ValueError, IndexError):
        return set()                               # test_ops says so
    return set(seen)


def caught(order, sample):
    """Whether the gradient check of this sample fails, as it should."""
    tensors, wanted, function = strong.floating(sample, "cpu")
    inputs = [tensors[n] for n in wanted]
    check = te.autograd.gradcheck if order == 1 else te.autograd.gradgradcheck
    try:
        return not check(function, inputs, raise_exception=False)
    except RuntimeError:
        return True


@functools.cache
def sound(order, sample):
    """Whether the check passes as long as nothing is wrong: without that, failing means nothing."""
    return not caught(order, sample)


def wrong(op, name):
    """A change that makes one formula wrong: by 1%, or by adding where it is zero."""
    def change(changed_op, changed, result):
        if changed_op is not op or changed != name:
            return result
        if title(op, name) in ZERO:
            return result + 0.01
        return result * 1.01 if not isinstance(result, Tensor) or result.is_floating_point() else result
    return change


def names_of(op):
    """The inputs for which the op says a derivative."""
    if long_spelling(op):
        return sorted({name for found, name in reached() if found is op}) or ["?"]
    return list(op.formulas)


@pytest.mark.parametrize("op", OPS, ids=lambda op: f"{op.__module__.removeprefix('tinygrad_edu.ops.')}.{op.__name__}")
def test_a_wrong_derivative_is_caught(op):
    strong.quietly(check_op, op)


def check_op(op):
    for name in names_of(op):
        if title(op, name) in UNREACHED:
            continue
        users = reached().get((op, name))
        assert users, f"no sample reaches {title(op, name)}: add one, in tests/samples/"
        with Patched([op], wrong(op, name)):
            noticed = next((user for user in users[:8] if caught(*user)), None)
        assert noticed, f"{title(op, name)} is wrong by 1%, and these don't notice: {[s.key for _, s in users]}"
        assert sound(*noticed), f"{title(op, name)}: the check of {noticed[1].key} fails in any case"


@pytest.mark.parametrize("entry", sorted(ZERO))
def test_zero_derivatives_are_zero(entry):
    """What stands in the list is zero in every sample, and still there."""
    op, name = {title(op, name): (op, name) for op in OPS for name in names_of(op)}[entry]

    def check(changed_op, changed, result):
        assert not (changed_op is op and changed == name) or not bool((result != 0).any()), entry
        return result

    with Patched([op], check):
        for order, sample in reached()[op, name]:
            strong.quietly(run, sample, set(), order == 2)


def test_a_wrong_cast_is_caught():
    """Between dtypes, with steps that float32 can represent."""
    op = next(op for op in OPS if op.__name__ == "ToCopy")
    x = te.tensor([0.5, 1.25]).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check = functools.partial(te.autograd.gradcheck, lambda x: x.double() * 3, x, eps=2 ** -8,
                                  raise_exception=False)
        assert check()
        with Patched([op], wrong(op, "x")):
            assert not check()


def test_unreached_are_known():
    known = {title(op, name) for op in OPS for name in names_of(op)}
    assert set(UNREACHED) <= known
