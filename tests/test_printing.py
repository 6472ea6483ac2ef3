"""How tensors print: character for character as torch's do."""
from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_edu as te
from tests.goldens import printing
from tinygrad_edu.core.printing import printoptions


@pytest.fixture(autouse=True)
def default_options():
    yield
    te.set_printoptions(profile="default")


def test_recorded_reprs():
    recorded = printing.read()
    mine = list(printing.reprs(te))
    assert len(mine) == len(recorded) > 400
    for number, (text, right) in enumerate(zip(mine, recorded)):
        assert text == right, f"case {number}"


def test_the_recording_is_torchs(real_torch):
    assert list(printing.reprs(real_torch)) == printing.read()


def test_random_tensors_print_as_torchs(real_torch):
    """Other numbers than the recorded ones; bfloat16 among them."""
    random = np.random.RandomState(9)
    for _ in range(500):
        numbers, _, _, options = printing.draw(random)
        te.set_printoptions(**options), real_torch.set_printoptions(**options)
        try:
            assert te.get_printoptions() == real_torch._tensor_str.get_printoptions()
            for dtype in ("float64", "bfloat16"):
                if dtype == "bfloat16":
                    pytest.importorskip("ml_dtypes", reason="bfloat16 is ml_dtypes' type")
                mine, right = te.tensor(numbers).float(), real_torch.tensor(numbers).float()
                assert repr(mine.to(getattr(te, dtype))) == repr(right.to(getattr(real_torch, dtype)))
        finally:
            te.set_printoptions(profile="default"), real_torch.set_printoptions(profile="default")


@pytest.mark.parametrize("x, text", [
    (te.tensor(3.0), "tensor(3.)"),
    (te.tensor(1, dtype=te.int32), "tensor(1, dtype=torch.int32)"),
    (te.zeros(0, 3), "tensor([], size=(0, 3))"),
    (te.zeros(0, dtype=te.int64), "tensor([], dtype=torch.int64)"),
    (te.tensor([math.nan, math.inf, 1.5]), "tensor([   nan,    inf, 1.5000])"),
    (te.tensor([1e-5, 1, 1e5]), "tensor([1.0000e-05, 1.0000e+00, 1.0000e+05])"),
    (te.tensor([-0.0, 1]), "tensor([-0., 1.])"),
    (te.tensor([True, False]), "tensor([ True, False])"),
    (te.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
    (te.ones(2, requires_grad=True) * 2, "tensor([2., 2.], grad_fn=<MulBackward0>)"),
    (te.ones(1, 2, names=["N", None]), "tensor([[1., 1.]], names=('N', None))"),
    (te.ones(2, requires_grad=True, names=["N"]), "tensor([1., 1.], requires_grad=True, names=('N',))"),
])
def test_reprs(x, text):
    assert repr(x) == str(x) == text


def test_default_dtype_is_not_named():
    te.set_default_dtype(te.float64)
    try:
        assert repr(te.ones(1, dtype=te.float64)) == "tensor([1.])"
        assert repr(te.ones(1, dtype=te.float32)) == "tensor([1.], dtype=torch.float32)"
    finally:
        te.set_default_dtype(te.float32)


def test_a_subclass_prints_its_name():
    class Measured(te.Tensor):
        pass
    assert repr(Measured([1, 2])) == "Measured([1., 2.])"


def test_formats():
    assert f"{te.tensor(1.5):.3f} {te.tensor(3):5d} {te.tensor(True)}" == "1.500     3 True"
    assert f"{te.tensor(2.5, requires_grad=True):.1e}" == "2.5e+00" and f"{te.ones(2)}" == "tensor([1., 1.])"
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor.__format__"):
        format(te.ones(2), ".3f")


def test_options():
    defaults = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
    assert te.get_printoptions() == defaults
    with printoptions(precision=2, sci_mode=True):
        assert repr(te.tensor([1.5])) == "tensor([1.50e+00])"
        te.set_printoptions(edgeitems=1)
        assert te.get_printoptions()["sci_mode"] is None           # forgotten with every call, as in torch
    assert te.get_printoptions() == defaults
    te.set_printoptions(profile="full")
    assert "..." not in repr(te.zeros(2000))
    te.set_printoptions(profile="short")
    assert repr(te.tensor([1.234])) == "tensor([1.23])" and repr(te.zeros(2000)) == "tensor([0., 0.,  ..., 0., 0.])"


def test_printing_reads_only():
    x = te.arange(6.).reshape(2, 3).requires_grad_()
    repr(x.t()), repr(x[:, ::2])
    assert x._version == 0 and x.grad is None


def test_limits_print_as_torchs():
    assert repr(te.finfo(te.float16)) == ("finfo(resolution=0.001, min=-65504, max=65504, eps=0.000976562, "
                                          "smallest_normal=6.10352e-05, tiny=6.10352e-05, dtype=float16)")
    assert repr(te.iinfo(te.int32)) == "iinfo(min=-2.14748e+09, max=2.14748e+09, dtype=int32)"
    assert repr(te.iinfo(te.uint8)) == "iinfo(min=0, max=255, dtype=uint8)"
    for make, text in ((lambda: te.finfo(te.int32), "torch.finfo() requires a floating point input type. Use "
                                                    "torch.iinfo to handle 'torch.finfo'"),
                       (lambda: te.iinfo(te.float32), "torch.iinfo() requires an integer input type. Use torch.finfo "
                                                      "to handle 'torch.iinfo'"),
                       (lambda: te.iinfo(te.bool), "torch.bool is not supported by torch.iinfo"),
                       (lambda: te.finfo("x"), "finfo(): argument 'type' (position 1) must be torch.dtype, not str")):
        with pytest.raises(TypeError) as caught:
            make()
        assert str(caught.value) == text
