"""The discrepancy, and the gradient that trains the generator, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

EXAMPLE = load_example("moment_matching")
RNG = np.random.default_rng(2)


def reference(x: Any, y: Any) -> float:
    """The distance of the means of the features of two samples."""

    def mean(a: Any, b: Any) -> Any:
        squares = ((a[:, None] - b) ** 2).sum(-1)
        return np.mean(sum(np.exp(-squares / (2 * w * w)) for w in EXAMPLE.WIDTHS))

    return float(np.sqrt(mean(x, x) - 2 * mean(x, y) + mean(y, y)))


def test_discrepancy_is_numpys() -> None:
    x, y = RNG.normal(size=(20, 2)), RNG.normal(size=(30, 2))
    found = EXAMPLE.discrepancy(cavs.tensor(x), y)
    np.testing.assert_allclose(found.item(), reference(x, y), rtol=1e-10)


def test_gradient_reaches_the_generator() -> None:
    nn.init.manual_seed(0)
    model = cavs.compile(EXAMPLE.Generator(3, 8), dtype="float64")
    state, graph, real = model.random_state(), EXAMPLE.points(15), RNG.normal(size=(10, 2))

    def made() -> cavs.Tensor:
        model.set_random_state(state)
        return model(graph)["x"]

    EXAMPLE.discrepancy(made(), real).backward()
    bias = model.function.layers[-1].bias
    with cavs.no_grad():
        x = made().numpy().copy()
    for i, step in enumerate(1e-5 * np.eye(2)):
        expected = (reference(x + step, real) - reference(x - step, real)) / 2e-5
        assert bias.grad[i] == pytest.approx(expected, rel=1e-6)
