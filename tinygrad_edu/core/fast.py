"""The short path of elementwise ops: same dtype, same shape, same backend, nothing else to think of.

One closure per op instead of one walk through the general path: what an op saves and how its formulas read it is
known when it is defined. On small tensors the general path costs three times as much. Meaning is the same: the
tests compare both.
"""
from __future__ import annotations

import numpy as np

from ..backends import cpu
from . import dtypes, errors, tape
from .mode import mode
from .op import Elementwise, public_name
from .record import fresh_tensor, is_arithmetic
from .saved import FREED, OpNode, refuse_inference, stale
from .tape import next_number
from .tensor import Tensor, new

ndarray, asarray = np.ndarray, np.asarray
enter, leave, QUIET = cpu.enter, cpu.leave, cpu.QUIET


def short_path(op, operator=False):
    """The callable that users meet: the short path if it applies, else `op.call`.

    An operator leaves operands that it doesn't know to Python (NotImplemented); a function raises.
    """
    if not issubclass(op, Elementwise) or op.parameters or len(op.inputs) > 2:
        return op.call
    if len(op.inputs) == 1:
        return unary(op) if has_short_path(op) else op.call
    refuse = number_or_refuse if operator else number_or_raise
    return binary(op, refuse) if has_short_path(op) else known_operands(op, refuse)


def has_short_path(op):
    """Whether a float in means a float out: not for comparisons, nor for ops that refuse floats."""
    try:
        op.check(dtypes.float32)
    except (NotImplementedError, RuntimeError):
        return False
    return op.result in (None, "float")


def reader(op, name):
    """formula(g, values), where values = (x, y, out): the formula with its arguments picked out."""
    formula = op.formulas.get(name)
    if formula is None:
        return None, False, ()
    places = {n: i for i, n in enumerate(op.inputs)}
    places["out"] = 2
    picks = [places[w] for w in op.wanted[name]]
    if not picks:
        def read(g, values):
            return op.formulas[name](g)
    elif len(picks) == 1:
        i, = picks

        def read(g, values):
            return op.formulas[name](g, values[i])
    elif len(picks) == 2:
        i, j = picks

        def read(g, values):
            return op.formulas[name](g, values[i], values[j])
    else:
        def read(g, values):
            return op.formulas[name](g, *[values[i] for i in picks])
    return read, is_arithmetic(formula), picks


def bare(value):
    return value._array if isinstance(value, Tensor) else value


class ShortNode(OpNode):
    """The node of a short path: all inputs have one spec, so nothing has to be un-broadcast or cast."""
    __slots__ = ("x", "y", "x_version", "y_version", "spec")
    params = {}

    @property
    def specs(self):
        return (self.spec,) * len(self.edges)

    @property
    def values(self):
        return (self.x, self.y)

    @property
    def versions(self):
        return (self.x_version, self.y_version)

    def release(self):
        self.x = self.y = self.out = FREED


def finish(result, g, spec):
    """A gradient computed on bare arrays, as a tensor; g itself if the formula handed it through."""
    if result is g._array:
        return g
    if result.__class__ is not ndarray:
        result = asarray(result)
    if result.flags.c_contiguous:
        out = new(Tensor)
        out._array, out._spec = result, spec
        return out
    return fresh_tensor(result, spec)


def unary(op):
    general, program = op.call, op.cpu
    read, arithmetic, picks = reader(op, "x")
    keeps_x, keeps_out = 0 in picks, 2 in picks
    recorded = read is not None

    def backward(self, g):
        x, array = self.x, None
        if keeps_x:
            storage = x._storage_                  # FREED raises here
            if storage is not None and storage.version != self.x_version:
                raise stale(x, self.x_version)
        if keeps_out:
            array = self.out[0]
            storage = self.out_storage
            if storage is not None and storage.version != self.out_version:
                self.unpack_out()
        if arithmetic and not mode.grad:
            return finish(read(g._array, (x._array if keeps_x else None, None, array)), g, self.spec),
        return read(g, (x, None, self.unpack_out() if keeps_out else None)),

    node_class = type(op.node.__name__, (ShortNode,), {"__slots__": (), "op": op, "backward": backward})

    def call(input):
        try:
            spec = input._spec
        except AttributeError:
            return general(input)
        if not spec.fast:
            return general(input)
        token = enter(QUIET)
        array = program(input._array)
        leave(token)
        if array.__class__ is not ndarray:
            array = asarray(array)
        out = new(Tensor)
        out._array, out._spec = array, spec
        if mode.grad:
            if recorded:
                edge = input._edge
                if edge is None and input._requires_grad:
                    edge = input
                if edge is not None:
                    node = new(node_class)
                    node.edges, node.number, node.spec = (edge,), next_number(), spec
                    node.x = node.y = node.out = node.out_storage = None
                    if keeps_x:
                        if input._inference:
                            refuse_inference(input)
                        node.x, storage = input, input._storage_
                        node.x_version = 0 if storage is None else storage.version
                    if keeps_out:
                        node.out, node.out_version = (array, spec), 0
                    if tape.anomaly:
                        node.trace = tape.forward_trace()
                    out._edge = node
        elif mode.inference:
            out._inference = True
        return out

    call.__name__, call.__doc__ = public_name(op), op.__doc__
    return call


def known_operands(op, refuse):
    """The general path of a binary op, after a look at the other operand."""
    general = op.call

    def call(input, other):
        if isinstance(input, Tensor) and isinstance(other, (Tensor, bool, int, float)):
            return general(input, other)
        return refuse(general, input, other)

    call.__name__, call.__doc__ = public_name(op), op.__doc__
    return call


def binary(op, refuse):
    general, program = op.call, op.cpu
    read_x, arithmetic_x, picks_x = reader(op, "x" if "x" in op.inputs else op.inputs[0])
    read_y, arithmetic_y, picks_y = reader(op, op.inputs[1])
    x_for_x, y_for_x, out_for_x = 0 in picks_x, 1 in picks_x, 2 in picks_x
    x_for_y, y_for_y, out_for_y = 0 in picks_y, 1 in picks_y, 2 in picks_y
    keeps_out = out_for_x or out_for_y
    arithmetic = (arithmetic_x or read_x is None) and (arithmetic_y or read_y is None)
    recorded, takes_numbers = op.differentiable, op.numbers != "none"
    number_reads_out = out_for_x

    def backward(self, g):
        edge_x, edge_y = self.edges
        x, y, out = self.x, self.y, self.out
        if x is not None:
            storage = x._storage_                  # FREED raises here
            if storage is not None and storage.version != self.x_version:
                raise stale(x, self.x_version)
        if y is not None:
            storage = y._storage_
            if storage is not None and storage.version != self.y_version:
                raise stale(y, self.y_version)
        if out is not None:
            storage = self.out_storage
            if out is FREED or storage is not None and storage.version != self.out_version:
                self.unpack_out()
        if arithmetic and not mode.grad:
            values = (None if x is None else x._array, None if y is None else y._array, None if out is None else out[0])
            array = g._array
            return (finish(read_x(array, values), g, self.spec) if edge_x is not None else None,
                    finish(read_y(array, values), g, self.spec) if edge_y is not None else None)
        values = (x, y, None if out is None else self.unpack_out())
        return (read_x(g, values) if edge_x is not None else None), (read_y(g, values) if edge_y is not None else None)

    def number_backward(self, g):
        x, y, out = self.x, self.y, self.out
        if y is FREED:
            raise RuntimeError(errors.BACKWARD_TWICE)
        if x is not None:
            storage = x._storage_
            if storage is not None and storage.version != self.x_version:
                raise stale(x, self.x_version)
        if out is not None and self.out_storage is not None and self.out_storage.version != self.out_version:
            self.unpack_out()
        if arithmetic_x and not mode.grad:
            result = read_x(g._array, (None if x is None else x._array, y, None if out is None else out[0]))
            return finish(result, g, self.spec), None
        return read_x(g, (x, y, None if out is None else self.unpack_out())), None

    name = op.node.__name__
    node_class = type(name, (ShortNode,), {"__slots__": (), "op": op, "backward": backward})
    number_class = type(op.nodes[-1].__name__, (ShortNode,), {"__slots__": (), "op": op, "backward": number_backward})

    def with_number(x, number, spec):
        token = enter(QUIET)
        array = program(x._array, number)
        leave(token)
        if array.__class__ is not ndarray:
            array = asarray(array)
        out = new(Tensor)
        out._array, out._spec = array, spec
        if mode.grad:
            if read_x is not None:
                edge = x._edge
                if edge is None and x._requires_grad:
                    edge = x
                if edge is not None:
                    node = new(number_class)
                    node.edges, node.number, node.spec = (edge, None), next_number(), spec
                    node.x = node.y = node.out = node.out_storage = None
                    if x_for_x:
                        if x._inference:
                            refuse_inference(x)
                        node.x, storage = x, x._storage_
                        node.x_version = 0 if storage is None else storage.version
                    if y_for_x:
                        node.y = number
                    if number_reads_out:
                        node.out, node.out_version = (array, spec), 0
                    if tape.anomaly:
                        node.trace = tape.forward_trace()
                    out._edge = node
        elif mode.inference:
            out._inference = True
        return out

    def call(input, other):
        x, y = input, other
        try:
            spec = x._spec
            if y.__class__ is float or y.__class__ is int:
                return with_number(x, y, spec) if spec.fast and takes_numbers else general(x, y)
            if y._spec is not spec or not spec.fast:
                return general(x, y)
        except AttributeError:
            return refuse(general, x, y)
        token = enter(QUIET)
        array = program(x._array, y._array)
        leave(token)
        if array.__class__ is not ndarray:
            array = asarray(array)
        out = new(Tensor)
        out._array, out._spec = array, spec
        if mode.grad:
            if recorded:
                edge_x, edge_y = x._edge, y._edge
                if edge_x is None and x._requires_grad:
                    edge_x = x
                if edge_y is None and y._requires_grad:
                    edge_y = y
                if edge_x is not None or edge_y is not None:
                    node = new(node_class)
                    node.edges, node.number, node.spec = (edge_x, edge_y), next_number(), spec
                    node.x = node.y = node.out = node.out_storage = None
                    if x_for_x and edge_x is not None or x_for_y and edge_y is not None:
                        if x._inference:
                            refuse_inference(x)
                        node.x, storage = x, x._storage_
                        node.x_version = 0 if storage is None else storage.version
                    if y_for_x and edge_x is not None or y_for_y and edge_y is not None:
                        if y._inference:
                            refuse_inference(y)
                        node.y, storage = y, y._storage_
                        node.y_version = 0 if storage is None else storage.version
                    if keeps_out and (out_for_x and edge_x is not None or out_for_y and edge_y is not None):
                        node.out, node.out_version = (array, spec), 0
                    if tape.anomaly:
                        node.trace = tape.forward_trace()
                    out._edge = node
        elif mode.inference:
            out._inference = True
        return out

    call.__name__, call.__doc__ = public_name(op), op.__doc__
    return call


def number_or_refuse(general, x, y):
    """The operand is neither a tensor nor a plain number: numpy's numbers count, everything else is not ours."""
    y = plain_number(y)
    return general(x, y) if isinstance(y, (Tensor, bool, int, float)) else NotImplemented


def number_or_raise(general, x, y):
    """The same for functions: what is not ours is an error."""
    return general(plain_number(x), plain_number(y))


def plain_number(value):
    if isinstance(value, np.generic) or isinstance(value, ndarray) and not value.ndim:
        return value.item()
    return value
