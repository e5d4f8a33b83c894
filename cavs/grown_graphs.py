"""The structure of graphs that grow: the vertices so far, and the batches that compute new ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cavs._arguments import shown
from cavs._arrays import Array, foreign_array
from cavs.errors import DTypeError, GraphError, ShapeError
from cavs.grown_rows import codes_of
from cavs.scheduler import GraphBatch


def integers_of(name: str, given: Any) -> Array:
    """An array of integers."""
    array = foreign_array(given, "unfold")
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(f"[unfold] expected integers as {name}, got {shown(given)}; convert them")
    found: Array = array.astype(np.int64)
    return found


class Fresh(NamedTuple):
    """New vertices.

    Attributes:
        vertices, graph: (vertices,) their numbers, and the graph of each.
        ptr, children: offsets, and the numbers of the vertices that they gather from.
        slots: (children,) the place of each child in its list, holes counted.
        types: (vertices,) the numbers of their types; None in a function without types.
    """

    vertices: Array
    graph: Array
    ptr: Array
    children: Array
    slots: Array
    types: Array | None


class LevelBatch(NamedTuple):
    """New vertices as a batch, beside the known vertices that they gather from.

    Attributes:
        graphs: the batch; within a graph known vertices come first.
        active: the graphs that it consists of.
        known, known_rows: numbers of the known vertices, and their rows in the batch.
        new_rows: rows of the new vertices.
        number: (rows,) the number of each vertex.
        types: (rows,) the numbers of their types; None in a function without types.
    """

    graphs: GraphBatch
    active: Array
    known: Array
    known_rows: Array
    new_rows: Array
    number: Array
    types: Array | None

    def is_new(self) -> Array:
        """(rows,) whether each vertex is new."""
        found = np.zeros(len(self.number), bool)
        found[self.new_rows] = True
        return found

    def name_of(self, graph: int, vertex: int) -> str:
        """A vertex of the batch in words, by its graph and its number."""
        row = int(self.graphs.ptr[graph]) + vertex
        return f"graph {self.active[graph]}, vertex {self.number[row]}"


class GrownGraphs:
    """All vertices, by number: the graph, the type and the children of each.

    Attributes:
        types: (vertices,) the numbers of their types among the function's; None in a function
            without types.
    """

    def __init__(
        self,
        num_graphs: int,
        keys: Any,
        max_vertices: int,
        children_read: int | None,
        names: Sequence[str] = (),
    ) -> None:
        """`children_read`: how many children a vertex may have; None: any number. `names`: the
        types of the function. The others, and the errors, are as in :func:`cavs.unfold`."""
        self._num_graphs = num_graphs
        self._keys = np.arange(num_graphs) if keys is None else integers_of("keys", keys)
        if self._keys.shape != (num_graphs,):
            raise ShapeError(
                f"[unfold] expected keys ({num_graphs},), got shape {self._keys.shape}; give a "
                "key for each graph"
            )
        self._max_vertices = max_vertices
        self._sizes = np.zeros(num_graphs, np.int64)
        self._graph = np.zeros(0, np.int64)
        self._ptr = np.zeros(1, np.int64)
        self._children = np.zeros(0, np.int64)
        self._slots = np.zeros(0, np.int64)
        self._children_read = children_read
        self._names = np.array(names)
        self.types = np.zeros(0, np.int64) if names else None

    def open(self, given: Any, graphs: Any, types: Any = None) -> Fresh:
        """Gives new vertices their numbers and checks the vertices that they gather from.

        Args:
            given, graphs, types: their children, the graph and the type of each, as in a `Growth`.

        Raises:
            GraphError, ShapeError, DTypeError: see :func:`cavs.unfold`.
        """
        first = len(self._graph)
        ptr, children, slots = _as_csr(given)
        if len(children) and not (children.min() >= 0 and children.max() < first):
            wrong = children[(children < 0) | (children >= first)][0]
            raise GraphError(
                f"[unfold] expected children among the {first} vertices that are there, got "
                f"{wrong}; name vertices of earlier levels"
            )
        count = len(ptr) - 1
        graph = self._graph_of_new(graphs, ptr, children, count)
        owner = np.repeat(graph, np.diff(ptr))
        if (self._graph[children] != owner).any():
            at = int(np.flatnonzero(self._graph[children] != owner)[0])
            raise GraphError(
                f"[unfold] expected children in the vertex's own graph {owner[at]}, got vertex "
                f"{children[at]} of graph {self._graph[children[at]]}; keep graphs apart"
            )
        self._check_slots(ptr, slots, graph, first)
        codes = codes_of(types, count, self._names.tolist())
        self._sizes += np.bincount(graph, minlength=self._num_graphs)
        if self._sizes.max(initial=0) > self._max_vertices:
            raise GraphError(
                f"[unfold] expected graph {self._sizes.argmax()} to end within "
                f"{self._max_vertices} vertices, got {self._sizes.max()}; let expand end it, or "
                "raise max_vertices"
            )
        self._graph = np.concatenate([self._graph, graph])
        if self.types is not None:
            self.types = np.concatenate([self.types, codes])
        self._ptr = np.concatenate([self._ptr, self._ptr[-1] + ptr[1:]])
        self._children = np.concatenate([self._children, children])
        self._slots = np.concatenate([self._slots, slots])
        return Fresh(np.arange(first, first + count), graph, ptr, children, slots, codes)

    def _named(self, types: Array | None) -> list[str] | None:
        """The types of vertices by name, as graphs have them."""
        if types is None:
            return None
        found: list[str] = self._names[types].tolist()
        return found

    def _check_slots(self, ptr: Array, slots: Array, graph: Array, first: int) -> None:
        """Checks that the model reads all children of each new vertex."""
        read = self._children_read
        if read is not None and slots.max(initial=-1) >= read:
            edge = int(slots.argmax())
            at = int(np.searchsorted(ptr, edge, side="right")) - 1
            raise GraphError(
                f"[unfold] graph {graph[at]}, vertex {first + at}: expected at most {read} "
                f"children, since F gathers no slot beyond {read - 1}, got {slots[edge] + 1}; "
                "gather more slots or all children, or compile with extra_children='ignore'"
            )

    def _graph_of_new(self, given: Any, ptr: Array, children: Array, count: int) -> Array:
        if given is not None:
            graph = integers_of("graph", given)
            if graph.shape != (count,):
                raise ShapeError(
                    f"[unfold] expected the graphs of {count} new vertices, got shape "
                    f"{graph.shape}; give one for each"
                )
            if count and not (graph.min() >= 0 and graph.max() < self._num_graphs):
                raise GraphError(
                    f"[unfold] expected graphs in 0..{self._num_graphs - 1}, got "
                    f"{graph.min()}..{graph.max()}; number the graphs that there are"
                )
            return graph
        if (np.diff(ptr) == 0).any():
            raise GraphError(
                "[unfold] expected the graphs of new vertices that gather nothing, got none; "
                "give graph="
            )
        return self._graph[children[ptr[:-1]]]

    def batch(self, fresh: Fresh) -> LevelBatch:
        """The new vertices as a batch, beside the vertices that they gather from."""
        known = np.unique(fresh.children)
        graph = np.concatenate([self._graph[known], fresh.graph])
        order = np.argsort(graph, kind="stable")  # within a graph: known ones, then new ones
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        active, sizes = np.unique(graph, return_counts=True)
        ptr = np.concatenate([[0], np.cumsum(sizes)])
        new_rows = place[len(known) :]
        counts = np.zeros(len(order), np.int64)
        counts[new_rows] = np.diff(fresh.ptr)
        begin = np.repeat(ptr[:-1], sizes)
        # Edges follow the order of the rows of their parents.
        by_row = np.argsort(new_rows, kind="stable")
        edges = _rows_of(fresh.ptr, by_row)
        parents = np.repeat(new_rows[by_row], np.diff(fresh.ptr)[by_row])
        children = place[np.searchsorted(known, fresh.children[edges])] - begin[parents]
        child_ptr = np.concatenate([[0], np.cumsum(counts)])
        slots = fresh.slots[edges]
        number = np.concatenate([known, fresh.vertices])[order]
        types = None if self.types is None else self.types[number]
        keys = self._keys[active]
        batch = GraphBatch.from_csr(ptr, child_ptr, children, keys, slots, self._named(types))
        return LevelBatch(batch, active, known, place[: len(known)], new_rows, number, types)

    def whole(self) -> tuple[GraphBatch, Array]:
        """All graphs, and the numbers of their vertices, graph after graph."""
        order = np.argsort(self._graph, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        ptr = np.concatenate([[0], np.cumsum(self._sizes)])
        edges = _rows_of(self._ptr, order)
        counts = np.diff(self._ptr)[order]
        begin = np.repeat(np.repeat(ptr[:-1], self._sizes), counts)
        child_ptr = np.concatenate([[0], np.cumsum(counts)])
        children = place[self._children[edges]] - begin
        types = self._named(None if self.types is None else self.types[order])
        slots = self._slots[edges]
        graphs = GraphBatch.from_csr(ptr, child_ptr, children, self._keys, slots, types)
        return graphs, order


def _as_csr(children: Any) -> tuple[Array, Array, Array]:
    """Offsets, the numbers of the children, and their slots, without holes."""
    if isinstance(children, np.ndarray) and children.ndim == 1 and children.dtype.kind in "iu":
        ptr, flat = np.arange(len(children) + 1), children.astype(np.int64)
    else:
        ptr, flat = _flat(children)
    slots = np.arange(len(flat)) - np.repeat(ptr[:-1], np.diff(ptr))
    kept = flat != -1
    return np.concatenate([[0], np.cumsum(kept)])[ptr], flat[kept], slots[kept]


def _flat(children: Any) -> tuple[Array, Array]:
    """The offsets of the lists, and what they hold."""
    lists: Sequence[Any] = [np.atleast_1d(integers_of("children", c)) for c in children]
    if any(c.ndim != 1 for c in lists):
        raise GraphError(
            "[unfold] expected a list of children for each vertex, got lists in lists; flatten them"
        )
    ptr = np.concatenate([[0], np.cumsum([len(c) for c in lists])]).astype(np.int64)
    flat = np.concatenate(lists) if lists else np.zeros(0, np.int64)
    return ptr, flat


def _rows_of(ptr: Array, chosen: Array) -> Array:
    """Positions ptr[i]..ptr[i + 1] - 1 for each chosen i, one after the other."""
    counts = np.diff(ptr)[chosen]
    starts = np.repeat(ptr[:-1][chosen] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    return starts + np.arange(counts.sum())
