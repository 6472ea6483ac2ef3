"""Putting an op on the tape, and running its formulas backwards.

A node knows its op, what was saved for the formulas, and the specs of the inputs: un-broadcasting and casting a
gradient to what its input was happen here, once. No op mentions them.
"""
from __future__ import annotations

import numpy as np

from ..backends.summing import add_up
from . import dtypes, layout, tape
from .leaf import unreachable
from .mode import mode
from .saved import OpNode, refuse_inference, version_of
from .tape import next_number
from .tensor import Tensor, from_array, new, receiver


def record(cls, inputs, params, out, plain=False):
    """Put the op on the tape if an input wants its gradient, saving exactly what its formulas name."""
    edges = tuple([receiver(x) if isinstance(x, Tensor) and x._spec.dtype.category == dtypes.FLOATING else None
                   for x in inputs])
    wants = tuple([edge is not None for edge in edges])
    if True not in wants and not any([unreachable(x) for x in inputs if isinstance(x, Tensor)]):
        return
    node = new(cls.node if len(cls.nodes) == 1 else cls.nodes[which_is_number(inputs)])
    node.edges, node.number, node.params, node.plain = edges, next_number(), params, plain
    node.specs = tuple([x._spec if isinstance(x, Tensor) else None for x in inputs])
    kept, keeps_out = cls.keeping.get(wants) or what_to_keep(cls, wants)
    values, versions = [], []
    for x, keep in zip(inputs, kept):
        values.append(x if keep else None)
        if keep and isinstance(x, Tensor):
            if x._inference:
                refuse_inference(x)
            versions.append(version_of(x))
        else:
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
        return
    if keeps_out:                                  # several: their storages are made now, so that writes are noticed
        kept = cls.keeps or range(cls.n_outputs)
        node.out = tuple([(o._array, o._spec) if nr in kept else None for nr, o in enumerate(out)])
        node.out_storage = tuple([o._storage if nr in kept else None for nr, o in enumerate(out)])
    for number, o in enumerate(out):
        if o._spec.dtype.category == dtypes.FLOATING:
            o._edge = tape.Output(node, number)


def what_to_keep(cls, wants):
    """(for each input whether it is kept, whether the output is) if these inputs want gradients; noted down."""
    names = set(cls.saves)
    if cls.backward is None:
        for name, wanted in zip(cls.inputs, wants):
            if wanted:
                names.update(cls.wanted.get(name, ()))
    found = cls.keeping[wants] = tuple([name in names for name in cls.inputs]), "out" in names
    return found


def which_is_number(inputs):
    """0: none of the first two, 1: the first, 2: the second."""
    first, second = isinstance(inputs[0], Tensor), isinstance(inputs[1], Tensor)
    return 0 if first and second else 1 if second else 2


def sum_to_array(array, shape):
    """Undo a broadcast, on bare arrays."""
    lead = array.ndim - len(shape)
    if lead:
        array = np.asarray(add_up(array, tuple(range(lead))))
    dims = tuple([d for d, size in enumerate(shape) if size == 1 and array.shape[d] != 1])
    return np.asarray(add_up(array, dims, True)) if dims else array


def unnamed(saved):
    """What was saved, without names of dimensions: gradients have none."""
    if isinstance(saved, tuple):
        return tuple([unnamed(x) for x in saved])
    return saved.rename(None) if isinstance(saved, Tensor) and saved._spec.names is not None else saved


class FormulaNode(OpNode):
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
            out = unnamed(self.unpack_out())
        results = []
        for name, edge, spec in zip(op.inputs, self.edges, self.specs):
            formula = op.formulas.get(name) if edge is not None else None
            if formula is None:
                results.append(None)
                continue
            args = [self.look_up(want, values, out, spec) for want in op.wanted[name]]
            if bare and is_arithmetic(formula):
                results.append(self.on_arrays(formula, g, args, spec))
            else:
                results.append(fit(formula(g, *args), spec))
        return results

    def look_up(self, want, values, out, spec):
        """What a formula asks for by name."""
        if want == "out":
            return out
        if want == "shape":                        # of the input: costs nothing to keep
            return spec.shape
        if want in self.params:
            return self.params[want]
        return unnamed(values[self.op.inputs.index(want)])

    @staticmethod
    def on_arrays(formula, g, args, spec):
        """The same formula on bare arrays: nothing is recorded, so nobody needs tensors in between."""
        array = formula(g._array, *[a._array if isinstance(a, Tensor) else a for a in args])
        if array is g._array and g._spec.shape == spec.shape:
            return g
        array = np.asarray(array)
        return fresh_tensor(sum_to_array(array, spec.shape) if array.shape != spec.shape else array, spec)


class LongNode(OpNode):
    """Backward of an op in the long spelling: `backward(ctx, *gs)` returns one gradient per input."""
    __slots__ = ()
    fresh = False

    def backward(self, *grads):
        results = self.op.backward(self, *grads)
        results = results if isinstance(results, tuple) else (results,)
        return [fit(r, spec) if r is not None and edge is not None else None
                for r, spec, edge in zip(results, self.specs, self.edges)]

    def unpack_out(self):
        return unnamed(super().unpack_out())

    @property
    def saved(self):
        """The saved inputs, in order (None for those that are not in `saves`)."""
        return unnamed(tuple(self.unpack_inputs()))

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
    if grad._spec.dtype is not spec.dtype or grad._spec.backend is not spec.backend:
        grad = grad.to(device=spec.backend.device, dtype=spec.dtype)
    return grad


_arithmetic = {}
SHARED = {"T", "mT", "reshape"}                    # attributes that numpy's arrays have in the same meaning


def is_arithmetic(formula):
    """Whether a formula names nothing but its arguments (and SHARED): then bare arrays can be put in their place."""
    found = _arithmetic.get(formula)
    if found is None:
        code = formula.__code__
        found = _arithmetic[formula] = not code.co_freevars and SHARED.issuperset(code.co_names)
    return found
