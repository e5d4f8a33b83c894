"""A language model of a user whose loss needs only some of its pulls, in every use."""

from pathlib import Path

import pytest
from user_model_files import run, write_small_data

from cavs.training import TrainingRun, load_user_model, make_task

BIGRAM = """
import cavs
from cavs import nn, ops


class Bigram(cavs.VertexFunction):
    def __init__(self, vocab_size, **sizes):
        self.rows = nn.Embedding(vocab_size, vocab_size)

    def forward(self, v):
        state, first = v.pull_graph("state", 2), v.pull("first")
        logits = self.rows(v.pull("word", dtype="int32"))
        loss = ops.cross_entropy(logits, v.pull("label", dtype="int32"))
        v.push(loss=loss, logits=logits, state=STATE)
"""


@pytest.mark.parametrize("state", ["state", "state * first"])
def test_a_bigram_model(tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str) -> None:
    data = write_small_data(tmp_path)
    file = tmp_path / "bigram.py"
    file.write_text(BIGRAM.replace("STATE", state))
    user = load_user_model(f"{file}:Bigram", "text")
    given = {"data": str(data / "text"), "epochs": 2, "batch_size": 4, "length": 5}
    task, config = make_task(user, given)
    assert TrainingRun.start(tmp_path / "run", task, config).fit()
    model, files = f"{file}:Bigram", tmp_path / "run"
    run(capsys, "train", model, "--resume", files / "last.safetensors", "--epochs", 3, "--quiet")
    best = files / "best.safetensors"
    assert "perplexity" in run(capsys, "evaluate", best, "--model", model)
    assert len(run(capsys, "sample", best, "-n", "3", "--model", model).splitlines()) == 3
