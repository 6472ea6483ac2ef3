"""Programs about autograd.Function and its ctx."""
from . import program, refused


def leaf(torch, *numbers):
    return torch.tensor(list(numbers), dtype=torch.float64, requires_grad=True)


def make(torch, forward, backward, **more):
    """A Function out of two functions (and setup_context, where given)."""
    return type("Made", (torch.autograd.Function,),
                {"forward": staticmethod(forward), "backward": staticmethod(backward),
                                                     **{k: staticmethod(v) for k, v in more.items()}})


@program
def plain(torch):
    def forward(ctx, x, k):
        ctx.k, ctx.note = k, "kept"
        out = x.exp() * k
        ctx.save_for_backward(x, out)
        yield_.append((x.requires_grad, torch.is_grad_enabled(), out.requires_grad, ctx.needs_input_grad))
        return out

    def backward(ctx, g):
        x, out = ctx.saved_tensors
        yield_.append((ctx.note, ctx.needs_input_grad, torch.is_grad_enabled(), len(ctx.saved_tensors),
                       x.requires_grad))
        return g * out, None
    yield_ = []
    Exp = make(torch, forward, backward)
    x = leaf(torch, 0.0, 1.0)
    y = Exp.apply(x, 2)
    yield type(y.grad_fn).__name__, y.grad_fn.name(), y.requires_grad, y.is_leaf
    y.sum().backward()
    yield yield_, x.grad
    yield refused(lambda: y.sum().backward())
    yield Exp.apply(x.detach(), 2).requires_grad
    with torch.no_grad():
        yield Exp.apply(x, 2).requires_grad
    yield type(Exp()).__name__, Exp.apply(x, k=3)
    yield refused(lambda: Exp.apply(x, m=3))
    Exp.apply(x, k=5).sum().backward()
    yield x.grad


@program
def with_setup_context(torch):
    def forward(x, y):
        return x * y, x + 1

    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.n = len(output)

    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        return g * y + h, g * x
    F = make(torch, forward, backward, setup_context=setup_context)
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    a, b = F.apply(x, y=y)
    (a * 2 + b).sum().backward()
    yield x.grad, y.grad, a.grad_fn is b.grad_fn, a.output_nr, b.output_nr


def seen_by_backward(torch, materialize):
    seen = []

    def forward(ctx, x):
        ctx.set_materialize_grads(materialize)
        return x * 2, x * 3

    def backward(ctx, g, h):
        seen.append((None if g is None else g.tolist(), None if h is None else h.tolist()))
        return g if h is None else h
    x = leaf(torch, 1.0, 2.0)
    a, b = make(torch, forward, backward).apply(x)
    b.sum().backward()
    return seen, x.grad


@program
def unused_outputs(torch):
    yield seen_by_backward(torch, True)
    yield seen_by_backward(torch, False)


@program
def wrong_gradients(torch):
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)

    def call(backward, *args):
        def forward(ctx, *args):
            return args[0] * 2
        make(torch, forward, backward).apply(*args).sum().backward()
    yield refused(lambda: call(lambda ctx, g: (g, g), x))
    yield refused(lambda: call(lambda ctx, g: g, x, y))
    yield refused(lambda: call(lambda ctx, g: (g, None, None), x))
    yield refused(lambda: call(lambda ctx, g: 3, x))
    yield refused(lambda: call(lambda ctx, g: (g, 3), x, y))
    yield refused(lambda: call(lambda ctx, g: torch.ones(3, dtype=torch.float64), x))
    yield refused(lambda: call(lambda ctx, g: torch.ones(2, 2, dtype=torch.float64), x))
    yield refused(lambda: call(lambda ctx, g: (g, g), x, 5))
    yield x.grad
    yield refused(lambda: call(lambda ctx, g: None, x)), x.grad
    yield refused(lambda: call(lambda ctx, g: g.float(), x)), x.grad, str(x.grad.dtype)


@program
def no_backward(torch):
    class OnlyForward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2
    x = leaf(torch, 1.0)
    y = OnlyForward.apply(x)
    yield y
    yield refused(lambda: y.sum().backward())

    class Nothing(torch.autograd.Function):
        pass
    yield refused(lambda: Nothing.apply(x))


@program
def saving(torch):
    x = leaf(torch, 1.0, 2.0)

    def forward(ctx, x):
        ctx.save_for_backward(x, None, x * 3)
        return x * 1

    def backward(ctx, g):
        a, b, c = ctx.saved_tensors
        return g * c
    F = make(torch, forward, backward)
    y = F.apply(x)
    yield y.grad_fn.saved_tensors[1], y.grad_fn.saved_tensors[0] is x
    y.sum().backward()
    yield x.grad
    yield refused(lambda: y.grad_fn.saved_tensors)

    def bad(ctx, x):
        ctx.save_for_backward(3)
        return x * 1
    yield refused(lambda: make(torch, bad, backward).apply(x))

    def twice(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_backward(x, x)
        return x * 1
    yield len(make(torch, twice, backward).apply(x).grad_fn.saved_tensors)


@program
def versions(torch):
    x = leaf(torch, 1.0, 2.0)

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 1

    def backward(ctx, g):
        return g * ctx.saved_tensors[0]
    F = make(torch, forward, backward)
    y = x * 2
    z = F.apply(y)
    y.add_(1)
    yield refused(lambda: z.sum().backward())

    def forward_out(ctx, x):
        out = x.exp()
        ctx.save_for_backward(out)
        return out
    z = make(torch, forward_out, backward).apply(x)
    z.add_(1)
    yield refused(lambda: z.sum().backward())


@program
def non_differentiable(torch):
    def forward(ctx, x):
        values, places = x * 2, x > 1
        other = x * 3
        ctx.mark_non_differentiable(places, other)
        return values, places, other

    def backward(ctx, g, h, k):
        return g * 2
    x = leaf(torch, 1.0, 2.0)
    a, b, c = make(torch, forward, backward).apply(x)
    yield a.requires_grad, b.requires_grad, c.requires_grad, c.is_leaf
    a.sum().backward()
    yield x.grad


@program
def in_place(torch):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(3)

    def backward(ctx, g):
        return g * 3
    F = make(torch, forward, backward)
    x = leaf(torch, 1.0, 2.0)
    y = x * 1
    z = F.apply(y)
    yield z is y, y.grad_fn.name(), y._version
    (y * 2).sum().backward()
    yield x.grad, y
    yield refused(lambda: F.apply(x))
    plain = torch.ones(2, dtype=torch.float64)
    yield F.apply(plain) is plain, plain.requires_grad

    def not_returned(ctx, x):
        ctx.mark_dirty(x)
        return x * 1
    yield refused(lambda: make(torch, not_returned, backward).apply(x * 1))

    def not_an_input(ctx, x):
        y = x * 2
        ctx.mark_dirty(y)
        return y
    yield refused(lambda: make(torch, not_an_input, backward).apply(x * 1))


@program
def returning_inputs(torch):
    def forward(ctx, x, y):
        return x, y * 2

    def backward(ctx, g, h):
        return g * 10, h * 2
    F = make(torch, forward, backward)
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    a, b = F.apply(x, y)
    yield a is x, a.requires_grad, a.grad_fn.name(), x.is_leaf
    (a + b).sum().backward()
    yield x.grad, y.grad


@program
def returning_other_things(torch):
    def forward(ctx, x):
        return x * 2, 5, "text", None

    def backward(ctx, g, *others):
        return g * 2 if all(o is None for o in others) else None
    x = leaf(torch, 1.0)
    out = make(torch, forward, backward).apply(x)
    yield out[0], out[1:]
    out[0].sum().backward()
    yield x.grad

    def single(ctx, x):
        return (x * 2,)
    yield isinstance(make(torch, single, backward).apply(x), tuple)

    def listed(ctx, x):
        return [x * 2]
    yield refused(lambda: type(make(torch, listed, backward).apply(x)).__name__)


@program
def double_backward(torch):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * 3 * x * x
    F = make(torch, forward, backward)
    x = leaf(torch, 1.0, 2.0)
    g, = torch.autograd.grad(F.apply(x).sum(), x, create_graph=True)
    h, = torch.autograd.grad(g.sum(), x, create_graph=True)
    k, = torch.autograd.grad(h.sum(), x)
    yield g, h, k


@program
def double_backward_through_saved_outputs(torch):
    def forward(ctx, x):
        out = x.exp()
        ctx.save_for_backward(out)
        return out

    def backward(ctx, g):
        return g * ctx.saved_tensors[0]
    F = make(torch, forward, backward)
    x = leaf(torch, 0.0)
    y = F.apply(x)
    for _ in range(3):
        y, = torch.autograd.grad(y.sum(), x, create_graph=True)
        yield y


@program
def once_differentiable(torch):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * 2 * ctx.saved_tensors[0]
    F = make(torch, forward, backward)
    x = leaf(torch, 1.0, 2.0)
    F.apply(x).sum().backward()
    yield x.grad
    g, = torch.autograd.grad(F.apply(x).sum(), x, create_graph=True)
    yield g, g.requires_grad
    yield refused(lambda: g.sum().backward())


@program
def functions_within_functions(torch):
    def forward(ctx, x):
        with torch.enable_grad():
            inner = x.detach().requires_grad_()
            out = (inner * inner).sum()
        ctx.grad, = torch.autograd.grad(out, inner)
        return out.detach()

    def backward(ctx, g):
        return g * ctx.grad
    x = leaf(torch, 1.0, 2.0)
    y = make(torch, forward, backward).apply(x)
    y.backward()
    yield y, x.grad


@program
def views_of_inputs(torch):
    def forward(ctx, x):
        return x.view(2, 1)

    def backward(ctx, g):
        return g.view(2)
    x = leaf(torch, 1.0, 2.0)
    y = make(torch, forward, backward).apply(x)
    y.sum().backward()
    yield y, x.grad, y.grad_fn.name()
    z = make(torch, forward, backward).apply(x * 1)
    yield refused(lambda: z.add_(1))


@program
def errors_leave_things_clean(torch):
    def forward(ctx, x):
        if torch.is_grad_enabled():
            return x
        raise KeyError("in forward")

    def backward(ctx, g):
        raise ValueError("in backward")
    x = leaf(torch, 1.0)
    yield refused(lambda: make(torch, forward, backward).apply(x)), torch.is_grad_enabled()
    y = make(torch, lambda ctx, x: x * 2, backward).apply(x)
    yield refused(lambda: (y + x * 5).sum().backward()), torch.is_grad_enabled(), x.grad


@program
def integers_and_detached_inputs(torch):
    def forward(ctx, x, i, d):
        ctx.mark = ctx.needs_input_grad
        return x * i + d

    def backward(ctx, g):
        seen.append(ctx.needs_input_grad)
        return g, None, None
    seen = []
    x, i, d = leaf(torch, 1.0, 2.0), torch.tensor([2, 3]), torch.ones(2, dtype=torch.float64)
    y = make(torch, forward, backward).apply(x, i, d)
    y.sum().backward()
    yield seen, x.grad, i.grad, d.grad
    yield [n is None for n, _ in y.grad_fn.next_functions]


@program
def old_names(torch):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    def vjp(ctx, g):
        return g * 2 * ctx.saved_variables[0] if hasattr(ctx, "saved_variables") else g * 2 * ctx.saved_tensors[0]
    F = type("Made", (torch.autograd.Function,), {"forward": staticmethod(forward), "vjp": staticmethod(vjp)})
    x = leaf(torch, 3.0)
    F.apply(x).sum().backward()
    yield x.grad
