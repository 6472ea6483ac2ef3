"""The house rules that a machine can check: who may import whom, how long a file may be, and what an import may cost.

Rows are read from the top: a file may import from rows above its own, and from what stands left of it in its own row.
"""
from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE, KERNELS, TESTS = ROOT / "tinygrad_edu", ROOT / "kernels", ROOT / "tests"


def ops_in_order():
    """The files of ops, as ops/__init__.py imports them: that line is their row."""
    for node in ast.parse((PACKAGE / "ops/__init__.py").read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module is None:
            return [f"ops.{alias.name}" for alias in node.names]


# `name.*` stands for a package and whatever is in it, in any order among themselves.
ROWS = [
    ["core", "core.dtypes", "core.errors", "core.layout", "core.names", "core.storage"],
    ["backends.*"],
    ["core.mode", "core.tape", "core.leaf", "core.tensor", "core.data"],
    ["core.saved", "core.function", "core.record", "core.op", "core.fast", "core.export", "core.generator",
     "core.printing"],
    ops_in_order(), ["ops"],
    ["autograd.*"],
    ["nn.parameter", "nn.hooks", "nn.state", "nn.module", "nn.init", "nn.functional.*", "nn.modules.*", "nn.*"],
    ["optim.*"], ["utils.*"], ["serialization.*"], ["testing.*"],
    [""],
    ["doctor", "tour.*", "__main__", "stubs"],
]
LAZY = {"storage", "random", "linalg", "cuda", "special"}    # torch's names for small modules: they stand beside optim
PLACE = {}
for row, names in enumerate(ROWS):
    for column, name in enumerate(names):
        PLACE[name] = row, column
for name in LAZY:
    PLACE[name] = PLACE["optim.*"]
GROUPS = sorted((name for name in PLACE if name.endswith(".*")), key=len, reverse=True)


def module_of(path, root=PACKAGE):
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def place(module):
    """(row, column) of a module, by its own name or that of its group; and the group, within which order is free."""
    if module in PLACE:
        return PLACE[module], module
    for group in GROUPS:
        if module == group[:-2] or module.startswith(group[:-1]):
            return PLACE[group], group
    return None, None


@functools.cache
def tree(path):
    return ast.parse(path.read_text())


def imports(path):
    """What a file imports from this package, anywhere in it: names of modules, dotted, without 'tinygrad_edu.'."""
    me = module_of(path)
    package = me.split(".") if path.name == "__init__.py" else me.split(".")[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tinygrad_edu":
                    yield alias.name.partition(".")[2]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = [p for p in package if p]
                base = base[:len(base) - node.level + 1]
            elif (node.module or "").split(".")[0] == "tinygrad_edu":
                base = []
            else:
                continue
            stem = base + [p for p in (node.module or "").split(".") if p and p != "tinygrad_edu"]
            for alias in node.names:
                whole = ".".join([*stem, alias.name])
                yield whole if whole in FILES else ".".join(stem)


@pytest.mark.parametrize("module", FILES, ids=lambda m: m or "tinygrad_edu")
def test_imports_go_up_and_left(module):
    mine, my_group = place(module)
    assert mine is not None, f"{module} stands in no row: add it to ROWS"
    for target in imports(FILES[module]):
        if target.split(".")[0] == "kernels":
            assert module.startswith("backends."), f"only backends may use kernels; {module} imports {target}"
            continue
        theirs, group = place(target)
        assert theirs is not None, f"{module} imports {target}, which stands in no row"
        own_package = module.startswith(f"{target}.")           # a file may look into its own package
        assert theirs < mine or group == my_group or own_package, f"{module} imports {target}: to its right, or below"


def test_kernels_stand_alone():
    for path in KERNELS.rglob("*.py"):
        for node in ast.walk(tree(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not any(n.split(".")[0] == "tinygrad_edu" for n in names), path


def test_kernels_have_one_name():
    """The folder found twice, as `kernels` and as `tinygrad_edu.kernels`, would be two of everything."""
    for path in [*TESTS.rglob("*.py"), *PACKAGE.rglob("*.py")]:
        for node in ast.walk(tree(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not any(n.split(".")[0] == "kernels" for n in names), path


ALL_FILES = [*PACKAGE.rglob("*.py"), *KERNELS.rglob("*.py"), *TESTS.rglob("*.py")]


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short_and_say_what_they_are(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 450, f"{len(text.splitlines())} lines: a file is one idea"
    said = ast.get_docstring(tree(path))
    assert said and said.splitlines()[0].strip(), "the first line of a file says what it is"


# ---- what an import costs
def python(code, *flags):
    done = subprocess.run([sys.executable, *flags, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_import_is_light_and_silent():
    heavy = {"numba", "matplotlib", "tqdm", "multiprocessing", "torch", "ml_dtypes", "asyncio", "tinygrad_edu.kernels"}
    out, err = python(f"import sys, tinygrad_edu; print(sorted({heavy} & set(sys.modules)))", "-W", "error")
    assert out.strip() == "[]" and err == ""


def test_numpy_alone_is_enough():
    """With nothing but numpy and the standard library importable, everything but the extras works."""
    code = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('numba', 'llvmlite', 'matplotlib', 'tqdm', 'ml_dtypes', 'h5py', 'torch', 'scipy'):
            raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, Block())
import tinygrad_edu as torch
x = torch.ones(2, 3, requires_grad=True)
(x * 2).sum().backward()
model = torch.nn.Linear(3, 1)
torch.optim.SGD(model.parameters(), lr=0.1).step()
print(x.grad.tolist(), torch.autograd.gradcheck(lambda x: x * x, x.detach().double().requires_grad_()))
"""
    assert python(code)[0] == "[[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]] True\n"
