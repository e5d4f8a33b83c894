"""simplify: common subexpressions, dead code, algebra, and slices and reshapes moved to where they
are views.

Dead code goes by itself: only the nodes that the results depend on are rebuilt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from cavs.core import ir
from cavs.core.autodiff import Gradient
from cavs.core.ir import FunctionIR, Node, ancestors, rebuild
from cavs.core.ops._def import OpDef, Shape, apply
from cavs.core.ops._spaces import SpaceKind, Typed, Unique
from cavs.core.ops.elementwise import ADD, NEG
from cavs.core.ops.matmul import MATMUL, MATMUL_REDUCE
from cavs.core.ops.shape import CONCAT, PERMUTE, RESHAPE, SLICE, permute
from cavs.core.ops.structure import CONSTANT
from cavs.core.passes.context import Context
from cavs.core.remarks import Stake, counted

_Key = tuple[Any, ...]
_Only = Mapping[OpDef, set[Node]]
_IR = TypeVar("_IR", FunctionIR, Gradient)


def _key(node: Node) -> _Key:
    attrs = tuple(sorted((k, _hashable(v)) for k, v in node.attrs.items()))
    return (node.op, tuple(x.number for x in node.inputs), attrs, node.shape, node.space)


def _hashable(value: Any) -> Any:
    known = (int, float, str, tuple, Unique, Typed, SpaceKind, ir.Internal, type(None))
    return value if isinstance(value, known) else id(value)


def _identity(node: Node) -> Node | None:
    """The operand that `node` equals, if it does nothing."""
    op, x = node.op, node.inputs
    same = op.equals([ir.constant_value(operand) for operand in x])
    if same is not None and x[same].shape == node.shape and x[same].space == node.space:
        return x[same]
    if op is NEG and x[0].op is NEG:
        return x[0].inputs[0]
    if op is RESHAPE and node.shape == x[0].shape:
        return x[0]
    if op is CONCAT:
        return x[0] if len(x) == 1 else _whole(x)
    return None


def _whole(parts: Sequence[Node]) -> Node | None:
    """The value whose columns are `parts`, all of them and in their order."""
    if any(x.op is not SLICE or x.inputs[0] is not parts[0].inputs[0] for x in parts):
        return None
    ends = [0, *[x.attrs["stop"] for x in parts]]
    whole = parts[0].inputs[0]
    together = [x.attrs["start"] for x in parts] == ends[:-1] and ends[-1] == whole.shape[-1]
    return whole if together else None


def _move_slice(node: Node, only_slices: set[Node]) -> Node | None:
    """A slice of a computed value as the same computation on slices, which then are views."""
    x = node.inputs[0]
    start, stop = node.attrs["start"], node.attrs["stop"]
    if x.op is SLICE:
        offset = x.attrs["start"]
        return _slice(x.inputs[0], offset + start, offset + stop)
    if x.op is CONSTANT:
        return ir.constant(x.attrs["value"], node.shape)
    if x.op is CONCAT:
        position = 0
        for piece in x.inputs:
            end = position + piece.shape[-1]
            # A constant has no rows; a reader of the slice may need to know that there are some.
            if position <= start and stop <= end and piece.space == x.space:
                return _slice(piece, start - position, stop - position)
            position = end
    if _movable(x) and x in only_slices:
        return rebuild_shape(x, [_slice(y, start, stop) for y in x.inputs])
    return None


def _move_reshape(node: Node, only_reshapes: set[Node]) -> Node | None:
    """A reshape of an elementwise value as the same computation on reshapes, which are views."""
    x = node.inputs[0]
    if x.op is RESHAPE:
        return _reshape(x.inputs[0], node.shape)
    if x.op is CONSTANT:
        return ir.constant(x.attrs["value"], node.shape)
    if x.op.elementwise and x in only_reshapes:
        return rebuild_shape(x, [_reshape(y, node.shape) for y in x.inputs])
    return None


def _without_transposes(node: Node) -> Node | None:
    """A product that takes its matrices as they stand, not transposed before; None if it does."""
    turned = [x.op is PERMUTE and x.attrs["axes"] == (1, 0) for x in node.inputs]
    if not any(turned):
        return None
    inputs = [x.inputs[0] if t else x for x, t in zip(node.inputs, turned, strict=True)]
    attrs = {"ta": node.attrs["ta"] != turned[0], "tb": node.attrs["tb"] != turned[1]}
    return Node(node.op, inputs, attrs, node.shape, node.space, node.dtype, node.where)


def _one_order(node: Node) -> Node | None:
    """Two orders of axes, one after the other, as one."""
    x = node.inputs[0]
    if x.op is not PERMUTE:
        return None
    turned: Node = permute(x.inputs[0], tuple(x.attrs["axes"][axis] for axis in node.attrs["axes"]))
    return turned


def _reshape(x: Node, shape: Shape) -> Node:
    attrs = {"to": shape, "rank": len(x.shape)}
    return Node(RESHAPE, (x,), attrs, shape, x.space, x.dtype, x.where)


def _movable(x: Node) -> bool:
    return x.op.elementwise or (x.op.is_index_load and bool(x.inputs))


def _slice(x: Node, start: int, stop: int) -> Node:
    if start == 0 and stop == x.shape[-1]:
        return x
    if x.op is CONSTANT:
        return ir.constant(x.attrs["value"], (*x.shape[:-1], stop - start))
    shape = (*x.shape[:-1], stop - start)
    return Node(SLICE, (x,), {"start": start, "stop": stop}, shape, x.space, x.dtype, x.where)


def rebuild_shape(node: Node, inputs: Sequence[Node]) -> Node:
    """`node` over operands of another shape, which becomes its own."""
    return Node(node.op, inputs, node.attrs, inputs[0].shape, node.space, node.dtype, node.where)


def _merge_sums(nodes: Sequence[Node]) -> Node | None:
    """Sums side by side as the sum of their operands side by side; None if that is not possible."""
    first = nodes[0]
    if any(
        n.op is not first.op
        or n.space != first.space
        or [x.space for x in n.inputs] != [x.space for x in first.inputs]
        for n in nodes
    ):
        return None
    if first.op.is_sum and first.inputs:
        joined = apply(CONCAT, *[n.inputs[0] for n in nodes])
        merged: Node = apply(first.op, joined, **first.attrs)
        return merged
    if first.op is ADD:
        sides = [_merge_sums([n.inputs[i] for n in nodes]) for i in (0, 1)]
        if sides[0] is not None and sides[1] is not None:
            total: Node = apply(first.op, *sides)
            return total
    return None


class Simplifier:
    """Rewrites nodes bottom-up; equal nodes become one. Keeps its table between calls, so that the
    gradient's nodes are shared with those of F."""

    def __init__(self) -> None:
        self._known: dict[_Key, Node] = {}

    def run(self, roots: Iterable[Node], kept: Iterable[Node] = ()) -> Mapping[Node, Node]:
        """Maps each node that `roots` depend on to its new node. No slice or reshape moves beyond
        the nodes that are `kept`."""
        roots = list(roots)
        order = ancestors(roots)
        only = {op: _only_read_by(op, order, [*roots, *kept]) for op in (SLICE, RESHAPE)}
        new: dict[Node, Node] = {}
        for node in order:
            fresh = rebuild(node, [new[x] for x in node.inputs])
            reading = [readers for readers in only.values() if node in readers]
            for readers in reading:
                readers.add(fresh)
            new[node] = self._settle(fresh, only)
            for readers in reading:
                readers.add(new[node])
        return new

    def _settle(self, node: Node, only: _Only) -> Node:
        known = self._known.get(_key(node))
        if known is not None:
            return known
        result = self._rewrite(node, only)
        if result is not node:
            result = self._settle_all(result, only)
        self._known[_key(node)] = result
        self._known.setdefault(_key(result), result)
        return result

    def _settle_all(self, node: Node, only: _Only) -> Node:
        """Settles a rewritten node whose operands may be new too."""
        inputs = [x if _key(x) in self._known else self._settle_all(x, only) for x in node.inputs]
        inputs = [self._known.get(_key(x), x) for x in inputs]
        return self._settle(rebuild(node, inputs), only)

    def _rewrite(self, node: Node, only: _Only) -> Node:
        same = _identity(node)
        if same is not None:
            return same
        if node.op is SLICE:
            moved = _move_slice(node, only[SLICE])
            return node if moved is None else moved
        if node.op is CONCAT:
            merged = _merge_sums(node.inputs)
            return node if merged is None else merged
        if node.op in (MATMUL, MATMUL_REDUCE):
            straight = _without_transposes(node)
            return node if straight is None else straight
        if node.op is PERMUTE:
            once = _one_order(node)
            return node if once is None else once
        if node.op is RESHAPE:
            moved = _move_reshape(node, only[RESHAPE])
            return node if moved is None else moved
        return node


def _only_read_by(op: OpDef, order: Sequence[Node], roots: Iterable[Node]) -> set[Node]:
    """Nodes that only operations `op` read, directly or through movable nodes of this kind."""
    users: dict[Node, list[Node]] = {}
    for node in order:
        for x in node.inputs:
            users.setdefault(x, []).append(node)
    kept = set(roots)
    result: set[Node] = set()
    for node in reversed(order):
        using = users.get(node, [])
        if node in kept or not using:
            continue
        if all(u.op is op or (_movable(u) and u in result) for u in using):
            result.add(node)
    return result


def simplify(function: _IR, context: Context) -> _IR:
    """F or a gradient with equal nodes made one and nodes replaced by simpler ones."""
    result = function.map(context.shared(Simplifier).run(function.roots(), context.kept))
    if context.notes is not None and isinstance(function, FunctionIR):
        before, after = ancestors(function.roots()), ancestors(result.roots())
        fewer = len([x for x in before if x.inputs]) - len([x for x in after if x.inputs])
        if fewer > 0:
            spared = [Stake(x.space, x.flops) for x in before]
            spared += [Stake(x.space, -x.flops) for x in after]
            context.notes.did("simplify", f"{counted(fewer, 'operation')} gone", spared)
    return result
