"""The benchmark of derivatives of derivatives runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_it_compares_a_product_with_a_training_step() -> None:
    small = ["--rounds", "1", "--trees", "3", "--hidden", "4"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "second_derivatives.py"), *small],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    title, step, gradients, product = done.stdout.splitlines()
    assert title == "Tree-LSTM, hidden 4, 3 trees, one thread"
    assert step.startswith("training step")
    assert step.endswith(" 1.00 steps")
    assert gradients.startswith("gradients, on the tape")
    assert product.startswith("product, from nothing")
