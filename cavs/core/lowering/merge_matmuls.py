"""merge_matmuls: products over all rows whose results are added are summed in one place.

The gradient of a weight has a product for each part of the rows (leaves and inner vertices), or for
each layer that shares it. If each product had its own result, a pass would have to add them, which
at small batches is as much work as the products. Instead the first product writes the gradient and
the others add to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from cavs.core.ir import Node
from cavs.core.lowering.nodes import adds_all_rows
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.elementwise import ADD
from cavs.core.remarks import Notes, Stake, counted


def merge_matmuls(
    order: Sequence[Node],
    users: Mapping[Node, Sequence[Node]],
    wanted: Collection[Node],
    notes: Notes | None = None,
) -> dict[Node, list[Node]]:
    """Maps an addition that need not be made to the results over all rows that it is the sum of.
    Nothing else reads these results. Additions that are terms of another one are keys too.

    `order` holds operands first; the nodes `wanted` are read from outside.
    """
    sums: dict[Node, list[Node]] = {}

    def terms(node: Node) -> list[Node]:
        if len(users[node]) > 1 or node in wanted:
            if notes is not None and (node in sums or adds_all_rows(node)):
                others = "outside" if node in wanted else f"{len(users[node])} operations"
                reason = (
                    f"the sum of {node.op.name} over all rows is read by {others}, not added alone"
                )
                notes.refuse("merge_matmuls", node, reason, [Stake(SpaceKind.NONE, node.size)])
            return []
        return [node] if adds_all_rows(node) else sums.get(node, [])

    for node in order:
        if node.op is ADD and node.space == SpaceKind.NONE:
            parts = [terms(x) for x in node.inputs]
            if all(parts):
                sums[node] = [term for part in parts for term in part]
    if notes is not None and sums:
        words = f"{counted(len(sums), 'addition')} of sums over all rows gone"
        notes.did("merge_matmuls", words, [Stake(SpaceKind.NONE, x.size) for x in sums])
    return sums
