"""The command as users run it: in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cavs.training import load_checkpoint

COMMAND = [sys.executable, "-m", "cavs"]
TINY = ["--num-train", "60", "--max-depth", "3", "--embedding-size", "6", "--hidden-size", "8"]
TREES = {
    "train": ["(3 (2 It) (4 (2 's) (4 lovely)))", "(1 (1 bad) (2 film))", "(2 so)", "(0 awful)"],
    "dev": ["(3 (2 It) (4 good))", "(1 bad)"],
    "test": ["(4 lovely)", "(1 (2 a) (1 (1 bad) (2 film)))", "(2 x)"],
}

Done = subprocess.CompletedProcess[str]


def cavs(*arguments: Any, stdin: str = "", code: int | None = 0, **options: Any) -> Done:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **options,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert code is None or done.returncode == code, (done.stdout, done.stderr)
    return done


def refused(*arguments: Any, **options: Any) -> str:
    """The one line that a command says on its way out with exit code 1."""
    done = cavs(*arguments, code=1, **options)
    assert done.stderr.startswith("cavs: [")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_treebank(tmp_path_factory.mktemp("treebank"))


def write_treebank(directory: Path, **changes: list[str]) -> Path:
    for name, lines in {**TREES, **changes}.items():
        (directory / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    return directory


@pytest.fixture(scope="module")
def listops_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("listops") / "run"
    done = cavs("train", "tree-lstm", *TINY, "--epochs", 2, "--output", directory)
    assert re.search(
        r"^epoch   2/2  loss +\d+\.\d{4}  dev root +[\d.]+ %", done.stdout, re.MULTILINE
    )
    assert "trees/s" in done.stdout
    assert done.stderr == ""
    return directory


@pytest.fixture(scope="module")
def treebank_run(tmp_path_factory: pytest.TempPathFactory, treebank: Path) -> Path:
    directory = tmp_path_factory.mktemp("sst") / "run"
    sizes = ["--embedding-size", 5, "--hidden-size", 4]
    cavs("train", "tree-lstm", "--data", treebank, *sizes, "--epochs", 2, "--output", directory)
    return directory


def test_training_leaves_checkpoints_and_metrics(listops_run: Path) -> None:
    names = sorted(path.name for path in listops_run.iterdir())
    assert names == ["best.safetensors", "last.safetensors", "metrics.json"]
    metrics = json.loads((listops_run / "metrics.json").read_text())
    assert [row["epoch"] for row in metrics["history"]] == [1, 2]
    assert metrics["model"] == "tree-lstm"
    assert metrics["settings"]["seed"] == 0
    assert metrics["data"]["trees"] == {"train": 60, "dev": 1000, "test": 1000}
    assert metrics["test"]["graphs"] == 1000
    assert {"version", "threads", "best", "arguments"} <= metrics.keys()


def test_evaluation_agrees_with_training(listops_run: Path) -> None:
    metrics = json.loads((listops_run / "metrics.json").read_text())
    done = cavs("evaluate", listops_run / "best.safetensors", "--json")
    assert json.loads(done.stdout) == metrics["test"]
    text = cavs("evaluate", listops_run / "best.safetensors", "--split", "dev").stdout
    assert f"{100 * metrics['best']['dev']['root_accuracy']:.2f} %" in text
    said = refused("evaluate", listops_run / "best.safetensors", "--test-images", "9")
    assert "[evaluate] expected --test-images for images only, got it for tree-lstm" in said


def test_a_treebank_is_trained_on_and_predicted(treebank_run: Path, treebank: Path) -> None:
    best = treebank_run / "best.safetensors"
    done = cavs("evaluate", best, "--data", treebank)
    assert "test set of treebank" in done.stdout
    assert "3 trees, 7 labelled vertices" in done.stdout
    one_file = cavs("evaluate", best, "--data", treebank / "dev.txt")
    assert "2 trees, 4 labelled vertices" in one_file.stdout
    lines = cavs("predict", best, stdin="(-1 lovely)\n\n(1 (4 bad) (-1 never-seen))\n").stdout
    assert re.fullmatch(r"[0-4]\n[0-4]\n", lines)


def test_trees_are_predicted_one_a_line(listops_run: Path) -> None:
    best = listops_run / "best.safetensors"
    text = "[MAX 2 9 [MIN 4 7 ] 0 ]\n(-1 MIN (-1 3) (-1 4))\n"
    labels = cavs("predict", best, stdin=text).stdout.splitlines()
    assert len(labels) == 2
    assert set(labels) <= set("0123456789")
    one_by_one = cavs("predict", best, "--batch-size", 1, stdin=text).stdout.splitlines()
    assert one_by_one == labels
    trees = cavs("predict", best, "--all", stdin=text).stdout.splitlines()
    assert [tree[1] for tree in trees] == labels
    assert re.fullmatch(r"\(\d MIN \(\d 3\) \(\d 4\)\)", trees[1])


def test_trees_before_a_bad_line_are_predicted(listops_run: Path) -> None:
    text = "(-1 3)\n(-1 (-1 3)\n(-1 4)\n"
    done = cavs("predict", listops_run / "best.safetensors", stdin=text, code=1)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.startswith(
        "cavs: [data] standard input, line 2, column 1: expected ')' for each"
    )


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        ("", "expected trees such as .*, one on a line, got none"),
        ("good film\n", r"line 1, column 1: expected a tree that begins with '\('"),
        (
            "(so good)\n",
            "expected an integer label after '\\(', got 'so'; write -1 where there is no",
        ),
        ("(a (fine film))\n", "got 'a'; write -1 where there is no label"),
        ("((-1 a) (-1 b))\n", "got none; write -1 where there is no label"),
        ("(1 a))\n", "expected the end of the line after the tree"),
        ("[MAX 1 2\n", "expected ']' for each"),
    ],
)
def test_input_that_is_no_tree_is_refused(listops_run: Path, stdin: str, message: str) -> None:
    said = refused("predict", listops_run / "best.safetensors", stdin=stdin)
    assert re.search(message, said)


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("train", ["(2 so)", "(3 (2 a) (2 b)"], r"train.txt, line 2, column 1: .*not closed"),
        ("dev", ["(5 so)"], r"dev.txt, line 1, column 1: expected a label in \[0, 5\), got 5"),
        ("test", [], r"test.txt: expected trees in brackets, one on a line, got an empty file"),
    ],
)
def test_bad_treebanks_are_refused(
    tmp_path: Path, name: str, lines: list[str], message: str
) -> None:
    write_treebank(tmp_path, **{name: lines})
    said = refused("train", "tree-lstm", "--data", tmp_path, "--output", tmp_path / "run")
    assert re.search(message, said)
    assert not (tmp_path / "run").exists()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    said = refused("train", "tree-lstm", "--data", tmp_path / "no")
    assert f"{tmp_path / 'no'}: expected a directory with train.txt" in said


def test_bad_checkpoints_are_refused(listops_run: Path, treebank: Path, tmp_path: Path) -> None:
    best = listops_run / "best.safetensors"
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(best.read_bytes()[:-100])
    for command in (["evaluate", cut], ["predict", cut], ["train", "tree-lstm", "--resume", cut]):
        assert "it is truncated, damaged or a file of another kind" in refused(*command)
    assert "a file of another kind" in refused("evaluate", treebank / "train.txt")
    assert "got no such file" in refused("evaluate", tmp_path / "no.safetensors")
    assert "take last.safetensors" in refused("train", "tree-lstm", "--resume", best)
    said = refused("evaluate", best, "--data", treebank)
    assert "expected 10 classes, as the checkpoint has, got 5" in said


def test_a_mismatch_with_the_checkpoint_is_named(listops_run: Path) -> None:
    last = listops_run / "last.safetensors"
    said = refused("train", "tree-lstm", "--resume", last, "--hidden-size", 9)
    assert "expected hidden_size 8, as the run began, got 9" in said
    said = refused("train", "tree-gru", "--resume", last)
    assert "expected model 'tree-lstm', as the run began, got 'tree-gru'" in said


def test_a_run_is_not_overwritten_unasked(listops_run: Path) -> None:
    said = refused("train", "tree-lstm", *TINY, "--output", listops_run)
    assert "--resume" in said
    assert "--overwrite" in said


def test_runs_without_a_directory_are_numbered(tmp_path: Path) -> None:
    for _ in range(2):
        cavs("train", "tree-lstm", *TINY, "--epochs", 1, "--quiet", cwd=tmp_path)
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["tree-lstm-listops", "tree-lstm-listops-2"]


def test_a_loss_that_is_not_finite_ends_training(tmp_path: Path) -> None:
    rates = ["--optimizer", "sgd", "--lr", "1e38", "--embedding-lr", "1e38"]
    output = ["--output", tmp_path / "run"]
    said = refused("train", "tree-lstm", *TINY, *rates, *output)
    assert re.search(r"\[train\] in step \d+ \(epoch 1, batch \d+\): \[nonfinite\] ", said)
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_a_file_where_a_directory_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = cavs("train", "tree-lstm", *TINY, "--output", tmp_path / "file" / "run", code=1)
    place = f"{tmp_path / 'file' / 'run'}: expected a place to read from or write to"
    assert done.stderr == f"cavs: [cavs] {place}, got: Not a directory; check the path\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["train", "transformer"],
        ["train", "tree-lstm", "--epochs", "0"],
        ["train", "tree-lstm", "--dropout", "1"],
        ["train", "tree-lstm", "--lr", "nan"],
        ["train", "tree-lstm", "--batch-size", "many"],
        ["draw"],
    ],
)
def test_wrong_usage_is_explained(arguments: list[str]) -> None:
    done = cavs(*arguments, code=2)
    message, usage = done.stderr.splitlines()
    assert message.startswith("cavs: ")
    assert usage.startswith("usage: cavs")


def test_version_and_info_are_said() -> None:
    assert re.fullmatch(r"cavs \d+\.\d+\.\d+\n", cavs("--version").stdout)
    printed = cavs("info").stdout
    assert re.search(r"^instruction set +(avx512|avx2|generic)$", printed, re.MULTILINE)
    assert re.search(r"^groups +(compiled|interpreted)$", printed, re.MULTILINE)


def test_a_reader_that_leaves_is_no_error(listops_run: Path) -> None:
    command = [*COMMAND, "predict", str(listops_run / "best.safetensors"), "--batch-size", "1"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    try:
        process.stdin.write(b"(-1 3)\n" * 1000)
        process.stdin.close()
    except BrokenPipeError:
        pass
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


def wait_for_epoch(process: subprocess.Popen[str], epoch: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"epoch {epoch:>3}"):
            return
    raise AssertionError("the run ended before")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_goes_on_after_ctrl_c_as_if_nothing_had_been(
    tmp_path: Path, number: signal.Signals
) -> None:
    arguments = ["train", "tree-lstm", *TINY, "--dropout", "0.2", "--epochs", "12"]
    arguments += ["--num-train", "600", "--batch-size", "5", "--patience", "0"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    cavs(*arguments, "--output", whole)
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--output", str(parts)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    wait_for_epoch(process, 2)
    time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    last = parts / "last.safetensors"
    assert f"go on with: cavs train tree-lstm --resume {last}" in said
    assert "Traceback" not in said
    assert not [path for path in parts.iterdir() if path.suffix == ".tmp"]
    cavs("train", "tree-lstm", "--resume", last)
    for name in ("last.safetensors", "best.safetensors"):
        one, other = load_checkpoint(whole / name), load_checkpoint(parts / name)
        for attribute in ("parameters", "optimizer", "best"):
            mine, theirs = getattr(one, attribute), getattr(other, attribute)
            assert {k: v.tobytes() for k, v in mine.items()} == {
                k: v.tobytes() for k, v in theirs.items()
            }
    one, other = (json.loads((d / "metrics.json").read_text()) for d in (whole, parts))
    assert one["test"] == other["test"]
    assert [(r["loss"], r["dev"]) for r in one["history"]] == [
        (r["loss"], r["dev"]) for r in other["history"]
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_the_caller_ignores_stops_no_run(
    tmp_path: Path, number: signal.Signals
) -> None:
    """As nohup ignores one, and a shell for work in the background another."""
    arguments = ["train", "tree-lstm", *TINY, "--epochs", "6", "--output", str(tmp_path / "run")]
    ignoring = (
        "import os, signal, sys; signal.signal(int(sys.argv[1]), signal.SIG_IGN); "
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", ignoring, str(int(number)), *COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    wait_for_epoch(process, 2)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (0, "")


def test_a_run_that_nobody_hears_saves_as_well(tmp_path: Path) -> None:
    """Its terminal has gone: the line about stopping cannot be written."""
    arguments = ["train", "tree-lstm", *TINY, "--epochs", "200", "--output", str(tmp_path / "run")]
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--patience", "0"],
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    os.close(writing)
    wait_for_epoch(process, 2)
    os.close(reading)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 1
    progress = load_checkpoint(tmp_path / "run" / "last.safetensors").training["progress"]
    assert progress["batch"] > 0 or len(progress["history"]) >= 2
    assert (tmp_path / "run" / "metrics.json").exists()


def test_predictions_as_json(listops_run: Path) -> None:
    text = "[MAX 2 9 [MIN 4 7 ] 0 ]\n\n(-1 MIN (-1 3) (-1 4))\n"
    best = listops_run / "best.safetensors"
    labels = cavs("predict", best, stdin=text).stdout.splitlines()
    rows = [
        json.loads(line) for line in cavs("predict", best, "--json", stdin=text).stdout.splitlines()
    ]
    assert [str(row["label"]) for row in rows] == labels
    for row in rows:
        assert set(row) == {"label", "probabilities"}
        assert len(row["probabilities"]) == 10
        assert abs(sum(row["probabilities"]) - 1) < 1e-5
        assert row["probabilities"][row["label"]] == max(row["probabilities"])
    done = cavs("predict", best, "--json", "--all", "--batch-size", 1, stdin=text)
    trees = cavs("predict", best, "--all", stdin=text).stdout.splitlines()
    for line, row, tree in zip(done.stdout.splitlines(), rows, trees, strict=True):
        found = json.loads(line)
        assert set(found) == {"label", "probabilities", "tree", "vertices"}
        assert found["label"] == row["label"]
        assert found["tree"] == tree
        own = [int(label) for label in re.findall(r"\((\d)", tree)]
        assert sorted(x["label"] for x in found["vertices"]) == sorted(own)
        assert found["vertices"][-1] == {k: found[k] for k in ("label", "probabilities")}
    bad = cavs("predict", best, "--json", stdin="(-1 3)\n(-1 (\n", code=1)
    assert len(bad.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["draw", "foo"], r"argument model: expected one of .*tree-lstm.*, got 'foo'$"),
        (["foo"], r"argument command: expected one of .*train.*, got 'foo'$"),
        ([], r"expected command, got none$"),
        (["evaluate"], r"expected \S+, got none$"),
        (["train", "transformer_xl"], r"got 'transformer_xl'; transformer-xl is near$"),
        (
            ["train", "transformer-xl", "--heads", "4"],
            r"expected options of `cavs train transformer-xl`, got --heads 4; --num-heads is near$",
        ),
        (
            ["evaluate", "a", "--memory", "4"],
            r"options of `cavs evaluate`, got --memory 4; leave it",
        ),
    ],
)
def test_what_argparse_refuses_is_said_as_all_errors(arguments: list[str], said: str) -> None:
    message, usage = cavs(*arguments, code=2).stderr.splitlines()
    assert re.search(said, message), message
    assert usage.startswith("usage: cavs")
