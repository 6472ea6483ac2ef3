"""Files that are replaced whole, or not at all.

It knows paths and bytes.
"""
from __future__ import annotations

import contextlib
import os
import stat


@contextlib.contextmanager
def replacing(path):
    """`with replacing(path) as file:` a binary file that takes the place of `path` when the block has ended well.

    Until then `path` is as it was. The new bytes are on the disk before the old ones are gone, so that not even a
    power cut leaves half a file. Symbolic links stay, and lead to the new file; a file that was there keeps its
    permissions, a hard link to it keeps its old content. Devices and pipes can't be replaced, and are written to.
    """
    path = os.fspath(path)
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.path.dirname(path) or folder} does not exist.")
    old = _status(target)
    if old is not None and not stat.S_ISREG(old.st_mode):
        with open(target, "wb") as file:
            yield file
        return
    beside = os.path.join(folder, f".tinygrad_edu-{os.urandom(8).hex()}.tmp")
    try:
        with _created(beside, target, old) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:                          # also Ctrl-C: nothing may be left beside the file
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    _sync_folder(folder)


def _status(target):
    """What is there now, or None; torch's error for what can't be written to."""
    try:
        old = os.stat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(old.st_mode):
        raise RuntimeError(f"open file failed with strerror: Is a directory\n    {target}")
    if not os.access(target, os.W_OK):             # replacing it would be possible; that is not what "read-only" means
        raise RuntimeError(f"open file failed with strerror: Permission denied\n    {target}")
    return old


def _created(beside, target, old):
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except PermissionError:
        raise RuntimeError(f"open file failed with strerror: Permission denied\n    {target}: its directory can't be "
                           "written to, and a file is saved beside the old one before it takes its place") from None
    file = os.fdopen(handle, "wb")
    if old is not None:
        os.chmod(beside, stat.S_IMODE(old.st_mode))
        if hasattr(os, "chown"):
            with contextlib.suppress(PermissionError):
                os.chown(beside, old.st_uid, old.st_gid)
    return file


def _sync_folder(folder):
    """Make the change of names last; some file systems and Windows can't, and don't need to."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
