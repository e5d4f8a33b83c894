"""Where memory is short, MemoryError says how much was asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cavs.cli import main

SHORT = """
import resource, sys
import numpy as np, cavs
size = 1 << 12
class Function(cavs.VertexFunction):
    def __init__(self):
        self.linear = cavs.nn.Linear(1, size)
    def forward(self, v):
        h = self.linear(v.pull("x", 1))
        v.scatter(h=h + v.gather(h=size).h.sum())
        v.push(y=h.sum())
model = cavs.compile(Function()) if "graph" not in sys.argv else None
room = 1 << 30
resource.setrlimit(resource.RLIMIT_AS, (room + (1 << 30), room + (1 << 30)))
try:
    if model is None:
        cavs.InputGraph.from_edges(2**31 - 3, [], [])
    else:
        n = 300_000
        graphs = cavs.batch([cavs.InputGraph.from_parents(np.r_[1:n, -1])])
        model(graphs, x=np.zeros((n, 1), np.float32))
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("what", ["graph", "model"])
def test_of_a_process_with_a_limit(what: str) -> None:
    command = [sys.executable, "-c", SHORT, what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[memory] expected ")
    assert " GiB (" in done.stdout
    assert len(done.stdout.splitlines()) == 1


FILES = """
import os, resource, sys
import numpy as np, cavs
from cavs.training import Checkpoint, load_checkpoint, save_checkpoint
from cavs.models import ChildSumTreeLSTM
what, path, room = *sys.argv[1:3], int(sys.argv[3]) << 20
model = cavs.compile(ChildSumTreeLSTM(400_000, 40, 4, 3)) if "model" in what else None
arrays = {"x": np.zeros((16 << 20,), np.float32)} if model is None else None
calls = {
    "save checkpoint": lambda: save_checkpoint(path, Checkpoint("lm", {}, None, arrays)),
    "load checkpoint": lambda: load_checkpoint(path),
    "save model": lambda: cavs.save(model, path),
    "load model": lambda: cavs.load(path),
}
calls[what.replace("load", "save")]()
arrays = None
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
if "save" in what and model is None:
    arrays = {"x": np.zeros((16 << 20,), np.float32)}
resource.setrlimit(resource.RLIMIT_AS, (now + room, now + room))
try:
    calls[what]()
    print("done")
except MemoryError as error:
    print("no memory")
assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("thing", ["checkpoint", "model"])
@pytest.mark.parametrize("verb", ["save", "load"])
def test_of_files_that_do_not_fit(verb: str, thing: str, tmp_path: Path) -> None:
    """The library that packs them printed a trace of its own, and then hung or aborted."""
    said = set()
    for room in (20, 100, 1000):
        command = [sys.executable, "-c", FILES, f"{verb} {thing}", str(tmp_path / "f"), str(room)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        said.add(done.stdout)
    assert said == {"no memory\n", "done\n"}


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("room", [40, 60, 140])
def test_of_a_command_that_cannot_begin(room: int) -> None:
    """A line, whichever library it was that had no memory while it was imported."""
    limited = f"ulimit -v {room << 10}; exec {sys.executable} -m cavs info"
    done = subprocess.run(["sh", "-c", limited], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)
    assert done.stderr.count("\n") == done.returncode, done.stderr


def test_the_command_line_says_how_much(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(options: Any) -> int:
        # As the engine says it: see tests/csrc/test_memory.cpp.
        raise MemoryError(
            "[memory] expected 32.0 TiB (35184372088832 bytes) of memory, got none; use smaller "
            "batches"
        )

    monkeypatch.setattr("cavs.cli.info.run", run)
    assert main(["info"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("cavs: not enough memory ([memory] expected 32.0 TiB (3518")
    assert len(said.splitlines()) == 1
