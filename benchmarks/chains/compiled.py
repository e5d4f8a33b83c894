"""`torch.compile` where it can be had in a minute.

Inductor unrolls a loop into one C++ function, which takes minutes for the lengths of sentences, and
`torch.nn.LSTM` it leaves as it is. So a loop by hand is compiled in blocks of a few steps, of
static shapes; and the readout once for any number of words.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from peers.torch_sequences import readout, unroll

Tensor = Any
BLOCK = 10  # steps
LIMIT = 60.0  # seconds
_READOUT = "readout"
Key = tuple[int, int, bool] | str


def fresh_cache(folder: Path) -> dict[str, str]:
    """Variables with which nothing compiled earlier is found again."""
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder)}


def blocks(steps: int) -> list[int]:
    """The steps of each block."""
    return [BLOCK] * (steps // BLOCK) + ([steps % BLOCK] if steps % BLOCK else [])


class Compiled:
    """A loop and a readout, compiled.

    Args:
        hidden: size of the states.
        masked: whether states of ended samples are masked.
        block: how a number of steps is cut.
    """

    def __init__(
        self, hidden: int, masked: bool, block: Callable[[int], list[int]] = blocks
    ) -> None:
        torch._dynamo.config.recompile_limit = 64
        self._hidden, self._masked, self._block = hidden, masked, block
        self._unroll = torch.compile(unroll, dynamic=False)
        self._readout = torch.compile(readout, dynamic=True)
        self._seconds: dict[Key, float] = {}

    @property
    def parts(self) -> tuple[Any, Any]:
        """For `TorchSequences`: the loop in blocks, and the readout."""
        return self.unroll, self._readout

    @property
    def readout_alone(self) -> tuple[Any, Any]:
        """For `TorchSequences` with `torch.nn.LSTM`."""
        return unroll, self._readout

    def unroll(
        self, gates: Tensor, mask: Tensor | None, u: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `torch_sequences.unroll`."""
        steps, count = gates.shape[:2]
        if self._masked and mask is None:
            mask = torch.ones(steps, count, 1, dtype=torch.bool)
        found, first = [], 0
        for size in self._block(steps):
            part = slice(first, first + size)
            masks = None if mask is None else mask[part]
            states, h, c = self._unroll(gates[part], masks, u, h, c)
            found.append(states)
            first += size
        return torch.cat(found), h, c

    def seconds(self, steps: Iterable[int], count: int, classes: int, loop: bool) -> float:
        """Compiles what minibatches of these numbers of steps need, unless it was before; gives the
        seconds that took: the first training step beyond the second."""
        total = self._taken(_READOUT, lambda: self._run_readout(classes))
        if loop:
            sizes = {size for each in set(steps) for size in self._block(each)}
            for size in sorted(sizes, reverse=True):
                run = self._runner(size, count)
                total += self._taken((size, count, self._masked), run)
        return total

    def _taken(self, key: Key, run: Callable[[], None]) -> float:
        if key not in self._seconds:
            times = []
            for _ in range(2):
                begin = time.perf_counter()
                run()
                times.append(time.perf_counter() - begin)
            self._seconds[key] = times[0] - times[1]
        return self._seconds[key]

    def _run_readout(self, classes: int) -> None:
        for rows in (37, 52):  # the second number shows that any may come
            h = torch.zeros(rows, self._hidden, requires_grad=True)
            weight = torch.zeros(classes, self._hidden, requires_grad=True)
            bias = torch.zeros(classes, requires_grad=True)
            labels = torch.zeros(rows, dtype=torch.int64)
            self._readout(h, labels, weight, bias).backward()

    def _runner(self, size: int, count: int) -> Callable[[], None]:
        hidden = self._hidden

        def run() -> None:
            gates = torch.zeros(3 * size, count, 4 * hidden, requires_grad=True)
            u = torch.zeros(4 * hidden, hidden, requires_grad=True)
            h = torch.zeros(count, hidden, requires_grad=True)
            mask = torch.ones(3 * size, count, 1, dtype=torch.bool) if self._masked else None
            c = h
            total = h.new_zeros(())
            for first in (0, size):  # as in a sequence: the first block, and one behind another
                part = slice(first, first + size)
                masks = None if mask is None else mask[part]
                states, h, c = self._unroll((gates * 1)[part], masks, u, h, c)
                total = total + states.sum()
            total.backward()

        return run


def whole_loop(steps: int, count: int, hidden: int, masked: bool, threads: int) -> float | None:
    """Seconds to compile a loop of all steps at once; None: more than LIMIT."""
    with tempfile.TemporaryDirectory(prefix="cavs-whole-") as folder:
        environment = os.environ | fresh_cache(Path(folder))
        command = [sys.executable, "-m", "chains.compiled", str(steps), str(count), str(hidden)]
        command += [str(int(masked)), str(threads)]
        own = Path(__file__).resolve().parents[1]
        with subprocess.Popen(
            command, cwd=own, env=environment, stdout=subprocess.PIPE, start_new_session=True
        ) as child:
            try:
                out, _ = child.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, 9)  # and the compilers that it started
                return None
    return float(out) if child.returncode == 0 else None


def main() -> None:
    steps, count, hidden, masked, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    each = Compiled(hidden, bool(masked), lambda steps: [steps])
    run = each._runner(steps, count)
    print(each._taken((steps, count, bool(masked)), run))


if __name__ == "__main__":
    main()
