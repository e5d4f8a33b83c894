"""Plans the memory of a run with the engine's own functions, without a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cavs._native import core as _core


class ValueMemory(NamedTuple):
    """A value in the arena.

    Attributes:
        value: its number in the program.
        rows: rows that it has room for: the rows in use.
        bytes: its bytes as laid out, with the padding of rows.
        first, last: the first and the last segment that it lives in.
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
        values: the other contents of the arena.
    """

    direction: str
    total: int
    tables: int
    threads: int
    packed: int
    values: list[ValueMemory]


def plan_run(
    forward: Any,
    backward: Any,
    schedule: Any,
    distinct: Sequence[int],
    threads: int,
    *,
    retain: bool = False,
) -> list[SweepMemory]:
    """Memory of forward and, with a backward program, of backward, whose operands forward keeps.

    Args:
        forward, backward: native programs; `backward` may be None.
        schedule: the native schedule of the batch.
        distinct: how many rows each of the distinct ids of `forward` has.
        threads: the greatest number of threads.
        retain: whether another backward may follow, so that this one writes over nothing.

    Raises:
        InputError: rows that the batch cannot have.
        MemoryError: more than any machine has.
    """
    keep = backward is not None
    sweeps = _core.plan_sweeps(forward, backward, schedule, distinct, keep, threads, retain)
    return [
        SweepMemory(
            p.direction, p.total, p.tables, p.threads, p.packed, [ValueMemory(*v) for v in p.values]
        )
        for p in sweeps
    ]
