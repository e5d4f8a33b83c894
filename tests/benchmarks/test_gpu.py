"""`benchmarks/gpu.py`: it measures all that it says, its peers compute what cavs computes, and its
goals are reached, missed or not measured."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARK = ROOT / "benchmarks" / "gpu.py"
TINY = ["--quick", "--samples", "8", "--embedding", "4", "--hidden", "3", "--batch", "1", "4"]
TINY += ["--seconds", "0", "--limit", "400"]

TABLE = """
H150 train cuda levels+cuBLAS fp32: bs 1 1.0/1.5/0.9/1.1; bs 256 400.0/500/250.0/300.0
H150 train cuda one launch, cluster 8 fp32(3xtf32): bs 256 600/-/200.0/-
H150 train cuda one launch, cluster 8 tf32: bs 256 900/-/800.0/-
H150 train cuda levels+cuBLAS tf32 nodedup: bs 256 900/-/800.0/-
H150 train torch levels, eager fp32: bs 256 30.0/-/20.0/-

best of all:
H150 train bs 256 all in: 800000 trees/s, 10.68 ms/epoch (limit.cu one launch, cluster 8 tf32)
"""
LOG = """
### t=1s limit 35s: limit
RES limit.cu|H 256|bs 32|levels+cuBLAS|fp32|train|device only, stream|70000 trees/s|0.1 s/epoch|9 us/step|rows
RES limit.cu|H 256|bs 32|levels+cuBLAS|fp32|train|schedule+copy included, stream|50000 trees/s|0.1 s/epoch|9 us/step|
RES limit.cu|H 256|bs 32|levels+cuBLAS|tf32|train|schedule+copy included, stream|90000 trees/s|0.1 s/epoch|9 us/step|
RES jax|H 150|bs 256|scan over padded levels|fp32|train|device only, jit|9000 trees/s|1.0 s/epoch|9 us/step|
"""  # noqa: E501


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the benchmark."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return lambda name: import_module(f"gpu_parts.{name}")


def run(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARK), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)


def row(contender: str, rate: float, **others: Any) -> dict[str, Any]:
    found = {"model": "tree-lstm", "hidden": 150, "batch": 256, "mode": "train"}
    found |= {"batches": "kept", "contender": contender, "per_second": rate, "ms_per_step": 1.0}
    return found | others


def result(*rows: dict[str, Any], epochs: Any = ()) -> dict[str, Any]:
    found = {"data": "trees", "device": "cuda", "card": "a GPU", "versions": {}, "memory": {}}
    return found | {
        "rows": list(rows),
        "epochs": list(epochs),
        "ablation": [],
        "layers": [],
        "missing": {},
    }


def verdicts(
    part: Any, *rows: dict[str, Any], limits: Any = (), epochs: Any = ()
) -> dict[str, str]:
    found = part("goals").goals(result(*rows, epochs=epochs), limits)
    return {goal.text: goal.verdict for goal in found}


def test_without_figures_no_goal_is_measured(part: Any) -> None:
    assert set(verdicts(part).values()) == {"not measured"}


@pytest.mark.parametrize(("seconds", "verdict"), [(0.1, "reached"), (0.11, "missed")])
def test_an_epoch_has_a_limit(part: Any, seconds: float, verdict: str) -> None:
    epoch = {"hidden": 150, "batch": 256, "samples": 8544, "seconds": seconds}
    smaller = {**epoch, "samples": 4272, "seconds": seconds / 2}  # counts as a whole one
    for given in (epoch, smaller):
        found = verdicts(part, epochs=[given])
        assert [v for text, v in found.items() if text.startswith("SST epoch")] == [verdict]
    found = verdicts(part, epochs=[{**epoch, "hidden": 256}])
    assert set(found.values()) == {"not measured"}


@pytest.mark.parametrize(
    ("batch", "rate", "verdict"),
    [(256, 1000, "reached"), (256, 990, "missed"), (32, 1500, "reached"), (32, 1490, "missed")],
)
def test_ratios_to_eager_pytorch(part: Any, batch: int, rate: float, verdict: str) -> None:
    rows = [row("cavs", rate, batch=batch), row("PyTorch by level", 100, batch=batch)]
    found = verdicts(part, *rows)
    known = {text: v for text, v in found.items() if v != "not measured"}
    assert known == {f"PyTorch by level, eager, training, hidden 150, batch {batch}, kept": verdict}


def test_ratios_to_pytorch_of_sequences(part: Any) -> None:
    names = [model.name for model in part("sequence").MODELS]
    rows = [row("cavs", 80, model=names[0]), row("PyTorch", 100, model=names[0])]
    rows += [row("cavs", 79, model=names[1]), row("PyTorch", 100, model=names[1])]
    found = [v for v in verdicts(part, *rows).values() if v != "not measured"]
    assert found == ["reached", "missed"]


def test_tables_and_logs_of_the_limit(part: Any, tmp_path: Path) -> None:
    goals = part("goals")
    table, log = tmp_path / "table.txt", tmp_path / "limit.log"
    table.write_text(TABLE)
    log.write_text(LOG)
    limits = goals.read_limits([table, log])
    where = {"hidden": 150, "batch": 256, "mode": "train"}
    # In float32 alone, whichever way was the fastest.
    assert goals.best(limits, "cuda", all_in=True, **where) == 300e3
    assert goals.best(limits, "cuda", all_in=False, **where) == 600e3
    assert goals.best(limits, "torch", all_in=True, **where) == 20e3
    assert goals.best(limits, "jax", all_in=False, **where) == 9e3
    assert goals.best(limits, "cuda", all_in=True, **{**where, "mode": "infer"}) is None
    wide = {"hidden": 256, "batch": 32, "mode": "train"}
    assert goals.best(limits, "cuda", all_in=True, **wide) == 50e3
    rows = [row("cavs", 180e3, batches="fresh"), row("cavs", 900e3)]
    rows.append(row("cavs", 29e3, batches="fresh", hidden=256, batch=32))
    found = verdicts(part, *rows, limits=limits)
    known = {text: v for text, v in found.items() if v != "not measured"}
    assert known == {
        "hand-written CUDA, training, hidden 150, batch 256, all in": "reached",
        "hand-written CUDA, training, hidden 256, batch 32, all in": "missed",
    }


def test_another_process_does_what_a_lost_device_left(part: Any, tmp_path: Path) -> None:
    names = [f"tree-lstm, hidden 3, batch {size}" for size in (4, 1)]
    names += [model.name for model in part("sequence").MODELS]
    names += map(str, part("layers").QUICK)
    names += [f"ablation, hidden 3, batch {size}" for size in (4, 1)]
    names.append("tree-lstm, hidden 3, batch 4, JAX scan")
    given = result(row("cavs", 7)) | {"tried": names, "missing": {names[0]: "DeviceError: 700"}}
    file = tmp_path / "out.json"
    file.write_text(json.dumps(given))
    done = run("--output", file, *TINY, "--device", "cpu", "--go-on", 400)
    found = json.loads(file.read_text())
    assert done.returncode == 1, done.stderr  # a part has failed
    assert [epoch["batch"] for epoch in found["epochs"]] == [4]
    assert found["rows"] == given["rows"]
    assert found["missing"] == given["missing"]
    assert found["tried"] == [*names, "epoch"]


@pytest.mark.parametrize("text", [None, "", "BUILD FAILED\n"])
def test_a_table_without_figures_is_refused(part: Any, tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "table.txt"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match="expected"):
        part("goals").read_limits([file])


def test_what_fails_or_has_no_time_is_missing(part: Any) -> None:
    budget = part("turns").Budget(1.0)
    for name in ("done", "peer", "own", "late"):
        budget.plan(name)
    assert budget.attempt("done", lambda: 3, must=True) == 3
    assert budget.attempt("peer", lambda: {}["x"]) is None
    assert not budget.failed
    assert budget.attempt("own", lambda: [][1], must=True) is None
    assert budget.failed
    assert budget.attempt("late", lambda: 3, least=60) is None
    assert list(budget.missing) == ["peer", "own", "late"]
    assert budget.missing["peer"] == "KeyError: 'x'"


def test_pytorch_by_level_has_the_losses_and_gradients_of_cavs(part: Any) -> None:
    pytest.importorskip("torch")
    trees, levels = part("trees"), part("torch_levels")
    from cavs.bench.corpora import choose_batches, treebank

    corpus = treebank(None, 30)
    batches = choose_batches(corpus.dataset, 7)[:3]
    ours = trees.CavsTrees(corpus, (6, 4), batches, "cpu")
    plans = [trees.planned(batch, 5) for batch in ours.kept]
    theirs = levels.TorchTrees(ours.state, plans, "cpu", trees.RATE)
    graphs, inputs = ours.kept[0]
    ours.model(graphs, **inputs)["loss"].sum().backward()
    found = theirs.gradients(0)
    for name, parameter in ours.model.named_parameters():
        if name in found and name != "embedding.weight":
            np.testing.assert_allclose(found[name], parameter.grad, 1e-4, 1e-5, err_msg=name)
    ours.model.zero_grad()
    for _ in range(3):
        for number in range(len(batches)):
            assert theirs.loss(number) == pytest.approx(ours.loss(number), rel=1e-5)
            ours.train(number)
            theirs.train(number)


def test_layers_of_pytorch_have_the_values_and_gradients_of_cavs(part: Any) -> None:
    """At the sizes of --quick; `figures` compares them at those that it measures."""
    pytest.importorskip("torch")
    layers, options = part("layers"), Namespace(device="cpu", seconds=0)
    for layer in layers.QUICK:
        budget = part("turns").Budget(100)
        found = list(layers.figures(layer, options, budget))
        assert budget.missing == {}
        expected = [(mode, name) for mode in ("train", "infer") for name in ("cavs", "PyTorch")]
        assert [(row["mode"], row["contender"]) for row in found] == expected
        ours = layers.Ours(layer, "cpu")
        arrays = layers.Peer(layer, ours.weights, "cpu").arrays()
        inputs = {name for name in layer.arrays() if name != "d"}
        assert arrays.keys() == {"y", "y alone", *inputs, *ours.weights}
        for name in arrays:
            wrong = arrays | {name: arrays[name] + 0.01}
            with pytest.raises(ArithmeticError, match=name):
                layers.agree(wrong, ours.arrays())


@pytest.mark.gpu
def test_everything_is_measured(tmp_path: Path) -> None:
    out, table = tmp_path / "gpu.json", tmp_path / "table.txt"
    table.write_text(TABLE)
    done = run(*TINY, "--output", out, "--limit-table", table)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    own = [row for row in found["rows"] if row["contender"] == "cavs"]
    trees = [row for row in own if row["model"] == "tree-lstm"]
    assert {(r["hidden"], r["batch"]) for r in trees} == {(3, 1), (3, 4)}
    assert len(trees) == 8
    assert len(own) == 10
    assert [(e["hidden"], e["batch"], e["samples"]) for e in found["epochs"]] == [(3, 4, 8)]
    missing = [name for name in found["missing"] if "PyTorch" not in name and "JAX" not in name]
    assert missing == []
    for one in trees:
        # The schedule of a kept batch is on the device; what a step copies still is small.
        assert one["copies_to_device"] <= 1 + (one["batches"] == "fresh")
        assert (one["bytes_to_device"] > 1000) == (one["batches"] == "fresh")
        assert one["launches"] + one["graph_launches"] > 1
        assert one["host_ms"] > 0
    off = {(r["batch"], r["mode"], r["batches"], r["without"]): r for r in found["ablation"]}
    assert len(off) == 2 * 3 * 4
    for (_, _, _, without), one in off.items():
        if without == "graphs":
            assert one["graph_launches"] == 0
    assert off[4, "train", "kept", "all on"]["graph_launches"] > 0
    together, apart = (off[4, "infer", "kept", w] for w in ("all on", "persistent levels"))
    for one in (together, apart):
        assert one["graph_launches"] == 0  # whose launches would not be counted
    assert together["launches"] < apart["launches"]
    layers = [row for row in found["layers"] if row["contender"] == "cavs"]
    assert len(layers) == 8
    assert all(row["launches"] + row["graph_launches"] > 0 for row in layers)
    assert all(m["predicted"] > 0 for m in found["memory"].values())
    # A smaller part that comes later may take memory that the first one let go.
    assert found["memory"]["tree-lstm, hidden 3, batch 4"]["grown"] > 0
    again = run("--table", out, "--limit-table", table).stdout
    assert again in done.stdout
    assert "| must | <= 0.1 s | - | not measured |" in again
    assert "| attention, 2 x 9 words, 2 heads of 4 | train |" in again
    assert ", emulated (cuda);" in again or "CAVS_CUDA_DRIVER" not in os.environ
    assert "missing: hand-written CUDA" not in again
    assert "missing: hand-written CUDA: no --limit-table" in run("--table", out).stdout


def test_a_run_that_wrote_nothing_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "--table", str(tmp_path / "gpu.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout.startswith("[gpu] expected figures in ")
    assert done.stdout.count("\n") == 1
