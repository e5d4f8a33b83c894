"""Vertices to open, and all that have been opened, with their inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cavs._arguments import mapping, shown
from cavs._arrays import Array, first_outside
from cavs._native import core as _core
from cavs.core.ir import Name
from cavs.core.traced_vertex import InputSpec
from cavs.device.taking import host_array
from cavs.errors import DTypeError, GraphError, InputError, ShapeError
from cavs.execution.growth import ANY_NUMBER, GrowthRules, NativeGrowth, native_reads
from cavs.execution.native import NativeExecutor
from cavs.grown_graphs import (
    Mark,
    Whole,
    forgotten_vertices,
    graphs_of_vertices,
    integers_of,
    lists_of_children,
    whole_graphs,
)
from cavs.grown_rows import HeldRows, Rows, codes_of
from cavs.model import Model
from cavs.tensor import detecting, has_nan, no_grad


@dataclass(frozen=True, eq=False)
class Growth:
    """Vertices to open.

    Attributes:
        children: for each new vertex the numbers of the vertices whose states it gathers, in order:
            a list of lists, or integers (vertices,) for one each or (vertices, slots). They are
            numbers of `Frontier.vertices`, of this level or an earlier one; -1 is a hole, a missing
            child.
        inputs: the inputs that the new vertices pull, arrays with a row for each. In a function of
            types an input has a row for each new vertex of the types that pull it, in the order of
            the new vertices; where there are none of these, it may be left out.
        graph: (vertices,) the graph of each; needed only where vertices gather nothing.
        types: (vertices,) the type of each, by name, or by number in the order of the function's
            dictionary; for functions of types alone (:class:`cavs.TypedFunction`).
        edges: the inputs that edges pull, arrays with a row for each child, vertex by vertex,
            without holes; in a function of types for the children that are pulled for.
        forget: numbers of vertices from which no later vertex gathers; the new ones still may. The
            memory of their states is used again, so that it does not grow with the graphs where all
            but some are forgotten. They stay in the grown graphs, with inputs and outputs.
    """

    children: Any
    inputs: Mapping[str, Any] = field(default_factory=dict)
    graph: Any = None
    types: Any = field(default=None, kw_only=True)
    edges: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    forget: Any = field(default=(), kw_only=True)

    def opens(self) -> bool:
        """Whether there are vertices to open; raises where that cannot be told."""
        children = self.children
        if not isinstance(children, (list, tuple, np.ndarray)):
            children = integers_of("children", children)
        if isinstance(children, np.ndarray) and children.ndim == 0:
            raise GraphError(
                f"[unfold] expected lists of children, got {shown(self.children)}; give a list a "
                "vertex"
            )
        mapping("unfold", "inputs of a Growth", self.inputs)
        mapping("unfold", "edges of a Growth", self.edges)
        return len(children) > 0


class Fresh(NamedTuple):
    """New vertices.

    Attributes:
        vertices, graph: (vertices,) their numbers, and the graph of each.
        types: (vertices,) their types' numbers among the function's; None in one without types.
        edges: (children,) the numbers of their edges.
        parents, children: (children,) the types of both ends; empty in a function without types.
    """

    vertices: Array
    graph: Array
    types: Array | None
    edges: Array
    parents: Array
    children: Array


class _Bound(NamedTuple):
    """Ids that some vertices, or edges, may have are below this."""

    rows: Rows
    end: int


_NONE = np.zeros(0, np.int32)
_NOTHING = Fresh(_NONE, _NONE, None, _NONE, _NONE, _NONE)


class Growing:
    """All vertices so far, with their states, inputs and outputs.

    Attributes:
        names: the types of the function; none in one without types.
        random: the state from which random operations draw.
        marks: of the parameters that the model reads.
    """

    def __init__(
        self,
        model: Model,
        known: Mapping[Name, InputSpec],
        keys: Array,
        graph_inputs: dict[str, Array],
        max_vertices: int,
        keep: frozenset[Name] | None,
    ) -> None:
        """`model` computes the outputs that are asked for; `known`: the inputs of all outputs;
        `keep`: outputs to keep of all vertices, None for all; the others are as in
        :func:`cavs.unfold`."""
        trace = model._compiler.trace
        self._model, self._keys = model, keys
        self._graph_inputs, self._keep = graph_inputs, keep
        self.names = tuple(trace.types)
        self.random = model._draw()
        self.marks = tuple(map(Mark.of, model._compiler.params))
        self._specs: dict[Name, InputSpec] = model.inputs
        self._known = known
        self._rows = {name: Rows(spec.rows, self.names) for name, spec in known.items()}
        pushes = trace.function.pushes
        self._pushed = {name: Rows(node.space, self.names) for name, node in pushes.items()}
        self._bounds = {
            name: [_Bound(Rows(rows, self.names), bound.rows) for rows, bound in found.items()]
            for name, found in model._checker._bounds.items()
        }
        rules = GrowthRules(
            trace.children,
            model._checker.slots_read is None,
            model._checker.slots_read if model._compiler.types is None else None,
            max_vertices,
        )
        executor = model._executor
        self._native: NativeGrowth | None = None
        types = model._compiler.types
        if isinstance(executor, NativeExecutor):
            self._native = NativeGrowth(executor, keys, self.random, rules)
            types = self._native.types
            self._structure = self._native.structure
        else:
            self._structure = _core.GrownGraphs(
                len(keys),
                None if types is None else types.numbers(),
                () if types is None else native_reads(rules.reads, types),
                rules.extra_children,
                rules.slots_read or ANY_NUMBER,
                max_vertices,
            )
        self._number: Array | None = None  # of each type in the engine
        if types is not None:
            self._number = np.array([types.names.index(name) for name in self.names], np.int32)
        self._by_graph = self._given_by_graph()
        self._types: list[Array] = []
        every = [*self._rows.values(), *self._pushed.values()]
        self._has_edges = any(rows.of_edges for rows in every)
        self._inputs: dict[Name, HeldRows] = {}
        self._outputs: dict[Name, HeldRows] = {}
        self._edges = 0

    def _given_by_graph(self) -> dict[Name, Array]:
        """The inputs of graphs, as the engine takes them."""
        found: dict[Name, Array] = {}
        by_graph = sorted(str(name) for name, rows in self._rows.items() if rows.of_graphs)
        for name in self._graph_inputs:
            if name not in by_graph:
                raise InputError(
                    f"[unfold] expected graph_inputs among {by_graph}, got {shown(name)}; leave it "
                    "out, or rename it"
                )
        for name, spec in self._specs.items():
            if not self._rows[name].of_graphs:
                continue
            if name not in self._graph_inputs:
                raise InputError(
                    f"[unfold] expected {name!r} in graph_inputs, pulled at {spec.where}, got "
                    "none; give a row for each graph"
                )
            found[name] = self._checked(spec, self._graph_inputs[name], len(self._keys), _NOTHING)
        return found

    def open(self, growth: Growth) -> Fresh:
        """Gives new vertices their numbers and checks the vertices that they gather from."""
        ptr, children = lists_of_children(growth.children)
        count = len(ptr) - 1
        graphs = graphs_of_vertices(growth.graph, count)
        codes = codes_of(growth.types, count, self.names)
        numbers = None if codes is None or self._number is None else self._number[codes]
        first = self._structure.num_vertices
        forget = forgotten_vertices(growth.forget)
        graph = self._structure.open(ptr, children, numbers, graphs, forget)
        vertices = np.arange(first, first + count)
        if codes is not None:
            self._types.append(codes)
        if not self._has_edges:
            return Fresh(vertices, graph, codes, _NONE, _NONE, _NONE)
        there = children >= 0
        edges = np.arange(self._edges, self._edges + np.count_nonzero(there))
        self._edges += len(edges)
        if codes is None:
            return Fresh(vertices, graph, codes, edges, _NONE, _NONE)
        parents = np.repeat(codes, np.diff(ptr))[there]
        return Fresh(vertices, graph, codes, edges, parents, self._all_types()[children[there]])

    def _all_types(self) -> Array:
        """The types of all vertices, in numbers."""
        if len(self._types) != 1:
            self._types = [np.concatenate([_NONE, *self._types])]
        return self._types[0]

    def compute(self, growth: Growth, fresh: Fresh) -> tuple[dict[str, Array], dict[str, Array]]:
        """Computes the new vertices; gives what they and their edges pulled, and pushed."""
        given = self._given(growth, fresh)
        for name, rows in given.items():
            self._hold(self._inputs, name, self._rows[name], fresh, rows)
        if self._native is None:
            outputs = self._by_whole_graphs(fresh)
        else:
            outputs = self._native.compute({**given, **self._by_graph})
        pushed = {name: host_array(y, "unfold") for name, y in outputs.items()}
        if self._native is not None and detecting() and any(map(has_nan, pushed.values())):
            self._by_whole_graphs(fresh)  # which says where it comes from
        for name, rows in pushed.items():
            if self._keep is not None and name not in self._keep:
                continue
            self._hold(self._outputs, name, self._pushed[name], fresh, rows)
        return given, pushed

    @staticmethod
    def _hold(
        held: dict[Name, HeldRows], name: Name, rows: Rows, fresh: Fresh, array: Array
    ) -> None:
        numbers = fresh.edges if rows.of_edges else fresh.vertices
        chosen = rows.chosen(fresh.types, fresh.parents, fresh.children)
        numbers = numbers if chosen is None else numbers[chosen]
        held.setdefault(name, HeldRows()).add(numbers, array)

    def _given(self, growth: Growth, fresh: Fresh) -> dict[str, Array]:
        """The inputs of the new vertices and edges, as the engine takes them."""
        found: dict[str, Array] = {}
        for given, of_edges in ((growth.inputs, False), (growth.edges, True)):
            for name in given:
                rows = self._rows.get(name)
                if rows is None or rows.of_graphs or rows.of_edges != of_edges:
                    raise InputError(
                        f"[unfold] expected {'edges' if of_edges else 'inputs'} of a Growth among "
                        f"{self._names_of(of_edges)}, got {shown(name)}; "
                        f"{'leave it out, or rename it' if rows is None else rows.given_in}"
                    )
        for name, spec in self._known.items():
            rows = self._rows[name]
            if rows.of_graphs:
                continue
            chosen = rows.chosen(fresh.types, fresh.parents, fresh.children)
            count = len(fresh.edges if rows.of_edges else fresh.vertices)
            count = count if chosen is None else int(np.count_nonzero(chosen))
            source = growth.edges if rows.of_edges else growth.inputs
            if name in source:
                found[str(name)] = self._checked(spec, source[name], count, fresh)
            elif name not in self._specs:  # of outputs that nobody asked for
                continue
            elif count:
                raise InputError(
                    f"[unfold] expected {name!r} for each {rows}, pulled at {spec.where}, got "
                    f"none; give it in the {'edges' if rows.of_edges else 'inputs'} of the Growth"
                )
            else:
                found[str(name)] = self._none(spec)
        return found

    def _names_of(self, of_edges: bool) -> list[str]:
        own = {
            n for n, rows in self._rows.items() if rows.of_edges == of_edges and not rows.of_graphs
        }
        return sorted(map(str, own))

    def _checked(self, spec: InputSpec, given: Any, count: int, fresh: Fresh) -> Array:
        """An input of the new vertices, or edges."""
        array = host_array(given, "unfold")
        name, rows = spec.name, self._rows[spec.name]
        if array.shape != (count, *spec.shape):
            raise ShapeError(
                f"[unfold] expected an array of shape {(count, *spec.shape)} for {name!r}, got "
                f"{array.shape}; give a row for each {rows}"
            )
        if array.dtype.kind not in ("iu" if spec.dtype == "int32" else "f") and array.size:
            kind = "int32" if spec.dtype == "int32" else "floats"
            raise DTypeError(
                f"[unfold] expected {kind} for {name!r}, got {array.dtype}; convert it"
            )
        if spec.dtype != "int32":
            return np.require(array, self._model.dtype, ("C_CONTIGUOUS", "ALIGNED"))
        for some, end in (*self._bounds.get(name, ()), _Bound(rows, 2**31 - 1)):
            ids = array
            chosen = some.chosen(fresh.types, fresh.parents, fresh.children)
            own = rows.chosen(fresh.types, fresh.parents, fresh.children)
            if chosen is not None:
                ids = array[chosen if own is None else chosen[own]]
            wrong = first_outside(np.ascontiguousarray(ids, np.int64).reshape(-1), -1, end)
            if wrong >= 0:
                raise InputError(
                    f"[unfold] expected ids in -1..{end - 1} for {name!r}, got "
                    f"{ids.reshape(-1)[wrong]}; correct the ids, -1 stands for none"
                )
        return np.array(array, np.int32, order="C")

    def _by_whole_graphs(self, fresh: Fresh) -> dict[Name, Array]:
        """The outputs of new vertices by a call over all that is there: slow, by any executor, and
        with a search for where a NaN comes from."""
        whole = self._whole()
        inputs = {**self._inputs_of(whole), **self._graph_inputs}
        needed = {name: x for name, x in inputs.items() if name in self._specs}
        with no_grad():
            out, _ = self._model._forward(self._model._prepare(whole.graphs, needed), self.random)
        found = {}
        for name, y in out.items():
            rows, values = self._pushed[name], y.numpy()
            numbers = self._chosen(rows, whole)
            first = (fresh.edges if rows.of_edges else fresh.vertices)[:1]
            new = np.flatnonzero(numbers >= first[0]) if len(first) else np.zeros(0, np.int64)
            found[name] = values[new[np.argsort(numbers[new])]]
        return found

    def _whole(self) -> Whole:
        types = [self.names[i] for i in self._all_types().tolist()] if self.names else None
        return whole_graphs(self._structure, self._keys, types)

    def _chosen(self, rows: Rows, whole: Whole) -> Array:
        """The numbers of all vertices, or edges, that have a row, in the order of the graphs."""
        numbers = whole.edges if rows.of_edges else whole.vertices
        if not self.names:
            return numbers
        graphs = whole.graphs
        types = self._all_types()[whole.vertices]
        parents = np.repeat(types, np.diff(graphs.child_ptr))
        chosen = rows.chosen(types, parents, types[graphs.children])
        return numbers if chosen is None else numbers[chosen]

    def _none(self, spec: InputSpec) -> Array:
        """No rows of an input."""
        dtype = np.int32 if spec.dtype == "int32" else self._model.dtype
        return np.zeros((0, *spec.shape), dtype)

    def _inputs_of(self, whole: Whole) -> dict[str, Array]:
        nothing = {
            str(name): self._none(spec)
            for name, spec in self._specs.items()
            if not self._rows[name].of_graphs
        }
        return nothing | {
            str(name): held.take(name, self._chosen(self._rows[name], whole))
            for name, held in self._inputs.items()
        }

    def finish(self) -> tuple[Any, dict[str, Array], dict[str, Array], Array]:
        """All graphs, their inputs and outputs, and the numbers of their vertices."""
        whole = self._whole()
        outputs = {
            str(name): held.take(name, self._chosen(self._pushed[name], whole))
            for name, held in self._outputs.items()
        }
        inputs = {**self._inputs_of(whole), **self._graph_inputs}
        return whole.graphs, inputs, outputs, whole.vertices
