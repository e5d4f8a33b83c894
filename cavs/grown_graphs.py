"""The structure of graphs that grow, from what users say of new vertices to whole graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any, NamedTuple

import numpy as np

from cavs._arguments import shown
from cavs._arrays import Array, foreign_array
from cavs.errors import DTypeError, GraphError, InputError, ShapeError
from cavs.scheduler import GraphBatch


def integers_of(name: str, given: Any) -> Array:
    """An array of integers."""
    array = foreign_array(given, "unfold")
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(f"[unfold] expected integers as {name}, got {shown(given)}; convert them")
    found: Array = array.astype(np.int64)
    return found


def graph_keys(keys: Any, num_graphs: int) -> Array:
    """int64 [graphs]: the keys that are given; without, the numbers of the graphs."""
    found = np.arange(num_graphs) if keys is None else integers_of("keys", keys)
    if found.shape != (num_graphs,):
        raise ShapeError(
            f"[unfold] expected keys ({num_graphs},), got shape {found.shape}; give a key for each "
            "graph"
        )
    return found


def lists_of_children(given: Any) -> tuple[Array, Array]:
    """int64: the offsets of the lists of children, and what they hold, -1 for holes."""
    if isinstance(given, np.ndarray) and given.ndim in (1, 2) and given.dtype.kind in "iu":
        slots = 1 if given.ndim == 1 else given.shape[1]
        return np.arange(len(given) + 1) * slots, given.reshape(-1)
    if type(given) is list and all(type(x) is list for x in given):
        flat = list(chain.from_iterable(given))
        if all(type(x) is int for x in flat):
            ptr = np.array([0, *accumulate(map(len, given))], np.int64)
            return ptr, np.array(flat, np.int64)
    lists: Sequence[Any] = [np.atleast_1d(integers_of("children", c)) for c in given]
    if any(c.ndim != 1 for c in lists):
        raise GraphError(
            "[unfold] expected a list of children for each vertex, got lists in lists; flatten them"
        )
    ptr = np.array([0, *accumulate(map(len, lists))], np.int64)
    return ptr, np.concatenate(lists) if lists else np.zeros(0, np.int64)


def graphs_of_vertices(given: Any, count: int) -> Array | None:
    """int64 [vertices]: the graph of each new vertex, None where they are not given."""
    if given is None:
        return None
    graph = integers_of("graph", given)
    if graph.shape != (count,):
        raise ShapeError(
            f"[unfold] expected the graphs of {count} new vertices, got shape {graph.shape}; give "
            "one for each"
        )
    return graph


def forgotten_vertices(given: Any) -> Array | None:
    """int64 [vertices]: the numbers of those to forget, None for none."""
    if given is None or (type(given) in (tuple, list) and not given):
        return None
    found = integers_of("forget", given)
    if found.ndim != 1:
        raise ShapeError(
            f"[unfold] expected numbers of vertices to forget, got shape {found.shape}; give them "
            "in a list"
        )
    return found


_SAMPLED = 1024  # numbers of a parameter


class Mark(NamedTuple):
    """What tells whether a parameter still has its values.

    Attributes:
        parameter: itself.
        version: of its values; negative: not known.
        sample: some of the values, evenly spread; None of values on a device.
    """

    parameter: Any
    version: int
    sample: Array | None

    @classmethod
    def of(cls, parameter: Any) -> Mark:
        values, version = parameter.read()
        if not isinstance(values, np.ndarray):
            return cls(parameter, version, None)
        flat = values.reshape(-1)
        return cls(parameter, version, flat[:: max(1, flat.size // _SAMPLED)].copy())

    def holds(self) -> bool:
        """False where the values are others. A version changes also where somebody who might have
        written has not, so values on the host are looked at."""
        now = Mark.of(self.parameter)
        if self.version == now.version >= 0:
            return True
        if self.sample is None or now.sample is None:
            return min(self.version, now.version) < 0
        return bool(np.array_equal(self.sample, now.sample, equal_nan=True))


class Origin(NamedTuple):
    """What graphs grew from: their function, the marks of its parameters, and what the growth
    gave."""

    function: Any
    marks: tuple[Mark, ...]
    graphs: GraphBatch
    seed: int
    step: int

    def check(self, function: Any, grown: Unfolded) -> None:
        """Raises InputError where a replay would not draw what the growth drew."""
        graphs = grown.graphs
        if function is not self.function:
            raise InputError(
                "[replay] expected a model of the function that grew the graphs, got one of "
                "another; call replay of the model that unfold was called with"
            )
        if (grown.seed, grown.step) != (self.seed, self.step):
            raise InputError(
                f"[replay] expected the growth's seed {self.seed} and step {self.step}, got "
                f"{grown.seed} and {grown.step}; pass what cavs.unfold gave as it is"
            )
        if graphs is not self.graphs and not np.array_equal(graphs.keys, self.graphs.keys):
            raise InputError(
                "[replay] expected the keys that the graphs grew with, got others; pass what "
                "cavs.unfold gave as it is"
            )
        if graphs is not self.graphs and graphs != self.graphs:
            raise InputError(
                "[replay] expected the graphs that grew, got others; pass what cavs.unfold gave as "
                "it is"
            )
        for mark in self.marks:
            if not mark.holds():
                held = (*function.named_parameters(), *function.named_buffers())
                names = [name for name, p in held if p is mark.parameter]
                raise InputError(
                    "[replay] expected the parameters that grew the graphs, got other values of "
                    f"{names[0] if names else 'a parameter'}; replay before the optimizer's step, "
                    "or grow anew"
                )


@dataclass(frozen=True)
class Unfolded:
    """The grown graphs, with their inputs and outputs.

    Attributes:
        graphs: the graphs; the children of a vertex are the vertices that it gathered from.
            Vertices of a graph stand in the order in which they were opened. Types, if the function
            has some, are there by name.
        inputs: the inputs of all vertices, edges and graphs, as a call of the model over `graphs`
            takes them.
        outputs: the outputs of all vertices and edges, in the same order, as a call gives them;
            those that were to be kept.
        vertices: (vertices,) the numbers that they had in `Frontier.vertices`.
        seed, step: the state from which random operations drew, in all levels.
        origin: tells a replay whether all is as it was; None in a copy.
    """

    graphs: GraphBatch
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    vertices: Array
    seed: int = 0
    step: int = 0
    origin: Origin | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "origin": None}  # a copy would have copies of the parameters

    @property
    def types(self) -> list[str] | list[int] | None:
        """The type of each vertex; None in a function without types."""
        return self.graphs.types

    @property
    def keys(self) -> Array:
        """int64 [graphs]: the key that each graph's random numbers were drawn by."""
        return self.graphs.keys


class Whole(NamedTuple):
    """All graphs that have grown.

    Attributes:
        graphs: the batch; vertices of a graph stand in the order in which they were opened.
        vertices, edges: the numbers that they were opened by, in the order of the batch.
    """

    graphs: GraphBatch
    vertices: Array
    edges: Array


def whole_graphs(structure: Any, keys: Array, types: list[str] | None) -> Whole:
    """The graphs of a ``_core.GrownGraphs`` or ``_core.Growth``.

    Args:
        structure: the vertices, by number.
        keys: of the graphs.
        types: of the vertices, by number; None in a function without types.
    """
    graph, first = structure.graph, structure.ptr
    order = np.argsort(graph, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    sizes = np.bincount(graph, minlength=len(keys))
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    counts = np.diff(first)[order]
    child_ptr = np.concatenate([[0], np.cumsum(counts)])
    edges = np.repeat(first[:-1][order] - child_ptr[:-1], counts) + np.arange(child_ptr[-1])
    begin = np.repeat(np.repeat(ptr[:-1], sizes), counts)
    children = place[structure.children[edges]] - begin
    named = None if types is None else [types[v] for v in order.tolist()]
    slots = structure.slots[edges]
    batch = GraphBatch.from_csr(ptr, child_ptr, children, keys, slots, named)
    return Whole(batch, order, edges)
