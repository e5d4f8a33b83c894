"""The rows of graphs that grow: of inputs, states and outputs, by the numbers of vertices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cavs._arguments import is_among, items, shown
from cavs._arrays import Array
from cavs.core.ir import Name
from cavs.core.ops._def import Space, Typed
from cavs.errors import GraphError, InputError, ShapeError


def codes_of(given: Any, count: int, names: Sequence[str]) -> Array | None:
    """(vertices,) the numbers of new vertices' types among the names that a function has; None in a
    function without types.

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
    return np.array([known.get(name_of(x, names, vertex=i)) for i, x in enumerate(types)], np.int64)


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


class TypesOfRows:
    """Knows for which vertices each input, state and output has rows.

    Args:
        names: the types of the function; none in one without types.
        spaces: the rows of each input, state and output, by name.
    """

    def __init__(self, names: Sequence[str], spaces: Mapping[Name, Space]) -> None:
        self.names = tuple(names)
        self._members = {
            name: [self.names.index(str(member)) for member in rows.members]
            for name, rows in spaces.items()
            if isinstance(rows, Typed)
        }

    def has_row(self, name: Name, codes: Array | None, count: int) -> Array:
        """(count,) whether each of some vertices has a row of this name, by their types."""
        if codes is None or name not in self._members:
            return np.ones(count, bool)
        found: Array = np.isin(codes, self._members[name])
        return found

    def whose(self, name: Name) -> str:
        """Whose rows these are, in words, behind "each new vertex"."""
        if name not in self._members:
            return ""
        return f" of type {' or '.join(repr(self.names[i]) for i in self._members[name])}"


class HeldRows:
    """The rows of a name for all vertices so far that have one."""

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

    def take(self, numbers: Array) -> Array:
        """The rows of vertices that have some."""
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        found: Array = self._rows[0][np.searchsorted(self.numbers, numbers)]
        return found


def check_rows(name: Name, rows: Array, shape: tuple[int, ...], whose: str) -> None:
    """Raises ShapeError where an input of a Growth has not this shape."""
    if rows.shape != shape:
        raise ShapeError(
            f"[unfold] expected an array of shape {shape} for {name!r}, got {rows.shape}; give a "
            f"row for each new vertex{whose}"
        )


def check_complete(name: Name, held: HeldRows, wanted: Array) -> None:
    """Raises InputError where an input has rows for some of the vertices that pull it and not for
    others; `wanted`: the numbers of all of them."""
    if len(held.numbers) != len(wanted):
        raise InputError(
            f"[unfold] expected {name!r} in the inputs of each Growth whose vertices pull it, or "
            f"of none, got rows for {len(held.numbers)} of {len(wanted)} vertices; give all"
        )
