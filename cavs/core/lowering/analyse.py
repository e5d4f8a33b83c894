"""The first of three steps to a program: its instructions, their order and their places."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from cavs.core.ir import Name, Node
from cavs.core.lowering.fuse import Partition, Unit, arrange, say_groups
from cavs.core.lowering.nodes import (
    adds_all_rows,
    parts,
    reads_parents,
    runs_at_once,
    summed_rows,
    sums_all_rows,
)
from cavs.core.lowering.phases import Phase, assign_phases, say_phases
from cavs.core.lowering.settled import operands_first, settled_states
from cavs.core.lowering.sinks import Lowered, Sinks
from cavs.core.lowering.steps import Step, StepWriter
from cavs.core.lowering.storage import Storage, place
from cavs.core.ops._spaces import Rows, Space, SpaceKind, Typed, Unique
from cavs.core.ops.structure import GATHER
from cavs.core.program import SegmentKind
from cavs.core.remarks import Notes

Types = frozenset[str]
"""Names of types; the type of a function without types has no name."""


@dataclass(frozen=True)
class Stretch:
    """Steps of one segment."""

    kind: SegmentKind
    space: Space
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        title = f"rows over {self.space}" if self.kind is SegmentKind.ROWS else str(self.kind)
        return "\n".join([f"{title}:", *(f"  {step}" for step in self.steps)])


@dataclass(frozen=True, eq=False)
class Lowering:
    """A program before its values are numbered: as text, its instructions over nodes.

    Attributes:
        storage: where the rows of each node are.
        stretches: the segments in order of execution.
    """

    storage: Storage
    stretches: tuple[Stretch, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.stretches))


def analyse(
    sinks: Sinks,
    forward: Lowered | None,
    switches: Collection[str],
    masks: Mapping[Node, Node],
    notes: Notes | None = None,
) -> Lowering:
    """The lowering of F (``forward`` None) or of a gradient over its lowered F.

    `switches`: the passes that are on; `masks`: maps a product that may leave out rows to its
    mask, a node that is zero (an id: -1) in these rows; `notes`: see :class:`Notes`.
    """
    storage = place(sinks.stripped(), forward, masks, "merge_matmuls" in switches, notes)
    if {"hoist", "defer"}.issubset(switches):
        storage = _settle(storage)
    apart = _leaves_apart(storage)
    of_forward = None if forward is not None else notes  # lines of F are of forward
    phases = _phases(storage, switches, apart, of_forward)
    sums = storage.sums.items()
    in_order = {x: tuple(sorted(terms, key=phases.__getitem__)) for x, terms in sums}
    storage = replace(storage, sums=in_order)
    units = _units(storage, phases, apart)
    members = [*units.values(), *_stores(storage, units, apart)]
    by_level = [n for n, u in units.items() if u.phase == Phase.LEVEL and sums_all_rows(n)]
    writer = StepWriter(storage, by_level)
    stretches, arranged = [], []
    for phase in Phase:
        of_phase = [unit for unit in members if unit.phase == phase]
        zeros = writer.zeros() if phase == Phase.LEVEL else ()
        if zeros:
            stretches.append(Stretch(SegmentKind.ROWS, SpaceKind.NONE, zeros))
        for kind, space, groups in arrange(of_phase, phase, "fuse" in switches, of_forward):
            arranged += groups
            steps = tuple(step for group in groups for step in writer.steps(group))
            if steps:
                stretches.append(Stretch(kind, space, steps))
    if of_forward is not None:
        say_groups(of_forward, arranged)
    return Lowering(storage, tuple(stretches))


def _settle(storage: Storage) -> Storage:
    """The storage with what reads states that wait for no level, and in an order in which these
    come before it."""
    members = set(storage.order)

    def name_of(node: Node) -> Name | None:
        if storage.forward:
            return node.attrs["reading"] if reads_parents(node) else None
        return node.attrs["name"] if node.op is GATHER else None

    def reads(node: Node) -> list[Node]:
        return [x for x in storage.reads(node) if x in members]

    states = storage.sinks.states
    names = settled_states(states, reads, name_of)
    found = {x: states[name_of(x)] for x in storage.order if name_of(x) in names}
    storage = replace(storage, settled=found)
    return replace(storage, order=operands_first(storage.order, reads))


def _phases(
    storage: Storage, switches: Collection[str], apart: Types, notes: Notes | None
) -> dict[Node, Phase]:
    def sums(node: Node) -> bool:
        return adds_all_rows(node) and _run_by_level(_rows(summed_rows(node), apart), apart)

    def by_row(node: Node) -> bool:
        return _has_rows_of_levels(node.space, apart)

    def inputs(node: Node) -> list[Node]:
        return [x for x in storage.reads(node) if x not in storage.external]

    def is_source(node: Node) -> bool:
        source = reads_parents(node) if storage.forward else node.op is GATHER
        return source and node not in storage.settled

    settled = set(storage.settled.values())
    waiting = {k: x for k, x in storage.sinks.states.items() if x not in settled}
    states = {x: name for name, node in waiting.items() for x in parts(node)}
    phases = assign_phases(storage.order, inputs, is_source, states, switches, sums, by_row)
    if notes is not None:
        say_phases(notes, storage.order, inputs, is_source, states, phases)
    return phases


def _units(storage: Storage, phases: Mapping[Node, Phase], apart: Types) -> dict[Node, Unit]:
    """The units, each with the units that it reads."""
    units: dict[Node, Unit] = {}
    for node in storage.order:
        if not storage.is_unit(node):
            continue
        unit = Unit(node, phases[node], _partition(node, apart), node.op.elementwise)
        crosses = node.op.crosses or reads_parents(node) or node in storage.settled
        for x in storage.reads(node):
            for source, crossed in storage.stored(x):
                unit.add_dependency(units[source], crossed or crosses, source is x)
        units[node] = unit
    for terms in storage.sums.values():
        for before, term in pairwise(terms):
            units[term].add_dependency(units[before], crossed=True, direct=False)
    return units


def _stores(storage: Storage, units: Mapping[Node, Unit], apart: Types) -> list[Unit]:
    """Units that copy results to the caller's arrays, unless they are written there at once."""
    stores = []
    for number, (_, node) in enumerate(storage.sinks.outputs):
        if storage.direct.get(node) == number:
            continue
        for part in parts(node):
            store = Unit(part, Phase.DEFER, _rows(part.space, apart), False, number)
            for source, crossed in storage.stored(part):
                store.add_dependency(units[source], crossed, direct=False)
            stores.append(store)
    return stores


def _leaves_apart(storage: Storage) -> Types:
    """The types whose leaves have a function of their own."""
    known = storage.forward.nodes if storage.forward else ()
    spaces = {n.space for nodes in (storage.order, known) for n in nodes}
    rows = [space for space in spaces if not isinstance(space, Unique)]
    return frozenset(space.type for space in rows if space.kind is SpaceKind.INNER)


def _partition(node: Node, apart: Types) -> Partition:
    """How the work on a node is divided among threads."""
    return "global" if runs_at_once(node) else _rows(node.space, apart)


def _rows(space: Space, apart: Types) -> Space:
    """The row space by which a value is divided among threads: edges go with their parents."""
    if space.kind is not SpaceKind.EDGE:
        return space
    return space.of_kind(_kind_of_levels(space, apart))


def _has_rows_of_levels(space: Space, apart: Types) -> bool:
    """Whether all its rows are of levels: not those of leaves that are apart."""
    if space.kind is not SpaceKind.VERTEX:
        return space.kind in (SpaceKind.INNER, SpaceKind.EDGE)
    types = space.members if isinstance(space, Typed) else ("",)
    return apart.isdisjoint(map(str, types))


def _run_by_level(space: Space, apart: Types) -> bool:
    return not isinstance(space, Unique) and space.kind is _kind_of_levels(space, apart)


def _kind_of_levels(space: Rows, apart: Types) -> SpaceKind:
    """The vertices of the type that run level by level."""
    return SpaceKind.INNER if space.type in apart else SpaceKind.VERTEX
