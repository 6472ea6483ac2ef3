"""Samples of sorting, of what is picked from a sorted row, and of counting."""
from __future__ import annotations

from . import FLOATS, distinct, integers, normal, positive, sample, unit

TIES = "as integers some are equal, and torch does not say which of them it takes"
SQUEEZED = "torch squeezes in place at the end"

# ---- orders
sample("sort", "torch.sort(x)", x=distinct(3, 4))
sample("sort", "torch.sort(x, 0, descending=True)", x=distinct(3, 4))
sample("sort", "torch.sort(x, dim=1, stable=True)", x=integers(3, 9, low=0, high=3))
sample("sort", "x.sort(dim=-1, descending=True, stable=True)", x=integers(3, 9, low=0, high=3))
sample("argsort", "torch.argsort(x, dim=0, descending=True)", x=distinct(3, 4))
sample("argsort", "torch.argsort(x, stable=True)", x=integers(3, 9, low=0, high=3))
sample("msort", "torch.msort(x)", x=distinct(3, 4))
sample("topk", "torch.topk(x, 2)", x=distinct(3, 4), dtypes=FLOATS, why=TIES)
sample("topk", "x.topk(2, 0, largest=False)", x=distinct(3, 4), dtypes=FLOATS, why=TIES)

# ---- one of a row
sample("median", "torch.median(x)", x=distinct(3, 4), dtypes=FLOATS, why=TIES)
sample("median", "torch.median(x, 1)", x=distinct(3, 5), dtypes=FLOATS, why=TIES)
sample("median", "x.median(0, keepdim=True)", x=distinct(4, 3), dtypes=FLOATS, why=TIES)
sample("nanmedian", "torch.nanmedian(torch.where(x > 0.33, float('nan'), x))",
       x=distinct(3, 4), dtypes=FLOATS, why=TIES)
sample("nanmedian", "torch.nanmedian(torch.where(x > 0.33, float('nan'), x), 1)",
       x=distinct(3, 4), dtypes=FLOATS, why=TIES)
sample("kthvalue", "torch.kthvalue(x, 2)", x=distinct(3, 4), dtypes=FLOATS, why=TIES)
sample("kthvalue", "torch.kthvalue(x, 3, 0, keepdim=True)", x=distinct(3, 4), dtypes=FLOATS, why=TIES)
sample("mode", "torch.mode(x)", x=integers(3, 9, low=0, high=3))
sample("mode", "torch.mode(x, 0, keepdim=True)", x=distinct(3, 4))
sample("quantile", "torch.quantile(x, 0.3)", x=distinct(3, 4), node=False, why=SQUEEZED)
sample("quantile", "torch.quantile(x, 0.9, dim=1, keepdim=True)", x=distinct(3, 4), node=False, why=SQUEEZED)
sample("quantile", "torch.quantile(x, q, dim=0)", x=distinct(3, 4), q=unit(2, grad=False), node=False, why=SQUEEZED)
sample("quantile", "torch.quantile(x, 0.4, dim=1, interpolation='lower')", x=distinct(3, 4), node=False, why=SQUEEZED)
sample("quantile", "torch.quantile(x, 0.4, dim=1, interpolation='higher')", x=distinct(3, 4), node=False, why=SQUEEZED)
sample("quantile", "torch.quantile(x, 0.4, dim=1, interpolation='midpoint')",
       x=distinct(3, 4), node=False, why=SQUEEZED)
sample("quantile", "torch.quantile(x, 0.4, dim=1, interpolation='nearest')", x=distinct(3, 4), node=False, why=SQUEEZED)
sample("nanquantile", "torch.nanquantile(torch.where(x > 0.33, float('nan'), x), 0.6, dim=1)",
       x=distinct(3, 4), node=False, why=SQUEEZED)

# ---- counting and looking up
sample("unique", "torch.unique(x)", x=integers(3, 4))
sample("unique", "torch.unique(x, return_inverse=True, return_counts=True)", x=integers(3, 4))
sample("unique", "torch.unique(x, return_inverse=True, return_counts=True, dim=0)", x=integers(9, 2, low=0, high=2))
sample("unique_consecutive", "torch.unique_consecutive(x, return_inverse=True, return_counts=True)",
       x=integers(12, low=0, high=2))
sample("unique_consecutive", "torch.unique_consecutive(x, dim=1)", x=integers(1, 12, low=0, high=2))
sample("bincount", "torch.bincount(x)",
       x=integers(9, low=0), dtypes=("int64", "int32", "uint8"), why="for integers only")
sample("bincount", "torch.bincount(x, w, minlength=9)", x=integers(9, low=0), w=normal(9, grad=False))
sample("histc", "torch.histc(x, 5)", x=normal(20, grad=False))
sample("histc", "torch.histc(x, bins=4, min=-1, max=1)", x=normal(20, grad=False), dtypes=FLOATS,
       why="another refusal of uint8")
sample("searchsorted", "torch.searchsorted(x.sort()[0], y)", x=integers(9), y=integers(2, 3))
sample("searchsorted", "torch.searchsorted(x.sort()[0], y, right=True, out_int32=True)",
       x=integers(2, 9), y=integers(2, 3))
sample("searchsorted", "torch.searchsorted(x, y, side='right', sorter=x.argsort())", x=positive(9, grad=False),
       y=positive(4, grad=False))
sample("bucketize", "torch.bucketize(x, torch.tensor([-2, 0, 3], device=x.device))", x=integers(3, 4))
sample("bucketize", "torch.bucketize(x, torch.tensor([-2, 0, 3], device=x.device), right=True)", x=integers(3, 4))
