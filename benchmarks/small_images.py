"""Pooling, upsampling and normalisation of images beside PyTorch's, on one thread: nanoseconds an
element of the input, forward alone and forward and backward.

    python benchmarks/small_images.py [--rows N] [--rounds N] [--names max_pool,group_norm]

Of cavs it is a call of a vertex function with nothing else in it, and its backward; of PyTorch the
same function of a tensor with rows in front. Times are medians of interleaved rounds, of the
process. The environment variable CAVS_ISA names a lesser instruction set than the machine's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

import cavs
from cavs import nn, ops

functional = torch.nn.functional


class Case(NamedTuple):
    """A function of images (channels, height, width): of cavs, and of PyTorch with rows."""

    ours: Callable[[Any], Any]
    theirs: Callable[[torch.Tensor], torch.Tensor]
    shape: tuple[int, ...]


CASES = {
    "max_pool 2x2": Case(
        lambda x: ops.max_pool(x, (2, 2)), lambda x: functional.max_pool2d(x, 2), (32, 28, 28)
    ),
    "max_pool 2x2 small": Case(
        lambda x: ops.max_pool(x, (2, 2)), lambda x: functional.max_pool2d(x, 2), (64, 8, 8)
    ),
    "max_pool 3x3/2": Case(
        lambda x: ops.max_pool(x, (3, 3), 2, 1),
        lambda x: functional.max_pool2d(x, 3, 2, 1),
        (32, 28, 28),
    ),
    "max_pool 3 of a line": Case(
        lambda x: ops.max_pool(x, 3, 1, 1), lambda x: functional.max_pool1d(x, 3, 1, 1), (64, 200)
    ),
    "avg_pool 2x2": Case(
        lambda x: ops.avg_pool(x, (2, 2)), lambda x: functional.avg_pool2d(x, 2), (32, 28, 28)
    ),
    "avg_pool 3x3/2": Case(
        lambda x: ops.avg_pool(x, (3, 3), 2, 1),
        lambda x: functional.avg_pool2d(x, 3, 2, 1),
        (32, 28, 28),
    ),
    "avg_pool whole": Case(
        lambda x: ops.avg_pool(x, (7, 7)), lambda x: functional.avg_pool2d(x, 7), (256, 7, 7)
    ),
    "upsample 2x2": Case(
        lambda x: ops.upsample(x, (2, 2)),
        lambda x: functional.interpolate(x, scale_factor=2),
        (32, 14, 14),
    ),
    "group_norm 8": Case(nn.GroupNorm(8, 32), torch.nn.GroupNorm(8, 32), (32, 14, 14)),
    "layer_norm": Case(nn.LayerNorm(256), torch.nn.LayerNorm(256), (256,)),
    "layer_norm of images": Case(
        nn.LayerNorm((32, 14, 14)), torch.nn.LayerNorm((32, 14, 14)), (32, 14, 14)
    ),
}


class Single(cavs.VertexFunction):
    def __init__(self, function: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
        self.function, self.shape = function, shape

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.function(v.pull("x", self.shape)))


def measure(name: str, case: Case, rows: int, rounds: int) -> str:
    """A line of the table."""
    data = np.random.default_rng(0).normal(size=(rows, *case.shape)).astype(np.float32)
    graph = cavs.InputGraph([[]] * rows)
    model = cavs.compile(Single(case.ours, case.shape))
    x, z = cavs.tensor(data, requires_grad=True), torch.from_numpy(data).requires_grad_()
    with torch.no_grad():
        seed = np.ones(tuple(case.theirs(z).shape), np.float32)
    ones = torch.from_numpy(seed)

    def ours() -> None:
        with cavs.no_grad():
            model(graph, x=x)

    def theirs() -> None:
        with torch.no_grad():
            case.theirs(z)

    def ours_both() -> None:
        x.zero_grad()
        model(graph, x=x)["y"].backward(seed)

    def theirs_both() -> None:
        z.grad = None
        case.theirs(z).backward(ones)

    times: dict[Callable[[], None], list[float]] = {
        call: [] for call in (ours, theirs, ours_both, theirs_both)
    }
    for _ in range(rounds):
        for call, taken in times.items():
            begin = time.process_time()
            call()
            taken.append(time.process_time() - begin)
    each = [float(np.median(taken)) * 1e9 / data.size for taken in times.values()]
    return (
        f"{name:22} {each[0]:7.2f} {each[1]:7.2f} {each[1] / each[0]:7.2f}   "
        f"{each[2]:7.2f} {each[3]:7.2f} {each[3] / each[2]:7.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--names", default="", help="parts of names, by commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cavs.set_num_threads(1)
    print(f"{cavs.instruction_set()}, PyTorch {torch.__version__}, one thread, ns an element")
    print(f"{'':22} {'forward':>15} {'torch':>7}   {'and backward':>15} {'torch':>7}")
    print(
        f"{'':22} {'cavs':>7} {'torch':>7} {'/ cavs':>7}   {'cavs':>7} {'torch':>7} {'/ cavs':>7}"
    )
    for name, case in CASES.items():
        if any(part in name for part in options.names.split(",")):
            print(measure(name, case, options.rows, options.rounds), flush=True)


if __name__ == "__main__":
    main()
