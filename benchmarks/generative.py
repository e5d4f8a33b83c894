"""Training steps of generative models and of their parts, beside the same in PyTorch.

    python benchmarks/generative.py [NAME ...] [--threads N] [--rounds N] [--json FILE]

NAME is the first word of a line: vae, iwae, made, made-2000, pixelcnn, realnvp, lm, batch-norm or
penalty. Both start from the same weights, see the same batches and flush denormal numbers to zero;
the losses of the first step must agree (where models draw different noise, to one percent or two).
Steps take turns; a line shows medians, the median of the ratios by round, and for the PixelCNN and
the flow the floor: their arithmetic at the rate of a large product of PyTorch.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.torch_flow import TorchRealNVP
from rbm import rate
from torch import nn as tnn

import cavs
from cavs.data import chain_graph
from cavs.models import MADE, VAE, Flow, LSTMLanguageModel, PixelCNN
from cavs.nn.estimators import importance_weighted_bound

Step = Callable[[], float]


def linear(layer: Any) -> tnn.Linear:
    """A torch layer with the weights of one of ours."""
    out, size = layer.weight.shape
    copy = tnn.Linear(size, out)
    with torch.no_grad():
        copy.weight.copy_(torch.from_numpy(layer.weight.data))
        copy.bias.copy_(torch.from_numpy(layer.bias.data))
    return copy


class TorchVAE(tnn.Module):
    """`cavs.models.VAE`; an image is encoded once for any number of samples."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        tanh = tnn.Tanh
        layers = [linear(vae.encoder1), tanh(), linear(vae.encoder2), tanh(), linear(vae.posterior)]
        self.encoder = tnn.Sequential(*layers)
        layers = [linear(vae.decoder1), tanh(), linear(vae.decoder2), tanh(), linear(vae.pixels)]
        self.decoder = tnn.Sequential(*layers)

    def forward(self, x: torch.Tensor, samples: int) -> torch.Tensor:
        mean, log_std = self.encoder(x).chunk(2, -1)
        epsilon = torch.randn(len(x), samples, mean.shape[1])
        z = mean[:, None] + log_std.exp()[:, None] * epsilon
        logits = self.decoder(z)
        cross = tnn.functional.binary_cross_entropy_with_logits
        log_p = -cross(logits, x[:, None].expand_as(logits), reduction="none").sum(-1)
        rest = 0.5 * (epsilon.square() - z.square()).sum(-1) + log_std.sum(-1)[:, None]
        return -(torch.logsumexp(log_p + rest, -1) - np.log(samples)).mean()


def autoencoder(samples: int, size: int = 100) -> tuple[Step, Step]:
    """Steps of Adam over batches of 100 images, with as many ones as in MNIST."""
    cavs.nn.init.manual_seed(0)
    x = (np.random.default_rng(0).random((size, 784)) < 0.13).astype(np.float32)
    function = VAE()
    theirs = TorchVAE(function)
    model = cavs.compile(function, outputs=["log_weight"])
    optimizer = cavs.optim.Adam(model.parameters(), lr=1e-3)
    graphs = cavs.batch([cavs.InputGraph([[]] * samples)] * size)
    torch_optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-3)
    images = torch.from_numpy(x)

    def ours() -> float:
        weights = model(graphs, image=x)["log_weight"].reshape(size, samples)
        loss = -importance_weighted_bound(weights).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    def other() -> float:
        loss = theirs(images, samples)
        torch_optimizer.zero_grad()
        loss.backward()
        torch_optimizer.step()
        return float(loss.item())

    return ours, other


def made(hidden: int, size: int = 100) -> tuple[Step, Step]:
    """Steps of Adam of a MADE with one hidden layer, its masks being inputs of the call."""
    cavs.nn.init.manual_seed(0)
    x = (np.random.default_rng(0).random((size, 784)) < 0.13).astype(np.float32)
    function = MADE(784, hidden)
    first, last = linear(function.hidden[0]), linear(function.pixels)
    given = function.in_order()
    order, (degrees,) = given["order"], given["degrees"]
    below = torch.from_numpy((degrees[:, None] >= order).astype(np.float32))
    above = torch.from_numpy((order[:, None] > degrees).astype(np.float32))
    before = torch.from_numpy((order[:, None] > order).astype(np.float32))
    direct = tnn.Parameter(torch.from_numpy(function.direct.data.copy()))
    model = cavs.compile(function, outputs=["loss"])
    optimizer = cavs.optim.Adam(model.parameters(), lr=1e-3)
    graphs = cavs.batch([cavs.InputGraph([[]])] * size)
    parameters = [*first.parameters(), *last.parameters(), direct]
    torch_optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    images = torch.from_numpy(x)

    def ours() -> float:
        return float(model.step(graphs, optimizer, scale=1 / size, image=x, **given).item())

    def other() -> float:
        apply, cross = tnn.functional.linear, tnn.functional.binary_cross_entropy_with_logits
        h = torch.relu(apply(images, first.weight * below, first.bias))
        logits = apply(h, last.weight * above, last.bias) + apply(images, direct * before)
        loss = cross(logits, images, reduction="sum") / size
        torch_optimizer.zero_grad()
        loss.backward()
        torch_optimizer.step()
        return float(loss.item())

    return ours, other


class TorchConvolution(tnn.Conv2d):
    """A layer with the weights and the mask of one of ours."""

    def __init__(self, layer: Any) -> None:
        size = layer.kernel_size[0]
        super().__init__(layer.in_channels, layer.out_channels, size, padding=size // 2)
        mask = getattr(layer, "mask", None)
        self.mask = None if mask is None else torch.tensor(mask, dtype=torch.float32)
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(layer.weight.data))
            self.bias.copy_(torch.from_numpy(layer.bias.data))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight if self.mask is None else self.weight * self.mask
        return tnn.functional.conv2d(x, weight, self.bias, padding=self.padding)


class TorchPixelCNN(tnn.Module):
    """`cavs.models.PixelCNN`."""

    def __init__(self, cnn: PixelCNN) -> None:
        super().__init__()
        self.first = TorchConvolution(cnn.first)
        self.blocks = tnn.ModuleList()
        for block in cnn.blocks:
            layers = map(TorchConvolution, (block.narrow, block.masked, block.widen))
            self.blocks.append(tnn.Sequential(*(x for y in layers for x in (tnn.ReLU(), y))))
        hidden, pixels = TorchConvolution(cnn.hidden), TorchConvolution(cnn.pixels)
        self.last = tnn.Sequential(tnn.ReLU(), hidden, tnn.ReLU(), pixels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.first(x)
        for block in self.blocks:
            u = u + block(u)
        return self.last(u)


def pixelcnn_flops(cnn: PixelCNN, rows: int) -> float:
    """Of a training step: forward, and gradients of weights and of images but for the input's."""
    layers = [layer for b in cnn.blocks for layer in (b.narrow, b.masked, b.widen)]
    layers += [cnn.hidden, cnn.pixels]
    products = 2 * sum(map(sum, cnn.first.mask)) * cnn.first.out_channels
    for layer in layers:
        taps = sum(map(sum, layer.mask)) if hasattr(layer, "mask") else 1
        products += 3 * taps * layer.in_channels * layer.out_channels
    return 2.0 * rows * cnn.image_size * products


def pixelcnn(size: int = 20) -> tuple[Step, Step]:
    """Steps of Adam of the PixelCNN that `cavs train` makes."""
    cavs.nn.init.manual_seed(0)
    x = (np.random.default_rng(0).random((size, 784)) < 0.13).astype(np.float32)
    function = PixelCNN()
    theirs = TorchPixelCNN(function)
    model = cavs.compile(function, outputs=["loss"])
    optimizer = cavs.optim.Adam(model.parameters(), lr=1e-3)
    graphs = cavs.batch([cavs.InputGraph([[]])] * size)
    torch_optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-3, fused=True)
    images = torch.from_numpy(x).view(size, 1, 28, 28)

    def ours() -> float:
        return float(model.step(graphs, optimizer, scale=1 / size, image=x).item())

    def other() -> float:
        cross = tnn.functional.binary_cross_entropy_with_logits
        loss = cross(theirs(images), images, reduction="sum") / size
        torch_optimizer.zero_grad()
        loss.backward()
        torch_optimizer.step()
        return float(loss.item())

    return ours, other


def realnvp(size: int = 100) -> tuple[Step, Step]:
    """Steps of Adam of the RealNVP that `cavs train flow` makes, of 784 grey pixels."""
    cavs.nn.init.manual_seed(0)
    x = np.random.default_rng(0).integers(0, 256, (size, 784)).astype(np.float32)
    function = Flow()
    theirs = TorchRealNVP(function)
    model = cavs.compile(function, outputs=["loss"])
    optimizer = cavs.optim.Adam(model.parameters(), lr=1e-3)
    graphs = cavs.batch([cavs.InputGraph([[]])] * size)
    torch_optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-3, fused=True)
    images = torch.from_numpy(x)

    def ours() -> float:
        return float(model.step(graphs, optimizer, scale=1 / size, image=x).item())

    def other() -> float:
        loss = theirs(images).mean()
        torch_optimizer.zero_grad()
        loss.backward()
        torch_optimizer.step()
        return float(loss.item())

    return ours, other


def realnvp_flops(rows: int) -> float:
    """Of the products of a training step: forward, and gradients of weights and of inputs."""
    weights = [p for p in Flow().parameters() if p.ndim == 2]
    return 3 * 2.0 * rows * sum(math.prod(p.shape) for p in weights)


def language_model(words: int = 10_000, length: int = 20, size: int = 20) -> tuple[Step, Step]:
    """Steps over 20 pieces of 20 words, two layers of 200, by clipped SGD, embeddings sparse."""
    cavs.nn.init.manual_seed(0)
    function = LSTMLanguageModel(words, 200, 2)
    hidden = function.hidden_size
    embedding = tnn.Embedding(words, hidden, sparse=True)
    lstm, out = tnn.LSTM(hidden, hidden, 2), linear(function.next_word)
    with torch.no_grad():
        embedding.weight.copy_(torch.from_numpy(function.embedding.weight.data))
        for layer in range(2):
            ours_w, ours_u = function.w[layer], function.u[layer]
            getattr(lstm, f"weight_ih_l{layer}").copy_(torch.from_numpy(ours_w.weight.data))
            getattr(lstm, f"weight_hh_l{layer}").copy_(torch.from_numpy(ours_u.weight.data))
            getattr(lstm, f"bias_ih_l{layer}").copy_(torch.from_numpy(ours_w.bias.data))
            getattr(lstm, f"bias_hh_l{layer}").zero_()
    model = cavs.compile(function, outputs=["loss", "state"])
    optimizer = cavs.optim.SGD(model.parameters(), lr=1.0)
    graphs = cavs.batch([chain_graph(length)] * size)
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, words + 1)
    text = rng.choice(words, (size, length + 1), p=share / share.sum()).astype(np.int32)
    word, label = text[:, :-1].copy(), text[:, 1:].copy()
    first = np.zeros((size, length), np.float32)
    first[:, 0] = 1
    state = np.zeros((size, function.state_size), np.float32)
    dense = [*lstm.parameters(), *out.parameters()]
    torch_optimizer = torch.optim.SGD([*embedding.parameters(), *dense], lr=1.0)
    x, y = torch.from_numpy(word.T.copy()).long(), torch.from_numpy(label.T.copy()).long()

    def ours() -> float:
        given = {"word": word.ravel(), "label": label.ravel(), "first": first.ravel()}
        options = {"scale": 1 / size, "clip_norm": 5.0}
        return float(model.step(graphs, optimizer, **options, **given, state=state).item())

    def other() -> float:
        h, _ = lstm(embedding(x))
        cross = tnn.functional.cross_entropy
        loss = cross(out(h).reshape(-1, words), y.reshape(-1), reduction="sum") / size
        torch_optimizer.zero_grad()
        loss.backward()
        tnn.utils.clip_grad_norm_(dense, 5.0)
        torch_optimizer.step()
        return float(loss.item())

    return ours, other


class NormedNetwork(cavs.VertexFunction):
    """Three layers, with batch normalisation and a ramp between them."""

    def __init__(self) -> None:
        sizes = (784, 512, 512, 256)
        self.layers = [cavs.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        self.norms = [cavs.nn.BatchNorm(size) for size in sizes[1:-1]]

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 784)
        for layer, norm in zip(self.layers, self.norms, strict=False):
            x = cavs.ops.relu(norm(layer(x)))
        v.push(loss=cavs.ops.sum(cavs.ops.square(self.layers[-1](x) - v.pull("y", 256))))


def batch_norm(rows: int = 128) -> tuple[Step, Step]:
    """Steps of SGD of a network with batch normalisation."""
    cavs.nn.init.manual_seed(0)
    function = NormedNetwork()
    parts: list[tnn.Module] = []
    for layer in function.layers:
        parts += [linear(layer), tnn.BatchNorm1d(layer.weight.shape[0]), tnn.ReLU()]
    theirs = tnn.Sequential(*parts[:-2])
    model = cavs.compile(function)
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(rows, n)).astype(np.float32) for n in (784, 256))
    graphs = cavs.batch([cavs.InputGraph([[]])] * rows)
    optimizer = cavs.optim.SGD(model.parameters(), lr=1e-3)
    torch_optimizer = torch.optim.SGD(theirs.parameters(), lr=1e-3)
    given, wanted = torch.from_numpy(x), torch.from_numpy(y)

    def ours() -> float:
        return float(model.step(graphs, optimizer, scale=1 / rows, x=x, y=y).item())

    def other() -> float:
        loss = (theirs(given) - wanted).square().sum() / rows
        torch_optimizer.zero_grad()
        loss.backward()
        torch_optimizer.step()
        return float(loss.item())

    return ours, other


class Critic(cavs.VertexFunction):
    """A critic with its gradient penalty (Gulrajani et al. 2017)."""

    def __init__(self) -> None:
        sizes = (784, 512, 256, 1)
        self.layers = [cavs.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]

    def score(self, x: cavs.Symbol) -> cavs.Symbol:
        for layer in self.layers[:-1]:
            x = cavs.ops.tanh(layer(x))
        return cavs.ops.sum(self.layers[-1](x))

    def forward(self, v: cavs.Vertex) -> None:
        real, fake, mix = v.pull("real", 784), v.pull("fake", 784), v.pull("mix")
        between = mix * real + (1.0 - mix) * fake
        (slope,) = cavs.grad([self.score(between)], [between])
        length = cavs.ops.sqrt(cavs.ops.sum(cavs.ops.square(slope)))
        penalty = 10.0 * cavs.ops.square(length - 1.0)
        v.push(loss=self.score(fake) - self.score(real) + penalty)


def gradient_penalty(rows: int = 64) -> tuple[Step, Step]:
    """Steps of SGD of a critic with a gradient penalty."""
    cavs.nn.init.manual_seed(0)
    function = Critic()
    parts: list[tnn.Module] = []
    for layer in function.layers:
        parts += [linear(layer), tnn.Tanh()]
    theirs = tnn.Sequential(*parts[:-1])
    model = cavs.compile(function)
    rng = np.random.default_rng(0)
    real, fake = (rng.normal(size=(rows, 784)).astype(np.float32) for _ in range(2))
    mix = rng.random(rows).astype(np.float32)
    graphs = cavs.batch([cavs.InputGraph([[]])] * rows)
    optimizer = cavs.optim.SGD(model.parameters(), lr=1e-4)
    torch_optimizer = torch.optim.SGD(theirs.parameters(), lr=1e-4)
    a, b, share = (torch.from_numpy(values) for values in (real, fake, mix))

    def ours() -> float:
        given = {"real": real, "fake": fake, "mix": mix}
        return float(model.step(graphs, optimizer, scale=1 / rows, **given).item())

    def other() -> float:
        between = (share[:, None] * a + (1 - share)[:, None] * b).requires_grad_()
        (slope,) = torch.autograd.grad(theirs(between).sum(), [between], create_graph=True)
        penalty = 10 * (slope.norm(dim=1) - 1).square().sum()
        loss = (theirs(b).sum() - theirs(a).sum() + penalty) / rows
        torch_optimizer.zero_grad()
        loss.backward()
        torch_optimizer.step()
        return float(loss.item())

    return ours, other


WORKLOADS: dict[str, tuple[Callable[[], tuple[Step, Step]], int, float]] = {
    "vae, batch 100": (lambda: autoencoder(1), 10, 0.02),
    "iwae, batch 100, k = 50": (lambda: autoencoder(50), 1, 0.01),
    "made, 784-500-784, batch 100": (lambda: made(500), 5, 1e-4),
    "made-2000, 784-2000-784, batch 100": (lambda: made(2000), 1, 1e-4),
    "pixelcnn, 7 blocks of 16 channels, batch 20": (pixelcnn, 1, 1e-4),
    "realnvp, 8 couplings of 784 by 256-256, batch 100": (realnvp, 2, 0.01),
    "lm, 2 x 200, 20 x 20 words": (language_model, 1, 1e-4),
    "batch-norm, 784-512-512-256, 128 rows": (batch_norm, 3, 1e-4),
    "penalty, critic 784-512-256-1, 64 rows": (gradient_penalty, 3, 1e-4),
}

#: The arithmetic of a step, where it is known.
FLOPS = {
    "pixelcnn": lambda: pixelcnn_flops(PixelCNN(), 20),
    "realnvp": lambda: realnvp_flops(100),
}


def measure(name: str, rounds: int, threads: int) -> dict[str, Any]:
    """Prints one line; returns its content as values for JSON."""
    make, steps, tolerance = WORKLOADS[name]
    contenders = make()
    losses = [step() for step in contenders]
    if not np.isclose(losses[0], losses[1], rtol=tolerance):
        raise SystemExit(f"{name}: expected equal losses, got {losses}")
    times: list[list[float]] = [[], []]
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            contenders[which]()
            begin = time.perf_counter()
            for _ in range(steps):
                contenders[which]()
            times[which].append((time.perf_counter() - begin) / steps * 1e3)
    ratios = [b / a for a, b in zip(*times, strict=True)]
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    flops = FLOPS.get(name.split(",")[0])
    floor = "" if flops is None else f", floor {1e3 * flops() / rate():.2f} ms"
    print(
        f"{name}: cavs {np.median(times[0]):.2f} ms a step, PyTorch {np.median(times[1]):.2f} ms"
        f"{floor}: {middle:.2f}x ({low:.2f} .. {high:.2f})",
        flush=True,
    )
    return {
        "name": name,
        "threads": threads,
        "milliseconds": dict(zip(("cavs", "torch"), map(float, np.median(times, 1)), strict=True)),
        "cavs_over": {"median": float(middle), "min": min(ratios), "max": max(ratios)},
    }


def main() -> None:
    """Measures all models, or the named ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    known = {name.split(",")[0]: name for name in WORKLOADS}
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known)} (default)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="adds rows to those of this file")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="(default: 15)")
    options = parser.parse_args()
    for name in options.names:
        if name not in known:
            parser.error(f"expected one of {', '.join(known)}, got {name!r}")
    torch.set_flush_denormal(True)  # before threads start: they inherit the mode
    cavs.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    chosen = [known[name] for name in options.names or known]
    rows = [measure(name, options.rounds, options.threads) for name in chosen]
    if options.json is not None:
        before = json.loads(options.json.read_text()) if options.json.is_file() else []
        options.json.write_text(json.dumps(before + rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
