# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # The table of ops
#
# Every function that came from a block or stands below one, made from the library itself when this page is built. *Method* tells
# whether `x.name(...)` exists, *twin* whether `x.name_(...)` does; *derivative* lists the inputs that have a formula, for
# functions that are a single op.

# %% tags=["remove-input"]
from IPython.display import Markdown

import tinygrad_edu as torch
from tinygrad_edu.core.export import inplace_twins, registry


def first_line(target):
    return (target.__doc__ or "").strip().split("\n")[0].replace("|", "\\|")


def derivative(target):
    if not isinstance(target, type):
        return ""
    return ", ".join(target.formulas) or ("shared" if target.backward else "")


def table(prefix):
    rows = ["| function | | method | twin | derivative |", "|---|---|---|---|---|"]
    for name, target in sorted(registry.items()):
        if name.rpartition(".")[0] == prefix:
            short = name.rpartition(".")[2]
            method = "yes" if not prefix and hasattr(torch.Tensor, name) else ""
            twin = f"`{name}_`" if name in inplace_twins else ""
            rows.append(f"| `{short}` | {first_line(target)} | {method} | {twin} | {derivative(target)} |")
    return Markdown("\n".join(rows))


table("")

# %% [markdown]
# ## nn.functional

# %% tags=["remove-input"]
table("nn.functional")

# %% [markdown]
# ## linalg

# %% tags=["remove-input"]
table("linalg")
