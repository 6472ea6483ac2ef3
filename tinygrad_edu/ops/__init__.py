"""The operations, imported from left to right: each file may use those before it.

A formula that needs an op to its right calls it as a method of the gradient, which is looked up when it runs.
"""
from ..core import printing  # noqa: F401  (attaches repr)
from . import (
    views, expand, slices, named, convert, create, sharing, bridges, types, arithmetic, power, math, special, compare,
    choose, activation, return_types, reduce, extreme, variance, norm, scan, sort, counting, softmax, matmul, linear,
    einsum, join, arrange, index, gather, indexed, masked, triangular, conv, pad, pool, normalize, embedding, loss,
    class_loss, attention, inplace, twins, generators, random, dropout,
)
