"""Checks that IR is well formed: after tracing, after autodiff and after each pass."""

from __future__ import annotations

from collections.abc import Iterable

from cavs.core.ir import Node, ancestors
from cavs.core.ops._def import OPS
from cavs.core.ops._spaces import SpaceKind, Typed, Unique
from cavs.core.ops.structure import EXPAND


def verify(roots: Iterable[Node], after: str) -> None:
    """Raises AssertionError where the IR is not well formed; names the node and the step before."""
    for node in ancestors(roots):
        problem = _problem(node)
        if problem:
            raise AssertionError(f"[verify] after {after}: {node!r}: {problem}; mend what ran last")


def _problem(node: Node) -> str:
    if OPS.get(node.op.name) is not node.op:
        return f"expected an operation of the table, got {node.op.name!r}"
    given: object = node.space
    if not isinstance(given, (SpaceKind, Typed, Unique)):
        return f"expected a known space, got {given!r}"
    if node.dtype not in ("float", "int32"):
        return f"expected a known dtype, got {node.dtype!r}"
    if node.op.is_source:
        return f"expected no operands of a source, got {len(node.inputs)}" if node.inputs else ""
    if node.op.arity >= 0 and len(node.inputs) != node.op.arity:
        return f"expected {node.op.arity} operands, got {len(node.inputs)}"
    inferred = node.op.infer(*[x.shape for x in node.inputs], **node.attrs)
    if inferred != node.shape:
        return f"expected shape {inferred} of {[x.shape for x in node.inputs]}, got {node.shape}"
    spaces = [x.space for x in node.inputs]
    if node.op.may_add_rows and spaces[0] == SpaceKind.NONE:
        return ""
    space: object = node.op.space(spaces, node.attrs, SpaceKind.VERTEX)
    # Edges belong to all vertices or, once leaves have a function of their own, to inner ones.
    if node.space == space or node.space == node.op.space(spaces, node.attrs, SpaceKind.INNER):
        return ""
    if node.op is EXPAND:
        return f"expected rows of the pull, got {node.space}"
    return f"expected space {space}, got {node.space}"
