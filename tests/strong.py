"""The one strong helper: everything that must be true of an op, from its sample line.

Each function checks one property of one sample on one device, and fails with what was expected and what was found.
It knows no op; what is right is in the recorded answers of torch, and in mathematics (gradcheck).
"""
from __future__ import annotations

import ast
import functools
import warnings

import numpy as np

import tinygrad_edu as te
from tests.goldens import measure, record

# dtype: (relative, absolute) tolerance
TOLERANCES = {
    "float64": (1e-11, 1e-12),
    # torch sums in another order, and vectorises exp and its like: a few ulp
    "float32": (3e-5, 3e-6),                       # the same, plus intermediate roundings of composite functions
    "float16": (8e-3, 8e-3),                       # composite functions round to 11 bits after each of their steps
}
RECORD = "record it with `python -m tests.goldens.record` (needs torch)"


@functools.cache
def goldens():
    return record.read()


def golden(sample):
    """torch's answers to a sample."""
    found = goldens().get(sample.key)
    assert found is not None, f"there is no recorded answer for {sample.key}: {RECORD}"
    assert found[0] == measure.fingerprint(sample), f"the inputs of {sample.key} have changed since then: {RECORD}"
    return found[1]


def close(mine, right, dtype, what, *, exact=False, rtol=1.0):
    """Equal to rounding in `dtype`; nan equals nan."""
    mine = np.asarray(mine)
    with np.errstate(all="ignore"):
        right = np.asarray(right).astype(mine.dtype)
    relative, absolute = TOLERANCES[dtype] if dtype in TOLERANCES and not exact else (0, 0)
    mine, right = (a.astype(np.float64) if a.dtype.kind == "f" else a for a in (mine, right))
    np.testing.assert_allclose(mine, right, relative * rtol, absolute * rtol, err_msg=what)


def coarsest(*dtypes):
    """The least exact of those that are floating types."""
    return max((d for d in dtypes if d in TOLERANCES), key=lambda d: TOLERANCES[d], default=None)


def same_outputs(mine, right, case, sample, device="cpu"):
    """Two lists of `describe`d outputs: dtypes, shapes and, in float64, names of nodes."""
    for number, (m, r) in enumerate(zip(mine, right, strict=True)):
        what = f"{case}: output {number}"
        assert m[0] == r[0], f"{what} is {m[0]}; torch's is {r[0]}"
        assert m[1] == r[1], f"{what} has shape {m[1]}; torch's has {r[1]}"
        assert (m[2] is None) == (r[2] is None), f"{what} has grad_fn {m[2]}; torch's has {r[2]}"
        if sample.node and not is_random(sample, device):        # on CUDA torch's dropout is another node, too
            assert m[2] == r[2], f"{what} has grad_fn {m[2]}; torch's is {r[2]}"


# ---- forward and gradients against torch's
def check_case(sample, case, arrays, device):
    """One case: the same results and gradients as torch's, or the same refusal."""
    right = golden(sample)[case]
    mine = measure.answer(te, sample, case, arrays, device)
    if "error" in right:
        refusal = f"{right['error']}: {right['message']}"
        assert "error" in mine, f"{case}: torch refuses ({refusal}); this gave {mine['outputs']}"
        assert mine["error"] == right["error"], f"{case}: torch raises {refusal}; this {mine}"
        return
    assert "error" not in mine, f"{case}: {mine['error']}: {mine['message']}; torch gives {right['outputs']}"
    same_outputs(mine["outputs"], right["outputs"], case, sample, device)
    values = golden(sample)["float64"]["values"] if right["values"] is None else right["values"]
    if is_random(sample, device):
        for m, r in zip(mine["values"] + list(mine["grads"].values()), values + list(right["grads"].values())):
            if m is not None:
                check_drawn(m, r, case, "dropout" in sample.op)
        return
    for number, (m, r) in enumerate(zip(mine["values"], values, strict=True)):
        kind = coarsest(case, m.dtype.name)
        close(m, r, kind, f"{case}: output {number}", exact=sample.exact or m.dtype.kind != "f", rtol=sample.rtol)
    for name, r in right["grads"].items():
        m = mine["grads"][name]
        assert (m is None) == (r is None), f"{case}: gradient of {name} is {m}; torch's is {r}"
        if m is not None:
            assert m.shape == r.shape, f"{case}: gradient of {name} has shape {m.shape}; torch's {r.shape}"
            close(m, r, m.dtype.name, f"{case}: gradient of {name}", rtol=sample.rtol)


def is_random(sample, device):
    """Whether the sample draws its numbers on a device that has a generator of its own."""
    return device == "cuda" and "manual_seed" in sample.expression and bool(sample.inputs)


def check_drawn(mine, right, case, dropout):
    """Other draws than torch's: they lie where torch's do, give or take their range; what dropout kept is the same."""
    mine, right = np.asarray(mine, np.float64), np.asarray(right, np.float64)
    assert mine.shape == right.shape and np.isfinite(mine).all()
    if mine.size <= 1:                             # one number has no range
        return
    width = max(np.ptp(right), np.abs(right).max())
    assert mine.min() >= right.min() - width and mine.max() <= right.max() + width, f"{case}: {mine}, not {right}"
    assert (right % 1).any() or not (mine % 1).any(), f"{case}: {mine} are not whole numbers"
    if dropout:                                    # zero or a multiple of the input
        both = (mine != 0) & (right != 0)
        np.testing.assert_allclose(mine[both], right[both], 1e-2 if "16" in case else 1e-5, err_msg=case)


def check_against_torch(sample, device="cpu"):
    """Every dtype, an empty and a 0-d version: results, dtypes, shapes, names of nodes, gradients, refusals."""
    failures = []
    for case, arrays in measure.cases(sample).items():
        try:
            check_case(sample, case, arrays, device)
        except AssertionError as error:
            failures.append(str(error).strip())
    assert not failures, "\n".join(failures)


def check_refused(sample, device):
    """A look at the CPU's memory: what lies elsewhere is refused, in torch's words."""
    words = (f"can't convert {te.device(device, 0)} device type tensor to numpy. Use Tensor.cpu() to copy the tensor "
             "to host memory first.")
    for case, arrays in measure.cases(sample).items():
        found = measure.answer(te, sample, case, arrays, device)
        assert found == {"error": "TypeError", "message": words}, f"{case}: {found}"


# ---- gradients against mathematics
def floating(sample, device):
    """The sample's inputs as they were drawn, and its expression as a function of those that are differentiated."""
    tensors = measure.tensors_of(te, sample, sample.arrays(), device)
    wanted = [n for n, x in tensors.items() if x.requires_grad]

    def function(*xs):
        found = measure.evaluate(te, sample, {**tensors, **dict(zip(wanted, xs))})
        return tuple(o for o in found if measure.is_tensor(o) and o.requires_grad)
    return tensors, wanted, function


def check_gradients(sample, device="cpu"):
    """gradcheck and gradgradcheck. On other devices: the CPU's first and second gradients, which passed them."""
    if device == "cpu" or is_random(sample, device):
        return check_finite_differences(sample, device)
    for number, (m, r) in enumerate(zip(derivatives(sample, device), derivatives(sample, "cpu"), strict=True)):
        assert (m is None) == (r is None), f"derivative {number} is {m}; the CPU's is {r}"
        if m is not None:
            # differentiated twice, roundings add up: what cancels in one order may leave its last digits in another
            close(m, r, "float64", f"derivative {number} on {device}", rtol=10 * sample.rtol)


def derivatives(sample, device):
    """First gradients in a random direction, and second ones of those: of the inputs, and of the first's weights."""
    tensors, wanted, function = floating(sample, device)
    inputs = [tensors[n] for n in wanted]
    outputs = function(*inputs) if inputs else ()
    if not outputs:
        return []
    rng = np.random.default_rng(0)

    def direction(xs):
        return [te.tensor(rng.normal(size=tuple(x.shape)), dtype=x.dtype, device=x.device) for x in xs]
    weights = [w.requires_grad_() for w in direction(outputs)]
    firsts = te.autograd.grad(outputs, inputs, weights, create_graph=sample.second, allow_unused=True)
    again = [g for g in firsts if g is not None and g.requires_grad]
    seconds = te.autograd.grad(again, inputs + weights, direction(again), allow_unused=True) if again else ()
    return [None if g is None else measure.host(g) for g in (*firsts, *seconds)]


def check_finite_differences(sample, device="cpu"):
    """gradcheck and gradgradcheck on the device itself: costly where kernels run in Python."""
    tensors, wanted, function = floating(sample, device)
    inputs = [tensors[n] for n in wanted]
    if not inputs or not function(*inputs):
        return
    assert te.autograd.gradcheck(function, inputs)
    if sample.second and any(g.requires_grad for g in first_gradients(function, inputs)):
        assert te.autograd.gradgradcheck(function, inputs, gen_non_contig_grad_outputs=True)


def first_gradients(function, inputs):
    outputs = function(*inputs)
    given = [te.ones_like(o).requires_grad_() for o in outputs]
    found = te.autograd.grad(outputs, inputs, given, create_graph=True, allow_unused=True)
    return [g for g in found if g is not None]


# ---- layouts
def transposed(x):
    """x with its dimensions in reverse order in memory."""
    order = list(range(x.ndim))[::-1]
    return x.permute(order).clone().contiguous().permute(order)


def strided(x):
    """x as every other column of something wider, not at its beginning."""
    wide = te.stack([te.full_like(x, 7), x], -1) if x.ndim else te.stack([x, x, x])
    return wide.select(-1, 1)


def expanded(x):
    """Like x, with the first row repeated, in one row's memory."""
    return x.narrow(0, 0, 1).expand(x.shape) if x.ndim and x.shape[0] else x


def run(sample, tensors):
    """Results, gradients, and everything as numpy."""
    outputs = measure.evaluate(te, sample, tensors)
    return [measure.host(o) if measure.is_tensor(o) else o
            for o in outputs], measure.gradients(te, sample.key, outputs, tensors)


def leaf(x, layout):
    return layout(x.detach()).detach().requires_grad_(x.requires_grad)


def check_layouts(sample, device="cpu"):
    """Non-contiguous inputs give what contiguous ones give, forward and backward."""
    if not sample.layouts:
        return
    tensors, _, _ = floating(sample, device)
    for layout in (transposed, strided, expanded):
        laid_out = {n: leaf(x, layout) for n, x in tensors.items()}
        plain = {n: leaf(x, lambda x: x.clone().contiguous()) for n, x in laid_out.items()}
        try:
            results, grads = run(sample, plain)
        except measure.REFUSALS:
            if layout is expanded:                 # equal rows may be outside of what the op accepts
                continue
            raise
        try:
            mine, my_grads = run(sample, laid_out)
        except RuntimeError as error:
            if "view size is not compatible" in str(error):    # view() is about the layout
                continue
            raise
        for number, (m, r) in enumerate(zip(mine, results, strict=True)):
            np.testing.assert_allclose(m, r, 1e-12, 1e-13, err_msg=f"{layout.__name__} inputs: output {number}")
        for name in grads:
            if grads[name] is not None:
                np.testing.assert_allclose(my_grads[name], grads[name], 1e-12, 1e-13,
                                           err_msg=f"{layout.__name__} inputs: gradient of {name}")


# ---- manners
def check_inputs_untouched(sample, device="cpu"):
    """Neither forward nor backward writes to an input."""
    tensors, _, _ = floating(sample, device)
    before = {n: (measure.host(x).copy(), x._version) for n, x in tensors.items()}
    run(sample, tensors)
    for name, x in tensors.items():
        assert np.array_equal(measure.host(x), before[name][0], equal_nan=x.is_floating_point()), f"{name} was changed"
        assert x._version == before[name][1], f"{name} counts a write"


def inplace_twin(sample):
    """The expression with the in-place twin instead of the function, or None where there is none."""
    call = ast.parse(sample.expression, mode="eval").body
    match call:
        case ast.Call(ast.Attribute(ast.Name("torch"), name), [ast.Name(first), *_]):
            twin = f"{name}_"
            if not hasattr(te.Tensor, twin) or first not in sample.inputs:
                return None
            rest = [ast.unparse(a) for a in call.args[1:]] + [f"{k.arg}={ast.unparse(k.value)}" for k in call.keywords]
            return f"{first}.clone().{twin}({', '.join(rest)})"


def check_inplace(sample, device="cpu"):
    """The in-place twin gives the same result and the same gradients, where the result fits into the first argument."""
    expression = inplace_twin(sample)
    if expression is None:
        return False
    tensors, _, _ = floating(sample, device)
    first = tensors[expression.split(".")[0]]
    outputs = measure.evaluate(te, sample, tensors)
    if len(outputs) != 1 or outputs[0].shape != first.shape or outputs[0].dtype is not first.dtype:
        return False
    grads = measure.gradients(te, sample.key, outputs, tensors)
    measure.seed(te)
    written = eval(expression, measure.namespace(te, tensors), dict(tensors))
    np.testing.assert_array_equal(measure.host(written), measure.host(outputs[0]), err_msg=expression)
    for name, grad in measure.gradients(te, sample.key, [written], tensors).items():
        if grad is not None:
            np.testing.assert_allclose(grad, grads[name], 1e-12, 1e-14, err_msg=f"{expression}: gradient of {name}")
    return True


def quietly(check, *args):
    """Run a check without the warnings that ops give on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check(*args)
