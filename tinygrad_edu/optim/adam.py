"""Adam and AdamW: steps scaled by running means of the gradient and of its square.

Losses follow those that the book prints, digit for digit: as in torch of its time the means are weighted sums, and the
step is added in one rounding. Newer releases of torch round a little otherwise, in the last place of a parameter.
Source: https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
"""
from __future__ import annotations

import numpy as np

from ..core.tensor import Tensor
from .optimizer import Optimizer, check_one_element, check_variants, next_step, number, pieces, step_count, zeros_like


class Adam(Optimizer):
    """param -= lr * mean(grad) / (sqrt(mean(grad ** 2)) + eps): running means, corrected for their start at zero.

    betas           how slowly the two means forget
    weight_decay    adds weight_decay * param to the gradient; with `decoupled_weight_decay` (AdamW) the parameter
                    shrinks by lr * weight_decay instead, and the means don't see it
    amsgrad         divides by the largest mean of squares so far
    maximize        goes uphill
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *, foreach=None,
                 maximize=False, capturable=False, differentiable=False, fused=None, decoupled_weight_decay=False):
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        check_one_element("lr", lr)
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for i in (0, 1):
            if not 0.0 <= betas[i] < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if not any(isinstance(betas[0], kind) and isinstance(betas[1], kind) for kind in (float, Tensor)):
            raise ValueError("betas must be either both floats or both Tensors")
        for i in (0, 1):
            if isinstance(betas[i], Tensor) and foreach and not capturable:
                raise ValueError(f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True")
            check_one_element(f"betas[{i}]", betas[i])
        super().__init__(params, {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
            "fused": fused, "decoupled_weight_decay": decoupled_weight_decay})
        check_variants(foreach, fused, differentiable)

    def step(self, closure=None):
        """Change every parameter that has a gradient; returns the closure's loss."""
        return self._step(closure)

    def init_state(self, param, group):
        if group["capturable"] and param._spec.backend.native:
            raise AssertionError("If capturable=True, params and state_steps must be on supported devices: ['cuda', "
                                 "'xpu', 'hpu', 'privateuseone', 'xla'].")
        state = {"step": step_count(), "exp_avg": zeros_like(param), "exp_avg_sq": zeros_like(param)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_like(param)
        return state

    @staticmethod
    def _numbers(state, group):
        """What is computed once per parameter, in double precision; counts the step."""
        step, (beta1, beta2), lr = next_step(state), map(number, group["betas"]), number(group["lr"])
        root2 = (1 - beta2 ** step) ** 0.5
        return beta1, beta2, lr, number(group["weight_decay"]), lr / (1 - beta1 ** step), root2

    def on_arrays(self, param, grad, state, group, room):
        beta1, beta2, lr, decay, step_size, root2 = self._numbers(state, group)
        eps, largest = group["eps"], state["max_exp_avg_sq"]._array if group["amsgrad"] else None
        for p, g, m, v, top, s, d in pieces((param._array, grad._array, state["exp_avg"]._array,
                                             state["exp_avg_sq"]._array, largest), room):
            if group["maximize"]:
                g = np.negative(g, d)
            if decay:
                if group["decoupled_weight_decay"]:
                    np.multiply(p, 1 - lr * decay, p)
                else:
                    g = np.add(g, np.multiply(p, decay, s), d)
            np.add(np.multiply(m, beta1, m), np.multiply(g, 1 - beta1, s), m)
            np.multiply(np.multiply(g, 1 - beta2, s), g, s)
            np.add(np.multiply(v, beta2, v), s, v)
            root = np.sqrt(v if top is None else np.maximum(top, v, out=top), s)
            np.add(np.divide(root, root2, s), eps, s)
            step = np.multiply(np.divide(m, s, s), -step_size, dtype=np.float64)
            np.add(p, step, p, casting="same_kind")    # rounded once, as fused instructions do: the book's digits

    program = "optim.adam"

    def for_kernel(self, param, state, group):
        beta1, beta2, lr, decay, step_size, root2 = self._numbers(state, group)
        decoupled = group["decoupled_weight_decay"]
        numbers = {"beta1": beta1, "beta2": beta2, "step_size": step_size, "root2": root2, "eps": group["eps"],
                   "decay": 0 if decoupled else decay, "shrink": 1 - lr * decay if decoupled else 1}
        means = state["exp_avg"], state["exp_avg_sq"]
        return (*means, state["max_exp_avg_sq"]) if group["amsgrad"] else means, numbers

    def on_tensors(self, param, grad, state, group):
        beta1, beta2, lr, decay, step_size, root2 = self._numbers(state, group)
        if decay:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * decay)
            else:
                grad = grad.add(param, alpha=decay)
        mean, squares = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        squares.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            squares = state["max_exp_avg_sq"].copy_(state["max_exp_avg_sq"].maximum(squares))
        param.add_(mean / (squares.sqrt() / root2).add_(group["eps"]), alpha=-step_size)


class AdamW(Adam):
    """Adam with decoupled weight decay.

    Source: https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *,
                 maximize=False, foreach=None, capturable=False, differentiable=False, fused=None):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         capturable=capturable, differentiable=differentiable, fused=fused, decoupled_weight_decay=True)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:            # whoever saved it
            group["decoupled_weight_decay"] = True
