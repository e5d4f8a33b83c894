"""``cavs train --config``: options from TOML, and from the metrics of an earlier run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from option_settings import words_of
from user_model_files import write_small_data

from cavs.cli import main

SMALL = """
num-train = 60  # with dashes or underscores
max_depth = 3
embedding-size = 6
hidden-size = 8
epochs = 1
"""
OWN = Path(__file__).resolve().parents[2] / "examples" / "own_model.py"


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def train(*words: Any, model: str = "tree-lstm", code: int = 0) -> None:
    assert main(["train", model, *map(str, words)]) == code


def test_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        f'model = "tree-lstm"\nlr = 0.1\nquiet = true\noutput = "{tmp_path}/a"\n{SMALL}'
    )
    train("--config", file, "--lr", "0.2", "--seed", "3")
    found = metrics(tmp_path / "a")
    assert (found["settings"]["lr"], found["settings"]["seed"]) == (0.2, 3)
    assert found["arguments"]["hidden_size"] == 8
    assert found["data"]["num_train"] == 60


@pytest.mark.parametrize(
    "special",
    [
        "--optimizer sgd --momentum 0.5",
        "--optimizer rmsprop",
        "--optimizer rmsprop --momentum 0.9 --alpha 0.9 --centered",
    ],
)
def test_a_run_is_repeated_from_its_metrics(tmp_path: Path, special: str) -> None:
    options = ["--num-train", "60", "--max-depth", "3", "--hidden-size", "8", "--epochs", "1"]
    train(*options, *special.split(), "--lr", "0.01", "--quiet", "--output", tmp_path / "a")
    train("--config", tmp_path / "a" / "metrics.json", "--quiet", "--output", tmp_path / "b")
    first, second = metrics(tmp_path / "a"), metrics(tmp_path / "b")
    for part in ("settings", "arguments", "data", "model"):
        assert first[part] == second[part]
    assert first["history"][0]["loss"] == second["history"][0]["loss"]
    train("--config", tmp_path / "a" / "metrics.json", "--lr", "0.02", "--output", tmp_path / "c")
    assert metrics(tmp_path / "c")["settings"]["lr"] == 0.02


@pytest.mark.parametrize(
    "special", [["--vectors", "V", "--freeze-embedding"], ["--embedding-std", "2"]]
)
def test_what_words_and_embedding_began_with_is_repeated_too(
    tmp_path: Path, special: list[str]
) -> None:
    data = write_small_data(tmp_path)
    (tmp_path / "V").write_text("so 1 2\nvery 3 4\n")
    words = [str(tmp_path / "V") if word == "V" else word for word in special]
    common = ["--data", data / "trees", "--min-count", "5", "--hidden-size", "3", "--epochs", "2"]
    train(*common, *words, "--quiet", "--output", tmp_path / "a")
    train("--config", tmp_path / "a" / "metrics.json", "--quiet", "--output", tmp_path / "b")
    first, second = metrics(tmp_path / "a"), metrics(tmp_path / "b")
    assert first["made_with"]["min_count"] == 5
    for part in ("settings", "arguments", "data", "made_with"):
        assert first[part] == second[part]
    losses = [[row["loss"] for row in found["history"]] for found in (first, second)]
    assert losses[0] == losses[1]
    del first["made_with"]  # as in older runs
    (tmp_path / "old.json").write_text(json.dumps(first))
    older = ["--config", tmp_path / "old.json", "--epochs", "1", "--quiet"]
    train(*older, "--output", tmp_path / "c")


def test_with_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.toml"
    file.write_text(SMALL)
    train("--config", file, "--quiet", "--output", tmp_path / "a")
    last = tmp_path / "a" / "last.safetensors"
    train("--config", file, "--resume", last, "--epochs", "2", "--quiet")
    assert len(metrics(tmp_path / "a")["history"]) == 2
    file.write_text(SMALL.replace("hidden-size = 8", "hidden-size = 9"))
    capsys.readouterr()
    train("--config", file, "--resume", last, "--epochs", "3", code=1)
    assert "expected hidden_size 8, as the run began, got 9" in capsys.readouterr().err
    train("--config", tmp_path / "a" / "metrics.json", "--resume", last, "--epochs", "3", "--quiet")
    assert len(metrics(tmp_path / "a")["history"]) == 3


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Maps names in options to the paths of trees, text, and vectors of two sizes."""
    write_small_data(tmp_path)
    (tmp_path / "two.txt").write_text("so 1 2\nb 3 4\n")
    (tmp_path / "three.txt").write_text("so 1 2 3\nb 3 4 5\n")
    return {name: str(tmp_path / name) for name in ("trees", "text", "two.txt", "three.txt")}


def filled(files: dict[str, str], options: dict[str, Any]) -> dict[str, Any]:
    return {name: files.get(value, value) for name, value in options.items()}


LISTOPS = {"num_train": 60, "max_depth": 3, "embedding_size": 6}
TREES, TEXT = {"data": "trees"}, {"data": "text", "batch_size": 4}
THREE = {"vectors": "three.txt"}


@pytest.mark.parametrize(
    ("model", "of_file", "given", "left_out"),
    [
        ("tree-lstm", {**TREES, "vectors": "two.txt"}, THREE, ""),
        ("parser", {**TREES, "vectors": "two.txt"}, THREE, ""),
        ("lm", {**TEXT, "vectors": "two.txt"}, THREE, ""),
        ("sentence-vae", {**TEXT, "vectors": "two.txt"}, THREE, ""),
        ("tree-lstm", {**TREES, "embedding_size": 2}, THREE, "embedding_size --vectors"),
        ("lm", {**TEXT, "embedding_size": 2}, THREE, "embedding_size --vectors"),
        ("tree-lstm", {**TREES, "embedding_std": 0.5}, THREE, "embedding_std --vectors"),
        (
            "tree-lstm",
            {**TREES, "vectors": "two.txt"},
            {"embedding_std": 0.5},
            "vectors --embedding-std",
        ),
        (
            "tree-lstm",
            {**LISTOPS, "optimizer": "sgd", "momentum": 0.5},
            {"optimizer": "adam"},
            "momentum --optimizer adam",
        ),
        (
            "lm",
            {**TEXT, "optimizer": "rmsprop", "lr": 0.01, "alpha": 0.5},
            {"optimizer": "sgd"},
            "alpha --optimizer sgd",
        ),
        (
            "tree-lstm",
            {**LISTOPS, "embedding_lr": 0.5},
            {"freeze_embedding": True},
            "embedding_lr --freeze-embedding",
        ),
        (
            "parser",
            {**TREES, "freeze_embedding": True},
            {"embedding_lr": 0.5},
            "freeze_embedding --embedding-lr",
        ),
        ("tree-lstm", {"num_train": 60}, TREES, "num_train --data"),
    ],
)
@pytest.mark.parametrize("kind", ["metrics", "TOML"])
def test_what_the_command_line_makes_void_is_left_out(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    model: str,
    of_file: dict[str, Any],
    given: dict[str, Any],
    left_out: str,
    kind: str,
) -> None:
    """And said to be."""
    options = {**filled(files, of_file), "hidden_size": 4, "epochs": 1}
    if kind == "metrics":
        file = tmp_path / "a" / "metrics.json"
        train(*words_of(options), "--quiet", "--output", file.parent, model=model)
    else:
        file = tmp_path / "a.toml"
        file.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in options.items()))
    capsys.readouterr()
    wins = filled(files, given)
    train("--config", file, *words_of(wins), "--output", tmp_path / "b", model=model)
    said = [x for x in capsys.readouterr().err.splitlines() if "left out" in x]
    name, _, beside = left_out.partition(" ")
    line = f"[train] {file}: {name} is left out: nothing reads it beside {beside}"
    assert said == ([line] if left_out else [])
    found = metrics(tmp_path / "b")
    known = {**found["data"], **found["arguments"], **found["made_with"], **found["settings"]}
    for option, value in wins.items():
        assert known["path" if option == "data" else option] == value
    if "vectors" in given:
        assert known["embedding_size"] == 3
    if name == "vectors":
        assert "vectors" not in known


@pytest.mark.parametrize(
    ("of_file", "given", "says", "flag"),
    [
        (
            {**TREES, "vectors": "two.txt"},
            {"embedding_size": 7},
            "expected --embedding-size 2, as the vectors of --vectors {two} have, got 7; leave one "
            "out",
            "--vectors",
        ),
        (
            {**LISTOPS, "optimizer": "adamw"},
            {"momentum": 0.5},
            "expected --momentum with --optimizer sgd or rmsprop only, got adamw; leave one out",
            "--optimizer",
        ),
        (
            TREES,
            {"num_train": 60},
            "expected --num-train without --data, since it is about ListOps, got both; leave one "
            "out",
            "--data",
        ),
        (
            {**TREES, "vectors": "two.txt"},
            {"init": "A"},
            "expected --init without --vectors, since both say what the embedding begins with, got "
            "both; leave one out",
            "--vectors",
        ),
    ],
)
def test_what_contradicts_a_file_is_said_of_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    of_file: dict[str, Any],
    given: dict[str, Any],
    says: str,
    flag: str,
) -> None:
    options = {**filled(files, of_file), "hidden_size": 4, "epochs": 1}
    train(*words_of(options), "--quiet", "--output", tmp_path / "a")
    file = tmp_path / "a" / "metrics.json"
    files["A"] = str(tmp_path / "a" / "best.safetensors")
    capsys.readouterr()
    more = words_of(filled(files, given))
    train("--config", file, *more, "--quiet", "--output", tmp_path / "b", code=1)
    wanted = f"cavs: [train] {says.format(two=files['two.txt'])} ({flag} is of {file})\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.parametrize("own", [False, True], ids=["built-in", "own"])
def test_two_options_of_a_file_that_contradict_each_other_are_both_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], own: bool
) -> None:
    file = tmp_path / "run.toml"
    vectors = {"vectors": files["two.txt"], **({} if own else {"embedding_size": 7})}
    options = {"data": files["trees"], "epochs": 1, **vectors}
    file.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in options.items()))
    more = ["--task", "trees", "--embedding-size", "7"] if own else []
    model = f"{OWN}:AttentiveTree" if own else "tree-lstm"
    train("--config", file, *more, "--output", tmp_path / "b", model=model, code=1)
    named = "--vectors is of" if own else "--vectors, --embedding-size are of"
    assert capsys.readouterr().err.endswith(f"({named} {file})\n")


@pytest.mark.parametrize(
    ("option", "other", "found"),
    [
        ("seed = 3", "seed = 4", "seed 3"),
        ("lr = 0.5", "lr = 0.25", "lr 0.5"),
        ("optimizer = 'sgd'", "optimizer = 'adam'", "optimizer 'sgd'"),
        ("batch-size = 20", "batch-size = 30", "batch_size 20"),
        ("", "data = 'trees'", "--data None"),
    ],
)
def test_what_a_run_did_not_begin_with_is_said_of_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, other: str, found: str
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(f"{SMALL}{option}\n")
    train("--config", file, "--quiet", "--output", tmp_path / "a")
    file.write_text(f"{other}\n")
    capsys.readouterr()
    train("--config", file, "--resume", tmp_path / "a" / "last.safetensors", code=1)
    said = capsys.readouterr().err
    assert f"expected {found}, as the run began, got" in said
    flag = other.partition(" ")[0]
    assert said.endswith(f"(--{flag} is of {file})\n")


def test_a_folder_with_a_run_is_said_of_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(f"output = '{tmp_path}/a'\n{SMALL}")
    train("--config", file, "--quiet")
    capsys.readouterr()
    train("--config", file, code=1)
    said = capsys.readouterr().err
    assert "expected a directory without a run, got" in said
    assert said.endswith(f"or choose another --output (--output is of {file})\n")


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_an_option_that_is_ignored_is_said_even_where_little_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: list[str]
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(f"optimizer = 'sgd'\nmomentum = 0.5\n{SMALL}")
    train("--config", file, "--optimizer", "adam", *quiet, "--output", tmp_path / "a")
    said = capsys.readouterr().err
    assert f"{file}: momentum is left out: nothing reads it beside --optimizer adam\n" in said


def test_a_run_that_goes_on_has_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`init` of its file is of its beginning."""
    file = tmp_path / "run.toml"
    file.write_text(SMALL)
    train("--config", file, "--quiet", "--output", tmp_path / "a")
    file.write_text(f"init = '{tmp_path}/a/best.safetensors'\n{SMALL}")
    train("--config", file, "--quiet", "--output", tmp_path / "b")
    capsys.readouterr()
    train("--config", file, "--resume", tmp_path / "b" / "last.safetensors", "--epochs", "2")
    said = capsys.readouterr().err
    assert said == f"[train] {file}: init is left out: nothing reads it beside --resume\n"
    assert len(metrics(tmp_path / "b")["history"]) == 2


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    model, file = f"{OWN}:AttentiveTree", tmp_path / "run.toml"
    file.write_text(f'task = "trees"\nquiet = true\n{SMALL}[arg]\nsharpness = 2\n')
    train("--config", file, "--output", tmp_path / "a", model=model)
    assert metrics(tmp_path / "a")["user_model"]["args"] == {"sharpness": "2"}
    train("--config", file, "--arg", "sharpness=3", "--output", tmp_path / "b", model=model)
    assert metrics(tmp_path / "b")["user_model"]["args"] == {"sharpness": "3"}
    again = ["--config", tmp_path / "b" / "metrics.json", "--quiet", "--output", tmp_path / "c"]
    train(*again, model=model)
    assert metrics(tmp_path / "c")["user_model"]["args"] == {"sharpness": "3"}
    last = tmp_path / "c" / "last.safetensors"
    train("--config", file, "--arg", "sharpness=3", "--resume", last, "--epochs", "2", model=model)
    assert len(metrics(tmp_path / "c")["history"]) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr = ", "expected TOML"),
        ("{", "expected JSON"),
        ('{"lr": 1e999}', "expected a number above 0"),
        ("learning-rate = 1", "expected options of tree-lstm, got 'learning-rate'"),
        ("arity = 2", "expected options of tree-lstm, got 'arity'"),
        ("[training]\nlr = 1", "expected options of tree-lstm, got 'training'"),
        ("lr = 'much'", "expected a number above 0 as lr, got 'much'"),
        ("hidden-size = 0", "expected an integer of at least 1 as hidden_size, got 0"),
        ("epochs = true", "as epochs, got true; correct it"),
        ("lr = false", "expected a number above 0 as lr, got false; correct it"),
        ("quiet = 1", "expected true or false as quiet, got 1"),
        ("overwrite = 'no'", "expected true or false as overwrite, got 'no'; correct it"),
        ("freeze-embedding = 'yes'", "expected true or false as freeze_embedding, got 'yes'"),
        ('{"settings": {}, "history": [], "model": "tree-lstm"}', "as arguments, got null; corr"),
        (
            '{"arguments": {}, "data": {}, "settings": {"freeze_embedding": 1}, "history": [], '
            '"model": "tree-lstm"}',
            "expected true or false as freeze_embedding, got 1; correct it",
        ),
        ("threads = 0", "as threads, got 0"),
        ("output = 3", "expected a path as output, got 3"),
        ("lr = 1\nl-r = 2", "expected options"),
        ("hidden-size = 8\nhidden_size = 9", "expected hidden_size once"),
        ("model = 'lm'", "expected options of tree-lstm, got those of 'lm'"),
        ("task = 'trees'", "expected options of tree-lstm, got 'task'"),
        ("momentum = 0.5", "--momentum"),  # without --optimizer sgd, as on the command line
        ('{"settings": 3, "history": [], "model": "tree-lstm"}', "expected a dictionary as"),
        ('{"settings": {}, "history": [], "model": "lm"}', "got those of 'lm'"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    train("--config", file, "--output", tmp_path / "a", code=1)
    said = capsys.readouterr().err
    assert said.startswith("cavs: [train] ")
    assert said.count("\n") == 1
    assert says in said
    assert not (tmp_path / "a").exists()


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (binary := tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with (huge := tmp_path / "huge.toml").open("wb") as file:
        file.truncate(1 << 30)  # of which nothing is on the disk, nor is it read
    for path in (tmp_path, tmp_path / "none.toml", binary, huge, Path("/dev/zero")):
        for model in ("tree-lstm", f"{OWN}:AttentiveTree"):
            train("--config", path, model=model, code=1)
            said = capsys.readouterr().err
            assert "expected a file of options, got" in said
            assert said.count("\n") == 1
