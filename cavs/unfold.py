"""Graphs whose structure depends on values: computed or sampled values open new vertices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cavs._arguments import instance, integer, items, mapping, printed, shown
from cavs._arrays import Array
from cavs.device.taking import host_array
from cavs.errors import GraphError, InputError, ShapeError
from cavs.growing import Growing
from cavs.growing import Growth as Growth
from cavs.grown_graphs import Origin, graph_keys
from cavs.grown_graphs import Unfolded as Unfolded
from cavs.grown_rows import name_of
from cavs.model import Model


@dataclass(frozen=True)
class Frontier:
    """The vertices that were computed last, of all graphs together.

    Attributes:
        level: how many levels there were before.
        vertices: (rows,) their numbers, which count all vertices of all graphs.
        graph: (rows,) the graph of each.
        inputs: the inputs that they and their edges pulled.
        outputs: the outputs that they pushed, arrays with a row for each; outputs of edges with a
            row for each child, in the order of the vertices. In a function of types an output has
            rows for the vertices of the types that push it: `rows` says which these are.
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


def unfold(
    model: Model,
    roots: Growth,
    expand: Callable[[Frontier], Growth | None],
    *,
    num_graphs: int,
    graph_inputs: Mapping[str, Any] | None = None,
    keys: Any = None,
    outputs: Iterable[str] | None = None,
    keep: Iterable[str] | None = None,
    max_levels: int = 100,
    max_vertices: int = 10_000,
) -> Unfolded:
    """Grows graphs level by level: `model` computes the new vertices of all graphs together, then
    `expand` gets their outputs and says which vertices to open next.

    No gradients flow: train on the grown graphs, by ``model.replay(grown)``. Samples that the model
    draws depend on the seed, the step, the graph's key and the number of the vertex, or edge, in
    its graph: other graphs do not matter, and a replay draws them again. A growth is one step of
    the model's random state.

    Args:
        model: computes the vertices. If its function has types, each `Growth` gives those of its
            vertices.
        roots: the first vertices, with ``graph``; they gather nothing.
        expand: gets the last level; gives new vertices, or None, or none of them, to end. A graph
            ends by itself where it gets no more vertices.
        num_graphs: how many graphs there are.
        graph_inputs: arrays with a row for each graph.
        keys: (num_graphs,) the key that each graph's random numbers are drawn by; None: its number.
        outputs: names of the pushes that `expand` gets; None: all. What they do not depend on need
            not be given.
        keep: names of the outputs that the result has for all vertices; None: all that `expand`
            gets. Others are let go after each level.
        max_levels: levels that a graph may have.
        max_vertices: vertices that a graph may have.

    Raises:
        GraphError: a graph does not end within the limits, or a vertex gathers from a vertex that
            is not there or in another graph, or from one that F does not read; each names the
            graph; or types are missing, unknown, or given where the function has none. ShapeError:
            not a type, or not a row of an input, for each new vertex. InputError: an input is
            unknown or missing; and the errors of a call of the model.
    """
    instance(
        "unfold",
        "model",
        model,
        Model,
        "a compiled cavs.Model, of a cavs.TypedFunction where vertices have several functions,",
    )
    if not callable(expand):
        raise InputError(f"[unfold] expected a function as expand, got {shown(expand)}; pass one")
    num_graphs = integer("unfold", "num_graphs", num_graphs, 0)
    max_levels = integer("unfold", "max_levels", max_levels, 0)
    max_vertices = integer("unfold", "max_vertices", max_vertices, 0)
    asked = model._asked(outputs)
    kept = None if keep is None else frozenset(items("unfold", "keep", keep, str, "names"))
    pushes = asked._compiler.trace.function.pushes
    if kept is not None and not kept <= pushes.keys():
        raise InputError(
            f"[unfold] expected outputs to keep among {list(pushes)}, got {shown(sorted(kept))}; "
            "keep some of those that expand gets"
        )
    growing = Growing(
        asked._as_grown(),
        model.inputs,
        graph_keys(keys, num_graphs),
        _graph_rows(graph_inputs, num_graphs),
        max_vertices,
        kept,
    )
    growth: Growth | None = instance("unfold", "roots", roots, Growth, "a cavs.Growth")
    level = 0
    while growth is not None and growth.opens():
        fresh = growing.open(growth)
        if level == max_levels:
            raise GraphError(
                f"[unfold] expected graph {fresh.graph.min()} to end within {max_levels} levels, "
                "got more; let expand end it, or raise max_levels"
            )
        pulled, pushed = growing.compute(growth, fresh)
        names = growing.names
        types = None if fresh.types is None else np.array(names)[fresh.types]
        growth = expand(Frontier(level, fresh.vertices, fresh.graph, pulled, pushed, types, names))
        if growth is not None:
            instance("unfold", "what expand gives", growth, Growth, "a cavs.Growth, or None,")
        level += 1
    graphs, inputs, pushed, vertices = growing.finish()
    seed, step, _ = growing.random
    origin = Origin(model.function, growing.marks, graphs, seed, step)
    return Unfolded(graphs, inputs, pushed, vertices, seed, step, origin)


def _graph_rows(given: Mapping[str, Any] | None, num_graphs: int) -> dict[str, Array]:
    """The inputs of graphs."""
    inputs = {} if given is None else mapping("unfold", "graph_inputs", given)
    found = {name: host_array(x, "unfold") for name, x in inputs.items()}
    for name, array in found.items():
        if array.shape[:1] != (num_graphs,):
            raise ShapeError(
                f"[unfold] expected a row of {printed(name)} for each of {num_graphs} graphs, got "
                f"shape {array.shape}; give one for each"
            )
    return found
