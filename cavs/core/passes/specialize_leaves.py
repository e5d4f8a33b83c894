"""specialize_leaves: vertices without children get a function of their own; there gather is zero.

Zeros are propagated: values that are multiplied by them are not computed. The rest depends on a
leaf's pulls alone, so it needs no levels, and with ``unique_pulls`` the whole cell of a leaf runs
once per distinct word. F becomes two functions, over rows ``leaf`` and ``inner``; ``join`` joins
their results. The gradient follows: ∂F of inner vertices runs by levels, ∂F of leaves once
after them. Of several types each is specialised, or not, by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cavs.core import ir
from cavs.core.ir import FunctionIR, Name, Node, ancestors, without_reshapes
from cavs.core.joins import into, join, results_of
from cavs.core.ops._def import Between
from cavs.core.ops._spaces import PARTS_OF_VERTICES, Space, SpaceKind, as_rows
from cavs.core.ops.matmul import MATMUL
from cavs.core.ops.shape import CONCAT
from cavs.core.ops.structure import GATHER, JOIN
from cavs.core.passes.context import Context
from cavs.core.remarks import Notes, Stake, called, sources

# Constants that every way to compute them gives, such as tanh(0) and the sigmoid of 0; None: the
# result is no constant, but one of the operands.
_EXACT = (None, 0.0, 0.5, 1.0, -math.inf)


def _can_specialize(nodes: Sequence[Node]) -> bool:
    """Whether a function of these nodes gathers at all, reads and gives no values per graph, and
    adds up no rows."""
    return any(n.op is GATHER for n in nodes) and not any(map(_is_of_others, nodes))


def _is_of_others(node: Node) -> bool:
    return node.space == SpaceKind.GRAPH or node.op.reduces is Between.ALL


def specialize_leaves(function: FunctionIR, context: Context) -> FunctionIR:
    """F with each result joined from the result of leaves and that of inner vertices."""
    leaf: dict[Node, Node] = {}
    inner: dict[Node, Node] = {}
    for kind, results in _by_type(function).items():
        nodes = ancestors(results)
        if not _can_specialize(nodes):
            if context.notes is not None:
                _refuse(context.notes, nodes)
            continue
        context.leaves_apart |= {kind}
        for node in nodes:
            if node.space.kind is not SpaceKind.EDGE:
                leaf[node] = _leaf(node, leaf, context)
            inner[node] = _inner(node, inner)
        if context.notes is not None:
            _say(context.notes, nodes, [leaf[x] for x in results if x in leaf])
    if not inner:
        return function

    def apart(node: Node) -> dict[Space, Node]:
        """The rows of a result."""
        if node not in inner or node.space == SpaceKind.NONE:
            return {node.space: node}
        rows = as_rows(node.space)
        if rows.kind is SpaceKind.EDGE:
            return {rows: inner[node]}
        parts = zip(PARTS_OF_VERTICES, (leaf[node], inner[node]), strict=True)
        return {rows.of_kind(kind): x for kind, x in parts}

    def state(name: Name, node: Node) -> Node:
        if not any(part in inner for part in results_of(node)):
            return node
        rows = {space: x for part in results_of(node) for space, x in apart(part).items()}
        parts = [into(name, x, space) for space, x in rows.items()]
        attrs = {"name": name, "to": node.space}
        return Node(JOIN, parts, attrs, node.shape, node.space)

    def push(name: Name, node: Node) -> Node:
        rows = {space: x for part in results_of(node) for space, x in apart(part).items()}
        if len(rows) == 1:
            return next(iter(rows.values()))
        return join(name, node.shape, rows, as_rows(node.space))

    return FunctionIR(
        {name: state(name, node) for name, node in function.scatters.items()},
        {name: push(name, node) for name, node in function.pushes.items()},
        function.updates,
    )


def _by_type(function: FunctionIR) -> dict[str, list[Node]]:
    """The results of each type."""
    found: dict[str, list[Node]] = {}
    for node in function.roots():
        for part in results_of(node):
            found.setdefault(part.space.type, []).append(part)
    return found


def _space(node: Node, inputs: Sequence[Node], rows: SpaceKind) -> Space:
    if node.space.kind is not SpaceKind.VERTEX:
        return node.space
    computed = inputs and all(x.space == SpaceKind.NONE for x in inputs)
    return SpaceKind.NONE if computed and not node.op.random else as_rows(node.space).of_kind(rows)


def _inner(node: Node, inner: Mapping[Node, Node]) -> Node:
    inputs = [inner[x] for x in node.inputs]
    own = node.space.kind is SpaceKind.VERTEX
    if own or any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
        space = as_rows(node.space).of_kind(SpaceKind.INNER) if own else node.space
        return Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)
    return node


def _leaf(node: Node, leaf: Mapping[Node, Node], context: Context) -> Node:
    if node.op.without_children is not None:
        return ir.constant(node.op.without_children, node.shape)
    inputs = [leaf[x] for x in node.inputs]
    known = _fold(node, inputs)
    if known is not None:
        context.leaves_round |= ir.constant_value(known) not in _EXACT
        return known
    if node.space == SpaceKind.NONE:
        return node
    if context.notes is not None:
        _refuse_zeros(context.notes, node, inputs)
    space = _space(node, inputs, SpaceKind.LEAF)
    return Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)


def _fold(node: Node, inputs: Sequence[Node]) -> Node | None:
    """The constant or the operand that `node` equals when some operands are constant, if any."""
    values = [ir.constant_value(x) for x in inputs]
    known = [value for value in values if value is not None]
    if not known:
        return None
    if any(values[i] == 0.0 for i in node.op.zero_with) and all(map(math.isfinite, known)):
        return ir.constant(0.0, node.shape)
    if len(known) == len(values):
        value = node.op.constant(known, [x.shape for x in inputs], node.shape)
        return None if value is None else ir.constant(value, node.shape)
    same = node.op.equals(values)
    return None if same is None or values[same] is not None else inputs[same]


def _refuse(notes: Notes, nodes: Sequence[Node]) -> None:
    """Says why a function stays one. At stake are its products of children's states."""
    dependent: set[Node] = set()
    for node in nodes:
        if node.op is GATHER or any(x in dependent for x in node.inputs):
            dependent.add(node)
    products = [x for x in dependent if x.op is MATMUL and x.space.kind is SpaceKind.VERTEX]
    of_leaves = [Stake(as_rows(x.space).of_kind(SpaceKind.LEAF), x.flops) for x in products]
    per_graph = [x for x in nodes if x.space == SpaceKind.GRAPH]
    for node in per_graph if dependent else ():
        if all(x.space != SpaceKind.GRAPH for x in node.inputs):
            does = "reads a value" if not node.inputs else "gives a value"
            reason = f"F {does} of each graph, {called(node)}: leaves have no function of their own"
            notes.refuse("specialize_leaves", node, reason, of_leaves)
    for node in nodes if dependent else ():
        if node.op.reduces is Between.ALL:
            reason = "F adds up the rows of the batch: leaves have no function of their own"
            notes.refuse("specialize_leaves", node, reason, of_leaves)


def _refuse_zeros(notes: Notes, node: Node, inputs: Sequence[Node]) -> None:
    """Says where zeros in place of children's states are computed with all the same."""
    leaves = as_rows(node.space).of_kind(SpaceKind.LEAF)
    if node.op is MATMUL:
        for own, x in zip(node.inputs, map(without_reshapes, inputs), strict=True):
            zeros = sum(part.size for part in x.inputs if ir.constant_value(part) == 0.0)
            if x.op is CONCAT and zeros:
                reason = (
                    f"{zeros} of {x.size} numbers that it multiplies, {_gathered(own)}, are zeros "
                    "in leaves: multiply them apart from the others"
                )
                work = Stake(leaves, node.flops * zeros // x.size)
                notes.refuse("specialize_leaves", node, reason, [work])
    elif inputs and not node.op.moves and all(ir.constant_value(x) is not None for x in inputs):
        reason = f"no rule says what {node.op.name} of zeros is, as leaves have for "
        notes.refuse(
            "specialize_leaves", node, reason + _gathered(node), [Stake(leaves, node.flops)]
        )


def _gathered(node: Node) -> str:
    """The states that a value depends on."""
    return ", ".join(dict.fromkeys(called(x) for x in sources(node) if x.op is GATHER))


def _say(notes: Notes, nodes: Sequence[Node], results: Sequence[Node]) -> None:
    """Says what leaves do not compute."""
    spared = [
        Stake(as_rows(x.space).of_kind(SpaceKind.LEAF), x.flops)
        for x in nodes
        if x.space.kind is SpaceKind.VERTEX
    ]
    kept = [x for x in ancestors(results) if x.space.kind is SpaceKind.LEAF]
    spared += [Stake(x.space, -x.flops) for x in kept]
    if any(x.flops for x in spared):
        notes.did(
            "specialize_leaves", "leaves left out what their children's zeros make zero", spared
        )
