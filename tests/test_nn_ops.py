"""What networks are made of, beyond the samples: refusals in torch's words, running statistics, conventions."""
from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu.core.export import functions

F = type("F", (), {name.removeprefix("nn.functional."): staticmethod(f) for name, f in functions.items()
                   if name.startswith("nn.functional.")})


def first_line(error):
    return str(error.value).splitlines()[0]


def ones(*shape):
    return torch.ones(*shape)


def classes(*numbers):
    return torch.tensor(numbers)


REFUSED = [
    (lambda: F.conv2d(ones(2, 4, 8, 9), ones(4, 3, 3, 2)), RuntimeError, "Given groups=1, weight of size [4, 3, 3, 2], "
                                                                         "expected "
     "input[2, 4, 8, 9] to have 3 channels, but got 4 channels instead"),
    (lambda: F.conv2d(ones(2, 3, 2, 9), ones(4, 3, 3, 2)), RuntimeError, "Calculated padded input size per channel: (2 "
                                                                         "x 9). Kernel "
     "size: (3 x 2). Kernel size can't be greater than actual input size"),
    (lambda: F.conv2d(ones(2, 9), ones(4, 3, 3, 2)), RuntimeError, "Expected 3D (unbatched) or 4D (batched) input to "
                                                                   "conv2d, but got "
     "input of size: [2, 9]"),
    (lambda: F.conv2d(ones(2, 3, 8, 9), ones(4, 3, 3, 2), padding="same", stride=2), RuntimeError,
     "padding='same' is not supported for strided convolutions"),
    (lambda: F.conv2d(ones(2, 3, 8, 9), ones(4, 3, 3, 2), stride=(1, 2, 3)), RuntimeError, "expected stride to be a "
                                                                                           "single integer value "
     "or a list of 2 values to match the convolution dimensions, but got stride=[1, 2, 3]"),
    (lambda: F.conv2d(ones(2, 3, 8, 9).double(), ones(4, 3, 3, 2)), RuntimeError, "expected scalar type Double but "
                                                                                  "found Float"),
    (lambda: F.conv2d(ones(2, 3, 8, 9).double(), ones(4, 3, 3, 2), ones(4)), RuntimeError,
     "Input type (double) and bias type (float) should be the same"),
    (lambda: F.conv_transpose2d(ones(2, 3, 8, 9), ones(3, 4, 3, 2), stride=2, output_padding=2), RuntimeError,
     "output padding must be smaller than either stride or dilation, but got output_padding_height: 2 "
     "output_padding_width: 2 stride_height: 2 stride_width: 2 dilation_height: 1 dilation_width: 1"),
    (lambda: F.max_pool2d(ones(2, 3, 8, 9), 10), RuntimeError, "Given input size: (3x8x9). Calculated output size: "
                                                               "(3x0x0). Output size "
     "is too small"),
    (lambda: F.max_pool2d(ones(2, 3, 8, 9), 3, padding=2), RuntimeError, "pad should be at most half of effective "
                                                                         "kernel size, but got "
     "pad=2, kernel_size=3 and dilation=1"),
    (lambda: F.max_pool2d(ones(2, 3, 8, 9), (4, 3), padding=(1, 2), dilation=2), RuntimeError,
     "pad should be smaller than or equal to half of kernel size, but got padW = 2, padH = 1, kW = 3, kH = 4"),
    (lambda: F.max_pool3d(ones(2, 8, 9, 7), (6, 5, 3), padding=(3, 1, 2), dilation=2), RuntimeError,
     "pad should be smaller than or equal to half of kernel size, but got kT: 6 kW: 3 kH: 5 padT: 3 padW: 2 padH: 1"),
    (lambda: F.pad(ones(2, 3), (3, 1), mode="reflect"), RuntimeError, "Argument #4: Padding size should be less than "
                                                                      "the corresponding "
     "input dimension, but got: padding (3, 1) at dimension 1 of input [2, 3]"),
    (lambda: F.pad(ones(1, 1, 3), (-2, -2), mode="circular"), RuntimeError,
     "Negative padding value is resulting in an empty dimension"),
    (lambda: F.interpolate(ones(1, 1, 4, 4), size=2, antialias=True), ValueError,
     "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"),
    (lambda: F.interpolate(ones(1, 1, 4, 4), size=2, mode="bilinear", antialias=True), NotImplementedError,
     "interpolate(mode='bilinear', antialias=True) is not supported: the modes are nearest, nearest-exact, linear, "
     "bilinear, trilinear, without antialias"),
    (lambda: F.scaled_dot_product_attention(ones(2, 3, 3, 5), *[ones(2, 2, 6, 5)] * 2, enable_gqa=True), RuntimeError,
     "Number of heads in key and value must divide the number of heads in "),
    (lambda: F.interpolate(ones(2, 3, 8)), ValueError, "either size or scale_factor should be defined"),
    (lambda: F.layer_norm(ones(2, 4), (3,)), RuntimeError, "Given normalized_shape=[3], expected input with shape [*, "
                                                           "3], but got input "
     "of size[2, 4]"),
    (lambda: F.batch_norm(ones(1, 3), None, None, training=True), ValueError, "Expected more than 1 value per channel "
                                                                              "when training, got "
     "input size torch.Size([1, 3])"),
    (lambda: F.batch_norm(ones(4, 3), ones(2), ones(3), training=True), RuntimeError, "running_mean should contain 3 "
                                                                                      "elements not 2"),
    (lambda: F.embedding(classes(1, 5), ones(5, 3)), IndexError, "index out of range in self"),
    (lambda: F.embedding(ones(2), ones(5, 3)), RuntimeError, "Expected tensor for argument #1 'indices' to have one of "
                                                             "the following "
     "scalar types: Long, Int; but got torch.FloatTensor instead (while checking arguments for embedding)"),
    (lambda: F.one_hot(classes(1, 2), 2), RuntimeError, "Class values must be smaller than num_classes."),
    (lambda: F.mse_loss(ones(2), ones(2), reduction="foo"), ValueError, "foo is not a valid value for reduction"),
    (lambda: F.mse_loss(classes(1), classes(2)), NotImplementedError, "\"mse_cpu\" not implemented for 'Long'"),
    (lambda: F.nll_loss(ones(3, 4), classes(1, 2)), ValueError, "Expected input batch_size (3) to match target "
                                                                "batch_size (2)."),
    (lambda: F.nll_loss(ones(3, 4), classes(1, 4, 0)), IndexError, "Target 4 is out of bounds."),
    (lambda: F.cross_entropy(ones(3, 4), ones(3)), RuntimeError, "expected target dtype to be Long or Byte, but got "
                                                                 "Float"),
    (lambda: F.cross_entropy(ones(3, 4), classes(0, 1, 2), torch.ones(3)), RuntimeError, "weight tensor should be "
                                                                                         "defined either for all "
     "4 classes or no classes but got weight tensor of shape: [3]"),
    (lambda: F.cross_entropy(ones(3, 4), classes(0, 1, 2), label_smoothing=1.1), RuntimeError, "label_smoothing must "
                                                                                               "be between 0.0 and "
     "1.0. Got: 1.1"),
    (lambda: F.binary_cross_entropy(ones(2) + 1, ones(2)), RuntimeError, "all elements of input should be between 0 "
                                                                         "and 1"),
    (lambda: F.binary_cross_entropy_with_logits(ones(3, 4), ones(4)), ValueError, "Target size (torch.Size([4])) must "
                                                                                  "be the same as "
     "input size (torch.Size([3, 4]))"),
    (lambda: F.scaled_dot_product_attention(*[ones(2, 3)] * 3, attn_mask=ones(2, 2), is_causal=True), RuntimeError,
     "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"),
    (lambda: F.scaled_dot_product_attention(ones(2, 3), ones(2, 3).double(), ones(2, 3)), RuntimeError,
     "Expected query, key, and value to have the same dtype, but got query.dtype: float key.dtype: double and "
     "value.dtype: float instead."),
]


@pytest.mark.parametrize("call, kind, sentence", REFUSED, ids=[s[:60] for _, _, s in REFUSED])
def test_refusals(call, kind, sentence):
    with pytest.raises(kind) as error:
        call()
    assert first_line(error) == sentence


def test_mse_loss_warns_of_shapes_that_broadcast():
    with pytest.warns(UserWarning, match=r"Using a target size \(torch.Size\(\[4\]\)\) that is different to the input "
                                         "size"):
        F.mse_loss(ones(3, 4), ones(4))


def test_old_words_for_the_reduction():
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        assert F.l1_loss(ones(3) * 3, ones(3), size_average=False).item() == 6.0


def test_running_statistics_move_by_momentum():
    mean, var = torch.zeros(2), torch.ones(2)
    x = torch.tensor([[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]])
    F.batch_norm(x, mean, var, training=True, momentum=0.5)
    assert mean.tolist() == [1.0, 1.5] and var.tolist() == [2.5, 2.5]      # of the variance the unbiased estimate
    y = F.batch_norm(x, mean, var)
    np.testing.assert_allclose(y.numpy(), (x.numpy() - [1, 1.5]) / np.sqrt(2.5 + 1e-5), 1e-6)


def test_the_row_of_padding_gets_no_gradient():
    w = ones(3, 2).requires_grad_()
    F.embedding(classes(0, 1, 1, 2), w, padding_idx=1).sum().backward()
    assert w.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


def test_gradients_by_frequency():
    w = ones(3, 2).requires_grad_()
    F.embedding(classes(0, 1, 1, 1), w, scale_grad_by_freq=True).sum().backward()
    assert w.grad.tolist() == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]


def test_max_norm_shortens_rows_in_place():
    w = torch.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]])
    F.embedding(classes(0, 1), w, max_norm=1.0)
    np.testing.assert_allclose(w.numpy(), [[0.6, 0.8], [0.3, 0.4], [6.0, 8.0]], 1e-6)
    assert w._version == 1


def test_ignored_targets_have_no_gradient_even_if_all_are():
    x = ones(2, 3).requires_grad_()
    loss = F.cross_entropy(x, classes(-100, -100))
    loss.backward()
    assert np.isnan(loss.item()) and x.grad.tolist() == [[0.0] * 3] * 2


def test_a_nan_is_the_largest_and_the_last_one_counts():
    x = torch.tensor([[[1.0, float("nan"), 9.0, float("nan")]]])
    values, indices = F.max_pool1d(x, 4, return_indices=True)
    assert np.isnan(values.item()) and indices.item() == 3


def test_where_all_is_as_low_as_the_padding_the_first_element_inside_counts():
    x = torch.full((1, 4, 4), float("-inf"), requires_grad=True)
    values, indices = F.max_pool2d(x, 2, padding=1, return_indices=True)
    assert indices.tolist() == [[[0, 1, 3], [4, 5, 7], [12, 13, 15]]]
    values.backward(torch.ones(1, 3, 3))
    assert x.grad.sum().item() == 9 and x.grad[0, 0, 0] == 1
    lowest = torch.full((1, 5), -2**31, dtype=torch.int32)
    assert F.max_pool1d(lowest, 3, 2, 1, return_indices=True)[1].tolist() == [[0, 1, 3]]


def test_a_negative_padding_cuts_off_before_the_rest_is_repeated():
    x = torch.arange(5.0).reshape(1, 1, 5)
    assert F.pad(x, (-1, 2), mode="circular").tolist() == [[[1, 2, 3, 4, 1, 2]]]
    assert F.pad(x, (2, -1), mode="circular").tolist() == [[[2, 3, 0, 1, 2, 3]]]
    assert F.pad(x, (-2, -3), mode="circular").shape == (1, 1, 0)


def test_large_means_cost_layer_norm_no_digits():
    x = torch.tensor([[1e4, 1e4 + 1, 1e4 + 2, 1e4 + 3]])
    np.testing.assert_allclose(F.layer_norm(x, (4,)).numpy(), [[-1.3416, -0.4472, 0.4472, 1.3416]], 2e-4)


def test_a_query_that_may_look_at_nothing_gets_zeros():
    q = ones(1, 2, 4).requires_grad_()
    mask = torch.tensor([[True, True], [False, False]])
    out = F.scaled_dot_product_attention(q, ones(1, 2, 4), ones(1, 2, 4), mask)
    out.sum().backward()
    assert out.tolist() == [[[1.0] * 4, [0.0] * 4]] and not np.isnan(q.grad.numpy()).any()


@pytest.mark.parametrize("make, node", [
    (lambda x: F.conv2d(x, ones(4, 3, 2, 2)), "ConvolutionBackward0"),
    (lambda x: F.max_pool2d(x, 2), "MaxPool2DWithIndicesBackward0"),
    (lambda x: F.avg_pool2d(x, 2), "AvgPool2DBackward0"),
    (lambda x: F.adaptive_avg_pool2d(x, 2), "AdaptiveAvgPool2DBackward0"),
    (lambda x: F.layer_norm(x, (4,)), "NativeLayerNormBackward0"),
    (lambda x: F.batch_norm(x, None, None, training=True), "NativeBatchNormBackward0"),
    (lambda x: F.mse_loss(x, x), "MseLossBackward0"),
    (lambda x: F.nll_loss(x, torch.zeros(2, 4, 4, dtype=torch.int64)), "NllLoss2DBackward0"),
    (lambda x: F.binary_cross_entropy_with_logits(x, ones(2, 3, 4, 4)), "BinaryCrossEntropyWithLogitsBackward0"),
])
def test_nodes(make, node):
    assert make(ones(2, 3, 4, 4).requires_grad_()).grad_fn.name() == node


def test_what_layer_norm_saved_may_not_change():
    x = ones(2, 4).requires_grad_()
    y = x * 2
    out = F.layer_norm(y, (4,))
    y += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()
