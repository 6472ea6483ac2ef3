"""Samples of losses."""
from __future__ import annotations

from . import FLOATS, integers, normal, positive, sample, unit

F = "torch.nn.functional."

# ---- between inputs and targets of one shape
for name, extra in (("mse_loss", ""), ("l1_loss", ""), ("smooth_l1_loss", ", beta=0.5"), ("huber_loss", ", delta=0.7")):
    for reduction in ("mean", "sum", "none"):
        sample(f"nn.functional.{name}", f"{F}{name}(x, y, reduction='{reduction}'{extra})", x=normal(3, 4),
               y=normal(3, 4))
sample("nn.functional.mse_loss", f"{F}mse_loss(x, y)", x=normal(3, 4), y=normal(4))
sample("nn.functional.mse_loss", f"{F}mse_loss(x, y, weight=w)", x=normal(3, 4), y=normal(3, 4),
       w=positive(3, 4, grad=False))
sample("nn.functional.l1_loss", f"{F}l1_loss(x, y, weight=w)", x=normal(3, 4), y=normal(3, 4),
       w=positive(3, 4, grad=False))
sample("nn.functional.huber_loss", f"{F}huber_loss(x, y, weight=w)", x=normal(3, 4), y=normal(3, 4),
       w=positive(3, 4, grad=False))

# ---- of probabilities
for reduction in ("mean", "sum", "none"):
    sample("nn.functional.binary_cross_entropy", f"{F}binary_cross_entropy(x, y, reduction='{reduction}')",
           x=unit(3, 4), y=unit(3, 4))
    sample("nn.functional.binary_cross_entropy_with_logits", f"{F}binary_cross_entropy_with_logits(x, y, "
                                                             f"reduction='{reduction}')",
           x=normal(3, 4), y=unit(3, 4))
    sample("nn.functional.kl_div", f"{F}kl_div(x, y, reduction='{reduction}')", x=normal(3, 4), y=unit(3, 4))
sample("nn.functional.binary_cross_entropy", f"{F}binary_cross_entropy(x, y, w)", x=unit(3, 4), y=unit(3, 4),
       w=positive(4, grad=False))
sample("nn.functional.binary_cross_entropy_with_logits", f"{F}binary_cross_entropy_with_logits(x, y, w, pos_weight=p)",
       x=normal(3, 4),
       y=unit(3, 4), w=positive(3, 1, grad=False), p=positive(4, grad=False))
sample("nn.functional.kl_div", f"{F}kl_div(x, y, reduction='batchmean', log_target=True)", x=normal(3, 4),
       y=normal(3, 4))

# ---- of classes
for shape, target, edges in (((3, 4), (3,), True), ((4,), (), False), ((2, 3, 2, 2), (2, 2, 2), True),
                             ((2, 3, 2), (2, 2), False)):
    for name in ("nll_loss", "cross_entropy"):
        classes = integers(*target, low=0, high=3)
        sample(f"nn.functional.{name}", f"{F}{name}(x, y)", x=normal(*shape), y=classes, edges=edges,
               why="" if edges else "torch does not look at targets where there are no classes")
        sample(f"nn.functional.{name}", f"{F}{name}(x, y, reduction='none', ignore_index=1)", x=normal(*shape),
               y=classes, edges=edges,
               why="" if edges else "torch does not look at targets where there are no classes")
for name in ("nll_loss", "cross_entropy"):
    sample(f"nn.functional.{name}", f"{F}{name}(x, y, w, reduction='sum')", x=normal(3, 4),
           y=integers(3, low=0, high=4),
           w=positive(4, grad=False))
    sample(f"nn.functional.{name}", f"{F}{name}(x, y, w, ignore_index=0)", x=normal(5, 3), y=integers(5, low=0, high=3),
           w=positive(3, grad=False))
sample("nn.functional.cross_entropy", f"{F}cross_entropy(x, y, w, label_smoothing=0.2, ignore_index=1)", x=normal(5, 4),
       y=integers(5, low=0, high=4), w=positive(4, grad=False))
sample("nn.functional.cross_entropy", f"{F}cross_entropy(x, y, label_smoothing=0.2, reduction='none')", x=normal(3, 4),
       y=integers(3, low=0, high=4))
for args in ("", ", label_smoothing=0.1", ", reduction='sum'", ", reduction='none'"):
    sample("nn.functional.cross_entropy", f"{F}cross_entropy(x, y.softmax(1){args})", x=normal(3, 4), y=normal(3, 4),
           node=False, edges=False,
           why="torch divides by a number in C++, which has a node's name of its own")

# ---- rankings and distances
TARGET = "torch.where(t > 0, 1, -1)"
sample("nn.functional.hinge_embedding_loss", f"{F}hinge_embedding_loss(x, {TARGET})", x=normal(4),
       t=normal(4, grad=False), dtypes=FLOATS,
       why="torch's result for integers has no mean")
sample("nn.functional.cosine_embedding_loss", f"{F}cosine_embedding_loss(x, y, {TARGET}, 0.1)", x=normal(3, 4),
       y=normal(3, 4),
       t=normal(3, grad=False))
sample("nn.functional.margin_ranking_loss", f"{F}margin_ranking_loss(x, y, {TARGET}, 0.3)", x=normal(4), y=normal(4),
       t=normal(4, grad=False))
sample("nn.functional.triplet_margin_loss", f"{F}triplet_margin_loss(x, y, z, swap=True, reduction='none')",
       x=normal(3, 4), y=normal(3, 4),
       z=normal(3, 4))
sample("nn.functional.triplet_margin_loss", f"{F}triplet_margin_loss(x, y, z)", x=normal(3, 4), y=normal(3, 4),
       z=normal(3, 4))
sample("nn.functional.poisson_nll_loss", f"{F}poisson_nll_loss(x, y, full=True)", x=normal(3, 4), y=positive(3, 4))
sample("nn.functional.poisson_nll_loss", f"{F}poisson_nll_loss(x, y, log_input=False)", x=positive(3, 4),
       y=positive(3, 4))
sample("nn.functional.gaussian_nll_loss", f"{F}gaussian_nll_loss(x, y, v, full=True)", x=normal(3, 4), y=normal(3, 4),
       v=positive(3, 4),
       dtypes=FLOATS, why="torch writes into a copy of the variance")
