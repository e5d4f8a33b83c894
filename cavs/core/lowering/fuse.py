"""fuse: arranges units in segments, and elementwise units of one row shape in maximal groups.

Threads run a segment without meeting: within it a unit may read only rows that the same thread has
written. A group becomes one kernel that goes through memory once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cavs.core.ir import Node
from cavs.core.lowering.nodes import summed_rows
from cavs.core.lowering.phases import Phase
from cavs.core.ops._spaces import Rows, Space, SpaceKind
from cavs.core.ops.attention_levels import GRADIENTS_OF_ATTENTION
from cavs.core.program import SegmentKind
from cavs.core.remarks import Notes, called, counted, of_rows

Partition = Space | Literal["global"]

_OF_LEVELS = (SpaceKind.VERTEX, SpaceKind.INNER)


@dataclass(eq=False)
class Unit:
    """A node that stores its result, or the copy of a node to the caller's array `output`.

    Attributes:
        partition: how its rows are divided among threads: ``vertex`` (edges ride along), ``graph``,
            ``none``, distinct ids, or ``global`` where it sums over all rows.
        aligned, crossed: units that it reads, at the rows at hand or at any rows.
        indirect: the aligned units that it reads through an index or a view, hence from memory.
    """

    node: Node
    phase: Phase
    partition: Partition
    fusable: bool
    output: int | None = None
    aligned: list[Unit] = field(default_factory=list)
    crossed: list[Unit] = field(default_factory=list)
    indirect: set[Unit] = field(default_factory=set)

    def add_dependency(self, unit: Unit, crossed: bool, direct: bool) -> None:
        """Records that this unit reads the result of `unit`."""
        if crossed or unit.partition != self.partition:
            self.crossed.append(unit)
            return
        self.aligned.append(unit)
        if not direct or unit.node.space != self.node.space:
            self.indirect.add(unit)

    @property
    def key(self) -> tuple[Space, int]:
        """The rows and their length, which all units of a group have in common."""
        return self.node.space, self.node.size


Arranged = tuple[SegmentKind, Space, list[list[Unit]]]


def arrange(
    units: Sequence[Unit], phase: Phase, fuse: bool, notes: Notes | None = None
) -> Iterable[Arranged]:
    """(segment kind, space, groups of units) in order of execution, for the units of one phase."""
    if phase == Phase.LEVEL:
        yield from _by_levels(units, fuse, notes)
        return
    members = set(units)
    done: set[Unit] = set()
    pending = list(units)
    while pending:
        best: list[list[Unit]] = []
        chosen: Partition | None = None
        for partition in dict.fromkeys(u.partition for u in pending):
            groups = _fill(pending, partition, members, done, fuse)
            count, most = sum(map(len, groups)), sum(map(len, best))
            # Sums over all rows come last, so that they share one segment.
            if groups and (
                not best or (partition != "global" and count > most) or chosen == "global"
            ):
                best, chosen = groups, partition
        if notes is not None and fuse:
            _say(notes, best, pending)
        if not best or chosen is None:
            raise AssertionError(f"units that wait for each other: {[u.node for u in pending]}")
        if chosen == "global":
            yield SegmentKind.GLOBAL, SpaceKind.NONE, best
        else:
            yield SegmentKind.ROWS, chosen, best
        for group in best:
            done.update(group)
        pending = [u for u in pending if u not in done]


def _by_levels(units: Sequence[Unit], fuse: bool, notes: Notes | None) -> Iterable[Arranged]:
    """The segment that runs row by row within a level, and the one that sums its rows after it."""
    if not units:
        return
    by_row = [unit for unit in units if unit.partition != "global"]
    sums = [unit for unit in units if unit.partition == "global"]
    for space in dict.fromkeys(u.partition for u in by_row):
        of_type = [unit for unit in by_row if unit.partition == space]
        groups = _fill(of_type, space, set(of_type), set(), fuse)
        if notes is not None and fuse:
            _say(notes, groups, of_type)
        all_of_them = sum(map(len, groups)) == len(of_type)
        if isinstance(space, str) or space.kind not in _OF_LEVELS or not all_of_them:
            raise AssertionError(f"not row by row within a level: {[u.node for u in of_type]}")
        yield SegmentKind.LEVELS, space, groups
        own = [unit for unit in sums if _is_over(unit, space)]
        if own:
            yield SegmentKind.SUMS, space, [[unit] for unit in own]
            sums = [unit for unit in sums if unit not in own]
    if sums:
        raise AssertionError(f"sums over rows of no level: {[u.node for u in sums]}")


def _is_over(unit: Unit, space: Space) -> bool:
    """Whether it sums rows of the levels' vertices, or of their edges."""
    rows = summed_rows(unit.node)
    return isinstance(space, Rows) and isinstance(rows, Rows) and rows.type == space.type


def _fill(
    pending: Sequence[Unit], partition: Partition, members: set[Unit], done: set[Unit], fuse: bool
) -> list[list[Unit]]:
    """Groups of one segment: all units of the partition that can run in it."""
    here: set[Unit] = set()
    groups: list[list[Unit]] = []

    def available(unit: Unit) -> bool:
        return all(u in done or u not in members for u in unit.crossed) and all(
            u in done or u in here or u not in members for u in unit.aligned
        )

    waiting = [u for u in pending if u.partition == partition]
    while True:
        ready = [u for u in waiting if not u.fusable and available(u)]
        if ready:
            groups.extend(_by_kernel(ready))
            here.update(ready)
            waiting = [u for u in waiting if u not in here]
            continue
        first = [u for u in waiting if available(u)]
        if not first:
            return groups
        candidates = [
            _grow(waiting, key, members, done, here) for key in dict.fromkeys(u.key for u in first)
        ]
        group = max(candidates, key=len) if fuse else first[:1]
        groups.append(group)
        here.update(group)
        waiting = [u for u in waiting if u not in here]


def _by_kernel(units: Iterable[Unit]) -> list[list[Unit]]:
    """The units by themselves, but for the gradients of one attention: one kernel computes them."""
    found: dict[object, list[Unit]] = {}
    for unit in units:
        node = unit.node
        of_one = node.op in GRADIENTS_OF_ATTENTION and unit.output is None
        found.setdefault(node.inputs if of_one else unit, []).append(unit)
    return list(found.values())


def _grow(
    waiting: Sequence[Unit],
    key: tuple[Space, int],
    members: set[Unit],
    done: set[Unit],
    here: set[Unit],
) -> list[Unit]:
    """The largest group with this key that can run now: its operands are stored or in the group."""
    group: dict[Unit, None] = {}
    for unit in waiting:  # operands come before users
        if not unit.fusable or unit.key != key:
            continue
        stored = all(u in done or u not in members for u in unit.crossed)
        if stored and all(
            u in done or u in here or u not in members or (u in group and u not in unit.indirect)
            for u in unit.aligned
        ):
            group[unit] = None
    return list(group)


def say_groups(notes: Notes, groups: Iterable[Sequence[Unit]]) -> None:
    """Says how many elementwise units of a program became one."""
    joined = [len(group) for group in groups if len(group) > 1]
    if joined:
        words = f"{sum(joined):,} elementwise operations became {counted(len(joined), 'group')}"
        notes.did("fuse", words)


def _say(notes: Notes, groups: Sequence[Sequence[Unit]], units: Sequence[Unit]) -> None:
    """Says which of the elementwise units that read one of another group were kept out of it, by
    the conditions of `_grow`."""
    group_of = {unit: i for i, group in enumerate(groups) for unit in group}
    for unit in units:
        for x in dict.fromkeys((*unit.aligned, *unit.crossed)):
            if not unit.fusable or not x.fusable or x not in group_of:
                continue
            if group_of.get(unit) != group_of[x]:
                reason = _why_apart(unit, x, group_of)
                if reason:
                    notes.refuse("fuse", unit.node, reason, [unit.node])


def _why_apart(unit: Unit, x: Unit, group_of: Mapping[Unit, int]) -> str:
    """Why a unit is in another group than `x`, which it reads; empty if only because another unit
    that it reads is, which has a reason of its own."""
    a, b = x.node, unit.node
    apart = f"apart from {called(a)}"
    if a.space != b.space:
        return f"{apart}: rows of {of_rows(a.space)} and of {of_rows(b.space)}"
    if a.size != b.size:
        return f"{apart}: rows of {a.size:,} and of {b.size:,} numbers"
    if x in unit.crossed or x in unit.indirect:
        return f"{apart}: reads it through an index, hence from memory"
    between, seen = [unit], {unit}
    for one in between:  # it grows
        if not one.fusable:
            return f"{apart}: {called(one.node)}, which is not elementwise, stands between"
        later = [y for y in one.aligned if group_of.get(y, len(group_of)) > group_of[x]]
        more = [y for y in dict.fromkeys(later) if y not in seen and y.node.inputs]
        between += more
        seen.update(more)
    return ""
