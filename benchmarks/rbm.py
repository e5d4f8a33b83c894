"""Training steps of restricted Boltzmann machines beside PyTorch's: the same weights, images and
numbers of Gibbs steps.

    python benchmarks/rbm.py                  # CD-1 and CD-25 of 500 hidden units, 100 images
    python benchmarks/rbm.py --k 25 --explain # with where the time goes

PyTorch's step is written by hand, without a tape, as fast as it can be said: probabilities that are
needed twice are computed once. Steps take turns; a line shows medians, the median of the ratios by
round, and the floor: the arithmetic of all products at the rate of a large product of PyTorch.
Before that both must draw alike: the share of ones after the chain, over many images, to one
percent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import cavs
from cavs.data import load_binarized_mnist
from cavs.models import RBM, RBMChain

PIXELS = 784
Step = Callable[[], None]


class TorchRBM:
    """Contrastive divergence by hand."""

    def __init__(self, rbm: RBM, images: np.ndarray, lr: float) -> None:
        self.weight = torch.tensor(rbm.weight.numpy())
        self.visible = torch.tensor(rbm.visible_bias.numpy())
        self.hidden = torch.tensor(rbm.hidden_bias.numpy())
        self.images, self.steps, self.lr = torch.tensor(images), rbm.steps, lr / len(images)

    def chain(self, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The images after the steps, and the probabilities of their hidden bits."""
        for _ in range(self.steps):
            h = torch.bernoulli(p)
            y = torch.bernoulli(torch.sigmoid(torch.addmm(self.visible, h, self.weight)))
            p = torch.sigmoid(torch.addmm(self.hidden, y, self.weight.T))
        return y, p

    @torch.no_grad()
    def step(self) -> None:
        """A step of SGD."""
        x = self.images
        p = torch.sigmoid(torch.addmm(self.hidden, x, self.weight.T))
        y, q = self.chain(p)
        self.weight.add_(p.T @ x - q.T @ y, alpha=self.lr)
        self.visible.add_((x - y).sum(0), alpha=self.lr)
        self.hidden.add_((p - q).sum(0), alpha=self.lr)


def check_alike(rbm: RBM, theirs: TorchRBM, images: np.ndarray) -> None:
    """Raises SystemExit unless both chains end with as many ones."""
    graphs = cavs.batch([cavs.InputGraph([[]])] * len(images))
    chain = cavs.compile(RBMChain(rbm, rbm.steps), outputs=["image"])
    ours = [float(chain(graphs, image=images)["image"].numpy().mean()) for _ in range(20)]
    x = torch.tensor(images)
    p = torch.sigmoid(torch.addmm(theirs.hidden, x, theirs.weight.T))
    others = [float(theirs.chain(p)[0].mean()) for _ in range(20)]
    if not np.isclose(np.mean(ours), np.mean(others), rtol=0.01):
        raise SystemExit(f"expected as many ones, got {np.mean(ours)} and {np.mean(others)}")


def rate() -> float:
    """FLOPs in a second of a large product of PyTorch."""
    a, b = torch.randn(768, 768), torch.randn(768, 768)
    times = []
    for _ in range(15):
        begin = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - begin)
    return float(2 * 768**3 / min(times))


def measure(k: int, hidden: int, rows: int, rounds: int, data: str | None, explain: bool) -> None:
    """Prints a line."""
    cavs.nn.init.manual_seed(0)
    if data is None:
        images = (np.random.default_rng(0).random((rows, PIXELS)) < 0.13).astype(np.float32)
    else:
        images = load_binarized_mnist(data).train[:rows].astype(np.float32)
    rbm = RBM(PIXELS, hidden, k)
    rbm.set_pixel_means(images.mean(0))
    theirs = TorchRBM(rbm, images, 0.01)
    check_alike(rbm, theirs, images)
    model = cavs.compile(rbm, outputs=["loss"])
    optimizer = cavs.optim.SGD(model.parameters(), lr=0.01)
    graphs = cavs.batch([cavs.InputGraph([[]])] * rows)

    def ours() -> None:
        model.step(graphs, optimizer, loss="loss", scale=1 / rows, image=images)

    contenders: tuple[Step, Step] = (ours, theirs.step)
    times: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            begin = time.perf_counter()
            contenders[which]()
            if turn:  # the first is not measured
                times[which].append(1e3 * (time.perf_counter() - begin))
    ratios = np.array(times[1]) / np.array(times[0])
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    # Two of each step of the chain, one for the hidden bits of x, two of the gradient.
    floor = 1e3 * (2 * k + 3) * 2 * rows * PIXELS * hidden / rate()
    ours_ms, theirs_ms = np.median(times, axis=1)
    print(
        f"CD-{k}, {hidden} hidden, {rows} images: cavs {ours_ms:.2f} ms a step, PyTorch "
        f"{theirs_ms:.2f} ms, floor {floor:.2f} ms: {middle:.2f}x ({low:.2f} .. {high:.2f})",
        flush=True,
    )
    if explain:
        print(model.explain(graphs, image=images))


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--k", type=int, nargs="*", default=[1, 25], metavar="N")
    parser.add_argument("--hidden", type=int, default=500, metavar="N", help="(default: 500)")
    parser.add_argument("--rows", type=int, default=100, metavar="N", help="(default: 100)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="(default: 15)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--data", metavar="FILE", help="binarised MNIST; without it random bits")
    parser.add_argument("--explain", action="store_true", help="where the time goes")
    options = parser.parse_args()
    torch.set_flush_denormal(True)  # before threads start: they inherit the mode
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    cavs.set_num_threads(options.threads)
    data = None if options.data is None else str(Path(options.data))
    for k in options.k:
        measure(k, options.hidden, options.rows, options.rounds, data, options.explain)


if __name__ == "__main__":
    main()
