"""Written by `python -m tinygrad_edu.stubs`: what editors complete. Change the code, then run that."""

import builtins
from typing import Any

from tinygrad_edu.core.layout import Size as Size
from tinygrad_edu.core.tensor import Tensor as Tensor

def cross(input, other, *, dim=-1) -> Tensor:
    """The vector product along `dim`, which must have three elements; other dimensions are broadcast."""
    ...
def matrix_norm(A, ord='fro', dim=..., keepdim=False, *, dtype=None) -> Tensor:
    """The norm of matrices: 'fro', or ord = 1, -1 (sums of columns), inf, -inf (sums of rows)."""
    ...
def multi_dot(tensors) -> Tensor:
    """The product of two or more matrices in the cheapest order; the first and the last may be vectors."""
    ...
def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """A vector norm along one `dim`, a matrix norm along two (both may be implied by A); without `ord` the 2-norm."""
    ...
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """The norm of all elements as one vector, or along `dim`. `dtype`: cast first. A norm of nothing may not exist."""
    ...
