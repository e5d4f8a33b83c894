"""Reads the state of training from a checkpoint, and checks every value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cavs.errors import CheckpointError, InputError
from cavs.training._fields import Fields, is_text, is_whole
from cavs.training.checkpoint import Checkpoint
from cavs.training.config import TrainingConfig
from cavs.training.divergence import Divergence, read_found

_LENGTH = 64  # of an identity, at most


@dataclass(frozen=True)
class TrainingState:
    """The content of `Trainer.state_dict`; see there."""

    history: list[dict[str, Any]]
    best: dict[str, Any] | None
    averaged: list[int]
    batch: int
    graphs: int
    loss: float
    seconds: float
    without_gradient: list[str]
    divergence: Divergence
    random: dict[str, int]
    data: str


def read_state(
    path: str | Path, progress: Any, score: str, describe: Callable[[Mapping[str, float]], str]
) -> TrainingState:
    """The state that a checkpoint holds as ``progress``.

    Args:
        path: the path of the checkpoint, for errors.
        progress: the value to read.
        score: the name of the score that epochs are judged by.
        describe: puts the scores of an epoch in words.

    Raises:
        CheckpointError: something is missing, of another type, or disagrees with the rest.
    """
    fields = Fields(path, "progress", progress)
    rows = fields.take_list("history", "a list of epochs", lambda row: isinstance(row, dict))
    history = [
        _read_row(Fields(path, f"progress.history[{place}]", row), place + 1, score, describe)
        for place, row in enumerate(rows)
    ]
    random = fields.take_fields("random")
    return TrainingState(
        history=history,
        best=_read_best(fields, history),
        # The first checkpoints lack both.
        averaged=_read_list(fields, "averaged", "epochs", lambda epoch: is_whole(epoch)),
        batch=fields.take_whole("batch"),
        graphs=fields.take_whole("graphs"),
        loss=fields.take_number("loss"),
        seconds=fields.take_number("seconds"),
        without_gradient=_read_list(fields, "without_gradient", "names", is_text),
        divergence=Divergence.read(fields),
        random={name: random.take_whole(name, 0, 2**64 - 1) for name in random.values},
        data=fields.take("data", "a fingerprint of the training set", is_text),
    )


def read_settings(path: str | Path, training: Mapping[str, Any]) -> TrainingConfig:
    """The settings that a run began with.

    Raises:
        CheckpointError: there are none, or one is out of its range.
    """
    settings = Fields(path, "training", training).take_fields("settings")
    try:
        return TrainingConfig.from_dict(settings.values)
    except InputError as error:
        raise CheckpointError(f"[checkpoint] {path}: {error}") from error


def read_identity(path: str | Path, checkpoint: Checkpoint) -> str | None:
    """The identity of a run; None in old checkpoints, which have none.

    Raises:
        CheckpointError: the value is no identity.
    """
    if "run" not in checkpoint.training:
        return None
    fields = Fields(path, "training", checkpoint.training)
    found: str = fields.take(
        "run", "an identity", lambda run: is_text(run) and 0 < len(run) <= _LENGTH
    )
    return found


def _read_row(
    row: Fields, epoch: int, score: str, describe: Callable[[Mapping[str, float]], str]
) -> dict[str, Any]:
    """A row of the history."""
    row.take_whole("epoch", epoch, epoch)
    for name in ("loss", "seconds", "graphs_per_second"):
        row.take_number(name)
    scores = row.take_fields("dev")
    for name in {score, *scores.values}:
        scores.take_number(name)
    try:
        describe(scores.values)
    except KeyError as error:
        scores.refuse(f"the score {error}", dict(scores.values))
    if "without_gradient" in row.values:
        _read_list(row, "without_gradient", "names", is_text)
    if "diverged" in row.values:
        read_found(row, "diverged")
    return dict(row.values)


def _read_best(fields: Fields, history: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The best row, the same object as in `history`."""
    best = fields.take(
        "best",
        f"one of the {len(history)} epochs of the history" if history else "null",
        lambda row: row in history if history else row is None,
    )
    return None if best is None else history[best["epoch"] - 1]


def _read_list(fields: Fields, name: str, what: str, good: Callable[[Any], bool]) -> list[Any]:
    """A list that older checkpoints lack."""
    return fields.take_list(name, f"a list of {what}", good) if name in fields.values else []
