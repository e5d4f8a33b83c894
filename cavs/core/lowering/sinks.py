"""The results that a program must give, and the forward values that backward programs may read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cavs.core.ir import Name, Node, without_reshapes
from cavs.core.ops.structure import GATHER
from cavs.core.program import Output, Program


@dataclass(frozen=True)
class Sinks:
    """The results that a program must give.

    Attributes:
        states: by name, the scattered state (in ∂F: the cotangents on edges).
        outputs: arrays for the caller.
        saved: nodes to keep for the backward programs.
        slots: in ∂F, the states whose cotangents parents hold, as in :class:`Gradient`.
    """

    states: Mapping[Name, Node]
    outputs: tuple[tuple[Output, Node], ...]
    saved: frozenset[Node] = frozenset()
    slots: Mapping[Name, int] = field(default_factory=dict)

    def stripped(self) -> Sinks:
        """The same without reshapes at the end: they change nothing in memory."""
        return Sinks(
            {name: without_reshapes(node) for name, node in self.states.items()},
            tuple((output, without_reshapes(node)) for output, node in self.outputs),
            frozenset(map(without_reshapes, self.saved)),
            self.slots,
        )

    def kept(self) -> list[Node]:
        """The nodes to keep, in one order in every process, which a set does not have."""
        return sorted(self.saved, key=lambda node: node.number)

    def nodes(self) -> list[Node]:
        """All nodes: states, outputs and the nodes to keep."""
        return [*self.states.values(), *(node for _, node in self.outputs), *self.kept()]


@dataclass(frozen=True)
class Lowered:
    """A program, and the value that holds each node; backward programs are lowered over it."""

    program: Program
    value_of: Mapping[Node, int]
    nodes: frozenset[Node]
    saved: frozenset[Node]

    def gives(self, node: Node) -> bool:
        """Whether a backward program can read the node, or compute it from nodes it can read."""
        if node.op.recomputed or node not in self.nodes:
            made = bool(node.inputs) or node.op.recomputed
            return made and all(map(self.gives, node.inputs))
        return node in self.saved


def read_from_forward(
    roots: Iterable[Node], forward: set[Node], states: Mapping[Name, Node]
) -> frozenset[Node]:
    """Nodes of the forward program that a gradient with these roots reads from memory; gathers are
    computed again from the states."""
    found: set[Node] = set()
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in forward and not node.op.recomputed:
            found.add(node)
        elif node.op is GATHER:
            found.add(states[node.attrs["name"]])
        else:
            stack.extend(node.inputs)
    return frozenset(found)
