"""The lowered form of F or its gradient: segments of instructions over numbered values.

Mirrors csrc/program/program.h, where the fields are explained to the executor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

from cavs.core.attributes import Attributes, Group
from cavs.core.ir import Name
from cavs.core.ops._def import Shape
from cavs.core.ops._spaces import Space, SpaceKind, Typed, Unique

if TYPE_CHECKING:
    from cavs.core.type_order import TypeOrder


class _Word(Enum):
    __hash__ = object.__hash__  # members are compared by identity: their names need no hash

    def __str__(self) -> str:
        return self.name.lower()


class Role(_Word):
    """Where a value lives: in memory of the run, in an array of the caller (parameter, input or
    output number `index`), or in columns of another value."""

    ARENA = auto()
    PARAM = auto()
    INPUT = auto()
    OUTPUT = auto()
    VIEW = auto()


class SegmentKind(_Word):
    """How a segment runs: row by row, the same level by level, summing over all rows, or summing
    over the rows of each level of the segment before, right after that level."""

    ROWS = auto()
    LEVELS = auto()
    GLOBAL = auto()
    SUMS = auto()


class OutputKind(_Word):
    """The kind of an array that the caller gets."""

    PUSH = auto()  # the output `name` of F
    PARAM = auto()  # the whole gradient of `parameter`
    IDS = auto()  # the distinct ids of `space`, ascending, int32
    SPARSE = auto()  # rows of the gradient of `parameter`, for the ids in output `ids`
    INPUT = auto()  # the cotangent of the input `name`
    UPDATE = auto()  # the value that buffer `parameter` takes after the call


class TableKind(_Word):
    """The rows at which an operand is read, from the row at hand."""

    NONE = auto()
    CHILD = auto()  # of an edge, the child
    SLOT = auto()  # of a vertex, its child number `position`
    PARENT = auto()  # of an edge, the parent
    CHILDREN = auto()  # of a vertex, the edges to its children
    CHILD_ROWS = auto()  # of a vertex, its children
    PARENTS = auto()  # of a vertex, the edges in which it is the child
    PARENT_ROWS = auto()  # of a vertex, its parents; see `position` of Table
    GRAPH = auto()  # of a vertex, the graph
    GRAPH_VERTICES = auto()  # of a graph, the vertices
    VERTEX_ORDER = auto()  # of a vertex, the caller's vertex
    EDGE_ORDER = auto()  # of an edge, the caller's edge
    SIBLINGS = auto()  # of an edge, the edges of its parent
    UNIQUE = auto()  # of a row that has an id, the distinct id
    UNIQUE_ROWS = auto()  # of a distinct id, the rows that have it
    UNIQUE_IDS = auto()  # of a distinct id, or a tuple that it is part of, the id
    UNIQUE_PARENTS = auto()  # of a distinct id, the edges in which its vertices are children
    UNIQUE_PARENT_ROWS = auto()  # of a distinct id, the parents of its vertices


LISTS = frozenset(
    {
        TableKind.CHILDREN,
        TableKind.CHILD_ROWS,
        TableKind.PARENTS,
        TableKind.PARENT_ROWS,
        TableKind.GRAPH_VERTICES,
        TableKind.UNIQUE_ROWS,
        TableKind.UNIQUE_PARENTS,
        TableKind.UNIQUE_PARENT_ROWS,
    }
)
"""Tables that lead to any number of rows."""


@dataclass(frozen=True)
class Table:
    """A table between rows.

    Attributes:
        kind: the rows that it leads from, and the rows that it leads to.
        position: of SLOT, the number of the child, -1 for the last one. Of PARENT_ROWS, if it is
            not None, how many first children of a parent count, or below 0 how many last ones: its
            row holds a value for each, side by side, and a child reads the value of its own
            position. Of PARENT, where slots go to edges, -1 if they count from the last child on.
        rows: the distinct ids, in kinds that lead to or from them.
        base: the distinct tuples, if `rows` are read by them and not by the rows that the ids are
            counted among.
        of: in a function of types the edges that lead to parents or children, or the vertices of a
            graph that are meant.
    """

    kind: TableKind
    position: int | None = None
    rows: Unique | None = None
    base: Unique | None = None
    of: Typed | None = None

    def __str__(self) -> str:
        if self.kind is TableKind.NONE:
            return ""
        position = "" if self.position is None else f":{self.position}"
        rows = "" if self.rows is None else f":{self.rows.name}"
        base = "" if self.base is None else f" of {self.base.name}"
        of = "" if self.of is None else f"@{'+'.join(map(str, self.of.members))}"
        return f"{self.kind}{position}{rows}{base}{of}"


NO_TABLE = Table(TableKind.NONE)
"""The row at hand."""


class UniqueIds(NamedTuple):
    """Distinct ids that a program needs, and the rows that have them.

    Attributes:
        space: rows of the distinct ids, or tuples of ids.
        base: rows that have the ids: the rows that the ids are counted among, or distinct tuples,
            which are counted before.
        inputs: numbers of the inputs that have the ids; none if `base` is tuples, which have them.
        rows: 0 where ids are counted; else row i is id i, and the last of these rows is -1.
    """

    space: Unique
    base: Space
    inputs: tuple[int, ...]
    rows: int


@dataclass(frozen=True)
class Value:
    """A numbered value: its rows, how long a row is, and where it lives.

    Attributes:
        name: the name in texts.
        space: its row space.
        size: elements of a row.
        dtype: ``float`` or ``int32``.
        role: where it lives.
        index: of PARAM, INPUT and OUTPUT, the number of the array.
        base, column: of VIEW, the value that has the columns, and the first of them.
    """

    name: str
    space: Space
    size: int
    dtype: str = "float"
    role: Role = Role.ARENA
    index: int = -1
    base: int = -1
    column: int = 0


@dataclass(frozen=True)
class Instruction:
    """One kernel call over rows of `space`.

    Attributes:
        kernel: its name.
        inputs, outputs: numbers of values.
        tables: one for each input; of a kernel without inputs, the table that it reads.
        attributes: the kernel's attributes, if it has any.
        space: the rows.
        flops: per row, of the operations of F that it computes, as many as the kernel counts.
        where: source line it came from.
    """

    kernel: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    tables: tuple[Table, ...]
    attributes: Attributes | None = None
    space: Space = SpaceKind.NONE
    flops: int = 0
    where: str = ""


@dataclass(frozen=True)
class Segment:
    """Instructions between two meetings of the threads."""

    kind: SegmentKind
    space: Space
    instructions: tuple[Instruction, ...]

    def __str__(self) -> str:
        return f"rows over {self.space}" if self.kind is SegmentKind.ROWS else str(self.kind)


@dataclass(frozen=True)
class Output:
    """An array that the caller gets; its kind says which fields it has."""

    kind: OutputKind
    space: Space
    shape: Shape
    name: Name = ""
    parameter: int = -1
    ids: int = -1


class Results(NamedTuple):
    """The numbers of the outputs, by kind.

    Attributes:
        pushes: (name, output).
        whole: (parameter, gradient); one at most for each parameter.
        by_rows: (parameter, ids, gradient rows for these ids); any number for each parameter.
        inputs: (name, cotangent).
        updates: (parameter, value): the values that buffers take after the call.
    """

    pushes: list[tuple[Name, int]]
    whole: list[tuple[int, int]]
    by_rows: list[tuple[int, int, int]]
    inputs: list[tuple[Name, int]]
    updates: list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Program:
    """A lowered function. Compared by identity.

    Attributes:
        values: all values; a backward program begins with the values of its forward program.
        segments: in order of execution.
        inputs: names of the caller's arrays.
        outputs: the arrays that the caller gets, in order of their numbers.
        uniques: the distinct ids that its values have rows for.
        saved: values that the backward programs read.
        params: the parameters, in order of their numbers.
        forward: of a backward program, the program whose values it reads.
        states: of a forward program, the states that parents may gather, by name.
        types: of a function of types, the order of their rows.
        given: of a function of types, the rows of each of the caller's arrays in `inputs`.
        results: the numbers of the outputs, by kind.
    """

    values: tuple[Value, ...]
    segments: tuple[Segment, ...]
    inputs: tuple[Name, ...]
    outputs: tuple[Output, ...]
    uniques: tuple[UniqueIds, ...]
    saved: tuple[int, ...]
    params: tuple[Any, ...]
    forward: Program | None = None
    states: Mapping[Name, int] = field(default_factory=dict)
    types: TypeOrder | None = None
    given: tuple[Space, ...] = ()
    results: Results = field(init=False)

    def __post_init__(self) -> None:
        found = Results([], [], [], [], [])
        for number, output in enumerate(self.outputs):
            if output.kind is OutputKind.PUSH:
                found.pushes.append((output.name, number))
            elif output.kind is OutputKind.PARAM:
                found.whole.append((output.parameter, number))
            elif output.kind is OutputKind.SPARSE:
                found.by_rows.append((output.parameter, output.ids, number))
            elif output.kind is OutputKind.INPUT:
                found.inputs.append((output.name, number))
            elif output.kind is OutputKind.UPDATE:
                found.updates.append((output.parameter, number))
        object.__setattr__(self, "results", found)

    def instructions(self) -> Iterator[Instruction]:
        """The instructions of all segments."""
        return (i for segment in self.segments for i in segment.instructions)

    def root(self, number: int) -> int:
        """The value that owns the value's memory."""
        while self.values[number].role is Role.VIEW:
            number = self.values[number].base
        return number

    # Text

    def __str__(self) -> str:
        lines, shown = [], set[int]()
        for segment in self.segments:
            lines.append(f"{segment}:")
            for i in segment.instructions:
                lines.extend(f"  {self._view(number)}" for number in self._new_views(i, shown))
                lines.append(f"  {self.line(i)}")
        return "\n".join(lines)

    def costs(self, item_size: int) -> list[str]:
        """A line per instruction, with the rows that it runs over and its FLOPs and bytes per row;
        and a line per view, which costs nothing."""
        lines, shown = [], set[int]()
        for segment in self.segments:
            for i in segment.instructions:
                for number in self._new_views(i, shown):
                    space = self.values[number].space
                    lines.append(f"  {'view':6} {space!s:12} {'':29}{self._view(number)}")
                size = self.row_bytes(i, item_size)
                lines.append(
                    f"  {segment.kind!s:6} {i.space!s:12} {i.flops:>9,} FLOPs {size:>7,} bytes  "
                    f"{self.line(i)}"
                )
        return lines

    def row_bytes(self, i: Instruction, item_size: int) -> int:
        """Bytes of each operand and result of one row, the same as its kernel's row counts;
        parameters and constants count nothing."""
        moved = [self.values[n] for n in (*i.inputs, *i.outputs)]
        ids = 4  # bytes of one, whatever the floats have
        return sum(
            v.size * (ids if v.dtype == "int32" else item_size)
            for v in moved
            if v.space != SpaceKind.NONE
        )

    def value_text(self, number: int) -> str:
        """A value's number, rows, row length and operation."""
        view = f" {self._columns(number)}" if self.values[number].role is Role.VIEW else ""
        return f"{self._declared(number)} {self.values[number].name}".rstrip() + view

    def line(self, i: Instruction) -> str:
        """The instruction as text."""
        inputs = [self._name(number) for number in i.inputs]
        tables = [f"[{table}]" if table.kind is not TableKind.NONE else "" for table in i.tables]
        read = [x + table for x, table in zip(inputs or [""] * len(tables), tables, strict=True)]
        outputs = ", ".join(self._declared(n) for n in i.outputs)
        if isinstance(i.attributes, Group):
            return f"{outputs} = {i.kernel} {i.attributes.text(read)}"
        told = [] if i.attributes is None else [str(i.attributes)]
        return f"{outputs} = {i.kernel}({', '.join([*read, *told])})"

    def _new_views(self, i: Instruction, shown: set[int]) -> Iterator[int]:
        """Views that the instruction is the first to use, bases first."""
        for number in (*i.inputs, *i.outputs):
            chain = []
            while self.values[number].role is Role.VIEW and number not in shown:
                chain.append(number)
                shown.add(number)
                number = self.values[number].base
            yield from reversed(chain)

    def _view(self, number: int) -> str:
        return f"{self._declared(number)} = {self._columns(number)}"

    def _columns(self, number: int) -> str:
        value = self.values[number]
        return f"%{value.base}[{value.column}:{value.column + value.size}]"

    def _name(self, number: int) -> str:
        value = self.values[number]
        return f"%{number}" + (f":{value.name}" if value.role in (Role.PARAM, Role.INPUT) else "")

    def _declared(self, number: int) -> str:
        value = self.values[number]
        given = f" ({self._given(value.index)})" if value.role is Role.OUTPUT else ""
        return f"%{number}:{value.space}[{value.size}]{given}"

    def _given(self, number: int) -> str:
        """The output in texts."""
        output = self.outputs[number]
        if output.kind is OutputKind.PUSH:
            return f"output {output.name}"
        if output.kind is OutputKind.IDS:
            return "ids"
        rows = "rows of the " if output.kind is OutputKind.SPARSE else ""
        names = {v.index: v.name for v in self.values if v.role is Role.PARAM}
        of = names.get(output.parameter, f"parameter {output.parameter}")
        if output.kind is OutputKind.UPDATE:
            return f"new value of {of}"
        return f"{rows}gradient of {output.name if output.kind is OutputKind.INPUT else of}"
