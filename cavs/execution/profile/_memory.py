"""The planned memory of a call: how much, for which values, and when it is most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cavs.core.program import Program
from cavs.memory import SweepMemory
from cavs.scheduler import GraphBatch

_INT_SIZE = 4


@dataclass(frozen=True)
class Held:
    """A value that is in memory when memory use is greatest.

    Attributes:
        name: number, rows, row length and operation, as the printed program has them.
        rows: its rows in the batch; of a forward value, the rows that backward reads.
        bytes: its bytes as laid out, with the padding of rows.
        saved: whether it is a forward value that backward reads.
    """

    name: str
    rows: int
    bytes: int
    saved: bool


@dataclass(frozen=True)
class MemoryUse:
    """Memory that a call takes in the engine.

    Attributes:
        peak: bytes of the arena, which is planned before the call; parameters, their gradients,
            inputs and outputs are the caller's.
        tables: bytes of the peak for the distinct ids.
        threads: bytes of the peak for the threads' own: scratch, and values of a chunk of rows.
        at: the segment in which most is held.
        held: the values held then, the largest first.
        saved: bytes that backward must have: the rows that it reads of forward's values, without
            padding; 0 for inference.
        num_vertices: of the batch.
    """

    peak: int
    tables: int
    threads: int
    at: str
    held: list[Held]
    saved: int
    num_vertices: int

    @property
    def per_vertex(self) -> float:
        """Bytes of the peak per vertex of the batch."""
        return self.peak / max(self.num_vertices, 1)

    @property
    def gaps(self) -> int:
        """Bytes of the peak that are empty then, between the lives of values that have them."""
        return self.peak - self.tables - self.threads - sum(h.bytes for h in self.held)

    @property
    def over_saved(self) -> float:
        """The peak divided by the bytes that backward must have."""
        return self.peak / self.saved if self.saved else float("inf")

    def lines(self) -> list[str]:
        """The memory use as a table."""
        text = [
            f"  peak {self.peak:,} bytes, {self.per_vertex:,.0f} per vertex, in {self.at}: "
            f"values {sum(h.bytes for h in self.held):,}, threads {self.threads:,}, "
            f"tables of ids {self.tables:,}, gaps {self.gaps:,}"
        ]
        if self.saved:
            text.append(
                f"  backward must have {self.saved:,} bytes: the peak is {self.over_saved:.2f} "
                "times that"
            )
        text.extend(
            f"  {h.bytes:>13,} bytes {h.rows:>9,} rows  {'saved ' if h.saved else '      '}{h.name}"
            for h in self.held
        )
        return text


def memory_use(
    sweeps: Sequence[tuple[Program, SweepMemory]], graphs: GraphBatch, item_size: int
) -> MemoryUse:
    """The memory use of a call, from its programs and the engine's plans (forward, backward)."""
    program, sweep = max(sweeps, key=lambda p: p[1].total)
    last = len(program.segments) - 1
    spans = {v.value: (v.first, min(v.last, last)) for v in sweep.values}
    sizes = {v.value: v.bytes for v in sweep.values}
    rows = {v.value: v.rows for v in sweep.values}
    saved = _saved(sweeps)

    def held_in(segment: int) -> list[int]:
        return [v for v, (first, end) in spans.items() if first <= segment <= end]

    fullest = max(range(last + 1), key=lambda s: sum(sizes[v] for v in held_in(s)), default=0)
    held = [
        Held(program.value_text(v), rows[v], sizes[v], v in saved)
        for v in sorted(held_in(fullest), key=lambda v: -sizes[v])
    ]
    return MemoryUse(
        sweep.total,
        sweep.tables,
        sweep.threads,
        f"{sweep.direction}, {program.segments[fullest]}" if program.segments else "nothing",
        held,
        sum(_bytes(sweeps[0][0], v, count, item_size) for v, count in saved.items()),
        graphs.num_vertices,
    )


def _saved(sweeps: Sequence[tuple[Program, SweepMemory]]) -> dict[int, int]:
    """Maps each forward value that backward reads to the number of its rows that it reads."""
    if len(sweeps) < 2:
        return {}
    (forward, _), (_, backward) = sweeps
    return {v.value: v.rows for v in backward.values if v.value < len(forward.values)}


def _bytes(program: Program, value: int, rows: int, item_size: int) -> int:
    spec = program.values[value]
    return rows * spec.size * (item_size if spec.dtype == "float" else _INT_SIZE)
