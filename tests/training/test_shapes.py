"""Trees whose phrases have weights by their shape, in data, models and every command."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from user_model_files import run, write_small_data

import cavs
from cavs import models
from cavs.cli import main
from cavs.data import Vocabulary, parse_tree, tree_dataset
from cavs.errors import CheckpointError
from cavs.training import TrainingRun, load_checkpoint, make_task, save_checkpoint
from cavs.training.tasks import Trained

SMALL = ["--hidden-size", "5", "--embedding-size", "4", "--epochs", "2", "--quiet"]
WORDS = Vocabulary(["<unk>", "a", "b"], "<unk>")

brackets = st.recursive(
    st.sampled_from(["(1 a)", "(0 b)", "(2 c)"]),
    lambda below: st.lists(below, min_size=1, max_size=3).map(lambda x: f"(1 {' '.join(x)})"),
    max_leaves=12,
)


def sizes(text: str) -> tuple[list[str], int]:
    """The types of a tree's vertices in post-order, and their number, from its text."""
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(text[3:-1], 3):
        if letter == "(":
            begin, depth = (place if depth == 0 else begin), depth + 1
        elif letter == ")":
            depth -= 1
            if depth == 0:
                parts.append(sizes(text[begin : place + 1]))
    types = [kind for some, _ in parts for kind in some]
    kind = "leaf" if not parts else "left" if parts[0][1] >= parts[-1][1] else "right"
    return [*types, kind], len(types) + 1


@given(text=brackets)
def test_the_heavier_child_is_on_the_left_or_on_the_right(text: str) -> None:
    tree = parse_tree(text)
    dataset = tree_dataset([tree], WORDS, types="shape")
    (graph,) = dataset.graphs
    assert graph.types == sizes(text)[0]
    assert graph.children == tree.graph.children
    assert tree_dataset([tree], WORDS).graphs[0].types is None


@pytest.mark.parametrize(
    ("shaped", "plain"),
    [
        (models.ShapedTreeLSTM, models.ChildSumTreeLSTM),
        (models.ShapedNaryTreeLSTM, models.NaryTreeLSTM),
    ],
)
@given(texts=st.lists(brackets, min_size=1, max_size=3))
def test_with_equal_weights_it_is_the_model_without_types(
    shaped: type, plain: type, texts: list[str]
) -> None:
    options = {"arity": 3} if plain is models.NaryTreeLSTM else {}
    one = cavs.compile(plain(3, 4, 5, 3, **options), dtype="float64")
    other = cavs.compile(shaped(3, 4, 5, 3, **options), dtype="float64")
    state = one.state_dict()
    other.load_state_dict({name: state[name.split(".", 1)[1]] for name in other.state_dict()})
    trees = [parse_tree(text) for text in texts]
    found = []
    for model, types in ((one, "none"), (other, "shape")):
        batch, inputs = tree_dataset(trees, WORDS, types=types).batch(range(len(trees)))
        found.append(model(batch, **inputs))
    for name, values in found[0].items():
        np.testing.assert_allclose(values.numpy(), found[1][name].numpy(), rtol=1e-11, atol=1e-13)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("model", ["tree-lstm", "nary-tree-lstm"])
def test_all_uses_of_a_run(
    model: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    best = tmp_path / "best.safetensors"
    given = ["--types", "shape", "--data", data / "trees", *SMALL, "--output", tmp_path]
    run(capsys, "train", model, *given)
    checkpoint = load_checkpoint(best)
    assert checkpoint.config["types"] == "shape"
    assert {name.split(".")[0] for name in checkpoint.parameters} == {"leaf", "left", "right"}
    assert "root accuracy" in run(capsys, "evaluate", best)
    assert "root accuracy" in run(capsys, "evaluate", best, "--data", data / "trees" / "dev.txt")
    run(capsys, "train", model, "--resume", tmp_path / "last.safetensors", "--epochs", 3, "--quiet")
    text = b"(-1 (-1 so) (-1 (-1 very) (-1 good)))\n(-1 once)\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    rows = [json.loads(row) for row in run(capsys, "predict", best, "--json", "--all").splitlines()]
    assert [len(row["vertices"]) for row in rows] == [5, 1]


def test_other_models_of_trees_have_no_types(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "tree-gru", "--types", "shape"]) != 0
    assert "expected options of `cavs train tree-gru`, got --types shape" in capsys.readouterr().err


def test_a_run_without_types_is_as_before(data: Path) -> None:
    task, _ = make_task("tree-lstm", {"data": str(data / "trees")})
    assert "types" not in task.arguments


def test_types_that_a_checkpoint_invents(data: Path, tmp_path: Path) -> None:
    given = {"data": str(data / "trees"), "epochs": 1, "hidden_size": 4, "embedding_size": 3}
    task, config = make_task("tree-lstm", {**given, "types": "shape"})
    TrainingRun.start(tmp_path, task, config).fit()
    checkpoint = load_checkpoint(tmp_path / "best.safetensors")
    checkpoint.config["types"] = "colour"
    save_checkpoint(tmp_path / "other.safetensors", checkpoint)
    with pytest.raises(CheckpointError, match="expected types none or shape, got 'colour'"):
        Trained.load(tmp_path / "other.safetensors").model()


OWN = """
import cavs
from cavs.models import ShapedTreeLSTM


class Own(ShapedTreeLSTM):
    def __init__(self, types="none", **sizes):
        super().__init__(**sizes)
"""


def test_a_model_of_a_users(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    model, folder = f"{file}:Own", tmp_path / "run"
    given = ["--task", "trees", "--data", data / "trees", *SMALL, "--output", folder]
    run(capsys, "train", model, "--types", "shape", *given)
    assert "root" in run(capsys, "evaluate", folder / "best.safetensors", "--model", model)
    again = ["--resume", folder / "last.safetensors", "--epochs", "3", "--quiet"]
    run(capsys, "train", model, *again)
    said = run(capsys, "train", model, *given, "--overwrite", code=1)
    assert "expected a vertex function without types, as the task's graphs have none" in said
