"""Whole programs on CUDA do what they do on the CPU: random ones, the tutorial's, the book's, a CNN, a character GPT.

Small here, on the simulator's Python back end; of the size that their authors gave them under `-m slow`.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

import tinygrad_edu as torch
from tests import test_programs
from tinygrad_edu import nn, optim
from tinygrad_edu.nn import functional as F

T_C = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]
T_U = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]


def same(there, here, rtol=2e-5):
    """Losses, printed numbers or parameters that differ by rounding only."""
    np.testing.assert_allclose(there, here, rtol, 1e-6)


# ---- random programs: views, in-place writes and ops, with what is seen after each statement and the gradients
def run_on(device, lines):
    with torch.device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")            # of detours
        return test_programs.run(torch, lines)


def compare(lines):
    """The same is seen of every tensor after each statement (values, strides, versions, nodes), the same is refused."""
    for (line, mine, there), (_, right, here) in zip(run_on("cuda", lines), run_on("cpu", lines), strict=True):
        mine = mine and (mine[0], mine[1].replace("torch.cuda.", "torch."))     # the name of a changed tensor's type
        assert mine == right, f"{line}: {mine} on cuda, {right} on the CPU, in\n" + "\n".join(lines)
        for name in here:
            assert test_programs.same(there[name], here[name]), (
                f"after {line}: {name} is {there[name]} on cuda, {here[name]} on the CPU, in\n" + "\n".join(lines))


@given(test_programs.programs())
@test_programs.settings(test_programs.quick, max_examples=25)
def some_programs(lines):
    compare(lines)


@given(test_programs.programs())
@test_programs.settings(test_programs.quick, max_examples=1000, derandomize=False)
def many_programs(lines):
    compare(lines)


def test_random_programs(cuda):
    some_programs()


@pytest.mark.slow
def test_many_random_programs(cuda):
    many_programs()


# ---- the tutorial: a thermometer whose unit nobody remembers
def thermometer(device, kind, lr, epochs):
    t_u, t_c = 0.1 * torch.tensor(T_U, device=device), torch.tensor(T_C, device=device)
    params = torch.tensor([1.0, 0.0], requires_grad=True, device=device)
    optimizer, losses = getattr(optim, kind)([params], lr=lr), []
    for _ in range(epochs):
        loss = ((params[0] * t_u + params[1] - t_c) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, params.tolist()


@pytest.mark.parametrize("kind, lr", [("SGD", 1e-2), ("Adam", 1e-1)])
def test_the_loop_of_the_tutorial(kind, lr, cuda, no_detours):
    (there, w), (here, v) = thermometer("cuda", kind, lr, 25), thermometer("cpu", kind, lr, 25)
    same(there, here), same(w, v)


@pytest.mark.slow
@pytest.mark.parametrize("kind, lr, losses, end", [
    ("SGD", 1e-2, {100: 22.148710, 200: 16.608067, 1000: 3.828538}, [4.8021, -14.1031]),
    ("Adam", 1e-1, {100: 18.730587, 200: 8.292550, 300: 4.275753, 500: 2.962302, 1000: 2.927647}, [5.3676, -17.3044])])
def test_the_numbers_of_the_tutorial(kind, lr, losses, end, cuda, no_detours):
    found, params = thermometer("cuda", kind, lr, 1000)
    assert [found[n - 1] for n in losses] == pytest.approx(list(losses.values()), rel=1e-5)
    assert params == pytest.approx(end, rel=1e-4)


def by_hand(device):
    """The derivative worked out on paper, as in the tutorial's first half."""
    t_u, t_c = 0.1 * torch.tensor(T_U, device=device), torch.tensor(T_C, device=device)
    params, losses = torch.tensor([1.0, 0.0], device=device), []
    for _ in range(20):
        w, b = params
        t_p = w * t_u + b
        losses.append(((t_p - t_c) ** 2).mean().item())
        slope = 2 * (t_p - t_c) / t_p.size(0)
        params = params - 1e-2 * torch.stack([(slope * t_u).sum(), (slope * 1.0).sum()])
    return losses


def test_learning_by_hand(cuda, no_detours):
    same(by_hand("cuda"), by_hand("cpu"))


# ---- the book's networks, with `.to(device)`
def network(device, epochs):
    """Chapter 6: a Sequential with names, a split into training and validation, MSELoss."""
    torch.manual_seed(0)
    t_u, t_c = (0.1 * torch.tensor(T_U)).unsqueeze(1), torch.tensor(T_C).unsqueeze(1)
    order = torch.randperm(11)
    train, val = order[:-2], order[-2:]
    layers = OrderedDict(hidden=nn.Linear(1, 13), activation=nn.Tanh(), output=nn.Linear(13, 1))
    model = nn.Sequential(layers).to(device)
    x, y, x_val, y_val = (a.to(device) for a in (t_u[train], t_c[train], t_u[val], t_c[val]))
    optimizer, loss_fn, losses = optim.SGD(model.parameters(), lr=1e-3), nn.MSELoss(), []
    for _ in range(epochs):
        loss = loss_fn(model(x), y)
        with torch.no_grad():
            loss_val = loss_fn(model(x_val), y_val)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses += [loss.item(), loss_val.item()]
    return losses + model.output.weight.grad.flatten().tolist()


def test_the_network_of_the_book(cuda, no_detours):
    same(network("cuda", 6), network("cpu", 6))


def classifier(device, steps, size=8, batch=4):
    """Chapter 7: a picture flattened, two layers, LogSoftmax and NLLLoss, and the accuracy at the end."""
    torch.manual_seed(1)
    pictures, labels = torch.rand(batch, 1, size, size).to(device), torch.randint(0, 2, (batch,)).to(device)
    model = nn.Sequential(nn.Linear(size * size, 12), nn.Tanh(), nn.Linear(12, 2), nn.LogSoftmax(dim=1)).to(device)
    optimizer, loss_fn, losses = optim.SGD(model.parameters(), lr=0.1, momentum=0.9), nn.NLLLoss(), []
    for _ in range(steps):
        loss = loss_fn(model(pictures.view(batch, -1)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        _, predicted = torch.max(model(pictures.view(batch, -1)), dim=1)
    return [*losses, int((predicted == labels).sum())]


def test_the_classifier_of_the_book(cuda, no_detours):
    same(classifier("cuda", 4), classifier("cpu", 4))


class Residual(nn.Module):
    """Chapter 8: a block of convolution, batch norm and ReLU, added to its input."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.constant_(self.norm.weight, 0.5)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x))) + x


def convolutions(device, steps):
    torch.manual_seed(2)
    pictures, labels = torch.rand(2, 2, 6, 6).to(device), torch.tensor([0, 1]).to(device)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), Residual(3), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(27, 2)).to(device)
    optimizer, losses = optim.AdamW(model.parameters(), lr=1e-2), []
    for _ in range(steps):
        loss = F.cross_entropy(model(pictures), labels) + 1e-3 * sum(p.pow(2.0).sum() for p in model.parameters())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return [*losses, *model[1].norm.running_mean.tolist()]


def test_the_convolutions_of_the_book(cuda, no_detours):
    same(convolutions("cuda", 2), convolutions("cpu", 2), 1e-4)


# ---- the examples
def cnn(device, steps, count, size):
    """examples/small_cnn.py without dropout, whose numbers are another device's own."""
    from examples import small_cnn
    torch.manual_seed(0)
    pictures, labels = small_cnn.pictures(count)
    model = small_cnn.Net()
    model.classify[1].p = 0.0
    model, pictures, labels = model.to(device), pictures.to(device), labels.to(device)
    optimizer, losses = optim.Adam(model.parameters(), lr=5e-3), []
    for step in range(steps):
        at = step * size % count
        loss = nn.CrossEntropyLoss()(model(pictures[at:at + size]), labels[at:at + size])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_cnn_trains(cuda, no_detours):
    same(cnn("cuda", 2, 4, 2), cnn("cpu", 2, 4, 2), 1e-4)


@pytest.mark.slow
def test_a_cnn_trains_longer(cuda, no_detours):
    same(cnn("cuda", 20, 320, 32), cnn("cpu", 20, 320, 32), 1e-3)


def gpt(device, steps, batch, **sizes):
    """examples/char_gpt.py with other sizes."""
    from examples import char_gpt
    with pytest.MonkeyPatch.context() as patch:
        for name, size in sizes.items():
            patch.setattr(char_gpt, name, size)
        torch.manual_seed(0)
        letters = sorted(set(char_gpt.TEXT))
        data = torch.tensor([letters.index(c) for c in char_gpt.TEXT], device=device)
        model, time = char_gpt.GPT(len(letters)).to(device), char_gpt.CONTEXT
        optimizer, losses = optim.AdamW(model.parameters(), lr=3e-3), []
        for step in range(steps):
            x = torch.stack([data[s:s + time] for s in range(step, step + 11 * batch, 11)])
            y = torch.stack([data[s + 1:s + 1 + time] for s in range(step, step + 11 * batch, 11)])
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses


def test_a_character_gpt_trains(cuda, no_detours):
    small = {"CONTEXT": 6, "SIZE": 8, "HEADS": 2, "LAYERS": 1, "batch": 2}
    same(gpt("cuda", 2, **small), gpt("cpu", 2, **small), 1e-4)


@pytest.mark.slow
def test_a_character_gpt_trains_longer(cuda, no_detours):
    same(gpt("cuda", 20, 16), gpt("cpu", 20, 16), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("example, arguments, promise", [
    ("small_cnn", ["--epochs", "2"], r"validation accuracy (0\.[89]|1\.)"),
    ("char_gpt", ["--steps", "100"], r"step  100, loss [01]\.")])
def test_examples_run_on_cuda(example, arguments, promise):
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    if not torch.cuda.is_available():
        environment["TINYGRAD_EDU_CUDA"] = "simulator"
    done = subprocess.run([sys.executable, root / "examples" / f"{example}.py", "--device", "cuda", *arguments],
                          capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert re.search(promise, done.stdout), done.stdout


# ---- without numba, and all else that need not be there
ALONE = """
import sys
for name in ("numba", "llvmlite", "matplotlib", "tqdm", "torch", "ml_dtypes", "h5py"):
    sys.modules[name] = None
import tinygrad_edu as torch
assert torch.cuda.is_available() and torch.cuda.get_device_name() == "tinygrad_edu simulator"
from tests.test_cuda_programs import classifier, network
print(classifier("cuda", 2), network("cuda", 2))
"""


def test_the_simulator_needs_numpy_alone(tmp_path):
    (tmp_path / "alone.py").write_text(ALONE)
    found = run_alone([tmp_path / "alone.py"], tmp_path, TINYGRAD_EDU_CUDA="simulator")
    assert found.returncode == 0, found.stderr
    numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", found.stdout)]
    same(numbers, [*classifier("cpu", 2), *network("cpu", 2)])


def run_alone(arguments, folder, **environment):
    """A program in a process of its own, in an empty folder."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("TINYGRAD_EDU_")}
    paths = os.pathsep.join([str(Path(__file__).parent.parent), inherited.get("PYTHONPATH", "")])
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True,
                          env={**inherited, "PYTHONPATH": paths, **environment})


# ---- the tour
SHORT = """
import functools, sys
for name in {blocked}:
    sys.modules[name] = None
from tinygrad_edu import __main__, tour
count = tour.epochs
tour.epochs = lambda n: count(min(n, {most}))
sys.exit(__main__.main(["--no-plots", *sys.argv[1:]]))
"""
NUMBER = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?")


def tour_on(device, folder, most, blocked=(), **environment):
    program = SHORT.format(blocked=tuple(blocked), most=most)
    return run_alone(["-c", program, "--device", device], folder, **environment)


def text_and_numbers(printed):
    """What the tour printed, without what names the device, and its numbers."""
    printed = printed.replace(", device='cuda:0'", "")
    steps = [line for line in printed.splitlines() if "cuda" not in line and "cpu" not in line]
    text = re.sub(r"\s+", "", NUMBER.sub("#", "\n".join(steps)))
    return text, [float(n) for n in NUMBER.findall("\n".join(steps))]


def check_tour(folder, most, blocked=(), networks=2e-4, **environment):
    """The same text and the same numbers, which have four digits; `networks`: how close in the last steps."""
    here = tour_on("cpu", folder, most, **environment)
    there = tour_on("cuda", folder, most, blocked, **environment)
    assert here.returncode == 0 and there.returncode == 0, there.stderr
    assert there.stdout.count("device='cuda:0'") > 20 and "Training on device cuda" in there.stdout
    for title, end, close in (("", "11. A network", 2e-4), ("11. A network", None, networks)):
        (text, numbers), (right, wanted) = (text_and_numbers(cut(done.stdout, title, end)) for done in (there, here))
        assert text == right
        same(numbers, wanted, close)


def cut(printed, start, end):
    printed = printed[:printed.index("\nDone in")]
    return printed[printed.index(start):printed.index(end) if end else None]


def test_the_tour_on_cuda_with_numpy_alone(tmp_path):
    check_tour(tmp_path, 3, ("numba", "llvmlite", "matplotlib", "tqdm"), TINYGRAD_EDU_CUDA="simulator")


@pytest.mark.slow
def test_the_whole_tour_on_cuda(tmp_path):
    """After 1,000 epochs networks have made more of a rounding: on the CPU alone, one in the last place of one weight
    moves their validation loss by 0.6%."""
    check_tour(tmp_path, 1000, networks=2e-2, TINYGRAD_EDU_CUDA="simulator")


def test_without_a_gpu_the_tour_names_both_ways_out(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    found = tour_on("cuda", tmp_path, 1)
    assert found.returncode == 2 and not found.stdout
    assert "Torch not compiled with CUDA enabled" in found.stderr
    assert "device='cpu'" in found.stderr and "TINYGRAD_EDU_CUDA=simulator" in found.stderr
