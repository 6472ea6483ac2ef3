"""The simulator: CUDA kernels on a CPU, from the same source, by loop fission.

It knows no engine, and no kernel of ours. A block of threads becomes ordinary loops over threads, cut
wherever threads meet: everything before a barrier for all threads, then everything after it. The steps, a file each, in
the order of reading:

    load      a function -> a syntax tree with plain names
    flatten   barriers, shuffles, votes -> statements of their own
    analyse   which variables are the same for all threads?
    cut       regions without meeting points -> loops over threads
    program   the steps in order, and what they hand to the back ends
    words     what shuffles, votes and atomics do
    meaning, kinds, overflow, rewrite, python    the back end in Python: starts at once, needs numpy alone ...
    checks, watch, watched                       ... and checks everything
    unit, arithmetic, types, native, compiled, cache    the back end compiled by numba for the CPU: a thousand times
                                                        faster

    program(kernel.py_func).source      the loops, to be read
"""
from .checks import KernelError
from .load import Unsupported
from .program import Program, program
