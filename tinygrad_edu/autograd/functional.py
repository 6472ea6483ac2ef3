"""torch.autograd.functional: Jacobians, Hessians, and their products with vectors, of functions of tensors.

All of it is `autograd.grad`, called once per element or twice. It knows no derivative.
Source: https://pytorch.org/docs/stable/autograd.html#functional-higher-level-api
"""
from __future__ import annotations

from ..core.export import functions
from ..core.mode import enable_grad
from ..core.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(given, what, function):
    """(as a tuple, whether it was one); torch's error for what is no tensor."""
    several = isinstance(given, tuple)
    found = given if several else (given,)
    for i, x in enumerate(found):
        if not isinstance(x, Tensor):
            which = f"value at index {i}" if several else f"given {what}"
            raise TypeError(f"The {what} given to {function} must be either a Tensor or a tuple of Tensors but the "
                            f"{which} has type {type(x)}.")
    return found, several


def _leaves(inputs, create_graph):
    """The inputs as this function's own variables: in the caller's graph only if that is to be differentiated."""
    return tuple([x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in inputs])


def _call(func, inputs, create_graph, function):
    """(the variables, the outputs, whether they came as a tuple)"""
    found, several_in = _tuple(inputs, "inputs", function)
    leaves = _leaves(found, create_graph)
    outputs, several = _tuple(func(*leaves), "outputs of the user-provided function", function)
    return leaves, outputs, several_in, several


def _grad(outputs, inputs, gradients, create_graph):
    """`autograd.grad`, of what can be differentiated; None for the rest."""
    from . import grad
    known = [i for i, out in enumerate(outputs) if out.requires_grad]
    if not known:
        return (None,) * len(inputs)
    return grad([outputs[i] for i in known], inputs, [gradients[i] for i in known], allow_unused=True,
                retain_graph=True, create_graph=create_graph)


def _filled(grads, inputs, strict, sentence):
    """Zeros for inputs that played no part; with `strict` that is an error."""
    if strict and any(g is None for g in grads):
        raise RuntimeError(sentence.format(next(i for i, g in enumerate(grads) if g is None)))
    return tuple([functions["zeros_like"](x) if g is None else g for g, x in zip(grads, inputs)])


def _finished(values, several, create_graph):
    values = values if create_graph else tuple([v.detach() for v in values])
    return values if several else values[0]


def _vectors(v, like, function, what="v"):
    """The vectors of a product, shaped like the tensors that they meet; ones for the result that is a number."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"The vector {what} can only be None if the "
                               + ("user-provided function returns a single Tensor with a single element."
                                  if function == "vjp" else
                                  "input to the user-provided function is a single Tensor with a single element."))
        return (functions["ones_like"](like[0]),)
    found, _ = _tuple(v, what, function)
    if len(found) != len(like):
        if len(like) == 1:
            raise RuntimeError(f"The given {what} should contain a single Tensor.")
        raise RuntimeError(f"{what} is a tuple of invalid length: should be {len(like)} but got {len(found)}.")
    for i, (a, b) in enumerate(zip(found, like)):
        if a.shape != b.shape:
            place = f"Entry {i} in " if len(like) > 1 else ""
            raise RuntimeError(f"{place}{what} has invalid size: should be {b.shape} but got {a.shape}.")
    return found


UNUSED = "The output of the user-provided function is independent of input {}. This is not allowed in strict mode."


def _check_strict(outputs, strict):
    for number, out in enumerate(outputs):
        if strict and not out.requires_grad:
            raise RuntimeError(f"Output {number} of the user-provided function does not require gradients. The outputs "
                               "must be computed in a differentiable manner from the input when running in strict "
                               "mode.")


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """d output / d input for every pair: of shape (output's, then input's), in tuples where `func` has several.

    `vectorize` and `strategy` are speeds of torch's: the numbers are the same.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function '
                             'has more outputs than inputs, "forward-mode" tends to be more performant. Otherwise, '
                             'prefer to use "reverse-mode".')
    with enable_grad():
        leaves, outputs, several_in, several = _call(func, inputs, create_graph, "jacobian")
        _check_strict(outputs, strict)
        result = []
        for number, out in enumerate(outputs):
            rows = [_filled(_grad((out,), leaves, (one,), create_graph), leaves, strict,
                            f"Output {number} of the user-provided function is independent of input {{}}. This is not "
                            "allowed in strict mode.") for one in _units(out)]
            result.append(tuple([functions["stack"](column).view((*out.shape, *x.shape)) if rows else
                                 functions["zeros"]((*out.shape, *x.shape), dtype=out.dtype)
                                 for x, column in zip(leaves, zip(*rows) if rows else [()] * len(leaves))]))
    result = [_finished(r, several_in, create_graph) for r in result]
    return tuple(result) if several else result[0]


def _units(out):
    """For each element of `out`: one there, zero elsewhere."""
    for i in range(out.numel()):
        one = functions["zeros"](out.numel(), dtype=out.dtype, device=out.device)
        one[i] = 1
        yield one.view(out.shape)


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The second derivatives of a function with one number as its result: for each pair of inputs one tensor."""
    found, several = _tuple(inputs, "inputs", "hessian")

    def first(*leaves):
        grads = jacobian(lambda *x: _one_number(func(*x), "hessian"), leaves, True)
        for i, g in enumerate(grads):
            if strict and not g.requires_grad:
                raise RuntimeError(
                    "While computing the hessian, found that the jacobian of the user-provided function with respect "
                    f"to input {i} is independent of the input. This is not allowed in strict mode. You should ensure "
                    "that your function is twice differentiable and that the jacobian depends on the inputs (this "
                    "would be violated by a linear function for example).")
        return grads
    result = jacobian(first, found, create_graph, strict)
    return result if several else result[0][0]


def _one_number(out, function):
    found, several = _tuple(out, "outputs of the user-provided function", function)
    if several or len(found) != 1:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if found[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {function} should contain a single element")
    return found[0].reshape(())


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func's outputs, v @ Jacobian): v is shaped like the outputs."""
    with enable_grad():
        leaves, outputs, several_in, several = _call(func, inputs, create_graph, "vjp")
        vectors = _vectors(v, outputs, "vjp")
        _check_strict(outputs, strict)
        grads = _filled(_grad(outputs, leaves, vectors, create_graph), leaves, strict, UNUSED)
    return _finished(outputs, several, create_graph), _finished(grads, several_in, create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func's outputs, Jacobian @ v): v is shaped like the inputs. A gradient of a gradient, as ours run backwards."""
    with enable_grad():
        leaves, outputs, _, several = _call(func, inputs, create_graph, "jvp")
        vectors = _vectors(v, leaves, "jvp")
        _check_strict(outputs, strict)
        trial = tuple([functions["zeros_like"](out, requires_grad=True) for out in outputs])
        grads = _grad(outputs, leaves, trial, True)
        _filled(grads, leaves, strict, UNUSED)
        used = [(g, w) for g, w in zip(grads, vectors) if g is not None and g.requires_grad]
        found = _grad(tuple(g for g, _ in used), trial, tuple(w for _, w in used), create_graph)
        found = _filled(found, outputs, False, "")
    return _finished(outputs, several, create_graph), _finished(found, several, create_graph)


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func's value, v @ Hessian), of a function with one number as its result."""
    with enable_grad():
        leaves, outputs, several_in, _ = _call(func, inputs, create_graph, "vhp")
        out = _one_number(outputs[0], "vhp")
        vectors = _vectors(v, leaves, "vhp")
        first = _filled(_grad((out,), leaves, (functions["ones_like"](out),), True), leaves, strict, UNUSED)
        second = _filled(_grad(first, leaves, vectors, create_graph), leaves, strict, UNUSED)
    return _finished((outputs[0],), False, create_graph), _finished(second, several_in, create_graph)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func's value, Hessian @ v): the Hessian is symmetric, so it is `vhp`."""
    return vhp(func, inputs, v, create_graph, strict)
