"""Where memory is short, MemoryError says how much was asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from cavs._native import core
from cavs.cli import main

REQUESTS: dict[str, tuple[Callable[[], Any], str]] = {
    "arena": (lambda: core.Arena().reserve(1 << 45), r"32\.0 TiB \(351843720888[0-9]+ bytes\)"),
    "tensor": (
        lambda: core.DynamicTensor(core.Arena(), 1 << 20, "float64").allocate(1 << 22),
        r"32\.0 TiB \(351843720888[0-9]+ bytes\)",
    ),
    "more than there is anywhere": (lambda: core.Arena().reserve(2**63 - 1), r"8\.0 EiB"),
    "plan": (lambda: core.plan_memory([(1 << 48, 0, 1, -1)] * 2), r"512\.0 TiB"),
}


@pytest.mark.parametrize(("request_", "amount"), REQUESTS.values(), ids=REQUESTS.keys())
def test_how_much_was_asked_for(request_: Callable[[], Any], amount: str) -> None:
    with pytest.raises(MemoryError, match=rf"\[memory\] expected {amount} .*; use smaller batches"):
        request_()


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
        core.Arena().reserve(1 << 45)
        return 0

    monkeypatch.setattr("cavs.cli.info.run", run)
    assert main(["info"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("cavs: not enough memory ([memory] expected 32.0 TiB (351843720888")
    assert len(said.splitlines()) == 1
