"""The short path of elementwise ops: same dtype, same shape, same backend, nothing else to think of.

What an op saves and how its formulas read it is known when it is defined, so forward and backward are written as Python
source without loops, dictionaries or branches that can't be taken: at the op's first call, as that takes about a
millisecond. On small tensors the general path costs four times as much. Meaning is the same: the tests compare both.
`print(source_of(Mul))` shows what is written; tracebacks do, too.
"""
from __future__ import annotations

import linecache
from types import FunctionType

import numpy as np

from ..backends import cpu
from . import dtypes, errors, tape
from .mode import mode
from .op import Elementwise, public_name
from .record import fresh_tensor, is_arithmetic
from .saved import FREED, OpNode, refuse_inference, stale
from .tape import next_number
from .tensor import Tensor, new


def short_path(op, operator=False):
    """The callable that users meet: the short path if it applies, else `op.call`.

    An operator leaves operands that it doesn't know to Python (NotImplemented); a function raises.
    """
    if not issubclass(op, Elementwise) or op.parameters or len(op.inputs) > 2:
        return op.call
    refuse = number_or_refuse if operator else number_or_raise
    if has_short_path(op):
        return written_at_first_call(op, refuse)
    return general_path(op) if len(op.inputs) == 1 else known_operands(op, refuse)


def has_short_path(op):
    """Whether a float in means a float out: not for comparisons, nor for ops that refuse floats."""
    try:
        op.check(dtypes.float32)
    except (NotImplementedError, RuntimeError):
        return False
    return op.result in (None, "float")


MISSING = object()                                 # what `other` is where a call leaves it out


def unwritten(input, other):
    write()                                        # noqa: F821  (found in the function's own namespace, as is `call`)
    return call(input, other)                      # noqa: F821


def unwritten_unary(input):
    write()                                        # noqa: F821
    return call(input)                             # noqa: F821


def written_at_first_call(op, refuse):
    """A function that writes its own code when it is first called: it stays one object, under all its names."""
    namespace = {}
    template, defaults = (unwritten_unary, None) if len(op.inputs) == 1 else (unwritten, (MISSING,))
    call = FunctionType(template.__code__, namespace, public_name(op), defaults)
    call.__doc__, call.__qualname__, namespace["call"] = op.__doc__, public_name(op), call

    def write():
        source, name = source_of(op), f"<short path of {op.__name__}>"
        linecache.cache[name] = len(source), None, source.splitlines(True), name
        namespace.update(TOOLS, op=op, general=op.call, refuse=refuse, program=op.cpu, formulas=op.formulas)
        exec(compile(source, name, "exec"), namespace)
        call.__code__, namespace["call"] = namespace["call"].__code__, call
    namespace["write"] = write
    return call


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


def finish(result, spec):
    """A gradient computed on bare arrays, as a tensor."""
    result = np.asarray(result)
    if not result.flags.c_contiguous:
        return fresh_tensor(result, spec)
    out = new(Tensor)
    out._array, out._spec = result, spec
    return out


# ---- writing the source
FORWARD = """\
    token = enter(QUIET)
    array = program({arrays})
    leave(token)
    if array.__class__ is not ndarray:
        array = asarray(array)
{check}    out = new(Tensor)
    out._array, out._spec = array, spec
{record}    if mode.inference:
        out._inference = True
    return out
"""
CHECK = """\
    if array.dtype is not spec.dtype.numpy:        # a program in Python may leave the type; ufuncs don't
        array = array.astype(spec.dtype.numpy)
"""
CALL = """\
def call(input, other):
    try:
        spec = input._spec
        if other.__class__ is float or other.__class__ is int and {least} <= other < {most}:
            return {number}
        if other._spec is not spec or not spec.fast:
            return general(input, other)
    except AttributeError:
        return refuse(general, input, other)
"""
CALL_UNARY = """\
def call(input):
    try:
        spec = input._spec
    except AttributeError:
        return general(input)
    if not spec.fast:
        return general(input)
"""


def source_of(op):
    """The Python source of an op's short path: its node's class and the functions that make it."""
    if len(op.inputs) == 1:
        return node_class("Node", op, "0", ["input"]) + CALL_UNARY + forward(op, "Node", ["input"])
    number = op.numbers != "none"
    parts = [node_class("Node", op, "0", ["input", "other"])]
    chosen = "general(input, other)"
    if number:
        parts += [node_class("NumberNode", op, "-1", ["input", None]),
                  "def with_number(input, other, spec):\n", forward(op, "NumberNode", ["input", None])]
        chosen = "with_number(input, other, spec) if spec.fast else " + chosen
    call = CALL.format(number=chosen, least=-2 ** 63, most=2 ** 64)
    return "".join([*parts, call, forward(op, "Node", ["input", "other"])])


def readers(op, operands):
    """Per slot (x, y, out): the places of the inputs whose formulas read it, of those that are tensors."""
    slots = dict(zip(op.inputs, "xy"), out="out")
    found = {"x": [], "y": [], "out": []}
    for place, (name, operand) in enumerate(zip(op.inputs, operands)):
        for want in op.wanted.get(name, ()) if operand else ():
            if want in slots and place not in found[slots[want]]:
                found[slots[want]].append(place)
    return found


def differentiable(op, operands):
    return [place for place, (name, operand) in enumerate(zip(op.inputs, operands)) if operand and name in op.formulas]


def forward(op, node, operands):
    """The body of a call: compute, wrap, and put a node on the tape if an operand wants a gradient."""
    places, reads = differentiable(op, operands), readers(op, operands)
    arrays = ", ".join(f"{o}._array" if o else "other" for o in operands)
    check = "" if isinstance(op.cpu, np.ufunc) else CHECK
    if not places:
        return FORWARD.format(arrays=arrays, check=check, record="")
    lines = []
    for place in places:
        operand = operands[place]
        lines += [f"edge{place} = {operand}._edge",
                  f"if edge{place} is None and {operand}._requires_grad:", f"    edge{place} = {operand}"]
    edges = ", ".join(f"edge{place}" if place in places else "None" for place in range(len(operands)))
    lines += ["if " + " or ".join(f"edge{place} is not None" for place in places) + ":"]
    record = [f"node = new({node})", f"node.edges, node.number, node.spec = ({edges},), next_number(), spec"]
    for slot, operand in zip("xy", (*operands, None)):
        if not reads[slot]:
            continue
        if slot == "y" and operand is None:
            record += ["node.y, node.y_version = other, 0"]
        else:
            record += guarded(f"node.{slot}", reads[slot], places, [
                f"if {operand}._inference:", f"    refuse_inference({operand})", f"storage = {operand}._storage_",
                f"node.{slot} = {operand}", f"node.{slot}_version = 0 if storage is None else storage.version"])
    if reads["out"]:
        record += ["node.out_storage = None"]
        record += guarded("node.out", reads["out"], places, ["node.out, node.out_version = (array, spec), 0"])
    record += ["if anomaly:", "    node.trace = forward_trace()", "out._edge = node"]
    lines += ["    " + line for line in record]
    lines = ["if mode.grad:", *["    " + line for line in lines], "    return out"]
    return FORWARD.format(arrays=arrays, check=check, record="".join(f"    {line}\n" for line in lines))


def guarded(slot, readers, places, lines):
    """Save only what the formulas of inputs that want a gradient read."""
    if readers == places:
        return lines
    condition = " or ".join(f"edge{place} is not None" for place in readers)
    return [f"if {condition}:", *["    " + line for line in lines], "else:", f"    {slot} = None"]


def node_class(name, op, which, operands):
    """The node with its backward: the checks, the formulas on bare arrays, or on tensors if they are recorded."""
    places, reads = differentiable(op, operands), readers(op, operands)
    saved = [slot for slot in reads if reads[slot]]
    forget = " = ".join([*[f"self.{slot}" for slot in saved], "FREED"]) if saved else "pass"
    lines = [f"class {name}(ShortNode):", "    __slots__ = ()",
             *[f"    {slot} = None" for slot in reads if not reads[slot]],
             "    def release(self):", f"        {forget}", "    def backward(self, g):"]
    body = [f"{slot} = self.{slot}" for slot in saved]
    if len(places) > 1:
        body += ["edge0, edge1 = self.edges"]
    for slot, operand in zip("xy", (*operands, None)):
        if reads[slot] and operand:
            body += [f"if {slot} is not None:", f"    storage = {slot}._storage_        # what was freed raises here",
                     f"    if storage is not None and storage.version != self.{slot}_version:",
                     f"        raise stale({slot}, self.{slot}_version)"]
        elif reads[slot]:
            body += [f"if {slot} is FREED:", "    raise RuntimeError(BACKWARD_TWICE)"]
    if reads["out"]:
        body += ["if out is not None:", "    storage = self.out_storage",
                 "    if out is FREED or storage is not None and storage.version != self.out_version:",
                 "        self.unpack_out()"]
    if all(is_arithmetic(op.formulas[op.inputs[place]]) for place in places):
        body += ["if not mode.grad:", *["    " + line for line in on_arrays(op, operands, places, reads)]]
    if reads["out"]:
        body += ["if out is not None:", "    out = self.unpack_out()"]
    results = [formula(op, place, "g", "{}") if place in places else "None" for place in range(len(operands))]
    if len(places) > 1:
        results = [f"{result} if edge{place} is not None else None" for place, result in enumerate(results)]
    body += [f"return {', '.join(results)},"]
    lines += ["        " + line for line in body]
    tail = [f"{name}.__name__ = {name}.__qualname__ = op.nodes[{which}].__name__", f"{name}.op = op", ""]
    return "\n".join([*lines, *tail]) + "\n"


def formula(op, place, g, value):
    """The call of an input's formula, with what it asks for by name."""
    name = op.inputs[place]
    slots = dict(zip(op.inputs, "xy"), out="out")
    wanted = ["self.spec.shape" if want == "shape" else value.format(slots[want]) for want in op.wanted[name]]
    return f"formulas[{name!r}]({', '.join([g, *wanted])})"


def on_arrays(op, operands, places, reads):
    """The formulas on bare arrays, as nothing is recorded; results of one layout need no look at their strides."""
    lines = ["array, spec = g._array, self.spec"]
    for slot, operand in zip("xy", (*operands, None)):
        if reads[slot] and operand:
            lines += [f"if {slot} is not None:", f"    {slot} = {slot}._array"]
    if reads["out"]:
        lines += ["if out is not None:", "    out = out[0]"]
    lines += ["plain = g._spec is spec"]
    for place in places:
        body = [f"result = {formula(op, place, 'array', '{}')}", "if result is array:", f"    grad{place} = g",
                "elif plain and result.__class__ is ndarray:", f"    grad{place} = new(Tensor)",
                f"    grad{place}._array, grad{place}._spec = result, spec",
                "else:", f"    grad{place} = finish(result, spec)"]
        if len(places) > 1:
            body = [f"grad{place} = None", f"if edge{place} is not None:", *["    " + line for line in body]]
        lines += body
    results = [f"grad{place}" if place in places else "None" for place in range(len(operands))]
    return [*lines, f"return {', '.join(results)},"]


TOOLS = {"ndarray": np.ndarray, "asarray": np.asarray, "new": new, "Tensor": Tensor, "mode": mode, "FREED": FREED,
         "anomaly": tape.anomaly, "forward_trace": tape.forward_trace, "next_number": next_number, "enter": cpu.enter,
         "leave": cpu.leave, "QUIET": cpu.QUIET, "stale": stale, "refuse_inference": refuse_inference,
         "finish": finish, "ShortNode": ShortNode, "BACKWARD_TWICE": errors.BACKWARD_TWICE}


# ---- operands that are neither tensors of one kind nor plain numbers
def general_path(op):
    """`op.call` as a function, which can be a method."""
    general = op.call

    def call(input):
        return general(input)

    call.__name__ = call.__qualname__ = public_name(op)
    call.__doc__ = op.__doc__
    return call


def known_operands(op, refuse):
    """The general path of a binary op, after a look at the other operand."""
    general = op.call

    def call(input, other=MISSING):
        if isinstance(input, Tensor) and isinstance(other, (Tensor, bool, int, float)):
            return general(input, other)
        return refuse(general, input, other)

    call.__name__ = call.__qualname__ = public_name(op)
    call.__doc__ = op.__doc__
    return call


def number_or_refuse(general, x, y):
    """The operand is neither a tensor nor a plain number: numpy's numbers count, everything else is not ours.

    Not even numpy's arrays: it takes them itself, and `__array_wrap__` makes a tensor of the result.
    """
    y = y.item() if isinstance(y, np.generic) else y
    return general(x, y) if isinstance(y, (Tensor, bool, int, float)) else NotImplemented


def number_or_raise(general, x, y):
    """The same for functions: what is not ours is an error."""
    if y is MISSING:
        raise errors.missing(public_name(general.__self__), ["other"])
    return general(plain_number(x), plain_number(y))


def plain_number(value):
    if isinstance(value, np.generic) or isinstance(value, np.ndarray) and not value.ndim:
        return value.item()
    return value
