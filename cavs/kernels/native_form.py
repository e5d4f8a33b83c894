"""Writes a program as the native engine takes it: its enumerations, and numbers in tuples."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from cavs._native import core as _core
from cavs.core.attributes import Attributes, Group, Read
from cavs.core.ops._spaces import Space, SpaceKind, Typed, Unique
from cavs.core.program import (
    Instruction,
    Output,
    OutputKind,
    Program,
    Role,
    Segment,
    SegmentKind,
    Table,
    TableKind,
    UniqueIds,
    Value,
)

# By name, so that a word that one side lacks fails at import.
_SPACES: dict[SpaceKind, Any] = {kind: _core.SpaceKind[kind.name] for kind in SpaceKind}
_ROLES: dict[Role, Any] = {role: _core.Role[role.name] for role in Role}
_TABLES: dict[TableKind, Any] = {kind: _core.TableKind[kind.name] for kind in TableKind}
_SEGMENTS: dict[SegmentKind, Any] = {kind: _core.SegmentKind[kind.name] for kind in SegmentKind}
_READS: dict[Read, Any] = {read: _core.Read[read.name] for read in Read}


class NativeForm:
    """Parts of a program as the native Program takes them: distinct ids by their number, and so the
    members of rows in a function of types.

    Attributes:
        dtype: of floats.
        types: the number of types, the lists of edges and the sets of members; None without types.
    """

    def __init__(self, program: Program, dtype: str) -> None:
        self._program = program
        self._members: dict[tuple[bool, tuple[int, ...]], int] = {}
        order = program.types
        if order is not None:
            self._types = {name: i for i, name in enumerate(order.names)}
            self._lists = {edges: i for i, edges in enumerate(order.lists)}
            self._note_members(program)
        tables = enumerate(program.uniques)
        self._numbers = {(unique.space, unique.base): number for number, unique in tables}
        self.dtype = _core.DType[dtype.upper()]
        self._dtypes = {"float": self.dtype, "int32": _core.DType.INT32}

    def unique(self, u: UniqueIds) -> tuple[Any, ...]:
        among = isinstance(u.base, Unique)
        of = self._space(u.space) if among else -1
        found = (u.space.name, u.inputs, self._space(u.base), u.rows, of)
        if self._program.types is None:
            return found
        given = (self._program.forward or self._program).given  # which has the ids
        return (*found, [self._number(given[i]) for i in u.inputs])

    def value(self, v: Value) -> tuple[Any, ...]:
        space, dtype = self._space(v.space), self._dtypes[v.dtype]
        return (v.name, space, v.size, dtype, _ROLES[v.role], v.index, v.base, v.column)

    def segment(self, s: Segment) -> tuple[Any, ...]:
        instructions = [self._instruction(i) for i in s.instructions]
        return (_SEGMENTS[s.kind], self._space(s.space), instructions)

    def output(self, o: Output) -> tuple[Any, ...]:
        dtype = self._dtypes["int32" if o.kind is OutputKind.IDS else "float"]
        return (self._space(o.space), dtype, o.shape)

    def _instruction(self, i: Instruction) -> tuple[Any, ...]:
        tables = [self._table(table, i, position) for position, table in enumerate(i.tables)]
        attributes = named(i.attributes)
        return (i.kernel, i.inputs, i.outputs, tables, attributes, self._space(i.space))

    def _space(self, space: Space) -> Any:
        if isinstance(space, Unique):
            return self._numbers[space, space.base]
        if isinstance(space, Typed):
            return _SPACES[space.kind], self._number(space)
        return _SPACES[space]

    def _table(self, table: Table, i: Instruction, position: int) -> tuple[Any, ...]:
        argument = table.position or 0
        if table.rows is not None:
            argument = self._numbers[table.rows, table.base or table.rows.base]
        if self._program.types is None:
            return _TABLES[table.kind], argument
        of: Space | None = table.of
        if table.kind in (TableKind.VERTEX_ORDER, TableKind.EDGE_ORDER):
            array = i.outputs[0] if i.kernel == "store" else i.inputs[position]
            of = self._program.values[array].space
        return _TABLES[table.kind], argument, -1 if of is None else self._number(of)

    # Members of rows

    @property
    def types(self) -> tuple[int, list[tuple[int, int]], list[tuple[int, ...]]] | None:
        order = self._program.types
        if order is None:
            return None
        _, _, lists, *_ = order.numbers()
        return len(order.names), list(lists), [members for _, members in self._members]

    def _number(self, space: Space) -> int:
        """The number of the space's members."""
        if not isinstance(space, Typed):
            return -1
        edges = space.kind is SpaceKind.EDGE
        numbers: Any = self._lists if edges else self._types
        key = edges, tuple(sorted(numbers[member] for member in space.members))
        return self._members.setdefault(key, len(self._members))

    def _note_members(self, program: Program) -> None:
        """Numbers all members that the program names, first those of its forward program."""
        if program.forward is not None:
            self._note_members(program.forward)
        spaces: list[Space | None] = [value.space for value in program.values]
        spaces += [u.base for u in program.uniques]
        spaces += program.given
        for segment in program.segments:
            spaces.append(segment.space)
            for i in segment.instructions:
                spaces += [i.space, *(table.of for table in i.tables)]
        spaces += [output.space for output in program.outputs]
        for space in spaces:
            if space is not None:
                self._number(space)


def named(attributes: Attributes | None) -> dict[str, Any]:
    """The fields of a kernel's attributes, as the native engine reads them."""
    if attributes is None:
        return {}
    found = {f.name: getattr(attributes, f.name) for f in fields(attributes)}  # type: ignore[arg-type]
    if isinstance(attributes, Group):
        found["inputs"] = [(_READS[x.read], x.narrow) for x in attributes.inputs]
        found["calls"] = [(call.op, call.operands) for call in attributes.calls]
    return found
