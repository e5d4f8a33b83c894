"""Vertices that are forgotten: rows of their states are used again, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cavs
from cavs import Frontier, Growth, growing, nn, ops
from cavs.errors import DTypeError, GraphError, InputError, ShapeError
from cavs.execution.growth import NativeGrowth

SIZE = 5
Expand = Callable[[Frontier], Growth | None]


class Node(cavs.VertexFunction):
    """Draws, and adds up all children; states of two sizes."""

    def __init__(self) -> None:
        self.cell = nn.Linear(SIZE + 1, SIZE)

    def forward(self, v: cavs.Vertex) -> None:
        children = v.gather(h=SIZE, n=())
        x = v.pull("x") + ops.bernoulli(ops.sigmoid(v.normal(())))
        h = ops.tanh(self.cell(ops.concat([children.h.sum(), ops.reshape(x, (1,))])))
        n = children.n.sum() + 1
        v.scatter(h=h, n=n)
        v.push(h=h, n=n, noise=v.uniform())


class Typed(cavs.TypedFunction):
    """Two types."""

    def __init__(self) -> None:
        super().__init__({"a": Node(), "b": _B()})


class _B(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        same, others = v.gather(of="b", h=SIZE).h.sum(), v.gather(of="a", h=SIZE).h.sum()
        h = ops.tanh(same - others + v.normal(SIZE))
        v.scatter(h=h, n=ops.sum(h))
        v.push(h=h)


def compiled(function: cavs.VertexFunction, **options: Any) -> cavs.Model:
    nn.init.manual_seed(4)
    return cavs.compile(function, seed=3, **options).eval()


def x(count: int) -> dict[str, np.ndarray]:
    return {"x": np.linspace(-1, 1, count).astype(np.float32)}


class Drawn:
    """Random graphs. Vertices that are dropped are gathered from once more, by the new level, and
    then no more; where `forget`, the growth is told."""

    def __init__(self, seed: int, graphs: int, forget: bool, typed: bool) -> None:
        self.rng, self.graphs = np.random.default_rng(seed), graphs
        self.forget, self.typed = forget, typed
        self.alive: list[list[int]] = [[] for _ in range(graphs)]
        self.count = 0

    def next(self, level: int) -> Growth | None:
        rng = self.rng
        if level == 9:
            return None
        owners = rng.integers(0, self.graphs, int(rng.integers(1, 40))) if level else None
        owners = np.arange(self.graphs) if owners is None else owners
        children = []
        for graph in owners.tolist():
            there = self.alive[graph]
            size = int(rng.integers(0, min(3, len(there)) + 1))
            children.append(rng.permutation(there)[:size].astype(int).tolist())
        dropped = [v for alive in self.alive for v in alive if rng.random() < 0.4]
        for graph, alive in enumerate(self.alive):
            self.alive[graph] = [v for v in alive if v not in dropped]
        for graph in owners.tolist():
            self.alive[graph].append(self.count)
            self.count += 1
        types = rng.integers(0, 2, len(owners)) if self.typed else None
        given = x(int((types == 0).sum()) if types is not None else len(owners))
        forget = dropped if self.forget else ()
        return Growth(children, given, owners, types=types, forget=forget)

    def __call__(self, frontier: Frontier) -> Growth | None:
        return self.next(frontier.level + 1)


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("typed", [False, True])
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), graphs=st.integers(1, 4))
def test_what_is_forgotten_changes_no_bit(
    executor: str, typed: bool, seed: int, graphs: int
) -> None:
    model = compiled(Typed() if typed else Node(), executor=executor)
    found = []
    for forget in (False, True):
        model.set_random_state({"seed": 3, "step": 1})
        drawn = Drawn(seed, graphs, forget, typed)
        roots = drawn.next(0)
        assert roots is not None
        found.append(cavs.unfold(model, roots, drawn, num_graphs=graphs))
    plain, forgot = found
    assert cavs.unbatch(plain.graphs) == cavs.unbatch(forgot.graphs)
    for name, y in plain.outputs.items():
        np.testing.assert_array_equal(y, forgot.outputs[name], err_msg=name)
    for name, again in model.replay(forgot).items():
        np.testing.assert_allclose(again.data, forgot.outputs[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.replay(forgot)["h"].data, model.replay(plain)["h"].data)


def beams(levels: int, width: int, forget: bool, graphs: int = 2) -> tuple[Growth, Expand]:
    """Each vertex of a level goes on from one of the level before, and reads the root."""

    def expand(frontier: Frontier) -> Growth | None:
        if frontier.level == levels - 1:
            return None
        last = [frontier.vertices[frontier.graph == g].tolist() for g in range(graphs)]
        children = [[own[b % len(own)], g] for g, own in enumerate(last) for b in range(width)]
        children = [sorted(set(c)) for c in children]
        dead = frontier.vertices[frontier.vertices >= graphs] if forget else ()
        return Growth(children, x(len(children)), forget=dead)

    return Growth([[]] * graphs, x(graphs), np.arange(graphs)), expand


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of states after each level."""
    found: list[int] = []

    class Watched(NativeGrowth):
        def compute(self, inputs: Any) -> dict[Any, Any]:
            outputs = super().compute(inputs)
            found.append(self.structure.state_bytes)
            return outputs

    monkeypatch.setattr(growing, "NativeGrowth", Watched)
    return found


def test_memory_of_states_does_not_grow_with_the_length(states: list[int]) -> None:
    model = compiled(Node())
    most = {}
    for forget in (True, False):
        for levels in (100, 1000):
            states.clear()
            roots, expand = beams(levels, 4, forget)
            limits = {"max_levels": levels, "max_vertices": 4 * levels}
            grown = cavs.unfold(model, roots, expand, num_graphs=2, keep=["n"], **limits)
            most[forget, levels] = max(states)
            assert list(grown.outputs) == ["n"]
            assert grown.graphs.num_vertices == 2 + 8 * (levels - 1)
            np.testing.assert_array_equal(
                grown.outputs["n"], model.replay(grown, outputs=["n"])["n"].data
            )
    assert most[True, 1000] == most[True, 100]
    assert most[True, 1000] <= 4 * 128 * (SIZE + 1) + 2 * 64
    assert most[False, 1000] > 5 * most[False, 100]


def one(growth: Growth, **options: Any) -> Expand:
    return lambda frontier: replace(growth, **options) if frontier.level == 0 else None


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_forgotten_vertex_is_not_gathered_from(executor: str) -> None:
    model = compiled(Node(), executor=executor)
    levels = iter([Growth([[0], [1]], x(2), forget=[0, 0]), Growth([[1, 3], [2, 0]], x(2))])
    roots = Growth([[], []], x(2), [0, 1])
    said = (
        r"\[unfold\] graph 0, vertex 5: expected children that were not forgotten, got vertex 0; "
        "forget it when no later vertex gathers from it"
    )
    with pytest.raises(GraphError, match=said):
        cavs.unfold(model, roots, lambda _: next(levels), num_graphs=2)
    # To forget a vertex again is no error.
    levels = iter([Growth([[0]], x(1), forget=[0]), Growth([[1]], x(1), forget=[0, 1]), Growth([])])
    cavs.unfold(model, roots, lambda _: next(levels), num_graphs=2)


@pytest.mark.parametrize(
    ("forget", "error", "match"),
    [
        ([2], GraphError, "vertices to forget among the 2 that are there, got 2; name vertices"),
        ([-1], GraphError, "vertices to forget among the 2 that are there, got -1"),
        ([[0]], ShapeError, r"numbers of vertices to forget, got shape \(1, 1\); give them in a"),
        (1, ShapeError, r"numbers of vertices to forget, got shape \(\)"),
        ([0.5], DTypeError, "expected integers as forget, got"),
        ("a", (InputError, DTypeError), "forget"),
    ],
)
def test_what_cannot_be_forgotten_is_named(forget: Any, error: Any, match: str) -> None:
    model, roots = compiled(Node()), Growth([[], []], x(2), [0, 1])
    growth = Growth([[0]], x(1), forget=forget)
    with pytest.raises(error, match=match):
        cavs.unfold(model, roots, one(growth), num_graphs=2)
    assert cavs.unfold(model, roots, lambda _: None, num_graphs=2).graphs.num_vertices == 2


def test_outputs_that_are_not_kept_are_seen_and_let_go() -> None:
    model, seen = compiled(Node()), []
    roots, expand = beams(3, 2, True)

    def watched(frontier: Frontier) -> Growth | None:
        seen.append(sorted(frontier.outputs))
        return expand(frontier)

    grown = cavs.unfold(model, roots, watched, num_graphs=2, keep=[])
    assert grown.outputs == {}
    assert seen == [["h", "n", "noise"]] * 3
    assert len(model.replay(grown)["h"].data) == grown.graphs.num_vertices
    for wrong in (["g"], "h", ["h", 1], 3):
        with pytest.raises(InputError, match=r"\[unfold\] expected .*keep"):
            cavs.unfold(model, roots, watched, num_graphs=2, keep=wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"outputs to keep among \['n'\], got \['h'\]; keep some"):
        cavs.unfold(model, roots, watched, num_graphs=2, outputs=["n"], keep=["h"])


@pytest.mark.gpu
def test_a_gpu_forgets_the_same() -> None:
    """And a replay there draws the same, and sees that parameters have changed."""
    model, found = compiled(Node(), device="cuda"), []
    for forget in (False, True):
        model.set_random_state({"seed": 3, "step": 1})
        roots, expand = beams(40, 4, forget)
        found.append(cavs.unfold(model, roots, expand, num_graphs=2))
    plain, forgot = found
    again = model.replay(forgot)
    for name, y in plain.outputs.items():
        np.testing.assert_array_equal(y, forgot.outputs[name], err_msg=name)
        np.testing.assert_array_equal(y, again[name].numpy(), err_msg=name)
    again["h"].sum().backward()
    cavs.optim.SGD(model.parameters(), lr=0.1).step()
    with pytest.raises(InputError, match=r"got other values of cell\.weight"):
        model.replay(forgot)
