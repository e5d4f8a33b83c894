"""The benchmark of tensors outside of vertex functions runs, and computes what PyTorch does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_gradients_are_those_of_pytorch() -> None:
    pytest.importorskip("torch")
    small = ["--rounds", "1", "--rows", "40", "--size", "5", "--points", "20"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "outer_tape.py"), *small],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    _, _, discrepancy, process = done.stdout.splitlines()
    assert discrepancy.startswith("MMD, 40 x 5, 4 widths")
    assert process.startswith("Gaussian process, 20 points")
    assert float(discrepancy.split()[-1]) < 1e-4
    assert float(process.split()[-1]) < 1e-10
