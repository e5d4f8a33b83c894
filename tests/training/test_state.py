"""The state of a run in a checkpoint: whatever stands there, going on works or is refused."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cavs.cli import main
from cavs.data import TreeCorpus, listops_corpus
from cavs.errors import CheckpointError
from cavs.training import (
    Checkpoint,
    TrainingConfig,
    TrainingRun,
    TreeSource,
    TreeTask,
    load_checkpoint,
    save_checkpoint,
)

Spoil = Callable[[Checkpoint], None]
BAD: list[Any] = [None, True, -1, 1.5, float("nan"), 10**30, 10**400, "x", "\ud800", [], {}, [1]]


@cache
def few(num_train: int, max_depth: int, seed: int) -> TreeCorpus:
    return listops_corpus(num_train, 20, 20, max_depth=max_depth, seed=seed)


@pytest.fixture(scope="module", autouse=True)
def _few() -> Iterator[None]:
    """Few expressions to be judged by, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cavs.training.tasks.labelled_trees.listops_corpus", few)
        yield


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was left within its second epoch."""
    directory = tmp_path_factory.mktemp("left")
    sizes: dict[str, Any] = {"embedding_size": 3, "hidden_size": 4, "dropout": 0.2}
    task = TreeTask.create("tree-lstm", TreeSource(num_train=30, max_depth=3), **sizes)
    config = TrainingConfig(epochs=3, batch_size=10, optimizer="adam")
    run = TrainingRun.start(directory, task, config)
    assert not run.fit(should_stop=lambda: run.trainer.epoch == 1 and run.trainer.batch == 2)
    return directory / "last.safetensors"


def put(value: Any, *keys: Any) -> Spoil:
    def spoil(checkpoint: Checkpoint) -> None:
        place: Any = checkpoint.training
        for key in keys[:-1]:
            place = place[key]
        if value is KeyError:
            del place[keys[-1]]
        else:
            place[keys[-1]] = value

    return spoil


def refused(left: Path, folder: Path, spoil: Spoil, capsys: Any, command: str = "train") -> str:
    """What the command says of a checkpoint with something wrong in it: one line."""
    checkpoint = copy.deepcopy(load_checkpoint(left))
    spoil(checkpoint)
    path = folder / "last.safetensors"
    save_checkpoint(path, checkpoint)
    before = path.read_bytes()
    arguments = {
        "train": ["train", "tree-lstm", "--resume", str(path), "--quiet"],
        "evaluate": ["evaluate", str(path)],
    }
    assert main(arguments[command]) == 1
    error: str = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert error.startswith("cavs: [checkpoint]")
    assert str(path) in error
    assert path.read_bytes() == before
    return error


PROGRESS = ("history", "best", "batch", "graphs", "loss", "seconds", "random", "data")


@pytest.mark.parametrize("name", PROGRESS)
def test_each_part_of_a_state_is_looked_at(
    left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    taken = {"loss": (1.5, 10**30, -1), "seconds": (1.5, 10**30, -1)}
    for value in (KeyError, *BAD):
        if value in taken.get(name, ()) and not isinstance(value, bool):
            continue
        said = refused(left, tmp_path, put(value, "progress", name), capsys)
        assert "progress." in said or name in ("graphs", "data", "random")


@pytest.mark.parametrize(
    "spoil",
    [
        *[put(value, "progress", "batch") for value in (0, 1, 3, 4, 2**53)],
        *[put(value, "progress", "graphs") for value in (0, 19, 21, 30)],
        *[put(value, "progress", "averaged") for value in (None, [-1], ["x"], {})],
        *[put(value, "progress", "without_gradient") for value in (None, [1], "x")],
        *[put(value, "progress", "random", "seed") for value in (KeyError, -1, 2**64, "x", 1.5)],
        put(1, "progress", "random", "more"),
        *[put(value, "progress", "history", 0, "epoch") for value in (KeyError, 0, 2, "1", True)],
        *[put(v, "progress", "history", 0, "loss") for v in (KeyError, None, float("inf"), "x")],
        *[put(value, "progress", "history", 0, "dev") for value in (KeyError, None, {}, [])],
        put(KeyError, "progress", "history", 0, "dev", "root_accuracy"),
        put(KeyError, "progress", "history", 0, "dev", "vertex_accuracy"),
        put("x", "progress", "history", 0, "dev", "loss"),
        put([], "progress", "history"),
        put({"epoch": 7}, "progress", "best"),
        *[put(value, "progress", "best", "epoch") for value in (0, 2, None, "1")],
        *[put(value, "run") for value in (None, 1, "", "x" * 1000, [])],
        put(KeyError, "settings"),
        *[put(value, "settings", "epochs") for value in (0, -1, 1.5, True, None, "3", 10**30)],
        *[put(value, "settings", "batch_size") for value in (0, 7, None, "10", 10**30)],
        *[
            put(v, "settings", "lr")
            for v in (0, -1, float("nan"), float("inf"), "x", None, 10**400)
        ],
        *[put(value, "settings", "seed") for value in (-1, 2**64, 1.0, None)],
        *[put(value, "settings", "optimizer") for value in ("x", None, [], "sgd", "adagrad")],
        *[put(value, "source", "num_train") for value in (0, -1, 29, 10**9, "30", 1.5, None)],
        *[put(value, "source", "max_depth") for value in (-1, 1.5, "x", None, 10**30)],
        put("a\0b", "source", "path"),
        put("x" * 10_000, "source", "path"),
        put(1, "source", "heads"),
        put([], "source", "path"),
    ],
)
def test_values_that_disagree_are_refused(
    left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Spoil
) -> None:
    refused(left, tmp_path, spoil, capsys)


def array(group: str, name: str, change: Callable[[Any], Any]) -> Spoil:
    def spoil(checkpoint: Checkpoint) -> None:
        arrays = getattr(checkpoint, group)
        arrays[name] = change(arrays[name])

    return spoil


def drop(group: str) -> Spoil:
    return lambda checkpoint: getattr(checkpoint, group).clear()


@pytest.mark.parametrize(
    "spoil",
    [
        *[drop(group) for group in ("parameters", "optimizer", "best")],
        array("best", "u_f.weight", lambda a: a * np.float32(np.nan)),
        array("best", "u_f.weight", lambda a: a[:1]),
        array("optimizer", "u_f.weight.exp_avg", lambda a: a * np.nan),
        array("optimizer", "u_f.weight.exp_avg_sq", lambda a: a - 1),
        array("optimizer", "u_f.weight.step", lambda a: np.array(-1)),
        array("optimizer", "u_f.weight.step", lambda a: np.array(1.5)),
        array("optimizer", "u_f.weight.step", lambda a: np.array(2**62)),
        array("optimizer", "groups.0.beta1", lambda a: np.array(1.0)),
        array("optimizer", "groups.0.lr", lambda a: np.array(-1.0)),
        array("optimizer", "groups.1.eps", lambda a: np.array(np.nan)),
        array("optimizer", "groups.1.eps", lambda a: np.array([1e-8])),
        lambda c: c.objective.update(state=np.zeros(3, np.float32)),
        lambda c: c.average.update(x=np.zeros(3, np.float32)),
        lambda c: c.optimizer.update(x=np.zeros(3, np.float32)),
    ],
)
def test_arrays_that_no_training_comes_to_are_refused(
    left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Spoil
) -> None:
    refused(left, tmp_path, spoil, capsys)


@pytest.mark.parametrize(
    "spoil",
    [
        put(KeyError, "source"),
        put(1, "source", "heads"),
        put("x", "source", "num_train"),
        lambda c: setattr(c, "model", "transformer"),
        lambda c: setattr(c, "vocabulary", None),
        lambda c: c.config.pop("num_classes"),
        lambda c: c.config.update(num_classes="10"),
    ],
)
def test_evaluation_refuses_too(
    left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Spoil
) -> None:
    """A model that the command does not know was a KeyError."""
    refused(left, tmp_path, spoil, capsys, "evaluate")


def test_a_learning_rate_that_grows_without_end_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was an OverflowError in the third epoch."""
    tiny = ["--num-train", "5", "--max-depth", "2", "--embedding-size", "2", "--hidden-size", "2"]
    rates = ["--lr", "1e-300", "--embedding-lr", "1e-300", "--lr-decay", "1e200", "--epochs", "4"]
    output = ["--output", str(tmp_path), "--quiet"]
    assert main(["train", "tree-lstm", *tiny, *rates, *output]) == 1
    error = capsys.readouterr().err
    assert "learning rate" in error or "nonfinite" in error
    assert error.count("\n") == 1


def test_metrics_say_whose_they_are(left: Path) -> None:
    metrics = json.loads((left.parent / "metrics.json").read_text())
    assert metrics["run"] == load_checkpoint(left).training["run"]


def test_refusals_are_checkpoint_errors(left: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(left)
    del checkpoint.training["progress"]["loss"]
    with pytest.raises(CheckpointError, match=r"progress\.loss"):
        TrainingRun.resume(left, checkpoint, TrainingConfig(batch_size=10), tmp_path)


def test_a_parser_without_words_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was an AssertionError."""
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.txt").write_text("(1 (1 a) (1 b))\n")
    sizes = ["--embedding-size", "2", "--hidden-size", "2", "--epochs", "1", "--quiet"]
    data = ["--data", str(tmp_path), "--output", str(tmp_path / "run")]
    assert main(["train", "parser", *sizes, *data]) == 0
    path = tmp_path / "run" / "best.safetensors"
    checkpoint = load_checkpoint(path)
    checkpoint.vocabulary = None
    save_checkpoint(path, checkpoint)
    capsys.readouterr()
    assert main(["predict", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(path) in error
