# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # The thermometer
#
# Somebody brought home a thermometer with a scale but no unit. For eleven days we wrote down what it shows, and what a
# thermometer in degrees Celsius shows beside it. What is the unit? We let the computer find out, first with derivatives
# worked out on paper, then with autograd, then with the parts of which all of deep learning is made: optimizers, modules, and a network.
#
# Everything below is torch, name for name. Only the first line differs. (The problem is that of chapter 5 of *Deep Learning with
# PyTorch*.)

# %%
import tinygrad_edu as torch

# degrees Celsius, and the unknown unit
t_c = torch.tensor([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0])
t_u = torch.tensor([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4])
t_c.shape, t_c.dtype

# %% [markdown]
# ## A model and a loss
#
# Units of temperature differ by a factor and an offset: that is the model. How wrong it is for given parameters `w` and `b` is told by
# one number, the mean of the squared errors.

# %%
def model(t_u, w, b):
    return w * t_u + b


def mse(t_p, t_c):
    return ((t_p - t_c) ** 2).mean()


w, b = torch.ones(()), torch.zeros(())
mse(model(t_u, w, b), t_c)

# %% [markdown]
# Note that `w` has no dimensions and `t_u` has one: the number is *broadcast* over the eleven readings. No copies are made for that.
#
# ## Downhill, by hand
#
# Which way must `w` and `b` move for the loss to fall? The derivative says so, and the chain rule gives it step by step, from the loss
# back to the parameters:
#
#     dL/dw  =  sum over i of  dL/dp_i * dp_i/dw  =  sum over i of  2 * (p_i - c_i) / n * u_i

# %%
def grad_fn(t_u, t_c, t_p, w, b):
    dloss_dtp = 2 * (t_p - t_c) / t_p.size(0)
    return torch.stack([(dloss_dtp * t_u).sum(), dloss_dtp.sum()])


grad_fn(t_u, t_c, model(t_u, w, b), w, b)

# %% [markdown]
# The two gradients differ by a factor of 50. A step that suits one parameter is far too long for the other, and with the readings as
# they are, gradient descent blows up. Scaling the readings by a tenth brings the two together, so one learning rate
# serves both.

# %%
t_un = 0.1 * t_u
params = torch.tensor([1.0, 0.0])
for epoch in range(1, 1001):
    t_p = model(t_un, *params)
    params = params - 1e-2 * grad_fn(t_un, t_c, t_p, *params)
    if epoch % 200 == 0:
        print(f"Epoch {epoch}, Loss {float(mse(t_p, t_c)):f}")
params

# %% [markdown]
# ## The same, with autograd
#
# With more than two parameters nobody wants to do that on paper. A tensor that *requires a gradient* remembers what is computed from
# it; the result's `grad_fn` is the end of that tape.

# %%
params = torch.tensor([1.0, 0.0], requires_grad=True)
loss = mse(model(t_u, *params), t_c)
loss

# %% [markdown]
# `backward` walks the tape from its end to its beginning and multiplies by one derivative per step, exactly as the formula above. What
# arrives at `params` is added to `params.grad`: the numbers are those that we worked out by hand.

# %%
loss.backward()
params.grad

# %% [markdown]
# *Added*: a second `backward` of the same loss doubles it. That is why training loops set gradients to zero (or None) in
# every round.

# %%
mse(model(t_u, *params), t_c).backward()
params.grad

# %% [markdown]
# The tape can be looked at. Each node knows where its gradients go next.

# %%
from tinygrad_edu.tour.graph import graph_svg
from IPython.display import SVG

SVG(graph_svg(loss, {"params": params}))

# %% [markdown]
# How would you know that a derivative is right? By asking for the slope: move one parameter a little, and see how much the loss
# changes. `gradcheck` does that for every element, in float64, and compares.

# %%
def loss_of(params):
    return mse(model(t_un.double(), *params), t_c.double())


start = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
torch.autograd.gradcheck(loss_of, (start,))

# %% [markdown]
# ## Optimizers
#
# The update is an optimizer's job. Inside its `step`, recording is off: changing a parameter is not part of the model.

# %%
def train(optimizer, params, n_epochs=1000):
    losses = []
    for epoch in range(1, n_epochs + 1):
        loss = mse(model(t_un, *params), t_c)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


params = torch.tensor([1.0, 0.0], requires_grad=True)
sgd = train(torch.optim.SGD([params], lr=1e-2), params)
params = torch.tensor([1.0, 0.0], requires_grad=True)
adam = train(torch.optim.Adam([params], lr=1e-1), params)
print(f"after 1,000 epochs: SGD {sgd[-1]:f}, Adam {adam[-1]:f}")
params

# %%
import matplotlib.pyplot as plt

plt.figure(figsize=(6, 3.5), layout="constrained")
plt.semilogy(sgd, label="SGD, learning rate 0.01")
plt.semilogy(adam, "--", label="Adam, learning rate 0.1")
plt.xlabel("epoch")
plt.ylabel("mean squared error")
plt.legend(frameon=False)
plt.show()

# %% [markdown]
# `t_c = 5.3676 * 0.1 * t_u - 17.3044`. Degrees Fahrenheit would be `0.5556 * t_u - 17.7778`: that is what the thermometer shows.
#
# ## Modules
#
# `nn.Linear` holds `w` and `b` and computes `input @ weight.T + bias` for a batch: one row per reading, one column per feature. Two
# readings are kept aside, to see how the model does on what it never saw.

# %%
torch.manual_seed(0)
shuffled = torch.randperm(11)
train_indices, val_indices = shuffled[:-2], shuffled[-2:]
x, y = t_un.unsqueeze(1), t_c.unsqueeze(1)


def training_loop(model, optimizer, loss_fn, n_epochs=1000):
    for epoch in range(1, n_epochs + 1):
        loss = loss_fn(model(x[train_indices]), y[train_indices])
        with torch.no_grad():
            loss_val = loss_fn(model(x[val_indices]), y[val_indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if epoch % 250 == 0:
            print(f"Epoch {epoch}, Training loss {loss.item():.4f}, "
                  f"Validation loss {loss_val.item():.4f}")


linear = torch.nn.Linear(1, 1)
training_loop(linear, torch.optim.Adam(linear.parameters(), lr=1e-1), torch.nn.MSELoss())
linear.weight, linear.bias

# %% [markdown]
# ## A network
#
# Put a second layer behind the first, and a function between them that is not a straight line, and the model can bend.

# %%
network = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
training_loop(network, torch.optim.Adam(network.parameters(), lr=1e-2), torch.nn.MSELoss())
network

# %%
line = torch.arange(20.0, 90.0).unsqueeze(1)
plt.figure(figsize=(6, 3.5), layout="constrained")
plt.plot(t_u.numpy(), t_c.numpy(), "o", label="readings")
plt.plot(t_u[val_indices].numpy(), t_c[val_indices].numpy(), "o",
         markersize=12, fillstyle="none", color="black", label="kept aside")
plt.plot(line.numpy(), network(0.1 * line).detach().numpy(), label="network")
plt.xlabel("unknown unit")
plt.ylabel("degrees Celsius")
plt.legend(frameon=False)
plt.show()

# %% [markdown]
# With 25 parameters for nine readings the network follows the noise of the thermometer, not only its law: it *overfits*. The validation
# loss shows that, the training loss never does.
#
# ## The same on a GPU
#
# Tensors live on a *device*, and `.to("cuda")` copies them to the GPU. Parameters and readings move there once; nothing else in the program
# changes. Where there is no GPU, `use_simulator` runs the same kernels as loops on the CPU: slower, but with the same numbers. (With a
# GPU, leave the line out.)

# %%
torch.cuda.use_simulator()
print(torch.cuda.get_device_name())


def losses_on(device, n_epochs=100):
    torch.manual_seed(0)                                    # the same network each time,
    layers = torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    network = torch.nn.Sequential(*layers).to(device)       # made on the CPU, then moved
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    x_there, y_there = x.to(device), y.to(device)
    losses = []
    for epoch in range(n_epochs):
        loss = torch.nn.functional.mse_loss(network(x_there), y_there)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


on_cpu, on_cuda = losses_on("cpu"), losses_on("cuda")
for epoch in (0, 9, 99):
    print(f"Epoch {epoch + 1:3d}, Loss {on_cpu[epoch]:.6f} on the CPU, "
          f"{on_cuda[epoch]:.6f} on cuda")

# %% [markdown]
# The last digits may differ: on a GPU sums are made in another order, and each addition rounds.
#
# What does it cost? Every operation is a *launch* of a kernel. The simulator counts them:

# %%
with torch.cuda.simulator() as machine:
    before = machine.launches
    losses_on("cuda")
    print((machine.launches - before) // 100, "launches an epoch")

# %% [markdown]
# A launch takes some microseconds on a GPU, however little it computes, and eleven readings are very little: for this network a GPU is
# no faster than the CPU. It pays when there is enough to do in each launch, thousands of numbers or more. And one step of the loop
# makes the program wait: `loss.item()` brings a number back, for which everything before it has to be finished. Ask for it rarely.
#
# **Where next?** [An op in one block](an_op_in_one_block) shows how a step of the tape is made, and [a first kernel](a_first_kernel)
# what runs on the GPU.
