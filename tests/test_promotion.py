"""Types of results: the whole table is torch's."""
from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_edu as te
from tests.goldens import promotion, record
from tests.strong import RECORD


@pytest.fixture(scope="module")
def recorded():
    return record.read_promotion()


def differences(mine, right):
    return [f"{key}: {mine[key]}; torch: {right[key]}" for key in mine if mine[key] != right[key]]


@pytest.mark.parametrize("operation", [*promotion.OPERATIONS, "result_type", "can_cast", "promote_types"])
def test_the_whole_table(operation, recorded, ours):
    mine = {k: v for k, v in ours.items() if k.split()[0] == operation}
    right = {k: v for k, v in recorded.items() if k in mine}
    assert len(right) == len(mine) > 80, RECORD
    assert differences(mine, right) == []


@pytest.fixture(scope="module")
def ours():
    return promotion.table(te)


def test_bfloat16(recorded):
    """The same with bfloat16 beside every other type, where ml_dtypes is installed."""
    pytest.importorskip("ml_dtypes", reason="bfloat16 is ml_dtypes' type")
    mine = promotion.table(te, (*promotion.DTYPES, "bfloat16"))
    assert len(mine) == len(recorded)
    assert differences(mine, recorded) == []


def test_recorded_table_is_torchs(real_torch, recorded):
    found = promotion.table(real_torch, (*promotion.DTYPES, "bfloat16"))
    assert json.dumps(found) == json.dumps(recorded), RECORD


# ---- what a table of types does not show: the values
def test_numbers_take_part_in_the_type_of_the_tensor():
    assert (te.tensor([1], dtype=te.uint8) + 255).tolist() == [0]          # wraps as in C
    assert (te.tensor([1], dtype=te.int8) - 129).tolist() == [-128]
    assert (te.tensor([1.0], dtype=te.float16) + 1e-4).tolist() == [1.0]
    assert (te.tensor([2 ** 30], dtype=te.int32) * 4).tolist() == [0]
    assert (te.tensor([2 ** 62], dtype=te.int64) * 2).tolist() == [-2 ** 63]


def test_bools():
    a, b = te.tensor([True, True, False, False]), te.tensor([True, False, True, False])
    assert (a + b).tolist() == [True, True, True, False] and (a * b).tolist() == [True, False, False, False]
    assert (a & b).tolist() == (a * b).tolist() and (a ^ b).tolist() == [False, True, True, False]
    assert (a + 1).tolist() == [2, 2, 1, 1] and (a + True).dtype is te.bool
    assert (a / b).tolist() == [1.0, float("inf"), 0.0, pytest.approx(float("nan"), nan_ok=True)]


def test_comparisons_happen_in_the_common_type():
    assert (te.tensor([2 ** 24 + 1],
                      dtype=te.int64) == te.tensor([float(2 ** 24)])).tolist() == [True]      # in float32
    assert (te.tensor([255], dtype=te.uint8) == te.tensor([-1], dtype=te.int8)).tolist() == [False]          # in int16
    assert (te.tensor([0.1]) == 0.1).tolist() == [True]                    # the number is rounded to float32 too


def test_default_dtype_speaks_for_numbers():
    te.set_default_dtype(te.float64)
    try:
        assert (te.tensor([1]) + 1.5).dtype is te.float64 and te.tensor(1.5).dtype is te.float64
        assert (te.tensor([1]) / 2).dtype is te.float64
    finally:
        te.set_default_dtype(te.float32)


def test_numpy_scalars_are_numbers():
    x = te.ones(2)
    assert (x * np.float64(2)).dtype is te.float32 and (np.float64(2) * x).dtype is te.float32
    assert (np.int32(2) * x).tolist() == [2.0, 2.0]


def test_a_dtype_is_a_value():
    import copy
    import pickle
    for d in (te.float32, te.int8, te.bool):
        assert copy.deepcopy(d) is d and pickle.loads(pickle.dumps(d)) is d
    assert repr(te.float32) == "torch.float32" and te.half is te.float16 and te.long is te.int64
    assert te.finfo(te.float32).eps == 2 ** -23 and te.iinfo(te.uint8).max == 255
