"""save and load: torch's files both ways, and what is kept in them."""
from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu import nn, serialization
from tinygrad_edu.serialization import archive

from .serialized import again, forged, pickle_of, same, saved

FILES = Path(__file__).parent / "goldens" / "torch_files"


# ---- torch's files
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


def the_tensors():
    x = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    found = {name: torch.tensor([0, 1, 100], dtype=getattr(torch, name)) for name in DTYPES}
    return {**found, "x": x, "x.t()": x.t(), "x[1]": x[1], "x[:, ::2]": x[:, ::2], "expanded": x[:1].expand(4, 3),
            "empty": torch.zeros(0, 3), "0-d": torch.tensor(2.5), "leaf": torch.ones(2, requires_grad=True),
            "parameter": nn.Parameter(torch.ones(2)), "frozen": nn.Parameter(torch.ones(2), False)}


def the_containers():
    return {"numbers": [1, -2, 2 ** 40, 2.5, float("inf"), True, None], "strings": ("a", "\N{SNOWMAN}", b"bytes", ""),
            "size": torch.Size([2, 3]), "dtype": torch.float64,
            "devices": [torch.device("cpu"), torch.device("cuda", 1)],
            "set": {"two"}, "counter": collections.Counter("aab"), "complex": 1 + 2j, "bytearray": bytearray(b"xy"),
            "ordered": collections.OrderedDict(b=1, a=2), (1, "key"): [[], {}, ()]}


@pytest.mark.parametrize("weights_only", [True, False])
def test_torchs_files(weights_only):
    found = torch.load(FILES / "tensors.pt", weights_only=weights_only)
    assert same(found, the_tensors())
    assert found["x"].data_ptr() == found["x.t()"].data_ptr() == found["x[:, ::2]"].data_ptr()
    found["x"][1, 0] = 10.0
    assert found["x[1]"].tolist() == [10.0, 4.0, 5.0]
    assert same(torch.load(str(FILES / "containers.pt"), weights_only=weights_only), the_containers())


def test_torchs_bfloat16():
    pytest.importorskip("ml_dtypes", reason="ml_dtypes comes with tinygrad_edu[io]")
    found = torch.load(FILES / "bfloat16.pt")
    assert found.dtype is torch.bfloat16 and found.tolist() == [1.0, -2.5]
    assert again(found).tolist() == [1.0, -2.5]


def test_the_training_of_torch_goes_on():
    state = torch.load(FILES / "training.pt")
    model = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1))
    assert repr(model.load_state_dict(state["model"])) == "<All keys matched successfully>"
    optimizer = torch.optim.Adam(model.parameters())
    optimizer.load_state_dict(state["optimizer"])
    assert optimizer.param_groups[0]["lr"] == 0.1 and same(optimizer.state_dict()["state"], state["optimizer"]["state"])
    assert state["model"]._metadata == model.state_dict()._metadata


def test_a_module_of_torch():
    model = torch.load(FILES / "linear.pt", weights_only=False)
    assert type(model) is nn.Linear and repr(model) == "Linear(in_features=2, out_features=1, bias=True)"
    assert model(torch.ones(1, 2)).item() == pytest.approx(-0.2080, abs=1e-4)
    with serialization.safe_globals([nn.Linear]):
        assert type(torch.load(FILES / "linear.pt")) is nn.Linear
    with pytest.raises(pickle.UnpicklingError, match="GLOBAL torch.nn.modules.linear.Linear was not an allowed global"):
        torch.load(FILES / "linear.pt")


def test_the_old_format_is_refused():
    with pytest.raises(RuntimeError, match="^this file is in one of torch's formats from before version 1.6"):
        torch.load(FILES / "legacy.pt")


@pytest.mark.parametrize("name, ours", [("tensors", the_tensors), ("containers", the_containers)])
def test_our_files_are_torchs_byte_for_byte(name, ours, tmp_path):
    """But for the last record, .data/serialization_id: a number made of names and checksums."""
    theirs = (FILES / f"{name}.pt").read_bytes()
    torch.save(ours(), tmp_path / f"{name}.pt")
    mine = (tmp_path / f"{name}.pt").read_bytes()
    assert mine[:mine.rindex(b"PK\3\4")] == theirs[:theirs.rindex(b"PK\3\4")]
    assert len(mine) == len(theirs)


def test_torch_reads_our_files(real_torch):
    found = real_torch.load(io.BytesIO(saved({**the_tensors(), **the_containers()})))
    expected = {**real_torch.load(FILES / "tensors.pt"), **real_torch.load(FILES / "containers.pt")}
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert type(found[key]) is type(value)
        if isinstance(value, real_torch.Tensor):
            assert real_torch.equal(found[key], value) and found[key].stride() == value.stride()
            assert found[key].dtype == value.dtype and found[key].requires_grad == value.requires_grad
        else:
            assert found[key] == value
    assert found["x"].data_ptr() == found["x.t()"].data_ptr()


def test_large_files_have_wide_fields(monkeypatch, tmp_path):
    monkeypatch.setattr(archive, "LARGE", 1000)    # as if there were no more than ten bits
    x, y = torch.arange(300), torch.ones(2)
    torch.save([x, y], tmp_path / "wide.pt")
    monkeypatch.undo()
    assert same(torch.load(tmp_path / "wide.pt"), [x, y])
    with zipfile.ZipFile(tmp_path / "wide.pt") as file:
        assert file.testzip() is None and file.getinfo("wide/data/0").file_size == 2400
    real = pytest.importorskip("torch", reason="torch is an optional oracle")
    assert [t.tolist() for t in real.load(tmp_path / "wide.pt")] == [x.tolist(), y.tolist()]


# ---- what is kept
def test_shared_storages_stay_shared():
    x = torch.arange(6.0)
    data = saved([x, x[2:4], x.reshape(2, 3).t(), x.detach(), nn.Parameter(x).data])
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert [name for name in file.namelist() if "/data/" in name] == ["archive/data/0"]
    found = torch.load(io.BytesIO(data))
    found[0][2] = 100.0
    assert found[1].tolist() == [100.0, 3.0] and found[2][2, 0].item() == 100.0 and found[4][2].item() == 100.0


def test_a_view_brings_its_storage_along():
    found = again(torch.arange(100.0)[10:12])
    assert found.storage_offset() == 10 and found.untyped_storage().nbytes() == 400


def test_the_same_object_is_one_object():
    x = torch.ones(2)
    a, b = again([x, x])
    assert a is b
    nest = [1]
    nest.append(nest)
    found = again(nest)
    assert found[1] is found


def test_a_computed_tensor_becomes_a_leaf():
    x = torch.ones(2, requires_grad=True) * 2
    found = again(x)
    assert found.requires_grad and found.is_leaf and found.tolist() == [2.0, 2.0]


def test_attributes_of_tensors():
    x, p = torch.ones(2), nn.Parameter(torch.ones(2))
    x.note, p.note = "mine", [1, 2]
    found = again([x, p])
    assert found[0].note == "mine" and found[1].note == [1, 2] and type(found[1]) is nn.Parameter


def test_storages():
    x = torch.tensor([1.0, 2.0])
    untyped, typed = again(x.untyped_storage()), again(x._typed_storage())
    assert untyped.tolist() == [0, 0, 128, 63, 0, 0, 0, 64] and typed.tolist() == [1.0, 2.0]


def test_one_memory_as_two_types_is_refused():
    x = torch.ones(2)
    with pytest.raises(RuntimeError, match="^Cannot save multiple tensors or storages that view the same data as"):
        saved([x, x.view(torch.int32)])
    assert again(x.view(torch.int32)).tolist() == [1065353216, 1065353216]


def test_named_tensors_are_refused():
    with pytest.raises(RuntimeError, match="^NYI: Named tensors don't support serialization."):
        saved(torch.ones(2, 3, names=("N", "C")))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols(protocol):
    obj = {**the_tensors(), **the_containers()}
    for weights_only in (True, False):
        assert same(torch.load(io.BytesIO(saved(obj, pickle_protocol=protocol)), weights_only=weights_only), obj)


def test_big_endian():
    def swapped(byteorder):
        records = {"data/0": struct.pack(">2f", 1, 2), "byteorder": byteorder}
        return forged(pickle_of(torch.tensor([1.0, 2.0])), records)
    assert torch.load(swapped(b"big")).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="^Unknown endianness type: middle"):
        torch.load(swapped(b"middle"))


class Point:
    def __init__(self, x):
        self.x = x


def test_objects_of_ones_own():
    with pytest.raises(pickle.UnpicklingError) as error:
        again(Point(1))
    first, _, second, third = str(error.value).splitlines()[:4]
    assert first == ("Weights only load failed. This file can still be loaded, to do so you have two options, "
                     "\033[1mdo those steps only if you trust the source of the checkpoint\033[0m. ")
    assert third.startswith("\tWeightsUnpickler error: Unsupported global: GLOBAL tests.test_serialization.Point was "
                            "not an allowed global by default. Please use `torch.serialization.add_safe_globals(")
    assert again(Point(torch.ones(2)), weights_only=False).x.tolist() == [1.0, 1.0]
    with serialization.safe_globals([Point]):
        assert serialization.get_safe_globals() == [Point]
        assert again(Point(torch.ones(2))).x.tolist() == [1.0, 1.0]
    assert serialization.get_safe_globals() == []
    serialization.add_safe_globals([(Point, "tests.test_serialization.Point")])
    assert again([Point(2)])[0].x == 2
    serialization.clear_safe_globals()


def test_our_modules():
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.2))
    found = again(model, weights_only=False)
    assert repr(found) == repr(model) and same(dict(found.state_dict()), dict(model.state_dict()))


def test_numpys_scalars_need_permission():
    assert again(np.float64(2.5), weights_only=False) == 2.5
    with pytest.raises(pickle.UnpicklingError, match="multiarray.scalar was not an allowed global"):
        again(np.float64(2.5))
    with serialization.safe_globals([np._core.multiarray.scalar, np.dtype, type(np.dtype("float64"))]):
        assert again(np.float64(2.5)) == 2.5


# ---- where to
@pytest.mark.parametrize("where", ["cpu", torch.device("cpu"), {"cuda:0": "cpu"}, {"cuda:0": torch.device("cpu")},
                                   lambda storage, location: storage, lambda storage, location: storage.cpu()])
def test_map_location(where):
    data = pickle_of(torch.ones(2)).replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0")
    file = forged(data, {"data/0": struct.pack("<2f", 1, 2)})
    assert torch.load(file, map_location=where).tolist() == [1.0, 2.0]


def test_devices_that_are_not_there(no_cuda):
    for where, sentence in (("cuda", "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() "
                                     "is False. If you are running on a CPU-only machine, please use torch.load with "
                                     "map_location=torch.device('cpu') to map your storages to the CPU."),
                            ("moon", "don't know how to restore data location of torch.storage.UntypedStorage (tagged "
                                     "with moon)")):
        with pytest.raises(RuntimeError) as error:
            again(torch.ones(2), map_location=where)
        assert str(error.value) == sentence
    with pytest.raises(TypeError, match="^map_location must return an UntypedStorage or None, but got <class 'int'>"):
        again(torch.ones(2), map_location=lambda storage, location: 3)


# ---- arguments
def test_what_can_be_a_file():
    with pytest.raises(AttributeError, match="^expected 'f' to be string, path, or a file-like object with a 'write'"):
        torch.save(1, 3)
    with pytest.raises(RuntimeError, match="^Parent directory /no/where does not exist.$"):
        torch.save(1, "/no/where/x.pt")
    with pytest.raises(FileNotFoundError):
        torch.load("/no/where/x.pt")
    with pytest.raises(AttributeError, match="^'int' object has no attribute 'seek'. You can only torch.load from a "
                                             "file that is seekable. Please pre-load the data into a buffer like"):
        torch.load(3)
    reader, writer = os.pipe()
    os.close(writer)
    with open(reader, "rb") as file, pytest.raises(OSError, match="You can only torch.load from a file that is seek"):
        torch.load(file)
    with pytest.raises(EOFError):
        torch.load(io.BytesIO())
    with pytest.raises(RuntimeError, match="^Can not safely load weights when explicit pickle_module is specified$"):
        torch.load(io.BytesIO(), pickle_module=pickle, weights_only=True)
    with pytest.raises(ValueError, match="^f must be a file path in order to use the mmap argument$"):
        torch.load(io.BytesIO(), mmap=True)


def test_a_file_within_a_file():
    stream = io.BytesIO()
    stream.write(b"before")
    torch.save(torch.ones(2), stream)
    stream.seek(6)
    assert torch.load(stream).tolist() == [1.0, 1.0]


def test_a_file_that_only_reads_and_seeks():
    class Plain:
        def __init__(self, data):
            inner = io.BytesIO(data)
            self.read, self.seek, self.tell = inner.read, inner.seek, inner.tell
    assert torch.load(Plain(saved(torch.ones(2)))).tolist() == [1.0, 1.0]


def test_a_file_that_takes_little_at_a_time():
    class Slow:
        taken = b""

        def write(self, data):
            self.taken += bytes(data[:7])
            return min(7, len(data))

        def flush(self):
            pass
    slow = Slow()
    torch.save(torch.ones(2), slow)
    assert torch.load(io.BytesIO(slow.taken)).tolist() == [1.0, 1.0]


def test_names_of_files(tmp_path):
    for name, stem in (("x.pt", "x"), ("a.b.pt", "a.b"), ("noext", "noext"), ("f\xf6\xf6.pt", "archive")):
        torch.save(1, tmp_path / name)
        with zipfile.ZipFile(tmp_path / name) as file:
            assert file.namelist()[0] == f"{stem}/data.pkl"
        assert torch.load(str(tmp_path / name)) == torch.load(tmp_path / name, mmap=True) == 1
