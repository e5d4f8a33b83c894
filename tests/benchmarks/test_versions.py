"""`benchmarks/versions.py`: the interval of a median, and one version beside itself."""

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("_versions", ROOT / "benchmarks" / "versions.py")
assert _spec is not None
assert _spec.loader is not None
versions = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = versions  # dataclasses look their module up
_spec.loader.exec_module(versions)


@pytest.mark.parametrize("count", [6, 7, 12, 32, 33, 100])
def test_the_interval_of_a_median_has_its_probability(count):
    low, middle, high = versions.median_interval(list(range(count)))
    assert middle == (count - 1) / 2
    assert low == count - 1 - high
    # Order statistics low + 1 and high + 1 miss the median with twice this probability.
    missed = sum(math.comb(count, k) for k in range(int(low) + 1)) / 2**count
    assert missed <= 0.025 < missed + math.comb(count, int(low) + 1) / 2**count


def test_the_interval_covers_the_median_of_skewed_values():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        low, _, high = versions.median_interval(list(random.exponential(size=32)))
        covered += low <= math.log(2) <= high
    assert covered >= 0.93 * 400


def test_a_row_has_lost_where_the_interval_lies_below_what_is_asked_for():
    slow = [0.9 + 0.001 * i for i in range(32)]
    assert versions.has_lost(slow, 0.97)
    assert not versions.has_lost([*slow[:16], *[1.0] * 16], 0.97)


def test_a_version_beside_itself(tmp_path):
    out = tmp_path / "rows.json"
    script = str(ROOT / "benchmarks" / "versions.py")
    command = [sys.executable, script, "--old", sys.executable, "--workloads", "tree-lstm"]
    command += ["--batch-sizes", "2", "--pairs", "2", "--couples", "2", "--seconds", "0.01"]
    # Two pairs show nothing, so whatever they are is no loss.
    done = subprocess.run(
        [*command, "--least", "0", "--output", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    assert [(r["mode"], len(r["ratios"]), r["lost"]) for r in rows] == [
        ("train", 2, False),
        ("infer", 2, False),
    ]
    assert all(ratio > 0 for row in rows for ratio in row["ratios"])
    assert done.stdout.count("\n") == 4
