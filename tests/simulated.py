"""Launching kernels in the simulator's Python back end, in both thread orders, without checks and with all of them."""
import numpy as np
import pytest

from tinygrad_edu.kernels.simulator import program

MODES = {"plain": {}, "reverse": dict(reverse=True), "check": dict(check=True),
         "check, reverse": dict(check=True, reverse=True)}
f4 = np.float32
rng = np.random.default_rng(0)


def rand(*shape):
    return rng.standard_normal(shape).astype(f4)


def three(size):
    size = size if isinstance(size, tuple) else (size,)
    return size + (1,) * (3 - len(size))


@pytest.fixture(params=MODES)
def launch(request):
    """launch(function, grid, block, *args)"""
    def run(function, grid, block, *args, shared=0):
        kernel = program(getattr(function, "py_func", function))
        kernel.python(**MODES[request.param])(three(grid), three(block), shared, args)
    return run
