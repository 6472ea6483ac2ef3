"""Dropout: elements or whole channels set to zero at random, the others scaled up.

Its derivative is that of the product it is; nothing here is on the tape by itself.
"""
from __future__ import annotations

import warnings

from ..core.export import export
from ..core.op import Op
from .create import constant, like
from .generators import draws, stream_of
from .random import bernoulli_


class NativeDropout(Op):
    """Dropout in one kernel. No mask is kept: the same key drops the same elements of the gradient."""
    inputs, parameters, names = ("x",), ("p", "key"), "keep"
    cuda   = "random.dropout"
    grad_x = lambda g, p, key: NativeDropout.call(g, p=p, key=key)


def _noise(input, p, shape=None):
    """1 / (1 - p) where an element stays, 0 where it is dropped."""
    made = like(input.detach(), None) if shape is None else constant("empty", shape, None, input.dtype, input.device)
    return bernoulli_(made, 1 - p).div_(1 - p)


def _drop(input, p, train, inplace=False, features=False):
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    if p == 0 or not train or not input.numel():
        return input
    if p == 1:
        noise = input.new_zeros(())
    elif features:
        if input.ndim < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        noise = _noise(input, p, (*input.shape[:2], *(1,) * (input.ndim - 2)))
    elif draws(input._spec.backend) and not inplace and input.is_floating_point():
        return NativeDropout.call(input, p=p, key=stream_of(None, "dropout", input).key(input.numel()))
    else:
        noise = _noise(input, p)
    return input.mul_(noise) if inplace else input.mul(noise)


@export("dropout()", out=False)
def dropout(input, p, train):
    """Zero each element with probability p, and scale the others by 1 / (1 - p); nothing unless `train`."""
    return _drop(input, p, train)


@export("feature_dropout()", out=False)
def feature_dropout(input, p, train):
    """Zero whole channels (dimension 1) with probability p."""
    return _drop(input, p, train, features=True)


def _check_p(p):
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


@export("nn.functional.dropout", out=False)
def functional_dropout(input, p=0.5, training=True, inplace=False):
    """Zero each element with probability p, and scale the others by 1 / (1 - p); nothing unless `training`."""
    _check_p(p)
    return _drop(input, p, training, inplace)


def _channel_dropout(dims):
    """nn.functional.dropout1d, 2d and 3d: whole channels of data with that many dimensions of space."""
    name, batched = f"dropout{dims}d", dims + 2

    def channels(input, p=0.5, training=True, inplace=False):
        _check_p(p)
        if input.ndim not in (batched - 1, batched):
            told = (f"{name}: Expected {batched - 1}D or {batched}D input, but received a {input.ndim}D input. Note "
                    f"that {name} exists to provide channel-wise dropout on inputs with {dims} spatial "
                    f"dimension{'s' if dims > 1 else ''}, a channel dimension, and an optional batch dimension (i.e. "
                    f"{batched - 1}D or {batched}D inputs).")
            if dims == 1:
                raise RuntimeError(told)
            warnings.warn(f"{name}: Received a {input.ndim}-D input to {name}, which is deprecated and will result in "
                          "an error in a future release. To retain the behavior and silence this warning, please use "
                          f"dropout instead. Note that {name} exists to provide channel-wise dropout on inputs with "
                          f"{dims} spatial dimensions, a channel dimension, and an optional batch dimension (i.e. "
                          f"{batched - 1}D or {batched}D inputs).", UserWarning,
                          stacklevel=2)
        if dims == 2 and input.ndim == 3:
            warnings.warn("dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
                          "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel dim. "
                          "This behavior will change in a future release to interpret the input as one without a batch "
                          "dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise dropout behavior, please "
                          "switch to using dropout1d instead.", UserWarning,
                          stacklevel=2)
        alone = dims != 2 and input.ndim == batched - 1              # no batch; dropout2d takes it for (N, C, L)
        if alone:
            input = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
        made = _drop(input, p, training, inplace, features=True)
        return (made.squeeze_(0) if inplace else made.squeeze(0)) if alone else made
    channels.__name__, channels.__doc__ = name, f"Zero whole channels of {dims}-dimensional data with probability p."
    export(f"nn.functional.{name}", out=False)(channels)


for _dims in (1, 2, 3):
    _channel_dropout(_dims)
