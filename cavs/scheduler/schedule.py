"""The content of a schedule, and the reference schedule that the engine's must equal."""

from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cavs.scheduler.policy import POLICIES, Structure, check_policy

__all__ = ["ReferenceSchedule", "Schedule"]

IntArray = npt.NDArray[np.int32]


class Schedule(Protocol):
    """A batch's vertices renumbered level by level; all arrays are int32 and not to be written to.

    A level is a task of the policy. Rows of a level are contiguous and keep the user's order; an
    edge's row follows its parent's, so a level's edges are contiguous too. CSR is a pair of arrays:
    the values, and `_ptr`, the offset at which each row's values start, ending with the total.
    """

    num_graphs: int
    num_vertices: int
    num_edges: int
    num_levels: int
    max_arity: int  # the greatest number of children of a vertex
    num_slots: int  # 1 + the greatest slot of a child: max_arity, or more where lists have holes
    level_ptr: IntArray  # [num_levels + 1] first vertex row of each level
    level_edge_ptr: IntArray  # [num_levels + 1] first edge row of each level
    vertex_order: IntArray  # [vertex row] -> user's vertex
    vertex_row: IntArray  # [user's vertex] -> vertex row
    edge_order: IntArray  # [edge row] -> user's edge
    child: IntArray  # [edge row] -> vertex row of the child
    parent: IntArray  # [edge row] -> vertex row of the parent
    edge_slot: IntArray  # [edge row] -> place in the parent's child list, holes counted
    child_ptr: IntArray  # CSR vertex row -> its edge rows, which are contiguous
    out_ptr: IntArray  # CSR vertex row -> the edge rows in which it is the child,
    out_edge: IntArray  #   ascending
    graph: IntArray  # [vertex row] -> graph
    local: IntArray  # [vertex row] -> number within its graph
    edge_graph: IntArray  # [edge row] -> graph
    edge_local: IntArray  # [edge row] -> number within its graph's edges
    graph_ptr: IntArray  # CSR graph -> its vertex rows,
    graph_vertex: IntArray  #   in the user's order

    def slot(self, k: int) -> IntArray:
        """Maps each vertex row to the vertex row of its k-th child, or -1; [num_vertices]."""


class ReferenceSchedule(Schedule):
    """The schedule of `batch` under `policy`, built the slow and plain way.

    Raises `GraphError` on a cycle and `InputError` for an unknown policy.
    """

    def __init__(self, batch: Structure, policy: str = "batching") -> None:
        tasks = POLICIES[check_policy(policy)](batch)
        vertices = [vertex for task in tasks for vertex in task]
        edge_ranges = [range(batch.child_ptr[v], batch.child_ptr[v + 1]) for v in vertices]
        arities = [len(edges) for edges in edge_ranges]
        self.num_graphs = len(batch.ptr) - 1
        self.num_vertices = len(vertices)
        self.num_edges = len(batch.children)
        self.num_levels = len(tasks)
        self.max_arity = max(arities, default=0)
        self.vertex_order = _ints(vertices)
        self.vertex_row = _inverse(vertices)
        self.child_ptr = _offsets(arities)
        self.level_ptr = _offsets([len(task) for task in tasks])
        self.level_edge_ptr = self.child_ptr[self.level_ptr]
        self._fill_edges(batch, edge_ranges)
        self._fill_graphs(batch)

    def _fill_edges(self, batch: Structure, edge_ranges: list[range]) -> None:
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

    def _fill_graphs(self, batch: Structure) -> None:
        graphs = np.arange(self.num_graphs, dtype=np.int32)
        self.graph = np.repeat(graphs, np.diff(batch.ptr))[self.vertex_order]
        self.local = self.vertex_order - batch.ptr[self.graph]
        self.edge_graph = np.repeat(graphs, np.diff(batch.edge_ptr))[self.edge_order]
        self.edge_local = self.edge_order - batch.edge_ptr[self.edge_graph]
        self.graph_ptr = batch.ptr
        spans = pairwise(batch.ptr.tolist())
        self.graph_vertex = _ints([self.vertex_row[v] for span in spans for v in range(*span)])

    def slot(self, k: int) -> IntArray:
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
