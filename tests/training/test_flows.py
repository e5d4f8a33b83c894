"""Normalising flows as the command line trains them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import write_idx
from resumed_runs import assert_same_run, left_and_resumed
from user_model_files import write_digits

from cavs.data import labelled_images
from cavs.errors import DataError, InputError, ShapeError
from cavs.models import VAE, Flow
from cavs.training import TrainingRun, make_task
from cavs.training.flows import set_first_norms
from cavs.training.tasks import FlowSource, FlowTask, Trained

SIZES = {"hidden_size": 6, "num_layers": 2, "batch_size": 20, "lr": 0.01}


def write_greys(folder: Path, side: int = 4) -> Path:
    """Images of MNIST's form: one grey each, with noise."""
    rng, splits = np.random.default_rng(0), {}
    for name, count in (("train", 132), ("t10k", 30)):
        grey = rng.integers(0, 255, (count, 1, 1)) + rng.integers(-9, 10, (count, side, side))
        splits[name] = np.clip(grey, 0, 255), np.arange(count) % 3
    return write_idx(folder, splits)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_greys(tmp_path_factory.mktemp("data") / "greys")


def start(directory: Path, data: Path, **given: Any) -> TrainingRun:
    sizes = {**SIZES, "epochs": 2, **given}
    if given.get("kind") == "planar":
        del sizes["hidden_size"]
    task, config = make_task("flow", {"data": str(data), **sizes})
    return TrainingRun.start(directory, task, config)


@pytest.mark.parametrize("kind", ["planar", "realnvp", "maf", "glow"])
def test_each_kind_learns_and_draws(tmp_path: Path, data: Path, kind: str) -> None:
    """Pixels of an image are nearly alike: that takes some bits off each."""
    run = start(tmp_path, data, kind=kind, epochs=6)
    assert run.fit()
    first, last = run.trainer.history[0]["dev"], run.trainer.history[-1]["dev"]
    assert last["bits"] < min(first["bits"], 8)
    assert last["nll"] == pytest.approx(last["bits"] * 16 * np.log(2))
    trained = Trained.load(tmp_path / "best.safetensors")
    images = FlowTask.sample(trained, 5, seed=0)
    assert images.shape == (5, 16)
    assert images.std() > 0.05
    found = FlowTask.evaluate(trained, "test")
    assert found.scores == run.test
    assert "test set of greys: " in found.text
    assert "bits a pixel" in found.text


def test_a_resumed_run_equals_a_whole_one(tmp_path: Path) -> None:
    data = write_digits(tmp_path / "digits.csv", 60)
    whole = start(tmp_path / "whole", data)
    assert whole.fit()
    parts = start(tmp_path / "parts", data)
    resumed = left_and_resumed(parts, 3)
    assert_same_run(resumed, whole)


def test_levels_and_lines_are_those_of_the_data(tmp_path: Path, data: Path) -> None:
    for path, expected in (
        (write_digits(tmp_path / "digits.csv", 60), {"image_size": 64, "width": 8, "levels": 16}),
        (data, {"image_size": 16, "width": 4, "levels": 255}),
    ):
        task, _ = make_task("flow", {"data": str(path)})
        assert {name: task.arguments[name] for name in expected} == expected


def test_data_of_another_model_are_refused(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", write_digits(tmp_path / "digits.csv", 60), epochs=1)
    assert run.fit()
    trained = Trained.load(tmp_path / "run" / "best.safetensors")
    with pytest.raises(DataError, match="expected images of 64 pixels, as the model has, got 16"):
        FlowTask.evaluate(trained, "test", str(data))
    eight = write_greys(tmp_path / "eight", side=8)
    with pytest.raises(DataError, match="expected images of 16 grey levels above black, as the"):
        FlowTask.evaluate(trained, "test", str(eight))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"kind": "planar", "hidden_size": 5}, InputError, "expected --hidden-size with --kind"),
        ({"num_scales": 2}, InputError, "expected --num-scales with --kind glow only, got realnvp"),
        ({"margin": 0.7}, InputError, "a number above 0 and below 0.5"),
        ({"kind": "nice"}, InputError, "planar, realnvp, maf, glow"),
        ({"data": "/nowhere"}, DataError, "expected"),
        ({"data": "/nowhere/digits.csv"}, DataError, "expected"),
    ],
)
def test_what_it_cannot_do(
    data: Path, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_task("flow", {"data": str(data), **given})


def test_odd_sides_of_glow_are_one_line(data: Path) -> None:
    task, config = make_task("flow", {"data": str(data), "kind": "glow", "num_scales": 3})
    with pytest.raises(ShapeError, match="even sides in each of 3 scales of glow, got 1 x 1 in"):
        task.compile(config.seed)


def test_first_norms_are_of_a_flow() -> None:
    not_a_flow: Any = VAE(4, 3, 2)
    with pytest.raises(InputError, match=r"expected a cavs\.models\.Flow"):
        set_first_norms(not_a_flow, np.zeros((2, 4)))
    with pytest.raises(InputError, match="expected images"):
        set_first_norms(Flow("maf", 4, 2, None, 1, 3), np.zeros(4))


def test_the_word_digits_is_those_of_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = write_digits(tmp_path / "file.csv", 60)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(labelled_images, "_file_of_scikit_learn", lambda: file)
    np.testing.assert_array_equal(
        FlowSource("digits").load().train, FlowSource(str(file)).load().train
    )
