"""Models over graphs whose child lists are runs give the bits that they give over the lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import model_runs
import numpy as np
import pytest
import typed_functions
import vertex_functions
from strategies import as_lists
from typed_functions import draw_case
from typed_runs import outputs_and_gradients

import cavs
from cavs import ops
from cavs.errors import GraphError
from cavs.execution.native import NativeExecutor
from cavs.execution.profile._waits import find_waits

POLICIES = ("depth", "agenda", "bound", "serial")


def run_graphs(seed: int, case: typed_functions.Case | None = None) -> list[cavs.InputGraph]:
    """Graphs with runs; with a case, of types whose children can be read."""
    draw = np.random.default_rng(seed)
    graphs = []
    for _ in range(int(draw.integers(1, 4))):
        count = int(draw.integers(1, 10))
        if case is None and draw.random() < 0.5:
            memory = int(draw.integers(0, count + 1))
            window = None if draw.random() < 0.5 else int(draw.integers(0, 5))
            graphs.append(cavs.InputGraph.chain(count - memory, window=window, memory=memory))
            continue
        first, lengths, types = [], [], []
        for vertex in range(count):
            plan = None if case is None else case.plans[int(draw.integers(len(case.plans)))]
            runs = [(0, 0)]
            for _ in range(8):
                end = int(draw.integers(0, vertex + 1))
                begin = int(draw.integers(max(0, end - 4), end + 1))
                types_of = types[begin:end]
                if case and plan and not all(typed_functions.readable(case, plan, types_of)):
                    continue
                runs.append((begin, end))
            begin, end = max(runs, key=lambda run: run[1] - run[0])
            first.append(begin)
            lengths.append(end - begin)
            types.append("" if plan is None else plan.name)
        named = None if case is None else types
        graph = cavs.InputGraph.windows(first, lengths, named)
        turned = graph.reverse()
        graphs.append(turned if case is None and turned.has_runs else graph)
    return graphs


def both(graphs: list[cavs.InputGraph]) -> tuple[cavs.GraphBatch, cavs.GraphBatch]:
    """The batch as runs and as lists."""
    keys = np.arange(5, 5 + len(graphs))
    runs = cavs.batch(graphs, keys)
    assert runs.has_runs
    return runs, cavs.batch([as_lists(graph) for graph in graphs], keys)


def assert_equal(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        np.testing.assert_array_equal(found[name], x, err_msg=name)


@pytest.mark.parametrize("policy", ["depth", "serial"])
@pytest.mark.parametrize("name", sorted(vertex_functions.FUNCTIONS))
def test_functions_of_the_library(name: str, policy: str) -> None:
    model = model_runs.compiled(name, "float32", policy=policy)
    runs, lists = both(run_graphs(len(name)))
    inputs = model_runs.draw_inputs(model, lists)
    found, expected = (model_runs.run(model, graphs, inputs) for graphs in (runs, lists))
    for kind in ("outputs", "params", "inputs", "buffers"):
        assert_equal(getattr(found, kind), getattr(expected, kind))


@pytest.mark.parametrize("policy", [*POLICIES, max], ids=str)
@pytest.mark.parametrize("seed", range(12))
def test_functions_of_types(seed: int, policy: Any) -> None:
    case = draw_case(seed)
    runs, lists = both(run_graphs(seed, case))
    options: dict[str, Any] = {"policy": policy, "dtype": "float64"}
    model, found, slopes = outputs_and_gradients(case, runs, seed, **options)
    _, expected, steeps = outputs_and_gradients(case, lists, seed, **options)
    assert_equal(found, expected)
    assert_equal(slopes, steeps)
    executor = model._executor
    assert isinstance(executor, NativeExecutor)
    assert find_waits(executor, runs) == find_waits(executor, lists)


@pytest.mark.parametrize("extra", ["error", "ignore"])
@pytest.mark.parametrize("seed", range(20))
def test_children_that_cannot_be_read_are_named_alike(seed: int, extra: str) -> None:
    case = draw_case(seed)
    draw = np.random.default_rng(seed)
    names = [plan.name for plan in case.plans]
    count = 8
    ends = [int(draw.integers(0, v + 1)) for v in range(count)]
    first = [int(draw.integers(0, end + 1)) for end in ends]
    types = [names[i] for i in draw.integers(0, len(names), count)]
    lengths = [end - begin for begin, end in zip(first, ends, strict=True)]
    graph = cavs.InputGraph.windows(first, lengths, types)
    model = cavs.compile(case.function, extra_children=extra)
    said = []
    for graphs in (graph, as_lists(graph)):
        try:
            model(graphs)
            said.append("nothing")
        except cavs.CavsError as error:
            said.append(str(error))
    assert said[0] == said[1]


class Attends(cavs.VertexFunction):
    """What each vertex attends to are rows of a layer below, which are pulled: no levels."""

    def __init__(self, size: int) -> None:
        self.query = cavs.nn.Linear(size, size)
        self.key = cavs.nn.Linear(size, size)
        self.size = size

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.size)
        v.scatter(key=self.key(x), value=x)
        below = v.gather(key=self.size, value=self.size)
        score = ops.sum(self.query(x) * below.key, axis=-1, keepdims=True)
        v.push(y=x + (score.softmax() * below.value).sum())


@pytest.mark.parametrize("window", [None, 3])
def test_attention_in_a_layer_is_that_of_numpy(window: int | None) -> None:
    size, memory, length = 4, 2, 6
    cavs.nn.init.manual_seed(0)
    model = cavs.compile(Attends(size), dtype="float64")
    graphs = cavs.batch([cavs.InputGraph.chain(length, window=window, memory=memory)] * 2)
    x = np.random.default_rng(0).normal(size=(graphs.num_vertices, size))
    y = model(graphs, x=x)["y"].numpy()
    own = {name: p.numpy() for name, p in model.named_parameters()}
    for graph in range(2):
        rows = x[graphs.ptr[graph] : graphs.ptr[graph + 1]]
        keys = rows @ own["key.weight"].T + own["key.bias"]
        queries = rows @ own["query.weight"].T + own["query.bias"]
        for i in range(memory + length):
            begin = 0 if window is None else max(0, i - window)
            expected = rows[i]
            if i >= memory and i > begin:
                score = np.exp(keys[begin:i] @ queries[i])
                expected = rows[i] + score / score.sum() @ rows[begin:i]
            np.testing.assert_allclose(y[graphs.ptr[graph] + i], expected, rtol=1e-12, atol=1e-12)


class Row(cavs.VertexFunction):
    """What a vertex of the layer below gives to those that read it."""

    def __init__(self, size: int) -> None:
        self.key = cavs.nn.Linear(size, size)
        self.size = size

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("row", self.size)
        v.scatter(key=self.key(x), value=x)


class Reader(cavs.VertexFunction):
    """Attends to the rows up to its own."""

    def __init__(self, size: int) -> None:
        self.query = cavs.nn.Linear(size, size)
        self.size = size

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.size)
        below = v.gather(of="row", key=self.size, value=self.size)
        score = ops.sum(self.query(x) * below.key, axis=-1, keepdims=True)
        v.push(y=x + (score.softmax() * below.value).sum())


def test_readers_of_a_layer_may_see_their_own_row() -> None:
    size, length = 4, 5
    cavs.nn.init.manual_seed(0)
    function = cavs.TypedFunction({"row": Row(size), "reader": Reader(size)})
    model = cavs.compile(function, dtype="float64")
    first, count = [0] * 2 * length, [0] * length + list(range(1, length + 1))
    types = ["row"] * length + ["reader"] * length
    graphs = cavs.batch([cavs.InputGraph.windows(first, count, types)] * 2)
    x = np.random.default_rng(0).normal(size=(2 * length, size))
    y = model(graphs, row=x, x=x)["y"].numpy()
    own = {name: p.numpy() for name, p in model.named_parameters()}
    keys = x @ own["row.key.weight"].T + own["row.key.bias"]
    queries = x @ own["reader.query.weight"].T + own["reader.query.bias"]
    for graph in (slice(0, length), slice(length, None)):
        score = np.exp(np.tril(queries[graph] @ keys[graph].T)) * np.tril(np.ones((length, length)))
        expected = x[graph] + score / score.sum(1, keepdims=True) @ x[graph]
        np.testing.assert_allclose(y[graph], expected, rtol=1e-12, atol=1e-12)
    assert model._compiler.types is not None
    assert graphs.schedule("bound", model._compiler.types.numbers()).num_batches == 0


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["ChildSumTreeLSTM", "Attends"])
def test_a_gpu_reads_runs(name: str) -> None:
    function = Attends(3) if name == "Attends" else vertex_functions.make_function(name)
    model = cavs.compile(function, device="cuda", extra_children="ignore")
    runs, lists = both(run_graphs(3))
    inputs = model_runs.draw_inputs(model, lists)
    found, expected = (model_runs.run(model, graphs, inputs) for graphs in (runs, lists))
    for kind in ("outputs", "params", "inputs", "buffers"):
        assert_equal(getattr(found, kind), getattr(expected, kind))


def test_too_many_children_are_named_without_edges() -> None:
    class Last(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            h = v.gather(0, h=1).h + v.pull("x", 1)
            v.scatter(h=h)
            v.push(y=h)

    model = cavs.compile(Last())
    chain = cavs.InputGraph.chain(4, window=1)
    assert model(chain, x=np.ones((4, 1)))["y"].numpy().ravel().tolist() == [1, 2, 3, 4]
    with pytest.raises(GraphError, match="graph 0, vertex 2: expected at most 1 children"):
        model(cavs.InputGraph.chain(4), x=np.ones((4, 1)))
