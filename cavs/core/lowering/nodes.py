"""Properties of single nodes that the lowering asks for."""

from __future__ import annotations

from collections.abc import Iterable

from cavs.core.ir import Node
from cavs.core.ops._def import Between
from cavs.core.ops._spaces import Space, SpaceKind
from cavs.core.ops.attention_levels import LEVEL_ATTENTION_CHILDREN, LEVEL_ATTENTIONS
from cavs.core.ops.matmul import MATMUL, MATMUL_REDUCE
from cavs.core.ops.shape import BROADCAST, CONCAT, RESHAPE, SLICE
from cavs.core.ops.structure import GATHER, JOIN, MAX_ROWS, STATE_COTANGENT

WIDEST = 4096
"""Elements of the longest rows that kernels bring together."""


def is_line(node: Node) -> bool:
    """Whether a row is one line: the columns of the node's last axis stand together."""
    return node.size == node.shape[-1]


def is_view(node: Node) -> bool:
    """Whether the node is columns of its stored operand."""
    if node.op is RESHAPE:
        return True
    return node.op is SLICE and is_line(node.inputs[0])


def is_column(node: Node) -> bool:
    """Whether the node repeats one element along a row, which elementwise groups do themselves."""
    return node.op is BROADCAST and node.inputs[0].size == 1


def reads_parents(node: Node) -> bool:
    """Whether the node, of a gradient, reads what parents hand to their children."""
    return node.op in (STATE_COTANGENT, LEVEL_ATTENTION_CHILDREN)


def is_part(node: Node) -> bool:
    """Whether an elementwise group that reads the node can read its operand instead."""
    return is_view(node) or is_column(node)


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes that write this node's rows: of a join, leaves and inner vertices apart."""
    return node.inputs if node.op is JOIN else (node,)


def sums_all_rows(node: Node) -> bool:
    """Whether the node is a sum, or the maximum, over all rows."""
    return node.op.reduces is Between.ALL


def runs_at_once(node: Node) -> bool:
    """Whether the node is computed for all rows at once, not by those of a thread or a level."""
    return sums_all_rows(node) or node.op.over_graphs


def adds_all_rows(node: Node) -> bool:
    """Whether it is such a sum that others may be added to."""
    return sums_all_rows(node) and node.op is not MAX_ROWS


def summed_rows(node: Node) -> Space:
    """The rows that an operation over all rows sums."""
    return next(x.space for x in node.inputs if x.space != SpaceKind.NONE)


def reads_state(user: Node, gather: Node) -> bool:
    """Whether the gather's user reads the state itself, through the lists of children."""
    over_children = user.op.reduces is Between.CHILDREN or user.op in LEVEL_ATTENTIONS
    return over_children and gather.op is GATHER and gather.attrs["slot"] is None


def reads_through_index(node: Node, masked: bool = False) -> bool:
    """Whether the kernel finds the rows of its operands through tables. It does if it takes them
    one by one, as products of a matrix per row do, or brings together the rows that a mask
    leaves."""
    if node.op is CONCAT:
        return not is_line(node)
    if node.op not in (MATMUL, MATMUL_REDUCE):
        return False
    a, b = node.inputs
    shared = SpaceKind.NONE in (a.space, b.space)
    if node.op is MATMUL_REDUCE:
        lines = a.shape[0 if node.attrs["ta"] else 1] == 1 and not shared
        return masked and lines and max(node.shape) <= WIDEST
    if node.shape[0] == 1 and b.space == SpaceKind.NONE:
        return masked and max(a.size, node.size) <= WIDEST
    return not (node.shape[1] == 1 and a.space == SpaceKind.NONE)


def reachable(roots: Iterable[Node], external: set[Node]) -> list[Node]:
    """Nodes that `roots` depend on, operands first, not going below `external` ones."""
    order: list[Node] = []
    done: dict[Node, bool] = {}
    stack = [n for n in roots if n not in external]
    while stack:
        node = stack[-1]
        if done.get(node) is None:
            done[node] = False
            stack.extend(x for x in node.inputs if x not in done and x not in external)
        else:
            stack.pop()
            if not done[node]:
                done[node] = True
                order.append(node)
    return order


def users_of(order: Iterable[Node]) -> dict[Node, list[Node]]:
    """The nodes that read each node; a node that reads it twice comes twice."""
    users: dict[Node, list[Node]] = {}
    for node in order:
        users.setdefault(node, [])
        for x in node.inputs:
            users.setdefault(x, []).append(node)
    return users
