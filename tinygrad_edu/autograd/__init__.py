"""torch.autograd: backward, grad, and what surrounds them.

It walks the tape; it knows no derivative.
"""
import warnings

from ..backends.cpu import quiet
from ..core import tape
from ..core.export import functions
from ..core.function import Function
from ..core.mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from ..core.tensor import Tensor, filled, receiver
from . import function  # noqa: F401
from .variable import Variable
from .anomaly import detect_anomaly, is_anomaly_check_nan_enabled, is_anomaly_enabled, set_detect_anomaly

__all__ = ["Function", "Variable", "backward", "detect_anomaly", "enable_grad", "grad", "gradcheck", "gradgradcheck",
           "inference_mode", "is_grad_enabled", "no_grad", "set_detect_anomaly", "set_grad_enabled"]


def _sequence(x):
    return (x,) if isinstance(x, Tensor) or x is None else tuple(x)


def _roots(outputs, gradients, create_graph):
    """[(edge, gradient)] with torch's checks; a missing gradient is one, for outputs of one element."""
    roots = []
    for i, (out, grad) in enumerate(zip(outputs, gradients)):
        if grad is None:
            if out.requires_grad:
                if out.numel() != 1:
                    raise RuntimeError("grad can be implicitly created only for scalar outputs")
                grad = filled(out.shape, 1, out.dtype, out._spec.backend)
        elif not isinstance(grad, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
        else:
            if grad.shape != out.shape:
                raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {grad.shape} and output[{i}] "
                                   f"has a shape of {out.shape}.")
            if grad._spec.backend is not out._spec.backend:
                raise RuntimeError(f"invalid gradient at index {i} - expected device {out.device} but got "
                                   f"{grad.device}")
            if grad.dtype is not out.dtype:
                if not grad.is_floating_point():
                    raise RuntimeError("For integral input tensors, argument 'gradient' must be floating point; got "
                                       f"{grad.dtype}")
                grad = grad.to(out.dtype)
        edge = receiver(out)
        if edge is None:
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if grad._spec.names is not None:
            grad = grad.rename(None)
        roots.append((edge, grad))
    if len(gradients) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(gradients)} gradients")
    return roots


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    """Add the gradients of `tensors` with respect to the leaves (or to `inputs`) to their `.grad`.

    Source: https://pytorch.org/docs/stable/generated/torch.autograd.backward.html
    """
    tensors = _sequence(tensors)
    gradients = (None,) * len(tensors) if grad_tensors is None else _sequence(grad_tensors)
    into = None
    if inputs is not None:
        inputs = _sequence(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        into = [receiver(x) for x in inputs]
        for x in inputs:
            x.retain_grad()
    roots = _roots(tensors, gradients, create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    with quiet():
        tape.walk(roots, retain_graph=retain, create_graph=create_graph, accumulate_into=into)


def _backward_method(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Compute gradients of this tensor with respect to the leaves, and add them to their `.grad`.

    gradient: of this tensor's shape; needed unless it has one element.
    """
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


_backward_method.__name__ = _backward_method.__qualname__ = "backward"
Tensor.backward = _backward_method


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, only_inputs=True, allow_unused=None,
         is_grads_batched=False, materialize_grads=False):
    """The gradients of the sum of `outputs` (weighted by `grad_outputs`) with respect to `inputs`, as a tuple.

    Source: https://pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
                         "allow_unused=False.")
    if not only_inputs:
        warnings.warn("only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate "
                      "gradient for other parts of the graph, please use torch.autograd.backward.", FutureWarning,
                      stacklevel=2)
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    outputs, inputs = _sequence(outputs), _sequence(inputs)
    if not inputs:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    gradients = (None,) * len(outputs) if grad_outputs is None else _sequence(grad_outputs)
    if is_grads_batched:
        return _row_by_row(outputs, inputs, gradients, retain_graph, create_graph, allow_unused, materialize_grads)
    roots = _roots(outputs, gradients, create_graph)
    edges = [receiver(x) for x in inputs]
    if any(edge is None for edge in edges):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    retain = create_graph if retain_graph is None else retain_graph
    with quiet():
        found = tape.walk(roots, retain_graph=retain, create_graph=create_graph, capture=edges)
    results = []
    for i, (g, x) in enumerate(zip(found, inputs)):
        if g is None and not allow_unused:
            raise RuntimeError(f"The differentiated Tensor at index {i} appears to not have been used in the graph. "
                               "Set allow_unused=True if this is the desired behavior.")
        if g is None and materialize_grads:
            g = filled(x.shape, 0, x.dtype, x._spec.backend)
        results.append(g)
    return tuple(results)


def _row_by_row(outputs, inputs, gradients, retain_graph, create_graph, allow_unused, materialize_grads):
    """`grad` for each row of the gradients, and what came out, stacked."""
    counts = {len(g) for g in gradients if g is not None}
    if len(counts) != 1:
        raise RuntimeError("If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the "
                           f"batch dimension: these must be equal, got {sorted(counts)}")
    count, = counts
    retain = create_graph if retain_graph is None else retain_graph
    rows = [grad(outputs, inputs, [None if g is None else g[i] for g in gradients], retain or i < count - 1,
                 create_graph, True, allow_unused, False, materialize_grads) for i in range(count)]
    return tuple([None if row[0] is None else functions["stack"](row) for row in zip(*rows)])


from .gradcheck import gradcheck, gradgradcheck  # noqa: E402  (they call `grad`; the name of the file becomes the function, as in torch)
