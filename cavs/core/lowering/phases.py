"""phases: which part of a program runs before the levels, level by level, and after them.

The paper's streaming and lazy batching: what does not depend on gather is *hoisted* and runs once
over all vertices before the levels; what no scatter depends on is *deferred* and runs once over all
vertices after them. Only the path from gather to scatter runs level by level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum

from cavs.core.ir import Node
from cavs.core.ops._def import SpaceKind


class Phase(IntEnum):
    """When an instruction runs."""

    HOIST = 0
    LEVEL = 1
    DEFER = 2


_LEVEL_SPACES = (SpaceKind.VERTEX, SpaceKind.INNER, SpaceKind.EDGE)


def assign_phases(
    order: Sequence[Node],
    inputs: Callable[[Node], Iterable[Node]],
    is_source: Callable[[Node], bool],
    sinks: Iterable[Node],
    enabled: bool,
) -> dict[Node, Phase]:
    """Phase of each node of `order` (operands first).

    `is_source` says what a level reads of other levels (gather, or the cotangent of the state);
    `sinks` are what it hands on. With the pass off, all that can run level by level does.
    """
    dependent: set[Node] = set()
    for node in order:
        if is_source(node) or any(x in dependent for x in inputs(node)):
            dependent.add(node)
    needed: set[Node] = set()
    sinks = set(sinks)
    for node in reversed(order):
        if node in sinks:
            needed.add(node)
        if node in needed:
            needed.update(inputs(node))
    if not enabled and dependent:
        return _unphased(order, inputs, is_source)
    phase: dict[Node, Phase] = {}
    early: set[Node] = set()  # read by something hoisted or level by level
    for node in reversed(order):
        if node in dependent:
            phase[node] = Phase.LEVEL if node in needed else Phase.DEFER
        else:
            early_here = node in early or (node in sinks and bool(dependent))
            phase[node] = Phase.HOIST if early_here else Phase.DEFER
        if phase[node] != Phase.DEFER:
            early.update(inputs(node))
    return phase


def _unphased(
    order: Sequence[Node],
    inputs: Callable[[Node], Iterable[Node]],
    is_source: Callable[[Node], bool],
) -> dict[Node, Phase]:
    """The pass switched off: every row-by-row computation runs level by level."""
    phase: dict[Node, Phase] = {}
    for node in order:
        before = {phase[x] for x in inputs(node) if x in phase}
        if Phase.DEFER in before or (is_source(node) and node.space == SpaceKind.LEAF):
            phase[node] = Phase.DEFER
        elif node.space in _LEVEL_SPACES:
            phase[node] = Phase.LEVEL
        else:
            phase[node] = Phase.DEFER if Phase.LEVEL in before else Phase.HOIST
    return phase
