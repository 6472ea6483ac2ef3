"""The doctor: each known failure is recognised from faked facts, and the line that mends it is the right one."""
import subprocess
import sys

import pytest

from tinygrad_edu import doctor

H200 = {"name": "NVIDIA H200", "capability": (9, 0), "memory": 139 * 2**30}
PASCAL = {"name": "GeForce GTX 1080", "capability": (6, 1), "memory": 8 * 2**30}
HEALTHY = {"numpy": "2.4.6", "numba": "0.68.1", "numba-cuda": "0.30.4", "numba-cuda-mlir": None,
           "cuda-bindings": "13.0.1", "nvidia-nvvm": "13.0.88", "nvidia-cuda-nvcc-cu12": None,
           "matplotlib": "3.11.2", "tqdm": "4.70.1", "h5py": "3.16.0", "ml-dtypes": "0.6.0", "torch": None}


def machine(versions=(), **changes):
    """Facts of a healthy Linux machine with a new driver and a new GPU, changed as told."""
    facts = {"python": (3, 12, 4), "system": "Linux", "machine": "x86_64", "versions": {**HEALTHY, **dict(versions)},
             "numba_error": None, "environment": {}, "cache": "/home/me/.cache/tinygrad_edu",
             "container": False, "gpu_on_the_bus": True, "driver": 13000, "init": 0, "gpus": [H200]}
    assert set(changes) <= set(facts)
    return {**facts, **changes}


NO_GPU = {"driver": None, "init": None, "gpus": [], "gpu_on_the_bus": False}
NO_NUMBA_CUDA = {"numba-cuda": None, "cuda-bindings": None, "nvidia-nvvm": None}
CUDA_12 = {"cuda-bindings": "12.9.1", "nvidia-nvvm": None, "nvidia-cuda-nvcc-cu12": "12.9.86"}
IN_CHECKOUT = {extra: f'pip install "tinygrad_edu[{extra}]"    # in a checkout: pip install -e ".[{extra}]"'
               for extra in ("cuda12", "cuda13")}

FAILURES = [
    # name,                    facts,                                                 level,   says,             mend
    ("old Python",             machine(python=(3, 10, 2)),                                  "wrong", "older than 3.11",
     "python3.11 -m venv .venv && .venv/bin/pip install -e ."),
    ("no numpy",               machine({"numpy": None}),                                    "wrong", "numpy is missing",
     'pip install "numpy>=2.0"'),
    ("old numpy",              machine({"numpy": "1.26.4"}),                                "wrong", "older rules",
     'pip install "numpy>=2.0"'),
    ("row_stack",              machine({"numpy": "2.5.0"}),                                 "wrong", "row_stack",
     'pip install "numpy<2.5"'),
    ("numba dislikes numpy",   machine(numba_error="ImportError: Numba needs NumPy 2.5 or less. Got NumPy 2.6."),
     "wrong", "does not import", 'pip install "numpy<2.6"'),
    ("numba is broken",        machine(numba_error="OSError: libllvmlite.so: cannot open"), "wrong", "does not import",
     "pip install --upgrade numba"),
    ("no numba",               machine({"numba": None, **NO_NUMBA_CUDA}, **NO_GPU),         "note", "numba is missing",
     'pip install "numba>=0.61"'),
    ("Python without numba",   machine({"numba": None, **NO_NUMBA_CUDA}, python=(3, 15, 0), **NO_GPU),
     "note", "does not know Python 3.15 yet", "python3.14 -m venv .venv && .venv/bin/pip install -e ."),
    ("PTX version",            machine(driver=12080),                                       "wrong", "PTX_VERSION "
                                                                                                     "(222)",
     f"pip uninstall -y cuda-bindings cuda-toolkit nvidia-nvvm && {IN_CHECKOUT['cuda12']}"),
    ("CUDA 13, old GPU",       machine(gpus=[PASCAL]),                                      "wrong", "older than "
                                                                                                     "Turing",
     f"pip uninstall -y cuda-bindings cuda-toolkit nvidia-nvvm && {IN_CHECKOUT['cuda12']}"),
    ("built-in, driver 580",   machine(NO_NUMBA_CUDA),                                      "wrong", "built-in CUDA "
                                                                                                     "target",
     IN_CHECKOUT["cuda13"]),
    ("built-in, old driver",   machine(NO_NUMBA_CUDA, driver=12040),                        "note", "nothing to "
                                                                                                    "compile",
     IN_CHECKOUT["cuda12"]),
    ("only numba-cuda-mlir",   machine({**NO_NUMBA_CUDA, "numba-cuda-mlir": "0.6.0"}),      "note", "written for "
                                                                                                    "numba-cuda",
     IN_CHECKOUT["cuda13"]),
    ("no compiler",            machine({"nvidia-nvvm": None}),                              "wrong", "without a "
                                                                                                     "compiler",
     IN_CHECKOUT["cuda13"]),
    ("numba-cuda on a Mac",    machine({"numba-cuda": "0.20.1"}, system="Darwin", **NO_GPU), "wrong", "on macOS",
     "pip uninstall -y numba-cuda"),
    ("numba's simulator",      machine(environment={"NUMBA_ENABLE_CUDASIM": "1"}),          "wrong", "in place of "
                                                                                                     "every GPU",
     "unset NUMBA_ENABLE_CUDASIM"),
    ("a wish unknown",         machine(environment={"TINYGRAD_EDU_CUDA": "yes"}),           "wrong", "simulator or gpu",
     "export TINYGRAD_EDU_CUDA=simulator"),
    ("a mode unknown",         machine(environment={"TINYGRAD_EDU_SIM": "fast"}),           "wrong", "auto, python, ",
     "unset TINYGRAD_EDU_SIM"),
    ("hidden GPU",             machine(init=100, gpus=[], environment={"CUDA_VISIBLE_DEVICES": "-1"}),
     "wrong", "hides every GPU", "unset CUDA_VISIBLE_DEVICES"),
    ("driver, no GPU",         machine(init=100, gpus=[]),                                  "note", "but no GPU", None),
    ("driver mismatch",        machine(init=803, gpus=[]),                                  "wrong", "kernel module "
                                                                                                     "differ",
     "sudo reboot"),
    ("after suspend",          machine(init=999, gpus=[]),                                  "wrong", "after suspend",
     "sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm"),
    ("driver will not start",  machine(init=46, gpus=[]),                                   "wrong", "cuInit returned "
                                                                                                     "46",
     "nvidia-smi"),
    ("GPU without a driver",   machine(**{**NO_GPU, "gpu_on_the_bus": True}),               "wrong", "without a driver",
     "sudo ubuntu-drivers install    # Ubuntu; on Debian: sudo apt install nvidia-driver; then restart"),
    ("container without GPU",  machine(**{**NO_GPU, "gpu_on_the_bus": True}, container=True), "wrong", "container",
     "docker run --gpus all ..."),
    ("no driver, no GPU",      machine(NO_NUMBA_CUDA, **NO_GPU),                            "note", "No NVIDIA "
                                                                                                    "driver", None),
    ("no matplotlib",          machine({"matplotlib": None}),                               "note", "plots",
     "pip install matplotlib"),
    ("no tqdm",                machine({"tqdm": None}),                                     "note", "progress bar",
     "pip install tqdm"),
    ("no h5py",                machine({"h5py": None}),                                     "note", "HDF5",
     'pip install "tinygrad_edu[io]"'),
    ("no ml_dtypes",           machine({"ml-dtypes": None}),                                "note", "bfloat16",
     'pip install "tinygrad_edu[io]"'),
]


@pytest.mark.parametrize(("facts", "level", "says", "mend"), [row[1:] for row in FAILURES],
                         ids=[row[0] for row in FAILURES])
def test_known_failure_is_found_with_its_line(facts, level, says, mend):
    found = [finding for finding in doctor.diagnose(facts) if finding.level != "ok"]
    matching = [finding for finding in found if says in finding.says]
    assert [(finding.level, finding.mend) for finding in matching] == [(level, mend)]
    assert len([finding for finding in found if finding.mend]) == (mend is not None), "one fault, one line to mend it"
    assert says in doctor.report(facts, found) and (mend or "") in doctor.report(facts, found)


@pytest.mark.parametrize("facts", [
    machine(), machine(CUDA_12, driver=12080), machine(CUDA_12), machine(CUDA_12, gpus=[PASCAL], driver=12080),
], ids=["CUDA 13", "CUDA 12", "CUDA 12 on a new driver", "CUDA 12 on Pascal"])
def test_nothing_is_wrong_with_a_healthy_machine(facts):
    assert {finding.level for finding in doctor.diagnose(facts)} == {"ok"}


def test_two_faults_are_both_found():
    found = [finding.mend for finding in doctor.diagnose(machine({"numpy": "2.5.5", "nvidia-nvvm": None}))
             if finding.level == "wrong"]
    assert found == ['pip install "numpy<2.5"', IN_CHECKOUT["cuda13"]]


SIMULATED = {"environment": {"TINYGRAD_EDU_CUDA": "simulator"}}


@pytest.mark.parametrize("facts, expected", [
    (machine(), "NVIDIA H200"), (machine({"nvidia-nvvm": None}), "NVIDIA H200, once what is wrong is mended"),
    (machine(NO_NUMBA_CUDA, driver=12040), "NVIDIA H200, once what is wrong is mended"),
    (machine(**NO_GPU), "none (TINYGRAD_EDU_CUDA=simulator: the simulator)"),
    (machine(**NO_GPU, **SIMULATED), "the simulator, on request"), (machine(**SIMULATED), "the simulator, on request")])
def test_which_cuda_it_is(facts, expected):
    findings = doctor.diagnose(facts)
    assert f"device='cuda'  {expected}" in doctor.report(facts, findings).splitlines()


@pytest.mark.parametrize("versions, says", [({}, "hot kernels are compiled by numba"),
                                            ({"numba": None, **NO_NUMBA_CUDA}, "in Python alone")])
def test_the_simulator_is_said_to_be_fast_or_slow(versions, says):
    found = doctor.diagnose(machine(versions, **NO_GPU, **SIMULATED))
    assert any(says in finding.says and finding.level == "ok" for finding in found)


def test_report_shows_every_component():
    text = doctor.report(machine(), [])
    for line in ("kernel cache   /home/me/.cache/tinygrad_edu", "Python         3.12.4 on Linux x86_64",
                 "numpy          2.4.6", "numba          0.68.1",
                 "CUDA provider  numba-cuda 0.30.4", "driver         CUDA 13.0", "GPU            NVIDIA H200 (139 GiB, "
                                                                                 "9.0)"):
        assert line in text.splitlines()


@pytest.mark.parametrize(("versions", "name"), [
    ({}, "numba-cuda 0.30.4"), ({"numba-cuda": None, "numba-cuda-mlir": "0.6.0"}, "numba-cuda-mlir 0.6.0"),
    ({"numba-cuda": None}, "numba 0.68.1, built-in target"), ({"numba-cuda": None, "numba": None}, "none")])
def test_provider(versions, name):
    assert doctor.provider(machine(versions)) == name


def test_facts_of_this_machine_have_the_shape_of_the_faked_ones():
    facts = doctor.gather()
    assert facts.keys() == machine().keys() and facts["versions"].keys() == HEALTHY.keys()
    assert facts["python"] == sys.version_info[:3] and facts["versions"]["numpy"] is not None
    doctor.report(facts, doctor.diagnose(facts))


class FakeLibrary:
    """libcuda with one GPU, as ctypes would call it."""

    def cuDriverGetVersion(self, version):
        version._obj.value = 13000

    def cuInit(self, flags):
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = 1

    def cuDeviceGet(self, handle, index):
        handle._obj.value = index

    def cuDeviceGetName(self, name, length, handle):
        name.value = b"NVIDIA H200"

    def cuDeviceTotalMem_v2(self, memory, handle):
        memory._obj.value = 139 * 2**30

    def cuDeviceGetAttribute(self, value, attribute, handle):
        value._obj.value = {75: 9, 76: 0}[attribute]


def test_driver_is_read_through_its_library(monkeypatch):
    monkeypatch.setattr(doctor.platform, "system", lambda: "Linux")
    monkeypatch.setattr(doctor.ctypes, "CDLL", lambda name: FakeLibrary())
    assert doctor._driver() == {"driver": 13000, "init": 0, "gpus": [H200]}


@pytest.mark.parametrize("library", [object, lambda: (_ for _ in ()).throw(OSError("no such file"))])
def test_no_driver_or_a_strange_one_is_no_crash(monkeypatch, library):
    monkeypatch.setattr(doctor.platform, "system", lambda: "Linux")
    monkeypatch.setattr(doctor.ctypes, "CDLL", lambda name: library())
    assert doctor._driver() == {"driver": None, "init": None, "gpus": []}


def test_exit_status_tells_whether_something_is_broken(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "gather", machine)
    assert doctor.main([]) == 0
    monkeypatch.setattr(doctor, "gather", lambda: machine({"numpy": "2.5.5"}))
    assert doctor.main([]) == 1
    assert 'pip install "numpy<2.5"' in capsys.readouterr().out


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "tinygrad_edu", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [["--help"], ["doctor", "--help"]])
def test_help(arguments):
    done = run(*arguments)
    assert done.returncode == 0 and done.stdout.startswith("usage: python -m tinygrad_edu") and not done.stderr


@pytest.mark.parametrize("arguments", [["--nonsense"], ["nonsense"], ["doctor", "--nonsense"], ["doctor", "more"],
                                       ["--device"], ["--device", "toaster"], ["--no-plot"]])
def test_wrong_argument_is_a_usage_error(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and done.stderr.startswith("usage: python -m tinygrad_edu") and not done.stdout
    assert "Traceback" not in done.stderr
