"""save and load: torch's files, so that torch reads what we write and we read what torch writes.

What a file looks like is known in archive.py, what is in it in pickler.py, unpickler.py and rebuild.py.
Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
"""
from __future__ import annotations

import io
import os
import pickle
import sys

from . import archive, pickler, rebuild, unpickler
from .files import replacing

__all__ = ["save", "load", "add_safe_globals", "get_safe_globals", "clear_safe_globals", "safe_globals"]


def save(obj, f, pickle_module=pickle, pickle_protocol=2, _use_new_zipfile_serialization=True,
         _disable_byteorder_record=False):
    """Write `obj` to a path, or to a file-like object with `write`, in torch's format.

    Tensors that share a storage go on sharing it; a view brings its whole storage along. A path is replaced whole or
    not at all: when something can't be pickled, the disk is full, or the program is killed, the old file is as it was.
    (torch itself writes into the old file.) With a `pickle_protocol` above 2, torch reads most files with
    weights_only=False only.
    """
    if pickle_module is not pickle:
        raise RuntimeError("pickle_module can't be changed: tensors are pickled under torch's names, not by this")
    if not _use_new_zipfile_serialization:
        raise RuntimeError("the format from before torch 1.6 can't be written: leave out "
                           "_use_new_zipfile_serialization=False")
    is_path = isinstance(f, (str, os.PathLike))
    if not is_path and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    if not is_path and not callable(f.write):
        raise TypeError(f"Buffer of {str(type(f)).strip('<>')} has no callable attribute 'write'")
    content = pickler.dumps(obj, pickle_protocol)  # before a file is touched
    if not is_path:
        _write(f, "archive", content, _disable_byteorder_record)
        f.flush()
        return
    stem = os.path.splitext(os.path.basename(os.fspath(f)))[0]
    with replacing(f) as file:
        _write(file, stem if stem.isascii() and stem else "archive", content, _disable_byteorder_record)


def _write(file, stem, content, no_byteorder):
    data, storages = content
    writer = archive.Writer(file, stem)
    writer.record("data.pkl", data)
    writer.record(".format_version", b"1")
    writer.record(".storage_alignment", b"%d" % archive.ALIGNMENT)
    if not no_byteorder:
        writer.record("byteorder", sys.byteorder.encode())
    for key, storage in storages.items():
        writer.record(f"data/{key}", pickler.bytes_of(storage))
    writer.close()


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """What `save` (ours or torch's) wrote to a path, or to a seekable file-like object.

    `weights_only=True`, the default, builds tensors, numbers, strings and containers and nothing else, whatever the
    file says. With False the file may run any code: only for files that you trust. `map_location` says where tensors
    go: a device, {saved device: device}, or a function of (storage, saved device). `mmap` changes nothing, because
    every checksum is compared before anything is returned.
    """
    if weights_only is None:
        weights_only = pickle_module is None
    elif weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    is_path = isinstance(f, (str, os.PathLike))
    if mmap and not is_path:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if is_path:
        with open(f, "rb") as file:
            records = _records(file)
    else:
        _check_seekable(f)
        records = _records(f if f.tell() == 0 else io.BytesIO(f.read()))
    storages = rebuild.Storages(records, map_location)
    data = bytes(records["data.pkl"])
    if not weights_only:
        pickle_load_args.setdefault("encoding", "utf-8")
        return rebuild.unrestricted((pickle_module or pickle).Unpickler, data, storages, pickle_load_args)
    known, trusted = rebuild.known(), _trusted_by_name()
    try:
        return unpickler.Unpickler(data, known, trusted, storages.persistent_load, rebuild.KEYS).load()
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(_explained(str(error))) from None


def _check_seekable(f):
    try:
        f.seek(f.tell())
    except (OSError, AttributeError) as error:     # io.UnsupportedOperation is one of the former
        raise type(error)(f"{error}. You can only torch.load from a file that is seekable. Please pre-load the data "
                          "into a buffer like io.BytesIO and try to load from it instead.") from None


def _records(file):
    start = file.read(512)
    if not start:
        raise EOFError("the file is empty")
    if start[257:262] == b"ustar" or b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19" in start[:32]:
        raise RuntimeError("this file is in one of torch's formats from before version 1.6, which are not supported\n"
                           "torch reads it: torch.save(torch.load(path), path) writes it in the format of today")
    return archive.read(file)


# ---- classes that the user allows
_safe = set()


def add_safe_globals(safe_globals):
    """Allow these classes and functions (or pairs of one and its name in files) to `load` with weights_only=True."""
    _safe.update(safe_globals)


def get_safe_globals():
    """What `add_safe_globals` allowed."""
    return list(_safe)


def clear_safe_globals():
    """Forget what `add_safe_globals` allowed."""
    _safe.clear()


class safe_globals:
    """`with safe_globals([MyClass]):` allow it inside the block only."""

    def __init__(self, safe_globals):
        self.safe_globals = safe_globals

    def __enter__(self):
        add_safe_globals(self.safe_globals)

    def __exit__(self, *error):
        _safe.difference_update(self.safe_globals)


def _trusted_by_name():
    found = {}
    for value in _safe:
        if isinstance(value, tuple):
            if len(value) != 2:
                raise ValueError("Expected tuple of length 2 (global, str of callable full path), but got tuple of "
                                 f"length: {len(value)}")
            value, name = value
            if type(name) is not str:
                raise TypeError(f"Expected second item in tuple to be str of callable full path, but got: {type(name)}")
        else:
            name = f"{value.__module__}.{value.__qualname__}"
            if name.startswith("tinygrad_edu."):   # a file that torch wrote calls it by torch's name
                found["torch" + name.removeprefix("tinygrad_edu")] = value
        found[name] = value
    return found


# ---- torch's words
_UNSAFE = ("In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` "
           "to `True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it "
           "can result in arbitrary code execution. Do it only if you got the file from a trusted source.")
_DOCS = ("\n\nCheck the documentation of torch.load to learn more about types accepted by default with weights_only "
         "https://pytorch.org/docs/stable/generated/torch.load.html.")


def _explained(message):
    if "was not an allowed global by default" in message:
        return ("Weights only load failed. This file can still be loaded, to do so you have two options, "
                "\033[1mdo those steps only if you trust the source of the checkpoint\033[0m. "
                f"\n\t(1) {_UNSAFE}\n\t(2) Alternatively, to load with `weights_only=True` please check the "
                f"recommended steps in the following error message.\n\tWeightsUnpickler error: {message}{_DOCS}")
    ours = "" if "is blocked" in message else "WeightsUnpickler error: "
    return f"Weights only load failed. {_UNSAFE}\n{ours}{message}{_DOCS}"
