"""The zip file that torch writes: records by name, stored as they are, each on a multiple of 64 bytes.

It knows names and bytes; what they mean is none of its business. Files come out as torch's own, byte for byte (but for
the number in .data/serialization_id). Reading is stricter than torch's: every record's length and checksum is compared,
and anything that torch would never write (compressed, encrypted, overlapping or doubled records) is refused.
Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, caffe2/serialize/inline_container.cc
"""
from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np

ALIGNMENT = 64
LARGE = 0xFFFFFFFF                                 # a size or a place that needs the 64-bit fields
PIECE = 1 << 24                                    # bytes copied at a time
LOCAL, CENTRAL = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L")
END64, LOCATOR, END = struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL"), struct.Struct("<4s4H2LH")
NAMES_ARE_UTF8, SIZES_FOLLOW, ENCRYPTED = 0x800, 0x8, 0x1
NEWEST_VERSION = 10                                # of torch's format, as of torch 2.13


# ---- writing
class Writer:
    """Writes records one after the other, to anything that has a `write`."""

    def __init__(self, file, stem):
        self.file, self.stem, self.place, self.entries, self.id = file, stem, 0, [], [0, 0]

    def put(self, data):
        self.place += len(data)
        while len(data):                           # a raw file may take less than it is given
            taken = self.file.write(data)
            if taken is None or taken >= len(data):
                return
            data = data[taken:]

    def record(self, name, data):
        """One record. Its checksum is that of the bytes written, even if another thread changes `data` meanwhile."""
        size, start, full_name = len(data), self.place, f"{self.stem}/{name}".encode()
        large = [size] * 2 * (size >= LARGE) + [start] * (start >= LARGE)
        wide = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        behind = start + LOCAL.size + len(full_name) + len(wide) + 4
        fill = -behind % ALIGNMENT
        flags = NAMES_ARE_UTF8 | (SIZES_FOLLOW if size else 0)
        self.put(LOCAL.pack(b"PK\3\4", 0, flags, 0, 0, 0, 0, 0, 0, len(full_name), len(wide) + 4 + fill)
                 + full_name + wide + b"FB" + struct.pack("<H", fill) + b"Z" * fill)
        crc = 0
        for at in range(0, size, PIECE):
            piece = bytes(data[at:at + PIECE])
            crc = zlib.crc32(piece, crc)
            self.put(piece)
        if size:
            self.put(struct.pack("<4sL2Q" if wide else "<4s3L", b"PK\7\10", crc, size, size))
        fields = 0, 0, flags, 0, 0, 0, crc, _narrow(size), _narrow(size), len(full_name), len(wide), 0, 0, 0, 0
        self.entries.append(CENTRAL.pack(b"PK\1\2", *fields, _narrow(start)) + full_name + wide)
        self.id = [_combined(self.id[0], zlib.crc32(full_name)), _combined(self.id[1], crc)]

    def close(self):
        """The last two records and the directory. What comes out is whole only after this."""
        self.record("version", b"3\n")
        self.record(".data/serialization_id", b"%020d%020d" % tuple(self.id))
        start, count = self.place, len(self.entries)
        for entry in self.entries:
            self.put(entry)
        size, end, few = self.place - start, self.place, min(count, 0xFFFF)
        self.put(END64.pack(b"PK\6\6", END64.size - 12, 0x31E, 0x2D, 0, 0, count, count, size, start)
                 + LOCATOR.pack(b"PK\6\7", 0, end, 1)
                 + END.pack(b"PK\5\6", 0, 0, few, few, _narrow(size), _narrow(start), 0))


def _narrow(number):
    """What the 32-bit field says of a number: itself, or to look into the 64-bit one."""
    return number if number < LARGE else 0xFFFFFFFF


def _combined(seed, value):
    return seed ^ (value + 0x9E3779B9 + (seed << 6) + (seed >> 2)) & 0xFFFFFFFFFFFFFFFF


# ---- reading
def corrupt(what, detail=""):
    """torch's sentence for a file that is not what it was when it was saved."""
    return RuntimeError(
        f"PytorchStreamReader failed {what}. This is an internal miniz error. If you are seeing this error, there is a "
        "high likelihood that your checkpoint file is corrupted. This can happen if the checkpoint was not saved "
        f"properly, was transferred incorrectly, or the file was modified after saving.{detail and chr(10) + detail}")


def read(file):
    """{name: bytes as a uint8 array} of every record, all of them compared with their checksums."""
    try:
        infos, length = _directory(file)
        names = [info.filename for info in infos]
        stem, slash, _ = names[0].partition("/") if names else ("", "", "")
        if names and not slash:
            raise RuntimeError(f"file in archive is not in a subdirectory: {names[0]}")
        for name in names:
            if not name.startswith(stem + "/"):
                raise corrupt("reading zip archive: records of two archives", f"{name!r} is not in {stem!r}")
        if len(set(names)) < len(names):
            raise corrupt("reading zip archive: a record is there twice")
        found, place = {}, 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < place or not found and info.header_offset:
                raise corrupt("reading zip archive: records overlap, or something stands before the first")
            found[info.filename.removeprefix(stem + "/")], place = _record(file, info, length)
    except (zipfile.BadZipFile, struct.error, EOFError, ValueError, OverflowError, IndexError, NotImplementedError,
            MemoryError) as error:
        raise corrupt("reading zip archive: failed finding central directory",
                      f"{type(error).__name__}: {error}") from None
    _check_version(found)
    return found


def _directory(file):
    file.seek(0, io.SEEK_END)
    length = file.tell()
    file.seek(0)
    if file.read(4) != b"PK\3\4":
        raise corrupt("reading zip archive: not a ZIP archive")
    with zipfile.ZipFile(file) as archive:
        return archive.infolist(), length


def _record(file, info, length):
    """(bytes, the place behind them) of one record, for a directory's entry that is not trusted."""
    name, size = info.filename, info.file_size
    if info.flag_bits & ENCRYPTED or info.compress_type != zipfile.ZIP_STORED or info.compress_size != size:
        raise corrupt(f"reading file {name}: the record is compressed or encrypted", "torch stores records as they are")
    file.seek(info.header_offset)
    header = LOCAL.unpack(file.read(LOCAL.size))
    if header[0] != b"PK\3\4" or file.read(header[9]) != name.encode():
        raise corrupt(f"reading file {name}: its header does not agree with the directory")
    start = info.header_offset + LOCAL.size + header[9] + header[10]
    if start + size > length:
        raise corrupt(f"reading file {name}: it would end behind the end of the file",
                      f"{size} bytes from byte {start} on are claimed, and the file has {length}")
    data = np.empty(size, np.uint8)
    file.seek(start)
    _fill(file, data)
    if zlib.crc32(data) != info.CRC:
        raise corrupt(f"reading file {name}: CRC-32 check failed", "the bytes differ from those that were saved")
    return data, start + size


def _fill(file, data):
    view, at = memoryview(data), 0
    while at < len(data):
        if hasattr(file, "readinto"):
            got = file.readinto(view[at:])
        else:
            piece = file.read(min(PIECE, len(data) - at))
            got = len(piece)
            view[at:at + got] = piece
        if not got:
            raise EOFError("the file ended early")
        at += got


def _check_version(found):
    if "constants.pkl" in found:
        raise RuntimeError("this is a TorchScript archive (a program); load reads what save wrote")
    if "version" not in found:
        raise RuntimeError('Expected hasRecord("version") to be true, but got false.\n'
                           "This is a zip file, but torch.save did not write it")
    version = bytes(found["version"]).strip()
    if not version.isdigit() or int(version) > NEWEST_VERSION:
        version = version.decode("ascii", "replace")
        raise RuntimeError(f"Attempted to read a PyTorch file with version {version}, but the maximum "
                           f"supported version for reading is {NEWEST_VERSION}.")
    if "data.pkl" not in found:
        raise corrupt("locating file data.pkl: file not found")
