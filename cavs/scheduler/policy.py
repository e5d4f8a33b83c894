"""Policies: which vertices are activated together, and in which order.

A task is a list of vertices that run together; a policy is a function that lists the tasks of a
batch. These are the definitions, in plain Python; the engine computes the same in C++.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cavs._arguments import is_among, shown
from cavs.errors import GraphError, InputError

__all__ = ["POLICIES", "Structure", "Tasks", "batching", "check_policy", "serial"]

#: Vertices of the batch, task by task.
Tasks = list[list[int]]


class Structure(Protocol):
    """Graphs as flat arrays: the part of a `GraphBatch` that a policy reads."""

    @property
    def ptr(self) -> npt.NDArray[np.int32]:
        """First vertex of each graph; int32 [num_graphs + 1]."""

    @property
    def edge_ptr(self) -> npt.NDArray[np.int32]:
        """First edge of each graph; int32 [num_graphs + 1]."""

    @property
    def child_ptr(self) -> npt.NDArray[np.int32]:
        """First edge of each vertex; int32 [num_vertices + 1]."""

    @property
    def children(self) -> npt.NDArray[np.int32]:
        """Each edge's child, as its number in the batch; int32 [num_edges]."""

    @property
    def child_slot(self) -> npt.NDArray[np.int32]:
        """Each edge's place in its child list, holes counted; int32 [num_edges]."""


def batching(batch: Structure) -> Tasks:
    """Activate a vertex together with all others whose last child is done.

    Vertices of a task keep the user's order. Raises `GraphError` if some vertices wait for each
    other.
    """
    child_ptr, children = batch.child_ptr.tolist(), batch.children.tolist()
    waiting = [set(children[a:b]) for a, b in pairwise(child_ptr)]
    parents: list[list[int]] = [[] for _ in waiting]
    for vertex, unfinished in enumerate(waiting):
        for child in unfinished:
            parents[child].append(vertex)
    tasks: Tasks = []
    ready = [vertex for vertex, unfinished in enumerate(waiting) if not unfinished]
    while ready:
        tasks.append(ready)
        activated = []
        for child in ready:
            for parent in parents[child]:
                waiting[parent].discard(child)
                if not waiting[parent]:
                    activated.append(parent)
        ready = sorted(activated)
    stuck = [vertex for vertex, unfinished in enumerate(waiting) if unfinished]
    if stuck:
        raise GraphError(
            f"[graph] expected no vertex to be its own descendant, got vertices {stuck[:8]} of "
            "the batch that wait for each other; remove an edge of the cycle"
        )
    return tasks


def serial(batch: Structure) -> Tasks:
    """Run one vertex at a time: graph by graph, within a graph in the order of `batching`."""
    by_level = [vertex for task in batching(batch) for vertex in task]
    graph_of = np.repeat(np.arange(len(batch.ptr) - 1), np.diff(batch.ptr)).tolist()
    return [[vertex] for vertex in sorted(by_level, key=graph_of.__getitem__)]


#: The policies by name.
POLICIES: dict[str, Callable[[Structure], Tasks]] = {"batching": batching, "serial": serial}


def check_policy(name: str) -> str:
    """Return `name` if a policy has it; raises `InputError` otherwise."""
    if not is_among(name, POLICIES):
        raise InputError(
            f"[schedule] expected policy {' or '.join(POLICIES)}, got {shown(name)}; choose "
            "one of these"
        )
    return name
