"""Autoencoders of images as the command line trains them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import read_small, write_bars

import cavs
from cavs.errors import DataError, InputError
from cavs.training import ImageSource, ImageTask, TrainingConfig, TrainingRun, load_checkpoint


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_bars(tmp_path, 4, 300, 40)


@pytest.fixture(autouse=True)
def _small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    read_small(monkeypatch, 4)


def start(directory: Path, data: Path, **changes: Any) -> TrainingRun:
    few: dict[str, Any] = {"dev_samples": 8, "test_samples": 200, "test_images": 20}
    source = ImageSource(str(data), **{**few, **changes})
    task = ImageTask.create("iwae", source, hidden_size=16, latent_size=4)
    config = TrainingConfig(
        epochs=8, batch_size=20, optimizer="adam", lr=0.02, weight_decay=0.0, patience=0
    )
    return TrainingRun.start(directory, task, config)


def test_it_learns_and_more_samples_bound_tighter(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data, samples=4)
    assert run.fit()
    best, test = run.trainer.best, run.test
    assert best is not None
    assert test is not None
    # Eight bars: log 8 is the entropy; independent pixels need 16 h(1 / 4) = 9.0 nats.
    assert np.log(8) < test["nll"] < 7.0
    assert -test["elbo"] > test["nll"]
    assert best["dev"]["nll"] < run.trainer.history[0]["dev"]["nll"]


def test_development_images_may_be_trained_on(tmp_path: Path, data: Path) -> None:
    splits = [start(tmp_path, data, with_dev=given).task.corpus for given in (False, True)]
    assert [len(corpus.train) for corpus in splits] == [300, 340]
    np.testing.assert_array_equal(splits[1].train[300:], splits[0].dev)
    np.testing.assert_array_equal(splits[1].dev, splits[0].dev)


@pytest.mark.parametrize("stop", [5, 15 + 3])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, data: Path, stop: int) -> None:
    """Left within an epoch, and while an epoch is judged, which draws samples too."""
    whole = start(tmp_path / "whole", data, dev_samples=2_500)
    assert whole.fit()
    parts = start(tmp_path / "parts", data, dev_samples=2_500)
    left = iter([False] * stop + [True])
    assert not parts.fit(should_stop=lambda: next(left, False))
    path = tmp_path / "parts" / "last.safetensors"
    resumed = TrainingRun.resume(path, load_checkpoint(path), parts.trainer.config, path.parent)
    assert resumed.fit()
    assert resumed.test == whole.test
    for name, array in whole.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name], array)


def start_network(directory: Path, data: Path, estimator: str) -> TrainingRun:
    source = ImageSource(
        str(data), samples=4, dev_samples=8, test_samples=200, test_images=20, estimator=estimator
    )
    task = ImageTask.create("sbn", source, hidden_size=12)
    config = TrainingConfig(
        epochs=20, batch_size=20, optimizer="adam", lr=0.02, weight_decay=0.0, patience=0
    )
    return TrainingRun.start(directory, task, config)


@pytest.mark.parametrize("estimator", ["nvil", "vimco", "wake-sleep"])
def test_discrete_variables_learn(tmp_path: Path, data: Path, estimator: str) -> None:
    run = start_network(tmp_path / "run", data, estimator)
    assert run.fit()
    assert run.test is not None
    # Independent pixels need 9.0 nats.
    assert np.log(8) < run.test["nll"] < 7.0


@pytest.mark.parametrize("estimator", ["nvil", "wake-sleep"])
def test_a_resumed_estimator_equals_an_uninterrupted_one(
    tmp_path: Path, data: Path, estimator: str
) -> None:
    whole = start_network(tmp_path / "whole", data, estimator)
    left = iter([False] * 70 + [True])
    assert not whole.fit(should_stop=lambda: next(left, False))
    parts = start_network(tmp_path / "parts", data, estimator)
    left = iter([False] * 20 + [True])
    assert not parts.fit(should_stop=lambda: next(left, False))
    path = tmp_path / "parts" / "last.safetensors"
    resumed = TrainingRun.resume(path, load_checkpoint(path), parts.trainer.config, path.parent)
    left = iter([False] * 49 + [True])
    assert not resumed.fit(should_stop=lambda: next(left, False))
    assert resumed.trainer.step == whole.trainer.step
    for name, array in whole.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name], array)


def test_an_estimator_is_one_of_them() -> None:
    with pytest.raises(InputError, match="one of the estimators nvil, vimco, wake-sleep"):
        ImageSource("file", estimator="reinforce")
    with pytest.raises(InputError, match="expected 2 samples or more for vimco"):
        ImageSource("file", estimator="vimco")


def test_test_images_come_from_all_over_the_set(tmp_path: Path, data: Path) -> None:
    """It may be sorted."""
    run = start(tmp_path / "run", data, test_images=4, test_samples=2)
    (batch, inputs), *_ = run.task.batches("test")
    assert batch.num_graphs == 4
    with np.load(data) as arrays:
        expected = np.unpackbits(arrays["test"], axis=1)[[0, 10, 20, 30], :16]
    np.testing.assert_array_equal(inputs["image"], expected)


def test_images_of_another_size_are_refused(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data)
    task = run.task
    task.arguments["image_size"] = 9
    with pytest.raises(DataError, match="expected images of 9 pixels, as the model has,"):
        TrainingRun(tmp_path, task, run.model, run.trainer.config)


@pytest.mark.parametrize("name", ["samples", "dev_samples", "test_samples", "test_images"])
def test_there_is_a_sample_at_least(name: str) -> None:
    with pytest.raises(InputError, match=rf"expected {name} of at least 1, got 0"):
        ImageSource("file", **{name: 0})


def test_with_one_sample_an_iwae_is_a_vae(data: Path) -> None:
    source = ImageSource(str(data))
    gradients = []
    for name in ("vae", "iwae"):
        cavs.nn.init.manual_seed(0)
        task = ImageTask.create(name, source, hidden_size=8, latent_size=3)
        model = cavs.compile(task.make_function())
        batch, inputs = next(iter(task.loader(TrainingConfig(batch_size=10))))
        loss, _ = task.objective.loss(model, batch, inputs)
        loss.backward()
        gradients.append([np.array(p.grad) for p in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)
