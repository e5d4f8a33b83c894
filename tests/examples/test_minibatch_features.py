"""Closeness in a minibatch against NumPy, and against pairs of points in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

example = load_example("minibatch_features")
COUNT = 7


@pytest.fixture
def model() -> cavs.Program:
    nn.init.manual_seed(0)
    return cavs.compile(example.make_gan(3, 8, kernels=4, kernel_size=2), dtype="float64")


def inputs(x: np.ndarray) -> dict[str, Any]:
    return {"x": np.tile(x, (2, 1)), "real": np.ones(2 * len(x)), "judged": example.judged(len(x))}


def test_features_are_the_sums_of_closeness_to_all_points(model: cavs.Program) -> None:
    function, x = model["discriminator"].function, example.ring(np.random.default_rng(1), COUNT)
    out = model["discriminator"](example.minibatch(COUNT), **inputs(x))
    f = x.astype(np.float64)
    for layer in function.features.layers:
        f = np.maximum(f @ layer.weight.data.T + layer.bias.data, 0)
    m = (f @ function.tensor.weight.data.T).reshape(COUNT, 4, 2)
    close = np.exp(-np.abs(m[:, None] - m[None]).sum(-1)).sum(1)
    np.testing.assert_allclose(out["close"].data[COUNT:], close, 1e-10)
    np.testing.assert_array_equal(out["close"].data[:COUNT], 0)  # points without children
    verdict = function.verdict
    logit = np.concatenate([f, close], 1) @ verdict.weight.data[0] + verdict.bias.data[0]
    np.testing.assert_allclose(out["logit"].data[COUNT:], logit, 1e-10)
    np.testing.assert_allclose(out["loss"].data[COUNT:], np.log1p(np.exp(-logit)), 1e-9)
    np.testing.assert_array_equal(out["loss"].data[:COUNT], 0)


def test_gradients_of_points_are_torchs(model: cavs.Program) -> None:
    """A point gets what it does to its own verdict and to those of all others."""
    torch = pytest.importorskip("torch")
    function, x = model["discriminator"].function, example.ring(np.random.default_rng(1), COUNT)
    given = cavs.tensor(x.astype(np.float64), requires_grad=True)
    both = inputs(x) | {"x": cavs.concat([given, given])}
    model["discriminator"](example.minibatch(COUNT), **both)["loss"].sum().backward()
    z = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    f = z
    for layer in function.features.layers:
        f = torch.relu(f @ torch.tensor(layer.weight.data.T) + torch.tensor(layer.bias.data))
    m = (f @ torch.tensor(function.tensor.weight.data.T)).reshape(COUNT, 4, 2)
    close = torch.exp(-(m[:, None] - m[None]).abs().sum(-1)).sum(1)
    weight, bias = (torch.tensor(p.data) for p in (function.verdict.weight, function.verdict.bias))
    torch.nn.functional.softplus(-(torch.cat([f, close], 1) @ weight[0] + bias[0])).sum().backward()
    np.testing.assert_allclose(given.grad, z.grad.numpy(), 1e-8, 1e-10)


def test_each_step_trains_one_of_both(model: cavs.Program) -> None:
    real = example.ring(np.random.default_rng(0), COUNT)
    steps = {
        "discriminator": lambda optimizer: example.train_discriminator(model, optimizer, real),
        "generator": lambda optimizer: example.train_generator(model, optimizer, COUNT),
    }
    for name, step in steps.items():
        before = {k: [p.data.copy() for p in model[k].parameters()] for k in steps}
        step(cavs.optim.SGD(model[name].parameters(), lr=0.1))
        for k, old in before.items():
            pairs = zip(model[k].parameters(), old, strict=True)
            assert [bool(np.any(p.data != a)) for p, a in pairs] == [k == name] * len(old)


def test_points_that_are_all_alike_are_closest(model: cavs.Program) -> None:
    x = example.ring(np.random.default_rng(1), COUNT)
    alike = np.repeat(x[:1], COUNT, 0)
    close = [
        model["discriminator"](example.minibatch(COUNT), **inputs(each))["close"].data[COUNT:]
        for each in (x, alike)
    ]
    np.testing.assert_allclose(close[1], COUNT, 1e-12)
    assert (close[0] < COUNT).all()
