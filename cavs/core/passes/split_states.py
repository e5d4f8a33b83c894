"""split_states: a state of several types becomes one for each type that others read apart.

Layers of a network that are types may all scatter ``x``, and each gather the ``x`` of the layer
below by ``of``. As one state, ``x`` depends on itself, so that its gathers wait for levels. By type
it does not: the states settle before any level, and attention over them needs no edges.

Only what settles so is split: other states stay one array, which all types write to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cavs.core.ir import FunctionIR, Internal, Name, Node, ancestors, rebuild, source
from cavs.core.joins import joined_state, results_of
from cavs.core.lowering.settled import settled_states
from cavs.core.ops._spaces import Typed
from cavs.core.ops.structure import GATHER
from cavs.core.passes.context import Context
from cavs.core.remarks import counted


@dataclass(frozen=True)
class OfTypes(Internal):
    """The user's `state` of some of the types that scatter it."""

    state: Name
    types: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.state} of {', '.join(self.types)}"


_Groups = Mapping[Name, Sequence[OfTypes]]


def split_states(function: FunctionIR, context: Context) -> FunctionIR:
    """F in which states of several types are apart, where some of them then wait for no level.

    Nothing is gained unless values may run before or after the levels, so ``hoist`` and ``defer``
    must be on.
    """
    if not {"hoist", "defer"}.issubset(context.switches):
        return function
    groups = _groups(function)
    if not groups:
        return function
    settled = _settled(_split(function, groups))
    before = _settled(function)
    gaining = {
        state: parts
        for state, parts in groups.items()
        if state not in before and not settled.isdisjoint(parts)
    }
    if not gaining:
        return function
    if context.notes is not None:
        words = f"{counted(len(gaining), 'state')} apart by type, of which some wait for no level"
        context.notes.did("split_states", words)
    return _split(function, gaining)


def _groups(function: FunctionIR) -> dict[Name, Sequence[OfTypes]]:
    """The states that can be split, and into what: types that one gather reads stay together, and
    types that nobody reads go."""
    readings: dict[Name, set[tuple[str, ...]]] = {}
    for node in ancestors(function.roots()):
        if node.op is GATHER:
            state = node.attrs["name"]
            readings.setdefault(state, set()).add(_types_read(node, function.scatters[state]))
    groups = {name: _together(read) for name, read in readings.items()}
    return {
        name: [OfTypes(name, types) for types in found]
        for name, found in groups.items()
        if len(found) > 1
    }


def _types_read(gather: Node, state: Node) -> tuple[str, ...]:
    """The types among those that scatter the state whose vertices a gather reads."""
    rows = [x.space for x in results_of(state)]
    types = tuple(space.type for space in rows if isinstance(space, Typed))
    edges = gather.attrs["edges"]
    if len(types) < len(rows) or not isinstance(edges, Typed):
        return ()  # a function without types
    (read,) = edges.lists
    return types if read.children is None else (read.children,)


def _together(readings: Iterable[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    groups: list[set[str]] = []
    for types in sorted(readings):
        group = set(types).union(*(x for x in groups if not x.isdisjoint(types)))
        groups = [x for x in groups if x.isdisjoint(types)] + [group]
    return [tuple(sorted(group)) for group in groups]


def _split(function: FunctionIR, groups: _Groups) -> FunctionIR:
    """F with the states of `groups` apart."""
    new: dict[Node, Node] = {}
    for node in ancestors(function.roots()):
        name = node.attrs.get("name")
        if node.op is GATHER and name in groups:
            types = _types_read(node, function.scatters[name])
            own = next(x for x in groups[name] if set(types) <= set(x.types))
            new[node] = source(
                GATHER, node.shape, node.space, node.dtype, **{**node.attrs, "name": own}
            )
        else:
            new[node] = rebuild(node, [new[x] for x in node.inputs])
    result = function.map(new)
    scatters: dict[Name, Node] = {}
    for name, node in result.scatters.items():
        if name not in groups:
            scatters[name] = node
        for own in groups.get(name, ()):
            scatters[own] = joined_state(own, _of_types(node, own.types))
    return replace(result, scatters=scatters)


def _of_types(state: Node, types: Collection[str]) -> list[Node]:
    return [x for x in results_of(state) if isinstance(x.space, Typed) and x.space.type in types]


def _settled(function: FunctionIR) -> frozenset[Name]:
    def read_by(node: Node) -> Name | None:
        return node.attrs["name"] if node.op is GATHER else None

    read = {read_by(x) for x in ancestors(function.roots())}
    states = {name: node for name, node in function.scatters.items() if name in read}
    return settled_states(states, lambda node: node.inputs, read_by)
