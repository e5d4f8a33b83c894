"""Evaluates descriptions vertex by vertex on the tape of `tape`: the meaning of F over G."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import table
import tape
from functions import Description, Step, Weight
from tape import Array, Value

import cavs

Rows = list[Value]  # of each vertex


class Expected(NamedTuple):
    """The expected result of a call: arrays in the user's order, float64."""

    outputs: dict[str, Array]
    weights: list[Array]
    inputs: dict[str, Array]
    margin: float = np.inf  # see tape.least_margin


def evaluate(
    description: Description,
    graphs: cavs.GraphBatch,
    weights: Sequence[Array],
    inputs: Mapping[str, Array],
    cotangents: Mapping[str, Array] | None = None,
) -> Expected:
    """Outputs, and gradients of their sum weighted by `cotangents`."""
    params = [Value(np.asarray(w, np.float64)[None]) for w in weights]
    given = {n: Value(x) for n, x in inputs.items() if description.pulls[n].bound is None}
    tape.forget_margins()
    walk = _Walk(description, graphs, params, given, inputs)
    pushed: dict[str, Rows] = {name: [] for name in description.pushes}
    values = walk.vertices()
    for v in range(graphs.num_vertices):
        for name, number in description.pushes.items():
            pushed[name].append(values[v][number])
    outputs = {
        name: _joined(rows, description.steps[description.pushes[name]].shape)
        for name, rows in pushed.items()
    }
    if cotangents is not None:
        roots = []
        for name, rows in pushed.items():
            first = 0
            for row in rows:
                last = first + row.data.shape[0]
                roots.append((row, np.asarray(cotangents[name], np.float64)[first:last]))
                first = last
        tape.backward(roots)
    zeros = [np.zeros(x.data.shape) if x.grad is None else x.grad for x in params]
    return Expected(
        outputs,
        [grad[0] for grad in zeros],
        {n: np.zeros(x.data.shape) if x.grad is None else x.grad for n, x in given.items()},
        tape.least_margin(),
    )


def _joined(rows: Rows, shape: tuple[int, ...]) -> Array:
    return np.concatenate([row.data for row in rows]) if rows else np.zeros((0, *shape))


class _Walk:
    """One pass over all vertices, children first."""

    def __init__(
        self,
        description: Description,
        graphs: cavs.GraphBatch,
        params: Sequence[Value],
        given: Mapping[str, Value],
        inputs: Mapping[str, Array],
    ) -> None:
        self.description, self.graphs = description, graphs
        self.params, self.given, self.inputs = params, given, inputs
        self.slots = graphs.child_slot
        self.graph_of = np.repeat(np.arange(graphs.num_graphs), np.diff(graphs.ptr))
        self.states: dict[tuple[str, int], Value] = {}

    def vertices(self) -> dict[int, list[Value]]:
        return {v: self._vertex(v) for v in self._children_first()}

    def _children_first(self) -> list[int]:
        done: dict[int, None] = {}
        for start in range(self.graphs.num_vertices):
            waiting = [start]
            while waiting:
                below = [c for c in self._children(waiting[-1]) if c not in done]
                if below:
                    waiting.append(below[0])
                else:
                    done[waiting.pop()] = None
        return list(done)

    def _children(self, v: int) -> list[int]:
        ptr = self.graphs.child_ptr
        return [int(c) for c in self.graphs.children[ptr[v] : ptr[v + 1]]]

    def _vertex(self, v: int) -> list[Value]:
        values: list[Value] = []
        for step in self.description.steps:
            y = self._step(v, step, values)
            count = len(self._children(v)) if step.space == "edge" else 1
            values.append(tape.repeat_rows(y, count))
        for name, number in self.description.scatters.items():
            self.states[name, v] = values[number]
        return values

    def _step(self, v: int, step: Step, values: Sequence[Value]) -> Value:
        if step.op == "pull":
            return self._rows_of(v, self.given[step.attrs["name"]], step.space)
        if step.op == "gather":
            return self._gathered(v, step)
        attrs: dict[str, Any] = dict(step.attrs)
        operands: list[Any] = [self._operand(x, values) for x in step.operands]
        if "ids" in attrs:
            name = attrs.pop("ids")
            ids = np.asarray(self.inputs[name])[self._range(v, self.description.pulls[name].space)]
            operands.append(ids.astype(np.int64))
        if step.op == "reshape":
            attrs = {"features": attrs["to"]}
        return table.apply(step.op, operands, attrs)

    def _operand(self, x: Any, values: Sequence[Value]) -> Value:
        if isinstance(x, Weight):
            return self.params[x.number]
        return values[x] if isinstance(x, int) else tape.constant(x)

    def _gathered(self, v: int, step: Step) -> Value:
        name, slot, children = step.attrs["name"], step.attrs["slot"], self._children(v)
        if slot is None:
            return tape.stack_rows([self.states[name, c] for c in children], step.shape)
        for child, place in zip(children, self.slots[self._range(v, "edge")], strict=True):
            if place == slot:
                return self.states[name, child]
        return Value(np.zeros((1, *step.shape)))

    def _range(self, v: int, space: str) -> slice:
        if space == "edge":
            return slice(int(self.graphs.child_ptr[v]), int(self.graphs.child_ptr[v + 1]))
        row = int(self.graph_of[v]) if space == "graph" else v
        return slice(row, row + 1)

    def _rows_of(self, v: int, x: Value, space: str) -> Value:
        rows = self._range(v, space)

        def pull_back(dy: Array) -> Array:
            whole = np.zeros(x.data.shape)
            whole[rows] = dy
            return whole

        return Value(x.data[rows], [(x, pull_back)])
