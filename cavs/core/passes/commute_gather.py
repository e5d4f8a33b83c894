"""commute_gather: the child computes values that depend on its state alone; then they are gathered.

A product over edges, such as U h of each child, becomes one over vertices, in the level of the
child: on contiguous rows, once for a child of several parents and, with ``specialize_leaves`` and
``unique_pulls``, once per distinct word among leaves. Its value is a new state; the gradient
follows, because autodiff comes later: the cotangents of edges are summed before the product.

Keys and values of attentions are always worth it: with ``fuse_attention`` no edge has them then.

Only a gather of all children has an edge for every row: a gather by position gives zeros where
there is no child, and each child would be multiplied for all positions though it has one. A root's
state has no reader, so its product is in vain: one row of a tree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
from cavs.core.ops._spaces import Space, SpaceKind, as_rows
from cavs.core.ops.matmul import MATMUL
from cavs.core.ops.structure import GATHER, JOIN
from cavs.core.passes.context import Context
from cavs.core.passes.fuse_attention import keys_and_values
from cavs.core.remarks import Notes, Stake, called, of_rows, sources

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


def commute_gather(function: FunctionIR, context: Context) -> FunctionIR:
    """F with values of one child's state scattered by the child; states that nobody gathers go.

    Products stay if ``skip_masked`` leaves out edges of them: few of the edges may need them.
    """
    skips = "skip_masked" in context.switches
    masked = skip_masked(function.roots(), RowIds()) if skips else ()
    order = ancestors(function.roots())
    reasons = None if context.notes is None else _Reasons(context.notes)
    products = _products_of_children(order, masked, reasons)
    scatters = function.scatters
    found = _chosen(order, products, function.roots())
    fused = keys_and_values(order) if "fuse_attention" in context.switches else ()
    paying = [x for x in found if products[x] >= WORTH * x.size or x in fused]
    chosen = [x for x in paying if _children_of(x, scatters)]
    if reasons is not None:
        reasons.say(found, paying, chosen, products, scatters)
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
    result = replace(result, scatters=scatters)
    gone = _gathered(order) - _gathered(ancestors(result.roots()))
    kept = {name: node for name, node in scatters.items() if name not in gone}
    return replace(result, scatters=kept)


def _products_of_children(
    order: Iterable[Node], masked: Collection[Node], reasons: _Reasons | None
) -> dict[Node, int]:
    """Maps an edge value that depends on nothing but a child's state and parameters to the FLOPs of
    the products with parameters that it contains."""
    products: dict[Node, frozenset[Node]] = {}
    late: set[Node] = set()  # without rows, but of states: it is there when the levels are done
    for node in order:
        if node.op is GATHER or any(x in late for x in node.inputs):
            late.add(node)
        if node.op is GATHER and node.space.kind is SpaceKind.EDGE:
            products[node] = frozenset()
            continue
        own = [x for x in node.inputs if x.space != SpaceKind.NONE]
        # A sample depends on the edge, a softmax over the children on the other edges.
        stays = node.op.random or node.op.mixes_edges or node in masked
        stays |= any(x in late for x in node.inputs if x.space == SpaceKind.NONE)
        on_edges = node.space.kind is SpaceKind.EDGE
        if not on_edges or stays or not own or any(x not in products for x in own):
            if reasons is not None:
                reasons.refuse(node, own, products, masked)
            continue
        below = frozenset().union(*(products[x] for x in own))
        products[node] = below | {node} if _is_product(node) else below
    return {node: sum(p.flops for p in below) for node, below in products.items()}


def _is_product(node: Node) -> bool:
    return node.op is MATMUL and any(x.space == SpaceKind.NONE for x in node.inputs)


def _chosen(
    order: Iterable[Node], products: Mapping[Node, int], roots: Iterable[Node]
) -> list[Node]:
    """The values to gather instead, where that pays: the last ones of `products`."""
    read = {x for node in order if node not in products for x in node.inputs}
    read.update(roots)
    found: dict[Node, None] = {}
    for node in products:
        if node in read and products[node]:
            found.update(dict.fromkeys(_narrow(node, products)))
    return list(found)


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


class _Reasons:
    """Says which products of children's states stay where they are."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def refuse(
        self, node: Node, own: Sequence[Node], products: Collection[Node], masked: Collection[Node]
    ) -> None:
        """Says why `node`, an operation on the rows `own`, does not depend on one child alone, if
        it is a product of children's states."""
        if not _is_product(node):
            return
        found = [x for row in own for x in sources(row)]
        gathers = [x for x in found if x.op is GATHER]
        if not gathers:
            return
        if node.space.kind is not SpaceKind.EDGE:
            if all(x.op is GATHER and x.attrs["slot"] is not None for x in found):
                (first, *_) = gathers
                reason = (
                    f"{called(first)} is gathered by position: parents multiply it, a leaf's too"
                )
                # A leaf could do it once per distinct id; others do it as often as their parents.
                leaves = as_rows(node.space).of_kind(SpaceKind.LEAF)
                self._notes.refuse("commute_gather", node, reason, [Stake(leaves, node.flops)])
            return
        if node in masked:
            reason = "a float input that may be 0 masks it: skip_masked leaves these edges out"
        else:
            reason = _beside([x for x in own if x not in products])
        self._notes.refuse("commute_gather", node, reason, [node])

    def say(
        self,
        found: Sequence[Node],
        paying: Collection[Node],
        chosen: Collection[Node],
        products: Mapping[Node, int],
        scatters: Mapping[Name, Node],
    ) -> None:
        """Says for which of the values found it does not pay, or cannot be, and what is done."""
        for node in found:
            at_stake = [Stake(node.space, products[node])]
            if node not in paying:
                reason = (
                    f"saves {products[node]:,} FLOPs for {node.size:,} more numbers to gather, "
                    f"less than {WORTH} for each"
                )
                self._notes.refuse("commute_gather", node, reason, at_stake)
            elif node not in chosen:
                reason = "what it reads is scattered by different types of children"
                self._notes.refuse("commute_gather", node, reason, at_stake)
        for node in chosen:
            flops = products[node]
            spared = [Stake(rows, -flops) for rows in _children_of(node, scatters)]
            spared.append(Stake(node.space, flops))
            names = ", ".join(dict.fromkeys(called(x) for x in sources(node)))
            self._notes.did(
                "commute_gather", f"a product of {names} ran once per child, not per edge", spared
            )


def _beside(others: Sequence[Node]) -> str:
    """The reason why values of edges are not of the child alone."""
    found: dict[str, None] = {}
    for node in others:
        for x in ancestors([node]):
            if x.op.random:
                found[f"{x.op.name} of line {x.where.line}" if x.where else x.op.name] = None
            elif x.op.mixes_edges:
                found[f"{called(x)}, over all children"] = None
            elif x.op is GATHER and x.space.kind is SpaceKind.EDGE:
                continue
            elif not x.inputs and x.space != SpaceKind.NONE:
                whose = "" if x.op is GATHER else f" of {of_rows(x.space)}"
                found[called(x) + whose] = None
    return f"depends on more than the child: on {' and '.join(found)}"
