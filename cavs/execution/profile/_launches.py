"""How the levels of a batch are launched on a GPU."""

from __future__ import annotations

from collections.abc import Iterator

from cavs.core.program import Program
from cavs.execution.native import NativeExecutor
from cavs.scheduler import GraphBatch


def launches(
    executor: NativeExecutor, program: Program, graphs: GraphBatch, *, keep: bool
) -> Iterator[tuple[int, str]]:
    """For each levels segment that has rows, its number and a line: how many of its levels go
    together without the clocks, which time each launch, and why others do not. On the CPU none."""
    for segment, levels, together, why_not in executor.levels_choices(program, graphs, keep=keep):
        if levels == 0:
            continue
        if together == levels:
            yield segment, f"without these clocks all {levels} go together in one launch"
        elif together:
            yield (
                segment,
                f"without these clocks {together} of {levels} go together; the others are launched "
                f"one by one: {why_not}",
            )
        else:
            yield segment, f"all {levels} are launched one by one: {why_not}"
