"""The benchmark of Transformer-XL runs, and both models have one loss."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("more", [[], ["--tied"], ["--attention-dropout", "0.3"]])
def test_it_compares_a_training_step_with_pytorchs(more: list[str]) -> None:
    pytest.importorskip("torch")
    sizes = {"layers": 2, "size": 8, "heads": 2, "length": 3, "memory": 4, "streams": 2}
    counts = {"words": 11, "rounds": 1}
    small = [x for name, n in {**sizes, **counts}.items() for x in (f"--{name}", str(n))]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "transformer_xl.py"), *small, *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    title, torch, own, *on_edges, ratio = done.stdout.splitlines()
    assert title.startswith("Transformer-XL, 2 layers of 8, 2 heads, 2 segments of 3 words")
    assert torch.startswith("PyTorch")
    assert own.startswith("cavs")
    assert [x.startswith("on edges") for x in on_edges] == [True] * ("0.3" in more)
    assert ratio.startswith("PyTorch / cavs ")
