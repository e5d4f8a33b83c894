"""Checks how many children a vertex has where F has a column for each place of a child."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from cavs._arrays import Array
from cavs.core.ir import ancestors
from cavs.core.ops._spaces import Rows, Typed
from cavs.core.ops.structure import CHILD_COLUMNS
from cavs.core.trace import Trace
from cavs.core.tracing import SourceLine
from cavs.errors import GraphError
from cavs.execution.typed_rows import rows_of
from cavs.scheduler import GraphBatch


class _Places(NamedTuple):
    """How many children a vertex may have by a list of edges, and the line that says so."""

    edges: Rows
    most: int
    where: SourceLine | None


class ChildPlaces:
    """Knows how many children the vertices of a traced function may have."""

    def __init__(self, trace: Trace) -> None:
        self._names = trace.types
        nodes = ancestors(trace.function.roots())
        self._least: dict[Rows, _Places] = {}
        for node in nodes:
            if node.op is CHILD_COLUMNS:
                found = _Places(node.attrs["to"], node.inputs[0].shape[-1], node.where)
                known = self._least.setdefault(found.edges, found)
                if found.most < known.most:
                    self._least[found.edges] = found

    def check(self, graphs: GraphBatch) -> None:
        """Raises GraphError that names a vertex with more children than there are places for."""
        for places in self._least.values():
            count = partial(self._count, graphs, places.edges)
            counts = graphs.kept((ChildPlaces, places.edges), count)
            beyond = np.flatnonzero(counts > places.most)
            if not len(beyond):
                continue
            vertex = int(beyond[0])
            graph = int(np.searchsorted(graphs.ptr, vertex, side="right")) - 1
            raise GraphError(
                f"[graph] graph {graph}, vertex {vertex - int(graphs.ptr[graph])}: expected at "
                f"most {places.most} children, as many as `position` of ops.attention has columns"
                f"{f' at {places.where}' if places.where else ''}, got {counts[vertex]}; give it "
                "more columns, or the vertex fewer children"
            )

    def _count(self, graphs: GraphBatch, edges: Rows) -> Array:
        """The number of children of each vertex by a list of edges."""
        counts: Array = np.diff(graphs.child_ptr)
        if isinstance(edges, Typed):
            parents = np.repeat(np.arange(graphs.num_vertices), counts)
            there = rows_of(graphs, list(self._names), edges)
            counts = np.bincount(parents[there], minlength=graphs.num_vertices)
        return counts
