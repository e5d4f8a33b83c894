"""The rows of graphs that grow: of inputs and outputs, by the numbers of vertices and edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cavs._arguments import is_among, items, shown
from cavs._arrays import Array
from cavs.core.ir import Name
from cavs.core.ops._spaces import Space, SpaceKind, Typed
from cavs.errors import GraphError, InputError, ShapeError


def codes_of(given: Any, count: int, names: Sequence[str]) -> Array | None:
    """(vertices,) int32, the numbers of new vertices' types among the names that a function has;
    None in a function without types.

    Args:
        given: the types, by name or by number, as in a `Growth`.
        count: how many vertices there are.

    Raises:
        GraphError: types are missing, unknown, or given for a function without types; ShapeError:
            there is not one for each vertex; InputError: no sequence.
    """
    if not names:
        if given is not None:
            raise GraphError(
                "[unfold] expected new vertices without types, since the function has none, got "
                f"{shown(given)}; leave types out, or make a cavs.TypedFunction"
            )
        return None
    if given is None:
        raise GraphError(
            f"[unfold] expected a type for each new vertex ({', '.join(names)}), got a Growth "
            "without types; give types="
        )
    listed: Any = given.tolist() if isinstance(given, np.ndarray) else given
    types = items("unfold", "types", listed, object, "names of types")
    if len(types) != count:
        raise ShapeError(
            f"[unfold] expected the types of {count} new vertices, got {len(types)}; give one for "
            "each"
        )
    known: dict[Any, int] = {name: i for i, name in enumerate(names)}
    codes = [known.get(x) if type(x) is str else None for x in types]
    for vertex, (code, given) in enumerate(zip(codes, types, strict=True)):
        if code is None:  # a number, or no type
            codes[vertex] = known[name_of(given, names, vertex=vertex)]
    return np.array(codes, np.int32)


def name_of(given: Any, names: Sequence[str], vertex: int | None = None) -> str:
    """The name of a type that is given by name or by number; `vertex`: the new vertex that has it,
    for the error. Raises GraphError for an unknown one."""
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        if 0 <= given < len(names):
            return names[int(given)]
    elif is_among(given, names):
        return str(given)
    where = "" if vertex is None else f"new vertex {vertex}: "
    raise GraphError(
        f"[unfold] {where}expected a type among {', '.join(names)}, got {shown(given)}; correct "
        "it, or give the function one of that name"
    )


class Rows:
    """Knows which vertices, or edges, have a row of an input or output.

    Args:
        space: its rows in the function.
        names: the types of the function; none in one without types.
    """

    def __init__(self, space: Space, names: Sequence[str]) -> None:
        self.of_edges = space.kind is SpaceKind.EDGE
        self.of_graphs = space.kind is SpaceKind.GRAPH
        self._names = [str(member) for member in space.members] if isinstance(space, Typed) else []
        self._there: Array | None = None  # by type, or by the types of parent and child
        if not isinstance(space, Typed):
            return
        number = {name: i for i, name in enumerate(names)}
        if self.of_edges:
            self._there = np.zeros((len(names), len(names)), bool)
            for edges in space.lists:
                children = slice(None) if edges.children is None else number[edges.children]
                self._there[number[edges.parents], children] = True
        else:
            self._there = np.zeros(len(names), bool)
            self._there[[number[str(member)] for member in space.members]] = True

    def chosen(self, types: Array | None, parents: Array, children: Array) -> Array | None:
        """Whether each of some vertices, or edges, has a row; None: all have.

        Args:
            types: of the vertices, in numbers; None in a function without types.
            parents, children: the types of both ends of the edges.
        """
        if self._there is None or types is None:
            return None
        found: Array = self._there[parents, children] if self.of_edges else self._there[types]
        return found

    @property
    def given_in(self) -> str:
        """Where a growth has such an input, as advice."""
        if self.of_graphs:
            return "give it in graph_inputs of unfold"
        return f"give it in {'edges' if self.of_edges else 'inputs'} of the Growth"

    def __str__(self) -> str:
        """Which they are, in words, behind "for each"."""
        if self.of_graphs:
            return "graph"
        kind = "edge" if self.of_edges else "vertex"
        return (
            f"new {kind}{' of type ' + ' or '.join(map(repr, self._names)) if self._names else ''}"
        )


class HeldRows:
    """The rows of a name for all vertices, or edges, so far that have one."""

    def __init__(self) -> None:
        self._rows: list[Array] = []
        self._numbers: list[Array] = []

    def add(self, numbers: Array, rows: Array) -> None:
        """The rows of new vertices, whose numbers are greater than those before."""
        self._rows.append(rows)
        self._numbers.append(numbers)

    @property
    def numbers(self) -> Array:
        """The numbers of the vertices that have rows, ascending."""
        if len(self._numbers) > 1:
            self._numbers = [np.concatenate(self._numbers)]
        return self._numbers[0]

    def take(self, name: Name, wanted: Array) -> Array:
        """The rows of these vertices, which are all that have one.

        Raises:
            InputError: some have none, because not every Growth gave them.
        """
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        if len(self.numbers) != len(wanted):
            raise InputError(
                f"[unfold] expected {name!r} in the inputs of each Growth whose vertices pull it, "
                f"or of none, got rows for {len(self.numbers)} of {len(wanted)} vertices; give all"
            )
        found: Array = self._rows[0][np.searchsorted(self.numbers, wanted)]
        return found
