"""Measures a workload with one number of threads, in the process that calls."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import cavs
from cavs.bench.checks import Rival, check_equal
from cavs.bench.contenders import (
    ONE_THREAD,
    OURS,
    WITHOUT,
    Contender,
    Weights,
    recipes_beside,
    variants,
)
from cavs.bench.corpora import Array, Corpus, choose_batches
from cavs.bench.recipes import PLAIN, Recipe, find_recipe
from cavs.bench.timing import Rates, Sgemm, Step, interleave, ratios
from cavs.bench.workloads import Workload, find

Row = dict[str, Any]
SGEMM = "sgemm"
# The most turns in which inference sees all batches before it is timed.
_SEE = 10.0


@dataclass(frozen=True)
class Spec:
    """The measurements of one process.

    Attributes:
        kind: ``speed``, ``ablation``, ``linear`` or ``command``.
        workload: the name of the workload.
        threads: number of threads of cavs and of all peers; the process may use as many cores.
        passes: the contenders of cavs, see `contenders.variants`.
        hidden_sizes, batch_sizes, leaves, modes: all combinations are measured.
        seconds, rounds: see `timing.interleave`.
        samples: the number of generated samples if there are no data.
        rivals: whether the rivals at hand take part.
        data: the directory of the data; "" for generated ones.
        recipe: the recipe of training, see `recipes`.
        device: that cavs runs on; rivals run on the CPU.
    """

    kind: str
    workload: str
    threads: int
    passes: str
    hidden_sizes: Sequence[int]
    batch_sizes: Sequence[int]
    leaves: Sequence[int | None]
    modes: Sequence[str]
    seconds: float
    rounds: int
    samples: int
    rivals: bool = False
    data: str = ""
    recipe: str = PLAIN
    device: str = "cpu"

    @property
    def directory(self) -> Path | None:
        """The directory of the data, if there is one."""
        return Path(self.data) if self.data else None


class Rivals(Protocol):
    """Makes the rivals for one batch size; leaves out rivals that cannot run here, or cannot train
    by the recipe.

    Attributes:
        left_out: the rivals left out the last time, with the reasons.
    """

    left_out: Mapping[str, str]

    def __call__(
        self,
        workload: str,
        weights: Mapping[str, Array],
        batches: Sequence[tuple[cavs.GraphBatch, Mapping[str, Array]]],
        recipe: Recipe,
        threads: int,
    ) -> Mapping[str, Rival]: ...


def measure(spec: Spec, rivals: Rivals | None = None) -> list[Row]:
    """A row for each combination of sizes and modes."""
    cavs.set_num_threads(spec.threads)
    workload, rows = find(spec.workload), []
    for leaves in spec.leaves:
        corpus = workload.data(spec.directory, spec.samples, leaves)
        for hidden_size in spec.hidden_sizes:
            for batch_size in spec.batch_sizes:
                for row in _measure_batch_size(
                    spec, workload, corpus, hidden_size, batch_size, rivals
                ):
                    row |= workload.facts(leaves=leaves, data=corpus.what, kind=spec.kind)
                    row |= {"threads": spec.threads, "recipe": spec.recipe}
                    rows.append(row)
                    print(describe(row), file=sys.stderr, flush=True)
    return rows


def count(number: int, noun: str) -> str:
    """A number of things, such as 1 thread, 2 threads."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def recipe_of(row: Row) -> str:
    """The recipe of a row; rows of earlier versions do not name it."""
    return str(row.get("recipe", PLAIN))


def describe(row: Row) -> str:
    """A line of progress."""
    leaves = f" of {row['leaves']} leaves" if row["leaves"] else ""
    recipe = "" if row["recipe"] == PLAIN else f" by {row['recipe']}"
    rates = ", ".join(
        f"{name} {found['median']:,.0f}" for name, found in row["rates"].items() if name != SGEMM
    )
    return (
        f"{row['workload']}{recipe}{leaves}, hidden {row['hidden_size']}, "
        f"batch {row['batch_size']}, "
        f"{row['mode']}, {count(row['threads'], 'thread')}: {rates} {row['unit']}/s"
    )


def _measure_batch_size(
    spec: Spec,
    workload: Workload,
    corpus: Corpus,
    hidden_size: int,
    batch_size: int,
    rivals: Rivals | None,
) -> Iterator[Row]:
    weights, recipe = Weights(workload, corpus, hidden_size, spec.device), find_recipe(spec.recipe)
    batches = choose_batches(corpus.dataset, batch_size)
    ours = {
        name: Contender(weights, passes, batches, spec.threads, recipe)
        for name, passes in variants(spec.passes).items()
    }
    if spec.kind == "speed":
        for name, other in recipes_beside(recipe).items():
            ours[name] = Contender(weights, None, batches, spec.threads, other)
        if spec.threads > 1:
            ours[ONE_THREAD] = Contender(weights, None, batches, 1, recipe)
    with ExitStack() as stack:
        others: dict[str, Rival] = {}
        left_out: dict[str, str] = {}
        if rivals is not None and spec.rivals:
            given = [corpus.dataset.batch(indices) for indices in batches]
            state = {name: x.copy() for name, x in weights.function.state_dict().items()}
            others |= rivals(workload.name, state, given, recipe, spec.threads)
            left_out = dict(rivals.left_out)
            for rival in others.values():
                stack.callback(getattr(rival, "close", lambda: None))
        differences = check_equal(ours, others)
        vertices = float(np.mean([corpus.dataset.sizes[indices].sum() for indices in batches]))
        for mode in spec.modes:
            row = _measure_mode(spec, ours, _in_mode(mode, ours, others), mode)
            row |= {"hidden_size": hidden_size, "batch_size": batch_size, "mode": mode}
            row |= {"vertices_per_batch": vertices, "left_out": left_out}
            row |= {"differences": differences}
            row |= {"load_average": os.getloadavg()[0]}
            yield _finished(row)


def _in_mode(
    mode: str, ours: Mapping[str, Contender], others: Mapping[str, Rival]
) -> dict[str, Any]:
    """The contenders that are timed: in training all; in inference, where dropout does nothing, the
    contenders that still differ."""
    every: dict[str, Any] = {**ours, **others}
    if mode == "train":
        return every
    kept = (ours[OURS].recipe.masks, ours[WITHOUT].recipe.masks) if WITHOUT in ours else None
    return {name: c for name, c in every.items() if kept is None or c.recipe.masks in kept}


def _measure_mode(
    spec: Spec, ours: Mapping[str, Contender], contenders: Mapping[str, Any], mode: str
) -> Row:
    count = ours[OURS].num_batches
    steps = {name: _over(count, getattr(c, f"{mode}_step")) for name, c in contenders.items()}
    work = dict.fromkeys(contenders, ours[OURS].units)
    sgemm = Sgemm(spec.threads)
    if mode == "infer":
        for contender in ours.values():
            contender.see(_SEE * spec.seconds)
    rates = interleave(
        {**steps, SGEMM: sgemm},
        {**work, SGEMM: lambda _: sgemm.gflop},
        seconds=spec.seconds,
        rounds=spec.rounds,
        elsewhere={
            name: c.processor_seconds
            for name, c in contenders.items()
            if hasattr(c, "processor_seconds")
        },
    )
    row: Row = {"rates": {name: found.summary() for name, found in rates.items()}}
    row["turns"] = {name: found.wall for name, found in rates.items()}
    row["cavs_over"] = _ratios(rates, "wall")
    if spec.threads == 1:  # idle threads spin, which is not work
        row["cavs_over_by_cpu"] = _ratios(rates, "cpu")
    if mode == "train":
        row["shares"] = {name: c.shares() for name, c in contenders.items() if hasattr(c, "shares")}
        row["bytes_per_vertex"] = ours[OURS].bytes_per_vertex()
    row["units_per_batch"] = ours[OURS].mean_units()
    return row | ours[OURS].costs(mode == "train")


def _over(count: int, step: Step) -> Step:
    """`step` over the first `count` numbers, again and again."""
    return lambda number: step(number % count)


def _ratios(rates: Mapping[str, Rates], clock: str) -> dict[str, dict[str, float]]:
    mine = getattr(rates[OURS], clock)
    return {
        name: ratios(mine, getattr(found, clock))
        for name, found in rates.items()
        if name not in (OURS, SGEMM)
    }


def _finished(row: Row) -> Row:
    """Adds values computed from the rates: the rate of work, and the floor in units per second."""
    sgemm = row["rates"][SGEMM]["median"]
    row["gflops"] = row["rates"][OURS]["median"] * row["flops_per_unit"] * 1e-9
    row["floor"] = sgemm * 1e9 / row["minimal_flops_per_unit"]
    return row
