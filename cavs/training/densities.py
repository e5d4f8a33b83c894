"""Objective of densities whose log p is exact, in one order of the pixels or in many; and samples
of them, pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import cavs
from cavs._arguments import integer, shown
from cavs.data import chain_graph, pixel_graph
from cavs.errors import InputError
from cavs.training.arrays import Array
from cavs.training.metrics import finite_total, judging, placed
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop
from cavs.training.sampling import as_it_is


class Density(Objective):
    """-log p of images in nats, which the model pushes as ``loss``. Where a batch comes several
    times in an evaluation, each time is another order, and p is the mean of the p of all orders: a
    mixture of them (Uria et al. 2014).

    Args:
        cycles: whether the model has several drawings of masks, which steps take in turn.
        ordered: whether the model is trained by an estimate, and is judged by what it makes as
            ``ordered()``.
    """

    best, greater = "nll", False
    pushed: str | None = "loss"

    def __init__(self, cycles: bool = False, ordered: bool = False) -> None:
        self._cycles, self._ordered = cycles, ordered
        self._judged: cavs.Model | None = None

    def inputs(self, model: Any) -> Inputs:
        return self._of_order(model, model.random_state()["step"]) if self._cycles else {}

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        loss = model(batch, **inputs)["loss"].sum()
        return loss, float(loss.item())

    def evaluate(self, model: Any, batches: Batches, should_stop: ShouldStop) -> Judged:
        """See `Objective`; ``one`` is the mean over orders of the score of each alone."""
        nats: dict[int, list[float]] = {}
        judged = self._judge_of(model)
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                keys = batch.keys.tolist()
                turn = len(nats.get(keys[0], ()))
                given = self._of_order(model, turn) if self._cycles or self._ordered else {}
                with placed(f"[evaluate] in batch {number}"):
                    loss = judged(batch, **inputs, **given)["loss"]
                    finite_total(loss, "loss")
                for key, value in zip(keys, loss.numpy().tolist(), strict=True):
                    nats.setdefault(key, []).append(value)
        values = np.array(list(nats.values()))  # (images, orders)
        least = values.min(axis=1)
        mixture = np.log(np.exp(least[:, None] - values).mean(axis=1)) - least
        return {"nll": -float(mixture.mean()), "one": float(values.mean())}

    def describe(self, scores: Mapping[str, float]) -> str:
        text = f"-log p {scores['nll']:7.3f}"
        same = math.isclose(scores["nll"], scores["one"])
        return text if same else f"{text}  of one order {scores['one']:7.3f}"

    def _judge_of(self, model: cavs.Model) -> cavs.Model:
        """The model, or the form of it that has log p in an order, with the same parameters."""
        if not self._ordered:
            return model
        if self._judged is None or self._judged.device != model.device:
            function: Any = model.function
            self._judged = cavs.compile(
                function.ordered(), outputs=["loss"], device=model.device, dtype=model.dtype
            )
        return self._judged

    @staticmethod
    def _of_order(model: cavs.Model, number: int) -> dict[str, Any]:
        function: Any = model.function
        given: dict[str, Any] = function.in_order(number)
        return given


def sample_pixels(function: cavs.VertexFunction, count: int, seed: int | None = None) -> Array:
    """Images that a density of them draws pixel by pixel, (count, pixels) of 0 and 1.

    All images grow together by :func:`cavs.unfold`, a pixel of each at once, or all pixels that see
    none of each other. Bits are drawn by the image's number and the pixel's: the first images are
    the same for any `count`.

    Args:
        function: a density with a method ``sampler``, such as :class:`cavs.models.NADE`.
        count: the number of images.
        seed: of the random numbers; None: 0.

    Raises:
        InputError: a function without it, or a count that is no integer of 0 or more.
    """
    given: Any = function
    if not isinstance(given, cavs.VertexFunction) or not hasattr(given, "sampler"):
        raise InputError(
            f"[sample] expected a NADE, a MADE or a PixelCNN, got {shown(given)}; pass one"
        )
    return grow_pixels(given.sampler(), integer("sample", "count", count, 0), seed)


def grow_pixels(sampler: Any, count: int, seed: int | None = None) -> Array:
    """As `sample_pixels`, for a vertex function that draws a pixel: one that pushes ``bit`` and
    ``mean`` and has an ``order``, a chain of pixels unless it has ``graph_sizes``."""
    model = cavs.compile(sampler, seed=seed, **as_it_is(sampler)).eval()
    order = np.asarray(sampler.order)
    images = np.zeros((count, len(order)), np.float32)
    if count == 0:
        return images
    sizes = getattr(sampler, "graph_sizes", None)
    turns = _turns(chain_graph(len(order)) if sizes is None else pixel_graph(*sizes))

    def growth(level: int) -> cavs.Growth | None:
        if level == len(turns):
            return None
        turn = turns[level]
        pixels = np.repeat(order[turn.vertices], count).astype(np.int32)
        return cavs.Growth(
            _of_images(turn.children, count),
            {"pixel": pixels} if "pixel" in model.inputs else {},
            np.tile(np.arange(count), len(turn.vertices)),
            forget=_of_images(turn.forget, count),
        )

    def next_pixels(frontier: cavs.Frontier) -> cavs.Growth | None:
        drawn = frontier.outputs["bit"].reshape(-1, count)
        images[:, order[turns[frontier.level].vertices]] = drawn.T
        return growth(frontier.level + 1)

    first = growth(0)
    assert first is not None
    cavs.unfold(
        model,
        first,
        next_pixels,
        num_graphs=count,
        outputs=["bit", "mean"],  # a NaN shows in the second
        keep=(),
        max_levels=len(turns),
        max_vertices=len(order),
    )
    return images


class _Turn(NamedTuple):
    """Vertices of a graph that are ready together.

    Attributes:
        vertices: (vertices,) their numbers in the graph.
        children: (vertices, slots) the places of their children, in the order in which vertices
            are opened; -1 where there is none.
        forget: places of the vertices from which none of later turns gathers.
    """

    vertices: Array
    children: Array
    forget: Array


def _turns(graph: cavs.InputGraph) -> list[_Turn]:
    """The levels of a graph whose children stand before their parents."""
    children = graph.children
    level, last = (np.zeros(len(children), np.int64) for _ in range(2))
    for vertex, below in enumerate(children):
        seen = [child for child in below if child >= 0]
        level[vertex] = max((level[child] + 1 for child in seen), default=0)
        for child in seen:
            last[child] = max(last[child], level[vertex])
    place = np.append(np.argsort(np.argsort(level, kind="stable")), -1)  # that of a hole is -1
    turns = []
    for number in range(int(level.max()) + 1):
        vertices = np.flatnonzero(level == number)
        slots = max(len(children[vertex]) for vertex in vertices)
        lists = [children[vertex] + [-1] * (slots - len(children[vertex])) for vertex in vertices]
        seen_in = np.array(lists, np.int64).reshape(len(vertices), slots)
        read = np.flatnonzero((last == number) & (level < number))
        turns.append(_Turn(vertices, place[seen_in], place[read]))
    return turns


def _of_images(places: Array, count: int) -> Array:
    """The numbers of the vertices at some places in each of `count` images, image after image for
    each place: (places * count, ...)."""
    numbers = places[:, None] * count + np.arange(count).reshape(-1, *[1] * (places.ndim - 1))
    found = np.where(places[:, None] < 0, -1, numbers)
    return found.reshape(len(places) * count, *places.shape[1:])
