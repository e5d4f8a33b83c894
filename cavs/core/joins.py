"""Joins values of leaves and values of inner vertices to values of all vertices."""

from __future__ import annotations

from collections.abc import Mapping

from cavs.core import ir
from cavs.core.ir import Name, Node
from cavs.core.ops._def import PARTS_OF_VERTICES, Shape, Space, SpaceKind
from cavs.core.ops.elementwise import IDENTITY
from cavs.core.ops.structure import JOIN


def join_of_cotangents(name: Name, shape: Shape, parts: Mapping[Space, Node]) -> Node:
    """Joins the cotangents of leaves and inner vertices; a missing part counts as zeros."""
    zero = ir.constant(0.0, shape)
    return join(name, shape, {space: parts.get(space, zero) for space in PARTS_OF_VERTICES})


def join(name: Name, shape: Shape, parts: Mapping[Space, Node]) -> Node:
    """A value for the caller, joined from leaves and from inner vertices."""
    rows = [x if x.space == space else into(name, x, space) for space, x in parts.items()]
    return Node(JOIN, rows, {"name": name}, shape, SpaceKind.VERTEX)


def into(name: Name, x: Node, space: Space) -> Node:
    """`x` as a value of its own among the rows of all vertices; lowering copies only if it must."""
    return Node(IDENTITY, (x,), {"into": name}, x.shape, space, x.dtype, x.where)
