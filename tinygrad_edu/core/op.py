"""Op: a primitive declared in one block -- its programs, and one derivative formula per input.

    @export("mul", "__mul__", inplace=True)
    class Mul(Elementwise):
        cpu    = np.multiply
        cuda   = lambda x, y: x * y
        grad_x = lambda g, y: g * y
        grad_y = lambda g, x: g * x

Forward sees arrays, backward sees tensors. The names of a formula's arguments (inputs, parameters, `out`) are
exactly what is saved for backward; `shape` is that of the input, for formulas that need no more. Un-broadcasting, promotion, devices and names of dimensions are handled here,
once; no op mentions them. `core.fast` holds the short path for operands about which nothing needs thought.
"""
from __future__ import annotations

import warnings

import numpy as np

from ..backends import CPU
from . import dtypes, errors, layout, names, tape
from .saved import OpNode, refuse_inference, version_of
from .tape import mode, next_number
from .tensor import Tensor, from_array, new, receiver

registry = {}                                      # public name -> Op class, or function of ops that need thought


def parameters_of(function):
    """(positional names, keyword-only names) of a Python function."""
    code = function.__code__
    count, more = code.co_argcount, code.co_kwonlyargcount
    return code.co_varnames[:count], code.co_varnames[count:count + more]


class Op:
    """A primitive. Subclass one of the families below, or this for an op with a program of its own.

    cpu, cuda          the same computation on numpy arrays and for the GPU: positional arguments are inputs,
                       keyword-only arguments are parameters. cuda = None: no kernel yet, a detour through numpy
    grad_<input>       the derivative with respect to one input: g first, then what it needs, by name
    backward(ctx, *gs) instead of formulas, for ops whose inputs' gradients share work
    n_outputs          how many tensors the program returns
    names              what becomes of names of dimensions: "keep", "unify", "drop", "none", a function, None (refuse)
    """
    cpu = cuda = None
    n_outputs = 1
    node_name = None
    names = None
    inputs = None
    saves_tensors = True
    backward = None                                # the long spelling

    def __init_subclass__(cls):
        program = cls.__dict__.get("cpu") or cls.__dict__.get("cuda")
        if program is None:
            return
        for key in ("cpu", "cuda", *(k for k in vars(cls) if k.startswith("grad_"))):
            value = cls.__dict__.get(key)
            if type(value) is type(parameters_of):     # plain functions, not methods of an instance
                setattr(cls, key, staticmethod(value))
        source = next((p for p in (cls.cpu, cls.cuda) if hasattr(p, "__code__")), None)
        if source is None:
            raise TypeError(f"{cls.__name__} needs a Python function as its cpu or its cuda program, to name its inputs")
        cls.inputs, cls.parameters = parameters_of(source)
        cls.formulas = {n: getattr(cls, f"grad_{n}") for n in cls.inputs if getattr(cls, f"grad_{n}", None) is not None}
        offered = cls.inputs + cls.parameters + ("out", "shape")
        for key in vars(cls):
            if key.startswith("grad_") and key[5:] not in cls.inputs:
                raise TypeError(f"{cls.__name__}.{key} is a formula for {key[5:]!r}; the inputs are {', '.join(cls.inputs)}")
        cls.wanted = {}
        for name, formula in cls.formulas.items():
            wanted = cls.wanted[name] = parameters_of(formula)[0][1:]
            for want in wanted:
                if want not in offered:
                    raise TypeError(f"{cls.__name__}.grad_{name} asks for {want!r}; it may ask for {', '.join(offered)}")
        cls.differentiable = bool(cls.formulas) or cls.backward is not None
        cls.node = type(cls.node_name or f"{cls.__name__}Backward0", (_LongNode if cls.backward else _FormulaNode,),
                        {"__slots__": (), "op": cls, "n_outputs": cls.n_outputs})

    # ---- forward
    @classmethod
    def call(cls, *inputs, **params):
        """Compute, and record: the general path, which every op can take."""
        backend = common_backend(cls, inputs)
        arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
        result_names = cls.name_result(inputs, params)
        result = run(cls, backend, arrays, params)
        if cls.n_outputs == 1:
            out = from_array(result, backend, names=result_names) if result.__class__ is not Tensor else result
            if mode.grad and cls.differentiable:
                record(cls, inputs, params, out)
            return out
        outs = tuple(from_array(r, backend, names=result_names) for r in result)
        if mode.grad and cls.differentiable:
            record(cls, inputs, params, outs)
        return outs

    @classmethod
    def name_result(cls, inputs, params):
        for x in inputs:
            if isinstance(x, Tensor) and x._spec.names is not None:
                break
        else:
            return None
        if cls.names is None:
            raise RuntimeError(names.refuse(cls.__name__.lower()))
        if cls.names == "none":
            return None
        found = [x._spec.names if x._spec.names is not None else (None,) * x.ndim for x in inputs if isinstance(x, Tensor)]
        if cls.names == "keep":
            return found[0]
        if cls.names == "unify":
            result = found[0]
            for other in found[1:]:
                result = names.unify(result, other)
            return result
        if cls.names == "drop":
            return names.drop(found[0], params["dims"], params["keepdim"])
        return cls.names(*found)


class Elementwise(Op):
    """One number in (or two, or three), one number out; broadcast, promoted.

    result   None: the promoted type; "float": at least the default float type; "bool"
    compute  a dtype category below which operands are raised before computing ("float")
    check    check(dtype): raises where torch refuses the promoted type
    """
    result = None
    names = "unify"

    @staticmethod
    def check(dtype):
        pass

    @classmethod
    def call(cls, *inputs, **params):
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        if not tensors:
            raise TypeError(f"{public_name(cls)}(): argument 'input' (position 1) must be Tensor, not {type(inputs[0]).__name__}")
        backend = common_backend(cls, inputs)
        spec = tensors[0]._spec
        shape, dtype, plain = spec.shape, spec.dtype, backend.native
        for x in tensors[1:]:
            if x._spec.shape != shape:
                shape = layout.broadcast_shapes(shape, x._spec.shape)
            if x._spec.dtype is not dtype:
                plain = False
        if plain and dtype.category == dtypes.FLOATING and dtype.itemsize > 2:
            common = dtype                         # numbers never change a floating type
        else:
            common, plain = common_dtype(inputs, tensors), False
        cls.check(common)
        kind = cls.result
        if kind == "float" and common.category != dtypes.FLOATING:
            common = dtypes.get_default_dtype()
        out_dtype = dtypes.bool_ if kind == "bool" else common
        arrays = []
        for x in inputs:
            if isinstance(x, Tensor):
                arrays.append(x._array if x._spec.dtype is common else backend.cast(x._array, common))
            else:
                arrays.append(number_as(x, common) if not plain else x)
        array = run_elementwise(cls, backend, arrays, params, shape, out_dtype)
        out = from_array(array, backend, out_dtype, cls.name_result(inputs, params))
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
    return getattr(cls, "public", cls.__name__.lower())


def common_backend(cls, inputs):
    """The one backend of all operands; a 0-d CPU tensor may join any other."""
    found = None
    for x in inputs:
        if isinstance(x, Tensor):
            backend = x._spec.backend
            if found is None:
                found = backend
            elif backend is not found:
                raise errors.devices(*sorted((str(backend.device), str(found.device)), key=lambda d: d == "cpu"))
    return found


def common_dtype(inputs, tensors):
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


def run_elementwise(cls, backend, arrays, params, shape, dtype):
    if cls.cuda is None and not backend.native:
        return detour(cls, backend, arrays, params)
    return backend.elementwise(cls, arrays, params, shape, dtype)


def run(cls, backend, arrays, params):
    if backend.native:
        return backend.run(cls, arrays, params)
    if cls.cuda is None:
        return detour(cls, backend, arrays, params)
    return backend.run(cls, arrays, params)


announced = set()


def detour(cls, backend, arrays, params):
    """An op without a kernel: through numpy and back. Said once per op."""
    if cls not in announced:
        announced.add(cls)
        warnings.warn(f"{public_name(cls)} has no {backend.device.type} kernel yet and computes on the CPU", UserWarning, stacklevel=4)
    host = [backend.to_numpy(a) if backend.layout_of is not None and not isinstance(a, (bool, int, float, tuple, list)) else a for a in arrays]
    results = CPU.run(cls, host, params)

    def back(array):
        array = np.ascontiguousarray(array)
        dtype = dtypes.from_numpy(array.dtype)
        return backend.as_array(backend.from_numpy(array, dtype), array.shape, layout.contiguous_strides(array.shape), 0, dtype)
    return tuple(map(back, results)) if cls.n_outputs > 1 else back(results)


def record(cls, inputs, params, out, plain=False):
    """Put the op on the tape if an input wants its gradient, saving exactly what its formulas name."""
    edges = tuple([receiver(x) if isinstance(x, Tensor) and x._spec.dtype.category == dtypes.FLOATING else None for x in inputs])
    for edge in edges:
        if edge is not None:
            break
    else:
        return
    node = new(cls.node)
    node.edges, node.number, node.params, node.plain = edges, next_number(), params, plain
    node.specs = tuple([x._spec if isinstance(x, Tensor) else None for x in inputs])
    if cls.backward is not None:
        keep = cls.saves
        keeps_out = "out" in keep
    else:
        keep, keeps_out = set(), False
        for name, edge in zip(cls.inputs, edges):
            if edge is not None:
                wanted = cls.wanted.get(name, ())
                keep.update(wanted)
                keeps_out = keeps_out or "out" in wanted
    values, versions = [], []
    for name, x in zip(cls.inputs, inputs):
        if name in keep:
            values.append(x)
            if isinstance(x, Tensor):
                if x._inference:
                    refuse_inference(x)
                versions.append(version_of(x))
                continue
        else:
            values.append(None)
        versions.append(0)
    node.values, node.versions = values, versions
    node.out = node.out_storage = None
    node.out_version = 0
    if tape.anomaly:
        node.trace = tape.forward_trace()
    if cls.n_outputs == 1:
        if keeps_out:
            node.out = out._array, out._spec
        out._edge = node
    else:
        if keeps_out:
            node.out = tuple((o._array, o._spec) for o in out)
        for number, o in enumerate(out):
            if o._spec.dtype.category == dtypes.FLOATING:
                o._edge = tape.Output(node, number)


def sum_to_array(array, shape):
    """Undo a broadcast, on bare arrays."""
    lead = array.ndim - len(shape)
    if lead:
        array = array.sum(axis=tuple(range(lead)))
    dims = tuple([d for d, size in enumerate(shape) if size == 1 and array.shape[d] != 1])
    return np.asarray(array.sum(axis=dims, keepdims=True) if dims else array)


class _FormulaNode(OpNode):
    """Backward of an op with one formula per input."""
    __slots__ = ()

    def backward(self, *grads):
        op, values = self.op, self.unpack_inputs()
        if grads[0] is None:
            return (None,) * len(self.edges)
        bare = self.plain and not mode.grad
        g = grads[0]
        out = None
        if self.out is not None:
            out = self.unpack_out()
        results = []
        token = CPU_enter() if bare else None
        try:
            for name, edge, spec in zip(op.inputs, self.edges, self.specs):
                formula = op.formulas.get(name) if edge is not None else None
                if formula is None:
                    results.append(None)
                    continue
                args = []
                for want in op.wanted[name]:
                    if want == "out":
                        args.append(out)
                    elif want == "shape":          # of the input: costs nothing to keep
                        args.append(spec.shape)
                    elif want in self.params:
                        args.append(self.params[want])
                    else:
                        args.append(values[op.inputs.index(want)])
                if bare and is_arithmetic(formula):
                    array = formula(g._array, *[a._array if isinstance(a, Tensor) else a for a in args])
                    if array is g._array and g._spec.shape == spec.shape:
                        results.append(g)
                        continue
                    if array.__class__ is not np.ndarray:
                        array = np.asarray(array)
                    if array.shape != spec.shape:
                        array = sum_to_array(array, spec.shape)
                    results.append(fresh_tensor(array, spec))
                else:
                    results.append(fit(formula(g, *args), spec))
        finally:
            if token is not None:
                CPU_leave(token)
        return results


class _LongNode(OpNode):
    """Backward of an op in the long spelling: `backward(ctx, *gs)` returns one gradient per input."""
    __slots__ = ()

    def backward(self, *grads):
        results = self.op.backward(self, *grads)
        results = results if isinstance(results, tuple) else (results,)
        return [fit(r, spec) if r is not None and edge is not None else None
                for r, spec, edge in zip(results, self.specs, self.edges)]

    @property
    def saved(self):
        """The saved inputs, in order (None for those that are not in `saves`)."""
        return self.unpack_inputs()

    @property
    def needs_input_grad(self):
        return tuple(edge is not None for edge in self.edges)


def fresh_tensor(array, spec):
    """A gradient tensor over a fresh array, with the input's own spec object where that fits."""
    if spec.contiguous and spec.names is None and array.flags.c_contiguous and array.dtype == spec.dtype.numpy:
        out = new(Tensor)
        out._array = array
        out._spec = spec if spec.fast else layout.spec(spec.dtype, spec.shape, spec.backend)
        return out
    if array.dtype != spec.dtype.numpy:
        array = array.astype(spec.dtype.numpy)
    return from_array(array, spec.backend)


def fit(grad, spec):
    """A gradient brought to the shape and dtype of the input that it is for; gradients are unnamed."""
    if grad._spec.names is not None:
        grad = grad.rename(None)
    if grad._spec.shape != spec.shape:
        grad = grad.sum_to_size(spec.shape)
    if grad._spec.dtype is not spec.dtype:
        grad = grad.to(spec.dtype)
    return grad


_arithmetic = {}


def is_arithmetic(formula):
    """Whether a formula names nothing but its arguments: then bare arrays can be put in their place."""
    found = _arithmetic.get(formula)
    if found is None:
        code = formula.__code__
        found = _arithmetic[formula] = not code.co_names and not code.co_freevars and "is_" not in code.co_names
    return found


def CPU_enter():
    from ..backends import cpu
    return cpu.enter(cpu.QUIET)


def CPU_leave(token):
    from ..backends import cpu
    cpu.leave(token)


# ---- how ops reach the public
def export(*public, inplace=False, out=True):
    """Attach an op, or a function around ops, to Tensor and to the registry of torch's functions.

    `name` is a method and a function, `__name__` an operator (its reflected twin is attached too where Python has
    one), `.name` a method only, `name()` a function only. `inplace=True` asks for the twin `name_`.
    """
    def attach(target):
        function = target
        if isinstance(target, type):
            target.public = next((n.strip("._()") for n in public), target.__name__.lower())
            from . import fast
            function = fast.short_path(target)
        for name in public:
            if name.startswith("__"):
                setattr(Tensor, name, function)
                reflected = "__r" + name[2:]
                if name in REFLECTED:
                    setattr(Tensor, reflected, _reflect(target, function))
            elif name.endswith("()"):
                registry[name[:-2]] = target
                functions[name[:-2]] = function
            else:
                setattr(Tensor, name.lstrip("."), function)
                if not name.startswith("."):
                    registry[name] = target
                    functions[name] = function
        if inplace:
            for name in public:
                if not name.endswith("()"):
                    inplace_twins[name.lstrip(".")] = (target, function)
        return target
    return attach


REFLECTED = {"__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__", "__and__", "__or__", "__xor__",
             "__lshift__", "__rshift__", "__matmul__"}
functions = {}                                     # public name -> what `tinygrad_edu.<name>` is
inplace_twins = {}                                 # name -> (op or function, callable): ops.inplace makes `name_` of it


def _reflect(target, function):
    general = target.call if isinstance(target, type) else function

    def reflected(self, other):
        if not isinstance(other, (Tensor, bool, int, float, np.generic)):
            return NotImplemented
        return general(other.item() if isinstance(other, np.generic) else other, self)
    return reflected
