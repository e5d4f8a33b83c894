"""The losses against NumPy, each step changes the sides that it trains, and T becomes the ratio."""

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

avb = load_example("adversarial_bayes")
FUNCTIONS = ("encoder", "decoder", "discriminator")


@pytest.fixture
def model() -> cavs.Program:
    nn.init.manual_seed(0)
    return cavs.compile(avb.make_model(3, 8), dtype="float64")


def batch(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return avb.IMAGES[rng.integers(0, 4, count)].astype(np.float64), rng.normal(size=(count, 2))


def network(function: Any, x: np.ndarray) -> np.ndarray:
    layers = function.function.network.layers
    for layer in layers[:-1]:
        x = np.maximum(x @ layer.weight.data.T + layer.bias.data, 0)
    return x @ layers[-1].weight.data.T + layers[-1].bias.data


def ratio(model: cavs.Program, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    return network(model["discriminator"], np.concatenate([x, z], axis=1))[:, 0]


def encoded(model: cavs.Program, x: np.ndarray) -> np.ndarray:
    """What the next step draws."""
    state = model.random_state()
    with cavs.no_grad():
        z = model["encoder"](avb.points(len(x)), x=x)["z"].data
    model.set_random_state(state)
    return z


def values(model: cavs.Program) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([p.data.ravel() for p in model[name].parameters()])
        for name in FUNCTIONS
    }


def changed(model: cavs.Program, before: dict[str, np.ndarray]) -> list[str]:
    return [name for name, array in values(model).items() if np.any(array != before[name])]


def test_the_discriminator_tells_the_encoder_from_the_prior(model: cavs.Program) -> None:
    x, z = batch(20)
    before, made = values(model), encoded(model, x)
    expected = np.log1p(np.exp(-ratio(model, x, made))) + np.log1p(np.exp(ratio(model, x, z)))
    optimizer = cavs.optim.SGD(model["discriminator"].parameters(), lr=0.1)
    loss = avb.train_discriminator(model, optimizer, x, z)
    assert loss == pytest.approx(expected.mean(), rel=1e-6)
    assert changed(model, before) == ["discriminator"]


def test_the_autoencoder_learns_through_the_discriminator(model: cavs.Program) -> None:
    """The loss, and its gradient by the encoder's last bias by differences."""
    x, _ = batch(12)
    before, state = values(model), model.random_state()
    bias = model["encoder"].function.network.layers[-1].bias

    def loss() -> float:
        model.set_random_state(state)
        z = encoded(model, x)
        logits = network(model["decoder"], z)
        lost = (np.logaddexp(0, logits) - x * logits).sum(axis=1)
        return float((lost + ratio(model, x, z)).mean())

    expected, differences = loss(), []
    for step in 1e-6 * np.eye(2):
        pair = []
        for sign in (1, -1):
            bias.data += sign * step
            pair.append(loss())
            bias.data -= sign * step
        differences.append((pair[0] - pair[1]) / 2e-6)
    model.set_random_state(state)
    both = [*model["encoder"].parameters(), *model["decoder"].parameters()]
    found = avb.train_autoencoder(model, cavs.optim.SGD(both, lr=0.1), x)
    assert found == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(np.asarray(bias.grad), differences, rtol=1e-5)
    assert changed(model, before) == ["encoder", "decoder"]
    assert all(p.requires_grad for p in model["discriminator"].parameters())


def test_the_likelihood_is_that_of_a_sum(model: cavs.Program) -> None:
    """A decoder that does not look at z, and one that z is drawn for."""
    last = model["decoder"].function.network.layers[-1]
    z = np.random.default_rng(1).normal(size=(40_000, 2))
    logits = network(model["decoder"], z)
    log_p = -(np.logaddexp(0, logits)[:, None] - avb.IMAGES * logits[:, None]).sum(axis=2)
    expected = np.logaddexp.reduce(log_p, axis=0) - np.log(len(z))
    np.testing.assert_allclose(avb.log_likelihoods(model), expected, atol=0.01)
    last.weight.data[...] = 0.0
    last.bias.data[...] = -np.log(3)  # each pixel is set in a quarter of the images
    expected = np.full(4, np.log(0.25) + 3 * np.log(0.75))
    np.testing.assert_allclose(avb.log_likelihoods(model), expected, atol=1e-4)


def test_the_discriminator_learns_the_ratio_of_densities() -> None:
    """Of an encoder whose density is known: Normal(m, 1) against the prior, T = m z - m^2 / 2."""
    nn.init.manual_seed(0)
    model, rng = cavs.compile(avb.make_model(2, 16)), np.random.default_rng(0)
    for layer in model["encoder"].function.network.layers:
        layer.weight.data[...], layer.bias.data[...] = 0.0, 0.0
    first, second, last = model["encoder"].function.network.layers
    for i in range(2):  # relu(noise) - relu(-noise)
        for unit, sign in ((2 * i, 1), (2 * i + 1, -1)):
            first.weight.data[unit, 4 + i] = sign
            second.weight.data[unit, unit] = 1
            last.weight.data[i, unit] = sign
    last.bias.data[0] = 1.0
    optimizer = cavs.optim.Adam(model["discriminator"].parameters(), lr=1e-2)
    for _ in range(200):
        x = avb.IMAGES[rng.integers(0, 4, 128)]
        avb.train_discriminator(model, optimizer, x, rng.normal(size=(128, 2)).astype(np.float32))
    x, z = avb.IMAGES[rng.integers(0, 4, 500)], rng.normal(size=(500, 2))
    found = ratio(model, x, z)
    assert np.abs(found - (z[:, 0] - 0.5)).mean() < 0.25
