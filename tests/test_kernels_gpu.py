"""The path to a real GPU, rehearsed: a driver of 200 lines of C that has memory but runs nothing (fake_driver/).

Knows only how to build it and how to run fake_driver/rehearsal.py on it.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import tinygrad_edu  # noqa: F401  (kernels are imported under its name)
from tinygrad_edu.kernels import gpu, lower

HERE = pathlib.Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc")
absent = lower.missing()


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A folder with a libcuda.so.1 that isn't NVIDIA's."""
    if sys.platform != "linux" or COMPILER is None:
        pytest.skip("building the fake driver takes Linux and a C compiler")
    folder = tmp_path_factory.mktemp("fake_driver")
    source = HERE / "fake_driver" / "libcuda.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", folder / "libcuda.so.1", source], check=True)
    return folder


def on(driver, *command, **settings):
    """Run a command with that driver."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TINYGRAD_EDU", "PYTEST"))}
    environment |= {"LD_LIBRARY_PATH": str(driver), **settings}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, cwd=HERE.parent)


@pytest.mark.skipif(bool(absent), reason=f"{', '.join(absent)} not installed: {lower.EXTRA}")
def test_rehearsal(driver):
    done = on(driver, "-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/fake_driver/rehearsal.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout).group(1)) > 30


def test_no_device_behind_the_driver(driver):
    code = "from tinygrad_edu.kernels import gpu; import sys; print(gpu.is_present(), 'numba' in sys.modules)"
    assert on(driver, "-c", code, FAKE_CUDA_DEVICES="0").stdout.split() == ["False", "False"]
    assert on(driver, "-c", code).stdout.split() == ["True", "False"]


def test_a_gpu_without_numba_cuda_names_the_extra(driver):
    code = ("import sys; sys.modules['numba_cuda'] = None\n"
            "from tinygrad_edu.kernels import memory; memory.gpu()")
    done = on(driver, "-c", code)
    assert re.search("there is a GPU, but numba-cuda[a-z, -]* can't be imported: pip install", done.stderr), done.stderr


def test_sizes_in_words():
    assert [gpu.in_words(n) for n in (0, 1023, 1024, 1536, 250 << 20, 3 << 29, 1 << 41)] == [
        "0.00 bytes", "1023.00 bytes", "1.00 KiB", "1.50 KiB", "250.00 MiB", "1.50 GiB", "2048.00 GiB"]
