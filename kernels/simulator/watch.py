"""Watching threads while a kernel runs: who runs, who has met whom, who comes to a shuffle or vote.

It knows threads and their meetings, not where the code came from, nor what is done to memory (watched.py). Time is
counted in meetings: an access is surely over for another thread once something made it wait: a barrier in a block, a
shuffle or syncwarp among the lanes that its mask names, nothing between blocks.

    if t < 16: x = cuda.shfl_xor_sync(FULL, a[t], 1)    ->    KernelError: ... the mask 0xffffffff names lane 16, ...
"""
from __future__ import annotations

import numpy as np

from . import meaning
from .checks import KernelError, place
from .watched import Unset, Watched, share_histories
from .words import HELPERS

FULL = 0xFFFFFFFF                                   # a mask of all lanes


class Watcher:
    """One launch's clock. `stamp` = (thread, its warp, block, meetings of the block, meetings of the warp since) of
    whoever runs; two accesses by one stamp, or ordered ones, are no race. met[warp]: masks of the lanes that met."""

    def __init__(self, program, block):
        self.program, self.size = program, block
        self.names = [*program.shared, *program.local]
        self.block, self.epoch, self.stamp = None, 0, None

    def watch(self, launch):
        """Put watched arrays and unset variables in the place of the launch's own."""
        self.launch, self.threads = launch, launch.threads
        launch.threads = self
        shared = [Watched(self, a, name, "shared") for name, a in zip(self.program.shared, launch.shared)]
        self.per_block, self.per_thread = list(shared), []
        local = []
        for name, a in zip(self.program.local, launch.local):
            if isinstance(a, list):
                local.append([Watched(self, x, name, "local") for x in a])
                self.per_block += local[-1]
            else:
                local.append(Watched(self, a, name, "local"))
                self.per_thread.append(local[-1])
        share_histories(shared)
        launch.shared, launch.local = shared, local
        arguments = []
        launch.args = [self.argument(a, name, arguments) for a, name in zip(launch.args, self.program.params)]
        share_histories(arguments)

    def argument(self, a, name, found):
        if isinstance(a, np.ndarray):
            found.append(Watched(self, a, name, "global"))
            return found[-1]
        if isinstance(a, tuple):
            return tuple([self.argument(x, f"{name}[{k}]", found) for k, x in enumerate(a)])
        return a

    def start(self, index):
        """A new block."""
        self.block = index
        self.epoch += 1
        self.met = [[] for _ in range(0, len(self.threads), 32)]
        self.meeting = set()
        for a in self.per_block:
            a.cells.clear()
        for values, name in zip(self.launch.kept, self.program.kept):
            values[:] = [Unset(name)] * len(values)
        self.stamp = None

    def __iter__(self):
        """The threads, one after the other: each turn sets who is running."""
        met, block, epoch = self.met, self.block, self.epoch
        for thread in self.threads:
            t = thread[0]
            self.stamp = t, t // 32, block, epoch, len(met[t // 32])
            for a in self.per_thread:
                a.cells.clear()
            yield thread
        self.stamp = None

    def meet(self, word, active):
        """All threads have met, or those that are active."""
        self.meeting = set()
        if word.startswith("syncthreads"):
            self.epoch += 1
            self.met = [[] for _ in self.met]
        elif word == "syncwarp":
            for w, met in enumerate(self.met):
                here = [t for t in range(32 * w, 32 * w + 32) if active is None or t < len(active) and active[t]]
                if here and active is not None:
                    self.all_here("cuda.syncwarp", active, here[0], FULL)
                if here:
                    met.append(FULL)

    def unset(self, name):
        return Unset(name)

    def lanes(self, word, values, active, t, err, line, mask, *more):
        """A shuffle or vote, after a look at its mask: it must name the caller, and nobody who is not here."""
        if word == "activemask":                    # which asks who is here; nobody waits for anybody
            return meaning.Unsigned32(HELPERS[word](values, active, t, err, line, mask))
        lane, mask, met = t % 32, int(mask) & FULL, self.met[t // 32]
        called = "cuda." + word.removeprefix("masked_")
        if not mask >> lane & 1:
            raise KernelError(f"{called}: lane {lane} calls it, but is not in the mask {mask:#010x}; every lane "
                              "that calls must be in it: use 0xffffffff where the whole warp comes here")
        self.all_here(called, active, t, mask)
        if (t // 32, mask) not in self.meeting:
            self.meeting.add((t // 32, mask))
            met.append(mask)
        self.stamp = *self.stamp[:4], len(met)
        return HELPERS[word](values, active, t, err, line, mask, *more)

    def all_here(self, called, active, t, mask):
        """Do all lanes that a mask names come to where thread t is?"""
        first, live = t - t % 32, self.live()
        for k in range(first, min(first + 32, len(active))):
            if mask >> (k - first) & 1 and not active[k] and (live is None or live[k]):
                raise KernelError(
                    f"{called}: the mask {mask:#010x} names lane {k - first}, thread {place(k, self.size)}, which "
                    "does not come here; let the whole warp reach it, or name only the lanes that do")

    def live(self):
        name = self.program.live
        return None if name is None else self.launch.masks[self.program.masks.index(name)]

    def ordered(self, before):
        """Is that access surely over, seen from the thread that runs?"""
        now = self.stamp
        if before[2] != now[2]:
            return False                            # blocks never wait for each other
        if before[0] == now[0] or before[3] != now[3]:
            return True
        if before[1] != now[1]:
            return False
        reached, lane = 1 << before[0] % 32, 1 << now[0] % 32       # the lanes that know of it
        for mask in self.met[now[1]][before[4]:now[4]]:
            if mask & reached:
                reached |= mask
                if reached & lane:
                    return True
        return False
