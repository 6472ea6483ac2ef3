"""The disk cache: compiled kernels of earlier processes, one file each, found by a key that names all they depend on.

It knows nothing of kernels: it keeps bytes. It never fails, either: where it can't read it finds nothing, and where it
can't write (a full disk, somebody else's folder, no home at all) it stays silent and the next process compiles again.

    name = key("def kernel ...", "float32[:]", "numba 0.68")        any strings; 64 hexadecimal digits
    save(name, machine_code)                                        whole or not at all, also with several writers
    load(name)                                                      the same bytes, or None

The bytes are going to be executed, so load() trusts a file only if it belongs to this user, nobody else may write to
it, and it says itself under which name it was saved: what was cut short, damaged or renamed is no entry.
"""
from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 512 << 20                                   # bytes; beyond it the entries unused for longest go
OFTEN = 50                                          # saves between two looks at the size of the folder
ABANDONED = 3600                                    # seconds after which a temporary file has no writer any more
MAGIC = b"tinygrad_edu kernel 1\n"
SUFFIX = ".kernel"
saves = 0


def folder():
    """Where entries live, or None: $TINYGRAD_EDU_CACHE (empty: nowhere), else where the system has a user's caches."""
    given = os.environ.get("TINYGRAD_EDU_CACHE")
    if given is not None:
        given = os.path.expanduser(given)
        return Path(given) if given else None
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:                            # nobody's home
        return None
    return base / "tinygrad_edu"


def key(*parts):
    """A name that differs as soon as one of the strings does."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def load(name):
    """What was saved under this name, or None."""
    place = folder()
    if place is None:
        return None
    path = place / (name + SUFFIX)
    try:
        data = trusted(path)
    except OSError:
        return None
    size = len(header(name, b""))
    content = data[size:]
    if data[:size] != header(name, content):
        return None                                 # damaged or of another format: it is compiled again, and replaced
    try:
        os.utime(path)                              # used just now: see prune()
    except OSError:
        pass
    return content


def save(name, content):
    """Keep bytes under a name, if that is possible."""
    global saves
    place, temporary = folder(), None
    if place is None:
        return
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place, suffix=".part")     # readable and writable by its owner alone
        with os.fdopen(handle, "wb") as file:
            file.write(header(name, content) + content)
        os.replace(temporary, place / (name + SUFFIX))
        temporary = None
        if saves % OFTEN == 0:
            prune(place)
        saves += 1
    except OSError:
        if temporary is not None:
            remove(temporary)


def header(name, content):
    """What stands before the content in a file: the format, the name, a digest of the content."""
    return MAGIC + name.encode() + b"\n" + hashlib.sha256(content).digest()


def trusted(path):
    """The bytes of a file that nobody but this user can have written; OSError otherwise."""
    flags = [getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK")]     # no link, no waiting
    handle = os.open(path, os.O_RDONLY | sum(flags))
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(f"{path} is not a file")
        if hasattr(os, "geteuid") and (about.st_uid != os.geteuid() or about.st_mode & 0o022):
            raise OSError(f"{path} can be written by others")
        return file.read()


def prune(place, limit=None):
    """Remove temporary files that nobody finished and, beyond the limit, what was not used for longest."""
    limit = LIMIT if limit is None else limit
    entries, total = [], 0
    with os.scandir(place) as files:
        for file in files:
            if not file.name.endswith((SUFFIX, ".part")):
                continue                            # not ours
            try:
                about = file.stat(follow_symlinks=False)
            except OSError:                         # another process was faster
                continue
            if file.name.endswith(".part") and about.st_mtime < time.time() - ABANDONED:
                remove(file.path)
                continue
            total += about.st_size                  # (of what is being written, too: its process may be dead)
            if file.name.endswith(SUFFIX):
                entries.append((about.st_mtime, about.st_size, file.path))
    if total > limit:
        for _, size, path in sorted(entries):
            remove(path)
            total -= size
            if total <= limit * 3 // 4:
                break


def remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass
