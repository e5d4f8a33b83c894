"""`GraphBatch`: the graphs of one minibatch, laid end to end, and split into parts again."""

import weakref
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cavs._arguments import choice, instance, items
from cavs._native import core
from cavs.errors import DTypeError, GraphError, InputError, ShapeError
from cavs.scheduler.conversions import as_array
from cavs.scheduler.input_graph import InputGraph
from cavs.scheduler.schedule import IntArray, Policy, Schedule, check_policy, make_schedule
from cavs.scheduler.structure import Ints, Structure, Types
from cavs.scheduler.type_rows import OneOrMore, is_of, types_there

_T = TypeVar("_T")

_MOST_OWN = 16
"""How many schedules of policies of the user's a batch keeps."""

_COUNTS = {"vertex": "num_vertices", "edge": "num_edges", "graph": "num_graphs"}


class GraphBatch(Structure):
    """Input graphs laid end to end; made by `batch`. Immutable.

    Vertices are numbered through the batch: graph 0's, then graph 1's, ...; edges likewise, in the
    order of the child lists. Vertex inputs and outputs are arrays over these numbers.

    `ptr`, `edge_ptr`, `child_ptr`, `children` and `keys` are what the engine reads, and read-only:
    ``torch.tensor(graphs.ptr)`` copies one. The other arrays are made anew at each access. Where
    child lists are runs (`has_runs`), the engine reads `runs` in the place of `children`, which
    are made and kept when somebody asks for them.
    """

    __slots__ = ("_keys", "_own_schedules", "_schedules")

    def __init__(self, graphs: Iterable[InputGraph], keys: Ints | None = None) -> None:
        if isinstance(graphs, InputGraph):  # a single graph makes a batch of one
            graphs = [graphs]
        parts: list[Any] = items("graph", "graphs", graphs, object, "cavs.InputGraph", GraphError)
        for position, graph in enumerate(parts):
            if not isinstance(graph, InputGraph):
                raise GraphError(
                    f"[graph] expected graph {position} to be a cavs.InputGraph, got "
                    f"{type(graph).__name__}; make it by InputGraph(children=...)"
                )
        self._set(core.GraphBatch.concatenate([graph._native for graph in parts]), keys)

    @classmethod
    def from_csr(
        cls,
        ptr: Ints,
        child_ptr: Ints,
        children: Ints,
        keys: Ints | None = None,
        child_slot: Ints | None = None,
        types: Types | None = None,
    ) -> "GraphBatch":
        """Make a batch from flat arrays, without an `InputGraph` for each graph.

        `ptr` [num_graphs + 1], `child_ptr` [num_vertices + 1] and `child_slot` [num_edges] are as
        the attributes of these names; `children` [num_edges] are counted within each graph. Holes
        are said by `child_slot`, or stand as -1 in `children`, where `child_ptr` counts them.
        Cycles are found by `schedule`. `types` [num_vertices] are as those of an `InputGraph`.
        Raises `GraphError` that names graph and vertex.
        """
        try:
            native = core.GraphBatch(ptr, child_ptr, children, child_slot)
        except TypeError as error:
            raise DTypeError(str(error)) from None
        batch = cls._from_native(native, keys)
        batch._set_types(types)
        return batch

    @classmethod
    def _from_runs(
        cls, ptr: Ints, first: Ints, count: Ints, keys: Ints, types: Types | None
    ) -> "GraphBatch":
        """A batch of run lists, `first` counted within each graph."""
        batch = cls._from_native(core.GraphBatch.from_runs(ptr, first, count), keys)
        batch._set_types(types)
        return batch

    @classmethod
    def _from_native(cls, native: Any, keys: Ints | None) -> "GraphBatch":
        batch = cls.__new__(cls)
        batch._set(native, keys)
        return batch

    def _set(self, native: Any, keys: Ints | None) -> None:
        self._fill(native, _check_keys(keys, native.num_graphs))

    def _fill(self, native: Any, keys: npt.NDArray[np.int64]) -> None:
        self._native = native
        self._keys = keys
        self._schedules: dict[Any, Any] = {}
        self._own_schedules: dict[Any, tuple[Callable[[], Any], Schedule]] = {}

    @property
    def native(self) -> Any:
        """The batch as native code takes it."""
        return self._native

    def rows(self, space: str) -> int:
        """Number of rows of a value with one row for each ``vertex``, ``edge`` or ``graph``."""
        return int(getattr(self._native, _COUNTS[choice("graph", "space", space, _COUNTS)]))

    @property
    def num_graphs(self) -> int:
        """Number of graphs, also ``len(batch)``."""
        return int(self._native.num_graphs)

    @property
    def ptr(self) -> IntArray:
        """First vertex of each graph; int32 [num_graphs + 1], read-only."""
        array: IntArray = self._native.ptr
        return array

    @property
    def edge_ptr(self) -> IntArray:
        """First edge of each graph; int32 [num_graphs + 1], read-only."""
        array: IntArray = self._native.edge_ptr
        return array

    @property
    def children(self) -> IntArray:
        """Each edge's child, as its number in the batch; int32 [num_edges], read-only."""
        array: IntArray = self._native.children
        return array

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        """The key by which each graph's random numbers are drawn; int64 [num_graphs], read-only."""
        return self._keys

    @property
    def graph_of_vertex(self) -> IntArray:
        """Each vertex's graph, ascending; int32 [num_vertices], a new array."""
        return np.repeat(np.arange(self.num_graphs, dtype=np.int32), np.diff(self.ptr))

    def schedule(
        self, policy: str | Policy = "depth", types: tuple[Any, ...] | None = None
    ) -> Schedule:
        """Return the batch's schedule, built in C++ on first use and kept. That of a policy of the
        user's is kept for this very object: make another object for another policy.

        `types`: the order of the types of a function, in numbers; None for a function without
        types, for which a policy of the user's makes no difference. Raises `GraphError` that names
        graph and vertices on a cycle, or a vertex of a type that the function does not have;
        `InputError` for a policy that does not exist, or that names no type with ready vertices.
        """
        if not isinstance(policy, str):
            if types is not None and callable(policy):
                return self._own_schedule(policy, types)
            check_policy(policy)
            policy = "depth"  # what programs without types do under any of the user's
        key = policy, types
        found: Schedule | None = self._schedules.get(key)  # each call asks
        if found is None:
            found = self._schedules.setdefault(key, make_schedule(self._native, policy, types))
        return found

    def _own_schedule(self, policy: Policy, types: tuple[Any, ...]) -> Schedule:
        """The schedule of a policy of the user's, which may have no hash: it is found by its number
        for as long as it is there. Later ones take the place of those whose policies are gone."""
        own = self._own_schedules
        key = id(policy), types
        found = own.get(key)
        if found is not None and found[0]() is policy:
            return found[1]
        schedule = make_schedule(self._native, policy, types)
        for other, (holder, _) in list(own.items()):  # another thread may be here
            if holder() is None:
                own.pop(other, None)
        while len(own) >= _MOST_OWN:
            own.pop(next(iter(list(own)), None), None)
        return own.setdefault(key, (_holder(policy), schedule))[1]

    def kept(self, key: object, make: Callable[[], _T]) -> _T:
        """What `make` gave for this key the first time; facts of the batch are worked out once."""
        found: _T | None = self._schedules.get(key)
        if found is None:
            found = self._schedules.setdefault(key, make())
        return found

    def vertices(self, type: OneOrMore) -> IntArray:
        """The numbers of the vertices of a type, or of several, as graphs give them, ascending;
        int32. Rows of their inputs and outputs stand in this order.

        Raises `GraphError` where the graphs have no types, or have them as names and a number is
        asked for, or the other way round; `InputError` for what is neither.
        """
        return np.flatnonzero(is_of(self.types, self.num_vertices, type)).astype(np.int32)

    def edges(self, parents: OneOrMore, children: OneOrMore | None = None) -> IntArray:
        """The numbers of the edges from vertices of a type, or of several, to children of a type,
        or of several, or None of any, ascending; int32. Rows of what ``pull_edge(..., of=...)``
        pulls stand in this order. Raises as :meth:`vertices` does."""
        types, count = self.types, self.num_vertices
        found = np.repeat(is_of(types, count, parents), np.diff(self.child_ptr))
        if children is not None:
            found &= is_of(types, count, children)[self.children]
        return np.flatnonzero(found).astype(np.int32)

    def reverse(self) -> "GraphBatch":
        """Return the batch with children and parents exchanged; numbers and keys stay, holes go.

        Edge `e` of the result is this batch's ``numpy.argsort(batch.children, kind="stable")[e]``.
        """
        return self._from_native(self._native.reverse(), self._keys)

    def __len__(self) -> int:
        return self.num_graphs

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GraphBatch):
            return NotImplemented
        return bool(self._native == other._native) and np.array_equal(self._keys, other._keys)

    def __hash__(self) -> int:
        return hash((self.ptr.tobytes(), self._keys.tobytes(), *self._hashed()))

    def __repr__(self) -> str:
        return (
            f"<GraphBatch of {self.num_graphs} graphs, {self.num_vertices} vertices, "
            f"{self.num_edges} edges>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if self.runs is not None:
            starts, counts = self.runs
            own = starts - np.repeat(self.ptr[:-1], np.diff(self.ptr))
            runs = (np.array(self.ptr), own, counts, self._keys, self.types)
            return GraphBatch._from_runs, runs
        first = np.repeat(self.ptr[:-1], np.diff(self.edge_ptr))
        arrays = (np.array(self.ptr), np.array(self.child_ptr), self.children - first)
        slots = self._slots()[0] if self.has_holes else None
        return GraphBatch.from_csr, (*arrays, self._keys, slots, self.types)


class GraphStore:
    """Graphs from which batches are made again and again, without Python for each graph."""

    __slots__ = ("_native", "graphs")

    def __init__(self, graphs: Iterable[InputGraph]) -> None:
        self.graphs = tuple(graphs)
        self._native = core.GraphStore([graph._native for graph in self.graphs])

    def batch(self, numbers: npt.NDArray[np.int64]) -> GraphBatch:
        """The batch of the graphs with these numbers, which are its keys; where a graph comes
        again, the key of its k-th copy after the first has k in it (see `copy_keys`).

        Raises `InputError` for a number out of range.
        """
        batch = GraphBatch.__new__(GraphBatch)
        keys = copy_keys(numbers)
        keys.setflags(write=False)
        batch._fill(self._native.batch(numbers), keys)
        return batch

    def __reduce__(self) -> tuple[Any, ...]:
        return GraphStore, (self.graphs,)


def batch(graphs: Iterable[InputGraph], keys: Ints | None = None) -> GraphBatch:
    """Lay graphs end to end.

    The random numbers of each graph (dropout and the like) are drawn by its key in `keys`, int64
    [num_graphs]. With its index in the data set as key, its samples do not depend on the batch that
    it is in. Without `keys`, the key of a graph is its position in the batch.
    """
    return GraphBatch(graphs, keys)


def unbatch(batch: GraphBatch, values: Any = None, of: OneOrMore | None = None) -> list[Any]:
    """Split `values` over the vertices of `batch` into one part for each graph.

    `values` has the batch's vertices as its first dimension, or with `of` those of a type or of
    several; parts are views if slices of its type are. Without `values`, returns the list of
    `InputGraph`. Raises `ShapeError`, and with `of` as `GraphBatch.vertices` does.
    """
    instance("unbatch", "batch", batch, GraphBatch, "a cavs.GraphBatch", GraphError)
    if values is None:
        if of is not None:
            raise InputError(
                "[unbatch] expected values where of names types, got none; pass an output of these"
            )
        spans = pairwise(batch.ptr.tolist())
        types = batch.types
        return [_graph_of(batch, types, first, last) for first, last in spans]
    if not isinstance(getattr(values, "shape", None), tuple):
        values = as_array(values, "unbatch", "values")
    ptr = rows_by_graph(batch, "unbatch", tuple(values.shape), of)
    return [values[first:last] for first, last in pairwise(ptr.tolist())]


def rows_by_graph(
    batch: GraphBatch,
    where: str,
    shape: tuple[int, ...],
    of: OneOrMore | None = None,
) -> IntArray:
    """The first of each graph's rows in an array of this shape, which has a row for each vertex, or
    for each of the types `of`; int32 [num_graphs + 1]. Raises `ShapeError` if it has not; `where`
    is for errors."""
    count, each, ptr = batch.num_vertices, "vertex", batch.ptr
    if of is not None:
        vertices = batch.vertices(of)
        names = of if isinstance(of, (list, tuple)) else [of]
        count, each = len(vertices), f"vertex of type {' or '.join(map(repr, names))}"
        ptr = np.searchsorted(vertices, ptr).astype(np.int32)
    if shape[:1] != (count,):
        remedy = "pass an output of these graphs"
        if of is None and batch.types is not None:
            remedy += ", or name its types by of="
        elif of is not None and not count:
            remedy += f", and in of= types that are there: {types_there(batch.types)}"
        raise ShapeError(
            f"[{where}] expected a row for each {each} of the batch ({count} rows), got shape "
            f"{shape}; {remedy}"
        )
    return ptr


def copy_keys(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A key for each of the samples `numbers`, [n], below 2**32: its number, and the number plus
    k * 2**32 for its k-th copy after the first, so that copies draw numbers of their own."""
    keys = numbers.copy()
    if len(numbers) == 1 or len(set(numbers.tolist())) == len(numbers):
        return keys
    order = np.argsort(numbers, kind="stable")
    first = np.searchsorted(numbers[order], numbers[order])
    keys[order] += (np.arange(len(numbers)) - first) << 32
    return keys


def _holder(policy: Policy) -> Callable[[], Any]:
    """A function that gives the policy, or None once it is gone."""
    try:
        return weakref.ref(policy)
    except TypeError:  # a class with __slots__ may not allow it
        return lambda: policy


def check_children(batch: GraphBatch, first: int, last: int) -> None:
    """Raises GraphError, naming the first vertex with a child that stands neither at one of the
    `first` slots nor among the `last` children."""
    counts = np.diff(batch.child_ptr)
    behind = np.maximum(counts - first, 0)
    if batch.has_holes:
        begin, end = batch.child_ptr[:-1], batch.child_ptr[1:]
        has_children = counts > 0
        slots = batch.child_slot  # they ascend within a list
        counts[has_children] = slots[end[has_children] - 1] + 1
        total = np.concatenate([[0], np.cumsum(slots >= first)])
        behind = total[end] - total[begin]
    beyond = np.flatnonzero(behind > last)
    if not len(beyond):
        return
    vertex = int(beyond[0])
    read = f"the first {first} and the last {last} alone"
    read = read if last else f"no slot beyond {first - 1}"
    graph = int(np.searchsorted(batch.ptr, vertex, side="right")) - 1
    raise GraphError(
        f"[graph] graph {graph}, vertex {vertex - int(batch.ptr[graph])}: expected at most "
        f"{first + last} children, since F gathers {read}, got {counts[vertex]}; gather "
        "more slots or all children, or compile with extra_children='ignore'"
    )


def _graph_of(batch: GraphBatch, types: Any, first: int, last: int) -> InputGraph:
    own = None if types is None else types[first:last]
    if batch.runs is not None:
        starts, counts = batch.runs
        return InputGraph.windows(starts[first:last] - first, counts[first:last], own)
    ptr = batch.child_ptr[first : last + 1]
    edges = slice(ptr[0], ptr[-1])
    slots = batch.child_slot[edges] if batch.has_holes else None
    return InputGraph.from_csr(ptr - ptr[0], batch.children[edges] - first, slots, own)


def _check_keys(keys: Ints | None, num_graphs: int) -> npt.NDArray[np.int64]:
    if keys is None:
        positions = np.arange(num_graphs, dtype=np.int64)
        positions.setflags(write=False)
        return positions
    array = as_array(keys, "graph", "keys")
    if array.shape != (num_graphs,):
        raise ShapeError(
            f"[graph] expected one integer key for each of the {num_graphs} graphs, got shape "
            f"{array.shape}; give a key for each graph"
        )
    if array.dtype.kind not in "iu" and array.size:
        raise DTypeError(
            f"[graph] expected keys to be integers, got {array.dtype}; convert them to int64"
        )
    checked = array.astype(np.int64)
    checked.setflags(write=False)
    return checked
