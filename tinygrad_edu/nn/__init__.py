"""torch.nn: models out of layers.

A layer is a Module with Parameters; what it computes is a function of `nn.functional`, an op of `tinygrad_edu.ops`.
"""
from .parameter import Buffer, Parameter
from .module import Module
from . import functional, init
from .modules import (
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, BCELoss, BCEWithLogitsLoss, BatchNorm1d, BatchNorm2d,
    Bilinear, CELU, Conv1d, Conv2d, ConvTranspose2d, CosineSimilarity, CrossEntropyLoss, Dropout, Dropout1d,
    Dropout2d, ELU, Embedding, Flatten, GELU, GLU, GroupNorm, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, HuberLoss,
    Identity, KLDivLoss, L1Loss, LayerNorm, LeakyReLU, Linear, LogSigmoid, LogSoftmax, MSELoss, MaxPool1d, MaxPool2d,
    Mish, ModuleDict, ModuleList, NLLLoss, PReLU, PairwiseDistance, ParameterDict, ParameterList, RMSNorm, ReLU,
    ReLU6, SELU, Sequential, SiLU, Sigmoid, SmoothL1Loss, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign,
    Tanh, Tanhshrink, Threshold, Unflatten,
)
from . import modules, parameter, utils
