"""F for graphs that grow: over vertices that are new, beside vertices whose states are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cavs.core import ir
from cavs.core.ir import Node
from cavs.core.ops._def import Shape, SpaceKind
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
    states; outputs of edges are left out."""
    scatters = traced.function.scatters
    inputs = dict(traced.inputs)

    def pull(name: ir.Internal, shape: Shape) -> Node:
        inputs[name] = InputSpec(name, shape, "float", "vertex", None, SpaceKind.VERTEX)
        return ir.source(PULL, shape, SpaceKind.VERTEX, name=name)

    known = pull(Known(), ())
    states = {
        name: where(known, pull(State(name), node.shape), node) for name, node in scatters.items()
    }
    pushes = {name: x for name, x in traced.function.pushes.items() if x.space != SpaceKind.EDGE}
    pushes |= {State(name): node for name, node in scatters.items()}
    return replace(traced, function=ir.FunctionIR(states, pushes), inputs=inputs)
