"""Curves for TensorBoard, where tensorboardX is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cavs.errors import InputError
from cavs.training.trainer import Observer


class TensorBoard:
    """Writes the loss of each step and the scores of each epoch, and passes on what it is told."""

    def __init__(self, directory: Path, observer: Observer) -> None:
        """Raises InputError where tensorboardX is not installed."""
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise InputError(
                "[train] expected tensorboardX for --tensorboard, got none; install it with: pip "
                "install 'cavs[viz]'"
            ) from None
        self._writer: Any = SummaryWriter(str(directory / "tensorboard"))
        self._observer = observer
        self._graphs = 0

    def epoch_begins(self, epoch: int, done: int, graphs: int) -> None:
        """See `Observer`."""
        self._graphs = (epoch - 1) * graphs + done
        self._observer.epoch_begins(epoch, done, graphs)

    def step_done(self, graphs: int, loss: float) -> None:
        """See `Observer`."""
        self._graphs += graphs
        self._writer.add_scalar("train/loss", loss, self._graphs)
        self._observer.step_done(graphs, loss)

    def epoch_ends(self, record: Mapping[str, Any], improved: bool) -> None:
        """See `Observer`."""
        for name, value in record["dev"].items():
            self._writer.add_scalar(f"dev/{name}", value, self._graphs)
        self._writer.add_scalar(
            "train/graphs_per_second", record["graphs_per_second"], self._graphs
        )
        self._writer.flush()
        self._observer.epoch_ends(record, improved)

    def close(self) -> None:
        """Writes what is still to write."""
        self._writer.close()
