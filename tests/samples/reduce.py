"""Samples of reductions: sums, products, extremes, variances, norms, truth."""
from __future__ import annotations

from . import booleans, distinct, integers, normal, positive, sample

COMPOSED = "ours is a subtraction and a norm, torch's one node"

# ---- sums and means
sample("sum", "torch.sum(x)", x=normal(3, 4))
sample("sum", "torch.sum(x.t())", x=normal(3, 4))
sample("sum", "torch.sum(x, 1)", x=normal(3, 4))
sample("sum", "torch.sum(x, (0, -1), keepdim=True)", x=normal(2, 3, 4))
sample("sum", "x.sum(dim=0, dtype=torch.float64)", x=normal(3, 4))
sample("sum", "torch.sum(x)", x=integers(5, 4))
sample("sum", "torch.sum(x, 0)", x=booleans(3, 4))
sample("mean", "torch.mean(x)", x=normal(3, 4))
sample("mean", "torch.mean(x.t())", x=normal(3, 4))
sample("mean", "torch.mean(x, 0)", x=normal(3, 4))
sample("mean", "x.mean((0, 2), keepdim=True)", x=normal(2, 3, 4))
sample("mean", "x.mean(dtype=torch.float64)", x=integers(3, 4))
sample("nansum", "torch.nansum(torch.where(x > 1, float('nan'), x))", x=normal(3, 4))
sample("nansum", "torch.nansum(torch.where(x > 1, float('nan'), x), 1, keepdim=True)", x=normal(3, 4))
sample("nanmean", "torch.nanmean(torch.where(x > 1, float('nan'), x))", x=normal(3, 4))
sample("nanmean", "torch.nanmean(torch.where(x > 1, float('nan'), x), 1, keepdim=True)", x=normal(3, 4))
sample("count_nonzero", "torch.count_nonzero(x)", x=integers(3, 4))
sample("count_nonzero", "torch.count_nonzero(x, dim=(0, 2))", x=integers(2, 3, 4, low=0, high=2))

# ---- products
sample("prod", "torch.prod(x)", x=normal(3, 4))
sample("prod", "torch.prod(x, 1)", x=normal(3, 4))
sample("prod", "x.prod(-2, keepdim=True)", x=normal(2, 3, 4))
sample("prod", "torch.prod(x)", x=integers(5, low=1))
sample("prod", "torch.prod(x * m)", x=normal(5), m=integers(5, low=1, high=3))
sample("prod", "torch.prod(torch.cat([x[:2], x[:1] * 0, x[2:]]))", x=normal(5))
sample("prod", "torch.prod(torch.cat([x[:2], x[:2] * 0, x[2:]]), 0)", x=normal(4, 3))
sample("prod", "torch.prod(torch.cat([x[:2], x[:1] * 0, x[2:]]), 0)", x=normal(4, 3))

# ---- truth
sample("any", "torch.any(x)", x=booleans(3, 4))
sample("any", "torch.any(x, 1)", x=booleans(3, 4))
sample("any", "x.any((0, 2), keepdim=True)", x=integers(2, 3, 4, low=0, high=2))
sample("all", "torch.all(x)", x=booleans(3, 4))
sample("all", "torch.all(x, 1)", x=integers(3, 4, low=0, high=3))
sample("all", "x.all((0, 2), keepdim=True)", x=booleans(2, 3, 4))

# ---- extremes
sample("max", "torch.max(x)", x=distinct(3, 4))
sample("max", "torch.max(x, 1)", x=distinct(3, 4))
sample("max", "x.max(0, keepdim=True)", x=distinct(2, 3, 4))
sample("max", "torch.max(x, y)", x=normal(3, 4), y=normal(4))
sample("max", "torch.max(x, 0)", x=integers(3, 4))
sample("max", "torch.max(torch.cat([x, x]))", x=distinct(3, 4), why="equal largest elements share the gradient")
sample("min", "torch.min(x)", x=distinct(3, 4))
sample("min", "torch.min(x, 1)", x=distinct(3, 4))
sample("min", "x.min(0, keepdim=True)", x=distinct(2, 3, 4))
sample("min", "torch.min(x, y)", x=normal(3, 4), y=normal(4))
sample("amax", "torch.amax(x)", x=distinct(3, 4))
sample("amax", "torch.amax(x, (0, 2), keepdim=True)", x=distinct(2, 3, 4))
sample("amax", "torch.amax(torch.cat([x, x], 1), 1)", x=distinct(3, 4), why="equal largest elements share the gradient")
sample("amin", "torch.amin(x)", x=distinct(3, 4))
sample("amin", "torch.amin(x, (0, 2))", x=distinct(2, 3, 4))
sample("aminmax", "torch.aminmax(x)", x=distinct(3, 4))
sample("aminmax", "torch.aminmax(x, dim=1, keepdim=True)", x=distinct(3, 4))
sample("argmax", "torch.argmax(x)", x=distinct(3, 4))
sample("argmax", "torch.argmax(x, 1, keepdim=True)", x=distinct(3, 4))
sample("argmax", "torch.argmax(x, 0)", x=integers(5, 4, low=0, high=3))
sample("argmin", "torch.argmin(x, keepdim=True)", x=distinct(3, 4))
sample("argmin", "torch.argmin(x, 0)", x=distinct(3, 4))

# ---- variances
sample("var", "torch.var(x)", x=normal(3, 4))
sample("var", "torch.var(x, 1, keepdim=True)", x=normal(3, 4))
sample("var", "torch.var(x, (0, 2), correction=0)", x=normal(2, 3, 4))
sample("var", "torch.var(x, 0, False)", x=normal(3, 4))
sample("std", "torch.std(x)", x=normal(3, 4))
sample("std", "torch.std(x, 1, keepdim=True)", x=normal(3, 4))
sample("std", "torch.std(x, (0, 2), correction=0.5)", x=normal(2, 3, 4))
sample("std", "torch.std(x, unbiased=False)", x=normal(3, 4))
sample("var_mean", "torch.var_mean(x)", x=normal(3, 4))
sample("var_mean", "torch.var_mean(x, 1, correction=0, keepdim=True)", x=normal(3, 4))
sample("std_mean", "torch.std_mean(x)", x=normal(3, 4))
sample("std_mean", "torch.std_mean(x, (0, 2))", x=normal(2, 3, 4))

# ---- logarithms of sums
sample("logsumexp", "torch.logsumexp(x, 1)", x=normal(3, 4))
sample("logsumexp", "torch.logsumexp(x, (0, 2), keepdim=True)", x=normal(2, 3, 4))
sample("logsumexp", "torch.logsumexp(x * 100, 0)", x=normal(3, 4))
sample("logsumexp", "torch.logsumexp(x, 0)", x=integers(3, 4))


# ---- norms and distances
sample("norm", "torch.norm(x)", x=normal(3, 4))
sample("norm", "torch.norm(x, 1)", x=normal(3, 4))
sample("norm", "torch.norm(x, dim=1)", x=normal(3, 4))
sample("norm", "torch.norm(x, 3, (0, 2), keepdim=True)", x=normal(2, 3, 4))
sample("norm", "torch.norm(x, 1.5, 0)", x=normal(3, 4))
sample("norm", "torch.norm(x, 0.5, 0)", x=positive(3, 4))
sample("norm", "torch.norm(x, float('inf'), 1)", x=distinct(3, 4), why="no two of equal size, or the norm had a kink")
sample("linalg.norm", "torch.linalg.norm(x)", x=normal(3, 4))
sample("linalg.norm", "torch.linalg.norm(x, 1)", x=normal(3, 4))
sample("linalg.norm", "torch.linalg.norm(x, -float('inf'), dim=(0, 2), keepdim=True)", x=normal(2, 3, 4))
sample("linalg.norm", "torch.linalg.norm(x, 3, dim=1)", x=normal(3, 4))
sample("linalg.vector_norm", "torch.linalg.vector_norm(x)", x=normal(3, 4))
sample("linalg.vector_norm", "torch.linalg.vector_norm(x, 0, dim=1)", x=normal(3, 4, grad=False))
sample("linalg.vector_norm", "torch.linalg.vector_norm(x, -1, dim=1)", x=normal(3, 4))
sample("linalg.vector_norm", "torch.linalg.vector_norm(x, 2, dim=(0, 1), keepdim=True, dtype=torch.float64)",
       x=normal(3, 4))
sample("linalg.matrix_norm", "torch.linalg.matrix_norm(x)", x=normal(2, 3, 4))
sample("linalg.matrix_norm", "torch.linalg.matrix_norm(x, float('inf'), keepdim=True)", x=normal(2, 3, 4))
sample("linalg.matrix_norm", "torch.linalg.matrix_norm(x, -1, (0, 1))", x=normal(2, 3, 4))
sample("dist", "torch.dist(x, y)", x=normal(3, 4), y=normal(4), node=False, why=COMPOSED)
sample("dist", "torch.dist(x, y, 1)", x=normal(3, 4), y=positive(3, 4), node=False, why=COMPOSED)
sample("cdist", "torch.cdist(x, y)", x=normal(2, 3, 4), y=normal(2, 5, 4), node=False, dtypes=("float64", "float32"),
       why=COMPOSED + ", which torch has for float32 and float64 only")
sample("cdist", "torch.cdist(x, y, 3.0)", x=normal(3, 4), y=normal(5, 4), node=False, dtypes=("float64", "float32"),
       why=COMPOSED + ", which torch has for float32 and float64 only")
sample("pairwise_distance", "torch.pairwise_distance(x, y)", x=normal(3, 4), y=normal(4), node=False, why=COMPOSED)
sample("nn.functional.pairwise_distance", "torch.nn.functional.pairwise_distance(x, y, p=3, keepdim=True)",
       x=normal(3, 4), y=normal(3, 4), node=False, why=COMPOSED)
sample("nn.functional.normalize", "torch.nn.functional.normalize(x)", x=normal(3, 4))
sample("nn.functional.normalize", "torch.nn.functional.normalize(x, p=3, dim=0)", x=normal(3, 4))
sample("cosine_similarity", "torch.cosine_similarity(x, y)", x=normal(3, 4), y=normal(3, 4))
sample("nn.functional.cosine_similarity", "torch.nn.functional.cosine_similarity(x, y, dim=0)",
       x=normal(3, 4), y=normal(3, 1))
