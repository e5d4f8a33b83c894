"""`torch.compile` where it can be had in a minute.

It unrolls a loop, and compiles for minutes where that is as long as sentences (in this folder's
parent ``python -m chains.compiled STEPS SAMPLES HIDDEN`` tries it); `torch.nn.LSTM` it leaves as it
is. So a loop by hand is compiled in blocks of a few steps, of static shapes; and the readout once
for any number of words.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from peers.torch_sequences import readout, unroll

Tensor = Any
BLOCK = 5  # steps; it divides the ends of all buckets
LIMIT = 60.0  # seconds
_READOUT = "readout"
Key = tuple[int, int] | str


def blocks(steps: int, block: int) -> list[int]:
    """The steps of each block."""
    return [block] * (steps // block) + ([steps % block] if steps % block else [])


class Compiled:
    """A loop and a readout, compiled.

    Args:
        hidden: size of the states.
        masked: whether states of ended samples are masked.
        block: steps of a block.
    """

    def __init__(self, hidden: int, masked: bool, block: int = BLOCK) -> None:
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
        for size in blocks(steps, self._block):
            part = slice(first, first + size)
            masks = None if mask is None else mask[part]
            states, h, c = self._unroll(gates[part], masks, u, h, c)
            found.append(states)
            first += size
        return torch.cat(found), h, c

    def loop_seconds(self, steps: Iterable[int], count: int) -> float:
        """Compiles what loops of these numbers of steps need, over `count` samples, unless it was
        before; gives the seconds that took: a first training step beyond a second."""
        sizes = {size for each in set(steps) for size in blocks(each, self._block)}
        return sum(self._taken((size, count), self._runner(size, count)) for size in sorted(sizes))

    def readout_seconds(self, classes: int) -> float:
        """The same for the readout."""
        return self._taken(_READOUT, lambda: self._run_readout(classes))

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


def main() -> None:
    """Compiles a loop of all steps at once, and says how long that took."""
    steps, count, hidden = map(int, sys.argv[1:])
    torch.set_num_threads(1)
    whole = Compiled(hidden, masked=True, block=steps)
    print(f"{whole.loop_seconds([steps], count):.1f} s")


if __name__ == "__main__":
    main()
