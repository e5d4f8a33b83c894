"""Writes one elementwise group as a small register program: the instruction ``fused``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cavs.core.ir import Node
from cavs.core.program import Instruction, TableName

if TYPE_CHECKING:
    from cavs.core.lowering.emit import Emitter


class Group:
    """One elementwise group as a small register program."""

    def __init__(self, emitter: Emitter) -> None:
        self.emitter = emitter
        self.inputs: list[tuple[int, TableName]] = []
        self.constants: list[float] = []
        self.ops: list[tuple[Node, list[tuple[str, int]]]] = []
        self.index: dict[Node, int] = {}

    def add(self, node: Node) -> None:
        """Appends an operation; its operands are stored, constants, or in the group."""
        refs = [self._ref(x) for x in node.inputs]
        self.index[node] = len(self.ops)
        self.ops.append((node, refs))

    def _ref(self, x: Node) -> tuple[str, int]:
        if x in self.index:
            return "op", self.index[x]
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
        """Registers are reused after the last reader; results keep theirs to the end."""
        emitter = self.emitter
        last: dict[int, int] = {}
        for i, (_, refs) in enumerate(self.ops):
            for kind, n in refs:
                if kind == "op":
                    last[n] = i
        results = [
            i
            for i, (node, _) in enumerate(self.ops)
            if node in emitter.analysis.wanted
            or any(u not in members for u in emitter.users.get(node, []))
        ]
        register, count = self._registers(last, set(results))
        first = len(self.inputs)

        def encode(kind: str, n: int) -> int:
            if kind == "input":
                return n
            return first + register[n] if kind == "op" else first + count + n

        ops = [
            (node.op.name, register[i], tuple(encode(kind, n) for kind, n in refs))
            for i, (node, refs) in enumerate(self.ops)
        ]
        some = self.ops[0][0]
        return Instruction(
            "fused",
            [value for value, _ in self.inputs],
            [emitter.value(self.ops[i][0]) for i in results],
            [table for _, table in self.inputs],
            floats=list(self.constants),
            space=some.space,
            flops=sum(node.flops for node, _ in self.ops),
            ops=ops,
            out_registers=[register[i] for i in results],
            width=some.size,
            where=str(some.where or ""),
        )

    def _registers(self, last: dict[int, int], results: set[int]) -> tuple[list[int], int]:
        register: list[int] = []
        free: list[int] = []
        count = 0
        for i, (_, refs) in enumerate(self.ops):
            dying = {n for kind, n in refs if kind == "op" and last[n] == i and n not in results}
            free.extend(sorted((register[n] for n in dying), reverse=True))
            if free:
                register.append(free.pop())
            else:
                register.append(count)
                count += 1
        return register, count
