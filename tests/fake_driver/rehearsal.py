"""The path to a real GPU on a driver that isn't one (libcuda.c): run by test_kernels_gpu.py in a process of its own.

Memory and copies are real there, launches only write down what they were given. It knows no kernel of the library's.
"""
import ctypes
import gc
import struct
import sys
import threading

import numpy as np
import pytest

import tinygrad_edu as te
from tinygrad_edu.kernels import array, exchange, gpu, memory
from tinygrad_edu.kernels.provider import cuda, float32
from tinygrad_edu.kernels.simulator import KernelError

FAKE = ctypes.CDLL("libcuda.so.1")
F4 = np.dtype(np.float32)


def fake(name, kind=ctypes.c_longlong):
    return kind.in_dll(FAKE, name)


@pytest.fixture
def machine():
    found = memory.default()
    assert isinstance(found, gpu.Gpu) and found.name == "a GPU that isn't there"
    gc.collect()
    found.empty_cache()
    yield found


@cuda.jit
def scale(a, o, n, factor):
    i = cuda.grid(1)
    if i < n:
        o[i] = a[i] * factor


@cuda.jit
def of_everything(a, wide, n, flag, half, sizes, mixed, table):
    i = cuda.grid(1)
    if flag and i < sizes[1]:
        P = table[1]
        P[i] = a[i] + float32(half) + mixed[0] * mixed[1] + float32(wide + n)


@cuda.jit
def in_two_dimensions(a, o):
    i, j = cuda.grid(2)
    if i < a.shape[0] and j < a.shape[1]:
        o[j, i] = a[i, j]


def parameters(count):
    """The last launch's parameters as bytes, 8 each."""
    return [struct.pack("<Q", word) for word in fake("fake_parameters", ctypes.c_uint64 * 64)[:count]]


def as_types(words, types):
    """Parameters read as the kernel would: by their type's size."""
    return [struct.unpack_from("<" + t, word)[0] for t, word in zip(types, words, strict=True)]


# ---- is there one
def test_it_is_found_before_numba_is_imported():
    assert gpu.is_present() and te.cuda.is_available() and te.cuda.get_device_name() == "a GPU that isn't there"
    assert te.cuda.get_device_capability() == (9, 0)
    assert te.cuda.get_device_properties(0).total_memory == 1 << 30


# ---- memory
def test_copies_there_and_back(machine):
    for host in (np.arange(24, dtype=np.float64).reshape(2, 3, 4), np.array(True), np.empty((0, 3), np.int16)):
        there = array.from_numpy(machine, host)
        assert there.numpy().dtype == host.dtype and np.array_equal(there.numpy(), host)
    view = array.from_numpy(machine, np.arange(24.0).reshape(2, 3, 4)).permute((2, 0, 1))
    assert np.array_equal(view.numpy(), np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1))


@pytest.mark.parametrize("nbytes", [0, 1, 511, 512, 513, 4096, 4097, 5000, 10 ** 6, 2 ** 30 - 1, 2 ** 30, 2 ** 30 + 1])
def test_size_classes_waste_an_eighth_at_most(nbytes):
    size = gpu.size_class(nbytes)
    assert size >= max(nbytes, 512) and (size <= 4096 or size - nbytes <= size / 8)
    assert gpu.size_class(size) == size


def test_a_block_is_handed_out_again(machine):
    before = fake("fake_allocations").value
    addresses = {machine.empty(1000 + k, F4).ptr for k in range(20)}
    assert len(addresses) == 1 and fake("fake_allocations").value == before + 1
    held = [machine.empty(1000, F4) for _ in range(3)]
    assert len({buffer.ptr for buffer in held}) == 3 and len(held[0]) == 1000


def test_memory_is_counted(machine):
    start, size = machine.memory_allocated(), gpu.size_class(4_000_000)
    a, b = machine.empty(1_000_000, F4), machine.empty(1_000_000, F4)
    assert machine.memory_allocated() == start + 2 * size and machine.peak >= start + 2 * size
    del a
    assert machine.memory_allocated() == start + size and machine.memory_reserved() >= start + 2 * size
    machine.empty_cache()
    assert machine.memory_reserved() < start + 2 * size
    del b


def test_out_of_memory_gives_back_what_is_unused_and_then_says_so(machine):
    unused = [machine.empty(100 << 20, np.dtype(np.uint8)) for _ in range(6)]
    del unused                                      # 600 MiB in blocks of another size
    large = machine.empty(900 << 20, np.dtype(np.uint8))
    with pytest.raises(gpu.OutOfMemoryError, match=r"CUDA out of memory. Tried to allocate 256.00 MiB. GPU 0 has a "
                                                   r"total capacity of 1.00 GiB of which .* is free. 9.* MiB is in"):
        machine.empty(250 << 20, np.dtype(np.uint8))
    del large
    machine.empty(250 << 20, np.dtype(np.uint8))


def test_without_the_pool_every_array_has_its_own_bounds(machine, monkeypatch):
    monkeypatch.setattr(machine, "pools", False)    # what PYTORCH_NO_CUDA_MEMORY_CACHING=1 does
    before, in_use = fake("fake_allocations").value, fake("fake_in_use").value
    for _ in range(3):
        buffer = machine.empty(1001, F4)
        assert fake("fake_in_use").value == in_use + 4004
        del buffer
    assert fake("fake_allocations").value == before + 3 and fake("fake_in_use").value == in_use


# ---- launches
def test_what_a_launch_hands_over(machine):
    a, o = array.empty(machine, (12,), F4), array.empty(machine, (12,), F4)
    view = o.view((10,), offset=2)
    fake("fake_parameter_count", ctypes.c_int).value = 4
    scale[(2, 3), (32, 4), 0, 256](a, view, 10, np.float32(1.5))
    assert fake("fake_shape", ctypes.c_uint * 7)[:] == [2, 3, 1, 32, 4, 1, 256]
    assert as_types(parameters(4), "QQif") == [a.buffer.ptr, o.buffer.ptr + 8, 10, 1.5]


def test_every_kind_of_argument(machine):
    a, b = array.empty(machine, (12,), F4), array.empty(machine, (12,), F4)
    fake("fake_parameter_count", ctypes.c_int).value = 10
    rest = True, np.float16(0.5), (np.uint32(7), np.uint32(8)), (np.float32(2), 3), (a, b)
    of_everything[1, 32](a, 2 ** 40, -3, *rest)
    words = as_types(parameters(10), "Qqq?eIIfqQ")  # integers have 64 bits here, because one needs them
    assert words[:9] == [a.buffer.ptr, 2 ** 40, -3, True, 0.5, 7, 8, 2, 3]
    assert (ctypes.c_uint64 * 2).from_address(words[9])[:] == [a.buffer.ptr, b.buffer.ptr]
    fake("fake_parameter_count", ctypes.c_int).value = 10
    of_everything[1, 32](a, 4, -3, *rest)
    again = as_types(parameters(10), "Qii?eIIfiQ")
    assert again[1:4] == [4, -3, True] and again[9] == words[9]        # the same table, not sent again


def test_a_kernel_is_compiled_once_per_kinds(machine):
    a = array.empty(machine, (12,), F4)
    scale[1, 32](a, a, 12, np.float32(1))
    before = len(scale.made)
    scale[7, 64](a.view((6,)), a, 5, np.float32(3))
    assert len(scale.made) == before
    scale[1, 32](a, a, 12, np.float64(1))
    assert len(scale.made) == before + 1


def test_numpy_arrays_go_there_and_come_back(machine):
    a, o = np.arange(6, dtype=np.float32).reshape(2, 3), np.full((3, 2), 7, np.float32)
    fake("fake_parameter_count", ctypes.c_int).value = 18
    in_two_dimensions[(1, 1), (8, 8)](a, o)
    words = as_types(parameters(18), "q" * 18)      # per array: no owner twice, size, item, address, shape, strides
    assert words[:4] == [0, 0, 6, 4] and words[5:13] == [2, 3, 12, 4, 0, 0, 6, 4] and words[14:] == [3, 2, 8, 4]
    assert np.all(o == 7)                           # came back (nothing ran)
    backwards = np.arange(6, dtype=np.float32)[::-1]
    scale_in_place[1, 32](backwards)
    assert np.array_equal(backwards, [5, 4, 3, 2, 1, 0])
    there = cuda.to_device(a)
    in_two_dimensions[(1, 1), (8, 8)](there, cuda.device_array((3, 2), np.float32))
    assert np.array_equal(there.copy_to_host(), a)


@cuda.jit
def scale_in_place(a):
    i = cuda.grid(1)
    if i < a.size:
        a[i] = a[i] * a[i]


def test_a_new_thread_can_use_the_gpu(machine):
    a, errors = array.empty(machine, (12,), F4), []
    scale[1, 32](a, a, 12, np.float32(1))

    def use(first):
        try:
            if first == "launch":
                scale[1, 32](a, a, 12, np.float32(1))
            b = array.empty(machine, (1 << 20,), F4)
            scale[1, 32](b, b, 12, np.float32(1))
            b.numpy()
        except Exception as error:
            errors.append(error)
    for first in ("launch", "memory"):
        thread = threading.Thread(target=use, args=(first,))
        thread.start()
        thread.join()
    assert not errors


# ---- errors
def test_a_refused_launch_names_the_kernel(machine):
    a = array.empty(machine, (12,), F4)
    for grid, block, shared, why in ((1, 2048, 0, "a block has at most 1024 threads, not 2048; use smaller blocks"),
                                     (0, 32, 0, "there are no threads in it"),
                                     (1, (2, 2, 128), 0, "a block is at most 64 threads deep"),
                                     ((1, 70000), 32, 0, "a grid has at most"),
                                     (1, 32, 50000, "a block has 49152 bytes of shared memory, and this needs 50000")):
        with pytest.raises(KernelError, match=r"^scale\[\(\d, \d+, 1\), \(\d+, \d, \d+\)\]: " + why):
            scale[grid, block, 0, shared](a, a, 12, np.float32(1))
    with pytest.raises(TypeError, match="a kernel takes arrays, numbers and tuples of them, not NoneType"):
        scale[1, 32](a, a, None, np.float32(1))


def test_errors_show_later_unless_launches_wait(machine, monkeypatch):
    a = array.empty(machine, (12,), F4)
    scale[1, 32](a, a, 12, np.float32(1))
    monkeypatch.setenv("FAKE_CUDA_FAULT", str(fake("fake_launches").value))
    scale[1, 32](a, a, 12, np.float32(1))           # goes wrong, and nobody notices
    with pytest.raises(gpu.CudaError, match="(?s)CUDA error: an illegal memory access was encountered.*"
                                            "CUDA_LAUNCH_BLOCKING=1.*The last kernel launched was scale"):
        machine.synchronize()
    monkeypatch.setattr(machine, "blocking", True)  # what CUDA_LAUNCH_BLOCKING=1 does
    with pytest.raises(gpu.CudaError, match="The last kernel launched was scale"):
        scale[1, 32](a, a, 12, np.float32(1))


# ---- other libraries
class Of:
    """An array as another library might own it."""

    def __init__(self, held, stream=1, read_only=False):
        self.held, self.freed = held, []
        about = exchange.interface_of(held)
        self.__cuda_array_interface__ = {**about, "stream": stream, "data": (about["data"][0], read_only)}

    def __dlpack__(self, stream=None, max_version=None, **others):
        return exchange.to_dlpack(self.held, stream)

    def __dlpack_device__(self):
        return exchange.dlpack_device(self.held.machine)


def some(machine, dtype=np.float32):
    return array.from_numpy(machine, np.arange(24).astype(dtype).reshape(2, 3, 4)).permute((2, 0, 1))


@pytest.mark.parametrize("dtype", ["float32", "bool", "int64", "float16", "uint8", "float64"])
def test_arrays_are_shared_without_a_copy(machine, dtype):
    mine = some(machine, dtype)
    for theirs in (exchange.from_interface(machine, Of(mine)), exchange.from_dlpack(machine, Of(mine))):
        assert theirs.dtype == dtype and theirs.shape == (4, 2, 3) and theirs.strides == mine.strides
        assert theirs.buffer.ptr == mine.buffer.ptr and np.array_equal(theirs.numpy(), mine.numpy())
    offset = mine.view((3,), (1,), 2)
    assert exchange.interface_of(offset)["data"][0] == mine.buffer.ptr + 2 * mine.dtype.itemsize
    assert exchange.interface_of(offset)["strides"] is None
    for again in (exchange.from_dlpack(machine, Of(offset)), exchange.from_interface(machine, Of(offset))):
        assert again.buffer.ptr % 16 == 0 and exchange.address(again) == exchange.address(offset)
        assert np.array_equal(again.numpy(), offset.numpy())


def test_shared_memory_lives_as_long_as_either_side(machine):
    before = machine.memory_allocated()
    theirs = exchange.from_dlpack(machine, Of(some(machine)))
    gc.collect()
    assert machine.memory_allocated() > before
    del theirs
    gc.collect()
    assert machine.memory_allocated() == before


def test_a_stream_of_their_own_is_waited_for(machine):
    mine = some(machine)
    before = fake("fake_synchronizations").value
    exchange.from_interface(machine, Of(mine, stream=1))
    assert fake("fake_synchronizations").value == before
    exchange.from_interface(machine, Of(mine, stream=77))
    exchange.to_dlpack(mine, stream=77)
    assert fake("fake_synchronizations").value == before + 2


def test_what_cannot_be_shared_is_refused(machine):
    mine = some(machine)
    with pytest.raises(ValueError, match="read-only"):
        exchange.from_interface(machine, Of(mine, read_only=True))
    backwards = Of(mine)
    backwards.__cuda_array_interface__["strides"] = (-4, 48, 16)
    with pytest.raises(ValueError, match="negative stride"):
        exchange.from_interface(machine, backwards)
    elsewhere = Of(mine)
    elsewhere.__dlpack_device__ = lambda: (2, 1)
    with pytest.raises(BufferError, match="device 1"):
        exchange.from_dlpack(machine, elsewhere)
    empty = array.empty(machine, (0, 3), F4)
    assert exchange.from_interface(machine, Of(empty)).shape == (0, 3)
    with pytest.raises(BufferError, match="no elements"):
        exchange.to_dlpack(empty)


# ---- the library on it
def test_tensors_live_on_it():
    x = te.arange(12.0).reshape(3, 4).cuda()
    assert x.device == te.device("cuda", 0) and np.array_equal(x.cpu().numpy(), np.arange(12.0).reshape(3, 4))
    before = fake("fake_launches").value
    y = (x * 2 + x.t().contiguous().t()).sigmoid()
    te.cuda.synchronize()
    assert y.shape == (3, 4) and fake("fake_launches").value >= before + 3
    assert "numba" in sys.modules


def tensor():
    return te.arange(24.0).reshape(2, 3, 4).cuda().permute(2, 0, 1)


def test_tensors_are_shared_with_other_libraries():
    mine = tensor()
    about = mine.__cuda_array_interface__
    assert about["shape"] == (4, 2, 3) and about["typestr"] == "<f4" and about["strides"] == (4, 48, 16)
    assert about["data"] == (mine.data_ptr(), False) and mine.__dlpack_device__() == (2, 0)
    shared = (te.from_dlpack(mine), te.from_dlpack(Dlpack(mine)), te.from_dlpack(te.utils.dlpack.to_dlpack(mine)),
              te.as_tensor(Interface(mine)), te.as_tensor(Interface(mine), device="cuda"), te.asarray(Interface(mine)))
    for theirs in shared:
        assert theirs.data_ptr() == mine.data_ptr() and theirs.device == te.device("cuda", 0)
        assert theirs.stride() == mine.stride() and np.array_equal(theirs.cpu().numpy(), mine.cpu().numpy())
    copies = (te.tensor(Interface(mine)), te.as_tensor(Interface(mine), dtype=te.float64),
              te.as_tensor(Interface(mine), device="cpu"))
    assert not any(copy.data_ptr() == mine.data_ptr() for copy in copies)
    assert [str(copy.device) for copy in copies] == ["cuda:0", "cuda:0", "cpu"]
    assert np.array_equal(copies[2].numpy(), mine.cpu().numpy()) and copies[1].dtype is te.float64


def test_shared_tensors_keep_their_memory():
    gc.collect()
    before = te.cuda.memory_allocated()
    theirs = te.from_dlpack(Dlpack(tensor()))
    gc.collect()
    assert te.cuda.memory_allocated() > before and theirs.cpu().sum() == 276
    del theirs
    gc.collect()
    assert te.cuda.memory_allocated() == before


def test_tensors_that_require_a_gradient_are_not_shared():
    mine = tensor().requires_grad_()
    with pytest.raises(BufferError, match="Can't export tensors that require gradient, use tensor.detach()"):
        te.from_dlpack(Dlpack(mine))
    with pytest.raises(RuntimeError, match="Can't get __cuda_array_interface__ on Variable that requires grad"):
        mine.__cuda_array_interface__               # noqa: B018
    assert te.as_tensor(Interface(mine.detach())).data_ptr() == mine.data_ptr()


def test_a_full_gpu_raises_torchs_error():
    with pytest.raises(te.cuda.OutOfMemoryError, match="^CUDA out of memory. Tried to allocate 2.00 GiB"):
        te.empty(1 << 29, device="cuda")
    assert te.OutOfMemoryError is te.cuda.OutOfMemoryError and issubclass(te.OutOfMemoryError, RuntimeError)


class Dlpack:
    """Another library's array: it knows DLPack and nothing else."""

    def __init__(self, held):
        self.__dlpack__, self.__dlpack_device__ = held.__dlpack__, held.__dlpack_device__


class Interface:
    """Another library's array: it knows __cuda_array_interface__ and nothing else."""

    def __init__(self, held):
        self.held, self.__cuda_array_interface__ = held, held.__cuda_array_interface__
