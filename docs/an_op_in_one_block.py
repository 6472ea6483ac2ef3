# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # An op in one block
#
# Everything that an operation is stands in one place: what numpy computes, what one GPU thread computes, and the derivative. From the
# block come the function, the method, the in-place twin, both devices, the derivative of the derivative, and its checks. In ten
# minutes we add one.
#
# Our op is the *softsquare*, which is not in torch: `f(x) = x² / (1 + |x|)`. It is nearly a parabola around zero, and nearly a
# straight line far away. Its derivative is `f'(x) = x (2 + |x|) / (1 + |x|)²`.

# %%
import math

import numpy as np

import tinygrad_edu as torch
from tinygrad_edu.core.export import export
from tinygrad_edu.core.op import Elementwise


@export("softsquare", inplace=True)
class SoftSquare(Elementwise):
    """x squared, over 1 + |x|"""
    result = "float"                          # integers become float32, as for exp

    def cpu(x):
        return x * (x / (1 + np.abs(x)))      # x * x would overflow before the result does

    cuda   = lambda x: x * (x / (1 + math.fabs(x)))
    grad_x = lambda g, x: g * x * (2 + x.abs()) / (1 + x.abs()) ** 2


x = torch.tensor([-2.0, 0.5, 3.0], requires_grad=True)
y = x.softsquare()
y

# %% [markdown]
# It is a method, it has an in-place twin, it knows broadcasting, dtypes and devices, and it is on the tape:

# %%
y.sum().backward()
x.grad, torch.arange(3).softsquare(), torch.ones(2).softsquare_()

# %% [markdown]
# On `"cuda"` each thread of a kernel runs the line `cuda` for one element. Without a GPU the simulator does that; the derivative, which
# is made of tensor operations, is there already:

# %%
torch.cuda.use_simulator()                    # with a GPU, leave this line out

x = torch.tensor([-2.0, 0.5, 3.0], device="cuda", requires_grad=True)
y = x.softsquare()
y.sum().backward()
y, x.grad

# %% [markdown]
# ## The formula's arguments are what is saved
#
# `grad_x` is the derivative with respect to the input called `x`. Its first argument is the gradient that comes in, and every other
# argument is looked up *by name*: an input, a parameter, or `out`, the result. What it names is kept until `backward`, and nothing
# else. `exp`, for instance, is `grad_x = lambda g, out: g * out`: it keeps its result and lets its input go. A name
# that does not exist is refused when the class is defined:

# %%
try:
    class Wrong(Elementwise):
        cpu = np.negative
        cuda = lambda x: -x
        grad_x = lambda g, z: g * z
except TypeError as error:
    print(error)

# %% [markdown]
# ## Is the derivative right?
#
# `gradcheck` compares it with finite differences, element by element, in float64. `gradgradcheck` does the same for the derivative of
# the derivative: the formula is made of tensor operations, so it can be differentiated again.

# %%
x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
softsquare = torch.Tensor.softsquare
torch.autograd.gradcheck(softsquare, (x,)), torch.autograd.gradgradcheck(softsquare, (x,))

# %% [markdown]
# And when it is wrong? Here we forget the 2:

# %%
from tinygrad_edu.autograd.gradcheck import GradcheckError

x = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
right = SoftSquare.formulas["x"]
SoftSquare.formulas["x"] = lambda g, x: g * x * (1 + x.abs()) / (1 + x.abs()) ** 2
try:
    torch.autograd.gradcheck(softsquare, (x,))
except GradcheckError as error:
    print(error)
SoftSquare.formulas["x"] = right

# %% [markdown]
# ## Two lines for one function
#
# `cpu` computes a whole array, `cuda` a single number, and the backend calls it for every element. (On the way there the literal 1
# becomes a float32 where x is one: a GPU computes with float64 at half to a 64th of the speed.) They say the same thing twice, and twins
# drift apart, so the tests run both on the same extreme values. We can do that by hand, as the GPU line is an ordinary function:

# %%
for value in (0.0, -1e-30, 17.0, 1e30, math.inf):
    with np.errstate(invalid="ignore"):
        on_cpu, on_cuda = SoftSquare.cpu(np.float64(value)), SoftSquare.cuda(value)
    print(f"{value:8g}   {on_cpu:12g}   {on_cuda:12g}")

# %% [markdown]
# At infinity both say nan, where the limit is infinity: the quotient of two infinities is not a number. The library's own ops must be right for every
# `x`. Can you mend it? (`x * (1 - 1 / (1 + |x|))`, with the sign put right, is one way; mind what it does to tiny values.)
#
# ## The long spelling
#
# When the gradients of several inputs share work, or when you do not want to touch the library, write an `autograd.Function`, exactly
# as in torch. It makes the same kind of node on the same tape.

# %%
class Softsquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * (x / (1 + x.abs()))

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * x * (2 + x.abs()) / (1 + x.abs()) ** 2


torch.autograd.gradcheck(Softsquare.apply, (x,))

# %% [markdown]
# ## To have it in the library
#
# 1. Put the block into the file of `tinygrad_edu/ops/` where its family is.
# 2. Write a sample line in `tests/samples/`: `sample("softsquare", "torch.softsquare(x)", x=normal(3, 4))`. The tests fail until there is one.
# 3. `pytest tests -k softsquare`: forward against torch's recorded values, both derivatives, other strides, empty and 0-d
#    inputs, every dtype, on the CPU and on CUDA, and a derivative made 1% wrong that must be noticed.
#
# An op that is not one function of each element, a sort or a convolution, names a kernel instead of a scalar line, as in
# `cuda = "softmax.softmax"`. [A first kernel](a_first_kernel) shows how one is written.
