"""Curves for TensorBoard: written where tensorboardX is installed, asked for where it is not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cavs.cli import main
from cavs.errors import CheckpointError, InputError
from cavs.training import Classification, Progress
from cavs.training.tensorboard import TensorBoard

DEV = {"root_accuracy": 0.5, "vertex_accuracy": 0.75, "loss": 2.0}
RECORD = {"epoch": 2, "loss": 1.5, "dev": DEV, "graphs_per_second": 100.0}


def test_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"pip install 'cavs-nn\[viz\]'"):
        TensorBoard(tmp_path, Progress(quiet=True))


def events(path: Path) -> list[tuple[str, float, int]]:
    """What a file of events says, read as TensorFlow frames records."""
    from tensorboardX.proto.event_pb2 import Event

    content, found = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        event: Any = Event.FromString(content[12 : 12 + size])
        found += [(value.tag, value.simple_value, event.step) for value in event.summary.value]
        content = content[16 + size :]
    return found


def test_scores_are_written_and_passed_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboardX")
    for _ in range(2):  # as of a run that goes on within a second
        board = TensorBoard(tmp_path, Progress(describe=Classification().describe))
        board.epoch_begins(2, 5, 10)
        board.step_done(5, 1.5)
        board.epoch_ends(RECORD, improved=True)
        board.close()
        board.abandon()
    files = list((tmp_path / "tensorboard").iterdir())
    assert len(files) == 2
    for file in files:
        assert file.name.startswith("events.out.tfevents.")
        assert events(file) == [
            ("train/loss", 1.5, 20),
            ("dev/root_accuracy", 0.5, 20),
            ("dev/vertex_accuracy", 0.75, 20),
            ("dev/loss", 2.0, 20),
            ("train/graphs_per_second", 100.0, 20),
        ]
    assert capsys.readouterr().out.startswith("epoch   2  loss   1.5000  dev root 50.00 %")


FULL = """
import resource, sys
from pathlib import Path
from cavs.cli import main
from cavs.errors import CheckpointError
from cavs.training import Progress
from cavs.training.tensorboard import TensorBoard
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
board = TensorBoard(Path(sys.argv[1]), Progress(quiet=True))
try:
    for _ in range(1000):
        board.step_done(5, 1.5)
except CheckpointError as error:
    print(error)
board.abandon()
"""


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """It was a thread that died, and a run that waited for it."""
    pytest.importorskip("tensorboardX")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "expected to write curves to" in done.stdout
    assert done.stderr == ""


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    (tmp_path / "tensorboard").touch()
    with pytest.raises(CheckpointError, match="expected to write curves to"):
        TensorBoard(tmp_path, Progress(quiet=True))


def test_the_command_writes_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboardX")
    tiny = ["--num-train", "20", "--max-depth", "3", "--embedding-size", "2", "--hidden-size", "2"]
    options = ["--epochs", "2", "--tensorboard", "--quiet", "--output", str(tmp_path)]
    assert main(["train", "tree-lstm", *tiny, *options]) == 0
    assert capsys.readouterr().err == ""
    (file,) = (tmp_path / "tensorboard").iterdir()
    names = [name for name, _, _ in events(file)]
    assert names.count("train/loss") == 2
    assert names.count("dev/root_accuracy") == 2
