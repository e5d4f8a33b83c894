"""A run of training in a directory: its checkpoints, its metrics, and going on with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cavs
from cavs.errors import CheckpointError
from cavs.training.checkpoint import (
    Arrays,
    Checkpoint,
    check_arrays,
    copies,
    save_checkpoint,
    write_atomically,
)
from cavs.training.config import TrainingConfig
from cavs.training.tasks import Task, load_model, restore_task
from cavs.training.trainer import Observer, Trainer

LAST, BEST, METRICS = "last.safetensors", "best.safetensors", "metrics.json"


class TrainingRun:
    """Training of a task's model, with all that is kept of it.

    The directory holds ``last.safetensors``, from which the run can go on, ``best.safetensors``,
    the parameters that were best on dev, and ``metrics.json``.

    Attributes:
        directory: where these are.
        task: what is trained, on what.
        trainer: the loop.
        model: what is trained.
        test: scores of the best parameters on the test set, once finished.
    """

    def __init__(
        self, directory: Path, task: Task, model: cavs.Model | cavs.Program, config: TrainingConfig
    ) -> None:
        """Raises `DataError` where the data do not fit the model."""
        self.directory = directory
        self.task = task
        self.model = model
        self.test: dict[str, float] | None = None
        task.check(model.function)
        dev = task.batches("dev")
        self.trainer = Trainer(model, task.objective, task.loader(config), dev, config)

    @classmethod
    def start(cls, directory: Path, task: Task, config: TrainingConfig) -> TrainingRun:
        """A new run, kept in `directory`, which is made when something is saved."""
        cavs.nn.init.manual_seed(config.seed)
        model = cavs.compile(task.make_function(), outputs=task.outputs, seed=config.seed)
        return cls(directory, task, model, config)

    def begin_with(self, path: Path, checkpoint: Checkpoint) -> None:
        """Takes over the parameters of the checkpoint of `path`, before training.

        Raises:
            CheckpointError: names the first parameter, or the vocabulary, that does not fit.
        """
        check_arrays(path, checkpoint.parameters, dict(self.model.function.named_parameters()))
        if checkpoint.vocabulary != self.task.vocabulary:
            raise CheckpointError(
                f"[checkpoint] {path}: expected the vocabulary of the data to train on, got "
                "another; take the same data and settings of words"
            )
        self.model.load_state_dict(checkpoint.parameters)

    @classmethod
    def resume(
        cls, path: Path, checkpoint: Checkpoint, config: TrainingConfig, directory: Path
    ) -> TrainingRun:
        """Goes on from the checkpoint of `path`, with the settings `config`.

        Raises:
            CheckpointError: it holds no training state, or one that does not fit model or data.
        """
        state = checkpoint.training
        if "source" not in state or "progress" not in state:
            raise CheckpointError(
                f"[checkpoint] {path}: expected a checkpoint to go on from, got one of parameters "
                f"only; take {LAST} of the run"
            )
        task = restore_task(checkpoint)
        model = load_model(
            path, checkpoint, checkpoint.parameters, config.seed, outputs=task.outputs
        )
        run = cls(directory, task, model, config)
        run.trainer.restore(path, checkpoint)
        return run

    def fit(
        self, observer: Observer | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Trains, saving after each epoch; then scores the best parameters on the test set.

        Returns:
            False where `should_stop` ended it before; the state is saved then too.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        finished = self.trainer.fit(_Saver(self, observer), should_stop)
        if finished:
            last = copies(self.model.state_dict())
            self.model.load_state_dict(self.trainer.best_parameters())
            batches = self.task.batches("test")
            self.test = self.task.objective.evaluate(self.model, batches, should_stop)
            if self.test is None:
                finished = False
                self.model.load_state_dict(last)
        if not finished:
            self.save_last()
        self.save_metrics()
        return finished

    def save_last(self) -> None:
        """Writes the checkpoint to go on from."""
        training = {
            "source": self.task.source.to_dict(),
            "settings": self.trainer.config.to_dict(),
            "progress": self.trainer.state_dict(),
        }
        self._save(LAST, self.trainer.arrays(), training)

    def save_best(self) -> None:
        """Writes the best parameters."""
        training = {"source": self.task.source.to_dict(), "best": self.trainer.best}
        self._save(BEST, {"parameters": self.trainer.best_parameters()}, training)

    def _save(self, name: str, arrays: dict[str, Arrays], training: dict[str, Any]) -> None:
        task = self.task
        checkpoint = Checkpoint(
            task.name, task.arguments, task.vocabulary, **arrays, training=training
        )
        save_checkpoint(self.directory / name, checkpoint)

    def metrics(self) -> dict[str, Any]:
        """What metrics.json holds."""
        return {
            "version": cavs.__version__,
            "model": self.task.name,
            "arguments": self.task.arguments,
            "data": {
                **self.task.source.to_dict(),
                "name": self.task.source.name,
                self.task.unit: self.task.sizes,
            },
            "settings": self.trainer.config.to_dict(),
            "threads": cavs.get_num_threads(),
            "history": self.trainer.history,
            "best": self.trainer.best,
            "test": self.test,
        }

    def save_metrics(self) -> None:
        """Writes metrics.json."""
        text = json.dumps(self.metrics(), indent=2) + "\n"
        path = self.directory / METRICS
        try:
            write_atomically(path, text.encode())
        except OSError as error:
            raise CheckpointError(
                f"[train] {path}: expected to write it, got {error.strerror or error}; free some "
                "space or choose another place"
            ) from error


class _Saver:
    """Saves the run after each epoch, and passes on what it is told."""

    def __init__(self, run: TrainingRun, observer: Observer | None) -> None:
        self._run = run
        self._observer = observer

    def epoch_begins(self, epoch: int, done: int, graphs: int) -> None:
        if self._observer is not None:
            self._observer.epoch_begins(epoch, done, graphs)

    def step_done(self, graphs: int, loss: float) -> None:
        if self._observer is not None:
            self._observer.step_done(graphs, loss)

    def epoch_ends(self, record: Mapping[str, Any], improved: bool) -> None:
        self._run.save_last()
        if improved:
            self._run.save_best()
        self._run.save_metrics()
        if self._observer is not None:
            self._observer.epoch_ends(record, improved)
