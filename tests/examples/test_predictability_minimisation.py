"""The losses against NumPy, each step changes the side that it trains, and measured information."""

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

pm = load_example("predictability_minimisation")


@pytest.fixture
def model() -> cavs.Program:
    nn.init.manual_seed(0)
    return cavs.compile(pm.make_model(3, 5), dtype="float64")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def errors(model: cavs.Program, y: np.ndarray) -> np.ndarray:
    """Of the predictors, (rows, units): each sees the other units alone."""
    found, predictors = [], model["predictors"].function
    for i, (hidden, value) in enumerate(zip(predictors.hidden, predictors.value, strict=True)):
        others = np.delete(y, i, axis=1)
        h = np.tanh(others @ np.delete(hidden.weight.data, i, axis=1).T + hidden.bias.data)
        guess = sigmoid(h @ value.weight.data.T + value.bias.data)[:, 0]
        found.append((y[:, i] - guess) ** 2)
    return np.stack(found, axis=1)


def values(model: cavs.Program) -> list[np.ndarray]:
    return [
        np.concatenate([p.data.ravel() for p in model[name].parameters()])
        for name in ("coder", "predictors")
    ]


def changed(model: cavs.Program, before: list[np.ndarray]) -> list[bool]:
    return [bool(np.any(a != b)) for a, b in zip(values(model), before, strict=True)]


def test_each_step_trains_its_side(model: cavs.Program) -> None:
    x = pm.patterns(np.random.default_rng(0), 10).astype(np.float64)
    layers = model["coder"].function
    y = sigmoid(x @ layers.code.weight.data.T + layers.code.bias.data)
    logits = y @ layers.visible.weight.data.T + layers.visible.bias.data
    lost = (np.logaddexp(0, logits) - x * logits).sum(axis=1).mean()
    before = values(model)
    predicts = cavs.optim.SGD(model["predictors"].parameters(), lr=0.0)
    found = pm.train_predictors(model, predicts, x)
    assert found == pytest.approx(errors(model, y).sum(axis=1).mean(), rel=1e-6)
    optimizer = cavs.optim.SGD(model["coder"].parameters(), lr=0.1)
    assert pm.train_coder(model, optimizer, x, 1.0) == pytest.approx(lost, rel=1e-6)
    assert changed(model, before) == [True, False]
    before = values(model)
    predicts = cavs.optim.SGD(model["predictors"].parameters(), lr=0.1)
    pm.train_predictors(model, predicts, x)
    assert changed(model, before) == [False, True]
    assert all(p.requires_grad for p in model["predictors"].parameters())


def test_the_code_climbs_what_predictors_go_down(model: cavs.Program) -> None:
    """The gradient by the code's biases, of the weight's part alone, by differences."""
    x = pm.patterns(np.random.default_rng(0), 10).astype(np.float64)
    layer, optimizer = (
        model["coder"].function.code,
        cavs.optim.SGD(model["coder"].parameters(), lr=0.0),
    )
    gradients = []
    for weight in (3.0, 0.0):
        pm.train_coder(model, optimizer, x, weight)
        gradients.append(np.array(layer.bias.grad))
    found = gradients[0] - gradients[1]
    bias = layer.bias.data.copy()

    def error(shift: np.ndarray) -> float:
        y = sigmoid(x @ layer.weight.data.T + bias + shift)
        return float(errors(model, y).sum(axis=1).mean())

    steps = 1e-6 * np.eye(3)
    expected = [-3.0 * (error(step) - error(-step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_information_is_measured() -> None:
    bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], float)
    assert pm.information(bits) == (3.0, 0.0)
    copied = bits[:, [0, 0, 1]]
    assert pm.information(copied) == (2.0, 1.0)
    np.testing.assert_allclose(pm.shared(copied), [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    either = np.stack([bits[:, 0], np.maximum(bits[:, 0], bits[:, 1])], axis=1)
    said, twice = pm.information(either)
    assert said == pytest.approx(1.5)  # (0, 0), (0, 1) in a quarter each, (1, 1) in a half
    quarter = -0.25 * np.log2(0.25) - 0.75 * np.log2(0.75)
    assert twice == pytest.approx(1 + quarter - 1.5)


def test_the_data_are_redundant() -> None:
    assert pm.PATTERNS.shape == (8, 9)
    assert len(np.unique(pm.PATTERNS[:, ::3], axis=0)) == 8
    for copy in (1, 2):
        np.testing.assert_array_equal(pm.PATTERNS[:, copy::3], pm.PATTERNS[:, ::3])
