"""Grids, such as images: a vertex is a place, and its children are the places before it."""

from __future__ import annotations

from functools import lru_cache

from cavs._arguments import integer
from cavs.scheduler import InputGraph


def grid_graph(rows: int, columns: int) -> InputGraph:
    """The DAG over a grid in which information flows to the south-east.

    Vertices are numbered row by row; the children of a vertex are its neighbours to the west, the
    north and the north-west, in this order, if they exist. Graphs are immutable, so grids of one
    size share one object.

    Raises InputError if `rows` or `columns` is no size.
    """
    return _grid(integer("data", "rows", rows, 0), integer("data", "columns", columns, 0))


@lru_cache(maxsize=256)
def _grid(rows: int, columns: int) -> InputGraph:

    def children(i: int, j: int) -> list[int]:
        before = ((i, j - 1), (i - 1, j), (i - 1, j - 1))
        return [k * columns + m for k, m in before if k >= 0 and m >= 0]

    return InputGraph(children=[children(i, j) for i in range(rows) for j in range(columns)])
