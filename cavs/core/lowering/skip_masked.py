"""skip_masked: no products for edges that a mask leaves out.

An input of one number per edge that is zero for some kinds of edges, such as the edges of a lattice
that are no words, is multiplied with what is computed for the others. Where it is zero nobody reads
a product whose way to the results leads through it, and the cotangent of one is zeros: products
leave these edges out, forward and backward.
"""

from __future__ import annotations

from collections.abc import Iterable

from cavs.core.ir import Node
from cavs.core.lowering.zeros import RowIds, Rows, Zeros


def skip_masked(roots: Iterable[Node], ids: RowIds) -> dict[Node, Rows]:
    """Each product that may leave out edges of which a float input is zero, to these edges."""
    return Zeros(roots, ids, by_id=False, by_mask=True).products()
