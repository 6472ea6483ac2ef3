"""`python -m benchmarks.on_gpu STEP --into FOLDER`: the measurements of on_gpu.sh, a process each.

Each step fills `found` and so writes FOLDER/STEP.json; `collect` makes one file of them. What is compared runs in turn,
and figures are medians. With --rehearse the same lines run on the simulator, tiny: the figures then mean nothing.
"""
from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

import numpy as np

RESULTS = pathlib.Path(__file__).parent / "results"
PACKAGES = ("tinygrad_edu", "numpy", "numba", "numba-cuda", "cuda-core", "cuda-bindings", "nvidia-nvvm",
            "nvidia-nvjitlink", "torch", "cupy-cuda13x", "cupy-cuda12x", "ml_dtypes")


# ---- timing
def seconds(run, wait, times):
    start = time.perf_counter()
    for _ in range(times):
        run()
    wait()
    return (time.perf_counter() - start) / times


def compare(runs, rounds=7, at_least=0.05):
    """{name: median seconds} of {name: (run, wait)}, in turn, after a round that compiles and warms up."""
    times = {}
    for name, (run, wait) in runs.items():
        run()
        wait()
        times[name] = max(1, min(1000, int(at_least / max(seconds(run, wait, 1), 1e-7))))
    found = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, wait) in runs.items():
            found[name].append(seconds(run, wait, times[name]))
    return {name: statistics.median(values) for name, values in found.items()}


def ratios(found, ours="tinygrad_edu"):
    """Our time over each other's."""
    return {f"ratio to {name}": round(found[ours] / other, 3) for name, other in found.items() if name != ours}


class Libraries:
    """Ours and the others that can use the GPU: {name: (library, wait)}."""

    def __init__(self, rehearse):
        import tinygrad_edu
        self.found = {"tinygrad_edu": (tinygrad_edu, tinygrad_edu.cuda.synchronize)}
        if rehearse:
            return
        try:
            import torch
            if torch.cuda.is_available():
                torch.backends.cuda.matmul.allow_tf32 = False      # float32, as ours
                torch.backends.cudnn.allow_tf32 = False
                self.found["torch"] = torch, torch.cuda.synchronize
        except ImportError:
            pass
        try:
            import cupy
            self.found["cupy"] = cupy, cupy.cuda.Stream.null.synchronize
        except Exception:                           # not there, or not for this driver
            pass

    def runs(self, make, only=("tinygrad_edu", "torch", "cupy")):
        """What `make(library)` returns for each of them."""
        return {name: (make(library), wait) for name, (library, wait) in self.found.items() if name in only}


def on_gpu(library, host):
    """A numpy array on the GPU."""
    return library.asarray(host) if library.__name__ == "cupy" else library.tensor(host).to("cuda")


# ---- steps
def versions(rehearse, found):
    """What there is."""
    found |= {"python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    found["commit"] = output("git", "rev-parse", "--short", "HEAD")
    wanted = "name,driver_version,memory.total,clocks.max.sm,clocks.max.mem"
    found["nvidia-smi"] = output("nvidia-smi", f"--query-gpu={wanted}", "--format=csv,noheader")
    found["compute-sanitizer"] = output("compute-sanitizer", "--version").splitlines()[-1:]
    import tinygrad_edu
    found["gpu"] = tinygrad_edu.cuda.get_device_name()
    found["properties"] = vars(tinygrad_edu.cuda.get_device_properties())
    print("\n".join(f"{name:<20} {value}" for name, value in found.items()))


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def first(rehearse, found):
    """One kernel compiled and run; then a little of everything, each compared with numpy."""
    import tinygrad_edu as tg
    from tinygrad_edu.kernels import provider
    cuda = provider.cuda

    @cuda.jit
    def saxpy(x, y, out, a, n):
        i = cuda.grid(1)
        if i < n:
            out[i] = a * x[i] + y[i]
    n = 1000
    x, y = np.random.default_rng(0).standard_normal((2, n), np.float32)
    out = np.zeros(n, np.float32)
    start = time.perf_counter()
    saxpy[(n + 127) // 128, 128](x, y, out, np.float32(2), n)
    compiled = time.perf_counter() - start
    assert np.allclose(out, 2 * x + y), "saxpy is wrong"
    checks = {
        "add":        (lambda t: t(x) + t(y), x + y),
        "strided":    (lambda t: t(x).reshape(40, 25).t() * 2, x.reshape(40, 25).T * 2),
        "sum":        (lambda t: t(x).reshape(40, 25).sum(0), x.reshape(40, 25).sum(0)),
        "max":        (lambda t: t(x).max(), x.max()),
        "matmul":     (lambda t: t(x).reshape(40, 25) @ t(y).reshape(25, 40), x.reshape(40, 25) @ y.reshape(25, 40)),
        "int64":      (lambda t: t(np.arange(n)) // 7, np.arange(n) // 7),
        "float16":    (lambda t: t(x.astype(np.float16)) + 1, x.astype(np.float16) + np.float16(1)),
        "index":      (lambda t: t(x)[t(np.arange(0, n, 3))], x[::3]),
        "mask":       (lambda t: t(x)[t(x) > 0], x[x > 0]),
        "softmax":    (lambda t: t(x).reshape(40, 25).softmax(1), softmax(x.reshape(40, 25))),
        "sort":       (lambda t: t(x).sort().values, np.sort(x)),
        "cumsum":     (lambda t: t(x).cumsum(0), x.astype(np.float64).cumsum()),
    }
    found["seconds to the first kernel"] = round(compiled, 3)
    wrong = found["wrong"] = {}
    for name, (run, want) in checks.items():
        try:
            got = run(lambda a: on_gpu(tg, a)).cpu().numpy()
            if not np.allclose(got, want, 2e-3 if got.dtype == np.float16 else 1e-4, 1e-4):
                wrong[name] = f"differs by {np.max(np.abs(got - want)):.3g}"
        except Exception as error:
            wrong[name] = f"{type(error).__name__}: {error}"
    print(f"first kernel in {compiled:.2f} s; {len(checks) - len(wrong)} of {len(checks)} agree with numpy")
    for name, what in wrong.items():
        print(f"  {name}: {what}")


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def launches(rehearse, found):
    """Microseconds: of Python for a launch without waiting, and per kernel with the GPU's part."""
    from tinygrad_edu.kernels import array, memory
    from tinygrad_edu.kernels.provider import cuda
    machine, n = memory.default(), 20 if rehearse else 20000

    @cuda.jit
    def nothing():
        pass

    @cuda.jit
    def three(a, b, o, n):
        i = cuda.grid(1)
        if i < n:
            o[i] = a[i] + b[i]
    a = array.from_numpy(machine, np.zeros(32, np.float32))
    runs = {"empty kernel": lambda: nothing[1, 1](), "3 arrays, 1 integer": lambda: three[1, 32](a, a, a, 32),
            "memory taken and given back": lambda: machine.empty(1000, a.dtype)}
    for name, run in runs.items():
        run()
        machine.synchronize()
        start = time.perf_counter()
        for _ in range(n):
            run()
        python = time.perf_counter() - start
        machine.synchronize()
        both = time.perf_counter() - start
        found[name] = {"python": round(python / n * 1e6, 2), "with the GPU": round(both / n * 1e6, 2)}
    host = np.zeros(1, np.float32)
    found["one number there and back"] = round(seconds(lambda: machine.download(machine.upload(host), host.dtype, 0, 1),
                                                       machine.synchronize, n // 20) * 1e6, 2)
    print("\n".join(f"{name:<30} {us} us" for name, us in found.items()))
    libraries = Libraries(rehearse)
    small = np.zeros(8, np.float32)
    adding = libraries.runs(lambda library: adder(on_gpu(library, small)))
    found["x + x of 8 numbers"] = in_microseconds(compare(adding, 3 if rehearse else 9))
    print("x + x of 8 numbers             ", found["x + x of 8 numbers"])


def adder(x):
    return lambda: x + x


def in_microseconds(found):
    return {**{name: round(value * 1e6, 2) for name, value in found.items()}, **ratios(found)}


def memory(rehearse, found):
    """GB/s of copies, additions and reductions of arrays of a gigabyte."""
    n = 1 << (8 if rehearse else 28)                # float32: a gigabyte
    host = np.random.default_rng(0).standard_normal(n, np.float32)
    libraries = Libraries(rehearse)
    cases = {                                       # what is run, and how often the array crosses the memory's border
        "copy":          (lambda lib, x: (lambda: x.copy() if lib.__name__ == "cupy" else x.clone()), 2),
        "add":           (lambda lib, x: (lambda: x + x), 2),
        "add a row":     (lambda lib, x: row_adder(x.reshape(-1, 16)), 2),
        "transpose":     (lambda lib, x: transposer(lib, x.reshape(-1, 16)), 2),
        "sum":           (lambda lib, x: (lambda: x.sum()), 1),
        "sum of rows":   (lambda lib, x: summer(x.reshape(-1, 64), 1), 1),
        "sum of columns": (lambda lib, x: summer(x.reshape(-1, 64), 0), 1),
    }
    for name, (make, crossings) in cases.items():
        runs = libraries.runs(lambda lib, make=make: make(lib, on_gpu(lib, host)))
        times = compare(runs, 3 if rehearse else 7)
        found[name] = {**{k: round(crossings * 4 * n / v / 1e9, 1) for k, v in times.items()}, **ratios(times)}
        print(f"{name:<16} GB/s {found[name]}", flush=True)
        del runs
        release(libraries)


def row_adder(x):
    row = x[0]
    return lambda: x + row


def transposer(library, x):
    if library.__name__ == "cupy":
        return lambda: library.ascontiguousarray(x.T)
    return lambda: x.t().contiguous()


def summer(x, dim):
    return lambda: x.sum(dim)


def release(libraries):
    """Give unused memory back: three libraries share the GPU."""
    for name, (library, _) in libraries.found.items():
        library.get_default_memory_pool().free_all_blocks() if name == "cupy" else library.cuda.empty_cache()


def matmul(rehearse, found):
    """TFLOP/s of float32 products."""
    libraries = Libraries(rehearse)
    square, odd = [(size,) * 3 for size in (256, 512, 1024, 2048, 4096)], [
        (64, 784, 256), (784, 64, 256), (4096, 512, 512), (8192, 64, 8192)]
    for m, k, n in [(8, 8, 8), (5, 7, 9)] if rehearse else square + odd:
        a, b = (np.random.default_rng(0).standard_normal(s, np.float32) for s in ((m, k), (k, n)))
        runs = libraries.runs(lambda lib, a=a, b=b: product(on_gpu(lib, a), on_gpu(lib, b)))
        got = runs["tinygrad_edu"][0]().cpu().numpy()
        rows = slice(0, m, max(1, m // 8))
        wrong = float(np.max(np.abs(got[rows] - a[rows].astype(np.float64) @ b)) / np.sqrt(k))
        times = compare(runs, 3 if rehearse else 7)
        found[f"{m} x {k} x {n}"] = {**{name: round(2 * m * k * n / t / 1e12, 3) for name, t in times.items()},
                                     **ratios(times), "error": wrong}
        print(f"{m} x {k} x {n}: TFLOP/s {found[f'{m} x {k} x {n}']}", flush=True)
        assert wrong < 1e-5, "the product is wrong"


def product(a, b):
    return lambda: a @ b


def training(rehearse, found):
    """Milliseconds of the training steps of benchmarks/cases.py on the GPU, and their losses against the CPU's."""
    from . import cases
    libraries = Libraries(rehearse)
    for name in ("mlp", "adam"):
        case = getattr(cases, name)
        if rehearse and name == "adam":
            continue                                # 1,000 epochs
        runs = libraries.runs(lambda lib, case=case: case(lib, device="cuda"), ("tinygrad_edu", "torch"))
        ours = runs["tinygrad_edu"][0]
        losses = [ours() for _ in range(2)]
        on_cpu = case(libraries.found["tinygrad_edu"][0])
        expected = [on_cpu() for _ in range(2)]
        assert np.allclose(losses, expected, 1e-3), f"{name}: losses {losses} on the GPU, {expected} on the CPU"
        times = compare(runs, 1 if rehearse else 7)
        found[name] = {**{k: round(v * 1e3, 4) for k, v in times.items()}, **ratios(times), "losses": losses}
        print(f"{name}: ms {found[name]}", flush=True)


def exchange(rehearse, found):
    """Memory shared with torch, both ways and by both protocols."""
    import tinygrad_edu as tg
    libraries = Libraries(rehearse).found
    if "torch" not in libraries:
        print("no torch with a GPU: nothing to exchange with")
        return
    torch = libraries["torch"][0]
    host = np.arange(12, dtype=np.float32).reshape(3, 4)

    def attempt(name, run):
        try:
            theirs, mine = run()
            mine += 1
            tg.cuda.synchronize()
            torch.cuda.synchronize()
            same = np.array_equal(theirs.cpu().numpy(), host + 1) and np.array_equal(mine.cpu().numpy(), host + 1)
            found[name] = "shared" if same else "not the same memory"
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
        print(f"{name:<40} {found[name]}")

    def out(share):
        mine = tg.tensor(host).cuda()
        return share(mine), mine

    def into(share):
        theirs = torch.tensor(host).cuda()
        return theirs, share(theirs)
    attempt("torch.as_tensor(ours)", lambda: out(lambda x: torch.as_tensor(x, device="cuda")))
    attempt("torch.from_dlpack(ours)", lambda: out(torch.from_dlpack))
    attempt("from_dlpack(torch's)", lambda: into(tg.from_dlpack))
    attempt("as_tensor(torch's)", lambda: into(tg.as_tensor))


def collect(into, rehearse):
    """One JSON file of everything in the folder."""
    parts = {path.stem: json.loads(path.read_text()) for path in sorted(into.glob("*.json"))}
    about = parts.get("versions", {})
    steps = {}
    for line in (into / "steps").read_text().splitlines() if (into / "steps").exists() else []:
        name, status, took = line.split()
        steps[name] = {"status": int(status), "seconds": int(took)}
        if status != "0":
            steps[name]["end of its output"] = (into / f"{name}.txt").read_text(errors="replace").splitlines()[-30:]
    now = datetime.datetime.now(datetime.UTC)
    found = {"date": now.isoformat(timespec="seconds"), "gpu": about.get("gpu"), "rehearsal": rehearse, "steps": steps}
    found |= parts
    name = re.sub(r"\W+", "-", f"{now:%Y-%m-%d} {about.get('gpu', 'unknown')}").strip("-")
    path = (into if rehearse else RESULTS) / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{len(parts)} steps' figures in {path if not rehearse else 'a file that goes away: this was a rehearsal'}")


STEPS = {f.__name__: f for f in (versions, first, launches, memory, matmul, training, exchange)}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_gpu", description=__doc__, allow_abbrev=False)
    parser.add_argument("step", choices=["present", "files", *STEPS, "collect"])
    parser.add_argument("--into", type=pathlib.Path, default=pathlib.Path("."), help="where figures go")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes, for the simulator")
    given = parser.parse_args()
    if given.step == "present":
        from tinygrad_edu.kernels import gpu
        return 0 if gpu.is_present() else 1
    if given.step == "files":
        from tinygrad_edu.kernels import check
        print("\n".join(name.rpartition(".")[2] for name in check.files()))
        return 0
    if given.step == "collect":
        return collect(given.into, given.rehearse)
    found = {}
    try:
        STEPS[given.step](given.rehearse, found)
    finally:                                        # what was measured before something failed is kept
        (given.into / f"{given.step}.json").write_text(json.dumps(found, indent=1, default=str))
    return 1 if found.get("wrong") else 0


if __name__ == "__main__":
    sys.exit(main())
