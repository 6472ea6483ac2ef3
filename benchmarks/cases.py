"""What is measured: the same few lines, given tinygrad_edu or torch under the name `torch`.

Each case is a function of the library that returns a function to be timed. Nothing here measures.
"""
from __future__ import annotations

import numpy as np


def chain(torch):
    """A chain of 1,000 ops (mul, add, tanh, sub in turn) on shape (8,), forward and backward."""
    numbers = np.random.default_rng(0).random((2, 8), np.float32)
    x, w = (torch.tensor(n, requires_grad=True) for n in numbers)

    def run():
        y = x
        for _ in range(250):
            y = (y * w + x).tanh() - x
        y.sum().backward()
        x.grad = w.grad = None
    return run


def adam(torch, device="cpu"):
    """The tutorial's loop: 1,000 epochs of Adam on the 11 temperatures."""
    t_c = torch.tensor([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0], device=device)
    t_un = 0.1 * torch.tensor([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4], device=device)

    def run():
        params = torch.tensor([1.0, 0.0], device=device, requires_grad=True)
        optimizer = torch.optim.Adam([params], lr=1e-1)
        for _ in range(1000):
            w, b = params
            t_p = w * t_un + b
            loss = ((t_p - t_c) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()
    return run


def mlp(torch, device="cpu"):
    """One training step of an MLP 784-256-10, batch 64: forward, cross entropy, backward, SGD."""
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(64, 784).to(device), torch.randint(0, 10, (64,)).to(device)
    loss_fn = nn.CrossEntropyLoss()

    def run():
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()
    return run


# name, case, how often one measurement runs it, how many measurements, the ratio that must not be exceeded
CASES = [("chain of 1,000 ops on shape (8,)", chain, 1, 101, 1.0),
         ("tutorial's Adam loop, 1,000 epochs", adam, 1, 11, 0.7),
         ("MLP step 784-256-10, batch 64", mlp, 10, 41, 1.1)]
