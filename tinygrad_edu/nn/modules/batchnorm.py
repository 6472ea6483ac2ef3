"""Normalisation over the batch: mean 0 and variance 1 per channel while training, running statistics afterwards.

Source: https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
"""
from __future__ import annotations

from ...core import dtypes
from ...core.export import functions
from .. import functional as F
from ..module import Module
from ._utils import empty_parameter, reset_affine


class _BatchNorm(Module):
    """momentum is the share of a new batch in the running statistics; None: all batches count the same."""
    _version = 2                                   # 1 did not have num_batches_tracked
    ndims, expected = (), ""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None,
                 dtype=None, *, bias=True):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, empty_parameter((num_features,), device, dtype, wanted))
        statistics = (None,) * 3
        if track_running_stats:
            statistics = (functions["zeros"](num_features, device=device, dtype=dtype),
                          functions["ones"](num_features, device=device, dtype=dtype),
                          functions["zeros"]((), device=device, dtype=dtypes.int64))
        for name, value in zip(("running_mean", "running_var", "num_batches_tracked"), statistics):
            self.register_buffer(name, value)
        self.reset_parameters()

    def reset_running_stats(self):
        """Forget what was seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Forget what was seen and learned."""
        self.reset_running_stats()
        reset_affine(self.weight, self.bias)

    def _check_input_dim(self, input):
        if input.ndim not in self.ndims:
            raise ValueError(f"expected {self.expected} input (got {input.ndim}D input)")

    def forward(self, input):
        self._check_input_dim(input)
        share = self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if share is None:
                share = 1.0 / float(self.num_batches_tracked)
        seen = not self.training or self.track_running_stats
        mean, var = (self.running_mean, self.running_var) if seen else (None, None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, self.training or mean is None and var is None,
                            0.0 if share is None else share, self.eps)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        key = prefix + "num_batches_tracked"
        if (local_metadata.get("version") or 1) < 2 and self.track_running_stats and key not in state_dict:
            state_dict[key] = self.num_batches_tracked
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")


class BatchNorm1d(_BatchNorm):
    """input: (batch, channels) or (batch, channels, length)"""
    ndims, expected = (2, 3), "2D or 3D"


class BatchNorm2d(_BatchNorm):
    """input: (batch, channels, height, width)"""
    ndims, expected = (4,), "4D"
