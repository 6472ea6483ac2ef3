# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # A first kernel
#
# A GPU runs one function many thousand times at once. The function is called a *kernel*; each run of it is a *thread*, which knows
# its own number and nothing of the others. In this chapter we write one, forget something that everybody forgets, read what the
# simulator says about it, mend it, and train a model with it.
#
# No GPU is needed: `use_simulator` makes `device="cuda"` mean a machine made of numpy and loops, which runs the same source. On a
# computer that has a GPU, leave that line out.

# %%
import numpy as np

import tinygrad_edu as torch
from tinygrad_edu.kernels import cuda, float32
from tinygrad_edu.kernels.simulator import KernelError

torch.cuda.use_simulator()
torch.cuda.get_device_name()


# %% [markdown]
# ## One thread, one element
#
# Ordinary Python adds two lists in a loop:
#
#     for i in range(8):
#         out[i] = a[i] + b[i]
#
# The kernel is the loop's body. The loop itself is gone: there are eight threads, each does one step, and `cuda.grid(1)` tells a
# thread which one is its own. (The 1 says that we count along one dimension.) A kernel returns nothing. It is given an array to write to.

# %%
@cuda.jit
def add(a, b, out):
    i = cuda.grid(1)
    out[i] = a[i] + b[i]


a, b = np.arange(8, dtype=np.float32), np.ones(8, np.float32)
out = np.zeros(8, np.float32)
add[1, 8](a, b, out)                  # one block of eight threads
out


# %% [markdown]
# The square brackets say how many threads: `kernel[blocks, threads of each block]`. Threads come in *blocks* because a GPU hands them
# out to its processors by the block. A thread knows its block, `cuda.blockIdx`, how large blocks are, `cuda.blockDim`, and its place in
# the block, `cuda.threadIdx`; each has an `x`, a `y` and a `z`, for problems with up to three dimensions. `cuda.grid(1)` is made of these.
# Here every thread writes down who it is:

# %%
@cuda.jit
def who(block, thread, number):
    i = cuda.grid(1)                  # blockIdx.x * blockDim.x + threadIdx.x
    block[i] = cuda.blockIdx.x
    thread[i] = cuda.threadIdx.x
    number[i] = i


block, thread, number = np.zeros((3, 12), np.int32)
who[3, 4](block, thread, number)      # three blocks of four threads
print("block  ", block)
print("thread ", thread)
print("number ", number)

# %% [markdown]
# A block has at most 1,024 threads, and good sizes are multiples of 32, since a GPU runs threads by 32. So for ten elements we take
# one block of 32, and there is the mistake. (`mode="check"` asks the simulator to look closely; it costs time.)

# %%
a, b = np.arange(10, dtype=np.float32), np.ones(10, np.float32)
out = np.zeros(10, np.float32)
try:
    with torch.cuda.simulator(mode="check"):
        add[1, 32](a, b, out)
except KernelError as error:
    print(error)


# %% [markdown]
# There is no `a[10]`, and thread 10 reads it. A GPU would not have said so: it reads whatever lies there, or stops the whole program
# some time later with "an illegal memory access was encountered". The simulator names the line, the thread and the index.
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
# With the guard the number of blocks is easy, too: as many as are needed for all elements, the last one perhaps not full. For `n` elements
# that is `n / 32`, rounded up.
#
# ## Threads that meet
#
# The threads of a block can work together: they share a small, fast memory, `cuda.shared.array`. Here a block turns an array around.
# Each thread brings one element and takes away another's:

# %%
@cuda.jit
def reverse(a, out):
    tile = cuda.shared.array(8, float32)
    t = cuda.threadIdx.x
    tile[t] = a[t]
    out[t] = tile[7 - t]


a, out = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
try:
    with torch.cuda.simulator(mode="check"):
        reverse[1, 8](a, out)
except KernelError as error:
    print(error)


# %% [markdown]
# Thread 0 wants what thread 7 brings. Nothing says that thread 7 has been there already: on a GPU it may have, today, and not
# tomorrow. `cuda.syncthreads()` is a meeting point. No thread goes on from there before all threads of the block have come.

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
# ## How one processor runs eight threads that wait for each other
#
# It doesn't. The simulator cuts the kernel in two where the threads meet, and makes each half an ordinary loop over the threads. All
# do the first half, then all do the second. The loops can be read:

# %%
print(reverse.source)


# %% [markdown]
# Kernels that run often are compiled by numba in this form, and are then up to a thousand times faster.
#
# ## Train with it
#
# A kernel takes tensors as it takes numpy arrays; those on `"cuda"` are used where they are, and nothing is copied. To learn through
# a kernel, say what its derivative is. That is what a `Function` is for: the derivative of a sum is one, for both terms, so
# the gradient `g` of the result is the gradient of both inputs.

# %%
class Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        out = torch.empty_like(x)
        threads = 32
        blocks = (x.numel() + threads - 1) // threads       # rounded up
        add[blocks, threads](x, y, out)
        return out

    @staticmethod
    def backward(ctx, g):
        return g, g


x = torch.randn(5, dtype=torch.float64, device="cuda", requires_grad=True)
y = torch.randn(5, dtype=torch.float64, device="cuda", requires_grad=True)
torch.autograd.gradcheck(Add.apply, (x, y))

# %% [markdown]
# The check compares our derivative with finite differences of the kernel itself, in float64: one source serves every type.
#
# Now a straight line through the temperatures of [the thermometer](thermometer), first with our kernel in it, then with the library's own
# addition:

# %%
t_c = torch.tensor([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0],
                   device="cuda")
t_u = torch.tensor([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4],
                   device="cuda")


def train(plus):
    w = torch.ones(1, device="cuda", requires_grad=True)
    b = torch.zeros(1, device="cuda", requires_grad=True)
    optimizer = torch.optim.SGD([w, b], lr=1e-2)
    for epoch in range(1, 301):
        prediction = plus(w * (0.1 * t_u), b.expand(11))
        loss = ((prediction - t_c) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if epoch in (1, 100, 200, 300):
            print(f"epoch {epoch:3d}, loss {loss.item():.4f}")


print("our kernel")
train(Add.apply)
print("the library's")
train(torch.add)

# %% [markdown]
# ## Try it
#
# - Write `multiply`, with its guard, and a `Function` around it. What has to be saved for `backward`? (Look at
#   [an op in one block](an_op_in_one_block) for the long spelling.)
# - Make `reverse` work for more than one block: where does the element belong that thread `t` of block `k` has brought?
# - Put `cuda.syncthreads()` inside an `if` that only some threads enter, and read what the simulator says.
#
# **Where next?** `kernels/README.md` has the reading order of the library's own kernels. `kernels/elementwise.py` is this
# chapter's `add` for any function of numbers; in `kernels/reduce.py` threads meet in earnest.
