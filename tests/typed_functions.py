"""Random functions of types with graphs and inputs for them, from a seed: the engine is compared
with the reference on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import cavs
from cavs import VertexFunction, nn, ops

__all__ = ["Case", "draw_case", "draw_graphs", "draw_inputs", "readable"]

SIZE = 3  # of all states and values
IDS = 5


@dataclass(frozen=True)
class Gather:
    """A gather of F: states by name, of one child or of all, of one type or of any."""

    slot: int | None
    of: str | None
    states: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What the function of a type does."""

    name: str
    gathers: tuple[Gather, ...]
    scatters: tuple[str, ...]
    pushes: tuple[str, ...]
    pulls: tuple[str, ...]
    traits: frozenset[str]


class Drawn(VertexFunction):
    """The function of one type as it was drawn."""

    def __init__(self, plan: Plan, shared: nn.Linear, embedding: nn.Embedding) -> None:
        self.plan, self.shared, self.embedding = plan, shared, embedding
        self.own = nn.Linear(SIZE, SIZE)
        self.read = nn.Linear(SIZE, SIZE, bias=False)
        self.out = nn.Linear(SIZE, 2)

    def forward(self, v: cavs.Vertex) -> None:
        plan, x = self.plan, None
        for name in plan.pulls:
            if name.startswith("id"):
                one = self.embedding(v.pull(name, dtype="int32"))
                one = self.own(one) if "project" in plan.traits else one
            else:
                one = v.pull(name, SIZE)
            x = one if x is None else x + one
        if "graph" in plan.traits:
            g = v.pull_graph("whole", SIZE)
            x = g if x is None else x * g
        if "noise" in plan.traits:
            noise = v.normal(SIZE)
            x = noise if x is None else x + 0.5 * noise
        edges_pushed = None
        for number, gather in enumerate(plan.gathers):
            states = vars(v.gather(gather.slot, of=gather.of, **dict.fromkeys(gather.states, SIZE)))
            values = list(states.values())
            if gather.slot is None:
                values = [self._over_children(v, gather, number, y, x) for y in values]
                if "push_edges" in plan.traits and edges_pushed is None:
                    first = next(iter(states.values()))
                    edges_pushed = ops.tanh(first)
            for y in values:
                y = self.read(y) if "read" in plan.traits else y
                x = y if x is None else x + ops.sigmoid(y) * 0.7
        if x is None:
            x = v.pull("alone", SIZE)
        y = ops.tanh(self.shared(x) if "shared" in plan.traits else self.own(x))
        if "dropout" in plan.traits:
            y = ops.dropout(y, 0.3)
        if plan.scatters:
            v.scatter(**{name: y * (1.0 + 0.1 * i) for i, name in enumerate(plan.scatters)})
        pushes: dict[str, Any] = {name: self.out(y) for name in plan.pushes}
        if "loss" in plan.traits:
            pushes["loss"] = ops.cross_entropy(self.out(y), v.pull("label", dtype="int32"))
        if edges_pushed is not None:
            pushes["on_edges"] = edges_pushed
        v.push(**pushes)

    def _over_children(self, v: Any, gather: Gather, number: int, y: Any, x: Any) -> Any:
        """One value of a vertex from those of its children."""
        traits = self.plan.traits
        if "edge_input" in traits:
            y = y * v.pull_edge(f"weight{number}of{self.plan.name}", of=gather.of)
        if "commute" in traits:
            y = self.shared(y)
        if x is not None and "spread" in traits:
            y = y + x
        if "edge_noise" in traits:
            y = ops.dropout(y, 0.25)
        if "softmax" in traits:
            weight = ops.sum(y, axis=-1, keepdims=True).softmax()
            return (weight * y).sum()
        if "max" in traits:
            return y.max()
        return y.mean() if "mean" in traits else y.sum()


@dataclass(frozen=True)
class Case:
    """A function of types, and what graphs for it may look like."""

    function: cavs.TypedFunction
    plans: tuple[Plan, ...]

    def plan(self, name: str) -> Plan:
        """That of a type."""
        return next(plan for plan in self.plans if plan.name == name)


_TRAITS = (
    *("project", "shared", "read", "commute", "spread", "softmax", "max", "mean", "edge_input"),
    *("graph", "noise", "dropout", "edge_noise", "push_edges", "loss"),
)


def draw_case(seed: int, most_types: int = 6, without: Collection[str] = ()) -> Case:
    """A function of 1 to `most_types` types, which have none of the traits `without`."""
    draw = np.random.default_rng(seed)
    names = [f"t{i}" for i in range(int(draw.integers(1, most_types + 1)))]
    states = ["h", "c", "s"][: int(draw.integers(1, 4))]
    scatters = {name: tuple(s for s in states if draw.random() < 0.6) for name in names}
    for state in states:  # somebody scatters each
        if not any(state in own for own in scatters.values()):
            name = names[int(draw.integers(len(names)))]
            scatters[name] = (*scatters[name], state)
    plans = [_draw_plan(draw, name, names, scatters, states) for name in names]
    plans = [replace(plan, traits=plan.traits.difference(without)) for plan in plans]
    if not any(plan.pushes for plan in plans):
        first = plans[0]
        plans[0] = Plan(
            first.name, first.gathers, first.scatters, ("y",), first.pulls, first.traits
        )
    shared, embedding = nn.Linear(SIZE, SIZE), nn.Embedding(IDS, SIZE)
    functions = {plan.name: Drawn(plan, shared, embedding) for plan in plans}
    return Case(cavs.TypedFunction(functions), tuple(plans))


def _draw_plan(
    draw: np.random.Generator,
    name: str,
    names: Sequence[str],
    scatters: dict[str, tuple[str, ...]],
    states: Sequence[str],
) -> Plan:
    gathers: dict[tuple[int | None, str | None], Gather] = {}
    for _ in range(int(draw.integers(0, 4))):
        slot = None if draw.random() < 0.5 else int(draw.integers(0, 2))
        of = None if draw.random() < 0.4 else str(draw.choice(names))
        known = scatters[of] if of is not None else tuple(states)
        chosen = tuple(sorted(s for s in known if draw.random() < 0.7))
        if chosen:
            gathers[slot, of] = Gather(slot, of, chosen)
    pulls = [x for x in ("id", "id_other", "x", f"id_{name}") if draw.random() < 0.35]
    traits = frozenset(t for t in _TRAITS if draw.random() < 0.25)
    pushes = tuple(x for x in ("y", f"y_{name}") if draw.random() < 0.5)
    return Plan(name, tuple(gathers.values()), scatters[name], pushes, tuple(pulls), traits)


def draw_graphs(case: Case, seed: int, count: int | None = None) -> cavs.GraphBatch:
    """Graphs whose vertices have children that their functions read, types left out at times."""
    draw = np.random.default_rng(seed)
    graphs = []
    for _ in range(int(draw.integers(0, 5)) if count is None else count):
        there = [p for p in case.plans if draw.random() < 0.85] or [case.plans[0]]
        types: list[str] = []
        children: list[list[int]] = []
        for _ in range(int(draw.integers(1, 12))):
            plan = there[int(draw.integers(len(there)))]
            children.append(_children(case, draw, plan, types))
            types.append(plan.name)
        order = draw.permutation(len(types))  # children may stand behind their parents
        place = np.argsort(order)
        graphs.append(
            cavs.InputGraph(
                [[int(place[c]) if c >= 0 else -1 for c in children[v]] for v in order],
                types=[types[v] for v in order],
            )
        )
    return cavs.batch(graphs, keys=draw.integers(0, 1000, len(graphs)))


def _children(case: Case, draw: np.random.Generator, plan: Plan, types: Sequence[str]) -> list[int]:
    """A child list of which every child is read and scatters what is read of it."""
    if not plan.gathers or not types:
        return []
    found: list[int] = []
    for _ in range(int(draw.integers(0, 5))):
        child = int(draw.integers(len(types)))
        if all(readable(case, plan, [types[c] for c in [*found, child]])):
            found.append(child)
    return found


def readable(case: Case, plan: Plan, kinds: Sequence[str]) -> list[bool]:
    """Whether each child of a list of these types is read and scatters what is read of it."""
    found = []
    for place, kind in enumerate(kinds):
        place_of_kind = list(kinds[:place]).count(kind)
        reads = [
            g
            for g in plan.gathers
            if g.of in (None, kind) and g.slot in (None, place if g.of is None else place_of_kind)
        ]
        known = set(case.plan(kind).scatters)
        found.append(bool(reads) and all(known >= set(g.states) for g in reads))
    return found


def draw_inputs(model: cavs.Model, graphs: cavs.GraphBatch, seed: int) -> dict[str, Any]:
    """An array for each input of a compiled function of types."""
    draw = np.random.default_rng(seed)
    checker: Any = model._checker
    inputs: dict[str, Any] = {}
    for name, spec in model._compiler.trace.inputs.items():
        rows = checker.rows(graphs, spec)
        if spec.dtype == "int32":
            bound = 2 if name == "label" else IDS
            inputs[name] = draw.integers(-1, bound, rows).astype(np.int32)
        else:
            values = draw.normal(size=(rows, *spec.shape))
            if name.startswith("weight"):  # some edges are left out
                values = values * (draw.random(values.shape) < 0.7)
            inputs[name] = values
    return inputs
