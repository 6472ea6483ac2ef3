"""The tape: what was computed, in which order, and how to walk it backwards.

Nothing in this file knows what a tensor is. A gradient is something that can be added (`a + b`); the end of an
edge is a Node, one Output of a node with several, or a leaf, which is whatever has `accumulate(gradient)`.
"""
from __future__ import annotations

import functools
import itertools
import threading
from heapq import heappop, heappush

from . import errors

next_number = itertools.count(1).__next__          # a node's place on the tape: inputs come before outputs


class _Mode(threading.local):
    """Per thread: is the tape recording? may what is computed ever be recorded?"""
    grad = True
    inference = False


mode = _Mode()
anomaly = []                                       # not empty while detect_anomaly is on; process-wide, as torch's


def is_grad_enabled():
    """Whether operations are being recorded in this thread."""
    return mode.grad


def is_inference_mode_enabled():
    return mode.inference


class _Switch:
    """A context manager that is also a decorator, of functions and of generator functions."""

    def __call__(self, function):
        if isinstance(function, type):
            raise TypeError(f"{type(self).__name__} decorates functions, not classes: decorate the methods")
        import inspect
        if inspect.isgeneratorfunction(function):
            @functools.wraps(function)
            def generator(*args, **kwargs):        # the mode is ours while the body runs, the caller's at a yield
                body, send = function(*args, **kwargs), None
                try:
                    while True:
                        with self._fresh():
                            item = body.send(send)
                        send = yield item
                except StopIteration as stop:
                    return stop.value
                finally:
                    body.close()
            return generator

        @functools.wraps(function)
        def decorated(*args, **kwargs):
            with self._fresh():
                return function(*args, **kwargs)
        return decorated

    def _fresh(self):
        return type(self)()


class no_grad(_Switch):
    """Nothing computed inside is recorded. `with no_grad():` or `@no_grad()`."""
    value = False

    def __new__(cls, function=None):
        self = object.__new__(cls)
        return self if function is None else self(function)

    def __enter__(self):
        self.before, mode.grad = mode.grad, self.value

    def __exit__(self, *error):
        mode.grad = self.before


class enable_grad(no_grad):
    """Record again inside a `no_grad` block."""
    value = True


class set_grad_enabled(_Switch):
    """`set_grad_enabled(flag)` acts at once; in a `with` statement until its end."""

    def __init__(self, mode_: bool):
        self.value, self.before = bool(mode_), mode.grad
        mode.grad = self.value

    def __call__(self, function):
        mode.grad = self.before                    # a decorator does not switch where it stands
        return super().__call__(function)

    def _fresh(self):
        return set_grad_enabled(self.value)

    def __enter__(self):
        pass

    def __exit__(self, *error):
        mode.grad = self.before


class inference_mode(_Switch):
    """Like no_grad, and what is computed inside can never take part in a recorded computation."""

    def __new__(cls, mode=True):
        self = object.__new__(cls)
        if callable(mode):
            self.value = True
            return self(mode)
        self.value = bool(mode)
        return self

    def _fresh(self):
        return inference_mode(self.value)

    def __enter__(self):
        self.before = mode.grad, mode.inference
        mode.inference = self.value
        mode.grad = not self.value

    def __exit__(self, *error):
        mode.grad, mode.inference = self.before


class Node:
    """One recorded operation. `edges[i]` is where the gradient of input i must be sent, or None.

    `number` is its place on the tape. Subclasses say how a gradient of the output(s) becomes
    gradients of the inputs (`backward`), and drop what they saved (`release`).
    """
    __slots__ = ("edges", "number", "watchers", "trace", "__dict__", "__weakref__")
    n_outputs = 1
    fresh = False                                  # whether backward returns new tensors, or g itself

    def backward(self, *grads):
        raise NotImplementedError

    def release(self):
        """Forget saved tensors: called once the node has been walked, unless retain_graph."""

    # ---- what torch shows of a node
    @property
    def next_functions(self):
        return tuple(_function_of(edge) for edge in self.edges)

    @property
    def metadata(self):
        return self.__dict__.setdefault("_metadata", {})

    def name(self):
        return type(self).__name__

    def _sequence_nr(self):
        return self.number

    def watch(self):
        """The hooks of this node, made when the first is asked for."""
        found = getattr(self, "watchers", None)
        if found is None:
            found = self.watchers = Watchers()
        return found

    def register_hook(self, hook):
        """`hook(grad_inputs, grad_outputs)` after the node has run; may return other grad_inputs."""
        return Handle(self.watch().after, hook)

    def register_prehook(self, hook):
        """`hook(grad_outputs)` before the node runs; may return other grad_outputs."""
        return Handle(self.watch().before, hook)

    def __repr__(self):
        return f"<{type(self).__name__} object at {id(self):#x}>"


class Output:
    """Output number `nr` of a node that has several: the end of an edge."""
    __slots__ = ("node", "nr")

    def __init__(self, node, nr):
        self.node, self.nr = node, nr


class AccumulateGrad:
    """What torch shows at the end of an edge to a leaf. (On our tape the leaf itself is the end.)"""

    def __init__(self, variable):
        self.variable = variable

    next_functions = ()

    def name(self):
        return "struct torch::autograd::AccumulateGrad"

    def __eq__(self, other):
        return isinstance(other, AccumulateGrad) and self.variable is other.variable

    def __hash__(self):
        return id(self.variable)

    def __repr__(self):
        return f"<AccumulateGrad object at {id(self.variable):#x}>"


def _function_of(edge):
    if edge is None:
        return None, 0
    if edge.__class__ is Output:
        return edge.node, edge.nr
    return (edge, 0) if isinstance(edge, Node) else (AccumulateGrad(edge), 0)


class Watchers:
    """Hooks of one node: on its outputs (tensor hooks, in order of registration), before and after it runs."""
    __slots__ = ("tensor", "retain", "before", "after")

    def __init__(self):
        self.tensor, self.retain, self.before, self.after = {}, {}, {}, {}


class Handle:
    """Removes a hook: `handle.remove()`, or at the end of a `with handle:`."""
    _next_id = itertools.count().__next__

    def __init__(self, hooks, hook):
        import weakref
        self.id = Handle._next_id()
        self._hooks = weakref.ref(hooks) if not isinstance(hooks, dict) else (lambda: hooks)
        hooks[self.id] = hook

    def remove(self):
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


def run_tensor_hooks(hooks, grad):
    """Each hook sees the gradient and may replace it."""
    for hook in list(hooks.values()):
        replaced = hook(grad)
        if replaced is not None:
            grad = check_hook_result(replaced, grad)
    return grad


def check_hook_result(replaced, grad):
    if type(replaced) is not type(grad) and not hasattr(replaced, "shape"):
        raise TypeError(f"hook '<lambda>' has returned an incompatible value: expected a tensor, got {type(replaced).__name__}")
    if replaced.shape != grad.shape:
        raise RuntimeError(f"hook has changed the size of value (expected {list(grad.shape)}, got {list(replaced.shape)})")
    return replaced


def reachable(roots, targets):
    """The nodes from which a path leads to one of `targets` (nodes or leaves). Iterative: graphs are deep."""
    useful = {}                                    # node -> does a path lead to a target?
    stack = [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if done:
            useful[node] = node in targets or any(
                edge is not None and useful.get(edge.node if edge.__class__ is Output else edge, False) for edge in node.edges)
        elif node not in useful:
            if not isinstance(node, Node):
                useful[node] = node in targets
                continue
            useful[node] = False
            stack.append((node, True))
            for edge in node.edges:
                if edge is not None:
                    end = edge.node if edge.__class__ is Output else edge
                    if end not in useful:
                        stack.append((end, False))
    return {node for node, yes in useful.items() if yes}


def walk(roots, *, retain_graph=False, create_graph=False, capture=None, accumulate_into=None):
    """Reverse-mode differentiation: visit what `roots` ([(edge, gradient)]) were computed from, latest first.

    Leaves accumulate what arrives; with `capture` (a list of edges) nothing accumulates, and the gradients that
    reach those edges are returned; with `accumulate_into` only those leaves accumulate.
    """
    pending = {}                                   # node -> its gradient, or the list of its outputs' gradients
    leaves = {}                                    # id -> [leaf, gradient, is it ours alone?]
    queue = []                                     # numbers of pending nodes, latest first
    by_number = {}
    captured = {}
    useful = targets = None
    if capture is not None or accumulate_into is not None:
        wanted = capture if capture is not None else accumulate_into
        targets = {edge.node if edge.__class__ is Output else edge for edge in wanted}
        useful = reachable([edge.node if edge.__class__ is Output else edge for edge, _ in roots], targets)
        wanted = {(edge.node, edge.nr) if edge.__class__ is Output else (edge, 0) for edge in wanted}
    before, mode.grad = mode.grad, create_graph
    try:
        sends, fresh = roots, False
        while True:
            for edge, grad in sends:
                if edge is None or grad is None:
                    continue
                if edge.__class__ is Output:
                    end, nr = edge.node, edge.nr
                else:
                    end, nr = edge, 0
                if useful is not None and end not in useful:
                    continue
                if not isinstance(end, Node):
                    held = leaves.get(id(end))
                    if held is None:
                        leaves[id(end)] = [end, grad, fresh]
                    else:
                        held[1], held[2] = held[1] + grad, True
                    continue
                held = pending.get(end)
                if held is None:
                    if end.n_outputs == 1:
                        pending[end] = grad
                    else:
                        pending[end] = grads = [None] * end.n_outputs
                        grads[nr] = grad
                    number = end.number
                    by_number[number] = end
                    heappush(queue, -number)
                elif end.n_outputs == 1:
                    pending[end] = held + grad
                else:
                    held[nr] = grad if held[nr] is None else held[nr] + grad
            if not queue:
                break
            node = by_number.pop(-heappop(queue))
            grads = pending.pop(node)
            watchers = getattr(node, "watchers", None)
            if watchers is not None:
                grads = _run_hooks_before(node, watchers, grads)
            if targets is not None and node in targets:
                several = grads if node.n_outputs > 1 else [grads]
                for nr, grad in enumerate(several):
                    if (node, nr) in wanted:
                        captured[node, nr] = grad
                if not any(_end(edge) in useful for edge in node.edges):
                    sends = ()                     # nobody asked for what lies behind it
                    continue
            try:
                results = node.backward(grads) if node.n_outputs == 1 else node.backward(*grads)
            except RuntimeError as error:
                if anomaly:
                    explain(node, error)
                raise
            if anomaly and anomaly[-1]:
                check_nan(node, results)
            if watchers is not None and watchers.after:
                results = _run_hooks_after(node, watchers, results, grads)
            if not retain_graph:
                node.release()
            sends, fresh = zip(node.edges, results), node.fresh
        for leaf, grad, fresh in leaves.values():
            if capture is None:
                leaf.accumulate(grad, fresh)
            else:
                captured[leaf, 0] = leaf.hooked(grad)
    finally:
        mode.grad = before
    if capture is not None:
        return [captured.get((edge.node, edge.nr) if edge.__class__ is Output else (edge, 0)) for edge in capture]
    return None


def _end(edge):
    return edge.node if edge.__class__ is Output else edge


def _run_hooks_before(node, watchers, grads):
    several = list(grads) if node.n_outputs > 1 else [grads]
    for nr, hooks in watchers.tensor.items():
        if several[nr] is not None:
            several[nr] = run_tensor_hooks(hooks, several[nr])
    for nr, keep in watchers.retain.items():
        if several[nr] is not None:
            keep(several[nr])
    for hook in list(watchers.before.values()):
        replaced = hook(tuple(several))
        if replaced is not None:
            several = list(replaced) if isinstance(replaced, tuple) else [replaced]
    return several if node.n_outputs > 1 else several[0]


def _run_hooks_after(node, watchers, results, grads):
    results = tuple(results)
    outputs = tuple(grads) if node.n_outputs > 1 else (grads,)
    for hook in list(watchers.after.values()):
        replaced = hook(results, outputs)
        if replaced is not None:
            replaced = replaced if isinstance(replaced, tuple) else (replaced,)
            if len(replaced) != len(results):
                raise RuntimeError(f"hook has returned an incorrect number of values (expected {len(results)}, got {len(replaced)})")
            results = replaced
    return results


def explain(node, error):
    """Anomaly mode: where in the forward pass the failing operation was called."""
    trace = getattr(node, "trace", None)
    if trace:
        import warnings
        warnings.warn(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{trace}", stacklevel=4)


def check_nan(node, results):
    for number, grad in enumerate(results):
        if grad is not None and grad.is_floating_point() and bool((grad != grad).any()):
            error = RuntimeError(f"Function '{node.name()}' returned nan values in its {number}th output.")
            explain(node, error)
            raise error


def forward_trace():
    """The caller's stack as text, for anomaly mode."""
    import traceback
    return "".join(traceback.format_stack()[:-3])
