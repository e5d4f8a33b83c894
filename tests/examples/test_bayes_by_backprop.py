"""The free energy of a network of random weights, and its gradient, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

EXAMPLE = load_example("bayes_by_backprop")
RNG = np.random.default_rng(6)
DATA = EXAMPLE.curve(RNG, 12)


@pytest.fixture
def model() -> cavs.Model:
    nn.init.manual_seed(0)
    return cavs.compile(EXAMPLE.Curve(4), dtype="float64")


def divergence(model: cavs.Model) -> float:
    total = 0.0
    for layer in model.function.layers:
        pairs = ((layer.weight, layer.weight_rho), (layer.bias, layer.bias_rho))
        for mean, rho in pairs:
            s, p = np.log1p(np.exp(rho.data)), EXAMPLE.PRIOR
            total += np.sum(np.log(p / s) + (s**2 + mean.data**2) / (2 * p**2) - 0.5)
    return float(total)


def test_divergence_is_the_closed_form(model: cavs.Model) -> None:
    found = sum(layer.divergence().item() for layer in model.function.layers)
    assert found == pytest.approx(divergence(model), rel=1e-10)


def test_free_energy_without_deviations_is_that_of_the_means(model: cavs.Model) -> None:
    first, last = model.function.layers
    for layer in (first, last):
        layer.weight_rho.data[...] = layer.bias_rho.data[...] = -40.0
    hidden = np.maximum(DATA["x"] @ first.weight.data.T + first.bias.data, 0)
    error = (DATA["y"] - (hidden @ last.weight.data.T + last.bias.data)[:, 0]) / EXAMPLE.NOISE
    expected = np.sum(error**2 / 2 + np.log(EXAMPLE.NOISE) + np.log(2 * np.pi) / 2)
    found = EXAMPLE.free_energy(model, DATA).item()
    assert found == pytest.approx(expected + divergence(model), rel=1e-9)


def test_weights_are_drawn_once_for_all_points_of_a_call(model: cavs.Model) -> None:
    said = EXAMPLE.predictions(model, np.full(5, 0.3), 4)
    assert np.all(said == said[:, :1])
    assert len(np.unique(said[:, 0])) == 4


def test_gradients_of_means_and_deviations_are_central_differences(model: cavs.Model) -> None:
    state = model.random_state()

    def energy() -> Any:
        model.set_random_state(state)
        return EXAMPLE.free_energy(model, DATA)

    energy().backward()
    for parameter in model.parameters():
        values = parameter.data
        for i in [*np.ndindex(*values.shape)][::2]:
            before, sides = values[i], []
            for step in (1e-6, -1e-6):
                values[i] = before + step
                sides.append(energy().item())
            values[i] = before
            expected = (sides[0] - sides[1]) / 2e-6
            assert parameter.grad[i] == pytest.approx(expected, rel=1e-4, abs=1e-5)
