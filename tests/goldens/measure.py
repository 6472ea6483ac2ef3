"""Run a sample with torch or with tinygrad_edu, and write down what happened in a form that can be stored and compared.

It does not know which of the two it drives: the recorded answers and ours come out of the same lines.
"""
from __future__ import annotations

import warnings
import zlib

import numpy as np

REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, OverflowError)


def cast(array, dtype):
    """A drawn input in another dtype; floats become small integers (times 10 in steps of 0.1, else times 3)."""
    if dtype.startswith("float"):
        return array.astype(dtype)
    if dtype == "bool":
        return array > 0
    whole = array
    if array.dtype.kind == "f":
        tens = np.rint(array * 10)
        whole = tens if np.abs(tens - array * 10).max(initial=0) < 0.01 else np.rint(array * 3)
    return (whole - min(0, whole.min(initial=0)) if dtype == "uint8" else whole).astype(dtype)


def castable(arrays):
    """The inputs to which a dtype applies: the floats; where there are none, the integers; else the bools."""
    for kind in "fib":
        found = [name for name, array in arrays.items() if array.dtype.kind == kind]
        if found:
            return found
    return []


def cases(sample):
    """{name of the case: the inputs' arrays}: one per dtype, with one size made 0, and with 0-d inputs."""
    arrays = sample.arrays()
    if not arrays:
        return {"float64": {}}
    mine = castable(arrays)
    found = {dtype: {n: cast(a, dtype) if n in mine else a for n, a in arrays.items()} for dtype in sample.dtypes}
    if not sample.edges:
        return found
    sizes = list(dict.fromkeys(size for name in mine for size in arrays[name].shape if size > 1))
    for size in sizes[:2]:
        found[f"empty {size}"] = {n: np.zeros([0 if s == size else s for s in a.shape], a.dtype) if size in a.shape
                                  else a
                                  for n, a in arrays.items()}
    if sizes:
        found["0-d"] = {n: a.reshape(-1)[0].reshape(()) if n in mine else a for n, a in arrays.items()}
    return found


def outputs_of(value):
    """The results of an expression as a flat list."""
    if isinstance(value, (tuple, list)) and not hasattr(value, "numel"):
        return [o for item in value for o in outputs_of(item)]
    return [value]


def is_tensor(value):
    return hasattr(value, "grad_fn")


def weights_for(key, number, shape):
    """Fixed numbers by which an output is weighted, so that its gradient is nothing special."""
    return np.random.default_rng(zlib.crc32(f"{key}|{number}".encode())).standard_normal(tuple(shape))


def tensors_of(torch, sample, arrays, device=None):
    """The arrays as tensors; those that shall be differentiated are leaves that require a gradient."""
    found = {}
    for name, array in arrays.items():
        x = torch.tensor(array, dtype=getattr(torch, array.dtype.name))
        if device is not None:
            x = x.to(device)
        found[name] = x.requires_grad_() if array.dtype.kind == "f" and sample.inputs[name].grad else x
    return found


def seed(torch):
    """So that random functions give torch's numbers."""
    torch.manual_seed(0)


class Elsewhere:
    """torch, whose `tensor` makes tensors on the device of a sample's inputs: expressions make a few of their own."""

    def __init__(self, torch, device):
        self.torch, self.device = torch, device

    def tensor(self, *args, **kwargs):
        return self.torch.tensor(*args, **{"device": self.device, **kwargs})

    def __getattr__(self, name):
        return getattr(self.torch, name)


def namespace(torch, tensors):
    """What an expression may name besides its inputs."""
    devices = {x.device for x in tensors.values()}
    there = next((d for d in devices if d.type != "cpu"), None)
    return {"torch": torch if there is None else Elsewhere(torch, there)}


def evaluate(torch, sample, tensors):
    seed(torch)
    return outputs_of(eval(sample.expression, namespace(torch, tensors), dict(tensors)))


def gradients(torch, key, outputs, tensors):
    """{input: gradient as numpy, or None} of the outputs' weighted sum."""
    wanted = {n: x for n, x in tensors.items() if x.requires_grad}
    loss = None
    for number, out in enumerate(outputs):
        if is_tensor(out) and out.requires_grad:
            weights = torch.tensor(weights_for(key, number, out.shape), dtype=out.dtype, device=out.device)
            term = (out * weights).sum()
            loss = term if loss is None else loss + term
    if loss is None:
        return dict.fromkeys(wanted)
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return {n: None if g is None else host(g) for n, g in zip(wanted, found)}


def host(tensor):
    return tensor.detach().cpu().numpy()


def describe(out):
    """[dtype, shape, name of the grad_fn] of a tensor; [repr, None, None] of anything else."""
    if not is_tensor(out):
        return [repr(out), None, None]
    return [str(out.dtype), list(out.shape), None if out.grad_fn is None else type(out.grad_fn).__name__]


def answer(torch, sample, name, arrays, device=None):
    """What one case gives: {"error", "message"}, or {"outputs", "values", "grads"}."""
    differentiate = name not in sample.dtypes or name == "float64"
    try:
        tensors = tensors_of(torch, sample, arrays, device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs = evaluate(torch, sample, tensors)
            grads = gradients(torch, sample.key, outputs, tensors) if differentiate else {}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error).split("\n")[0]}
    return {"outputs": [describe(o) for o in outputs],
            "values": [host(o) if is_tensor(o) else np.zeros(0) for o in outputs],
            "grads": grads}


def measure(torch, sample, device=None):
    """{case: answer} of all cases of a sample."""
    return {name: answer(torch, sample, name, arrays, device) for name, arrays in cases(sample).items()}


def fingerprint(sample):
    """A number that changes when the inputs of a sample do: then its recording is out of date."""
    return zlib.crc32(b"".join(n.encode() + str(a.shape).encode() + np.ascontiguousarray(a).tobytes() for n,
                               a in sample.arrays().items()))
