"""Names of dimensions: views that differ in their names, or in the order that names ask for.

The rules are in core.names; here they meet tensors.
"""
from __future__ import annotations

from ..core import names
from ..core.export import export
from ..core.tensor import Tensor
from .views import alias, bare, give_names, permute, unsqueeze


# ---- names of dimensions: views that differ in their names only
@export(".rename")
def rename(input, *args, **kwargs):
    """The same tensor with other names of dimensions: `rename('N', 'C')`, `rename(None)`, `rename(N='batch')`."""
    old = input._spec.names if input._spec.names is not None else (None,) * input.ndim
    return alias(input, names.rename(old, args, kwargs))


@export(".refine_names")
def refine_names(input, *names_):
    """Names for dimensions that have none: `refine_names('N', ..., 'C')`."""
    return alias(input, names.refine(input.names, names_))


@export(".align_to")
def align_to(input, *order):
    """Dimensions in the order of these names; a name that the input lacks becomes a dimension of size one."""
    places, result = names.alignment(input.names, order)
    x = permute(bare(input), [p for p in places if p is not None])
    for at, place in enumerate(places):
        if place is None:
            x = unsqueeze(x, at)
    return give_names(x, result)


@export(".align_as")
def align_as(input, other):
    """Dimensions in the order of another tensor's names."""
    return align_to(input, *other.names)


@export("align_tensors()")
def align_tensors(*tensors):
    """All tensors in the order of the names of the one with the most dimensions."""
    longest = max(tensors, key=lambda t: t.ndim)
    return tuple([align_to(t, *longest.names) for t in tensors])


def _set_names(x, value):
    x._spec = alias(x, None if value is None else names.validate(value, x.ndim))._spec


Tensor.names = Tensor.names.setter(_set_names)
