"""Computes a graph of a call again, by the reference, and follows a bad value to its origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from cavs.call import Call
from cavs.core.ir import Name, Node
from cavs.core.ops._def import Between
from cavs.core.ops.structure import CONSTANT, GATHER, STATE_COTANGENT
from cavs.device import device_of
from cavs.execution.executor import Array
from cavs.execution.reference import ReferenceRun
from cavs.execution.reference_values import TypeFunction, edges_of
from cavs.execution.settings import get_flush_denormals
from cavs.scheduler import unbatch
from cavs.tensor._nonfinite import has_nan, worst

Bad = Callable[[Array], bool]
Sinks = Callable[[TypeFunction], Mapping[Name, Node]]
"""Results of the function of one type."""
Operands = Callable[[int, Node], Iterator[tuple[int, Node]]]


class Origin(NamedTuple):
    """A value of a vertex that is bad while its operands are not."""

    vertex: int
    node: Node


def replay(call: Call, graph: int) -> Replay:
    """One graph of a call, computed again."""
    one = call.only(graph, graph + 1)
    inputs = {name: device_of(x).to_host(x) for name, x in one.inputs.items()}
    compiler, dtype = call.executor.compiler, call.executor.dtype
    run = Replay(compiler, dtype, one.graphs, inputs, call.random, call.wanted or frozenset())
    with np.errstate(all="ignore"):
        run.forward()
    return run


class Replay(ReferenceRun):
    """The reference, with the engine's denormal numbers.

    Attributes:
    """

    def _evaluate(self, v: int, node: Node, given: Mapping[str, Any]) -> Array:
        value = super()._evaluate(v, node, given)
        if value.dtype == np.float32 and get_flush_denormals():
            tiny = np.finfo(np.float32).tiny
            value = np.where(np.abs(value) < tiny, np.float32(0), value)
        return value

    def first(self, sinks: Sinks, bad: Bad) -> tuple[int, Name] | None:
        """The first bad value of `sinks` of a function: of the lowest vertex, children below
        parents."""
        levels = unbatch(self.graphs)[0].levels
        order = np.lexsort((np.arange(len(levels)), levels))
        for v in order.tolist():
            for name, node in sinks(self.of(v)).items():
                if bad(self.values[v][node]):
                    return v, name
        return None

    def operands(self, v: int, node: Node) -> Iterator[tuple[int, Node]]:
        """The values that a value of F was computed from, with their vertices."""
        if node.op.reduces in (Between.ALL, Between.GRAPH):
            own = self.shares[v].get(node)
            others = [v] if own is None or not np.isfinite(own).all() else self.order
            yield from ((u, x) for u in others for x in node.inputs if x in self.values[u])
            return
        if node.op is not GATHER:
            yield from ((v, x) for x in node.inputs)
            return
        edges, slot = node.attrs["edges"], node.attrs["slot"]
        whole = slot is None
        read = self._children(v, edges) if whole else self._children_at(v, edges, slot)
        for child in read.tolist():
            yield child, self.of(child).function.scatters[node.attrs["name"]]

    def cotangent_operands(self, v: int, node: Node) -> Iterator[tuple[int, Node]]:
        """The same for a value of the gradient too: a state's cotangent comes from its parents."""
        if node.op is not STATE_COTANGENT:
            yield from self.operands(v, node)
            return
        reading = node.attrs["reading"]
        for parent in range(self.graphs.num_vertices):
            edges = self.of(parent).gradient.edges.get(reading)
            if edges is not None and v in self._children(parent, edges_of(reading)):
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
