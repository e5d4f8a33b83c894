"""The critic's loss, with the penalty, and its gradient, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

EXAMPLE = load_example("wgan_gp")
RNG = np.random.default_rng(4)
REAL, MADE, SHARE = RNG.normal(size=(9, 2)), RNG.normal(size=(9, 2)), RNG.uniform(size=(9, 1))


@pytest.fixture
def model() -> cavs.Program:
    nn.init.manual_seed(0)
    return cavs.compile(EXAMPLE.make_gan(3, 6), dtype="float64")


def scores_and_slopes(model: cavs.Program, x: Any) -> tuple[Any, Any]:
    """Of the critic, layer by layer."""
    layers = model["critic"].function.network.layers
    slope, last = np.eye(2), layers[-1]
    for layer in layers[:-1]:
        x = x @ layer.weight.data.T + layer.bias.data
        kept = (x > 0)[:, :, None]
        slope = kept * (layer.weight.data @ slope)
        x = np.maximum(x, 0)
    return (x @ last.weight.data.T + last.bias.data)[:, 0], (last.weight.data @ slope)[:, 0]


def reference(model: cavs.Program) -> float:
    (real, _), (made, _) = (scores_and_slopes(model, x) for x in (REAL, MADE))
    _, slopes = scores_and_slopes(model, SHARE * REAL + (1 - SHARE) * MADE)
    penalty = np.mean((np.linalg.norm(slopes, axis=1) - 1) ** 2)
    return float(made.mean() - real.mean() + EXAMPLE.PENALTY * penalty)


def test_loss_of_the_critic_and_its_gradient_are_numpys(model: cavs.Program) -> None:
    loss = EXAMPLE.critics_loss(model, REAL, MADE, SHARE)
    np.testing.assert_allclose(loss.item(), reference(model), rtol=1e-9)
    loss.backward()
    for parameter in model["critic"].parameters():
        values = parameter.data
        grad = np.zeros_like(values) if parameter.grad is None else parameter.grad
        for i in [*np.ndindex(*values.shape)][::3]:
            before, sides = values[i], []
            for step in (1e-6, -1e-6):
                values[i] = before + step
                sides.append(reference(model))
            values[i] = before
            expected = (sides[0] - sides[1]) / 2e-6
            assert grad[i] == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_each_step_changes_its_own_function_alone(model: cavs.Program) -> None:
    generator, critic = model["generator"], model["critic"]
    optimizers = [cavs.optim.SGD(each.parameters(), lr=0.1) for each in (generator, critic)]
    values = [[p.data.copy() for p in each.parameters()] for each in (generator, critic)]

    def changed(place: int) -> bool:
        parameters = (generator, critic)[place].parameters()
        pairs = zip(parameters, values[place], strict=True)
        return any(bool(np.any(p.data != before)) for p, before in pairs)

    EXAMPLE.train_critic(model, optimizers[1], np.random.default_rng(0), 8)
    assert changed(1)
    assert not changed(0)
    values[1] = [p.data.copy() for p in critic.parameters()]
    EXAMPLE.train_generator(model, optimizers[0], 8)
    assert changed(0)
    assert not changed(1)
