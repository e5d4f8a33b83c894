"""A normalising flow over points of the plane: exact densities, and samples by the inverse.

Dinh, Sohl-Dickstein and Bengio, *Density Estimation Using Real NVP* (ICLR 2017). A point is a
vertex without edges. A coupling layer scales and moves one half of it by what a network makes of
the other half, so that it can be undone and the determinant of its Jacobian is a product.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops


class Coupling(nn.Module):
    """s and t of ``y = x exp(s) + t``, made of the other half (equations 4 and 5).

    s stays between -2 and 2, so that no layer overflows.
    """

    def __init__(self, size: int, hidden_size: int) -> None:
        self.hidden = nn.Linear(size, hidden_size)
        self.output = nn.Linear(hidden_size, 2 * size)

    def forward(self, x: Any) -> tuple[Any, Any]:
        s, t = ops.split(self.output(ops.tanh(self.hidden(x))), 2)
        return 2 * ops.tanh(s), t


class Density(cavs.VertexFunction):
    """From points to normal noise, and how likely the points are."""

    def __init__(self, layers: list[Coupling]) -> None:
        self.layers = layers

    def forward(self, v: cavs.Vertex) -> None:
        a, b = ops.split(v.pull("x", 2), 2)
        log_det: Any = 0.0
        for layer in self.layers:
            s, t = layer(a)
            a, b = b * ops.exp(s) + t, a
            log_det = log_det + ops.sum(s)
        z = ops.concat([a, b])
        log_p = -0.5 * ops.sum(z * z) - math.log(2 * math.pi) + log_det
        v.push(z=z, log_det=log_det, log_p=log_p, loss=-log_p)


class Sample(cavs.VertexFunction):
    """From noise to points: the same layers, undone from the last to the first."""

    def __init__(self, layers: list[Coupling]) -> None:
        self.layers = layers

    def forward(self, v: cavs.Vertex) -> None:
        a, b = ops.split(v.pull("z", 2), 2)
        for layer in reversed(self.layers):
            s, t = layer(b)
            a, b = b, (a - t) * ops.exp(-s)
        v.push(x=ops.concat([a, b]))


def make_flow(num_layers: int, hidden_size: int) -> cavs.VertexProgram:
    layers = [Coupling(1, hidden_size) for _ in range(num_layers)]
    return cavs.VertexProgram({"density": Density(layers), "sample": Sample(layers)})


def points(count: int) -> cavs.InputGraph:
    """A graph of that many vertices, which have no edges."""
    return cavs.InputGraph([[] for _ in range(count)])


def two_moons(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 2): two half circles that reach into each other, with noise."""
    angle, lower = np.pi * rng.random(count), rng.integers(0, 2, count)
    x = np.where(lower, 1 - np.cos(angle), np.cos(angle)) - 0.5
    y = np.where(lower, 0.5 - np.sin(angle), np.sin(angle)) - 0.25
    moons = np.stack([x, y], axis=1) + rng.normal(0, 0.05, (count, 2))
    return moons.astype(np.float32)


def off_the_moons(x: np.ndarray) -> np.ndarray:
    """(count,): how far points are from the nearer of the two half circles."""
    upper = x + np.array([0.5, 0.25])
    lower = [1, 0.5] - upper
    distances = [
        np.where(
            half[:, 1] >= 0,
            np.abs(np.hypot(half[:, 0], half[:, 1]) - 1),
            np.hypot(np.abs(half[:, 0]) - 1, half[:, 1]),
        )
        for half in (upper, lower)
    ]
    return np.minimum(*distances)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=400, help="steps of an epoch")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=256)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    test, batch = two_moons(rng, 2000), points(options.batch_size)
    model = cavs.compile(make_flow(options.layers, options.hidden_size))
    optimizer = cavs.optim.Adam(model.parameters(), lr=1e-2)
    rate = cavs.optim.CosineLR(optimizer, options.epochs * options.steps)
    for epoch in range(options.epochs):
        for _ in range(options.steps):
            x = two_moons(rng, options.batch_size)
            model["density"].step(batch, optimizer, scale=1 / len(x), x=x)
            rate.step()
        with cavs.no_grad():
            log_p = model["density"](points(len(test)), outputs=["log_p"], x=test)["log_p"]
            z = rng.normal(size=test.shape).astype(np.float32)
            drawn = model["sample"](points(len(z)), z=z)["x"].data
        near = off_the_moons(drawn) < 0.15
        print(
            f"epoch {epoch + 1}: log p of unseen points {log_p.mean().item():.3f}, "
            f"of samples {100 * near.mean():.1f} % on the moons",
            flush=True,
        )


if __name__ == "__main__":
    main()
