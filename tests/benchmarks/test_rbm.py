"""`benchmarks/rbm.py`: both steps are those of contrastive divergence."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import cavs  # noqa: E402
from cavs.models import RBM  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("_rbm", ROOT / "benchmarks" / "rbm.py")
assert _spec is not None
assert _spec.loader is not None
rbm = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rbm)


def test_steps_move_the_same_way_on_average():
    """Over many images that are alike, so that their draws average out."""
    torch.manual_seed(0)
    cavs.nn.init.manual_seed(0)
    function, count = RBM(6, 3, steps=2), 40_000
    function.weight.data[...] *= 100
    images = np.tile(np.float32([1, 0, 1, 1, 0, 0]), (count, 1))
    theirs = rbm.TorchRBM(function, images, lr=0.5)
    theirs.step()
    model = cavs.compile(function)
    optimizer = cavs.optim.SGD(model.parameters(), lr=0.5)
    graphs = cavs.batch([cavs.InputGraph([[]])] * count)
    before = function.weight.numpy().copy()
    model.step(graphs, optimizer, loss="loss", scale=1 / count, image=images)
    assert np.abs(function.weight.numpy() - before).max() > 0.05
    for ours, other in (
        (function.weight, theirs.weight),
        (function.visible_bias, theirs.visible),
        (function.hidden_bias, theirs.hidden),
    ):
        np.testing.assert_allclose(ours.numpy(), other.numpy(), atol=0.01)


def test_a_line_is_printed(capsys):
    rbm.measure(1, hidden=20, rows=50, rounds=2, data=None, explain=False)
    line = capsys.readouterr().out
    assert line.startswith("CD-1, 20 hidden, 50 images: cavs ")
    assert "floor" in line
