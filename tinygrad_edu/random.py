"""torch.random: seeds, states of generators, and `fork_rng`.

Random tensors are made in ops.random; this file gives names to users.
"""
from __future__ import annotations

from .ops.generators import default_generator, fork_rng, get_rng_state, initial_seed, manual_seed, seed, set_rng_state

__all__ = ["set_rng_state", "get_rng_state", "manual_seed", "seed", "initial_seed", "fork_rng", "default_generator"]
