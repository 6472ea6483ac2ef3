"""Random tensors, with torch's numbers: `manual_seed(0); rand(3)` gives what torch gives.

The numbers are made by the stream that belongs to the tensor's device (ops.generators says which), and written here
into memory, in the order of memory. What a layer initialises itself with stands in nn.init.
"""
from __future__ import annotations

import math
import warnings

import numpy as np

from .. import backends
from ..core import dtypes, layout as shapes
from ..core.export import export, functions
from ..core.generator import MT19937, f4, f8, kind_of
from ..core.op import Op
from ..core.tensor import Tensor, from_array, from_host
from .create import constant, dtype_of, finish, invalid, like, need_tensor, sizes_of
from .generators import stream_of
from .inplace import check_writable, refill

# ---- writing numbers into memory
def overwrite(x, name, draw):
    """x's elements become `draw(count, one_by_one)` in the order in which they lie in memory, on the tape too."""
    check_writable(x)
    if not x.numel():
        return x
    spec, backend = x._spec, x._spec.backend
    order = sorted(range(x.ndim), key=lambda d: -spec.strides[d])
    numbers, sizes = draw(x.numel(), not spec.contiguous), [spec.shape[d] for d in order]
    if not isinstance(numbers, np.ndarray):        # made on the device
        numbers = numbers.view(tuple(sizes)).permute(np.argsort(order).tolist())
        return refill(x, numbers, f"{name}Backward0")
    if spec.dtype.itemsize == 2 and numbers.dtype == f8:
        numbers = numbers.astype(f4)               # torch rounds to a narrow type by way of float32
    numbers = numbers.reshape(sizes).transpose(np.argsort(order)) if x.ndim > 1 else numbers.reshape(spec.shape)
    return refill(x, numbers if backend.native else from_host(numbers, spec.dtype, backend)._array, f"{name}Backward0")


def refuse(dtype, kernel):
    return NotImplementedError(f'"{kernel}" not implemented for \'{dtype.legacy_name}\'')


@export(".uniform_")
def uniform_(input, from_=0.0, to=1.0, *, generator=None, **keyword):
    """Fill with numbers spread evenly over [from, to)."""
    low, high, dtype = float(keyword.pop("from", from_)), float(to), input.dtype
    if dtype.category != dtypes.FLOATING:
        raise refuse(dtype, "check_uniform_bounds")
    largest = dtypes.finfo(dtype).max
    for name, value in (("from", low), ("to", high)):
        if not -largest <= value <= largest:
            raise RuntimeError(f"{name} is out of bounds for {C_NAMES[dtype.name]}")
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}")
    if high - low > largest:
        raise RuntimeError(f"uniform_ expects to-from <= std::numeric_limits<{dtype.legacy_name}>::max(), but found "
                           f"to={high:g} and from={low:g} which result in to-from to exceed the limit")
    stream = stream_of(generator, "uniform_", input)
    return overwrite(input, "Uniform", lambda count, _: stream.uniform_between(count, low, high, dtype.numpy))


@export(".normal_")
def normal_(input, mean=0.0, std=1.0, *, generator=None):
    """Fill with normally distributed numbers."""
    dtype, mean, std = input.dtype, float(mean), float(std)
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if dtype.category != dtypes.FLOATING:
        raise refuse(dtype, "normal_kernel_cpu")
    stream = stream_of(generator, "normal_", input)
    return overwrite(input, "Normal",
                     lambda count, one_by_one: stream.normal(count, mean, std, dtype.numpy, one_by_one))


@export(".exponential_")
def exponential_(input, lambd=1.0, *, generator=None):
    """Fill with waiting times of rate `lambd`."""
    if input.dtype.category != dtypes.FLOATING:
        raise RuntimeError("Exponential distribution is a continuous probability distribution. dtype must be a "
                           f"floating point but you specified {input.dtype.legacy_name}")
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    stream = stream_of(generator, "exponential_", input)
    return overwrite(input, "Exponential", lambda count, _: stream.exponential(count, lambd, input.dtype.numpy))


@export(".random_")
def random_(input, *bounds, generator=None, **keyword):
    """Fill with integers: random_() from 0 to all that the dtype holds exactly, random_(to), random_(from, to)."""
    stream, dtype = stream_of(generator, "random_", input), input.dtype
    if not bounds and not keyword:
        span, wide = {"bool": (2, False), "int64": (2 ** 63, True), "float64": (2 ** 53 + 1, True)}.get(
            dtype.name, (largest_integer(dtype) + 1, False))
        return overwrite(input, "Random", lambda count, _: stream.integers(count, 0, span, wide, dtype.numpy))
    low, high = (0, *bounds) if len(bounds) == 1 and "to" not in keyword else (*bounds, None, None)[:2]
    return integers_between(input, keyword.get("from", low), keyword.get("to", high), stream)


DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
C_NAMES = {"bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short int", "int32": "int",
           "int64": "long int", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float",
           "float64": "double"}


def largest_integer(dtype):
    """Up to which every integer has its own place in the dtype."""
    if dtype.category == dtypes.FLOATING:
        return 2 ** DIGITS[dtype.name]
    return 1 if dtype is dtypes.bool_ else dtypes.iinfo(dtype).max


def integers_between(x, low, high, stream):
    """Fill x with integers from low to high - 1; None: as far as the dtype goes."""
    dtype, floating = x.dtype, x.dtype.category == dtypes.FLOATING
    if high is None and low == -2 ** 63:
        return overwrite(x, "Random", lambda count, _: stream.integers(count, 0, 2 ** 64, None, dtype.numpy))
    for bound in (low, high):
        if bound is not None and not -2 ** 63 <= bound < 2 ** 63:
            raise ValueError("Overflow when unpacking long long")
    if high is None:
        high = largest_integer(dtype) + 1
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    least, most = limits(dtype)
    for name, value in (("from", low), ("to - 1", high - 1)):
        if not least <= value <= most:
            raise RuntimeError(f"{name} is out of bounds for {C_NAMES[dtype.name]}")
    if floating:
        low, high = exact_bounds(low, high, dtype)
    return overwrite(x, "Random", lambda count, _: stream.integers(count, low, high - low, None, dtype.numpy))


def limits(dtype):
    if dtype is dtypes.bool_:
        return 0, 1
    info = (dtypes.finfo if dtype.category == dtypes.FLOATING else dtypes.iinfo)(dtype)
    return info.min, info.max


def exact_bounds(low, high, dtype):
    """Both ends moved inwards to integers that the floating type holds; a warning where it can't hold all between."""
    exact = largest_integer(dtype)
    for name, value in (("from", low), ("to - 1", high - 1)):
        if not -exact <= value <= exact:
            digits = DIGITS[dtype.name]
            warnings.warn(f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision limitations "
                          f"{C_NAMES[dtype.name]} can support discrete uniform distribution only within this range. "
                          "This warning will become an error in version 1.7 release, please fix the code in "
                          "advance", UserWarning, stacklevel=5)
    held = lambda value: int(dtype.numpy.type(value))
    step = lambda value: 2 ** max(abs(value).bit_length() - DIGITS[dtype.name], 0)
    low = held(low + 1) + step(low + 1) if held(low + 1) < low else low
    high = held(high - 1) - step(high - 1) if held(high - 1) >= high else high
    return low, high


# ---- new tensors
def _fresh(name, args, size, dtype, device, names):
    if not args and size is None:
        raise invalid(name, args, "tuple of ints size")
    return constant(name, sizes_of(args, name, size), None, dtype, device, False, names)


@export("rand()")
def rand(*args, size=None, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
         names=None):
    """Numbers spread evenly over [0, 1)."""
    return finish(uniform_(_fresh("rand", args, size, dtype, device, names), generator=generator), requires_grad)


@export("randn()")
def randn(*args, size=None, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
          names=None):
    """Numbers from the standard normal distribution."""
    return finish(normal_(_fresh("randn", args, size, dtype, device, names), generator=generator), requires_grad)


@export("randint()")
def randint(*args, low=None, high=None, size=None, generator=None, dtype=None, layout=None, device=None,
            requires_grad=False, pin_memory=False):
    """Integers from `low` (0 unless given) to `high` - 1: randint(high, size) or randint(low, high, size)."""
    low, high, size = _bounds("randint", args, low, high, size)
    made = _fresh("randint", (), size, dtype or dtypes.int64, device, None)
    return finish(integers_between(made, low, high, stream_of(generator, "randint", made)), requires_grad)


def _bounds(name, args, low, high, size):
    """The overloads of randint: its bounds and size."""
    given, args = args, list(args)
    if size is None and len(args) == 2 and low is high is None and not isinstance(args[1], (tuple, list)):
        raise TypeError(f"{name}(): argument 'size' (position 2) must be tuple of ints, not {type(args[1]).__name__}")
    size = args.pop() if size is None and args else size
    high = args.pop() if high is None and args else high
    low = args.pop() if low is None and args else low or 0
    low, high = (v.item() if isinstance(v, (Tensor, np.generic)) else v for v in (low, high))
    if args or not isinstance(size, (tuple, list)) or not isinstance(low, int) or not isinstance(high, int):
        raise invalid(name, given, "int high, tuple of ints size", "int low, int high, tuple of ints size")
    return low, high, size


@export("randperm()")
def randperm(n, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """0 ... n - 1 in random order."""
    if not isinstance(n, (int, np.integer)):
        raise TypeError(f"randperm(): argument 'n' (position 1) must be int, not {type(n).__name__}")
    dtype = dtype_of("randperm", dtype, dtypes.int64)
    if dtype is dtypes.bool_:
        raise refuse(dtype, "randperm")
    if n > largest_integer(dtype) + 1:
        raise RuntimeError(f"n cannot be greater than {largest_integer(dtype) + 1} for {dtype.legacy_name} type."
                           if dtype.category == dtypes.FLOATING else
                           f"value cannot be converted to type {dtype.name}_t without overflow")
    sizes_of((n,))
    backend = backends.get_backend(backends.creating(device))
    order = stream_of(generator, "randperm", backend=backend).permutation(int(n))
    if isinstance(order, np.ndarray):
        return finish(from_host(order, dtype, backend), requires_grad)
    return finish(from_array(order, backend).to(dtype), requires_grad)


@export("rand_like()")
def rand_like(input, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
              memory_format=None):
    """Numbers spread evenly over [0, 1), shaped like `input`."""
    need_tensor("rand_like", input)
    return finish(uniform_(like(input, None, dtype, device, False, memory_format), generator=generator), requires_grad)


@export("randn_like()")
def randn_like(input, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
               memory_format=None):
    """Numbers from the standard normal distribution, shaped like `input`."""
    need_tensor("randn_like", input)
    return finish(normal_(like(input, None, dtype, device, False, memory_format), generator=generator), requires_grad)


@export("randint_like()")
def randint_like(input, *args, low=None, high=None, generator=None, dtype=None, layout=None, device=None,
                 requires_grad=False, pin_memory=False, memory_format=None):
    """Integers from `low` (0 unless given) to `high` - 1, shaped like `input` and of its dtype."""
    need_tensor("randint_like", input)
    low, high, _ = _bounds("randint_like", args, low, high, input.shape)
    made = like(input, None, dtype, device, False, memory_format)
    return finish(integers_between(made, low, high, stream_of(generator, "randint_like", made)), requires_grad)


# ---- numbers whose distribution is a tensor; they send zeros back, as in torch
def _normal(mean, std, *, stream, dtype):
    shape = np.broadcast_shapes(np.shape(mean), np.shape(std))
    scaled = not isinstance(std, np.ndarray)
    numbers = stream.normal(math.prod(shape), 0.0, float(std) if scaled else 1.0, dtype.numpy).reshape(shape)
    numbers = numbers.astype(dtype.numpy)
    return ((numbers if scaled else (numbers * std).astype(dtype.numpy)) + mean).astype(dtype.numpy)


class Normal(Op):
    """Normal numbers around each of some means."""
    cpu, cuda = _normal, "random.normal"
    names = "unify"
    node_name = "NormalBackward1"
    grad_mean = lambda g, shape: g.new_zeros(shape)


class NormalOfStd(Op):
    """Normal numbers around one mean, each with its own standard deviation."""
    cpu, cuda = _normal, "random.normal"
    names = "unify"
    node_name = "NormalBackward2"
    grad_std = lambda g, shape: g.new_zeros(shape)


class NormalOfBoth(Op):
    """Normal numbers, each with its own mean and standard deviation."""
    cpu, cuda = _normal, "random.normal"
    names = "unify"
    node_name = "NormalBackward3"
    grad_mean = grad_std = lambda g, shape: g.new_zeros(shape)


@export("normal()")
def normal(mean=0.0, std=1.0, size=None, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False,
           pin_memory=False):
    """normal(mean, std, size) with numbers, or with tensors that say where each number lies."""
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not tensors:
        if size is None:
            raise invalid("normal", (mean, std), "Tensor mean, Tensor std", "float mean, float std, tuple of ints size")
        made = _fresh("normal", (), size, dtype, device, None)
        return finish(normal_(made, mean, std, generator=generator), requires_grad)
    if tensors[0].dtype.category != dtypes.FLOATING:
        raise refuse(tensors[0].dtype, "normal_kernel_cpu")
    if isinstance(std, Tensor):
        if std.numel() and not std._host().min() >= 0:
            raise RuntimeError("normal expects all elements of std >= 0.0")
    elif not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if len(tensors) == 2:
        shapes.broadcast_shapes(mean.shape, std.shape)
    op = NormalOfBoth if len(tensors) == 2 else NormalOfStd if isinstance(std, Tensor) else Normal
    return op.call(mean, std, stream=stream_of(generator, "normal", tensors[0]), dtype=tensors[0].dtype)


class Bernoulli(Op):
    """1 with the probability that the input says, else 0."""
    names = "keep"
    cuda = "random.bernoulli"

    def cpu(p, *, stream):
        return (stream.uniform(p.size, kind_of(p.dtype)).reshape(p.shape) < p).astype(p.dtype)
    grad_p = lambda g, shape: g.new_zeros(shape)


def check_probability(p):
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")


def check_probabilities(p):
    """torch's refusals of a tensor of probabilities."""
    if p.dtype.category != dtypes.FLOATING:
        raise refuse(p.dtype, "bernoulli_tensor_cpu_p_")
    host = p._host()
    if not ((host >= 0) & (host <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be "
                           "improved?  If so, please report an enhancement request to PyTorch.)\n"
                           "  a probability lies outside [0, 1]")


@export("bernoulli")
def bernoulli(input, p=None, *, generator=None):
    """1 with the probability that `input` says, else 0; with `p`, that probability for all."""
    if p is not None:
        return bernoulli_(like(input, None, memory_format=shapes.contiguous_format), p, generator=generator)
    check_probabilities(input)
    return Bernoulli.call(input, stream=stream_of(generator, "bernoulli", input))


@export(".bernoulli_")
def bernoulli_(input, p=0.5, *, generator=None):
    """Fill with 1 (with probability `p`, a number or a tensor) and 0."""
    stream = stream_of(generator, "bernoulli_", input)
    if not isinstance(p, Tensor):
        check_probability(p)
        return overwrite(input, "Bernoulli", lambda count, _: stream.bernoulli(count, p, input.dtype.numpy))
    check_probabilities(p)
    p, order = p.detach().expand(input.shape), sorted(range(input.ndim), key=lambda d: -input._spec.strides[d])
    if not isinstance(stream, MT19937):            # the device's own: drawn where p is, in the order of memory
        p = p.to(input.device).permute(order).reshape(-1)
        return overwrite(input, "Bernoulli", lambda count, _: Bernoulli.call(p, stream=stream)._array)
    flat = p._host().transpose(order).ravel()
    return overwrite(input, "Bernoulli", lambda count, _: stream.uniform(count, kind_of(flat.dtype)) < flat)


@export("multinomial")
def multinomial(input, num_samples, replacement=False, *, generator=None):
    """Indices drawn with the (unnormalised) probabilities in each row."""
    if input.dtype.category != dtypes.FLOATING:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype.legacy_name}")
    if input.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > input.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    stream = stream_of(generator, "multinomial", input)
    if not isinstance(stream, MT19937):
        return _multinomial_on_device(input.detach(), num_samples, replacement, generator)
    p = input._host()
    rows = p[None] if p.ndim == 1 else p
    pick = _with_replacement if replacement and num_samples > 1 else _race
    chosen = pick(rows, num_samples, stream) if len(rows) else np.empty((0, num_samples))
    return from_host(chosen.reshape(*p.shape[:-1], num_samples), dtypes.int64, input._spec.backend)


def _race(rows, count, stream):
    """Without replacement: each index runs a random time, the shorter the likelier it is; the first ones win."""
    with np.errstate(all="ignore"):
        if not ((rows >= 0) & (rows < np.inf)).all():
            raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
        if (rows.sum(1) == 0).any():
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        times = stream.exponential(rows.size).astype(f8
                                                     if rows.dtype == f8 else f4).astype(rows.dtype).reshape(rows.shape)
        return np.argsort(-(rows / times), axis=1, kind="stable")[:, :count]


def _with_replacement(rows, count, stream):
    """Where uniform numbers fall among the cumulated probabilities."""
    kind, chosen = f8 if rows.dtype == f8 else f4, []
    for row in rows.astype(kind):
        for bad, what in ((~(row >= 0), "entry < 0)"), (np.isinf(row), "entry = infinity or NaN)")):
            if bad.any():
                raise RuntimeError(f"invalid multinomial distribution (encountering probability {what}")
        until = np.cumsum(row, dtype=kind)
        if not until.size or not until[-1] > 0:
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        until = until / until[-1]
        until[-1] = 1
        chosen.append(np.searchsorted(until, stream.uniform(count, f8)))
    return np.stack(chosen)


def _multinomial_on_device(p, count, replacement, generator):
    """The same two ways, in ops: no number comes to the host but the answers of the checks."""
    if not bool(((p >= 0) & (p < math.inf)).all()):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if bool((p.sum(-1) == 0).any()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    wide = p.to(dtypes.float32) if p.dtype.itemsize == 2 else p
    if not replacement or count == 1:
        times = exponential_(like(wide, None, memory_format=shapes.contiguous_format), generator=generator)
        return (wide / times).topk(count, -1)[1]
    until = wide.cumsum(-1)
    at = uniform_(wide.new_empty((*p.shape[:-1], count)), generator=generator) * until.narrow(-1, p.shape[-1] - 1, 1)
    return functions["searchsorted"](until, at, right=True).clamp(max=p.shape[-1] - 1)
