"""The tape: what was computed, in which order, and how to walk it backwards.

Nothing in this file knows what a tensor is. A gradient is something that can be added (`a + b`); the end of an
edge is a Node, one Output of a node with several, or a leaf, which is whatever has the number 0, `accumulate(gradient)`
and a hash by identity.
"""
from __future__ import annotations

import itertools
import warnings
from heapq import heappop, heappush

from .mode import mode

next_number = itertools.count(1).__next__          # a node's place on the tape: inputs come before outputs


anomaly = []                                       # not empty while detect_anomaly is on; process-wide, as torch's


class Node:
    """One recorded operation. `edges[i]` is where the gradient of input i must be sent, or None.

    `number` is its place on the tape. Subclasses say how a gradient of the output(s) becomes
    gradients of the inputs (`backward`), and drop what they saved (`release`).
    """
    __slots__ = ("edges", "number", "__dict__", "__weakref__")
    watchers = None                                # hooks, once there are any
    n_outputs = 1
    fresh = False                                  # whether backward's results share no memory, but for g itself

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
        if self.watchers is None:
            self.watchers = Watchers()
        return self.watchers

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
    number = -1                                    # tells the walk that this is no node

    def __init__(self, node, nr):
        self.node, self.nr = node, nr


def output_of(edge):
    """(node, number of the output) at the end of an edge, which may be a leaf."""
    return (edge.node, edge.nr) if edge.__class__ is Output else (edge, 0)


class AccumulateGrad:
    """What torch shows at the end of an edge to a leaf. (On our tape the leaf itself is the end.)"""

    def __init__(self, variable):
        self.variable = variable

    next_functions = ()

    def name(self):
        return "torch::autograd::AccumulateGrad"

    def __eq__(self, other):
        return isinstance(other, AccumulateGrad) and self.variable is other.variable

    def __hash__(self):
        return id(self.variable)

    def __repr__(self):
        return f"<AccumulateGrad object at {id(self.variable):#x}>"


def _function_of(edge):
    if edge is None:
        return None, 0
    node, nr = output_of(edge)
    return (node if isinstance(node, Node) else AccumulateGrad(node)), nr


class Watchers:
    """Hooks of one node: on its outputs (tensor hooks, in order of registration), before and after it runs."""
    __slots__ = ("tensor", "retain", "before", "after")

    def __init__(self):
        self.tensor, self.retain, self.before, self.after = {}, {}, {}, {}


class Handle:
    """Removes a hook: `handle.remove()`, or at the end of a `with handle:`."""
    _next_id = itertools.count().__next__

    def __init__(self, hooks, hook):
        self.id, self._hooks = Handle._next_id(), hooks
        hooks[self.id] = hook

    def remove(self):
        self._hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


def run_tensor_hooks(hooks, grad):
    """Each hook sees the gradient and may replace it."""
    for hook in list(hooks.values()):
        replaced = hook(grad)
        if replaced is not None:
            grad = check_hook_result(hook, replaced, grad)
    return grad


def check_hook_result(hook, replaced, grad):
    """What a hook returned instead of a gradient: it must be a gradient of the same kind."""
    name = getattr(hook, "__name__", repr(hook))
    if not hasattr(replaced, "accumulate"):        # no tensor
        raise TypeError(f"expected Variable, but hook returned '{type(replaced).__name__}'")
    if replaced.dtype is not grad.dtype:
        raise RuntimeError(f"hook '{name}' has changed the type of value (was {grad.type()} got {replaced.type()})")
    if replaced.shape != grad.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    return replaced


def check_hook_results(hook, replaced, values):
    """What a node's hook returned instead of the gradients: a tuple of as many, of the same kinds."""
    if not isinstance(replaced, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(replaced).__name__}'")
    if len(replaced) != len(values):
        name = getattr(hook, "__name__", repr(hook))
        raise RuntimeError(f"hook '{name}' has returned an incorrect number of values (got {len(replaced)}, but "
                           f"expected {len(values)})")
    for new, old in zip(replaced, values):
        if new is not None and old is None:
            raise RuntimeError("can't replace a None gradient with a non-None value")
        if new is not None:
            check_hook_result(hook, new, old)


def reachable(roots, targets):
    """The nodes from which a path leads to one of `targets` (nodes or leaves). Iterative: graphs are deep."""
    useful = {}                                    # node -> does a path lead to a target?
    stack = [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if done:
            useful[node] = node in targets or any(edge is not None and useful.get(_end(edge), False)
                                                  for edge in node.edges)
        elif node not in useful:
            if not isinstance(node, Node):
                useful[node] = node in targets
                continue
            useful[node] = False
            stack.append((node, True))
            for edge in node.edges:
                if edge is not None:
                    end = _end(edge)
                    if end not in useful:
                        stack.append((end, False))
    return {node for node, yes in useful.items() if yes}


def walk(roots, *, retain_graph=False, create_graph=False, capture=None, accumulate_into=None):
    """Reverse-mode differentiation: visit what `roots` ([(edge, gradient)]) were computed from, latest first.

    Leaves accumulate what arrives; with `capture` (a list of edges) nothing accumulates, and the gradients that
    reach those edges are returned; with `accumulate_into` only those leaves accumulate.
    """
    pending = {}                                   # node -> its gradient, or the list of its outputs' gradients
    leaves = {}                                    # leaf -> [gradient, is it ours alone?]
    queue = []                                     # (-number, node): the latest comes first
    captured, goal = {}, None
    if capture is not None or accumulate_into is not None:
        goal = _Goal(roots, capture if capture is not None else accumulate_into)
    before, mode.grad = mode.grad, create_graph
    try:
        sends, fresh, grads = roots, False, None
        while True:
            for edge, grad in sends:
                if edge is None or grad is None or goal is not None and _end(edge) not in goal.useful:
                    continue
                number = edge.number
                if number > 0:                     # a node with one output
                    held = pending.get(edge)
                    if held is None:
                        pending[edge] = grad
                        heappush(queue, (-number, edge))
                    else:
                        pending[edge] = held + grad
                elif number == 0:                  # a leaf
                    held = leaves.get(edge)
                    if held is None:
                        leaves[edge] = [grad, fresh and grad is not grads and grad._is_alone()]
                    elif held[1] and not create_graph:
                        held[0]._add_unseen(grad)
                    else:
                        held[0], held[1] = held[0] + grad, True
                else:
                    _send_to_output(edge, grad, pending, queue)
            if not queue:
                break
            node = heappop(queue)[1]
            grads = pending.pop(node)
            watchers = node.watchers
            if goal is not None:
                if not goal.leads_on(node):        # nobody asked for what lies behind it
                    if watchers is not None:
                        grads = _run_tensor_hooks(node, watchers, grads)
                    goal.keep(node, grads, captured)
                    sends = ()
                    continue
                goal.keep(node, grads, captured)   # as torch does: before hooks, if the walk goes on
            if watchers is not None:
                grads = _run_hooks_before(node, watchers, grads)
            try:
                results = node.backward(grads) if node.n_outputs == 1 else node.backward(*grads)
            except RuntimeError as error:
                if anomaly:
                    explain(node, error)
                raise
            if anomaly and anomaly[-1]:
                check_nan(node, results)
            fresh = node.fresh                     # a formula may still hand g through: hence `is not grads` above
            if watchers is not None and watchers.after:
                results, fresh = _run_hooks_after(node, watchers, results, grads), False
            if not retain_graph:
                node.release()
            sends = zip(node.edges, results)
        for leaf, (grad, fresh) in leaves.items():
            if capture is None:
                leaf.accumulate(grad, fresh)
            else:
                captured[leaf, 0] = leaf.hooked(grad)
    finally:
        mode.grad = before
    if capture is not None:
        return [captured.get(output_of(edge)) for edge in capture]
    return None


class _Goal:
    """What a walk that was asked for some gradients only has to visit, and what it must hand out on the way."""

    def __init__(self, roots, wanted):
        self.ends = {_end(edge) for edge in wanted}
        self.outputs = {output_of(edge) for edge in wanted}
        self.useful = reachable([_end(edge) for edge, _ in roots], self.ends)

    def leads_on(self, node):
        """Whether something behind the node matters."""
        return node not in self.ends or any(_end(edge) in self.useful for edge in node.edges)

    def keep(self, node, grads, captured):
        """What was asked for, if it was this node's."""
        if node in self.ends:
            for nr, grad in enumerate(grads if node.n_outputs > 1 else [grads]):
                if (node, nr) in self.outputs:
                    captured[node, nr] = grad


def _send_to_output(edge, grad, pending, queue):
    """One gradient for one of a node's several outputs."""
    node, nr = edge.node, edge.nr
    held = pending.get(node)
    if held is None:
        heappush(queue, (-node.number, node))
        if node.n_outputs == 1:
            pending[node] = grad
            return
        held = pending[node] = [None] * node.n_outputs
    if node.n_outputs == 1:
        pending[node] = held + grad
    else:
        held[nr] = grad if held[nr] is None else held[nr] + grad


def _end(edge):
    return edge.node if edge.__class__ is Output else edge


def _run_tensor_hooks(node, watchers, grads):
    """Those of the node's outputs, and then what keeps their final gradients."""
    several = list(grads) if node.n_outputs > 1 else [grads]
    for nr, hooks in watchers.tensor.items():
        if several[nr] is not None:
            several[nr] = run_tensor_hooks(hooks, several[nr])
    for nr, keep in watchers.retain.items():
        if several[nr] is not None:
            keep(several[nr])
    return several if node.n_outputs > 1 else several[0]


def _run_hooks_before(node, watchers, grads):
    grads = _run_tensor_hooks(node, watchers, grads)
    for hook in list(watchers.before.values()):
        several = tuple(grads) if node.n_outputs > 1 else (grads,)
        replaced = hook(several)
        if replaced is not None:
            check_hook_results(hook, replaced, several)
            grads = list(replaced) if node.n_outputs > 1 else replaced[0]
    return grads


def _run_hooks_after(node, watchers, results, grads):
    results = tuple(results)
    outputs = tuple(grads) if node.n_outputs > 1 else (grads,)
    for hook in list(watchers.after.values()):
        replaced = hook(results, outputs)
        if replaced is not None:
            check_hook_results(hook, replaced, results)
            results = replaced
    return results


def explain(node, error):
    """Anomaly mode: where in the forward pass the failing operation was called."""
    trace = getattr(node, "trace", None)
    if trace:
        warnings.warn(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n"
                      f"{trace}", stacklevel=4)


def check_nan(node, results):
    for number, grad in enumerate(results):
        if grad is not None and grad.is_floating_point() and bool((grad != grad).any()):
            error = RuntimeError(f"Function '{node.name()}' returned nan values in its {number}th output.")
            explain(node, error)
            raise error


def forward_trace():
    """The caller's stack as text, without the engine's own frames at its end: for anomaly mode."""
    import traceback
    frames, engine = traceback.extract_stack(), __file__.rpartition("core")[0]
    while frames and frames[-1].filename.startswith((engine + "core", engine + "ops", "<short path")):
        frames.pop()
    return "".join(traceback.format_list(frames))
