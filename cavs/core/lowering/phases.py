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

from cavs.core.ir import Name, Node, without_reshapes
from cavs.core.ops._def import Between
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.matmul import MATMUL
from cavs.core.ops.shape import CONCAT
from cavs.core.ops.structure import CONSTANT
from cavs.core.remarks import Notes, Stake, called, called_state, counted, sources


class Phase(IntEnum):
    """When an instruction runs."""

    HOIST = 0
    LEVEL = 1
    DEFER = 2


Inputs = Callable[[Node], Iterable[Node]]


def _has_rows_of_levels(node: Node) -> bool:
    return node.space.kind in (SpaceKind.VERTEX, SpaceKind.INNER, SpaceKind.EDGE)


def assign_phases(
    order: Sequence[Node],
    inputs: Inputs,
    is_source: Callable[[Node], bool],
    sinks: Iterable[Node],
    switches: Collection[str],
    sums: Callable[[Node], bool] = lambda node: False,
    by_row: Callable[[Node], bool] = _has_rows_of_levels,
) -> dict[Node, Phase]:
    """Phase of each node of `order` (operands first).

    `is_source` tells the nodes that read other levels (gather, or the cotangent of the state);
    `sinks` are the nodes that a level hands on; `switches` are the passes that are on; `sums` tells
    the sums over rows of levels, to which a level can add its own; `by_row` the nodes that have
    rows of levels: where leaves are apart these are inner vertices, and not all of them.
    """
    dependent: set[Node] = set()
    for node in order:
        if is_source(node) or any(x in dependent for x in inputs(node)):
            dependent.add(node)
    phase = _moved(order, inputs, dependent, set(sinks))
    if not dependent or {"hoist", "defer"}.issubset(switches):
        return phase
    kept = _keeping(phase, dependent, "hoist" in switches, "defer" in switches)
    return _by_levels(order, inputs, is_source, kept, sums, by_row)


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
    by_row: Callable[[Node], bool],
) -> dict[Node, Phase]:
    """Puts all other nodes into the levels if they work row by row, or add up rows of the level,
    and read nothing that comes later."""
    phase: dict[Node, Phase] = {}
    first = _reduced_first(order, inputs, is_source)
    for node in order:
        before = {phase[x] for x in inputs(node) if x in phase}
        # A sum to which levels add is there when they are done.
        late = any(_reduces(x) and phase.get(x) is Phase.LEVEL for x in inputs(node))
        if Phase.DEFER in before or late or (is_source(node) and node.space.kind is SpaceKind.LEAF):
            phase[node] = Phase.DEFER
        elif node in first:
            phase[node] = Phase.HOIST
        elif node in kept:
            phase[node] = kept[node]
        elif (by_row(node) and not node.op.over_graphs) or (Phase.LEVEL in before and sums(node)):
            phase[node] = Phase.LEVEL
        else:
            phase[node] = Phase.DEFER if Phase.LEVEL in before else Phase.HOIST
    return phase


def _reduces(node: Node) -> bool:
    return node.op.over_graphs or node.op.reduces in (Between.ALL, Between.GRAPH)


def _reduced_first(
    order: Sequence[Node], inputs: Inputs, is_source: Callable[[Node], bool]
) -> set[Node]:
    """What sums over rows need, where these do not depend on other levels: levels may read them."""
    dependent: set[Node] = set()
    for node in order:
        if is_source(node) or any(x in dependent for x in inputs(node)):
            dependent.add(node)
    first: set[Node] = set()
    for node in reversed(order):
        if node not in dependent and (_reduces(node) or node in first):
            first.add(node)
            first.update(x for x in inputs(node) if x not in dependent)
    return first


def say_phases(
    notes: Notes,
    order: Sequence[Node],
    inputs: Inputs,
    is_source: Callable[[Node], bool],
    states: Mapping[Node, Name],
    phase: Mapping[Node, Phase],
) -> None:
    """Says of the products in levels what they wait for and which state needs them, and which
    others run once. `states`: the names of what a level hands on."""
    waits, needs = _waits(order, inputs, is_source), _needs(order, inputs, states)
    products = [node for node in order if node.op is MATMUL and node.space != SpaceKind.NONE]
    for node in products:
        if phase[node] != Phase.LEVEL:
            continue
        if node not in waits:
            continue  # the pass that would move it is off
        source = waits[node]
        free = _free_columns(node, waits)
        if free:
            names = ", ".join(dict.fromkeys(called(y) for x in free for y in sources(x)))
            whole = sum(x.size for x in without_reshapes(node.inputs[0]).inputs)
            reason = (
                f"multiplies {names} beside {called(source)} in one row: apart, as W x + U h, the "
                "first would run once for all vertices"
            )
            spared = node.flops * sum(x.size for x in free) // whole
            notes.refuse("hoist", node, reason, [Stake(node.space, spared)])
        else:
            notes.refuse("hoist", node, f"waits for {called(source)}{_at(source)}", [node])
        if node in needs:
            name = called_state(needs[node])
            notes.refuse(
                "defer", node, f"the state {name!r}, which parents gather, needs it", [node]
            )
    if not waits:
        return
    for name, moved, when in (("hoist", Phase.HOIST, "before"), ("defer", Phase.DEFER, "after")):
        found = [x for x in products if phase[x] == moved]
        if found:
            words = f"{counted(len(found), 'product')} ran once for all rows, {when} the levels"
            notes.did(name, words, found)


def _at(node: Node) -> str:
    return f", gathered at line {node.where.line}" if node.where else ""


def _waits(
    order: Sequence[Node], inputs: Inputs, is_source: Callable[[Node], bool]
) -> dict[Node, Node]:
    """Maps a node that depends on other levels to the first source of such values."""
    found: dict[Node, Node] = {}
    for node in order:
        if is_source(node):
            found[node] = node
        else:
            first = next((found[x] for x in inputs(node) if x in found), None)
            if first is not None:
                found[node] = first
    return found


def _needs(order: Sequence[Node], inputs: Inputs, states: Mapping[Node, Name]) -> dict[Node, Name]:
    """Maps a node that a state depends on to the name of the first such state."""
    found: dict[Node, Name] = {}
    for node in reversed(order):
        if node in states:
            found[node] = states[node]
        if node in found:
            for x in inputs(node):
                found.setdefault(x, found[node])
    return found


def _free_columns(product: Node, waits: Mapping[Node, Node]) -> list[Node]:
    """The columns of what a product multiplies that do not depend on other levels, if others do."""
    row = without_reshapes(product.inputs[0])
    if row.op is not CONCAT or row not in waits:
        return []
    return [x for x in row.inputs if x not in waits and x.op is not CONSTANT]
