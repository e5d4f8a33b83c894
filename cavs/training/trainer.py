"""The training loop: batches, steps, evaluation on dev, early stopping; can be left at any step."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cavs
from cavs import optim
from cavs.core.vertex import named_values
from cavs.data import Dataset, Loader
from cavs.errors import CavsError, CheckpointError, InputError, NonFiniteError
from cavs.training._fields import in_brief, shown
from cavs.training.arrays import Arrays, check_arrays, copies
from cavs.training.checkpoint import Checkpoint
from cavs.training.config import TrainingConfig
from cavs.training.divergence import Divergence
from cavs.training.embedding import embedding_parameters
from cavs.training.gradients import WithoutGradient
from cavs.training.metrics import placed
from cavs.training.objective import Batches, Objective, Observer
from cavs.training.state import TrainingState, read_state


class Trainer:
    """Trains a model: the loss of a step is the objective's, divided by the batch's number of
    graphs.

    Attributes:
        history: one row for each epoch that is done: its number, ``loss``, ``dev``, ``seconds`` of
            training without the evaluation and ``graphs_per_second``; the first one also
            ``without_gradient``, if there are any: the names of the parameters that learn but had
            no gradient, or zeros, in each step. The first one in which the loss was far above its
            beginning has ``diverged``: ``step``, ``loss``, the epoch's by then, and ``began``.
        best: the row of the history that is best on dev; None before the first.
    """

    def __init__(
        self,
        model: cavs.Model | cavs.Program,
        objective: Objective,
        loader: Loader,
        dev: Batches,
        config: TrainingConfig,
    ) -> None:
        """`loader` gives the batches to train on, `dev` the batches that epochs are judged by.

        Raises:
            InputError: with a frozen embedding no parameter learns.
        """
        self.model = model
        self.objective = objective
        self.config = config
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self._best_parameters: Arrays = {}
        self._average: Arrays = {}  # the mean of parameters over the ends of epochs,
        self._averaged: list[int] = []  # and these epochs
        self._loader = loader
        self._dev = dev
        self._fingerprint = fingerprint(loader.dataset)
        if config.freeze_embedding:
            for _, parameter in embedding_parameters(model):
                parameter.requires_grad = False
            if not any(parameter.requires_grad for parameter in model.parameters()):
                raise InputError(
                    "[train] expected parameters that learn beside the embedding, got none; leave "
                    "--freeze-embedding out"
                )
        self._optimizer = _make_optimizer(model, config)
        self._without_gradient = WithoutGradient(model)  # until the first epoch is done
        self._divergence = Divergence()
        self._batch = 0  # of the epoch under way: how many are done,
        self._graphs = 0  # how many graphs that were,
        self._loss = 0.0  # the sum of their losses,
        self._seconds = 0.0  # and how long it took

    @property
    def epoch(self) -> int:
        """The number of epochs done."""
        return len(self.history)

    @property
    def batch(self) -> int:
        """The number of batches done in the epoch under way."""
        return self._batch

    @property
    def step(self) -> int:
        """The number of batches done since the beginning."""
        return self.epoch * len(self._loader) + self._batch

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or dev has not improved for `patience` epochs."""
        if self.epoch >= self.config.epochs:
            return True
        if self.best is None or not self.config.patience:
            return False
        return self.epoch - int(self.best["epoch"]) >= self.config.patience

    @cavs.detect_nonfinite()
    def fit(
        self, observer: Observer | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Trains until finished; False if `should_stop`, which is asked after each batch, stopped
        it before. Training can go on from the state that it leaves.

        Raises:
            NonFiniteError: see :class:`cavs.detect_nonfinite`; names the step, too.
        """
        while not self.finished:
            if not self._train_epoch(observer, should_stop):
                return False
            averaged = self._epochs_to_average()
            average = self._next_average(averaged)
            with placed(f"[train] after epoch {self.epoch + 1}"):
                scores = self._judge(average, should_stop)
            if scores is None:
                return False
            self._average, self._averaged = average, averaged
            self._end_epoch(scores, observer)
        return True

    def _epochs_to_average(self) -> list[int]:
        """The epochs in the average once the one under way is done."""
        first = self.config.epochs - self.config.average
        if self.epoch < first:
            return []
        # More epochs than first planned move the window. If an averaged epoch has left the window,
        # the average begins anew.
        kept = self._averaged if min(self._averaged, default=first) >= first else []
        return [*kept, self.epoch]

    def _next_average(self, averaged: list[int]) -> Arrays:
        """The mean of the parameters at the end of the epochs `averaged`; the present ones are the
        last."""
        if not averaged:
            return {}
        average = copies(self.model.state_dict())
        if len(averaged) > 1:
            for name, mean in self._average.items():
                average[name] = mean + (average[name] - mean) / len(averaged)
        return average

    def _judge(self, average: Arrays, should_stop: Callable[[], bool]) -> dict[str, float] | None:
        """Scores of the average, or of the present parameters if there is no average."""
        if not average:
            return self.objective.evaluate(self.model, self._dev, should_stop)
        present = copies(self.model.state_dict())
        self.model.load_state_dict(average)
        try:
            return self.objective.evaluate(self.model, self._dev, should_stop)
        finally:
            self.model.load_state_dict(present)

    def _train_epoch(self, observer: Observer | None, should_stop: Callable[[], bool]) -> bool:
        self.model.train()
        self._loader.set_epoch(self.epoch, self._batch)
        if observer is not None:
            observer.epoch_begins(self.epoch + 1, self._graphs, len(self._loader.dataset))
        begun = time.perf_counter()
        for batch, inputs in self._loader:
            self._train_step(batch, inputs)
            now = time.perf_counter()
            self._seconds += now - begun
            begun = now
            if observer is not None:
                observer.step_done(batch.num_graphs, self._loss / self._graphs)
            if should_stop():
                return False
        return True

    def _train_step(self, batch: cavs.GraphBatch, inputs: Mapping[str, Any]) -> None:
        when = f"step {self.step + 1} (epoch {self.epoch + 1}, batch {self._batch + 1})"
        self._set_learning_rates()
        inputs = {**inputs, **self.objective.inputs(self.model)}
        with placed(f"[train] in {when}"):
            if self.objective.pushed is not None and isinstance(self.model, cavs.Model):
                total = self._step_at_once(self.model, self.objective.pushed, batch, inputs)
            else:
                total = self._step_by_parts(batch, inputs)
        self._batch += 1
        self._graphs += batch.num_graphs
        self._loss += total
        if self.objective.falls:
            self._divergence.note(self.step, self._loss / self._graphs)

    def _step_at_once(
        self,
        model: cavs.Model,
        pushed: str,
        batch: cavs.GraphBatch,
        inputs: Mapping[str, Any],
    ) -> float:
        """The sum of the losses of the batch's graphs, after the step."""
        options = {"scale": 1.0 / batch.num_graphs, "clip_norm": self.config.clip_norm}
        loss = model.step(batch, self._optimizer, loss=pushed, **options, **inputs)
        self._without_gradient.note()
        return float(loss.item()) * batch.num_graphs

    def _step_by_parts(self, batch: cavs.GraphBatch, inputs: Mapping[str, Any]) -> float:
        """As `_step_at_once`, for a loss that is computed from the model's outputs."""
        loss, total = self.objective.loss(self.model, batch, inputs)
        self._optimizer.zero_grad()
        (loss * (1.0 / batch.num_graphs)).backward()
        self._without_gradient.note()
        if self.config.clip_norm:
            optim.clip_grad_norm(self.model.parameters(), self.config.clip_norm)
        self._optimizer.step()
        return total

    def _end_epoch(self, dev: dict[str, float], observer: Observer | None) -> None:
        record: dict[str, Any] = {
            "epoch": self.epoch + 1,
            "loss": self._loss / max(self._graphs, 1),
            "dev": dev,
            "seconds": self._seconds,
            "graphs_per_second": self._graphs / max(self._seconds, 1e-9),
        }
        if self._without_gradient.names:
            record["without_gradient"] = self._without_gradient.names
            self._without_gradient.keep(())
        diverged = self._divergence.found
        if diverged is not None and not any("diverged" in row for row in self.history):
            record["diverged"] = diverged
        self.history.append(record)
        improved = self.best is None or self._is_better(dev, self.best["dev"])
        if improved:
            self.best = record
            self._best_parameters = copies(self._average or self.model.state_dict())
        self._batch = self._graphs = 0
        self._loss = self._seconds = 0.0
        if observer is not None:
            observer.epoch_ends(record, improved)

    def _is_better(self, scores: Mapping[str, float], than: Mapping[str, float]) -> bool:
        name = self.objective.best
        if self.objective.greater:
            return scores[name] > than[name]
        return scores[name] < than[name]

    def _set_learning_rates(self) -> None:
        config = self.config
        try:
            factor = config.lr_decay ** max(self.epoch - config.lr_decay_after, 0)
        except OverflowError:
            raise NonFiniteError(
                f"[train] expected a finite learning rate in epoch {self.epoch + 1}, got one that "
                f"grew by {config.lr_decay} after each epoch; choose a lower --lr-decay"
            ) from None
        if config.lr_schedule == "linear":
            factor *= 1 - self.step / (config.epochs * len(self._loader))
        rates = (config.lr, config.embedding_lr)
        for group, rate in zip(self._optimizer.groups, rates, strict=True):
            group["lr"] = rate * factor

    def best_parameters(self) -> Arrays:
        """The parameters of the best epoch; the present ones before the first is done."""
        return self._best_parameters or copies(self.model.state_dict())

    def arrays(self) -> dict[str, Arrays]:
        """All arrays that a checkpoint must hold, by the names of its groups."""
        return {
            "parameters": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "best": self._best_parameters,
            "average": self._average,
            "objective": self.objective.arrays(),
        }

    def state_dict(self) -> dict[str, Any]:
        """The state of training, without `arrays`, as values for JSON."""
        return {
            "history": self.history,
            "best": self.best,
            "averaged": self._averaged,
            "batch": self._batch,
            "graphs": self._graphs,
            "loss": self._loss,
            "seconds": self._seconds,
            "without_gradient": self._without_gradient.names,
            "divergence": self._divergence.state_dict(),
            "random": self.model.random_state(),
            "data": self._fingerprint,
        }

    def restore(self, path: str | Path, checkpoint: Checkpoint) -> None:
        """Goes on from the state and the arrays of a checkpoint; the model has its parameters.

        Raises:
            CheckpointError: they are not of this model, these settings or this data.
        """
        state = read_state(
            path, checkpoint.training["progress"], self.objective.best, self.objective.describe
        )
        if state.data != self._fingerprint:
            raise CheckpointError(
                f"[checkpoint] {path}: expected the training set of the run (fingerprint "
                f"{shown(state.data)}), got another ({self._fingerprint}); go on with the data "
                "that the run began with"
            )
        self._check_place(path, state)
        for arrays, wanted in ((checkpoint.best, bool(state.best)), (checkpoint.average, False)):
            if arrays or wanted:
                check_arrays(path, arrays, dict(named_values(self.model.function)))
        try:
            self._optimizer.load_state_dict(checkpoint.optimizer)
            self.objective.restore(checkpoint.objective)
            self.model.set_random_state(state.random)
        except CavsError as error:
            raise CheckpointError(
                f"[checkpoint] {path}: expected the state of a run, got another "
                f"({in_brief(error)}); take the last checkpoint of a run"
            ) from error
        self.history, self.best = state.history, state.best
        self._averaged = state.averaged if checkpoint.average else []
        self._batch, self._graphs = state.batch, state.graphs
        self._loss, self._seconds = state.loss, state.seconds
        self._without_gradient.keep(state.without_gradient)
        self._divergence = state.divergence
        self._best_parameters = checkpoint.best
        self._average = checkpoint.average

    def _check_place(self, path: str | Path, state: TrainingState) -> None:
        """Checks that the loader reaches the place in an epoch that a checkpoint states."""
        size, count = self._loader.batch_size, len(self._loader.dataset)
        if state.batch > len(self._loader) or state.graphs != min(state.batch * size, count):
            raise CheckpointError(
                f"[checkpoint] {path}: expected a place among {len(self._loader)} batches of "
                f"{size} graphs, {count} in all, got {state.graphs} graphs of {state.batch} "
                "batches; the file is damaged, or of another training set"
            )


def fingerprint(dataset: Dataset) -> str:
    """A short hash of all that a data set holds, to tell one from another."""
    digest = hashlib.blake2b(digest_size=8)
    for graph in dataset.graphs:
        digest.update(graph.child_ptr.tobytes())
        digest.update(
            graph.child_index.tobytes() if graph.runs is None else graph.runs[0].tobytes()
        )
        if graph.has_holes:
            digest.update(graph.child_slot.tobytes())
    for name in dataset.names:
        digest.update(name.encode())
        digest.update(dataset.flat(name).tobytes())
    return digest.hexdigest()


def _make_optimizer(model: cavs.Model | cavs.Program, config: TrainingConfig) -> optim.Optimizer:
    """An optimizer with two groups; the second is the embedding."""
    embedding = embedding_parameters(model)
    apart = {name for name, _ in embedding}
    others = [(n, p) for n, p in model.named_parameters() if n not in apart]
    groups = [
        {"params": others, "lr": config.lr, "weight_decay": config.weight_decay},
        {
            "params": embedding,
            "lr": config.embedding_lr,
            "weight_decay": config.embedding_weight_decay,
        },
    ]
    if config.optimizer == "adam":
        return optim.Adam(groups)
    if config.optimizer == "adamw":
        return optim.AdamW(groups)
    assert config.momentum is not None  # which the configuration has resolved
    if config.optimizer == "rmsprop":
        return optim.RMSprop(
            groups, alpha=config.alpha, momentum=config.momentum, centered=config.centered
        )
    if config.optimizer == "sgd":
        return optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    return optim.Adagrad(groups)
