"""Storages as users see them, and what copies and pickles of tensors share."""
from __future__ import annotations

import copy
import pickle
import warnings

import pytest

import tinygrad_edu as te
from tinygrad_edu import storage as storages
from tinygrad_edu.storage import TypedStorage, UntypedStorage, is_storage


@pytest.fixture
def x():
    return te.tensor([[1.0, 2.0], [3.0, 4.0]])


def test_numbers_in_a_row(x):
    numbers = x._typed_storage()
    assert numbers.tolist() == list(numbers) == [1, 2, 3, 4] and len(numbers) == numbers.size() == 4
    assert numbers[1] == 2 and numbers[-1] == 4
    assert numbers.dtype is te.float32 and numbers.type() == "torch.FloatStorage"
    assert numbers.nbytes() == 16 and numbers.element_size() == 4 and numbers.data_ptr() == x.data_ptr()
    assert repr(numbers) == (" 1.0\n 2.0\n 3.0\n 4.0\n[torch.storage.TypedStorage(dtype=torch.float32, device=cpu) of "
                             "size 4]")
    assert x.t()[1].untyped_storage().data_ptr() == x.data_ptr()
    assert x.expand(3, 2, 2)._typed_storage().size() == 4 and x.storage_offset() == 0 and x[1].storage_offset() == 2


def test_bytes(x):
    memory = x.untyped_storage()
    assert memory.nbytes() == len(memory) == 16 and memory[3] == 63 and memory[2:4].tolist() == [128, 63]
    assert (repr(te.tensor([1], dtype=te.int16).untyped_storage())
            == " 1\n 0\n[torch.storage.UntypedStorage(device=cpu) of size 2]")
    memory[2:4] = 0
    assert x[0, 0].item() == 0.0
    memory.copy_(te.ones(4).untyped_storage())
    assert x.tolist() == [[1, 1], [1, 1]]
    with pytest.raises(RuntimeError, match="size does not match, self was 16 bytes but src was 12 bytes"):
        memory.copy_(te.ones(3).untyped_storage())


def test_writing_is_seen_and_counted(x):
    view, numbers, version = x.t(), x._typed_storage(), x._version
    numbers[1] = 20
    numbers[2:4] = 7
    assert view.tolist() == [[1, 7], [20, 7]] and x._version == version + 2
    x.untyped_storage()[0] = 1
    assert x._version == version + 3
    numbers.fill_(2)
    assert x.tolist() == [[2, 2], [2, 2]]


def test_a_write_is_noticed_by_the_tape():
    x = te.tensor([2.0, 3.0], requires_grad=True)
    out = (x * x).sum()
    x.untyped_storage()[0] = 7
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        out.backward()


@pytest.mark.parametrize("index, error, text", [
    (4, IndexError, "index 4 out of range for storage of size 4"),
    (slice(0, 2), RuntimeError, "slices are only supported in UntypedStorage.__getitem__"),
    ("a", RuntimeError, "can't index a <class 'tinygrad_edu.storage.TypedStorage'> with <class 'str'>"),
])
def test_refusals(x, index, error, text):
    with pytest.raises(error) as caught:
        x._typed_storage()[index]
    assert str(caught.value) == text


def test_it_is_deprecated_once(x):
    storages._warned.clear()
    with pytest.warns(UserWarning, match="TypedStorage is deprecated. It will be removed in the future"):
        x.storage()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x.storage()


def test_storages_of_their_own():
    assert UntypedStorage(3).nbytes() == 3 and UntypedStorage([1, 2, 300]).tolist() == [1, 2, 44]
    assert TypedStorage([1, 2], dtype=te.int32, _internal=True).tolist() == [1, 2]
    other = TypedStorage(wrap_storage=te.tensor([1.0]).untyped_storage(), dtype=te.int32, _internal=True)
    assert other.tolist() == [0x3f800000]
    assert is_storage(other) and not is_storage(te.ones(1)) and not other.is_shared()
    copied = copy.deepcopy(other)
    other[0] = 5
    assert copied.tolist() == [0x3f800000] and copy.copy(other).tolist() == [5]


# ---- copies and pickles of tensors
@pytest.mark.parametrize("twin", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_views_go_on_sharing(twin):
    a = te.arange(6.0)
    c, d = twin((a, a[2:]))
    c[2] = 50
    assert d.tolist() == [50, 3, 4, 5] and d.storage_offset() == 2 and a[2].item() == 2
    assert twin(te.ones(2, 3, dtype=te.int16).t()).stride() == (1, 3)


def test_deepcopy_keeps_what_a_leaf_is():
    x = te.ones(2, requires_grad=True)
    x.sum().backward()
    twin = copy.deepcopy(x)
    assert twin.requires_grad and twin.is_leaf and twin.grad.tolist() == [1, 1] and twin.grad is not x.grad
    assert twin.data_ptr() != x.data_ptr()
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user \\(graph leaves\\) support "
                                           "the deepcopy protocol"):
        copy.deepcopy(x * 2)


def test_copy_shares_memory():
    x = te.ones(2, requires_grad=True)
    twin = copy.copy(x)
    assert twin is not x and twin.data_ptr() == x.data_ptr() and twin.requires_grad


class Measured(te.Tensor):
    pass


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_subclasses_and_attributes_stay(twin):
    x = Measured([1, 2])
    x.unit = "metre"
    assert type(twin(x)) is Measured and twin(x).unit == "metre" and twin(x).tolist() == [1, 2]


def test_shared_memory_is_no_other():
    x = te.ones(2)
    assert x.share_memory_() is x and not x.is_shared() and x.pin_memory() is x and not x.is_pinned()
