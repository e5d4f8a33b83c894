"""benchmarks/suite.py beside the peers that can run here."""

import importlib
import json
import subprocess
import sys
import threading
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


def test_peers_with_dropout_train_by_the_recipe(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    options = ["--quick", "--seconds", 0, "--rounds", 1, "--threads", 1, "--batch-sizes", 3]
    names = ["--peers", "torch_peer", "dynamic"]
    done = suite("tree-lstm", "--recipe", "sst", *options, *names, "--output", tmp_path)
    training, inference = json.loads((tmp_path / "tree-lstm-sst.json").read_text())["rows"]
    masks = {"nodes": "vertex", "levels": "vertex", "levels-distinct": "id"}
    everywhere = {f"torch {variant}, classifier masks" for variant in masks}
    words_too = {f"torch {variant}, {kind} masks" for variant, kind in masks.items()}
    peers = {name for name in training["rates"] if name.startswith("torch ")}
    assert peers == everywhere | words_too
    assert {name for name in inference["rates"] if name.startswith("torch ")} == everywhere
    assert all(training["differences"][name] < 2e-4 for name in peers)
    assert not any(name.startswith("dynamic") for name in training["rates"])
    if "dynamic" not in json.loads((tmp_path / "tree-lstm-sst.json").read_text())["skipped"]:
        assert set(training["left_out"]) == {"dynamic none", "dynamic depth", "dynamic agenda"}
        for name, reason in training["left_out"].items():
            assert "no dropout" in reason
            assert f"{name} was left out: {reason}." in done.stdout


def test_peers_that_compute_something_else_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With wrong scales after dropout, and masks at the wrong rows."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from peers import torch_masks
    from suite import Rivals, load

    from cavs.bench.measure import measure
    from cavs.bench.plan import Request, make_plan
    from cavs.errors import CavsRuntimeError

    request = Request(
        *(("tree-lstm",), ""), recipe="sst", threads=[1], rounds=1, seconds=0, quick=True
    )
    (spec,) = make_plan(request)[0].specs
    rivals = Rivals(load(["torch_peer"]))
    take = torch_masks.Masks.take
    for change in (lambda mask: mask.flip(0), lambda mask: mask * 1.001):
        monkeypatch.setattr(
            torch_masks.Masks, "take", lambda x, given, by=change: take(x, by(given))
        )
        with pytest.raises(CavsRuntimeError, match=r"of torch .* masks within 0.0002 of cavs's"):
            measure(spec, rivals)


def test_the_process_that_measures_flushes_denormals(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    suite = importlib.import_module("suite")
    found = []

    def in_a_thread() -> None:  # which takes its mode with it
        small = torch.tensor(2e-38)
        found.append(float(small * 0.1))
        suite.flush_denormals(suite.load(suite.peer_names()))
        found.append(float(small * 0.1))

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert found[0] > 0
    assert found[1] == 0
