"""Checkpoints of users' models: they run no code, and a class that is given for one is checked."""

import json
from pathlib import Path
from typing import Any

import pytest
from user_model_files import TREES, WHOLE, WORDS, changed, run

from cavs.cli import main
from cavs.training import load_checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file and a run of its class."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "mine.py").write_text(changed("_by)", "_by, width=3, name='')"))
    train = ["train", f"{folder}/mine.py:A", "--task", "trees", *TREES, "--epochs", "1"]
    args = ["--arg", "width=(1, 2)", "--arg", "name=1x"]
    assert main([*train, *args, "--quiet", "--output", str(folder / "run")]) == 0
    return folder


def test_a_checkpoint_holds_data_and_runs_no_code(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = trained / "run" / "best.safetensors"
    user = load_checkpoint(best).user
    assert user is not None
    assert user.to_dict() == {
        "file": f"{trained}/mine.py",
        "class": "A",
        "task": "trees",
        "args": {"width": "(1, 2)", "name": "1x"},
    }
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + WHOLE)
    for command in ("evaluate", "predict", "sample"):
        assert f"give --model {trained}/mine.py:A" in run(capsys, command, best, code=1)
    assert not (tmp_path / "ran").exists()


def test_the_class_of_a_checkpoint_is_checked(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder = trained / "run"
    best, last = run_folder / "best.safetensors", run_folder / "last.safetensors"
    moved, other = tmp_path / "moved.py", tmp_path / "other.py"
    text = (trained / "mine.py").read_text()
    moved.write_text(text)
    other.write_text(text.replace("nn.Embedding(vocab_size,", "nn.Embedding(1 + vocab_size,"))
    (tmp_path / "b.py").write_text(text.replace("class A", "class B"))
    run(capsys, "evaluate", best, "--model", f"{moved}:A")
    for model, message in (
        (f"{other}:A", "name a checkpoint of this model"),
        (f"{tmp_path}/b.py:B", "expected the class A, as the checkpoint says, got"),
        (f"{tmp_path}/none.py:A", "got no such file"),
    ):
        assert message in run(capsys, "evaluate", best, "--model", model, code=1)
        assert message in run(capsys, "train", model, "--resume", last, code=1)
    resume = ["train", f"{moved}:A", "--resume", last]
    for options, message in (
        (["--arg", "width=4"], "expected --arg width '(1, 2)', as the run began, got '4'"),
        (["--arg", "more=4"], "expected --arg more None, as the run began"),
        (["--task", "tree-gru"], "expected task 'trees', as the run began"),
        (["--hidden-size", "4"], "expected hidden_size 150, as the run began, got 4"),
    ):
        assert message in run(capsys, *resume, *options, code=1)
    run(capsys, *resume, "--arg", "width=(1,2)", "--epochs", 2, "--quiet")


def test_a_model_of_a_file_is_none_for_a_built_in_checkpoint(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "train", "tree-lstm", *WORDS, *TREES, "--output", tmp_path)
    model = f"{trained}/mine.py:A"
    for command in ("evaluate", "predict", "sample"):
        best = tmp_path / "best.safetensors"
        said = run(capsys, command, best, "--model", model, code=1)
        assert "expected no --model for 'tree-lstm'" in said
    last = tmp_path / "last.safetensors"
    said = run(capsys, "train", model, "--task", "trees", "--resume", last, code=1)
    assert "expected model 'tree-lstm', as the run began" in said


@pytest.mark.parametrize(
    "user",
    [
        None,
        [],
        {},
        {"file": 1, "class": "A", "task": "trees", "args": {}},
        {"file": "a.py", "class": "A", "task": "nonsense", "args": {}},
        {"file": "a.py", "class": "A", "task": "sentences", "args": {}},
        {"file": "a.py", "class": "A", "task": "nary-tree-lstm", "args": {"dropout": "1"}},
        {"file": "a.py", "class": "A", "task": "trees", "args": {"width": 3}},
        {"file": "a.py", "class": "A", "task": "trees", "args": {"width": "9" * 5000}},
        {"file": "a.py", "class": "A", "task": "trees", "args": {"width": "-" * 4000, "x": "1"}},
        {"file": "a\n.py", "class": "A" * 5000, "task": "trees", "args": {"a b": "[" * 4000}},
    ],
)
def test_whatever_a_checkpoint_says_of_a_model_is_one_line(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], user: Any
) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    path = trained / "run" / "best.safetensors"
    with safe_open(str(path), framework="numpy") as file:
        metadata = {**file.metadata(), "user_model": json.dumps(user)}
    damaged = tmp_path / "a.safetensors"
    save_file(load_file(path), damaged, metadata)
    for options in ([], ["--model", f"{trained}/mine.py:A"]):
        assert len(run(capsys, "evaluate", damaged, *options, code=1)) < 2000
