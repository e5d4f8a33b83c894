"""Curves for TensorBoard: written where tensorboardX is installed, asked for where it is not."""

import sys
from pathlib import Path
from typing import Any

import pytest

from cavs.errors import InputError
from cavs.training import Classification, Progress
from cavs.training.tensorboard import TensorBoard

DEV = {"root_accuracy": 0.5, "vertex_accuracy": 0.75, "loss": 2.0}


def test_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"pip install 'cavs\[viz\]'"):
        TensorBoard(tmp_path, Progress(quiet=True))


def test_scores_are_written_and_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tensorboard_x = pytest.importorskip("tensorboardX")
    written: list[tuple[str, float, int]] = []

    def add_scalar(self: Any, name: str, value: float, step: int) -> None:
        written.append((name, value, step))

    monkeypatch.setattr(tensorboard_x.SummaryWriter, "add_scalar", add_scalar)
    board = TensorBoard(tmp_path, Progress(describe=Classification().describe))
    board.epoch_begins(2, 5, 10)
    board.step_done(5, 1.5)
    record = {"epoch": 2, "loss": 1.5, "dev": DEV, "graphs_per_second": 100.0}
    board.epoch_ends(record, improved=True)
    board.close()
    assert written == [
        ("train/loss", 1.5, 20),
        ("dev/root_accuracy", 0.5, 20),
        ("dev/vertex_accuracy", 0.75, 20),
        ("dev/loss", 2.0, 20),
        ("train/graphs_per_second", 100.0, 20),
    ]
    assert capsys.readouterr().out.startswith("epoch   2  loss   1.5000  dev root 50.00 %")
    assert list((tmp_path / "tensorboard").iterdir())
