"""Attention whose weights are dropped out: the same weights as on edges, and no row for an edge."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from attention_cases import (
    GRAPHS,
    ON_EDGES,
    Arrays,
    compare,
    dag,
    drawn,
    kernels,
    numpy_attention,
    segment,
    window,
)

import cavs
from cavs import ops
from cavs._native import core
from cavs.core.ir import ancestors
from cavs.core.ops.random import DROPOUT
from cavs.execution.philox import uniform

PLACES, RATE = 41, 0.35


class Dropped(cavs.VertexFunction):
    """Attention of inputs, with all that scores add and dropout."""

    def __init__(self, heads: int, size: int, values: int, bias: tuple[int, ...] = ()) -> None:
        self.sizes = heads, size, values
        self.bias = bias

    def forward(self, v: cavs.Vertex) -> None:
        heads, size, values = self.sizes
        kids = v.gather(k=(heads, size), w=(heads, values))
        v.scatter(k=v.pull("k", (heads, size)), w=v.pull("w", (heads, values)))
        y = ops.attention(
            v.pull("q", (heads, size)),
            kids.k,
            kids.w,
            bias=v.pull_edge("bias", self.bias),
            position=v.pull("position", (heads, PLACES)),
            dropout=RATE,
        )
        v.push(y=y)


SEED, STEP = 2**33 + 11, 2**34 + 5


def run(model: cavs.Model, graphs: cavs.GraphBatch, x: Arrays, d: np.ndarray) -> Arrays:
    """The output and all gradients of a step, always the same one."""
    model.set_random_state({"seed": SEED, "step": STEP})
    dtype = np.dtype(model.dtype)
    t = {name: cavs.tensor(a.astype(dtype), requires_grad=True) for name, a in x.items()}
    y = model(graphs, **t)["y"]
    (y * d.astype(dtype)).sum().backward()
    return {"y": y.numpy(), **{name: np.asarray(a.grad) for name, a in t.items()}}


def of_graphs(graphs: list[cavs.InputGraph]) -> cavs.GraphBatch:
    """A batch whose keys are not the places of its graphs."""
    return cavs.batch(graphs, keys=[2**40 * g + 7 * g - 3 for g in range(len(graphs))])


def operands(model: cavs.Model, graphs: cavs.GraphBatch) -> tuple[Arrays, np.ndarray]:
    """Inputs, and the gradient of the output."""
    shape = model._compiler.function.pushes["y"].shape
    rows = graphs.num_vertices
    return drawn(model, graphs), np.random.default_rng(1).normal(size=(rows, *shape))


def kept(model: cavs.Model, graphs: cavs.GraphBatch, heads: int) -> np.ndarray:
    """By the definition of the generator: whether the weight of each edge is kept, head by head."""
    order = ancestors(model._compiler.trace.function.roots())
    (key,) = {node.attrs["key"] for node in order if node.op is DROPOUT}
    counts = np.diff(graphs.edge_ptr)
    local = np.arange(graphs.num_edges) - np.repeat(graphs.edge_ptr[:-1], counts)
    numbers = uniform(SEED, STEP, key, np.repeat(graphs.keys, counts), local, heads)
    return numbers >= RATE


@pytest.mark.parametrize("graphs", GRAPHS)
@pytest.mark.parametrize("sizes", [(2, 16, 16), (9, 5, 7), (1, 1, 33)], ids=str)
@pytest.mark.parametrize("bias", [(), "heads"])
def test_values_and_gradients(graphs: str, sizes: tuple[int, int, int], bias: Any) -> None:
    batch = of_graphs(GRAPHS[graphs])
    function = Dropped(*sizes, (sizes[0],) if bias else ())
    fused = cavs.compile(function, dtype="float64")
    assert "attention_grad" in kernels(fused)
    x, d = operands(fused, batch)
    expected = run(cavs.compile(function, dtype="float64", executor="reference"), batch, x, d)
    factor = kept(fused, batch, sizes[0]) / (1 - RATE)
    by_definition = numpy_attention(batch, x, PLACES, factor)
    np.testing.assert_allclose(expected["y"], by_definition, rtol=0, atol=1e-12)
    compare(run(fused, batch, x, d), expected, 1e-12)
    compare(run(cavs.compile(function, dtype="float32"), batch, x, d), expected, 5e-5)
    on_edges = cavs.compile(function, dtype="float64", passes=ON_EDGES)
    assert "attention_grad" not in kernels(on_edges)
    compare(run(on_edges, batch, x, d), expected, 1e-12)


@pytest.mark.parametrize("graphs", GRAPHS)
def test_gradients_are_those_of_the_same_weights(graphs: str) -> None:
    batch = of_graphs(GRAPHS[graphs])
    model = cavs.compile(Dropped(2, 3, 4, (2,)), dtype="float64")
    x, d = operands(model, batch)
    found = run(model, batch, x, d)
    rng = np.random.default_rng(3)
    for name, a in x.items():
        direction, step = rng.normal(size=a.shape), 1e-5
        ends = [
            (run(model, batch, {**x, name: a + s * step * direction}, d)["y"] * d).sum()
            for s in (1, -1)
        ]
        slope = (found[name] * direction).sum()
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-8), name


class Places(cavs.VertexFunction):
    """All children count the same, and the value of a child is 1 where it stands: the output is
    the weights themselves."""

    def __init__(self, heads: int, places: int) -> None:
        self.heads, self.places = heads, places

    def forward(self, v: cavs.Vertex) -> None:
        kids = v.gather(k=(self.heads, 1), w=(self.heads, self.places))
        place = v.pull("place", (self.heads, self.places))
        v.scatter(k=v.pull("zero", (self.heads, 1)), w=place)
        v.push(y=ops.attention(v.pull("zero", (self.heads, 1)), kids.k, kids.w, dropout=RATE))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("heads", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("graph", [segment(50, 37), dag(60, 20, 1)], ids=["run", "list"])
def test_weights_are_kept_by_the_numbers_of_their_edges(
    graph: cavs.InputGraph, heads: int, dtype: str
) -> None:
    batch = of_graphs([window(5, 3), graph])
    model = cavs.compile(Places(heads, graph.num_vertices), dtype=dtype)
    model.set_random_state({"seed": SEED, "step": STEP})
    local = np.arange(batch.num_vertices) - np.repeat(batch.ptr[:-1], np.diff(batch.ptr))
    place = np.eye(graph.num_vertices, dtype=dtype)[local]
    zero = np.zeros((batch.num_vertices, heads, 1), dtype)
    y = model(batch, zero=zero, place=np.repeat(place[:, None], heads, 1))["y"].numpy()
    keep = kept(model, batch, heads)
    expected = np.zeros(y.shape)
    for v in range(batch.num_vertices):
        edges = np.arange(batch.child_ptr[v], batch.child_ptr[v + 1])
        for e in edges:
            expected[v, :, local[batch.children[e]]] += keep[e] / (1 - RATE) / len(edges)
    np.testing.assert_array_equal(y != 0, expected != 0)
    np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_depend_on_the_graph_alone(dtype: str, restored_threads: None) -> None:
    model = cavs.compile(Dropped(6, 16, 20), dtype=dtype)
    together = of_graphs([g for graphs in GRAPHS.values() for g in graphs])
    x, d = operands(model, together)
    results = []
    for threads in (1, 2, 3):
        cavs.set_num_threads(threads)
        results.append(run(model, together, x, d))
    for name, a in results[0].items():
        np.testing.assert_array_equal(results[1][name], a, err_msg=name)
        np.testing.assert_array_equal(results[2][name], a, err_msg=name)
    for number in (len(GRAPHS["windows"]) + 1, together.num_graphs - 2):
        (graph,) = cavs.unbatch(together)[number : number + 1]
        alone = cavs.batch([graph], keys=together.keys[number : number + 1])
        rows = slice(together.ptr[number], together.ptr[number + 1])
        edges = slice(together.edge_ptr[number], together.edge_ptr[number + 1])
        own = {name: a[edges if name == "bias" else rows] for name, a in x.items()}
        for name, a in run(model, alone, own, d[rows]).items():
            part = results[0][name][edges if name == "bias" else rows]
            np.testing.assert_array_equal(a, part, err_msg=name)


# --- Types, and batches that hold runs ------------------------------------------------------------


class Key(cavs.VertexFunction):
    def __init__(self, heads: int) -> None:
        self.shape = heads, 3

    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(k=v.pull("k", self.shape), w=v.pull("w", self.shape))


class Query(cavs.VertexFunction):
    def __init__(self, heads: int) -> None:
        self.shape = heads, 3

    def forward(self, v: cavs.Vertex) -> None:
        kids = v.gather(of="key", k=self.shape, w=self.shape)
        v.push(y=ops.attention(v.pull("q", self.shape), kids.k, kids.w, dropout=RATE))


def words_apart(length: int) -> cavs.InputGraph:
    """Keys of all words, then queries, each of which sees the words up to its own."""
    count = [0] * length + list(range(1, length + 1))
    return cavs.InputGraph.windows(
        [0] * 2 * length, count, types=["key"] * length + ["query"] * length
    )


def words_in_turn(length: int) -> cavs.InputGraph:
    """The key of each word before its query, which has other queries among its children too: the
    edges to keys have no numbers in a row."""
    first = [0, 0] * length
    count = [x for i in range(length) for x in (0, 2 * i + 1)]
    return cavs.InputGraph.windows(first, count, types=["key", "query"] * length)


def as_lists(graph: cavs.InputGraph) -> cavs.InputGraph:
    batch = cavs.batch([graph])
    children = [
        batch.children[batch.child_ptr[v] : batch.child_ptr[v + 1]].tolist()
        for v in range(batch.num_vertices)
    ]
    return cavs.InputGraph(children, types=batch.types)


TYPED: dict[str, Callable[[], list[cavs.InputGraph]]] = {
    "runs": lambda: [words_apart(40), words_apart(17), words_apart(20)],
    "in turn": lambda: [words_in_turn(40), words_apart(30), words_in_turn(21)],
    "short": lambda: [words_in_turn(40), words_in_turn(5), words_apart(3)],
    "lists": lambda: [as_lists(words_in_turn(30)), as_lists(words_apart(20))],
    "lists too": lambda: [as_lists(words_in_turn(30)), words_in_turn(9), words_apart(20)],
}


@pytest.mark.parametrize("graphs", TYPED)
def test_children_of_a_type(graphs: str, restored_threads: None) -> None:
    batch = of_graphs(TYPED[graphs]())
    function = cavs.TypedFunction({"key": Key(5), "query": Query(5)})
    options: Any = {"dtype": "float64", "extra_children": "ignore"}
    fused = cavs.compile(function, **options)
    assert "attention_grad" in kernels(fused)
    rows = int((np.asarray(batch.types) == "query").sum())
    rng = np.random.default_rng(0)
    x = {
        name: rng.normal(size=(rows if name == "q" else batch.num_vertices - rows, 5, 3))
        for name in ("k", "q", "w")
    }
    d = rng.normal(size=(rows, 5, 3))
    expected = run(cavs.compile(function, passes=ON_EDGES, **options), batch, x, d)
    assert np.abs(expected["y"] - run_kept_whole(fused, batch, x)).max() > 0.1
    for threads in (1, 3):
        cavs.set_num_threads(threads)
        compare(run(fused, batch, x, d), expected, 1e-12)


def run_kept_whole(model: cavs.Model, graphs: cavs.GraphBatch, x: Arrays) -> np.ndarray:
    """Of evaluation."""
    model.eval()
    y: np.ndarray = model(graphs, **x)["y"].numpy()
    model.train()
    return y


# --- Modes, derivatives, instruction sets ---------------------------------------------------------


class Same(cavs.VertexFunction):
    """The same attention with dropout and without."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def forward(self, v: cavs.Vertex) -> None:
        x, kids = v.pull("x", (2, 3)), v.gather(k=(2, 3))
        v.scatter(k=x)
        v.push(y=ops.attention(x, kids.k, kids.k, dropout=self.rate))


def test_evaluation_drops_nothing_and_each_step_draws_anew() -> None:
    batch = cavs.batch([window(30, 20), dag(12, 5, 1)])
    x = np.random.default_rng(0).normal(size=(batch.num_vertices, 2, 3)).astype(np.float32)
    model, whole = cavs.compile(Same(0.5)), cavs.compile(Same(0.0))
    model.set_random_state({"seed": 1, "step": 0})
    steps = [model(batch, x=x)["y"].numpy() for _ in range(2)]
    assert (steps[0] != steps[1]).any()
    model.set_random_state({"seed": 1, "step": 1})
    np.testing.assert_array_equal(model(batch, x=x)["y"].numpy(), steps[1])
    model.eval()
    np.testing.assert_array_equal(model(batch, x=x)["y"].numpy(), whole(batch, x=x)["y"].numpy())


def test_means_are_those_without_dropout() -> None:
    batch = cavs.batch([window(9, 8)])
    x = np.random.default_rng(0).normal(size=(9, 2, 3))
    model = cavs.compile(Same(0.3), dtype="float64")
    mean = np.mean([model(batch, x=x)["y"].numpy() for _ in range(4000)], axis=0)
    expected = cavs.compile(Same(0.0), dtype="float64")(batch, x=x)["y"].numpy()
    np.testing.assert_allclose(mean, expected, rtol=0, atol=0.06)


def test_second_derivatives() -> None:
    batch = cavs.batch([dag(8, 4, 5), window(6, 4)])
    model = cavs.compile(Dropped(2, 3, 2, (2,)), dtype="float64")
    x, d = operands(model, batch)
    rng = np.random.default_rng(2)
    weights = {name: rng.normal(size=a.shape) for name, a in x.items()}

    def slopes(arrays: Arrays) -> tuple[list[Any], list[Any]]:
        model.set_random_state({"seed": SEED, "step": STEP})
        t = [cavs.tensor(a, requires_grad=True) for a in arrays.values()]
        y = model(batch, **dict(zip(arrays, t, strict=True)))["y"]
        return t, cavs.grad((y * d).sum(), t, create_graph=True)

    def weighed(arrays: Arrays) -> float:
        parts = zip(slopes(arrays)[1], weights.values(), strict=True)
        return sum(float((g.numpy() * w).sum()) for g, w in parts)

    t, first = slopes(x)
    compare(
        dict(zip(x, (g.numpy() for g in first), strict=True)),
        without_y(run(model, batch, x, d)),
        1e-12,
    )
    total = cavs.tensor(np.zeros(()))
    for slope, w in zip(first, weights.values(), strict=True):
        total = total + (slope * w).sum()
    for name, second in zip(x, cavs.grad(total, t), strict=True):
        direction, step = rng.normal(size=x[name].shape), 1e-5
        ends = [weighed({**x, name: x[name] + s * step * direction}) for s in (1, -1)]
        assert float((second.numpy() * direction).sum()) == pytest.approx(
            (ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-8
        )


def without_y(found: Arrays) -> Arrays:
    return {name: a for name, a in found.items() if name != "y"}


def test_dropout_by_hand_before_the_weights_are_repeated() -> None:
    class ByHand(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x, kids = v.pull("x", 4), v.gather(h=4)
            v.scatter(h=x)
            score = ops.sum(x * kids.h, axis=-1, keepdims=True)
            v.push(y=(ops.dropout(score.softmax(), 0.4) * kids.h).sum())

    batch = of_graphs(GRAPHS["both"])
    x = {"x": np.random.default_rng(0).normal(size=(batch.num_vertices, 4))}
    d = np.random.default_rng(1).normal(size=x["x"].shape)
    fused = cavs.compile(ByHand(), dtype="float64")
    assert "attention_grad" in kernels(fused)
    on_edges = cavs.compile(ByHand(), dtype="float64", passes=ON_EDGES)
    compare(run(fused, batch, x, d), run(on_edges, batch, x, d), 1e-12)


INSTRUCTION_SETS = ["generic", "avx2", "avx512"]


@pytest.mark.skipif("CAVS_ISA" in os.environ, reason="runs for one instruction set already")
@pytest.mark.parametrize("isa", INSTRUCTION_SETS[: INSTRUCTION_SETS.index(core.instruction_set())])
def test_lesser_instruction_sets(isa: str) -> None:
    """The other tests of this file once more, on what this machine has beside its best set."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "CAVS_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout
