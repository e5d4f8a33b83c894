"""The oracle: runs the traced F, as it stands, one vertex at a time in NumPy.

No pass, no schedule, no memory plan: it shares with the native executor only the traced IR, the vjp
rows and the definition of the random numbers. It goes over all vertices once for each *stage*: the
sums over vertices that a value reads belong to earlier stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cavs.core.compiler import Compiler
from cavs.core.ir import Name, Node, reading_of, state_of
from cavs.core.ops import structure
from cavs.core.ops._def import Between
from cavs.core.ops._spaces import SpaceKind
from cavs.device import Device, host
from cavs.errors import CavsRuntimeError
from cavs.execution.executor import Array, Gradients, NanState, RandomState, Updates
from cavs.execution.reference_values import ReferenceValues, edges_of
from cavs.scheduler import GraphBatch


class ReferenceExecutor:
    """Runs the traced function vertex by vertex; any float dtype."""

    def __init__(self, compiler: Compiler, dtype: str) -> None:
        self.compiler = compiler
        self.dtype = np.dtype(dtype)
        self.device: Device = host

    def of(self, compiler: Compiler) -> ReferenceExecutor:
        """The executor of another function, with the same settings."""
        return ReferenceExecutor(compiler, self.dtype.name)

    def forward(
        self,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        wanted: frozenset[Name] | None,
        *,
        check_states: bool = False,
    ) -> tuple[dict[Name, Array], ReferenceRun | None, Updates]:
        """See :class:`cavs.execution.executor.Executor`."""
        run = ReferenceRun(self.compiler, self.dtype, graphs, inputs, random, wanted or frozenset())
        outputs = run.forward()
        if check_states:
            for v in run.order:
                for name, state in run.states.items():
                    if v in state and np.isnan(state[v]).any():
                        raise NanState(name, v)
        return outputs, None if wanted is None else run, run.updates()


class ReferenceRun(ReferenceValues):
    """One forward call: all values of all vertices, kept for backward calls."""

    _finished = False

    def forward(self) -> dict[Name, Array]:
        """Outputs in the user's order."""
        pushes = self.joined.pushes
        with_rows = {k: node for k, node in pushes.items() if node.space != SpaceKind.NONE}
        outputs = {name: self._zeros(node) for name, node in with_rows.items()}
        functions = list(self.functions.values())
        scattered: dict[Name, list[Node]] = {}
        for function in functions:
            for name, node in function.function.scatters.items():
                scattered.setdefault(name, []).append(node)

        def before(node: Node) -> list[Node]:
            return scattered[node.attrs["name"]] if node.op is structure.GATHER else []

        stages = _stages([node for function in functions for node in function.nodes], before)
        for stage in _numbers(stages):
            for v in self.order:
                own = self.of(v)
                for node in own.nodes:
                    if stages[node] == stage:
                        self.values[v][node] = self._evaluate(v, node, {})
                for name, node in own.function.scatters.items():
                    if stages[node] == stage:
                        self.states[name][v] = self.values[v][node][0]
            self._finish_stage(stages, stage, {})
        for v in self.order:
            for name, node in self.of(v).function.pushes.items():
                if name in with_rows:
                    rows = self._rows(v, node, pushes[name].space)
                    outputs[name][rows] = self.values[v][node]
        return {k: outputs[k] if k in outputs else self._once(x) for k, x in pushes.items()}

    def updates(self) -> Updates:
        """The values for buffers, after the forward."""
        numbers = {id(p): i for i, p in enumerate(self.params)}
        return [(numbers[id(b)], self._once(node)) for b, node in self.joined.updates.items()]

    def _once(self, node: Node) -> Array:
        """A value without rows."""
        found = next(values[node] for values in self.values if node in values)
        return np.array(found, self.dtype)

    def _finish_stage(
        self, stages: Mapping[Node, int], stage: int, given: Mapping[str, Any]
    ) -> None:
        """The values of graphs without vertices; then each vertex gets the whole of the sums over
        vertices, of which it has its share."""
        here = [node for node in stages if stages[node] == stage]
        for v in self.of_none:
            for node in here:
                known = all(x in self.values[v] for x in node.inputs)
                of_graph = node.space == SpaceKind.GRAPH and v != self.without_graph
                if (of_graph or node.space == SpaceKind.NONE) and known:
                    self.values[v][node] = self._evaluate(v, node, given)
        for node in filter(_is_over_vertices, here):
            self._sum_up(node)

    def _sum_up(self, node: Node) -> None:
        largest = node.op in (structure.GRAPH_MAX, structure.MAX_ROWS)
        add = np.maximum if largest else np.add
        of_graphs = all(x.space == SpaceKind.GRAPH for x in node.inputs)
        whole: dict[int, Array] = {}
        seen: set[int] = set()
        for v in (*self.order, *self.of_none):
            graph = int(self.graph_of[v])
            if node not in self.values[v] or (of_graphs and graph in seen):
                continue  # each graph counts once
            seen.add(graph)
            group, share = self._group(v, node), self.values[v][node]
            self.shares[v][node] = share
            whole[group] = share if group not in whole else add(whole[group], share)
        rows = (1,) if node.space == SpaceKind.GRAPH else ()
        for v, values in enumerate(self.values):
            if node in values or (v in self.of_none and (v != self.without_graph or not rows)):
                nothing = np.zeros((*rows, *node.shape), self.dtype)
                total = whole.get(self._group(v, node), nothing)
                values[node] = np.where(np.isneginf(total), nothing, total) if largest else total

    def backward(self, cotangents: Mapping[Name, Array], *, retain: bool = False) -> Gradients:
        """See :class:`cavs.execution.executor.Run`."""
        self._begin_backward(retain)
        gathers = [n for f in self.functions.values() for n in f.nodes if n.op is structure.GATHER]
        readings = list(dict.fromkeys(map(reading_of, gathers)))
        for function in self.functions.values():
            others = readings if len(self.functions) > 1 else ()
            function.differentiate(cotangents, self.wanted, others)
        state = {
            reading: np.zeros(
                (self.graphs.num_vertices, *self.joined.scatters[state_of(reading)].shape),
                self.dtype,
            )
            for reading in readings
        }
        gradients = [f.gradient for f in self.functions.values()]
        learning = {name for gradient in gradients for name in gradient.inputs}
        inputs = {
            name: np.zeros(self._shape(spec), self.dtype)
            for name, spec in self.specs.items()
            if name in learning
        }
        numbers = {id(p): i for i, p in enumerate(self.params)}
        params = {
            numbers[id(p)]: np.zeros(p.shape, self.dtype)
            for gradient in gradients
            for p, _, _ in gradient.params
        }
        self._evaluate_gradients({"push": cotangents, "state": state})
        taken: set[tuple[Any, ...]] = set()  # sums over vertices, of which each has the whole
        for v in (*reversed(self.order), *self.of_none):
            values = self.values[v]
            owns = [self.of(v)] if v < self.graphs.num_vertices else self.functions.values()
            found = [item for own in owns for item in own.gradient.inputs.items()]
            for name, node in found:
                if node not in values:
                    continue
                whole = node.space in (SpaceKind.GRAPH, SpaceKind.NONE)
                part = (name, node, self._group(v, node))
                if whole and part in taken:
                    continue
                taken.add(part)
                if node.space == SpaceKind.NONE:
                    inputs[name] += values[node]
                else:
                    inputs[name][self._rows(v, node, self.specs[name].rows)] += values[node]
            for parameter, dense, sparse in (part for own in owns for part in own.gradient.params):
                total = params[numbers[id(parameter)]]
                for node in [*sparse, *([] if dense is None else [dense])]:
                    if node in values and (id(parameter), node) not in taken:
                        taken.add((id(parameter), node))
                        total += values[node]
        return Gradients(list(params.items()), inputs)

    def _evaluate_gradients(self, given: Mapping[str, Any]) -> None:
        functions = list(self.functions.values())
        handed: dict[Name, list[Node]] = {}
        for function in functions:
            for reading, node in function.gradient.edges.items():
                handed.setdefault(reading, []).append(node)

        def before(node: Node) -> list[Node]:
            if node.op is not structure.STATE_COTANGENT:
                return []
            return handed.get(node.attrs["reading"], [])

        stages = _stages([node for function in functions for node in function.of_gradient], before)
        for stage in _numbers(stages):
            for v in reversed(self.order):
                values, own = self.values[v], self.of(v)
                for node in own.of_gradient:
                    if stages[node] == stage:
                        values[node] = self._evaluate(v, node, given)
                for reading, node in own.gradient.edges.items():
                    if stages.get(node, 0) == stage:
                        for e, child in enumerate(self._children(v, edges_of(reading))):
                            given["state"][reading][child] += values[node][e]
            self._finish_stage(stages, stage, given)

    def _begin_backward(self, retain: bool) -> None:
        if self._finished:
            raise CavsRuntimeError(
                "[reference] expected one backward() per run, got a second one; run forward() "
                "again, or call all but the last with retain=True"
            )
        self._finished = not retain
        for function in self.functions.values():
            for values in self.values:
                for node in function.of_gradient:
                    values.pop(node, None)


def _is_over_vertices(node: Node) -> bool:
    return node.op.reduces in (Between.ALL, Between.GRAPH)


def _stages(nodes: Sequence[Node], before: Callable[[Node], Iterable[Node]]) -> dict[Node, int]:
    """The stage of each of the nodes: one more than that of the sums over vertices that it reads.
    `before`: what a node reads of other vertices."""
    stages = dict.fromkeys(nodes, 0)
    changed = True
    while changed:
        changed = False
        for node in nodes:
            own = [stages[x] + _is_over_vertices(x) for x in node.inputs if x in stages]
            own += [stages[x] for x in before(node) if x in stages]
            stage = max([stages[node], *own])
            assert stage <= len(nodes), f"{node} waits for itself"
            changed |= stage != stages[node]
            stages[node] = stage
    return stages


def _numbers(stages: Mapping[Node, int]) -> range:
    return range(max(stages.values(), default=0) + 1)
