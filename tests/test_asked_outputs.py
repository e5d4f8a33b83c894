"""Calls that ask for some of the outputs: what these do not depend on need not be given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import compiled, draw_inputs
from strategies import batches

import cavs
from cavs import nn, ops
from cavs.errors import InputError

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])
WORD, LABEL = np.int32([1, 2, -1, 3, -1]), np.int32([0, 1, 2, 0, 1])


class Tagger(cavs.VertexFunction):
    """Scores, which need no label; a loss, which does; and a state that carries losses alone."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(5, 4)
        self.u, self.out = nn.Linear(4, 4), nn.Linear(4, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, v: cavs.Vertex) -> None:
        below = v.gather(h=4, total=1)
        h = ops.tanh(self.embedding(v.pull("word", dtype="int32")) + self.u(below.h.sum()))
        scores = self.out(self.dropout(h))
        loss = ops.cross_entropy(scores, v.pull("label", dtype="int32"))
        total = below.total.sum() + ops.reshape(loss, 1)
        v.scatter(h=h, total=total)
        v.push(scores=scores, loss=loss, total=total, weighted=scores * v.pull("weight", 3))


WEIGHT = np.ones((5, 3), np.float32)


@pytest.fixture
def model() -> cavs.Model:
    nn.init.manual_seed(0)
    return cavs.compile(Tagger(), seed=1)


def test_a_prediction_needs_no_label(model: cavs.Model) -> None:
    model.eval()
    everything = model(GRAPHS, word=WORD, label=LABEL, weight=WEIGHT)
    assert list(everything) == ["scores", "loss", "total", "weighted"]
    with pytest.raises(InputError, match=r"'label', got none.*; pass it, or ask .*'scores'"):
        model(GRAPHS, word=WORD, weight=WEIGHT)
    for outputs in (["scores"], ("scores",), "scores", {"scores": 1}.keys(), {"scores"}):
        for more in ({}, {"label": LABEL}, {"label": "no label", "weight": None}):
            found = model(GRAPHS, outputs=outputs, word=WORD, **more)  # type: ignore[arg-type]
            assert list(found) == ["scores"]
            np.testing.assert_allclose(
                found["scores"].data, everything["scores"].data, rtol=1e-6, atol=1e-7
            )
    both = model(GRAPHS, outputs=["weighted", "scores"], word=WORD, weight=WEIGHT)
    assert list(both) == ["scores", "weighted"]


def test_outputs_that_are_none_are_refused(model: cavs.Model) -> None:
    for outputs in (["score"], [], "label", ["scores", "none"], [3], 3, {"scores": 1}):
        with pytest.raises(InputError, match=r"^\[call\] expected .*outputs.*, got .*; "):
            model(GRAPHS, outputs=outputs, word=WORD)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'loss'\], one or more|'scores', 'loss'"):
        model(GRAPHS, outputs=["score"], word=WORD)
    with pytest.raises(
        InputError, match=r"inputs among \['label', 'weight', 'word'\], got 'lable'"
    ):
        model(GRAPHS, outputs=["scores"], word=WORD, lable=LABEL)
    with pytest.raises(InputError, match=r"'word', got none.*; pass it$"):
        model(GRAPHS, outputs=["scores"], label=LABEL)


def test_training_from_some_outputs_gives_the_gradients_of_all(model: cavs.Model) -> None:
    """In training mode too: random operations draw as if all were computed."""

    def gradients(**options: Any) -> list[np.ndarray]:
        model.set_random_state({"seed": 1, "step": 5})
        model.zero_grad()
        model(GRAPHS, word=WORD, label=LABEL, weight=WEIGHT, **options)["loss"].sum().backward()
        assert model.random_state() == {"seed": 1, "step": 6}
        return [
            p.grad.to_dense() if isinstance(p.grad, cavs.RowSparse) else np.array(p.grad)
            for p in model.parameters()
        ]

    for some, all_of_them in zip(gradients(outputs=["loss"]), gradients(), strict=True):
        np.testing.assert_allclose(some, all_of_them, rtol=1e-5, atol=1e-7)


def test_a_step_needs_what_its_loss_depends_on(model: cavs.Model) -> None:
    nn.init.manual_seed(0)
    other = cavs.compile(Tagger(), seed=1)
    for m, inputs in ((model, {}), (other, {"weight": WEIGHT})):
        optimizer = cavs.optim.Adam(m.parameters(), lr=0.1)
        for _ in range(3):
            loss = m.step(GRAPHS, optimizer, word=WORD, label=LABEL, **inputs)
    assert np.isfinite(loss.item())
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match=r"'label', got none"):
        model.step(GRAPHS, optimizer, word=WORD, weight=WEIGHT)
    with pytest.raises(InputError, match=r"inputs among .*got 'lable'"):
        model.step(GRAPHS, optimizer, word=WORD, lable=LABEL)


def test_modes_states_and_parameters_are_the_models(model: cavs.Model) -> None:
    inputs = {"word": WORD}
    first = model(GRAPHS, outputs=["scores"], **inputs)["scores"]
    assert model.random_state()["step"] == 1
    again = model(GRAPHS, outputs=["scores"], **inputs)["scores"]
    assert (first.data != again.data).any()  # dropout draws anew
    model.eval()
    plain = model(GRAPHS, outputs=["scores"], **inputs)["scores"]
    model.load_state_dict({name: x * 2 for name, x in model.state_dict().items()})
    assert (model(GRAPHS, outputs=["scores"], **inputs)["scores"].data != plain.data).any()
    model.function.out = nn.Linear(4, 3)
    with pytest.raises(cavs.CavsRuntimeError, match="'out'"):
        model(GRAPHS, outputs=["scores"], **inputs)


def test_children_that_other_outputs_read_may_be_there() -> None:
    class Slots(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 2)
            v.scatter(h=x)
            v.push(first=v.gather(0, h=2).h, second=v.gather(1, h=2).h, own=x)

    model = cavs.compile(Slots())
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    found = model(GRAPHS, outputs=["first"], x=x)["first"].data
    np.testing.assert_array_equal(found, [[0, 0], [0, 0], x[0], [0, 0], x[3]])
    with pytest.raises(cavs.GraphError, match="children"):
        model(cavs.InputGraph([[], [], [], [0, 1, 2]]), outputs=["own"], x=x[:4])


def test_a_tensor_that_no_output_asked_for_depends_on_gets_no_gradient(model: cavs.Model) -> None:
    weight = cavs.tensor(WEIGHT, requires_grad=True)
    out = model(GRAPHS, outputs=["scores"], word=WORD, weight=weight)
    out["scores"].sum().backward()
    assert weight.grad is None
    model(GRAPHS, outputs=["weighted"], word=WORD, weight=weight)["weighted"].sum().backward()
    assert weight.grad is not None


def test_memory_and_explanations_are_of_the_outputs_asked_for(model: cavs.Model) -> None:
    asked = {"outputs": ["scores"], "word": WORD}
    assert model.memory(GRAPHS, **asked) < model.memory(GRAPHS, word=WORD)  # type: ignore[arg-type]
    profile = model.explain(GRAPHS, repeats=1, **asked)  # type: ignore[call-overload]
    assert "cross_entropy" not in str(profile)
    text = model.explain(outputs=["scores"])
    assert "cross_entropy" not in text
    assert "cross_entropy" in model.explain()


def test_the_reference_takes_outputs_too() -> None:
    nn.init.manual_seed(0)
    reference = cavs.compile(Tagger(), executor="reference").eval()
    nn.init.manual_seed(0)
    native = cavs.compile(Tagger()).eval()
    pair = [m(GRAPHS, outputs=["scores"], word=WORD)["scores"].data for m in (reference, native)]
    np.testing.assert_allclose(*pair, rtol=1e-5, atol=1e-6)


def test_functions_of_programs_take_outputs() -> None:
    program = cavs.compile(cavs.VertexProgram({"tag": Tagger()}))
    assert list(program["tag"](GRAPHS, outputs=["scores"], word=WORD)) == ["scores"]


def test_threads_may_ask_for_different_outputs(model: cavs.Model) -> None:
    model.eval()
    expected = model(GRAPHS, word=WORD, label=LABEL, weight=WEIGHT)
    sets = [["scores"], ["loss"], ["total"], ["scores", "weighted"]] * 4

    def ask(outputs: list[str]) -> bool:
        out = model(GRAPHS, outputs=outputs, word=WORD, label=LABEL, weight=WEIGHT)
        return all(np.allclose(y.data, expected[name].data, atol=1e-6) for name, y in out.items())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, sets))


# Every function of the library, each of its outputs alone, against the whole.
SEVERAL = [
    name
    for name in vertex_functions.FUNCTIONS
    if len(compiled(name, "float64")._compiler.function.pushes) > 1
]


@pytest.mark.parametrize("name", SEVERAL)
@settings(max_examples=6)
@given(graphs=batches(), data=st.data())
def test_each_output_alone_is_as_among_all(name: str, graphs: Any, data: st.DataObject) -> None:
    model = compiled(name, "float64")
    inputs = draw_inputs(model, graphs)
    asked = data.draw(st.sampled_from(list(model._compiler.function.pushes)))
    part = model._asked([asked])
    needed = {k: x for k, x in inputs.items() if k in part.inputs}
    model.set_random_state({"seed": 3, "step": 7})
    whole = model(graphs, **inputs)[asked]
    model.set_random_state({"seed": 3, "step": 7})
    alone = model(graphs, outputs=[asked], **needed)[asked]
    np.testing.assert_allclose(alone.data, whole.data, rtol=1e-10, atol=1e-12)


def test_graphs_grow_by_the_outputs_that_are_asked_for() -> None:
    """A language model, say, draws words from its scores and has no label for them."""

    class Chain(cavs.VertexFunction):
        def __init__(self) -> None:
            self.embedding = nn.Embedding(5, 4)

        def forward(self, v: cavs.Vertex) -> None:
            x = self.embedding(v.pull("word", dtype="int32"))
            h = ops.tanh(x + v.gather(0, h=4).h + v.pull_graph("z", 4))
            v.scatter(h=h, lost=ops.reshape(v.pull_edge("e").sum(), 1))
            v.push(h=h, loss=ops.cross_entropy(h, v.pull("label", dtype="int32")))

    nn.init.manual_seed(0)
    model = cavs.compile(Chain()).eval()
    z = np.ones((2, 4), np.float32)

    def grow(frontier: cavs.Frontier) -> cavs.Growth:
        assert list(frontier.outputs) == ["h"]
        word = frontier.outputs["h"].argmax(axis=-1).astype(np.int32)
        return cavs.Growth(
            frontier.vertices[:0] if frontier.level == 2 else frontier.vertices, {"word": word}
        )

    roots = cavs.Growth([[], []], {"word": np.int32([1, 2])}, [0, 1])
    asked: dict[str, Any] = {"num_graphs": 2, "graph_inputs": {"z": z}}
    grown = cavs.unfold(model, roots, grow, outputs=["h"], **asked)
    assert list(grown.outputs) == ["h"]
    again = model(grown.graphs, outputs=["h"], **grown.inputs)["h"]
    np.testing.assert_array_equal(again.data, grown.outputs["h"])
    with pytest.raises(InputError, match=r"\[unfold\] expected 'label' for each new vertex"):
        cavs.unfold(model, roots, grow, **asked)
    with pytest.raises(InputError, match=r"expected outputs among \['h', 'loss'\]"):
        cavs.unfold(model, roots, grow, outputs=["x"], **asked)


class Chained(cavs.VertexFunction):
    """Of one output alone, reshapes could move beyond a value that F keeps, to a state that it does
    not keep."""

    def __init__(self) -> None:
        self.w = cavs.Parameter(np.full((1, 1), 0.5))

    def forward(self, v: cavs.Vertex) -> None:
        before, third = v.gather(0, s=()).s, v.gather(2, s=()).s
        p = ops.softplus(ops.tanh(before))
        z = ops.linear(ops.reshape(p * p + 0.5, (1,)), self.w)
        v.scatter(s=ops.tanh(ops.reshape(z, ())))
        v.push(p=p, third=third)


@pytest.mark.parametrize("name", ["p", "third"])
def test_the_gradient_of_one_output_reads_what_is_kept(name: str) -> None:
    graph, found = cavs.InputGraph([[], [0], [0, 0, 1], [2, 1, 2]]), []
    for executor in ("native", "reference"):
        function = Chained()
        model = cavs.compile(function, dtype="float64", executor=executor)
        (model(graph)[name] ** 2).sum().backward()
        found.append(function.w.grad)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
