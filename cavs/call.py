"""A call of a model as it was given to the executor, from which it can be computed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cavs.core.ir import Name, Node
from cavs.core.ops._spaces import Space, SpaceKind, Typed
from cavs.device import device_of
from cavs.execution.executor import Array, Executor, RandomState
from cavs.execution.typed_rows import rows_of
from cavs.scheduler import GraphBatch, batch, unbatch


def in_words(graph: int, vertex: int) -> str:
    """A vertex by its graph in the batch and its number in the graph, both from 0."""
    return f"graph {graph}, vertex {vertex}"


class Call(NamedTuple):
    """A call of a model, to be computed again.

    Attributes:
        executor: the executor that computed it.
        graphs, inputs, random, wanted: the executor's arguments.
        name_of: gives the name of a parameter.
    """

    executor: Executor
    graphs: GraphBatch
    inputs: Mapping[Name, Array]
    random: RandomState
    wanted: frozenset[Name] | None
    name_of: Callable[[Any], str]

    def only(self, first: int, last: int) -> Call:
        """The graphs `first` to `last` - 1 of the batch alone."""
        graphs = batch(unbatch(self.graphs)[first:last], keys=self.graphs.keys[first:last])
        specs = self.executor.compiler.trace.inputs
        spaces = {name: spec.rows for name, spec in specs.items()}
        inputs = {n: self.rows(x, spaces[n], first, last) for n, x in self.inputs.items()}
        return self._replace(graphs=graphs, inputs=inputs)

    def rows(self, array: Array, space: Space, first: int, last: int) -> Array:
        """The rows of the graphs `first` to `last` - 1, of a value of the batch; without rows, the
        value."""
        if space == SpaceKind.NONE:
            return array
        ptr = self._first_rows(space)
        return array[first:last] if ptr is None else array[ptr[first] : ptr[last]]

    def graph_of(self, space: Space, row: int) -> int:
        """The graph that a row belongs to; of a value without rows, the first."""
        if space == SpaceKind.NONE:
            return 0
        ptr = self._first_rows(space)
        return row if ptr is None else int(np.searchsorted(ptr, row, side="right")) - 1

    def _first_rows(self, space: Space) -> Array | None:
        """The first row of each graph; None if each graph has one row of `space`."""
        kind = space.kind
        if kind not in (SpaceKind.VERTEX, SpaceKind.EDGE):
            return None
        ptr = self.graphs.edge_ptr if kind is SpaceKind.EDGE else self.graphs.ptr
        if not isinstance(space, Typed):
            return ptr
        return np.searchsorted(self._numbers(space), ptr)

    def _numbers(self, space: Typed) -> Array:
        """The numbers of the vertices, or edges, of some types."""
        return rows_of(self.graphs, self.executor.compiler.trace.types, space)

    @property
    def pushes(self) -> dict[Name, Node]:
        """Outputs of F as it was traced."""
        return self.executor.compiler.trace.function.pushes

    @property
    def params(self) -> list[Any]:
        """Parameters by their numbers."""
        return self.executor.compiler.params

    def nan_in(self, name: Name, output: Array) -> Array:
        """Where an output has NaN."""
        found: Array = np.isnan(device_of(output).to_host(output))
        return found
