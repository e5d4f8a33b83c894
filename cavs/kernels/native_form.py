"""Writes a program as the native engine takes it: its enumerations, and numbers in tuples."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from cavs._native import core as _core
from cavs.core.attributes import Attributes, Group, Read
from cavs.core.ops._def import Space, SpaceKind, Unique
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
    """Parts of a program as the native Program takes them: distinct ids by their number."""

    def __init__(self, program: Program, dtype: str) -> None:
        tables = enumerate(program.uniques)
        self._numbers = {(unique.space, unique.base): number for number, unique in tables}
        self.dtype = _core.DType[dtype.upper()]
        self._dtypes = {"float": self.dtype, "int32": _core.DType.INT32}

    def unique(self, u: UniqueIds) -> tuple[Any, ...]:
        among = isinstance(u.base, Unique)
        of = self._space(u.space) if among else -1
        return (u.space.name, u.inputs, self._space(u.base), u.rows, of)

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
        tables = [self._table(table) for table in i.tables]
        attributes = named(i.attributes)
        return (i.kernel, i.inputs, i.outputs, tables, attributes, self._space(i.space))

    def _space(self, space: Space) -> Any:
        return self._numbers[space, space.base] if isinstance(space, Unique) else _SPACES[space]

    def _table(self, table: Table) -> tuple[Any, int]:
        argument = table.position or 0
        if table.rows is not None:
            argument = self._numbers[table.rows, table.base or table.rows.base]
        return _TABLES[table.kind], argument


def named(attributes: Attributes | None) -> dict[str, Any]:
    """The fields of a kernel's attributes, as the native engine reads them."""
    if attributes is None:
        return {}
    found = {f.name: getattr(attributes, f.name) for f in fields(attributes)}  # type: ignore[arg-type]
    if isinstance(attributes, Group):
        found["inputs"] = [(_READS[x.read], x.narrow) for x in attributes.inputs]
        found["calls"] = [(call.op, call.operands) for call in attributes.calls]
    return found
