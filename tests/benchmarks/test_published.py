"""`benchmarks/published.py`: what its parts measure, and the tables that it draws."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cavs.bench.workloads import find
from cavs.core.passes import PASSES

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "published.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_the_ablation_has_each_pass_apart_and_all_together() -> None:
    ablation = importlib.import_module("published_parts.ablation")
    found = ablation.contenders()
    assert found["none"] == ()
    assert [found[name] for name in ("lazy batching", "hoisting", "fusion")] == [
        ("defer",),
        ("hoist",),
        ("fuse",),
    ]
    assert found["all three"] == ("defer", "hoist", "fuse")
    assert found["cavs"] is None
    assert set(PASSES) - set(found["cavs without all three"]) == {"defer", "hoist", "fuse"}


def test_memory_operations_are_counted_in_each_mode() -> None:
    memory = importlib.import_module("published_parts.memory_operations")
    workload = find("tree-lstm")
    rows = list(memory.rows(workload, workload.data(None, 20), 8, [1, 6]))
    assert {(row["batch_size"], row["mode"]) for row in rows} == {
        (size, mode) for size in (1, 6) for mode in memory.MODES
    }
    for row in rows:
        assert 0 <= row["memory_ms"] < row["all_ms"]
    moved = {(row["contender"], row["mode"], row["batch_size"]): row["megabytes"] for row in rows}
    assert all(
        0 < moved[name, mode, 1] < moved[name, mode, 6] for name, mode, size in moved if size == 1
    )
    assert moved["cavs", "train", 6] < moved["paper", "train", 6]
    if memory.missing() is None:
        assert moved["dynamic agenda", "train", 6] > moved["dynamic agenda", "infer", 6]


def test_tables_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    rate = {"median": 10.0}
    rows = [
        {
            "kind": "speed",
            "mode": "train",
            "threads": 1,
            "batch_size": size,
            "rates": {"cavs": rate, "dynamic agenda": rate, "sgemm": rate},
            "cavs_over": {"dynamic agenda": {"median": 1.5}},
            "shares": {
                "cavs": {"assembly": 0.02, "schedule": 0.01, "step": 0.97},
                "dynamic agenda": {"construction": 0.2, "batching": 0.1, "computation": 0.7},
            },
        }
        for size in (256, 1)
    ]
    (tmp_path / "tree-lstm.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    done = run("--redraw", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "published.md").read_text(encoding="utf-8")
    assert "| dynamic agenda | 10 (1.50x) | 10 (1.50x) |" in text
    assert "| dynamic agenda | 30.0% | 30.0% |" in text
    assert "| 3.0% (Tree-LSTM, 1), 3.0% (Tree-LSTM, 256) |" in text
    assert "Memory operations" not in text


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    options = ["--quick", "--eager", "--threads", "1", "--peers", "--output", tmp_path]
    titles = {
        "trees": "Tree-LSTM by batch size",
        "sequences": "var-lstm",
        "memory": "Memory operations",
        "ablation": "Lazy batching",
    }
    if find_spec("torch") is None:  # which sequences are beside
        del titles["sequences"]
    done = run(*titles, *options)
    assert done.returncode == 0, done.stderr
    for title in ("Frameworks", "Graph construction", *titles.values()):
        assert f"\n## {title}" in done.stdout
    files = {path.stem for path in tmp_path.glob("*.json")}
    assert files == {"tree-lstm" if part == "trees" else part for part in titles}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trains", "--quick"], "got trains"),
        (["memory"], "expected --data DIR"),
        (["memory", "--data", "/nowhere"], "/nowhere"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = run(*arguments, "--output", tmp_path)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
