"""A generative adversarial network over points of the plane: a ring of eight Gaussians.

Goodfellow et al., *Generative Adversarial Nets* (NIPS 2014), with the loss of the generator that
does not saturate (section 3). A point is a vertex without edges.
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


class Discriminator(cavs.VertexFunction):
    """Whether a point is real; the loss is that of taking it for what `real` says."""

    def __init__(self, hidden_size: int) -> None:
        self.network = Perceptron(2, hidden_size, hidden_size, 1)

    def forward(self, v: cavs.Vertex) -> None:
        logit = ops.sum(self.network(v.pull("x", 2)))
        v.push(logit=logit, loss=ops.binary_cross_entropy_with_logits(logit, v.pull("real")))


def make_gan(noise_size: int, hidden_size: int) -> cavs.VertexProgram:
    functions = {
        "generator": Generator(noise_size, hidden_size),
        "discriminator": Discriminator(hidden_size),
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


def train_discriminator(
    model: cavs.Program, optimizer: cavs.optim.Optimizer, real: np.ndarray
) -> float:
    """A step that leaves the generator as it is: its points come in as an array."""
    with cavs.no_grad():
        made = model["generator"](points(len(real)))["x"].data
    inputs = {
        "x": np.concatenate([real, made]),
        "real": np.repeat(np.float32([1, 0]), len(real)),
    }
    graph, scale = points(2 * len(real)), 1 / len(real)
    return model["discriminator"].step(graph, optimizer, scale=scale, **inputs).item()


def train_generator(model: cavs.Program, optimizer: cavs.optim.Optimizer, count: int) -> float:
    """A step that leaves the discriminator as it is: gradients flow through it, not to it."""
    model["discriminator"].requires_grad_(False)
    graph = points(count)
    inputs = {"x": model["generator"](graph)["x"], "real": np.ones(count, np.float32)}
    loss = model["discriminator"](graph, **inputs)["loss"].mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model["discriminator"].requires_grad_(True)
    return loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=500, help="steps of an epoch, of each")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--noise-size", type=int, default=4)
    parser.add_argument("--hidden-size", type=int, default=64)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    model = cavs.compile(make_gan(options.noise_size, options.hidden_size))
    optimizers = {
        name: cavs.optim.Adam(model[name].parameters(), lr=3e-3, betas=(0.5, 0.999))
        for name in ("generator", "discriminator")
    }
    steps = options.epochs * options.steps
    rates = [cavs.optim.CosineLR(optimizer, steps) for optimizer in optimizers.values()]
    for epoch in range(options.epochs):
        losses = np.zeros(2)
        for _ in range(options.steps):
            real = ring(rng, options.batch_size)
            losses += (
                train_discriminator(model, optimizers["discriminator"], real),
                train_generator(model, optimizers["generator"], options.batch_size),
            )
            for rate in rates:
                rate.step()
        with cavs.no_grad():
            near = near_a_mode(model["generator"](points(2000))["x"].data)
        judge, maker = losses / options.steps
        print(
            f"epoch {epoch + 1}: discriminator's loss {judge:.3f}, generator's {maker:.3f}, "
            f"modes found {np.sum(near.mean(axis=1) > 0.02)} of {MODES}, "
            f"samples near one {100 * near.any(axis=0).mean():.1f} %",
            flush=True,
        )


if __name__ == "__main__":
    main()
