"""The benchmark of Transformer-XL runs, and compares what gives one loss."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lines(*options: str) -> list[str]:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "transformer_xl.py"), "--quick", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("more", [[], ["--tied"], ["--attention-dropout", "0.3"]])
def test_it_compares_a_training_step_with_pytorchs(more: list[str]) -> None:
    title, torch, own, *on_edges, ratio = lines(*more)
    assert title.startswith("Transformer-XL, 2 layers of 8, 2 heads, 2 segments of 3 words")
    assert torch.startswith("PyTorch")
    assert own.startswith("cavs")
    assert [x.startswith("on edges") for x in on_edges] == [True] * ("0.3" in more)
    assert ratio.startswith("PyTorch / cavs ")


def test_it_compares_evaluation_with_a_memory_and_without() -> None:
    """Whose losses it compares itself, at each number of words before."""
    title, _, head, _, *rows = lines("--evaluation")
    assert title.startswith("Transformer-XL, 2 layers of 8, 2 heads, 11 words, 1 thread(s)")
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *rows)]
    assert [row[0] for row in cells] == ["words before", "4", "7"]
    assert {len(row) for row in cells} == {6}
    for _, anew, one, ratio, many, other in cells[1:]:
        assert min(float(anew), float(one), float(many)) >= 0
        assert ratio[-1] == other[-1] == "x"
