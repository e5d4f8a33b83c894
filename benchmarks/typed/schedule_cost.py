"""What share of a training step the schedule takes, over batches that are made anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from words_on_edges import sharing_layers

import cavs
from typed import corpora, functions, untyped
from typed.contenders import Whole
from typed.measures import Turns
from typed.speed import minibatches, names

HEAD = ["model", "samples", "batch", "schedule", "checks", "step", "schedule's share", "goal", ""]
#: Percent, by number of samples.
GOALS = {1: 2.0, 32: 1.5, 256: 1.5}
ATTENTION_GOALS = dict.fromkeys(GOALS, 2.5)


def models(folder: Path, samples: int) -> Iterator[tuple[str, Whole, dict[int, float]]]:
    """(name, contender, goals): those with types, then those without."""
    trees = corpora.trees(folder, names(2), samples)
    tree = functions.tree(names(2), **trees.sizes)
    lattices = corpora.lattices(folder, samples)
    lattice = functions.lattice(**lattices.sizes)
    taggers = corpora.tagger(folder, samples)
    pairs = corpora.attention(folder, samples)
    assert trees.plain is not None
    assert lattices.plain is not None
    yield "tree, 2 types of phrases", Whole(tree, trees.typed), GOALS
    yield "lattice LSTM", Whole(lattice, lattices.typed), GOALS
    tagger = functions.tagger(**taggers.sizes)
    yield "tagger with characters", Whole(tagger, taggers.typed), GOALS
    yield "attention", Whole(functions.attention(**pairs.sizes), pairs.typed), ATTENTION_GOALS
    yield "tree without types", Whole(untyped.EveryCell(tree), trees.plain), {}
    yield "lattice without types", Whole(sharing_layers(lattice), lattices.plain), {}


def parts(
    contender: Whole, indices: np.ndarray, clock: Callable[[], float]
) -> tuple[float, float, float, float]:
    """Seconds of a step of training: its batch, its schedule, its other checks, and the rest."""
    model = contender.model
    begin = clock()
    graphs, inputs = contender.dataset.batch(indices)
    made = clock()
    model._executor.schedule(graphs)
    scheduled = clock()
    model._checker.batch(graphs)
    checked = clock()
    model.step(graphs, contender.optimizer, **inputs)
    return made - begin, scheduled - made, checked - scheduled, clock() - checked


def rows(folder: Path, turns: Turns, quick: bool) -> Iterator[list[str]]:
    """A row for each model and size: medians of milliseconds, and of the share."""
    clock = time.thread_time if turns.clock == "cpu" else time.perf_counter
    sizes = (2,) if quick else tuple(GOALS)
    cavs.nn.init.manual_seed(0)
    for name, contender, goals in models(folder, max(256, max(sizes)) if not quick else 8):
        for size in sizes:
            chosen = minibatches(len(contender.dataset), size)
            found = []
            spent, number = 0.0, 0
            while spent < turns.seconds * turns.rounds or number < 5:
                found.append(parts(contender, chosen[number % len(chosen)], clock))
                spent += sum(found[-1])
                number += 1
            each = np.array(found[2:])
            shares = 100 * each[:, 1] / each.sum(1)
            low, middle, high = np.percentile(shares, [25, 50, 75])
            goal = goals.get(size)
            yield [
                name,
                str(size),
                *(f"{1e3 * x:.3f}" for x in np.median(each[:, :3], axis=0)),
                f"{1e3 * np.median(each.sum(1)):.2f}",
                f"**{middle:.2f} %** ({low:.2f} .. {high:.2f})",
                "" if goal is None else f"<= {goal:g} %",
                "" if goal is None else ("yes" if middle <= goal else "no"),
            ]
