"""Where tensors meet numpy and Python's own words: operators with arrays, numpy's functions, `in`."""
import pickle

import numpy as np
import pytest

import tinygrad_edu as torch


def test_operators_with_arrays_give_tensors_in_numpys_precision():
    x, array = torch.ones(2), np.array([1.0, 3.0])
    for made, expected in ((x + array, [2, 4]), (x - array, [0, -2]), (x * array, [1, 3]), (x / array, [1, 1 / 3])):
        assert isinstance(made, torch.Tensor) and made.dtype is torch.float64 and made.tolist() == expected
    assert (x == array).tolist() == (array == x).tolist() == [True, False]
    assert (x != array).tolist() == [False, True]
    for made, expected in ((array / x, [1, 3]), (np.array([2, 4]) / x, [2, 4]), (np.float64(2) / x, [2, 2])):
        assert isinstance(made, torch.Tensor) and made.tolist() == expected
    assert (x + np.array(2.0)).dtype is torch.float64 and (x * np.float64(2)).dtype is torch.float32


def test_numpys_functions_give_tensors():
    x = torch.tensor([0.0, 1.0])
    assert repr(np.sin(x)) == "tensor([0.0000, 0.8415])"
    assert repr(np.add(np.ones(2), x)) == "tensor([1., 2.], dtype=torch.float64)"
    assert repr(np.isnan(x)) == "tensor([0, 0], dtype=torch.uint8)"
    with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
        np.sin(x.requires_grad_())


def test_in():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert 3 in x and torch.tensor(4.0) in x and 5.0 not in x
    with pytest.raises(RuntimeError, match="^Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                                           "<class 'str'>.$"):
        "a" in x                                   # noqa: B015


def test_autograd_takes_any_iterable():
    layer = torch.nn.Linear(3, 2)
    grads = torch.autograd.grad(layer(torch.ones(3)).sum(), layer.parameters())
    assert [g.tolist() for g in grads] == [[[1.0] * 3] * 2, [1.0, 1.0]]
    layer(torch.ones(3)).sum().backward(inputs=layer.parameters())
    assert layer.bias.grad.tolist() == [1.0, 1.0]
    grads = torch.autograd.grad((y for y in [layer(torch.ones(3)).sum()]), [layer.bias])
    assert grads[0].tolist() == [1.0, 1.0]


def test_a_batch_of_gradients():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * x
    jacobian, = torch.autograd.grad(y, x, torch.eye(3), retain_graph=True, is_grads_batched=True)
    assert jacobian.tolist() == [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
    jacobian, = torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True)
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True)
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        torch.autograd.grad(x * x, x, torch.eye(4), is_grads_batched=True)


def test_set_grad_enabled_by_keyword():
    with torch.set_grad_enabled(mode=False):
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_functions_are_pickled_by_the_name_that_users_write():
    functional = torch.nn.functional
    for function in (torch.add, torch.matmul, torch.cat, torch.relu, torch.zeros, torch.linalg.norm,
                     functional.relu, functional.relu_, functional.gelu, functional.cross_entropy, torch.exp_):
        assert pickle.loads(pickle.dumps(function)) is function
    assert torch.add.__module__ == "tinygrad_edu" and functional.relu.__module__ == "tinygrad_edu.nn.functional"
    model = torch.nn.Linear(2, 2)
    model.activation = functional.relu
    assert pickle.loads(pickle.dumps(model)).activation is functional.relu


def test_cuda_is_honest(no_cuda):
    """Questions get torch's answers for a machine without one; what needs a device raises torch's sentence."""
    assert torch.cuda.is_available() is False and torch.cuda.is_initialized() is False
    assert torch.cuda.device_count() == 0
    torch.cuda.manual_seed(0), torch.cuda.manual_seed_all(0), torch.cuda.empty_cache()
    for needs_one in (torch.cuda.current_device, torch.cuda.get_device_name, torch.cuda.synchronize):
        with pytest.raises(AssertionError, match="^Torch not compiled with CUDA enabled"):
            needs_one()
