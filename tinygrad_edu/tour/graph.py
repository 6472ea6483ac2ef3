"""A picture of the tape: what a tensor was computed from, as an SVG, drawn without any library.

It sees nodes through torch's own names (`grad_fn`, `next_functions`, `variable`) and knows nothing of numbers.
"""
from __future__ import annotations

from html import escape

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN, BEND = 150, 36, 24, 34, 16, 60


def graph_svg(output, names=None):
    """The graph behind `output` as SVG text. `names` maps labels to leaves: {"params": params}."""
    root = output.grad_fn
    if root is None:
        raise ValueError("this tensor has no grad_fn: nothing was recorded on the way to it")
    layers, edges = _layers(root)
    widest = max(map(len, layers))
    total = widest * WIDTH + (widest - 1) * GAP_X
    places = {}
    for depth, layer in enumerate(layers):
        left = (total - len(layer) * WIDTH - (len(layer) - 1) * GAP_X) / 2
        for i, node in enumerate(layer):
            places[node] = MARGIN + left + i * (WIDTH + GAP_X), MARGIN + depth * (HEIGHT + GAP_Y)
    bent = [(a, b) for a, b in edges if places[b][1] - places[a][1] > HEIGHT + GAP_Y]
    width, height = total + 2 * MARGIN + (BEND if bent else 0), len(layers) * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    labels = {id(leaf): name for name, leaf in (names or {}).items()}
    body = [_arrow(places[a], places[b], BEND if (a, b) in bent else 0) for a, b in edges]
    body += [_box(node, places[node], labels) for node in places]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="sans-serif" font-size="13" role="img">',
        f"<title>The computation graph of {escape(root.name())}</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>', *body, "</svg>", ""])


def _layers(root):
    """Nodes by their longest distance from the root, and the edges; gradients flow down the picture."""
    depth, edges, order = {}, [], []
    stack = [(root, iter(root.next_functions))]
    seen = {root}
    while stack:                                   # depth first, for an order in which every node precedes its inputs
        node, rest = stack[-1]
        for function, _ in rest:
            if function is None:
                continue
            edges.append((node, function))
            if function not in seen:
                seen.add(function)
                stack.append((function, iter(function.next_functions)))
                break
        else:
            order.append(stack.pop()[0])
    depth[root] = 0
    inputs = {}
    for a, b in edges:
        inputs.setdefault(a, []).append(b)
    for node in reversed(order):
        for function in inputs.get(node, ()):
            depth[function] = max(depth.get(function, 0), depth[node] + 1)
    layers = [[] for _ in range(max(depth.values()) + 1)]
    for node in reversed(order):
        layers[depth[node]].append(node)
    return layers, list(dict.fromkeys(edges))


def _box(node, place, labels):
    x, y = place
    leaf = getattr(node, "variable", None)
    if leaf is None:
        text, fill, radius = node.name(), "#e8eef7", 4
    else:
        label = labels.get(id(leaf), "leaf")
        text, fill, radius = f"{label} {tuple(leaf.shape)}", "#e3f2e1", HEIGHT // 2
    middle, base = x + WIDTH / 2, y + HEIGHT / 2 + 5
    return (f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="{radius}" fill="{fill}" '
            f'stroke="#555"/><text x="{middle:.0f}" y="{base:.0f}" text-anchor="middle">{escape(text)}</text>')


def _arrow(start, end, bend):
    """From the bottom of one box to the top of another; around the boxes between, if there are layers between."""
    (x1, y1), (x2, y2) = (start[0] + WIDTH / 2, start[1] + HEIGHT), (end[0] + WIDTH / 2, end[1])
    line = f"L{x2:.0f} {y2:.0f}"
    if bend:
        side = max(x1, x2) + WIDTH / 2 + bend
        line = f"C{side:.0f} {y1:.0f} {side:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    return (f'<path d="M{x1:.0f} {y1:.0f} {line}" fill="none" stroke="#555" stroke-width="1.3" '
            'marker-end="url(#head)"/>')
