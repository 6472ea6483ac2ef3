"""Worker processes of a DataLoader: order, seeds, errors, deaths, and that none of them outlives its use."""
from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks are POSIX's")


class Samples(Dataset):
    """Sample i is `function(i)`."""
    def __init__(self, function, length=8):
        self.function, self.length = function, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.function(index)


class Stream(IterableDataset):
    """0 to 6, shared among the workers."""
    def __iter__(self):
        info = get_worker_info()
        return iter(range(7)) if info is None else iter(range(info.id, 7, info.num_workers))


def number(i):
    return i


def first_is_slow(i):
    time.sleep(0.2 * (i == 0))
    return i


def second_is_late(i):
    time.sleep(1.2 * (i == 1))
    return i


def pid(i):
    return os.getpid()


def no_five(i):
    if i == 5:
        raise ValueError("no five")
    return i


def lists(batches):
    return [batch.tolist() for batch in batches]


@pytest.fixture(autouse=True)
def nobody_is_left(monkeypatch):
    """No test leaves a process behind. Threads of the test runner itself (pytest-xdist has some) don't count."""
    count, before = threading.active_count, threading.active_count()
    monkeypatch.setattr(threading, "active_count", lambda: 1 + count() - before)
    yield
    gc.collect()                                   # what an error's traceback holds on to
    assert multiprocessing.active_children() == []


# ---- what comes out
def test_batches_come_in_order_however_long_they_take():
    assert lists(DataLoader(Samples(first_is_slow), batch_size=2, num_workers=2)) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_shuffled_as_without_workers():
    orders = []
    for workers in (0, 1, 2):
        torch.manual_seed(7)
        orders.append(lists(DataLoader(Samples(number), batch_size=3, shuffle=True, num_workers=workers)))
    assert orders[0] == orders[1] == orders[2]


def test_arrays_arrive_whole_and_writable():
    found = list(DataLoader(Samples(lambda i: np.full((300, 300), i)), batch_size=None, num_workers=2))
    assert [tuple(x.shape) for x in found] == [(300, 300)] * 8
    for i, x in enumerate(found):
        assert (x.numpy() == i).all()
        x += 1


def test_a_data_set_may_reuse_its_array():
    shared = np.zeros(200_000)

    def fill(i):
        shared[:] = i
        return shared
    found = list(DataLoader(Samples(fill), batch_size=None, num_workers=1, prefetch_factor=8))
    assert [(a.numpy() == i).all() for i, a in enumerate(found)] == [True] * 8


@pytest.mark.parametrize("workers, batch_size, drop_last, expected", [
    (1, 2, False, [[0, 1], [2, 3], [4, 5], [6]]),
    (2, 2, False, [[0, 2], [1, 3], [4, 6], [5]]),
    (2, 2, True, [[0, 2], [1, 3], [4, 6]]),
])
def test_streams_are_shared_as_in_torch(workers, batch_size, drop_last, expected):
    for persistent in (False, True):
        loader = DataLoader(Stream(), batch_size=batch_size, num_workers=workers, drop_last=drop_last,
                            persistent_workers=persistent)
        assert lists(loader) == lists(loader) == expected


def test_streams_without_batches():
    assert list(DataLoader(Stream(), batch_size=None, num_workers=2)) == [0, 1, 2, 3, 4, 5, 6]


# ---- who is who
def told(i):
    info = get_worker_info()
    return info.id, info.num_workers, info.seed, torch.randint(0, 1000, (1,)).item(), random.random(), np.random.rand()


def test_seeds_are_torchs():
    torch.manual_seed(0)
    found = list(DataLoader(Samples(told), batch_size=None, num_workers=2))[:2]
    assert found == [[0, 2, 900450186894289455, 906, 0.21315340548154382, 0.8371640508861415],
                     [1, 2, 900450186894289456, 724, 0.7733861492043289, 0.6702704958690073]]
    assert get_worker_info() is None


def test_init_function_may_change_the_workers_copy():
    def shift(worker_id):
        info = get_worker_info()
        info.dataset.function = lambda i: (worker_id, i)
    found = list(DataLoader(Samples(number, 4), batch_size=None, num_workers=2, worker_init_fn=shift))
    assert found == [[0, 0], [1, 1], [0, 2], [1, 3]]


def test_persistent_workers_live_on():
    loader = DataLoader(Samples(pid), batch_size=None, num_workers=2, persistent_workers=True)
    first, second = list(loader), list(loader)
    assert first == second and len(set(first)) == 2
    for _sample in loader:                         # a pass that is broken off leaves nothing behind for the next one
        break
    assert list(loader) == first
    del _sample, loader


def test_other_workers_for_each_pass():
    loader = DataLoader(Samples(pid), batch_size=None, num_workers=1)
    assert set(loader).isdisjoint(loader)


# ---- errors
def test_an_exception_reaches_the_parent():
    loader = iter(DataLoader(Samples(no_five), batch_size=2, num_workers=2))
    assert next(loader).tolist() == [0, 1] and next(loader).tolist() == [2, 3]
    with pytest.raises(ValueError) as error:
        next(loader)
    lines = str(error.value).splitlines()
    assert lines[:2] == ["Caught ValueError in DataLoader worker process 0.",
                         "Original Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: no five" and any("in no_five" in line for line in lines)
    assert next(loader).tolist() == [6, 7]


class Demanding(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


def test_exceptions_of_every_kind():
    def fails(error):
        def function(i):
            raise error
        return DataLoader(Samples(function), num_workers=1)

    class Local(Exception):
        pass
    with pytest.raises(KeyError) as error:
        list(fails(KeyError("name")))
    assert str(error.value).startswith("Caught KeyError in DataLoader worker process 0.\nOriginal Traceback")
    with pytest.raises(RuntimeError, match="^Caught Demanding in DataLoader worker process 0."):
        list(fails(Demanding(1, 2)))
    with pytest.raises(RuntimeError, match="(?s)^Caught RuntimeError .*Local"):
        list(fails(Local("here")))


class Unwelcome:
    """It can be pickled, and not unpickled."""
    def __reduce__(self):
        return refuse, ()


def refuse():
    raise OSError("not here")


@pytest.mark.parametrize("prefetch_factor", [1, 2])
def test_a_batch_that_cannot_be_unpickled_is_no_death(prefetch_factor):
    loader = DataLoader(Samples(lambda i: Unwelcome() if i == 1 else i, 4), batch_size=None, num_workers=1,
                        prefetch_factor=prefetch_factor)
    batches = iter(loader)
    assert next(batches) == 0
    with pytest.raises(OSError, match="^not here$"):
        next(batches)
    assert list(batches) == [2, 3]


def test_an_error_in_the_init_function():
    def init(worker_id):
        raise ValueError("not today")
    with pytest.raises(ValueError, match="^Caught ValueError in DataLoader worker process 0."):
        next(iter(DataLoader(Samples(number), num_workers=2, worker_init_fn=init)))


def test_what_cannot_be_sent_is_an_error():
    with pytest.raises(TypeError, match="(?s)^Caught TypeError in DataLoader worker process 0..*cannot pickle"):
        list(DataLoader(Samples(lambda i: sys.stdout), batch_size=None, num_workers=1))
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor which requires_grad"):
        list(DataLoader(Samples(lambda i: torch.ones(2, requires_grad=True) * 2), batch_size=None, num_workers=1))


@pytest.mark.parametrize("end, told", [
    (lambda: os.kill(os.getpid(), signal.SIGKILL),
     "it was ended by signal 9 (Killed): often that is the system, short of memory"),
    (lambda: os._exit(3), "it ended with exit code 3"),
])
def test_a_worker_that_dies_is_noticed(end, told):
    def function(i):
        time.sleep(0.2 * (i == 5))                 # until what was ready before is on its way
        return end() if i == 5 else i
    loader = iter(DataLoader(Samples(function), batch_size=2, num_workers=2))
    assert next(loader).tolist() == [0, 1]
    pids = [process.pid for process in loader.processes]
    with pytest.raises(RuntimeError) as error:
        list(loader)
    assert str(error.value).splitlines() == [f"DataLoader worker (pid(s) {pids[0]}) exited unexpectedly", f"  {told}"]


def test_timeout():
    loader = DataLoader(Samples(lambda i: time.sleep(0.6)), num_workers=1, timeout=0.3)
    with pytest.raises(RuntimeError, match="^DataLoader timed out after 0.3 seconds$"):
        list(loader)


def test_after_a_timeout_the_late_batch_is_still_due():
    batches = iter(DataLoader(Samples(second_is_late, 6), num_workers=2, timeout=0.5))
    found, timeouts = [], 0
    while len(found) < 6:
        try:
            found += next(batches).tolist()
        except RuntimeError:
            timeouts += 1
            assert timeouts < 50
    assert found == list(range(6)) and timeouts


# ---- how they end
def test_breaking_out_and_deleting():
    start = time.monotonic()
    for _batch in DataLoader(Samples(number, 1000), num_workers=2):
        break
    assert multiprocessing.active_children() == []
    iterator = iter(DataLoader(Samples(lambda i: np.zeros(1_000_000)), num_workers=2))
    next(iterator)
    del iterator                                   # while workers wait for somebody to take what they have
    assert multiprocessing.active_children() == []
    assert time.monotonic() - start < 4


HEAD = """
    import os, signal, sys, threading, time
    import tinygrad_edu as torch
    from tinygrad_edu.utils.data import DataLoader, Dataset
    class Pids(Dataset):
        def __len__(self): return 1000
        def __getitem__(self, index):
            time.sleep(0.01)
            return os.getpid()
"""
INTERRUPTED = """
    if __name__ == "__main__":
        loader = iter(DataLoader(Pids(), batch_size=None, num_workers=2, multiprocessing_context=sys.argv[1]))
        print(next(loader), next(loader), flush=True)
        for _ in loader:
            pass
"""
UNFINISHED = """
    loader = iter(DataLoader(Pids(), batch_size=None, num_workers=2))
    print(next(loader), next(loader), flush=True)
"""
WAITING = """
    loader = iter(DataLoader(Pids(), batch_size=None, num_workers=2))
    print(next(loader), next(loader), flush=True)
    time.sleep(60)
"""
UNGUARDED = """
    threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
    for _ in DataLoader(Pids(), num_workers=1):
        pass
"""


def script(tmp_path, body, *arguments):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(HEAD) + textwrap.dedent(body))
    return subprocess.Popen([sys.executable, str(path), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True)


def assert_gone(pids, seconds=3):
    end = time.monotonic() + seconds
    alive = [int(p) for p in pids]
    while alive and time.monotonic() < end:
        time.sleep(0.02)
        alive = [p for p in alive if os.path.exists(f"/proc/{p}") and " Z " not in open(f"/proc/{p}/stat").read()]
    assert not alive


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@linux
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ctrl_c(tmp_path, method):
    child = script(tmp_path, INTERRUPTED, method)
    pids = child.stdout.readline().split()
    os.killpg(child.pid, signal.SIGINT)            # as a terminal does: to the workers too
    out, err = child.communicate(timeout=10)
    assert child.returncode == -signal.SIGINT
    assert err.count("Traceback") == 1 and err.rstrip().endswith("KeyboardInterrupt")
    assert_gone(pids)


@linux
def test_the_end_of_the_program(tmp_path):
    child = script(tmp_path, UNFINISHED)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, err) == (0, "")
    assert_gone(out.split())


@linux
def test_a_parent_that_is_killed_takes_its_workers_along(tmp_path):
    child = script(tmp_path, WAITING)
    pids = child.stdout.readline().split()
    child.kill()
    child.communicate(timeout=10)
    assert_gone(pids)


# ---- threads
@pytest.fixture
def another_thread():
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="busy")
    thread.start()
    yield
    end.set()
    thread.join()


def test_workers_are_not_forked_while_threads_run(another_thread):
    loader = DataLoader(Samples(pid, 2), batch_size=None, num_workers=1)
    iterator = iter(loader)
    assert [type(process).__name__ for process in iterator.processes] == ["SpawnProcess"]
    assert len(list(iterator)) == 2


def test_what_cannot_be_pickled_then(another_thread):
    with pytest.raises((AttributeError, TypeError)) as error:
        iter(DataLoader(Samples(lambda i: i), num_workers=1))
    first, second, third = str(error.value).splitlines()
    assert "Can't" in first and "lambda" in first
    assert second == ("  Workers were to be started by 'spawn', which pickles the data set, collate_fn and "
                      "worker_init_fn: define them at the top of a module, without lambdas.")
    assert "busy" in third and third.endswith("multiprocessing_context='fork'.")
    forced = DataLoader(Samples(lambda i: i, 2), num_workers=1, batch_size=None, multiprocessing_context="fork")
    assert list(forced) == [0, 1]


def test_a_program_without_the_usual_guard(tmp_path):
    child = script(tmp_path, UNGUARDED)
    out, err = child.communicate(timeout=20)
    assert child.returncode == 1
    assert "exited unexpectedly" in err and "`if __name__ == '__main__':`" in err


def test_forked_where_nothing_speaks_against_it():
    if threading.active_count() > 1 or not sys.platform.startswith("linux"):
        pytest.skip("threads are running, or forks are not safe here")
    iterator = iter(DataLoader(Samples(number, 2), num_workers=1))
    assert type(iterator.processes[0]).__name__ == "ForkProcess"
