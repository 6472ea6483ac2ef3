"""The tour: runs as a newcomer runs it, tells the numbers it promises, and needs numpy alone when it draws nothing."""
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import tinygrad_edu as torch
from tinygrad_edu import __main__ as main
from tinygrad_edu.tour import plots
from tinygrad_edu.tour.graph import graph_svg

PROMISED = ["tensor(1, dtype=torch.int32)", "tensor(1763.8848)", "tensor([4517.2969,   82.6000])",
            "tensor(1763.8848, grad_fn=<MeanBackward0>)", "Epoch 100, Loss 22.148710", "Epoch 200, Loss 16.608067",
            "Epoch 1000, Loss 3.828538", "tensor([  4.8021, -14.1031])", "Epoch 100, Loss 18.730587",
            "Epoch 200, Loss 8.292550", "Epoch 300, Loss 4.275753", "Epoch 500, Loss 2.962302",
            "Epoch 1000, Loss 2.927647", "tensor([  5.3676, -17.3044], requires_grad=True)",
            "hidden.weight 8 torch.Size([8, 1])", "Linear(in_features=1, out_features=8, bias=True)",
            "('batch', 'channels', 'rows', 'columns')"]
BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
"""


def python(code, *arguments, cwd):
    """Run code in a fresh interpreter, in an empty folder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(torch.__file__).parent.parent)}
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=cwd, env=environment, capture_output=True,
                          text=True)


def test_the_tour_tells_its_numbers_and_draws_its_pictures(tmp_path):
    pytest.importorskip("matplotlib", reason="the plots need it")
    done = python("from tinygrad_edu.__main__ import main; import sys; sys.exit(main([]))", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in PROMISED:
        assert text in done.stdout, text
    page = (tmp_path / "tour" / "index.html").read_text()
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert set(shown) == set(plots.CAPTIONS) == {p.name for p in (tmp_path / "tour").iterdir()} - {"index.html"}
    for name in shown:
        content = (tmp_path / "tour" / name).read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 5000 or b"<svg" in content


def test_numpy_alone_is_enough(tmp_path):
    blocked = {"numba", "matplotlib", "tqdm", "h5py", "ml_dtypes", "torch", "scipy", "kernels"}
    code = BLOCKED.format(blocked=blocked) + "from tinygrad_edu.__main__ import main; sys.exit(main(['--no-plots']))"
    done = python(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(text in done.stdout for text in PROMISED)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_tour_says_how_to_get_it(tmp_path):
    code = BLOCKED.format(blocked={"matplotlib"}) + "from tinygrad_edu.__main__ import main; sys.exit(main([]))"
    done = python(code, cwd=tmp_path)
    assert done.returncode == 0 and "pip install matplotlib" in done.stdout


@pytest.mark.parametrize("arguments", [["--devise", "cpu"], ["doctr"], ["--device", "gpu"], ["--device", "cuda:99"],
                                       ["doctor", "--fix"]])
def test_wrong_arguments_are_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main.main(arguments)
    assert error.value.code == 2 and "usage: python -m tinygrad_edu" in capsys.readouterr().err


def test_a_file_in_the_way_is_noticed_before_anything_runs(tmp_path):
    (tmp_path / "tour").write_text("mine")
    done = python("from tinygrad_edu.__main__ import main; sys.exit(main([]))".replace("from", "import sys; from", 1),
                  cwd=tmp_path)
    assert done.returncode == 1 and "tour is a file" in done.stderr and not done.stdout
    assert (tmp_path / "tour").read_text() == "mine"


def test_a_reader_may_stop_reading(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(torch.__file__).parent.parent)}
    child = subprocess.Popen([sys.executable, "-m", "tinygrad_edu", "--no-plots"], cwd=tmp_path, env=environment,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child.stdout.readline()
    child.stdout.close()
    assert child.stderr.read() == "" and child.wait() == 1
    child.stderr.close()


@pytest.mark.parametrize("arguments", [["--help"], ["doctor", "--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main.main(arguments)
    assert error.value.code == 0 and "usage: python -m tinygrad_edu" in capsys.readouterr().out


def test_the_drawing_of_a_graph():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    svg = graph_svg((w * w + w.exp()).sum(), {"weights": w})
    root = ElementTree.fromstring(svg)
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(texts) == ["AddBackward0", "ExpBackward0", "MulBackward0", "SumBackward0", "weights (2,)"]
    arrows = [e for e in root.iter("{http://www.w3.org/2000/svg}path") if e.get("marker-end")]
    assert len(arrows) == 5                        # w * w has two edges to w, drawn as one
    with pytest.raises(ValueError, match="nothing was recorded"):
        graph_svg(torch.ones(2))
