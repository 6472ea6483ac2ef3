"""`python -m benchmarks`: time per case and its ratio to torch, as a table.

Both sides run in turn in one process with one thread each, so that a busy machine disturbs both alike; figures are
medians. Where torch is not installed only our side is printed. A report, never a test: the exit status is 0.
"""
from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):    # before numpy is imported
    os.environ.setdefault(_name, "1")

IMPORTS = [("import", "tinygrad_edu", "torch", 7, 0.25)]


def seconds(run, times):
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def compare(runs, times, rounds):
    """Median seconds of each of `runs`, measured in turn, after one round to warm up."""
    for run in runs:
        run()
    found = [[seconds(run, times) for run in runs] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*found)]


def importing(module):
    """Imports a module in a fresh interpreter."""
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run():                                     # the first run writes bytecode, as an installed package has it
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
        return float(done.stdout)
    return run


def import_times(modules, rounds):
    runs = [importing(m) for m in modules]
    found = [[run() for run in runs] for _ in range(rounds + 1)][1:]
    return [statistics.median(column) for column in zip(*found)]


def row(name, ours, theirs, limit):
    if theirs is None:
        return f"{name:<38}{ours * 1e3:>10.3f} ms{'-':>13}{'-':>8}"
    return f"{name:<38}{ours * 1e3:>10.3f} ms{theirs * 1e3:>10.3f} ms{ours / theirs:>7.2f}x   aim {limit}x"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("--fast", action="store_true", help="a fifth of the measurements")
    fast = parser.parse_args().fast
    import tinygrad_edu

    from .cases import CASES
    try:
        import torch
        torch.set_num_threads(1)
    except ImportError:
        torch = None
    import numpy
    other = f"torch {torch.__version__}" if torch else "no torch: only our side is measured"
    print(f"Python {platform.python_version()}, numpy {numpy.__version__}, tinygrad_edu {tinygrad_edu.__version__}, "
          f"{other}, {platform.machine()}")
    print(f"{'':<38}{'tinygrad_edu':>13}{'torch':>13}{'ratio':>8}")
    libraries = [tinygrad_edu] + ([torch] if torch else [])
    for name, ours, theirs, rounds, limit in IMPORTS:
        found = import_times([ours] + ([theirs] if torch else []), max(3, rounds // 2) if fast else rounds)
        print(row(f"{name} {ours}", found[0], found[1] if torch else None, limit), flush=True)
    for name, case, times, rounds, limit in CASES:
        found = compare([case(library) for library in libraries], times, max(5, rounds // 5) if fast else rounds)
        print(row(name, found[0], found[1] if torch else None, limit), flush=True)
    simulated(tinygrad_edu, fast)


def simulated(library, fast):
    """Simulated CUDA: against our own CPU, and its Python back end by threads a second."""
    from . import simulator
    print(f"\n{'simulated CUDA, compiled':<38}{'simulator':>13}{'our CPU':>13}{'ratio':>8}")
    try:
        import numba  # noqa: F401
    except ImportError:
        print("numba is not installed: nothing can be compiled")
    else:
        for name, mine, cpu, limit in simulator.training(library, compare, fast):
            print(row(name, mine, cpu, limit), flush=True)
    print(f"\n{'simulated CUDA, in Python':<38}{'1,000 threads/s':>16}")
    for name, figure, limit in simulator.threads_per_second(library, fast):
        print(f"{name:<38}{figure:>16.1f}   aim {limit}", flush=True)


if __name__ == "__main__":
    main()
