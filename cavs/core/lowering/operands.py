"""How instructions reach their operands: places in memory, and tables between rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from cavs.core.ir import Name, Node, Reading
from cavs.core.lowering.storage import Storage
from cavs.core.ops._spaces import Space, SpaceKind, Typed, Unique
from cavs.core.ops.shape import BROADCAST, RESHAPE, SLICE
from cavs.core.ops.structure import (
    EXPAND,
    GATHER,
    GRAPH_MAX,
    GRAPH_SUM,
    SPREAD,
    STATE_COTANGENT,
    UNIQUE_IDS,
    UNIQUE_SUM,
)
from cavs.core.program import NO_TABLE, Table, TableKind

_ORDERS = {
    SpaceKind.VERTEX: TableKind.VERTEX_ORDER,
    SpaceKind.LEAF: TableKind.VERTEX_ORDER,
    SpaceKind.INNER: TableKind.VERTEX_ORDER,
    SpaceKind.EDGE: TableKind.EDGE_ORDER,
}

# Maps the parents of a vertex to the parents of all leaves with one id, as kinds of tables.
_OF_EQUAL_IDS = {
    TableKind.PARENTS: TableKind.UNIQUE_PARENTS,
    TableKind.PARENT_ROWS: TableKind.UNIQUE_PARENT_ROWS,
}


@dataclass(frozen=True)
class State:
    """The place of a state's rows in the forward program."""

    name: Name

    def __str__(self) -> str:
        return f"state {self.name}"


@dataclass(frozen=True)
class Given:
    """The place of the array that the caller gives for a node."""

    node: Node

    def __str__(self) -> str:
        return f"given {self.node.attrs['name']}"


@dataclass(frozen=True)
class Returned:
    """The place of an output's array, to which rows of `node` are copied."""

    output: int
    node: Node

    def __str__(self) -> str:
        return f"output {self.output}"


class Columns(NamedTuple):
    """`size` columns of a place."""

    of: Place
    start: int
    size: int

    def __str__(self) -> str:
        return f"{place_text(self.of)}[{self.start}:{self.start + self.size}]"


Place = Node | State | Given | Returned | Columns
"""Where rows are; a node stands for its own place."""


def place_text(place: Place) -> str:
    """The place as text, with nodes by their numbers."""
    return f"%{place.number}" if isinstance(place, Node) else str(place)


class Operand(NamedTuple):
    """Rows of a place, `size` elements of each, found through a table."""

    place: Place
    size: int
    table: Table = NO_TABLE

    def columns(self, start: int, size: int) -> Operand:
        """Some columns of the same rows."""
        if size == self.size:
            return self
        return Operand(Columns(self.place, start, size), size, self.table)

    def __str__(self) -> str:
        table = "" if self.table.kind is TableKind.NONE else f"[{self.table}]"
        return place_text(self.place) + table


def order_table(space: Space) -> Table:
    """The table from the program's rows to the caller's, of the array that is read or written."""
    kind = space.kind
    return Table(TableKind.NONE if kind is None else _ORDERS.get(kind, TableKind.NONE))


def of_type(space: Space) -> Typed | None:
    """Edges or vertices as tables name them: in a function without types not at all."""
    return space if isinstance(space, Typed) else None


def distinct_tables(node: Node) -> list[tuple[Unique, Space]]:
    """Distinct ids and the rows that have them, between which the node's kernel needs tables."""
    if node.op in (EXPAND, UNIQUE_SUM):
        return [(node.attrs["rows"], node.attrs["base"])]
    if node.op is not UNIQUE_IDS:
        return []
    assert isinstance(node.space, Unique)
    ids = Unique((node.attrs["name"],), node.space.base)
    return [(ids, ids.base if node.space == ids else node.space)]


def id_table(kind: TableKind, node: Node) -> Table:
    """Table between the rows of an expand or of a sum by ids, or table of the ids themselves."""
    ((rows, base),) = distinct_tables(node)
    return Table(kind, rows=rows, base=base if isinstance(base, Unique) else None)


def index_table(node: Node) -> Table:
    """Table from the rows of an index load to the rows that it repeats."""
    if node.op is EXPAND:
        return id_table(TableKind.UNIQUE, node)
    if node.op is SPREAD:
        return Table(TableKind.PARENT, of=of_type(node.space))
    if node.op is not GATHER:
        return Table(TableKind.GRAPH)
    slot, edges = node.attrs["slot"], of_type(node.attrs["edges"])
    return Table(TableKind.CHILD if slot is None else TableKind.SLOT, slot, of=edges)


class Reader:
    """The operands of one program's instructions, as the call of a kernel asks for them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def stored(self, node: Node) -> Operand:
        """The node's rows in memory, as they stand."""
        return Operand(node, node.size)

    def given(self, node: Node) -> Operand:
        """The caller's rows for the node."""
        return Operand(Given(node), node.size, order_table(node.space))

    def mask(self, node: Node) -> Node | None:
        """The mask of the rows in which the node, a product, need not be computed."""
        return self._storage.masks.get(node)

    def _state(self, gather: Node) -> Place:
        name = gather.attrs["name"]
        return State(name) if self._storage.forward else self._storage.sinks.states[name]

    def state(self, gather: Node) -> Operand:
        """The rows of the state that a gather takes, where they were scattered."""
        return Operand(self._state(gather), gather.size)

    def held(self, reading: Name) -> Operand:
        """What parents hand to their children, in a gradient."""
        node = self._storage.sinks.states[reading]
        return Operand(node, node.size)

    def gathered(self, node: Node) -> Operand:
        """The rows of the states that a gather takes."""
        return Operand(self._state(node), node.size, index_table(node))

    def read(self, node: Node) -> Operand:
        """The node's rows, through the table that leads to stored rows."""
        op = node.op
        if self._storage.is_unit(node) or node in self._storage.external:
            return self.stored(node)
        if op is GATHER:
            return self.gathered(node)
        if op.is_index_load:
            (x,) = node.inputs
            return Operand(x, x.size, index_table(node))
        if op is BROADCAST:
            return self.read(node.inputs[0])
        if op.sums_lists:
            return self.listed(node)
        if op in (SLICE, RESHAPE):
            whole = self.read(node.inputs[0])
            if whole.size == 1:
                return whole
            if whole.table.kind is not TableKind.NONE:
                return whole.columns(node.attrs.get("start", 0), node.size)
        return self.stored(node)

    def listed(self, node: Node) -> Operand:
        """The rows that `node` reduces, through a table of lists."""
        if node.op is STATE_COTANGENT:
            return self._cotangents(node)
        (x,) = node.inputs
        if node.op in (GRAPH_SUM, GRAPH_MAX):
            return Operand(x, x.size, Table(TableKind.GRAPH_VERTICES, of=of_type(x.space)))
        if node.op is UNIQUE_SUM:
            if x.op is STATE_COTANGENT and not self._storage.is_unit(x):
                of_one = self._cotangents(x)
                table = id_table(_OF_EQUAL_IDS[of_one.table.kind], node)
                table = replace(table, of=of_one.table.of)
                return Operand(of_one.place, of_one.size, table)
            return Operand(x, x.size, id_table(TableKind.UNIQUE_ROWS, node))
        kind: TableKind = TableKind.CHILDREN
        place: Place = x
        if x.op is GATHER and x.attrs["slot"] is None:
            kind, place = TableKind.CHILD_ROWS, self._state(x)
        return Operand(place, x.size, Table(kind, of=of_type(x.space)))

    def _cotangents(self, node: Node) -> Operand:
        """The rows whose sum is the cotangent of a state."""
        sinks, reading = self._storage.sinks, node.attrs["reading"]
        held = sinks.states[reading]
        slots = sinks.slots.get(reading)
        edges = reading.edges if isinstance(reading, Reading) else None
        if slots is None:
            return Operand(held, held.size, Table(TableKind.PARENTS, of=edges))
        whole = Operand(held, held.size, Table(TableKind.PARENT_ROWS, slots or None, of=edges))
        return whole.columns(0, node.size)
