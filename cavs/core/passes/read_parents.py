"""read_parents: the cotangent of a state is read where the parents computed it, not from edges.

Values that a vertex gathered from its children have one cotangent for each edge. If this is the
same for all children of a vertex (they were summed), or depends on the child's position alone, the
vertex has it already. Then no row per edge is written: a child adds up rows of its parents, which
hold the cotangents of several positions side by side.
"""

from __future__ import annotations

from dataclasses import replace

from cavs.core.autodiff import Gradient
from cavs.core.ir import Name, Node, ancestors, reading_of, state_of
from cavs.core.ops._def import SpaceKind, apply
from cavs.core.ops.elementwise import ADD
from cavs.core.ops.shape import CONCAT, reshape
from cavs.core.ops.structure import GATHER, SLOTS_TO_EDGES, SPREAD
from cavs.core.passes.context import Context
from cavs.core.remarks import Notes, Stake, called_state


def read_parents(gradient: Gradient, context: Context) -> Gradient:
    """The gradient with cotangents of states by parents where parents have them, and for these
    states how many positions stand side by side: 0 if all children have the same cotangent, and
    below 0 where they are the last ones."""
    found: dict[Name, Node] = {}
    slots: dict[Name, int] = {}
    for name, node in gradient.edges.items():
        same = _of_all_children(node)
        if same is not None:
            found[name], slots[name] = same, 0
        elif node.op is SLOTS_TO_EDGES and _have_rows(node):
            count = len(node.inputs)
            found[name] = _side_by_side(node)
            slots[name] = -count if node.attrs["from_last"] else count
        else:
            found[name] = node
        if context.notes is not None:
            line = _line_of(name, gradient)
            _say(context.notes, name, node, line, by_parents=found[name] is not node)
    return replace(gradient, edges=found, slots=slots)


def _line_of(reading: Name, gradient: Gradient) -> Node | None:
    """The gather of a state, or what reads it where a pass made it, for its line."""
    order = ancestors(gradient.roots())
    gathers = {x for x in order if x.op is GATHER and reading_of(x) == reading}
    readers = [x for x in order if any(y in gathers for y in x.inputs)]
    return next((x for x in (*gathers, *readers) if x.where is not None), None)


def _say(notes: Notes, reading: Name, node: Node, line: Node | None, *, by_parents: bool) -> None:
    """Says whether rows per edge are written for the cotangent of a state. A row of them is added
    up once."""
    state = called_state(state_of(reading))
    at_stake = [Stake(node.space, node.size)]
    if by_parents:
        notes.did("read_parents", f"the gradient of {state!r} was read from parents", at_stake)
    else:
        reason = f"the gradient of {state!r} differs from child to child"
        notes.refuse("read_parents", line, reason, at_stake)


def _of_all_children(node: Node) -> Node | None:
    """The value of the parent that the edge value repeats."""
    if node.op is SPREAD:
        return node.inputs[0]
    if node.op is not ADD:
        return None
    parts = [_of_all_children(x) for x in node.inputs]
    if any(x is None for x in parts):
        return None
    total: Node = apply(ADD, *parts)
    return total


def _have_rows(node: Node) -> bool:
    """Whether all positions have a value of the same vertices: a constant has none."""
    return len({x.space for x in node.inputs}) == 1 and node.inputs[0].space != SpaceKind.NONE


def _side_by_side(node: Node) -> Node:
    values = [reshape(x, (x.size,)) for x in node.inputs]
    joined: Node = values[0] if len(values) == 1 else apply(CONCAT, *values)
    return joined
