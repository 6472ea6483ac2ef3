"""Samples of the softmax family."""
from __future__ import annotations

from . import normal, sample

sample("softmax", "torch.softmax(x, 1)", x=normal(3, 4))
sample("softmax", "x.softmax(0)", x=normal(2, 3, 4))
sample("softmax", "torch.softmax(x, -1, dtype=torch.float64)", x=normal(3, 4))
sample("softmax", "torch.softmax(x * 100, 0)", x=normal(3, 4))
sample("log_softmax", "torch.log_softmax(x, 1)", x=normal(3, 4))
sample("log_softmax", "x.log_softmax(0)", x=normal(2, 3, 4))
sample("log_softmax", "torch.log_softmax(x * 100, 0)", x=normal(3, 4))
sample("nn.functional.softmax", "torch.nn.functional.softmax(x, dim=1)", x=normal(3, 4))
sample("nn.functional.log_softmax", "torch.nn.functional.log_softmax(x, dim=-1)", x=normal(3, 4))
sample("nn.functional.softmin", "torch.nn.functional.softmin(x, dim=1)", x=normal(3, 4))
