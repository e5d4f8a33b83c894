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
    AttentionAttributes,
    Attributes,
    MaskedMatmulAttributes,
    MatmulAttributes,
)
from cavs.core.ir import Node
from cavs.core.lowering.nodes import reads_through_index
from cavs.core.lowering.operands import Operand, Reader, id_table, index_table, of_type
from cavs.core.ops._def import OpDef
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.attention_levels import (
    KEYS,
    LEVEL_ATTENTION,
    LEVEL_ATTENTION_BIAS,
    LEVEL_ATTENTION_CHILDREN,
    LEVEL_ATTENTION_QUERY,
    LEVEL_ATTENTIONS,
    VALUES,
)
from cavs.core.ops.attention_rows import (
    ATTENTION,
    ATTENTION_GRAD_BIAS,
    ATTENTION_GRAD_CHILDREN,
    ATTENTION_GRAD_QUERY,
)
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
    position = -1 if node.attrs["from_last"] else None
    table = Table(TableKind.PARENT, position, of=of_type(node.space))
    return Call(node.op.name, tuple(x._replace(table=table) for x in rows))


def _child_columns(reader: Reader, node: Node) -> Call:
    (x,) = map(reader.stored, node.inputs)
    return Call(node.op.name, (x._replace(table=Table(TableKind.PARENT, of=of_type(node.space))),))


def _attention(reader: Reader, node: Node) -> Call:
    return Call(node.op.name, _attention_operands(reader, node), _attributes(node))


def gradient_call(reader: Reader, nodes: Sequence[Node]) -> Call:
    """The call that computes gradients of one attention, in the order of its outputs."""
    first, wanted = nodes[0], {node.op for node in nodes}
    told = _attributes(first)
    assert isinstance(told, AttentionAttributes)
    in_levels = first.op in LEVEL_ATTENTIONS
    told = replace(
        told,
        query=not wanted.isdisjoint((ATTENTION_GRAD_QUERY, LEVEL_ATTENTION_QUERY)),
        children=ATTENTION_GRAD_CHILDREN in wanted,
        bias=not wanted.isdisjoint((ATTENTION_GRAD_BIAS, LEVEL_ATTENTION_BIAS)),
    )
    if in_levels:
        return Call("level_attention_grad", _level_operands(reader, first), told)
    return Call("attention_grad", _attention_operands(reader, first), told)


def _level_attention(reader: Reader, node: Node) -> Call:
    return Call(node.op.name, _level_operands(reader, node), _attributes(node))


def _level_operands(reader: Reader, node: Node) -> tuple[Operand, ...]:
    """Keys and values where children scattered them, a bias at the edges to them. A child finds
    what is of its parents through their lists, and of itself no more than its key and value."""
    attrs, edges = node.attrs, of_type(node.attrs["edges"])
    by_children = node.op is LEVEL_ATTENTION_CHILDREN
    kinds = (
        (TableKind.PARENT_ROWS, TableKind.NONE, TableKind.PARENTS)
        if by_children
        else (TableKind.NONE, TableKind.CHILD_ROWS, TableKind.CHILDREN)
    )
    vertices, children, own = (
        NO_TABLE if kind is TableKind.NONE else Table(kind, of=edges) for kind in kinds
    )
    found = [reader.held(attrs["reading"])._replace(table=vertices)] if by_children else []
    first = {LEVEL_ATTENTION: 0, LEVEL_ATTENTION_CHILDREN: 1}.get(node.op, 2)  # queries
    for i, x in enumerate(node.inputs):
        if i == first + KEYS:
            of_state = reader.state(x).columns(attrs["k_start"], attrs["heads"] * attrs["size"])
        elif i == first + VALUES:
            of_state = reader.state(x).columns(attrs["v_start"], attrs["heads"] * attrs["values"])
        else:
            table = own if attrs["bias"] and i == len(node.inputs) - 1 else vertices
            found.append(reader.stored(x)._replace(table=table))
            continue
        found.append(of_state._replace(table=children))
    return tuple(found)


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
    LEVEL_ATTENTION: _level_attention,
    LEVEL_ATTENTION_CHILDREN: _level_attention,
    CHILD_COLUMNS: _child_columns,
    CHILD_COLUMNS_GRAD: _over_children,
    MATMUL: _matmul,
    MATMUL_REDUCE: _matmul,
}
