"""skip_missing: no products for rows of the id -1, "no input", which reads as zeros.

Inner vertices of a parse tree have no word, or a vertex no label: where a factor is zeros because
of that, or nobody reads the result, products leave the row out, forward and backward. Among the
distinct ids of a batch it is one row; among vertices it may be most of them, where dropout or a
join of several inputs keeps what depends on an id from being computed once for each.
"""

from __future__ import annotations

from collections.abc import Iterable

from cavs.core.ir import Node
from cavs.core.lowering.zeros import RowIds, Rows, Zeros


def skip_missing(roots: Iterable[Node], ids: RowIds) -> dict[Node, Rows]:
    """Each product that may leave out rows without an input, to these rows."""
    return Zeros(roots, ids, by_id=True, by_mask=False).products()
