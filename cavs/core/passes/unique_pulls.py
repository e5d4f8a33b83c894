"""unique_pulls: what depends on integer pulls alone runs once per distinct id in the batch, or once
per distinct tuple of ids.

A batch has far fewer distinct words than words; embedding rows and their projections are computed
per distinct word and expanded to the vertices where something else joins. Where that is another
pull, such as a tag put beside the word, and a product follows, it runs once per distinct pair,
which the values of single ids are expanded to. What joins several pulls and has no product over the
same ones is computed where it is read: a table of pairs would cost more than it saves.

The pass runs before autodiff, so the gradient comes out in the same spaces: rows of equal ids are
summed first (``unique_sum``, the adjoint of ``expand``), then multiplied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cavs.core import ir
from cavs.core.ir import FunctionIR, Node, ancestors, rebuild
from cavs.core.ops._def import OPS, Space, Unique
from cavs.core.ops.random import RANDOM


def ids_of(pull: Node) -> Unique:
    """The distinct ids of an integer pull among the rows that it is pulled by."""
    assert isinstance(pull.space, str)
    return Unique((pull.attrs["name"],), pull.space)


def unique_pulls(function: FunctionIR) -> FunctionIR:
    """F with the computations on distinct ids moved to their spaces (:class:`Unique`)."""
    order = ancestors(function.roots())
    homes = _homes(order)
    wanted = _wanted(order, homes)
    moved: dict[tuple[Node, Space], Node] = {}
    new: dict[Node, Node] = {}
    for node in order:
        home = homes.get(node)
        for space in wanted[node]:
            if home in (None, space) or node.op.name == "pull":
                moved[node, space] = _at(node, space, moved)
        if home is None:
            new[node] = rebuild(node, [new[x] for x in node.inputs])
            continue
        if node.op.name == "pull":
            new[node] = node
            continue
        own = moved[node, home]
        for space in wanted[node]:
            if space != home:
                moved[node, space] = _expand(own, home, space, node)
        new[node] = _expand(own, home, node.space, node)
    return function.map(new)


def _homes(order: Sequence[Node]) -> dict[Node, Unique]:
    """The distinct ids, or tuples of them, that a node is computed for, of those that move."""
    pulls: dict[Node, frozenset[Node]] = {}
    homes: dict[Node, Unique] = {}
    products: set[Node] = set()  # what a product over the same pulls is part of
    for node in order:
        if node.op.name == "pull" and node.dtype == "int32":
            pulls[node] = frozenset([node])
        else:
            rows = [x for x in node.inputs if x.space != "none"]
            own = node.op.name not in RANDOM and not node.op.mixes_edges
            if not rows or not own or any(x not in pulls for x in rows):
                continue
            if any(x.space != node.space for x in rows):
                continue
            pulls[node] = frozenset().union(*(pulls[x] for x in rows))
        same = [x for x in node.inputs if pulls.get(x) == pulls[node]]
        if node.op.name == "matmul" or any(x in products for x in same):
            products.add(node)
        names = tuple(sorted(pull.attrs["name"] for pull in pulls[node]))
        if len(names) == 1 or node in products:
            assert isinstance(node.space, str)
            homes[node] = Unique(names, node.space)
    return homes


def _wanted(order: Sequence[Node], homes: Mapping[Node, Unique]) -> dict[Node, dict[Unique, None]]:
    """The distinct ids that each node's value is read for, its home among them."""
    wanted: dict[Node, dict[Unique, None]] = {node: {} for node in order}
    for node in reversed(order):
        home = homes.get(node)
        if home is not None:
            wanted[node][home] = None
        for x in node.inputs:
            if x.space != "none":
                wanted[x].update(wanted[node] if home is None else {home: None})
    return wanted


def _at(node: Node, space: Unique, moved: Mapping[tuple[Node, Space], Node]) -> Node:
    """The node computed for distinct ids, from operands that are there."""
    if node.op.name == "pull":
        return ir.source("unique_ids", (), space, "int32", name=node.attrs["name"])
    inputs = [x if x.space == "none" else moved[x, space] for x in node.inputs]
    if "into" in node.attrs:  # what a copy goes into is a matter of the rows expanded to
        return inputs[0]
    return Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)


def _expand(x: Node, rows: Unique, base: Space, node: Node) -> Node:
    """`x`, which `node` is for the distinct `rows`, for the rows `base` that have the ids."""
    into = {"into": node.attrs["into"]} if "into" in node.attrs and base == node.space else {}
    attrs = {"rows": rows, "base": base, **into}
    return Node(OPS["expand"], (x,), attrs, node.shape, base, node.dtype, node.where)
