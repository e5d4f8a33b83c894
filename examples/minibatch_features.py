"""A discriminator that sees a whole minibatch: how close each point is to the others of its batch.

Salimans et al., *Improved Techniques for Training GANs* (NIPS 2016), section 3.2. A generator that
makes one point over and over is found out, since its points stand too close together. A minibatch
is a graph: below stand its points, and above each point a vertex that has all of them as children.
"""

from __future__ import annotations

import argparse
import itertools
from functools import cache
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
    """Whether a point is real, by its features and by those of the minibatch.

    The features f of a point give a matrix M of `kernels` rows. A minibatch feature is the sum over
    the points of the minibatch, of which it is one itself, of exp(-|M_b - M'_b|), b being a row and
    the distance that of its elements: closeness (the equations of section 3.2).
    """

    def __init__(self, hidden_size: int, kernels: int, kernel_size: int) -> None:
        self.shape = (kernels, kernel_size)
        self.features = Perceptron(2, hidden_size, hidden_size)
        self.tensor = nn.Linear(hidden_size, kernels * kernel_size, bias=False)
        self.verdict = nn.Linear(hidden_size + kernels, 1)

    def forward(self, v: cavs.Vertex) -> None:
        f = ops.relu(self.features(v.pull("x", 2)))
        m = ops.reshape(self.tensor(f), self.shape)
        others = v.gather(m=self.shape).m
        v.scatter(m=m)
        close = ops.exp(-ops.sum(ops.abs(others - m), axis=-1)).sum()
        logit = ops.sum(self.verdict(ops.concat([f, close])))
        loss = ops.binary_cross_entropy_with_logits(logit, v.pull("real"))
        v.push(close=close, logit=logit, loss=loss * v.pull("judged"))


def make_gan(
    noise_size: int, hidden_size: int, kernels: int = 8, kernel_size: int = 3
) -> cavs.VertexProgram:
    functions = {
        "generator": Generator(noise_size, hidden_size),
        "discriminator": Discriminator(hidden_size, kernels, kernel_size),
    }
    return cavs.VertexProgram(functions)


@cache
def points(count: int) -> cavs.InputGraph:
    """A graph of that many vertices, which have no edges."""
    return cavs.InputGraph([[] for _ in range(count)])


@cache
def minibatch(count: int) -> cavs.InputGraph:
    """`count` points, and as many vertices that judge one each, with all points as children."""
    return cavs.InputGraph([[]] * count + [list(range(count))] * count)


@cache
def two_minibatches(count: int) -> cavs.GraphBatch:
    """One of real points and one of points that were made."""
    return cavs.batch([minibatch(count)] * 2)


def judged(count: int) -> np.ndarray:
    """1 for the vertices of a minibatch that judge, 0 for its points."""
    return np.repeat(np.float32([0, 1]), count)


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
    count = len(real)
    with cavs.no_grad():
        made = model["generator"](points(count))["x"].data
    inputs = {
        "x": np.concatenate([real, real, made, made]),
        "real": np.repeat(np.float32([1, 0]), 2 * count),
        "judged": np.tile(judged(count), 2),
    }
    batch = two_minibatches(count)
    return model["discriminator"].step(batch, optimizer, scale=1 / count, **inputs).item()


def train_generator(model: cavs.Program, optimizer: cavs.optim.Optimizer, count: int) -> float:
    """A step that leaves the discriminator as it is: gradients flow through it, not to it."""
    model["discriminator"].requires_grad_(False)
    x = model["generator"](points(count))["x"]
    inputs = {
        "x": cavs.concat([x, x]),
        "real": np.ones(2 * count, np.float32),
        "judged": judged(count),
    }
    loss = model["discriminator"](minibatch(count), **inputs)["loss"].sum() * (1 / count)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model["discriminator"].requires_grad_(True)
    return loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=500, help="steps of an epoch, of each")
    parser.add_argument("--batch-size", type=int, default=64)
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
            f"samples near a mode {100 * near.any(axis=0).mean():.1f} %, "
            f"modes found {np.sum(near.mean(axis=1) > 0.02)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
