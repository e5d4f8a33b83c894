"""A network whose weights are random: it says where it knows a curve, and where it does not.

Blundell et al., *Weight Uncertainty in Neural Networks* (ICML 2015). Each call draws the weights
once for all points of the batch, from normal distributions whose means and deviations are learned.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops

NOISE, PRIOR = 0.1, 1.0


class RandomLinear(nn.Module):
    """A layer of weights w ~ N(mean, softplus(rho)^2)."""

    def __init__(self, in_size: int, out_size: int) -> None:
        initial = nn.Linear(in_size, out_size)
        self.weight, self.bias = initial.weight, initial.bias  # the means
        self.weight_rho = cavs.Parameter(np.full((out_size, in_size), -3, np.float32))
        self.bias_rho = cavs.Parameter(np.full(out_size, -3, np.float32))

    def variables(self) -> list[tuple[Any, Any]]:
        pairs = ((self.weight, self.weight_rho), (self.bias, self.bias_rho))
        return [(mean, ops.softplus(rho)) for mean, rho in pairs]

    def forward(self, x: Any, v: cavs.Vertex) -> Any:
        drawn = [m + s * v.normal(m.shape, rows="batch") for m, s in self.variables()]
        return ops.linear(x, *drawn)

    def divergence(self) -> Any:
        """KL(q || p) from the prior N(0, PRIOR^2), in closed form."""
        total = 0.0
        for mean, deviation in self.variables():
            ratio = ops.square(deviation / PRIOR)
            parts = ratio + ops.square(mean / PRIOR) - 1.0 - ops.log(ratio)
            total = total + 0.5 * parts.sum()
        return total


class Curve(cavs.VertexFunction):
    """A point (x, y) of the curve: what the network says of y, and -log p(y | x, w)."""

    def __init__(self, hidden_size: int) -> None:
        sizes = (1, hidden_size, 1)
        self.layers = [RandomLinear(a, b) for a, b in itertools.pairwise(sizes)]

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 1)
        for layer in self.layers[:-1]:
            x = ops.relu(layer(x, v))
        mean = ops.sum(self.layers[-1](x, v))
        error = (v.pull("y") - mean) / NOISE
        v.push(mean=mean, loss=0.5 * ops.square(error) + float(np.log(NOISE * np.sqrt(2 * np.pi))))


def points(count: int) -> cavs.InputGraph:
    """A graph of that many vertices, which have no edges."""
    return cavs.InputGraph([[] for _ in range(count)])


def curve(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """A sine with noise, for x in [-1, 1]."""
    x = rng.uniform(-1, 1, count)
    y = np.sin(3 * x) + NOISE * rng.normal(size=count)
    return {"x": x[:, None].astype(np.float32), "y": y.astype(np.float32)}


def free_energy(model: cavs.Model, data: dict[str, np.ndarray]) -> cavs.Tensor:
    """Equation 2, of one draw of the weights: the loss of all points, and the prior's."""
    loss: cavs.Tensor = model(points(len(data["y"])), **data)["loss"].sum()
    for layer in model.function.layers:
        loss = loss + layer.divergence()
    return loss


def predictions(model: cavs.Model, x: np.ndarray, draws: int) -> np.ndarray:
    """(draws, points): what as many networks say."""
    inputs = {"x": x[:, None].astype(np.float32), "y": np.zeros(len(x), np.float32)}
    graph = points(len(x))
    with cavs.no_grad():
        return np.stack([model(graph, **inputs)["mean"].numpy().copy() for _ in range(draws)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500, help="of each epoch")
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--hidden-size", type=int, default=16)
    options = parser.parse_args()

    data = curve(np.random.default_rng(0), options.points)
    model = cavs.compile(Curve(options.hidden_size))
    optimizer = cavs.optim.Adam(model.parameters(), lr=2e-2)
    rate = cavs.optim.CosineLR(optimizer, options.epochs * options.steps)
    inside, outside = np.linspace(-1, 1, 20), np.linspace(2, 3, 20)
    for epoch in range(options.epochs):
        total = 0.0
        for _ in range(options.steps):
            loss = free_energy(model, data)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            total += loss.item()
        spread = [predictions(model, x, 100).std(axis=0).mean() for x in (inside, outside)]
        print(
            f"epoch {epoch + 1}: free energy {total / options.steps:.1f}, deviation of the "
            f"predictions {spread[0]:.3f} among the points, outside {spread[1]:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
