"""Which vertices and edges of a batch are of which types, one by one: for the oracle and for words
about single rows. Schedules know the same in C++."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cavs._arrays import Array
from cavs.core.ops._spaces import PARTS_OF_VERTICES, EdgeList, Rows, Space, SpaceKind, Typed
from cavs.scheduler import GraphBatch


def names_of_types(graphs: GraphBatch, names: Sequence[str]) -> list[str]:
    """The name of each vertex's type, among a function's, which has none in one without types."""
    if not names:
        return [""] * graphs.num_vertices
    return [names[x] if isinstance(x, int) else x for x in graphs.types or ()]


def lists_of(edges: Space) -> list[EdgeList]:
    """The lists of edges that a space names; none in a function without types."""
    return list(edges.lists) if isinstance(edges, Typed) else []


def rows_of(graphs: GraphBatch, names: Sequence[str], rows: Typed) -> Array:
    """The numbers of the vertices, or edges, that have these rows, ascending; `names`: the types of
    the function."""
    of_vertices = names_of_types(graphs, names)
    if rows.kind is not SpaceKind.EDGE:
        return np.flatnonzero([name in rows.members for name in of_vertices])
    types = np.array(of_vertices, dtype=str)
    parents = np.repeat(types, np.diff(graphs.child_ptr))
    children = types[graphs.children]
    found = np.zeros(graphs.num_edges, np.bool_)
    for x in rows.lists:
        mine = parents == x.parents
        found |= mine if x.children is None else mine & (children == x.children)
    return np.flatnonzero(found)


def numbers_of(graphs: GraphBatch, names: Sequence[str], rows: Rows) -> Array:
    """The numbers of the vertices, edges or graphs that are rows, ascending."""
    if isinstance(rows, Typed):
        vertices = rows.kind is SpaceKind.EDGE or rows.kind is SpaceKind.VERTEX
        numbers = rows_of(graphs, names, rows if vertices else rows.of_kind(SpaceKind.VERTEX))
    else:
        kind = SpaceKind.VERTEX if rows in PARTS_OF_VERTICES else rows
        numbers = np.arange(graphs.rows(str(kind)))
    if rows.kind not in PARTS_OF_VERTICES:
        return numbers
    is_leaf = (np.diff(graphs.child_ptr) == 0)[numbers]
    chosen: Array = numbers[is_leaf if rows.kind is SpaceKind.LEAF else ~is_leaf]
    return chosen


def values_at(
    graphs: GraphBatch, names: Sequence[str], array: Array, given: Rows, rows: Rows
) -> Array:
    """The part of an array with rows `given` that belongs to some of them."""
    there = numbers_of(graphs, names, rows)
    found: Array = array[np.searchsorted(numbers_of(graphs, names, given), there)]
    return found
