"""The scores of a model: accuracy at the roots and over all labelled vertices, and the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import cavs
from cavs.errors import NonFiniteError
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop

_SEED = 2**62  # of what is drawn to judge a model; no run begins with it by chance


@dataclass(frozen=True)
class Scores:
    """Results of an evaluation.

    Attributes:
        root_accuracy: share of the labelled roots that are classified rightly; 0 without labelled
            roots.
        vertex_accuracy: share of all labelled vertices that are classified rightly.
        loss: sum of the vertices' losses for each graph.
        graphs: how many graphs were evaluated.
        vertices: how many labelled vertices they have.
    """

    root_accuracy: float
    vertex_accuracy: float
    loss: float
    graphs: int
    vertices: int

    def to_dict(self) -> dict[str, Any]:
        """The results as values for JSON."""
        return asdict(self)


@contextmanager
def judging(model: Any) -> Iterator[None]:
    """Inside, `model` is in evaluation mode and nothing is recorded. What it draws is the same each
    time: epochs are judged by the same samples, and a checkpoint is as when it was saved. At the
    end its mode and its random state are restored, so that training goes on the same even if
    judging was cut short. NaN raises `NonFiniteError`."""
    was_training, state = model.training, model.random_state()
    model.eval()
    model.set_random_state({"seed": _SEED, "step": 0})
    try:
        with cavs.no_grad(), cavs.detect_nonfinite():
            yield
    finally:
        model.set_random_state(state)
        if was_training:
            model.train()


def evaluate(
    model: cavs.Model, batches: Batches, *, should_stop: Callable[[], bool] = lambda: False
) -> Scores | None:
    """Runs `model` over `batches`, without dropout; None if `should_stop` returned True.

    The model pushes ``logits`` and ``loss`` and pulls ``label``; vertices with label -1 do not
    count.

    Raises:
        NonFiniteError: an output is NaN, or a loss infinite.
    """
    roots = vertices = graphs = 0
    right_roots = right_vertices = 0
    loss = 0.0
    with judging(model):
        for number, (batch, inputs) in enumerate(batches):
            if should_stop():
                return None
            with placed(f"[evaluate] in batch {number}"):
                out = model(batch, **inputs)
                loss += finite_total(out["loss"], "loss")
            labels = inputs["label"]
            right = predictions(out["logits"]) == labels
            at_root = batch.roots[labels[batch.roots] >= 0]
            roots += len(at_root)
            right_roots += int(right[at_root].sum())
            vertices += int((labels >= 0).sum())
            right_vertices += int(right.sum())
            graphs += batch.num_graphs
    return Scores(
        right_roots / max(roots, 1),
        right_vertices / max(vertices, 1),
        loss / max(graphs, 1),
        graphs,
        vertices,
    )


class Classification(Objective):
    """Classification of vertices: a model pushes ``loss`` and ``logits`` and pulls ``label``. The
    loss is the sum over the vertices; the best epoch has the greatest accuracy at the roots."""

    best, greater = "root_accuracy", True
    pushed: str | None = "loss"

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        out = model(batch, **inputs)
        return out["loss"].sum(), total(out["loss"])

    def evaluate(self, model: cavs.Model, batches: Batches, should_stop: ShouldStop) -> Judged:
        scores = evaluate(model, batches, should_stop=should_stop)
        return None if scores is None else scores.to_dict()

    def describe(self, scores: Mapping[str, float]) -> str:
        return (
            f"root {100 * scores['root_accuracy']:5.2f} %  "
            f"all {100 * scores['vertex_accuracy']:5.2f} %"
        )


def predictions(logits: Any) -> npt.NDArray[np.int64]:
    """The class of the greatest logit of each row; of equal logits, the first one."""
    classes: npt.NDArray[np.int64] = np.asarray(logits).argmax(axis=-1)
    return classes


def total(values: Any) -> float:
    """The sum in double precision."""
    return float(np.asarray(values).sum(dtype=np.float64))


def finite_total(values: Any, name: str) -> float:
    """The sum of `values` in double precision; raises `NonFiniteError`, which calls them `name`, if
    it is not finite."""
    found = total(values)
    if not math.isfinite(found):
        raise NonFiniteError(
            f"[nonfinite] expected a finite sum of {name!r}, got {found}; train with a lower "
            "learning rate or clip gradients"
        )
    return found


def mean_output(model: Any, batches: Batches, name: str, should_stop: ShouldStop) -> float | None:
    """The mean over graphs of the output `name`, (), within `judging`; None if `should_stop` says
    so. Raises `NonFiniteError`."""
    found, graphs = 0.0, 0
    for number, (batch, inputs) in enumerate(batches):
        if should_stop():
            return None
        with placed(f"[evaluate] in batch {number}"):
            found += finite_total(model(batch, outputs=[name], **inputs)[name], name)
        graphs += batch.num_graphs
    return found / max(graphs, 1)


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Puts `place` before the message of a `NonFiniteError` from inside."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"{place}: {error}") from error
