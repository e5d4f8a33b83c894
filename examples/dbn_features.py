"""The layers of a deep belief network, looked at.

Hinton, Osindero and Teh, *A Fast Learning Algorithm for Deep Belief Nets* (2006): an RBM learns
from small digits, and another one from its hidden bits. Lee, Ekanadham and Ng, *Sparse Deep Belief
Net Model for Visual Area V2* (2008): a unit of the first layer is seen by its weights, one of the
second by the mean of what it weighs in the first, by its own weights.

`--output` gets a picture of both. The digits are those of 8 x 8 pixels that come with scikit-learn;
`--data` takes its file digits.csv.gz.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import cavs
from cavs.cli.sample import write_images
from cavs.data import load_small_digits
from cavs.models import DBN, RBM


def graphs(count: int) -> cavs.GraphBatch:
    """Images, each a vertex without edges."""
    return cavs.batch([cavs.InputGraph([[]])] * count)


def train(
    function: RBM | DBN, images: np.ndarray, epochs: int, lr: float, batch_size: int, name: str
) -> None:
    """Contrastive divergence: `loss` is the free energy of an image less that of where a step of
    Gibbs sampling leads to from it."""
    model = cavs.compile(function)
    optimizer = cavs.optim.SGD(model.parameters(), lr=lr, momentum=0.5)
    rng = np.random.default_rng(0)
    for epoch in range(epochs):
        for chosen in np.array_split(rng.permutation(len(images)), len(images) // batch_size):
            batch = graphs(len(chosen))
            model.step(batch, optimizer, scale=1 / len(chosen), image=images[chosen])
        print(f"{name}, epoch {epoch + 1}: squared error {error(function, images):.2f}", flush=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def error(function: RBM | DBN, images: np.ndarray) -> float:
    """The squared error of images that come back from the last layer, by means all the way."""
    layers = [function] if isinstance(function, RBM) else [*function.lower, function.top]
    x = images
    for layer in layers:
        if isinstance(layer, RBM):
            h = sigmoid(x @ layer.weight.numpy().T + layer.hidden_bias.numpy())
            x = sigmoid(h @ layer.weight.numpy() + layer.visible_bias.numpy())
        else:
            x = sigmoid(x @ layer.up.weight.numpy().T + layer.up.bias.numpy())
    for layer in reversed(layers[:-1]):
        x = sigmoid(x @ layer.down.weight.numpy().T + layer.down.bias.numpy())
    return float(((x - images) ** 2).sum(axis=1).mean())


def features(dbn: DBN) -> tuple[np.ndarray, np.ndarray]:
    """(units, pixels) of the first layer: its weights; and of the second one: those of the first,
    weighed by how much a unit of the second draws on them."""
    first = dbn.lower[0].down.weight.numpy().T
    return first, dbn.top.weight.numpy() @ first


def shades(weights: np.ndarray) -> np.ndarray:
    """Weights as images: 0 is grey, and the largest of a unit black or white."""
    return 0.5 + 0.5 * weights / np.abs(weights).max(axis=1, keepdims=True)


def enlarged(images: np.ndarray, side: int, times: int = 4) -> np.ndarray:
    """Images of side x side pixels, each of which becomes a square of `times` x `times`."""
    found = images.reshape(-1, side, 1, side, 1)
    return np.tile(found, (1, 1, times, 1, times)).reshape(len(images), -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="digits.csv.gz (default: scikit-learn's)")
    parser.add_argument("--output", type=Path, help="a file that gets a picture of units, .png")
    parser.add_argument("--epochs", type=int, default=30, help="of each layer")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--batch-size", type=int, default=20)
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--top-size", type=int, default=32)
    options = parser.parse_args()

    corpus = load_small_digits(options.data).binarized()
    images = corpus.train.astype(np.float32)
    rbm = RBM(images.shape[1], options.hidden_size)
    rbm.set_pixel_means(images.mean(axis=0))
    train(rbm, images, options.epochs, options.lr, options.batch_size, "layer 1")
    dbn = DBN(images.shape[1], (options.hidden_size,), options.top_size)
    dbn.lower[0].set_rbm(rbm)
    train(dbn, images, options.epochs, options.lr, options.batch_size, "layer 2")
    if options.output is not None:
        first, second = features(dbn)
        shown = shades(np.concatenate([first[:32], second[:32]]))
        write_images(options.output, enlarged(shown, corpus.height))


if __name__ == "__main__":
    main()
