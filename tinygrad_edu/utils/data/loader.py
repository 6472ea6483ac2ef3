"""DataLoader: batches of a data set, in torch's order, made here or by worker processes.

Each worker has a connection of its own, and batches are taken from the workers in turn, in the order in which they were
asked for. Nothing is shared between workers, so that one that dies can't take a lock with it.

Workers are forked where that is safe: on Linux, in a process with a single thread. A fork copies the locks that other
threads hold, and not the threads, which would have to let go of them. Otherwise workers are spawned: they import the
main module anew, and get data set and functions as pickles. `multiprocessing_context=` overrules this, and so does
`multiprocessing.set_start_method` with another method than the system's default.
"""
from __future__ import annotations

import collections
import contextlib
import functools
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import warnings
import weakref
from multiprocessing import connection as connections
from typing import Generic

from ...backends import find_cuda
from . import worker
from .collate import default_collate, default_convert
from .dataset import IterableDataset, Sample
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, random_seed
from .worker import CHECK_INTERVAL

FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _Endless(Sampler):
    """The sampler of a stream: what it says is not looked at."""
    def __iter__(self):
        while True:
            yield None


class DataLoader(Generic[Sample]):
    """Iterate over it for one pass over the data set, batch by batch. Arguments and errors are torch's.

    `batch_size=None` yields samples as they are. `pin_memory` changes nothing. Batches always come in order, whatever
    `in_order` says. See loader.py for how worker processes are started.
    """
    _finished = False

    def __init__(self, dataset, batch_size=1, shuffle=None, sampler=None, batch_sampler=None, num_workers=0,
                 collate_fn=None, pin_memory=False, drop_last=False, timeout=0, worker_init_fn=None,
                 multiprocessing_context=None, generator=None, *, prefetch_factor=None, persistent_workers=False,
                 pin_memory_device="", in_order=True):
        _check_numbers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset, self.num_workers, self.timeout = dataset, num_workers, timeout
        self.worker_init_fn = worker_init_fn
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device, self.in_order = pin_memory, pin_memory_device, in_order
        self.multiprocessing_context = multiprocessing_context
        self.generator, self.persistent_workers = generator, persistent_workers
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            _check_stream(shuffle, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and "
                                 "drop_last")
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            sampler = (_Endless() if self._is_stream else RandomSampler(dataset, generator=generator) if shuffle
                       else SequentialSampler(dataset))
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        self._told_length = self._iterator = None
        self._finished = True                      # from now on the arguments that everything depends on are fixed
        _warn_of_too_many(num_workers)

    def __setattr__(self, name, value):
        if self._finished and name in FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self):
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context):
        self._context = context if context is None else _checked_context(context, self.num_workers)

    @property
    def _index_sampler(self):
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self):
        """How many batches a pass has."""
        if not self._is_stream:
            return len(self._index_sampler)
        length = self._told_length = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else math.ceil(length / self.batch_size)

    def __iter__(self):
        if self.num_workers == 0:
            return SingleProcessIterator(self)
        if not self.persistent_workers:
            return WorkersIterator(self)
        if self._iterator is None:
            self._iterator = WorkersIterator(self)
        else:
            self._iterator.restart(self)
        return self._iterator


# ---- arguments
def _check_numbers(num_workers, timeout, prefetch_factor, persistent_workers):
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError("prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to "
                         "enable multiprocessing, otherwise set prefetch_factor to None.")
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_stream(shuffle, sampler, batch_sampler):
    for name, value, given in (("shuffle", shuffle, shuffle not in {False, None}),
                               ("sampler", sampler, sampler is not None),
                               ("batch_sampler", batch_sampler, batch_sampler is not None)):
        if given:
            raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, but got "
                             f"{name}={value}")


def _checked_context(context, num_workers):
    if num_workers == 0:
        raise ValueError("multiprocessing_context can only be used with multi-process loading (num_workers > 0), but "
                         f"got num_workers={num_workers}")
    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(f"multiprocessing_context option should specify a valid start method in {methods!r}, but "
                             f"got multiprocessing_context={context!r}")
        context = multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError("multiprocessing_context option should be a valid context object or a string specifying the "
                        f"start method, but got multiprocessing_context={context}")
    return context


def _warn_of_too_many(num_workers):
    known = hasattr(os, "sched_getaffinity")
    most = len(os.sched_getaffinity(0)) if known else os.cpu_count()
    if num_workers > (most or 0):
        told = (f"Our suggested max number of worker in current system is {most}"
                f"{'' if known else ' (`cpuset` is not taken into account)'}, which is smaller than what this "
                "DataLoader is going to create." if most else
                "DataLoader is not able to compute a suggested max number of worker in current system.")
        warnings.warn(f"This DataLoader will create {num_workers} worker processes in total. {told} Please be aware "
                      "that excessive worker creation might get DataLoader running slow or even freeze, lower the "
                      "worker number to avoid potential slowness/freeze if necessary.", stacklevel=3)


# ---- one pass over the data
class _Iterator:
    """What both kinds of passes have in common. The order of the draws of random numbers is torch's."""

    def __init__(self, loader):
        if loader.pin_memory and not find_cuda():
            warnings.warn("'pin_memory' argument is set as true but no accelerator is found, then device pinned memory "
                          "won't be used.", stacklevel=3)
        self.index_sampler = loader._index_sampler
        self.dataset, self.is_stream, self.num_workers = loader.dataset, loader._is_stream, loader.num_workers
        kind = worker.StreamFetcher if loader._is_stream else worker.MapFetcher
        self.make_fetcher = functools.partial(kind, batched=loader.batch_sampler is not None,
                                              collate_fn=loader.collate_fn, drop_last=loader.drop_last)
        self.begin(loader)
        self.base_seed = random_seed(loader.generator)

    def begin(self, loader):
        self.wanted, self.told_length, self.yielded = iter(loader._index_sampler), loader._told_length, 0

    def __iter__(self):
        return self

    def __len__(self):
        return len(self.index_sampler)

    def __next__(self):
        data = self.next_data()
        self.yielded += 1
        if self.is_stream and self.told_length is not None and self.yielded > self.told_length:
            told = (f"Length of IterableDataset {self.dataset} was reported to be {self.told_length}"
                    f"(when accessing len(dataloader)), but {self.yielded} samples have been fetched. ")
            if self.num_workers:
                told += ("For multiprocessing data-loading, this could be caused by not properly configuring the "
                         "IterableDataset replica at each worker. Please see "
                         "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples.")
            warnings.warn(told, stacklevel=2)
        return data

    def __reduce__(self):
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class SingleProcessIterator(_Iterator):
    """A pass in this process."""

    def __init__(self, loader):
        super().__init__(loader)
        if loader.timeout:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        self.fetcher = self.make_fetcher(self.dataset)

    def next_data(self):
        return self.fetcher.fetch(next(self.wanted))


class WorkersIterator(_Iterator):
    """A pass with worker processes; with persistent_workers, one pass after the other."""

    def __init__(self, loader):
        super().__init__(loader)
        self.persistent, self.timeout = loader.persistent_workers, loader.timeout
        self.most_ahead = loader.prefetch_factor * loader.num_workers
        self.ends, self.processes = [], []
        self.shut_down = weakref.finalize(self, _shut_down, os.getpid(), self.ends, self.processes)
        try:
            for worker_id in range(loader.num_workers):
                self.start(loader, worker_id)
        except BaseException:
            self.shut_down()
            raise
        self.turn = 0                              # which pass it is: what belongs to an older one is dropped
        self.start_pass(loader)

    def start(self, loader, worker_id):
        context = loader.multiprocessing_context or _safe_context()
        mine, theirs = context.Pipe()
        worker.parent_ends.add(mine)
        self.ends.append(mine)
        process = context.Process(target=worker.work, daemon=True, args=(
            theirs, self.make_fetcher, self.dataset, loader.worker_init_fn, worker_id, self.num_workers,
            self.base_seed))
        with _interrupts_wait():
            try:
                process.start()
                self.processes.append(process)
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                raise type(error)(_cannot_be_pickled(error, context)) from error
            finally:
                theirs.close()

    # ---- asking
    def start_pass(self, loader):
        self.begin(loader)                         # twice in a first pass, as in torch: samplers may draw
        self.active = [True] * self.num_workers    # not yet at the end of its stream
        self.ahead = collections.deque()           # the workers that were asked, in the order of asking
        self.next_worker = 0
        for _ in range(self.most_ahead):
            self.ask()

    def restart(self, loader):
        self.turn += 1
        for worker_id in range(self.num_workers):
            self.order(worker_id, worker.Restart)
        self.start_pass(loader)

    def ask(self):
        """Ask the next worker that is not at its end for the next batch, if there is one."""
        try:
            wanted = next(self.wanted)
        except StopIteration:
            return
        for _ in range(self.num_workers):
            worker_id, self.next_worker = self.next_worker, (self.next_worker + 1) % self.num_workers
            if self.active[worker_id]:
                self.order(worker_id, wanted)
                self.ahead.append(worker_id)
                return

    def order(self, worker_id, wanted):
        with contextlib.suppress(OSError):         # of a dead worker is told when its batch is due
            worker.send(self.ends[worker_id], self.turn, worker.packed(wanted))

    # ---- receiving
    def next_data(self):
        while self.ahead:
            worker_id = self.ahead[0]
            if not self.active[worker_id]:
                self.ahead.popleft()
                continue
            result = self.receive(worker_id)
            if isinstance(result, worker.End):
                self.active[worker_id] = False
                self.ask()
                continue
            self.ask()
            if isinstance(result, worker.Failure):
                result.raise_again()
            return result
        if not self.persistent:
            self.shut_down()
        raise StopIteration

    def receive(self, worker_id):
        """The result that is due, from its worker. RuntimeError if that died, or takes longer than `timeout`."""
        end, process = self.ends[worker_id], self.processes[worker_id]
        deadline = time.monotonic() + self.timeout if self.timeout else math.inf
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds")
            try:
                ready = connections.wait([end, process.sentinel], min(left, CHECK_INTERVAL))
                if end in ready:
                    turn, parts = worker.receive(end)
                elif process.is_alive():
                    continue
                else:
                    raise EOFError
            except (EOFError, OSError):
                self.tell_of_death(process)
            if turn == self.turn:
                self.ahead.popleft()               # not before: after a timeout it is still due
                try:
                    return worker.unpacked(parts)
                except Exception:                  # of a class of the user's: the other batches go on
                    self.ask()
                    raise

    def tell_of_death(self, process):
        process.join(CHECK_INTERVAL)
        code = process.exitcode
        self.shut_down()
        told = f"it ended with exit code {code}"
        if code == 1 and type(process).__name__ != "ForkProcess":
            told += (": what went wrong stands above. A worker that is not forked imports the main module anew: "
                     "classes and functions\n  that it needs must be defined there, and the program itself stand below "
                     "`if __name__ == '__main__':`")
        if code is not None and code < 0:
            told = f"it was ended by signal {-code} ({signal.strsignal(-code)})"
            if -code == getattr(signal, "SIGKILL", None):
                told += ": often that is the system, short of memory"
        raise RuntimeError(f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly\n  {told}") from None


# ---- processes
def _safe_context():
    """How to start workers in the state in which this process is: see the top of this file."""
    chosen = multiprocessing.get_start_method(allow_none=True)
    if chosen not in (None, multiprocessing.get_all_start_methods()[0]):       # the first one is the system's default
        return multiprocessing.get_context(chosen)
    forks = (sys.platform.startswith("linux") and threading.active_count() == 1
             and not getattr(multiprocessing.current_process(), "_inheriting", False))     # importing the main module
    return multiprocessing.get_context("fork" if forks else "spawn")


def _cannot_be_pickled(error, context):
    others = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.current_thread())
    told = (f"{error}\n  Workers were to be started by '{context.get_start_method()}', which pickles the data set, "
            "collate_fn and worker_init_fn: define them at the top of a module, without lambdas.")
    if others:
        told += (f"\n  Other threads are running ({others}), which makes 'fork' unsafe: end them before, or take the "
                 "risk with multiprocessing_context='fork'.")
    return told


@contextlib.contextmanager
def _interrupts_wait():
    """Ctrl-C waits until the worker that is being started knows that it is not meant."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _shut_down(owner, ends, processes):
    """Let go of the workers; those that don't end by themselves within a few seconds are ended."""
    if os.getpid() != owner:                       # a forked process has a copy of this, and no part in it
        return
    for end in ends:
        end.close()
    deadline = time.monotonic() + CHECK_INTERVAL
    for process in processes:
        process.join(max(deadline - time.monotonic(), 0))
    for process in processes:
        if process.is_alive():
            process.terminate()
            process.join(1)
            if process.is_alive():
                process.kill()
                process.join()
