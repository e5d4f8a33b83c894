"""Turns of all contenders, a row for each, and the table with its goals."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from cavs.bench.report import table
from cavs.bench.timing import SETTLE
from chains.contenders import OURS, Entry

#: How many times as fast as these cavs is to be, by workload and batch size.
GOALS: Mapping[tuple[str, int], Mapping[str, float]] = {
    ("fixed-lstm", 1): {"torch.nn.LSTM, padded": 1.1},
    ("fixed-lstm", 16): {"torch.nn.LSTM, padded": 1.25},
    ("var-lstm", 1): {"torch.nn.LSTM, padded": 1.1},
    ("var-lstm", 32): {
        "torch.nn.LSTM, padded": 1.2,
        "torch.nn.LSTM, packed": 1.25,
        "torch.nn.LSTM, static": 1.4,
    },
}
_MAKING = ("construction", "batching", "assembly", "schedule")
HEAD = ("", "words/s", "cavs is (quartiles)", "goal", "reached")
HEAD += ("padding", "construction", "compilation")


@dataclass
class Row:
    """A contender's training.

    Attributes:
        words_per_second: of real words, the median turn.
        cavs_over: quartile, median and quartile of how many times as fast cavs is.
        goal: the least such ratio that is aimed at.
        padding: the share of padding in what it computes.
        construction: milliseconds of a step in which its minibatch is made (with graphs,
            schedule and batching), and their share.
        compile_seconds: of the first step beyond a later one.
        difference: of loss and gradients from ours, relative to the largest element.
        load_average: when it was measured.
    """

    workload: str
    batch_size: int
    threads: int
    contender: str
    words_per_second: float
    cavs_over: list[float]
    goal: float | None
    padding: float
    construction: tuple[float, float]
    compile_seconds: float | None
    difference: float
    load_average: float

    @property
    def missed(self) -> bool:
        """Whether it has a goal that was not reached."""
        return self.goal is not None and self.cavs_over[1] < self.goal

    def cells(self) -> list[str]:
        """Of the table."""
        low, middle, high = self.cavs_over
        ours = self.contender == OURS
        milliseconds, share = self.construction
        return [
            f"**{self.contender}**" if ours else self.contender,
            f"{self.words_per_second:,.0f}",
            "" if ours else f"{middle:.2f}x ({low:.2f} .. {high:.2f})",
            "" if self.goal is None else f">= {self.goal:g}x",
            "" if self.goal is None else ("no" if self.missed else "yes"),
            f"{self.padding:.0%}" if self.padding else "",
            f"{milliseconds:.2f} ms, {share:.1%}",
            f"{self.compile_seconds:.1f} s" if self.compile_seconds else "",
        ]

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def turns(
    entries: Mapping[str, Entry], rounds: int, clock: Callable[[], float]
) -> dict[str, np.ndarray[Any, Any]]:
    """Seconds of each contender's turns by a clock; the order turns around after each round. A
    first turn is not counted."""
    found: dict[str, list[float]] = {name: [] for name in entries}
    for number in range(rounds + 1):
        for name in list(entries)[:: 1 if number % 2 else -1]:
            time.sleep(SETTLE)
            begin = clock()
            entries[name].turn()
            if number:
                found[name].append(clock() - begin)
            else:
                entries[name].contender.shares()
    return {name: np.array(seconds) for name, seconds in found.items()}


def measure(
    workload: str,
    size: int,
    threads: int,
    entries: Mapping[str, Entry],
    differences: Mapping[str, float],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Row]:
    """Lets the contenders take turns; ours is one of them. `clock`: what seconds are taken from."""
    goals = GOALS.get((workload, size), {})
    seconds = turns(entries, rounds, clock)
    rates = {name: entries[name].words / each for name, each in seconds.items()}
    rows = []
    for name, entry in entries.items():
        shares = entry.contender.shares()
        making = sum(shares.get(part, 0.0) for part in _MAKING)
        step = 1e3 * float(np.median(seconds[name])) / entry.count
        rows.append(
            Row(
                workload,
                size,
                threads,
                name,
                float(np.median(rates[name])),
                np.percentile(rates[OURS] / rates[name], [25, 50, 75]).tolist(),
                goals.get(name),
                entry.padding,
                (making * step, making),
                entry.compile_seconds,
                differences.get(name, 0.0),
                os.getloadavg()[0],
            )
        )
    return rows


def grouped(rows: Iterable[Row]) -> Iterator[tuple[str, list[str]]]:
    """A title and a table for each workload, batch size and number of threads."""
    for (name, size, threads), group in groupby(
        rows, lambda row: (row.workload, row.batch_size, row.threads)
    ):
        title = f"{name}, batch size {size}, {threads} thread{'s' * (threads > 1)}"
        yield title, as_table(group)


def as_table(rows: Iterable[Row]) -> list[str]:
    """A Markdown table."""
    return table(HEAD, (row.cells() for row in rows))
