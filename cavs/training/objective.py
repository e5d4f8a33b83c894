"""The protocols of objectives, which training minimises, and of observers, which follow it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import cavs
from cavs.training.arrays import Array, Arrays, check_state

Inputs = Mapping[str, Any]
Batches = Iterable[tuple[cavs.GraphBatch, Mapping[str, Array]]]
ShouldStop = Callable[[], bool]
Loss = tuple[cavs.Tensor, float]
Judged = dict[str, float] | None


class Objective(Protocol):
    """The loss that training minimises, and the scores that epochs are judged by.

    Attributes:
        best: the name of the score that decides which epoch is kept.
        greater: whether a greater score is better.
        pushed: the output of the model whose sum is the loss, so that a step is one native call;
            None where the loss is computed from outputs, by `loss`.
        falls: whether the loss falls in a run that goes well, so that one that grows is told; not
            if it is the difference of two values that learn.
    """

    best: str
    greater: bool
    pushed: str | None = None
    falls: bool = True

    def inputs(self, model: Any) -> Inputs:
        """Inputs of the next step beside those of the data, such as masks; by default none."""
        del model
        return {}

    def loss(self, model: Any, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        """The sum of the losses of the batch's graphs, as a tensor of one element to differentiate
        and as a number to report."""

    def evaluate(self, model: Any, batches: Batches, should_stop: ShouldStop) -> Judged:
        """Scores by name, the `best` among them; None if `should_stop` returned True."""

    def describe(self, scores: Mapping[str, float]) -> str:
        """The scores as a line of text."""

    def arrays(self) -> Arrays:
        """The arrays that the next step goes on from, beside the parameters; by default none."""
        return {}

    def restore(self, arrays: Arrays) -> None:
        """Goes on from a result of `arrays`. Raises CheckpointError for other arrays."""
        check_state(arrays, {})


class Observer(Protocol):
    """Follows training: `Trainer` calls its methods."""

    def epoch_begins(self, epoch: int, done: int, graphs: int) -> None:
        """Epoch `epoch` (from 1) begins, or goes on after `done` of its `graphs` graphs."""

    def step_done(self, graphs: int, loss: float) -> None:
        """A batch of `graphs` graphs is done; `loss` is the epoch's so far, for each graph."""

    def epoch_ends(self, record: Mapping[str, Any], improved: bool) -> None:
        """An epoch and its evaluation are done; `record` is its row of the history."""
