"""Graphs whose structure depends on values: computed or sampled values open new vertices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cavs._arguments import instance, integer, mapping, shown
from cavs._arrays import foreign_array
from cavs.core.ir import Name
from cavs.core.stepwise import Known, State
from cavs.errors import DTypeError, GraphError, InputError, ShapeError
from cavs.model import Model
from cavs.replay import Part
from cavs.scheduler import GraphBatch
from cavs.tensor import no_grad

Array = npt.NDArray[Any]


class Growth(NamedTuple):
    """Vertices to open.

    Attributes:
        children: for each new vertex the numbers of the vertices whose states it gathers, in order:
            a list of lists, or (vertices,) integers for one each. They are numbers of
            `Frontier.vertices`, of this level or an earlier one.
        inputs: the inputs that the new vertices pull, arrays with a row for each.
        graph: (vertices,) the graph of each; needed only where vertices gather nothing.
    """

    children: Any
    inputs: Mapping[str, Any] = {}
    graph: Any = None


@dataclass(frozen=True)
class Frontier:
    """The vertices that were computed last, of all graphs together.

    Attributes:
        level: how many levels there were before.
        vertices: (rows,) their numbers, which count all vertices of all graphs.
        graph: (rows,) the graph of each.
        inputs: the inputs that they pulled.
        outputs: the outputs that they pushed, arrays with a row for each.
    """

    level: int
    vertices: Array
    graph: Array
    inputs: dict[str, Array]
    outputs: dict[str, Array]


@dataclass(frozen=True)
class Unfolded:
    """The grown graphs, with their inputs and outputs.

    Attributes:
        graphs: the graphs; the children of a vertex are the vertices that it gathered from.
            Vertices of a graph stand in the order in which they were opened.
        inputs: the inputs of all vertices and of the graphs, as a call of the model over `graphs`
            takes them.
        outputs: the outputs of all vertices, in the same order.
        vertices: (vertices,) the numbers that they had in `Frontier.vertices`.
    """

    graphs: GraphBatch
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    vertices: Array


def unfold(
    model: Model,
    roots: Growth,
    expand: Callable[[Frontier], Growth | None],
    *,
    num_graphs: int,
    graph_inputs: Mapping[str, Any] | None = None,
    keys: Any = None,
    max_levels: int = 100,
    max_vertices: int = 10_000,
) -> Unfolded:
    """Grows graphs level by level: `model` computes the new vertices of all graphs together, then
    `expand` gets their outputs and says which vertices to open next.

    No gradients flow: train on the grown graphs. Samples that the model draws depend on seed, step,
    the graph's key, its level and the vertices of that graph which were opened before, not on
    the other graphs.

    Args:
        model: pulls inputs of vertices and graphs, none of edges.
        roots: the first vertices, with ``graph``; they gather nothing.
        expand: gets the last level; gives new vertices, or None, or none of them, to end. A graph
            ends by itself where it gets no more vertices.
        num_graphs: how many graphs there are.
        graph_inputs: arrays with a row for each graph.
        keys: (num_graphs,) the key that each graph's random numbers are drawn by; None: its number.
        max_levels: levels that a graph may have.
        max_vertices: vertices that a graph may have.

    Raises:
        GraphError: a graph does not end within the limits, or a vertex gathers from a vertex that
            is not there or in another graph, or from more vertices than F reads; each names the
            graph. InputError: the model pulls from edges; and the errors of a call of the model.
    """
    instance("unfold", "model", model, Model, "a compiled cavs.Model")
    if not callable(expand):
        raise InputError(f"[unfold] expected a function as expand, got {shown(expand)}; pass one")
    num_graphs = integer("unfold", "num_graphs", num_graphs, 0)
    max_levels = integer("unfold", "max_levels", max_levels, 0)
    max_vertices = integer("unfold", "max_vertices", max_vertices, 0)
    given = {} if graph_inputs is None else mapping("unfold", "graph_inputs", graph_inputs)
    grown = _Grown(model, num_graphs, dict(given), keys, max_vertices)
    growth: Growth | None = instance("unfold", "roots", roots, Growth, "a cavs.Growth")
    level = 0
    while growth is not None and _opens(growth):
        fresh = grown.open(growth)
        if level == max_levels:
            raise GraphError(
                f"[unfold] expected graph {fresh.graph.min()} to end within {max_levels} levels, "
                "got more; let expand end it, or raise max_levels"
            )
        frontier = grown.compute(level, fresh, growth)
        growth = expand(frontier)
        if growth is not None:
            instance("unfold", "what expand gives", growth, Growth, "a cavs.Growth, or None,")
        level += 1
    return grown.finish()


def _opens(growth: Growth) -> bool:
    """Whether there are vertices to open; raises where that cannot be told."""
    children = growth.children
    if not isinstance(children, (list, tuple)):
        children = _integers("children", children)
        if children.ndim == 0:
            raise GraphError(
                f"[unfold] expected lists of children, got {shown(growth.children)}; give a "
                "list a vertex"
            )
    mapping("unfold", "inputs of a Growth", growth.inputs)
    return len(children) > 0


def _integers(name: str, given: Any) -> Array:
    """An array of integers."""
    array = foreign_array(given, "unfold")
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(f"[unfold] expected integers as {name}, got {shown(given)}; convert them")
    found: Array = array.astype(np.int64)
    return found


class _Fresh(NamedTuple):
    vertices: Array
    graph: Array
    ptr: Array
    children: Array


@dataclass
class _Rows:
    """Rows of all vertices so far."""

    parts: list[Array] = field(default_factory=list)

    def take(self, rows: Array) -> Array:
        if len(self.parts) > 1:
            self.parts = [np.concatenate(self.parts)]
        return self.parts[0][rows]


class _Grown:
    """All vertices, by number."""

    def __init__(
        self,
        model: Model,
        num_graphs: int,
        graph_inputs: dict[str, Any],
        keys: Any,
        max_vertices: int,
    ) -> None:
        for name, spec in model.inputs.items():
            if spec.space == "edge":
                raise InputError(
                    "[unfold] expected a model that pulls from vertices and graphs, got one that "
                    f"pulls {name!r} from edges; pull it from vertices"
                )
        self._model = model.stepwise()
        self._states = [State(name) for name in model.states]
        self._shapes = model.inputs
        self._num_graphs = num_graphs
        self._graph_inputs = {name: foreign_array(x, "unfold") for name, x in graph_inputs.items()}
        for name, array in self._graph_inputs.items():
            if array.shape[:1] != (num_graphs,):
                raise ShapeError(
                    f"[unfold] expected a row of {name!r} for each of {num_graphs} graphs, got "
                    f"shape {array.shape}; give one for each"
                )
        self._keys = np.arange(num_graphs) if keys is None else _integers("keys", keys)
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
        self._rows: dict[Name, _Rows] = {}

    def open(self, growth: Growth) -> _Fresh:
        """Gives the new vertices their numbers and checks the vertices that they gather from."""
        first = len(self._graph)
        ptr, children = _as_csr(growth.children)
        if len(children) and not (children.min() >= 0 and children.max() < first):
            wrong = children[(children < 0) | (children >= first)][0]
            raise GraphError(
                f"[unfold] expected children among the {first} vertices that are there, got "
                f"{wrong}; name vertices of earlier levels"
            )
        count = len(ptr) - 1
        graph = self._graph_of_new(growth, ptr, children, count)
        owner = np.repeat(graph, np.diff(ptr))
        if (self._graph[children] != owner).any():
            at = int(np.flatnonzero(self._graph[children] != owner)[0])
            raise GraphError(
                f"[unfold] expected children in the vertex's own graph {owner[at]}, got vertex "
                f"{children[at]} of graph {self._graph[children[at]]}; keep graphs apart"
            )
        self._check_counts(ptr, graph, first)
        self._sizes += np.bincount(graph, minlength=self._num_graphs)
        if self._sizes.max(initial=0) > self._max_vertices:
            raise GraphError(
                f"[unfold] expected graph {self._sizes.argmax()} to end within "
                f"{self._max_vertices} vertices, got {self._sizes.max()}; let expand end it, or "
                "raise max_vertices"
            )
        self._graph = np.concatenate([self._graph, graph])
        self._ptr = np.concatenate([self._ptr, self._ptr[-1] + ptr[1:]])
        self._children = np.concatenate([self._children, children])
        return _Fresh(np.arange(first, first + count), graph, ptr, children)

    def _check_counts(self, ptr: Array, graph: Array, first: int) -> None:
        """Checks that the model reads all children of each new vertex."""
        read, counts = self._model.children_read, np.diff(ptr)
        if read is not None and counts.max(initial=0) > read:
            at = int(counts.argmax())
            raise GraphError(
                f"[unfold] graph {graph[at]}, vertex {first + at}: expected at most {read} "
                f"children, since F gathers no slot beyond {read - 1}, got {counts[at]}; gather "
                "more slots or all children, or compile with extra_children='ignore'"
            )

    def _graph_of_new(self, growth: Growth, ptr: Array, children: Array, count: int) -> Array:
        if growth.graph is not None:
            graph = _integers("graph", growth.graph)
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

    def compute(self, level: int, fresh: _Fresh, growth: Growth) -> Frontier:
        """Runs the model over the new vertices, beside the vertices that they gather from."""
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
        batch = GraphBatch.from_csr(ptr, child_ptr, children, self._keys[active])
        inputs = self._step_inputs(growth, known, place[: len(known)], new_rows, active)
        row_is_new = np.zeros(len(order), bool)
        row_is_new[new_rows] = True
        number = np.concatenate([known, fresh.vertices])[order]

        def name_of(graph: int, vertex: int) -> str:
            return f"graph {active[graph]}, vertex {number[ptr[graph] + vertex]}"

        with no_grad():
            out = self._model._call(batch, inputs, Part(row_is_new, name_of))
        outputs = {name: y.data[new_rows] for name, y in out.items()}
        given = {name: foreign_array(x, "unfold") for name, x in growth.inputs.items()}
        for name, rows in {**outputs, **given}.items():
            self._rows.setdefault(name, _Rows()).parts.append(rows)
        shown = {name: y for name, y in outputs.items() if name not in self._states}
        return Frontier(level, fresh.vertices, fresh.graph, given, shown)

    def _step_inputs(
        self, growth: Growth, known: Array, known_rows: Array, new_rows: Array, active: Array
    ) -> dict[Name, Array]:
        """Inputs of the rows of a level: the given ones for new vertices, states for known ones."""
        count = len(known_rows) + len(new_rows)
        inputs: dict[Name, Array] = {}
        for name, spec in self._model.inputs.items():
            if isinstance(name, Known):
                inputs[name] = np.zeros(count, self._model.dtype)
                inputs[name][known_rows] = 1
            elif name in self._states:
                inputs[name] = np.zeros((count, *spec.shape), self._model.dtype)
                if len(known):
                    inputs[name][known_rows] = self._rows[name].take(known)
            elif spec.space == "graph":
                if name in self._graph_inputs:
                    inputs[name] = self._graph_inputs[name][active]
            elif name in growth.inputs:
                rows = foreign_array(growth.inputs[name], "unfold")
                if rows.shape != (len(new_rows), *spec.shape):
                    raise ShapeError(
                        f"[unfold] expected an array of shape {(len(new_rows), *spec.shape)} for "
                        f"{name!r}, got {rows.shape}; give a row for each new vertex"
                    )
                fill = -1 if spec.dtype == "int32" else 0
                inputs[name] = np.full((count, *spec.shape), fill, rows.dtype)
                inputs[name][new_rows] = rows
        return inputs

    def finish(self) -> Unfolded:
        """All vertices, graph after graph."""
        order = np.argsort(self._graph, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        ptr = np.concatenate([[0], np.cumsum(self._sizes)])
        edges = _rows_of(self._ptr, order)
        counts = np.diff(self._ptr)[order]
        begin = np.repeat(np.repeat(ptr[:-1], self._sizes), counts)
        child_ptr = np.concatenate([[0], np.cumsum(counts)])
        children = place[self._children[edges]] - begin
        graphs = GraphBatch.from_csr(ptr, child_ptr, children, self._keys)
        rows = {name: held.take(order) for name, held in self._rows.items()}
        pulled = self._shapes
        return Unfolded(
            graphs,
            {name: rows[name] for name in pulled if name in rows} | self._graph_inputs,
            {n: x for n, x in rows.items() if n not in pulled and n not in self._states},
            order,
        )


def _as_csr(children: Any) -> tuple[Array, Array]:
    """Offsets, and the numbers of the children."""
    if isinstance(children, np.ndarray) and children.ndim == 1 and children.dtype.kind in "iu":
        return np.arange(len(children) + 1), children.astype(np.int64)
    lists: Sequence[Any] = [np.atleast_1d(_integers("children", c)) for c in children]
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
