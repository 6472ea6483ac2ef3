"""Writes the .pyi files that editors complete `x.` and the modules' names from: `python -m tinygrad_edu.stubs`.

Functions and methods are attached while tinygrad_edu is imported, where no editor can see it; so they are written down
here as plain definitions. It looks at the finished library only, and nothing imports it.
"""
from __future__ import annotations

import importlib
import inspect
import math
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import tinygrad_edu
from tinygrad_edu.core import dtypes, export
from tinygrad_edu.core.op import Op
from tinygrad_edu.core.tensor import Tensor

ROOT = Path(__file__).parent
HEAD = '"""Written by `python -m tinygrad_edu.stubs`: what editors complete. Change the code, then run that."""\n'
INDENT = "    "
MANY = "tuple[Tensor, ...]"
# What does not return a Tensor: functions and methods by name, Any where it depends on the arguments.
RETURNS = {
    **dict.fromkeys(("split", "chunk", "unbind", "tensor_split", "split_with_sizes", "broadcast_tensors",
                     "align_tensors", "hsplit", "vsplit",
                     "dsplit", "meshgrid", "var_mean", "std_mean", "sort", "topk", "kthvalue", "mode", "cummax",
                     "cummin", "aminmax", "frexp",
                     "max_pool1d_with_indices", "max_pool2d_with_indices"), MANY),
    **dict.fromkeys(("max", "min", "median", "nanmedian", "unique", "unique_consecutive", "where", "atleast_1d",
                     "atleast_2d", "atleast_3d", "nonzero", "tolist", "item", "numpy", "__array__",
                     "__dlpack__", "__dlpack_device__", "grad_fn", "storage", "untyped_storage", "type", "size",
                     "stride", "register_hook", "names",
                     "register_post_accumulate_grad_hook", "__reduce_ex__", "device", "dtype", "apply_", "map_"),
                     "Any"),
    **dict.fromkeys(("dim", "ndimension", "numel", "nelement", "element_size", "get_device", "storage_offset",
                     "data_ptr", "ndim", "itemsize",
                     "nbytes", "output_nr", "__len__", "__int__", "__index__", "__hash__"), "builtins.int"),
    **dict.fromkeys(("is_contiguous", "is_floating_point", "is_complex", "is_signed", "is_inference", "is_nonzero",
                     "has_names", "requires_grad",
                     "is_leaf", "is_cuda", "is_cpu", "is_sparse", "is_quantized", "is_meta", "is_mkldnn",
                     "retains_grad", "__bool__", "equal",
                     "allclose", "is_same_size", "is_tensor", "is_pinned", "is_shared", "__contains__", "is_set_to",
                     "is_storage", "can_cast"),
                    "builtins.bool"),
    **dict.fromkeys(("backward", "retain_grad", "__setitem__"), "None"),
    "__float__": "builtins.float", "__complex__": "builtins.complex", "__repr__": "builtins.str",
    "__format__": "builtins.str",
    "shape": "Size", "broadcast_shapes": "Size", "__iter__": "Iterator[Tensor]", "result_type": "dtype",
    "promote_types": "dtype",
}
OPERATORS = {"__getitem__", "__setitem__", "__len__", "__iter__", "__float__", "__int__", "__bool__", "__index__",
             "__contains__", "__array__",
             "__abs__", "__neg__", "__pos__", "__invert__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__",
             "__hash__", "__format__",
             "__repr__", "__deepcopy__"}


# ---- signatures
def parameters_of(name, function):
    """The parameters of a function as text; those of an op come from its program."""
    twin = f"__{name[3:]}" if name.startswith("__i") and name not in OPERATORS else name[:-1]
    if twin in export.inplace_twins:
        function, name = export.inplace_twins[twin], twin
    target = export.registry.get(name)
    if isinstance(target, type) and issubclass(target, Op):
        torchs = dict(zip(("x", "y"), ("input", "other")))
        positional = [torchs.get(n, n) for n in target.inputs] or ["*inputs"]
        return positional + ["*"] + [f"{n}=..." for n in target.parameters] + ["out=None"]
    texts, keyword_only = [], False
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            texts.append("*")
        texts.append({p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "") + p.name + default_of(p))
        keyword_only = keyword_only or p.kind is p.VAR_POSITIONAL
    return texts


def default_of(parameter):
    value = parameter.default
    if value is parameter.empty:
        return ""
    plain = value is None or isinstance(value, (bool, int, str)) or isinstance(value, float) and math.isfinite(value)
    return f"={value!r}" if plain else "=..."


def definition(name, function, parameters, indent="", returns=None):
    """`def name(...) -> Type: ...` with the first paragraph of the docstring."""
    found = returns or RETURNS.get(name) or "Tensor"
    text = f"{indent}def {name}({', '.join(parameters)}) -> {found}: ..."
    said = inspect.getdoc(function)
    if said and not name.startswith("__"):
        said = " ".join(said.split("\n\n")[0].split()).replace('"""', "'''").replace("\\", "\\\\")
        text = f'{text[:-4]}\n{indent}{INDENT}"""{said} """\n{indent}{INDENT}...' if said.endswith('"') else \
            f'{text[:-4]}\n{indent}{INDENT}"""{said}"""\n{indent}{INDENT}...'
    return text


# ---- the class
def methods():
    """Every public name of Tensor, in order, as a definition."""
    lines = []
    for name in sorted(dir(Tensor)):
        if name.startswith("_") and name not in OPERATORS and not (name.startswith(("__r", "__i"))
                                                                   and hasattr(Tensor, "__" + name[3:])) \
                and not hasattr(Tensor, "__r" + name[2:]):
            continue
        value = inspect.getattr_static(Tensor, name)
        if isinstance(value, property):
            lines.append(f"{INDENT}@property\n{INDENT}def {name}(self) -> {RETURNS.get(name, 'Tensor')}: ...")
            if value.fset is not None:
                lines.append(f"{INDENT}@{name}.setter\n{INDENT}def {name}(self, value) -> None: ...")
        elif isinstance(value, FunctionType):
            first, *rest = parameters_of(name, value) or ["self"]
            rest = [r for r in rest if r != "out=None"]
            rest = rest[:-1] if rest[-1:] == ["*"] else rest
            if first.startswith("*"):
                rest.insert(0, first)
            lines.append(definition(name, value, ["self", *rest], INDENT))
        elif isinstance(value, (bool, int)) and not name.startswith("_"):
            lines.append(f"{INDENT}{name}: builtins.{type(value).__name__}")
    return lines


def tensor_stub():
    lines = [HEAD, "import builtins", "from collections.abc import Iterator", "from typing import Any", "",
             "from tinygrad_edu.core.layout import Size", "", "", "class Tensor:",
             f'{INDENT}"""{inspect.getdoc(Tensor)}"""',
             f"{INDENT}def __init__(self, *data, dtype=None, device=None, requires_grad: builtins.bool = False) -> "
             "None: ...", *methods(), ""]
    module = importlib.import_module("tinygrad_edu.core.tensor")
    for name, value in vars(module).items():       # for editors in which the engine's files are read
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            lines.append(definition(name, None, parameters_of("", value), returns="Any"))
        elif name in getattr(module, "__all__", ()) and not isinstance(value, (FunctionType, type)):
            lines.append(f"{name}: Any")
        elif isinstance(value, FunctionType) and name in module.__all__:
            lines.append(f"from {value.__module__} import {name} as {name}")
    return "\n".join(lines) + "\n"


# ---- modules
def module_stub(module, submodules=()):
    """Every public name of a module."""
    imports, lines = [], []
    for name in sorted(set(dir(module)) | set(submodules)):
        if name.startswith("_") and name != "__version__" or name == "annotations":
            continue
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            if name in submodules:                 # and not whatever happens to be loaded
                imports.append(f"from {module.__name__} import {name} as {name}")
        elif isinstance(value, type) and not value.__module__.startswith("tinygrad_edu"):
            lines.append(f"{name}: Any")           # FloatTensor and its like: old ways to make tensors
        elif isinstance(value, type) or isinstance(value, FunctionType) and found_at_home(name, value, module):
            imports.append(f"from {value.__module__} import {value.__name__} as {name}")
        elif callable(value):
            key = next((k for k in (f"{module.__name__.partition('.')[2]}.{name}", name) if k in export.functions),
                       name)
            lines.append(definition(name, value, parameters_of(key, value)))
        elif isinstance(value, dtypes.dtype):
            lines.append(f"{name}: dtype")
        else:
            lines.append(f"{name}: builtins.{type(value).__name__}")
    if any(line.endswith(": dtype") or "-> dtype" in line for line in lines):
        imports.append("from tinygrad_edu.core.dtypes import dtype as dtype")
    imports += ["from tinygrad_edu.core.layout import Size as Size",
                "from tinygrad_edu.core.tensor import Tensor as Tensor"]
    return "\n".join([HEAD, "import builtins", "from typing import Any", "", *sorted(set(imports)), "", *lines]) + "\n"


def found_at_home(name, function, module):
    """Whether an editor finds this function where it was written: it is no op, and not written in the module itself."""
    home = sys.modules.get(function.__module__)
    return (function.__module__ != module.__name__ and name not in export.functions and
            home is not None and getattr(home, function.__name__, None) is function)


def stubs():
    """{file: text}"""
    lazy = ["autograd", *tinygrad_edu._MODULES, *tinygrad_edu._NAMES]
    for name in lazy:                              # some attach methods when they are loaded
        getattr(tinygrad_edu, name)
    found = {ROOT / "core/tensor.pyi": tensor_stub(), ROOT / "__init__.pyi": module_stub(tinygrad_edu, lazy)}
    for name in ("nn.functional", "linalg", "special"):
        if (ROOT / f"{name.replace('.', '/')}.py").exists():
            found[ROOT / f"{name.replace('.', '/')}.pyi"] = module_stub(importlib.import_module(f"tinygrad_edu.{name}"))
    return found


def main():
    for path, text in stubs().items():
        path.write_text(text)
        print(f"{path.relative_to(ROOT.parent)}: {text.count('def ')} definitions")


if __name__ == "__main__":
    main()
