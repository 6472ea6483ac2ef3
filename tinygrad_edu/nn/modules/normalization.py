"""Normalisation within one sample: mean 0 and variance 1 over some dimensions, then a learned factor and summand.

Source: https://pytorch.org/docs/stable/nn.html#normalization-layers
"""
from __future__ import annotations

from .. import functional as F
from ..module import Module
from ._utils import empty_parameter, reset_affine, single


class LayerNorm(Module):
    """Over the last dimensions, which must have the shape `normalized_shape`."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape, self.eps, self.elementwise_affine = single(normalized_shape), eps, elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(name, empty_parameter(self.normalized_shape, device, dtype, wanted))
        self.reset_parameters()

    def reset_parameters(self):
        """Set the factors to one and the summands to zero."""
        reset_affine(self.weight, self.bias)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
                f"bias={self.bias is not None}")


class RMSNorm(Module):
    """Like LayerNorm, without taking off the mean: x / sqrt(mean(x^2) + eps)."""

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape, self.eps, self.elementwise_affine = single(normalized_shape), eps, elementwise_affine
        self.register_parameter("weight", empty_parameter(self.normalized_shape, device, dtype, elementwise_affine))
        self.reset_parameters()

    def reset_parameters(self):
        """Set the factors to one."""
        reset_affine(self.weight, None)

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Over groups of channels and all positions.  input: (batch, channels, ...)"""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, empty_parameter((num_channels,), device, dtype, wanted))
        self.reset_parameters()

    def reset_parameters(self):
        """Set the factors to one and the summands to zero."""
        reset_affine(self.weight, self.bias)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
                f"bias={self.bias is not None}")
