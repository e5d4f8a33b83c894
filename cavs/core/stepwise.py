"""F for graphs that grow: over vertices that are new, beside vertices whose states are known."""

from __future__ import annotations

from cavs.core import ir
from cavs.core.ops.elementwise import where
from cavs.core.trace import InputSpec, Trace

#: Input per vertex: 1 where its states are given and not computed.
KNOWN = "known vertex"


def state_name(name: str) -> str:
    """Of a state: the input that gives it where it is known, and the output that has it."""
    return f"state {name}"


def stepwise(traced: Trace) -> Trace:
    """F whose vertices scatter what they are given where they are known, and which pushes its
    states; outputs of edges are left out."""
    scatters = traced.function.scatters
    known = ir.source("pull", (), "vertex", name=KNOWN)
    inputs = dict(traced.inputs)
    inputs[KNOWN] = InputSpec(KNOWN, (), "float", "vertex", None)
    states = {}
    for name, node in scatters.items():
        given = state_name(name)
        inputs[given] = InputSpec(given, node.shape, "float", "vertex", None)
        source = ir.source("pull", node.shape, "vertex", name=given)
        states[name] = where(known, source, node)
    pushes = {name: x for name, x in traced.function.pushes.items() if x.space != "edge"}
    pushes |= {state_name(name): node for name, node in scatters.items()}
    return Trace(ir.FunctionIR(states, pushes), inputs, traced.name)
