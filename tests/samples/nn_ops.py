"""Samples of what networks are made of: convolutions, pooling, padding, normalization, embeddings, attention."""
from __future__ import annotations

from . import FLOATS, distinct, integers, normal, positive, sample

F = "torch.nn.functional."
VIEWS = "ours is views, torch's one node; torch's own derivative fails for empty images"


def layer(op, expression, *, why="", **inputs):
    """A sample of floats only: what torch makes of integers and of empty images differs from kernel to kernel."""
    sample(op, expression, dtypes=FLOATS, edges=False, node=not why, why=why or "integers and empty images: see "
                                                                                "`layer`", **inputs)


# ---- convolutions
for args in ("", ", stride=2", ", padding=1", ", stride=(2, 1), padding=(1, 2), dilation=(1, 2)", ", padding='same'",
             ", padding='valid'"):
    layer("nn.functional.conv2d", f"{F}conv2d(x, w, b{args})", x=normal(2, 2, 5, 6), w=normal(3, 2, 3, 2), b=normal(3))
layer("nn.functional.conv2d", f"{F}conv2d(x, w, groups=2)", x=normal(1, 4, 4, 5), w=normal(6, 2, 3, 2))
layer("nn.functional.conv2d", f"{F}conv2d(x, w, b)", x=normal(2, 4, 5), w=normal(3, 2, 3, 2), b=normal(3))
layer("conv2d", "torch.conv2d(x, w)", x=normal(2, 2, 4, 5), w=normal(3, 2, 3, 2))
layer("nn.functional.conv1d", f"{F}conv1d(x, w, b, stride=2, padding=1, dilation=2)", x=normal(2, 2, 8),
      w=normal(3, 2, 3), b=normal(3))
layer("nn.functional.conv1d", f"{F}conv1d(x, w, padding='same', dilation=3)", x=normal(2, 8), w=normal(3, 2, 2))
layer("conv1d", "torch.conv1d(x, w)", x=normal(2, 2, 5), w=normal(3, 2, 3))
layer("nn.functional.conv3d", f"{F}conv3d(x, w, b, stride=2, padding=1)", x=normal(1, 2, 3, 4, 3),
      w=normal(2, 2, 3, 2, 1), b=normal(2))
layer("conv3d", "torch.conv3d(x, w)", x=normal(1, 2, 3, 3, 3), w=normal(2, 2, 2, 2, 1))
for args in ("", ", stride=2, padding=1, output_padding=1", ", stride=(2, 1), padding=(1, 0), dilation=(2, 1)",
             ", dilation=3, output_padding=2"):
    layer("nn.functional.conv_transpose2d", f"{F}conv_transpose2d(x, w, b{args})", x=normal(2, 2, 3, 4),
          w=normal(2, 3, 3, 2), b=normal(3))
layer("nn.functional.conv_transpose2d", f"{F}conv_transpose2d(x, w, groups=2, stride=2)", x=normal(1, 4, 3, 2),
      w=normal(4, 2, 3, 2))
layer("conv_transpose2d", "torch.conv_transpose2d(x, w)", x=normal(2, 2, 3, 4), w=normal(2, 3, 3, 2))
layer("nn.functional.conv_transpose1d", f"{F}conv_transpose1d(x, w, b, stride=2)", x=normal(2, 5), w=normal(2, 3, 3),
      b=normal(3))
layer("conv_transpose1d", "torch.conv_transpose1d(x, w)", x=normal(2, 2, 5), w=normal(2, 3, 3))
layer("nn.functional.conv_transpose3d", f"{F}conv_transpose3d(x, w, b, stride=2)", x=normal(1, 2, 2, 3, 2),
      w=normal(2, 2, 3, 2, 1), b=normal(2))
layer("conv_transpose3d", "torch.conv_transpose3d(x, w)", x=normal(1, 2, 2, 3, 2), w=normal(2, 2, 2, 2, 1))
layer("nn.functional.unfold", f"{F}unfold(x, (2, 3), stride=2, padding=1, dilation=(1, 2))", x=normal(2, 2, 5, 6))
layer("nn.functional.fold", f"{F}fold(x, (4, 5), (2, 3), stride=(1, 2))", x=normal(2, 12, 6))

# ---- pooling
for args in ("2", "3, stride=2", "(2, 3), stride=(2, 1), padding=(1, 1)", "3, stride=2, ceil_mode=True",
             "2, dilation=2"):
    layer("nn.functional.max_pool2d", f"{F}max_pool2d(x, {args}, return_indices=True)", x=distinct(2, 2, 5, 6))
layer("nn.functional.max_pool2d", f"{F}max_pool2d(x, 2)", x=distinct(2, 5, 6))
layer("nn.functional.max_pool1d", f"{F}max_pool1d(x, 3, stride=2, padding=1, return_indices=True)", x=distinct(2, 2, 7))
layer("nn.functional.max_pool1d", f"{F}max_pool1d(x, 3)", x=distinct(2, 7))
layer("nn.functional.max_pool3d", f"{F}max_pool3d(x, 2, stride=1)", x=distinct(1, 2, 3, 3, 4))
for args in ("2", "3, stride=2, padding=1", "(2, 3), ceil_mode=True", "3, stride=2, padding=1, count_include_pad=False",
             "2, divisor_override=3"):
    layer("nn.functional.avg_pool2d", f"{F}avg_pool2d(x, {args})", x=normal(2, 2, 5, 7))
layer("nn.functional.avg_pool1d", f"{F}avg_pool1d(x, 3, 2, 1)", x=normal(2, 2, 7))
layer("avg_pool1d", "torch.avg_pool1d(x, 2)", x=normal(2, 7))
sample("nn.functional.avg_pool3d", f"{F}avg_pool3d(x, 2, padding=1)", x=normal(1, 2, 3, 4, 5),
       dtypes=("float64", "float32"), edges=False,
       why="torch has no float16 kernel")
for size in ("(3, 4)", "1", "(None, 2)"):
    layer("nn.functional.adaptive_avg_pool2d", f"{F}adaptive_avg_pool2d(x, {size})", x=normal(2, 2, 5, 7))
layer("nn.functional.adaptive_avg_pool1d", f"{F}adaptive_avg_pool1d(x, 3)", x=normal(2, 2, 7))
layer("adaptive_avg_pool1d", "torch.adaptive_avg_pool1d(x, 2)", x=normal(2, 7))
layer("nn.functional.adaptive_max_pool2d", f"{F}adaptive_max_pool2d(x, (3, 4), return_indices=True)",
      x=distinct(2, 2, 5, 7))
layer("nn.functional.adaptive_max_pool1d", f"{F}adaptive_max_pool1d(x, 3)", x=distinct(2, 2, 7))

# ---- padding and resampling
layer("nn.functional.pad", f"{F}pad(x, (1, 2))", x=normal(2, 3))
layer("nn.functional.pad", f"{F}pad(x, (1, -1, 2, 0), value=2.5)", x=normal(2, 3, 4))
for mode in ("reflect", "replicate"):
    layer("nn.functional.pad", f"{F}pad(x, (2, 1), mode='{mode}')", x=normal(2, 3, 4))
    layer("nn.functional.pad", f"{F}pad(x, (1, 2, 2, 1), mode='{mode}')", x=normal(2, 3, 4))
    layer("nn.functional.pad", f"{F}pad(x, (1, 1, 1, 0, 0, 1), mode='{mode}')", x=normal(2, 2, 3, 3))
for args, shape in (("(3, 1)", (2, 3, 4)), ("(1, 2, 2, 1)", (2, 3, 4)), ("(1, 1, 1, 0, 0, 1)", (2, 2, 3, 3))):
    layer("nn.functional.pad", f"{F}pad(x, {args}, mode='circular')", x=normal(*shape),
          why="torch copies into slices; ours is one node")
for args in ("scale_factor=2", "size=(2, 7)", "scale_factor=1.5, mode='nearest-exact'", "scale_factor=2, "
                                                                                        "mode='bilinear'",
             "size=(3, 7), mode='bilinear', align_corners=True"):
    layer("nn.functional.interpolate", f"{F}interpolate(x, {args})", x=normal(2, 2, 4, 5))
for mode in ("nearest", "nearest-exact"):
    layer("nn.functional.interpolate", f"{F}interpolate(x, size=5, mode='{mode}')", x=normal(2, 2, 3))
    layer("nn.functional.interpolate", f"{F}interpolate(x, scale_factor=1.5, mode='{mode}')", x=normal(1, 2, 2, 3, 4))
layer("nn.functional.interpolate", f"{F}interpolate(x, size=5, mode='linear')", x=normal(2, 2, 7))
layer("nn.functional.interpolate", f"{F}interpolate(x, size=(3, 4, 2), mode='trilinear')", x=normal(1, 2, 2, 3, 3))
layer("nn.functional.pixel_shuffle", f"{F}pixel_shuffle(x, 2)", x=normal(2, 8, 2, 3), why=VIEWS)
layer("pixel_shuffle", "torch.pixel_shuffle(x, 2)", x=normal(4, 2, 3), why=VIEWS)
layer("nn.functional.pixel_unshuffle", f"{F}pixel_unshuffle(x, 2)", x=normal(2, 2, 4, 6), why=VIEWS)
layer("pixel_unshuffle", "torch.pixel_unshuffle(x, 2)", x=normal(2, 2, 4), why=VIEWS)

# ---- normalization
sample("nn.functional.layer_norm", f"{F}layer_norm(x, (4,), w, b)", x=normal(2, 3, 4), w=normal(4), b=normal(4))
sample("nn.functional.layer_norm", f"{F}layer_norm(x, (3, 4), w, eps=0.01)", x=normal(2, 3, 4), w=normal(3, 4))
sample("layer_norm", "torch.layer_norm(x, (4,))", x=normal(3, 4))
sample("nn.functional.rms_norm", f"{F}rms_norm(x, (4,), w)", x=normal(2, 3, 4), w=normal(4))
sample("rms_norm", "torch.rms_norm(x, (3, 4))", x=normal(2, 3, 4))
sample("nn.functional.group_norm", f"{F}group_norm(x, 2, w, b)", x=normal(2, 4, 3), w=normal(4), b=normal(4))
layer("nn.functional.batch_norm", f"{F}batch_norm(x, None, None, w, b, training=True)", x=normal(4, 3, 2), w=normal(3),
      b=normal(3))
layer("nn.functional.batch_norm", f"{F}batch_norm(x, m, v, w, b)", x=normal(4, 3), m=normal(3, grad=False),
      v=positive(3, grad=False),
      w=normal(3), b=normal(3))

# ---- tables
sample("nn.functional.embedding", f"{F}embedding(i, w)", i=integers(2, 3, low=0, high=4), w=normal(4, 3))
sample("nn.functional.embedding", f"{F}embedding(i, w, padding_idx=1)[i != 1]", i=integers(2, 4, low=0, high=3),
       w=normal(3, 2))
sample("nn.functional.embedding", f"{F}embedding(i.argsort(), w, scale_grad_by_freq=True)", i=integers(3),
       w=normal(3, 2), edges=False,
       why="as many rows as indices")
sample("nn.functional.one_hot", f"{F}one_hot(i)", i=integers(2, 3, low=0, high=4), dtypes=("int64",), layouts=False,
       why="int64 only")
sample("nn.functional.one_hot", f"{F}one_hot(i, 5)", i=integers(3, low=0, high=4), dtypes=("int64",), layouts=False,
       why="int64 only")

# ---- attention
for args in ("", ", is_causal=True", ", scale=0.3", ", m", ", m > 0"):
    sample("nn.functional.scaled_dot_product_attention", f"{F}scaled_dot_product_attention(q, k, v{args})",
           q=normal(2, 3, 4),
           k=normal(2, 3, 4), v=normal(2, 3, 2), node=False, edges=False, why="ours is put together from other ops",
           **({"m": normal(3, 3, grad=args == ", m")} if "m" in args[-5:] else {}))
