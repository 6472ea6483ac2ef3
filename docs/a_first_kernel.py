# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # A first kernel
#
# A GPU runs one function many thousand times at once. That function is a *kernel*; each run of it is a *thread*, which knows its
# number and nothing of the others. In this chapter we write one, forget something that everybody forgets, read what the
# simulator says about it, mend it, and train a model with it. No GPU is needed: `use_simulator` makes `device="cuda"` mean a machine
# made of numpy and loops, which runs the same source. On a computer that has a GPU, leave that line out.

# %%
import numpy as np

import tinygrad_edu as torch
from tinygrad_edu.kernels import cuda, float32

torch.cuda.use_simulator()
torch.cuda.get_device_name()


# %% [markdown]
# ## One thread, one element
#
# Ordinary Python adds two lists in a loop. The kernel is the loop's body. The loop is gone: `cuda.grid(1)` is the number of
# the thread, and each thread does one step.

# %%
@cuda.jit
def add(a, b, out):
    i = cuda.grid(1)
    out[i] = a[i] + b[i]


a, b = np.arange(8.0, dtype="f4"), np.ones(8, "f4")
out = np.zeros(8, "f4")
add[1, 8](a, b, out)                  # one block of eight threads
out

# %% [markdown]
# `kernel[blocks, threads]` says how many. Threads come in *blocks*, because a GPU hands them out to its processors by the
# block. A block has at most 1,024 threads, and good sizes are multiples of 32. So for ten elements we take one block of 32, and
# that is where the mistake is:

# %%
from tinygrad_edu.kernels.simulator import KernelError

a, b, out = np.arange(10.0, dtype="f4"), np.ones(10, "f4"), np.zeros(10, "f4")
try:
    with torch.cuda.simulator(mode="check"):
        add[1, 32](a, b, out)
except KernelError as error:
    print(error)


# %% [markdown]
# Thread 10 reads behind the end of the array. A GPU would not have said so: it reads whatever lies there, or stops the whole
# program much later with "an illegal memory access was encountered". The simulator names the line, the thread and the index.
#
# ## The guard
#
# Threads to spare have to do nothing. Nearly every kernel begins with these two lines:

# %%
@cuda.jit
def add(a, b, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = a[i] + b[i]


with torch.cuda.simulator(mode="check"):
    add[1, 32](a, b, out)
out


# %% [markdown]
# ## Threads that meet
#
# The threads of a block can work together: they share a small, fast memory, and `cuda.syncthreads()` is where all wait for all.
# Here a block turns an array around. Each thread brings one element and takes away another's. Leave the meeting out, and
# some thread reads what nobody has written yet, or not; on a GPU it depends on the weather.

# %%
@cuda.jit
def reverse(a, out):
    tile = cuda.shared.array(8, float32)
    t = cuda.threadIdx.x
    tile[t] = a[t]
    out[t] = tile[7 - t]


a, out = np.arange(8.0, dtype="f4"), np.zeros(8, "f4")
try:
    with torch.cuda.simulator(mode="check"):
        reverse[1, 8](a, out)
except KernelError as error:
    print(error)


# %%
@cuda.jit
def reverse(a, out):
    tile = cuda.shared.array(8, float32)
    t = cuda.threadIdx.x
    tile[t] = a[t]
    cuda.syncthreads()                # now everybody has written
    out[t] = tile[7 - t]


with torch.cuda.simulator(mode="check"):
    reverse[1, 8](a, out)
out

# %% [markdown]
# How does one processor run eight threads that wait for each other? It doesn't. The simulator cuts the kernel where threads
# meet, and makes each piece an ordinary loop over the threads. It can be read:

# %%
print(reverse.source)


# %% [markdown]
# ## Train with it
#
# A kernel takes tensors as it takes numpy arrays. To learn through one, say what its derivative is: a `Function` of two methods.
# The derivative of a sum is one, for both terms.

# %%
class Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        out = torch.empty_like(x)
        threads = 32
        add[(x.numel() + threads - 1) // threads, threads](x, y, out)
        return out

    @staticmethod
    def backward(ctx, g):
        return g, g


x = torch.randn(5, dtype=torch.float64, device="cuda", requires_grad=True)
y = torch.randn(5, dtype=torch.float64, device="cuda", requires_grad=True)
torch.autograd.gradcheck(Add.apply, (x, y))

# %% [markdown]
# The check compares our derivative with finite differences of the kernel itself. Now a straight line through the temperatures of
# [the thermometer](thermometer), with every sum of the model computed by our kernel:

# %%
t_c = torch.tensor([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0], device="cuda")
t_u = torch.tensor([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4], device="cuda") * 0.1
w = torch.ones(1, device="cuda", requires_grad=True)
b = torch.zeros(1, device="cuda", requires_grad=True)
optimizer = torch.optim.SGD([w, b], lr=1e-2)

for epoch in range(1, 201):
    prediction = Add.apply(w * t_u, b.expand(11).contiguous())
    loss = ((prediction - t_c) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch in (1, 10, 100, 200):
        print(f"epoch {epoch:3d}, loss {loss.item():.4f}")

# %% [markdown]
# Where to read on: `kernels/README.md` has the reading order of the library's own kernels. `kernels/elementwise.py` is this chapter's
# `add` for any function of numbers, `kernels/reduce.py` is where threads meet in earnest.
