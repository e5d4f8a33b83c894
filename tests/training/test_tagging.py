"""The tagger as the command line trains it, its scores, and what it reads and prints."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tagged_names import SIZES, SMALL, STEMS, predict, write_tags
from user_model_files import run as command

from cavs.cli import main
from cavs.data import TaggedSentence, load_tagged, read_tagged
from cavs.errors import CheckpointError
from cavs.training import load_checkpoint, make_task
from cavs.training.checkpoint import save_checkpoint
from cavs.training.tasks import Trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tags(tmp_path_factory.mktemp("tags"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    directory = tmp_path_factory.mktemp("run")
    given = ["--data", str(folder), "--epochs", "25", "--dropout", "0.1", *SMALL]
    assert main(["train", "tagger", *given, "--output", str(directory)]) == 0
    return directory


def test_it_learns_and_tags_words_that_it_has_never_seen(
    run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = (folder / "test.txt").read_text()
    text = "\n".join(" ".join(s.words) for s in read_tagged(folder / "test.txt")) + "\n\n"
    capsys.readouterr()
    predict(monkeypatch, run, text)
    assert capsys.readouterr().out == gold
    predict(monkeypatch, run, text, "--batch-size", "1")
    assert capsys.readouterr().out == gold
    predict(monkeypatch, run, text, "--json")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for row, sentence in zip(rows, read_tagged(folder / "test.txt"), strict=True):
        assert (tuple(row["words"]), tuple(row["tags"])) == (sentence.words, sentence.tags)
        for tag, shares in zip(row["tags"], row["probabilities"], strict=True):
            assert set(shares) == {"O", "I-PER"}
            assert max(shares, key=shares.__getitem__) == tag
            assert sum(shares.values()) == pytest.approx(1)


def test_without_characters_it_does_not(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data", folder, "--epochs", "15", *SIZES[:4], "--lr", "0.02", "--quiet"]
    options = ["--characters", "none", "--min-count", "3", "--output", tmp_path]
    command(capsys, "train", "tagger", *given, *options)
    checkpoint = load_checkpoint(tmp_path / "best.safetensors")
    assert checkpoint.config["alphabet_size"] == 0
    assert "characters" not in checkpoint.vocabularies
    assert not [name for name in checkpoint.parameters if "char" in name]
    scores = json.loads(command(capsys, "evaluate", tmp_path / "best.safetensors", "--json"))
    assert scores["unseen_accuracy"] < 1
    assert scores["unseen_words"] == 4


def test_its_scores(run: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = run / "best.safetensors"
    said = command(capsys, "evaluate", best)
    assert f"test set of {folder.name}: F1 100.00 %  words 100.00 %  unseen words 100.00 %" in said
    assert "5 sentences, 18 words, 4 of them not seen in training; loss " in said
    scores = json.loads(command(capsys, "evaluate", best, "--json", "--batch-size", "1"))
    counts = {"sentences": 5, "words": 18, "unseen_words": 4}
    assert scores == {**counts, **dict.fromkeys(("f1", "accuracy", "unseen_accuracy"), 1.0)} | {
        "loss": scores["loss"]
    }
    wrong = folder.parent / "wrong.txt"
    wrong.write_text(
        "rains|I-PER and|O Sigason|O then|O\nand|O then|O Sigdison|I-PER snows|I-PER\n"
    )
    scores = json.loads(command(capsys, "evaluate", best, "--data", wrong, "--json"))
    assert (scores["words"], scores["unseen_words"]) == (8, 2)
    # Found are Sigason and Sigdison; names are rains, and Sigdison with the word behind it.
    assert scores["accuracy"] == pytest.approx(5 / 8)
    assert scores["unseen_accuracy"] == pytest.approx(1 / 2)
    assert scores["f1"] == 0
    dev = json.loads(
        command(capsys, "evaluate", best, "--data", folder, "--split", "dev", "--json")
    )
    assert dev["sentences"] == 4


def test_unseen_words_are_told_without_the_training_data(
    run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The frequent words that the model knows are not all that training saw."""
    trained = Trained.load(run / "best.safetensors")
    seen = trained.checkpoint.vocabularies["training words"]
    corpus = load_tagged(folder)
    assert set(seen) == {word for sentence in corpus.train for word in sentence.words}
    assert set(trained.words) - {"<unk>"} < set(seen)


def test_a_run_goes_on_and_is_repeated_to_the_bit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, half, again = (tmp_path / name for name in ("whole", "half", "again"))
    given = ["--data", folder, *SMALL, "--lr-schedule", "constant"]
    command(capsys, "train", "tagger", *given, "--epochs", 2, "--output", whole)
    command(capsys, "train", "tagger", *given, "--epochs", 1, "--output", half)
    last = half / "last.safetensors"
    command(capsys, "train", "tagger", "--resume", last, "--epochs", 2, "--quiet")
    command(capsys, "train", "tagger", "--config", whole / "metrics.json", "--output", again)
    first = load_checkpoint(whole / "last.safetensors")
    for other in (load_checkpoint(last), load_checkpoint(again / "last.safetensors")):
        assert other.vocabularies == first.vocabularies
        assert len(other.training["progress"]["history"]) == 2
        for name, values in first.parameters.items():
            np.testing.assert_array_equal(other.parameters[name], values)


def test_a_run_may_begin_with_parameters_of_the_same_words_and_tags(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data", folder, *SMALL, "--epochs", "1", "--output", tmp_path / "new"]
    init = ["--init", run / "best.safetensors"]
    command(capsys, "train", "tagger", *given, *init)
    checkpoint = load_checkpoint(run / "best.safetensors")
    words = checkpoint.vocabularies["characters"].tokens
    swapped = type(checkpoint.vocabularies["tags"])([*words[:2], *reversed(words[2:])])
    checkpoint.vocabularies["characters"] = swapped
    save_checkpoint(tmp_path / "other.safetensors", checkpoint)
    init = ["--init", tmp_path / "other.safetensors", "--overwrite"]
    said = command(capsys, "train", "tagger", *given, *init, code=1)
    assert "expected the vocabulary of the data to train on, got another" in said


@pytest.mark.parametrize("name", ["tags", "characters", "training words"])
def test_checkpoints_without_a_vocabulary_are_refused(run: Path, tmp_path: Path, name: str) -> None:
    checkpoint = load_checkpoint(run / "best.safetensors")
    del checkpoint.vocabularies[name]
    save_checkpoint(tmp_path / "a.safetensors", checkpoint)
    with pytest.raises(
        CheckpointError, match=rf"expected a vocabulary of \d+ {name}, got one of 0"
    ):
        Trained.load(tmp_path / "a.safetensors").model()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("\n", (), "expected sentences, one on a line, words apart by blanks, got none"),
        ("it\n", ("--all",), "expected --all for a classifier of trees only"),
    ],
)
def test_what_it_cannot_read(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: tuple[str, ...],
    message: str,
) -> None:
    capsys.readouterr()
    predict(monkeypatch, run, text, *options, code=1)
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1


def test_a_line_that_is_no_text_ends_it_behind_those_before(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"it rains\nit \xff\n")))
    assert main(["predict", str(run / "best.safetensors")]) == 1
    said = capsys.readouterr()
    assert said.out == "it|O rains|O\n"
    assert "line 2" in said.err
    assert "UTF-8" in said.err


def test_bars_and_blanks_within_words_are_of_the_word(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capsys.readouterr()
    predict(monkeypatch, run, "a|b it c\N{NO-BREAK SPACE}d 日本 <unk>\n")
    (tmp_path / "a.txt").write_text(capsys.readouterr().out, encoding="utf-8")
    (sentence,) = read_tagged(tmp_path / "a.txt")
    assert sentence.words == ("a|b", "it", "c\N{NO-BREAK SPACE}d", "日本", "<unk>")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-count", "1"], "expected words of tags that occur fewer than --min-count 1 times"),
        (
            ["--characters", "none", "--character-size", "3"],
            "expected --character-size with --characters rare only, got none",
        ),
        (
            ["--characters", "all"],
            "argument --characters: expected one of 'rare', 'none', got 'all'",
        ),
    ],
)
def test_options_that_do_not_go_together(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    given = ["--data", str(folder), "--quiet", "--output", str(tmp_path / "new")]
    try:
        code = main(["train", "tagger", *given, *options])
    except SystemExit as error:
        code = int(str(error.code))
    assert code
    said = capsys.readouterr().err
    assert message.replace("of tags", f"of {folder.name}") in said
    assert not (tmp_path / "new").exists()


def test_data_of_other_tags_are_refused(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("it|O\nit|O Bern|I-LOC\n")
    said = command(capsys, "evaluate", run / "best.safetensors", "--data", other, code=1)
    wanted = f"[data] {other}: expected tags among O, I-PER, as in the model's training, got "
    assert f"{wanted}'I-LOC' in sentence 2; name data of these tags" in said
    other.write_text("it|O\nBern\n")
    said = command(capsys, "evaluate", run / "best.safetensors", "--data", other, code=1)
    assert "other.txt, line 2, column 1: expected word|TAG, got 'Bern'" in said
    split = ["--data", other, "--split", "dev"]
    said = command(capsys, "evaluate", run / "best.safetensors", *split, code=1)
    assert "expected --split dev with a folder of tagged sentences, got the file" in said


def test_parts_of_speech_have_no_f1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"the|DET cat{i}|NOUN sleeps|VERB\n" for i in range(30)]
    (tmp_path / "pos.txt").write_text("".join(lines))
    run = tmp_path / "run"
    given = ["--data", tmp_path / "pos.txt", "--epochs", "6", "--output", run, *SMALL]
    command(capsys, "train", "tagger", *given)
    said = command(capsys, "evaluate", run / "best.safetensors")
    assert (
        "test set of pos: words 100.00 %  unseen words 100.00 %\n3 sentences, 9 words, 3 of" in said
    )
    scores = json.loads(command(capsys, "evaluate", run / "best.safetensors", "--json"))
    assert "f1" not in scores


def test_words_with_a_vector_are_not_rare(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{word} 1 2 3 4\n" for word in ("it", f"{STEMS[1]}son", f"{STEMS[21]}son", "no")]
    (tmp_path / "vectors.txt").write_text("".join(lines))
    given = {"data": str(folder), "vectors": str(tmp_path / "vectors.txt"), "min_count": 3}
    task, _ = make_task("tagger", {**given, "hidden_size": 3})
    assert task.arguments["embedding_size"] == 4
    assert {f"{STEMS[1]}son", f"{STEMS[21]}son"} < set(task.words)
    assert "no" not in task.words
    values = dict(task.compile(0).named_parameters())["word.embedding.weight"].data
    np.testing.assert_array_equal(values[task.words["it"]], [1, 2, 3, 4])
    np.testing.assert_array_equal(values[0], np.zeros(4))
    small = ["--hidden-size", "3", "--epochs", "1", "--quiet", "--freeze-embedding"]
    words = [x for name, value in given.items() for x in ("--" + name.replace("_", "-"), value)]
    command(capsys, "train", "tagger", *words, *small, "--output", tmp_path / "run")
    kept = load_checkpoint(tmp_path / "run" / "last.safetensors").parameters
    np.testing.assert_array_equal(kept["word.embedding.weight"], values)


def test_a_library_makes_the_same_task(folder: Path) -> None:
    given: dict[str, Any] = {"data": str(folder), "epochs": 1, "hidden_size": 3}
    task, config = make_task("tagger", given)
    assert (config.epochs, config.batch_size, task.arguments["hidden_size"]) == (1, 16, 3)
    assert task.sizes == {"train": 32, "dev": 4, "test": 5}
    assert isinstance(task.split("train")[0], TaggedSentence)
    batch, inputs = task.train_set(config).batch([0])
    assert set(inputs) == {"word", "character", "label"}
    assert set(batch.types) == {"word", "char_before", "char_after", "before", "after", "tag"}
