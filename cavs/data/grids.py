"""Grids, such as images: a vertex is a place, and its children are the places before it."""

from __future__ import annotations

from functools import lru_cache

from cavs._arguments import integer
from cavs.errors import InputError
from cavs.scheduler import InputGraph


def grid_graph(rows: int, columns: int) -> InputGraph:
    """The DAG over a grid in which information flows to the south-east.

    Vertices are numbered row by row; the children of a vertex are its neighbours to the west, the
    north and the north-west, in this order, if they exist. Graphs are immutable, so grids of one
    size share one object.

    Raises InputError if `rows` or `columns` is no size.
    """
    return _grid(integer("data", "rows", rows, 0), integer("data", "columns", columns, 0))


def pixel_graph(rows: int, columns: int, kernel_size: int) -> InputGraph:
    """The DAG over the pixels of an image in which a pixel sees those before it, line by line, that
    a masked convolution sees (:class:`cavs.nn.MaskedConv2d`).

    Vertices are numbered row by row; the children of a vertex stand in the order of the kernel's
    taps before its centre, with holes for those outside of the image. Graphs are immutable, so
    those of one size share one object.

    Raises InputError if `rows` or `columns` is no size, or `kernel_size` no odd one.
    """
    sizes = integer("data", "rows", rows, 0), integer("data", "columns", columns, 0)
    if integer("data", "kernel_size", kernel_size, 1) % 2 == 0:
        raise InputError(
            f"[data] expected an odd kernel_size, which has a centre, got {kernel_size}; add 1"
        )
    return _pixels(*sizes, int(kernel_size))


@lru_cache(maxsize=256)
def _pixels(rows: int, columns: int, kernel: int) -> InputGraph:
    taps = [divmod(tap, kernel) for tap in range(kernel * kernel // 2)]

    def children(i: int, j: int) -> list[int]:
        seen = ((i + row - kernel // 2, j + column - kernel // 2) for row, column in taps)
        return [k * columns + m if k >= 0 and 0 <= m < columns else -1 for k, m in seen]

    return InputGraph(children=[children(i, j) for i in range(rows) for j in range(columns)])


@lru_cache(maxsize=256)
def _grid(rows: int, columns: int) -> InputGraph:

    def children(i: int, j: int) -> list[int]:
        before = ((i, j - 1), (i - 1, j), (i - 1, j - 1))
        return [k * columns + m for k, m in before if k >= 0 and m >= 0]

    return InputGraph(children=[children(i, j) for i in range(rows) for j in range(columns)])
