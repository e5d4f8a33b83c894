"""skip_missing: no products for rows of the id -1, "no input", which reads as zeros.

Inner vertices of a parse tree have no word, other vertices no label. Where a factor is zeros for
that reason, or nobody reads the result, products leave the row out, forward and backward. Among the
distinct ids of a batch it is one row. Among vertices it may be most of them, where dropout or a
join of several inputs keeps values that depend on an id from being computed once per id.
"""

from __future__ import annotations

from collections.abc import Iterable

from cavs.core.ir import Node
from cavs.core.lowering.say_rows import say_rows
from cavs.core.lowering.zeros import RowIds, Rows, Zeros
from cavs.core.remarks import Notes


def skip_missing(
    roots: Iterable[Node], ids: RowIds, notes: Notes | None = None
) -> dict[Node, Rows]:
    """Maps a product to the rows that it may leave out because an id is -1 there."""
    zeros = Zeros(roots, ids, by_id=True, by_mask=False)
    found = zeros.products()
    if notes is not None:
        say_rows(notes, "skip_missing", zeros, roots, found)
    return found
