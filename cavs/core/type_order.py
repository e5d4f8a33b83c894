"""The order of a function's types, and the facts by which batches are scheduled for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any

from cavs.core.ir import FunctionIR, Name, Node, ancestors, is_read, reading_of, state_of
from cavs.core.joins import joined_state, results_of
from cavs.core.ops._spaces import EdgeList, Space, Typed
from cavs.core.ops.structure import GATHER
from cavs.core.trace import Trace

_MOST_PERMUTED = 7
"""Types of which every order is tried."""


@dataclass(frozen=True)
class TypeOrder:
    """How a batch's vertices are numbered, and which run batch by batch.

    Attributes:
        names: the types, in the order of their rows.
        given: the types as the user gave them: graphs may number them so.
        lists: the lists of edges that the function reads by, in the order of their numbers.
        batched: the types that run batch by batch; the others run before or after all batches.
        apart: the types whose leaves run before the batches.
    """

    names: tuple[str, ...]
    given: tuple[str, ...]
    lists: tuple[EdgeList, ...]
    batched: frozenset[str]
    apart: frozenset[str]

    def numbers(self) -> tuple[Any, ...]:
        """The same in numbers, as schedules are made from: names; the number of each type that was
        given; (parents, children or -1) of each list; and of each type whether it is batched, and
        whether its leaves are apart."""
        return self._numbers

    @cached_property
    def _numbers(self) -> tuple[Any, ...]:  # once: each call of a model asks for them
        number = {name: i for i, name in enumerate(self.names)}
        return (
            self.names,
            tuple(number[name] for name in self.given),
            tuple((number[a], -1 if b is None else number[b]) for a, b in self.lists),
            tuple(name in self.batched for name in self.names),
            tuple(name in self.apart for name in self.names),
        )


def read_states(function: FunctionIR) -> FunctionIR:
    """The joined function without states, and parts of states by type, that nobody gathers."""
    given = [*function.pushes.values(), *function.updates.values()]
    pushed = {x for node in given for x in results_of(node)}
    scattered = {
        (name, x.space): x for name, node in function.scatters.items() for x in results_of(node)
    }
    read: dict[tuple[Name, Space], Node] = {}
    new = dict.fromkeys(pushed)
    while new:
        gathers = [n for n in ancestors(new) if n.op is GATHER]
        new = {}
        for reading in dict.fromkeys(map(reading_of, gathers)):
            for (name, rows), x in scattered.items():
                if (
                    name == state_of(reading)
                    and (name, rows) not in read
                    and is_read(reading, rows)
                ):
                    read[name, rows] = x
                    new[x] = None
    scatters = {}
    for name, node in function.scatters.items():
        parts = [x for x in results_of(node) if (name, x.space) in read]
        if len(parts) == len(results_of(node)):
            scatters[name] = node
        elif parts:
            scatters[name] = joined_state(name, parts)
    return replace(function, scatters=scatters)


def order_of(
    trace: Trace, function: FunctionIR, apart: Collection[str], all_batched: bool
) -> TypeOrder | None:
    """The order of the types of a function as traced; None for a function without types.

    Args:
        trace: the function.
        function: the same with the states alone that somebody gathers.
        apart: the types whose leaves have a function of their own.
        all_batched: whether also types run batch by batch that gather nothing, or that nobody
            gathers from.
    """
    if not trace.types:
        return None
    nodes = ancestors(function.roots())
    lists = dict.fromkeys(x for node in nodes for x in _lists_of(node))
    for spec in trace.inputs.values():  # of pulls that nothing needs, too
        if isinstance(spec.rows, Typed):
            lists.update(dict.fromkeys(spec.rows.lists))
    gathering = {x.parents for node in nodes if node.op is GATHER for x in _lists_of(node)}
    batched = set(trace.types)
    if not all_batched:
        batched = gathering & _gathered_types(function, nodes)
    return TypeOrder(
        _in_row_order(trace.types, function.scatters),
        trace.types,
        tuple(sorted(lists, key=str)),
        frozenset(batched),
        frozenset(apart),
    )


def _lists_of(node: Node) -> Sequence[EdgeList]:
    """The lists of edges that a node has rows for, or is read by."""
    spaces = (node.space, node.attrs.get("edges"))
    return [x for space in spaces if isinstance(space, Typed) for x in space.lists]


def _gathered_types(function: FunctionIR, nodes: Sequence[Node]) -> set[str]:
    """The types from whose vertices others gather."""
    found: set[str] = set()
    for node in nodes:
        if node.op is GATHER:
            (edges,) = node.attrs["edges"].lists
            scattered = scattering_types(function.scatters[node.attrs["name"]])
            found |= scattered if edges.children is None else {edges.children}
    return found


def scattering_types(state: Node) -> set[str]:
    """The types that scatter the state."""
    return {part.space.type for part in results_of(state) if isinstance(part.space, Typed)}


def _in_row_order(types: tuple[str, ...], scatters: Mapping[str, Node]) -> tuple[str, ...]:
    """The types in an order in which those that scatter a state stand together, as far as can be:
    a state has rows for the types between them too."""
    states = [scattering_types(node) for node in scatters.values()]

    def gaps(order: Sequence[str]) -> int:
        places = [sorted(order.index(name) for name in state) for state in states]
        return sum(place[-1] - place[0] + 1 - len(place) for place in places)

    if gaps(types) == 0:
        return types
    if len(types) <= _MOST_PERMUTED:
        return min(permutations(types), key=gaps)
    best = list(types)
    improved = True
    while improved:
        improved = False
        for i in range(len(best)):
            for j in range(len(best)):
                moved = best[:i] + best[i + 1 :]
                moved.insert(j, best[i])
                if gaps(moved) < gaps(best):
                    best, improved = moved, True
    return tuple(best)
