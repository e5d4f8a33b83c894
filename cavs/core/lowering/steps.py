"""Writes the instructions of units, over places that have no numbers yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from cavs.core.attributes import AttentionAttributes, ColumnsAttributes, FillAttributes
from cavs.core.ir import Node
from cavs.core.lowering.calls import Call, gradient_call, kernel_call
from cavs.core.lowering.fuse import Unit
from cavs.core.lowering.group import group_call
from cavs.core.lowering.nodes import is_line, reads_through_index, summed_rows, sums_all_rows
from cavs.core.lowering.operands import Operand, Reader, Returned, order_table
from cavs.core.lowering.storage import Storage
from cavs.core.ops._spaces import Space, SpaceKind
from cavs.core.ops.attention_levels import GRADIENTS_OF_ATTENTION
from cavs.core.ops.attention_rows import flops_of_edge
from cavs.core.ops.shape import CONCAT, SLICE


class Step(NamedTuple):
    """An instruction over places.

    Attributes:
        call: the kernel and its arguments.
        outputs: the operands that it writes.
        space: the rows that it runs over.
        flops: per row.
        where: source line it came from.
    """

    call: Call
    outputs: tuple[Operand, ...]
    space: Space
    flops: int = 0
    where: str = ""

    def __str__(self) -> str:
        outputs = ", ".join(map(str, self.outputs))
        return f"{outputs} = {self.call.kernel}({', '.join(map(str, self.call.inputs))})"


class StepWriter:
    """Steps of one program's units; `by_level`: sums over rows to which each level adds its own."""

    def __init__(self, storage: Storage, by_level: Collection[Node]) -> None:
        self._storage = storage
        self._reader = Reader(storage)
        self._later = {x for terms in storage.sums.values() for x in terms[1:]}
        self._by_level = by_level

    def zeros(self) -> tuple[Step, ...]:
        """Fills with zeros the sums by level to which nothing was added before the levels."""
        zero = Call("fill", attributes=FillAttributes(0.0))
        firsts = [node for node in self._by_level if node not in self._later]
        return tuple(Step(zero, (self._reader.stored(x),), SpaceKind.NONE) for x in firsts)

    def steps(self, group: Sequence[Unit]) -> list[Step]:
        """The steps of a group: one fused kernel, or the steps of its single unit."""
        first, node = group[0], group[0].node
        if first.output is not None:
            return [self._store(node, first.output)]
        if node.op in GRADIENTS_OF_ATTENTION:
            return [self._gradients([unit.node for unit in group])]
        if first.fusable:
            return [self._fused([unit.node for unit in group])]
        if node.op is CONCAT:
            return self._copies_beside(node)
        if node.op is SLICE:  # of matrices, whose columns do not stand together
            (x,) = node.inputs
            return [self._copy(x, node.attrs["start"], node, 0, node.shape[-1])]
        return [self._single(node)]

    def _single(self, node: Node) -> Step:
        call, result = kernel_call(self._reader, node), self._reader.stored(node)
        if node in self._later or node in self._by_level:
            call = call._replace(inputs=(*call.inputs, result))
        driving = summed_rows(node) if sums_all_rows(node) else node.space
        return Step(call, (result,), driving, node.flops, str(node.where or ""))

    def _gradients(self, nodes: Sequence[Node]) -> Step:
        nodes = sorted(nodes, key=lambda node: GRADIENTS_OF_ATTENTION.index(node.op))
        call = gradient_call(self._reader, nodes)
        outputs = tuple(map(self._reader.stored, nodes))
        query = nodes[0].inputs[2]
        assert isinstance(call.attributes, AttentionAttributes)
        flops = flops_of_edge(call.attributes)
        return Step(call, outputs, query.space, flops, str(nodes[0].where or ""))

    def _fused(self, nodes: Sequence[Node]) -> Step:
        call, results = group_call(self._storage, self._reader, nodes)
        outputs = tuple(map(self._reader.stored, results))
        flops = sum(node.flops for node in nodes)
        return Step(call, outputs, nodes[0].space, flops, str(nodes[0].where or ""))

    def _copies_beside(self, node: Node) -> list[Step]:
        """A concatenation: parts that cannot write into it are copied."""
        copies: list[Step] = []
        column = 0
        for x in node.inputs:
            width = x.shape[-1]
            if self._storage.beside.get(x) != (node, column):
                copies.append(self._copy(x, 0, node, column, width))
            column += width
        return copies

    def _copy(self, x: Node, start: int, y: Node, column: int, size: int) -> Step:
        """Copies columns start..start+size of `x` to the columns of `y` from `column` on."""
        target = self._reader.stored(y)
        if is_line(y):
            source = self._reader.stored(x).columns(start, size)
            return Step(Call("copy", (source,)), (target.columns(column, size),), y.space)
        source = self._reader.read(x) if reads_through_index(y) else self._reader.stored(x)
        lines = y.size // y.shape[-1]
        columns = ColumnsAttributes(lines, size, start, x.shape[-1], column, y.shape[-1])
        return Step(Call("copy_columns", (source,), columns), (target,), y.space)

    def _store(self, node: Node, output: int) -> Step:
        """Copies the rows to the caller's array."""
        kernel = "copy" if node.space == SpaceKind.NONE else "store"
        source = self._reader.stored(node)._replace(table=order_table(node.space))
        return Step(
            Call(kernel, (source,)), (Operand(Returned(output, node), node.size),), node.space
        )
