"""The tagger with characters in DyNet, in the interpreter that ``CAVS_DYNET_PYTHON`` names."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import weakref
from pathlib import Path

import numpy as np
from peers.dynet_peer import VARIABLE, available

from typed.contenders import LR, Indices, Whole
from typed.declared import MODELS, sample

__all__ = ["DyNet", "available"]


class DyNet:
    """The other end of `dynet_worker`; it knows the first `count` samples of `ours`."""

    def __init__(self, ours: Whole, count: int) -> None:
        folder = tempfile.TemporaryDirectory(prefix="cavs-dynet-")
        path = Path(folder.name)
        np.savez(
            path / "state.npz", **{n: np.asarray(x) for n, x in ours.model.state_dict().items()}
        )
        samples = [sample(ours, MODELS["tagger"][1], i) for i in range(count)]
        (path / "samples.json").write_text(json.dumps(samples), encoding="utf-8")
        script = Path(__file__).with_name("dynet_worker.py")
        self._log = (path / "log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [os.environ[VARIABLE], script, path, "1", str(LR)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.close = weakref.finalize(self, _stop, self._process, folder)
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(
                f"[types] expected an answer of DyNet, got {self._log.read()[-2000:]}"
            )
        return line

    def _ask(self, verb: str, numbers: Indices) -> str:
        assert self._process.stdin is not None
        print(verb, *map(int, numbers), file=self._process.stdin, flush=True)
        return self._read()

    def cpu_seconds(self) -> float:
        """User and system time of DyNet's process, as Linux counts it."""
        text = Path("/proc", str(self._process.pid), "stat").read_text(encoding="utf-8")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def see(self, indices: Indices) -> None:
        self._seen = indices

    def loss(self) -> float:
        return float(self._ask("loss", self._seen))

    def train(self) -> None:
        self._ask("train", self._seen)

    def infer(self) -> None:
        self._ask("infer", self._seen)

    def step(self, indices: Indices) -> None:
        self._ask("step", indices)


def _stop(process: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    process.wait()
    folder.cleanup()
