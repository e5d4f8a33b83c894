"""The timeline of a profile: its format, how slices nest, and that it adds up to the table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cavs
from cavs._native import core
from cavs.errors import InputError
from cavs.execution.profile._trace import Timeline, trace
from cavs.models import ChildSumTreeLSTM

GRAPHS = cavs.batch(
    [
        cavs.InputGraph([[], [], [0, 1], [], [2, 3]]),
        cavs.InputGraph([[]]),
        cavs.InputGraph([[] for _ in range(12)] + [[2 * i, 2 * i + 1] for i in range(11)]),
    ]
)
PROCESSES = {"inference": 1, "forward": 2, "backward": 2}


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Threads, which share even the smallest level."""
    count, options = core.num_threads(), core.execution_options()
    core.set_num_threads(request.param)
    core.set_execution_options(
        chunk_rows=2,
        chunk_bytes=1 << 20,
        min_parallel_rows=1,
        min_parallel_ns=0.0,
        min_team_ns=0.0,
        min_split_ns=0.0,
    )
    yield request.param
    core.set_execution_options(**options)
    core.set_num_threads(count)


def made(tmp_path: Path, **options: Any) -> tuple[cavs.Profile, dict[str, Any]]:
    model = cavs.compile(ChildSumTreeLSTM(8, 6, 4, 5), **options)
    rows = GRAPHS.num_vertices
    inputs = {"word": np.arange(rows, dtype=np.int32) % 8, "label": np.zeros(rows, np.int32)}
    profile = model.explain(GRAPHS, loss="loss", repeats=1, **inputs)
    profile.to_trace(tmp_path / "trace.json")
    return profile, json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))


def test_events_are_of_the_format(threads: int, tmp_path: Path) -> None:
    profile, found = made(tmp_path)
    assert found["otherData"] == {"batch": profile.batch, "calls_left_out": 0}
    names: dict[str, Any] = defaultdict(dict)
    for event in found["traceEvents"]:
        assert event["ph"] in ("M", "X")
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert isinstance(event["args"], dict)
        if event["ph"] == "M":
            names[event["name"]][event["pid"], event["tid"]] = event["args"]["name"]
        else:
            assert event["ts"] >= 0
            assert event["dur"] >= 0
            assert event["name"]
            assert event["cat"]
    assert names["process_name"] == {(1, 0): "inference", (2, 0): "training"}
    used = {(e["pid"], e["tid"]) for e in found["traceEvents"]}
    assert used == names["thread_name"].keys()
    assert max(thread for _, thread in used) <= threads - 1


def test_slices_nest(threads: int, tmp_path: Path) -> None:
    _, found = made(tmp_path)
    lines = defaultdict(list)
    for event in found["traceEvents"]:
        if event["ph"] == "X":
            lines[event["pid"], event["tid"]].append(event)
    kinds: dict[str, set[str | None]] = defaultdict(set)
    for events in lines.values():
        above: list[Any] = []
        before = 0.0
        for event in events:  # as they stand: a slice before those within it
            assert event["ts"] >= before - 1e-3
            before = event["ts"]
            while above and above[-1]["ts"] + above[-1]["dur"] <= event["ts"] + 1e-3 * (
                event["dur"] > 0
            ):
                above.pop()
            if above:
                end = above[-1]["ts"] + above[-1]["dur"]
                assert event["ts"] + event["dur"] <= end + 1e-3
            kinds[event["cat"]].add(above[-1]["cat"] if above else None)
            above.append(event)
    assert kinds["sweep"] == {None}
    assert kinds["computes"] <= {"segment"}
    assert kinds["segment"] <= {"sweep", None}  # threads beside the first have no sweep


def test_it_adds_up_to_the_table(threads: int, tmp_path: Path) -> None:
    profile, found = made(tmp_path)
    sweeps = {e["name"]: e for e in found["traceEvents"] if e.get("cat") == "sweep"}
    assert list(sweeps) == ["inference", "forward", "backward"]
    for direction, process in PROCESSES.items():
        whole = sweeps[direction]
        assert whole["pid"] == process
        end = whole["ts"] + whole["dur"]
        own = [
            e
            for e in found["traceEvents"]
            if e.get("cat") in ("computes", "moves")
            and e["pid"] == process
            and whole["ts"] <= e["ts"] < end
        ]
        sums: dict[str, Any] = defaultdict(lambda: np.zeros(4))
        for e in own:
            a, parts = e["args"], e["args"].get("parts", 1)
            sums[a["instruction"]] += [e["dur"] / 1e6, a["rows"] / parts, 1 / parts, a["flops"]]
        expected: dict[str, Any] = defaultdict(lambda: np.zeros(4))
        for r in profile.records:
            if r.direction == direction and r.calls:
                expected[r.text] += [r.seconds, r.rows, r.calls, r.flops]
        assert sums.keys() == expected.keys()
        for text, numbers in expected.items():
            slack = 2 * len(own)  # FLOPs are shared as whole numbers
            np.testing.assert_allclose(sums[text][:3], numbers[:3], rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(sums[text][3], numbers[3], rtol=0, atol=slack)
        for e in own:
            assert ("level" in e["args"]) == (e["args"].get("level", -1) >= 0)
        levels = {e["args"]["level"] for e in own if "level" in e["args"]}
        assert levels <= set(range(GRAPHS.schedule("batching").num_levels))
    assert any(e["args"].get("level") == 3 for e in found["traceEvents"])
    assert any("tree_lstm.py:" in e["args"].get("where", "") for e in found["traceEvents"])


def test_weights_that_are_packed_are_slices_too(tmp_path: Path) -> None:
    model = cavs.compile(ChildSumTreeLSTM(8, 32, 32, 5))
    trees = cavs.batch(cavs.unbatch(GRAPHS) * 30)
    zeros = np.zeros(trees.num_vertices, np.int32)
    profile = model.explain(trees, repeats=1, word=zeros, label=zeros)
    profile.to_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    packing = sum(e["dur"] for e in events if e.get("cat") == "packing" and e["pid"] == 2)
    spent = sum(t["packing"] for d in ("forward", "backward") for t in profile.threads[d])
    assert packing / 1e6 == pytest.approx(spent)
    assert packing > 0


def test_calls_that_were_left_out_are_counted() -> None:
    empty = np.zeros((0, 7), np.int64)
    spent = {"ids": 1, "plan": 2, "bind": 3, "walk": 4}
    lines = [Timeline("training", d, spent, empty, 5, []) for d in ("forward", "backward")]
    found = trace(lines, [], "nothing")
    assert found["otherData"]["calls_left_out"] == 10
    sweeps = [(e["ts"], e["dur"]) for e in found["traceEvents"] if e.get("cat") == "sweep"]
    assert sweeps == [(0.0, 0.01), (0.01, 0.01)]


def test_paths(tmp_path: Path) -> None:
    profile, _ = made(tmp_path)
    for wrong in (None, 3, ["trace.json"]):
        with pytest.raises(InputError, match=r"\[profile\] expected a path, got"):
            profile.to_trace(wrong)  # type: ignore[arg-type]
    for wrong in (tmp_path / "no_folder" / "trace.json", tmp_path, "a\0b"):
        with pytest.raises(InputError, match=r"\[profile\] expected a file that can be written"):
            profile.to_trace(wrong)
