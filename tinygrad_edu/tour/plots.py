"""The tour's pictures, and the page that shows them.

It reads what the story left in its namespace, and computes nothing of its own but curves to draw.
"""
from __future__ import annotations

import os
from html import escape

from .graph import graph_svg

CAPTIONS = {
    "data.png": ("The data", "Eleven readings of the unknown thermometer, beside degrees Celsius."),
    "linear.png": ("A line", "The line that gradient descent finds. At 32, the freezing point of water in "
                             "Fahrenheit, it is nearly at 0."),
    "graph.svg": ("The tape", "What the loss was computed from. backward() walks it from the top, and leaves a "
                              "gradient at each leaf."),
    "losses.png": ("Learning", "Adam is at the bottom after some 500 epochs, plain gradient descent still on its way "
                               "after 1,000."),
    "network.png": ("A network", "Eight tanh units bend the line. Nine points to learn from, two (rings) that the "
                                 "network never saw: where it bends away from those, it overfits."),
    "validation.png": ("Training and validation", "The loss on the two readings kept aside shows what the training "
                                                  "loss does not."),
}


def write(story, folder):
    """Draw everything into `folder`; returns the path of its index.html."""
    import matplotlib
    backend = matplotlib.get_backend(auto_select=False) if "MPLBACKEND" in os.environ else None
    matplotlib.use("Agg")                          # files only: a tour must not open windows
    from matplotlib import pyplot
    os.makedirs(folder, exist_ok=True)
    story = on_the_cpu(story)
    for name, draw in (("data.png", _data), ("linear.png", _linear), ("losses.png", _losses), ("network.png", _network),
                       ("validation.png", _validation)):
        figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
        draw(axes, story)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(folder / name, dpi=110)
        pyplot.close(figure)
    if backend is not None:
        matplotlib.use(backend)
    loss = story["mse"](story["model"](story["t_u"], *story["params"]), story["t_c"])
    (folder / "graph.svg").write_text(graph_svg(loss, {"params": story["params"]}), encoding="utf-8")
    page = folder / "index.html"
    page.write_text(_page(story), encoding="utf-8")
    return page


def on_the_cpu(story):
    """The story's names, with all tensors and the network where matplotlib can read them."""
    tensor = story["torch"].Tensor
    moved = {name: value.detach().cpu().requires_grad_(value.requires_grad) for name, value in story.items()
             if isinstance(value, tensor)}
    return {**story, **moved, "seq_model": story["seq_model"].cpu()}


def _points(axes, story):
    axes.plot(story["t_u"].numpy(), story["t_c"].numpy(), "o", color="tab:blue", label="readings")
    axes.set_xlabel("unknown unit")
    axes.set_ylabel("degrees Celsius")


def _data(axes, story):
    _points(axes, story)


def _linear(axes, story):
    _points(axes, story)
    t_u, params = story["t_u"], story["params"].detach()
    line = story["torch"].arange(20.0, 90.0)
    axes.plot(line.numpy(), story["model"](0.1 * line, *params).numpy(), color="tab:orange",
              label=f"{params[0].item() / 10:.3f} t_u - {-params[1].item():.2f}")
    axes.set_xlim(float(t_u.min()) - 3, float(t_u.max()) + 3)
    axes.legend(frameon=False)


def _losses(axes, story):
    axes.plot(range(1, 1001), story["sgd_losses"], color="tab:blue", label="SGD, learning rate 0.01")
    axes.plot(range(1, 1001), story["adam_losses"], color="tab:orange", linestyle="--", label="Adam, learning rate 0.1")
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean squared error")
    axes.legend(frameon=False)


def _network(axes, story):
    _points(axes, story)
    torch, model = story["torch"], story["seq_model"]
    line = torch.arange(20.0, 90.0).unsqueeze(1)
    with torch.no_grad():
        axes.plot(line.numpy(), model(0.1 * line).numpy(), color="tab:orange", label="network")
    kept = story["val_indices"]
    axes.plot(story["t_u"][kept].numpy(), story["t_c"][kept].numpy(), "o", markersize=12, fillstyle="none",
              color="black", label="kept aside")
    axes.legend(frameon=False)


def _validation(axes, story):
    for name, style in (("linear", "tab:blue"), ("network", "tab:orange")):
        training, validation = zip(*story[f"{name}_losses"], strict=True)
        axes.plot(training, color=style, label=f"{name}, training")
        axes.plot(validation, color=style, linestyle="--", label=f"{name}, validation")
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean squared error")
    axes.legend(frameon=False)


def _page(story):
    figures = "\n".join(
        f'<figure><h2>{escape(title)}</h2><img src="{name}" alt="{escape(title)}: '
        f'{escape(caption)}"><figcaption>{escape(caption)}'
        "</figcaption></figure>" for name, (title, caption) in CAPTIONS.items())
    w, b = story["params"].tolist()
    rows = "".join(f"<tr><td>{name}</td><td>{loss:.6f}</td></tr>" for name, loss in (
        ("gradient descent, 1,000 epochs", story["sgd_losses"][-1]), ("Adam, 1,000 epochs", story["adam_losses"][-1]),
        ("network of 8 tanh units, training", story["network_losses"][-1][0]),
        ("network, validation", story["network_losses"][-1][1])))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>tinygrad_edu: the tour</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
figure {{ margin: 2.5rem 0; }} img {{ max-width: 100%; }} figcaption {{ color: #444; }}
table {{ border-collapse: collapse; }} td {{ padding: .2rem 1rem .2rem 0; border-bottom: 1px solid #ddd; }}
</style></head><body>
<h1>From tensors to a trained network</h1>
<p>Trained on {escape(str(story["device"]))}. What the unknown thermometer shows, times {w / 10:.4f}, plus {b:.4f}, is
degrees Celsius; the conversion from Fahrenheit is 0.5556 and -17.7778.</p>
<table><tr><th align="left">model</th><th align="left">mean squared error</th></tr>{rows}</table>
{figures}
</body></html>
"""
