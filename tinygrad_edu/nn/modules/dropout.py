"""Dropout: while training, some numbers are set to zero at random and the others made larger.

Source: https://pytorch.org/docs/stable/nn.html#dropout-layers
"""
from __future__ import annotations

from .. import functional as F
from ..module import Module


class _Dropout(Module):
    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Each number becomes zero with probability p, or 1 / (1 - p) times itself."""

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Whole channels become zero.  input: (batch, channels, length)"""

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Whole channels become zero.  input: (batch, channels, height, width)"""

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace)
