"""cavs itself as contenders: one set of weights, compiled with different passes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import cavs
from cavs.bench.corpora import Array, Corpus
from cavs.bench.flops import minimal_flops, program_flops
from cavs.bench.recipes import (
    ID_MASKS,
    MASKS,
    NO_MASKS,
    VERTEX_MASKS,
    Recipe,
    draw_masks,
    given_masks,
    make_optimizer,
    with_dropout,
)
from cavs.bench.workloads import Subject, Workload
from cavs.core.passes import PASSES

OURS, PAPER, ONE_THREAD = "cavs", "paper", "one thread"
#: Contenders beside a recipe with dropout: without dropout and decay, and with other masks.
WITHOUT, BY_VERTEX, BY_ID = "no dropout", "vertex masks", "id masks"
_PARTS_OF_STEP = ("assembly", "schedule", "step")
_MOST_LAPS = 1000  # kept before they are added up, since adding takes longer


def variants(choice: str) -> dict[str, tuple[str, ...] | None]:
    """Maps each contender's name to the passes that are on (None: all).

    `choice`: ``all``: cavs alone; ``paper``: also the policy of Xu et al. (2018), which batches
    and does nothing else; ``ablation``: also each pass alone off, and each alone on.
    """
    found: dict[str, tuple[str, ...] | None] = {OURS: None}
    if choice != "all":
        found[PAPER] = ()
    if choice == "ablation":
        for name in PASSES:
            found[f"without {name}"] = tuple(p for p in PASSES if p != name)
        for name in PASSES:
            found[f"only {name}"] = (name,)
    return found


def recipes_beside(recipe: Recipe) -> dict[str, Recipe]:
    """Maps contenders of cavs to the recipes that a recipe with dropout is compared with; empty for
    a recipe without dropout."""
    if recipe.masks == NO_MASKS:
        return {}
    return {
        WITHOUT: recipe.without_regularization(),
        BY_VERTEX: recipe.with_masks(VERTEX_MASKS),
        BY_ID: recipe.with_masks(ID_MASKS),
    }


class Weights:
    """The parameters that all contenders of cavs share, and their optimisers."""

    def __init__(
        self, workload: Workload, corpus: Corpus, hidden_size: int, device: str = "cpu"
    ) -> None:
        cavs.nn.init.manual_seed(0)
        self._device = device
        self.workload = workload
        self.corpus = corpus
        self.function = workload.function(corpus, hidden_size)
        self._optimizers: dict[float, cavs.optim.Optimizer] = {}

    def subject(self, function: Any, passes: Sequence[str] | None, *options: Any) -> Subject:
        """The workload's subject of a function, on the device."""
        made = self.workload.subject(function, passes, *options)
        for model in made.models:
            model.to(self._device)
        return made

    def optimizer(self, recipe: Recipe) -> cavs.optim.Optimizer:
        """The optimiser of a recipe: one for each weight decay, since the recipes of one run differ
        in no other setting of it."""
        if recipe.weight_decay not in self._optimizers:
            self._optimizers[recipe.weight_decay] = make_optimizer(self.function, recipe)
        return self._optimizers[recipe.weight_decay]


class Contender:
    """Trains and runs a workload's model with some of the passes and a number of threads.

    Each step assembles its batch from the data set and builds the schedule: nothing is kept between
    steps. Inference is in evaluation mode, where dropout does nothing.

    Attributes:
        recipe: how it trains.
    """

    def __init__(
        self,
        weights: Weights,
        passes: Sequence[str] | None,
        batches: Sequence[Array],
        threads: int,
        recipe: Recipe,
    ) -> None:
        self.recipe = recipe
        self._threads = threads
        self._weights = weights
        self._dataset = weights.corpus.dataset
        self._batches = batches
        self._function = with_dropout(weights.function, recipe)
        self._subject: Subject = weights.subject(self._function, passes)
        self._checked = self._subject  # takes masks from the caller
        if recipe.masks != NO_MASKS:
            self._checked = weights.subject(self._function, passes, given_masks)
        self._optimizer = weights.optimizer(recipe)
        self._units: dict[int, float] = {}  # of batches, where they are vertices of a type
        self._spent = np.zeros(len(_PARTS_OF_STEP))
        self._laps: list[tuple[float, ...]] = []  # of steps that are not in `_spent` yet

    @property
    def num_batches(self) -> int:
        """The number of batches; later steps begin anew with the first."""
        return len(self._batches)

    def _batch(self, number: int) -> tuple[cavs.GraphBatch, dict[str, Array]]:
        return self._dataset.batch(self._batches[number % len(self._batches)])

    def train_step(self, number: int) -> None:
        """Assembly, schedule, and the step itself: forward, backward and update."""
        cavs.set_num_threads(self._threads)
        self._subject.train()
        clock, laps = time.perf_counter, self._laps
        begin = clock()
        graphs, inputs = self._batch(number)
        assembled = clock()
        batches = self._subject.schedule(graphs)
        scheduled = clock()
        scale = 1.0 / graphs.num_graphs if self.recipe.mean else 1.0
        self._subject.step(batches, inputs, self._optimizer, scale).item()
        laps.append((begin, assembled, scheduled, clock()))
        if len(laps) == _MOST_LAPS:
            self._add_laps()

    def _add_laps(self) -> None:
        self._spent += np.diff(np.reshape(self._laps, (-1, len(_PARTS_OF_STEP) + 1))).sum(axis=0)
        self._laps.clear()

    def infer_step(self, number: int) -> None:
        """Assembly, schedule and forward."""
        cavs.set_num_threads(self._threads)
        self._subject.eval()
        with cavs.no_grad():
            graphs, inputs = self._batch(number)
            self._subject.loss(self._subject.schedule(graphs), inputs).item()

    def see(self, seconds: float) -> None:
        """Runs inference over all batches once, for `seconds` at most: later steps remember the
        words."""
        end = time.perf_counter() + seconds
        for number in range(len(self._batches)):
            self.infer_step(number)
            if time.perf_counter() > end:
                break

    def shares(self) -> dict[str, float]:
        """The share of each part of a step in the time of the training steps since the last
        call."""
        self._add_laps()
        found = dict(zip(_PARTS_OF_STEP, (self._spent / self._spent.sum()).tolist(), strict=True))
        self._spent[:] = 0.0
        return found

    def loss(self, number: int, masks: Mapping[str, Array] | None = None) -> float:
        """The sum of the losses of a batch: of inference, or of training with masks given."""
        subject = self._subject if masks is None else self._checked
        subject.eval()
        with cavs.no_grad():
            graphs, inputs = self._batch(number)
            return float(subject.loss(subject.schedule(graphs), inputs | dict(masks or {})).item())

    def gradients(self, number: int, masks: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """Gradients of that sum by parameter; of an embedding the rows of the distinct ids of the
        batch."""
        graphs, inputs = self._batch(number)
        subject = self._subject if masks is None else self._checked
        subject.eval()
        subject.loss(subject.schedule(graphs), inputs | dict(masks or {})).backward()
        found = {}
        for name, parameter in self._function.named_parameters():
            grad = parameter.grad
            if grad is not None:
                values = grad.values if isinstance(grad, cavs.RowSparse) else grad
                found[name] = np.array(cavs.Tensor(values))
        self._optimizer.zero_grad()
        return found

    def draw_masks(self, number: int) -> dict[str, Array]:
        """Masks for a batch that `loss` and `gradients` take; empty if the recipe has no masks."""
        if self.recipe.masks == NO_MASKS:
            return {}
        (model,) = self._checked.models
        sizes = {n: int(np.prod(model.inputs[n].shape)) for n in MASKS if n in model.inputs}
        return draw_masks(self.recipe, sizes, self._batch(number)[1]["word"])

    def vertices(self, number: int) -> float:
        """The number of vertices in a batch."""
        indices = self._batches[number % len(self._batches)]
        return float(self._dataset.sizes[indices].sum())

    def units(self, number: int) -> float:
        """The number of units in a batch."""
        workload = self._weights.workload
        if workload.unit_type is not None:
            number %= len(self._batches)
            if number not in self._units:
                graphs, _ = self._batch(number)
                self._units[number] = float(len(graphs.vertices(workload.unit_type)))
            return self._units[number]
        if workload.per_vertex:
            return self.vertices(number)
        return float(len(self._batches[number % len(self._batches)]))

    def mean_units(self) -> float:
        """Units in a batch, on average."""
        return float(np.mean([self.units(number) for number in range(len(self._batches))]))

    def costs(self, training: bool) -> dict[str, float]:
        """Operations per unit over the batches: those of the programs, and the fewest possible."""
        done = least = total = 0.0
        for number in range(len(self._batches)):
            graphs, inputs = self._batch(number)
            batches = self._subject.schedule(graphs)
            for model, batch, ends in zip(
                self._subject.models, batches, self._subject.cotangents, strict=True
            ):
                compiler = model._compiler.in_mode(training)
                if training:
                    executor = model._native_executor("bench")
                    compiler = executor.of_training(model._compiler, batch, training)
                done += program_flops(compiler, ends if training else None, batch, inputs)
                least += minimal_flops(compiler, training, batch, inputs)
            total += self.units(number)
        return {"flops_per_unit": done / total, "minimal_flops_per_unit": least / total}

    def bytes_per_vertex(self, number: int = 0) -> float:
        """Peak bytes of the engine in a training step over a batch, per vertex."""
        cavs.set_num_threads(self._threads)
        graphs, inputs = self._batch(number)
        peak = 0
        subject = self._subject
        for model, batch, (losses, wanted) in zip(
            subject.models, subject.schedule(graphs), subject.cotangents, strict=True
        ):
            ids = {k: x for k, x in inputs.items() if k in model.inputs and x.dtype == np.int32}
            peak += model._memory(batch, losses, ids, wanted).arena
        return peak / graphs.num_vertices
