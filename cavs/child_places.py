"""Checks how many children a vertex has where F has a column for each place of a child."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cavs.core.ir import ancestors
from cavs.core.ops._def import Rows, Typed
from cavs.core.ops.structure import CHILD_COLUMNS
from cavs.core.trace import Trace
from cavs.core.tracing import SourceLine
from cavs.errors import GraphError
from cavs.execution.typed_rows import rows_of
from cavs.scheduler import GraphBatch


class _Places(NamedTuple):
    """How many children a vertex may have by a list of edges, and the line that says so."""

    edges: Rows
    count: int
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
                if found.count < known.count:
                    self._least[found.edges] = found

    def check(self, graphs: GraphBatch) -> None:
        """Raises GraphError that names a vertex with more children than there are places for."""
        for places in self._least.values():
            counts = graphs.kept(
                (ChildPlaces, places.edges), lambda p=places: self._count(graphs, p)
            )  # type: ignore[misc]
            vertex = int(counts.argmax()) if len(counts) else 0
            if not len(counts) or counts[vertex] <= places.count:
                continue
            graph = int(np.searchsorted(graphs.ptr, vertex, side="right")) - 1
            raise GraphError(
                f"[graph] graph {graph}, vertex {vertex - int(graphs.ptr[graph])}: expected at most "
                f"{places.count} children, as many as `position` of ops.attention has columns"
                f"{f' at {places.where}' if places.where else ''}, got {counts[vertex]}; give it "
                "more columns, or the vertex fewer children"
            )

    def _count(self, graphs: GraphBatch, places: _Places) -> np.ndarray:
        """The number of children of each vertex."""
        counts = np.diff(graphs.child_ptr)
        if not isinstance(places.edges, Typed):
            return counts
        parents = np.repeat(np.arange(graphs.num_vertices), counts)
        there = rows_of(graphs, list(self._names), places.edges)
        return np.bincount(parents[there], minlength=graphs.num_vertices)
