"""`benchmarks/growing.py` runs, and growth draws what a call draws."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "growing.py"


def test_it_runs() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:4]] == [["| 1", "5"], ["| 64", "5"]]
    assert lines[-1].startswith("An image of 5 bits: ")
