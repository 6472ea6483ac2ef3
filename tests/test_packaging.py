"""Packaging: the metadata say what the design promises, and no package folder is missing from the list."""
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest

import tinygrad_edu

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def setup_cfg():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_is_listed():
    """setup.cfg names packages one by one, as kernels/ stands outside; a new folder must not be forgotten."""
    listed = set(setup_cfg()["options"]["packages"].split())
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "tinygrad_edu").rglob("__init__.py")}
    kernels = {".".join(["tinygrad_edu", *path.parent.relative_to(ROOT).parts])
               for path in (ROOT / "kernels").rglob("__init__.py")}
    assert listed == found | kernels


def test_core_dependencies():
    names = {d.split(">")[0].split(";")[0].strip() for d in PROJECT["dependencies"]}
    assert names == {"numpy", "numba", "matplotlib", "tqdm"}


@pytest.mark.parametrize("extra, requirements",
                         [("core", PROJECT["dependencies"]), *PROJECT["optional-dependencies"].items()])
def test_lower_bounds_only(extra, requirements):
    for requirement in requirements:
        bounded = any(sign in requirement.split(";")[0] for sign in ("==", "<", "~="))
        assert not bounded or extra.startswith("cuda"), requirement


def test_numba_waits_for_no_python():
    numba, = [d for d in PROJECT["dependencies"] if d.startswith("numba")]
    assert "python_version <" in numba


@pytest.mark.parametrize("extra", ["cuda12", "cuda13"])
def test_cuda_extras(extra):
    requirements = PROJECT["optional-dependencies"][extra]
    assert any(r.startswith(f"numba-cuda[cu{extra[4:]}]>=0.30.4,<0.31") for r in requirements)
    assert any(r.startswith("numpy<2.5") for r in requirements)
    assert all("sys_platform != 'darwin'" in r for r in requirements)


def test_version_is_that_of_the_package():
    from importlib.metadata import version
    assert version("tinygrad_edu") == tinygrad_edu.__version__


def test_kernels_are_ours():
    import tinygrad_edu.kernels as kernels
    assert Path(kernels.__file__).parent.name in ("kernels",)


def test_readme_names_files_that_exist():
    import re
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
