"""Ask torch how tensors print, and keep the answers in printing.json: `python -m tests.goldens.printing`."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
FLOATS, INTEGERS = ("float32", "float64", "float16"), ("int64", "int32", "int16", "int8", "uint8", "bool")
SHAPES = ((), (1,), (3,), (9,), (2, 3), (3, 1), (1, 12), (2, 2, 3), (2, 1, 2, 2), (0,), (0, 3), (2, 0), (40,))
OPTIONS = ({}, {}, {}, {}, {"precision": 2}, {"precision": 8}, {"sci_mode": True}, {"sci_mode": False},
           {"linewidth": 40},
           {"threshold": 5}, {"threshold": 5, "edgeitems": 1}, {"threshold": 3, "edgeitems": 0}, {"profile": "short"})
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0)


def draw(random):
    """One case: (numbers, dtype, what is done to the tensor, print options)."""
    shape = SHAPES[random.randint(len(SHAPES))]
    scale = 10.0 ** random.randint(-8, 9) if random.rand() < 0.6 else 10.0 ** random.randint(-5, 6, shape)
    numbers = np.asarray(random.randn(*shape) * scale)
    if random.rand() < 0.3:
        numbers = np.asarray(np.round(numbers))
    if random.rand() < 0.25 and numbers.size:
        for value in SPECIAL:
            if random.rand() < 0.5:
                numbers.reshape(-1)[random.randint(numbers.size)] = value
    dtype = (FLOATS if random.rand() < 0.75 else INTEGERS)[random.randint(3)]
    if dtype in INTEGERS:
        numbers = np.asarray(np.clip(np.nan_to_num(numbers), -100, 100)).astype(np.int64)
    return numbers, dtype, random.randint(4), OPTIONS[random.randint(len(OPTIONS))]


def reprs(torch, count=400):
    """How `torch` (ours or the real one) prints `count` tensors, all different."""
    random = np.random.RandomState(4)
    for _ in range(count):
        numbers, dtype, then, options = draw(random)
        x = torch.tensor(numbers, dtype=torch.float32 if dtype in FLOATS else torch.int64).to(getattr(torch, dtype))
        if dtype in FLOATS and then:
            x.requires_grad_()
        if dtype in FLOATS and then == 2:
            x = x * 1
        if x.ndim > 1 and then == 3:
            x = x.transpose(0, -1)
        torch.set_printoptions(**options)
        try:
            yield repr(x)
        finally:
            torch.set_printoptions(profile="default")
    for big in (torch.arange(1200), torch.arange(2000.).reshape(40, 50), torch.zeros(1001), torch.ones(30, 4, 9) / 3,
                torch.arange(1000)):
        yield repr(big)


def read():
    return json.loads(FILE.read_text())


if __name__ == "__main__":
    import torch
    FILE.write_text(json.dumps(list(reprs(torch)), indent=0) + "\n")
