"""The losses against NumPy, and each step changes the one that it trains."""

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

gan = load_example("gan")


@pytest.fixture
def model() -> cavs.Program:
    nn.init.manual_seed(0)
    return cavs.compile(gan.make_gan(3, 8), dtype="float64")


def values(model: cavs.Model) -> list[np.ndarray]:
    return [parameter.data.copy() for parameter in model.parameters()]


def changed(model: cavs.Model, before: list[np.ndarray]) -> list[bool]:
    return [bool(np.any(a != b)) for a, b in zip(values(model), before, strict=True)]


def judged(model: cavs.Program, x: np.ndarray) -> np.ndarray:
    """The discriminator's logits in NumPy."""
    layers = model["discriminator"].function.network.layers
    for layer in layers[:-1]:
        x = np.maximum(x @ layer.weight.data.T + layer.bias.data, 0)
    return (x @ layers[-1].weight.data.T + layers[-1].bias.data)[:, 0]


def made(model: cavs.Program, count: int, state: dict[str, Any]) -> np.ndarray:
    """What the generator draws in that state; the state afterwards is that one."""
    model.set_random_state(state)
    with cavs.no_grad():
        x = model["generator"](gan.points(count))["x"].data
    model.set_random_state(state)
    return x


def test_the_discriminator_alone_is_trained_in_its_step(model: cavs.Program) -> None:
    real = gan.ring(np.random.default_rng(0), 20)
    generator, discriminator = (model[name] for name in ("generator", "discriminator"))
    before, other = values(discriminator), values(generator)
    fake = made(model, 20, model.random_state())
    expected = np.log1p(np.exp(-judged(model, real))) + np.log1p(np.exp(judged(model, fake)))
    optimizer = cavs.optim.SGD(discriminator.parameters(), lr=0.1)
    loss = gan.train_discriminator(model, optimizer, real)
    assert loss == pytest.approx(expected.mean(), rel=1e-6)
    assert all(changed(discriminator, before))
    assert not any(changed(generator, other))
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_the_generator_alone_is_trained_in_its_step(model: cavs.Program) -> None:
    generator, discriminator = (model[name] for name in ("generator", "discriminator"))
    before, other = values(generator), values(discriminator)
    fake = made(model, 20, model.random_state())
    expected = np.log1p(np.exp(-judged(model, fake))).mean()  # -log D(G(z))
    optimizer = cavs.optim.SGD(generator.parameters(), lr=0.1)
    assert gan.train_generator(model, optimizer, 20) == pytest.approx(expected, rel=1e-6)
    assert all(changed(generator, before))
    assert not any(changed(discriminator, other))
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_gradient_of_the_generator_goes_through_the_discriminator(model: cavs.Program) -> None:
    """Against differences of the loss that NumPy makes of the points."""
    generator, state, step = model["generator"], model.random_state(), 1e-6
    optimizer = cavs.optim.SGD(generator.parameters(), lr=0.0)
    gan.train_generator(model, optimizer, 10)
    parameter = generator.function.network.layers[-1].bias
    found, losses = parameter.grad.copy(), []
    for axis in np.eye(2):
        for sign in (1, -1):
            parameter.data += sign * step * axis
            losses.append(np.log1p(np.exp(-judged(model, made(model, 10, state)))).mean())
            parameter.data -= sign * step * axis
    expected = [(losses[0] - losses[1]) / (2 * step), (losses[2] - losses[3]) / (2 * step)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_ring_is_near_its_modes() -> None:
    near = gan.near_a_mode(gan.ring(np.random.default_rng(0), 4000))
    assert near.any(axis=0).mean() > 0.98
    np.testing.assert_allclose(near.mean(axis=1), 1 / gan.MODES, atol=0.03)


def test_points_move_to_the_modes() -> None:
    nn.init.manual_seed(0)
    model, rng = cavs.compile(gan.make_gan(4, 32)), np.random.default_rng(0)
    judge, maker = (
        cavs.optim.Adam(model[name].parameters(), lr=3e-3, betas=(0.5, 0.999))
        for name in ("discriminator", "generator")
    )

    def share() -> float:
        with cavs.no_grad():
            x = model["generator"](gan.points(1000))["x"].data
        return float(gan.near_a_mode(x).any(axis=0).mean())

    assert share() < 0.1
    for _ in range(600):
        gan.train_discriminator(model, judge, gan.ring(rng, 128))
        gan.train_generator(model, maker, 128)
    assert share() > 0.5
