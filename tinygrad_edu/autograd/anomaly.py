"""detect_anomaly: find the operation whose gradient fails or becomes nan.

While it is on, every node remembers where in the program it was made. Slow: for debugging only.
"""
from __future__ import annotations

import warnings

from ..core import tape


def is_anomaly_enabled():
    """Whether anomaly detection is on."""
    return bool(tape.anomaly)


def is_anomaly_check_nan_enabled():
    return bool(tape.anomaly) and tape.anomaly[-1]


class set_detect_anomaly:
    """Switch anomaly detection on or off, at once, and back at the end of a `with` block.

    check_nan: also raise when a backward function returns nan.
    """
    def __init__(self, mode: bool, check_nan: bool = True):
        self.before = tape.anomaly[:]
        tape.anomaly[:] = [True, check_nan] if mode else []

    def __enter__(self):
        pass

    def __exit__(self, *error):
        tape.anomaly[:] = self.before


class detect_anomaly(set_detect_anomaly):
    """`with detect_anomaly():` around forward and backward. Warns, as torch does, that it is slow."""
    def __init__(self, check_nan: bool = True):
        warnings.warn("Anomaly Detection has been enabled. This mode will increase the runtime and should only be "
                      "enabled for debugging.",
                      stacklevel=2)
        self.before = None
        self.check_nan = check_nan

    def __enter__(self):
        super().__init__(True, self.check_nan)
