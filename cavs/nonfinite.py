"""Finds where in F the first NaN or infinity of a call comes from.

If an output, a state or a gradient has one, the search takes one graph, which the reference
computes again with the same random numbers, vertex by vertex. From the value found it goes back,
from operation to operand, to the first value that has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from cavs._arguments import integer
from cavs.call import Call, in_words
from cavs.core.ir import Internal, Name, Node, ancestors
from cavs.core.ops._def import Between
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.structure import PARAM, PULL
from cavs.device import device_of
from cavs.errors import NonFiniteError
from cavs.execution.executor import Array, Gradients, NanState, Run, Updates
from cavs.execution.reference_values import TypeFunction
from cavs.replay import Origin, Replay, Sinks, replay
from cavs.tensor._nonfinite import (
    REMEDY,
    Found,
    describe,
    has_nan,
    is_finite,
    magnitudes,
    nonfinite,
    not_finite,
    worst,
)
from cavs.values import VertexValues, values_of


class Search:
    """Makes errors that say where a bad value of a call comes from."""

    def __init__(self, call: Call) -> None:
        self._call = call

    # Forward

    def checked_forward(self) -> tuple[dict[Name, Array], Run | None, Updates]:
        """The call itself; raises :class:`NonFiniteError` where an output or state is NaN."""
        call = self._call
        given = call.graphs, call.inputs, call.random, call.wanted
        try:
            outputs, run, updates = call.executor.forward(*given, check_states=True)
        except NanState as found:
            error = self._of_state(found)
            if error is not None:
                raise error from None
            outputs, run, updates = call.executor.forward(*given)
        if any(map(math.isnan, magnitudes(outputs.values()))):
            wrong = {name: call.nan_in(name, y) for name, y in outputs.items() if has_nan(y)}
            wrong = {name: where for name, where in wrong.items() if where.any()}
            if wrong:
                raise self._of_outputs(outputs, wrong)
        return outputs, run, updates

    def _of_outputs(
        self, outputs: Mapping[Name, Array], wrong: Mapping[Name, Array]
    ) -> NonFiniteError:
        """The error of the first NaN in outputs that have NaN somewhere: `wrong` says where."""
        call = self._call
        graph = min(
            call.graph_of(call.pushes[name].space, int(np.argwhere(where)[0][0]))
            for name, where in wrong.items()
        )
        for each in self._suspects(graph):
            found = self._first_of(each, wrong)
            if found is not None:
                return found
        name = next(iter(wrong))
        y = outputs[name]
        return nonfinite(
            f"expected no NaN, got {describe(y)} of {_output(name)}, in graph {graph}, where "
            f"computing it again gives none; {REMEDY}"
        )

    def _suspects(self, graph: int) -> Sequence[int]:
        """The graphs that a bad value of `graph` may come from, that graph first."""
        nodes = ancestors(self._call.executor.compiler.trace.function.roots())
        if all(node.op.reduces is not Between.ALL for node in nodes):
            return [graph]
        return [graph, *(g for g in range(self._call.graphs.num_graphs) if g != graph)]

    def _of_state(self, found: NanState) -> NonFiniteError | None:
        """The error of NaN in a state; None if a pass made the state and no result of F has NaN."""
        first = self._call.graph_of(SpaceKind.VERTEX, found.vertex)
        # NaN in a value that a pass computes for parents may be masked there.
        own = isinstance(found.name, Internal)
        last = self._call.graphs.num_graphs if own else first + 1
        for graph in range(first, last):
            error = self._first_of(graph, self._call.pushes)
            if error is not None:
                return error
        if own:
            return None
        local = found.vertex - int(self._call.graphs.ptr[first])
        return nonfinite(
            f"expected no NaN, got one in state {found.name!r} of "
            f"{in_words(first, local)}, where computing it again gives none; {REMEDY}"
        )

    def _first_of(self, graph: int, outputs: Mapping[Name, Any]) -> NonFiniteError | None:
        """The error of the first NaN of a graph: in one of these outputs or, if they have none, in
        a state."""
        run = replay(self._call, graph)

        def pushes(of: TypeFunction) -> dict[Name, Node]:
            return {name: node for name, node in of.function.pushes.items() if name in outputs}

        sinks: Sinks
        for called, sinks in ((_output, pushes), (_state, lambda of: of.function.scatters)):
            found = run.first(sinks, has_nan)
            if found is None:
                continue
            v, name = found
            node = sinks(run.of(v))[name]
            words = self._words(run, run.origin(v, node, has_nan, run.operands), v, graph)
            return nonfinite(
                f"expected no NaN, got one in {called(name)} of "
                f"{in_words(graph, v)}; {words}; {REMEDY}",
                words,
            )
        return None

    def origin_of(self, name: Name, output: Array) -> str:
        """In words, where the first NaN of an output comes from; if it has none, its first
        infinity."""
        output = device_of(output).to_host(output)
        bad = has_nan if has_nan(output) else not_finite
        wrong = np.isnan(output) if bad is has_nan else np.isinf(output)
        node = self._call.pushes[name]
        first = self._call.graph_of(node.space, int(np.argwhere(wrong)[0][0]))

        def sinks(of: TypeFunction) -> dict[Name, Node]:
            return {k: x for k, x in of.function.pushes.items() if k == name}

        for graph in self._suspects(first):
            run = replay(self._call, graph)
            found = run.first(sinks, bad)
            if found is not None:
                break
        else:
            return f"{_output(name)} of graph {first} has it first"
        v, _ = found
        origin = run.origin(v, node, bad, run.operands)
        where = in_words(graph, v)
        words = self._words(run, origin, v, graph)
        return Found.at(f"{_output(name)} of {where} has it first; {words}", words.look)

    # Backward

    def check_gradients(
        self, gradients: Gradients, cotangents: Mapping[Name, Array], came: str | None
    ) -> None:
        """Raises the error of the first gradient that is not finite, if there is one; `came`: where
        a cotangent that is not finite comes from."""
        rows = [part[1] if isinstance(part, tuple) else part for _, part in gradients.params]
        if all(map(math.isfinite, magnitudes([*rows, *gradients.inputs.values()]))):
            return
        for (number, _), values in zip(gradients.params, rows, strict=True):
            if not is_finite(values):
                name = self._call.name_of(self._call.params[number])
                self._fail(f"parameter {name!r}", values, number, cotangents, came)
        for key, dx in gradients.inputs.items():
            if not is_finite(dx):
                self._fail(f"input {str(key)!r}", dx, key, cotangents, came)

    def _fail(
        self,
        what: str,
        gradient: Array,
        key: int | Name,
        cotangents: Mapping[Name, Array],
        came: str | None,
    ) -> None:
        wrong = [name for name, dy in cotangents.items() if not is_finite(dy)]
        if wrong:
            words = f"the cotangent of {_output(wrong[0])} has it already"
            words = f"{words}: {came}" if came else words
        else:
            words = self._gradient_origin(key, cotangents)
        raise nonfinite(
            f"expected a finite gradient of {what}, got {describe(gradient)}; {words}; {REMEDY}",
            words,
        )

    def _gradient_origin(self, key: int | Name, cotangents: Mapping[Name, Array]) -> str:
        graph = self._graph_with(key, cotangents, 0, self._call.graphs.num_graphs)
        if graph is None:
            return "that of each graph alone is finite, and their sum is not"
        run = replay(self._call, graph)
        there = self._of_graphs(cotangents, graph, graph + 1)
        own = {name: device_of(dy).to_host(dy) for name, dy in there.items()}
        with np.errstate(all="ignore"):
            run.backward(own)
        for v in reversed(run.order):
            for node in self._roots(run.of(v), key):
                if not is_finite(run.shares[v].get(node, run.values[v][node])):
                    origin = run.origin(v, node, not_finite, run.cotangent_operands)
                    return self._words(run, origin, None, graph)
        return f"that of each vertex of graph {graph} is finite, and their sum is not"

    def _roots(self, of: TypeFunction, key: int | Name) -> list[Node]:
        if not isinstance(key, int):
            return [x for name, x in of.gradient.inputs.items() if name == key]
        for parameter, dense, sparse in of.gradient.params:
            if parameter is self._call.params[key]:
                return [*([] if dense is None else [dense]), *sparse]
        return []

    def _of_graphs(
        self, cotangents: Mapping[Name, Array], first: int, last: int
    ) -> dict[Name, Array]:
        call = self._call
        return {
            name: call.rows(dy, call.pushes[name].space, first, last)
            for name, dy in cotangents.items()
        }

    def _graph_with(
        self, key: int | Name, cotangents: Mapping[Name, Array], first: int, last: int
    ) -> int | None:
        """Finds a graph that alone has a gradient that is not finite, by halves."""
        if not self._is_wrong(key, cotangents, first, last):
            return None
        while last - first > 1:
            middle = (first + last) // 2
            if self._is_wrong(key, cotangents, first, middle):
                last = middle
            elif self._is_wrong(key, cotangents, middle, last):
                first = middle
            else:
                return None
        return first

    def _is_wrong(
        self, key: int | Name, cotangents: Mapping[Name, Array], first: int, last: int
    ) -> bool:
        part = self._call.only(first, last)
        run = part.executor.forward(part.graphs, part.inputs, part.random, part.wanted)[1]
        assert run is not None
        with np.errstate(all="ignore"):
            found = run.backward(self._of_graphs(cotangents, first, last))
        if not isinstance(key, int):
            return not is_finite(found.inputs[key])
        parts = [part for number, part in found.params if number == key]
        return not all(is_finite(p[1] if isinstance(p, tuple) else p) for p in parts)

    # Words

    def _words(self, run: Replay, origin: Origin, v: int | None, graph: int) -> Found:
        """The origin in words, with its place unless it is at vertex `v`."""
        words = self._said(run, origin, v, graph)
        return Found.at(words, partial(self._values, run, graph, origin.vertex))

    def _values(self, run: Replay, graph: int, origin: int, vertex: int | None) -> VertexValues:
        """The values at a vertex of the graph; None: where the bad value comes from."""
        call = self._call
        if vertex is None:
            vertex = origin
        else:
            vertex = integer("values", "vertex", vertex, 0, run.graphs.num_vertices - 1)
        return values_of(run, vertex, in_words(graph, vertex), call.name_of)

    def _said(self, run: Replay, origin: Origin, v: int | None, graph: int) -> str:
        node = origin.node
        there = "" if origin.vertex == v else f" of {in_words(graph, origin.vertex)}"
        if node.op is PULL:
            value = worst(run.values[origin.vertex][node])
            return f"input {str(node.attrs['name'])!r}{there} is {value}"
        if node.op is PARAM:
            value = worst(run.values[origin.vertex][node])
            return f"parameter {self._call.name_of(node.attrs['parameter'])!r} is {value}"
        known = node in run.of(origin.vertex).nodes
        name = node.op.name if known else f"{node.op.name} in a derivative"
        line = f" at {node.where}" if node.where else ""
        return f"the first comes from {name}{there}{line}{self._infinity(run, origin)}"

    def _infinity(self, run: Replay, origin: Origin) -> str:
        """Where an infinite operand of the origin comes from."""
        for u, x in run.cotangent_operands(origin.vertex, origin.node):
            if x.dtype == "float" and not is_finite(run.values[u][x]):
                before = run.origin(u, x, not_finite, run.cotangent_operands)
                line = f" at {before.node.where}" if before.node.where else ""
                return f", whose operand is infinite since {before.node.op.name}{line}"
        return ""


def _output(name: Name) -> str:
    return f"output {str(name)!r}"


def _state(name: Name) -> str:
    return f"state {str(name)!r}"
