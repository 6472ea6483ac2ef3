"""The documentation's pages that are scripts: their cells run, without any documentation tool."""
import importlib
import re
import sys
import textwrap
import types
from pathlib import Path

import pytest

from tinygrad_edu import Tensor, cuda
from tinygrad_edu.core import export

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.py") if p.read_text().startswith("# ---"))


def cells(page):
    """The code cells of a py:percent file, each on its own lines: kernels are translated from their source."""
    line = 0
    for part in re.split(r"^# %%", page.read_text(), flags=re.M):
        kind, _, body = part.partition("\n")
        if line and "[markdown]" not in kind:
            yield "\n" * (line + 1) + body
        line += part.count("\n")


@pytest.fixture
def notebook(monkeypatch):
    """What a notebook offers and a script does not; and the library and its devices as they were, after the page."""
    pytest.importorskip("matplotlib", reason="the pages draw").use("Agg")
    display = types.ModuleType("IPython.display")
    display.SVG = display.Markdown = str
    ipython = types.ModuleType("IPython")
    ipython.get_ipython, ipython.version_info = lambda: None, (8, 24)      # matplotlib asks
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    before = {name: set(table) for name, table in vars(export).items() if isinstance(table, dict)}
    methods = set(vars(Tensor))
    with cuda.simulator():                          # gives back what "cuda" meant, also if the page chooses another
        yield
    for name, keys in before.items():
        for added in set(vars(export)[name]) - keys:
            del vars(export)[name][added]
    for added in set(vars(Tensor)) - methods:
        delattr(Tensor, added)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_page_runs(page, notebook, capsys):
    namespace = {"__name__": "__main__"}
    found = list(cells(page))
    assert found
    for code in found:
        exec(compile(code, str(page), "exec"), namespace)


def test_every_page_is_in_a_table_of_contents():
    pages = {p for p in [*DOCS.rglob("*.md"), *PAGES] if "_build" not in p.parts and p.stem != "index"}
    listed = set()
    for index in DOCS.rglob("index.md"):
        for block in re.findall(r"```\{toctree\}(.*?)```", index.read_text(), re.S):
            listed |= {index.parent / line.strip() for line in block.splitlines() if line.strip() and ":" not in line}
    missing = [p for p in pages if p.with_suffix("") not in listed]
    assert not missing


def test_pictures_exist():
    for page in DOCS.rglob("*.md"):
        for picture in re.findall(r"```\{image\} (\S+)", page.read_text()):
            assert (page.parent / picture).exists(), picture


def test_loops_of_the_simulator_are_those_that_pages_show(tmp_path, monkeypatch):
    """A kernel in Python, and below it what its `source` is."""
    monkeypatch.syspath_prepend(tmp_path)
    for number, page in enumerate((DOCS / "how_it_is_built.md", DOCS.parent / "kernels" / "README.md")):
        text = page.read_text()
        kernel, name = re.search(r"```python\n(@cuda\.jit\ndef (\w+).*?\n)(?:\n.*?)?```", text, re.S).groups()
        module = tmp_path / f"shown{number}.py"                # kernels are translated from their source
        module.write_text(f"import math\nfrom tinygrad_edu.kernels import cuda, float32\n\n\n{kernel}")
        source = getattr(importlib.import_module(module.stem), name).source
        assert source in text or textwrap.indent(source, "    ") in text
