"""Storage: the flat memory behind one or more tensors, and how often it was written.

It does not know who looks at it, nor in which shape.
"""
from __future__ import annotations


class Storage:
    """One-dimensional memory of one dtype on one backend. `version` counts the writes."""
    __slots__ = ("buffer", "backend", "dtype", "version", "__weakref__")

    def __init__(self, buffer, backend, dtype):
        self.buffer, self.backend, self.dtype, self.version = buffer, backend, dtype, 0
