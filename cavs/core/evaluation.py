"""F as it is in evaluation, where dropout does nothing."""

from __future__ import annotations

from dataclasses import replace

from cavs.core.ir import Node, ancestors, rebuild
from cavs.core.trace import Trace


def evaluation(traced: Trace) -> Trace:
    """The trace with each dropout replaced by its operand; the same trace if there is none.

    Random operations keep their numbers, so F draws the same samples as in training mode.
    """
    order = ancestors(traced.function.roots())
    if not any(node.op.drops for node in order):
        return traced
    new: dict[Node, Node] = {}
    for node in order:
        inputs = [new[x] for x in node.inputs]
        new[node] = inputs[0] if node.op.drops else rebuild(node, inputs)
    return replace(traced, function=traced.function.map(new))
