"""Vertex functions over graphs whose child lists have holes, beside NumPy written here."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import batches, dags

import cavs
from cavs import nn, ops


class _Slots(cavs.VertexFunction):
    """Gathers two slots by weights of their own, and all children with their edges' inputs."""

    def __init__(self) -> None:
        nn.init.manual_seed(0)
        self.left, self.right, self.all = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        sides = self.left(v.gather(0, h=3).h) + 2.0 * self.right(v.gather(1, h=3).h)
        edges = v.gather(h=3).h * v.pull_edge("weight", 3)
        h = ops.tanh(x + sides + self.all(edges).sum())
        v.scatter(h=h)
        v.push(h=h, loss=ops.sum(h * h))


def _expected(f: _Slots, graphs: cavs.GraphBatch, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """h of each vertex, children first."""
    lists = [c for graph in cavs.unbatch(graphs) for c in graph.children]
    first = np.repeat(graphs.ptr[:-1], np.diff(graphs.ptr))
    h = np.full((graphs.num_vertices, 3), np.nan)

    def linear(layer: nn.Linear, value: np.ndarray) -> np.ndarray:
        assert layer.bias is not None
        return value @ layer.weight.data.T + layer.bias.data

    order = np.argsort(np.concatenate([g.levels for g in cavs.unbatch(graphs)] or [[]]))
    for v in order.tolist():
        children = [None if c < 0 else first[v] + c for c in lists[v]]
        zero = np.zeros(3)
        sides = [zero, zero]
        edge = graphs.child_ptr[v]
        total = np.zeros(3)
        for slot, child in enumerate(children):
            if child is None:
                continue
            if slot < 2:
                sides[slot] = h[child]
            total += linear(f.all, h[child] * weight[edge])
            edge += 1
        assert edge == graphs.child_ptr[v + 1]
        h[v] = np.tanh(x[v] + linear(f.left, sides[0]) + 2 * linear(f.right, sides[1]) + total)
    return h


@settings(deadline=None)
@given(graphs=batches(dags(holes=True)), seed=st.integers(0, 99))
def test_missing_children_are_zeros_by_slot_and_nothing_among_all(
    graphs: cavs.GraphBatch, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(graphs.num_vertices, 3))
    weight = rng.normal(size=(graphs.num_edges, 3))
    f = _Slots()
    model = cavs.compile(f, dtype="float64", extra_children="ignore")
    out = model(graphs, x=x, weight=weight)
    np.testing.assert_allclose(out["h"].data, _expected(f, graphs, x, weight), atol=1e-12)


def test_gradients_are_differences() -> None:
    graphs = cavs.batch(
        [
            cavs.InputGraph([[], [], [-1, 0], [1, 2], [-1, -1, 3], [-1]]),
            cavs.InputGraph([[], [-1, 0, 0]]),
        ]
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(graphs.num_vertices, 3))
    weight = rng.normal(size=(graphs.num_edges, 3))
    model = cavs.compile(_Slots(), dtype="float64", extra_children="ignore")

    def loss(values: np.ndarray) -> float:
        return float(model(graphs, x=values, weight=weight)["loss"].data.sum())

    given_x = cavs.tensor(x, requires_grad=True)
    model(graphs, x=given_x, weight=weight)["loss"].sum().backward()
    assert given_x.grad is not None
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-5
        slope = (loss(x + step) - loss(x - step)) / 2e-5
        np.testing.assert_allclose(given_x.grad[index], slope, atol=1e-7)


def test_a_binary_cell_tells_a_right_child_from_a_left_one() -> None:
    class Binary(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            h = v.pull("x") + 10.0 * v.gather(0, h=()).h + 100.0 * v.gather(1, h=()).h
            v.scatter(h=h)
            v.push(h=h)

    model = cavs.compile(Binary())
    graphs = [cavs.InputGraph([[], c]) for c in ([0], [-1, 0], [0, -1], [-1, -1], [-1])]
    h = model(cavs.batch(graphs), x=np.ones(10, np.float32))["h"].data
    assert h[1::2].tolist() == [11, 101, 11, 1, 1]
    with pytest.raises(cavs.GraphError, match=r"expected at most 2 children.*got 3"):
        model(cavs.InputGraph([[], [-1, -1, 0]]), x=np.ones(2, np.float32))
