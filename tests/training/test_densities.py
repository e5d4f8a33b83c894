"""MADE, NADE and PixelCNN as the command line trains, judges and draws from them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import read_small, write_bars
from resumed_runs import assert_same_run, left_and_resumed

import cavs
from cavs.errors import DataError, InputError
from cavs.models import MADE
from cavs.training import Density, TrainingRun, make_task
from cavs.training.tasks import DensitySource, DensityTask, Trained

PIXELS = 9


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_bars(tmp_path, 3, 200, 30)


@pytest.fixture(autouse=True)
def _small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    read_small(monkeypatch, 3)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "made": ("made", {}),
    "masks": (
        "made",
        {"num_masks": 4, "orders": "many", "num_layers": 2, "test_orders": 4, "dev_orders": 2},
    ),
    "nade": ("nade", {}),
    "orders": ("nade", {"orders": "many", "test_orders": 3, "lr": 0.02}),
    "pixelcnn": ("pixelcnn", {"channels": 6, "num_layers": 2}),
}


def start(directory: Path, data: Path, case: str, **more: Any) -> TrainingRun:
    model, given = CASES[case]
    small = {"epochs": 25, "batch_size": 20, "lr": 0.01}
    sizes = {} if model == "pixelcnn" else {"hidden_size": 30}
    task, config = make_task(model, {"data": str(data), **small, **sizes, **given, **more})
    return TrainingRun.start(directory, task, config)


@pytest.mark.parametrize("case", CASES)
def test_it_learns_is_judged_and_draws(tmp_path: Path, data: Path, case: str) -> None:
    run = start(tmp_path / "run", data, case)
    assert run.fit()
    test = run.test
    assert test is not None
    # Six bars: log 6 is the entropy; independent pixels need 9 h(1 / 3) = 5.7 nats.
    assert np.log(6) - 0.05 < test["nll"] < 4.0
    assert test["nll"] <= test["one"] + 1e-6
    trained = Trained.load(tmp_path / "run" / "best.safetensors")
    assert DensityTask.evaluate(trained, "test").scores == pytest.approx(test, rel=1e-5)
    images = DensityTask.sample(trained, 60, seed=1)
    bars = {x.tobytes() for x in run.task.split("train").astype(np.float32)}
    assert np.mean([x.tobytes() in bars for x in images]) > 0.08  # 2 % by chance
    np.testing.assert_array_equal(DensityTask.sample(trained, 7, seed=1), images[:7])


def test_orders_are_averaged_as_a_mixture(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data, "masks", num_masks=3, test_orders=3)
    function: Any = run.model.function
    x = run.task.split("test").astype(np.float32)
    graphs = cavs.batch([cavs.InputGraph([[]])] * len(x))
    model = cavs.compile(function, outputs=["loss"])
    log_p = np.array(
        [-model(graphs, image=x, **function.in_order(k))["loss"].numpy() for k in range(3)]
    )
    scores = run.task.objective.evaluate(run.model, run.task.batches("test"), lambda: False)
    assert scores is not None
    assert scores["nll"] == pytest.approx(-np.log(np.exp(log_p).mean(axis=0)).mean(), rel=1e-5)
    assert scores["one"] == pytest.approx(-log_p.mean(), rel=1e-5)


def test_a_mixture_of_orders_is_a_density(tmp_path: Path, data: Path) -> None:
    """By the objective, image by image: probabilities of all images sum to 1."""
    graph = cavs.batch([cavs.InputGraph([[]])])
    for case in ("masks", "orders"):
        run = start(tmp_path / case, data, case)
        total = 0.0
        for x in itertools.product((0.0, 1.0), repeat=PIXELS):
            times = [(graph, {"image": np.float32([x])})] * 3
            scores = run.task.objective.evaluate(run.model, times, lambda: False)
            assert scores is not None
            total += np.exp(-scores["nll"])
        assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_was_left_goes_on_bit_for_bit(tmp_path: Path, data: Path, case: str) -> None:
    whole = start(tmp_path / "whole", data, case, epochs=3)
    assert whole.fit()
    parts = start(tmp_path / "parts", data, case, epochs=3)
    resumed = left_and_resumed(parts, 13)
    assert_same_run(resumed, whole)


def test_steps_take_masks_in_turn() -> None:
    function = MADE(4, 3, num_masks=3, orders="many")
    model = cavs.compile(function)
    objective = Density(cycles=True)
    graph, x = cavs.InputGraph([[]]), np.zeros((1, 4), np.float32)
    for step in range(7):
        given = objective.inputs(model)
        for name, values in function.in_order(step % 3).items():
            np.testing.assert_array_equal(given[name], values)
        model(graph, image=x, **given)


def test_what_it_cannot_do(tmp_path: Path, data: Path) -> None:
    with pytest.raises(InputError, match="expected test_orders of at least 1, got 0"):
        DensitySource("file", test_orders=0)
    with pytest.raises(InputError, match="dev_orders of at most 1, as many"):
        start(tmp_path / "few", data, "made", dev_orders=2)
    with pytest.raises(InputError, match="test_orders of at most 4, as many"):
        start(tmp_path / "few", data, "masks", test_orders=5)
    with pytest.raises(InputError, match="expected one of one, many as orders, got 'two'"):
        make_task("nade", {"data": str(data), "orders": "two"})
    with pytest.raises(InputError, match=r"expected options among .*, got 'num_masks'"):
        make_task("nade", {"data": str(data), "num_masks": 2})
    with pytest.raises(InputError, match=r"expected an odd integer .* as kernel_size, got 4"):
        make_task("pixelcnn", {"data": str(data), "kernel_size": 4})
    run = start(tmp_path / "run", data, "nade")
    run.task.arguments["image_size"] = 16
    with pytest.raises(DataError, match="expected images of 16 pixels, as the model has, got 9"):
        TrainingRun(tmp_path, run.task, run.model, run.trainer.config)
