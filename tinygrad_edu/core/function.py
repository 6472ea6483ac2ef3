"""Function: an operation of your own, with torch's contract.

    class Exp(Function):
        @staticmethod
        def forward(ctx, x):  out = x.exp(); ctx.save_for_backward(out); return out
        @staticmethod
        def backward(ctx, g): out, = ctx.saved_tensors; return g * out

Nothing in this file knows an op. forward sees tensors with recording off; `ctx` is the node on the tape. Ops make the
same kind of node: one graph.
Source: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function
"""
from __future__ import annotations

import functools
import inspect
import warnings

from . import dtypes, errors, tape
from .saved import refuse_inference, stale, version_of
from .mode import mode, no_grad
from .tape import Node, Output, next_number
from .tensor import Tensor, bump, filled, receiver, view_of


class FunctionNode(Node):
    """The ctx of a Function's forward and backward, and its node."""
    # A user may set any attribute; those below belong to the contract.
    __slots__ = ("function", "to_save", "saved", "needs_input_grad", "dirty", "non_differentiable", "materialize_grads",
                 "input_specs", "output_specs", "_n_outputs", "saved_for_forward")

    n_outputs = property(lambda self: self._n_outputs)

    def save_for_backward(self, *tensors):
        """Keep tensors (inputs, outputs, or None) for backward, with a check that nobody writes to them."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError("save_for_backward can only save variables, but argument 0 is of type "
                                f"{type(tensor).__name__}")
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors):
        """Say which inputs forward modified in place; they must be returned."""
        self.dirty = tensors

    def mark_non_differentiable(self, *tensors):
        """Say which outputs have no gradient."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value):
        """Whether backward gets zeros (the default) or None for outputs that were not used."""
        self.materialize_grads = value

    @property
    def saved_tensors(self):
        if self.saved is None:
            raise RuntimeError(errors.BACKWARD_TWICE)
        return tuple(self._unpack(*entry) for entry in self.saved)

    def _unpack(self, tensor, version, number):
        if tensor is None:
            return None
        if version_of(tensor) != version:
            raise stale(tensor, version, *((self, number) if number is not None else ()))
        if number is not None:                     # an output: kept off the tape, put back on it now
            twin = tensor.detach()
            twin._edge = Output(self, number) if self._n_outputs > 1 else self
            return twin
        return tensor

    def backward(self, *grads):
        if self.materialize_grads:                 # an output that is no tensor has no gradient in any case
            grads = [filled(spec.shape, 0, spec.dtype, spec.backend) if g is None and spec is not None else g
                     for g, spec in zip(grads, self.output_specs)]
        results = self.function._derivative(self, *grads)
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        name, expected = self.name(), len(self.edges)
        while len(results) > expected and results[-1] is None:
            results.pop()
        if len(results) != expected:
            raise RuntimeError(f"function {name} returned an incorrect number of gradients (expected {expected}, got "
                               f"{len(results)})")
        for i, (grad, edge, spec) in enumerate(zip(results, self.edges, self.input_specs)):
            if grad is None:
                continue
            if not isinstance(grad, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(grad).__name__})\n"
                                   f"{name}.backward returned it as gradient number {i}")
            if spec is None:
                raise RuntimeError(f"function {name} returned a gradient different than None at position {i + 1}, but "
                                   "the corresponding forward input was not a Variable")
            if edge is not None:
                results[i] = _fitting(grad, spec, name, i)
        return results

    def release(self):
        self.saved = None


def _fitting(grad, spec, name, i):
    if grad._spec.shape != spec.shape:
        wide, target = grad._spec.shape, spec.shape
        lead = len(wide) - len(target)
        if lead < 0 or any(t != 1 and t != w for t, w in zip(target, wide[lead:])):
            raise RuntimeError(f"Function {name} returned an invalid gradient at index {i} - got {list(wide)} but "
                               f"expected shape compatible with {list(target)}")
        grad = grad.sum_to_size(target)
    if grad._spec.dtype is not spec.dtype:
        grad = grad.to(spec.dtype)
    if grad._spec.backend is not spec.backend:
        raise RuntimeError(f"Function {name} returned an invalid gradient at index {i} - expected device "
                           f"{spec.backend.device} but got {grad.device}")
    return grad


def once_differentiable(backward):
    """Decorates a backward that is not itself differentiable: differentiating it again raises."""
    @functools.wraps(backward)
    def wrapper(ctx, *grads):
        with no_grad():
            results = backward(ctx, *grads)
        if not mode.grad or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return results
        several = results if isinstance(results, tuple) else (results,)
        refused = tuple(None if r is None else _Refuse.apply(r.detach().requires_grad_()) if isinstance(r, Tensor)
                        else r for r in several)
        return refused if isinstance(results, tuple) else refused[0]
    return wrapper


class _Meta(type):
    """`Function` subclasses are called through `apply` only."""
    def __init__(cls, name, bases, body):
        super().__init__(name, bases, body)
        cls._node_class = None


class Function(metaclass=_Meta):
    """Subclass it with static methods `forward` and `backward` (and optionally `setup_context`); use `.apply`."""

    def __init__(self, *args, **kwargs):
        warnings.warn(f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you "
                      "should invoke them on the class itself. Instantiating an autograd function will raise an error "
                      "in a future version of PyTorch.",
                      DeprecationWarning, stacklevel=2)

    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx, *grads):
        raise NotImplementedError("You must implement either the backward or vjp method for your custom "
                                  "autograd.Function to use it with backward mode AD.")

    @classmethod
    def apply(cls, *args, **kwargs):
        """Run forward, and put it on the tape if an input requires a gradient."""
        if cls._node_class is None:
            cls._prepare()
        if kwargs or cls._separate and cls.forward.__defaults__:
            args = _positional(cls.forward, args, kwargs, skip=not cls._separate)
        ctx = cls._node_class.__new__(cls._node_class)
        ctx.function, ctx.to_save, ctx.saved, ctx.dirty, ctx.non_differentiable = cls, (), None, (), ()
        ctx.materialize_grads = True
        edges = tuple([receiver(a) if isinstance(a, Tensor) and a.is_floating_point() else None for a in args])
        ctx.needs_input_grad = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        recording = mode.grad and any(ctx.needs_input_grad)
        ctx.edges, ctx.number = edges, next_number()
        before, mode.grad = mode.grad, False
        try:
            if cls._separate:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args)
        finally:
            mode.grad = before
        outputs = result if isinstance(result, tuple) else (result,)
        ctx._n_outputs = len(outputs)
        dirty = {id(t) for t in ctx.dirty}
        _check_dirty(ctx, outputs, recording)
        for t in ctx.dirty:
            bump(t)
        outputs = _tie(ctx, args, outputs, dirty)
        if recording:
            _record(ctx, args, outputs, dirty)
        else:
            ctx.to_save = ()
        return outputs if isinstance(result, tuple) else outputs[0]

    @classmethod
    def _prepare(cls):
        """What is the same for all calls: the class of its nodes, its derivative, and how forward gets its ctx."""
        cls._node_class = type(f"{cls.__name__}Backward", (FunctionNode,), {})
        cls._separate = hasattr(cls, "setup_context")
        cls._derivative = staticmethod(cls.vjp if hasattr(cls, "vjp") else cls.backward)


def _positional(forward, args, kwargs, skip):
    """Arguments given by name, or not at all, at their places: each counts as an input."""
    signature = inspect.signature(forward)
    for name in kwargs:
        if name not in signature.parameters or signature.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(f"forward() got an unexpected keyword argument '{name}'")
    bound = signature.bind(*(None,) * skip, *args, **kwargs)
    bound.apply_defaults()
    return bound.args[skip:]


def _check_dirty(ctx, outputs, recording):
    """torch's refusals of tensors that were marked as modified."""
    for t in ctx.dirty:
        if all(t is not o for o in outputs):
            raise RuntimeError("Some elements marked as dirty during the forward method were not returned as output. "
                               "The inputs that are modified inplace must all be outputs of the Function.")
        if recording and t._edge is None and t.requires_grad:
            raise RuntimeError(errors.LEAF.replace("is being", "has been"))
        if recording and t._base is not None:
            t._check_view()
            if len(outputs) > 1:
                raise RuntimeError(
                    "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot "
                    "return more than one Tensor. This is not supported by the current autograd engine. You should "
                    "either make sure the input is not a view (using .clone() for example) or make your Function only "
                    "return one Tensor (potentially splitting it into two Functions: one doing the inplace that "
                    "returns a single Tensor and a second one that does the other operations). You can ask on the "
                    "forum https://discuss.pytorch.org/ if you need help to do this change.")


def _tie(ctx, args, outputs, dirty):
    """Outputs that are inputs come back as views of themselves, unless marked dirty."""
    inputs = {id(a) for a in args if isinstance(a, Tensor)}
    tied = []
    for o in outputs:
        if isinstance(o, Tensor) and id(o) in inputs and id(o) not in dirty:
            twin = view_of(o, o._spec.shape, o._spec.strides, o._offset, o._spec.names)
            for i, kept in enumerate(ctx.to_save):
                if kept is o and not any(kept is a for a in args):
                    ctx.to_save = ctx.to_save[:i] + (twin,) + ctx.to_save[i + 1:]
            o = twin
        tied.append(o)
    return tuple(tied)


def _record(ctx, args, outputs, dirty):
    ctx.input_specs = [a._spec if isinstance(a, Tensor) else None for a in args]
    ctx.output_specs = [o._spec if isinstance(o, Tensor) else None for o in outputs]
    if tape.anomaly:
        ctx.trace = tape.forward_trace()
    quiet = {id(t) for t in ctx.non_differentiable}
    saved = []
    for tensor in ctx.to_save:
        number = next((i for i, o in enumerate(outputs) if o is tensor), None) if tensor is not None else None
        if tensor is None:
            saved.append((None, 0, None))
            continue
        if tensor._inference:
            refuse_inference(tensor)
        kept = tensor.detach() if number is not None else tensor
        saved.append((kept, version_of(tensor), number))
    ctx.saved, ctx.to_save = saved, ()
    for number, o in enumerate(outputs):
        if not isinstance(o, Tensor) or id(o) in quiet or o._spec.dtype.category != dtypes.FLOATING:
            continue
        edge = Output(ctx, number) if ctx._n_outputs > 1 else ctx
        if id(o) in dirty:
            o._put_on_tape(edge, o._spec)
            continue
        o._edge, o._requires_grad = edge, False
        if o._base is not None:                    # in-place writes through it could not be followed
            o._view_of, o._edge_version = "function", version_of(o)


class _Refuse(Function):
    """The end of the road behind `once_differentiable`."""
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


__all__ = ["Function", "FunctionNode", "once_differentiable"]
