"""Gradients through a task's step are PyTorch's; trying new tasks leaves the weights alone."""

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

maml = load_example("maml")


def test_a_meta_step_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    nn.init.manual_seed(3)
    weights = maml.make_weights(7, "float64")
    tasks = [maml.Wave(np.random.default_rng(i), "float64") for i in range(3)]
    twins = [maml.Wave(np.random.default_rng(i), "float64") for i in range(3)]
    theirs = [torch.tensor(w.numpy().copy(), requires_grad=True) for w in weights]
    optimizer = cavs.optim.SGD(weights, lr=0.0)
    loss = maml.train(weights, optimizer, tasks, 5, 0.03)

    def error(ws: list[Any], x: Any, y: Any) -> Any:
        for layer in (0, 2):
            x = torch.relu(x @ ws[layer].T + ws[layer + 1])
        return (x @ ws[4].T + ws[5] - y).square().mean()

    total = torch.zeros((), dtype=torch.float64)
    for task in twins:
        points = [[torch.tensor(a.numpy()) for a in task.points(5)] for _ in range(2)]
        slopes = torch.autograd.grad(error(theirs, *points[0]), theirs, create_graph=True)
        moved = [w - 0.03 * g for w, g in zip(theirs, slopes, strict=True)]
        total = total + error(moved, *points[1]) / 3
    total.backward()
    assert loss == pytest.approx(total.item(), rel=1e-12)
    for own, other in zip(weights, theirs, strict=True):
        np.testing.assert_allclose(own.grad, other.grad.numpy(), 1e-10, 1e-12)


def test_new_waves_are_tried_without_learning() -> None:
    nn.init.manual_seed(0)
    weights = maml.make_weights(5)
    tasks = [maml.Wave(np.random.default_rng(0))]
    before = [w.numpy().copy() for w in weights]
    errors = maml.test(weights, tasks, 10, 0.01)
    assert errors[2] < errors[1] < errors[0]  # each step is one downhill
    for weight, values in zip(weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), values)
        assert weight.grad is None
