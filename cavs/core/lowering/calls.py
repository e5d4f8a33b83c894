"""Which kernel computes an operation, with which operands, tables and attributes.

A row here is for an operation whose call is more than its name and operands; the meaning of the
attributes stands with the kernels in csrc/cpu/kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cavs.core.attributes import (
    Attributes,
    AxisAttributes,
    DropoutAttributes,
    EmbeddingAttributes,
    FillAttributes,
    MaskedMatmulAttributes,
    MatmulAttributes,
    ShapeAttributes,
    UniformAttributes,
)
from cavs.core.ir import Node
from cavs.core.lowering.nodes import reads_through_index
from cavs.core.lowering.operands import Operand, Operands, id_table, index_table
from cavs.core.ops._def import Shape
from cavs.core.program import Table, TableKind


class Call(NamedTuple):
    """A kernel and what it is given.

    Attributes:
        kernel: its name.
        inputs: what it reads.
        attributes: what it is told beside.
        source: of a kernel without inputs, the table that it reads.
    """

    kernel: str
    inputs: tuple[Operand, ...] = ()
    attributes: Attributes | None = None
    source: Table | None = None


def kernel_call(operands: Operands, node: Node) -> Call:
    """The call that computes `node`, which is no part of an elementwise group."""
    make = _CALLS.get(node.op.name, _of_rows)
    return make(operands, node)


def _of_rows(operands: Operands, node: Node) -> Call:
    return Call(node.op.name, tuple(map(operands.stored, node.inputs)))


def _load(operands: Operands, node: Node) -> Call:
    return Call("load", (operands.given(node),))


def _gather(operands: Operands, node: Node) -> Call:
    return Call("take", (operands.gathered(node),))


def _take(operands: Operands, node: Node) -> Call:
    # load copies ids as well, from whatever rows
    kernel = "load" if node.dtype == "int32" else "take"
    rows = operands.stored(node.inputs[0])
    return Call(kernel, (rows._replace(table=index_table(node)),))


def _sum(operands: Operands, node: Node) -> Call:
    return Call("segment_sum", (operands.listed(node),))


def _over_children(operands: Operands, node: Node) -> Call:
    return Call(node.op.name, (operands.listed(node),))


def _segment_softmax(operands: Operands, node: Node) -> Call:
    (x,) = map(operands.stored, node.inputs)
    return Call("segment_softmax", (x._replace(table=Table(TableKind.SIBLINGS)),))


def _slots_to_edges(operands: Operands, node: Node) -> Call:
    rows = map(operands.stored, node.inputs)
    table = Table(TableKind.PARENT)
    return Call("slots_to_edges", tuple(x._replace(table=table) for x in rows))


def _matmul(operands: Operands, node: Node) -> Call:
    a, b = node.inputs
    ta, tb = node.attrs["ta"], node.attrs["tb"]
    m, n = node.shape
    k = a.shape[0] if ta else a.shape[1]
    mask = operands.mask(node)
    indexed = reads_through_index(node, masked=mask is not None)
    inputs = tuple(map(operands.read if indexed else operands.stored, (a, b)))
    if mask is None:
        return Call(node.op.name, inputs, MatmulAttributes(ta, tb, m, k, n))
    attributes = MaskedMatmulAttributes(ta, tb, m, k, n, by_id=mask.dtype == "int32")
    return Call(f"{node.op.name}_masked", (*inputs, operands.stored(mask)), attributes)


def _over_last(operands: Operands, node: Node) -> Call:
    x = node.inputs[-1]
    length = x.shape[-1]
    return _of_rows(operands, node)._replace(attributes=AxisAttributes(x.size // length, length))


def _embedding(operands: Operands, node: Node) -> Call:
    attributes = EmbeddingAttributes(*node.inputs[0].shape)
    return _of_rows(operands, node)._replace(attributes=attributes)


def _broadcast(operands: Operands, node: Node) -> Call:
    (x,) = node.inputs
    attributes = ShapeAttributes(_padded(x.shape, len(node.shape)), node.shape)
    return _of_rows(operands, node)._replace(attributes=attributes)


def _sum_to(operands: Operands, node: Node) -> Call:
    (x,) = node.inputs
    attributes = ShapeAttributes(x.shape, _padded(node.shape, len(x.shape)))
    return _of_rows(operands, node)._replace(attributes=attributes)


def _padded(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def _unique_ids(_: Operands, node: Node) -> Call:
    return Call("unique_ids", source=id_table(TableKind.UNIQUE_IDS, node))


def _num_children(_: Operands, node: Node) -> Call:
    return Call("num_children", source=Table(TableKind.CHILDREN))


def _fill(_: Operands, node: Node) -> Call:
    return Call("fill", attributes=FillAttributes(node.attrs["value"]))


def _uniform(_: Operands, node: Node) -> Call:
    return Call("uniform", attributes=UniformAttributes(node.attrs["key"]))


def _dropout(operands: Operands, node: Node) -> Call:
    """Values, and, by id, the ids that their masks are drawn by."""
    attributes = DropoutAttributes(node.attrs["key"], node.attrs["p"])
    return _of_rows(operands, node)._replace(attributes=attributes)


_CALLS: dict[str, Callable[[Operands, Node], Call]] = {
    "pull": _load,
    "push_cotangent": _load,
    "state_cotangent": _sum,
    "unique_ids": _unique_ids,
    "num_children": _num_children,
    "constant": _fill,
    "gather": _gather,
    "spread": _take,
    "graph_spread": _take,
    "expand": _take,
    "segment_sum": _sum,
    "segment_max": _over_children,
    "segment_logsumexp": _over_children,
    "segment_softmax": _segment_softmax,
    "unique_sum": _sum,
    "graph_sum": _sum,
    "slots_to_edges": _slots_to_edges,
    "matmul": _matmul,
    "matmul_reduce": _matmul,
    "row_sum": _over_last,
    "row_max": _over_last,
    "logsumexp": _over_last,
    "logsumexp_grad": _over_last,
    "one_hot_max": _over_last,
    "softmax": _over_last,
    "log_softmax": _over_last,
    "embedding": _embedding,
    "broadcast": _broadcast,
    "sum_to": _sum_to,
    "dropout": _dropout,
    "dropout_by_id": _dropout,
    "uniform": _uniform,
}
