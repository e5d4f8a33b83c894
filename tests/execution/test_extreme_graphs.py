"""Graphs that are very deep, very wide, or empty, in whatever pieces programs take them."""

from __future__ import annotations

import numpy as np
import pytest
import vertex_functions
from model_runs import assert_same, compiled, draw_inputs, run

import cavs

pytestmark = pytest.mark.usefixtures("small_pieces", "threads")


class Chain(cavs.VertexFunction):
    """An Elman cell on the first child, and the sum over all children."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.u = vertex_functions.parameter(size, size)

    def forward(self, v: cavs.Vertex) -> None:
        n = self.size
        h = cavs.ops.tanh(v.pull("x", n) + cavs.ops.linear(v.gather(0, h=n).h, self.u))
        v.scatter(h=h)
        v.push(h=h)


def test_a_chain_of_a_hundred_thousand_vertices() -> None:
    count, size = 100_000, 16
    cavs.set_num_threads(
        1
    )  # levels of one row: sharing them, as this file asks for, is all waiting
    cavs.nn.init.manual_seed(0)
    function = Chain(size)
    function.u.data *= 0.5
    model = cavs.compile(function, dtype="float64")
    graph = cavs.InputGraph.from_parents(np.append(np.arange(1, count), -1))
    x = np.random.default_rng(0).normal(size=(count, size))
    given_x = cavs.Tensor(x, requires_grad=True)
    out = model(graph, x=given_x)["h"]
    u = function.u.data
    h = np.zeros((count + 1, size))
    for i in range(count):
        h[i] = np.tanh(x[i] + h[i - 1] @ u.T)
    np.testing.assert_allclose(out.data, h[:-1], rtol=1e-9, atol=1e-12)
    out.sum().backward()
    dh, dx = np.zeros(size), np.empty_like(x)
    for i in reversed(range(count)):
        dx[i] = (dh + 1) * (1 - h[i] * h[i])
        dh = dx[i] @ u
    np.testing.assert_allclose(given_x.grad, dx, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(function.u.grad, dx[1:].T @ h[: count - 1], rtol=1e-9, atol=1e-9)


def test_a_star_and_a_wide_deep_dag() -> None:
    star = cavs.InputGraph([*[[]] * 3000, list(range(3000))])
    levels, width = 40, 30
    layered = [
        [] if i < width else [i - width, i - i % width - 1, i - i % width - width]
        for i in range(levels * width)
    ]
    graphs = cavs.batch([star, cavs.InputGraph(layered)])
    for name in ("ChildSumTreeLSTM", "NaryTreeLSTM", "Segments"):
        model, plain = compiled(name), compiled(name, passes=(), policy="serial")
        inputs = draw_inputs(model, graphs)
        cavs.set_num_threads(2)
        assert_same(run(model, graphs, inputs), run(plain, graphs, inputs), rtol=1e-7, atol=1e-9)


def test_empty_batches_and_graphs_without_vertices() -> None:
    for graphs in (cavs.batch([]), cavs.batch([cavs.InputGraph([])] * 2)):
        for executor in ("native", "reference"):
            model = compiled("SharedEmbedding", executor=executor)
            result = run(model, graphs, draw_inputs(model, graphs))
            assert result.outputs["h"].shape == (0, 3)
            for name, p in model.named_parameters():
                assert not result.params[name].any()
                assert p.grad is not None
