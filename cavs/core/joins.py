"""Joins values of some vertices, such as leaves and inner vertices, to values of all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from cavs.core import ir
from cavs.core.ir import Name, Node
from cavs.core.ops._def import Shape
from cavs.core.ops._spaces import PARTS_OF_VERTICES, Rows, Space, Typed
from cavs.core.ops.elementwise import IDENTITY
from cavs.core.ops.structure import JOIN


def join_of_cotangents(name: Name, shape: Shape, parts: Mapping[Space, Node], to: Rows) -> Node:
    """Joins the cotangents of some of the rows `to`; a missing part counts as zeros."""
    zero = ir.constant(0.0, shape)
    spaces: list[Space] = []
    for rows in members(to):
        both = [rows.of_kind(kind) for kind in PARTS_OF_VERTICES]
        spaces += both if any(space in parts for space in both) else [rows]
    return join(name, shape, {space: parts.get(space, zero) for space in spaces}, to)


def members(rows: Rows) -> Collection[Rows]:
    """The rows by type, or by list of edges."""
    return [rows] if not isinstance(rows, Typed) else [Typed(rows.kind, (x,)) for x in rows.members]


def joined(parts: Iterable[Space]) -> Rows:
    """The rows of several types together."""
    found = [space for space in parts if isinstance(space, Typed)]
    names = dict.fromkeys(x for space in found for x in space.members)
    return Typed(found[0].kind, tuple(names))


def joined_state(name: Name, parts: Sequence[Node]) -> Node:
    """A state of one type or of several."""
    if len(parts) == 1:
        return parts[0]
    to = joined(x.space for x in parts)
    rows = [into(name, x, x.space) for x in parts]
    return Node(JOIN, rows, {"name": name, "to": to}, parts[0].shape, to)


def results_of(node: Node) -> Sequence[Node]:
    """The values of single types that a result is joined from, or the result itself."""
    if node.op is not JOIN:
        return [node]
    return [x.inputs[0] if "into" in x.attrs else x for x in node.inputs]


def join(name: Name, shape: Shape, parts: Mapping[Space, Node], to: Rows) -> Node:
    """A value of the rows `to` for the caller, joined from the parts of them that it has."""
    rows = [x if x.space == space else into(name, x, space) for space, x in parts.items()]
    return Node(JOIN, rows, {"name": name, "to": to}, shape, to)


def into(name: Name, x: Node, space: Space) -> Node:
    """`x` as a value of its own among the rows of all vertices; lowering copies only if it must."""
    return Node(IDENTITY, (x,), {"into": name}, x.shape, space, x.dtype, x.where)
