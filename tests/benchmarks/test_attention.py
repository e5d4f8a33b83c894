"""`benchmarks/attention.py`: contenders agree, and it all runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "attention.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_it_runs() -> None:
    pytest.importorskip("torch")
    done = run("--quick")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "torch / cavs" in line]
    assert len(lines) == 3


def test_unknown_kinds_are_refused() -> None:
    done = run("trees")
    assert done.returncode == 2
    assert "expected kinds among chains, positions, lists, got trees" in done.stderr
