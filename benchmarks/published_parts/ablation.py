"""Lazy batching, hoisting and fusion, apart and together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cavs
from cavs.bench.checks import check_equal
from cavs.bench.contenders import OURS, Contender, Weights
from cavs.bench.corpora import Corpus, choose_batches
from cavs.bench.recipes import PLAIN, find_recipe
from cavs.bench.timing import interleave, ratios
from cavs.bench.workloads import Workload
from cavs.core.passes import PASSES

Row = dict[str, Any]
#: The passes, by the names that they have in publications.
PUBLISHED = {"lazy batching": "defer", "hoisting": "hoist", "fusion": "fuse"}
NONE, TOGETHER = "none", "all three"


def contenders() -> dict[str, tuple[str, ...] | None]:
    """By name the passes that are on: those of PUBLISHED alone and together, with no other pass;
    then all, all but these."""
    three = tuple(PUBLISHED.values())
    found: dict[str, tuple[str, ...] | None] = {NONE: ()}
    found |= {name: (one,) for name, one in PUBLISHED.items()}
    for name, one in PUBLISHED.items():
        found[f"{TOGETHER} but {name}"] = tuple(p for p in three if p != one)
    found[TOGETHER] = three
    found[OURS] = None
    for name, one in PUBLISHED.items():
        found[f"{OURS} without {name}"] = tuple(p for p in PASSES if p != one)
    found[f"{OURS} without {TOGETHER}"] = tuple(p for p in PASSES if p not in three)
    return found


def rows(
    workload: Workload,
    corpus: Corpus,
    hidden: int,
    sizes: Sequence[int],
    seconds: float,
    rounds: int,
) -> Iterator[Row]:
    """A row for each batch size and mode: rates, and relative to `NONE`; one thread."""
    cavs.set_num_threads(1)
    recipe = find_recipe(PLAIN)
    for size in sizes:
        weights = Weights(workload, corpus, hidden)
        batches = choose_batches(corpus.dataset, size)
        made = {
            name: Contender(weights, passes, batches, 1, recipe)
            for name, passes in contenders().items()
        }
        check_equal({OURS: made[OURS], **made}, {})
        for each in made.values():
            each.see(seconds)
        for mode in ("train", "infer"):
            steps = {name: getattr(each, f"{mode}_step") for name, each in made.items()}
            work = {name: each.units for name, each in made.items()}
            found = interleave(steps, work, seconds=seconds, rounds=rounds)
            over = {name: ratios(each.wall, found[NONE].wall) for name, each in found.items()}
            yield {
                "workload": workload.name,
                "batch_size": size,
                "mode": mode,
                "unit": workload.unit,
                "rates": {name: each.summary()["median"] for name, each in found.items()},
                "over_none": {name: each["median"] for name, each in over.items()},
            }
