"""F and its derivative in a direction, in one function: forward mode.

With each value that depends on what learns the function computes its *tangent*, the derivative by
a step of the inputs and parameters in a given direction; states have tangents that go up with them.
Differentiated in reverse, as any function, it gives products of the second derivatives with the
direction (Pearlmutter, "Fast exact multiplication by the Hessian", 1994).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from cavs.core import ir
from cavs.core.ir import FunctionIR, Internal, Name, Node, ancestors, rebuild
from cavs.core.making import on_rows_of
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.elementwise import IDENTITY
from cavs.core.ops.loss import EMBEDDING
from cavs.core.ops.mode import BY_MODE
from cavs.core.ops.structure import GATHER, JOIN, PARAM, PULL, PUSH_COTANGENT
from cavs.core.partial import partial
from cavs.core.trace import Trace, select_outputs
from cavs.core.traced_vertex import InputSpec
from cavs.core.tracing import located_at
from cavs.errors import TraceError


@dataclass(frozen=True)
class Tangent(Internal):
    """The tangent of a state, an input or an output, by name, or of a parameter, by number;
    of rows of one, by both.

    Attributes:
        order: how many directions there are by then: a function of tangents has tangents itself.
    """

    of: Name
    order: int

    def __str__(self) -> str:
        return f"tangent {self.order} of {self.of}"


@dataclass(frozen=True)
class Before(Internal):
    """The values of a buffer before a call that writes to it.

    Attributes:
        number: the buffer's among the parameters.
    """

    number: int

    def __str__(self) -> str:
        return f"buffer {self.number}"


class WithTangents(NamedTuple):
    """A function of tangents.

    Attributes:
        trace: the function. Its inputs are those of F and tangents, its outputs tangents; no call
            of it writes to a buffer, and random operations keep their numbers.
        outputs: the tangents of F's outputs, by their names.
        inputs: the inputs that are tangents of inputs, by their names.
        params: the inputs that are tangents of parameters, by their numbers; they have no rows.
        rows: the inputs that are rows of the tangent of a parameter, by its number and the input of
            the ids that look them up.
        buffers: the inputs in the place of buffers that calls write, by their numbers.
    """

    trace: Trace
    outputs: dict[Name, Tangent]
    inputs: dict[Name, Tangent]
    params: dict[int, Tangent]
    rows: dict[tuple[int, Name], Tangent]
    buffers: dict[int, Before]


def with_tangents(
    traced: Trace,
    outputs: Collection[Name],
    inputs: Collection[Name],
    params: Mapping[int, int],
    written: Mapping[int, int],
    by_rows: bool,
) -> WithTangents:
    """The function of the tangents of F's outputs.

    Args:
        traced: F.
        outputs: names of outputs, of which one or more depend on what has a tangent.
        inputs: names of the float inputs that have a tangent.
        params: by the identities of the parameters that have one, their numbers.
        written: by the identities of the buffers that calls write, their numbers.
        by_rows: whether the tangent of a table is given by the rows that are looked up, so that it
            can get a gradient; else it is looked up as the table, for distinct ids and no others.

    Raises:
        TraceError: an operation on the way has no derivative; it names the line.
    """
    made = _Tangents(traced, inputs, params, written, by_rows)
    of_outputs = {k: made.name(k) for k in outputs if traced.function.pushes[k] in made.of}
    pushes = {name: made.of[traced.function.pushes[k]] for k, name in of_outputs.items()}
    states = {made.name(k): made.of[x] for k, x in made.scatters.items() if x in made.of}
    function = FunctionIR({**made.states, **states}, pushes)
    whole = replace(traced, function=function, inputs={**traced.inputs, **made.specs})
    found = select_outputs(whole, pushes)
    of_inputs, of_params = (
        {k: made.name(k) for k in names if made.name(k) in found.inputs}
        for names in (inputs, params.values())
    )
    buffers = {i: Before(i) for i in written.values() if Before(i) in found.inputs}
    return WithTangents(found, of_outputs, of_inputs, of_params, made.rows, buffers)


class _Tangents:
    """The values of a function without writes to buffers, and their tangents.

    Attributes:
        of: the tangent of each value of F that has one.
        scatters: the states of F.
        states: the same without writes to buffers.
        specs: the inputs that are tangents.
        rows: see :class:`WithTangents`.
    """

    def __init__(
        self,
        traced: Trace,
        inputs: Collection[Name],
        params: Mapping[int, int],
        written: Mapping[int, int],
        by_rows: bool,
    ) -> None:
        self._traced, self._inputs, self._params = traced, inputs, params
        self._written, self._by_rows = written, by_rows
        self._order = ancestors(traced.function.roots())
        names = (*traced.inputs, *traced.function.pushes)
        known = (name.order for name in names if isinstance(name, Tangent))
        self._depth = 1 + max(known, default=0)
        self.scatters = traced.function.scatters
        self._live = set(self.scatters)  # the states that may have a tangent
        while True:
            self._walk()
            found = {name for name, node in self.scatters.items() if node in self.of}
            if found == self._live:
                break
            self._live = found
        self.states = {name: self._new[node] for name, node in self.scatters.items()}

    def name(self, of: Name) -> Tangent:
        """What the tangent of this is called."""
        return Tangent(of, self._depth)

    def _walk(self) -> None:
        self.of: dict[Node, Node] = {}
        self.specs: dict[Name, InputSpec] = {}
        self.rows: dict[tuple[int, Name], Tangent] = {}
        self._new: dict[Node, Node] = {}
        for node in self._order:
            operands = [self._new[x] for x in node.inputs]
            if node.op is PARAM and id(node.attrs["parameter"]) in self._written:
                self._new[node] = self._before(node)
                continue
            if node.op is BY_MODE and len(operands) > 2:  # the third is written to a buffer
                attrs, shape, space = node.attrs, node.shape, node.space
                made = Node(BY_MODE, operands[:2], attrs, shape, space, where=node.where)
            else:
                made = rebuild(node, operands)
            self._new[node] = made
            with located_at(node.where):
                tangent = self._tangent(node, made)
            if tangent is not None:
                self.of[node] = tangent

    def _tangent(self, node: Node, made: Node) -> Node | None:
        name = node.attrs.get("name")
        if node.op is PARAM:
            number = self._params.get(id(node.attrs["parameter"]))
            return None if number is None else self._input(node, self.name(number), "batch")
        if node.op is PULL:
            if name not in self._inputs or node.dtype != "float":
                return None
            return self._input(node, self.name(name), self._traced.inputs[name].space)
        if node.op is GATHER:
            return _renamed(node, self.name(name)) if name in self._live else None
        tangents = [self.of.get(x) for x in node.inputs[: len(made.inputs)]]
        if all(x is None for x in tangents) or node.dtype != "float":
            return None
        of_table = self._by_rows and node.op is EMBEDDING and node.inputs[0].op is PARAM
        if of_table and node.inputs[1].op is PULL:
            return self._looked_up(node)
        if node.op is JOIN:
            parts = [self._part(x, node) for x in node.inputs]
            return Node(
                JOIN, parts, {**node.attrs, "name": self.name(name)}, node.shape, node.space
            )
        if node.op is IDENTITY:
            (x,) = tangents
            assert x is not None
            attrs = dict(node.attrs)
            if "into" in attrs:
                attrs["into"] = self.name(attrs["into"])
            return Node(IDENTITY, (x,), attrs, node.shape, node.space)
        return _along(made, tangents)

    def _input(self, node: Node, name: Tangent, space: Any) -> Node:
        """The tangent of an input or a parameter: an input."""
        known = self._traced.inputs.get(name.of) if node.op is PULL else None
        rows = SpaceKind.NONE if known is None else known.rows
        self.specs[name] = InputSpec(name, node.shape, "float", space, node.where, rows)
        return ir.source(PULL, node.shape, node.space, name=name)

    def _before(self, node: Node) -> Node:
        """A buffer that calls write: an input, of the values that it had."""
        name = Before(self._written[id(node.attrs["parameter"])])
        rows = SpaceKind.NONE
        self.specs[name] = InputSpec(name, node.shape, "float", "batch", node.where, rows)
        return ir.source(PULL, node.shape, rows, name=name)

    def _looked_up(self, node: Node) -> Node:
        """The tangent of rows of a table: an input."""
        table, ids = node.inputs
        place = self._params[id(table.attrs["parameter"])], ids.attrs["name"]
        name = self.rows[place] = self.name(place)
        known = self._traced.inputs[ids.attrs["name"]]
        self.specs[name] = replace(known, name=name, shape=node.shape, dtype="float")
        return ir.source(PULL, node.shape, node.space, name=name)

    def _part(self, x: Node, joined: Node) -> Node:
        """The tangent of a part of a joined value, zero if it has none."""
        tangent = self.of.get(x)
        if tangent is not None:
            return tangent
        name = self.name(joined.attrs["name"])
        zero = ir.constant(0.0, x.shape)
        return Node(IDENTITY, (zero,), {"into": name, "to": x.space}, x.shape, x.space)


def _renamed(node: Node, name: Tangent) -> Node:
    return Node(node.op, (), {**node.attrs, "name": name}, node.shape, node.space)


def _along(node: Node, tangents: list[Node | None]) -> Node | None:
    """The tangent of a value from those of its operands.

    The cotangents of the operands are linear in that of the value; the transpose of that function,
    which its own gradient says, takes tangents of operands to the value's. None where no operand
    with a tangent gets a cotangent.
    """
    cotangent = ir.source(PUSH_COTANGENT, node.shape, node.space, name=Tangent(None, 0))
    if node.op.vjp is None:
        raise TraceError(
            f"[grad] expected operations with a gradient, got {node.op.name}"
            f"{f', at {node.where}' if node.where else ''}; differentiate without it"
        )
    found = node.op.vjp(cotangent, node, *node.inputs, **node.attrs)
    outputs, seeds = [], []
    for dx, tangent in zip(found, tangents, strict=True):
        if dx is not None and tangent is not None and cotangent in ancestors([dx]):
            outputs.append(dx)
            seeds.append(tangent)
    if not outputs:
        return None
    (tangent,) = partial(outputs, [cotangent], seeds)
    return _without(tangent, cotangent)


def _without(tangent: Node, cotangent: Node) -> Node:
    """The tangent, in which the cotangent stands in comparisons with 0 alone, with ones for it."""
    order = ancestors([tangent])
    if cotangent not in order:
        return tangent
    new = {cotangent: on_rows_of(ir.constant(1.0, cotangent.shape), cotangent)}
    for node in order:
        if node is not cotangent:
            new[node] = rebuild(node, [new[x] for x in node.inputs])
    return new[tangent]
