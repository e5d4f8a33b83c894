"""Finds the rows in which values are zeros, and the rows in which nobody reads them, for the passes
that leave rows out of products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cavs.core import ir
from cavs.core.ir import Name, Node, ancestors, constant_value
from cavs.core.making import repeated
from cavs.core.ops._def import Between, OpDef, apply
from cavs.core.ops._spaces import Space, SpaceKind, Unique
from cavs.core.ops.elementwise import WHERE, equal, maximum
from cavs.core.ops.matmul import MATMUL, MATMUL_REDUCE
from cavs.core.ops.structure import (
    GRAPH_SPREAD,
    JOIN,
    PRESENT,
    PULL,
    REMEMBERED,
    SPREAD,
    UNIQUE_IDS,
)

Clause = frozenset[Node]
"""Ids and masks: the clause holds in a row where all its ids are -1 and all its masks 0."""

Rows = frozenset[Clause]
"""The rows in which one of the clauses holds."""

NO_ROWS: Rows = frozenset()

_MOST = 4
"""How many clauses, and members of one, are kept track of: more are seldom."""

_MOST_IN_MASK = 2
"""How many clauses make a product's mask, which is computed in each call."""


def either(*rows: Rows) -> Rows:
    """Rows that are in any of `rows`."""
    clauses = NO_ROWS.union(*rows)
    if len(clauses) <= 1:
        return clauses
    # A clause that contains another one adds no rows to it.
    least = [c for c in clauses if not any(other < c for other in clauses)]
    return frozenset(_ordered(least)[:_MOST])


def both(a: Rows, b: Rows) -> Rows:
    """Rows that are in both `a` and `b`."""
    return either(frozenset(c | d for c in a for d in b if len(c | d) <= _MOST))


def _ordered(clauses: Iterable[Clause]) -> list[Clause]:
    """The clauses, the shortest first; in the same order in every process."""
    return sorted(clauses, key=lambda clause: (len(clause), sorted(x.number for x in clause)))


class RowIds:
    """Ids and masks as values in the row spaces that ask for them, each made once.

    Forward and backward programs must mean the same nodes, so one object serves them all.
    """

    def __init__(self) -> None:
        self._ids: dict[tuple[Name, Space], Node] = {}
        self._moved: dict[tuple[Between, Node, Space], Node] = {}
        self._origins: dict[tuple[Between, Node], Node] = {}
        self._masks: dict[Rows, Node] = {}

    def note(self, order: Iterable[Node]) -> None:
        """Takes over the ids, and their copies in other rows, that are among these nodes."""
        for node in order:
            if node.dtype != "int32":
                continue
            if node.op in _IDS and not node.shape:
                self._ids.setdefault((_pull_of(node), node.space), node)
            elif node.op.repeats is not None:
                self._link(node.op.repeats, node.inputs[0], node)

    def _link(self, between: Between, origin: Node, moved: Node) -> None:
        if (between, origin, moved.space) not in self._moved:
            self._moved[between, origin, moved.space] = moved
            self._origins[between, moved] = origin

    def finer(self, move: Node, rows: Rows) -> Rows:
        """Rows of the operand of `move` as rows of its result; if `move` is a sum, rows of its
        result as rows of its operand."""
        return frozenset(frozenset(self._finer(move, x) for x in clause) for clause in rows)

    def coarser(self, move: Node, rows: Rows) -> Rows:
        """The inverse of :meth:`finer`: coarser rows of which all finer ones are among `rows`."""
        found = ([self._coarser(move, x) for x in clause] for clause in rows)
        return frozenset(
            frozenset(x for x in clause if x is not None) for clause in found if None not in clause
        )

    def _finer(self, move: Node, x: Node) -> Node:
        between = _between(move.op)
        if between is Between.IDS:
            return self.ids(_pull_of(x), move.attrs["base"])
        space = move.inputs[0].space if move.op.reduces else move.space
        if (between, x, space) not in self._moved:
            op = SPREAD if between is Between.CHILDREN else GRAPH_SPREAD
            self._link(between, x, repeated(op, x, space))
        return self._moved[between, x, space]

    def _coarser(self, move: Node, x: Node) -> Node | None:
        between = _between(move.op)
        if between is not Between.IDS:
            return self._origins.get((between, x))
        distinct = move.space if move.op.reduces else move.inputs[0].space
        assert isinstance(distinct, Unique)
        own = x.op in _IDS and _pull_of(x) in distinct.pulls
        return self.ids(_pull_of(x), distinct) if own else None

    def ids(self, pull: Name, space: Space) -> Node:
        """The ids of the pull in rows of `space`."""
        if (pull, space) not in self._ids:
            op = UNIQUE_IDS if isinstance(space, Unique) else PULL
            self._ids[pull, space] = ir.source(op, (), space, "int32", name=pull)
        return self._ids[pull, space]

    def mask(self, rows: Rows) -> Node:
        """The mask of `rows`: ids that are -1 in these rows alone, or a number that is 0 in these
        rows alone."""
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


_IDS = (PULL, UNIQUE_IDS)


def _between(move: OpDef) -> Between:
    """The coarse and the fine rows that an operation goes between, in either direction."""
    between = move.reduces or move.repeats
    assert between is not None, move
    return between


def _pull_of(ids: Node) -> Name:
    """Name of the pull that gives the ids."""
    name: Name = ids.attrs["name"]
    return name


def _is_outside(clause: Clause) -> Node:
    """1 in rows in which the clause does not hold, else 0."""
    found: Node | None = None
    for x in sorted(clause, key=lambda x: x.number):
        present: Node = apply(PRESENT, x) if x.dtype == "int32" else 1.0 - equal(x, 0.0)
        found = present if found is None else maximum(found, present)
    assert found is not None
    return found


class Zeros:
    """In a function, its gradient or both: rows that are zeros, and rows that nobody reads.

    Attributes:
        zero, unread: by value, the rows that are zeros and the rows that nobody reads, if any.
        lost: the values that are no zeros in any rows, though operands are.
    """

    def __init__(self, roots: Iterable[Node], ids: RowIds, *, by_id: bool, by_mask: bool) -> None:
        roots = list(roots)
        self._by_id, self._by_mask, self._ids = by_id, by_mask, ids
        self._order = ancestors(roots)
        ids.note(self._order)
        self.zero: dict[Node, Rows] = {}
        self.lost: list[Node] = []
        for node in self._order:
            rows = self._zero(node)
            if rows:
                self.zero[node] = rows
        self.unread: dict[Node, Rows] = self._find_unread(set(roots))

    def products(self) -> dict[Node, Rows]:
        """Maps a product to the rows that it may leave out."""
        found: dict[Node, Rows] = {}
        for node in self._order:
            if node.op in (MATMUL, MATMUL_REDUCE):
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
        op, x = node.op, node.inputs
        if not x:
            return self._zero_source(node)
        if op is WHERE:
            return self._zero_of_branches(*x[1:])
        if op.reduces is Between.ALL:
            return NO_ROWS
        if not op.zero_with and op.zero_without is None:
            return self._zero_of_all(node)
        rows = either(*(self._zeros_of(x[i]) for i in op.zero_with), self._absent(node))
        if op.reduces is not None:
            return self._ids.coarser(node, rows)
        return self._ids.finer(node, rows) if op.repeats is not None else rows

    def _absent(self, node: Node) -> Rows:
        """Rows in which an id of -1 makes the value zero."""
        position = node.op.zero_without
        if position is None:
            return NO_ROWS
        own = ids = node.inputs[position]
        while own.op.is_index_load and own.inputs:
            own = own.inputs[0]
        return self._missing(ids) if own.op in _IDS else NO_ROWS  # others have no table

    def _zero_source(self, node: Node) -> Rows:
        if node.op is PULL:
            mask = node.dtype == "float" and node.space.kind is SpaceKind.EDGE and node.size == 1
            return frozenset([frozenset([node])]) if self._by_mask and mask else NO_ROWS
        known: Rows = node.attrs["zero"] if node.op is REMEMBERED else NO_ROWS
        return known if self._by_id else NO_ROWS

    def _zero_of_branches(self, a: Node, b: Node) -> Rows:
        """Rows in which both branches are zeros; a constant branch of 0 is zeros in all rows."""
        if constant_value(a) == 0.0:
            return self._zeros_of(b)
        return self._zeros_of(a) if constant_value(b) == 0.0 else both(*map(self._zeros_of, (a, b)))

    def _zero_of_all(self, node: Node) -> Rows:
        """Rows in which all operands but constants are zeros, and therefore the result."""
        zeros = [self.zero.get(x) for x in node.inputs]
        known = [
            constant_value(x) if rows is None else 0.0
            for x, rows in zip(node.inputs, zeros, strict=True)
        ]
        values = [value for value in known if value is not None]
        rows = [found for found in zeros if found is not None]
        if not rows:
            return NO_ROWS
        if len(values) < len(known) or not _gives_zero(node, values):
            self.lost.append(node)
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
        """Rows of `node` that the user reads only for rows of its own that nobody reads."""
        rows = unread.get(user, NO_ROWS)
        op = user.op
        if not rows or op is JOIN or op.mixes_edges or op.over_graphs or op.rows_apart:
            return NO_ROWS
        if op.repeats is not None:
            return self._ids.coarser(user, rows)
        if op.reduces not in (None, Between.ALL):
            return self._ids.finer(user, rows)
        return rows if user.space == node.space else NO_ROWS

    def _stopped(self, node: Node, user: Node) -> Rows:
        """Rows in which the user's result does not depend on `node`."""
        x, op = user.inputs, user.op
        if not op.zero_with and op.zero_without is None:
            return NO_ROWS
        if op.repeats is not None or op.reduces not in (None, Between.ALL):
            return NO_ROWS
        others = (self._zeros_of(x[i]) for i in op.zero_with if x[i] is not node)
        return either(*others, self._absent(user))


def _gives_zero(node: Node, values: Sequence[float]) -> bool:
    """Whether the result is zeros if the operands have these values."""
    return node.op.constant(values, [x.shape for x in node.inputs], node.shape) == 0.0
