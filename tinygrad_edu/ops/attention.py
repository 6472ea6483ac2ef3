"""Attention: averages of values, weighted by how well queries and keys agree. Put together from other ops."""
from __future__ import annotations

import math

from ..core import dtypes
from ..core.export import export, functions
from .matmul import c_name, check_tensors


@export("nn.functional.scaled_dot_product_attention", out=False)
def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None,
                                 enable_gqa=False):
    """softmax(query @ key.mT * scale + mask) @ value: (*, L, E), (*, S, E), (*, S, V) -> (*, L, V).

    A boolean mask says what may be looked at, a floating one is added; is_causal hides what comes later. `scale` is
    1 / sqrt(E) unless given. A query that may look at nothing gets zeros.
    """
    check_tensors("scaled_dot_product_attention", query=query, key=key, value=value)
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError("Expected query, key, and value to have the same dtype, but got query.dtype: "
                           f"{c_name(query)} key.dtype: {c_name(key)} and value.dtype: {c_name(value)} instead.")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError("Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
                           f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead.")
    if attn_mask is not None and attn_mask.dtype not in (dtypes.bool_, dtypes.float32, query.dtype):
        raise RuntimeError("Expected attn_mask dtype to be bool or float or to match query dtype, but got "
                           f"attn_mask.dtype: {c_name(attn_mask)} and  query.dtype: {c_name(query)} instead.")
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:                                 # several queries share one head of keys and values
        if query.shape[-3] % key.shape[-3] or query.shape[-3] % value.shape[-3]:
            raise RuntimeError("Number of heads in key and value must divide the number of heads in ")
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    scores = (query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)) @ key.mT       # (*, L, S)
    if is_causal:
        earlier = functions["ones"](*scores.shape[-2:], dtype=dtypes.bool_, device=query.device).tril()
        scores = scores.masked_fill(earlier.logical_not(), -math.inf)
    if attn_mask is not None:
        if attn_mask.dtype is dtypes.bool_:
            scores = scores.masked_fill(attn_mask.logical_not(), -math.inf)
        else:
            scores = scores + attn_mask.to(scores.dtype)
    weights = safe_softmax(scores) if attn_mask is not None else scores.softmax(-1)
    if dropout_p:
        weights = functions["nn.functional.dropout"](weights, dropout_p)
    return weights @ value


def safe_softmax(scores):
    """softmax, with zeros instead of nan in rows that are -inf throughout."""
    nothing = (scores == -math.inf).all(-1, keepdim=True)
    if not bool(nothing.any()):
        return scores.softmax(-1)
    return scores.masked_fill(nothing, 0).softmax(-1).masked_fill(nothing, 0)
