"""The values of a function at each vertex, for the oracle: where rows stand, and what each
operation that needs the graph gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from cavs.core.autodiff import Gradient, differentiate
from cavs.core.compiler import Compiler
from cavs.core.ir import FunctionIR, Name, Node, Reading, ancestors
from cavs.core.joins import results_of
from cavs.core.ops import structure
from cavs.core.ops._def import OpDef
from cavs.core.ops._spaces import Space, SpaceKind, Typed, as_rows
from cavs.core.ops.elementwise import IDENTITY
from cavs.core.ops.random import DROPOUT, DROPOUT_BY_ID, UNIFORM
from cavs.core.ops.reduce import reference_log_softmax, reference_logsumexp, reference_softmax
from cavs.core.ops.shape import CONCAT
from cavs.core.owners import path_of
from cavs.core.trace import Trace
from cavs.core.traced_vertex import InputSpec
from cavs.core.vertex import is_buffer
from cavs.device import device_of
from cavs.errors import ShapeError
from cavs.execution.executor import Array, RandomState
from cavs.execution.philox import BATCH_LOCAL, GRAPH_LOCAL, uniform, uniform_by_id
from cavs.execution.typed_rows import lists_of, names_of_types, rows_of
from cavs.scheduler import GraphBatch

Values = dict[Node, Array]


class TypeFunction:
    """The function of the vertices of one type; of all vertices in a function without types.

    Attributes:
        function: its results.
        nodes: all values, operands first.
        gradient: of the last backward, with the nodes that it adds.
    """

    def __init__(self, function: FunctionIR) -> None:
        self.function = function
        self.nodes = ancestors(function.roots())
        self.gradient = Gradient({}, [], {})
        self.of_gradient: list[Node] = []

    def differentiate(
        self, cotangents: Collection[Name], wanted: Collection[Name], readings: Collection[Name]
    ) -> None:
        """Makes the gradient from the cotangents of outputs; `wanted`: inputs that get one;
        `readings`: of states by the functions of all types."""
        pushes = [name for name in cotangents if name in self.function.pushes]
        pulls = {n.attrs["name"]: as_rows(n.space) for n in self.nodes if n.op is structure.PULL}
        inputs = {name: rows for name, rows in pulls.items() if name in wanted}
        self.gradient = differentiate(
            self.function, pushes, inputs, readings=readings, located=True
        )
        known = set(self.nodes)
        roots = self.gradient.roots()
        self.of_gradient = [n for n in ancestors(roots) if n not in known]


def _functions(trace: Trace) -> dict[str, TypeFunction]:
    """The function of each type; the type in a function without types has no name."""
    if not trace.types:
        return {"": TypeFunction(trace.function)}
    found = {}
    for name in trace.types:
        scatters, pushes = (
            {k: x for k, node in results.items() for x in results_of(node) if x.space.type == name}
            for results in (trace.function.scatters, trace.function.pushes)
        )
        # What has no rows belongs to the type that it is computed from, if to any.
        for name_of, node in trace.function.pushes.items():
            if node.space == SpaceKind.NONE and _type_below(node, trace.types) == name:
                pushes[name_of] = node
        updates = {
            buffer: node
            for buffer, node in trace.function.updates.items()
            if _type_below(node, trace.types) == name
        }
        found[name] = TypeFunction(FunctionIR(scatters, pushes, updates))
    return found


def _type_below(node: Node, types: Sequence[str]) -> str:
    """The type whose values a value without rows depends on; the first if on none."""
    found = (x.space.type for x in ancestors([node]) if isinstance(x.space, Typed))
    return next(found, types[0])


class ReferenceValues:
    """All values of all vertices of a call."""

    def __init__(
        self,
        compiler: Compiler,
        dtype: np.dtype[Any],
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        wanted: frozenset[Name],
    ) -> None:
        compiler = compiler.in_mode(random.training)
        trace = compiler.trace
        self.joined = trace.function
        self.specs = trace.inputs
        self.functions = _functions(trace)
        self.params = compiler.params
        self.dtype = dtype
        self.graphs = graphs
        self.inputs = inputs
        self.random = random
        self.wanted = wanted
        self.order = _children_first(graphs)
        self.child_slot = graphs.child_slot
        # A graph without vertices has values of its own: they stand with a vertex that it has not.
        sizes = np.diff(graphs.ptr)
        empty = np.flatnonzero(sizes == 0)
        self.types = names_of_types(graphs, trace.types)
        # One more, without a graph, has what has no rows, where a type has no vertices.
        lacks = set(self.functions) - set(self.types)
        end = graphs.num_vertices + len(empty)
        self.of_none = list(range(graphs.num_vertices, end + bool(lacks)))
        self.without_graph = end
        graph_of = np.repeat(np.arange(graphs.num_graphs), sizes)
        self.graph_of = np.concatenate([graph_of, empty, np.zeros(int(bool(lacks)), int)])
        self.values: list[Values] = [{} for _ in self.graph_of]
        self.shares: list[Values] = [{} for _ in self.graph_of]  # of sums over vertices
        self.states: dict[Name, dict[int, Array]] = {name: {} for name in self.joined.scatters}
        self._places: dict[Space, Array] = {}

    def of(self, v: int) -> TypeFunction:
        """The function of a vertex."""
        return self.functions[self.types[v]]

    def _group(self, v: int, node: Node) -> int:
        """The graph of a value per graph; else 0."""
        return int(self.graph_of[v]) if node.space == SpaceKind.GRAPH else 0

    # Rows at hand: a vertex's own, its edges', its graph's

    def _edges(self, v: int, edges: Space) -> Array:
        """The edges of a vertex: all of them or, in a function of types, those of a list."""
        ptr = self.graphs.child_ptr
        own = np.arange(int(ptr[v]), int(ptr[v + 1]))
        (child_type,) = [x.children for x in lists_of(edges)] or [None]
        if child_type is None:
            return own
        return own[[self.types[int(self.graphs.children[e])] == child_type for e in own]]

    def _children(self, v: int, edges: Space) -> Array:
        children: Array = self.graphs.children[self._edges(v, edges)]
        return children

    def _slots(self, v: int, edges: Space) -> Array:
        """The positions of the children: of one type among those of the type."""
        own = self._edges(v, edges)
        counted = any(x.children is not None for x in lists_of(edges))
        slots: Array = np.arange(len(own)) if counted else self.child_slot[own]
        return slots

    def _children_at(self, v: int, edges: Space, slot: int) -> Array:
        """The child at the position, if there is one."""
        children = self._children(v, edges)
        if slot < 0:
            return children[len(children) + slot :][:1] if len(children) >= -slot else children[:0]
        found: Array = children[self._slots(v, edges) == slot]
        return found

    def _own(self, v: int, node: Node) -> Array:
        """The rows of a value of the vertex, as the user numbers vertices, edges and graphs."""
        if node.space.kind is SpaceKind.EDGE:
            return self._edges(v, node.space)
        return np.array([int(self.graph_of[v]) if node.space == SpaceKind.GRAPH else v])

    def _rows(self, v: int, node: Node, array: Space) -> Array:
        """The same in an array that has rows `array`: of some types, perhaps."""
        rows = self._own(v, node)
        return rows if not isinstance(array, Typed) else self._places_in(array)[rows]

    def _places_in(self, array: Typed) -> Array:
        """The places of all vertices or edges in an array, -1 where it has none."""
        if array not in self._places:
            is_edge = array.kind is SpaceKind.EDGE
            there = rows_of(self.graphs, list(self.functions), array)
            places = np.full(self.graphs.num_edges if is_edge else self.graphs.num_vertices, -1)
            places[there] = np.arange(len(there))
            self._places[array] = places
        return self._places[array]

    def _count(self, space: Space) -> int:
        if isinstance(space, Typed):
            return int((self._places_in(space) >= 0).sum())
        counts: dict[Space, int] = {
            SpaceKind.VERTEX: self.graphs.num_vertices,
            SpaceKind.EDGE: self.graphs.num_edges,
            SpaceKind.GRAPH: self.graphs.num_graphs,
        }
        return counts[space]

    def _shape(self, spec: InputSpec) -> tuple[int, ...]:
        """The shape of an input's array."""
        if spec.rows is SpaceKind.NONE:
            return spec.shape
        return (self._count(spec.rows), *spec.shape)

    def _zeros(self, node: Node) -> Array:
        return np.zeros((self._count(node.space), *node.shape), self.dtype)

    def _evaluate(self, v: int, node: Node, given: Mapping[str, Any]) -> Array:
        of_graph = _OF_GRAPH.get(node.op)
        # Like the native engine: infinities and NaN come silently.
        with np.errstate(all="ignore"):
            if of_graph is not None:
                return of_graph(self, v, node, given)
            operands = [self.values[v][x] for x in node.inputs]
            assert node.op.reference is not None, node
            value = node.op.reference(np, *operands, **node.attrs)
        return np.asarray(value, np.int32 if node.dtype == "int32" else self.dtype)

    # Operations that need the graph

    def _param(self, v: int, node: Node, given: Any) -> Array:
        parameter = node.attrs["parameter"]
        values = parameter.read()[0]
        values = device_of(values).to_host(values)
        if values.shape != node.shape:
            raise ShapeError(
                f"[reference] expected shape {node.shape} for parameter "
                f"{path_of(parameter)!r}, got {values.shape}; give it the shape that it was "
                "compiled with"
            )
        dtype = values.dtype if node.dtype == "int32" else self.dtype
        # A buffer is copied: calls may write it before backward.
        copied: Array = np.array(values, dtype) if is_buffer(parameter) else values
        return np.asarray(copied, dtype)

    def _constant(self, v: int, node: Node, given: Any) -> Array:
        return np.full(node.shape, node.attrs["value"], self.dtype)

    def _pull(self, v: int, node: Node, given: Any) -> Array:
        name = node.attrs["name"]
        if node.space == SpaceKind.NONE:
            return self.inputs[name].astype(self.dtype)
        array: Array = self.inputs[name][self._rows(v, node, self.specs[name].rows)]
        # Copied, since the caller may change it before backward.
        return array.astype(array.dtype if node.dtype == "int32" else self.dtype)

    def _gather(self, v: int, node: Node, given: Any) -> Array:
        edges, slot = node.attrs["edges"], node.attrs["slot"]
        children, state = self._children(v, edges), self.states[node.attrs["name"]]
        if slot is not None:
            for child in self._children_at(v, edges, slot).tolist():
                return state[child][None]
            return np.zeros((1, *node.shape), self.dtype)
        if len(children) == 0:
            return np.zeros((0, *node.shape), self.dtype)
        return np.stack([state[int(c)] for c in children])

    def _push_cotangent(self, v: int, node: Node, given: Any) -> Array:
        name = node.attrs["name"]
        array: Array = given["push"][name]
        if node.space == SpaceKind.NONE:
            return array
        rows = self._rows(v, node, self.joined.pushes[name].space)
        return array[rows]

    def _state_cotangent(self, v: int, node: Node, given: Any) -> Array:
        array: Array = given["state"][node.attrs["reading"]][v : v + 1]
        return array

    def _num_children(self, v: int, node: Node, given: Any) -> Array:
        return np.full((1,), len(self._edges(v, node.attrs["edges"])), self.dtype)

    def _spread(self, v: int, node: Node, given: Any) -> Array:
        return np.repeat(self.values[v][node.inputs[0]], len(self._edges(v, node.space)), axis=0)

    def _segment_sum(self, v: int, node: Node, given: Any) -> Array:
        total: Array = self.values[v][node.inputs[0]].sum(axis=0, keepdims=True)
        return total

    def _segment_max(self, v: int, node: Node, given: Any) -> Array:
        x = self.values[v][node.inputs[0]]
        if len(x) == 0:
            return np.zeros((1, *node.shape), self.dtype)
        top: Array = x.max(axis=0, keepdims=True)
        return top

    def _segment_logsumexp(self, v: int, node: Node, given: Any) -> Array:
        total: Array = reference_logsumexp(np, self.values[v][node.inputs[0]], 0)[None]
        return total

    def _segment_softmax(self, v: int, node: Node, given: Any) -> Array:
        weights: Array = reference_softmax(np, self.values[v][node.inputs[0]], 0)
        return weights

    def _segment_log_softmax(self, v: int, node: Node, given: Any) -> Array:
        logs: Array = reference_log_softmax(np, self.values[v][node.inputs[0]], 0)
        return logs

    def _of_graph(self, v: int, node: Node, given: Any) -> Array:
        return self.values[v][node.inputs[0]]

    def _reduce_rows(self, v: int, node: Node, given: Any) -> Array:
        x = self.values[v][node.inputs[0]]
        total: Array = x.reshape(-1, *node.shape).sum(axis=0)
        return total

    def _max_rows(self, v: int, node: Node, given: Any) -> Array:
        x = self.values[v][node.inputs[0]].reshape(-1, *node.shape)
        # Of no edges the share is none: it must not count.
        top: Array = x.max(axis=0) if len(x) else np.full(node.shape, -np.inf, self.dtype)
        return top

    def _slots_to_edges(self, v: int, node: Node, given: Any) -> Array:
        slots = self._slots(v, node.space).tolist()
        if node.attrs["from_last"]:
            slots = [*reversed(range(len(slots)))]
        edges = np.zeros((len(slots), *node.shape), self.dtype)
        for edge, slot in enumerate(slots):
            if slot < len(node.inputs):
                edges[edge] = self.values[v][node.inputs[slot]].reshape(node.shape)
        return edges

    def _child_columns(self, v: int, node: Node, given: Any) -> Array:
        x, count = self.values[v][node.inputs[0]], len(self._edges(v, node.space))
        matrix = x.reshape(node.inputs[0].shape)
        return np.moveaxis(matrix[..., matrix.shape[-1] - count :], -1, 0)

    def _child_columns_grad(self, v: int, node: Node, given: Any) -> Array:
        x = self.values[v][node.inputs[0]]
        matrix = np.zeros((1, *node.shape), self.dtype)
        matrix[0, ..., node.shape[-1] - len(x) :] = np.moveaxis(x, 0, -1)
        return matrix

    def _identity(self, v: int, node: Node, given: Any) -> Array:
        x = self.values[v][node.inputs[0]]
        if node.space == node.inputs[0].space:
            return x
        return np.repeat(x[None], len(self._own(v, node)), axis=0)  # what has no rows, for each

    def _concat(self, v: int, node: Node, given: Any) -> Array:
        parts = [self.values[v][x] for x in node.inputs]
        rows = max((p.shape[: p.ndim - len(node.shape)] for p in parts), key=len)
        return np.concatenate(
            [
                np.broadcast_to(p, (*rows, *x.shape))
                for p, x in zip(parts, node.inputs, strict=True)
            ],
            axis=-1,
        )

    def _dropout(self, v: int, node: Node, given: Any) -> Array:
        return self._drop(v, node, self._draw)

    def _dropout_by_id(self, v: int, node: Node, given: Any) -> Array:
        return self._drop(v, node, self._draw_by_id)

    def _drop(self, v: int, node: Node, draw: Callable[[int, Node], Array]) -> Array:
        x = self.values[v][node.inputs[0]]  # evaluation has no dropout
        p = node.attrs["p"]
        kept = draw(v, node) >= p
        return np.where(kept, x * self.dtype.type(1 / (1 - p)), 0).astype(self.dtype)

    def _uniform(self, v: int, node: Node, given: Any) -> Array:
        return self._draw(v, node).astype(self.dtype)

    def _draw(self, v: int, node: Node) -> Array:
        """Uniform numbers for the rows at hand."""
        seed, step, key = self.random.seed, self.random.step, node.attrs["key"]
        if node.space == SpaceKind.NONE:
            numbers = uniform(seed, step, key, np.zeros(1, int), np.full(1, BATCH_LOCAL), node.size)
            return numbers.reshape(node.shape)
        graph, rows = int(self.graph_of[v]), self._own(v, node)
        ptr = self.graphs.edge_ptr if node.space.kind is SpaceKind.EDGE else self.graphs.ptr
        local = rows - int(ptr[graph])
        if node.space == SpaceKind.GRAPH:
            local = np.full(1, GRAPH_LOCAL)
        keys = np.full(len(local), self.graphs.keys[graph])
        return uniform(seed, step, key, keys, local, node.size).reshape(len(local), *node.shape)

    def _draw_by_id(self, v: int, node: Node) -> Array:
        """Uniform numbers for the rows at hand by their ids, the operands after the first."""
        ids = np.stack([self.values[v][x] for x in node.inputs[1:]], axis=-1)
        seed, step, key = self.random.seed, self.random.step, node.attrs["key"]
        return uniform_by_id(seed, step, key, ids, node.size).reshape(len(ids), *node.shape)


_OF_GRAPH: dict[OpDef, Callable[[ReferenceValues, int, Node, Mapping[str, Any]], Array]] = {
    structure.PARAM: ReferenceValues._param,
    structure.CONSTANT: ReferenceValues._constant,
    structure.PULL: ReferenceValues._pull,
    structure.GATHER: ReferenceValues._gather,
    structure.PUSH_COTANGENT: ReferenceValues._push_cotangent,
    structure.STATE_COTANGENT: ReferenceValues._state_cotangent,
    structure.NUM_CHILDREN: ReferenceValues._num_children,
    structure.SPREAD: ReferenceValues._spread,
    structure.SEGMENT_SUM: ReferenceValues._segment_sum,
    structure.SEGMENT_MAX: ReferenceValues._segment_max,
    structure.SEGMENT_LOGSUMEXP: ReferenceValues._segment_logsumexp,
    structure.SEGMENT_SOFTMAX: ReferenceValues._segment_softmax,
    structure.SEGMENT_LOG_SOFTMAX: ReferenceValues._segment_log_softmax,
    structure.GRAPH_SPREAD: ReferenceValues._of_graph,
    structure.GRAPH_SUM: ReferenceValues._of_graph,  # its share of the sum, see `_sum_up`
    structure.GRAPH_MAX: ReferenceValues._of_graph,
    structure.REDUCE_ROWS: ReferenceValues._reduce_rows,
    structure.MAX_ROWS: ReferenceValues._max_rows,
    structure.SLOTS_TO_EDGES: ReferenceValues._slots_to_edges,
    structure.CHILD_COLUMNS: ReferenceValues._child_columns,
    structure.CHILD_COLUMNS_GRAD: ReferenceValues._child_columns_grad,
    CONCAT: ReferenceValues._concat,
    IDENTITY: ReferenceValues._identity,
    DROPOUT: ReferenceValues._dropout,
    DROPOUT_BY_ID: ReferenceValues._dropout_by_id,
    UNIFORM: ReferenceValues._uniform,
}
"""Operations that need more than their operands: the graph, the caller's arrays, random numbers."""


def edges_of(reading: Name) -> Space:
    """The edges by which a state is read."""
    return reading.edges if isinstance(reading, Reading) else SpaceKind.EDGE


def _children_first(graphs: GraphBatch) -> list[int]:
    """Vertices in an order in which children come before parents."""
    ptr, children = graphs.child_ptr.tolist(), graphs.children.tolist()
    waiting = [ptr[v + 1] - ptr[v] for v in range(graphs.num_vertices)]
    parents: list[list[int]] = [[] for _ in range(graphs.num_vertices)]
    for v in range(graphs.num_vertices):
        for child in children[ptr[v] : ptr[v + 1]]:
            parents[child].append(v)
    order = [v for v, count in enumerate(waiting) if count == 0]
    for v in order:
        for parent in parents[v]:
            waiting[parent] -= 1
            if waiting[parent] == 0:
                order.append(parent)
    return order
