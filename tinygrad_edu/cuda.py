"""torch.cuda, as far as there is one: this release has no CUDA backend, and says so.

Nothing here touches a driver.
"""
from __future__ import annotations

from . import backends


def is_available():
    """Whether `device="cuda"` can compute: False on every machine until there are kernels."""
    return "cuda" in backends._backends


def device_count():
    """How many CUDA devices can be used."""
    return 0 if not is_available() else 1


def is_initialized():
    return is_available()


def current_device():
    """The index of the device in use; torch's error where there is none."""
    backends.get_backend("cuda")
    return 0


def get_device_name(device=None):
    """The name of a device; torch's error where there is none."""
    return backends.get_backend("cuda").name


def synchronize(device=None):
    """Wait until the device has finished; torch's error where there is none."""
    backends.get_backend("cuda").synchronize()


def manual_seed(seed):
    """Seed the device's generator. Without a device there is nothing to seed, as in torch."""


def manual_seed_all(seed):
    """Seed the generators of all devices. Without a device there is nothing to seed, as in torch."""


def empty_cache():
    """Give unused memory back to the device. Without a device there is none, as in torch."""
