"""The schedule in plain Python, which the engine's, built in C++, must equal.

A task is a list of vertices that run together; a policy is a function that lists the tasks of a
batch.
"""

from collections.abc import Callable
from itertools import accumulate, pairwise

import numpy as np

from cavs.errors import GraphError
from cavs.scheduler import GraphBatch, Schedule
from cavs.scheduler.schedule import IntArray

#: Vertices of the batch, task by task.
Tasks = list[list[int]]


def batching(batch: GraphBatch) -> Tasks:
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


def serial(batch: GraphBatch) -> Tasks:
    """Run one vertex at a time: graph by graph, within a graph in the order of `batching`."""
    by_level = [vertex for task in batching(batch) for vertex in task]
    graph_of = np.repeat(np.arange(len(batch.ptr) - 1), np.diff(batch.ptr)).tolist()
    return [[vertex] for vertex in sorted(by_level, key=graph_of.__getitem__)]


#: The policies by name.
POLICIES: dict[str, Callable[[GraphBatch], Tasks]] = {"batching": batching, "serial": serial}


class ReferenceSchedule(Schedule):
    """The schedule of `batch` under `policy`, built the slow and plain way.

    Raises `GraphError` on a cycle.
    """

    def __init__(self, batch: GraphBatch, policy: str = "batching") -> None:
        tasks = POLICIES[policy](batch)
        vertices = [vertex for task in tasks for vertex in task]
        edge_ranges = [range(batch.child_ptr[v], batch.child_ptr[v + 1]) for v in vertices]
        arities = [len(edges) for edges in edge_ranges]
        self.num_graphs = len(batch.ptr) - 1
        self.has_runs = batch.has_runs
        self.num_vertices = len(vertices)
        self.num_edges = len(batch.children)
        self.num_levels = self.num_batches = self.num_steps = len(tasks)
        self.step_ptr = _ints(range(len(tasks) + 1))
        ends = list(accumulate(map(len, tasks), initial=0))
        self.batches = [(0, begin, end) for begin, end in pairwise(ends)]
        leaves = [arity == 0 for arity in arities]
        first = 0 if sorted(leaves, reverse=True) != leaves else sum(leaves)
        self.type_rows = [(0, first, len(vertices))]
        together = sorted(leaves, reverse=True) == leaves  # leaves are the first rows
        self.has_few_leaves = together and sum(leaves) < 32 and sum(leaves) * 8 <= len(vertices)
        self.max_arity = max(arities, default=0)
        self.vertex_order = _ints(vertices)
        self.vertex_row = _inverse(vertices)
        self.child_ptr = _offsets(arities)
        self.level_ptr = _offsets([len(task) for task in tasks])
        self.level_edge_ptr = self.child_ptr[self.level_ptr]
        self._fill_edges(batch, edge_ranges)
        self._fill_graphs(batch)

    def _fill_edges(self, batch: GraphBatch, edge_ranges: list[range]) -> None:
        self.edge_order = _ints([edge for edges in edge_ranges for edge in edges])
        self.edge_slot = batch.child_slot[self.edge_order]
        self.num_slots = int(self.edge_slot.max(initial=-1)) + 1
        self.parent = _ints([row for row, edges in enumerate(edge_ranges) for _ in edges])
        self.child = self.vertex_row[batch.children[self.edge_order]]
        out_edges: list[list[int]] = [[] for _ in edge_ranges]
        for edge_row, child in enumerate(self.child.tolist()):
            out_edges[child].append(edge_row)
        self.out_ptr = _offsets([len(rows) for rows in out_edges])
        self.out_edge = _ints([edge_row for rows in out_edges for edge_row in rows])

    def _fill_graphs(self, batch: GraphBatch) -> None:
        graphs = np.arange(self.num_graphs, dtype=np.int32)
        self.graph = np.repeat(graphs, np.diff(batch.ptr))[self.vertex_order]
        self.local = self.vertex_order - batch.ptr[self.graph]
        self.edge_graph = np.repeat(graphs, np.diff(batch.edge_ptr))[self.edge_order]
        self.edge_local = self.edge_order - batch.edge_ptr[self.edge_graph]
        self.graph_ptr = batch.ptr
        spans = pairwise(batch.ptr.tolist())
        self.graph_vertex = _ints([self.vertex_row[v] for span in spans for v in range(*span)])

    def slot(self, k: int, list: int = 0) -> IntArray:
        """Maps each vertex row to the vertex row of its k-th child, or -1; [num_vertices]."""
        rows = np.full(self.num_vertices, -1, np.int32)
        edges = self.edge_slot == k
        rows[self.parent[edges]] = self.child[edges]
        return rows


def _ints(values: list[int]) -> IntArray:
    return np.array(values, np.int32)


def _offsets(counts: list[int]) -> IntArray:
    return _ints(list(accumulate(counts, initial=0)))


def _inverse(order: list[int]) -> IntArray:
    inverse = np.empty(len(order), np.int32)
    inverse[order] = np.arange(len(order))
    return inverse
