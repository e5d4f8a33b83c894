"""Writes a program as the native engine takes it: words and numbers in tuples."""

from __future__ import annotations

from typing import Any

from cavs._native import core as _core
from cavs.core.ops._def import Space, Unique
from cavs.core.program import Instruction, Output, Program, Segment, TableName, UniqueIds, Value
from cavs.errors import CavsRuntimeError


class NativeForm:
    """Parts of a program as the native Program takes them: distinct ids by their number."""

    def __init__(self, program: Program) -> None:
        tables = enumerate(program.uniques)
        self._numbers = {(unique.space, unique.base): number for number, unique in tables}

    def unique(self, u: UniqueIds) -> tuple[Any, ...]:
        among = isinstance(u.base, Unique)
        of = self._space(u.space) if among else -1
        return (u.space.name, u.inputs, self._space(u.base), u.rows, of)

    def value(self, v: Value) -> tuple[Any, ...]:
        space = self._space(v.space)
        return (v.name, space, v.size, v.dtype, v.role, v.index, v.base, v.column, v.constant)

    def segment(self, s: Segment) -> tuple[Any, ...]:
        return (s.kind, self._space(s.space), [self._instruction(i) for i in s.instructions])

    def output(self, o: Output) -> tuple[Any, ...]:
        return (self._space(o.space), "int32" if o.kind == "ids" else "float", o.shape)

    def _instruction(self, i: Instruction) -> tuple[Any, ...]:
        ints = _fused_code(i) if i.ops else list(i.ints)
        tables = [self._table(table) for table in i.tables]
        return (i.kernel, i.inputs, i.outputs, tables, ints, i.floats, self._space(i.space))

    def _space(self, space: Space) -> str | int:
        return self._numbers[space, space.base] if isinstance(space, Unique) else str(space)

    def _table(self, table: TableName) -> str | tuple[str, int]:
        if isinstance(table, str):
            return table
        of = table.argument
        if isinstance(of, Unique):
            of = self._numbers[of, table.base or of.base]
        return table.kind, of


def _fused_code(i: Instruction) -> list[int]:
    """[width, registers, ops, (opcode, destination, a, b, c)..., results, register...]"""
    opcodes = _core.scalar_opcodes()
    registers = 1 + max(destination for _, destination, _ in i.ops)
    code = [i.width, registers, len(i.ops)]
    for name, destination, refs in i.ops:
        if name not in opcodes:
            raise CavsRuntimeError(
                f"[kernels] expected a native form of {name!r}, got none; leave this operation out"
            )
        code += [opcodes[name], destination, *refs, *[-1] * (3 - len(refs))]
    return [*code, len(i.out_registers), *i.out_registers]
