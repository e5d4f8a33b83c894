"""Row spaces: which rows a value has, and the rules by which an operation's result gets its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from cavs.errors import TraceError


class SpaceKind(Enum):
    """Kinds of rows, each by its word in texts."""

    NONE = "none"
    """No rows: a parameter or a constant."""
    GRAPH = "graph"
    VERTEX = "vertex"
    LEAF = "leaf"
    """Vertices without children."""
    INNER = "inner"
    """Vertices with children."""
    EDGE = "edge"

    __hash__ = object.__hash__  # members are compared by identity: their words need no hash

    @property
    def kind(self) -> SpaceKind:
        """Itself: all rows of this kind."""
        return self

    @property
    def type(self) -> str:
        """No name: the type in a function without types."""
        return ""

    def of_kind(self, kind: SpaceKind) -> SpaceKind:
        """See :meth:`Typed.of_kind`."""
        return kind

    def __str__(self) -> str:
        return self.value


PARTS_OF_VERTICES = (SpaceKind.LEAF, SpaceKind.INNER)


class EdgeList(NamedTuple):
    """Edges from vertices of one type to their children of one type, or of any.

    Attributes:
        parents: the type of the vertices that have the edges.
        children: the type of the children; None for any.
    """

    parents: str
    children: str | None

    def __str__(self) -> str:
        return self.parents if self.children is None else f"{self.parents}<{self.children}"


@dataclass(frozen=True)
class Typed:
    """Rows of some types in a function of several types.

    Attributes:
        kind: vertices, leaves, inner vertices or edges.
        members: names of the types; of edges their lists. The rows of a value that an operation
            computes are of one; a state or an array of the caller may have rows of several.
    """

    kind: SpaceKind
    members: tuple[str | EdgeList, ...]

    @property
    def type(self) -> str:
        """The type of the vertices, or of the parents of the edges, of rows of one member."""
        (member,) = self.members
        return member.parents if isinstance(member, EdgeList) else member

    @property
    def lists(self) -> tuple[EdgeList, ...]:
        """The lists of edges; none of vertices."""
        return tuple(x for x in self.members if isinstance(x, EdgeList))

    def of_kind(self, kind: SpaceKind) -> Typed:
        """The rows of another kind of the same types: of edges, those of their parents."""
        if kind is self.kind:
            return self
        if self.kind is not SpaceKind.EDGE:
            return Typed(kind, self.members)
        return Typed(kind, (self.type,))

    def __str__(self) -> str:
        return f"{self.kind}:{'+'.join(map(str, self.members))}"


@dataclass(frozen=True)
class Unique:
    """Rows that are the distinct ids of an integer pull among other rows, or the distinct tuples of
    ids of several pulls.

    Attributes:
        pulls: names of the pulls, sorted.
        base: the rows that have the ids.
    """

    pulls: tuple[str, ...]
    base: SpaceKind | Typed

    @property
    def kind(self) -> None:
        """Distinct ids are rows of no kind."""

    @property
    def type(self) -> str:
        """The type of the rows that have the ids."""
        return self.base.type

    @property
    def name(self) -> str:
        """The name in texts."""
        names, base = "+".join(self.pulls), self.base
        apart = isinstance(base, Typed) or base in PARTS_OF_VERTICES
        return f"{names}@{base}" if apart else names

    def __str__(self) -> str:
        return f"unique:{self.name}"


Space = SpaceKind | Typed | Unique
"""The row space of a value."""

Rows = SpaceKind | Typed
"""Rows of vertices, edges or graphs, not of distinct ids."""


def as_rows(space: Space) -> Rows:
    """Rows that are not of distinct ids."""
    assert not isinstance(space, Unique), space
    return space


_FINENESS = {
    SpaceKind.NONE: 0,
    SpaceKind.GRAPH: 1,
    SpaceKind.VERTEX: 2,
    SpaceKind.LEAF: 3,
    SpaceKind.INNER: 3,
    SpaceKind.EDGE: 4,
}


def join_spaces(spaces: Sequence[Space]) -> Space:
    """The finest of `spaces`: the row space of an operation whose operands have these."""
    found = set(spaces)
    found.discard(SpaceKind.NONE)
    if len(found) <= 1:
        return found.pop() if found else SpaceKind.NONE
    named = [space for space in spaces if not isinstance(space, Unique)]
    if len(named) < len(spaces):
        raise _differing(spaces, "combine values of the same ids only")
    finest = max(named, key=_fineness)
    if any(space != finest and _fineness(space) == _fineness(finest) for space in named):
        remedy = "reduce values per child over the children first, each by itself"
        if any(isinstance(x, Typed) and x.kind is SpaceKind.EDGE for x in named):
            remedy += ", or gather and pull them for children of one type, by of="
        raise _differing(spaces, remedy)
    return finest


def _fineness(space: Rows) -> int:
    return _FINENESS[space.kind]


def _differing(spaces: Sequence[Space], remedy: str) -> TraceError:
    given = ", ".join(map(str, spaces))
    return TraceError(f"[ops] expected operands with the same rows, got {given}; {remedy}")


RowRule = Callable[[Sequence[Space], Mapping[str, Any], SpaceKind], Space]
"""Rows of a result, from the rows of the operands, the attributes, and the kind of the parents of
edges (vertices, or inner vertices once leaves have a function of their own)."""


def rows_of_operands(
    spaces: Sequence[Space], attrs: Mapping[str, Any], parents: SpaceKind
) -> Space:
    """The finest rows of the operands."""
    return join_spaces(spaces)


def rows_of_parents(spaces: Sequence[Space], attrs: Mapping[str, Any], parents: SpaceKind) -> Space:
    """The rows that have the edges."""
    (edges,) = spaces
    return parents if isinstance(edges, Unique) else edges.of_kind(parents)


def rows_given(spaces: Sequence[Space], attrs: Mapping[str, Any], parents: SpaceKind) -> Space:
    """The rows that the attribute ``to`` says."""
    to: Space = attrs["to"]
    return to


def rows(space: Space) -> RowRule:
    """Always `space`."""
    return lambda spaces, attrs, parents: space
