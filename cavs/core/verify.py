"""Checks that IR is well formed: after tracing, after autodiff and after each pass."""

from __future__ import annotations

from collections.abc import Iterable

from cavs.core.ir import Node, ancestors
from cavs.core.ops._def import OPS, SpaceKind, Unique

_SOURCES = (
    "param",
    "constant",
    "pull",
    "gather",
    "unique_ids",
    "remembered",
    "push_cotangent",
    "state_cotangent",
    "num_children",
    "uniform",
)


def verify(roots: Iterable[Node], after: str) -> None:
    """Raises AssertionError, naming the node and what ran last, where the IR is not well formed."""
    for node in ancestors(roots):
        problem = _problem(node)
        if problem:
            raise AssertionError(f"[verify] after {after}: {node!r}: {problem}; mend what ran last")


def _problem(node: Node) -> str:
    if OPS.get(node.op.name) is not node.op:
        return f"expected an operation of the table, got {node.op.name!r}"
    given: object = node.space
    if not isinstance(given, (SpaceKind, Unique)):
        return f"expected a known space, got {given!r}"
    if node.dtype not in ("float", "int32"):
        return f"expected a known dtype, got {node.dtype!r}"
    if node.op.name in _SOURCES:
        return f"expected no operands of a source, got {len(node.inputs)}" if node.inputs else ""
    if node.op.arity >= 0 and len(node.inputs) != node.op.arity:
        return f"expected {node.op.arity} operands, got {len(node.inputs)}"
    inferred = node.op.infer(*[x.shape for x in node.inputs], **node.attrs)
    if inferred != node.shape:
        return f"expected shape {inferred} of {[x.shape for x in node.inputs]}, got {node.shape}"
    if node.op.name == "expand":
        return (
            ""
            if node.space == node.attrs["base"]
            else f"expected rows of the pull, got {node.space}"
        )
    if node.op.name == "unique_sum":
        expected = node.attrs["rows"]
        return "" if node.space == expected else f"expected space {expected}, got {node.space}"
    known = (SpaceKind.NONE, node.space)
    if node.op.name in ("identity", "dropout") and node.inputs[0].space in known:
        return ""
    space = node.op.space([x.space for x in node.inputs])
    of_inner = node.space == SpaceKind.INNER and node.inputs[0].space == SpaceKind.EDGE
    if space == SpaceKind.VERTEX and of_inner:
        return ""
    return "" if space == node.space else f"expected space {space}, got {node.space}"
