"""Tensors out of nothing, out of Python data and out of other people's memory."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_edu as te
from tinygrad_edu.ops import bridges

NAMES = {"te": te, "np": np}


def first_line(error):
    return str(error.value).partition("\n")[0]


# ---- inference of shape and dtype
@pytest.mark.parametrize("data, dtype, shape", [
    ("3", "int64", ()), ("3.0", "float32", ()), ("True", "bool", ()), ("[]", "float32", (0,)),
                                                ("[[], []]", "float32", (2, 0)),
    ("[True, 1]", "int64", (2,)), ("[True, 1.5]", "float32", (2,)), ("range(3)", "int64", (3,)),
                                                ("(1, 2)", "int64", (2,)),
    ("np.float32(1.5)", "float32", ()), ("np.float64(1.5)", "float64", ()), ("[np.float64(1.5)]", "float64", (1,)),
    ("[np.int32(1), 2.5]", "float32", (2,)), ("[np.float16(1)]", "float16", (1,)), ("np.uint8(3)", "uint8", ()),
    ("np.array([1, 2], np.int32)", "int32", (2,)), ("[np.array([1., 2]), [3, 4]]", "float64", (2, 2)),
    ("[te.tensor(1), 2.5]", "float32", (2,)), ("[te.tensor([1.]), te.tensor([3.])]", "float32", (2,)),
    ("[te.tensor(1., dtype=te.float64)]", "float64", (1,)), ("2 ** 63 - 1", "int64", ()),
])
def test_inference(data, dtype, shape):
    data = eval(data, NAMES)
    x = te.tensor(data)
    assert x.dtype is getattr(te, dtype) and x.shape == shape
    np.testing.assert_array_equal(x.numpy(),
                                  np.array([np.asarray(d) for d in data] if shape[:1] > (0,) else data).reshape(shape))


@pytest.mark.parametrize("data, error, text", [
    ("[[1, 2], [3]]", ValueError, "expected sequence of length 2 at dim 1 (got 1)"),
    ("[[1, 2], 3]", TypeError, "not a sequence"),
    ("[1, [2]]", TypeError, "'list' object cannot be interpreted as an integer"),
    ("[1., [2]]", TypeError, "must be real number, not list"),
    ("[1, None]", RuntimeError, "Could not infer dtype of NoneType"),
    ("None", RuntimeError, "Could not infer dtype of NoneType"),
    ("'a'", TypeError, "new(): invalid data type 'str'"),
    ("['a']", ValueError, "too many dimensions 'str'"),
    ("[1, 'a']", TypeError, "new(): invalid data type 'str'"),
    ("{1: 2}", RuntimeError, "Could not infer dtype of dict"),
    ("2 ** 63", ValueError, "Overflow when unpacking long long"),
    ("[1, -2 ** 63 - 1]", ValueError, "Overflow when unpacking long long"),
    ("[te.ones(2), te.ones(2)]", ValueError, "only one element tensors can be converted to Python scalars"),
    ("1j", TypeError, "complex numbers are not supported"),
    ("np.array([1j])", TypeError, "complex numbers are not supported"),
    ("np.arange(3)[::-1]", ValueError, "At least one stride in the given numpy array is negative, and tensors with "
                                       "negative strides are not "
     "currently supported. (You can probably work around this by making a copy of your array  with array.copy().) "),
    ("np.array([1, 2], '>i4')", ValueError, "given numpy array has byte order different from the native byte order. "
                                            "Conversion between byte "
     "orders is currently not supported."),
])
def test_data_that_is_refused(data, error, text):
    with pytest.raises(error) as caught:
        te.tensor(eval(data, NAMES))
    assert first_line(caught) == text


@pytest.mark.parametrize("value, dtype, result", [
    (-1, "uint8", 255), (1.7, "int64", 1), (-1.7, "int32", -1), (0.5, "bool", True), (float("nan"), "bool", True),
                                                  (1e39, "float32", np.inf),
    (70000.0, "float16", np.inf), (2 ** 70, "float32", 2.0 ** 70), (-128, "int8", -128),
])
def test_casts_of_numbers(value, dtype, result):
    assert te.tensor(value, dtype=getattr(te, dtype)).item() == result


@pytest.mark.parametrize("value, dtype",
                         [(300, "uint8"), (-256, "uint8"), (200, "int8"), (-129, "int8"), (2 ** 31, "int32"),
                                          (300.5, "uint8"), (float("nan"), "int64"), (float("inf"), "int32")])
def test_numbers_out_of_range(value, dtype):
    with pytest.raises(RuntimeError) as caught:
        te.tensor(value, dtype=getattr(te, dtype))
    assert first_line(caught) == f"value cannot be converted to type {dtype} without overflow"
    spelled = {"int32": "int"}.get(dtype, f"{dtype}_t")
    for make in (te.full, lambda size, value, dtype: te.ones(size, dtype=dtype).new_full(size, value)):
        with pytest.raises(RuntimeError) as caught:
            make((2,), value, dtype=getattr(te, dtype))
        assert first_line(caught) == f"value cannot be converted to type {spelled} without overflow"


def test_a_tensor_of_a_tensor_warns():
    with pytest.warns(UserWarning, match="To copy construct from a tensor, it is recommended to use "
                                         "sourceTensor.detach"):
        assert te.tensor(te.ones(2)).tolist() == [1, 1]


# ---- constructors
@pytest.mark.parametrize("expression, error, text", [
    ("te.zeros()", TypeError, 'zeros() missing 1 required positional arguments: "size"'),
    ("te.zeros(True)", TypeError, "zeros(): argument 'size' (position 1) must be tuple of ints, not bool"),
    ("te.zeros(2, 3.0)", TypeError, "zeros(): argument 'size' failed to unpack the object at pos 2 with error \"type "
                                    "must be tuple of ints,"
     "but got float\""),
    ("te.zeros((2, 3), 4)", TypeError, "zeros() takes 1 positional argument but 2 were given"),
    ("te.zeros(2, -1)", RuntimeError, "zeros: Dimension size must be non-negative."),
    ("te.empty(2, -1)", RuntimeError, "Trying to create tensor with negative dimension -1: [2, -1]"),
    ("te.ones(2, dtype='float32')", TypeError, "ones(): argument 'dtype' must be torch.dtype, not str"),
    ("te.ones(2, requires_grad=True, dtype=te.int64)", RuntimeError,
     "Only Tensors of floating point and complex dtype can require gradients"),
    ("te.full(2, 3)", TypeError, "full(): argument 'size' (position 1) must be tuple of ints, not int"),
    ("te.full((2,), 'a')", TypeError, "full(): argument 'fill_value' (position 2) must be Number, not str"),
    ("te.full((2,), 2 ** 70)", OverflowError, "int too big to convert"),
    ("te.zeros_like(3)", TypeError, "zeros_like(): argument 'input' (position 1) must be Tensor, not int"),
    ("te.arange()", TypeError, "arange() received an invalid combination of arguments - got (), but expected one of:"),
    ("te.arange(5, 1)", RuntimeError, "upper bound and lower bound inconsistent with step sign"),
    ("te.arange(1, 5, 0)", RuntimeError, "step must be nonzero"),
    ("te.arange(0, float('nan'))", RuntimeError, "unsupported range: 0 -> nan"),
    ("te.arange(5, dtype=te.bool)", NotImplementedError, "\"arange_cpu\" not implemented for 'Bool'"),
    ("te.linspace(0, 1, -1)", RuntimeError, "number of steps must be non-negative"),
    ("te.linspace(0, 1)", TypeError, "linspace() received an invalid combination of arguments - got (int, int), but "
                                     "expected one of:"),
    ("te.eye(-1)", RuntimeError, "n must be greater or equal to 0, got -1"),
    ("te.eye(2, -1)", RuntimeError, "m must be greater or equal to 0, got -1"),
    ("te.Tensor(3.)", TypeError, "new(): data must be a sequence (got float)"),
    ("te.Tensor([1], requires_grad=True)", TypeError,
     "new() received an invalid combination of arguments - got (list, requires_grad=bool), but expected one of:"),
    ("te.zeros(2, names=['N', 'C'])", RuntimeError, "Number of names (2) and number of dimensions in tensor (1) do "
                                                    "not match. Attempted to "
     "create a tensor with names ['N', 'C']"),
])
def test_refusals(expression, error, text):
    with pytest.raises(error) as caught:
        eval(expression, NAMES)
    assert first_line(caught) == text


def test_sizes_in_every_spelling():
    for x in (te.zeros(2, 3), te.zeros((2, 3)), te.zeros([2, 3]), te.zeros(te.Size([2, 3])), te.zeros(size=(2, 3)),
              te.zeros(te.tensor(2), np.int64(3)), te.ones(1).new_zeros((2, 3)), te.ones(1).new_zeros(2, 3)):
        assert x.shape == (2, 3) and not x.any()
    assert te.zeros(()).shape == ()
    assert te.ones(2, dtype=float).dtype is te.float64 and te.ones(2, dtype=int).dtype is te.int64


def test_likes_keep_the_order_of_dimensions():
    x = te.ones(2, 3, 4)
    assert te.zeros_like(x.permute(2, 0, 1)).stride() == (1, 12, 4)
    assert te.zeros_like(x[:, :, ::2].permute(2, 0, 1)).stride() == (1, 6, 2)
    assert te.zeros_like(te.ones(2, 1).expand(2, 3)).stride() == (3, 1)
    assert te.zeros_like(x.permute(2, 0, 1), memory_format=te.contiguous_format).stride() == (6, 3, 1)
    assert te.zeros_like(te.ones(2, 3, names=["N", "C"])).names == ("N", "C")
    assert te.full_like(te.ones(2, dtype=te.int64), 7.5).tolist() == [7, 7]


@pytest.mark.parametrize("arguments, dtype, values", [
    ((2.5,), "int64", [0, 1]), ((2.5,), "int32", [0, 1, 2]), ((0.5, 5, 1.7), "int64", [0, 1, 2, 3, 4]),
                                                      ((-2.5, 2.5), "int64", [-2, -1, 0, 1]),
    ((-2.5, 2.5), "int32", [-2, -1, 0, 1, 2]), ((2 ** 62, 2 ** 62 + 2), "int64", [2 ** 62, 2 ** 62 + 1]),
                                                      ((5, 0, -2), "int64", [5, 3, 1]),
])
def test_how_long_arange_is(arguments, dtype, values):
    assert te.arange(*arguments, dtype=getattr(te, dtype)).tolist() == values


def test_ranges_bit_for_bit(real_torch):
    random = np.random.RandomState(3)
    for _ in range(300):
        start, end = random.uniform(-100, 100, 2)
        count = int(random.choice([1, 2, 3, 16, 33, 100, 1000]))
        for dtype in ("float32", "float64", "float16", "int64"):
            mine, theirs = getattr(te, dtype), getattr(real_torch, dtype)
            np.testing.assert_array_equal(te.linspace(start, end, count, dtype=mine).numpy(),
                                          real_torch.linspace(start, end, count, dtype=theirs).numpy())
            step = (end - start) / count
            if dtype != "int64":
                np.testing.assert_array_equal(te.arange(start, end, step, dtype=mine).numpy(),
                                              real_torch.arange(start, end, step, dtype=theirs).numpy())


# ---- old constructors and types
def test_old_constructors():
    assert te.Tensor(2, 3).shape == (2, 3) and te.Tensor(te.Size([2, 3])).shape == (2, 3) and te.Tensor().shape == (0,)
    assert te.Tensor((2, 3)).tolist() == [2, 3] and te.Tensor(te.ones(1, dtype=te.int64)).dtype is te.int64
    assert te.FloatTensor([1, 2]).dtype is te.float32 and te.BoolTensor(2).shape == (2,)
    assert te.LongTensor([1.5, True]).tolist() == [1, 1]
    assert isinstance(te.ones(1), te.FloatTensor) and not isinstance(te.ones(1), te.LongTensor)
    assert repr(te.DoubleTensor) == "<class 'torch.DoubleTensor'>"
    assert te.ones(1).type(te.DoubleTensor).dtype is te.float64
    assert te.ones(2, dtype=te.int16).new([1, 2]).dtype is te.int16


def test_questions():
    x = te.ones(2, 3)
    assert te.is_tensor(x) and not te.is_tensor(3) and te.is_floating_point(x)
    assert te.numel(x) == 6 and te.is_nonzero(te.tensor([2.0]))
    with pytest.raises(TypeError, match=r"numel\(\): argument 'input' \(position 1\) must be Tensor, not int"):
        te.numel(3)
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        te.is_nonzero(x)


def test_the_old_way_to_set_the_default_dtype():
    with pytest.warns(UserWarning, match=r"torch.set_default_tensor_type\(\) is deprecated"):
        te.set_default_tensor_type(te.DoubleTensor)
    try:
        assert te.tensor(1.0).dtype is te.float64
    finally:
        te.set_default_dtype(te.float32)
    for wrong, text in ((te.int64, "only floating-point types are supported as the default type"),
                        ("a", "invalid dtype object: only floating-point types are supported as the default type")):
        with pytest.raises(TypeError) as caught:
            te.set_default_dtype(wrong)
        assert str(caught.value) == text


# ---- the same memory
def test_numpy_shares_memory():
    for array in (np.arange(6.0), np.arange(6, dtype=np.int16).reshape(2, 3).T, np.arange(12.0).reshape(3, 4)[::2, 1:]):
        x = te.from_numpy(array)
        assert x.tolist() == array.tolist() and x.stride() == tuple(s // array.itemsize for s in array.strides)
        x.zero_()
        assert not array.any()
        array += 1
        assert x.min().item() == 1 and x.numpy().ctypes.data == array.ctypes.data
        assert te.as_tensor(array).data_ptr() == x.data_ptr() and te.as_tensor(x) is x
        assert te.as_tensor(array, dtype=te.float16).data_ptr() != x.data_ptr()
    assert np.asarray(te.ones(2)).dtype == np.float32 and np.asarray(te.ones(2), dtype=np.int32).dtype == np.int32


def test_a_read_only_array_stays_unharmed():
    array = np.ones(3)
    array.flags.writeable = False
    bridges._warned.clear()
    with pytest.warns(UserWarning, match="The given NumPy array is not writable"):
        x = te.from_numpy(array)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert te.from_numpy(array).data_ptr() == x.data_ptr()
    with pytest.raises(ValueError, match="read-only"):
        x.zero_()
    assert array.tolist() == [1, 1, 1]


@pytest.mark.parametrize("array, error, text", [
    ("[1]", TypeError, "expected np.ndarray (got list)"),
    ("np.float64(3)", TypeError, "expected np.ndarray (got numpy.float64)"),
    ("np.zeros(3, [('a', 'i1'), ('b', 'f4')])['b']", ValueError,
     "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the "
     "memory."),
])
def test_arrays_that_are_refused(array, error, text):
    with pytest.raises(error) as caught:
        te.from_numpy(eval(array, NAMES))
    assert first_line(caught) == text


def test_asarray():
    array = np.ones(2)
    assert te.asarray(array).data_ptr() == te.from_numpy(array).data_ptr() != te.asarray(array, copy=True).data_ptr()
    assert te.asarray([1, 2]).dtype is te.int64 and te.asarray(bytearray(b"ab"), dtype=te.uint8).tolist() == [97, 98]
    assert te.asarray(te.ones(2), requires_grad=True).requires_grad
    with pytest.raises(ValueError, match="can't alias arbitrary sequence into a tensor."):
        te.asarray([1, 2], copy=False)


def test_frombuffer():
    memory = bytearray(b"abcdefgh")
    x = te.frombuffer(memory, dtype=te.int32)
    assert x.tolist() == [1684234849, 1751606885]
    assert te.frombuffer(memory, dtype=te.int32, count=1, offset=4).tolist() == [1751606885]
    x[0] = 0
    assert memory[:4] == b"\0\0\0\0"
    for arguments, text in (({"count": 3}, "requested buffer length (3 * 4 bytes) after offset (0 bytes) must not be "
                                           "greater than actual "
                             "buffer length (8 bytes)"),
                            ({"offset": 9}, "offset (9 bytes) must be non-negative and no greater than buffer length "
                                            "(8 bytes) minus 1"),
                            ({"offset": 1}, "buffer length (8 bytes) after offset (1 bytes) must be a multiple of "
                                            "element size (4)"),
                            ({"count": 0}, "both buffer length (8) and count (0) must not be 0")):
        with pytest.raises(ValueError) as caught:
            te.frombuffer(memory, dtype=te.int32, **arguments)
        assert str(caught.value) == text
    with pytest.raises(ValueError, match="object does not implement Python buffer protocol."):
        te.frombuffer([1], dtype=te.uint8)


def test_dlpack_with_numpy():
    array = np.arange(6.0).reshape(2, 3)
    x = te.from_dlpack(array)
    x[0, 0] = 9
    assert array[0, 0] == 9 and np.from_dlpack(x).ctypes.data == array.ctypes.data
    assert te.from_dlpack(x.t()).stride() == (1, 3)
    with pytest.raises(BufferError, match="Can't export tensors that require gradient, use tensor.detach\\(\\)"):
        te.from_dlpack(te.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="from_dlpack received an invalid capsule"):
        te.from_dlpack(3)


def test_dlpack_with_torch(real_torch):
    theirs = real_torch.arange(6.0).reshape(2, 3)
    mine = te.from_dlpack(theirs)
    mine[0, 0] = 9
    assert theirs[0, 0] == 9
    back = real_torch.from_dlpack(mine)
    back[1, 1] = 7
    assert mine[1, 1].item() == 7 and back.data_ptr() == theirs.data_ptr()
