"""Convolutions beside PyTorch's (oneDNN), on one thread, by batches of 64 images: single kernels,
and training steps of a PixelCNN and of a DCGAN.

    python benchmarks/convolution.py [--rounds N] [--only kernels|pixelcnn|dcgan] [--threads N]

Medians of interleaved rounds, of the process's own time with one thread, else of the clock. Above 1
cavs is faster. Kernels are called alone, without what surrounds them in a model. The environment
variable CAVS_ISA names a lesser instruction set than the machine's. With several threads set
OMP_WAIT_POLICY=PASSIVE and GOMP_SPINCOUNT=0: else PyTorch's spin on the cores of cavs's turn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch

import cavs
from cavs import nn, ops
from cavs._native import core
from cavs.core.attributes import ConvolutionAttributes
from cavs.kernels.native_form import named

functional = torch.nn.functional
ROWS = 64
CAUSAL = (0, 1, 2, 3, 4)
POOL = ThreadPoolExecutor()


class Shape(NamedTuple):
    """Channels, their size, outputs, and the kernel; `taps`: those that a mask leaves."""

    channels: int
    size: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    taps: tuple[int, ...] = ()

    def __str__(self) -> str:
        stride = f"/{self.stride}" if self.stride > 1 else ""
        masked = "masked " if self.taps else ""
        return (
            f"{masked}{self.channels}->{self.outputs} {self.kernel}x{self.kernel}{stride} "
            f"{self.size}x{self.size}"
        )


SHAPES = (
    Shape(1, 28, 32),
    Shape(32, 28, 32),
    Shape(64, 14, 64),
    Shape(128, 7, 128),
    Shape(1, 28, 64, 5, 2),
    Shape(64, 14, 128, 5, 2),
    Shape(32, 28, 32, 3, 1, CAUSAL),
)
Calls = dict[str, Callable[[], Any]]


def medians(calls: Calls, rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of each call, in interleaved rounds after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            begin = clock()
            call()
            if number:
                times[name].append((clock() - begin) * 1e3)
    return {name: float(np.median(taken)) for name, taken in times.items()}


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def kernel(
    name: str, attributes: dict[str, Any], a: np.ndarray, b: np.ndarray, out: np.ndarray
) -> None:
    """Calls a kernel over all rows, by as many threads as are set.

    A weight is an operand without rows.
    """
    flat = [
        x.reshape(ROWS, -1) if len(x) == ROWS and x.ndim == 4 else x.reshape(-1) for x in (a, b)
    ]
    weight = name == "conv_weight_reduce"
    if not weight:
        flat[1] = b.reshape(-1)
    target = out.reshape(-1) if weight else out.reshape(ROWS, -1)
    count = cavs.get_num_threads()

    def part(thread: int) -> None:
        """Some of the rows, or of the weight's elements."""
        core.call_kernel(
            name=name,
            dtype=core.DType.FLOAT32,
            inputs=flat,
            outputs=[target],
            attributes=attributes,
            tables=[],
            rows=(0, ROWS) if weight else (ROWS * thread // count, ROWS * (thread + 1) // count),
            thread=thread,
            num_threads=count,
        )

    if count == 1:
        part(0)
    else:
        list(POOL.map(part, range(count)))


def calls_of(shape: Shape) -> tuple[Calls, float]:
    """Forward, input's and weight's gradient of both, and GFLOP of each."""
    c, n, o, k, s, taps = shape
    pad, places = k // 2, (n - 1) // s + 1
    x, w, dy = drawn(ROWS, c, n, n), drawn(o, c, k, k), drawn(ROWS, o, places, places)
    mask = np.ones(k * k, np.float32)
    if taps:
        mask[:] = [t in taps for t in range(k * k)]
    tx, tw, tdy = map(torch.from_numpy, (x, w * mask.reshape(k, k), dy))
    attributes = named(
        ConvolutionAttributes(
            (c, n, n), (o, places, places), (k, k), (s, s), (pad, pad), (1, 1), 1, taps
        )
    )
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)

    def backward(*wanted: bool) -> Callable[[], Any]:
        return lambda: torch.ops.aten.convolution_backward(
            tdy, tx, tw, None, [s] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, wanted
        )

    calls: Calls = {
        "forward, torch": lambda: functional.conv2d(tx, tw, stride=s, padding=pad),
        "forward, cavs": lambda: kernel("conv", attributes, x, w, y),
        "input, torch": backward(True, False, False),
        "input, cavs": lambda: kernel("conv_input", attributes, dy, w, dx),
        "weight, torch": backward(False, True, False),
        "weight, cavs": lambda: kernel("conv_weight_reduce", attributes, x, dy, dw),
    }
    for call in calls.values():
        call()
    expected = calls["input, torch"]()[0].numpy()
    assert np.abs(dx - expected).max() < 1e-4 * np.abs(expected).max(), shape
    return calls, 2e-9 * dy.size * c * int(mask.sum())


def measure_kernels(rounds: int, clock: Callable[[], float]) -> None:
    print(f"{'':24} ms torch / ms cavs (GFLOP/s of cavs) ratio")
    for shape in SHAPES:
        calls, gflop = calls_of(shape)
        found = medians(calls, rounds, clock)
        parts = []
        totals = [0.0, 0.0]
        for part in ("forward", "input", "weight"):
            theirs, ours = found[f"{part}, torch"], found[f"{part}, cavs"]
            totals[0] += theirs
            totals[1] += ours
            parts.append(
                f"{part} {theirs:6.2f} /{ours:6.2f} ({gflop / ours * 1e3:3.0f}) {theirs / ours:.2f}"
            )
        print(f"{shape!s:24} {' | '.join(parts)} | all {totals[0] / totals[1]:.2f}", flush=True)


def rows(count: int) -> cavs.GraphBatch:
    return cavs.batch([cavs.InputGraph([[]])] * count)


class PixelCNN(cavs.VertexFunction):
    """Five layers, of which the last gives a logit for each pixel (van den Oord et al. 2016)."""

    def __init__(self, width: int = 32) -> None:
        self.first = nn.MaskedConv2d(1, width, 7, "A")
        self.inner = [nn.MaskedConv2d(width, width, 3, "B") for _ in range(3)]
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", (1, 28, 28))
        h = ops.relu(self.first(x))
        for layer in self.inner:
            h = ops.relu(layer(h))
        v.push(loss=ops.binary_cross_entropy_with_logits(self.last(h), x).sum())


class TorchMasked(torch.nn.Conv2d):
    def __init__(self, a: int, b: int, size: int, kind: str) -> None:
        super().__init__(a, b, size, padding=size // 2)
        count = size * size
        used = torch.arange(count) < count // 2 + (kind == "B")
        self.register_buffer("mask", used.float().view(size, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


def pixelcnn() -> Calls:
    x = (np.random.default_rng(0).random((ROWS, 1, 28, 28)) < 0.3).astype(np.float32)
    model = cavs.compile(PixelCNN())
    optimizer = cavs.optim.Adam(model.parameters(), lr=1e-3)
    batch = rows(ROWS)
    layers: list[torch.nn.Module] = [TorchMasked(1, 32, 7, "A"), torch.nn.ReLU()]
    for _ in range(3):
        layers += [TorchMasked(32, 32, 3, "B"), torch.nn.ReLU()]
    theirs = torch.nn.Sequential(*layers, torch.nn.Conv2d(32, 1, 1))
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-3, fused=True)
    tx = torch.from_numpy(x)

    def torch_step() -> None:
        adam.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(theirs(tx), tx, reduction="sum")
        (loss / ROWS).backward()
        adam.step()

    return {
        "torch": torch_step,
        "cavs": lambda: model.step(batch, optimizer, scale=1 / ROWS, x=x).item(),
    }


def leaky(x: Any) -> Any:
    return ops.leaky_relu(x, 0.2)


class Generator(cavs.VertexFunction):
    """An image of noise (Radford et al. 2016, at the size of digits)."""

    def __init__(self) -> None:
        self.first, self.norm = nn.Linear(100, 128 * 49), nn.BatchNorm(128)
        self.second = nn.ConvTranspose2d(128, 64, 5, 2, 2, 1)
        self.second_norm = nn.BatchNorm(64)
        self.last = nn.ConvTranspose2d(64, 1, 5, 2, 2, 1)

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.reshape(self.first(v.normal(100)), (128, 7, 7))
        h = self.second(ops.relu(self.norm(h)))
        v.push(x=ops.sigmoid(self.last(ops.relu(self.second_norm(h)))))


class Discriminator(cavs.VertexFunction):
    def __init__(self) -> None:
        self.first, self.second = nn.Conv2d(1, 64, 5, 2, 2), nn.Conv2d(64, 128, 5, 2, 2)
        self.norm, self.last = nn.BatchNorm(128), nn.Linear(128 * 49, 1)

    def forward(self, v: cavs.Vertex) -> None:
        h = self.second(leaky(self.first(v.pull("x", (1, 28, 28)))))
        logit = self.last(ops.reshape(leaky(self.norm(h)), (128 * 49,))).sum()
        v.push(loss=ops.binary_cross_entropy_with_logits(logit, v.pull("real")))


def torch_gan() -> tuple[torch.nn.Module, torch.nn.Module]:
    n = torch.nn
    maker = n.Sequential(
        n.Linear(100, 128 * 49),
        n.Unflatten(1, (128, 7, 7)),
        n.BatchNorm2d(128),
        n.ReLU(),
        n.ConvTranspose2d(128, 64, 5, 2, 2, 1),
        n.BatchNorm2d(64),
        n.ReLU(),
        n.ConvTranspose2d(64, 1, 5, 2, 2, 1),
        n.Sigmoid(),
    )
    judge = n.Sequential(
        n.Conv2d(1, 64, 5, 2, 2),
        n.LeakyReLU(0.2),
        n.Conv2d(64, 128, 5, 2, 2),
        n.BatchNorm2d(128),
        n.LeakyReLU(0.2),
        n.Flatten(),
        n.Linear(128 * 49, 1),
    )
    return maker, judge


def dcgan() -> Calls:
    """A step of each network, of both: the discriminator's over real and made images together."""
    real = np.random.default_rng(0).random((ROWS, 1, 28, 28)).astype(np.float32)
    halves, ones = np.repeat(np.float32([1, 0]), ROWS), np.ones(ROWS, np.float32)
    model = cavs.compile(
        cavs.VertexProgram({"generator": Generator(), "discriminator": Discriminator()})
    )
    adams = {
        name: cavs.optim.Adam(model[name].parameters(), lr=2e-4)
        for name in ("generator", "discriminator")
    }
    batch, both = rows(ROWS), rows(2 * ROWS)
    maker, judge = torch_gan()
    of_maker, of_judge = (
        torch.optim.Adam(m.parameters(), lr=2e-4, fused=True) for m in (maker, judge)
    )
    loss, images = functional.binary_cross_entropy_with_logits, torch.from_numpy(real)
    labels, wished = torch.from_numpy(halves)[:, None], torch.from_numpy(ones)[:, None]

    def torch_step() -> None:
        made = maker(torch.randn(ROWS, 100))
        of_judge.zero_grad()
        loss(judge(torch.cat([images, made.detach()])), labels).backward()
        of_judge.step()
        of_maker.zero_grad()
        judge.requires_grad_(False)
        loss(judge(made), wished).backward()
        judge.requires_grad_(True)
        of_maker.step()

    def step() -> None:
        made = model["generator"](batch)["x"]
        inputs = {"x": np.concatenate([real, made.data]), "real": halves}
        model["discriminator"].step(both, adams["discriminator"], scale=0.5 / ROWS, **inputs)
        model["discriminator"].requires_grad_(False)
        found = model["discriminator"](batch, x=made, real=ones)["loss"].mean()
        adams["generator"].zero_grad()
        found.backward()
        adams["generator"].step()
        model["discriminator"].requires_grad_(True)

    return {"torch": torch_step, "cavs": step}


STEPS = {"pixelcnn": pixelcnn, "dcgan": dcgan}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=["kernels", *STEPS])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cavs.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    print(f"{cavs.instruction_set()}, PyTorch {torch.__version__}, {options.threads} thread(s)")
    if options.only in (None, "kernels"):
        measure_kernels(options.rounds, clock)
    for name, make in STEPS.items():
        if options.only in (None, name):
            found = medians(make(), options.rounds, clock)
            print(
                f"{name:24} step {found['torch']:.1f} / {found['cavs']:.1f} ms, ratio "
                f"{found['torch'] / found['cavs']:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
