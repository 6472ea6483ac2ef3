"""What the lessons share: `python -m tinygrad_edu.kernels.reduce` checks a file's kernels, then times or counts them.

It knows no kernel. On a GPU times can be measured; in the simulator they would say nothing about one, so there launches
and threads are counted instead.
"""
from __future__ import annotations

import contextlib
import math
import time

import numpy as np


def check(name, got, want, tol):
    """Say how far `got` is from `want`, relative to the largest in it (or to 1), and fail if that is more than `tol`.

    got    Arrays or numpy arrays, as `want`; or tuples of them
    tol    0 asks for the same values, nan and inf included, which have to be in the same places in any case
    """
    error = max(map(difference, got, want)) if isinstance(want, tuple) else difference(got, want)
    assert error <= tol, f"{name} is off by {error:.1e}, which is more than {tol:.0e}"
    print(f"{name:<60} differs by {error:.0e}")


def check_all(errors, tolerances):
    """Print every (name, error) of `errors(machine, dtype)` for each dtype, and fail if one is over its tolerance."""
    from .memory import default
    machine = default()
    for dtype, tol in tolerances.items():
        for name, error in errors(machine, np.dtype(dtype).type):
            assert error <= tol, f"{name} of {dtype} is off by {error:.1e}, which is more than {tol:.0e}"
            print(f"{dtype} {name:<52} differs by {error:.0e}")
    if machine.simulated:
        print(f"{machine.launches} launches")


def difference(got, want):
    """The largest distance of two arrays, in units of the largest finite number that is wanted (or of 1)."""
    got, want = (np.asarray(a.numpy() if hasattr(a, "machine") else a) for a in (got, want))
    assert got.shape == want.shape, f"the shape is {got.shape} and should be {want.shape}"
    if got.dtype.kind in "iu" and want.dtype.kind in "iu":           # in Python's integers, which lose nothing
        return float(np.abs(got.astype(object) - want.astype(object)).max(initial=0))
    got, want = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(want)
    if not np.array_equal(got[~finite], want[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        return math.inf
    return float(np.abs(got[finite] - want[finite]).max(initial=0) / np.abs(want[finite]).max(initial=1))


def report(name, machine, program, nbytes, times=20):
    """How fast `program()` moves so many bytes on a GPU; how many launches and threads it takes in the simulator."""
    if machine.simulated:
        with counted(machine) as launches:
            program()
        threads = sum(math.prod(grid) * math.prod(block) for grid, block in launches)
        print(f"{name:<60} {len(launches)} launch{'es' * (len(launches) != 1)}, {threads:,} threads")
        return
    program()                                       # compiles
    machine.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        program()
    machine.synchronize()
    seconds = (time.perf_counter() - start) / times
    print(f"{name:<60} {1e6 * seconds:.0f} us, {nbytes / seconds / 1e9:,.0f} GB/s")


@contextlib.contextmanager
def counted(machine):
    """`with counted(machine) as launches:` (grid, block) of every launch in there."""
    launches, launch, before = [], machine.launch, vars(machine).get("launch")

    def counting(kernel, grid, block, *args, **more):
        launches.append((grid, block))
        return launch(kernel, grid, block, *args, **more)
    machine.launch = counting
    try:
        yield launches
    finally:
        del machine.launch
        if before is not None:                      # somebody else was counting already
            machine.launch = before
