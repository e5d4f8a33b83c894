"""From IR to a program: which nodes need memory, which are views or index loads, in what order.

A node becomes one of four things:

* *nothing*: parameters and constants are operands as they stand;
* a *view*: slice and reshape of a stored value are columns of it;
* an *index load*: spread, expand and gather only re-index rows, so an elementwise group reads
  through the index and nothing is stored, unless something else needs the rows themselves; likewise
  the sum over the children or parents of a vertex that one operation of a group reads;
* a *unit*: an instruction, or one operation of an elementwise group, that stores its result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from cavs.core.ir import Name, Node
from cavs.core.lowering.calls import is_line, reads_through_index
from cavs.core.lowering.emit import SUMS, Emitter
from cavs.core.lowering.fuse import Partition, Unit, arrange
from cavs.core.lowering.merge_matmuls import OVER_ROWS, merge_matmuls
from cavs.core.lowering.phases import Phase, assign_phases
from cavs.core.ops._def import Space, SpaceKind, Unique
from cavs.core.program import Output, Program, Segment

INDEX_LOADS = ("spread", "expand", "graph_spread", "gather")

# Forward nodes that a backward program makes again rather than reads: they cost next to nothing.
RECOMPUTED = (
    *INDEX_LOADS,
    "broadcast",
    "slice",
    "reshape",
    "num_children",
    "unique_ids",
    "param",
    "constant",
)


@dataclass
class Sinks:
    """What a program must give.

    Attributes:
        states: state name to what is scattered (of ∂F: to the cotangents on edges).
        outputs: arrays for the caller.
        saved: nodes to keep for the backward programs.
        slots: of ∂F, the states whose cotangents parents hold, as in :class:`Gradient`.
    """

    states: dict[Name, Node]
    outputs: list[tuple[Output, Node]]
    saved: set[Node] = field(default_factory=set)
    slots: Mapping[Name, int] = field(default_factory=dict)

    def stripped(self) -> Sinks:
        """The same without reshapes at the end: they change nothing in memory."""
        return Sinks(
            {name: _strip(node) for name, node in self.states.items()},
            [(output, _strip(node)) for output, node in self.outputs],
            {_strip(node) for node in self.saved},
            self.slots,
        )

    def nodes(self) -> list[Node]:
        """All of them."""
        # A set's order differs from process to process, and a program's must not.
        saved = sorted(self.saved, key=lambda n: n.number)
        return [*self.states.values(), *(n for _, n in self.outputs), *saved]


@dataclass
class Lowered:
    """A program, and which value holds which node; backward programs are lowered over it."""

    program: Program
    value_of: dict[Node, int]
    states: dict[Name, int]
    nodes: set[Node]
    saved: set[Node]

    def gives(self, node: Node) -> bool:
        """Whether a backward program can read the value, or make it of such that it can read."""
        if node.op.name in RECOMPUTED or node not in self.nodes:
            made = bool(node.inputs) or node.op.name in RECOMPUTED
            return made and all(map(self.gives, node.inputs))
        return node in self.saved


def _strip(node: Node) -> Node:
    while node.op.name == "reshape":
        node = node.inputs[0]
    return node


def _parts(node: Node) -> tuple[Node, ...]:
    """What writes the node's rows: of a join, leaves and inner vertices apart."""
    return node.inputs if node.op.name == "join" else (node,)


def is_view(node: Node) -> bool:
    """Whether the node is columns of its stored operand."""
    if node.op.name == "reshape":
        return True
    return node.op.name == "slice" and is_line(node.inputs[0])


def is_column(node: Node) -> bool:
    """Whether the node repeats one element along a row, which elementwise groups do themselves."""
    return node.op.name == "broadcast" and node.inputs[0].size == 1


def _is_part(node: Node) -> bool:
    """Whether an elementwise group that reads the node can read its operand instead."""
    return is_view(node) or is_column(node)


def _reachable(roots: Iterable[Node], external: set[Node]) -> list[Node]:
    """Nodes that `roots` depend on, operands first, not going below `external` ones."""
    order: list[Node] = []
    done: dict[Node, bool] = {}
    stack = [n for n in roots if n not in external]
    while stack:
        node = stack[-1]
        if done.get(node) is None:
            done[node] = False
            stack.extend(x for x in node.inputs if x not in done and x not in external)
        else:
            stack.pop()
            if not done[node]:
                done[node] = True
                order.append(node)
    return order


def read_from_forward(
    roots: Iterable[Node], forward: set[Node], states: Mapping[Name, Node]
) -> set[Node]:
    """Nodes of the forward program that a gradient with these roots reads from memory; gathers are
    made again from the states."""
    found: set[Node] = set()
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in forward and node.op.name not in RECOMPUTED:
            found.add(node)
        elif node.op.name == "gather":
            found.add(states[node.attrs["name"]])
        else:
            stack.extend(node.inputs)
    return found


class _Lowering:
    def __init__(
        self,
        sinks: Sinks,
        forward: Lowered | None,
        params: Mapping[str, object],
        switches: set[str],
        counted: Sequence[tuple[Unique, Space]],
        masks: Mapping[Node, Node],
    ) -> None:
        self.sinks = sinks = sinks.stripped()
        self.forward = forward
        self.switches = switches
        # The rest of F is computed again: forward keeps what the gradient from all outputs reads,
        # and that from some of them may be written otherwise.
        self.external = set(forward.saved) if forward else set()
        order = _reachable(sinks.nodes(), self.external)
        self.masks = {node: masks[node] for node in order if node in masks}
        self.order = _reachable([*sinks.nodes(), *self.masks.values()], self.external)
        self.emitter = Emitter(forward, self.external, params, counted)
        self.wanted = {part for node in sinks.nodes() for part in (node, *_parts(node))}
        self.wanted.update(self.masks.values())  # products read them, which are no users of theirs
        known = forward.nodes if forward else set()
        specialized = any(n.space == SpaceKind.INNER for n in [*self.order, *known])
        self.edge_rows = SpaceKind.INNER if specialized else SpaceKind.VERTEX
        users = self._users()
        self.forced = self._forced(users)
        merged = "merge_matmuls" in switches
        self.sums = merge_matmuls(self.order, users, self.wanted) if merged else {}
        self.summed = {x: add for add in self.sums for x in add.inputs}
        self.placed: dict[Node, Node] = {}
        self.placed = self._placed()

    def _users(self) -> dict[Node, list[Node]]:
        users: dict[Node, list[Node]] = {n: [] for n in self.order}
        for node in self.order:
            for x in node.inputs:
                users.setdefault(x, []).append(node)
        return users

    def _forced(self, users: Mapping[Node, Sequence[Node]]) -> set[Node]:
        """Index loads, columns, constants and views of them whose rows something needs in memory:
        elementwise groups read them without."""
        forced: set[Node] = set()
        for node in reversed(self.order):
            if node.op.name in INDEX_LOADS or node.op.name == "constant" or _is_part(node):
                reads = all(
                    user.op.elementwise
                    or (_is_part(user) and user not in forced)
                    or _reads_state(user, node)
                    or self._reads_rows(user, node)
                    for user in users[node]
                )
                if not reads or node in self.wanted:
                    forced.add(node)
        sums = [n for n in self.order if n.op.name in SUMS]
        forced.update(
            n for n in sums if not (self._summed_by(n, users[n]) or self._listed(n, users[n]))
        )
        return forced

    def _reads_rows(self, user: Node, node: Node) -> bool:
        """Whether the user, no elementwise operation, goes through the index to the rows."""
        while is_view(node):
            node = node.inputs[0]
        finds = reads_through_index(user, masked=user in self.masks)
        return node.op.name in INDEX_LOADS and finds

    def _listed(self, node: Node, users: Sequence[Node]) -> bool:
        """Whether what the rows of equal ids get from their parents is summed at once."""
        by_id = all(u.op.name == "unique_sum" and u.attrs["base"] == node.space for u in users)
        if node.op.name != "state_cotangent" or not by_id or node in self.wanted:
            return False
        return not self.sinks.slots.get(node.attrs["name"], 0)  # these have a row for a position

    def _summed_by(self, node: Node, users: Sequence[Node]) -> bool:
        """Whether the sum over lists of rows is taken by the one operation that reads it."""
        alone = len(users) == 1 and node not in self.wanted
        return alone and users[0].op.elementwise and users[0].space == node.space

    def _placed(self) -> dict[Node, Node]:
        """Parts of states that need no copy, to the unit that writes its rows in their place."""
        placed: dict[Node, Node] = {}
        parts = [x for node in self.sinks.states.values() for x in _parts(node)]
        for part in [x for x in parts if x.op.name == "identity"]:
            unit = _strip(part.inputs[0])
            own = self.is_unit(unit) and unit not in self.external
            if own and unit.space == part.space and unit not in placed.values():
                placed[part] = unit
        return placed

    def is_unit(self, node: Node) -> bool:
        """Whether the node stores a result of its own."""
        if node.op.name in ("param", "remembered", "join") or is_view(node):
            return False
        if node in self.placed or node in self.sums:
            return False
        if node.op.name in (*INDEX_LOADS, *SUMS, "constant") or is_column(node):
            return node in self.forced
        return True

    def partition(self, node: Node) -> Partition:
        """How the work on a node is divided among threads."""
        return "global" if node.op.name in OVER_ROWS else self.rows(node)

    def rows(self, node: Node) -> Space:
        """Which rows a thread takes: edges go with their parents."""
        return self.edge_rows if node.space == SpaceKind.EDGE else node.space

    def stored(self, node: Node) -> tuple[Node | None, bool]:
        """The unit that `node` is read from (None: external or no memory), and whether through an
        index that leaves the rows at hand."""
        crossed = False
        while True:
            if node in self.external or node.op.name in ("param", "remembered"):
                return None, crossed
            if self.is_unit(node):
                return node, crossed
            if node.op.name in ("gather", "constant", "state_cotangent"):
                return None, crossed
            crossed = crossed or _crosses(node)
            node = self.sums[node][-1] if node in self.sums else node.inputs[0]

    def reads(self, node: Node) -> list[Node]:
        """The node's operands, and the mask of its rows."""
        return [*node.inputs, *([self.masks[node]] if node in self.masks else [])]

    def units(self) -> dict[Node, Unit]:
        phase = assign_phases(
            self.order,
            lambda n: [x for x in self.reads(n) if x not in self.external],
            lambda n: n.op.name == ("state_cotangent" if self.forward else "gather"),
            [part for node in self.sinks.states.values() for part in _parts(node)],
            "phases" in self.switches,
        )
        for terms in self.sums.values():
            terms.sort(key=phase.__getitem__)
        units: dict[Node, Unit] = {}
        for node in self.order:
            if not self.is_unit(node):
                continue
            unit = Unit(node, phase[node], self.partition(node), is_fusable(node))
            for x in self.reads(node):
                source, crossed = self.stored(x)
                if source is None:
                    continue
                crossed = crossed or _crosses(node)
                direct = source is x
                unit.add_dependency(units[source], crossed, direct)
            units[node] = unit
        for terms in self.sums.values():
            for before, term in pairwise(terms):
                units[term].add_dependency(units[before], crossed=True, direct=False)
        return units

    def goes_on(self, node: Node) -> bool:
        """Whether the unit adds to the value that it writes."""
        return any(node in terms[1:] for terms in self.sums.values())

    def run(self) -> Lowered:
        units = self.units()
        self.emitter.prepare(self, units)
        stores = self.emitter.stores(self.sinks, units, self.stored)
        segments: list[Segment] = []
        for phase in Phase:
            members = [u for u in units.values() if u.phase == phase]
            members.extend(s for s in stores if s.phase == phase)
            for kind, space, groups in arrange(members, phase, "fuse" in self.switches):
                instructions = [i for group in groups for i in self.emitter.emit(group)]
                if instructions:
                    segments.append(Segment(kind, space, tuple(instructions)))
        forward = None if self.forward is None else self.forward.program
        program = self.emitter.program(segments, self.sinks, forward)
        emitter = self.emitter
        return Lowered(program, emitter.value_of, emitter.states, set(self.order), self.sinks.saved)


def is_fusable(node: Node) -> bool:
    """Whether the unit can be part of an elementwise group."""
    return node.op.elementwise


def _reads_state(user: Node, gather: Node) -> bool:
    """Whether the gather's user goes through the lists of children to the state itself."""
    segments = user.op.name in ("segment_sum", "segment_max", "segment_logsumexp")
    return segments and gather.op.name == "gather" and gather.attrs["slot"] is None


def _crosses(node: Node) -> bool:
    """Whether the unit reads rows of its operands that other threads may have written."""
    return node.op.name in (*OVER_ROWS, "unique_sum", "graph_sum", "expand", "graph_spread")


def lower(
    sinks: Sinks,
    forward: Lowered | None,
    params: Mapping[str, object],
    switches: Iterable[str],
    counted: Sequence[tuple[Unique, Space]] = (),
    masks: Mapping[Node, Node] = MappingProxyType({}),
) -> Lowered:
    """Lowers F (``forward`` None) or a gradient over its lowered F.

    `params`: by path; `switches`: the passes that are on; `counted`: the distinct ids that a
    gradient by rows needs; `masks`: products to the inputs that are zero where they may leave rows
    out.
    """
    return _Lowering(sinks, forward, params, set(switches), counted, masks).run()
