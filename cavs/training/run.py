"""A run of training in a directory: its checkpoints, its metrics, and going on with it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cavs
from cavs._files import save_atomically
from cavs.core.vertex import named_values
from cavs.errors import CheckpointError, InputError
from cavs.training.arrays import Arrays, check_arrays, copies
from cavs.training.checkpoint import Checkpoint, save_checkpoint
from cavs.training.config import TrainingConfig
from cavs.training.folder import RunFolder
from cavs.training.held import BEST, CURVES, LAST, METRICS, BestOf, HeldRun, best_of
from cavs.training.objective import Observer
from cavs.training.state import read_identity
from cavs.training.tasks import Task, load_model, restore_task
from cavs.training.trainer import Trainer
from cavs.training.user_model import UserModel


class TrainingRun:
    """The training of a task's model, and its files.

    The directory holds ``last.safetensors``, from which the run can go on, ``best.safetensors``,
    the parameters that were best on dev, and ``metrics.json``. All three name their run, and while
    a run writes them no other run writes there.

    Attributes:
        folder: the folder of these files.
        identity: a text that tells the run from others, drawn when it began.
        task: the task, with its data.
        trainer: the loop.
        model: the model that is trained.
        test: scores of the best parameters on the test set, once finished.
    """

    def __init__(
        self,
        folder: Path | RunFolder,
        task: Task,
        model: cavs.Model | cavs.Program,
        config: TrainingConfig,
        *,
        identity: str | None = None,
        overwrite: bool = False,
    ) -> None:
        """`identity`: None draws a new one; `overwrite`: whether another run that the folder holds
        is replaced. Raises `DataError` where the data do not fit the model."""
        self.folder = folder if isinstance(folder, RunFolder) else RunFolder(folder)
        self.identity = identity or secrets.token_hex(8)
        self.task = task
        self.model = model
        self.test: dict[str, float] | None = None
        self._overwrite = overwrite
        self._resumed: Path | None = None
        task.prepare(model)
        dev = task.batches("dev")
        self.trainer = Trainer(model, task.objective, task.loader(config), dev, config)

    @property
    def directory(self) -> Path:
        """The path of the run's folder."""
        return self.folder.path

    @classmethod
    def start(
        cls,
        folder: Path | RunFolder,
        task: Task,
        config: TrainingConfig,
        *,
        overwrite: bool = False,
        device: str = "cpu",
    ) -> TrainingRun:
        """A new run in `folder`, which is made at the first saving, on a device. A run that is
        there already is replaced with `overwrite` only."""
        model = task.compile(config.seed).to(device)
        return cls(folder, task, model, config, overwrite=overwrite)

    def begin_with(self, path: Path, checkpoint: Checkpoint) -> None:
        """Takes over the parameters of the checkpoint of `path`, before training.

        Raises:
            CheckpointError: names the first parameter, or the vocabulary, that does not fit;
                InputError: the task has first values of its own for the embedding.
        """
        for name in ("embedding_std", "vectors"):
            if self.task.made_with.get(name) is not None:
                raise InputError(
                    f"[train] expected --init without --{name.replace('_', '-')}, since both say "
                    "what the embedding begins with, got both; leave one out"
                )
        check_arrays(path, checkpoint.parameters, dict(named_values(self.model.function)))
        mine = self.task.vocabulary, self.task.vocabularies
        if (checkpoint.vocabulary, checkpoint.vocabularies) != mine:
            raise CheckpointError(
                f"[checkpoint] {path}: expected the vocabulary of the data to train on, got "
                "another; take the same data and settings of words"
            )
        self.model.load_state_dict(checkpoint.parameters)

    @classmethod
    def resume(
        cls,
        path: Path,
        checkpoint: Checkpoint,
        config: TrainingConfig,
        directory: Path,
        *,
        overwrite: bool = False,
        code: UserModel | None = None,
        device: str = "cpu",
    ) -> TrainingRun:
        """Goes on from the checkpoint of `path`, with the settings `config`; in another directory
        than its own only if it holds no other run, or with `overwrite`. For a user's model `code`
        holds the class.

        Raises:
            CheckpointError: it holds no training state, or one that does not fit model or data.
        """
        cls.check_resumable(path, checkpoint)
        identity = read_identity(path, checkpoint)
        task = restore_task(checkpoint, path, code)
        model = load_model(
            path, checkpoint, checkpoint.parameters, config.seed, outputs=task.outputs, code=code
        ).to(device)
        run = cls(directory, task, model, config, identity=identity, overwrite=overwrite)
        run.trainer.restore(path, checkpoint)
        run._resumed = path
        return run

    @staticmethod
    def check_resumable(path: Path, checkpoint: Checkpoint) -> None:
        """Raises CheckpointError for a checkpoint that holds no training state."""
        state = checkpoint.training
        if "source" not in state or "progress" not in state:
            raise CheckpointError(
                f"[checkpoint] {path}: expected a checkpoint to go on from, got one of parameters "
                f"only; take {LAST} of the run"
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, the folder is this run's alone. `fit` does this by itself.

        Raises:
            InputError: another run is writing there, or the folder holds one that must not be
                replaced; CheckpointError: it cannot be written to; OSError: it cannot be made.
        """
        if self.folder.is_open:
            yield
            return
        with self.folder.opened():
            self.folder.clear((LAST, BEST, METRICS))
            held = HeldRun.of(self.directory)
            if not self._goes_on_here(held):
                if not held.admits(self.identity, self._place):
                    if not self._overwrite:
                        held.refuse(self.directory, self.identity)
                    self._replace()
                elif self._resumed is not None:
                    self.save_last()  # even with nothing left to do: the run goes on from here
            self._keep_best()
            yield

    def _goes_on_here(self, held: HeldRun) -> bool:
        """Whether the run goes on from the checkpoint in the folder. It is then this run's, even if
        it is an old one that names no run. False if another process went on from it since it was
        read."""
        if self._resumed is None or held.place > self._place:
            return False
        try:
            return (self.directory / LAST).samefile(self._resumed)
        except OSError:
            return False

    @property
    def _place(self) -> tuple[int, int]:
        return self.trainer.epoch, self.trainer.batch

    def _replace(self) -> None:
        """Puts this run in the place of the one that the folder holds."""
        self.save_last()  # first: if it fails, the other run is still whole
        for path in (self.directory / BEST, self.directory / METRICS):
            path.unlink(missing_ok=True)
        for path in (self.directory / CURVES).glob("events.out.tfevents.*"):
            path.unlink(missing_ok=True)

    def _keep_best(self) -> None:
        """Makes the best parameters in the folder those of this run, up to date: they may be
        another run's, or a process may have ended before it wrote them."""
        path, best = self.directory / BEST, self.trainer.best
        held = best_of(path)
        if best is None:
            if held is not None and held.identity != self.identity:
                path.unlink(missing_ok=True)
        elif held != BestOf(self.identity, int(best["epoch"])):
            self.save_best()

    def fit(
        self, observer: Observer | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Trains, saving after each epoch; then scores the best parameters on the test set.

        Returns:
            False where `should_stop` ended it before; the state is saved then too.

        Raises:
            As `writing`; CheckpointError: a file cannot be saved, and its last version is still
                there, or the folder was removed.
        """
        with self.writing():
            return self._fit(observer, should_stop)

    def _fit(self, observer: Observer | None, should_stop: Callable[[], bool]) -> bool:
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
        self._keep_best()
        self.save_metrics()
        return finished

    def save_last(self) -> None:
        """Writes the checkpoint to go on from."""
        training = {
            "run": self.identity,
            "source": self.task.source.to_dict(),
            "made_with": self.task.made_with,
            "settings": self.trainer.config.to_dict(),
            "progress": self.trainer.state_dict(),
        }
        self._save(LAST, self.trainer.arrays(), training)

    def save_best(self) -> None:
        """Writes the best parameters."""
        training = {
            "run": self.identity,
            "source": self.task.source.to_dict(),
            "best": self.trainer.best,
        }
        self._save(BEST, {"parameters": self.trainer.best_parameters()}, training)

    def _save(self, name: str, arrays: dict[str, Arrays], training: dict[str, Any]) -> None:
        self.folder.check()
        task = self.task
        checkpoint = Checkpoint(
            task.name,
            task.arguments,
            task.vocabulary,
            **arrays,
            training=training,
            user=task.user,
            vocabularies=task.vocabularies,
        )
        save_checkpoint(self.directory / name, checkpoint)

    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return {
            "version": cavs.__version__,
            "run": self.identity,
            "model": self.task.name,
            "arguments": self.task.arguments,
            **({} if self.task.user is None else {"user_model": self.task.user.to_dict()}),
            "data": {
                **self.task.source.to_dict(),
                "name": self.task.source.name,
                self.task.unit: self.task.sizes,
            },
            "made_with": self.task.made_with,
            "settings": self.trainer.config.to_dict(),
            "threads": cavs.get_num_threads(),
            "history": self.trainer.history,
            "best": self.trainer.best,
            "test": self.test,
        }

    def save_metrics(self) -> None:
        """Writes metrics.json."""
        self.folder.check()
        text = json.dumps(self.metrics(), indent=2) + "\n"
        save_atomically(self.directory / METRICS, text.encode(), "train")


class _Saver(Observer):
    """Saves the run after each epoch, and passes each call on to the user's observer."""

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
