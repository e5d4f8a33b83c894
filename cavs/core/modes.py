"""F as it is in training and in evaluation: dropout works in training alone, and what ``by_mode``
chooses between is there in one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cavs.core.ir import Node, ancestors, rebuild
from cavs.core.making import on_rows_of
from cavs.core.ops.mode import BY_MODE
from cavs.core.trace import Trace
from cavs.errors import TraceError


def evaluation(traced: Trace) -> Trace:
    """The trace with each dropout replaced by its operand; the same trace if nothing changes.

    Random operations keep their numbers, so F draws the same samples as in training mode.
    """
    order = ancestors(traced.function.roots())
    if not any(node.op.drops or node.op is BY_MODE for node in order):
        return traced
    new = _replaced(order, lambda node: 0 if node.op.drops else 1 if node.op is BY_MODE else None)
    return replace(traced, function=traced.function.map(new))


def in_training(traced: Trace, updates: bool) -> Trace:
    """The trace as training calls compute it, with the values that buffers take, if `updates`; the
    same trace if no value differs by mode.

    Raises:
        TraceError: a buffer takes two values.
    """
    order = ancestors(traced.function.roots())
    if not any(node.op is BY_MODE for node in order):
        return traced
    new = _replaced(order, lambda node: 0 if node.op is BY_MODE else None)
    function = traced.function.map(new)
    if updates:
        function = replace(function, updates=_updates(order, new))
    return replace(traced, function=function)


def buffers_written(traced: Trace) -> set[int]:
    """The identities of the buffers that calls in training mode write."""
    order = ancestors(traced.function.roots())
    return {id(_buffer_of(node)) for node in order if _is_running(node)}


def _is_running(node: Node) -> bool:
    return node.op is BY_MODE and len(node.inputs) == 3


def _buffer_of(node: Node) -> Any:
    return node.inputs[1].attrs["parameter"]


def _updates(order: Sequence[Node], new: dict[Node, Node]) -> dict[Any, Node]:
    """The value that each buffer takes."""
    found: dict[Any, Node] = {}
    first: dict[Any, Node] = {}
    for node in filter(_is_running, order):
        buffer = _buffer_of(node)
        if buffer in found:
            raise TraceError(
                f"[running] expected one update of a buffer, got two, at {first[buffer].where} "
                f"and {node.where}; keep a buffer, or a module such as BatchNorm, for each place"
            )
        found[buffer], first[buffer] = new[node.inputs[2]], node
    return found


def _replaced(order: Sequence[Node], chosen: Callable[[Node], int | None]) -> dict[Node, Node]:
    """The nodes, with each replaced by the operand that is chosen, if one is."""
    new: dict[Node, Node] = {}
    for node in order:
        inputs = [new[x] for x in node.inputs]
        number = chosen(node)
        if number is None:
            new[node] = rebuild(node, inputs)
        else:
            new[node] = on_rows_of(inputs[number], node)
    return new
