"""The CPU backend: numpy.

It knows numpy arrays, and nothing of tensors, gradients or names.
"""
from __future__ import annotations

import numpy as np

from ..core import dtypes
from . import device, register_backend

# IEEE results without warnings, as torch gives them. np.errstate costs as much as three additions of small
# arrays; setting its context variable directly costs a third of one.
try:
    from numpy._core.umath import _extobj_contextvar, _make_extobj
    enter, leave, QUIET = _extobj_contextvar.set, _extobj_contextvar.reset, _make_extobj(all="ignore")
except ImportError:                                 # numpy 1, or a numpy that moved it
    QUIET = None

    def enter(_):
        state = np.errstate(all="ignore")
        state.__enter__()
        return state

    def leave(state):
        state.__exit__(None, None, None)


class quiet:
    """`with quiet():` numpy computes inf and nan without warnings."""
    __slots__ = ("token",)

    def __enter__(self):
        self.token = enter(QUIET)

    def __exit__(self, *error):
        leave(self.token)


def is_half(x):
    """Whether x is an array of float16 or bfloat16."""
    return isinstance(x, np.ndarray) and x.dtype.itemsize == 2 and x.dtype.kind not in "iu"


class CPUBackend:
    device = device("cpu")
    native = True

    # ---- memory
    def empty(self, count, dtype):
        return np.empty(count, dtype.numpy)

    def from_numpy(self, array, dtype):
        with quiet():                               # float -> int casts of nan
            return np.array(array, dtype.numpy, order="C", copy=True).reshape(-1)

    def to_numpy(self, array):
        return array

    def as_array(self, buffer, shape, strides, offset, dtype):
        step = dtype.itemsize
        if 0 in shape:                              # an empty view may start behind the end
            return np.empty(shape, dtype.numpy)
        return np.ndarray(shape, dtype.numpy, buffer, offset * step, [stride * step for stride in strides])

    def buffer_of(self, array):
        if array.flags.c_contiguous:
            return array.reshape(-1)
        return array.ravel(order="K")               # dense in another order: still no copy

    def layout_of(self, array):
        step = array.itemsize
        return array.shape, tuple([stride // step for stride in array.strides]), dtypes.from_numpy(array.dtype)

    def copy(self, target, source):
        with quiet():
            np.copyto(target, source, casting="unsafe")

    def fill(self, target, value):
        with quiet():
            target.fill(value)

    def cast(self, array, dtype):
        with quiet():
            return array.astype(dtype.numpy)

    def synchronize(self):
        pass

    # ---- the four verbs
    def elementwise(self, op, arrays, params, shape, dtype):
        if any(map(is_half, arrays)):               # compute in float32 and round once, as torch does
            arrays = [a.astype(np.float32) if is_half(a) else a for a in arrays]
        with quiet():
            out = op.cpu(*arrays, **params)
            if out.__class__ is not np.ndarray:
                out = np.asarray(out)
            if out.dtype != dtype.numpy:
                out = out.astype(dtype.numpy)
        return out

    def reduce(self, op, array, dims, keepdim, dtype, params):
        if dtype.itemsize == 2 and dtype.is_floating_point:
            array = array.astype(np.float32)        # accumulate in float32 and round once, as torch does
        with quiet():
            out = np.asarray(op.cpu(array, dims=dims, keepdim=keepdim, **params))
            return out.astype(dtype.numpy, order="C", copy=False)      # contiguous, whatever the input's strides

    def matmul(self, a, b):
        with quiet():
            if a.dtype.itemsize == 2 and a.dtype.kind not in "iu":    # accumulate in float32 and round once
                return np.asarray(np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype))
            return np.asarray(np.matmul(a, b))

    def run(self, op, arrays, params):
        with quiet():
            return op.cpu(*arrays, **params)


CPU = register_backend(CPUBackend())
