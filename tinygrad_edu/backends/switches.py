"""torch's switches of the machine: threads, deterministic algorithms, and the attributes of `torch.backends.cudnn`.

Programs set them before they begin. Here they are kept and told again, and change nothing: numpy chose the threads of
its BLAS when it was imported (set OMP_NUM_THREADS before that), and every algorithm is deterministic already.
"""
from __future__ import annotations

import os


class _Kept:
    threads = interop_threads = None
    deterministic = warn_only = False
    precision = "highest"


def _default_threads():
    wish = os.environ.get("OMP_NUM_THREADS", "")
    return int(wish) if wish.isdigit() and int(wish) else os.cpu_count() or 1


def _checked_threads(number, function):
    if not isinstance(number, int) or isinstance(number, bool):
        raise RuntimeError(f"{function} expects an int, but got {type(number).__name__}")
    if number <= 0:
        raise RuntimeError(f"{function} expects a positive integer")
    return number


def set_num_threads(number):
    """Keep the number that `get_num_threads` tells. numpy's threads are chosen when numpy is imported."""
    _Kept.threads = _checked_threads(number, "set_num_threads")


def get_num_threads():
    """The number that was set, or that numpy found when it was imported."""
    return _Kept.threads or _default_threads()


def set_num_interop_threads(number):
    """Keep the number that `get_num_interop_threads` tells: operations run one after another here."""
    _Kept.interop_threads = _checked_threads(number, "set_num_interop_threads")


def get_num_interop_threads():
    return _Kept.interop_threads or os.cpu_count() or 1


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Keep the wish: everything here is deterministic."""
    if not isinstance(mode, bool):
        raise TypeError("_set_deterministic_algorithms(): argument 'mode' (position 1) must be bool, not "
                        f"{type(mode).__name__}")
    _Kept.deterministic, _Kept.warn_only = mode, warn_only


def are_deterministic_algorithms_enabled():
    return _Kept.deterministic


def is_deterministic_algorithms_warn_only_enabled():
    return _Kept.warn_only


def set_float32_matmul_precision(precision):
    """Keep the wish: products of float32 are computed in float32."""
    _Kept.precision = precision


def get_float32_matmul_precision():
    return _Kept.precision


class Library:
    """torch's small object about a library: whether it is there, and switches that may be set."""

    def __init__(self, available=False, version=None, **switches):
        self._available, self._version = available, version
        vars(self).update(switches)

    def is_available(self):
        """Whether the library computes for us."""
        return self._available

    def is_built(self):
        return self._available

    def version(self):
        return self._version


cudnn = Library(enabled=True, deterministic=False, benchmark=False, benchmark_limit=10, allow_tf32=True)
mps, mkl, openmp = Library(), Library(), Library()
