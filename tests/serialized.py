"""What the tests of files share: files in memory, comparing what comes back, and forging.
"""
from __future__ import annotations

import io
import pickle

import tinygrad_edu as torch
from tinygrad_edu import serialization
from tinygrad_edu.serialization import archive

REFUSALS = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError)     # what `load` may raise for a bad file


def saved(obj, **arguments):
    """The bytes of a file with obj."""
    buffer = io.BytesIO()
    torch.save(obj, buffer, **arguments)
    return buffer.getvalue()


def again(obj, **arguments):
    """What comes back of obj."""
    return torch.load(io.BytesIO(saved(obj)), **arguments)


def same(a, b):
    """Whether two objects of containers, tensors and plain values are equal, types, strides and dtypes included."""
    if isinstance(a, torch.Tensor):
        return (type(a) is type(b) and a.dtype is b.dtype and a.shape == b.shape and a.stride() == b.stride()
                and a.requires_grad == b.requires_grad and a.tolist() == b.tolist())
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def forged(data, records=(), stem="archive"):
    """A file with this pickle and these records, as `archive.Writer` writes them."""
    out = io.BytesIO()
    writer = archive.Writer(out, stem)
    writer.record("data.pkl", data)
    for name, content in dict(records).items():
        writer.record(name, content)
    writer.close()
    out.seek(0)
    return out


def pickle_of(obj):
    return serialization.pickler.dumps(obj, 2)[0]


def refuses(data):
    """The error of loading `data`, one of those that callers may expect; None if it loads."""
    try:
        torch.load(io.BytesIO(bytes(data)) if not hasattr(data, "read") else data)
    except REFUSALS as error:
        return error
    return None


def small():
    x = torch.arange(6).reshape(2, 3)
    return {"x": x, "v": x.t(), "n": [1, 2.5, "ab"], "e": torch.zeros(0), "t": (torch.ones(2),)}
