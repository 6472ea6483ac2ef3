"""The simulator's disk cache: whole entries or none, only this user's, never in the way."""
from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from tinygrad_edu.kernels.provider import cuda, float32, int32
from tinygrad_edu.kernels.simulator import cache, compiled, program

NAME = cache.key("a kernel", "float32[1C]")
posix = pytest.mark.skipif(os.name != "posix", reason="owners and permissions as Unix has them")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder that isn't there yet."""
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path / "a" / "b"))
    return tmp_path / "a" / "b"


def entry(place, name=NAME):
    return place / (name + cache.SUFFIX)


def test_what_was_saved_is_found_again(place):
    assert cache.load(NAME) is None
    cache.save(NAME, b"\x00\n\xff" * 1000)
    assert cache.load(NAME) == b"\x00\n\xff" * 1000
    cache.save(NAME, b"")
    assert cache.load(NAME) == b"" and cache.load(cache.key("another")) is None
    assert os.listdir(place) == [entry(place).name], "no temporary file stays"


def test_a_key_says_where_its_parts_end():
    assert cache.key("ab", "c") != cache.key("a", "bc") != cache.key("a", "b", "c")
    assert cache.key("a", "b") == cache.key("a", "b") and len(cache.key("a")) == 64


def test_the_folder_follows_the_system(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", "")
    assert cache.folder() is None
    cache.save(NAME, b"x")
    assert cache.load(NAME) is None
    monkeypatch.delenv("TINYGRAD_EDU_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "tinygrad_edu"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(cache.Path, "home", lambda: tmp_path)
    assert cache.folder() == tmp_path / ".cache" / "tinygrad_edu"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder() == tmp_path / "Library" / "Caches" / "tinygrad_edu"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache.folder() == tmp_path / "local" / "tinygrad_edu"

    def nobody():
        raise RuntimeError("Could not determine home directory.")
    monkeypatch.setattr(cache.Path, "home", nobody)
    monkeypatch.delenv("LOCALAPPDATA")
    assert cache.folder() is None


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def damage_head(path):
    path.write_bytes(path.read_bytes()[:20])


def damage_bit(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


def damage_version(path):
    path.write_bytes(path.read_bytes().replace(b"kernel 1", b"kernel 0"))


def damage_empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_cut, damage_head, damage_bit, damage_version, damage_empty])
def test_a_damaged_entry_is_none_and_is_replaced(place, damage):
    cache.save(NAME, b"machine code")
    damage(entry(place))
    assert cache.load(NAME) is None
    cache.save(NAME, b"machine code")
    assert cache.load(NAME) == b"machine code"


def test_an_entry_under_another_name_is_none(place):
    cache.save(NAME, b"machine code")
    other = cache.key("another kernel")
    os.rename(entry(place), entry(place, other))
    assert cache.load(other) is None


@posix
@pytest.mark.parametrize("mode", [0o622, 0o660, 0o606])
def test_what_others_may_write_is_not_executed(place, mode):
    cache.save(NAME, b"machine code")
    assert entry(place).stat().st_mode & 0o777 == 0o600
    entry(place).chmod(mode)
    assert cache.load(NAME) is None


@posix
def test_what_belongs_to_others_is_not_executed(place, monkeypatch):
    cache.save(NAME, b"machine code")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert cache.load(NAME) is None


@posix
def test_links_and_pipes_are_no_entries(place):
    cache.save(NAME, b"machine code")
    elsewhere = place / "elsewhere"
    os.rename(entry(place), elsewhere)
    entry(place).symlink_to(elsewhere)
    assert cache.load(NAME) is None
    entry(place).unlink()
    os.mkfifo(entry(place))
    assert cache.load(NAME) is None
    entry(place).unlink()
    entry(place).mkdir()
    assert cache.load(NAME) is None


def test_no_place_to_write_is_no_error(place, monkeypatch):
    place.parent.parent.joinpath("file").write_text("")
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(place.parent.parent / "file" / "below"))
    cache.save(NAME, b"machine code")
    assert cache.load(NAME) is None


def test_a_full_disk_is_no_error_and_leaves_nothing(place, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "replace", full)
    cache.save(NAME, b"machine code")
    assert cache.load(NAME) is None and os.listdir(place) == []


def test_the_oldest_go_first(place, monkeypatch):
    names = [cache.key(str(k)) for k in range(10)]
    for age, name in enumerate(names):
        cache.save(name, b"x" * 1000)
        os.utime(entry(place, name), (time.time() - 1000 * age,) * 2)
    (place / "unknown.txt").write_text("not ours")
    abandoned, fresh = place / "old.part", place / "new.part"
    for path in (abandoned, fresh):
        path.write_text("")
    os.utime(abandoned, (time.time() - 2 * cache.ABANDONED,) * 2)
    assert cache.load(names[9]) is not None, "used just now"
    cache.prune(place, limit=8000)
    size = entry(place, names[0]).stat().st_size
    left = [k for k, name in enumerate(names) if entry(place, name).exists()]
    assert left == [0, 1, 2, 3, 9][:6000 // size - 1] + [9], left
    assert not abandoned.exists() and fresh.exists() and (place / "unknown.txt").exists()


def test_what_a_killed_process_left_counts(place):
    for k in range(4):
        cache.save(cache.key(str(k)), b"x" * 1000)
    (place / "killed.part").write_bytes(b"x" * 8000)
    cache.prune(place, limit=10000)
    assert len(list(place.glob("*.kernel"))) < 4


def test_a_home_in_the_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", os.path.join("~", "kernels"))
    assert cache.folder() == tmp_path / "kernels"


def test_saving_looks_at_the_size_now_and_then(place, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 3000)
    monkeypatch.setattr(cache, "OFTEN", 5)
    monkeypatch.setattr(cache, "saves", 0)
    for k in range(26):
        cache.save(cache.key(str(k)), b"x" * 500)
    assert len(os.listdir(place)) <= 5


WRITER = """
import sys
from tinygrad_edu.kernels.simulator import cache
cache.LIMIT, cache.OFTEN = 40000, 3
for turn in range(25):
    for k in range(5):
        name, content = cache.key(str(k)), bytes([k]) * 5000
        found = cache.load(name)
        assert found is None or found == content, "a part of an entry"
        cache.save(name, content)
print("fine")
"""


def test_processes_do_not_disturb_each_other(place):
    command, both = [sys.executable, "-c", WRITER], dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running = [subprocess.Popen(command, **both) for _ in range(3)]
    for process in running:
        out, err = process.communicate()
        assert out == "fine\n", err
    assert sorted(os.listdir(place)) == sorted(entry(place, cache.key(str(k))).name for k in range(5))


# ---- what the compiled back end keeps there
PROCESS = """
import sys
import numpy as np
sys.path.insert(0, {folder!r})
from a_kernel import half
from tinygrad_edu.kernels.simulator import program
a = np.ones(64)
program(half).compiled((a,))((2, 1, 1), (32, 1, 1), 0, [a])
assert (a == {want}).all(), a
print("numba" in sys.modules)
"""
KERNEL = """
from tinygrad_edu.kernels.provider import cuda
def f(x): return x / {number}
def half(a):
    i = cuda.grid(1)
    a[i] = f(a[i])
"""


def double(x, k=2):
    return x * k


def negative(x):
    return -x


def kernel_of(f, rate):
    def kernel(a):
        a[0] = f(a[0]) * rate
    return kernel


def in_a_process(folder, want, **environment):
    text = textwrap.dedent(PROCESS).format(folder=str(folder), want=want)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() == "True"            # has numba been imported?


def test_the_next_process_needs_no_numba(tmp_path):
    pytest.importorskip("numba", reason="the first process compiles")
    keep = dict(TINYGRAD_EDU_CACHE=str(tmp_path / "cache"))
    (tmp_path / "a_kernel.py").write_text(KERNEL.format(number=2))
    assert in_a_process(tmp_path, 0.5, **keep)
    assert not in_a_process(tmp_path, 0.5, **keep)


def test_when_a_kernel_is_compiled_again(tmp_path, monkeypatch):
    pytest.importorskip("numba", reason="it compiles")
    from tinygrad_edu.kernels.simulator import native
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path / "cache"))
    real, times = native.compile_unit, []
    monkeypatch.setattr(native, "compile_unit", lambda *args: (times.append(args), real(*args))[1])

    def launch(f, rate, *options, forget=True):
        if forget:
            monkeypatch.setattr(compiled, "_machines", {})
        a = np.ones(1)
        run = program(kernel_of(f, rate)).compiled((a,), **dict.fromkeys(options, True))
        run((1, 1, 1), (1, 1, 1), 0, [a])
        return a[0], len(times)
    assert launch(double, 0.5) == (1, 1)
    assert launch(double, 0.5) == (1, 1), "from the disk"
    assert launch(negative, 0.5) == (-0.5, 2), "another helper"
    assert launch(double, 0.25) == (0.5, 3), "another constant"
    assert launch(double, 0.5, "boundscheck") == (1, 4)
    assert launch(double, 0.5, "reverse") == (1, 5)
    assert launch(double, 0.5, forget=False) == (1, 5)
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:-10])
    assert launch(double, 0.5) == (1, 6), "damaged"
    assert launch(double, 0.5) == (1, 6)
    monkeypatch.setattr(compiled, "surroundings", lambda: "another CPU")
    assert launch(double, 0.5) == (1, 7)
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", "")
    assert launch(double, 0.5) == (1, 8)


def shared_of(size, dtype):
    def kernel(a):
        s = cuda.shared.array(size, dtype)
        s[0] = 3
        s[1] = a[0]
        a[0] = s[0] / 2 + s[1]
        a[1] = s.size
    return kernel


def test_shared_memory_is_a_part_of_what_is_compiled():
    """The text of these kernels is one; their shared arrays are not."""
    pytest.importorskip("numba", reason="it compiles")
    for size, dtype in ((2, int32), (3, int32), (2, float32), (2, int32)):
        a = np.array([0.5, 0])
        program(shared_of(size, dtype)).compiled((a,))((1, 1, 1), (1, 1, 1), 0, [a])
        assert a.tolist() == [1.5 + (0.5 if dtype is float32 else 0), size]


def test_options_and_our_own_sources_are_parts_of_the_key(monkeypatch):
    pytest.importorskip("numba", reason="it asks for numba's version")
    known = {compiled.surroundings.__wrapped__()}
    monkeypatch.setenv("NUMBA_SOMETHING", "1")
    known.add(compiled.surroundings.__wrapped__())
    for name in compiled.OWN:
        monkeypatch.setattr(compiled, "source", lambda path, name=name: "another" * (path.name == name))
        known.add(compiled.surroundings.__wrapped__())
    assert len(known) == 2 + len(compiled.OWN)


def test_without_numba_there_is_an_importerror(tmp_path):
    text = textwrap.dedent("""
        import sys
        sys.modules["numba"] = None
        import numpy as np
        from tinygrad_edu.kernels.simulator import program
        sys.path.insert(0, {folder!r})
        from a_kernel import half
        try:
            program(half).compiled((np.ones(3),))
        except ImportError as error:
            assert "pip install numba" in str(error), error
            print("told")
    """).format(folder=str(tmp_path))
    (tmp_path / "a_kernel.py").write_text(KERNEL.format(number=2))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.stdout == "told\n", done.stderr
