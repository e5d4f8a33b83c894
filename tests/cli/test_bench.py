"""``cavs bench`` as users run it, at sizes that take a moment."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from cavs.bench.output import write_part, write_report
from cavs.bench.plan import Request, make_plan
from cavs.bench.runner import WORKER, Part, run_part
from cavs.bench.workloads import WORKLOADS
from cavs.core.passes import PASSES

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
TINY = ["--quick", "--seconds", "0", "--rounds", "1", "--threads", "1"]


def bench(*arguments: Any, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "cavs", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def rows_of(folder: Path, part: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / f"{part}.json").read_text())["rows"]
    return rows


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_workload_runs(name: str, tmp_path: Path) -> None:
    done = bench(name, *TINY, "--batch-sizes", 2, "--output", tmp_path)
    rows = rows_of(tmp_path, name)
    assert [row["mode"] for row in rows] == ["train", "infer"]
    for row in rows:
        assert set(row["rates"]) == {"cavs", "paper", "sgemm"}
        assert row["differences"]["paper"] < 1e-4
        assert row["flops_per_unit"] > 0
        assert row["cavs_over"]["paper"]["median"] > 0
    training, inference = rows
    assert training["minimal_flops_per_unit"] <= training["flops_per_unit"]
    assert 0 < inference["minimal_flops_per_unit"] < training["minimal_flops_per_unit"]
    assert sum(training["shares"]["cavs"].values()) == pytest.approx(1)
    assert training["bytes_per_vertex"] > 0
    text = (tmp_path / "report.md").read_text()
    assert f"## {name}\n" in text
    assert f"`cavs bench {name} --batch-sizes 2 --threads 1 " in text
    assert text.strip() == done.stdout.strip()


SST_CONTENDERS = {"cavs", "no dropout", "vertex masks", "id masks"}


def test_the_recipe_is_measured_beside_the_same_without_and_with_other_masks(
    tmp_path: Path,
) -> None:
    sizes = ["--batch-sizes", 2, 3, "--passes", "paper"]
    done = bench("tree-lstm", "--recipe", "sst", *TINY, *sizes, "--output", tmp_path)
    rows = rows_of(tmp_path, "tree-lstm-sst")
    assert not (tmp_path / "tree-lstm.json").exists()
    assert [(row["mode"], row["batch_size"]) for row in rows] == [
        *(("train", 2), ("infer", 2), ("train", 3), ("infer", 3))
    ]
    for row in rows:
        assert row["recipe"] == "sst"
        # In evaluation masks do nothing, so that those are not timed again.
        kept = SST_CONTENDERS if row["mode"] == "train" else {"cavs", "no dropout"}
        assert set(row["rates"]) == {*kept, "paper", "sgemm"}
        assert set(row["differences"]) == {*SST_CONTENDERS - {"cavs"}, "paper"}
        assert max(row["differences"].values()) < 1e-4
        for name, turns in row["turns"].items():
            assert len(turns) == row["rates"][name]["turns"]
    text = (tmp_path / "report.md").read_text()
    assert "Recipe sst: Adagrad, learning rate 0.05, 0.1 of the embedding, decay 0.0001" in text
    assert "`cavs bench tree-lstm " in text
    assert "--recipe sst" in done.stdout
    assert_drawn(tmp_path, "tree-lstm-sst", "tree-lstm-sst-overhead")


def test_rows_say_their_recipe_and_old_ones_are_plain(tmp_path: Path) -> None:
    bench("tree-gru", *TINY, "--batch-sizes", 1, "--modes", "infer", "--output", tmp_path)
    file = tmp_path / "tree-gru.json"
    result = json.loads(file.read_text())
    assert [row["recipe"] for row in result["rows"]] == ["plain"]
    text = (tmp_path / "report.md").read_text()
    assert "Recipe plain: Adagrad, learning rate 0.05, no decay, no dropout, loss the sum" in text
    for row in result["rows"]:
        del row["recipe"], row["turns"], row["left_out"]
    file.write_text(json.dumps(result))
    bench("--redraw", "--output", tmp_path)
    assert (tmp_path / "report.md").read_text() == text


@pytest.mark.parametrize("name", ["", "avx512"])
def test_recorded_results_are_read(name: str, tmp_path: Path) -> None:
    recorded = RESULTS / name
    for file in recorded.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_report(tmp_path)
    text, before = ((x / "report.md").read_text() for x in (tmp_path, recorded))
    for line in before.splitlines():
        if line.startswith("## "):
            assert line in text.splitlines()
    assert "| **" in text


def write_treebank(folder: Path) -> Path:
    """Two trees in each set of folder/sst."""
    (folder / "sst").mkdir()
    for name in ("train", "dev", "test"):
        (folder / "sst" / f"{name}.txt").write_text("(3 (2 so) (4 good))\n(1 bad)\n")
    return folder


def test_cavs_train_itself_is_timed_too(tmp_path: Path) -> None:
    options = ["--recipe", "sst", *TINY, "--batch-sizes", 2, "--modes", "train", "--rounds", 2]
    done = bench(
        "tree-lstm", *options, "--data", write_treebank(tmp_path), "--output", tmp_path / "out"
    )
    suite, command = rows_of(tmp_path / "out", "tree-lstm-sst")
    assert (suite["kind"], command["kind"]) == ("speed", "command")
    assert command["command"] == (
        "cavs train tree-lstm --epochs 2 --batch-size 2 --hidden-size 16 --data DIR/sst"
    )
    for key in ("recipe", "workload", "batch_size", "hidden_size", "threads", "mode", "unit"):
        assert command[key] == suite[key]
    assert len(command["turns"]["cavs train"]) == 2
    assert command["rates"]["cavs train"]["median"] > 0
    assert command["seconds"] > command["training_seconds"] > 0
    assert f"| `{command['command']}` | 1 |" in done.stdout
    assert command["data"] == suite["data"]  # said once


def test_the_recipe_is_what_cavs_train_does(tmp_path: Path) -> None:
    from cavs.bench.recipes import RECIPES
    from cavs.training import make_task

    data = write_treebank(tmp_path) / "sst"
    task, config = make_task("tree-lstm", {"data": str(data)})
    recipe = RECIPES["sst"]
    assert config.optimizer == "adagrad"
    assert (config.lr, config.embedding_lr) == (recipe.lr, recipe.embedding_lr)
    assert (config.weight_decay, config.embedding_weight_decay) == (recipe.weight_decay, 0.0)
    assert (config.clip_norm, config.lr_decay, config.lr_schedule) == (0.0, 1.0, "constant")
    assert task.arguments["dropout"] == recipe.dropout
    assert task.arguments["embedding_dropout"] == recipe.embedding_dropout
    workload = WORKLOADS["tree-lstm"]
    assert task.arguments["hidden_size"] == workload.hidden_sizes[0]
    assert task.arguments["embedding_size"] == 300
    part = make_plan(Request(("tree-lstm",), recipe="sst", threads=[1]))[0]
    assert config.batch_size == recipe.batch_size
    assert config.batch_size in part.specs[0].batch_sizes


def test_a_run_of_everything_begins_with_the_recipe() -> None:
    names = [part.name for part in make_plan(Request())]
    assert names[:2] == ["tree-lstm-sst", "tree-lstm"]
    assert len(set(names)) == len(names)
    assert [part.name for part in make_plan(Request(recipe="sst"))] == ["tree-lstm-sst"]
    assert [part.name for part in make_plan(Request(recipe="plain"))] == names[1:]
    assert [part.name for part in make_plan(Request(("tree-lstm",)))] == ["tree-lstm"]
    ablation = Request(("tree-lstm",), recipe="sst", passes="ablation")
    assert [part.name for part in make_plan(ablation)] == ["tree-lstm-sst-ablation"]


def test_threads_are_measured_beside_one(tmp_path: Path) -> None:
    options = [*TINY[:-1], 2, "--batch-sizes", 2, "--modes", "train"]
    done = bench("tree-gru", *options, "--output", tmp_path)
    (row,) = rows_of(tmp_path, "tree-gru")
    assert set(row["rates"]) == {"cavs", "paper", "one thread", "sgemm"}
    assert row["cavs_over"]["one thread"]["median"] > 0
    assert "| one thread |" in done.stdout


def test_each_pass_is_switched_off_and_on(tmp_path: Path) -> None:
    options = ["--passes", "ablation", "--modes", "train", "--batch-sizes", "2"]
    done = bench("tree-lstm", *TINY, *options, "--output", tmp_path)
    assert_drawn(tmp_path, "tree-lstm-ablation")
    (row,) = rows_of(tmp_path, "tree-lstm-ablation")
    singles = [f"{word} {name}" for word in ("without", "only") for name in PASSES]
    assert set(row["rates"]) == {"cavs", "paper", "sgemm", *singles}
    for name in PASSES:
        assert f"| only {name} |" in done.stdout


def test_cost_is_measured_over_vertices(tmp_path: Path) -> None:
    done = bench("linear-cost", *TINY, "--output", tmp_path)
    rows = rows_of(tmp_path, "linear-cost")
    assert [row["vertices"] for row in rows] == pytest.approx([1000, 10_000], rel=0.2)
    assert "us per vertex" in done.stdout
    assert_drawn(tmp_path, "linear-cost")


def assert_drawn(folder: Path, *names: str) -> None:
    """Where matplotlib is installed, `folder` has these pictures, and its report shows them."""
    drawn = names if util.find_spec("matplotlib") is not None else ()
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted(drawn)
    text = (folder / "report.md").read_text()
    for name in drawn:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"![{name}]({name}.png)" in text


def test_rates_are_drawn_against_sizes(tmp_path: Path) -> None:
    sizes = ["--batch-sizes", 1, 2, "--hidden-sizes", 8]
    done = bench("tree-gru", *TINY, *sizes, "--output", tmp_path)
    assert ("plots skipped" in done.stderr) == (util.find_spec("matplotlib") is None)
    assert_drawn(tmp_path, "tree-gru", "tree-gru-overhead")
    before = (tmp_path / "report.md").read_text()
    (tmp_path / "report.md").unlink()
    bench("--redraw", "--output", tmp_path)
    assert (tmp_path / "report.md").read_text() == before


def test_trees_of_several_sizes_are_drawn(tmp_path: Path) -> None:
    request = Request(("tree-fc",), threads=[1], modes=["train"], rounds=1, seconds=0, quick=True)
    (part,) = make_plan(request)
    specs = [replace(spec, leaves=(2, 5)) for spec in part.specs]
    write_part(tmp_path, run_part(Part(part.name, specs), "cavs bench", WORKER, {}))
    write_report(tmp_path)
    assert_drawn(tmp_path, "tree-fc")
    assert "| leaves | batch | mode |" in (tmp_path / "report.md").read_text()


def test_data_are_read_from_a_directory(tmp_path: Path) -> None:
    data = write_treebank(tmp_path)
    done = bench("tree-gru", *TINY, "--data", data, "--batch-sizes", 2, "--passes", "all")
    assert "SST, training set, 2 trees" in done.stdout
    assert "--data DIR" in done.stdout


def test_parts_of_a_folder_come_into_one_report(tmp_path: Path) -> None:
    for name in ("tree-gru", "tree-lstm"):
        bench(name, *TINY, "--batch-sizes", 1, "--modes", "infer", "--output", tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert text.index("## tree-lstm") < text.index("## tree-gru")


def test_what_users_get_wrong_is_one_line(tmp_path: Path) -> None:
    said = bench("tree-lstm", *TINY, "--data", tmp_path / "no", code=1).stderr
    assert said.startswith("cavs: [data] ")
    assert "expected a directory with train.txt" in said
    assert said.count("\n") == 1
    too_many = len(os.sched_getaffinity(0)) + 1
    said = bench("tree-lstm", "--quick", "--threads", too_many, code=1).stderr
    assert said.startswith("cavs: [bench] expected at most ")
    for name in ("tree-gru", "linear-cost"):
        said = bench(name, "--recipe", "sst", *TINY, code=1).stderr
        assert said.startswith(
            "cavs: [bench] expected a workload among ['tree-lstm'] with recipe sst, "
        )
    said = bench("--redraw", code=1).stderr
    assert said == (
        "cavs: [bench] expected --output DIR with --redraw, got none; name the folder of a run\n"
    )
    said = bench("--redraw", "--output", tmp_path, code=1).stderr
    assert said == (
        f"cavs: [bench] {tmp_path}: expected the JSON files of a run, got none; name the folder "
        "that --output wrote\n"
    )
    huge = ["--hidden-sizes", 3_000_000, "--batch-sizes", 1, "--modes", "infer"]
    said = bench("tree-fc", "--quick", *huge, code=1).stderr
    assert said.startswith("cavs: [bench] expected memory for tree-fc, got less from the system (")
    assert said.count("\n") == 1
    (tmp_path / "tree-lstm.json").write_text("{")
    said = bench("tree-gru", *TINY, "--output", tmp_path, code=1).stderr
    assert "tree-lstm.json: expected results of a run" in said.splitlines()[-1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs PYTHONSAFEPATH")
def test_modules_of_the_folder_where_the_user_stands_are_not_taken(tmp_path: Path) -> None:
    """The command does not take them, nor does the process that it starts to measure."""
    for name in ("numpy", "cavs"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('of the folder')\n")
    program = "import sys; sys.path.pop(0); sys.argv[0] = 'cavs'; from cavs.cli import main; main()"
    command = [sys.executable, "-c", program, "bench", "tree-fc", *TINY, "--modes", "infer"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "of the folder" not in done.stderr
    assert "## tree-fc" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tree"], "expected one of tree-lstm, .*, got 'tree'"),
        (["--threads", "0"], "expected an integer of at least 1"),
        (["--passes", "some"], ", got 'some'"),
        (["--recipe", "some"], ", got 'some'"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], message: str) -> None:
    said, usage = bench(*arguments, code=2).stderr.splitlines()
    assert usage.startswith("usage: cavs bench")
    assert re.search(message, said)
