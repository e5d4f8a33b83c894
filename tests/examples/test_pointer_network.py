"""The pointer network's distribution against NumPy, and its decoding against training."""

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

pointer = load_example("pointer_network")
SAMPLES = [[3, 19, 1], [5], [17, 2, 8, 4, 16], [5, 15]]


@pytest.fixture(scope="module")
def model() -> cavs.Model:
    """A model without training, of parameters large enough to prefer places."""
    nn.init.manual_seed(5)
    model = cavs.compile(pointer.PointerNetwork(6), dtype="float64")
    for parameter in model.parameters():
        parameter.data[...] *= 3
    return model


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def weights(model: cavs.Model, numbers: list[int], order: list[int]) -> np.ndarray:
    """(len(order), len(numbers)): where each output points, vertex by vertex in NumPy."""
    p = {path: x.data for path, x in model.named_parameters()}
    size = p["query.weight"].shape[0]

    def cell(name: str, x: int, h: np.ndarray, c: np.ndarray) -> tuple[Any, Any]:
        gates = p[f"{name}.weight"] @ [x / 20, *h] + p[f"{name}.bias"]
        i, f, o, g = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    h = c = np.zeros(size)
    seen = []
    for number in numbers:
        h, c = cell("encoder", number, h, c)
        seen.append(h)
    h = c = np.zeros(size)
    rows, last = [], -1
    for place in order:
        h, c = cell("decoder", last, h, c)
        last = numbers[place]
        query = p["query.weight"] @ h + p["query.bias"]
        score = [p["score.weight"][0] @ np.tanh(query + p["key.weight"] @ e) for e in seen]
        rows.append(np.exp(score) / np.exp(score).sum())
    return np.array(rows)


def test_outputs_are_the_attention_over_the_encoder(model: cavs.Model) -> None:
    pairs = [pointer.sample(x, pointer.sort(x)) for x in SAMPLES]
    graphs, inputs = cavs.data.Dataset.from_samples(pairs).batch(np.arange(len(pairs)))
    out = model(graphs, **inputs)
    loss, pointed = (cavs.unbatch(graphs, out[name].data) for name in ("loss", "pointed"))
    edge = 0
    for graph, (numbers, (pair, _)) in enumerate(zip(SAMPLES, pairs, strict=True)):
        order, count = pointer.sort(numbers), len(numbers)
        expected = weights(model, numbers, order)
        rows = out["weight"].data[edge : edge + pair.num_edges]
        edge += pair.num_edges
        np.testing.assert_allclose(rows[pair.from_encoder == 1], expected.ravel())
        np.testing.assert_array_equal(rows[pair.from_encoder == 0], 0)
        np.testing.assert_array_equal(loss[graph][:count], 0)
        right = expected[np.arange(count), order]
        np.testing.assert_allclose(loss[graph][count:], -np.log(right))
        np.testing.assert_array_equal(pointed[graph][count:], expected.argmax(axis=1))


@pytest.mark.parametrize("repeats", [False, True])
def test_decoding_is_that_of_training(model: cavs.Model, repeats: bool) -> None:
    """Against a loop that takes the greatest weight, of places not taken before."""
    found = pointer.point(model, SAMPLES, repeats)
    for numbers, order in zip(SAMPLES, found, strict=True):
        expected: list[int] = []
        for _ in numbers:
            # The last place is read by nobody.
            weight = weights(model, numbers, [*expected, 0])[-1]
            if not repeats:
                weight[expected] = -1
            expected.append(int(weight.argmax()))
        assert order == expected
    assert any(len(set(order)) < len(order) for order in found) == repeats


def test_it_learns_to_sort() -> None:
    rng = np.random.default_rng(1)
    samples: list[Any] = [rng.choice(20, 3, replace=False).tolist() for _ in range(1100)]
    test, train = samples[:100], [pointer.sample(x, pointer.sort(x)) for x in samples[100:]]
    nn.init.manual_seed(0)
    model = cavs.compile(pointer.PointerNetwork(32))
    optimizer = cavs.optim.Adam(model.parameters(), lr=1e-2)
    loader = cavs.data.Loader(cavs.data.Dataset.from_samples(train), 25, shuffle=True)

    def right() -> float:
        found = pointer.point(model, test)
        return float(np.mean([a == pointer.sort(b) for a, b in zip(found, test, strict=True)]))

    assert right() < 0.4  # by chance 1 / 6
    for _ in range(3):
        for graphs, inputs in loader:
            model.step(graphs, optimizer, scale=1 / 25, clip_norm=5.0, **inputs)
    assert right() > 0.7
