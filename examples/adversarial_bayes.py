"""Adversarial variational Bayes: a variational autoencoder whose posterior has no density.

Mescheder, Nowozin and Geiger, *Adversarial Variational Bayes* (ICML 2017). The encoder makes z of
an image and of noise; a discriminator T(x, z) tells z of the encoder from z of the prior, so that
at its best T(x, z) = log q(z | x) - log p(z), and the bound is E log p(x | z) - T(x, z). The data
are four images of four pixels, one of which is set, as in the paper. With the best model, whose
bound is -log 4 = -1.386, the z of an image fill a quarter of the prior, of any shape.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs.nn.distributions import Bernoulli

IMAGES = np.eye(4, dtype=np.float32)
LATENT = 2


class Perceptron(nn.Module):
    def __init__(self, *sizes: int) -> None:
        self.layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]

    def forward(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = ops.relu(layer(x))
        return self.layers[-1](x)


class Encoder(cavs.VertexFunction):
    """z = g(x, noise), noise from Normal(0, 1): a posterior that can be drawn from, and no more."""

    def __init__(self, noise_size: int, hidden_size: int) -> None:
        self.noise_size = noise_size
        size = IMAGES.shape[1] + noise_size
        self.network = Perceptron(size, hidden_size, hidden_size, LATENT)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", IMAGES.shape[1])
        v.push(z=self.network(ops.concat([x, v.normal(self.noise_size)])))


class Decoder(cavs.VertexFunction):
    """-log p(x | z), with p(x | z) = Bernoulli(sigmoid(f(z)))."""

    def __init__(self, hidden_size: int) -> None:
        self.network = Perceptron(LATENT, hidden_size, hidden_size, IMAGES.shape[1])

    def forward(self, v: cavs.Vertex) -> None:
        pixels = Bernoulli(self.network(v.pull("z", LATENT)))
        v.push(loss=-ops.sum(pixels.log_prob(v.pull("x", IMAGES.shape[1]))))


class Discriminator(cavs.VertexFunction):
    """T(x, z); its loss is that of taking z for one of the encoder where `of_encoder` is 1, and for
    one of the prior where it is 0."""

    def __init__(self, hidden_size: int) -> None:
        size = IMAGES.shape[1] + LATENT
        self.network = Perceptron(size, hidden_size, hidden_size, 1)

    def forward(self, v: cavs.Vertex) -> None:
        pair = ops.concat([v.pull("x", IMAGES.shape[1]), v.pull("z", LATENT)])
        ratio = ops.sum(self.network(pair))
        loss = ops.binary_cross_entropy_with_logits(ratio, v.pull("of_encoder"))
        v.push(ratio=ratio, loss=loss)


def make_model(noise_size: int, hidden_size: int) -> cavs.VertexProgram:
    functions = {
        "encoder": Encoder(noise_size, hidden_size),
        "decoder": Decoder(hidden_size),
        "discriminator": Discriminator(hidden_size),
    }
    return cavs.VertexProgram(functions)


def points(count: int) -> cavs.InputGraph:
    """A graph of that many vertices, which have no edges."""
    return cavs.InputGraph([[] for _ in range(count)])


def train_discriminator(
    model: cavs.Program, optimizer: cavs.optim.Optimizer, x: np.ndarray, z: np.ndarray
) -> float:
    """A step of T on images `x`, with z of the encoder and with `z` of the prior."""
    with cavs.no_grad():
        encoded = model["encoder"](points(len(x)), x=x)["z"].data
    inputs = {
        "x": np.concatenate([x, x]),
        "z": np.concatenate([encoded, z]),
        "of_encoder": np.repeat(np.float32([1, 0]), len(x)),
    }
    step = model["discriminator"].step
    return step(points(2 * len(x)), optimizer, scale=1 / len(x), **inputs).item()


def train_autoencoder(model: cavs.Program, optimizer: cavs.optim.Optimizer, x: np.ndarray) -> float:
    """A step of the encoder and the decoder on -log p(x | z) + T(x, z). Gradients flow through T,
    not to it: by the encoder's parameters the best T has a derivative at the same z too, but its
    mean over z is 0 (their proposition 2)."""
    model["discriminator"].requires_grad_(False)
    graph = points(len(x))
    z = model["encoder"](graph, x=x)["z"]
    ratio = model["discriminator"](graph, x=x, z=z, of_encoder=np.ones(len(x), np.float32))["ratio"]
    loss = (model["decoder"](graph, x=x, z=z)["loss"] + ratio).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model["discriminator"].requires_grad_(True)
    return loss.item()


def log_likelihoods(model: cavs.Program, side: int = 101) -> np.ndarray:
    """log p(x) of the four images, (4,), by a sum over a grid of z in -5..5."""
    line = np.linspace(-5, 5, side, dtype=np.float32)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, LATENT)
    log_prior = -0.5 * (grid**2).sum(1) - np.log(2 * np.pi) + 2 * np.log(line[1] - line[0])
    found = []
    for image in IMAGES:
        with cavs.no_grad():
            x = np.repeat(image[None], len(grid), axis=0)
            loss = model["decoder"](points(len(grid)), x=x, z=grid)["loss"].data
        found.append(np.logaddexp.reduce(log_prior - loss))
    return np.array(found)


def encode(model: cavs.Program, count: int) -> np.ndarray:
    """`count` z of each image: (4, count, 2)."""
    with cavs.no_grad():
        x = np.repeat(IMAGES, count, axis=0)
        return model["encoder"](points(len(x)), x=x)["z"].data.reshape(len(IMAGES), count, LATENT)


def draw(path: str, model: cavs.Program) -> None:
    """A picture of z by image."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4, 4))
    for number, z in enumerate(encode(model, 1000)):
        axes.scatter(z[:, 0], z[:, 1], s=2, label=f"image {number + 1}")
    axes.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect="equal", title="z of each image")
    figure.savefig(path, dpi=80, bbox_inches="tight")
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=500, help="steps of an epoch, of each")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--noise-size", type=int, default=3)
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--output", help="a picture of the posteriors: .png (takes matplotlib)")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    model = cavs.compile(make_model(options.noise_size, options.hidden_size))
    autoencoder = [*model["encoder"].parameters(), *model["decoder"].parameters()]
    makes = cavs.optim.Adam(autoencoder, lr=1e-3, betas=(0.5, 0.999))
    judges = cavs.optim.Adam(model["discriminator"].parameters(), lr=5e-3, betas=(0.5, 0.999))
    steps = options.epochs * options.steps
    rates = [cavs.optim.CosineLR(optimizer, steps) for optimizer in (makes, judges)]
    for epoch in range(options.epochs):
        losses = np.zeros(2)
        for _ in range(options.steps):
            x = IMAGES[rng.integers(0, len(IMAGES), options.batch_size)]
            z = rng.normal(size=(len(x), LATENT)).astype(np.float32)
            losses += (train_discriminator(model, judges, x, z), train_autoencoder(model, makes, x))
            for rate in rates:
                rate.step()
        judge, bound = losses / options.steps
        print(
            f"epoch {epoch + 1}: discriminator's loss {judge:.3f}, bound by the discriminator "
            f"{-bound:.3f}, -log p of an image {-log_likelihoods(model).mean():.3f}",
            flush=True,
        )
    if options.output:
        draw(options.output, model)


if __name__ == "__main__":
    main()
