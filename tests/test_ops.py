"""Every op, by its sample lines: see tests/strong.py for what is checked, tests/samples/ for the table."""
from __future__ import annotations

import functools

import numpy as np
import pytest

import tinygrad_edu as te
from tests import samples, strong
from tests.goldens import record
from tests.test_random import is_intel
from tinygrad_edu.core.export import registry
from tinygrad_edu.core.fast import short_path
from tinygrad_edu.core.op import Elementwise

TABLE = samples.load()
each_sample = pytest.mark.parametrize("sample", TABLE,
                                      ids=lambda s: s.key.replace("torch.", "").replace("  # ", " -- "))


def hold(check, sample, device):
    """Hold one check of the strong helper against a sample, where the device has what the sample is about."""
    if device == "cuda" and not sample.cuda:
        pytest.skip(sample.why)
    strong.quietly(strong.check_refused if device == "cuda" and sample.host else check, sample, device)


@each_sample
def test_like_torch(sample, device):
    hold(strong.check_against_torch, sample, device)


@each_sample
def test_gradients(sample, device):
    hold(strong.check_gradients, sample, device)


@pytest.mark.slow
@each_sample
def test_finite_differences_on_cuda(sample, cuda):
    hold(strong.check_finite_differences, sample, "cuda")


@each_sample
def test_layouts(sample, device):
    hold(strong.check_layouts, sample, device)


@each_sample
def test_inputs_untouched(sample, device):
    hold(strong.check_inputs_untouched, sample, device)


@each_sample
def test_inplace_twin(sample, device):
    hold(strong.check_inplace, sample, device)


# ---- the two ways through an elementwise op
def elementwise_ops(cls=Elementwise):
    for sub in cls.__subclasses__():
        if sub.cpu is not None and sub.__module__.startswith("tinygrad_edu.ops."):
            yield sub
        yield from elementwise_ops(sub)


def both_orders(call, operands):
    """The result of a call, its node's name, and first and second derivatives where there are any."""
    leaves = [x for x in operands if isinstance(x, te.Tensor)]
    for x in leaves:
        x.requires_grad_()
    try:
        out = call(*operands)
        found = [out.tolist(), str(out.dtype), type(out.grad_fn).__name__]
        if out.requires_grad:
            g = te.full_like(out, 1.5).requires_grad_()
            grads = te.autograd.grad(out, leaves, g, create_graph=True, allow_unused=True)
            found += [None if g is None else g.tolist() for g in grads]
            used = [g for g in grads if g is not None and g.requires_grad]
            found += [None if h is None else h.tolist()
                      for h in (te.autograd.grad(used, [*leaves, g], [te.ones_like(u) for u in used],
                                                 allow_unused=True) if used else ())]
        return found
    except Exception as error:
        return [type(error).__name__, str(error)]


@pytest.mark.parametrize("op", sorted(set(elementwise_ops()), key=lambda op: op.__name__), ids=lambda op: op.__name__)
def test_short_path_is_the_general_path(op):
    """Operands about which nothing needs thought take generated code: it must mean the same."""
    if op.parameters:
        pytest.skip("has parameters, so it has no short path")
    def operands():
        return [te.tensor([0.3, 0.6, 0.7]) * (i + 1) for i in range(len(op.inputs))]
    strong.quietly(compare_paths, op, operands)
    if len(op.inputs) == 2 and (op.inputs[0] in op.formulas or not op.formulas):
        strong.quietly(compare_paths, op, lambda: [operands()[0], 2])
        strong.quietly(compare_paths, op, lambda: [operands()[0].double(), 0.75])


def compare_paths(op, operands):
    short, general = both_orders(short_path(op), operands()), both_orders(op.call, operands())
    assert repr(short) == repr(general)            # nan is not equal to itself, its text is


# ---- the table itself
def test_no_sample_stands_there_twice():
    keys = [s.key for s in TABLE]
    assert sorted(set(keys)) == sorted(keys)


def test_what_is_unusual_has_a_reason():
    assert [s.key for s in TABLE if s.why == "unexplained"] == []


def test_recordings_are_torchs(real_torch):
    """What is on file is what torch says today."""
    if not real_torch.__version__.startswith("2.13"):
        pytest.skip("the recordings are torch 2.13's")
    strong.quietly(compare_recordings, record.record(TABLE), record.read())


def compare_recordings(fresh, filed):
    assert sorted(filed) == sorted(fresh), strong.RECORD
    fresh = record.unpack(*record.pack(fresh))
    elsewhere = {s.key for s in TABLE if "dropout" in s.op or "bernoulli" in s.op} if is_intel() else ()
    for key, (stamp, answers) in fresh.items():
        if key in elsewhere:                       # there torch draws these from a generator of Intel's library
            continue
        old_stamp, old = filed[key]
        assert stamp == old_stamp and list(answers) == list(old), f"{key}: {strong.RECORD}"
        for case, answer in answers.items():
            assert {k: v for k, v in answer.items() if k not in ("values", "grads")} == \
                {k: v for k, v in old[case].items() if k not in ("values", "grads")}, (key, case)
            for mine, theirs in zip(answer.get("values") or (), old[case].get("values") or (), strict=True):
                np.testing.assert_allclose(mine, theirs, 1e-9, 1e-12,
                                           err_msg=key)      # another CPU may round otherwise
            for name, grad in answer.get("grads", {}).items():
                if grad is not None:
                    np.testing.assert_allclose(grad, old[case]["grads"][name], 1e-9, 1e-12, err_msg=key)


# ---- is everything there?
WITHOUT_SAMPLE = {                                 # name: why it has none
    "align_tensors": "is about names, which torch 2.13 does not have",
    "result_type": "returns a dtype: tests/test_promotion.py holds all of its table",
}


@functools.cache
def exercised():
    """The functions of the registry that sample lines are about; the aliases of a function are one."""
    return {id(registry[s.op]) for s in TABLE if s.op in registry}


def test_every_function_has_a_sample():
    missing = [name for name in registry if not name.startswith("_") and id(registry[name]) not in exercised()
               and name not in WITHOUT_SAMPLE]
    assert sorted(missing) == []


def test_there_are_130_functions():
    """Distinct torch functions with a sample: no alias, overload or in-place twin counts."""
    assert len(exercised()) >= 130, len(exercised())


def test_the_list_of_exceptions_is_short_and_true():
    for name in WITHOUT_SAMPLE:
        assert name in registry and id(registry[name]) not in exercised(), name


def test_results_own_what_they_say(device):
    """The helper's own layouts are what they claim to be."""
    x = te.arange(12.0).reshape(3, 4)
    for layout in (strong.transposed, strong.strided):
        assert not layout(x).is_contiguous() and layout(x).tolist() == x.tolist()
    assert strong.expanded(x).stride() == (0, 1)
