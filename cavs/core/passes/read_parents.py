"""read_parents: the cotangent of a state is read where the parents computed it, not from edges.

Values that a vertex gathered from its children have one cotangent for each edge. If this is the
same for all children of a vertex (they were summed), or depends on the child's position alone, the
vertex has it already. Then no row per edge is written: a child adds up rows of its parents, which
hold the cotangents of several positions side by side.

What attentions within levels give their keys and values differs from child to child, but each child
can compute it of what its parents have: the parents hold the cotangent of the attention alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cavs.core.autodiff import Gradient
from cavs.core.ir import (
    Internal,
    Name,
    Node,
    ancestors,
    constant,
    reading_of,
    rebuild,
    state_of,
)
from cavs.core.ops._def import apply
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.attention_levels import (
    KEYS,
    LEVEL_ATTENTION_CHILDREN,
    LEVEL_ATTENTION_EDGES,
)
from cavs.core.ops.elementwise import ADD
from cavs.core.ops.shape import CONCAT, reshape, slice_last
from cavs.core.ops.structure import GATHER, SLOTS_TO_EDGES, SPREAD, STATE_COTANGENT
from cavs.core.passes.context import Context
from cavs.core.remarks import Notes, Stake, called_state


def read_parents(gradient: Gradient, context: Context) -> Gradient:
    """The gradient with cotangents of states by parents where parents have them, and for these
    states how many positions stand side by side: 0 if all children have the same cotangent, and
    below 0 where they are the last ones."""
    gradient = _attended(gradient, context.notes)
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
        if context.notes is not None and not isinstance(name, Attended):
            line = _line_of(name, gradient)
            _say(context.notes, name, node, line, by_parents=found[name] is not node)
    return replace(gradient, edges=found, slots=slots)


@dataclass(frozen=True)
class Attended(Internal):
    """The cotangent of attention `number` of a gradient, which parents hold for their children."""

    number: int

    def __str__(self) -> str:
        return f"attention {self.number}"


def _attended(gradient: Gradient, notes: Notes | None) -> Gradient:
    """The gradient in which children compute what attentions of their parents give them."""
    edges: dict[Name, Node] = {}
    handed: dict[Name, list[Node]] = {}
    for reading, node in gradient.edges.items():
        terms = _terms(node)
        of_attentions = [x for x in terms if x.op is LEVEL_ATTENTION_EDGES]
        others = [x for x in terms if x.op is not LEVEL_ATTENTION_EDGES]
        if of_attentions:
            handed[reading] = of_attentions
            if notes is not None:
                _say(notes, reading, of_attentions[0], of_attentions[0], by_parents=True)
        if others:
            edges[reading] = _sum_of(others) if of_attentions else node
    if not handed:
        return gradient
    gives = [x for terms in handed.values() for x in terms]
    names = {key: Attended(i) for i, key in enumerate(dict.fromkeys(x.inputs for x in gives))}
    rest = replace(gradient, edges=edges)
    new: dict[Node, Node] = {}
    for node in ancestors([*rest.roots(), *(inputs[0] for inputs in names)]):
        reading = node.attrs["reading"] if node.op is STATE_COTANGENT else None
        if reading in handed:
            parts = [_of_attention(x, names[x.inputs], node) for x in handed[reading]]
            new[node] = _sum_of([node, *parts] if reading in edges else parts)
        else:
            new[node] = rebuild(node, [new[x] for x in node.inputs])
    rest = rest.map(new)
    held = {name: new[inputs[0]] for inputs, name in names.items()}
    return replace(rest, edges={**rest.edges, **held})


def _terms(node: Node) -> list[Node]:
    return [y for x in node.inputs for y in _terms(x)] if node.op is ADD else [node]


def _sum_of(terms: Sequence[Node]) -> Node:
    total = terms[0]
    for x in terms[1:]:
        total = apply(ADD, total, x)
    return total


def _of_attention(edges: Node, reading: Attended, like: Node) -> Node:
    """What an attention's gradient `edges` sums up to at children, in the place of `like`."""
    attrs = {**edges.attrs, "to": like.space, "reading": reading}
    of_keys = attrs.pop("operand") == KEYS
    keys, values = attrs["heads"] * attrs["size"], attrs["heads"] * attrs["values"]
    both = Node(
        LEVEL_ATTENTION_CHILDREN,
        edges.inputs[1:],
        attrs,
        (keys + values,),
        like.space,
        where=edges.where,
    )
    start, end, column = (0, keys, "k_start") if of_keys else (keys, keys + values, "v_start")
    part = slice_last(both, start, end)
    before, after = attrs[column], like.size - attrs[column] - part.size
    if before or after:
        zeros = [constant(0.0, (n,)) if n else None for n in (before, after)]
        part = apply(CONCAT, *(x for x in (zeros[0], part, zeros[1]) if x is not None))
    row: Node = reshape(part, like.shape)
    return row


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
