"""States that wait for no level: they depend on no state that depends on itself.

The layers of a network whose layers are types of vertices are such states, and so are keys and
values that are computed from inputs. What gathers them needs no levels: it runs once over all
vertices, behind what computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from cavs.core.ir import Name, Node

Reads = Callable[[Node], Iterable[Node]]


def settled_states(
    states: Mapping[Name, Node], reads: Reads, read_by: Callable[[Node], Name | None]
) -> frozenset[Name]:
    """The names of the states that settle before any level.

    `states`: all that are read; `reads`: what a node is computed from; `read_by`: the name of the
    state that a node reads of other vertices, if it reads one.
    """
    waits = {name: _names_below(node, reads, read_by) for name, node in states.items()}
    settled: set[Name] = set()
    while True:
        more = {x for x, names in waits.items() if x not in settled and names <= settled}
        if not more:
            return frozenset(settled)
        settled |= more


def _names_below(node: Node, reads: Reads, read_by: Callable[[Node], Name | None]) -> set[Name]:
    names: set[Name] = set()
    for x in operands_first([node], reads):
        name = read_by(x)
        if name is not None:
            names.add(name)
    return names


def operands_first(roots: Iterable[Node], reads: Reads) -> Sequence[Node]:
    """All that `roots` depend on, and the roots, each behind what it reads."""
    order: list[Node] = []
    done: dict[Node, bool] = {}
    stack = list(reversed(list(roots)))
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            if not done[node]:
                done[node] = True
                order.append(node)
            continue
        done[node] = False
        stack.extend(x for x in reads(node) if x not in done)
    return order
