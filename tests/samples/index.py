"""Samples of indexing: x[...], gather and scatter, masks, triangles and diagonals."""
from __future__ import annotations

from . import booleans, integers, normal, sample

GRID = "torch.tensor([[0, 2], [1, 0]])"

# ---- x[...]
for key in ("0", "-1", "1:", "::2", "None", "..., 1", ":, 1:3", "0, ..., None", "1:1", "...",
            "[0, 1]", "[1, 1, 0]", ":, [0, 2]", "[0, 1], [1, 2]", "[0, 1], :, [1, 2]", ":, [0, 2], [1, 0]",
            "0, :, [1, 1]", "None, [0, 1], 0",
            GRID + "[0] - 1", ":, " + GRID, "..., " + GRID, GRID + "[0].clamp(max=1), ..., [3, 0]", "[True, False]",
            ":, [True, False, True], 1:",
            "True", "[], 0"):
    sample("getitem", f"x[{key}]", x=normal(2, 3, 4))
sample("getitem", "x[m]", x=normal(3, 4), m=booleans(3, 4))
sample("getitem", "x[:, m]", x=normal(3, 4), m=booleans(4))
sample("getitem", "x[m, 1:]", x=normal(2, 3, 4), m=booleans(2, 3))
sample("getitem", "x[i]", x=normal(4, 3), i=integers(2, 5, low=-4, high=4))
sample("getitem", "x[i, j]", x=normal(4, 3), i=integers(2, 1, low=-4, high=4), j=integers(5, low=0, high=3))

# ---- slices by a vector of indices
sample("index_select", "torch.index_select(x, 1, i)", x=normal(3, 4), i=integers(5, low=0, high=4))
sample("index_select", "x.index_select(-2, i)", x=normal(2, 3, 4), i=integers(2, low=0, high=3))
sample("index_add", "torch.index_add(x, 0, i, y)", x=normal(3, 4), i=integers(5, low=0, high=3), y=normal(5, 4),
       edges=False, why="torch shows its inside when there is nothing to write to")
sample("index_add", "torch.index_add(x, 1, i, y, alpha=-2)", x=normal(3, 4), i=integers(2, low=0, high=4),
       y=normal(3, 2))
sample("index_copy", "torch.index_copy(x, 0, x.new_tensor([2, 0], dtype=torch.int64), y)", x=normal(3, 4),
       y=normal(2, 4),
       edges=False, why="torch shows its inside when there is nothing to write to")
sample("index_copy", "torch.index_copy(x, 1, x.new_tensor([1, 3], dtype=torch.int64), y)", x=normal(3, 4),
       y=normal(3, 2),
       edges=False, why="torch shows its inside when there is nothing to write to")
sample("index_fill", "torch.index_fill(x, 1, i, 0.5)", x=normal(3, 4), i=integers(3, low=0, high=4),
       edges=False, why="torch shows its inside when there is nothing to write to")
sample("index_fill", "torch.index_fill(x, 0, i, v)", x=normal(3, 4), i=integers(3, low=0, high=3), v=normal())
sample("index_put", "torch.index_put(x, tuple(x.new_tensor([[2, 0], [1, 3]], dtype=torch.int64)), "
                    "y)", x=normal(3, 4), y=normal(2))
sample("index_put", "torch.index_put(x, (x.new_tensor([2, 0], dtype=torch.int64),), y)", x=normal(3, 4), y=normal(4))
sample("index_put", "torch.index_put(x, (i, j), y, accumulate=True)", x=normal(3, 4), i=integers(5, low=-3, high=3),
       j=integers(5, low=0, high=4),
       y=normal(5))
sample("index_put", "torch.index_put(x, (m,), y)", x=normal(3, 4), m=booleans(3, 4), y=normal())

# ---- elements along a dimension
sample("gather", "torch.gather(x, 1, i)", x=normal(3, 4), i=integers(3, 2, low=0, high=4))
sample("gather", "torch.gather(x, -3, i)", x=normal(2, 3, 4), i=integers(3, 2, 4, low=0, high=2))
sample("take_along_dim", "torch.take_along_dim(x, i, 1)", x=normal(3, 4), i=integers(1, 2, low=0, high=4))
sample("take_along_dim", "torch.take_along_dim(x, i)", x=normal(3, 4), i=integers(2, 2, low=0, high=12))
sample("take", "torch.take(x, i)", x=normal(3, 4), i=integers(2, 5, low=-12, high=12))
sample("put", "torch.put(x, x.new_tensor([[3, -1], [0, 7]], dtype=torch.int64), y)", x=normal(3, 4), y=normal(2, 2))
sample("put", "torch.put(x, i, y, accumulate=True)", x=normal(3, 4), i=integers(5, low=0, high=12), y=normal(5))
sample("scatter", "torch.scatter(x, 0, x.new_tensor([[0, 2, 1, 1], [2, 0, 0, 2]], dtype=torch.int64), y)",
       x=normal(3, 4), y=normal(2, 4))
sample("scatter", "torch.scatter(x, 1, i, 1.5)", x=normal(3, 4), i=integers(2, 2, low=0, high=4))
sample("scatter_add", "torch.scatter_add(x, 0, i, y)", x=normal(3, 4), i=integers(5, 4, low=0, high=3), y=normal(5, 4))
sample("scatter_add", "torch.scatter_add(x, -1, i, y)", x=normal(3, 4), i=integers(2, 6, low=0, high=4), y=normal(2, 6))
for reduce in ("sum", "prod", "mean", "amax", "amin"):
    sample("scatter_reduce", f"torch.scatter_reduce(x, 1, i, y, '{reduce}')", x=normal(3, 4),
           i=integers(3, 5, low=0, high=4), y=normal(3, 5))
    sample("scatter_reduce", f"torch.scatter_reduce(x, 0, i, y, '{reduce}', include_self=False)", x=normal(3, 4),
           i=integers(4, 4, low=0, high=3),
           y=normal(4, 4))

# ---- masks
sample("masked_fill", "torch.masked_fill(x, m, 0.5)", x=normal(3, 4), m=booleans(3, 4))
sample("masked_fill", "torch.masked_fill(x, m, v)", x=normal(3, 4), m=booleans(4), v=normal())
sample("masked_fill", "torch.exp(torch.masked_fill(x, m, float('-inf')))", x=normal(4), m=booleans(3, 4),
       dtypes=("float64", "float32", "float16"), why="infinity has no integer")
sample("masked_select", "torch.masked_select(x, m)", x=normal(3, 4), m=booleans(3, 4))
sample("masked_select", "torch.masked_select(x, m)", x=normal(3, 1), m=booleans(4))
sample("masked_scatter", "torch.masked_scatter(x, m, y)", x=normal(3, 4), m=booleans(3, 4), y=normal(13))
sample("masked_scatter", "torch.masked_scatter(x, m, y)", x=normal(3, 4), m=booleans(4), y=normal(4, 3))
sample("nonzero", "torch.nonzero(x)", x=integers(3, 4, low=-1, high=2))
sample("nonzero", "torch.nonzero(x, as_tuple=True)", x=integers(3, 4, low=-1, high=2))
sample("argwhere", "torch.argwhere(x)", x=booleans(2, 3))

# ---- triangles and diagonals
sample("tril", "torch.tril(x)", x=normal(3, 4))
sample("tril", "torch.tril(x, -1)", x=normal(2, 4, 3))
sample("triu", "torch.triu(x)", x=normal(3, 4))
sample("triu", "torch.triu(x, 2)", x=normal(2, 3, 4))
sample("tril_indices", "torch.tril_indices(3, 4, 1)")
sample("triu_indices", "torch.triu_indices(4, 3, -1)")
sample("diag", "torch.diag(x, 1)", x=normal(3))
sample("diag", "torch.diag(x, -1)", x=normal(3, 4))
sample("diag_embed", "torch.diag_embed(x)", x=normal(2, 3))
sample("diag_embed", "torch.diag_embed(x, -1, 0, 2)", x=normal(2, 3))
sample("diagflat", "torch.diagflat(x, 1)", x=normal(2, 2))
