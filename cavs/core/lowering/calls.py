"""Which kernel computes an operation, with which operands, tables and attributes.

A row here is for an operation whose call is more than its name and operands; the meaning of the
attributes stands with the kernels in csrc/cpu/kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

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
from cavs.core.ops._def import Shape, Space, SpaceKind, Unique
from cavs.core.program import NO_TABLE, Table, TableKind

if TYPE_CHECKING:
    from cavs.core.lowering.emit import Emitter

_ORDERS: dict[Space, TableKind] = {
    SpaceKind.VERTEX: TableKind.VERTEX_ORDER,
    SpaceKind.LEAF: TableKind.VERTEX_ORDER,
    SpaceKind.INNER: TableKind.VERTEX_ORDER,
    SpaceKind.EDGE: TableKind.EDGE_ORDER,
}


def order_table(space: Space) -> Table:
    """The table from rows to those of the caller."""
    return Table(_ORDERS.get(space, TableKind.NONE))


class Call(NamedTuple):
    """A kernel and what it is given; fields as of :class:`cavs.core.program.Instruction`."""

    kernel: str
    inputs: list[int]
    tables: tuple[Table, ...] = ()
    attributes: Attributes | None = None


def kernel_call(emitter: Emitter, node: Node) -> Call:
    """The call that computes `node`, which is no part of an elementwise group."""
    make = _CALLS.get(node.op.name)
    if make is not None:
        return make(emitter, node)
    return Call(node.op.name, [emitter.value(x) for x in node.inputs])


def gather_table(node: Node) -> Table:
    """Table from the rows of a gather to those of the children."""
    slot = node.attrs["slot"]
    return Table(TableKind.CHILD) if slot is None else Table(TableKind.SLOT, slot)


def distinct_tables(node: Node) -> list[tuple[Unique, Space]]:
    """Distinct ids and the rows that have them, between which the node's kernel needs tables."""
    if node.op.name in ("expand", "unique_sum"):
        return [(node.attrs["rows"], node.attrs["base"])]
    if node.op.name != "unique_ids":
        return []
    assert isinstance(node.space, Unique)
    ids = Unique((node.attrs["name"],), node.space.base)
    return [(ids, ids.base if node.space == ids else node.space)]


def expand_table(node: Node) -> Table:
    """Table from the rows of an expand to the distinct ones."""
    return _of_ids(TableKind.UNIQUE, node)


def _of_ids(kind: TableKind, node: Node) -> Table:
    """Table between the rows of an expand or a sum by ids."""
    ((rows, base),) = distinct_tables(node)
    return Table(kind, rows=rows, base=_tuples(base))


def _tuples(base: Space) -> Unique | None:
    return base if isinstance(base, Unique) else None


def _load(emitter: Emitter, node: Node) -> Call:
    return Call("load", [emitter.load(node)], (order_table(node.space),))


def _gather(emitter: Emitter, node: Node) -> Call:
    state = emitter.state(node.attrs["name"], forward=True)
    return Call("take", [state], (gather_table(node),))


def _take(emitter: Emitter, node: Node) -> Call:
    kinds = {"spread": TableKind.PARENT, "graph_spread": TableKind.GRAPH}
    kind = kinds.get(node.op.name)
    table = expand_table(node) if kind is None else Table(kind)
    # load copies ids as well, from whatever rows
    kernel = "load" if node.dtype == "int32" else "take"
    return Call(kernel, [emitter.value(node.inputs[0])], (table,))


# Lists of the parents of a vertex, to those of the parents of all leaves with one id.
_OF_EQUAL_IDS = {
    TableKind.PARENTS: TableKind.UNIQUE_PARENTS,
    TableKind.PARENT_ROWS: TableKind.UNIQUE_PARENT_ROWS,
}


def segment_rows(emitter: Emitter, node: Node) -> tuple[int, Table]:
    """(value, table of row lists) of what `node` reduces."""
    if node.op.name == "state_cotangent":
        return emitter.cotangents(node)
    (x,) = node.inputs
    if node.op.name == "graph_sum":
        return emitter.value(x), Table(TableKind.GRAPH_VERTICES)
    by_id = node.op.name == "unique_sum"
    if by_id and x.op.name == "state_cotangent" and not emitter.analysis.is_unit(x):
        value, table = emitter.cotangents(x)
        return value, _of_ids(_OF_EQUAL_IDS[table.kind], node)
    if by_id:
        return emitter.value(x), _of_ids(TableKind.UNIQUE_ROWS, node)
    if x.op.name == "gather" and x.attrs["slot"] is None:
        return emitter.state(x.attrs["name"], forward=True), Table(TableKind.CHILD_ROWS)
    return emitter.value(x), Table(TableKind.CHILDREN)


def _segments(emitter: Emitter, node: Node) -> Call:
    value, table = segment_rows(emitter, node)
    kernels = ("segment_max", "segment_logsumexp")
    return Call(node.op.name if node.op.name in kernels else "segment_sum", [value], (table,))


def _segment_softmax(emitter: Emitter, node: Node) -> Call:
    return Call("segment_softmax", [emitter.value(node.inputs[0])], (Table(TableKind.SIBLINGS),))


def _slots_to_edges(emitter: Emitter, node: Node) -> Call:
    inputs = [emitter.value(x) for x in node.inputs]
    return Call("slots_to_edges", inputs, (Table(TableKind.PARENT),) * len(inputs))


def is_line(node: Node) -> bool:
    """Whether columns of the node's last axis stand together: there is one line of them a row."""
    return node.size == node.shape[-1]


WIDEST = 4096
"""Elements of the longest rows that kernels bring together."""


def reads_through_index(node: Node, masked: bool = False) -> bool:
    """Whether the kernel finds the rows of its operands through tables: where it takes them one by
    one, as products of a matrix per row do, or brings together those that a mask leaves."""
    if node.op.name == "concat":
        return not is_line(node)
    if node.op.name not in ("matmul", "matmul_reduce"):
        return False
    a, b = node.inputs
    shared = SpaceKind.NONE in (a.space, b.space)
    if node.op.name == "matmul_reduce":
        lines = a.shape[0 if node.attrs["ta"] else 1] == 1 and not shared
        return masked and lines and max(node.shape) <= WIDEST
    if node.shape[0] == 1 and b.space == SpaceKind.NONE:
        return masked and max(a.size, node.size) <= WIDEST
    return not (node.shape[1] == 1 and a.space == SpaceKind.NONE)


def _matmul(emitter: Emitter, node: Node) -> Call:
    a, b = node.inputs
    ta, tb = node.attrs["ta"], node.attrs["tb"]
    m, n = node.shape
    k = a.shape[0] if ta else a.shape[1]
    attributes = MatmulAttributes(ta, tb, m, k, n)
    mask = emitter.analysis.masks.get(node)
    indexed = reads_through_index(node, masked=mask is not None)
    operands = [emitter.operand(x) if indexed else (emitter.value(x), NO_TABLE) for x in (a, b)]
    kernel = node.op.name
    if mask is not None:
        kernel = f"{kernel}_masked"
        operands.append((emitter.value(mask), NO_TABLE))
        attributes = MaskedMatmulAttributes(ta, tb, m, k, n, by_id=mask.dtype == "int32")
    return Call(kernel, [v for v, _ in operands], tuple(t for _, t in operands), attributes)


def _over_last(emitter: Emitter, node: Node) -> Call:
    x = node.inputs[-1]
    length = x.shape[-1]
    inputs = [emitter.value(operand) for operand in node.inputs]
    return Call(node.op.name, inputs, attributes=AxisAttributes(x.size // length, length))


def _embedding(emitter: Emitter, node: Node) -> Call:
    weight, ids = node.inputs
    count, width = weight.shape
    operands = [emitter.value(weight), emitter.value(ids)]
    return Call("embedding", operands, attributes=EmbeddingAttributes(count, width))


def _broadcast(emitter: Emitter, node: Node) -> Call:
    (x,) = node.inputs
    attributes = ShapeAttributes(_padded(x.shape, len(node.shape)), node.shape)
    return Call("broadcast", [emitter.value(x)], attributes=attributes)


def _sum_to(emitter: Emitter, node: Node) -> Call:
    (x,) = node.inputs
    attributes = ShapeAttributes(x.shape, _padded(node.shape, len(x.shape)))
    return Call("sum_to", [emitter.value(x)], attributes=attributes)


def _padded(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def _unique_ids(_: Emitter, node: Node) -> Call:
    ((rows, base),) = distinct_tables(node)
    table = Table(TableKind.UNIQUE_IDS, rows=rows, base=_tuples(base))
    return Call("unique_ids", [], (table,))


def _num_children(_: Emitter, node: Node) -> Call:
    return Call("num_children", [], (Table(TableKind.CHILDREN),))


def _fill(_: Emitter, node: Node) -> Call:
    return Call("fill", [], attributes=FillAttributes(node.attrs["value"]))


def _uniform(_: Emitter, node: Node) -> Call:
    return Call("uniform", [], attributes=UniformAttributes(node.attrs["key"]))


def _dropout(emitter: Emitter, node: Node) -> Call:
    """Values, and, by id, the ids that their masks are drawn by."""
    inputs = [emitter.value(x) for x in node.inputs]
    attributes = DropoutAttributes(node.attrs["key"], node.attrs["p"])
    return Call(node.op.name, inputs, attributes=attributes)


_CALLS: dict[str, Callable[[Emitter, Node], Call]] = {
    "pull": _load,
    "push_cotangent": _load,
    "state_cotangent": _segments,
    "unique_ids": _unique_ids,
    "num_children": _num_children,
    "constant": _fill,
    "gather": _gather,
    "spread": _take,
    "graph_spread": _take,
    "expand": _take,
    "segment_sum": _segments,
    "segment_max": _segments,
    "segment_logsumexp": _segments,
    "segment_softmax": _segment_softmax,
    "unique_sum": _segments,
    "graph_sum": _segments,
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
