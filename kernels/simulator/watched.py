"""Memory that is watched while a kernel runs: bounds, races, and what was never set.

It knows arrays, and of threads what the watcher (watch.py) tells: who runs, and whether an earlier access is surely
over. A watched array remembers for every element who wrote it last and who read it since, and when. Two threads'
accesses, one of them a write, are a race unless something made one wait for the other.

    s[t] = a[i]           ->   KernelError: kernels.py:12: k: thread (1, 0, 0) of block (0, 0, 0): race: reads s[0],
    o[i] = s[t - 1]            which thread (0, 0, 0) has written; put cuda.syncthreads() between the two
"""
from __future__ import annotations

import numpy as np

from . import meaning
from .checks import KernelError, place


class Unset:
    """Stands for a variable that has no value yet: whatever is done with it fails."""

    def __init__(self, name):
        self.name = name

    def fail(self, *_):
        raise KernelError(
            f"the variable {self.name} is read before it is assigned; assign it on every way that leads here"
        )

    __getattr__ = fail


for _name in ("add sub mul truediv floordiv mod pow lshift rshift and or xor radd rsub rmul rtruediv rfloordiv rmod "
              "rpow rlshift rrshift rand ror rxor neg pos invert abs lt le gt ge eq ne bool int float index call "
              "getitem setitem iter len round floor ceil trunc").split():
    setattr(Unset, f"__{_name}__", Unset.fail)
Unset.__hash__ = None


def several(stamps):
    """Of stamps, the last ones first, the first one and one more of its warp, its block, and of other blocks: whatever
    is not ordered with one of the rest is not ordered with these."""
    first, kept = stamps[0], {}
    for s in stamps:
        kept.setdefault(0 if s[0] == first[0] and s[2] == first[2] else 3 if s[2] != first[2] else
                        2 if s[1] != first[1] else 1, s)
    return tuple(kept.values())


class Cell:
    """What has happened to one element."""
    __slots__ = ("writer", "same", "atomics", "readers", "epoch", "foreign")

    def __init__(self):
        self.writer = None                          # the stamp of the last plain write
        self.same = ()                              # stamps of others that have written the same, not ordered
        self.atomics = ()                           # stamps of atomics: see several()
        self.readers = {}                           # thread -> stamp, since the last write and meeting
        self.epoch = None
        self.foreign = None                         # a reader in another block


class Watched:
    """An array that notices what goes wrong. Like a GPU's memory it has no negative indices."""

    def __init__(self, watcher, array, name, scope):
        self.watcher, self.array, self.name, self.scope = watcher, array, name, scope
        self.shape, self.size, self.ndim, self.dtype = array.shape, array.size, array.ndim, array.dtype
        self.cells, self.start, self.strides = {}, 0, array.strides
        self.quick = getattr(self, f"quick{array.ndim}", self.slow)
        self.convert, self.cast = meaning.loaded(array.dtype), meaning.stored(array.dtype)
        self.unwritten = scope != "global"

    def __len__(self):
        return len(self.array)

    def fill(self, value):
        self.array.fill(value)

    def __iter__(self):
        return iter([self[i] for i in range(len(self.array))])

    # ---- indices
    def key(self, index):
        """The element's address; raises when there is none."""
        parts = index if isinstance(index, tuple) else (index,)
        if len(parts) != self.ndim:
            raise KernelError(f"{self.name} has {self.ndim} dimensions and is indexed with {len(parts)}")
        address = self.start
        for axis, (i, size, stride) in enumerate(zip(parts, self.shape, self.strides)):
            if i.__class__ is not int:
                i = as_index(self.name, i)
            if not 0 <= i < size:
                raise KernelError(self.out_of_bounds(parts, axis, i, size))
            address += i * stride
        return address

    def out_of_bounds(self, parts, axis, i, size):
        text = f"{self.name}[{', '.join(map(str, parts))}]"
        if i < 0:
            return (f"index out of bounds: {text} is negative; Python would count from the end, a GPU reads foreign "
                    f"memory. Guard it: if {'ijk'[axis:axis + 1] or 'i'} >= 0")
        size_of = f"{self.name}.size" if self.ndim == 1 else f"{self.name}.shape[{axis}]"
        return (f"index out of bounds: {text}, but axis {axis} has size {size}; guard it: "
                f"if {'ijk'[axis:axis + 1] or 'i'} < {size_of}")

    def quick1(self, index):
        """The address of a right index; None for all others."""
        if index.__class__ is int and 0 <= index < self.size:
            return self.start + index * self.strides[0]

    def quick2(self, index):
        if index.__class__ is tuple and len(index) == 2:
            i, j = index
            if i.__class__ is int and j.__class__ is int and 0 <= i < self.shape[0] and 0 <= j < self.shape[1]:
                return self.start + i * self.strides[0] + j * self.strides[1]

    def slow(self, index):
        return None

    def part(self, index):
        """A row, or a slice: watched with the same history."""
        for axis, i in enumerate(index if isinstance(index, tuple) else (index,)):
            size = self.shape[axis]
            for k in (i.start, i.stop) if isinstance(i, slice) else (i,):
                k = 0 if k is None else as_index(self.name, k)
                if not (0 <= k <= size if isinstance(i, slice) else 0 <= k < size):
                    raise KernelError(self.out_of_bounds((i,), axis, k, size))
        view = Watched(self.watcher, self.array[index], f"{self.name}[{index}]", self.scope)
        view.cells = self.cells
        view.start = self.start + view.array.ctypes.data - self.array.ctypes.data
        return view

    def is_part(self, index):
        if not isinstance(index, (tuple, slice)):
            return self.ndim > 1
        return isinstance(index, slice) or len(index) < self.ndim or any(isinstance(i, slice) for i in index)

    # ---- accesses
    def __getitem__(self, index):
        key, watcher = self.quick(index), self.watcher
        if key is None:
            if self.is_part(index):
                return self.part(index)
            key = self.key(index)
        cell, stamp = self.cells.get(key), watcher.stamp
        if cell is None:
            if self.unwritten:
                self.never_written(index)
            cell = self.cells[key] = Cell()
        if stamp is not None:
            w = cell.writer
            if w is not None:                       # (of this block, before its last meeting: the common case)
                if (w[3] == stamp[3] or w[2] is not stamp[2]) and w is not stamp and not watcher.ordered(w):
                    self.race("reads", index, w, "has written")
            elif self.unwritten and not cell.atomics:
                self.never_written(index)
            if cell.atomics or cell.same:
                self.check_others(cell, index, "reads")
            if cell.epoch != stamp[3]:
                self.new_epoch(cell, stamp)
            cell.readers[stamp[0]] = stamp
        x = self.array[index]
        return x if self.convert is None else self.convert(x)

    item = __getitem__

    def __setitem__(self, index, value):
        key = self.quick(index)
        if key is None:
            if self.is_part(index):
                raise KernelError(
                    f"{self.name}[{index}] = ... writes a whole row; a GPU's thread writes one element at a time"
                )
            key = self.key(index)
        if self.cast is not None:
            value = self.cast(value)
        elif value.__class__ is Unset:
            value.fail()
        cell, stamp = self.cells.get(key), self.watcher.stamp
        if cell is None:
            cell = self.cells[key] = Cell()
        elif stamp is not None:
            self.check_write(cell, index, value)
        self.array[index] = value
        w = cell.writer
        cell.same = several([stamp, w, *cell.same])[1:] if w and stamp and not self.watcher.ordered(w) else ()
        cell.writer = stamp or ALL
        cell.atomics, cell.foreign = (), None
        if cell.readers:
            cell.readers = {}

    def check_write(self, cell, index, value):
        w, watcher = cell.writer, self.watcher
        if w is not None and not watcher.ordered(w) and not same(self.array[index], value, self.dtype):
            self.race("writes", index, w, "has written")        # (several threads writing one value is fine)
        for w in cell.same:
            if not watcher.ordered(w) and not same(self.array[index], value, self.dtype):
                self.race("writes", index, w, "has written")
        self.check_others(cell, index, "writes")
        self.check_readers(cell, index, "writes")

    def check_others(self, cell, index, does):
        for a in cell.atomics:
            if not self.watcher.ordered(a):
                self.race(does, index, a, "changes by an atomic")
        for w in cell.same * (does != "writes"):
            if not self.watcher.ordered(w):
                self.race(does, index, w, "has written")

    def check_readers(self, cell, index, does):
        watcher = self.watcher
        for r in cell.readers.values():
            if not watcher.ordered(r):
                self.race(does, index, r, "has read")
        if cell.foreign is not None and not watcher.ordered(cell.foreign):
            self.race(does, index, cell.foreign, "has read")

    def atomic(self, index, change, values):
        """old = a[index]; a[index] = change(old, *values), at once. Atomics don't race with each other."""
        key = self.key(index)
        cell, watcher = self.cells.get(key), self.watcher
        stamp = watcher.stamp or ALL
        if cell is None:
            cell = self.cells[key] = Cell()
            if self.unwritten:
                self.never_written(index)
        elif watcher.stamp is not None:
            if self.unwritten and cell.writer is None and not cell.atomics:
                self.never_written(index)
            if cell.writer is not None and not watcher.ordered(cell.writer):
                self.race("changes by an atomic", index, cell.writer, "has written")
            for w in cell.same:
                if not watcher.ordered(w):
                    self.race("changes by an atomic", index, w, "has written")
            self.check_readers(cell, index, "changes by an atomic")
        old = meaning.load(self.array, index)
        meaning.store(self.array, index, change(old, *values))
        cell.atomics = several([stamp, *cell.atomics])
        return old

    def new_epoch(self, cell, stamp):
        for r in cell.readers.values():
            if r[2] != stamp[2]:
                cell.foreign = r
                break
        cell.readers, cell.epoch = {}, stamp[3]

    # ---- messages
    def race(self, does, index, other, did):
        text = f"{self.name}[{', '.join(map(str, index)) if isinstance(index, tuple) else index}]"
        thread, now = place(other[0], self.watcher.size), self.watcher.stamp
        if other[2] != now[2]:
            raise KernelError(f"race: {does} {text}, which thread {thread} of block {other[2]} {did}; blocks never "
                              "wait for each other: use cuda.atomic, one element for each block, or a second launch "
                              "(a cuda.threadfence with a counter is right, too, but this check can't follow it)")
        cure = "cuda.syncwarp() or cuda.syncthreads()" if other[1] == now[1] else "cuda.syncthreads()"
        advice = f"put {cure} between the two, or cuda.atomic or a single thread if it is one statement" \
            if "has" in did and "atomic" not in does else \
            f"use cuda.atomic for both, or put {cure} between them"
        raise KernelError(f"race: {does} {text}, which thread {thread} {did}; {advice}")

    def never_written(self, index):
        text = f"{self.name}[{', '.join(map(str, index)) if isinstance(index, tuple) else index}]"
        raise KernelError(
            f"reads {text}, {self.scope} memory that nobody has written; it starts with whatever was "
            "there: write it first"
            + (", and cuda.syncthreads() before others read it" if self.scope == "shared" else "")
        )


ALL = (-1, -1, None, -1, -1)                        # the stamp of what is done once for the whole block


def as_index(name, i):
    if isinstance(i, (float, np.floating)):
        raise KernelError(f"{name} is indexed with a float, {i}; convert it: int({i})")
    return int(i)


def same(old, new, dtype):
    new = dtype.type(new)
    return old == new or (old != old and new != new)


class Nobody:
    """The watcher of constants: they are never written, so only indices can be wrong."""
    stamp = None


class Constants(Watched):
    """An array that kernels find outside, among globals or closure variables."""

    def __init__(self, array, name):
        super().__init__(Nobody, array, name, "global")

    def __getitem__(self, index):
        key = self.quick(index)
        if key is None:
            if self.is_part(index):
                return self.part(index)
            self.key(index)
        x = self.array[index]
        return x if self.convert is None else self.convert(x)

    item = __getitem__

    def part(self, index):
        view = super().part(index)
        return Constants(view.array, view.name)

    def __setitem__(self, index, value):
        raise KernelError(f"writes {self.name}[{index}], a constant array for kernels; pass it as an argument")

    def atomic(self, index, change, values):
        self[index] = None


def share_histories(arrays):
    """Arrays that overlap in memory have one history, by address."""
    spans = []
    for a in arrays:
        low, high = np.lib.array_utils.byte_bounds(a.array) if a.size else (0, 0)
        a.start = a.array.ctypes.data
        spans.append([low, high, a])
    spans.sort(key=lambda span: span[:2])
    end, cells = -1, None
    for low, high, a in spans:
        if low < end:
            a.cells = cells
            end = max(end, high)
        elif a.size:
            cells, end = a.cells, high
