"""What simulated CUDA costs: training on it against our own CPU, and its Python back end against numba's simulator.

Both sides in turn in one process where that is possible; numba's simulator is chosen by the environment, so it runs
in a process of its own, a round of it after a round of ours. Figures are medians.
"""
from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from .cases import adam, mlp

# name, case, how often one measurement runs it, how many measurements, the ratio that must not be exceeded
TRAINING = [("MLP step 784-256-10, batch 64", mlp, 1, 21, 15), ("tutorial's Adam loop, 1,000 epochs", adam, 1, 5, 10)]
SIZE, TILE = 64, 16
KERNEL = '''
@cuda.jit
def tiled(a, b, out, n):
    sa = cuda.shared.array((16, 16), float32)
    sb = cuda.shared.array((16, 16), float32)
    tx = cuda.threadIdx.x
    ty = cuda.threadIdx.y
    col, row = cuda.grid(2)
    total = float32(0)
    for k0 in range(0, n, 16):
        sa[ty, tx] = a[row, k0 + tx]
        sb[ty, tx] = b[k0 + ty, col]
        cuda.syncthreads()
        for k in range(16):
            total += sa[ty, k] * sb[k, tx]
        cuda.syncthreads()
    out[row, col] = total
'''
NUMBAS = f'''
import time, numpy as np
from numba import cuda, float32
{KERNEL}
a, b, out = (np.ones(({TILE}, {TILE}), np.float32) for _ in range(3))
start = time.perf_counter()
tiled[(1, 1), ({TILE}, {TILE})](a, b, out, {TILE})
print(time.perf_counter() - start)
'''


def losses(case, torch, device, steps=3):
    run = case(torch, device)
    return [run() for _ in range(steps)]


def training(torch, compare, fast):
    """Rows of (name, seconds on simulated CUDA, seconds on the CPU, the aim)."""
    torch.cuda.use_simulator()
    with torch.cuda.simulator(mode="compiled"):
        for name, case, times, rounds, limit in TRAINING:
            mine, theirs = losses(case, torch, "cuda"), losses(case, torch, "cpu")
            if not np.allclose(mine, theirs, rtol=1e-4):
                raise AssertionError(f"{name}: losses {mine} on the simulator, {theirs} on the CPU")
            found = compare([case(torch, "cuda"), case(torch, "cpu")], times, max(3, rounds // 5) if fast else rounds)
            yield name, *found, limit


def tiled_kernel():
    """The kernel as our simulator runs it: from a file, as its source has to be found."""
    import linecache
    from tinygrad_edu.kernels import cuda, float32
    name = "<tiled matmul>"
    linecache.cache[name] = len(KERNEL), None, KERNEL.splitlines(True), name
    namespace = {"cuda": cuda, "float32": float32, "__name__": __name__}
    exec(compile(KERNEL, name, "exec"), namespace)
    return namespace["tiled"]


def threads_per_second(torch, fast):
    """Rows of (name, thousand threads a second, the aim) of a 16x16-tiled matmul in Python."""
    kernel, rounds = tiled_kernel(), 3 if fast else 9
    a, b, out = (np.ones((SIZE, SIZE), np.float32) for _ in range(3))
    blocks = SIZE // TILE

    def ours(mode):
        with torch.cuda.simulator(mode=mode):
            start = time.perf_counter()
            kernel[(blocks, blocks), (TILE, TILE)](a, b, out, SIZE)
        return SIZE * SIZE / (time.perf_counter() - start)

    def small():                                    # what numba's is given: one block, one tile
        with torch.cuda.simulator(mode="python"):
            start = time.perf_counter()
            kernel[(1, 1), (TILE, TILE)](a[:TILE, :TILE], b[:TILE, :TILE], out[:TILE, :TILE], TILE)
        return TILE * TILE / (time.perf_counter() - start)

    def numbas():
        program = f"exec(compile({NUMBAS!r}, 'numbas', 'exec'))"
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, capture_output=True,
                              text=True, env=dict(os.environ, NUMBA_ENABLE_CUDASIM="1"))
        return TILE * TILE / float(done.stdout)

    for mode in ("python", "check"):
        ours(mode)
    small()
    if (out != SIZE)[TILE:, TILE:].any():
        raise AssertionError("the tiled matmul is wrong")
    has_numba = importlib.util.find_spec("numba") is not None
    found = [(ours("python"), ours("check"), small(), numbas() if has_numba else None) for _ in range(rounds)]
    python, check, one, other = ([row[k] for row in found] for k in range(4))
    yield "tiled matmul in Python, unchecked", statistics.median(python) / 1e3, "40"
    yield "tiled matmul in Python, all checks", statistics.median(check) / 1e3, "5"
    if has_numba:
        yield "times numba's simulator, one tile", statistics.median(one) / statistics.median(other), "100"
