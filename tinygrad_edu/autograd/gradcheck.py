"""gradcheck and gradgradcheck: are these derivatives right? Finite differences know.

It knows no derivative itself: it runs a function on slightly different inputs, and compares. When the two
disagree it says where, how much, and why, as far as `diagnose` and a few more runs of the function can tell.
Source: https://pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html
"""
from __future__ import annotations

import itertools
import warnings
from types import FunctionType

import numpy as np

from ..core import dtypes
from ..core.tensor import Tensor, from_host
from . import diagnose, grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """The analytic gradient is not what finite differences find."""


def gradcheck(func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, nondet_tol=0.0,
              check_undefined_grad=True, check_grad_dtypes=False, check_batched_grad=False,
              check_batched_forward_grad=False, check_forward_ad=False, check_backward_ad=True, fast_mode=False,
              masked=None):
    """True if the gradients of `func(*inputs)` agree with finite differences; else GradcheckError, with reasons.

    The inputs that are checked are those that require a gradient; they should be float64. `fast_mode` and
    `check_undefined_grad` are accepted and change nothing: the whole Jacobian is compared in any case, of each output
    while the others are unused.
    """
    if not check_backward_ad and not check_forward_ad:
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    for flag, name, what in ((check_forward_ad, "check_forward_ad", "forward mode"),
                             (check_batched_grad, "check_batched_grad", "vmap"),
                             (check_batched_forward_grad, "check_batched_forward_grad", "vmap")):
        if flag:
            raise ValueError(f"{name}=True needs {what}, which is not here: leave it out")
    inputs = _tuple(inputs)
    _check_inputs(inputs)
    try:
        _Check(func, inputs, eps, atol, rtol, nondet_tol, check_grad_dtypes).run()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, gen_non_contig_grad_outputs=False,
                  raise_exception=True, nondet_tol=0.0, check_undefined_grad=True, check_grad_dtypes=False,
                  check_batched_grad=False, check_fwd_over_rev=False, check_rev_over_rev=True, fast_mode=False,
                  masked=False):
    """gradcheck of the gradient itself, as a function of the inputs and of `grad_outputs` (random if not given)."""
    inputs = _tuple(inputs)
    if not check_fwd_over_rev and not check_rev_over_rev:
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    if grad_outputs is None:
        outputs = _differentiable(func(*inputs))
        rng = np.random.default_rng(0)
        grad_outputs = tuple(_random_like(o, rng, gen_non_contig_grad_outputs) for o in outputs)
    else:
        grad_outputs = _tuple(grad_outputs)
    count = len(grad_outputs)
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]

    def first_gradients(*args):
        xs, gs = args[:len(args) - count], args[len(args) - count:]
        found = grad(_differentiable(func(*xs)), [xs[i] for i in wanted], gs, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(first_gradients, inputs + grad_outputs, eps=eps, atol=atol, rtol=rtol,
                     raise_exception=raise_exception, nondet_tol=nondet_tol, check_grad_dtypes=check_grad_dtypes,
                     check_batched_grad=check_batched_grad, check_forward_ad=check_fwd_over_rev,
                     check_backward_ad=check_rev_over_rev)


# ---- what goes in and comes out
def _tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _differentiable(outputs):
    return tuple(o for o in _tuple(outputs) if isinstance(o, Tensor) and o.requires_grad)


def _check_inputs(inputs):
    found = False
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            continue
        found = True
        if x.dtype is not dtypes.float64:
            warnings.warn(f"Input #{i} requires gradient and is not a double precision floating point or complex. This "
                          "check will likely fail if all the inputs are not of double precision floating point or "
                          "complex. ", UserWarning,
                          stacklevel=3)
        if any(stride == 0 and size > 1 for stride, size in zip(x.stride(), x.shape)):
            raise RuntimeError(f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that "
                               "are non-overlapping to be able to compute the numerical gradients correctly. You "
                               "should call .contiguous on the input before passing it to gradcheck.")
    if not found:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of them have "
                         "requires_grad=True.")


def _random_like(out, rng, non_contiguous):
    """Numbers in (-1, 1), as a leaf."""
    shape = tuple(out.shape)
    backend = out._spec.backend
    if non_contiguous and out.numel() > 1:         # every other element of something wider
        found = from_host(rng.uniform(-1, 1, (*shape, 2)), out.dtype, backend).select(-1, 0)
    else:
        found = from_host(rng.uniform(-1, 1, shape), out.dtype, backend)
    return found.detach().requires_grad_()


def _numbers(tensor):
    """A tensor's elements as one row of float64, in memory of their own."""
    return np.array(tensor.detach()._host(), np.float64).reshape(-1)


class _Check:
    """One gradcheck: the function, its inputs, and how exact we want to be."""

    def __init__(self, func, inputs, eps, atol, rtol, nondet_tol, check_dtypes):
        self.func, self.inputs, self.eps, self.atol, self.rtol = func, inputs, eps, atol, rtol
        self.nondet_tol, self.check_dtypes = nondet_tol, check_dtypes
        self.places = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        self.wanted = [inputs[i] for i in self.places]

    def run(self):
        every = _tuple(self.func(*self.inputs))
        kept = floating(every)
        numeric = [self.numeric_jacobian(x, kept) for x in self.wanted]    # [input][output] -> matrix
        outputs = [(n, every[n]) for n in kept]
        for place, (_, out) in enumerate(outputs):
            if out.requires_grad:
                self.compare(out, place, [row[place] for row in numeric], self.count_before(outputs, place))
        if not any(o.requires_grad for _, o in outputs):
            if any(matrix.any() for row in numeric for matrix in row):
                raise GradcheckError("Numerical gradient for function expected to be zero\n"
                                     "no output requires a gradient, yet the outputs depend on the inputs: the way "
                                     "between them is cut (`.detach()`, `.data`, `.item()`, numpy, `no_grad`)")
            return
        self.check_linear([o for _, o in outputs if o.requires_grad])

    @staticmethod
    def count_before(outputs, place):
        """The number torch gives an output: its place among those that require a gradient."""
        return sum(o.requires_grad for _, o in outputs[:place])

    # ---- the two Jacobians
    def numeric_jacobian(self, x, kept, eps=None):
        """One matrix per kept output: row k is how the output moves with element k of x."""
        eps = self.eps if eps is None else eps
        rows = [(self.perturbed(x, index, eps, kept), self.perturbed(x, index, -eps, kept)) for index in indices(x)]
        if not rows:
            sizes = [o.numel() for n, o in enumerate(_tuple(self.func(*self.inputs))) if n in kept]
            return [np.zeros((0, size)) for size in sizes]
        with np.errstate(all="ignore"):
            return [np.stack([(up[n] - down[n]) / (2 * eps) for up, down in rows]) for n in range(len(kept))]

    def perturbed(self, x, index, step, kept):
        """The kept outputs with one element of x moved, in x's own memory; moved back afterwards."""
        spec, backend = x._spec, x._spec.backend
        place = x.storage_offset() + sum(i * s for i, s in zip(index, spec.strides))
        cell = backend.as_array(x._storage.buffer, (), (), place, spec.dtype)
        before = float(backend.to_numpy(cell))
        backend.fill(cell, before + step)
        try:
            outputs = _tuple(self.func(*self.inputs))
            return [_numbers(outputs[n]) for n in kept]
        finally:
            backend.fill(cell, before)

    def analytic_jacobians(self, out):
        """For each input the matrix that backward gives, one column per element of the output (None: no way to it)."""
        out = out.clone()                          # so that an output which is an input has a gradient
        size, shape, backend = out.numel(), tuple(out.shape), out._spec.backend
        columns, reached = [[] for _ in self.wanted], [False] * len(self.wanted)
        for k in range(size):
            one = np.zeros(size)
            one[k] = 1
            found = grad(out, self.wanted, from_host(one.reshape(shape), out.dtype, backend), retain_graph=True,
                         allow_unused=True)
            for i, (g, x) in enumerate(zip(found, self.wanted)):
                if g is not None:
                    self.check_gradient(g, x)
                    reached[i] = True
                columns[i].append(np.zeros(x.numel()) if g is None else _numbers(g))
        return [np.stack(c, 1) if c else np.zeros((x.numel(), 0)) for c, x in zip(columns, self.wanted)], reached

    def check_gradient(self, g, x):
        if g.shape != x.shape:
            raise GradcheckError("Analytical gradient has incorrect size")
        if self.check_dtypes and g.dtype is not x.dtype:
            raise GradcheckError("Gradient has dtype mismatch")

    def compare(self, out, place, numeric, number):
        analytic, reached = self.analytic_jacobians(out)
        again, _ = self.analytic_jacobians(out)
        for a, b in zip(analytic, again):
            if a.size and np.abs(a - b).max() > self.nondet_tol:
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    "gives different values, although analytical gradient matches numerical gradient.The tolerance "
                    f"for nondeterminism was {self.nondet_tol}.\n"
                    f"{self.name(diff_input=0)}: the two runs differ by up to {np.abs(a - b).max():.6g}. Does the "
                    "backward draw random numbers, or change what it has saved (`mul_` on a saved tensor)?")
        for i, (a, n) in enumerate(zip(analytic, numeric)):
            if not diagnose.same(a, n, self.atol, self.rtol):
                raise GradcheckError(self.report(a, n, i, number, place, out, reached[i]))

    # ---- the report
    def name(self, diff_input):
        place = self.places[diff_input]
        x = self.inputs[place]
        code = self.func.__code__ if isinstance(self.func, FunctionType) else None
        known = code.co_varnames[:code.co_argcount] if code is not None else ()
        name = f" `{known[place]}`" if place < len(known) else ""
        return f"input {place}{name} {list(x.shape)}"

    def report(self, a, n, i, number, place, out, reached):
        """torch's sentence with both Jacobians, then where it is worst, and why."""
        x = self.wanted[i]
        numerical, analytical = from_host(n, x.dtype), from_host(a, x.dtype)
        row, column = diagnose.worst(a, n)
        element = [int(k) for k in np.unravel_index(row, x.shape)] if x.ndim else []
        result = [int(k) for k in np.unravel_index(column, out.shape)] if out.ndim else []
        wrong = int((np.abs(a - n) > self.atol + self.rtol * np.abs(n)).sum() + np.isnan(a - n).sum())
        lines = [f"Jacobian mismatch for output {number} with respect to input {i},",
                 f"numerical:{numerical}", f"analytical:{analytical}", "",
                 f"{wrong} of {n.size} derivatives differ; the worst:",
                 f"    {self.name(i)}, element {element}; output {place} {list(out.shape)}, element {result}",
                 f"    analytic {a[row, column]:.9g}    (what backward says)",
                 f"    numeric  {n[row, column]:.9g}    (what happens when the element is moved by +-{self.eps:g})"]
        why = self.cause(a, n, i, place, out, reached, row)
        return "\n".join([*lines, f"likely cause: {why}" if why
                          else "no simple cause found: check the formula by hand for this one element"])

    def cause(self, a, n, i, place, out, reached, row):
        """Hypotheses that need the function again, around those that need only the numbers."""
        x = self.wanted[i]
        kept = floating(_tuple(self.func(*self.inputs)))
        first, second = ([_numbers(_tuple(self.func(*self.inputs))[k]) for k in kept] for _ in range(2))
        if any(not np.array_equal(f, s, equal_nan=True) for f, s in zip(first, second)):
            return ("the function gives different results for the same input: does it draw random numbers (dropout), "
                    "or keep state?")
        if x.dtype is not dtypes.float64:
            wide = self.numeric_jacobian(x, kept, eps=1e-2)[place]
            if diagnose.same(a, wide, 1e-2, 3e-2):
                return (f"the input is {x.dtype}: {self.eps:g} is below its rounding. With steps of 1e-2 both agree; "
                        "check in float64 (`x.double()`)")
        if not reached:
            return ("the output does not hang on this input on the tape (`.detach()`, `.data`, `.item()`, numpy, "
                    "`no_grad`, a wrong variable?)")
        kink = self.kink(x, kept, place, row, first[place])
        if kink:
            return kink
        return diagnose.cause(a, n, x.shape, out.shape, self.atol, self.rtol)

    def kink(self, x, kept, place, row, here):
        """Whether the function has another slope on each side of the worst element."""
        index = next(itertools.islice(indices(x), int(row), None))
        up, down = (self.perturbed(x, index, step, kept)[place] for step in (self.eps, -self.eps))
        with np.errstate(all="ignore"):
            right, left = (up - here) / self.eps, (here - down) / self.eps
            bend = np.abs(right - left) > 0.01 + 0.01 * np.maximum(np.abs(right), np.abs(left))
        if x.dtype is not dtypes.float64 or not bend.any():
            return None
        k = int(np.argmax(bend))
        return (f"a kink: around this element the slope is {left[k]:.4g} on one side and {right[k]:.4g} on the other; "
                "no derivative exists there. Choose inputs away from it")

    def check_linear(self, outputs):
        """Zero in, zero out."""
        zeros = [from_host(np.zeros(tuple(o.shape)), o.dtype, o._spec.backend) for o in outputs]
        for i, g in enumerate(grad(outputs, self.wanted, zeros, retain_graph=True, allow_unused=True)):
            if g is not None and _numbers(g).any():
                raise GradcheckError("backward not multiplied by grad_output\n"
                                     f"{self.name(i)}: its gradient is not zero although that of every output is; "
                                     "every term of a backward must be multiplied by the incoming gradient")


def floating(outputs):
    """The places of the outputs that can have a derivative."""
    return [n for n, o in enumerate(outputs) if isinstance(o, Tensor) and o.is_floating_point()]


def indices(x):
    """Every index of a tensor, in the order in which it is read; one empty index for a 0-d tensor."""
    return itertools.product(*[range(size) for size in x.shape])
