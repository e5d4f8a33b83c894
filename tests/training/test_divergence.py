"""A run whose loss grows, or is no longer finite, says so in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from user_model_files import write_digits

from cavs.cli import main
from cavs.errors import CheckpointError
from cavs.training import TrainingConfig, TrainingRun, TreeSource, TreeTask, load_checkpoint
from cavs.training._fields import Fields
from cavs.training.divergence import Divergence

HUGE = ["--lr", "1e6", "--epochs", "2", "--quiet", "--batch-size", "4"]
SIZES = {"embedding_size": 6, "hidden_size": 8}
TREES = ["--num-train", "60", "--max-depth", "3", "--embedding-size", "6", "--hidden-size", "8"]


def _tree(rng: np.random.Generator, depth: int) -> str:
    """A binary tree of random shape, labels and words."""
    if depth == 0 or rng.random() < 0.2:
        return f"({rng.integers(5)} w{rng.integers(9)})"
    return f"({rng.integers(5)} {_tree(rng, depth - 1)} {_tree(rng, depth - 1)})"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    splits = {name: rng.integers(0, 2, (n, 784)) for name, n in (("train", 60), ("valid", 10))}
    splits["test"] = splits["valid"]
    path = folder / "digits.npz"
    np.savez(path, **{k: np.packbits(x.astype(np.uint8), axis=1) for k, x in splits.items()})
    for name in ("train", "valid", "test"):
        (folder / f"{name}.txt").write_text("a b c\nb a\nc b a c\n" * 10)
    trees = folder / "trees"
    trees.mkdir()
    lines = "".join(_tree(rng, 5) + "\n" for _ in range(24))
    for name in ("train", "dev", "test"):
        (trees / f"{name}.txt").write_text(lines)
    tags = folder / "tags.txt"
    tagged = [[f"w{rng.integers(99)}|{'XY'[rng.integers(2)]}" for _ in range(9)] for _ in range(60)]
    tags.write_text("".join(" ".join(words) + "\n" for words in tagged))
    few = ["--data", str(path), "--dev-samples", "2", "--test-samples", "2", "--hidden-size", "8"]
    return {
        "images": few,
        "densities": [*few[:2], *few[-2:]],
        "convolutions": [*few[:2], "--channels", "4", "--num-layers", "1"],
        "codes": [*few[:2], "--hidden-sizes", "8", "--code-size", "3"],
        "digits": ["--data", str(write_digits(folder / "digits.csv", 60)), "--num-layers", "2"],
        "text": ["--data", str(folder), "--hidden-size", "8"],
        "trees": ["--data", str(trees)],
        "tags": ["--data", str(tags)],
        "generated": TREES,
    }


@pytest.mark.parametrize(
    ("model", "kind", "more"),
    [
        *[(m, "generated", []) for m in ("tree-lstm", "nary-tree-lstm", "tree-gru")],
        ("tree-fc", "trees", ["--hidden-size", "8"]),
        *[
            ("tree-lstm", "generated", ["--optimizer", name])
            for name in ("sgd", "adam", "adamw", "rmsprop")
        ],
        *[(m, "images", []) for m in ("vae", "iwae", "sbn")],
        *[(m, "densities", []) for m in ("nade", "made")],
        ("pixelcnn", "convolutions", []),
        ("autoencoder", "codes", []),
        ("flow", "digits", []),
        ("lm", "text", ["--length", "5", "--clip-norm", "0"]),
        ("sentence-vae", "text", []),
        ("tree-vae", "generated", ["--latent-size", "2"]),
        ("parser", "trees", []),
        ("seq2seq", "text", []),
        ("tagger", "tags", ["--clip-norm", "0"]),
    ],
)
def test_every_task_says_that_it_diverges(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    data: dict[str, list[str]],
    model: str,
    kind: str,
    more: list[str],
) -> None:
    given = [x for x in data[kind] if model != "tree-vae" or x not in ("--embedding-size", "6")]
    code = main(["train", model, *HUGE, *given, *more, "--output", str(tmp_path / "run")])
    said = capsys.readouterr().err.splitlines()
    lines = [line for line in said if "diverges" in line or "[nonfinite]" in line]
    assert len(lines) == 1, said
    assert re.search(r"step \d+ \(epoch 1|after epoch 1:", lines[0])
    assert re.search(r"smaller --lr, or a --clip-norm|learning rate or clip gradients", lines[0])
    assert code in (0, 1)
    if code == 0:
        history = json.loads((tmp_path / "run" / "metrics.json").read_text())["history"]
        assert history[0]["diverged"]["loss"] > 10 * history[0]["diverged"]["began"]
        assert "diverged" not in history[1]


def test_a_run_that_learns_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "tree-lstm", *TREES, "--epochs", "2", "--output", str(tmp_path)]) == 0
    assert "diverges" not in capsys.readouterr().err
    assert "diverged" not in json.loads((tmp_path / "metrics.json").read_text())["history"][0]


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        ([2.0, 1.0, 0.5], None),
        ([2.0, 21.0, 22.1, 50.0], 3),
        ([0.01, 5.0, 10.0, 10.1], 4),
        ([-50.0, 400.0, 451.0], 3),  # a negative log density
        ([-50.0, -500.0], None),
    ],
)
def test_far_above_the_beginning(losses: list[float], step: int | None) -> None:
    divergence = Divergence()
    for number, loss in enumerate(losses, 1):
        divergence.note(number, loss)
    found = divergence.found
    assert (found and found["step"]) == step
    if found is not None:
        assert found == {"step": step, "loss": losses[found["step"] - 1], "began": losses[0]}
    state = json.loads(json.dumps({"divergence": divergence.state_dict()}))
    again = Divergence.read(Fields("file", "progress", state))
    assert again.state_dict() == divergence.state_dict()
    assert Divergence.read(Fields("file", "progress", {})).began is None


def test_a_run_goes_on_with_the_beginning_that_it_had(tmp_path: Path) -> None:
    task = TreeTask.create("tree-lstm", TreeSource(num_train=60, max_depth=3), **SIZES)
    run = TrainingRun.start(tmp_path, task, TrainingConfig(epochs=1, lr=1e6))
    run.fit()
    checkpoint = load_checkpoint(tmp_path / "last.safetensors")
    state = checkpoint.training["progress"]["divergence"]
    assert state["found"] == run.trainer.history[0]["diverged"]
    for wrong in ({"began": "x"}, {"began": 1.0, "found": {"step": 0}}, 3, {"found": []}):
        checkpoint.training["progress"]["divergence"] = wrong
        with pytest.raises(CheckpointError, match="divergence"):
            run.trainer.restore("file", checkpoint)
    bad: Any = checkpoint.training["progress"]
    bad["divergence"] = state
    bad["history"][0]["diverged"] = {"step": 1.5}
    with pytest.raises(CheckpointError, match="diverged"):
        run.trainer.restore("file", checkpoint)
