"""Four elements at a time: 16-byte loads and stores, which a GPU compiler never makes of four 4-byte ones.

An intrinsic has two forms: a few lines of Python, which say what it does and run in the simulator, and the instruction.
The address must divide by 16; a GPU stops the kernel where it doesn't.
"""
from __future__ import annotations

from .provider import Intrinsic


def load(p, i):
    """p[i], p[i + 1], p[i + 2], p[i + 3]"""
    return p[i], p[i + 1], p[i + 2], p[i + 3]


def store(p, i, a, b, c, d):
    """p[i] = a; p[i + 1] = b; p[i + 2] = c; p[i + 3] = d"""
    p[i] = a
    p[i + 1] = b
    p[i + 2] = c
    p[i + 3] = d


def address(context, builder, kind, value, index):
    """The address of element `index` of a pointer or an array, as one of four floats."""
    from llvmlite import ir
    from numba import types
    if isinstance(kind, types.Array):
        value = context.make_array(kind)(context, builder, value=value).data
    place = builder.gep(value, [index])
    return builder.bitcast(place, ir.PointerType(ir.VectorType(ir.FloatType(), 4), place.type.addrspace))


def gpu_load():
    from llvmlite import ir
    from numba import types
    from numba.cuda.extending import intrinsic

    @intrinsic
    def load4(typingctx, p, i):
        def codegen(context, builder, signature, args):
            words = builder.load(address(context, builder, signature.args[0], *args))
            words.align = 16
            parts = [builder.extract_element(words, ir.IntType(32)(k)) for k in range(4)]
            return context.make_tuple(builder, signature.return_type, parts)
        return types.UniTuple(types.float32, 4)(p, i), codegen
    return load4


def gpu_store():
    from llvmlite import ir
    from numba import types
    from numba.cuda.extending import intrinsic

    @intrinsic
    def store4(typingctx, p, i, a, b, c, d):
        def codegen(context, builder, signature, args):
            words = ir.Constant(ir.VectorType(ir.FloatType(), 4), ir.Undefined)
            for k in range(4):
                words = builder.insert_element(words, args[2 + k], ir.IntType(32)(k))
            place = address(context, builder, signature.args[0], args[0], args[1])
            builder.store(words, place).align = 16
            return context.get_dummy_value()
        number = types.float32
        return types.void(p, i, number, number, number, number), codegen
    return store4


load4 = Intrinsic("load4", load, gpu_load)
store4 = Intrinsic("store4", store, gpu_store)
