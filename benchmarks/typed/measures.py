"""Contenders in turns, and rows of tables with ratios beside their goals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cavs.bench.report import table
from cavs.bench.timing import interleave

HEAD = ["what", "samples", "mode", "batches", "milliseconds", "ratio (quartiles)", "goal", ""]


@dataclass(frozen=True)
class Turns:
    """How long and how often contenders have their turn.

    Attributes:
        clock: ``wall``, or ``cpu`` for the processor time of one thread, which other processes
            disturb less.
    """

    seconds: float
    rounds: int
    clock: str = "wall"


@dataclass
class Row:
    """Contenders side by side.

    Attributes:
        what: the model.
        samples: of the minibatch.
        mode: ``train`` (forward and backward), ``infer``, or ``step`` (batch, schedule, forward,
            backward, update).
        milliseconds: of a step of each contender, medians over turns; ours first.
        batches: of each contender where it is known.
        ratios: how many times as long as ours each other takes: quartile, median, quartile.
        goal: the least ratio of the last contender that is aimed at.
    """

    what: str
    samples: int
    mode: str
    milliseconds: dict[str, float]
    batches: dict[str, int] = field(default_factory=dict)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    goal: float | None = None

    def cells(self) -> list[str]:
        """Of the table."""
        others = list(self.ratios)
        reached = ""
        if self.goal is not None:
            reached = "yes" if self.ratios[others[-1]][1] >= self.goal else "no"
        return [
            self.what,
            str(self.samples),
            self.mode,
            ", ".join(f"{name} {count:,}" for name, count in self.batches.items()),
            ", ".join(f"{name} {x:.2f}" for name, x in self.milliseconds.items()),
            ", ".join(
                f"{name if len(others) > 1 else ''} **{middle:.2f}x** ({low:.2f} .. {high:.2f})"
                for name, (low, middle, high) in self.ratios.items()
            ).strip(),
            "" if self.goal is None else f">= {self.goal:g}x",
            reached,
        ]

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def measure(
    what: str,
    samples: int,
    mode: str,
    steps: Mapping[str, Callable[[int], object]],
    turns: Turns,
    goal: float | None = None,
    batches: Mapping[str, int] | None = None,
    elsewhere: Mapping[str, Callable[[], float]] | None = None,
) -> Row:
    """Lets the contenders take turns; ours comes first in `steps`. A ratio is that of two turns of
    one round. `elsewhere` gives the processor time of a contender's own processes."""
    work: dict[str, Callable[[int], float]] = dict.fromkeys(steps, lambda _: 1.0)
    found = interleave(steps, work, seconds=turns.seconds, rounds=turns.rounds, elsewhere=elsewhere)
    walls = {name: np.array(getattr(rates, turns.clock)) for name, rates in found.items()}
    ours, *others = walls
    ratios = {}
    for name in others:
        count = min(len(walls[ours]), len(walls[name]))
        each = walls[ours][:count] / walls[name][:count]
        ratios[name] = np.percentile(each, [25, 50, 75]).tolist()
    milliseconds = {name: 1e3 / float(np.median(rates)) for name, rates in walls.items()}
    return Row(what, samples, mode, milliseconds, dict(batches or {}), ratios, goal)


def as_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a Markdown table, each as soon as its row is there."""
    yield from table(head, [])
    yield from (f"| {' | '.join(row)} |" for row in rows)
