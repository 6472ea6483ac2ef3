"""torch.utils.dlpack: memory shared with other libraries, by the DLPack protocol.

The work is done in ops.bridges; here are torch's two old names for it.
"""
from __future__ import annotations

from ..core.export import functions

__all__ = ["from_dlpack", "to_dlpack"]

from_dlpack = functions["from_dlpack"]


def to_dlpack(tensor):
    """A capsule over a tensor's memory, which can be taken once."""
    return tensor.__dlpack__()
