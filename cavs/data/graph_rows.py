"""Which rows an input has: of all vertices or edges of a graph, or of those of some types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cavs._arguments import listed, mapping, shown
from cavs.errors import GraphError, InputError
from cavs.scheduler import InputGraph

Space = Literal["vertex", "edge", "graph"]
Type = str | int
#: A type, or several.
Types = Type | Sequence[Type]
#: The edges from parents of one type to children of another, None for children of any; or several.
Edges = tuple[Type, Type | None] | Sequence[tuple[Type, Type | None]]
Of = Mapping[str, Types | Edges]


@dataclass(frozen=True)
class GraphRows:
    """The vertices, edges or graphs that an input has a row for.

    Attributes:
      space: of what.
      types: of vertices, or of both ends of edges; None: all.
    """

    space: Space
    types: tuple[Any, ...] | None = None

    def __str__(self) -> str:
        if self.types is None:
            return self.space
        if self.space == "vertex":
            return f"vertex of type {' or '.join(map(repr, self.types))}"
        ends = (f"{a!r} to {'any' if b is None else repr(b)}" for a, b in self.types)
        return f"edge from {' or '.join(ends)}"

    def counts(self, graphs: Sequence[InputGraph]) -> npt.NDArray[np.int64]:
        """int64 [len(graphs)]: the number of rows of each graph.

        Raises:
          GraphError: rows of some types, and a graph without types.
        """
        return np.array([self._count(number, graph) for number, graph in enumerate(graphs)], int)

    def _count(self, number: int, graph: InputGraph) -> int:
        if self.space == "graph":
            return 1
        size = graph.num_vertices if self.space == "vertex" else graph.num_edges
        if self.types is None or not graph.num_vertices:
            return size
        types: Sequence[Any] | None = graph.types
        if types is None:
            raise GraphError(
                f"[data] expected graphs with types, since an input has a row per {self}, got "
                f"graph {number} without; give types= to each graph"
            )
        if self.space == "vertex":
            return sum(map(types.count, self.types))
        parents = np.repeat(np.arange(graph.num_vertices), np.diff(graph.child_ptr)).tolist()
        ends = ((types[a], types[b]) for a, b in zip(parents, graph.child_index, strict=True))
        return sum(any(a == x and y in (None, b) for x, y in self.types) for a, b in ends)


def rows_by_name(of: Of | None, spaces: Mapping[str, Space]) -> dict[str, GraphRows]:
    """The rows of each input.

    Args:
      of: the types whose rows an input has, by its name.
      spaces: of what the rows of each input are.

    Raises:
      InputError: a name that is no input of vertices or edges, or types in another form.
    """
    given = {} if of is None else mapping("data", "of", of)
    for name in given:
        if spaces.get(name) not in ("vertex", "edge"):
            names = [x for x, space in spaces.items() if space != "graph"]
            raise InputError(
                f"[data] expected inputs of vertices or edges in of, among {listed(names)}, got "
                f"{shown(name)}; correct it"
            )
    return {
        name: GraphRows(space, _types(name, space, given[name]) if name in given else None)
        for name, space in spaces.items()
    }


def _types(name: str, space: Space, given: Any) -> tuple[Any, ...]:
    fits = _is_type if space == "vertex" else _is_edge
    found = (given,) if fits(given) else given
    if not isinstance(found, (tuple, list)) or not found or not all(map(fits, found)):
        form = "a type" if space == "vertex" else "a pair (type of the parent, type of the child)"
        raise InputError(
            f"[data] expected {form}, or a list of these, for the {space} input {name!r} in of, "
            f"got {shown(given)}; say which it has rows for"
        )
    distinct = dict.fromkeys(found)
    covered = [
        x for x in distinct if space == "edge" and x[1] is not None and (x[0], None) in distinct
    ]
    return tuple(x for x in distinct if x not in covered)


def _is_type(x: Any) -> bool:
    return isinstance(x, str) or (isinstance(x, (int, np.integer)) and not isinstance(x, bool))


def _is_edge(x: Any) -> bool:
    return (
        isinstance(x, tuple) and len(x) == 2 and _is_type(x[0]) and (x[1] is None or _is_type(x[1]))
    )
