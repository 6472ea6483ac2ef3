"""What a node keeps of forward for backward, and the check that nobody changed it since.

Values are saved together with the version of their storage. An output is saved as its bare array: saving the
tensor would tie it to its own node in a circle, and graphs are freed by reference counts alone. No derivative is known
here, nor which op a node belongs to.
"""
from __future__ import annotations

from ..backends.cpu import quiet
from . import errors, tape
from .mode import mode
from .tape import Node, Output, output_of
from .leaf import kind_of
from .tensor import Tensor, new


class _Freed:
    """Stands in the place of saved values once they are freed. Whoever looks at its storage learns why."""

    @property
    def _storage_(self):
        raise RuntimeError(errors.BACKWARD_TWICE)

    def __getitem__(self, _):
        raise RuntimeError(errors.BACKWARD_TWICE)


FREED = _Freed()


def version_of(x):
    storage = x._storage_
    return 0 if storage is None else storage.version


def short_name(node):
    """The name of an op in torch's errors: 'Exp' for ExpBackward0, 'Fill2' for FillBackward2."""
    name, _, number = node.name().rpartition("Backward")
    return name + number.replace("0", "") if name else node.name()


def stale(x, version, node=None, number=0):
    """torch's error for a saved tensor that was written to since."""
    edge = x._edge
    if node is None and edge is not None:
        node, number = output_of(edge)
    return errors.modified(kind_of(x), x.shape, short_name(node) if node is not None else None, number,
                           version_of(x), version, bool(tape.anomaly))


def refuse_inference(x):
    if x._inference and not mode.inference:
        raise RuntimeError("Inference tensors cannot be saved for backward. Please do not use Tensors created in "
                           "inference mode in computation tracked by autograd. To work around this, you can make a "
                           "clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
                           "`torch.inference_mode()`.")


class OpNode(Node):
    """The node of an Op. `values[i]` is what was saved of input i (None: not needed), `versions[i]` its version."""
    __slots__ = ("values", "versions", "specs", "params", "out", "out_storage", "out_version", "plain")
    fresh = True

    def __call__(self, *grads):
        """`x.grad_fn(g)`: the gradients of the inputs, as torch's nodes can be called."""
        with quiet():
            results = self.backward(*grads)
        return results[0] if len(results) == 1 else tuple(results)

    def release(self):
        if self.out is not None or any([value is not None
                                        for value in self.values]):     # else there is nothing to miss
            self.values = self.out = FREED

    def unpack_inputs(self):
        values = self.values
        if values is FREED:
            raise RuntimeError(errors.BACKWARD_TWICE)
        for value, version in zip(values, self.versions):
            if isinstance(value, Tensor):
                storage = value._storage_
                if storage is not None and storage.version != version:
                    raise stale(value, version)
        return values

    def unpack_out(self):
        """The saved output as a tensor: on the tape again, in case this backward is recorded."""
        if self.n_outputs > 1:
            return tuple([None if pair is None else self._twin(*pair, storage, Output(self, nr), nr)
                          for nr, (pair, storage) in enumerate(zip(self._several(), self.out_storage))])
        array, spec = self.out                     # FREED raises here
        return self._twin(array, spec, self.out_storage, self, 0)

    def _several(self):
        if self.out is FREED:
            raise RuntimeError(errors.BACKWARD_TWICE)
        return self.out

    def _twin(self, array, spec, storage, edge, nr):
        """An output of this node as a new tensor on the tape, unless its memory was written since."""
        out = new(Tensor)
        out._array, out._spec = array, spec
        if storage is not None:
            out._storage_ = storage
            if storage.version != self.out_version:
                raise stale(out, self.out_version, self, nr)
        if spec.dtype.is_floating_point:
            out._edge = edge
        return out

    def __getattr__(self, name):
        """torch's `grad_fn._saved_self` and its like."""
        if name.startswith("_saved_"):
            op = self.op
            names = dict(zip(("self", "other", "result"), op.inputs[:2] + ("out",)), input=op.inputs[0])
            found = names.get(name[7:], name[7:])
            if found == "out" and self.out is not None:
                return self.unpack_out()
            if found in op.inputs:
                return self.unpack_inputs()[op.inputs.index(found)]
            if found in self.params:
                return self.params[found]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
