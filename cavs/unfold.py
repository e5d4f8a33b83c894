"""Graphs whose structure depends on values: computed or sampled values open new vertices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cavs._arguments import instance, integer, mapping, printed, shown
from cavs._arrays import Array
from cavs.call import Part
from cavs.core.ir import Name
from cavs.core.ops._def import SpaceKind
from cavs.core.stepwise import Known, State
from cavs.core.traced_vertex import InputSpec
from cavs.device.taking import host_array
from cavs.errors import GraphError, InputError, ShapeError
from cavs.grown_graphs import Fresh, GrownGraphs, LevelBatch, integers_of
from cavs.grown_rows import HeldRows, TypesOfRows, check_complete, check_rows, name_of
from cavs.model import Model
from cavs.scheduler import GraphBatch
from cavs.tensor import no_grad


class Growth(NamedTuple):
    """Vertices to open.

    Attributes:
        children: for each new vertex the numbers of the vertices whose states it gathers, in order:
            a list of lists, or (vertices,) integers for one each. They are numbers of
            `Frontier.vertices`, of this level or an earlier one; -1 is a hole, a missing child.
        inputs: the inputs that the new vertices pull, arrays with a row for each. In a function of
            types an input has a row for each new vertex of the types that pull it, in the order of
            the new vertices; where there are none of these, it may be left out.
        graph: (vertices,) the graph of each; needed only where vertices gather nothing.
        types: (vertices,) the type of each, by name, or by number in the order of the function's
            dictionary; for functions of types alone (:class:`cavs.TypedFunction`).
    """

    children: Any
    inputs: Mapping[str, Any] = {}
    graph: Any = None
    types: Any = None


@dataclass(frozen=True)
class Frontier:
    """The vertices that were computed last, of all graphs together.

    Attributes:
        level: how many levels there were before.
        vertices: (rows,) their numbers, which count all vertices of all graphs.
        graph: (rows,) the graph of each.
        inputs: the inputs that they pulled.
        outputs: the outputs that they pushed, arrays with a row for each. In a function of types
            an output has a row for each of the vertices of the types that push it, in their order:
            `rows` says which these are.
        types: (rows,) the type of each by its name, an array of text; None in a function without
            types.
        names: the types of the function, of which a level may lack some.
    """

    level: int
    vertices: Array
    graph: Array
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    types: Array | None = None
    names: tuple[str, ...] = ()

    def rows(self, of: str | int | Sequence[str | int]) -> Array:
        """Where the vertices of a type, or of several, stand among `vertices`, ascending; integers.

        An output of these types has its rows in this order. If only ``decoder`` pushes ``log_p``::

            rows = frontier.rows("decoder")
            for vertex, log_p in zip(frontier.vertices[rows], frontier.outputs["log_p"]):
                ...

        Raises:
            GraphError: the function has no types, or not this one.
        """
        if self.types is None:
            raise GraphError(
                "[unfold] expected a function of types, got one without; read all vertices of the "
                "Frontier"
            )
        given = of if isinstance(of, (list, tuple)) else [of]
        found: Array = np.flatnonzero(np.isin(self.types, [name_of(x, self.names) for x in given]))
        return found


@dataclass(frozen=True)
class Unfolded:
    """The grown graphs, with their inputs and outputs.

    Attributes:
        graphs: the graphs; the children of a vertex are the vertices that it gathered from.
            Vertices of a graph stand in the order in which they were opened. Types, if the function
            has some, are there by name.
        inputs: the inputs of all vertices and of the graphs, as a call of the model over `graphs`
            takes them.
        outputs: the outputs of all vertices, in the same order, as a call gives them.
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
        model: pulls inputs of vertices and graphs, none of edges. If its function has types, each
            `Growth` gives the types of its vertices.
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
            is not there or in another graph, or from one that F does not read; each names the
            graph; or types are missing, unknown, or given where the function has none. ShapeError:
            not a type, or not a row of an input, for each new vertex. InputError: the model pulls
            from edges, `outputs` names a push of edges, or an input is unknown; and
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
        fresh = grown.graphs.open(growth.children, growth.graph, growth.types)
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
        self._whole, self._model = model.inputs, asked.stepwise()
        trace = self._model._compiler.trace
        spaces = {name: spec.rows for name, spec in (self._whole | trace.inputs).items()}
        outputs_of = {name: node.space for name, node in trace.function.pushes.items()}
        self._types = TypesOfRows(trace.types, spaces)
        self._types_of_outputs = TypesOfRows(trace.types, outputs_of)
        self._graph_inputs = {name: host_array(x, "unfold") for name, x in graph_inputs.items()}
        for name, array in self._graph_inputs.items():
            if array.shape[:1] != (num_graphs,):
                raise ShapeError(
                    f"[unfold] expected a row of {printed(name)} for each of {num_graphs} graphs, "
                    f"got shape {array.shape}; give one for each"
                )
        read = self._model.children_read
        self.graphs = GrownGraphs(num_graphs, keys, max_vertices, read, trace.types)
        self._inputs: dict[Name, HeldRows] = {}
        self._outputs: dict[Name, HeldRows] = {}

    def compute(self, level: int, fresh: Fresh, growth: Growth) -> Frontier:
        """Runs the model over the new vertices, beside the vertices that they gather from."""
        batch = self.graphs.batch(fresh)
        given = self._given(growth, fresh)
        inputs = self._step_inputs(given, batch, fresh)
        with no_grad():
            out = self._model._call(batch.graphs, inputs, Part(batch.is_new(), batch.name_of))
        outputs = {name: self._of_new(name, y.numpy(), batch, fresh) for name, y in out.items()}
        for held, arrays, known in (
            (self._inputs, given, self._types),
            (self._outputs, outputs, self._types_of_outputs),
        ):
            for name, rows in arrays.items():
                numbers = fresh.vertices[known.has_row(name, fresh.types, len(fresh.vertices))]
                held.setdefault(name, HeldRows()).add(numbers, rows)
        pushed = {name: y for name, y in outputs.items() if not isinstance(name, State)}
        names = self._types.names
        types = None if fresh.types is None else np.array(names)[fresh.types]
        return Frontier(level, fresh.vertices, fresh.graph, given, pushed, types, names)

    def _given(self, growth: Growth, fresh: Fresh) -> dict[Name, Array]:
        """The inputs of a level's new vertices."""
        given: Mapping[Any, Any] = growth.inputs
        found = {}
        for name, x in given.items():
            if not isinstance(name, str) or name not in self._whole:
                raise InputError(
                    f"[unfold] expected inputs among {sorted(self._whole)}, got {shown(name)}; "
                    "leave it out or rename it"
                )
            rows, spec = host_array(x, "unfold"), self._whole[name]
            has_row = self._types.has_row(name, fresh.types, len(fresh.vertices))
            shape = (int(has_row.sum()), *spec.shape)
            if spec.space == "vertex":
                check_rows(name, rows, shape, self._types.whose(name))
                found[name] = rows
        return found

    def _of_new(self, name: Name, y: Array, batch: LevelBatch, fresh: Fresh) -> Array:
        """The rows of an output that new vertices have."""
        types = self._types_of_outputs
        there = types.has_row(name, fresh.types, len(fresh.vertices))
        in_batch = types.has_row(name, batch.types, len(batch.number))
        found: Array = y[_places(in_batch)[batch.new_rows[there]]]
        return found

    def _step_inputs(
        self, given: Mapping[Name, Array], batch: LevelBatch, fresh: Fresh
    ) -> dict[Name, Array]:
        """Inputs of the rows of a level: the given ones for new vertices, states for known ones."""
        inputs: dict[Name, Array] = {}
        for name, spec in self._model.inputs.items():
            if spec.space == "graph":
                if name in self._graph_inputs:
                    inputs[name] = self._graph_inputs[name][batch.active]
                continue
            has_row = self._types.has_row(name, batch.types, len(batch.number))
            place, count = _places(has_row), int(has_row.sum())
            known = has_row[batch.known_rows]
            rows = place[batch.known_rows[known]]
            if isinstance(name, Known):
                inputs[name] = np.zeros(count, self._model.dtype)
                inputs[name][rows] = 1
            elif isinstance(name, State):
                inputs[name] = np.zeros((count, *spec.shape), self._model.dtype)
                if len(rows):
                    inputs[name][rows] = self._outputs[name].take(batch.known[known])
            else:
                new = self._types.has_row(name, fresh.types, len(fresh.vertices))
                if name not in given and new.any():
                    continue  # the call says that it is missing
                fill = -1 if spec.dtype == "int32" else 0
                own = given.get(name)
                dtype = self._dtype_of(spec) if own is None else own.dtype
                inputs[name] = np.full((count, *spec.shape), fill, dtype)
                if own is not None:
                    inputs[name][place[batch.new_rows[new]]] = own
        return inputs

    def _dtype_of(self, spec: InputSpec) -> Any:
        return np.int32 if spec.dtype == "int32" else self._model.dtype

    def finish(self) -> Unfolded:
        """All vertices, graph after graph."""
        graphs, order = self.graphs.whole()
        codes = None if self.graphs.types is None else self.graphs.types[order]
        inputs, outputs = {}, {}
        for name, held in self._inputs.items():
            wanted = order[self._types.has_row(name, codes, len(order))]
            check_complete(name, held, wanted)
            inputs[name] = held.take(wanted)
        for name, spec in self._model.inputs.items():
            if isinstance(name, str) and spec.space == "vertex" and name not in inputs:
                # Needed, and yet never given: no vertex has a type that pulls it.
                inputs[name] = np.zeros((0, *spec.shape), self._dtype_of(spec))
        for name, held in self._outputs.items():
            if not isinstance(name, State):
                has_row = self._types_of_outputs.has_row(name, codes, len(order))
                outputs[name] = held.take(order[has_row])
        return Unfolded(graphs, inputs | self._graph_inputs, outputs, order)


def _places(chosen: Array) -> Array:
    """The row of each chosen vertex among those that are chosen."""
    found: Array = np.cumsum(chosen) - 1
    return found
