"""Which kernel computes an operation, with which operands, tables and attributes.

The table of this module has an entry for each operation between rows, whose tables depend on the
stored values, and for products. Any other operation calls the kernel of its own name, with the
attributes that its row of the ops table gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from cavs.core.attributes import (
    Attributes,
    MaskedMatmulAttributes,
    MatmulAttributes,
    ShapeAttributes,
)
from cavs.core.ir import Node
from cavs.core.lowering.nodes import reads_through_index
from cavs.core.lowering.operands import Operand, Reader, id_table, index_table, of_type
from cavs.core.ops._def import OpDef, SpaceKind
from cavs.core.ops.attention_rows import ATTENTION, ATTENTION_GRADIENTS
from cavs.core.ops.matmul import MATMUL, MATMUL_REDUCE
from cavs.core.ops.structure import (
    CHILD_COLUMNS,
    CHILD_COLUMNS_GRAD,
    CONSTANT,
    EXPAND,
    GATHER,
    GRAPH_MAX,
    GRAPH_SPREAD,
    GRAPH_SUM,
    NUM_CHILDREN,
    PULL,
    PUSH_COTANGENT,
    SEGMENT_LOG_SOFTMAX,
    SEGMENT_LOGSUMEXP,
    SEGMENT_MAX,
    SEGMENT_SOFTMAX,
    SEGMENT_SUM,
    SLOTS_TO_EDGES,
    SPREAD,
    STATE_COTANGENT,
    UNIQUE_IDS,
    UNIQUE_SUM,
)
from cavs.core.program import NO_TABLE, Table, TableKind


class Call(NamedTuple):
    """A kernel and its arguments.

    Attributes:
        kernel: its name.
        inputs: its operands.
        attributes: its attributes, if it has any.
        source: the table that a kernel without inputs reads.
    """

    kernel: str
    inputs: tuple[Operand, ...] = ()
    attributes: Attributes | None = None
    source: Table | None = None


def kernel_call(reader: Reader, node: Node) -> Call:
    """The call that computes `node`, which belongs to no elementwise group."""
    make = _CALLS.get(node.op, _of_rows)
    return make(reader, node)


def _of_rows(reader: Reader, node: Node) -> Call:
    return Call(node.op.name, tuple(map(reader.stored, node.inputs)), _attributes(node))


def _attributes(node: Node) -> Attributes | None:
    rule = node.op.attributes
    return None if rule is None else rule([x.shape for x in node.inputs], node.shape, node.attrs)


def _load(reader: Reader, node: Node) -> Call:
    return Call("copy" if node.space == SpaceKind.NONE else "load", (reader.given(node),))


def _take(reader: Reader, node: Node) -> Call:
    # load copies ids as well, from any rows
    kernel = "load" if node.dtype == "int32" else "take"
    rows = reader.stored(node.inputs[0])
    return Call(kernel, (rows._replace(table=index_table(node)),))


def _sum(reader: Reader, node: Node) -> Call:
    return Call("segment_sum", (reader.listed(node),))


def _over_children(reader: Reader, node: Node) -> Call:
    return Call(node.op.name, (reader.listed(node),))


def _over_siblings(reader: Reader, node: Node) -> Call:
    (x,) = map(reader.stored, node.inputs)
    table = Table(TableKind.SIBLINGS, of=of_type(node.space))
    return Call(node.op.name, (x._replace(table=table),))


def _slots_to_edges(reader: Reader, node: Node) -> Call:
    rows = map(reader.stored, node.inputs)
    table = Table(TableKind.PARENT, of=of_type(node.space))
    return Call(node.op.name, tuple(x._replace(table=table) for x in rows))


def _child_columns(reader: Reader, node: Node) -> Call:
    (x,) = map(reader.stored, node.inputs)
    return Call(node.op.name, (x._replace(table=Table(TableKind.PARENT, of=of_type(node.space))),))


def _attention(reader: Reader, node: Node) -> Call:
    return Call(node.op.name, _attention_operands(reader, node), _attributes(node))


def gradient_call(reader: Reader, nodes: Sequence[Node]) -> Call:
    """The call that computes gradients of one attention, in the order of its outputs."""
    told = _attributes(nodes[0])
    assert isinstance(told, ShapeAttributes)
    wanted = tuple(int(any(x.op is op for x in nodes)) for op in ATTENTION_GRADIENTS)
    return Call(
        "attention_grad", _attention_operands(reader, nodes[0]), replace(told, target=wanted)
    )


def _attention_operands(reader: Reader, node: Node) -> tuple[Operand, ...]:
    """Keys and values at the rows of children, a bias at the edges to them."""
    first = 0 if node.op is ATTENTION else 2
    edges = of_type(node.attrs["edges"])
    children, own = Table(TableKind.CHILD_ROWS, of=edges), Table(TableKind.CHILDREN, of=edges)
    tables = dict.fromkeys((first + 1, first + 2), children)
    if node.attrs["bias"]:
        tables[len(node.inputs) - 1] = own
    found = map(reader.stored, node.inputs)
    return tuple(x._replace(table=tables.get(i, NO_TABLE)) for i, x in enumerate(found))


def _num_children(reader: Reader, node: Node) -> Call:
    return Call(node.op.name, source=Table(TableKind.CHILDREN, of=of_type(node.attrs["edges"])))


def _matmul(reader: Reader, node: Node) -> Call:
    mask = reader.mask(node)
    indexed = reads_through_index(node, masked=mask is not None)
    inputs = tuple(map(reader.read if indexed else reader.stored, node.inputs))
    if mask is None:
        return Call(node.op.name, inputs, _attributes(node))
    product = _attributes(node)
    assert isinstance(product, MatmulAttributes)
    attributes = MaskedMatmulAttributes(**vars(product), by_id=mask.dtype == "int32")
    return Call(f"{node.op.name}_masked", (*inputs, reader.stored(mask)), attributes)


_CALLS: dict[OpDef, Callable[[Reader, Node], Call]] = {
    PULL: _load,
    PUSH_COTANGENT: _load,
    STATE_COTANGENT: _sum,
    UNIQUE_IDS: lambda _, x: Call(x.op.name, source=id_table(TableKind.UNIQUE_IDS, x)),
    NUM_CHILDREN: _num_children,
    CONSTANT: lambda _, x: Call("fill", attributes=_attributes(x)),
    GATHER: lambda reader, x: Call("take", (reader.gathered(x),)),
    SPREAD: _take,
    GRAPH_SPREAD: _take,
    EXPAND: _take,
    SEGMENT_SUM: _sum,
    SEGMENT_MAX: _over_children,
    SEGMENT_LOGSUMEXP: _over_children,
    SEGMENT_SOFTMAX: _over_siblings,
    SEGMENT_LOG_SOFTMAX: _over_siblings,
    UNIQUE_SUM: _sum,
    GRAPH_SUM: _sum,
    GRAPH_MAX: lambda reader, x: Call("segment_max", (reader.listed(x),)),
    SLOTS_TO_EDGES: _slots_to_edges,
    ATTENTION: _attention,
    CHILD_COLUMNS: _child_columns,
    CHILD_COLUMNS_GRAD: _over_children,
    MATMUL: _matmul,
    MATMUL_REDUCE: _matmul,
}
