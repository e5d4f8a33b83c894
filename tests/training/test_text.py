"""The language model as the command line trains it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resumed_runs import assert_same_run

from cavs.data import language_model_vocabulary, running_text_dataset
from cavs.errors import DataError, InputError
from cavs.training import TextSource, TextTask, TrainingConfig, TrainingRun, load_checkpoint
from cavs.training.tasks.text import NextWord

SENTENCES = [["a", "b", "c"], ["b"], ["c", "c", "a", "b"]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sentences of a little grammar."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "text"
    folder.mkdir()
    for name, count in (("train", 400), ("valid", 40), ("test", 40)):
        lines = [
            f"the {rng.choice(['cat', 'dog'])} {rng.choice(['eats', 'sees'])} the bird"
            for _ in range(count)
        ]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def start(directory: Path, data: Path) -> TrainingRun:
    source = TextSource(str(data), length=7)
    task = TextTask.create("lm", source, hidden_size=12, num_layers=2, dropout=0.1)
    config = TrainingConfig(
        epochs=8,
        batch_size=6,
        optimizer="sgd",
        momentum=0.0,
        lr=1.0,
        embedding_lr=1.0,
        lr_decay=0.5,
        lr_decay_after=6,
        clip_norm=5.0,
        weight_decay=0.0,
    )
    return TrainingRun.start(directory, task, config)


def test_pieces_follow_each_other_along_streams() -> None:
    vocabulary = language_model_vocabulary(SENTENCES)
    dataset = running_text_dataset(SENTENCES, vocabulary, streams=2, length=2)
    text = [*"abc", "<eos>", "b", "<eos>", *"ccab", "<eos>"]  # 11 words: two streams of 5
    assert [g.num_vertices for g in dataset.graphs] == [2, 2, 2, 2, 1, 1]
    words = [vocabulary.decode(dataset[i][1]["word"]) for i in range(6)]
    assert words == [text[0:2], text[5:7], text[2:4], text[7:9], text[4:5], text[9:10]]
    labels = [vocabulary.decode(dataset[i][1]["label"]) for i in range(6)]
    assert labels == [text[1:3], text[6:8], text[3:5], text[8:10], text[5:6], text[10:11]]
    np.testing.assert_array_equal(dataset.flat("goes_on"), [0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(dataset.flat("first"), [1, 0, 1, 0, 1, 0, 1, 0, 1, 1])


def test_too_little_text_is_refused() -> None:
    vocabulary = language_model_vocabulary(SENTENCES)
    with pytest.raises(DataError, match=r"text of 12 words or more for 11 streams, got 11"):
        running_text_dataset(SENTENCES, vocabulary, streams=11, length=2)
    with pytest.raises(InputError, match="an integer length >= 1, got 0"):
        running_text_dataset(SENTENCES, vocabulary, streams=1, length=0)


def test_it_learns(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data)
    assert run.fit()
    assert run.test is not None
    # Of six words two leave a choice of two: 2 ** (2 / 6) = 1.26 is the best there is.
    assert 2 ** (2 / 6) < run.test["perplexity"] < 1.8
    assert run.test["perplexity"] == pytest.approx(math.exp(run.test["nats_per_word"]))


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, data: Path) -> None:
    """Left within an epoch, so that the states of the streams must be kept too."""
    whole = start(tmp_path / "whole", data)
    assert whole.fit()
    parts = start(tmp_path / "parts", data)
    left = iter([False] * 5 + [True])
    assert not parts.fit(should_stop=lambda: next(left, False))
    path = tmp_path / "parts" / "last.safetensors"
    checkpoint = load_checkpoint(path)
    assert np.abs(checkpoint.objective["state"]).max() > 0
    resumed = TrainingRun.resume(path, checkpoint, parts.trainer.config, path.parent)
    assert resumed.fit()
    assert_same_run(resumed, whole)


def test_judging_leaves_the_states_of_training_alone(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data)
    left = iter([False] * 3 + [True])
    run.fit(should_stop=lambda: next(left, False))
    before = {k: v.copy() for k, v in run.task.objective.arrays().items()}
    scores: Any = run.task.objective.evaluate(run.model, run.task.batches("dev"), lambda: False)
    assert scores["perplexity"] > 1
    np.testing.assert_array_equal(run.task.objective.arrays()["state"], before["state"])


def test_words_that_are_not_known_read_as_such(tmp_path: Path, data: Path) -> None:
    (data / "test.txt").write_text("the zebra sees the bird\n" * 5)
    with pytest.raises(DataError, match=r"'zebra' in the test text; write <unk> for rare words"):
        start(tmp_path / "run", data)
    with (data / "train.txt").open("a") as file:
        file.write("the <unk> sees the bird\n" * 5)
    run = start(tmp_path / "run", data)
    assert run.fit()
    assert run.test is not None
    assert math.isfinite(run.test["perplexity"])


def test_a_piece_has_a_word_at_least() -> None:
    with pytest.raises(InputError, match=r"expected length of at least 1, got 0"):
        TextSource("text", length=0)


def test_a_split_is_as_large_as_its_pieces(data: Path) -> None:
    task = TextTask.create("lm", TextSource(str(data), length=7), hidden_size=12, num_layers=1)
    pieces = len(task.train_set(TrainingConfig(batch_size=1)))
    assert abs(task.sizes["train"] - pieces) <= 1


@pytest.mark.parametrize(("perplexity", "said"), [(3.125, "    3.12"), (2e300, "2.00e+300")])
def test_a_run_that_diverged_says_so_in_short(perplexity: float, said: str) -> None:
    assert NextWord(2).describe({"perplexity": perplexity}) == f"perplexity {said}"
