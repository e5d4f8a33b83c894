"""A generative moment matching network over points of the plane: a ring of eight Gaussians.

Li, Swersky and Zemel, *Generative Moment Matching Networks* (ICML 2015): a generator is trained to
make the kernel maximum mean discrepancy (Gretton et al., 2012) between its points and real ones
small, without a discriminator.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

import cavs
from cavs import nn, ops

MODES, SPREAD = 8, 0.1
CENTRES = np.stack([f(2 * np.pi * np.arange(MODES) / MODES) for f in (np.cos, np.sin)], axis=1)
WIDTHS = (0.1, 0.2, 0.5, 1.0)


class Generator(cavs.VertexFunction):
    """A point, made of noise that the vertex draws."""

    def __init__(self, noise_size: int, hidden_size: int) -> None:
        self.noise_size = noise_size
        sizes = (noise_size, hidden_size, hidden_size, 2)
        self.layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]

    def forward(self, v: cavs.Vertex) -> None:
        x = v.uniform(self.noise_size) * 2.0 - 1.0
        for layer in self.layers[:-1]:
            x = ops.relu(layer(x))
        v.push(x=self.layers[-1](x))


def discrepancy(made: cavs.Tensor, real: np.ndarray) -> cavs.Tensor:
    """The maximum mean discrepancy of two samples: Li et al., equation 2 and section 4.3."""
    n, m, sums = len(made), len(real), cavs.pairwise_kernel_sum
    within, of_real = sums(made, made, WIDTHS) / (n * n), sums(real, real, WIDTHS) / (m * m)
    return ops.sqrt(within + of_real - sums(made, real, WIDTHS) * (2.0 / (n * m)))


def points(count: int) -> cavs.InputGraph:
    """A graph of that many vertices, which have no edges."""
    return cavs.InputGraph([[] for _ in range(count)])


def ring(rng: np.random.Generator, count: int) -> np.ndarray:
    centre = CENTRES[rng.integers(0, MODES, count)]
    return (centre + rng.normal(0, SPREAD, (count, 2))).astype(np.float32)


def near_a_mode(x: np.ndarray) -> np.ndarray:
    """(modes, count): whether a point is within three standard deviations of each mode."""
    return np.linalg.norm(x - CENTRES[:, None], axis=2) < 3 * SPREAD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400, help="of each epoch")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--noise-size", type=int, default=4)
    parser.add_argument("--hidden-size", type=int, default=64)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    model = cavs.compile(Generator(options.noise_size, options.hidden_size))
    optimizer = cavs.optim.Adam(model.parameters(), lr=3e-3)
    rate = cavs.optim.CosineLR(optimizer, options.epochs * options.steps)
    graph = points(options.batch_size)
    for epoch in range(options.epochs):
        total = 0.0
        for _ in range(options.steps):
            loss = discrepancy(model(graph)["x"], ring(rng, options.batch_size))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            total += loss.item()
        with cavs.no_grad():
            near = near_a_mode(model(points(2000))["x"].data)
        print(
            f"epoch {epoch + 1}: discrepancy {total / options.steps:.4f}, "
            f"modes found {np.sum(near.mean(axis=1) > 0.02)} of {MODES}, "
            f"samples near one {100 * near.any(axis=0).mean():.1f} %",
            flush=True,
        )


if __name__ == "__main__":
    main()
