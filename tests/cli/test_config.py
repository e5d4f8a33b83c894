"""``cavs train --config``: options from TOML, and from the metrics of an earlier run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from user_model_files import write_small_data

from cavs.cli import main

SMALL = """
num-train = 60  # with dashes or underscores
max_depth = 3
embedding-size = 6
hidden-size = 8
epochs = 1
"""
OWN = Path(__file__).resolve().parents[2] / "examples" / "own_model.py"


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def train(*words: Any, model: str = "tree-lstm", code: int = 0) -> None:
    assert main(["train", model, *map(str, words)]) == code


def test_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        f'model = "tree-lstm"\nlr = 0.1\nquiet = true\noutput = "{tmp_path}/a"\n{SMALL}'
    )
    train("--config", file, "--lr", "0.2", "--seed", "3")
    found = metrics(tmp_path / "a")
    assert (found["settings"]["lr"], found["settings"]["seed"]) == (0.2, 3)
    assert found["arguments"]["hidden_size"] == 8
    assert found["data"]["num_train"] == 60


@pytest.mark.parametrize(
    "special",
    [
        "--optimizer sgd --momentum 0.5",
        "--optimizer rmsprop",
        "--optimizer rmsprop --momentum 0.9 --alpha 0.9 --centered",
    ],
)
def test_a_run_is_repeated_from_its_metrics(tmp_path: Path, special: str) -> None:
    options = ["--num-train", "60", "--max-depth", "3", "--hidden-size", "8", "--epochs", "1"]
    train(*options, *special.split(), "--lr", "0.01", "--quiet", "--output", tmp_path / "a")
    train("--config", tmp_path / "a" / "metrics.json", "--quiet", "--output", tmp_path / "b")
    first, second = metrics(tmp_path / "a"), metrics(tmp_path / "b")
    for part in ("settings", "arguments", "data", "model"):
        assert first[part] == second[part]
    assert first["history"][0]["loss"] == second["history"][0]["loss"]
    train("--config", tmp_path / "a" / "metrics.json", "--lr", "0.02", "--output", tmp_path / "c")
    assert metrics(tmp_path / "c")["settings"]["lr"] == 0.02


@pytest.mark.parametrize(
    "special", [["--vectors", "V", "--freeze-embedding"], ["--embedding-std", "2"]]
)
def test_what_words_and_embedding_began_with_is_repeated_too(
    tmp_path: Path, special: list[str]
) -> None:
    data = write_small_data(tmp_path)
    (tmp_path / "V").write_text("so 1 2\nvery 3 4\n")
    words = [str(tmp_path / "V") if word == "V" else word for word in special]
    common = ["--data", data / "trees", "--min-count", "5", "--hidden-size", "3", "--epochs", "2"]
    train(*common, *words, "--quiet", "--output", tmp_path / "a")
    train("--config", tmp_path / "a" / "metrics.json", "--quiet", "--output", tmp_path / "b")
    first, second = metrics(tmp_path / "a"), metrics(tmp_path / "b")
    assert first["made_with"]["min_count"] == 5
    for part in ("settings", "arguments", "data", "made_with"):
        assert first[part] == second[part]
    losses = [[row["loss"] for row in found["history"]] for found in (first, second)]
    assert losses[0] == losses[1]
    del first["made_with"]  # as in older runs
    (tmp_path / "old.json").write_text(json.dumps(first))
    older = ["--config", tmp_path / "old.json", "--epochs", "1", "--quiet"]
    train(*older, "--output", tmp_path / "c")


def test_with_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.toml"
    file.write_text(SMALL)
    train("--config", file, "--quiet", "--output", tmp_path / "a")
    last = tmp_path / "a" / "last.safetensors"
    train("--config", file, "--resume", last, "--epochs", "2", "--quiet")
    assert len(metrics(tmp_path / "a")["history"]) == 2
    file.write_text(SMALL.replace("hidden-size = 8", "hidden-size = 9"))
    capsys.readouterr()
    train("--config", file, "--resume", last, "--epochs", "3", code=1)
    assert "expected hidden_size 8, as the run began, got 9" in capsys.readouterr().err
    train("--config", tmp_path / "a" / "metrics.json", "--resume", last, "--epochs", "3", "--quiet")
    assert len(metrics(tmp_path / "a")["history"]) == 3


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    model, file = f"{OWN}:AttentiveTree", tmp_path / "run.toml"
    file.write_text(f'task = "trees"\nquiet = true\n{SMALL}[arg]\nsharpness = 2\n')
    train("--config", file, "--output", tmp_path / "a", model=model)
    assert metrics(tmp_path / "a")["user_model"]["args"] == {"sharpness": "2"}
    train("--config", file, "--arg", "sharpness=3", "--output", tmp_path / "b", model=model)
    assert metrics(tmp_path / "b")["user_model"]["args"] == {"sharpness": "3"}
    again = ["--config", tmp_path / "b" / "metrics.json", "--quiet", "--output", tmp_path / "c"]
    train(*again, model=model)
    assert metrics(tmp_path / "c")["user_model"]["args"] == {"sharpness": "3"}
    last = tmp_path / "c" / "last.safetensors"
    train("--config", file, "--arg", "sharpness=3", "--resume", last, "--epochs", "2", model=model)
    assert len(metrics(tmp_path / "c")["history"]) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr = ", "expected TOML"),
        ("{", "expected JSON"),
        ('{"lr": 1e999}', "expected a number above 0"),
        ("learning-rate = 1", "expected options of tree-lstm, got 'learning-rate'"),
        ("arity = 2", "expected options of tree-lstm, got 'arity'"),
        ("[training]\nlr = 1", "expected options of tree-lstm, got 'training'"),
        ("lr = 'much'", "expected a number above 0 as lr, got 'much'"),
        ("hidden-size = 0", "expected an integer of at least 1 as hidden_size, got 0"),
        ("epochs = true", "as epochs, got True"),
        ("quiet = 1", "expected True or False as quiet, got 1"),
        ("threads = 0", "as threads, got 0"),
        ("output = 3", "expected a path as output, got 3"),
        ("lr = 1\nl-r = 2", "expected options"),
        ("hidden-size = 8\nhidden_size = 9", "expected hidden_size once"),
        ("model = 'lm'", "expected options of tree-lstm, got those of 'lm'"),
        ("task = 'trees'", "expected options of tree-lstm, got 'task'"),
        ("momentum = 0.5", "--momentum"),  # without --optimizer sgd, as on the command line
        ('{"settings": 3, "history": [], "model": "tree-lstm"}', "expected a dictionary as"),
        ('{"settings": {}, "history": [], "model": "lm"}', "got those of 'lm'"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    train("--config", file, "--output", tmp_path / "a", code=1)
    said = capsys.readouterr().err
    assert said.startswith("cavs: [train] ")
    assert said.count("\n") == 1
    assert says in said
    assert not (tmp_path / "a").exists()


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "none.toml", binary):
        for model in ("tree-lstm", f"{OWN}:AttentiveTree"):
            train("--config", path, model=model, code=1)
            said = capsys.readouterr().err
            assert "expected a file of options, got" in said
            assert said.count("\n") == 1
