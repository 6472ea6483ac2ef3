"""The files in this folder, as torch 2.13 writes them: `python tests/goldens/torch_files/write.py`. It needs torch."""
from __future__ import annotations

import collections
from pathlib import Path

import torch

HERE = Path(__file__).parent
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


def tensors():
    x = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    found = {name: torch.tensor([0, 1, 100], dtype=getattr(torch, name)) for name in DTYPES}
    return {**found, "x": x, "x.t()": x.t(), "x[1]": x[1], "x[:, ::2]": x[:, ::2], "expanded": x[:1].expand(4, 3),
            "empty": torch.zeros(0, 3), "0-d": torch.tensor(2.5), "leaf": torch.ones(2, requires_grad=True),
            "parameter": torch.nn.Parameter(torch.ones(2)), "frozen": torch.nn.Parameter(torch.ones(2), False)}


def containers():
    return {"numbers": [1, -2, 2 ** 40, 2.5, float("inf"), True, None], "strings": ("a", "\N{SNOWMAN}", b"bytes", ""),
            "size": torch.Size([2, 3]), "dtype": torch.float64,
            "devices": [torch.device("cpu"), torch.device("cuda", 1)],
            "set": {"two"}, "counter": collections.Counter("aab"), "complex": 1 + 2j, "bytearray": bytearray(b"xy"),
            "ordered": collections.OrderedDict(b=1, a=2), (1, "key"): [[], {}, ()]}


def training():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(3, 1)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def main():
    torch.save(tensors(), HERE / "tensors.pt")
    torch.save(torch.tensor([1.0, -2.5], dtype=torch.bfloat16), HERE / "bfloat16.pt")
    torch.save(containers(), HERE / "containers.pt")
    torch.save(training(), HERE / "training.pt")
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(2, 1), HERE / "linear.pt")
    torch.save({"x": torch.ones(2)}, HERE / "legacy.pt", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
