"""Written by `python -m tinygrad_edu.stubs`: what editors complete. Change the code, then run that."""

import builtins
from typing import Any

from tinygrad_edu.core.layout import Size as Size
from tinygrad_edu.core.tensor import Tensor as Tensor
from tinygrad_edu.ops.attention import scaled_dot_product_attention as scaled_dot_product_attention
from tinygrad_edu.ops.class_loss import cosine_embedding_loss as cosine_embedding_loss
from tinygrad_edu.ops.class_loss import gaussian_nll_loss as gaussian_nll_loss
from tinygrad_edu.ops.class_loss import hinge_embedding_loss as hinge_embedding_loss
from tinygrad_edu.ops.class_loss import margin_ranking_loss as margin_ranking_loss
from tinygrad_edu.ops.class_loss import nll_loss as nll_loss
from tinygrad_edu.ops.class_loss import poisson_nll_loss as poisson_nll_loss
from tinygrad_edu.ops.class_loss import triplet_margin_loss as triplet_margin_loss
from tinygrad_edu.ops.conv import fold as fold
from tinygrad_edu.ops.conv import unfold as unfold
from tinygrad_edu.ops.einsum import bilinear as bilinear
from tinygrad_edu.ops.embedding import embedding as embedding
from tinygrad_edu.ops.embedding import one_hot as one_hot
from tinygrad_edu.ops.linear import linear as linear
from tinygrad_edu.ops.loss import binary_cross_entropy as binary_cross_entropy
from tinygrad_edu.ops.loss import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from tinygrad_edu.ops.loss import huber_loss as huber_loss
from tinygrad_edu.ops.loss import kl_div as kl_div
from tinygrad_edu.ops.loss import l1_loss as l1_loss
from tinygrad_edu.ops.loss import mse_loss as mse_loss
from tinygrad_edu.ops.loss import smooth_l1_loss as smooth_l1_loss
from tinygrad_edu.ops.normalize import batch_norm as batch_norm
from tinygrad_edu.ops.normalize import group_norm as group_norm
from tinygrad_edu.ops.pad import interpolate as interpolate
from tinygrad_edu.ops.pad import pad as pad
from tinygrad_edu.ops.pool import adaptive_avg_pool2d as adaptive_avg_pool2d
from tinygrad_edu.ops.pool import adaptive_max_pool1d as adaptive_max_pool1d
from tinygrad_edu.ops.pool import adaptive_max_pool2d as adaptive_max_pool2d
from tinygrad_edu.ops.pool import avg_pool2d as avg_pool2d
from tinygrad_edu.ops.pool import avg_pool3d as avg_pool3d
from tinygrad_edu.ops.pool import max_pool1d as max_pool1d
from tinygrad_edu.ops.pool import max_pool2d as max_pool2d
from tinygrad_edu.ops.pool import max_pool3d as max_pool3d

def adaptive_avg_pool1d(input, output_size) -> Tensor:
    """Means of (N, C, L) or (C, L) so that the result has output_size elements."""
    ...
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True) -> Tensor:
    """The mean of every window of (N, C, L) or (C, L)."""
    ...
def celu(input, alpha=1.0, inplace=False) -> Tensor:
    """elu with a continuous derivative for every alpha."""
    ...
def celu_(self, *args, **kwargs) -> Tensor:
    """In-place version of `celu`."""
    ...
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """input (N, C, L) or (C, L) with weight (O, C / groups, K): (N, O, L') or (O, L')."""
    ...
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """input (N, C, H, W) or (C, H, W) with weight (O, C / groups, KH, KW); padding may be 'same' or 'valid'."""
    ...
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """input (N, C, D, H, W) or (C, D, H, W) with weight (O, C / groups, KD, KH, KW)."""
    ...
def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1) -> Tensor:
    """The transpose of conv1d: input (N, C, L), weight (C, O / groups, K)."""
    ...
def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1) -> Tensor:
    """The transpose of conv2d: input (N, C, H, W), weight (C, O / groups, KH, KW)."""
    ...
def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1) -> Tensor:
    """The transpose of conv3d: input (N, C, D, H, W), weight (C, O / groups, KD, KH, KW)."""
    ...
def cosine_similarity(x1, x2, dim=1, eps=1e-08) -> Tensor:
    """The cosine of the angle between x1 and x2 along `dim`; norms smaller than `eps` count as eps."""
    ...
def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0) -> Tensor:
    """Minus the log of softmax(input) at the target class; target may also hold a probability for every class."""
    ...
def dropout(input, p=0.5, training=True, inplace=False) -> Tensor:
    """Zero each element with probability p, and scale the others by 1 / (1 - p); nothing unless `training`."""
    ...
def dropout1d(input, p=0.5, training=True, inplace=False) -> Tensor:
    """Zero whole channels of 1-dimensional data with probability p."""
    ...
def dropout2d(input, p=0.5, training=True, inplace=False) -> Tensor:
    """Zero whole channels of 2-dimensional data with probability p."""
    ...
def dropout3d(input, p=0.5, training=True, inplace=False) -> Tensor:
    """Zero whole channels of 3-dimensional data with probability p."""
    ...
def elu(input, alpha=1.0, inplace=False) -> Tensor:
    """input where it is positive, alpha * (exp(input) - 1) elsewhere."""
    ...
def elu_(self, *args, **kwargs) -> Tensor:
    """In-place version of `elu`."""
    ...
functions: builtins.dict
def gelu(input, *, approximate='none') -> Tensor:
    """input * P(a standard normal number < input), or its approximation by tanh."""
    ...
def glu(input, dim=-1) -> Tensor:
    """The first half of `input` along `dim`, times the sigmoid of the second."""
    ...
def hardshrink(input, lambd=0.5) -> Tensor:
    """input, but 0 in [-lambd, lambd]."""
    ...
def hardsigmoid(input, inplace=False) -> Tensor:
    """A sigmoid of three straight lines: 0 below -3, 1 above 3."""
    ...
def hardswish(input, inplace=False) -> Tensor:
    """input * hardsigmoid(input)"""
    ...
def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False) -> Tensor:
    """input, moved into [min_val, max_val]."""
    ...
def hardtanh_(self, *args, **kwargs) -> Tensor:
    """In-place version of `hardtanh`."""
    ...
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05) -> Tensor:
    """Normalized over the last dimensions, those of `normalized_shape`, then times weight plus bias of that shape."""
    ...
def leaky_relu(input, negative_slope=0.01, inplace=False) -> Tensor:
    """input where it is positive, negative_slope * input elsewhere."""
    ...
def leaky_relu_(self, *args, **kwargs) -> Tensor:
    """In-place version of `leaky_relu`."""
    ...
def log_softmax(input, dim=None, _stacklevel=3, dtype=None) -> Tensor:
    """log_softmax; a missing `dim` is guessed, with a warning."""
    ...
def logsigmoid(input) -> Tensor:
    """log(sigmoid(input))"""
    ...
def mish(input, inplace=False) -> Tensor:
    """input * tanh(softplus(input))"""
    ...
def normalize(input, p=2.0, dim=1, eps=1e-12) -> Tensor:
    """input / max(its p-norm along `dim`, eps)"""
    ...
def pairwise_distance(x1, x2, p=2.0, eps=1e-06, keepdim=False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last dimension."""
    ...
def pixel_shuffle(input, upscale_factor) -> Tensor:
    """(*, C * r * r, H, W) -> (*, C, H * r, W * r): channels become pixels."""
    ...
def pixel_unshuffle(input, downscale_factor) -> Tensor:
    """(*, C, H * r, W * r) -> (*, C * r * r, H, W): pixels become channels."""
    ...
def prelu(input, weight) -> Tensor:
    """input where it is positive, weight * input elsewhere: one weight, or one per channel (dimension 1)."""
    ...
def relu(input, inplace=False) -> Tensor:
    """max(input, 0)"""
    ...
def relu6(input, inplace=False) -> Tensor:
    """input, moved into [0, 6]."""
    ...
def relu_(self, *args, **kwargs) -> Tensor:
    """In-place version of `relu`."""
    ...
def rms_norm(input, normalized_shape, weight=None, eps=None) -> Tensor:
    """The input over the root of the mean of its squares over the last dimensions, then times weight."""
    ...
def selu(input, inplace=False) -> Tensor:
    """elu with the scales that keep mean 0 and variance 1 (Klambauer et al., arXiv:1706.02515)."""
    ...
def selu_(self, *args, **kwargs) -> Tensor:
    """In-place version of `selu`."""
    ...
def sigmoid(input, *, out=None) -> Tensor:
    """1 / (1 + exp(-input))"""
    ...
def silu(input, inplace=False) -> Tensor:
    """input * sigmoid(input), also known as swish."""
    ...
def softmax(input, dim=None, _stacklevel=3, dtype=None) -> Tensor:
    """softmax; a missing `dim` is guessed, with a warning."""
    ...
def softmin(input, dim=None, _stacklevel=3, dtype=None) -> Tensor:
    """softmax of -input: the smallest number gets the largest part."""
    ...
def softplus(input, beta=1, threshold=20) -> Tensor:
    """log(1 + exp(beta * input)) / beta: a smooth relu."""
    ...
def softshrink(input, lambd=0.5) -> Tensor:
    """input moved towards 0 by lambd."""
    ...
def softsign(input) -> Tensor:
    """input / (1 + |input|)"""
    ...
def tanh(input, *, out=None) -> Tensor:
    """The hyperbolic tangent."""
    ...
def tanhshrink(input) -> Tensor:
    """input - tanh(input)"""
    ...
def threshold(input, threshold, value, inplace=False) -> Tensor:
    """input where it is above the threshold, value elsewhere."""
    ...
def threshold_(self, *args, **kwargs) -> Tensor:
    """In-place version of `threshold`."""
    ...
