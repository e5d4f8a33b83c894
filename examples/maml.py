"""Model-agnostic meta-learning of sine waves: weights from which one step learns a new wave.

Finn, Abbeel and Levine, *Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks* (ICML
2017), section 5.1. The loss after the step of a task is differentiated through that step.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops


class Wave:
    """A task: points of a sine wave of amplitude 0.1 to 5 and phase 0 to pi."""

    def __init__(self, rng: np.random.Generator, dtype: str = "float32") -> None:
        self.rng, self.dtype = rng, dtype
        self.amplitude, self.phase = rng.uniform(0.1, 5.0), rng.uniform(0.0, np.pi)

    def points(self, count: int) -> tuple[cavs.Tensor, cavs.Tensor]:
        """x and y, (count, 1) each."""
        x = self.rng.uniform(-5.0, 5.0, (count, 1))
        y = self.amplitude * np.sin(x - self.phase)
        return cavs.tensor(x, self.dtype), cavs.tensor(y, self.dtype)


def make_weights(hidden_size: int, dtype: str = "float32") -> list[cavs.Parameter]:
    """Weight and bias of each layer of a network with two hidden ones."""
    sizes = (1, hidden_size, hidden_size, 1)
    layers = [nn.Linear(a, b, dtype=dtype) for a, b in itertools.pairwise(sizes)]
    return [p for layer in layers for p in (layer.weight, layer.bias)]


def error(weights: Sequence[Any], x: cavs.Tensor, y: cavs.Tensor) -> cavs.Tensor:
    """The mean squared error of the network with these weights."""
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = ops.relu(ops.linear(x, weight, bias))
    return ops.squared_error(ops.linear(x, *weights[-2:]), y).mean()


def adapted(
    weights: Sequence[Any], x: cavs.Tensor, y: cavs.Tensor, rate: float, learning: bool
) -> list[cavs.Tensor]:
    """The weights after a step of gradient descent (eq. 1), which is differentiated if the weights
    before it are learning."""
    slopes = cavs.grad(error(weights, x, y), weights, create_graph=learning)
    return [w - rate * slope for w, slope in zip(weights, slopes, strict=True)]


def train(
    weights: Sequence[cavs.Parameter],
    optimizer: cavs.optim.Optimizer,
    tasks: Sequence[Wave],
    shots: int,
    rate: float,
) -> float:
    """A step by the tasks' error at other points after their own step (algorithm 2)."""
    optimizer.zero_grad()
    total = 0.0
    for task in tasks:
        moved = adapted(weights, *task.points(shots), rate, learning=True)
        loss = error(moved, *task.points(shots)) * (1.0 / len(tasks))
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


def test(weights: Sequence[Any], tasks: Sequence[Wave], shots: int, rate: float) -> list[float]:
    """The mean error over new tasks before and after one step and five."""
    found = np.zeros(3)
    for task in tasks:
        (x, y), seen, moved = task.points(100), task.points(shots), list(weights)
        for steps in range(6):
            if steps in (0, 1, 5):
                found[(0, 1, 5).index(steps)] += error(moved, x, y).item() / len(tasks)
            moved = adapted(moved, *seen, rate, learning=False)
    return found.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=500, help="steps of an epoch")
    parser.add_argument("--tasks", type=int, default=8, help="tasks of a step")
    parser.add_argument("--shots", type=int, default=10, help="points of a task")
    parser.add_argument("--rate", type=float, default=0.01, help="of a task's step")
    parser.add_argument("--hidden-size", type=int, default=40)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    weights = make_weights(options.hidden_size)
    optimizer = cavs.optim.Adam(weights, lr=1e-3)
    unseen = [Wave(rng) for _ in range(50)]
    for epoch in range(options.epochs):
        for _ in range(options.steps):
            tasks = [Wave(rng) for _ in range(options.tasks)]
            train(weights, optimizer, tasks, options.shots, options.rate)
        before, one, five = test(weights, unseen, options.shots, options.rate)
        print(
            f"epoch {epoch + 1}: error of new waves {before:.2f}, after one step {one:.2f}, "
            f"after five {five:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
