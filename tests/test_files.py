"""Files are there whole, old or new, whatever their name is and wherever it points."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cavs
from cavs._files import write_atomically
from cavs.bench.output import write_part
from cavs.cli import main
from cavs.cli.sample import write_images
from cavs.data import Vocabulary, load_binarized_mnist, load_vectors, save_vectors
from cavs.data._text import numbered_lines, read_text
from cavs.errors import CheckpointError, DataError
from cavs.models import ChildSumTreeLSTM
from cavs.training import load_checkpoint


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link", tmp_path / "there" / "target"
    link.symlink_to("there/target")
    for content in (b"one", b"two"):  # a link to a file that is missing, and to one that is there
        write_atomically(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["link", "there"]
    assert os.listdir(tmp_path / "there") == ["target"]


def test_a_pipe_and_a_device_are_written_to_as_they_stand(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"content")
    reader.join(60)
    assert got == [b"content"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    # Not named so: what is wrong would replace the device itself.
    (tmp_path / "full").symlink_to("/dev/full")
    if os.geteuid() != 0:
        with pytest.raises(OSError, match="No space left on device"):
            write_atomically(tmp_path / "full", b"content")


@pytest.mark.parametrize("size", [240, 250, 255])
def test_names_as_long_as_names_may_be(tmp_path: Path, size: int) -> None:
    path = tmp_path / ("é" * (size // 2) + "x" * (size % 2))
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"
    assert len(os.listdir(tmp_path)) == 1


def test_a_name_that_no_file_can_have_is_the_error(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 256)
    with pytest.raises(OSError, match="File name too long") as caught:
        write_atomically(path, b"content")
    assert caught.value.filename == str(path)


def test_who_may_read_a_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.touch(0o600)
    write_atomically(path, b"content")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_file_to_read(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its content may have no end."""
    words = Vocabulary(["<unk>", "so"])
    for read in (
        lambda: load_vectors(device, words),
        lambda: read_text(device, "trees"),
        lambda: list(numbered_lines(device, "trees")),
    ):
        with pytest.raises(DataError, match=f"{device}: expected .*, got a device; name a file"):
            read()
    with pytest.raises(DataError):
        load_binarized_mnist(device)
    with pytest.raises(CheckpointError):
        load_checkpoint(device)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.txt").symlink_to(device)
    for given in (["--config", device], ["--data", str(folder)]):
        assert main(["train", "tree-lstm", *given]) == 1
        said = capsys.readouterr().err
        assert said.startswith("cavs: [")
        assert said.count("\n") == 1


# --- Every place that writes a file ---------------------------------------------------------------


class Scores(cavs.VertexFunction):
    def __init__(self) -> None:
        self.layer = cavs.nn.Linear(2, 2)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.layer(v.pull("x", 2)))


def save_model(path: Path) -> None:
    cavs.save(cavs.compile(ChildSumTreeLSTM(5, 2, 2, 2)), path)


def save_trace(path: Path) -> None:
    model = cavs.compile(Scores())
    graphs = cavs.batch([cavs.InputGraph([[]])])
    model.explain(graphs, x=np.ones((1, 2), np.float32)).to_trace(path)


def write_rows(path: Path) -> None:
    write_part(path.parent, {"part": path.stem, "rows": []})


def draw(path: Path) -> None:
    if main(["draw", "--tree", "(1 (2 so) (3 good))", "-o", str(path)]):
        raise OSError


WRITES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "model": ("m.safetensors", save_model),
    "vectors": (
        "v.txt",
        lambda path: save_vectors(path, Vocabulary(["<unk>", "so"]), np.ones((2, 2), np.float32)),
    ),
    "part": ("p.json", write_rows),
    "svg": ("a.svg", draw),
    "dot": ("a.dot", draw),
    "images": ("i.png", lambda path: write_images(path, np.ones((4, 9)))),
    "trace": ("t.json", save_trace),
}

LIMITED = """
import resource, runpy, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
here = runpy.run_path(sys.argv[1])
name, write = here["WRITES"][sys.argv[2]]
path = Path(sys.argv[3]) / name
write(path)
whole = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2,) * 2)
try:
    write(path)
except (OSError, ValueError, RuntimeError):
    pass
else:
    sys.exit("written")
assert path.read_bytes() == whole, "cut off"
assert [p.name for p in path.parent.iterdir()] == [name], "left over"
"""


@pytest.mark.parametrize("what", WRITES)
def test_a_full_disk_leaves_the_file_that_was_there(what: str, tmp_path: Path) -> None:
    if what == "images":
        pytest.importorskip("matplotlib")
    command = [sys.executable, "-c", LIMITED, __file__, what, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
