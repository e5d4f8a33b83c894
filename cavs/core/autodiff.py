"""The gradient of F, as IR: reverse mode, from the vjp of each operation.

gather and scatter are each other's derivative: gathered values have one cotangent per edge, and the
cotangent of a scattered state is their sum over the vertex's edges to parents
(``state_cotangent``). So are pull and push (Xu et al. 2018, sec. 3.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from cavs.core import ir
from cavs.core.ir import FunctionIR, Name, Node, ancestors, is_read, reading_of, state_of
from cavs.core.joins import join_of_cotangents
from cavs.core.ops._def import apply
from cavs.core.ops._spaces import Rows, Space, SpaceKind
from cavs.core.ops.elementwise import ADD, IDENTITY
from cavs.core.ops.loss import EMBEDDING_GRAD
from cavs.core.ops.shape import CONCAT, SLICE_GRAD
from cavs.core.ops.structure import (
    GATHER,
    JOIN,
    PARAM,
    PULL,
    PUSH_COTANGENT,
    REDUCE_ROWS,
    SLOTS_TO_EDGES,
    STATE_COTANGENT,
)
from cavs.core.tracing import located_at
from cavs.errors import TraceError


@dataclass(frozen=True)
class Gradient:
    """∂F as nodes over the nodes of F.

    Attributes:
        edges: by state, or by reading of it, the cotangent of the gathered values, per edge.
        params: (parameter, gradient node of the parameter's shape, or None where there are only
            row-sparse ones, [row-sparse nodes ``embedding_grad``]).
        inputs: the cotangent of each input, by its name.
        slots: the readings whose cotangents parents hold instead of edges (the pass
            ``read_parents``), and for how many positions of a child they hold them side by side; 0:
            all positions share one.
    """

    edges: dict[Name, Node]
    params: list[tuple[Any, Node | None, list[Node]]]
    inputs: dict[Name, Node]
    slots: dict[Name, int] = field(default_factory=dict)

    def roots(self) -> list[Node]:
        """Every node that the gradient gives."""
        sparse = [node for _, _, nodes in self.params for node in nodes]
        dense = [node for _, node, _ in self.params if node is not None]
        return [*self.edges.values(), *dense, *sparse, *self.inputs.values()]

    def map(self, new: Mapping[Node, Node]) -> Gradient:
        """The same gradient with its results replaced."""
        return Gradient(
            {k: new[v] for k, v in self.edges.items()},
            [
                (p, None if dense is None else new[dense], [new[n] for n in sparse])
                for p, dense, sparse in self.params
            ],
            {k: new[v] for k, v in self.inputs.items()},
            self.slots,
        )


def differentiate(
    function: FunctionIR,
    pushes: Iterable[Name],
    inputs: Mapping[Name, Rows],
    *,
    readings: Iterable[Name] = (),
    located: bool = False,
) -> Gradient:
    """Gradient of F from cotangents of the outputs `pushes`, with respect to all parameters and to
    the float inputs named, whose rows are given.

    `readings`: readings of the states of F by other functions; `located`: the gradient's nodes have
    the source lines of the nodes of F.
    """
    pushes = sorted(pushes, key=str)
    own = {reading_of(n) for n in ancestors(function.roots()) if n.op is GATHER}
    others = [reading for reading in readings if reading not in own]
    states = sorted(own, key=str)
    while True:
        gradient = _Reverse(function, pushes, inputs, [*states, *others], located).run()
        # A state whose gathered values get no cotangent has none to hand to its children either.
        alive = [s for s in states if s in gradient.edges]
        if alive == states:
            return gradient
        states = alive


class _Reverse:
    def __init__(
        self,
        function: FunctionIR,
        pushes: Sequence[Name],
        inputs: Mapping[Name, Rows],
        readings: Sequence[Name],
        located: bool,
    ) -> None:
        self.located = located
        self.order = ancestors(function.roots())
        self.inputs = inputs
        self.cotangents: dict[Node, list[Node]] = {}
        self.wanted = self._wanted()
        for name in pushes:
            node = function.pushes[name]
            self._add(node, ir.source(PUSH_COTANGENT, node.shape, node.space, name=name))
        for reading in readings:
            state = function.scatters.get(state_of(reading))
            if state is not None and (state.op is JOIN or is_read(reading, state.space)):
                self._add(state, _state_cotangent(reading, state))

    def _wanted(self) -> set[Node]:
        """Nodes whose cotangent leads to a parameter, a gathered state or a wanted input."""
        wanted: set[Node] = set()
        for node in self.order:
            if (
                (node.op is PARAM and node.attrs["parameter"].requires_grad)
                or node.op is GATHER
                or (node.op is PULL and node.attrs["name"] in self.inputs)
                or any(x in wanted for x in node.inputs)
            ):
                wanted.add(node)
        return wanted

    def _add(self, node: Node, cotangent: Node) -> None:
        if node not in self.wanted or node.dtype != "float":
            return
        if node.space == SpaceKind.NONE and cotangent.space != SpaceKind.NONE:
            cotangent = apply(REDUCE_ROWS, cotangent)
        self.cotangents.setdefault(node, []).append(cotangent)

    def run(self) -> Gradient:
        for node in reversed(self.order):
            parts = self.cotangents.get(node)
            if not parts or not node.inputs:
                continue
            if any(part.op is EMBEDDING_GRAD for part in parts):
                raise TraceError(
                    "[autodiff] expected the table of an embedding to be a parameter, or to need "
                    f"no gradient, got a value of {node.op.name}"
                    f"{f', at {node.where}' if node.where else ''}; look up rows first, and "
                    "compute with them"
                )
            cotangent = self._total(node)
            if node.op is JOIN:
                for part in node.inputs:
                    restricted = _restrict(cotangent, part.space)
                    if restricted is not None:
                        self._add(part, restricted)
                continue
            if node.op.vjp is None:
                raise TraceError(
                    f"[autodiff] expected an operation with a gradient, got {node.op.name}"
                    f"{f', at {node.where}' if node.where else ''}; differentiate without it"
                )
            with located_at(node.where) if self.located else nullcontext():
                found = node.op.vjp(cotangent, node, *node.inputs, **node.attrs)
            for x, dx in zip(node.inputs, found, strict=True):
                if dx is not None:
                    self._add(x, dx)
        return Gradient(self._edges(), self._params(), self._inputs())

    def _total(self, node: Node) -> Node:
        return total_of([p for p in self.cotangents[node] if p.op is not EMBEDDING_GRAD])

    def _edges(self) -> dict[Name, Node]:
        whole: dict[Name, Node] = {}
        slots: dict[tuple[Name, bool], dict[int, Node]] = {}
        edges: dict[Name, Rows] = {}
        for node in self.order:
            if node.op is GATHER and node in self.cotangents:
                reading, slot = reading_of(node), node.attrs["slot"]
                edges[reading] = node.attrs["edges"]
                if slot is None:
                    whole[reading] = self._total(node)
                else:
                    place = slot if slot >= 0 else -1 - slot
                    slots.setdefault((reading, slot < 0), {})[place] = self._total(node)
        for (reading, from_last), by_slot in slots.items():
            some = next(iter(by_slot.values()))
            zero = ir.constant(0.0, some.shape)
            parts = [by_slot.get(k, zero) for k in range(max(by_slot) + 1)]
            on_edges = apply(SLOTS_TO_EDGES, *parts, to=edges[reading], from_last=from_last)
            whole[reading] = whole[reading] + on_edges if reading in whole else on_edges
        return whole

    def _params(self) -> list[tuple[Any, Node | None, list[Node]]]:
        merged: dict[int, tuple[Any, list[Node], list[Node]]] = {}
        for node in self.order:
            if node.op is not PARAM or node not in self.cotangents:
                continue
            parameter = node.attrs["parameter"]
            _, dense, sparse = merged.setdefault(id(parameter), (parameter, [], []))
            parts = self.cotangents[node]
            sparse.extend(p for p in parts if p.op is EMBEDDING_GRAD)
            if any(p.op is not EMBEDDING_GRAD for p in parts):
                dense.append(self._total(node))
        result: list[tuple[Any, Node | None, list[Node]]] = []
        for parameter, dense, sparse in merged.values():
            total: Node | None = None
            for node in dense:
                total = node if total is None else total + node
            result.append((parameter, total, sparse))
        return result

    def _inputs(self) -> dict[Name, Node]:
        totals: dict[Name, dict[Space, Node]] = {}
        for node in self.order:
            if node.op is PULL and node in self.cotangents:
                by_space = totals.setdefault(node.attrs["name"], {})
                total, known = self._total(node), by_space.get(node.space)
                by_space[node.space] = total if known is None else known + total
        result: dict[Name, Node] = {}
        for name, by_space in totals.items():
            to = self.inputs[name]
            if by_space.keys() == {to}:
                result[name] = by_space[to]
            else:
                shape = next(iter(by_space.values())).shape
                result[name] = join_of_cotangents(name, shape, by_space, to)
        return result


def total_of(parts: Sequence[Node]) -> Node:
    """Sum of the cotangents of a value; those of its slices are put side by side instead."""
    slices = [p for p in parts if p.op is SLICE_GRAD]
    rest = [p for p in parts if p.op is not SLICE_GRAD]
    if slices:
        rest.extend(_assemble(slices))
    total = rest[0]
    for part in rest[1:]:
        total = total + part
    return total


def _state_cotangent(reading: Name, state: Node) -> Node:
    """What the parents that read the state give it."""
    attrs = {"name": state_of(reading), "reading": reading}
    return ir.source(STATE_COTANGENT, state.shape, state.space, **attrs)


def _restrict(cotangent: Node, space: Space) -> Node | None:
    """The rows `space` of a vertex cotangent, which sums cotangents from outside and parents; None
    where none of the parents reads these rows."""
    if cotangent.op is STATE_COTANGENT and not is_read(cotangent.attrs["reading"], space):
        return None
    if cotangent.op.over_graphs:  # its operands have rows of their own
        return Node(IDENTITY, (cotangent,), {"to": space}, cotangent.shape, space)
    found = [_restrict(x, space) for x in cotangent.inputs]
    inputs = [x for x in found if x is not None]
    if len(inputs) < len(found):
        assert cotangent.op is ADD, cotangent
        return inputs[0] if inputs else None
    return Node(cotangent.op, inputs, cotangent.attrs, cotangent.shape, space, cotangent.dtype)


def _assemble(slices: Sequence[Node]) -> list[Node]:
    """Adjoints of slices as concatenations: one if the slices do not overlap, else several."""
    results = []
    remaining = sorted(slices, key=lambda s: (s.attrs["start"], s.number))
    total = slices[0].attrs["total"]
    lead = slices[0].shape[:-1]
    while remaining:
        pieces: list[Node] = []
        left: list[Node] = []
        position = 0
        for piece in remaining:
            start, stop = piece.attrs["start"], piece.attrs["stop"]
            if start < position:
                left.append(piece)
                continue
            if start > position:
                pieces.append(ir.constant(0.0, (*lead, start - position)))
            pieces.append(piece.inputs[0])
            position = stop
        if position < total:
            pieces.append(ir.constant(0.0, (*lead, total - position)))
        results.append(pieces[0] if len(pieces) == 1 else apply(CONCAT, *pieces))
        remaining = left
    return results
