"""The heads against NumPy, on circuits that share wires."""

import itertools

import numpy as np
import pytest
from example_files import load_example
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import nn

dag = load_example("dag_attention")


def heads(model: cavs.Model, graph: cavs.InputGraph, kind: np.ndarray) -> list[np.ndarray]:
    """Logits of all vertices and weights of all edges, a vertex, a head, a child at a time."""
    p = {path: x.data for path, x in model.named_parameters()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return p[f"{name}.weight"] @ x + p[f"{name}.bias"]

    (count, width), states, logits, edges = model.function.blocks, [], [], []
    for vertex, children in enumerate(graph.children):
        x = p["embedding.weight"][kind[vertex]]
        context = np.zeros(count * width)
        weight = np.zeros((len(children), count))
        for head in range(count):
            block = slice(head * width, (head + 1) * width)
            query = linear("query", x)[block]
            score = [query @ linear("key", states[c])[block] / np.sqrt(width) for c in children]
            weight[:, head] = np.exp(score) / np.sum(np.exp(score))
            for child, w in zip(children, weight[:, head], strict=True):
                context[block] += w * linear("value", states[child])[block]
        seen = np.concatenate([x, linear("attended", context)])
        h = x + linear("output", np.maximum(linear("hidden", seen), 0))
        h = (h - h.mean()) / np.sqrt(h.var() + 1e-5)
        h = h * p["norm.weight"] + p["norm.bias"]
        states.append(h)
        logits.append(linear("classifier", h))
        edges.append(weight)
    return [np.array(logits), np.concatenate(edges)]


@pytest.fixture(scope="module", params=[1, 2, 4])
def model(request: pytest.FixtureRequest) -> cavs.Model:
    return cavs.compile(dag.CircuitNetwork(8, request.param), dtype="float64")


@given(seed=st.integers(0, 2**32))
def test_heads_are_those_of_numpy(model: cavs.Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph, inputs = dag.sample(rng, 2, 5)
    out = model(graph, **inputs)
    logits, weight = heads(model, graph, inputs["kind"])
    np.testing.assert_allclose(out["logits"].data, logits, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(out["weight"].data[..., 0], weight, rtol=1e-9, atol=1e-9)


@given(st.integers(0, 2**32))
def test_circuits_have_one_sink_and_gates_two_children(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gates = int(rng.integers(1, 9))
    wires = int(rng.integers(2, gates * 2 + 1))
    graph = dag.circuit(rng, wires, gates)
    taken = set(itertools.chain(*graph.children))
    assert taken == set(range(wires + gates - 1))
    assert graph.children[:wires] == [[]] * wires
    for gate, children in enumerate(graph.children[wires:], wires):
        assert len(set(children)) == len(children)
        assert 2 <= len(children) <= 3
        assert max(children) < gate


def test_circuits_are_evaluated_as_logic_says() -> None:
    graph = cavs.InputGraph([[], [], [0, 1], [0, 1], [0, 1], [1, 2, 3]])
    for a, b in itertools.product((0, 1), repeat=2):
        found = dag.evaluate(graph, np.array([a, b, 2, 3, 4, 4]))
        logic = [a, b, a & b, a | b, a ^ b, max(a & b, a | b, b) - min(a & b, a | b, b)]
        assert found.tolist() == logic


def test_it_learns_from_sinks_what_gates_do() -> None:
    rng = np.random.default_rng(0)
    small = [dag.sample(rng, 2, 4) for _ in range(3000)]
    large = [dag.sample(rng, 6, 12) for _ in range(300)]
    nn.init.manual_seed(0)
    model = cavs.compile(dag.CircuitNetwork(32, 4))
    optimizer = cavs.optim.Adam(model.parameters(), lr=3e-3)
    train = cavs.data.Loader(cavs.data.Dataset.from_samples(small), 25, shuffle=True)
    test = cavs.data.Loader(cavs.data.Dataset.from_samples(large), 100)
    # Who knows the gate at the sink alone is right about 4 times of 5.
    assert dag.accuracy(model, test) < 85
    for _ in range(3):
        for graphs, inputs in train:
            model.step(graphs, optimizer, scale=1 / 25, **inputs)
    assert dag.accuracy(model, test) > 95
