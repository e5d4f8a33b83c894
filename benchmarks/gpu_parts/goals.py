"""What is aimed at, and whether a run has reached it: without figures a goal is not measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gpu_parts.trees import EAGER

EPOCH_SECONDS, SST_TREES = 0.1, 8544
OVER_EAGER = {256: 10.0, 32: 15.0}
OF_LIMIT, OF_TORCH = 0.6, 0.8
WIDTHS, HIDDEN = (150, 256, 512), 150
_SEQUENCES = ("lstm-lm", "vae")
# Of a line of its table, "H150 train cuda one launch, cluster 8 fp32: bs 1 1.0/2.0/-/-; ...", in
# thousands of trees per second: two figures of the device alone, two with schedule and copies.
_TABLE = re.compile(r"H(\d+) (train|infer) (\S+) (.*): (bs \d.*)$")
# Of a line of its logs: source, hidden, batch, variant, precision, mode, what is in, trees/s.
_LOG = re.compile(
    r"RES ([^|]+)\|H (\d+)\|bs (\d+)\|([^|]+)\|([^|]+)\|(train|infer)\|([^|]+)\|(\d+) trees/s"
)
_ALL_IN = "schedule+copy included"


class Limit(NamedTuple):
    """A rate that another program reached on the same card."""

    source: str  # "cuda", "torch" or "jax"
    variant: str
    hidden: int
    batch: int
    mode: str
    all_in: bool  # with schedule and copies
    trees_per_second: float


class Goal(NamedTuple):
    """`at_most`: whether less is better. A value of None was not measured."""

    text: str
    value: float | None
    bound: float
    unit: str = "x"
    at_most: bool = False
    aim: bool = False  # hoped for; else a must

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        good = self.value <= self.bound if self.at_most else self.value >= self.bound
        return "reached" if good else "missed"


def read_limits(files: Iterable[Path]) -> list[Limit]:
    """The rates in float32 of tables and logs of the hand-written program and its peers.

    Raises:
        ValueError: a file without any, or one that cannot be read.
    """
    found: list[Limit] = []
    for file in files:
        try:
            lines = file.read_text(errors="replace").splitlines()
        except OSError as error:
            raise ValueError(f"expected a table of the limit, got none: {error}") from None
        rates = [limit for line in lines for limit in _limits_of(line)]
        if not rates:
            raise ValueError(f"expected lines of rates in {file}, got none")
        found += rates
    return found


def _limits_of(line: str) -> list[Limit]:
    found = []
    if match := _LOG.match(line):
        source, hidden, batch, variant, precision, mode, what, rate = match.groups()
        if precision.startswith("fp32"):  # neither TF32 nor another algorithm's name
            name = "cuda" if source.startswith("limit") else source
            where = int(hidden), int(batch), mode, what.startswith(_ALL_IN)
            found.append(Limit(name, variant, *where, float(rate)))
    elif match := _TABLE.match(line):
        hidden, mode, source, variant, sizes = match.groups()
        if not re.search(r"\btf32( nodedup)?$", variant):
            for part in sizes.split(";"):
                _, batch, figures = part.split()
                for place, figure in enumerate(figures.split("/")):
                    if figure != "-":
                        where = int(hidden), int(batch), mode, place >= 2
                        found.append(Limit(source, variant, *where, 1e3 * float(figure)))
    return found


def best(limits: Sequence[Limit], source: str, **wanted: Any) -> float | None:
    """The highest rate of a source, or null."""
    rates = [
        limit.trees_per_second
        for limit in limits
        if limit.source == source and all(getattr(limit, k) == v for k, v in wanted.items())
    ]
    return max(rates, default=None)


def _rate(rows: Sequence[dict[str, Any]], **wanted: Any) -> float | None:
    for row in rows:
        if all(row.get(name) == value for name, value in wanted.items()):
            return float(row["per_second"])
    return None


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours / theirs


def goals(result: dict[str, Any], limits: Sequence[Limit] = ()) -> list[Goal]:
    """All of them, with the values of a run (the dict that `gpu.py` writes)."""
    rows = result.get("rows", [])
    trees = {"model": "tree-lstm", "hidden": HIDDEN, "mode": "train"}
    epochs = [
        row["seconds"] * SST_TREES / row["samples"]
        for row in result.get("epochs", [])
        if row["hidden"] == HIDDEN and row["batch"] == 256
    ]
    found = [
        Goal(
            f"SST epoch ({SST_TREES} trees), training, hidden {HIDDEN}, batch 256, all in",
            min(epochs, default=None),
            EPOCH_SECONDS,
            unit=" s",
            at_most=True,
        )
    ]
    for size, bound in OVER_EAGER.items():
        for batches in ("kept", "fresh"):
            same = trees | {"batch": size, "batches": batches}
            ours, theirs = (_rate(rows, contender=name, **same) for name in ("cavs", EAGER))
            text = f"{EAGER}, eager, training, hidden {HIDDEN}, batch {size}, {batches}"
            found.append(Goal(text, _ratio(ours, theirs), bound))
    for name in _SEQUENCES:
        of_model = [row for row in rows if row["model"].startswith(name)]
        ours, theirs = (_rate(of_model, contender=one) for one in ("cavs", "PyTorch"))
        found.append(Goal(f"PyTorch with cuDNN, {name}, training", _ratio(ours, theirs), OF_TORCH))
    for hidden in WIDTHS:
        for size in (256, 32, 1):
            where = {"hidden": hidden, "batch": size, "mode": "train"}
            ours = _rate(rows, contender="cavs", batches="fresh", model="tree-lstm", **where)
            theirs = best(limits, "cuda", all_in=True, **where)
            text = f"hand-written CUDA, training, hidden {hidden}, batch {size}, all in"
            found.append(Goal(text, _ratio(ours, theirs), OF_LIMIT, aim=True))
    return found
