"""Samplers: in which order the samples of a data set are wanted, one by one or in batches.

They know numbers, not samples. Random orders are torch's.
"""
from __future__ import annotations

import itertools
from typing import Generic, TypeVar

from ...core import dtypes
from ...core.export import functions
from ...ops.generators import Generator

Index = TypeVar("Index", covariant=True)


class Sampler(Generic[Index]):
    """An order: a subclass defines `__iter__`, and `__len__` where it can."""

    def __iter__(self):
        raise NotImplementedError


def random_seed(generator=None):
    """63 random bits, drawn as torch draws the seeds of samplers and workers."""
    return functions["empty"]((), dtype=dtypes.int64, device="cpu").random_(generator=generator).item()


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ..."""

    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source)))

    def __len__(self):
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A random order; with `replacement` a number may come again. Without `generator`, one is seeded for each pass."""

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        self.data_source, self.replacement, self._num_samples = data_source, replacement, num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={self.num_samples}")

    @property
    def num_samples(self):
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self):
        n, generator = len(self.data_source), self.generator
        if generator is None:
            generator = Generator().manual_seed(random_seed())
        if self.replacement:
            for _ in range(self.num_samples // 32):
                yield from functions["randint"](n, (32,), generator=generator, device="cpu").tolist()
            yield from functions["randint"](n, (self.num_samples % 32,), generator=generator, device="cpu").tolist()
        else:
            for _ in range(self.num_samples // n):
                yield from functions["randperm"](n, generator=generator, device="cpu").tolist()
            yield from functions["randperm"](n, generator=generator, device="cpu").tolist()[:self.num_samples % n]

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Given numbers in a random order."""

    def __init__(self, indices, generator=None):
        self.indices, self.generator = indices, generator

    def __iter__(self):
        for i in functions["randperm"](len(self.indices), generator=self.generator, device="cpu").tolist():
            yield self.indices[i]

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Random numbers, number i with a probability in proportion to weights[i]."""

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        _positive("num_samples", num_samples)
        _boolean("replacement", replacement)
        self.weights = functions["as_tensor"](weights, dtype=dtypes.float64, device="cpu")
        if self.weights.ndim != 1:
            raise ValueError("weights should be a 1d sequence but given weights have shape "
                             f"{tuple(self.weights.shape)}")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self):
        drawn = functions["multinomial"](self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self):
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The numbers of another sampler (or any iterable) in lists of `batch_size`; the last one may be shorter."""

    def __init__(self, sampler, batch_size, drop_last):
        _positive("batch_size", batch_size)
        _boolean("drop_last", drop_last)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self):
        numbers = iter(self.sampler)
        while batch := list(itertools.islice(numbers, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self):
        extra = 0 if self.drop_last else self.batch_size - 1
        return (len(self.sampler) + extra) // self.batch_size


def _positive(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")


def _boolean(name, value):
    if not isinstance(value, bool):
        raise ValueError(f"{name} should be a boolean value, but got {name}={value}")
