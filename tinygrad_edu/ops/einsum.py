"""Products that name the dimensions they sum over: einsum, tensordot, and the special cases with names of their own.

All are put together from views, mul and the matrix products, which know about numbers, gradients and devices.
"""
from __future__ import annotations

import string
import warnings

import numpy as np

from ..core import errors, layout, names
from ..core.export import export, functions
from ..core.mode import mode, no_grad
from ..core.op import Op, common_backend
from ..core.record import record
from ..core.tensor import Tensor
from .matmul import Dot, _bmm, _dot, check_tensors, matmul, mm, named, refuse_bool, reshaped
from .views import Unsafe, bare, give_names, no_names


# ---- einsum
LETTERS = string.ascii_uppercase + string.ascii_lowercase      # the order of dimensions in an implicit output
DOTS = "..."


def read_subscripts(text, where, what):
    """The labels of one operand, with DOTS for an ellipsis. `where` is its place in the equation, for errors."""
    labels, i = [], 0
    while i < len(text):
        if text[i] == " ":
            i += 1
        elif text[i] == ".":
            if DOTS in labels:
                raise RuntimeError(f"einsum(): found '.' for {what} for which an ellipsis was already found"
                                   if what != "output" else
                                   "einsum(): found '.' for output but an ellipsis (...) was already found")
            if text[i:i + 3] != DOTS:
                raise RuntimeError(f"einsum(): found '.' for {what} that is not part of any ellipsis"
                                   + (" (...)" if what == "output" else ""))
            labels.append(DOTS)
            i += 3
        elif text[i] in LETTERS:
            labels.append(text[i])
            i += 1
        else:
            raise RuntimeError(f"einsum(): invalid subscript given at index {where + i} in the equation string, "
                               "subscripts must be in [a-zA-Z]")
    return labels


def read_equation(equation, count):
    """(labels of each operand, labels of the output or None) of an equation for `count` operands."""
    left, arrow, right = equation.partition("->")
    terms, where = [], 0
    for number, text in enumerate(left.split(",")):
        terms.append(read_subscripts(text, where, f"operand {number}"))
        where += len(text) + 1
    if len(terms) != count:
        kind = "fewer" if len(terms) > count else "more"
        raise RuntimeError(f"einsum(): {kind} operands were provided than specified in the equation")
    output = read_subscripts(right, len(left) + 2, "output") if arrow else None
    return terms, output


def read_sublists(args):
    """(operands, labels of each, labels of the output or None) of `einsum(x, [0, 1], y, [1, 2], [0, 2])`."""
    def labels(numbers):
        for n in numbers:
            if n is not ... and not 0 <= n < len(LETTERS):
                raise RuntimeError(f"einsum(): subscripts given as integers must be in [0, {len(LETTERS)}), but got "
                                   f"{n}")
        return [DOTS if n is ... else LETTERS[n] for n in numbers]
    output = labels(args[-1]) if len(args) % 2 else None
    return list(args[0:len(args) - len(args) % 2:2]), [labels(a) for a in args[1::2]], output


def expand_dots(labels, ndim, width, number):
    """Labels with an ellipsis replaced by the last of `width` positions ("...", k); one label per dimension."""
    given = len(labels) - labels.count(DOTS)
    if DOTS not in labels:
        if given != ndim:
            raise RuntimeError(f"einsum(): the number of subscripts in the equation ({given}) does not match the "
                               f"number of dimensions ({ndim}) for operand {number} and no ellipsis was given")
        return labels
    if given > ndim:
        raise RuntimeError(f"einsum(): the number of subscripts in the equation ({given}) is more than the number of "
                           f"dimensions ({ndim}) for operand {number}")
    at = labels.index(DOTS)
    covered = ndim - given
    return labels[:at] + [(DOTS, k) for k in range(width - covered, width)] + labels[at + 1:]


def output_labels(output, terms, width):
    """Labels of the result: as given, or the ellipsis and what occurs exactly once, in alphabetical order."""
    dots = [(DOTS, k) for k in range(width)]
    if output is None:
        flat = [label for term in terms for label in term]
        return dots + [letter for letter in LETTERS if flat.count(letter) == 1]
    for label in output:
        if label != DOTS and output.count(label) > 1:
            raise RuntimeError(f"einsum(): output subscript {label} appears more than once in the output")
        if label != DOTS and not any(label in term for term in terms):
            raise RuntimeError(f"einsum(): output subscript {label} does not appear in the equation for any input "
                               "operand")
    at = output.index(DOTS) if DOTS in output else None
    return list(output) if at is None else output[:at] + dots + output[at + 1:]


def check_sizes(operands, terms):
    """That each label has one size, ones aside; torch's errors otherwise."""
    seen = {}
    for number, (x, term) in enumerate(zip(operands, terms)):
        here = {}
        for label, size in zip(term, x.shape):
            if here.setdefault(label, size) != size:
                raise RuntimeError(f"einsum(): subscript {label} is repeated for operand {number} but the sizes don't "
                                   f"match, {size} != {here[label]}")
            before = seen.get(label, 1)
            if size != 1 and before not in (1, size):
                if isinstance(label, tuple):
                    raise RuntimeError(f"einsum(): dimension {list(term).index(label)} covered by ellipsis in operand "
                                       f"{number}has size {size} which does not broadcast with previously seen "
                                       f"ellipsis with size {before} for the respective dimension")
                first = next(i for i, t in enumerate(terms)
                             if label in t and operands[i].shape[t.index(label)] == before)
                raise errors.labels(first, operands[first].shape, terms[first].index(label), number, x.shape,
                                    list(term).index(label), f"einsum(): subscript {label} has size {size} for operand "
                                    f"{number} which does not broadcast with previously seen size {before}")
            seen[label] = size if before == 1 else before


def arranged(x, term, order):
    """x with repeated labels reduced to their diagonal, and a dimension per label in `order` (of size one if new)."""
    term = list(term)
    for label in dict.fromkeys(term):
        while term.count(label) > 1:
            first = term.index(label)
            second = term.index(label, first + 1)
            x = x.diagonal(0, first, second).movedim(-1, first)
            del term[second]
    missing = [label for label in order if label not in term]
    for _ in missing:
        x = x.unsqueeze(-1)
    term += missing
    return x.permute([term.index(label) for label in order]) if order else x


def contract(a, b, dims):
    """The sum over `dims` of a * b, all dimensions kept: one bmm."""
    both, left, right = [], [], []
    for d in range(a.ndim):
        if d not in dims:
            wide = a.shape[d] != 1, b.shape[d] != 1
            (both if wide == (True, True) or wide == (False, False) else left if wide[0] else right).append(d)
    def size(x, which):
        return layout.numel([x.shape[d] for d in which])
    rows = a.permute((*both, *left, *dims, *right)).reshape(size(a, both), size(a, left), size(a, dims))
    columns = b.permute((*both, *dims, *right, *left)).reshape(size(a, both), size(a, dims), size(b, right))
    out = _bmm(rows, columns, rows.shape, columns.shape)
    order = both + left + list(dims) + right
    shape = [1 if d in dims else a.shape[d] if d in both or d in left else b.shape[d] for d in order]
    return out.view(shape).permute([order.index(d) for d in range(a.ndim)])


@export("einsum()", out=False)
def einsum(*args):
    """Einstein's summation: `einsum("bij,bjk->bik", a, b)`, with ellipsis, repeated and implicit subscripts.

    Operands are multiplied from left to right; a subscript is summed over as soon as no later operand has it.
    """
    if len(args) < 2:
        raise ValueError("einsum(): must specify the equation string and at least one operand, or at least one operand "
                         "and its subscripts list")
    if isinstance(args[0], Tensor):
        operands, terms, output = read_sublists(args)
    else:
        operands = list(args[1]) if len(args) == 2 and isinstance(args[1], (list, tuple)) else list(args[1:])
        for number, x in enumerate(operands):
            if not isinstance(x, Tensor):
                raise TypeError(f"expected Tensor as element {number} in argument 1, but got {type(x).__name__}")
        terms, output = read_equation(args[0], len(operands))
    for x in operands:
        no_names(x, "einsum")
    width = max((x.ndim - (len(t) - 1) for x, t in zip(operands, terms) if DOTS in t), default=0)
    terms = [expand_dots(t, x.ndim, width, number) for number, (x, t) in enumerate(zip(operands, terms))]
    kept = output_labels(output, terms, width)
    check_sizes(operands, terms)
    summed = [label for label in dict.fromkeys(label for term in terms for label in term) if label not in kept]
    order = kept + sorted(summed, key=str)
    return multiplied([arranged(x, t, order) for x, t in zip(operands, terms)], len(kept))


def multiplied(operands, keep):
    """The product of arranged operands, summed over all dimensions from `keep` on."""
    out, ndim = operands[0], operands[0].ndim
    if len(operands) == 1:
        return out.sum(tuple(range(keep, ndim))) if ndim > keep else out
    done = set()
    for place, x in enumerate(operands[1:], 2):
        alone, last = {0: [], 1: []}, []
        for d in range(keep, ndim):
            if d in done or any(later.shape[d] != 1 for later in operands[place:]):
                continue
            wide = out.shape[d] != 1, x.shape[d] != 1
            if wide == (True, True):
                last.append(d)
            elif any(wide):
                alone[wide.index(True)].append(d)
            done.add(d)
        out = out.sum(tuple(alone[0]), keepdim=True) if alone[0] else out
        x = x.sum(tuple(alone[1]), keepdim=True) if alone[1] else x
        out = contract(out, x, last) if last else out * x
    return out.view(out.shape[:keep]) if ndim > keep else out


# ---- products that name dimensions by number
@export("tensordot()")
def tensordot(a, b, dims=2):
    """The sum over pairs of dimensions: the last `dims` of a with the first of b, or `dims = (of a, of b)`."""
    check_tensors("tensordot", a=a, b=b)
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        dims = list(range(-dims, 0)), list(range(dims))
    first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have same length")
    if a.dtype is not b.dtype:
        raise RuntimeError("both inputs should have same dtype")
    for x in (a, b):
        no_names(x, "tensordot")
    summed_a, summed_b = [layout.normalize_dim(d, a.ndim) for d in first], [layout.normalize_dim(d, b.ndim)
                                                                            for d in second]
    for d, e, i, j in zip(summed_a, summed_b, first, second):
        if b.shape[e] == 1:
            a = a.sum(d, keepdim=True)
        elif a.shape[d] == 1:
            b = b.sum(e, keepdim=True)
        elif a.shape[d] != b.shape[e]:
            raise RuntimeError(f"contracted dimensions need to match, but first has size {a.shape[d]} in dim {i} and "
                               f"second has size {b.shape[e]} in dim {j}")
    kept_a, kept_b = ([d for d in range(x.ndim) if d not in s] for x, s in ((a, summed_a), (b, summed_b)))
    count = layout.numel([a.shape[d] for d in summed_a])
    shape = [a.shape[d] for d in kept_a] + [b.shape[d] for d in kept_b]
    rows = a.permute((*kept_a, *summed_a)).reshape(layout.numel([a.shape[d] for d in kept_a]), count)
    columns = b.permute((*summed_b, *kept_b)).reshape(count, layout.numel([b.shape[d] for d in kept_b]))
    return mm(rows, columns).view(shape)


@export("inner")
def inner(input, other):
    """The sum of products over the last dimension of both; a number multiplies everything."""
    check_tensors("inner", input=input, other=other)
    if not input.ndim or not other.ndim:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError("inner() the last dimension must match on both input tensors but got shapes "
                           f"{list(input.shape)} and {list(other.shape)}")
    if input.dtype is not other.dtype:
        raise RuntimeError("both inputs should have same dtype")
    if input.ndim == other.ndim == 1:
        refuse_bool(input, "dot")
        return _dot(Dot, input, other).view(())
    return tensordot(input, other, ([-1], [-1]))


@export("outer", "ger")
def outer(input, vec2):
    """All products of an element of `input` with one of `vec2`: (n) and (m) -> (n, m)."""
    check_tensors("outer", input=input, vec2=vec2)
    for name, x in (("self", input), ("vec2", vec2)):
        if x.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {x.ndim}-D")
    if named(input, vec2):
        return give_names(outer(bare(input), bare(vec2)), names.validate(input.names + vec2.names, 2))
    return input.unsqueeze(1) * vec2


@export("kron")
def kron(input, other):
    """Kronecker's product: every element of `input` times all of `other`, side by side."""
    check_tensors("kron", input=input, other=other)
    ndim = max(input.ndim, other.ndim)
    a, b = ((1,) * (ndim - x.ndim) + tuple(x.shape) for x in (input, other))
    out = input.reshape([n for size in a for n in (size, 1)]) * other.reshape([n for size in b for n in (1, size)])
    return reshaped(Unsafe, out, [m * n for m, n in zip(a, b)]) if out._spec.contiguous else out.reshape([m * n for m,
                                                                                                          n in zip(a,
                                                                                                                   b)])


# ---- chains
def cheapest(sizes):
    """Where to cut a chain of matrices (sizes[i], sizes[i + 1]): {(i, j): k} with the fewest multiplications."""
    n = len(sizes) - 1
    cost, cut = {(i, i): 0 for i in range(n)}, {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], cut[i, j] = min((cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                                        for k in range(i, j))
    return cut


@export("linalg.multi_dot")
def multi_dot(tensors):
    """The product of two or more matrices in the cheapest order; the first and the last may be vectors."""
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    if len(tensors) == 2:
        return matmul(*tensors)
    for name, x in (("first", tensors[0]), ("last", tensors[-1])):
        if x.ndim not in (1, 2):
            raise RuntimeError(f"multi_dot(): the {name} tensor must be 1D or 2D but got {x.ndim}D")
    row, column = tensors[0].ndim == 1, tensors[-1].ndim == 1
    shape = (() if row else (tensors[0].shape[0],)) + (() if column else (tensors[-1].shape[-1],))
    tensors[0] = tensors[0].unsqueeze(0) if row else tensors[0]
    tensors[-1] = tensors[-1].unsqueeze(-1) if column else tensors[-1]
    for number, x in enumerate(tensors):
        if x.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {number} must be 2D but got {x.ndim}D")
        if number and tensors[number - 1].shape[1] != x.shape[0]:
            raise RuntimeError(f"multi_dot(): tensors {number - 1} and {number} with shapes "
                               f"{list(tensors[number - 1].shape)} and {list(x.shape)} cannot be multiplied")
    cut = cheapest([tensors[0].shape[0]] + [x.shape[1] for x in tensors])

    def product(i, j):
        return tensors[i] if i == j else mm(product(i, cut[i, j]), product(cut[i, j] + 1, j))
    return product(0, len(tensors) - 1).view(shape)


@export("chain_matmul()")
def chain_matmul(*matrices):
    """`linalg.multi_dot` of matrices, under its old name."""
    warnings.warn("torch.chain_matmul is deprecated and will be removed in a future PyTorch release. Use "
                  "torch.linalg.multi_dot instead, which accepts a list of two or more tensors rather than multiple "
                  "parameters.", UserWarning,
                  stacklevel=2)
    if len(matrices) == 1 and not isinstance(matrices[0], Tensor):
        matrices = matrices[0]
    for x in matrices:
        if x.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {x.ndim}, expected 2 instead.")
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


# ---- and the rest
class Trace(Op):
    """The sum of a matrix's diagonal."""
    inputs     = ("input",)
    grad_input = lambda g, shape: g * functions["eye"](*shape, dtype=g.dtype, device=g.device)

    @classmethod
    def call(cls, input):
        with no_grad():
            out = input.diagonal().sum()
        if mode.grad:
            record(cls, (input,), {}, out)
        return out


@export("trace", out=False)
def trace(input):
    """The sum of the elements of a matrix's diagonal."""
    check_tensors("trace", input=input)
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    no_names(input, "trace")
    refuse_bool(input, "trace")
    return Trace.call(input)


class LinalgCross(Op):
    """The vector product of vectors with three elements along `dim`."""
    cuda = "cross.cross"

    def cpu(input, other, *, dim):
        a, b = (np.moveaxis(x, dim, 0) for x in np.broadcast_arrays(input, other))
        out = np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
        return np.ascontiguousarray(np.moveaxis(out, 0, dim))
    grad_input = lambda g, other, dim: cross(other, g, dim=dim)
    grad_other = lambda g, input, dim: cross(g, input, dim=dim)


@export("linalg.cross")
def cross(input, other, *, dim=-1):
    """The vector product along `dim`, which must have three elements; other dimensions are broadcast."""
    check_tensors("linalg_cross", input=input, other=other)
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    given, dim = dim, layout.normalize_dim(dim, input.ndim) - input.ndim
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        with no_grad():
            layout.broadcast_shapes(input.shape, other.shape)
        raise RuntimeError(f"linalg.cross: inputs dimension {given} must have length 3. Got {input.shape[dim]} and "
                           f"{other.shape[dim]}")
    layout.broadcast_shapes(input.shape, other.shape)
    if input.dtype is not other.dtype:
        raise RuntimeError(f"expected scalar type {input.dtype.legacy_name} but found {other.dtype.legacy_name}")
    refuse_bool(input, "cross")
    common_backend((input, other))
    return LinalgCross.call(input, other, dim=dim)


@export("cross")
def _cross(input, other, dim=None):
    """The vector product along `dim`, or along the first dimension with three elements."""
    check_tensors("cross", input=input, other=other)
    if dim is None:
        warnings.warn("Using torch.cross without specifying the dim arg is deprecated.\n"
                      "Please either pass the dim explicitly or simply use torch.linalg.cross.\n"
                      "The default value of dim will change to agree with that of linalg.cross in a future release.",
                      UserWarning, stacklevel=2)
        if input.ndim == other.ndim:
            dim = next((d for d, size in enumerate(input.shape) if size == 3), None)
            if dim is None:
                raise RuntimeError("no dimension of size 3 in input")
    return cross(input, other, dim=-1 if dim is None else dim)


@export("nn.functional.bilinear", out=False)
def bilinear(input1, input2, weight, bias=None):
    """input1 @ weight[k] @ input2 for every output k: weight is (out, in1, in2)."""
    check_tensors("bilinear", input1=input1, input2=input2, weight=weight)
    for number, x in enumerate((input1, input2), 1):
        if x.shape[-1] != weight.shape[number]:
            raise RuntimeError(f"bilinear(): input{number} size does not match weight size: got {x.shape[-1]} but "
                               f"expected {weight.shape[number]}")
    rows1, rows2 = (x.reshape(-1, x.shape[-1]) for x in (input1, input2))
    out = einsum("bi,oij,bj->bo", rows1, weight, rows2).reshape(*input1.shape[:-1], weight.shape[0])
    return out if bias is None else out + bias
