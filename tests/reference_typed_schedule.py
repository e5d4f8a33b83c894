"""The schedule for a function of types in plain Python, which the engine's, in C++, must equal.

Nothing is kept from one batch to the next: what is ready and which chains are longest is found anew
in what is left of the graphs.
"""

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise, takewhile

import numpy as np

from cavs.core.ops._spaces import EdgeList
from cavs.core.type_order import TypeOrder
from cavs.scheduler import GraphBatch, Policy
from cavs.scheduler.schedule import IntArray

#: The type of each batch, and its vertices, ascending; in order.
TypedBatches = list[tuple[str, list[int]]]


class Waiting:
    """The vertices of a batch that run batch by batch, and those that they wait for.

    Attributes:
        types: the name of the type of each vertex, also of those that run in no batch.
        is_leaf: whether it has no children; of each vertex.
        running: the vertices that run batch by batch.
        below: the children of each vertex, as far as both run batch by batch.
        above: the same turned round.
    """

    def __init__(self, batch: GraphBatch, order: TypeOrder) -> None:
        self.order = order
        self.types = type_names(batch, order)
        ptr, children = batch.child_ptr.tolist(), batch.children.tolist()
        self.is_leaf = [first == last for first, last in pairwise(ptr)]
        self.running = {v for v, name in enumerate(self.types) if self._runs_in_a_batch(v, name)}
        self.below: dict[int, set[int]] = {}
        self.above: dict[int, set[int]] = {v: set() for v in self.running}
        for v in self.running:
            self.below[v] = self.running.intersection(children[ptr[v] : ptr[v + 1]])
            for child in self.below[v]:
                self.above[child].add(v)
        self.depth = self._depths()

    def _runs_in_a_batch(self, v: int, name: str) -> bool:
        is_apart = self.is_leaf[v] and name in self.order.apart
        return name in self.order.batched and not is_apart

    def _depths(self) -> dict[int, int]:
        """The number of vertices below, on the longest path of those that run batch by batch."""
        depth: dict[int, int] = {}
        left = set(self.running)
        level = 0
        while left:
            ready = {v for v in left if not self.below[v] & left}
            depth.update(dict.fromkeys(ready, level))
            left -= ready
            level += 1
        return depth

    def ready(self, left: set[int]) -> dict[str, list[int]]:
        """By type, in the order of the types, what of `left` waits for nothing in it."""
        found: dict[str, list[int]] = {name: [] for name in self.order.names}
        for v in sorted(left):
            if not self.below[v] & left:
                found[self.types[v]].append(v)
        return {name: vertices for name, vertices in found.items() if vertices}

    def ranks(self) -> dict[str, int] | None:
        """By type, the most types that it waits for one after the other; None where two types wait
        for each other, or a child is not read and stands in the way."""
        batched = [name for name in self.order.names if name in self.order.batched]
        read: dict[str, set[str]] = {name: set() for name in batched}
        for edges in self.order.lists:
            if edges.parents in read:
                children = batched if edges.children is None else [edges.children]
                read[edges.parents] |= {x for x in children if x in read} - {edges.parents}
        ranks: dict[str, int] = {}
        while len(ranks) < len(batched):
            known = [name for name in batched if name not in ranks and read[name] <= set(ranks)]
            if not known:
                return None
            new = {x: 1 + max((ranks[child] for child in read[x]), default=-1) for x in known}
            ranks.update(new)
        for v in self.running:
            for child in self.below[v]:
                upper, lower = self.types[v], self.types[child]
                if upper != lower and ranks[lower] >= ranks[upper]:
                    return None
        return ranks

    def average_depth(self, name: str, left: set[int]) -> Fraction:
        """Of the vertices of the type that are left."""
        depths = [self.depth[v] for v in left if self.types[v] == name]
        return Fraction(sum(depths), len(depths))

    def chains(self, name: str, left: set[int]) -> dict[int, int]:
        """For each vertex of the type in `left`, the most of the type on a path upwards from it."""
        length: dict[int, int] = {}
        for v in sorted(left, key=self.depth.__getitem__, reverse=True):
            above = max((length[parent] for parent in self.above[v] & left), default=0)
            length[v] = above + (self.types[v] == name)
        return {v: count for v, count in length.items() if self.types[v] == name}

    def least(self, left: set[int]) -> int:
        """No policy needs fewer batches for what is left: the longest chain of each type."""
        return sum(max(self.chains(x, left).values(), default=0) for x in self.order.names)

    def share_of_longest(self, name: str, left: set[int]) -> Fraction:
        """Of the longest chains of the type, the share that begins with a vertex that is ready."""
        chains = self.chains(name, left)
        begins = {v for v, count in chains.items() if count == max(chains.values())}
        return Fraction(len(begins.intersection(self.ready(left)[name])), len(begins))


def type_names(batch: GraphBatch, order: TypeOrder) -> list[str]:
    """The name of each vertex's type; a number counts the types as they were given."""
    return [x if isinstance(x, str) else order.given[x] for x in batch.types or ()]


def typed_batches(batch: GraphBatch, policy: str | Policy, order: TypeOrder) -> TypedBatches:
    """The batches under a policy: one of the four, or a function of what is ready."""
    waiting = Waiting(batch, order)
    if policy == "serial":
        graphs = batch.graph_of_vertex.tolist()
        one_by_one = sorted(waiting.running, key=lambda v: (graphs[v], waiting.depth[v], v))
        return [(waiting.types[v], [v]) for v in one_by_one]
    if policy == "depth":
        return _by_depth(waiting)
    ranks = waiting.ranks() if policy == "bound" else None
    if ranks is not None:
        return _type_after_type(waiting, ranks)
    found: TypedBatches = []
    left = set(waiting.running)
    while left:
        ready = waiting.ready(left)
        name = _next_type(waiting, left, policy)
        found.append((name, ready[name]))
        left.difference_update(ready[name])
    return found


def _by_depth(waiting: Waiting) -> TypedBatches:
    found = []
    for level in range(max(waiting.depth.values(), default=-1) + 1):
        at_level = sorted(v for v in waiting.running if waiting.depth[v] == level)
        for name in waiting.order.names:
            found.append((name, [v for v in at_level if waiting.types[v] == name]))
    return [(name, vertices) for name, vertices in found if vertices]


def _type_after_type(waiting: Waiting, ranks: dict[str, int]) -> TypedBatches:
    """By rank, then by the depth among vertices of the own type, then by type."""
    depth: dict[int, int] = {}
    for v in sorted(waiting.running, key=waiting.depth.__getitem__):
        own = [
            depth[child] for child in waiting.below[v] if waiting.types[child] == waiting.types[v]
        ]
        depth[v] = 1 + max(own, default=-1)
    found: dict[tuple[int, int, int], list[int]] = {}
    for v in sorted(waiting.running):
        name = waiting.types[v]
        place = ranks[name], depth[v], waiting.order.names.index(name)
        found.setdefault(place, []).append(v)
    return [(waiting.order.names[place[-1]], vertices) for place, vertices in sorted(found.items())]


def _next_type(waiting: Waiting, left: set[int], policy: str | Policy) -> str:
    """Among equal types the first."""
    ready = waiting.ready(left)
    if not isinstance(policy, str):
        return policy({name: len(vertices) for name, vertices in ready.items()})
    if policy == "agenda":
        return min(ready, key=lambda name: waiting.average_depth(name, left))
    assert policy == "bound"

    def rank(name: str) -> tuple[Fraction, Fraction]:
        return -waiting.share_of_longest(name, left), waiting.average_depth(name, left)

    return min(ready, key=rank)


def least_batches(batch: GraphBatch, order: TypeOrder) -> int:
    """The longest chain of each type, added up."""
    waiting = Waiting(batch, order)
    return waiting.least(waiting.running)


class ReferenceTypedSchedule:
    """The schedule of `batch` for a function of types, built the slow and plain way."""

    num_graphs: int
    num_vertices: int
    num_edges: int
    num_levels: int
    num_batches: int
    num_steps: int
    batches: list[tuple[int, int, int]]
    type_rows: list[tuple[int, int, int]]
    step_ptr: IntArray
    vertex_order: IntArray
    vertex_row: IntArray
    graph: IntArray
    local: IntArray
    graph_ptr: IntArray
    graph_vertex: IntArray

    def __init__(self, batch: GraphBatch, policy: str | Policy, order: TypeOrder) -> None:
        self._batch = batch
        self._waiting = Waiting(batch, order)
        self.num_graphs = batch.num_graphs
        self.num_vertices = batch.num_vertices
        self.num_edges = batch.num_edges
        rows = self._fill_rows(typed_batches(batch, policy, order))
        self.num_levels = self.num_batches = len(self.batches)
        self.vertex_order = _ints(rows)
        self.vertex_row = _ints(rows.index(v) for v in range(len(rows)))
        self.graph = batch.graph_of_vertex[self.vertex_order]
        self.local = self.vertex_order - batch.ptr[self.graph]
        self.graph_ptr = batch.ptr
        self.graph_vertex = self.vertex_row
        self._edges = [self._edges_of(x) for x in order.lists]
        self.step_ptr = self._steps(serial=policy == "serial")
        self.num_steps = len(self.step_ptr) - 1

    def _fill_rows(self, batches: TypedBatches) -> list[int]:
        """The vertex of each row, type by type: what runs in no batch, then batch by batch."""
        is_leaf, types = self._waiting.is_leaf, self._waiting.types
        batched = {v for _, vertices in batches for v in vertices}
        rows: list[int] = []
        spans: dict[int, tuple[int, int, int]] = {}
        self.type_rows = []
        for number, name in enumerate(self._waiting.order.names):
            first = len(rows)
            rest = [v for v, each in enumerate(types) if each == name and v not in batched]
            rows += self._leaves_first(rest)
            for place, (each, vertices) in enumerate(batches):
                if each == name:
                    spans[place] = (number, len(rows), len(rows) + len(vertices))
                    rows += self._leaves_first(vertices)
            leaves = list(takewhile(is_leaf.__getitem__, rows[first:]))
            self.type_rows.append((first, first + len(leaves), len(rows)))
        self.batches = [spans[place] for place in range(len(batches))]
        return rows

    def _leaves_first(self, vertices: list[int]) -> list[int]:
        return sorted(vertices, key=lambda v: (not self._waiting.is_leaf[v], v))

    def _edges_of(self, edges: EdgeList) -> dict[str, IntArray]:
        """The arrays of a list of edges."""
        types, ptr = self._waiting.types, self._batch.child_ptr.tolist()
        children, slots = self._batch.children.tolist(), self._batch.child_slot.tolist()
        order: list[int] = []
        parent: list[int] = []
        slot: list[int] = []
        for row, v in enumerate(self.vertex_order.tolist()):
            if types[v] != edges.parents:
                continue
            all_edges = range(ptr[v], ptr[v + 1])
            mine = [e for e in all_edges if edges.children in (None, types[children[e]])]
            order += mine
            parent += [row] * len(mine)
            # Among children of one type the place counts; of all children it is their slot.
            slot += [slots[e] if edges.children is None else k for k, e in enumerate(mine)]
        child = [int(self.vertex_row[children[e]]) for e in order]
        rows = range(self.num_vertices)
        return {
            "order": _ints(order),
            "child": _ints(child),
            "parent": _ints(parent),
            "slot": _ints(slot),
            "ptr": _offsets(parent.count(row) for row in rows),
            "out_ptr": _offsets(child.count(row) for row in rows),
            "out_edge": _ints(e for row in rows for e, each in enumerate(child) if each == row),
        }

    def _steps(self, *, serial: bool) -> IntArray:
        """A batch begins a step if it reads, by a list of edges, what the step before it has; or
        `serial`, in which one vertex runs at a time."""
        owner = {row: b for b, (_, *span) in enumerate(self.batches) for row in range(*span)}
        starts = [0] if self.batches else []
        for number in range(1, len(self.batches)):
            read = {
                owner.get(int(child), -1)
                for edges in self._edges
                for parent, child in zip(edges["parent"], edges["child"], strict=True)
                if owner.get(int(parent)) == number
            }
            if serial or any(b >= starts[-1] for b in read):
                starts.append(number)
        return _ints([*starts, len(self.batches)])

    def edge_rows(self, list: int) -> dict[str, IntArray]:
        """The arrays of a list of edges."""
        return self._edges[list]

    def slot(self, k: int, list: int = 0) -> IntArray:
        """Maps each vertex row to the vertex row of its k-th child in a list of edges, or -1."""
        edges = self._edges[list]
        rows = np.full(self.num_vertices, -1, np.int32)
        for parent, child, slot in zip(edges["parent"], edges["child"], edges["slot"], strict=True):
            if slot == k:
                rows[parent] = child
        return rows


def _ints(values: Iterable[int]) -> IntArray:
    return np.array([*values], np.int32)


def _offsets(counts: Iterable[int]) -> IntArray:
    return np.cumsum([0, *counts], dtype=np.int32)
