"""The operations, imported from left to right: each file may use those before it.

A formula that needs an op to its right calls it as a method of the gradient, which is looked up when it runs.
"""
from . import views, slices, named, convert, create, arithmetic, reduce, inplace  # noqa: F401

inplace.attach_twins()
