"""Indexing, gather and scatter: values as numpy's, refusals in torch's recorded words, random keys against torch."""
from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import tinygrad_edu as torch

X = np.arange(24.0).reshape(2, 3, 4)


def names(lib=torch):
    """What the expressions below are about: x and a are leaves, n is computed from x."""
    x = lib.tensor(X.tolist(), requires_grad=True)
    return {"torch": lib, "np": np, "x": x, "n": x.clone(), "y": lib.arange(6.0).reshape(2, 3), "i": lib.tensor([0, 1]),
            "a": lib.arange(3.0).requires_grad_(), "b": lib.arange(4.0)}


# ---- reading and writing, as numpy does
KEYS = ["0", "-1", "...", "()", "None", "1:", ":, ::2", "0, ..., None, 1", "[0, 1]", "[1, 1, 0]", "[0, 1], [1, "
                                                                                                  "2]", "[0, 1], :, "
                                                                                                        "[1, 2]",
        ":, [0, 2], [1, 0]", "None, [0, 1], 0", ":, [[0, 1], [2, 0]]", "[[0], [1]], [[0, 2]]", "[True, False]",
        ":, [True, False, True]", "True", "True, 0", "[], 0", ":, []", "..., [3, 0], None", "[0], None, [1]",
        "range(2)",
        "np.array([1, 0])", "np.int64(1)", "np.array([[True, False, True], [False, True, True]])", ":, "
                                                                                                   "np.array(2)",
                                                                                                   "..., -1:",
        "1, ..., 1:", "[0, 1], 1:, [0, 1]"]


@pytest.mark.parametrize("key", KEYS)
def test_reading(key):
    mine = eval(f"x[{key}]", names())
    right = eval(f"x[{key}]", {"x": X, "np": np})
    assert tuple(mine.shape) == right.shape
    np.testing.assert_array_equal(mine.detach().numpy(), right)


@pytest.mark.parametrize("key", KEYS)
def test_writing(key):
    """A number, and a tensor of the full shape; gradients say where each element came from."""
    shape = eval(f"x[{key}]", {"x": X, "np": np}).shape
    for value in (500.0, np.float64(700), np.arange(100.0, 100 + np.prod(shape)).reshape(shape)):
        env = names()
        right = X.copy()
        exec(f"x[{key}] = value", {"x": right, "np": np, "value": value})
        source = torch.from_numpy(np.asarray(value, np.float32)).clone().requires_grad_()
        exec(f"n[{key}] = value", {**env, "value": source})
        np.testing.assert_array_equal(env["n"].detach().numpy(), right)
        weights = torch.arange(1.0, 25.0).reshape(2, 3, 4)
        (env["n"] * weights).sum().backward()
        kept = right == X
        np.testing.assert_array_equal(env["x"].grad.numpy(), np.where(kept, weights.numpy(), 0))
        if source.ndim and key != "[1, 1, 0]":
            np.testing.assert_array_equal(source.grad.numpy(), eval(f"x[{key}]", {"x": weights.numpy(), "np": np}))


def test_an_int_is_taken_before_indices_are():
    """numpy counts it among the indices, which moves their dimension to the front."""
    x = torch.tensor(X.tolist())
    assert x[0, :, [1, 1]].shape == (3, 2) and X[0, :, [1, 1]].shape == (2, 3)
    x[False] = 1                                   # nothing is written to no element
    assert x.tolist() == X.tolist() and x[False].shape == (0, 2, 3, 4)


def test_writing_does_not_reach_a_copy():
    x = torch.zeros(3)
    y = x[[0, 1]]
    y[0] = 1
    assert x.tolist() == [0, 0, 0] and y.tolist() == [1, 0]


def test_an_index_that_occurs_twice_adds_twice():
    x = torch.zeros(3, requires_grad=True)
    x[[0, 0, 2]].sum().backward()
    assert x.grad.tolist() == [2, 0, 1]
    y = torch.zeros(3).index_put_((torch.tensor([1, 1]),), torch.ones(2), accumulate=True)
    assert y.tolist() == [0, 2, 0]
    assert torch.zeros(3).index_add_(0, torch.tensor([1, 1]), torch.ones(2)).tolist() == [0, 2, 0]
    assert torch.zeros(3).scatter_add_(0, torch.tensor([1, 1]), torch.ones(2)).tolist() == [0, 2, 0]
    assert torch.zeros(3).put_(torch.tensor([1, 1]), torch.ones(2), accumulate=True).tolist() == [0, 2, 0]


def test_index_is_saved_and_watched():
    x, i = torch.ones(3, requires_grad=True), torch.tensor([0, 1])
    for expression in ("x[i]", "x.gather(0, i)", "x.index_select(0, i)", "x.take(i)"):
        y = eval(expression, {"x": x, "i": i})
        i.add_(0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def test_numbers_take_the_tensors_type():
    i = torch.tensor([1, 2])
    i[0] = 1.75
    i[1] = True
    assert i.tolist() == [1, 1] and i.dtype is torch.int64
    with pytest.raises(RuntimeError, match="^value cannot be converted to type uint8_t without overflow"):
        torch.zeros(2, dtype=torch.uint8).fill_(300)
    with pytest.raises(RuntimeError, match="^value cannot be converted to type int8_t without overflow"):
        torch.zeros(2, dtype=torch.int8)[0] = 200


def test_an_old_kind_of_key():
    """A list that holds sequences is a tuple of indices, with a warning; masks of uint8 are masks."""
    x = torch.tensor(X.tolist())
    with pytest.warns(UserWarning, match="non-tuple sequence for multidimensional indexing"):
        assert torch.equal(x[[[0, 1], [1, 2]]], x[[0, 1], [1, 2]])
    with pytest.warns(UserWarning, match="indexing with dtype torch.uint8 is now deprecated"):
        assert x[torch.tensor([0, 1], dtype=torch.uint8)].shape == (1, 3, 4)


def test_derivative_of_scatter_with_reduce_is_refused():
    n = torch.ones(3, requires_grad=True) * 1
    y = n.scatter(0, torch.tensor([0]), 2.0, reduce="add")
    assert y.tolist() == [3, 1, 1]
    with pytest.raises(RuntimeError, match="^derivative for aten::scatter is not implemented"):
        y.sum().backward()


# ---- refusals: torch 2.13's first lines
INDEX_ERRORS = [
    ('x[i.short()]', IndexError, 'tensors used as indices must be long, int, byte or bool tensors'),
    ('x[i.float()]', IndexError, 'tensors used as indices must be long, int, byte or bool tensors'),
    ('x[torch.tensor(1.)]', IndexError, 'tensors used as indices must be long, int, byte or bool tensors'),
    ('x[1.5]', IndexError,
     'only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got '
     'float)'),
    ("x['a']", TypeError, "new(): invalid data type 'str'"),
    ('x[::-1]', ValueError, 'step must be greater than zero'),
    ('x[::0]', ValueError, 'slice step cannot be zero'),
    ('x[5]', IndexError, 'index 5 is out of bounds for dimension 0 with size 2'),
    ('x[-3]', IndexError, 'index -3 is out of bounds for dimension 0 with size 2'),
    ('x[:,5]', IndexError, 'index 5 is out of bounds for dimension 1 with size 3'),
    ('x[0,0,0,0]', IndexError, 'too many indices for tensor of dimension 3'),
    ('x[0,0,0,0,0]', IndexError, 'too many indices for tensor of dimension 3'),
    ('x[i+5]', IndexError, 'index 5 is out of bounds for dimension 0 with size 2'),
    ('x[:,i-9]', IndexError, 'index -9 is out of bounds for dimension 0 with size 3'),
    ('x[torch.ones(3,dtype=torch.bool)]', IndexError,
     'The shape of the mask [3] at index 0 does not match the shape of the indexed tensor [2, 3, 4] at '
     'index 0'),
    ('x[:,torch.ones(2,3,dtype=torch.bool)]', IndexError,
     'The shape of the mask [2, 3] at index 0 does not match the shape of the indexed tensor [2, 3, 4] at '
     'index 1'),
    ('x[torch.ones(2,3,4,1,dtype=torch.bool)]', IndexError, 'too many indices for tensor of dimension 3'),
    ('x[i,torch.tensor([0,1,2])]', IndexError,
     'shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]'),
    ('x[torch.tensor([])]', IndexError, 'tensors used as indices must be long, int, byte or bool tensors'),
    ('torch.tensor(3.)[0]', IndexError,
     'invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to '
     'convert a 0-dim tensor to a number'),
    ('torch.tensor(3.)[[0]]', IndexError, 'too many indices for tensor of dimension 0'),
    ('torch.tensor(3.)[:]', IndexError, 'slice() cannot be applied to a 0-dim tensor.'),
    ('x[1.0:2]', TypeError, 'slice indices must be integers or None or have an __index__ method'),
    ('x[{}]', IndexError,
     'only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got '
     'dict)'),
    ('x[torch.zeros(0,3,dtype=torch.bool)]', IndexError,
     'The shape of the mask [0, 3] at index 0 does not match the shape of the indexed tensor [2, 3, 4] at '
     'index 0'),
    ('x[0]=1', RuntimeError, 'a view of a leaf Variable that requires grad is being used in an in-place operation.'),
    ('n[0]=[1,2]', TypeError, "can't assign a list to a torch.FloatTensor"),
    ("n[0]='s'", TypeError, "can't assign a str to a torch.FloatTensor"),
    ('n[i]=[1,2]', TypeError, "can't assign a list to a torch.FloatTensor"),
    ('n[0]=torch.ones(5)', RuntimeError,
     'The expanded size of the tensor (4) must match the existing size (5) at non-singleton dimension 1.  '
     'Target sizes: [3, 4].  Tensor sizes: [5]'),
    ('n[i]=torch.ones(5)', RuntimeError,
     'shape mismatch: value tensor of shape [5] cannot be broadcast to indexing result of shape [2, 3, 4]'),
    ('n[i]=torch.ones(5,1,1,1)', RuntimeError,
     'shape mismatch: value tensor of shape [5, 1, 1, 1] cannot be broadcast to indexing result of shape '
     '[2, 3, 4]'),
    ('n[0]=torch.ones(2,3,4)', RuntimeError,
     'expand(torch.FloatTensor{[2, 3, 4]}, size=[3, 4]): the number of sizes provided (2) must be greater '
     'or equal to the number of dimensions in the tensor (3)'),
    ('n[n>3]=torch.ones(5)', RuntimeError,
     'shape mismatch: value tensor of shape [5] cannot be broadcast to indexing result of shape [20]'),
    ('n[n>3]=i', RuntimeError,
     'shape mismatch: value tensor of shape [2] cannot be broadcast to indexing result of shape [20]'),
    ('n[i]=torch.ones(4).double()', RuntimeError,
     'Index put requires the source and destination dtypes match, got Float for the destination and Double '
     'for the source.'),
    ('n[torch.ones(3).bool()]=0', IndexError,
     'The shape of the mask [3] at index 0 does not match the shape of the indexed tensor [2, 3, 4] at '
     'index 0'),
    ('n[9]=0', IndexError, 'index 9 is out of bounds for dimension 0 with size 2'),
    ('n[i+9]=0', IndexError, 'index 9 is out of bounds for dimension 0 with size 2'),
    ('n[1.5]=0', IndexError,
     'only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got '
     'float)'),
    ('i[i]=1.5', RuntimeError,
     'unsupported operation: some elements of the input tensor and the written-to tensor refer to a single '
     'memory location. Please clone() the tensor before performing the operation.'),
    ('i[i]=torch.tensor(1.5)', RuntimeError,
     'unsupported operation: some elements of the input tensor and the written-to tensor refer to a single '
     'memory location. Please clone() the tensor before performing the operation.'),
    ('n[0,0,0,0]=1', IndexError, 'too many indices for tensor of dimension 3'),
    ('torch.tensor(3.)[0]=1', IndexError,
     'invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to '
     'convert a 0-dim tensor to a number'),
    ('n[::-1]=1', ValueError, 'step must be greater than zero'),
    ('n[0]=np.float32(3)', TypeError, "can't assign a numpy.float32 to a torch.FloatTensor"),
    ('n[0]=np.ones(4)', TypeError, "can't assign a numpy.ndarray to a torch.FloatTensor"),
    ('n[0]=None', TypeError, "can't assign a NoneType to a torch.FloatTensor"),
]

GATHER_ERRORS = [
    ('x.gather(0,i)', RuntimeError, 'Index tensor must have the same number of dimensions as input tensor'),
    ('x.gather(0,torch.zeros(1,2,3,dtype=torch.int16))', RuntimeError,
     'gather(): Expected dtype int32/int64 for index'),
    ('x.gather(0,torch.zeros(1,2,3))', RuntimeError, 'gather(): Expected dtype int32/int64 for index'),
    ('x.gather(0,torch.zeros(1,5,3,dtype=torch.long))', RuntimeError,
     'Size does not match at dimension 1 expected index [1, 5, 3] to be no larger than self [2, 3, 4] apart '
     'from dimension 0'),
    ('x.gather(5,torch.zeros(1,2,3,dtype=torch.long))', IndexError,
     'Dimension out of range (expected to be in range of [-3, 2], but got 5)'),
    ('x.gather(0,torch.zeros(1,2,3,dtype=torch.long)+5)', RuntimeError,
     'index 5 is out of bounds for dimension 0 with size 2'),
    ('x.gather(0,torch.zeros(1,2,3,dtype=torch.long)-1)', RuntimeError,
     'index -1 is out of bounds for dimension 0 with size 2'),
    ('x.gather(0,[0])', TypeError, "gather(): argument 'index' (position 2) must be Tensor, not list"),
    ('n.scatter(0,torch.zeros(1,2,3,dtype=torch.long),x.double())', RuntimeError,
     'scatter(): Expected self.dtype to be equal to src.dtype'),
    ("n.detach().scatter(0,torch.zeros(1,2,3,dtype=torch.long),1,reduce='foo')", RuntimeError,
     'reduce argument must be either add or multiply.'),
    ('n.scatter(0,torch.zeros(1,5,3,dtype=torch.long),1)', RuntimeError,
     'Expected index [1, 5, 3] to be no larger than self [2, 3, 4] apart from dimension 0'),
    ('n.scatter(0,torch.zeros(1,2,3,dtype=torch.long),x[:,:1])', RuntimeError,
     'Expected index [1, 2, 3] to be no larger than self [2, 3, 4] apart from dimension 0 and to be no '
     'larger size than src [2, 1, 4]'),
    ('n.scatter(0,torch.zeros(1,2,3,dtype=torch.long)+2,1)', RuntimeError,
     'index 2 is out of bounds for dimension 0 with size 2'),
    ('n.scatter(0,i,1)', RuntimeError, 'Index tensor must have the same number of dimensions as self tensor'),
    ('n.scatter(0,i,x)', RuntimeError, 'Index tensor must have the same number of dimensions as self tensor'),
    ('n.scatter(0,torch.zeros(1,2,3),x)', RuntimeError, 'scatter(): Expected dtype int32/int64 for index'),
    ('n.scatter_add(0,torch.zeros(1,2,3,dtype=torch.long),x.double())', RuntimeError,
     'scatter(): Expected self.dtype to be equal to src.dtype'),
    ('n.scatter_add(0,torch.zeros(1,2,3,dtype=torch.long)+7,x)', RuntimeError,
     'index 7 is out of bounds for dimension 0 with size 2'),
    ("n.scatter_reduce(0,torch.zeros(1,2,3,dtype=torch.long),x,'foo')", RuntimeError,
     'reduce argument must be either sum, prod, mean, amax or amin, got foo'),
    ('x.index_select(0,i.short())', RuntimeError, 'index_select(): Expected dtype int32 or int64 for index'),
    ('x.index_select(0,torch.tensor([[1]]))', IndexError, 'index_select(): Index is supposed to be a vector'),
    ('x.index_select(0,i+5)', IndexError, 'index out of range in self'),
    ('x.index_select(0,i-1)', IndexError, 'index out of range in self'),
    ('x.index_select(5,i)', IndexError, 'Dimension out of range (expected to be in range of [-3, 2], but got 5)'),
    ('n.index_add(0,i,x[:1])', RuntimeError,
     'index_add_(): Number of indices (2) should be equal to source.size(dim): (1), for dim: 0'),
    ('n.index_add(0,i,x[:,:2])', RuntimeError,
     'source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = '
     '[2, 3, 4] source.shape = [2, 2, 4]'),
    ('n.index_add(0,i,x.double())', RuntimeError,
     'index_add_(): self (Float) and source (Double) must have the same scalar type'),
    ('n.index_add(0,i+2,x)', RuntimeError, 'index 2 is out of bounds for dimension 0 with size 2'),
    ('n.index_add(0,i-1,x)', RuntimeError, 'index -1 is out of bounds for dimension 0 with size 2'),
    ('n.index_add(0,torch.tensor(0),x[0])', RuntimeError,
     'index_add_(): Number of indices (1) should be equal to source.size(dim): (3), for dim: 0'),
    ('n.index_add(0,torch.tensor([[0]]),x)', IndexError,
     'index_add_(): Index is supposed to be a vector, but got dim: 2 with type: Long and size: [1, 1]'),
    ('n.index_add(0,i.float(),x)', RuntimeError, 'index_add_(): Expected dtype int32/int64 for index but got: Float'),
    ('n.index_copy(0,i,x[:1])', IndexError,
     'index_copy_(): Number of indices (2) should be equal to source.size(dim) (1)'),
    ('n.index_copy(0,i,x.double())', RuntimeError,
     'index_copy_(): self and source expected to have the same dtype, but got (self) Float and (source) '
     'Double'),
    ('n.index_copy(0,i.int(),x)', RuntimeError, 'index_copy_(): Expected a long tensor for index, but got Int'),
    ('n.index_copy(0,i+2,x)', IndexError, 'index_copy_(): index 2 is out of bounds for dimension 0 with size 2'),
    ('n.index_copy(0,i,x[:,:2])', RuntimeError,
     'index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: 3 4 at '
     'dimension 0 and source slice shape: 2 4 at dimension 0.'),
    ('n.index_copy(0,i,x[0])', IndexError,
     'index_copy_(): When source and destination are not scalars, their dimensionality must match. Source '
     'dimensionality (2), destination dimensionality (3)'),
    ('n.index_fill(0,i,torch.ones(2))', RuntimeError,
     'index_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension(s).'),
    ('n.index_fill(0,i.int(),1)', IndexError, 'index_fill_(): Expected dtype int64 for index.'),
    ('n.index_fill(0,i+2,1)', IndexError, 'index 2 is out of bounds for dimension 0 with size 2'),
    ('x.take(i.int())', RuntimeError, 'take(): Expected a long tensor for index, but got Int'),
    ('x.take(i+30)', IndexError, 'out of range: tried to access index 30 on a tensor of 24 elements.'),
    ('x.take(i-25)', IndexError, 'out of range: tried to access index -25 on a tensor of 24 elements.'),
    ('torch.zeros(0).take(i)', IndexError, 'take(): tried to take from an empty tensor'),
    ('n.put(i,a)', IndexError,
     'put_(): Expected source and index to have the same number of elements, but got source.numel() = 3, '
     'index.numel() = 2'),
    ('n.put(i,a[:2].double())', RuntimeError,
     'put_(): self and source expected to have the same dtype, but got self.dtype = Float and source.dtype '
     '= Double'),
    ('n.put(i+40,a[:2])', IndexError, 'out of range: tried to access index 40 on a tensor of 24 elements.'),
    ('torch.take_along_dim(x,i,0)', RuntimeError,
     'torch.take_along_dim(): input and indices should have the same number of dimensions, but got 3 '
     'dimensions for input, and 1 dimensions for indices'),
    ('torch.take_along_dim(x,torch.zeros(2,1,1),1)', RuntimeError,
     'torch.take_along_dim(): dtype of indices should be Long but got Float'),
    ('torch.take_along_dim(x,torch.zeros(2,5,3).long(),1)', RuntimeError,
     'The size of tensor a (4) must match the size of tensor b (3) at non-singleton dimension 2'),
    ('n.index_put((None,i),torch.tensor(1.))', TypeError,
     'expected Tensor as element 0 in argument 0, but got NoneType'),
    ('n.index_put((i,i,i,i),x)', IndexError, 'too many indices for tensor of dimension 3 (got 4)'),
    ('n.index_put(i,torch.tensor(1.))', TypeError,
     "index_put(): argument 'indices' (position 1) must be tuple of Tensors, not Tensor"),
    ('n.index_put((0,),torch.tensor(1.))', TypeError, 'expected Tensor as element 0 in argument 0, but got int'),
    ('n.index_put((i.float(),),torch.tensor(1.))', IndexError,
     'tensors used as indices must be long, int, byte or bool tensors'),
    ('n.index_put((i,),2.)', TypeError, "index_put(): argument 'values' (position 2) must be Tensor, not float"),
    ('x.masked_fill(x>3,torch.ones(1))', RuntimeError,
     'masked_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension(s).'),
    ('x.masked_fill(x,1)', RuntimeError, 'masked_fill_ only supports boolean masks, but got mask with dtype float'),
    ('x.masked_fill(i>0,1)', RuntimeError,
     'The size of tensor a (2) must match the size of tensor b (4) at non-singleton dimension 2'),
    ('n.masked_fill_(torch.ones(2,2,3,4)>0,1)', RuntimeError,
     "output with shape [2, 3, 4] doesn't match the broadcast shape [2, 2, 3, 4]"),
    ('x.masked_fill((x>3).to(torch.uint8),1)', RuntimeError,
     'masked_fill_ only supports boolean masks, but got mask with dtype unsigned char'),
    ('x.masked_select(x)', RuntimeError, 'masked_select: expected BoolTensor for mask'),
    ('x.masked_select(torch.ones(5)>0)', RuntimeError,
     'The size of tensor a (5) must match the size of tensor b (4) at non-singleton dimension 2'),
    ('y.masked_select(x>3)', RuntimeError,
     'The size of tensor a (4) must match the size of tensor b (3) at non-singleton dimension 2'),
    ('n.masked_scatter(x>3,a)', RuntimeError, 'Number of elements of source < number of ones in mask'),
    ('n.masked_scatter(x,a)', RuntimeError,
     'masked_scatter_ only supports boolean masks, but got mask with dtype Float'),
    ('n.masked_scatter(x>3,x.double())', RuntimeError,
     'masked_scatter: expected self and source to have same dtypes but gotFloat and Double'),
]


@pytest.mark.parametrize(("code", "kind", "sentence"), INDEX_ERRORS + GATHER_ERRORS,
                         ids=lambda v: v if isinstance(v, str) and "[" in v else "")
def test_refusals(code, kind, sentence):
    env = names()
    before = {k: v.tolist() for k, v in env.items() if isinstance(v, torch.Tensor)}
    with warnings.catch_warnings(), pytest.raises(kind) as caught:
        warnings.simplefilter("ignore")
        exec(code, env)
    assert str(caught.value).split("\n")[0] == sentence
    assert {k: env[k].tolist() for k in before} == before                  # and nothing was changed


# ---- random keys, live
@st.composite
def keys(draw):
    """Text of a random key for a tensor of shape (2, 3, 4), right or wrong."""
    part = st.one_of(
        st.integers(-4, 4).map(str), st.sampled_from(["None", "...", "True", "False", "[]", "torch.tensor(1)",
                                                      "torch.tensor(True)"]),
        st.tuples(st.integers(-4, 4), st.integers(-4, 5), st.integers(1, 3)).map(lambda t: "{}:{}:{}".format(*t)),
        st.just(":"),
        st.lists(st.integers(-2, 2), min_size=1, max_size=3).map(str),
        st.lists(st.booleans(), min_size=2, max_size=4).map(str),
        st.lists(st.lists(st.integers(-2, 1), min_size=2, max_size=2), min_size=1,
                 max_size=2).map(lambda v: f"torch.tensor({v})"),
        st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2,
                 max_size=2).map(lambda v: f"torch.tensor({v})"))
    return ", ".join(draw(st.lists(part, min_size=1, max_size=4).filter(lambda parts: parts.count("...") < 2))) + ","


def outcome(lib, statement):
    env = names(lib)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(statement, env)
        except Exception as error:
            return type(error).__name__, str(error).split("\n")[0]
        r = env["r"]
        (r * (lib.arange(float(r.numel())).reshape(r.shape) + 1)).sum().backward()
    grads = [env["x"].grad.tolist(), None if env["a"].grad is None else env["a"].grad.tolist()]
    return tuple(r.shape), r.tolist(), r.grad_fn.name(), grads


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is an optional oracle")
@given(keys(), st.sampled_from(["r = x[{}]", "n[{}] = 2.5; r = n", "n[{}] = a[0]; r = n", "n[{}] = a[:1]; r = "
                                                                                          "n", "n[{}] = b; r = n"]))
@settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_random_keys_do_what_torch_does(key, statement):
    import torch as right
    statement = statement.format(key)
    assert outcome(torch, statement) == outcome(right, statement), statement
