"""embedding and one_hot: integers as rows of a table, and as rows of zeros with a one.

The table's gradient is the rows' gradients added up where the integers say.
"""
from __future__ import annotations

import numpy as np

from ..core.export import export, functions
from ..core.leaf import kind_of
from ..core.mode import no_grad
from ..core.op import Op, common_backend
from ..core.tensor import Tensor
from .matmul import check_tensors
from .norm import vector_norm
from .views import no_names


class Embedding(Op):
    """weight[indices]; with `hide` the rows of padding_idx read as zeros."""
    def cpu(weight, indices, *, padding_idx, scale_grad_by_freq, hide=False):
        if indices.size and not indices.astype(np.uint64).max() < weight.shape[0]:       # negative ones are huge, too
            raise IndexError("index out of range in self")
        out = weight.take(indices, 0)
        if hide and padding_idx >= 0:
            out[indices == padding_idx] = 0
        if hide and scale_grad_by_freq:
            out /= counts(indices, weight.shape[0])[indices][..., None]
        return np.asarray(out)
    cuda = "embedding.embedding"
    grad_weight = lambda g, indices, shape, padding_idx, scale_grad_by_freq: EmbeddingDenseBackward.call(
        g, indices, rows=shape[0], padding_idx=padding_idx, scale_grad_by_freq=scale_grad_by_freq)


class EmbeddingDenseBackward(Op):
    """A table of zeros with the rows of g added where the indices say; the row of padding_idx stays zero."""
    def cpu(g, indices, *, rows, padding_idx, scale_grad_by_freq):
        out = np.zeros((rows, g.shape[-1]), g.dtype)
        flat, each = indices.reshape(-1), g.reshape(indices.size, g.shape[-1])
        order = np.argsort(flat, kind="stable")
        found, starts = np.unique(flat[order], return_index=True)
        if found.size:
            out[found] = np.add.reduceat(each[order], starts, axis=0)
        if scale_grad_by_freq:
            out /= np.maximum(counts(indices, rows), 1)[:, None]
        if padding_idx >= 0:
            out[padding_idx] = 0
        return out
    cuda = "embedding.embedding_dense_backward"
    grad_g = lambda g, indices, padding_idx, scale_grad_by_freq: Embedding.call(
        g, indices, padding_idx=padding_idx, scale_grad_by_freq=scale_grad_by_freq, hide=True)


def counts(indices, rows):
    return np.bincount(indices.reshape(-1), minlength=rows)


@export("nn.functional.embedding", out=False)
def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` (num_embeddings, size) that the integers `input` name: shape (*input.shape, size).

    The row `padding_idx` gets no gradient. With `max_norm` rows that are longer are first shortened, in place.
    """
    check_tensors("embedding", input=input, weight=weight)
    for x in (input, weight):
        no_names(x, "embedding")
    if not weight.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= weight.shape[0]
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    if input.dtype.name not in ("int64", "int32"):
        found = "CPUBoolType" if input.dtype.name == "bool" else kind_of(input)
        raise RuntimeError("Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, "
                           f"Int; but got {found} instead (while checking arguments for embedding)")
    if not weight.shape[0] and input.numel():
        raise RuntimeError("index_select(): self indexing axis dim should be positive")
    if sparse:
        raise RuntimeError("embedding: sparse gradients are not supported, use sparse=False")
    common_backend((weight, input))
    if max_norm is not None:
        shorten(weight, input, max_norm, norm_type)
    return Embedding.call(weight, input, padding_idx=-1 if padding_idx is None else padding_idx,
                          scale_grad_by_freq=scale_grad_by_freq)


def shorten(weight, indices, max_norm, norm_type):
    """Rows that are used and longer than max_norm are scaled down to it."""
    with no_grad():
        used = indices.unique().long()
        rows = weight.index_select(0, used)
        norms = vector_norm(rows.double(), norm_type, 1, keepdim=True)
        factors = (max_norm / (norms + 1e-7)).to(weight.dtype).where(norms > max_norm, 1)
        weight.index_copy_(0, used, rows * factors)


@export("nn.functional.one_hot", out=False)
def one_hot(tensor, num_classes=-1):
    """Integers as rows of zeros with a one at their place: (*) -> (*, num_classes); -1 takes as many as needed."""
    if not isinstance(tensor, Tensor) or tensor.dtype.name != "int64":
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    found = tensor._host()
    if not found.size:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
    elif found.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    elif num_classes == -1:
        num_classes = int(found.max()) + 1
    elif found.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    classes = functions["arange"](num_classes, device=tensor.device)
    return (tensor.unsqueeze(-1) == classes).to(tensor.dtype)
