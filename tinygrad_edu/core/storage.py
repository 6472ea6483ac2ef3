"""Storage: the flat memory behind one or more tensors, and how often it was written.

It does not know who looks at it, nor in which shape.
"""
from __future__ import annotations


class Storage:
    """One-dimensional memory of one dtype on one backend. `version` counts the writes."""
    __slots__ = ("buffer", "backend", "dtype", "version", "__weakref__")

    def __init__(self, buffer, backend, dtype):
        self.buffer, self.backend, self.dtype, self.version = buffer, backend, dtype, 0

    def count(self):
        """How many elements there is room for."""
        return len(self.buffer)


class Retyped(Storage):
    """The same memory as another type: a write to either counts for both."""
    __slots__ = ("origin",)

    def __init__(self, origin, dtype):
        self.origin, self.backend, self.dtype = origin, origin.backend, dtype
        if origin.backend.native:
            self.buffer = origin.buffer.view("u1")[:self.count() * dtype.itemsize].view(dtype.numpy)
        elif getattr(origin.backend, "untyped", False):
            self.buffer = origin.buffer            # bytes, which each array reads as what it is
        else:
            raise RuntimeError(f"view(dtype) needs memory made of bytes, and {origin.backend.device}'s is not")

    def count(self):
        return self.origin.count() * self.origin.dtype.itemsize // self.dtype.itemsize     # a rest belongs to nobody

    version = property(lambda self: self.origin.version, lambda self, value: setattr(self.origin, "version", value))
