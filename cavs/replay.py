"""Computes a graph of a call again, by the reference, and follows a bad value to its origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from cavs.core.ir import Name, Node
from cavs.core.ops._def import Space, SpaceKind
from cavs.core.ops.structure import CONSTANT, GATHER, STATE_COTANGENT
from cavs.execution.executor import Array, Executor, RandomState
from cavs.execution.reference import ReferenceExecutor, ReferenceRun
from cavs.execution.settings import get_flush_denormals
from cavs.scheduler import GraphBatch, batch, unbatch
from cavs.tensor._nonfinite import has_nan, worst

Bad = Callable[[Array], bool]
Operands = Callable[[int, Node], Iterator[tuple[int, Node]]]


class Origin(NamedTuple):
    """A value of a vertex that is bad while its operands are not."""

    vertex: int
    node: Node


class Part(NamedTuple):
    """The vertices of a call that are searched for NaN, and their names.

    Attributes:
        rows: whether each vertex of the batch is searched; None: all are.
        place: names a vertex in words by its graph and its number in the graph, both from 0.
    """

    rows: Array | None
    place: Callable[[int, int], str]


WHOLE = Part(None, "graph {}, vertex {}".format)


class Call(NamedTuple):
    """A call of a model, to be computed again.

    Attributes:
        executor: the executor that computed it.
        graphs, inputs, random, wanted: the executor's arguments.
        name_of: gives the name of a parameter.
        part: the vertices that are searched.
    """

    executor: Executor
    graphs: GraphBatch
    inputs: Mapping[Name, Array]
    random: RandomState
    wanted: frozenset[Name] | None
    name_of: Callable[[Any], str]
    part: Part

    def only(self, first: int, last: int) -> Call:
        """The graphs `first` to `last` - 1 of the batch alone."""
        graphs = batch(unbatch(self.graphs)[first:last], keys=self.graphs.keys[first:last])
        spaces = {
            name: SpaceKind(s.space) for name, s in self.executor.compiler.trace.inputs.items()
        }
        inputs = {n: self.rows(x, spaces[n], first, last) for n, x in self.inputs.items()}
        return self._replace(graphs=graphs, inputs=inputs)

    def rows(self, array: Array, space: Space, first: int, last: int) -> Array:
        """The rows of the graphs `first` to `last` - 1, of a value of the batch."""
        ptr = self._first_rows(space)
        return array[first:last] if ptr is None else array[ptr[first] : ptr[last]]

    def graph_of(self, space: Space, row: int) -> int:
        """The graph that a row belongs to."""
        ptr = self._first_rows(space)
        return row if ptr is None else int(np.searchsorted(ptr, row, side="right")) - 1

    def _first_rows(self, space: Space) -> Array | None:
        """The first row of each graph; None if each graph has one row of `space`."""
        if space == SpaceKind.EDGE:
            return self.graphs.edge_ptr
        return self.graphs.ptr if space == SpaceKind.VERTEX else None

    @property
    def pushes(self) -> dict[Name, Node]:
        """Outputs of F as it was traced."""
        return self.executor.compiler.trace.function.pushes

    @property
    def params(self) -> list[Any]:
        """Parameters by their numbers."""
        return self.executor.compiler.params

    def replay(self, graph: int) -> Replay:
        """One graph, computed again."""
        one = self.only(graph, graph + 1)
        reference = ReferenceExecutor(self.executor.compiler, self.executor.dtype.name)
        run = Replay(reference, one.graphs, one.inputs, self.random, self.wanted or frozenset())
        if self.part.rows is not None:
            run.looked_at = self.rows(self.part.rows, SpaceKind.VERTEX, graph, graph + 1)
        with np.errstate(all="ignore"):
            run.forward()
        return run

    def nan_in(self, name: Name, output: Array) -> Array:
        """Where an output has NaN, at the vertices that are searched."""
        wrong = np.isnan(output)
        if self.part.rows is not None and self.pushes[name].space == SpaceKind.VERTEX:
            wrong[~self.part.rows] = False
        return wrong


class Replay(ReferenceRun):
    """The reference, with the engine's denormal numbers.

    Attributes:
        looked_at: whether each vertex is searched; None: all are.
    """

    looked_at: Array | None = None

    def _evaluate(self, v: int, node: Node, given: Mapping[str, Any]) -> Array:
        value = super()._evaluate(v, node, given)
        if value.dtype == np.float32 and get_flush_denormals():
            tiny = np.finfo(np.float32).tiny
            value = np.where(np.abs(value) < tiny, np.float32(0), value)
        return value

    def first(self, sinks: Mapping[Name, Node], bad: Bad) -> tuple[int, Name] | None:
        """The first bad value of `sinks`: of the lowest vertex, children below parents."""
        levels = unbatch(self.graphs)[0].levels
        order = np.lexsort((np.arange(len(levels)), levels))
        if self.looked_at is not None:
            order = order[self.looked_at[order]]
        for v in order.tolist():
            for name, node in sinks.items():
                if bad(self.values[v][node]):
                    return v, name
        return None

    def operands(self, v: int, node: Node) -> Iterator[tuple[int, Node]]:
        """The values that a value of F was computed from, with their vertices."""
        if node.op is not GATHER:
            yield from ((v, x) for x in node.inputs)
            return
        children, slot = self._children(v), node.attrs["slot"]
        scattered = self.function.scatters[node.attrs["name"]]
        read = children if slot is None else children[slot : slot + 1]
        yield from ((int(child), scattered) for child in read)

    def cotangent_operands(self, v: int, node: Node) -> Iterator[tuple[int, Node]]:
        """The same for a value of the gradient too: a state's cotangent comes from its parents."""
        if node.op is not STATE_COTANGENT:
            yield from self.operands(v, node)
            return
        edges = self.gradient.edges[node.attrs["name"]]
        for parent in range(self.graphs.num_vertices):
            if v in self._children(parent):
                yield parent, edges

    def origin(self, v: int, node: Node, bad: Bad, operands: Operands) -> Origin:
        """Goes from a bad value back to the first on the way that has no bad operand. An infinite
        constant of F, as in a mask, is right: if the way ends there, the origin is where the sign
        changes."""
        way = [Origin(v, node)]
        while True:
            before = next(
                (
                    (u, x)
                    for u, x in operands(v, node)
                    if x.dtype == "float" and bad(self.values[u][x])
                ),
                None,
            )
            if before is None:
                break
            v, node = before
            way.append(Origin(v, node))
        if node.op is not CONSTANT or has_nan(self.values[v][node]):
            return way[-1]
        meant = np.signbit(worst(self.values[v][node]))
        for later in reversed(way):
            value = self.values[later.vertex][later.node]
            if (np.signbit(value[~np.isfinite(value)]) != meant).any():
                return later
        return way[0]
