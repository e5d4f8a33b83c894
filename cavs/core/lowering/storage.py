"""Where the rows of each node are: which nodes need memory of their own.

A node becomes one of four things:

* *nothing*: parameters and constants are operands as they stand;
* a *view*: slice and reshape of a stored value are columns of it;
* an *index load*: spread, expand and gather only re-index rows, so an elementwise group reads
  through the index and nothing is stored, unless another node needs the rows themselves; likewise
  the sum over the children or parents of a vertex that one operation of a group reads;
* a *unit*: an instruction, or one operation of an elementwise group, that stores its result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from cavs.core.ir import Node, without_reshapes
from cavs.core.lowering.merge_matmuls import merge_matmuls
from cavs.core.lowering.nodes import (
    is_column,
    is_line,
    is_part,
    is_view,
    parts,
    reachable,
    reads_state,
    reads_through_index,
    users_of,
)
from cavs.core.lowering.sinks import Lowered, Sinks
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.elementwise import IDENTITY
from cavs.core.ops.shape import CONCAT
from cavs.core.ops.structure import (
    CONSTANT,
    GATHER,
    JOIN,
    PARAM,
    REMEMBERED,
    STATE_COTANGENT,
    UNIQUE_SUM,
)
from cavs.core.program import OutputKind
from cavs.core.remarks import Notes

# Arrays whose rows are in the program's own order.
_WRITTEN_TO = (OutputKind.PARAM, OutputKind.SPARSE, OutputKind.IDS)


@dataclass(frozen=True, eq=False)
class Storage:
    """Which nodes are stored, and where.

    Attributes:
        sinks: the results that the program must give.
        forward: the forward program of a backward one.
        external: nodes whose values the forward program holds.
        masks: maps a product to the mask of the rows that it may leave out.
        order: the nodes of the program, operands first.
        users: the nodes that read each node.
        wanted: nodes that are read from outside the nodes, or as masks.
        forced: nodes that groups could read without storing them, but whose rows something needs.
        settled: maps what reads other vertices' states, or cotangents of states, to these, where
            they wait for no level.
        sums: maps an addition over all rows to the results that are added in its place.
        summed: maps each of these results to its addition.
        placed: maps a part of a state to the unit that writes its rows in their place.
        beside: maps a part that is written into its concatenation to (concatenation, column).
        direct: maps a node that is written to the caller's array to the output's number.
    """

    sinks: Sinks
    forward: Lowered | None
    external: AbstractSet[Node]
    masks: Mapping[Node, Node]
    order: Sequence[Node]
    users: Mapping[Node, Sequence[Node]]
    wanted: AbstractSet[Node]
    forced: AbstractSet[Node]
    sums: Mapping[Node, Sequence[Node]]
    summed: Mapping[Node, Node]
    placed: Mapping[Node, Node] = field(default_factory=dict)
    beside: Mapping[Node, tuple[Node, int]] = field(default_factory=dict)
    direct: Mapping[Node, int] = field(default_factory=dict)
    settled: Mapping[Node, Node] = field(default_factory=dict)

    def is_unit(self, node: Node) -> bool:
        """Whether the node stores a result of its own."""
        if node.op in (PARAM, REMEMBERED, JOIN) or is_view(node):
            return False
        if node in self.placed or node in self.sums:
            return False
        if _is_read_elsewhere(node) or node.op is CONSTANT or is_column(node):
            return node in self.forced
        return True

    def stored(self, node: Node) -> list[tuple[Node, bool]]:
        """The units that `node` is read from (none: external or no memory; several write a join),
        and whether through an index that leaves the rows at hand."""
        crossed = False
        while True:
            if node in self.external or node.op in (PARAM, REMEMBERED):
                return []
            if self.is_unit(node):
                return [(node, crossed)]
            if node in self.settled:
                return [(x, True) for x, _ in self.stored(self.settled[node])]
            if node.op in (GATHER, CONSTANT, STATE_COTANGENT):
                return []
            if node.op is JOIN:
                return [found for part in node.inputs for found in self.stored(part)]
            crossed = crossed or node.op.crosses
            node = self.sums[node][-1] if node in self.sums else node.inputs[0]

    def joined(self) -> list[Node]:
        """The values whose rows are those of several units, if they are joins: states, and what
        operations of this program read."""
        read = [node for node in self.order if node.op is JOIN and self.users[node]]
        return list(dict.fromkeys([*self.sinks.states.values(), *read]))

    def reads(self, node: Node) -> list[Node]:
        """The node's operands, the mask of its rows, and the state that it reads if that waits for
        no level."""
        others = [found[node] for found in (self.masks, self.settled) if node in found]
        return [*node.inputs, *others]

    def __str__(self) -> str:
        return "\n".join(f"{node!r} %{node.number}: {self._home(node)}" for node in self.order)

    def _home(self, node: Node) -> str:
        if node in self.direct:
            return f"output {self.direct[node]}"
        if node in self.beside:
            whole, column = self.beside[node]
            return f"columns of %{whole.number} from {column}"
        for same in (self.summed, self.placed):
            if node in same:
                return f"in the place of %{same[node].number}"
        if self.is_unit(node):
            return "stored"
        if is_view(node):
            return f"columns of %{node.inputs[0].number}"
        return "read through an index" if _is_read_elsewhere(node) else "not stored"


def _is_read_elsewhere(node: Node) -> bool:
    """Whether groups read the node's operand in its place, through an index or a list."""
    return node.op.is_index_load or node.op.sums_lists


def place(
    sinks: Sinks,
    forward: Lowered | None,
    masks: Mapping[Node, Node],
    merged: bool,
    notes: Notes | None = None,
) -> Storage:
    """The storage of a program; `merged`: whether sums over rows go on from each other."""
    # Forward keeps the values of F that the gradient from all outputs reads. The gradient from some
    # of them may be written otherwise; the other values that it reads are computed again.
    external = set(forward.saved) if forward else set[Node]()
    order = reachable(sinks.nodes(), external)
    masks = {node: masks[node] for node in order if node in masks}
    order = reachable([*sinks.nodes(), *masks.values()], external)
    wanted = {part for node in sinks.nodes() for part in (node, *parts(node))}
    wanted.update(masks.values())  # products read the masks, but do not count as their users
    users = users_of(order)
    sums = merge_matmuls(order, users, wanted, notes) if merged else {}
    summed = {x: add for add in sums for x in add.inputs}
    forced = _forced(sinks, masks, order, users, wanted)
    found = Storage(sinks, forward, external, masks, order, users, wanted, forced, sums, summed)
    found = replace(found, placed=_placed(found))
    return replace(found, beside=_beside(found), direct=_direct(found))


def _forced(
    sinks: Sinks,
    masks: Mapping[Node, Node],
    order: Sequence[Node],
    users: Mapping[Node, Sequence[Node]],
    wanted: AbstractSet[Node],
) -> set[Node]:
    """Nodes that elementwise groups could read without storing them (index loads, columns,
    constants and views of them) but whose rows something needs in memory; and sums that no single
    reader takes."""
    forced: set[Node] = set()

    def without_rows(user: Node, node: Node) -> bool:
        if user.op.elementwise or (is_part(user) and user not in forced):
            return True
        return reads_state(user, node) or _reads_rows(user, node, masked=user in masks)

    for node in reversed(order):
        free = node.op.is_index_load or node.op is CONSTANT or is_part(node)
        if free and (node in wanted or not all(without_rows(u, node) for u in users[node])):
            forced.add(node)
    for node in order:
        if node.op.sums_lists:
            readers = users[node]
            taken = _summed_by(node, readers) or _listed(sinks, node, readers)
            if node in wanted or not taken:
                forced.add(node)
    return forced


def _reads_rows(user: Node, node: Node, masked: bool) -> bool:
    """Whether the user, which is not elementwise, reaches the rows through the index."""
    while is_view(node):
        node = node.inputs[0]
    return node.op.is_index_load and reads_through_index(user, masked=masked)


def _listed(sinks: Sinks, node: Node, users: Sequence[Node]) -> bool:
    """Whether the cotangents that rows of one id get from their parents are summed at once."""
    by_id = all(u.op is UNIQUE_SUM and u.attrs["base"] == node.space for u in users)
    if node.op is not STATE_COTANGENT or not by_id:
        return False
    return not sinks.slots.get(node.attrs["reading"], 0)  # else a parent has one for each position


def _summed_by(node: Node, users: Sequence[Node]) -> bool:
    """Whether a single elementwise operation reads the sum over lists, and so computes it."""
    return len(users) == 1 and users[0].op.elementwise and users[0].space == node.space


def _placed(storage: Storage) -> dict[Node, Node]:
    """Maps a part of a state that needs no copy to the unit that writes its rows in place."""
    placed: dict[Node, Node] = {}
    of_states = [x for node in storage.joined() for x in parts(node)]
    for part in [x for x in of_states if x.op is IDENTITY]:
        unit = without_reshapes(part.inputs[0])
        own = storage.is_unit(unit) and unit not in storage.external
        if own and unit.space == part.space and unit not in placed.values():
            placed[part] = unit
    return placed


def _beside(storage: Storage) -> dict[Node, tuple[Node, int]]:
    """Maps a part that can be written straight into its concatenation to it and the column."""
    beside: dict[Node, tuple[Node, int]] = {}
    for whole in storage.order:
        joins = whole.op is CONCAT and is_line(whole) and storage.is_unit(whole)
        if not joins or whole.space == SpaceKind.NONE:
            continue
        column = 0
        taken = {*storage.wanted, *storage.placed.values(), *beside}
        for x in whole.inputs:
            own = x not in storage.external and storage.is_unit(x)
            if own and x not in taken and x.space == whole.space and x.op is not CONCAT:
                beside[x] = whole, column
            column += x.size
    return beside


def _direct(storage: Storage) -> dict[Node, int]:
    """Maps a result that is written straight to the caller's array to the output's number."""
    direct: dict[Node, int] = {}
    for number, (output, node) in enumerate(storage.sinks.outputs):
        own = node not in storage.external and storage.is_unit(node)
        written = (own or node in storage.sums) and node.op is not CONCAT
        if written and output.kind in _WRITTEN_TO:
            direct.setdefault(node, number)
    return direct
