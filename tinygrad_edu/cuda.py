"""torch.cuda: what can be asked of the CUDA device, be it a GPU or the simulator.

The simulator runs the same kernels without a GPU: `use_simulator()`, or TINYGRAD_EDU_CUDA=simulator in the environment.
Nothing here touches a driver before it is asked to.
"""
from __future__ import annotations

import contextlib
import importlib
import time
from types import SimpleNamespace

from . import backends
from .backends import device as torch_device
from .ops.generators import default_cuda_generator


def _cuda():
    return importlib.import_module(".cuda", backends.__name__)


def __getattr__(name):
    if name == "OutOfMemoryError":                  # a class of the kernels, which are imported when first used
        return _cuda().out_of_memory()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def _machine(device=None):
    """The machine behind a device; torch's error where there is none."""
    return backends.get_backend(_as_device(device)).machine


def _as_device(device):
    return torch_device("cuda") if device is None else torch_device(device)


def is_available():
    """Whether `device="cuda"` can compute: on a GPU, or on the simulator if that was asked for."""
    return backends.find_cuda() is not None


def device_count():
    """How many CUDA devices can be used: one, or none."""
    return 1 if is_available() else 0


def is_initialized():
    """Whether a CUDA device has been used."""
    return "cuda" in backends._backends


def init():
    """Look for the device now rather than at its first use."""
    backends.get_backend("cuda")


def current_device():
    """The index of the device in use; torch's error where there is none."""
    backends.get_backend("cuda")
    return 0


def set_device(device):
    """Choose the device that "cuda" means; there is one."""
    backends.get_backend(_as_device(device))


class device(contextlib.ContextDecorator):
    """`with cuda.device(0):` the device that "cuda" means; there is one."""

    def __init__(self, device):
        self.idx = torch_device(device).index or 0

    def __enter__(self):
        set_device(self.idx)
        return self

    def __exit__(self, *error):
        return False


def get_device_name(device=None):
    """The name of a device; torch's error where there is none."""
    return _machine(device).name


def get_device_capability(device=None):
    """(major, minor) of the device's compute capability."""
    found = get_device_properties(device)
    return found.major, found.minor


def get_device_properties(device=None):
    """What a device is: name, major, minor, total_memory (bytes), multi_processor_count, warp_size ..."""
    return SimpleNamespace(**_machine(device).properties())


def synchronize(device=None):
    """Wait until the device has finished; torch's error where there is none."""
    _machine(device).synchronize()


class Event:
    """A moment on the device, for timing: `start.record()`, work, `end.record()`, `start.elapsed_time(end)`.

    Recording waits for the work before it, so times are right, and a program with many events is slower than torch's.
    """

    def __init__(self, enable_timing=False, blocking=False, interprocess=False):
        self.enable_timing, self._time = enable_timing, None

    def record(self, stream=None):
        synchronize()
        self._time = time.perf_counter()

    def synchronize(self):
        """Wait until the moment has come: it has."""

    def query(self):
        return True

    def elapsed_time(self, end_event):
        """Milliseconds from this moment to the other."""
        if not (self.enable_timing and end_event.enable_timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._time is None or end_event._time is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        return 1000 * (end_event._time - self._time)


# ---- memory
def memory_allocated(device=None):
    """Bytes that tensors occupy; 0 where there is no device."""
    return _machine(device).memory_allocated() if is_available() else 0


def memory_reserved(device=None):
    """Bytes that are held from the device, in use or kept for reuse; 0 where there is no device."""
    return _machine(device).memory_reserved() if is_available() else 0


def max_memory_allocated(device=None):
    """The most bytes that tensors have occupied so far; 0 where there is no device."""
    return _machine(device).peak if is_available() else 0


def reset_peak_memory_stats(device=None):
    """Begin anew to look for the most bytes."""
    if is_available():
        machine = _machine(device)
        machine.peak = machine.memory_allocated()


def empty_cache():
    """Give unused memory back to the device. Without a device there is none, as in torch."""
    if is_initialized():
        _machine().empty_cache()


# ---- random numbers
def _generator(device=None):
    """The default generator of the device; torch's error where there is none."""
    backends.get_backend(_as_device(device))
    return default_cuda_generator


def manual_seed(seed):
    """Seed the device's generator. It needs no device: one that is found later begins with this seed."""
    default_cuda_generator.manual_seed(int(seed))


def manual_seed_all(seed):
    """Seed the generators of all devices: there is one."""
    manual_seed(seed)


def seed():
    """Seed the device's generator with a number that nobody can foresee."""
    default_cuda_generator.seed()


def seed_all():
    """Seed the generators of all devices: there is one."""
    seed()


def initial_seed():
    """The seed with which the device's generator started."""
    return _generator().initial_seed()


def get_rng_state(device="cuda"):
    """The state of the device's generator, as a tensor of bytes on the CPU."""
    return _generator(device).get_state()


def get_rng_state_all():
    """The states of the generators of all devices."""
    return [get_rng_state(index) for index in range(device_count())]


def set_rng_state(new_state, device="cuda"):
    """Go on from a saved state."""
    _generator(device).set_state(new_state)


def set_rng_state_all(new_states):
    """Go on from saved states, one for each device."""
    for index, state in enumerate(new_states):
        set_rng_state(state, index)


# ---- the simulator
def use_simulator():
    """From now on `device="cuda"` means the simulator, beside a real GPU, too; tensors that are on one stay there."""
    cuda = _cuda()
    cuda.use(cuda.simulated())


@contextlib.contextmanager
def simulator(mode="auto"):
    """`with cuda.simulator(mode="check"):` kernels run on the simulator, in this mode.

    mode   "python": as plain Python loops. "check": so, and with every check (races, bounds, barriers, memory that
           nobody wrote). "compiled": compiled by numba for the CPU. "auto": the first and small launches in Python,
           hot ones compiled. TINYGRAD_EDU_SIM sets it for a whole program
    """
    before = backends._backends.get("cuda")
    cuda = _cuda()
    backend = cuda.simulated()
    with backend.machine.using(mode):               # a wrong mode raises here, and nothing has changed
        cuda.use(backend)
        try:
            yield backend.machine
        finally:
            if before is None:
                backends.unregister_backend("cuda")
            else:
                cuda.use(before)
