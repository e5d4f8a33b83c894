"""The oracle itself: against recursive NumPy written from the equations, and its own parts."""

from __future__ import annotations

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from model_runs import compiled, draw_inputs, run
from strategies import batches

import cavs
from cavs.core.ops._def import OPS, OpDef, apply, register
from cavs.execution.philox import GRAPH_LOCAL, uniform
from cavs.execution.reference_values import _children_first


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def tree_lstm(
    model: cavs.Model, graph: cavs.InputGraph, word: np.ndarray, vertex: int
) -> tuple[np.ndarray, np.ndarray]:
    """h and c of a vertex: Tai et al. 2015, equations 2-8."""
    p = model.state_dict()
    children = [child for child in graph.children[vertex] if child >= 0]
    states = [tree_lstm(model, graph, word, child) for child in children]
    n = p["u_f.weight"].shape[0]
    x = p["embedding.weight"][word[vertex]] if word[vertex] >= 0 else np.zeros(3)
    h_sum = sum((h for h, _ in states), np.zeros(n))
    i, o, u = np.split(p["w_iou.weight"] @ x + p["w_iou.bias"] + p["u_iou.weight"] @ h_sum, 3)
    c = sigmoid(i) * np.tanh(u)
    for child_h, child_c in states:
        f = sigmoid(p["w_f.weight"] @ x + p["w_f.bias"] + p["u_f.weight"] @ child_h)
        c = c + f * child_c
    return sigmoid(o) * np.tanh(c), c


@settings(max_examples=15)
@given(graphs=batches(max_size=2))
def test_tree_lstm_equals_a_recursive_loop(graphs: cavs.GraphBatch) -> None:
    for executor in ("reference", "native"):
        model = compiled("ChildSumTreeLSTM", executor=executor)
        inputs = draw_inputs(model, graphs)
        found = run(model, graphs, inputs).outputs
        p = model.state_dict()
        for g, graph in enumerate(cavs.unbatch(graphs)):
            rows = slice(graphs.ptr[g], graphs.ptr[g + 1])
            word, label = inputs["word"][rows], inputs["label"][rows]
            for vertex in range(graph.num_vertices):
                h, _ = tree_lstm(model, graph, word, vertex)
                logits = p["classifier.weight"] @ h + p["classifier.bias"]
                np.testing.assert_allclose(found["logits"][rows][vertex], logits, rtol=1e-10)
                loss = np.log(np.exp(logits).sum()) - logits[label[vertex]]
                expected = loss if label[vertex] >= 0 else 0.0
                np.testing.assert_allclose(found["loss"][rows][vertex], expected, rtol=1e-9)


@given(graphs=batches())
def test_children_come_first(graphs: cavs.GraphBatch) -> None:
    order = _children_first(graphs)
    assert sorted(order) == list(range(graphs.num_vertices))
    place = {v: i for i, v in enumerate(order)}
    for v in order:
        for child in graphs.children[graphs.child_ptr[v] : graphs.child_ptr[v + 1]].tolist():
            assert place[child] < place[v]


def test_dropout_draws_from_the_generator_by_graph_vertex_edge_and_operation() -> None:
    model = compiled("Dropouts", executor="reference")
    graphs = cavs.batch([cavs.InputGraph([[]]), cavs.InputGraph([[], [0], [0, 1]])], keys=[4, 9])
    inputs = draw_inputs(model, graphs)
    found = run(model, graphs, inputs, step=6).outputs
    keys, vertices, edges = [4, 9, 9, 9], [0, 0, 1, 2], [0, 1, 2]
    kept = {
        "x": uniform(3, 6, 0, keys, vertices, 3) >= 0.4,
        "topic": (uniform(3, 6, 1, [4, 9], [GRAPH_LOCAL] * 2, 3) >= 0.4)[[0, 1, 1, 1]],
        "h": uniform(3, 6, 3, keys, vertices, 3) >= 0.4,
    }
    # What an edge carries has gone through the dropout of its child before.
    kept["h_edge"] = (uniform(3, 6, 2, [9] * 3, edges, 3) >= 0.4) & kept["h"][[1, 1, 2]]
    for name, mask in kept.items():
        np.testing.assert_array_equal(found[name] != 0, mask, err_msg=name)
    np.testing.assert_allclose(found["x"], inputs["x"] * kept["x"] / 0.6, rtol=1e-12)


def test_a_vertex_of_several_parents_adds_their_cotangents() -> None:
    """Of a diamond: the gradient of x at the bottom comes over both sides."""
    model = compiled("NoParameters", executor="reference")
    graphs = cavs.batch([cavs.InputGraph([[], [0], [0], [1, 2]])])
    inputs = draw_inputs(model, graphs)
    result = run(model, graphs, inputs, cotangents={"h": np.eye(4)[3][:, None] * np.ones(3)})
    h = result.outputs["h"]
    slope = 1 - h * h
    side = slope[3] * slope[1] + slope[3] * slope[2]
    np.testing.assert_allclose(result.inputs["x"][0], side * slope[0], rtol=1e-12)


def test_results_are_of_the_compiled_precision() -> None:
    graphs = cavs.batch([cavs.InputGraph([[], [0]])])
    for dtype in ("float32", "float64"):
        function = vertex_functions.make_function("Segments", dtype)
        model = cavs.compile(function, dtype=dtype, executor="reference")
        result = run(model, graphs, draw_inputs(model, graphs))
        arrays = [*result.outputs.values(), *result.params.values(), *result.inputs.values()]
        assert {a.dtype.name for a in arrays} == {dtype}


@pytest.mark.parametrize("name", ["rows", "children", "evaluate", "draw", "count", "empty"])
def test_an_operation_may_have_any_name(name: str) -> None:
    """Operations are found in a table, not among the methods of the oracle."""
    op = register(
        OpDef(
            name,
            arity=1,
            infer=lambda shape: shape,
            vjp=lambda dy, y, x: (dy * 3.0,),
            reference=lambda np, x: x * 3,
        )
    )
    try:

        class F(cavs.VertexFunction):
            def forward(self, v: cavs.Vertex) -> None:
                v.push(y=apply(op, v.pull("x")))

        model = cavs.compile(F(), executor="reference")
        x = cavs.Tensor(np.array([1.0, -2.0], np.float32), requires_grad=True)
        y = model(cavs.InputGraph([[], []]), x=x)["y"]
        np.testing.assert_array_equal(y.data, [3, -6])
        y.sum().backward()
        np.testing.assert_array_equal(x.grad, [3, 3])
    finally:
        del OPS[name]
