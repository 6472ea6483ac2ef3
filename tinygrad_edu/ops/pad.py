"""Padding: more (or fewer) elements at the ends of the last dimensions, and the resampling of images.

Padded elements are a constant, or copies of others; which ones is decided by an index per dimension.
"""
from __future__ import annotations

import math

import numpy as np

from ..core.export import export
from ..core.op import Op
from .matmul import check_tensors, refuse_bool, refuse_integers
from .views import no_names


def pairs_of(padding, ndim):
    """torch's padding (last dimension first) as (before, after) for each dimension."""
    given = [(padding[i], padding[i + 1]) for i in range(0, len(padding), 2)]
    return ((0, 0),) * (ndim - len(given)) + tuple(reversed(given))


def inner(pairs, shape):
    """(where the input lies in the padded output, which part of the input that is)"""
    target = tuple(slice(max(before, 0), max(before, 0) + n + min(before, 0) + min(after, 0)) for (before, after),
                   n in zip(pairs, shape))
    source = tuple(slice(max(-before, 0), n - max(-after, 0)) for (before, after), n in zip(pairs, shape))
    return target, source


class ConstantPadNd(Op):
    """`value` around the input; a negative padding cuts off instead."""
    cuda = "upsample.constant_pad"

    def cpu(input, *, pairs, value):
        shape = [n + before + after for n, (before, after) in zip(input.shape, pairs)]
        out = np.full(shape, value, input.dtype) if input.dtype.kind not in "iub" else np.full(shape,
                                                                                               int(value)).astype(input.dtype)
        target, source = inner(pairs, input.shape)
        out[target] = input[source]
        return out

    grad_input = lambda g, pairs: ConstantPadNd.call(g, pairs=tuple((-before, -after) for before, after in pairs),
                                                     value=0)


def copies(input, *, indices):
    """Along each of the last dimensions the elements that `indices` name, once, often or never."""
    for dim, index in enumerate(reversed(indices), 1):
        input = np.take(input, index, axis=-dim)
    return input


class AddedCopies(Op):
    """Every copy added to its original: the transpose of `copies`."""
    cuda = "upsample.added_copies"

    def cpu(g, *, sizes, indices):
        for dim, (size, index) in enumerate(zip(reversed(sizes), reversed(indices)), 1):
            out = np.zeros((size, *np.moveaxis(g, -dim, 0).shape[1:]), g.dtype)
            np.add.at(out, index, np.moveaxis(g, -dim, 0))
            g = np.moveaxis(out, 0, -dim)
        return np.ascontiguousarray(g)

    grad_g = lambda g, indices: PADS["replicate", 1].call(g, indices=indices)


def copying(name):
    """`copies` as an op under the name of the node that torch shows."""
    def back(g, shape, indices):
        return AddedCopies.call(g, sizes=shape[len(shape) - len(indices):], indices=indices)
    return type(name, (Op,), {"cpu": copies, "cuda": "upsample.copies", "grad_input": back})


PADS = {(mode, n): copying(f"{word}Pad{n}D") for n in (1, 2, 3)
        for mode, word in (("reflect", "Reflection"), ("replicate", "Replication"), ("circular", "Circular"))}


@export("nn.functional.pad", out=False)
def pad(input, pad, mode="constant", value=None):
    """`pad` holds two integers per dimension, the last dimension first: how many elements before and after it.

    mode is 'constant' (of `value`, any number of dimensions), 'reflect', 'replicate' or 'circular' (one to three).
    """
    check_tensors("pad", input=input)
    no_names(input, "pad")
    padding = tuple(int(p) for p in pad)
    if len(padding) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(padding) > 2 * input.ndim:
        raise RuntimeError("Padding length should be less than or equal to two times the input dimension but got "
                           f"padding length {len(padding)} and input of dimension {input.ndim}")
    pairs = pairs_of(padding, input.ndim)
    if mode == "constant":
        if any(n + before + after < 0 for n, (before, after) in zip(input.shape, pairs)):
            raise RuntimeError("narrow(): length must be non-negative.")
        return ConstantPadNd.call(input, pairs=pairs, value=0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    count = len(padding) // 2
    if count not in (1, 2, 3) or input.ndim not in (count + 1, count + 2):
        raise NotImplementedError(f"Padding size {len(padding)} is not supported for {input.ndim}D input tensor.")
    if mode != "circular":
        refuse_bool(input, f"{'reflection' if mode == 'reflect' else 'replication'}_pad{count}d")
        if not all(input.shape[input.ndim - count - 1:]):
            raise RuntimeError(f"Expected {count + 1}D or {count + 2}D (batch mode) tensor with possibly 0 batch size "
                               f"and other non-zero dimensions for input, but got: {list(input.shape)}")
    indices = tuple(copied(n, before, after, mode, d, input.shape)
                    for d, (n, (before, after)) in enumerate(zip(input.shape, pairs)) if d >= input.ndim - count)
    return PADS[mode, count].call(input, indices=indices)


def copied(size, before, after, mode, dim, shape):
    """Which element stands at each place of the padded dimension."""
    places = np.arange(-before, size + after)
    if mode == "replicate":
        return np.clip(places, 0, size - 1)
    if mode == "circular":
        if before > size or after > size:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        start, kept = max(-before, 0), size - max(-before, 0) - max(-after, 0)      # negative paddings cut off first
        if size + before + after < 0 or kept < 1 and len(places):
            raise RuntimeError("Negative padding value is resulting in an empty dimension")
        if max(before, after) > kept:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        return start + (places - start) % max(kept, 1)
    if before >= size or after >= size:
        raise RuntimeError("Argument #4: Padding size should be less than the corresponding input dimension, but got: "
                           f"padding ({before}, {after}) at dimension {dim} of input {list(shape)}")
    return np.where(places < 0, -places, np.where(places >= size, 2 * (size - 1) - places, places))


# ---- images in another size
class Weighted(Op):
    """Along each of the last dimensions the sums that the rows of a matrix say: a linear map per dimension."""
    cuda = "upsample.weighted"

    def cpu(input, *, maps):
        out = input.astype(np.float32) if input.dtype.itemsize == 2 else input
        for dim, matrix in enumerate(reversed(maps), 1):
            out = np.moveaxis(np.matmul(np.moveaxis(out, -dim, -1), matrix.T.astype(out.dtype)), -1, -dim)
        return np.ascontiguousarray(out.astype(input.dtype, copy=False))

    grad_input = lambda g, maps: Weighted.call(g, maps=tuple(m.T for m in maps))


def weighting(name):
    return type(name, (Weighted,), {"cpu": Weighted.cpu, "cuda": Weighted.cuda, "grad_input": Weighted.grad_input})


NEAREST = {(mode, n): copying(f"Upsample{word}{n}D") for mode,
           word in (("nearest", "Nearest"), ("nearest-exact", "NearestExact"))
           for n in (1, 2, 3)}
LINEAR = {"linear": weighting("UpsampleLinear1D"), "bilinear": weighting("UpsampleBilinear2D"),
          "trilinear": weighting("UpsampleTrilinear3D")}
SPACES = {"nearest": (3, 4, 5), "nearest-exact": (3, 4, 5), "linear": (3,), "bilinear": (4,), "trilinear": (5,)}


def linear_map(size, wanted, scale, align_corners):
    """The matrix that interpolates linearly between `size` elements at `wanted` places."""
    if align_corners:
        places = np.arange(wanted) * ((size - 1) / (wanted - 1) if wanted > 1 else 0.0)
    else:
        places = np.maximum((np.arange(wanted) + 0.5) * scale - 0.5, 0)
    low = np.minimum(places.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    out = np.zeros((wanted, size))
    out[np.arange(wanted), low] += 1 - (places - low)
    out[np.arange(wanted), high] += places - low
    return out


def wrong_count(space, given, sized):
    what, letter = ("output size", "o") if sized else ("scale_factor", "s")
    return ValueError(f"Input and {'output' if sized else what} must have the same number of spatial dimensions, but "
                      f"got input with spatial dimensions of {list(space)} and {what} of {given}. Please provide input "
                      f"tensor in (N, C, d1, d2, ...,dK) format and {what} in ({letter}1, {letter}2, ...,{letter}K) "
                      "format.")


@export("nn.functional.interpolate", out=False)
def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None,
                antialias=False):
    """The input (N, C, *space) with its space brought to `size`, or scaled by `scale_factor`.

    mode is 'nearest', 'nearest-exact', 'linear' (one dimension), 'bilinear' (two) or 'trilinear' (three). torch's other
    modes, and antialias=True, are not supported.
    """
    check_tensors("interpolate", input=input)
    no_names(input, "interpolate")
    if mode in ("nearest", "nearest-exact"):
        if align_corners is not None:
            raise ValueError("align_corners option can only be set with the interpolating modes: linear | bilinear | "
                             "bicubic | trilinear")
    space = input.shape[2:]
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given = size if size is not None else scale_factor
    given = tuple(given) if isinstance(given, (tuple, list)) else (given,) * len(space)
    if len(given) != len(space):
        raise wrong_count(space, given, size is not None)
    if antialias and (mode not in ("bilinear", "bicubic", "lanczos") or input.ndim != 4):
        raise ValueError("Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D "
                         "tensor as input")
    if antialias or mode == "area" or mode in ("bicubic", "lanczos") and input.ndim == 4:
        raise NotImplementedError(f"interpolate(mode='{mode}', antialias={antialias}) is not supported: the modes are "
                                  f"{', '.join(SPACES)}, without antialias")
    if mode not in SPACES or input.ndim not in (3, 4, 5):
        raise NotImplementedError(f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for "
                                  "the modes: nearest | linear | bilinear | bicubic | trilinear | lanczos | area | "
                                  f"nearest-exact (got {mode})")
    if input.ndim not in SPACES[mode]:
        raise NotImplementedError(f"Got {input.ndim}D input, but {mode} mode needs {SPACES[mode][0]}D input")
    if input.dtype.name != "uint8" or not mode.startswith("nearest"):
        refuse_integers(input, f"upsample_{mode.replace('-', '_')}{len(space)}d")
    wanted = given if size is not None else tuple(math.floor(n * f) for n, f in zip(space, given))
    if not all((*space, *wanted, input.shape[1])):
        raise RuntimeError(f"Input and output sizes should be greater than 0, but got input {list(input.shape)} output "
                           f"{list(wanted)}")
    told = size is None and not recompute_scale_factor
    scales = tuple(1 / f if told else n / m for n, m, f in zip(space, wanted, given))
    if mode.startswith("nearest"):
        shift = 0.5 if mode == "nearest-exact" else 0.0
        indices = tuple(np.minimum(((np.arange(m) + shift) * s).astype(np.int64), n - 1) for m, s,
                        n in zip(wanted, scales, space))
        return NEAREST[mode, len(space)].call(input, indices=indices)
    return LINEAR[mode].call(input, maps=tuple(linear_map(n, m, s, align_corners) for n, m,
                                               s in zip(space, wanted, scales)))


@export("pixel_shuffle()", "nn.functional.pixel_shuffle", out=False)
def pixel_shuffle(input, upscale_factor):
    """(*, C * r * r, H, W) -> (*, C, H * r, W * r): channels become pixels."""
    r, (channels, high, wide) = upscale_factor, input.shape[-3:]
    if channels % (r * r):
        raise RuntimeError("pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
                           f"upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}")
    lead = input.shape[:-3]
    n = len(lead)
    x = input.reshape(*lead, channels // (r * r), r, r, high, wide)
    return x.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2).reshape(*lead, channels // (r * r), high * r, wide * r)


@export("pixel_unshuffle()", "nn.functional.pixel_unshuffle", out=False)
def pixel_unshuffle(input, downscale_factor):
    """(*, C, H * r, W * r) -> (*, C * r * r, H, W): pixels become channels."""
    r, (channels, high, wide) = downscale_factor, input.shape[-3:]
    for name, value in (("height", high), ("width", wide)):
        if value % r:
            raise RuntimeError(f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                               f"input.size({-2 if name == 'height' else -1})={value} is not divisible by {r}")
    lead = input.shape[:-3]
    n = len(lead)
    x = input.reshape(*lead, channels, high // r, r, wide // r, r)
    return x.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3).reshape(*lead, channels * r * r, high // r, wide // r)


