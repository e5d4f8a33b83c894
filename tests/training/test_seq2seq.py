"""Sentences backwards, as the command line trains it, and what it reads and prints."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

import cavs
from cavs.cli.main import main
from cavs.data import Vocabulary
from cavs.errors import DataError
from cavs.training import load_checkpoint, make_task
from cavs.training.decoding import Written
from cavs.training.tasks import ReversalTask, Trained
from cavs.training.tasks.seq2seq import BEAM, ReversalSource, _count_right

SIZES = ["--embedding-size", "16", "--hidden-size", "24"]


def write_text(folder: Path, words: str = "abcdef", most: int = 5) -> Path:
    """Sentences of random words, and a longer one in each file."""
    rng = np.random.default_rng(0)
    for name, count in (("train", 600), ("valid", 40), ("test", 40)):
        lines = [" ".join(rng.choice(list(words), rng.integers(1, most + 1))) for _ in range(count)]
        (folder / f"{name}.txt").write_text("\n".join([*lines, " ".join("a" * 30)]) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few seconds."""
    folder = tmp_path_factory.mktemp("reversal")
    given = ["--data", str(write_text(folder)), "--output", str(folder / "run"), *SIZES]
    options = ["--epochs", "20", "--lr", "0.01", "--batch-size", "16", "--quiet"]
    assert main(["train", "seq2seq", *given, *options]) == 0
    return folder / "run"


def predicted(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    run: Path,
    text: str,
    *options: str,
) -> list[str]:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["predict", str(run / "best.safetensors"), *options]) == 0
    return capsys.readouterr().out.splitlines()


def test_it_learns_to_write_backwards(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = json.loads((run / "metrics.json").read_text())["test"]
    assert test["exact"] > 0.7
    assert main(["evaluate", str(run / "best.safetensors"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    # Decoding finds what teacher forcing says.
    assert {name: scores[name] for name in test} == test
    assert scores["beam"] == BEAM
    assert scores["beam_exact"] >= scores["exact"] - 0.05
    for split in ("dev", "test"):
        judge = ["evaluate", str(run / "best.safetensors"), "--split", split, "--batch-size", "7"]
        assert main(judge) == 0
        said = capsys.readouterr().out
        assert f"{split} set of " in said
        assert "exact" in said
        assert "by beam" in said


def test_predict_writes_a_line_for_each_sentence(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "a b c\n\nf e\nd\n"
    lines = predicted(monkeypatch, capsys, run, text)
    assert len(lines) == 3
    assert lines[2] == "d"
    assert predicted(monkeypatch, capsys, run, text, "--batch-size", "1") == lines
    found = [json.loads(x) for x in predicted(monkeypatch, capsys, run, text, "--json")]
    assert [x["output"] for x in found] == lines
    assert all(set(x) == {"output", "log_probability"} for x in found)
    kept = predicted(monkeypatch, capsys, run, text, "--json", "--beam", "3")
    for one, line in zip(found, kept, strict=True):
        best = json.loads(line)
        scores = [x["log_probability"] for x in best["hypotheses"]]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        assert best["hypotheses"][0]["output"] == best["output"]
        assert best["log_probability"] == scores[0] >= one["log_probability"] - 1e-6


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    data = str(write_text(tmp_path))
    train = ["train", "seq2seq", "--data", data, "--num-train", "40", *SIZES, "--quiet"]
    train += ["--lr-schedule", "constant"]
    assert main([*train, "--epochs", "2", "--output", str(tmp_path / "whole")]) == 0
    assert main([*train, "--epochs", "1", "--output", str(tmp_path / "parts")]) == 0
    last = str(tmp_path / "parts" / "last.safetensors")
    assert main(["train", "seq2seq", "--resume", last, "--epochs", "2", "--quiet"]) == 0
    one, other = (load_checkpoint(tmp_path / x / "last.safetensors") for x in ("whole", "parts"))
    for name, values in one.parameters.items():
        np.testing.assert_array_equal(other.parameters[name], values)


def test_sentences_are_chosen_and_words_are_those_of_the_whole_text(tmp_path: Path) -> None:
    write_text(tmp_path)
    (tmp_path / "train.txt").write_text("a b\nc d e\n\na\nb\n")
    whole = ReversalSource(str(tmp_path), max_length=2).load()
    assert whole.train == [["a", "b"], ["c", "d"], ["e"], ["a"], ["b"]]
    corpus = ReversalSource(str(tmp_path), max_length=2, num_train=2).load()
    assert corpus.train == whole.train[:2]
    text = [line.split() for line in (tmp_path / "test.txt").read_text().splitlines()]
    assert corpus.test == [words for words in text if len(words) <= 2]
    for name in ("valid", "test"):
        (tmp_path / f"{name}.txt").write_text("e\n")
    task, _ = make_task("seq2seq", {"data": str(tmp_path), "max_length": 2, "num_train": 2})
    assert isinstance(task, ReversalTask)
    assert task.words.to_list() == ["<eos>", "a", "b", "c", "d", "e"]
    assert task.sizes == {"train": 2, "dev": 1, "test": 1}


def test_unknown_words_are_written_as_unknown() -> None:
    words = Vocabulary(["<unk>", "<eos>", "a"], unknown="<unk>")

    def right(*written: str, ended: bool = True) -> int:
        return _count_right(words, [["a", "z"]], [[Written(list(written), 0.0, ended)]])

    assert right("<unk>", "a") == 1
    assert right("z", "a") == right("<unk>", "a", ended=False) == right("<unk>") == 0


def test_bad_use_is_one_line(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    best = str(run / "best.safetensors")
    (tmp_path / "train.txt").write_text("a b c d\n")
    for name in ("valid", "test"):
        (tmp_path / f"{name}.txt").write_text("a b\n")
    cases: list[tuple[list[str], str, str]] = [
        (["train", "seq2seq", "--data", str(tmp_path / "none")], "", "train.txt, valid.txt and"),
        (["predict", best], "", "expected sentences, one on a line, words apart by blanks, got no"),
        (["predict", best], "a qq\n", "expected one of the 7 tokens .*, got 'qq'"),
        (["predict", best, "--all"], "a\n", "--all"),
        (["sample", best, "-n", "1"], "", "expected a "),
        (["evaluate", best, "--split", "train"], "", "expected --split dev or test"),
        (["evaluate", best, "--data", str(tmp_path / "none")], "", "none"),
    ]
    for arguments, text, message in cases:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        capsys.readouterr()
        assert main(arguments) == 1, arguments
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert re.search(message, error), (arguments, error)
    with pytest.raises(DataError, match=r"sentences of up to 1 words in valid.txt, got none; rai"):
        ReversalSource(str(tmp_path), max_length=1).load()


def test_decoding_takes_a_trained_checkpoint(run: Path) -> None:
    """As the page on training says it for a library."""
    trained = Trained.load(run / "best.safetensors")
    assert isinstance(trained.model(), cavs.Model)
    assert sorted(trained.words.to_list()) == ["<eos>", *"abcdef"]
