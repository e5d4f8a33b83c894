"""The autoencoder of expressions as the command line trains it."""

from pathlib import Path
from typing import Any

import pytest
from resumed_runs import assert_same_run, left_and_resumed

from cavs.cli import main
from cavs.errors import InputError
from cavs.models import TreeVAE
from cavs.training import (
    ExpressionSource,
    ExpressionTask,
    TrainingConfig,
    TrainingRun,
)
from cavs.training.embedding import embedding_parameters

SIZES = {"embedding_size": 8, "hidden_size": 24, "latent_size": 4}


def start(directory: Path, **changes: Any) -> TrainingRun:
    source = ExpressionSource(num_train=300, max_depth=3, kl_steps=20)
    task = ExpressionTask.create("tree-vae", source, **SIZES)
    settings = {"epochs": 4, "batch_size": 20, "optimizer": "adam", "lr": 0.01}
    config = TrainingConfig(**{**settings, "weight_decay": 0.0, "embedding_lr": 0.01, **changes})
    return TrainingRun.start(directory, task, config)


def test_it_learns_and_makes_up_expressions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(tmp_path)
    assert run.fit()
    history, test = run.trainer.history, run.test
    assert test is not None
    assert history[-1]["dev"]["nats"] < 0.9 * history[0]["loss"]
    assert test["complete"] > 0.8
    assert "made up: depth" in run.task.summary(history[-1], test)
    file = str(tmp_path / "best.safetensors")
    assert main(["sample", file, "-n", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert any(line.startswith("[") for line in lines)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    assert whole.fit()
    parts = start(tmp_path / "parts")
    resumed = left_and_resumed(parts, 20)
    assert_same_run(resumed, whole)


def test_the_embedding_is_those_of_both_functions() -> None:
    names = [name for name, _ in embedding_parameters(TreeVAE(3, 2, 4, 4, 2))]
    assert names == [
        "encoder.phrase.embedding.weight",
        "decoder.leaf.embedding.weight",
        "decoder.phrase.embedding.weight",
    ]


OWN = """
import cavs
from cavs.models import TreeVAE


class Other(cavs.VertexProgram):
    def __init__(self, latent_size, **sizes):
        whole = TreeVAE(latent_size=latent_size, **sizes)
        super().__init__({"encoder": self.encode(whole.encoder), "decoder": whole.decoder})
        self.latent_size, self.posterior = latent_size, whole.posterior


class Chars(Other):
    def encode(self, encoder):
        types = encoder.functions()
        return cavs.TypedFunction({"word": types["leaf"], **types})


class Plain(Other):
    def encode(self, encoder):
        return cavs.models.SentenceVAE(3, 3, 3, 3).encoder
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Chars", "Chars, encoder: expected the types leaf, phrase, got word, leaf, phrase; call"),
        ("Plain", "Plain, encoder: expected a cavs.TypedFunction of leaf, phrase, got a "),
    ],
)
def test_functions_of_a_users_program_have_the_types_of_the_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    small = ["--num-train", "30", "--max-depth", "3", "--epochs", "1", "--hidden-size", "4"]
    given = ["--task", "expressions", *small, "--output", str(tmp_path / name)]
    assert main(["train", f"{tmp_path / 'own.py'}:{name}", *given]) != 0
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"), [("num_train", 0), ("max_depth", 1), ("kl_weight", -1.0), ("kl_steps", -1)]
)
def test_settings_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"\[train\] expected {name} of at least"):
        ExpressionSource(**{name: value})
