"""Transformer-XL as the command line trains it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resumed_runs import assert_same_run

import cavs
from cavs.cli.main import main
from cavs.data import language_model_vocabulary, segments_dataset
from cavs.errors import CheckpointError, InputError
from cavs.models import LSTMLanguageModel
from cavs.training import (
    SegmentSource,
    SegmentTask,
    TrainingConfig,
    TrainingRun,
    load_checkpoint,
    make_task,
    sample_segments,
)

SENTENCES = [["a", "b", "c"], ["b"], ["c", "c", "a", "b"]]
SIZES: dict[str, Any] = {"size": 16, "num_layers": 2, "num_heads": 2, "inner_size": 16}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Sentences of a little grammar: the last word is the first one."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "text"
    folder.mkdir()
    for name, count in (("train", 400), ("valid", 40), ("test", 40)):
        animals = rng.choice(["cat", "dog", "bird", "fish"], count)
        lines = [f"{x} is {x}" for x in animals]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def start(directory: Path, data: Path, **changes: Any) -> TrainingRun:
    source = SegmentSource(str(data), length=7, memory=9)
    task = SegmentTask.create("transformer-xl", source, **SIZES, dropout=0.1, attention_dropout=0.1)
    settings: dict[str, Any] = {
        "epochs": 12,
        "batch_size": 6,
        "optimizer": "adam",
        "lr": 0.005,
        "embedding_lr": 0.005,
        "weight_decay": 0.0,
        "clip_norm": 8.0,
    }
    return TrainingRun.start(directory, task, TrainingConfig(**{**settings, **changes}))


def test_segments_follow_each_other_and_remember_the_words_before() -> None:
    vocabulary = language_model_vocabulary(SENTENCES)
    dataset = segments_dataset(SENTENCES, vocabulary, 2, 2, 3, 2)
    text = [*"abc", "<eos>", "b", "<eos>", *"ccab", "<eos>"]  # 11 words: two streams of 5
    words = [vocabulary.decode(dataset[i][1]["word"]) for i in range(6)]
    assert words == [text[0:2], text[5:7], text[2:4], text[7:9], text[4:5], text[9:10]]
    labels = [vocabulary.decode(dataset[i][1]["label"]) for i in range(6)]
    assert labels == [text[1:3], text[6:8], text[3:5], text[8:10], text[5:6], text[10:11]]
    np.testing.assert_array_equal(dataset.flat("goes_on"), [0, 0, 1, 1, 1, 1])
    memories = [[g.types.count(f"memory{n}") for n in (0, 1)] for g in dataset.graphs]
    assert memories == [[0, 0], [0, 0], [2, 2], [2, 2], [3, 3], [3, 3]]


def test_it_learns(tmp_path: Path, text: Path) -> None:
    run = start(tmp_path / "run", text)
    assert run.fit()
    assert run.test is not None
    # Of four words one leaves a choice of four: 4 ** (1 / 4) = 1.41 is the best there is, and of
    # a model that does not look at the first word 2.
    assert 1.4 < run.test["perplexity"] < 1.8
    assert run.test["perplexity"] == pytest.approx(math.exp(run.test["nats_per_word"]))


def test_the_test_text_is_read_as_a_whole(tmp_path: Path, text: Path) -> None:
    """The perplexity of a checkpoint is that of all words of the text but the first, in segments
    whose memory is what the model said of the segments before."""
    run = start(tmp_path / "run", text, epochs=1)
    assert run.fit()
    task: Any = run.task
    scores = task.objective.evaluate(run.model, task.batches("test"), lambda: False)
    words = task.words.encode([w for s in task.split("test") for w in [*s, "<eos>"]])
    function: Any = run.model.function
    model = cavs.compile(function).eval()
    memory, nats = np.zeros((0, 16), np.float32), 0.0
    for begin in range(0, len(words) - 1, 7):
        here, labels = words[begin : begin + 7], words[begin + 1 : begin + 8]
        rows = min(begin, 9)
        graph = cavs.data.segment_graph(len(labels), rows, 2)
        out = model(graph, word=here[: len(labels)], label=labels, memory=memory)
        nats += float(out["loss"].numpy().sum(dtype=np.float64))
        memory = function.next_memory(memory, out["memory"], 1, 9)
    assert scores["nats_per_word"] == pytest.approx(nats / (len(words) - 1), rel=1e-6)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, text: Path) -> None:
    """Left within an epoch, so that the memory of the streams must be kept too."""
    whole = start(tmp_path / "whole", text, epochs=2)
    assert whole.fit()
    parts = start(tmp_path / "parts", text, epochs=2)
    left = iter([False] * 5 + [True])
    assert not parts.fit(should_stop=lambda: next(left, False))
    path = tmp_path / "parts" / "last.safetensors"
    checkpoint = load_checkpoint(path)
    assert checkpoint.objective["memory"].shape == (6 * 2 * 9, 16)
    resumed = TrainingRun.resume(path, checkpoint, parts.trainer.config, path.parent)
    assert resumed.fit()
    assert_same_run(resumed, whole)


def test_an_epoch_begins_with_an_empty_memory(tmp_path: Path, text: Path) -> None:
    run = start(tmp_path / "run", text)
    objective: Any = run.task.objective
    batches = iter(run.task.loader(run.trainer.config))
    run.model.eval()
    (first, inputs), (second, more) = next(batches), next(batches)
    alone = objective.loss(run.model, first, inputs)[1]
    objective.loss(run.model, second, more)
    assert objective.loss(run.model, first, inputs)[1] == alone


def test_a_memory_of_another_run_is_refused(tmp_path: Path, text: Path) -> None:
    run = start(tmp_path / "run", text)
    objective: Any = run.task.objective
    for rows in (7, 6 * 2 * 10):
        with pytest.raises(
            CheckpointError, match=rf"up to 9 rows for each of 12 lists, got {rows}"
        ):
            objective.restore({"memory": np.zeros((rows, 16), np.float32)})
    with pytest.raises(CheckpointError, match="'memory'"):
        objective.restore({"memory": np.zeros((12, 5), np.float32)})


def test_commands_train_and_evaluate_it(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = [f"--{name.replace('_', '-')}={size}" for name, size in SIZES.items()]
    given = ["--data", str(text), "--length", "7", "--memory", "9", "--epochs", "1", "--untied"]
    folder = str(tmp_path / "run")
    assert main(["train", "transformer-xl", *given, *sizes, "--quiet", "--output", folder]) == 0
    checkpoint = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert checkpoint.config["tied"] is False
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run" / "best.safetensors")]) == 0
    assert "test set of text: perplexity" in capsys.readouterr().out


def test_a_batch_size_of_an_evaluation_is_refused(text: Path) -> None:
    task, _ = make_task("transformer-xl", {"data": str(text), "length": 7})
    with pytest.raises(InputError, match="expected no batch size for running text"):
        task.batches("test", 2)


def test_sentences_are_drawn_by_what_was_written_before(tmp_path: Path, text: Path) -> None:
    run = start(tmp_path / "run", text)
    assert run.fit()
    task: Any = run.task
    drawn = sample_segments(run.model.function, task.words, 20, memory=9, seed=1, max_words=12)
    right = [len(words) == 3 and words[0] == words[2] and words[1] == "is" for words in drawn]
    assert sum(right) > 10  # of those that do not look back one in four has its first word again
    alone = sample_segments(run.model.function, task.words, 3, memory=9, seed=1, max_words=12)
    assert alone == drawn[:3]
    with pytest.raises(InputError, match=r"\[sample\] expected a language model of segments"):
        sample_segments(LSTMLanguageModel(5, 3, 1), task.words, 1)


def test_a_segment_has_a_word_at_least() -> None:
    with pytest.raises(InputError, match=r"expected length of at least 1, got 0"):
        SegmentSource("text", length=0)
    with pytest.raises(InputError, match=r"expected memory of at least 0, got -1"):
        SegmentSource("text", memory=-1)


def test_a_split_is_as_large_as_its_segments(text: Path) -> None:
    task, _ = make_task("transformer-xl", {"data": str(text), "length": 7})
    segments = len(task.train_set(TrainingConfig(batch_size=1)))
    assert abs(task.sizes["train"] - segments) <= 1
