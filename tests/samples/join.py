"""Samples of joining and arranging: cat, stack, grids, repeats, rolls and flips."""
from __future__ import annotations

from . import integers, normal, sample

# ---- side by side
sample("cat", "torch.cat([x, y])", x=normal(2, 3), y=normal(1, 3))
sample("cat", "torch.cat((x, y, x), -1)", x=normal(2, 3), y=normal(2, 1))
sample("cat", "torch.cat([x, i])", x=normal(2, 3), i=integers(2, 3))
sample("concat", "torch.concat([x, y], dim=1)", x=normal(2, 3, 2), y=normal(2, 1, 2))
sample("concatenate", "torch.concatenate([x, x.new_tensor([])])", x=normal(2, 3))
sample("stack", "torch.stack([x, y])", x=normal(2, 3), y=normal(2, 3))
sample("stack", "torch.stack([x, y, x], -1)", x=normal(2, 3), y=normal(2, 3))
sample("hstack", "torch.hstack([x, y])", x=normal(2), y=normal(3))
sample("hstack", "torch.hstack([x, y])", x=normal(2, 3), y=normal(2, 1))
sample("vstack", "torch.vstack([x, y])", x=normal(3), y=normal(2, 3))
sample("row_stack", "torch.row_stack([x, y])", x=normal(3), y=normal(3))
sample("dstack", "torch.dstack([x, y])", x=normal(2, 3), y=normal(2, 3))
sample("column_stack", "torch.column_stack([x, y])", x=normal(3), y=normal(3, 2))
sample("block_diag", "torch.block_diag(x, y, z)", x=normal(2, 3), y=normal(2), z=normal(), edges=False,
       why="beside an empty vector torch sends the gradient to the wrong row")
sample("atleast_1d", "torch.atleast_1d(x)", x=normal())
sample("atleast_2d", "torch.atleast_2d(x, y)", x=normal(3), y=normal())
sample("atleast_3d", "torch.atleast_3d(x)", x=normal(3))
sample("atleast_3d", "torch.atleast_3d(x)", x=normal(2, 3))

# ---- grids
sample("meshgrid", "torch.meshgrid(x, y, indexing='ij')", x=normal(2), y=normal(3))
sample("meshgrid", "torch.meshgrid(x, y, indexing='xy')", x=normal(2), y=normal(3))
sample("cartesian_prod", "torch.cartesian_prod(x, y)", x=normal(2), y=normal(3))
sample("combinations", "torch.combinations(x, 2)", x=normal(4))
sample("combinations", "torch.combinations(x, 2, with_replacement=True)", x=normal(3))

# ---- again
sample("repeat", "x.repeat(2, 3)", x=normal(2, 3))
sample("repeat", "x.repeat(2, 1, 2)", x=normal(2, 3))
sample("tile", "torch.tile(x, (2,))", x=normal(2, 3))
sample("tile", "torch.tile(x, (2, 1, 2))", x=normal(2, 3))
sample("repeat_interleave", "torch.repeat_interleave(x, 2)", x=normal(2, 3))
sample("repeat_interleave", "torch.repeat_interleave(x, 3, dim=1)", x=normal(2, 3))
sample("repeat_interleave", "torch.repeat_interleave(x, x.new_tensor([2, 0, 1], dtype=torch.int64), dim=1)",
       x=normal(2, 3))
sample("repeat_interleave", "torch.repeat_interleave(i)", i=integers(4, low=0, high=3))

# ---- elsewhere
sample("roll", "torch.roll(x, 2)", x=normal(2, 3))
sample("roll", "torch.roll(x, (1, -1), (0, 1))", x=normal(3, 4))
sample("roll", "torch.roll(x, (1, 1), (1, 1))", x=normal(3, 4))
sample("flip", "torch.flip(x, (0, 2))", x=normal(2, 3, 4))
sample("flip", "x.flip(1)", x=normal(2, 3))
sample("fliplr", "torch.fliplr(x)", x=normal(2, 3))
sample("flipud", "torch.flipud(x)", x=normal(2, 3))
sample("rot90", "torch.rot90(x)", x=normal(2, 3))
sample("rot90", "torch.rot90(x, 2, (0, 2))", x=normal(2, 3, 4))
sample("rot90", "torch.rot90(x, -1, (2, 1))", x=normal(2, 3, 4))
