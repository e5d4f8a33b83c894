"""benchmarks/recipe.py and tables.py: ratios beside their goals, and tables in documents."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
# Trees a second of each contender in two turns.
TRAINING = {
    "cavs": [1000.0, 1200.0],
    "no dropout": [1100.0, 1250.0],
    "vertex masks": [700.0, 720.0],
    "id masks": [900.0, 910.0],
    "torch levels, vertex masks": [500.0, 400.0],
    "torch levels-distinct, id masks": [1000.0, 1000.0],
    "torch levels-distinct, classifier masks": [800.0, 800.0],
    "sgemm": [90.0, 91.0],
}
INFERENCE = {"cavs": [4000.0, 4000.0], "no dropout": [4000.0, 8000.0], "sgemm": [90.0, 91.0]}


def row(mode: str, turns: dict[str, list[float]], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"mode": mode, "turns": turns, "kind": "speed", "threads": 2}
    found["rates"] = {name: {"median": sum(x) / len(x)} for name, x in turns.items()}
    ours = turns.get("cavs", [])
    found["cavs_over"] = {
        name: {"median": sum(ours) / sum(x)} for name, x in turns.items() if name != "cavs"
    }
    return found | {"batch_size": 25, "load_average": 0.5, "recipe": "sst", "floor": 1.0} | more


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """What a run leaves: of two threads and batch size 25, and of batch size 1 by recipe plain."""
    command = row(
        *("train", {"cavs train": [900.0, 1000.0, 1100.0], "cavs": [1000.0, 1000.0, 1000.0]}),
        kind="command",
        seconds=30.0,
        training_seconds=25.0,
    )
    del command["floor"]
    rows = [row("train", TRAINING), row("infer", INFERENCE), command]
    machine = {"processor": "a processor", "instruction_set": "avx512"}
    plain = [row("train", {"cavs": [500.0, 500.0], "limit avx512": [800.0, 1600.0]}, batch_size=1)]
    (tmp_path / "batch-1").mkdir()
    for name, part in (("tree-lstm-sst", rows), ("batch-1/tree-lstm", plain)):
        text = json.dumps({"part": name, "rows": part, "machine": machine})
        (tmp_path / f"{name}.json").write_text(text)
    lm = {"threads": 2, "cavs_over": {"median": 1.1, "min": 1.0, "max": 1.2}}
    (tmp_path / "generative.json").write_text(json.dumps([lm]))
    return tmp_path


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("recipe")


@pytest.fixture
def tables(recipe: Any) -> Any:
    return importlib.import_module("tables")


def test_each_ratio_stands_beside_its_goal(results: Path, recipe: Any) -> None:
    table = "\n".join(recipe.goals(results))
    for line in (
        # Medians of the turns of one round: 1000 / 1100 and 1200 / 1250, and so on.
        "| the recipe / the same without dropout and decay | 2 | 25 | **0.93** (0.91 .. 0.96) "
        "| >= 0.85 | yes |",
        "| the recipe / PyTorch by level by hand, masks per vertex | 2 | 25 "
        "| **2.50** (2.00 .. 3.00) | >= 1.7 | yes |",
        "| the recipe / PyTorch with distinct leaves, masks by id | 2 | 25 "
        "| **1.10** (1.00 .. 1.20) | >= 1.2 | no |",
        "| masks per vertex: cavs / PyTorch by level by hand | 2 | 25 | **1.60** (1.40 .. 1.80) "
        "| >= 1.3 | yes |",
        "| evaluation / inference of a model without dropout | 2 | 25 | **0.75** (0.50 .. 1.00) "
        "| >= 0.95 | no |",
        "| recipe plain / the hand-written limit | 2 | 1 | **0.47** (0.31 .. 0.62) | >= 0.5 | no |",
        "| the LSTM language model / PyTorch | 2 | 20 x 20 | **1.10** (1.00 .. 1.20) | >= 1.15 "
        "| no |",
        "| `cavs train` / its step alone | 2 | 25 | **1.00** (0.90 .. 1.10) |  |  |",
    ):
        assert line in table
    assert "256" not in table


def test_what_was_not_measured_is_left_out(results: Path, recipe: Any) -> None:
    (results / "generative.json").unlink()
    (results / "batch-1" / "tree-lstm.json").unlink()
    table = "\n".join(recipe.goals(results))
    assert "limit" not in table
    assert "language model" not in table
    assert "without dropout and decay" in table


def test_documents_get_their_tables(
    results: Path, tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in tables.DOCUMENTS:
        copy = tmp_path / "root" / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / path).read_text())
    monkeypatch.setattr(tables, "ROOT", tmp_path / "root")
    monkeypatch.setattr(sys, "argv", ["tables.py", str(results)])
    for _ in range(2):  # in place of what stood there
        tables.main()
        readme = (tmp_path / "root" / "README.md").read_text()
        assert readme.count("| `cavs train tree-lstm` | 1,000 trees/s |") == 1
        assert "| its training step alone | 1,000 trees/s |" in readme
        assert "| the step beside the same with distinct leaves | 1.38x |" in readme
        text = (tmp_path / "root" / "docs" / "performance.md").read_text()
        assert text.count("| cavs by the recipe, trees/s | **1,100** |") == 1
        assert "| the same without dropout and decay | 0.94x |" in text
        assert "a processor, avx512" in text
        assert text.count("**2.50** (2.00 .. 3.00)") == 1
    for path in tables.DOCUMENTS:
        assert len((tmp_path / "root" / path).read_text().splitlines()) > 50


def test_tables_are_those_of_the_recorded_run(tables: Any) -> None:
    results = tables.Results(BENCHMARKS / "results" / "recipe")
    for path, (name, make) in tables.DOCUMENTS.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        assert tables.put(text, name, make(results)) == text


def test_marks_that_are_not_there_are_missed(tables: Any) -> None:
    assert tables.put("<!-- a -->\nold\n<!-- end of a -->\n", "a", ["new"]) == (
        "<!-- a -->\n\nnew\n\n<!-- end of a -->\n"
    )
    for text in ("", "<!-- a -->\n", "<!-- a -->\n<!-- end of a -->\n" * 2):
        with pytest.raises(tables.DataError, match="once, got others"):
            tables.put(text, "a", [])


@pytest.mark.slow
def test_all_is_measured_in_one_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "sst").mkdir()
    for name in ("train", "dev", "test"):
        (tmp_path / "sst" / f"{name}.txt").write_text("(3 (2 so) (4 good))\n(1 bad)\n")
    output = tmp_path / "out"
    options = ["--threads", "1", "--seconds", "0", "--rounds", "1", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "recipe.py"), "--data", str(tmp_path), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    text = (output / "goals.md").read_text()
    assert text.strip() in done.stdout
    for title in (
        "the recipe / PyTorch by level by hand, masks per vertex",
        "evaluation / inference of a model without dropout",
        "the LSTM language model / PyTorch",
        "`cavs train` / its step alone",
    ):
        assert f"| {title} | 1 |" in text
