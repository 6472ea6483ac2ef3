"""Storage: the flat memory behind one or more tensors, and how often it was written.

It does not know who looks at it, nor in which shape.
"""
from __future__ import annotations


class Storage:
    """One-dimensional memory of one dtype on one backend. `version` counts the writes."""
    __slots__ = ("buffer", "backend", "dtype", "version", "__weakref__")

    def __init__(self, buffer, backend, dtype):
        self.buffer, self.backend, self.dtype, self.version = buffer, backend, dtype, 0


class Retyped(Storage):
    """The same memory as another type: a write to either counts for both."""
    __slots__ = ("origin",)

    def __init__(self, origin, dtype):
        self.origin, self.backend, self.dtype = origin, origin.backend, dtype
        if not origin.backend.native:
            raise RuntimeError("view(dtype) is supported on the CPU only")
        whole = origin.buffer.nbytes // dtype.itemsize * dtype.itemsize         # a rest of bytes belongs to nobody
        self.buffer = origin.buffer.view("u1")[:whole].view(dtype.numpy)

    version = property(lambda self: self.origin.version, lambda self, value: setattr(self.origin, "version", value))
