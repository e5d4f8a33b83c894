"""The content of a schedule, and the policies by which it is made."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from cavs._arguments import is_among, shown
from cavs.errors import InputError

IntArray = npt.NDArray[np.int32]

#: ``batching`` activates a vertex together with all others whose last child is done; ``serial``
#: runs one vertex at a time, graph by graph, within a graph in the order of ``batching``.
POLICIES = ("batching", "serial")


class Schedule(Protocol):
    """A batch's vertices renumbered level by level; all arrays are int32 and not to be written to.

    The vertices of a level run together. Rows of a level are contiguous and keep the user's order;
    an edge's row follows its parent's, so a level's edges are contiguous too. CSR is a pair of
    arrays: the values, and `_ptr`, the offset at which each row's values start, ending with the
    total.
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


def check_policy(name: str) -> str:
    """Return `name` if a policy has it; raises `InputError` otherwise."""
    if not is_among(name, POLICIES):
        raise InputError(
            f"[schedule] expected policy {' or '.join(POLICIES)}, got {shown(name)}; choose "
            "one of these"
        )
    return name
