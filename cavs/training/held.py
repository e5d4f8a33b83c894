"""The files of runs in a folder, and the runs that they belong to."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from cavs.errors import CheckpointError, InputError
from cavs.training._fields import is_whole
from cavs.training.checkpoint import Checkpoint, peek_checkpoint
from cavs.training.state import read_identity

LAST, BEST, METRICS = "last.safetensors", "best.safetensors", "metrics.json"
CURVES = "tensorboard"

# The identity for a file that names no run, or cannot be read.
NOBODY = ""


@dataclass(frozen=True)
class BestOf:
    """The best parameters in a file: the identity of their run, and their epoch."""

    identity: str
    epoch: int


@dataclass(frozen=True)
class HeldRun:
    """The files of runs in a folder.

    Attributes:
        owners: maps each file's name to the identity in it; `NOBODY` if there is none.
        place: the number of epochs, and of batches of the next one, that are done in its
            ``last.safetensors``.
    """

    owners: dict[str, str]
    place: tuple[int, int]

    @classmethod
    def of(cls, directory: Path) -> HeldRun:
        """The files that `directory` holds now."""
        owners, place = {}, (0, 0)
        last = _peek(directory / LAST)
        if last is not None:
            owners[LAST], place = _owner(directory / LAST, last), _place(last)
        elif (directory / LAST).exists():
            owners[LAST] = NOBODY
        best = best_of(directory / BEST)
        if best is not None:
            owners[BEST] = best.identity
        if (directory / METRICS).exists():
            owners[METRICS] = _owner_of_metrics(directory / METRICS)
        return cls(owners, place)

    def admits(self, identity: str, place: tuple[int, int]) -> bool:
        """Whether a run may write there without loss: no file is another run's, and the run's own
        files have come no further than `place`."""
        return set(self.owners.values()) <= {identity} and self.place <= place

    def refuse(self, directory: Path, identity: str) -> NoReturn:
        """Raises InputError, which says how to avoid writing there."""
        if self.owners.get(LAST) == identity:
            epoch, batch = self.place
            raise InputError(
                "[train] expected a folder in which this run has come no further, got "
                f"{directory}, where it has done {epoch} epochs and {batch} batches; go on "
                f"with --resume {shlex.quote(str(directory / LAST))}, choose another "
                "--output, or replace it with --overwrite"
            )
        raise InputError(
            f"[train] expected a folder without another run, got {directory}, which holds "
            f"{', '.join(sorted(self.owners))} of one; choose another --output, or replace it with "
            "--overwrite"
        )


def best_of(path: Path) -> BestOf | None:
    """The run and the epoch of the best parameters in a file; None if there is no file."""
    checkpoint = _peek(path)
    if checkpoint is None:
        return BestOf(NOBODY, 0) if path.exists() else None
    best = checkpoint.training.get("best")
    epoch: Any = best.get("epoch") if isinstance(best, dict) else None
    return BestOf(_owner(path, checkpoint), epoch if is_whole(epoch) else 0)


def _peek(path: Path) -> Checkpoint | None:
    """A checkpoint without its arrays; None if it is missing or cannot be read."""
    try:
        return peek_checkpoint(path)
    except CheckpointError:
        return None


def _owner(path: Path, checkpoint: Checkpoint) -> str:
    try:
        return read_identity(path, checkpoint) or NOBODY
    except CheckpointError:
        return NOBODY


def _place(checkpoint: Checkpoint) -> tuple[int, int]:
    """The epochs and batches that a run has done; (0, 0) if its checkpoint does not say."""
    progress = checkpoint.training.get("progress", {})
    history, batch = progress.get("history"), progress.get("batch")
    epochs = len(history) if isinstance(history, list) else 0
    return epochs, batch if is_whole(batch) else 0


def _owner_of_metrics(path: Path) -> str:
    try:
        owner = json.loads(path.read_text(encoding="utf-8")).get("run")
    except (AttributeError, OSError, RecursionError, ValueError):
        return NOBODY
    return owner if isinstance(owner, str) else NOBODY
