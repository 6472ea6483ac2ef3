"""Samples of random functions: each seeds the generator first, so that torch's numbers can be recorded."""
from . import normal, positive, sample, unit


# another dtype draws other numbers from the same seed, and what is kept of torch is the answer in float64
OWN = {"dtypes": ("float64",), "why": "each dtype draws numbers of its own"}
# numbers are drawn in the order in which the result lies in memory
ORDER = {"layouts": False, "why": "transposed inputs draw in another order"}
LIKE = {**OWN, **ORDER, "why": "each dtype draws numbers of its own, transposed inputs draw in another order"}


def seeded(op, expression, **options):
    sample(op, f"(torch.manual_seed(3), {expression})[1]", **options)


seeded("rand", "torch.rand(3, 7)", exact=True)
seeded("rand", "torch.rand((2, 10), dtype=torch.float64)", exact=True)
seeded("randn", "torch.randn(5)")
seeded("randn", "torch.randn(3, 7)")
seeded("randint", "torch.randint(10, (3, 4))", exact=True)
seeded("randint", "torch.randint(-2, 3, (7,), dtype=torch.float32)", exact=True)
seeded("randperm", "torch.randperm(9)", exact=True)
seeded("rand_like", "torch.rand_like(x)", x=normal(3, 4, grad=False), **LIKE)
seeded("randn_like", "torch.randn_like(x)", x=normal(5, 4, grad=False), **LIKE)
seeded("randint_like", "torch.randint_like(x, 2, 9)", x=normal(3, 4, grad=False), exact=True, **ORDER)
# no gradients: torch says zero, though under one seed the numbers do move with their mean
seeded("normal", "torch.normal(2.0, 3.0, (5, 4))")
seeded("normal", "torch.normal(x, 0.5)", x=normal(3, 4, grad=False), **OWN)
seeded("normal", "torch.normal(x, y)", x=normal(3, 4, grad=False), y=positive(4, grad=False), **OWN)
seeded("normal", "torch.normal(1.5, y)", y=positive(4, 5, grad=False), **OWN)
seeded("bernoulli", "torch.bernoulli(x)", x=unit(4, 5), **OWN)
seeded("bernoulli", "torch.bernoulli(x, 0.3)", x=normal(4, 5, grad=False), exact=True)
seeded("multinomial", "torch.multinomial(x, 3)", x=positive(2, 6, grad=False), exact=True, **OWN)
seeded("multinomial", "torch.multinomial(x, 9, replacement=True)", x=positive(5, grad=False), exact=True, **OWN)
seeded("dropout", "torch.dropout(x, 0.3, True)", x=normal(4, 5), **ORDER)
seeded("dropout", "torch.dropout(x, 0.3, False)", x=normal(4, 5))
seeded("feature_dropout", "torch.feature_dropout(x, 0.4, True)", x=normal(2, 5, 3))
seeded("nn.functional.dropout", "torch.nn.functional.dropout(x, 0.4)", x=normal(4, 5), **ORDER)
seeded("nn.functional.dropout", "torch.nn.functional.dropout(x, 1.0)", x=normal(4, 5))
seeded("nn.functional.dropout1d", "torch.nn.functional.dropout1d(x, 0.4)", x=normal(2, 5, 3))
seeded("nn.functional.dropout2d", "torch.nn.functional.dropout2d(x, 0.4)", x=normal(2, 5, 3, 2))
seeded("nn.functional.dropout3d", "torch.nn.functional.dropout3d(x, 0.4)", x=normal(2, 5, 1, 2, 3))
