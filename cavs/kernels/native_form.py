"""Writes a program as the native engine takes it: words and numbers in tuples."""

from __future__ import annotations

from typing import Any

from cavs._native import core as _core
from cavs.core.attributes import (
    AxisAttributes,
    ColumnsAttributes,
    DropoutAttributes,
    EmbeddingAttributes,
    FillAttributes,
    Group,
    MaskedMatmulAttributes,
    MatmulAttributes,
    ShapeAttributes,
    UniformAttributes,
)
from cavs.core.ops._def import Space, SpaceKind, Unique
from cavs.core.program import (
    Instruction,
    Output,
    OutputKind,
    Program,
    Segment,
    Table,
    TableKind,
    UniqueIds,
    Value,
)
from cavs.errors import CavsRuntimeError

# The tables by which random kernels know the graph and vertex of a row.
_SAMPLED: dict[Space, int] = {SpaceKind.EDGE: 1, SpaceKind.GRAPH: 2}


class NativeForm:
    """Parts of a program as the native Program takes them: distinct ids by their number."""

    def __init__(self, program: Program) -> None:
        tables = enumerate(program.uniques)
        self._numbers = {(unique.space, unique.base): number for number, unique in tables}
        self._values = program.values

    def unique(self, u: UniqueIds) -> tuple[Any, ...]:
        among = isinstance(u.base, Unique)
        of = self._space(u.space) if among else -1
        return (u.space.name, u.inputs, self._space(u.base), u.rows, of)

    def value(self, v: Value) -> tuple[Any, ...]:
        space = self._space(v.space)
        return (v.name, space, v.size, v.dtype, str(v.role), v.index, v.base, v.column)

    def segment(self, s: Segment) -> tuple[Any, ...]:
        return (str(s.kind), self._space(s.space), [self._instruction(i) for i in s.instructions])

    def output(self, o: Output) -> tuple[Any, ...]:
        dtype = "int32" if o.kind is OutputKind.IDS else "float"
        return (self._space(o.space), dtype, o.shape)

    def _instruction(self, i: Instruction) -> tuple[Any, ...]:
        ints, floats = self._attributes(i)
        tables = [self._table(table) for table in i.tables]
        return (i.kernel, i.inputs, i.outputs, tables, ints, floats, self._space(i.space))

    def _attributes(self, i: Instruction) -> tuple[list[int], list[float]]:
        match i.attributes:
            case Group() as group:
                return _group_code(group), list(group.constants)
            case MaskedMatmulAttributes(ta, tb, m, k, n, by_id):
                return [int(ta), int(tb), m, k, n, int(by_id)], []
            case MatmulAttributes(ta, tb, m, k, n):
                return [int(ta), int(tb), m, k, n], []
            case AxisAttributes(outer, length):
                return [outer, length], []
            case EmbeddingAttributes(count, width):
                return [count, width], []
            case ShapeAttributes(source, target):
                return [len(source), *source, *target], []
            case ColumnsAttributes(lines, width, source, source_step, target, target_step):
                return [lines, width, source, source_step, target, target_step], []
            case UniformAttributes(key):
                return [key, _SAMPLED.get(i.space, 0)], []
            case DropoutAttributes(key, rate):
                by_id = i.kernel == "dropout_by_id"
                return [key] if by_id else [key, _SAMPLED.get(i.space, 0)], [rate]
            case FillAttributes(value):
                return [], [value]
        if i.kernel == "load":
            return [int(self._values[i.outputs[0]].dtype == "int32")], []
        return [], []

    def _space(self, space: Space) -> str | int:
        return self._numbers[space, space.base] if isinstance(space, Unique) else str(space)

    def _table(self, table: Table) -> str | tuple[str, int]:
        kind = "" if table.kind is TableKind.NONE else str(table.kind)
        if table.rows is not None:
            return kind, self._numbers[table.rows, table.base or table.rows.base]
        return kind if table.position is None else (kind, table.position)


def _group_code(group: Group) -> list[int]:
    """[width, registers, ops, (opcode, destination, a, b, c)..., results, register...]"""
    opcodes = _core.scalar_opcodes()
    register, count = _registers(group)
    inputs, first = len(group.inputs), group.first_call

    def slot(number: int) -> int:
        if number < inputs:
            return number
        if number < first:
            return number + count
        return inputs + register[number - first]

    code = [group.width, count, len(group.calls)]
    for call, destination in zip(group.calls, register, strict=True):
        if call.op not in opcodes:
            raise CavsRuntimeError(
                f"[kernels] expected a native form of {call.op!r}, got none; leave this operation "
                "out"
            )
        slots = [slot(number) for number in call.operands]
        code += [opcodes[call.op], destination, *slots, *[-1] * (3 - len(slots))]
    return [*code, len(group.outputs), *(register[number - first] for number in group.outputs)]


def _registers(group: Group) -> tuple[list[int], int]:
    """The register of each call, and how many there are: they are used again after the last reader;
    results keep theirs to the end."""
    last: dict[int, int] = {}
    results = set(group.outputs)
    for i, call in enumerate(group.calls):
        last.update((n, i) for n in call.operands if n >= group.first_call)
    register: list[int] = []
    free: list[int] = []
    count = 0
    for i, call in enumerate(group.calls):
        dying = {n for n in call.operands if last.get(n) == i and n not in results}
        free.extend(sorted((register[n - group.first_call] for n in dying), reverse=True))
        if free:
            register.append(free.pop())
        else:
            register.append(count)
            count += 1
    return register, count
