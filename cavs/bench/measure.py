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
from cavs.bench.contenders import LEARNING_RATE, ONE_THREAD, OURS, Contender, Weights, variants
from cavs.bench.corpora import Array, Corpus, choose_batches
from cavs.bench.timing import Rates, Sgemm, Step, interleave, ratios
from cavs.bench.workloads import Workload, find
from cavs.errors import CavsRuntimeError

Row = dict[str, Any]
SGEMM = "sgemm"
#: How far losses and gradients may differ, relative to the largest element.
TOLERANCE = 2e-4
# Turns, at most, in which inference sees all batches before it is timed.
_SEE = 10.0


@dataclass(frozen=True)
class Spec:
    """What one process measures.

    Attributes:
        kind: ``speed``, ``ablation`` or ``linear``.
        workload: its name.
        threads: of cavs and of all peers; the process may use as many cores.
        passes: which contenders of cavs there are, see `contenders.variants`.
        hidden_sizes, batch_sizes, leaves, modes: all combinations are measured.
        seconds, rounds: see `timing.interleave`.
        samples: how many are generated where there are no data.
        rivals: whether those that there are take part.
        data: the directory of the data; "" for generated ones.
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

    @property
    def directory(self) -> Path | None:
        """Where the data stand, if anywhere."""
        return Path(self.data) if self.data else None


class Rival(Protocol):
    """What is measured beside cavs; benchmarks/peers/protocol.py says more."""

    def train_step(self, number: int) -> float: ...
    def infer_step(self, number: int) -> float: ...
    def loss(self, number: int) -> float: ...
    def gradients(self, number: int) -> Mapping[str, Array]: ...


class Rivals(Protocol):
    """Makes the rivals for one batch size; those that cannot run here are left out."""

    def __call__(
        self,
        workload: str,
        weights: Mapping[str, Array],
        batches: Sequence[tuple[cavs.GraphBatch, Mapping[str, Array]]],
        learning_rate: float,
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
                    row |= {"workload": workload.name, "unit": workload.unit, "leaves": leaves}
                    row |= {"per_vertex": workload.per_vertex}
                    row |= {"data": corpus.what, "threads": spec.threads, "kind": spec.kind}
                    rows.append(row)
                    print(describe(row), file=sys.stderr, flush=True)
    return rows


def count(number: int, noun: str) -> str:
    """A number of things, such as 1 thread, 2 threads."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def describe(row: Row) -> str:
    """A line of progress."""
    leaves = f" of {row['leaves']} leaves" if row["leaves"] else ""
    rates = ", ".join(
        f"{name} {found['median']:,.0f}" for name, found in row["rates"].items() if name != SGEMM
    )
    return (
        f"{row['workload']}{leaves}, hidden {row['hidden_size']}, batch {row['batch_size']}, "
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
    weights = Weights(workload, corpus, hidden_size)
    batches = choose_batches(corpus.dataset, batch_size)
    ours = {
        name: Contender(weights, passes, batches, spec.threads)
        for name, passes in variants(spec.passes).items()
    }
    if spec.threads > 1 and spec.kind == "speed":
        ours[ONE_THREAD] = Contender(weights, None, batches, 1)
    with ExitStack() as stack:
        others: dict[str, Rival] = {}
        if rivals is not None and spec.rivals:
            given = [corpus.dataset.batch(indices) for indices in batches]
            state = {name: x.copy() for name, x in weights.function.state_dict().items()}
            others |= rivals(workload.name, state, given, LEARNING_RATE, spec.threads)
            for rival in others.values():
                stack.callback(getattr(rival, "close", lambda: None))
        differences = check_equal(ours, others)
        for mode in spec.modes:
            row = _measure_mode(spec, mode, ours, others)
            row |= {"hidden_size": hidden_size, "batch_size": batch_size, "mode": mode}
            row |= {"vertices_per_batch": _mean_vertices(corpus, batches)}
            row |= {"differences": differences, "load_average": os.getloadavg()[0]}
            yield _finished(row)


def _mean_vertices(corpus: Corpus, batches: Sequence[Array]) -> float:
    return float(np.mean([corpus.dataset.sizes[indices].sum() for indices in batches]))


def _measure_mode(
    spec: Spec, mode: str, ours: Mapping[str, Contender], others: Mapping[str, Rival]
) -> Row:
    contenders: dict[str, Any] = {**ours, **others}
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
    """Adds what follows from the rates: the rate of work, and the floor in units per second."""
    sgemm = row["rates"][SGEMM]["median"]
    row["gflops"] = row["rates"][OURS]["median"] * row["flops_per_unit"] * 1e-9
    row["floor"] = sgemm * 1e9 / row["minimal_flops_per_unit"]
    return row


def check_equal(ours: Mapping[str, Contender], others: Mapping[str, Rival]) -> dict[str, float]:
    """Compares loss and gradients of all contenders over the first batch, before anything is timed.

    Returns:
        By contender the largest difference, relative to the largest element.

    Raises:
        CavsRuntimeError: one differs by more than TOLERANCE.
    """
    loss, gradients = ours[OURS].loss(0), ours[OURS].gradients(0)
    found = {}
    rest: dict[str, Any] = {name: c for name, c in {**ours, **others}.items() if name != OURS}
    for name, contender in rest.items():
        parts = {"loss": abs(contender.loss(0) - loss) / max(abs(loss), 1e-30)}
        parts |= _differences(gradients, contender.gradients(0))
        worst = max(parts, key=lambda part: _nan_first(parts[part]))
        if not parts[worst] <= TOLERANCE:
            raise CavsRuntimeError(
                f"[bench] {worst} of {name} within {TOLERANCE:g} of cavs's was expected, "
                f"came a difference of {parts[worst]:.1e}"
            )
        found[name] = parts[worst]
    return found


def _nan_first(x: float) -> float:
    return np.inf if np.isnan(x) else x


def _differences(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> dict[str, float]:
    """By parameter; one that only one side has must be zero on it."""
    found = {}
    for name in {**ours, **theirs}:
        mine, other = ours.get(name), theirs.get(name)
        if mine is None or other is None:
            (only,) = (x for x in (mine, other) if x is not None)
            found[name] = float(np.abs(only).max(initial=0.0))
        elif mine.shape != other.shape:
            found[name] = np.nan
        else:
            scale = float(np.abs(mine).max(initial=0.0)) or 1.0
            found[name] = float(np.abs(mine - other).max(initial=0.0)) / scale
    return found
