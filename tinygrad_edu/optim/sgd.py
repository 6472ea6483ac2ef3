"""SGD: gradient descent, with momentum.

Source: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
"""
from __future__ import annotations

import numpy as np

from .optimizer import Optimizer, check_one_element, check_variants, number, pieces, zeros_like


class SGD(Optimizer):
    """param -= lr * grad; with momentum the gradient is replaced by a running sum of gradients.

    dampening       how much of a new gradient does not enter the sum
    weight_decay    adds weight_decay * param to the gradient
    nesterov        looks one step of the sum ahead
    maximize        goes uphill
    """

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False,
                 foreach=None, differentiable=False, fused=None):
        check_one_element("lr", lr)
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused})
        check_variants(foreach, fused, differentiable)

    def step(self, closure=None):
        """Change every parameter that has a gradient; returns the closure's loss."""
        return self._step(closure)

    def init_state(self, param, group):
        return {"momentum_buffer": None} if group["momentum"] else None

    def on_arrays(self, param, grad, state, group, room):
        momentum, decay, lr, buffer = group["momentum"], number(group["weight_decay"]), number(group["lr"]), None
        first = momentum and state.get("momentum_buffer") is None
        if first:
            state["momentum_buffer"] = zeros_like(param)
        if momentum:
            buffer = state["momentum_buffer"]._array
        for p, g, b, s, d in pieces((param._array, grad._array, buffer), room):
            if group["maximize"]:
                g = np.negative(g, d)
            if decay:
                g = np.add(g, np.multiply(p, decay, s), d)
            if first:                              # the first gradient enters undampened
                np.copyto(b, g)
            elif momentum:
                np.add(np.multiply(b, momentum, b), np.multiply(g, 1 - group["dampening"], s), b)
            if momentum:
                g = np.add(g, np.multiply(b, momentum, s), d) if group["nesterov"] else b
            np.add(p, np.multiply(g, -lr, s), p)

    program = "optim.sgd"

    def for_kernel(self, param, state, group):
        numbers = {"lr": number(group["lr"]), "decay": number(group["weight_decay"])}
        if not group["momentum"]:
            return (), numbers
        first = state.get("momentum_buffer") is None
        if first:
            state["momentum_buffer"] = zeros_like(param)
        gain = 1 if first else 1 - group["dampening"]      # the first gradient enters undampened
        return (state["momentum_buffer"],), {**numbers, "momentum": group["momentum"], "gain": gain,
                                             "nesterov": group["nesterov"]}

    def on_tensors(self, param, grad, state, group):
        momentum, decay = group["momentum"], number(group["weight_decay"])
        if decay:
            grad = grad.add(param, alpha=decay)
        if momentum:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = grad.detach().clone()
            else:
                buffer.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
            grad = grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        param.add_(grad, alpha=-number(group["lr"]))
