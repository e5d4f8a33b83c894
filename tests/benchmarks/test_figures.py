"""The tables of docs/performance.md have the figures of the runs that benchmarks/results/ holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
Row = dict[str, Any]
DYNAMIC = ("dynamic depth", "dynamic agenda")  # the faster one is shown
RIVALS = {
    "the paper's policy": ("paper",),
    "PyTorch by level by hand": ("torch levels",),
    "the same with our distinct leaves": ("torch levels-distinct",),
    "PyTorch node by node": ("torch nodes",),
    "DGL `prop_nodes_topo`": ("dgl topological",),
    "dynamic declaration, best batching": DYNAMIC,
    "DyNet with automatic batching": ("dynet autobatch",),
    "the hand-written limit, emulated over AVX2": ("limit avx512-on-avx2",),
    "cavs with one thread": ("one thread",),
}


def tables(title: str) -> list[list[list[str]]]:
    """The cells of each table of a section, without its head."""
    section = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    blocks = [b for b in section.split("\n\n") if b.startswith("|")]
    return [
        [[c.strip() for c in x.strip("|").split("|")] for x in b.splitlines()[2:]] for b in blocks
    ]


def row_of(workload: str, mode: str, batch: int, threads: int, leaves: int | None = None) -> Row:
    path = ROOT / "benchmarks" / "results" / f"{workload}.json"
    settings = {"mode": mode, "batch_size": batch, "threads": threads, "leaves": leaves}
    rows = json.loads(path.read_text())["rows"]
    (found,) = [r for r in rows if r["kind"] == "speed" and settings.items() <= r.items()]
    return dict(found)


def times(row: Row, names: tuple[str, ...]) -> str:
    best = max(names, key=lambda name: row["rates"][name]["median"])
    over = row["cavs_over"][best]["median"]
    return f"{over:.2f}x" if over < 10 else f"{over:.0f}x"


def rate(row: Row) -> str:
    return f"{row['rates']['cavs']['median']:,.0f}"


def share(row: Row) -> str:
    return f"{row['rates']['cavs']['median'] / row['floor']:.2f}"


@pytest.mark.parametrize("threads", [2, 1])
def test_ways_of_training_a_tree_lstm(threads: int) -> None:
    lines = tables("Against other ways of training a Tree-LSTM")[2 - threads]
    settings = [(mode, batch) for mode in ("train", "infer") for batch in (1, 32, 256)]
    rows = [row_of("tree-lstm", mode, batch, threads) for mode, batch in settings]
    for title, *cells in lines:
        if title in RIVALS:
            assert cells == [times(row, RIVALS[title]) for row in rows], title
        else:
            assert cells == [(share if "floor" in title else rate)(row) for row in rows], title


def test_other_workloads() -> None:
    (lines,) = tables("Other workloads")
    assert len(lines) == 18
    for title, batch, *cells in lines:
        workload, _, leaves = title.partition(", ")
        number = int(leaves.split()[0]) if leaves else None
        rows = [row_of(workload, mode, int(batch), 2, number) for mode in ("train", "infer")]
        expected = [
            cell
            for row in rows
            for cell in (rate(row), times(row, ("paper",)), times(row, DYNAMIC))
        ]
        assert [cell.split(" ")[0] for cell in cells[:-1]] == expected, title
        assert cells[-1] == ", ".join(map(share, rows)), title


def test_growth() -> None:
    (lines,) = tables("Growth")
    rows = json.loads((ROOT / "benchmarks" / "results" / "linear-cost.json").read_text())["rows"]
    measured = [f"{1e6 / row['vertices_per_second']['median']:.2f}" for row in rows]
    assert {title: cells for title, *cells in lines}["two threads"] == measured
