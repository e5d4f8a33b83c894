"""A Wasserstein GAN with gradient penalty over points of the plane: a ring of eight Gaussians.

Gulrajani et al., *Improved Training of Wasserstein GANs* (NIPS 2017), algorithm 1. The penalty is a
derivative inside of a vertex function, which training differentiates again. A point is a vertex
without edges.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops

MODES, SPREAD = 8, 0.1
CENTRES = np.stack([f(2 * np.pi * np.arange(MODES) / MODES) for f in (np.cos, np.sin)], axis=1)
PENALTY, CRITIC_STEPS = 0.1, 5


class Perceptron(nn.Module):
    def __init__(self, *sizes: int) -> None:
        self.layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]

    def forward(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = ops.relu(layer(x))
        return self.layers[-1](x)


class Generator(cavs.VertexFunction):
    """A point of noise that the vertex draws."""

    def __init__(self, noise_size: int, hidden_size: int) -> None:
        self.noise_size = noise_size
        self.network = Perceptron(noise_size, hidden_size, hidden_size, 2)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(x=self.network(v.normal(self.noise_size)))


class Critic(cavs.VertexFunction):
    """How real a point looks."""

    def __init__(self, network: Perceptron) -> None:
        self.network = network

    def forward(self, v: cavs.Vertex) -> None:
        v.push(score=ops.sum(self.network(v.pull("x", 2))))


class Penalty(cavs.VertexFunction):
    """How far the slope of the critic at a point is from 1, squared."""

    def __init__(self, network: Perceptron) -> None:
        self.network = network

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 2)
        (slope,) = cavs.grad(ops.sum(self.network(x)), [x])
        norm = ops.sqrt(ops.sum(slope * slope) + 1e-12)
        v.push(loss=ops.square(norm - 1.0))


def make_gan(noise_size: int, hidden_size: int) -> cavs.VertexProgram:
    network = Perceptron(2, hidden_size, hidden_size, 1)
    functions = {
        "generator": Generator(noise_size, hidden_size),
        "critic": Critic(network),
        "penalty": Penalty(network),
    }
    return cavs.VertexProgram(functions)


def points(count: int) -> cavs.InputGraph:
    """A graph of that many vertices, which have no edges."""
    return cavs.InputGraph([[] for _ in range(count)])


def ring(rng: np.random.Generator, count: int) -> np.ndarray:
    centre = CENTRES[rng.integers(0, MODES, count)]
    return (centre + rng.normal(0, SPREAD, (count, 2))).astype(np.float32)


def near_a_mode(x: np.ndarray) -> np.ndarray:
    """(modes, count): whether a point is within three standard deviations of each mode."""
    return np.linalg.norm(x - CENTRES[:, None], axis=2) < 3 * SPREAD


def critics_loss(model: cavs.Program, real: np.ndarray, made: np.ndarray, share: np.ndarray) -> Any:
    """Lines 4 to 8: the difference of the scores, and the penalty at points between a real and a
    made one; `share` (n, 1) says how near to the real one."""
    between = share * real + (1 - share) * made
    graph = points(len(real))
    of_real, of_made = (model["critic"](graph, x=x)["score"].mean() for x in (real, made))
    return of_made - of_real + PENALTY * model["penalty"](graph, x=between)["loss"].mean()


def train_critic(
    model: cavs.Program, optimizer: cavs.optim.Optimizer, rng: np.random.Generator, count: int
) -> float:
    """A step that leaves the generator as it is; gives the distance as the critic sees it."""
    with cavs.no_grad():
        made = model["generator"](points(count))["x"].data
    share = rng.uniform(size=(count, 1)).astype(np.float32)
    loss = critics_loss(model, ring(rng, count), made, share)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return -loss.item()


def train_generator(model: cavs.Program, optimizer: cavs.optim.Optimizer, count: int) -> None:
    """A step that leaves the critic as it is: gradients flow through it, not to it."""
    model["critic"].requires_grad_(False)
    graph = points(count)
    loss = -model["critic"](graph, x=model["generator"](graph)["x"])["score"].mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model["critic"].requires_grad_(True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=300, help="steps of an epoch, of the generator"
    )
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--noise-size", type=int, default=2)
    parser.add_argument("--hidden-size", type=int, default=64)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    model = cavs.compile(make_gan(options.noise_size, options.hidden_size))
    optimizers = {
        name: cavs.optim.Adam(model[name].parameters(), lr=1e-3, betas=(0.5, 0.9))
        for name in ("generator", "critic")
    }
    steps = options.epochs * options.steps
    rates = {
        "generator": cavs.optim.CosineLR(optimizers["generator"], steps),
        "critic": cavs.optim.CosineLR(optimizers["critic"], steps * CRITIC_STEPS),
    }
    for epoch in range(options.epochs):
        distance = 0.0
        for _ in range(options.steps):
            for _ in range(CRITIC_STEPS):
                distance += train_critic(model, optimizers["critic"], rng, options.batch_size)
                rates["critic"].step()
            train_generator(model, optimizers["generator"], options.batch_size)
            rates["generator"].step()
        with cavs.no_grad():
            near = near_a_mode(model["generator"](points(2000))["x"].data)
        print(
            f"epoch {epoch + 1}: distance {distance / options.steps / CRITIC_STEPS:.3f}, "
            f"samples near a mode {100 * near.any(axis=0).mean():.1f} %, "
            f"modes found of {MODES}: {np.sum(near.mean(axis=1) > 0.02)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
