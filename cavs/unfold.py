"""Graphs whose structure depends on values: computed or sampled values open new vertices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cavs._arguments import instance, integer, mapping, printed, shown
from cavs._arrays import Array
from cavs.call import Part
from cavs.core.ir import Name
from cavs.core.ops._def import SpaceKind
from cavs.core.stepwise import Known, State
from cavs.device.taking import host_array
from cavs.errors import GraphError, InputError, ShapeError
from cavs.grown_graphs import Fresh, GrownGraphs, LevelBatch, integers_of
from cavs.model import Model
from cavs.scheduler import GraphBatch
from cavs.tensor import no_grad


class Growth(NamedTuple):
    """Vertices to open.

    Attributes:
        children: for each new vertex the numbers of the vertices whose states it gathers, in order:
            a list of lists, or (vertices,) integers for one each. They are numbers of
            `Frontier.vertices`, of this level or an earlier one; -1 is a hole, a missing child.
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
    outputs: Iterable[str] | None = None,
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
        outputs: names of the pushes that `expand` gets, of vertices, not of edges; None: all of
            these. What they do not depend on need not be given.
        max_levels: levels that a graph may have.
        max_vertices: vertices that a graph may have.

    Raises:
        GraphError: a graph does not end within the limits, or a vertex gathers from a vertex that
            is not there or in another graph, or from more vertices than F reads; each names the
            graph. InputError: the model pulls from edges, or `outputs` names a push of edges; and
            the errors of a call of the model.
    """
    instance("unfold", "model", model, Model, "a compiled cavs.Model")
    if not callable(expand):
        raise InputError(f"[unfold] expected a function as expand, got {shown(expand)}; pass one")
    num_graphs = integer("unfold", "num_graphs", num_graphs, 0)
    max_levels = integer("unfold", "max_levels", max_levels, 0)
    max_vertices = integer("unfold", "max_vertices", max_vertices, 0)
    given = {} if graph_inputs is None else mapping("unfold", "graph_inputs", graph_inputs)
    grown = _Grown(model, outputs, num_graphs, dict(given), keys, max_vertices)
    growth: Growth | None = instance("unfold", "roots", roots, Growth, "a cavs.Growth")
    level = 0
    while growth is not None and _opens(growth):
        fresh = grown.graphs.open(growth.children, growth.graph)
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
        children = integers_of("children", children)
        if children.ndim == 0:
            raise GraphError(
                f"[unfold] expected lists of children, got {shown(growth.children)}; give a "
                "list a vertex"
            )
    mapping("unfold", "inputs of a Growth", growth.inputs)
    return len(children) > 0


class _Rows:
    """Rows of all vertices so far."""

    def __init__(self) -> None:
        self.parts: list[Array] = []

    def take(self, rows: Array) -> Array:
        if len(self.parts) > 1:
            self.parts = [np.concatenate(self.parts)]
        return self.parts[0][rows]


class _Grown:
    """All vertices with their inputs, states and outputs.

    Attributes:
        graphs: the structure.
    """

    def __init__(
        self,
        model: Model,
        outputs: Iterable[str] | None,
        num_graphs: int,
        graph_inputs: dict[str, Any],
        keys: Any,
        max_vertices: int,
    ) -> None:
        asked = model._asked(outputs)
        for name, spec in asked.inputs.items():
            if spec.space == "edge":
                raise InputError(
                    "[unfold] expected a model that pulls from vertices and graphs, got one that "
                    f"pulls {name!r} from edges; pull it from vertices, or leave out by `outputs` "
                    "what needs it"
                )
        for name, node in asked._compiler.function.pushes.items():
            if outputs is not None and node.space == SpaceKind.EDGE:
                raise InputError(
                    f"[unfold] expected outputs of vertices, got {name!r} of edges; push a "
                    "value of the vertex, such as the sum over its children"
                )
        self._model = asked.stepwise()
        self._states = [State(name) for name in asked.states]
        self._pulled = model.inputs
        self._graph_inputs = {name: host_array(x, "unfold") for name, x in graph_inputs.items()}
        for name, array in self._graph_inputs.items():
            if array.shape[:1] != (num_graphs,):
                raise ShapeError(
                    f"[unfold] expected a row of {printed(name)} for each of {num_graphs} graphs, "
                    f"got shape {array.shape}; give one for each"
                )
        self.graphs = GrownGraphs(num_graphs, keys, max_vertices, self._model.children_read)
        self._rows: dict[Name, _Rows] = {}

    def compute(self, level: int, fresh: Fresh, growth: Growth) -> Frontier:
        """Runs the model over the new vertices, beside the vertices that they gather from."""
        batch = self.graphs.batch(fresh)
        inputs = self._step_inputs(growth, batch)
        with no_grad():
            out = self._model._call(batch.graphs, inputs, Part(batch.is_new(), batch.name_of))
        outputs = {name: y.numpy()[batch.new_rows] for name, y in out.items()}
        given = {name: host_array(x, "unfold") for name, x in growth.inputs.items()}
        for name, rows in {**outputs, **given}.items():
            self._rows.setdefault(name, _Rows()).parts.append(rows)
        pushed = {name: y for name, y in outputs.items() if name not in self._states}
        return Frontier(level, fresh.vertices, fresh.graph, given, pushed)

    def _step_inputs(self, growth: Growth, batch: LevelBatch) -> dict[Name, Array]:
        """Inputs of the rows of a level: the given ones for new vertices, states for known ones."""
        count, new_rows = len(batch.number), batch.new_rows
        inputs: dict[Name, Array] = {}
        for name, spec in self._model.inputs.items():
            if isinstance(name, Known):
                inputs[name] = np.zeros(count, self._model.dtype)
                inputs[name][batch.known_rows] = 1
            elif name in self._states:
                inputs[name] = np.zeros((count, *spec.shape), self._model.dtype)
                if len(batch.known):
                    inputs[name][batch.known_rows] = self._rows[name].take(batch.known)
            elif spec.space == "graph":
                if name in self._graph_inputs:
                    inputs[name] = self._graph_inputs[name][batch.active]
            elif name in growth.inputs:
                rows = host_array(growth.inputs[name], "unfold")
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
        graphs, order = self.graphs.whole()
        rows = {name: held.take(order) for name, held in self._rows.items()}
        pulled = self._pulled
        return Unfolded(
            graphs,
            {name: rows[name] for name in pulled if name in rows} | self._graph_inputs,
            {n: x for n, x in rows.items() if n not in pulled and n not in self._states},
            order,
        )
