"""Saves that go wrong: the old file stays whole, and nothing is left beside it."""
from __future__ import annotations

import errno
import io
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading

import pytest

import tinygrad_edu as torch
from tinygrad_edu.serialization import archive

from .serialized import saved

posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links and limits are POSIX's")


class Unpicklable:
    def __reduce__(self):
        raise pickle.PicklingError("not this")


class FullDisk(io.BytesIO):
    def write(self, data):
        if self.tell() > 500:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "model.pt"
    torch.save("old", path)
    yield path
    assert os.listdir(tmp_path) == ["model.pt"] and torch.load(path) == "old"


def test_unpicklable(old):
    with pytest.raises(pickle.PicklingError, match="not this"):
        torch.save([torch.ones(2), Unpicklable()], old)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        torch.save(lambda: 1, old)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError, match="^the object is nested too deeply to be pickled$"):
        torch.save(deep, old)
    out = io.BytesIO()
    with pytest.raises(pickle.PicklingError):
        torch.save(Unpicklable(), out)
    assert out.getvalue() == b""


def test_a_full_disk(old, monkeypatch):
    with pytest.raises(OSError, match="No space left on device"):
        torch.save(torch.ones(1000), FullDisk())
    put = archive.Writer.put

    def put_until_full(self, data):
        if self.place > 500:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        put(self, data)
    monkeypatch.setattr(archive.Writer, "put", put_until_full)
    with pytest.raises(OSError, match="No space left on device"):
        torch.save(torch.ones(1000), old)


def test_interrupted(old, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt
    monkeypatch.setattr(archive.Writer, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        torch.save(torch.ones(1000), old)


@posix
def test_a_limit_on_the_size_of_files(old):
    program = ("import resource, tinygrad_edu as torch\nresource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
               f"try:\n    torch.save(torch.ones(100_000), {str(old)!r})\n"
               "except OSError as error:\n    print(error.strerror)")
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "File too large\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_device_that_is_full():
    with pytest.raises(OSError, match="No space left on device"):
        torch.save(torch.ones(100_000), "/dev/full")
    assert os.path.exists("/dev/full")


@posix
def test_killed_while_saving(tmp_path):
    path = tmp_path / "model.pt"
    torch.save("old", path)
    program = ("import tinygrad_edu as torch\nfrom tinygrad_edu.serialization import archive\nimport os\n"
               "archive.Writer.close = lambda self: os.kill(os.getpid(), 9)\n"
               f"torch.save(torch.ones(10), {str(path)!r})")
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert torch.load(path) == "old"


@posix
def test_permissions_and_links(tmp_path):
    path, link = tmp_path / "model.pt", tmp_path / "latest.pt"
    before = os.umask(0o027)
    try:
        torch.save("first", path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        link.symlink_to("model.pt")
        torch.save("second", link)
    finally:
        os.umask(before)
    assert link.is_symlink() and torch.load(path) == "second" and stat.S_IMODE(path.stat().st_mode) == 0o604
    dangling = tmp_path / "dangling.pt"
    dangling.symlink_to("later.pt")
    torch.save("third", dangling)
    assert dangling.is_symlink() and torch.load(tmp_path / "later.pt") == "third"
    with pytest.raises(RuntimeError, match="^open file failed with strerror: Is a directory"):
        torch.save(1, tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only(old):
    old.chmod(0o444)
    with pytest.raises(RuntimeError, match="^open file failed with strerror: Permission denied"):
        torch.save(1, old)
    old.chmod(0o644)


def test_saving_while_somebody_reads(tmp_path):
    path, stop, found = tmp_path / "model.pt", threading.Event(), set()
    torch.save(torch.zeros(1000), path)

    def read():
        while not stop.is_set():
            found.add(tuple(set(torch.load(path).tolist())))
    reader = threading.Thread(target=read)
    reader.start()
    for i in range(30):
        torch.save(torch.full((1000,), float(i)), path)
    stop.set()
    reader.join()
    assert found and all(len(numbers) == 1 for numbers in found)


def test_saving_what_another_thread_writes_to():
    x, stop = torch.zeros(100_000), threading.Event()

    def write():
        while not stop.is_set():
            x.add_(1)
    writer = threading.Thread(target=write)
    writer.start()
    files = [saved(x) for _ in range(20)]
    stop.set()
    writer.join()
    assert all(torch.load(io.BytesIO(file)).shape == (100_000,) for file in files)
