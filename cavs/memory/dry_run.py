"""What a run will take in memory, planned with the engine's own functions and without a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cavs._native import core as _core


class ValueMemory(NamedTuple):
    """A value in the arena.

    Attributes:
        value: its number in the program.
        rows: that it has room for: those in use.
        bytes: as laid out, with what rows are padded by.
        first, last: the segments that it lives through.
    """

    value: int
    rows: int
    bytes: int
    first: int
    last: int


class SweepMemory(NamedTuple):
    """The arena of one direction of a run.

    Attributes:
        direction: ``forward`` or ``backward``.
        total: bytes of all of it.
        tables: bytes of it for the distinct ids.
        threads: bytes of it that the device works in: on the CPU the threads' own regions.
        packed: bytes beside it: weights in the layout that products read, kept for later runs.
        values: what else is in it.
    """

    direction: str
    total: int
    tables: int
    threads: int
    packed: int
    values: list[ValueMemory]


def plan_run(
    forward: Any, backward: Any, schedule: Any, distinct: Sequence[int], threads: int
) -> list[SweepMemory]:
    """Memory of forward and, with a backward program, of backward, which keeps what that reads.

    Args:
        forward, backward: native programs; `backward` may be None.
        schedule: the native one of the batch.
        distinct: how many rows each of the distinct ids of `forward` has.
        threads: at most.

    Raises:
        InputError: rows that the batch cannot have.
        MemoryError: more than any machine has.
    """
    sweeps = _core.plan_sweeps(forward, backward, schedule, distinct, backward is not None, threads)
    return [
        SweepMemory(
            p.direction, p.total, p.tables, p.threads, p.packed, [ValueMemory(*v) for v in p.values]
        )
        for p in sweeps
    ]
