"""RealNVP of grey images beside the same model in PyTorch: bits a pixel of test images.

    python benchmarks/flows.py [--data digits.csv.gz or FOLDER] [--epochs N] [--seeds N]

Of the 8 x 8 digits, or of a folder of idx files such as Fashion-MNIST's: 8 couplings of 256 units.

Both begin with the same weights and see the same batches; the noise that makes greys continuous is
their own. Rates fall to 0 alike, and what the last step leaves is judged by 20 drawings
of it, of a folder by 2.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.torch_flow import TorchRealNVP

import cavs
from cavs.data import load_fashion_mnist, load_small_digits
from cavs.models import Flow
from cavs.training import set_first_norms

BATCH, LR = 100, 0.001
JUDGED = 1000  # test images in a batch


def read(data: str | None) -> tuple[np.ndarray, np.ndarray, dict[str, Any], int]:
    """Images to train on and to test, sizes of the flow, and how often a test image is judged."""
    if data is not None and Path(data).is_dir():
        corpus, drawings = load_fashion_mnist(data), 2
        sizes = {"width": 28, "num_layers": 8, "hidden_size": 256}
    else:
        corpus, drawings = load_small_digits(data), 20
        sizes = {"width": 8, "num_layers": 6, "hidden_size": 64}
    train, test = (x.reshape(len(x), -1).astype(np.float32) for x in (corpus.train, corpus.test))
    return train, test, {**sizes, "image_size": train.shape[1], "levels": corpus.levels}, drawings


def train(seed: int, epochs: int, data: str | None) -> list[tuple[float, float]]:
    """Bits a pixel and seconds, of cavs and of PyTorch."""
    cavs.nn.init.manual_seed(seed)
    torch.manual_seed(seed)
    images, test, sizes, drawings = read(data)
    flow = Flow("realnvp", **sizes)
    set_first_norms(flow, images, seed)
    theirs = TorchRealNVP(flow)
    rng = np.random.default_rng(seed)
    order = np.stack([rng.permutation(len(images)) for _ in range(epochs)])
    order = order[:, : len(images) // BATCH * BATCH].reshape(-1, BATCH)
    rates = LR * (1 - np.arange(len(order)) / len(order))

    model = cavs.compile(flow, outputs=["loss"], seed=seed)
    optimizer = cavs.optim.Adam(model.parameters(), lr=LR)
    graphs = cavs.batch([cavs.InputGraph([[]])] * BATCH)
    begin = time.perf_counter()
    for rows, rate in zip(order, rates, strict=True):
        optimizer.groups[0]["lr"] = rate
        model.step(graphs, optimizer, scale=1 / BATCH, image=images[rows])
    seconds = time.perf_counter() - begin
    model.eval()
    parts = [test[i : i + JUDGED] for i in range(0, len(test), JUDGED)] * drawings
    nats = 0.0
    with cavs.no_grad():
        for part in parts:
            graphs = cavs.batch([cavs.InputGraph([[]])] * len(part))
            nats += float(model(graphs, image=part)["loss"].numpy().sum(dtype=np.float64))
    scale = 1 / (test.size * drawings * math.log(2))
    found = [(nats * scale, seconds)]

    adam = torch.optim.Adam(theirs.parameters(), lr=LR, fused=True)
    given = torch.from_numpy(images)
    begin = time.perf_counter()
    for rows, rate in zip(order, rates, strict=True):
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        theirs(given[rows]).mean().backward()
        adam.step()
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        nats = sum(theirs(torch.from_numpy(part)).double().sum().item() for part in parts)
    return [*found, (nats * scale, seconds)]


def main() -> None:
    """Trains both, and prints a line for each seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--data", metavar="PATH", help="digits.csv.gz (default: scikit-learn's), or idx files"
    )
    parser.add_argument("--epochs", type=int, default=60, metavar="N", help="(default: 60)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="(default: 3)")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    cavs.set_num_threads(1)
    torch.set_num_threads(1)
    scores = []
    for seed in range(options.seeds):
        ours, theirs = train(seed, options.epochs, options.data)
        scores.append((ours[0], theirs[0]))
        print(
            f"seed {seed}: bits a pixel cavs {ours[0]:.4f} ({ours[1]:.1f} s), "
            f"PyTorch {theirs[0]:.4f} ({theirs[1]:.1f} s)",
            flush=True,
        )
    (ours, theirs), spread = np.mean(scores, axis=0), np.std(scores, axis=0)
    print(f"mean: cavs {ours:.4f} +- {spread[0]:.4f}, PyTorch {theirs:.4f} +- {spread[1]:.4f}")


if __name__ == "__main__":
    main()
