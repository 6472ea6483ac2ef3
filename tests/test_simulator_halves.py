"""16-bit floats in the compiled simulator: exactly what is read, and rounded once when stored."""
from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_edu.kernels.provider import cuda, float16
from tinygrad_edu.kernels.simulator import program

pytest.importorskip("numba", reason="the compiled back end is numba's")
f4 = np.float32
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", "")


def run(kernel, blocks, threads, *args):
    program(kernel).compiled(args)((blocks, 1, 1), (threads, 1, 1), 0, args)


def halves(a, o):
    s = cuda.shared.array(8, float16)
    t = cuda.threadIdx.x
    s[t] = a[t] * 1.0009765625
    cuda.syncthreads()
    o[t] = s[7 - t] + float16(0.1)


def test_halves_are_rounded_when_stored():
    a, o = np.linspace(-3, 3, 8).astype(np.float16), np.zeros(8, np.float16)
    run(halves, 1, 8, a, o)
    stored = (a.astype(float) * 1.0009765625).astype(np.float16)
    assert (o == (stored[::-1].astype(f4) + f4(np.float16(0.1))).astype(np.float16)).all()


def convert(a, o):
    i = cuda.grid(1)
    if i < o.size:
        o[i] = a[i]


def hard_to_round():
    """Floats around all 16-bit ones: those themselves, those halfway, the next ones; and any bits."""
    with np.errstate(all="ignore"):
        every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(float)
        halfway = (every[:-1] + every[1:]) / 2
        values = [every, halfway, np.nextafter(halfway, math.inf), np.nextafter(halfway, -math.inf),
                  rng.integers(0, 1 << 63, 10000).view(float), np.exp2(rng.uniform(-30, 20, 10000))]
    return np.concatenate([*values, [math.inf, -math.inf, math.nan, -0.0, 65519.99, 65520.0]])


@pytest.mark.parametrize("source", [np.float64, np.float32])
def test_every_rounding_to_float16(source):
    with np.errstate(all="ignore"):
        a = hard_to_round().astype(source)
        want = a.astype(np.float16)
    o = np.zeros(a.size, np.float16)
    run(convert, -(-a.size // 256), 256, a, o)
    number = ~np.isnan(a)
    assert (o.view(np.uint16) == want.view(np.uint16))[number].all() and np.isnan(o[~number]).all()


def test_every_float16_and_bfloat16_is_read():
    types = [np.float16]
    try:
        import ml_dtypes
        types.append(ml_dtypes.bfloat16)
    except ImportError:
        pass
    for dtype in types:
        a, o = np.arange(1 << 16, dtype=np.uint16).view(dtype), np.zeros(1 << 16, f4)
        run(convert, 256, 256, a, o)
        np.testing.assert_array_equal(o, a.astype(f4))
        back = np.zeros_like(a)
        run(convert, 256, 256, o, back)
        number = ~np.isnan(o)
        assert (back.view(np.uint16) == a.view(np.uint16))[number].all() and np.isnan(back.astype(f4)[~number]).all()
