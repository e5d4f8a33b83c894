"""Writes the results of `recipe.py` into docs/performance.md and README.md.

    python benchmarks/tables.py OUT

The lines between ``<!-- NAME -->`` and ``<!-- end of NAME -->`` in a document are made anew from
the JSON files in OUT; the rest is left alone.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recipe import (
    SST,
    TORCH_CLASSIFIER,
    TORCH_ID,
    TORCH_VERTEX,
    find_row,
    goals,
    read,
)

from cavs.bench.command import COMMAND
from cavs.bench.contenders import BY_ID, BY_VERTEX, OURS, WITHOUT
from cavs.bench.measure import count
from cavs.bench.report import table
from cavs.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]
# The speed of the recipe is given relative to the speed of each of these.
RIVALS = (
    ("the same without dropout and decay", WITHOUT),
    ("words dropped too, a mask for each vertex", BY_VERTEX),
    ("words dropped too, a mask for each word", BY_ID),
    ("PyTorch by level by hand, the recipe's dropout", "torch levels, classifier masks"),
    ("- words dropped too, a mask for each vertex", TORCH_VERTEX),
    ("PyTorch with distinct leaves, the recipe's dropout", TORCH_CLASSIFIER),
    ("- words dropped too, a mask for each word", TORCH_ID),
    ("PyTorch node by node, the recipe's dropout", "torch nodes, classifier masks"),
)
README_RIVALS = (
    ("PyTorch batched by level by hand", "torch levels, classifier masks"),
    ("the same with distinct leaves", TORCH_CLASSIFIER),
    ("PyTorch node by node", "torch nodes, classifier masks"),
)


def number(x: float) -> str:
    return f"{x:,.0f}"


class Results:
    """The results of the suite's part with recipe sst."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.part: Row = read(output / SST)
        if self.part is None:
            raise DataError(
                f"[tables] expected {output / SST} of recipe.py, got none; run it first"
            )
        rows = self.part["rows"]
        self.settings = sorted(
            {(row["threads"], row["batch_size"]) for row in rows if row["kind"] == "speed"}
        )

    def row(self, mode: str, threads: int, batch: int, kind: str = "speed") -> Row | None:
        return find_row(self.part, mode, batch, threads, kind)

    def cells(self, make: Callable[[Row, int, int], str]) -> list[str]:
        """A cell for each setting, from the row of its training."""
        found = [(self.row("train", *setting), *setting) for setting in self.settings]
        return ["" if row is None else make(row, *setting) for row, *setting in found]

    def command(self, threads: int, batch: int, name: str = COMMAND) -> str:
        """Trees a second, as `cavs train` reports them; or of its step alone, in turns with it."""
        return _rate(self.row("train", threads, batch, "command"), name)


def machine(results: Results) -> str:
    """The machine of the measurements, in a sentence."""
    has = results.part["machine"]
    sgemm = [row["rates"]["sgemm"]["median"] for row in results.part["rows"] if "floor" in row]
    load = max(row["load_average"] - row["threads"] for row in results.part["rows"])
    busy = f"; other processes were busy, up to {load:.1f}" if load > 0.5 else ""
    return (
        f"SST, hidden 150, {has['processor']}, {has['instruction_set']}; a product of 2048 x 2048 "
        f"matrices ran at {min(sgemm):.0f} to {max(sgemm):.0f} GFLOP/s{busy}."
    )


def performance(results: Results) -> list[str]:
    """The table of all contenders, and the table of the goals."""
    head = ["", *(f"{count(t, 'thread')}, batch {b}" for t, b in results.settings)]
    body = [
        [
            "cavs by the recipe, trees/s",
            *results.cells(lambda row, t, b: f"**{number(row['rates'][OURS]['median'])}**"),
        ],
        [
            "`cavs train` by its own account",
            *results.cells(lambda row, t, b: results.command(t, b)),
        ],
        [
            "its step alone, in turns with it",
            *results.cells(lambda row, t, b: results.command(t, b, OURS)),
        ],
    ]
    for title, name in RIVALS:
        if any(name in row["rates"] for row in results.part["rows"]):
            body.append([title, *results.cells(lambda row, t, b, n=name: _over(row, n))])
    return [
        f"{machine(results)} From the fourth line on: how many times as fast the recipe was.",
        "",
        *table(head, body),
        "",
        "Each ratio beside what was aimed at:",
        "",
        *goals(results.output),
    ]


def _over(row: Row | None, name: str) -> str:
    if row is None or name not in row["cavs_over"]:
        return ""
    return f"{row['cavs_over'][name]['median']:.2f}x"


def readme(results: Results) -> list[str]:
    """Lines of results, with the most threads."""
    most = max(threads for threads, _ in results.settings)
    chosen = [(t, b) for t, b in results.settings if t == most]
    head = [
        f"SST, dropout and decay as for [the accuracy](docs/results.md), {count(most, 'thread')}",
        *(f"batch {batch}" for _, batch in chosen),
    ]
    rows = [results.row("train", *setting) for setting in chosen]
    body = [
        ["`cavs train tree-lstm`", *(f"{results.command(*s)} trees/s" for s in chosen)],
        ["its training step alone", *(f"{results.command(*s, OURS)} trees/s" for s in chosen)],
        *(
            [f"the step beside {title}", *(_over(row, name) for row in rows)]
            for title, name in README_RIVALS
        ),
    ]
    return table(head, body)


def _rate(row: Row | None, name: str) -> str:
    return "" if row is None or name not in row["rates"] else number(row["rates"][name]["median"])


DOCUMENTS: dict[str, tuple[str, Callable[[Results], Sequence[str]]]] = {
    "docs/performance.md": ("recipe", performance),
    "README.md": ("speed", readme),
}


def put(text: str, name: str, lines: Sequence[str]) -> str:
    """The document with `lines` between the marks of `name`.

    Raises:
        DataError: the marks are not there, once each.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise DataError(f"[tables] expected lines {begin} and {end} once, got others; put them in")
    return pattern.sub(lambda _: "\n".join([begin, "", *lines, "", end]), text)


def main() -> None:
    """Fills in both documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, metavar="OUT", help="what recipe.py wrote")
    results = Results(parser.parse_args().output)
    for path, (name, make) in DOCUMENTS.items():
        document = ROOT / path
        text = put(document.read_text(encoding="utf-8"), name, make(results))
        document.write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
