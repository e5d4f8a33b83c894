"""benchmarks/suite.py beside the peers that can run here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def suite(*arguments: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARKS / "suite.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("name", ["tree-lstm", "lattice-lstm"])
def test_peers_that_can_run_do_and_others_are_named(name: str, tmp_path: Path) -> None:
    options = ["--quick", "--seconds", 0, "--rounds", 1, "--threads", 1, "--batch-sizes", 3]
    done = suite(name, *options, "--output", tmp_path)
    result = json.loads((tmp_path / f"{name}.json").read_text())
    files = [path.stem for path in (BENCHMARKS / "peers").glob("*.py")]
    assert set(result["skipped"]) <= set(files)
    for peer, reason in result["skipped"].items():
        assert f"[bench] {peer} skipped: {reason}" in done.stderr
        assert f"{peer} was skipped: {reason}." in done.stdout
    for row in result["rows"]:
        beside = set(row["rates"]) - {"cavs", "paper", "sgemm"}
        assert {contender.split()[0] for contender in beside} <= {
            peer.removesuffix("_peer") for peer in files if peer not in result["skipped"]
        }
        assert all(row["differences"][contender] < 2e-4 for contender in beside)
    assert "python benchmarks/suite.py" in (tmp_path / "report.md").read_text()


def test_peers_can_be_left_out(tmp_path: Path) -> None:
    options = ["--quick", "--seconds", 0, "--rounds", 1, "--threads", 1, "--modes", "infer"]
    suite("tree-lstm", *options, "--peers", "--output", tmp_path)
    for row in json.loads((tmp_path / "tree-lstm.json").read_text())["rows"]:
        assert set(row["rates"]) == {"cavs", "paper", "sgemm"}
