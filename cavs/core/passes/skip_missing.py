"""skip_missing: no products for the id -1, "no input", which reads as zeros.

Among the distinct ids of a batch it is one row, such as that of all inner vertices of a parse tree.
Where a factor is zeros in this row, or nobody reads the result there, products leave it out: at
small batches that is much of the work, and a weight that only this row goes through is not read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from cavs.core.ir import Node, ancestors
from cavs.core.ops._def import Unique
from cavs.core.passes._zeros import is_zero_of


def skip_missing(
    order: Sequence[Node], users: Mapping[Node, Sequence[Node]], wanted: Collection[Node]
) -> dict[Node, Node]:
    """Each product that leaves out the id -1 to the ids of its rows.

    `order` holds operands first; `wanted` are read from outside in that row too.
    """
    ids = {node.space: node for node in order if node.op.name == "unique_ids"}
    zeros = _zeros(ancestors(order))
    skipping: dict[Node, Node] = {}
    unread: set[Node] = set()
    for node in reversed(order):
        if node not in wanted and all(u in unread or u in skipping for u in users[node]):
            unread.add(node)
        if node.op.name in ("matmul", "matmul_reduce"):
            rows = {x.space for x in node.inputs if x.space != "none"}
            known = ids.get(rows.pop()) if len(rows) == 1 else None
            zero = any(x in zeros for x in node.inputs)
            if known is not None and (zero or node in unread):
                skipping[node] = known
    return skipping


def _zeros(order: Iterable[Node]) -> set[Node]:
    """Values by distinct ids that are zeros for the id -1."""
    zeros: set[Node] = set()
    for node in order:
        if isinstance(node.space, Unique) and _is_zero(node, zeros):
            zeros.add(node)
    return zeros


def _is_zero(node: Node, zeros: Collection[Node]) -> bool:
    if node.op.name == "embedding":
        return node.inputs[1].op.name == "unique_ids"
    return is_zero_of(node, zeros)
