"""`benchmarks/torch_layer.py`: all contenders compute the same, and it prints its table."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "torch_layer.py"


@pytest.mark.parametrize(
    "options", [["--optimizer", "sgd"], ["--pytorch"], ["--loss-in-f"]], ids=lambda o: o[0]
)
def test_it_runs(options: list[str]) -> None:
    small = ["--samples", "40", "--steps", "2", "--batch-sizes", "4", *options]
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), *small],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    modes = [line.split("|")[1].strip() for line in done.stdout.splitlines()]
    assert modes == ["mode", "---", "train", "infer"]
