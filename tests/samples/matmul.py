"""Samples of matrix products, with and without something added, and of products that name their dimensions."""
from __future__ import annotations

from . import integers, normal, sample

# ---- products
sample("mm", "torch.mm(x, y)", x=normal(2, 3), y=normal(3, 4))
sample("mm", "x.mm(y.t())", x=normal(2, 3), y=normal(4, 3))
sample("mm", "x.mm(y)", x=integers(2, 3), y=integers(3, 4))
sample("bmm", "torch.bmm(x, y)", x=normal(2, 3, 4), y=normal(2, 4, 2))
sample("bmm", "x.bmm(y.transpose(1, 2))", x=normal(2, 3, 4), y=normal(2, 2, 4))
sample("mv", "torch.mv(x, y)", x=normal(2, 3), y=normal(3))
sample("dot", "torch.dot(x, y)", x=normal(4), y=normal(4))
sample("dot", "torch.dot(x, x)", x=normal(4))
sample("vdot", "torch.vdot(x, y)", x=normal(4), y=normal(4))
sample("inner", "torch.inner(x, y)", x=normal(4), y=normal(4))
sample("inner", "torch.inner(x, y)", x=normal(2, 4), y=normal(3, 4))
sample("inner", "torch.inner(x, y)", x=normal(), y=normal(3, 4))
sample("outer", "torch.outer(x, y)", x=normal(3), y=normal(4))
sample("ger", "torch.ger(x, y)", x=normal(3), y=normal(4))
for left, right in (((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((2, 3, 4), (4, 2)),
                    ((2, 3), (4, 3, 2)),
                    ((2, 3, 4), (4,)), ((3,), (2, 3, 4)), ((2, 1, 3, 4), (3, 4, 2)), ((1, 2, 3), (2, 3, 4))):
    sample("matmul", "torch.matmul(x, y)", x=normal(*left), y=normal(*right))
sample("matmul", "x @ y.mT", x=normal(2, 3, 4), y=normal(2, 3, 4))
sample("matmul", "x.permute(2, 0, 1) @ y", x=normal(2, 3, 4), y=normal(3, 2))
sample("matmul", "x.matmul(y)", x=integers(2, 3, 4), y=integers(4, 2))

# ---- with something added
sample("addmm", "torch.addmm(b, x, y)", b=normal(4), x=normal(2, 3), y=normal(3, 4))
sample("addmm", "b.addmm(x, y, beta=0.5, alpha=2)", b=normal(2, 4), x=normal(2, 3), y=normal(3, 4))
sample("addmm", "torch.addmm(b, x, y, beta=0)", b=normal(2, 1), x=normal(2, 3), y=normal(3, 4))
sample("addmm", "torch.addmm(b, x, y, alpha=3)", b=integers(2, 4), x=integers(2, 3), y=integers(3, 4))
sample("addmv", "torch.addmv(b, x, y, beta=0.5, alpha=2)", b=normal(2), x=normal(2, 3), y=normal(3))
sample("addbmm", "torch.addbmm(b, x, y, beta=0.5, alpha=2)", b=normal(3, 2), x=normal(2, 3, 4), y=normal(2, 4, 2))
sample("baddbmm", "torch.baddbmm(b, x, y, beta=0.5, alpha=2)", b=normal(3, 2), x=normal(2, 3, 4), y=normal(2, 4, 2))
sample("addr", "torch.addr(b, x, y, beta=2, alpha=3)", b=normal(3, 4), x=normal(3), y=normal(4))
sample("nn.functional.linear", "torch.nn.functional.linear(x, w, b)", x=normal(5, 3), w=normal(4, 3), b=normal(4))
sample("nn.functional.linear", "torch.nn.functional.linear(x, w, b)", x=normal(2, 5, 3), w=normal(4, 3), b=normal(4))
sample("nn.functional.linear", "torch.nn.functional.linear(x, w, b)", x=normal(3), w=normal(4, 3), b=normal(4))
sample("nn.functional.linear", "torch.nn.functional.linear(x, w)", x=normal(5, 3), w=normal(4, 3))
sample("nn.functional.linear", "torch.nn.functional.linear(x.transpose(0, 1), w, b)", x=normal(2, 3, 4), w=normal(2, 4),
       b=normal(2))
sample("nn.functional.linear", "torch.nn.functional.linear(x, w.expand(300, 256), b)", x=normal(2, 256),
       w=normal(1, 256), b=normal(300),
       dtypes=("float64", "float32"), edges=False, cuda=False,
       why="for the CPU's path of wide layers: it needs their size, at which a kernel takes minutes in Python")
sample("nn.functional.bilinear", "torch.nn.functional.bilinear(x, y, w, b)", x=normal(3, 2), y=normal(3, 4),
       w=normal(2, 2, 4), b=normal(2))

# ---- dimensions by name and by number
for equation, left, right in (("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)),
                              ("bij,jk->kbi", (2, 3, 4), (4, 2)),
                              ("...ij,...jk->...ik", (2, 2, 3), (1, 3, 4)), ("ij,ij->", (2, 3), (2, 3)),
                              ("i,j->ji", (2,), (3,)),
                              ("ij,ij->ij", (2, 3), (2, 3)), ("ij,k->k", (2, 3), (4,)),
                              ("bii,bi->b", (2, 3, 3), (2, 3))):
    sample("einsum", f"torch.einsum('{equation}', x, y)", x=normal(*left), y=normal(*right))
for equation, shape in (("ii", (3, 3)), ("ii->i", (3, 3)), ("ij->", (2, 3)), ("ijk->ki", (2, 3, 4)),
                        ("...i->i...", (2, 3, 4)),
                        ("iji->j", (2, 3, 2))):
    sample("einsum", f"torch.einsum('{equation}', x)", x=normal(*shape))
sample("einsum", "torch.einsum('bn,anm,bm->ba', x, y, z)", x=normal(2, 3), y=normal(2, 3, 4), z=normal(2, 4))
sample("einsum", "torch.einsum(x, [0, 1], y, [1, 2], [2, 0])", x=normal(2, 3), y=normal(3, 4))
sample("tensordot", "torch.tensordot(x, y, dims=1)", x=normal(2, 3), y=normal(3, 4))
sample("tensordot", "torch.tensordot(x, y, dims=([1, 2], [1, 0]))", x=normal(2, 3, 4), y=normal(4, 3, 2))
sample("tensordot", "torch.tensordot(x, y, dims=0)", x=normal(2, 3), y=normal(4))
sample("kron", "torch.kron(x, y)", x=normal(2, 3), y=normal(4, 2))
sample("kron", "torch.kron(x, y)", x=normal(3), y=normal(2, 2))
sample("trace", "torch.trace(x)", x=normal(3, 4))
sample("cross", "torch.cross(x, y, dim=0)", x=normal(3, 2), y=normal(3, 2))
sample("linalg.cross", "torch.linalg.cross(x, y)", x=normal(4, 3), y=normal(1, 3))
sample("linalg.multi_dot", "torch.linalg.multi_dot((x, y, z))", x=normal(2, 3), y=normal(3, 4), z=normal(4, 2))
sample("linalg.multi_dot", "torch.linalg.multi_dot((x, y, z))", x=normal(3), y=normal(3, 4), z=normal(4))
sample("chain_matmul", "torch.chain_matmul(x, y, z)", x=normal(4, 3), y=normal(3, 2), z=normal(2, 5))
