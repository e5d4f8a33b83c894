"""What streams, graphs and persistent levels are worth: each alone off, relative to all on."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cavs._native import core
from cavs.bench.corpora import Corpus, choose_batches
from cavs.core.passes import PASSES
from gpu_parts.trees import MOST_BATCHES, CavsTrees, per_step
from gpu_parts.turns import rates

ALL, STREAM, GRAPHS, LEVELS = "all on", "stream", "graphs", "persistent levels"


def without(setting: str, work: Callable[[int], object]) -> Callable[[int], object]:
    """`work` with a switch of the engine off."""
    get, switch = {
        GRAPHS: (core.cuda.uses_graphs, core.cuda.set_uses_graphs),
        LEVELS: (core.cuda.persistent_levels, core.cuda.set_persistent_levels),
    }[setting]

    def changed(number: int) -> None:
        before = get()
        switch(False)
        try:
            work(number)
        finally:
            switch(before)

    return changed


def rows(
    corpus: Corpus, hidden: int, size: int, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Kept batches in training and inference, fresh ones in training."""
    batches = choose_batches(corpus.dataset, size)[:MOST_BATCHES]
    sizes = options.embedding, hidden
    ours = CavsTrees(corpus, sizes, batches, options.device)
    others = [p for p in PASSES if p != "stream"]
    plain = CavsTrees(corpus, sizes, batches, options.device, passes=others)
    for mode, fresh in (("train", False), ("infer", False), ("train", True)):
        every, single = (getattr(contender, mode) for contender in (ours, plain))
        work = lambda number, every=every, fresh=fresh: every(number, fresh)  # noqa: E731
        works: dict[str, Callable[[int], object]] = {
            ALL: work,
            STREAM: lambda number, single=single, fresh=fresh: single(number, fresh),
            GRAPHS: without(GRAPHS, work),
            LEVELS: without(LEVELS, work),
        }
        found = rates(works, ours.synchronize, len(batches), options.seconds)
        for name, turns in found.items():
            relative = np.median(np.array(turns) / np.array(found[ALL]))
            row = {"hidden": hidden, "batch": size, "mode": mode, "without": name}
            row |= {"batches": "fresh" if fresh else "kept", "relative": float(relative)}
            row["ms_per_step"] = 1e3 / float(np.median(turns))
            yield row | per_step(ours.synchronize, works[name], len(batches))
