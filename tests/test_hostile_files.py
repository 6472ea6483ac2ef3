"""Files that were damaged, and files made to do harm: an error, before anything runs."""
from __future__ import annotations

import io
import os
import pickle
import random
import struct
import time
import zipfile

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu.serialization import archive, rebuild
from tinygrad_edu.serialization.unpickler import Unpickler

from .serialized import REFUSALS, forged, pickle_of, refuses, same, saved, small


# ---- damaged files
def test_a_flipped_bit_anywhere():
    data, expected, accepted = saved(small()), small(), 0
    for place in range(len(data)):
        for bit in (1 << place % 8, 255):
            bad = bytearray(data)
            bad[place] ^= bit
            try:
                found = torch.load(io.BytesIO(bad))
            except REFUSALS:
                continue
            accepted += 1                          # padding, times: fields that mean nothing
            assert same(found, expected), (place, bit)
    assert accepted < len(data)


def test_a_file_cut_short_anywhere():
    data = saved(small())
    assert all(refuses(data[:length]) for length in range(len(data)))
    assert str(refuses(data[:-1])).startswith("PytorchStreamReader failed reading zip archive: failed finding central "
                                              "directory. This is an internal miniz error.")
    assert "not a ZIP archive" in str(refuses(b"hello world"))


def test_random_damage():
    data, expected, draw = saved(small()), small(), random.Random(0)
    for _ in range(1500):
        bad, place, count = bytearray(data), draw.randrange(len(data)), draw.randrange(1, 40)
        noise = draw.randbytes(count)
        start, end, new = draw.choice([(place, place + count, b""), (place, place, noise), (place, place, data[:count]),
                                       (place, place + count, noise)])
        bad[start:end] = new
        try:
            assert same(torch.load(io.BytesIO(bad)), expected)
        except REFUSALS:
            pass


def test_a_changed_number_is_noticed():
    data = bytearray(saved(torch.arange(6.0)))
    data[data.index(struct.pack("<f", 3.0))] ^= 1
    error = refuses(data)
    assert str(error).startswith("PytorchStreamReader failed reading file archive/data/0: CRC-32 check failed.")


# ---- files made to do harm: right checksums, wrong content
ran = []


def harm(*_):
    ran.append(True)
    return {}


class Harmful:
    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def tensor_program(kind=b"ctorch\nFloatStorage\n", key=b"X\1\0\0\0000", count=b"K\2", offset=b"K\0", size=b"K\2\x85",
                   stride=b"K\1\x85", flag=b"\x89", more=b""):
    """The pickle of a tensor of two floats, with parts that can be exchanged."""
    return (b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage" + kind + key + b"X\3\0\0\0cpu" + count
            + b"tQ" + offset + size + stride + flag + b"ccollections\nOrderedDict\n)R" + more + b"tR.")


TWO = {"data/0": struct.pack("<2f", 1, 2)}
TENSORS = {
    "more elements than the storage has": tensor_program(size=b"K\3\x85"),
    "beginning behind its end": tensor_program(offset=b"K\1"),
    "beginning before it": tensor_program(offset=b"J\xff\xff\xff\xff"),
    "a long stride": tensor_program(stride=b"K\2\x85"),
    "a negative stride": tensor_program(offset=b"K\1", stride=b"J\xff\xff\xff\xff\x85"),
    "a negative size": tensor_program(size=b"J\xff\xff\xff\xff\x85"),
    "an empty tensor far away": tensor_program(offset=b"J\xff\xff\xff\x7f", size=b"K\0\x85"),
    "sizes of another type": tensor_program(size=b"G\0\0\0\0\0\0\0\0\x85"),
    "a list of sizes": tensor_program(size=b"]K\2a"),
    "fewer strides than sizes": tensor_program(stride=b")"),
    "a flag that is a number": tensor_program(flag=b"K\1"),
    "65 dimensions": tensor_program(size=b"(" + b"K\1" * 65 + b"t", stride=b"(" + b"K\1" * 65 + b"t"),
    "more than fits into an address": tensor_program(size=b"\x8a\x08" + b"\xff" * 7 + b"\x7fK\4\x86",
                                                     stride=b"K\0K\0\x86"),
    "another length than the record": tensor_program(count=b"K\3"),
    "a huge length": tensor_program(count=b"\x8a\x08" + b"\xff" * 7 + b"\x7f"),
    "a negative length": tensor_program(count=b"J\xfe\xff\xff\xff"),
    "a record that is missing": tensor_program(key=b"X\1\0\0\x001"),
    "a record outside": tensor_program(key=b"X\x0b\0\0\0../data.pkl"),
    "a storage of another kind": tensor_program(kind=b"ctorch\nSize\n"),
    "no storage": b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n(K\1K\0)))\x89NtR.",
    "gradients of integers": tensor_program(kind=b"ctorch\nIntStorage\n", flag=b"\x88"),
    "complex numbers": tensor_program(kind=b"ctorch\nComplexFloatStorage\n", count=b"K\1"),
    "metadata": tensor_program(more=b"}X\1\0\0\0aK\1s"),
}


@pytest.mark.parametrize("what", TENSORS)
def test_no_view_leaves_its_storage(what):
    assert torch.load(forged(tensor_program(), TWO)).tolist() == [1.0, 2.0]
    assert refuses(forged(TENSORS[what], TWO))


def nested(opening, closing, depth=5000):
    return b"\x80\2" + opening * depth + b"K\1" + closing * depth + b"."


def bomb(depth=60):
    """A tuple of two tuples of two tuples ...: a few bytes, and a hash that takes 2 ** depth steps."""
    return b")" + b"".join(b"q%c" % i + b"h%c" % i + b"\x86" for i in range(depth))


PROGRAMS = {
    "a call": pickle.dumps(Harmful(harm), 2),
    "a call through a list": pickle.dumps([[Harmful(harm)]], 2),
    "eval": pickle.dumps(Harmful(eval, "ran.append(1)"), 2),
    "the system": pickle.dumps(Harmful(os.system, "true"), 2),
    "the system by protocol 4": pickle.dumps(Harmful(os.system, "true"), 4),
    "getattr": b"\x80\2c__builtin__\ngetattr\n(ctorch\nSize\nX\7\0\0\0__new__tR.",
    "a dotted name": b"\x80\4\x8c\5torch\x8c\x0dSize.__init__\x93.",
    "the call of a string": b"\x80\2X\1\0\0\0a)R.",
    "the call of what is too deep to be printed": b"\x80\2" + b"]" * 5000 + b"a" * 4999 + b")R.",
    "the call of a tensor": tensor_program()[:-1] + b")R.",
    "arguments that are no tuple": b"\x80\2ctorch\nSize\nX\1\0\0\0aR.",
    "too many arguments": b"\x80\2ctorch\nSize\n(K\1K\2K\3tR.",
    "a new object": b"\x80\2ccollections\nOrderedDict\n)\x81.",
    "a new class": b"\x80\2ctests.test_hostile_files\nHarmful\n)\x81.",
    "attributes of a function": b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n}X\10\0\0\0__code__K\1sb.",
    "attributes of a class": b"\x80\2ctorch\nSize\n}X\1\0\0\0aK\1sb.",
    "attributes of a tensor": tensor_program()[:-1] + b"}X\6\0\0\0_arrayK\1sb.",
    "a method of an OrderedDict": b"\x80\2ccollections\nOrderedDict\n)R}X\5\0\0\0itemsK\1sb.",
    "items of a tensor": tensor_program()[:-1] + b"K\0K\1s.",
    "items of a list": b"\x80\2]K\0K\1s.",
    "appending to a string": b"\x80\2X\1\0\0\0aK\1a.",
    "a list as a key": b"\x80\2}]K\1s.",
    "a huge int as a key": b"\x80\2}\x8a\x20" + b"\x7f" * 32 + b"K\1s.",
    "a key with an endless hash": b"\x80\2}" + bomb() + b"K\1s.",
    "a set with an endless hash": b"\x80\2c__builtin__\nset\n]" + bomb() + b"a\x85R.",
    "an OrderedDict with an endless hash": b"\x80\2ccollections\nOrderedDict\n]" + bomb() + b"K\1\x86a\x85R.",
    "a lot of memory": b"\x80\2c__builtin__\nbytearray\n\x8a\x06" + b"\x7f" * 6 + b"\x85R.",
    "another encoding": b"\x80\2c_codecs\nencode\nX\1\0\0\0aX\5\0\0\0rot13\x86R.",
    "a long string": b"\x80\2X\xff\xff\xff\x7fabc.",
    "deep marks": nested(b"(", b"t"),
    "deep tuples": nested(b"", b"\x85"),
    "deep lists": b"\x80\2" + b"]" * 5000 + b"a" * 4999 + b".",
    "a memo that is empty": b"\x80\2h\1.",
    "a far place in the memo": b"\x80\2K\1r\xff\xff\xff\x7fj\xfe\xff\xff\x7f.",
    "an empty stack": b"\x80\2\x85.",
    "a mark too few": b"\x80\2t.",
    "a rest on the stack": b"\x80\2K\1K\2.",
    "no end": b"\x80\2K\1",
    "no pickle": b"",
    "protocol 9": b"\x80\x09K\1.",
    "an extension": b"\x80\2\x82\1.",
    "an instance as of old": b"\x80\2(ios\nsystem\n.",
    "another persistent id": b"\x80\2X\1\0\0\0aQ.",
    "a module as persistent id": b"\x80\2(X\6\0\0\0moduleNNNNtQ.",
    "a reduced parameter": b"\x80\2ctorch._utils\n_rebuild_parameter\n(K\1\x88NtR.",
    "a tensor of another class": b"\x80\2ctorch._tensor\n_rebuild_from_type_v2\n(ctorch\nSize\nctorch\nTensor\n)}tR.",
    "text for numbers": b"\x80\2c__builtin__\ncomplex\nX\1\0\0\0a\x85R.",
    "a device that is none": b"\x80\2ctorch\ndevice\nX\1\0\0\0a\x85R.",
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_pickles_that_do_harm(what):
    start = time.monotonic()
    error = refuses(forged(PROGRAMS[what], TWO))
    assert isinstance(error, (pickle.UnpicklingError, RuntimeError)) and not ran
    assert time.monotonic() - start < 1


def test_damage_is_noticed_before_a_trusted_file_runs():
    data = bytearray(forged(pickle.dumps(Harmful(harm), 2)).getvalue())
    assert torch.load(io.BytesIO(data), weights_only=False) == {} and ran
    ran.clear()
    data[data.rindex(b"PK\7\10") - 1] ^= 1         # the last byte of the last record
    with pytest.raises(RuntimeError):
        torch.load(io.BytesIO(data), weights_only=False)
    assert not ran


def test_what_looks_harmful_and_is_not():
    nest = b"\x80\2" + b"]" * 900 + b"a" * 899 + b"."
    assert refuses(forged(nest)) is None
    assert len(torch.load(forged(b"\x80\2]" + b"(" + b"K\1" * 100_000 + b"e."))) == 100_000


def test_random_pickles():
    """No program makes anything but data or an error."""
    data, draw = pickle_of(small()), random.Random(0)
    records = {"data/0": np.arange(6).tobytes(), "data/1": b"", "data/2": np.ones(2, np.float32).tobytes()}
    loaded = archive.read(forged(data, records))
    for _ in range(4000):
        program = bytearray(data)
        for _ in range(draw.choice((1, 1, 2, 4))):
            place = draw.randrange(len(program))
            piece = data[draw.randrange(len(data)):][:draw.randrange(1, 30)]
            opcode = bytes([draw.choice(b"(})]RQbtuase\x85\x86\x87qhcK")])
            start, end, new = draw.choice([(place, place + 1, draw.randbytes(1)), (place, place + 3, b""),
                                           (place, place, piece), (place, place, opcode)])
            program[start:end] = new
        storages = rebuild.Storages(loaded, None)
        try:
            Unpickler(program, rebuild.known(), {}, storages.persistent_load).load()
        except REFUSALS:
            pass
    assert not ran


def test_a_bool_is_true_or_false():
    found = torch.load(forged(tensor_program(kind=b"ctorch\nBoolStorage\n"), {"data/0": b"\2\0"}))
    assert found.numpy().view(np.uint8).tolist() == [1, 0]


# ---- archives made to do harm
def zipped(records, **arguments):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **arguments) as file:
        for name, content in records:
            file.writestr(name, content)
    return out.getvalue()


GOOD = [("archive/data.pkl", pickle.dumps(1, 2)), ("archive/version", b"3\n")]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_do_harm():
    assert torch.load(io.BytesIO(zipped(GOOD))) == 1
    for records, sentence in (
        ([*GOOD, GOOD[0]], "PytorchStreamReader failed reading zip archive: a record is there twice."),
        ([*GOOD, ("other/data.pkl", b"")], "PytorchStreamReader failed reading zip archive: records of two archives."),
        ([("data.pkl", b"")], "file in archive is not in a subdirectory: data.pkl"),
        (GOOD[:1], 'Expected hasRecord("version") to be true, but got false.'),
        (GOOD[1:], "PytorchStreamReader failed locating file data.pkl: file not found."),
        ([GOOD[0], ("archive/version", b"99")], "Attempted to read a PyTorch file with version 99, but the maximum "
                                                "supported version for reading is 10."),
        ([*GOOD, ("archive/constants.pkl", b"")], "this is a TorchScript archive (a program)"),
    ):
        assert str(refuses(zipped(records))).startswith(sentence)
    packed = refuses(zipped(GOOD, compression=zipfile.ZIP_DEFLATED))
    assert "the record is compressed or encrypted" in str(packed)
    assert "not a ZIP archive" in str(refuses(b"before" + zipped(GOOD)))
    assert "something stands before the first" in str(refuses(b"PK\3\4" + b"before" + zipped(GOOD)))
    assert refuses(zipped(GOOD) + zipped(GOOD))


def test_a_record_that_claims_to_be_huge():
    data = bytearray(saved(torch.ones(2)))
    entry = data.rindex(b"PK\1\2", 0, data.index(b"archive/data/0", data.index(b"PK\1\2")))
    for field in (20, 24):
        data[entry + field:entry + field + 4] = struct.pack("<L", 0x7fffffff)
    assert "2147483647 bytes from byte" in str(refuses(data))
