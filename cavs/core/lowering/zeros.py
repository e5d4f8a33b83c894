"""In which rows values are zeros, and in which nobody reads them: shared by passes that leave rows
out of products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from cavs.core import ir
from cavs.core.ir import Name, Node, ancestors, constant_value
from cavs.core.ops._def import OPS, Space, SpaceKind, Unique, apply
from cavs.core.ops.elementwise import equal, maximum
from cavs.core.ops.random import DROPOUTS

Clause = frozenset[Node]
"""Ids and masks of one row: it holds where all ids are -1 and all masks 0."""

Rows = frozenset[Clause]
"""The rows in which one of the clauses holds."""

NO_ROWS: Rows = frozenset()

_MOST = 4
"""Clauses, and members of one, that are kept track of: more are seldom."""

_MOST_IN_MASK = 2
"""Clauses that a product's mask is made of: it is computed in each call."""

_MOVES = ("slice", "reshape", "broadcast", "concat")
_OF_FIRST = (
    "sigmoid_grad",
    "tanh_grad",
    "div",
    "logsumexp_grad",
    *DROPOUTS,
    "row_sum",
    "sum_to",
    "slice_grad",
)
"""Zeros where the first operand is, whatever the others are."""

_TO_FINER = ("spread", "graph_spread", "expand")
_TO_COARSER = ("segment_sum", "segment_max", "graph_sum", "unique_sum")
_PRODUCTS = ("mul", "matmul", "matmul_reduce")


def either(*rows: Rows) -> Rows:
    """Rows that are in one of these."""
    clauses = frozenset[Clause]().union(*rows)
    # A clause says nothing more than another one with fewer members.
    least = [c for c in clauses if not any(other < c for other in clauses)]
    return frozenset(_ordered(least)[:_MOST])


def both(a: Rows, b: Rows) -> Rows:
    """Rows that are in both."""
    return either(frozenset(c | d for c in a for d in b if len(c | d) <= _MOST))


def _ordered(clauses: Iterable[Clause]) -> list[Clause]:
    """The shortest first; the same in every process."""
    return sorted(clauses, key=lambda clause: (len(clause), sorted(x.number for x in clause)))


class RowIds:
    """Ids and masks as values of the rows that they are asked for in, each once.

    Programs for forward and backward must mean the same nodes, so one of these serves them all.
    """

    def __init__(self) -> None:
        self._ids: dict[tuple[Name, Space], Node] = {}
        self._moved: dict[tuple[str, Node], Node] = {}
        self._origins: dict[tuple[str, Node], Node] = {}
        self._masks: dict[Rows, Node] = {}

    def note(self, order: Iterable[Node]) -> None:
        """What is there already is used as it is."""
        for node in order:
            if node.dtype != "int32":
                continue
            if node.op.name in ("pull", "unique_ids"):
                self._ids.setdefault((_pull_of(node), node.space), node)
            elif node.op.name in ("spread", "graph_spread"):
                self._link(node.op.name, node.inputs[0], node)

    def _link(self, name: str, origin: Node, moved: Node) -> None:
        if (name, origin) not in self._moved:
            self._moved[name, origin] = moved
            self._origins[name, moved] = origin

    def finer(self, move: Node, rows: Rows) -> Rows:
        """Rows of the operand of `move` as those of its result, or, where it is a sum, rows of its
        result as those of its operand."""
        return frozenset(frozenset(self._finer(move, x) for x in clause) for clause in rows)

    def coarser(self, move: Node, rows: Rows) -> Rows:
        """The other way, as far as all of a coarser row's finer ones are among `rows`."""
        found = ([self._coarser(move, x) for x in clause] for clause in rows)
        return frozenset(
            frozenset(x for x in clause if x is not None) for clause in found if None not in clause
        )

    def _finer(self, move: Node, x: Node) -> Node:
        name = _FINER[move.op.name]
        if name == "expand":
            return self.ids(_pull_of(x), move.attrs["base"])
        if (name, x) not in self._moved:
            space = move.space if move.op.name in _TO_FINER else move.inputs[0].space
            self._link(name, x, Node(OPS[name], (x,), {}, x.shape, space, x.dtype))
        return self._moved[name, x]

    def _coarser(self, move: Node, x: Node) -> Node | None:
        name = _FINER[move.op.name]
        if name != "expand":
            return self._origins.get((name, x))
        distinct = move.inputs[0].space if move.op.name == "expand" else move.space
        assert isinstance(distinct, Unique)
        own = x.op.name in ("pull", "unique_ids") and _pull_of(x) in distinct.pulls
        return self.ids(_pull_of(x), distinct) if own else None

    def ids(self, pull: Name, space: Space) -> Node:
        """The ids of the pull in rows of `space`."""
        if (pull, space) not in self._ids:
            op = "unique_ids" if isinstance(space, Unique) else "pull"
            self._ids[pull, space] = ir.source(op, (), space, "int32", name=pull)
        return self._ids[pull, space]

    def mask(self, rows: Rows) -> Node:
        """What says of a row whether it is among `rows`: ids that are -1 there, or a number that is
        0 there; elsewhere they are not."""
        clauses = _ordered(rows)[:_MOST_IN_MASK]
        key = frozenset(clauses)
        if key not in self._masks:
            (first, *others) = clauses
            if not others and len(first) == 1:
                (self._masks[key],) = first
            else:
                mask = _is_outside(first)
                for clause in others:
                    mask = mask * _is_outside(clause)
                self._masks[key] = mask
        return self._masks[key]


# A sum over finer rows goes the way back of what repeats a value in them.
_FINER = {
    **{name: name for name in _TO_FINER},
    "slots_to_edges": "spread",
    "segment_sum": "spread",
    "segment_max": "spread",
    "segment_logsumexp": "spread",
    "graph_sum": "graph_spread",
    "unique_sum": "expand",
}


def _pull_of(ids: Node) -> Name:
    """Name of the pull that the ids are of."""
    name: Name = ids.attrs["name"]
    return name


def _is_outside(clause: Clause) -> Node:
    """1 in rows in which the clause does not hold, else 0."""
    found: Node | None = None
    for x in sorted(clause, key=lambda x: x.number):
        present: Node = apply(OPS["present"], x) if x.dtype == "int32" else 1.0 - equal(x, 0.0)
        found = present if found is None else maximum(found, present)
    assert found is not None
    return found


class Zeros:
    """Of a function, its gradient or both: where values are zeros, and where nobody reads them.

    Attributes:
        zero, unread: rows of each value that has some.
    """

    def __init__(self, roots: Iterable[Node], ids: RowIds, *, by_id: bool, by_mask: bool) -> None:
        roots = list(roots)
        self._by_id, self._by_mask, self._ids = by_id, by_mask, ids
        self._order = ancestors(roots)
        ids.note(self._order)
        self.zero: dict[Node, Rows] = {}
        for node in self._order:
            rows = self._zero(node)
            if rows:
                self.zero[node] = rows
        self.unread: dict[Node, Rows] = self._find_unread(set(roots))

    def products(self) -> dict[Node, Rows]:
        """Products of rows to those that they may leave out."""
        found: dict[Node, Rows] = {}
        for node in self._order:
            if node.op.name in ("matmul", "matmul_reduce"):
                rows = either(*map(self._zeros_of, node.inputs), self.unread.get(node, NO_ROWS))
                if rows:
                    found[node] = rows
        return found

    def _zeros_of(self, node: Node) -> Rows:
        return self.zero.get(node, NO_ROWS)

    def _missing(self, ids: Node) -> Rows:
        return frozenset([frozenset([ids])]) if self._by_id else NO_ROWS

    # Zeros

    def _zero(self, node: Node) -> Rows:
        name, x = node.op.name, node.inputs
        if not x:
            return self._zero_source(node)
        if name == "embedding":
            return self._missing(x[1])
        if name == "cross_entropy":
            return self._missing(x[1])
        if name == "cross_entropy_grad":
            return either(self._zeros_of(x[0]), self._missing(x[2]))
        if name in ("mul", "matmul"):
            return either(*map(self._zeros_of, x))
        if name in _OF_FIRST:
            return self._zeros_of(x[0])
        if name == "where":
            return self._zero_of_branches(*x[1:])
        if name in _TO_FINER:
            return self._ids.finer(node, self._zeros_of(x[0]))
        if name in _TO_COARSER:
            return self._ids.coarser(node, self._zeros_of(x[0]))
        return self._zero_of_all(node)

    def _zero_source(self, node: Node) -> Rows:
        if node.op.name == "pull":
            mask = node.dtype == "float" and node.space == SpaceKind.EDGE and node.size == 1
            return frozenset([frozenset([node])]) if self._by_mask and mask else NO_ROWS
        known: Rows = node.attrs["zero"] if node.op.name == "remembered" else NO_ROWS
        return known if self._by_id else NO_ROWS

    def _zero_of_branches(self, a: Node, b: Node) -> Rows:
        """Of what is one or the other, whichever."""
        if constant_value(a) == 0.0:
            return self._zeros_of(b)
        return self._zeros_of(a) if constant_value(b) == 0.0 else both(*map(self._zeros_of, (a, b)))

    def _zero_of_all(self, node: Node) -> Rows:
        """Of what is zeros where all operands are that are no constants."""
        zeros = [self.zero.get(x) for x in node.inputs]
        known = [
            constant_value(x) if rows is None else 0.0
            for x, rows in zip(node.inputs, zeros, strict=True)
        ]
        values = [value for value in known if value is not None]
        rows = [found for found in zeros if found is not None]
        if not rows or len(values) < len(known) or not _gives_zero(node, values):
            return NO_ROWS
        common, *others = rows
        for other in others:
            common = both(common, other)
        return common

    # Readers

    def _find_unread(self, roots: set[Node]) -> dict[Node, Rows]:
        users: dict[Node, list[Node]] = {}
        for node in self._order:
            for x in dict.fromkeys(node.inputs):
                users.setdefault(x, []).append(node)
        unread: dict[Node, Rows] = {}
        for node in reversed(self._order):
            if node in roots or node.space == SpaceKind.NONE or node not in users:
                continue
            common: Rows | None = None
            for user in users[node]:
                rows = either(self._stopped(node, user), self._passed(node, user, unread))
                common = rows if common is None else both(common, rows)
                if not common:
                    break
            if common:
                unread[node] = common
        return unread

    def _passed(self, node: Node, user: Node, unread: Mapping[Node, Rows]) -> Rows:
        """Rows of `node` that the user goes into rows with that nobody reads."""
        rows = unread.get(user, NO_ROWS)
        if not rows or user.op.name == "join" or user.op.mixes_edges:
            return NO_ROWS
        if user.op.name in (*_TO_FINER, "slots_to_edges"):
            return self._ids.coarser(user, rows)
        if user.op.name in (*_TO_COARSER, "segment_logsumexp"):
            return self._ids.finer(user, rows)
        return rows if user.space == node.space else NO_ROWS

    def _stopped(self, node: Node, user: Node) -> Rows:
        """Rows in which the user's result does not depend on `node`."""
        name, x = user.op.name, user.inputs
        if name in _PRODUCTS:
            others = [operand for operand in x if operand is not node]
            return either(*map(self._zeros_of, others)) if len(others) < len(x) else NO_ROWS
        if name in ("sigmoid_grad", "tanh_grad", "div", "logsumexp_grad"):
            return NO_ROWS if node is x[0] else self._zeros_of(x[0])
        if name == "cross_entropy":
            return self._missing(x[1])
        if name == "cross_entropy_grad":
            missing = self._missing(x[2])
            return missing if node is x[0] else either(missing, self._zeros_of(x[0]))
        return self._missing(x[1]) if name == "embedding_grad" else NO_ROWS


def _gives_zero(node: Node, values: Sequence[float]) -> bool:
    """Whether the result is zeros where the operands are these numbers."""
    if node.op.name in _MOVES:
        return not any(values)
    if not node.op.elementwise or node.op.reference is None:
        return False
    with np.errstate(all="ignore"):
        return float(node.op.reference(np, *map(np.float64, values), **node.attrs)) == 0.0
