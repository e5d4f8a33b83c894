"""DyNet as a peer: a graph declared for each batch, in an interpreter of its own.

``CAVS_DYNET_PYTHON`` names a Python in whose environment DyNet 2.1 is installed. DyNet always
computes with one thread.

- ``autobatch``: operations of one signature are batched on the fly.
- ``plain``: operations run one by one.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
from peers.protocol import Array, Peer, PeerBatch, check_known, check_plain

from cavs.bench.recipes import Recipe

VARIANTS = ("autobatch", "plain")
WORKLOADS = ("tree-lstm",)
VARIABLE = "CAVS_DYNET_PYTHON"


def available(threads: int) -> str | None:
    """DyNet runs if the interpreter that the environment names can import it."""
    python = os.environ.get(VARIABLE)
    if not python:
        return f"DyNet: {VARIABLE} does not name an interpreter that has it"
    try:
        probe = subprocess.run([python, "-c", "import _dynet"], capture_output=True, text=True)
    except OSError as error:
        return f"DyNet: {VARIABLE}={python} cannot be run ({error.strerror})"
    if probe.returncode != 0:
        return f"DyNet: {python} cannot import it ({probe.stderr.strip().splitlines()[-1]})"
    return None


def versions() -> dict[str, str]:
    """The versions of DyNet and of the interpreter that runs it, if DyNet can run."""
    if available(1):
        return {}
    code = (  # the builds for later interpreters have names of their own, such as dyNET38
        "import sys, importlib.metadata as m; print(next(d.version for d in m.distributions() "
        "if d.metadata['Name'].lower().startswith('dynet')), sys.version.split()[0])"
    )
    answer = subprocess.run(
        [os.environ[VARIABLE], "-c", code], capture_output=True, text=True, check=True
    )
    dynet, python = answer.stdout.split()
    return {"DyNet": f"{dynet} (Python {python})"}


def make(
    workload: str,
    variant: str,
    state: dict[str, Array],
    batches: Sequence[PeerBatch],
    recipe: Recipe,
    threads: int,
) -> Peer:
    """A contender that starts from the weights `state`; see `protocol`."""
    check_known(workload, variant, WORKLOADS, VARIANTS)
    check_plain(recipe)
    return DyNet(state, batches, recipe, autobatch=variant == "autobatch")


class DyNet:
    """The other end of `dynet_worker`."""

    def __init__(
        self,
        state: dict[str, Array],
        batches: Sequence[PeerBatch],
        recipe: Recipe,
        *,
        autobatch: bool,
    ) -> None:
        self.recipe = recipe
        self._folder = tempfile.TemporaryDirectory(prefix="cavs-dynet-")
        folder = Path(self._folder.name)
        np.savez(folder / "state.npz", **state)
        arrays = {}
        for number, batch in enumerate(batches):
            for name in ("ptr", "child_ptr", "children"):
                arrays[f"{name}{number}"] = getattr(batch, name)
            for name in ("word", "label"):
                arrays[f"{name}{number}"] = batch.inputs[name]
        np.savez(folder / "batches.npz", **arrays)
        script = Path(__file__).with_name("dynet_worker.py")
        command = [os.environ[VARIABLE], script, folder, str(int(autobatch)), str(recipe.lr)]
        self._log = (folder / "log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        self.close = weakref.finalize(self, _stop, self._process, self._log, self._folder)
        self._read()

    def _ask(self, *request: object) -> str:
        assert self._process.stdin is not None
        try:
            print(*request, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            self._fail()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._fail()
        return line.strip()

    def _fail(self) -> None:
        self._process.wait()
        self._log.seek(0)
        raise RuntimeError(f"[peers] DyNet's process ended: {self._log.read()[-2000:]}")

    def processor_seconds(self) -> float:
        """User and system time of DyNet's process so far, as Linux counts it."""
        path = Path("/proc", str(self._process.pid), "stat")
        fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def train_step(self, number: int) -> float:
        return float(self._ask("train", number))

    def infer_step(self, number: int) -> float:
        return float(self._ask("infer", number))

    def loss(self, number: int) -> float:
        return float(self._ask("loss", number))

    def gradients(self, number: int) -> dict[str, npt.NDArray[np.float32]]:
        path = Path(self._folder.name) / "gradients.npz"
        self._ask("gradients", number, path)
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _stop(
    process: subprocess.Popen[str], log: TextIO, folder: tempfile.TemporaryDirectory[str]
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.wait()
    process.stdout.close()
    log.close()
    folder.cleanup()
