"""Generators of random numbers as users hold them: seeds, states, the default ones, and which draws for what.

The CPU's stream is the Mersenne Twister, also for devices of users' own. A device with kernels draws by Philox, in its
own memory. What they draw is made in core.generator and in kernels/random.py; random tensors are made in ops.random.
"""
from __future__ import annotations

import contextlib

import numpy as np

from .. import backends
from ..core import dtypes
from ..core.export import functions
from ..core.generator import DEFAULT_SEED, MT19937, Philox, entropy
from ..core.tensor import Tensor, from_host


class Generator:
    """A stream of random numbers of one's own. `Generator().manual_seed(0)`."""

    def __init__(self, device="cpu"):
        backend = backends.get_backend(device)
        self.device = backend.device
        self._stream = (Philox if draws(backend) else MT19937)(DEFAULT_SEED)

    def manual_seed(self, seed):
        """Start again from a seed; returns the generator."""
        if not isinstance(seed, (int, np.integer)):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        seed = int(seed)
        if not -2 ** 63 <= seed < 2 ** 64:
            raise ValueError("Overflow when unpacking long long")
        self._stream.seed(seed % 2 ** 64)
        return self

    def seed(self):
        """Start again from a seed that nobody can foresee; returns it."""
        self._stream.seed(entropy())
        return self._stream.initial_seed

    def initial_seed(self):
        return self._stream.initial_seed

    def get_state(self):
        """The state as a tensor of bytes, which torch can read too."""
        return from_host(self._stream.state(), dtypes.uint8)

    def set_state(self, new_state):
        """Go on from a state that `get_state` gave, here or in torch."""
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        if new_state.dtype is not dtypes.uint8 or not new_state.is_cpu or not new_state.is_contiguous():
            raise TypeError("RNG state must be a torch.ByteTensor")
        size = self._stream.STATE.itemsize
        if new_state.numel() != size:
            raise RuntimeError("RNG state is wrong size" if isinstance(self._stream, Philox) else
                               f"Expected a CPUGeneratorImplState of size {size} but found the input RNG state size "
                               f"to be {new_state.numel()}")
        self._stream.set_state(new_state._host().tobytes())
        return self

    def clone_state(self):
        """Another generator that will give the same numbers."""
        return Generator(self.device).set_state(self.get_state())

    def __reduce__(self):
        return _restored, (self._stream.state().tobytes(), self.device)


def _restored(state, device="cpu"):
    made = Generator(device)
    made._stream.set_state(state)
    return made


def draws(backend):
    """Whether a backend makes random numbers by kernels of its own."""
    return hasattr(backend, "program")


default_generator = Generator()
default_generator.seed()


def _default_cuda():
    """The CUDA device's default generator, which can be seeded before there is a device."""
    made = object.__new__(Generator)
    made.device, made._stream = backends.device("cuda", 0), Philox(default_generator.initial_seed())
    return made


default_cuda_generator = _default_cuda()


def manual_seed(seed):
    """Start all random numbers again from a seed, those of CUDA too; returns the default generator."""
    default_cuda_generator.manual_seed(int(seed))
    return default_generator.manual_seed(int(seed))


def seed():
    """Start all random numbers again from a seed that nobody can foresee; returns it."""
    default_cuda_generator.manual_seed(default_generator.seed())
    return default_generator.initial_seed()


def initial_seed():
    """The seed with which the default generator started."""
    return default_generator.initial_seed()


def get_rng_state():
    """The default generator's state."""
    return default_generator.get_state()


def set_rng_state(new_state):
    """Go on from a saved state."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices=None, enabled=True, _caller="fork_rng", _devices_kw="devices", device_type="cuda"):
    """`with fork_rng():` random numbers drawn inside leave no trace outside."""
    if not enabled:
        yield
        return
    before = get_rng_state(), default_cuda_generator.get_state()
    try:
        yield
    finally:
        set_rng_state(before[0])
        default_cuda_generator.set_state(before[1])


def stream_of(generator, name, tensor=None, backend=None):
    """The stream that draws for a tensor, or on a backend: the device's default one where `generator` is None.

    This is the one place that decides how a device draws. A stream gives flat arrays: numpy's, or the backend's own.
    """
    backend = backend or tensor._spec.backend
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"{name}(): argument 'generator' must be torch.Generator, not {type(generator).__name__}")
    own = draws(backend)
    generator = generator or (default_cuda_generator if own else default_generator)
    if isinstance(generator._stream, Philox) is not own:
        raise RuntimeError(f"Expected a '{backend.device.type}' device type for generator but found "
                           f"'{generator.device.type}'")
    return backend.program("random.Stream")(backend.machine, generator._stream) if own else generator._stream


functions.update({f.__name__: f for f in (Generator, manual_seed, seed, initial_seed, get_rng_state, set_rng_state)},
                 default_generator=default_generator)
