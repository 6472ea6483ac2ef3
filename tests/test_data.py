"""Data sets, samplers, batches: torch's results, errors and random orders. (Worker processes: test_workers.py.)"""
from __future__ import annotations

import collections
import pickle
import warnings

import numpy as np
import pytest

import tinygrad_edu
from tinygrad_edu.utils import data


def classes(data):
    """Data sets to play with, as subclasses of the given module's."""
    class Numbers(data.Dataset):
        def __init__(self, length=10):
            self.length = length

        def __len__(self):
            return self.length

        def __getitem__(self, index):
            return index

    class Stream(data.IterableDataset):
        def __init__(self, length=5):
            self.length = length

        def __iter__(self):
            return iter(range(self.length))

        def __len__(self):
            return self.length

    class Endless(data.Dataset):
        def __getitem__(self, index):
            return index
    return {"Numbers": Numbers, "Stream": Stream, "Endless": Endless, "numbers": Numbers()}


Point = collections.namedtuple("Point", "x y")
TABLE = [                                          # an expression, and what torch 2.13 makes of it
    # ---- arguments of a DataLoader
    ("DataLoader(numbers, num_workers=-1)",
     "ValueError: num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."),
    ("DataLoader(numbers, timeout=-1)", "ValueError: timeout option should be non-negative"),
    ("DataLoader(numbers, prefetch_factor=2)",
     "ValueError: prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to "
     "enable multiprocessing, otherwise set prefetch_factor to None."),
    ("DataLoader(numbers, prefetch_factor=-2, num_workers=1)",
     "ValueError: prefetch_factor option should be non-negative"),
    ("DataLoader(numbers, persistent_workers=True)", "ValueError: persistent_workers option needs num_workers > 0"),
    ("DataLoader(numbers, shuffle=True, sampler=SequentialSampler(numbers))",
     "ValueError: sampler option is mutually exclusive with shuffle"),
    ("DataLoader(numbers, batch_size=2, batch_sampler=[[1]])",
     "ValueError: batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"),
    ("DataLoader(numbers, batch_size=None, drop_last=True)",
     "ValueError: batch_size=None option disables auto-batching and is mutually exclusive with drop_last"),
    ("DataLoader(numbers, batch_size=0)",
     "ValueError: batch_size should be a positive integer value, but got batch_size=0"),
    ("DataLoader(numbers, batch_size=2.)",
     "ValueError: batch_size should be a positive integer value, but got batch_size=2.0"),
    ("DataLoader(numbers, drop_last=1)", "ValueError: drop_last should be a boolean value, but got drop_last=1"),
    ("DataLoader(numbers, batch_size=True)",
     "ValueError: batch_size should be a positive integer value, but got batch_size=True"),
    ("DataLoader(Numbers(0), shuffle=True)",
     "ValueError: num_samples should be a positive integer value, but got num_samples=0"),
    ("list(DataLoader(Numbers(0)))", "[]"),
    ("DataLoader(Stream(), shuffle=True)",
     "ValueError: DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle=True"),
    ("DataLoader(Stream(), sampler=3)",
     "ValueError: DataLoader with IterableDataset: expected unspecified sampler option, but got sampler=3"),
    ("DataLoader(Stream(), batch_sampler=3)",
     "ValueError: DataLoader with IterableDataset: expected unspecified batch_sampler option, but got "
     "batch_sampler=3"),
    ('DataLoader(numbers, multiprocessing_context="fork")',
     "ValueError: multiprocessing_context can only be used with multi-process loading (num_workers > 0), but "
     "got num_workers=0"),
    ("DataLoader(numbers, num_workers=1, multiprocessing_context=3)",
     "TypeError: multiprocessing_context option should be a valid context object or a string specifying the "
     "start method, but got multiprocessing_context=3"),
    ("[len(DataLoader(numbers, batch_size=3)), len(DataLoader(numbers, batch_size=3, drop_last=True)), "
     "len(DataLoader(Stream(), batch_size=2)), len(DataLoader(Stream(), batch_size=2, drop_last=True)), "
     "len(DataLoader(Stream(), batch_size=None)), len(iter(DataLoader(numbers, batch_size=3)))]",
     "[4, 3, 3, 2, 5, 4]"),
    ("len(DataLoader(Endless()))", "TypeError: object of type 'Endless' has no len()"),
    ("DataLoader(Endless(), shuffle=True)", "TypeError: object of type 'Endless' has no len()"),
    ('list(DataLoader([np.ones(1), 2, "a"], batch_size=None))', "[tensor([1.], dtype=torch.float64), 2, 'a']"),
    ("list(DataLoader([1, 2, 3], batch_size=2))", "[tensor([1, 2]), tensor([3])]"),
    ("list(DataLoader(Subset([5, 6, 7], [2, 0]), batch_size=2))", "[tensor([7, 5])]"),
    ("list(DataLoader([1, 2, 3], batch_size=2, collate_fn=lambda b: b))", "[[1, 2], [3]]"),
    ("list(DataLoader([1], pin_memory=True))", "[tensor([1])]"),
    ("list(DataLoader([1], timeout=1))", "AssertionError: _SingleProcessDataLoaderIter requires timeout == 0"),
    # ---- data sets
    ("Dataset()[0]", "NotImplementedError: Subclasses of Dataset should implement __getitem__."),
    ("TensorDataset(torch.ones(2), torch.ones(3))", "AssertionError: Size mismatch between tensors"),
    ("(len(TensorDataset(torch.ones(2, 3), torch.ones(2))), TensorDataset(torch.ones(2, 3), torch.ones(2))[1])",
     "(2, (tensor([1., 1., 1.]), tensor(1.)))"),
    ("ConcatDataset([])", "AssertionError: datasets should not be an empty iterable"),
    ("ConcatDataset([Stream()])", "AssertionError: ConcatDataset does not support IterableDataset"),
    ("[(Numbers(2) + Numbers(3))[i] for i in (0, 1, 2, 4, -1, -5)]", "[0, 1, 0, 2, 2, 0]"),
    ("(Numbers(2) + Numbers(3))[-6]", "ValueError: absolute value of index should not exceed dataset length"),
    ("len(Numbers(2) + Numbers(3))", "5"),
    ("(list(Stream(2) + Stream(3)), len(Stream(2) + Stream(3)))", "([0, 1, 0, 1, 2], 5)"),
    ("list(ChainDataset([Numbers(2)]))", "AssertionError: ChainDataset only supports IterableDataset"),
    ("(StackDataset(Numbers(3), Numbers(3))[1], StackDataset(a=Numbers(3), b=Numbers(3))[1], "
     "StackDataset(Numbers(3), Numbers(3)).__getitems__([0, 2]), StackDataset(a=Numbers(3), "
     "b=Numbers(3)).__getitems__([0, 2]))",
     "((1, 1), {'a': 1, 'b': 1}, [(0, 0), (2, 2)], [{'a': 0, 'b': 0}, {'a': 2, 'b': 2}])"),
    ("StackDataset()", "ValueError: At least one dataset should be passed"),
    ("StackDataset(Numbers(2), Numbers(3))", "ValueError: Size mismatch between datasets"),
    ("StackDataset(Numbers(2), a=Numbers(2))",
     "ValueError: Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like input/output, "
     "but both types are given."),
    ("(list(Subset(numbers, [3, 5])), Subset(numbers, [3, 5]).__getitems__([1, 0]), len(Subset(numbers, [3, "
     "5])))",
     "([3, 5], [5, 3], 2)"),
    ("random_split(numbers, [1, 2])",
     "ValueError: Sum of input lengths does not equal the length of the input dataset!"),
    ("random_split(numbers, [-.5, 1.5])", "ValueError: Fraction at index 0 is not between 0 and 1"),
    ("[len(x) for x in random_split(numbers, [.33, .33, .34])]", "[4, 3, 3]"),
    ("[len(x) for x in random_split(Numbers(2), [.1, .2, .7])]", "[1, 0, 1]"),
    # ---- samplers
    ("iter(Sampler())", "NotImplementedError: "),
    ("RandomSampler(numbers, replacement=1)",
     "TypeError: replacement should be a boolean value, but got replacement=1"),
    ("RandomSampler(numbers, num_samples=0)",
     "ValueError: num_samples should be a positive integer value, but got num_samples=0"),
    ("RandomSampler(numbers, num_samples=2.5)",
     "ValueError: num_samples should be a positive integer value, but got num_samples=2.5"),
    ("WeightedRandomSampler([1.], 0)",
     "ValueError: num_samples should be a positive integer value, but got num_samples=0"),
    ("WeightedRandomSampler([1.], 1, replacement=3)",
     "ValueError: replacement should be a boolean value, but got replacement=3"),
    ("WeightedRandomSampler([[1.]], 1)",
     "ValueError: weights should be a 1d sequence but given weights have shape (1, 1)"),
    ("(list(BatchSampler(range(7), 3, False)), list(BatchSampler(range(7), 3, True)), len(BatchSampler(range(7), 3, "
     "False)))",
     "([[0, 1, 2], [3, 4, 5], [6]], [[0, 1, 2], [3, 4, 5]], 3)"),
    ("BatchSampler(range(7), 0, False)",
     "ValueError: batch_size should be a positive integer value, but got batch_size=0"),
    ("BatchSampler(range(7), 2, 0)", "ValueError: drop_last should be a boolean value, but got drop_last=0"),
    # ---- batches out of samples
    ("default_collate([1, 2])", "tensor([1, 2])"),
    ("default_collate([1., 2])", "tensor([1., 2.], dtype=torch.float64)"),
    ("default_collate(['a', 'b'])", "['a', 'b']"),
    ("default_collate([{'a':1, 'b':torch.ones(2)}, {'a':2, 'b':torch.ones(2)}])",
     "{'a': tensor([1, 2]), 'b': tensor([[1., 1.],\n        [1., 1.]])}"),
    ("default_collate([(1, 2.), (3, 4.)])", "[tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]"),
    ("default_collate([[1, 2.], [3, 4.]])", "[tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]"),
    ("default_collate([Point(1, 'a'), Point(2, 'b')])", "Point(x=tensor([1, 2]), y=('a', 'b'))"),
    ("default_collate([np.array([1, 2]), np.array([3, 4])])", "tensor([[1, 2],\n        [3, 4]])"),
    ("default_collate([np.float32(1), np.float32(2)])", "tensor([1., 2.])"),
    ("default_collate([True, False])", "tensor([ True, False])"),
    ("default_collate([None, None])",
     "TypeError: default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
     "<class 'NoneType'>"),
    ('default_collate([np.array(["a"])])',
     "TypeError: default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found <U1"),
    ("default_collate([[1, 2], [1]])", "RuntimeError: each element in list of batch should be of equal size"),
    ("default_collate([torch.ones(2), torch.ones(3)])",
     "RuntimeError: stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1"),
    ("default_collate([range(2), range(2, 4)])", "[tensor([0, 2]), tensor([1, 3])]"),
    ("default_collate([b'a', b'b'])", "[b'a', b'b']"),
    ('default_collate([np.str_("a")])', "[np.str_('a')]"),
    ("default_collate([np.int16(3)])", "tensor([3], dtype=torch.int16)"),
    ("default_collate([1, 2.5])", "tensor([1.0000, 2.5000])"),
    ("default_collate([collections.OrderedDict(a=1)])", "OrderedDict([('a', tensor([1]))])"),
    ("default_collate([collections.UserList([1]), collections.UserList([2])])", "[tensor([1, 2])]"),
    ("default_collate([np.bool_(True)])", "tensor([True])"),
    ("default_collate([torch.ones(2), torch.ones(2)]).requires_grad", "False"),
    ("default_collate([[], []])", "[]"),
    ("default_collate([])", "IndexError: list index out of range"),
    ("default_collate([np.ones(2, dtype=np.float32), np.ones(3, dtype=np.float32)])",
     "RuntimeError: stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1"),
    ('[default_convert(x) for x in (1, "a", np.array([1, 2]), np.float64(2), (1, np.ones(1)), [np.ones(1)], '
     '{"a": np.ones(1)}, Point(np.ones(1), 2), np.array(["a"]), range(2), None, np.str_("a"), torch.ones(1))]',
     "[1, 'a', tensor([1, 2]), tensor(2., dtype=torch.float64), [1, tensor([1.], dtype=torch.float64)], "
     "[tensor([1.], dtype=torch.float64)], {'a': tensor([1.], dtype=torch.float64)}, Point(x=tensor([1.], "
     "dtype=torch.float64), y=2), array(['a'], dtype='<U1'), [0, 1], None, np.str_('a'), tensor([1.])]"),
]


def said(expression, torch, data):
    """The repr of the expression's value, or its error with the first line of what it says."""
    names = {**vars(data), **classes(data), "torch": torch, "np": np, "collections": collections, "Point": Point}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return repr(eval(expression, names))
        except Exception as error:
            return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


@pytest.mark.parametrize("expression, expected", TABLE)
def test_as_torch(expression, expected):
    assert said(expression, tinygrad_edu, data) == expected


def test_the_table_is_still_torchs(real_torch):
    import torch.utils.data
    assert [(e, said(e, real_torch, torch.utils.data)) for e, _ in TABLE] == TABLE


# ---- random orders
ORDERS = [
    ("DataLoader(numbers, batch_size=4, shuffle=True)",
     [[[3, 2, 7, 8], [6, 1, 5, 9], [0, 4]], [[1, 3, 5, 2], [8, 9, 6, 7], [4, 0]], 988]),
    ("DataLoader(numbers, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(3))",
     [[[7, 4, 2, 9], [1, 5, 0, 8], [6, 3]], [[1, 2, 0, 5], [9, 4, 8, 3], [6, 7]], 615]),
    ("DataLoader(numbers, batch_size=4, shuffle=True, drop_last=True)",
     [[[3, 2, 7, 8], [6, 1, 5, 9]], [[1, 3, 5, 2], [8, 9, 6, 7]], 988]),
    ("DataLoader(numbers, batch_size=None, shuffle=True)",
     [[3, 2, 7, 8, 6, 1, 5, 9, 0, 4], [1, 3, 5, 2, 8, 9, 6, 7, 4, 0], 988]),
    ("RandomSampler(numbers, replacement=True, num_samples=34)",
     [[3, 5, 7, 1, 0, 2, 3, 6, 1, 1, 6, 6, 0, 6, 0, 7, 4, 8, 6, 8, 0, 2, 4, 9, 6, 0, 4, 4, 1, 2, 7, 8, 8, 8],
      [3, 5, 3, 9, 4, 7, 9, 4, 4, 5, 5, 6, 7, 2, 2, 2, 3, 2, 6, 8, 6, 9, 4, 7, 0, 8, 8, 5, 9, 1, 6, 8, 4, 6], 283]),
    ("RandomSampler(numbers, num_samples=13)",
     [[3, 0, 1, 9, 4, 7, 2, 5, 6, 8, 1, 6, 4], [3, 2, 7, 8, 6, 1, 5, 9, 0, 4, 5, 9, 2], 283]),
    ("SubsetRandomSampler([1, 5, 7, 9])", [[9, 7, 1, 5], [7, 1, 9, 5], 287]),
    ("WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 5)", [[3, 3, 4, 4, 5], [4, 3, 4, 4, 4], 596]),
    ("WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 5, replacement=False)",
     [[1, 4, 3, 5, 0], [4, 5, 1, 3, 0], 708]),
    ("[list(part.indices) for part in random_split(numbers, [3, 7])]",
     [[[5, 0, 3], [4, 1, 7, 9, 6, 8, 2]], [[5, 0, 3], [4, 1, 7, 9, 6, 8, 2]], 761]),
    ("[list(part.indices) for part in random_split(numbers, [0.3, 0.3, 0.4], torch.Generator().manual_seed(42))]",
     [[[2, 6, 1], [8, 4, 5], [0, 9, 3, 7]], [[2, 6, 1], [8, 4, 5], [0, 9, 3, 7]], 615]),
]


def drawn(expression, torch, data):
    """Two passes over what the expression makes, and the next random number."""
    torch.manual_seed(7)
    made = eval(expression, {**vars(data), **classes(data), "torch": torch})
    passes = [[x.tolist() if hasattr(x, "tolist") else x for x in made] for _ in range(2)]
    return [*passes, torch.randint(0, 1000, (1,)).item()]


@pytest.mark.parametrize("expression, expected", ORDERS)
def test_torchs_order(expression, expected):
    assert drawn(expression, tinygrad_edu, data) == expected


def test_the_orders_are_still_torchs(real_torch):
    import torch.utils.data
    assert [(e, drawn(e, real_torch, torch.utils.data)) for e, _ in ORDERS] == ORDERS


# ---- the rest
def test_a_loader_draws_its_seed_though_nothing_is_shuffled():
    tinygrad_edu.manual_seed(3)
    list(data.DataLoader(range(3)))
    after = tinygrad_edu.rand(1)
    tinygrad_edu.manual_seed(3)
    tinygrad_edu.empty((), dtype=tinygrad_edu.int64).random_()
    assert tinygrad_edu.rand(1).item() == after.item()


def test_fixed_arguments():
    loader = data.DataLoader(range(3))
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"):
        with pytest.raises(ValueError, match=f"^{name} attribute should not be set after DataLoader is initialized$"):
            setattr(loader, name, None)
    loader.collate_fn = list
    assert list(loader) == [[0], [1], [2]]


def test_a_stream_that_is_longer_than_it_said():
    stream = classes(data)["Stream"]()
    stream.__class__.__len__ = lambda self: 2
    loader = data.DataLoader(stream, batch_size=2)
    assert len(list(loader)) == 3
    assert len(loader) == 1
    with pytest.warns(UserWarning, match=r"(?s)^Length of IterableDataset .* was reported to be 2\(when accessing "
                                         r"len\(dataloader\)\), but 3 samples have been fetched. "):
        list(loader)


def test_more_workers_than_processors():
    with pytest.warns(UserWarning, match="^This DataLoader will create 5000 worker processes in total. Our suggested "
                                         "max number of worker in current system is"):
        data.DataLoader(range(3), num_workers=5000)


def test_subclass_of_subset_must_define_both():
    class Doubled(data.Subset):
        def __getitem__(self, index):
            return 2 * super().__getitem__(index)
    with pytest.raises(NotImplementedError, match="^Doubled overrides __getitem__ but not __getitems__."):
        Doubled(range(3), [1])


def test_many_at_once():
    class Batched(data.Dataset):
        def __getitems__(self, indices):
            return [10 * i for i in indices]

        def __len__(self):
            return 5
    assert [b.tolist() for b in data.DataLoader(Batched(), batch_size=3)] == [[0, 10, 20], [30, 40]]
    assert data.Subset(Batched(), [4, 2]).__getitems__([0, 1]) == [40, 20]
    assert data.StackDataset(Batched(), range(5)).__getitems__([1, 2]) == [(10, 1), (20, 2)]


def test_a_passs_iterator_is_no_data():
    with pytest.raises(NotImplementedError, match="cannot be pickled"):
        pickle.dumps(iter(data.DataLoader(range(3))))


def test_a_table_of_types_of_ones_own():
    table = {int: lambda batch, *, collate_fn_map: sum(batch)}
    assert data.collate.collate([(1, 2), (3, 4)], collate_fn_map=table) == [4, 6]


def test_types_with_attributes_of_their_own_are_kept():
    class Named(dict):
        pass
    sample = Named(a=1)
    sample.name = "kept"
    batch = data.default_collate([sample, sample])
    assert type(batch) is Named and batch.name == "kept" and batch["a"].tolist() == [1, 1] and sample == {"a": 1}


def test_the_tutorials_training_and_validation_sets():
    t_u, t_c = tinygrad_edu.arange(11.0), tinygrad_edu.arange(11.0) * 2
    train, validation = data.random_split(data.TensorDataset(t_u, t_c), [9, 2])
    seen = [(x.item(), y.item()) for part in (train, validation) for x, y in part]
    assert sorted(seen) == [(float(i), 2.0 * i) for i in range(11)]
    xs, ys = next(iter(data.DataLoader(train, batch_size=4)))
    assert tuple(xs.shape) == tuple(ys.shape) == (4,) and (ys == 2 * xs).all()


# ---- HDF5, as the book's chapter 4 does it
def test_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py comes with tinygrad_edu[io]")
    torch = tinygrad_edu
    points = torch.tensor([[4.0, 1.0], [5.0, 3.0], [2.0, 1.0]])
    path = str(tmp_path / "ourpoints.hdf5")
    f = h5py.File(path, "w")
    dset = f.create_dataset("coords", data=points.numpy())
    f.close()
    f = h5py.File(path, "r")
    dset = f["coords"]
    last_points = dset[-2:]
    assert isinstance(last_points, np.ndarray)
    last_points = torch.from_numpy(dset[-2:])
    f.close()
    assert last_points.dtype is torch.float32 and last_points.tolist() == [[5.0, 3.0], [2.0, 1.0]]


def test_hdf5_as_a_data_set(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py comes with tinygrad_edu[io]")
    path = str(tmp_path / "numbers.hdf5")
    with h5py.File(path, "w") as f:
        f.create_dataset("x", data=tinygrad_edu.arange(12.0).reshape(6, 2).numpy())
    with h5py.File(path, "r") as f:
        batches = [b.tolist() for b in data.DataLoader(f["x"], batch_size=4)]
    assert batches == [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]], [[8.0, 9.0], [10.0, 11.0]]]
