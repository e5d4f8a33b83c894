"""Where memory is short, MemoryError says how much was asked for."""

from __future__ import annotations

import subprocess
import sys
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
