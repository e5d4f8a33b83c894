"""hoist and defer: which part of a program runs before the levels, level by level, and after them.

The paper's streaming and lazy batching. An operation that does not depend on gather is *hoisted*:
it runs once over all vertices before the levels. An operation that no scatter depends on is
*deferred*: it runs once over all vertices after them. With both passes, only the path from gather
to scatter runs level by level. If one of them is off, the operations that it would have moved run
level by level too, as far as they work row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import IntEnum

from cavs.core.ir import Node
from cavs.core.ops._def import SpaceKind


class Phase(IntEnum):
    """When an instruction runs."""

    HOIST = 0
    LEVEL = 1
    DEFER = 2


_OF_LEVELS = (SpaceKind.VERTEX, SpaceKind.INNER, SpaceKind.EDGE)

Inputs = Callable[[Node], Iterable[Node]]


def assign_phases(
    order: Sequence[Node],
    inputs: Inputs,
    is_source: Callable[[Node], bool],
    sinks: Iterable[Node],
    switches: Collection[str],
    sums: Callable[[Node], bool] = lambda node: False,
) -> dict[Node, Phase]:
    """Phase of each node of `order` (operands first).

    `is_source` tells the nodes that read other levels (gather, or the cotangent of the state);
    `sinks` are the nodes that a level hands on; `switches` are the passes that are on; `sums` tells
    the sums over rows of levels, to which a level can add its own.
    """
    dependent: set[Node] = set()
    for node in order:
        if is_source(node) or any(x in dependent for x in inputs(node)):
            dependent.add(node)
    phase = _moved(order, inputs, dependent, set(sinks))
    if not dependent or {"hoist", "defer"}.issubset(switches):
        return phase
    kept = _keeping(phase, dependent, "hoist" in switches, "defer" in switches)
    return _by_levels(order, inputs, is_source, kept, sums)


def _moved(
    order: Sequence[Node], inputs: Inputs, dependent: set[Node], sinks: set[Node]
) -> dict[Node, Phase]:
    """The phases, with all nodes out of the levels that need not be in them."""
    needed: set[Node] = set()
    for node in reversed(order):
        if node in sinks:
            needed.add(node)
        if node in needed:
            needed.update(inputs(node))
    phase: dict[Node, Phase] = {}
    early: set[Node] = set()  # read by a node that is hoisted or runs level by level
    for node in reversed(order):
        if node in dependent:
            phase[node] = Phase.LEVEL if node in needed else Phase.DEFER
        else:
            early_here = node in early or (node in sinks and bool(dependent))
            phase[node] = Phase.HOIST if early_here else Phase.DEFER
        if phase[node] != Phase.DEFER:
            early.update(inputs(node))
    return phase


def _keeping(
    moved: Mapping[Node, Phase], dependent: set[Node], hoist: bool, defer: bool
) -> dict[Node, Phase]:
    """The nodes that the one pass that is on takes out of the levels, with their phases."""
    if defer:
        return {node: phase for node, phase in moved.items() if phase == Phase.DEFER}
    return {node: Phase.HOIST for node in moved if node not in dependent} if hoist else {}


def _by_levels(
    order: Sequence[Node],
    inputs: Inputs,
    is_source: Callable[[Node], bool],
    kept: Mapping[Node, Phase],
    sums: Callable[[Node], bool],
) -> dict[Node, Phase]:
    """Puts all other nodes into the levels if they work row by row, or add up rows of the level,
    and read nothing that comes later."""
    phase: dict[Node, Phase] = {}
    for node in order:
        before = {phase[x] for x in inputs(node) if x in phase}
        if Phase.DEFER in before or (is_source(node) and node.space.kind is SpaceKind.LEAF):
            phase[node] = Phase.DEFER
        elif node in kept:
            phase[node] = kept[node]
        elif node.space.kind in _OF_LEVELS or (Phase.LEVEL in before and sums(node)):
            phase[node] = Phase.LEVEL
        else:
            phase[node] = Phase.DEFER if Phase.LEVEL in before else Phase.HOIST
    return phase
