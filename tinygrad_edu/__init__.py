"""tinygrad_edu: a deep-learning library to learn from, with torch's names.

`import tinygrad_edu as torch` and an ordinary torch program runs.
"""
from __future__ import annotations

from .backends import device
from .core import dtypes as _dtypes
from .core.dtypes import finfo, get_default_dtype, iinfo, promote_types, set_default_dtype
from .core.layout import Size
from .core.export import functions as _functions
from .core.mode import enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled
from .core.tensor import Tensor
from . import ops  # noqa: F401  (attaches the operations)
from . import autograd

__version__ = "0.1.0"

float64 = double = _dtypes.float64
float32 = float = _dtypes.float32
float16 = half = _dtypes.float16
int64 = long = _dtypes.int64
int32 = int = _dtypes.int32
int16 = short = _dtypes.int16
int8, uint8, bool = _dtypes.int8, _dtypes.uint8, _dtypes.bool_
dtype = _dtypes.dtype
globals().update({_name: _f for _name, _f in _functions.items() if "." not in _name})
