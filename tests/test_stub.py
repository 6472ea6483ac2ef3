"""The .pyi files are what the generator writes today, and true."""
from __future__ import annotations

import ast
import re
from types import ModuleType

import pytest

import tinygrad_edu as te
from tests import samples
from tests.goldens import measure
from tinygrad_edu import stubs

FILES = stubs.stubs()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(stubs.ROOT)))
def test_it_is_current(path):
    ast.parse(FILES[path])
    assert path.exists() and path.read_text() == FILES[path], "run `python -m tinygrad_edu.stubs`"


def names_in(path, cls=None):
    body = ast.parse(FILES[path]).body
    if cls is not None:
        body = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == cls).body
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = ast.unparse(node.returns)
        elif isinstance(node, ast.ImportFrom):
            found.update((alias.asname or alias.name, None) for alias in node.names)
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = ast.unparse(node.annotation)
    return found


FUNCTIONS, METHODS = names_in(stubs.ROOT / "__init__.pyi"), names_in(stubs.ROOT / "core/tensor.pyi", "Tensor")


def test_nothing_is_missing():
    assert {n for n in dir(te.Tensor) if not n.startswith("_")} <= set(METHODS)
    modules = {n for n in dir(te) if isinstance(getattr(te, n), ModuleType)} - {"autograd", *te._MODULES}
    public = {n for n in dir(te) if not n.startswith("_")} - {"annotations", "bfloat16"}
    assert public - modules <= set(FUNCTIONS)


def fits(value, annotation):
    match annotation:
        case "Tensor":
            return isinstance(value, te.Tensor)
        case "tuple[Tensor, ...]":
            return isinstance(value, (tuple, list)) and all(isinstance(v, te.Tensor) for v in value)
        case "builtins.bool":
            return isinstance(value, bool)
        case "builtins.int":
            return isinstance(value, int)
        case "Size":
            return isinstance(value, te.Size)
    return True


def test_return_types_are_true():
    """Held against what the sample lines return."""
    wrong = set()
    for sample in samples.load():
        called = re.fullmatch(r"(torch|[a-z])\.([a-z_0-9]+)\((.*)\)", sample.expression)
        known = {} if called is None else FUNCTIONS if called[1] == "torch" else METHODS
        if called is None or called[2] not in known or ")." in called[3]:
            continue
        try:
            tensors = measure.tensors_of(te, sample, sample.arrays())
            value = eval(sample.expression, {"torch": te}, tensors)
        except measure.REFUSALS:
            continue
        if not fits(value, known[called[2]]):
            wrong.add(f"{sample.expression} returns {type(value).__name__}, the stub says {known[called[2]]}")
    assert not wrong, "\n".join(sorted(wrong))


def test_an_editor_completes():
    jedi = pytest.importorskip("jedi", reason="an editor's engine")
    source = "import tinygrad_edu as torch\nx = torch.ones(2)\nx."
    names = {c.name for c in jedi.Script(source, path="example.py").complete(3, 2)}
    assert {"sum", "backward", "mul_", "shape", "requires_grad_"} <= names
    names = {c.name for c in jedi.Script("import tinygrad_edu as torch\ntorch.", path="example.py").complete(2, 6)}
    assert {"matmul", "nn", "float32", "no_grad", "Tensor"} <= names
