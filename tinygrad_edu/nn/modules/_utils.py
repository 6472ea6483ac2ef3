"""What the layers share: uninitialised parameters, and sizes given as one number or as several."""
from __future__ import annotations

import math

from ...core.export import functions
from .. import init
from ..parameter import Parameter


def empty_parameter(shape, device, dtype, wanted=True):
    """A Parameter still to be filled, or None for one that a layer was told to do without."""
    return Parameter(functions["empty"](shape, device=device, dtype=dtype)) if wanted else None


def single(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def pair(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x, x)


def reset_weight_and_bias(weight, bias):
    """The default of linear and convolutional layers: both uniform on +-1 / sqrt(fan_in), the weight drawn first."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init._calculate_fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
        init.uniform_(bias, -bound, bound)


def reset_affine(weight, bias):
    """The default of normalisation layers: they change nothing at first."""
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)
