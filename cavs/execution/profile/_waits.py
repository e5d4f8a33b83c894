"""Which batches of a schedule wait for which types, in words of the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cavs._arrays import Array
from cavs.core.program import Program, SegmentKind
from cavs.core.remarks import Remark, counted
from cavs.core.remarks_text import BATCHING
from cavs.execution.native import NativeExecutor
from cavs.scheduler import GraphBatch, Schedule

_Latest = tuple[Array, Array]
"""Of each batch of a schedule: the last batch that has children of its vertices, or -1, and how
many these are."""

_FEW = 8
"""A batch of fewer vertices, on average, is called small: its weights are read for few rows."""


class Wait(NamedTuple):
    """What a batch of a schedule waits for: the last of the batches that have children of its
    vertices.

    Attributes:
        step: number of its step, from 0: the batches of one step do not wait for each other.
        batch: its own number.
        type: of its vertices; no name in a function without types.
        rows: how many vertices it has.
        waited_for: the type of the children in that last batch; None where no child is in one.
        vertices: how many such children there are.
    """

    step: int
    batch: int
    type: str
    rows: int
    waited_for: str | None
    vertices: int


def find_waits(executor: NativeExecutor, graphs: GraphBatch) -> list[Wait]:
    """What each batch of the graphs' schedule waits for, in the order in which they run."""
    schedule = executor.schedule(graphs)
    order = executor.compiler.types
    names = ("",) if order is None else order.names
    number = np.full(schedule.num_vertices, -1)
    for i, (_, first, last) in enumerate(schedule.batches):
        number[first:last] = i
    lists = range(1 if order is None else len(order.lists))
    latest = _latest_of_runs if schedule.has_runs else _latest_of_lists
    last_of, counts = latest(schedule, lists, number)
    steps = np.searchsorted(schedule.step_ptr, np.arange(schedule.num_batches), "right") - 1
    found = []
    for i, (kind, first, last) in enumerate(schedule.batches):
        before = last_of[i]
        waited_for = None if before < 0 else names[schedule.batches[before][0]]
        step = int(steps[i]) if order is not None else i
        found.append(Wait(step, i, names[kind], last - first, waited_for, int(counts[i])))
    return found


def _latest_of_lists(schedule: Schedule, lists: Iterable[int], number: Array) -> _Latest:
    rows = [schedule.edge_rows(i) for i in lists]
    none = np.zeros(0, np.int32)
    children = np.concatenate([none, *(x["child"] for x in rows)])
    parents = np.concatenate([none, *(x["parent"] for x in rows)])
    inside = (number[children] >= 0) & (number[parents] >= 0)
    children, of_batch = children[inside], number[parents[inside]]
    last_of = np.full(schedule.num_batches, -1)
    np.maximum.at(last_of, of_batch, number[children])
    latest = number[children] == last_of[of_batch]
    pairs = np.unique(np.stack([of_batch[latest], children[latest]]), axis=1)[0]
    return last_of, np.bincount(pairs, minlength=schedule.num_batches)


def _latest_of_runs(schedule: Schedule, lists: Iterable[int], number: Array) -> _Latest:
    """The same, batch by batch, without a step for each edge."""
    runs = [schedule.runs(i) for i in lists]
    last_of = np.full(schedule.num_batches, -1)
    counts = np.zeros(schedule.num_batches, np.int64)
    for batch, (_, begin, end) in enumerate(schedule.batches):
        is_child = np.zeros(schedule.num_vertices, bool)
        for x in runs:
            first, length = x["first"][begin:end], np.diff(x["ptr"][begin : end + 1])
            change = np.zeros(len(x["order"]) + 1, np.int64)
            np.add.at(change, first, 1)
            np.add.at(change, first + length, -1)
            is_child[x["order"][np.cumsum(change[:-1]) > 0]] = True
        of_children = number[is_child]
        last_of[batch] = of_children.max(initial=-1)
        if last_of[batch] >= 0:
            counts[batch] = np.count_nonzero(of_children == last_of[batch])
    return last_of, counts


def remarks_of_waits(waits: Sequence[Wait], flops: Mapping[str, int]) -> list[Remark]:
    """The waits by type, and the type that is waited for, most work first. `flops`: of a batch, by
    type and row."""
    found: dict[tuple[str, str], list[Wait]] = {}
    for wait in waits:
        if wait.waited_for is not None:
            found.setdefault((wait.type, wait.waited_for), []).append(wait)
    made = []
    for (kind, other), several in found.items():
        rows, vertices = sum(x.rows for x in several), sum(x.vertices for x in several)
        of_type = sum(x.type == kind for x in waits)
        whose = f"{vertices:,} vertices of type {other!r}" if other else f"{vertices:,} children"
        words = f"{len(several):,} of {counted(of_type, 'batch')} waited for {whose}"
        words += f"; they had {rows / len(several):,.1f} vertices on average"
        if rows < _FEW * len(several):
            words += ", few: more graphs in a call make batches larger"
        each = flops.get(kind, 0)
        made.append(Remark(BATCHING, words, kind, flops=each, rows=rows, work=each * rows))
    return sorted(made, key=lambda remark: (-remark.work, -remark.rows))


def flops_of_batches(program: Program) -> dict[str, int]:
    """FLOPs of a row of a batch, by type, in the segments that go batch by batch."""
    found: dict[str, int] = {}
    for segment in program.segments:
        if segment.kind is SegmentKind.LEVELS:
            flops = sum(i.flops for i in segment.instructions)
            found[segment.space.type] = found.get(segment.space.type, 0) + flops
    return found


def remark_of_batches(waits: Sequence[Wait]) -> list[Remark]:
    """How many vertices run together."""
    if not waits:
        return []
    rows, steps = sum(x.rows for x in waits), 1 + max(x.step for x in waits)
    batches = counted(len(waits), "batch")
    words = f"{rows:,} vertices ran in {batches}, of {counted(steps, 'step')}"
    return [Remark(BATCHING, words)]
