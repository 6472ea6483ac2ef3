"""Programs about backward, grad, hooks, leaves and saved tensors."""
from . import program, refused


def leaf(torch, *numbers):
    return torch.tensor(list(numbers), dtype=torch.float64, requires_grad=True)


# ---- backward and grad, with their arguments
@program
def arguments_of_grad(torch):
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    grad = torch.autograd.grad
    yield grad((x * y).sum(), x)
    yield grad((x * y).sum(), (x, y))
    yield grad(x * y, [x], torch.tensor([1.0, 10.0], dtype=torch.float64))
    yield grad([(x * y).sum(), x.sum()], [x, y], [None, torch.tensor(2.0, dtype=torch.float64)])
    yield grad((x * 2).sum(), [x, y], allow_unused=True)
    yield grad((x * 2).sum(), [x, y], materialize_grads=True)
    z = x * y
    yield grad(z.sum(), [z, x])                    # of something in the middle, too
    yield grad(x.sum(), x, torch.tensor(3.0, dtype=torch.float64)), x.grad
    yield grad([x], [x], [torch.tensor([5.0, 6.0], dtype=torch.float64)])
    a, b = (x * y).unbind(0)
    yield grad(a * b, [a, b])


@program
def refusals_of_grad(torch):
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    grad = torch.autograd.grad
    yield refused(lambda: grad(x.sum(), []))
    yield refused(lambda: grad(x * 1, x))
    yield refused(lambda: grad((x * 1).sum(), x, torch.ones(3, dtype=torch.float64)))
    yield refused(lambda: grad(torch.ones(1), x))
    yield refused(lambda: grad(x.sum(), torch.ones(2)))
    yield refused(lambda: grad(x.sum(), y))
    yield refused(lambda: grad(x.sum(), x, allow_unused=False, materialize_grads=True))
    yield refused(lambda: grad([x.sum(), x.sum()], x, [None]))
    yield refused(lambda: grad(x.sum(), x, "one"))
    yield x.grad, y.grad


@program
def arguments_of_backward(torch):
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    (x * y).sum().backward()
    yield x.grad, y.grad
    (x * y).sum().backward(inputs=[x])
    yield x.grad, y.grad
    (x * y).sum().backward(inputs=y)
    yield x.grad, y.grad
    (x * y).backward(torch.tensor([1.0, 0.5], dtype=torch.float64))
    yield x.grad, y.grad
    torch.autograd.backward([(x * 2).sum(), y.sum()])
    yield x.grad, y.grad
    torch.autograd.backward((x * 2, y), (torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)))
    yield x.grad, y.grad
    z = x * y
    z.sum().backward(inputs=[z])
    yield z.grad, x.grad
    yield torch.autograd.backward([])
    x.backward(torch.ones(2, dtype=torch.float64))
    yield x.grad


@program
def refusals_of_backward(torch):
    x = leaf(torch, 1.0, 2.0)
    yield refused(lambda: (x * 2).sum().backward(inputs=[]))
    yield refused(lambda: (x * 2).sum().backward(inputs=[torch.ones(2)]))
    yield refused(lambda: (x * 2).backward())
    yield refused(lambda: (x * 2).backward(torch.ones(3)))
    yield refused(lambda: (x * 2).backward("a"))
    yield refused(lambda: torch.ones(1).backward())
    yield refused(lambda: x.detach().sum().backward())
    yield refused(lambda: torch.autograd.backward([x.sum(), x.sum()], [None]))
    yield x.grad


@program
def a_gradient_of_another_dtype(torch):
    x = leaf(torch, 1.0, 2.0)
    (x * 2).backward(torch.ones(2))
    yield x.grad, str(x.grad.dtype)
    y = torch.ones(2, requires_grad=True)
    (y.double() * x).sum().backward()
    yield y.grad, str(y.grad.dtype)


# ---- more than once
@program
def twice(torch):
    x = leaf(torch, 1.0, 2.0)
    for name, make in (("square", lambda: (x * x).sum()), ("sum", lambda: (x + x).sum()),
                       ("exp", lambda: x.exp().sum()),
                       ("view", lambda: x.view(2, 1).t().sum()), ("scaled", lambda: (x * 2).sum()),
                       ("max", lambda: x.max()),
                       ("clone", lambda: x.clone().sum()), ("index", lambda: x[0]), ("relu", lambda: x.relu().sum()),
                       ("neg", lambda: (-x).sum()), ("mean", lambda: x.mean()), ("matmul", lambda: x @ x)):
        z = make()
        z.backward()
        yield name, refused(z.backward)
    z = (x * x).sum()
    z.backward(retain_graph=True)
    z.backward()
    yield refused(lambda: z.backward())
    yield x.grad


@program
def half_a_graph_twice(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x * x
    y.sum().backward()
    yield refused(lambda: (y * 2).sum().backward())
    yield x.grad
    w = leaf(torch, 3.0)
    yield refused(lambda: (y * w).sum().backward(inputs=[w]))
    yield w.grad


@program
def fourth_derivative(torch):
    x = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    y = x ** 5 + x * x * x.exp()
    for _ in range(4):
        y, = torch.autograd.grad(y, x, create_graph=True)
        yield f"{y.item():.10f}"


@program
def create_graph_in_backward(torch):
    x = leaf(torch, 1.0, 2.0)
    (x ** 3).sum().backward(create_graph=True)
    yield x.grad, x.grad.requires_grad
    x.grad.sum().backward()
    yield x.grad                                   # 3x^2 + 6x


# ---- hooks
@program
def order_of_tensor_hooks(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x + 2
    seen = []
    first = y.register_hook(lambda g: seen.append(("first", g.tolist())))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(("third", g.tolist())))
    x.register_hook(lambda g: seen.append(("leaf", g.tolist())))
    x.register_hook(lambda g: g + 1)
    y.sum().backward()
    yield seen, x.grad
    first.remove()
    first.remove()
    seen.clear()
    (y * 1).sum().backward()
    yield seen, x.grad
    with y.register_hook(lambda g: seen.append("inside")):
        pass
    seen.clear()
    y.sum().backward()
    yield seen


@program
def retained_gradients(torch):
    for order in ("retain first", "hook first", "between"):
        x = leaf(torch, 1.0, 2.0)
        y = x * 2
        if order == "retain first":
            y.retain_grad()
        y.register_hook(lambda g: g * 10)
        if order != "retain first":
            y.retain_grad()
        if order == "between":
            y.register_hook(lambda g: g * 10)
        y.sum().backward()
        yield order, y.grad, x.grad, y.retains_grad, x.retains_grad
    x = leaf(torch, 1.0)
    x.retain_grad()
    yield x.retains_grad
    yield refused(lambda: torch.ones(2).retain_grad())
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    y.backward(torch.ones(1, dtype=torch.float64))
    (x * 2).sum().backward()
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward(retain_graph=True)
    (y * 1).sum().backward()
    yield y.grad                                   # replaced or accumulated?


@program
def hooks_that_return_nonsense(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: torch.ones(3, dtype=torch.float64))
    yield refused(lambda: y.sum().backward())
    y = x * 2
    y.register_hook(lambda g: torch.ones(2))
    yield refused(lambda: y.sum().backward())
    y = x * 2
    y.register_hook(lambda g: 3)
    yield refused(lambda: y.sum().backward())
    yield refused(lambda: torch.ones(2).register_hook(print))
    yield refused(lambda: (x * 2).register_post_accumulate_grad_hook(print))
    yield refused(lambda: torch.ones(2).register_post_accumulate_grad_hook(print))
    yield x.grad


@program
def post_accumulate_hooks(torch):
    x = leaf(torch, 1.0, 2.0)
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    def clear(p):
        p.grad.zero_()
    x.register_post_accumulate_grad_hook(clear)
    (x * 2 + x * 3).sum().backward()
    yield seen, x.grad
    handle.remove()
    torch.autograd.grad((x * 2).sum(), x)
    yield seen, x.grad
    x.register_post_accumulate_grad_hook(lambda p: p.grad)
    yield refused(lambda: (x * 2).sum().backward())


@program
def node_hooks(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(("tensor", g.tolist())))
    y.grad_fn.register_prehook(lambda out: seen.append(("before", len(out), out[0].tolist())))
    handle = y.grad_fn.register_hook(lambda into, out: seen.append(("after", into[0].tolist(), out[0].tolist())))
    y.sum().backward()
    yield seen
    handle.remove()
    y = x * 2
    y.grad_fn.register_prehook(lambda out: (out[0] * 3,))
    y.grad_fn.register_hook(lambda into, out: (into[0] * 5, *into[1:]))
    x.grad = None
    y.sum().backward()
    yield x.grad
    y = x * 2
    y.grad_fn.register_hook(lambda into, out: (1, 2, 3))
    yield refused(lambda: y.sum().backward())


@program
def hooks_see_the_sum(torch):
    x = leaf(torch, 1.0)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * 3 + y * 4 + y).sum().backward()
    yield seen, x.grad


@program
def grad_and_hooks(torch):
    x = leaf(torch, 1.0, 2.0)
    x.register_hook(lambda g: g * 7)
    y = x * 2
    y.register_hook(lambda g: g * 3)
    yield torch.autograd.grad((y * 1).sum(), [x, y])
    yield x.grad


# ---- leaves
@program
def flags(torch):
    x = torch.ones(2)
    yield x.requires_grad, x.is_leaf, x.grad_fn, x.grad
    x.requires_grad_()
    y = x * 2
    yield y.requires_grad, y.is_leaf, x.is_leaf, y.detach().is_leaf, y.detach().requires_grad
    yield refused(lambda: setattr(y, "requires_grad", False))
    yield refused(lambda: torch.ones(2, dtype=torch.int64).requires_grad_())
    yield refused(lambda: torch.tensor([1, 2], requires_grad=True))
    yield (x > 0).requires_grad, x.long().requires_grad
    x.requires_grad_(False)
    yield x.requires_grad, (x * 2).requires_grad, y.requires_grad
    yield type(y.grad_fn).__name__, y.grad_fn.name(), [n is not None for n, _ in y.grad_fn.next_functions], y.output_nr


@program
def setting_grad(torch):
    x = leaf(torch, 1.0, 2.0)
    x.grad = torch.ones(2, dtype=torch.float64)
    (x * 2).sum().backward()
    yield x.grad
    yield refused(lambda: setattr(x, "grad", torch.ones(3, dtype=torch.float64)))
    yield refused(lambda: setattr(x, "grad", torch.ones(2)))
    yield refused(lambda: setattr(x, "grad", 3))
    yield refused(lambda: setattr(x, "grad", x))
    del x.grad
    yield x.grad


@program
def gradients_do_not_alias(torch):
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    (x + y).sum().backward()
    x.grad.add_(100)
    yield x.grad, y.grad
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    g = torch.ones(2, dtype=torch.float64)
    (x + y).backward(g)
    x.grad.mul_(5)
    yield x.grad, y.grad, g
    x = leaf(torch, 1.0, 2.0)
    x.sum().backward()
    x.grad[0] = 9
    yield x.grad
    x = leaf(torch, 1.0)
    x.expand(3).backward(torch.ones(3, dtype=torch.float64))
    yield x.grad
    x = leaf(torch, 1.0, 2.0)
    x.backward(g)
    x.grad.add_(1)
    yield g, x.grad
    held = x.grad
    x.backward(g)
    yield held is x.grad, held
    x = torch.ones(2, 3, dtype=torch.float64).t().requires_grad_()
    (x * 2).sum().backward()
    yield x.grad.stride()


# ---- saved tensors
@program
def versions(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    yield y._version
    z = y * y
    y.add_(1)
    yield y._version
    yield refused(lambda: z.sum().backward())
    y = x.exp()
    y.mul_(2)
    yield refused(lambda: y.sum().backward())
    y = x * 2
    z = y * 3
    y.add_(1)                                      # nobody needs y
    z.sum().backward()
    yield x.grad
    y = x * 2
    z = y * y
    y.detach().add_(1)
    yield refused(lambda: z.sum().backward())
    y = x * 2
    z = y * y
    y.data.add_(1)                                 # unnoticed, on purpose
    z.sum().backward()
    y = x.tanh()
    view = y[0]
    view.zero_()
    yield refused(lambda: y.sum().backward())
    w = torch.ones(2, dtype=torch.float64)
    z = x * w
    w.add_(1)
    yield refused(lambda: z.sum().backward())


@program
def in_place_on_leaves(torch):
    x = leaf(torch, 1.0, 2.0)
    yield refused(lambda: x.add_(1))
    yield refused(lambda: x[0].add_(1))
    yield refused(lambda: x.view(2, 1).mul_(2))
    with torch.no_grad():
        x.add_(1)
        x[0] = 7
    yield x, x.requires_grad, x.is_leaf
    x.detach().add_(1)
    yield x


@program
def nodes(torch):
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    node = y.grad_fn
    yield node.name(), [type(n).__name__ for n, _ in node.next_functions], [i for _, i in node.next_functions]
    below = node.next_functions[0][0]
    yield [type(n).__name__ for n, _ in below.next_functions], below.next_functions[0][0].variable is x
    yield below(torch.tensor([1.0, 1.0], dtype=torch.float64))
    yield y.grad_fn is node, node == y.grad_fn
    a, b = (x * 2).unbind(0)
    yield a.grad_fn is b.grad_fn, a.output_nr, b.output_nr, a.grad_fn.name()
    yield node.metadata


@program
def detaching(torch):
    x = leaf(torch, 1.0, 2.0)
    y = (x * 2).detach()
    yield y.requires_grad, y.is_leaf, y.grad_fn
    y[0] = 50
    z = x * 2
    z.detach_()
    yield z.requires_grad, z.is_leaf
    yield refused(lambda: (x * 2)[0].detach_())
    yield (x.detach() * x).sum().requires_grad


@program
def scalars_and_numpy(torch):
    x = leaf(torch, 1.0, 2.0)
    yield refused(lambda: x.numpy())
    yield x.detach().numpy().tolist(), (x * 2)[0].item()
    yield refused(lambda: x.item())
    yield refused(lambda: bool(x))
    import copy
    y = copy.deepcopy(x)
    yield y, y.requires_grad, y is x
    yield refused(lambda: copy.deepcopy(x * 2))


@program
def anomaly(torch):
    x = leaf(torch, -1.0, 2.0)
    with torch.autograd.set_detect_anomaly(True):
        yield refused(lambda: x.sqrt().sum().backward())
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        x.sqrt().sum().backward()
    yield str(x.grad.tolist()), torch.is_anomaly_enabled()
    x.grad = None
    with torch.autograd.detect_anomaly():
        yield torch.is_anomaly_enabled()
        y = x * 2
        z = y * y
        y.add_(1)
        yield refused(lambda: z.sum().backward())
    yield torch.is_anomaly_enabled()
