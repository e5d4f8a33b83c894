"""Curves for TensorBoard, where tensorboardX is installed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cavs.errors import CheckpointError, InputError
from cavs.training.held import CURVES
from cavs.training.objective import Observer


class TensorBoard(Observer):
    """Writes the loss of each step and the scores of each epoch, and passes each call on to
    `observer`."""

    def __init__(self, directory: Path, observer: Observer) -> None:
        """Raises InputError if tensorboardX is not installed, CheckpointError if the file cannot be
        written."""
        # Not its SummaryWriter, which writes in a thread: on a full disk that thread ends with a
        # traceback, and the run waits for it for ever.
        try:
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto.event_pb2 import Event
            from tensorboardX.summary import scalar
        except ImportError:
            raise InputError(
                "[train] expected tensorboardX for --tensorboard, got none; install it with: pip "
                "install 'cavs-nn[viz]'"
            ) from None
        self._folder = directory / CURVES
        self._event: Any = Event
        self._scalar: Any = scalar
        self._observer = observer
        self._graphs = 0
        self._open = True
        with self._writing():
            self._folder.mkdir(exist_ok=True, parents=True)
            # Its file names differ from second to second only: a run that is stopped and goes on
            # must not overwrite its own curves.
            suffix = f".{secrets.token_hex(4)}"
            self._writer: Any = EventsWriter(str(self._folder / "events"), suffix)

    def epoch_begins(self, epoch: int, done: int, graphs: int) -> None:
        self._graphs = (epoch - 1) * graphs + done
        self._observer.epoch_begins(epoch, done, graphs)

    def step_done(self, graphs: int, loss: float) -> None:
        self._graphs += graphs
        self._write("train/loss", loss)
        self._observer.step_done(graphs, loss)

    def epoch_ends(self, record: Mapping[str, Any], improved: bool) -> None:
        for name, value in record["dev"].items():
            self._write(f"dev/{name}", value)
        self._write("train/graphs_per_second", record["graphs_per_second"])
        with self._writing():
            self._writer.flush()
        self._observer.epoch_ends(record, improved)

    def close(self) -> None:
        """Writes the last values and closes the file."""
        if self._open:
            self._open = False
            with self._writing():
                self._writer.close()

    def abandon(self) -> None:
        """Closes the file if it is open, even if the last values cannot be written."""
        with suppress(CheckpointError):
            self.close()

    def _write(self, name: str, value: float) -> None:
        event = self._event(wall_time=time.time(), step=self._graphs)
        event.summary.CopyFrom(self._scalar(name, value))
        with self._writing():
            self._writer.write_event(event)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"[train] expected to write curves to {self._folder}, got "
                f"({error.strerror or error}); free some space, or leave --tensorboard out"
            ) from error
