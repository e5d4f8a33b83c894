"""Images completed by Boltzmann machines, against the conditional by sums over all states."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import read_small, write_bars

from cavs.cli import main
from cavs.errors import InputError, ShapeError
from cavs.models import DBM, DBN, RBM
from cavs.training import Checkpoint, complete_images, save_checkpoint
from cavs.training.completion import half

PIXELS = 4


def make(kind: Any, *sizes: int) -> Any:
    rng = np.random.default_rng(7)
    machine = kind(PIXELS, *sizes)
    for parameter in machine.parameters():
        parameter.data[...] = rng.normal(size=parameter.shape)
    return machine


def states(size: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=size)))


def likelihood(machine: Any) -> np.ndarray:
    """p of all images, but for Z."""
    rbm = getattr(machine, "joint", machine)
    held = (rbm.weight, rbm.visible_bias, rbm.hidden_bias)
    w, b, c = (p.numpy().astype(np.float64) for p in held)
    x = states(rbm.image_size)
    score = x @ b + np.logaddexp(0, x @ w.T + c).sum(1)
    found: np.ndarray = np.exp(score).reshape(2**PIXELS, -1).sum(1)  # over the top bits
    return found


@pytest.mark.parametrize(("kind", "sizes"), [(RBM, (3,)), (DBM, (3, 2))])
def test_what_is_drawn_is_of_the_conditional(kind: Any, sizes: tuple[int, ...]) -> None:
    machine, known = make(kind, *sizes), np.array([1, 0, 0, 1])
    image, x = np.float32([1, 0, 0, 0]), states(PIXELS)
    fits = ((x == image) | (known == 0)).all(1)
    p = np.where(fits, likelihood(machine), 0)
    expected = p @ x / p.sum()
    found = complete_images(machine, np.tile(image, (4000, 1)), known, 33, seed=2)
    np.testing.assert_array_equal(found[:, known == 1], np.tile(image[known == 1], (4000, 1)))
    np.testing.assert_allclose(found.mean(0), expected, atol=0.02)
    free = likelihood(machine)
    assert np.abs(free @ x / free.sum() - expected).max() > 0.05  # the known ones matter
    few = complete_images(machine, np.tile(image, (5, 1)), known, 33, seed=2)
    np.testing.assert_array_equal(found[:5], few)


def test_halves() -> None:
    left, bottom = half("left", 2, 3), half("bottom", 3, 2)
    np.testing.assert_array_equal(left.reshape(2, 3), [[1, 0, 0]] * 2)
    np.testing.assert_array_equal(bottom.reshape(3, 2), [[0, 0], [0, 0], [1, 1]])
    assert half("right", 4, 4).sum() == half("top", 4, 4).sum() == 8


def test_wrong_arrays_are_refused() -> None:
    rbm, image = make(RBM, 3), np.zeros((2, PIXELS))
    with pytest.raises(ShapeError, match=r"expected images of shape \(images, 4\) .* \(2, 3\)"):
        complete_images(rbm, image[:, 1:], np.ones(PIXELS))
    with pytest.raises(InputError, match="expected images and known of 0 and 1, got others"):
        complete_images(rbm, image + 0.5, np.ones(PIXELS))
    with pytest.raises(InputError, match="expected an RBM or a DBM as machine"):
        complete_images(DBN(PIXELS, (3,)), image, np.ones(PIXELS))  # type: ignore[arg-type]
    assert complete_images(rbm, image[:0], np.ones(PIXELS)).shape == (0, PIXELS)


def test_the_command_draws_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("matplotlib.image")
    read_small(monkeypatch, 4)
    data = str(write_bars(tmp_path, 4, 60, 20))
    small = ["--epochs", "1", "--dev-temperatures", "3", "--test-temperatures", "3"]
    small += ["--hidden-size", "3", "--top-size", "2", "--batch-size", "30"]
    assert main(["train", "dbm", "--data", data, "--output", str(tmp_path / "dbm"), *small]) == 0
    picture, options = tmp_path / "half.png", ["-n", "3", "--steps", "5", "--complete", "top"]
    best = str(tmp_path / "dbm" / "best.safetensors")
    assert main(["sample", best, *options, "--output", str(picture)]) == 0
    pixels = image.imread(picture)[:, :, 0]
    assert pixels.shape == (3 * 5 - 1, 3 * 5 - 1)
    np.testing.assert_allclose(pixels[:2, :4], 0.5, atol=1 / 255)  # not given
    np.testing.assert_array_equal(pixels[2:4, 5:9], pixels[2:4, 10:14])  # as in the image
    dbn = DBN(16, (3,), 2)
    sizes = {"image_size": 16, "hidden_sizes": [3], "top_size": 2, "steps": 1}
    best = str(tmp_path / "dbn.safetensors")
    save_checkpoint(best, Checkpoint("dbn", sizes, None, dbn.state_dict()))
    capsys.readouterr()
    assert main(["sample", best, *options]) == 1
    said = capsys.readouterr().err
    assert "expected --complete for an rbm or a dbm" in said
    assert said.count("\n") == 1
