"""Parameters that training does not reach are named once, after the first epoch of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from option_settings import settings_of, words_of
from user_model_files import write_small_data

import cavs
from cavs import nn, ops
from cavs.cli import main
from cavs.data import Dataset, Loader
from cavs.training import (
    Classification,
    Trainer,
    TrainingConfig,
    TrainingRun,
    TreeSource,
    TreeTask,
    load_checkpoint,
    make_task,
    save_checkpoint,
)
from cavs.training import gradients as module
from cavs.training.gradients import WithoutGradient

COUNT, SIZE = 12, 3


class Function(cavs.VertexFunction):
    """Parameters that get gradients always, in one step, in none, by rows, and never."""

    def __init__(self) -> None:
        self.always, self.once, self.zeros = (nn.Linear(SIZE, SIZE, bias=False) for _ in range(3))
        self.read, self.missing = nn.Embedding(4, SIZE), nn.Embedding(4, SIZE)
        self.zero_rows = nn.Embedding(4, SIZE)
        self.tied = self.always
        self.unused = cavs.Parameter(np.ones(2, np.float32))
        self.frozen = cavs.Parameter(np.ones(SIZE, np.float32), requires_grad=False)

    def forward(self, v: cavs.Vertex) -> None:
        x, one = v.pull("x", SIZE), v.pull("one")
        word, none = v.pull("word", dtype="int32"), v.pull("none", dtype="int32")
        y = self.always(x) + self.once(x) * one + self.zeros(x) * 0.0 * one + self.read(word)
        logits = y + self.missing(none) + self.zero_rows(word) * ops.relu(-x * x) * self.frozen
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


SILENT = ["zeros.weight", "missing.weight", "zero_rows.weight", "unused"]


def make_trainer(model: cavs.Model | None = None, **settings: Any) -> Trainer:
    rng = np.random.default_rng(0)
    one = np.zeros(COUNT, np.float32)
    one[7] = 1  # in one batch of six, in whatever order
    data = Dataset(
        [cavs.InputGraph([[]]) for _ in range(COUNT)],
        vertex={
            "x": rng.normal(size=(COUNT, SIZE)).astype(np.float32),
            "one": one,
            "word": rng.integers(0, 4, COUNT).astype(np.int32),
            "none": np.full(COUNT, -1, np.int32),
            "label": rng.integers(0, SIZE, COUNT).astype(np.int32),
        },
    )
    config = TrainingConfig(**{"epochs": 3, "batch_size": 2, "patience": 0, **settings})
    loader = Loader(data, 2, shuffle=True, seed=1)
    model = cavs.compile(Function()) if model is None else model
    return Trainer(model, Classification(), loader, Loader(data, COUNT), config)


def silent_by_epoch(trainer: Trainer) -> list[list[str]]:
    return [row.get("without_gradient", []) for row in trainer.history]


@pytest.mark.parametrize("optimizer", ["adagrad", "adam", "sgd"])
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_they_are_named_after_the_first_epoch(optimizer: str, clip_norm: float) -> None:
    trainer = make_trainer(optimizer=optimizer, clip_norm=clip_norm)
    assert trainer.fit()
    assert silent_by_epoch(trainer) == [SILENT, [], []]
    assert "without_gradient" not in trainer.history[1]


def test_nothing_is_said_where_all_learn() -> None:
    model = cavs.compile(Function())
    for name, parameter in model.named_parameters():
        if name in SILENT:
            parameter.requires_grad = False
    trainer = make_trainer(model)
    assert trainer.fit()
    assert all("without_gradient" not in row for row in trainer.history)


@pytest.mark.parametrize(
    ("gradient", "found"),
    [
        (None, False),
        (np.zeros((2, 3)), False),
        (-np.zeros((2, 3)), False),
        (np.array([[0, 0], [0, 1e-300]]), True),
        (np.array([np.nan]), True),
        (cavs.RowSparse(np.zeros(0, np.int32), np.zeros((0, 3)), (4, 3)), False),
        (cavs.RowSparse(np.array([1], np.int32), np.zeros((1, 3)), (4, 3)), False),
        (cavs.RowSparse(np.array([0, 2], np.int32), np.eye(2, 3), (4, 3)), True),
    ],
)
def test_what_is_a_gradient(gradient: Any, found: bool) -> None:
    model = cavs.compile(Function())
    watched = WithoutGradient(model)
    parameter = dict(model.named_parameters())["always.weight"]
    parameter.grad = gradient
    watched.note()
    assert ("always.weight" not in watched.names) == found


class Large(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w = cavs.Parameter(np.zeros((400, 300), np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=ops.linear(v.pull("x", 300), self.w))


def test_a_large_gradient_is_found_in_eight_steps_and_a_full_one_at_once() -> None:
    model = cavs.compile(Large())
    parameter = model.parameters()[0]
    for before in range(1, 20):
        for row, most in ((77, module.EVERY), (slice(None), 1)):
            watched = WithoutGradient(model)
            parameter.grad = np.zeros((400, 300), np.float32)
            for _ in range(before):
                watched.note()
            assert watched.names == ["w"]
            parameter.grad[row, 299 if most > 1 else slice(None)] = 1e-30
            steps = 0
            while watched.names:
                watched.note()
                steps += 1
            assert steps <= most


def test_a_gradient_once_found_is_looked_at_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    is_gradient = module._is_gradient

    def noted(grad: Any, step: int) -> bool:
        looked[-1] += 1
        return is_gradient(grad, step)

    monkeypatch.setattr(module, "_is_gradient", noted)

    def stop() -> bool:
        looked.append(0)
        return False

    looked.append(0)
    trainer = make_trainer()
    trainer.fit(should_stop=stop)
    first = looked[:6]
    assert first == sorted(first, reverse=True)
    assert (first[0], first[-1]) in ((7, 4), (7, 5))  # all that learn, and what is left of them
    assert not any(looked[6:])  # after the first epoch none


TINY = ["--embedding-size", "4", "--hidden-size", "6", "--batch-size", "5"]


MINE = """
import cavs
from cavs import nn, ops


class A(cavs.VertexFunction):
    def __init__(self, vocab_size, num_classes, **given):
        self.embedding = nn.Embedding(vocab_size, num_classes)
        self.w_f = nn.Linear(num_classes, num_classes, bias=False)

    def forward(self, v):
        x = self.embedding(v.pull("word", dtype="int32"))
        logits = x + self.w_f(x) * 0.0
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
"""


REASON = (
    "[train] w_f.weight gets no gradient, as it should be: it would let a vertex's word decide "
    "what is forgotten of its children, and in these trees only leaves have words; nothing to do\n"
)


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    """Words stand on leaves, so the forget gates of inner vertices see none."""
    folder = tmp_path / "treebank"
    folder.mkdir()
    trees = ["(1 (1 a) (2 (1 b) (0 a)))", "(3 (1 (2 c) (1 b)) (2 a))"]
    for name in ("train", "dev", "test"):
        (folder / f"{name}.txt").write_text("\n".join(trees * 10) + "\n")
    return folder


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_the_command_says_it_in_a_line(
    tmp_path: Path, treebank: Path, capsys: pytest.CaptureFixture[str], quiet: list[str]
) -> None:
    run = [*TINY, "--data", str(treebank), "--epochs", "2", *quiet, "--output", str(tmp_path / "a")]
    assert main(["train", "tree-lstm", *run]) == 0
    said = capsys.readouterr().err
    assert said == ("" if quiet else REASON)  # which asks for nothing
    history = json.loads((tmp_path / "a" / "metrics.json").read_text())["history"]
    assert [row.get("without_gradient") for row in history] == [["w_f.weight"], None]
    last = str(tmp_path / "a" / "last.safetensors")
    assert main(["train", "tree-lstm", "--resume", last, "--epochs", "3", *quiet]) == 0
    assert capsys.readouterr().err == ""  # it was said in the first epoch
    run = [*TINY, "--data", str(treebank), "--epochs", "1", *quiet, "--output", str(tmp_path / "b")]
    assert main(["train", "tree-gru", *run]) == 0
    assert capsys.readouterr().err == ""


def test_the_baseline_is_for_one_estimator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default a sigmoid belief network trains without it."""
    settings = settings_of("sbn", write_small_data(tmp_path))
    run = words_of({**settings, "epochs": 1})
    said = {}
    for name in ("vimco", "nvil", "wake-sleep", "reweighted-wake-sleep"):
        given = [*run, "--estimator", name, "--output", str(tmp_path / name)]
        assert main(["train", "sbn", *given]) == 0
        said[name] = capsys.readouterr().err
    assert said["nvil"] == ""
    for name in ("vimco", "wake-sleep", "reweighted-wake-sleep"):
        assert said[name] == (
            "[train] baseline1.weight, baseline1.bias, baseline2.weight, baseline2.bias get no "
            f"gradient, as it should be: it is for --estimator nvil, and {name} needs no "
            "baseline; nothing to do\n"
        )


def test_a_reason_is_given_only_where_it_holds(
    tmp_path: Path, treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not where an inner vertex has a word, nor for a model of a user's, nor for other names."""
    names = ["w_f.weight", "u_f.weight"]
    for model in ("tree-lstm", "nary-tree-lstm"):
        task = make_task(model, {"data": str(treebank)})[0]
        assert list(task.reasons_without_gradient(names)) == ["w_f.weight"]
        assert task.reasons_without_gradient(["u_f.weight"]) == {}
    assert make_task("tree-gru", {"data": str(treebank)})[0].reasons_without_gradient(names) == {}
    generated = {"num_train": 20, "max_depth": 3}  # whose operators are words of inner vertices
    assert make_task("tree-lstm", generated)[0].reasons_without_gradient(names) == {}
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    run = [*TINY, "--data", str(treebank), "--epochs", "1", "--output", str(tmp_path / "a")]
    assert main(["train", f"{file}:A", "--task", "trees", *run]) == 0
    said = capsys.readouterr().err
    assert said == (
        "[train] expected a gradient of each parameter in epoch 1, got none, or zeros in each "
        "step, of w_f.weight; check that these data use them, for nothing is learnt there\n"
    )


def test_a_run_that_is_left_in_its_first_epoch_says_it_when_that_is_done(
    tmp_path: Path, treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What got a gradient before it was left counts."""

    class Stop:
        left = 2

        def __call__(self) -> bool:
            self.left -= 1
            return self.left <= 0

    task = TreeTask.create(
        "tree-lstm", TreeSource(str(treebank)), embedding_size=4, hidden_size=6, dropout=0.0
    )
    run = TrainingRun.start(tmp_path / "run", task, TrainingConfig(epochs=1, batch_size=5))
    assert not run.fit(should_stop=Stop())
    last = tmp_path / "run" / "last.safetensors"
    checkpoint = load_checkpoint(last)
    assert checkpoint.training["progress"]["without_gradient"] == ["w_f.weight"]
    resume = ["train", "tree-lstm", "--resume", str(last)]
    for progress, said in ((["w_f.weight"], "w_f.weight"), ([], ""), (None, "")):
        checkpoint.training["progress"]["without_gradient"] = progress
        if progress is None:  # as before anybody noted them
            del checkpoint.training["progress"]["without_gradient"]
        save_checkpoint(last, checkpoint)
        assert main(resume) == 0
        found = capsys.readouterr().err
        assert (said in found) if said else not found
