"""`python -m tinygrad_edu doctor`: what this machine has, what works on it, and the line that mends what does not.

Knows nothing of tensors. `gather()` looks at the machine and returns plain facts; `diagnose(facts)` is a pure function
from facts to findings, so that every known failure is tested on a machine that does not have it.
"""
import argparse
import ctypes
import os
import platform
import re
import sys
from collections import namedtuple
from importlib import metadata

Finding = namedtuple("Finding", "level says mend", defaults=(None,))
Finding.__doc__ = """One line of the diagnosis: level is "ok", "note" (something optional is absent) or "wrong"."""

PACKAGES = ("numpy", "numba", "numba-cuda", "numba-cuda-mlir", "cuda-bindings", "nvidia-nvvm", "nvidia-cuda-nvcc-cu12",
            "matplotlib", "tqdm", "h5py", "ml-dtypes", "torch")
NEWEST_PYTHON_FOR_NUMBA = (3, 14)
CUDA_13 = 13000                                       # what cuDriverGetVersion says from driver 580 on
ENVIRONMENT = ("NUMBA_ENABLE_CUDASIM", "CUDA_VISIBLE_DEVICES", "TINYGRAD_EDU_CUDA", "TINYGRAD_EDU_SIM")
NO_DEVICE, UNKNOWN, MISMATCH = 100, 999, 803          # CUresult of cuInit


# ---- facts ----

def gather():
    """Facts about this machine, as a dict of plain values; never raises, loads no CUDA runtime, starts no kernel."""
    return {
        "python": sys.version_info[:3],
        "system": platform.system(),
        "machine": platform.machine(),
        "versions": {name: _version(name) for name in PACKAGES},
        "numba_error": _numba_error(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "container": os.path.exists("/.dockerenv"),
        "cache": _cache(),
        "gpu_on_the_bus": _gpu_on_the_bus(),
        **_driver(),
    }


def _version(distribution):
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _numba_error():
    """Why an installed numba does not import (it checks numpy's version when it does), or None."""
    if _version("numba") is None:
        return None
    try:
        import numba  # noqa: F401
    except Exception as error:                        # a broken binary may raise anything: this is what we report
        return f"{type(error).__name__}: {error}"
    return None


def _cache():
    """The folder of compiled kernels, or None where there is no place for one."""
    from .backends.cuda import kernels
    place = kernels("simulator.cache").folder()
    return None if place is None else str(place)


def _gpu_on_the_bus():
    """Whether the PCI bus shows an NVIDIA display controller, driver or not (Linux; None elsewhere)."""
    root = "/sys/bus/pci/devices"
    if not os.path.isdir(root):
        return None
    return any(_read(root, slot, "vendor") == "0x10de" and _read(root, slot, "class").startswith("0x03")
               for slot in os.listdir(root))


def _read(*parts):
    try:
        with open(os.path.join(*parts)) as file:
            return file.read().strip()
    except OSError:
        return ""


def _driver():
    """The CUDA driver as its own library tells it: version, the outcome of cuInit, and the GPUs."""
    absent = {"driver": None, "init": None, "gpus": []}
    name = {"Windows": "nvcuda.dll", "Linux": "libcuda.so.1"}.get(platform.system())
    if name is None:
        return absent
    try:
        cuda = ctypes.CDLL(name)
        version = ctypes.c_int()
        cuda.cuDriverGetVersion(ctypes.byref(version))
        init = cuda.cuInit(0)
        return {"driver": version.value, "init": init, "gpus": _gpus(cuda) if init == 0 else []}
    except (OSError, AttributeError):                 # no such library, or one without these symbols
        return absent


def _gpus(cuda):
    count = ctypes.c_int()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    return [_gpu(cuda, index) for index in range(count.value)]


def _gpu(cuda, index):
    handle, name, memory = ctypes.c_int(), ctypes.create_string_buffer(128), ctypes.c_size_t()
    cuda.cuDeviceGet(ctypes.byref(handle), index)
    cuda.cuDeviceGetName(name, len(name), handle)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)
    capability = []
    for attribute in (75, 76):                        # compute capability, major and minor
        value = ctypes.c_int()
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle)
        capability.append(value.value)
    return {"name": name.value.decode(errors="replace"), "capability": tuple(capability), "memory": memory.value}


# ---- findings ----

def diagnose(facts):
    """Facts to findings: Python and numpy, numba, driver and GPU, CUDA provider, extras."""
    return [*_python(facts), *_numba(facts), *_wish(facts), *_gpu_and_driver(facts), *_provider(facts), *_extras(facts)]


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version or "")[:3])


def _python(facts):
    numpy = facts["versions"]["numpy"]
    if facts["python"] < (3, 11):
        yield Finding("wrong", "Python is older than 3.11.", "python3.11 -m venv .venv && .venv/bin/pip install -e .")
    if numpy is None:
        yield Finding("wrong", "numpy is missing: nothing computes without it.", 'pip install "numpy>=2.0"')
    elif _numbers(numpy) < (2, 0):
        yield Finding("wrong", f"numpy {numpy} promotes dtypes by older rules.", 'pip install "numpy>=2.0"')
    else:
        yield Finding("ok", "The CPU works: tensors, autograd, training, with numpy alone.")


def _numba(facts):
    numba, error = facts["versions"]["numba"], facts["numba_error"]
    if numba is None and facts["python"][:2] > NEWEST_PYTHON_FOR_NUMBA:
        newest = ".".join(map(str, NEWEST_PYTHON_FOR_NUMBA))
        yield Finding("note", f"numba does not know Python {_dotted(facts['python'][:2])} yet; only a GPU and a fast "
                              "simulator need it.",
                      f"python{newest} -m venv .venv && .venv/bin/pip install -e .")
    elif numba is None:
        yield Finding("note", "numba is missing: only a GPU and a fast simulator need it.", 'pip install "numba>=0.61"')
    elif error is not None:
        newest = re.search(r"NumPy (\d+)\.(\d+) or less", error)
        mend = f'pip install "numpy<{newest[1]}.{int(newest[2]) + 1}"' if newest else "pip install --upgrade numba"
        yield Finding("wrong", f"numba {numba} does not import: {error.splitlines()[0]}", mend)
    else:
        yield Finding("ok", f"numba {numba} imports.")


def _wish(facts):
    """What the environment asks for."""
    wish, mode = (facts["environment"].get(name, "") for name in ("TINYGRAD_EDU_CUDA", "TINYGRAD_EDU_SIM"))
    if wish not in ("", "simulator", "gpu"):
        yield Finding("wrong", f"TINYGRAD_EDU_CUDA is {wish!r}; it may be simulator or gpu.",
                      "export TINYGRAD_EDU_CUDA=simulator")
    if mode not in ("", "auto", "python", "compiled", "check"):
        yield Finding("wrong", f"TINYGRAD_EDU_SIM is {mode!r}; it may be auto, python, compiled or check.",
                      "unset TINYGRAD_EDU_SIM")
    if wish == "simulator":
        fast = "hot kernels are compiled by numba" if _numba_works(facts) else "in Python alone, as numba is not there"
        yield Finding("ok", f"device='cuda' is the simulator, as TINYGRAD_EDU_CUDA asks: {fast}.")


def _numba_works(facts):
    return bool(facts["versions"]["numba"]) and facts["numba_error"] is None


def _gpu_and_driver(facts):
    if facts["driver"] is None:
        yield _no_driver(facts)
    elif facts["init"] == NO_DEVICE and facts["environment"].get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        yield Finding("wrong", "CUDA_VISIBLE_DEVICES hides every GPU.", "unset CUDA_VISIBLE_DEVICES")
    elif facts["init"] == NO_DEVICE:
        yield Finding("note", f"An NVIDIA driver, but no GPU. {WITHOUT}")
    elif facts["init"] == MISMATCH:
        yield Finding("wrong", "The driver's library and its kernel module differ (an update without a restart).",
                      "sudo reboot")
    elif facts["init"] == UNKNOWN:
        yield Finding("wrong", "The driver does not answer (often after suspend).",
                      "sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm")
    elif facts["init"] != 0:
        yield Finding("wrong", f"The driver refuses to start: cuInit returned {facts['init']}.", "nvidia-smi")
    else:
        for gpu in facts["gpus"]:
            yield Finding("ok", f"{gpu['name']}, compute capability {_dotted(gpu['capability'])}.")


WITHOUT = ("Everything computes on the CPU; with TINYGRAD_EDU_CUDA=simulator in the environment, device='cuda' runs "
           "the kernels on the simulator.")


def _no_driver(facts):
    if not facts["gpu_on_the_bus"]:
        return Finding("note", f"No NVIDIA driver and no GPU in sight. {WITHOUT}")
    if facts["container"]:
        return Finding("wrong", "A GPU, but this container was started without it.", "docker run --gpus all ...")
    return Finding("wrong", "An NVIDIA GPU without a driver.",
                   "sudo ubuntu-drivers install    # Ubuntu; on Debian: sudo apt install nvidia-driver; then restart")


def _provider(facts):
    """What is installed to compile kernels, against numpy, the driver and the GPU."""
    versions, mac = facts["versions"], facts["system"] == "Darwin"
    if facts["environment"].get("NUMBA_ENABLE_CUDASIM", "0") != "0":
        yield Finding("wrong", "NUMBA_ENABLE_CUDASIM puts numba's own simulator in place of every GPU.",
                      "unset NUMBA_ENABLE_CUDASIM")
    if versions["numba-cuda"] and mac:
        yield Finding("wrong", f"numba-cuda {versions['numba-cuda']} on macOS: a release from before it needed a GPU "
                               "wheel, and of no use there.", "pip uninstall -y numba-cuda")
    elif versions["numba-cuda"]:
        yield from _numba_cuda(facts)
    elif facts["gpus"]:
        yield _without_numba_cuda(facts)


def _numba_cuda(facts):
    versions = facts["versions"]
    bad = []
    if _numbers(versions["numpy"]) >= (2, 5):
        bad.append(Finding("wrong", f"numba-cuda {versions['numba-cuda']} with numpy {versions['numpy']}: the first "
                                    "compile fails with \"module 'numpy' has no attribute 'row_stack'\".",
                           'pip install "numpy<2.5"'))
    if versions["nvidia-nvvm"] is None and versions["nvidia-cuda-nvcc-cu12"] is None:
        bad.append(Finding("wrong", "numba-cuda without a compiler: it was installed without an extra.",
                           _install(_extra(facts))))
    elif facts["gpus"] and _numbers(versions["cuda-bindings"]) >= (13,) and _extra(facts) == "cuda12":
        bad.append(_toolkit_too_new(facts))
    works = [Finding("ok", f"numba-cuda {versions['numba-cuda']} can compile kernels.")]
    return bad or ([] if facts["numba_error"] else works)


def _toolkit_too_new(facts):
    mend = f"pip uninstall -y cuda-bindings cuda-toolkit nvidia-nvvm && {_install('cuda12')}"
    if facts["driver"] < CUDA_13:
        return Finding("wrong", f"CUDA 13 packages with a driver for CUDA {_cuda(facts['driver'])}: launches fail with "
                                "CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222). CUDA 13 needs driver 580.", mend)
    return Finding("wrong", "CUDA 13 no longer compiles for a GPU older than Turing (7.5).", mend)


def _without_numba_cuda(facts):
    if facts["versions"]["numba-cuda-mlir"]:
        return Finding("note", "numba-cuda-mlir is installed; the kernels are written for numba-cuda.",
                       _install(_extra(facts)))
    if facts["versions"]["numba"] and facts["driver"] >= CUDA_13:
        return Finding("wrong", "numba's built-in CUDA target is no match for driver 580 and newer: kernels fail or "
                                "crash.",
                       _install(_extra(facts)))
    return Finding("note", "A GPU, but nothing to compile kernels with.", _install(_extra(facts)))


def _extra(facts):
    """The extra that fits driver and GPU: CUDA 13 needs driver 580 and compute capability 7.5."""
    old_gpu = any(gpu["capability"] < (7, 5) for gpu in facts["gpus"])
    old_driver = facts["driver"] is not None and facts["driver"] < CUDA_13
    return "cuda12" if old_gpu or old_driver else "cuda13"


def _install(extra):
    return f'pip install "tinygrad_edu[{extra}]"    # in a checkout: pip install -e ".[{extra}]"'


def _extras(facts):
    uses = (("matplotlib", "the tour's plots", "matplotlib"), ("tqdm", "a nicer progress bar", "tqdm"),
            ("h5py", "HDF5 files", '"tinygrad_edu[io]"'), ("ml-dtypes", "bfloat16", '"tinygrad_edu[io]"'))
    for name, use, what in uses:
        if facts["versions"][name] is None:
            yield Finding("note", f"{name} is missing: {use}.", f"pip install {what}")


# ---- the report ----

def _dotted(numbers):
    return ".".join(map(str, numbers))


def _cuda(version):
    return f"{version // 1000}.{version % 1000 // 10}"


def provider(facts):
    """The name of what would compile CUDA kernels here."""
    versions = facts["versions"]
    for name in ("numba-cuda", "numba-cuda-mlir"):
        if versions[name]:
            return f"{name} {versions[name]}"
    return f"numba {versions['numba']}, built-in target" if versions["numba"] else "none"


def cuda(facts, findings):
    """What `device="cuda"` is here."""
    if facts["environment"].get("TINYGRAD_EDU_CUDA") == "simulator":
        return "the simulator, on request"
    if not facts["gpus"]:
        return "none (TINYGRAD_EDU_CUDA=simulator: the simulator)"
    broken = not facts["versions"]["numba-cuda"] or any(f.level == "wrong" for f in findings)
    return f"{facts['gpus'][0]['name']}{', once what is wrong is mended' * broken}"


def report(facts, findings):
    """The whole report as text."""
    versions = facts["versions"]
    gpus = ", ".join(f"{gpu['name']} ({gpu['memory'] / 2**30:.0f} GiB, "
                     f"{_dotted(gpu['capability'])})" for gpu in facts["gpus"])
    driver = "none" if facts["driver"] is None else f"CUDA {_cuda(facts['driver'])}"
    rows = [("Python", f"{_dotted(facts['python'])} on {facts['system']} {facts['machine']}"),
            ("numpy", versions["numpy"] or "missing"), ("numba", versions["numba"] or "missing"),
            ("CUDA provider", provider(facts)), ("driver", driver), ("GPU", gpus or "none"),
            ("device='cuda'", cuda(facts, findings)), ("kernel cache", facts["cache"] or "none")]
    signs = {"ok": "works", "note": "note ", "wrong": "WRONG"}
    lines = [f"{name:<15}{value}" for name, value in rows] + [""]
    for finding in findings:
        lines.append(f"{signs[finding.level]}  {finding.says}")
        if finding.mend:
            lines.append(f"       {finding.mend}")
    return "\n".join(lines)


def main(argv=None):
    """Print the report; exit status 1 if something installed is broken."""
    argparse.ArgumentParser(
        prog="python -m tinygrad_edu doctor", allow_abbrev=False,
        description="What this machine has, what works on it, and the line that mends what does not.").parse_args(argv)
    facts = gather()
    findings = diagnose(facts)
    print(report(facts, findings))
    return int(any(finding.level == "wrong" for finding in findings))
