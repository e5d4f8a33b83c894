"""The intermediate representation of a vertex function: immutable nodes over row spaces."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cavs.core.ops._def import OpDef, Shape, apply
from cavs.core.ops._spaces import Space, SpaceKind, Typed
from cavs.core.ops.shape import CONCAT, RESHAPE, slice_last
from cavs.core.ops.structure import CONSTANT, PARAM
from cavs.core.symbol import Symbol
from cavs.core.tracing import SourceLine, here

_numbers = itertools.count()  # of all nodes of the process: threads share a compiler's nodes


class Internal:
    """Base of the names that passes give to states, inputs and outputs of their own. They are no
    strings, so a user's name is never equal to one."""


Name: TypeAlias = Any
"""Name of a state, input or output: the user's string, or an :class:`Internal`."""


@dataclass(frozen=True)
class Reading(Internal):
    """A state as vertices of one type read it, of their children of one type or of any.

    Readings of a state have cotangents of their own: those of one type are no edges of another."""

    state: Name
    edges: Typed

    def __str__(self) -> str:
        return f"{self.state} of {self.edges}"


def reading_of(gather: Node) -> Name:
    """What the cotangents of gathered values are called: as the state, in a function without
    types."""
    state, edges = gather.attrs["name"], gather.attrs["edges"]
    return Reading(state, edges) if isinstance(edges, Typed) else state


def state_of(reading: Name) -> Name:
    """The state that is read."""
    return reading.state if isinstance(reading, Reading) else reading


def is_read(reading: Name, rows: Space) -> bool:
    """Whether any of these rows of vertices are read."""
    if not isinstance(reading, Reading) or not isinstance(rows, Typed):
        return True
    (edges,) = reading.edges.lists
    return edges.children is None or edges.children in rows.members


class Node(Symbol):
    """One value of F: an operation applied to other nodes. Compared by identity, never changed.

    Attributes:
        op: its row in the ops table.
        inputs: operand nodes.
        attrs: the operation's attributes, by name.
        shape: feature shape, of one row.
        dtype: ``float`` (float32 or float64, chosen when compiled) or ``int32``.
        space: its row space.
        where: source line in the user's vertex function, for errors.
    """

    __slots__ = ("_shape", "attrs", "dtype", "inputs", "number", "op", "space", "where")

    def __init__(
        self,
        op: OpDef,
        inputs: Sequence[Node],
        attrs: Mapping[str, Any],
        shape: Shape,
        space: Space,
        dtype: str | None = None,
        where: SourceLine | None = None,
    ) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.attrs = dict(attrs)
        self._shape = shape
        self.space = space
        self.dtype = dtype or op.dtype
        self.where = where or here.locate()
        self.number = next(_numbers)

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        return self  # never changed, so a copy of anything that holds it shares it

    @property
    def flops(self) -> int:
        """Floating-point operations per row (per row of the operands, where it sums over rows)."""
        return self.op.count_flops([x.shape for x in self.inputs], self._shape, self.attrs)

    def __repr__(self) -> str:
        name = self.attrs.get("name", "")
        named = f" {name!r}" if name else ""
        return f"<{self.op.name}{named} {self.space}{list(self._shape)}>"

    @staticmethod
    def __cavs_apply__(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Node:
        from cavs.core.making import make  # it imports this module

        return make(op, operands, attrs)

    @staticmethod
    def __cavs_count__(size: int, like: Any) -> Node:
        """The numbers 1..size, alike for all rows, of as many operations as `size` has bits."""
        numbers, count = constant(1.0, (1,)), 1
        while count < size:
            numbers, count = apply(CONCAT, numbers, numbers + float(count)), 2 * count
        return slice_last(numbers, 0, size)


def constant(value: float, shape: Shape = ()) -> Node:
    """A number, the same for every row and element."""
    return Node(CONSTANT, (), {"value": float(value)}, shape, SpaceKind.NONE)


def constant_value(node: Node) -> float | None:
    """The number that all elements of `node` have, if it is a constant."""
    return float(node.attrs["value"]) if node.op is CONSTANT else None


def param(parameter: Any) -> Node:
    """A parameter of the model, as an operand without rows."""
    shape = tuple(int(n) for n in parameter.shape)
    dtype = "int32" if parameter.dtype == "int32" else None
    return Node(PARAM, (), {"parameter": parameter}, shape, SpaceKind.NONE, dtype)


def source(op: OpDef, /, shape: Shape, space: Space, dtype: str = "float", **attrs: Any) -> Node:
    """A node without operands."""
    return Node(op, (), attrs, shape, space, dtype)


def ancestors(roots: Iterable[Node]) -> list[Node]:
    """All nodes that `roots` depend on, and the roots, operands first. No recursion."""
    order: list[Node] = []
    state: dict[Node, bool] = {}
    stack = list(reversed(list(roots)))
    while stack:
        node = stack[-1]
        if node in state:
            stack.pop()
            if not state[node]:
                state[node] = True
                order.append(node)
            continue
        state[node] = False
        stack.extend(x for x in reversed(node.inputs) if x not in state)
    return order


def rebuild(node: Node, inputs: Sequence[Node]) -> Node:
    """`node` with other operands of the same shapes and rows; itself where nothing changed."""
    if all(a is b for a, b in zip(node.inputs, inputs, strict=True)):
        return node
    return Node(node.op, inputs, node.attrs, node.shape, node.space, node.dtype, node.where)


def without_reshapes(node: Node) -> Node:
    """The node below all reshapes of `node`: a reshape changes nothing in memory."""
    while node.op is RESHAPE:
        node = node.inputs[0]
    return node


@dataclass(frozen=True)
class FunctionIR:
    """F or its gradient: the nodes of its results.

    Attributes:
        scatters: by state name, the node that a vertex scatters to its parents.
        pushes: the node of each output, by name.
        updates: by buffer, the node of the value that it takes after a call in training mode.
    """

    scatters: dict[Name, Node] = field(default_factory=dict)
    pushes: dict[Name, Node] = field(default_factory=dict)
    updates: dict[Any, Node] = field(default_factory=dict)

    def roots(self) -> list[Node]:
        """Every node that the function gives."""
        return [*self.scatters.values(), *self.pushes.values(), *self.updates.values()]

    def map(self, replace: Mapping[Node, Node]) -> FunctionIR:
        """The same function with its results replaced."""
        return FunctionIR(
            {k: replace.get(v, v) for k, v in self.scatters.items()},
            {k: replace.get(v, v) for k, v in self.pushes.items()},
            {k: replace.get(v, v) for k, v in self.updates.items()},
        )
