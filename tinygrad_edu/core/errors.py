"""Sentences of errors: torch's first line, then the shapes drawn against each other and the repairs that work.

It knows shapes and words; it raises nothing itself, it returns exceptions. A repair is offered after it was tried, on
shapes: what is promised here is what a program gets.
"""
from __future__ import annotations

from math import prod


# ---- the drawing
def draw(*rows):
    """Shapes below each other, (name, shape, dim) each: the dims stand in one column, with a mark under it."""
    rows = [(name, tuple(shape), dim % len(shape) if shape else 0) for name, shape, dim in rows]
    cell = max([len(str(n)) for _, shape, _ in rows for n in shape] + [1])
    label, lead = max(len(name) for name, _, _ in rows), max(dim for _, _, dim in rows)
    lines = []
    for name, shape, dim in rows:
        inside = ", ".join(str(n).rjust(cell) for n in shape) + ("," if len(shape) == 1 else "")
        lines.append("    " + f"{name}:".ljust(label + 2) + " " * ((lead - dim) * (cell + 2)) + f"({inside})")
    return "\n".join([*lines, " " * (4 + label + 3 + lead * (cell + 2)) + "^".rjust(cell)])


def told(sentence, drawing, repairs, kind=RuntimeError, most=3):
    """The exception: torch's sentence, the drawing, and up to three repairs with what they give."""
    lines = [sentence, drawing, *[f"  with `{repair}` the result is {tuple(result)}"
                                  for repair, result in repairs if result is not None][:most]]
    return kind("\n".join(line for line in lines if line))


# ---- what shapes give
def fits(a, b):
    """The broadcast shape, or None."""
    out = []
    for back in range(1, max(len(a), len(b)) + 1):
        m, n = (a[-back] if back <= len(a) else 1), (b[-back] if back <= len(b) else 1)
        if m != n and 1 not in (m, n):
            return None
        out.append(n if m == 1 else m)
    return tuple(reversed(out))


def product(a, b):
    """The shape of a @ b, or None."""
    if not a or not b or a[-1] != b[-2 if len(b) > 1 else -1]:
        return None
    lead = fits(a[:-2], b[:-2])
    return None if lead is None else lead + a[-2:-1] + (b[-1:] if len(b) > 1 else ())


def joined(shapes, dim):
    """The shape of tensors one after another along `dim`, or None."""
    first = shapes[0]
    dim %= len(first)
    if any(len(s) != len(first) or s[:dim] + s[dim + 1:] != first[:dim] + first[dim + 1:] for s in shapes):
        return None
    return first[:dim] + (sum(s[dim] for s in shapes),) + first[dim + 1:]


def turned(name, shape):
    """(how to write the transpose, its shape), of matrices and batches of them."""
    return f"{name}.{'T' if len(shape) == 2 else 'mT'}", shape[:-2] + shape[-2:][::-1]


def widened(name, shape):
    """(how to write it, the shape) with one dimension of size one more, at each place."""
    return [(f"{name}.unsqueeze({place})", shape[:place] + (1,) + shape[place:]) for place in range(len(shape) + 1)]


# ---- one function per family of ops
def broadcast(a, b, dim, m, n, pair=True):
    """Two operands that can't be broadcast. A repair with more dimensions than both is offered for vectors only."""
    sentence = f"The size of tensor a ({m}) must match the size of tensor b ({n}) at non-singleton dimension {dim}"
    if not pair:                                   # of three operands: which is a, which is b?
        return RuntimeError(sentence)
    a, b = tuple(a), tuple(b)
    most = 2 if len(a) == len(b) == 1 else max(len(a), len(b))
    width = max(len(a), len(b))
    repairs = [(text, fits(a, shape)) for text, shape in (turned("b", b),) if len(b) == 2]
    repairs += [(text, fits(shape, b)) for text, shape in (turned("a", a),) if len(a) == 2]
    for name, mine, other in (("b", b, a), ("a", a, b)):
        repairs += [(text, result) for text, shape in widened(name, mine)
                    if (result := fits(shape, other)) is not None and len(result) <= most][:1]
    return told(sentence, draw(("a", a, dim - width + len(a)), ("b", b, dim - width + len(b))), repairs)


def matmul(a, b, sentence):
    """`sentence`, then both shapes with the pair of dimensions that should be equal, and repairs."""
    a, b = tuple(a), tuple(b)
    repairs = [(text, product(a, shape)) for text, shape in (turned("b", b),) if len(b) > 1]
    repairs += [(text, product(shape, b)) for text, shape in (turned("a", a),) if len(a) > 1]
    repairs.append(("b @ a", product(b, a)))
    inner = b[-2] if len(b) > 1 else b[0]
    if a[-1] == inner:                             # it is the batches that clash
        back = next(k for k in range(3, 3 + len(a)) if fits(a[-k:-2], b[-k:-2]) is None)
        return told(sentence, draw(("a", a, -back), ("b", b, -back)), repairs)
    return told(sentence, draw(("a", a, -1), ("b", b, -2 if len(b) > 1 else -1)), repairs)


def batched(a, b):
    """Two batches of matrices whose batch dimensions can't be broadcast."""
    back = next(k for k in range(1, len(a)) if a[-2 - k] != b[-2 - k] and 1 not in (a[-2 - k], b[-2 - k]))
    dim = max(len(a), len(b)) - 2 - back
    return matmul(a, b, f"The size of tensor a ({a[-2 - back]}) must match the size of tensor b ({b[-2 - back]}) at "
                        f"non-singleton dimension {dim}")


def linear(x, weight, sentence):
    """A layer that gets the wrong number of features."""
    x, weight = tuple(x), tuple(weight)
    rows = weight[0]
    drawing = draw(("input", x, -1), ("weight", weight, -1))
    repairs = [(text, product(shape, weight[::-1])) for text, shape in (turned("input", x),) if len(x) > 1]
    repairs += [(f"input.flatten({d})", (*x[:d], rows)) for d in range(1, len(x) - 1) if prod(x[d:]) == weight[1]]
    if all(result is None for _, result in repairs):
        repairs.append(("weight.T", product(x, weight)))
    return told(sentence, f"{drawing}\n  the last dimension of the input must be in_features={weight[1]}", repairs)


def cat(shapes, dim, place, d, sentence):
    """Tensor number `place` differs from the first in dimension d, which is not the one they are joined in."""
    counted = {i: tuple(s) for i, s in enumerate(shapes) if s != (0,)}      # empty vectors are skipped
    start, first = next(iter(counted.items()))
    repairs = [(f"dim={k}", joined([*counted.values()], k)) for k in range(len(first))]
    if len(first) == 2:
        text, shape = turned(f"tensors[{place}]", counted[place])
        repairs.append((text, joined([*{**counted, place: shape}.values()], dim)))
    return told(sentence, draw((f"tensors[{start}]", first, d), (f"tensors[{place}]", counted[place], d)), repairs)


def ranks(shapes, dim, place, sentence):
    """Tensor number `place` has another number of dimensions than the first."""
    counted = {i: tuple(s) for i, s in enumerate(shapes) if s != (0,)}
    start = next(iter(counted))
    repairs = [(text, joined([*{**counted, which: shape}.values()], dim)) for which in (place, start)
               for text, shape in widened(f"tensors[{which}]", counted[which]) if dim < len(counted[start])]
    return told(sentence, "\n".join(f"    tensors[{i}]: {counted[i]}" for i in (start, place)), repairs)


def stack(shapes, place, sentence):
    first, other = (tuple(shapes[i]) for i in (0, place))
    if len(first) != len(other):
        return told(sentence, f"    tensors[0]: {first}\n    tensors[{place}]: {other}", [])
    d = next(d for d, (m, n) in enumerate(zip(first, other)) if m != n)
    return told(sentence, draw(("tensors[0]", first, d), (f"tensors[{place}]", other, d)),
                [(f"torch.cat(tensors, {k})", joined([tuple(s) for s in shapes], k)) for k in range(len(first))])


def sizes(shape, count):
    """A shape that `count` elements don't fill."""
    shape = tuple(shape)
    known = prod(n for n in shape if n != -1)
    factors = [str(n) for n in shape if n != -1]
    told_known = f"{' * '.join(factors)} = {known}" if len(factors) > 1 else str(known)
    line = f"    it asks for {told_known} elements, and there are {count}" if -1 not in shape else \
        f"    {count} elements can't be divided by {told_known}"
    repairs = []
    for place in range(len(shape) if -1 not in shape else 0):
        rest = prod(shape[:place] + shape[place + 1:])
        if rest > 0 and count % rest == 0:
            asked, found = [shape[:place] + (n,) + shape[place + 1:] for n in (-1, count // rest)]
            repairs.append((str(asked), found))
    return told(f"shape '{list(shape)}' is invalid for input of size {count}", line, repairs)


def expand(shape, target, d, sentence):
    """A tensor of `shape` that can't be expanded to `target`, for its dimension d counted in the target."""
    shape, target = tuple(shape), tuple(target)
    lead = len(target) - len(shape)
    repairs = []
    for text, wide in widened("x", shape):
        pairs = list(zip(wide[::-1], target[::-1]))
        new = target[:max(len(target) - len(wide), 0)]
        if len(wide) <= len(target) and -1 not in new and all(n in (1, t) or t == -1 for n, t in pairs):
            repairs.append((f"{text}.expand{target}", new + tuple(n if t == -1 else t for n, t in pairs)[::-1]))
    return told(sentence, draw(("x", shape, d - lead), ("target", target, d)), repairs[:1])


def labels(m, a, i, n, b, j, sentence):
    """Operands m and n of einsum, of shapes a and b, whose dimensions i and j have one label and two sizes."""
    return told(sentence, draw((f"operand {m}", a, i), (f"operand {n}", b, j)), [])


def channels(x, weight, groups, sentence):
    """A convolution that meets the wrong number of channels."""
    x, weight = tuple(x), tuple(weight)
    given, wanted = x[1], weight[1] * groups
    drawing = draw(("input", x, 1), ("weight", weight, 1))
    lines = [drawing, f"  the input must have {wanted} channels: weight's {weight[1]}"
             + (f" for each of {groups} groups" if groups > 1 else "")]
    if x[-1] == wanted:
        lines.append(f"  with `input.movedim(-1, 1)` the channels are {wanted}")
    if given and weight[1] and given % weight[1] == 0 and weight[0] % (given // weight[1]) == 0:
        lines.append(f"  with `groups={given // weight[1]}` the input's {given} channels fit")
    return RuntimeError("\n".join([sentence, *lines]))


def batches(x, target, sentence):
    """A loss whose input and target have batches of different sizes."""
    x, target = tuple(x), tuple(target)
    lines = [sentence, draw(("input", x, 0), ("target", target, 0))]
    if len(x) == 2 and len(target) == 1 and x[1] == target[0]:
        lines.append(f"  with `input.T` each of the {target[0]} targets has its row")
    if len(x) > 2 and len(target) == 1 and prod(x[:-1]) == target[0]:
        lines.append(f"  with `input.flatten(0, {len(x) - 2})` each of the {target[0]} targets has its row")
    return ValueError("\n".join(lines))


# ---- calls that don't fit a function
def missing(function, names):
    """torch's TypeError for arguments that were not given."""
    listed = ", ".join(f'"{name}"' for name in names)
    return TypeError(f"{function}() missing {len(names)} required positional argument{'s' * (len(names) == 1)}: "
                     f"{listed}")                  # torch has its plural the wrong way round


def in_torchs_words(error, function, args, method=False, told=False):
    """The error of a call as torch words it, or None where it says that already.

    An error without a second frame was raised by the call itself: an argument is missing. Others speak of positions
    and kinds of arguments: a method has one less than a function. Such an error may be `counted_as_method` already,
    as are all (`told`) of functions that are methods only.
    """
    text, name = str(error), function.__name__
    if error.__traceback__.tb_next is None:
        return missing(name, text.split("'")[1::2]) if " missing " in text and "keyword-only" not in text else None
    if isinstance(error, AttributeError):          # something that is no tensor was asked for what tensors have
        for place, (argument, value) in enumerate(zip(function.__code__.co_varnames, args)):
            if not hasattr(value, "_spec") and text.startswith(f"'{type(value).__name__}' object has no attribute"):
                return TypeError(f"{name}(): argument '{argument}' (position {place + 1 - method}) must be Tensor, not "
                                 f"{type(value).__name__}")
        return None
    step = method - (told or hasattr(error, "counted_as_method"))
    if not step or not text.startswith(f"{name}()"):
        return None
    start, _, rest = text.partition("(position ")
    number, _, rest = rest.partition(")")
    if number.isdigit() and int(number) > step:
        return TypeError(f"{start}(position {int(number) - step}){rest}")
    start, got, rest = text.partition(" - got (")
    if not got:
        return None
    return TypeError(start + got + (rest.removeprefix("Tensor").removeprefix(", ") if step > 0 else "Tensor, " + rest))


# ---- places, numbers, the tape
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
WRITE = ("\n  `with torch.no_grad(): ...` around the write leaves it out of the tape, as an optimizer does; or make a "
         "new tensor: `y = x + 1`")
LEAF = "a leaf Variable that requires grad is being used in an in-place operation." + WRITE
VIEW_OF_LEAF = "a view of a leaf Variable that requires grad is being used in an in-place operation." + WRITE
