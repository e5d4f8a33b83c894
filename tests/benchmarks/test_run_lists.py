"""The benchmark of graphs with runs runs, and compares graphs of as many edges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_runs_and_lists_have_the_same_edges() -> None:
    small = ["--rounds", "3", "--graphs", "2", "--length", "32"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "run_lists.py"), *small],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    _, *rows = [line.split(" | ") for line in done.stdout.splitlines()]
    assert [row[2] for row in rows] == ["runs", "lists"] * 3
    edges = [int(row[1].replace(",", "")) for row in rows]
    causal, window, layers = 2 * 32 * 31 // 2, 2 * 28 * 4, 2 * 3 * 8 * 9 // 2
    assert edges == [causal, causal, window, window, layers, layers]
