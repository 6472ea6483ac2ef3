"""`python -m tinygrad_edu`: the tour, told in the terminal, with plots and a page in tour/.

Knows the order of things; the story is in story.py, the pictures in plots.py.
"""
from __future__ import annotations

import io
import sys
import time
from collections import OrderedDict
from pathlib import Path


def best_device():
    """CUDA where it works, else the CPU."""
    import tinygrad_edu as torch
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def epochs(count):
    """1..count, with a progress bar once it takes more than a second (and tqdm is there, and a person looks)."""
    numbers = range(1, count + 1)
    try:
        from tqdm import tqdm
    except ImportError:
        return numbers
    return tqdm(numbers, delay=1.0, leave=False, disable=None, unit="epoch", file=sys.stderr)


def run(device=None, plots=True, folder="tour"):
    """Tell the story; returns the process's exit status."""
    import numpy as np

    import tinygrad_edu as torch
    from . import story
    from .console import Console
    if plots and Path(folder).exists() and not Path(folder).is_dir():
        print(f"{folder} is a file: move it away, as the plots go into a folder of that name, or take --no-plots",
              file=sys.stderr)
        return 1
    started = time.perf_counter()
    namespace = {"torch": torch, "nn": torch.nn, "np": np, "io": io, "OrderedDict": OrderedDict, "epochs": epochs,
                 "device": best_device() if device is None else torch.device(device)}
    tell = Console(namespace)
    print(f"tinygrad_edu {torch.__version__}: from tensors to a trained network.")
    before = torch.get_default_device()
    torch.set_default_device(namespace["device"])
    try:
        for step in story.STEPS:
            step(tell)
    finally:
        torch.set_default_device(before)
    if plots:
        _pictures(namespace, Path(folder))
    print(f"\nDone in {time.perf_counter() - started:.1f} s. What to read next: README.md, docs/, and the ops in "
          "tinygrad_edu/ops/.")
    return 0


def _pictures(namespace, folder):
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print("\nNo plots, as matplotlib is missing: pip install matplotlib")
        return
    from . import plots
    page = plots.write(namespace, folder)
    print(f"\nPlots: open {page} in a browser.")
