"""Training as ``cavs train`` does it, beside PyTorch; ratios of both are compared with goals.

    python benchmarks/recipe.py --data DIR --output OUT             # measures, about 15 minutes
    python benchmarks/recipe.py --output OUT --redraw             # draws earlier results

DIR holds sst/. Three measurements run with one thread and with two, each in turns with its peers:
`suite.py tree-lstm --recipe sst` with PyTorch and `cavs train` itself; batch size 1 by recipe plain
beside the hand-written limit (where CAVS_LIMIT_SOURCE names it); and the language model of
`generative.py`. OUT gets their JSON files, the suite's reports, and goals.md with every ratio
beside its goal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cavs.bench.command import COMMAND
from cavs.bench.contenders import BY_ID, BY_VERTEX, OURS, WITHOUT
from cavs.bench.report import table
from cavs.bench.runner import pinned, usable_cores
from cavs.bench.timing import ratios

Row = dict[str, Any]
HERE = Path(__file__).parent
#: The parts' files in OUT.
SST, BATCH_1, LM = "tree-lstm-sst.json", "batch-1/tree-lstm.json", "generative.json"
TORCH_VERTEX = "torch levels, vertex masks"
TORCH_ID = "torch levels-distinct, id masks"
TORCH_CLASSIFIER = "torch levels-distinct, classifier masks"
LIMIT = "limit"  # the first word of its contenders' names


@dataclass(frozen=True)
class Goal:
    """A ratio of two contenders that stand in one row.

    Attributes:
        title: its title in the table.
        part: the file of its results.
        mode: ``train`` or ``infer``.
        over, under: names of the contenders.
        least: maps each batch size to the least ratio to reach; None: the ratio is shown without a
            goal.
    """

    title: str
    part: str
    mode: str
    over: str
    under: str
    least: Mapping[int, float | None]


GOALS = (
    Goal(
        "the recipe / the same without dropout and decay",
        *(SST, "train", OURS, WITHOUT, {25: 0.85, 256: 0.9}),
    ),
    Goal(
        "the recipe / PyTorch by level by hand, masks per vertex",
        *(SST, "train", OURS, TORCH_VERTEX, {25: 1.7, 256: 2.0}),
    ),
    Goal(
        "the recipe / PyTorch with distinct leaves, masks by id",
        *(SST, "train", OURS, TORCH_ID, {25: 1.2, 256: 1.4}),
    ),
    Goal(
        "the recipe / PyTorch with distinct leaves, the same masks",
        *(SST, "train", OURS, TORCH_CLASSIFIER, {25: None, 256: None}),
    ),
    Goal(
        "masks per vertex: cavs / PyTorch by level by hand",
        *(SST, "train", BY_VERTEX, TORCH_VERTEX, {25: 1.3, 256: 1.3}),
    ),
    Goal(
        "masks by id: cavs / PyTorch with distinct leaves",
        *(SST, "train", BY_ID, TORCH_ID, {25: None, 256: None}),
    ),
    Goal(
        "evaluation / inference of a model without dropout",
        *(SST, "infer", OURS, WITHOUT, {25: 0.95, 256: 0.95}),
    ),
    Goal(
        "recipe plain / the hand-written limit",
        *(BATCH_1, "train", OURS, LIMIT, {1: 0.5}),
    ),
)
LM_TITLE, LM_LEAST = "the LSTM language model / PyTorch", 1.15


def read(path: Path) -> Any:
    """A JSON file's content; None if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def find_row(result: Row | None, mode: str, batch: int, threads: int, kind: str) -> Row | None:
    """The row of these sizes."""
    for row in (result or {"rows": []})["rows"]:
        found = (row["mode"], row["batch_size"], row["threads"], row["kind"])
        if found == (mode, batch, threads, kind):
            return dict(row)
    return None


def goal_rows(output: Path) -> Iterator[tuple[str, int, int | str, Mapping[str, float], Any]]:
    """(title, threads, batch size, ratio, goal) of each ratio that was measured."""
    results = {part: read(output / part) for part in (SST, BATCH_1)}
    counts = sorted({row["threads"] for r in results.values() if r for row in r["rows"]})
    for goal in GOALS:
        for batch, least in goal.least.items():
            for threads in counts:
                row = find_row(results[goal.part], goal.mode, batch, threads, "speed")
                turns = (row or {}).get("turns", {})
                under = [name for name in turns if name.startswith(goal.under)]
                if goal.over in turns and under:
                    found = ratios(turns[goal.over], turns[under[0]])
                    yield goal.title, threads, batch, found, least
    for row in read(output / LM) or ():
        yield LM_TITLE, row["threads"], "20 x 20", row["cavs_over"], LM_LEAST
    yield from _commands(results[SST], counts)


def _commands(result: Row | None, counts: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The rates that `cavs train` reports, over those of its step alone."""
    for batch in (25, 256):
        for threads in counts:
            row = find_row(result, "train", batch, threads, "command")
            if row is not None:
                found = ratios(row["turns"][COMMAND], row["turns"][OURS])
                yield f"`{COMMAND}` / its step alone", threads, batch, found, None


def goals(output: Path) -> list[str]:
    """The table of all ratios, as Markdown."""
    body = []
    for title, threads, batch, found, least in goal_rows(output):
        low = found.get("quartile_1", found.get("min"))
        high = found.get("quartile_3", found.get("max"))
        cells = [
            title,
            str(threads),
            str(batch),
            f"**{found['median']:.2f}** ({low:.2f} .. {high:.2f})",
        ]
        reached = "" if least is None else ("yes" if found["median"] >= least else "no")
        body.append([*cells, "" if least is None else f">= {least:g}", reached])
    return table(["ratio", "threads", "batch", "median (range)", "goal", "reached"], body)


def suite(arguments: Sequence[Any]) -> None:
    """Runs suite.py."""
    command = [sys.executable, str(HERE / "suite.py"), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measure(options: argparse.Namespace) -> None:
    """Runs all three measurements."""
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    turns = ["--seconds", options.seconds, "--rounds", options.rounds]
    common = ["tree-lstm", "--data", options.data, "--passes", "all", *turns]
    common += ["--threads", *options.threads]
    suite([*common, "--recipe", "sst", "--peers", "torch_peer", "--output", output])
    plain = ["--recipe", "plain", "--peers", "limit_peer", "--modes", "train", "--batch-sizes", 1]
    suite([*common, *plain, "--output", (output / BATCH_1).parent])
    (output / LM).unlink(missing_ok=True)
    for threads in options.threads:
        command = [sys.executable, str(HERE / "generative.py"), "lm", "--threads", str(threads)]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": str(threads)}
        with pinned(threads):
            subprocess.run([*command, "--json", str(output / LM)], env=environment, check=True)


def main() -> None:
    """Measures, unless only redrawing is asked for, and prints the goals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR", help="holds sst/")
    parser.add_argument("--output", type=Path, metavar="OUT", required=True)
    parser.add_argument("--redraw", action="store_true", help="measure nothing")
    cores = list(range(1, min(2, usable_cores()) + 1))
    parser.add_argument("--threads", type=int, nargs="+", default=cores, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.4, metavar="X", help="of a turn")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="turns of each")
    options = parser.parse_args()
    if not options.redraw:
        if options.data is None:
            parser.error("expected --data DIR, got none")
        measure(options)
    text = "\n".join(["# Training by the recipe", "", *goals(options.output), ""])
    (options.output / "goals.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
