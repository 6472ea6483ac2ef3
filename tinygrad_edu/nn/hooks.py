"""Hooks of modules: the handles that remove them, those common to all modules, and the node behind full backward hooks.

A module's output is not one node of the graph but many. Backward hooks therefore put an identity in front of the
module and one behind it, and listen to these two nodes.
"""
from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict

from ..core.function import Function
from ..core.mode import mode
from ..core.tape import Handle
from ..core.tensor import Tensor

# Hooks that run for every module, for debugging and profiling: {id: hook}.
global_forward_pre = OrderedDict()
global_forward = OrderedDict()
global_backward_pre = OrderedDict()
global_backward = OrderedDict()
global_always_called = OrderedDict()               # ids of those in global_forward that run after an error, too
global_with_kwargs = OrderedDict()                 # ids of those in global_forward that want the keyword arguments


class RemovableHandle:
    """Removes a hook: `handle.remove()`, or at the end of a `with handle:`. It does not keep the module alive."""

    def __init__(self, hooks, hook, *flags, prepend=False):
        self.id = Handle._next_id()
        self._hooks = tuple(weakref.ref(d) for d in (hooks, *flags))
        hooks[self.id] = hook
        for flag in flags:
            flag[self.id] = True
        if prepend:
            hooks.move_to_end(self.id, last=False)

    def remove(self):
        for held in self._hooks:
            hooks = held()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        return {"id": self.id, "_hooks": tuple(held() for held in self._hooks)}

    def __setstate__(self, state):
        self.id = state["id"]
        self._hooks = tuple(weakref.ref(OrderedDict() if hooks is None else hooks) for hooks in state["_hooks"])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


def register_module_forward_pre_hook(hook):
    """`hook(module, args)` before the forward of every module."""
    return RemovableHandle(global_forward_pre, hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """`hook(module, args, output)` after the forward of every module."""
    flags = [d for d, yes in ((global_with_kwargs, with_kwargs), (global_always_called, always_call)) if yes]
    return RemovableHandle(global_forward, hook, *flags)


def register_module_full_backward_pre_hook(hook):
    """`hook(module, grad_output)` before the backward of every module."""
    return RemovableHandle(global_backward_pre, hook)


def register_module_full_backward_hook(hook):
    """`hook(module, grad_input, grad_output)` after the backward of every module."""
    return RemovableHandle(global_backward, hook)


class BackwardHookFunction(Function):
    """The identity, as a node to listen to."""

    @staticmethod
    def forward(ctx, *tensors):
        views = tuple([t.view_as(t) for t in tensors])
        ctx.mark_non_differentiable(*[view for view, t in zip(views, tensors) if not t.requires_grad])
        return views

    @staticmethod
    def backward(ctx, *grads):
        return grads


class BackwardHook:
    """One call of a module with full backward hooks: keeps the outputs' gradients until those of the inputs come."""

    def __init__(self, module, hooks, pre_hooks):
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_outputs = None
        self.input_places = self.output_places = None
        self.n_inputs = self.n_outputs = 0

    def on_inputs(self, args):
        self.n_inputs = len(args)
        args, self.input_places = self._listen(args, self._inputs_arrived)
        return args

    def on_outputs(self, result):
        several = isinstance(result, tuple)
        values = result if several else (result,)
        self.n_outputs = len(values)
        values, self.output_places = self._listen(values, self._outputs_arrived)
        return values if several else values[0]

    @staticmethod
    def _listen(values, arrived):
        """`values` with their tensors sent through an identity whose node calls `arrived`, and where they stand."""
        places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
        tensors = [values[i] for i in places]
        if not mode.grad or not any(t.requires_grad for t in tensors):
            return values, None
        made = BackwardHookFunction.apply(*tensors)
        made = made if isinstance(made, tuple) else (made,)

        def hook(*grads):                          # errors name it, as torch's do
            return arrived(*grads)
        next(t.grad_fn for t in made if t.grad_fn is not None).register_hook(hook)
        replaced = list(values)
        for place, tensor in zip(places, made):
            replaced[place] = tensor
        return (tuple(replaced) if type(values) is tuple else type(values)(*replaced)), places

    @staticmethod
    def _spread(grads, places, count):
        out = [None] * count
        for place, grad in zip(places, grads):
            out[place] = grad
        return tuple(out)

    def _outputs_arrived(self, _, grads):
        outputs = self._spread(grads, self.output_places, self.n_outputs)
        for hook in self.pre_hooks:
            replaced = hook(self.module, outputs)
            if replaced is None:
                continue
            if len(replaced) != len(outputs):
                raise RuntimeError(f"Backward pre hook returned an invalid number of grad_output, got {len(replaced)}, "
                                   f"but expected {len(outputs)}")
            outputs = replaced
        if self.input_places is None:
            self._no_input_wants_it(outputs)
        else:
            self.grad_outputs = outputs
        return tuple(outputs[i] for i in self.output_places)

    def _no_input_wants_it(self, outputs):
        warnings.warn("Full backward hook is firing when gradients are computed with respect to module outputs since "
                      "no inputs require gradients. See "
                      "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module."
                      "register_full_backward_hook for more details.", stacklevel=5)
        for hook in self.hooks:
            result = hook(self.module, (None,) * self.n_inputs, outputs)
            if result is not None and not (isinstance(result, tuple) and all(r is None for r in result)):
                raise RuntimeError("Backward hook for Modules where no input requires gradient should always return "
                                   "None or None for all gradients.")

    def _inputs_arrived(self, grads, _):
        if self.grad_outputs is None:
            return None
        inputs = self._spread(grads, self.input_places, self.n_inputs)
        for hook in self.hooks:
            replaced = hook(self.module, inputs, self.grad_outputs)
            if replaced is None:
                continue
            if len(replaced) != len(inputs):
                raise RuntimeError(f"Backward hook returned an invalid number of grad_input, got {len(replaced)}, but "
                                   f"expected {len(inputs)}")
            inputs = replaced
        self.grad_outputs = None
        return tuple(inputs[i] for i in self.input_places)


def call_with_hooks(module, args, kwargs):
    """A module's forward, surrounded by its hooks and those of all modules."""
    done, state = set(), {"args": args, "kwargs": kwargs, "result": None}
    try:
        return _call(module, state, done)
    except Exception:
        _run_always_called(module, state, done)
        raise


def _call(module, state, done):
    for number, hook in (*global_forward_pre.items(), *module._forward_pre_hooks.items()):
        if number in module._forward_pre_hooks_with_kwargs:
            replaced = hook(module, state["args"], state["kwargs"])
            if replaced is not None:
                if not isinstance(replaced, tuple) or len(replaced) != 2:
                    raise RuntimeError("forward pre-hook must return None or a tuple of (new_args, new_kwargs), but "
                                       f"got {replaced}.")
                state["args"], state["kwargs"] = replaced
        else:
            replaced = hook(module, state["args"])
            if replaced is not None:
                state["args"] = replaced if isinstance(replaced, tuple) else (replaced,)
    own = module._backward_hooks.values()
    full = [*global_backward.values(), *(own if module._is_full_backward_hook else ())]
    pre = [*global_backward_pre.values(), *module._backward_pre_hooks.values()]
    watch = BackwardHook(module, full, pre) if full or pre else None
    if watch:
        state["args"] = watch.on_inputs(state["args"])
    state["result"] = module.forward(*state["args"], **state["kwargs"])
    for number, hook in (*global_forward.items(), *module._forward_hooks.items()):
        done.add(number)
        replaced = _call_forward_hook(module, number, hook, state)
        if replaced is not None:
            state["result"] = replaced
    result = state["result"]
    if watch:
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn("For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but "
                          f"received {type(result)}", stacklevel=4)
        result = watch.on_outputs(result)
    if module._is_full_backward_hook is False:
        _old_backward_hooks(module, result, own)
    return result


def _call_forward_hook(module, number, hook, state):
    if number in module._forward_hooks_with_kwargs or number in global_with_kwargs:
        return hook(module, state["args"], state["kwargs"], state["result"])
    return hook(module, state["args"], state["result"])


def _run_always_called(module, state, done):
    """Forward failed: the hooks that were promised to run whatever happens."""
    for number, hook in (*global_forward.items(), *module._forward_hooks.items()):
        if number not in done and (number in global_always_called or number in module._forward_hooks_always_called):
            try:
                replaced = _call_forward_hook(module, number, hook, state)
                if replaced is not None:
                    state["result"] = replaced
            except Exception as error:
                which = "global module forward hook" if number in global_always_called else "module forward hook"
                warnings.warn(f"{which} with ``always_call=True`` raised an exception that was silenced as another "
                              f"error was raised in forward: {error}", stacklevel=4)


def _old_backward_hooks(module, result, hooks):
    """`register_backward_hook`: what arrives is the last node's business, whatever the module's inputs were."""
    while not isinstance(result, Tensor):
        result = next(v for v in result.values() if isinstance(v, Tensor)) if isinstance(result, dict) else result[0]
    if result.grad_fn is not None:
        for hook in hooks:
            result.grad_fn.register_hook(lambda grads, outputs, hook=hook: hook(module, grads, outputs))
