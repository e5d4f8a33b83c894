"""commute_gather: the child computes values that depend on its state alone; then they are gathered.

A product over edges, such as U h of each child, becomes one over vertices, in the level of the
child: on contiguous rows, once for a child of several parents and, with ``specialize_leaves`` and
``unique_pulls``, once per distinct word among leaves. Its value is a new state; the gradient
follows, because autodiff comes later: the cotangents of edges are summed before the product.

Only a gather of all children has an edge for every row: a gather by position gives zeros where
there is no child, and each child would be multiplied for all positions though it has one. A root's
state has no reader, so its product is in vain: one row of a tree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cavs.core.ir import (
    FunctionIR,
    Internal,
    Name,
    Node,
    ancestors,
    is_read,
    reading_of,
    rebuild,
    source,
)
from cavs.core.joins import into, joined, results_of
from cavs.core.lowering.skip_masked import skip_masked
from cavs.core.lowering.zeros import RowIds
from cavs.core.ops._def import Space, SpaceKind
from cavs.core.ops.matmul import MATMUL
from cavs.core.ops.structure import GATHER, JOIN
from cavs.core.passes.context import Context

WORTH = 16
"""How many FLOPs of products pay for one more gathered element. In a tree a quarter of the rows may
be saved, forward and twice backward, and the element is read and written on the way back."""


@dataclass(frozen=True)
class Commuted(Internal):
    """The state that holds function `number` of the user's `state`."""

    state: Name
    number: int

    def __str__(self) -> str:
        return f"{self.state}@{self.number}"


def user_name(state: Name) -> Name:
    """Name of the user's state that `state` is, or is computed from."""
    while isinstance(state, Commuted):
        state = state.state
    return state


def commute_gather(function: FunctionIR, context: Context) -> FunctionIR:
    """F with values of one child's state scattered by the child; states that nobody gathers go.

    Products stay if ``skip_masked`` leaves out edges of them: few of the edges may need them.
    """
    skips = "skip_masked" in context.switches
    masked = skip_masked(function.roots(), RowIds()) if skips else ()
    order = ancestors(function.roots())
    products = _products_of_children(order, masked)
    scatters = function.scatters
    chosen = [x for x in _chosen(order, products, function.roots()) if _children_of(x, scatters)]
    if not chosen:
        return function
    names = _names(chosen)
    new: dict[Node, Node] = {}
    for node in order:
        if node in names:
            attrs = {"name": names[node], "slot": None, "edges": node.space}
            new[node] = source(GATHER, node.shape, node.space, node.dtype, **attrs)
        else:
            new[node] = rebuild(node, [new[x] for x in node.inputs])
    result = function.map(new)
    known: dict[Space, dict[Node, Node]] = {}
    own = {names[node]: _scattered(names[node], node, result.scatters, known) for node in chosen}
    scatters = {**result.scatters, **own}
    gone = _gathered(order) - _gathered(ancestors([*scatters.values(), *result.pushes.values()]))
    kept = {name: node for name, node in scatters.items() if name not in gone}
    return FunctionIR(kept, result.pushes)


def _products_of_children(order: Iterable[Node], masked: Collection[Node]) -> dict[Node, int]:
    """Maps an edge value that depends on nothing but a child's state and parameters to the FLOPs of
    the products with parameters that it contains."""
    products: dict[Node, frozenset[Node]] = {}
    for node in order:
        if node.op is GATHER and node.space.kind is SpaceKind.EDGE:
            products[node] = frozenset()
            continue
        own = [x for x in node.inputs if x.space != SpaceKind.NONE]
        # A sample depends on the edge, a softmax over the children on the other edges.
        stays = node.op.random or node.op.mixes_edges or node in masked
        on_edges = node.space.kind is SpaceKind.EDGE
        if not on_edges or stays or not own or any(x not in products for x in own):
            continue
        below = frozenset().union(*(products[x] for x in own))
        products[node] = below | {node} if _is_product(node) else below
    return {node: sum(p.flops for p in below) for node, below in products.items()}


def _is_product(node: Node) -> bool:
    return node.op is MATMUL and any(x.space == SpaceKind.NONE for x in node.inputs)


def _chosen(
    order: Iterable[Node], products: Mapping[Node, int], roots: Iterable[Node]
) -> list[Node]:
    """The values to gather instead: the last ones of `products`, where that pays."""
    read = {x for node in order if node not in products for x in node.inputs}
    read.update(roots)
    found: dict[Node, None] = {}
    for node in products:
        if node in read and products[node]:
            found.update(dict.fromkeys(_narrow(node, products)))
    return [node for node in found if products[node] >= WORTH * node.size]


def _narrow(node: Node, products: Mapping[Node, int]) -> list[Node]:
    """`node`, or the products in it if it is wider than they are or only moves elements."""
    if _is_product(node):
        return [node]
    parts: dict[Node, None] = {}
    for x in node.inputs:
        if products.get(x):
            parts.update(dict.fromkeys(_narrow(x, products)))
    wider = node.size > sum(part.size for part in parts)
    return list(parts) if wider or node.op.moves else [node]


def _names(chosen: Iterable[Node]) -> dict[Node, Commuted]:
    """The names of the new states."""
    counts: dict[Name, int] = {}
    names: dict[Node, Commuted] = {}
    for node in chosen:
        state = next(x.attrs["name"] for x in ancestors([node]) if x.op is GATHER)
        counts[state] = counts.get(state, 0) + 1
        names[node] = Commuted(state, counts[state])
    return names


def _scattered(
    name: Name,
    node: Node,
    scatters: Mapping[Name, Node],
    known: dict[Space, dict[Node, Node]],
) -> Node:
    """The edge value `node` as a state of all children that it is read from. `known`: edge values
    as values of children, by the rows of these."""
    parts: dict[Space, Node] = {}
    for rows, states in _children_of(node, scatters).items():
        found = known.setdefault(rows, {})
        found.update(states)
        for x in ancestors([node]):
            if x not in found:
                found[x] = _on_vertices(x, found, rows)
        parts[rows] = found[node]
    if len(parts) == 1:
        return next(iter(parts.values()))
    to = joined(parts)
    rows_of_parts = [into(name, x, rows) for rows, x in parts.items()]
    return Node(JOIN, rows_of_parts, {"name": name, "to": to}, node.shape, to)


def _children_of(node: Node, scatters: Mapping[Name, Node]) -> dict[Space, dict[Node, Node]]:
    """The rows of children that scatter all that an edge value is computed from: of these, the
    state that each gather reads."""
    gathers = [x for x in ancestors([node]) if x.op is GATHER]
    states = [{x.space: x for x in results_of(scatters[g.attrs["name"]])} for g in gathers]
    return {
        rows: {g: state[rows] for g, state in zip(gathers, states, strict=True)}
        for rows in states[0]
        if is_read(reading_of(gathers[0]), rows) and all(rows in state for state in states)
    }


def _on_vertices(node: Node, found: Mapping[Node, Node], rows: Space) -> Node:
    """The edge value as a value of the child."""
    if node.space == SpaceKind.NONE:
        return node
    inputs = [found[x] for x in node.inputs]
    return Node(node.op, inputs, node.attrs, node.shape, rows, node.dtype, node.where)


def _gathered(nodes: Iterable[Node]) -> set[Name]:
    return {node.attrs["name"] for node in nodes if node.op is GATHER}
