"""Samples of scans: running sums, products, extremes, and differences."""
from __future__ import annotations

from . import EVERY, distinct, integers, normal, sample

NUMBERS = EVERY[:-1]
SCALED = "torch divides by a number through another overload"

sample("cumsum", "torch.cumsum(x, 1)", x=normal(3, 4))
sample("cumsum", "x.cumsum(0, dtype=torch.float64)", x=normal(3, 4))
sample("cumsum", "torch.cumsum(x, -2)", x=integers(3, 4))
sample("cumsum_", "x.clone().cumsum_(0)", x=normal(3, 4), dtypes=NUMBERS, why="another refusal of bool")
sample("cumprod", "torch.cumprod(x, 1)", x=normal(3, 4))
sample("cumprod", "torch.cumprod(x, 0)", x=integers(3, 4))
sample("cumprod", "torch.cumprod(torch.cat([x[:2], x[:1] * 0, x[2:]]), 0)", x=normal(4, 3))
sample("cumprod", "torch.cumprod(torch.cat([x[:2], x[:2] * 0, x[2:]]), 0)", x=normal(4, 3))
sample("cumprod_", "x.clone().cumprod_(0)", x=normal(3, 4), dtypes=NUMBERS, why="another refusal of bool")
sample("cummax", "torch.cummax(x, 1)", x=distinct(3, 4))
sample("cummax", "torch.cummax(x, 0)", x=integers(5, 4, low=0, high=3))
sample("cummin", "torch.cummin(x, 0)", x=distinct(3, 4))
sample("logcumsumexp", "torch.logcumsumexp(x, 1)", x=normal(3, 4))
sample("logcumsumexp", "torch.logcumsumexp(x * 100, 0)", x=normal(4, 3))
sample("diff", "torch.diff(x)", x=normal(3, 4))
sample("diff", "torch.diff(x, 2, 0)", x=normal(4, 3))
sample("diff", "torch.diff(x, 1, 0, y, z)", x=normal(4, 3), y=normal(1, 3), z=normal(2, 3))
sample("diff", "torch.diff(x > 0)", x=integers(3, 6))
sample("trapezoid", "torch.trapezoid(x, dx=0.5)", x=normal(3, 4), node=False, why=SCALED)
sample("trapezoid", "torch.trapezoid(x, y, dim=0)", x=normal(3, 4), y=normal(3), node=False, why=SCALED)
sample("trapz", "torch.trapz(x, y)", x=normal(3, 4), y=normal(3, 4), node=False, why=SCALED)
sample("cumulative_trapezoid", "torch.cumulative_trapezoid(x)", x=normal(3, 4), node=False, why=SCALED)
sample("cumulative_trapezoid", "torch.cumulative_trapezoid(x, y)", x=normal(3, 4), y=normal(4), node=False, why=SCALED)
