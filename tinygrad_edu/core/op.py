"""Op: a primitive declared in one block -- its programs, and one derivative formula per input.

    @export("mul", "__mul__", inplace=True)
    class Mul(Elementwise):
        cpu    = np.multiply
        cuda   = lambda x, y: x * y
        grad_x = lambda g, y: g * y
        grad_y = lambda g, x: g * x

No op is known here. Forward sees arrays, backward sees tensors. The names of a formula's arguments (inputs, parameters,
`out`) are exactly what is saved for backward; `shape` is that of the input, for formulas that need no more.
Un-broadcasting, promotion, devices and names of dimensions are handled once, here and in record.py; no op mentions
them. `core.fast` holds the short path for operands about which nothing needs thought.
"""
from __future__ import annotations

import re
import sys
import warnings

import numpy as np

from ..backends import CPU
from . import dtypes, errors, layout, names
from .mode import mode
from .record import FormulaNode, LongNode, record
from .tensor import Tensor, from_array, from_host


def parameters_of(function):
    """(positional names, keyword-only names) of a Python function."""
    code = function.__code__
    count, more = code.co_argcount, code.co_kwonlyargcount
    return code.co_varnames[:count], code.co_varnames[count:count + more]


class Op:
    """A primitive. Subclass one of the families below, or this for an op with a program of its own.

    cpu, cuda          the same computation on numpy arrays and for the GPU: positional arguments are inputs,
                       keyword-only arguments are parameters. `cuda` is the scalar function of a family (of a
                       reduction: a tuple of them), or names a program of kernels/ ("softmax.softmax": a function of
                       kernels/softmax.py with the same arguments); None: no kernel, a detour through numpy
    grad_<input>       the derivative with respect to one input: g first, then what it needs, by name
    backward(ctx, *gs) instead of formulas, for ops whose inputs' gradients share work; it may read the inputs named in
                       `saves` from `ctx.saved` (in the order of the inputs), `ctx.unpack_out()` if that names "out",
                       `ctx.params`, `ctx.specs` and `ctx.needs_input_grad`, and returns one gradient per input
    n_outputs          how many tensors the program returns
    keeps              of several outputs the numbers of those that `out` saves (the others are None there); empty: all
    inputs             only where the program does not name them: any number of inputs, or ops made of views and copies
    names              what becomes of names of dimensions: "keep", "unify", "drop", "none", a function, None (refuse)
    node_name          what torch calls the node, where that is not the class's name + "Backward0"; three names where
                       that depends on the operands: for two tensors, for a number first, for a number second
    """
    cpu = cuda = backward = None
    n_outputs = 1
    node_name = None
    names = None
    inputs = parameters = saves = keeps = ()

    def __init_subclass__(cls):
        program = cls.__dict__.get("cpu") or cls.__dict__.get("cuda")
        declared = cls.__dict__.get("inputs")          # by ops with any number of inputs, or without a program
        if program is None and declared is None:
            return
        for key in ("cpu", "cuda", *(k for k in vars(cls) if k.startswith("grad_"))):
            value = cls.__dict__.get(key)
            if type(value) is type(parameters_of):     # plain functions, not methods of an instance
                setattr(cls, key, staticmethod(value))
        source = next((p for p in (cls.cpu, cls.cuda) if hasattr(p, "__code__")), None)
        if source is None and declared is None:
            raise TypeError(f"{cls.__name__} needs a Python function as its cpu or cuda program, to name its inputs")
        inputs, parameters = parameters_of(source) if source is not None else ((), ())
        cls.inputs = inputs if declared is None else declared
        cls.parameters = cls.__dict__.get("parameters", parameters)
        cls.formulas = {n: getattr(cls, f"grad_{n}") for n in cls.inputs if getattr(cls, f"grad_{n}", None) is not None}
        offered = cls.inputs + cls.parameters + ("out", "shape")
        for key in vars(cls):
            if key.startswith("grad_") and key[5:] not in cls.inputs:
                raise TypeError(f"{cls.__name__}.{key} is a formula for {key[5:]!r}; the inputs are "
                                f"{', '.join(cls.inputs)}")
        cls.wanted = {}
        for name, formula in cls.formulas.items():
            wanted = cls.wanted[name] = parameters_of(formula)[0][1:]
            for want in wanted:
                if want not in offered:
                    raise TypeError(f"{cls.__name__}.grad_{name} asks for {want!r}; it may ask for "
                                    f"{', '.join(offered)}")
        cls.keeping = {}                           # record.py's notes on what is kept for whom
        cls.differentiable = bool(cls.formulas) or cls.backward is not None
        node_names = cls.node_name or f"{cls.__name__}Backward0"
        node_names = (node_names,) if isinstance(node_names, str) else node_names
        body = {"__slots__": (), "op": cls, "n_outputs": cls.n_outputs}
        made = [type(name, (LongNode if cls.backward else FormulaNode,), dict(body)) for name in node_names]
        cls.node, cls.nodes = made[0], tuple(made)

    # ---- forward
    @classmethod
    def call(cls, *inputs, **params):
        """Compute, and record: the general path, which every op can take."""
        backend = common_backend(inputs)
        arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
        result_names = cls.name_result(inputs, params)
        results = run(cls, backend, arrays, params)
        if cls.n_outputs == 1:
            out = from_array(results, backend, names=result_names) if results.__class__ is not Tensor else results
        else:
            out = tuple([r if r.__class__ is Tensor else from_array(r, backend, names=result_names) for r in results])
        if mode.grad and cls.differentiable:
            record(cls, inputs, params, out)
        return out

    @classmethod
    def name_result(cls, inputs, params):
        if not any([x._spec.names is not None for x in inputs if isinstance(x, Tensor)]):
            return None
        if isinstance(params.get("keepdim"), str):
            raise TypeError(f"{called(public_name(cls), sys._getframe(1))}() received an invalid combination of "
                            "arguments - got (str, str), but expected one of:\n"
                            " * dim as an int, a name, or a sequence of either")
        if cls.names is None:
            raise refused_names(public_name(cls))
        if cls.names == "none":
            return None
        found = [x.names for x in inputs if isinstance(x, Tensor)]
        if cls.names == "drop":
            return names.drop(found[0], params["dims"], params["keepdim"])
        if cls.names == "unify":
            result = found[0]
            for other in found[1:]:
                result = names.unify(result, other, repair=len(found) == 2)
        else:
            result = found[0] if cls.names == "keep" else cls.names(*found)
        return names.tidy(result)


class Elementwise(Op):
    """One number in (or two, or three), one number out; broadcast, promoted.

    result   None: the promoted type; "float": at least the default float type; "bool"
    check    check(dtype): raises where torch refuses the promoted type
    numbers  which operands may be numbers: "any", "overloads" (any: torch has an overload for each), "second", "none"
    apart    the names of leading inputs that keep their own type (a condition) and take no part in the promotion
    """
    result = None
    numbers = "any"
    apart = ()
    names = "unify"

    @staticmethod
    def check(dtype):
        pass

    @classmethod
    def call(cls, *inputs, **params):
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        if len(tensors) < len(inputs):
            check_operands(cls, inputs, tensors)
        spec = tensors[0]._spec
        backend = spec.backend
        if any([x._spec.backend is not backend for x in tensors]):
            backend = common_backend(inputs)
        result_names = cls.name_result(inputs, params)      # an error about names comes before one about sizes
        shape, dtype, plain = spec.shape, spec.dtype, backend.native and not cls.apart
        for x in tensors[1:]:
            if x._spec.shape != shape:
                shape = layout.broadcast_shapes(shape, x._spec.shape, len(tensors) == 2)
            if x._spec.dtype is not dtype:
                plain = False
        if plain and dtype.category == dtypes.FLOATING and dtype.itemsize > 2:
            common = dtype                         # numbers never change a floating type
        else:
            common, plain = common_dtype(inputs[len(cls.apart):]), False
        cls.check(common)
        kind = cls.result
        if kind == "float" and common.category != dtypes.FLOATING:
            common = dtypes.get_default_dtype()
        out_dtype = dtypes.bool_ if kind == "bool" else common
        arrays = [x._array if isinstance(x, Tensor) else x for x in inputs[:None if plain else len(cls.apart)]]
        for x in inputs[len(arrays):]:
            if not isinstance(x, Tensor):
                arrays.append(number_as(x, common))
            elif x._spec.backend is not backend:   # a 0-d CPU tensor takes part as a number
                arrays.append(number_as(x.item(), common))
            else:
                arrays.append(x._array if x._spec.dtype is common else backend.cast(x._array, common))
        if cls.cuda is None and not backend.native:
            out = detour(cls, backend, arrays, params)
        else:
            array = backend.elementwise(cls, arrays, params, shape, out_dtype)
            out = from_array(array, backend, out_dtype, result_names)
        if mode.grad and cls.differentiable and out_dtype.category == dtypes.FLOATING:
            record(cls, inputs, params, out, plain)
        return out


class Reduction(Op):
    """Many become one along `dims`: cpu(x, *, dims, keepdim), cuda = (combine, identity) or with a finish.

    `result` as for Elementwise, and "sum": integers and bools add up in int64.
    """
    result = None
    names = "drop"

    @classmethod
    def call(cls, x, *, dims, keepdim=False, dtype=None, **params):
        spec = x._spec
        backend = spec.backend
        found = dtype or spec.dtype
        if dtype is None and cls.result == "sum" and found.category != dtypes.FLOATING:
            found = dtypes.int64
        if cls.result == "bool":
            out_dtype, found = (dtypes.uint8 if found is dtypes.uint8 else dtypes.bool_), spec.dtype
        else:
            out_dtype = found
        array = x._array if found is spec.dtype else backend.cast(x._array, found)
        given = {**params, "dims": dims, "keepdim": keepdim}
        result_names = cls.name_result((x,), given)
        array = backend.reduce(cls, array, dims, keepdim, out_dtype, params)
        out = from_array(array, backend, out_dtype, result_names)
        if mode.grad and cls.differentiable and out_dtype.category == dtypes.FLOATING:
            record(cls, (x,), given, out, False)
        return out


# ---- the machinery of the general path
def public_name(cls):
    """torch's name of the function, or the one that its node's name stands for: IndexSelect -> index_select."""
    found = getattr(cls, "public", None)
    return found or re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\dD)(?=[A-Z])", "_", cls.__name__).lower()


def refused_names(op):
    """The error of an operation without a rule for names, about the function that the user called."""
    return RuntimeError(names.refuse(called(op, sys._getframe(2))))


def called(op, frame):
    """The function of ops that the user called: the outermost one on the stack, looking from `frame` outwards.

    It is `op` where no function that is known under its own name stands between the user and that op.
    """
    package = __package__.removesuffix("core")
    while frame is not None and frame.f_globals.get("__name__", "").startswith(package):
        name, home = frame.f_code.co_name, frame.f_globals
        known = frame.f_code in [getattr(f, "__code__", None) for f in (home.get(name), getattr(Tensor, name, None))]
        if known and not name.startswith("_") and home["__name__"].startswith(f"{package}ops."):
            op = name
        frame = frame.f_back
    return op


def check_operands(cls, inputs, tensors):
    """torch's TypeError for an operand that is neither a tensor nor a number that may stand there."""
    for place, x in enumerate(inputs):
        if isinstance(x, Tensor):
            continue
        may = cls.numbers != "none" and (place or cls.numbers != "second")
        if not (may and tensors and isinstance(x, (bool, int, float, np.generic))):
            raise refused_operand(cls, inputs, place)
        if isinstance(x, int) and not -2 ** 63 <= x < 2 ** 64:
            raise errors.too_big(x)


def refused_operand(cls, inputs, place, name=None):
    name = name or public_name(cls)
    kinds = ["Tensor" if isinstance(x, Tensor) else type(x).__name__ for x in inputs]
    method = isinstance(inputs[0], Tensor)         # what is called without a tensor in front is a function
    if cls.numbers in ("second", "overloads"):
        error = TypeError(f"{name}() received an invalid combination of arguments - got ({', '.join(kinds[method:])}), "
                          "but expected one of:\n * (Tensor input, Tensor other, *, Tensor out = None)\n"
                          " * (Tensor input, Number other, *, Tensor out = None)")
    else:
        argument = {"x": "input", "y": "other"}.get(cls.inputs[place], cls.inputs[place])
        error = TypeError(f"{name}(): argument '{argument}' (position {place + 1 - method}) must be Tensor, not "
                          f"{kinds[place]}")
    if method:
        error.counted_as_method = True
    return error


def common_backend(inputs):
    """The one backend of all operands; a 0-d CPU tensor may join any other."""
    found = None
    for x in inputs:
        if isinstance(x, Tensor):
            backend = x._spec.backend
            if found is None or found is CPU and backend is not CPU and not any(
                    isinstance(y, Tensor) and y._spec.backend is CPU and y._spec.shape for y in inputs):
                found = backend
            elif backend is not found and (backend is not CPU or x._spec.shape):
                raise errors.devices(*sorted((str(backend.device), str(found.device)), key=lambda d: d == "cpu"))
    return found


def common_dtype(inputs):
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    return dtypes.result_type([x._spec.dtype for x in tensors if x._spec.shape],
                              [x._spec.dtype for x in tensors if not x._spec.shape],
                              [dtypes.of_number(x) for x in inputs if not isinstance(x, Tensor)])


def number_as(value, dtype):
    """A Python number in the precision in which `dtype` computes; integers wrap around as in C."""
    if dtype.category == dtypes.FLOATING:
        return float(value)
    if dtype is dtypes.bool_:
        return np.bool_(value)
    return np.array(int(value) & (2 ** 64 - 1), np.uint64).astype(dtype.numpy)[()]


def run(cls, backend, arrays, params):
    if backend.native or has_kernel(cls, backend):
        return backend.run(cls, arrays, params)
    return detour(cls, backend, arrays, params)


def has_kernel(cls, backend):
    """Whether the backend can compute the op: by its scalar function, or because it knows the program named there."""
    return cls.cuda is not None and (not isinstance(cls.cuda, str) or hasattr(backend, "program"))


announced = set()


def detour(cls, backend, arrays, params):
    """An op without a kernel: through numpy and back. Said once per op."""
    if cls not in announced:
        announced.add(cls)
        warnings.warn(f"{public_name(cls)} has no {backend.device.type} kernel yet and computes on the "
                      "CPU", UserWarning, stacklevel=4)
    host = [a if a is None or isinstance(a, (bool, int, float, np.generic)) else backend.to_numpy(a) for a in arrays]
    results = CPU.run(cls, host, params)
    results = [np.asarray(r) for r in (results if cls.n_outputs > 1 else (results,))]
    back = [from_host(r, dtypes.from_numpy(r.dtype), backend) for r in results]
    return tuple(back) if cls.n_outputs > 1 else back[0]
