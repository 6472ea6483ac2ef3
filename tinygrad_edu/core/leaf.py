"""A tensor's place on the tape: the edge it hangs on, and what it does when gradients arrive.

Nothing in this file knows what memory looks like: it copies through `_copied` and adds through `_add_into`.
"""
from __future__ import annotations

import threading
import warnings
import weakref

from . import tape
from .mode import mode
from .tape import Handle, Output, output_of

_accumulating = threading.RLock()                  # threads may share a leaf


class OnTape:
    """The part of Tensor that the tape and the users of gradients see."""

    number = 0                                     # tells the tape that this is a leaf, not a node
    _base = None                                   # of a view: the tensor that it is a view of, never itself a view
    _edge = None                                   # where a gradient for this tensor must be sent
    _edge_version = 0                              # of a view: the storage's version when `_edge` was made
    _view_of = None                                # of a view: how it was made, if that forbids in-place
    _requires_grad = False                         # of a leaf
    _grad = None
    _hooks = None                                  # of a leaf: {id: hook}
    _post_hooks = None
    _retains = False
    _inference = False

    @property
    def requires_grad(self):
        return self._requires_grad or self._edge is not None or self._base is not None and self._base.requires_grad

    @requires_grad.setter
    def requires_grad(self, flag):
        flag = bool(flag)
        if self._edge is not None:
            if flag:
                return
            raise RuntimeError("you can only change requires_grad flags of leaf variables. If you want to use a "
                               "computed variable in a subgraph that doesn't require differentiation use var_no_grad "
                               "= var.detach().")
        if flag and not self.is_floating_point():
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if flag and self._inference and not mode.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        self._requires_grad = flag

    def requires_grad_(self, requires_grad=True):
        """Say whether operations on this leaf shall be recorded."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self):
        return edge_of(self) is None

    @property
    def grad_fn(self):
        edge = edge_of(self)
        return edge.node if edge.__class__ is Output else edge

    output_nr = property(lambda self: self._edge.nr if self._edge.__class__ is Output else 0)
    retains_grad = property(lambda self: self._retains)

    @property
    def grad(self):
        """The gradient that `backward` accumulated here, or None."""
        if self._grad is None and not self._retains and edge_of(self) is not None:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute "
                "won't be populated during autograd.backward(). If you indeed want the .grad field to be populated "
                "for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor "
                "by mistake, make sure you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 "
                "for more information.", UserWarning,
                stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            if not isinstance(value, OnTape):
                raise TypeError("assigned grad expected to be a Tensor or None but got grad of type "
                                f"{type(value).__name__}")
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value.dtype is not self.dtype:
                raise RuntimeError(
                    "attempting to assign a gradient with dtype "
                    f"'{SCALAR_NAMES.get(value.dtype.name, value.dtype.name)}' to a tensor with grad_dtype "
                    f"'{self.dtype.legacy_name}'. The gradient must match the tensor's grad_dtype (defaults to the "
                    "tensor's dtype). You can set the tensor's grad_dtype attribute with a specific dtype, or None to "
                    "allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its gradient "
                    "may break downstream systems that assume they match.")
            if value.device != self.device:
                raise RuntimeError(f"attempting to assign a gradient with device type '{value.device.type}' to a "
                                   f"tensor with device type '{self.device.type}'. Please ensure that the gradient and "
                                   "the tensor are on the same device")
            if value.shape != self.shape:
                raise RuntimeError(f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of size "
                                   f"'{list(self.shape)}'. Please ensure that the gradient and the tensor are the same "
                                   "size")
        self._grad = value

    @grad.deleter
    def grad(self):
        self._grad = None

    def retain_grad(self):
        """Keep the gradient of this non-leaf in `.grad`."""
        edge = edge_of(self)
        if edge is None:
            if not self.requires_grad:
                raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
            return
        if self._retains:
            return
        self._retains = True
        owner = weakref.ref(self)

        def keep(grad):
            tensor = owner()
            if tensor is not None and tensor._grad is not None:
                tensor._grad = tensor._grad + grad
            elif tensor is not None:
                tensor._grad = grad if mode.grad else grad._copied()
        node, nr = output_of(edge)
        node.watch().retain[nr] = keep

    def register_hook(self, hook):
        """`hook(grad)` is called with this tensor's gradient and may return another. Returns a handle."""
        edge = edge_of(self)
        if edge is None:
            if not self.requires_grad:
                raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
            if self._hooks is None:
                self._hooks = {}
            return Handle(self._hooks, hook)
        node, nr = output_of(edge)
        return Handle(node.watch().tensor.setdefault(nr, {}), hook)

    def register_post_accumulate_grad_hook(self, hook):
        """`hook(tensor)` is called after a gradient was added to this leaf's `.grad`. Returns a handle."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if edge_of(self) is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if self._post_hooks is None:
            self._post_hooks = {}
        return Handle(self._post_hooks, hook)

    # ---- what the tape asks of a leaf
    def hooked(self, grad):
        return tape.run_tensor_hooks(self._hooks, grad) if self._hooks else grad

    def accumulate(self, grad, fresh):
        """Add to `.grad`; the first time it becomes `.grad`, copied unless nobody else can hold its memory."""
        if self._edge is not None:
            raise RuntimeError("leaf variable has been moved into the graph interior")
        if not self._requires_grad:                # no longer: `requires_grad_(False)` or `detach_()` since forward
            return
        if self._hooks:
            grad, fresh = tape.run_tensor_hooks(self._hooks, grad), False
        with _accumulating:
            held = self._grad
            if held is None:
                if mode.grad:
                    self._grad = grad.clone()
                elif fresh and grad._spec is self._spec:
                    self._grad = grad
                else:
                    self._grad = grad._copied(like=self)
            elif mode.grad:
                self._grad = held + grad
            else:
                held._add_into(grad)
        if self._post_hooks:
            for hook in list(self._post_hooks.values()):
                if hook(self) is not None:
                    raise RuntimeError("Tensor post accumulate grad hooks should return None.")


SCALAR_NAMES = {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
                "int64": "long int", "int32": "int",
                "int16": "short int", "int8": "signed char",
                "uint8": "unsigned char"}      # C++'s, which torch's sentence has


def kind_of(x):
    """torch's old name for a tensor's type: 'torch.FloatTensor'."""
    place = "" if x.is_cpu else f"{x.device.type}."
    return f"torch.{place}{x.dtype.legacy_name}Tensor"


# ---- edges
refresh = None                                     # set by ops.inplace: brings a view's `_edge` up to date


def edge_of(x):
    """Where a gradient for x must be sent: a node, an Output of one, or None.

    A view whose storage was written through someone else takes a fresh look at its base first.
    """
    if x._base is not None and x._edge_version != x._storage_.version:
        refresh(x)
    return x._edge


def receiver(x):
    """edge_of(x), or x itself where it is a leaf that wants its gradient, or None."""
    edge = x._edge if x._base is None else edge_of(x)
    return x if edge is None and x._requires_grad else edge


def unreachable(x):
    """Whether x requires a gradient that can't reach it: a view that was made without the tape, of something on it.

    torch records what is computed from it all the same; the gradient ends there.
    """
    return x._base is not None and x._base.requires_grad
