"""`benchmarks/sequences.py`: contenders compute the same, padding is counted, and it all runs."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.bench.contenders import Contender, Weights
from cavs.bench.recipes import find_recipe
from cavs.bench.workloads import find

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "sequences.py"
HIDDEN = 6
torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def field(name: str, size: int) -> Any:
    """The contenders that need no compiler."""
    contenders = importlib.import_module("chains.contenders")
    workload = find(name)
    return contenders.make_field(workload, workload.data(None, 40), HIDDEN, size, 1, False)


def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(("name", "count"), [("fixed-lstm", 3), ("var-lstm", 12)])
def test_losses_and_gradients_of_all_contenders_agree(name: str, count: int) -> None:
    found = field(name, 3)
    differences = found.check()
    assert len([title for title in found.entries if "dynamic" not in title]) == count
    assert set(differences) == set(found.entries) - {"cavs"}
    assert max(differences.values()) < 2e-5


def test_one_that_computes_something_else_is_found_out() -> None:
    from cavs.errors import CavsRuntimeError

    found = field("var-lstm", 3)
    with torch.no_grad():
        found.entries["torch.nn.LSTM, packed"].contender._lstm.weight_hh_l0[0, 0] += 0.5
    with pytest.raises(CavsRuntimeError, match=r"of torch\.nn\.LSTM, packed within"):
        found.check()


def test_all_learn_the_same_from_the_same_steps() -> None:
    losses = {}
    # Contenders of cavs share their weights, so that each has a field of its own.
    for ours in ("cavs", "cavs, static"):
        for name, entry in field("var-lstm", 3).entries.items():
            if name == ours or (not name.startswith("cavs") and "buckets" not in name):
                for number in (1, 2, 1):
                    entry.contender.train_step(number)
                losses[name] = entry.contender.loss(0)
    assert len([name for name in losses if "dynamic" not in name]) == 7
    np.testing.assert_allclose(list(losses.values()), losses["cavs"], rtol=1e-4)


def test_real_words_are_counted_and_padding_is_known() -> None:
    found = field("var-lstm", 3)
    sizes, drawn = found.sizes, found.batches.drawn[1:]
    words = sum(int(sizes[indices].sum()) for indices in drawn)
    longest = sum(3 * int(sizes[indices].max()) for indices in drawn)
    static = 3 * int(sizes.max()) * len(drawn)
    entries = found.entries
    assert {entry.words for entry in entries.values()} == {words}
    assert entries["cavs"].padding == entries["torch.nn.LSTM, packed"].padding == 0
    assert entries["torch by hand, padded"].padding == pytest.approx(1 - words / longest)
    assert entries["cavs, static"].padding == pytest.approx(1 - words / static)
    assert entries["cavs, buckets"].padding < entries["cavs, static"].padding


def test_buckets_hold_samples_of_like_length() -> None:
    contenders = importlib.import_module("chains.contenders")
    sizes = np.array([5, 61, 9, 33, 12, 140, 40, 7])
    batches = contenders.Minibatches.choose(sizes, 2, words=10**6)
    drawn, alike = (np.concatenate(x[1:]) for x in (batches.drawn, batches.alike))
    assert sorted(drawn) == sorted(alike)
    assert np.all(np.diff(sizes[alike]) >= 0)
    np.testing.assert_array_equal(batches.drawn[0], batches.alike[0])
    assert [contenders.bucket(np.array([3, x])) for x in (10, 11, 61, 140)] == [10, 20, 100, 140]


def test_padding_of_a_type_multiplies_nothing() -> None:
    """The instructions that have operations have them for words alone."""
    from chains.padding import PaddedWeights

    workload = find("var-lstm")
    weights = Weights(workload, workload.data(None, 20), HIDDEN)
    work = []
    for steps in (90, 120):
        padded = PaddedWeights(weights, lambda lengths, steps=steps: steps, True)
        made = Contender(padded, None, [np.arange(4)], 1, find_recipe("plain"))
        graphs, inputs = made._batch(0)
        assert graphs.num_vertices == 4 * steps
        given: dict[str, Any] = dict(inputs)
        profile = made._subject.models[0].explain(graphs, loss="loss", repeats=1, **given)
        flops = [r.flops for r in profile.records if "matmul" in r.kernel and r.flops]
        assert not any("padding" in r.text for r in profile.records if "matmul" in r.kernel)
        work.append(sum(flops))
    assert work[0] == work[1] > 0


@pytest.mark.parametrize("mean_of", ["children", "word"])
def test_torch_refuses_what_is_no_chain_of_words(mean_of: str) -> None:
    ways = importlib.import_module("peers.torch_sequences")
    protocol = importlib.import_module("peers.protocol")
    word = np.array([1, 2, 3 if mean_of == "children" else -1], np.int32)
    graphs = cavs.batch(
        [cavs.InputGraph([[], [], [0, 1]] if mean_of == "children" else [[], [0], [1]])]
    )
    arrays = (np.asarray(x, np.int64) for x in (graphs.ptr, graphs.child_ptr, graphs.children))
    batch = protocol.PeerBatch(*arrays, {"word": word, "label": np.zeros(3, np.int32)})
    with pytest.raises(protocol.UnsuitableError, match=r"chains alone|a word and a label"):
        ways.padded(batch, 3)


@pytest.mark.parametrize("name", ["fixed-lstm", "var-lstm"])
def test_peers_of_the_suite(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "suite.py"), name, "--quick", "--seconds", "0"]
    command += ["--rounds", "1", "--threads", "1", "--batch-sizes", "3", "--hidden-sizes", "8"]
    command += ["--peers", "torch_lstm", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    for row in json.loads((tmp_path / f"{name}.json").read_text())["rows"]:
        beside = {title for title in row["rates"] if title.startswith("torch_lstm ")}
        variants = {"padded", "by-hand"}
        if name == "var-lstm":
            variants |= {"packed", "static", "by-hand-static"}
        assert beside == {f"torch_lstm {variant}" for variant in variants}
        assert all(row["differences"][title] < 2e-4 for title in beside)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile wants a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # read by torch.compile
def test_what_is_compiled_computes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks, of which the last is shorter; compiled once for each length of a block."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compiled = importlib.import_module("chains.compiled")
    ways = importlib.import_module("peers.torch_sequences")
    made = compiled.Compiled(HIDDEN, masked=True, block=2)
    seconds = [made.loop_seconds([5], 3) for _ in range(2)]
    assert seconds[0] == seconds[1] > 0
    torch.manual_seed(0)
    mask = torch.tensor([[True] * 3, [True] * 3, [True, True, False], *[[True, False, False]] * 2])
    found = []
    for run in (ways.unroll, made.unroll):
        gates = torch.linspace(-1, 1, 5 * 3 * 4 * HIDDEN).reshape(5, 3, -1).requires_grad_()
        u = torch.linspace(-1, 1, 4 * HIDDEN * HIDDEN).reshape(4 * HIDDEN, -1).requires_grad_()
        h = torch.zeros(3, HIDDEN, requires_grad=True)
        states = run(gates, mask[:, :, None], u, h, h)[0]
        states.square().sum().backward()
        found.append([states.detach(), gates.grad, u.grad])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    output = tmp_path / "rows.json"
    done = run("--quick", "--eager", "--output", output)
    assert done.returncode == 0, done.stderr
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert {row["workload"] for row in rows} == {"fixed-lstm", "var-lstm"}
    assert all(row["words_per_second"] > 0 and row["difference"] < 2e-4 for row in rows)
    assert all(0 < row["construction"][1] < 1 for row in rows)


def test_goals_are_judged() -> None:
    measures = importlib.import_module("chains.measures")
    for middle, verdict in ((1.3, "yes"), (1.1, "no")):
        row = measures.Row(
            *("var-lstm", 32, 1, "torch.nn.LSTM, padded", 5000.0, [1.0, middle, 1.4], 1.2),
            *(0.5, (0.4, 0.01), 0.0, 1e-6, 1.0),
        )
        assert row.missed == (verdict == "no")
        assert row.cells()[2:5] == [f"{middle:.2f}x (1.00 .. 1.40)", ">= 1.2x", verdict]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quick", "trees"], "got trees"),
        (["var-lstm"], "expected --data DIR"),
        (["--quick", "--rounds", "0"], "--rounds of 1 or more"),
        (["--quick", "--threads", "4096"], "cores that can be used"),
        (["--quick", "--data", "/nowhere"], "/nowhere: expected a directory"),
        (["--quick", "--eager", "--batch-sizes", "30"], "60 samples or more"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_line(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
