"""What is said when something goes wrong: launches that a GPU refuses, and errors of a running kernel with their place.

It knows launches and messages; what is looked for while a kernel runs is watch.py's affair. Every message names the
kernel, its file and line, block and thread, and says what to change.

    k[1, 2048](a)   ->   KernelError: k[(1, 1, 1), (2048, 1, 1)]: a block has at most 1024 threads, not 2048; use ...
"""
from __future__ import annotations

import math
import os

import numpy as np

from .words import ABSENT

HERE, LIBRARIES = os.path.dirname(__file__), os.path.dirname(os.path.dirname(np.__file__))
THREADS, BLOCK_Z, GRID_YZ, GRID_X, SHARED = 1024, 64, 65535, 2 ** 31 - 1, 48 << 10


class KernelError(RuntimeError):
    """The kernel went wrong while it ran: out of bounds, a race, a barrier that some threads do not reach ..."""


# ---- launches
def check_launch(program, grid, block, shared_bytes):
    """Raise for a launch that a GPU would refuse."""
    wrong = refusal(grid, block, shared_bytes + static_bytes(program))
    if wrong:
        raise refused(program.name, grid, block, wrong)


def refused(name, grid, block, wrong):
    """The exception for a launch that can't be. A real GPU only says "invalid argument": it borrows these words."""
    return KernelError(f"{name}[{grid}, {block}]: {wrong}")


def refusal(grid, block, shared_bytes):
    """What no GPU can do in a launch of these sizes, and what to do instead; None if there is nothing."""
    if math.prod(block) > THREADS:
        return f"a block has at most {THREADS} threads, not {math.prod(block)}; use smaller blocks and more of them"
    if min(grid) < 1 or min(block) < 1:
        return "there are no threads in it; a GPU refuses an empty launch. Skip it where there is nothing to do"
    if block[2] > BLOCK_Z:
        return f"a block is at most {BLOCK_Z} threads deep (z), not {block[2]}; let x be the long direction"
    if grid[1] > GRID_YZ or grid[2] > GRID_YZ or grid[0] > GRID_X:
        return (f"a grid has at most {GRID_X} blocks in x and {GRID_YZ} in y and z; let x be the long direction, or "
                "let each thread do several elements")
    if shared_bytes > SHARED:
        return f"a block has {SHARED} bytes of shared memory, and this needs {shared_bytes}; use smaller tiles"
    return None


def static_bytes(program):
    if "static bytes" not in program.made:
        program.made["static bytes"] = sum(
            math.prod(shape) * dtype.itemsize for shape, dtype in program.shared.values()
        )
    return program.made["static bytes"]


# ---- messages
def place(thread, block):
    """The coordinates of a thread from its number."""
    width, height, _ = block
    return thread % width, thread // width % height, thread // (width * height)


def failure(program, code, error):
    """The exception of a running kernel as a KernelError that says where."""
    where, who, trace = f"{program.file}:{program.line}", None, error.__traceback__
    within = ""
    while trace:
        frame = trace.tb_frame
        if who and is_users(frame.f_code):          # a function that the kernel calls
            where, within = f"{frame.f_code.co_filename}:{trace.tb_lineno}", f", in {frame.f_code.co_name}"
        if frame.f_code is code:
            names = frame.f_locals
            block = tuple([names[f"blockIdx_{axis}"] for axis in "xyz"])
            thread = tuple([names[f"threadIdx_{axis}"] for axis in "xyz"]) if "threadIdx_x" in names else None
            who = f"block {block}" if thread is None else f"thread {thread} of block {block}"
            where = f"{program.file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return KernelError(": ".join([where, program.name + within, *[who] * bool(who), explain(error)]))


def is_users(code):
    """Is this a function of a kernel's author, not the simulator's own or a library's?"""
    return not code.co_filename.startswith((HERE, LIBRARIES, "<"))


def explain(error):
    if isinstance(error, KernelError):
        return str(error)
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        return f"{error}; neither the kernel nor its file assigns it"
    if isinstance(error, NameError):
        return f"a variable is read before it is assigned ({error}); assign it on every way that leads here"
    if isinstance(error, TypeError) and "NoneType" in str(error):
        return f"a variable is read before it is assigned ({error}); the simulator's mode \"check\" tells which"
    if isinstance(error, IndexError):
        return f"{error}; threads past the end need a guard: if i < n" if "out of bounds" in str(error) else str(error)
    return f"{type(error).__name__}: {error}"


def raise_err(program, err, index, block):
    """What words.py's functions have found."""
    one, other = place(err[5], block), place(err[6], block)
    where = f"{program.file}:{err[4]}: {program.name}: block {index}: thread {one}"
    if err[0] == ABSENT:
        raise KernelError(f"{where} reads by a shuffle from thread {other}, which takes no part in it; let all "
                          "threads of the warp reach the shuffle, the idle ones with a neutral value")
    raise KernelError(f"{where} waits at a barrier that thread {other} does not reach: on a GPU the block would hang. "
                      "Move the barrier out of the branch or loop, so that all threads reach it")
