"""Checks that IR is well formed: after tracing, after autodiff and after each pass."""

from __future__ import annotations

from collections.abc import Iterable

from cavs.core.ir import Node, ancestors
from cavs.core.ops._def import OPS, Unique

_SPACES = ("none", "graph", "vertex", "leaf", "inner", "edge")
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
    if node.space not in _SPACES and not isinstance(node.space, Unique):
        return f"expected a known space, got {node.space!r}"
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
    if node.op.name in ("identity", "dropout") and node.inputs[0].space in ("none", node.space):
        return ""
    space = node.op.space([x.space for x in node.inputs])
    if space == "vertex" and node.space == "inner" and node.inputs[0].space == "edge":
        return ""
    return "" if space == node.space else f"expected space {space}, got {node.space}"
