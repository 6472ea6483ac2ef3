"""Programs about grad modes: whether what is computed is recorded."""
from . import program, refused
from .autograd import leaf


@program
def grad_modes(torch):
    x = leaf(torch, 1.0)
    with torch.no_grad():
        yield (x * 2).requires_grad, torch.is_grad_enabled()
        with torch.enable_grad():
            yield (x * 2).requires_grad
        with torch.set_grad_enabled(True):
            yield torch.is_grad_enabled()
        yield torch.is_grad_enabled()
        yield torch.ones(1, requires_grad=True).requires_grad, x.detach().requires_grad_().requires_grad
    torch.set_grad_enabled(False)
    yield torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    yield torch.is_grad_enabled()
    try:
        with torch.no_grad():
            raise KeyError
    except KeyError:
        yield torch.is_grad_enabled()


@program
def grad_modes_as_decorators(torch):
    x = leaf(torch, 1.0)

    @torch.no_grad()
    def double(x):
        """Twice."""
        return x * 2
    yield double(x).requires_grad, double.__name__, double.__doc__

    @torch.no_grad
    def bare(x):
        return x * 2
    yield bare(x).requires_grad

    @torch.set_grad_enabled(False)
    def switched(x):
        return x * 2
    yield switched(x).requires_grad, torch.is_grad_enabled()

    @torch.inference_mode()
    def inferred(x):
        return x * 2
    yield inferred(x).requires_grad, inferred(x).is_inference()

    @torch.no_grad()
    def generated(x):
        got = yield (x * 2).requires_grad
        try:
            yield got, torch.is_grad_enabled()
        except KeyError:
            yield "thrown", torch.is_grad_enabled()
        return 5
    running = generated(x)
    yield next(running), torch.is_grad_enabled()
    yield running.send("sent"), torch.is_grad_enabled()
    yield running.throw(KeyError()), torch.is_grad_enabled()
    yield refused(lambda: next(running))

    @torch.no_grad()
    def outer():
        return (yield from generated(x))
    yield list(outer())

    @torch.no_grad()
    def recursive(n):
        return torch.is_grad_enabled() if n == 0 else recursive(n - 1)
    yield recursive(3), torch.is_grad_enabled()


@program
def inference_mode(torch):
    x = leaf(torch, 1.0, 2.0)
    with torch.inference_mode():
        i = torch.ones(2, dtype=torch.float64)
        j = x * 2
        yield torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        yield i.is_inference(), j.is_inference(), j.requires_grad
        with torch.inference_mode(False):
            yield torch.is_grad_enabled(), (x * 2).requires_grad
        with torch.enable_grad():
            yield torch.is_grad_enabled(), (x * 2).requires_grad
        i.add_(1)
    yield i, (i * 2).is_inference(), i[0].is_inference(), i.clone().is_inference(), i.view(2, 1).is_inference()
    yield refused(lambda: x * i)
    yield (i.clone() * x), (x + i).sum().item()
    yield refused(lambda: i.requires_grad_())
    yield refused(lambda: i.add_(1))               # (torch refuses after it has added)
    yield refused(lambda: i.view(2, 1).add_(1))
