"""skip_masked: no products for edges that a mask leaves out.

An input of one number per edge that is zero for some kinds of edges, such as the edges of a lattice
that are no words, is multiplied with what is computed for the others. Where it is zero nobody reads
a product whose way to the results leads through it, and the cotangent of one is zeros: products
leave these edges out, forward and backward.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from cavs.core.ir import Node, ancestors
from cavs.core.passes._zeros import is_zero_of

WIDEST = 4096
"""Elements of the longest rows that the kernels bring together."""

_LINEAR_IN_FIRST = ("sigmoid_grad", "tanh_grad", "div")


def skip_masked(roots: Iterable[Node]) -> dict[Node, Node]:
    """Each product of rows of edges to the mask, a float input, that may leave rows out."""
    roots = list(roots)
    order = ancestors(roots)
    users: dict[Node, list[Node]] = {}
    for node in order:
        for x in node.inputs:
            users.setdefault(x, []).append(node)
    found: dict[Node, Node] = {}
    for mask in order:
        number = mask.dtype == "float" and mask.size == 1
        if mask.op.name == "pull" and mask.space == "edge" and number:
            for node in _masked(order, users, roots, mask):
                found.setdefault(node, mask)
    return found


def _masked(
    order: Sequence[Node],
    users: Mapping[Node, Sequence[Node]],
    roots: Collection[Node],
    mask: Node,
) -> list[Node]:
    zeros: set[Node] = set()
    for node in order:
        if node is mask or (node.space == "edge" and _is_zero(node, zeros)):
            zeros.add(node)
    results = set(roots)
    unread: set[Node] = set()
    for node in reversed(order):
        if node.space != "edge" or node in results or node not in users:
            continue
        if all(u in unread or _is_stopped(node, u, zeros) for u in users[node]):
            unread.add(node)
    return [
        node
        for node in order
        if _takes_mask(node)
        and (node in unread or any(x in zeros for x in node.inputs if x.space == "edge"))
    ]


def _takes_mask(node: Node) -> bool:
    """Whether there is a kernel for it that leaves rows out: of rows with a weight, or of two rows
    over all edges."""
    if node.op.name not in ("matmul", "matmul_reduce"):
        return False
    (a, b), ta, tb = node.inputs, node.attrs["ta"], node.attrs["tb"]
    if max(a.size if b.space == "none" else 0, *node.shape) > WIDEST:
        return False
    if node.op.name == "matmul":
        return a.space == "edge" and b.space == "none" and node.shape[0] == 1 and not ta
    rows = a.space == b.space == "edge"
    return rows and ta and not tb and a.shape[0] == b.shape[0] == 1


def _is_zero(node: Node, zeros: Collection[Node]) -> bool:
    """Whether the edge's value is zeros where those of `zeros` are."""
    if node.op.name in _LINEAR_IN_FIRST:
        return node.inputs[0] in zeros
    return is_zero_of(node, zeros)


def _is_stopped(node: Node, user: Node, zeros: Collection[Node]) -> bool:
    """Whether `user` multiplies `node` with zeros."""
    others = [x for x in user.inputs if x is not node]
    if user.op.name in ("mul", "matmul", "matmul_reduce"):
        return any(x in zeros for x in others)
    return user.op.name in _LINEAR_IN_FIRST and bool(others) and user.inputs[0] in zeros
