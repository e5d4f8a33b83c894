"""The autoencoder of sentences as the command line trains it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resumed_runs import assert_same_run, left_and_resumed

from cavs.cli import main
from cavs.errors import InputError
from cavs.training import (
    SentenceSource,
    SentenceTask,
    TrainingConfig,
    TrainingRun,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sentences of a little grammar, whose first word tells their last."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "text"
    folder.mkdir()
    for name, count in (("train", 300), ("valid", 40), ("test", 40)):
        animals = rng.choice(["cat", "dog", "bird"], count)
        lines = [f"the {a} {rng.choice(['eats', 'sees'])} a {a}" for a in animals]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def start(directory: Path, data: Path) -> TrainingRun:
    source = SentenceSource(str(data), word_dropout=0.3, kl_steps=40)
    sizes = {"embedding_size": 8, "hidden_size": 16, "latent_size": 4}
    task = SentenceTask.create("sentence-vae", source, **sizes)
    config = TrainingConfig(
        epochs=6,
        batch_size=20,
        optimizer="adam",
        lr=0.02,
        embedding_lr=0.02,
        weight_decay=0.0,
        patience=0,
    )
    return TrainingRun.start(directory, task, config)


def test_it_learns_and_makes_up_sentences(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(tmp_path / "run", data)
    assert run.fit()
    assert run.test is not None
    # A choice of three animals and of two verbs: log 6 = 1.79 nats are the least.
    assert np.log(6) - 0.1 < run.test["nats"] < 4.0
    lines = run.task.examples(run.model)
    assert len(lines) == 7
    test = (data / "test.txt").read_text().splitlines()
    assert (lines[0], lines[-1]) == (test[0], test[1])
    file = str(tmp_path / "run" / "best.safetensors")
    assert main(["sample", file, "-n", "8", "--max-words", "9"]) == 0
    made = capsys.readouterr().out.splitlines()
    assert len(made) == 8
    assert sum(line.startswith("the ") for line in made) > 4


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, data: Path) -> None:
    whole = start(tmp_path / "whole", data)
    assert whole.fit()
    parts = start(tmp_path / "parts", data)
    resumed = left_and_resumed(parts, 20)
    assert_same_run(resumed, whole)


@pytest.mark.parametrize("settings", [{"word_dropout": 1.5}, {"kl_weight": -1.0}, {"kl_steps": -1}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"\[train\] "):
        SentenceSource("text", **settings)
