"""Writes one elementwise group: the instruction ``fused``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cavs.core.attributes import Group, GroupInput, Read, ScalarCall
from cavs.core.ir import Node
from cavs.core.ops._def import SpaceKind
from cavs.core.program import LISTS, NO_TABLE, Instruction, Table

if TYPE_CHECKING:
    from cavs.core.lowering.emit import Emitter


class GroupWriter:
    """One elementwise group, operation by operation."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self.inputs: list[tuple[int, Table]] = []
        self.constants: list[float] = []
        self.calls: list[tuple[Node, list[tuple[str, int]]]] = []
        self.index: dict[Node, int] = {}

    def add(self, node: Node) -> None:
        """Appends an operation; its operands are stored, constants, or in the group."""
        refs = [self._ref(x) for x in node.inputs]
        self.index[node] = len(self.calls)
        self.calls.append((node, refs))

    def _ref(self, x: Node) -> tuple[str, int]:
        if x in self.index:
            return "call", self.index[x]
        source = x
        moves = ("broadcast", "slice", "reshape")
        while source.op.name in moves and not self.emitter.analysis.is_unit(source):
            source = source.inputs[0]
        if source.op.name == "constant" and not self.emitter.analysis.is_unit(source):
            value = float(source.attrs["value"])
            if value not in self.constants:
                self.constants.append(value)
            return "constant", self.constants.index(value)
        operand = self.emitter.operand(x)
        if operand not in self.inputs:
            self.inputs.append(operand)
        return "input", self.inputs.index(operand)

    def instruction(self, members: set[Node]) -> Instruction:
        """The whole group; what others than its members read are its results."""
        emitter = self.emitter
        results = [
            i
            for i, (node, _) in enumerate(self.calls)
            if node in emitter.analysis.wanted
            or any(u not in members for u in emitter.users.get(node, []))
        ]
        some = self.calls[0][0]
        first = {"input": 0, "constant": len(self.inputs)}
        first["call"] = first["constant"] + len(self.constants)
        group = Group(
            some.size,
            tuple(self._input(value, table, some.size) for value, table in self.inputs),
            tuple(self.constants),
            tuple(
                ScalarCall(node.op.name, tuple(first[kind] + n for kind, n in refs))
                for node, refs in self.calls
            ),
            tuple(first["call"] + i for i in results),
        )
        return Instruction(
            "fused",
            tuple(value for value, _ in self.inputs),
            tuple(emitter.value(self.calls[i][0]) for i in results),
            tuple(table for _, table in self.inputs),
            group,
            some.space,
            sum(node.flops for node, _ in self.calls),
            str(some.where or ""),
        )

    def _input(self, number: int, table: Table, width: int) -> GroupInput:
        value = self.emitter.values[number]
        narrow = value.size < width
        if table == NO_TABLE:
            return GroupInput(Read.SHARED if value.space == SpaceKind.NONE else Read.ROW, narrow)
        return GroupInput(Read.LIST_SUM if table.kind in LISTS else Read.INDEXED, narrow)
