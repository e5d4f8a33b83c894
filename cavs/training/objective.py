"""What training minimises, and who is told how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import cavs
from cavs.training.arrays import Arrays
from cavs.training.metrics import Batches


class Objective(Protocol):
    """What training minimises, and how an epoch is judged.

    Attributes:
        best: the score of the epoch that is kept.
        greater: whether more of it is better.
        pushed: the output of the model whose sum is the loss, so that a step is one native call;
            None where the loss is computed from outputs, by `loss`.
    """

    best: str
    greater: bool
    pushed: str | None

    def loss(
        self, model: Any, batch: cavs.GraphBatch, inputs: Mapping[str, Any]
    ) -> tuple[cavs.Tensor, float]:
        """The sum of the losses of the batch's graphs, as a tensor of one element to differentiate
        and as a number to report.
        """

    def evaluate(
        self, model: Any, batches: Batches, should_stop: Callable[[], bool]
    ) -> dict[str, float] | None:
        """Scores by name, the `best` among them; None where `should_stop` said so."""

    def describe(self, scores: Mapping[str, float]) -> str:
        """The scores in a line."""

    def arrays(self) -> Arrays:
        """What the next step goes on from, beside the parameters."""

    def restore(self, arrays: Arrays) -> None:
        """Goes on from what `arrays` gave."""


class Observer(Protocol):
    """Is told how training goes on."""

    def epoch_begins(self, epoch: int, done: int, graphs: int) -> None:
        """Epoch `epoch` (from 1) begins, or goes on after `done` of its `graphs` graphs."""

    def step_done(self, graphs: int, loss: float) -> None:
        """A batch of `graphs` graphs is done; `loss` is the epoch's so far, for each graph."""

    def epoch_ends(self, record: Mapping[str, Any], improved: bool) -> None:
        """An epoch and its evaluation are done; `record` is its row of the history."""
