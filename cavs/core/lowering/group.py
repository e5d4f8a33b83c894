"""Writes one elementwise group: the call of ``fused``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cavs.core.attributes import Group, GroupInput, Read, ScalarCall
from cavs.core.ir import Node
from cavs.core.lowering.calls import Call
from cavs.core.lowering.operands import Operand, Reader
from cavs.core.lowering.storage import Storage
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.shape import BROADCAST, RESHAPE, SLICE
from cavs.core.ops.structure import CONSTANT
from cavs.core.program import LISTS, TableKind

_MOVES = (BROADCAST, SLICE, RESHAPE)


class _Refs(NamedTuple):
    """The operands that the operations of a group read, each once."""

    inputs: dict[Operand, int]
    constants: dict[float, int]
    calls: dict[Node, int]


def group_call(storage: Storage, reader: Reader, nodes: Sequence[Node]) -> tuple[Call, list[Node]]:
    """The call that computes `nodes`, operands before users, and the nodes that others read."""
    refs = _Refs({}, {}, {})
    found = []
    for node in nodes:
        found.append([_ref(storage, reader, refs, x) for x in node.inputs])
        refs.calls[node] = len(refs.calls)
    members = set(nodes)
    results = [
        node
        for node in nodes
        if node in storage.wanted or any(u not in members for u in storage.users[node])
    ]
    inputs, constants, width = tuple(refs.inputs), tuple(refs.constants), nodes[0].size
    first = {"inputs": 0, "constants": len(inputs), "calls": len(inputs) + len(constants)}
    group = Group(
        width,
        tuple(_input(operand, width) for operand in inputs),
        constants,
        tuple(
            ScalarCall(node.op.name, tuple(first[kind] + number for kind, number in operands))
            for node, operands in zip(nodes, found, strict=True)
        ),
        tuple(first["calls"] + refs.calls[node] for node in results),
    )
    return Call("fused", inputs, group), results


def _ref(storage: Storage, reader: Reader, refs: _Refs, x: Node) -> tuple[str, int]:
    """An operand as the group names it: its kind and its number of that kind."""
    if x in refs.calls:
        return "calls", refs.calls[x]
    source = x
    while source.op in _MOVES and not storage.is_unit(source):
        source = source.inputs[0]
    if source.op is CONSTANT and not storage.is_unit(source):
        value = float(source.attrs["value"])
        return "constants", refs.constants.setdefault(value, len(refs.constants))
    return "inputs", refs.inputs.setdefault(reader.read(x), len(refs.inputs))


def _input(operand: Operand, width: int) -> GroupInput:
    narrow = operand.size < width
    kind = operand.table.kind
    if kind is not TableKind.NONE:
        return GroupInput(Read.LIST_SUM if kind in LISTS else Read.INDEXED, narrow)
    place = operand.place
    shared = isinstance(place, Node) and place.space == SpaceKind.NONE
    return GroupInput(Read.SHARED if shared else Read.ROW, narrow)
