"""tinygrad_edu: a deep-learning library to learn from, with torch's names.

`import tinygrad_edu as torch` and an ordinary torch program runs.
"""
from __future__ import annotations

import importlib as _importlib
import math as _math

from . import ops  # noqa: F401  (attaches the operations)
from . import autograd
from .autograd import functional as _functional  # noqa: F401  (torch.autograd.functional)
from .autograd.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled
from .backends import device, get_default_device, set_default_device
from .backends.switches import (
    are_deterministic_algorithms_enabled, get_float32_matmul_precision, get_num_interop_threads, get_num_threads,
    is_deterministic_algorithms_warn_only_enabled, set_float32_matmul_precision, set_num_interop_threads,
    set_num_threads, use_deterministic_algorithms)
from .core import dtypes as _dtypes
from .core.dtypes import (can_cast, dtype, finfo, get_default_dtype, iinfo, promote_types, set_default_dtype)
from .core.export import functions as _functions
from .core.layout import Size, contiguous_format, layout, memory_format, preserve_format, strided
from .core.mode import (enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad,
                        set_grad_enabled)
from .core.tensor import Tensor
from .ops import return_types
from .storage import TypedStorage, UntypedStorage, is_storage

__version__ = "0.1.0"

float64 = double = _dtypes.float64
float32 = float = _dtypes.float32
float16 = half = _dtypes.float16
int64 = long = _dtypes.int64
int32 = int = _dtypes.int32
int16 = short = _dtypes.int16
int8, uint8, bool = _dtypes.int8, _dtypes.uint8, _dtypes.bool_
inf, nan, pi, e, newaxis = _math.inf, _math.nan, _math.pi, _math.e, None
globals().update({_name: _f for _name, _f in _functions.items() if "." not in _name})

# What is loaded when it is first asked for, so that importing tinygrad_edu stays quick: modules, and names out of them.
_MODULES = ("cuda", "linalg", "nn", "optim", "random", "serialization", "storage", "utils")
_NAMES = {"save": "serialization", "load": "serialization", "OutOfMemoryError": "cuda"}


def __getattr__(name):
    if name in _MODULES:
        return _importlib.import_module(f".{name}", __name__)
    if name in _NAMES:
        found = globals()[name] = getattr(_importlib.import_module(f".{_NAMES[name]}", __name__), name)
        return found
    if name == "bfloat16":
        return _dtypes.bfloat16()
    if name in _functions:                         # an op that was exported after this module was made
        return _functions[name]
    raise AttributeError(f"module 'tinygrad_edu' has no attribute '{name}'")


def __dir__():
    return sorted({*globals(), *_MODULES, *_NAMES, "bfloat16"})
