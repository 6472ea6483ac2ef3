"""The GPU kernels, written in numba.cuda, to be read as a course of their own: README.md has the reading order.

Knows numpy and numba only: no tensor, no dtype rule, no gradient. Installs as `tinygrad_edu.kernels`. What kernels are
written with comes from here: `from tinygrad_edu.kernels import cuda, float32`.
"""
from .provider import (
    boolean, cuda, float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64)
