"""Autoencoders of images as the command line trains them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import read_small, write_bars
from resumed_runs import assert_same_run, left_and_resumed

import cavs
from cavs.errors import DataError, InputError
from cavs.models import SBNDream
from cavs.nn.estimators import reweighted_wake_sleep
from cavs.training import (
    ImageSource,
    ImageTask,
    TrainingConfig,
    TrainingRun,
    load_checkpoint,
    save_checkpoint,
)
from cavs.training.tasks.restore import Trained


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_bars(tmp_path, 4, 300, 40)


@pytest.fixture(autouse=True)
def _small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    read_small(monkeypatch, 4)


def start(directory: Path, data: Path, epochs: int = 8, **changes: Any) -> TrainingRun:
    few: dict[str, Any] = {"dev_samples": 8, "test_samples": 200, "test_images": 20}
    source = ImageSource(str(data), **{**few, **changes})
    task = ImageTask.create("iwae", source, hidden_size=16, latent_size=4)
    config = TrainingConfig(
        epochs=epochs, batch_size=20, optimizer="adam", lr=0.02, weight_decay=0.0, patience=0
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
    whole = start(tmp_path / "whole", data, epochs=2, dev_samples=1_250)
    assert whole.fit()
    parts = start(tmp_path / "parts", data, epochs=2, dev_samples=1_250)
    resumed = left_and_resumed(parts, stop)
    assert_same_run(resumed, whole)


def test_a_share_is_part_of_a_larger_one(tmp_path: Path, data: Path) -> None:
    """By the first images of an order that the seed draws; dev and test images are all there."""
    whole = ImageSource(str(data)).load()
    order = np.random.default_rng(7).permutation(300)
    for share, count in ((0.1, 30), (0.25, 75)):
        corpus = ImageSource(str(data), share=share, seed=7).load()
        np.testing.assert_array_equal(corpus.train, whole.train[order[:count]])
        np.testing.assert_array_equal(corpus.dev, whole.dev)
        np.testing.assert_array_equal(corpus.test, whole.test)
    task, config = ImageTask.configure("vae", {"data": str(data), "share": 0.1, "seed": 2**40})
    assert (config.seed, task.source.seed, task.sizes["train"]) == (2**40, 2**40, 30)
    both = ImageSource(str(data), share=0.5, with_dev=True).load()
    assert len(both.train) == 170


def test_a_share_has_an_image(data: Path) -> None:
    for share in (0.0, 1.0, -0.5):
        with pytest.raises(InputError, match=f"a share above 0 and below 1, got {share}"):
            ImageSource(str(data), share=share)
    with pytest.raises(DataError, match=r"expected a share of 1 image or more, got 0\.001 of 300"):
        ImageSource(str(data), share=0.001).load()
    with pytest.raises(InputError, match=r"expected an integer in 0\.\.2\*\*64-1 as seed, got -1"):
        ImageSource(str(data), seed=-1)


def test_several_stochastic_layers_learn(tmp_path: Path, data: Path) -> None:
    source = ImageSource(str(data), samples=4, dev_samples=8, test_samples=50)
    sizes = {"hidden_size": 16, "latent_size": 2, "stochastic_layers": 2}
    task = ImageTask.create("iwae", source, **sizes)
    config = TrainingConfig(
        epochs=8, batch_size=20, optimizer="adam", lr=0.02, weight_decay=0.0, patience=0
    )
    run = TrainingRun.start(tmp_path, task, config)
    assert run.fit()
    assert run.test is not None
    assert np.log(8) < run.test["nll"] < 8.8  # independent pixels need 9.0 nats


def test_a_checkpoint_of_before_there_were_layers(tmp_path: Path, data: Path) -> None:
    """It names neither layers nor a share, and has the same parameters as with one layer."""
    run = start(tmp_path / "run", data)
    left = iter([False] * 15 + [True])
    assert not run.fit(should_stop=lambda: next(left, False))
    checkpoint = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert "stochastic_layers" not in checkpoint.config
    for name in ("share", "seed", "q_update"):
        del checkpoint.training["source"][name]
    old = tmp_path / "old.safetensors"
    save_checkpoint(old, checkpoint)
    trained = Trained.load(old)
    assert trained.task().source == run.task.source
    for name, array in trained.model().state_dict().items():
        np.testing.assert_array_equal(array, run.model.state_dict()[name])
    one = ImageTask.create(
        "vae", run.task.source, hidden_size=16, latent_size=4, stochastic_layers=1
    )
    assert set(dict(one.make_function().named_parameters())) == set(run.model.state_dict())


def start_network(
    directory: Path, data: Path, estimator: str, layers: int | None = None
) -> TrainingRun:
    source = ImageSource(
        str(data), samples=4, dev_samples=8, test_samples=200, test_images=20, estimator=estimator
    )
    sizes = {} if layers is None else {"layers": layers}
    task = ImageTask.create("sbn", source, hidden_size=12, **sizes)
    config = TrainingConfig(
        epochs=20, batch_size=20, optimizer="adam", lr=0.02, weight_decay=0.0, patience=0
    )
    return TrainingRun.start(directory, task, config)


@pytest.mark.parametrize(
    ("estimator", "layers"),
    [
        ("nvil", None),
        ("wake-sleep", None),
        ("vimco", 2),
        ("reweighted-wake-sleep", 2),
    ],
)
def test_discrete_variables_learn(
    tmp_path: Path, data: Path, estimator: str, layers: int | None
) -> None:
    run = start_network(tmp_path / "run", data, estimator, layers)
    assert run.fit()
    assert run.test is not None
    # Independent pixels need 9.0 nats.
    assert np.log(8) < run.test["nll"] < 7.0


@pytest.mark.parametrize("estimator", ["nvil", "reweighted-wake-sleep"])
def test_a_resumed_estimator_equals_an_uninterrupted_one(
    tmp_path: Path, data: Path, estimator: str
) -> None:
    whole = start_network(tmp_path / "whole", data, estimator)
    left = iter([False] * 40 + [True])
    assert not whole.fit(should_stop=lambda: next(left, False))
    parts = start_network(tmp_path / "parts", data, estimator)
    left = iter([False] * 20 + [True])
    assert not parts.fit(should_stop=lambda: next(left, False))
    path = tmp_path / "parts" / "last.safetensors"
    resumed = TrainingRun.resume(path, load_checkpoint(path), parts.trainer.config, path.parent)
    left = iter([False] * 19 + [True])
    assert not resumed.fit(should_stop=lambda: next(left, False))
    assert resumed.trainer.step == whole.trainer.step
    for name, array in whole.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name], array)


def test_an_estimator_is_one_of_them() -> None:
    with pytest.raises(InputError, match="one of the estimators nvil, vimco, wake-sleep, re"):
        ImageSource("file", estimator="reinforce")
    with pytest.raises(InputError, match="expected 2 samples or more for vimco"):
        ImageSource("file", estimator="vimco")
    with pytest.raises(InputError, match="expected both, wake, sleep as q_update, got 'dream'"):
        ImageSource("file", q_update="dream")


@pytest.mark.parametrize("update", ["both", "wake", "sleep"])
def test_recognition_learns_from_what_is_chosen(data: Path, update: str) -> None:
    """The gradients of the objective: those of its parts, p's in common."""
    source = ImageSource(str(data), samples=4, estimator="reweighted-wake-sleep", q_update=update)
    task = ImageTask.create("sbn", source, hidden_size=4, layers=2)
    model = task.compile(0)
    batch, inputs = next(iter(task.loader(TrainingConfig(batch_size=10))))
    state = model.random_state()
    loss, _ = task.objective.loss(model, batch, inputs)
    loss.backward()
    dream = cavs.compile(SBNDream(model.function), seed=state["seed"] ^ 2**63)
    model.set_random_state(state)
    found = {name: np.array(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    out = model(batch, **inputs)
    joint, q = (out[name].reshape(10, 4) for name in ("log_joint", "log_q"))
    dreamt = dream(batch)["log_q"].reshape(10, 4) if update != "wake" else None
    expected = reweighted_wake_sleep(joint, q, dreamt, wake=update != "sleep")
    (-expected.surrogate.sum()).backward()
    names = [name for name, p in model.named_parameters() if not name.startswith("baseline")]
    assert sorted(found) == sorted(names)
    for name, p in model.named_parameters():
        if name in found:
            np.testing.assert_allclose(found[name], np.asarray(p.grad), rtol=1e-5, atol=1e-7)


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
