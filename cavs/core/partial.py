"""Derivatives of values of a vertex function inside of it: they are more of the function, which is
differentiated again where it trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavs.core import ir
from cavs.core.autodiff import total_of
from cavs.core.ir import Node, ancestors
from cavs.core.making import make, on_rows_of, to_space
from cavs.core.ops._def import apply
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.elementwise import IDENTITY
from cavs.core.ops.loss import EMBEDDING
from cavs.core.ops.structure import PARAM, REDUCE_ROWS
from cavs.errors import ShapeError, TraceError


def partial(
    outputs: Sequence[Node], inputs: Sequence[Any], grad_outputs: Sequence[Any] | None
) -> list[Node]:
    """The derivative of the sum of all elements of `outputs`, each times its `grad_outputs`, by
    each of the inputs, values of this vertex or parameters.

    Values of other vertices, which `gather` gives, count as given. The derivative by a value
    without rows, such as a parameter, is summed over all rows of the batch.

    Raises:
        TraceError: an input is no value of F, no output depends on it, or an operation between has
            no gradient; each names the line. ShapeError: a cotangent of another shape.
    """
    order = ancestors(outputs)
    places = [_places(x, order, number) for number, x in enumerate(inputs)]
    wanted: set[Node] = {node for found in places for node in found}
    for node in order:
        if any(x in wanted for x in node.inputs):
            wanted.add(node)
    cotangents: dict[Node, list[Node]] = {}
    for number, y in enumerate(outputs):
        given = None if grad_outputs is None else grad_outputs[number]
        cotangents.setdefault(y, []).append(_seed(y, given))
    for node in reversed(order):
        parts = cotangents.get(node)
        if node not in wanted or not parts or not node.inputs:
            continue
        if not any(x in wanted for x in node.inputs):
            continue  # an input itself: what it is computed from does not matter
        if node.op.vjp is None:
            raise TraceError(
                f"[grad] expected operations with a gradient, got {node.op.name}"
                f"{f', at {node.where}' if node.where else ''}; differentiate without it"
            )
        if node.op is EMBEDDING and node.inputs[0] in wanted:
            raise TraceError(
                "[grad] expected inputs that reach no table of an embedding, got one that does, at "
                f"{node.where}; differentiate by the rows that are looked up"
            )
        for x, dx in zip(
            node.inputs,
            node.op.vjp(total_of(parts), node, *node.inputs, **node.attrs),
            strict=True,
        ):
            if dx is not None and x in wanted and x.dtype == "float":
                if x.space == SpaceKind.NONE and dx.space != SpaceKind.NONE:
                    dx = apply(REDUCE_ROWS, dx)
                cotangents.setdefault(x, []).append(dx)
    results = []
    for number, found in enumerate(places):
        parts = [part for node in found for part in cotangents.get(node, ())]
        if not parts:
            raise TraceError(
                f"[grad] expected outputs that depend on input {number}, got some that do not; "
                "leave it out, or differentiate what is computed from it"
            )
        results.append(on_rows_of(total_of(parts), found[0]))
    return results


def _places(x: Any, order: Sequence[Node], number: int) -> list[Node]:
    """The nodes that stand for an input: of a parameter all that read it."""
    if isinstance(x, Node):
        if x.dtype != "float":
            raise TraceError(
                f"[grad] expected floats as input {number}, got ids; differentiate by what is "
                "looked up by them"
            )
        return [x]
    if getattr(x, "__cavs_parameter__", False):
        found = [n for n in order if n.op is PARAM and n.attrs["parameter"] is x]
        if found:
            return found
        raise TraceError(
            f"[grad] expected outputs that depend on input {number}, a parameter, got some that do "
            "not; leave it out"
        )
    raise TraceError(
        f"[grad] expected values of F and parameters as inputs, got {type(x).__name__} as input "
        f"{number}; pass what v.pull, v.gather or an operation gave"
    )


def _seed(y: Node, given: Any) -> Node:
    if given is None:
        return on_rows_of(ir.constant(1.0, y.shape), y)
    cotangent = make(IDENTITY, [given], {})
    if cotangent.shape != y.shape:
        raise ShapeError(
            f"[grad] expected grad_outputs of shape {y.shape}, as the output, got "
            f"{cotangent.shape}; reshape it"
        )
    return on_rows_of(to_space(cotangent, y.space), y)
