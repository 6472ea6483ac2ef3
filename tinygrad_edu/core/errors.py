"""Sentences of errors: torch's first line, then the shapes drawn and the repairs that work.

It knows shapes and words; it raises nothing itself, it returns exceptions.
"""
from __future__ import annotations


def draw(a, b, dim):
    """Two shapes, aligned from the right, with the clashing dimension marked."""
    width = max(len(a), len(b))
    rows = [[""] * (width - len(s)) + [str(n) for n in s] for s in (a, b)]
    cell = max([len(n) for row in rows for n in row] + [1])
    lines = [f"    {name}: (" + ", ".join(n.rjust(cell) for n in row) + ")" for name, row in zip("ab", rows)]
    mark = " " * (len("    a: (") + dim * (cell + 2)) + "^".rjust(cell)
    return "\n".join([*lines, mark])


def fits(a, b):
    """The broadcast shape, or None."""
    out = []
    for back in range(1, max(len(a), len(b)) + 1):
        m, n = (a[-back] if back <= len(a) else 1), (b[-back] if back <= len(b) else 1)
        if m != n and 1 not in (m, n):
            return None
        out.append(n if m == 1 else m)
    return tuple(reversed(out))


def broadcast(a, b, dim, m, n):
    a, b = tuple(a), tuple(b)
    tried = [("b.T", b[::-1]) if len(b) == 2 else None, ("a.T", a[::-1]) if len(a) == 2 else None]
    repairs = []
    for name, shape in filter(None, tried):
        result = fits(a, shape) if name[0] == "b" else fits(shape, b)
        if result is not None:
            repairs.append(f"with `{name}` the result is {result}")
    for name, mine, other in (("b", b, a), ("a", a, b)):
        for place in range(len(mine) + 1):
            result = fits(mine[:place] + (1,) + mine[place:], other)
            if result is not None:
                repairs.append(f"with `{name}.unsqueeze({place})` the result is {result}")
                break
    text = (f"The size of tensor a ({m}) must match the size of tensor b ({n}) at non-singleton dimension {dim}\n"
            f"{draw(a, b, dim)}")
    return RuntimeError("\n  ".join([text, *repairs[:3]]))


def matmul(a, b, sentence):
    """`sentence`, then both shapes with the pair of dimensions that should be equal, and repairs."""
    a, b = tuple(a), tuple(b)
    lines = [sentence, f"    a: {a}", f"    b: {b}"]
    if len(a) >= 1 and len(b) >= 1:
        lines[1] += f"    its last dimension, {a[-1]}, must equal"
        lines[2] += f"    {'the first' if len(b) <= 2 else 'the last but one'} of b, {b[-2] if len(b) > 1 else b[0]}"
    if len(a) == 2 and len(b) == 2:
        if a[1] == b[1]:
            lines.append(f"  with `b.T` the result is {(a[0], b[0])}")
        if a[0] == b[0]:
            lines.append(f"  with `a.T` the result is {(a[1], b[1])}")
        if b[1] == a[0]:
            lines.append(f"  with a and b exchanged the result is {(b[0], a[1])}")
    return RuntimeError("\n".join(lines))


def devices(found, expected="cpu", where=None):
    argument = f" (when checking argument for argument {where})" if where else ""
    return RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, "
                        f"{expected} and {found}!{argument}\n  move one of them: x.to('{expected}')")


def too_big(number):
    """A Python number that no integer type can hold."""
    return OverflowError("int too big to convert" if number > 0 else "can't convert negative int to unsigned")


BACKWARD_TWICE = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward.")


def modified(kind, shape, name, number, version, expected, anomaly):
    hint = ("Hint: the backtrace further above shows the operation that failed to compute its gradient. The variable "
            "in question was changed in there or anywhere later. Good luck!" if anomaly else
            "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True, check_nan=False).")
    origin = f", which is output {number} of {name}," if name else ""
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{kind} {list(shape)}]{origin} is at version {version}; expected version {expected} instead. {hint}")


OVERLAPPING = ("unsupported operation: more than one element of the written-to tensor refers to a single memory "
               "location. Please clone() the tensor before performing the operation.")
LEAF = "a leaf Variable that requires grad is being used in an in-place operation."
VIEW_OF_LEAF = "a view of a leaf Variable that requires grad is being used in an in-place operation."
