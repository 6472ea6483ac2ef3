"""Names of dimensions: the rules by which they are checked, matched and carried along.

Nothing in this file knows what a tensor is: names are a tuple of str or None, one per dimension.
Source: https://docs.pytorch.org/docs/2.12/name_inference.html (torch 2.13 no longer has them)
"""
from __future__ import annotations

from .layout import normalize_dim


def show(names):
    """['N', None], as torch's errors print names."""
    return "[" + ", ".join("None" if n is None else f"'{n}'" for n in names) + "]"


def check_name(name):
    if name is not None and not isinstance(name, str):
        raise TypeError(f"names must be strings or None, but found {type(name).__name__}")
    if name is not None and not (name.isidentifier() and name.isascii()):
        raise RuntimeError("Invalid name: a valid identifier contains only digits, alphabetical characters, and/or "
                           f"underscore and starts with a non-digit. got: '{name}'.")


def validate(names, ndim):
    """Names given to a constructor, as a tuple; None if every one of them is None."""
    if not isinstance(names, (tuple, list)):
        raise TypeError(f"names must be a tuple or list of names, not {type(names).__name__}")
    names = tuple(names)
    for name in names:
        check_name(name)
    if len(names) != ndim:
        raise RuntimeError(f"Number of names ({len(names)}) and number of dimensions in tensor ({ndim}) do not match. "
                           f"Attempted to create a tensor with names {show(names)}")
    given = [n for n in names if n is not None]
    if len(set(given)) != len(given):
        raise RuntimeError(f"Cannot construct a tensor with duplicate names. Got names: {show(names)}.")
    return names if given else None


def dim_index(names, name):
    """The place of a dimension given by name."""
    if name is None:
        raise RuntimeError("Please look up dimensions by name, got: name = None.")
    if name not in names:
        raise RuntimeError(f"Name '{name}' not found in Tensor{show(names)}.")
    return names.index(name)


def unify(first, second, repair=False):
    """Names of a result of two operands, matched position by position from the right; None matches all.

    `repair`: the operands are whole tensors a and b, so that the error may say which of them to align.
    """
    both = f"dims {show(first)} and dims {show(second)}"
    out = []
    for back in range(1, max(len(first), len(second)) + 1):
        a = first[-back] if back <= len(first) else None
        b = second[-back] if back <= len(second) else None
        if a is not None and b is not None and a != b:
            raise RuntimeError(f"Error when attempting to broadcast {both}: dim '{a}' and dim '{b}' are at the same "
                               f"position from the right but do not match.{_alignable(first, second) * repair}")
        for name, other, others in ((a, b, second), (b, a, first)):
            if name is not None and other is None and name in others:      # it would have to stand at this place
                raise RuntimeError(f"Misaligned dims when attempting to broadcast {both}: dim '{name}' appears in a "
                                   "different position from the right across both "
                                   f"lists.{_alignable(first, second) * repair}")
        out.append(a if b is None else b)
    return tuple(reversed(out))


def _alignable(first, second):
    """The repair of operands whose names don't match, where all names of one are found in the other."""
    for mine, others, call in ((second, first, "b.align_as(a)"), (first, second, "a.align_as(b)")):
        if None not in mine + others and set(mine) <= set(others):
            return f"\n  with `{call}` dimensions meet by their names"
    return ""


def tidy(names):
    """None where no dimension has a name: an unnamed tensor takes the short paths."""
    return names if names is not None and any(n is not None for n in names) else None


def drop(names, dims, keepdim):
    """Names of a reduction over `dims`."""
    return tidy(names if keepdim else tuple(n for d, n in enumerate(names) if d not in dims))


def mm(first, second):
    """Names of a matrix product: the contracted pair is not compared."""
    out = first[:-1] + second[-1:]
    if len(second) == 1:
        out = first[:-1]
    _no_duplicates(out, first, second)
    return tidy(out)


def matmul(first, second):
    """Names of a batched matrix product: batch dimensions unified, then rows of the one and columns of the other."""
    if len(first) == 1 and len(second) == 1:
        return None
    batch = unify(first[:-2], second[:-2])
    columns = second[-1:] if len(second) > 1 else ()
    rows = first[-2:-1] if len(first) > 1 else ()
    for mine, other, feature, who in ((second[-2:], first[:-2], "second", "first"),
                                      (first[-2:], second[:-2], "first", "second")):
        if any(n is not None and n in other for n in mine):
            raise RuntimeError(f"Misaligned dims when batch matrix multiplying Tensor{show(first)} and "
                               f"Tensor{show(second)}: there is overlap between the feature dims of the {feature} "
                               f"tensor ({show(mine)}) and the batch dims of the {who} tensor ({show(other)}). Please "
                               "ensure batch dims are not present in the feature dims.")
    out = batch + rows + columns
    _no_duplicates(out, first, second)
    return tidy(out)


def _no_duplicates(out, first, second):
    given = [n for n in out if n is not None]
    if len(set(given)) != len(given):
        raise RuntimeError(f"Matrix multiplying Tensor{show(first)} with Tensor{show(second)} would produce output "
                           f"tensor with duplicate names {show(out)}. Please rename the input tensors with "
                           "`Tensor.rename` to prevent this.")


def check_inplace(mine, result):
    """Whether a result may be written into a tensor with these names (None: it has none and takes them)."""
    if mine is not None and mine != result:
        raise RuntimeError(f"Name mismatch: specified out tensor with names {show(mine)} are not the same as the "
                           f"computed output names {show(result or (None,) * len(mine))}. Please rename the out "
                           "tensor's dims with `Tensor.rename`.")


def refuse(op):
    """The sentence of an operation without a rule."""
    return (f"aten::{op} is not yet supported with named tensors. Please drop names via `tensor = "
            "tensor.rename(None)`, call the op with an unnamed tensor, and set names on the result of the operation.")


def _is_ellipsis(name):
    return name is ... or name == "..."


def fill_ellipsis(names, fill, function):
    """`names` with its one Ellipsis replaced by `fill`."""
    places = [i for i, n in enumerate(names) if _is_ellipsis(n)]
    if len(places) > 1:
        raise RuntimeError(f"{function}: More than one Ellipsis ('...') found in names ({list(names)}). This function "
                           "supports up to one Ellipsis.")
    if not places:
        return tuple(names)
    at = places[0]
    return tuple(names[:at]) + tuple(fill) + tuple(names[at + 1:])


def flat(args):
    """Names given one by one, or as one sequence."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else tuple(args)


def rename(old, args, kwargs):
    """What `rename(*args, **kwargs)` makes of the names `old` (None: none at all)."""
    if args and kwargs:
        raise RuntimeError("rename: This function takes either positional args or keyword args, but not both. Use "
                           "tensor.rename(*names) to rename dims by position and tensor.rename(**rename_map) to rename "
                           "by name.")
    if kwargs:
        for name in kwargs:
            if name not in old:
                raise RuntimeError(f"rename: Tried to rename dim '{name}' to dim '{kwargs[name]}' in Tensor{show(old)} "
                                   f"but dim '{name}' does not exist")
        return validate([kwargs.get(n, n) for n in old], len(old))
    if args == (None,):
        return None
    args = flat(args)
    here = next((i for i, n in enumerate(args) if _is_ellipsis(n)), None)
    after = len(args) - here - 1 if here is not None else 0
    fill = old[here:len(old) - after] if here is not None else ()
    return validate(fill_ellipsis(args, fill, "rename"), len(old))


def refine(old, args):
    """What `refine_names(*args)` makes of the names `old`: only unnamed dimensions get one."""
    args = flat(args)
    here = next((i for i, n in enumerate(args) if _is_ellipsis(n)), None)
    after = len(args) - here - 1 if here is not None else 0
    new = fill_ellipsis(args, old[here:len(old) - after] if here is not None else (), "refine_names")
    told = f"refine_names: cannot coerce Tensor{show(old)} to Tensor{show(new)} because "
    if len(new) != len(old):
        raise RuntimeError(f"{told}they have a different number of dims ({len(old)} and {len(new)} respectively).")
    for i, (mine, wanted) in enumerate(zip(old, new)):
        if mine is not None and mine != wanted:
            if wanted is None:
                raise RuntimeError(f"{told}'{mine}' is more specific than None at index {i}")
            raise RuntimeError(f"{told}'{mine}' is different from '{wanted}' at index {i}")
    return validate(new, len(old))


def alignment(old, wanted, function="align_to"):
    """For each wanted name its place among `old`, or None where a dimension of size one is to be made."""
    wanted = flat(wanted)
    for name in old:
        if name is None and not any(map(_is_ellipsis, wanted)):
            raise RuntimeError(f"{function}: input tensor must have named dims, got Tensor{show(old)}: give every "
                               "dimension a name with `refine_names` first")
    for name in wanted:
        if name is None:
            raise RuntimeError(f"{function}: all names in the target order must be given, got None")
    rest = [i for i, n in enumerate(old) if n is None or n not in wanted]
    if rest and not any(map(_is_ellipsis, wanted)):
        raise RuntimeError(f"{function}: Cannot find dim '{old[rest[0]]}' of Tensor{show(old)} in the target order "
                           f"{show(wanted)}: every dimension of the input needs a place")
    places, names = [], []
    for name in wanted:
        if _is_ellipsis(name):
            places += rest
            names += [old[i] for i in rest]
        else:
            places.append(old.index(name) if name in old else None)
            names.append(name)
    return places, validate(names, len(names))


def get(names, ndim):
    """Names as users see them: always a tuple."""
    return (None,) * ndim if names is None else names


def dim_of(names, dim, ndim):
    """A dimension by number or by name, counted from the left."""
    return dim_index(get(names, ndim), dim) if isinstance(dim, str) else normalize_dim(dim, ndim)
