"""Boltzmann machines as the command line trains them."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import read_small, write_bars, write_labelled
from resumed_runs import assert_same_run, left_and_resumed

from cavs.errors import CheckpointError, DataError, InputError
from cavs.training import (
    BoltzmannSource,
    BoltzmannTask,
    TrainingConfig,
    TrainingRun,
    load_checkpoint,
    log_partition,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_bars(tmp_path, 4, 300, 40)


@pytest.fixture(autouse=True)
def _small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    read_small(monkeypatch, 4)


def start(directory: Path, data: Path, epochs: int = 20, **changes: Any) -> TrainingRun:
    few = {"dev_temperatures": 20, "test_temperatures": 200}
    source = BoltzmannSource(str(data), **{**few, **changes})
    task = BoltzmannTask.create("rbm", source, hidden_size=12)
    config = TrainingConfig(
        epochs=epochs,
        batch_size=20,
        optimizer="sgd",
        lr=0.2,
        lr_schedule="linear",
        weight_decay=0.0,
        patience=0,
    )
    return TrainingRun.start(directory, task, config)


def exact_nll(run: TrainingRun) -> float:
    """-log p of a test image, by a sum over all images."""
    found: Any = run.model.function
    held = (found.weight, found.visible_bias, found.hidden_bias)
    w, b, c = (x.numpy().astype(np.float64) for x in held)
    score = lambda x: x @ b + np.logaddexp(0, x @ w.T + c).sum(1)  # noqa: E731
    states = np.array(list(itertools.product([0.0, 1.0], repeat=16)))
    test = run.task.split("test").astype(np.float64)
    return float(np.logaddexp.reduce(score(states)) - score(test).mean())


def lower_of(run: TrainingRun) -> dict[str, np.ndarray]:
    """The parameters of the lower layers of a deep belief network."""
    found = run.model.state_dict()
    return {name: value for name, value in found.items() if name.startswith("lower.")}


@pytest.mark.parametrize("how", [{"k": 3}, {"persistent": True}], ids=["images", "chains"])
def test_it_learns_and_is_judged_rightly(tmp_path: Path, data: Path, how: dict[str, Any]) -> None:
    run = start(tmp_path / "run", data, **how)
    assert run.fit()
    assert run.test is not None
    # Eight bars: log 8 is the entropy; independent pixels need 16 h(1 / 4) = 9.0 nats.
    assert np.log(8) < run.test["nll"] < 6.0
    assert run.test["nll"] == pytest.approx(exact_nll(run), abs=0.15)
    found = log_partition(run.model.function, temperatures=300, seed=1)
    assert run.test["log_z"] == pytest.approx(found.value, abs=0.3)
    assert "diverged" not in run.trainer.history[0]


@pytest.mark.parametrize("stop", [5, 15 + 2])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, data: Path, stop: int) -> None:
    """With chains that go on, left within an epoch and while an epoch is judged."""
    whole = start(tmp_path / "whole", data, epochs=3, persistent=True)
    assert whole.fit()
    parts = start(tmp_path / "parts", data, epochs=3, persistent=True)
    resumed = left_and_resumed(parts, stop)
    assert_same_run(resumed, whole)
    chains: Any = resumed.task.objective.arrays()
    for name, array in whole.task.objective.arrays().items():
        np.testing.assert_array_equal(chains[name], array)
    assert whole.task.objective.arrays()["chain.image"].any()


def test_chains_of_another_run_are_refused(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data, epochs=1, persistent=True)
    assert run.fit()
    path = tmp_path / "run" / "last.safetensors"
    checkpoint = load_checkpoint(path)
    checkpoint.objective["chain.image"] = checkpoint.objective["chain.image"][:-1]
    with pytest.raises(CheckpointError, match=r"float32 \(100, 16\) as 'chain.image'"):
        TrainingRun.resume(path, checkpoint, run.trainer.config, path.parent)


def test_images_of_another_size_are_refused(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data)
    run.task.arguments["image_size"] = 9
    with pytest.raises(DataError, match="expected images of 9 pixels, as the model has,"):
        TrainingRun(tmp_path, run.task, run.model, run.trainer.config)


@pytest.mark.parametrize("name", ["k", "chains", "dev_temperatures", "test_chains"])
def test_there_is_one_at_least(name: str) -> None:
    with pytest.raises(InputError, match=rf"expected {name} of at least 1, got 0"):
        BoltzmannSource("file", **{name: 0})


def test_layers_are_learnt_one_after_the_other(tmp_path: Path, data: Path) -> None:
    """The bound is no worse than the likelihood of the lower RBM alone, but for what is lost where
    q is not the posterior; from a random lower layer nothing is learnt."""
    first = start(tmp_path / "rbm", data, k=3)
    assert first.fit()
    lower = str(tmp_path / "rbm" / "best.safetensors")
    scores = {}
    for name, made in (("learnt", {"layers": lower}), ("random", {})):
        source = BoltzmannSource(str(data), k=3, dev_temperatures=20, test_temperatures=100)
        task = BoltzmannTask.create("dbn", source, hidden_sizes="12", top_size=12, **made)
        run = TrainingRun.start(tmp_path / name, task, first.trainer.config)
        assert bool(task.remarks) == (name == "random")
        held = lower_of(run)
        before = {key: value.copy() for key, value in held.items()}
        assert run.fit()
        for key, value in lower_of(run).items():
            np.testing.assert_array_equal(value, before[key])
        if name == "learnt":
            best = first.trainer.best_parameters()
            for key, value in {
                "0.up.weight": best["weight"],
                "0.down.weight": best["weight"].T,
                "0.up.bias": best["hidden_bias"],
                "0.down.bias": best["visible_bias"],
            }.items():
                np.testing.assert_array_equal(before[f"lower.{key}"], value)
        assert run.test is not None
        scores[name] = run.test["nll"]
    assert first.test is not None
    assert scores["learnt"] < first.test["nll"] + 1.5
    assert scores["random"] > 8.0


def test_a_deep_machine_learns_by_mean_field_and_chains(tmp_path: Path, data: Path) -> None:
    source = BoltzmannSource(
        str(data), k=2, persistent=True, dev_temperatures=20, test_temperatures=1000
    )
    task = BoltzmannTask.create("dbm", source, hidden_size=12, top_size=6)
    run = TrainingRun.start(tmp_path / "run", task, start(tmp_path, data).trainer.config)
    assert run.fit()
    assert run.test is not None
    # Eight bars: log 8 is the entropy; independent pixels need 16 h(1 / 4) = 9.0 nats.
    assert np.log(8) < run.test["nll"] < 7.0
    joint: Any = run.model.function.joint
    held = (joint.weight, joint.visible_bias, joint.hidden_bias)
    w, b, c = (x.numpy().astype(np.float64) for x in held)
    h = np.array(list(itertools.product([0.0, 1.0], repeat=12)))
    exact = np.logaddexp.reduce(np.logaddexp(0, h @ w + b).sum(1) + h @ c)
    assert run.test["log_z"] == pytest.approx(exact, abs=0.15)
    chains = task.objective.arrays()["chain.image"]
    assert chains.shape == (100, 16 + 6)


def test_greys_of_idx_files_become_bits(tmp_path: Path) -> None:
    folder = write_labelled(tmp_path / "idx", 4, 132, 8)
    images: Any = start(tmp_path / "run", folder).task.split("train")
    assert images.dtype == np.uint8
    assert set(np.unique(images)) == {0, 1}
    rows = images.reshape(121, 4, 4)
    assert (rows == rows[:, :, :1]).all()  # a bright row each, which is the label
    assert (rows[:, :, 0].argmax(axis=1) == np.arange(121) % 4).all()
