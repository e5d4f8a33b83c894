"""skip_masked: no products for edges that a mask leaves out.

A mask is an input of one number per edge that is zero for some kinds of edges, such as the edges of
a lattice that are no words; values computed for the other edges are multiplied with it. Where the
mask is zero, nobody reads a product that reaches the results only through it, and the cotangent of
that product is zeros. So products leave these edges out, forward and backward.
"""

from __future__ import annotations

from collections.abc import Iterable

from cavs.core.ir import Node
from cavs.core.lowering.say_rows import say_rows
from cavs.core.lowering.zeros import RowIds, Rows, Zeros
from cavs.core.remarks import Notes


def skip_masked(roots: Iterable[Node], ids: RowIds, notes: Notes | None = None) -> dict[Node, Rows]:
    """Maps a product to the edges that it may leave out because a float input is zero there."""
    zeros = Zeros(roots, ids, by_id=False, by_mask=True)
    found = zeros.products()
    if notes is not None:
        say_rows(notes, "skip_masked", zeros, roots, found)
    return found
