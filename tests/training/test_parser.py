"""The parser as the command line trains it, and what it reads and prints."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cavs.cli import main
from cavs.data import LabelledTree, bracket_f1, parse_tree, parse_trees, read_trees, right_branching

TREES = [
    "(1 (1 (1 the) (1 cat)) (1 (1 saw) (1 (1 a) (1 dog))))",
    "(2 (2 it) (2 sleeps))",
    "(1 (1 (1 a) (1 dog)) (1 sleeps))",
    "(1 (1 (1 the) (1 dog)) (1 (1 saw) (1 it)))",
    "(1 cat)",
]


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("treebank")
    for name in ("train", "dev", "test"):
        (folder / f"{name}.txt").write_text("\n".join(TREES * 3) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, treebank: Path) -> Path:
    directory = tmp_path_factory.mktemp("run")
    small = ["--epochs", "40", "--batch-size", "5", "--lr", "0.01", "--dropout", "0.1", "--quiet"]
    sizes = ["--embedding-size", "8", "--hidden-size", "10", "--min-count", "1"]
    given = ["--data", str(treebank), *small, *sizes, "--output", str(directory)]
    assert main(["train", "parser", *given]) == 0
    return directory


def predict(
    monkeypatch: pytest.MonkeyPatch, run: Path, text: str, *options: str, code: int = 0
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["predict", str(run / "best.safetensors"), *options]) == code


def parsed(capsys: pytest.CaptureFixture[str]) -> list[LabelledTree]:
    return list(parse_trees(capsys.readouterr().out.split("\n"), allow_unlabelled=True))


def test_it_learns_and_parses_what_it_reads(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "the cat saw a dog\n\n cat\na dog sleeps\n"
    capsys.readouterr()
    predict(monkeypatch, run, text)
    found = parsed(capsys)
    gold = [parse_tree(TREES[i]) for i in (0, 4, 2)]
    assert [tree.words() for tree in found] == [tree.words() for tree in gold]
    assert [tree.graph for tree in found] == [tree.graph for tree in gold]
    assert all((tree.labels == -1).all() for tree in found)
    predict(monkeypatch, run, text, "--batch-size", "1")
    assert parsed(capsys) == found


def test_its_scores(run: Path, treebank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(run / "best.safetensors")]) == 0
    assert "F1 100.00 %  exact 100.00 %" in capsys.readouterr().out
    last = str(run / "last.safetensors")
    again = ["train", "parser", "--resume", last, "--epochs", "41", "--quiet"]
    assert main([*again, "--output", str(run / "more")]) == 0
    said = capsys.readouterr().out
    gold = read_trees(treebank / "test.txt")
    right = 100 * bracket_f1([right_branching(tree.words()) for tree in gold], gold)
    assert f"of right-branching trees {right:.2f} %" in said
    assert "(-1 (-1 (-1 the) (-1 cat)) (-1 (-1 saw) (-1 (-1 a) (-1 dog))))" in said


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a cat\n(1 a)\n", (), "line 2: expected words without brackets, got '(1'"),
        ("\n", (), "expected sentences, one on a line"),
        ("a\n", ("--all",), "expected --all for a classifier of trees only"),
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
    assert len(said.out.splitlines()) == text.startswith("a cat")


def test_trees_that_are_not_binary_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.txt").write_text("(1 a)\n(1 (1 a) (1 b) (1 c))\n")
    assert main(["train", "parser", "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "expected a binary tree with words at its leaves" in said
    assert "[data] tree 2: " in said


def test_a_no_break_space_is_part_of_a_word(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    predict(monkeypatch, run, "a b\u00a0c\n")
    tree = parse_tree(capsys.readouterr().out, allow_unlabelled=True)
    assert tree.words() == ["a", "b\u00a0c"]
    np.testing.assert_array_equal(tree.labels, [-1, -1, -1])


def test_json_has_the_probability_of_the_free_actions(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step that could not be another one has probability 1."""
    text = "cat\nit sleeps\na dog sleeps\nthe cat saw a dog\n"
    capsys.readouterr()
    predict(monkeypatch, run, text)
    trees = capsys.readouterr().out.splitlines()
    predict(monkeypatch, run, text, "--json")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["tree"] for row in rows] == trees
    scores = [row["log_probability"] for row in rows]
    assert scores[:2] == [0.0, 0.0]  # nothing to choose
    assert np.log(0.5) <= scores[2] < 0  # one choice between two, of which it is the likelier one
    assert scores[3] < 0
    predict(monkeypatch, run, text, "--json", "--batch-size", "1")
    alone = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose([row["log_probability"] for row in alone], scores, rtol=1e-6)
    assert set(rows[0]) == {"tree", "log_probability"}
