"""Memory operations by batch size: time and bytes of what only moves, beside dynamic
declaration."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from suite import peer_batch

import cavs
from cavs.bench.contenders import OURS, PAPER, Contender, Weights
from cavs.bench.corpora import Array, Corpus, choose_batches
from cavs.bench.recipes import PLAIN, find_recipe
from cavs.bench.workloads import Workload

Row = dict[str, Any]
MODES = ("train", "infer")
_REPEATS = 3
_TREES, _BATCHES = 64, 4  # the least that a pass takes


def missing() -> str | None:
    """Why dynamic declaration cannot take part; None: it can."""
    reason: str | None = importlib.import_module("peers.dynamic").available(1)
    return reason


def of_cavs(contender: Contender, mode: str) -> dict[str, float]:
    """Milliseconds of memory operations and of the whole, and megabytes, of a step over all
    batches, the update left out."""
    found = np.zeros(3)
    kind, directions = (
        ("training", ("forward", "backward")) if mode == "train" else ("inference", ("inference",))
    )
    for number in range(contender.num_batches):
        graphs, inputs = contender._batch(number)
        given: dict[str, Any] = dict(inputs)
        model = contender._subject.models[0]
        profile = model.explain(graphs, loss="loss", repeats=_REPEATS, **given)
        spent = profile.seconds[kind]
        moved = sum(r.bytes for r in profile.records if r.moves and r.direction in directions)
        found += (1e3 * spent["memory"], 1e3 * sum(spent.values()), 1e-6 * moved)
    return _as_dict(found / contender.num_batches)


def of_dynamic(peer: Any, count: int, mode: str) -> dict[str, float]:
    """The same of dynamic declaration: its fastest pass over all batches."""
    step: Callable[[int], Any] = peer.train_step if mode == "train" else peer.loss
    passes = []
    for _ in range(_REPEATS + 1):  # the first lets memory grow
        peer.reset()
        for number in range(count):
            step(number)
        parts = peer.seconds()
        whole = sum(seconds for part, seconds in parts.items() if part != "update")
        moved = 1e-6 * peer.counts()["bytes"]
        passes.append(np.array([1e3 * parts["memory"], 1e3 * whole, moved]) / count)
    return _as_dict(min(passes[1:], key=lambda found: float(found[1])))


def _as_dict(found: Array) -> dict[str, float]:
    return dict(zip(("memory_ms", "all_ms", "megabytes"), map(float, found), strict=True))


def rows(workload: Workload, corpus: Corpus, hidden: int, sizes: Sequence[int]) -> Iterator[Row]:
    """A row for each batch size, mode and contender; one thread."""
    cavs.set_num_threads(1)
    recipe = find_recipe(PLAIN)
    for size in sizes:
        weights = Weights(workload, corpus, hidden)
        batches = choose_batches(corpus.dataset, size)[: max(_BATCHES, _TREES // size)]
        ours = {
            name: Contender(weights, passes, batches, 1, recipe)
            for name, passes in ((OURS, None), (PAPER, ()))
        }
        theirs: dict[str, Any] = {}
        if missing() is None:
            dynamic = importlib.import_module("peers.dynamic")
            state = {name: x.copy() for name, x in weights.function.state_dict().items()}
            given = [peer_batch(*corpus.dataset.batch(indices)) for indices in batches]
            theirs = {
                f"dynamic {policy}": dynamic.make(workload.name, policy, state, given, recipe, 1)
                for policy in ("depth", "agenda")
            }
        for mode in MODES:
            where = {"workload": workload.name, "batch_size": size, "mode": mode}
            for name, contender in ours.items():
                yield where | {"contender": name} | of_cavs(contender, mode)
            for name, peer in theirs.items():
                yield where | {"contender": name} | of_dynamic(peer, len(batches), mode)
