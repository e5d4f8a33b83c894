"""F for graphs that grow: over vertices that are new, beside vertices whose states are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cavs.core import ir
from cavs.core.ir import Node
from cavs.core.joins import join, joined, joined_state, results_of
from cavs.core.ops._def import Rows, Shape, Space, SpaceKind, Typed
from cavs.core.ops.elementwise import where
from cavs.core.ops.structure import PULL
from cavs.core.trace import Trace
from cavs.core.traced_vertex import InputSpec


@dataclass(frozen=True)
class Known(ir.Internal):
    """The input per vertex that is 1 where its states are given and not computed."""

    def __str__(self) -> str:
        return "known"


@dataclass(frozen=True)
class State(ir.Internal):
    """Name of the input that gives a state where it is known, and of the output that has it."""

    name: str

    def __str__(self) -> str:
        return f"state {self.name}"


def stepwise(traced: Trace) -> Trace:
    """F in which known vertices scatter the states that they are given, and which pushes its
    states; outputs of edges are left out.

    In a function of types each type that scatters a state chooses for itself, and the input and the
    output of that state have rows for the vertices of all these types.
    """
    inputs = dict(traced.inputs)
    parts = {name: results_of(node) for name, node in traced.function.scatters.items()}

    def pull(name: ir.Internal, shape: Shape, spaces: Sequence[Space]) -> dict[Space, Node]:
        """An input of the rows of all these spaces, as each of them pulls it."""
        inputs[name] = InputSpec(name, shape, "float", "vertex", None, _together(spaces))
        return {space: ir.source(PULL, shape, space, name=name) for space in spaces}

    scattering = dict.fromkeys(x.space for nodes in parts.values() for x in nodes)
    known = pull(Known(), (), list(scattering)) if scattering else {}
    states, pushes = {}, {}
    for name, nodes in parts.items():
        kept = pull(State(name), nodes[0].shape, [x.space for x in nodes])
        chosen = [where(known[x.space], kept[x.space], x) for x in nodes]
        states[name] = joined_state(name, chosen)
        pushes[State(name)] = _pushed(State(name), nodes)
    own = {name: x for name, x in traced.function.pushes.items() if x.space.kind != SpaceKind.EDGE}
    return replace(traced, function=ir.FunctionIR(states, {**own, **pushes}), inputs=inputs)


def _together(spaces: Sequence[Space]) -> Rows:
    """The rows of all types that have one of these spaces; all vertices in F without types."""
    return joined(spaces) if isinstance(spaces[0], Typed) else SpaceKind.VERTEX


def _pushed(name: State, parts: Sequence[Node]) -> Node:
    """A state as an output, from the values of the types that scatter it."""
    if len(parts) == 1:
        return parts[0]
    return join(name, parts[0].shape, {x.space: x for x in parts}, joined(x.space for x in parts))
