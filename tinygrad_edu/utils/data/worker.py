"""The other side of a DataLoader: fetching batches, and the process that does nothing else.

A worker has one connection to its parent. What comes in is the description of a batch, what goes out is the batch. It
ends when the connection does: when the parent closes it, or is no more.
"""
from __future__ import annotations

import io
import os
import pickle
import queue
import random
import signal
import sys
import threading
import traceback
import weakref
from dataclasses import dataclass

import numpy as np

from ...core.tensor import Tensor
from ...ops.generators import manual_seed

CHECK_INTERVAL = 5.0                               # seconds after which a worker looks whether its parent is alive


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Which of how many workers this process is, its seed, and its copy of the data set."""
    id: int
    num_workers: int
    seed: int
    dataset: object


_info = None


def get_worker_info():
    """The WorkerInfo of this process; None in the process that made the DataLoader."""
    return _info


# ---- fetching, in whatever process
class MapFetcher:
    """Batches of a data set with samples by number."""

    def __init__(self, dataset, batched, collate_fn, drop_last):
        self.dataset, self.batched, self.collate_fn = dataset, batched, collate_fn

    def fetch(self, wanted):
        if not self.batched:
            return self.collate_fn(self.dataset[wanted])
        if getattr(self.dataset, "__getitems__", None):
            return self.collate_fn(self.dataset.__getitems__(wanted))
        return self.collate_fn([self.dataset[i] for i in wanted])


class StreamFetcher:
    """Batches of a stream: of what is wanted only the number counts. Raises StopIteration at the end."""

    def __init__(self, dataset, batched, collate_fn, drop_last):
        self.stream, self.batched, self.collate_fn, self.drop_last = iter(dataset), batched, collate_fn, drop_last
        self.ended = False

    def fetch(self, wanted):
        if self.ended:
            raise StopIteration
        if not self.batched:
            return self.collate_fn(next(self.stream))
        data = []
        for _ in wanted:
            try:
                data.append(next(self.stream))
            except StopIteration:
                self.ended = True
                break
        if not data or self.drop_last and len(data) < len(wanted):
            raise StopIteration
        return self.collate_fn(data)


# ---- messages: a pickle, and apart from it the memory of its arrays
class _Pickler(pickle.Pickler):
    def reducer_override(self, obj):
        if isinstance(obj, Tensor) and not obj.is_leaf:
            raise RuntimeError("Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd "
                               "does not support crossing process boundaries.  If you just want to transfer the data, "
                               "call detach() on the tensor before serializing (e.g., putting it on the queue).")
        return NotImplemented


def packed(message):
    """[pickle, array, array, ...] of a message."""
    out, buffers = io.BytesIO(), []
    _Pickler(out, 5, buffer_callback=buffers.append).dump(message)
    return [out.getvalue(), *(bytes(buffer.raw()) for buffer in buffers)]      # copies: a data set may reuse its arrays


def send(connection, turn, parts):
    """A packed message, and in front of it the number of the pass that it belongs to."""
    connection.send_bytes(len(parts).to_bytes(4, "little") + turn.to_bytes(8, "little"))
    for part in parts:
        connection.send_bytes(part)


def receive(connection):
    """(number of the pass, parts) of the next message; EOFError or OSError if the other side has gone."""
    head = connection.recv_bytes()
    count, turn = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
    return turn, [bytearray(connection.recv_bytes()) for _ in range(count)]    # writable, as arrays must be


def unpacked(parts):
    """The message that `packed` made these of."""
    return pickle.loads(parts[0], buffers=parts[1:])


class Failure:
    """An exception on its way to the parent, with the traceback as text."""

    def __init__(self, where):
        kind, error, trace = sys.exc_info()
        self.kind, self.where = kind, where
        self.text = "".join(traceback.format_exception(kind, error, trace))
        try:
            pickle.dumps(kind)
        except Exception:                          # a class of the worker's own, which the parent can't know
            self.kind, self.text = RuntimeError, f"{self.text}({kind.__name__} can't be pickled)\n"

    def raise_again(self):
        message = f"Caught {self.kind.__name__} {self.where}.\nOriginal {self.text}"
        if self.kind is KeyError:
            message = _Readable(message)           # KeyError shows the repr of what it is given
        try:
            error = self.kind(message)
        except Exception:                          # it wants other arguments
            raise RuntimeError(message) from None
        raise error


class _Readable(str):
    __repr__ = str.__str__


class End:
    """Sent in place of a batch when a worker's stream has ended."""


class Restart:
    """Wanted of workers that outlive a pass: begin a new one."""


# ---- the worker
parent_ends = weakref.WeakSet()                    # this process's ends of its connections to workers


def seed_all(base_seed, worker_id):
    """Give a worker random numbers of its own, torch's: ours, Python's and numpy's."""
    seed = base_seed + worker_id
    random.seed(seed)
    manual_seed(seed)
    mixed = np.random.SeedSequence([worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0])
    np.random.seed(mixed.generate_state(4))
    return seed


def work(connection, make_fetcher, dataset, init_fn, worker_id, num_workers, base_seed):
    """The life of a worker process. `make_fetcher(dataset)` is called once for each pass over the data."""
    global _info
    signal.signal(signal.SIGINT, signal.SIG_IGN)   # Ctrl-C is the parent's business, which then lets go of us
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for end in list(parent_ends):                  # copies that came with a fork: as long as these are open, no worker
        end.close()                                # sees the end of its connection
    outgoing = queue.SimpleQueue()                 # a thread sends: meanwhile the next batch is made
    threading.Thread(target=_send_all, args=(connection, outgoing), daemon=True).start()
    where, fetcher, failure = f"in DataLoader worker process {worker_id}", None, None
    try:
        _info = WorkerInfo(worker_id, num_workers, seed_all(base_seed, worker_id), dataset)
        if init_fn is not None:
            init_fn(worker_id)
    except Exception:
        failure = Failure(where)
    for turn, wanted in _orders(connection):
        if wanted is Restart:
            fetcher = None
            continue
        try:
            if failure is None and fetcher is None:
                fetcher = make_fetcher(dataset)
            result = failure or fetcher.fetch(wanted)
            outgoing.put((turn, packed(result)))
        except Exception as error:
            ended = isinstance(error, StopIteration) and make_fetcher.func is StreamFetcher
            outgoing.put((turn, packed(End() if ended else Failure(where))))
        result = None                              # before the next batch is made


def _orders(connection):
    """(number of the pass, what is wanted), until the parent is gone."""
    parent = os.getppid()
    while True:
        try:
            while not connection.poll(CHECK_INTERVAL):
                if os.getppid() != parent:
                    return
            turn, parts = receive(connection)
        except (EOFError, OSError):
            return
        yield turn, unpacked(parts)


def _send_all(connection, outgoing):
    try:
        while True:
            send(connection, *outgoing.get())
    except OSError:                                # nobody listens any more
        pass
