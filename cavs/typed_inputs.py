"""Checks of graphs and of input rows for functions of types."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache

import numpy as np

from cavs._arrays import Array, ChildReads, find_unreadable_child
from cavs.core.ops._spaces import Rows, SpaceKind, Typed
from cavs.core.trace import Trace
from cavs.core.type_order import TypeOrder
from cavs.errors import GraphError
from cavs.execution.growth import native_reads
from cavs.execution.typed_rows import rows_of
from cavs.scheduler import GraphBatch, Policy


@lru_cache(maxsize=256)
def _same(facts: Hashable) -> object:
    """An object for equal facts, which is faster to look up than they are."""
    del facts
    return object()


class TypesOfInputs:
    """Knows which vertices of a batch the inputs have rows for, and what vertices read of their
    children.

    Args:
        types: the order of the types.
        trace: the function.
        policy: of the schedules.
        extra: whether a child may be there that nothing reads.
    """

    def __init__(
        self, types: TypeOrder, trace: Trace, policy: str | Policy, *, extra: bool
    ) -> None:
        self._order = types
        self._policy = policy
        self._numbers = types.numbers()
        self._extra = extra
        self._reads = trace.children
        self._specs = list(trace.inputs.values())
        reads = native_reads(self._reads, types)
        rows = tuple(spec.rows for spec in self._specs)
        self._native = ChildReads(self._numbers, reads)
        self._key = _same((self._numbers, reads, extra, rows))  # models alike look once

    def check(self, graphs: GraphBatch) -> None:
        """Makes the batch's schedule; looks once at each batch.

        Raises:
            GraphError: a vertex has a type that the function does not have, a cycle, or a child
                that nothing reads, or that does not scatter what is read.
        """
        self.rows(graphs)
        graphs.schedule(self._policy, self._numbers)

    def rows(self, graphs: GraphBatch) -> Sequence[int]:
        """How many rows each input has, in the order of the inputs."""
        return graphs.kept(self._key, lambda: self._look(graphs))

    def _look(self, graphs: GraphBatch) -> list[int]:
        found = find_unreadable_child(graphs.native, self._numbers, self._native, self._extra)
        if found is not None:
            self._refuse(graphs, *found)
        schedule = graphs.schedule(self._policy, self._numbers)
        counts = {
            name: last - first
            for name, (first, _, last) in zip(self._order.names, schedule.type_rows, strict=True)
        }

        def count(rows: Rows) -> int:
            if not isinstance(rows, Typed):
                return 1 if rows is SpaceKind.NONE else graphs.num_graphs
            if rows.kind is SpaceKind.EDGE:
                numbers = map(self._order.lists.index, rows.lists)
                return sum(len(schedule.edge_rows(number)["child"]) for number in numbers)
            return sum(counts[str(name)] for name in rows.members)

        return [count(spec.rows) for spec in self._specs]

    def _refuse(self, graphs: GraphBatch, vertex: int, edge: int, number: int) -> None:
        types = graphs.types
        assert types is not None
        graph = int(np.searchsorted(graphs.ptr, vertex, side="right")) - 1
        first = int(graphs.ptr[graph])
        child = int(graphs.children[edge])
        where = (
            f"[graph] graph {graph}, vertex {vertex - first} of type {types[vertex]!r}: expected"
        )
        if number < 0:
            own = types[vertex]
            name = own if isinstance(own, str) else self._order.given[own]
            reads = [
                str(r.edges) + ("" if r.slot is None else f" at {r.slot}")
                for r in self._reads
                if r.edges.parents == name
            ]
            gathered = f"children that its function gathers, {', '.join(reads)}"
            raise GraphError(
                f"{where} {gathered if reads else 'no children'}, got child {child - first} "
                f"of type {types[child]!r}; gather it, leave it out, or compile with "
                "extra_children='ignore'"
            )
        read = self._reads[number]
        raise GraphError(
            f"{where} children that scatter {', '.join(read.states)}, which is gathered at "
            f"{read.where}, got child {child - first} of type {types[child]!r}; gather from one "
            "type by of=, or scatter it there too"
        )

    def as_given(self, graphs: GraphBatch, name: str) -> str | int:
        """The type as the graphs give it: they may number it."""
        named = any(isinstance(x, str) for x in (graphs.types or ())[:1])
        return name if named else self._order.given.index(name)

    def places(self, graphs: GraphBatch, rows: Typed) -> Array:
        """The numbers of the vertices, or edges, that some rows are for, ascending."""
        return rows_of(graphs, self._order.given, rows)


def named_members(rows: Typed) -> str:
    """The types, or lists of edges, in words."""
    names = [repr(str(member)) for member in rows.members]
    if len(names) == 1:
        return f"type {names[0]}"
    return f"types {', '.join(names)}"
