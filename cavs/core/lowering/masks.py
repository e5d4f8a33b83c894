"""Finds the rows that products may leave out, by all analyses, as values that programs compute."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cavs.core.ir import Node
from cavs.core.lowering.skip_masked import skip_masked
from cavs.core.lowering.skip_missing import skip_missing
from cavs.core.lowering.zeros import NO_ROWS, RowIds, Rows, either
from cavs.core.remarks import Notes


def find_masks(
    roots: Iterable[Node], ids: RowIds, switches: Collection[str], notes: Notes | None = None
) -> dict[Node, Node]:
    """Maps a product that may leave out rows to its mask."""
    roots, found = list(roots), dict[Node, Rows]()
    for name, find in (("skip_missing", skip_missing), ("skip_masked", skip_masked)):
        if name in switches:
            for node, rows in find(roots, ids, notes).items():
                found[node] = either(found.get(node, NO_ROWS), rows)
    return {node: ids.mask(rows) for node, rows in found.items()}
