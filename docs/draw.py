"""Draws the documentation's pictures into docs/pictures/: `python docs/draw.py`. They are committed; builds only show them."""
from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  (after the backend is chosen)
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch  # noqa: E402

FOLDER = Path(__file__).parent / "pictures"
BLUE, GREEN, SAND, GREY = "#dde8f6", "#dff0db", "#f7ecd4", "#eeeeee"
matplotlib.rcParams.update({"svg.hashsalt": "tinygrad_edu", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 11})


def canvas(width, height):
    figure, axes = pyplot.subplots(figsize=(width, height))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    return figure, axes


def box(axes, x, y, width, height, text, color=GREY, **style):
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.08", facecolor=color, edgecolor="#555"))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", **style)


def arrow(axes, start, end, **style):
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color="#555", shrinkA=0, shrinkB=0, **style))


def save(figure, name):
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def rows():
    table = [("facts", "dtypes   layout   names   storage   errors", SAND), ("memory", "backends: the protocol, cpu, cuda", SAND),
             ("tape", "mode   tape", BLUE), ("tensor", "leaf   tensor   data", BLUE),
             ("machinery", "saved   function   record   op   fast   export   printing", BLUE),
             ("operations", "views ... arithmetic ... reduce ... matmul ... index ... inplace   random", GREEN),
             ("autograd", "backward   grad   gradcheck", GREEN), ("modules", "parameter   module   init   functional   modules", GREEN),
             ("users' tools", "optim   utils.data   serialization   tour   doctor", GREEN)]
    figure, axes = canvas(9, 5.6)
    for i, (name, files, color) in enumerate(table):
        y = 4.95 - i * 0.6
        axes.text(1.75, y + 0.22, name, ha="right", va="center", weight="bold")
        box(axes, 1.95, y, 6.2, 0.44, files, color, fontsize=10)
    arrow(axes, (8.5, 0.2), (8.5, 5.35))
    axes.text(8.72, 2.8, "imports go up, and to the left", rotation=90, ha="center", va="center")
    save(figure, "rows")


def strides():
    figure, axes = canvas(8, 3.9)
    axes.text(0.3, 3.5, "storage", weight="bold")
    for i in range(6):
        box(axes, 1.6 + i * 0.75, 3.3, 0.7, 0.5, f"{i + 1}.", SAND)
        axes.text(1.95 + i * 0.75, 3.1, str(i), ha="center", va="center", fontsize=8, color="#777")
    for left, title, shape, stride in ((0.6, "x", (2, 3), (3, 1)), (4.9, "x.t()", (3, 2), (1, 3))):
        axes.text(left, 2.45, f"{title}: shape {shape}, strides {stride}", weight="bold")
        for r in range(shape[0]):
            for c in range(shape[1]):
                place = r * stride[0] + c * stride[1]
                box(axes, left + c * 0.75, 1.7 - r * 0.6, 0.7, 0.5, f"{place + 1}.", BLUE if left < 2 else GREEN)
    axes.text(4.0, 0.12, "element (i, j) lies at offset + i * strides[0] + j * strides[1]", ha="center", style="italic")
    save(figure, "strides")


def way():
    figure, axes = canvas(10, 4.4)
    axes.text(0.2, 3.95, "forward: y = x * w", weight="bold")
    steps = [("x * w", SAND), ("checks: types,\nshapes, devices", BLUE), ("backend runs\nMul.cpu", BLUE), ("wrap the array\nas y", BLUE),
             ("node on the tape:\nedges, saved x and w", GREEN)]
    for i, (text, color) in enumerate(steps):
        box(axes, 0.2 + i * 1.95, 2.8, 1.7, 0.8, text, color, fontsize=10)
        if i:
            arrow(axes, (0.2 + i * 1.95 - 0.25, 3.2), (0.2 + i * 1.95, 3.2))
    axes.text(0.2, 1.95, "backward", weight="bold")
    steps = [("x.grad += g * w\nw.grad += g * x", GREEN), ("send along\nthe edges", BLUE), ("un-broadcast,\ncast", BLUE),
             ("run the formulas\ngrad_x, grad_y", BLUE), ("pop the latest\npending node", SAND)]
    for i, (text, color) in enumerate(steps):
        box(axes, 0.2 + i * 1.95, 0.8, 1.7, 0.8, text, color, fontsize=10)
        if i:
            arrow(axes, (0.2 + i * 1.95, 1.2), (0.2 + i * 1.95 - 0.25, 1.2))
    arrow(axes, (8.85, 2.8), (8.85, 1.6))
    axes.text(8.95, 2.2, "g", style="italic")
    arrow(axes, (3.0, 0.8), (8.85, 0.8), connectionstyle="arc3,rad=0.25")
    axes.text(5.9, 0.3, "until nothing is pending", ha="center", fontsize=10)
    save(figure, "way")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for draw in (rows, strides, way):
        draw()
