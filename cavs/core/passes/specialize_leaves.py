"""specialize_leaves: vertices without children get a function of their own; there gather is zero.

Zeros are propagated: values that are multiplied by them are not computed. The rest depends on a
leaf's pulls alone, so it needs no levels, and with ``unique_pulls`` the whole cell of a leaf runs
once per distinct word. F becomes two functions, over rows ``leaf`` and ``inner``; ``join`` joins
their results. The gradient follows: ∂F of inner vertices runs by levels, ∂F of leaves once
after them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cavs.core import ir
from cavs.core.ir import FunctionIR, Name, Node, ancestors
from cavs.core.joins import into, join
from cavs.core.ops._def import Space, SpaceKind
from cavs.core.ops.structure import GATHER, JOIN
from cavs.core.passes.context import Context


def _can_specialize(function: FunctionIR) -> bool:
    """Whether F gathers at all, and reads and gives no values per graph."""
    nodes = ancestors(function.roots())
    return any(n.op is GATHER for n in nodes) and all(n.space != SpaceKind.GRAPH for n in nodes)


def specialize_leaves(function: FunctionIR, context: Context) -> FunctionIR:
    """F with each result joined from the result of leaves and that of inner vertices."""
    if not _can_specialize(function):
        return function
    context.edge_parents = SpaceKind.INNER
    leaf: dict[Node, Node] = {}
    inner: dict[Node, Node] = {}
    for node in ancestors(function.roots()):
        if node.space != SpaceKind.EDGE:
            leaf[node] = _leaf(node, leaf)
        inner[node] = _inner(node, inner)

    def state(name: Name, node: Node) -> Node:
        parts = [into(name, leaf[node], SpaceKind.LEAF), into(name, inner[node], SpaceKind.INNER)]
        return Node(JOIN, parts, {"name": name}, node.shape, SpaceKind.VERTEX)

    def push(name: Name, node: Node) -> Node:
        if node.space == SpaceKind.EDGE:
            return inner[node]
        return join(name, node.shape, {SpaceKind.LEAF: leaf[node], SpaceKind.INNER: inner[node]})

    return FunctionIR(
        {name: state(name, node) for name, node in function.scatters.items()},
        {name: push(name, node) for name, node in function.pushes.items()},
    )


def _space(node: Node, inputs: Sequence[Node], rows: SpaceKind) -> Space:
    if node.space != SpaceKind.VERTEX:
        return node.space
    computed = inputs and all(x.space == SpaceKind.NONE for x in inputs)
    return SpaceKind.NONE if computed and not node.op.random else rows


def _inner(node: Node, inner: Mapping[Node, Node]) -> Node:
    inputs = [inner[x] for x in node.inputs]
    if node.space == SpaceKind.VERTEX or any(
        a is not b for a, b in zip(inputs, node.inputs, strict=True)
    ):
        space = SpaceKind.INNER if node.space == SpaceKind.VERTEX else node.space
        return Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)
    return node


def _leaf(node: Node, leaf: Mapping[Node, Node]) -> Node:
    if node.op.without_children is not None:
        return ir.constant(node.op.without_children, node.shape)
    inputs = [leaf[x] for x in node.inputs]
    known = _fold(node, inputs)
    if known is not None:
        return known
    if node.space == SpaceKind.NONE:
        return node
    space = _space(node, inputs, SpaceKind.LEAF)
    return Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)


def _fold(node: Node, inputs: Sequence[Node]) -> Node | None:
    """The constant or the operand that `node` equals when some operands are constant, if any."""
    values = [ir.constant_value(x) for x in inputs]
    known = [value for value in values if value is not None]
    if not known:
        return None
    if any(values[i] == 0.0 for i in node.op.zero_with) and all(map(math.isfinite, known)):
        return ir.constant(0.0, node.shape)
    if len(known) == len(values):
        value = node.op.constant(known, [x.shape for x in inputs], node.shape)
        return None if value is None else ir.constant(value, node.shape)
    same = node.op.equals(values)
    return None if same is None or values[same] is not None else inputs[same]
