"""The second of three steps to a program: numbers its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cavs.core.ir import Name, Node
from cavs.core.lowering.analyse import Lowering
from cavs.core.lowering.operands import Columns, Given, Place, Returned, State, distinct_tables
from cavs.core.ops._spaces import Space, SpaceKind, Typed, Unique
from cavs.core.ops.shape import RESHAPE, SLICE
from cavs.core.ops.structure import JOIN, PARAM, REMEMBERED
from cavs.core.program import Role, UniqueIds, Value


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a program.

    Attributes:
        values: all of them; a backward program begins with the values of its forward program.
        number_of: the number of each place's value.
        states: the number of each state's value, by name.
        inputs: names of the caller's arrays.
        uniques: the distinct ids that values have rows for.
        saved: values that the backward programs read.
        given: in a function of types the rows of each of `inputs`.
    """

    values: tuple[Value, ...]
    number_of: Mapping[Place, int]
    states: Mapping[Name, int]
    inputs: tuple[Name, ...]
    uniques: tuple[UniqueIds, ...]
    saved: tuple[int, ...]
    given: tuple[Space, ...]

    def __str__(self) -> str:
        places = {number: place for place, number in reversed([*self.number_of.items()])}
        return "\n".join(
            f"%{number}: {value.role} {value.space}[{value.size}] {value.name}, "
            f"{places.get(number, 'no place')!r}"
            for number, value in enumerate(self.values)
        )


def number(
    lowering: Lowering,
    params: Mapping[str, Any],
    counted: Sequence[tuple[Unique, Space]] = (),
    given: Mapping[Name, Space] = MappingProxyType({}),
) -> Values:
    """Values in the order in which instructions name them.

    `params`: by path; `counted`: the distinct ids that a gradient by rows needs; `given`: the rows
    of the caller's arrays, in a function of types.
    """
    numbering = _Numbering(lowering, params, given)
    numbering.count_ids(counted)
    storage = lowering.storage
    states = {name: numbering.number(node) for name, node in storage.sinks.states.items()}
    for node in [*storage.joined(), *storage.direct]:
        numbering.number(node)
    for stretch in lowering.stretches:
        for step in stretch.steps:
            for operand in (*step.call.inputs, *step.outputs):
                numbering.number(operand.place)
    saved = {numbering.root(node) for node in storage.sinks.kept()}
    return Values(
        tuple(numbering.values),
        numbering.number_of,
        states,
        tuple(numbering.inputs),
        tuple(numbering.uniques),
        tuple(sorted(saved)),
        tuple(given.get(name, SpaceKind.NONE) for name in numbering.inputs) if given else (),
    )


class _Numbering:
    def __init__(
        self, lowering: Lowering, params: Mapping[str, Any], given: Mapping[Name, Space]
    ) -> None:
        self._given = given
        self._storage = storage = lowering.storage
        forward = storage.forward
        self._param_names = list(params)
        self._param_numbers = {id(p): i for i, p in enumerate(params.values())}
        self.values: list[Value] = list(forward.program.values) if forward else []
        self.number_of: dict[Place, int] = {}
        if forward:
            held = forward.value_of.items()
            self.number_of.update((n, v) for n, v in held if n in storage.external)
            self.number_of.update((State(k), v) for k, v in forward.program.states.items())
        self._param_values = {
            value.index: i for i, value in enumerate(self.values) if value.role is Role.PARAM
        }
        self.inputs: list[Name] = []
        self.uniques = list(forward.program.uniques) if forward else []
        # One type's state may be a part of a state of several.
        self._join_of = {
            storage.placed[x]: node
            for node in storage.joined()
            if node.op is JOIN
            for x in node.inputs
            if x in storage.placed
        }

    def count_ids(self, counted: Sequence[tuple[Unique, Space]]) -> None:
        """Finds the pulls whose distinct ids are counted; backward uses those of forward."""
        if self._storage.forward:
            return
        used = dict.fromkeys(counted)
        counts: dict[Unique, int] = {}
        for node in self._storage.order:
            used.update(dict.fromkeys(distinct_tables(node)))
            if node.op is REMEMBERED:
                assert isinstance(node.space, Unique)
                counts[node.space] = node.attrs["count"]
        among = {space: None for pair in used for space in pair if isinstance(space, Unique)}
        for space in among:
            inputs = tuple(self._input(pull) for pull in space.pulls)
            self.uniques.append(UniqueIds(space, space.base, inputs, counts.get(space, 0)))
        for space, base in used:
            if isinstance(base, Unique):
                self.uniques.append(UniqueIds(space, base, (), counts.get(space, 0)))

    def number(self, place: Place) -> int:
        """Number of the place's value."""
        found = self.number_of.get(place)
        if found is None:
            # The value may belong to another place, or need one that must come before it.
            found = self.number_of[place] = self._make(place)
        return found

    def _make(self, place: Place) -> int:
        if isinstance(place, Columns):
            return self._columns(place)
        if isinstance(place, Given):
            name = place.node.attrs["name"]
            space, size, dtype = _rows(place.node)
            space = self._given.get(name, space)
            return self._add(Value(str(name), space, size, dtype, Role.INPUT, self._input(name)))
        if isinstance(place, Returned):
            space, size, dtype = _rows(place.node)
            if isinstance(space, Typed):
                space = self._storage.sinks.outputs[place.output][0].space
            value = Value(_name(place.node), space, size, dtype, Role.OUTPUT, place.output)
            return self._add(value)
        assert isinstance(place, Node), place
        return self._node(place)

    def _node(self, node: Node) -> int:
        storage, op = self._storage, node.op
        if op is PARAM:
            return self._param(node)
        if op is REMEMBERED:
            number = self._input(node.attrs["key"])
            return self._add(Value(_name(node), *_rows(node), Role.INPUT, number))
        if op is JOIN:
            return self._join(node)
        if node in self._join_of:
            self.number(self._join_of[node])
            return self.number_of[node]
        if node in storage.direct:
            return self._add(Value(_name(node), *_rows(node), Role.OUTPUT, storage.direct[node]))
        for same in (storage.placed, storage.summed):
            if node in same:
                return self.number(same[node])
        if not storage.is_unit(node) and op in (SLICE, RESHAPE):
            return self._view(node, self.number(node.inputs[0]), node.attrs.get("start", 0))
        if node in storage.beside:
            whole, column = storage.beside[node]
            return self._view(node, self.number(whole), column)
        return self._add(Value(_name(node), *_rows(node)))

    def _join(self, node: Node) -> int:
        """One value for leaves and inner vertices, which each write their rows."""
        number = self._add(Value(_name(node), *_rows(node)))
        for x in node.inputs:
            part = self._storage.placed.get(x, x)
            assert self._storage.is_unit(part), part
            assert part not in self.number_of, part
            self.number_of[part] = self._view(part, number, 0)
        return number

    def _param(self, node: Node) -> int:
        index = self._param_numbers[id(node.attrs["parameter"])]
        if index not in self._param_values:
            name = self._param_names[index]
            value = Value(name, SpaceKind.NONE, node.size, node.dtype, Role.PARAM, index)
            self._param_values[index] = self._add(value)
        return self._param_values[index]

    def _columns(self, columns: Columns) -> int:
        whole = self.number(columns.of)
        base = self.values[whole]
        if columns.size == base.size:
            return whole
        start, size = columns.start, columns.size
        view = Value("part", base.space, size, role=Role.VIEW, base=whole, column=start)
        return self._add(view)

    def _view(self, node: Node, base: int, column: int) -> int:
        return self._add(Value(_name(node), *_rows(node), Role.VIEW, base=base, column=column))

    def _add(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _input(self, name: Name) -> int:
        """Number of the caller's array `name`."""
        if name not in self.inputs:
            self.inputs.append(name)
        return self.inputs.index(name)

    def root(self, node: Node) -> int:
        """The value that owns the node's memory."""
        number = self.number(node)
        while self.values[number].role is Role.VIEW:
            number = self.values[number].base
        return number


def _name(node: Node) -> str:
    return str(node.attrs.get("name") or node.op.name)


def _rows(node: Node) -> tuple[Space, int, str]:
    return node.space, node.size, node.dtype
