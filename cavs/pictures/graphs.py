"""Pictures of graphs, by the batches in which their vertices run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cavs._arrays import Array
from cavs.core.ops._spaces import SpaceKind
from cavs.core.remarks import counted
from cavs.core.trace import Trace
from cavs.core.type_order import TypeOrder
from cavs.pictures.functions import COLOURS
from cavs.pictures.picture import Box, Picture, are_told_apart, type_keys
from cavs.scheduler import GraphBatch, Schedule


class Turns(NamedTuple):
    """When the vertices of a batch run.

    Attributes:
        of_vertex: the number of each vertex's turn, from 0.
        names: what each turn is called.
        title: of the picture.
        types: those of the function, as it was given them; () without one.
    """

    of_vertex: list[int]
    names: list[str]
    title: str = ""
    types: tuple[str, ...] = ()


def graphs_picture(graphs: GraphBatch, turns: Turns, labels: Sequence[str] | None) -> Picture:
    """The vertices of graphs, parents above; a row for each turn, the first at the bottom.

    A vertex shows its label, or its number in its graph; where there are several graphs, the
    graph's number stands before it. Without children it is an ellipse. Colours show types. An edge
    to a child that runs later, or in the same turn, has no line: nothing reads it.
    """
    top = len(turns.names) - 1
    types = _types_by_name(graphs, turns.types)
    there = set(types)
    keys = type_keys(turns.types or sorted(there))
    apart = are_told_apart(keys)
    graph_of = graphs.graph_of_vertex
    plain = COLOURS[SpaceKind.VERTEX]
    picture = Picture(turns.title, arrows=False)
    picture.rows = {top - turn: name for turn, name in enumerate(turns.names)}
    picture.keys = [key for name, key in keys.items() if name in there]
    names = _numbers(graphs) if labels is None else list(labels)
    ptr = graphs.child_ptr.tolist()
    lists = [graphs.children[a:b].tolist() for a, b in pairwise(ptr)]
    for vertex in _reading_order(lists):
        kind = types[vertex] if types else None
        label = names[vertex] if apart or kind is None else f"{names[vertex]}\n{kind}"
        picture.boxes[f"v{vertex}"] = Box(
            label,
            top - turns.of_vertex[vertex],
            keys[kind].colour if kind is not None else plain,
            not lists[vertex],
            keys[kind].outline if kind is not None else "",
            int(graph_of[vertex]),
        )
        picture.lines += [
            (f"v{vertex}", f"v{child}")
            for child in dict.fromkeys(lists[vertex])
            if turns.of_vertex[child] < turns.of_vertex[vertex]
        ]
    below = [child for _, child in picture.lines]
    picture.tree = len(set(below)) == len(below)
    return picture


def _types_by_name(graphs: GraphBatch, names: Sequence[str]) -> list[str]:
    """The type of each vertex, which graphs may give by its number among `names`."""
    return [names[x] if isinstance(x, int) and names else str(x) for x in graphs.types or ()]


def _numbers(graphs: GraphBatch) -> list[str]:
    local = np.arange(graphs.num_vertices) - graphs.ptr[graphs.graph_of_vertex]
    if graphs.num_graphs < 2:
        return [str(number) for number in local.tolist()]
    return [
        f"{graph}:{number}"
        for graph, number in zip(graphs.graph_of_vertex.tolist(), local.tolist(), strict=True)
    ]


def _reading_order(lists: Sequence[Sequence[int]]) -> list[int]:
    """The vertices so that children come in their order and, in trees, side by side."""
    is_child = {child for children in lists for child in children}
    found: dict[int, None] = {}
    for root in (vertex for vertex in range(len(lists)) if vertex not in is_child):
        waiting = [root]
        while waiting:
            vertex = waiting.pop()
            if vertex not in found:
                found[vertex] = None
                waiting += reversed(lists[vertex])
    return list(found)


def level_turns(graphs: GraphBatch) -> Turns:
    """A turn for each level."""
    schedule = graphs.schedule()
    levels = _number_of_batch(schedule)[schedule.vertex_row].tolist()
    return Turns(levels, [f"level {i}" for i in range(schedule.num_levels)])


def batch_turns(
    graphs: GraphBatch, schedule: Schedule, order: TypeOrder, trace: Trace | None, policy: str
) -> Turns:
    """A turn for each batch of a schedule for types, one for what runs before all of them, and one
    for what runs after them.

    Args:
        graphs: the batch.
        schedule: its own.
        order: of the types.
        trace: of the function; None if all vertices run in batches.
        policy: how the policy is called.
    """
    numbers = _number_of_batch(schedule)
    ends = [last for *_, last in schedule.type_rows]
    of_row = np.searchsorted(ends, np.arange(schedule.num_vertices), side="right")
    gathering = set() if trace is None else {read.edges.parents for read in trace.children}
    runs_after = [name in gathering and name not in order.batched for name in order.names]
    is_after = np.array([*runs_after, False])[of_row] & (numbers < 0)
    is_before = ~is_after & (numbers < 0)
    names: list[str] = []
    first = 0
    if is_before.any():
        first, names = 1, ["before all batches"]
    steps = np.searchsorted(schedule.step_ptr, np.arange(schedule.num_batches), "right") - 1
    names += [
        f"step {step}, batch {number}: {order.names[kind]}"
        for number, (step, (kind, *_)) in enumerate(zip(steps, schedule.batches, strict=True))
    ]
    turns = np.where(numbers < 0, 0, numbers + first)
    if is_after.any():
        turns[is_after] = len(names)
        names.append("after all batches")
    count = schedule.num_vertices
    vertices = "1 vertex" if count == 1 else f"{count:,} vertices"
    batches = counted(schedule.num_batches, "batch")
    title = f"{vertices} in {batches}, {counted(schedule.num_steps, 'step')}, by policy {policy}"
    types = () if trace is None else trace.types
    return Turns(turns[schedule.vertex_row].tolist(), names, title, types)


def _number_of_batch(schedule: Schedule) -> Array:
    """The batch of each row; -1 for what runs in none."""
    numbers = np.full(schedule.num_vertices, -1)
    for number, (_, first, last) in enumerate(schedule.batches):
        numbers[first:last] = number
    return numbers
