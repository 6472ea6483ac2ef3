"""Random kernels, and a simulator of threads to compare with.

The kernels have no races: each thread writes its own elements, and reads others' only after a barrier. They have blocks
in three dimensions, loops (also within each other over one variable, and with else), branches, breaks and early returns
around barriers and shuffles wherever CUDA allows them, local arrays under second names, device functions with shared
arrays, whole numbers and float32. The reference runs each thread by itself, as a generator that yields wherever it
meets others; it shares no line with the simulator under test.
"""
from __future__ import annotations

import ast
import importlib.util
import itertools
import random
import sys
import types

import numpy as np

HEAD = """
from tinygrad_edu.kernels.provider import cuda, float32, int64

FULL = 0xffffffff


def flag(a, n):
    return a[0] % 3 != n % 2


@cuda.jit(device=True)
def over_warp(q):
    w = q
    for j in (1, 2):
        w += cuda.shfl_xor_sync(FULL, w, j)
    return w % 1000


@cuda.jit(device=True)
def late(q, t):
    if q % 3 == 0:
        cuda.syncwarp()
        return q + t
    return q * 2


@cuda.jit(device=True)
def over_block(q, t, d, s):
    part = cuda.shared.array(256, int64)
    part[t] = q
    s[t] += 1
    cuda.syncthreads()
    r = part[(t + d) % (cuda.blockDim.x * cuda.blockDim.y * cuda.blockDim.z)]
    cuda.syncthreads()
    return r % 1009


@cuda.jit(device=True)
def axis(q):
    return q % 7 + cuda.threadIdx.x


def k(a, b, o, p, n):
    s = cuda.shared.array(256, int64)
    sf = cuda.shared.array(256, float32)
    mine = cuda.local.array(4, int64)
    other = cuda.local.array(4, int64)
    row = mine if n % 2 == 0 else other
    bd = cuda.blockDim.x * cuda.blockDim.y * cuda.blockDim.z
    t = (cuda.threadIdx.z * cuda.blockDim.y + cuda.threadIdx.y) * cuda.blockDim.x + cuda.threadIdx.x
    block = (cuda.blockIdx.z * cuda.gridDim.y + cuda.blockIdx.y) * cuda.gridDim.x + cuda.blockIdx.x
    g = block * bd + t
    x = a[g]
    y = t
    z = 0
    u = n
    v = 1 + cuda.blockIdx.x
    f = b[g]
    h = float32(0.5)
    s[t] = 0
    sf[t] = f
    for i in range(4):
        mine[i] = x % (i + 3)
        other[i] = t * i
    cuda.syncthreads()
    y += over_block(x, t, 1, s)
"""
TAIL = """
    o[g, 0] = x
    o[g, 1] = y
    o[g, 2] = z + mine[1] + 3 * mine[2] + 5 * other[0] + 7 * row[3]
    o[g, 3] = u
    o[g, 4] = v
    p[g, 0] = f
    p[g, 1] = h
"""


class Writer:
    """The text of one kernel. Contexts: "block", all threads come here; "warp", whole warps; "plain", any threads.

    In some kernels threads return one by one; they have barriers, but nothing that wants whole warps.
    """

    def __init__(self, r, whole_warps):
        self.r, self.whole_warps, self.loops, self.depth = r, whole_warps, 0, 0
        self.one_by_one, self.counting = r.random() < .25, []       # the variables of the for loops around

    # ---- expressions
    def number(self, d=0):
        r, n = self.r, self.number
        return [lambda: r.choice("xyz"), lambda: r.choice("xyz"), lambda: str(r.randrange(-5, 9)), lambda: "t",
                lambda: r.choice(["n", "bd", "u", "v", "block"]), lambda: "a[g]",
                lambda: f"{r.choice(['mine', 'row', 'other'])}[{r.randrange(4)}]",
                lambda: "cuda.threadIdx." + r.choice("xyz"),
                lambda: f"({n(d + 1)} + {n(d + 1)})", lambda: f"({n(d + 1)} * {r.randrange(-3, 4)})",
                lambda: f"({n(d + 1)} // {r.randrange(2, 5)})", lambda: f"({n(d + 1)} ^ {r.randrange(9)})",
                lambda: f"({n(d + 1)} if {self.test(d + 1)} else {n(d + 1)})", lambda: f"max({n(d + 1)}, {n(d + 1)})",
                lambda: f"(axis({n(d + 1)}) if {self.test(d + 1)} else {n(d + 1)})",
                ][r.randrange(15 if d < 3 else 8)]()

    def real(self, d=0):
        r, n = self.r, self.real
        constant = f"float32({r.choice(['0.5', '-0.25', '1.5', '0.1'])})"
        return [lambda: r.choice("fh"), lambda: r.choice("fh"), lambda: constant, lambda: "b[g]",
                lambda: f"float32({self.number(2)} % 64)", lambda: f"({n(d + 1)} + {n(d + 1)})",
                lambda: f"({n(d + 1)} - {n(d + 1)})", lambda: f"({n(d + 1)} * {constant})",
                lambda: f"({n(d + 1)} if {self.test(2)} else {n(d + 1)})"][r.randrange(9 if d < 3 else 5)]()

    def test(self, d=0):
        r = self.r
        return r.choice([f"{self.number(d + 1)} % {r.randrange(2, 5)} == {r.randrange(2)}",
                         f"{self.number(d + 1)} < {self.number(d + 1)}", f"t < {r.randrange(40)}",
                         f"{r.choice('fh')} > {self.real(3)}"])

    def uniform(self):
        return self.r.choice(
            ["u % 2 == 0", "v < 3", "n > 3", "bd == 32", "u + v > 2", "flag(a, n)", "cuda.blockIdx.x == 0"]
        )

    # ---- statements
    def block(self, indent, context, size, loop=None):
        """loop: the context of the loop that a break here may leave"""
        out = []
        for _ in range(self.r.randrange(1, size + 1)):
            out += [" " * 4 * indent + line for line in self.statement(indent, context, loop)]
        return out

    def statement(self, indent, context, loop):
        r, roll = self.r, self.r.random()
        if context == "block" and roll < .05:
            return [f"{r.choice('uv')} = {r.choice(['u + 1', 'v + 1', 'n', '(u * 3 + v) % 7', 'bd % 5', '2'])}"]
        if context == "block" and roll < .15:
            return self.through_shared()
        if context != "plain" and roll < .26:
            return self.meeting(context)
        if roll > .97:
            leave = self.leaving(context)
            if leave:
                return [f"if {leave}:", "    return"]
        if roll < .36 and self.depth < 3:
            return self.branch(self.test(), "plain", loop if context == "plain" else None)
        if context != "plain" and roll < .46 and self.depth < 3:
            if context == "block" and r.random() < .6:
                return self.branch(self.uniform(), "block", loop)
            return self.branch(
                f"t // 32 {r.choice(['== 0', '> 0', '% 2 == 1'])}", "warp", loop if context == "warp" else None
            )
        if roll < .66 and self.depth < 3:
            return self.loop(context, loop)
        if roll < .72 and loop == context:
            leave = dict(block=self.uniform, warp=lambda: f"t // 32 == {r.randrange(2)}", plain=self.test)[context]()
            return [f"if {leave}:", f"    {r.choice(['break', 'continue'])}"]
        if roll < .80:
            return [f"{r.choice('fh')} = ({self.real()}) * float32(0.5)"]
        if roll < .84:
            array = r.choice(["mine", "mine", "row", "other"])
            return [f"{array}[{r.randrange(4)}] {r.choice(['=', '+='])} ({self.number()}) % 991"]
        return [f"{r.choice('xyz')} {r.choice(['=', '+='])} ({self.number()}) % 997"]

    def leaving(self, context):
        """A condition on which threads may return here, or None."""
        if self.one_by_one:
            return f"{self.test()} and {self.test()}"
        if context != "plain":
            return f"t // 32 == {self.r.randrange(5)} and {self.uniform()}"

    def through_shared(self):
        r = self.r
        if r.random() < .5:
            return [
                f"sf[t] = {self.real()}",
                "cuda.syncthreads()",
                f"{r.choice('fh')} = sf[(t + {r.randrange(1, 9)}) % bd]",
                "cuda.syncthreads()",
            ]
        return [
            f"s[t] = {self.number()}",
            "cuda.syncthreads()",
            f"{r.choice('xyz')} = s[(t + {r.randrange(1, 9)}) % bd] % 1013 + {self.number()} % 31",
            "cuda.syncthreads()",
        ]

    def meeting(self, context):
        r, var = self.r, self.r.choice("xyz")
        shuffle = r.choice(["xor", "down", "up"] if self.whole_warps else ["xor"])
        distance = r.choice(["1", "2", "4", "n % 4"])
        kinds = [
            lambda: (
                f"{var} {r.choice(['=', '+='])} cuda.shfl_{shuffle}_sync(FULL, ({self.number()}) % 991, {distance})"
            ),
            lambda: f"{r.choice('fh')} = cuda.shfl_{shuffle}_sync(FULL, {self.real()}, {distance})",
            lambda: f"{var} = over_warp({self.number()})",
            lambda: f"{var} = cuda.ballot_sync(FULL, {self.test()}) % 1021",
            lambda: f"{var} += 1 if cuda.any_sync(FULL, {self.test()}) else 2",
            lambda: f"{var} = late({r.choice(['u', 'v', 'n'])}, t)",
        ]
        if context == "block":
            word = r.choice(["count", "and", "or"])
            together = [lambda: f"{var} = cuda.syncthreads_{word}({self.test()})",
                        lambda: f"{var} {r.choice(['=', '+='])} over_block({self.number()}, t, {r.randrange(1, 9)}, s)",
                        lambda: f"s[t] = {var}; {var} = s[t] * 2 + over_block({self.number()}, t, 2, s)"]
            kinds = together if self.one_by_one else kinds + together
        elif self.one_by_one:
            return [f"{var} = ({self.number()}) % 991"]
        return [r.choice(kinds)()]

    def branch(self, test, context, loop):
        self.depth += 1
        out = [f"if {test}:", *self.block(1, context, 3, loop)]
        if self.r.random() < .4:
            out += ["else:", *self.block(1, context, 2, loop)]
        self.depth -= 1
        return out

    def loop(self, context, outer):
        r = self.r
        self.depth, self.loops = self.depth + 1, self.loops + 1
        i, inner = f"i{self.loops}", context if r.random() < .8 else "plain"
        varying = dict(block="n % 3", warp="t // 32 + 1", plain="t % 4")[inner]
        heads = [f"range({r.choice(['3', 'n % 4', '2'])})", "(1, 2, 4)", "range(t, t + 3)", f"range({varying})",
                 "range(3, 0, -1)"]
        counts = r.random() < .75
        if counts:
            again = self.counting and r.random() < .25
            i = r.choice(self.counting) if again else i
            out = [f"for {i} in {r.choice(heads)}:", f"    z += {i}"]
            self.counting.append(i)
        elif r.random() < .3:                       # nothing but a jump ends it
            may_return = (inner != "plain" or self.one_by_one) and r.random() < .5
            out = [f"{i} = 0", "while True:", f"    {i} += 1"]
            out += [f"    if {i} > {r.choice(['3', 'n % 4', '2'])}:", f"        {'return' if may_return else 'break'}"]
        else:
            out = [f"{i} = 0", f"while {i} < {r.choice(['3', 'n % 4', '2'])}:", f"    {i} += 1"]
        out += self.block(1, inner, 3, inner)
        if counts:
            out.append(f"    z += 3 * {self.counting.pop()}")
        if inner == "plain" and r.random() < .3:    # (a break in the else leaves the loop around)
            out += ["else:", *self.block(1, "plain", 2, outer if outer == context == "plain" else None)]
        self.depth -= 1
        return out

    def text(self):
        return HEAD + "\n".join(self.block(1, "block", 8)) + TAIL


class Case:
    """One kernel with its launch and data."""

    def __init__(self, seed, folder):
        r = random.Random(seed)
        self.grid = tuple(r.choice([(1, 1, 1), (2, 1, 1), (1, 2, 2)]))
        self.block = r.choice(
            [(32, 1, 1), (64, 1, 1), (96, 1, 1), (8, 4, 2), (4, 4, 4), (16, 3, 1), (2, 8, 3), (16, 1, 1)]
        )
        threads = self.block[0] * self.block[1] * self.block[2]
        self.source = Writer(r, threads % 32 == 0).text()
        self.path = folder / f"random_kernel_{seed}.py"
        self.path.write_text(self.source)
        spec = importlib.util.spec_from_file_location(self.path.stem, self.path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.function, self.n = module.k, r.randrange(1, 9)
        self.count = threads * self.grid[0] * self.grid[1] * self.grid[2]
        self.a = np.array([r.randrange(-20, 20) for _ in range(self.count)])
        self.b = np.array([r.uniform(-4, 4) for _ in range(self.count)], np.float32)

    def arguments(self):
        """[a, b, o, p, n], the outputs o and p new."""
        return [self.a, self.b, np.zeros((self.count, 5), np.int64), np.zeros((self.count, 2), np.float32), self.n]

    def expected(self):
        args = self.arguments()
        reference(self.source, self.grid, self.block, args)
        return args[2:4]

    def compare(self, run):
        """run(grid, block, shared_bytes, args) must give what the threads by themselves give, to the last bit."""
        args = self.arguments()
        run(self.grid, self.block, 0, args)
        for got, want in zip(args[2:4], self.expected()):
            assert np.array_equal(got, want, equal_nan=True), f"{self.path}\n{self.source}"


# ---- one generator a thread
class Yields(ast.NodeTransformer):
    """Calls that meet others become yields."""

    def visit_Call(self, node):
        self.generic_visit(node)
        name = ast.unparse(node.func)
        if name in ("over_warp", "late", "over_block"):
            return ast.YieldFrom(node)
        if name.startswith("cuda.") and "sync" in name:
            return ast.Yield(ast.Tuple([ast.Constant(name[5:]), ast.Tuple(node.args, ast.Load())], ast.Load()))
        return node


def reference(source, grid, block, args):
    tree = Yields().visit(ast.parse(source.replace("@cuda.jit(device=True)\n", "")))
    code = compile(ast.fix_missing_locations(tree), "reference", "exec")
    three = lambda x, y, z: types.SimpleNamespace(x=x, y=y, z=z)
    with np.errstate(all="ignore"):
        for bz, by, bx in itertools.product(*map(range, grid[::-1])):
            shared, threads = {}, []
            for z, y, x in itertools.product(*map(range, block[::-1])):
                names = {}
                exec(code, names)
                names["float32"], names["int64"] = np.float32, np.int64
                names["cuda"] = types.SimpleNamespace(
                    threadIdx=three(x, y, z), blockIdx=three(bx, by, bz), blockDim=three(*block), gridDim=three(*grid),
                    local=types.SimpleNamespace(array=np.zeros), shared=types.SimpleNamespace(
                        array=shared_array(shared)))
                threads.append(names["k"](*args))
            run_block(threads)


def shared_array(shared):
    """cuda.shared.array: the block has one array for each line that asks for one."""
    return lambda shape, dtype: shared.setdefault(sys._getframe(1).f_lineno, np.zeros(shape, dtype))


def run_block(threads):
    """Let each thread run until it waits; then let those who wait for the same thing meet."""
    live, waits, answers = dict(enumerate(threads)), {}, {}
    while live:
        for t in [t for t in live if t not in waits]:
            try:
                waits[t] = live[t].send(answers.pop(t, None))
            except StopIteration:
                del live[t]
        met = False
        for first in range(0, len(threads), 32):
            lanes = [t for t in live if first <= t < first + 32]
            words = {waits[t][0] for t in lanes}
            if len(words) == 1 and not next(iter(words)).startswith("syncthreads"):
                met = True
                answers |= {t: warp_answer(t, first, lanes, waits) for t in lanes}
                for t in lanes:
                    del waits[t]
        if live and not met:
            words = {waits[t][0] for t in live}
            assert len(words) == 1, f"the reference hangs: {words}"
            votes = [bool(waits[t][1] and waits[t][1][0]) for t in live]
            answer = dict(syncthreads=None, syncthreads_count=sum(votes), syncthreads_and=int(all(votes)),
                          syncthreads_or=int(any(votes)))[words.pop()]
            answers, waits = dict.fromkeys(live, answer), {}


def warp_answer(t, first, lanes, waits):
    word, args = waits[t]
    lane = t - first
    if word.startswith("shfl"):
        distance = int(args[2])
        if word == "shfl_xor_sync":
            lane ^= distance
        elif word == "shfl_down_sync":
            lane += distance if lane + distance < 32 else 0
        else:
            lane -= distance if lane >= distance else 0
        return waits[first + lane][1][1]
    votes = {k - first: bool(waits[k][1][1]) for k in lanes} if word != "syncwarp" else {}
    return dict(
        syncwarp=None,
        ballot_sync=sum(1 << k if k < 31 else -1 << k for k, vote in votes.items() if vote),        # (an int32)
        any_sync=any(votes.values()),
        all_sync=all(votes.values()),
    )[word]
