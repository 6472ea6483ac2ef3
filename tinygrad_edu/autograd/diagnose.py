"""Why two Jacobians differ: hypotheses, each tested on the numbers before it is uttered.

It sees numpy matrices and shapes; it knows nothing of tensors, and cannot run the function again (the caller can).
A Jacobian here has one row per element of the input and one column per element of the output, as torch prints it.
"""
from __future__ import annotations

import numpy as np


def same(a, b, atol, rtol):
    """allclose, with nan different from everything."""
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= atol + rtol * np.abs(b)))


def worst(analytic, numeric):
    """(row, column) of the largest difference; nan and inf are the largest of all."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(analytic - numeric)
    return np.unravel_index(np.argmax(np.where(np.isfinite(difference), difference, np.inf)), difference.shape)


def cause(analytic, numeric, in_shape, out_shape, atol, rtol):
    """The likely reason in words, or None. Simple explanations are tried first."""
    def equal(a, b):
        return same(a, b, 2 * atol, 2 * rtol)

    if not np.isfinite(analytic).all():
        return "the analytic gradient is not finite: a division by zero or an overflow in the formula"
    if not np.isfinite(numeric).all():
        return "the function itself is not finite around this point: choose other inputs"
    if not analytic.any():
        return ("no gradient arrives: the input is used, but its way to the output is cut (`.detach()`, `.data`, "
                "`.item()`, numpy, `no_grad`), or the formula returns zeros")
    if not numeric.any():
        return ("the output does not depend on this input, but the formula says that it does: perhaps another input's "
                "gradient was returned")
    for hypothesis in (transposed, factor, laid_out_wrongly, not_summed, not_accumulated, one_too_many):
        found = hypothesis(analytic, numeric, tuple(in_shape), tuple(out_shape), equal)
        if found is not None:
            return found
    return None


def factor(analytic, numeric, in_shape, out_shape, equal):
    """analytic = c * numeric, with what c might stand for."""
    c = float((analytic * numeric).sum() / (numeric * numeric).sum())
    if not c or not equal(analytic, c * numeric):
        return None
    if abs(c + 1) < 1e-3:
        return "the sign is wrong: the analytic gradient is minus the numeric one"
    if abs(c - 0.5) < 1e-3:
        return ("a constant factor: the analytic gradient is half the numeric one. Is the input used twice, and only "
                "one of the uses counted (one is detached, or assigned with `=` instead of added with `+=`)? Or a "
                "factor 2 forgotten?")
    for kind, shape in (("input", in_shape), ("output", out_shape)):
        for dim, size in enumerate(shape):
            if size > 2 and abs(c - 1 / size) < 1e-3 / size:
                return (f"a constant factor: the analytic gradient is 1/{size} of the numeric one, and {size} is the "
                        f"size of dimension {dim} of the {kind}: a mean where a sum belongs?")
            if size > 2 and abs(c - size) < 1e-3 * size:
                return (f"a constant factor: the analytic gradient is {size} times the numeric one, and {size} is the "
                        f"size of dimension {dim} of the {kind}: a sum where a mean belongs?")
    return f"a constant factor: the analytic gradient is {c:.6g} times the numeric one, everywhere"


def transposed(analytic, numeric, in_shape, out_shape, equal):
    """The backward multiplies by J where it should multiply by its transpose."""
    if analytic.shape[0] == analytic.shape[1] and not equal(numeric, numeric.T) and equal(analytic, numeric.T):
        return "the Jacobian is transposed: for y = A x the gradient is A.T g, not A g"
    return None


def laid_out_wrongly(analytic, numeric, in_shape, out_shape, equal):
    """The right numbers in the wrong places of the input: transposed, or reversed along a dimension."""
    rows = numeric.reshape(*in_shape, -1)
    mine = analytic.reshape(*in_shape, -1)
    n = len(in_shape)
    for a in range(n):
        for b in range(a + 1, n):
            if in_shape[a] == in_shape[b] and equal(mine, rows.swapaxes(a, b)):
                return f"the gradient has the right numbers, transposed: dimensions {a} and {b} are exchanged"
            swapped = list(in_shape)
            swapped[a], swapped[b] = swapped[b], swapped[a]
            if in_shape[a] != in_shape[b] and equal(analytic, rows.swapaxes(a, b).reshape(analytic.shape)):
                return ("the gradient has the right numbers in the wrong order: it was computed in shape "
                        f"{tuple(swapped)} and reshaped where it should have been transposed (dimensions {a} and {b})")
    for a in range(n):
        if in_shape[a] > 1 and equal(mine, np.flip(rows, a)):
            return f"the gradient has the right numbers, in reverse order along dimension {a} of the input"
    return None


def not_summed(analytic, numeric, in_shape, out_shape, equal):
    """Of a dimension along which the input was broadcast, only one slice was counted."""
    lead = len(out_shape) - len(in_shape)
    for dim, size in enumerate(out_shape):
        broadcast = dim < lead or in_shape[dim - lead] == 1
        if size < 2 or not broadcast:
            continue
        for place in (0, size - 1):
            kept = np.zeros(out_shape)
            kept[(slice(None),) * dim + (place,)] = 1
            if equal(analytic, numeric * kept.reshape(1, -1)):
                return (f"a broadcast dimension was not summed: the input is repeated along dimension {dim} of the "
                        f"output (size {size}), and only index {place} of it contributes: `g.sum({dim})`, not "
                        f"`g[{place}]`")
    return None


def not_accumulated(analytic, numeric, in_shape, out_shape, equal):
    """Right where it is not zero, but some contributions never arrived."""
    missing = (analytic == 0) & (np.abs(numeric) > 1e-6)
    if not missing.any() or not equal(np.where(missing, numeric, analytic), numeric):
        return None
    without = np.flatnonzero((analytic == 0).all(1) & missing.any(1))
    if len(without) == missing.any(1).sum():
        places = ", ".join(str([int(i) for i in np.unravel_index(w, in_shape)]) for w in without[:4])
        more = " ..." if len(without) > 4 else ""
        return f"missing contributions: elements {places}{more} of the input get no gradient, the others are right"
    return ("missing accumulation: what arrives is right, but elements that are used more than once keep only one of "
            "their contributions: add (`+=`, `index_add_`), don't assign")


def one_too_many(analytic, numeric, in_shape, out_shape, equal):
    """An identity added or forgotten: a use of the input that is counted twice, or not at all."""
    if analytic.shape[0] != analytic.shape[1] or analytic.shape[0] < 2:
        return None
    identity = np.eye(len(analytic))
    if equal(analytic, numeric + identity):
        return "the analytic Jacobian is the numeric one plus the identity: a path straight through is counted twice"
    if equal(analytic, numeric - identity):
        return "the analytic Jacobian is the numeric one minus the identity: a path straight through is not counted"
    return None
