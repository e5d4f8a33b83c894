"""unique_pulls: values that depend on integer pulls alone are computed once per distinct id in the
batch, or once per distinct tuple of ids.

A batch has far fewer distinct words than words. Embedding rows and their projections are computed
per distinct word and expanded to the vertices where another value joins. If that value is another
pull, such as a tag put beside the word, and a product follows, the product runs once per distinct
pair, to which the values of single ids are expanded. A value that joins several pulls and has no
product over the same pulls is computed where it is read: a table of pairs would cost more than it
saves.

The pass runs before autodiff, so the gradient comes out in the same spaces: rows of equal ids are
summed first (``unique_sum``, the adjoint of ``expand``), then multiplied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto

from cavs.core import ir
from cavs.core.ir import FunctionIR, Node, ancestors, rebuild
from cavs.core.ops._spaces import Space, SpaceKind, Unique
from cavs.core.ops.matmul import MATMUL
from cavs.core.ops.structure import EXPAND, PULL, UNIQUE_IDS
from cavs.core.passes.context import Context
from cavs.core.remarks import (
    Notes,
    Stake,
    called,
    counted,
    listed,
    of_rows,
    products_after,
    sources,
)


def ids_of(pull: Node) -> Unique:
    """The distinct ids of an integer pull among the rows that it is pulled by."""
    assert not isinstance(pull.space, Unique)
    return Unique((pull.attrs["name"],), pull.space)


def unique_pulls(function: FunctionIR, context: Context) -> FunctionIR:
    """F with the computations on distinct ids moved to their spaces (:class:`Unique`)."""
    order = ancestors(function.roots())
    reasons = None if context.notes is None else _Reasons(order, context.notes)
    homes = _homes(order, reasons)
    wanted = _wanted(order, homes)
    if reasons is not None:
        reasons.say(homes, wanted)
    moved: dict[tuple[Node, Space], Node] = {}
    new: dict[Node, Node] = {}
    for node in order:
        home = homes.get(node)
        for space in wanted[node]:
            if home in (None, space) or node.op is PULL:
                moved[node, space] = _computed(node, space, moved)
        if home is None:
            new[node] = rebuild(node, [new[x] for x in node.inputs])
            continue
        if node.op is PULL:
            new[node] = node
            continue
        own = moved[node, home]
        for space in wanted[node]:
            if space != home:
                moved[node, space] = _expand(own, home, space, node)
        new[node] = _expand(own, home, node.space, node)
    return function.map(new)


class _Stop(Enum):
    """Why a value is not of distinct ids, though values that it is computed from may be."""

    NO_ROWS = auto()
    RANDOM = auto()
    MIXES_EDGES = auto()
    OTHER_VALUES = auto()
    OTHER_ROWS = auto()


def _stop(node: Node, rows: Sequence[Node], pulls: Mapping[Node, frozenset[Node]]) -> _Stop | None:
    """What keeps `node`, an operation on `rows`, from the ids of `pulls`; None if nothing does."""
    if not rows:
        return _Stop.NO_ROWS
    if node.op.random:
        return _Stop.RANDOM
    if node.op.mixes_edges or node.op.over_graphs:
        return _Stop.MIXES_EDGES
    if any(x not in pulls for x in rows):
        return _Stop.OTHER_VALUES
    return _Stop.OTHER_ROWS if any(x.space != node.space for x in rows) else None


def _homes(order: Sequence[Node], reasons: _Reasons | None) -> dict[Node, Unique]:
    """Maps each node that moves to the distinct ids, or tuples of them, that it is computed for."""
    pulls: dict[Node, frozenset[Node]] = {}
    homes: dict[Node, Unique] = {}
    products: set[Node] = set()  # values that contain a product over the same pulls
    for node in order:
        if node.op is PULL and node.dtype == "int32" and not node.shape:
            pulls[node] = frozenset([node])
        else:
            rows = [x for x in node.inputs if x.space != SpaceKind.NONE]
            stop = _stop(node, rows, pulls)
            if stop is not None:
                if reasons is not None:
                    reasons.refuse(node, stop, rows, pulls)
                continue
            pulls[node] = frozenset().union(*(pulls[x] for x in rows))
        same = [x for x in node.inputs if pulls.get(x) == pulls[node]]
        if node.op is MATMUL or any(x in products for x in same):
            products.add(node)
        names = tuple(sorted(pull.attrs["name"] for pull in pulls[node]))
        if len(names) == 1 or node in products:
            assert not isinstance(node.space, Unique)
            homes[node] = Unique(names, node.space)
        elif reasons is not None:
            reasons.joins(node, names)
    return homes


def _wanted(order: Sequence[Node], homes: Mapping[Node, Unique]) -> dict[Node, dict[Unique, None]]:
    """The distinct ids for which each node's value is read, its home among them."""
    wanted: dict[Node, dict[Unique, None]] = {node: {} for node in order}
    for node in reversed(order):
        home = homes.get(node)
        if home is not None:
            wanted[node][home] = None
        for x in node.inputs:
            if x.space != SpaceKind.NONE:
                wanted[x].update(wanted[node] if home is None else {home: None})
    return wanted


def _computed(node: Node, space: Unique, moved: Mapping[tuple[Node, Space], Node]) -> Node:
    """The node computed for distinct ids, from operands that are computed for them already."""
    if node.op is PULL:
        return ir.source(UNIQUE_IDS, (), space, "int32", name=node.attrs["name"])
    inputs = [x if x.space == SpaceKind.NONE else moved[x, space] for x in node.inputs]
    if "into" in node.attrs:  # a copy's target belongs to the rows that it is expanded to
        return inputs[0]
    return Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)


def _expand(x: Node, rows: Unique, base: Space, node: Node) -> Node:
    """Expands `x`, the value of `node` for the distinct `rows`, to the rows `base` of the ids."""
    into = {"into": node.attrs["into"]} if "into" in node.attrs and base == node.space else {}
    attrs = {"rows": rows, "base": base, **into}
    return Node(EXPAND, (x,), attrs, node.shape, base, node.dtype, node.where)


class _Reasons:
    """Says where values stop to depend on ids alone. At stake are the products that follow."""

    def __init__(self, order: Sequence[Node], notes: Notes) -> None:
        self._joins: dict[Node, tuple[str, ...]] = {}
        self._after = products_after(order)
        self._notes = notes

    def joins(self, node: Node, names: tuple[str, ...]) -> None:
        """Notes a value of several pulls that has no product over them so far."""
        self._joins[node] = names

    def refuse(
        self, node: Node, stop: _Stop, rows: Sequence[Node], pulls: Mapping[Node, frozenset[Node]]
    ) -> None:
        """Says why `node` stops, unless nothing could be spared."""
        after = self._after[node]
        ids = {x.attrs["name"]: None for operand in rows for x in pulls.get(operand, ())}
        if node.op is MATMUL and not ids and _floats(rows):
            names = listed(_floats(rows))
            reason = (
                f"equal rows of the float input {names} are not looked for, as those of ids are"
            )
            self._notes.refuse("unique_pulls", node, reason, [node])
        elif after and ids:
            for reason in _reasons(node, stop, rows, listed(ids), pulls):
                work = sorted(after, key=lambda x: x.number)
                self._notes.refuse("unique_pulls", node, reason, work)

    def say(
        self, homes: Mapping[Node, Unique], wanted: Mapping[Node, Mapping[Unique, None]]
    ) -> None:
        """Says which joins of several pulls stay, and what moves."""
        for node, names in self._joins.items():
            if node.flops and not wanted[node]:
                reason = (
                    f"joins {listed(names)}, and no product over both follows that pays for pairs"
                )
                self._notes.refuse("unique_pulls", node, reason, [node])
        moved: dict[tuple[str, ...], list[Node]] = {}
        for node, home in homes.items():
            if node.flops:
                moved.setdefault(home.pulls, []).append(node)
        for pulls, nodes in moved.items():
            spared = [Stake(x.space, x.flops) for x in nodes]
            spared += [Stake(homes[x], -x.flops) for x in nodes]
            words = f"{counted(len(nodes), 'operation')} ran once per distinct {listed(pulls)}"
            self._notes.did("unique_pulls", words, spared)


def _reasons(
    node: Node,
    stop: _Stop,
    rows: Sequence[Node],
    ids: str,
    pulls: Mapping[Node, frozenset[Node]],
) -> list[str]:
    if stop is _Stop.RANDOM:
        remedy = ', as with by="id"' if node.op.drops else ""
        return [f"{node.op.name} draws for each row, not for each distinct {ids}{remedy}"]
    if stop is _Stop.MIXES_EDGES:
        return [f"{node.op.name} is over the children of a vertex, not of {ids} alone"]
    if stop is _Stop.OTHER_VALUES:
        others = [x for x in rows if x not in pulls]
        drawn = [y for x in others for y in sources(x) if y.op.random]
        return [f"joins {ids} with {called(x)}, drawn for each row" for x in drawn] + [
            f"joins {ids} with the float input {listed(names)}, which is no id"
            for names in map(_floats, ([x] for x in others))
            if names
        ]
    (x, *_) = [x for x in rows if x.space != node.space]
    if node.op.reduces is not None:
        return [f"{node.op.name} adds up {of_rows(x.space)} by their {ids}: the sum has no id"]
    return [f"reads {ids} of {of_rows(x.space)} in rows of {of_rows(node.space)}"]


def _floats(rows: Iterable[Node]) -> list[str]:
    """Names of the float inputs that the values depend on, if on nothing else."""
    found = [x for row in rows for x in sources(row)]
    if any(x.op is not PULL or x.dtype != "float" for x in found):
        return []
    return list(dict.fromkeys(str(x.attrs["name"]) for x in found))
