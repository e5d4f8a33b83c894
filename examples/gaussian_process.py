"""Gaussian process regression, whose kernel is fitted by the gradient of the marginal likelihood.

Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006): algorithm 2.1 and equation
5.8, in tensors alone. A point is one number; the kernel is a squared exponential, with noise.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import cavs
from cavs import linalg, nn, ops

NOISE = 0.2


class GaussianProcess(nn.Module):
    """Logarithms of the kernel's length, its scale and the noise's standard deviation."""

    def __init__(self) -> None:
        self.length, self.scale, self.noise = (cavs.Parameter(np.zeros(())) for _ in range(3))

    def kernel(self, a: np.ndarray, b: np.ndarray) -> cavs.Tensor:
        """(n, m) covariances of the function's values at the points a (n,) and b (m,)."""
        squares = cavs.tensor((a[:, None] - b) ** 2)
        return ops.exp(2.0 * self.scale - squares * (0.5 * ops.exp(-2.0 * self.length)))

    def factor(self, x: np.ndarray) -> cavs.Tensor:
        """The Cholesky factor of the covariances of what is observed at the points."""
        noise = ops.exp(2.0 * self.noise) * np.eye(len(x))
        return linalg.cholesky(self.kernel(x, x) + noise)

    def loss(self, x: np.ndarray, y: np.ndarray) -> cavs.Tensor:
        """-log p(y | x): the function's values are integrated out."""
        factor = self.factor(x)
        white = linalg.solve_triangular(factor, y)
        log_root = ops.sum(ops.log(linalg.diagonal(factor)))  # half of log det
        return 0.5 * ops.sum(white * white) + log_root + 0.5 * len(x) * np.log(2 * np.pi)

    def predict(self, x: np.ndarray, y: np.ndarray, at: np.ndarray) -> tuple[Any, Any]:
        """Means and standard deviations of the function's values at other points."""
        with cavs.no_grad():
            factor = self.factor(x)
            white = linalg.solve_triangular(factor, self.kernel(x, at))
            mean = linalg.solve_triangular(factor, y) @ white
            variance = ops.exp(2.0 * self.scale) - ops.sum(white * white, axis=0)
        return mean.numpy(), np.sqrt(variance.numpy())


def curve(x: np.ndarray) -> np.ndarray:
    return np.sin(3 * x) + 0.5 * x


def observations(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points in two stretches with a gap between them, and what is observed there."""
    x = np.sort(rng.uniform(0, 2, count)) + np.repeat([-2.5, 0.5], [count // 2, count - count // 2])
    return x, curve(x) + NOISE * rng.normal(size=count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50, help="of each epoch")
    options = parser.parse_args()
    x, y = observations(np.random.default_rng(0), options.points)
    process = GaussianProcess()
    optimizer = cavs.optim.Adam(process.parameters(), lr=0.05)
    for epoch in range(options.epochs):
        for _ in range(options.steps):
            loss = process.loss(x, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        mean, _ = process.predict(x, y, x)
        error = np.sqrt(np.mean((mean - curve(x)) ** 2))
        noise = np.exp(process.noise.item())
        print(f"epoch {epoch + 1}: -log p {loss.item():.2f}, noise {noise:.3f}, error {error:.3f}")


if __name__ == "__main__":
    main()
