"""Convolutions: the same small linear map at every position.

Source: https://pytorch.org/docs/stable/nn.html#convolution-layers
"""
from __future__ import annotations

from .. import functional as F
from ..module import Module
from ._utils import empty_parameter, pair, reset_weight_and_bias, single

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """weight: (out_channels, in_channels / groups, *kernel_size); transposed ones exchange the first two"""
    transposed = False

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias,
                 padding_mode, device, dtype):
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of {{'same', 'valid'}}")
            if padding == "same" and any(s != 1 for s in stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {set(PADDING_MODES)}, but got padding_mode='{padding_mode}'")
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.stride, self.padding, self.dilation, self.output_padding = stride, padding, dilation, output_padding
        self.groups, self.padding_mode = groups, padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = empty_parameter((first, second // groups, *kernel_size), device, dtype)
        self.register_parameter("bias", empty_parameter((out_channels,), device, dtype, bias))
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias anew."""
        reset_weight_and_bias(self.weight, self.bias)

    def _padded(self, input):
        """The input padded by other numbers than zeros, and the padding that remains to be done."""
        if self.padding_mode == "zeros":
            return input, self.padding
        both = []                                  # F.pad wants (left, right) of the last dimension first
        for size, dilation, padding in reversed(list(zip(self.kernel_size, self.dilation, self._paddings()))):
            total = dilation * (size - 1)
            both += [total // 2, total - total // 2] if padding == "same" else [padding, padding]
        return F.pad(input, both, mode=self.padding_mode), (0,) * len(self.kernel_size)

    def _paddings(self):
        if self.padding == "valid":
            return (0,) * len(self.kernel_size)
        return (self.padding,) * len(self.kernel_size) if self.padding == "same" else self.padding

    def extra_repr(self):
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        count = len(self.kernel_size)
        if self.padding != (0,) * count:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * count:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * count:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class Conv1d(_Conv):
    """input: (batch, in_channels, length), output: (batch, out_channels, length')"""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", device=None, dtype=None):
        super().__init__(in_channels, out_channels, single(kernel_size), single(stride),
                         padding if isinstance(padding, str) else single(padding),
                         single(dilation), (0,), groups, bias, padding_mode, device, dtype)

    def forward(self, input):
        input, padding = self._padded(input)
        return F.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """input: (batch, in_channels, height, width), output: (batch, out_channels, height', width')"""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", device=None, dtype=None):
        super().__init__(in_channels, out_channels, pair(kernel_size), pair(stride),
                         padding if isinstance(padding, str) else pair(padding),
                         pair(dilation), (0, 0), groups, bias, padding_mode, device, dtype)

    def forward(self, input):
        input, padding = self._padded(input)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class ConvTranspose2d(_Conv):
    """The gradient of a Conv2d with respect to its input, as a layer: it makes images larger."""
    transposed = True

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1,
                 bias=True, dilation=1, padding_mode="zeros", device=None, dtype=None):
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(in_channels, out_channels, pair(kernel_size), pair(stride), pair(padding), pair(dilation),
                         pair(output_padding), groups, bias, padding_mode, device, dtype)

    def forward(self, input):
        return F.conv_transpose2d(input, self.weight, self.bias, self.stride, self.padding, self.output_padding,
                                  self.groups, self.dilation)
