"""What tensors outside of vertex functions take, beside PyTorch, on one thread.

    python benchmarks/outer_tape.py [--rounds N] [--rows N] [--points N]

Two losses with their gradients: the kernel two-sample statistic of two batches, and the marginal
likelihood of a Gaussian process. Calls take turns; times are medians of the process's own time.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's, which products of tensors use

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import cavs
from cavs import linalg, ops

WIDTHS = (1.0, 2.0, 5.0, 10.0)
Pair = tuple[Callable[[], Any], Callable[[], Any]]


def discrepancy(rows: int, size: int) -> Pair:
    """Sum over pairs of x with itself, and of x with y, by x (rows, size)."""
    rng = np.random.default_rng(0)
    data, others = (rng.standard_normal((rows, size)).astype(np.float32) for _ in range(2))
    x, y = cavs.tensor(data, requires_grad=True), cavs.tensor(others)
    tx, ty = torch.tensor(data, requires_grad=True), torch.tensor(others)

    def ours() -> Any:
        x.zero_grad()
        within, across = (cavs.pairwise_kernel_sum(x, each, WIDTHS) for each in (x, y))
        (within - 2.0 * across).backward()
        return x.grad

    def sums(a: Any, b: Any) -> Any:
        squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        return sum(torch.exp(squares * (-0.5 / w**2)).sum() for w in WIDTHS)

    def theirs() -> Any:
        tx.grad = None
        (sums(tx, tx) - 2 * sums(tx, ty)).backward()
        return tx.grad.numpy()

    return ours, theirs


def process(points: int) -> Pair:
    """-log p(y) by points (points, 3), the kernel's length and the noise, in float64."""
    rng = np.random.default_rng(0)
    data, values = rng.standard_normal((points, 3)), rng.standard_normal((points, 1))
    x, y = cavs.tensor(data, requires_grad=True), cavs.tensor(values)
    settings = [cavs.tensor(np.float64(v), requires_grad=True) for v in (1.3, 0.4)]
    tx, ty = torch.tensor(data, requires_grad=True), torch.tensor(values)
    of_torch = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.3, 0.4)]
    one, of_one = cavs.tensor(np.eye(points)), torch.eye(points, dtype=torch.float64)

    def ours() -> Any:
        length, noise = settings
        s = ops.sum(x * x, axis=-1, keepdims=True)
        squares = s + s.T - 2.0 * (x @ x.T)
        k = ops.exp(squares * (-0.5 / ops.square(length))) + ops.square(noise) * one
        factor = linalg.cholesky(k)
        white = linalg.solve_triangular(factor, y)
        loss = 0.5 * ops.sum(white * white) + ops.sum(ops.log(linalg.diagonal(factor)))
        return cavs.grad(loss, [x, *settings])[0].data

    def theirs() -> Any:
        length, noise = of_torch
        s = (tx * tx).sum(-1, keepdim=True)
        squares = s + s.T - 2 * tx @ tx.T
        k = torch.exp(squares * (-0.5 / length**2)) + noise**2 * of_one
        factor = torch.linalg.cholesky(k)
        white = torch.linalg.solve_triangular(factor, ty, upper=False)
        loss = 0.5 * (white * white).sum() + factor.diagonal().log().sum()
        return torch.autograd.grad(loss, [tx, *of_torch])[0].numpy()

    return ours, theirs


def measure(name: str, pair: Pair, rounds: int) -> None:
    """Prints how far the gradients are apart, and the medians of calls in turn."""
    ours, theirs = pair
    expected = theirs()
    apart = np.abs(ours() - expected).max() / np.abs(expected).max()
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for call, taken in zip(pair, times, strict=True):
            begin = time.process_time()
            call()
            taken.append(time.process_time() - begin)
    own, other = (1e3 * float(np.median(taken)) for taken in times)
    print(f"{name:40} {own:8.2f} {other:8.2f} {other / own:6.2f} {apart:10.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=1000, help="of a batch")
    parser.add_argument("--size", type=int, default=32, help="of a row")
    parser.add_argument("--points", type=int, default=400, help="of the Gaussian process")
    options = parser.parse_args()
    cavs.set_num_threads(1)
    torch.set_num_threads(1)
    print(f"value and gradient, one thread, {cavs.instruction_set()}, torch {torch.__version__}")
    print(f"{'':40} {'cavs ms':>8} {'torch ms':>8} {'ratio':>6} {'difference':>10}")
    batch = f"MMD, {options.rows} x {options.size}, {len(WIDTHS)} widths"
    measure(batch, discrepancy(options.rows, options.size), options.rounds)
    measure(f"Gaussian process, {options.points} points", process(options.points), options.rounds)


if __name__ == "__main__":
    main()
