"""The bits of an output depend on its graph, the inputs and the parameters: not on what was called
before, which graphs stand beside it, how many threads there are, or whether there are gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import compiled, draw_inputs
from strategies import batches, input_graphs

import cavs
from cavs import nn, ops
from cavs.models import ChildSumTreeLSTM, LSTMLanguageModel

WORDS = 40


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = cavs.get_num_threads()
    yield
    cavs.set_num_threads(before)


class Shared(cavs.VertexFunction):
    """Products with what is no parameter but computed from some, with short sums and with few
    columns."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(WORDS, 20)
        drawn = np.random.default_rng(2).normal(size=(2, 20, 20)).astype(np.float32)
        self.a, self.b = map(cavs.Parameter, drawn)
        self.narrow = nn.Linear(20, 3)
        self.wide = nn.Linear(3, 50)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        below = v.gather(h=20).h.sum()
        h = ops.tanh(ops.matmul(below + x, self.a + self.b))
        v.scatter(h=h)
        v.push(logits=self.wide(ops.tanh(self.narrow(h))))


def tree_lstm() -> cavs.VertexFunction:
    return ChildSumTreeLSTM(WORDS, embedding_size=24, hidden_size=40, num_classes=5)


def make(name: str, **options: Any) -> cavs.Model:
    nn.init.manual_seed(7)
    function = tree_lstm() if name == "tree-lstm" else Shared()
    return cavs.compile(function, **options)


def tree(vertices: int) -> cavs.InputGraph:
    """A chain whose every second vertex has a leaf beside it."""
    children: list[list[int]] = [[]]
    top = 0
    while len(children) < vertices:
        if len(children) % 3 == 1 and len(children) + 1 < vertices:
            children += [[], [top, len(children)]]
        else:
            children.append([top])
        top = len(children) - 1
    return cavs.InputGraph(children)


def drawn(model: cavs.Model, graphs: cavs.GraphBatch, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    bounds = {"word": WORDS, "label": 5}
    return {
        name: rng.integers(-1, bounds[name], graphs.num_vertices).astype(np.int32)
        for name in model.inputs
    }


def bits(outputs: dict[str, cavs.Tensor]) -> dict[str, bytes]:
    return {name: y.data.tobytes() for name, y in outputs.items()}


SIZES = [(1,), (2,), (3,), (5,), (1, 1), (9,), (3, 2, 1), (14,), (30, 20, 7), (60, 60)]


@pytest.mark.parametrize("name", ["tree-lstm", "shared"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_do_not_depend_on_what_was_called_before(name: str, dtype: str) -> None:
    calls = []
    for seed, sizes in enumerate(SIZES):
        model = make(name, dtype=dtype)
        graphs = cavs.batch([tree(size) for size in sizes])
        inputs = drawn(model, graphs, seed)
        with cavs.no_grad():
            calls.append((graphs, inputs, bits(model(graphs, **inputs))))
    model = make(name, dtype=dtype)
    rng = np.random.default_rng(0)
    held: Any = None
    for turn in range(6):
        for number in rng.permutation(len(calls)):
            graphs, inputs, expected = calls[number]
            with cavs.no_grad():
                found = model(graphs, **inputs)
            assert bits(found) == expected, (turn, number)
            if turn % 2:  # also where gradients may come
                assert bits(model(graphs, **inputs)) == expected
        for parameter in model.parameters():
            if turn == 2:  # nothing is kept while somebody else may write to it
                held = [p.data for p in model.parameters()]
            if turn == 4:
                held = None
            parameter.data = parameter.data.copy()  # what was kept is over
    assert held is None


@pytest.mark.parametrize("name", ["tree-lstm", "shared"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_values_are_those_of_each_graph_alone(name: str, threads: int) -> None:
    cavs.set_num_threads(1)
    model = make(name)
    trees = [tree(size) for sizes in SIZES for size in sizes] * 3
    graphs = cavs.batch(trees)
    inputs = drawn(model, graphs, 5)
    alone = []
    for number, graph in enumerate(trees):
        rows = slice(graphs.ptr[number], graphs.ptr[number + 1])
        own = {name: x[rows] for name, x in inputs.items()}
        with cavs.no_grad():
            alone.append({k: y.data for k, y in model(graph, **own).items()})
    expected = {key: np.concatenate([part[key] for part in alone]).tobytes() for key in alone[0]}
    cavs.set_num_threads(threads)
    assert bits(make(name)(graphs, **inputs)) == expected
    with cavs.no_grad():
        assert bits(model(graphs, **inputs)) == expected  # what it remembers among them
        assert bits(make(name)(graphs, **inputs)) == expected


def test_a_language_models_words_have_the_bits_they_have_alone() -> None:
    nn.init.manual_seed(3)
    function = LSTMLanguageModel(WORDS, hidden_size=32)
    model = cavs.compile(function, outputs=["loss"]).eval()
    chains = [cavs.InputGraph([[i - 1] if i else [] for i in range(n)]) for n in (1, 4, 7, 20)]
    graphs = cavs.batch(chains)
    rng = np.random.default_rng(0)
    inputs = {}
    for name, spec in model.inputs.items():
        rows = graphs.rows(spec.space)
        inputs[name] = (
            rng.integers(0, WORDS, rows).astype(np.int32)
            if spec.dtype == "int32"
            else rng.normal(size=(rows, *spec.shape)).astype(np.float32)
        )
    with cavs.no_grad():
        whole = model(graphs, **inputs)["loss"].data
        for number, chain in enumerate(chains):
            rows = slice(graphs.ptr[number], graphs.ptr[number + 1])
            own = {
                name: x[rows] if model.inputs[name].space == "vertex" else x[number : number + 1]
                for name, x in inputs.items()
            }
            assert model(chain, **own)["loss"].data.tobytes() == whole[rows].tobytes()


@pytest.mark.parametrize("name", sorted(vertex_functions.FUNCTIONS))
def test_every_function_gives_the_same_bits_after_other_calls(name: str) -> None:
    def fresh() -> cavs.Model:
        function = vertex_functions.make_function(name, "float32")
        return cavs.compile(function, dtype="float32", extra_children="ignore").eval()

    used = fresh()
    calls = [cavs.batch([tree(n) for n in sizes]) for sizes in ((2, 1), (4,), (12, 9, 5))]
    for number in (0, 1, 2, 0, 1):
        inputs = draw_inputs(used, calls[number], number)
        new = fresh()
        for model in (used, new):
            model.set_random_state({"seed": 1, "step": number})
        with cavs.no_grad():
            assert bits(used(calls[number], **inputs)) == bits(new(calls[number], **inputs))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(vertex_functions.FUNCTIONS))
def test_few_leaves_have_the_bits_of_many(name: str, dtype: str) -> None:
    """In training, where few leaves are not told apart from other vertices."""
    model = compiled(name, dtype).eval()
    chain = cavs.InputGraph([[i - 1] if i else [] for i in range(20)])
    alone, many = cavs.batch([chain], keys=[3]), cavs.batch([chain] * 40, keys=[3] * 40)
    depth = [graphs.schedule("depth") for graphs in (alone, many)]
    assert [schedule.has_few_leaves for schedule in depth] == [True, False]
    inputs = draw_inputs(model, alone)
    found = []
    for graphs, copies in ((alone, 1), (many, 40)):
        given = {key: np.concatenate([x] * copies) for key, x in inputs.items()}
        model.set_random_state({"seed": 1, "step": 0})
        outputs = model(graphs, **given)
        found.append({key: y.data[: len(y.data) // copies] for key, y in outputs.items()})
    for key, values in found[0].items():
        assert (values + 0.0).tobytes() == (found[1][key] + 0.0).tobytes(), key  # -0 is 0


def test_leaves_stay_apart_where_their_values_may_be_rounded_otherwise() -> None:
    def programs(constant: float) -> list[Any]:
        class Shifted(cavs.VertexFunction):
            def __init__(self) -> None:
                self.u = nn.Linear(4, 4, bias=False)

            def forward(self, v: cavs.Vertex) -> None:
                h = ops.exp(v.gather(h=4).h.sum() + constant) * v.pull("x", 4)
                v.scatter(h=self.u(h))
                v.push(y=h)

        compiler = cavs.compile(Shifted())._compiler
        return [compiler, compiler.with_few_leaves()]

    same, other = programs(0.25)
    assert other is same  # exp(0.25) is worked out when the function is compiled
    same, other = programs(0.0)
    assert other is not same


@settings(max_examples=25)
@given(st.lists(batches(graphs=input_graphs(max_vertices=9)), min_size=2, max_size=4), st.data())
def test_any_calls_may_come_before(histories: list[cavs.GraphBatch], data: st.DataObject) -> None:
    used = make("tree-lstm")
    for graphs in histories:
        inputs = drawn(used, graphs, data.draw(st.integers(0, 9)))
        threads = data.draw(st.sampled_from([1, 2]))
        cavs.set_num_threads(threads)
        with cavs.no_grad():
            found = bits(used(graphs, **inputs))
            cavs.set_num_threads(1)
            assert found == bits(make("tree-lstm")(graphs, **inputs))
