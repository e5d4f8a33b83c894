"""The Gaussian process's likelihood, gradient and predictions are those of the closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from example_files import load_example

EXAMPLE = load_example("gaussian_process")
RNG = np.random.default_rng(1)
X, Y = EXAMPLE.observations(RNG, 30)
SETTINGS = [(0.0, 0.0, 0.0), (-0.7, 0.3, -1.5), (0.4, -0.5, -0.3)]


def process(values: tuple[float, ...]) -> Any:
    made = EXAMPLE.GaussianProcess()
    for parameter, value in zip((made.length, made.scale, made.noise), values, strict=True):
        parameter.data[...] = value
    return made


def covariances(values: tuple[float, ...], a: Any, b: Any) -> Any:
    length, scale, _ = np.exp(values)
    return scale**2 * np.exp(-((a[:, None] - b) ** 2) / (2 * length**2))


def likelihood(values: tuple[float, ...]) -> float:
    """Equation 2.30, by an inverse and a determinant."""
    k = covariances(values, X, X) + np.exp(2 * values[2]) * np.eye(len(X))
    quadratic = Y @ np.linalg.inv(k) @ Y
    return float(-0.5 * (quadratic + np.linalg.slogdet(k)[1] + len(X) * np.log(2 * np.pi)))


@pytest.mark.parametrize("values", SETTINGS)
def test_likelihood_is_the_closed_form(values: Any) -> None:
    loss = process(values).loss(X, Y)
    np.testing.assert_allclose(-loss.item(), likelihood(values), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("values", SETTINGS)
def test_gradient_is_that_of_the_closed_form(values: Any) -> None:
    made = process(values)
    made.loss(X, Y).backward()
    for i, parameter in enumerate((made.length, made.scale, made.noise)):
        step = np.zeros(3)
        step[i] = 1e-5
        expected = (likelihood(tuple(values - step)) - likelihood(tuple(values + step))) / 2e-5
        np.testing.assert_allclose(parameter.grad, expected, rtol=1e-5, atol=1e-6)


def test_predictions_are_the_closed_form() -> None:
    values = SETTINGS[1]
    at = np.linspace(-3, 3, 7)
    mean, deviation = process(values).predict(X, Y, at)
    k = covariances(values, X, X) + np.exp(2 * values[2]) * np.eye(len(X))
    across = covariances(values, at, X)
    left = covariances(values, at, at) - across @ np.linalg.solve(k, across.T)
    np.testing.assert_allclose(mean, across @ np.linalg.solve(k, Y), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(deviation**2, np.diag(left), rtol=1e-7, atol=1e-10)
