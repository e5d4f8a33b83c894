"""RealNVP on the 8 x 8 digits beside the same model in PyTorch: bits a pixel of test images.

    python benchmarks/flows.py [--data digits.csv.gz] [--epochs N] [--seeds N]

Both begin with the same weights and see the same batches; the noise that makes greys continuous is
their own. Rates fall to 0 alike, and what the last step leaves is judged by 20 drawings of it.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from peers.torch_flow import TorchRealNVP

import cavs
from cavs.data import load_small_digits
from cavs.models import Flow
from cavs.training import set_first_norms

PIXELS, BATCH, LR, DRAWINGS = 64, 100, 0.001, 20


def bits(nats: float) -> float:
    return nats / (PIXELS * math.log(2))


def train(seed: int, epochs: int, data: str | None) -> list[tuple[float, float]]:
    """Bits a pixel and seconds, of cavs and of PyTorch."""
    cavs.nn.init.manual_seed(seed)
    torch.manual_seed(seed)
    corpus = load_small_digits(data)
    images, test = (x.astype(np.float32) for x in (corpus.train, corpus.test))
    flow = Flow("realnvp", PIXELS, 8, corpus.levels, num_layers=6, hidden_size=64)
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
        optimizer.lr = rate
        model.step(graphs, optimizer, scale=1 / BATCH, image=images[rows])
    seconds = time.perf_counter() - begin
    model.eval()
    graphs = cavs.batch([cavs.InputGraph([[]])] * len(test))
    with cavs.no_grad():
        losses = [model(graphs, image=test)["loss"].numpy().mean() for _ in range(DRAWINGS)]
    found = [(bits(float(np.mean(losses))), seconds)]

    adam = torch.optim.Adam(theirs.parameters(), lr=LR, fused=True)
    given, held = torch.from_numpy(images), torch.from_numpy(test)
    begin = time.perf_counter()
    for rows, rate in zip(order, rates, strict=True):
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        theirs(given[rows]).mean().backward()
        adam.step()
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        losses = [theirs(held).mean().item() for _ in range(DRAWINGS)]
    return [*found, (bits(float(np.mean(losses))), seconds)]


def main() -> None:
    """Trains both, and prints a line for each seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", metavar="FILE", help="digits.csv.gz (default: scikit-learn's)")
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
