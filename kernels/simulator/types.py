"""What numba calls the things a compiled kernel works with, and what a load and a store of them are.

It knows no kernel and no generated loop. Importing it imports numba: only what compiles may do so.

    argument_type((float32, 2, True))         memory of float32 with two dimensions, C order
    variable_types(serial, [...])["total"]    float32: what numba infers for a variable, all its assignments together

Three types are ours. `Memory` is numba's array but for its elements: an index counts from the start (a GPU has no
negative ones), and float16 and bfloat16, which numba can't compute with on a CPU, are float32 values that are rounded
when stored. `Table` is a tuple of any number of arrays, indexed by a number that is known only when the kernel runs.
`Slots` keeps one value a thread, of any type, while the thread waits for others.
"""
from __future__ import annotations

import functools
import operator

import numpy as np
from numba.core import cgutils, compiler, compiler_machinery, errors, registry, typed_passes, types
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.np import arrayobj, numpy_support

from .arithmetic import i32, i64, narrow, widen

HALVES = ("float16", "bfloat16")
HEAD = object.__basicsize__                         # in an array object data, dimensions, shape and strides follow it


# ---- the types
class Memory(types.Array):
    """Like numba's array. storage: None, or which 16-bit floats lie there."""

    def __init__(self, dtype, ndim, layout="C", readonly=False, aligned=True, storage=None):
        self.storage = storage
        super().__init__(dtype, ndim, layout, name=f"memory({storage or dtype}, {ndim}d, {layout})")

    @property
    def key(self):
        return self.dtype, self.ndim, self.layout, self.storage

    @property
    def mangling_args(self):
        return "Memory", [self.storage or self.dtype, self.ndim, self.layout]

    def copy(self, dtype=None, ndim=None, layout=None, readonly=None):
        ndim = self.ndim if ndim is None else ndim
        return Memory(dtype or self.dtype, ndim, layout or self.layout, storage=self.storage)

    @property
    def iterator_type(self):
        if self.storage:
            raise errors.TypingError(f"`for x in` an array of {self.storage}; write `for i in range(...)` and a[i]")
        return super().iterator_type

    def unify(self, typingctx, other):
        """The type of `a if condition else b`."""
        if isinstance(other, Memory) and self.key[:2] == other.key[:2] and self.storage == other.storage:
            return self.copy(layout=self.layout if self.layout == other.layout else "A")


class Table(types.Type):
    """A tuple of arrays of one type."""

    def __init__(self, memory):
        self.memory = memory
        super().__init__(f"table({memory})")


class Slots(types.Type):
    """One value for each thread of a block."""

    def __init__(self, value):
        self.value = value
        super().__init__(f"slots({value})")


@register_default(Memory)
class MemoryModel(models.StructModel):
    def __init__(self, manager, kind):
        element, sizes = types.uint16 if kind.storage else kind.dtype, types.UniTuple(types.intp, kind.ndim)
        super().__init__(manager, kind, [
            ("meminfo", types.MemInfoPointer(element)), ("parent", types.pyobject), ("nitems", types.intp),
            ("itemsize", types.intp), ("data", types.CPointer(element)), ("shape", sizes), ("strides", sizes)])


@register_default(Table)
class TableModel(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("data", types.CPointer(types.int64)), ("count", types.intp)])


@register_default(Slots)
class SlotsModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, manager.lookup(kind.value).get_data_type().as_pointer())


def number_type(dtype):
    """numba's number for an element or a scalar of this dtype."""
    return types.float32 if dtype.name in HALVES else numpy_support.from_dtype(dtype)


def memory_type(dtype, ndim, contiguous=True):
    storage = dtype.name if dtype.name in HALVES else None
    return Memory(number_type(dtype), ndim, "C" if contiguous else "A", storage=storage)


def argument_type(kind):
    """The type of a kernel's argument of this kind (compiled.kinds)."""
    if isinstance(kind, type):
        return number_type(np.dtype(kind))
    if kind and isinstance(kind[0], np.dtype):
        return memory_type(*kind)
    members = [argument_type(k) for k in kind]
    if members and isinstance(members[0], Memory) and len(set(members)) == 1:
        return Table(members[0])
    return types.UniTuple(members[0], len(members)) if len(set(members)) == 1 else types.Tuple(members)


# ---- loads and stores
def array_struct(context, builder, kind, data, shape, strides):
    """A value of type Memory."""
    array, size = arrayobj.make_array(kind)(context, builder), data.type.pointee
    arrayobj.populate_array(array, data=data, shape=shape, strides=strides, itemsize=i64(context.get_abi_sizeof(size)),
                            meminfo=None)
    return array._getvalue()


def element_pointer(context, kind):
    return context.get_value_type(types.CPointer(types.uint16 if kind.storage else kind.dtype))


def numpy_array(context, builder, kind, address):
    """The Memory that numpy's array object at this address describes."""
    def field(number, what):
        return builder.load(builder.inttoptr(builder.add(address, i64(HEAD + 8 * number)), what.as_pointer()))
    data, sizes = field(0, element_pointer(context, kind)), [field(2, i64.as_pointer()), field(3, i64.as_pointer())]
    shape, strides = [[builder.load(builder.gep(p, [i32(k)])) for k in range(kind.ndim)] for p in sizes]
    return array_struct(context, builder, kind, data, shape, strides)


def place(context, builder, kind, array, index_types, indices):
    """The address of an element: no wrapping around, and a check of the bounds where that is asked for."""
    indices = [context.cast(builder, i, t, types.intp) for i, t in zip(indices, index_types)]
    array = arrayobj.make_array(kind)(context, builder, array)
    shape, strides = [cgutils.unpack_tuple(builder, t, kind.ndim) for t in (array.shape, array.strides)]
    return cgutils.get_item_pointer2(context, builder, array.data, shape, strides, kind.layout, indices,
                                     wraparound=False, boundscheck=context.enable_boundscheck)


def element_index(kind, index):
    """The types of the indices if they are whole numbers, one for each dimension; otherwise None."""
    parts = index.types if isinstance(index, types.BaseTuple) else (index,)
    whole = all([isinstance(t, (types.Integer, types.Boolean)) for t in parts])
    return parts if whole and len(parts) == kind.ndim else None


def index_values(builder, index_type, index):
    return cgutils.unpack_tuple(builder, index) if isinstance(index_type, types.BaseTuple) else [index]


@lower_builtin(operator.getitem, Memory, types.Integer)
@lower_builtin(operator.getitem, Memory, types.BaseTuple)
def getitem(context, builder, sig, args):
    kind, index_type = sig.args
    parts = element_index(kind, index_type)
    if parts is None:                               # part of an array: numba's business
        several = isinstance(index_type, types.BaseTuple)
        numbas = arrayobj.getitem_array_tuple if several else arrayobj.getitem_arraynd_intp
        return numbas(context, builder, sig, args)
    address = place(context, builder, kind, args[0], parts, index_values(builder, index_type, args[1]))
    if kind.storage:
        return widen(builder, kind.storage, builder.load(address))
    return context.unpack_value(builder, kind.dtype, address)


@lower_builtin(operator.setitem, Memory, types.Any, types.Any)
def setitem(context, builder, sig, args):
    kind, index_type, value_type = sig.args
    parts = element_index(kind, index_type)
    if parts is None:
        if kind.storage:
            raise NotImplementedError("several elements of 16-bit floats at once")
        return arrayobj.setitem_array(context, builder, sig, args)
    address = place(context, builder, kind, args[0], parts, index_values(builder, index_type, args[1]))
    if kind.storage:
        builder.store(narrow(context, builder, kind.storage, value_type, args[2]), address)
    else:
        context.pack_value(builder, kind.dtype, context.cast(builder, args[2], value_type, kind.dtype), address)
    return context.get_dummy_value()


# ---- tables of arrays and slots of threads
@infer_global(operator.getitem)
class TableItem(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], Table) and isinstance(args[1], types.Integer):
            return signature(args[0].memory, args[0], types.intp)


@infer_global(len)
class TableLength(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], Table):
            return signature(types.intp, args[0])


@infer_global(operator.getitem)
class SlotsItem(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], Slots):
            return signature(args[0].value, args[0], types.intp)


@infer_global(operator.setitem)
class SetSlotsItem(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], Slots):
            return signature(types.none, args[0], types.intp, args[0].value)


@lower_builtin(operator.getitem, Table, types.intp)
def table_item(context, builder, sig, args):
    table = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
    inside = builder.icmp_unsigned("<", args[1], table.count)
    with cgutils.if_unlikely(builder, builder.not_(inside)):
        context.call_conv.return_user_exc(builder, IndexError, ("tuple index out of range",))
    return numpy_array(context, builder, sig.return_type, builder.load(builder.gep(table.data, [args[1]])))


@lower_builtin(len, Table)
def table_length(context, builder, sig, args):
    return cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0]).count


@lower_builtin(operator.getitem, Slots, types.intp)
def slots_item(context, builder, sig, args):
    return context.unpack_value(builder, sig.return_type, builder.gep(args[0], [args[1]]))


@lower_builtin(operator.setitem, Slots, types.intp, types.Any)
def set_slots_item(context, builder, sig, args):
    context.pack_value(builder, sig.args[2], args[2], builder.gep(args[0], [args[1]]))
    return context.get_dummy_value()


# ---- what numba infers
@functools.cache
def inference():
    """numba's compiler, stopped as soon as it knows the types."""
    @compiler_machinery.register_pass(mutates_CFG=False, analysis_only=True)
    class Stop(compiler_machinery.AnalysisPass):
        _name = "tinygrad_edu_stop_after_types"

        def __init__(self):
            super().__init__()

        def run_pass(self, state):
            raise compiler._EarlyPipelineCompletion(state.typemap)

    class Inference(compiler.CompilerBase):
        def define_pipelines(self):
            manager = compiler_machinery.PassManager("types")
            for step, text in compiler.DefaultPassBuilder.define_untyped_pipeline(self.state).passes:
                manager.add_pass(step, text)
            manager.add_pass(typed_passes.NopythonTypeInference, "infer types")
            manager.add_pass(Stop, "stop")
            manager.finalize()
            return [manager]
    return Inference


def variable_types(function, arguments, flags):
    """{variable: type} of a function called with arguments of these types."""
    target = registry.cpu_target
    found = {}
    typed = compiler.compile_extra(target.typing_context, target.target_context, function, tuple(arguments), None,
                                   flags, {}, pipeline_class=inference())
    for name, kind in typed.items():                # total, total.1, total.2: one variable, assigned three times
        found.setdefault(name.split(".")[0], []).append(types.unliteral(kind))
    return {name: target.typing_context.unify_types(*kinds) for name, kinds in found.items()}
