"""specialize_leaves: vertices without children get a function of their own; there gather is zero.

Zeros are propagated: what is multiplied by them is not computed. What is left depends on a leaf's
pulls alone, so it needs no levels, and with ``unique_pulls`` the whole cell of a leaf runs once per
distinct word. F becomes two functions, over rows ``leaf`` and ``inner``, whose results meet in
``join``. The gradient follows: ∂F of inner vertices runs by levels, that of leaves once after them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cavs.core import ir
from cavs.core.ir import FunctionIR, Name, Node, ancestors
from cavs.core.ops._def import OPS, PARTS_OF_VERTICES, Shape, Space, SpaceKind, size_of
from cavs.core.ops.random import RANDOM

_OVER_NO_CHILDREN = {
    "gather": 0.0,
    "segment_sum": 0.0,
    "segment_max": 0.0,
    "segment_logsumexp": -math.inf,
    "num_children": 0.0,
}


def can_specialize(function: FunctionIR) -> bool:
    """Whether F gathers at all, and reads and gives no values per graph."""
    nodes = ancestors(function.roots())
    return any(n.op.name == "gather" for n in nodes) and all(
        n.space != SpaceKind.GRAPH for n in nodes
    )


def specialize_leaves(function: FunctionIR) -> FunctionIR:
    """F with each result joined from that of leaves and that of inner vertices."""
    leaf: dict[Node, Node] = {}
    inner: dict[Node, Node] = {}
    for node in ancestors(function.roots()):
        if node.space != SpaceKind.EDGE:
            leaf[node] = _leaf(node, leaf)
        inner[node] = _inner(node, inner)

    def state(name: Name, node: Node) -> Node:
        parts = [_into(name, leaf[node], SpaceKind.LEAF), _into(name, inner[node], SpaceKind.INNER)]
        return Node(OPS["join"], parts, {"name": name}, node.shape, SpaceKind.VERTEX)

    def push(name: Name, node: Node) -> Node:
        if node.space == SpaceKind.EDGE:
            return inner[node]
        return _join(name, node.shape, {SpaceKind.LEAF: leaf[node], SpaceKind.INNER: inner[node]})

    return FunctionIR(
        {name: state(name, node) for name, node in function.scatters.items()},
        {name: push(name, node) for name, node in function.pushes.items()},
    )


def join_of_cotangents(name: Name, shape: Shape, parts: Mapping[Space, Node]) -> Node:
    """One value per vertex from those of leaves and inner vertices, zeros where one is missing."""
    zero = ir.constant(0.0, shape)
    return _join(name, shape, {space: parts.get(space, zero) for space in PARTS_OF_VERTICES})


def _join(name: Name, shape: Shape, parts: Mapping[Space, Node]) -> Node:
    """What the caller gets, from leaves and from inner vertices."""
    rows = [x if x.space == space else _into(name, x, space) for space, x in parts.items()]
    return Node(OPS["join"], rows, {"name": name}, shape, SpaceKind.VERTEX)


def _into(name: Name, x: Node, space: Space) -> Node:
    """`x` as a value of its own among the rows of all vertices; lowering copies only if it must."""
    return Node(OPS["identity"], (x,), {"into": name}, x.shape, space, x.dtype, x.where)


def _space(node: Node, inputs: Sequence[Node], rows: SpaceKind) -> Space:
    if node.space != SpaceKind.VERTEX:
        return node.space
    computed = inputs and all(x.space == SpaceKind.NONE for x in inputs)
    return SpaceKind.NONE if computed and node.op.name not in RANDOM else rows


def _inner(node: Node, inner: Mapping[Node, Node]) -> Node:
    inputs = [inner[x] for x in node.inputs]
    if node.space == SpaceKind.VERTEX or any(
        a is not b for a, b in zip(inputs, node.inputs, strict=True)
    ):
        space = SpaceKind.INNER if node.space == SpaceKind.VERTEX else node.space
        return Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)
    return node


def _leaf(node: Node, leaf: Mapping[Node, Node]) -> Node:
    if node.op.name in _OVER_NO_CHILDREN:
        return ir.constant(_OVER_NO_CHILDREN[node.op.name], node.shape)
    inputs = [leaf[x] for x in node.inputs]
    known = _fold(node, inputs)
    if known is not None:
        return known
    if node.space == SpaceKind.NONE:
        return node
    space = _space(node, inputs, SpaceKind.LEAF)
    return Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)


def _fold(node: Node, inputs: Sequence[Node]) -> Node | None:
    """What `node` is where operands are constant, if that is a constant or an operand."""
    values = [ir.constant_value(x) for x in inputs]
    if not inputs or all(v is None for v in values):
        return None
    rule = _RULES.get(node.op.name)
    if rule is not None:
        result = rule(node, inputs, values)
        if result is not None:
            return result
    if any(v is None for v in values):
        return None
    if node.op.elementwise and node.op.reference is not None:
        with np.errstate(all="ignore"):
            value = node.op.reference(np, *[np.float64(v) for v in values if v is not None])
        return ir.constant(float(value), node.shape)
    if node.op.name in ("reshape", "slice", "broadcast") or (
        node.op.name == "concat" and len(set(values)) == 1
    ):
        return ir.constant(values[0] or 0.0, node.shape)
    if node.op.name == "row_sum":
        return ir.constant((values[0] or 0.0) * inputs[0].shape[-1], node.shape)
    if node.op.name == "sum_to":
        count = inputs[0].size // max(size_of(node.shape), 1)
        return ir.constant((values[0] or 0.0) * count, node.shape)
    return None


_Rule = Callable[[Node, Sequence[Node], Sequence[float | None]], Node | None]


def _zero_if_any(node: Node, inputs: Sequence[Node], values: Sequence[float | None]) -> Node | None:
    finite = all(v is None or math.isfinite(v) for v in values)
    return ir.constant(0.0, node.shape) if 0.0 in values and finite else None


def _zero_first(node: Node, inputs: Sequence[Node], values: Sequence[float | None]) -> Node | None:
    return ir.constant(0.0, node.shape) if values[0] == 0.0 else None


def _sum(node: Node, inputs: Sequence[Node], values: Sequence[float | None]) -> Node | None:
    if values[0] == 0.0 and values[1] is None:
        return inputs[1]
    return inputs[0] if values[1] == 0.0 and values[0] is None else None


def _difference(node: Node, inputs: Sequence[Node], values: Sequence[float | None]) -> Node | None:
    return inputs[0] if values[1] == 0.0 and values[0] is None else None


_RULES: dict[str, _Rule] = {
    "matmul": _zero_if_any,
    "mul": _zero_if_any,
    "div": _zero_first,
    "dropout": _zero_first,
    "dropout_by_id": _zero_first,
    "add": _sum,
    "sub": _difference,
}
