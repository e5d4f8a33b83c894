"""The lowered form of F or its gradient: segments of instructions over numbered values.

Mirrors csrc/program/program.h, where the fields are explained to the executor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cavs.core.ir import Name
from cavs.core.ops._def import Space, SpaceKind, Unique


@dataclass(frozen=True)
class Table:
    """Kind of a table, with the distinct rows or the position that it is of.

    `base`: where the distinct rows are between others than those that they are counted among, the
    distinct tuples.
    """

    kind: str
    argument: Unique | int
    base: Unique | None = None

    def __str__(self) -> str:
        of = self.argument
        base = f" of {self.base.name}" if self.base else ""
        return f"{self.kind}:{of.name if isinstance(of, Unique) else of}{base}"


TableName = Table | str
"""A table between rows; a string where it is of nothing in particular, "" for none."""


class UniqueIds(NamedTuple):
    """Which distinct ids of a program stand for which rows.

    Attributes:
        space: rows of the distinct ids, or tuples of ids.
        base: rows that have the ids: those that they are counted among, or distinct tuples, which
            are counted before.
        inputs: numbers of the inputs that have the ids; none of tuples, which are known already.
        rows: 0 where ids are counted; else row i is id i, and the last of these rows is -1.
    """

    space: Unique
    base: Space
    inputs: tuple[int, ...]
    rows: int


@dataclass
class Value:
    """A numbered value: what its rows are, how long a row is, and where it lives.

    Roles: ``arena`` (memory of the run), ``param`` (parameter number `index`), ``input`` and
    ``output`` (arrays of the caller), ``view`` (columns of `base` from `column`), ``constant``.
    """

    name: str
    space: Space
    size: int
    dtype: str = "float"
    role: str = "arena"
    index: int = -1
    base: int = -1
    column: int = 0
    constant: float = 0.0


@dataclass
class Instruction:
    """One kernel call over rows of `space`.

    Attributes:
        tables: per input, the index through which its rows are read ("" for none).
        ints, floats: attributes, by kernel. Of ``fused``, `ops` holds the group symbolically:
            (scalar op, destination register, operands) and `ints` is made when it is loaded.
        flops: per row.
        where: source lines it came from.
    """

    kernel: str
    inputs: list[int]
    outputs: list[int]
    tables: list[TableName]
    ints: list[int] = field(default_factory=list)
    floats: list[float] = field(default_factory=list)
    space: Space = SpaceKind.NONE
    flops: int = 0
    ops: list[tuple[str, int, tuple[int, ...]]] = field(default_factory=list)
    out_registers: list[int] = field(default_factory=list)
    width: int = 0
    where: str = ""


@dataclass
class Segment:
    """Instructions between two meetings of the threads: ``rows``, ``levels`` or ``global``."""

    kind: str
    space: Space
    instructions: list[Instruction] = field(default_factory=list)


@dataclass
class Output:
    """An array that the caller gets: a push, a parameter's gradient, an input's cotangent.

    kind: ``push``, or, in this order, ``param``, ``ids`` (the distinct ids of `space`, ascending,
    int32), ``sparse`` (rows of a parameter's gradient for the ids of `space`), ``input``.
    """

    kind: str
    name: Name
    space: Space
    shape: tuple[int, ...]
    parameter: int = -1


@dataclass(eq=False)
class Program:
    """A lowered function. Compared by identity.

    Attributes:
        values: all values; of a backward program the first are those of the forward one.
        segments: in order of execution.
        inputs: names of the arrays that are given.
        outputs: what the caller gets, in order of their numbers.
        uniques: the distinct ids that rows of its values are of.
        saved: values that the backward programs read.
        states: of a forward program, what parents may gather by name.
        params: the parameters, in order of their numbers.
        forward: of a backward program, the program whose values it reads.
        dense: numbers of the parameters whose gradients are the first of the outputs.
    """

    values: list[Value]
    segments: list[Segment]
    inputs: list[Name]
    outputs: list[Output]
    uniques: list[UniqueIds]
    saved: list[int]
    params: list[Any]
    forward: Program | None = None
    states: dict[Name, int] = field(default_factory=dict)
    dense: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.dense = [o.parameter for o in self.outputs if o.kind == "param"]

    def __str__(self) -> str:
        lines = []
        for number, segment in enumerate(self.segments):
            lines.append(f"{self.segment_text(number)}:")
            lines.extend(f"  {self.line(i)}" for i in segment.instructions)
        return "\n".join(lines)

    def segment_text(self, number: int) -> str:
        """A segment's kind and rows."""
        segment = self.segments[number]
        return f"rows over {segment.space}" if segment.kind == "rows" else segment.kind

    def value_text(self, number: int) -> str:
        """A value's number, rows, row length and operation."""
        return f"{self._declared(number)} {self.values[number].name}".rstrip()

    def row_bytes(self, i: Instruction, item_size: int) -> int:
        """Bytes of each operand and result of one row; parameters and constants count nothing."""
        moved = [self.values[n] for n in (*i.inputs, *i.outputs)]
        return sum(v.size * item_size for v in moved if v.space != SpaceKind.NONE)

    def costs(self, item_size: int) -> list[str]:
        """A line per instruction: rows that it runs over, FLOPs and bytes per row, and itself."""
        lines = []
        for segment in self.segments:
            for i in segment.instructions:
                size = self.row_bytes(i, item_size)
                lines.append(
                    f"  {segment.kind:6} {i.space!s:12} {i.flops:>9,} FLOPs {size:>7,} bytes  "
                    f"{self.line(i)}"
                )
        return lines

    def _name(self, number: int) -> str:
        value = self.values[number]
        if value.role == "constant":
            return f"{value.constant:g}"
        return f"%{number}" + (f":{value.name}" if value.role in ("param", "input") else "")

    def line(self, i: Instruction) -> str:
        """The instruction as text."""
        inputs = [
            self._name(n) + (f"[{table}]" if table else "")
            for n, table in zip(i.inputs, i.tables, strict=False)
        ]
        outputs = ", ".join(self._declared(n) for n in i.outputs)
        if not i.ops:
            attrs = f" {i.ints}" if i.ints else ""
            return f"{outputs} = {i.kernel}({', '.join(inputs)}){attrs}"
        body = "; ".join(f"r{d} = {op}({self._refs(i, refs, inputs)})" for op, d, refs in i.ops)
        results = ", ".join(f"r{r}" for r in i.out_registers)
        return f"{outputs} = fused {{{body} -> {results}}}"

    def _refs(self, i: Instruction, refs: Sequence[int], inputs: Sequence[str]) -> str:
        names = []
        registers = 1 + max((d for _, d, _ in i.ops), default=-1)
        for ref in refs:
            if ref < len(inputs):
                names.append(inputs[ref])
            elif ref < len(inputs) + registers:
                names.append(f"r{ref - len(inputs)}")
            else:
                names.append(f"{i.floats[ref - len(inputs) - registers]:g}")
        return ", ".join(names)

    def _declared(self, number: int) -> str:
        value = self.values[number]
        view = f"@%{value.base}+{value.column}" if value.role == "view" else ""
        return f"%{number}{view}:{value.space}[{value.size}]"
